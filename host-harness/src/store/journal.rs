//! Raw webhooks: durable before the vendor gets its answer, kept until retention ends.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::installations::InstallationId;
use super::{Store, StoreError, usage};
use crate::quotas::{Full, Quotas};
use crate::world::Millis;

/// A verified webhook request, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct RawDelivery {
    /// Whose it is.
    pub installation: InstallationId,
    /// Which surface it came to.
    pub surface: String,
    /// Host time of arrival.
    pub received_at: Millis,
    /// The headers that the surface declared, without the one that carried the credential.
    pub headers: Vec<(String, String)>,
    /// Byte for byte.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for RawDelivery {
    /// Without headers and body: they hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawDelivery")
            .field("installation", &self.installation)
            .field("surface", &self.surface)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A row of the journal.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Row id.
    pub id: i64,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// What came.
    pub delivery: RawDelivery,
}

/// Where intake puts what it has verified.
pub trait Journal: Send + Sync {
    /// Durable when this returns `Ok`; nothing happened otherwise. Where the installation has as many
    /// that wait as it may, the error's code is that of [`Full::Webhooks`].
    fn append(&self, delivery: RawDelivery) -> Result<i64, StoreError>;
}

type Kept = Result<i64, (&'static str, String)>;
type Waiting = (RawDelivery, Sender<Kept>);

/// Appends of concurrent callers share one transaction, and so one sync to disk.
pub struct GroupCommit {
    store: Arc<Store>,
    quotas: Quotas,
    queue: Mutex<Vec<Waiting>>,
    leader: Mutex<()>,
}

impl GroupCommit {
    /// A journal on this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, quotas: Quotas::DEFAULT, queue: Mutex::new(Vec::new()), leader: Mutex::new(()) }
    }

    /// The same with other bounds on what may wait.
    #[must_use]
    pub fn within(self, quotas: Quotas) -> Self {
        Self { quotas, ..self }
    }

    fn commit_queue(&self) {
        let batch = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.is_empty() {
            return;
        }
        let result = self.store.write(|tx| {
            let mut ids = Vec::with_capacity(batch.len());
            for (delivery, _) in &batch {
                let usage = usage::of(tx, delivery.installation)?;
                let room = self.quotas.has_room_for_webhook(&usage, delivery.body.len() as u64);
                ids.push(if room { Some(insert(tx, delivery)?) } else { None });
            }
            Ok::<_, StoreError>(ids)
        });
        // A receiver that is gone was a caller that died; its row is durable all the same.
        match result {
            Ok(ids) => {
                for ((_, answer), id) in batch.iter().zip(ids) {
                    let full = || (Full::Webhooks.code(), Full::Webhooks.message().to_owned());
                    let _ = answer.send(id.ok_or_else(full));
                }
            }
            Err(error) => {
                for (_, answer) in &batch {
                    let _ = answer.send(Err((error.code(), error.to_string())));
                }
            }
        }
    }
}

impl Journal for GroupCommit {
    fn append(&self, delivery: RawDelivery) -> Result<i64, StoreError> {
        if self.store.in_doubt()? {
            return Err(StoreError::InDoubt);
        }
        let (answer, mine): (_, Receiver<Kept>) = channel();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push((delivery, answer));
        // Whoever gets the lead commits for all who queued meanwhile; the rest find their answer.
        let _lead = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        self.commit_queue();
        match mine.recv() {
            Ok(Ok(id)) => Ok(id),
            Ok(Err((code, message))) => Err(StoreError::Append { code, message }),
            Err(_) => {
                let message = "the writer went away".into();
                Err(StoreError::Append { code: "store-failed", message })
            }
        }
    }
}

fn insert(tx: &Transaction<'_>, delivery: &RawDelivery) -> Result<i64, StoreError> {
    let headers = serde_json::to_string(&delivery.headers).map_err(|_| StoreError::Unreadable("headers"))?;
    tx.prepare_cached(
        "INSERT INTO journal (installation, surface, received_at, headers, body, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?3)",
    )?
    .execute(params![delivery.installation.0, delivery.surface, delivery.received_at, headers, delivery.body])?;
    Ok(tx.last_insert_rowid())
}

