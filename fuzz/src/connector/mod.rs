//! The connector natively, through its four doors.

mod pages;
mod settings;
mod world;

use moengage_connector::{
    Action, Failure, FailureKind, Mapping, Nature, Observation, Occurrence, Person, Provenance, Record,
    Settings, Subject, TimeTrust, WebhookOutcome, WebhookRequest, handle_webhook, map_record as mapped,
};
use serde_json::Value;

use crate::corpora::Target;
pub use pages::{cursors, fetch_page};
pub use settings::{configure, rules};
use world::{Lines, Memory};

/// All of them.
pub const TARGETS: &[Target] = &[
    ("configure", configure),
    ("rules", rules),
    ("streams", streams),
    ("segment_sync", segment_sync),
    ("alerts", alerts),
    ("connector_campaigns", connector_campaigns),
    ("fetch_page", fetch_page),
    ("cursors", cursors),
    ("map_record", map_record),
];

/// Everything of the connector switched on.
const EVERYTHING: &str = include_str!("settings.json");
/// 2022-05-20T04:52:50Z, a minute after the documented sample.
const NOW: i64 = 1_653_022_370_000;

fn everything() -> &'static Settings {
    static PARSED: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    PARSED.get_or_init(|| Settings::parse(EVERYTHING).unwrap_or_else(|problems| panic!("{problems:?}")))
}

/// A body of Streams.
pub fn streams(data: &[u8]) {
    webhook("streams", "application/json", data);
}

/// A body of Outbound Segment Sync.
pub fn segment_sync(data: &[u8]) {
    webhook("segment-sync", "application/json", data);
}

/// A body of an alert.
pub fn alerts(data: &[u8]) {
    webhook("alerts", "application/json", data);
}

/// A body of a connector campaign: a form where the first byte is `&`.
pub fn connector_campaigns(data: &[u8]) {
    match data.strip_prefix(b"&") {
        Some(form) => webhook("connector-campaigns", "application/x-www-form-urlencoded", form),
        None => webhook("connector-campaigns", "application/json", data),
    }
}

fn webhook(surface: &str, content_type: &str, body: &[u8]) {
    let request = WebhookRequest {
        surface: surface.to_owned(),
        body: body.to_vec(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        received_at: NOW,
    };
    let read = || handle_webhook(everything(), &request, &mut Memory::default());
    let outcome = read();
    assert_eq!(outcome, read(), "the same body came to something else");
    match outcome {
        Ok(WebhookOutcome { records, rejects, notes }) => {
            records.iter().for_each(assert_record);
            for reject in &rejects {
                assert_code(&reject.code);
                assert!(!reject.message.is_empty() && !reject.remedy.is_empty());
            }
            notes.iter().for_each(|note| assert_code(&note.name));
        }
        Err(failure) => assert_failure(&failure),
    }
}

/// A record of a line with its kind, a line with the person (or, after `#`, the thing), and a body.
pub fn map_record(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((kind, rest)) = text.split_once('\n') else { return };
    let (whom, body) = rest.split_once('\n').unwrap_or((rest, "{}"));
    // The host holds every body against its rule for JSON before it stores it.
    if serde_json::from_str::<serde_json::Map<String, Value>>(body).is_err() {
        return;
    }
    let subject = match whom.strip_prefix('#') {
        Some(key) => Subject::Object(kind.to_owned(), key.to_owned()),
        None => Subject::Person(person(whom)),
    };
    let nature = if matches!(kind, "event" | "alert") { Nature::Event } else { Nature::State };
    let record = Record {
        id: format!("moengage:ABC123:{kind}:1"),
        kind: kind.to_owned(),
        nature,
        subject,
        observation: Observation { id: "o".to_owned(), rank: 10 },
        occurred: Occurrence { at: Some(NOW - 60_000), trust: TimeTrust::Vendor },
        body: body.to_owned(),
        provenance: Provenance::Live,
    };
    assert_mapping(&record);
}

fn person(names: &str) -> Person {
    let name = |mark| names.split(' ').find_map(|name| name.strip_prefix(mark)).map(str::to_owned);
    Person { external_id: name("id="), email: name("email="), phone: name("phone="), aliases: Vec::new() }
}

/// What the contract says of a record, and of what it calls for.
fn assert_record(record: &Record) {
    assert!(record.id.starts_with("moengage:ABC123:") && record.id.len() <= 512, "{}", record.id);
    assert!(!record.observation.id.is_empty() && record.observation.id.len() <= 512);
    assert!(record.body.len() <= 256 * 1024);
    serde_json::from_str::<serde_json::Map<String, Value>>(&record.body).expect("a body is an object");
    assert_eq!(record.nature == Nature::Event, matches!(record.kind.as_str(), "event" | "alert"));
    assert_mapping(record);
}

fn assert_mapping(record: &Record) {
    let found = mapped(everything(), record, NOW, &mut Lines);
    assert_eq!(found, mapped(everything(), record, NOW, &mut Lines));
    match found {
        Ok(Mapping::Actions(actions)) => {
            assert!(!actions.is_empty() && actions.len() <= 64);
            actions.iter().for_each(assert_action);
            let mut slots: Vec<_> = actions.iter().map(|action| &action.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), actions.len(), "a slot is there twice");
        }
        Ok(Mapping::Nothing(why)) => assert_code(&why),
        Err(failure) => assert_failure(&failure),
    }
}

fn assert_action(action: &Action) {
    assert!(action.name.starts_with("brevo/"), "{}", action.name);
    assert!(action.payload.len() <= 256 * 1024 && !action.slot.is_empty() && action.slot.len() <= 512);
    serde_json::from_str::<serde_json::Map<String, Value>>(&action.payload).expect("a payload is an object");
    if let (Some(from), Some(until)) = (action.not_before, action.not_after) {
        assert!(from <= until, "{}: not before {from}, not after {until}", action.slot);
    }
}

fn assert_failure(failure: &Failure) {
    assert_code(&failure.code);
    assert!(!failure.message.is_empty() && failure.message.len() <= 1024);
    if let FailureKind::VendorContract(sample) = &failure.kind {
        assert!(sample.len() <= 1024);
    }
}

/// `lower-kebab-case`.
fn assert_code(code: &str) {
    let plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    assert!(code.split('-').all(plain), "{code}");
}
