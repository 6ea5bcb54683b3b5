//! Which figures of campaigns are read.

use serde_json::value::RawValue;

use super::problem::{Problems, below};

/// How conversions and counts are meant. The words are MoEngage's.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Which conversions a campaign is credited with.
    pub attribution_type: &'static str,
    /// Every one, or each person once.
    pub metric_type: &'static str,
}

/// OpenAPI of stats.
const ATTRIBUTIONS: [&str; 5] =
    ["VIEW_THROUGH", "CLICK_THROUGH", "IN_SESSION", "TOTAL_CONVERSIONS", "CLICK_CONVERSIONS"];
const METRICS: [&str; 2] = ["TOTAL", "UNIQUE"];

impl Default for Stats {
    fn default() -> Self {
        Self { attribution_type: "CLICK_THROUGH", metric_type: "TOTAL" }
    }
}

/// Reads `campaign_stats`.
pub fn stats(path: &str, raw: &RawValue, problems: &mut Problems) -> Stats {
    let mut stats = Stats::default();
    let Some(object) = problems.object(path, raw) else { return stats };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let (allowed, place): (&[&'static str], _) = match key {
            "attribution_type" => (&ATTRIBUTIONS, &mut stats.attribution_type),
            "metric_type" => (&METRICS, &mut stats.metric_type),
            _ => {
                problems.unknown_key(&path, &["attribution_type", "metric_type"]);
                continue;
            }
        };
        let said = problems.one_of(&path, raw, "unknown-word", allowed);
        *place = said.and_then(|said| allowed.iter().find(|word| **word == said)).unwrap_or(place);
    }
    stats
}
