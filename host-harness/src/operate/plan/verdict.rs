//! From where actions and records ended in the copy to what would happen to them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Transaction, params};

use super::shadow::Write;
use super::{Row, Verdict};
use crate::contract::{Record, Subject};
use crate::store::installations::InstallationId;
use crate::store::outbox::{OUTCOME_UNKNOWN, OUTCOME_UNPROVEN, State};
use crate::store::tallies::Fate;
use crate::store::{Digest, StoreError, batches};

/// Why nothing can be said about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is not to be done yet, and may be replaced until then.
    NotDue,
    /// It waits for something that a person makes at Brevo; a stable code.
    Waits(String),
    /// A stable code.
    Why(String),
}

/// A record that was settled without an action.
pub(super) struct Settled {
    pub installation: InstallationId,
    kind: String,
    name: String,
    fate: Fate,
    reason: String,
}

impl Settled {
    pub fn of(installation: InstallationId, record: &Record, fate: Fate, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { installation, kind: record.kind.clone(), name: name_of(record), fate, reason }
    }

    fn verdict(&self) -> Verdict {
        match (self.fate, self.reason.as_str()) {
            (Fate::Duplicate | Fate::Superseded | Fate::Mapped, _) | (_, "unchanged") => Verdict::Leave,
            (Fate::Quarantined, _) => Verdict::Hold,
            (Fate::Skipped, "beyond-dedupe-horizon" | "historical-event") => Verdict::Expire,
            (Fate::Skipped, _) => Verdict::Drop,
        }
    }
}

/// What the deliveries came to.
pub(super) struct Ledger {
    samples: usize,
    /// The last action that was in the outbox before.
    before: i64,
    /// What the calls that were decided for each action would do.
    calls: HashMap<i64, Vec<Verdict>>,
    /// Calls that would change something.
    pub writes: BTreeMap<String, u64>,
    /// Actions about which nothing can be said.
    pub unknown: HashMap<i64, Unknown>,
    /// Attributes that would be made.
    attributes: u64,
}

/// The rows of a report.
pub(super) struct Verdicts {
    pub rows: Vec<Row>,
    pub outbox: Vec<Row>,
}

impl Verdicts {
    pub fn totals(&self) -> BTreeMap<Verdict, u64> {
        let mut totals = BTreeMap::new();
        for row in self.rows.iter().chain(&self.outbox) {
            *totals.entry(row.verdict).or_default() += row.count;
        }
        totals
    }
}

impl Ledger {
    pub fn new(samples: usize, before: i64) -> Self {
        Self {
            samples,
            before,
            calls: HashMap::new(),
            writes: BTreeMap::new(),
            unknown: HashMap::new(),
            attributes: 0,
        }
    }

    /// How many actions something was decided for.
    pub fn decided(&self) -> usize {
        self.calls.len() + self.unknown.len()
    }

    /// Books the writes of one step to the actions that it took.
    pub fn note(&mut self, taken: &[Taken], writes: &[Write]) {
        for write in writes.iter().filter(|write| write.taken) {
            *self.writes.entry(write.call.clone()).or_default() += 1;
            if write.call.starts_with("POST /contacts/attributes/") {
                self.attributes += 1;
            }
            for one in taken {
                if let Some(verdict) = one.verdict(&write.call) {
                    self.calls.entry(one.action).or_default().push(verdict);
                }
            }
        }
        for one in taken {
            self.calls.entry(one.action).or_default();
        }
    }

