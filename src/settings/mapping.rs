//! `field_mapping`: which user attribute becomes which Brevo attribute, and how.

use serde_json::value::RawValue;

use super::conversion::{self, Conversion, conversions};
use super::naming::derived_attribute;
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

/// One user attribute that becomes one Brevo attribute. One that is missing leaves it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeMapping {
    /// The attribute's name; with dots also a member of an object attribute.
    pub from: String,
    pub to: String,
    pub kind: AttributeType,
    /// In the order in which they are done.
    pub convert: Vec<Conversion>,
    /// Whether null clears the Brevo attribute; else it is left alone.
    pub clear_on_null: bool,
    /// Whether an empty text or list clears it; else it is left alone.
    pub clear_on_empty: bool,
}

/// Brevo's own attributes that exist in every account and are texts. Never created.
// Brevo names them in the account's language; the host looks them up (OpenAPI `/contacts/attributes`).
pub const BREVO_OWN: [&str; 2] = ["FIRSTNAME", "LASTNAME"];

/// Names that address a person. They come from the record's subject, never from a plain mapping.
const ADDRESSES: [&str; 5] = ["EMAIL", "SMS", "EXT_ID", "WHATSAPP", "LANDLINE_NUMBER"];

/// What a soft delete writes; no attribute of a person may look like one.
const DELETED_AT: &str = "MOENGAGE_DELETED_AT";

/// Most attributes of an account (developers.brevo.com, platform quotas).
const MAX_ATTRIBUTES: usize = 200;

/// What the field mapping comes to.
#[derive(Debug)]
pub struct AttributeMappings {
    pub attributes: Vec<AttributeMapping>,
    /// The user attribute that holds the phone number.
    pub phone: Option<String>,
}

/// What of the options the field mapping depends on.
#[derive(Clone, Debug)]
pub struct Around {
    /// The user attribute that holds the e-mail address.
    pub email_attribute: String,
    /// Before names that are derived.
    pub attribute_prefix: String,
}

impl AttributeMappings {
    /// What happens without a mapping. Names are Tajo's where it has one, else derived.
    // Keys: MD:api/data/data-overview.mdx. Tajo's names: tajo.io/docs/contact-management/contacts/create-contact.
    pub fn defaults(attribute_prefix: &str) -> Self {
        let gender = derived_attribute(attribute_prefix, "u_gd").unwrap_or_else(|_| "GENDER".to_owned());
        let attributes = [
            ("u_fn", "FIRSTNAME", AttributeType::Text),
            ("u_ln", "LASTNAME", AttributeType::Text),
            ("u_gd", &gender, AttributeType::Text),
            ("u_bd", "BIRTHDAY", AttributeType::Date),
        ];
        Self {
            attributes: attributes.map(|(from, to, kind)| plain(from, to, kind)).to_vec(),
            phone: Some("u_mb".to_owned()),
        }
    }
}

/// A mapping that says no more than names and type.
fn plain(from: &str, to: &str, kind: AttributeType) -> AttributeMapping {
    AttributeMapping {
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        convert: Vec::new(),
        clear_on_null: true,
        // An empty text is a text; it is no number, day or truth, and says nothing about one.
        clear_on_empty: kind == AttributeType::Text,
    }
}

/// Reads `field_mapping`. An entry replaces the defaults of its attribute and of its target;
/// null and "" switch the default of an attribute off.
pub fn field_mapping(
    path: &str,
    raw: &RawValue,
    around: &Around,
    problems: &mut Problems,
) -> Option<AttributeMappings> {
    let object = problems.object(path, raw)?;
    let mut mappings = AttributeMappings::defaults(&around.attribute_prefix);
    let mut wanted: Vec<Entry> = Vec::new();
    let mut phone: Option<String> = None;
    for (from, raw) in object.entries() {
        let path = below(path, from);
        mappings.attributes.retain(|default| default.from != from);
        mappings.phone.take_if(|default| default == from);
        let Some(entry) = entry(&path, from, raw, around, problems) else { continue };
        let to = entry.mapping.to.as_str();
        match to {
            // The phone number addresses the person; the mapping only says where it stands.
            "SMS" if phone.is_none() => {
                entry.nothing_but_its_name(&path, problems);
                phone = Some(from.to_owned());
            }
            "SMS" => duplicate(&path, to, phone.as_deref().unwrap_or_default(), false, problems),
            // These say what happens anyway.
            "EXT_ID" if from == "uid" => entry.nothing_but_its_name(&path, problems),
            "EMAIL" if from == around.email_attribute => entry.nothing_but_its_name(&path, problems),
            _ if ADDRESSES.contains(&to) => problems.add(
                "reserved-attribute",
                &path,
                &format!("{to} addresses a person and is not filled by a mapping from here."),
                "Map to another attribute; addresses come from options.email_attribute, one SMS mapping and uid.",
            ),
            DELETED_AT => problems.add(
                "reserved-attribute",
                &path,
                &format!("{to} says when a person was deleted and is filled by the connector itself."),
                "Map to another attribute.",
            ),
            _ => {
                if let Some(earlier) = wanted.iter().find(|earlier| earlier.mapping.to == to) {
                    let derived = entry.derived || earlier.derived;
                    duplicate(&path, to, &earlier.mapping.from, derived, problems);
                }
                mappings.attributes.retain(|default| default.to != to);
                wanted.push(entry);
            }
        }
    }
    mappings.attributes.extend(wanted.into_iter().map(|entry| entry.mapping));
    mappings.phone = phone.or(mappings.phone);
    let count = mappings.attributes.len();
    if count > MAX_ATTRIBUTES {
        problems.add(
            "too-many-attributes",
            path,
            &format!("{count} attributes are filled, and a Brevo account has at most {MAX_ATTRIBUTES}."),
            "Map those that somebody uses at Brevo.",
        );
    }
    Some(mappings)
}

