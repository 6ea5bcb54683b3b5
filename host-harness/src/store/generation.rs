//! Whether the file is the one that was used last.
//!
//! Each time a host takes the store, a new random mark is written into it and beside it. A file that
//! is put in its place later has an older mark, or another store's. A copy that was made and put back
//! between two starts has the same one: that is what `harness restore` is for.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::{StoreError, doubt};

const CURRENT: &str = "generation";
/// What stands beside the file until the new mark is there too.
const BEFORE: &str = "generation-before";

/// Without the file that a mark beside it speaks of, a host would begin anew and do everything twice.
pub(super) fn refuse_without_store(store: &Path) -> Result<(), StoreError> {
    let has_content = fs::metadata(store).is_ok_and(|file| file.len() > 0);
    if !has_content && beside(store).exists() { Err(StoreError::Gone(store.into())) } else { Ok(()) }
}

/// Compares the marks and makes the next one. A file that is not the one that was used last comes into
/// doubt. `is_new`: there is nothing in it yet.
pub(super) fn take(connection: &mut Connection, store: &Path, is_new: bool) -> Result<(), StoreError> {
    let beside = beside(store);
    let found = found(&beside)?;
    let next: String = connection.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_ours = is_known(&tx, found.as_deref())?;
    let told = doubt::of(&tx)?.is_some_and(|doubt| doubt.since.is_none());
    if !is_new && !is_ours && !told {
        doubt::mark(&tx, doubt::REPLACED)?;
    }
    let put = "INSERT INTO host (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2";
    tx.execute(put, params![CURRENT, next])?;
    match &found {
        Some(found) => tx.execute(put, params![BEFORE, found])?,
        None => tx.execute("DELETE FROM host WHERE name = ?1", [BEFORE])?,
    };
    tx.commit()?;
    write(&beside, &next).map_err(|error| StoreError::Io(beside, error))
}

/// Whether the file is the one that was used last, as a start would find it.
pub(super) fn fits(connection: &Connection, store: &Path) -> Result<bool, StoreError> {
    is_known(connection, found(&beside(store))?.as_deref())
}

/// The mark beside the store.
fn found(beside: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(beside) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Io(beside.into(), error)),
    }
}

fn is_known(connection: &Connection, found: Option<&str>) -> Result<bool, StoreError> {
    let mark = |name: &str| -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM host WHERE name = ?1";
        Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
    };
    let (current, before) = (mark(CURRENT)?, mark(BEFORE)?);
    // Files of older hosts have no mark, and nothing beside them.
    Ok(found == current.as_deref() || (found.is_some() && found == before.as_deref()))
}

/// Takes the marks out of a copy that is nobody's memory.
pub(crate) fn forget(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM host WHERE name IN (?1, ?2)", [CURRENT, BEFORE])?;
    Ok(())
}

fn beside(store: &Path) -> PathBuf {
    store.with_extension("generation")
}

/// Replaces the file so that a power cut leaves the old one or the new one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("generation-part");
    let mut file = super::backup::private(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    super::backup::sync_directory(path)
}
