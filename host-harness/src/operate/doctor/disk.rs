//! The disk under the data directory: private, local, with room, and it keeps what is written.

use std::ffi::CString;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Line, size};
use crate::config::HostConfig;
use crate::host;
use crate::quotas::Quotas;
use crate::store::backup::with_suffix;
use crate::store::place::{self, Kind};
use crate::store::{StoreError, backup};

const PART: &str = "disk";
/// Bytes without which a host soon stands still: a log of its usual length (32 MiB), and as much again.
const LEAST: u64 = 64 << 20;

/// Everything about the disk.
pub(super) fn lines(config: &HostConfig, store: &Path) -> Vec<Line> {
    let directory = &config.data_dir;
    let Some(existing) = directory.ancestors().find(|path| path.is_dir()) else {
        let message = format!("nothing of {} exists", directory.display());
        return vec![
            Line::fails(PART, "directory", message).operator("no-data-dir", "Correct `host.data_dir`."),
        ];
    };
    let mut lines = Vec::new();
    if existing == directory.as_path() {
        lines.push(private(directory));
        lines.push(files(store));
    } else {
        let message = format!("{} is not there yet; the host makes it, with mode 0700", directory.display());
        lines.push(Line::holds(PART, "directory", message));
    }
    lines.push(local(existing));
    lines.push(room(config, existing, store));
    lines.push(writable(existing));
    lines
}

fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o7777)
}

fn private(directory: &Path) -> Line {
    let shown = directory.display();
    let Ok(metadata) = std::fs::metadata(directory) else {
        return Line::cannot_tell(PART, "directory", format!("{shown} can't be looked at"))
            .operator("data-dir-unreadable", "Run this as the user of the host.");
    };
    let mode = metadata.permissions().mode() & 0o7777;
    // SAFETY: it has no preconditions.
    let user = unsafe { libc::geteuid() };
    if mode & 0o077 != 0 {
        let message = format!("{shown} has mode {mode:04o}, and personal data is in it");
        return Line::fails(PART, "directory", message)
            .operator("data-dir-open", format!("Run `chmod 700 {shown}`."));
    }
    if metadata.uid() != user {
        let message = format!("{shown} is user {}'s, and this command runs as user {user}", metadata.uid());
        return Line::look(PART, "directory", message)
            .operator("other-user", "Run this as the user of the host, or some lines mean little.");
    }
    Line::holds(PART, "directory", format!("{shown} is open to this user alone"))
}

/// What holds personal data: the store, what SQLite puts beside it, files of vendors.
fn files(store: &Path) -> Line {
    let mut all: Vec<PathBuf> = ["", "-wal", "-shm"].iter().map(|end| with_suffix(store, end)).collect();
    let directory = store.parent().unwrap_or(Path::new("."));
    all.extend([host::spool(directory), host::code_cache(directory)]);
    let wide: Vec<String> = all
        .iter()
        .filter(|path| mode(path).is_some_and(|mode| mode & 0o077 != 0))
        .map(|path| path.display().to_string())
        .collect();
    if wide.is_empty() {
        return Line::holds(PART, "files", "the store and what lies beside it are open to this user alone");
    }
    Line::fails(PART, "files", format!("other users may read {}", wide.join(", ")))
        .operator("store-file-open", format!("Run `chmod go-rwx {}`.", wide.join(" ")))
}

fn local(directory: &Path) -> Line {
    match place::of(directory) {
        Some(Kind::Local) => Line::holds(PART, "file system", "it is a local one"),
        Some(Kind::Network(name)) => {
            let error = StoreError::Network(directory.into(), name);
            Line::fails(PART, "file system", error.to_string()).operator(error.code(), error.remedy())
        }
        Some(Kind::CantTell(name)) => {
            let remedy = StoreError::Network(directory.into(), name).remedy();
            Line::cannot_tell(
                PART,
                "file system",
                format!("a program serves it ({name}); what is behind that can't be seen"),
            )
            .operator("store-perhaps-on-network", remedy)
        }
        None => Line::cannot_tell(PART, "file system", "the system doesn't say on what it lies")
            .operator("file-system-unknown", "Make sure that host.data_dir is on a disk of this machine."),
    }
}