fn duplicate(path: &str, to: &str, earlier: &str, derived: bool, problems: &mut Problems) {
    let message = format!("{to} is already filled from {earlier}.");
    match derived {
        true => problems.add(
            "derived-name-clash",
            path,
            &message,
            "Their names come to the same; give one of them a name of its own under `to`.",
        ),
        false => {
            problems.add("duplicate-attribute", path, &message, "Give every Brevo attribute one source.");
        }
    }
}

/// One entry as it was read.
struct Entry {
    mapping: AttributeMapping,
    /// True where the name was derived.
    derived: bool,
    /// The first key besides the name.
    detail: Option<String>,
}

impl Entry {
    /// An address is read by rules of its own.
    fn nothing_but_its_name(&self, path: &str, problems: &mut Problems) {
        if let Some(detail) = &self.detail {
            super::unused(&below(path, detail), &self.mapping.to, "the entry", problems);
        }
    }
}

/// `NAME`, or a block of what differs from the rule; nothing for null and "".
fn entry(path: &str, from: &str, raw: &RawValue, around: &Around, problems: &mut Problems) -> Option<Entry> {
    match Scalar::of(raw) {
        Scalar::Null => return None,
        Scalar::Text(text) if text.is_empty() => return None,
        Scalar::Text(text) => {
            let to = attribute_name(path, &text, problems)?;
            let mapping = plain(from, &to, AttributeType::Text);
            return Some(Entry { mapping, derived: false, detail: None });
        }
        Scalar::Bool(_) | Scalar::Number(_) => {
            problems.text(path, raw);
            return None;
        }
        Scalar::Compound => {}
    }
    let object: Object<'_> = problems.object(path, raw)?;
    let before = problems.0.len();
    let (mut to, mut kind, mut convert) = (None, None, Vec::new());
    let (mut on_null, mut on_empty) = (None, None);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "to" => to = problems.text(&path, raw).and_then(|name| attribute_name(&path, &name, problems)),
            "type" => kind = attribute_type(&path, raw, problems),
            "convert" => convert = conversions(&path, raw, problems).unwrap_or_default(),
            "on_null" => on_null = clears(&path, raw, problems),
            "on_empty" => on_empty = clears(&path, raw, problems),
            _ => problems.unknown_key(&path, &["to", "type", "convert", "on_null", "on_empty"]),
        }
    }
    let derived = object.raw("to").is_none();
    if derived {
        to = derived_name(path, from, around, problems);
    }
    if problems.0.len() > before {
        return None;
    }
    let to = to?;
    let kind = kind.or_else(|| conversion::result(&convert)).unwrap_or(AttributeType::Text);
    if !conversion::fits(&convert, kind) {
        problems.add(
            "conversion-does-not-fit",
            &below(path, "convert"),
            "The conversions can't follow each other, or don't end in the attribute's type.",
            "Lists first, then texts, then numbers, days or booleans; leave `type` out and it follows by itself.",
        );
        return None;
    }
    if BREVO_OWN.contains(&to.as_str()) && kind != AttributeType::Text {
        problems.add(
            "wrong-attribute-type",
            &below(path, "type"),
            &format!("{to} is Brevo's own attribute and a text."),
            "Leave the type out.",
        );
        return None;
    }
    let mut mapping = plain(from, &to, kind);
    mapping.convert = convert;
    mapping.clear_on_null = on_null.unwrap_or(mapping.clear_on_null);
    mapping.clear_on_empty = on_empty.unwrap_or(mapping.clear_on_empty);
    let detail = object.entries().map(|(key, _)| key).find(|key| *key != "to").map(ToOwned::to_owned);
    Some(Entry { mapping, derived, detail })
}

fn attribute_type(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<AttributeType> {
    let allowed = ["text", "number", "boolean", "date"];
    let text = problems.one_of(path, raw, "unknown-attribute-type", &allowed)?;
    Some(match text.as_ref() {
        "number" => AttributeType::Number,
        "boolean" => AttributeType::Boolean,
        "date" => AttributeType::Date,
        _ => AttributeType::Text,
    })
}

fn clears(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<bool> {
    problems.one_of(path, raw, "unknown-choice", &["clear", "keep"]).map(|text| text == "clear")
}

fn attribute_name(path: &str, name: &str, problems: &mut Problems) -> Option<String> {
    // Tajo's own examples write `email: email`.
    let name = if name == "email" { "EMAIL" } else { name };
    if is_attribute_name(name) {
        return Some(name.to_owned());
    }
    problems.add(
        "bad-attribute-name",
        path,
        "The name is not an upper-case letter and up to 49 upper-case letters, digits or underscores.",
        "Use a name such as LOYALTY_TIER.",
    );
    None
}

fn derived_name(path: &str, from: &str, around: &Around, problems: &mut Problems) -> Option<String> {
    let derived = derived_attribute(&around.attribute_prefix, from);
    derived
        .inspect_err(|why| {
            problems.add(why.code(), path, why.message(), "Give it a name of its own under `to`.");
        })
        .ok()
}

/// Brevo documents no rule for attribute names; this one is inside of every plausible one.
pub fn is_attribute_name(name: &str) -> bool {
    name.len() <= 50
        && name.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
