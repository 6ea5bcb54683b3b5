//! Where a read of export files stands.

use std::fmt::Write as _;
use std::str::FromStr;

use super::dates::{Day, Spelling};
use super::folders::Days;
use crate::failure::{Failure, FailureKind};
use crate::model::Millis;
use crate::source::page;

/// Format of the bytes.
pub const VERSION: u32 = page::CURSOR_VERSION;

/// Longest name below the folder of a day, in bytes: that of a whole key at Amazon and Google.
pub const LONGEST_NAME: usize = 1024;
/// Longest identity of a file's content, in bytes.
pub const LONGEST_ETAG: usize = 512;
/// Most names of other databases that are remembered for a file.
pub const MOST_OTHERS: usize = 8;

/// The whole state of a run, from which any instance can go on.
///
/// As bytes it is lines of text (a name and an etag hold no control character), far below the
/// contract's 4 KiB: numbers in the order of the fields, the name after its mark, and for an open
/// file its numbers and its etag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// First instant of the window.
    pub from: Millis,
    /// First instant after the window.
    pub to: Millis,
    /// Last day that may be read; fixed when the run begins.
    pub last: Day,
    /// The day that is being read.
    pub day: Day,
    /// In the second spelling of its folder.
    pub second: bool,
    /// Where in that folder.
    pub place: Place,
    /// Export files that were found.
    pub files: u64,
    /// Whether this day had files, in either spelling.
    pub day_had_files: bool,
    /// Days after the window that had files.
    pub late: u8,
    /// Parts per million that are done. Never goes back.
    pub done: u32,
}

/// Which time through a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Round {
    /// Everything.
    #[default]
    First,
    /// Everything was passed; it remains to be seen whether the folder has changed.
    Compare,
    /// What came in behind the first round.
    Second,
}

/// Where in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// When the vendor gave the first listing, by its own clock.
    pub listed_at: Option<Millis>,
    /// Which time through the folder.
    pub round: Round,
    /// Sum of the digests of all files that the first round passed.
    pub passed: u64,
    /// The name of the file that is open, or of the last one that was dealt with.
    pub name: Option<String>,
    /// The file that is open.
    pub file: Option<OpenFile>,
    /// Files of this folder that were dealt with.
    pub read: u32,
    /// Files that the last listing showed after that, at least.
    pub left: u32,
}

/// A file that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenFile {
    /// Identity of its content.
    pub etag: String,
    /// Uncompressed bytes.
    pub size: u64,
    /// Bytes that were dealt with.
    pub offset: u64,
    /// Whether the offset is inside of a line that is too long.
    pub passing: bool,
    /// Records of the line at the offset that were already given out.
    pub given: u8,
    /// How often its content turned out to be another.
    pub changes: u8,
    /// Digests of other databases' names that were already rejected in it.
    pub others: Vec<u32>,
}

impl State {
    /// The beginning of a run.
    pub fn begin(from: Millis, to: Millis, now: Millis) -> Result<Self, Failure> {
        let days = Days::of(from.max(0), to, now);
        if from >= to || to <= 0 {
            return Err(Failure::new(
                FailureKind::Cursor,
                "empty-window",
                "The window ends before it begins; give --to a later instant than --from.",
            ));
        }
        if days.first > days.last {
            return Err(Failure::new(
                FailureKind::Cursor,
                "window-in-future",
                "The window begins after today, so nothing of it can have been exported.",
            ));
        }
        Ok(Self {
            from,
            to,
            last: days.last,
            day: days.first,
            second: false,
            place: Place::default(),
            files: 0,
            day_had_files: false,
            late: 0,
            done: 0,
        })
    }

