//! The body of an alert record.

use serde::Serialize;

use crate::json::Object;

/// JSON Schema of [`AlertBody`].
pub const SCHEMA: &str = include_str!("../schema/alert.json");

/// A figure of MoEngage's that crossed a line, or something there that is about to expire.
/// Missing means that MoEngage did not say.
#[derive(Debug, Serialize)]
pub struct AlertBody<'a> {
    /// The alert, as it was set up.
    pub alert_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `CAMPAIGN_STATS`, `FLOW_STATS` and others, as it came.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub alert_type: Option<String>,
    /// Name of MoEngage's workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Milliseconds since 1970, where the stamp could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_at: Option<i64>,
    /// How often it is evaluated: value and unit, as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<Object<'a>>,
    /// What it is evaluated by: name, operator, threshold, unit, range, as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Object<'a>>,
    /// Campaigns and flows that it is about, as they came. None for tokens that expire.
    pub entities: Vec<Object<'a>>,
}
