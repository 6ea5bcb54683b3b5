//! Streams: batches of events that MoEngage pushes.
//!
//! MoEngage sends at least once, in no order that it promises, and gives up after three retries
//! (30, 60 and 120 s), so nothing here depends on order or on seeing a batch once
//! (MD:api/data/moengage-streams.mdx).

use crate::failure::{Failure, FailureKind};
use crate::json::{self, Object, Scalar};
use crate::model::{Millis, Provenance, Record};
use crate::settings::Settings;

use super::inner_event;
use super::notes::{Note, Notes, Notice};
use super::page::Storage;
use super::watch::watch;

/// Name of the surface, part of the webhook's address.
pub const STREAMS: &str = "streams";

/// Most events of one batch. Each gives at most two records, and the contract allows 20,000.
/// MoEngage's default is 100.
const MAX_EVENTS: usize = 10_000;

/// One webhook request, already verified and durable.
#[derive(Clone, Debug)]
pub struct WebhookRequest {
    /// A surface of the profile.
    pub surface: String,
    /// Byte for byte.
    pub body: Vec<u8>,
    /// Those that the surface declared, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Host time.
    pub received_at: Millis,
}

/// A part of an input that became no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// JSON pointer.
    pub pointer: String,
    /// Stable, `lower-kebab-case`.
    pub code: String,
    /// What is wrong, one sentence, without personal data.
    pub message: String,
    /// What can be done about it, one sentence.
    pub remedy: String,
}

/// What a webhook request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookOutcome {
    /// In the order of the batch; a contact precedes the event that told of it.
    pub records: Vec<Record>,
    /// Events that became no record.
    pub rejects: Vec<Reject>,
    /// Counted by name.
    pub notes: Vec<Note>,
}

/// Turns one webhook request into records. One bad event never stops the others.
///
/// # Errors
/// A failure says that nothing of the body could be read: unknown surface, not JSON, no list of
/// events, or more events than a unit can hold.
pub fn handle_webhook(
    settings: &Settings,
    request: &WebhookRequest,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    if request.surface != STREAMS {
        return Err(Failure::new(
            FailureKind::Config,
            "unknown-surface",
            "The connector has no such surface; use the address that ends in streams.",
        ));
    }
    let fail = |code, message: &str| Failure::vendor_contract(&request.body, code, message);

    // Old mail batches came in a Windows code page (JULO keeps a test for it). Broken bytes can
    // only stand inside of strings, so the rest of the batch stays readable.
    let text = match std::str::from_utf8(&request.body) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(&request.body),
    };
    let was_utf8 = matches!(text, std::borrow::Cow::Borrowed(_));
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);

    let Some(batch) = Object::parse(text) else {
        return Err(match json::is_json(text) {
            true => fail("body-not-object", "The body is not a JSON object."),
            false => fail("body-not-json", "The body is not JSON."),
        });
    };
    if batch.has_duplicate() {
        return Err(fail("duplicate-key", "The body names the same key twice."));
    }
    let Some(events) = batch.raw("events") else {
        return Err(fail("events-missing", "The body has no events."));
    };
    let Some(events) = json::elements(events.get()) else {
        return Err(fail("events-not-a-list", "The events of the body are not a list."));
    };
    if events.len() > MAX_EVENTS {
        return Err(fail("too-many-events", "The body has more than 10,000 events."));
    }

    let mut notes = Notes::default();
    if batch.get("source").and_then(Scalar::text).is_some_and(|source| !is_moengage(&source)) {
        notes.add(Notice::OtherSource);
    }
    let mut outcome = WebhookOutcome::default();
    for (index, event) in events.into_iter().enumerate() {
        if !was_utf8 && event.get().contains(char::REPLACEMENT_CHARACTER) {
            notes.add(Notice::NonUtf8Replaced);
        }
        match inner_event::read(settings, event.get(), Provenance::Live, &mut notes) {
            Ok(records) => outcome.records.extend(records),
            Err(refusal) => outcome.rejects.push(refusal.at(format!("/events/{index}"))),
        }
    }
    watch(settings, &outcome.records, storage, &mut notes);
    outcome.notes = notes.into_list();
    Ok(outcome)
}

/// MoEngage writes its own name as `MOENGAGE` and `MoEngage`.
pub fn is_moengage(source: &str) -> bool {
    source.trim().eq_ignore_ascii_case("moengage")
}
