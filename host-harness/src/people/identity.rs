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
//! | an external id or alias, and the address of exactly one other person of whom only the mailbox was known | that other becomes part of it, with their contact where it has none at Brevo; where both have one, the address is shared |
//! | an address that others have as well | it is shared; every opt-out and suppression of one holds for all (`consent`) |
//! | an alias of another person than the external id | the external id decides, the alias moves to it, and so does every opt-out; a person without external id becomes part of it (`merging`), unless both have a contact |

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::consent::{Consents, Mailbox};
use super::fields::Wanted;
use super::{merging, tombstone};
use crate::contract::{Alias, Person};
use crate::registry::Channel;
use crate::store::StoreError;
use crate::store::installations::DestinationId;
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
    let (mut consents, mut wanted) = (Consents::default(), Wanted::default());
    let (resolution, _) = Search::new(tx, &mut consents, &mut wanted, destination, now).resolve(person)?;
    consents.flush(tx)?;
    wanted.flush(tx)?;
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
    wanted: &'a mut Wanted,
    destination: DestinationId,
    now: Millis,
    /// Kind, value, and whose it is.
    seen: Vec<(String, String, Vec<PersonId>)>,
    changes: Changes,
    /// Whether somebody who is known learns new names.
    learns: bool,
}

/// What a search changed.
#[derive(Default)]
pub(super) struct Changes {
    /// Any name changed hands, so that what others were found by may no longer hold.
    pub names: bool,
    /// Who came to have a contact or an external id.
    pub to_be_named: Vec<PersonId>,
}

impl<'a, 't> Search<'a, 't> {
    pub fn new(
        tx: &'a Transaction<'t>,
        consents: &'a mut Consents,
        wanted: &'a mut Wanted,
        destination: DestinationId,
        now: Millis,
    ) -> Self {
        let (seen, changes) = (Vec::with_capacity(4), Changes::default());
        Self { tx, consents, wanted, destination, now, seen, changes, learns: true }
    }

    /// Whether a person who is known already learns the names that the record gives.
    pub fn learning(mut self, learns: bool) -> Self {
        self.learns = learns;
        self
    }

