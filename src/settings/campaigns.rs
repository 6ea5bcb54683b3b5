//! Which campaigns are read.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::model::Millis;
use crate::source;

/// What of the campaigns a tenant wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Campaigns {
    /// Only campaigns that were created at or after this instant; none is all of them.
    pub created_since: Option<Millis>,
    /// Whether the list is read by V1, for a workspace that has no V5.
    pub by_v1: bool,
}

/// Reads `campaigns`.
pub fn campaigns(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Campaigns> {
    let object = problems.object(path, raw)?;
    let mut campaigns = Campaigns::default();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "created_since" => {
                let Some(text) = problems.text(&path, raw) else { continue };
                let iso = text.as_bytes().get(4) == Some(&b'-');
                campaigns.created_since = source::day(&text).filter(|_| iso);
                if campaigns.created_since.is_none() {
                    problems.add(
                        "bad-date",
                        &path,
                        "It is not a day from 1970-01-01 on.",
                        "Write year, month and day in double quotes, for instance \"2025-01-01\".",
                    );
                }
            }
            "api" => {
                let api = problems.one_of(&path, raw, "unknown-word", &["v5", "v1"]);
                campaigns.by_v1 = api.is_some_and(|api| api == "v1");
            }
            _ => problems.unknown_key(&path, &["created_since", "api"]),
        }
    }
    Some(campaigns)
}
