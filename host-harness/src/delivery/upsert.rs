//! Contact upserts: created with what is known of consent, updated by what is newer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Delivery;
use super::address::Moved;
use super::contact::{Found, parked_gone};
use super::outcome::{End, Letter, address_shared};
use super::person::{EXT_ID, Presence, before_everything, digest};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::contacts::{self, Change, Name, NewContact, address_attribute, address_key};
use crate::brevo::errors::{Identifier, Kind};
use crate::config::UnknownConsent;
use crate::people::fields::Standing;
use crate::registry::{Channel, UpsertContact};
use crate::store::dead_letters::Actor;
use crate::store::outbox::{State, held};

/// Attributes that are addresses or ids; they come from the action's subject.
const RESERVED: [&str; 5] = ["EMAIL", "SMS", "EXT_ID", "WHATSAPP", "LANDLINE_NUMBER"];

/// Which of an action's values are news.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub send: BTreeMap<String, Value>,
    /// Name and digest of what stands at Brevo afterwards.
    pub stands: Vec<(String, String)>,
    pub older: usize,
}

impl Delivery {
    pub(super) fn upsert(&self, work: &mut Work, upsert: &UpsertContact) -> Result<End, Stop> {
        let attributes = usable_attributes(self, upsert);
        if work.subject.phone.is_none()
            && let Some(Value::String(phone)) = upsert.attributes.get("SMS")
        {
            work.subject.phone = Some(phone.clone());
            work.names.phone = Some(phone.clone());
        }
        match work.person.presence {
            Presence::Gone => Ok(parked_gone()),
            Presence::AtBrevo => self.update(work, &attributes),
            Presence::NeverLookedUp | Presence::NotAtBrevo => self.create_or_adopt(work, &attributes),
        }
    }

    fn create_or_adopt(&self, work: &mut Work, attributes: &BTreeMap<String, Value>) -> Result<End, Stop> {
        let names = &work.names;
        if names.ext_id.is_none() && names.email.is_none() && names.phone.is_none() {
            return Ok(End::Held(held::CONTACT_UNKNOWN));
        }
        if !self.may_create(work) {
            return match self.look_up(work)? {
                Found::Theirs(contact) => {
                    self.adopt(work, &contact)?;
                    self.update(work, attributes)
                }
                Found::SomebodyElses(_) => Ok(End::Stopped(State::Parked, address_shared())),
                Found::Nobody => {
                    work.person.set_presence(Presence::NotAtBrevo, self.world.now());
                    Ok(End::Held(held::CONSENT_UNKNOWN))
                }
            };
        }
        self.create(work, attributes)
    }

    /// Whether enough is known about consent to create the person (design rule 8). The channel of
    /// the address decides; without an address, either.
    pub(super) fn may_create(&self, work: &Work) -> bool {
        let known = match (&work.names.email, &work.names.phone) {
            (Some(_), _) => work.email.is_known(),
            (None, Some(_)) => work.sms.is_known(),
            (None, None) => work.email.is_known() || work.sms.is_known(),
        };
        known || self.options.unknown_consent == UnknownConsent::Create
    }

    fn create(&self, work: &mut Work, attributes: &BTreeMap<String, Value>) -> Result<End, Stop> {
        // Each turn leaves out one refused address, so there are at most three.
        loop {
            self.refresh_consent(work)?;
            let new = self.new_contact(work, attributes);
            if new.email.is_none() && new.ext_id.is_none() && !new.attributes.contains_key("SMS") {
                return Ok(End::Stopped(State::Parked, address_shared()));
            }
            let answer = self.call(&contacts::create(&new))?;
            let problem = match contacts::read_create(&answer) {
                Ok(id) => return Ok(self.created(work, &new, attributes, id)),
                Err(problem) => problem,
            };
            let has_phone = new.attributes.contains_key("SMS");
            match &problem.kind {
                Kind::InvalidPhone if has_phone => self.drop_phone(work, phone_refused()),
                Kind::Duplicate(identifiers) => match self.look_up(work)? {
                    Found::Theirs(contact) => {
                        self.adopt(work, &contact)?;
                        return self.update(work, attributes);
                    }
                    Found::SomebodyElses(_) => return Ok(End::Stopped(State::Parked, address_shared())),
                    // The rest of the contact is nobody's; only the phone is somebody else's.
                    Found::Nobody if has_phone && self.is_about_phone(work, identifiers)? => {
                        self.drop_phone(work, address_shared());
                    }
                    Found::Nobody => return Err(problem.into()),
                },
                _ => return Err(problem.into()),
            }
        }
    }