    /// As [`resolve`], and what was changed by it.
    pub fn resolve(mut self, person: &Person) -> Result<(Resolution, Changes), StoreError> {
        if person.is_anonymous() {
            return Ok((Resolution::Anonymous, self.changes));
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
                        _ => return Ok((Resolution::Shared(known), self.changes)),
                    }
                }
            },
        };
        let id = match found {
            Some(id) if !self.learns => return Ok((Resolution::One(id), self.changes)),
            Some(id) => id,
            None => {
                self.tx
                    .prepare_cached("INSERT INTO person (destination) VALUES (?1)")?
                    .execute([self.destination.0])?;
                PersonId(self.tx.last_insert_rowid())
            }
        };
        self.learn(id, person)?;
        Ok((Resolution::One(id), self.changes))
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
        let mut known = match (&person.email, &person.phone) {
            (Some(email), _) => self.holders(EMAIL, &email_key(email))?.to_vec(),
            (None, Some(phone)) => self.holders(PHONE, phone)?.to_vec(),
            (None, None) => Vec::new(),
        };
        // Who only waits for a call to end is somebody else already.
        if known.len() > 1 {
            let mut stay = Vec::with_capacity(known.len());
            for id in known {
                if !merging::is_under_way(self.tx, id)? {
                    stay.push(id);
                }
            }
            known = stay;
        }
        Ok(known)
    }

    fn learn(&mut self, id: PersonId, person: &Person) -> Result<(), StoreError> {
        if let Some(external_id) = &person.external_id
            && self.own(EXTERNAL_ID, external_id, id)?
            && is_at_brevo(self.tx, id)?
        {
            self.changes.to_be_named.push(id);
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
        for person in holders.iter().chain((!holders.is_empty()).then_some(&id)) {
            self.consents.watch(self.tx, *person, channel)?;
        }
        // Whose mailbox it is was not known until now; in the other order of arrival it would be one person.
        if let [other] = holders.as_slice()
            && self.is_identified(id)?
            && !self.is_identified(*other)?
        {
            self.become_part(id, *other)?;
        }
        // Of somebody who was erased.
        if let Some(left) = tombstone::restriction(self.tx, self.destination, channel, address)? {
            self.consents.watch(self.tx, id, channel)?;
            self.consents.restrict(self.tx, id.0, channel, &left, self.now)?;
        }
        self.own(kind, address, id)?;
        Ok(())
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
        self.watch_around(id, other)?;
        self.consents.absorb(self.tx, id.0, other.0, false, self.now)?;
        self.tx
            .prepare_cached("DELETE FROM identity WHERE kind = ?1 AND value = ?2 AND person = ?3")?
            .execute(params![kind, alias, other.0])?;
        self.become_part(id, other)
    }

    /// Makes one person of both, where `other` has no external id and not both have a contact.
    fn become_part(&mut self, id: PersonId, other: PersonId) -> Result<(), StoreError> {
        self.changes.names = true;
        self.seen.clear();
        if has(self.tx, other, "kind = 'external-id'")? {
            return Ok(());
        }
        self.watch_around(id, other)?;
        let has_contact = is_at_brevo(self.tx, other)? || merging::makes_contact(self.tx, other)?;
        let merged = merging::merge(self.tx, self.consents, self.wanted, id, other, self.now)?;
        if merged && has_contact {
            self.changes.to_be_named.push(id);
        }
        Ok(())
    }

    fn watch_around(&mut self, id: PersonId, other: PersonId) -> Result<(), StoreError> {
        for channel in [Channel::Email, Channel::Sms] {
            self.consents.watch_around(self.tx, id, channel)?;
            self.consents.watch_around(self.tx, other, channel)?;
        }
        Ok(())
    }

    fn is_identified(&self, id: PersonId) -> Result<bool, StoreError> {
        has(self.tx, id, "(kind = 'external-id' OR kind LIKE 'alias:%')")
    }

    /// False where the name was the person's before.
    fn own(&mut self, kind: &str, value: &str, id: PersonId) -> Result<bool, StoreError> {
        if self.holders(kind, value)?.contains(&id) {
            return Ok(false);
        }
        self.changes.names = true;
        self.seen.retain(|(seen, of, _)| seen != kind || of != value);
        self.tx
            .prepare_cached(
                "INSERT INTO identity (destination, kind, value, person, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.destination.0, kind, value, id.0, self.now])?;
        Ok(true)
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

/// The mailbox that a record about a channel speaks of where it names nothing but addresses: whoever
/// has the address, now or later. None where the record names a person, or no address of the channel.
pub fn mailbox(
    tx: &Transaction<'_>,
    destination: DestinationId,
    named: &Person,
    channel: Channel,
) -> Result<Option<Mailbox>, StoreError> {
    let address = match channel {
        Channel::Email => named.email.as_deref().map(email_key),
        Channel::Sms => named.phone.clone(),
    };
    let Some(address) = address.filter(|_| named.external_id.is_none() && named.aliases.is_empty()) else {
        return Ok(None);
    };
    let kind = address_kind(channel);
    let known = tx
        .prepare_cached("SELECT person FROM mailbox WHERE destination = ?1 AND kind = ?2 AND value = ?3")?
        .query_row(params![destination.0, kind, address], |row| row.get(0))
        .optional()?;
    let id = match known {
        Some(id) => id,
        None => {
            tx.prepare_cached("INSERT INTO person (destination) VALUES (?1)")?.execute([destination.0])?;
            let id = tx.last_insert_rowid();
            tx.prepare_cached(
                "INSERT INTO mailbox (destination, kind, value, person) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![destination.0, kind, address, id])?;
            id
        }
    };
    Ok(Some(Mailbox { id, holders: holders(tx, destination, kind, &address)? }))
}

/// Whether anything was ever said under an address alone.
pub(super) fn any_mailbox(tx: &Transaction<'_>) -> Result<bool, StoreError> {
    Ok(tx.prepare_cached("SELECT 1 FROM mailbox LIMIT 1")?.exists([])?)
}

/// The mailboxes of a person of which something was said alone, and whether nobody else has them.
pub(super) fn mailboxes_of(
    tx: &Transaction<'_>,
    id: PersonId,
    channel: Channel,
) -> Result<Vec<(i64, bool)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT mailbox.person, NOT EXISTS (SELECT 1 FROM identity AS other
                WHERE other.destination = mine.destination AND other.kind = mine.kind
                  AND other.value = mine.value AND other.person <> mine.person)
         FROM identity AS mine CROSS JOIN mailbox
           ON mailbox.destination = mine.destination AND mailbox.kind = mine.kind
              AND mailbox.value = mine.value
         WHERE mine.person = ?1 AND mine.kind = ?2",
    )?;
    let rows =
        statement.query_map(params![id.0, address_kind(channel)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets a mailbox and what was said of it, once nobody has it any more.
pub(super) fn forget_mailbox(
    tx: &Transaction<'_>,
    destination: DestinationId,
    kind: &str,
    value: &str,
) -> Result<(), StoreError> {
    let of = "SELECT person FROM mailbox WHERE destination = ?1 AND kind = ?2 AND value = ?3";
    let key = params![destination.0, kind, value];
    tx.execute(&format!("DELETE FROM consent WHERE person IN ({of})"), key)?;
    tx.execute(&format!("DELETE FROM person WHERE id IN ({of})"), key)?;
    tx.execute("DELETE FROM mailbox WHERE destination = ?1 AND kind = ?2 AND value = ?3", key)?;
    Ok(())
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
