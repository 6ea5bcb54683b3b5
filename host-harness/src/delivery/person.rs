//! A person at one account, as delivery sees them: Brevo's id, what was delivered, what was refused.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::people::fields::Standing;
use crate::store::{Digest, StoreError};
use crate::world::Millis;

/// Whether the person has a contact at Brevo, as far as is known. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum Presence {
    NeverLookedUp = 0,
    AtBrevo = 1,
    NotAtBrevo = 2,
    /// It was delivered and is gone.
    Gone = 3,
}

/// The field that says that the contact has a customer's id.
pub(super) const EXT_ID: &str = "EXT_ID";

/// What stands at Brevo in one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivered {
    pub standing: Standing,
    /// Digest of the value.
    pub value: String,
}

#[derive(Clone, Debug)]
pub(super) struct PersonRow {
    pub id: i64,
    pub brevo_id: Option<i64>,
    pub presence: Presence,
    pub looked_at: Option<Millis>,
    pub fields: BTreeMap<String, Delivered>,
    pub refused: BTreeMap<String, String>,
    pub dirty: bool,
}

impl PersonRow {
    pub fn load(tx: &Transaction<'_>, id: i64) -> Result<Option<Self>, StoreError> {
        let row = tx
            .prepare_cached(
                "SELECT brevo_id, presence, looked_at, fields, refused FROM person WHERE id = ?1",
            )?
            .query_row([id], |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, i64>(1)?,
                    row.get(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, String>(4)?,
                ))
            })
            .optional()?;
        let Some((brevo_id, presence, looked_at, fields, refused)) = row else { return Ok(None) };
        let unreadable = |_| StoreError::Unreadable("person");
        Ok(Some(Self {
            id,
            brevo_id,
            presence: match presence {
                0 => Presence::NeverLookedUp,
                1 => Presence::AtBrevo,
                2 => Presence::NotAtBrevo,
                3 => Presence::Gone,
                _ => return Err(StoreError::Unreadable("person.presence")),
            },
            looked_at,
            fields: serde_json::from_str(&fields).map_err(unreadable)?,
            refused: serde_json::from_str(&refused).map_err(unreadable)?,
            dirty: false,
        }))
    }

    pub fn save(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let text = |map: serde_json::Result<String>| map.map_err(|_| StoreError::Unreadable("person"));
        tx.prepare_cached(
            "UPDATE person SET brevo_id = ?2, presence = ?3, looked_at = ?4, fields = ?5, refused = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            self.id,
            self.brevo_id,
            self.presence as i64,
            self.looked_at,
            text(serde_json::to_string(&self.fields))?,
            text(serde_json::to_string(&self.refused))?,
        ])?;
        Ok(())
    }

    /// Brevo's id, where the contact is known to be there.
    pub fn contact(&self) -> Option<i64> {
        self.brevo_id.filter(|_| self.presence == Presence::AtBrevo)
    }

    pub fn set_presence(&mut self, presence: Presence, now: Millis) {
        (self.presence, self.looked_at, self.dirty) = (presence, Some(now), true);
    }

    pub fn set_field(&mut self, name: &str, standing: Standing, value: &str) {
        self.fields.insert(name.to_owned(), Delivered { standing, value: value.to_owned() });
        self.dirty = true;
    }

    pub fn refuse(&mut self, name: &str, value: &str) {
        self.refused.insert(name.to_owned(), value.to_owned());
        self.dirty = true;
    }

    pub fn has_refused(&self, name: &str, value: &str) -> bool {
        self.refused.get(name).is_some_and(|refused| refused == value)
    }
}

/// Before everything: what stood at Brevo before this host came.
pub(super) fn before_everything() -> Standing {
    Standing(Millis::MIN, 0, String::new())
}

/// Digest of a value as `PersonRow` keeps it. Values themselves are not kept.
pub(super) fn digest(value: &str) -> String {
    Digest::of(&[value.as_bytes()]).hex()
}
