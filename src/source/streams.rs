//! Streams: batches of events that MoEngage pushes.
//!
//! MoEngage sends at least once, in no order that it promises, and gives up after three retries
//! (30, 60 and 120 s), so nothing here depends on order or on seeing a batch once
//! (MD:api/data/moengage-streams.mdx).

use super::inner_event;
use super::notes::{Notes, Notice};
use super::page::Storage;
use super::surfaces::{Text, WebhookOutcome, WebhookRequest, declared};
use super::watch::watch;
use crate::failure::Failure;
use crate::json::{self, Scalar};
use crate::model::{CONTACT, EVENT, Provenance, contact, event};
use crate::profile::Surface;
use crate::settings::Settings;

/// Name of the surface, part of the webhook's address.
pub const STREAMS: &str = "streams";

/// Most events of one batch. Each gives at most two records, and the contract allows 20,000.
/// MoEngage's default is 100.
const MAX_EVENTS: usize = 10_000;

/// Largest body. A default batch is 100 events of a few KB each; the size has no documented
/// maximum, so this leaves an order of magnitude.
const BODY_CAP: u32 = 4 * 1024 * 1024;

/// What is declared of Streams. Every configuration has it.
pub fn surface(settings: &Settings) -> Option<Surface> {
    let mut surface = declared(
        STREAMS,
        settings.webhook_auth.scheme(),
        BODY_CAP,
        "event_uuid of each event in the batch; moe_request_id is not known to stay the same when a batch is sent \
         again.",
    );
    surface.schemas.push((CONTACT.to_owned(), contact::SCHEMA.trim_end().to_owned()));
    surface.schemas.push((EVENT.to_owned(), event::SCHEMA.trim_end().to_owned()));
    Some(surface)
}

/// Reads one batch. One bad event never stops the others.
pub fn read(
    settings: &Settings,
    request: &WebhookRequest,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    let fail = |code, message: &str| Failure::vendor_contract(&request.body, code, message);
    let text = Text::of(&request.body);
    let batch = text.object().map_err(|(code, message)| fail(code, message))?;
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
        if !text.was_utf8 && event.get().contains(char::REPLACEMENT_CHARACTER) {
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
