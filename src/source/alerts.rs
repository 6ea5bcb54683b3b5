//! Alerts: what MoEngage says about its own campaigns, flows and tokens.
//!
//! The only webhook of MoEngage's that is signed: SHA-256 of key, bar and raw body, in hex
//! (MD:partner-guide/data-and-analytics/workflow-automation/webhook.mdx). The host verifies it by
//! the manifest's scheme `alerts`. No delivery has an id, and whether one is repeated is not
//! documented, so the id is made of what an alert is: which, when, and about what.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::notes::{Notes, Notice};
use super::page::Storage;
use super::refusal::{ASK_MOENGAGE, Refusal, refusal};
use super::surfaces::{Text, WebhookOutcome, WebhookRequest, declared, unknown_surface};
use super::{digest, identity, time};
use crate::failure::Failure;
use crate::json::{self, Object, Scalar};
use crate::model::alert::{self, AlertBody};
use crate::model::ids::record_id;
use crate::model::{ALERT, MAX_BODY_BYTES, Nature, Observation, Occurrence, Provenance, Record, Subject};
use crate::profile::Surface;
use crate::settings::Settings;

/// Name of the surface, part of the webhook's address.
pub const ALERTS: &str = "alerts";

/// Name of the inbound scheme in the manifest.
const SCHEME: &str = "alerts";

/// Largest body. An alert lists the campaigns that it is about, some 250 bytes each.
const BODY_CAP: u32 = 1024 * 1024;

/// Nothing tells of an alert earlier or later than itself.
const RANK: u8 = 16;

/// What is declared, where the settings ask for alerts.
pub fn surface(settings: &Settings) -> Option<Surface> {
    let dedupe_key = "alert_id, alert_triggered_at and what the alert is about; there is no delivery id.";
    let mut surface = settings.alerts.then(|| declared(ALERTS, SCHEME, BODY_CAP, dedupe_key))?;
    surface.schemas.push((ALERT.to_owned(), alert::SCHEMA.trim_end().to_owned()));
    Some(surface)
}

/// Reads one alert.
pub fn read(
    settings: &Settings,
    request: &WebhookRequest,
    _: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    if !settings.alerts {
        return Err(unknown_surface());
    }
    let text = Text::of(&request.body);
    let body =
        text.object().map_err(|(code, message)| Failure::vendor_contract(&request.body, code, message))?;
    let mut notes = Notes::default();
    if !text.was_utf8 {
        notes.add(Notice::NonUtf8Replaced);
    }
    let mut outcome = WebhookOutcome::default();
    match record(settings, text.as_str(), &body, &mut notes) {
        Ok(record) => outcome.records.push(record),
        Err((pointer, refusal)) => outcome.rejects.push(refusal.at(pointer.to_owned())),
    }
    outcome.notes = notes.into_list();
    Ok(outcome)
}

