//! Deleting contacts (design rule 9).
//!
//! | behaviour | what is done at Brevo |
//! |---|---|
//! | soft | the contact leaves every list but those that a newer word put it into, and gets the mark, in one call; then it is read, because Brevo drops wrong values in silence. Its blocks are not touched |
//! | hard | the contact is deleted by Brevo's number, then the logs of mails to its addresses |
//!
//! A hard deletion goes in this order: find the contact; in one transaction forget the person here,
//! leave the tombstone and write down what is left to be done at Brevo; do it. So nothing that comes
//! meanwhile makes the person again, and wherever the process dies, what is left is done after the
//! next start. Every call may be repeated.
//!
//! Nobody's contact is deleted on a guess: one that has another customer's id by now, or is another
//! person's here, stays. Who is not at Brevo is not made to be deleted.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::Delivery;
use super::contact::Found;
use super::outcome::{End, Letter};
use super::person::{PersonRow, digest};
use super::wire::Stop;
use super::work::{Names, Work};
use crate::brevo::contacts::{self, Change, Contact, Name};
use crate::brevo::errors::{Kind, Problem};
use crate::brevo::mail_log;
use crate::contract::{Person, Subject};
use crate::people::consent::Restriction;
use crate::people::deletions::{self, day};
use crate::people::identity::{self, PersonId};
use crate::people::memberships;
use crate::people::tombstone::{self, AtBrevo};
use crate::registry::{Channel, DeleteBehavior, DeleteContact};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::store::outbox::State;
use crate::world::Millis;

/// What is left to be done at Brevo for a person who is forgotten here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Erasing {
    /// Brevo's numbers of contacts to delete.
    pub contacts: Vec<i64>,
    /// Addresses whose mail logs are to be deleted.
    pub mails: Vec<String>,
    /// Whether there was a contact.
    pub found: bool,
}

impl Delivery {
    pub(super) fn delete(&self, work: &mut Work, what: &DeleteContact) -> Result<End, Stop> {
        match what.behavior {
            DeleteBehavior::Soft => self.retire(work, what.mark.as_deref()),
            DeleteBehavior::Hard => self.erase(work),
        }
    }

    /// Soft: out of every list, marked, kept.
    fn retire(&self, work: &mut Work, mark: Option<&str>) -> Result<End, Stop> {
        let Some(before) = self.contact_to_delete(work)? else {
            return Ok(End::Over(State::Deduplicated, NOT_AT_BREVO));
        };
        let person = PersonId(work.person.id);
        let stays = self.store.read(|tx| memberships::wanted_at_brevo(tx, person))?;
        let usable = mark.and_then(|declared| self.usable(declared));
        let value = day(work.action.time());
        let mut change = Change { unlink_list_ids: lists_to_leave(&before, &stays)?, ..Change::default() };
        if let (Some(name), Some(day)) = (&usable, &value)
            && work.person.fields.get(name).is_none_or(|known| known.value != mark_digest(day))
        {
            change.attributes.insert(name.clone(), day.as_str().into());
        }
        let changes = !change.is_empty();
        if changes {
            if !contacts::read_update(&self.call(&contacts::update(before.id, &change))?)? {
                return Ok(End::Over(State::Deduplicated, NOT_AT_BREVO));
            }
            let Some(after) = self.get_contact(Name::Id(before.id))? else {
                return Ok(End::Over(State::Deduplicated, NOT_AT_BREVO));
            };
            let unmarked = change.attributes.keys().any(|name| is_empty(after.attributes.get(name)));
            if unmarked || !lists_to_leave(&after, &stays)?.is_empty() {
                return Ok(self.retry(&work.action, not_taken(), self.world.now()));
            }
        }
        if let (Some(name), Some(day)) = (&usable, &value) {
            let standing = work.standing();
            work.person.set_field(name, standing, &mark_digest(day));
        }
        self.store.write(|tx| memberships::set_all_left(tx, person))?;
        Ok(match (mark, usable) {
            (Some(_), None) => End::Stopped(State::Parked, not_marked()),
            _ if changes => End::Delivered,
            _ => End::Over(State::Deduplicated, "no-change"),
        })
    }

