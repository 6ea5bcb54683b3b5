//! Who is at Brevo already: an import is keyed by addresses and merges on its own, so nobody rides
//! in one before it is known whom Brevo has under each of their names.

use std::collections::HashMap;

use super::{Delivery, Memory};
use crate::brevo::contacts::{Contact, address_key};
use crate::brevo::imports as wire;
use crate::registry::Channel;
use crate::store::{Digest, StoreError};
use crate::world::Millis;

/// After which everybody is counted again: what others change at Brevo meanwhile is not seen.
const AGE: Millis = 15 * 60_000;

/// Every contact of the account by its names. Names are kept as hashes: two that are taken for one
/// only make somebody go alone.
#[derive(Default)]
pub(super) struct Census {
    emails: HashMap<u64, Seen>,
    ext_ids: HashMap<u64, i64>,
    phones: HashMap<u64, i64>,
    read: usize,
    ended_at: Option<Millis>,
}

/// A contact as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub id: i64,
    pub ext_id: Option<u64>,
    pub email_blocked: bool,
    pub sms_blocked: bool,
}

impl Census {
    /// Whether it is whole and new enough.
    pub fn is_fresh(&self, now: Millis) -> bool {
        self.ended_at.is_some_and(|at| (at..at + AGE).contains(&now))
    }

    pub fn by_email(&self, email: &str) -> Option<Seen> {
        self.emails.get(&hash(&address_key(Channel::Email, email))).copied()
    }

    pub fn by_ext_id(&self, ext_id: &str) -> Option<i64> {
        self.ext_ids.get(&hash(ext_id)).copied()
    }

    pub fn by_phone(&self, phone: &str) -> Option<i64> {
        self.phones.get(&hash(&address_key(Channel::Sms, phone))).copied()
    }

    /// Takes a contact in, whether it was just read or just made.
    pub fn learn(&mut self, contact: &Contact) {
        let ext_id = contact.ext_id.as_deref().map(hash);
        if let Some(email) = &contact.email {
            let seen = Seen {
                id: contact.id,
                ext_id,
                email_blocked: contact.email_blocked,
                sms_blocked: contact.sms_blocked,
            };
            self.emails.insert(hash(email), seen);
        }
        if let Some(ext_id) = ext_id {
            self.ext_ids.insert(ext_id, contact.id);
        }
        if let Some(phone) = &contact.phone {
            self.phones.insert(hash(phone), contact.id);
        }
    }
}

pub(super) fn hash(name: &str) -> u64 {
    let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of(&[name.as_bytes()]);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Delivery {
    /// Reads one page. Contacts that come meanwhile are at the end; where some went, somebody may
    /// have been passed over, and everybody is counted again.
    pub(super) fn census_page(&self) -> Result<(), StoreError> {
        let offset = {
            let mut memory = self.memory();
            if memory.census.ended_at.is_some() {
                memory.census = Census::default();
            }
            memory.census.read
        };
        let answer =
            self.call(&wire::contacts(None, offset)).and_then(|answer| Ok(wire::read_contacts(&answer)?));
        let now = self.world.now();
        let mut memory = self.memory();
        let Memory { census, not_before, .. } = &mut *memory;
        match answer {
            Ok((page, count)) => {
                page.iter().for_each(|contact| census.learn(contact));
                census.read += page.len();
                if census.read >= count {
                    census.ended_at = Some(now);
                } else if page.is_empty() {
                    *census = Census::default();
                    *not_before = now + super::AGAIN;
                }
            }
            Err(super::Stop::Closed(at)) => *not_before = at,
            Err(stop) => {
                *not_before = now + super::AGAIN;
                drop(memory);
                return self.census_failed(stop, now);
            }
        }
        drop(memory);
        self.store.write(|tx| self.save_rates(tx))
    }

    fn census_failed(&self, stop: super::Stop, now: Millis) -> Result<(), StoreError> {
        tracing::warn!("the contacts at brevo could not be counted");
        match stop {
            super::Stop::Store(error) => Err(error),
            // Whoever goes alone meets the same refusal, and it is shown with them.
            super::Stop::Problem(..) | super::Stop::NoKey | super::Stop::Denied => {
                self.memory().alone_until = now + super::AGAIN;
                self.store.write(|tx| self.save_rates(tx))
            }
            _ => self.store.write(|tx| self.save_rates(tx)),
        }
    }
}
