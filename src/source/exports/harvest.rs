//! What a page takes from the lines of files: records, rejects, counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};

use super::counts::{Counted, Counts};
use super::cursor::{MOST_OTHERS, OpenFile};
use super::line::{self, Envelope};
use crate::model::{CONTACT, Millis, Provenance, Record, Subject};
use crate::settings::Settings;
use crate::source::inner_event::{self, Refusal};
use crate::source::notes::{Note, Notes, Notice};
use crate::source::surfaces::Reject;

/// Most records and rejects of a page. Two of each 1 KB line fill it at about 4 MiB, and the
/// contract's 20,000 leave room.
pub const PAGE_LIMIT: u32 = 10_000;

/// Bytes of records after which a page ends, of the 16 MiB that may cross the boundary. One line
/// adds less than 600 KiB.
const PAGE_WEIGHT: usize = 8 * 1024 * 1024;

/// Longest file name in a pointer, in bytes; of longer ones the end.
const NAME_IN_POINTER: usize = 200;

/// The file that lines come from.
pub struct Source<'a> {
    /// Its name below the folder of a day.
    pub name: &'a str,
    /// Where it stands.
    pub file: &'a mut OpenFile,
    /// Whether its day is inside of the window, away from the rim.
    pub inner_day: bool,
}

/// A page in the making.
pub struct Harvest<'a> {
    settings: &'a Settings,
    /// `db_name` of the settings as JSON.
    db_name: String,
    from: Millis,
    to: Millis,
    limit: usize,
    weight: usize,
    records: Vec<Record>,
    rejects: Vec<Reject>,
    notes: Notes,
    pub counts: Counts,
    /// By the hash of its id, the last contact record of each person.
    contacts: HashMap<u64, usize, BuildHasherDefault<DefaultHasher>>,
}

impl<'a> Harvest<'a> {
    /// Nothing yet, for a window and at most `budget` records.
    pub fn new(settings: &'a Settings, db_name: &str, window: (Millis, Millis), budget: u32) -> Self {
        Self {
            settings,
            db_name: crate::json::to_json(&db_name),
            from: window.0,
            to: window.1,
            limit: budget.clamp(1, PAGE_LIMIT) as usize,
            weight: 0,
            records: Vec::new(),
            rejects: Vec::new(),
            notes: Notes::default(),
            counts: Counts::default(),
            contacts: HashMap::default(),
        }
    }

    /// How many more records and rejects the page takes.
    pub fn room(&self) -> usize {
        if self.weight >= PAGE_WEIGHT {
            return 0;
        }
        self.limit.saturating_sub(self.records.len() + self.rejects.len())
    }

