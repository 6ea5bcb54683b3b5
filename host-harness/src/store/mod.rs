//! Everything durable, in one SQLite file.
//!
//! One connection writes, a few read. A write is one `BEGIN IMMEDIATE` transaction with
//! `synchronous=FULL`: when it returns, it survives a power cut. The tables and their reasons
//! stand in `schema-1.sql` and the steps after it.

pub mod acceptance;
pub mod batches;
pub mod dead_letters;
pub mod imports;
pub mod installations;
pub mod jobs;
pub mod journal;
pub mod lists;
pub mod outbox;
pub mod pauses;
mod rates;
pub mod remaps;
pub mod retention;
pub mod runs;
pub mod storage;
pub mod tallies;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

/// What can go wrong with the store. All of it is the operator's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite said no.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value is not what this version writes.
    #[error("the store holds something unreadable in {0}")]
    Unreadable(&'static str),
    /// The file is newer than this program.
    #[error(
        "the store has schema {found}, this program knows {known}; run a newer program or restore a backup"
    )]
    Newer {
        /// In the file.
        found: i64,
        /// In the program.
        known: i64,
    },
    /// Another host has the file open.
    #[error("another host is using {0}; stop it first")]
    Locked(PathBuf),
    /// The directory or lock file can't be made.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// A webhook could not be made durable; the sender must try again.
    #[error("the journal could not be written: {0}")]
    Append(String),
    /// A unit would take its installation over the quota of plugin storage.
    #[error("the connector's storage is full (256 MiB)")]
    StorageQuota,
    /// What a transaction read changed before it could commit; run it again.
    #[error("a concurrent change; run the unit again")]
    Conflict,
}

/// First 16 bytes of a SHA-256 over length-prefixed parts, so that no two lists of parts collide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Digest of a list of parts.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Self(short)
    }

    /// From a stored blob.
    pub fn from_blob(blob: &[u8]) -> Option<Self> {
        blob.try_into().ok().map(Self)
    }

    /// Lower-case hex.
    pub fn hex(&self) -> String {
        crate::hex::encode(&self.0)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// Schema steps; a step is never edited once released.
const STEPS: &[&str] = &[
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
    include_str!("schema-8.sql"),
    include_str!("schema-9.sql"),
    include_str!("schema-10.sql"),
];

/// The host's file.
pub struct Store {
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    _lock: Option<std::fs::File>,
}

impl Store {
    /// Opens or creates the file, takes it for this process alone, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|e| StoreError::Io(path.into(), e))?;
        let lock_path = path.with_extension("lock");
        let lock = std::fs::File::create(&lock_path).map_err(|e| StoreError::Io(lock_path.clone(), e))?;
        lock.try_lock().map_err(|_| StoreError::Locked(path.into()))?;
        let mut writer = Connection::open(path)?;
        configure(&writer)?;
        writer.pragma_update(None, "cache_size", -WRITER_CACHE)?;
        writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
        migrate(&mut writer)?;
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            path: path.into(),
            _lock: Some(lock),
        })
    }

    /// True where a host has the file open.
    pub fn is_in_use(path: &Path) -> bool {
        let lock = std::fs::File::options().write(true).open(path.with_extension("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// Opens the file beside a running host, to look at it or to give an order.
    /// The schema must be current.
    pub fn attach(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let writer = Connection::open_with_flags(path, flags)?;
        configure(&writer)?;
        let found: i64 = writer.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let known = STEPS.len() as i64;
        if found != known {
            return Err(StoreError::Newer { found, known });
        }
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            path: path.into(),
            _lock: None,
        })
    }

    /// The same, where there is such a file and it is of this release; none otherwise.
    pub fn attach_if_current(path: &Path) -> Result<Option<Self>, StoreError> {
        match path.exists().then(|| Self::attach(path)).transpose() {
            Err(StoreError::Newer { .. }) => Ok(None),
            other => other,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs one transaction. It is durable when this returns `Ok`, and undone otherwise.
    pub fn write<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        transact(&mut self.lock_writer(), body)
    }

    /// Runs one transaction without waiting for the disk: it survives the end of this process as
    /// soon as this returns `Ok`, and a power cut once a later [`Store::write`] has returned.
    pub fn write_unsynced<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        /// Whatever happens in between, a panic too, the next transaction waits for the disk again.
        struct Unsynced<'a>(MutexGuard<'a, Connection>);
        impl Drop for Unsynced<'_> {
            fn drop(&mut self) {
                if let Err(error) = self.0.pragma_update(None, "synchronous", "FULL") {
                    // Going on would acknowledge what a power cut could still take away.
                    tracing::error!(%error, "the store can't be made to wait for the disk");
                    std::process::abort();
                }
            }
        }
        let mut unsynced = Unsynced(self.lock_writer());
        unsynced.0.pragma_update(None, "synchronous", "NORMAL").map_err(StoreError::from)?;
        transact(&mut unsynced.0, body)
    }

    /// Runs a read on a consistent snapshot, without waiting for writers.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.take_reader()?;
        let result = (|| {
            let transaction = connection.transaction().map_err(StoreError::from)?;
            body(&transaction)
        })();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    fn lock_writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolls it back when the transaction is dropped.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_reader(&self) -> Result<Connection, StoreError> {
        if let Some(reader) = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(reader);
        }
        let reader = Connection::open(&self.path)?;
        configure(&reader)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(reader)
    }
}

fn transact<T, E: From<StoreError>>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
    let value = body(&transaction)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(value)
}

/// Pages of the file that the writing connection keeps in memory, in KiB. Ledgers are written at
/// random places: what falls out of memory is read again and written again.
const WRITER_CACHE: i64 = 16 * 1024;

/// Pages after which the log is copied into the file; 32 MiB. The rarer, the more often a page that
/// changed again and again is copied only once.
const CHECKPOINT: i64 = 8_192;

/// Makes a directory, where it isn't there yet, that only this user can read: the host keeps personal data in it.
pub(crate) fn private_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Makes the file and its directory, where they aren't there yet, readable by this user only. What SQLite puts beside
/// the file (WAL, journal) gets the file's own mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), private_directory)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // Plans don't depend on the values that are bound. Without this, statements whose values the
    // planner would like to see are parsed and planned anew at every use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (step, sql) in STEPS.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn whatever_the_store_writes_is_this_users_only() {
        let scratch = tempfile::tempdir().unwrap();
        let home = scratch.path().join("data");
        let store = Store::open(&home.join("host.db")).unwrap();
        store.write(|tx| tx.execute_batch("CREATE TABLE something (a)").map_err(StoreError::from)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode(&home), 0, "the directory");
        let files: Vec<_> = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.iter().any(|file| file.to_string_lossy().ends_with("-wal")), "{files:?}");
        for file in files.iter().filter(|file| std::fs::metadata(file).unwrap().len() > 0) {
            assert_eq!(mode(file), 0, "{}", file.display());
        }
    }
}
