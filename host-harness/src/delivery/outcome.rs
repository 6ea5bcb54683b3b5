//! What an end means for the outbox: one transaction for everything that an action came to.

use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::person::Presence;
use super::wire::Stop;
use super::work::{Intent, Work};
use super::{Delivery, millis};
use crate::brevo::errors::{Kind, Remedy, Rule};
use crate::brevo::events::effect_text;
use crate::brevo::windows::Family;
use crate::people::identity::PersonId;
use crate::people::{consent, memberships, merging};
use crate::registry::Payload;
use crate::store::StoreError;
use crate::store::dead_letters::{self, Actor, NewDeadLetter};
use crate::store::outbox::{self, Action, OUTCOME_UNKNOWN, OUTCOME_UNPROVEN, State, Transition, held};
use crate::world::Millis;

/// How work on an action ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Done at Brevo.
    Delivered,
    /// Over without a call, or without one that changed something.
    Over(State, &'static str),
    /// Waits until something becomes known.
    Held(&'static str),
    /// A person has to look at it.
    Stopped(State, Letter),
    /// It may be at Brevo, and is done once; it is read back after the settle time.
    ReadBack,
    /// Waiting again.
    Again(Again),
}

#[derive(Clone, Debug)]
pub(super) struct Again {
    pub at: Millis,
    pub code: &'static str,
    /// Whether the attempt counts.
    pub counted: bool,
}

/// A dead letter in the making.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub code: &'static str,
    pub actor: Actor,
    pub message: &'static str,
    pub remedy: &'static str,
    /// What it is about, where that is not only the action. Written once while it is open.
    pub about: Option<String>,
}

impl Letter {
    pub fn of(rule: Rule) -> Self {
        Self { code: rule.code, actor: rule.actor, message: rule.message, remedy: rule.action, about: None }
    }
}

/// An address at Brevo that belongs to somebody else there.
pub(super) fn address_shared() -> Letter {
    Letter {
        code: "address-shared",
        actor: Actor::Operator,
        message: "The address belongs to another contact at Brevo; nothing is merged on a guess.",
        remedy: "Decide at Brevo which contact keeps the address, then requeue.",
        about: None,
    }
}

impl Delivery {
    /// Turns whatever stopped the calls into an end. Pauses what has to be paused.
    pub(super) fn end_of(&self, work: &Work, result: Result<End, Stop>) -> Result<End, StoreError> {
        let stop = match result {
            Ok(end) | Err(Stop::End(end)) => return Ok(end),
            Err(Stop::Store(error)) => return Err(error),
            Err(stop) => stop,
        };
        self.end_of_stop(&work.action, stop)
    }

    /// The same for an action of a batch.
    pub(super) fn end_of_stop(&self, action: &Action, stop: Stop) -> Result<End, StoreError> {
        let now = self.world.now();
        let again = |at, code| End::Again(Again { at, code, counted: false });
        Ok(match stop {
            Stop::End(end) => end,
            Stop::Store(error) => return Err(error),
            Stop::Closed(at) => again(at, "rate-limited"),
            Stop::NoKey => {
                self.pause_account(action, &no_key(), now)?;
                again(now, "brevo-key-missing")
            }
            Stop::Denied => {
                self.pause_account(action, &address_denied(), now)?;
                again(now, "brevo-address-denied")
            }
            Stop::NotSent => self.retry(action, Letter::of(unreachable()), now),
            Stop::NoAnswer => self.retry(action, Letter::of(Kind::OutcomeUnknown.rule()), now),
            Stop::Problem(problem, family) => {
                let rule = problem.kind.rule();
                match rule.remedy {
                    Remedy::PauseAccount => {
                        self.pause_account(action, &Letter::of(rule), now)?;
                        again(now, rule.code)
                    }
                    Remedy::PauseFamily => {
                        let until = self.pause_family(Some(action.installation), family, rule, now)?;
                        again(until, rule.code)
                    }
                    Remedy::Wait => again(self.opens_at(family, now).unwrap_or(now + 1_000), rule.code),
                    Remedy::Retry | Remedy::ReadBack => self.retry(action, Letter::of(rule), now),
                    Remedy::GiveUp => {
                        if problem.kind == Kind::Refused {
                            self.distrust_schema();
                        }
                        End::Stopped(State::Failed, Letter::of(rule))
                    }
                }
            }
        })
    }