    /// The verdicts about everything of these installations.
    pub fn judge(
        &self,
        tx: &Transaction<'_>,
        installations: &[i64],
        settled: Vec<Settled>,
    ) -> Result<Verdicts, StoreError> {
        let (mut input, mut outbox) = (Rows::new(self.samples), Rows::new(self.samples));
        if self.attributes > 0 {
            input.add("-", Some("attribute"), Verdict::Create, None, self.attributes, None);
        }
        for one in settled {
            let (verdict, code) = (one.verdict(), Some(one.reason.as_str()));
            input.add(&one.kind, None, verdict, code, 1, Some(&one.name));
        }
        let mut names = Names::default();
        let mut statement = tx.prepare(
            "SELECT id, installation, name, state, code, batch, position FROM action
             WHERE id > ?1 OR state IN (0, 1, 8, 9) OR id IN (SELECT value FROM json_each(?2)) ORDER BY id",
        )?;
        let touched: Vec<i64> = self.calls.keys().chain(self.unknown.keys()).copied().collect();
        let touched = serde_json::to_string(&touched).map_err(|_| StoreError::Unreadable("plan"))?;
        let mut found = statement.query(params![self.before, touched])?;
        while let Some(row) = found.next()? {
            let (id, installation): (i64, i64) = (row.get(0)?, row.get(1)?);
            if !installations.contains(&installation) {
                continue;
            }
            let (action, state): (String, i64) = (row.get(2)?, row.get(3)?);
            let code: Option<String> = row.get(4)?;
            let (kind, name) = names.of(tx, row.get(5)?, row.get(6)?)?;
            let state = State::from_number(state).ok_or(StoreError::Unreadable("action.state"))?;
            let (verdict, code) = self.verdict(id, state, code);
            let rows = if id > self.before { &mut input } else { &mut outbox };
            rows.add(&kind, Some(&action), verdict, code.as_deref(), 1, Some(&name));
        }
        drop(found);
        self.letters(tx, installations, &mut names, &mut input)?;
        Ok(Verdicts { rows: input.finish(), outbox: outbox.finish() })
    }

    fn verdict(&self, id: i64, state: State, code: Option<String>) -> (Verdict, Option<String>) {
        let calls = self.calls.get(&id).map_or(&[][..], Vec::as_slice);
        if let Some(verdict) = calls.iter().min() {
            // What else is to be said of it, for instance that its phone waits.
            return (*verdict, code.filter(|_| state == State::Held && !self.unknown.contains_key(&id)));
        }
        match self.unknown.get(&id) {
            Some(Unknown::NotDue) => return (Verdict::Hold, Some("not-due".into())),
            Some(Unknown::Waits(code)) => return (Verdict::Hold, Some(code.clone())),
            Some(Unknown::Why(why)) => return (Verdict::CannotPreview, Some(why.clone())),
            None => {}
        }
        let verdict = match state {
            State::Delivered | State::Deduplicated | State::Coalesced | State::Superseded => Verdict::Leave,
            State::Expired => Verdict::Expire,
            State::Refused | State::Failed => Verdict::Drop,
            State::Held => Verdict::Hold,
            State::Parked if matches!(code.as_deref(), Some(OUTCOME_UNKNOWN | OUTCOME_UNPROVEN)) => {
                Verdict::CannotPreview
            }
            State::Parked => Verdict::Hold,
            State::Waiting | State::InFlight => Verdict::CannotPreview,
        };
        (verdict, code)
    }

    /// Records and parts of webhooks that a person would have to look at.
    fn letters(
        &self,
        tx: &Transaction<'_>,
        installations: &[i64],
        names: &mut Names,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let mut statement = tx.prepare(
            "SELECT installation, stage, code, batch, position FROM dead_letter
             WHERE id > (SELECT letter FROM plan_before) AND stage IN ('read', 'map') AND state = 'open' ORDER BY id",
        )?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            if !installations.contains(&row.get(0)?) {
                continue;
            }
            let (stage, code): (String, String) = (row.get(1)?, row.get(2)?);
            let place: (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let (kind, name) = match place {
                (Some(batch), Some(position)) if stage == "map" => {
                    let (kind, name) = names.of(tx, batch, position)?;
                    (kind, Some(name))
                }
                _ => ("unreadable".to_owned(), None),
            };
            rows.add(&kind, None, Verdict::Hold, Some(&code), 1, name.as_deref());
        }
        Ok(())
    }
}

/// An action that a step took, as it stands after the step.
pub(super) struct Taken {
    pub action: i64,
    pub state: State,
    /// It rides in an import, and makes a contact; or not.
    pub rides: Option<bool>,
}

impl Taken {
    /// What a call of the step does for it, if it does anything.
    fn verdict(&self, call: &str) -> Option<Verdict> {
        match call {
            // Consent and suppressions ride along, and are no call of their own.
            IMPORT => self.rides.map(|new| if new { Verdict::Create } else { Verdict::Update }),
            // Of those who ride together each is done or not.
            _ if is_list_change(call) => (self.state == State::Delivered).then_some(Verdict::Update),
            _ => Some(of_call(call)),
        }
    }
}

