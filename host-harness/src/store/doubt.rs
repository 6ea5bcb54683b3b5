//! A store that is older than what its host did last: restored from a backup, or put in place by hand.
//!
//! What happened after the backup is not in it, and nothing says how much that was. So until an operator
//! confirms, nothing is taken in and nothing is sent; and nothing that can't be undone is done on the
//! word of the store alone, neither what it says is still to be done nor what comes of records that may
//! have come before. It is looked for at Brevo first, and what isn't shown there is an operator's.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::StoreError;
use super::outbox::{Action, OUTCOME_UNKNOWN, held};
use crate::registry::names;
use crate::world::Millis;

/// Code of a store that `harness restore` or `harness backup` marked.
pub const RESTORED: &str = "restored-from-backup";
/// Code of a file that is not the one that was used last.
pub const REPLACED: &str = "store-replaced";

/// Host time may be that much behind a vendor's.
const TOLERANCE: Millis = 5 * 60_000;

/// A join, note or task that is not there may have been undone since by somebody's hand: its absence
/// is no proof, so it counts as sent again often enough.
const NO_RESENDS: u32 = 1_000;

/// The store is in doubt since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// [`RESTORED`] or [`REPLACED`].
    pub code: String,
    /// When a host first started on it; none: none did yet.
    pub since: Option<Millis>,
}

/// Puts a store into doubt.
pub(super) fn mark(connection: &rusqlite::Connection, code: &str) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO host (name, value) VALUES ('doubt', ?1) ON CONFLICT DO UPDATE SET value = ?1",
        [code],
    )?;
    connection.execute("DELETE FROM host WHERE name = 'doubt-since'", [])?;
    Ok(())
}

/// Whether and why the store is in doubt.
pub fn of(tx: &Transaction<'_>) -> Result<Option<Doubt>, StoreError> {
    let code = tx
        .prepare_cached("SELECT value FROM host WHERE name = 'doubt'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(code) = code else { return Ok(None) };
    let since = tx
        .prepare_cached("SELECT value FROM host WHERE name = 'doubt-since'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(Some(Doubt { code, since }))
}

/// What a host does before anything else with a store that came into doubt: whatever is unfinished and
/// can't be undone has an unknown outcome from now on. Does nothing twice.
pub fn enter(tx: &Transaction<'_>, settle: Millis, now: Millis) -> Result<Option<Doubt>, StoreError> {
    let Some(doubt) = of(tx)? else { return Ok(None) };
    if doubt.since.is_some() {
        return Ok(Some(doubt));
    }
    let look = LOOK_FIRST.as_str();
    // What is held stays held, but for mails and texts: they are never held once they may be sent.
    tx.execute(
        &format!(
            "UPDATE action SET intent = {look}, state = 9, code = ?1,
                due_at = max(?2, coalesce(not_before, ?2))
             WHERE {ONCE} AND (state IN (0, 1) OR state = 8 AND name IN (?3, ?4))"
        ),
        params![OUTCOME_UNKNOWN, now + settle, names::SEND_EMAIL, names::SEND_SMS],
    )?;
    tx.execute(&format!("UPDATE action SET intent = {look} WHERE {ONCE} AND state IN (8, 9)"), [])?;
    // Whoever was to be deleted may have come back since. What has begun is finished.
    tx.execute(
        "UPDATE action SET state = 8, code = ?1, due_at = not_after + 1
         WHERE name = ?2 AND state IN (0, 1) AND json_extract(intent, '$.erasing') IS NULL",
        params![held::DELETE_OUTDATED, names::DELETE_CONTACT],
    )?;
    tx.execute("INSERT INTO host (name, value) VALUES ('doubt-since', ?1)", [now])?;
    Ok(Some(Doubt { since: Some(now), ..doubt }))
}

/// An operator's word that the store is to be used. False where it is not in doubt.
pub fn confirm(tx: &Transaction<'_>, now: Millis) -> Result<bool, StoreError> {
    if tx.execute("DELETE FROM host WHERE name = 'doubt'", [])? == 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO host (name, value) VALUES ('doubtful-until', ?1)
         ON CONFLICT DO UPDATE SET value = max(value, ?1)",
        [now + TOLERANCE],
    )?;
    tx.execute("DELETE FROM host WHERE name = 'doubt-since'", [])?;
    Ok(true)
}

/// True of a time before the last confirmation: what happened then may have been worked on by a host
/// that this store knows nothing of.
pub fn covers(tx: &Transaction<'_>, at: Millis) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM host WHERE name = 'doubtful-until' AND value >= ?1)")?
        .query_row([at], |row| row.get(0))?)
}

/// Whether an action that can't be undone may have been done by a host that this store knows nothing of.
pub fn may_have_been_done(tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
    Ok(covers(tx, action.time())?
        && tx
            .prepare_cached(&format!("SELECT 1 FROM action WHERE id = ?1 AND {ONCE}"))?
            .exists([action.id])?)
}

/// An action that was just admitted, of a record of that time: where it may have been done before, it is
/// looked for first.
pub fn look_first(tx: &Transaction<'_>, action: i64, at: Millis) -> Result<(), StoreError> {
    if covers(tx, at)? {
        let look = LOOK_FIRST.as_str();
        tx.prepare_cached(&format!(
            "UPDATE action SET intent = {look} WHERE id = ?1 AND state IN (0, 8) AND {ONCE}"
        ))?
        .execute([action])?;
    }
    Ok(())
}

/// What can't be undone: `Payload::happens_once`, and joins that may start something.
const ONCE: &str = "(name IN ('brevo/track-event', 'brevo/send-email', 'brevo/send-sms',
     'brevo/trigger-campaign', 'brevo/add-note', 'brevo/create-task')
  OR name = 'brevo/join-list' AND coalesce(json_extract(payload, '$.inert'), 0) = 0)";

/// `delivery::work::Intent` of an action that may have been done.
static LOOK_FIRST: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    format!(
        "CASE WHEN name IN ('brevo/join-list', 'brevo/add-note', 'brevo/create-task')
          THEN json_set(coalesce(intent, '{{}}'), '$.look', json('true'), '$.sent', json('true'),
                        '$.resends', {NO_RESENDS})
          ELSE json_set(coalesce(intent, '{{}}'), '$.look', json('true'), '$.sent', json('true')) END"
    )
});
