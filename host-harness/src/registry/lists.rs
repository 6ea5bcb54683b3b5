//! Who is in which list.

use serde::{Deserialize, Serialize};

/// A person is, or is no longer, in a list at Brevo. It is a state: of several words about one
/// person and list the newest holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListMembership {
    /// Which list.
    pub list: ListRef,
    /// The tenant's word that nothing starts at Brevo when somebody joins the list. The host can't
    /// see automations, so without it every join may start one.
    #[serde(default)]
    pub inert: bool,
}

/// How a list is named. More kinds may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ListRef {
    /// One that exists at Brevo; it is never created.
    Existing(ExistingList),
    /// One that is found by its name and folder, and created where there is none.
    Named(NamedList),
}

/// `{"id": 5}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExistingList {
    /// Brevo's number.
    pub id: i64,
}

/// `{"name": "...", "folder": "..."}`. Both are compared as they are, in case and blanks too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedList {
    /// The list's name.
    pub name: String,
    /// The name of its folder: Brevo has no list without one (OpenAPI `POST /contacts/lists`).
    pub folder: String,
}

impl ListRef {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Existing(list) if list.id < 1 => Some("a list's number is positive"),
            Self::Existing(_) => None,
            Self::Named(list) if !is_list_name(&list.name) => Some("the name of the list can't be used"),
            Self::Named(list) if !is_list_name(&list.folder) => Some("the name of the folder can't be used"),
            Self::Named(_) => None,
        }
    }
}

/// Brevo documents no rule for names of lists and folders, so this one is strict: what would look
/// the same to a person is not a second list.
fn is_list_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=400).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
}
