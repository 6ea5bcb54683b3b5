//! How long each table keeps its rows, and the pruning.
//!
//! | table | kept |
//! |---|---|
//! | `accepted` | the dedupe horizon; older events are refused at every door, older states are compared with the current content, so nothing gets in again |
//! | `action`, `effect` | closed rows: the dedupe horizon |
//! | `journal` | done: 7 days (the vendor's retries end after minutes); failed: 90 days |
//! | `batch` | 90 days, longer while an open action or dead letter points to it |
//! | `dead_letter` | open: for ever; closed: 90 days |
//! | `state`, `person`, `identity`, `consent`, `membership`, `deletion`, `tombstone` | for ever: they are the current truth |
//! | `erasure` | until the next `people::tombstone::sweep`, which blanks what closed actions, batches and dead letters still hold of erased people |
//! | `installation`, `destination`, `list`, `cursor`, `job`, `kv`, `tally`, `rate`, `host` | for ever: bounded by what is installed |

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::StoreError;
use crate::world::Millis;

const DONE_WEBHOOKS: Duration = Duration::from_hours(7 * 24);
const SHOWN: Duration = Duration::from_hours(90 * 24);

/// Deletes what has outlived its use; returns how many rows went. `horizon` is the dedupe horizon.
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
    gone += tx.execute(
        "DELETE FROM batch WHERE at < ?1
         AND NOT EXISTS (SELECT 1 FROM dead_letter WHERE dead_letter.batch = batch.id AND dead_letter.state <> 'resolved')
         AND NOT EXISTS (SELECT 1 FROM action WHERE action.batch = batch.id AND action.state IN (0, 1, 8, 9, 10))",
        [before(SHOWN)],
    )?;
    Ok(gone)
}
