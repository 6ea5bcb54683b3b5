//! What mails, texts and campaigns have in common: whom they may reach, and that nothing goes out
//! twice (design rules 5, 7, 8).
//!
//! Before a request leaves, that it leaves is written down in the action (`intent.sent`), together
//! with a last look at the deadline and at consent. A crash before that has sent nothing. After it
//! the action never ends as if nothing had been sent: it ends delivered, or is looked for at Brevo
//! after the settle time, or is an operator's.
//!
//! | who | mail or text |
//! |---|---|
//! | an address that bounced or complained | never |
//! | opted out, or blocked at Brevo | only with `even_if_opted_out`; a block that no opt-out explains may be a bounce, so then it is shown instead |
//! | address at Brevo and not blocked, consent unknown | yes: unknown is not opted out |
//! | address not at Brevo, consent unknown | held until it is known, as the contact is; with `even_if_opted_out`, or the tenant's word on unknown consent, sent |
//! | address not at Brevo, not opted out | yes: neither needs a contact |
//! | contact delivered once and gone from Brevo | an operator decides |

use std::time::Duration;

use super::Delivery;
use super::blocks::Present;
use super::contact::parked_gone;
use super::outcome::{Again, End, Letter, interrupted};
use super::person::Presence;
use super::track::is_too_old;
use super::wire::Stop;
use super::work::{Intent, Work};
use crate::brevo::account::Call;
use crate::brevo::contacts::{Contact, Name, address_key};
use crate::brevo::errors::{Problem, Remedy};
use crate::brevo::mails;
use crate::config::UnknownConsent;
use crate::people::consent::{self, ConsentView};
use crate::people::identity::PersonId;
use crate::people::{fields, identity, tombstone};
use crate::registry::{Channel, ConsentStatus, names};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox::{self, Action, OUTCOME_UNPROVEN, State, held};
use crate::world::{HttpResponse, Millis};

/// Longest wait within a read.
const MOMENT: Millis = 2_000;

/// Whom a mail or text may reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience {
    pub channel: Channel,
    /// The tenant's word that it goes to people who opted out.
    pub even_if_opted_out: bool,
    /// Marketing: only to people who are known to want it.
    pub opted_in_only: bool,
}

/// What is known of requests that left before this attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub sent: bool,
    at: Option<Millis>,
}

/// A mail, text or campaign.
pub(super) fn is_send(action: &Action) -> bool {
    [names::SEND_EMAIL, names::SEND_SMS, names::TRIGGER_CAMPAIGN].contains(&action.name.as_str())
}

impl Delivery {
    /// The person's address, where it may be written to now.
    pub(super) fn reach(&self, work: &mut Work, audience: Audience) -> Result<String, Stop> {
        let channel = audience.channel;
        let Some(address) = self.addresses(work, channel)?.into_iter().next() else {
            return Err(End::Over(State::Refused, "no-address").into());
        };
        // What the host knows spares the calls.
        self.refresh_consent(work)?;
        if let Some(end) = refusal(work.consent(channel), audience) {
            return Err(end.into());
        }
        let present = self.present(work)?;
        if work.person.presence == Presence::Gone {
            return Err(parked_gone().into());
        }
        let contact = match present {
            Present::Theirs(contact) | Present::SomebodyElses(contact) => Some(contact),
            Present::Nowhere => None,
        };
        let has_it = |contact: &Contact| contact.address(channel) == Some(&address_key(channel, &address));
        let holder = match &contact {
            Some(contact) if has_it(contact) => None,
            // Under the address there may be another contact, which is blocked.
            _ => self.get_contact(match channel {
                Channel::Email => Name::Email(&address),
                Channel::Sms => Name::Phone(&address),
            })?,
        };
        let view = *work.consent(channel);
        for contact in contact.as_deref().into_iter().chain(&holder) {
            if contact.blocked(channel)
                && let Some(end) = blocked_at_brevo(contact, &view, audience)
            {
                return Err(end.into());
            }
        }
        let at_brevo = holder.is_some() || contact.as_deref().is_some_and(has_it);
        let known = if audience.opted_in_only {
            view.status == Some(ConsentStatus::OptedIn)
        } else {
            at_brevo || view.is_known() || audience.even_if_opted_out
        };
        if !known && self.options.unknown_consent == UnknownConsent::Hold {
            return Err(End::Held(held::CONSENT_UNKNOWN).into());
        }
        Ok(address)
    }

