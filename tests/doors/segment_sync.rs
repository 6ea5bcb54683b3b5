//! Chunks of a segment, as Outbound Segment Sync pushes them.

mod order;

use moengage_connector::{
    Failure, FailureKind, Mapping, Nature, Provenance, Record, Settings, Storage, TimeTrust, WebhookOutcome,
    WebhookRequest,
};
use serde_json::{Value, json};

use crate::reach::Memory;
use crate::{NOW, actions, body, map, note, parse, person, plain_settings};

/// The plain settings with a block `segment_sync`.
pub fn settings(block: Value) -> Settings {
    let mut settings = plain_settings();
    settings["segment_sync"] = block;
    parse(&settings)
}

fn row(number: usize) -> Value {
    json!({"moengage_distinct_id": format!("m{number}"), "partner_user_id": format!("u{number}"), "source": "shop"})
}

/// A chunk of the documented shape.
pub fn chunk(execution: &str, add: &[Value], remove: &[Value]) -> Value {
    json!({
        "type": "segment_sync",
        "pagination": {"total_pages": 14, "page_count": 12},
        "data": {
            "moengage_sync_id": "65a1", "moengage_sync_name": "VIP customers",
            "moengage_execution_id": execution, "moengage_integration_id": "77b2",
            "add_users": add, "remove_users": remove,
        }
    })
}

fn request(body: impl Into<Vec<u8>>, received_at: i64) -> WebhookRequest {
    WebhookRequest {
        surface: "segment-sync".to_owned(),
        body: body.into(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        received_at,
    }
}

pub fn push(
    settings: &Settings,
    body: &Value,
    received_at: i64,
    storage: &mut dyn Storage,
) -> Result<WebhookOutcome, Failure> {
    moengage_connector::handle_webhook(settings, &request(body.to_string(), received_at), storage)
}

fn take(settings: &Settings, body: &Value) -> WebhookOutcome {
    push(settings, body, NOW, &mut Memory::default()).unwrap()
}

/// The one record of a chunk in which one row joins.
fn joined(settings: &Settings, row: Value) -> Record {
    let outcome = take(settings, &chunk("e1", &[row], &[]));
    assert_eq!(outcome.rejects, []);
    outcome.records.into_iter().next().unwrap()
}

fn failed(settings: &Settings, body: &Value) -> Failure {
    push(settings, body, NOW, &mut Memory::default()).unwrap_err()
}

#[test]
fn a_chunk_gives_a_membership_for_each_row() {
    let outcome = take(&settings(json!({})), &chunk("e1", &[row(1), row(2)], &[row(3)]));
    let found: Vec<_> =
        outcome.records.iter().map(|record| (record.id.as_str(), body(record)["member"].clone())).collect();
    let id = "moengage:ABC123:membership:65a1/uid.";
    assert_eq!(
        found,
        [
            (format!("{id}u3").as_str(), json!(false)),
            (format!("{id}u1").as_str(), json!(true)),
            (format!("{id}u2").as_str(), json!(true))
        ]
    );
    for record in &outcome.records {
        assert_eq!((record.kind.as_str(), record.nature), ("membership", Nature::State));
        assert_eq!((record.occurred.at, record.occurred.trust), (Some(NOW), TimeTrust::Arrival));
        assert!(record.observation.id.starts_with("e1/"));
    }
    let first = &outcome.records[1];
    assert_eq!(person(first).external_id.as_deref(), Some("u1"));
    assert_eq!(
        (person(first).aliases[0].kind.as_str(), person(first).aliases[0].value.as_str()),
        ("moengage-user-id", "m1")
    );
    assert_eq!(body(first), json!({"sync_id": "65a1", "sync_name": "VIP customers", "member": true}));
    assert!(outcome.rejects.is_empty() && outcome.notes.is_empty());
}

#[test]
fn the_surface_is_there_where_the_block_is() {
    let request = request(chunk("e1", &[row(1)], &[]).to_string(), NOW);
    let failure = crate::reach::handle_webhook(&crate::plain(), &request).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Config, "unknown-surface"));
}

