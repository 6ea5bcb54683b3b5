//! The connector through its four doors, natively.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod alerts;
mod campaign_filter;
mod campaigns;
mod campaigns_v1;
mod checks;
mod configure;
mod connector_campaigns;
mod consent_page;
mod deletes;
mod envelopes;
mod event_mapping;
mod exports;
mod fields;
mod golden;
mod identity;
mod inventory;
mod mapping;
mod objects;
mod pagination;
mod reach;
mod reports;
mod robustness;
mod rule_settings;
mod rules;
mod schemas;
mod segment_sync;
mod stats;
mod streams;
mod streams_marks;
mod surface_settings;
mod users;
mod watch_list;

use moengage_connector::{
    Action, Failure, Log, Mapping, Millis, Person, Record, Settings, Subject, WebhookOutcome, WebhookRequest,
    map_record,
};
use reach::handle_webhook;
use serde_json::{Value, json};

/// 2022-05-20T04:51:50Z, the time of the documented sample.
const T: i64 = 1_653_022_310;
const NOW: Millis = (T + 60) * 1000;

fn plain_settings() -> Value {
    json!({
        "workspace_id": "ABC123",
        "data_center": "01",
        "environment": "live",
        "keys": {"data": "data", "campaigns": "campaigns", "segmentation": "segmentation"},
        "webhook": {"auth": "basic", "user": "tajo", "secret": "webhook"}
    })
}

/// The plain settings with one top-level key set.
fn with(key: &str, value: Value) -> Settings {
    let mut settings = plain_settings();
    settings[key] = value;
    parse(&settings)
}

fn parse(settings: &Value) -> Settings {
    Settings::parse(&settings.to_string()).unwrap()
}

fn plain() -> Settings {
    parse(&plain_settings())
}

/// An event of the documented shape; `changes` are set over it, null removes.
fn event(changes: Value) -> Value {
    let mut event = json!({
        "event_name": "Email Opened",
        "event_code": "MOE_EMAIL_OPEN",
        "event_uuid": "3b918064-08dc-4d5e-9c3f-000000000001",
        "event_time": T,
        "event_type": "CAMPAIGN_EVENT",
        "event_source": "MOENGAGE",
        "email_id": "ann@example.com",
        "uid": "cust-1",
        "event_attributes": {"campaign_id": "62", "campaign_name": "Spring", "campaign_channel": "EMAIL"},
        "user_attributes": {"moengage_user_id": "6285c3a1", "u_em": "ann@example.com", "u_fn": "Ann"},
        "device_attributes": {"moengage_device_id": ""}
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            event.as_object_mut().unwrap().remove(key);
        } else {
            event[key] = value.clone();
        }
    }
    event
}

fn request(body: impl Into<Vec<u8>>) -> WebhookRequest {
    WebhookRequest {
        surface: "streams".to_owned(),
        body: body.into(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        received_at: NOW,
    }
}

fn batch(events: &[Value]) -> String {
    json!({"app_name": "Shop", "source": "MOENGAGE", "moe_request_id": "r-1", "events": events}).to_string()
}

fn take(settings: &Settings, events: &[Value]) -> WebhookOutcome {
    handle_webhook(settings, &request(batch(events))).unwrap()
}

/// The one event record of a batch with one event.
fn event_record(settings: &Settings, changes: Value) -> Record {
    let outcome = take(settings, &[event(changes)]);
    assert_eq!(outcome.rejects, []);
    outcome.records.into_iter().find(|record| record.kind == "event").unwrap()
}

/// The one contact record of a batch with one event.
fn contact_record(settings: &Settings, changes: Value) -> Record {
    let outcome = take(settings, &[event(changes)]);
    assert_eq!(outcome.rejects, []);
    outcome.records.into_iter().find(|record| record.kind == "contact").unwrap()
}

fn person(record: &Record) -> &Person {
    let Subject::Person(person) = &record.subject else { panic!("not about a person") };
    person
}

fn body(record: &Record) -> Value {
    serde_json::from_str(&record.body).unwrap()
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Log for Lines {
    fn warn(&mut self, message: &'static str, fields: &[(&'static str, &str)]) {
        self.0.push(format!("{message} {fields:?}"));
    }
}

fn map(settings: &Settings, record: &Record) -> Result<Mapping, Failure> {
    map_record(settings, record, NOW, &mut Lines::default())
}

fn actions(settings: &Settings, record: &Record) -> Vec<Action> {
    match map(settings, record).unwrap() {
        Mapping::Actions(actions) => actions,
        Mapping::Nothing(why) => panic!("nothing: {why}"),
    }
}

/// Slot and payload of each action.
fn effects(settings: &Settings, record: &Record) -> Vec<(String, Value)> {
    let effect = |action: Action| (action.slot, serde_json::from_str(&action.payload).unwrap());
    actions(settings, record).into_iter().map(effect).collect()
}

fn note(outcome: &WebhookOutcome, name: &str) -> u32 {
    outcome.notes.iter().find(|note| note.name == name).map_or(0, |note| note.count)
}
