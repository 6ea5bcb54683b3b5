//! What Streams says beside what happened: machines, and profiles that were merged.

use moengage_connector::Mapping;
use serde_json::{Value, json};

use crate::{
    actions, body, contact_record, effects, event, event_record, map, note, person, plain, take, with,
};

fn opened(mark: &str, value: Value) -> Value {
    json!({"event_attributes": {"campaign_id": "62", mark: value, "Machine Event Reason": "Apple MPP"}})
}

#[test]
fn a_machine_s_open_is_marked_in_the_record_and_at_brevo() {
    for mark in ["Is Machine Open", "Is Machine Event", "is_machine_open", "moe_is_machine_event"] {
        let record = event_record(&plain(), opened(mark, json!(true)));
        assert_eq!(
            (body(&record)["machine"].clone(), body(&record)["machine_reason"].clone()),
            (json!(true), json!("Apple MPP"))
        );
        let properties = &effects(&plain(), &record)[0].1["properties"];
        assert_eq!(properties["moengage_machine_event"], true, "{mark}");
    }
    let record = event_record(&plain(), opened("Is Machine Open", json!("false")));
    assert_eq!(effects(&plain(), &record)[0].1["properties"]["moengage_machine_event"], false);
    let record = event_record(&plain(), json!({}));
    assert!(body(&record).get("machine").is_none());
    assert!(effects(&plain(), &record)[0].1["properties"].get("moengage_machine_event").is_none());
    let outcome = take(&plain(), &[event(opened("Is Machine Open", json!("perhaps")))]);
    assert_eq!((note(&outcome, "unreadable-machine-mark"), outcome.records.len()), (1, 2));
}

#[test]
fn machine_events_are_dropped_where_the_tenant_says_so_and_opt_outs_are_not() {
    let settings = with("options", json!({"machine_events": "drop"}));
    let record = event_record(&settings, opened("Is Machine Event", json!(true)));
    assert_eq!(map(&settings, &record).unwrap(), Mapping::Nothing("machine-event".to_owned()));
    for mark in [json!(false), json!(null)] {
        let record = event_record(&settings, opened("Is Machine Event", mark));
        assert_eq!(actions(&settings, &record).len(), 1);
    }
    let mut unsubscribed = opened("Is Machine Event", json!(true));
    unsubscribed["event_code"] = json!("MOE_EMAIL_UNSUBSCRIBE");
    let slots: Vec<_> = actions(&settings, &event_record(&settings, unsubscribed))
        .into_iter()
        .map(|action| action.slot)
        .collect();
    assert_eq!(slots, ["consent-email"]);
}

#[test]
fn a_retained_profile_teaches_its_own_names() {
    let merged = json!({"event_code": "MOE_USER_MERGED", "event_name": "User Merged", "email_id": null});
    let outcome = take(&plain(), &[event(merged.clone())]);
    assert_eq!(outcome.records.len(), 2);
    let contact = contact_record(&plain(), merged);
    assert_eq!(
        (person(&contact).external_id.as_deref(), person(&contact).aliases[0].value.as_str()),
        (Some("cust-1"), "6285c3a1")
    );
}

#[test]
fn a_merged_profile_teaches_nothing_about_anybody() {
    // What it was merged into is in no documented attribute, so whatever stands there names nobody.
    let merged = json!({
        "event_code": "MOE_USER_MERGE_EVENT", "event_name": "User merged",
        "event_attributes": {"retained_user": "cust-2", "merged_user": "cust-1"}
    });
    let outcome = take(&plain(), &[event(merged)]);
    let [record] = outcome.records.as_slice() else { panic!("the event alone") };
    assert_eq!((record.kind.as_str(), person(record).external_id.as_deref()), ("event", Some("cust-1")));
    assert!(person(record).aliases.is_empty(), "a MoEngage id that may be the other profile's by now");
    assert_eq!(body(record)["attributes"]["retained_user"], "cust-2");
    assert_eq!(effects(&plain(), record)[0].1["event"], "moengage_user_merge_event");

    // As documented: it has nothing but MoEngage's own id any more.
    let bare = json!({
        "event_code": "MOE_USER_MERGE_EVENT", "uid": null, "email_id": null,
        "user_attributes": {"moengage_user_id": "m-old"}
    });
    let outcome = take(&plain(), &[event(bare)]);
    let [record] = outcome.records.as_slice() else { panic!("the event alone") };
    assert_eq!(person(record).aliases[0].value, "m-old");
    assert_eq!(map(&plain(), record).unwrap(), Mapping::Nothing("anonymous-person".to_owned()));
}
