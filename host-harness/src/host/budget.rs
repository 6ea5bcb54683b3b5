//! Whether the process may have what the host is going to need: looked at before anything is taken in,
//! because running out of it later would meet every tenant.

use std::path::Path;

use super::StartError;
use super::workers::UNIT_THREADS;
use crate::intake;
use crate::plugin::limits::Limits;

/// Open files beside the connections of intake: the store's readers, calls to vendors and to Brevo,
/// files that are downloaded, the log.
const OTHER_FILES: u64 = 256;
/// Bytes beside instances and bodies: compiled code, caches of the store, answers of vendors, threads.
const OTHER_MEMORY: u64 = 192 << 20;

/// Raises the limit of open files as far as that is needed, and says where a limit is too low.
pub(super) fn check() -> Result<(), StartError> {
    enough_files(raise_files(needed_files()))?;
    enough_memory(memory())
}

/// What the process may have against what a host needs; where the system doesn't say, there is no number.
pub(crate) struct Budget {
    /// Files that it may open at once, after it raised the limit as far as it may.
    pub files: Option<u64>,
    pub needed_files: u64,
    /// Bytes of memory.
    pub memory: Option<u64>,
    pub needed_memory: u64,
}

/// Looks, and changes no limit.
pub(crate) fn look() -> Budget {
    Budget {
        files: limit_of_files().map(|limit| limit.rlim_max),
        needed_files: needed_files(),
        memory: memory(),
        needed_memory: needed_memory(),
    }
}

fn needed_files() -> u64 {
    intake::Options::default().connections as u64 + OTHER_FILES
}

/// Each thread has an instance, and one more reads ahead.
fn needed_memory() -> u64 {
    let instances = (UNIT_THREADS as u64 + 1) * Limits::DEFAULT.memory as u64;
    instances + intake::Options::default().body_budget as u64 + OTHER_MEMORY
}

fn enough_files(have: Option<u64>) -> Result<(), StartError> {
    let need = needed_files();
    match have {
        Some(have) if have < need => Err(StartError::TooFewFiles { have, need }),
        _ => Ok(()),
    }
}

fn enough_memory(have: Option<u64>) -> Result<(), StartError> {
    let need = needed_memory();
    match have {
        Some(have) if have < need => Err(StartError::TooLittleMemory { have, need }),
        _ => Ok(()),
    }
}

/// The limit of open files afterwards; none where the system doesn't say.
fn raise_files(need: u64) -> Option<u64> {
    let mut limit = limit_of_files()?;
    if limit.rlim_cur < need {
        let raised = libc::rlimit { rlim_cur: need.min(limit.rlim_max), ..limit };
        // SAFETY: the call gets a whole structure of its own.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            limit = raised;
        }
    }
    Some(limit.rlim_cur)
}

fn limit_of_files() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call gets a whole structure of its own.
    (unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0).then_some(limit)
}

/// The memory that this process may have: of its control groups and of the machine, whichever is less.
fn memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of_groups = groups.lines().filter_map(|line| line.strip_prefix("0::")).flat_map(|path| {
        let own = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
        let up: Vec<_> = own.ancestors().take_while(|path| path.starts_with("/sys/fs/cgroup")).collect();
        let max = |path: &&Path| std::fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok();
        up.iter().filter_map(max).collect::<Vec<u64>>()
    });
    of_groups.chain(total(&machine)).min()
}

/// Bytes by the first line that says so of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h14_too_little_memory_is_refused_at_the_start_and_enough_is_not() {
        assert!(enough_memory(None).is_ok());
        assert!(enough_memory(Some(needed_memory())).is_ok());
        let refused = enough_memory(Some(needed_memory() - 1));
        assert!(matches!(&refused, Err(error) if error.code() == "too-little-memory"
            && error.remedy().contains("memory")));
        assert!(needed_memory() < 1 << 30, "a container of a gigabyte is enough");
        assert_eq!(total("MemTotal:       24684204 kB\nMemFree: 1 kB\n"), Some(24_684_204 * 1_024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20), "the system is really asked");
    }
}
