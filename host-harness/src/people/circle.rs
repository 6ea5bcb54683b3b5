//! People as one transaction sees them: looked up once, and written once at its end.
//!
//! A unit speaks of the same people again and again: an event comes with the contact that it
//! happened to, and a contact calls for several actions. What was found for one action holds for
//! the next as long as no name changed hands.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Transaction;

use super::consent::{Consents, Merged};
use super::fields::Wanted;
use super::identity::{PersonId, Resolution, Search};
use super::{deletions, identity, tombstone};
use crate::contract::Person;
use crate::registry::{SetConsent, SetSuppression};
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::world::Millis;

/// The people of one destination, for the length of one transaction.
pub struct Circle {
    destination: DestinationId,
    /// Whether anybody was ever erased here; asked once.
    erasures: Option<bool>,
    /// Whether names that are new are learned.
    learns: bool,
    /// Whether anybody's contact was ever deleted; asked once.
    deletions: Option<bool>,
    found: HashMap<String, Resolution>,
    /// People who came to have a contact or an external id, so that the contact has to get the id.
    pub to_be_named: BTreeSet<PersonId>,
    /// Consent, to be read and merged.
    pub consents: Consents,
    /// Fields, to be folded.
    pub wanted: Wanted,
}

impl Circle {
    /// Runs the body with everybody of a destination, and writes what it changed.
    pub fn with<T>(
        tx: &Transaction<'_>,
        destination: DestinationId,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        Self::begin(tx, destination, true, body)
    }

    /// The same for what was said long ago: a name that changed hands since then stays where it is.
    pub fn looking_back<T>(
        tx: &Transaction<'_>,
        destination: DestinationId,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        Self::begin(tx, destination, false, body)
    }

    fn begin<T>(
        tx: &Transaction<'_>,
        destination: DestinationId,
        learns: bool,
        body: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut circle = Self {
            destination,
            erasures: None,
            learns,
            deletions: None,
            found: HashMap::new(),
            to_be_named: BTreeSet::new(),
            consents: Consents::default(),
            wanted: Wanted::default(),
        };
        let value = body(&mut circle)?;
        circle.consents.flush(tx)?;
        circle.wanted.flush(tx)?;
        Ok(value)
    }

    /// As [`tombstone::is_erased`].
    pub fn is_erased(&mut self, tx: &Transaction<'_>, person: &Person) -> Result<bool, StoreError> {
        let erasures = match self.erasures {
            Some(known) => known,
            None => *self.erasures.insert(tombstone::any(tx, self.destination)?),
        };
        Ok(erasures && tombstone::is_erased(tx, self.destination, person)?)
    }

    /// As [`deletions::of`].
    pub fn deleted_at(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
    ) -> Result<Option<Millis>, StoreError> {
        let deletions = match self.deletions {
            Some(known) => known,
            None => *self.deletions.insert(deletions::any(tx)?),
        };
        if deletions { deletions::of(tx, person) } else { Ok(None) }
    }

    /// As [`deletions::begin`].
    pub fn delete(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        at: Millis,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.deletions = Some(true);
        deletions::begin(tx, &mut self.wanted, person, at, now)
    }

    /// As [`super::identity::resolve`].
    pub fn resolve(
        &mut self,
        tx: &Transaction<'_>,
        person: &Person,
        now: Millis,
    ) -> Result<Resolution, StoreError> {
        let key = key(person);
        if let Some(known) = self.found.get(&key) {
            return Ok(known.clone());
        }
        let search = Search::new(tx, &mut self.consents, &mut self.wanted, self.destination, now);
        let (resolution, changes) = search.learning(self.learns).resolve(person)?;
        self.to_be_named.extend(changes.to_be_named);
        if changes.names {
            self.found.clear();
        }
        self.found.insert(key, resolution.clone());
        Ok(resolution)
    }
}

impl Circle {
    /// Merges what a record says of somebody's consent. Where it names nothing but an address, it is
    /// said of the mailbox.
    pub fn say(
        &mut self,
        tx: &Transaction<'_>,
        named: &Person,
        id: PersonId,
        said: &SetConsent,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        match identity::mailbox(tx, self.destination, named, said.channel)? {
            Some(mailbox) => self.consents.merge_of_mailbox(tx, &mailbox, said, at, now),
            None => self.consents.merge(tx, id.0, said, at, now),
        }
    }

    /// The same for a suppression.
    pub fn suppress(
        &mut self,
        tx: &Transaction<'_>,
        named: &Person,
        id: PersonId,
        said: &SetSuppression,
        at: Millis,
        now: Millis,
    ) -> Result<Merged, StoreError> {
        match identity::mailbox(tx, self.destination, named, said.channel)? {
            Some(mailbox) => self.consents.merge_suppression_of_mailbox(tx, &mailbox, said, at, now),
            None => self.consents.merge_suppression(tx, id.0, said, at, now),
        }
    }
}

/// All names in one text. Control characters, which no name holds, stand between them.
fn key(person: &Person) -> String {
    let mut key = String::with_capacity(128);
    for name in [&person.external_id, &person.email, &person.phone] {
        if let Some(name) = name {
            key.push_str(name);
        } else {
            key.push('\u{1}');
        }
        key.push('\u{2}');
    }
    for alias in &person.aliases {
        key.push_str(&alias.kind);
        key.push('\u{1}');
        key.push_str(&alias.value);
        key.push('\u{2}');
    }
    key
}