#[test]
fn nobody_is_dropped_because_an_id_is_not_known_yet() {
    let settings = settings(json!({}));
    for missing in [json!(null), json!(""), json!("  "), json!("guest"), json!("anon-7")] {
        let outcome = take(
            &settings,
            &chunk("e1", &[json!({"moengage_distinct_id": "m9", "partner_user_id": missing}), row(1)], &[]),
        );
        let record = &outcome.records[0];
        assert_eq!(record.id, "moengage:ABC123:membership:65a1/mid.m9");
        assert_eq!((person(record).external_id.as_deref(), person(record).aliases.len()), (None, 1));
        assert_eq!(note(&outcome, "known-by-alias-only"), 1);
        // It is not anonymous: the host holds it until the person is known.
        assert_eq!(actions(&settings, record)[0].name, "brevo/join-list");
    }
    let outcome = take(&settings, &chunk("e1", &[json!({"partner_user_id": null}), row(1)], &[]));
    assert_eq!(
        (outcome.rejects[0].pointer.as_str(), outcome.rejects[0].code.as_str()),
        ("/data/add_users/0", "nobody-named")
    );
    assert_eq!(outcome.records.len(), 1);
}

#[test]
fn d03_ids_are_exact_or_refused() {
    let settings = settings(json!({}));
    for (uid, key) in [
        (json!("4000052183.0"), "uid.4000052183.0"),
        (json!(4_000_052_183.0), "uid.4000052183"),
        (json!(u64::MAX), "uid.18446744073709551615"),
    ] {
        let record = joined(&settings, json!({"moengage_distinct_id": "m", "partner_user_id": uid}));
        assert_eq!(record.id, format!("moengage:ABC123:membership:65a1/{key}"));
    }
    for (uid, code) in [
        (json!(9_007_199_254_740_992.0), "float-identity"),
        (json!([1]), "wrong-type-identity"),
        (json!("a\u{7}"), "control-character-identity"),
        (json!("x".repeat(600)), "identity-too-long"),
        (json!("x".repeat(500)), "identity-too-long"),
    ] {
        let outcome = take(&settings, &chunk("e1", &[row(1), json!({"partner_user_id": uid})], &[]));
        assert_eq!(
            (outcome.rejects[0].pointer.as_str(), outcome.rejects[0].code.as_str()),
            ("/data/add_users/1", code)
        );
        assert_eq!(outcome.records.len(), 1);
    }
    // 1e400 is no number to anybody.
    let text =
        chunk("e1", &[row(1), json!({"partner_user_id": "@"})], &[]).to_string().replace("\"@\"", "1e400");
    let outcome = crate::reach::handle_webhook(&settings, &request(text, NOW)).unwrap();
    assert_eq!((outcome.rejects[0].code.as_str(), outcome.records.len()), ("unreadable-value", 1));
}

#[test]
fn d10_the_identifier_is_what_the_settings_say_and_is_read_as_at_every_door() {
    let keyed = |identifier: &str, value: &str| {
        let settings = settings(json!({"identifier": identifier, "user_field": "who"}));
        joined(&settings, json!({"moengage_distinct_id": "m", "who": value}))
    };
    let record = keyed("email", " Ann@Example.com ");
    assert_eq!(record.id, "moengage:ABC123:membership:65a1/email.ann@example.com");
    assert_eq!(person(&record).email.as_deref(), Some("Ann@Example.com"));
    assert_eq!(keyed("email", "ann@example.com").id, record.id, "Brevo's case rule");
    // Nothing beyond it is guessed.
    assert_ne!(keyed("email", "a.nn+x@example.com").id, record.id);
    let record = keyed("phone", "+91 8888-444411");
    assert_eq!(record.id, "moengage:ABC123:membership:65a1/phone.+918888444411");
    let record = keyed("moengage_id", "m7");
    assert_eq!(record.id, "moengage:ABC123:membership:65a1/mid.m7");
    assert_eq!(person(&record).aliases[0].value, "m7");
}

#[test]
fn d09_addresses_that_are_none_leave_the_alias() {
    let settings = settings(json!({"identifier": "email", "user_field": "who"}));
    for address in
        ["a@b", "no address", "a@b@c.de", "@x.de", "a\u{202e}@", &format!("{}@x.de", "a".repeat(70))]
    {
        let outcome =
            take(&settings, &chunk("e1", &[json!({"moengage_distinct_id": "m", "who": address})], &[]));
        assert_eq!(outcome.records[0].id, "moengage:ABC123:membership:65a1/mid.m", "{address}");
        assert_eq!(note(&outcome, "unusable-email"), 1);
    }
    let record = joined(&settings, json!({"moengage_distinct_id": "m", "who": "jürgen@exämple.de"}));
    assert_eq!(record.id, "moengage:ABC123:membership:65a1/email.jürgen@exämple.de");
}

