//! What is about things: products, custom objects, and what a person is told to look at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A product of the account's catalogue, whole: what is left out is not known, and stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsertProduct {
    /// The shop's own id.
    pub id: String,
    /// As shown.
    pub name: String,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its picture: jpeg, png, gif or webp, at most 5 MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Stock keeping unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// In the shop's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Id of the product that it is a variant of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Ids of its categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// At most 20 keys; strings, numbers and booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta_info: BTreeMap<String, Value>,
    /// No longer sold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A record of a custom object whose schema the tenant made at Brevo; there is no call for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsertObject {
    /// Name of the object: `[a-z0-9_]`, at most 32 characters.
    #[serde(rename = "type")]
    pub kind: String,
    /// The record's own id.
    pub ext_id: String,
    /// At least one; strings, numbers and booleans by lower-case name. Brevo drops unknown names in silence.
    pub attributes: BTreeMap<String, Value>,
}

/// A note in the CRM, on the contact where the action is about a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddNote {
    /// HTML, fewer than 2,950 characters. The host adds a short mark, by which it finds the note again.
    pub text: String,
}

/// A task in the CRM, on the contact where the action is about a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// What is to be done. The host adds a short mark, by which it finds the task again.
    pub name: String,
    /// Name of one of the account's task types.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds after the record's time.
    pub due_in: u32,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl UpsertProduct {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            _ if self.id.is_empty() || self.name.is_empty() => Some("a product has an id and a name"),
            _ if self.meta_info.len() > 20 => Some("a product has at most 20 keys of meta_info"),
            _ if !self.meta_info.values().all(is_scalar) => {
                Some("meta_info holds strings, numbers and booleans")
            }
            _ => None,
        }
    }

    /// True where nothing of an older one is lost without it.
    pub(crate) fn carries(&self, old: &Self) -> bool {
        fn has<T>(new: &Option<T>, old: &Option<T>) -> bool {
            new.is_some() || old.is_none()
        }
        self.id == old.id
            && has(&self.url, &old.url)
            && has(&self.image_url, &old.image_url)
            && has(&self.sku, &old.sku)
            && has(&self.price, &old.price)
            && has(&self.parent_id, &old.parent_id)
            && has(&self.categories, &old.categories)
            && old.meta_info.keys().all(|key| self.meta_info.contains_key(key))
    }
}

impl UpsertObject {
    pub(super) fn fault(&self) -> Option<&'static str> {
        let lower = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match self {
            _ if !lower(&self.kind) || self.kind.len() > 32 => Some("Brevo has no object of such a name"),
            _ if self.ext_id.is_empty() => Some("a record of an object has an id"),
            _ if self.attributes.is_empty() || self.attributes.len() > 500 => {
                Some("a record of an object has 1 to 500 attributes")
            }
            _ if !self.attributes.keys().all(|key| lower(key)) => {
                Some("an attribute's name has small letters, digits and underscores")
            }
            _ if !self.attributes.values().all(is_scalar) => {
                Some("an attribute is a string, a number or a boolean")
            }
            _ => None,
        }
    }

    /// True where nothing of an older one is lost without it.
    pub(crate) fn carries(&self, old: &Self) -> bool {
        (&self.kind, &self.ext_id) == (&old.kind, &old.ext_id)
            && old.attributes.keys().all(|key| self.attributes.contains_key(key))
    }
}

/// Characters of a note: Brevo takes 3,000 (OpenAPI `NoteData`), and the host's mark is one of its
/// paragraphs.
const NOTE_MAX: usize = 2_950;

impl AddNote {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.text.chars().count() {
            _ if self.text.trim().is_empty() => Some("a note has a text"),
            NOTE_MAX.. => Some("a note has fewer than 2,950 characters"),
            _ => None,
        }
    }
}

impl CreateTask {
    pub(super) fn fault(&self) -> Option<&'static str> {
        let empty = self.name.trim().is_empty() || self.kind.trim().is_empty();
        empty.then_some("a task has a name and a type")
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}
