//! What can go wrong with the store, and what to do about it.

use std::path::PathBuf;

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
    #[error("the connector's storage is full (256 MiB)")]
    StorageQuota,
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
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => "store-corrupt",
        _ => "store-failed",
    }
}
