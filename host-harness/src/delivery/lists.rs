//! Joins and leaves: many in a call, each ending by what the answer proves about it.
//!
//! A leave, and a join of an inert list, is safe to repeat. Any other join may start something at
//! Brevo, so after a call without an answer the contact is read back first (design rule 5). Where
//! Brevo says that nothing was done it doesn't say why, so a look at the contact decides then too.
//! Nobody is created or unblocked here: who is not at Brevo is waited for.

use super::Delivery;
use super::outcome::{Again, End, Letter};
use super::person::Presence;
use super::track::is_too_old;
use super::wire::Stop;
use super::work::{Intent, Work};
use crate::brevo::contacts::Name;
use crate::brevo::errors::{Kind, Problem, Remedy};
use crate::brevo::lists::{self as wire, RowResult};
use crate::brevo::windows::Family;
use crate::people::identity::PersonId;
use crate::people::memberships;
use crate::registry::ListMembership;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::lists::{self, List};
use crate::store::outbox::{Action, CONTACT_GONE, OUTCOME_UNPROVEN, State, held};
use crate::world::Millis;

/// Joins or leaves of one list that ride in one call. All are in flight.
pub(super) struct Change {
    pub list: List,
    /// Brevo's number of the list.
    pub id: i64,
    pub join: bool,
    pub rows: Vec<Row>,
}

/// One of them.
pub(super) struct Row {
    pub action: Action,
    pub intent: Intent,
    /// Brevo's number of the contact.
    pub contact: i64,
    /// The action's own word that a join starts nothing.
    pub inert: bool,
}

/// How a row ends, and what is then known about the list at Brevo.
struct Ended {
    end: End,
    in_list: Option<bool>,
    look: bool,
    sent: bool,
}

impl Ended {
    fn of(end: End) -> Self {
        Self { end, in_list: None, look: false, sent: false }
    }
}

/// Code of a join or leave that is looked at by itself.
const LOOK: &str = "list-look";

