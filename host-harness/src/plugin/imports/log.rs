//! `log`: lines for the operator. Every export may use it.

use crate::contract::log::{Host, Level};
use crate::plugin::guest::Guest;
use crate::unit::LogLine;

/// Most fields of one line.
const FIELDS: usize = 32;

/// Lines so far.
#[derive(Default)]
pub struct Used {
    lines: Vec<LogLine>,
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

    fn add(&mut self, level: Level, message: &str, fields: &[(String, String)], max: (usize, usize)) {
        let (entries, bytes) = max;
        if self.lines.len() >= entries {
            self.cut += 1;
            return;
        }
        let mut room = bytes;
        let mut take = |text: &str| {
            let text = printable(text, room);
            room -= text.len();
            text
        };
        let message = take(message);
        let fields = fields.iter().take(FIELDS).map(|(name, value)| (take(name), take(value))).collect();
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
        let max = (self.limits.log_entries, self.limits.log_entry);
        self.used.log.add(level, &message, &fields, max);
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
            let mut used = Used::default();
            for (message, fields) in &lines {
                used.add(Level::Info, message, fields, (10, 32));
            }
            let kept = used.into_lines();
            prop_assert!(kept.len() <= 11);
            if lines.len() > 10 {
                prop_assert_eq!(&kept[10].message, &format!("{} lines cut", lines.len() - 10));
            }
            for line in &kept {
                let size = line.message.len()
                    + line.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                prop_assert!(size <= 32);
                prop_assert!(!line.message.chars().any(char::is_control));
            }
        }
    }
}
