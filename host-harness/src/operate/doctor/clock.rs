//! The clock: not behind, sane, real, and synchronised as far as that can be told.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Line, span};
use crate::config::HostConfig;
use crate::store::clock::{TOLERANCE, last_seen};
use crate::store::look::Look;
use crate::world::Millis;

pub(super) const PART: &str = "clock";
/// Name of the line about the order of times.
pub(super) const ORDER: &str = "order";

/// Everything about the clock; `now` is host time.
pub(super) fn lines(config: &HostConfig, store: Option<&mut Look>, now: Millis) -> Vec<Line> {
    vec![behind(store, now), year(), speed(config), synchronised()]
}

fn behind(store: Option<&mut Look>, now: Millis) -> Line {
    let seen = match store.map(|store| store.read(last_seen)) {
        Some(Ok(seen)) => seen,
        Some(Err(error)) => {
            return Line::cannot_tell(PART, ORDER, format!("the store doesn't say: {error}"))
                .operator(error.code(), error.remedy());
        }
        None => None,
    };
    match seen {
        Some(seen) if seen - now > TOLERANCE => {
            let message = format!("it is {} before what a host saw last", span(seen.abs_diff(now)));
            let remedy = "Set the clock of the machine right; a host that starts meanwhile moves everything that is due back as far.";
            Line::fails(PART, ORDER, message).operator("clock-set-back", remedy)
        }
        Some(seen) => {
            Line::holds(PART, ORDER, format!("a host saw it last {} ago", span(now.abs_diff(seen))))
        }
        None => Line::cannot_tell(PART, ORDER, "no store of this version remembers a time to compare with")
            .operator("clock-never-seen", "Start the host once."),
    }
}

fn year() -> Line {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let year = 1970 + seconds / 31_556_952;
    if is_sane(year) {
        return Line::holds(PART, "year", format!("it is {year}"));
    }
    Line::fails(PART, "year", format!("it says {year}"))
        .operator("clock-wrong", "Set the clock of the machine, and let a time service keep it.")
}

/// No machine that runs this program lives in another one.
fn is_sane(year: u64) -> bool {
    (2025..2100).contains(&year)
}

fn speed(config: &HostConfig) -> Line {
    if config.time.factor == 1.0 {
        return Line::holds(PART, "speed", "host time is real time");
    }
    let message = format!("host time runs {} times as fast, which is for tests only", config.time.factor);
    Line::look(PART, "speed", message)
        .operator("time-scaled", "Remove `host.time` unless both vendors are stand-ins.")
}

fn synchronised() -> Line {
    if is_synchronised() == Some(true) {
        return Line::holds(PART, "synchronised", "the system says that a time service keeps it");
    }
    let message = "the system doesn't say that a time service keeps it; the machine around it may do so";
    let remedy = "Look at `timedatectl` or `chronyc tracking`; signed calls need a clock that is right within minutes.";
    Line::cannot_tell(PART, "synchronised", message).operator("clock-sync-unknown", remedy)
}

/// None where the system can't be asked. Changes nothing: no mode is set.
#[cfg(target_os = "linux")]
fn is_synchronised() -> Option<bool> {
    // SAFETY: zeroes are a whole structure that asks for nothing to be changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the call gets a structure of its own.
    let answer = unsafe { libc::adjtimex(&mut state) };
    (answer >= 0).then_some(answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_synchronised() -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_woke_up_in_another_time_is_noticed() {
        assert!([2025, 2026, 2099].into_iter().all(is_sane));
        assert!(![1970, 2000, 2024, 2100].into_iter().any(is_sane));
    }
}
