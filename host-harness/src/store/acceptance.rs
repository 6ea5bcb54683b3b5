//! Which records are news (design rule 3).
//!
//! An event id is accepted once. A state observation is accepted once and compared with the
//! current content only, so that A, B, A is three changes; one that is older than the current is
//! superseded. An event that is older than the dedupe horizon is refused, so that pruning this
//! ledger lets none in again. A state may be as old as it likes: a contact that has not changed for
//! years is still a contact, and an observation that the ledger forgot is compared with the current
//! content all the same.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{Digest, StoreError};
use crate::contract::{Nature, Record};
use crate::world::Millis;

/// When a record happened, as far as the host trusts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedTime {
    /// The vendor's time where it is trusted, otherwise the time of arrival.
    pub at: Millis,
    /// False where `at` is only the time of arrival.
    pub trusted: bool,
}

/// What acceptance says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An event seen for the first time.
    NewEvent,
    /// A state whose content differs from the current; it is the current now.
    NewRevision(i64),
    /// A new observation of the content that is current already.
    Unchanged,
    /// A new observation that is older than the current; it stays history.
    Superseded,
    /// This event or this observation was accepted before.
    Duplicate,
    /// An event older than the dedupe horizon.
    BeyondHorizon,
}

/// Takes a record into the ledger and says what it is.
pub fn accept(
    tx: &Transaction<'_>,
    installation: Digest,
    record: &Record,
    time: TrustedTime,
    horizon: Millis,
) -> Result<Verdict, StoreError> {
    if record.nature == Nature::Event && time.at < horizon {
        return Ok(Verdict::BeyondHorizon);
    }
    let id = record.id.as_bytes();
    let observed = match record.nature {
        Nature::Event => Digest::of(&[&installation.0, id]),
        Nature::State => Digest::of(&[&installation.0, id, record.observation.id.as_bytes()]),
    };
    let inserted = tx
        .prepare_cached("INSERT INTO accepted (key, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![observed.0, time.at])?;
    if inserted == 0 {
        return Ok(Verdict::Duplicate);
    }
    match record.nature {
        Nature::Event => Ok(Verdict::NewEvent),
        Nature::State => accept_state(tx, Digest::of(&[&installation.0, id]), record, time),
    }
}

fn accept_state(
    tx: &Transaction<'_>,
    key: Digest,
    record: &Record,
    time: TrustedTime,
) -> Result<Verdict, StoreError> {
    let content = content_digest(record);
    let observation = Digest::of(&[record.observation.id.as_bytes()]);
    let order = (time.at, i64::from(record.observation.rank), observation.0.to_vec());
    let current = tx
        .prepare_cached("SELECT revision, content, at, rank, observation FROM state WHERE key = ?1")?
        .query_row([key.0], |row| {
            let order = (row.get::<_, Millis>(2)?, row.get::<_, i64>(3)?, row.get::<_, Vec<u8>>(4)?);
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, order))
        })
        .optional()?;
    let (revision, verdict) = match current {
        None => (1, Verdict::NewRevision(1)),
        Some((_, _, current)) if order < current => return Ok(Verdict::Superseded),
        Some((revision, same, _)) if same == content.0 => (revision, Verdict::Unchanged),
        Some((revision, _, _)) => (revision + 1, Verdict::NewRevision(revision + 1)),
    };
    tx.prepare_cached(
        "INSERT INTO state (key, revision, content, at, rank, observation) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (key) DO UPDATE SET revision = ?2, content = ?3, at = ?4, rank = ?5, observation = ?6",
    )?
    .execute(params![key.0, revision, content.0, order.0, order.1, order.2])?;
    Ok(verdict)
}

/// Notes where the content is kept that is the current one of a state.
pub fn kept_in(
    tx: &Transaction<'_>,
    installation: Digest,
    record: &Record,
    batch: i64,
    position: usize,
) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE state SET batch = ?2, position = ?3 WHERE key = ?1")?.execute(params![
        state_key(installation, record).0,
        batch,
        position as i64
    ])?;
    Ok(())
}

/// The state's revision, where the record that is kept there is its current content. Of a state that
/// was accepted before this was noted it is the record of the same observation and content.
pub fn current(
    tx: &Transaction<'_>,
    installation: Digest,
    record: &Record,
    batch: i64,
    position: usize,
) -> Result<Option<i64>, StoreError> {
    let observation = Digest::of(&[record.observation.id.as_bytes()]);
    Ok(tx
        .prepare_cached(
            "SELECT revision FROM state WHERE key = ?1
               AND ((batch = ?2 AND position = ?3) OR (batch IS NULL AND observation = ?4 AND content = ?5))",
        )?
        .query_row(
            params![
                state_key(installation, record).0,
                batch,
                position as i64,
                observation.0,
                content_digest(record).0
            ],
            |row| row.get(0),
        )
        .optional()?)
}

/// Gives a state's content, which stays the same, the next revision.
pub fn revise(tx: &Transaction<'_>, installation: Digest, record: &Record) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE state SET revision = revision + 1 WHERE key = ?1")?.execute([state_key(
        installation,
        record,
    )
    .0])?;
    Ok(())
}

fn state_key(installation: Digest, record: &Record) -> Digest {
    Digest::of(&[&installation.0, record.id.as_bytes()])
}

/// Content that a change is measured by: the body and the names of the subject. Key order of the
/// body is the guest's, which is deterministic.
fn content_digest(record: &Record) -> Digest {
    // A subject always serialises: it holds only strings.
    let subject = serde_json::to_vec(&record.subject).unwrap_or_default();
    Digest::of(&[record.body.as_bytes(), &subject])
}
