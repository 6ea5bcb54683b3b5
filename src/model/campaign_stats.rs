//! The body of a record with the figures of a campaign.

/// JSON Schema of the body, which `source::stats` writes.
pub const SCHEMA: &str = include_str!("../schema/campaign-stats.json");