fn room(config: &HostConfig, directory: &Path, store: &Path) -> Line {
    let Some(free) = free(directory) else {
        return Line::cannot_tell(PART, "room", "the system doesn't say how much is free")
            .operator("room-unknown", "Look at the disk with `df`.");
    };
    let store = std::fs::metadata(store).map_or(0, |file| file.len());
    let installations = config.tenants.iter().map(|tenant| tenant.connectors.len() as u64).sum::<u64>();
    let spooled = used(&host::spool(&config.data_dir));
    judge(free, store, (installations * Quotas::DEFAULT.spool_bytes).saturating_sub(spooled))
}

/// `spool` is what the spool may still take.
fn judge(free: u64, store: u64, spool: u64) -> Line {
    let wanted = store.saturating_add(spool);
    let message = format!(
        "{} are free; a copy of the store takes {}, and vendors' files may take {} more",
        size(free),
        size(store),
        size(spool)
    );
    if free < LEAST {
        return Line::fails(PART, "room", message)
            .operator("disk-almost-full", "Make room on the disk before the host has to refuse webhooks.");
    }
    if free < wanted {
        let remedy = "Make room, or see to it that backups go to another disk and that few large files are read at once.";
        return Line::look(PART, "room", message).operator("disk-short", remedy);
    }
    Line::holds(PART, "room", message)
}

/// Bytes that this user may still write.
fn free(directory: &Path) -> Option<u64> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero, and the structure is read only where the call filled it.
    let found =
        unsafe { (libc::statvfs(path.as_ptr(), found.as_mut_ptr()) == 0).then(|| found.assume_init())? };
    #[allow(clippy::unnecessary_cast)] // the types differ from system to system
    Some((found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// Bytes of the files in the folders of a directory.
fn used(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => used(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

const PROBE: &[u8] = b"written by `harness doctor` to see whether the disk keeps it\n";

fn writable(directory: &Path) -> Line {
    match probe(directory) {
        Ok(true) => Line::holds(PART, "writing", "a probe was written, synced, read back and removed"),
        Ok(false) => Line::fails(PART, "writing", "a probe came back as something else than was written")
            .operator(
                "disk-not-kept",
                "Put host.data_dir on another disk, and restore the newest backup there.",
            ),
        Err(error) => {
            let code = match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "store-disk-full",
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    "data-dir-not-writable"
                }
                _ => "store-io",
            };
            let message = format!("nothing can be written to {}: {}", directory.display(), error.kind());
            let remedy =
                "Let the user of the host own the data directory, and look at its disk and at quotas.";
            Line::fails(PART, "writing", message).operator(code, remedy)
        }
    }
}

/// The file is removed however this ends.
fn probe(directory: &Path) -> std::io::Result<bool> {
    let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(directory)?;
    file.write_all(PROBE)?;
    file.as_file().sync_all()?;
    backup::sync_directory(file.path())?;
    file.rewind()?;
    let mut read = Vec::new();
    file.read_to_end(&mut read)?;
    file.close()?;
    Ok(read == PROBE)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn room_is_judged_by_what_the_host_may_come_to_need() {
        let state = |free, store, spool| judge(free, store, spool).state;
        assert_eq!(state(10 << 30, 1 << 30, 4 << 30), State::Holds);
        assert_eq!(state(4 << 30, 1 << 30, 4 << 30), State::LookAtIt);
        assert_eq!(state(LEAST, 0, 0), State::Holds);
        assert_eq!(state(LEAST - 1, 0, 0), State::Fails);
        assert!(free(Path::new("/")).is_some(), "the system is really asked");
    }
}
