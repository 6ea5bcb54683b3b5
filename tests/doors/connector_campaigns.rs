//! Connector campaigns: bodies that a tenant designed and declared.

use moengage_connector::{
    FailureKind, Mapping, Nature, Provenance, Record, Settings, Storage, TimeTrust, WebhookOutcome,
    WebhookRequest,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::Memory;
use crate::{NOW, T, actions, body, event_record, map, note, parse, person, plain, plain_settings, schemas};

/// A mapping that declares everything.
pub fn full() -> Value {
    json!({
        "user_id": "/user/id", "email": "/user/email", "phone": "/user/phone",
        "event": {"from": "event"}, "event_id": "delivery", "campaign_id": "/campaign/id",
        "time": {"from": "sent_at", "format": "iso"},
        "properties": {"value": "/coupon/value", "code": "/coupon/code", "second_tag": "/campaign/tags/1", "all": "/campaign"}
    })
}

pub fn settings(block: Value) -> Settings {
    let mut settings = plain_settings();
    settings["connector_campaigns"] = block;
    parse(&settings)
}

/// Declares as little as possible.
fn small() -> Settings {
    settings(json!({"user_id": "user", "event": "coupon"}))
}

pub fn request(body: impl Into<Vec<u8>>, content_type: &str, received_at: i64) -> WebhookRequest {
    let headers = match content_type {
        "" => Vec::new(),
        value => vec![("content-type".to_owned(), value.to_owned())],
    };
    WebhookRequest { surface: "connector-campaigns".to_owned(), body: body.into(), headers, received_at }
}

fn take(settings: &Settings, body: impl Into<Vec<u8>>) -> WebhookOutcome {
    crate::reach::handle_webhook(settings, &request(body, "application/json", NOW)).unwrap()
}

fn one(settings: &Settings, body: &Value) -> Record {
    let outcome = take(settings, body.to_string());
    assert_eq!(outcome.rejects, []);
    outcome.records.into_iter().next().unwrap()
}

fn sample() -> Value {
    serde_json::from_str(include_str!("golden/connector-campaigns.json")).unwrap()
}

#[test]
fn the_mapping_finds_everything() {
    let record = one(&settings(full()), &sample());
    assert_eq!(record.id, "moengage:ABC123:event:connector/d-1001");
    assert_eq!(
        (record.kind.as_str(), record.nature, record.provenance),
        ("event", Nature::Event, Provenance::Live)
    );
    assert_eq!((record.occurred.at, record.occurred.trust), (Some(T * 1000), TimeTrust::Vendor));
    let who = person(&record);
    assert_eq!(
        (who.external_id.as_deref(), who.email.as_deref(), who.phone.as_deref()),
        (Some("4000052183"), Some("Ann@example.com"), Some("+918888444411"))
    );
    let body = body(&record);
    assert_eq!(body["code"], "connector.coupon sent");
    // D16: null stays null, missing stays missing.
    assert_eq!(
        body["attributes"],
        json!({"campaign_id": "6287a9d1f2", "value": 10.5, "code": null, "second_tag": "spring", "all": sample()["campaign"]})
    );
    schemas::assert_fits_schema("event", &body);
}

#[test]
fn events_flow_like_others_under_codes_of_their_own() {
    let mut all = plain_settings();
    all["connector_campaigns"] = full();
    all["event_mapping"] = json!({"connector.coupon sent": "coupon_sent"});
    let record = one(&parse(&all), &sample());
    let name = |settings: &Value| {
        let action = actions(&parse(settings), &record).remove(0);
        assert_eq!((action.slot.as_str(), action.name.as_str()), ("event", "brevo/track-event"));
        assert_eq!(action.not_after, Some(T * 1000 + 86_400_000));
        serde_json::from_str::<Value>(&action.payload).unwrap()["event"].clone()
    };
    assert_eq!(name(&all), "coupon_sent");
    all["event_mapping"] = json!({});
    assert_eq!(name(&all), "moengage_connector_coupon_sent");
    all["event_mapping"] = json!({"connector.coupon sent": null});
    assert_eq!(map(&parse(&all), &record).unwrap(), Mapping::Nothing("event-dropped".to_owned()));

    // A name that the settings say is a known one; one that the body says isn't.
    let mut strict = plain_settings();
    strict["options"] = json!({"unknown_events": "drop"});
    strict["connector_campaigns"] = json!({"user_id": "user", "event": "coupon"});
    let record = one(&parse(&strict), &json!({"user": "u1"}));
    assert_eq!(actions(&parse(&strict), &record).len(), 1);
    let targets = moengage_connector::configure(&strict.to_string()).unwrap().targets;
    assert!(
        targets.events.iter().any(|name| name == "moengage_connector_coupon")
            && targets.event_prefix.is_none()
    );
    strict["connector_campaigns"] = json!({"user_id": "user", "event": {"from": "e"}});
    let record = one(&parse(&strict), &json!({"user": "u1", "e": "coupon"}));
    assert_eq!(map(&parse(&strict), &record).unwrap(), Mapping::Nothing("unknown-event".to_owned()));
}

#[test]
fn a_marketer_s_event_never_passes_for_one_of_moengage_s() {
    // Dated, as a resubscription has to be.
    let settings = settings(json!({
        "user_id": "user", "event": {"from": "e"}, "time": {"from": "t", "format": "seconds"}
    }));
    for name in ["Email Resubscribed", "MOE_EMAIL_UNSUBSCRIBE", "MOE_EMAIL_SPAM"] {
        let record = one(&settings, &json!({"user": "u1", "e": name, "t": T}));
        let slots: Vec<_> = actions(&settings, &record).into_iter().map(|action| action.slot).collect();
        assert_eq!(slots, ["event"], "{name}");
    }
}

#[test]
fn the_same_person_is_the_same_through_every_door() {
    let connector = settings(json!({"user_id": "uid", "email": "mail", "phone": "tel", "event": "e"}));
    for uid in [
        json!("0042"),
        json!(4_000_052_183.0),
        json!(u64::MAX),
        json!("anon-1"),
        json!("guest"),
        json!("4000052183.0"),
    ] {
        let streams = event_record(
            &plain(),
            json!({
                "uid": uid, "email_id": null, "user_attributes": {"u_em": "ann@example.com", "u_mb": "+91 8888444411"}
            }),
        );
        let record =
            one(&connector, &json!({"uid": uid, "mail": "ann@example.com", "tel": "+91 8888444411"}));
        let membership = crate::segment_sync::push(
            &crate::segment_sync::settings(json!({})),
            &crate::segment_sync::chunk(
                "e",
                &[json!({"moengage_distinct_id": "m", "partner_user_id": uid})],
                &[],
            ),
            NOW,
            &mut Memory::default(),
        );
        assert_eq!(person(&record), person(&streams));
        assert_eq!(person(&membership.unwrap().records[0]).external_id, person(&streams).external_id);
    }
}

#[test]
fn forms_are_read_by_the_same_mapping() {
    let settings = settings(json!({
        "user_id": "user id", "email": "/mail", "event": "coupon", "time": {"from": "at", "format": "seconds"},
        "properties": {"value": "value"}
    }));
    let read = |body: &[u8]| {
        let request = request(body, "application/x-www-form-urlencoded; charset=utf-8", NOW);
        crate::reach::handle_webhook(&settings, &request).unwrap()
    };
    let outcome = read(format!("user+id=0042&mail=ann%40example.com&at={T}&value=10%25+off").as_bytes());
    let record = &outcome.records[0];
    assert_eq!(person(record).external_id.as_deref(), Some("0042"));
    assert_eq!(person(record).email.as_deref(), Some("ann@example.com"));
    assert_eq!(
        (record.occurred.at, body(record)["attributes"].clone()),
        (Some(T * 1000), json!({"value": "10% off"}))
    );
    // D05, D01: the same rules as for JSON.
    assert_eq!(read(b"user+id=1&user+id=2").rejects[0].code, "duplicate-key");
    let outcome = read(b"user+id=J%FCrg");
    assert_eq!(
        (outcome.rejects[0].code.as_str(), note(&outcome, "non-utf8-replaced")),
        ("unreadable-identity", 1)
    );
    assert_eq!(outcome.rejects[0].pointer, "/user id");
}

#[test]
fn w14_a_body_that_is_neither_json_nor_a_form_is_a_reject_with_its_class() {
    let code = |body: &str, content_type: &str| {
        let outcome = crate::reach::handle_webhook(&small(), &request(body, content_type, NOW)).unwrap();
        assert!(outcome.records.is_empty());
        assert_eq!(outcome.rejects[0].pointer, "/");
        outcome.rejects[0].code.clone()
    };
    assert_eq!(code("<user>1</user>", "application/xml"), "unsupported-body");
    assert_eq!(code("--x\r\n", "multipart/form-data; boundary=x"), "unsupported-body");
    assert_eq!(code("user=1", ""), "unsupported-body");
    assert_eq!(code("user=1", "text/plain"), "unsupported-body");
    assert_eq!(code("[{\"user\":\"u1\"}]", "application/json"), "body-not-object");
    assert_eq!(code("user=1", "application/json"), "body-not-json");
    assert_eq!(code("", "application/json"), "body-not-json");
    // Raw bodies have whatever header the marketer wrote, or none.
    for content_type in ["", "text/plain", "APPLICATION/JSON; charset=utf-8", "application/vnd.acme+json"] {
        let outcome =
            crate::reach::handle_webhook(&small(), &request(r#" {"user":"u1"}"#, content_type, NOW));
        assert_eq!(outcome.unwrap().records.len(), 1, "{content_type}");
    }
    let elsewhere =
        crate::reach::handle_webhook(&plain(), &request("{}", "application/json", NOW)).unwrap_err();
    assert_eq!((elsewhere.kind, elsewhere.code.as_str()), (FailureKind::Config, "unknown-surface"));
}

#[test]
fn what_the_mapping_does_not_find_is_a_reject_at_its_place() {
    let settings = settings(full());
    for (pointer, value, at, code) in [
        ("/delivery", json!(null), "/delivery", "missing-event-id"),
        ("/delivery", json!(1.5), "/delivery", "float-identity"),
        ("/delivery", json!("x".repeat(500)), "/", "identity-too-long"),
        ("/event", json!(""), "/event", "missing-event-name"),
        ("/event", json!(7), "/event", "missing-event-name"),
        ("/event", json!("x".repeat(201)), "/event", "missing-event-name"),
        ("/user", json!({"id": "", "email": null}), "/user/id", "nobody-named"),
        ("/user", json!("u1"), "/user/id", "nobody-named"),
        ("/user/id", json!(1e18), "/user/id", "float-identity"),
        ("/user/email", json!("a\u{FFFD}@x.de"), "/user/email", "unreadable-identity"),
        ("/coupon/value", json!("x".repeat(300_000)), "/", "event-too-large"),
    ] {
        let mut other = sample();
        *other.pointer_mut(pointer).unwrap() = value;
        let outcome = take(&settings, other.to_string());
        assert_eq!(outcome.records.len(), 0);
        let reject = &outcome.rejects[0];
        assert_eq!((reject.pointer.as_str(), reject.code.as_str()), (at, code), "{pointer}");
    }
}

#[test]
fn who_is_named_by_an_unusable_name_is_anonymous_and_not_a_reject() {
    let outcome = take(&small(), json!({"user": "anon-7"}).to_string());
    assert_eq!(note(&outcome, "anonymous-uid"), 1);
    assert_eq!(map(&small(), &outcome.records[0]).unwrap(), Mapping::Nothing("anonymous-person".to_owned()));
}

#[test]
fn times_are_read_as_declared_and_else_it_is_the_arrival() {
    let with = |format: &str, value: Value| {
        let settings =
            settings(json!({"user_id": "user", "event": "e", "time": {"from": "t", "format": format}}));
        one(&settings, &json!({"user": "u", "t": value})).occurred
    };
    let at = Some(T * 1000);
    assert_eq!(with("seconds", json!(T)).at, at);
    assert_eq!(with("seconds", json!(T.to_string())).at, at);
    assert_eq!(with("milliseconds", json!(T * 1000)).at, at);
    assert_eq!(with("iso", json!("2022-05-20T10:21:50+05:30")).at, at);
    for (format, value) in
        [("seconds", json!(T * 1000)), ("milliseconds", json!(T)), ("iso", json!(T)), ("iso", json!(null))]
    {
        assert_eq!((with(format, value.clone()).at, with(format, value).trust), (None, TimeTrust::Unknown));
    }
    let occurred = one(&small(), &json!({"user": "u"})).occurred;
    assert_eq!((occurred.at, occurred.trust), (Some(NOW), TimeTrust::Arrival));
}

#[test]
fn w15_a_declared_event_id_is_the_event_whatever_else_differs() {
    let settings = settings(full());
    let mut storage = Memory::default();
    let mut push = |delivery: &str, value: i64, at| {
        let mut body = sample();
        body["delivery"] = json!(delivery);
        body["coupon"]["value"] = json!(value);
        let request = request(body.to_string(), "application/json", at);
        moengage_connector::handle_webhook(&settings, &request, &mut storage).unwrap().records[0].id.clone()
    };
    assert_eq!(push("d-1", 1, NOW), push("d-1", 2, NOW + 30 * 86_400_000));
    assert_ne!(push("d-1", 1, NOW), push("d-2", 1, NOW));
    assert!(storage.0.is_empty(), "nothing to remember");
}

#[test]
fn w15_n23_without_one_the_same_body_is_the_same_event_within_the_window() {
    let mut storage = Memory::default();
    let mut push = |user: &str, at| {
        let request = request(json!({"user": user}).to_string(), "application/json", at);
        let outcome = moengage_connector::handle_webhook(&small(), &request, &mut storage).unwrap();
        (outcome.records[0].id.clone(), note(&outcome, "repeated-delivery"))
    };
    let (first, _) = push("u1", NOW);
    // The documented retries: three, five seconds apart, after five seconds of waiting each.
    for retry in 1..=3 {
        assert_eq!(push("u1", NOW + retry * 10_000), (first.clone(), 1));
    }
    assert_ne!(push("u2", NOW).0, first);
    assert_eq!(push("u1", NOW + 3_600_000), (first.clone(), 1));
    let (later, repeated) = push("u1", NOW + 3_600_001);
    assert!(later != first && repeated == 0);
    // Replaying the raw bodies gives what they gave.
    assert_eq!(push("u1", NOW + 3_600_001), (later, 1));
}

#[test]
fn the_window_is_the_tenant_s() {
    let settings = settings(json!({"user_id": "user", "event": "e", "repeat_window": "2m"}));
    let mut storage = Memory::default();
    let mut push = |at| {
        let request = request(json!({"user": "u"}).to_string(), "application/json", at);
        moengage_connector::handle_webhook(&settings, &request, &mut storage).unwrap().records[0].id.clone()
    };
    let first = push(NOW);
    assert_eq!(push(NOW + 120_000), first);
    assert_ne!(push(NOW + 120_001), first);
}

#[test]
fn a_storage_that_is_full_sends_nothing_twice() {
    struct Full;
    impl Storage for Full {
        fn get(&mut self, _: &str) -> Option<Vec<u8>> {
            None
        }
        fn set(&mut self, _: &str, _: &[u8]) -> bool {
            false
        }
        fn list(&mut self, _: &str, _: Option<&str>) -> Vec<String> {
            Vec::new()
        }
    }
    let request = request(r#"{"user":"u1"}"#, "application/json", NOW);
    let failure = moengage_connector::handle_webhook(&small(), &request, &mut Full).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "storage-full"));
}

#[test]
fn d02_d05_d08_hostile_bodies_are_rejects() {
    let code = |body: String| take(&small(), body).rejects.first().map(|reject| reject.code.clone());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(code(format!(r#"{{"user":"u","x":{deep}}}"#)).as_deref(), Some("too-deep"));
    assert_eq!(code(r#"{"user":"u","user":"v"}"#.to_owned()).as_deref(), Some("duplicate-key"));
    assert_eq!(code(r#"{"user":"u","x":1e400}"#.to_owned()).as_deref(), Some("unreadable-value"));
    let fields: Vec<String> = (0..10_000).map(|n| format!("\"f{n}\":{n}")).collect();
    let long = format!(
        r#"{{"user":"u","{}":1,"text":"{}",{}}}"#,
        "k".repeat(65_536),
        "x".repeat(10 << 20),
        fields.join(",")
    );
    assert_eq!(code(long), None, "only what is mapped is carried");
}

#[test]
fn no_note_or_reject_names_a_person() {
    let outcome = take(
        &settings(json!({"email": "mail", "user_id": "user", "event": "e"})),
        json!({"mail": "secret person", "user": "anon-secret"}).to_string(),
    );
    let text = format!("{:?} {:?}", outcome.notes, outcome.rejects);
    assert!(!text.contains("secret"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_give_a_record_or_a_reject(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0..4_usize) {
        let content_type = ["application/json", "application/x-www-form-urlencoded", "", "text/xml"][kind];
        for settings in [small(), settings(full())] {
            let outcome = crate::reach::handle_webhook(&settings, &request(bytes.clone(), content_type, NOW)).unwrap();
            prop_assert_eq!(outcome.records.len() + outcome.rejects.len(), 1);
        }
    }

    #[test]
    fn whatever_a_body_holds_the_outcome_keeps_the_contract(value in crate::robustness::any_json(), key in 0..6_usize) {
        let mut body = sample();
        body[["delivery", "user", "campaign", "event", "sent_at", "coupon"][key]] = value;
        let outcome = take(&settings(full()), body.to_string());
        prop_assert_eq!(outcome.records.len() + outcome.rejects.len(), 1);
        for record in &outcome.records {
            prop_assert!(record.id.len() <= 512 && record.body.len() <= 256 * 1024);
            schemas::assert_fits_schema("event", &crate::body(record));
            let _ = map(&settings(full()), record);
        }
        for reject in &outcome.rejects {
            prop_assert!(!reject.pointer.is_empty() && !reject.pointer.chars().any(char::is_control));
        }
    }
}
