//! The real component under bad input: every export answers with a typed result that says who
//! must act; nothing traps, and what could be read is not lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Arc, OnceLock};

use host_harness::contract::*;
use host_harness::manifest::Manifest;
use host_harness::plugin::{ConfigureError, Plugin, Runtime, RuntimeOptions};
use host_harness::unit::{Outcome, Services, Unit, UnitError, Work};
use proptest::prelude::*;
use serde_json::json;

const NOW: i64 = 1_795_000_000_000;

fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let manifest = Manifest::parse(host_harness::embedded::MANIFEST).unwrap();
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        runtime.load(host_harness::embedded::COMPONENT, &manifest).unwrap()
    })
}

fn settings() -> String {
    json!({
        "workspace_id": "ABC123", "data_center": "01", "environment": "live",
        "keys": { "data": "data" },
        "webhook": { "auth": "basic", "user": "tajo", "secret": "webhook" },
    })
    .to_string()
}

struct Nothing;

impl Services for Nothing {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(http::Error {
            kind: http::ErrorKind::Unreachable,
            code: "no-network".into(),
            message: "There is no network here.".into(),
            request_sent: false,
            retry_after_ms: None,
        })
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        panic!("the component opens no objects")
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        panic!("the component reads no objects")
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        vec![]
    }
}

fn run(work: Work) -> Result<Outcome, UnitError> {
    plugin().run(&Unit { settings: settings(), now: NOW, work }, Arc::new(Nothing))
}

fn webhook(surface: &str, body: Vec<u8>) -> Result<Outcome, UnitError> {
    let surface = surface.to_owned();
    run(Work::Webhook(WebhookRequest {
        settings: settings(),
        surface,
        body,
        headers: vec![],
        received_at: NOW,
    }))
}

fn page(resource: &str, position: Position) -> Result<Outcome, UnitError> {
    let resource = resource.to_owned();
    run(Work::Page(PageRequest { settings: settings(), resource, position, budget: 10, now: NOW }))
}

/// A failure in the contract's terms, never a broken guest.
fn failure(result: Result<Outcome, UnitError>) -> Failure {
    match result {
        Err(UnitError::Failure(failure)) => failure,
        other => panic!("not a typed failure: {other:?}"),
    }
}

fn event(uuid: &str) -> serde_json::Value {
    json!({
        "event_name": "Email Opened", "event_code": "MOE_EMAIL_OPEN", "event_uuid": uuid,
        "event_time": NOW / 1000, "event_type": "CAMPAIGN_EVENT", "event_source": "MOENGAGE",
        "email_id": "ann@example.com", "uid": "1", "event_attributes": {},
        "user_attributes": { "moengage_user_id": "m1", "moe_unsubscribe": false },
        "device_attributes": {},
    })
}

fn batch(events: &[serde_json::Value]) -> Vec<u8> {
    json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events })
        .to_string()
        .into_bytes()
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn settings_of_every_wrong_kind_are_problems_with_a_remedy() {
    let deep = nested(200);
    let inputs = [
        "",
        " ",
        "null",
        "5",
        "[]",
        "\"x\"",
        "{",
        "{}",
        "{\"workspace_id\":5}",
        "\u{feff}{}",
        r#"{"workspace_id":"a","workspace_id":"b"}"#,
        &deep,
    ];
    for input in inputs {
        let Err(ConfigureError::Settings(problems)) = plugin().configure(input) else {
            panic!("{input:.40} was not refused with problems")
        };
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(
                !problem.code.is_empty() && problem.message.len() > 5 && problem.remedy.len() > 5,
                "{problem:?}"
            );
        }
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let input = json!({
        "workspace_id": "", "data_center": "07", "environment": "staging", "colour": "red",
        "keys": { "data": 5 }, "webhook": { "auth": "signature" }, "field_mapping": { "x": "lower case" },
    });
    let Err(ConfigureError::Settings(problems)) = plugin().configure(&input.to_string()) else { panic!() };
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    for path in [
        "workspace_id",
        "data_center",
        "environment",
        "colour",
        "keys.data",
        "webhook.auth",
        "field_mapping.x",
    ] {
        assert!(paths.iter().any(|found| found.starts_with(path)), "{path} is missing in {paths:?}");
    }
}

#[test]
fn d01_d02_d05_d06_bodies_that_are_not_a_batch_are_typed_failures() {
    let deep = nested(100_000).into_bytes();
    let inputs: Vec<Vec<u8>> = vec![
        vec![],
        b" ".to_vec(),
        b"null".to_vec(),
        b"5".to_vec(),
        b"[]".to_vec(),
        b"{".to_vec(),
        b"{}".to_vec(),
        b"{\"events\":{}}".to_vec(),
        b"<html>".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        deep,
        b"{\"events\":[]} trailing".to_vec(),
    ];
    for input in inputs {
        let failure = failure(webhook("streams", input));
        assert!(matches!(failure.kind, FailureKind::VendorContract(_)), "{failure:?}");
        assert!(!failure.code.is_empty() && !failure.message.is_empty());
    }
}

#[test]
fn an_unknown_surface_and_an_unknown_resource_are_refused_by_name() {
    assert!(webhook("stream", batch(&[])).is_err());
    assert!(page("users", Position::Start).is_err());
}

