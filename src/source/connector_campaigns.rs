//! Connector campaigns: a marketer's own webhook, one request for each user, with a body that the
//! tenant designed and declared.
//!
//! MoEngage waits five seconds and takes nothing but 200 for success
//! (MD:user-guide/campaigns-and-channels/connectors/create/create-a-connector-campaign.mdx).
//! Where it tries again, it does so up to three times after five seconds each, and a batch that is
//! run again repeats its requests; nothing on the wire says so.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::codes::CONNECTOR_PREFIX;
use super::contact;
use super::notes::{Notes, Notice};
use super::page::Storage;
use super::refusal::{Refusal, refusal};
use super::surfaces::{
    Reject, Text, WebhookOutcome, WebhookRequest, declared, storage_full, unknown_surface,
};
use super::watch::watch;
use super::{form, identity, repeats, time};
use crate::failure::Failure;
use crate::json::{self, Object, Scalar, to_json};
use crate::model::event::{self, EventBody};
use crate::model::ids::record_id;
use crate::model::{
    EVENT, MAX_BODY_BYTES, Nature, Observation, Occurrence, Person, Provenance, Record, Subject, TimeTrust,
};
use crate::profile::Surface;
use crate::settings::connector_campaigns::{EventName, Place, TimeFormat};
use crate::settings::{ConnectorCampaigns, Settings};

/// Name of the surface, part of the webhook's address.
pub const CONNECTOR_CAMPAIGNS: &str = "connector-campaigns";

/// Largest body: it is about one user, and Brevo takes 50 KB of an event.
const BODY_CAP: u32 = 1024 * 1024;

/// What is pushed when it happens, and knows nothing but what stands in it.
const RANK: u8 = 16;

/// What is declared, where the settings have the block.
pub fn surface(settings: &Settings) -> Option<Surface> {
    let campaigns = settings.connector_campaigns.as_ref()?;
    let dedupe_key = match &campaigns.event_id {
        Some(place) => format!("The declared event id, at {} in the body.", place.pointer),
        None => format!(
            "The body itself, for {} minutes after it came first (connector_campaigns.repeat_window).",
            campaigns.repeat_window / 60_000
        ),
    };
    let mut surface = declared(CONNECTOR_CAMPAIGNS, settings.webhook_auth.scheme(), BODY_CAP, &dedupe_key);
    // As little as can be: MoEngage waits five seconds, and counts everything but 200 as failed.
    surface.answer.body = "{}".to_owned();
    surface.schemas.push((EVENT.to_owned(), event::SCHEMA.trim_end().to_owned()));
    Some(surface)
}

/// Reads one request. A body that the mapping doesn't fit is a reject and stays with the host.
pub fn read(
    settings: &Settings,
    request: &WebhookRequest,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    let campaigns = settings.connector_campaigns.as_ref().ok_or_else(unknown_surface)?;
    let mut notes = Notes::default();
    let mut outcome = WebhookOutcome::default();
    match body(request, &mut notes) {
        Ok(text) => match found(settings, campaigns, &text, request, &mut notes) {
            Ok(found) => {
                let id = match found.id {
                    Some(id) => id,
                    None => {
                        let window = campaigns.repeat_window;
                        let delivery = repeats::delivery(storage, &request.body, request.received_at, window)
                            .ok_or_else(storage_full)?;
                        if delivery.repeated {
                            notes.add(Notice::RepeatedDelivery);
                        }
                        if delivery.forgot {
                            notes.add(Notice::RepetitionForgotten);
                        }
                        delivery.key
                    }
                };
                match record(settings, &id, found.body, found.person, found.occurred) {
                    Ok(record) => outcome.records.push(record),
                    Err(refusal) => outcome.rejects.push(refusal.at("/".to_owned())),
                }
            }
            Err(reject) => outcome.rejects.push(reject),
        },
        Err(refusal) => outcome.rejects.push(refusal.at("/".to_owned())),
    }
    watch(settings, &outcome.records, storage, &mut notes);
    outcome.notes = notes.into_list();
    Ok(outcome)
}

