//! Runs that an operator asks for: a backfill, or a resource read now; and how far they are.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;

use super::installations::InstallationId;
use super::jobs::Start;
use super::{StoreError, pauses};
use crate::world::Millis;

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Resource that is read.
    pub resource: String,
    /// When it began; nothing: it has not begun.
    pub started_at: Option<Millis>,
    /// When its last page ended.
    pub finished_at: Option<Millis>,
    /// `complete`, `truncated`, `more` or `failed`; nothing: no page has ended.
    pub result: Option<String>,
    /// Why it was cut short or failed.
    pub code: Option<String>,
    /// Pages that were committed.
    pub pages: i64,
    /// Records on them, whatever became of them.
    pub records: i64,
    /// Parts that became no record.
    pub rejects: i64,
    /// Parts per million that are done, if the connector says so.
    pub progress: Option<i64>,
    /// Next page; nothing: it goes on no more by itself.
    pub due_at: Option<Millis>,
    /// Whether a page is being read now.
    pub running: bool,
    /// Slot of the refused key that holds it up.
    pub waits_for_key: Option<String>,
}

impl Run {
    /// True where everything was read, the run was cut short, or it waits for a person.
    pub fn is_over(&self) -> bool {
        let ended = matches!(self.result.as_deref(), Some("complete" | "truncated"));
        let put_aside = self.result.as_deref() == Some("failed") && self.due_at.is_none();
        !self.running && (ended || put_aside || self.waits_for_key.is_some())
    }
}

/// Why a run was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// One of the same kind is not over yet.
    UnderWay,
    /// There is none that could be taken up or given up.
    NoSuchRun,
}

/// Key of a resource's backfill.
pub fn backfill_key(resource: &str) -> String {
    format!("backfill:{resource}")
}

/// Key of a resource's ordinary run.
pub fn resource_key(resource: &str) -> String {
    format!("resource:{resource}")
}

/// The run of this key.
pub fn get(tx: &Transaction<'_>, installation: InstallationId, key: &str) -> Result<Option<Run>, StoreError> {
    Ok(tx
        .prepare_cached(&format!(
            "SELECT resource, started_at, finished_at, result, code, pages, records, rejects, progress,
                    due_at, running, {}
             FROM job WHERE installation = ?1 AND key = ?2",
            pauses::waits_for()
        ))?
        .query_row(params![installation.0, key], |row| {
            Ok(Run {
                resource: row.get(0)?,
                started_at: row.get(1)?,
                finished_at: row.get(2)?,
                result: row.get(3)?,
                code: row.get(4)?,
                pages: row.get(5)?,
                records: row.get(6)?,
                rejects: row.get(7)?,
                progress: row.get(8)?,
                due_at: row.get(9)?,
                running: row.get(10)?,
                waits_for_key: row.get(11)?,
            })
        })
        .optional()?)
}

/// Begins a backfill of `[from, to)`, unless one of the resource is not over yet.
pub fn begin_backfill(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    window: (Millis, Millis),
    now: Millis,
) -> Result<Result<(), Refused>, StoreError> {
    let key = backfill_key(resource);
    if let Some(run) = get(tx, installation, &key)?
        && !matches!(run.result.as_deref(), Some("complete" | "truncated"))
    {
        return Ok(Err(Refused::UnderWay));
    }
    begin(tx, installation, &key, resource, &Start::Window(window.0, window.1), now)?;
    Ok(Ok(()))
}

/// Takes up a backfill that failed, where it stopped. One that is being read goes on as it is.
pub fn resume_backfill(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    now: Millis,
) -> Result<Result<(), Refused>, StoreError> {
    let changed = tx.execute(
        "UPDATE job SET due_at = CASE running WHEN 0 THEN ?3 ELSE due_at END, attempts = 0
         WHERE installation = ?1 AND key = ?2 AND coalesce(result, 'more') NOT IN ('complete', 'truncated')",
        params![installation.0, backfill_key(resource), now],
    )?;
    let_through(tx, installation, &backfill_key(resource))?;
    Ok(if changed > 0 { Ok(()) } else { Err(Refused::NoSuchRun) })
}

/// Gives up a backfill. What it has read stays; a page that is being read is still committed.
pub fn cancel_backfill(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
) -> Result<Result<(), Refused>, StoreError> {
    let changed = tx.execute(
        "DELETE FROM job WHERE installation = ?1 AND key = ?2",
        params![installation.0, backfill_key(resource)],
    )?;
    Ok(if changed > 0 { Ok(()) } else { Err(Refused::NoSuchRun) })
}

/// Reads a resource now: a run that is under way goes on at once, otherwise a new one begins where
/// the resource's cursor stands.
pub fn sync_now(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    now: Millis,
) -> Result<(), StoreError> {
    let key = resource_key(resource);
    let under_way = get(tx, installation, &key)?
        .is_some_and(|run| run.running || matches!(run.result.as_deref(), Some("more")));
    if under_way {
        tx.execute(
            "UPDATE job SET due_at = min(due_at, ?3) WHERE installation = ?1 AND key = ?2 AND running = 0",
            params![installation.0, key, now],
        )?;
        return let_through(tx, installation, &key);
    }
    begin(tx, installation, &key, resource, &Start::Cursor, now)
}

/// Reads a resource from its beginning, now: where its cursor stood is forgotten. Not while a page of
/// it is being read, which would bring the cursor back.
pub fn sync_anew(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    now: Millis,
) -> Result<Result<(), Refused>, StoreError> {
    let key = resource_key(resource);
    if get(tx, installation, &key)?.is_some_and(|run| run.running) {
        return Ok(Err(Refused::UnderWay));
    }
    tx.execute(
        "DELETE FROM cursor WHERE installation = ?1 AND resource = ?2",
        params![installation.0, resource],
    )?;
    begin(tx, installation, &key, resource, &Start::Cursor, now)?;
    Ok(Ok(()))
}

/// An operator asks for this run: it finds out whether a refused key is right by now.
fn let_through(tx: &Transaction<'_>, installation: InstallationId, key: &str) -> Result<(), StoreError> {
    let sql = "SELECT id FROM job WHERE installation = ?1 AND key = ?2";
    let job = tx.query_row(sql, params![installation.0, key], |row| row.get(0)).optional()?;
    job.map_or(Ok(()), |job| pauses::let_through(tx, job))
}

fn begin(
    tx: &Transaction<'_>,
    installation: InstallationId,
    key: &str,
    resource: &str,
    start: &Start,
    now: Millis,
) -> Result<(), StoreError> {
    let position = serde_json::to_string(start).map_err(|_| StoreError::Unreadable("job.position"))?;
    tx.execute(
        "INSERT INTO job (installation, key, resource, position, due_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (installation, key) DO UPDATE
         SET resource = ?3, position = ?4, source = NULL, due_at = ?5, attempts = 0, finished_at = NULL,
             result = NULL, code = NULL, started_at = NULL, pages = 0, records = 0, rejects = 0, progress = NULL",
        params![installation.0, key, resource, position, now],
    )?;
    let_through(tx, installation, key)
}
