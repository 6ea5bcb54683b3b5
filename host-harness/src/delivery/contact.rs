//! Finding the contact that is a person's, and taking it over without merging on a guess.

use rusqlite::{OptionalExtension as _, params};

use super::Delivery;
use super::outcome::{End, address_shared};
use super::person::{EXT_ID, Presence, before_everything, digest};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::contacts::{self, Change, Contact, Name, address_attribute};
use crate::brevo::errors::Kind;
use crate::people::consent;
use crate::registry::Channel;
use crate::store::StoreError;
use crate::store::outbox::{CONTACT_GONE, State};

/// What looking for a person came to.
pub(super) enum Found {
    Theirs(Box<Contact>),
    /// The address is there, with somebody else's id.
    SomebodyElses(Box<Contact>),
    Nobody,
}

const CHANNELS: [Channel; 2] = [Channel::Email, Channel::Sms];

impl Delivery {
    /// Looks by the customer's id, then by e-mail, and by phone where nothing else is known.
    pub(super) fn look_up(&self, work: &Work) -> Result<Found, Stop> {
        let names = &work.names;
        if let Some(ext_id) = &names.ext_id
            && let Some(contact) = self.get_contact(Name::ExtId(ext_id))?
        {
            return self.theirs(work, contact);
        }
        let address = match (&names.email, &names.phone, &names.ext_id) {
            (Some(email), _, _) => Some(Name::Email(email)),
            (None, Some(phone), None) => Some(Name::Phone(phone)),
            _ => None,
        };
        match address.map(|name| self.get_contact(name)).transpose()?.flatten() {
            Some(contact) => self.theirs(work, contact),
            None => Ok(Found::Nobody),
        }
    }

    pub(super) fn theirs(&self, work: &Work, contact: Contact) -> Result<Found, Stop> {
        let other_id = match (&contact.ext_id, &work.names.ext_id) {
            (Some(at_brevo), Some(ours)) => at_brevo != ours,
            _ => false,
        };
        if other_id || self.taken_by(work, contact.id)?.is_some() {
            return Ok(Found::SomebodyElses(Box::new(contact)));
        }
        Ok(Found::Theirs(Box::new(contact)))
    }

    /// The other person of this account who is delivered to that contact.
    pub(super) fn taken_by(&self, work: &Work, contact: i64) -> Result<Option<i64>, StoreError> {
        self.store.read(|tx| {
            Ok(tx
                .prepare_cached(
                    "SELECT id FROM person WHERE destination = ?1 AND brevo_id = ?2
                        AND brevo_id IS NOT NULL AND id <> ?3 AND presence = 1",
                )?
                .query_row(params![self.options.destination.0, contact, work.person.id], |row| row.get(0))
                .optional()?)
        })
    }

    pub(super) fn get_contact(&self, name: Name<'_>) -> Result<Option<Contact>, Stop> {
        Ok(contacts::read_get(&self.call(&contacts::get(name))?)?)
    }

    /// Reads consent again: it may have become known during earlier calls.
    pub(super) fn refresh_consent(&self, work: &mut Work) -> Result<(), StoreError> {
        let id = work.person.id;
        (work.email, work.sms) = self.store.read(|tx| consent::of_both_channels(tx, id))?;
        for (channel, at) in work.blocks.clone() {
            match channel {
                Channel::Email => work.email.block_written_at = at,
                Channel::Sms => work.sms.block_written_at = at,
            }
        }
        Ok(())
    }

    /// Makes a contact that is at Brevo already the person's: its id is remembered, the customer's
    /// id is set where it has none, and every block that is known goes with it. From here on the
    /// person counts as present, so this comes before anything else is done for them.
    pub(super) fn adopt(&self, work: &mut Work, contact: &Contact) -> Result<(), Stop> {
        self.refresh_consent(work)?;
        let mut change = Change::default();
        if contact.ext_id.is_none() {
            change.ext_id.clone_from(&work.names.ext_id);
        }
        let new_blocks: Vec<Channel> =
            CHANNELS.into_iter().filter(|c| work.consent(*c).blocked() && !contact.blocked(*c)).collect();
        for channel in &new_blocks {
            change.block(*channel);
        }
        if !change.is_empty() {
            match contacts::read_update(&self.call(&contacts::update(contact.id, &change))?) {
                Ok(true) => {}
                // Gone between two calls: look again later.
                Ok(false) => return Err(vanished().into()),
                Err(problem) => {
                    return Err(match problem.kind {
                        Kind::Duplicate(_) => End::Stopped(State::Parked, address_shared()).into(),
                        _ => problem.into(),
                    });
                }
            }
        }
        let now = self.world.now();
        if let Some(ext_id) = contact.ext_id.as_ref().or(change.ext_id.as_ref()) {
            work.person.set_field(EXT_ID, before_everything(), &digest(ext_id));
        }
        for channel in CHANNELS {
            if new_blocks.contains(&channel) {
                work.wrote_block(channel, now);
            }
            if let Some(address) = contact.address(channel) {
                let name = address_attribute(channel);
                work.person.set_field(name, before_everything(), &digest(address));
            }
        }
        work.person.brevo_id = Some(contact.id);
        work.person.set_presence(Presence::AtBrevo, now);
        work.release = true;
        Ok(())
    }

    /// A contact that we delivered is not there under its id. Where Brevo merged it into another
    /// that is the person's, that one is taken; otherwise it is gone, and an operator decides.
    pub(super) fn gone(&self, work: &mut Work) -> Result<End, Stop> {
        match self.look_up(work)? {
            Found::Theirs(contact) if Some(contact.id) != work.person.brevo_id => {
                work.person.fields.clear();
                self.adopt(work, &contact)?;
                Ok(self.retry(
                    &work.action,
                    super::outcome::Letter::of(Kind::NotFound.rule()),
                    self.world.now(),
                ))
            }
            _ => {
                work.person.set_presence(Presence::Gone, self.world.now());
                Ok(parked_gone())
            }
        }
    }
}

pub(super) fn parked_gone() -> End {
    End::Stopped(
        State::Parked,
        super::outcome::Letter {
            code: CONTACT_GONE,
            actor: crate::store::dead_letters::Actor::Operator,
            message: "The contact was delivered once and is no longer at Brevo; it is not created again by itself.",
            remedy: "If it was deleted by mistake, requeue: that creates it again. Otherwise erase the person.",
            about: None,
        },
    )
}

/// Gone between two calls: looked for again later.
pub(super) fn vanished() -> crate::brevo::errors::Problem {
    crate::brevo::errors::Problem { status: 404, kind: Kind::TooEarly }
}
