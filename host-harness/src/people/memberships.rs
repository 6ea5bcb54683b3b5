//! Who is to be in which list, folded when a unit is committed: of several words about one list and
//! person the newest holds, in whatever order they arrive.
//!
//! A later trusted time wins, then the higher rank; what is still a tie is won by the word that
//! restricts, which here is *leave*, then by the observation's digest (design rule 6).
//!
//! What happens to a membership when people turn out to be one, or share a name:
//!
//! | case | outcome |
//! |---|---|
//! | somebody becomes part of another person | their memberships do too; for a list that both have, the newest word holds |
//! | an alias moves from one person to another, and both stay | memberships stay with whom they were delivered for; the next word under the alias is about its new owner, and a full run finds who is absent |
//! | a word names only an address that several people have | quarantined: it can't be said whose membership it is |
//! | a person is deleted | nothing that was said before makes them a member of anything; a newer word does |
//! | a person is erased | their memberships go; later words about them are refused |

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::identity::PersonId;
use crate::store::lists::List;
use crate::store::{Digest, StoreError};
use crate::world::Millis;

/// One word about a list and a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Member, or not.
    pub member: bool,
    /// Trusted time.
    pub at: Millis,
    /// Rank of the observation.
    pub rank: u8,
    /// Digest of the observation id.
    pub observation: Digest,
    /// Row of the installation that says so.
    pub installation: i64,
    /// It is part of a first or full run, which tells how things are and not that they changed.
    pub baseline: bool,
}

/// What a word came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Newer things are known.
    Lost,
    /// It held already.
    Same,
    /// It is news, and Brevo has to be told.
    News,
}

/// A stored membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `schema-4.sql`
pub struct Membership {
    pub person: PersonId,
    pub wanted: bool,
    pub at: Millis,
    pub rank: u8,
    pub observation: Digest,
    pub generation: i64,
    pub delivered: Option<bool>,
    pub installation: i64,
}

impl Membership {
    /// Place of the newest word in history.
    fn order(&self) -> (Millis, u8, bool, Digest) {
        (self.at, self.rank, !self.wanted, self.observation)
    }
}

impl Word {
    fn order(&self) -> (Millis, u8, bool, Digest) {
        (self.at, self.rank, !self.member, self.observation)
    }
}

/// Folds one word into what is known.
pub fn say(tx: &Transaction<'_>, list: &List, person: PersonId, word: &Word) -> Result<Outcome, StoreError> {
    // Whoever was a member when the full run that holds began was named by it.
    if word.member && list.holds_since.is_some_and(|since| word.at < since) {
        return Ok(Outcome::Lost);
    }
    let generation = if word.member { list.generation_at(word.at) } else { 0 };
    let Some(known) = get(tx, list.id, person)? else {
        let first = Membership {
            person,
            wanted: word.member,
            at: word.at,
            rank: word.rank,
            observation: word.observation,
            generation,
            delivered: None,
            installation: word.installation,
        };
        put(tx, list.id, &first)?;
        return Ok(Outcome::News);
    };
    if word.order() < known.order() {
        return Ok(Outcome::Lost);
    }
    put(
        tx,
        list.id,
        &Membership {
            wanted: word.member,
            at: word.at,
            rank: word.rank,
            observation: word.observation,
            generation: known.generation.max(generation),
            installation: word.installation,
            ..known
        },
    )?;
    if known.wanted != word.member {
        return Ok(Outcome::News);
    }
    // A run that tells how things are also tells of those whose join was declined or came to nothing.
    let missing =
        word.member && word.baseline && known.delivered != Some(true) && !is_under_way(tx, list.id, person)?;
    Ok(if missing { Outcome::News } else { Outcome::Same })
}

/// Whether a join or leave of the person is still open.
fn is_under_way(tx: &Transaction<'_>, list: i64, person: PersonId) -> Result<bool, StoreError> {
    let open = tx
        .prepare_cached(
            "SELECT 1 FROM action WHERE list = ?1 AND person = ?2 AND state IN (0, 1, 8, 9) LIMIT 1",
        )?
        .exists(params![list, person.0])?;
    Ok(open)
}

/// One membership.
pub fn get(tx: &Transaction<'_>, list: i64, person: PersonId) -> Result<Option<Membership>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM membership WHERE list = ?1 AND person = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row(params![list, person.0], from_row).optional()?)
}