    /// Hard: forgotten here, then gone at Brevo.
    fn erase(&self, work: &mut Work) -> Result<End, Stop> {
        if work.intent.erasing.is_none() {
            let erasing = self.forget(work)?;
            work.intent.erasing = Some(erasing);
        }
        while let Some(id) = work.intent.erasing.as_ref().and_then(|left| left.contacts.first().copied()) {
            match contacts::read_delete(&self.call(&contacts::delete(id))?) {
                Ok(_) => {}
                // OpenAPI: "not allowed to delete registered email contact", the account's own.
                Err(problem) if problem.status == 405 => {
                    return Ok(End::Stopped(State::Parked, undeletable()));
                }
                Err(problem) => return Err(problem.into()),
            }
            work.left(|left| _ = left.contacts.remove(0));
        }
        while let Some(email) = work.intent.erasing.as_ref().and_then(|left| left.mails.first().cloned()) {
            let call = mail_log::delete(&email);
            match mail_log::read_delete(&self.call(&call)?) {
                Ok(_) => {}
                // The contact is gone; what the account doesn't allow beyond that is a person's.
                Err(problem) if is_refusal(&problem) => work.letters.push(mail_log_kept()),
                Err(problem) => return Err(Stop::Problem(problem, call.family)),
            }
            work.left(|left| _ = left.mails.remove(0));
        }
        let found = work.intent.erasing.as_ref().is_some_and(|erasing| erasing.found);
        tracing::info!(action = work.action.id, at_brevo = found, "a person was erased");
        Ok(if found { End::Delivered } else { End::Over(State::Deduplicated, NOT_AT_BREVO) })
    }

    /// The point of no return: one transaction that leaves the tombstone, and of the person nothing
    /// but what has to be done at Brevo.
    fn forget(&self, work: &mut Work) -> Result<Erasing, Stop> {
        let contact = self.contact_to_delete(work)?;
        let now = self.world.now();
        let person = PersonId(work.person.id);
        let addresses = contact.as_ref().map_or_else(Vec::new, |contact| addresses(contact, now));
        let erasing = self.store.write::<_, StoreError>(|tx| {
            let mut mails = identity::own_emails(tx, self.options.destination, person)?;
            for one in addresses.iter().filter(|one| one.channel == Channel::Email) {
                let theirs = identity::belongs_to_others(tx, self.options.destination, person, &one.address)?;
                if !theirs && !mails.contains(&one.address) {
                    mails.push(one.address.clone());
                }
            }
            let contacts: Vec<i64> = contact.iter().map(|contact| contact.id).collect();
            let erasing = Erasing { found: !contacts.is_empty(), contacts, mails };
            tombstone::erase(tx, self.options.destination, person, &addresses, now)?;
            let mut intent = work.intent.clone();
            intent.erasing = Some(erasing.clone());
            tx.execute(
                "UPDATE action SET subject = ?2, intent = ?3, coalesce_key = NULL WHERE id = ?1",
                params![work.action.id, nobody()?, intent.text()?],
            )?;
            Ok(erasing)
        })?;
        work.subject = anonymous();
        work.names = Names::default();
        if let Some(blank) = self.store.read(|tx| PersonRow::load(tx, person.0))? {
            work.person = blank;
        }
        Ok(erasing)
    }

    /// The contact that is the person's, whatever was known of it before. Nobody else's: where the
    /// contact that was delivered has another's id by now, a person has to look.
    fn contact_to_delete(&self, work: &Work) -> Result<Option<Contact>, Stop> {
        if let Some(id) = work.person.brevo_id
            && let Some(contact) = self.get_contact(Name::Id(id))?
        {
            return match self.theirs(work, contact)? {
                Found::Theirs(contact) => Ok(Some(*contact)),
                _ => Err(End::Stopped(State::Parked, somebody_elses()).into()),
            };
        }
        match self.look_up(work)? {
            Found::Theirs(contact) => Ok(Some(*contact)),
            Found::SomebodyElses(_) | Found::Nobody => Ok(None),
        }
    }
}

