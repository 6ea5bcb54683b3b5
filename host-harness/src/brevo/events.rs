//! Custom events: one, many, and reading them back.
//!
//! Brevo has no idempotency key and no deduplication for events, so each carries this host's key
//! among its properties, by which it is recognised when it is read back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Call, encode};
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::store::Digest;
use crate::world::{HttpResponse, Millis};

/// Property that holds the effect's key.
pub const EFFECT_PROPERTY: &str = "tajo_effect";
/// Events in one batch (docs/event-endpoints: 200).
pub const BATCH_MAX: usize = 200;
/// Bytes in one batch (docs/event-endpoints: 512 KB), with room for the envelope.
pub const BATCH_BYTES: usize = 500_000;
/// Bytes of one event's properties (OpenAPI `/events`: 50 KB).
pub const PROPERTIES_BYTES: usize = 50_000;
/// Events asked for in one read (default 100, at most 10,000). Fewer, because they may be large.
pub const PAGE: usize = 300;
/// Contacts and names in one read, so that the URL stays short.
pub const READ_MAX: usize = 50;

/// An event on its way to Brevo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewEvent {
    event_name: String,
    /// RFC 3339, UTC.
    event_date: String,
    identifiers: Identifiers,
    event_properties: Map<String, Value>,
}

/// Only the numeric id: it outranks the others, whose order is not documented.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Identifiers {
    contact_id: i64,
}

/// Why an event can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// Properties over [`PROPERTIES_BYTES`].
    TooLarge,
    /// The time can't be written as a date.
    NoDate,
}

impl NewEvent {
    /// An event of a contact, with the effect's key among its properties.
    pub fn new(
        name: &str,
        at: Millis,
        contact: i64,
        properties: &Map<String, Value>,
        effect: Digest,
    ) -> Result<Self, Unsendable> {
        let mut event_properties = properties.clone();
        event_properties.insert(EFFECT_PROPERTY.into(), Value::String(effect_text(effect)));
        if json(&event_properties).len() > PROPERTIES_BYTES {
            return Err(Unsendable::TooLarge);
        }
        Ok(Self {
            event_name: name.to_owned(),
            event_date: date(at).ok_or(Unsendable::NoDate)?,
            identifiers: Identifiers { contact_id: contact },
            event_properties,
        })
    }

    /// Bytes that it takes in a body.
    pub fn size(&self) -> usize {
        json(self).len() + 1
    }
}

/// The effect's key as it stands in an event.
pub fn effect_text(effect: Digest) -> String {
    uuid::Uuid::from_bytes(effect.0).to_string()
}

fn date(at: Millis) -> Option<String> {
    // With milliseconds always, as in the OpenAPI example.
    jiff::Timestamp::from_millisecond(at).ok().map(|at| format!("{at:.3}"))
}

/// `POST /events`
pub fn track(event: &NewEvent) -> Call {
    Call {
        method: "POST",
        path: "/events".into(),
        label: "/events",
        family: Family::Events,
        body: Some(json(event)),
    }
}

/// Whether one event was taken.
pub fn read_track(answer: &HttpResponse) -> Result<(), Problem> {
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(errors::classify(answer)) }
}

/// `POST /events/batch`. The body is the object (changelog 2026-04-21), a bare list is refused.
pub fn track_batch(events: &[&NewEvent]) -> Call {
    #[derive(Serialize)]
    struct Batch<'a> {
        events: &'a [&'a NewEvent],
    }
    Call {
        method: "POST",
        path: "/events/batch".into(),
        label: "/events/batch",
        family: Family::EventsBatch,
        body: Some(json(&Batch { events })),
    }
}

/// What an answer proves about one event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowResult {
    /// It was taken.
    Taken,
    /// It was refused by itself.
    Refused,
    /// It was not looked at: the batch as a whole was refused.
    NotTaken,
    /// Nothing is proven.
    Unknown,
}

