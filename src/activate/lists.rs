//! Lists at Brevo: who joins and leaves them with a segment, and who joins as a contact.

use super::action_with;
use crate::json::to_json;
use crate::model::membership::MembershipBody;
use crate::model::{Action, Mapping, Record};
use crate::settings::Settings;
use crate::settings::lists::ALL_CONTACTS;
use crate::settings::segment_sync::{Place, Target};

pub const JOIN: &str = "brevo/join-list";
pub const LEAVE: &str = "brevo/leave-list";

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
    let payload = match target {
        Some(target) => payload_or(target, || list_name(body)),
        None => {
            let place = Place::Named { name: None, folder: sync.folder.clone() };
            payload_or(&Target { place, inert: false }, || list_name(body))
        }
    };
    let name = if body.member { JOIN } else { LEAVE };
    Mapping::Actions(vec![action_with(record, "list", name, payload)])
}

/// What the list of all contacts calls for, where a contact is carried and there is such a list.
pub fn of_contact(settings: &Settings, record: &Record) -> Option<Action> {
    let (_, target) = settings.lists.iter().find(|(role, _)| role == ALL_CONTACTS)?;
    Some(action_with(record, "list-all-contacts", JOIN, payload(target)))
}

/// Payload of [`JOIN`] and [`LEAVE`] for a list that has a name or a number.
pub fn payload(target: &Target) -> String {
    payload_or(target, String::new)
}

fn payload_or(target: &Target, otherwise: impl FnOnce() -> String) -> String {
    let list = match &target.place {
        Place::Id(id) => format!(r#"{{"id":{id}}}"#),
        Place::Named { name, folder } => {
            let name = name.clone().unwrap_or_else(otherwise);
            format!(r#"{{"name":{},"folder":{}}}"#, to_json(&name), to_json(folder))
        }
    };
    // True where joining starts nothing at Brevo.
    let inert = target.inert;
    format!(r#"{{"list":{list},"inert":{inert}}}"#)
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
