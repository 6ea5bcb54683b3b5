//! Properties that hold for every input.

use std::collections::BTreeSet;

use moengage_connector::{Mapping, configure};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::handle_webhook;
use crate::{batch, event, map, plain, plain_settings, request, take};

/// Any JSON, three levels deep.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("anon")),
        Just(json!("+4917012345678")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A documented event with some fields replaced by anything.
fn any_event() -> impl Strategy<Value = Value> {
    let fields = prop_oneof![
        Just("uid"),
        Just("event_uuid"),
        Just("event_code"),
        Just("event_name"),
        Just("event_time"),
        Just("email_id"),
        Just("mobile_number"),
        Just("event_attributes"),
        Just("user_attributes"),
    ];
    proptest::collection::btree_map(fields, any_json(), 0..4).prop_map(|changes| {
        let mut event = event(json!({}));
        for (key, value) in changes {
            event[key] = value;
        }
        event
    })
}

/// A documented event whose attributes are anything.
fn any_attributes() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        Just("u_em".to_owned()),
        Just("u_mb".to_owned()),
        Just("u_fn".to_owned()),
        Just("u_bd".to_owned()),
        Just("moe_unsubscribe".to_owned()),
        Just("moe_email_optin_status".to_owned()),
        Just("moe_sms_subscription".to_owned()),
        Just("moengage_event_uuid".to_owned()),
        ".{0,8}",
    ];
    let map = || proptest::collection::btree_map(keys.clone(), any_json(), 0..8);
    (map(), map()).prop_map(|(user, own)| {
        let mut event = event(json!({}));
        event["user_attributes"] = json!(user);
        event["event_attributes"] = json!(own);
        event
    })
}

fn assert_within_contract(events: &[Value]) {
    let settings = plain();
    let outcome = take(&settings, events);
    let rejected: BTreeSet<_> = outcome.rejects.iter().map(|reject| reject.pointer.clone()).collect();
    assert_eq!(rejected.len(), outcome.rejects.len());
    let accepted = outcome.records.iter().filter(|record| record.kind == "event").count();
    assert_eq!(accepted + rejected.len(), events.len(), "every event is a record or a reject");
    for record in &outcome.records {
        assert!(record.id.len() <= 512 && record.body.len() <= 256 * 1024);
        crate::schemas::assert_fits_schema(&record.kind, &serde_json::from_str(&record.body).unwrap());
        let Ok(Mapping::Actions(actions)) = map(&settings, record) else { continue };
        for action in actions {
            let payload: Value = serde_json::from_str(&action.payload).unwrap();
            if let Some(properties) = payload.get("properties") {
                for key in properties.as_object().unwrap().keys() {
                    let taken = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                    assert!((1..=255).contains(&key.len()) && key.bytes().all(taken), "{key}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_typed_result(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = handle_webhook(&plain(), &request(bytes));
    }

    #[test]
    fn a_batch_cut_or_flipped_anywhere_gives_a_typed_result(at: usize, with: u8, cut: bool) {
        let mut bytes = batch(&[event(json!({})), event(json!({"event_uuid": "u2"}))]).into_bytes();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        if let Ok(outcome) = handle_webhook(&plain(), &request(bytes)) {
            for record in &outcome.records {
                let _ = map(&plain(), record);
            }
        }
    }

    #[test]
    fn any_settings_give_a_profile_or_problems(text in ".{0,80}", value in any_json(), key in 0..17_usize) {
        if let Err(problems) = configure(&text) {
            prop_assert!(!problems.is_empty());
        }
        let keys = ["workspace_id", "data_center", "environment", "project_code", "keys", "webhook", "sync",
                    "field_mapping", "event_mapping", "options", "campaigns", "key_for", "catalogs", "cards", "recommendations",
                    "report_files", "campaign_stats"];
        let mut settings = plain_settings();
        settings[keys[key]] = value;
        if let Err(problems) = configure(&settings.to_string()) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|p| !p.code.is_empty() && !p.message.is_empty() && !p.remedy.is_empty()));
        }
    }

    #[test]
    fn whatever_an_event_holds_the_outcome_keeps_the_contract(events in proptest::collection::vec(any_event(), 0..4)) {
        assert_within_contract(&events);
    }

    #[test]
    fn whatever_attributes_hold_the_outcome_keeps_the_contract(events in proptest::collection::vec(any_attributes(), 1..4)) {
        assert_within_contract(&events);
    }

    #[test]
    fn order_and_repetition_of_a_batch_change_no_record(
        events in proptest::collection::vec(any_event(), 1..5), shuffle in any::<prop::sample::Index>(), again: bool
    ) {
        let text = |events: &[Value]| -> BTreeSet<String> {
            take(&plain(), events).records.iter().map(|record| format!("{record:?}")).collect()
        };
        let mut other = events.clone();
        other.rotate_left(shuffle.index(events.len()));
        if again {
            other.extend(events.clone());
        }
        prop_assert_eq!(text(&events), text(&other));
    }

    #[test]
    fn different_uuids_and_uids_have_different_ids(
        a in ("[a-z:%.]{1,6}", "[b-z:%.]{2,6}"), b in ("[a-z:%.]{1,6}", "[b-z:%.]{2,6}")
    ) {
        let ids = |(uuid, uid): &(String, String)| -> Vec<String> {
            let outcome = take(&plain(), &[event(json!({"event_uuid": uuid, "uid": uid}))]);
            outcome.records.into_iter().map(|record| record.id).collect()
        };
        let refused = |uid: &str| ["id", "na", "uid", "none", "null", "true", "guest", "false"].contains(&uid);
        prop_assume!(!refused(&a.1) && !refused(&b.1));
        let (ids_a, ids_b) = (ids(&a), ids(&b));
        prop_assert_eq!(ids_a[0] == ids_b[0], a.1 == b.1);
        prop_assert_eq!(ids_a[1] == ids_b[1], a.0 == b.0);
    }
}
