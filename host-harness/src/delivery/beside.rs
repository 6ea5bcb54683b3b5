//! Calls that a command makes beside a host, with the key of the same account: counted in the same
//! windows. A command writes what it counts beside the host's windows, and every call of the host
//! takes that over and is written down before it is made, so that neither counts without the other.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::brevo::windows::{Family, Windows};
use crate::config::{Destination, Plan};
use crate::store::installations::{self, DestinationId};
use crate::store::{Store, StoreError};
use crate::world::Millis;

/// The windows of an account, for a command. Several commands may have them, and a host.
pub struct Beside {
    store: Store,
    destination: DestinationId,
    plan: Plan,
}

impl Beside {
    /// Of an account, in the store of a host that may be running. None where no host of this release
    /// has kept windows of it yet.
    ///
    /// # Errors
    /// Where the store fails; nothing may be asked of the account then.
    pub fn of(store: &Path, account: &Destination) -> Result<Option<Self>, StoreError> {
        let Some(store) = Store::attach_if_current(store)? else { return Ok(None) };
        let known = store.read(|tx| installations::known_destination(tx, &account.account))?;
        Ok(known.map(|destination| Self::new(store, destination, account.plan)))
    }

    pub(super) fn new(store: Store, destination: DestinationId, plan: Plan) -> Self {
        Self { store, destination, plan }
    }

    /// As [`count`].
    ///
    /// # Errors
    /// Where the store fails; the call may not be made then.
    pub fn count(&self, family: Family, now: Millis) -> Result<Option<Millis>, StoreError> {
        self.store.write_unsynced(|tx| count(tx, self.destination, self.plan, family, now))
    }

    /// Brevo said that calls of this family have to wait, whoever makes them.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn close(&self, family: Family, until: Millis, code: &str) -> Result<(), StoreError> {
        self.store.write_unsynced(|tx| {
            let mut beside = beside(tx, self.destination)?;
            for counted in family.counted_in() {
                let limits = counted.limits(self.plan);
                let windows = beside.entry(counted).or_insert_with(|| Windows::new(&limits));
                windows.close(until, code);
                save(tx, &format!("{}{}", prefix(self.destination), counted.as_str()), windows)?;
            }
            Ok(())
        })
    }
}

/// Counts one call of a command. Where the windows have no room beside what is kept free for live
/// work, nothing is counted, and it says when they will have.
///
/// # Errors
/// Where the store fails; the call may not be made then.
pub fn count(
    tx: &Transaction<'_>,
    destination: DestinationId,
    plan: Plan,
    family: Family,
    now: Millis,
) -> Result<Option<Millis>, StoreError> {
    let beside = beside(tx, destination)?;
    let mut full = None;
    for counted in family.counted_in() {
        let mut windows = Windows::new(&counted.limits(plan));
        if let Some(stored) = stored(tx, &bucket(destination, counted))? {
            windows.resume(stored);
        }
        if let Some(more) = beside.get(&counted) {
            windows.absorb(more);
        }
        full = full.max(windows.opens_for_bulk_at(now));
    }
    if full.is_some() {
        return Ok(full);
    }
    for counted in family.counted_in() {
        let mut windows = Windows::new(&counted.limits(plan));
        if let Some(known) = beside.get(&counted) {
            windows.absorb(known);
        }
        windows.count(now);
        save(tx, &format!("{}{}", prefix(destination), counted.as_str()), &windows)?;
    }
    Ok(None)
}

/// What commands counted since the host last looked.
pub(super) fn beside(
    tx: &Transaction<'_>,
    destination: DestinationId,
) -> Result<BTreeMap<Family, Windows>, StoreError> {
    let prefix = prefix(destination);
    let mut statement =
        tx.prepare_cached("SELECT bucket, state FROM rate WHERE bucket > ?1 AND bucket < ?1 || '~'")?;
    let rows =
        statement.query_map([&prefix], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut beside = BTreeMap::new();
    for row in rows {
        let (bucket, state) = row?;
        let of = |family: &Family| bucket.strip_prefix(&prefix) == Some(family.as_str());
        let family = Family::ALL.into_iter().find(of).ok_or(StoreError::Unreadable("rate"))?;
        beside.insert(family, read(&state)?);
    }
    Ok(beside)
}

/// The same, handed over: what the transaction gives is not given again.
pub(super) fn take(
    tx: &Transaction<'_>,
    destination: DestinationId,
) -> Result<BTreeMap<Family, Windows>, StoreError> {
    let beside = beside(tx, destination)?;
    if !beside.is_empty() {
        tx.prepare_cached("DELETE FROM rate WHERE bucket > ?1 AND bucket < ?1 || '~'")?
            .execute([prefix(destination)])?;
    }
    Ok(beside)
}

/// Counts it in the windows of the account.
pub(super) fn absorb(rates: &mut BTreeMap<Family, Windows>, beside: &BTreeMap<Family, Windows>) {
    for (family, more) in beside {
        if let Some(windows) = rates.get_mut(family) {
            windows.absorb(more);
        }
    }
}

/// Windows as the host has them; none before its first call.
pub(crate) fn stored(tx: &Transaction<'_>, bucket: &str) -> Result<Option<Windows>, StoreError> {
    let state: Option<String> = tx
        .prepare_cached("SELECT state FROM rate WHERE bucket = ?1")?
        .query_row([bucket], |row| row.get(0))
        .optional()?;
    state.as_deref().map(read).transpose()
}

/// Stores windows where they changed.
pub(super) fn save(tx: &Transaction<'_>, bucket: &str, windows: &Windows) -> Result<(), StoreError> {
    let state = serde_json::to_string(windows).map_err(|_| StoreError::Unreadable("rate"))?;
    tx.prepare_cached(
        "INSERT INTO rate (bucket, state) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET state = ?2 WHERE state <> ?2",
    )?
    .execute(params![bucket, state])?;
    Ok(())
}

/// Where the host stores the windows of a family.
pub(crate) fn bucket(destination: DestinationId, family: Family) -> String {
    format!("brevo:{}:{}", destination.0, family.as_str())
}

fn prefix(destination: DestinationId) -> String {
    format!("beside:{}:", destination.0)
}

fn read(state: &str) -> Result<Windows, StoreError> {
    serde_json::from_str(state).map_err(|_| StoreError::Unreadable("rate"))
}
