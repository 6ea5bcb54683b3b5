//! Event attributes to properties of a Brevo event. Only what belongs to the event goes along;
//! the attributes of the user and of the device stay behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements, to_json};
use crate::model::event::EventBody;
use crate::settings::PropertyChoice;

/// Largest JSON of the properties of one event: Brevo's 50 KB (OpenAPI `/events`).
const MAX_BYTES: usize = 50_000;

/// Longest key that Brevo takes (OpenAPI `/events`).
const MAX_KEY: usize = 255;

/// Under this property the event's uuid travels, so that it can be found again at Brevo.
const UUID: &str = "moengage_event_uuid";
/// Under this property the raw code travels.
const CODE: &str = "moengage_event_code";
/// Under this property it travels whether a machine did it, where MoEngage says so.
const MACHINE: &str = "moengage_machine_event";

/// Every property that the connector itself fills.
pub const OWN_PROPERTIES: [&str; 3] = [UUID, CODE, MACHINE];

/// Properties as finished JSON.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Properties(Box<RawValue>);

/// The properties of an event: its uuid, its code, whether it is a machine's, and those of its
/// attributes that the tenant chose, under the names that the tenant gave them.
///
/// Brevo has no null in properties, so an attribute that is null is left out.
///
/// # Errors
/// Where they are larger than Brevo takes.
pub fn of_event(body: &EventBody<'_>, choice: Option<&PropertyChoice>) -> Result<Properties, Failure> {
    let mut json = String::with_capacity(512);
    json.push_str("{\"");
    json.push_str(UUID);
    json.push_str("\":");
    json.push_str(&to_json(&body.event_uuid));
    json.push_str(",\"");
    json.push_str(CODE);
    json.push_str("\":");
    json.push_str(&to_json(&body.code));
    if let Some(machine) = body.machine {
        // Writing to a string can't fail.
        let _ = write!(json, ",\"{MACHINE}\":{machine}");
    }
    write_entries(&body.attributes, &OWN_PROPERTIES, choice, false, &mut json);
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
        "The event has more than the 50 KB of attributes that Brevo takes; choose fewer of them under `properties` \
         in event_mapping, or drop this code there.",
    )
}

/// One value as JSON, as it would stand in the properties of an event.
pub fn written(raw: &RawValue) -> String {
    let mut json = String::new();
    write_value(raw, &mut json);
    json
}

/// Appends the entries of an object, a comma before each but the first of its object.
fn write_entries(
    object: &Object<'_>,
    taken: &[&str],
    choice: Option<&PropertyChoice>,
    mut first: bool,
    json: &mut String,
) {
    let as_is = choice.is_none() && keys_are_fine(object, taken);
    let renamed = (!as_is).then(|| keys(object, taken, choice));
    for (index, (key, value)) in object.entries().enumerate() {
        if Scalar::is_null(value) || choice.is_some_and(|choice| !choice.takes(key)) {
            continue;
        }
        if !std::mem::take(&mut first) {
            json.push(',');
        }
        // No character that Brevo takes in a key has to be escaped.
        json.push('"');
        json.push_str(renamed.as_ref().and_then(|names| names.get(index)).map_or(key, String::as_str));
        json.push_str("\":");
        write_value(value, json);
    }
}

fn write_value(raw: &RawValue, json: &mut String) {
    if let Some(object) = Object::parse(raw.get()) {
        json.push('{');
        write_entries(&object, &[], None, true, json);
        json.push('}');
    } else if let Some(items) = elements(raw.get()) {
        json.push('[');
        let mut first = true;
        for item in items {
            if Scalar::is_null(item) {
                continue;
            }
            if !std::mem::take(&mut first) {
                json.push(',');
            }
            write_value(item, json);
        }
        json.push(']');
    } else if is_long(raw.get()) {
        json.push('"');
        json.push_str(raw.get());
        json.push('"');
    } else {
        json.push_str(raw.get());
    }
}

/// True for a whole number that a double does not hold exactly. Whoever reads JSON as doubles would
/// change its last digits without a word, so it travels as a text.
fn is_long(raw: &str) -> bool {
    const LAST_SAFE: u64 = 1 << 53;
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    digits.len() >= 16
        && digits.bytes().all(|b| b.is_ascii_digit())
        && digits.parse::<u64>().map_or(true, |number| number > LAST_SAFE)
}

/// True where every key can stay as it is, which is nearly always so.
fn keys_are_fine(object: &Object<'_>, reserved: &[&str]) -> bool {
    let fine = |key: &str| {
        (1..=MAX_KEY).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && !reserved.contains(&key)
    };
    object.entries().all(|(key, _)| fine(key)) && !object.has_duplicate()
}

/// A key that Brevo takes for each key of an object, in its order.
///
/// Which of two keys that become the same keeps the plain name depends on the keys alone, never
/// on their order: those that the tenant renamed come first, then those that needed no change, then
/// by text. What does not go along takes no name from anybody.
fn keys(object: &Object<'_>, reserved: &[&str], choice: Option<&PropertyChoice>) -> Vec<String> {
    let renamed = |key: &str| choice.and_then(|choice| choice.renamed(key));
    let clean: Vec<String> =
        object.entries().map(|(key, _)| renamed(key).map_or_else(|| clean(key), ToOwned::to_owned)).collect();
    let mut order: Vec<(bool, bool, &str, usize)> = object
        .entries()
        .zip(&clean)
        .enumerate()
        .filter(|(_, ((key, _), _))| choice.is_none_or(|choice| choice.takes(key)))
        .map(|(index, ((key, _), clean))| (renamed(key).is_none(), key != clean, key, index))
        .collect();
    order.sort_unstable();
    let mut taken = BTreeSet::new();
    taken.extend(reserved.iter().map(|&key| key.to_owned()));
    let mut next_number: BTreeMap<&str, u32> = BTreeMap::new();
    let mut names = clean.clone();
    for (_, _, _, index) in order {
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
        super::written(serde_json::from_str(json).unwrap())
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
        let names = |json| keys(&Object::parse(json).unwrap(), &["taken"], None);
        assert_eq!(names(r#"{"a.b":1,"a_b":2,"a b":3,"taken":4}"#), ["a_b_3", "a_b", "a_b_2", "taken_2"]);
        assert_eq!(names(r#"{"a b":3,"a_b":2,"a.b":1}"#), ["a_b_2", "a_b", "a_b_3"]);
    }

    proptest! {
        #[test]
        fn keys_are_distinct_and_taken_by_brevo(
            object in proptest::collection::btree_map("[a_. ü]{0,4}", 0..9, 0..12)
        ) {
            let json = serde_json::to_string(&object).unwrap();
            let names = keys(&Object::parse(&json).unwrap(), &[UUID], None);
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
