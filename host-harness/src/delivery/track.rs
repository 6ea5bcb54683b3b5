//! Events: sent once. An unanswered event is parked and read back, never sent again on a guess.

use super::claim::BatchRow;
use super::contact::{Found, parked_gone};
use super::outcome::{End, Letter, address_shared};
use super::person::Presence;
use super::wire::Stop;
use super::work::Work;
use super::{Delivery, millis};
use crate::brevo::errors::{Kind, Remedy};
use crate::brevo::events::{self, NewEvent, RowResult, Unsendable};
use crate::brevo::windows::Family;
use crate::registry::TrackEvent;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox::{Action, State, held};
use crate::world::Millis;

impl Delivery {
    pub(super) fn track(&self, work: &mut Work, event: &TrackEvent) -> Result<End, Stop> {
        let Some(contact) = self.contact_of(work)? else { return Ok(End::Held(held::CONTACT_UNKNOWN)) };
        if work.intent.look {
            // It may have been sent before this attempt.
            work.intent.contact = Some(contact);
            return Ok(End::ReadBack);
        }
        if is_too_old(&work.action, self.world.now()) {
            return Ok(End::Over(State::Expired, "too-old"));
        }
        let effect = work.action.effect;
        let event = match NewEvent::new(&event.event, work.action.time(), contact, &event.properties, effect)
        {
            Ok(event) => event,
            Err(why) => return Ok(End::Stopped(State::Failed, unsendable(why))),
        };
        work.intent.contact = Some(contact);
        let answer = match self.call(&events::track(&event)) {
            Err(Stop::NoAnswer) => return Ok(End::ReadBack),
            other => other?,
        };
        match events::read_track(&answer) {
            Ok(()) => Ok(End::Delivered),
            Err(problem) if problem.kind.rule().remedy == Remedy::ReadBack => Ok(End::ReadBack),
            // Not even HTTP's word that nothing happened.
            Err(problem) if problem.kind == Kind::Unexpected => Ok(End::ReadBack),
            Err(problem) => Err(Stop::Problem(problem, Family::Events)),
        }
    }

    /// Brevo's id of the person's contact; none where there is no contact.
    pub(super) fn contact_of(&self, work: &mut Work) -> Result<Option<i64>, Stop> {
        let now = self.world.now();
        match (work.person.presence, work.person.looked_at) {
            (Presence::AtBrevo, _) => Ok(work.person.contact()),
            (Presence::Gone, _) => Err(parked_gone().into()),
            (Presence::NotAtBrevo, Some(at)) if now - at < millis(self.options.policy.look_again) => Ok(None),
            _ => match self.look_up(work)? {
                Found::Theirs(contact) => {
                    self.adopt(work, &contact)?;
                    Ok(Some(contact.id))
                }
                Found::SomebodyElses(_) => Err(End::Stopped(State::Parked, address_shared()).into()),
                Found::Nobody => {
                    work.person.set_presence(Presence::NotAtBrevo, now);
                    Ok(None)
                }
            },
        }
    }

    /// Sends several events in one call. Each row ends by what the answer proves about it.
    pub(super) fn track_batch(&self, rows: Vec<BatchRow>) -> Result<(), StoreError> {
        let now = self.world.now();
        let (late, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| is_too_old(&row.action, now));
        let ends = self.send_batch(&rows)?;
        let now = self.world.now();
        self.store.write(|tx| {
            for row in &late {
                let end = End::Over(State::Expired, "too-old");
                self.end(tx, &row.action, State::InFlight, &end, None, now)?;
            }
            for (row, end) in rows.iter().zip(&ends) {
                let mut intent = row.intent.clone();
                // A batch that was refused as a whole is taken apart.
                intent.single |= matches!(end, End::Again(again) if again.code == BATCH_REFUSED);
                self.end(tx, &row.action, State::InFlight, end, Some(&intent), now)?;
            }
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    fn send_batch(&self, rows: &[BatchRow]) -> Result<Vec<End>, StoreError> {
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let events: Vec<&NewEvent> = rows.iter().map(|row| &row.event).collect();
        let all = |end: End| Ok(vec![end; rows.len()]);
        let answer = match self.call(&events::track_batch(&events)) {
            Ok(answer) => answer,
            Err(Stop::NoAnswer) => return all(End::ReadBack),
            Err(stop) => return self.each(rows, stop),
        };
        let results = match events::read_batch(&answer, rows.len()) {
            Ok(results) => results,
            Err(problem) => {
                return match problem.kind.rule().remedy {
                    Remedy::ReadBack => all(End::ReadBack),
                    Remedy::GiveUp => all(self.alone(self.world.now())),
                    Remedy::Retry if problem.kind == Kind::Unexpected => all(End::ReadBack),
                    _ => self.each(rows, Stop::Problem(problem, Family::EventsBatch)),
                };
            }
        };
        tracing::debug!(events = rows.len(), first = first.action.id, "a batch of events was answered");
        let now = self.world.now();
        let end = |result: &RowResult| match result {
            RowResult::Taken => End::Delivered,
            RowResult::Refused => End::Stopped(State::Failed, event_refused()),
            RowResult::NotTaken => self.alone(now),
            RowResult::Unknown => End::ReadBack,
        };
        Ok(results.iter().map(end).collect())
    }

    /// The same stop for each row: pauses are made once, attempts are each row's own.
    fn each(&self, rows: &[BatchRow], stop: Stop) -> Result<Vec<End>, StoreError> {
        let mut ends = Vec::with_capacity(rows.len());
        match stop {
            Stop::NotSent => {
                for row in rows {
                    ends.push(self.end_of_stop(&row.action, Stop::NotSent)?);
                }
            }
            stop => {
                let Some(first) = rows.first() else { return Ok(ends) };
                let end = self.end_of_stop(&first.action, stop)?;
                ends.resize(rows.len(), end);
            }
        }
        Ok(ends)
    }

    fn alone(&self, now: Millis) -> End {
        End::Again(super::outcome::Again { at: now, code: BATCH_REFUSED, counted: true })
    }
}

const BATCH_REFUSED: &str = "batch-refused";

pub(super) fn is_too_old(action: &Action, now: Millis) -> bool {
    action.not_after.is_some_and(|deadline| deadline < now)
}

fn event_refused() -> Letter {
    Letter {
        code: "event-refused",
        actor: Actor::ConnectorAuthor,
        message: "Brevo refused the event as malformed.",
        remedy: "Send the action to the connector's author; requeue it after a correction.",
        about: None,
    }
}

fn unsendable(why: Unsendable) -> Letter {
    let (code, message) = match why {
        Unsendable::TooLarge => ("event-too-large", "The event's properties are over Brevo's 50 KB."),
        Unsendable::NoDate => ("event-without-date", "The event's time can't be written as a date."),
    };
    Letter {
        code,
        actor: Actor::ConnectorAuthor,
        message,
        remedy: "Send the action to the connector's author.",
        about: None,
    }
}