    /// True where nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rejects.is_empty()
    }

    /// Everything that was taken.
    pub fn into_parts(self) -> (Vec<Record>, Vec<Reject>, Vec<Note>) {
        let mut notes: Vec<_> = self.counts.into_notes().collect();
        notes.extend(self.notes.into_list());
        (self.records, self.rejects, notes)
    }

    /// Takes one line. There has to be room. Returns how many of its records found none: nothing
    /// where the line is done, otherwise the records of it that were given out so far.
    pub fn line(&mut self, source: &mut Source<'_>, offset: u64, bytes: &[u8]) -> Option<u8> {
        let bytes = if offset == 0 { line::without_mark(bytes) } else { bytes };
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return None;
        }
        // Telling whether it is UTF-8 is much faster than looking for what isn't.
        let text = std::str::from_utf8(bytes);
        let was_utf8 = text.is_ok();
        let text = text.map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        match self.records_of(source, &text, was_utf8) {
            Ok(records) => self.give(source.file, records),
            Err(refusal) => {
                let Refusal { code, message, remedy } = refusal;
                self.reject(source.name, Some(offset), code, message, remedy);
                None
            }
        }
    }

    fn records_of(
        &mut self,
        source: &mut Source<'_>,
        text: &str,
        was_utf8: bool,
    ) -> Result<Vec<Record>, Refusal> {
        let Envelope { db_name, event } = line::envelope(text)?;
        if db_name.is_none_or(|name| name.get() != self.db_name)
            && line::text_of(db_name).is_none_or(|name| crate::json::to_json(&name) != self.db_name)
        {
            self.other_environment(source, line::text_of(db_name).as_deref());
            return Ok(Vec::new());
        }
        // Only at the rim of the window many lines are outside of it, and worth a look before
        // they are read.
        if !source.inner_day && self.is_outside(line::time_of(event)) {
            self.counts.add(Counted::OutsideWindow);
            return Ok(Vec::new());
        }
        // The notes of a line that is read for the second time were counted the first time.
        let mut again = Notes::default();
        let notes = if source.file.given > 0 { &mut again } else { &mut self.notes };
        if !was_utf8 && event.get().contains(char::REPLACEMENT_CHARACTER) {
            notes.add(Notice::NonUtf8Replaced);
        }
        let records = inner_event::read(self.settings, event.get(), Provenance::Backfill, notes)?;
        // Lines without a readable time are kept: what they may cause is decided by that.
        if records.last().is_some_and(|record| self.is_outside(record.occurred.at)) {
            self.counts.add(Counted::OutsideWindow);
            return Ok(Vec::new());
        }
        // The contract has no such ids; one of them must not stop the whole page.
        let control = |record: &Record| {
            [&record.id, &record.observation.id].into_iter().any(|id| id.chars().any(char::is_control))
        };
        if records.iter().any(control) {
            return Err(line::CONTROL_CHARACTER);
        }
        Ok(records)
    }

    fn is_outside(&self, at: Option<Millis>) -> bool {
        at.is_some_and(|at| !(self.from..self.to).contains(&at))
    }

    /// Adds the records of a line, as far as there is room, and as far as that was not done before.
    fn give(&mut self, file: &mut OpenFile, records: Vec<Record>) -> Option<u8> {
        let before = std::mem::take(&mut file.given);
        for (given, record) in (0_u8..).zip(records) {
            if given < before {
                continue;
            }
            let person = (record.kind == CONTACT).then(|| self.contacts.hasher().hash_one(&record.id));
            if person.is_some_and(|person| self.merge(person, &record)) {
                continue;
            }
            if self.room() == 0 {
                return Some(given);
            }
            if let Some(person) = person {
                self.contacts.insert(person, self.records.len());
            }
            self.weight += weight(&record);
            self.records.push(record);
        }
        None
    }

    /// Makes one of two contact records that say the same about a person, if nothing else was
    /// said about that person in between.
    ///
    /// This loses nothing: accepting the second one would change no content and only move its
    /// time on, so the newer time alone has the same outcome, whatever the host held before and
    /// whatever follows. Two equal records with a different one in between stay three.
    fn merge(&mut self, person: u64, record: &Record) -> bool {
        let known = self.contacts.get(&person).and_then(|&index| self.records.get_mut(index));
        let Some(known) = known.filter(|known| known.id == record.id && known.body == record.body) else {
            return false;
        };
        // A time that isn't known counts as the oldest; of equal times the greater id counts.
        let rank = |record: &Record| (record.occurred.vendor_time(), record.observation.id.clone());
        if rank(record) > rank(known) {
            known.occurred = record.occurred;
            known.observation = record.observation.clone();
        }
        true
    }

    /// Counts a record of another database. Each name is rejected once for each file: a wrong
    /// folder has millions of such lines.
    fn other_environment(&mut self, source: &mut Source<'_>, name: Option<&str>) {
        self.counts.add(Counted::OtherEnvironment);
        let digest = line::digest(name.unwrap_or_default());
        let others = &mut source.file.others;
        if others.len() >= MOST_OTHERS || others.contains(&digest) {
            return;
        }
        others.push(digest);
        let plain = |name: &&str| {
            (1..=64).contains(&name.len())
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.'))
        };
        let named = name
            .filter(plain)
            .map_or_else(|| "another db_name".to_owned(), |name| format!("the db_name {name}"));
        self.reject(
            source.name,
            None,
            "other-environment",
            &format!("The file has records of {named}; none of them was read."),
            "Correct exports.folder or exports.db_name: Live and Test must never be mixed.",
        );
    }

    /// Rejects a file, or what stands at an offset of it. The pointer has the file's name below the
    /// folder of its day: nothing of the tenant's own naming.
    pub fn reject(&mut self, name: &str, offset: Option<u64>, code: &str, message: &str, remedy: &str) {
        let begin = name.len().saturating_sub(NAME_IN_POINTER);
        let file = name.get(name.ceil_char_boundary(begin)..).unwrap_or(name);
        self.rejects.push(Reject {
            pointer: offset.map_or_else(|| file.to_owned(), |offset| format!("{file}#{offset}")),
            code: code.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
}

/// Bytes that a record takes at the boundary, about.
fn weight(record: &Record) -> usize {
    let subject = match &record.subject {
        Subject::Object(kind, key) => kind.len() + key.len(),
        Subject::Person(person) => {
            let names = [&person.external_id, &person.email, &person.phone].into_iter().flatten();
            let aliases = person.aliases.iter().map(|alias| alias.kind.len() + alias.value.len() + 16);
            names.map(String::len).chain(aliases).sum()
        }
    };
    256 + record.id.len() + record.body.len() + record.observation.id.len() + subject
}
