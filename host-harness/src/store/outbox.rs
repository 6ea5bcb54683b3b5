//! The outbox: every action, from its admission to its end, and the ledger of effects.
//!
//! An action's id is its place in the person's lane. Transitions name the state that they start
//! from, so that two threads can't both end one action.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::installations::DestinationId;
use super::{Digest, StoreError};
use crate::contract::Subject;
use crate::registry::names::{self, UPSERT_CONTACT, UPSERT_OBJECT, UPSERT_PRODUCT};
use crate::registry::{Payload, UpsertContact};
use crate::world::Millis;

/// Where an action stands. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i64)]
pub enum State {
    /// To be done as soon as it is due and first in its lane.
    Waiting = 0,
    /// A call is under way, or the process died in it.
    InFlight = 1,
    /// Done at Brevo.
    Delivered = 2,
    /// Nothing to do: it holds already.
    Deduplicated = 3,
    /// Another action carries it.
    Coalesced = 4,
    /// Newer things are known.
    Superseded = 5,
    /// Too old to be done (`not-after`).
    Expired = 6,
    /// It may not or can't be done.
    Refused = 7,
    /// Waits for something to become known; see `code`.
    Held = 8,
    /// Its outcome is unknown and read back (with `due_at`), or an operator must decide (without).
    Parked = 9,
    /// Tried as often as allowed, or refused by Brevo.
    Failed = 10,
}

impl State {
    /// All of them, by number.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::InFlight,
        Self::Delivered,
        Self::Deduplicated,
        Self::Coalesced,
        Self::Superseded,
        Self::Expired,
        Self::Refused,
        Self::Held,
        Self::Parked,
        Self::Failed,
    ];

    /// The stored number.
    pub fn number(self) -> i64 {
        self as i64
    }

    /// From a stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in-flight",
            Self::Delivered => "delivered",
            Self::Deduplicated => "deduplicated",
            Self::Coalesced => "coalesced",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Failed => "failed",
        }
    }

    /// True where something can still happen to it by itself or by an operator's word.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::InFlight | Self::Held | Self::Parked)
    }
}

/// Codes of [`State::Held`]: what is waited for.
pub mod held {
    /// The person is not at Brevo and their consent is unknown (design rule 8).
    pub const CONSENT_UNKNOWN: &str = "consent-unknown";
    /// Delivered but for the phone, whose consent is unknown.
    pub const PHONE_CONSENT_UNKNOWN: &str = "phone-consent-unknown";
    /// It needs a contact, and there is none.
    pub const CONTACT_UNKNOWN: &str = "contact-unknown";
    /// A join of a first or full run, to a list whose joins may start something: an operator's word
    /// releases it.
    pub const BASELINE_UNCONFIRMED: &str = "baseline-unconfirmed";
    /// Its list can't be delivered to until an operator's word.
    pub const LIST_STOPPED: &str = "list-stopped";
    /// More deletes came within a day than may be done without an operator's word (design rule 9).
    pub const DELETES_CAPPED: &str = "deletes-capped";
    /// A delete that is older than what is known of the person since, or whose time can't be trusted.
    pub const DELETE_OUTDATED: &str = "delete-outdated";
}

/// Code of a parked action that may have reached Brevo and is read back when due.
pub const OUTCOME_UNKNOWN: &str = "outcome-unknown";
/// Code of a parked action whose outcome could not be proven by reading back.
pub const OUTCOME_UNPROVEN: &str = "outcome-unproven";
/// Code of a parked action whose contact was delivered once and is no longer at Brevo.
pub const CONTACT_GONE: &str = "contact-gone";

/// Whose turn it is first under the account's one budget. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Class {
    /// Consent, suppressions, sends and deletions: nothing comes before them.
    Urgent = 0,
    /// Whatever else was pushed.
    Live = 1,
    /// Contacts that were read in bulk, and what goes with the call that creates them. They may
    /// ride in an import.
    Bulk = 2,
    /// Whatever else was read in bulk, and contacts that can't ride in an import.
    BulkSingle = 3,
}

