//! Transactional SMS of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Options, Plan, TextKind};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};

const SEND: &str = "/v3/transactionalSMS/send";
const REPORT: &str = "/v3/transactionalSMS/statistics/events";

fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    (brevo, client)
}

/// What was sent is in the report at once.
fn brevo() -> (Brevo, Client) {
    let options = Options { sms_log_delay: Duration::ZERO, sms_templates: vec![5], ..Options::default() };
    start(Options { plan: Plan::Unlimited, ..options })
}

fn text(tag: &str) -> Value {
    json!({"recipient": "+4915112345678", "sender": "ACME", "content": "Hello", "type": "transactional", "tag": tag})
}

fn with(key: &str, value: Value) -> Value {
    let mut changed = text("t");
    changed[key] = value;
    changed
}

#[test]
fn a_message_is_sent_and_read_back() {
    let (brevo, client) = brevo();
    let sent = client.post(SEND, text("u1"));
    assert_eq!(sent.status, 201);
    let id = sent.json()["messageId"].as_i64().unwrap();
    let again = client.post(SEND, text("u1"));
    assert_ne!(again.json()["messageId"].as_i64().unwrap(), id, "nothing is deduplicated");
    let texts = brevo.texts();
    assert_eq!(texts.len(), 2);
    assert_eq!((texts[0].recipient.as_str(), texts[0].sender.as_str()), ("4915112345678", "ACME"));
    assert_eq!((texts[0].content.as_deref(), texts[0].message_id), (Some("Hello"), id));
    assert_eq!((texts[0].kind, texts[0].tags.as_slice()), (TextKind::Transactional, &["u1".to_owned()][..]));
    client.post(SEND, with("recipient", json!("33612345678")));
    let read =
        client.get(&format!("{REPORT}?tags=%5B%22u1%22%5D&phoneNumber=%2B4915112345678&sort=asc")).json();
    let names: Vec<&str> =
        read["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["accepted", "sent", "delivered", "accepted", "sent", "delivered"]);
    let row = &read["events"][0];
    assert_eq!((&row["messageId"], &row["tag"]), (&json!(id.to_string()), &json!("u1")));
    assert_eq!((&row["phoneNumber"], row["date"].is_string()), (&json!("4915112345678"), true));
    let few = client.get(&format!("{REPORT}?event=delivered&limit=2&offset=2&days=1")).json();
    assert_eq!(few["events"].as_array().unwrap().len(), 1);
    let other = client.get(&format!("{REPORT}?phoneNumber=491700000000")).json();
    assert_eq!(other, json!({"events": []}));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn the_older_call_says_more() {
    let (brevo, client) = brevo();
    brevo.set_sms_credits(Some(3));
    let long = with("content", json!("x".repeat(161)));
    let sent = client.post("/v3/transactionalSMS/sms", long.clone());
    assert_eq!(sent.status, 201);
    let body = sent.json();
    assert!(body["reference"].is_string());
    assert_eq!((body["smsCount"].as_i64(), body["remainingCredits"].as_i64()), (Some(2), Some(1)));
    for path in ["/v3/transactionalSMS/sms", SEND] {
        let refused = client.post(path, long.clone());
        assert_eq!((refused.status, refused.code().as_str()), (402, "not_enough_credits"));
    }
    assert_eq!(client.post(SEND, text("t")).status, 201);
    assert_eq!(brevo.texts().len(), 2);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn templates_tags_and_stop_codes() {
    let (brevo, client) = brevo();
    let template = |id: i64| json!({"recipient": "33612345678", "sender": "123456789012345", "templateId": id, "tag": ["a", "b"]});
    assert_eq!(client.post(SEND, template(5)).status, 201);
    assert_eq!(client.post(SEND, template(6)).status, 400);
    assert_eq!(client.post(SEND, with("content", json!("Sale! STOP to [STOP_CODE]"))).status, 201);
    assert_eq!(client.post(SEND, with("type", json!("marketing"))).status, 201);
    let texts = brevo.texts();
    assert_eq!((texts[0].template_id, texts[0].tags.len()), (Some(5), 2));
    assert_eq!([texts[1].kind, texts[2].kind], [TextKind::Marketing; 2]);
    let bad = client.post(SEND, with("recipient", json!("0151-123")));
    assert_eq!((bad.status, bad.code().as_str()), (400, "invalid_parameter"));
    assert!(brevo.violations().is_empty(), "bad data is no bad request");
}

#[test]
fn undocumented_messages_are_refused() {
    let (brevo, client) = brevo();
    let mut refused = vec![
        with("recipient", json!(4_915_112_345_678_i64)),
        with("sender", json!("ACME Shop")),
        with("sender", json!("ABCDEFGHIJKL")),
        with("sender", json!("1234567890123456")),
        with("sender", json!("")),
        with("content", json!("")),
        with("content", Value::Null),
        with("templateId", json!(5)),
        with("type", json!("bulk")),
        with("tag", json!("")),
        with("tag", json!(vec!["x"; 11])),
        with("tag", json!(1)),
        with("idempotencyKey", json!("k")),
        with("headers", json!({"idempotencyKey": "k"})),
    ];
    for key in ["recipient", "sender", "content"] {
        let mut without = text("t");
        without.as_object_mut().unwrap().remove(key);
        refused.push(without);
    }
    let many = refused.len();
    for body in refused {
        assert_eq!(client.post(SEND, body.clone()).status, 400, "{body}");
    }
    for wrong in ["limit=101", "event=opened", "tags=a", "phoneNumber=x", "messageId=1", "endDate=2026-01-01"]
    {
        assert_eq!(client.get(&format!("{REPORT}?{wrong}")).status, 400, "{wrong}");
    }
    assert_eq!(brevo.violations().len(), many + 6, "{:?}", brevo.violations());
    assert!(brevo.texts().is_empty());
}

#[test]
fn the_report_is_late_and_counts_elsewhere() {
    let options =
        Options { scale: Scale::from_now(1e-9), sms_log_delay: Duration::from_secs(1), ..Options::default() };
    let (brevo, client) = start(options);
    let sent = client.post(SEND, text("t"));
    assert_eq!(sent.header("x-sib-ratelimit-limit"), Some("150"));
    let read = client.get(REPORT);
    assert_eq!((read.json(), read.header("x-sib-ratelimit-limit")), (json!({"events": []}), Some("100")));
    assert_eq!(brevo.texts().len(), 1);
    for _ in 0..149 {
        assert_eq!(client.post("/v3/transactionalSMS/sms", text("t")).status, 201);
    }
    assert_eq!(client.post(SEND, text("t")).status, 429, "both calls share a window");
}

#[test]
fn a_fault_may_hide_that_it_was_sent() {
    let (brevo, client) = brevo();
    brevo.faults().add(Rule::on("POST", SEND, Fault::close_after_effect()).times(1)).unwrap();
    assert!(client.try_send("POST", SEND, text("u1").to_string().as_bytes()).is_err());
    brevo.faults().add(Rule::on("POST", SEND, Fault::status(503, "")).times(1)).unwrap();
    assert_eq!(client.post(SEND, text("u1")).status, 503);
    assert_eq!(brevo.texts().len(), 1);
    let found = client.get(&format!("{REPORT}?tags=%5B%22u1%22%5D&event=accepted")).json();
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
}
