//! One event as MoEngage writes it in a Streams batch: up to two records.
//!
//! Cloud storage exports hold the same inner event with the same `event_uuid`
//! (MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx), so this is the one reader
//! for all doors.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::contact::{self, Addresses, Names, Sighting};
use super::identity::{self, Unusable};
use super::machine;
use super::notes::{Notes, Notice};
pub use super::refusal::Refusal;
use super::refusal::{ASK_MOENGAGE, refusal};
use super::streams::is_moengage;
use super::{codes, time};
use crate::json::{self, Object, Scalar, to_json};
use crate::model::event::EventBody;
use crate::model::ids::record_id;
use crate::model::{EVENT, MAX_BODY_BYTES, Nature, Observation, Occurrence, Provenance, Record, Subject};
use crate::settings::Settings;

/// The rank of attributes that ride on an event. They may be stale
/// (MD:api/data/moengage-streams.mdx), so a read of the profile itself ranks higher.
const STREAMS_RANK: u8 = 10;

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
    // The attribute is the person's present address; `email_id` the one that a mail went to, and
    // `mobile_number` is there for events of SMS (MD:api/data/moengage-streams.mdx).
    let recipient = contact::email(event.get("email_id"), notes)?;
    let addresses = Addresses { email: recipient.clone(), phone: event.get("mobile_number") };
    let names = Names::read(settings, event.get("uid"), &user_attributes, addresses, notes)?;

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

    let mut subject = names.person();
    // The merged profile ends with this event, and no documented attribute says which profile it
    // went into. So it teaches nothing about anybody: not what the profile was like, and not that
    // its MoEngage id goes with a customer id, which may be either's. Whatever was said before
    // under that id stays with whom it was said of, until the retained profile's own events tell.
    let ends = code == codes::USER_MERGE_EVENT;
    if ends && !subject.is_anonymous() {
        subject.aliases.clear();
    }
    let mut records = Vec::with_capacity(2);
    if !subject.is_anonymous() && !ends {
        let sighting = Sighting {
            observation: Observation { id: uuid.to_string(), rank: STREAMS_RANK },
            occurred,
            provenance,
            project: project.clone(),
            otherwise: &uuid,
        };
        records.push(contact::record(settings, &names, &user_attributes, sighting, notes)?);
    }
    let (machine, machine_reason) = machine::read(&event_attributes, notes);
    let body = EventBody {
        event_uuid: Cow::Borrowed(&uuid),
        channel: codes::published(&code).map(|known| known.channel.to_owned()),
        code,
        name: text_of(event.get("event_name")),
        event_type: text_of(event.get("event_type")),
        source: source.map(Cow::into_owned),
        occurred_at: occurred.at,
        recipient,
        project,
        machine,
        machine_reason,
        attributes: event_attributes,
        contact: asked_for(settings, &user_attributes),
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

/// Of the user's attributes those that a rule asks for: a rule sees nothing but the event.
fn asked_for<'a>(settings: &Settings, user_attributes: &Object<'a>) -> Option<Object<'a>> {
    let mut found = None;
    for name in &settings.rule_attributes {
        if let Some(raw) = user_attributes.raw(name) {
            found.get_or_insert_with(Object::default).push(Cow::Owned(name.clone()), raw);
        }
    }
    found
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
    if body.len() > MAX_BODY_BYTES { Err(contact::too_large()) } else { Ok(body) }
}
