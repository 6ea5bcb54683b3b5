//! One input of the documented shape for each door, through reading and mapping, held against a
//! file that was read by a person. `UPDATE_GOLDEN=1` writes the files anew; the difference is then
//! to be read.

use moengage_connector::{
    Action, Http, HttpError, HttpRequest, HttpResponse, Mapping, Note, PageRequest, Person, Position, Reach,
    Record, Reject, Settings, Subject,
};
use serde_json::{Value, json};

use crate::reach::{Memory, NoObjects, handle_webhook};
use crate::{NOW, map, parse, plain, plain_settings, request};

fn subject(subject: &Subject) -> Value {
    let Person { external_id, email, phone, aliases } = match subject {
        Subject::Person(person) => person,
        Subject::Object(kind, key) => return json!(format!("{kind} {key}")),
    };
    let aliases: Vec<_> = aliases.iter().map(|alias| format!("{}={}", alias.kind, alias.value)).collect();
    json!({"external_id": external_id, "email": email, "phone": phone, "aliases": aliases})
}

fn action(action: &Action) -> Value {
    json!({
        "slot": action.slot, "name": action.name, "not_after": action.not_after,
        "payload": serde_json::from_str::<Value>(&action.payload).unwrap(),
    })
}

fn record(settings: &Settings, record: &Record) -> Value {
    let mapping = match map(settings, record).unwrap() {
        Mapping::Actions(actions) => json!(actions.iter().map(action).collect::<Vec<_>>()),
        Mapping::Nothing(why) => json!(why),
    };
    json!({
        "id": record.id, "kind": record.kind, "subject": subject(&record.subject),
        "observation": format!("{} rank {}", record.observation.id, record.observation.rank),
        "occurred": format!("{:?} {:?}", record.occurred.trust, record.occurred.at),
        "body": serde_json::from_str::<Value>(&record.body).unwrap(),
        "mapping": mapping,
    })
}

fn assert_golden(settings: &Settings, name: &str, records: &[Record], rejects: &[Reject], notes: &[Note]) {
    let result = json!({
        "records": records.iter().map(|found| record(settings, found)).collect::<Vec<_>>(),
        "rejects": rejects.iter().map(|r| format!("{} {}", r.pointer, r.code)).collect::<Vec<_>>(),
        "notes": notes.iter().map(|n| format!("{} {}", n.name, n.count)).collect::<Vec<_>>(),
    });
    assert_golden_value(name, &result);
}

pub fn assert_golden_value(name: &str, result: &Value) {
    let path = format!("{}/tests/doors/golden/{name}.expected.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{result:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(format!("{result:#}"), format!("{expected:#}"));
}

/// A vendor that gives one answer.
struct Canned(&'static str);

impl Http for Canned {
    fn send(&mut self, _: &HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(HttpResponse { status: 200, headers: Vec::new(), body: self.0.as_bytes().to_vec() })
    }
}

fn assert_golden_page(resource: &str, answer: &'static str, watched: &[&str]) {
    let mut settings = plain_settings();
    settings["options"] = json!({"profile_refresh": "24h"});
    let mut storage = Memory(watched.iter().map(|uid| (format!("watch/{uid}"), Vec::new())).collect());
    let reach = &mut Reach { http: &mut Canned(answer), objects: &mut NoObjects, storage: &mut storage };
    let request =
        PageRequest { resource: resource.to_owned(), position: Position::Start, budget: 1_000, now: NOW };
    let page = moengage_connector::fetch_page(&parse(&settings), &request, reach).unwrap();
    assert_golden(&plain(), resource, &page.records, &page.rejects, &page.notes);
}

#[test]
fn the_documented_batch() {
    assert_golden_webhook("streams", &plain(), include_str!("golden/streams.json"));
}

fn assert_golden_webhook(surface: &str, settings: &Settings, body: &str) {
    let mut request = request(body);
    request.surface = surface.to_owned();
    let outcome = handle_webhook(settings, &request).unwrap();
    assert_golden(settings, surface, &outcome.records, &outcome.rejects, &outcome.notes);
}

#[test]
fn the_documented_chunk_of_a_segment() {
    let settings = crate::segment_sync::settings(json!({"lists": {"656f1d0c9b": {"name": "VIP"}}}));
    assert_golden_webhook("segment-sync", &settings, include_str!("golden/segment-sync.json"));
}

#[test]
fn the_documented_alert() {
    assert_golden_webhook("alerts", &crate::alerts::settings(), include_str!("golden/alerts.json"));
}

#[test]
fn a_declared_connector_campaign() {
    let settings = crate::connector_campaigns::settings(crate::connector_campaigns::full());
    assert_golden_webhook("connector-campaigns", &settings, include_str!("golden/connector-campaigns.json"));
}

#[test]
fn the_documented_campaigns() {
    assert_golden_page("campaigns", include_str!("golden/campaigns.json"), &[]);
}

#[test]
fn the_documented_users() {
    assert_golden_page("users", include_str!("golden/users.json"), &["4000052183", "jane_doe", "john_doe"]);
}