    /// Waiting again after a backoff, or failed after the last attempt.
    pub(super) fn retry(&self, action: &Action, letter: Letter, now: Millis) -> End {
        if action.attempts >= self.options.policy.attempts {
            return End::Stopped(State::Failed, letter);
        }
        let at = now + self.backoff(action.attempts);
        End::Again(Again { at, code: letter.code, counted: true })
    }

    /// Writes everything that was learned, and the action's new state.
    pub(super) fn finish(&self, work: Work, end: End) -> Result<(), StoreError> {
        let now = self.world.now();
        self.store.write(|tx| {
            self.finish_in(tx, &work, end, now)?;
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    /// The same within a transaction.
    pub(super) fn finish_in(
        &self,
        tx: &Transaction<'_>,
        work: &Work,
        end: End,
        now: Millis,
    ) -> Result<(), StoreError> {
        {
            if work.person.dirty {
                work.person.save(tx)?;
            }
            for (channel, at) in &work.blocks {
                consent::set_block_written(tx, work.person.id, *channel, *at)?;
            }
            if let Some((holder, channel, at)) = work.block_of_another {
                consent::set_block_written(tx, holder, channel, Some(at))?;
            }
            if let (Some(list), Some(in_list)) = (work.action.list, work.in_list) {
                memberships::set_delivered(tx, list, PersonId(work.person.id), Some(in_list))?;
            }
            if work.person.dirty && work.person.presence == Presence::Gone {
                memberships::forget_delivered(tx, PersonId(work.person.id))?;
            }
            for letter in &work.letters {
                write_letter(tx, &work.action, letter, now)?;
            }
            // Before the end, so that an action that ends held stays so.
            if work.release {
                outbox::release_held(tx, work.person.id, now)?;
            }
            let end = if matches!(end, End::Held(_)) && consent_changed(tx, work)? {
                // What would release it happened during the calls: nothing would come again.
                End::Again(Again { at: now, code: "consent-changed", counted: false })
            } else {
                end
            };
            self.end(tx, &work.action, State::InFlight, &end, Some(&work.intent), now)
        }
    }

    /// One action's transition.
    pub(super) fn end(
        &self,
        tx: &Transaction<'_>,
        action: &Action,
        from: State,
        end: &End,
        intent: Option<&Intent>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let (to, due_at, code) = match end {
            End::Delivered => (State::Delivered, None, None),
            End::Over(state, code) => (*state, None, Some(*code)),
            End::Held(code) => (State::Held, action.not_after.map(|at| at + 1), Some(*code)),
            End::Stopped(state, letter) => (*state, None, Some(letter.code)),
            End::ReadBack => {
                (State::Parked, Some(now + millis(self.options.policy.settle)), Some(OUTCOME_UNKNOWN))
            }
            End::Again(again) => (State::Waiting, Some(again.at), Some(again.code)),
        };
        let intent = intent.map(Intent::text).transpose()?;
        let transition = Transition { id: action.id, from, to, due_at, code, intent: intent.as_deref() };
        outbox::step(tx, &transition)?;
        match end {
            End::Stopped(_, letter) => write_letter(tx, action, letter, now)?,
            End::Again(Again { counted: false, .. }) => {
                tx.prepare_cached("UPDATE action SET attempts = max(attempts - 1, 0) WHERE id = ?1")?
                    .execute([action.id])?;
            }
            End::Held(held::PHONE_CONSENT_UNKNOWN) => supersede_withheld_phones(tx, action)?,
            End::Over(State::Refused, "person-erased") => blank(tx, action.id)?,
            _ => {}
        }
        tracing::info!(
            action = action.id,
            name = action.name,
            state = to.as_str(),
            code = code.unwrap_or_default(),
            attempts = action.attempts,
            "action ended"
        );
        if from == State::InFlight {
            merging::settle(tx, now)?;
        }
        Ok(())
    }

    /// Gives an action that was in flight at a crash its next state.
    pub(super) fn recover_one(
        &self,
        tx: &Transaction<'_>,
        action: &Action,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut intent = Intent::read(action.intent.as_deref())?;
        // Of these it is written down whether a request left.
        if super::send::is_send(action) {
            let end = self.interrupted_send(action, &mut intent, now);
            return self.end(tx, action, State::InFlight, &end, Some(&intent), now);
        }
        let once = is_done_once(action);
        (intent.look, intent.sent) = (intent.look || once, intent.sent || once);
        let end = if once {
            End::ReadBack
        } else if action.attempts >= self.options.policy.attempts {
            End::Stopped(State::Failed, interrupted())
        } else {
            End::Again(Again { at: now, code: "interrupted", counted: true })
        };
        self.end(tx, action, State::InFlight, &end, Some(&intent), now)
    }

    fn pause_account(&self, action: &Action, letter: &Letter, now: Millis) -> Result<(), StoreError> {
        self.pause(Some(action.installation), letter, now)
    }

    /// Stops deliveries to the account for a while; then one call finds out.
    pub(super) fn pause(
        &self,
        installation: Option<i64>,
        letter: &Letter,
        now: Millis,
    ) -> Result<(), StoreError> {
        let until = now + millis(self.options.policy.pause);
        self.well.store(false, Ordering::SeqCst);
        tracing::error!(code = letter.code, until, "deliveries to the account are paused");
        self.store.write(|tx| {
            tx.prepare_cached("UPDATE destination SET paused_code = ?2, paused_until = ?3 WHERE id = ?1")?
                .execute(params![self.options.destination.0, letter.code, until])?;
            let Some(installation) = installation else { return Ok(()) };
            let letter = Letter { about: Some(ABOUT_ACCOUNT.into()), ..letter.clone() };
            write_thing(tx, installation, &letter, now)
        })
    }

    /// Stops one family of calls for a while; then one call finds out. Says until when.
    pub(super) fn pause_family(
        &self,
        installation: Option<i64>,
        family: Family,
        rule: Rule,
        now: Millis,
    ) -> Result<Millis, StoreError> {
        let until = now + millis(self.options.policy.pause);
        self.close_family(family, until, rule.code);
        tracing::error!(code = rule.code, family = family.as_str(), until, "a family of calls is paused");
        let Some(installation) = installation else { return Ok(until) };
        let letter = Letter { about: Some(about_calls(family)), ..Letter::of(rule) };
        self.store.write(|tx| write_thing(tx, installation, &letter, now))?;
        Ok(until)
    }

    /// A call of a family that Brevo refused went through: its letter is over.
    pub(super) fn family_went_on(&self, family: Family, now: Millis) -> Result<(), StoreError> {
        self.store.write(|tx| self.resolve_about(tx, &about_calls(family), now))
    }

    /// Something came through: a pause that this engine made is over, and so are its letters.
    pub(super) fn went_on(&self, tx: &Transaction<'_>, now: Millis) -> Result<(), StoreError> {
        if !self.well.load(Ordering::SeqCst) {
            return Ok(());
        }
        let ended = tx
            .prepare_cached(
                "UPDATE destination SET paused_code = NULL, paused_until = NULL
                 WHERE id = ?1 AND paused_until <= ?2",
            )?
            .execute(params![self.options.destination.0, now])?;
        if ended > 0 {
            self.resolve_about(tx, ABOUT_ACCOUNT, now)?;
        }
        Ok(())
    }

    /// Closes the letters about a thing of this account that is well again.
    pub(super) fn resolve_about(
        &self,
        tx: &Transaction<'_>,
        about: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        dead_letters::resolve_about(tx, self.options.destination.0, about, now)
    }
}

const ABOUT_ACCOUNT: &str = "account";

pub(super) fn about_calls(family: Family) -> String {
    format!("calls:{}", family.as_str())
}

pub(super) fn write_letter(
    tx: &Transaction<'_>,
    action: &Action,
    letter: &Letter,
    now: Millis,
) -> Result<(), StoreError> {
    if letter.about.is_some() {
        return write_thing(tx, action.installation, letter, now);
    }
    // What an operator has to look for at Brevo.
    let effect = format!("effect:{}", effect_text(action.effect));
    let new = NewDeadLetter {
        record: Some((action.batch, action.position)),
        action: Some(action.id),
        pointer: (letter.code == OUTCOME_UNPROVEN).then_some(effect.as_str()),
        ..new_letter(action.installation, letter)
    };
    dead_letters::insert(tx, &new, now).map(|_| ())
}

/// A letter about a thing that meets many actions: once while it is open, and without an action,
/// so that nobody requeues whichever action met it first.
pub(super) fn write_thing(
    tx: &Transaction<'_>,
    installation: i64,
    letter: &Letter,
    now: Millis,
) -> Result<(), StoreError> {
    dead_letters::insert_once(tx, &new_letter(installation, letter), now).map(|_| ())
}

fn new_letter(installation: i64, letter: &Letter) -> NewDeadLetter<'_> {
    NewDeadLetter {
        installation,
        stage: "deliver",
        code: letter.code,
        actor: letter.actor,
        message: letter.message,
        remedy: letter.remedy,
        journal: None,
        pointer: letter.about.as_deref(),
        record: None,
        action: None,
    }
}

/// Only the newest of the actions that wait for nothing but the phone's consent is kept waiting.
fn supersede_withheld_phones(tx: &Transaction<'_>, action: &Action) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE action SET state = 4, code = 'replaced', due_at = NULL
         WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state = 8 AND code = ?2 AND id < ?3",
    )?
    .execute(params![action.person, held::PHONE_CONSENT_UNKNOWN, action.id])?;
    Ok(())
}

/// What can't be undone, and a join of a list that nobody called inert: it is not repeated before it
/// was looked for.
fn is_done_once(action: &Action) -> bool {
    match Payload::parse(&action.name, &action.payload) {
        Ok(Payload::JoinList(to)) => !to.inert,
        Ok(payload) => payload.happens_once(),
        Err(_) => false,
    }
}

/// An erased person's names and values don't stay behind in the outbox.
fn blank(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE action SET subject = '{}', payload = '{}' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn no_key() -> Letter {
    Letter {
        code: "brevo-key-missing",
        actor: Actor::Tenant,
        message: "There is no Brevo API key.",
        remedy: "Fill the configured secret; deliveries go on by themselves.",
        about: None,
    }
}

pub(super) fn address_denied() -> Letter {
    Letter {
        code: "brevo-address-denied",
        actor: Actor::Operator,
        message: "The address policy forbids the configured Brevo address.",
        remedy: "Correct the base URL, or allow private addresses where this is a test.",
        about: None,
    }
}

pub(super) fn interrupted() -> Letter {
    Letter {
        code: "delivery-interrupted",
        actor: Actor::Operator,
        message: "The host stopped in the middle of this action as often as it may be tried.",
        remedy: "Look at the host's log around the attempts, then requeue.",
        about: None,
    }
}

/// True where a unit was committed since the claim that says something new about consent.
fn consent_changed(tx: &Transaction<'_>, work: &Work) -> Result<bool, StoreError> {
    Ok(consent::of_both_channels(tx, work.person.id)? != (work.email, work.sms))
}

fn unreachable() -> Rule {
    Rule {
        code: "brevo-unreachable",
        actor: Actor::Operator,
        remedy: Remedy::Retry,
        message: "Brevo could not be reached.",
        action: "Check name resolution, network and TLS on the host, then requeue.",
    }
}