#[test]
fn renamed_keys_are_told_by_the_settings() {
    let renamed = |add: &str, remove: &str, user: &str| {
        let mut chunk = chunk("e1", &[], &[]);
        let data = chunk["data"].as_object_mut().unwrap();
        data.remove("add_users");
        data.remove("remove_users");
        data.insert(add.to_owned(), json!([{"moengage_distinct_id": "m1", user: "u1"}]));
        data.insert(remove.to_owned(), json!([{"moengage_distinct_id": "m2", user: "u2"}]));
        chunk
    };
    let wire = renamed("joiners", "leavers", "customer");
    let told = settings(json!({"add_field": "joiners", "remove_field": "leavers", "user_field": "customer"}));
    assert_eq!(take(&told, &wire).records.len(), 2);

    // Never an empty success.
    let code = |block: Value| {
        let failure = failed(&settings(block), &wire);
        assert_eq!(failure.kind, FailureKind::Config);
        failure.code
    };
    assert_eq!(code(json!({})), "lists-missing");
    assert_eq!(code(json!({"add_field": "joiners"})), "unknown-list");
    assert_eq!(code(json!({"remove_field": "leavers"})), "unknown-list");
    assert_eq!(code(json!({"add_field": "joiners", "remove_field": "leavers"})), "user-key-missing");
}

#[test]
fn d16_a_missing_list_a_null_one_and_an_empty_one_are_all_documented_or_harmless() {
    let settings = settings(json!({}));
    let with = |add: Option<Value>, remove: Option<Value>| {
        let mut chunk = chunk("e1", &[], &[]);
        let data = chunk["data"].as_object_mut().unwrap();
        data.remove("add_users");
        data.remove("remove_users");
        data.extend(add.map(|rows| ("add_users".to_owned(), rows)));
        data.extend(remove.map(|rows| ("remove_users".to_owned(), rows)));
        chunk
    };
    for (add, remove, records) in [
        (Some(json!([row(1)])), None, 1),
        (None, Some(json!([row(1)])), 1),
        (Some(json!([row(1)])), Some(json!(null)), 1),
        (Some(json!([])), Some(json!([])), 0),
        (Some(json!(null)), None, 0),
    ] {
        let outcome = take(&settings, &with(add, remove));
        assert_eq!((outcome.records.len(), outcome.rejects.len()), (records, 0));
    }
    assert_eq!(failed(&settings, &with(None, None)).code, "lists-missing");
    assert_eq!(failed(&settings, &with(Some(json!({})), None)).code, "users-not-a-list");
}

#[test]
fn n19_one_bad_row_of_a_hundred_costs_itself() {
    let mut rows: Vec<Value> = (0..100).map(row).collect();
    rows[37] = json!("not a row");
    let outcome = take(&settings(json!({})), &chunk("e1", &rows, &[]));
    assert_eq!(outcome.records.len(), 99);
    assert_eq!(
        (outcome.rejects[0].pointer.as_str(), outcome.rejects[0].code.as_str()),
        ("/data/add_users/37", "user-not-object")
    );
}

#[test]
fn n23_who_stands_twice_in_a_chunk_counts_once_and_leaving_counts() {
    let settings = settings(json!({}));
    let outcome = take(&settings, &chunk("e1", &[row(1), row(2), row(1)], &[]));
    assert_eq!((outcome.records.len(), note(&outcome, "repeated-row")), (2, 1));
    let outcome = take(&settings, &chunk("e1", &[row(1), row(2)], &[row(2)]));
    assert_eq!((outcome.records.len(), note(&outcome, "in-both-lists")), (2, 1));
    assert_eq!(
        (outcome.records[0].id.as_str(), body(&outcome.records[0])["member"].clone()),
        ("moengage:ABC123:membership:65a1/uid.u2", json!(false))
    );
}

