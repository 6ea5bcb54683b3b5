//! Memberships in segments: which list at Brevo a person joins or leaves.

use super::action_with;
use crate::json::to_json;
use crate::model::membership::MembershipBody;
use crate::model::{Mapping, Record};
use crate::settings::Settings;
use crate::settings::segment_sync::Place;

/// Longest part of a list's name that comes from MoEngage, in characters.
const MAX_NAME: usize = 150;

/// What one membership calls for. Who is known only by MoEngage's id joins as well: the host holds
/// the action until it knows the contact.
pub fn of_membership(settings: &Settings, record: &Record, body: &MembershipBody) -> Mapping {
    let nothing = |why: &str| Mapping::Nothing(why.to_owned());
    let Some(sync) = &settings.segment_sync else { return nothing("not-synced") };
    let target = match sync.lists.iter().find(|(sync_id, _)| *sync_id == body.sync_id) {
        Some((_, None)) => return nothing("sync-not-carried"),
        Some((_, target)) => target.as_ref(),
        None => None,
    };
    let named =
        |name: &str, folder: &str| format!(r#"{{"name":{},"folder":{}}}"#, to_json(&name), to_json(&folder));
    let list = match target.map(|target| &target.place) {
        Some(Place::Id(id)) => format!(r#"{{"id":{id}}}"#),
        Some(Place::Named { name: Some(name), folder }) => named(name, folder),
        Some(Place::Named { name: None, folder }) => named(&list_name(body), folder),
        None => named(&list_name(body), &sync.folder),
    };
    // True where joining starts nothing at Brevo.
    let inert = target.is_some_and(|target| target.inert);
    let name = if body.member { "brevo/join-list" } else { "brevo/leave-list" };
    let payload = format!(r#"{{"list":{list},"inert":{inert}}}"#);
    Mapping::Actions(vec![action_with(record, "list", name, payload)])
}

/// The name of a list that has no other: the segment's, and the id of the sync. Two syncs of one
/// segment have the same name, and the leavers of one must not be taken off the other's list.
fn list_name(body: &MembershipBody) -> String {
    let name = body.sync_name.as_deref().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    match name.trim() {
        "" => body.sync_id.trim().to_owned(),
        name => format!("{name} ({})", body.sync_id),
    }
}
