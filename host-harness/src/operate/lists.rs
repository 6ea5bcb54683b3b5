//! Lists at Brevo as an operator sees them, and the words that only an operator can give: begin a
//! new generation, confirm it or drop it, release held joins, go on after a stop.
//!
//! A segment that is sent in full again ("resync all") has no mark on the wire. So an operator says
//! beforehand that a full run will come; it fills a new generation beside the old one, and nothing
//! is removed until the operator says that it is complete. The list at Brevo keeps its number and
//! its members all the while.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Serialize;

use crate::contract::Subject;
use crate::people::identity::{self, PersonId};
use crate::people::memberships::{self, Membership};
use crate::registry::{ListMembership, names};
use crate::store::installations::DestinationId;
use crate::store::lists::{self, List};
use crate::store::outbox::{self, NewAction, State, held};
use crate::store::{Digest, StoreError, dead_letters};
use crate::world::Millis;

/// People that one confirmation may remove without `--at-most`: this many, or a twentieth of the
/// members where that is more (design rule 9).
pub const REMOVALS: usize = 100;

/// A list and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ListStatus {
    /// Row id.
    #[serde(skip)]
    pub id: i64,
    /// The Brevo account.
    pub account: String,
    /// `folder / name`, or `number 5`.
    pub list: String,
    /// Brevo's number; nothing: not looked for yet.
    pub brevo_id: Option<i64>,
    /// The tenant's word that a join starts nothing.
    pub inert: bool,
    /// The full run that holds.
    pub generation: i64,
    /// A new generation is being filled since then.
    pub filling_since: Option<Millis>,
    /// When a record about it last came.
    pub heard_at: Millis,
    /// People who are to be in it.
    pub members: i64,
    /// Of these, those who are proven to be in it at Brevo.
    pub delivered: i64,
    /// Members of whom the new generation has not spoken yet; only while one is being filled.
    pub absent: Option<i64>,
    /// Joins and leaves on their way.
    pub waiting: i64,
    /// Joins and leaves that are held, by the reason.
    pub held: BTreeMap<String, i64>,
    /// Joins and leaves that a person has to look at.
    pub parked_or_failed: i64,
    /// What an operator is asked for.
    pub waits_for: Option<Wait>,
}

/// A list waits for an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// `list-filling`, `baseline-unconfirmed`, or why it is stopped.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How every list of every account stands.
pub fn all(tx: &Transaction<'_>) -> Result<Vec<ListStatus>, StoreError> {
    lists::all(tx)?.into_iter().map(|list| status(tx, list)).collect()
}

/// Lists of one account that wait for a word.
pub fn waiting(tx: &Transaction<'_>, account: DestinationId) -> Result<Vec<ListStatus>, StoreError> {
    let mut waiting = Vec::new();
    for list in lists::all(tx)?.into_iter().filter(|list| list.destination == account) {
        if wait(tx, &list)?.is_some() {
            waiting.push(status(tx, list)?);
        }
    }
    Ok(waiting)
}