/// The body as JSON text that was checked.
fn body(request: &WebhookRequest, notes: &mut Notes) -> Result<String, Refusal> {
    const CORRECT: &str = "Correct the campaign's body in MoEngage, then run the kept input again.";
    let media_type = request.headers.iter().find(|(name, _)| name == "content-type");
    let media_type = media_type.map_or("", |(_, value)| value.split(';').next().unwrap_or_default().trim());
    let is = |wanted: &str| media_type.eq_ignore_ascii_case(wanted);
    let json = is("application/json") || media_type.to_ascii_lowercase().ends_with("+json");
    // MoEngage's *Raw Body* has whatever header the marketer wrote, or none.
    let looks_like_json = request.body.trim_ascii_start().first() == Some(&b'{');
    let text = if is("application/x-www-form-urlencoded") {
        let text = form::to_object(&request.body);
        if text.contains(char::REPLACEMENT_CHARACTER) {
            notes.add(Notice::NonUtf8Replaced);
        }
        text
    } else if json || ((media_type.is_empty() || is("text/plain")) && looks_like_json) {
        let text = Text::of(&request.body);
        if !text.was_utf8 {
            notes.add(Notice::NonUtf8Replaced);
        }
        text.as_str().to_owned()
    } else {
        return Err(refusal(
            "unsupported-body",
            "The body is neither JSON nor a form, by its content type.",
            "Choose JSON or Form as the body of the campaign in MoEngage, then run the kept input again.",
        ));
    };
    if Object::parse(&text).is_none() {
        return Err(match json::is_json(&text) {
            true => refusal("body-not-object", "The body is JSON, but not an object.", CORRECT),
            false => refusal("body-not-json", "The body is not JSON.", CORRECT),
        });
    }
    json::check(&text)?;
    Ok(text)
}

/// What the mapping finds in a body.
struct Found<'a> {
    /// The declared id; none where there is none to be declared.
    id: Option<String>,
    person: Person,
    occurred: Occurrence,
    body: EventBody<'a>,
}

fn found<'a>(
    settings: &Settings,
    campaigns: &ConnectorCampaigns,
    text: &'a str,
    request: &WebhookRequest,
    notes: &mut Notes,
) -> Result<Found<'a>, Reject> {
    let id = match &campaigns.event_id {
        None => None,
        Some(place) => match identity::id(scalar(text, Some(place))) {
            Ok(Some(id)) => Some(id.into_owned()),
            Ok(None) => {
                return Err(MISSING_ID.at(place.pointer.clone()));
            }
            Err(why) => return Err(Refusal::from(why).at(place.pointer.clone())),
        },
    };
    let person = person(settings, campaigns, text, notes)?;
    let name = match &campaigns.event {
        EventName::Literal(name) => Cow::Borrowed(name.as_str()),
        EventName::From(place) => match scalar(text, Some(place)) {
            Some(Scalar::Text(name)) if !name.trim().is_empty() && name.len() <= 200 => name,
            _ => return Err(MISSING_NAME.at(place.pointer.clone())),
        },
    };
    let occurred = match &campaigns.time {
        None => Occurrence { at: Some(request.received_at), trust: TimeTrust::Arrival },
        Some((place, format)) => {
            let occurred = Occurrence::stamped(instant(scalar(text, Some(place)), *format));
            if occurred.at.is_none() {
                notes.add(Notice::UnreadableTime);
            }
            occurred
        }
    };
    let mut attributes = Object::default();
    if let Some(raw) = campaigns.campaign_id.as_ref().and_then(|place| value(text, place)) {
        attributes.push(Cow::Borrowed("campaign_id"), raw);
    }
    for (name, place) in &campaigns.properties {
        // Missing stays missing.
        if let Some(raw) = value(text, place) {
            attributes.push(Cow::Owned(name.clone()), raw);
        }
    }
    let body = EventBody {
        event_uuid: Cow::Borrowed(""),
        code: Cow::Owned(format!("{CONNECTOR_PREFIX}{name}")),
        // No display name: one of MoEngage's own could pass for a resubscription.
        name: None,
        event_type: None,
        source: None,
        occurred_at: occurred.vendor_time(),
        channel: Some("connector".to_owned()),
        recipient: None,
        project: None,
        machine: None,
        machine_reason: None,
        attributes,
        contact: None,
    };
    Ok(Found { id, person, occurred, body })
}

