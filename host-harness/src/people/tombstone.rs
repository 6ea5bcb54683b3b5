//! Erased people stay erased, through replays too.
//!
//! Of an erased person only salted hashes of the names remain: enough to recognise a record
//! about them, not enough to list them.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::identity::{PersonId, email_key};
use super::memberships;
use crate::contract::Person;
use crate::store::installations::DestinationId;
use crate::store::{Digest, StoreError};
use crate::world::{Millis, Random};

const SALT: &str = "tombstone-salt";

/// Makes the salt of this file, once.
pub fn ensure_salt(tx: &Transaction<'_>, random: &dyn Random) -> Result<(), StoreError> {
    let mut salt = [0; 32];
    random.fill(&mut salt);
    tx.execute(
        "INSERT INTO host (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![SALT, salt.as_slice()],
    )?;
    Ok(())
}

/// True where anybody was ever erased.
pub fn any(tx: &Transaction<'_>, destination: DestinationId) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM tombstone WHERE destination = ?1)")?
        .query_row([destination.0], |row| row.get(0))?)
}

/// True where any name of the person belongs to somebody who was erased.
pub fn is_erased(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: &Person,
) -> Result<bool, StoreError> {
    if !any(tx, destination)? {
        return Ok(false);
    }
    let salt = salt(tx)?;
    let mut names = Vec::new();
    names.extend(person.external_id.iter().map(|v| ("external-id".to_owned(), v.clone())));
    names.extend(person.email.iter().map(|v| ("email".to_owned(), email_key(v))));
    names.extend(person.phone.iter().map(|v| ("phone".to_owned(), v.clone())));
    names.extend(person.aliases.iter().map(|a| (format!("alias:{}", a.kind), a.value.clone())));
    for (kind, value) in names {
        let found: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM tombstone WHERE destination = ?1 AND key = ?2)")?
            .query_row(params![destination.0, hash(&salt, &kind, &value).0], |row| row.get(0))?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a person: hashes of every known name stay, names, consent, memberships and open actions go.
/// Returns how many open actions were refused by it.
pub fn erase(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: PersonId,
    now: Millis,
) -> Result<usize, StoreError> {
    let salt = salt(tx)?;
    let names: Vec<(String, String)> = {
        let mut statement = tx.prepare("SELECT kind, value FROM identity WHERE person = ?1")?;
        let rows = statement.query_map([person.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (kind, value) in &names {
        tx.execute(
            "INSERT INTO tombstone (destination, key, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![destination.0, hash(&salt, kind, value).0, now],
        )?;
    }
    tx.execute("DELETE FROM identity WHERE person = ?1", [person.0])?;
    tx.execute("DELETE FROM consent WHERE person = ?1", [person.0])?;
    memberships::forget(tx, person)?;
    tx.execute("UPDATE person SET desired = '{}', fields = '{}' WHERE id = ?1", [person.0])?;
    // States 0 waiting, 8 held, 9 parked, 10 failed become 7 refused; what is in flight ends by itself.
    let refused = tx.execute(
        "UPDATE action SET state = 7, code = 'person-erased', due_at = NULL WHERE person = ?1 AND state IN (0, 8, 9, 10)",
        [person.0],
    )?;
    tx.execute(
        "UPDATE action SET subject = '{}', payload = '{}' WHERE person = ?1 AND state <> 1",
        [person.0],
    )?;
    Ok(refused)
}

fn salt(tx: &Transaction<'_>) -> Result<Vec<u8>, StoreError> {
    tx.query_row("SELECT value FROM host WHERE name = ?1", [SALT], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::Unreadable("tombstone salt"))
}

fn hash(salt: &[u8], kind: &str, value: &str) -> Digest {
    Digest::of(&[salt, kind.as_bytes(), value.as_bytes()])
}
