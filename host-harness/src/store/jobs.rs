//! Due work and cursors: one row for each resource, each extra job and each backfill.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::installations::{Installation, InstallationId};
use super::{Digest, StoreError, pauses};
use crate::contract::{self, Cursor, SyncMode};
use crate::quotas::Quotas;
use crate::world::Millis;

/// Where a job starts to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Where the resource's cursor stands.
    Cursor,
    /// At a cursor of its own.
    At(Cursor),
    /// A backfill of what happened from the first instant up to, not including, the second.
    Window(Millis, Millis),
}

/// A job that is due.
#[derive(Clone, Debug)]
pub struct Job {
    /// Row id.
    pub id: i64,
    /// Whose it is.
    pub installation: InstallationId,
    /// `resource:<name>`, `job:<guest key>` or `backfill:<resource>`.
    pub key: String,
    /// A resource of the profile.
    pub resource: String,
    /// Where it starts.
    pub start: Start,
    /// Digest of the source settings that its own cursor was made under; none before it has one.
    pub source: Option<Digest>,
    /// How often it was claimed since it last came through, this time included.
    pub attempts: u32,
    /// How often in a row the host died while this was running.
    pub crashes: u32,
}

/// What a page adds to the account of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Records of the page, whatever became of them.
    pub records: u64,
    /// Parts that became no record.
    pub rejects: u64,
    /// Parts per million of the run that are done, if the connector says so.
    pub progress: Option<u32>,
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
             ON CONFLICT (installation, key) DO UPDATE SET due_at = coalesce(due_at, ?5)",
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
    tx.execute(
        "UPDATE job SET running = 0, crashes = crashes + 1 WHERE installation = ?1 AND running = 1",
        [installation.id.0],
    )?;
    pauses::after_start(tx, installation, now)
}

/// How a resource's own run or a backfill of it ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRead {
    /// Whose it is.
    pub installation: InstallationId,
    /// What was read.
    pub resource: String,
    /// `complete`, `truncated`, `more` or `failed`; none: no page has ended.
    pub result: Option<String>,
    /// Why it was cut short or failed.
    pub code: Option<String>,
}