    /// Every address of the person, first the one that holds now: the winner of the fold, else the
    /// one that was learned last.
    pub(super) fn addresses(&self, work: &Work, channel: Channel) -> Result<Vec<String>, StoreError> {
        let (field, named) = match channel {
            Channel::Email => (fields::EMAIL, &work.subject.email),
            Channel::Sms => (fields::PHONE, &work.subject.phone),
        };
        let person = PersonId(work.person.id);
        self.store.read(|tx| {
            let mut known = identity::addresses_of(tx, person, channel)?;
            if let Some(named) = named {
                let same = |address: &String| address_key(channel, address) == address_key(channel, named);
                match known.iter_mut().find(|address| same(address)) {
                    Some(address) => address.clone_from(named), // as its record spells it
                    None => known.push(named.clone()),
                }
            }
            let current = fields::current(tx, person, field, &known)?.cloned();
            if let Some(place) = current.and_then(|current| known.iter().position(|one| *one == current)) {
                known[..=place].rotate_right(1);
            }
            Ok(known)
        })
    }

    /// The last look before a request leaves, in one transaction with writing down that it leaves.
    /// The end, where it may not.
    pub(super) fn begin_sending(&self, work: &mut Work, audience: Audience) -> Result<Before, Stop> {
        let now = self.world.now();
        if is_too_old(&work.action, now) {
            return Err(End::Over(State::Expired, "too-old").into());
        }
        let before = Before::of(&work.intent);
        let mut intent = work.intent.clone();
        intent.sends(now);
        let refused = self.store.write(|tx| {
            if tombstone::is_erased(tx, self.options.destination, &work.subject)? {
                return Ok(Some(End::Over(State::Refused, "person-erased")));
            }
            let view = consent::known(tx, work.person.id, audience.channel)?;
            if let Some(end) = refusal(&view, audience) {
                return Ok(Some(end));
            }
            outbox::progress(tx, work.action.id, &intent.text()?)?;
            Ok::<_, StoreError>(None)
        })?;
        if let Some(end) = refused {
            return Err(end.into());
        }
        work.intent = intent;
        Ok(before)
    }

    /// The same for what has no person.
    pub(super) fn begin_sending_to_many(&self, action: &Action, intent: &mut Intent) -> Result<Before, Stop> {
        let now = self.world.now();
        if is_too_old(action, now) {
            return Err(End::Over(State::Expired, "too-old").into());
        }
        let before = Before::of(intent);
        intent.sends(now);
        let text = intent.text()?;
        self.store.write(|tx| outbox::progress(tx, action.id, &text))?;
        Ok(before)
    }

    /// A call of a read that takes several, whose windows open again within a moment: a read that
    /// began anew each time would never come to its end.
    pub(super) fn read_on(&self, call: &Call) -> Result<HttpResponse, Stop> {
        let mut waited = 0;
        loop {
            match self.call(call) {
                Err(Stop::Closed(at)) if waited <= MOMENT => {
                    let wait = at - self.world.now();
                    if wait > MOMENT {
                        return Err(Stop::Closed(at));
                    }
                    let wait = wait.max(1);
                    waited += wait;
                    self.world.clock.sleep(Duration::from_millis(wait as u64));
                }
                other => return other,
            }
        }
    }

