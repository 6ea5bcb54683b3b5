//! Mapping every current state again: how far it is, and what it came to.
//!
//! Batches are gone through in the order in which they came, and in each only the records that are
//! the current content of their state count. A slice is mapped and committed whole, together with
//! its place here, so that a host that ends in the middle goes on where it stopped.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::batches::{self, Kept};
use super::installations::{Installation, InstallationId};
use super::{Digest, StoreError, acceptance};
use crate::contract::Nature;
use crate::world::Millis;

/// Records in one slice, and batches that are looked through for them.
const SLICE: usize = 1_000;
const BATCHES: usize = 64;

/// One mapping again, under way or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Whose states.
    pub installation: InstallationId,
    /// Digest of component and settings that it maps with.
    pub mapping: Digest,
    /// Batch and place in it that were looked at last.
    pub place: (i64, i64),
    /// Last batch to look at.
    pub last_batch: i64,
    /// When it was begun.
    pub started_at: Millis,
    /// When it ended; nothing: it is under way.
    pub finished_at: Option<Millis>,
    /// Why it stopped before its end.
    pub code: Option<String>,
    /// What it came to so far.
    pub counts: Counts,
}

/// What became of the states.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Current states that were mapped again.
    pub states: u64,
    /// Of them those that call for something that they did not call for before.
    pub changed: u64,
    /// Actions that are new in the outbox because of it, held ones too.
    pub actions: u64,
    /// States that are in quarantine: they are mapped when they are requeued.
    pub quarantined: u64,
    /// States that can't be mapped or admitted with these settings, by code. They stay as they were.
    pub failed: BTreeMap<String, u64>,
}

/// A part of the work.
#[derive(Debug, Default)]
pub struct Slice {
    /// Current states, with their places.
    pub states: Vec<State>,
    /// States that were passed over because they are in quarantine.
    pub quarantined: u64,
    /// Where the next slice begins.
    pub place: (i64, i64),
    /// Nothing is left after it.
    pub last: bool,
}

/// A current state.
#[derive(Clone, Debug)]
pub struct State {
    /// Batch that keeps it.
    pub batch: i64,
    /// Its place there.
    pub position: usize,
    /// Its revision when it was read.
    pub revision: i64,
    /// The record.
    pub kept: Kept,
}

