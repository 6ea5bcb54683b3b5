//! What a clock that was set back does to everything that is due.
//!
//! Within one run the host's clock can't jump: it is read once and counts on by itself. Between two runs
//! it can. Forward is like having been off for that long: whatever was missed is done once. Backward, all
//! that is due would wait for the time to come round again, so it is moved back as far as the clock was.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::StoreError;
use crate::world::Millis;

/// Real clocks are set right by a little all the time.
pub(crate) const TOLERANCE: Millis = 60_000;

/// Times until which something waits. What is held waits for no time but its own deadline.
const DUE: [(&str, &str, &str); 8] = [
    ("journal", "due_at", "state = 0"),
    ("job", "due_at", "1"),
    ("action", "due_at", "state IN (0, 9)"),
    ("action", "not_before", "state IN (0, 9)"),
    ("import", "next_at", "state < 3"),
    ("list", "retry_at", "1"),
    ("key_pause", "retry_at", "1"),
    ("destination", "paused_until", "1"),
];

/// At a start: by how much the clock was set back since it was last seen, and everything moved.
pub fn resume(tx: &Transaction<'_>, now: Millis) -> Result<Option<Millis>, StoreError> {
    let back = last_seen(tx)?.map(|last| last - now).filter(|back| *back > TOLERANCE);
    if let Some(back) = back {
        for (table, column, which) in DUE {
            tx.execute(
                &format!(
                    "UPDATE {table} SET {column} = max(?1, {column} - ?2) WHERE {column} > ?1 AND {which}"
                ),
                params![now, back],
            )?;
        }
    }
    seen(tx, now)?;
    Ok(back)
}

/// What time it was when a host last looked.
pub fn last_seen(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    Ok(tx.query_row("SELECT value FROM host WHERE name = 'last-seen'", [], |row| row.get(0)).optional()?)
}

/// Remembers what time it is.
pub fn seen(tx: &Transaction<'_>, now: Millis) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO host (name, value) VALUES ('last-seen', ?1) ON CONFLICT DO UPDATE SET value = ?1",
    )?
    .execute([now])?;
    Ok(())
}