    /// What looking for it came to where the read failed: it is looked for again, and in the end an
    /// operator's. A failed read proves nothing.
    pub(super) fn look_failed(
        &self,
        intent: &mut Intent,
        stop: Stop,
        unproven: fn() -> Letter,
    ) -> Result<End, Stop> {
        let gives_up = match &stop {
            Stop::NotSent | Stop::NoAnswer => false,
            Stop::Problem(Problem { kind, .. }, _) => match kind.rule().remedy {
                Remedy::Retry | Remedy::ReadBack => false,
                Remedy::GiveUp => true,
                Remedy::PauseAccount | Remedy::PauseFamily | Remedy::Wait => return Err(stop),
            },
            _ => return Err(stop),
        };
        intent.failed_looks += 1;
        if gives_up || intent.failed_looks >= self.options.policy.attempts {
            return Ok(End::Stopped(State::Parked, unproven()));
        }
        Ok(look_for_it(intent))
    }

    /// After a crash in the middle of it.
    pub(super) fn interrupted_send(&self, action: &Action, intent: &mut Intent, now: Millis) -> End {
        let exhausted = action.attempts >= self.options.policy.attempts;
        let again = End::Again(Again { at: now, code: "interrupted", counted: true });
        match (intent.sent, intent.look) {
            (false, _) if exhausted => End::Stopped(State::Failed, interrupted()),
            (false, _) => again,
            // While it was looked for. Brevo's window for a repeat may still be open otherwise.
            (true, false) if !exhausted && action.name == names::SEND_EMAIL && intent.key_is_fresh(now) => {
                again
            }
            (true, _) => look_for_it(intent),
        }
    }
}

impl Before {
    fn of(intent: &Intent) -> Self {
        Self { sent: intent.sent, at: intent.sent_at }
    }

    /// The request did not leave, or Brevo said that it did nothing: what was known before holds.
    pub fn restore(self, intent: &mut Intent) {
        (intent.sent, intent.sent_at) = (self.sent, self.at);
    }
}

impl Intent {
    fn sends(&mut self, now: Millis) {
        self.sent = true;
        self.sent_at.get_or_insert(now);
    }

    /// Whether a repeat of the mail under its key is still taken for one.
    pub(super) fn key_is_fresh(&self, now: Millis) -> bool {
        self.sent_at.is_some_and(|first| (0..=mails::KEY_WINDOW).contains(&(now - first)))
    }
}

/// It may have been sent: it is looked for after the settle time.
pub(super) fn look_for_it(intent: &mut Intent) -> End {
    intent.look = true;
    End::ReadBack
}

fn refusal(view: &ConsentView, audience: Audience) -> Option<End> {
    if view.is_suppressed() {
        return Some(End::Over(State::Refused, "suppressed"));
    }
    (view.blocked() && !audience.even_if_opted_out).then_some(End::Over(State::Refused, "opted-out"))
}

/// The contact is blocked for campaigns. Brevo doesn't say why: after an opt-out, a bounce or a
/// complaint, or by somebody's hand.
fn blocked_at_brevo(contact: &Contact, view: &ConsentView, audience: Audience) -> Option<End> {
    let opted_out = view.blocked()
        || view.block_written_at.is_some()
        || (audience.channel == Channel::Email && contact.user_unsubscribed_at.is_some());
    match (audience.even_if_opted_out, opted_out) {
        (true, true) => None,
        (true, false) => Some(End::Stopped(State::Refused, block_unexplained())),
        (false, _) => Some(End::Over(State::Refused, BLOCKED)),
    }
}

const BLOCKED: &str = "blocked-at-brevo";

fn block_unexplained() -> Letter {
    Letter {
        code: BLOCKED,
        actor: Actor::Tenant,
        message: "The contact is blocked at Brevo, and nothing says that the person opted out: the address may have bounced.",
        remedy: "Look at the contact at Brevo; lift the block there if the address is right, then requeue.",
        about: None,
    }
}

/// A letter that whether something was sent is not proven.
pub(super) fn unproven(message: &'static str, remedy: &'static str) -> Letter {
    Letter { code: OUTCOME_UNPROVEN, actor: Actor::Operator, message, remedy, about: None }
}
