//! Alerts: what MoEngage says about its own campaigns, flows and tokens.
//!
//! The only webhook of MoEngage's that is signed: SHA-256 of key, bar and raw body, in hex
//! (MD:partner-guide/data-and-analytics/workflow-automation/webhook.mdx). The host verifies it by
//! the manifest's scheme `alerts`. No delivery has an id, and whether one is repeated is not
//! documented, so the id is made of what an alert is: which, when, and about what.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::notes::{Notes, Notice};
use super::page::Storage;
use super::refusal::{ASK_MOENGAGE, Refusal, refusal};
use super::surfaces::{REPLAY_WINDOW, Text, WebhookOutcome, WebhookRequest, unknown_surface};
use super::{digest, identity, time};
use crate::failure::Failure;
use crate::json::{self, Object, Scalar, to_json};
use crate::model::alert::{self, AlertBody};
use crate::model::ids::record_id;
use crate::model::{ALERT, MAX_BODY_BYTES, Nature, Observation, Occurrence, Provenance, Record, Subject};
use crate::profile::{StaticAnswer, Surface};
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
    settings.alerts.then(|| Surface {
        name: ALERTS.to_owned(),
        verification: SCHEME.to_owned(),
        answer: StaticAnswer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: r#"{"status":"accepted"}"#.to_owned(),
        },
        headers: vec!["content-type".to_owned()],
        dedupe_key: "alert_id, alert_triggered_at and what the alert is about; there is no delivery id."
            .to_owned(),
        schemas: vec![(ALERT.to_owned(), alert::SCHEMA.trim_end().to_owned())],
        body_cap: BODY_CAP,
        replay_window: REPLAY_WINDOW,
    })
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
    let entity_data = object(body, "/entity_data")?;
    let entities = entity_data.as_ref().and_then(|data| data.raw("content"));
    let entities = match entities.filter(|raw| !Scalar::is_null(raw)) {
        None => Vec::new(),
        Some(raw) => json::elements(raw.get())
            .and_then(|items| items.into_iter().map(|item| Object::parse(item.get())).collect())
            .ok_or(("/entity_data/content", not_as_documented()))?,
    };
    let criteria = object(body, "/alert_evaluation_criteria")?;
    // The same instant in another spelling is the same alert; so is the same content in another
    // order of keys.
    let mut about = String::new();
    for raw in [body.raw("alert_evaluation_criteria"), body.raw("entity_data")] {
        match raw {
            Some(raw) => canonical(raw, &mut about),
            None => about.push('-'),
        }
    }
    let when = match triggered_at {
        Some(at) => at.to_string(),
        None => stamp.map_or_else(String::new, |stamp| format!("{:016x}", digest::of(stamp.as_bytes()))),
    };
    let key = format!("{alert_id}/{when}/{:016x}", digest::of(about.as_bytes()));
    let text_of = |key: &str| body.get(key).and_then(Scalar::text).map(Cow::into_owned);
    let content = to_json(&AlertBody {
        alert_id: alert_id.to_string(),
        name: text_of("alert_name"),
        alert_type: text_of("alert_type"),
        db_name: text_of("db_name"),
        triggered_at,
        frequency: object(body, "/alert_evaluation_frequency")?,
        criteria,
        entities,
    });
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

const fn not_as_documented() -> Refusal {
    refusal("alert-not-as-documented", "A part of the alert has another type than documented.", ASK_MOENGAGE)
}

/// A block of the alert, by its pointer; nothing where it isn't there.
fn object<'a>(
    body: &Object<'a>,
    pointer: &'static str,
) -> Result<Option<Object<'a>>, (&'static str, Refusal)> {
    match body.raw(pointer.trim_start_matches('/')).filter(|raw| !Scalar::is_null(raw)) {
        None => Ok(None),
        Some(raw) => Object::parse(raw.get()).map(Some).ok_or((pointer, not_as_documented())),
    }
}

/// The same text for the same value: keys sorted, no spaces, strings without needless escapes.
/// Checked text is at most 100 levels deep.
fn canonical(raw: &RawValue, out: &mut String) {
    if let Some(object) = Object::parse(raw.get()) {
        let mut entries: Vec<_> = object.entries().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        out.push('{');
        for (key, value) in entries {
            // Writing to a string can't fail.
            let _ = write!(out, "{}:", to_json(&key));
            canonical(value, out);
            out.push(',');
        }
        out.push('}');
    } else if let Some(items) = json::elements(raw.get()) {
        out.push('[');
        for item in items {
            canonical(item, out);
            out.push(',');
        }
        out.push(']');
    } else {
        match Scalar::of(raw) {
            Scalar::Text(text) => out.push_str(&to_json(&text)),
            _ => out.push_str(raw.get()),
        }
    }
}
