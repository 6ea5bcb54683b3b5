//! What is declared of a resource: all of it, for each of them.

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{Nature, SyncMode, configure};
use serde_json::{Value, json};

use super::resources;
use crate::plain_settings;
use crate::schemas::everything;

/// Every object schema refuses what it doesn't name, and has a type for what it does.
fn assert_closed(name: &str, schema: &Value) {
    if let Some(items) = schema.get("items") {
        assert_closed(name, items);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], json!(false), "{name}");
    for property in properties.values() {
        assert!(property.get("type").or(property.get("enum")).is_some(), "{name}: {property}");
        assert_closed(name, property);
    }
}

#[test]
fn every_resource_says_all_that_has_to_be_known_of_it() {
    let manifest: Value = serde_json::from_str(include_str!("../../../manifest.json")).unwrap();
    let profile = configure(&everything().to_string()).unwrap();
    let all: Vec<_> = profile.resources.iter().filter(|resource| resource.mode != SyncMode::Check).collect();
    assert!(all.len() >= 28, "{}", all.len());
    for resource in &all {
        let name = &resource.name;
        let schema: Value = serde_json::from_str(&resource.schema).unwrap();
        assert!(schema["title"].as_str().is_some_and(|title| !title.is_empty()), "{name}");
        assert_closed(name, &schema);
        let required: BTreeSet<&str> =
            schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert!(!resource.primary_key.is_empty(), "{name}");
        // A contact is keyed by what names the person, which stands in its subject.
        if resource.kind != "contact" {
            for key in &resource.primary_key {
                assert!(required.contains(key.as_str()), "{name}: {key}");
                assert_ne!(schema["properties"][key]["type"], json!(["string", "null"]), "{name}: {key}");
            }
        }
        for words in [&resource.cursor_strategy, &resource.replay_policy] {
            assert!(words.len() > 40 && words.ends_with('.'), "{name}: {words}");
        }
        assert!((1..=20_000).contains(&resource.page_limit) && resource.cadence > 0, "{name}");
        assert!(!resource.rate_windows.is_empty(), "{name}");
        assert!(resource.rate_windows.iter().all(|window| window.calls > 0 && window.seconds > 0), "{name}");
        let slot = resource.slot.as_ref().unwrap();
        assert!(profile.slots.iter().any(|known| known.name == *slot), "{name}");
        let auth = manifest["endpoints"][&resource.endpoint]["auth"].as_object().unwrap();
        assert_eq!(auth.values().next().unwrap()["slot"], json!(slot), "{name}");
        assert!(matches!(resource.nature, Nature::State), "{name}: what is listed can change");
    }
    let names: BTreeSet<_> = profile.resources.iter().map(|resource| &resource.name).collect();
    assert_eq!(names.len(), profile.resources.len(), "a name each");
}

#[test]
fn a_kind_is_one_thing_whichever_resource_it_comes_by() {
    let mut kinds: BTreeMap<String, (Vec<String>, Value)> = BTreeMap::new();
    for resource in resources() {
        let schema: Value = serde_json::from_str(&resource.schema).unwrap();
        let said = kinds
            .entry(resource.kind.clone())
            .or_insert_with(|| (resource.primary_key.clone(), schema["properties"].clone()));
        assert_eq!((&said.0, &said.1), (&resource.primary_key, &schema["properties"]), "{}", resource.name);
    }
}

#[test]
fn what_is_read_follows_from_keys_and_switches() {
    let names = |settings: &Value| -> BTreeSet<String> {
        let profile = configure(&settings.to_string()).unwrap();
        profile.resources.into_iter().filter(|r| r.mode != SyncMode::Check).map(|r| r.name).collect()
    };
    let mut settings = plain_settings();
    let by_default = names(&settings);
    for off in [
        "flow-analytics",
        "subscription-preferences",
        "dashboards",
        "charts",
        "chart-figures",
        "cards",
        "catalog-items",
        "recommendations",
    ] {
        assert!(!by_default.contains(off), "{off} is read only where it is asked for");
    }
    assert!(by_default.contains("flows") && by_default.contains("segments"));
    settings["keys"] = json!({"segmentation": "segmentation"});
    assert_eq!(names(&settings), BTreeSet::from(["segments".to_owned()]));
    settings["sync"] = json!({"segments": false});
    assert_eq!(names(&settings), BTreeSet::new());
    // Each switch switches its own resource off and no other.
    let all = names(&everything());
    for name in &all {
        let mut settings = everything();
        let switch = name.replace('-', "_");
        if switch == "users" {
            continue;
        }
        settings["sync"][&switch] = json!(false);
        let mut left = all.clone();
        left.remove(name);
        assert_eq!(names(&settings), left, "{name}");
    }
}

#[test]
fn settings_that_name_what_is_read_are_held_to_their_rules() {
    let codes = |key: &str, value: Value| -> Vec<(String, String)> {
        let mut settings = plain_settings();
        settings[key] = value;
        let problems = configure(&settings.to_string()).err().unwrap_or_default();
        assert!(problems.iter().all(|p| !p.message.is_empty() && !p.remedy.is_empty()));
        problems.into_iter().map(|problem| (problem.path, problem.code)).collect()
    };
    let long = "x".repeat(513);
    for (key, value, path, code) in [
        ("catalogs", json!({"shop": []}), "catalogs.shop", "bad-id-list"),
        ("catalogs", json!({"shop": [7]}), "catalogs.shop", "bad-id-list"),
        ("catalogs", json!({"shop": ["a\nb"]}), "catalogs.shop", "bad-id-list"),
        ("catalogs", json!({"shop": [long]}), "catalogs.shop", "bad-id-list"),
        ("catalogs", json!({"a/b": ["x"]}), "catalogs", "bad-id"),
        ("catalogs", json!({"..": ["x"]}), "catalogs", "bad-id"),
        ("catalogs", json!({" ": ["x"]}), "catalogs", "bad-id"),
        ("cards", json!({}), "cards.users", "missing-key"),
        ("cards", json!({"users": ["a", ""]}), "cards.users", "bad-id-list"),
        (
            "recommendations",
            json!({"r": {"type": "magic", "users": ["u"]}}),
            "recommendations.r.type",
            "unknown-recommendation-type",
        ),
        ("recommendations", json!({"r": {"type": "user_action"}}), "recommendations.r.users", "missing-key"),
        (
            "recommendations",
            json!({"a\\b": {"type": "user_action", "users": ["u"]}}),
            "recommendations",
            "bad-id",
        ),
        ("key_for", json!({"flows": "data"}), "key_for.flows", "unknown-key"),
        ("key_for", json!({"catalog": "segmentation"}), "key_for.catalog", "unknown-key-slot"),
        ("campaign_stats", json!({"metric_type": "BOTH"}), "campaign_stats.metric_type", "unknown-word"),
        ("sync", json!({"cards": true}), "cards", "missing-key"),
        ("sync", json!({"folders": true}), "sync.folders", "unknown-key"),
    ] {
        assert_eq!(codes(key, value.clone()), [(path.to_owned(), code.to_owned())], "{key} {value}");
    }
    let mut settings = plain_settings();
    settings["keys"] = json!({"data": "data"});
    settings["sync"] = json!({"flow_analytics": true, "segments": true});
    let problems = configure(&settings.to_string()).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["keys.campaigns", "keys.segmentation"]);
}
