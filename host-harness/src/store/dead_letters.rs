//! Whatever a person has to look at: one row, with who must act and what to do.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::installations::InstallationId;
use super::outbox::{self, Action, State, Transition};
use super::{StoreError, doubt};
use crate::registry::names::DELETE_CONTACT;
use crate::world::Millis;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever owns the settings and the vendor's accounts.
    Tenant,
    /// Whoever runs the host.
    Operator,
    /// Whoever writes the connector.
    ConnectorAuthor,
    /// Nobody.
    Nobody,
}

impl Actor {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Operator => "operator",
            Self::ConnectorAuthor => "connector-author",
            Self::Nobody => "nobody",
        }
    }
}

/// A dead letter to be written. Texts hold no personal data.
#[derive(Clone, Copy, Debug)]
pub struct NewDeadLetter<'a> {
    /// Row of the installation.
    pub installation: i64,
    /// `intake`, `read`, `map` or `deliver`.
    pub stage: &'a str,
    /// Stable, `lower-kebab-case`.
    pub code: &'a str,
    /// Who must act.
    pub actor: Actor,
    /// What happened, one sentence.
    pub message: &'a str,
    /// What to do, one sentence.
    pub remedy: &'a str,
    /// Raw body.
    pub journal: Option<i64>,
    /// Where in the raw body, or which thing it is about (`attribute:LOYALTY_TIER`).
    pub pointer: Option<&'a str>,
    /// Batch of the record, and its place in it.
    pub record: Option<(i64, i64)>,
    /// Action.
    pub action: Option<i64>,
}

/// A stored dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `NewDeadLetter`
pub struct DeadLetter {
    pub id: i64,
    pub installation: i64,
    pub stage: String,
    pub code: String,
    pub actor: String,
    pub message: String,
    pub remedy: String,
    pub journal: Option<i64>,
    pub pointer: Option<String>,
    pub batch: Option<i64>,
    pub position: Option<i64>,
    pub action: Option<i64>,
    pub at: Millis,
    /// `open`, `requeued` or `resolved`.
    pub state: String,
    pub closed_at: Option<Millis>,
}

/// What to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only this installation.
    pub installation: Option<i64>,
    /// Only this code.
    pub code: Option<&'a str>,
    /// Also those that are closed.
    pub closed: bool,
    /// Only ids above this one.
    pub after: i64,
}

/// Why a dead letter was not requeued.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    Unknown(i64),
    /// It is closed.
    #[error("dead letter {0} is closed already")]
    Closed(i64),
    /// It is about something else than an action in the outbox.
    #[error("dead letter {0} is not about an action")]
    NotAnAction(i64),
    /// The action is not in a state that a requeue starts from.
    #[error("the action of dead letter {id} is {state}; there is nothing to requeue")]
    NotStopped {
        /// The dead letter.
        id: i64,
        /// Where the action stands.
        state: &'static str,
    },
    /// It may be at Brevo already; sending it again may double it.
    #[error("the action of dead letter {0} may have reached Brevo; requeue it only with a confirmed re-send")]
    NeedsConfirmation(i64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a dead letter.
pub fn insert(tx: &Transaction<'_>, letter: &NewDeadLetter<'_>, now: Millis) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO dead_letter (installation, stage, code, actor, message, remedy, journal,
                                  pointer, batch, position, action, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        letter.installation,
        letter.stage,
        letter.code,
        letter.actor.as_str(),
        letter.message,
        letter.remedy,
        letter.journal,
        letter.pointer,
        letter.record.map(|(batch, _)| batch),
        letter.record.map(|(_, position)| position),
        letter.action,
        now,
    ])?;
    Ok(tx.last_insert_rowid())
}

/// Writes a dead letter unless one of the same installation, code and pointer is open: for
/// conditions that meet many actions. None where there was one.
pub fn insert_once(
    tx: &Transaction<'_>,
    letter: &NewDeadLetter<'_>,
    now: Millis,
) -> Result<Option<i64>, StoreError> {
    let open = tx
        .prepare_cached(
            "SELECT 1 FROM dead_letter
             WHERE installation = ?1 AND state = 'open' AND code = ?2 AND pointer IS ?3",
        )?
        .exists(params![letter.installation, letter.code, letter.pointer])?;
    if open { Ok(None) } else { insert(tx, letter, now).map(Some) }
}

