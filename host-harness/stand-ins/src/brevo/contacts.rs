//! The contacts of an account: who is who, what is unique, who is blocked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::memberships::Memberships;
use crate::clock::Millis;

/// A value that belongs to one contact only (brevo: help.brevo.com 32331116133522 for the phones).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Identifier {
    /// Lower case: addresses are compared without regard to case.
    Email(String),
    ExtId(String),
    Sms(String),
    Whatsapp(String),
    Landline(String),
}

impl Identifier {
    pub(super) fn phone(attribute: &str, digits: String) -> Self {
        match attribute {
            "WHATSAPP" => Self::Whatsapp(digits),
            "LANDLINE_NUMBER" => Self::Landline(digits),
            _ => Self::Sms(digits),
        }
    }

    /// As in `duplicate_identifiers` and in the messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::ExtId(_) => "ext_id",
            Self::Sms(_) => "SMS",
            Self::Whatsapp(_) => "WHATSAPP",
            Self::Landline(_) => "LANDLINE_NUMBER",
        }
    }
}

/// One contact, as Brevo holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contact {
    /// Brevo's number.
    pub id: i64,
    /// As written; made up from the number for a contact that has only a phone.
    pub email: Option<String>,
    /// The own id.
    pub ext_id: Option<String>,
    /// Blocked for e-mail campaigns.
    pub email_blacklisted: bool,
    /// Blocked for SMS campaigns.
    pub sms_blacklisted: bool,
    /// Without EMAIL and EXT_ID; phones in digits.
    pub attributes: BTreeMap<String, Value>,
    /// Lists.
    pub list_ids: BTreeSet<i64>,
    /// Senders whose transactional mail is blocked.
    pub smtp_blacklist_sender: BTreeSet<String>,
    /// Host time.
    pub created_at: Millis,
    /// Host time of the last write or unsubscribe.
    pub modified_at: Millis,
    /// Unsubscribes in a mail's footer, in host time.
    pub unsubscribed_at: Vec<Millis>,
    /// How often a request wrote it, its creation included.
    pub writes: u64,
}

impl Contact {
    fn identifiers(&self) -> Vec<Identifier> {
        let phone = |name: &str| {
            let digits = self.attributes.get(name).and_then(Value::as_str)?;
            Some(Identifier::phone(name, digits.to_owned()))
        };
        let email = self.email.as_deref().map(|email| Identifier::Email(email.to_lowercase()));
        let ext_id = self.ext_id.clone().map(Identifier::ExtId);
        let phones = super::attributes::PHONES.into_iter().filter_map(phone);
        email.into_iter().chain(ext_id).chain(phones).collect()
    }
}

/// A person who was blocked and, by a request, no longer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resubscription {
    /// The request's number in the journal.
    pub seq: u64,
    /// Which block was lost.
    pub channel: Channel,
    /// The contact that can now be written to.
    pub contact_id: i64,
    /// Its address.
    pub email: Option<String>,
    /// Its own id.
    pub ext_id: Option<String>,
    /// What did it.
    pub cause: Cause,
}

/// Channels with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Channel {
    Email,
    Sms,
}

/// How a block was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The request said `false`.
    ExplicitFalse,
    /// The address of a blocked contact was changed.
    AddressChange,
    /// A blocked contact was deleted and created again.
    Recreated,
    /// A blocked contact was merged into one that is not.
    Merged,
}

/// What a request writes, after its values were checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Write {
    /// As written.
    pub(super) email: Option<String>,
    pub(super) ext_id: Option<String>,
    /// Without EMAIL; none clears; phones in digits.
    pub(super) attributes: BTreeMap<String, Option<Value>>,
    pub(super) email_blocked: Option<bool>,
    pub(super) sms_blocked: Option<bool>,
    pub(super) join: Vec<i64>,
    pub(super) leave: Vec<i64>,
    pub(super) blocked_senders: Option<Vec<String>>,
}

impl Write {
    fn identifiers(&self) -> Vec<Identifier> {
        let phone = |name: &str| {
            let digits = self.attributes.get(name)?.as_ref()?.as_str()?;
            Some(Identifier::phone(name, digits.to_owned()))
        };
        let email = self.email.as_deref().map(|email| Identifier::Email(email.to_lowercase()));
        let ext_id = self.ext_id.clone().map(Identifier::ExtId);
        let phones = super::attributes::PHONES.into_iter().filter_map(phone);
        email.into_iter().chain(ext_id).chain(phones).collect()
    }
}

/// When, and by which request.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    pub(super) at: Millis,
    pub(super) seq: u64,
}

/// Identifiers of the request that other contacts own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken(pub(super) Vec<&'static str>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Blocks {
    email: bool,
    sms: bool,
}

#[derive(Debug, Default)]
pub(super) struct Contacts {
    by_id: BTreeMap<i64, Contact>,
    owners: HashMap<Identifier, i64>,
    /// Blocks that went with a deleted contact: Brevo forgets them
    /// (brevo: help.brevo.com 5313915904914), the detector does not.
    forgotten: HashMap<Identifier, Blocks>,
    resubscriptions: Vec<Resubscription>,
    pub(super) memberships: Memberships,
    last_id: i64,
}