impl Class {
    /// All of them, the first one first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::Live, Self::Bulk, Self::BulkSingle];

    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Live => "live",
            Self::Bulk => "bulk",
            Self::BulkSingle => "bulk-single",
        }
    }

    /// What an account's rate windows keep free is not for these.
    pub fn is_bulk(self) -> bool {
        self >= Self::Bulk
    }

    /// The class of an action: `bulk` where its record was not pushed, `at_brevo` where its person
    /// is known to be there.
    pub fn of(name: &str, bulk: bool, at_brevo: bool) -> Self {
        match name {
            names::SET_CONSENT | names::SET_SUPPRESSION if !bulk || at_brevo => Self::Urgent,
            names::SET_CONSENT | names::SET_SUPPRESSION => Self::Bulk,
            names::SEND_EMAIL | names::SEND_SMS | names::DELETE_CONTACT => Self::Urgent,
            _ if !bulk => Self::Live,
            names::UPSERT_CONTACT => Self::Bulk,
            _ => Self::BulkSingle,
        }
    }
}

/// An action on its way into the outbox.
#[derive(Clone, Debug)]
pub struct NewAction<'a> {
    /// Row of the installation.
    pub installation: i64,
    /// Row of the destination.
    pub destination: i64,
    /// The person's row, where the subject is a person.
    pub person: Option<i64>,
    /// `contract::Subject` as JSON.
    pub subject: &'a str,
    /// Digest of (installation key, record id, revision or event, slot).
    pub effect: Digest,
    /// Registry name.
    pub name: &'a str,
    /// JSON by the registry's schema.
    pub payload: &'a str,
    /// Trusted time of the record.
    pub occurred_at: Option<Millis>,
    /// When the host received the record.
    pub received_at: Millis,
    /// Rank of the observation.
    pub rank: u8,
    /// Digest of the observation id.
    pub observation: Digest,
    /// Not to be done before.
    pub not_before: Option<Millis>,
    /// Not to be done after.
    pub not_after: Option<Millis>,
    /// A waiting upsert of the same person and key is replaced by this one, unless it carries
    /// something that this one doesn't. Products and objects need no key: their lane is theirs alone.
    pub coalesce_key: Option<&'a str>,
    /// The list's row, of a join or leave.
    pub list: Option<i64>,
    /// Lane of the thing, where the subject is one.
    pub thing: Option<Digest>,
    /// When it is its turn.
    pub class: Class,
    /// Batch of the record.
    pub batch: i64,
    /// Place of the record in its batch.
    pub position: i64,
    /// [`State::Waiting`], or where the pipeline decided otherwise (expired, refused, held).
    pub state: State,
    /// Why, where the state is not `Waiting`.
    pub code: Option<&'a str>,
}

/// Whether an effect was new to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A new action.
    Admitted(i64),
    /// The effect is in the ledger; nothing was written.
    AlreadyAdmitted(i64),
}

impl Admission {
    /// The action's row.
    pub fn id(self) -> i64 {
        match self {
            Self::Admitted(id) | Self::AlreadyAdmitted(id) => id,
        }
    }
}

/// Puts an action into the outbox, once for each effect.
pub fn admit(tx: &Transaction<'_>, action: &NewAction<'_>) -> Result<Admission, StoreError> {
    let due_at = match action.state {
        State::Waiting => Some(action.not_before.unwrap_or(Millis::MIN).max(action.received_at)),
        State::Held => action.not_after.map(|at| at + 1), // to expire
        _ => None,
    };
    tx.prepare_cached(
        "INSERT INTO action (installation, destination, person, subject, effect, name, payload,
            occurred_at, received_at, rank, observation, not_before, not_after, coalesce_key,
            batch, position, state, due_at, code, list, thing, class)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    )?
    .execute(params![
        action.installation,
        action.destination,
        action.person,
        action.subject,
        action.effect.0,
        action.name,
        action.payload,
        action.occurred_at,
        action.received_at,
        action.rank,
        action.observation.0,
        action.not_before,
        action.not_after,
        action.coalesce_key,
        action.batch,
        action.position,
        action.state.number(),
        due_at,
        action.code,
        action.list,
        action.thing.map(|thing| thing.0),
        action.class as i64,
    ])?;
    let id = tx.last_insert_rowid();
    // Nearly every effect is new, so it is not looked for before it is written.
    let new = tx
        .prepare_cached("INSERT INTO effect (key, action) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![action.effect.0, id])?;
    if new == 0 {
        tx.prepare_cached("DELETE FROM action WHERE id = ?1")?.execute([id])?;
        let known = tx
            .prepare_cached("SELECT action FROM effect WHERE key = ?1")?
            .query_row([&action.effect.0], |row| row.get(0))?;
        return Ok(Admission::AlreadyAdmitted(known));
    }
    if action.state == State::Waiting {
        replace_waiting(tx, action, id)?;
    }
    Ok(Admission::Admitted(id))
}

