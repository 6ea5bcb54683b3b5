//! Which work is due, and taking it: one transaction that marks it in flight before any call.
//!
//! A lane is a person's open actions by id. An action is taken when nothing of the person is in
//! flight and nothing earlier of the lane is waiting. Opt-outs and suppressions overtake: they
//! never stand behind a contact that can't be delivered. Opt-ins don't: a change of address that
//! is under way would set the block again that they lift.
//! Held and parked actions block nobody (design rule 11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::Delivery;
use super::delete::person_deleted;
use super::import::ImportStep;
use super::lists::{Change, Row, superseded};
use super::outcome::{End, Letter};
use super::place::Search;
use super::schema::Readiness;
use super::thing::ThingWork;
use super::work::{Intent, Work};
use crate::brevo::events::{self, NewEvent};
use crate::brevo::windows::Family;
use crate::people::identity::PersonId;
use crate::people::{deletions, memberships, tombstone};
use crate::registry::names::{
    ADD_NOTE, CREATE_TASK, DELETE_CONTACT, JOIN_LIST as JOIN, LEAVE_LIST as LEAVE, SEND_EMAIL, SEND_SMS,
    SET_CONSENT as CONSENT, SET_SUPPRESSION as SUPPRESSION, TRACK_EVENT as EVENT, TRIGGER_CAMPAIGN,
    UPSERT_CONTACT as UPSERT, UPSERT_OBJECT, UPSERT_PRODUCT,
};
use crate::registry::{ListMembership, Payload, TrackEvent};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::imports;
use crate::store::installations::DestinationId;
use crate::store::lists::{self, List};
use crate::store::outbox::{self, Action, Class, OUTCOME_UNKNOWN, State, held};
use crate::world::Millis;

