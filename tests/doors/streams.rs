use moengage_connector::{FailureKind, Nature, Provenance, TimeTrust};
use serde_json::{Value, json};

use crate::reach::handle_webhook;
use crate::{T, batch, body, contact_record, event, event_record, note, person, plain, request, take, with};

#[test]
fn one_event_gives_the_contact_and_the_event() {
    let outcome = take(&plain(), &[event(json!({}))]);
    let [contact, event] = outcome.records.as_slice() else { panic!("two records") };
    assert_eq!(contact.id, "moengage:ABC123:contact:uid.cust-1");
    assert_eq!((contact.nature, contact.observation.rank), (Nature::State, 10));
    assert_eq!(event.id, "moengage:ABC123:event:3b918064-08dc-4d5e-9c3f-000000000001");
    assert_eq!((event.nature, event.provenance), (Nature::Event, Provenance::Live));
    for record in [contact, event] {
        assert_eq!(record.observation.id, "3b918064-08dc-4d5e-9c3f-000000000001");
        assert_eq!((record.occurred.at, record.occurred.trust), (Some(T * 1000), TimeTrust::Vendor));
        assert_eq!(person(record).external_id.as_deref(), Some("cust-1"));
        assert_eq!(person(record).email.as_deref(), Some("ann@example.com"));
        assert_eq!(person(record).aliases[0].kind, "moengage-user-id");
    }
    assert!(outcome.rejects.is_empty() && outcome.notes.is_empty());
}

#[test]
fn live_and_test_never_share_an_id() {
    let live = take(&plain(), &[event(json!({}))]);
    let test = take(&with("environment", json!("test")), &[event(json!({}))]);
    for (live, test) in live.records.iter().zip(&test.records) {
        assert_ne!(live.id, test.id);
        assert!(test.id.starts_with("moengage:ABC123.test:"));
    }
}