/// Up to `limit` dead letters, oldest first.
pub fn list(tx: &Transaction<'_>, filter: Filter<'_>, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter
         WHERE id > ?1 AND (?2 IS NULL OR installation = ?2) AND (?3 IS NULL OR code = ?3)
           AND (?4 OR state = 'open')
         ORDER BY id LIMIT ?5"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![filter.after, filter.installation, filter.code, filter.closed, limit as i64],
        from_row,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many are open in an installation.
pub fn open_count(tx: &Transaction<'_>, installation: i64) -> Result<u64, StoreError> {
    Ok(tx
        .prepare_cached("SELECT count(*) FROM dead_letter WHERE installation = ?1 AND state = 'open'")?
        .query_row([installation], |row| row.get::<_, i64>(0))? as u64)
}

/// One dead letter.
pub fn get(tx: &Transaction<'_>, id: i64) -> Result<Option<DeadLetter>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM dead_letter WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([id], from_row).optional()?)
}

/// Closes a dead letter as `requeued` or `resolved`. False where it was closed or unknown.
pub fn close(tx: &Transaction<'_>, id: i64, requeued: bool, now: Millis) -> Result<bool, StoreError> {
    let state = if requeued { "requeued" } else { "resolved" };
    let changed = tx
        .prepare_cached("UPDATE dead_letter SET state = ?2, closed_at = ?3 WHERE id = ?1 AND state = 'open'")?
        .execute(params![id, state, now])?;
    Ok(changed == 1)
}

/// Closes the open dead letters about a webhook's parts, because the whole webhook is worked on again.
pub fn close_parts(tx: &Transaction<'_>, journal: i64, now: Millis) -> Result<usize, StoreError> {
    let sql = "UPDATE dead_letter SET state = 'resolved', closed_at = ?2
               WHERE journal = ?1 AND stage = 'read' AND state = 'open'";
    Ok(tx.prepare_cached(sql)?.execute(params![journal, now])?)
}

/// Closes the open letter about an action that there is nothing to do about any more.
pub fn resolve_action(tx: &Transaction<'_>, action: i64, now: Millis) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE dead_letter SET state = 'resolved', closed_at = ?2 WHERE state = 'open' AND action = ?1",
    )?
    .execute(params![action, now])?;
    Ok(())
}

/// Closes the letters about a thing of an account that is well again.
pub fn resolve_about(
    tx: &Transaction<'_>,
    destination: i64,
    about: &str,
    now: Millis,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE dead_letter SET state = 'resolved', closed_at = ?3
         WHERE state = 'open' AND stage = 'deliver' AND pointer = ?2 AND installation IN
               (SELECT id FROM installation WHERE destination = ?1)",
    )?
    .execute(params![destination, about, now])?;
    Ok(())
}

/// Closes the letters about a thing of an installation that an operator gave a word about.
pub fn resolve_about_of(
    tx: &Transaction<'_>,
    installation: i64,
    about: &str,
    now: Millis,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE dead_letter SET state = 'resolved', closed_at = ?3
         WHERE state = 'open' AND pointer = ?2 AND installation = ?1",
    )?
    .execute(params![installation, about, now])?;
    Ok(())
}

/// The oldest requeued dead letter of a stage and of an installation that the pipeline has yet to work
/// on.
pub fn next_requeued(
    tx: &Transaction<'_>,
    installation: InstallationId,
    stage: &str,
) -> Result<Option<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter WHERE state = 'requeued' AND installation = ?1 AND stage = ?2
         ORDER BY id LIMIT 1"
    );
    Ok(tx.prepare_cached(&sql)?.query_row(params![installation.0, stage], from_row).optional()?)
}