/// Ends what waits and the new one makes pointless: upserts of the same person and key, or of the same
/// thing, that carry nothing which the new one doesn't; and what is debounced under the same key, as
/// long as nothing of it was ever sent. Brevo works on records of objects after it answered, so of
/// those too only what was never sent is replaced. Consent and suppressions are never replaced: each
/// of them counts.
fn replace_waiting(tx: &Transaction<'_>, new: &NewAction<'_>, itself: i64) -> Result<(), StoreError> {
    let key = match new.coalesce_key {
        _ if [UPSERT_PRODUCT, UPSERT_OBJECT].contains(&new.name) => None,
        Some(key) if new.name == UPSERT_CONTACT || DEBOUNCED.contains(&new.name) => Some(key),
        _ => return Ok(()),
    };
    let lane = if new.person.is_some() { "person = ?1" } else { "thing = ?1" };
    let of: Box<dyn rusqlite::ToSql> = match (new.person, &new.thing) {
        (Some(person), _) => Box::new(person),
        (None, Some(thing)) => Box::new(thing.0),
        (None, None) => return Ok(()),
    };
    let waiting: Vec<(i64, String, String)> = tx
        .prepare_cached(&format!(
            "SELECT id, subject, payload FROM action
             WHERE {lane} AND state IN (0, 1, 8, 9) AND state = 0
               AND name = ?2 AND (?3 IS NULL OR coalesce_key = ?3) AND installation = ?4 AND id <> ?5
               AND (name IN ('{UPSERT_CONTACT}', '{UPSERT_PRODUCT}') OR attempts = 0 AND (
                    intent IS NULL
                    OR name = '{UPSERT_OBJECT}' AND json_extract(intent, '$.process') IS NULL))"
        ))?
        .query_map(params![of, new.name, key, new.installation, itself], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    for (id, subject, payload) in waiting {
        let carried = match new.name {
            UPSERT_CONTACT => carries_all(new, &subject, &payload),
            UPSERT_PRODUCT | UPSERT_OBJECT => carries_all_of_a_thing(new, &payload),
            _ => true,
        };
        if carried {
            let to = Transition {
                id,
                from: State::Waiting,
                to: State::Coalesced,
                due_at: None,
                code: Some("replaced"),
                intent: None,
            };
            step(tx, &to)?;
        }
    }
    Ok(())
}

/// What a rule may debounce.
const DEBOUNCED: [&str; 6] = [
    names::TRACK_EVENT,
    names::SEND_EMAIL,
    names::SEND_SMS,
    names::TRIGGER_CAMPAIGN,
    names::ADD_NOTE,
    names::CREATE_TASK,
];

fn carries_all(new: &NewAction<'_>, subject: &str, payload: &str) -> bool {
    let parse = |subject: &str, payload: &str| {
        let Ok(Subject::Person(person)) = serde_json::from_str(subject) else { return None };
        Some((person, serde_json::from_str::<UpsertContact>(payload).ok()?))
    };
    let (Some((new_person, new)), Some((old_person, old))) =
        (parse(new.subject, new.payload), parse(subject, payload))
    else {
        return false;
    };
    old.attributes.keys().all(|name| new.attributes.contains_key(name))
        && (old_person.email.is_none() || new_person.email.is_some())
        && (old_person.phone.is_none() || new_person.phone.is_some())
}

fn carries_all_of_a_thing(new: &NewAction<'_>, payload: &str) -> bool {
    match (Payload::parse(new.name, new.payload), Payload::parse(new.name, payload)) {
        (Ok(Payload::UpsertProduct(new)), Ok(Payload::UpsertProduct(old))) => new.carries(&old),
        (Ok(Payload::UpsertObject(new)), Ok(Payload::UpsertObject(old))) => new.carries(&old),
        _ => false,
    }
}

/// A newer revision of a thing was delivered: what is left of older ones, waiting or put aside, is
/// over, and so are its letters. An operator who requeued it would overwrite the newer one.
/// `delivered` has the action of each thing's lane.
pub(crate) fn supersede_older(
    tx: &Transaction<'_>,
    destination: DestinationId,
    name: &str,
    delivered: &BTreeMap<[u8; 16], i64>,
    now: Millis,
) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT d.id, a.id, a.thing FROM dead_letter d JOIN action a ON a.id = d.action
         WHERE d.state = 'open' AND a.name = ?2 AND a.thing IS NOT NULL AND a.state IN (7, 9, 10)
           AND d.installation IN (SELECT id FROM installation WHERE destination = ?1)",
    )?;
    let stopped: Vec<(i64, i64, [u8; 16])> = statement
        .query_map(params![destination.0, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (letter, action, thing) in stopped {
        if delivered.get(&thing).is_some_and(|newer| action < *newer) {
            tx.prepare_cached(
                "UPDATE action SET state = 5, code = 'newer-revision', due_at = NULL WHERE id = ?1",
            )?
            .execute([action])?;
            super::dead_letters::close(tx, letter, false, now)?;
        }
    }
    for (thing, newer) in delivered {
        tx.prepare_cached(
            "UPDATE action SET state = 5, code = 'newer-revision', due_at = NULL
             WHERE thing = ?1 AND thing IS NOT NULL AND state IN (0, 1, 8, 9) AND id < ?2
               AND name = ?3 AND state IN (0, 8, 9)",
        )?
        .execute(params![thing, newer, name])?;
    }
    Ok(())
}

/// Makes a person's actions waiting again that were held for their consent or contact.
/// They come before everything later in the lane. Returns how many.
pub fn release_held(tx: &Transaction<'_>, person: i64, now: Millis) -> Result<u64, StoreError> {
    let count = tx
        .prepare_cached(
            "UPDATE action SET state = 0, code = NULL, due_at = max(?2, coalesce(not_before, ?2))
             WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state = 8 AND code IN (?3, ?4, ?5)",
        )?
        .execute(params![
            person,
            now,
            held::CONSENT_UNKNOWN,
            held::PHONE_CONSENT_UNKNOWN,
            held::CONTACT_UNKNOWN
        ])?;
    Ok(count as u64)
}

/// Parked actions whose settle time is over wait again, to be looked for before they are repeated.
/// Events are read back many at once, and not here. Returns how many.
pub(crate) fn look_again(
    tx: &Transaction<'_>,
    destination: DestinationId,
    now: Millis,
) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached(
            "UPDATE action SET state = 0, code = 'read-back', due_at = ?2
             WHERE destination = ?1 AND state = 9 AND due_at IS NOT NULL
               AND due_at <= ?2 AND code = ?3 AND name <> ?4",
        )?
        .execute(params![destination.0, now, OUTCOME_UNKNOWN, names::TRACK_EVENT])?)
}

