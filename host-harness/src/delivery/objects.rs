//! Records of custom objects. All that is due of one type rides in one call, because the account has
//! few; by their `ext_id` they are safe to repeat.
//!
//! Brevo answers before it works on a batch, so a record is delivered once Brevo says that its work
//! is done (`GET /processes/{id}`), and until then later revisions of the thing wait: nothing says
//! that two batches are worked on in order. A process that Brevo doesn't know proves nothing more
//! than the acceptance did, which then counts.
//!
//! What Brevo drops in silence shows only in what it gives back. So when a type's batch is done, the
//! newest records are read once, and what is missing of ours is the tenant's to make. A type that is
//! not there stops its own records only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use rusqlite::{Transaction, params};
use serde_json::Value;

use super::claim::{BLOCKS, Claim};
use super::outcome::{Again, End, Letter, write_thing};
use super::wire::Stop;
use super::work::Intent;
use super::{Delivery, millis};
use crate::brevo::errors::{Kind, Remedy};
use crate::brevo::objects::{self as wire, Batched, Progress, Record};
use crate::brevo::windows::Family;
use crate::registry::names::UPSERT_OBJECT;
use crate::registry::{Payload, UpsertObject};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox::{self, Action, State};
use crate::world::Millis;

/// Records of one type that are in flight together.
pub(super) struct ObjectBatch {
    kind: String,
    /// Brevo's number for its work on them; none where they are to be sent.
    process: Option<i64>,
    rows: Vec<Row>,
}

struct Row {
    action: Action,
    intent: Intent,
    object: UpsertObject,
}

/// What is known of a type since the start.
#[derive(Default)]
pub(super) struct ObjectType {
    /// It is not there; when to try again.
    closed_until: Millis,
    /// Attributes that Brevo gave back.
    shown: BTreeSet<String>,
    looked_at: Option<Millis>,
}

/// First and longest wait before Brevo is asked how far it is; doubled each time.
const CHECK: (Millis, Millis) = (60_000, 3_600_000);

const ACCEPTED: &str = "accepted";
const TYPE_UNKNOWN: &str = "object-type-unknown";

impl Delivery {
    /// Everything that can ride with the first record that is due.
    pub(super) fn claim_objects(
        &self,
        tx: &Transaction<'_>,
        action: Action,
        now: Millis,
    ) -> Result<Claim, StoreError> {
        let Some(object) = object_of(&action) else { return self.take(tx, action, now) };
        let (kind, process) = (object.kind, Intent::read(action.intent.as_deref())?.process);
        let closed_until = self.object_types().get(&kind).map_or(0, |known| known.closed_until);
        if process.is_none() && closed_until > now {
            tx.prepare_cached(
                "UPDATE action SET due_at = ?3, code = ?5
                 WHERE destination = ?1 AND state IN (0, 1, 8, 9) AND due_at IS NOT NULL
                   AND state = 0 AND due_at <= ?2 AND name = ?6
                   AND json_extract(payload, '$.type') = ?4
                   AND json_extract(intent, '$.process') IS NULL",
            )?
            .execute(params![
                self.options.destination.0,
                now,
                closed_until,
                kind,
                TYPE_UNKNOWN,
                UPSERT_OBJECT
            ])?;
            return Ok(Claim::Done);
        }
        let rows = self.ride_together(tx, &kind, process, now)?;
        if rows.is_empty() {
            return Ok(Claim::Done); // too large, and put aside
        }
        for row in &rows {
            outbox::take(tx, row.action.id, now)?;
        }
        self.save_rates(tx)?;
        let counted = |mut row: Row| {
            row.action.attempts += 1;
            row.action.state = State::InFlight;
            row
        };
        Ok(Claim::Objects(ObjectBatch { kind, process, rows: rows.into_iter().map(counted).collect() }))
    }