const DECLARE: &str = "Correct connector_campaigns or the campaign's body, then run the kept input again.";

const MISSING_ID: Refusal =
    refusal("missing-event-id", "The body has nothing where connector_campaigns.event_id points.", DECLARE);

const MISSING_NAME: Refusal =
    refusal("missing-event-name", "The body has no text where connector_campaigns.event points.", DECLARE);

const NOBODY: Refusal =
    refusal("nobody-named", "The body names nobody where connector_campaigns looks for it.", DECLARE);

/// The person, read as at every other door.
fn person(
    settings: &Settings,
    campaigns: &ConnectorCampaigns,
    text: &str,
    notes: &mut Notes,
) -> Result<Person, Reject> {
    let at =
        |place: &Option<Place>| place.as_ref().map_or_else(|| "/".to_owned(), |place| place.pointer.clone());
    let values =
        [&campaigns.user_id, &campaigns.email, &campaigns.phone].map(|place| scalar(text, place.as_ref()));
    let blank = |value: &Option<Scalar<'_>>| match value {
        None | Some(Scalar::Null) => true,
        Some(Scalar::Text(text)) => text.trim().is_empty(),
        Some(_) => false,
    };
    if values.iter().all(blank) {
        return Err(NOBODY.at(at(&campaigns.user_id)));
    }
    let [user_id, email, phone] = values;
    Ok(Person {
        external_id: contact::customer_id(settings, user_id, notes)
            .map_err(|why| Refusal::from(why).at(at(&campaigns.user_id)))?,
        email: contact::email(email, notes).map_err(|why| Refusal::from(why).at(at(&campaigns.email)))?,
        phone: contact::phone(phone, settings, notes)
            .map_err(|why| Refusal::from(why).at(at(&campaigns.phone)))?,
        aliases: Vec::new(),
    })
}

/// The value at a place.
fn value<'a>(text: &'a str, place: &Place) -> Option<&'a RawValue> {
    let (mut text, mut found) = (text, None);
    for key in &place.keys {
        let raw = match Object::parse(text) {
            Some(object) => object.raw(key)?,
            None => {
                // RFC 6901: digits without a leading zero.
                let number = key.bytes().all(|b| b.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
                let index: usize = key.parse().ok().filter(|_| number)?;
                json::elements(text)?.get(index).copied()?
            }
        };
        text = raw.get();
        found = Some(raw);
    }
    found
}

fn scalar<'a>(text: &'a str, place: Option<&Place>) -> Option<Scalar<'a>> {
    place.and_then(|place| value(text, place)).map(Scalar::of)
}

fn instant(value: Option<Scalar<'_>>, format: TimeFormat) -> Option<i64> {
    match format {
        TimeFormat::Seconds => time::epoch(value, time::Unit::Seconds),
        TimeFormat::Milliseconds => time::epoch(value, time::Unit::Milliseconds),
        TimeFormat::Iso => time::instant(&value?.text()?),
    }
}

fn record(
    settings: &Settings,
    id: &str,
    mut body: EventBody<'_>,
    person: Person,
    occurred: Occurrence,
) -> Result<Record, Refusal> {
    let key = format!("connector/{id}");
    let too_long = identity::Unusable::TooLong;
    let record_id = record_id(&settings.workspace(), EVENT, &key).ok_or(too_long)?;
    body.event_uuid = Cow::Owned(key.clone());
    let body = to_json(&body);
    if body.len() > MAX_BODY_BYTES {
        return Err(refusal(
            "event-too-large",
            "The properties of the event are more than 256 KiB.",
            "Map fewer properties, then run the kept input again.",
        ));
    }
    Ok(Record {
        id: record_id,
        kind: EVENT.to_owned(),
        nature: Nature::Event,
        subject: Subject::Person(person),
        observation: Observation { id: key, rank: RANK },
        occurred,
        body,
        provenance: Provenance::Live,
    })
}
