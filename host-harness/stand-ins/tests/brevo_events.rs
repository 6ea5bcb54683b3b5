//! Events and rate windows of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{BatchBucket, BatchPartial, Brevo, Options, Plan};
use stand_ins::clock::{Scale, rfc3339};
use stand_ins::journal::FindingKind;

fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    assert_eq!(client.post("/v3/contacts", json!({"email": "a@example.com", "ext_id": "1"})).status, 201);
    (brevo, client)
}

fn brevo() -> (Brevo, Client) {
    start(Options { plan: Plan::Unlimited, processing_delay: Duration::ZERO, ..Options::default() })
}

fn event(uuid: &str) -> Value {
    json!({"event_name": "opened", "identifiers": {"ext_id": "1"}, "event_properties": {"uuid": uuid}})
}

#[test]
fn an_event_is_taken_and_read_back() {
    let (brevo, client) = brevo();
    let now = brevo.now();
    let mut dated = event("u1");
    dated["event_date"] = json!(rfc3339(now - 60_000));
    dated["contact_properties"] = json!({"FIRSTNAME": "Ann", "NOBODY": 1});
    assert_eq!(client.post("/v3/events", dated).status, 204);
    assert_eq!(client.post("/v3/events", event("u2")).status, 204);
    assert_eq!(client.post("/v3/events", event("u2")).status, 204, "nothing is deduplicated");
    let read = client.get("/v3/events?event_name=opened&contact_id=1&limit=2").json();
    assert_eq!(read["count"], 3);
    let rows = read["events"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["event_properties"]["uuid"], "u2", "newest first");
    let last = client.get("/v3/events?offset=2").json();
    assert_eq!(last["events"][0]["event_date"], rfc3339(now - 60_000));
    assert_eq!(last["events"][0]["contact_id"], 1);
    assert_eq!(client.get("/v3/events?event_name=other").json()["count"], 0);
    let counts = brevo.events_by_property("uuid");
    assert_eq!((counts["u1"], counts["u2"]), (1, 2));
    assert_eq!(brevo.contacts()[0].attributes["FIRSTNAME"], "Ann");
    assert_eq!(brevo.ignored_attributes(), ["NOBODY: no such attribute"]);
    assert!(brevo.violations().is_empty());
    for bad in ["limit=10001", "limit=0", "startDate=2026-01-01", "endDate=x&startDate=y", "sort=asc"] {
        assert_eq!(client.get(&format!("/v3/events?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn an_event_of_nobody_has_no_effect() {
    let (brevo, client) = brevo();
    let mut stray = event("u1");
    stray["identifiers"] = json!({"email_id": "nobody@example.com"});
    assert_eq!(client.post("/v3/events", stray).status, 204);
    assert_eq!(brevo.dropped_events(), 1);
    assert!(brevo.events_by_property("uuid").is_empty());
    assert_eq!(client.get("/v3/events").json()["count"], 0);
    let journal = brevo.journal();
    let entry = journal.of("POST", "/v3/events").next().unwrap();
    assert_eq!((entry.status, entry.findings[0].kind), (Some(204), FindingKind::DroppedEvent));
}

#[test]
fn contact_id_outranks_the_other_identifiers() {
    let (brevo, client) = brevo();
    client.post("/v3/contacts", json!({"email": "b@example.com"}));
    let mut both = event("u1");
    both["identifiers"] = json!({"email_id": "a@example.com", "contact_id": 2});
    client.post("/v3/events", both.clone());
    both["identifiers"]["contact_id"] = json!(99);
    client.post("/v3/events", both);
    let owners: Vec<Option<i64>> = brevo.events().iter().map(|event| event.contact_id).collect();
    assert_eq!(owners, [Some(2), None]);
}

#[test]
fn undocumented_events_are_refused() {
    let (brevo, client) = brevo();
    let with = |key: &str, value: Value| {
        let mut changed = event("u");
        changed[key] = value;
        changed
    };
    let long = "x".repeat(256);
    let refused = [
        with("event_name", json!("with space")),
        with("event_name", json!("")),
        with("event_name", json!(long)),
        with("event_name", json!("größe")),
        with("event_date", json!("2026-11-23")),
        with("event_date", json!("2026-11-23T10:00:00")),
        with("event_date", json!(1_790_000_000)),
        with("identifiers", json!({})),
        with("identifiers", json!({"email_id": ""})),
        with("identifiers", json!({"contact_id": "1"})),
        with("identifiers", json!({"user_id": "1"})),
        with("contact_properties", json!({"AGE": 1.5})),
        with("event_properties", json!({"a key": 1})),
        with("event_properties", json!({"nested": {"a.b": 1}})),
        with("event_properties", json!({"gone": null})),
        with("event_properties", json!({"text": "x".repeat(51_200)})),
        json!({"identifiers": {"ext_id": "1"}}),
        json!([event("u")]),
    ];
    let many = refused.len();
    for body in refused {
        let answer = client.post("/v3/events", body.clone());
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(brevo.violations().len(), many);
    // An object that does not exist is ignored in silence.
    let object = with("object", json!({"type": "shop", "identifiers": {"ext_id": "1"}}));
    assert_eq!(client.post("/v3/events", object).status, 204);
    assert_eq!(brevo.events().pop().unwrap().object_type.as_deref(), Some("shop"));
    assert_eq!(client.post("/v3/events", with("object", json!({"name": "x"}))).status, 400);
    assert_eq!(brevo.events().len(), 1);
    let edge = with("event_properties", json!({"text": "x".repeat(51_200 - 11)}));
    assert_eq!(client.post("/v3/events", edge).status, 204, "50 KB exactly");
}

#[test]
fn a_batch_is_counted() {
    let (brevo, client) = brevo();
    let events: Vec<Value> = (0..200).map(|n| event(&n.to_string())).collect();
    let answer = client.post("/v3/events/batch", json!({"events": events}));
    assert_eq!((answer.status, answer.json()["count"].clone()), (202, json!(200)));
    assert_eq!(brevo.events_by_property("uuid").len(), 200);
    assert!(brevo.violations().is_empty());

    let mut more = events.clone();
    more.push(event("200"));
    assert_eq!(client.post("/v3/events/batch", json!({"events": more})).status, 400);
    assert_eq!(client.post("/v3/events/batch", json!({"events": []})).status, 400);
    assert_eq!(client.post("/v3/events/batch", json!({"events": [], "extra": 1})).status, 400);
    let array = client.post("/v3/events/batch", json!(events));
    assert_eq!(array.status, 400);
    assert_eq!(
        array.json()["message"],
        "json: cannot unmarshal array into Go value of type main.unifiedEventsRequest"
    );
    let heavy: Vec<Value> = (0..11)
        .map(|_| {
            let mut event = event("heavy");
            event["event_properties"]["text"] = json!("x".repeat(50_000));
            event
        })
        .collect();
    assert_eq!(client.post("/v3/events/batch", json!({"events": heavy})).status, 400, "above 512 KB");
    assert_eq!(client.post("/v3/events/batch", json!({"events": heavy[..10]})).status, 202);
    assert_eq!(brevo.violations().len(), 5);
}

#[test]
fn a_partly_invalid_batch_has_three_documented_answers() {
    for (option, status) in
        [(BatchPartial::MultiStatus, 207), (BatchPartial::CountOnly, 202), (BatchPartial::BadRequest, 400)]
    {
        let (brevo, client) = start(Options { batch_partial: option, ..Options::default() });
        let bad = json!({"event_name": "no identifiers"});
        let answer = client.post("/v3/events/batch", json!({"events": [event("u1"), bad, event("u2")]}));
        assert_eq!(answer.status, status);
        let body = answer.json();
        if status == 202 {
            assert_eq!(body["count"], 2);
        } else {
            assert_eq!((&body["total_events"], &body["successful_events"]), (&json!(3), &json!(2)));
            assert_eq!(body["failed_events"], 1);
            assert_eq!(body["errors"][0]["eventIndex"], json!([1]));
        }
        assert_eq!(brevo.events_by_property("uuid").len(), 2);
        assert_eq!(brevo.violations().len(), 1);
        let none = client.post("/v3/events/batch", json!({"events": [bad]}));
        assert_eq!((none.status, none.json()["successful_events"].clone()), (400, json!(0)));
    }
}

#[test]
fn an_event_is_visible_after_the_processing_delay() {
    let hour = Duration::from_secs(3_600);
    let (slow, client) = start(Options { processing_delay: hour, ..Options::default() });
    client.post("/v3/events", event("u1"));
    assert_eq!(client.get("/v3/events").json()["count"], 0);
    assert_eq!(slow.events_by_property("uuid")["u1"], 1);
    // An hour in a thousandth of a second.
    let scale = Scale::from_now(3_600_000.0);
    let (fast, client) =
        start(Options { processing_delay: hour, scale, plan: Plan::Unlimited, ..Options::default() });
    client.post("/v3/events", event("u1"));
    let due = fast.events()[0].visible_at;
    while fast.now() < due {
        std::thread::yield_now();
    }
    assert_eq!(client.get("/v3/events").json()["count"], 1);
}

#[test]
fn the_documented_windows_hold() {
    // Time stands almost still: no window ever moves.
    let still =
        |batch_bucket| start(Options { scale: Scale::from_now(1e-9), batch_bucket, ..Options::default() });
    let (brevo, client) = still(BatchBucket::EverythingElse);
    // The contact of `start` was the first of ten.
    for left in (0..9).rev() {
        let answer = client.put("/v3/contacts/1", json!({}));
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("x-sib-ratelimit-limit"), Some("10"));
        assert_eq!(answer.header("x-sib-ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    let refused = client.put("/v3/contacts/1", json!({"emailBlacklisted": true}));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-sib-ratelimit-reset"), Some("1"));
    assert_eq!(brevo.over_limit(), 1);
    assert!(!brevo.contacts()[0].email_blacklisted, "refused means without effect");
    // Events have windows of their own, everything else a hundred an hour.
    for _ in 0..10 {
        assert_eq!(client.post("/v3/events", event("u")).status, 204);
    }
    assert_eq!(client.post("/v3/events", event("u")).status, 429);
    for _ in 0..60 {
        assert_eq!(client.post("/v3/events/batch", json!({"events": [event("u")]})).status, 202);
    }
    for _ in 0..40 {
        assert_eq!(client.get("/v3/account").status, 200);
    }
    let hour = client.get("/v3/events");
    assert_eq!((hour.status, hour.header("x-sib-ratelimit-reset")), (429, Some("3600")));
    assert_eq!(brevo.over_limit(), 3);
    let (_brevo, client) = still(BatchBucket::Events);
    for _ in 0..10 {
        assert_eq!(client.post("/v3/events/batch", json!({"events": [event("u")]})).status, 202);
    }
    assert_eq!(client.post("/v3/events", event("u")).status, 429);
}

#[test]
fn windows_move_with_host_time() {
    // A second in a millisecond.
    let (brevo, client) = start(Options { scale: Scale::from_now(1_000.0), ..Options::default() });
    let mut answered = Vec::new();
    while answered.len() < 60 {
        if client.put("/v3/contacts/1", json!({})).status == 204 {
            answered.push(());
        }
    }
    let journal = brevo.journal();
    let admitted: Vec<i64> =
        journal.entries().filter(|entry| entry.status != Some(429)).map(|entry| entry.at).collect();
    for start in &admitted {
        let held = admitted.iter().filter(|at| (*start..start + 1_000).contains(at)).count();
        assert!(held <= 10, "{held} requests in a second");
    }
}