    /// Records of the type that are due and first in their lanes, each once, as many as a call takes.
    fn ride_together(
        &self,
        tx: &Transaction<'_>,
        kind: &str,
        process: Option<i64>,
        now: Millis,
    ) -> Result<Vec<Row>, StoreError> {
        let candidates: Vec<Action> = tx
            .prepare_cached(&riders_sql())?
            .query_map(params![self.options.destination.0, now, kind, process], Action::from_row)?
            .collect::<Result<_, _>>()?;
        let (mut rows, mut ids) = (Vec::<Row>::new(), BTreeSet::new());
        let (mut bytes, mut most) = (0, wire::BATCH_MAX);
        for action in candidates {
            let Some(object) = object_of(&action) else { continue };
            let intent = Intent::read(action.intent.as_deref())?;
            let size = Record::new(&object).size();
            if size > wire::BATCH_BYTES {
                self.end(tx, &action, State::Waiting, &End::Stopped(State::Failed, too_large()), None, now)?;
                continue;
            }
            most = most.min(intent.most.unwrap_or(wire::BATCH_MAX));
            bytes += size;
            if rows.len() >= most || bytes > wire::BATCH_BYTES {
                break;
            }
            if ids.insert(object.ext_id.clone()) {
                rows.push(Row { action, intent, object });
            }
        }
        Ok(rows)
    }

    /// Sends the batch, or asks after it.
    pub(super) fn objects(&self, batch: &ObjectBatch) -> Result<(), StoreError> {
        let ends = match batch.process {
            None => self.send_objects(batch)?,
            Some(process) => self.ask_after(batch, process)?,
        };
        let now = self.world.now();
        self.store.write(|tx| {
            let mut delivered = Vec::new();
            for (row, (end, intent)) in batch.rows.iter().zip(&ends) {
                self.end(tx, &row.action, State::InFlight, end, Some(intent), now)?;
                if matches!(end, End::Delivered) {
                    delivered.push(&row.action);
                }
            }
            self.newest_is_there(tx, Family::Objects, &delivered, now)?;
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })?;
        if ends.iter().any(|(end, _)| matches!(end, End::Delivered)) {
            self.compare_attributes(batch)?;
        }
        Ok(())
    }

    fn send_objects(&self, batch: &ObjectBatch) -> Result<Vec<(End, Intent)>, StoreError> {
        let records: Vec<Record<'_>> = batch.rows.iter().map(|row| Record::new(&row.object)).collect();
        let answer = self.call(&wire::upsert(&batch.kind, &records));
        let in_family = |problem| Stop::Problem(problem, Family::Objects);
        let result = answer.and_then(|answer| wire::read_upsert(&answer).map_err(in_family));
        let now = self.world.now();
        match result {
            Ok(Batched::Accepted(process)) => {
                if let Some(known) = self.object_types().get_mut(&batch.kind) {
                    known.closed_until = 0;
                }
                let about = about(&batch.kind);
                self.store.write(|tx| self.resolve_about(tx, &about, now))?;
                let end = End::Again(Again { at: now + CHECK.0, code: ACCEPTED, counted: false });
                Ok(batch.each(end, |intent| (intent.process, intent.checks) = (Some(process), 0)))
            }
            Ok(Batched::NoSuchType) => {
                let at = now + millis(self.options.policy.pause);
                self.object_types().entry(batch.kind.clone()).or_default().closed_until = at;
                let letter = type_unknown(&batch.kind);
                if let Some(row) = batch.rows.first() {
                    self.store.write(|tx| write_thing(tx, row.action.installation, &letter, now))?;
                }
                Ok(batch.each(End::Again(Again { at, code: TYPE_UNKNOWN, counted: false }), |_| {}))
            }
            Err(Stop::Problem(problem, _)) if problem.kind.rule().remedy == Remedy::GiveUp => {
                // Refused as a whole: halves find out which record it was.
                if batch.rows.len() == 1 {
                    return Ok(batch.each(End::Stopped(State::Failed, refused()), |_| {}));
                }
                let half = batch.rows.len().div_ceil(2);
                let end = End::Again(Again { at: now, code: "batch-refused", counted: false });
                Ok(batch.each(end, |intent| intent.most = Some(half)))
            }
            Err(stop) => self.stopped(batch, stop),
        }
    }

