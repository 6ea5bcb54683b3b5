//! Alerts, as MoEngage's webhook destination sends them.

use moengage_connector::{
    FailureKind, Mapping, Nature, Settings, Subject, TimeTrust, WebhookOutcome, WebhookRequest,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::handle_webhook;
use crate::{NOW, body, map, note, parse, plain, plain_settings, schemas};

/// The plain settings with alerts.
pub fn settings() -> Settings {
    let mut settings = plain_settings();
    settings["alerts"] = json!(true);
    parse(&settings)
}

fn request(body: impl Into<Vec<u8>>) -> WebhookRequest {
    WebhookRequest { surface: "alerts".to_owned(), body: body.into(), headers: Vec::new(), received_at: NOW }
}

fn alert() -> Value {
    serde_json::from_str(include_str!("golden/alerts.json")).unwrap()
}

fn take(body: impl Into<Vec<u8>>) -> WebhookOutcome {
    handle_webhook(&settings(), &request(body)).unwrap()
}

fn id(alert: &Value) -> String {
    take(alert.to_string()).records[0].id.clone()
}

#[test]
fn an_alert_happened_once_and_calls_for_nothing() {
    let outcome = take(alert().to_string());
    let [record] = outcome.records.as_slice() else { panic!("one record") };
    assert_eq!((record.kind.as_str(), record.nature), ("alert", Nature::Event));
    assert_eq!(record.subject, Subject::Object("alert".to_owned(), "67dd1f".to_owned()));
    assert_eq!((record.occurred.at, record.occurred.trust), (Some(1_742_601_540_000), TimeTrust::Vendor));
    assert_eq!(map(&settings(), record).unwrap(), Mapping::Nothing("no-target".to_owned()));
    schemas::assert_fits_schema("alert", &body(record));
    assert!(outcome.rejects.is_empty() && outcome.notes.is_empty());
}

#[test]
fn w15_a_repeated_delivery_has_the_same_id_and_another_alert_has_not() {
    let first = id(&alert());
    assert_eq!(id(&alert()), first);
    // The same written another way: order of keys, spaces, an escape, the instant.
    let text = format!(
        r#"{{ "entity_data": {}, "alert_triggered_at":"2025-03-21T23:59:00.000Z","alert\u005fid":"67dd1f",
            "alert_evaluation_criteria": {{ "unit": "percentage", "operator": "\u0067t", "threshold": 10,
                "range_start": "2025-03-21T23:59:00Z", "moving_avg_range": {{"unit":"day","value":7}},
                "range_end": "2025-03-22T23:59:00Z", "name": "DELIVERY_RATE" }} }}"#,
        alert()["entity_data"]
    );
    assert_eq!(take(text).records[0].id, first);
    for (pointer, value) in [
        ("/alert_id", json!("67dd20")),
        ("/alert_triggered_at", json!("2025-03-22T23:59:00Z")),
        ("/entity_data/content/0/current_value", json!(71)),
        ("/entity_data/content/0/campaign_id", json!("c9")),
        ("/entity_data/content/0/campaign_id", json!(["6287a9d1f2"])),
        ("/entity_data", Value::Null),
        ("/alert_evaluation_criteria/name", json!("CTR")),
    ] {
        let mut other = alert();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_ne!(id(&other), first, "{pointer}");
    }
}

#[test]
fn a_token_that_expires_has_no_entities() {
    let mut token = alert();
    token["alert_type"] = json!("APNS_TOKEN_EXPIRY");
    token.as_object_mut().unwrap().remove("entity_data");
    let outcome = take(token.to_string());
    assert_eq!(body(&outcome.records[0])["entities"], json!([]));
}

#[test]
fn what_is_missing_is_said() {
    for (pointer, value, code) in [
        ("/alert_id", json!(""), "missing-alert-id"),
        ("/alert_id", json!(1.5), "float-identity"),
        ("/alert_id", json!("x".repeat(500)), "identity-too-long"),
        ("/entity_data", json!([]), "alert-not-as-documented"),
        ("/entity_data/content", json!({}), "alert-not-as-documented"),
        ("/entity_data/content", json!([1]), "alert-not-as-documented"),
        ("/alert_evaluation_criteria", json!("x"), "alert-not-as-documented"),
        ("/alert_evaluation_frequency", json!(1), "alert-not-as-documented"),
        ("/alert_name", json!("x".repeat(300_000)), "alert-too-large"),
    ] {
        let mut other = alert();
        *other.pointer_mut(pointer).unwrap() = value;
        let outcome = take(other.to_string());
        assert_eq!((outcome.records.len(), outcome.rejects[0].code.as_str()), (0, code), "{pointer}");
        assert!(outcome.rejects[0].pointer.starts_with('/'));
    }
    let mut undated = alert();
    undated["alert_triggered_at"] = json!("soon");
    let outcome = take(undated.to_string());
    assert_eq!(
        (note(&outcome, "unreadable-alert-time"), outcome.records[0].occurred.trust),
        (1, TimeTrust::Unknown)
    );
}

#[test]
fn w14_a_body_of_another_shape_is_a_named_failure() {
    for (text, code) in
        [("<alert/>", "body-not-json"), ("[]", "body-not-object"), (r#"{"a":1,"a":2}"#, "duplicate-key")]
    {
        let failure = handle_webhook(&settings(), &request(text)).unwrap_err();
        assert_eq!(failure.code, code);
        assert!(matches!(failure.kind, FailureKind::VendorContract(_)));
    }
    assert_eq!(handle_webhook(&plain(), &request("{}")).unwrap_err().code, "unknown-surface");
}

#[test]
fn d05_d02_duplicate_keys_and_deep_nesting_inside_are_rejects() {
    let text = alert().to_string();
    let twice = text.replace("\"count\":", "\"count\":1,\"count\":");
    assert_eq!(take(twice).rejects[0].code, "duplicate-key");
    let deep = text.replace(
        "\"count\":",
        &format!("\"deep\":{}{},\"count\":", "[".repeat(100_000), "]".repeat(100_000)),
    );
    assert_eq!(take(deep).rejects[0].code, "too-deep");
}

#[test]
fn d01_bytes_that_are_not_utf8_are_replaced_where_they_stand() {
    let mut bytes = alert().to_string().into_bytes();
    let at = bytes.windows(8).position(|window| window == b"Delivery").unwrap();
    bytes[at] = 0xFC;
    let outcome = take(bytes);
    assert_eq!((outcome.records.len(), note(&outcome, "non-utf8-replaced")), (1, 1));
}

proptest! {
    #[test]
    fn any_bytes_give_a_typed_result(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = handle_webhook(&settings(), &request(bytes));
    }

    #[test]
    fn an_alert_cut_or_flipped_anywhere_is_a_record_a_reject_or_a_failure(at: usize, with: u8, cut: bool) {
        let mut bytes = alert().to_string().into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(outcome) = handle_webhook(&settings(), &request(bytes)) {
            prop_assert_eq!(outcome.records.len() + outcome.rejects.len(), 1);
            for record in &outcome.records {
                schemas::assert_fits_schema("alert", &body(record));
            }
        }
    }
}