/// What an answer proves about each of `sent` events.
///
/// 202 `{message, count}` is complete only where `count` equals what was sent (the text says that
/// *valid* events were queued). 207 and 400 carry `{total_events, successful_events,
/// failed_events, errors: [{eventIndex: […], message}]}`.
pub fn read_batch(answer: &HttpResponse, sent: usize) -> Result<Vec<RowResult>, Problem> {
    #[derive(Default, Deserialize)]
    struct Body {
        count: Option<u64>,
        successful_events: Option<u64>,
        failed_events: Option<u64>,
        #[serde(default)]
        errors: Vec<RowError>,
    }
    #[derive(Deserialize)]
    struct RowError {
        #[serde(rename = "eventIndex", default)]
        event_index: Vec<u64>,
    }
    let success = (200..300).contains(&answer.status);
    if !success && answer.status != 400 {
        return Err(errors::classify(answer));
    }
    let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
    let Some(body) = body else {
        return if success { Ok(vec![RowResult::Unknown; sent]) } else { Err(errors::classify(answer)) };
    };
    let mut refused = vec![false; sent];
    let mut misplaced = false;
    for index in body.errors.iter().flat_map(|error| &error.event_index) {
        match usize::try_from(*index).ok().and_then(|index| refused.get_mut(index)) {
            Some(row) => *row = true,
            None => misplaced = true,
        }
    }
    let refusals = refused.iter().filter(|refused| **refused).count() as u64;
    let taken = body.count.or(body.successful_events);
    if !success && taken.is_none() && refusals == 0 {
        return Err(errors::classify(answer)); // an ordinary refusal of the request
    }
    let rest = if misplaced {
        RowResult::Unknown
    } else if taken == Some(sent as u64 - refusals) {
        RowResult::Taken
    } else if taken == Some(0) && !success {
        RowResult::NotTaken
    } else {
        RowResult::Unknown
    };
    // A success that took everything refused nothing, whatever it lists; then nothing is sure.
    let contradiction = body.failed_events.is_some_and(|failed| failed < refusals)
        || taken.is_some_and(|taken| taken.saturating_add(refusals) > sent as u64);
    let row = |refused: bool| match (contradiction, refused) {
        (true, _) => RowResult::Unknown,
        (false, true) => RowResult::Refused,
        (false, false) => rest,
    };
    Ok(refused.into_iter().map(row).collect())
}

/// What to read back.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Contacts, at most [`READ_MAX`].
    pub contacts: Vec<i64>,
    /// Event names, at most [`READ_MAX`].
    pub names: Vec<String>,
    /// Earliest event date.
    pub from: Millis,
    /// Latest event date.
    pub to: Millis,
}

/// An event as Brevo has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct StoredEvent {
    /// Properties as sent.
    #[serde(default)]
    pub event_properties: Option<Map<String, Value>>,
}

impl StoredEvent {
    /// The key of the effect that it came from, if it is one of this host's.
    pub fn effect(&self) -> Option<&str> {
        self.event_properties.as_ref()?.get(EFFECT_PROPERTY)?.as_str()
    }
}

/// One page of events.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventPage {
    /// Newest first. New events push older ones back, so a page may repeat some and skips none.
    #[serde(default)]
    pub events: Vec<StoredEvent>,
    /// How many match in all.
    pub count: u64,
}

/// `GET /events` with repeated `contact_id` and `event_name` (brevo-python 5.1.0, `get_events`).
pub fn list(query: &Query, offset: usize) -> Option<Call> {
    let mut path = String::from("/events?");
    for contact in &query.contacts {
        path.push_str(&format!("contact_id={contact}&"));
    }
    for name in &query.names {
        path.push_str(&format!("event_name={}&", encode(name)));
    }
    let (from, to) = (encode(&date(query.from)?), encode(&date(query.to)?));
    path.push_str(&format!("startDate={from}&endDate={to}&limit={PAGE}&offset={offset}"));
    Some(Call { method: "GET", path, label: "/events", family: Family::ReadBack, body: None })
}

