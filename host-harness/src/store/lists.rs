//! Lists at Brevo, one row for each that an account's records name (design rule 15).

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::installations::DestinationId;
use super::{Digest, StoreError};
use crate::registry::{ExistingList, ListRef, NamedList};
use crate::world::Millis;

/// `heard_at` is not written more often than that.
const HEARD_STEP: Millis = 60_000;

/// A list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `schema-4.sql`
pub struct List {
    pub id: i64,
    pub destination: DestinationId,
    pub key: Digest,
    pub name: Option<String>,
    pub folder: Option<String>,
    pub brevo_id: Option<i64>,
    pub inert: bool,
    pub generation: i64,
    pub last_generation: i64,
    pub filling_since: Option<Millis>,
    pub holds_since: Option<Millis>,
    pub heard_at: Millis,
    pub stopped_code: Option<String>,
    pub retry_at: Option<Millis>,
    pub failures: u32,
    pub creating_at: Option<Millis>,
}

impl List {
    /// The generation in which a member counts of whom it was said at that time.
    pub fn generation_at(&self, at: Millis) -> i64 {
        match self.filling_since {
            // A chunk of an older run that comes late says nothing about the new one.
            Some(since) if at >= since => self.last_generation,
            _ => self.generation,
        }
    }

    /// As a payload names it; none where a row names nothing, which no row does.
    pub fn reference(&self) -> Option<ListRef> {
        match (&self.folder, &self.name, self.brevo_id) {
            (Some(folder), Some(name), _) => {
                Some(ListRef::Named(NamedList { name: name.clone(), folder: folder.clone() }))
            }
            (_, _, Some(id)) => Some(ListRef::Existing(ExistingList { id })),
            _ => None,
        }
    }

    /// What a dead letter about it points to.
    pub fn about(&self) -> String {
        format!("list:{}", self.title())
    }

    /// As a person names it: `folder / name`, or Brevo's number.
    pub fn title(&self) -> String {
        match (&self.folder, &self.name, self.brevo_id) {
            (Some(folder), Some(name), _) => format!("{folder} / {name}"),
            (_, _, Some(id)) => format!("number {id}"),
            _ => format!("row {}", self.id),
        }
    }
}

/// The list that a payload names; it is written down when it is named for the first time.
pub fn named(
    tx: &Transaction<'_>,
    destination: DestinationId,
    named: &ListRef,
    inert: bool,
    now: Millis,
) -> Result<List, StoreError> {
    let (key, id, name, folder) = match named {
        ListRef::Existing(list) => (Digest::of(&[b"id", &list.id.to_le_bytes()]), Some(list.id), None, None),
        ListRef::Named(list) => (
            Digest::of(&[b"name", list.folder.as_bytes(), list.name.as_bytes()]),
            None,
            Some(list.name.as_str()),
            Some(list.folder.as_str()),
        ),
    };
    let sql = format!("SELECT {COLUMNS} FROM list WHERE destination = ?1 AND key = ?2");
    let known = tx.prepare_cached(&sql)?.query_row(params![destination.0, key.0], from_row).optional()?;
    if let Some(mut list) = known {
        if list.inert != inert || now - list.heard_at >= HEARD_STEP {
            tx.prepare_cached("UPDATE list SET inert = ?2, heard_at = ?3 WHERE id = ?1")?
                .execute(params![list.id, inert, now])?;
            (list.inert, list.heard_at) = (inert, now);
        }
        return Ok(list);
    }
    // Where another row was found to be that very list, one Brevo list has two names in the
    // settings. Both would undo what the other does, so this one stops.
    let taken = id.map_or(Ok(false), |id| at_brevo(tx, destination, id, 0))?;
    tx.execute(
        "INSERT INTO list (destination, key, name, folder, brevo_id, inert, heard_at, stopped_code)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![destination.0, key.0, name, folder, id, inert, now, taken.then_some(NAMED_TWICE),],
    )?;
    get(tx, tx.last_insert_rowid())?.ok_or(StoreError::Unreadable("list"))
}

/// Stop code of a list that the settings name in two ways.
pub const NAMED_TWICE: &str = "list-named-twice";
/// Stop code of a list that is not at Brevo (any more).
pub const GONE: &str = "list-gone";

/// One list.
pub fn get(tx: &Transaction<'_>, id: i64) -> Result<Option<List>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM list WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([id], from_row).optional()?)
}

/// Every list of every account, in the order in which they were first named.
pub fn all(tx: &Transaction<'_>) -> Result<Vec<List>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM list ORDER BY destination, id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether another row than that one is that Brevo list.
pub fn at_brevo(
    tx: &Transaction<'_>,
    destination: DestinationId,
    brevo_id: i64,
    but: i64,
) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT 1 FROM list WHERE destination = ?1 AND brevo_id = ?2 AND brevo_id IS NOT NULL
               AND stopped_code IS NOT 'list-named-twice' AND id <> ?3",
        )?
        .exists(params![destination.0, brevo_id, but])?)
}

/// The list was found or made at Brevo.
pub fn found(tx: &Transaction<'_>, id: i64, brevo_id: i64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE list SET brevo_id = ?2, retry_at = NULL, failures = 0, creating_at = NULL WHERE id = ?1",
        params![id, brevo_id],
    )?;
    Ok(())
}

/// A call that creates the list or its folder is about to be sent.
pub fn creating(tx: &Transaction<'_>, id: i64, at: Millis) -> Result<(), StoreError> {
    tx.execute("UPDATE list SET creating_at = ?2 WHERE id = ?1", params![id, at])?;
    Ok(())
}

