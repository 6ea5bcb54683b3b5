//! The body of a membership record.

use serde::{Deserialize, Serialize};

/// JSON Schema of [`MembershipBody`].
pub const SCHEMA: &str = include_str!("../schema/membership.json");

/// Whether a person is in a segment, as one sync of it tells. Nothing else stands here: a new
/// content is a change.
#[derive(Debug, Serialize, Deserialize)]
pub struct MembershipBody {
    /// The sync. Several syncs can be of one segment.
    pub sync_id: String,
    /// The segment's name when the sync was set up; it does not follow a renaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_name: Option<String>,
    /// Inside or out.
    pub member: bool,
}