/// Ends the opposite of a join or leave that was just admitted, as far as it has not begun. What may
/// have reached Brevo (`outcome-unknown`) is still looked at.
pub(crate) fn supersede_membership(
    tx: &Transaction<'_>,
    list: i64,
    person: i64,
    name: &str,
    code: &str,
) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached(
            "UPDATE action SET state = 5, code = ?4, due_at = NULL
             WHERE list = ?1 AND person = ?2 AND state IN (0, 1, 8, 9) AND name = ?3
               AND (state IN (0, 8) OR (state = 9 AND code <> ?5))",
        )?
        .execute(params![list, person, name, code, OUTCOME_UNKNOWN])?)
}

/// A stored action.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // as in `NewAction` and `schema-1.sql`
pub struct Action {
    pub id: i64,
    pub installation: i64,
    pub destination: i64,
    pub person: Option<i64>,
    pub subject: String,
    pub effect: Digest,
    pub name: String,
    pub payload: String,
    pub occurred_at: Option<Millis>,
    pub received_at: Millis,
    pub rank: u8,
    pub observation: Digest,
    pub not_before: Option<Millis>,
    pub not_after: Option<Millis>,
    pub coalesce_key: Option<String>,
    pub batch: i64,
    pub position: i64,
    pub state: State,
    pub due_at: Option<Millis>,
    pub attempts: u32,
    pub attempted_at: Option<Millis>,
    pub code: Option<String>,
    pub intent: Option<String>,
    pub list: Option<i64>,
    pub thing: Option<Digest>,
}

impl Action {
    /// Columns in the order that [`Action::from_row`] reads.
    pub(crate) const COLUMNS: &'static str = "a.id, a.installation, a.destination, a.person, a.subject, a.effect, a.name, a.payload, \
         a.occurred_at, a.received_at, a.rank, a.observation, a.not_before, a.not_after, \
         a.coalesce_key, a.batch, a.position, a.state, a.due_at, a.attempts, a.attempted_at, \
         a.code, a.intent, a.list, a.thing";

