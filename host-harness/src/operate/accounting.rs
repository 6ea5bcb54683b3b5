//! The sums of design rule 13: everything that was read, and every action, has exactly one fate.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use serde::Serialize;

use crate::store::StoreError;
use crate::store::installations::InstallationId;
use crate::store::outbox::State;
use crate::store::tallies::{self, Fate};
use crate::world::Millis;

/// The sums of one installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Records and rejects that came out of units.
    pub read: i64,
    /// What became of them, by fate; `pending` are requeued ones that wait for their turn.
    pub fates: BTreeMap<String, i64>,
    /// Why records were skipped.
    pub skipped: BTreeMap<String, i64>,
    /// What connectors noted.
    pub notes: BTreeMap<String, i64>,
    /// Actions ever admitted and still kept.
    pub actions: i64,
    /// Where they stand.
    pub states: BTreeMap<String, i64>,
    /// Webhooks that were acknowledged and not yet worked on.
    pub queued: i64,
    /// Arrival of the oldest of them.
    pub queued_since: Option<Millis>,
    /// Webhooks that were put aside, raw.
    pub put_aside: i64,
    /// Open dead letters by code.
    pub dead_letters: BTreeMap<String, i64>,
}

impl Sums {
    /// Counts everything in one snapshot.
    pub fn of(tx: &Transaction<'_>, installation: InstallationId) -> Result<Self, StoreError> {
        let tally = tallies::all(tx, installation)?;
        let pending: i64 = tx.query_row(
            "SELECT count(*) FROM dead_letter WHERE installation = ?1 AND state = 'requeued' AND stage = 'map'",
            [installation.0],
            |row| row.get(0),
        )?;
        let mut fates: BTreeMap<String, i64> = Fate::ALL
            .iter()
            .map(|fate| (fate.as_str().to_owned(), tally.get(fate.as_str()).copied().unwrap_or(0)))
            .collect();
        // A requeued record is still counted as quarantined until it was mapped.
        *fates.entry(Fate::Quarantined.as_str().to_owned()).or_default() -= pending;
        fates.insert("pending".into(), pending);
        let by_prefix = |prefix: &str| {
            tally
                .iter()
                .filter_map(|(name, count)| Some((name.strip_prefix(prefix)?.to_owned(), *count)))
                .collect()
        };
        let mut states: BTreeMap<String, i64> =
            State::ALL.iter().map(|state| (state.as_str().to_owned(), 0)).collect();
        for (number, count) in counts::<i64>(
            tx,
            "SELECT state, count(*) FROM action WHERE installation = ?1 GROUP BY 1",
            installation,
        )? {
            let state = State::from_number(number).ok_or(StoreError::Unreadable("action.state"))?;
            states.insert(state.as_str().to_owned(), count);
        }
        let (queued, queued_since) = tx.query_row(
            "SELECT count(*), min(received_at) FROM journal WHERE installation = ?1 AND state = 0",
            [installation.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let single = |sql: &str| tx.query_row(sql, [installation.0], |row| row.get::<_, i64>(0));
        Ok(Self {
            read: tally.get("read").copied().unwrap_or(0),
            fates,
            skipped: by_prefix("skipped:"),
            notes: by_prefix("note:"),
            actions: single("SELECT count(*) FROM action WHERE installation = ?1")?,
            states,
            queued,
            queued_since,
            put_aside: single("SELECT count(*) FROM journal WHERE installation = ?1 AND state = 2")?,
            dead_letters: counts(
                tx,
                "SELECT code, count(*) FROM dead_letter WHERE installation = ?1 AND state = 'open' GROUP BY 1",
                installation,
            )?,
        })
    }

    /// True where both sums add up.
    pub fn agree(&self) -> bool {
        self.read == self.fates.values().sum::<i64>() && self.actions == self.states.values().sum::<i64>()
    }

    /// True where nothing will happen any more without something new or an operator.
    pub fn at_rest(&self) -> bool {
        let open = |state: State| self.states.get(state.as_str()).copied().unwrap_or(0) > 0;
        self.queued == 0
            && self.fates.get("pending") == Some(&0)
            && !open(State::Waiting)
            && !open(State::InFlight)
    }
}

/// How many parked actions of an installation will be read back by themselves.
pub fn reconciling(tx: &Transaction<'_>, installation: InstallationId) -> Result<i64, StoreError> {
    Ok(tx.query_row(
        "SELECT count(*) FROM action WHERE installation = ?1 AND state = 9 AND due_at IS NOT NULL",
        [installation.0],
        |row| row.get(0),
    )?)
}

fn counts<K: rusqlite::types::FromSql + Ord>(
    tx: &Transaction<'_>,
    sql: &str,
    installation: InstallationId,
) -> Result<BTreeMap<K, i64>, StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([installation.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