fn record(
    settings: &Settings,
    text: &str,
    body: &Object<'_>,
    notes: &mut Notes,
) -> Result<Record, (&'static str, Refusal)> {
    json::check(text).map_err(|fault| ("/", fault.into()))?;
    let alert_id = match identity::id(body.get("alert_id")) {
        Ok(Some(id)) => id,
        Ok(None) => {
            let refusal = refusal(
                "missing-alert-id",
                "The alert has no alert_id, so nobody knows which it is.",
                ASK_MOENGAGE,
            );
            return Err(("/alert_id", refusal));
        }
        Err(why) => return Err(("/alert_id", why.into())),
    };
    let stamp = body.get("alert_triggered_at").and_then(Scalar::text);
    let triggered_at = stamp.as_deref().and_then(time::instant);
    if triggered_at.is_none() {
        notes.add(Notice::UnreadableAlertTime);
    }
    let frequency = block(body, "/alert_evaluation_frequency")?;
    let criteria = block(body, "/alert_evaluation_criteria")?;
    let entity_data = block(body, "/entity_data")?;
    let entities = entity_data.and_then(|data| Object::parse(data.get())?.raw("content"));
    let entities = entities.filter(|raw| !Scalar::is_null(raw));
    let objects = |raw: &RawValue| {
        json::elements(raw.get())
            .is_some_and(|items| items.iter().all(|item| Object::parse(item.get()).is_some()))
    };
    if entities.is_some_and(|raw| !objects(raw)) {
        return Err(("/entity_data/content", NOT_AS_DOCUMENTED));
    }
    // The same instant in another spelling is the same alert; so is the same content in another
    // order of keys.
    let about = [criteria, entity_data].map(|raw| raw.map_or(0, fingerprint).to_be_bytes());
    let when = match triggered_at {
        Some(at) => at.to_string(),
        None => stamp.map_or_else(String::new, |stamp| format!("{:016x}", digest::of(stamp.as_bytes()))),
    };
    let key = format!("{alert_id}/{when}/{:016x}", digest::of(about.as_flattened()));
    let text_of = |key: &str| body.get(key).and_then(Scalar::text).map(Cow::into_owned);
    let content = AlertBody {
        alert_id: &alert_id,
        texts: [
            ("name", text_of("alert_name")),
            ("type", text_of("alert_type")),
            ("db_name", text_of("db_name")),
        ],
        triggered_at,
        blocks: [("frequency", frequency), ("criteria", criteria)],
        entities,
    }
    .to_json();
    if content.len() > MAX_BODY_BYTES {
        return Err(("/entity_data", TOO_LARGE));
    }
    Ok(Record {
        id: record_id(&settings.workspace(), ALERT, &key)
            .ok_or_else(|| ("/alert_id", identity::Unusable::TooLong.into()))?,
        kind: ALERT.to_owned(),
        nature: Nature::Event,
        subject: Subject::Object(ALERT.to_owned(), alert_id.into_owned()),
        observation: Observation { id: format!("{:016x}", digest::of(text.as_bytes())), rank: RANK },
        occurred: Occurrence::stamped(triggered_at),
        body: content,
        provenance: Provenance::Live,
    })
}

const TOO_LARGE: Refusal = refusal(
    "alert-too-large",
    "The alert is about more campaigns than fit into 256 KiB.",
    "Narrow the alert down in MoEngage; the input is kept.",
);

const NOT_AS_DOCUMENTED: Refusal =
    refusal("alert-not-as-documented", "A part of the alert has another type than documented.", ASK_MOENGAGE);

/// A block of the alert, by its pointer; nothing where it isn't there.
fn block<'a>(
    body: &Object<'a>,
    pointer: &'static str,
) -> Result<Option<&'a RawValue>, (&'static str, Refusal)> {
    match body.raw(pointer.trim_start_matches('/')).filter(|raw| !Scalar::is_null(raw)) {
        Some(raw) if Object::parse(raw.get()).is_none() => Err((pointer, NOT_AS_DOCUMENTED)),
        found => Ok(found),
    }
}

/// The same number for the same value, whatever the order of its keys, its spaces and the escapes
/// in its strings. Checked text is at most 100 levels deep.
fn fingerprint(raw: &RawValue) -> u64 {
    if let Some(object) = Object::parse(raw.get()) {
        let entry = |(key, value): (&str, &RawValue)| {
            digest::on(digest::on(digest::of(b"{"), key.as_bytes()), &fingerprint(value).to_be_bytes())
        };
        object.entries().map(entry).fold(1, u64::wrapping_add)
    } else if let Some(items) = json::elements(raw.get()) {
        items
            .iter()
            .fold(digest::of(b"["), |digest, item| digest::on(digest, &fingerprint(item).to_be_bytes()))
    } else {
        match Scalar::of(raw) {
            Scalar::Text(text) => digest::on(digest::of(b"\""), text.as_bytes()),
            _ => digest::of(raw.get().as_bytes()),
        }
    }
}
