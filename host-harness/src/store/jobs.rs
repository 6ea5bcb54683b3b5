//! Due work and cursors: one row for each resource, one for each extra job.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::installations::{Installation, InstallationId};
use super::{Digest, StoreError};
use crate::contract::{self, Cursor, SyncMode};
use crate::world::Millis;

/// Where a job starts to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Where the resource's cursor stands.
    Cursor,
    /// At a cursor of its own.
    At(Cursor),
}

/// A job that is due.
#[derive(Clone, Debug)]
pub struct Job {
    /// Row id.
    pub id: i64,
    /// Whose it is.
    pub installation: InstallationId,
    /// `resource:<name>` or `job:<guest key>`.
    pub key: String,
    /// A resource of the profile.
    pub resource: String,
    /// Where it starts.
    pub start: Start,
    /// How often it was claimed since it last came through, this time included.
    pub attempts: u32,
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunResult {
    /// Everything was read.
    Complete,
    /// Cut short, for a reason that is shown.
    Truncated,
    /// There is more to read.
    More,
    /// It failed, with a code that is shown.
    Failed,
}

impl RunResult {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::More => "more",
            Self::Failed => "failed",
        }
    }
}

/// Makes sure that every resource with a cadence has its row, and takes up again what waited for
/// a person (a new start may have brought a new key).
pub fn ensure(tx: &Transaction<'_>, installation: &Installation, now: Millis) -> Result<(), StoreError> {
    for resource in &installation.profile.resources {
        if resource.mode == SyncMode::Check || resource.cadence == 0 {
            continue;
        }
        tx.execute(
            "INSERT INTO job (installation, key, resource, position, due_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (installation, key) DO UPDATE SET running = 0, due_at = coalesce(due_at, ?5)",
            params![
                installation.id.0,
                format!("resource:{}", resource.name),
                resource.name,
                encode(&Start::Cursor)?,
                now
            ],
        )?;
    }
    // A host that died left its jobs marked as running.
    tx.execute("UPDATE job SET running = 0 WHERE installation = ?1", [installation.id.0])?;
    Ok(())
}

/// Claims the next due job; one job runs at a time for each (installation, resource).
pub fn claim(tx: &Transaction<'_>, now: Millis) -> Result<Option<Job>, StoreError> {
    let id: Option<i64> = tx
        .query_row(
            "SELECT id FROM job WHERE due_at <= ?1 AND running = 0 AND NOT EXISTS (
               SELECT 1 FROM job AS other WHERE other.running = 1
               AND other.installation = job.installation AND other.resource = job.resource)
             ORDER BY due_at, id LIMIT 1",
            [now],
            |row| row.get(0),
        )
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    tx.execute("UPDATE job SET running = 1, attempts = attempts + 1 WHERE id = ?1", [id])?;
    let (installation, key, resource, position, attempts) = tx.query_row(
        "SELECT installation, key, resource, position, attempts FROM job WHERE id = ?1",
        [id],
        |row| {
            Ok((InstallationId(row.get(0)?), row.get(1)?, row.get(2)?, row.get::<_, String>(3)?, row.get(4)?))
        },
    )?;
    let start = serde_json::from_str(&position).map_err(|_| StoreError::Unreadable("job.position"))?;
    Ok(Some(Job { id, installation, key, resource, start, attempts }))
}

/// When the next job is due, if one is.
pub fn next_due(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    Ok(tx.query_row("SELECT min(due_at) FROM job WHERE running = 0", [], |row| row.get(0))?)
}

/// Reads a resource again at once that no longer runs by itself. False where there is none.
pub fn resume(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "UPDATE job SET due_at = ?3, attempts = 0
         WHERE installation = ?1 AND resource = ?2 AND running = 0 AND due_at IS NULL",
        params![installation.0, resource, now],
    )?;
    Ok(changed > 0)
}

/// A run ended or paused: when it goes on (never by itself where nothing is given), and how it stands.
pub fn settle(
    tx: &Transaction<'_>,
    job: &Job,
    due: Option<Millis>,
    result: RunResult,
    code: Option<&str>,
    now: Millis,
) -> Result<(), StoreError> {
    let attempts = if result == RunResult::Failed { job.attempts } else { 0 };
    tx.execute(
        "UPDATE job SET running = 0, due_at = ?2, attempts = ?3, finished_at = ?4, result = ?5, code = ?6 WHERE id = ?1",
        params![job.id, due, attempts, now, result.as_str(), code],
    )?;
    Ok(())
}

/// An extra job came to its end.
pub fn remove(tx: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    tx.execute("DELETE FROM job WHERE id = ?1", [job.id])?;
    Ok(())
}

/// Moves an extra job on to a later cursor.
pub fn advance(tx: &Transaction<'_>, job: &Job, cursor: &Cursor) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE job SET position = ?2 WHERE id = ?1",
        params![job.id, encode(&Start::At(cursor.clone()))?],
    )?;
    Ok(())
}

/// Takes in a job that a guest asked for; one with the same key is replaced.
pub fn enqueue(
    tx: &Transaction<'_>,
    installation: InstallationId,
    job: &contract::schedule::Job,
) -> Result<(), StoreError> {
    let start = job.cursor.clone().map_or(Start::Cursor, Start::At);
    tx.execute(
        "INSERT INTO job (installation, key, resource, position, due_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (installation, key) DO UPDATE SET resource = ?3, position = ?4, due_at = ?5, attempts = 0",
        params![installation.0, format!("job:{}", job.key), job.resource, encode(&start)?, job.not_before],
    )?;
    Ok(())
}

/// A resource's cursor, if it was made under the same source settings.
pub fn cursor(
    tx: &Transaction<'_>,
    installation: InstallationId,
    source: Digest,
    resource: &str,
) -> Result<Option<Cursor>, StoreError> {
    Ok(tx
        .query_row(
            "SELECT version, bytes FROM cursor WHERE installation = ?1 AND resource = ?2 AND source = ?3",
            params![installation.0, resource, source.0],
            |row| Ok(Cursor { version: row.get(0)?, bytes: row.get(1)? }),
        )
        .optional()?)
}

/// Moves a resource's cursor, or drops it (the next run starts from the beginning).
pub fn set_cursor(
    tx: &Transaction<'_>,
    installation: &Installation,
    resource: &str,
    cursor: Option<&Cursor>,
) -> Result<(), StoreError> {
    match cursor {
        Some(cursor) => tx.execute(
            "INSERT INTO cursor (installation, resource, source, version, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (installation, resource) DO UPDATE SET source = ?3, version = ?4, bytes = ?5",
            params![installation.id.0, resource, installation.source.0, cursor.version, cursor.bytes],
        )?,
        None => tx.execute(
            "DELETE FROM cursor WHERE installation = ?1 AND resource = ?2",
            params![installation.id.0, resource],
        )?,
    };
    Ok(())
}

fn encode(start: &Start) -> Result<String, StoreError> {
    serde_json::to_string(start).map_err(|_| StoreError::Unreadable("job.position"))
}