    fn ask_after(&self, batch: &ObjectBatch, process: i64) -> Result<Vec<(End, Intent)>, StoreError> {
        let in_family = |problem| Stop::Problem(problem, Family::Processes);
        let answer = self.call(&wire::process(process));
        let now = self.world.now();
        match answer.and_then(|answer| wire::read_process(&answer).map_err(in_family)) {
            Ok(Progress::Done | Progress::Unknown) => {
                Ok(batch.each(End::Delivered, |intent| intent.process = None))
            }
            Ok(Progress::UnderWay) => {
                let end = |row: &Row| {
                    let intent = Intent { checks: row.intent.checks + 1, ..row.intent.clone() };
                    if intent.checks >= self.options.policy.attempts {
                        return (End::Stopped(State::Failed, stuck()), intent);
                    }
                    let at = now + CHECK.1.min(CHECK.0 << intent.checks.min(10));
                    (End::Again(Again { at, code: ACCEPTED, counted: false }), intent)
                };
                Ok(batch.rows.iter().map(end).collect())
            }
            Ok(Progress::Failed) => {
                let end = |row: &Row| {
                    let intent = Intent { process: None, ..row.intent.clone() };
                    (self.retry(&row.action, failed(), now), intent)
                };
                Ok(batch.rows.iter().map(end).collect())
            }
            Err(stop) => self.stopped(batch, stop),
        }
    }

    /// The same stop for every record: pauses are made once, attempts are each record's own.
    fn stopped(&self, batch: &ObjectBatch, stop: Stop) -> Result<Vec<(End, Intent)>, StoreError> {
        if matches!(stop, Stop::NotSent) {
            let one = |row: &Row| Ok((self.end_of_stop(&row.action, Stop::NotSent)?, row.intent.clone()));
            return batch.rows.iter().map(one).collect();
        }
        let Some(first) = batch.rows.first() else { return Ok(Vec::new()) };
        Ok(batch.each(self.end_of_stop(&first.action, stop)?, |_| {}))
    }

    /// Names what Brevo dropped of a batch that is done. A look that fails is made again with a later
    /// batch.
    fn compare_attributes(&self, batch: &ObjectBatch) -> Result<(), StoreError> {
        let now = self.world.now();
        let sent: BTreeSet<&String> = batch.rows.iter().flat_map(|row| told(&row.object)).collect();
        {
            let mut types = self.object_types();
            let known = types.entry(batch.kind.clone()).or_default();
            let recently = |at: Millis| now - at < millis(self.options.policy.schema_age);
            if known.looked_at.is_some_and(recently) || sent.iter().all(|name| known.shown.contains(*name)) {
                return Ok(());
            }
            known.looked_at = Some(now);
        }
        let answer = self.call(&wire::records(&batch.kind));
        let in_family = |problem| Stop::Problem(problem, Family::Objects);
        let records = match answer.and_then(|answer| wire::read_records(&answer).map_err(in_family)) {
            Ok(records) => records,
            Err(Stop::Store(error)) => return Err(error),
            Err(stop) => {
                tracing::warn!(kind = batch.kind, ?stop, "records of an object could not be read back");
                self.object_types().entry(batch.kind.clone()).or_default().looked_at = None;
                return Ok(());
            }
        };
        let (mut shown, mut missing) = (BTreeSet::new(), BTreeSet::new());
        for row in &batch.rows {
            let Some(at_brevo) = records.get(&row.object.ext_id) else { continue };
            for name in told(&row.object) {
                let is_there = at_brevo.get(name).is_some_and(|value| !value.is_null());
                if is_there {
                    shown.insert(name.clone())
                } else {
                    missing.insert(name.clone())
                };
            }
        }
        let Some(first) = batch.rows.first() else { return Ok(()) };
        self.store.write(|tx| {
            for name in missing.difference(&shown) {
                write_thing(tx, first.action.installation, &attribute_missing(&batch.kind, name), now)?;
            }
            for name in &shown {
                self.resolve_about(tx, &about_attribute(&batch.kind, name), now)?;
            }
            self.save_rates(tx)
        })?;
        self.object_types().entry(batch.kind.clone()).or_default().shown.extend(shown);
        Ok(())
    }

