//! Event export files: newline-delimited JSON, a folder for each day, in the tenant's own store.
//!
//! A run reads the folders of a window of time in the order of their days, the files of a folder
//! in the order of their names, the lines of a file in their order. The cursor says where in all
//! of that the next page begins, to the byte, so that any instance can go on after any page.
//!
//! Repeating is harmless, because records have the same ids at every door; losing is not. So
//! wherever only one of the two can be avoided, a part is read twice: a file that was written
//! anew while it was read, and whatever came into a folder behind a read that took several pages.

mod counts;
mod cursor;
mod dates;
mod folders;
mod harvest;
mod line;
mod lines;
mod listing;
mod refused;
mod remote;

use counts::Counted;
use cursor::{LONGEST_ETAG, LONGEST_NAME, OpenFile, Round, State};
use dates::{Spelling, day_of};
use folders::{FileKind, Folder, LATE_FOLDERS, kind};
use harvest::{Harvest, PAGE_LIMIT, Source};
use line::Head;
use lines::{Item, LONGEST_LINE, Lines};
use listing::{Entry, Listing};
use refused::Refused;
use remote::{Halt, Opened, Remote};

use super::notes::{Note, Notes};
use super::page::{Next, Object, Page, PageRequest, Position, Reach};
use super::watch::watch;
use crate::failure::{Failure, FailureKind};
use crate::model::{EVENT, Millis, Nature, event};
use crate::profile::{ResourceSpec, SyncMode};
use crate::settings::{EXPORTS_SLOT, Exports, Settings};

/// Name of the resource.
pub const EVENT_EXPORTS: &str = "event-exports";

/// Bytes of lines after which a page ends.
const PAGE_BYTES: u64 = 2 * 1024 * 1024;
/// Largest piece of one read, in bytes.
const LARGEST_READ: u64 = LONGEST_LINE as u64;
/// Smallest piece of one read, unless the file ends.
const SMALLEST_READ: u64 = 64 * 1024;
/// Bytes of a file that one record is taken to need: a small budget needs no large pieces.
const BYTES_PER_RECORD: u64 = 768;
/// How often a file is begun again because it has changed.
const MOST_CHANGES: u8 = 3;

/// How export files are read.
pub fn resource(exports: &Exports) -> ResourceSpec {
    ResourceSpec {
        name: EVENT_EXPORTS.to_owned(),
        kind: EVENT.to_owned(),
        primary_key: vec!["event_uuid".to_owned()],
        nature: Nature::Event,
        mode: SyncMode::Incremental,
        cursor_strategy: "Day, file and byte of the line that comes next, within a window of event times. Folders \
            are read from the day of the window's start to the second one with files after its end, at most eight \
            days later; what was exported later than that is missed. A run ends with the last folder; without any \
            file it ends truncated."
            .to_owned(),
        page_limit: PAGE_LIMIT,
        replay_policy: "It can be repeated at any time: an event has the same id as at every other door.".to_owned(),
        cadence: 0,
        schema: event::SCHEMA.trim_end().to_owned(),
        endpoint: exports.store.endpoint().to_owned(),
        slot: Some(EXPORTS_SLOT.to_owned()),
        // Stores limit requests by thousands a second, one unit makes at most 64.
        rate_windows: Vec::new(),
    }
}

/// Reads one page.
///
/// # Errors
/// `window-needed`, `empty-window` and `window-in-future` for where it starts,
/// `unknown-cursor-version` and `unreadable-cursor` for where it goes on; else what the store's
/// answers mean.
pub fn read(
    settings: &Settings,
    exports: &Exports,
    request: &PageRequest,
    reach: &mut Reach<'_>,
) -> Result<Page, Failure> {
    let state = match &request.position {
        Position::Start => {
            return Err(Failure::new(
                FailureKind::Cursor,
                "window-needed",
                "Export files are read for a window of time; give --from and --to.",
            ));
        }
        Position::Window(from, to) => State::begin(*from, *to, request.now)?,
        Position::Cursor(cursor) => State::read(cursor)?,
    };
    let before = state.clone();
    let harvest = Harvest::new(settings, &exports.db_name, (state.from, state.to), request.budget);
    let remote = Remote::new(exports, reach, request.now);
    let mut reading = Reading { exports, now: request.now, state, remote, harvest, bytes: 0 };
    let (ended, not_before) = match reading.folders() {
        Ok(ended) => (ended, None),
        Err(Halt::Full) => (false, None),
        Err(Halt::Later(at)) => (false, Some(at)),
        Err(Halt::Failed(failure)) => return Err(failure),
    };
    let Reading { mut state, harvest, .. } = reading;
    if !ended && not_before.is_none() && state == before && harvest.is_empty() {
        return Err(Failure::new(
            FailureKind::Transient,
            "no-progress",
            "The calls of one unit were used up without reading a single line or passing a single file.",
        ));
    }
    state.measure();
    let (records, rejects, mut notes) = harvest.into_parts();
    let mut watched = Notes::default();
    watch(settings, &records, reach.storage, &mut watched);
    notes.extend(watched.into_list());
    notes.push(Note {
        name: "progress".to_owned(),
        count: if ended { 1_000_000 } else { state.done },
        message: "Parts per million of the run that are done.".to_owned(),
    });
    let next = match not_before {
        Some(at) => Next::Later(state.write(), at),
        None if ended => Next::Done { cursor: None, truncated: nothing_found(exports, &state) },
        None => Next::More(state.write()),
    };
    Ok(Page { records, rejects, next, not_before: None, notes })
}

