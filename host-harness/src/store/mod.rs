//! Everything durable, in one SQLite file.
//!
//! One connection writes, a few read. A write is one `BEGIN IMMEDIATE` transaction with
//! `synchronous=FULL`: when it returns, it survives a power cut. The tables and their reasons
//! stand in `schema-1.sql` and the steps after it.

pub mod acceptance;
pub mod backup;
pub mod batches;
mod check;
pub mod clock;
pub mod dead_letters;
pub mod doubt;
mod error;
pub(crate) mod generation;
pub mod imports;
pub mod installations;
pub mod jobs;
pub mod journal;
pub mod lists;
pub mod look;
pub mod outbox;
pub mod pauses;
pub(crate) mod place;
mod rates;
pub mod remaps;
pub mod retention;
pub mod runs;
pub mod storage;
pub mod tallies;
pub mod usage;

use std::ffi::c_int;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::hooks::Wal;
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
    include_str!("schema-9.sql"),
    include_str!("schema-10.sql"),
    include_str!("schema-11.sql"),
];

/// The host's file.
pub struct Store {
    // Closed first: whoever closes last copies the log.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    path: PathBuf,
    /// It may be in doubt; once it isn't, it doesn't come into doubt while it is open.
    doubt: AtomicBool,
    /// Why nothing is done with the file any more.
    lost: OnceLock<&'static str>,
    /// Pages in the log after the last transaction.
    log: Arc<AtomicI64>,
    _lock: Option<File>,
}

impl Store {
    /// Opens or creates the file, takes it for this process alone, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        path.parent().map_or(Ok(()), private_directory).map_err(|e| StoreError::Io(path.into(), e))?;
        place::refuse_network(path)?;
        let lock = Self::lock(path)?;
        generation::refuse_without_store(path)?;
        private_file(path).map_err(|e| StoreError::Io(path.into(), e))?;
        let mut writer = Connection::open(path)?;
        let is_new = check::is_new(&writer)?;
        configure(&writer)?;
        writer.pragma_update(None, "cache_size", -WRITER_CACHE)?;
        if !is_new {
            check::sound(&writer)?;
        }
        migrate(&mut writer)?;
        generation::take(&mut writer, path, is_new)?;
        Self::on(writer, path, Some(lock))
    }

    fn on(mut writer: Connection, path: &Path, lock: Option<File>) -> Result<Self, StoreError> {
        let doubt = doubt::of(&writer.transaction()?)?.is_some();
        let log = Arc::new(AtomicI64::new(0));
        let pages = log.clone();
        writer.wal_hook(Some(move |_: &mut Wal, now: c_int| {
            pages.store(now.into(), Ordering::SeqCst);
            Ok(())
        }))?;
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            path: path.into(),
            doubt: AtomicBool::new(doubt),
            lost: OnceLock::new(),
            log,
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

    /// Why nothing is done with the file any more: a sync failed, or the file is damaged. Only
    /// opening it anew helps, which looks at all of it.
    pub fn lost(&self) -> Option<&'static str> {
        self.lost.get().copied()
    }

    /// Pages that are in the log and perhaps not yet in the file.
    pub fn log_pages(&self) -> i64 {
        self.log.load(Ordering::SeqCst)
    }

    /// Runs one transaction. It is durable when this returns `Ok`, and undone otherwise.
    pub fn write<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(&mut self.lock_writer(), body)
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
        self.transact(&mut unsynced.0, body)
    }

    /// Runs a read on a consistent snapshot, without waiting for writers.
    pub fn read<T, E: From<StoreError>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.usable()?;
        let mut connection = self.take_reader()?;
        let result = (|| {
            let transaction = connection.transaction().map_err(StoreError::from)?;
            let value = body(&transaction);
            if value.is_err() {
                self.note(&transaction);
            }
            value
        })();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    fn transact<T, E: From<StoreError>>(
        &self,
        connection: &mut Connection,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.usable()?;
        let result = self.attempt(connection, body);
        self.checkpoint(connection);
        if self.lost().is_some() {
            // Closing must not sync again either. It can't fail: it sets a flag of the connection.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        result
    }

    fn attempt<T, E: From<StoreError>>(
        &self,
        connection: &mut Connection,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| self.noted(error))?;
        let value = match body(&transaction) {
            Ok(value) => value,
            Err(error) => {
                self.note(&transaction);
                return Err(error);
            }
        };
        transaction.commit().map_err(|error| self.noted(error))?;
        Ok(value)
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.lost().map_or(Ok(()), |code| Err(StoreError::Lost(code)))
    }

    /// What the last call on a connection came to, where it failed: it may end the use of the file.
    fn note(&self, connection: &Connection) {
        // SAFETY: the connection is open, and this thread alone uses it.
        let extended = unsafe { ffi::sqlite3_extended_errcode(connection.handle()) };
        self.note_code(extended);
    }

    fn note_code(&self, extended: c_int) {
        if let Some(code) = error::fatal(extended)
            && self.lost.set(code).is_ok()
        {
            tracing::error!(code, remedy = StoreError::Lost(code).remedy(), "the store is not used any more");
        }
    }

    fn noted(&self, error: rusqlite::Error) -> StoreError {
        if let Some(sqlite) = error.sqlite_error() {
            self.note_code(sqlite.extended_code);
        }
        error.into()
    }

    /// Copies the log into the file once it is long. SQLite would do it by itself, and say nothing of a
    /// sync that failed.
    fn checkpoint(&self, connection: &Connection) {
        let pages = self.log_pages();
        if pages < CHECKPOINT || self.lost().is_some() {
            return;
        }
        let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2));
        match copied {
            Ok(copied) if copied < pages && pages >= LONG_LOG => {
                // A reader holds it up. Once for each time that it has become so much longer.
                if pages % LONG_LOG < CHECKPOINT {
                    let remedy = "Find the process that reads the store for so long, for instance a backup, and end it.";
                    tracing::error!(
                        code = "store-log-long",
                        pages,
                        remedy,
                        "the log of the store can't be copied"
                    );
                }
            }
            Ok(_) => {}
            Err(error) => {
                let error = self.noted(error);
                tracing::error!(code = error.code(), %error, remedy = error.remedy(), "the log of the store can't be copied");
            }
        }
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
        reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(reader)
    }
}

/// Pages of the file that the writing connection keeps in memory, in KiB. Ledgers are written at
/// random places: what falls out of memory is read again and written again.
const WRITER_CACHE: i64 = 16 * 1024;

/// Pages after which the log is copied into the file; 32 MiB. The rarer, the more often a page that
/// changed again and again is copied only once.
const CHECKPOINT: i64 = 8_192;

/// Pages in the log from which on an operator is told that it is not copied; 256 MiB.
pub(crate) const LONG_LOG: i64 = 65_536;

/// Makes a directory, where it isn't there yet, that only this user can read: the host keeps personal data in it.
pub(crate) fn private_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Makes the file, where it isn't there yet, readable by this user only. What SQLite puts beside it (WAL, journal) gets
/// its mode.
pub(crate) fn private_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // The writer copies the log by itself, and looks at what comes of it.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
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
