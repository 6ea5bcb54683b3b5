//! One event as MoEngage writes it in a Streams batch: up to two records.
//!
//! Cloud storage exports hold the same inner event with the same `event_uuid`
//! (MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx), so this is the one reader
//! for all doors.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::codes;
use super::flags;
use super::identity::{self, Phone, Unusable};
use super::notes::{Notes, Notice};
use super::streams::is_moengage;
use super::time;
use crate::json::{self, Fault, Object, Scalar, to_json};
use crate::model::contact::ContactBody;
use crate::model::event::EventBody;
use crate::model::ids::{contact_key, record_id};
use crate::model::{
    Alias, CONTACT, EVENT, Nature, Observation, Occurrence, Person, Provenance, Record, Subject,
};
use crate::settings::Settings;

/// Largest body of a record, in bytes (contract, default limits).
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// The rank of attributes that ride on an event. They may be stale
/// (MD:api/data/moengage-streams.mdx), so a read of the profile itself ranks higher.
const STREAMS_RANK: u8 = 10;

/// Name of the alias that holds MoEngage's own id.
const MOENGAGE_USER_ID: &str = "moengage-user-id";

/// Why an event became no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: &'static str,
    pub remedy: &'static str,
}

const ASK_MOENGAGE: &str = "Ask MoEngage support about the stream; the event is kept and can be run again.";

const fn refusal(code: &'static str, message: &'static str, remedy: &'static str) -> Refusal {
    Refusal { code, message, remedy }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        refusal(fault.code(), fault.message(), ASK_MOENGAGE)
    }
}

impl From<Unusable> for Refusal {
    fn from(why: Unusable) -> Self {
        let message = match why {
            Unusable::Unreadable => "An id holds bytes that are not UTF-8, so it names nobody for sure.",
            Unusable::Float => "An id is a float that no longer tells which number was meant.",
            Unusable::WrongType => "An id is neither a text nor a number.",
            Unusable::TooLong => "An id is longer than 512 bytes.",
        };
        refusal(why.code(), message, "Send the id as a text from your systems to MoEngage.")
    }
}

/// Reads one event: the contact that it tells of, if any, then the event itself.
pub fn read(
    settings: &Settings,
    text: &str,
    provenance: Provenance,
    notes: &mut Notes,
) -> Result<Vec<Record>, Refusal> {
    json::check(text)?;
    let Some(event) = Object::parse(text) else {
        return Err(refusal("event-not-object", "The event is not a JSON object.", ASK_MOENGAGE));
    };
    let uuid = match identity::id(event.get("event_uuid")) {
        Ok(Some(uuid)) => uuid,
        Ok(None) => {
            return Err(refusal(
                "missing-event-uuid",
                "The event has no event_uuid, so a repetition could not be recognised.",
                ASK_MOENGAGE,
            ));
        }
        Err(why) => return Err(why.into()),
    };
    let code = match event.get("event_code") {
        Some(Scalar::Text(code)) if !code.trim().is_empty() => code,
        _ => {
            return Err(refusal(
                "missing-event-code",
                "The event has no event_code, so nobody knows what happened.",
                ASK_MOENGAGE,
            ));
        }
    };
    let event_attributes = attributes(event.raw("event_attributes"))?;
    let user_attributes = attributes(event.raw("user_attributes"))?;
    let names = names(settings, &event, &user_attributes, notes)?;

    let source = event.get("event_source").and_then(Scalar::text);
    if source.as_deref().is_some_and(|source| !is_moengage(source)) {
        notes.add(Notice::OtherSource);
    }
    let occurred = Occurrence::stamped(time::event_time(event.get("event_time")));
    if occurred.at.is_none() {
        notes.add(Notice::UnreadableTime);
    }
    // MD:user-guide/data/key-concepts/portfolio-data-ingestion-and-management.mdx
    let project = text_of(event_attributes.get("moe_project_name"));

    let subject = names.person();
    let mut records = Vec::with_capacity(2);
    if !subject.is_anonymous() {
        records.push(contact(
            settings,
            &uuid,
            &names,
            &user_attributes,
            project.clone(),
            occurred,
            provenance,
            notes,
        )?);
    }
    let body = EventBody {
        event_uuid: Cow::Borrowed(&uuid),
        channel: codes::published(&code).map(|known| known.channel.to_owned()),
        code,
        name: text_of(event.get("event_name")),
        event_type: text_of(event.get("event_type")),
        source: source.map(Cow::into_owned),
        occurred_at: occurred.at,
        recipient: names.recipient,
        project,
        attributes: event_attributes,
    };
    records.push(Record {
        id: record_id(&settings.workspace(), EVENT, &uuid).ok_or(Unusable::TooLong)?,
        kind: EVENT.to_owned(),
        nature: Nature::Event,
        subject: Subject::Person(subject),
        observation: Observation { id: uuid.to_string(), rank: STREAMS_RANK },
        occurred,
        body: bounded(to_json(&body))?,
        provenance,
    });
    Ok(records)
}