/// A page. Anything unreadable is a problem, never "nothing there".
pub fn read_list(answer: &HttpResponse) -> Result<EventPage, Problem> {
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Problem { status: 200, kind: Kind::Unexpected })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::RowResult::{NotTaken, Refused, Taken, Unknown};
    use super::*;

    fn rows(status: u16, body: &str) -> Result<Vec<RowResult>, Problem> {
        let answer = HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        read_batch(&answer, 3)
    }

    #[test]
    fn success_of_a_batch_is_success_of_a_row_only_where_the_count_says_so() {
        assert_eq!(rows(202, r#"{"message":"ok","count":3}"#).unwrap(), [Taken; 3]);
        assert_eq!(rows(202, r#"{"message":"ok","count":2}"#).unwrap(), [Unknown; 3]);
        assert_eq!(rows(202, r#"{"message":"ok"}"#).unwrap(), [Unknown; 3]);
        assert_eq!(rows(202, "<html>").unwrap(), [Unknown; 3]);
        assert_eq!(rows(202, r#"{"count":4}"#).unwrap(), [Unknown; 3]);
    }

    #[test]
    fn n19_one_refused_row_does_not_refuse_the_others() {
        let partial = r#"{"status":"partial","total_events":3,"successful_events":2,"failed_events":1,"errors":[{"eventIndex":[1],"message":"no"}]}"#;
        assert_eq!(rows(207, partial).unwrap(), [Taken, Refused, Taken]);
        assert_eq!(rows(400, partial).unwrap(), [Taken, Refused, Taken]);
        let none = r#"{"status":"failed","total_events":3,"successful_events":0,"failed_events":3,"errors":[{"eventIndex":[0],"message":"no"}]}"#;
        assert_eq!(rows(400, none).unwrap(), [Refused, NotTaken, NotTaken]);
        let unclear = r#"{"total_events":3,"successful_events":1,"failed_events":1,"errors":[{"eventIndex":[1],"message":"no"}]}"#;
        assert_eq!(rows(207, unclear).unwrap(), [Unknown, Refused, Unknown]);
        let elsewhere =
            r#"{"successful_events":2,"failed_events":1,"errors":[{"eventIndex":[9],"message":"no"}]}"#;
        assert_eq!(rows(207, elsewhere).unwrap(), [Unknown; 3]);
        let beyond = r#"{"count":18446744073709551615,"errors":[{"eventIndex":[1],"message":"no"}]}"#;
        assert_eq!(rows(202, beyond).unwrap(), [Unknown; 3]);
    }

    #[test]
    fn a_refused_batch_is_an_ordinary_refusal() {
        let body = r#"{"code":"invalid_parameter","message":"json: cannot unmarshal array"}"#;
        assert_eq!(rows(400, body).unwrap_err().kind, Kind::Refused);
        assert_eq!(rows(500, "").unwrap_err().kind, Kind::OutcomeUnknown);
        assert_eq!(rows(401, "{}").unwrap_err().kind, Kind::BadKey);
    }

    #[test]
    fn an_event_carries_its_key_date_and_one_identifier() {
        let event =
            NewEvent::new("order_paid", 1_763_892_000_000, 211, &Map::new(), Digest([7; 16])).unwrap();
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::json!({
                "event_name": "order_paid",
                "event_date": "2025-11-23T10:00:00.000Z",
                "identifiers": { "contact_id": 211 },
                "event_properties": { "tajo_effect": "07070707-0707-0707-0707-070707070707" },
            })
        );
        let mut large = Map::new();
        large.insert("p".into(), Value::String("x".repeat(PROPERTIES_BYTES)));
        assert_eq!(NewEvent::new("e", 0, 1, &large, Digest([0; 16])), Err(Unsendable::TooLarge));
        assert_eq!(NewEvent::new("e", i64::MAX, 1, &Map::new(), Digest([0; 16])), Err(Unsendable::NoDate));
    }

    #[test]
    fn a_page_that_is_not_one_is_a_problem() {
        let page = |status, body: &str| {
            read_list(&HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
        };
        assert!(page(200, r#"{"events":[],"count":0}"#).unwrap().events.is_empty());
        assert!(page(200, r#"{"count":0}"#).unwrap().events.is_empty());
        assert!(page(200, "{}").is_err());
        assert!(page(200, "<html>").is_err());
        assert!(page(404, "{}").is_err());
    }
}