    fn is_about_phone(&self, work: &Work, identifiers: &[Identifier]) -> Result<bool, Stop> {
        if identifiers.contains(&Identifier::Sms) {
            return Ok(true);
        }
        let Some(phone) = &work.names.phone else { return Ok(false) };
        Ok(self.get_contact(Name::Phone(phone))?.is_some())
    }

    fn new_contact(&self, work: &mut Work, attributes: &BTreeMap<String, Value>) -> NewContact {
        let mut new = NewContact {
            ext_id: work.names.ext_id.clone(),
            attributes: attributes
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
            email_blacklisted: work.email.blocked(),
            sms_blacklisted: work.sms.blocked(),
            ..NewContact::default()
        };
        let refused = |work: &Work, channel: Channel, address: &String| {
            work.person.has_refused(address_attribute(channel), &digest(&address_key(channel, address)))
        };
        new.email = work.names.email.clone().filter(|email| !refused(work, Channel::Email, email));
        if let Some(phone) = work.names.phone.clone().filter(|phone| !refused(work, Channel::Sms, phone)) {
            if work.sms.is_known() || self.options.unknown_consent == UnknownConsent::Create {
                new.attributes.insert(address_attribute(Channel::Sms).into(), Value::String(phone));
            } else {
                work.phone_withheld = true;
            }
        }
        new
    }

    fn created(
        &self,
        work: &mut Work,
        new: &NewContact,
        attributes: &BTreeMap<String, Value>,
        id: i64,
    ) -> End {
        let now = self.world.now();
        let standing = work.standing();
        for (name, value) in attributes {
            work.person.set_field(name, standing.clone(), &digest(&value.to_string()));
        }
        let phone = new.attributes.get("SMS").and_then(Value::as_str);
        let addresses = [
            (Channel::Email, new.email.as_deref(), work.subject.email.is_some()),
            (Channel::Sms, phone, work.subject.phone.is_some()),
        ];
        for (channel, address, named) in addresses {
            if let Some(address) = address {
                let standing = if named { standing.clone() } else { before_everything() };
                let value = digest(&address_key(channel, address));
                work.person.set_field(address_attribute(channel), standing, &value);
            }
        }
        for (channel, blocked) in
            [(Channel::Email, new.email_blacklisted), (Channel::Sms, new.sms_blacklisted)]
        {
            if blocked {
                work.wrote_block(channel, now);
            }
        }
        if let Some(ext_id) = &new.ext_id {
            work.person.set_field(EXT_ID, before_everything(), &digest(ext_id));
        }
        work.person.brevo_id = Some(id);
        work.person.set_presence(Presence::AtBrevo, now);
        work.release = true;
        tracing::info!(contact = id, blocked = new.email_blacklisted, "contact created");
        delivered(work)
    }

    fn update(&self, work: &mut Work, attributes: &BTreeMap<String, Value>) -> Result<End, Stop> {
        let Some(id) = work.person.contact() else { return Ok(parked_gone()) };
        let mut sent = match self.name(work, id)? {
            Moved::No => false,
            Moved::Yes => true,
            Moved::Ended(end) => return Ok(end),
        };
        let planned = plan(work, attributes);
        if !planned.send.is_empty() {
            let change = Change { attributes: planned.send.clone(), ..Change::default() };
            if !contacts::read_update(&self.call(&contacts::update(id, &change))?)? {
                return self.gone(work);
            }
            sent = true;
        }
        let standing = work.standing();
        for (name, value) in &planned.stands {
            work.person.set_field(name, standing.clone(), value);
        }
        self.verify_cleared(work, id, &planned.send)?;
        let mut addresses =
            [(Channel::Email, work.subject.email.clone()), (Channel::Sms, work.subject.phone.clone())];
        if work.intent.address.as_ref().is_some_and(|under_way| under_way.channel == Channel::Sms) {
            addresses.reverse(); // what was begun is finished first
        }
        for (channel, address) in addresses {
            let Some(address) = address else { continue };
            match self.change_address(work, id, channel, &address)? {
                Moved::No => {}
                Moved::Yes => sent = true,
                Moved::Ended(end) => return Ok(end),
            }
        }
        Ok(match (sent || work.phone_withheld, planned.older > 0) {
            (true, _) => delivered(work),
            (false, true) => End::Over(State::Superseded, "newer-values-delivered"),
            (false, false) => End::Over(State::Deduplicated, "no-change"),
        })
    }

