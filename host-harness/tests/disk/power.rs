//! A power cut at every write of a history: what was acknowledged is there, and nothing is half there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use host_harness::store::{Store, StoreError, doubt, journal};
use rusqlite::ffi;

use super::image::{Dice, Unsynced, after_power_cut};
use super::vfs::{Disk, Failure, Kind, Op};
use super::{Kept, checkpoint};

/// What holds from which change on.
#[derive(Default)]
struct Promised {
    appended: Vec<(usize, i64)>,
    pairs: Vec<(usize, i64)>,
}

fn history(directory: &std::path::Path, disk: &Disk) -> Promised {
    let mut promised = Promised::default();
    for numbers in [0..9, 9..14] {
        let kept = Kept::open(directory).unwrap();
        for number in numbers {
            let id = kept.append(number).unwrap();
            promised.appended.push((disk.len(), number));
            kept.store.write_unsynced::<_, StoreError>(|tx| journal::claim(tx, id)).unwrap();
            kept.pair(number).unwrap();
            promised.pairs.push((disk.len(), number));
            if number % 4 == 3 {
                checkpoint(directory);
            }
        }
    }
    promised
}

/// What a store says after a power cut, held against what was promised.
fn assert_prefix(kept: &Kept, promised: &Promised, cut: usize, how: &str) {
    let numbers = kept.numbers();
    let due = |all: &[(usize, i64)]| all.iter().filter(|(at, _)| *at <= cut).count();
    assert!(numbers.len() >= due(&promised.appended), "{how}: an acknowledged webhook is lost: {numbers:?}");
    assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>(), "{how}: no prefix");
    let halves: Vec<(i64, i64)> = kept
        .store
        .read::<_, StoreError>(|tx| {
            let mut rows = tx.prepare(
                "SELECT value, count(*) FROM host WHERE name LIKE '_-%' GROUP BY value ORDER BY value",
            )?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap();
    assert!(halves.len() >= due(&promised.pairs), "{how}: a transaction is lost: {halves:?}");
    assert!(halves.iter().enumerate().all(|(n, half)| *half == (n as i64, 2)), "{how}: {halves:?}");
    // Each pair came after its webhook and before the next one.
    assert!(numbers.len() == halves.len() || numbers.len() == halves.len() + 1, "{how}");
}

#[test]
fn h06_h20_a_power_cut_at_any_write_loses_nothing_that_was_acknowledged_and_halves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::under(directory.path());
    let promised = history(directory.path(), &disk);
    let ops = disk.ops();
    let (mut opened, mut fresh) = (0, 0);
    for cut in 0..=ops.len() {
        let unsynced = match cut % 3 {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Any(cut as u64),
        };
        let image = tempfile::tempdir().unwrap();
        after_power_cut(&ops[..cut], unsynced, image.path());
        let how = format!("cut at {cut} of {}, unsynced writes {unsynced:?}", ops.len());
        // Also in the middle of the steps of the schema: they are gone through to the end.
        let kept = Kept::open(image.path()).unwrap_or_else(|error| panic!("{how}: {error}"));
        // What stands beside a store is no file of SQLite's, and so not in the picture.
        kept.store.write::<_, StoreError>(|tx| doubt::confirm(tx, 0)).unwrap();
        assert_prefix(&kept, &promised, cut, &how);
        kept.append(kept.numbers().len() as i64).unwrap();
        opened += 1;
        fresh += usize::from(promised.appended[0].0 > cut);
    }
    assert!(opened > 200 && fresh > 20, "{opened} cuts, {fresh} of them before the first webhook");
}