const IMPORT: &str = "POST /contacts/import";
/// Whether one is made or changed is Brevo's to find out.
const UPSERTS: [&str; 2] = ["POST /products", "POST /objects/{type}/batch/upsert"];
/// These reach people.
const SENDS: [&str; 3] =
    ["POST /smtp/email", "POST /transactionalSMS/send", "POST /emailCampaigns/{id}/sendNow"];

/// What a call does.
fn of_call(call: &str) -> Verdict {
    match call.split(' ').next() {
        _ if UPSERTS.contains(&call) => Verdict::Upsert,
        _ if SENDS.contains(&call) => Verdict::Send,
        Some("DELETE") => Verdict::Delete,
        Some("POST") => Verdict::Create,
        _ => Verdict::Update,
    }
}

fn is_list_change(call: &str) -> bool {
    call.ends_with("/contacts/add") || call.ends_with("/contacts/remove")
}

/// Names of records by their place, batch by batch.
#[derive(Default)]
struct Names {
    batch: Option<i64>,
    records: Vec<(String, String)>,
}

impl Names {
    /// Kind and name of a record; its body may be gone.
    fn of(
        &mut self,
        tx: &Transaction<'_>,
        batch: i64,
        position: i64,
    ) -> Result<(String, String), StoreError> {
        if self.batch != Some(batch) {
            let records = batches::all(tx, batch)?;
            self.records = records
                .iter()
                .enumerate()
                .map(|(at, kept)| match kept {
                    Some(kept) => (kept.record.kind.clone(), name_of(&kept.record)),
                    None => unknown(batch, at as i64), // of somebody who was erased
                })
                .collect();
            self.batch = Some(batch);
        }
        let found = usize::try_from(position).ok().and_then(|position| self.records.get(position));
        Ok(found.cloned().unwrap_or_else(|| unknown(batch, position)))
    }
}

fn unknown(batch: i64, position: i64) -> (String, String) {
    ("unknown".into(), format!("batch {batch}, {position}"))
}

/// The record's id, or its digest where one of the person's names is part of it.
fn name_of(record: &Record) -> String {
    let names_somebody = match &record.subject {
        Subject::Object(_) => false,
        Subject::Person(person) => {
            let names = [&person.external_id, &person.email, &person.phone].into_iter().flatten();
            let names = names.chain(person.aliases.iter().map(|alias| &alias.value));
            let escaped = |name: &str| name.replace('%', "%25").replace(':', "%3A");
            names.into_iter().any(|name| stands_in(&record.id, name) || stands_in(&record.id, &escaped(name)))
        }
    };
    match names_somebody {
        true => format!("{}#{}", record.kind, &Digest::of(&[record.id.as_bytes()]).hex()[..12]),
        false => record.id.clone(),
    }
}

/// Whether a name is a part of an id, and not only letters in the middle of another word.
fn stands_in(id: &str, name: &str) -> bool {
    let (id, name) = (id.to_lowercase(), name.to_lowercase());
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !name.is_empty()
        && id.match_indices(&name).any(|(at, found)| {
            let (before, after) = (&id[..at], &id[at + found.len()..]);
            edge(before.chars().next_back()) && edge(after.chars().next())
        })
}

/// What makes a row.
type Key = (String, Option<String>, Verdict, Option<String>);

struct Rows {
    samples: usize,
    rows: BTreeMap<Key, (u64, Vec<String>)>,
}

impl Rows {
    fn new(samples: usize) -> Self {
        Self { samples, rows: BTreeMap::new() }
    }

    fn add(
        &mut self,
        kind: &str,
        action: Option<&str>,
        verdict: Verdict,
        code: Option<&str>,
        count: u64,
        sample: Option<&str>,
    ) {
        let key = (kind.to_owned(), action.map(str::to_owned), verdict, code.map(str::to_owned));
        let (number, samples) = self.rows.entry(key).or_default();
        *number += count;
        if let Some(sample) = sample
            && samples.len() < self.samples
            && !samples.iter().any(|known| known == sample)
        {
            samples.push(sample.to_owned());
        }
    }

    fn finish(self) -> Vec<Row> {
        let row = |((kind, action, verdict, code), (count, samples))| Row {
            kind,
            action,
            verdict,
            code,
            count,
            samples,
        };
        self.rows.into_iter().map(row).collect()
    }
}
