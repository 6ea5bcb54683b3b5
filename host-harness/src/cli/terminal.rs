//! Text for people. Whatever comes from outside is shown so that it can't drive a terminal.

use std::fmt::Display;
use std::time::Duration;

use comfy_table::{Cell, ContentArrangement, Row, Table, presets};

use crate::plugin::printable;
use crate::world::Millis;

/// Longest text that is shown on one line.
const LINE: usize = 16 * 1024;

/// One line: control characters, line breaks and changes of direction are escaped.
pub(super) fn safe(text: &str) -> String {
    printable(text, LINE)
}

/// Several lines of our own making, with values from outside in them.
pub(super) fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// A table without frames that fits the terminal.
pub(super) fn table<I: IntoIterator<Item: Into<Cell>>>(header: I) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(Row::from(header));
    table
}

/// `10,000`
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2026-11-23T10:00:00Z`
pub(super) fn moment(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| format!("{at} ms"), |time| format!("{time:.0}"))
}

/// `3 min ago` or `in 2 h`.
pub(super) fn relative(at: Millis, now: Millis) -> String {
    let distance = span(Duration::from_millis(at.abs_diff(now)));
    if at > now { format!("in {distance}") } else { format!("{distance} ago") }
}

/// The two largest units would be noise: one is enough.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1.5 MiB`
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `a = b + c`, with the parts that are zero left out.
pub(super) fn sum<N: Display>(total: i64, unit: &str, parts: impl IntoIterator<Item = (N, i64)>) -> String {
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, number)| *number != 0)
        .map(|(name, number)| format!("{} {name}", count(number)))
        .collect();
    let right = if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") };
    format!("{} {unit} = {right}", count(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_shown_data_cannot_drive_a_terminal() {
        let controls = (0..0x20_u32).chain(0x7f..0xa0);
        let tricks = [0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff];
        for code in controls.chain(tricks) {
            let c = char::from_u32(code).unwrap_or_default();
            for text in [format!("a{c}b"), format!("{c}]0;title\u{7}"), format!("{c}[2J")] {
                for shown in [safe(&text), safe_lines(&text)] {
                    let plain = |c: char| !c.is_control() || c == '\n';
                    assert!(!shown.contains(c) || c == '\n', "{code:x}");
                    assert!(shown.chars().all(plain), "{code:x}");
                }
            }
        }
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(safe_lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!((count(-1_234_567).as_str(), count(0).as_str()), ("-1,234,567", "0"));
        assert_eq!(moment(1_700_000_000_123), "2023-11-14T22:13:20Z");
        assert_eq!(relative(0, 119_000), "119 s ago");
        assert_eq!(relative(3_600_000, 0), "in 60 min");
        assert_eq!(sum(3, "read", [("a", 2), ("b", 0), ("c", 1)]), "3 read = 2 a + 1 c");
        assert_eq!(sum(0, "read", [("a", 0)]), "0 read = 0");
    }
}
