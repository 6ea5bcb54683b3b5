//! What a person's attributes and addresses should be: the newest of each field, folded when a
//! unit is committed, so that the order in which units arrive does not matter.
//!
//! A field is won by the later trusted time, then the higher rank, then the observation's digest.
//! What merely rode along on something else counts as known a little earlier than it came
//! (docs/decisions/0008).
//! What an action carries onwards are the fields that it won; a field that is not mentioned is
//! left alone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rusqlite::{Transaction, params};
use serde_json::Value;

use super::identity::PersonId;
use crate::store::{Digest, StoreError};
use crate::world::Millis;

/// The field that is a person's e-mail address. Addresses compete like attributes do, and `@` can't
/// start an attribute's name.
pub const EMAIL: &str = "@email";
/// The field that is a person's phone number.
pub const PHONE: &str = "@phone";

/// Ranks below this one are of attributes that rode along on something else, an event for instance.
const READ_ITSELF: u8 = 16;

/// How stale attributes may be that ride along, in milliseconds. No vendor promises a bound; it is
/// longer than any delay that was seen and shorter than the time between two reads of a profile.
const STALENESS: Millis = 15 * 60_000;

/// Place of an observation in the order of a field's history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Standing(pub Millis, pub u8, pub String);

impl Standing {
    /// Of an observation at a time, with its rank.
    pub fn new(at: Millis, rank: u8, observation: Digest) -> Self {
        let known_at = if rank < READ_ITSELF { at.saturating_sub(STALENESS) } else { at };
        Self(known_at, rank, observation.hex())
    }

    /// When the observation was made, whatever it counts for.
    fn observed_at(&self) -> Millis {
        if self.1 < READ_ITSELF { self.0.saturating_add(STALENESS) } else { self.0 }
    }
}

/// Which offered fields won.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fold {
    /// Fields whose value is new: these are to be delivered.
    pub changed: Vec<String>,
    /// How many fields lost against something newer.
    pub lost: usize,
    /// Their names.
    pub lost_names: Vec<String>,
}

/// What one transaction knows of people's fields: read once, written once by [`Wanted::flush`].
#[derive(Default)]
pub struct Wanted(HashMap<PersonId, Desired>);

/// What a person should be: for each field its standing and the digest of its value.
#[derive(Default)]
struct Desired {
    fields: BTreeMap<String, (Standing, String)>,
    dirty: bool,
}

impl Wanted {
    /// Folds the offered fields into what the person should be.
    pub fn fold(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        offered: &BTreeMap<String, Value>,
        standing: &Standing,
    ) -> Result<Fold, StoreError> {
        let desired = self.of(tx, person)?;
        let mut fold = Fold::default();
        for (name, value) in offered {
            let digest = digest_of(value);
            match desired.fields.get_mut(name) {
                Some((current, _)) if *standing < *current => {
                    fold.lost += 1;
                    fold.lost_names.push(name.clone());
                }
                Some((current, known)) => {
                    if *known != digest {
                        fold.changed.push(name.clone());
                    }
                    *current = standing.clone();
                    *known = digest;
                    desired.dirty = true;
                }
                None => {
                    fold.changed.push(name.clone());
                    desired.fields.insert(name.clone(), (standing.clone(), digest));
                    desired.dirty = true;
                }
            }
        }
        Ok(fold)
    }

    /// Forgets what the person should have been up to a deletion, so that whatever is said of them
    /// afterwards counts as new: what rode on the word itself may never have been delivered.
    pub fn forget_before(
        &mut self,
        tx: &Transaction<'_>,
        person: PersonId,
        at: Millis,
    ) -> Result<(), StoreError> {
        let desired = self.of(tx, person)?;
        let before = desired.fields.len();
        desired.fields.retain(|_, (standing, _)| standing.observed_at() > at);
        desired.dirty |= desired.fields.len() < before;
        Ok(())
    }

    /// What `from` should have been, `into` should be, where nothing newer is known of the field.
    pub fn absorb(&mut self, tx: &Transaction<'_>, into: PersonId, from: PersonId) -> Result<(), StoreError> {
        let theirs = std::mem::take(&mut self.of(tx, from)?.fields);
        if theirs.is_empty() {
            return Ok(());
        }
        self.of(tx, from)?.dirty = true;
        let ours = self.of(tx, into)?;
        for (name, theirs) in theirs {
            let known = ours.fields.entry(name).or_insert_with(|| theirs.clone());
            if theirs.0 > known.0 {
                *known = theirs;
            }
        }
        ours.dirty = true;
        Ok(())
    }

    /// When the newest of the person's fields was certainly true; none where nothing is known.
    pub fn newest(&mut self, tx: &Transaction<'_>, person: PersonId) -> Result<Option<Millis>, StoreError> {
        Ok(self.of(tx, person)?.fields.values().map(|(standing, _)| standing.0).max())
    }

    fn of(&mut self, tx: &Transaction<'_>, person: PersonId) -> Result<&mut Desired, StoreError> {
        Ok(match self.0.entry(person) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Desired::load(tx, person)?),
        })
    }

    /// Writes what changed. Without it nothing of this is kept.
    pub fn flush(&mut self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        for (person, desired) in &mut self.0 {
            if std::mem::take(&mut desired.dirty) {
                let text = serde_json::to_string(&desired.fields)
                    .map_err(|_| StoreError::Unreadable("person.desired"))?;
                tx.prepare_cached("UPDATE person SET desired = ?2 WHERE id = ?1")?
                    .execute(params![person.0, text])?;
            }
        }
        Ok(())
    }
}

/// Whether anything was said of the person's fields after a time.
pub fn is_known_since(tx: &Transaction<'_>, person: PersonId, at: Millis) -> Result<bool, StoreError> {
    Ok(Desired::load(tx, person)?.fields.values().any(|(standing, _)| standing.observed_at() > at))
}

/// Which of these spellings is what the person's field should be; none where it is none of them, or
/// nothing is known of the field.
pub fn current<'a>(
    tx: &Transaction<'_>,
    person: PersonId,
    field: &str,
    spellings: &'a [String],
) -> Result<Option<&'a String>, StoreError> {
    let desired = Desired::load(tx, person)?;
    let Some((_, known)) = desired.fields.get(field) else { return Ok(None) };
    Ok(spellings.iter().find(|text| digest_of(&Value::String((*text).clone())) == *known))
}

fn digest_of(value: &Value) -> String {
    Digest::of(&[value.to_string().as_bytes()]).hex()
}

impl Desired {
    fn load(tx: &Transaction<'_>, person: PersonId) -> Result<Self, StoreError> {
        let text: String = tx
            .prepare_cached("SELECT desired FROM person WHERE id = ?1")?
            .query_row([person.0], |row| row.get(0))?;
        let fields = serde_json::from_str(&text).map_err(|_| StoreError::Unreadable("person.desired"))?;
        Ok(Self { fields, dirty: false })
    }
}
