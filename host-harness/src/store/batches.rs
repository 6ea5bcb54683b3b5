//! The records of a unit, as one compressed blob.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::installations::InstallationId;
use crate::contract::Record;
use crate::world::Millis;

/// A record that was accepted, with what its effect keys are made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// As the guest gave it, once it was checked.
    pub record: Record,
    /// `event`, `revision:<n>` or `observation:<digest>`; part of every effect key.
    pub version: String,
    /// Host time of arrival.
    pub received_at: Millis,
}

/// Stores the accepted and quarantined records of one unit.
pub fn insert(
    tx: &Transaction<'_>,
    installation: InstallationId,
    journal: Option<i64>,
    resource: Option<&str>,
    at: Millis,
    records: &[Kept],
) -> Result<i64, StoreError> {
    let blob = pack(records)?;
    tx.prepare_cached(
        "INSERT INTO batch (installation, journal, resource, at, records) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![installation.0, journal, resource, at, blob])?;
    Ok(tx.last_insert_rowid())
}

/// One record of a batch.
pub fn get(tx: &Transaction<'_>, batch: i64, position: usize) -> Result<Option<Kept>, StoreError> {
    let mut records = all(tx, batch)?;
    Ok((position < records.len()).then(|| records.swap_remove(position)))
}

/// Every record of a batch, by place; none where there is no such batch.
pub fn all(tx: &Transaction<'_>, batch: i64) -> Result<Vec<Kept>, StoreError> {
    let blob: Option<Vec<u8>> =
        tx.query_row("SELECT records FROM batch WHERE id = ?1", [batch], |row| row.get(0)).optional()?;
    blob.map_or(Ok(Vec::new()), |blob| unpack(&blob))
}

fn pack(records: &[Kept]) -> Result<Vec<u8>, StoreError> {
    let unreadable = |_| StoreError::Unreadable("batch");
    let json = serde_json::to_vec(records).map_err(|_| StoreError::Unreadable("batch"))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(unreadable)?;
    encoder.finish().map_err(unreadable)
}

fn unpack(blob: &[u8]) -> Result<Vec<Kept>, StoreError> {
    let mut json = Vec::new();
    GzDecoder::new(blob).read_to_end(&mut json).map_err(|_| StoreError::Unreadable("batch"))?;
    serde_json::from_slice(&json).map_err(|_| StoreError::Unreadable("batch"))
}
