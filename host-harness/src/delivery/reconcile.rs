//! Reading back events whose outcome is unknown.
//!
//! An event that is found by this host's key was delivered. One that a *complete* read does not
//! show was not, and is sent again, a few times; a read that failed proves nothing.

use std::collections::BTreeSet;

use super::claim::Unproven;
use super::outcome::{Again, End, Letter};
use super::wire::Stop;
use super::{Delivery, millis};
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::events::{self, Query};
use crate::brevo::windows::Family;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox;
use crate::store::outbox::{OUTCOME_UNKNOWN, OUTCOME_UNPROVEN, State, Transition};
use crate::world::Millis;

/// Around the events' dates: Brevo may keep them with less precision or in another zone.
const MARGIN: Millis = 86_400_000;
/// Pages of one read; more means that something is wrong.
const PAGES: usize = 200;
/// Event names in one read.
const NAMES: usize = 10;
/// After a read that failed.
const AGAIN: Millis = 60_000;

impl Delivery {
    pub(super) fn reconcile(&self, rows: Vec<Unproven>) -> Result<(), StoreError> {
        let seen = self.read_back(&rows);
        let now = self.world.now();
        let seen = match seen {
            Ok(seen) => seen,
            Err(stop) => return self.postpone(&rows, stop, now),
        };
        self.store.write(|tx| {
            for row in &rows {
                let mut intent = row.intent.clone();
                let end = if seen.contains(&events::effect_text(row.action.effect)) {
                    End::Delivered
                } else if row.action.not_after.is_some_and(|deadline| deadline < now) {
                    End::Over(State::Expired, "too-old")
                } else if intent.look && row.contacts.is_empty() {
                    // Nobody knows its contact yet: that is looked for first.
                    End::Again(Again { at: now, code: "contact-unknown", counted: false })
                } else if intent.resends >= self.options.policy.resends || row.contacts.is_empty() {
                    End::Stopped(State::Parked, outcome_unproven())
                } else {
                    intent.resends += 1;
                    (intent.look, intent.sent) = (false, false);
                    End::Again(Again { at: now, code: "proven-absent", counted: true })
                };
                self.end(tx, &row.action, State::Parked, &end, Some(&intent), now)?;
            }
            self.save_rates(tx)
        })
    }

    /// Keys of every event of this host that a complete read shows.
    fn read_back(&self, rows: &[Unproven]) -> Result<BTreeSet<String>, Stop> {
        let distinct = |items: &mut dyn Iterator<Item = i64>| items.collect::<BTreeSet<_>>();
        let contacts = distinct(&mut rows.iter().flat_map(|row| row.contacts.iter().copied()));
        let names: BTreeSet<&String> = rows.iter().map(|row| &row.name).collect();
        let times = || rows.iter().map(|row| row.action.time());
        let query = Query {
            contacts: contacts.into_iter().collect(),
            // Many names would make the URL long; without them more is read, and nothing less.
            names: if names.len() > NAMES { Vec::new() } else { names.into_iter().cloned().collect() },
            from: times().min().unwrap_or_default() - MARGIN,
            to: times().max().unwrap_or_default() + MARGIN,
        };
        let mut seen = BTreeSet::new();
        if query.contacts.is_empty() {
            return Ok(seen);
        }
        let mut offset = 0;
        for _ in 0..PAGES {
            let Some(call) = events::list(&query, offset) else { break };
            let in_family = |problem| Stop::Problem(problem, Family::ReadBack);
            let page = events::read_list(&self.call(&call)?).map_err(in_family)?;
            offset += page.events.len();
            seen.extend(page.events.iter().filter_map(|event| event.effect().map(str::to_owned)));
            if page.events.len() < events::PAGE {
                // Short of what was promised is not the end (design rule 12).
                let complete = offset as u64 >= page.count;
                return if complete { Ok(seen) } else { Err(in_family(incomplete())) };
            }
        }
        Err(Stop::Problem(incomplete(), Family::ReadBack))
    }

    fn postpone(&self, rows: &[Unproven], stop: Stop, now: Millis) -> Result<(), StoreError> {
        let at = match stop {
            Stop::Closed(at) => at,
            stop => {
                // Pauses what has to be paused; the events stay where they are.
                let action = rows.first().map(|row| row.action.clone());
                match action.map(|action| self.end_of_stop(&action, stop)).transpose()? {
                    Some(End::Again(again)) => again.at.max(now + AGAIN),
                    _ => now + millis(self.options.policy.settle),
                }
            }
        };
        self.store.write(|tx| {
            for row in rows {
                let transition = Transition {
                    id: row.action.id,
                    from: State::Parked,
                    to: State::Parked,
                    due_at: Some(at),
                    code: Some(OUTCOME_UNKNOWN),
                    intent: None,
                };
                outbox::step(tx, &transition)?;
            }
            self.save_rates(tx)
        })
    }
}

fn incomplete() -> Problem {
    Problem { status: 200, kind: Kind::Unexpected }
}

fn outcome_unproven() -> Letter {
    Letter {
        code: OUTCOME_UNPROVEN,
        actor: Actor::Operator,
        message: "Whether Brevo has the event could not be proven.",
        remedy: "Look for it at Brevo by its tajo_effect; requeue with a confirmed re-send if it is missing.",
        about: None,
    }
}
