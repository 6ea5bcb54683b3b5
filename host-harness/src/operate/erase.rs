//! Deleting people by an operator's word, and the words about deletions that are held (design rule 9).

use rusqlite::{Transaction, params};
use serde::Serialize;

use crate::contract::{Person, Subject};
use crate::people::fields::{Standing, Wanted};
use crate::people::identity::{self, PersonId, Resolution};
use crate::people::{deletions, tombstone};
use crate::registry::{DeleteBehavior, DeleteContact, Inadmissible, Payload, names};
use crate::store::installations::{self, DestinationId, Installation, InstallationId};
use crate::store::outbox::{self, NewAction, State, held};
use crate::store::{Digest, StoreError, dead_letters};
use crate::world::Millis;

/// People whom one order may name without a higher limit being said.
pub const AT_MOST: usize = 100;

/// An operator's word outranks every observation of the same time.
const RANK: u8 = 255;

/// A name by which a person is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The customer's own id.
    ExternalId,
    /// E-mail address.
    Email,
    /// Phone number, in the form in which the source sends it.
    Phone,
}

impl By {
    /// The person of that name.
    pub fn person(self, name: &str) -> Person {
        let name = Some(name.to_owned());
        let nobody = Person { external_id: None, email: None, phone: None, aliases: Vec::new() };
        match self {
            Self::ExternalId => Person { external_id: name, ..nobody },
            Self::Email => Person { email: name, ..nobody },
            Self::Phone => Person { phone: name, ..nobody },
        }
    }
}

/// Whom a name stands for. Holds nothing personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// One person.
    Known,
    /// Nobody that this host knows.
    Unknown,
    /// Somebody who was erased.
    Erased,
    /// Several people share the address.
    Shared,
}

/// Why nobody was deleted.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// More people than one order may name.
    #[error("{named} people are named, and {limit} may be deleted at once")]
    TooMany {
        /// How many are named.
        named: usize,
        /// How many may be.
        limit: usize,
    },
    /// A soft deletion is of somebody that the host knows.
    #[error("nobody is known by the name in line {0}")]
    Unknown(usize),
    /// The address belongs to several people.
    #[error("several people share the address in line {0}")]
    Shared(usize),
    /// The order can't be given for this installation.
    #[error("the deletion can't be done as it is asked for: {0}")]
    Inadmissible(#[from] Inadmissible),
    /// Nothing is held.
    #[error("no deletion is held")]
    NothingHeld,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EraseError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too-many-deletes",
            Self::Unknown(_) => "unknown-person",
            Self::Shared(_) => "identity-ambiguous",
            Self::Inadmissible(why) => why.code(),
            Self::NothingHeld => "nothing-held",
            Self::Store(_) => "store-failed",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => {
                "Look whether the list is right; if it is, say --at-most with that number."
            }
            Self::Unknown(_) => {
                "Look the name up at the source; erasing for good (--behavior hard) works for names that are not known here too."
            }
            Self::Shared(_) => "Name the person by their own id (--by external-id).",
            Self::Inadmissible(_) => "Name an attribute of type date that the connector declares, or none.",
            Self::NothingHeld => "Nothing.",
            Self::Store(_) => "Look at the disk of the host's data directory.",
        }
    }
}

/// Whom the names stand for, in their order.
pub fn look(
    tx: &Transaction<'_>,
    destination: DestinationId,
    people: &[Person],
) -> Result<Vec<Whom>, StoreError> {
    people.iter().map(|person| whom(tx, destination, person)).collect()
}

fn whom(tx: &Transaction<'_>, destination: DestinationId, person: &Person) -> Result<Whom, StoreError> {
    if tombstone::is_erased(tx, destination, person)? {
        return Ok(Whom::Erased);
    }
    Ok(match identity::find(tx, destination, person)?.len() {
        0 => Whom::Unknown,
        1 => Whom::Known,
        _ => Whom::Shared,
    })
}

/// Puts one deletion for each person into the outbox, or none at all. A hard one is also for names
/// that nobody has here, so that whoever has them never comes in, and for people who were erased,
/// because another's hand may have made them at Brevo again. Returns the actions.
pub fn order(
    tx: &Transaction<'_>,
    installation: &Installation,
    people: &[Person],
    delete: &DeleteContact,
    at_most: usize,
    now: Millis,
) -> Result<Vec<i64>, EraseError> {
    if people.len() > at_most {
        return Err(EraseError::TooMany { named: people.len(), limit: at_most });
    }
    Payload::DeleteContact(delete.clone()).check(&installation.profile.targets)?;
    let mut found = Vec::with_capacity(people.len());
    for (line, person) in people.iter().enumerate() {
        match (whom(tx, installation.destination, person)?, delete.behavior) {
            (Whom::Shared, _) => return Err(EraseError::Shared(line + 1)),
            (Whom::Unknown | Whom::Erased, DeleteBehavior::Soft) => {
                return Err(EraseError::Unknown(line + 1));
            }
            _ => {}
        }
        match identity::resolve(tx, installation.destination, person, now)? {
            Resolution::One(id) => found.push((id, person)),
            Resolution::Shared(_) | Resolution::Anonymous => return Err(EraseError::Shared(line + 1)),
        }
    }
    let mut actions = Vec::with_capacity(found.len());
    for (id, person) in found {
        actions.push(order_one(tx, installation, id, person, delete, now)?);
    }
    Ok(actions)
}

