//! Everything durable, in one SQLite file.
//!
//! One connection writes, a few read. A write is one `BEGIN IMMEDIATE` transaction with
//! `synchronous=FULL`: when it returns, it survives a power cut. The tables and their reasons
//! stand in `schema-1.sql` and the steps after it.

pub mod acceptance;
pub mod backup;
pub mod batches;
mod check;
pub mod dead_letters;
pub mod doubt;
mod error;
pub(crate) mod generation;
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

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

pub use error::StoreError;

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
];

/// The host's file.
pub struct Store {
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    /// It may be in doubt; once it isn't, it doesn't come into doubt while it is open.
    doubt: AtomicBool,
    _lock: Option<File>,
}

impl Store {
    /// Opens or creates the file, takes it for this process alone, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|e| StoreError::Io(directory.into(), e))?;
        }
        let lock = Self::lock(path)?;
        generation::refuse_without_store(path)?;
        let mut writer = Connection::open(path)?;
        configure(&writer)?;
        writer.pragma_update(None, "cache_size", -WRITER_CACHE)?;
        writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
        let is_new = check::is_new(&writer)?;
        if !is_new {
            check::sound(&writer)?;
        }
        migrate(&mut writer)?;
        generation::take(&mut writer, path, is_new)?;
        Self::on(writer, path, Some(lock))
    }

    fn on(mut writer: Connection, path: &Path, lock: Option<File>) -> Result<Self, StoreError> {
        let doubt = doubt::of(&writer.transaction()?)?.is_some();
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            path: path.into(),
            doubt: AtomicBool::new(doubt),
            _lock: lock,
        })
    }

    /// Takes the file for this process alone, as long as what is returned lives. The lock belongs to the
    /// open file, so a process that is stopped and goes on has it still.
    fn lock(path: &Path) -> Result<File, StoreError> {
        let lock_path = path.with_extension("lock");
        let lock = File::create(&lock_path).map_err(|e| StoreError::Io(lock_path, e))?;
        lock.try_lock().map_err(|_| StoreError::Locked(path.into()))?;
        Ok(lock)
    }

    /// True as long as nobody has confirmed a store that was restored or replaced.
    pub fn in_doubt(&self) -> Result<bool, StoreError> {
        if !self.doubt.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let doubt = self.read::<_, StoreError>(doubt::of)?.is_some();
        self.doubt.store(doubt, Ordering::SeqCst);
        Ok(doubt)
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
        Self::on(writer, path, None)
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
    for (step, sql) in STEPS.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