/// What a step has to do.
pub(super) enum Claim {
    /// Nothing can be taken before that instant, or until something arrives.
    Nothing(Option<Millis>),
    /// It was done within the transaction.
    Done,
    /// Look at the account's attributes.
    Schema,
    /// One action about a person is in flight.
    One(Box<Work>),
    /// One action about a thing is in flight.
    Thing(Box<ThingWork>),
    /// Several events are in flight.
    Batch(Vec<BatchRow>),
    /// Events whose outcome is to be read back.
    ReadBack(Vec<Unproven>),
    /// Several joins or leaves are in flight.
    List(Change),
    /// Look for a list, or make it.
    Search(Search),
    /// A step of an import.
    Import(Box<ImportStep>),
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
        let import = imports::open(tx, self.options.destination)?.map(|import| import.next_at);
        if due || import.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        Ok(Some(next.into_iter().chain(import).min()))
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
        if outbox::look_again(tx, self.options.destination, now)? > 0 {
            return Ok(Claim::Done);
        }
        for class in Class::ALL {
            // What is urgent comes before an import, and an import before what is merely new.
            if class == Class::Live
                && let Some(step) = self.claim_import(tx, now)?
            {
                return Ok(step);
            }
            if let Some(claim) = self.claim_of(tx, class, now)? {
                return Ok(claim);
            }
        }
        Ok(Claim::Nothing(self.next_chance(tx, now)?))
    }

    /// What can be done for one class.
    fn claim_of(&self, tx: &Transaction<'_>, class: Class, now: Millis) -> Result<Option<Claim>, StoreError> {
        let readiness = self.schema_readiness(now);
        let mut names = self.open_names(class, readiness, now);
        if class == Class::Bulk && self.rides_in_imports(tx, now)? {
            return Ok(None);
        }
        let open = |family| self.opens(family, class, now);
        let (contacts, singles, batches) =
            (open(Family::Contacts), open(Family::Events), open(Family::EventsBatch));
        // Events of people who are not known to be at Brevo need the contacts' window as well.
        let mut known_only = !contacts || !singles;
        loop {
            let Some(mut action) = self.head(tx, now, class, &names, known_only)? else {
                return Ok(None);
            };
            if action.list.is_some() {
                // A full run may be long: whatever else is due takes turns with it.
                if self.lists_had_a_turn.swap(false, Ordering::SeqCst) {
                    let others: Vec<&str> =
                        names.iter().copied().filter(|name| ![JOIN, LEAVE].contains(name)).collect();
                    if let Some(other) = self.head(tx, now, class, &others, known_only)? {
                        action = other;
                    }
                }
            }
            if action.list.is_some() {
                self.lists_had_a_turn.store(true, Ordering::SeqCst);
                return self.claim_list(tx, action, now).map(Some);
            }
            if [UPSERT, DELETE_CONTACT].contains(&action.name.as_str()) && readiness == Readiness::MustLook {
                self.begin_schema();
                return Ok(Some(Claim::Schema));
            }
            if action.name == EVENT && batches {
                let rows = self.gather(tx, class, now)?;
                if rows.len() >= self.options.policy.batch_min.max(1) {
                    for row in &rows {
                        outbox::take(tx, row.action.id, now)?;
                    }
                    self.save_rates(tx)?;
                    return Ok(Some(Claim::Batch(self.counted(rows))));
                }
                if !singles {
                    // Too few for a batch: events wait for their own window.
                    names.retain(|name| *name != EVENT);
                    known_only = false;
                    continue;
                }
            }
            return self.take(tx, action, now).map(Some);
        }
    }

    /// The actions of a class whose windows are open.
    fn open_names(&self, class: Class, readiness: Readiness, now: Millis) -> Vec<&'static str> {
        let open = |family| self.opens(family, class, now);
        let mut names = Vec::new();
        if open(Family::Contacts) {
            names.extend([CONSENT, SUPPRESSION, JOIN, LEAVE]);
            if !matches!(readiness, Readiness::NotBefore(_)) {
                names.extend([UPSERT, DELETE_CONTACT]); // the mark is an attribute
            }
            if open(Family::Mails) {
                names.push(SEND_EMAIL);
            }
            if open(Family::Texts) {
                names.push(SEND_SMS);
            }
        }
        if open(Family::Events) || open(Family::EventsBatch) {
            names.push(EVENT);
        }
        if open(Family::Products) {
            names.push(UPSERT_PRODUCT);
        }
        if open(Family::Other) {
            names.extend([TRIGGER_CAMPAIGN, UPSERT_OBJECT, ADD_NOTE, CREATE_TASK]);
        }
        names
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
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM action WHERE destination = ?1 AND state = 1 AND import IS NULL)")?
            .query_row([self.options.destination.0], |row| row.get(0))?;
        let openings = Family::ALL.into_iter().flat_map(|family| {
            [self.opens_at(family, now), self.opens_for(family, Class::Bulk, now)].into_iter().flatten()
        });
        let import = self.import_chance(tx, now)?;
        let schema = match self.schema_readiness(now) {
            Readiness::NotBefore(at) => Some(at),
            Readiness::Ready | Readiness::MustLook => None,
        };
        let search = lists::next_retry(tx, self.options.destination, now)?;
        let others = [later, elsewhere.then_some(now + ELSEWHERE), schema, search, import];
        Ok(openings.chain(others.into_iter().flatten()).min())
    }

    /// What is to be done about the first join or leave that is due.
    fn claim_list(&self, tx: &Transaction<'_>, action: Action, now: Millis) -> Result<Claim, StoreError> {
        let Some(list) = action.list.map(|list| lists::get(tx, list)).transpose()?.flatten() else {
            return self.take(tx, action, now);
        };
        if list.stopped_code.is_some() {
            self.end(tx, &action, State::Waiting, &End::Held(held::LIST_STOPPED), None, now)?;
            return Ok(Claim::Done);
        }
        let Some(id) = list.brevo_id else {
            let search = self.begin_search(tx, list, action.installation, now)?;
            return Ok(search.map_or(Claim::Done, Claim::Search));
        };
        let join = action.name == JOIN;
        let alone = Intent::read(action.intent.as_deref())?.look || self.is_looked_for(tx, &action)?;
        let (rows, ended) = if alone { (Vec::new(), 0) } else { self.riders(tx, &list, join, now)? };
        if rows.is_empty() && ended > 0 {
            return Ok(Claim::Done);
        }
        if rows.is_empty() {
            if let Some(person) = action.person {
                memberships::set_delivered(tx, list.id, PersonId(person), None)?;
            }
            return self.take(tx, action, now);
        }
        for row in &rows {
            outbox::take(tx, row.action.id, now)?;
            if let Some(person) = row.action.person {
                // Until an answer says otherwise.
                memberships::set_delivered(tx, list.id, PersonId(person), None)?;
            }
        }
        self.save_rates(tx)?;
        let counted = |mut row: Row| {
            row.action.attempts += 1;
            row.action.state = State::InFlight;
            row
        };
        Ok(Claim::List(Change { list, id, join, rows: rows.into_iter().map(counted).collect() }))
    }

    /// Whether the person of a join or leave has to be looked for at Brevo now. Who was found waits
    /// until there are enough for a call, or nobody is left to be looked for.
    fn is_looked_for(&self, tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
        let at_brevo = tx
            .prepare_cached("SELECT 1 FROM person WHERE id = ?1 AND presence = 1 AND brevo_id IS NOT NULL")?
            .exists([action.person])?;
        let looks = if at_brevo { 0 } else { self.looks.fetch_add(1, Ordering::SeqCst) + 1 };
        if looks >= crate::brevo::lists::ROWS {
            self.looks.store(0, Ordering::SeqCst);
        }
        Ok((1..crate::brevo::lists::ROWS).contains(&looks))
    }

    /// Joins or leaves of a list that can ride together: of people who are at Brevo, each at the
    /// front of their lane. What newer words made pointless ends here; says how many did.
    fn riders(
        &self,
        tx: &Transaction<'_>,
        list: &List,
        join: bool,
        now: Millis,
    ) -> Result<(Vec<Row>, usize), StoreError> {
        let candidates: Vec<(Action, i64)> = tx
            .prepare_cached(&riders_sql())?
            .query_map(
                params![self.options.destination.0, now, list.id, if join { JOIN } else { LEAVE }],
                |row| Ok((Action::from_row(row)?, row.get(Action::WIDTH)?)),
            )?
            .collect::<Result<_, _>>()?;
        let (mut rows, mut ended, mut contacts) = (Vec::new(), 0, BTreeSet::new());
        for (action, contact) in candidates {
            let (Some(person), Some(to)) = (action.person, membership_of(&action)) else { continue };
            let known = memberships::get(tx, list.id, PersonId(person))?;
            let end = match known {
                Some(known) if known.wanted != join => Some(superseded(join)),
                Some(known) if known.delivered == Some(join) => {
                    Some(End::Over(State::Deduplicated, "no-change"))
                }
                _ if self.is_erased(tx, &action)? => Some(End::Over(State::Refused, "person-erased")),
                _ if deletions::ends(tx, &action)? => Some(person_deleted()),
                _ => None,
            };
            if let Some(end) = end {
                self.end(tx, &action, State::Waiting, &end, None, now)?;
                ended += 1;
            } else if contacts.insert(contact) {
                let intent = Intent::read(action.intent.as_deref())?;
                rows.push(Row { action, intent, contact, inert: to.inert });
            }
        }
        Ok((rows, ended))
    }

    fn is_erased(&self, tx: &Transaction<'_>, action: &Action) -> Result<bool, StoreError> {
        match serde_json::from_str(&action.subject) {
            Ok(crate::contract::Subject::Person(subject)) => {
                tombstone::is_erased(tx, self.options.destination, &subject)
            }
            _ => Ok(true), // erased people leave actions without content behind
        }
    }

    fn take(&self, tx: &Transaction<'_>, action: Action, now: Millis) -> Result<Claim, StoreError> {
        outbox::take(tx, action.id, now)?;
        let Some(action) = outbox::get(tx, action.id)? else { return Ok(Claim::Done) };
        if action.person.is_none() && action.thing.is_some() {
            let work = match ThingWork::load(action)? {
                Ok(work) => work,
                Err(action) => {
                    let end = End::Stopped(State::Refused, unreadable());
                    self.end(tx, &action, State::InFlight, &end, None, now)?;
                    return Ok(Claim::Done);
                }
            };
            self.save_rates(tx)?;
            return Ok(Claim::Thing(Box::new(work)));
        }
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
        if deletions::ends(tx, &work.action)? {
            self.end(tx, &work.action, State::InFlight, &person_deleted(), None, now)?;
            return Ok(Claim::Done);
        }
        // Somebody who was erased may be at Brevo again by another's hand, and be erased again.
        if work.action.name != DELETE_CONTACT
            && tombstone::is_erased(tx, self.options.destination, &work.subject)?
        {
            let end = End::Over(State::Refused, "person-erased");
            self.end(tx, &work.action, State::InFlight, &end, None, now)?;
            return Ok(Claim::Done);
        }
        self.save_rates(tx)?;
        Ok(Claim::One(Box::new(work)))
    }

    fn opens(&self, family: Family, class: Class, now: Millis) -> bool {
        self.opens_for(family, class, now).is_none()
    }

    /// Past `not-after` nothing is done any more, whether it waited or was held (design rule 7). What
    /// may have reached somebody is not called expired: it is looked for first.
    fn expire(&self, tx: &Transaction<'_>, now: Millis) -> Result<usize, StoreError> {
        Ok(tx
            .prepare_cached(&format!(
                "UPDATE action SET state = 6, code = 'too-old', due_at = NULL WHERE id IN (
                    SELECT id FROM action WHERE destination = ?1 AND state IN (0, 8)
                       AND not_after IS NOT NULL AND not_after < ?2
                       AND NOT (name IN ('{SEND_EMAIL}', '{SEND_SMS}', '{TRIGGER_CAMPAIGN}')
                                AND coalesce(json_extract(intent, '$.sent'), 0)) LIMIT ?3)",
            ))?
            .execute(params![self.options.destination.0, now, EXPIRE as i64])?)
    }

    /// The first action of a class that may be taken, among those of the given names.
    fn head(
        &self,
        tx: &Transaction<'_>,
        now: Millis,
        class: Class,
        names: &[&str],
        known_only: bool,
    ) -> Result<Option<Action>, StoreError> {
        let mut first: Option<Action> = None;
        // One look for each name: an index then gives the first of each without sorting.
        for name in names {
            let mut statement = tx.prepare_cached(&HEAD)?;
            let values = params![self.options.destination.0, now, class as i64, name, known_only];
            let mut rows = statement.query_map(values, Action::from_row)?;
            let Some(action) = rows.next().transpose()? else { continue };
            let place = |action: &Action| (action.due_at, action.id);
            if first.as_ref().is_none_or(|first| place(&action) < place(first)) {
                first = Some(action);
            }
        }
        Ok(first)
    }

    /// Events that can ride together: of people who are at Brevo, each person's in order and from
    /// the front of their lane.
    fn gather(&self, tx: &Transaction<'_>, class: Class, now: Millis) -> Result<Vec<BatchRow>, StoreError> {
        let sql = format!(
            "SELECT {}, p.brevo_id FROM action a JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.class = ?4 AND a.name = '{EVENT}' AND a.state = 0
               AND a.due_at IS NOT NULL AND a.due_at <= ?2
               AND p.presence = 1 AND p.brevo_id IS NOT NULL
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let candidates: Vec<(Action, i64)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, GATHER as i64, class as i64], |row| {
                Ok((Action::from_row(row)?, row.get(Action::WIDTH)?))
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
            let lane = lane(tx, person, now)?;
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
        if deletions::ends(tx, &action)? {
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
             WHERE a.destination = ?1 AND a.state = 9 AND a.due_at IS NOT NULL
               AND a.due_at <= ?2 AND a.code = '{OUTCOME_UNKNOWN}' AND a.name = '{EVENT}'
             ORDER BY a.due_at, a.id LIMIT ?3",
            Action::COLUMNS
        );
        let rows: Vec<(Action, Option<i64>)> = tx
            .prepare_cached(&sql)?
            .query_map(params![self.options.destination.0, now, events::READ_MAX as i64], |row| {
                Ok((Action::from_row(row)?, row.get(Action::WIDTH)?))
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

/// What makes the later actions of a lane wait: an earlier one that waits itself. Not what is put
/// off on purpose, and not what nothing later depends on and what may wait long for its window.
/// `?2` is the time.
const BLOCKS: &str = "e.state = 0 AND coalesce(e.not_before, ?2) <= ?2
     AND e.name NOT IN ('brevo/send-email', 'brevo/send-sms', 'brevo/add-note', 'brevo/create-task')";

/// Choosing the first action of a class and name that may be taken. Opt-outs, suppressions and sends
/// wait for nothing that rides in an import; sends for nothing in bulk either.
/// `?3` is the class, `?4` the name, `?5` whether only events of people at Brevo are meant.
pub(super) static HEAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM action a
             WHERE a.destination = ?1 AND a.class = ?3 AND a.name = ?4 AND a.state = 0
               AND a.due_at IS NOT NULL AND a.due_at <= ?2
               AND (a.list IS NULL OR NOT EXISTS (
                    SELECT 1 FROM list l WHERE l.id = a.list AND l.retry_at > ?2))
               AND (NOT ?5 OR a.name <> '{EVENT}' OR EXISTS (
                    SELECT 1 FROM person p WHERE p.id = a.person AND p.presence = 1))
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.person = a.person AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 AND NOT (e.import IS NOT NULL AND (a.name IN ({SENDS}) OR {RESTRICTS}))
                        OR {BLOCKS} AND e.id < a.id AND NOT {RESTRICTS}
                           AND NOT (a.name IN ({SENDS}) AND e.class >= 2)))
               AND (a.thing IS NULL OR NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.thing = a.thing AND e.thing IS NOT NULL AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 OR ({BLOCKS} AND e.id < a.id))))
             ORDER BY a.due_at, a.id LIMIT 1",
        Action::COLUMNS
    )
});

