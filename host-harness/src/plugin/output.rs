//! Nothing that a guest returns is believed: every value is checked here once.
//!
//! What touches identity, order or size is a fault of the whole unit, because it shows that the
//! guest can't be trusted with any of it. What is wrong only inside one record quarantines that
//! record. A violation names the rule, never the data.

use std::collections::HashSet;

use crate::contract::{
    Action, Cursor, Failure, FailureKind, Mapping, Nature, Next, Note, Page, PageRequest, Person, Position,
    Profile, Provenance, Record, Reject, ResourceSpec, Subject, SyncMode, Timestamp, WebhookOutcome,
};
use crate::json;
use crate::manifest::is_kebab;
use crate::unit::UnitError;

use super::fault::fault;
use super::imports::log::printable;
use super::limits::Limits;

/// 9999-12-31T23:59:59.999Z: the last instant that every part of the host can write.
const LAST_INSTANT: Timestamp = 253_402_300_799_999;

/// A rule of the contract that does not hold.
pub type Rule = &'static str;

/// The fault of a unit or record that broke a rule.
pub fn violation(rule: Rule) -> UnitError {
    fault("guest-output", format!("the guest broke a rule of the contract: {rule}"))
}

/// Where the records of a unit come in.
pub struct Door<'a> {
    /// Kinds that may come in here.
    pub kinds: &'a [String],
    /// Whether `live` is the right provenance (or `backfill`, where a first run is pushed), or one of
    /// the others is.
    pub live: bool,
}

/// Checks what a guest returns against one profile.
pub struct Checker<'a> {
    /// What the configuration declared.
    pub profile: &'a Profile,
    /// All limits.
    pub limits: &'a Limits,
}