/// What the call that creates came to is known.
pub fn created(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.execute("UPDATE list SET creating_at = NULL WHERE id = ?1", [id])?;
    Ok(())
}

/// Nobody looks for the list at Brevo before that instant.
pub fn retry_at(tx: &Transaction<'_>, id: i64, at: Option<Millis>, failed: bool) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE list SET retry_at = ?2, failures = failures + ?3 WHERE id = ?1",
        params![id, at, failed],
    )?;
    Ok(())
}

/// After a start nobody is looking for any list.
pub fn nobody_looks(tx: &Transaction<'_>, destination: DestinationId) -> Result<(), StoreError> {
    tx.execute("UPDATE list SET retry_at = NULL WHERE destination = ?1", [destination.0])?;
    Ok(())
}

/// When a list of the account that nobody looks for now may be looked for again.
pub fn next_retry(
    tx: &Transaction<'_>,
    destination: DestinationId,
    now: Millis,
) -> Result<Option<Millis>, StoreError> {
    Ok(tx
        .prepare_cached("SELECT min(retry_at) FROM list WHERE destination = ?1 AND retry_at > ?2")?
        .query_row(params![destination.0, now], |row| row.get(0))?)
}

/// An operator's word: a new generation is filled beside the old one from now on.
pub fn begin_generation(tx: &Transaction<'_>, id: i64, now: Millis) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE list SET filling_since = ?2, last_generation = last_generation + 1 WHERE id = ?1",
        params![id, now],
    )?;
    Ok(())
}

/// The new generation holds from now on, or is dropped.
pub fn end_generation(tx: &Transaction<'_>, id: i64, holds: bool) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE list SET generation = CASE WHEN ?2 THEN last_generation ELSE generation END,
                holds_since = CASE WHEN ?2 THEN filling_since ELSE holds_since END,
                filling_since = NULL WHERE id = ?1",
        params![id, holds],
    )?;
    Ok(())
}

/// An operator's word: it is delivered to again. What was held for it waits again.
pub fn resume(tx: &Transaction<'_>, id: i64, now: Millis) -> Result<(), StoreError> {
    tx.execute("UPDATE list SET stopped_code = NULL, retry_at = NULL, failures = 0 WHERE id = ?1", [id])?;
    tx.execute(
        "UPDATE action SET state = 0, code = NULL, due_at = max(?2, coalesce(not_before, ?2))
         WHERE list = ?1 AND state IN (0, 1, 8, 9) AND state = 8 AND code = 'list-stopped'",
        params![id, now],
    )?;
    Ok(())
}

/// How many joins are held until an operator's word.
pub fn unconfirmed(tx: &Transaction<'_>, id: i64) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT count(*) FROM action
             WHERE list = ?1 AND state IN (0, 1, 8, 9) AND state = 8 AND code = 'baseline-unconfirmed'",
        )?
        .query_row([id], |row| row.get::<_, i64>(0))? as usize)
}

/// The word about joins that were held: they go to Brevo, or never will. Returns how many.
pub fn settle_unconfirmed(
    tx: &Transaction<'_>,
    id: i64,
    deliver: bool,
    now: Millis,
) -> Result<usize, StoreError> {
    Ok(tx.execute(
        "UPDATE action SET
                state = CASE WHEN ?2 THEN 0 ELSE 7 END,
                code = CASE WHEN ?2 THEN NULL ELSE 'baseline-declined' END,
                due_at = CASE WHEN ?2 THEN max(?3, coalesce(not_before, ?3)) END
         WHERE list = ?1 AND state IN (0, 1, 8, 9) AND state = 8 AND code = 'baseline-unconfirmed'",
        params![id, deliver, now],
    )?)
}

/// Nothing is delivered to the list until an operator's word. Its open actions are held, so that
/// nobody's lane stands still for it. A list that is gone has no members any more.
pub fn stop(tx: &Transaction<'_>, id: i64, code: &str) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE list SET stopped_code = ?2, retry_at = NULL, failures = 0,
                brevo_id = CASE WHEN ?2 = 'list-gone' AND name IS NOT NULL THEN NULL ELSE brevo_id END
         WHERE id = ?1",
        params![id, code],
    )?;
    if code == GONE {
        tx.execute("UPDATE membership SET delivered = NULL WHERE list = ?1", [id])?;
    }
    tx.execute(
        "UPDATE action SET state = 8, code = 'list-stopped', due_at = not_after + 1
         WHERE list = ?1 AND state IN (0, 1, 8, 9) AND state = 0",
        [id],
    )?;
    Ok(())
}

const COLUMNS: &str = "id, destination, key, name, folder, brevo_id, inert, generation, last_generation, \
                       filling_since, heard_at, stopped_code, retry_at, failures, creating_at, holds_since";

fn from_row(row: &Row<'_>) -> rusqlite::Result<List> {
    Ok(List {
        id: row.get(0)?,
        destination: DestinationId(row.get(1)?),
        key: Digest(row.get(2)?),
        name: row.get(3)?,
        folder: row.get(4)?,
        brevo_id: row.get(5)?,
        inert: row.get(6)?,
        generation: row.get(7)?,
        last_generation: row.get(8)?,
        filling_since: row.get(9)?,
        heard_at: row.get(10)?,
        stopped_code: row.get(11)?,
        retry_at: row.get(12)?,
        failures: row.get(13)?,
        creating_at: row.get(14)?,
        holds_since: row.get(15)?,
    })
}