fn status(tx: &Transaction<'_>, list: List) -> Result<ListStatus, StoreError> {
    let account: String = tx
        .prepare_cached("SELECT name FROM destination WHERE id = ?1")?
        .query_row([list.destination.0], |row| row.get(0))?;
    let (members, delivered, absent): (i64, i64, i64) = tx
        .prepare_cached(
            "SELECT coalesce(sum(wanted), 0), coalesce(sum(wanted AND delivered IS 1), 0),
                    coalesce(sum(wanted AND generation < ?2), 0)
             FROM membership WHERE list = ?1",
        )?
        .query_row(params![list.id, list.last_generation], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let mut waiting = 0;
    let mut stuck = 0;
    let mut held = BTreeMap::new();
    let mut statement = tx.prepare_cached(
        "SELECT state, coalesce(code, ''), count(*) FROM action WHERE list = ?1 AND state IN (0, 1, 8, 9) GROUP BY 1, 2",
    )?;
    let rows = statement.query_map([list.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows {
        let (state, code, count): (i64, String, i64) = row?;
        match State::from_number(state) {
            Some(State::Held) => {
                held.insert(code, count);
            }
            Some(State::Parked) => stuck += count,
            _ => waiting += count,
        }
    }
    let failed: i64 = tx
        .prepare_cached(
            "SELECT count(DISTINCT action.id) FROM dead_letter JOIN action ON action.id = dead_letter.action
             WHERE dead_letter.state = 'open' AND action.list = ?1 AND action.state = 10",
        )?
        .query_row([list.id], |row| row.get(0))?;
    let waits_for = wait(tx, &list)?;
    Ok(ListStatus {
        id: list.id,
        account,
        list: list.title(),
        brevo_id: list.brevo_id,
        inert: list.inert,
        generation: list.generation,
        filling_since: list.filling_since,
        heard_at: list.heard_at,
        members,
        delivered,
        absent: list.filling_since.map(|_| absent),
        waiting,
        held,
        parked_or_failed: stuck + failed,
        waits_for,
    })
}

fn wait(tx: &Transaction<'_>, list: &List) -> Result<Option<Wait>, StoreError> {
    let wait = |code: &str, message: String, remedy: &str| {
        Some(Wait { code: code.to_owned(), message, remedy: remedy.to_owned() })
    };
    if let Some(code) = &list.stopped_code {
        // The words stand in the dead letter that was written with the stop.
        let words: Option<(String, String)> = tx
            .prepare_cached(
                "SELECT message, remedy FROM dead_letter WHERE code = ?1 AND pointer = ?2 AND stage = 'deliver'
                 ORDER BY state = 'open' DESC, id DESC LIMIT 1",
            )?
            .query_row(params![code, list.about()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (message, remedy) = words.unwrap_or_else(|| {
            (
                "Nothing is delivered to this list.".into(),
                "Correct the settings, then `harness lists resume`.".into(),
            )
        });
        return Ok(wait(code, message, &remedy));
    }
    if list.filling_since.is_some() {
        return Ok(wait(
            "list-filling",
            "A new generation of the list is being filled; nothing is removed until it is confirmed.".into(),
            "When the source has sent everybody, `harness lists confirm`; to drop it, `harness lists abandon`.",
        ));
    }
    let unconfirmed = lists::unconfirmed(tx, list.id)?;
    if unconfirmed > 0 {
        return Ok(wait(
            held::BASELINE_UNCONFIRMED,
            format!(
                "{unconfirmed} joins of a first or full run are held, because each may start something at Brevo."
            ),
            "`harness lists confirm` with --deliver-joins or --without-joins.",
        ));
    }
    Ok(None)
}

/// Why a word about a list was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A generation is being filled already.
    #[error("a new generation of the list is being filled already")]
    AlreadyFilling,
    /// No generation is being filled.
    #[error("no new generation of the list is being filled")]
    NotFilling,
    /// Neither a generation nor a held join waits for a word.
    #[error("the list waits for no word")]
    NothingToConfirm,
    /// Nothing is delivered to the list.
    #[error("the list is stopped")]
    Stopped,
    /// The list is not stopped.
    #[error("the list is not stopped")]
    NotStopped,
    /// Another row is the same list.
    #[error("the settings still name this list in two ways")]
    NamedTwice,
    /// Part of the run may still be in the host.
    #[error(
        "the run may not be whole: {queued} webhooks are queued, {put_aside} put aside, {quarantined} records or rejects wait for a person"
    )]
    Incomplete {
        /// Webhooks that were acknowledged and not yet worked on.
        queued: i64,
        /// Webhooks that were put aside since the generation began.
        put_aside: i64,
        /// Dead letters about what was read since then.
        quarantined: i64,
    },
    /// Nobody is in the new generation.
    #[error("the new generation holds nobody; an empty run never empties a list")]
    Empty,
    /// More people would be removed than one confirmation may.
    #[error("{absent} people are absent from the new generation, and {limit} may be removed at once")]
    TooMany {
        /// How many are absent.
        absent: usize,
        /// How many may be removed.
        limit: usize,
    },
    /// What becomes of held joins has to be said.
    #[error("{0} joins are held, and it was not said what becomes of them")]
    Joins(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ListError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyFilling => "list-already-filling",
            Self::NotFilling => "list-not-filling",
            Self::NothingToConfirm => "nothing-to-confirm",
            Self::Stopped => "list-stopped",
            Self::NotStopped => "list-not-stopped",
            Self::NamedTwice => lists::NAMED_TWICE,
            Self::Incomplete { .. } => "run-incomplete",
            Self::Empty => "empty-generation",
            Self::TooMany { .. } => "too-many-absent",
            Self::Joins(_) => "joins-undecided",
            Self::Store(_) => "store-failed",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::AlreadyFilling => "Confirm it, or drop it with `harness lists abandon`.",
            Self::NotFilling => "Begin one with `harness lists resync`.",
            Self::NothingToConfirm => "Nothing.",
            Self::Stopped => "`harness lists` says why; then `harness lists resume`.",
            Self::NotStopped => "Nothing.",
            Self::NamedTwice => "Name it in one way everywhere in the settings.",
            Self::Incomplete { .. } => {
                "Wait for the queue, requeue what was put aside (`harness dead-letters list`), or say --although-incomplete if none of it is about this list."
            }
            Self::Empty => {
                "Check that the source has sent the run; drop the generation with `harness lists abandon`."
            }
            Self::TooMany { .. } => {
                "Check the run at the source; if it is right, say --at-most with that number."
            }
            Self::Joins(_) => "Say --deliver-joins or --without-joins.",
            Self::Store(_) => "Look at the disk of the host's data directory.",
        }
    }
}

/// Begins a new generation, before the source sends everybody again.
pub fn resync(tx: &Transaction<'_>, list: i64, now: Millis) -> Result<(), ListError> {
    if get(tx, list)?.filling_since.is_some() {
        return Err(ListError::AlreadyFilling);
    }
    Ok(lists::begin_generation(tx, list, now)?)
}

/// Drops the new generation: nobody is removed. Who was added stays, held joins stay held.
pub fn abandon(tx: &Transaction<'_>, list: i64) -> Result<(), ListError> {
    if get(tx, list)?.filling_since.is_none() {
        return Err(ListError::NotFilling);
    }
    Ok(lists::end_generation(tx, list, false)?)
}

/// What a confirmation may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Whether held joins go to Brevo, where it was said.
    pub deliver_joins: Option<bool>,
    /// People that may be removed, instead of [`REMOVALS`] or a twentieth.
    pub at_most: Option<usize>,
    /// Even if part of the run may still be in the host.
    pub although_incomplete: bool,
}

