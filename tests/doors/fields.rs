//! `field_mapping`: what a tenant may say, what is found beforehand, and what comes of it.

use moengage_connector::{Mapping, configure, map_record};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Lines, NOW, contact_record, effects, event, note, parse, plain_settings, take, with};

/// Paths and codes of the problems of a field mapping.
fn problems(mapping: Value, options: Value) -> Vec<(String, String)> {
    let mut settings = plain_settings();
    settings["field_mapping"] = mapping;
    settings["options"] = options;
    let problems = configure(&settings.to_string()).err().unwrap_or_default();
    assert!(problems.iter().all(|problem| !problem.remedy.is_empty()));
    problems.into_iter().map(|problem| (problem.path, problem.code)).collect()
}

fn one(mapping: Value) -> (String, String) {
    let found = problems(mapping, json!({}));
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn pair(path: &str, code: &str) -> (String, String) {
    (path.to_owned(), code.to_owned())
}

/// The attributes that go to Brevo, besides the defaults.
fn sent(mapping: Value, attributes: Value) -> Value {
    let mut settings = plain_settings();
    settings["field_mapping"] = mapping;
    for default in ["u_fn", "u_ln", "u_gd", "u_bd"] {
        settings["field_mapping"][default] = Value::Null;
    }
    let settings = parse(&settings);
    let mut user = json!({"moengage_user_id": "m"});
    user.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    effects(&settings, &contact_record(&settings, json!({"user_attributes": user})))
        .pop()
        .unwrap()
        .1["attributes"]
        .take()
}

#[test]
fn a_name_that_is_left_out_is_derived_by_one_rule() {
    let mapping = json!({
        "Loyalty Tier": {}, "t_rev": {"type": "number"}, "moe_rsu": {}, "cr_t": {"convert": "epoch_milliseconds"}
    });
    let attributes = json!({"Loyalty Tier": "gold", "t_rev": 12.5, "moe_rsu": 200, "cr_t": "1653022310000"});
    assert_eq!(
        sent(mapping.clone(), attributes),
        json!({"MOENGAGE_LOYALTY_TIER": "gold", "MOENGAGE_REVENUE": 12.5, "MOENGAGE_RSU": "200",
               "MOENGAGE_CREATED_TIME": "2022-05-20"})
    );
    let mut settings = plain_settings();
    settings["field_mapping"] = mapping;
    settings["options"] = json!({"attribute_prefix": "M_"});
    let targets = configure(&settings.to_string()).unwrap().targets;
    let names: Vec<_> = targets.attributes.iter().map(|target| target.name.as_str()).collect();
    // The defaults, then the tenant's in the order of the settings, which is that of keys here.
    let expected = [
        "FIRSTNAME",
        "LASTNAME",
        "M_GENDER",
        "BIRTHDAY",
        "M_LOYALTY_TIER",
        "M_CREATED_TIME",
        "M_RSU",
        "M_REVENUE",
    ];
    assert_eq!(names, expected);
}

#[test]
fn collisions_and_limits_are_found_beforehand() {
    for (mapping, path, code) in [
        (json!({"a": "X", "b": "X"}), "b", "duplicate-attribute"),
        (json!({"a": "SMS", "b": "SMS"}), "b", "duplicate-attribute"),
        (json!({"a b": {}, "a_b": {}}), "a_b", "derived-name-clash"),
        (json!({"a": "MOENGAGE_B", "b": {}}), "b", "derived-name-clash"),
        (json!({"a": "WHATSAPP"}), "a", "reserved-attribute"),
        (json!({"a": "MOENGAGE_DELETED_AT"}), "a", "reserved-attribute"),
        (json!({"購入": {}}), "[\"購入\"]", "no-derived-name"),
        (json!({"-": {}}), "-", ""),
        (
            json!({"a23456789012345678901234567890123456789012": {}}),
            "a23456789012345678901234567890123456789012",
            "derived-name-too-long",
        ),
        (json!({"a": "A23456789012345678901234567890123456789012345678901"}), "a", "bad-attribute-name"),
        (json!({"a": {"to": "1A"}}), "a.to", "bad-attribute-name"),
        (json!({"a": {"to": "A", "type": "money"}}), "a.type", "unknown-attribute-type"),
        (json!({"a": {"to": "A", "convert": "rot13"}}), "a.convert", "unknown-conversion"),
        (json!({"a": {"to": "A", "convert": ["trim", "rot13"]}}), "a.convert[1]", "unknown-conversion"),
        (json!({"a": {"to": "A", "convert": {"trim": true}}}), "a.convert", "wrong-type"),
        (
            json!({"a": {"to": "A", "convert": "epoch_seconds", "type": "text"}}),
            "a.convert",
            "conversion-does-not-fit",
        ),
        (json!({"a": {"to": "A", "convert": ["round", "trim"]}}), "a.convert", "conversion-does-not-fit"),
        (json!({"a": {"to": "A", "convert": ["trim", "join"]}}), "a.convert", "conversion-does-not-fit"),
        (json!({"a": {"to": "FIRSTNAME", "convert": "count"}}), "a.type", "wrong-attribute-type"),
        (json!({"a": {"to": "A", "on_null": "drop"}}), "a.on_null", "unknown-choice"),
        (json!({"a": {"to": "A", "on_empty": true}}), "a.on_empty", "wrong-type"),
        (json!({"a": {"to": "A", "on_missing": "clear"}}), "a.on_missing", "unknown-key"),
        (json!({"a": {"to": "SMS", "type": "number"}}), "a.type", "unused-key"),
        (json!({"uid": {"to": "EXT_ID", "convert": "trim"}}), "uid.convert", "unused-key"),
    ] {
        let shown = mapping.to_string();
        if code.is_empty() {
            assert_eq!(one(mapping).1, "no-derived-name");
            continue;
        }
        let separator = if path.starts_with('[') { "" } else { "." };
        assert_eq!(one(mapping), pair(&format!("field_mapping{separator}{path}"), code), "{shown}");
    }
}

#[test]
fn an_account_has_200_attributes() {
    let many = |count: usize| {
        let entries = (0..count).map(|n| (format!("a{n}"), json!(format!("A{n}"))));
        problems(Value::Object(entries.collect::<Map<_, _>>()), json!({}))
    };
    assert_eq!(many(196), []);
    assert_eq!(many(197), [pair("field_mapping", "too-many-attributes")]);
}

#[test]
fn a_prefix_that_makes_no_name_is_refused() {
    for prefix in ["moengage_", "1_", "A23456789012345678901", "A-"] {
        let found = problems(json!({}), json!({"attribute_prefix": prefix}));
        assert_eq!(found, [pair("options.attribute_prefix", "bad-attribute-prefix")], "{prefix}");
    }
}

#[test]
fn types_follow_from_conversions() {
    let mapping = json!({
        "tags": {"to": "TAGS", "convert": ["join", "lower"]}, "orders": {"to": "ORDERS", "convert": "count"},
        "paid": {"to": "PAID", "convert": "decimal_comma"}, "vip": {"to": "VIP", "convert": "boolean_words"},
        "since": {"to": "SINCE", "convert": "day_month_year"}, "home.city": {"to": "CITY", "convert": "trim"}
    });
    let attributes = json!({
        "tags": ["A", "b"], "orders": [1, 2, 3], "paid": "1.234,50", "vip": "Yes", "since": "20/05/1990",
        "home": {"city": " Rome "}
    });
    assert_eq!(
        sent(mapping.clone(), attributes),
        json!({"TAGS": "a, b", "ORDERS": 3, "PAID": 1234.50, "VIP": true, "SINCE": "1990-05-20", "CITY": "Rome"})
    );
    let mut settings = plain_settings();
    settings["field_mapping"] = mapping;
    let targets = configure(&settings.to_string()).unwrap().targets.attributes;
    let kind = |name: &str| {
        let target = targets.iter().find(|target| target.name == name).unwrap();
        format!("{:?}", target.kind)
    };
    let kinds = ["TAGS", "ORDERS", "PAID", "VIP", "SINCE"].map(kind);
    assert_eq!(kinds, ["Text", "Number", "Number", "Boolean", "Date"]);
}

#[test]
fn missing_leaves_alone_and_null_and_empty_do_what_is_said() {
    let mapping = json!({
        "a": "A", "b": {"to": "B", "on_null": "keep", "on_empty": "keep"}, "c": {"to": "C", "type": "number"},
        "d": {"to": "D", "type": "number", "on_null": "keep", "on_empty": "clear"}
    });
    let all = |value: Value| json!({"a": value, "b": value, "c": value, "d": value});
    assert_eq!(sent(mapping.clone(), json!({})), json!({}));
    assert_eq!(sent(mapping.clone(), all(Value::Null)), json!({"A": null, "C": null}));
    assert_eq!(sent(mapping.clone(), all(json!(""))), json!({"A": "", "D": null}));
    assert_eq!(sent(mapping, all(json!([]))), json!({"A": "", "D": null}));
}

#[test]
fn d15_what_can_not_be_converted_is_logged_and_counted_and_neither_sent_nor_cleared() {
    let settings = with(
        "field_mapping",
        json!({"points": {"to": "POINTS", "type": "number"}, "since": {"to": "SINCE", "convert": "epoch_seconds"}}),
    );
    let user = json!({"moengage_user_id": "m", "points": "s3cret", "since": "soon", "u_fn": "Ann"});
    let outcome = take(&settings, &[event(json!({"user_attributes": user}))]);
    assert_eq!(note(&outcome, "unusable-value"), 2);
    let record = outcome.records.iter().find(|record| record.kind == "contact").unwrap();
    let mut lines = Lines::default();
    let Mapping::Actions(actions) = map_record(&settings, record, NOW, &mut lines).unwrap() else {
        panic!("nothing");
    };
    let payload: Value = serde_json::from_str(&actions.last().unwrap().payload).unwrap();
    assert_eq!(payload, json!({"attributes": {"FIRSTNAME": "Ann"}}));
    let text = lines.0.join(" ");
    assert!(text.contains("POINTS") && text.contains("SINCE") && !text.contains("s3cret"), "{text}");
    // Where contacts are not synced nothing is to be converted.
    let mut off = plain_settings();
    off["sync"] = json!({"contacts": false});
    off["field_mapping"] = json!({"points": {"to": "POINTS", "type": "number"}});
    let user = json!({"moengage_user_id": "m", "points": "x"});
    assert_eq!(note(&take(&parse(&off), &[event(json!({"user_attributes": user}))]), "unusable-value"), 0);
}

proptest! {
    #[test]
    fn whatever_is_mapped_every_target_is_a_name_of_its_own_or_a_problem(
        sources in prop::collection::btree_map("[a-cA-C _.ü]{1,3}|u_[a-z]{2}|moe_[a-c]", prop::option::of("[A-C]{1,2}|[a-c]|EMAIL|SMS"), 0..8)
    ) {
        let entry = |(from, to): (&String, &Option<String>)| {
            (from.clone(), to.as_ref().map_or_else(|| json!({}), |to| json!({"to": to})))
        };
        let mut settings = plain_settings();
        settings["field_mapping"] = Value::Object(sources.iter().map(entry).collect());
        match configure(&settings.to_string()) {
            Ok(profile) => {
                let names: Vec<_> = profile.targets.attributes.iter().map(|target| &target.name).collect();
                let distinct: std::collections::BTreeSet<_> = names.iter().collect();
                prop_assert_eq!(distinct.len(), names.len());
                prop_assert!(names.iter().all(|name| name.len() <= 50
                    && name.starts_with(|c: char| c.is_ascii_uppercase())
                    && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')));
            }
            Err(problems) => {
                prop_assert!(problems.iter().all(|problem| problem.path.starts_with("field_mapping")));
            }
        }
    }
}
