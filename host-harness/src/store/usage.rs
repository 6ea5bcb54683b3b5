//! What each connector of a tenant has in the store, counted by triggers (`schema-11.sql`) in the
//! transaction that changes it.

use rusqlite::{OptionalExtension as _, Transaction};

use super::StoreError;
use super::installations::InstallationId;

/// Counts of one installation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Webhooks that wait for their unit.
    pub webhooks: u64,
    /// Bytes of their bodies.
    pub webhook_bytes: u64,
    /// Open dead letters.
    pub letters: u64,
    /// Actions that go to Brevo by themselves.
    pub waiting: u64,
    /// Actions that are not at their end, those too.
    pub open: u64,
    /// Keys in plugin storage.
    pub keys: u64,
}

/// What an installation has now.
pub fn of(tx: &Transaction<'_>, installation: InstallationId) -> Result<Usage, StoreError> {
    let usage = tx
        .prepare_cached(
            "SELECT webhooks, webhook_bytes, letters, waiting, open, keys FROM usage WHERE installation = ?1",
        )?
        .query_row([installation.0], |row| {
            let count = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.max(0).unsigned_abs());
            Ok(Usage {
                webhooks: count(0)?,
                webhook_bytes: count(1)?,
                letters: count(2)?,
                waiting: count(3)?,
                open: count(4)?,
                keys: count(5)?,
            })
        })
        .optional()?;
    Ok(usage.unwrap_or_default())
}