/// The next due entries of these installations, oldest first, without their bodies.
pub fn due(
    tx: &Transaction<'_>,
    installations: &[InstallationId],
    now: Millis,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT due_at, id FROM journal WHERE state = 0 AND installation = ?1 AND due_at <= ?2
         ORDER BY due_at, id LIMIT ?3",
    )?;
    let mut due: Vec<(Millis, i64)> = Vec::new();
    for installation in installations {
        let rows = statement
            .query_map(params![installation.0, now, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        due.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    due.sort_unstable();
    Ok(due.into_iter().map(|(_, id)| id).take(limit).collect())
}

/// When the last webhook came to each surface, among those that are still kept.
pub fn last_arrivals(tx: &Transaction<'_>) -> Result<BTreeMap<(InstallationId, String), Millis>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT installation, surface, max(received_at) FROM journal GROUP BY 1, 2")?;
    let rows =
        statement.query_map([], |row| Ok(((InstallationId(row.get(0)?), row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every installation that has entries queued, and when the first of them is due. The more of them are
/// queued, the longer it takes not.
pub fn waiting(tx: &Transaction<'_>) -> Result<Vec<(InstallationId, Millis)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "WITH RECURSIVE one(installation) AS (
            SELECT min(installation) FROM journal WHERE state = 0
            UNION ALL
            SELECT (SELECT min(installation) FROM journal WHERE state = 0 AND installation > one.installation)
            FROM one WHERE one.installation IS NOT NULL)
         SELECT installation, (SELECT min(due_at) FROM journal
                               WHERE state = 0 AND journal.installation = one.installation)
         FROM one WHERE installation IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| Ok((InstallationId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next queued entry is due, if one is queued.
pub fn next_due(tx: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    Ok(waiting(tx)?.into_iter().map(|(_, at)| at).min())
}

/// Claims one queued entry. The attempt is counted now, so that one which kills the host counts.
pub fn claim(tx: &Transaction<'_>, id: i64) -> Result<Option<JournalEntry>, StoreError> {
    let changed = tx
        .prepare_cached("UPDATE journal SET attempts = attempts + 1 WHERE id = ?1 AND state = 0")?
        .execute([id])?;
    if changed == 0 { Ok(None) } else { get(tx, id) }
}

/// An entry, whatever its state.
pub fn get(tx: &Transaction<'_>, id: i64) -> Result<Option<JournalEntry>, StoreError> {
    let row = tx
        .prepare_cached(
            "SELECT attempts, installation, surface, received_at, headers, body FROM journal WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok((
                row.get::<_, u32>(0)?,
                InstallationId(row.get(1)?),
                row.get::<_, String>(2)?,
                row.get::<_, Millis>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, Vec<u8>>(5)?,
            ))
        })
        .optional()?;
    let Some((attempts, installation, surface, received_at, headers, body)) = row else { return Ok(None) };
    let headers = serde_json::from_str(&headers).map_err(|_| StoreError::Unreadable("journal.headers"))?;
    let delivery = RawDelivery { installation, surface, received_at, headers, body };
    Ok(Some(JournalEntry { id, attempts, delivery }))
}

/// The unit of this entry was committed.
pub fn finish(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE journal SET state = 1, code = NULL WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Try again later.
pub fn postpone(tx: &Transaction<'_>, id: i64, due: Millis, code: &str) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE journal SET due_at = ?2, code = ?3 WHERE id = ?1 AND state = 0")?
        .execute(params![id, due, code])?;
    Ok(())
}

/// Kept raw, shown, and replayable by [`requeue`].
pub fn fail(tx: &Transaction<'_>, id: i64, code: &str) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE journal SET state = 2, code = ?2 WHERE id = ?1")?.execute(params![id, code])?;
    Ok(())
}

/// Runs an entry again, from the raw body. Nothing that was accepted before is accepted twice.
pub fn requeue(tx: &Transaction<'_>, id: i64, now: Millis) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached("UPDATE journal SET state = 0, attempts = 0, due_at = ?2, code = NULL WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(changed == 1)
}
