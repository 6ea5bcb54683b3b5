//! Readers that stay long, and writers at once.

use std::sync::Arc;

use host_harness::store::{Store, StoreError};
use rusqlite::Connection;

use super::Kept;

/// Pages after which the host copies its log; it may be that long and a transaction more.
const CHECKPOINT: i64 = 8_192;

fn fill(store: &Store, megabytes: usize) {
    for _ in 0..megabytes {
        store
            .write::<_, StoreError>(|tx| {
                tx.execute("INSERT OR REPLACE INTO host VALUES ('filler', randomblob(1000000))", [])?;
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn h07_a_long_reader_holds_nobody_up_and_the_log_is_bounded_once_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let _disk = super::vfs::Disk::under(directory.path()); // real syncs would take long
    let kept = Kept::open(directory.path()).unwrap();
    fill(&kept.store, 80);
    assert!(kept.store.log_pages() < CHECKPOINT + 600, "{}", kept.store.log_pages());
    let mut reader = Connection::open(directory.path().join("host.db")).unwrap();
    let reading = reader.transaction().unwrap();
    let count =
        |tx: &Connection| tx.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0));
    assert_eq!(count(&reading).unwrap(), 0);
    for number in 0..20 {
        kept.append(number).unwrap();
    }
    fill(&kept.store, 80);
    assert_eq!(count(&reading).unwrap(), 0, "it sees what it saw");
    assert!(kept.store.log_pages() > 2 * CHECKPOINT, "{}", kept.store.log_pages());
    drop(reading);
    fill(&kept.store, 3);
    assert!(kept.store.log_pages() < CHECKPOINT + 600, "{}", kept.store.log_pages());
    assert_eq!(kept.numbers().len(), 20);
}

#[test]
fn h07_writers_of_several_processes_wait_for_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Arc::new(Kept::open(directory.path()).unwrap());
    let path = directory.path().join("host.db");
    let orders = std::thread::spawn(move || {
        let store = Store::attach(&path).unwrap(); // as a command of an operator does
        for number in 0..40 {
            store
                .write::<_, StoreError>(|tx| {
                    tx.execute("INSERT INTO host VALUES (?1, 0)", [format!("order-{number}")])?;
                    Ok(())
                })
                .unwrap();
        }
    });
    for number in 0..40 {
        kept.append(number).unwrap();
    }
    orders.join().unwrap();
    assert_eq!(kept.numbers().len(), 40);
}
