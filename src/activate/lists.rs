//! Memberships in segments: which list at Brevo a person joins or leaves.

use serde::Serialize;

use super::action;
use crate::model::membership::MembershipBody;
use crate::model::{Mapping, Record};
use crate::settings::Settings;
use crate::settings::segment_sync::{Place, Target};

/// Payload of `brevo/join-list` and `brevo/leave-list`.
#[derive(Serialize)]
struct Membership {
    list: List,
    /// True where joining starts nothing at Brevo.
    inert: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum List {
    Id { id: u64 },
    Named { name: String, folder: String },
}

/// Longest part of a list's name that comes from MoEngage, in characters.
const MAX_NAME: usize = 150;

/// What one membership calls for. Who is known only by MoEngage's id joins as well: the host holds
/// the action until it knows the contact.
pub fn of_membership(settings: &Settings, record: &Record, body: &MembershipBody) -> Mapping {
    let nothing = |why: &str| Mapping::Nothing(why.to_owned());
    let Some(sync) = &settings.segment_sync else { return nothing("not-synced") };
    let target = match sync.lists.get(&body.sync_id) {
        Some(None) => return nothing("sync-not-carried"),
        Some(Some(target)) => target.clone(),
        None => Target { place: Place::Named { name: None, folder: sync.folder.clone() }, inert: false },
    };
    let list = match target.place {
        Place::Id(id) => List::Id { id },
        Place::Named { name: Some(name), folder } => List::Named { name, folder },
        Place::Named { name: None, folder } => List::Named { name: list_name(body), folder },
    };
    let name = if body.member { "brevo/join-list" } else { "brevo/leave-list" };
    Mapping::Actions(vec![action(record, "list", name, &Membership { list, inert: target.inert })])
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
