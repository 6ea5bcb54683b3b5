//! `event_mapping`: which events go, under which names, with which properties.

use moengage_connector::{Settings, configure};
use serde_json::{Value, json};

use crate::{effects, event_record, plain, plain_settings, with};

fn problems(mapping: Value) -> Vec<(String, String)> {
    let mut settings = plain_settings();
    settings["event_mapping"] = mapping;
    let problems = configure(&settings.to_string()).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.path, problem.code)).collect()
}

/// Name and properties of the event at Brevo, without what the connector adds.
fn sent(settings: &Settings, code: &str, attributes: Value) -> (String, Value) {
    let record = event_record(settings, json!({"event_code": code, "event_attributes": attributes}));
    let mut payload = effects(settings, &record).pop().unwrap().1;
    let mut properties = payload["properties"].take();
    for own in ["moengage_event_uuid", "moengage_event_code"] {
        assert!(properties.as_object_mut().unwrap().remove(own).is_some(), "{own}");
    }
    (payload["event"].as_str().unwrap().to_owned(), properties)
}

fn three() -> Value {
    json!({"price": 9.5, "sku": "P1", "card number": "4111"})
}

#[test]
fn a_block_names_an_event_and_chooses_its_properties() {
    let of = |mapping: Value| sent(&with("event_mapping", json!({"Purchase": mapping})), "Purchase", three());
    let named = |name: &str, properties: Value| (name.to_owned(), properties);
    assert_eq!(
        of(json!({"name": "order_completed", "properties": {"include": ["price"]}})),
        named("order_completed", json!({"price": 9.5}))
    );
    assert_eq!(
        of(json!({"properties": {"exclude": ["card number"], "rename": {"sku": "product_id"}}})),
        named("moengage_purchase", json!({"price": 9.5, "product_id": "P1"}))
    );
    assert_eq!(of(json!({"properties": {"include": []}})), named("moengage_purchase", json!({})));
    assert_eq!(
        of(json!({})),
        named("moengage_purchase", json!({"price": 9.5, "sku": "P1", "card_number": "4111"}))
    );
}

#[test]
fn a_renamed_property_has_its_name_before_all_others() {
    let settings =
        with("event_mapping", json!({"Purchase": {"properties": {"rename": {"card number": "sku"}}}}));
    let (_, properties) = sent(&settings, "Purchase", three());
    assert_eq!(properties, json!({"price": 9.5, "sku": "4111", "sku_2": "P1"}));
    // What stays behind takes no name from anybody.
    let mapping = json!({"Purchase": {"properties": {"exclude": ["card number"]}}});
    let attributes = json!({"card number": "4111", "card_number": "x", "card-number": null});
    let (_, properties) = sent(&with("event_mapping", mapping), "Purchase", attributes);
    assert_eq!(properties, json!({"card_number": "x"}));
}

#[test]
fn choosing_properties_makes_room_for_a_large_event() {
    let attributes = || json!({"html": "y".repeat(60_000), "price": 1});
    let record = event_record(&plain(), json!({"event_code": "Big", "event_attributes": attributes()}));
    assert_eq!(crate::map(&plain(), &record).unwrap_err().code, "event-too-large");
    let settings = with("event_mapping", json!({"Big": {"properties": {"exclude": ["html"]}}}));
    assert_eq!(sent(&settings, "Big", attributes()).1, json!({"price": 1}));
}

#[test]
fn names_that_nobody_could_see_beforehand_stay_apart() {
    let settings = with("event_mapping", json!({"MOE_EMAIL_CLICK": "moengage_clicked", "Sign Up": {}}));
    let name = |code: &str| sent(&settings, code, json!({})).0;
    // A tenant's own events, none of which is in the settings.
    for (code, published) in [
        ("EMAIL_OPEN", "moengage_email_open"),
        ("clicked", "moengage_clicked"),
        ("sign_up", "moengage_sign_up"),
    ] {
        let name = name(code);
        assert!(name.starts_with(published) && name.len() == published.len() + 17, "{name}");
    }
    assert_eq!(name("MOE_EMAIL_OPEN"), "moengage_email_open");
    assert_eq!(name("Sign Up"), "moengage_sign_up");
    assert_eq!(name("email_click"), "moengage_email_click", "the published code has another name here");
}

#[test]
fn what_is_wrong_with_a_block_is_found_beforehand() {
    let properties = |properties: Value| json!({"A": {"properties": properties}});
    for (mapping, path, code) in [
        (json!({"A": {"name": "with space"}}), "A.name", "bad-event-name"),
        (json!({"A": {"name": "x".repeat(256)}}), "A.name", "bad-event-name"),
        (json!({"A": {"name": ""}}), "A.name", "empty-value"),
        (json!({"A": {"as": "x"}}), "A.as", "unknown-key"),
        (json!({"A": []}), "A", "wrong-type"),
        (json!({"a b": {}, "a_b": {}}), "a_b", "derived-name-clash"),
        (json!({"EMAIL_OPEN": {}}), "EMAIL_OPEN", "derived-name-clash"),
        (json!({"A": "same", "B": {"name": "same"}}), "B", "duplicate-event-name"),
        (properties(json!(["price"])), "A.properties", "wrong-type"),
        (properties(json!({"include": "price"})), "A.properties.include", "wrong-type"),
        (properties(json!({"include": [1]})), "A.properties.include[0]", "wrong-type"),
        (properties(json!({"include": ["a"], "exclude": ["b"]})), "A.properties.exclude", "unused-key"),
        (properties(json!({"exclude": ["a"], "rename": {"a": "b"}})), "A.properties.rename.a", "unused-key"),
        (properties(json!({"rename": {"a": "b c"}})), "A.properties.rename.a", "bad-property-name"),
        (
            properties(json!({"rename": {"a": "moengage_event_uuid"}})),
            "A.properties.rename.a",
            "reserved-property",
        ),
        (properties(json!({"rename": {"a": "x", "b": "x"}})), "A.properties.rename.b", "duplicate-property"),
        (properties(json!({"drop": []})), "A.properties.drop", "unknown-key"),
    ] {
        let shown = mapping.to_string();
        assert_eq!(problems(mapping), [(format!("event_mapping.{path}"), code.to_owned())], "{shown}");
    }
}

#[test]
fn no_event_of_moengage_is_taken_for_tajos_customer_events() {
    let targets = configure(&plain_settings().to_string()).unwrap().targets.events;
    assert!(targets.iter().all(|name| name.starts_with("moengage_")), "{targets:?}");
    // The tenant's own event may mean it, and then it has Tajo's name.
    let settings = with("event_mapping", json!({"Sign Up": "customer_created"}));
    assert_eq!(sent(&settings, "Sign Up", json!({})).0, "customer_created");
}
