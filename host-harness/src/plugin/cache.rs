//! Compiled code on disk, so that a restart doesn't compile again.
//!
//! A file is named by the SHA-256 of the component and of everything of the engine that the code
//! depends on. It begins with the SHA-256 of its name and of what follows: what is torn, rotten or
//! lies under another's name is compiled anew.
//!
//! Whoever can write the directory can make the host run anything: it is closed to other users, no
//! guest has files, and no tenant's word gets into a name.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// A private directory of compiled code.
pub struct Cache {
    directory: PathBuf,
    writes: bool,
}

impl Cache {
    /// Opens or makes the directory. It must belong to this user, and nobody else may write it:
    /// what lies in it is run as native code.
    pub fn open(directory: &Path) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Self::check(directory)?;
        Ok(Self { directory: directory.to_owned(), writes: true })
    }

    /// The same for somebody who changes nothing; none where there is no such directory, or not one that may
    /// be used.
    pub fn read_only(directory: &Path) -> Option<Self> {
        Self::check(directory).ok()?;
        Some(Self { directory: directory.to_owned(), writes: false })
    }

    fn check(directory: &Path) -> std::io::Result<()> {
        let refuse = |why| Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
        let metadata = std::fs::symlink_metadata(directory)?;
        // SAFETY: geteuid has no preconditions and can't fail.
        let user = unsafe { libc::geteuid() };
        if !metadata.is_dir() || metadata.uid() != user {
            return refuse("the cache of compiled code has to be a directory of this user");
        }
        if metadata.mode() & 0o077 != 0 {
            return refuse("the cache of compiled code has to be closed to other users (mode 0700)");
        }
        Ok(())
    }

    /// Takes over what another cache holds, as far as it can: it only saves time.
    pub fn copy_from(&self, other: &Self) {
        let Ok(entries) = std::fs::read_dir(&other.directory) else { return };
        for entry in
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "cwasm"))
        {
            // What can't be copied is compiled anew, and so is what was copied in part.
            let _ = std::fs::copy(entry.path(), self.directory.join(entry.file_name()));
        }
    }

    /// The compiled component, from disk where possible.
    pub fn component(&self, engine: &Engine, digest: [u8; 32], bytes: &[u8]) -> wasmtime::Result<Component> {
        let key = key(engine, digest);
        let path = self.directory.join(format!("{key}.cwasm"));
        if let Some(component) = read(engine, &path, &key) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, bytes)?;
        if !self.writes {
            return Ok(component);
        }
        if let Err(e) = write(&self.directory, &path, &key, &component.serialize()?) {
            // The cache only saves time; the component runs without it.
            tracing::warn!(error = %e, "compiled code could not be cached");
        }
        Ok(component)
    }
}

fn key(engine: &Engine, digest: [u8; 32]) -> String {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn finish(&self) -> u64 {
            0 // Not used: the whole digest is taken.
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut sink = Sink(Sha256::new());
    sink.write(&digest);
    engine.precompile_compatibility_hash().hash(&mut sink);
    crate::hex::encode(&sink.0.finalize())
}

fn sum(key: &str, code: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(code).finalize().into()
}

fn read(engine: &Engine, path: &Path, key: &str) -> Option<Component> {
    let file = std::fs::read(path).ok()?;
    let (expected, code) = file.split_at_checked(32)?;
    if sum(key, code) != expected {
        return None;
    }
    // SAFETY: the code was written by `write` below, whole and for this component (its sum says so),
    // into a directory that only this user can write, by an engine of the same version and
    // configuration (the key says so). Nothing that came from a tenant or over a network gets here.
    unsafe { Component::deserialize(engine, code) }.ok()
}

fn write(directory: &Path, path: &Path, key: &str, code: &[u8]) -> std::io::Result<()> {
    static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let unique = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let draft = directory.join(format!("draft-{}-{unique}", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&sum(key, code))?;
        file.write_all(code)?;
        std::fs::rename(&draft, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&draft); // the first error is the one to report
    }
    written
}
