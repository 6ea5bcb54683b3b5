//! Erased people stay erased, through replays too.
//!
//! Of an erased person only salted hashes of the names remain: enough to recognise a record
//! about them, not enough to list them. With the hash of an address stays what it had refused,
//! because Brevo forgets a block with the contact that it was set on.
//!
//! | case | outcome |
//! |---|---|
//! | a name that only the erased person had | every record that names it is refused, at every door |
//! | an address that somebody else has as well | it stays theirs, and every opt-out that holds for it is theirs too from then on |
//! | a name that an operator let in again | records that name it count again; whoever has the address gets what it had refused, and only their own newer opt-in lifts it |

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::consent::{self, Consents, Restriction};
use super::identity::{self, PersonId, email_key};
use super::memberships;
use crate::contract::{Person, Subject};
use crate::registry::Channel;
use crate::store::installations::DestinationId;
use crate::store::{Digest, StoreError, batches};
use crate::world::{Millis, Random};

const SALT: &str = "tombstone-salt";

/// Makes the salt of this file, once.
pub fn ensure_salt(tx: &Transaction<'_>, random: &dyn Random) -> Result<(), StoreError> {
    let mut salt = [0; 32];
    random.fill(&mut salt);
    tx.execute(
        "INSERT INTO host (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![SALT, salt.as_slice()],
    )?;
    Ok(())
}

/// True where anybody was ever erased.
pub fn any(tx: &Transaction<'_>, destination: DestinationId) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM tombstone WHERE destination = ?1)")?
        .query_row([destination.0], |row| row.get(0))?)
}

