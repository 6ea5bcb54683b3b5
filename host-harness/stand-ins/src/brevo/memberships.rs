//! Who is in which list, and every change of that, in order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::contacts::{By, Contact};
use crate::clock::Millis;

/// One contact that joined or left one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListChange {
    /// The request's number in the journal.
    pub seq: u64,
    /// Host time.
    pub at: Millis,
    /// The list.
    pub list_id: i64,
    /// The contact.
    pub contact_id: i64,
    /// Its address at that time.
    pub email: Option<String>,
    /// Its own id at that time.
    pub ext_id: Option<String>,
    /// Joined, or left.
    pub joined: bool,
    /// Whether it started an automation: a join of a list that has one.
    pub started_automation: bool,
    /// Members of the list afterwards.
    pub members: usize,
}

/// Members by list. A contact's own `list_ids` say the same.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    members: BTreeMap<i64, BTreeSet<i64>>,
    changes: Vec<ListChange>,
    /// Lists with an automation that starts when a contact is added.
    pub(super) automations: BTreeSet<i64>,
}

impl Memberships {
    /// Numbers of the contacts in a list, ascending: in order of their creation.
    pub(super) fn of(&self, list: i64) -> impl DoubleEndedIterator<Item = i64> {
        self.members.get(&list).into_iter().flatten().copied()
    }

    pub(super) fn size(&self, list: i64) -> usize {
        self.members.get(&list).map_or(0, BTreeSet::len)
    }

    pub(super) fn changes(&self) -> &[ListChange] {
        &self.changes
    }

    /// Puts the contact into the list; false where it is there. Every real addition starts the
    /// list's automation anew: whether Brevo lets a person in twice is a setting of each
    /// automation, and once more is the reading that is worst for the sender.
    pub(super) fn join(&mut self, list: i64, contact: &mut Contact, by: By) -> bool {
        if !contact.list_ids.insert(list) {
            return false;
        }
        self.members.entry(list).or_default().insert(contact.id);
        self.note(list, contact, true, by);
        true
    }

    /// Takes the contact out of the list; false where it is not there.
    pub(super) fn leave(&mut self, list: i64, contact: &mut Contact, by: By) -> bool {
        if !contact.list_ids.remove(&list) {
            return false;
        }
        if let Some(members) = self.members.get_mut(&list) {
            members.remove(&contact.id);
        }
        self.note(list, contact, false, by);
        true
    }

    fn note(&mut self, list: i64, contact: &Contact, joined: bool, by: By) {
        self.changes.push(ListChange {
            seq: by.seq,
            at: by.at,
            list_id: list,
            contact_id: contact.id,
            email: contact.email.clone(),
            ext_id: contact.ext_id.clone(),
            joined,
            started_automation: joined && self.automations.contains(&list),
            members: self.size(list),
        });
    }
}
