//! How long each table keeps its rows, and the pruning.
//!
//! | table | kept |
//! |---|---|
//! | `accepted` | the dedupe horizon; older events are refused at every door, older states are compared with the current content, so nothing gets in again |
//! | `action`, `effect` | closed rows: the dedupe horizon |
//! | `journal` | done: 7 days (the vendor's retries end after minutes); failed: 90 days |
//! | `batch` | 90 days, longer while an open action or dead letter points to it; what is the current content of a state then moves on to a new batch, so that it can always be mapped again |
//! | `dead_letter` | open: for ever; closed: 90 days |
//! | `state`, `person`, `identity`, `consent`, `membership`, `deletion`, `tombstone` | for ever: they are the current truth |
//! | `remap` | the last of each installation |
//! | `erasure` | until the next `people::tombstone::sweep`, which blanks what closed actions, batches and dead letters still hold of erased people |
//! | `installation`, `destination`, `list`, `cursor`, `job`, `kv`, `tally`, `rate`, `usage`, `host` | for ever: bounded by what is installed |

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Transaction, params};

use super::batches::{self, Kept};
use super::installations::{self, Installation};
use super::{StoreError, acceptance};
use crate::contract::{Nature, Subject};
use crate::people::tombstone;
use crate::world::Millis;

pub(crate) const DONE_WEBHOOKS: Duration = Duration::from_hours(7 * 24);
const SHOWN: Duration = Duration::from_hours(90 * 24);

/// Batches that are looked through in one transaction.
const SLICE: usize = 100;

/// Deletes what has outlived its use; returns how many rows went. `horizon` is the dedupe horizon.
/// Of batches it does one slice: go on with [`outlived_batches`].
pub fn prune(tx: &Transaction<'_>, now: Millis, horizon: Duration) -> Result<usize, StoreError> {
    let before = |age: Duration| now - age.as_millis() as Millis;
    let mut gone = tx.execute("DELETE FROM accepted WHERE at < ?1", [before(horizon)])?;
    // Open states: 0 waiting, 1 in flight, 8 held, 9 parked, 10 failed (a person may requeue it).
    gone += tx.execute(
        "DELETE FROM action WHERE state NOT IN (0, 1, 8, 9, 10) AND received_at < ?1",
        [before(horizon)],
    )?;
    gone += tx.execute(
        "DELETE FROM effect WHERE action < coalesce((SELECT max(id) FROM action), 0)
         AND NOT EXISTS (SELECT 1 FROM action WHERE action.id = effect.action)",
        [],
    )?;
    gone += tx.execute(
        "DELETE FROM journal WHERE (state = 1 AND received_at < ?1) OR (state = 2 AND received_at < ?2)",
        params![before(DONE_WEBHOOKS), before(SHOWN)],
    )?;
    gone +=
        tx.execute("DELETE FROM dead_letter WHERE state <> 'open' AND closed_at < ?1", [before(SHOWN)])?;
    gone += outlived_batches(tx, now)?;
    Ok(gone)
}

/// Deletes the next batches that have outlived their use; returns how many. Records in them that are
/// the current content of a state are moved on, but for those of erased people. Nothing moves while
/// the installation's states are mapped again, which goes from batch to batch.
pub fn outlived_batches(tx: &Transaction<'_>, now: Millis) -> Result<usize, StoreError> {
    let outlived: Vec<(i64, i64)> = tx
        .prepare_cached(
            "SELECT id, installation FROM batch WHERE at < ?1
             AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE dead_letter.batch = batch.id AND dead_letter.state <> 'resolved')
             AND NOT EXISTS (SELECT 1 FROM action WHERE action.batch = batch.id AND action.state IN (0, 1, 8, 9, 10))
             AND NOT EXISTS (SELECT 1 FROM remap WHERE remap.installation = batch.installation AND finished_at IS NULL)
             ORDER BY id LIMIT ?2",
        )?
        .query_map(params![now - SHOWN.as_millis() as Millis, SLICE as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let all = installations::all(tx)?;
    let mut current: BTreeMap<i64, Vec<Kept>> = BTreeMap::new();
    for (batch, installation) in &outlived {
        if let Some(row) = all.iter().find(|row| row.id.0 == *installation) {
            let kept = current.entry(*installation).or_default();
            kept.extend(current_of(tx, row, *batch)?);
        }
        tx.prepare_cached("DELETE FROM batch WHERE id = ?1")?.execute([batch])?;
    }
    for row in &all {
        for records in current.remove(&row.id.0).unwrap_or_default().chunks(RECORDS) {
            let batch = batches::insert(tx, row.id, None, None, now, records)?;
            for (position, kept) in records.iter().enumerate() {
                acceptance::kept_in(tx, row.key, &kept.record, batch, position)?;
            }
        }
    }
    Ok(outlived.len())
}

/// Records in one batch that others are moved on to.
const RECORDS: usize = 2_000;

fn current_of(
    tx: &Transaction<'_>,
    installation: &Installation,
    batch: i64,
) -> Result<Vec<Kept>, StoreError> {
    let mut current = Vec::new();
    for (position, kept) in batches::all(tx, batch)?.into_iter().enumerate() {
        let Some(kept) = kept else { continue }; // erased
        let erased = match &kept.record.subject {
            Subject::Person(person) => tombstone::is_erased(tx, installation.destination, person)?,
            Subject::Object(_) => false,
        };
        let is_state = kept.record.nature == Nature::State;
        if is_state
            && !erased
            && acceptance::current(tx, installation.key, &kept.record, batch, position)?.is_some()
        {
            current.push(kept);
        }
    }
    Ok(current)
}
