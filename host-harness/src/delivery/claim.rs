//! Which work is due, and taking it: one transaction that marks it in flight before any call.
//!
//! A lane is a person's open actions by id. An action is taken when nothing of the person is in
//! flight and nothing earlier of the lane is waiting. Opt-outs and suppressions overtake: they
//! never stand behind a contact that can't be delivered. Opt-ins don't: a change of address that
//! is under way would set the block again that they lift.
//! Held and parked actions block nobody (design rule 11).

use std::collections::BTreeMap;

use rusqlite::types::Value as Sql;
use rusqlite::{Transaction, params, params_from_iter};

use super::Delivery;
use super::outcome::{End, Letter};
use super::schema::Readiness;
use super::work::{Intent, Work};
use crate::brevo::events::{self, NewEvent};
use crate::brevo::windows::Family;
use crate::people::tombstone;
use crate::registry::{NAMES, Payload, TrackEvent};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::installations::DestinationId;
use crate::store::outbox::{self, Action, OUTCOME_UNKNOWN, State};
use crate::world::Millis;

/// What a step has to do.
pub(super) enum Claim {
    /// Nothing can be taken before that instant, or until something arrives.
    Nothing(Option<Millis>),
    /// It was done within the transaction.
    Done,
    /// Look at the account's attributes.
    Schema,
    /// One action is in flight.
    One(Box<Work>),
    /// Several events are in flight.
    Batch(Vec<BatchRow>),
    /// Events whose outcome is to be read back.
    ReadBack(Vec<Unproven>),
}

/// An event that rides in a batch.
pub(super) struct BatchRow {
    pub action: Action,
    pub intent: Intent,
    pub event: NewEvent,
}

/// An event that may be at Brevo.
pub(super) struct Unproven {
    pub action: Action,
    pub intent: Intent,
    pub name: String,
    /// Contacts that it may have been recorded for.
    pub contacts: Vec<i64>,
}

const UPSERT: &str = NAMES[0];
const CONSENT: &str = NAMES[1];
const SUPPRESSION: &str = NAMES[2];
const EVENT: &str = NAMES[3];

/// Rows that are looked at for one batch.
const GATHER: usize = 2 * events::BATCH_MAX;
/// Rows that expire in one transaction.
const EXPIRE: usize = 500;
/// Another thread has what is due; it ends in about the time of a call.
const ELSEWHERE: Millis = 50;
/// How long a reading back may take before another step tries it.
const READ_BACK_LEASE: Millis = 600_000;

