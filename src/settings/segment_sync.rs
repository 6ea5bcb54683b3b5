//! Outbound Segment Sync: what MoEngage was told about the body, and where each sync goes.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::json::{Object, Scalar};

/// Longest id of a sync, in bytes. MoEngage's own have 24 characters; a record's id holds it
/// beside the person's key.
pub const MAX_SYNC_ID: usize = 200;

/// What a person is named by in the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier {
    Uid,
    Email,
    Phone,
    MoengageId,
}

/// A list at Brevo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By Brevo's number.
    Id(u64),
    /// By name in a folder; made where it isn't there. Without a name it is that of the sync.
    Named { name: Option<String>, folder: String },
}

/// Where the members of one sync go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub place: Place,
    /// True where joining starts nothing at Brevo.
    pub inert: bool,
}

/// The block `segment_sync`.
// The keys of the body can be renamed where the sync is set up
// (MD:user-guide/data/exports/segments/outbound-segment-sync.mdx); these are its defaults.
#[derive(Clone, Debug)]
pub struct SegmentSync {
    pub identifier: Identifier,
    pub user_field: String,
    pub add_field: String,
    pub remove_field: String,
    /// For lists that have none of their own.
    pub folder: String,
    /// By the sync's id; none is not carried.
    pub lists: Vec<(String, Option<Target>)>,
}

impl Default for SegmentSync {
    fn default() -> Self {
        Self {
            identifier: Identifier::Uid,
            user_field: "partner_user_id".to_owned(),
            add_field: "add_users".to_owned(),
            remove_field: "remove_users".to_owned(),
            folder: "MoEngage".to_owned(),
            lists: Vec::new(),
        }
    }
}

/// Keys of the body and of its rows that MoEngage fills itself.
const TAKEN: [&str; 5] = [
    "moengage_sync_id",
    "moengage_sync_name",
    "moengage_execution_id",
    "moengage_integration_id",
    "moengage_distinct_id",
];