#[allow(clippy::too_many_arguments)] // one call; a struct for it would only rename its arguments
fn contact(
    settings: &Settings,
    uuid: &str,
    names: &Names,
    user_attributes: &Object<'_>,
    project: Option<String>,
    occurred: Occurrence,
    provenance: Provenance,
    notes: &mut Notes,
) -> Result<Record, Refusal> {
    let (consent, suppression) = flags::read(user_attributes, notes);
    let body = ContactBody {
        uid: names.uid.clone(),
        moengage_user_id: names.moengage_user_id.clone(),
        email: names.email.clone(),
        phone: names.phone.clone(),
        project,
        attributes: user_attributes.clone(),
        consent,
        suppression,
    };
    let key = contact_key(names.uid.as_deref(), names.moengage_user_id.as_deref(), uuid);
    Ok(Record {
        id: record_id(&settings.workspace(), CONTACT, &key).ok_or(Unusable::TooLong)?,
        kind: CONTACT.to_owned(),
        nature: Nature::State,
        subject: Subject::Person(names.person()),
        observation: Observation { id: uuid.to_owned(), rank: STREAMS_RANK },
        occurred,
        body: bounded(to_json(&body))?,
        provenance,
    })
}

/// Everything by which an event names a person.
struct Names {
    uid: Option<String>,
    moengage_user_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    /// The address that an e-mail event is about.
    recipient: Option<String>,
}

impl Names {
    fn person(&self) -> Person {
        let alias = |value: &String| Alias { kind: MOENGAGE_USER_ID.to_owned(), value: value.clone() };
        Person {
            external_id: self.uid.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            aliases: self.moengage_user_id.iter().map(alias).collect(),
        }
    }
}

fn names(
    settings: &Settings,
    event: &Object<'_>,
    user_attributes: &Object<'_>,
    notes: &mut Notes,
) -> Result<Names, Refusal> {
    let options = &settings.options;
    let uid = identity::id(event.get("uid"))?.map(Cow::into_owned);
    let uid = uid.filter(|uid| {
        let mark = options.anonymous_uid.as_deref();
        if identity::is_refused_customer_id(uid) {
            notes.add(Notice::RefusedUid);
            false
        } else if mark.is_some_and(|mark| uid.to_lowercase().contains(&mark.to_lowercase())) {
            notes.add(Notice::AnonymousUid);
            false
        } else {
            true
        }
    });
    let moengage_user_id = match identity::id(user_attributes.get("moengage_user_id")) {
        Ok(id) => id.map(Cow::into_owned),
        Err(_) => {
            notes.add(Notice::AliasDropped);
            None
        }
    };

    // The attribute is the person's present address; `email_id` the one that a mail went to.
    let recipient = email(event.get("email_id"), notes)?;
    let email = email(user_attributes.get(&options.email_attribute), notes)?.or_else(|| recipient.clone());
    // `mobile_number` is there for events of SMS (MD:api/data/moengage-streams.mdx).
    let phone = match &settings.phone_attribute {
        Some(attribute) => match phone(user_attributes.get(attribute), settings, notes)? {
            None => phone(event.get("mobile_number"), settings, notes)?,
            known => known,
        },
        None => None,
    };
    Ok(Names { uid, moengage_user_id, email, phone, recipient })
}

fn email(value: Option<Scalar<'_>>, notes: &mut Notes) -> Result<Option<String>, Unusable> {
    let text = match value {
        None | Some(Scalar::Null) => return Ok(None),
        Some(Scalar::Text(text)) if text.trim().is_empty() => return Ok(None),
        Some(Scalar::Text(text)) => text,
        Some(_) => {
            notes.add(Notice::UnusableEmail);
            return Ok(None);
        }
    };
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Unusable::Unreadable);
    }
    let text = text.trim();
    if !identity::is_email(text) {
        notes.add(Notice::UnusableEmail);
        return Ok(None);
    }
    Ok(Some(text.to_owned()))
}

fn phone(
    value: Option<Scalar<'_>>,
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Option<String>, Unusable> {
    let text = match identity::id(value) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(Unusable::Unreadable) => return Err(Unusable::Unreadable),
        Err(_) => {
            notes.add(Notice::UnusablePhone);
            return Ok(None);
        }
    };
    match identity::phone(&text, settings.options.bare_phones_are_international) {
        Phone::Known(phone) => return Ok(Some(phone)),
        Phone::WithoutCountry => notes.add(Notice::PhoneWithoutCountry),
        Phone::Unusable => notes.add(Notice::UnusablePhone),
    }
    Ok(None)
}

/// The attributes, empty where there are none.
fn attributes(raw: Option<&RawValue>) -> Result<Object<'_>, Refusal> {
    let Some(raw) = raw else { return Ok(Object::default()) };
    if Scalar::of(raw) == Scalar::Null {
        return Ok(Object::default());
    }
    Object::parse(raw.get()).ok_or(refusal(
        "attributes-not-object",
        "The attributes of the event or of its user are not an object.",
        ASK_MOENGAGE,
    ))
}

fn text_of(value: Option<Scalar<'_>>) -> Option<String> {
    value.and_then(Scalar::text).filter(|text| !text.is_empty()).map(Cow::into_owned)
}

fn bounded(body: String) -> Result<String, Refusal> {
    if body.len() > MAX_BODY_BYTES {
        return Err(refusal(
            "event-too-large",
            "The event or its user has more than 256 KiB of attributes.",
            "Export fewer attributes: the list is part of the stream's set-up with MoEngage.",
        ));
    }
    Ok(body)
}