/// What a confirmation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Leaves that are on their way.
    pub removed: usize,
    /// Joins that are on their way.
    pub joins_released: usize,
    /// Joins that never will be.
    pub joins_declined: usize,
}

/// The new generation is complete: who is absent from it leaves. And the word about held joins.
pub fn confirm(
    tx: &Transaction<'_>,
    list: i64,
    allowed: &Allowed,
    now: Millis,
) -> Result<Confirmed, ListError> {
    let list = get(tx, list)?;
    if list.stopped_code.is_some() {
        return Err(ListError::Stopped);
    }
    let unconfirmed = lists::unconfirmed(tx, list.id)?;
    let mut done = Confirmed::default();
    match list.filling_since {
        None if unconfirmed == 0 => return Err(ListError::NothingToConfirm),
        None => {}
        Some(since) => {
            if !allowed.although_incomplete {
                whole(tx, &list, since)?;
            }
            let absent = memberships::absent(tx, &list)?;
            allow(tx, &list, absent.len(), allowed.at_most)?;
            if unconfirmed > 0 && allowed.deliver_joins.is_none() {
                return Err(ListError::Joins(unconfirmed));
            }
            for member in &absent {
                leave(tx, &list, member, since, now)?;
            }
            done.removed = absent.len();
            lists::end_generation(tx, list.id, true)?;
        }
    }
    match allowed.deliver_joins {
        Some(true) => done.joins_released = lists::settle_unconfirmed(tx, list.id, true, now)?,
        Some(false) => done.joins_declined = lists::settle_unconfirmed(tx, list.id, false, now)?,
        None if list.filling_since.is_none() => return Err(ListError::Joins(unconfirmed)),
        None => {}
    }
    Ok(done)
}

/// Nothing that came since the generation began is still in the host.
fn whole(tx: &Transaction<'_>, list: &List, since: Millis) -> Result<(), ListError> {
    let count = |sql: &str| -> Result<i64, StoreError> {
        let sql = format!("{sql} AND installation IN (SELECT id FROM installation WHERE destination = ?1)");
        Ok(tx.prepare_cached(&sql)?.query_row(params![list.destination.0, since], |row| row.get(0))?)
    };
    let queued = count("SELECT count(*) FROM journal WHERE state = 0 AND ?2 = ?2")?;
    let put_aside = count("SELECT count(*) FROM journal WHERE state = 2 AND received_at >= ?2")?;
    let quarantined = count(
        "SELECT count(*) FROM dead_letter WHERE state <> 'resolved' AND stage IN ('read', 'map') AND at >= ?2",
    )?;
    if queued + put_aside + quarantined > 0 {
        return Err(ListError::Incomplete { queued, put_aside, quarantined });
    }
    Ok(())
}

