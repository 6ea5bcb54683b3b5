//! Event attributes to properties of a Brevo event. Only what belongs to the event goes along;
//! the attributes of the user and of the device stay behind.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::event::EventBody;

/// Largest JSON of the properties of one event: Brevo's 50 KB (OpenAPI `/events`).
const MAX_BYTES: usize = 50_000;

/// Longest key that Brevo takes (OpenAPI `/events`).
const MAX_KEY: usize = 255;

/// Under this property the event's uuid travels, so that it can be found again at Brevo.
const UUID: &str = "moengage_event_uuid";
/// Under this property the raw code travels.
const CODE: &str = "moengage_event_code";

/// Properties as finished JSON.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Properties(Box<RawValue>);

/// The properties of an event: its uuid, its code, and its attributes.
///
/// Brevo has no null in properties, so an attribute that is null is left out.
///
/// # Errors
/// Where they are larger than Brevo takes.
pub fn of_event(body: &EventBody<'_>) -> Result<Properties, Failure> {
    let mut json = String::with_capacity(256);
    json.push('{');
    json.push_str(&format!("\"{UUID}\":{},\"{CODE}\":{}", to_json(&body.event_uuid), to_json(&body.code)));
    write_entries(&body.attributes, &[UUID, CODE], &mut json);
    json.push('}');
    if json.len() > MAX_BYTES {
        return Err(too_large());
    }
    // Written from checked values above; if it weren't JSON it would be no event either.
    RawValue::from_string(json).map(Properties).map_err(|_| too_large())
}

fn too_large() -> Failure {
    Failure::new(
        FailureKind::Config,
        "event-too-large",
        "The event has more than the 50 KB of attributes that Brevo takes; send fewer of them or drop this code in \
         event_mapping.",
    )
}

/// Appends the entries of an object, each preceded by a comma.
fn write_entries(object: &Object<'_>, taken: &[&str], json: &mut String) {
    for (key, value) in keys(object, taken).iter().zip(object.entries().map(|(_, value)| value)) {
        if Scalar::of(value) != Scalar::Null {
            json.push_str(&format!(",{}:", to_json(key)));
            write_value(value, json);
        }
    }
}

fn write_value(raw: &RawValue, json: &mut String) {
    let start = json.len();
    if let Some(object) = Object::parse(raw.get()) {
        write_entries(&object, &[], json);
        json.push('}');
        open(json, start, '{');
    } else if let Some(items) = elements(raw.get()) {
        for item in items {
            if Scalar::of(item) != Scalar::Null {
                json.push(',');
                write_value(item, json);
            }
        }
        json.push(']');
        open(json, start, '[');
    } else {
        json.push_str(raw.get());
    }
}

/// Puts the opening bracket in place of the first comma, or before the closing one.
fn open(json: &mut String, start: usize, bracket: char) {
    if json.get(start..).is_some_and(|rest| rest.starts_with(',')) {
        json.replace_range(start..=start, bracket.encode_utf8(&mut [0; 4]));
    } else {
        json.insert(start, bracket);
    }
}

/// A key that Brevo takes for each key of an object, in its order.
///
/// Which of two keys that become the same keeps the plain name depends on the keys alone, never
/// on their order: those that needed no change come first, then by text.
fn keys(object: &Object<'_>, reserved: &[&str]) -> Vec<String> {
    let clean: Vec<String> = object.entries().map(|(key, _)| clean(key)).collect();
    let mut order: Vec<(bool, &str, usize)> = object
        .entries()
        .zip(&clean)
        .enumerate()
        .map(|(index, ((key, _), clean))| (key != clean, key, index))
        .collect();
    order.sort_unstable();
    let mut taken: BTreeSet<String> = reserved.iter().map(|&key| key.to_owned()).collect();
    let mut next_number: BTreeMap<&str, u32> = BTreeMap::new();
    let mut names = clean.clone();
    for (_, _, index) in order {
        let (Some(wanted), Some(name)) = (clean.get(index), names.get_mut(index)) else { continue };
        while !taken.insert(name.clone()) {
            let number = next_number.entry(wanted).or_insert(2);
            let suffix = format!("_{number}");
            *number += 1;
            name.clone_from(wanted);
            name.truncate(MAX_KEY - suffix.len());
            name.push_str(&suffix);
        }
    }
    names
}

/// Only the characters that Brevo takes in a key.
fn clean(key: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let clean: String = key.chars().take(MAX_KEY).map(keep).collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(json: &str) -> String {
        let mut out = String::new();
        write_value(serde_json::from_str(json).unwrap(), &mut out);
        out
    }

    #[test]
    fn nested_values_are_kept_and_their_keys_cleaned() {
        assert_eq!(
            written(r#"{"a b":[1.50,{"ü":"x"},null,[]],"n":null,"o":{}}"#),
            r#"{"a_b":[1.50,{"_":"x"},[]],"o":{}}"#
        );
    }

    #[test]
    fn plain_keys_keep_their_names_in_any_order() {
        let names = |json| keys(&Object::parse(json).unwrap(), &["taken"]);
        assert_eq!(names(r#"{"a.b":1,"a_b":2,"a b":3,"taken":4}"#), ["a_b_3", "a_b", "a_b_2", "taken_2"]);
        assert_eq!(names(r#"{"a b":3,"a_b":2,"a.b":1}"#), ["a_b_2", "a_b", "a_b_3"]);
    }

    proptest! {
        #[test]
        fn keys_are_distinct_and_taken_by_brevo(
            object in proptest::collection::btree_map("[a_. ü]{0,4}", 0..9, 0..12)
        ) {
            let json = serde_json::to_string(&object).unwrap();
            let names = keys(&Object::parse(&json).unwrap(), &[UUID]);
            prop_assert!(names.iter().all(|name| crate::activate::properties::clean(name) == *name));
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), object.len());
        }

        #[test]
        fn what_is_written_is_json(text in "[\\[\\]{}\":,0-9a]{0,40}") {
            if crate::json::check(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&written(&text)).is_ok());
            }
        }
    }
}
