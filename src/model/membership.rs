//! The body of a membership record.

use crate::json::{Object, Scalar, to_json};

/// JSON Schema of [`MembershipBody`].
pub const SCHEMA: &str = include_str!("../schema/membership.json");

/// Whether a person is in a segment, as one sync of it tells. Nothing else stands here: a new
/// content is a change.
#[derive(Debug)]
pub struct MembershipBody {
    /// The sync. Several syncs can be of one segment.
    pub sync_id: String,
    /// The segment's name when the sync was set up; it does not follow a renaming.
    pub sync_name: Option<String>,
    /// Inside or out.
    pub member: bool,
}

// Read and written by hand: derived code is some kilobytes for each.
impl MembershipBody {
    /// As it stands in a record.
    pub fn to_json(&self) -> String {
        let name = match &self.sync_name {
            Some(name) => format!(r#""sync_name":{},"#, to_json(name)),
            None => String::new(),
        };
        format!(r#"{{"sync_id":{},{name}"member":{}}}"#, to_json(&self.sync_id), self.member)
    }

    /// From a record; nothing where it isn't one.
    pub fn read(text: &str) -> Option<Self> {
        let body = Object::parse(text)?;
        let Some(Scalar::Bool(member)) = body.get("member") else { return None };
        Some(Self {
            sync_id: body.get("sync_id")?.text()?.into_owned(),
            sync_name: body.get("sync_name").and_then(Scalar::text).map(Into::into),
            member,
        })
    }
}
