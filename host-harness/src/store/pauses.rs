//! Keys that a vendor refuses: what stands still because of them, and until when.
//!
//! A refused key stops every job that needs its slot; a missing permission stops the one resource
//! that needs it, because others may do without (design rule 12: each is told apart). Nothing else
//! stops. Now and then, and whenever the key was replaced, one job is let through to find out; once
//! its page is committed, all go on from where they stand.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;

use super::StoreError;
use super::dead_letters::{self, Actor, NewDeadLetter};
use super::installations::{Installation, InstallationId};
use super::jobs::Job;
use crate::contract::SyncMode;
use crate::world::Millis;

/// A pause, as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyPause {
    #[serde(skip)]
    id: i64,
    /// Whose it is.
    #[serde(skip)]
    pub installation: InstallationId,
    /// The slot whose key is refused.
    pub slot: String,
    /// The permission that is missing; nothing: the key itself is refused.
    pub scope: Option<String>,
    /// Resources that stand still.
    pub resources: Vec<String>,
    /// Stable code.
    pub code: String,
    /// Who must act.
    pub actor: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// When it began.
    pub since: Millis,
    /// When the key is tried again, if it is not replaced before.
    pub retry_at: Millis,
    #[serde(skip)]
    retries: u32,
    #[serde(skip)]
    letter: i64,
}

/// Why a job has to wait.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Slot of the key.
    pub slot: &'a str,
    /// The permission that is missing; nothing where the key itself is refused.
    pub scope: Option<&'a str>,
    /// Stable code.
    pub code: &'a str,
    /// What happened, one sentence.
    pub message: &'a str,
    /// What to do, one sentence.
    pub remedy: &'a str,
}

/// True where a pause `p` holds up a row of `job`.
const HOLDS: &str = "p.installation = job.installation AND (p.probe IS NULL OR p.probe <> job.id)
                     AND EXISTS (SELECT 1 FROM json_each(p.resources) WHERE value = job.resource)";

/// SQL that is true for a row of `job` that no pause holds up.
pub(super) fn free() -> String {
    format!("NOT EXISTS (SELECT 1 FROM key_pause AS p WHERE {HOLDS})")
}

/// SQL for the slot of a pause that holds up a row of `job`, or null.
pub(crate) fn waits_for() -> String {
    format!("(SELECT p.slot FROM key_pause AS p WHERE {HOLDS} LIMIT 1)")
}

/// Begins a pause because of this job, or goes on with the one that there is. One dead letter is
/// written for a pause, however often the key is tried again in vain.
pub fn pause(
    tx: &Transaction<'_>,
    installation: &Installation,
    job: &Job,
    refused: &Refused<'_>,
    retry_after: impl FnOnce(u32) -> Millis,
    now: Millis,
) -> Result<(), StoreError> {
    let resource = refused.scope.map(|_| job.resource.as_str());
    if resource.is_some() {
        // A key that may not do this is a key that is known.
        for pause in of_probe(tx, job)? {
            if pause.slot == refused.slot && pause.scope.is_none() {
                end(tx, &pause, now)?;
            }
        }
    }
    let found = tx
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM key_pause WHERE installation = ?1 AND slot = ?2 AND resource IS ?3"
        ))?
        .query_row(params![installation.id.0, refused.slot, resource], read)
        .optional()?
        .transpose()?;
    let letter = match &found {
        // A requeue closes the letter: what happens after it is news.
        Some(pause) if is_open(tx, pause.letter)? => pause.letter,
        _ => letter(tx, installation, job, refused, now)?,
    };
    let retries = found.as_ref().map_or(0, |pause| pause.retries + 1);
    let retry_at = now + retry_after(retries);
    let resources = concerned(installation, refused.slot, resource, Some(&job.resource));
    match found {
        Some(pause) => tx.execute(
            "UPDATE key_pause SET resources = ?2, scope = ?3, code = ?4, message = ?5, remedy = ?6,
                    retry_at = ?7, retries = ?8, letter = ?9, probe = NULL WHERE id = ?1",
            params![
                pause.id,
                encode(&resources)?,
                refused.scope,
                refused.code,
                refused.message,
                refused.remedy,
                retry_at,
                retries,
                letter
            ],
        )?,
        None => tx.execute(
            "INSERT INTO key_pause (installation, slot, resource, resources, scope, code, actor, message,
                                    remedy, since, retry_at, letter)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                installation.id.0,
                refused.slot,
                resource,
                encode(&resources)?,
                refused.scope,
                refused.code,
                Actor::Tenant.as_str(),
                refused.message,
                refused.remedy,
                now,
                retry_at,
                letter
            ],
        )?,
    };
    // Whatever else this job was let through for did not come through either.
    tx.execute("UPDATE key_pause SET probe = NULL WHERE probe = ?1", [job.id])?;
    Ok(())
}