impl Delivery {
    /// Sends several joins or leaves in one call.
    pub(super) fn change_list(&self, change: &Change) -> Result<(), StoreError> {
        let ends = self.send_change(change)?;
        let now = self.world.now();
        self.store.write(|tx| {
            for (row, ended) in change.rows.iter().zip(ends) {
                let mut intent = row.intent.clone();
                intent.look |= ended.look;
                intent.sent |= ended.sent;
                self.end(tx, &row.action, State::InFlight, &ended.end, Some(&intent), now)?;
                if let (Some(in_list), Some(person)) = (ended.in_list, row.action.person) {
                    memberships::set_delivered(tx, change.list.id, PersonId(person), Some(in_list))?;
                }
            }
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    fn send_change(&self, change: &Change) -> Result<Vec<Ended>, StoreError> {
        let Some(first) = change.rows.first() else { return Ok(Vec::new()) };
        let contacts: Vec<i64> = change.rows.iter().map(|row| row.contact).collect();
        let call = wire::change(change.id, change.join, &contacts);
        let results = self.call(&call).and_then(|answer| Ok(wire::read_change(&answer, &contacts)?));
        let now = self.world.now();
        let each = |end: &dyn Fn(&Row) -> Ended| Ok(change.rows.iter().map(end).collect());
        match results {
            Ok(results) => {
                let ended = |(row, result): (&Row, &RowResult)| match result {
                    RowResult::Done => Ended { in_list: Some(change.join), ..Ended::of(End::Delivered) },
                    RowResult::Nothing => look_at(now),
                    RowResult::Unknown => {
                        self.unknown(&row.action, change.join, self.is_inert(change, row), now)
                    }
                };
                Ok(change.rows.iter().zip(&results).map(ended).collect())
            }
            Err(stop) if is_unknown(&stop) => {
                each(&|row| self.unknown(&row.action, change.join, self.is_inert(change, row), now))
            }
            Err(Stop::Problem(problem, _)) if problem.kind == Kind::NotFound => {
                match self.list_is_there(change.id) {
                    Ok(true) => each(&|_| look_at(now)),
                    Ok(false) => {
                        self.stop_list(
                            &change.list,
                            first.action.installation,
                            list_gone(&change.list),
                            now,
                        )?;
                        each(&|_| Ended::of(End::Held(held::LIST_STOPPED)))
                    }
                    Err(stop) => self.ends_of(change, stop),
                }
            }
            Err(Stop::Problem(problem, _)) if problem.kind == Kind::Forbidden => {
                self.stop_list(&change.list, first.action.installation, list_forbidden(&change.list), now)?;
                each(&|_| Ended::of(End::Held(held::LIST_STOPPED)))
            }
            // Refused as a whole: each is tried alone, so that one can't keep the others out.
            Err(Stop::Problem(problem, _)) if problem.kind.rule().remedy == Remedy::GiveUp => {
                each(&|_| look_at(now))
            }
            Err(stop) => self.ends_of(change, stop),
        }
    }

    /// The same stop for every row: pauses are made once, attempts are each row's own.
    fn ends_of(&self, change: &Change, stop: Stop) -> Result<Vec<Ended>, StoreError> {
        if matches!(stop, Stop::NotSent) {
            let one = |row: &Row| Ok(Ended::of(self.end_of_stop(&row.action, Stop::NotSent)?));
            return change.rows.iter().map(one).collect();
        }
        let Some(first) = change.rows.first() else { return Ok(Vec::new()) };
        let end = self.end_of_stop(&first.action, stop)?;
        Ok(change.rows.iter().map(|_| Ended::of(end.clone())).collect())
    }

    fn is_inert(&self, change: &Change, row: &Row) -> bool {
        row.inert && change.list.inert
    }

    /// The call may have been carried out.
    fn unknown(&self, action: &Action, join: bool, inert: bool, now: Millis) -> Ended {
        if join && !inert {
            return Ended { look: true, sent: true, ..Ended::of(End::ReadBack) };
        }
        Ended::of(self.retry(action, Letter::of(Kind::OutcomeUnknown.rule()), now))
    }

    fn list_is_there(&self, id: i64) -> Result<bool, Stop> {
        Ok(wire::read_list(&self.call(&wire::list(id))?)?)
    }

    /// One join or leave by itself: of somebody who has to be looked for, or that has to be looked at.
    pub(super) fn membership(&self, work: &mut Work, to: &ListMembership, join: bool) -> Result<End, Stop> {
        let list = match work.action.list {
            Some(list) => self.store.read(|tx| lists::get(tx, list))?,
            None => None,
        };
        let Some((list, id)) = list.and_then(|list| list.brevo_id.map(|id| (list, id))) else {
            return Ok(End::Stopped(State::Refused, list_unknown()));
        };
        let was_known = work.person.contact().is_some();
        let contact = match self.contact_of(work) {
            Ok(Some(contact)) => contact,
            Ok(None) => return Ok(absent(work, join)),
            Err(Stop::End(End::Stopped(_, letter))) if letter.code == CONTACT_GONE => {
                return Ok(absent(work, join));
            }
            Err(stop) => return Err(stop),
        };
        if !was_known && !work.intent.look {
            // Now it can ride with others.
            let at = self.world.now();
            return Ok(End::Again(Again { at, code: "contact-found", counted: false }));
        }
        let Some(found) = self.get_contact(Name::Id(contact))? else {
            return match self.gone(work)? {
                End::Stopped(_, letter) if letter.code == CONTACT_GONE => Ok(absent(work, join)),
                end => Ok(end),
            };
        };
        let Some(in_lists) = found.lists else {
            return Err(Problem { status: 200, kind: Kind::Unexpected }.into());
        };
        let is_in = in_lists.contains(&id);
        let person = PersonId(work.person.id);
        let known = self.store.read(|tx| memberships::get(tx, list.id, person))?;
        if known.is_some_and(|known| known.wanted != join) {
            // A join that arrived late must not outlast the leave that came after it.
            if join && is_in {
                let now = self.world.now();
                match self.change_one(work, &list, id, false, contact)? {
                    RowResult::Done => work.in_list = Some(false),
                    // The leave may be over already, so nothing else would look again.
                    RowResult::Nothing => return Ok(self.retry(&work.action, change_refused(), now)),
                    RowResult::Unknown => {
                        let letter = Letter::of(Kind::OutcomeUnknown.rule());
                        return Ok(self.retry(&work.action, letter, now));
                    }
                }
            }
            return Ok(superseded(join));
        }
        if is_in == join {
            work.in_list = Some(join);
            let held_before = if join { "already-in-list" } else { "not-in-list" };
            let sent = work.intent.sent;
            return Ok(if sent { End::Delivered } else { End::Over(State::Deduplicated, held_before) });
        }
        if is_too_old(&work.action, self.world.now()) {
            return Ok(End::Over(State::Expired, "too-old"));
        }
        if work.intent.sent {
            if work.intent.resends >= self.options.policy.resends {
                return Ok(End::Stopped(State::Parked, join_unproven()));
            }
            work.intent.resends += 1;
        }
        self.change_alone(work, &list, id, join, to.inert && list.inert, contact)
    }

    fn change_alone(
        &self,
        work: &mut Work,
        list: &List,
        id: i64,
        join: bool,
        inert: bool,
        contact: i64,
    ) -> Result<End, Stop> {
        let now = self.world.now();
        match self.change_one(work, list, id, join, contact) {
            Ok(RowResult::Done) => {
                work.in_list = Some(join);
                Ok(End::Delivered)
            }
            Ok(RowResult::Nothing) => Ok(self.retry(&work.action, change_refused(), now)),
            Ok(RowResult::Unknown) => Ok(self.unknown_one(work, join, inert, now)),
            Err(stop) if is_unknown(&stop) => Ok(self.unknown_one(work, join, inert, now)),
            Err(stop) => Err(stop),
        }
    }

    fn unknown_one(&self, work: &mut Work, join: bool, inert: bool, now: Millis) -> End {
        let ended = self.unknown(&work.action, join, inert, now);
        work.intent.look |= ended.look;
        work.intent.sent |= ended.sent;
        ended.end
    }

    fn change_one(
        &self,
        work: &Work,
        list: &List,
        id: i64,
        join: bool,
        contact: i64,
    ) -> Result<RowResult, Stop> {
        let answer = self.call(&wire::change(id, join, &[contact]))?;
        let now = self.world.now();
        let problem = match wire::read_change(&answer, &[contact]) {
            Ok(results) => return Ok(results.first().copied().unwrap_or(RowResult::Unknown)),
            Err(problem) => problem,
        };
        let letter = match problem.kind {
            Kind::NotFound if !self.list_is_there(id)? => list_gone(list),
            Kind::NotFound => return Ok(RowResult::Nothing),
            Kind::Forbidden => list_forbidden(list),
            _ if problem.kind.rule().remedy == Remedy::GiveUp => return Ok(RowResult::Nothing),
            _ => return Err(Stop::Problem(problem, Family::Contacts)),
        };
        self.stop_list(list, work.action.installation, letter, now)?;
        Err(End::Held(held::LIST_STOPPED).into())
    }

    /// Nothing goes to the list any more until an operator's word; its open actions are held.
    pub(super) fn stop_list(
        &self,
        list: &List,
        installation: i64,
        letter: Letter,
        now: Millis,
    ) -> Result<(), StoreError> {
        tracing::error!(list = list.id, code = letter.code, "a list is stopped");
        self.store.write(|tx| {
            lists::stop(tx, list.id, letter.code)?;
            super::outcome::write_thing(tx, installation, &letter, now)
        })
    }
}

/// The call may or may not have been carried out.
pub(super) fn is_unknown(stop: &Stop) -> bool {
    match stop {
        Stop::NoAnswer => true,
        Stop::Problem(problem, _) => {
            // Not even HTTP's word that nothing happened.
            problem.kind.rule().remedy == Remedy::ReadBack || problem.kind == Kind::Unexpected
        }
        _ => false,
    }
}

fn look_at(now: Millis) -> Ended {
    let end = End::Again(Again { at: now, code: LOOK, counted: true });
    Ended { look: true, ..Ended::of(end) }
}

/// There is no contact. A join waits for it. Who can be looked for and isn't there is in no list;
/// who is known by an alias only may turn out to be somebody who is.
fn absent(work: &Work, join: bool) -> End {
    let names = &work.names;
    let can_be_found = names.ext_id.is_some() || names.email.is_some() || names.phone.is_some();
    if !join && (can_be_found || work.person.presence == Presence::Gone) {
        return End::Over(State::Deduplicated, "not-at-brevo");
    }
    End::Held(held::CONTACT_UNKNOWN)
}

/// A newer word says the opposite.
pub(super) fn superseded(join: bool) -> End {
    End::Over(State::Superseded, if join { "newer-leave" } else { "newer-join" })
}

pub(super) fn list_gone(list: &List) -> Letter {
    let named = list.name.is_some();
    Letter {
        code: lists::GONE,
        actor: Actor::Operator,
        message: "The list is not at Brevo. Nothing was made in its place, and its joins and leaves are held.",
        remedy: match named {
            true => {
                "If it was deleted by mistake, `harness lists resume` makes it again; otherwise take it out of the settings."
            }
            false => {
                "Put the number of a list that exists into the settings; `harness lists resume` tries this one again."
            }
        },
        about: Some(list.about()),
    }
}

pub(super) fn list_forbidden(list: &List) -> Letter {
    Letter {
        code: "list-forbidden",
        actor: Actor::Tenant,
        message: "Brevo does not let this key work on the list; its joins and leaves are held.",
        remedy: "Check the account's plan and the key's access, then run `harness lists resume`.",
        about: Some(list.about()),
    }
}

pub(super) fn list_refused(list: &List) -> Letter {
    Letter {
        code: "list-refused",
        actor: Actor::Operator,
        message: "Brevo refused to make the list or its folder; its joins and leaves are held.",
        remedy: "Look whether the account's lists or folders are used up (300 each on most plans) and whether the names are allowed, then run `harness lists resume`.",
        about: Some(list.about()),
    }
}

pub(super) fn named_twice(list: &List) -> Letter {
    Letter {
        code: lists::NAMED_TWICE,
        actor: Actor::Tenant,
        message: "The settings name this list by its number and by its name; each would undo what the other does, so this one is held.",
        remedy: "Name it in one way everywhere in the settings.",
        about: Some(list.about()),
    }
}

fn change_refused() -> Letter {
    Letter {
        code: "list-change-refused",
        actor: Actor::Operator,
        message: "Brevo has the contact and the list, and still did not change the one in the other.",
        remedy: "Try it at Brevo by hand; if it works there, requeue.",
        about: None,
    }
}

fn join_unproven() -> Letter {
    Letter {
        code: OUTCOME_UNPROVEN,
        actor: Actor::Operator,
        message: "Whether the join was carried out is not proven, and the contact is not in the list.",
        remedy: "Look at the contact's lists at Brevo; requeue with a confirmed re-send if it is still missing.",
        about: None,
    }
}

fn list_unknown() -> Letter {
    Letter {
        code: "bad-action",
        actor: Actor::ConnectorAuthor,
        message: "The action names no list that is known.",
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}
