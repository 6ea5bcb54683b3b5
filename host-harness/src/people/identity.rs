//! Who is who at one Brevo account.
//!
//! An external id or a vendor's alias names one person. An address may be shared. Nothing is
//! merged on a guess:
//!
//! | the record names | outcome |
//! |---|---|
//! | a known external id | that person |
//! | a new external id and an alias of a person without one | that person gets the external id (the vendor says so) |
//! | a new external id and the address of exactly one person that has neither external id nor alias | that person gets it (until now only its mailbox was known) |
//! | a new external id otherwise | a new person |
//! | no external id, a known alias | that person |
//! | only addresses, known for exactly one person | that person |
//! | only addresses, known for several | shared: opt-outs and suppressions hold for all of them, the rest is quarantined |
//! | an external id or alias, and the address of exactly one other person of whom only the mailbox was known | that other becomes part of it, unless they were ever at Brevo |
//! | an address that others have as well | it is shared; every opt-out and suppression of one holds for all |
//! | an alias of another person than the external id | the external id decides, the alias moves to it, and so does every opt-out; a person without external id who was never at Brevo becomes part of it, memberships of lists included |

use rusqlite::{Transaction, params};

use super::consent::Consents;
use super::{deletions, memberships, tombstone};
use crate::contract::{Alias, Person};
use crate::registry::Channel;
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::store::outbox;
use crate::world::Millis;

/// A row id of `person`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId(pub i64);

/// Whom a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// One person; every name in the record is theirs from now on.
    One(PersonId),
    /// The address belongs to several people and nothing else names one of them.
    Shared(Vec<PersonId>),
    /// Nothing names a person.
    Anonymous,
}

const EXTERNAL_ID: &str = "external-id";
const EMAIL: &str = "email";
const PHONE: &str = "phone";

/// Finds or creates the person, and learns every name that the record gives.
pub fn resolve(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: &Person,
    now: Millis,
) -> Result<Resolution, StoreError> {
    let mut consents = Consents::default();
    let (resolution, _) = Search::new(tx, &mut consents, destination, now).resolve(person)?;
    consents.flush(tx)?;
    Ok(resolution)
}

