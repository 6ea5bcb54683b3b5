//! Large remote files on the host's disk.
//!
//! A file is downloaded once, unpacked if it is gzip or a zip archive of one file, and then read
//! by offset, in this unit and in later ones. It is named by the digest of what it is (endpoint and
//! path), in a folder of its installation. A draft gets the name when it is whole, so that there
//! never is half a file. All of this is a cache: nothing is synced, and what a crash leaves is
//! swept at the next start. The directory is private, because files hold personal data.

mod content;
mod download;
mod file;

#[doc(hidden)] // for `fuzz/`
pub use self::content::{Content, Fault};
#[doc(hidden)]
pub use self::file::Draft;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use self::download::{Partial, RESERVE, disk, not_ready, refused};
use self::file::{DRAFT, Spooled};
use super::{Egress, failure};
use crate::contract::http::{Error, ErrorKind};
use crate::contract::objects::Object;

/// Inflated bytes of one installation, unless said otherwise.
const QUOTA: u64 = 1 << 30;
/// Largest piece of one read.
const READ: u32 = 4 << 20;
/// Most downloads of a spool that wait for their next unit, and how long in real time.
const PAUSED: (usize, Duration) = (4, Duration::from_secs(3_600));

/// Files of installations. One host at a time uses a directory.
pub struct Spool {
    directory: PathBuf,
    quota: u64,
    work: Mutex<Work>,
    /// A file is not busy any more.
    free: Condvar,
}

#[derive(Default)]
struct Work {
    /// Files that a unit is getting now.
    busy: BTreeSet<PathBuf>,
    /// Downloads that wait for their next unit.
    paused: BTreeMap<PathBuf, Partial>,
    /// Folders in which nothing of an earlier process is left.
    swept: BTreeSet<PathBuf>,
}

/// Where a file lies.
struct Place {
    home: PathBuf,
    name: String,
}

impl Place {
    fn path(&self) -> PathBuf {
        self.home.join(&self.name)
    }
}

/// The right to get a file; one unit at a time has it.
struct Turn<'a> {
    spool: &'a Spool,
    path: PathBuf,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.spool.work().busy.remove(&self.path);
        self.spool.free.notify_all();
    }
}

impl Spool {
    /// Files are kept under `directory`, which is made with mode 0700 when the first one comes.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), quota: QUOTA, work: Mutex::default(), free: Condvar::new() }
    }

    /// With another quota: inflated bytes that one installation may keep. The files that were
    /// opened longest ago give way. It is also the largest file.
    pub fn with_quota(self, bytes: u64) -> Self {
        Self { quota: bytes, ..self }
    }

    pub(super) fn open(
        &self,
        egress: &Egress,
        installation: &str,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<Object, Error> {
        let place = self.place(installation, endpoint, path);
        self.prepare(&place.home).map_err(disk)?;
        if let Some(object) = current(&place, etag)? {
            return Ok(object);
        }
        let _turn = self.turn(&place, egress)?;
        // Another unit may have got it meanwhile.
        if let Some(object) = current(&place, etag)? {
            return Ok(object);
        }
        let known = Spooled::open(&place.path()).map_err(disk)?;
        let fetched = self.fetch(egress, &place, endpoint, path, known.as_ref())?;
        let object = match (fetched, known) {
            (Some((etag, size)), _) => Object { etag, size },
            (None, Some(known)) => {
                known.touch();
                Object { etag: known.etag, size: known.size }
            }
            (None, None) => return Err(refused("bad-answer", "a file that was never read is unchanged")),
        };
        self.make_room(&place).map_err(disk)?;
        if etag.is_some_and(|etag| etag != object.etag) {
            return Err(refused("object-changed", "the file has changed; begin it anew"));
        }
        Ok(object)
    }

    pub(super) fn read(
        &self,
        installation: &str,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        let file = Spooled::open(&self.place(installation, endpoint, path).path()).map_err(disk)?;
        match file.filter(|file| file.etag == etag) {
            Some(file) => file.read(offset, length.min(READ)).map_err(disk),
            None => Err(failure(ErrorKind::BadAnswer, "object-gone", "the file was dropped; open it again")),
        }
    }

    fn place(&self, installation: &str, endpoint: &str, path: &[String]) -> Place {
        let mut parts = vec![endpoint];
        parts.extend(path.iter().map(String::as_str));
        Place { home: self.directory.join(digest(&[installation])), name: digest(&parts) }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the folder, and once removes what an earlier process left unfinished.
    fn prepare(&self, home: &Path) -> io::Result<()> {
        let mut work = self.work();
        if work.swept.contains(home) && home.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        for entry in fs::read_dir(home)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(DRAFT) {
                removed(&entry.path())?;
            }
        }
        work.swept.insert(home.to_owned());
        Ok(())
    }

    /// Waits until no other unit is getting this file, as long as this unit may.
    fn turn(&self, place: &Place, egress: &Egress) -> Result<Turn<'_>, Error> {
        let path = place.path();
        let mut work = self.work();
        while work.busy.contains(&path) {
            let left = egress.left().saturating_sub(RESERVE);
            if left.is_zero() {
                return Err(not_ready(false, "another unit is downloading the file"));
            }
            work = self.free.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        work.busy.insert(path.clone());
        drop(work);
        Ok(Turn { spool: self, path })
    }

    /// Takes up a download that waits.
    fn paused(&self, place: &Place) -> Option<Partial> {
        let mut work = self.work();
        work.paused.retain(|_, partial| partial.touched.elapsed() < PAUSED.1);
        work.paused.remove(&place.path())
    }

    /// Lets a download wait for the next unit.
    fn pause(&self, place: &Place, mut partial: Partial) {
        partial.touched = std::time::Instant::now();
        let mut work = self.work();
        work.paused.insert(place.path(), partial);
        if work.paused.len() > PAUSED.0 {
            let oldest = work.paused.iter().min_by_key(|(_, partial)| partial.touched);
            if let Some(path) = oldest.map(|(path, _)| path.clone()) {
                work.paused.remove(&path);
            }
        }
    }

    /// Drops what was opened longest ago until the installation is within its quota again. Files
    /// that are being written count, and stay.
    fn make_room(&self, place: &Place) -> io::Result<()> {
        let mut files = Vec::new();
        let mut total = 0_u64;
        for entry in fs::read_dir(&place.home)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue, // another unit was faster
                Err(e) => return Err(e),
            };
            total = total.saturating_add(metadata.len());
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name != place.name && !name.starts_with(DRAFT) {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        for (_, size, path) in files {
            if total <= self.quota {
                break;
            }
            removed(&path)?;
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

/// The file, where it is known to be the one that is asked for.
fn current(place: &Place, etag: Option<&str>) -> Result<Option<Object>, Error> {
    let Some(etag) = etag else { return Ok(None) };
    let known = Spooled::open(&place.path()).map_err(disk)?.filter(|known| known.etag == etag);
    Ok(known.map(|known| {
        known.touch();
        Object { etag: known.etag, size: known.size }
    }))
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()), // another unit was faster
        other => other,
    }
}

/// Digest of several texts; no two lists share one.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    crate::hex::encode(&hash.finalize()[..16])
}