impl Delivery {
    /// None where there may be work now; otherwise when to look again.
    pub(super) fn idle_until(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
    ) -> Result<Option<Option<Millis>>, StoreError> {
        let (code, until): (Option<String>, Option<Millis>) = tx
            .prepare_cached("SELECT paused_code, paused_until FROM destination WHERE id = ?1")?
            .query_row([self.options.destination.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if code.is_some() && until.is_none_or(|until| until > now) {
            return Ok(Some(until));
        }
        let (due, next): (bool, Option<Millis>) = tx
            .prepare_cached(
                "SELECT coalesce(max(due_at <= ?2), 0), min(due_at) FILTER (WHERE due_at > ?2) FROM (
                    SELECT min(due_at) AS due_at FROM action WHERE destination = ?1
                       AND state IN (0, 1, 8, 9) AND due_at IS NOT NULL
                    UNION ALL
                    SELECT min(due_at) FROM action WHERE destination = ?1
                       AND state IN (0, 1, 8, 9) AND due_at IS NOT NULL AND due_at > ?2)",
            )?
            .query_row(params![self.options.destination.0, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if !due {
            return Ok(Some(next));
        }
        Ok(None)
    }

    pub(super) fn claim(&self, tx: &Transaction<'_>, now: Millis) -> Result<Claim, StoreError> {
        if self.expire(tx, now)? > 0 {
            return Ok(Claim::Done);
        }
        if self.opens_at(Family::Other, now).is_none() {
            let rows = self.unproven(tx, now)?;
            if !rows.is_empty() {
                return Ok(Claim::ReadBack(rows));
            }
        }
        let open = |family| self.opens_at(family, now).is_none();
        let (contacts, singles, batches) =
            (open(Family::Contacts), open(Family::Events), open(Family::EventsBatch));
        let mut names = Vec::new();
        if contacts {
            names.extend([CONSENT, SUPPRESSION]);
        }
        let readiness = self.schema_readiness(now);
        if contacts && !matches!(readiness, Readiness::NotBefore(_)) {
            names.push(UPSERT);
        }
        if singles || batches {
            names.push(EVENT);
        }
        // Events of people who are not known to be at Brevo need the contacts' window as well.
        let mut known_only = !contacts || !singles;
        loop {
            let Some(action) = self.head(tx, now, &names, known_only)? else {
                return Ok(Claim::Nothing(self.next_chance(tx, now)?));
            };
            if action.name == UPSERT && readiness == Readiness::MustLook {
                self.begin_schema();
                return Ok(Claim::Schema);
            }
            if action.name == EVENT && batches {
                let rows = self.gather(tx, now)?;
                if rows.len() >= self.options.policy.batch_min.max(1) {
                    for row in &rows {
                        outbox::take(tx, row.action.id, now)?;
                    }
                    self.save_rates(tx)?;
                    return Ok(Claim::Batch(self.counted(rows)));
                }
                if !singles {
                    // Too few for a batch: events wait for their own window.
                    names.retain(|name| *name != EVENT);
                    known_only = false;
                    continue;
                }
            }
            return self.take(tx, action, now);
        }
    }

    /// Something is due and can't be taken: when that may change.
    fn next_chance(&self, tx: &Transaction<'_>, now: Millis) -> Result<Option<Millis>, StoreError> {
        let later: Option<Millis> = tx
            .prepare_cached(
                "SELECT min(due_at) FROM action WHERE destination = ?1
                   AND state IN (0, 1, 8, 9) AND due_at IS NOT NULL AND due_at > ?2",
            )?
            .query_row(params![self.options.destination.0, now], |row| row.get(0))?;
        let elsewhere: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM action WHERE destination = ?1 AND state = 1)")?
            .query_row([self.options.destination.0], |row| row.get(0))?;
        let openings = Family::ALL.into_iter().filter_map(|family| self.opens_at(family, now));
        let schema = match self.schema_readiness(now) {
            Readiness::NotBefore(at) => Some(at),
            Readiness::Ready | Readiness::MustLook => None,
        };
        let others = [later, elsewhere.then_some(now + ELSEWHERE), schema];
        Ok(openings.chain(others.into_iter().flatten()).min())
    }

    fn take(&self, tx: &Transaction<'_>, action: Action, now: Millis) -> Result<Claim, StoreError> {
        outbox::take(tx, action.id, now)?;
        let Some(action) = outbox::get(tx, action.id)? else { return Ok(Claim::Done) };
        let work = match Work::load(tx, action)? {
            Ok(work) => work,
            Err(action) => {
                // Erased people leave actions without content behind; nothing else should.
                let end = match action.subject.as_str() {
                    "{}" => End::Over(State::Refused, "person-erased"),
                    _ => End::Stopped(State::Refused, unreadable()),
                };
                self.end(tx, &action, State::InFlight, &end, None, now)?;
                return Ok(Claim::Done);
            }
        };
        if tombstone::is_erased(tx, self.options.destination, &work.subject)? {
            let end = End::Over(State::Refused, "person-erased");
            self.end(tx, &work.action, State::InFlight, &end, None, now)?;
            return Ok(Claim::Done);
        }
        self.save_rates(tx)?;
        Ok(Claim::One(Box::new(work)))
    }

    /// Past `not-after` nothing is done any more, whether it waited or was held (design rule 7).
    fn expire(&self, tx: &Transaction<'_>, now: Millis) -> Result<usize, StoreError> {
        Ok(tx
            .prepare_cached(
                "UPDATE action SET state = 6, code = 'too-old', due_at = NULL WHERE id IN (
                    SELECT id FROM action WHERE destination = ?1
                       AND state IN (0, 1, 8, 9) AND due_at IS NOT NULL
                       AND state IN (0, 8) AND due_at <= ?2 AND not_after < ?2 LIMIT ?3)",
            )?
            .execute(params![self.options.destination.0, now, EXPIRE as i64])?)
    }

    /// The first action that may be taken, among those of the given names.
    fn head(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
        names: &[&str],
        known_only: bool,
    ) -> Result<Option<Action>, StoreError> {
        if names.is_empty() {
            return Ok(None);
        }
        let sql = head_sql(names.len());
        let mut values = vec![Sql::from(self.options.destination.0), Sql::from(now)];
        values.extend(names.iter().map(|name| Sql::from((*name).to_owned())));
        values.push(Sql::from(known_only));
        let mut statement = tx.prepare_cached(&sql)?;
        let mut rows = statement.query_map(params_from_iter(values), Action::from_row)?;
        Ok(rows.next().transpose()?)
    }

    /// Events that can ride together: of people who are at Brevo, each person's in order and from
    /// the front of their lane.
    fn gather(&self, tx: &Transaction<'_>, now: Millis) -> Result<Vec<BatchRow>, StoreError> {
        let sql = format!(
            "SELECT {}, p.brevo_id FROM action a JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 0 AND a.due_at <= ?2 AND a.name = '{EVENT}'
               AND p.presence = 1 AND p.brevo_id IS NOT NULL
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let candidates: Vec<(Action, i64)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, GATHER as i64], |row| {
                Ok((Action::from_row(row)?, row.get(23)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut by_person: BTreeMap<i64, Vec<(Action, i64)>> = BTreeMap::new();
        for (action, contact) in candidates {
            if let Some(person) = action.person {
                by_person.entry(person).or_default().push((action, contact));
            }
        }
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (person, mut candidates) in by_person {
            candidates.sort_by_key(|(action, _)| action.id);
            let lane = lane(tx, person)?;
            for ((action, contact), open) in candidates.into_iter().zip(lane) {
                if open != (action.id, State::Waiting) {
                    break;
                }
                let Some(row) = self.batch_row(tx, action, contact)? else { break };
                bytes += row.event.size();
                if rows.len() == events::BATCH_MAX || bytes > events::BATCH_BYTES {
                    return Ok(rows);
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// None where the event is better off alone: it can't be sent, or may not.
    fn batch_row(
        &self,
        tx: &Transaction<'_>,
        action: Action,
        contact: i64,
    ) -> Result<Option<BatchRow>, StoreError> {
        let mut intent = Intent::read(action.intent.as_deref())?;
        let Some(event) = event_of(&action) else { return Ok(None) };
        if intent.single {
            return Ok(None);
        }
        if let Ok(crate::contract::Subject::Person(subject)) = serde_json::from_str(&action.subject)
            && tombstone::is_erased(tx, self.options.destination, &subject)?
        {
            return Ok(None);
        }
        intent.contact = Some(contact);
        let event = NewEvent::new(&event.event, action.time(), contact, &event.properties, action.effect);
        Ok(event.ok().map(|event| BatchRow { action, intent, event }))
    }

    fn counted(&self, mut rows: Vec<BatchRow>) -> Vec<BatchRow> {
        for row in &mut rows {
            row.action.attempts += 1;
            row.action.state = State::InFlight;
        }
        rows
    }

    /// Parked events whose settle time is over. Taking them moves their due time, so that no other
    /// step takes them and a crash brings them back.
    fn unproven(&self, tx: &Transaction<'_>, now: Millis) -> Result<Vec<Unproven>, StoreError> {
        let sql = format!(
            "SELECT {}, p.brevo_id FROM action a LEFT JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 9 AND a.due_at <= ?2 AND a.code = '{OUTCOME_UNKNOWN}'
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let rows: Vec<(Action, Option<i64>)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, events::READ_MAX as i64], |row| {
                Ok((Action::from_row(row)?, row.get(23)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut unproven = Vec::new();
        for (action, contact) in rows {
            tx.prepare_cached("UPDATE action SET due_at = ?2 WHERE id = ?1")?
                .execute(params![action.id, now + READ_BACK_LEASE])?;
            let intent = Intent::read(action.intent.as_deref())?;
            let Some(event) = event_of(&action) else { continue };
            let mut contacts: Vec<i64> = contact.into_iter().chain(intent.contact).collect();
            contacts.dedup();
            unproven.push(Unproven { name: event.event, contacts, action, intent });
        }
        Ok(unproven)
    }
}

/// Choosing the first action that may be taken, among so many names.
pub(super) fn head_sql(names: usize) -> String {
    let places = vec!["?"; names].join(", ");
    format!(
        "SELECT {} FROM action a
             WHERE a.destination = ? AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 0 AND a.due_at <= ? AND a.name IN ({places})
               AND (NOT ? OR a.name <> '{EVENT}' OR EXISTS (
                    SELECT 1 FROM person p WHERE p.id = a.person AND p.presence = 1))
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.person = a.person AND e.state IN (0, 1, 8, 9) AND (e.state = 1 OR (
                       e.state = 0 AND e.id < a.id AND a.name <> '{SUPPRESSION}'
                       AND NOT (a.name = '{CONSENT}'
                                AND json_extract(a.payload, '$.status') = 'opted-out'))))
             ORDER BY a.due_at, a.id LIMIT 1",
        Action::COLUMNS
    )
}

/// Everything that was in flight when the process ended.
pub(super) fn in_flight(tx: &Transaction<'_>, destination: DestinationId) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.state = 1 AND a.destination = ?1 ORDER BY a.id",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([destination.0], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Front of a person's lane: open actions that block what comes after them.
fn lane(tx: &Transaction<'_>, person: i64) -> Result<Vec<(i64, State)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT id, state FROM action WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state IN (0, 1)
         ORDER BY state = 0, id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![person, GATHER as i64], |row| {
        Ok((row.get(0)?, if row.get::<_, i64>(1)? == 0 { State::Waiting } else { State::InFlight }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn event_of(action: &Action) -> Option<TrackEvent> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::TrackEvent(event)) => Some(event),
        _ => None,
    }
}

fn unreadable() -> Letter {
    Letter {
        code: "bad-action",
        actor: Actor::ConnectorAuthor,
        message: "The action names no person, or its payload can't be read.",
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}