    fn object_types(&self) -> MutexGuard<'_, BTreeMap<String, ObjectType>> {
        self.object_types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectBatch {
    fn each(&self, end: End, learn: impl Fn(&mut Intent)) -> Vec<(End, Intent)> {
        let one = |row: &Row| {
            let mut intent = row.intent.clone();
            learn(&mut intent);
            (end.clone(), intent)
        };
        self.rows.iter().map(one).collect()
    }
}

/// Choosing records of one type for one call, or those of one process.
fn riders_sql() -> String {
    format!(
        "SELECT {} FROM action a
             WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 0 AND a.due_at <= ?2 AND a.name = '{UPSERT_OBJECT}'
               AND json_extract(a.payload, '$.type') = ?3
               AND json_extract(a.intent, '$.process') IS ?4
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.thing = a.thing AND e.thing IS NOT NULL AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 OR ({BLOCKS} AND e.id < a.id)))
             ORDER BY a.due_at, a.id LIMIT {}",
        Action::COLUMNS,
        wire::BATCH_MAX
    )
}

fn object_of(action: &Action) -> Option<UpsertObject> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::UpsertObject(object)) => Some(object),
        _ => None,
    }
}

/// Attributes that Brevo has to give back: an empty text it may leave out.
fn told(object: &UpsertObject) -> impl Iterator<Item = &String> {
    let says = |value: &Value| value.as_str() != Some("");
    object.attributes.iter().filter(move |(_, value)| says(value)).map(|(name, _)| name)
}

fn about(kind: &str) -> String {
    format!("object:{kind}")
}

fn about_attribute(kind: &str, name: &str) -> String {
    format!("object:{kind}.{name}")
}

fn type_unknown(kind: &str) -> Letter {
    Letter {
        code: TYPE_UNKNOWN,
        actor: Actor::Tenant,
        message: "The Brevo account has no custom object of this type, and no call can make one; its records wait.",
        remedy: "Make an object with this name at Brevo, with the attributes that the connector's page lists for it; records go on by themselves.",
        about: Some(about(kind)),
    }
}

fn attribute_missing(kind: &str, name: &str) -> Letter {
    Letter {
        code: "object-attribute-missing",
        actor: Actor::Tenant,
        message: "Brevo took the record and dropped this attribute: the object has none of this name, or one of another type.",
        remedy: "Add it to the object at Brevo, with the type that the connector's page lists; values go along with each record's next change.",
        about: Some(about_attribute(kind, name)),
    }
}

fn refused() -> Letter {
    Letter::of(Kind::Refused.rule())
}

fn too_large() -> Letter {
    Letter {
        code: "object-too-large",
        actor: Actor::ConnectorAuthor,
        message: "The record of the object is over Brevo's 1 MB for a call.",
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}

fn failed() -> Letter {
    Letter {
        code: "object-process-failed",
        actor: Actor::Operator,
        message: "Brevo accepted the record and kept failing to work on it.",
        remedy: "Requeue it; if it stays so, ask Brevo's support.",
        about: None,
    }
}

fn stuck() -> Letter {
    Letter {
        code: "object-process-stuck",
        actor: Actor::Operator,
        message: "Brevo accepted the record and has not said for hours that it is done.",
        remedy: "Look whether the record is at Brevo and requeue it otherwise; a repeat doubles nothing.",
        about: None,
    }
}