#[test]
fn h04_a_failed_sync_is_never_tried_again_and_nothing_acknowledged_is_lost() {
    // Of the log in a transaction, of the log at its checkpoint, and of the file itself.
    for (file, nth) in [("host.db-wal", 0), ("host.db-wal", 3), ("host.db", 0)] {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::under(directory.path());
        let kept = Kept::open(directory.path()).unwrap();
        let mut acknowledged = Vec::new();
        for number in 0..3 {
            kept.append(number).unwrap();
            acknowledged.push(number);
        }
        let mut left = nth;
        disk.breaks(move |kind, name| {
            let fails = kind == Kind::Sync && name == file && {
                left -= 1;
                left < 0
            };
            fails.then_some(Failure { code: ffi::SQLITE_IOERR_FSYNC, half: false })
        });
        let mut number = 3;
        let error = loop {
            match kept.append(number) {
                Ok(_) => acknowledged.push(number),
                Err(error) => break error,
            }
            number += 1;
            if number % 50 == 0 {
                // Large enough for the log to be copied.
                let filler = kept.store.write::<_, StoreError>(|tx| {
                    tx.execute("INSERT OR REPLACE INTO host VALUES ('filler', zeroblob(40000000))", [])?;
                    Ok(())
                });
                if let Err(error) = filler {
                    break error;
                }
            }
            assert!(number < 500, "{file}: no sync ever failed");
        };
        disk.heals();
        let first = kept.append(1_000).unwrap_err();
        assert_eq!(first.code(), "store-sync-failed", "{error}");
        assert_eq!(kept.store.lost(), Some("store-sync-failed"));
        assert!(first.remedy().contains("start the host again"));
        let read = kept.store.read::<(), StoreError>(|_| Ok(()));
        assert_eq!(read.unwrap_err().code(), "store-sync-failed");
        drop(kept);
        let ops = disk.ops();
        let failed = ops.iter().position(|op| matches!(op, Op::LostSync { .. })).unwrap();
        let again = ops[failed + 1..].iter().filter(|op| matches!(op, Op::Sync { .. })).count();
        assert_eq!(again, 0, "{file}: nothing is synced after it, not even when the file is closed");
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Any(nth as u64 + 1)] {
            let image = tempfile::tempdir().unwrap();
            after_power_cut(&ops, unsynced, image.path());
            let numbers = Kept::open(image.path()).unwrap().numbers();
            assert!(numbers.starts_with(&acknowledged), "{file}, {unsynced:?}: {numbers:?}");
        }
    }
}

#[test]
fn h05_reads_and_writes_that_fail_now_and_then_are_clean_errors_and_damage_nothing() {
    for seed in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::under(directory.path());
        let kept = Kept::open(directory.path()).unwrap();
        let failures = Arc::new(AtomicU64::new(0));
        let (mut dice, failed) = (Dice(seed), failures.clone());
        disk.breaks(move |kind, _| {
            let code = match kind {
                Kind::Read => ffi::SQLITE_IOERR_READ,
                Kind::Write => ffi::SQLITE_IOERR_WRITE,
                Kind::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
                Kind::Sync => return None,
            };
            (dice.roll(12) == 0).then(|| {
                failed.fetch_add(1, Ordering::SeqCst);
                Failure { code, half: dice.roll(2) == 0 }
            })
        });
        let mut acknowledged = Vec::new();
        for number in 0..60 {
            match kept.append(number) {
                Ok(_) => acknowledged.push(number),
                Err(error) => assert_eq!(error.code(), "store-io", "{error}"),
            }
        }
        assert!(failures.load(Ordering::SeqCst) > 5 && acknowledged.len() > 5, "{}", acknowledged.len());
        disk.heals();
        assert_eq!(kept.numbers(), acknowledged);
        kept.append(100).unwrap();
        acknowledged.push(100);
        drop(kept);
        assert_eq!(Kept::open(directory.path()).unwrap().numbers(), acknowledged);
    }
}

#[test]
fn h02_a_full_disk_fails_a_transaction_as_a_whole_and_passes() {
    // Whenever it becomes full: with the first page of a transaction, or in the middle of it.
    for free in 0..12 {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::under(directory.path());
        let kept = Kept::open(directory.path()).unwrap();
        kept.append(0).unwrap();
        kept.pair(0).unwrap();
        let mut left = free;
        disk.breaks(move |kind, _| {
            left -= i32::from(kind == Kind::Write);
            (left < 0 && kind == Kind::Write).then_some(Failure { code: ffi::SQLITE_FULL, half: false })
        });
        let mut done = 1;
        let error = loop {
            match kept.append(done).and_then(|_| kept.pair(done)) {
                Ok(()) => done += 1,
                Err(error) => break error,
            }
            assert!(done < 50);
        };
        assert_eq!(error.code(), "store-disk-full", "{error}");
        assert!(error.remedy().contains("Make room"));
        assert!(kept.numbers().len() as i64 >= done, "reads go on");
        disk.heals();
        let appended = kept.numbers();
        assert_eq!(appended, (0..appended.len() as i64).collect::<Vec<_>>());
        if appended.len() as i64 == done {
            kept.append(done).unwrap();
        }
        kept.pair(done).unwrap();
        let promised = Promised::default();
        assert_prefix(&kept, &promised, 0, "after it passed");
        drop(kept);
        assert_eq!(Kept::open(directory.path()).unwrap().numbers().len() as i64, done + 1);
    }
}

#[test]
fn h20_a_file_of_a_newer_program_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.db");
    drop(Store::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path).map(drop).unwrap_err();
    assert_eq!(error.code(), "store-newer");
    assert!(error.remedy().contains("newer"));
    assert_eq!(Store::attach(&path).map(drop).unwrap_err().code(), "store-newer");
    assert!(std::fs::read(&path).unwrap() == before);
}
