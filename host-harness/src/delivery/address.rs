//! Changes of address: one at a time, and never at the cost of a block.
//!
//! Brevo lifts the block of a contact whose e-mail changes and so re-subscribes it
//! (brevo-python, `update_contact`). So the blocks are read and written down first, set again in
//! the change itself and once more after it, and proven by reading back. For the phone the same
//! is done, because nothing says that it differs.

use serde_json::Value;

use super::Delivery;
use super::outcome::{End, Letter, address_shared};
use super::person::digest;
use super::upsert::phone_refused;
use super::wire::Stop;
use super::work::{AddressIntent, Work};
use crate::brevo::contacts::{self, Change, Contact, Name, address_attribute, address_key};
use crate::brevo::errors::Kind;
use crate::config::UnknownConsent;
use crate::registry::Channel;
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox::{State, held};

/// What became of an address.
pub(super) enum Moved {
    /// It stands there already, is older, was refused before, or is withheld.
    No,
    Yes,
    /// The action ends with it.
    Ended(End),
}

impl Delivery {
    /// Brings an address to Brevo if it is news.
    pub(super) fn change_address(
        &self,
        work: &mut Work,
        id: i64,
        channel: Channel,
        address: &str,
    ) -> Result<Moved, Stop> {
        let name = address_attribute(channel);
        let key = address_key(channel, address);
        let value = digest(&key);
        let standing = work.standing();
        let resumed = work.intent.address.as_ref().is_some_and(|i| i.channel == channel && i.value == value);
        if !resumed {
            if work.person.has_refused(name, &value) {
                return Ok(Moved::No);
            }
            match work.person.fields.get(name) {
                Some(known) if standing < known.standing => return Ok(Moved::No),
                Some(known) if known.value == value => {
                    work.person.set_field(name, standing, &value);
                    return Ok(Moved::No);
                }
                _ => {}
            }
        }
        let Some(contact) = self.get_contact(Name::Id(id))? else { return self.gone(work).map(Moved::Ended) };
        if contact.address(channel) == Some(key.as_str()) && !resumed {
            work.person.set_field(name, standing, &value);
            return Ok(Moved::No);
        }
        self.refresh_consent(work)?;
        if contact.address(channel).is_none() && !self.may_add(work, channel) {
            if channel == Channel::Email {
                return Ok(Moved::Ended(End::Held(held::CONSENT_UNKNOWN)));
            }
            work.phone_withheld = true;
            return Ok(Moved::No);
        }
        let intent = self.note_blocks(work, channel, &value, &contact)?;
        if contact.address(channel) != Some(key.as_str())
            && let Some(end) = self.put_address(work, id, channel, address, &value, &intent)?
        {
            return Ok(Moved::Ended(end));
        }
        if work.person.has_refused(name, &value) {
            return Ok(Moved::No);
        }
        if !self.prove(id, channel, &key, &intent)? {
            return Ok(Moved::Ended(self.retry(&work.action, address_unproven(), self.world.now())));
        }
        let now = self.world.now();
        for (channel, was_blocked, is_blocked) in [
            (Channel::Email, contact.email_blocked, intent.email_blocked),
            (Channel::Sms, contact.sms_blocked, intent.sms_blocked),
        ] {
            // After a crash nobody knows any more who blocked: then it is not ours.
            if is_blocked && !was_blocked && !resumed {
                work.wrote_block(channel, now);
            }
        }
        work.person.set_field(name, standing, &value);
        work.intent.address = None;
        Ok(Moved::Yes)
    }

    /// A first address makes a contact reachable, so its consent must be known.
    fn may_add(&self, work: &Work, channel: Channel) -> bool {
        work.consent(channel).is_known() || self.options.unknown_consent == UnknownConsent::Create
    }

    /// Writes down which blocks the change must not lose, before it is made.
    fn note_blocks(
        &self,
        work: &mut Work,
        channel: Channel,
        value: &str,
        contact: &Contact,
    ) -> Result<AddressIntent, StoreError> {
        let noted = work.intent.address.take().filter(|i| i.channel == channel && i.value == value);
        let was = |blocked: fn(&AddressIntent) -> bool| noted.as_ref().is_some_and(blocked);
        let intent = AddressIntent {
            channel,
            value: value.to_owned(),
            email_blocked: contact.email_blocked || work.email.blocked() || was(|i| i.email_blocked),
            sms_blocked: contact.sms_blocked || work.sms.blocked() || was(|i| i.sms_blocked),
        };
        let same = noted.as_ref() == Some(&intent);
        work.intent.address = Some(intent.clone());
        if !same {
            let text = work.intent.text()?;
            self.store.write::<_, StoreError>(|tx| {
                tx.prepare_cached("UPDATE action SET intent = ?2 WHERE id = ?1 AND state = 1")?
                    .execute(rusqlite::params![work.action.id, text])?;
                Ok(())
            })?;
        }
        Ok(intent)
    }

    fn put_address(
        &self,
        work: &mut Work,
        id: i64,
        channel: Channel,
        address: &str,
        value: &str,
        intent: &AddressIntent,
    ) -> Result<Option<End>, Stop> {
        let name = address_attribute(channel);
        let mut change = blocks_of(intent);
        change.attributes.insert(name.into(), Value::String(address.to_owned()));
        let problem = match contacts::read_update(&self.call(&contacts::update(id, &change))?) {
            Ok(true) => return Ok(None),
            Ok(false) => return self.gone(work).map(Some),
            Err(problem) => problem,
        };
        let letter = match problem.kind {
            Kind::Duplicate(_) => address_shared(),
            Kind::InvalidPhone if channel == Channel::Sms => phone_refused(),
            _ => return Err(problem.into()),
        };
        work.person.refuse(name, value);
        work.intent.address = None;
        if channel == Channel::Email {
            return Ok(Some(End::Stopped(State::Parked, letter)));
        }
        work.letters.push(letter);
        Ok(None)
    }

    /// Sets the blocks again after the change, and reads back that they and the address stand.
    fn prove(&self, id: i64, channel: Channel, key: &str, intent: &AddressIntent) -> Result<bool, Stop> {
        let blocks = blocks_of(intent);
        if !blocks.is_empty() && !contacts::read_update(&self.call(&contacts::update(id, &blocks))?)? {
            return Ok(false);
        }
        let Some(contact) = self.get_contact(Name::Id(id))? else { return Ok(false) };
        Ok(contact.address(channel) == Some(key)
            && (contact.email_blocked || !intent.email_blocked)
            && (contact.sms_blocked || !intent.sms_blocked))
    }
}

fn blocks_of(intent: &AddressIntent) -> Change {
    Change {
        email_blacklisted: intent.email_blocked,
        sms_blacklisted: intent.sms_blocked,
        ..Change::default()
    }
}

fn address_unproven() -> Letter {
    Letter {
        code: "address-unproven",
        actor: Actor::Operator,
        message: "After a change of address, reading back did not show the address and its blocks.",
        remedy: "Look at the contact at Brevo, set the block by hand where it is missing, then requeue.",
        about: None,
    }
}
