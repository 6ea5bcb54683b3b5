//! How a spooled file lies on the disk: its content, its etag, and a trailer that says where each
//! of them ends. One file holds everything, so that one rename makes it appear whole, and a file
//! that a power cut shortened is no file.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// Ends every file; another layout gets another one.
const MAGIC: &[u8; 8] = b"spooled1";
/// Size of the content, length of the etag, magic.
const TRAILER: u64 = 8 + 4 + 8;
/// Begins the name of a file that is not whole yet.
pub const DRAFT: &str = "draft-";

/// A whole file.
pub struct Spooled {
    file: File,
    /// Identity of the content.
    pub etag: String,
    /// Bytes of the content.
    pub size: u64,
}

impl Spooled {
    /// None where there is no whole file of this name.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        let Some(at) = length.checked_sub(TRAILER) else { return Ok(None) };
        let mut trailer = [0; TRAILER as usize];
        file.read_exact_at(&mut trailer, at)?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, e0, e1, e2, e3, magic @ ..] = trailer;
        let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let etag_length = u32::from_le_bytes([e0, e1, e2, e3]);
        if magic != *MAGIC || size.checked_add(u64::from(etag_length)) != Some(at) {
            return Ok(None);
        }
        let mut etag = vec![0; etag_length as usize];
        file.read_exact_at(&mut etag, size)?;
        Ok(String::from_utf8(etag).ok().map(|etag| Self { file, etag, size }))
    }

    /// Up to `length` bytes of the content from `offset`.
    pub fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let length = u64::from(length).min(self.size.saturating_sub(offset));
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Makes it the file that was used last.
    pub fn touch(&self) {
        let _ = self.file.set_modified(SystemTime::now()); // only the order of giving way depends on it
    }
}

/// A file that is being written. Removed unless it is kept.
pub struct Draft {
    file: File,
    path: Option<PathBuf>,
    size: u64,
    /// Of the content, for files that have no etag.
    hash: Option<Sha256>,
}

impl Draft {
    /// An empty one. `hashed` where the content has to be its own identity.
    pub fn new(home: &Path, hashed: bool) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = home.join(format!("{DRAFT}{}-{unique}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path: Some(path), size: 0, hash: hashed.then(Sha256::new) })
    }

    /// Another one beside it, for what is unpacked from it.
    pub fn sibling(&self) -> io::Result<Self> {
        let home = self.path.as_deref().and_then(Path::parent);
        Self::new(home.ok_or(io::ErrorKind::NotFound)?, self.hash.is_some())
    }

    /// What was written, from its begin. Nothing more may be written.
    pub fn reader(&mut self) -> io::Result<&File> {
        self.file.rewind()?;
        Ok(&self.file)
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the file and gives it its name. Without `etag`, its content names it.
    pub fn keep(mut self, path: &Path, etag: Option<&str>) -> io::Result<(String, u64)> {
        let etag = match (etag, self.hash.take()) {
            (Some(etag), _) => etag.to_owned(),
            (None, Some(hash)) => format!("sha256:{}", crate::hex::encode(&hash.finalize())),
            (None, None) => return Err(io::Error::other("a file without an identity")),
        };
        let size = self.size;
        let mut end = etag.clone().into_bytes();
        let etag_length = u32::try_from(end.len()).map_err(io::Error::other)?;
        end.extend(size.to_le_bytes());
        end.extend(etag_length.to_le_bytes());
        end.extend(MAGIC);
        self.file.write_all(&end)?;
        if let Some(draft) = &self.path {
            fs::rename(draft, path)?;
            self.path = None;
        }
        Ok((etag, size))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path); // swept when the host starts again
        }
    }
}
