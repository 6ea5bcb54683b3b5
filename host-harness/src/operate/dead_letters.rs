//! Dead letters, as an operator reads them, and the order to try again.

use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;

use crate::contract::Record;
use crate::store::dead_letters::{self, DeadLetter, Filter};
use crate::store::installations::{self, Installation, InstallationId};
use crate::store::{StoreError, batches, jobs, journal, outbox};
use crate::world::Millis;

/// A dead letter with the names that a person knows.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // as in `store::dead_letters::NewDeadLetter`
pub struct Entry {
    pub id: i64,
    pub tenant: String,
    pub connector: String,
    pub stage: String,
    pub code: String,
    pub actor: String,
    pub message: String,
    pub remedy: String,
    /// Where in the input, or which thing it is about.
    pub pointer: Option<String>,
    pub at: Millis,
    /// `open`, `requeued` or `resolved`.
    pub state: String,
    pub closed_at: Option<Millis>,
}

/// What a dead letter is about. Holds personal data: shown only when asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// A webhook's raw body; text where it is UTF-8.
    Body {
        /// Which surface it came to.
        surface: String,
        /// Host time of arrival.
        received_at: Millis,
        /// The body, with what is not UTF-8 replaced.
        body: String,
    },
    /// A record that could not be mapped.
    Record(Box<Record>),
    /// An action that did not reach Brevo.
    Action {
        /// Registry name.
        name: String,
        /// Where it stands.
        state: &'static str,
        /// Calls that were made for it.
        attempts: u32,
        /// Whom or what it is about, JSON.
        subject: String,
        /// JSON by the registry's schema.
        payload: String,
    },
}

/// Which dead letters are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Only this tenant's.
    pub tenant: Option<&'a str>,
    /// Only this code.
    pub code: Option<&'a str>,
    /// Also those that are closed.
    pub closed: bool,
    /// Only ids above this one.
    pub after: i64,
}

/// What a requeue came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requeued {
    /// The webhook is worked on again from its raw body.
    Webhook,
    /// The record is mapped again.
    Record,
    /// The resource is read again at once.
    Resource,
    /// The action waits again, under its old effect key.
    Action,
}

/// Why nothing was requeued.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    /// It is about a condition and not about a thing that can be done again.
    #[error("dead letter {0} is about a condition; there is nothing to try again")]
    NothingToTry(i64),
    /// Retention took what it is about.
    #[error("what dead letter {0} is about is no longer kept")]
    PayloadGone(i64),
    /// The store's own reasons.
    #[error(transparent)]
    Order(#[from] dead_letters::RequeueError),
}

impl From<StoreError> for RequeueError {
    fn from(error: StoreError) -> Self {
        Self::Order(error.into())
    }
}

impl RequeueError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        use dead_letters::RequeueError as Order;
        match self {
            Self::NothingToTry(_) | Self::Order(Order::NotAnAction(_)) => "nothing-to-requeue",
            Self::PayloadGone(_) => "payload-gone",
            Self::Order(Order::Unknown(_)) => "unknown-dead-letter",
            Self::Order(Order::Closed(_)) => "already-closed",
            Self::Order(Order::NotStopped { .. }) => "not-stopped",
            Self::Order(Order::NeedsConfirmation(_)) => "needs-confirmation",
            Self::Order(Order::Store(_)) => "store-failed",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        use dead_letters::RequeueError as Order;
        match self {
            Self::NothingToTry(_) | Self::Order(Order::NotAnAction(_)) => {
                "Do what its remedy says; it closes by itself once the condition is over."
            }
            Self::PayloadGone(_) => "Have the source send it again.",
            Self::Order(Order::Unknown(_)) => "Look the number up with `harness dead-letters list`.",
            Self::Order(Order::Closed(_)) => "Nothing; it was tried again or ended already.",
            Self::Order(Order::NotStopped { .. }) => "Wait; the host works on it by itself.",
            Self::Order(Order::NeedsConfirmation(_)) => {
                "Look at Brevo whether it arrived: if it did, `harness dead-letters end --arrived`; if not, add --confirm-resend."
            }
            Self::Order(Order::Store(_)) => "Look at the disk of the host's data directory.",
        }
    }
}

/// Up to `limit` dead letters, oldest first.
pub fn list(tx: &Transaction<'_>, selection: Selection<'_>, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let known = installations::all(tx)?;
    let mut found = Vec::new();
    let mut after = selection.after;
    while found.len() < limit {
        let filter = Filter { installation: None, code: selection.code, closed: selection.closed, after };
        let page = dead_letters::list(tx, filter, 1_000)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let entries = page.into_iter().map(|letter| entry(letter, &known));
        found.extend(entries.filter(|entry| selection.tenant.is_none_or(|tenant| tenant == entry.tenant)));
    }
    found.truncate(limit);
    Ok(found)
}

