//! What the process may have, and what guests may.

use super::{Line, size};
use crate::host::budget::{self, Budget};
use crate::plugin::limits::Limits;

const PART: &str = "limits";

/// Everything about limits. Those of the system are this command's own: a service may have others.
pub(super) fn lines() -> Vec<Line> {
    let budget = budget::look();
    vec![files(&budget), memory(&budget), core_dumps(), addresses(), guests()]
}

fn files(budget: &Budget) -> Line {
    let need = budget.needed_files;
    match budget.files {
        Some(have) if have < need => {
            Line::fails(PART, "open files", format!("{have} are allowed here, and a host may need {need}"))
                .operator("too-few-files", "Raise the hard limit of open files (ulimit -n, LimitNOFILE).")
        }
        Some(have) => Line::holds(
            PART,
            "open files",
            match have {
                libc::RLIM_INFINITY => format!("there is no limit here; a host may need {need}"),
                have => format!("{have} are allowed here, and a host may need {need}"),
            },
        ),
        None => Line::cannot_tell(PART, "open files", "the system doesn't say how many are allowed")
            .operator("limit-unknown", format!("Make sure that {need} are.")),
    }
}

fn memory(budget: &Budget) -> Line {
    let need = size(budget.needed_memory);
    match budget.memory {
        Some(have) if have < budget.needed_memory => {
            Line::fails(PART, "memory", format!("{} are there, and a host may need {need}", size(have)))
                .operator("too-little-memory", "Give the machine or its control group more memory.")
        }
        Some(have) => {
            Line::holds(PART, "memory", format!("{} are there, and a host may need {need}", size(have)))
        }
        None => Line::cannot_tell(PART, "memory", "the system doesn't say how much there is")
            .operator("limit-unknown", format!("Make sure that there are {need}.")),
    }
}

/// `harness serve` sets the limit to nothing. A program that the kernel hands dumps to is started all the
/// same, and it is up to it to keep the limit (core(5)).
fn core_dumps() -> Line {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with('|') {
        let message =
            "`harness serve` forbids them, but this system hands them to a program that may not keep to that";
        let remedy = "Look at /proc/sys/kernel/core_pattern and at what that program keeps; systemd-coredump keeps to the limit.";
        return Line::look(PART, "core dumps", message).operator("core-dumps-piped", remedy);
    }
    Line::holds(PART, "core dumps", "`harness serve` switches them off for itself")
}

fn addresses() -> Line {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call gets a whole structure of its own.
    if unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } != 0 {
        return Line::cannot_tell(PART, "address space", "the system doesn't say how much there is")
            .operator("limit-unknown", "Make sure that there is no limit (ulimit -v).");
    }
    if limit.rlim_cur == libc::RLIM_INFINITY {
        return Line::holds(PART, "address space", "there is no limit here");
    }
    let message = format!(
        "it is limited to {} here, and each instance of a connector reserves some GiB of it",
        size(limit.rlim_cur)
    );
    Line::look(PART, "address space", message).operator(
        "address-space-limited",
        "Take the limit away (ulimit -v, LimitAS); memory is limited otherwise.",
    )
}

fn guests() -> Line {
    let rows = Limits::DEFAULT.rows();
    let first: Vec<_> = rows.iter().take(3).map(|row| format!("{} {}", row.what, row.limit)).collect();
    let message = format!(
        "{} hold every connector: {}, ...; `harness check --limits` shows all",
        rows.len(),
        first.join("; ")
    );
    Line::holds(PART, "connectors", message)
}
