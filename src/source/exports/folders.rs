//! Which folders a window of time is read from, and which of their files.
//!
//! Layouts: `[folder]/export_day=D/file` in S3, `[folder]/export_day=D/export_hour=HH/file` in
//! Google Cloud Storage. Both are read alike: everything below the folder of a day is that day's.

use super::dates::{Day, Spelling, day_of};
use crate::model::Millis;
use crate::settings::Exports;

/// Folders after the window that are read for what was exported late, if they hold files.
pub const LATE_FOLDERS: u8 = 2;
/// Days after the window in which those folders can be: exports can be weekly, so that the next
/// folder with files is up to seven days away, and its files are written after its day has begun
/// (MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx).
const LATE_DAYS: Day = 8;

/// The days that a window is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// Of the window's first instant.
    pub first: Day,
    /// Of the window's last instant.
    pub within: Day,
    /// The last one at all.
    pub last: Day,
}

impl Days {
    /// The days of a window, up to today.
    pub fn of(from: Millis, to: Millis, now: Millis) -> Self {
        let within = day_of(to.saturating_sub(1));
        Self { first: day_of(from), within, last: within.saturating_add(LATE_DAYS).min(day_of(now)) }
    }

    /// True where nothing after this day has to be read, so many of the folders after the window
    /// having had files.
    pub fn end_at(self, day: Day, late_folders: u8) -> bool {
        day >= self.last || (day > self.within && late_folders >= LATE_FOLDERS)
    }

    /// Number of days as far as it can be told beforehand.
    pub fn expected(self) -> u64 {
        let last = self.within.saturating_add(Day::from(LATE_FOLDERS)).min(self.last);
        u64::try_from(last.saturating_sub(self.first)).unwrap_or(0) + 1
    }

    /// True where every instant of the day is in the window, and the day isn't at its rim.
    pub fn is_inner(self, day: Day) -> bool {
        self.first < day && day < self.within
    }
}

/// The folder of a day, in one of its spellings.
pub struct Folder<'a> {
    /// The settings.
    pub exports: &'a Exports,
    /// Which day.
    pub day: Day,
    /// How its name is written.
    pub spelling: Spelling,
}

impl Folder<'_> {
    /// `export_day=2022-05-20`
    fn name(&self) -> String {
        format!("export_day={}", self.spelling.write(self.day))
    }

    /// What keys in a bucket begin with.
    pub fn prefix(&self) -> String {
        let folder = self.exports.folder.as_str();
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{folder}{slash}{}/", self.name())
    }

    /// The path of a name below the folder, as segments. An empty name gives the folder itself.
    pub fn path(&self, name: &str) -> Vec<String> {
        let day = self.name();
        let segments = self.exports.store.bucket().into_iter();
        let segments = segments.chain(self.exports.folder.split('/')).chain([day.as_str()]);
        segments.chain(name.split('/')).filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    }
}

/// What a file below the folder of a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Lines of JSON, maybe compressed.
    Lines,
    /// MoEngage encrypted it for the tenant.
    Encrypted,
    /// Not an export.
    Other,
}

/// Tells by the name below the folder of a day.
pub fn kind(name: &str) -> FileKind {
    let (above, file) = name.rsplit_once('/').unwrap_or(("", name));
    // `event_exports_`, and once `event-exports_` in MoEngage's text
    // (MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx). Names of files below an
    // hour are not documented, but everything there is MoEngage's own.
    let ours = file.starts_with("event_exports_")
        || file.starts_with("event-exports_")
        || above.split('/').any(|segment| segment.starts_with("export_hour="));
    // Segments that no request can name.
    let usable = name.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !name.chars().any(|c| c == '\\' || c.is_control());
    if !ours || !usable {
        FileKind::Other
    } else if file.ends_with(".gpg") || file.ends_with(".pgp") {
        FileKind::Encrypted
    } else if file.ends_with(".json.gz") || file.ends_with(".json") {
        FileKind::Lines
    } else {
        FileKind::Other
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::dates::DAY;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documented_names_are_told_apart() {
        for (name, expected) in [
            ("event_exports_50492790da7cc2a0674fb51fa5046e3c.json.gz", FileKind::Lines),
            ("event_exports_1761689701.json.gz", FileKind::Lines),
            ("event_exports_1.json", FileKind::Lines),
            ("export_hour=13/000000000001.json.gz", FileKind::Lines),
            ("event-exports_1735198203.json.gz.gpg", FileKind::Encrypted),
            ("event_exports_1.json.gz.gpg", FileKind::Encrypted),
            ("event_exports_1.csv", FileKind::Other),
            ("event_exports_a\u{7}.json", FileKind::Other),
            ("export_hour=13//a.json", FileKind::Other),
            ("export_hour=13/../a.json", FileKind::Other),
            ("_SUCCESS", FileKind::Other),
            ("users.json", FileKind::Other),
            ("", FileKind::Other),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_of_a_window_has_its_day(from in 0_i64..4_000_000_000_000, length in 1_i64..(90 * DAY), now in 0_i64..4_100_000_000_000, at: prop::sample::Index) {
            let days = Days::of(from, from + length, now);
            let day = day_of(from + at.index(length as usize) as i64);
            prop_assert!(days.first <= day && day <= days.within && days.last <= day_of(now));
            // Without files after the window every day up to the last one is read.
            prop_assert!((days.first..days.last).all(|day| !days.end_at(day, 0)));
            prop_assert!(days.end_at(days.last, 0) && days.end_at(days.within + 1, 2));
            prop_assert!(!days.end_at(days.within, 2) || days.last <= days.within);
            prop_assert!(!days.is_inner(days.first) && !days.is_inner(days.within));
        }
    }
}
