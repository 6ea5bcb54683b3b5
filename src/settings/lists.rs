//! Lists at Brevo by the role that they have for the tenant: the block `lists`.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use super::segment_sync::{self, Place, SegmentSync, Target};
use crate::json::Scalar;

/// The role of the list that every contact joins. The other roles mean nothing by themselves:
/// they are names that rules can use.
pub const ALL_CONTACTS: &str = "all_contacts";

/// Lists by role.
pub type Roles = Vec<(String, Target)>;

/// Reads `lists`.
pub fn roles(path: &str, raw: &RawValue, problems: &mut Problems) -> Roles {
    let mut roles = Roles::new();
    let Some(object) = problems.object(path, raw) else { return roles };
    for (role, raw) in object.entries() {
        let path = below(path, role);
        let fits = (1..=64).contains(&role.len())
            && role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            problems.add(
                "bad-role",
                &path,
                "A role is 1 to 64 lower-case letters, digits and underscores.",
                "Use a name such as all_contacts or high_value.",
            );
        }
        if let Some(target) = place(&path, raw, problems) {
            roles.push((role.to_owned(), target));
        }
    }
    roles
}

/// A list as an action of a rule names it: by its role, or as under `lists`.
pub fn list(path: &str, raw: &RawValue, roles: &Roles, problems: &mut Problems) -> Option<Target> {
    let Scalar::Text(role) = Scalar::of(raw) else { return place(path, raw, problems) };
    let known = roles.iter().find(|(known, _)| *known == role).map(|(_, target)| target.clone());
    if known.is_none() {
        problems.add(
            "unknown-role",
            path,
            "No list under lists has this role.",
            "Name the list there, or write its number or a block with name and folder here.",
        );
    }
    known
}

/// A list's number, or a block with `id`, or with `name` and `folder`.
fn place(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Target> {
    if Scalar::of(raw) == Scalar::Bool(false) {
        problems.number(path, raw, "bad-list-id", "list");
        return None;
    }
    let target = segment_sync::target(path, raw, &SegmentSync::default().folder, problems)??;
    if matches!(target.place, Place::Named { name: None, .. }) {
        problems.missing(&below(path, "name"), "Name the list, or write its number.");
        return None;
    }
    Some(target)
}
