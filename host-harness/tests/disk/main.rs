//! The store on a disk that fails: full, refusing syncs, losing what was not synced, damaged. Between
//! SQLite and the files stands `vfs`, which writes down every change and breaks what a test wants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod damage;
mod image;
mod power;
mod replaced;
mod served;
mod shared;
mod vfs;
#[path = "../world/mod.rs"]
mod world;

use std::path::Path;
use std::sync::Arc;

use host_harness::store::installations::InstallationId;
use host_harness::store::journal::{GroupCommit, Journal as _, RawDelivery};
use host_harness::store::{Store, StoreError};
use rusqlite::Connection;

/// A store, and the intake's way into it.
struct Kept {
    store: Arc<Store>,
    journal: GroupCommit,
}

impl Kept {
    fn open(directory: &Path) -> Result<Self, StoreError> {
        let store = Arc::new(Store::open(&directory.join("host.db"))?);
        Ok(Self { journal: GroupCommit::new(store.clone()), store })
    }

    /// What intake does before it answers 2xx.
    fn append(&self, number: i64) -> Result<i64, StoreError> {
        self.journal.append(RawDelivery {
            installation: InstallationId(1),
            surface: "streams".into(),
            received_at: number,
            headers: Vec::new(),
            body: body(number),
        })
    }

    /// Two rows in one transaction.
    fn pair(&self, number: i64) -> Result<(), StoreError> {
        self.store.write(|tx| {
            for half in ["a", "b"] {
                tx.execute("INSERT INTO host VALUES (?1, ?2)", (format!("{half}-{number}"), number))?;
            }
            Ok(())
        })
    }

    /// What was kept, by the number of its arrival. Every body is as it came.
    fn numbers(&self) -> Vec<i64> {
        self.store
            .read::<_, StoreError>(|tx| {
                let mut rows = tx.prepare("SELECT received_at, body FROM journal ORDER BY id")?;
                let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
                let rows: Vec<(i64, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
                for (number, kept) in &rows {
                    assert!(*kept == body(*number), "webhook {number} is not as it came");
                }
                Ok(rows.into_iter().map(|(number, _)| number).collect())
            })
            .unwrap()
    }
}

/// Without a pattern: the sums of SQLite's log are of 32-bit words, and where half of a page is an older one with the
/// same pattern, 192 pairs of words that differ alike add up to nothing.
fn body(number: i64) -> Vec<u8> {
    let mut dice = image::Dice(number as u64);
    (0..2_400).map(|_| dice.roll(256) as u8).collect()
}

/// Copies the log into the file, and begins it anew.
fn checkpoint(directory: &Path) {
    let connection = Connection::open(directory.join("host.db")).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
}
