//! The body of an event record.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// JSON Schema of [`EventBody`].
pub const SCHEMA: &str = include_str!("../schema/event.json");

/// Something that happened to a person or that a person did.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventBody<'a> {
    /// MoEngage's id of this event.
    #[serde(borrow)]
    pub event_uuid: Cow<'a, str>,
    /// Raw code (`MOE_EMAIL_OPEN`); for a custom event the name it was tracked by.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// Display name. Can be renamed in MoEngage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `CAMPAIGN_EVENT`, `USER_ACTION_EVENT` or another word of MoEngage's.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Who made the event, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Milliseconds since 1970, where the stamp could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<i64>,
    /// `email`, `sms`, `push`... where the code tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The address that an e-mail event is about. Can differ from the person's present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Project of a Portfolio workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// True where MoEngage takes it for the act of a machine, such as a mail scanner's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<bool>,
    /// Why it does, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_reason: Option<String>,
    /// Every event attribute, as it came.
    #[serde(borrow)]
    pub attributes: Object<'a>,
    /// User attributes that came with the event and that a rule of the settings asks for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Object<'a>>,
}
