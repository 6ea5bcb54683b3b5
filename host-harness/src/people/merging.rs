//! Two people that turn out to be one: a person without external id becomes part of another one.
//!
//! | case | outcome |
//! |---|---|
//! | neither was ever at Brevo, or only the other one was | names, consent, fields, memberships and actions go over |
//! | only the one that ends was | the same, and their contact goes over with its number and what was delivered to it |
//! | both were | nobody can make one contact of two: each keeps theirs, and what is known of each |
//! | a call of either is under way that may make a contact, or write down what it learned of one | open actions go over at once, and wait behind it in one lane; the rest follows when it has ended |

use rusqlite::{Transaction, params};

use super::consent::Consents;
use super::fields::Wanted;
use super::identity::PersonId;
use super::{deletions, memberships};
use crate::store::{StoreError, outbox};
use crate::world::Millis;

/// Makes `from`, who has no external id, part of `into`. False where both stay.
pub(super) fn merge(
    tx: &Transaction<'_>,
    consents: &mut Consents,
    wanted: &mut Wanted,
    into: PersonId,
    from: PersonId,
    now: Millis,
) -> Result<bool, StoreError> {
    let comes_with_contact = was_at_brevo(tx, from)?;
    if comes_with_contact && was_at_brevo(tx, into)? {
        return Ok(false);
    }
    let under_way = in_flight(tx, from)? || comes_with_contact && in_flight(tx, into)?;
    tx.execute("UPDATE action SET person = ?1 WHERE person = ?2", params![into.0, from.0])?;
    tx.execute("UPDATE merging SET into_person = ?1 WHERE into_person = ?2", params![into.0, from.0])?;
    if under_way {
        tx.execute(
            "INSERT INTO merging (person, into_person) VALUES (?2, ?1) ON CONFLICT DO UPDATE SET into_person = ?1",
            params![into.0, from.0],
        )?;
        return Ok(true);
    }
    tx.execute("DELETE FROM merging WHERE person = ?1", [from.0])?;
    tx.execute("UPDATE OR IGNORE identity SET person = ?1 WHERE person = ?2", params![into.0, from.0])?;
    tx.execute("DELETE FROM identity WHERE person = ?1", [from.0])?;
    consents.absorb(tx, into.0, from.0, comes_with_contact, now)?;
    wanted.absorb(tx, into, from)?;
    memberships::absorb(tx, into, from, comes_with_contact)?;
    deletions::absorb(tx, into, from)?;
    if comes_with_contact {
        tx.execute(
            "UPDATE person SET (brevo_id, presence, looked_at, fields, refused) =
                    (SELECT brevo_id, presence, looked_at, fields, json_patch(person.refused, other.refused)
                     FROM person AS other WHERE other.id = ?2)
             WHERE id = ?1",
            params![into.0, from.0],
        )?;
        tx.execute(
            "UPDATE person SET brevo_id = NULL, presence = 0, looked_at = NULL, fields = '{}', refused = '{}'
             WHERE id = ?1",
            [from.0],
        )?;
    }
    outbox::release_held(tx, into.0, now)?;
    Ok(true)
}

/// Calls have ended: whoever waited for them becomes part of the other person now. Where a contact was
/// made for both meanwhile, both stay.
pub fn settle(tx: &Transaction<'_>, now: Millis) -> Result<(), StoreError> {
    if !tx.prepare_cached("SELECT 1 FROM merging LIMIT 1")?.exists([])? {
        return Ok(());
    }
    let waiting: Vec<(PersonId, PersonId)> = tx
        .prepare_cached("SELECT person, into_person FROM merging ORDER BY person")?
        .query_map([], |row| Ok((PersonId(row.get(0)?), PersonId(row.get(1)?))))?
        .collect::<Result<_, _>>()?;
    for (from, into) in waiting {
        if in_flight(tx, into)? || in_flight(tx, from)? {
            continue;
        }
        let (mut consents, mut wanted) = (Consents::default(), Wanted::default());
        if !merge(tx, &mut consents, &mut wanted, into, from, now)? {
            tx.execute("DELETE FROM merging WHERE person = ?1", [from.0])?;
            outbox::release_held(tx, into.0, now)?;
        }
        consents.flush(tx)?;
        wanted.flush(tx)?;
    }
    Ok(())
}

/// Whether the person is about to become part of another one.
pub(super) fn is_under_way(tx: &Transaction<'_>, person: PersonId) -> Result<bool, StoreError> {
    Ok(tx.prepare_cached("SELECT 1 FROM merging WHERE person = ?1")?.exists([person.0])?)
}

/// Whether a call is under way that may make a contact for the person.
pub(super) fn makes_contact(tx: &Transaction<'_>, person: PersonId) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM action WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state = 1
               AND name = 'brevo/upsert-contact'",
        )?
        .exists([person.0])?)
}

fn was_at_brevo(tx: &Transaction<'_>, person: PersonId) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("SELECT presence NOT IN (0, 2) OR brevo_id IS NOT NULL FROM person WHERE id = ?1")?
        .query_row([person.0], |row| row.get(0))?)
}

fn in_flight(tx: &Transaction<'_>, person: PersonId) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("SELECT 1 FROM action WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state = 1")?
        .exists([person.0])?)
}
