//! The body of an alert record.

use serde_json::value::RawValue;

use crate::json::to_json;

/// JSON Schema of [`AlertBody`].
pub const SCHEMA: &str = include_str!("../schema/alert.json");

/// A figure of MoEngage's that crossed a line, or something there that is about to expire.
/// Missing means that MoEngage did not say.
#[derive(Debug)]
pub struct AlertBody<'a> {
    /// The alert, as it was set up.
    pub alert_id: &'a str,
    /// Its name, its type (`CAMPAIGN_STATS`, `FLOW_STATS` and others, as it came) and the name of
    /// MoEngage's workspace, each under its key in the body.
    pub texts: [(&'static str, Option<String>); 3],
    /// Milliseconds since 1970, where the stamp could be read.
    pub triggered_at: Option<i64>,
    /// How often it is evaluated, and what by: objects, as they came.
    pub blocks: [(&'static str, Option<&'a RawValue>); 2],
    /// Campaigns and flows that it is about: a list of objects, as it came. None for tokens that
    /// expire.
    pub entities: Option<&'a RawValue>,
}

impl AlertBody<'_> {
    /// As it stands in a record.
    pub fn to_json(&self) -> String {
        let mut json = format!(r#"{{"alert_id":{}"#, to_json(&self.alert_id));
        let mut push = |key: &str, value: &str| {
            json.push_str(",\"");
            json.push_str(key);
            json.push_str("\":");
            json.push_str(value);
        };
        for (key, text) in &self.texts {
            if let Some(text) = text {
                push(key, &to_json(text));
            }
        }
        if let Some(at) = self.triggered_at {
            push("triggered_at", &at.to_string());
        }
        for (key, raw) in &self.blocks {
            if let Some(raw) = raw {
                push(key, raw.get());
            }
        }
        push("entities", self.entities.map_or("[]", RawValue::get));
        json.push('}');
        json
    }
}
