//! What a record that asks for a deletion calls for (design rule 9).
//!
//! | the record | what becomes of it |
//! |---|---|
//! | soft, older than a deletion that is known | nothing |
//! | without a time that can be trusted, outside the live door | held until an operator's word |
//! | hard, and something newer is known of the person: they may have come back | held until an operator's word |
//! | more of them than a day may bring | held until an operator's word; nothing else is touched |
//! | any other | what happened before it ends; it goes to Brevo |

use rusqlite::Transaction;

use super::admit::{Admission, old_news};
use crate::people::circle::Circle;
use crate::people::deletions;
use crate::people::fields::Standing;
use crate::people::identity::PersonId;
use crate::registry::{DeleteBehavior, DeleteContact};
use crate::store::dead_letters::{self, Actor, NewDeadLetter};
use crate::store::outbox::{State, held};
use crate::store::{Digest, StoreError};

/// What goes into the outbox.
pub(super) struct Called {
    pub state: State,
    pub code: Option<&'static str>,
    /// Without the mark where a newer record says something else of it.
    pub delete: DeleteContact,
}

/// Folds the deletion; none where it calls for nothing.
pub(super) fn called_for(
    tx: &Transaction<'_>,
    circle: &mut Circle,
    admission: &Admission<'_>,
    person: PersonId,
    delete: &DeleteContact,
) -> Result<Option<Called>, StoreError> {
    let (row, at, now) = (&admission.installed.row, admission.time.at, admission.now);
    let hard = delete.behavior == DeleteBehavior::Hard;
    if !hard && circle.deleted_at(tx, person)?.is_some_and(|known| known >= at) {
        return Ok(None);
    }
    let came_back = hard && circle.wanted.newest(tx, person)?.is_some_and(|newest| newest > at);
    let mut delete = delete.clone();
    if old_news(admission) || came_back {
        letter(tx, row.id.0, held::DELETE_OUTDATED, OUTDATED, now)?;
        return Ok(Some(Called { state: State::Held, code: Some(held::DELETE_OUTDATED), delete }));
    }
    if !deletions::has_room(tx, row.id, row.destination, now)? {
        letter(tx, row.id.0, held::DELETES_CAPPED, CAPPED, now)?;
        return Ok(Some(Called { state: State::Held, code: Some(held::DELETES_CAPPED), delete }));
    }
    circle.delete(tx, person, at, now)?;
    if let Some(mark) = &delete.mark {
        let observation = Digest::of(&[admission.record.observation.id.as_bytes()]);
        let standing = Standing::new(at, admission.record.observation.rank, observation);
        if !deletions::mark(tx, &mut circle.wanted, person, mark, at, &standing)? {
            delete.mark = None;
        }
    }
    Ok(Some(Called { state: State::Waiting, code: None, delete }))
}

const OUTDATED: &str = "A deletion is older than what is known of the person since, or has no time that can be trusted; it is held.";
const CAPPED: &str =
    "More deletions came within a day than may be done without a person's word; the rest is held.";

/// Once while it is open: the held actions themselves are shown by `harness erase held`.
fn letter(
    tx: &Transaction<'_>,
    installation: i64,
    code: &str,
    message: &str,
    now: crate::world::Millis,
) -> Result<(), StoreError> {
    let letter = NewDeadLetter {
        installation,
        stage: "deliver",
        code,
        actor: Actor::Operator,
        message,
        remedy: "Look at the source whether it is meant; then `harness erase release` or `harness erase decline`.",
        journal: None,
        pointer: Some(deletions::ABOUT),
        record: None,
        action: None,
    };
    dead_letters::insert_once(tx, &letter, now).map(|_| ())
}
