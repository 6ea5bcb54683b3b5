//! The settings of the surfaces, and what they declare.

use moengage_connector::{Profile, Surface, configure};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::plain_settings;

fn with(key: &str, value: Value) -> Value {
    let mut settings = plain_settings();
    settings[key] = value;
    settings
}

fn codes(settings: &Value) -> Vec<(String, String)> {
    let problems = configure(&settings.to_string()).unwrap_err();
    problems.into_iter().map(|problem| (problem.path, problem.code)).collect()
}

fn profile(settings: &Value) -> Profile {
    configure(&settings.to_string()).unwrap()
}

fn surface(settings: &Value, name: &str) -> Surface {
    profile(settings).surfaces.into_iter().find(|surface| surface.name == name).unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, code)| ((*path).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn each_surface_is_there_where_its_block_is_and_says_what_it_needs() {
    let mut settings = plain_settings();
    let names = |settings: &Value| -> Vec<String> {
        profile(settings).surfaces.into_iter().map(|surface| surface.name).collect()
    };
    assert_eq!(names(&settings), ["streams"]);
    settings["segment_sync"] = json!({});
    settings["alerts"] = json!(true);
    settings["connector_campaigns"] = json!({"user_id": "id", "event": "e"});
    assert_eq!(names(&settings), ["streams", "segment-sync", "alerts", "connector-campaigns"]);

    for surface in profile(&settings).surfaces {
        let signed = surface.name == "alerts";
        assert_eq!(surface.verification, if signed { "alerts" } else { "basic" });
        // Segment Sync wants JSON, connector campaigns exactly 200.
        assert_eq!((surface.answer.status, surface.answer.content_type.as_str()), (200, "application/json"));
        serde_json::from_str::<Value>(&surface.answer.body).unwrap();
        assert!(surface.answer.body.len() < 64);
        assert_eq!((surface.headers, surface.replay_window), (vec!["content-type".to_owned()], 7 * 86_400));
        assert!(!surface.dedupe_key.is_empty());
    }
    assert_eq!(surface(&settings, "segment-sync").body_cap, 16 << 20);
    assert_eq!(surface(&settings, "alerts").body_cap, 1 << 20);
    assert!(surface(&settings, "connector-campaigns").dedupe_key.contains("60 minutes"));
    settings["connector_campaigns"]["event_id"] = json!("/a b/c");
    assert!(surface(&settings, "connector-campaigns").dedupe_key.contains("/a b/c"));
    settings["alerts"] = json!(false);
    assert_eq!(names(&settings), ["streams", "segment-sync", "connector-campaigns"]);
}

#[test]
fn alerts_need_the_key_that_signs_them() {
    let mut settings = with("alerts", json!(true));
    settings["keys"] = json!({"data": "data"});
    assert_eq!(codes(&settings), pairs(&[("keys.campaigns", "missing-key")]));
    settings["campaigns"] = json!({});
    assert_eq!(codes(&settings), pairs(&[("keys.campaigns", "missing-key")]), "one mistake is one problem");
    assert_eq!(codes(&with("alerts", json!("yes"))), pairs(&[("alerts", "wrong-type")]));
}

#[test]
fn every_problem_of_segment_sync_at_once() {
    let block = json!({
        "identifier": "name", "user_field": "moengage_sync_id", "add_field": "x".repeat(101), "remove_field": 7,
        "folder": "", "colour": 1,
        "lists": {
            "": 5, "a": 0, "b": "VIP", "c": true, "d": {"id": 7, "name": "N", "folder": "F"}, "e": {"id": "7"},
            "f": {"name": "One", "colour": 1}, "g": {"name": "One"}, "h": 9, "i": {"id": 9, "inert": true},
            "j": {"inert": "yes"}, "k": null, "l": {"name": " spaces "}, "m": {"name": "One", "folder": "Other"},
            "n": false, "o": {"inert": true}, "p": {"inert": true}
        }
    });
    assert_eq!(
        codes(&with("segment_sync", block)),
        pairs(&[
            ("segment_sync.folder", "empty-value"),
            ("segment_sync.add_field", "bad-name"),
            ("segment_sync.colour", "unknown-key"),
            ("segment_sync.identifier", "unknown-identifier"),
            ("segment_sync.lists[\"\"]", "bad-sync-id"),
            ("segment_sync.lists.a", "bad-list-id"),
            ("segment_sync.lists.b", "wrong-type"),
            ("segment_sync.lists.c", "wrong-type"),
            ("segment_sync.lists.d.name", "unused-key"),
            ("segment_sync.lists.d.folder", "unused-key"),
            ("segment_sync.lists.e.id", "bad-list-id"),
            ("segment_sync.lists.f.colour", "unknown-key"),
            ("segment_sync.lists.g", "duplicate-list"),
            ("segment_sync.lists.i", "duplicate-list"),
            ("segment_sync.lists.j.inert", "wrong-type"),
            ("segment_sync.lists.k", "wrong-type"),
            ("segment_sync.lists.l.name", "bad-list-name"),
            ("segment_sync.remove_field", "wrong-type"),
            ("segment_sync.user_field", "reserved-name"),
        ])
    );
    assert_eq!(
        codes(&with("segment_sync", json!({"add_field": "users", "remove_field": "users"}))),
        pairs(&[("segment_sync.remove_field", "duplicate-name")])
    );
    assert_eq!(codes(&with("segment_sync", json!(true))), pairs(&[("segment_sync", "wrong-type")]));
    for fits in [
        json!({}),
        json!({"user_field": "moengage_distinct_id", "identifier": "moengage_id"}),
        json!({"lists": {"65a1": 5, "66b2": {"id": 6.0, "inert": true}, "x": {"name": "A", "folder": "B"}, "y": {"name": "A"}}}),
    ] {
        profile(&with("segment_sync", fits));
    }
}

#[test]
fn every_problem_of_connector_campaigns_at_once() {
    let block = json!({
        "user_id": "/a/~2", "email": 5, "event": {"from": "", "to": "x"}, "event_id": "id", "campaign_id": "c",
        "time": {"format": "days", "zone": 1}, "repeat_window": "1s", "colour": 1,
        "properties": {"bad name": "x", "campaign_id": "y", "z": "a\u{7}"}
    });
    let found = codes(&with("connector_campaigns", block));
    let path = |tail: &str| format!("connector_campaigns.{tail}");
    for (tail, code) in [
        ("user_id", "bad-pointer"),
        ("email", "wrong-type"),
        ("event.to", "unknown-key"),
        ("event.from", "empty-value"),
        ("time.format", "unknown-time-format"),
        ("time.zone", "unknown-key"),
        ("time.from", "missing-key"),
        ("repeat_window", "bad-duration"),
        ("repeat_window", "unused-key"),
        ("colour", "unknown-key"),
        ("properties[\"bad name\"]", "bad-property-name"),
        ("properties.campaign_id", "duplicate-property"),
        ("properties.z", "bad-pointer"),
    ] {
        assert!(found.contains(&(path(tail), code.to_owned())), "{tail} {code} in {found:?}");
    }
    assert_eq!(found.len(), 13, "{found:?}");
    assert_eq!(
        codes(&with("connector_campaigns", json!({}))),
        pairs(&[
            ("connector_campaigns.event", "missing-key"),
            ("connector_campaigns.user_id", "missing-key")
        ])
    );
    assert_eq!(
        codes(&with("connector_campaigns", json!({"email": "mail", "event": "two\nlines"}))),
        pairs(&[("connector_campaigns.event", "bad-event-name")])
    );
    assert_eq!(
        codes(&with("options", json!({"machine_events": "hide"}))),
        pairs(&[("options.machine_events", "unknown-choice")])
    );
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    let settings = crate::connector_campaigns::settings(json!({
        "user_id": "/a~1b/m~0n/1", "event": "e", "properties": {"empty_key": "/", "not_an_index": "/list/01"}
    }));
    let body = json!({"a/b": {"m~n": ["u0", "u1"]}, "": 7, "list": [1, 2]});
    let request = crate::connector_campaigns::request(body.to_string(), "application/json", 1);
    let outcome = crate::reach::handle_webhook(&settings, &request).unwrap();
    assert_eq!(crate::person(&outcome.records[0]).external_id.as_deref(), Some("u1"));
    assert_eq!(crate::body(&outcome.records[0])["attributes"], json!({"empty_key": 7}));
}

proptest! {
    #[test]
    fn any_blocks_give_a_profile_or_problems(value in crate::robustness::any_json(), inner in crate::robustness::any_json(), key in 0..9_usize) {
        let (block, own) = [
            ("segment_sync", ""), ("segment_sync", "lists"), ("segment_sync", "folder"), ("segment_sync", "identifier"),
            ("alerts", ""), ("connector_campaigns", ""), ("connector_campaigns", "event"), ("connector_campaigns", "time"),
            ("connector_campaigns", "properties"),
        ][key];
        let value = if own.is_empty() { value } else { json!({"user_id": "id", "event": "e", own: inner}) };
        if let Err(problems) = configure(&with(block, value).to_string()) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|p| !p.code.is_empty() && !p.message.is_empty() && !p.remedy.is_empty()));
        }
    }
}
