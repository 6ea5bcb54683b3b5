//! What waits for a Brevo account, by class of work, and what it waits for.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use serde::Serialize;

use crate::brevo::windows::{Family, Windows};
use crate::delivery::{beside, ways};
use crate::registry::names;
use crate::store::installations::DestinationId;
use crate::store::outbox::{Class, OUTCOME_UNPROVEN};
use crate::store::{StoreError, imports};
use crate::world::Millis;

/// An import of many contacts in one call that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportStatus {
    /// `sending`, `at-work` (Brevo is) or `reading` (what came of it).
    pub phase: &'static str,
    /// Contacts in it.
    pub contacts: usize,
    /// When it was begun.
    pub begun_at: Millis,
    /// Brevo's number for its work, where it is known.
    pub process: Option<i64>,
    /// When it goes on.
    pub next_at: Millis,
}

/// Waiting actions of one class that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// `urgent`, `live`, `bulk` or `bulk-single`.
    pub class: &'static str,
    /// `turn`: nothing but its turn, or what is before it in its lane. `not-due`: debounced. `import`:
    /// others that it can ride with, or an import that is under way. `rate-window` or the code of the
    /// answer that closed the window. `list`: its list, which is looked for. Otherwise the code of its
    /// last try.
    pub waits_for: String,
    /// How many.
    pub actions: i64,
    /// When the first of them may go on, where that is known.
    pub until: Option<Millis>,
}

/// The account's import, if one is under way.
pub fn import(tx: &Transaction<'_>, destination: DestinationId) -> Result<Option<ImportStatus>, StoreError> {
    let open = imports::open(tx, destination)?;
    Ok(open.map(|import| ImportStatus {
        phase: match import.phase {
            imports::Phase::Sending => "sending",
            imports::Phase::AtWork => "at-work",
            imports::Phase::Reading | imports::Phase::Over => "reading",
        },
        contacts: import.rows,
        begun_at: import.begun_at,
        process: import.process,
        next_at: import.next_at,
    }))
}

/// Mails, texts and campaigns that may have been sent and of which nothing proves it: an operator's.
pub fn unproven_sends(tx: &Transaction<'_>, destination: DestinationId) -> Result<i64, StoreError> {
    let sends = [names::SEND_EMAIL, names::SEND_SMS, names::TRIGGER_CAMPAIGN];
    Ok(tx
        .prepare_cached(
            "SELECT count(*) FROM action WHERE destination = ?1 AND state IN (0, 1, 8, 9) AND state = 9
               AND code = ?2 AND name IN (?3, ?4, ?5)",
        )?
        .query_row(params![destination.0, OUTCOME_UNPROVEN, sends[0], sends[1], sends[2]], |row| {
            row.get(0)
        })?)
}

/// Everything that waits, by class and by what it waits for.
pub fn waiting(
    tx: &Transaction<'_>,
    destination: DestinationId,
    now: Millis,
) -> Result<Vec<Waiting>, StoreError> {
    let windows = windows(tx, destination)?;
    let imports = imports::open(tx, destination)?.is_some();
    let mut statement = tx.prepare_cached(
        "SELECT a.class, a.name,
                CASE WHEN a.not_before > ?2 THEN 'not-due'
                     WHEN l.retry_at > ?2 THEN 'list'
                     WHEN a.due_at > ?2 THEN coalesce(a.code, 'not-due')
                     ELSE 'turn' END,
                count(*),
                min(CASE WHEN a.due_at > ?2 THEN a.due_at WHEN l.retry_at > ?2 THEN l.retry_at END)
         FROM action a LEFT JOIN list l ON l.id = a.list
         WHERE a.destination = ?1 AND a.state IN (0, 1, 8, 9) AND a.state = 0 GROUP BY 1, 2, 3",
    )?;
    let mut rows = statement.query(params![destination.0, now])?;
    let mut found: BTreeMap<(Class, String), (i64, Option<Millis>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (class, name, why): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let class = Class::ALL
            .into_iter()
            .find(|known| *known as i64 == class)
            .ok_or(StoreError::Unreadable("action.class"))?;
        let (actions, until): (i64, Option<Millis>) = (row.get(3)?, row.get(4)?);
        let closed = if why == "turn" { closed(&windows, &name, class, now) } else { None };
        let (why, until) = match closed {
            Some((code, until)) => (code, Some(until)),
            None if why == "turn" && class == Class::Bulk && imports => ("import".to_owned(), until),
            None => (why, until),
        };
        let sum = found.entry((class, why)).or_insert((0, until));
        sum.0 += actions;
        sum.1 = match (sum.1, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    let row = |((class, waits_for), (actions, until)): ((Class, String), _)| Waiting {
        class: class.as_str(),
        waits_for,
        actions,
        until,
    };
    Ok(found.into_iter().map(row).collect())
}

/// The account's windows as the host stored them.
fn windows(
    tx: &Transaction<'_>,
    destination: DestinationId,
) -> Result<BTreeMap<Family, Windows>, StoreError> {
    let mut windows = BTreeMap::new();
    for family in Family::ALL {
        if let Some(stored) = beside::stored(tx, &beside::bucket(destination, family))? {
            windows.insert(family, stored);
        }
    }
    Ok(windows)
}

/// Why no call that the action needs can be made now, and until when.
fn closed(
    windows: &BTreeMap<Family, Windows>,
    name: &str,
    class: Class,
    now: Millis,
) -> Option<(String, Millis)> {
    let shut = ways(name).iter().map(|way| {
        let counted = way.iter().flat_map(|family| family.counted_in());
        let shut = counted.filter_map(|counted| {
            let windows = windows.get(&counted)?;
            let opens = if class.is_bulk() { windows.opens_for_bulk_at(now) } else { windows.opens_at(now) }?;
            let code = windows.closed(now).map_or("rate-window", |closed| closed.code.as_str());
            Some((code.to_owned(), opens))
        });
        shut.max_by_key(|(_, opens)| *opens)
    });
    // One way that is open is enough.
    shut.collect::<Option<Vec<_>>>()?.into_iter().min_by_key(|(_, opens)| *opens)
}
