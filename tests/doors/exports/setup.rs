//! The block `exports` of the settings, and where a run starts.

use std::cell::RefCell;

use moengage_connector::{Cursor, FailureKind, Position, SyncMode, configure};
use serde_json::{Value, json};

use super::store::{DAY, LATER, S3, Store, TODAY, WEB, fetch, folder, settings, settings_json};
use crate::plain_settings;

fn codes(changes: Value, storage: &str) -> Vec<(String, String)> {
    let mut settings = settings_json(storage);
    for (key, value) in changes.as_object().unwrap() {
        if value == "-" {
            settings["exports"].as_object_mut().unwrap().remove(key);
        } else {
            settings["exports"][key] = value.clone();
        }
    }
    let problems = configure(&settings.to_string()).err().unwrap_or_default();
    assert!(problems.iter().all(|p| !p.message.is_empty() && !p.remedy.is_empty()));
    problems.into_iter().map(|problem| (problem.path, problem.code)).collect()
}

#[test]
fn each_kind_of_store_makes_the_resource_at_its_endpoint() {
    for storage in ["s3", "gcs", "https"] {
        let profile = configure(&settings_json(storage).to_string()).unwrap();
        let resource = profile.resources.iter().find(|resource| resource.name == "event-exports").unwrap();
        assert_eq!(resource.endpoint, format!("exports-{storage}"));
        assert_eq!(
            (resource.kind.as_str(), resource.mode, resource.cadence),
            ("event", SyncMode::Incremental, 0)
        );
        assert_eq!(resource.slot.as_deref(), Some("exports"));
        assert!(profile.slots.iter().any(|slot| slot.name == "exports" && slot.required));
        assert!(profile.cursor_versions.contains(&1));
    }
    let without = configure(&plain_settings().to_string()).unwrap();
    assert!(without.resources.iter().all(|resource| resource.name != "event-exports"));
    assert!(without.slots.iter().all(|slot| slot.name != "exports"));
}

#[test]
fn where_the_files_lie_is_in_the_source_key_and_how_they_are_reached_is_not() {
    let key = |changes: Value| {
        let mut settings = settings_json(S3);
        for (key, value) in changes.as_object().unwrap() {
            settings["exports"][key] = value.clone();
        }
        configure(&settings.to_string()).unwrap().source_key
    };
    let plain = key(json!({}));
    assert_eq!(serde_json::from_str::<Value>(&plain).unwrap().to_string(), plain, "canonical");
    assert_eq!(key(json!({"access_key_id": "AKIAOTHER", "region": "us-east-1"})), plain);
    for change in [json!({"bucket": "other"}), json!({"folder": "other"}), json!({"db_name": "Other"})] {
        assert_ne!(key(change), plain);
    }
}

#[test]
fn every_problem_of_the_block_has_its_path() {
    type Row<'a> = (&'a str, Value, &'a [(&'a str, &'a str)]);
    let table: [Row<'_>; 27] = [
        ("s3", json!({}), &[]),
        ("gcs", json!({}), &[]),
        ("https", json!({}), &[]),
        ("https", json!({"folder": "-"}), &[]),
        ("gcs", json!({"bucket": "a_b.example"}), &[]),
        ("s3", json!({"storage": "azure"}), &[("storage", "unknown-storage")]),
        ("s3", json!({"storage": "-"}), &[("storage", "missing-key")]),
        (
            "s3",
            json!({"bucket": "-", "region": "-"}),
            &[("bucket", "missing-key"), ("region", "missing-key")],
        ),
        ("s3", json!({"access_key_id": "-"}), &[("access_key_id", "missing-key")]),
        ("s3", json!({"secret": "-"}), &[("secret", "missing-key")]),
        ("s3", json!({"db_name": "-"}), &[("db_name", "missing-key")]),
        ("s3", json!({"folder": "-"}), &[("folder", "missing-key")]),
        ("https", json!({"user": "-"}), &[("user", "missing-key")]),
        ("s3", json!({"user": "tajo"}), &[("user", "unused-key")]),
        ("gcs", json!({"region": "eu-west-1"}), &[("region", "unused-key")]),
        ("https", json!({"bucket": "acme"}), &[("bucket", "unused-key")]),
        ("s3", json!({"region": "eu-central-9"}), &[("region", "unknown-region")]),
        ("s3", json!({"region": "cn-north-1"}), &[("region", "unknown-region")]),
        ("s3", json!({"secret": "wJalrXUtnFEMI"}), &[("secret", "not-a-secret")]),
        // What the host puts there for "${NAME}".
        ("s3", json!({"access_key_id": "access_key_id"}), &[("access_key_id", "bad-access-key-id")]),
        ("s3", json!({"access_key_id": "AKIA 1"}), &[("access_key_id", "bad-access-key-id")]),
        ("https", json!({"user": "a:b"}), &[("user", "bad-exports-user")]),
        ("s3", json!({"db_name": ""}), &[("db_name", "empty-value")]),
        ("s3", json!({"db_name": 7}), &[("db_name", "wrong-type")]),
        ("s3", json!({"colour": "red"}), &[("colour", "unknown-key")]),
        ("s3", json!({"bucket": "a_b"}), &[("bucket", "bad-bucket")]),
        ("s3", json!({"bucket": null}), &[("bucket", "wrong-type")]),
    ];
    for (storage, changes, expected) in table {
        let expected: Vec<_> =
            expected.iter().map(|(key, code)| (format!("exports.{key}"), (*code).to_owned())).collect();
        assert_eq!(codes(changes.clone(), storage), expected, "{storage} {changes}");
    }
    let mut settings = plain_settings();
    settings["exports"] = json!("s3://acme");
    let problems = configure(&settings.to_string()).unwrap_err();
    assert_eq!((problems[0].path.as_str(), problems[0].code.as_str()), ("exports", "wrong-type"));
}

