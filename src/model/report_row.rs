//! The body of a record with one row of a campaign report.

/// JSON Schema of the body, which `source::reports` writes.
pub const SCHEMA: &str = include_str!("../schema/report-row.json");