/// Message and remedy of the latest open dead letter about reading a resource.
pub fn of_resource(
    tx: &Transaction<'_>,
    installation: InstallationId,
    resource: &str,
) -> Result<Option<(String, String)>, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT message, remedy FROM dead_letter
             WHERE installation = ?1 AND stage = 'read' AND pointer = ?2 AND state = 'open'
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(rusqlite::params![installation.0, resource], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// One dead letter with what it is about, as far as it is still kept.
pub fn show(tx: &Transaction<'_>, id: i64) -> Result<Option<(Entry, Option<Payload>)>, StoreError> {
    let Some(letter) = dead_letters::get(tx, id)? else { return Ok(None) };
    let payload = payload(tx, &letter)?;
    Ok(Some((entry(letter, &installations::all(tx)?), payload)))
}

/// Tries again what a dead letter is about, under the keys that it always had. What may have
/// reached Brevo needs `confirm_resend`, an operator's word that a double is acceptable.
pub fn requeue(
    tx: &Transaction<'_>,
    id: i64,
    confirm_resend: bool,
    now: Millis,
) -> Result<Requeued, RequeueError> {
    let letter = dead_letters::get(tx, id)?.ok_or(dead_letters::RequeueError::Unknown(id))?;
    if letter.state != "open" {
        return Err(dead_letters::RequeueError::Closed(id).into());
    }
    if letter.action.is_some() {
        dead_letters::requeue_action(tx, id, confirm_resend, now)?;
        return Ok(Requeued::Action);
    }
    if letter.batch.is_some() {
        // The pipeline takes up requeued records and resolves their letters.
        dead_letters::close(tx, id, true, now)?;
        return Ok(Requeued::Record);
    }
    if let Some(entry) = letter.journal {
        if !journal::requeue(tx, entry, now)? {
            return Err(RequeueError::PayloadGone(id));
        }
        dead_letters::close_parts(tx, entry, now)?;
        return Ok(Requeued::Webhook);
    }
    if letter.stage == "read"
        && let Some(resource) = &letter.pointer
        && jobs::resume(tx, InstallationId(letter.installation), resource, now)?
    {
        dead_letters::close(tx, id, false, now)?;
        return Ok(Requeued::Resource);
    }
    Err(RequeueError::NothingToTry(id))
}

/// Ends what a dead letter is about without another call to Brevo, by an operator's word: it
/// `arrived`, or it is given up.
pub fn end(tx: &Transaction<'_>, id: i64, arrived: bool, now: Millis) -> Result<(), RequeueError> {
    dead_letters::end_action(tx, id, arrived, now)?;
    Ok(())
}

fn payload(tx: &Transaction<'_>, letter: &DeadLetter) -> Result<Option<Payload>, StoreError> {
    if let Some(action) = letter.action {
        return Ok(outbox::get(tx, action)?.map(|action| Payload::Action {
            name: action.name,
            state: action.state.as_str(),
            attempts: action.attempts,
            subject: action.subject,
            payload: action.payload,
        }));
    }
    if let (Some(batch), Some(position)) = (letter.batch, letter.position) {
        let kept = batches::get(tx, batch, usize::try_from(position).unwrap_or(usize::MAX))?;
        return Ok(kept.map(|kept| Payload::Record(Box::new(kept.record))));
    }
    let Some(id) = letter.journal else { return Ok(None) };
    Ok(journal::get(tx, id)?.map(|entry| Payload::Body {
        surface: entry.delivery.surface,
        received_at: entry.delivery.received_at,
        body: String::from_utf8_lossy(&entry.delivery.body).into_owned(),
    }))
}

fn entry(letter: DeadLetter, known: &[Installation]) -> Entry {
    let owner = known.iter().find(|one| one.id.0 == letter.installation);
    let (tenant, connector) =
        owner.map(|one| (one.tenant.clone(), one.connector.clone())).unwrap_or_default();
    Entry {
        id: letter.id,
        tenant,
        connector,
        stage: letter.stage,
        code: letter.code,
        actor: letter.actor,
        message: letter.message,
        remedy: letter.remedy,
        pointer: letter.pointer,
        at: letter.at,
        state: letter.state,
        closed_at: letter.closed_at,
    }
}