#[test]
fn n19_one_bad_event_in_a_batch_loses_no_other() {
    let cases = [
        ("a number", json!(5)),
        ("null", json!(null)),
        ("a list", json!([])),
        ("an empty object", json!({})),
        ("no uuid", json!({ "event_code": "X", "event_time": 1 })),
        ("a uuid that is an object", json!({ "event_uuid": {}, "event_code": "X", "event_time": 1 })),
        ("a float as uuid", json!({ "event_uuid": 1e300, "event_code": "X", "event_time": 1 })),
        ("attributes that are a string", {
            let mut event = event("bad");
            event["event_attributes"] = json!("x");
            event
        }),
        ("a deep value", {
            let mut event = event("deep");
            event["event_attributes"]["deep"] = serde_json::from_str(&nested(110)).unwrap();
            event
        }),
    ];
    for (name, bad) in cases {
        let outcome = webhook("streams", batch(&[event("before"), bad, event("after")]))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let ids: Vec<_> = outcome.records.iter().map(|mapped| mapped.record.id.as_str()).collect();
        for uuid in ["before", "after"] {
            assert!(
                ids.iter().any(|id| id.ends_with(&format!(":event:{uuid}"))),
                "{name}: {uuid} is lost, {ids:?}"
            );
        }
        let seen = outcome.rejects.iter().any(|reject| reject.pointer.starts_with("/events/1"))
            || ids.iter().any(|id| id.ends_with(":bad") || id.ends_with(":deep"));
        assert!(seen, "{name} vanished: {:?}", outcome.rejects);
    }
}

#[test]
fn d01_bytes_that_are_not_utf8_are_read_as_far_as_they_go() {
    let mut body = batch(&[event("e1"), event("e2")]);
    let at = body.windows(12).position(|window| window == b"Email Opened").unwrap();
    body[at + 1] = 0xe9;
    let outcome = webhook("streams", body).unwrap();
    let events = outcome.records.iter().filter(|mapped| mapped.record.kind == "event").count();
    assert_eq!(events, 2, "{outcome:?}");
}

#[test]
fn d08_a_field_of_ten_megabytes_is_answered_and_stops_nobody() {
    let mut huge = event("huge");
    huge["event_attributes"]["text"] = json!("x".repeat(10 * 1024 * 1024));
    // The surface's cap is below this, so intake refuses it; the component must stand it all the same.
    match webhook("streams", batch(&[event("small"), huge])) {
        Ok(outcome) => {
            assert!(
                outcome.records.iter().any(|mapped| mapped.record.id.ends_with(":small")),
                "{:?}",
                outcome.rejects
            );
        }
        Err(UnitError::Failure(failure)) => assert!(!failure.code.is_empty()),
        Err(UnitError::Fault { code, message }) => {
            assert!(code == "guest-input" || code == "input-too-large", "{code}: {message}");
        }
    }
}

#[test]
fn records_that_are_not_ours_are_refused_one_by_one() {
    let outcome = webhook("streams", batch(&[event("e1")])).unwrap();
    let good = outcome.records.into_iter().find(|one| one.record.kind == "event").unwrap().record;
    let with = |change: fn(&mut Record)| {
        let mut record = good.clone();
        change(&mut record);
        record
    };
    let records = vec![
        good.clone(),
        with(|record| record.body = String::new()),
        with(|record| record.body = "null".into()),
        with(|record| record.body = "{\"event_uuid\":5}".into()),
        with(|record| record.kind = "spaceship".into()),
        good.clone(),
    ];
    let outcome = run(Work::Map(records)).unwrap();
    let mapped: Vec<bool> =
        outcome.records.iter().map(|one| matches!(one.mapping, Ok(Mapping::Actions(_)))).collect();
    assert_eq!((mapped[0], mapped[5]), (true, true));
    for one in &outcome.records[1..5] {
        match &one.mapping {
            Err(UnitError::Failure(failure)) => assert!(!failure.code.is_empty()),
            Ok(Mapping::Nothing(reason)) => assert!(!reason.is_empty()),
            // The host looks at a record before the guest does.
            Err(UnitError::Fault { code, .. }) => assert_eq!(code, "guest-output"),
            other => panic!("{} gave {other:?}", one.record.body),
        }
    }
}

#[test]
fn an_outage_is_not_a_wrong_key() {
    let failure = failure(page("check-data", Position::Start));
    assert!(matches!(failure.kind, FailureKind::Transient), "cannot tell, not refused: {failure:?}");
}

#[test]
fn g09_a_foreign_cursor_is_refused_by_name() {
    let cursor = Cursor { version: 99, bytes: vec![0xff; 4096] };
    assert!(page("check-data", Position::Cursor(cursor)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in at the webhook, the guest never breaks.
    #[test]
    fn g01_no_bytes_at_all_break_the_guest(
        mut body in prop::collection::vec(any::<u8>(), 0..512),
        splice in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        if whole {
            // A good batch with a hole torn into it.
            let mut good = batch(&[event("e1"), event("e2")]);
            let at = splice.index(good.len());
            good.splice(at..(at + 3).min(good.len()), body.drain(..).take(5));
            body = good;
        }
        if let Err(UnitError::Fault { code, message }) = webhook("streams", body) {
            prop_assert!(false, "{}: {}", code, message);
        }
    }
}