const SENDS: &str = "'brevo/send-email', 'brevo/send-sms'";

/// True of an action `a` that may only ever stop something.
const RESTRICTS: &str = "(a.name = 'brevo/set-suppression'
     OR a.name = 'brevo/set-consent' AND json_extract(a.payload, '$.status') = 'opted-out')";

/// Choosing joins or leaves of one list for one call.
fn riders_sql() -> String {
    format!(
        "SELECT {}, p.brevo_id FROM action a JOIN person p ON p.id = a.person
             WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.due_at IS NOT NULL
               AND a.state = 0 AND a.due_at <= ?2 AND a.list = ?3 AND a.name = ?4
               AND p.presence = 1 AND p.brevo_id IS NOT NULL
               AND coalesce(json_extract(a.intent, '$.look'), 0) = 0
               AND NOT EXISTS (SELECT 1 FROM action e
                    WHERE e.person = a.person AND e.state IN (0, 1, 8, 9)
                      AND (e.state = 1 OR ({BLOCKS} AND e.id < a.id)))
             ORDER BY a.due_at, a.id LIMIT {}",
        Action::COLUMNS,
        crate::brevo::lists::ROWS
    )
}

/// Everything that was in flight when the process ended, but for the rows of an import.
pub(super) fn in_flight(tx: &Transaction<'_>, destination: DestinationId) -> Result<Vec<Action>, StoreError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.state = 1 AND a.destination = ?1 AND a.import IS NULL ORDER BY a.id",
        Action::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([destination.0], Action::from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Front of a person's lane: open actions that block what comes after them.
fn lane(tx: &Transaction<'_>, person: i64, now: Millis) -> Result<Vec<(i64, State)>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT e.id, e.state FROM action e
         WHERE e.person = ?1 AND e.state IN (0, 1, 8, 9) AND (e.state = 1 OR {BLOCKS})
         ORDER BY e.state = 0, e.id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![person, now, GATHER as i64], |row| {
        Ok((row.get(0)?, if row.get::<_, i64>(1)? == 0 { State::Waiting } else { State::InFlight }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn membership_of(action: &Action) -> Option<ListMembership> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::JoinList(to) | Payload::LeaveList(to)) => Some(to),
        _ => None,
    }
}

fn event_of(action: &Action) -> Option<TrackEvent> {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::TrackEvent(event)) => Some(event),
        _ => None,
    }
}

pub(super) fn unreadable() -> Letter {
    Letter {
        code: "bad-action",
        actor: Actor::ConnectorAuthor,
        message: "The action names nobody and nothing that it can be about, or its payload can't be read.",
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}
