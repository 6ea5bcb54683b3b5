//! Large remote files on the host's disk.
//!
//! A file is downloaded once, inflated if it is gzip, and then read by offset, in this unit and
//! in later ones. It is named by the digest of what it is (installation, endpoint, path) and of
//! its etag, so that a changed file is another file. The directory is private: files hold
//! personal data.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inflate::{InflateError, inflate};
use super::{Egress, Into, failure};
use crate::contract::http::{Error, ErrorKind, Method, Request};
use crate::contract::objects::Object;

/// Inflated bytes of one installation, unless said otherwise.
const QUOTA: u64 = 1 << 30;
/// Largest piece of one read.
const READ: u32 = 4 << 20;
/// First bytes of gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Files of all installations.
pub struct Spool {
    directory: PathBuf,
    quota: u64,
}

/// The current version of a file.
#[derive(Serialize, Deserialize)]
struct Current {
    etag: String,
    size: u64,
}

impl Spool {
    /// Files are kept under `directory`, which is made with mode 0700 when the first one comes.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), quota: QUOTA }
    }

    /// With another quota: inflated bytes that one installation may keep. The files that were
    /// opened longest ago give way.
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
        let home = self.home(installation);
        let name = name(endpoint, path);
        make_private(&home).map_err(disk)?;
        let known = current(&home, &name).filter(|known| self.data(&home, &name, &known.etag).exists());
        if let (Some(etag), Some(known)) = (etag, &known)
            && known.etag == etag
        {
            self.touch(&home, &name, etag);
            return Ok(Object { etag: known.etag.clone(), size: known.size });
        }
        let fetched = self.fetch(egress, &home, &name, endpoint, path, known.as_ref())?;
        let object = match (fetched, known) {
            (Some(fetched), _) => fetched,
            (None, Some(known)) => known,
            (None, None) => {
                return Err(failure(
                    ErrorKind::BadAnswer,
                    "bad-answer",
                    "a file that was never read is unchanged",
                ));
            }
        };
        if etag.is_some_and(|etag| etag != object.etag) {
            return Err(Error {
                request_sent: true,
                ..failure(ErrorKind::BadAnswer, "object-changed", "the file has changed; begin it anew")
            });
        }
        self.touch(&home, &name, &object.etag);
        self.make_room(&home, &name).map_err(disk)?;
        Ok(Object { etag: object.etag, size: object.size })
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
        let home = self.home(installation);
        let file = match File::open(self.data(&home, &name(endpoint, path), etag)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(failure(
                    ErrorKind::BadAnswer,
                    "object-gone",
                    "the file was dropped; open it again",
                ));
            }
            Err(e) => return Err(disk(e)),
        };
        let size = file.metadata().map_err(disk)?.len();
        let length = u64::from(length.min(READ)).min(size.saturating_sub(offset));
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, offset).map_err(disk)?;
        Ok(bytes)
    }

    /// Downloads into a new file. None where the vendor says that the known one is current.
    fn fetch(
        &self,
        egress: &Egress,
        home: &Path,
        name: &str,
        endpoint: &str,
        path: &[String],
        known: Option<&Current>,
    ) -> Result<Option<Current>, Error> {
        let request = Request {
            endpoint: endpoint.to_owned(),
            method: Method::Get,
            path: path.to_vec(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
        };
        let mut raw = Draft::new(home).map_err(disk)?;
        // An etag that the host made up means nothing to the vendor.
        let condition = known.map(|known| known.etag.as_str()).filter(|etag| !etag.starts_with("sha256:"));
        let condition: Vec<_> = condition.map(|etag| ("if-none-match", etag)).into_iter().collect();
        let response = egress.exchange(request, &condition, Into::File(&mut raw.file, self.quota))?;
        match response.status {
            304 if known.is_some() => return Ok(None),
            200 => {}
            status => {
                return Err(Error {
                    request_sent: true,
                    ..failure(
                        ErrorKind::BadAnswer,
                        &format!("object-status-{status}"),
                        "the vendor didn't give the file",
                    )
                });
            }
        }
        let content = raw.inflated(home, self.quota)?;
        let size = content.file.metadata().map_err(disk)?.len();
        let etag = match response.header("etag").filter(|etag| !etag.is_empty() && etag.len() <= 512) {
            Some(etag) => etag.to_owned(),
            None => content.digest().map_err(disk)?,
        };
        let fetched = Current { etag, size };
        content.keep(&self.data(home, name, &fetched.etag)).map_err(disk)?;
        let mut pointer = Draft::new(home).map_err(disk)?;
        serde_json::to_writer(&mut pointer.file, &fetched).map_err(|e| disk(e.into()))?;
        pointer.keep(&home.join(format!("{name}.json"))).map_err(disk)?;
        if let Some(known) = known
            && known.etag != fetched.etag
        {
            let _ = fs::remove_file(self.data(home, name, &known.etag)); // may be gone already
        }
        Ok(Some(fetched))
    }

    fn home(&self, installation: &str) -> PathBuf {
        self.directory.join(digest(&[installation]))
    }

    fn data(&self, home: &Path, name: &str, etag: &str) -> PathBuf {
        home.join(format!("{name}.{}", digest(&[etag])))
    }

    fn touch(&self, home: &Path, name: &str, etag: &str) {
        if let Ok(file) = File::options().append(true).open(self.data(home, name, etag)) {
            let _ = file.set_modified(SystemTime::now()); // only the order of giving way depends on it
        }
    }

    /// Drops what was opened longest ago until the installation is within its quota again.
    fn make_room(&self, home: &Path, keep: &str) -> io::Result<()> {
        let mut files = Vec::new();
        let mut total = 0;
        for entry in fs::read_dir(home)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            total += metadata.len();
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        for (_, size, path) in files {
            let kept = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(keep));
            if total <= self.quota || kept {
                continue;
            }
            fs::remove_file(&path)?;
            total -= size;
        }
        Ok(())
    }
}