/// The last read of everything that is read.
pub fn last_reads(tx: &Transaction<'_>) -> Result<Vec<LastRead>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT installation, resource, result, code FROM job")?;
    let rows = statement.query_map([], |row| {
        let installation = InstallationId(row.get(0)?);
        Ok(LastRead { installation, resource: row.get(1)?, result: row.get(2)?, code: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// SQL for a row of `job` that may run: it doesn't, no other of its resource does, and no refused key
/// holds it up.
fn ready() -> String {
    let free = pauses::free();
    format!(
        "job.running = 0 AND NOT EXISTS (SELECT 1 FROM job AS other WHERE other.running = 1
           AND other.installation = job.installation AND other.resource = job.resource) AND {free}"
    )
}

/// Every installation that has a job which can run now, and since when the first of them is due.
pub fn waiting(tx: &Transaction<'_>, now: Millis) -> Result<Vec<(InstallationId, Millis)>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT installation, min(due_at) FROM job WHERE due_at IS NOT NULL AND due_at <= ?1 AND {} GROUP BY installation",
        ready()
    ))?;
    let rows = statement.query_map([now], |row| Ok((InstallationId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Claims the next due job of these installations that no refused key holds up; one job runs at a time
/// for each (installation, resource).
pub fn claim(
    tx: &Transaction<'_>,
    installations: &[InstallationId],
    now: Millis,
) -> Result<Option<Job>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT due_at, id FROM job WHERE installation = ?2 AND due_at IS NOT NULL AND due_at <= ?1 AND {}
         ORDER BY due_at, id LIMIT 1",
        ready()
    ))?;
    let mut first: Option<(Millis, i64)> = None;
    for installation in installations {
        let found = statement
            .query_row(params![now, installation.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        first = first.into_iter().chain(found).min();
    }
    drop(statement);
    let Some((_, id)) = first else { return Ok(None) };
    // After an end, or before any page, a new run begins, with an account of its own.
    tx.execute(
        "UPDATE job SET running = 0, started_at = ?2, pages = 0, records = 0, rejects = 0, progress = NULL
         WHERE id = ?1 AND coalesce(result, 'complete') IN ('complete', 'truncated')",
        params![id, now],
    )?;
    tx.execute("UPDATE job SET running = 1, attempts = attempts + 1 WHERE id = ?1", [id])?;
    let (position, source, mut job) = tx.query_row(
        "SELECT installation, key, resource, position, source, attempts, crashes FROM job WHERE id = ?1",
        [id],
        |row| {
            let job = Job {
                id,
                installation: InstallationId(row.get(0)?),
                key: row.get(1)?,
                resource: row.get(2)?,
                start: Start::Cursor,
                source: None,
                attempts: row.get(5)?,
                crashes: row.get(6)?,
            };
            Ok((row.get::<_, String>(3)?, row.get::<_, Option<Vec<u8>>>(4)?, job))
        },
    )?;
    job.start = serde_json::from_str(&position).map_err(|_| StoreError::Unreadable("job.position"))?;
    job.source = source.and_then(|blob| Digest::from_blob(&blob));
    Ok(Some(job))
}

/// When the next job is due, or a refused key is tried again, if either will be.
pub fn next_due(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    let sql = format!("SELECT min(due_at) FROM job WHERE running = 0 AND {}", pauses::free());
    let job: Option<Millis> = tx.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    Ok([job, pauses::next_retry(tx)?].into_iter().flatten().min())
}

/// Takes up at once whatever of a resource failed and no longer runs by itself. False where nothing
/// did.
pub fn resume(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let mut statement = tx.prepare_cached(
        "UPDATE job SET due_at = ?3, attempts = 0
         WHERE installation = ?1 AND resource = ?2 AND running = 0 AND due_at IS NULL AND result = 'failed'
         RETURNING id",
    )?;
    let rows = statement.query_map(params![installation.0, resource, now], |row| row.get(0))?;
    let jobs: Vec<i64> = rows.collect::<Result<_, _>>()?;
    for job in &jobs {
        pauses::let_through(tx, *job)?;
    }
    Ok(!jobs.is_empty())
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
        "UPDATE job SET running = 0, crashes = 0, due_at = ?2, attempts = ?3, finished_at = ?4, result = ?5, code = ?6
         WHERE id = ?1 AND running = 1",
        params![job.id, due, attempts, now, result.as_str(), code],
    )?;
    Ok(())
}

// A run can be given up while a page of it is read, and its row's number go to the next one. That
// one doesn't run yet, so whatever a page writes is written only to a row that runs.

/// Adds a page to the account of the run.
pub fn note_page(tx: &Transaction<'_>, job: &Job, read: Read) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE job SET pages = pages + 1, records = records + ?2, rejects = rejects + ?3,
                progress = coalesce(?4, progress) WHERE id = ?1 AND running = 1",
        params![job.id, read.records as i64, read.rejects as i64, read.progress],
    )?;
    Ok(())
}

/// An extra job came to its end.
pub fn remove(tx: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    tx.execute("DELETE FROM job WHERE id = ?1", [job.id])?;
    Ok(())
}

/// Moves a job that has a cursor of its own on to a later one.
pub fn advance(
    tx: &Transaction<'_>,
    job: &Job,
    installation: &Installation,
    cursor: &Cursor,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE job SET position = ?2, source = ?3 WHERE id = ?1 AND running = 1",
        params![job.id, encode(&Start::At(cursor.clone()))?, installation.source.0],
    )?;
    Ok(())
}

/// Takes in a job that a guest asked for; one with the same key is replaced.
pub fn enqueue(
    tx: &Transaction<'_>,
    installation: &Installation,
    job: &contract::schedule::Job,
) -> Result<(), StoreError> {
    let start = job.cursor.clone().map_or(Start::Cursor, Start::At);
    let source = job.cursor.as_ref().map(|_| installation.source.0);
    tx.execute(
        "INSERT INTO job (installation, key, resource, position, source, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (installation, key) DO UPDATE
         SET resource = ?3, position = ?4, source = ?5, due_at = ?6, attempts = 0",
        params![
            installation.id.0,
            format!("job:{}", job.key),
            job.resource,
            encode(&start)?,
            source,
            job.not_before
        ],
    )?;
    Ok(())
}

/// Whether an installation has no more extra jobs than it may.
pub fn within_quota(
    tx: &Transaction<'_>,
    installation: InstallationId,
    quotas: &Quotas,
) -> Result<(), StoreError> {
    let jobs: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM job WHERE installation = ?1 AND key >= 'job:' AND key < 'job;'",
        )?
        .query_row([installation.0], |row| row.get(0))?;
    if jobs.unsigned_abs() > quotas.jobs { Err(StoreError::JobsQuota) } else { Ok(()) }
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
