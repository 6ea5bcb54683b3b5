//! What can go wrong with the store, and what to do about it.

use std::ffi::c_int;
use std::path::PathBuf;

use rusqlite::ffi;

/// Code of a store whose sync failed. The system may take what it could not write for written, so
/// whether it is on the disk can't be found out by syncing again.
pub(super) const SYNC_FAILED: &str = "store-sync-failed";

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
    /// The file is a database of something else, or none.
    #[error("the file is no store of this program")]
    Foreign,
    /// A check of the whole file found something.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Part of what was written may not be on the disk, or the file is damaged: nothing more is done
    /// with it. The code says which.
    #[error("the store is not used any more ({0})")]
    Lost(&'static str),
    /// The directory lies on a file system of the network, whose locks and syncs can't be relied on.
    #[error("{0} lies on a network file system ({1})")]
    Network(PathBuf, &'static str),
    /// Another host has the file open.
    #[error("another host is using {0}; stop it first")]
    Locked(PathBuf),
    /// There was a store, and it is not there any more.
    #[error("the store {0} is gone; what stands beside it says that there was one")]
    Gone(PathBuf),
    /// The store was restored or replaced, and nobody has confirmed it.
    #[error("the store is in doubt: it is older than what this host did last")]
    InDoubt,
    /// The directory or lock file can't be made.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// A webhook could not be made durable; the sender must try again.
    #[error("the journal could not be written: {message}")]
    Append {
        /// Code of what stopped it.
        code: &'static str,
        /// The same for a person.
        message: String,
    },
    /// A unit would take its installation over the quota of plugin storage.
    #[error("the connector's storage is full")]
    StorageQuota,
    /// A unit would take its installation over the number of extra jobs that it may have.
    #[error("the connector has as many extra jobs as it may")]
    JobsQuota,
    /// What a transaction read changed before it could commit; run it again.
    #[error("a concurrent change; run the unit again")]
    Conflict,
}

impl StoreError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Sqlite(error) => of_sqlite(error),
            Self::Newer { .. } => "store-newer",
            Self::Lost(code) => code,
            Self::Network(..) => "store-on-network",
            Self::Foreign => "store-foreign",
            Self::Corrupt(_) => "store-corrupt",
            Self::Locked(_) => "store-in-use",
            Self::Gone(_) => "store-gone",
            Self::InDoubt => "store-in-doubt",
            Self::Append { code, .. } => code,
            _ => "store-failed",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self.code() {
            "store-disk-full" => "Make room on the disk; the host goes on by itself.",
            "store-io" => {
                "Look at the disk, and at limits on the size of files and quotas; the host goes on by itself once writing works."
            }
            "store-corrupt" => {
                "Look at the disk, then put the newest backup back with `harness restore`. The file itself is not changed."
            }
            SYNC_FAILED => {
                "Look at the disk, then start the host again: it looks at the whole file first. What was acknowledged and is lost has to be sent again by its source."
            }
            "store-on-network" => "Put host.data_dir on a disk of this machine.",
            "store-foreign" => "Give the host a data directory of its own, or put the right file back.",
            "store-newer" => "Run the version of the program that wrote it, or a newer one.",
            "store-in-use" => "Stop the other host, or give this one a data directory of its own.",
            "store-gone" => {
                "Put it back or restore a backup with `harness restore`; to begin anew without what was known, delete host.generation."
            }
            "store-in-doubt" => "Look at `harness status`, then run `harness restore confirm`.",
            _ => "Look at the data directory of the host and at its disk.",
        }
    }
}

/// Code of what SQLite says.
fn of_sqlite(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => "store-disk-full",
        Some(Code::SystemIoFailure) => "store-io",
        Some(Code::DatabaseCorrupt) => "store-corrupt",
        Some(Code::NotADatabase) => "store-foreign",
        _ => "store-failed",
    }
}

/// Code of what ends the use of the file, by SQLite's own extended code.
pub(super) fn fatal(extended: c_int) -> Option<&'static str> {
    match extended {
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Some(SYNC_FAILED),
        _ if matches!(extended & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => Some("store-corrupt"),
        _ => None,
    }
}
