//! Which work is due, and taking it: one transaction that marks it in flight before any call.
//!
//! A lane is a person's open actions by id. An action is taken when nothing of the person is in
//! flight and nothing earlier of the lane is waiting. Opt-outs and suppressions overtake: they
//! never stand behind a contact that can't be delivered. Opt-ins don't: a change of address that
//! is under way would set the block again that they lift.
//! Held and parked actions block nobody (design rule 11).

mod events;
mod lane;
mod lists;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::Delivery;
use super::delete::person_deleted;
use super::import::ImportStep;
use super::lists::Change;
use super::objects::ObjectBatch;
use super::outcome::{End, Letter};
use super::place::Search;
use super::schema::Readiness;
use super::thing::ThingWork;
use super::work::Work;
use crate::brevo::windows::Family;
use crate::people::{deletions, tombstone};
use crate::registry::names::{
    self, ADD_NOTE, CREATE_TASK, DELETE_CONTACT, JOIN_LIST as JOIN, LEAVE_LIST as LEAVE, SEND_EMAIL,
    SEND_SMS, TRACK_EVENT as EVENT, TRIGGER_CAMPAIGN, UPSERT_CONTACT as UPSERT, UPSERT_OBJECT,
    UPSERT_PRODUCT,
};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::imports;
use crate::store::outbox::{self, Action, Class, State};
use crate::world::Millis;
pub(super) use events::{BatchRow, Unproven};
#[cfg(test)]
pub(super) use lane::HEAD;
use lane::SENDS;
pub(super) use lane::{BLOCKS, in_flight};

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
    /// Records of one type of object are in flight, or Brevo's work on them is asked after.
    Objects(ObjectBatch),
    /// Several joins or leaves are in flight.
    List(Change),
    /// Look for a list, or make it.
    Search(Search),
    /// A step of an import.
    Import(Box<ImportStep>),
}

/// Rows that expire in one transaction.
const EXPIRE: usize = 500;
/// Another thread has what is due; it ends in about the time of a call.
const ELSEWHERE: Millis = 50;

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
        self.take_over(tx)?;
        if self.opens_at(Family::ReadBack, now).is_none() {
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
            if action.name == UPSERT_OBJECT {
                return self.claim_objects(tx, action, now).map(Some);
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
        let open: BTreeSet<Family> =
            Family::ALL.into_iter().filter(|family| self.opens(*family, class, now)).collect();
        let is_open = |name: &&str| {
            // The mark of a deletion is an attribute.
            let waits =
                [UPSERT, DELETE_CONTACT].contains(name) && matches!(readiness, Readiness::NotBefore(_));
            !waits && ways(name).iter().any(|way| way.iter().all(|family| open.contains(family)))
        };
        names::ALL.into_iter().filter(is_open).collect()
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
        let search = crate::store::lists::next_retry(tx, self.options.destination, now)?;
        let others = [later, elsewhere.then_some(now + ELSEWHERE), schema, search, import];
        Ok(openings.chain(others.into_iter().flatten()).min())
    }

    pub(super) fn take(
        &self,
        tx: &Transaction<'_>,
        action: Action,
        now: Millis,
    ) -> Result<Claim, StoreError> {
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

    /// Past `not-after` nothing is done any more, whether it waited or was held (design rule 7).
    /// What may have reached Brevo is looked for first.
    fn expire(&self, tx: &Transaction<'_>, now: Millis) -> Result<usize, StoreError> {
        Ok(tx
            .prepare_cached(&format!(
                "UPDATE action SET state = 6, code = 'too-old', due_at = NULL WHERE id IN (
                    SELECT id FROM action WHERE destination = ?1 AND state IN (0, 8)
                       AND not_after IS NOT NULL AND not_after < ?2
                       AND (coalesce(json_extract(intent, '$.sent'), 0) = 0
                            OR state = 8 AND name NOT IN ({SENDS})) LIMIT ?3)",
            ))?
            .execute(params![self.options.destination.0, now, EXPIRE as i64])?)
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

/// The calls that an action begins with: it can be taken where one of the ways is open, with all of
/// its families.
pub(crate) fn ways(name: &str) -> &'static [&'static [Family]] {
    match name {
        EVENT => &[&[Family::Events], &[Family::EventsBatch]],
        SEND_EMAIL => &[&[Family::Contacts, Family::Mails]],
        SEND_SMS => &[&[Family::Contacts, Family::Texts]],
        TRIGGER_CAMPAIGN => &[&[Family::Campaigns]],
        UPSERT_PRODUCT => &[&[Family::Products]],
        UPSERT_OBJECT => &[&[Family::Objects]],
        ADD_NOTE | CREATE_TASK => &[&[Family::Crm]],
        _ => &[&[Family::Contacts]],
    }
}
