//! Calls that a command makes beside a host, with the key of the same account: counted in the same
//! windows. The host keeps its windows in memory, so a command writes what it counted beside them,
//! and the host takes that over before its next call.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::brevo::windows::{Family, Windows};
use crate::config::Plan;
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::world::Millis;

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

/// Windows as the host stored them last; none before its first call.
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
