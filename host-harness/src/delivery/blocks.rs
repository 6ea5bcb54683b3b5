//! Blocks at Brevo: set for every opt-out and suppression, lifted only by a newer explicit opt-in
//! and never against what Brevo knows (design rule 8).

use super::Delivery;
use super::contact::{Found, vanished};
use super::outcome::{End, Letter, address_shared};
use super::person::Presence;
use super::wire::Stop;
use super::work::Work;
use crate::brevo::contacts::{self, Change, Contact, Name, address_key};
use crate::people::consent::{self, ConsentView};
use crate::registry::{Channel, ConsentBasis, ConsentStatus, SetConsent};
use crate::store::dead_letters::Actor;
use crate::store::doubt;
use crate::store::outbox::State;
use crate::world::Millis;

/// Brevo may show this host's own block as an administrator's unsubscription, dated by the call.
const OWN_BLOCK_TOLERANCE: Millis = 600_000;

impl Delivery {
    pub(super) fn set_consent(&self, work: &mut Work, said: &SetConsent) -> Result<End, Stop> {
        match (said.status, said.basis, work.action.occurred_at) {
            (ConsentStatus::OptedOut, _, _) => self.block(work, said.channel),
            (ConsentStatus::OptedIn, ConsentBasis::Flag, _) => {
                Ok(End::Over(State::Deduplicated, "flag-lifts-nothing"))
            }
            (ConsentStatus::OptedIn, ConsentBasis::Signal, None) => {
                Ok(End::Over(State::Refused, "opt-in-undated"))
            }
            (ConsentStatus::OptedIn, ConsentBasis::Signal, Some(_)) => self.lift(work, said.channel),
        }
    }

    /// Sets the block, unless it stands or a newer explicit opt-in is known.
    pub(super) fn block(&self, work: &mut Work, channel: Channel) -> Result<End, Stop> {
        if !work.consent(channel).blocked() {
            return Ok(End::Over(State::Superseded, "newer-opt-in"));
        }
        let contact = match self.present(work)? {
            Present::Theirs(contact) => contact,
            // The mailbox is the same, whoever it is filed under: an opt-out holds for everyone
            // who shares it.
            Present::SomebodyElses(contact) if self.reaches(work, &contact, channel)? => {
                let holder = self.taken_by(work, contact.id)?;
                return self.set_block(work, &contact, channel, Whose::Others(holder));
            }
            Present::SomebodyElses(_) | Present::Nowhere => {
                return Ok(End::Over(State::Coalesced, "travels-with-create"));
            }
        };
        // Where the contact was adopted just now, the block went with it.
        if work.blocks.iter().any(|(blocked, at)| *blocked == channel && at.is_some()) {
            return Ok(End::Delivered);
        }
        self.set_block(work, &contact, channel, Whose::Theirs)
    }

    /// Whether what is sent to that contact reaches the person: whoever shares a mailbox has a number
    /// of their own.
    fn reaches(&self, work: &Work, contact: &Contact, channel: Channel) -> Result<bool, Stop> {
        let Some(at_brevo) = contact.address(channel).filter(|_| channel == Channel::Sms) else {
            return Ok(channel == Channel::Email);
        };
        let known = self.addresses(work, channel)?;
        Ok(known.iter().any(|address| address_key(channel, address) == at_brevo))
    }

    fn set_block(
        &self,
        work: &mut Work,
        contact: &Contact,
        channel: Channel,
        whose: Whose,
    ) -> Result<End, Stop> {
        if contact.blocked(channel) {
            return Ok(End::Over(State::Deduplicated, "already-blocked"));
        }
        let mut change = Change::default();
        change.block(channel);
        if !contacts::read_update(&self.call(&contacts::update(contact.id, &change))?)? {
            return Err(vanished().into());
        }
        let now = self.world.now();
        match whose {
            Whose::Theirs => work.wrote_block(channel, now),
            // Known to be the same mailbox here, so that it can be lifted once nobody there objects.
            Whose::Others(Some(holder))
                if self.store.read(|tx| consent::known(tx, holder, channel))?.blocked() =>
            {
                work.block_of_another = Some((holder, channel, now));
            }
            Whose::Others(_) => {}
        }
        Ok(End::Delivered)
    }

