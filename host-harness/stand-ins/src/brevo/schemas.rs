//! Bodies as Brevo documents them, and nothing else.
//!
//! brevo: OpenAPI file of February 2026 (`POST /contacts`, `PUT /contacts/{identifier}`,
//! `POST /contacts/attributes/...`, `POST /contacts/folders`, `POST /contacts/lists...`,
//! `POST /events`), `brevo-python` 5.1.0 for what came later
//! (`forceMerge`, `getId`, `POST /events/batch`).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A key that may be missing, but may not be null: no schema of these calls is nullable.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Number, string, boolean, or array of strings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "an attribute's value is a number, a string, a boolean, or an array of strings"
)]
pub(super) enum AttributeValue {
    Boolean(bool),
    Number(serde_json::Number),
    Text(String),
    Choices(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct CreateContact {
    #[serde(deserialize_with = "present")]
    pub(super) email: Option<String>,
    #[serde(rename = "ext_id", deserialize_with = "present")]
    pub(super) ext_id: Option<String>,
    pub(super) attributes: BTreeMap<String, AttributeValue>,
    #[serde(deserialize_with = "present")]
    pub(super) email_blacklisted: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub(super) sms_blacklisted: Option<bool>,
    pub(super) list_ids: Vec<i64>,
    #[serde(deserialize_with = "present")]
    pub(super) smtp_blacklist_sender: Option<Vec<String>>,
    pub(super) update_enabled: bool,
    pub(super) force_merge: bool,
    pub(super) get_id: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct UpdateContact {
    #[serde(rename = "ext_id", deserialize_with = "present")]
    pub(super) ext_id: Option<String>,
    pub(super) attributes: BTreeMap<String, AttributeValue>,
    #[serde(deserialize_with = "present")]
    pub(super) email_blacklisted: Option<bool>,
    #[serde(deserialize_with = "present")]
    pub(super) sms_blacklisted: Option<bool>,
    pub(super) list_ids: Vec<i64>,
    pub(super) unlink_list_ids: Vec<i64>,
    #[serde(deserialize_with = "present")]
    pub(super) smtp_blacklist_sender: Option<Vec<String>>,
    pub(super) force_merge: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct CreateAttribute {
    #[serde(rename = "type", deserialize_with = "present")]
    pub(super) kind: Option<String>,
    pub(super) enumeration: Vec<EnumerationItem>,
    pub(super) multi_category_options: Vec<String>,
    #[serde(deserialize_with = "present")]
    pub(super) value: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) is_recurring: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnumerationItem {
    pub(super) value: i64,
    pub(super) label: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct CreateFolder {
    #[serde(deserialize_with = "present")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct CreateList {
    #[serde(deserialize_with = "present")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) folder_id: Option<i64>,
}

/// Exactly one of them. `all` of the remove call, which empties the list, is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct ListRows {
    #[serde(deserialize_with = "present")]
    pub(super) emails: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    pub(super) ids: Option<Vec<i64>>,
    #[serde(deserialize_with = "present")]
    pub(super) ext_ids: Option<Vec<String>>,
}

/// The elements are read one by one: an invalid one does not refuse the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventBatch {
    pub(super) events: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateEvent {
    pub(super) event_name: String,
    #[serde(default, deserialize_with = "present")]
    pub(super) event_date: Option<String>,
    pub(super) identifiers: EventIdentifiers,
    #[serde(default)]
    pub(super) contact_properties: BTreeMap<String, ContactProperty>,
    #[serde(default)]
    pub(super) event_properties: serde_json::Map<String, Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) object: Option<EventObject>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventIdentifiers {
    #[serde(deserialize_with = "present")]
    pub(super) contact_id: Option<i64>,
    #[serde(deserialize_with = "present")]
    pub(super) email_id: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) ext_id: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) phone_id: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) whatsapp_id: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(super) landline_number_id: Option<String>,
}

/// String, whole number, or boolean (the last by the reference only).
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
#[serde(untagged, expecting = "a contact property is a string, a whole number, or a boolean")]
pub(super) enum ContactProperty {
    Boolean(bool),
    Whole(i64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventObject {
    #[serde(rename = "type", deserialize_with = "present")]
    pub(super) kind: Option<String>,
    #[allow(dead_code, reason = "read so that its shape is checked; no object record exists here")]
    pub(super) identifiers: ObjectIdentifiers,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "read so that its shape is checked; no object record exists here")]
pub(super) struct ObjectIdentifiers {
    #[serde(deserialize_with = "present")]
    ext_id: Option<String>,
    #[serde(deserialize_with = "present")]
    id: Option<String>,
}