/// A file that is not yet what its name will say. Removed unless it is kept.
struct Draft {
    file: File,
    path: Option<PathBuf>,
}

impl Draft {
    fn new(home: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = home.join(format!("draft-{}-{unique}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path: Some(path) })
    }

    /// The same content, or what it inflates to where it is gzip.
    fn inflated(mut self, home: &Path, quota: u64) -> Result<Self, Error> {
        let mut magic = [0; 2];
        self.file.seek(SeekFrom::Start(0)).map_err(disk)?;
        let gzip = self.file.read_exact(&mut magic).is_ok() && magic == GZIP;
        self.file.seek(SeekFrom::Start(0)).map_err(disk)?;
        if !gzip {
            return Ok(self);
        }
        let mut content = Self::new(home).map_err(disk)?;
        match inflate(BufReader::new(&self.file), quota, &mut content.file) {
            Ok(_) => Ok(content),
            Err(InflateError::Source(e) | InflateError::Sink(e)) => Err(disk(e)),
            Err(InflateError::TooLarge) => {
                Err(refused("object-too-large", "the file is larger than it may be"))
            }
            Err(InflateError::Broken) => {
                Err(refused("object-broken", "the file is not the gzip that it claims to be"))
            }
        }
    }

    fn digest(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(format!("sha256:{}", crate::hex::encode(&hash.finalize()))),
                read => hash.update(&buffer[..read]),
            }
        }
    }

    fn keep(mut self, path: &Path) -> io::Result<()> {
        self.file.flush()?;
        if let Some(draft) = self.path.take() {
            fs::rename(draft, path)?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path); // a draft that stays gives way like any other file
        }
    }
}

fn current(home: &Path, name: &str) -> Option<Current> {
    serde_json::from_slice(&fs::read(home.join(format!("{name}.json"))).ok()?).ok()
}

fn name(endpoint: &str, path: &[String]) -> String {
    let mut parts = vec![endpoint];
    parts.extend(path.iter().map(String::as_str));
    digest(&parts)
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

fn make_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn refused(code: &str, message: &str) -> Error {
    Error { request_sent: true, ..failure(ErrorKind::BadAnswer, code, message) }
}

/// The host's disk failed; the operator sees why, the guest only that it did.
fn disk(error: io::Error) -> Error {
    tracing::warn!(%error, "the spool can't be used");
    failure(ErrorKind::Unreachable, "spool-unusable", "the host can't keep files now")
}