impl Checker<'_> {
    /// A webhook's outcome; `door` are the surface's kinds.
    pub fn webhook(&self, outcome: &mut WebhookOutcome, door: &Door) -> Result<(), Rule> {
        self.inputs(&outcome.records, &mut outcome.rejects, &mut outcome.notes, door)
    }

    /// A page, against what was asked for.
    pub fn page(&self, page: &mut Page, request: &PageRequest) -> Result<(), Rule> {
        let resource = self.profile.resources.iter().find(|r| r.name == request.resource);
        let resource = resource.ok_or("the resource is one of the profile")?;
        let kinds = self.page_kinds(resource);
        self.inputs(&page.records, &mut page.rejects, &mut page.notes, &Door { kinds: &kinds, live: false })?;
        let most = request.budget.max(1).min(resource.page_limit.max(1)) as usize;
        hold(page.records.len() <= most, "a page holds no more records than its budget and page limit")?;
        let nature = page
            .records
            .iter()
            .all(|record| self.nature(resource, &record.kind).is_none_or(|nature| nature == record.nature));
        hold(nature, "a record has the nature of its resource")?;
        let check = resource.mode == SyncMode::Check;
        hold(!check || page.records.is_empty(), "a check resource yields no records")?;
        hold(page.not_before.is_none_or(in_range), "an instant is between 1970 and 9999")?;
        match &mut page.next {
            Next::More(cursor) => {
                self.cursor(cursor)?;
                let same = matches!(&request.position, Position::Cursor(before) if before == cursor);
                hold(!same, "`more` moves the cursor")
            }
            Next::Later((cursor, at)) => {
                hold(in_range(*at), "an instant is between 1970 and 9999")?;
                self.cursor(cursor)
            }
            Next::Done(end) => {
                if let Some(reason) = &mut end.truncated {
                    *reason = self.sentence(reason);
                    hold(!reason.is_empty(), "a truncated run says why")?;
                }
                end.cursor.as_ref().map_or(Ok(()), |cursor| self.cursor(cursor))
            }
        }
    }

    /// Kinds that a page may hold: the resource's own, and what the profile declares elsewhere
    /// (docs/decisions/0007).
    fn page_kinds(&self, resource: &ResourceSpec) -> Vec<String> {
        let resources = self.profile.resources.iter().filter(|other| other.mode != SyncMode::Check);
        let mut kinds: Vec<String> = resources.map(|other| other.kind.clone()).collect();
        kinds.extend(self.profile.surfaces.iter().flat_map(|surface| surface.kinds.iter().cloned()));
        kinds.push(resource.kind.clone());
        kinds
    }

    /// What a kind is, where a resource says so: the page's own first.
    fn nature(&self, resource: &ResourceSpec, kind: &str) -> Option<Nature> {
        std::iter::once(resource)
            .chain(&self.profile.resources)
            .find(|one| one.kind == kind && one.mode != SyncMode::Check)
            .map(|one| one.nature)
    }

    /// What makes records unfit to be stored at all.
    fn inputs(
        &self,
        records: &[Record],
        rejects: &mut [Reject],
        notes: &mut [Note],
        door: &Door,
    ) -> Result<(), Rule> {
        let many = records.len().saturating_add(rejects.len()) > self.limits.records;
        hold(!many, "a unit has at most 20,000 records and rejects")?;
        for record in records {
            self.identity(record, door)?;
        }
        for reject in rejects {
            hold(self.short(&reject.pointer), "a reject has a short pointer")?;
            hold(self.code(&reject.code), "a code is lower-kebab-case and short")?;
            reject.message = self.sentence(&reject.message);
            reject.remedy = self.sentence(&reject.remedy);
        }
        hold(notes.len() <= self.limits.notes, "a unit has at most 1,000 notes")?;
        for note in notes {
            hold(self.code(&note.name), "a note's name is lower-kebab-case and short")?;
            note.message = self.sentence(&note.message);
        }
        Ok(())
    }

    fn identity(&self, record: &Record, door: &Door) -> Result<(), Rule> {
        hold(door.kinds.contains(&record.kind), "a record's kind is declared for where it came in")?;
        let rest = record
            .id
            .strip_prefix(self.profile.connector.as_str())
            .and_then(|rest| rest.strip_prefix(':')?.strip_prefix(self.profile.workspace.as_str()))
            .and_then(|rest| rest.strip_prefix(':')?.strip_prefix(record.kind.as_str()))
            .and_then(|rest| rest.strip_prefix(':'));
        let proper = rest.is_some_and(|key| !key.is_empty()) && self.short(&record.id);
        hold(proper, "a record's id is <connector>:<workspace>:<kind>:<vendor key>")?;
        hold(self.short(&record.observation.id), "an observation has a short id")?;
        // A vendor may push how things are (the first run of a segment's sync): that is no live news.
        let live = record.provenance == Provenance::Live;
        let backfill = record.provenance == Provenance::Backfill;
        let proper = live == door.live || (door.live && backfill);
        hold(proper, "a record's provenance is that of the door it came in by")
    }

    /// What makes one record unfit to be mapped. Its identity was checked when it came in.
    pub fn record(&self, record: &Record) -> Result<(), Rule> {
        self.json_object(&record.body)?;
        self.subject(&record.subject)?;
        hold(record.occurred.at.is_none_or(in_range), "an instant is between 1970 and 9999")
    }

    /// A record's actions.
    pub fn mapping(&self, mapping: &Mapping) -> Result<(), Rule> {
        let actions = match mapping {
            Mapping::Nothing(code) => {
                return hold(self.code(code), "a code is lower-kebab-case and short");
            }
            Mapping::Actions(actions) => actions,
        };
        hold(actions.len() <= self.limits.actions, "a record has at most 64 actions")?;
        let mut slots = HashSet::new();
        for action in actions {
            hold(self.short(&action.slot), "an action has a short slot")?;
            hold(slots.insert(action.slot.as_str()), "a slot is unique within its record")?;
            self.action(action)?;
        }
        Ok(())
    }

    fn action(&self, action: &Action) -> Result<(), Rule> {
        hold(self.short(&action.name), "an action has a short name")?;
        self.subject(&action.subject)?;
        self.json_object(&action.payload)?;
        let times = action.not_after.is_none_or(in_range) && action.not_before.is_none_or(in_range);
        hold(times, "an instant is between 1970 and 9999")?;
        let coalesce = action.coalesce.as_ref().is_none_or(|key| self.short(key));
        hold(coalesce, "a coalescing key is short")
    }

    /// A failure; what is for people is made printable.
    pub fn failure(&self, failure: &mut Failure) -> Result<(), Rule> {
        hold(self.code(&failure.code), "a code is lower-kebab-case and short")?;
        failure.message = self.sentence(&failure.message);
        let declared = |slot: &String| self.profile.slots.iter().any(|known| known.name == *slot);
        match &mut failure.kind {
            FailureKind::Auth(slot) => hold(declared(slot), "a failure names a declared slot"),
            FailureKind::Permission((slot, scope)) => {
                *scope = self.sentence(scope);
                hold(declared(slot), "a failure names a declared slot")
            }
            FailureKind::VendorContract(sample) => {
                sample.truncate(self.limits.sample);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn cursor(&self, cursor: &Cursor) -> Result<(), Rule> {
        hold(cursor.bytes.len() <= self.limits.cursor, "a cursor is at most 4 KiB")?;
        let known = self.profile.cursor_versions.contains(&cursor.version);
        hold(known, "a cursor's version is one that the profile lists")
    }

    fn subject(&self, subject: &Subject) -> Result<(), Rule> {
        match subject {
            Subject::Object((kind, key)) => {
                hold(self.short(kind) && self.short(key), "an object has a short kind and key")
            }
            Subject::Person(person) => self.person(person),
        }
    }

    fn person(&self, person: &Person) -> Result<(), Rule> {
        let mut names = [&person.external_id, &person.email, &person.phone].into_iter().flatten();
        hold(names.all(|name| self.short(name)), "a name of a person is short and not empty")?;
        let aliases = &person.aliases;
        hold(aliases.len() <= self.limits.aliases, "a person has at most 32 aliases")?;
        let proper = aliases.iter().all(|alias| self.code(&alias.kind) && self.short(&alias.value));
        hold(proper, "an alias has a lower-kebab-case kind and a short value")
    }

    fn json_object(&self, text: &str) -> Result<(), Rule> {
        hold(text.len() <= self.limits.json, "a body or payload is at most 256 KiB")?;
        let proper = json::check_object(text).is_ok();
        hold(proper, "a body or payload is a JSON object, 100 levels deep, without duplicate keys")
    }

    fn short(&self, text: &str) -> bool {
        !text.is_empty() && text.len() <= self.limits.text && !text.chars().any(char::is_control)
    }

    fn code(&self, code: &str) -> bool {
        code.len() <= self.limits.text && is_kebab(code)
    }

    fn sentence(&self, text: &str) -> String {
        printable(text, self.limits.message)
    }
}

fn hold(holds: bool, rule: Rule) -> Result<(), Rule> {
    if holds { Ok(()) } else { Err(rule) }
}

fn in_range(at: Timestamp) -> bool {
    (0..=LAST_INSTANT).contains(&at)
}

/// Bytes of a record, for the cost of a unit.
pub fn record_size(record: &Record) -> u64 {
    let subject = match &record.subject {
        Subject::Object((kind, key)) => kind.len() + key.len(),
        Subject::Person(person) => {
            let names = [&person.external_id, &person.email, &person.phone].into_iter().flatten();
            names.map(String::len).sum::<usize>()
                + person.aliases.iter().map(|alias| alias.kind.len() + alias.value.len()).sum::<usize>()
        }
    };
    (record.id.len() + record.kind.len() + record.observation.id.len() + record.body.len() + subject) as u64
}

/// Bytes of a mapping, for the cost of a unit.
pub fn mapping_size(mapping: &Mapping) -> u64 {
    match mapping {
        Mapping::Nothing(code) => code.len() as u64,
        Mapping::Actions(actions) => {
            actions.iter().map(|action| (action.name.len() + action.payload.len()) as u64).sum()
        }
    }
}