fn allow(tx: &Transaction<'_>, list: &List, absent: usize, at_most: Option<usize>) -> Result<(), ListError> {
    let members: i64 = tx
        .prepare_cached("SELECT coalesce(sum(wanted), 0) FROM membership WHERE list = ?1")
        .and_then(|mut statement| statement.query_row([list.id], |row| row.get(0)))
        .map_err(StoreError::from)?;
    let members = members as usize;
    if absent > 0 && absent == members {
        return Err(ListError::Empty);
    }
    let limit = at_most.unwrap_or_else(|| REMOVALS.max(members / 20));
    if absent > limit { Err(ListError::TooMany { absent, limit }) } else { Ok(()) }
}

/// A leave that no record called for, of somebody whom a full run did not speak of.
fn leave(
    tx: &Transaction<'_>,
    list: &List,
    member: &Membership,
    since: Millis,
    now: Millis,
) -> Result<(), StoreError> {
    memberships::leave_absent(tx, list.id, member.person, since)?;
    outbox::supersede_membership(tx, list.id, member.person.0, names::JOIN_LIST, "newer-leave")?;
    let version = format!("generation:{}", list.last_generation);
    own_action(tx, list, member, false, &version, State::Waiting, now)
}

/// A stopped list is delivered to again. One that was gone is found or made anew, and gets its
/// members as a full run would bring them. Says how many joins that are.
pub fn resume(tx: &Transaction<'_>, list: i64, now: Millis) -> Result<usize, ListError> {
    let list = get(tx, list)?;
    let Some(code) = list.stopped_code.as_deref() else { return Err(ListError::NotStopped) };
    if let Some(id) = list.brevo_id
        && lists::at_brevo(tx, list.destination, id, list.id)?
    {
        return Err(ListError::NamedTwice);
    }
    lists::resume(tx, list.id, now)?;
    dead_letters::resolve_about(tx, list.destination.0, &list.about(), now)?;
    if code != lists::GONE {
        return Ok(0);
    }
    let undelivered = memberships::undelivered(tx, list.id)?;
    let state = if list.inert { State::Waiting } else { State::Held };
    let version = format!("again:{now}");
    for member in &undelivered {
        own_action(tx, &list, member, true, &version, state, now)?;
    }
    Ok(undelivered.len())
}

/// An action that the host itself calls for.
fn own_action(
    tx: &Transaction<'_>,
    list: &List,
    member: &Membership,
    join: bool,
    version: &str,
    state: State,
    now: Millis,
) -> Result<(), StoreError> {
    let Some(reference) = list.reference() else { return Ok(()) };
    let person = identity::names_of(tx, member.person)?;
    let subject =
        serde_json::to_string(&Subject::Person(person)).map_err(|_| StoreError::Unreadable("subject"))?;
    let payload = serde_json::to_string(&ListMembership { list: reference, inert: list.inert })
        .map_err(|_| StoreError::Unreadable("payload"))?;
    let PersonId(person) = member.person;
    let new = NewAction {
        installation: member.installation,
        destination: list.destination.0,
        person: Some(person),
        subject: &subject,
        effect: Digest::of(&[
            &list.key.0,
            &list.destination.0.to_le_bytes(),
            version.as_bytes(),
            &person.to_le_bytes(),
        ]),
        name: if join { names::JOIN_LIST } else { names::LEAVE_LIST },
        payload: &payload,
        occurred_at: None,
        received_at: now,
        rank: member.rank,
        observation: member.observation,
        not_before: None,
        not_after: None,
        coalesce_key: None,
        list: Some(list.id),
        thing: None,
        class: outbox::Class::Live,
        batch: 0, // of no record
        position: 0,
        state,
        code: (state == State::Held).then_some(held::BASELINE_UNCONFIRMED),
    };
    outbox::admit(tx, &new).map(|_| ())
}

fn get(tx: &Transaction<'_>, list: i64) -> Result<List, StoreError> {
    lists::get(tx, list)?.ok_or(StoreError::Unreadable("list"))
}
