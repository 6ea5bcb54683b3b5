//! What at MoEngage means that a person is to be deleted at Brevo: the block `deletes`.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::source::codes;

/// The Brevo attribute that marks who was deleted softly: the day.
pub const DELETED_AT: &str = "MOENGAGE_DELETED_AT";

/// How a person is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// Out of every list and marked; kept.
    Soft,
    /// Erased, here and at Brevo, for good.
    Hard,
}

/// Which events delete, and how.
#[derive(Clone, Debug)]
pub struct Deletes {
    pub behavior: Behavior,
    /// Event codes as MoEngage has them.
    pub on: Vec<String>,
}

/// Reads `deletes`.
pub fn deletes(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Deletes> {
    let object = problems.object(path, raw)?;
    let mut deletes = Deletes { behavior: Behavior::Soft, on: Vec::new() };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "delete_behavior" => {
                if problems.one_of(&path, raw, "unknown-choice", &["soft", "hard"]).as_deref() == Some("hard")
                {
                    deletes.behavior = Behavior::Hard;
                }
            }
            "on" => {
                for (path, raw) in problems.list(&path, raw) {
                    let Some(code) = problems.text(&path, raw) else { continue };
                    // None of them means it: who uninstalls, logs out or unsubscribes is still
                    // there, and a merged profile goes on as another
                    // (MD:api/data/moengage-streams.mdx; MoEngage documents no notice of a deletion
                    // or an erasure).
                    if codes::published(&code).is_some() {
                        problems.add(
                            "no-deletion",
                            &path,
                            "MoEngage's own events never mean that a person was deleted.",
                            "Name an event of yours that says so, by its code, such as account_deleted.",
                        );
                    }
                    deletes.on.push(code.into_owned());
                }
            }
            _ => problems.unknown_key(&path, &["delete_behavior", "on"]),
        }
    }
    if object.raw("on").is_none() {
        problems
            .missing(&below(path, "on"), "Name the codes of the events that delete, or remove the block.");
    }
    Some(deletes)
}
