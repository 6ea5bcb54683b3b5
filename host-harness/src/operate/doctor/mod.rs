//! What of the host's promises holds on the machine at hand.
//!
//! Everything is looked at from outside: beside a running host or without one, with no request to
//! anybody and nothing changed but a probe file that is removed again.

mod clock;
mod disk;
mod endpoints;
mod limits;
mod secrets;
mod store;
mod surfaces;
mod versions;

use std::path::Path;

use serde::Serialize;

use crate::config::HostConfig;
use crate::host::STORE_FILE;
use crate::store::dead_letters::Actor;
use crate::store::look::{Holder, has_log, holder};
use crate::world::{Clock as _, SystemClock};

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Holds,
    /// It may hold, or does so in part: a person decides.
    LookAtIt,
    /// It doesn't; somebody must act.
    Fails,
    /// Nothing here says so.
    CannotTell,
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it belongs to: `store`, `disk`, `clock`, `limits`, `versions`, `secrets`, `endpoints`,
    /// `intake` or `surfaces`.
    pub part: &'static str,
    /// What is looked at.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// One sentence.
    pub message: String,
    /// Stable code, where it doesn't simply hold.
    pub code: Option<String>,
    /// Who must act.
    pub actor: Option<&'static str>,
    /// What to do.
    pub remedy: Option<String>,
}

/// What is looked at, and how.
pub struct Asked<'a> {
    /// The file of the configuration.
    pub file: &'a Path,
    /// The same, read without secrets ([`crate::config::without_secrets`]).
    pub config: &'a HostConfig,
    /// Connect to nobody.
    pub offline: bool,
    /// Don't read the whole store.
    pub quick: bool,
}

/// Looks at everything.
pub fn examine(asked: &Asked<'_>) -> Vec<Line> {
    let config = asked.config;
    let now = SystemClock::new(config.time).now();
    let path = config.data_dir.join(STORE_FILE);
    let (holder, had_log) = (holder(&path), has_log(&path));
    let (mut lines, mut store) = store::lines(&path, holder, asked.quick, now);
    lines.extend(disk::lines(config, &path));
    lines.extend(clock::lines(config, store.as_mut(), now));
    lines.extend(limits::lines());
    let (found, profiles) = versions::lines(config);
    lines.extend(found);
    lines.extend(secrets::lines(config, asked.file));
    lines.extend(endpoints::lines(config, &profiles, asked.offline));
    lines.push(endpoints::intake(config, matches!(holder, Holder::Host(_))));
    lines.extend(surfaces::lines(config, &profiles, store.as_mut(), now));
    if !had_log && has_log(&path) {
        lines.iter_mut().for_each(meanwhile);
    }
    lines
}

/// Of a line that says what is in the store: a host began to write while it was read as a file that nobody
/// writes.
fn meanwhile(line: &mut Line) {
    let read = match line.part {
        store::PART => store::READ.contains(&line.name.as_str()),
        clock::PART => line.name == clock::ORDER,
        part => part == surfaces::PART,
    };
    if read {
        let message = "a host began to use the store while it was looked at";
        *line = Line::cannot_tell(line.part, line.name.clone(), message)
            .operator("store-changed-meanwhile", "Run `harness doctor` again.");
    }
}

impl Line {
    fn new(part: &'static str, name: impl Into<String>, state: State, message: impl Into<String>) -> Self {
        let (name, message) = (name.into(), message.into());
        Self { part, name, state, message, code: None, actor: None, remedy: None }
    }

    fn holds(part: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(part, name, State::Holds, message)
    }

    fn look(part: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(part, name, State::LookAtIt, message)
    }

    fn fails(part: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(part, name, State::Fails, message)
    }

    fn cannot_tell(part: &'static str, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(part, name, State::CannotTell, message)
    }

    /// The code, and what the operator is to do.
    fn operator(self, code: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.who(code, Actor::Operator.as_str(), remedy)
    }

    fn who(self, code: impl Into<String>, actor: &'static str, remedy: impl Into<String>) -> Self {
        Self { code: Some(code.into()), actor: Some(actor), remedy: Some(remedy.into()), ..self }
    }
}

/// `1.5 GiB`, for a sentence.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// `5 min`, for a sentence.
fn span(milliseconds: u64) -> String {
    match milliseconds / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_while_a_host_began_to_write_is_taken_back_and_nothing_else() {
        let taken_back = |part, name: &str| {
            let mut line = Line::fails(part, name, "something").operator("a-code", "a remedy");
            meanwhile(&mut line);
            line.state == State::CannotTell
        };
        for (part, name) in [("store", "content"), ("store", "file"), ("clock", "order"), ("surfaces", "any")]
        {
            assert!(taken_back(part, name), "{part}, {name}");
        }
        for (part, name) in [("store", "lock"), ("clock", "year"), ("disk", "writing"), ("secrets", "any")] {
            assert!(!taken_back(part, name), "{part}, {name}");
        }
    }
}