/// True where any name of the person belongs to somebody who was erased.
pub fn is_erased(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: &Person,
) -> Result<bool, StoreError> {
    if !any(tx, destination)? {
        return Ok(false);
    }
    let salt = salt(tx)?;
    for (kind, value) in names(person) {
        let found = tx
            .prepare_cached("SELECT 1 FROM tombstone WHERE destination = ?1 AND key = ?2 AND refuses")?
            .exists(params![destination.0, hash(&salt, &kind, &value).0])?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What somebody who was erased had refused for an address.
pub fn restriction(
    tx: &Transaction<'_>,
    destination: DestinationId,
    channel: Channel,
    address: &str,
) -> Result<Option<Restriction>, StoreError> {
    if !any(tx, destination)? {
        return Ok(None);
    }
    let key = hash(&salt(tx)?, address_kind(channel), address);
    let found = left(tx, destination, key)?;
    Ok(Some(found).filter(|found| *found != Restriction::default()))
}

/// An address that Brevo has of a person who is erased, and what it had refused there.
#[derive(Clone, Debug)]
pub struct AtBrevo {
    /// Which channel.
    pub channel: Channel,
    /// As `identity` keeps it.
    pub address: String,
    /// The block at Brevo.
    pub restriction: Restriction,
}

/// Forgets a person: hashes of every known name stay, names, consent, memberships and open actions go.
/// What is closed is blanked by [`sweep`]. Returns how many open actions were refused by it.
pub fn erase(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: PersonId,
    at_brevo: &[AtBrevo],
    now: Millis,
) -> Result<usize, StoreError> {
    let known: Vec<(String, String)> = {
        let mut statement = tx.prepare("SELECT kind, value FROM identity WHERE person = ?1")?;
        let rows = statement.query_map([person.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let own = |channel| consent::restriction(tx, person.0, channel);
    let (email, sms) = (own(Channel::Email)?, own(Channel::Sms)?);
    let grave = Grave { tx, destination, person, salt: salt(tx)?, now };
    // Whoever shares a mailbox with them was blocked because of their word, and stays so by their own.
    let mut consents = Consents::default();
    for (channel, left) in [(Channel::Email, &email), (Channel::Sms, &sms)] {
        for other in identity::sharing(tx, person, channel)? {
            consents.restrict(tx, other.0, channel, left, now)?;
        }
    }
    consents.flush(tx)?;
    for (kind, value) in &known {
        let restriction = match kind.as_str() {
            "email" => email,
            "phone" => sms,
            _ => Restriction::default(),
        };
        if !grave.bury(kind, value, restriction)? {
            identity::forget_mailbox(tx, destination, kind, value)?;
        }
    }
    for one in at_brevo {
        let own = if one.channel == Channel::Email { email } else { sms };
        grave.bury(address_kind(one.channel), &one.address, one.restriction.join(own))?;
    }
    tx.execute("DELETE FROM identity WHERE person = ?1", [person.0])?;
    tx.execute("DELETE FROM consent WHERE person = ?1", [person.0])?;
    tx.execute("DELETE FROM deletion WHERE person = ?1", [person.0])?;
    memberships::forget(tx, person)?;
    tx.execute(
        "UPDATE person SET brevo_id = NULL, presence = 0, looked_at = NULL, desired = '{}', fields = '{}',
                refused = '{}' WHERE id = ?1",
        [person.0],
    )?;
    tx.execute(
        "INSERT INTO erasure (person, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![person.0, now],
    )?;
    // States 0 waiting, 8 held, 9 parked become 7 refused; what is in flight ends by itself, and what
    // failed is refused when it is requeued.
    Ok(tx.execute(
        "UPDATE action SET state = 7, code = 'person-erased', due_at = NULL, subject = '{}', payload = '{}',
                coalesce_key = NULL
         WHERE person = ?1 AND state IN (0, 1, 8, 9) AND state <> 1",
        [person.0],
    )?)
}

/// Lets every name of an erased person in again who has this one. What the addresses had refused
/// stays. Returns how many names it were.
pub fn readmit(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: &Person,
) -> Result<usize, StoreError> {
    if !any(tx, destination)? {
        return Ok(0);
    }
    let salt = salt(tx)?;
    let mut count = 0;
    for (kind, value) in names(person) {
        count += tx
            .prepare_cached(
                "UPDATE tombstone SET refuses = 0 WHERE destination = ?1 AND refuses AND (key = ?2 OR person =
                    (SELECT person FROM tombstone WHERE destination = ?1 AND key = ?2))",
            )?
            .execute(params![destination.0, hash(&salt, &kind, &value).0])?;
    }
    Ok(count)
}

/// Blanks what is closed and still names people who were erased since the last time: actions, the
/// records that called for them, and dead letters about either. Webhooks as they came, and records
/// that called for nothing, end with their retention. Returns how many rows were changed.
pub fn sweep(tx: &Transaction<'_>, now: Millis) -> Result<usize, StoreError> {
    if !tx.prepare_cached("SELECT 1 FROM erasure LIMIT 1")?.exists([])? {
        return Ok(0);
    }
    let batches = column(
        tx,
        "SELECT DISTINCT batch FROM action WHERE person IN (SELECT person FROM erasure) AND batch > 0
         UNION SELECT DISTINCT batch FROM dead_letter WHERE stage = 'map' AND batch IS NOT NULL",
    )?;
    let mut changed = 0;
    for batch in batches {
        let destination: Option<i64> = tx
            .prepare_cached(
                "SELECT i.destination FROM batch b JOIN installation i ON i.id = b.installation WHERE b.id = ?1",
            )?
            .query_row([batch], |row| row.get(0))
            .optional()?;
        let Some(destination) = destination.map(DestinationId) else { continue };
        let blanked = batches::blank(tx, batch, |record| match &record.subject {
            Subject::Person(person) => is_erased(tx, destination, person),
            Subject::Object(_) => Ok(false),
        })?;
        changed += blanked;
        if blanked > 0 {
            changed += close_letters_about_nothing(tx, batch, now)?;
        }
    }
    changed += tx.execute(
        "UPDATE dead_letter SET state = 'resolved', closed_at = ?1
         WHERE state = 'open' AND action IN (SELECT id FROM action WHERE state IN (7, 10)
                AND name <> 'brevo/delete-contact' AND person IN (SELECT person FROM erasure))",
        [now],
    )?;
    changed += tx.execute(
        "UPDATE action SET subject = '{}', payload = '{}', coalesce_key = NULL
         WHERE person IN (SELECT person FROM erasure) AND state <> 1 AND subject <> '{}'
           AND name <> 'brevo/delete-contact'",
        [],
    )?;
    tx.execute("DELETE FROM erasure", [])?;
    Ok(changed)
}

/// Quarantined records that were blanked can't be requeued any more.
fn close_letters_about_nothing(tx: &Transaction<'_>, batch: i64, now: Millis) -> Result<usize, StoreError> {
    let mut letters = tx.prepare_cached(
        "SELECT id, position FROM dead_letter WHERE batch = ?1 AND stage = 'map' AND state <> 'resolved'",
    )?;
    let letters: Vec<(i64, i64)> =
        letters.query_map([batch], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut closed = 0;
    for (id, position) in letters {
        if batches::get(tx, batch, usize::try_from(position).unwrap_or(usize::MAX))?.is_none() {
            closed += tx.execute(
                "UPDATE dead_letter SET state = 'resolved', closed_at = ?2 WHERE id = ?1",
                params![id, now],
            )?;
        }
    }
    Ok(closed)
}

fn column(tx: &Transaction<'_>, sql: &str) -> Result<Vec<i64>, StoreError> {
    let mut statement = tx.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where an erased person's names go.
struct Grave<'a, 't> {
    tx: &'a Transaction<'t>,
    destination: DestinationId,
    person: PersonId,
    salt: Vec<u8>,
    now: Millis,
}

impl Grave<'_, '_> {
    /// True where somebody else has the name as well.
    fn bury(&self, kind: &str, value: &str, restriction: Restriction) -> Result<bool, StoreError> {
        let Self { tx, destination, person, .. } = self;
        let shared = tx
            .prepare_cached(
                "SELECT 1 FROM identity WHERE destination = ?1 AND kind = ?2 AND value = ?3 AND person <> ?4",
            )?
            .exists(params![destination.0, kind, value, person.0])?;
        let key = hash(&self.salt, kind, value);
        let kept = left(tx, *destination, key)?.join(restriction);
        if shared && kept == Restriction::default() {
            return Ok(shared);
        }
        tx.prepare_cached(
            "INSERT INTO tombstone (destination, key, at, person, refuses, opted_out_at, suppressed, suppressed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET at = ?3, person = coalesce(person, ?4), refuses = ?5, opted_out_at = ?6, suppressed = ?7,
                    suppressed_at = ?8",
        )?
        .execute(params![
            destination.0,
            key.0,
            self.now,
            person.0,
            !shared,
            kept.opted_out_at,
            kept.suppressed.map(|(reason, _)| consent::reason_text(reason)),
            kept.suppressed.map(|(_, at)| at),
        ])?;
        Ok(shared)
    }
}

fn left(tx: &Transaction<'_>, destination: DestinationId, key: Digest) -> Result<Restriction, StoreError> {
    let row: Option<(Option<Millis>, Option<String>, Option<Millis>)> = tx
        .prepare_cached(
            "SELECT opted_out_at, suppressed, suppressed_at FROM tombstone WHERE destination = ?1 AND key = ?2",
        )?
        .query_row(params![destination.0, key.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((opted_out_at, reason, at)) = row else { return Ok(Restriction::default()) };
    let suppressed = match (reason, at) {
        (Some(reason), Some(at)) => Some((consent::reason_from(&reason)?, at)),
        _ => None,
    };
    Ok(Restriction { opted_out_at, suppressed })
}

/// Every name of a person, as `identity` keeps it.
fn names(person: &Person) -> Vec<(String, String)> {
    let mut names = Vec::new();
    names.extend(person.external_id.iter().map(|v| ("external-id".to_owned(), v.clone())));
    names.extend(person.email.iter().map(|v| ("email".to_owned(), email_key(v))));
    names.extend(person.phone.iter().map(|v| ("phone".to_owned(), v.clone())));
    names.extend(person.aliases.iter().map(|a| (format!("alias:{}", a.kind), a.value.clone())));
    names
}

fn address_kind(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email",
        Channel::Sms => "phone",
    }
}

fn salt(tx: &Transaction<'_>) -> Result<Vec<u8>, StoreError> {
    tx.query_row("SELECT value FROM host WHERE name = ?1", [SALT], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::Unreadable("tombstone salt"))
}

fn hash(salt: &[u8], kind: &str, value: &str) -> Digest {
    Digest::of(&[salt, kind.as_bytes(), value.as_bytes()])
}
