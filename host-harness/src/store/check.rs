//! Whether a file is a store of this program, and whole.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{STEPS, StoreError};

/// Looks at a file that is not in use, all of it.
pub(super) fn whole(path: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    if is_new(&connection)? {
        return Err(StoreError::Foreign);
    }
    sound(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// True of a file with nothing in it. One that is somebody else's, or of a newer program, is refused.
pub(super) fn is_new(connection: &Connection) -> Result<bool, StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    let (tables, ours): (i64, i64) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('host', 'installation', 'journal', 'action'))
         FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    match (found, tables, ours) {
        (0, 0, _) => Ok(true),
        (1.., _, 4) if found > known => Err(StoreError::Newer { found, known }),
        (1.., _, 4) => Ok(false),
        _ => Err(StoreError::Foreign),
    }
}

/// Reads every page. It takes about a second for each 500 MB that are in the system's memory.
pub(super) fn sound(connection: &Connection) -> Result<(), StoreError> {
    let first: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if first == "ok" { Ok(()) } else { Err(StoreError::Corrupt(first)) }
}