/// Reads `segment_sync`.
pub fn segment_sync(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<SegmentSync> {
    const KNOWN: [&str; 6] = ["identifier", "user_field", "add_field", "remove_field", "folder", "lists"];
    let object = problems.object(path, raw)?;
    let mut sync = SegmentSync::default();
    // The lists refer to the folder, which may stand after them.
    if let Some(raw) = object.raw("folder")
        && let Some(folder) = name(&below(path, "folder"), raw, problems)
    {
        sync.folder = folder;
    }
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "identifier" => {
                let allowed = ["uid", "email", "phone", "moengage_id"];
                if let Some(text) = problems.one_of(&path, raw, "unknown-identifier", &allowed) {
                    sync.identifier = match text.as_ref() {
                        "email" => Identifier::Email,
                        "phone" => Identifier::Phone,
                        "moengage_id" => Identifier::MoengageId,
                        _ => Identifier::Uid,
                    };
                }
            }
            "user_field" | "add_field" | "remove_field" => {
                let place = match key {
                    "user_field" => &mut sync.user_field,
                    "add_field" => &mut sync.add_field,
                    _ => &mut sync.remove_field,
                };
                let Some(text) = problems.text(&path, raw) else { continue };
                let long = text.len() > 100 || text.chars().any(char::is_control);
                // The user key may well be the one that MoEngage fills anyway.
                let taken =
                    TAKEN.contains(&text.as_ref()) && (key != "user_field" || text != "moengage_distinct_id");
                if long {
                    problems.add(
                        "bad-name",
                        &path,
                        "It is not 1 to 100 bytes on one line.",
                        "Write the name that the request body has in MoEngage's preview.",
                    );
                } else if taken {
                    problems.add(
                        "reserved-name",
                        &path,
                        "MoEngage gives this key another meaning.",
                        "Write the name that the request body has in MoEngage's preview.",
                    );
                }
                *place = text.into_owned();
            }
            "folder" => {}
            "lists" => sync.lists = lists(&path, raw, &sync.folder, problems),
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    if sync.add_field == sync.remove_field {
        problems.add(
            "duplicate-name",
            &below(path, "remove_field"),
            "Joining and leaving have the same key.",
            "Give each list of the request body a name of its own.",
        );
    }
    Some(sync)
}

/// Sync id to list. A list has one sync: the leavers of another would be taken off it.
fn lists(path: &str, raw: &RawValue, folder: &str, problems: &mut Problems) -> Vec<(String, Option<Target>)> {
    let mut lists: Vec<(String, Option<Target>)> = Vec::new();
    let Some(object) = problems.object(path, raw) else { return lists };
    for (sync_id, raw) in object.entries() {
        let path = below(path, sync_id);
        let fits = !sync_id.trim().is_empty()
            && sync_id.len() <= MAX_SYNC_ID
            && !sync_id.chars().any(char::is_control);
        if !fits {
            problems.add(
                "bad-sync-id",
                &path,
                "It is no id of a sync.",
                "Copy it from MoEngage: moengage_sync_id in the request body.",
            );
            continue;
        }
        let Some(target) = target(&path, raw, folder, problems) else { continue };
        let place = |target: &Option<Target>| target.as_ref().map(|target| target.place.clone());
        let named = !matches!(place(&target), None | Some(Place::Named { name: None, .. }));
        let other = lists.iter().find(|(_, other)| place(other) == place(&target));
        if let Some((other, _)) = other.filter(|_| named) {
            problems.add(
                "duplicate-list",
                &path,
                &format!("It goes to the same list as {other}."),
                "Give every sync a list of its own.",
            );
        }
        lists.push((sync_id.to_owned(), target));
    }
    lists
}

/// A list's number, a block, or false; nothing where it is a problem.
pub(super) fn target(
    path: &str,
    raw: &RawValue,
    folder: &str,
    problems: &mut Problems,
) -> Option<Option<Target>> {
    match Scalar::of(raw) {
        Scalar::Bool(false) => return Some(None),
        Scalar::Number(_) => {
            return number(path, raw, problems).map(|id| Some(Target { place: Place::Id(id), inert: false }));
        }
        Scalar::Compound => {}
        _ => {
            problems.add(
                "wrong-type",
                path,
                &format!("{path} is neither the number of a list, nor a block, nor false."),
                "Write Brevo's number of the list, or a block with id or name.",
            );
            return None;
        }
    }
    let object: Object<'_> = problems.object(path, raw)?;
    let (mut id, mut list_name, mut list_folder, mut inert) = (None, None, None, false);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "id" => id = number(&path, raw, problems),
            "name" => list_name = name(&path, raw, problems),
            "folder" => list_folder = name(&path, raw, problems),
            "inert" => inert = problems.boolean(&path, raw).unwrap_or_default(),
            _ => problems.unknown_key(&path, &["id", "name", "folder", "inert"]),
        }
    }
    if object.raw("id").is_some() {
        for key in ["name", "folder"].into_iter().filter(|key| object.raw(key).is_some()) {
            super::unused(&below(path, key), "id", &below(path, "id"), problems);
        }
        return Some(Some(Target { place: Place::Id(id?), inert }));
    }
    let folder = list_folder.unwrap_or_else(|| folder.to_owned());
    Some(Some(Target { place: Place::Named { name: list_name, folder }, inert }))
}

/// A list's number at Brevo.
fn number(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<u64> {
    problems.number(path, raw, "bad-list-id", "list")
}

/// A name of a list or folder.
fn name(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<String> {
    let text = problems.text(path, raw)?;
    let length = text.chars().count();
    if !(1..=200).contains(&length) || text.trim() != text || text.chars().any(char::is_control) {
        problems.add(
            "bad-list-name",
            path,
            "It is not 1 to 200 characters on one line, without spaces around them.",
            "Write the name as it stands at Brevo.",
        );
        return None;
    }
    Some(text.into_owned())
}
