//! Counts of records for the sum of design rule 13, kept in the unit's own transaction.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::StoreError;
use super::installations::InstallationId;

/// What became of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Its actions are in the outbox.
    Mapped,
    /// This event or observation was accepted before.
    Duplicate,
    /// An observation older than the current one.
    Superseded,
    /// It calls for nothing, or nothing new.
    Skipped,
    /// A person has to look at it.
    Quarantined,
}

impl Fate {
    /// Every fate, in the order of the sum.
    pub const ALL: [Self; 5] =
        [Self::Mapped, Self::Duplicate, Self::Superseded, Self::Skipped, Self::Quarantined];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Adds to a named count.
pub fn add(
    tx: &Transaction<'_>,
    installation: InstallationId,
    name: &str,
    count: i64,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO tally (installation, name, count) VALUES (?1, ?2, ?3)
         ON CONFLICT (installation, name) DO UPDATE SET count = count + ?3",
    )?
    .execute(params![installation.0, name, count])?;
    Ok(())
}

/// Every count of an installation: `read`, the fates, `skipped:<reason>` and `note:<name>`.
pub fn all(tx: &Transaction<'_>, installation: InstallationId) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT name, count FROM tally WHERE installation = ?1")?;
    let rows = statement.query_map([installation.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