/// Every installation that has requeued dead letters of a stage, and when the first was written.
pub fn requeued(tx: &Transaction<'_>, stage: &str) -> Result<Vec<(InstallationId, Millis)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "WITH RECURSIVE one(installation) AS (
            SELECT min(installation) FROM dead_letter WHERE state = 'requeued'
            UNION ALL
            SELECT (SELECT min(installation) FROM dead_letter
                    WHERE state = 'requeued' AND installation > one.installation)
            FROM one WHERE one.installation IS NOT NULL)
         SELECT installation, at FROM (
            SELECT installation, (SELECT at FROM dead_letter
                                  WHERE state = 'requeued' AND dead_letter.installation = one.installation
                                    AND stage = ?1 ORDER BY id LIMIT 1) AS at
            FROM one WHERE installation IS NOT NULL) WHERE at IS NOT NULL",
    )?;
    let rows = statement.query_map([stage], |row| Ok((InstallationId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A requeued dead letter was worked on. False where another thread was faster.
pub fn resolve(tx: &Transaction<'_>, id: i64, now: Millis) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE dead_letter SET state = 'resolved', closed_at = ?2 WHERE id = ?1 AND state = 'requeued'",
        )?
        .execute(params![id, now])?;
    Ok(changed == 1)
}

/// A requeued dead letter can't be worked on; it is open again, with the reason.
pub fn give_back(tx: &Transaction<'_>, id: i64, code: &str) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE dead_letter SET state = 'open', closed_at = NULL, code = ?2 WHERE id = ?1")?
        .execute(params![id, code])?;
    Ok(())
}

/// Makes the action of a dead letter waiting again, under its old effect key and with a new
/// budget of attempts. What may have reached Brevo needs `confirm_resend`, an operator's word
/// that a double is acceptable. Returns the action.
///
/// A contact that was gone may be created again afterwards, and a refused address is tried again.
pub fn requeue_action(
    tx: &Transaction<'_>,
    id: i64,
    confirm_resend: bool,
    now: Millis,
) -> Result<i64, RequeueError> {
    let letter = get(tx, id)?.ok_or(RequeueError::Unknown(id))?;
    if letter.state != "open" {
        return Err(RequeueError::Closed(id));
    }
    let action_id = letter.action.ok_or(RequeueError::NotAnAction(id))?;
    let action = outbox::get(tx, action_id)?.ok_or(RequeueError::NotAnAction(id))?;
    let addresses_refused = matches!(letter.code.as_str(), "address-shared" | "phone-refused");
    match action.state {
        State::Failed | State::Parked | State::Refused => {}
        // Delivered but for the address that Brevo refused.
        State::Delivered if addresses_refused => {}
        other => return Err(RequeueError::NotStopped { id, state: other.as_str() }),
    }
    let code = action.code.as_deref().unwrap_or_default();
    let unknown = matches!(code, outbox::OUTCOME_UNKNOWN | outbox::OUTCOME_UNPROVEN)
        || doubt::may_have_been_done(tx, &action)?;
    if unknown && !confirm_resend {
        return Err(RequeueError::NeedsConfirmation(id));
    }
    reopen(tx, &action, addresses_refused, now)?;
    close(tx, id, true, now)?;
    Ok(action.id)
}

/// An operator's word that ends the action of a dead letter without another call: it arrived, or it
/// is given up. Returns the action.
pub fn end_action(tx: &Transaction<'_>, id: i64, arrived: bool, now: Millis) -> Result<i64, RequeueError> {
    let letter = get(tx, id)?.ok_or(RequeueError::Unknown(id))?;
    if letter.state != "open" {
        return Err(RequeueError::Closed(id));
    }
    let action = letter.action.map(|action| outbox::get(tx, action)).transpose()?.flatten();
    let action = action.ok_or(RequeueError::NotAnAction(id))?;
    if !matches!(action.state, State::Failed | State::Parked | State::Refused) {
        return Err(RequeueError::NotStopped { id, state: action.state.as_str() });
    }
    let (to, code) =
        if arrived { (State::Delivered, "operator-saw-it") } else { (State::Refused, "given-up") };
    let transition =
        Transition { id: action.id, from: action.state, to, due_at: None, code: Some(code), intent: None };
    outbox::step(tx, &transition)?;
    resolve_action(tx, action.id, now)?;
    Ok(action.id)
}

fn reopen(
    tx: &Transaction<'_>,
    action: &Action,
    addresses_refused: bool,
    now: Millis,
) -> Result<(), StoreError> {
    if action.code.as_deref() == Some(outbox::CONTACT_GONE) {
        tx.prepare_cached(
            "UPDATE person SET presence = 0, brevo_id = NULL, looked_at = NULL, fields = '{}'
             WHERE id = ?1 AND presence = 3",
        )?
        .execute([action.person])?;
    }
    if addresses_refused {
        tx.prepare_cached("UPDATE person SET refused = '{}' WHERE id = ?1")?.execute([action.person])?;
    }
    let transition = Transition {
        id: action.id,
        from: action.state,
        to: State::Waiting,
        due_at: Some(now),
        code: None,
        // An erasure has forgotten everything but what is left to do.
        intent: (action.name != DELETE_CONTACT).then_some("{}"),
    };
    outbox::step(tx, &transition)?;
    tx.prepare_cached("UPDATE action SET attempts = 0 WHERE id = ?1")?.execute([action.id])?;
    Ok(())
}

const COLUMNS: &str = "id, installation, stage, code, actor, message, remedy, journal, pointer, batch, \
                       position, action, at, state, closed_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.get(0)?,
        installation: row.get(1)?,
        stage: row.get(2)?,
        code: row.get(3)?,
        actor: row.get(4)?,
        message: row.get(5)?,
        remedy: row.get(6)?,
        journal: row.get(7)?,
        pointer: row.get(8)?,
        batch: row.get(9)?,
        position: row.get(10)?,
        action: row.get(11)?,
        at: row.get(12)?,
        state: row.get(13)?,
        closed_at: row.get(14)?,
    })
}