/// Members of whom no word of the newest generation spoke, in a fixed order.
pub fn absent(tx: &Transaction<'_>, list: &List) -> Result<Vec<Membership>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM membership WHERE list = ?1 AND wanted = 1 AND generation < ?2 ORDER BY person"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![list.id, list.last_generation], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Members whom Brevo does not have as far as is known, and for whom nothing is under way.
pub fn undelivered(tx: &Transaction<'_>, list: i64) -> Result<Vec<Membership>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM membership WHERE list = ?1 AND wanted = 1 AND coalesce(delivered, 0) = 0
           AND NOT EXISTS (SELECT 1 FROM action WHERE action.list = ?1 AND action.person = membership.person
                             AND action.state IN (0, 1, 8, 9))
         ORDER BY person"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([list], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A full run that was confirmed since `as_of` did not speak of them.
pub fn leave_absent(
    tx: &Transaction<'_>,
    list: i64,
    person: PersonId,
    as_of: Millis,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE membership SET wanted = 0, at = max(at, ?3), rank = 255 WHERE list = ?1 AND person = ?2",
    )?
    .execute(params![list, person.0, as_of])?;
    Ok(())
}

/// What is proven about the person at Brevo: in the list, not in it, or nothing.
pub(crate) fn set_delivered(
    tx: &Transaction<'_>,
    list: i64,
    person: PersonId,
    delivered: Option<bool>,
) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE membership SET delivered = ?3 WHERE list = ?1 AND person = ?2")?
        .execute(params![list, person.0, delivered])?;
    Ok(())
}

/// The contact is gone or is another one: what was delivered for the person says nothing any more.
pub(crate) fn forget_delivered(tx: &Transaction<'_>, person: PersonId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE membership SET delivered = NULL WHERE person = ?1")?.execute([person.0])?;
    Ok(())
}

/// `from` becomes part of `into`, with their contact where `into` has none: what was proven about it
/// goes with it.
pub fn absorb(
    tx: &Transaction<'_>,
    into: PersonId,
    from: PersonId,
    with_contact: bool,
) -> Result<(), StoreError> {
    let theirs: Vec<(i64, Membership)> = tx
        .prepare_cached(&format!("SELECT {COLUMNS}, list FROM membership WHERE person = ?1"))?
        .query_map([from.0], |row| Ok((row.get(8)?, from_row(row)?)))?
        .collect::<Result<_, _>>()?;
    for (list, theirs) in theirs {
        let joined = match get(tx, list, into)? {
            None => {
                Membership { person: into, delivered: theirs.delivered.filter(|_| with_contact), ..theirs }
            }
            Some(ours) => {
                let delivered = if with_contact { theirs.delivered } else { ours.delivered };
                let newest = if theirs.order() > ours.order() { theirs } else { ours };
                Membership {
                    person: into,
                    generation: ours.generation.max(theirs.generation),
                    delivered,
                    ..newest
                }
            }
        };
        put(tx, list, &joined)?;
    }
    forget(tx, from)
}

/// The person was deleted: they are a member of nothing that was said up to then. A newer word counts.
pub fn leave_all(tx: &Transaction<'_>, person: PersonId, at: Millis) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE membership SET wanted = 0, at = ?2, rank = 255 WHERE person = ?1 AND at <= ?2",
    )?
    .execute(params![person.0, at])?;
    Ok(())
}

/// Brevo's numbers of the lists that the person is to be in.
pub fn wanted_at_brevo(tx: &Transaction<'_>, person: PersonId) -> Result<Vec<i64>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT list.brevo_id FROM membership JOIN list ON list.id = membership.list
         WHERE membership.person = ?1 AND membership.wanted = 1 AND list.brevo_id IS NOT NULL",
    )?;
    let rows = statement.query_map([person.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// It is proven that the person is in none of the lists that they are not to be in.
pub(crate) fn set_all_left(tx: &Transaction<'_>, person: PersonId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE membership SET delivered = 0 WHERE person = ?1 AND wanted = 0")?
        .execute([person.0])?;
    Ok(())
}

/// Forgets a person.
pub fn forget(tx: &Transaction<'_>, person: PersonId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM membership WHERE person = ?1")?.execute([person.0])?;
    Ok(())
}

fn put(tx: &Transaction<'_>, list: i64, one: &Membership) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO membership (list, person, wanted, at, rank, observation, generation, delivered, installation)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (list, person) DO UPDATE SET wanted = ?3, at = ?4, rank = ?5, observation = ?6,
             generation = ?7, delivered = ?8, installation = ?9",
    )?
    .execute(params![
        list,
        one.person.0,
        one.wanted,
        one.at,
        one.rank,
        one.observation.0,
        one.generation,
        one.delivered,
        one.installation,
    ])?;
    Ok(())
}

const COLUMNS: &str = "person, wanted, at, rank, observation, generation, delivered, installation";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Membership> {
    Ok(Membership {
        person: PersonId(row.get(0)?),
        wanted: row.get(1)?,
        at: row.get(2)?,
        rank: row.get(3)?,
        observation: Digest(row.get(4)?),
        generation: row.get(5)?,
        delivered: row.get(6)?,
        installation: row.get(7)?,
    })
}
