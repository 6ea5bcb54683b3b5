//! The file: is it ours, whole, out of doubt, and who has it.

use std::path::Path;

use super::{Line, size, span};
use crate::store::look::{Holder, Look};
use crate::store::{self, StoreError, backup, doubt};
use crate::world::Millis;

pub(super) const PART: &str = "store";
/// Names of lines that say what is in the file.
pub(super) const READ: [&str; 4] = ["file", "content", "doubt", "backup"];

/// Everything about the store, and the store where it can be read further.
pub(super) fn lines(path: &Path, holder: Holder, quick: bool, now: Millis) -> (Vec<Line>, Option<Look>) {
    let mut lines = vec![lock(holder)];
    if !path.exists() {
        lines.push(missing(path));
        return (lines, None);
    }
    let mut look = match Look::open(path).and_then(|look| Ok((look.schema()?, look))) {
        Ok((schema, look)) => {
            let Some((found, known)) = schema else {
                let message = "there is nothing in it yet";
                let remedy = "Start the host once with `harness serve`.";
                lines.push(Line::look(PART, "file", message).operator("no-store", remedy));
                return (lines, None);
            };
            if found < known {
                let message = format!("it has schema {found}, and this program has {known}");
                let remedy = "Make a backup with the program so far; `harness serve` brings the store up to date when it starts.";
                lines.push(Line::look(PART, "file", message).operator("store-older", remedy));
            } else {
                lines.push(Line::holds(PART, "file", format!("it opens, is ours, and has schema {known}")));
            }
            (look, found == known)
        }
        Err(error) => {
            lines.push(failed("file", &error));
            return (lines, None);
        }
    };
    lines.push(content(&look.0, quick));
    lines.push(doubted(&mut look.0));
    lines.push(sizes(path));
    lines.push(copied(&mut look.0, now));
    let (look, is_current) = look;
    (lines, is_current.then_some(look))
}

fn lock(holder: Holder) -> Line {
    match holder {
        Holder::Nobody => Line::holds(PART, "lock", "no host has the store now"),
        Holder::Host(Some(process)) => {
            Line::holds(PART, "lock", format!("a host has the store: process {process}"))
        }
        Holder::Host(None) => Line::holds(PART, "lock", "a host has the store"),
        Holder::Unknown => Line::cannot_tell(PART, "lock", "the lock beside the store can't be looked at")
            .operator("lock-unreadable", "Run this as the user of the host."),
    }
}

fn missing(path: &Path) -> Line {
    if path.with_extension("generation").exists() {
        return failed("file", &StoreError::Gone(path.into()));
    }
    Line::look(PART, "file", "there is none yet")
        .operator("no-store", "Start the host once with `harness serve`, or correct `host.data_dir`.")
}

fn failed(name: &str, error: &StoreError) -> Line {
    Line::fails(PART, name, error.to_string()).operator(error.code(), error.remedy())
}

fn content(look: &Look, quick: bool) -> Line {
    if quick {
        return Line::cannot_tell(PART, "content", "it was not read, as was asked for")
            .operator("store-not-read", "Leave --quick out to have all of it read.");
    }
    match look.whole() {
        Ok(()) => Line::holds(PART, "content", "every page was read and is well-formed"),
        Err(error) => failed("content", &error),
    }
}

fn doubted(look: &mut Look) -> Line {
    match look.read(doubt::of) {
        Ok(Some(doubt)) => {
            let message = format!("it is in doubt ({}): nothing is taken in and nothing is sent", doubt.code);
            Line::fails(PART, "doubt", message)
                .operator(StoreError::InDoubt.code(), StoreError::InDoubt.remedy())
        }
        Err(error) => failed("doubt", &error),
        Ok(None) => match look.is_the_last() {
            Ok(true) => Line::holds(PART, "doubt", "it is not in doubt"),
            Ok(false) => {
                let message =
                    "it is not the file that the host used last, and will be in doubt when one starts";
                let remedy = "Put the right file back, or start the host, look at `harness status`, and run `harness restore confirm`.";
                Line::fails(PART, "doubt", message).operator(doubt::REPLACED, remedy)
            }
            Err(error) => failed("doubt", &error),
        },
    }
}

/// Bytes of a log from which on a host complains; its pages have SQLite's usual size.
const LONG_LOG: u64 = store::LONG_LOG as u64 * 4_096;

fn sizes(path: &Path) -> Line {
    let of = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let (file, log) = (of(path), of(&backup::with_suffix(path, "-wal")));
    let message = format!("the file has {}, its log {}", size(file), size(log));
    if log < LONG_LOG {
        return Line::holds(PART, "size", message);
    }
    let remedy = "Find the process that reads the store for so long, for instance a backup, and end it.";
    Line::look(PART, "size", message).operator("store-log-long", remedy)
}

fn copied(look: &mut Look, now: Millis) -> Line {
    match look.read(backup::last) {
        Ok(Some(at)) => {
            Line::holds(PART, "backup", format!("the last one was made {} ago", span(now.abs_diff(at))))
        }
        Ok(None) => Line::look(PART, "backup", "the store knows of none").operator(
            "no-backup",
            "Make one with `harness backup`; copies made in other ways are not known.",
        ),
        Err(error) => failed("backup", &error),
    }
}
