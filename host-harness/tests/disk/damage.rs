//! Files that are damaged, cut off, or somebody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rusqlite::Connection;

use super::image::{Dice, Unsynced, after_power_cut};
use super::vfs::Disk;
use super::{Kept, checkpoint};
use host_harness::store::{Store, StoreError};

/// Files of a host that was killed: one with everything in it, one with a log.
fn files(with_log: bool) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::under(directory.path());
    let kept = Kept::open(directory.path()).unwrap();
    for number in 0..40 {
        kept.append(number).unwrap();
        kept.pair(number).unwrap();
    }
    if !with_log {
        checkpoint(directory.path());
    }
    let image = tempfile::tempdir().unwrap();
    after_power_cut(&disk.ops(), Unsynced::Kept, image.path());
    let entries = std::fs::read_dir(image.path()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = entries.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect();
    let mark = "host.generation";
    files.push((mark.into(), std::fs::read(directory.path().join(mark)).unwrap()));
    files
}

/// Everything that is in the file, read and written to. Whatever goes wrong has a code.
fn use_it(directory: &Path) -> Result<(), StoreError> {
    let kept = Kept::open(directory)?;
    kept.store.read::<_, StoreError>(|tx| {
        for table in ["journal", "host", "action", "installation", "dead_letter"] {
            let mut rows = tx.prepare(&format!("SELECT * FROM {table}"))?;
            let mut rows = rows.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    })?;
    kept.append(1_000)?;
    Ok(())
}

#[test]
fn h08_a_damaged_file_is_refused_with_a_code_or_still_works() {
    let mut dice = Dice(8);
    let (mut refused, mut worked) = (0, 0);
    for with_log in [false, true] {
        let files = files(with_log);
        for _ in 0..150 {
            let image = tempfile::tempdir().unwrap();
            for (name, bytes) in &files {
                let mut bytes = bytes.clone();
                // The file where it has everything, the log where there is one.
                if name.starts_with("host.db") && (name == "host.db") != with_log {
                    for _ in 0..=dice.roll(20) {
                        let at = dice.roll(bytes.len() as u64) as usize;
                        bytes[at] ^= 1 << dice.roll(8);
                    }
                }
                std::fs::write(image.path().join(name), bytes).unwrap();
            }
            let used = catch_unwind(AssertUnwindSafe(|| use_it(image.path())));
            match used.expect("no damage ends in a panic") {
                Ok(()) => worked += 1,
                Err(error) => {
                    let code = error.code();
                    let known = [
                        "store-corrupt",
                        "store-foreign",
                        "store-newer",
                        "store-in-doubt", // the mark itself was hit
                        "store-failed",
                    ];
                    assert!(known.contains(&code) && !error.remedy().is_empty(), "{code}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 15 && worked > 50, "{refused} {worked}");
}

#[test]
fn h08_a_page_that_was_overwritten_is_found_at_the_start() {
    let files = files(false);
    let (_, whole) = files.iter().find(|(name, _)| name == "host.db").unwrap();
    let pages = whole.len() / 4_096;
    assert!(pages > 30);
    for page in 1..pages {
        let image = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        // A page of something else, as a lost or misplaced write leaves one.
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        let path = image.path().join("host.db");
        std::fs::write(&path, &bytes).unwrap();
        match Store::open(&path).map(drop) {
            Err(error) => assert!(["store-corrupt", "store-foreign"].contains(&error.code()), "{error}"),
            Ok(()) => {
                // Only what holds nothing of a tree: a value's own overflow, which has no structure.
                let kept = Kept::open(image.path()).unwrap();
                let read = catch_unwind(AssertUnwindSafe(|| kept.numbers()));
                assert!(read.is_err(), "page {page} is neither missed nor found");
            }
        }
        let kept = std::fs::read(&path).unwrap();
        assert!(kept.len() >= bytes.len(), "page {page}: what is refused is left as it is");
    }
}

#[test]
fn h08_a_log_that_is_cut_off_leaves_what_came_before() {
    let files = files(true);
    let (_, log) = files.iter().find(|(name, _)| name == "host.db-wal").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for part in 0..=40 {
        let image = tempfile::tempdir().unwrap();
        for (name, bytes) in &files {
            let most = if name == "host.db-wal" { log.len() * part / 40 } else { bytes.len() };
            std::fs::write(image.path().join(name), &bytes[..most]).unwrap();
        }
        let numbers = Kept::open(image.path()).unwrap().numbers();
        assert_eq!(numbers, (0..numbers.len() as i64).collect::<Vec<_>>());
        seen.insert(numbers.len());
    }
    assert!(seen.len() > 10 && seen.contains(&40), "{seen:?}");
}

#[test]
fn h08_a_file_of_something_else_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.db");
    let foreign = |write: &dyn Fn()| {
        let _ = std::fs::remove_file(&path);
        write();
        let before = std::fs::read(&path).unwrap();
        let error = Store::open(&path).map(drop).unwrap_err();
        assert_eq!(error.code(), "store-foreign", "{error}");
        assert!(error.remedy().contains("data directory"));
        assert!(std::fs::read(&path).unwrap() == before);
    };
    foreign(&|| std::fs::write(&path, "these are not the pages of a database".repeat(200)).unwrap());
    foreign(&|| {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE songs (name TEXT); PRAGMA user_version = 3;").unwrap();
    });
    foreign(&|| {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE host (a); CREATE TABLE songs (name TEXT);").unwrap();
    });
}