    /// How many columns that are.
    pub(crate) const WIDTH: usize = 25;

    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = row.get(17)?;
        Ok(Self {
            id: row.get(0)?,
            installation: row.get(1)?,
            destination: row.get(2)?,
            person: row.get(3)?,
            subject: row.get(4)?,
            effect: Digest(row.get(5)?),
            name: row.get(6)?,
            payload: row.get(7)?,
            occurred_at: row.get(8)?,
            received_at: row.get(9)?,
            rank: row.get(10)?,
            observation: Digest(row.get(11)?),
            not_before: row.get(12)?,
            not_after: row.get(13)?,
            coalesce_key: row.get(14)?,
            batch: row.get(15)?,
            position: row.get(16)?,
            state: State::from_number(state).ok_or(rusqlite::Error::IntegralValueOutOfRange(17, state))?,
            due_at: row.get(18)?,
            attempts: row.get(19)?,
            attempted_at: row.get(20)?,
            code: row.get(21)?,
            intent: row.get(22)?,
            list: row.get(23)?,
            thing: row.get::<_, Option<[u8; 16]>>(24)?.map(Digest),
        })
    }

    /// The time that decides between states: the trusted one, else the time of arrival.
    pub fn time(&self) -> Millis {
        self.occurred_at.unwrap_or(self.received_at)
    }
}

/// Names of the actions that each Brevo account has carried out, by the account's name; closed actions
/// are kept for the dedupe horizon.
pub fn accepted_names(tx: &Transaction<'_>) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT DISTINCT destination.name, action.name FROM action
         JOIN destination ON destination.id = action.destination WHERE action.state = ?1",
    )?;
    let mut accepted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let rows = statement.query_map([State::Delivered.number()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (account, name): (String, String) = row?;
        accepted.entry(account).or_default().insert(name);
    }
    Ok(accepted)
}

/// One action.
pub fn get(tx: &Transaction<'_>, id: i64) -> Result<Option<Action>, StoreError> {
    let sql = format!("SELECT {} FROM action a WHERE a.id = ?1", Action::COLUMNS);
    Ok(tx.prepare_cached(&sql)?.query_row([id], Action::from_row).optional()?)
}

/// How many actions of an installation stand in each state (design rule 13).
pub fn counts(tx: &Transaction<'_>, installation: i64) -> Result<BTreeMap<State, u64>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT state, count(*) FROM action WHERE installation = ?1 GROUP BY state")?;
    let rows = statement
        .query_map([installation], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)? as u64)))?;
    let mut counts = BTreeMap::new();
    for row in rows {
        let (number, count) = row?;
        let state = State::from_number(number).ok_or(StoreError::Unreadable("action.state"))?;
        counts.insert(state, count);
    }
    Ok(counts)
}

/// The step from one state to another. `due_at` and `code` are replaced as given; `intent` is
/// kept where none is given.
#[derive(Clone, Debug)]
pub(crate) struct Transition<'a> {
    pub id: i64,
    pub from: State,
    pub to: State,
    pub due_at: Option<Millis>,
    pub code: Option<&'a str>,
    pub intent: Option<&'a str>,
}

/// Takes one step; [`StoreError::Conflict`] where the action is not in the state it starts from.
pub(crate) fn step(tx: &Transaction<'_>, step: &Transition<'_>) -> Result<(), StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE action SET state = ?3, due_at = ?4, code = ?5, intent = coalesce(?6, intent)
             WHERE id = ?1 AND state = ?2",
        )?
        .execute(params![
            step.id,
            step.from.number(),
            step.to.number(),
            step.due_at,
            step.code,
            step.intent
        ])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Marks a waiting action in flight and counts the attempt, before anything is sent.
pub(crate) fn take(tx: &Transaction<'_>, id: i64, now: Millis) -> Result<(), StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE action SET state = 1, due_at = NULL, attempts = attempts + 1, attempted_at = ?2
             WHERE id = ?1 AND state = 0",
        )?
        .execute(params![id, now])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Writes down how far an action in flight has come, before the next call.
pub(crate) fn progress(tx: &Transaction<'_>, id: i64, intent: &str) -> Result<(), StoreError> {
    let changed = tx
        .prepare_cached("UPDATE action SET intent = ?2 WHERE id = ?1 AND state = 1")?
        .execute(params![id, intent])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
