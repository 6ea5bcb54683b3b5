//! A look at a store that changes nothing, beside a host that works and without one.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use super::backup::with_suffix;
use super::{STEPS, StoreError, check, generation};

/// Who has a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No host.
    Nobody,
    /// A host; its process, where the system says so.
    Host(Option<u32>),
    /// The lock may not be looked at.
    Unknown,
}

/// Who has the store now.
pub fn holder(store: &Path) -> Holder {
    let path = store.with_extension("lock");
    let lock = match File::options().write(true).open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(_) => return Holder::Unknown,
    };
    match lock.try_lock() {
        Ok(()) => Holder::Nobody,
        Err(TryLockError::WouldBlock) => Holder::Host(process(&path)),
        Err(TryLockError::Error(_)) => Holder::Unknown,
    }
}

/// The process that has a lock, by the system's table of locks.
fn process(lock: &Path) -> Option<u32> {
    let file = fs::metadata(lock).ok()?;
    let place = format!("{:02x}:{:02x}:{}", libc::major(file.dev()), libc::minor(file.dev()), file.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:131104 0 EOF`
    let held = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let is_ours = words.next() == Some("FLOCK");
        let process = words.nth(2)?.parse().ok()?;
        (is_ours && words.next() == Some(place.as_str()) && process > 0).then_some(process)
    };
    locks.lines().find_map(held)
}

/// A store that is read and never written.
pub struct Look {
    connection: Connection,
    path: PathBuf,
}

impl Look {
    /// Opens the file. Whether it is a store is another question ([`Look::schema`]).
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = if has_log(path) {
            Connection::open_with_flags(path, flags)?
        } else {
            // SQLite would make a log and its index to read the file, if it weren't told that nobody
            // writes it.
            Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        };
        // Whoever closes last would copy the log.
        let closing = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(closing, true)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        Ok(Self { connection, path: path.into() })
    }

    /// Version of its schema, and the one of this program; none of a file with nothing in it.
    ///
    /// # Errors
    /// It is no store, or one of a newer program.
    pub fn schema(&self) -> Result<Option<(i64, i64)>, StoreError> {
        if check::is_new(&self.connection)? {
            return Ok(None);
        }
        let found = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok(Some((found, STEPS.len() as i64)))
    }

    /// Reads all of it; about a second for each 500 MB.
    ///
    /// # Errors
    /// It is damaged, or can't be read.
    pub fn whole(&self) -> Result<(), StoreError> {
        check::sound(&self.connection)
    }

    /// Whether it is the file that a host used last.
    ///
    /// # Errors
    /// It can't be read.
    pub fn is_the_last(&self) -> Result<bool, StoreError> {
        generation::fits(&self.connection, &self.path)
    }

    /// Runs a read on a consistent snapshot.
    ///
    /// # Errors
    /// Those of `body`, and it can't be read.
    pub fn read<T>(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        body(&self.connection.transaction()?)
    }
}

/// Whether somebody writes to a store, or died while writing. A store without a log is looked at as a file
/// that nobody writes; where it has one afterwards, what was seen means nothing.
pub fn has_log(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| with_suffix(path, suffix).exists())
}

/// The file's name for SQLite, said to be changed by nobody.
fn immutable(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(byte);
    let name = path.as_os_str().as_bytes().iter().map(|byte| match byte {
        byte if plain(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("file:{}?immutable=1", name.collect::<String>())
}