fn order_one(
    tx: &Transaction<'_>,
    installation: &Installation,
    id: PersonId,
    person: &Person,
    delete: &DeleteContact,
    now: Millis,
) -> Result<i64, StoreError> {
    let observation = Digest::of(&[b"operator", &now.to_le_bytes(), &id.0.to_le_bytes()]);
    begin(tx, id, delete.mark.as_deref(), now, &Standing::new(now, RANK, observation), now)?;
    let subject = serde_json::to_string(&Subject::Person(person.clone()))
        .map_err(|_| StoreError::Unreadable("subject"))?;
    let payload = serde_json::to_string(delete).map_err(|_| StoreError::Unreadable("payload"))?;
    let new = NewAction {
        installation: installation.id.0,
        destination: installation.destination.0,
        person: Some(id.0),
        subject: &subject,
        effect: Digest::of(&[&installation.key.0, b"operator-delete", &observation.0]),
        name: names::DELETE_CONTACT,
        payload: &payload,
        occurred_at: Some(now),
        received_at: now,
        rank: RANK,
        observation,
        not_before: None,
        not_after: None,
        coalesce_key: None,
        list: None,
        thing: None,
        class: outbox::Class::Urgent,
        batch: 0, // of no record
        position: 0,
        state: State::Waiting,
        code: None,
    };
    Ok(outbox::admit(tx, &new)?.id())
}

/// What the commit of a record does: what happened before ends.
fn begin(
    tx: &Transaction<'_>,
    id: PersonId,
    mark: Option<&str>,
    at: Millis,
    standing: &Standing,
    now: Millis,
) -> Result<(), StoreError> {
    let mut wanted = Wanted::default();
    deletions::begin(tx, &mut wanted, id, at, now)?;
    if let Some(mark) = mark {
        deletions::mark(tx, &mut wanted, id, mark, at, standing)?;
    }
    wanted.flush(tx)
}

/// Deletions of an installation that wait for an operator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldDeletes {
    /// Whose.
    pub tenant: String,
    /// Which connector's records asked for them.
    pub connector: String,
    /// More than a day may bring.
    pub capped: i64,
    /// Older than what is known since, or without a time that can be trusted.
    pub outdated: i64,
    /// Of both, those that erase for good.
    pub hard: i64,
}

/// What is held, by installation; installations without are left out.
pub fn held(tx: &Transaction<'_>) -> Result<Vec<HeldDeletes>, StoreError> {
    let mut all = Vec::new();
    for row in installations::all(tx)? {
        let (capped, outdated, hard): (i64, i64, i64) = tx
            .prepare_cached(
                "SELECT coalesce(sum(code = ?2), 0), coalesce(sum(code = ?3), 0),
                        coalesce(sum(json_extract(payload, '$.behavior') = 'hard'), 0)
                 FROM action WHERE installation = ?1 AND name = 'brevo/delete-contact' AND state = 8
                   AND code IN (?2, ?3)",
            )?
            .query_row(params![row.id.0, held::DELETES_CAPPED, held::DELETE_OUTDATED], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        if capped + outdated > 0 {
            all.push(HeldDeletes { tenant: row.tenant, connector: row.connector, capped, outdated, hard });
        }
    }
    Ok(all)
}

/// The word about every deletion that is held for an installation: it is done, or never will be.
/// Returns how many it were.
pub fn settle(
    tx: &Transaction<'_>,
    installation: InstallationId,
    release: bool,
    now: Millis,
) -> Result<usize, EraseError> {
    let sql = format!(
        "SELECT {} FROM action a WHERE a.installation = ?1 AND a.name = 'brevo/delete-contact'
           AND a.state = 8 AND a.code IN (?2, ?3) ORDER BY a.id",
        outbox::Action::COLUMNS
    );
    let rows: Vec<outbox::Action> = tx
        .prepare(&sql)
        .and_then(|mut statement| {
            let codes = params![installation.0, held::DELETES_CAPPED, held::DELETE_OUTDATED];
            statement.query_map(codes, outbox::Action::from_row)?.collect()
        })
        .map_err(StoreError::from)?;
    let Some(destination) = rows.first().map(|action| action.destination) else {
        return Err(EraseError::NothingHeld);
    };
    for action in &rows {
        let (to, due_at, code) = match release {
            true => (State::Waiting, Some(now.max(action.not_before.unwrap_or(now))), None),
            false => (State::Refused, None, Some(deletions::DELETE_DECLINED)),
        };
        let step = outbox::Transition { id: action.id, from: State::Held, to, due_at, code, intent: None };
        outbox::step(tx, &step)?;
        if let (true, Some(person), Ok(Payload::DeleteContact(delete))) =
            (release, action.person, Payload::parse(&action.name, &action.payload))
        {
            let standing = Standing::new(action.time(), action.rank, action.observation);
            begin(tx, PersonId(person), delete.mark.as_deref(), action.time(), &standing, now)?;
        }
    }
    dead_letters::resolve_about_of(tx, installation.0, deletions::ABOUT, now)?;
    tracing::info!(
        installation = installation.0,
        destination,
        release,
        deletes = rows.len(),
        "held deletions"
    );
    Ok(rows.len())
}

/// Lets people who were erased in again: records that name them count from now on. What their
/// addresses had refused stays. Returns how many people were found.
pub fn readmit(
    tx: &Transaction<'_>,
    destination: DestinationId,
    people: &[Person],
) -> Result<usize, StoreError> {
    let mut found = 0;
    for person in people {
        found += usize::from(tombstone::readmit(tx, destination, person)? > 0);
    }
    Ok(found)
}

/// Where an ordered deletion stands: state and code.
pub fn stands(tx: &Transaction<'_>, action: i64) -> Result<Option<(State, Option<String>)>, StoreError> {
    Ok(outbox::get(tx, action)?.map(|action| (action.state, action.code)))
}