impl Work {
    fn left(&mut self, change: impl FnOnce(&mut Erasing)) {
        if let Some(erasing) = &mut self.intent.erasing {
            change(erasing);
        }
    }
}

const NOT_AT_BREVO: &str = "not-at-brevo";

fn lists_to_leave(contact: &Contact, stays: &[i64]) -> Result<Vec<i64>, Stop> {
    let Some(lists) = &contact.lists else {
        return Err(Problem { status: 200, kind: Kind::Unexpected }.into());
    };
    Ok(lists.iter().copied().filter(|list| !stays.contains(list)).collect())
}

fn is_empty(value: Option<&serde_json::Value>) -> bool {
    value.is_none_or(|value| value.is_null() || *value == "")
}

/// As an upsert of the same value would leave it.
fn mark_digest(day: &str) -> String {
    digest(&serde_json::Value::from(day).to_string())
}

/// Brevo forgets a block with its contact, so what it holds is taken over.
fn addresses(contact: &Contact, now: Millis) -> Vec<AtBrevo> {
    let blocked_since = contact.user_unsubscribed_at.max(contact.admin_unsubscribed_at).unwrap_or(now);
    let restriction = |channel| Restriction {
        opted_out_at: contact.blocked(channel).then_some(blocked_since),
        suppressed: None,
    };
    let email = contact.address(Channel::Email).map(str::to_owned);
    let phone = contact.address(Channel::Sms).map(|digits| format!("+{digits}"));
    [(Channel::Email, email), (Channel::Sms, phone)]
        .into_iter()
        .filter_map(|(channel, address)| {
            Some(AtBrevo { channel, address: address?, restriction: restriction(channel) })
        })
        .collect()
}

/// The account or the key doesn't allow it; everything else may be tried again.
fn is_refusal(problem: &Problem) -> bool {
    matches!(problem.kind, Kind::Forbidden | Kind::MissingScope | Kind::Refused)
}

fn anonymous() -> Person {
    Person { external_id: None, email: None, phone: None, aliases: Vec::new() }
}

fn nobody() -> Result<String, StoreError> {
    serde_json::to_string(&Subject::Person(anonymous())).map_err(|_| StoreError::Unreadable("subject"))
}

/// What came after a deletion undoes nothing, so what happened before it is not done any more.
pub(super) fn person_deleted() -> End {
    End::Over(State::Refused, deletions::PERSON_DELETED)
}

fn not_taken() -> Letter {
    Letter {
        code: "deletion-not-taken",
        actor: Actor::Operator,
        message: "Brevo took the call, and the contact is still in a list or without its mark.",
        remedy: "Look at the contact and the attribute at Brevo, then requeue.",
        about: None,
    }
}

fn not_marked() -> Letter {
    Letter {
        code: "deletion-not-marked",
        actor: Actor::Tenant,
        message: "The contact left its lists, but the attribute for the day of the deletion can't be written.",
        remedy: "Make it an attribute of type date at Brevo (another dead letter names it), then requeue.",
        about: None,
    }
}

fn somebody_elses() -> Letter {
    Letter {
        code: "contact-somebody-elses",
        actor: Actor::Operator,
        message: "The contact that was delivered for the person has somebody else's id at Brevo by now; nothing was deleted.",
        remedy: "Look at the contact at Brevo: delete it by hand or give it back its id there, then requeue.",
        about: None,
    }
}

fn undeletable() -> Letter {
    Letter {
        code: "contact-undeletable",
        actor: Actor::Tenant,
        message: "Brevo doesn't let this contact be deleted: it is the address that the account is registered with. The person is forgotten here.",
        remedy: "Register the account with another address at Brevo, then requeue.",
        about: None,
    }
}

fn mail_log_kept() -> Letter {
    Letter {
        code: "mail-log-kept",
        actor: Actor::Tenant,
        message: "The contact was deleted, but Brevo doesn't let this key delete the logs of mails to it.",
        remedy: "Delete the logs at Brevo by hand (Transactional > Logs), or use a key with access to transactional mails for the next erasure.",
        about: None,
    }
}