/// Every pause, oldest first.
pub fn all(tx: &Transaction<'_>) -> Result<Vec<KeyPause>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM key_pause ORDER BY id"))?;
    let rows = statement.query_map([], read)?;
    rows.map(|row| row?).collect()
}

/// The pauses of an installation, oldest first.
pub fn of(tx: &Transaction<'_>, installation: InstallationId) -> Result<Vec<KeyPause>, StoreError> {
    Ok(all(tx)?.into_iter().filter(|pause| pause.installation == installation).collect())
}

/// When the next key is tried again, if one is refused.
pub fn next_retry(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    Ok(tx.prepare_cached("SELECT min(retry_at) FROM key_pause")?.query_row([], |row| row.get(0))?)
}

/// Lets one waiting job through to find out whether the key is right now. Where nothing waits, the
/// pause is over. A key that was `replaced` has all its tries before it.
pub fn let_one_through(
    tx: &Transaction<'_>,
    pause: &KeyPause,
    replaced: bool,
    retry_at: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    // First what waits for the key, then what is due next. What was put aside for another reason
    // stays put aside.
    let job: Option<i64> = tx
        .prepare_cached(
            "SELECT job.id FROM job, key_pause AS p
             WHERE p.id = ?1 AND job.installation = p.installation AND job.running = 0
               AND EXISTS (SELECT 1 FROM json_each(p.resources) WHERE value = job.resource)
               AND (job.due_at IS NOT NULL OR (job.result = 'failed' AND job.code = p.code))
             ORDER BY coalesce(job.result = 'failed' AND job.code = p.code, 0) DESC, job.due_at, job.id LIMIT 1",
        )?
        .query_row([pause.id], |row| row.get(0))
        .optional()?;
    let Some(job) = job else { return end(tx, pause, now) };
    tx.execute(
        "UPDATE key_pause SET retry_at = ?2, retries = CASE WHEN ?3 THEN 0 ELSE retries END WHERE id = ?1",
        params![pause.id, retry_at, replaced],
    )?;
    let_through(tx, job)?;
    tx.execute("UPDATE job SET due_at = min(coalesce(due_at, ?2), ?2) WHERE id = ?1", params![job, now])?;
    Ok(())
}

/// Lets a job through whatever pauses hold it up: an operator asked for it, or it finds out.
pub(super) fn let_through(tx: &Transaction<'_>, job: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE key_pause SET probe = ?1 WHERE installation = (SELECT installation FROM job WHERE id = ?1)
         AND EXISTS (SELECT 1 FROM json_each(resources) JOIN job ON value = job.resource WHERE job.id = ?1)",
    )?
    .execute([job])?;
    Ok(())
}

/// A page of this job was committed: what it was let through for is over, and all go on.
pub fn came_through(tx: &Transaction<'_>, job: &Job, now: Millis) -> Result<(), StoreError> {
    for pause in of_probe(tx, job)? {
        tracing::info!(slot = pause.slot, "the key is accepted again; what stood still goes on");
        end(tx, &pause, now)?;
    }
    Ok(())
}