/// Why a run without files is no success: a wrong folder looks the same as nothing to do.
fn nothing_found(exports: &Exports, state: &State) -> Option<String> {
    (state.files == 0).then(|| {
        let folder = |day| Folder { exports, day, spelling: Spelling::YearFirst }.prefix();
        let (first, last) = (folder(state.days().first), folder(state.day));
        format!("There is no export file in the folders from {first} to {last}; check exports.folder.")
    })
}

/// One page in the making.
struct Reading<'a, 'r> {
    exports: &'a Exports,
    now: Millis,
    state: State,
    remote: Remote<'a, 'r>,
    harvest: Harvest<'a>,
    /// That were read in this page.
    bytes: u64,
}

impl Reading<'_, '_> {
    /// Reads folder after folder. True at the end of the run, false where the page is full.
    fn folders(&mut self) -> Result<bool, Halt> {
        loop {
            if !self.folder()? {
                return Ok(false);
            }
            if !self.state.next_folder() {
                if day_of(self.now) <= self.state.days().within + i64::from(LATE_FOLDERS) {
                    self.harvest.counts.add(Counted::RecentWindow);
                }
                return Ok(true);
            }
        }
    }

    /// Reads the files of a folder. False where the page is full.
    fn folder(&mut self) -> Result<bool, Halt> {
        let (day, spelling) = (self.state.day, self.state.spelling());
        let folder = Folder { exports: self.exports, day, spelling };
        // Within one page a folder is as it was listed. Over several pages, files come in with
        // names that sort before the cursor: they are random (32 hex digits since 2025-12-25,
        // MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx). So where the folder
        // has changed meanwhile there is a second round for what was written since the first
        // listing, by the store's own clock.
        let spread = self.state.place.listed_at.is_some();
        let mut listing = Listing::new(&folder, self.state.place.name.clone());
        loop {
            if self.state.place.file.is_some() && !self.file(&folder)? {
                return Ok(false);
            }
            if self.harvest.room() == 0 {
                return Ok(false);
            }
            let entry = listing.next(&mut self.remote)?;
            let place = &mut self.state.place;
            place.left = listing.known();
            let first_listing = *place.listed_at.get_or_insert(listing.listed_at().unwrap_or(self.now));
            match entry {
                Some(entry) if place.round == Round::Second => {
                    if entry.modified.is_none_or(|at| at >= first_listing) {
                        self.begin(&folder, &entry)?;
                    } else {
                        place.name = Some(entry.name);
                    }
                }
                Some(entry) => {
                    self.begin(&folder, &entry)?;
                    self.state.place.passed = self.state.place.passed.wrapping_add(entry.digest());
                }
                None if spread && place.round != Round::Second => {
                    if self.is_unchanged(&folder)? {
                        return Ok(true);
                    }
                    (self.state.place.round, self.state.place.name) = (Round::Second, None);
                    listing = Listing::new(&folder, None);
                }
                None => return Ok(true),
            }
        }
    }

    /// Whether the folder holds what the first round passed. Where the calls don't suffice to see,
    /// a whole unit of its own tries once more, and after that it counts as changed.
    fn is_unchanged(&mut self, folder: &Folder<'_>) -> Result<bool, Halt> {
        let mut listing = Listing::new(folder, None);
        let mut held = 0_u64;
        loop {
            match listing.next(&mut self.remote) {
                Ok(Some(entry)) => held = held.wrapping_add(entry.digest()),
                Ok(None) => return Ok(held == self.state.place.passed),
                Err(Halt::Full) if self.state.place.round == Round::First => {
                    self.state.place.round = Round::Compare;
                    return Err(Halt::Full);
                }
                Err(Halt::Full) => return Ok(false),
                Err(failed) => return Err(failed),
            }
        }
    }

    /// Opens a file, if it is one to read.
    fn begin(&mut self, folder: &Folder<'_>, entry: &Entry) -> Result<(), Halt> {
        let name = entry.name.clone();
        let kind = kind(&name);
        if kind == FileKind::Other || name.len() > LONGEST_NAME {
            self.harvest.counts.add(Counted::SkippedFile);
            // A name that the cursor could not hold is met again by the next page, if it ends here.
            if name.len() <= LONGEST_NAME && !name.chars().any(|c| c == '\\' || c.is_control()) {
                self.state.place.name = Some(name);
            }
            return Ok(());
        }
        if kind == FileKind::Encrypted {
            self.refuse(&name, Refused::Encrypted);
        } else {
            match self.remote.open(&folder.path(&name), None)? {
                Opened::Object(object) => self.state.place.file = Some(opened(object, 0)?),
                Opened::Missing => self.harvest.counts.add(Counted::FileVanished),
                Opened::Broken => self.refuse(&name, Refused::Broken),
                Opened::TooLarge => self.refuse(&name, Refused::TooLarge),
                Opened::Changed => return Err(changed_without_cause()),
            }
        }
        self.state.files = self.state.files.saturating_add(1);
        self.state.day_had_files = true;
        let place = &mut self.state.place;
        place.read = place.read.saturating_add(u32::from(place.file.is_none()));
        place.name = Some(name);
        Ok(())
    }