#[test]
fn ids_are_exact_in_every_spelling() {
    for (uid, external_id) in [
        (json!("4000052183"), "4000052183"),
        (json!("4000052183.0"), "4000052183.0"),
        (json!("0042"), "0042"),
        (json!(4_000_052_183_i64), "4000052183"),
        (json!(4_000_052_183.0), "4000052183"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        let record = contact_record(&plain(), json!({"uid": uid}));
        assert_eq!(person(&record).external_id.as_deref(), Some(external_id));
        assert_eq!(record.id, format!("moengage:ABC123:contact:uid.{external_id}"));
    }
    let long = "123456789012345678901234567890123";
    let text = batch(&[event(json!({"uid": "@"}))]).replace("\"@\"", long);
    let outcome = handle_webhook(&plain(), &request(text)).unwrap();
    assert_eq!(person(&outcome.records[0]).external_id.as_deref(), Some(long));
}

#[test]
fn a_float_that_lost_digits_names_nobody() {
    for uid in [json!(9_007_199_254_740_992.0), json!(1e18), json!(7.5)] {
        let outcome = take(&plain(), &[event(json!({"uid": uid}))]);
        assert_eq!(outcome.rejects[0].code, "float-identity");
        assert!(outcome.records.is_empty());
    }
    let alias = json!({"user_attributes": {"moengage_user_id": 1e18, "u_em": "ann@example.com"}});
    let outcome = take(&plain(), &[event(alias)]);
    assert_eq!(note(&outcome, "alias-dropped"), 1);
    assert!(person(&outcome.records[0]).aliases.is_empty());
}

#[test]
fn an_event_without_uuid_is_rejected_and_the_others_go_on() {
    let bad = [json!(null), json!(""), json!("  "), json!({"x": 1}), json!(true), json!(1.5)];
    let mut events: Vec<Value> = Vec::new();
    for uuid in &bad {
        let mut event = event(json!({}));
        event["event_uuid"] = uuid.clone();
        events.push(event);
    }
    events.push(event(json!({"event_uuid": null})));
    events.push(event(json!({})));
    let outcome = take(&plain(), &events);
    let codes: Vec<_> = outcome.rejects.iter().map(|reject| reject.code.as_str()).collect();
    let missing = "missing-event-uuid";
    let wrong = "wrong-type-identity";
    assert_eq!(codes, [missing, missing, missing, wrong, wrong, "float-identity", missing]);
    assert_eq!(outcome.rejects[6].pointer, "/events/6");
    assert_eq!(outcome.records.len(), 2);
}

#[test]
fn an_id_with_a_control_character_costs_its_event_and_nothing_else() {
    let bad = [json!({"event_uuid": "a\u{7}b"}), json!({"uid": "a\nb"}), json!({"uid": "a\u{9b}b"})];
    let events: Vec<Value> = bad.into_iter().chain([json!({})]).map(event).collect();
    let outcome = take(&plain(), &events);
    assert!(outcome.rejects.iter().all(|reject| reject.code == "control-character-identity"));
    assert_eq!((outcome.rejects.len(), outcome.records.len()), (3, 2));
}

#[test]
fn anonymous_visitors_have_an_event_and_no_contact() {
    let anonymous = json!({"uid": null, "email_id": null, "user_attributes": {"moengage_user_id": "m1"}});
    let outcome = take(&plain(), &[event(anonymous)]);
    assert_eq!(outcome.records.len(), 1);
    assert_eq!(outcome.records[0].kind, "event");
    assert!(person(&outcome.records[0]).is_anonymous());

    for (uid, name) in [
        ("anon-77", "anonymous-uid"),
        ("ANON1", "anonymous-uid"),
        ("guest", "refused-uid"),
        ("N/A", "refused-uid"),
    ] {
        let outcome = take(
            &plain(),
            &[event(json!({"uid": uid, "email_id": null, "user_attributes": {"moengage_user_id": "m1"}}))],
        );
        assert_eq!((outcome.records.len(), note(&outcome, name)), (1, 1), "{uid}");
    }
    let record = contact_record(&with("options", json!({"anonymous_uid": ""})), json!({"uid": "manon"}));
    assert_eq!(person(&record).external_id.as_deref(), Some("manon"));
}

#[test]
fn a_person_without_customer_id_is_known_by_address() {
    let record = contact_record(&plain(), json!({"uid": ""}));
    assert_eq!(record.id, "moengage:ABC123:contact:mid.6285c3a1");
    let record = contact_record(&plain(), json!({"uid": null, "user_attributes": null}));
    assert_eq!(record.id, "moengage:ABC123:contact:event.3b918064-08dc-4d5e-9c3f-000000000001");
    assert_eq!(person(&record).email.as_deref(), Some("ann@example.com"));
}

#[test]
fn the_address_attribute_can_be_configured() {
    let settings = with("options", json!({"email_attribute": "work_mail"}));
    let user = json!({"moengage_user_id": "m", "u_em": "old@example.com", "work_mail": "new@example.com"});
    let record = contact_record(&settings, json!({"user_attributes": user}));
    assert_eq!(person(&record).email.as_deref(), Some("new@example.com"));
}

#[test]
fn a_phone_without_country_is_left_out_and_said_so() {
    let user = |phone: &str| json!({"user_attributes": {"moengage_user_id": "m", "u_mb": phone}});
    assert_eq!(
        person(&contact_record(&plain(), user("+91 8888 444411"))).phone.as_deref(),
        Some("+918888444411")
    );
    let outcome = take(&plain(), &[event(user("918888444411"))]);
    assert_eq!(note(&outcome, "phone-without-country"), 1);
    assert_eq!(person(&outcome.records[0]).phone, None);
    assert_eq!(body(&outcome.records[0])["attributes"]["u_mb"], "918888444411");
    let bare = with("options", json!({"phones": "bare-is-international"}));
    assert_eq!(person(&contact_record(&bare, user("918888444411"))).phone.as_deref(), Some("+918888444411"));
    let off = with("field_mapping", json!({"u_mb": null}));
    assert_eq!(person(&contact_record(&off, user("+918888444411"))).phone, None);
}

#[test]
fn missing_null_and_empty_stay_three_things() {
    let user =
        r#"{"moengage_user_id":"m","u_ln":null,"u_n":"","u_gd":[],"big":12345678901234567890123,"f":1.50}"#;
    let text = batch(&[event(json!({"user_attributes": "@"}))]).replace("\"@\"", user);
    let outcome = handle_webhook(&plain(), &request(text)).unwrap();
    assert!(outcome.records[0].body.contains(user), "kept byte for byte");
}

#[test]
fn times_are_epoch_seconds_or_unknown() {
    for time in [json!(T), json!(T.to_string()), json!(T as f64)] {
        assert_eq!(event_record(&plain(), json!({"event_time": time})).occurred.at, Some(T * 1000));
    }
    for time in [json!(T * 1000), json!("yesterday"), json!(-1), json!([]), json!("")] {
        let outcome = take(&plain(), &[event(json!({"event_time": time}))]);
        assert_eq!(note(&outcome, "unreadable-time"), 1);
        for record in &outcome.records {
            assert_eq!((record.occurred.at, record.occurred.trust), (None, TimeTrust::Unknown));
        }
    }
    assert_eq!(event_record(&plain(), json!({"event_time": null})).occurred.trust, TimeTrust::Unknown);
}

#[test]
fn both_spellings_of_the_source_and_a_note_for_others() {
    for source in ["MOENGAGE", "MoEngage", "moengage"] {
        assert_eq!(take(&plain(), &[event(json!({"event_source": source}))]).notes, []);
    }
    let outcome = take(&plain(), &[event(json!({"event_source": "SEGMENT"}))]);
    assert_eq!((note(&outcome, "other-source"), outcome.records.len()), (1, 2));
}

#[test]
fn unknown_codes_and_words_are_carried_through() {
    let record = event_record(
        &plain(),
        json!({"event_code": "VIEW_RADAR", "event_name": null, "event_type": "LIFECYCLE"}),
    );
    assert_eq!(body(&record)["code"], "VIEW_RADAR");
    assert_eq!(body(&record)["type"], "LIFECYCLE");
    assert!(body(&record).get("name").is_none() && body(&record).get("channel").is_none());
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_where_they_stand() {
    let mut text = batch(&[
        event(json!({"event_attributes": {"campaign_name": "Fr@hling"}})),
        event(json!({"event_uuid": "u2"})),
        event(json!({"event_uuid": "u3", "uid": "J@rg"})),
        event(json!({"event_uuid": "u4", "email_id": "j@rg@example.com", "user_attributes": {}})),
    ])
    .into_bytes();
    // Windows-1252 for ü, in place of the marks.
    for mark in [&b"Fr@hling"[..], b"J@rg", b"j@rg"] {
        let at = text.windows(mark.len()).position(|window| window == mark).unwrap();
        let offset = mark.iter().position(|&b| b == b'@').unwrap();
        text[at + offset] = 0xFC;
    }
    let outcome = handle_webhook(&plain(), &request(text)).unwrap();
    assert_eq!(note(&outcome, "non-utf8-replaced"), 3);
    assert_eq!(body(&outcome.records[1])["attributes"]["campaign_name"], "Fr\u{FFFD}hling");
    let rejects: Vec<_> =
        outcome.rejects.iter().map(|reject| (reject.pointer.as_str(), reject.code.as_str())).collect();
    assert_eq!(rejects, [("/events/2", "unreadable-identity"), ("/events/3", "unreadable-identity")]);
    assert_eq!(outcome.records.len(), 4);
}

#[test]
fn a_poison_event_does_not_stop_the_others() {
    let good = event(json!({})).to_string();
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let poison = [
        ("7", "event-not-object"),
        ("null", "event-not-object"),
        (r#"{"event_uuid":"a","event_uuid":"b"}"#, "duplicate-key"),
        (r#"{"event_uuid":"a","event_attributes":{"x":1,"x":2}}"#, "duplicate-key"),
        (r#"{"event_uuid":"\ud800"}"#, "unreadable-value"),
        (r#"{"event_uuid":"a","x":1e999}"#, "unreadable-value"),
        (deep.as_str(), "too-deep"),
        (r#"{"event_uuid":"a","x":{"$serde_json::private::RawValue":"["}}"#, "reserved-key"),
        (r#"{"event_uuid":"a"}"#, "missing-event-code"),
        (r#"{"event_uuid":"a","event_code":""}"#, "missing-event-code"),
        (r#"{"event_uuid":"a","event_code":"b","event_attributes":[1]}"#, "attributes-not-object"),
        (r#"{"event_uuid":"a","event_code":"b","uid":{"x":1}}"#, "wrong-type-identity"),
    ];
    for (bad, code) in poison {
        let text = format!(r#"{{"events":[{good},{bad},{good}]}}"#);
        let outcome = handle_webhook(&plain(), &request(text)).unwrap();
        assert_eq!(outcome.records.len(), 4, "{bad}");
        assert_eq!(outcome.rejects.len(), 1, "{bad}");
        assert_eq!(
            (outcome.rejects[0].pointer.as_str(), outcome.rejects[0].code.as_str()),
            ("/events/1", code)
        );
        assert!(!outcome.rejects[0].remedy.is_empty());
    }
}

#[test]
fn values_beyond_any_limit_are_rejected_with_a_code() {
    let huge = "x".repeat(10 * 1024 * 1024);
    for (changes, code) in [
        (json!({"event_attributes": {"x": huge}}), "event-too-large"),
        (json!({"user_attributes": {"x": huge}}), "event-too-large"),
        (json!({"uid": huge}), "identity-too-long"),
        (json!({"uid": ":".repeat(400)}), "identity-too-long"),
        (json!({"event_uuid": "x".repeat(513)}), "identity-too-long"),
    ] {
        let outcome = take(&plain(), &[event(changes), event(json!({}))]);
        assert_eq!((outcome.rejects.len(), outcome.rejects[0].code.as_str()), (1, code));
        assert_eq!(outcome.records.len(), 2);
    }
}

#[test]
fn a_body_of_which_nothing_can_be_read_is_a_typed_failure() {
    let many = format!(r#"{{"events":[{}0]}}"#, "0,".repeat(10_000));
    for (text, code) in [
        (&b""[..], "body-not-json"),
        (b"<html></html>", "body-not-json"),
        (b"\xFF\xFE{\x00", "body-not-json"),
        (b"{\"events\":[{}", "body-not-json"),
        (b"[]", "body-not-object"),
        (b"\"events\"", "body-not-object"),
        (b"{}", "events-missing"),
        (b"{\"events\":{}}", "events-not-a-list"),
        (b"{\"events\":null}", "events-not-a-list"),
        (b"{\"events\":[],\"events\":[]}", "duplicate-key"),
        (many.as_bytes(), "too-many-events"),
    ] {
        let failure = handle_webhook(&plain(), &request(text)).unwrap_err();
        assert_eq!(failure.code, code);
        let FailureKind::VendorContract(sample) = failure.kind else { panic!("{:?}", failure.kind) };
        assert!(sample.len() <= 1024 && text.starts_with(&sample));
    }
    let mut elsewhere = request("{}");
    elsewhere.surface = "segments".to_owned();
    assert_eq!(handle_webhook(&plain(), &elsewhere).unwrap_err().code, "unknown-surface");
}

#[test]
fn an_empty_batch_and_a_byte_order_mark_are_fine() {
    for text in [r#"{"events":[]}"#, "\u{FEFF}{\"events\":[]}"] {
        let outcome = handle_webhook(&plain(), &request(text)).unwrap();
        assert!(outcome.records.is_empty() && outcome.rejects.is_empty());
    }
}

#[test]
fn no_note_or_reject_names_a_person() {
    let outcome = take(
        &plain(),
        &[
            event(json!({"uid": "anon-secret-person", "email_id": "secret person"})),
            event(json!({"uid": 1e30, "event_uuid": "secret"})),
        ],
    );
    let text = format!("{:?} {:?}", outcome.notes, outcome.rejects);
    assert!(!text.contains("secret"), "{text}");
}
