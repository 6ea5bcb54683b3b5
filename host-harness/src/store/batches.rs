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

/// One record of a batch; none where it is no longer kept, or was blanked.
pub fn get(tx: &Transaction<'_>, batch: i64, position: usize) -> Result<Option<Kept>, StoreError> {
    let mut records = all(tx, batch)?;
    Ok(if position < records.len() { records.swap_remove(position) } else { None })
}

/// Every record of a batch, by place: none where it was blanked; nothing where there is no such batch.
pub fn all(tx: &Transaction<'_>, batch: i64) -> Result<Vec<Option<Kept>>, StoreError> {
    let blob: Option<Vec<u8>> =
        tx.query_row("SELECT records FROM batch WHERE id = ?1", [batch], |row| row.get(0)).optional()?;
    blob.map_or(Ok(Vec::new()), |blob| unpack(&blob))
}

/// Blanks every record that `gone` names; the others keep their places. Returns how many it were.
pub fn blank(
    tx: &Transaction<'_>,
    batch: i64,
    mut gone: impl FnMut(&Record) -> Result<bool, StoreError>,
) -> Result<usize, StoreError> {
    let mut records = all(tx, batch)?;
    let mut blanked = 0;
    for place in &mut records {
        if let Some(kept) = place
            && gone(&kept.record)?
        {
            *place = None;
            blanked += 1;
        }
    }
    if blanked > 0 {
        tx.prepare_cached("UPDATE batch SET records = ?2 WHERE id = ?1")?
            .execute(params![batch, pack(&records)?])?;
    }
    Ok(blanked)
}

fn pack<T: Serialize>(records: &[T]) -> Result<Vec<u8>, StoreError> {
    let unreadable = |_| StoreError::Unreadable("batch");
    let json = serde_json::to_vec(records).map_err(|_| StoreError::Unreadable("batch"))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(unreadable)?;
    encoder.finish().map_err(unreadable)
}

/// A blanked record is `null`.
fn unpack(blob: &[u8]) -> Result<Vec<Option<Kept>>, StoreError> {
    let mut json = Vec::new();
    GzDecoder::new(blob).read_to_end(&mut json).map_err(|_| StoreError::Unreadable("batch"))?;
    serde_json::from_slice(&json).map_err(|_| StoreError::Unreadable("batch"))
}