    /// Gives the contact the customer's id, where that came to be known after the contact. An id that it
    /// has already is never replaced.
    fn name(&self, work: &mut Work, id: i64) -> Result<Moved, Stop> {
        let Some(ext_id) = work.names.ext_id.clone() else { return Ok(Moved::No) };
        if work.person.fields.contains_key(EXT_ID) {
            return Ok(Moved::No);
        }
        let Some(contact) = self.get_contact(Name::Id(id))? else { return self.gone(work).map(Moved::Ended) };
        let mut moved = Moved::No;
        if contact.ext_id.is_none() {
            let change = Change { ext_id: Some(ext_id.clone()), ..Change::default() };
            match contacts::read_update(&self.call(&contacts::update(id, &change))?) {
                Ok(true) => moved = Moved::Yes,
                Ok(false) => return self.gone(work).map(Moved::Ended),
                Err(problem) if matches!(problem.kind, Kind::Duplicate(_)) => {
                    return Ok(Moved::Ended(End::Stopped(State::Parked, address_shared())));
                }
                Err(problem) => return Err(problem.into()),
            }
        }
        let value = digest(contact.ext_id.as_ref().unwrap_or(&ext_id));
        work.person.set_field(EXT_ID, before_everything(), &value);
        Ok(moved)
    }

    /// How an attribute is cleared is not documented; an empty text is sent and looked at.
    fn verify_cleared(&self, work: &mut Work, id: i64, sent: &BTreeMap<String, Value>) -> Result<(), Stop> {
        let cleared: Vec<&String> = sent.iter().filter(|(_, v)| **v == CLEARED).map(|(n, _)| n).collect();
        if cleared.is_empty() {
            return Ok(());
        }
        let Some(contact) = self.get_contact(Name::Id(id))? else { return Ok(()) };
        for name in cleared {
            let gone = contact.attributes.get(name).is_none_or(|value| value.is_null() || *value == CLEARED);
            if !gone {
                work.letters.push(Letter {
                    code: "attribute-not-cleared",
                    actor: Actor::Operator,
                    message: "Brevo kept the value of an attribute that was cleared at the source.",
                    remedy: "Clear it at Brevo by hand.",
                    about: None,
                });
            }
        }
        Ok(())
    }

    fn drop_phone(&self, work: &mut Work, letter: Letter) {
        if let Some(phone) = &work.names.phone {
            let value = digest(&address_key(Channel::Sms, phone));
            work.person.refuse(address_attribute(Channel::Sms), &value);
        }
        work.letters.push(letter);
    }
}

const CLEARED: Value = Value::String(String::new());

pub(super) fn phone_refused() -> Letter {
    Letter::of(Kind::InvalidPhone.rule())
}

pub(super) fn delivered(work: &Work) -> End {
    if work.phone_withheld { End::Held(held::PHONE_CONSENT_UNKNOWN) } else { End::Delivered }
}

/// The values that may be sent, under their names at Brevo.
pub(super) fn usable_attributes(delivery: &Delivery, upsert: &UpsertContact) -> BTreeMap<String, Value> {
    upsert
        .attributes
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((delivery.usable(name)?, value.clone())))
        .collect()
}

/// Per field the later observation wins; what stands there already is not sent again.
pub(super) fn plan(work: &Work, attributes: &BTreeMap<String, Value>) -> Planned {
    let standing: Standing = work.standing();
    let mut planned = Planned::default();
    for (name, value) in attributes {
        let value_digest = digest(&value.to_string());
        match work.person.fields.get(name) {
            Some(known) if standing < known.standing => planned.older += 1,
            Some(known) if known.value == value_digest => planned.stands.push((name.clone(), value_digest)),
            _ => {
                let value = if value.is_null() { CLEARED } else { value.clone() };
                planned.send.insert(name.clone(), value);
                planned.stands.push((name.clone(), value_digest));
            }
        }
    }
    planned
}