impl Contacts {
    pub(super) fn find(&self, identifier: &Identifier) -> Option<i64> {
        self.owners.get(identifier).copied()
    }

    pub(super) fn get(&self, id: i64) -> Option<&Contact> {
        self.by_id.get(&id)
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Contact> {
        self.by_id.values()
    }

    pub(super) fn resubscriptions(&self) -> &[Resubscription] {
        &self.resubscriptions
    }

    /// Contacts that own an identifier of the write, each once, in the write's order.
    pub(super) fn owners(&self, write: &Write) -> Vec<i64> {
        let mut owners = Vec::new();
        for id in write.identifiers().iter().filter_map(|identifier| self.find(identifier)) {
            if !owners.contains(&id) {
                owners.push(id);
            }
        }
        owners
    }

    /// Identifiers of the write that belong to a contact other than this one.
    pub(super) fn taken(&self, write: &Write, own: Option<i64>) -> Taken {
        let others = |identifier: &Identifier| self.find(identifier).is_some_and(|id| Some(id) != own);
        Taken(write.identifiers().iter().filter(|i| others(i)).map(Identifier::name).collect())
    }

    /// Makes a contact; gives its id.
    pub(super) fn create(&mut self, write: Write, by: By) -> Result<i64, Taken> {
        let taken = self.taken(&write, None);
        if !taken.0.is_empty() {
            return Err(taken);
        }
        let mut forgotten = Blocks::default();
        for blocks in write.identifiers().iter().filter_map(|identifier| self.forgotten.remove(identifier)) {
            forgotten.email |= blocks.email;
            forgotten.sms |= blocks.sms;
        }
        self.last_id += 1;
        let id = self.last_id;
        let contact = Contact {
            id,
            email: None,
            ext_id: None,
            email_blacklisted: false,
            sms_blacklisted: false,
            attributes: BTreeMap::new(),
            list_ids: BTreeSet::new(),
            smtp_blacklist_sender: BTreeSet::new(),
            created_at: by.at,
            modified_at: by.at,
            unsubscribed_at: Vec::new(),
            writes: 0,
        };
        self.by_id.insert(id, contact);
        self.apply(id, write, by);
        self.note_lost(id, forgotten, Cause::Recreated, by);
        Ok(id)
    }

    /// Writes an existing contact.
    pub(super) fn update(&mut self, id: i64, write: Write, by: By) -> Result<(), Taken> {
        let taken = self.taken(&write, Some(id));
        if !taken.0.is_empty() {
            return Err(taken);
        }
        self.apply(id, write, by);
        Ok(())
    }

    /// Joins two contacts into the one that was modified last, and gives its id. What the
    /// survivor lacks comes from the other; its own block stands, the other's is lost.
    ///
    /// brevo: `forceMerge` of `POST /contacts`; what becomes of blocks is not documented.
    pub(super) fn merge(&mut self, one: i64, other: i64, by: By) -> i64 {
        let newest = |id: &i64| self.by_id.get(id).map(|contact| (contact.modified_at, contact.id));
        let (keep, lose) = if newest(&one) >= newest(&other) { (one, other) } else { (other, one) };
        let Some(mut lost) = self.remove(lose) else { return keep };
        if let Some(kept) = self.by_id.get_mut(&keep) {
            for list in lost.list_ids.clone() {
                self.memberships.leave(list, &mut lost, by);
                // Whether that starts an automation is not documented; here it does.
                self.memberships.join(list, kept, by);
            }
            kept.email = kept.email.take().or(lost.email);
            kept.ext_id = kept.ext_id.take().or(lost.ext_id);
            for (name, value) in lost.attributes {
                kept.attributes.entry(name).or_insert(value);
            }
            for identifier in kept.identifiers() {
                self.owners.insert(identifier, keep);
            }
        }
        let blocks = Blocks { email: lost.email_blacklisted, sms: lost.sms_blacklisted };
        self.note_lost(keep, blocks, Cause::Merged, by);
        keep
    }

    /// Identifiers of the write that somebody owns, with the owner. In an import the first of these
    /// contacts outlives the others (brevo: help.brevo.com 32331116133522: EXT_ID, e-mail, SMS,
    /// WhatsApp, landline).
    pub(super) fn claims(&self, write: &Write) -> Vec<(Identifier, i64)> {
        let mut identifiers = write.identifiers();
        identifiers.sort_by_key(|identifier| !matches!(identifier, Identifier::ExtId(_)));
        let owned = |identifier: Identifier| self.find(&identifier).map(|owner| (identifier, owner));
        identifiers.into_iter().filter_map(owned).collect()
    }

    /// Deletes a contact in favour of another, which gets nothing of it.
    ///
    /// brevo: help.brevo.com 32331116133522, the loser of an import is deleted with its history.
    /// That its block goes too is the worst reading.
    pub(super) fn displace(&mut self, winner: i64, loser: i64, by: By) {
        let Some(mut lost) = self.remove(loser) else { return };
        for list in lost.list_ids.clone() {
            self.memberships.leave(list, &mut lost, by);
        }
        let blocks = Blocks { email: lost.email_blacklisted, sms: lost.sms_blacklisted };
        self.note_lost(winner, blocks, Cause::Merged, by);
    }

    /// Deletes a contact, and with it the memory of its blocks.
    pub(super) fn delete(&mut self, id: i64, by: By) -> bool {
        let Some(mut contact) = self.remove(id) else { return false };
        for list in contact.list_ids.clone() {
            self.memberships.leave(list, &mut contact, by);
        }
        let blocks = Blocks { email: contact.email_blacklisted, sms: contact.sms_blacklisted };
        if blocks != Blocks::default() {
            for identifier in contact.identifiers() {
                self.forgotten.insert(identifier, blocks);
            }
        }
        true
    }

    /// Puts the contact into the list; false where it is there or does not exist.
    pub(super) fn join(&mut self, list: i64, id: i64, by: By) -> bool {
        self.by_id.get_mut(&id).is_some_and(|contact| self.memberships.join(list, contact, by))
    }

    /// Takes the contact out of the list; false where it is not there or does not exist.
    pub(super) fn leave(&mut self, list: i64, id: i64, by: By) -> bool {
        self.by_id.get_mut(&id).is_some_and(|contact| self.memberships.leave(list, contact, by))
    }

    fn remove(&mut self, id: i64) -> Option<Contact> {
        let contact = self.by_id.remove(&id)?;
        for identifier in contact.identifiers() {
            self.owners.remove(&identifier);
        }
        Some(contact)
    }

    /// A click on the unsubscribe link of a mail.
    pub(super) fn unsubscribe(&mut self, id: i64, at: Millis) {
        if let Some(contact) = self.by_id.get_mut(&id) {
            contact.email_blacklisted = true;
            contact.unsubscribed_at.push(at);
            contact.modified_at = at;
        }
    }

    fn apply(&mut self, id: i64, write: Write, by: By) {
        let Some(contact) = self.by_id.get_mut(&id) else { return };
        for identifier in contact.identifiers() {
            self.owners.remove(&identifier);
        }
        let before = Blocks { email: contact.email_blacklisted, sms: contact.sms_blacklisted };
        let known = contact.email.as_deref().map(str::to_lowercase);
        let moved = write.email.as_deref().is_some_and(|email| Some(email.to_lowercase()) != known);
        contact.email_blacklisted = write.email_blocked.unwrap_or(before.email);
        contact.sms_blacklisted = write.sms_blocked.unwrap_or(before.sms);
        // brevo: `update_contact` of brevo-python 5.1.0, "If a blocklisted contact's email address
        // is updated, it is going to remove that blocklisting". Whether a block in the same call
        // survives it is not said; here it does not.
        if moved && before.email {
            contact.email_blacklisted = false;
        }
        contact.email = write.email.or(contact.email.take());
        contact.ext_id = write.ext_id.or(contact.ext_id.take());
        for (name, value) in write.attributes {
            match value {
                Some(value) => contact.attributes.insert(name, value),
                None => contact.attributes.remove(&name),
            };
        }
        for list in write.join {
            self.memberships.join(list, contact, by);
        }
        for list in write.leave {
            self.memberships.leave(list, contact, by);
        }
        contact.smtp_blacklist_sender.extend(write.blocked_senders.into_iter().flatten());
        contact.modified_at = by.at;
        contact.writes += 1;
        if let (None, Some(Value::String(digits))) = (&contact.email, contact.attributes.get("SMS")) {
            // brevo: RudderStack's `sendinblue` destination addresses contacts without an address so.
            contact.email = contact.ext_id.is_none().then(|| format!("{digits}@mailin-sms.com"));
        }
        for identifier in contact.identifiers() {
            self.owners.insert(identifier, id);
        }
        let cause = if moved && before.email { Cause::AddressChange } else { Cause::ExplicitFalse };
        self.note_lost(id, Blocks { sms: false, ..before }, cause, by);
        self.note_lost(id, Blocks { email: false, ..before }, Cause::ExplicitFalse, by);
    }

    /// Writes down each of these blocks that the contact does not have.
    fn note_lost(&mut self, id: i64, blocks: Blocks, cause: Cause, by: By) {
        let Some(contact) = self.by_id.get(&id) else { return };
        let lost = [
            (Channel::Email, blocks.email && !contact.email_blacklisted),
            (Channel::Sms, blocks.sms && !contact.sms_blacklisted),
        ];
        for (channel, _) in lost.into_iter().filter(|(_, lost)| *lost) {
            self.resubscriptions.push(Resubscription {
                seq: by.seq,
                channel,
                contact_id: id,
                email: contact.email.clone(),
                ext_id: contact.ext_id.clone(),
                cause,
            });
        }
    }
}