    /// Reads a cursor.
    pub fn read(cursor: &page::Cursor) -> Result<Self, Failure> {
        let refuse = |code, message| Err(Failure::new(FailureKind::Cursor, code, message));
        if cursor.version != VERSION {
            return refuse(
                "unknown-cursor-version",
                "The cursor has a format that this build can't read; start the backfill anew.",
            );
        }
        match std::str::from_utf8(&cursor.bytes).ok().and_then(Self::parse) {
            Some(state) if state.is_sound() => Ok(state),
            _ => refuse("unreadable-cursor", "The cursor can't be read; start the backfill anew."),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let mut words = Words(lines.next()?.split(' '));
        let mut state = Self {
            from: words.next()?,
            to: words.next()?,
            last: words.next()?,
            day: words.next()?,
            second: words.flag()?,
            files: words.next()?,
            day_had_files: words.flag()?,
            late: words.next()?,
            done: words.next()?,
            place: Place {
                round: match words.next::<u8>()? {
                    0 => Round::First,
                    1 => Round::Compare,
                    2 => Round::Second,
                    _ => return None,
                },
                passed: words.next()?,
                read: words.next()?,
                left: words.next()?,
                // The last word, as it may not be there.
                listed_at: words.0.next().map(str::parse).transpose().ok()?,
                name: None,
                file: None,
            },
        };
        words.end()?;
        state.place.name = match lines.next()?.split_at_checked(1) {
            None => None,
            Some(("=", name)) => Some(name.to_owned()),
            Some(_) => return None,
        };
        if let Some(line) = lines.next() {
            let mut words = Words(line.split(' '));
            state.place.file = Some(OpenFile {
                size: words.next()?,
                offset: words.next()?,
                passing: words.flag()?,
                given: words.next()?,
                changes: words.next()?,
                others: words.0.map(str::parse).collect::<Result<_, _>>().ok()?,
                etag: lines.next()?.to_owned(),
            });
        }
        lines.next().is_none().then_some(state)
    }

    /// Writes a cursor.
    pub fn write(&self) -> page::Cursor {
        let Self { from, to, last, day, second, place, files, day_had_files, late, done } = self;
        let Place { listed_at, round, passed, name, file, read, left } = place;
        let (second, had, round) = (u8::from(*second), u8::from(*day_had_files), *round as u8);
        let mut out = format!(
            "{from} {to} {last} {day} {second} {files} {had} {late} {done} {round} {passed} {read} {left}"
        );
        // Writing to a string can't fail.
        let _ = listed_at.map_or(Ok(()), |at| write!(out, " {at}"));
        out.push('\n');
        if let Some(name) = name {
            let _ = write!(out, "={name}");
        }
        if let Some(OpenFile { etag, size, offset, passing, given, changes, others }) = file {
            let _ = write!(out, "\n{size} {offset} {} {given} {changes}", u8::from(*passing));
            let _ = others.iter().try_for_each(|other| write!(out, " {other}"));
            let _ = write!(out, "\n{etag}");
        }
        page::Cursor { version: VERSION, bytes: out.into_bytes() }
    }

    /// The days of the run.
    pub fn days(&self) -> Days {
        Days { last: self.last, ..Days::of(self.from.max(0), self.to, Millis::MAX) }
    }

    /// The spelling of the folder that is being read.
    pub fn spelling(&self) -> Spelling {
        if self.second { Spelling::DayFirst } else { Spelling::YearFirst }
    }

    fn is_sound(&self) -> bool {
        let open = self.place.file.as_ref();
        self.from < self.to
            && (self.days().first..=self.last).contains(&self.day)
            && open.is_none_or(|file| {
                self.place.name.is_some() && file.offset <= file.size && file.others.len() <= MOST_OTHERS
            })
    }

    /// Goes to the next folder. False at the end of the run.
    pub fn next_folder(&mut self) -> bool {
        self.place = Place::default();
        if !std::mem::replace(&mut self.second, true) {
            return true;
        }
        let late = self.day_had_files && self.day > self.days().within;
        self.late = self.late.saturating_add(u8::from(late));
        if self.days().end_at(self.day, self.late) {
            return false;
        }
        self.day += 1;
        (self.second, self.day_had_files) = (false, false);
        true
    }

    /// Brings `done` up to date: whole days, files of the day, bytes of the file.
    pub fn measure(&mut self) {
        let place = &self.place;
        let file = place.file.as_ref();
        let part = file.map_or(0.0, |file| file.offset as f64 / file.size.max(1) as f64);
        let all = f64::from(place.read) + f64::from(place.left) + f64::from(u8::from(file.is_some()));
        let of_day = if all > 0.0 { (f64::from(place.read) + part) / all } else { 0.0 };
        let days = self.days();
        let done = (self.day - days.first) as f64 + of_day;
        let ppm = (done / days.expected() as f64 * 1e6) as u32;
        self.done = self.done.max(ppm.min(999_999));
    }
}

/// Words of a line.
struct Words<'a>(std::str::Split<'a, char>);

impl Words<'_> {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.0.next()? {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn end(mut self) -> Option<()> {
        self.0.next().is_none().then_some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::super::dates::DAY;
    use super::*;
    use proptest::prelude::*;

    const CONTRACT_BYTES: usize = 4096;

    #[test]
    fn the_largest_state_fits_the_contract() {
        let mut state = State::begin(0, i64::MAX, i64::MAX).unwrap();
        state.day = state.last;
        state.files = u64::MAX;
        state.done = u32::MAX;
        state.late = u8::MAX;
        state.place = Place {
            listed_at: Some(i64::MIN),
            round: Round::Compare,
            passed: u64::MAX,
            name: Some("\"".repeat(LONGEST_NAME)),
            file: Some(OpenFile {
                etag: "\"".repeat(LONGEST_ETAG),
                size: u64::MAX,
                offset: u64::MAX,
                passing: true,
                given: u8::MAX,
                changes: u8::MAX,
                others: vec![u32::MAX; MOST_OTHERS],
            }),
            read: u32::MAX,
            left: u32::MAX,
        };
        let cursor = state.write();
        assert!(cursor.bytes.len() <= CONTRACT_BYTES, "{}", cursor.bytes.len());
        assert_eq!(State::read(&cursor).unwrap(), state);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(version in 0_u32..3, bytes in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, flip: u8) {
            let _ = State::read(&page::Cursor { version, bytes });
            let mut cursor = State::begin(0, 5 * DAY, 9 * DAY).unwrap().write();
            let at = at.index(cursor.bytes.len());
            cursor.bytes[at] = flip;
            if let Ok(mut state) = State::read(&cursor) {
                state.measure();
                prop_assert!(state.done < 1_000_000);
                prop_assert_eq!(State::read(&state.write()).unwrap(), state);
            }
        }

        #[test]
        fn a_run_visits_every_day_in_both_spellings(from in 0_i64..1_000, days in 1_i64..20, filled in proptest::collection::vec(any::<bool>(), 40)) {
            let (from, to) = (from * DAY + 7, (from + days) * DAY);
            let mut state = State::begin(from, to, to + 30 * DAY).unwrap();
            let mut visited = Vec::new();
            loop {
                visited.push((state.day, state.second));
                state.day_had_files |= filled[visited.len() / 2 % filled.len()] && state.second;
                let before = state.done;
                state.measure();
                prop_assert!(before <= state.done);
                if !state.next_folder() {
                    break;
                }
            }
            let first = from / DAY;
            let expected: Vec<_> = (first..).flat_map(|day| [(day, false), (day, true)]).take(visited.len()).collect();
            prop_assert_eq!(&visited, &expected);
            let late = visited.len() as i64 / 2 - days;
            prop_assert!((2..=8).contains(&late), "{}", late);
        }
    }
}
