//! Alerts, against a receiver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
mod receiver;

use std::time::Duration;

use client::Client;
use receiver::{Answer, Receiver};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stand_ins::moengage::alerts::{Alert, AlertTarget, AlertType};
use stand_ins::moengage::posting::Outcome;
use stand_ins::moengage::{MoEngage, Options};

const WAIT: Duration = Duration::from_secs(60);

fn digest(key: &str, body: &[u8]) -> String {
    let text = [key.as_bytes(), b"|", body].concat();
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_signature_is_the_digest_of_key_and_raw_body() {
    // By another implementation: printf 'campaigns-key|{}' | sha256sum
    assert_eq!(
        digest("campaigns-key", b"{}"),
        "ae99c1cc8571eea68dee8f7311c1649a9dfacaa5b514e978672f332dc52613e9"
    );
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = MoEngage::start(Options::default()).unwrap();
    for indented in [true, false] {
        let alerts =
            moengage.alerts(AlertTarget { indented, ..AlertTarget::new(&receiver.url("/a")) }).unwrap();
        let name = "Zustellung unter 90 % – prüfen".to_owned();
        alerts.send(&Alert { name, ..Alert::new(AlertType::CampaignStats) });
        assert!(alerts.wait(WAIT));
        let sent = alerts.sent().remove(0);
        let came = receiver.received().pop().unwrap();
        assert_eq!(came.headers[0], "POST /a HTTP/1.1");
        assert_eq!(came.body, sent.body);
        assert_eq!(came.body.contains(&b'\n'), indented);
        assert_eq!(came.header("signature"), Some(sent.signature.as_str()));
        assert_eq!(sent.signature, digest("campaigns-key", &came.body));
        assert_eq!(sent.tried.unwrap().outcome, Outcome::Status(200));
    }
}

#[test]
fn all_types_have_their_documented_fields() {
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = MoEngage::start(Options::default()).unwrap();
    let alerts = moengage.alerts(AlertTarget::new(&receiver.url("/"))).unwrap();
    let at = 1_742_601_540_000;
    let body = |alert: Alert| -> Value {
        let number = alerts.send(&alert);
        assert!(alerts.wait(WAIT));
        serde_json::from_slice(&alerts.sent()[number].body).unwrap()
    };
    let mut seen = Vec::new();
    for kind in AlertType::ALL {
        let body = body(Alert { triggered_at: at, ..Alert::new(kind) });
        assert_eq!(body["alert_triggered_at"], "2025-03-21T23:59:00Z");
        assert_eq!(body["alert_evaluation_frequency"], json!({"value": 1, "unit": "day"}));
        assert_eq!(body["db_name"], "STANDIN");
        let criteria = &body["alert_evaluation_criteria"];
        assert_eq!(criteria["range_end"], "2025-03-22T23:59:00Z");
        assert!(criteria["threshold"].is_number() && criteria["operator"].is_string());
        seen.push(body["alert_type"].as_str().unwrap().to_owned());
        let content = body["entity_data"]["content"].as_array();
        assert_eq!(content.map_or(0, Vec::len), usize::from(content.is_some()) * 2);
        if let Some(row) = content.map(|content| &content[0]) {
            assert_eq!(body["entity_data"]["count"], 2);
            let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            let figures = [
                "campaign_id",
                "campaign_name",
                "channel",
                "current_value",
                "delivery_type",
                "flow_id",
                "flow_name",
                "version_name",
            ];
            let expiry = ["campaign_id", "campaign_name", "channel", "delivery_type", "expiry_in_days"];
            match kind {
                AlertType::CampaignExpiry => assert_eq!(keys, expiry),
                _ => assert_eq!(keys, figures),
            }
        } else {
            assert!(matches!(kind, AlertType::ApnsTokenExpiry | AlertType::FacebookTokenExpiry));
            assert!(body.get("entity_data").is_none());
        }
    }
    assert_eq!(
        seen,
        ["CAMPAIGN_STATS", "FLOW_STATS", "CAMPAIGN_EXPIRY", "APNS_TOKEN_EXPIRY", "FACEBOOK_TOKEN_EXPIRY"]
    );
    let relative = body(Alert { relative: true, ..Alert::new(AlertType::FlowStats) });
    assert_eq!(relative["alert_evaluation_criteria"]["moving_avg_range"], json!({"value": 7, "unit": "day"}));
    assert_eq!(relative["entity_data"]["content"][1]["moving_avg_value"], 10.9);
    assert_eq!(relative["entity_data"]["content"][1]["campaign_name"], "");
    let token = body(Alert { relative: true, ..Alert::new(AlertType::ApnsTokenExpiry) });
    assert!(token["alert_evaluation_criteria"].get("moving_avg_range").is_none());
}

#[test]
fn an_alert_is_sent_once_and_again_on_demand() {
    let receiver = Receiver::start(|_| Answer::json(500));
    let moengage = MoEngage::start(Options::default()).unwrap();
    let target = AlertTarget { key: Some("old".to_owned()), ..AlertTarget::new(&receiver.url("/")) };
    let alerts = moengage.alerts(target).unwrap();
    alerts.send(&Alert::new(AlertType::CampaignExpiry));
    assert!(alerts.wait(WAIT));
    assert_eq!(receiver.received().len(), 1, "no retry is documented");
    assert!(!alerts.sent()[0].tried.as_ref().unwrap().success);
    assert_eq!(alerts.resend(0), Some(1));
    alerts.set_key("new");
    assert_eq!(alerts.resend(0), Some(2));
    assert_eq!(alerts.resend(9), None);
    assert!(alerts.wait(WAIT));
    let sent = alerts.sent();
    assert!(sent.iter().all(|alert| alert.body == sent[0].body));
    assert_eq!(sent[1].signature, sent[0].signature);
    assert_eq!(sent[2].signature, digest("new", &sent[0].body));
}

#[test]
fn a_person_sends_alerts() {
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = MoEngage::start(Options::default()).unwrap();
    let person = Client::new(&moengage.url(), &[]);
    let made = person.post("/_control/alert-webhooks", json!({"url": receiver.url("/"), "key": "k"}));
    assert_eq!(made.json(), json!({"webhook": 0}));
    let sent = person.post("/_control/alerts", json!({"alert": {"kind": "FLOW_STATS", "count": 1}}));
    assert_eq!(sent.json(), json!({"alert": 0}));
    assert_eq!(person.post("/_control/alerts", json!({"again": 0})).json(), json!({"alert": 1}));
    let until = std::time::Instant::now() + WAIT;
    while receiver.received().len() < 2 {
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(Duration::from_millis(1));
    }
    let bodies = receiver.bodies();
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(receiver.received()[0].header("signature").unwrap(), digest("k", &bodies[0]));
    for body in
        [json!({}), json!({"again": 7}), json!({"webhook": 3, "again": 0}), json!({"alert": {"kind": "NEW"}})]
    {
        assert_eq!(person.post("/_control/alerts", body).status, 400);
    }
}