/// Digest of what an installation maps with now: its component and its settings.
pub fn mapping_of(tx: &Transaction<'_>, installation: InstallationId) -> Result<Digest, StoreError> {
    let (component, settings): (Vec<u8>, Vec<u8>) = tx.query_row(
        "SELECT component, settings FROM installation WHERE id = ?1",
        [installation.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(Digest::of(&[&component, &settings]))
}

/// Begins to map everything again, or takes up what is under way or stopped early. One that was begun
/// with another mapping begins anew.
pub fn begin(tx: &Transaction<'_>, installation: InstallationId, now: Millis) -> Result<(), StoreError> {
    let mapping = mapping_of(tx, installation)?;
    if let Some(known) = get(tx, installation)?
        && known.mapping == mapping
        && (known.finished_at.is_none() || known.code.is_some())
    {
        tx.execute(
            "UPDATE remap SET finished_at = NULL, code = NULL WHERE installation = ?1",
            [installation.0],
        )?;
        return Ok(());
    }
    restart(tx, installation, mapping, now)
}

/// Begins from the first batch with this mapping.
pub fn restart(
    tx: &Transaction<'_>,
    installation: InstallationId,
    mapping: Digest,
    now: Millis,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO remap (installation, mapping, last_batch, started_at)
         VALUES (?1, ?2, (SELECT coalesce(max(id), 0) FROM batch), ?3)",
        params![installation.0, mapping.0, now],
    )?;
    Ok(())
}

/// The one of an installation, under way or over.
pub fn get(tx: &Transaction<'_>, installation: InstallationId) -> Result<Option<Remap>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM remap WHERE installation = ?1");
    tx.prepare_cached(&sql)?.query_row([installation.0], from_row).optional()?.transpose()
}

/// All that are under way.
pub fn under_way(tx: &Transaction<'_>) -> Result<Vec<Remap>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM remap WHERE finished_at IS NULL ORDER BY installation");
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([], from_row)?;
    rows.map(|row| row?).collect()
}

/// Every installation that is being mapped again, and since when.
pub fn waiting(tx: &Transaction<'_>) -> Result<Vec<(InstallationId, Millis)>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT installation, started_at FROM remap WHERE finished_at IS NULL")?;
    let rows = statement.query_map([], |row| Ok((InstallationId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// States whose content is not kept, of every connector of this store: they were accepted by a host
/// that did not keep it. Their next change is mapped as always.
pub fn without_content(tx: &Transaction<'_>) -> Result<i64, StoreError> {
    Ok(tx.query_row("SELECT count(*) FROM state WHERE batch IS NULL", [], |row| row.get(0))?)
}

/// The next part of the work.
pub fn slice(tx: &Transaction<'_>, remap: &Remap, installation: &Installation) -> Result<Slice, StoreError> {
    let quarantined = in_quarantine(tx, remap.installation)?;
    let ids: Vec<i64> = tx
        .prepare_cached(
            "SELECT id FROM batch WHERE id >= ?1 AND id <= ?2 AND installation = ?3 ORDER BY id LIMIT ?4",
        )?
        .query_map(params![remap.place.0, remap.last_batch, remap.installation.0, BATCHES as i64], |row| {
            row.get(0)
        })?
        .collect::<Result<_, _>>()?;
    let mut slice = Slice { place: remap.place, last: ids.len() < BATCHES, ..Slice::default() };
    for batch in ids {
        for (position, kept) in batches::all(tx, batch)?.into_iter().enumerate() {
            let place = (batch, position as i64);
            let Some(kept) = kept else { continue }; // erased
            if place <= remap.place || kept.record.nature != Nature::State {
                continue;
            }
            if slice.states.len() >= SLICE {
                slice.last = false;
                return Ok(slice);
            }
            slice.place = place;
            let current = acceptance::current(tx, installation.key, &kept.record, batch, position)?;
            match current {
                Some(_) if quarantined.contains(&place) => slice.quarantined += 1,
                Some(revision) => slice.states.push(State { batch, position, revision, kept }),
                None => {}
            }
        }
        slice.place = slice.place.max((batch, i64::MAX));
    }
    Ok(slice)
}

/// Writes down how far it is.
pub fn advance(
    tx: &Transaction<'_>,
    remap: &Remap,
    place: (i64, i64),
    counts: &Counts,
    finished_at: Option<Millis>,
    code: Option<&str>,
) -> Result<(), StoreError> {
    let counts = serde_json::to_string(counts).map_err(|_| StoreError::Unreadable("remap.counts"))?;
    let changed = tx.execute(
        "UPDATE remap SET batch = ?3, position = ?4, counts = ?5, finished_at = ?6, code = ?7
         WHERE installation = ?1 AND mapping = ?2 AND batch = ?8 AND position = ?9",
        params![
            remap.installation.0,
            remap.mapping.0,
            place.0,
            place.1,
            counts,
            finished_at,
            code,
            remap.place.0,
            remap.place.1
        ],
    )?;
    // Somebody else took this step, or began anew.
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Places of records that wait in quarantine.
fn in_quarantine(
    tx: &Transaction<'_>,
    installation: InstallationId,
) -> Result<BTreeSet<(i64, i64)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT batch, position FROM dead_letter WHERE installation = ?1 AND state = 'open'
           AND stage = 'map' AND batch IS NOT NULL AND position IS NOT NULL
         UNION ALL
         SELECT batch, position FROM dead_letter WHERE state = 'requeued' AND installation = ?1
           AND stage = 'map' AND batch IS NOT NULL AND position IS NOT NULL",
    )?;
    let rows = statement.query_map([installation.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const COLUMNS: &str =
    "installation, mapping, batch, position, last_batch, started_at, finished_at, code, counts";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Result<Remap, StoreError>> {
    let counts: String = row.get(8)?;
    let Ok(counts) = serde_json::from_str(&counts) else {
        return Ok(Err(StoreError::Unreadable("remap.counts")));
    };
    Ok(Ok(Remap {
        installation: InstallationId(row.get(0)?),
        mapping: Digest(row.get(1)?),
        place: (row.get(2)?, row.get(3)?),
        last_batch: row.get(4)?,
        started_at: row.get(5)?,
        finished_at: row.get(6)?,
        code: row.get(7)?,
        counts,
    }))
}
