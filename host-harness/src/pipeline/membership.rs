//! Joins and leaves: what a word about a list calls for.
//!
//! | the word | what becomes of it |
//! |---|---|
//! | older than what is known, or what holds already | nothing; it still counts for the generation |
//! | a leave | goes to Brevo; a join that has not begun ends |
//! | a join, live | goes to Brevo; a leave that has not begun ends |
//! | a join of a first or full run | held until an operator's word, unless the list is inert (design rule 7) |
//! | a join past its `not-after` | expired; a later full run brings it up again |

use rusqlite::Transaction;

use super::admit::{Admission, old_news};
use crate::contract::Provenance;
use crate::people::identity::PersonId;
use crate::people::memberships::{self, Outcome, Word};
use crate::registry::{ListMembership, names};
use crate::store::lists;
use crate::store::outbox::{self, State, held};
use crate::store::{Digest, StoreError};
use crate::world::Millis;

/// What goes into the outbox.
pub(super) struct Called {
    pub list: i64,
    pub state: State,
    pub code: Option<&'static str>,
}

/// Folds the word; none where it calls for nothing.
pub(super) fn called_for(
    tx: &Transaction<'_>,
    admission: &Admission<'_>,
    person: PersonId,
    to: &ListMembership,
    member: bool,
    not_after: Option<Millis>,
) -> Result<Option<Called>, StoreError> {
    let row = &admission.installed.row;
    let list = lists::named(tx, row.destination, &to.list, to.inert, admission.now)?;
    // Whatever comes while an operator has a new generation filled may be part of the full run.
    let baseline = admission.record.provenance == Provenance::Backfill
        || old_news(admission)
        || list.filling_since.is_some();
    let word = Word {
        member,
        at: admission.time.at,
        rank: admission.record.observation.rank,
        observation: Digest::of(&[admission.record.observation.id.as_bytes()]),
        installation: row.id.0,
        baseline,
    };
    if memberships::say(tx, &list, person, &word)? != Outcome::News {
        return Ok(None);
    }
    let (opposite, newer) =
        if member { (names::LEAVE_LIST, "newer-join") } else { (names::JOIN_LIST, "newer-leave") };
    outbox::supersede_membership(tx, list.id, person.0, opposite, newer)?;
    let late = not_after.is_some_and(|deadline| deadline < admission.now);
    let (state, code) = if member && late {
        (State::Expired, Some("too-old"))
    } else if member && baseline && !to.inert {
        (State::Held, Some(held::BASELINE_UNCONFIRMED))
    } else if list.stopped_code.is_some() {
        (State::Held, Some(held::LIST_STOPPED))
    } else {
        (State::Waiting, None)
    };
    Ok(Some(Called { list: list.id, state, code }))
}
