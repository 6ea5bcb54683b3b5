//! The store, copied to a place where a plan may write.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::PlanError;
use crate::host::{STORE_FILE, code_cache};
use crate::plugin::cache::Cache;
use crate::store::{Store, StoreError, generation};

/// How the directories of copies are called.
const PREFIX: &str = "harness-plan-";

/// A copy of a store in a directory that only this user may enter; deleted when it is dropped.
pub(super) struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    /// Copies the store as it is at one moment. It is only read, a running host is not held up.
    pub fn of(data_dir: &Path, scratch: Option<&Path>) -> Result<Self, PlanError> {
        let store = data_dir.join(STORE_FILE);
        let place = scratch.map_or_else(std::env::temp_dir, Path::to_path_buf);
        sweep(&place);
        let mut builder = tempfile::Builder::new();
        let directory =
            builder.prefix(PREFIX).tempdir_in(&place).map_err(|e| PlanError::Scratch(place, e))?;
        let copy = Self { directory };
        if !store.exists() {
            return Ok(copy); // nothing is known yet: the plan is that of a first start
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = || -> Result<(), StoreError> {
            let connection = Connection::open_with_flags(&store, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            let target = copy.store();
            connection.execute("VACUUM INTO ?1", params![target.to_string_lossy()])?;
            // It is the memory of no host; a store in doubt stays so.
            generation::forget(&Connection::open(&target)?)
        };
        read().map_err(PlanError::Copy)?;
        copy.take_compiled(&code_cache(data_dir));
        Ok(copy)
    }

    /// The directory, for a host to work in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Compiled code, so that nothing is compiled again for a plan.
    fn take_compiled(&self, known: &Path) {
        // Opening makes a directory, and nothing is made beside the store.
        if known.is_dir()
            && let (Ok(known), Ok(own)) = (Cache::open(known), Cache::open(&code_cache(self.directory())))
        {
            own.copy_from(&known);
        }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join(STORE_FILE)
    }
}

/// Deletes copies that a plan left behind when it was killed. What is in use has its lock taken.
fn sweep(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let store = entry.path().join(STORE_FILE);
        let begun = store.with_extension("lock").exists();
        if ours && begun && !Store::is_in_use(&store) {
            let _ = std::fs::remove_dir_all(entry.path()); // somebody else's can't be deleted, and isn't
        }
    }
}