/// Every name that is known of a person; of several of one kind the newest.
pub fn names_of(tx: &Transaction<'_>, id: PersonId) -> Result<Person, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT kind, value FROM identity WHERE person = ?1 ORDER BY at, value")?;
    let rows = statement.query_map([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut person = Person { external_id: None, email: None, phone: None, aliases: Vec::new() };
    for row in rows {
        let (kind, value): (String, String) = row?;
        match kind.as_str() {
            EXTERNAL_ID => person.external_id = Some(value),
            EMAIL => person.email = Some(value),
            PHONE => person.phone = Some(value),
            other => {
                let Some(kind) = other.strip_prefix("alias:") else { continue };
                person.aliases.push(Alias { kind: kind.to_owned(), value });
            }
        }
    }
    Ok(person)
}

/// Every address of a person on a channel, the one that was learned last first.
pub fn addresses_of(tx: &Transaction<'_>, id: PersonId, channel: Channel) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT value FROM identity WHERE person = ?1 AND kind = ?2 ORDER BY at DESC, value",
    )?;
    let rows = statement.query_map(params![id.0, address_kind(channel)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lower-cased, as Brevo compares addresses. The local part is the mailbox owner's business, but
/// Brevo treats addresses that differ in case as one contact.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// One person looked for. Every name is looked up once, and again only after it was changed.
pub(super) struct Search<'a, 't> {
    tx: &'a Transaction<'t>,
    consents: &'a mut Consents,
    destination: DestinationId,
    now: Millis,
    /// Kind, value, and whose it is.
    seen: Vec<(String, String, Vec<PersonId>)>,
    /// Whether any name changed hands.
    changed: bool,
    /// Whether somebody who is known learns new names.
    learns: bool,
}

impl<'a, 't> Search<'a, 't> {
    pub fn new(
        tx: &'a Transaction<'t>,
        consents: &'a mut Consents,
        destination: DestinationId,
        now: Millis,
    ) -> Self {
        Self { tx, consents, destination, now, seen: Vec::with_capacity(4), changed: false, learns: true }
    }

    /// Whether a person who is known already learns the names that the record gives.
    pub fn learning(mut self, learns: bool) -> Self {
        self.learns = learns;
        self
    }

    /// As [`resolve`]. True where any name changed hands, so that what others were found by may no
    /// longer hold.
    pub fn resolve(mut self, person: &Person) -> Result<(Resolution, bool), StoreError> {
        if person.is_anonymous() {
            return Ok((Resolution::Anonymous, false));
        }
        let found = match &person.external_id {
            Some(external_id) => match self.unique(EXTERNAL_ID, external_id)? {
                Some(known) => Some(known),
                None => self.unidentified(person)?,
            },
            None => match self.by_alias(person)? {
                Some(known) => Some(known),
                None => {
                    let mut known = self.by_address(person)?;
                    match known.len() {
                        0 => None,
                        1 => known.pop(),
                        _ => return Ok((Resolution::Shared(known), false)),
                    }
                }
            },
        };
        let id = match found {
            Some(id) if !self.learns => return Ok((Resolution::One(id), false)),
            Some(id) => id,
            None => {
                self.tx
                    .prepare_cached("INSERT INTO person (destination) VALUES (?1)")?
                    .execute([self.destination.0])?;
                PersonId(self.tx.last_insert_rowid())
            }
        };
        self.learn(id, person)?;
        Ok((Resolution::One(id), self.changed))
    }

    /// A person without external id that a new external id may be given to.
    fn unidentified(&mut self, person: &Person) -> Result<Option<PersonId>, StoreError> {
        if let Some(known) = self.by_alias(person)?
            && !has(self.tx, known, "kind = 'external-id'")?
        {
            return Ok(Some(known));
        }
        let known = self.by_address(person)?;
        match known.as_slice() {
            [one] if !self.is_identified(*one)? => Ok(Some(*one)),
            _ => Ok(None),
        }
    }

    fn by_alias(&mut self, person: &Person) -> Result<Option<PersonId>, StoreError> {
        for alias in &person.aliases {
            if let Some(known) = self.unique(&alias_kind(&alias.kind), &alias.value)? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Everyone who has the e-mail address; without one, everyone who has the phone number.
    fn by_address(&mut self, person: &Person) -> Result<Vec<PersonId>, StoreError> {
        match (&person.email, &person.phone) {
            (Some(email), _) => Ok(self.holders(EMAIL, &email_key(email))?.to_vec()),
            (None, Some(phone)) => Ok(self.holders(PHONE, phone)?.to_vec()),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn learn(&mut self, id: PersonId, person: &Person) -> Result<(), StoreError> {
        if let Some(external_id) = &person.external_id {
            self.own(EXTERNAL_ID, external_id, id)?;
        }
        for alias in &person.aliases {
            let kind = alias_kind(&alias.kind);
            if let Some(other) = self.unique(&kind, &alias.value)?
                && other != id
            {
                self.take_over(id, other, &kind, &alias.value)?;
            }
            self.own(&kind, &alias.value, id)?;
        }
        if let Some(email) = &person.email {
            self.own_address(Channel::Email, &email_key(email), id)?;
        }
        if let Some(phone) = &person.phone {
            self.own_address(Channel::Sms, phone, id)?;
        }
        Ok(())
    }

    /// Whoever comes to have an address gets the opt-outs that hold for it.
    fn own_address(&mut self, channel: Channel, address: &str, id: PersonId) -> Result<(), StoreError> {
        let kind = address_kind(channel);
        let holders = self.holders(kind, address)?.to_vec();
        if holders.contains(&id) {
            return Ok(());
        }
        // Whose mailbox it is was not known until now; in the other order of arrival it would be one person.
        if let [other] = holders.as_slice()
            && self.is_identified(id)?
            && !self.is_identified(*other)?
        {
            self.consents.absorb(self.tx, id.0, other.0, self.now)?;
            self.become_part(id, *other)?;
        } else {
            for other in holders {
                self.consents.absorb_restrictions(self.tx, id.0, other.0, channel, self.now)?;
            }
        }
        // Of somebody who was erased.
        if let Some(left) = tombstone::restriction(self.tx, self.destination, channel, address)? {
            self.consents.restrict(self.tx, id.0, channel, &left, self.now)?;
        }
        self.own(kind, address, id)
    }

    /// The vendor says that `alias` of `other` is `id`'s. Opt-outs follow; nobody is re-subscribed
    /// by it.
    fn take_over(
        &mut self,
        id: PersonId,
        other: PersonId,
        kind: &str,
        alias: &str,
    ) -> Result<(), StoreError> {
        self.consents.absorb(self.tx, id.0, other.0, self.now)?;
        self.tx
            .prepare_cached("DELETE FROM identity WHERE kind = ?1 AND value = ?2 AND person = ?3")?
            .execute(params![kind, alias, other.0])?;
        self.become_part(id, other)
    }

    /// Makes one person of both, where `other` has no external id and was never at Brevo: a contact
    /// stays whose it is. What is in flight is not taken away from under a call.
    fn become_part(&mut self, id: PersonId, other: PersonId) -> Result<(), StoreError> {
        let (tx, now) = (self.tx, self.now);
        self.changed = true;
        self.seen.clear();
        let never_at_brevo: bool = tx
            .prepare_cached("SELECT presence IN (0, 2) AND brevo_id IS NULL FROM person WHERE id = ?1")?
            .query_row([other.0], |row| row.get(0))?;
        let in_flight: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM action WHERE person = ?1 AND state = 1)")?
            .query_row([other.0], |row| row.get(0))?;
        if !never_at_brevo || in_flight || has(tx, other, "kind = 'external-id'")? {
            return Ok(());
        }
        tx.execute("UPDATE OR IGNORE identity SET person = ?1 WHERE person = ?2", params![id.0, other.0])?;
        tx.execute("DELETE FROM identity WHERE person = ?1", [other.0])?;
        tx.execute("UPDATE action SET person = ?1 WHERE person = ?2", params![id.0, other.0])?;
        memberships::absorb(tx, id, other)?;
        deletions::absorb(tx, id, other)?;
        outbox::release_held(tx, id.0, now)?;
        Ok(())
    }

    fn is_identified(&self, id: PersonId) -> Result<bool, StoreError> {
        has(self.tx, id, "(kind = 'external-id' OR kind LIKE 'alias:%')")
    }

    fn own(&mut self, kind: &str, value: &str, id: PersonId) -> Result<(), StoreError> {
        if self.holders(kind, value)?.contains(&id) {
            return Ok(());
        }
        self.changed = true;
        self.seen.retain(|(seen, of, _)| seen != kind || of != value);
        self.tx
            .prepare_cached(
                "INSERT INTO identity (destination, kind, value, person, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.destination.0, kind, value, id.0, self.now])?;
        Ok(())
    }

    fn unique(&mut self, kind: &str, value: &str) -> Result<Option<PersonId>, StoreError> {
        Ok(self.holders(kind, value)?.first().copied())
    }

    fn holders(&mut self, kind: &str, value: &str) -> Result<&[PersonId], StoreError> {
        let place = match self.seen.iter().position(|(seen, of, _)| seen == kind && of == value) {
            Some(place) => place,
            None => {
                let found = holders(self.tx, self.destination, kind, value)?;
                self.seen.push((kind.to_owned(), value.to_owned(), found));
                self.seen.len() - 1
            }
        };
        Ok(self.seen.get(place).map_or(&[], |(_, _, holders)| holders))
    }
}

fn alias_kind(kind: &str) -> String {
    format!("alias:{kind}")
}

/// Whether the person is known to have a contact at Brevo.
pub fn is_at_brevo(tx: &Transaction<'_>, id: PersonId) -> Result<bool, StoreError> {
    Ok(tx.prepare_cached("SELECT 1 FROM person WHERE id = ?1 AND presence = 1")?.exists([id.0])?)
}

/// E-mail addresses that nobody but that person has.
pub fn own_emails(
    tx: &Transaction<'_>,
    destination: DestinationId,
    id: PersonId,
) -> Result<Vec<String>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT value FROM identity WHERE person = ?1 AND kind = ?2 ORDER BY value")?;
    let all: Vec<String> =
        statement.query_map(params![id.0, EMAIL], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut own = Vec::with_capacity(all.len());
    for email in all {
        if !belongs_to_others(tx, destination, id, &email)? {
            own.push(email);
        }
    }
    Ok(own)
}

/// True where anybody else has the e-mail address.
pub fn belongs_to_others(
    tx: &Transaction<'_>,
    destination: DestinationId,
    id: PersonId,
    email: &str,
) -> Result<bool, StoreError> {
    Ok(holders(tx, destination, EMAIL, email)?.iter().any(|holder| *holder != id))
}

/// Everyone who has a name, without learning it: the external id, else the e-mail address, else the
/// phone number.
pub fn find(
    tx: &Transaction<'_>,
    destination: DestinationId,
    person: &Person,
) -> Result<Vec<PersonId>, StoreError> {
    match (&person.external_id, &person.email, &person.phone) {
        (Some(external_id), _, _) => holders(tx, destination, EXTERNAL_ID, external_id),
        (None, Some(email), _) => holders(tx, destination, EMAIL, &email_key(email)),
        (None, None, Some(phone)) => holders(tx, destination, PHONE, phone),
        (None, None, None) => Ok(Vec::new()),
    }
}

/// Everyone else who has an address in common with a person on a channel.
pub fn sharing(tx: &Transaction<'_>, id: PersonId, channel: Channel) -> Result<Vec<PersonId>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT DISTINCT other.person FROM identity AS mine JOIN identity AS other
         ON other.destination = mine.destination AND other.kind = mine.kind AND other.value = mine.value
         WHERE mine.person = ?1 AND mine.kind = ?2 AND other.person <> ?1 ORDER BY other.person",
    )?;
    let rows = statement.query_map(params![id.0, address_kind(channel)], |row| row.get(0).map(PersonId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn address_kind(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => EMAIL,
        Channel::Sms => PHONE,
    }
}

fn holders(
    tx: &Transaction<'_>,
    destination: DestinationId,
    kind: &str,
    value: &str,
) -> Result<Vec<PersonId>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT person FROM identity WHERE destination = ?1 AND kind = ?2 AND value = ?3 ORDER BY person",
    )?;
    let rows = statement.query_map(params![destination.0, kind, value], |row| row.get(0).map(PersonId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn has(tx: &Transaction<'_>, id: PersonId, condition: &'static str) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM identity WHERE person = ?1 AND {condition})"))?
        .query_row([id.0], |row| row.get(0))?)
}