#[test]
fn names_of_buckets_and_folders_follow_their_rules() {
    let long = "a".repeat(64);
    for bucket in
        ["ab", "Acme", "acme-", "-acme", "acme..x", "a/b", "s3://acme", "192.168.5.4", &long, "ü-bucket"]
    {
        let found = codes(json!({"bucket": bucket}), "s3");
        assert_eq!(found, [("exports.bucket".to_owned(), "bad-bucket".to_owned())], "{bucket}");
    }
    for bucket in ["abc", "acme-moengage", "acme.moengage.exports", "0-0"] {
        assert_eq!(codes(json!({"bucket": bucket}), "s3"), [], "{bucket}");
    }
    let long = "a".repeat(801);
    for folder in ["/a", "a/", "a//b", ".", "a/../b", "a\\b", "a\nb", "a/export_day=2022-05-20", &long] {
        let found = codes(json!({"folder": folder}), "s3");
        assert_eq!(found, [("exports.folder".to_owned(), "bad-folder".to_owned())], "{folder}");
    }
    for folder in ["a", "event-exports/Acme App/c1", "mü/x.y"] {
        assert_eq!(codes(json!({"folder": folder}), "s3"), [], "{folder}");
    }
}

#[test]
fn the_manifest_grants_the_same_regions_and_the_tenants_bucket_only() {
    let manifest: Value = serde_json::from_str(include_str!("../../../manifest.json")).unwrap();
    let s3 = &manifest["endpoints"]["exports-s3"];
    let regions = s3["variables"]["exports.region"]["enum"].as_array().unwrap();
    assert!(regions.len() > 30);
    for region in regions {
        assert_eq!(codes(json!({"region": region}), "s3"), [], "{region}");
    }
    for storage in ["s3", "gcs", "https"] {
        let endpoint = &manifest["endpoints"][format!("exports-{storage}")];
        let auth = endpoint["auth"].as_object().unwrap().values().next().unwrap();
        assert_eq!((&endpoint["methods"], &auth["slot"]), (&json!(["GET"]), &json!("exports")));
        let bucket = if storage == "https" { json!(["/"]) } else { json!(["/{exports.bucket}"]) };
        assert_eq!((&endpoint["paths"], endpoint["origin"].is_null()), (&bucket, storage == "https"));
    }
}

#[test]
fn a_listing_is_asked_for_as_the_store_documents_it() {
    let mut store = Store::new(S3);
    store.put(&format!("{}/event_exports_1.json.gz", folder(0)), "");
    store.max_keys = 1;
    store.put(&format!("{}/event_exports_2.json.gz", folder(0)), "");
    let store = RefCell::new(store);
    fetch(&settings(S3), &store, Position::Window(TODAY, TODAY + DAY), 10).unwrap();
    let request = store.borrow().asked[1].clone();
    assert_eq!(
        (request.path, request.headers, request.body),
        (vec!["acme-moengage".to_owned()], vec![], None)
    );
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let prefix = "dump/events_acme/export_day=2022-05-20/";
    assert_eq!(
        request.query,
        [
            pair("list-type", "2"),
            pair("prefix", prefix),
            pair("max-keys", "100"),
            pair("start-after", &format!("{prefix}event_exports_1.json.gz")),
        ]
    );

    let mut settings = settings_json(WEB);
    settings["exports"].as_object_mut().unwrap().remove("folder");
    let store = RefCell::new(Store::new(WEB));
    fetch(&crate::parse(&settings), &store, Position::Window(TODAY, TODAY + DAY), 10).unwrap();
    assert_eq!(store.borrow().asked[0].path, ["export_day=2022-05-20", ""]);
}

#[test]
fn a_run_needs_a_window_and_a_cursor_of_its_own() {
    let store = RefCell::new(Store::new(S3));
    let cursor = |version, bytes: &[u8]| Position::Cursor(Cursor { version, bytes: bytes.to_vec() });
    for (position, code) in [
        (Position::Start, "window-needed"),
        (Position::Window(TODAY, TODAY), "empty-window"),
        (Position::Window(TODAY, TODAY - 1), "empty-window"),
        (Position::Window(i64::MIN, 0), "empty-window"),
        (Position::Window(LATER + DAY, LATER + 2 * DAY), "window-in-future"),
        (cursor(2, b"{}"), "unknown-cursor-version"),
        (cursor(1, b""), "unreadable-cursor"),
        (cursor(1, b"{}"), "unreadable-cursor"),
    ] {
        let failure = fetch(&settings(S3), &store, position, 10).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Cursor, code));
    }
    assert!(store.borrow().asked.is_empty());
}
