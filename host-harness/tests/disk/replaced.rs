//! A store that is another one than the host used last.

use std::path::Path;

use host_harness::store::{Store, StoreError, backup, doubt};

use super::Kept;

fn in_doubt(directory: &Path) -> Option<String> {
    let kept = Kept::open(directory).unwrap();
    let doubt = kept.store.read::<_, StoreError>(doubt::of).unwrap();
    assert_eq!(kept.store.in_doubt().unwrap(), doubt.is_some());
    let appended = kept.append(1);
    match &doubt {
        None => drop(appended.unwrap()),
        Some(_) => assert_eq!(appended.unwrap_err().code(), "store-in-doubt"),
    }
    doubt.map(|doubt| doubt.code)
}

#[test]
fn h21_a_file_that_is_put_in_place_by_hand_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("host.db"), directory.path().join("copy.db"));
    assert_eq!(in_doubt(directory.path()), None);
    assert_eq!(in_doubt(directory.path()), None, "the same file, again and again");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(in_doubt(directory.path()), None);
    std::fs::copy(&copy, &path).unwrap();
    assert_eq!(in_doubt(directory.path()).as_deref(), Some("store-replaced"));
    assert_eq!(in_doubt(directory.path()).as_deref(), Some("store-replaced"), "until it is confirmed");
    let store = Store::attach(&path).unwrap();
    assert!(store.write::<_, StoreError>(|tx| doubt::confirm(tx, 1_000)).unwrap());
    assert!(!store.write::<_, StoreError>(|tx| doubt::confirm(tx, 1_000)).unwrap());
    drop(store);
    assert_eq!(in_doubt(directory.path()), None);
    // Another machine.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(&path, elsewhere.path().join("host.db")).unwrap();
    assert_eq!(in_doubt(elsewhere.path()).as_deref(), Some("store-replaced"));
}

#[test]
fn h21_a_backup_is_in_doubt_wherever_it_is_put_and_the_store_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("host.db"), directory.path().join("backup.db"));
    let kept = Kept::open(directory.path()).unwrap();
    kept.append(0).unwrap();
    backup::backup(&path, &file).unwrap();
    assert_eq!(backup::backup(&path, &file).unwrap_err().code(), "file-exists");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    kept.append(1).unwrap();
    assert_eq!(backup::restore(&path, &file, 5).unwrap_err().code(), "store-in-use");
    drop(kept);
    assert_eq!(in_doubt(directory.path()), None);

    let kept = backup::restore(&path, &file, 5).unwrap().unwrap();
    assert_eq!(in_doubt(directory.path()).as_deref(), Some("restored-from-backup"));
    assert_eq!(Kept::open(directory.path()).unwrap().numbers(), [0]);
    let before = Store::attach(&kept).unwrap();
    let count = before.read::<i64, StoreError>(|tx| {
        Ok(tx.query_row("SELECT count(*) FROM journal", [], |row| row.get(0))?)
    });
    assert_eq!(count.unwrap(), 3, "what was there is kept, whole");

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(&file, elsewhere.path().join("host.db")).unwrap();
    assert_eq!(in_doubt(elsewhere.path()).as_deref(), Some("restored-from-backup"));
}

#[test]
fn h21_what_is_no_backup_is_not_put_in_place_of_anything() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("host.db"), directory.path().join("backup.db"));
    assert_eq!(in_doubt(directory.path()), None);
    std::fs::write(&file, "no database".repeat(1_000)).unwrap();
    assert_eq!(backup::restore(&path, &file, 5).unwrap_err().code(), "backup-unfit");
    assert_eq!(backup::restore(&path, Path::new("/no/such"), 5).unwrap_err().code(), "no-backup");
    assert_eq!(in_doubt(directory.path()), None, "nothing was touched");
    // A restore that died in the middle, or a store that somebody deleted.
    std::fs::remove_file(&path).unwrap();
    let error = Store::open(&path).map(drop).unwrap_err();
    assert_eq!(error.code(), "store-gone");
    assert!(error.remedy().contains("harness restore"));
    assert!(!path.exists(), "no empty store is made in its place");
}
