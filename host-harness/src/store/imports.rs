//! Imports of many contacts in one call. At most one of an account is under way; its rows are the
//! actions in flight that name it.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::installations::DestinationId;
use super::outbox::{Action, Class};
use super::{StoreError, outbox};
use crate::world::Millis;

/// How far an import is. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Phase {
    /// The call is being made, or its outcome is unknown.
    Sending = 0,
    /// Brevo works on it.
    AtWork = 1,
    /// What came of it is read.
    Reading = 2,
    /// Every row has ended or waits again.
    Over = 3,
}

/// An import that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `schema-6.sql`
pub struct Import {
    pub id: i64,
    pub installation: i64,
    pub list: i64,
    pub email_blocked: bool,
    pub sms_blocked: bool,
    pub rows: usize,
    pub begun_at: Millis,
    pub phase: Phase,
    pub process: Option<i64>,
    pub polls: u32,
    pub next_at: Millis,
    pub since: Millis,
    pub position: usize,
    pub reports: Vec<String>,
    pub result: Option<String>,
}

/// How far Brevo's clock may be behind this host's, where its answer doesn't say what time it is.
const CLOCKS_DIFFER: Millis = 60_000;

/// What an import is begun with.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct NewImport {
    pub installation: i64,
    pub list: i64,
    pub email_blocked: bool,
    pub sms_blocked: bool,
    pub rows: usize,
}

/// Writes an import down, before anything is sent.
pub fn begin(
    tx: &Transaction<'_>,
    destination: DestinationId,
    new: &NewImport,
    now: Millis,
) -> Result<i64, StoreError> {
    tx.execute(
        "INSERT INTO import (destination, installation, list, email_blocked, sms_blocked, rows, begun_at, state, next_at, since)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?7, ?7 - ?8)",
        params![
            destination.0,
            new.installation,
            new.list,
            new.email_blocked,
            new.sms_blocked,
            new.rows as i64,
            now,
            CLOCKS_DIFFER
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// The account's import that is not over.
pub fn open(tx: &Transaction<'_>, destination: DestinationId) -> Result<Option<Import>, StoreError> {
    tx.prepare_cached(
        "SELECT id, installation, list, email_blocked, sms_blocked, rows, begun_at, state, process, polls,
                    next_at, position, reports, result, since
             FROM import WHERE destination = ?1 AND state < 3",
    )?
    .query_row([destination.0], |row| Ok(from_row(row)))
    .optional()?
    .transpose()?
    .transpose()
}

fn from_row(row: &Row<'_>) -> Result<Result<Import, StoreError>, rusqlite::Error> {
    let phase = match row.get::<_, i64>(7)? {
        0 => Phase::Sending,
        1 => Phase::AtWork,
        2 => Phase::Reading,
        _ => Phase::Over,
    };
    let Ok(reports) = serde_json::from_str(&row.get::<_, String>(12)?) else {
        return Ok(Err(StoreError::Unreadable("import.reports")));
    };
    Ok(Ok(Import {
        id: row.get(0)?,
        installation: row.get(1)?,
        list: row.get(2)?,
        email_blocked: row.get(3)?,
        sms_blocked: row.get(4)?,
        rows: row.get::<_, i64>(5)? as usize,
        begun_at: row.get(6)?,
        phase,
        process: row.get(8)?,
        polls: row.get(9)?,
        next_at: row.get(10)?,
        position: row.get::<_, i64>(11)? as usize,
        reports,
        result: row.get(13)?,
        since: row.get(14)?,
    }))
}

/// Writes what changed.
pub fn save(tx: &Transaction<'_>, import: &Import) -> Result<(), StoreError> {
    let reports =
        serde_json::to_string(&import.reports).map_err(|_| StoreError::Unreadable("import.reports"))?;
    tx.prepare_cached(
        "UPDATE import SET state = ?2, process = ?3, polls = ?4, next_at = ?5, position = ?6, reports = ?7, result = ?8, since = ?9
         WHERE id = ?1",
    )?
    .execute(params![
        import.id,
        import.phase as i64,
        import.process,
        import.polls,
        import.next_at,
        import.position as i64,
        reports,
        import.result,
        import.since
    ])?;
    Ok(())
}

/// Takes an action into an import, before it is sent.
pub fn take(tx: &Transaction<'_>, import: i64, action: i64, now: Millis) -> Result<(), StoreError> {
    outbox::take(tx, action, now)?;
    tx.prepare_cached("UPDATE action SET import = ?2 WHERE id = ?1")?.execute([action, import])?;
    Ok(())
}

/// An action of an import leaves it, whatever becomes of it.
pub fn leave(tx: &Transaction<'_>, action: i64) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE action SET import = NULL WHERE id = ?1")?.execute([action])?;
    Ok(())
}

/// Some of the actions that are still in the import, in the order of the lanes.
pub fn actions(
    tx: &Transaction<'_>,
    import: i64,
    after: i64,
    limit: usize,
) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.import = ?1 AND a.import IS NOT NULL AND a.state = 1 AND a.id > ?2
         ORDER BY a.id LIMIT ?3",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![import, after, limit as i64], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An action doesn't ride in imports (any more).
pub fn go_alone(tx: &Transaction<'_>, action: i64, class: Class) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE action SET class = ?2 WHERE id = ?1")?
        .execute(params![action, class as i64])?;
    Ok(())
}

/// How many contacts wait that may ride in an import, counted up to a limit.
pub fn waiting(
    tx: &Transaction<'_>,
    destination: DestinationId,
    now: Millis,
    limit: usize,
) -> Result<usize, StoreError> {
    let count: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM action WHERE destination = ?1 AND class = ?2
                AND name = 'brevo/upsert-contact' AND state = 0 AND due_at IS NOT NULL AND due_at <= ?3 LIMIT ?4)",
        )?
        .query_row(params![destination.0, Class::Bulk as i64, now, limit as i64], |row| row.get(0))?;
    Ok(count as usize)
}

/// After a start nobody knows whether the call of an import was made.
pub fn recover(tx: &Transaction<'_>, destination: DestinationId, at: Millis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE import SET next_at = max(next_at, ?2) WHERE destination = ?1 AND state = 0",
        params![destination.0, at],
    )?;
    Ok(())
}
