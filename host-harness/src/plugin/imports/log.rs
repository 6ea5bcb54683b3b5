//! `log`: lines for the operator. Every export may use it.

use crate::contract::log::{Host, Level};
use crate::plugin::guest::Guest;
use crate::plugin::limits::Limits;
use crate::unit::LogLine;

/// Most fields of one line.
const FIELDS: usize = 32;

/// Lines so far.
#[derive(Default)]
pub struct Used {
    lines: Vec<LogLine>,
    bytes: usize,
    cut: u64,
}

impl Used {
    /// The lines, and one more that says how many were cut.
    pub fn into_lines(mut self) -> Vec<LogLine> {
        if self.cut > 0 {
            self.lines.push(LogLine {
                level: "warn".into(),
                message: format!("{} lines cut", self.cut),
                fields: Vec::new(),
            });
        }
        self.lines
    }

    fn add(&mut self, level: Level, message: &str, fields: &[(String, String)], limits: &Limits) {
        if self.lines.len() >= limits.log_entries || self.bytes >= limits.log_total {
            self.cut += 1;
            return;
        }
        let most = limits.log_entry.min(limits.log_total - self.bytes);
        let mut room = most;
        let mut take = |text: &str| {
            let text = printable(text, room);
            room -= text.len();
            text
        };
        let message = take(message);
        let fields = fields.iter().take(FIELDS).map(|(name, value)| (take(name), take(value))).collect();
        self.bytes += most - room;
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.lines.push(LogLine { level: level.into(), message, fields });
    }
}

/// The text with control characters escaped, cut where it would be longer than `max` bytes.
///
/// Also escaped is what changes the direction of text or ends a line in some viewers.
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        let before = out.len();
        match c {
            c if c.is_control() || hidden => out.extend(c.escape_default()),
            c => out.push(c),
        }
        if out.len() > max {
            out.truncate(before);
            break;
        }
    }
    out
}

impl Host for Guest {
    fn emit(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.check_deadline()?;
        self.used.log.add(level, &message, &fields, &self.limits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn g06_control_characters_are_escaped() {
        assert_eq!(printable("a\nb\r\u{1b}[31m\u{9b}\0", 100), "a\\nb\\r\\u{1b}[31m\\u{9b}\\u{0}");
        assert_eq!(printable("\u{202e}gpj.exe\u{2028}", 100), "\\u{202e}gpj.exe\\u{2028}");
        assert_eq!(printable("Grüße, 日本", 100), "Grüße, 日本");
    }

    proptest! {
        #[test]
        fn g06_lines_are_bounded_and_printable(
            lines in proptest::collection::vec((".{0,40}", proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4)), 0..30)
        ) {
            let limits = Limits { log_entries: 10, log_entry: 32, log_total: 200, ..Limits::DEFAULT };
            let mut used = Used::default();
            for (message, fields) in &lines {
                used.add(Level::Info, message, fields, &limits);
            }
            let (kept, cut) = (used.lines.len(), used.cut as usize);
            prop_assert_eq!(kept + cut, lines.len());
            prop_assert!(kept <= 10);
            let all = used.into_lines();
            if cut > 0 {
                prop_assert_eq!(&all[kept].message, &format!("{cut} lines cut"));
            }
            let size = |line: &LogLine| {
                line.message.len() + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            };
            prop_assert!(all.iter().all(|line| size(line) <= 32));
            prop_assert!(all[..kept].iter().map(size).sum::<usize>() <= 200);
            prop_assert!(!all.iter().any(|line| line.message.chars().any(char::is_control)));
        }
    }
}
