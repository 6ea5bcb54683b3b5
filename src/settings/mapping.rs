//! The two mappings: user attributes to Brevo attributes, event codes to Brevo event names.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::json::{Object, Scalar};

/// Type of a Brevo attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    /// At most 10,000 characters.
    Text,
    /// At most 15 digits.
    Number,
    /// True or false.
    Boolean,
    /// A day, `yyyy-mm-dd`.
    Date,
}

/// One user attribute that becomes one Brevo attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeMapping {
    pub from: String,
    pub to: String,
    pub kind: AttributeType,
}

/// Brevo's own attributes that exist in every account and are texts. Never created.
// Brevo names them in the account's language; the host looks them up (OpenAPI `/contacts/attributes`).
pub const BREVO_OWN: [&str; 2] = ["FIRSTNAME", "LASTNAME"];

/// Names that address a person. They come from the record's subject, never from a plain mapping.
const ADDRESSES: [&str; 5] = ["EMAIL", "SMS", "EXT_ID", "WHATSAPP", "LANDLINE_NUMBER"];

/// What the field mapping comes to.
#[derive(Debug)]
pub struct AttributeMappings {
    pub attributes: Vec<AttributeMapping>,
    /// The user attribute that holds the phone number.
    pub phone: Option<String>,
}

impl Default for AttributeMappings {
    fn default() -> Self {
        let attribute =
            |from: &str, to: &str, kind| AttributeMapping { from: from.into(), to: to.into(), kind };
        // Keys: MD:api/data/data-overview.mdx.
        Self {
            attributes: vec![
                attribute("u_fn", "FIRSTNAME", AttributeType::Text),
                attribute("u_ln", "LASTNAME", AttributeType::Text),
                attribute("u_gd", "MOENGAGE_GENDER", AttributeType::Text),
                attribute("u_bd", "MOENGAGE_BIRTHDAY", AttributeType::Date),
            ],
            phone: Some("u_mb".to_owned()),
        }
    }
}

/// Reads `field_mapping`. An entry replaces the defaults of its attribute and of its target;
/// null and "" switch the default of an attribute off.
pub fn field_mapping(
    path: &str,
    raw: &RawValue,
    email_attribute: &str,
    problems: &mut Problems,
) -> Option<AttributeMappings> {
    let object = problems.object(path, raw)?;
    let mut mappings = AttributeMappings::default();
    let mut wanted: Vec<AttributeMapping> = Vec::new();
    let mut phone: Option<String> = None;
    for (from, raw) in object.entries() {
        let path = below(path, from);
        mappings.attributes.retain(|default| default.from != from);
        mappings.phone.take_if(|default| default == from);
        let Some((to, kind)) = target(&path, raw, problems) else { continue };
        match to.as_str() {
            // The phone number addresses the person; the mapping only says where it stands.
            "SMS" if phone.is_none() => phone = Some(from.to_owned()),
            // These say what happens anyway.
            "EXT_ID" if from == "uid" => {}
            "EMAIL" if from == email_attribute => {}
            _ if ADDRESSES.contains(&to.as_str()) => problems.add(
                "reserved-attribute",
                &path,
                &format!("{to} addresses a person and is not filled by a mapping from here."),
                "Map to another attribute; addresses come from options.email_attribute, one SMS mapping and uid.",
            ),
            _ => {
                if let Some(earlier) = wanted.iter().find(|earlier| earlier.to == to) {
                    problems.add(
                        "duplicate-attribute",
                        &path,
                        &format!("{to} is already filled from {}.", earlier.from),
                        "Give every Brevo attribute one source.",
                    );
                }
                mappings.attributes.retain(|default| default.to != to);
                wanted.push(AttributeMapping { from: from.to_owned(), to, kind });
            }
        }
    }
    mappings.attributes.extend(wanted);
    mappings.phone = phone.or(mappings.phone);
    Some(mappings)
}

/// `NAME`, or `{to: NAME, type: ...}`; nothing for null and "".
fn target(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<(String, AttributeType)> {
    let mut kind = None;
    let (name, name_path) = match Scalar::of(raw) {
        Scalar::Null => return None,
        Scalar::Text(text) if text.is_empty() => return None,
        Scalar::Text(text) => (text.into_owned(), path.to_owned()),
        Scalar::Bool(_) | Scalar::Number(_) => {
            problems.text(path, raw);
            return None;
        }
        Scalar::Compound => {
            let object: Object<'_> = problems.object(path, raw)?;
            let mut name = None;
            for (key, raw) in object.entries() {
                let path = below(path, key);
                match key {
                    "to" => name = problems.text(&path, raw),
                    "type" => {
                        let allowed = ["text", "number", "boolean", "date"];
                        let text = problems.one_of(&path, raw, "unknown-attribute-type", &allowed);
                        kind = text.map(|text| match text.as_ref() {
                            "number" => AttributeType::Number,
                            "boolean" => AttributeType::Boolean,
                            "date" => AttributeType::Date,
                            _ => AttributeType::Text,
                        });
                    }
                    _ => problems.unknown_key(&path, &["to", "type"]),
                }
            }
            if object.raw("to").is_none() {
                problems.missing(&below(path, "to"), "Name the Brevo attribute.");
            }
            (name?.into_owned(), below(path, "to"))
        }
    };
    // Tajo's own examples write `email: email`.
    let name = if name == "email" { "EMAIL".to_owned() } else { name };
    if !is_attribute_name(&name) {
        problems.add(
            "bad-attribute-name",
            &name_path,
            "The name is not an upper-case letter and up to 49 upper-case letters, digits or underscores.",
            "Use a name such as LOYALTY_TIER.",
        );
        return None;
    }
    if BREVO_OWN.contains(&name.as_str()) && kind.is_some_and(|kind| kind != AttributeType::Text) {
        problems.add(
            "wrong-attribute-type",
            &below(path, "type"),
            &format!("{name} is Brevo's own attribute and a text."),
            "Leave the type out.",
        );
        return None;
    }
    Some((name, kind.unwrap_or(AttributeType::Text)))
}

/// Reads `event_mapping`: code to name; null and "" drop the event.
pub fn event_mapping(
    path: &str,
    raw: &RawValue,
    problems: &mut Problems,
) -> BTreeMap<String, Option<String>> {
    let mut names = BTreeMap::new();
    let Some(object) = problems.object(path, raw) else { return names };
    for (code, raw) in object.entries() {
        let path = below(path, code);
        let name = match Scalar::of(raw) {
            Scalar::Null => None,
            Scalar::Text(name) if name.is_empty() => None,
            _ => match problems.text(&path, raw) {
                Some(name) if is_event_name(&name) => Some(name.into_owned()),
                Some(_) => {
                    problems.add(
                        "bad-event-name",
                        &path,
                        "Brevo takes 1 to 255 letters, digits, underscores or hyphens as an event name.",
                        "Use a name such as moengage_email_opened.",
                    );
                    continue;
                }
                None => continue,
            },
        };
        names.insert(code.to_owned(), name);
    }
    names
}

/// Brevo's rule for event names and property keys (OpenAPI `/events`).
pub fn is_event_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Brevo documents no rule for attribute names; this one is inside of every plausible one.
fn is_attribute_name(name: &str) -> bool {
    name.len() <= 50
        && name.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
