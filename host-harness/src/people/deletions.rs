//! Deletions of contacts, folded like every other fact (design rules 6, 7 and 9).
//!
//! A deletion has a time. What happened to the person before it has no effect any more, whenever it
//! comes: events, mails and the like are refused, attributes and joins lose. What is newer counts as
//! always: somebody who came back is delivered to, and joins lists, by the newer word. The mark is an
//! attribute like any other: it stays until a newer record says something else of it, because nobody
//! knows whether a sign of life undoes a deletion. Opt-outs, suppressions and leaves count whenever
//! they happened.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::fields::{self, Standing, Wanted};
use super::identity::PersonId;
use super::memberships;
use crate::registry::names::{self, JOIN_LIST};
use crate::store::StoreError;
use crate::store::dead_letters;
use crate::store::installations::{DestinationId, InstallationId};
use crate::store::outbox::{Action, held};
use crate::world::Millis;

/// Deletes that records of one installation may call for within [`DAY`] without an operator's word:
/// this many, or a part of the contacts of the account where that is more.
pub const A_DAY: i64 = 100;
/// One in so many contacts.
pub const SHARE: i64 = 20;
/// For which the cap counts, in milliseconds.
pub const DAY: Millis = 24 * 3_600_000;

/// Code of actions that happened before the deletion of their person.
pub const PERSON_DELETED: &str = "person-deleted";

/// What a dead letter about held deletions points to.
pub const ABOUT: &str = "deletions";

/// What a deletion ends: what has an effect that a deleted person is to be spared, and nothing that
/// restricts.
const ENDED: [&str; 7] = [
    names::UPSERT_CONTACT,
    names::TRACK_EVENT,
    names::SEND_EMAIL,
    names::SEND_SMS,
    names::ADD_NOTE,
    names::CREATE_TASK,
    names::JOIN_LIST,
];

/// True where any contact of anybody was ever deleted softly.
pub fn any(tx: &Transaction<'_>) -> Result<bool, StoreError> {
    Ok(tx.prepare_cached("SELECT 1 FROM deletion LIMIT 1")?.exists([])?)
}

/// When the person's contact was deleted; none: never.
pub fn of(tx: &Transaction<'_>, person: PersonId) -> Result<Option<Millis>, StoreError> {
    Ok(tx
        .prepare_cached("SELECT at FROM deletion WHERE person = ?1")?
        .query_row([person.0], |row| row.get(0))
        .optional()?)
}

/// True where an action must not be done any more because its person was deleted after it happened.
/// A change of address that is under way is finished: the block that it set aside has to be set again.
/// What is said again after the deletion rides on what was called for before it, because nothing is
/// called for twice; so that stays.
pub fn ends(tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
    let Some(person) = action.person.filter(|_| ENDED.contains(&action.name.as_str())) else {
        return Ok(false);
    };
    let under_way = action.intent.as_deref().is_some_and(|intent| intent.contains("\"address\""));
    let Some(at) = of(tx, PersonId(person))?.filter(|at| !under_way && action.time() < *at) else {
        return Ok(false);
    };
    Ok(match (action.name.as_str(), action.list) {
        (names::UPSERT_CONTACT, _) => !fields::is_known_since(tx, PersonId(person), at)?,
        (names::JOIN_LIST, Some(list)) => {
            !memberships::get(tx, list, PersonId(person))?.is_some_and(|known| known.wanted && known.at > at)
        }
        _ => true,
    })
}

/// A person's contact was deleted at that time: ends what happened before and is still open, and
/// takes them out of every list here. Doing it again changes nothing.
pub fn begin(
    tx: &Transaction<'_>,
    wanted: &mut Wanted,
    person: PersonId,
    at: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO deletion (person, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = max(at, ?2)",
    )?
    .execute(params![person.0, at])?;
    wanted.forget_before(tx, person, at)?;
    memberships::leave_all(tx, person, at)?;
    let is_back = wanted.newest(tx, person)?.is_some();
    let ended = ENDED.iter().filter(|name| !(is_back && **name == names::UPSERT_CONTACT));
    let names = ended.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    // States 0 waiting, 8 held, 9 parked become 7 refused. What may be at Brevo is still read back.
    let ended: Vec<i64> = tx
        .prepare_cached(&format!(
            "UPDATE action SET state = 7, code = '{PERSON_DELETED}', due_at = NULL
             WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state <> 1 AND name IN ({names})
               AND coalesce(occurred_at, received_at) < ?2
               AND code IS NOT 'outcome-unknown'
               AND json_extract(coalesce(intent, '{{}}'), '$.address') IS NULL
               AND NOT (name = '{JOIN_LIST}' AND EXISTS (
                     SELECT 1 FROM membership
                     WHERE list = action.list AND person = action.person AND wanted = 1))
             RETURNING id"
        ))?
        .query_map(params![person.0, at], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for action in ended {
        dead_letters::resolve_action(tx, action, now)?;
    }
    Ok(())
}

/// `from` becomes part of `into`.
pub fn absorb(tx: &Transaction<'_>, into: PersonId, from: PersonId) -> Result<(), StoreError> {
    if let Some(at) = of(tx, from)? {
        tx.execute(
            "INSERT INTO deletion (person, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = max(at, ?2)",
            params![into.0, at],
        )?;
        tx.execute("DELETE FROM deletion WHERE person = ?1", [from.0])?;
    }
    Ok(())
}

/// True where the installation may have one more contact deleted today. What was released by an
/// operator counts, what an operator ordered by name doesn't.
pub fn has_room(
    tx: &Transaction<'_>,
    installation: InstallationId,
    destination: DestinationId,
    now: Millis,
) -> Result<bool, StoreError> {
    let used: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM action WHERE installation = ?1 AND received_at > ?2
               AND name = 'brevo/delete-contact' AND batch > 0
               AND code IS NOT ?3 AND code IS NOT ?4 AND code IS NOT ?5",
        )?
        .query_row(
            params![installation.0, now - DAY, held::DELETES_CAPPED, held::DELETE_OUTDATED, DELETE_DECLINED],
            |row| row.get(0),
        )?;
    if used < A_DAY {
        return Ok(true);
    }
    let contacts: i64 = tx
        .prepare_cached("SELECT count(*) FROM person WHERE destination = ?1 AND brevo_id IS NOT NULL")?
        .query_row([destination.0], |row| row.get(0))?;
    Ok(used < contacts / SHARE)
}

/// Code of deletes that an operator declined.
pub const DELETE_DECLINED: &str = "delete-declined";

/// The mark's value: the day of the deletion in UTC, as Brevo takes dates (`yyyy-mm-dd`;
/// developers.brevo.com, docs/other-common-questions).
pub fn day(at: Millis) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at).ok()?;
    Some(jiff::tz::Offset::UTC.to_datetime(at).date().to_string())
}

/// Folds the mark; false where a newer record says something else of the attribute.
pub fn mark(
    tx: &Transaction<'_>,
    wanted: &mut Wanted,
    person: PersonId,
    attribute: &str,
    at: Millis,
    standing: &Standing,
) -> Result<bool, StoreError> {
    let Some(day) = day(at) else { return Ok(false) };
    let offered = [(attribute.to_owned(), serde_json::Value::String(day))].into();
    Ok(wanted.fold(tx, person, &offered, standing)?.lost == 0)
}
