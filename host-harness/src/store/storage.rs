//! Plugin storage: snapshot reads, and writes that are validated at commit.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::installations::InstallationId;
use super::{StoreError, usage};
use crate::contract::storage::Entry;
use crate::quotas::Quotas;
use crate::unit::StorageDelta;

/// A key's value and version.
pub fn get(
    tx: &Transaction<'_>,
    installation: InstallationId,
    key: &str,
) -> Result<Option<Entry>, StoreError> {
    let entry = tx
        .prepare_cached("SELECT value, version FROM kv WHERE installation = ?1 AND key = ?2")?
        .query_row(params![installation.0, key], |row| {
            Ok(Entry { value: row.get(0)?, version: row.get::<_, i64>(1)? as u64 })
        })
        .optional()?;
    Ok(entry)
}

/// Keys with a prefix, in byte order, after a key.
pub fn list(
    tx: &Transaction<'_>,
    installation: InstallationId,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT key FROM kv WHERE installation = ?1 AND key >= ?2 AND key > ?3 ORDER BY key LIMIT ?4",
    )?;
    let keys = statement
        .query_map(params![installation.0, prefix, after.unwrap_or(""), limit as i64], |row| row.get(0))?;
    // Not compared by SQL, whose texts end at a NUL.
    let of_prefix = |key: &Result<String, _>| key.as_ref().map_or(true, |key| key.starts_with(prefix));
    Ok(keys.take_while(of_prefix).collect::<Result<_, _>>()?)
}

/// Commits what a unit wrote, if what it read is still so and the quotas hold.
pub fn apply(
    tx: &Transaction<'_>,
    installation: InstallationId,
    delta: &StorageDelta,
    quotas: &Quotas,
) -> Result<(), StoreError> {
    for (key, seen) in &delta.reads {
        if get(tx, installation, key)?.map(|entry| entry.version) != *seen {
            return Err(StoreError::Conflict);
        }
    }
    if delta.writes.is_empty() {
        return Ok(());
    }
    let keys = usage::of(tx, installation)?.keys;
    let mut kept = size(tx, installation)?;
    for (key, value) in &delta.writes {
        kept -= tx
            .prepare_cached(
                "SELECT length(CAST(key AS BLOB)) + length(value) FROM kv WHERE installation = ?1 AND key = ?2",
            )?
            .query_row(params![installation.0, key], |row| row.get::<_, i64>(0))
            .optional()?
            .unwrap_or(0);
        match value {
            Some(value) => {
                kept += (key.len() + value.len()) as i64;
                tx.prepare_cached(
                    "INSERT INTO kv (installation, key, value, version) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (installation, key) DO UPDATE SET value = ?3, version = ?4",
                )?
                .execute(params![
                    installation.0,
                    key,
                    value,
                    next_version(tx, installation)?
                ])?
            }
            None => tx
                .prepare_cached("DELETE FROM kv WHERE installation = ?1 AND key = ?2")?
                .execute(params![installation.0, key])?,
        };
    }
    tx.prepare_cached(
        "INSERT INTO kv_size (installation, bytes) VALUES (?1, ?2)
         ON CONFLICT (installation) DO UPDATE SET bytes = ?2",
    )?
    .execute(params![installation.0, kept])?;
    let more_keys = usage::of(tx, installation)?.keys;
    let full =
        kept.unsigned_abs() > quotas.storage_bytes || (more_keys > quotas.storage_keys && more_keys > keys);
    if full { Err(StoreError::StorageQuota) } else { Ok(()) }
}

/// Bytes that the installation may still add; none where it has as many keys as it may.
pub fn room(tx: &Transaction<'_>, installation: InstallationId) -> Result<u64, StoreError> {
    let Quotas { storage_bytes, storage_keys, .. } = Quotas::DEFAULT;
    if usage::of(tx, installation)?.keys >= storage_keys {
        return Ok(0);
    }
    Ok(storage_bytes.saturating_sub(size(tx, installation)?.max(0).unsigned_abs()))
}

fn size(tx: &Transaction<'_>, installation: InstallationId) -> Result<i64, StoreError> {
    let bytes = tx
        .prepare_cached("SELECT bytes FROM kv_size WHERE installation = ?1")?
        .query_row([installation.0], |row| row.get(0))
        .optional()?;
    Ok(bytes.unwrap_or(0))
}

/// Versions rise over everything of an installation, so that a key deleted and made again never has an
/// old one; and not over the whole file, or each would see how much the others write. Older hosts
/// counted over the whole file (`kv-version`).
fn next_version(tx: &Transaction<'_>, installation: InstallationId) -> Result<i64, StoreError> {
    Ok(tx
        .prepare_cached(
            "INSERT INTO host (name, value)
             VALUES (?1, coalesce((SELECT value FROM host WHERE name = 'kv-version'), 0) + 1)
             ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
        )?
        .query_row([format!("kv-version:{}", installation.0)], |row| row.get(0))?)
}