    /// Reads the open file. False where the page is full.
    fn file(&mut self, folder: &Folder<'_>) -> Result<bool, Halt> {
        let inner_day = self.state.days().is_inner(folder.day);
        let place = &mut self.state.place;
        let (Some(name), Some(file)) = (place.name.clone(), place.file.as_mut()) else { return Ok(true) };
        let path = folder.path(&name);
        let mut lines = Lines::new(file.offset, file.passing);
        let mut ended = false;
        let refused = loop {
            if self.harvest.room() == 0 {
                (file.offset, file.passing) = lines.resume();
                return Ok(false);
            }
            match lines.next() {
                Item::Line(offset, line) => {
                    let mut source = Source { name: &name, file, inner_day };
                    if let Some(given) = self.harvest.line(&mut source, offset, line) {
                        (file.offset, file.passing, file.given) = (offset, false, given);
                        return Ok(false);
                    }
                    continue;
                }
                Item::TooLong(offset) => {
                    self.harvest.reject(
                        &name,
                        Some(offset),
                        "line-too-long",
                        "The line is longer than 1 MiB.",
                        "Export fewer attributes: the list is part of the export's set-up in MoEngage.",
                    );
                    continue;
                }
                Item::Hungry if ended => break None,
                Item::Hungry => {}
            }
            (file.offset, file.passing) = lines.resume();
            let left = file.size.saturating_sub(lines.hungry_at());
            if left == 0 {
                lines.end();
                ended = true;
                continue;
            }
            if self.bytes >= PAGE_BYTES {
                return Ok(false);
            }
            let guess = (self.harvest.room() as u64).saturating_mul(BYTES_PER_RECORD);
            let length = left.min(guess.clamp(SMALLEST_READ, LARGEST_READ));
            match self.remote.read(&path, &file.etag, lines.hungry_at(), length as u32)? {
                Some(piece) if piece.is_empty() => return Err(cut_short()),
                Some(mut piece) => {
                    piece.truncate(length as usize);
                    self.bytes += piece.len() as u64;
                    if lines.hungry_at() == 0 {
                        match line::head(&piece) {
                            Head::Lines => {}
                            Head::Encrypted => break Some(Refused::Encrypted),
                            Head::Foreign => break Some(Refused::Foreign),
                        }
                    }
                    lines.feed(piece);
                }
                // The host dropped it: it is fetched again, and may be another one by now.
                None => match self.remote.open(&path, Some(&file.etag))? {
                    Opened::Object(_) => {}
                    Opened::Changed if file.changes >= MOST_CHANGES => break Some(Refused::Restless),
                    Opened::Changed => {
                        let changes = file.changes + 1;
                        let Opened::Object(object) = self.remote.open(&path, None)? else {
                            return Err(changed_without_cause());
                        };
                        self.harvest.counts.add(Counted::FileChanged);
                        *file = opened(object, changes)?;
                        lines = Lines::new(0, false);
                    }
                    Opened::Missing => {
                        self.harvest.counts.add(Counted::FileVanished);
                        break None;
                    }
                    Opened::Broken => break Some(Refused::Broken),
                    Opened::TooLarge => break Some(Refused::TooLarge),
                },
            }
        };
        place.file = None;
        place.read = place.read.saturating_add(1);
        if let Some(refused) = refused {
            self.refuse(&name, refused);
        }
        Ok(true)
    }

    fn refuse(&mut self, name: &str, refused: Refused) {
        let (code, message, remedy) = refused.words();
        self.harvest.reject(name, None, code, message, remedy);
    }
}

fn opened(object: Object, changes: u8) -> Result<OpenFile, Failure> {
    let Object { etag, size } = object;
    if etag.len() > LONGEST_ETAG || etag.chars().any(|c| c == '\\' || c.is_control()) {
        return Err(Failure::vendor_contract(
            etag.as_bytes(),
            "unusable-etag",
            "The store gives a file an etag of more than 512 bytes, or with a backslash or control character.",
        ));
    }
    Ok(OpenFile { etag, size, changes, ..OpenFile::default() })
}

fn cut_short() -> Halt {
    Failure::new(FailureKind::Transient, "file-cut-short", "The host gave fewer bytes of a file than it has.")
        .into()
}

fn changed_without_cause() -> Halt {
    Failure::new(
        FailureKind::Transient,
        "file-in-flux",
        "A file changed between two calls; it is read again later.",
    )
    .into()
}
