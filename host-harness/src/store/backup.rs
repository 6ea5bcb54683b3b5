//! A copy of the store, and putting one back (design rule 14).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::{Store, StoreError, check, doubt, generation};
use crate::world::Millis;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file that is to be written exists.
    #[error("{0} exists")]
    Exists(PathBuf),
    /// There is no such backup.
    #[error("{0} can't be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The file is no store, or broken.
    #[error("{0} can't be restored: {1}")]
    Unfit(PathBuf, StoreError),
    /// A file can't be written.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "file-exists",
            Self::Unreadable(..) => "no-backup",
            Self::Unfit(..) => "backup-unfit",
            Self::Io(..) => "not-written",
            Self::Store(error) => error.code(),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Exists(_) => "Choose another name; a backup is never overwritten.",
            Self::Unreadable(..) => "Name a file that `harness backup` wrote.",
            Self::Unfit(..) => "Take an older backup. Nothing was changed.",
            Self::Io(..) => "Look at the disk and at who may write there.",
            Self::Store(error) => error.remedy(),
        }
    }
}

/// Copies the store as it is at one moment, while a host may be writing. The copy is whole and on disk
/// when this returns; it is in doubt from the beginning, wherever it is put.
pub fn backup(store: &Path, to: &Path) -> Result<u64, BackupError> {
    let part = with_suffix(to, ".part");
    let io = |error| BackupError::Io(part.clone(), error);
    if to.exists() {
        return Err(BackupError::Exists(to.into()));
    }
    // Names and addresses of people are in it. SQLite writes into an empty file that is there.
    private(&part).map_err(io)?;
    let made = (|| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(store, flags).map_err(StoreError::from)?;
        source.busy_timeout(std::time::Duration::from_secs(10)).map_err(StoreError::from)?;
        source.execute("VACUUM INTO ?1", params![part.to_string_lossy()]).map_err(StoreError::from)?;
        in_doubt(&part)?;
        sync(&part).map_err(io)?;
        // Not over a file that came to be there meanwhile.
        fs::hard_link(&part, to).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::Exists(to.into()),
            _ => BackupError::Io(to.into(), error),
        })?;
        sync_directory(to).map_err(|error| BackupError::Io(to.into(), error))?;
        fs::metadata(to).map_err(|error| BackupError::Io(to.into(), error))
    })();
    let removed = fs::remove_file(&part).map_err(io);
    let bytes = made?.len();
    removed?;
    Ok(bytes)
}

/// Remembers in the store that it was copied.
pub fn note(store: &Store, now: Millis) -> Result<(), StoreError> {
    store.write(|tx| {
        let put =
            "INSERT INTO host (name, value) VALUES ('last-backup', ?1) ON CONFLICT DO UPDATE SET value = ?1";
        tx.execute(put, [now])?;
        Ok(())
    })
}

/// When the store was last copied by `harness backup`, as far as it knows.
pub fn last(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    Ok(tx.query_row("SELECT value FROM host WHERE name = 'last-backup'", [], |row| row.get(0)).optional()?)
}

/// Puts a backup in the place of the store, in doubt. No host may be using the store; what was there
/// is kept beside it, under the name that is returned.
pub fn restore(store: &Path, from: &Path, now: Millis) -> Result<Option<PathBuf>, BackupError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |error| BackupError::Io(path, error)
    };
    let directory = store.parent().unwrap_or(Path::new("."));
    super::private_directory(directory).map_err(io(directory))?;
    let _lock = Store::lock(store)?;
    let part = store.with_extension("restoring");
    private(&part).map_err(io(&part))?;
    // With its log, where it is a copy that somebody made otherwise.
    let log = with_suffix(from, "-wal");
    fs::copy(from, &part).map_err(|error| BackupError::Unreadable(from.into(), error))?;
    if log.exists() {
        let copied = with_suffix(&part, "-wal");
        private(&copied).map_err(io(&copied))?;
        fs::copy(&log, &copied).map_err(|error| BackupError::Unreadable(log, error))?;
    }
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600)).map_err(io(&part))?;
    let fit = check::whole(&part).and_then(|()| in_doubt(&part));
    if let Err(error) = fit {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&part, suffix)); // the reason is told, not this
        }
        return Err(BackupError::Unfit(from.into(), error));
    }
    sync(&part).map_err(io(&part))?;
    let kept = directory.join(format!("host-replaced-{now}.db"));
    let had_one = store.exists();
    // The log belongs to the file: the new one must never find it. The file goes first, so that a death
    // in between leaves no store, which a start refuses, and not half of one.
    for suffix in ["", "-wal", "-shm"] {
        let old = with_suffix(store, suffix);
        if old.exists() {
            fs::rename(&old, with_suffix(&kept, suffix)).map_err(io(&old))?;
        }
    }
    sync_directory(store).map_err(io(store))?;
    fs::rename(&part, store).map_err(io(store))?;
    sync_directory(store).map_err(io(store))?;
    Ok(had_one.then_some(kept))
}

/// Marks a file that nobody uses, and leaves it without a log beside it.
fn in_doubt(path: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    doubt::mark(&connection, doubt::RESTORED)?;
    generation::forget(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// A file that only this user can read, empty.
pub(super) fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes what a directory says of a file durable.
pub(crate) fn sync_directory(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