    /// Lifts the block, unless an opt-out of anybody stands who has the mailbox.
    fn lift(&self, work: &mut Work, channel: Channel) -> Result<End, Stop> {
        if work.consent(channel).is_opted_out() {
            return Ok(End::Over(State::Superseded, "newer-opt-out"));
        }
        let contact = match self.present(work)? {
            Present::Theirs(contact) => contact,
            // Who has the contact is told of it by an action of their own, where it is the same mailbox.
            Present::SomebodyElses(contact) if self.taken_by(work, contact.id)?.is_some() => {
                return Ok(End::Over(State::Coalesced, "filed-under-another"));
            }
            Present::SomebodyElses(_) => return Ok(End::Stopped(State::Parked, address_shared())),
            Present::Nowhere => return Ok(End::Over(State::Coalesced, "travels-with-create")),
        };
        if !contact.blocked(channel) {
            work.no_block(channel);
            return Ok(End::Over(State::Deduplicated, "not-blocked"));
        }
        let view = work.consent(channel);
        if view.is_opted_out() {
            return Ok(End::Over(State::Superseded, "newer-opt-out"));
        }
        if view.is_suppressed() {
            return Ok(End::Stopped(State::Parked, suppressed()));
        }
        let doubtful = |at| self.store.read(|tx| doubt::covers(tx, at));
        if view.oldest_opt_in().map(doubtful).transpose()?.unwrap_or_default() {
            return Ok(End::Stopped(State::Parked, opt_in_in_doubt()));
        }
        if !may_lift(&contact, view) {
            return Ok(End::Stopped(State::Parked, block_not_ours()));
        }
        if !contacts::read_update(&self.call(&contacts::lift_block(contact.id, channel))?)? {
            return Err(vanished().into());
        }
        work.no_block(channel);
        Ok(End::Delivered)
    }

    /// The contact as it is right now, with consent as it is known right now.
    pub(super) fn present(&self, work: &mut Work) -> Result<Present, Stop> {
        let at_brevo = work.person.contact();
        let known = match at_brevo {
            Some(id) => self.get_contact(Name::Id(id))?,
            None => None,
        };
        let present = match known {
            Some(contact) => Present::Theirs(Box::new(contact)),
            None => match self.look_up(work)? {
                Found::Theirs(contact) => {
                    work.person.fields.clear();
                    self.adopt(work, &contact)?;
                    Present::Theirs(contact)
                }
                Found::SomebodyElses(contact) => Present::SomebodyElses(contact),
                Found::Nobody => Present::Nowhere,
            },
        };
        if !matches!(present, Present::Theirs(_)) && work.person.presence != Presence::Gone {
            let absence = if at_brevo.is_some() { Presence::Gone } else { Presence::NotAtBrevo };
            work.person.set_presence(absence, self.world.now());
        }
        self.refresh_consent(work)?;
        Ok(present)
    }
}

/// Whose contact a block is set at.
enum Whose {
    Theirs,
    /// Another person's of this account, where it is known whose.
    Others(Option<i64>),
}

/// Where a person's contact is.
pub(super) enum Present {
    Theirs(Box<Contact>),
    SomebodyElses(Box<Contact>),
    /// Not at Brevo: everything travels with the call that creates them.
    Nowhere,
}

/// Brevo's own date is older than the person's opt-in, or there is none and the block is this host's.
/// Which of several people unsubscribed a mailbox at Brevo nobody knows, so there no opt-in outweighs it.
fn may_lift(contact: &Contact, view: &ConsentView) -> bool {
    let block_written_at = view.block_written_at;
    let is_own =
        |at: Millis| block_written_at.is_some_and(|written| (at - written).abs() <= OWN_BLOCK_TOLERANCE);
    let by_admin = contact.admin_unsubscribed_at.filter(|at| !is_own(*at));
    match contact.user_unsubscribed_at.max(by_admin) {
        Some(_) if view.others.is_some() => false,
        Some(unsubscribed_at) => view.opted_in_at.is_some_and(|opted_in_at| unsubscribed_at < opted_in_at),
        None => block_written_at.is_some(),
    }
}

fn suppressed() -> Letter {
    Letter {
        code: "suppressed",
        actor: Actor::Operator,
        message: "The person opted in again, but the address bounced or complained; the block stays.",
        remedy: "Check the address; lift the block at Brevo by hand if it is right again.",
        about: None,
    }
}

fn opt_in_in_doubt() -> Letter {
    Letter {
        code: "opt-in-in-doubt",
        actor: Actor::Operator,
        message: "The person opted in before the store was restored; an opt-out that came later may be lost.",
        remedy: "Ask the source or the person, and lift the block at Brevo by hand if they agree.",
        about: None,
    }
}

fn block_not_ours() -> Letter {
    Letter {
        code: "block-not-ours",
        actor: Actor::Operator,
        message: "The person opted in again, but the block at Brevo was not set by this host, or is newer.",
        remedy: "Ask the person, and lift the block at Brevo by hand if they agree.",
        about: None,
    }
}