/// A new start of the host may have brought a new key, and other resources: every pause is tried
/// again at once.
pub fn after_start(tx: &Transaction<'_>, installation: &Installation, now: Millis) -> Result<(), StoreError> {
    for pause in of(tx, installation.id)? {
        let only = pause.scope.as_ref().and(pause.resources.first()).map(String::as_str);
        let resources = concerned(installation, &pause.slot, only, None);
        if resources.is_empty() {
            end(tx, &pause, now)?;
            continue;
        }
        tx.execute(
            "UPDATE key_pause SET resources = ?2, retry_at = ?3, retries = 0, probe = NULL WHERE id = ?1",
            params![pause.id, encode(&resources)?, now],
        )?;
    }
    Ok(())
}

/// What stands still: the resource alone where one is named, else all that need the slot and `also`.
fn concerned(
    installation: &Installation,
    slot: &str,
    resource: Option<&str>,
    also: Option<&str>,
) -> Vec<String> {
    let known = |name: &str| installation.profile.resources.iter().any(|spec| spec.name == name);
    if let Some(resource) = resource {
        return if known(resource) { vec![resource.to_owned()] } else { Vec::new() };
    }
    let needs = installation.profile.resources.iter().filter(|spec| {
        let slot = spec.mode != SyncMode::Check && spec.slot.as_deref() == Some(slot);
        slot || also == Some(spec.name.as_str())
    });
    needs.map(|spec| spec.name.clone()).collect()
}

/// Ends a pause: its letter is closed, and what waited goes on at once.
fn end(tx: &Transaction<'_>, pause: &KeyPause, now: Millis) -> Result<(), StoreError> {
    tx.execute("DELETE FROM key_pause WHERE id = ?1", [pause.id])?;
    dead_letters::close(tx, pause.letter, false, now)?;
    tx.execute(
        "UPDATE job SET due_at = ?3, attempts = 0
         WHERE installation = ?1 AND running = 0 AND due_at IS NULL AND result = 'failed' AND code = ?2
           AND resource IN (SELECT value FROM json_each(?4))",
        params![pause.installation.0, pause.code, now, encode(&pause.resources)?],
    )?;
    Ok(())
}

fn letter(
    tx: &Transaction<'_>,
    installation: &Installation,
    job: &Job,
    refused: &Refused<'_>,
    now: Millis,
) -> Result<i64, StoreError> {
    let letter = NewDeadLetter {
        installation: installation.id.0,
        stage: "read",
        code: refused.code,
        actor: Actor::Tenant,
        message: refused.message,
        remedy: refused.remedy,
        journal: None,
        pointer: Some(&job.resource),
        record: None,
        action: None,
    };
    dead_letters::insert(tx, &letter, now)
}

fn is_open(tx: &Transaction<'_>, letter: i64) -> Result<bool, StoreError> {
    Ok(dead_letters::get(tx, letter)?.is_some_and(|letter| letter.state == "open"))
}

fn of_probe(tx: &Transaction<'_>, job: &Job) -> Result<Vec<KeyPause>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM key_pause WHERE probe = ?1"))?;
    let rows = statement.query_map([job.id], read)?;
    rows.map(|row| row?).collect()
}

const COLUMNS: &str = "id, installation, slot, scope, resources, code, actor, message, remedy, since, \
                       retry_at, retries, letter";

fn read(row: &Row<'_>) -> rusqlite::Result<Result<KeyPause, StoreError>> {
    let resources: String = row.get(4)?;
    let Ok(resources) = serde_json::from_str(&resources) else {
        return Ok(Err(StoreError::Unreadable("key_pause.resources")));
    };
    Ok(Ok(KeyPause {
        id: row.get(0)?,
        installation: InstallationId(row.get(1)?),
        slot: row.get(2)?,
        scope: row.get(3)?,
        resources,
        code: row.get(5)?,
        actor: row.get(6)?,
        message: row.get(7)?,
        remedy: row.get(8)?,
        since: row.get(9)?,
        retry_at: row.get(10)?,
        retries: row.get(11)?,
        letter: row.get(12)?,
    }))
}

fn encode(resources: &[String]) -> Result<String, StoreError> {
    serde_json::to_string(resources).map_err(|_| StoreError::Unreadable("key_pause.resources"))
}
