//! Where a store may lie. SQLite's log needs locks and shared memory that all processes see, and syncs
//! that reach a disk; file systems of the network promise neither.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::StoreError;

/// Refuses a directory on a file system that is known to be one of the network.
pub(super) fn refuse_network(store: &Path) -> Result<(), StoreError> {
    let directory = store.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match of(directory) {
        Some(Kind::Network(name)) => Err(StoreError::Network(directory.into(), name)),
        Some(Kind::CantTell(name)) => {
            let remedy = StoreError::Network(directory.into(), name).remedy();
            tracing::warn!(code = "store-perhaps-on-network", name, remedy, "the store may lie on a network");
            Ok(())
        }
        Some(Kind::Local) | None => Ok(()),
    }
}

/// On what a directory lies; none where the system doesn't say.
pub(crate) fn of(directory: &Path) -> Option<Kind> {
    magic(directory).map(kind)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Local,
    Network(&'static str),
    /// A program serves it; what is behind that can't be seen.
    CantTell(&'static str),
}

/// By the number that statfs(2) gives; the numbers stand in linux/magic.h and in the file systems' own
/// sources.
fn kind(magic: u32) -> Kind {
    match magic {
        0x6969 => Kind::Network("NFS"),
        0x517b => Kind::Network("SMB"),
        0xff53_4d42 => Kind::Network("CIFS"),
        0xfe53_4d42 => Kind::Network("SMB2"),
        0x0102_1997 => Kind::Network("9P"),
        0x00c3_6400 => Kind::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => Kind::Network("AFS"),
        0x7375_7245 => Kind::Network("Coda"),
        0x564c => Kind::Network("NCP"),
        0x0116_1970 => Kind::Network("GFS2"),
        0x7461_636f => Kind::Network("OCFS2"),
        0x0bd0_0bd0 => Kind::Network("Lustre"),
        0x4750_4653 => Kind::Network("GPFS"),
        0x6573_5546 => Kind::CantTell("FUSE"),
        _ => Kind::Local,
    }
}

/// None where the system doesn't say.
#[cfg(target_os = "linux")]
fn magic(directory: &Path) -> Option<u32> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with a zero, and the structure is read only where the call filled it.
    unsafe {
        (libc::statfs(path.as_ptr(), found.as_mut_ptr()) == 0).then(|| found.assume_init().f_type as u32)
    }
}

#[cfg(not(target_os = "linux"))]
fn magic(_: &Path) -> Option<u32> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn h10_a_network_file_system_is_refused_and_what_a_program_serves_is_warned_of() {
        for (magic, name) in [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x0102_1997, "9P")] {
            assert_eq!(kind(magic), Kind::Network(name));
        }
        assert_eq!(kind(0x6573_5546), Kind::CantTell("FUSE"));
        // ext4, XFS, Btrfs, ZFS, tmpfs, overlay
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0x0102_1994, 0x794c_7630] {
            assert_eq!(kind(magic), Kind::Local);
        }
        let refused = StoreError::Network("/mnt".into(), "NFS");
        assert_eq!(refused.code(), "store-on-network");
        assert!(refused.remedy().contains("data_dir"));
        // The system is really asked.
        assert!(magic(Path::new("/proc")).is_some_and(|magic| magic == 0x9fa0));
    }
}
