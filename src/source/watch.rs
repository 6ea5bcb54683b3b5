//! The watch list: every customer id that any door has told of.
//!
//! MoEngage has no list of users; Get User answers for ids that are known already. So each door
//! writes down the ids that pass it, in plugin storage, one empty value for each under
//! `watch/<uid>`. Most ids are there already, so it looks first: a write costs a commit far more
//! than a look, and two units conflict only over an id that is new to both.

use std::collections::BTreeSet;

use super::inventory;
use super::notes::{Notes, Notice};
use super::page::Storage;
use crate::model::ids::MAX_ID_BYTES;
use crate::model::{Record, Subject};
use crate::settings::Settings;

/// What stands before the id in a key of the storage.
pub const PREFIX: &str = "watch/";

/// Writes down the people of these records, where profiles are refreshed at all. Never fails:
/// what can't be written down is noted.
pub fn watch(settings: &Settings, records: &[Record], storage: &mut dyn Storage, notes: &mut Notes) {
    // Nobody reads it, so that nobody need write it.
    if settings.options.profile_refresh.is_none() && !inventory::needs(settings, PREFIX) {
        return;
    }
    let uids = records.iter().filter_map(|record| match &record.subject {
        Subject::Person(person) => person.external_id.as_deref(),
        Subject::Object(..) => None,
    });
    // `extend` inserts one by one; `collect` would bring a whole sort into the component.
    let mut once = BTreeSet::new();
    once.extend(uids);
    for uid in once {
        if uid.len() > MAX_ID_BYTES {
            notes.add(Notice::WatchIdTooLong);
            continue;
        }
        let key = format!("{PREFIX}{uid}");
        if storage.get(&key).is_none() && !storage.set(&key, &[]) {
            notes.add(Notice::WatchListFull);
        }
    }
}