#[test]
fn w14_a_body_of_another_shape_is_a_named_failure() {
    let settings = settings(json!({}));
    let with = |pointer: &str, value: Value| {
        let mut chunk = chunk("e1", &[row(1)], &[]);
        *chunk.pointer_mut(pointer).unwrap() = value;
        chunk.to_string()
    };
    for (text, code) in [
        ("<xml/>".to_owned(), "body-not-json"),
        ("a=1&b=2".to_owned(), "body-not-json"),
        ("[]".to_owned(), "body-not-object"),
        (r#"{"type":"segment_sync","type":"segment_sync"}"#.to_owned(), "duplicate-key"),
        (with("/type", json!("cohort_sync")), "not-a-segment-sync"),
        (with("/type", json!(1)), "not-a-segment-sync"),
        (with("/data", json!([])), "data-missing"),
        (with("/data", json!(null)), "data-missing"),
        (with("/data/moengage_sync_id", json!("")), "sync-id-missing"),
        (with("/data/moengage_sync_id", json!(1.5)), "float-identity"),
        (with("/data/moengage_sync_id", json!("x".repeat(201))), "identity-too-long"),
        (with("/data/moengage_execution_id", json!(null)), "execution-id-missing"),
        (with("/data/add_users", json!("u1")), "users-not-a-list"),
    ] {
        let failure = crate::reach::handle_webhook(&settings, &request(text.clone(), NOW)).unwrap_err();
        assert_eq!(failure.code, code);
        let FailureKind::VendorContract(sample) = failure.kind else { panic!("{:?}", failure.kind) };
        assert!(sample.len() <= 1024 && text.as_bytes().starts_with(&sample));
    }
    // A body without the one documented type is judged by the rest.
    let mut untyped = chunk("e1", &[row(1)], &[]);
    untyped.as_object_mut().unwrap().remove("type");
    assert_eq!(take(&settings, &untyped).records.len(), 1);
}

#[test]
fn d05_a_key_that_is_there_twice_is_refused_where_it_stands() {
    let settings = settings(json!({}));
    let text = chunk("e1", &[row(1), json!("@")], &[]).to_string();
    let twice = text.replace("\"@\"", r#"{"partner_user_id":"a","partner_user_id":"b"}"#);
    let outcome = crate::reach::handle_webhook(&settings, &request(twice, NOW)).unwrap();
    assert_eq!((outcome.records.len(), outcome.rejects[0].code.as_str()), (1, "duplicate-key"));
    let twice = text.replace("\"data\":{", "\"data\":{\"add_users\":[],");
    assert_eq!(
        crate::reach::handle_webhook(&settings, &request(twice, NOW)).unwrap_err().code,
        "duplicate-key"
    );
}

#[test]
fn d01_bytes_that_are_not_utf8_name_nobody_and_cost_their_row() {
    let settings = settings(json!({}));
    let body = chunk(
        "e1",
        &[row(1), json!({"partner_user_id": "j@rg"}), json!({"partner_user_id": "u3", "note": "@"})],
        &[],
    );
    let body: Vec<u8> = body.to_string().bytes().map(|byte| if byte == b'@' { 0xFC } else { byte }).collect();
    let outcome = crate::reach::handle_webhook(&settings, &request(body, NOW)).unwrap();
    assert_eq!((outcome.records.len(), note(&outcome, "non-utf8-replaced")), (2, 2));
    assert_eq!(outcome.rejects[0].code, "unreadable-identity");
}

#[test]
fn d02_nesting_is_refused_without_a_stack() {
    let settings = settings(json!({}));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = chunk("e1", &[row(1), json!({"partner_user_id": "u2", "deep": "@"})], &[]).to_string();
    let outcome =
        crate::reach::handle_webhook(&settings, &request(text.replace("\"@\"", &deep), NOW)).unwrap();
    assert_eq!((outcome.records.len(), outcome.rejects[0].code.as_str()), (1, "too-deep"));
    let failure = crate::reach::handle_webhook(&settings, &request(deep, NOW)).unwrap_err();
    assert_eq!(failure.code, "body-not-object");
}

#[test]
fn d08_ten_thousand_users_with_long_static_pairs_fit_and_more_than_a_unit_holds_is_named() {
    let settings = settings(json!({}));
    let pair = "x".repeat(1_400);
    let rows: Vec<Value> = (0..10_000)
        .map(|n| json!({"moengage_distinct_id": format!("m{n}"), "partner_user_id": format!("u{n}"), "note": pair}))
        .collect();
    let body = chunk("e1", &rows, &[]).to_string();
    let cap = moengage_connector::configure(&{
        let mut settings = plain_settings();
        settings["segment_sync"] = json!({});
        settings.to_string()
    });
    let cap =
        cap.unwrap().surfaces.into_iter().find(|surface| surface.name == "segment-sync").unwrap().body_cap;
    assert!(body.len() < cap as usize, "{}", body.len());
    let outcome = crate::reach::handle_webhook(&settings, &request(body, NOW)).unwrap();
    assert_eq!(outcome.records.len(), 10_000);

    let many: Vec<Value> = (0..10_001).map(row).collect();
    assert_eq!(failed(&settings, &chunk("e1", &many, &many)).code, "too-many-users");
}

#[test]
fn lists_are_those_of_the_settings_or_named_after_the_sync() {
    let target = |lists: Value| {
        let settings = settings(json!({"folder": "From MoEngage", "lists": lists}));
        let record = joined(&settings, row(1));
        match map(&settings, &record).unwrap() {
            Mapping::Actions(actions) => {
                assert_eq!((actions[0].slot.as_str(), actions[0].name.as_str()), ("list", "brevo/join-list"));
                assert_eq!(actions[0].not_after, None);
                serde_json::from_str(&actions[0].payload).unwrap()
            }
            Mapping::Nothing(why) => json!(why),
        }
    };
    let named = |name: &str, folder: &str, inert: bool| json!({"list": {"name": name, "folder": folder}, "inert": inert});
    // Two syncs of one segment have the same name, so the id stands with it.
    assert_eq!(target(json!({})), named("VIP customers (65a1)", "From MoEngage", false));
    assert_eq!(target(json!({"65a1": 5})), json!({"list": {"id": 5}, "inert": false}));
    assert_eq!(target(json!({"65a1": {"id": 5, "inert": true}})), json!({"list": {"id": 5}, "inert": true}));
    assert_eq!(target(json!({"65a1": {"name": "VIP"}})), named("VIP", "From MoEngage", false));
    assert_eq!(
        target(json!({"65a1": {"name": "VIP", "folder": "F", "inert": true}})),
        named("VIP", "F", true)
    );
    assert_eq!(
        target(json!({"65a1": {"inert": true}})),
        named("VIP customers (65a1)", "From MoEngage", true)
    );
    assert_eq!(target(json!({"65a1": false})), json!("sync-not-carried"));
    assert_eq!(target(json!({"other": false})), named("VIP customers (65a1)", "From MoEngage", false));

    let settings = settings(json!({}));
    let outcome = take(&settings, &chunk("e1", &[], &[row(1)]));
    assert_eq!(actions(&settings, &outcome.records[0])[0].name, "brevo/leave-list");
    assert_eq!(map(&crate::plain(), &outcome.records[0]).unwrap(), Mapping::Nothing("not-synced".to_owned()));
}

#[test]
fn a_slash_in_an_id_can_not_be_taken_for_the_one_between_two() {
    let settings = settings(json!({}));
    let id = |sync: &str, uid: &str| {
        let mut chunk = chunk("e1", &[json!({"partner_user_id": uid})], &[]);
        chunk["data"]["moengage_sync_id"] = json!(sync);
        take(&settings, &chunk).records[0].id.clone()
    };
    assert_ne!(id("a/uid.b", "c"), id("a", "b/uid.c"));
    assert_ne!(id("a%2Fb", "c"), id("a/b", "c"));
}

#[test]
fn everyone_who_passes_is_watched_where_profiles_are_refreshed() {
    let mut settings = plain_settings();
    settings["segment_sync"] = json!({});
    settings["options"] = json!({"profile_refresh": "24h"});
    let mut storage = Memory::default();
    push(&parse(&settings), &chunk("e1", &[row(1)], &[row(2)]), NOW, &mut storage).unwrap();
    let watched: Vec<_> = storage.0.keys().filter(|key| key.starts_with("watch/")).collect();
    assert_eq!(watched, ["watch/u1", "watch/u2"]);
}

#[test]
fn a_storage_that_is_full_gives_no_order_and_so_no_records() {
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
    let failure = push(&settings(json!({})), &chunk("e1", &[row(1)], &[]), NOW, &mut Full).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "storage-full"));
}

#[test]
fn a_chunk_that_could_not_be_read_opens_no_execution() {
    let mut storage = Memory::default();
    let other = settings(json!({"user_field": "customer"}));
    push(&other, &chunk("e1", &[row(1)], &[]), NOW, &mut storage).unwrap_err();
    assert!(storage.0.is_empty());
}

#[test]
fn no_note_reject_or_failure_names_a_person() {
    let settings = settings(json!({"identifier": "email", "user_field": "who"}));
    let rows = [json!({"moengage_distinct_id": "secret", "who": "secret person"}), json!({"who": 1e30})];
    let outcome = take(&settings, &chunk("e1", &rows, &[]));
    let text = format!("{:?} {:?}", outcome.notes, outcome.rejects);
    assert!(!text.contains("secret") && !outcome.rejects.is_empty(), "{text}");
    assert_eq!(outcome.records[0].provenance, Provenance::Backfill);
}
