//! A stand-in for one Brevo account.
//!
//! Written from Brevo's OpenAPI file of February 2026, the models of `brevo-python` 5.1.0
//! (October 2026), developers.brevo.com and help.brevo.com; where these leave something open it
//! takes the reading that is worst for the sender, and says so beside the code.
//!
//! Calls: `GET /v3/account`, `GET /v3/contacts/attributes`,
//! `POST /v3/contacts/attributes/{category}/{name}`, `GET | POST /v3/contacts`,
//! `PUT | GET | DELETE /v3/contacts/{identifier}`, `GET | POST /v3/contacts/folders`,
//! `GET | POST /v3/contacts/lists`, `GET /v3/contacts/lists/{id}`,
//! `GET /v3/contacts/lists/{id}/contacts`, `POST /v3/contacts/lists/{id}/contacts/add | remove`,
//! `POST /v3/events`, `POST /v3/events/batch`, `GET /v3/events`, `POST /v3/smtp/email`,
//! `GET /v3/smtp/emails`, `GET /v3/smtp/statistics/events`, `GET /v3/smtp/blockedContacts`,
//! `DELETE /v3/smtp/log/{identifier}`, `POST /v3/transactionalSMS/send | sms`,
//! `GET /v3/transactionalSMS/statistics/events`, `GET /v3/emailCampaigns/{id}`,
//! `POST /v3/emailCampaigns/{id}/sendNow`, `POST /v3/contacts/import`, `GET /v3/processes`,
//! `GET /v3/processes/{id}` and the reports that it links to, `POST /v3/products`,
//! `POST /v3/products/batch`, `GET /v3/products/{id}`, `POST /v3/objects/{type}/batch/upsert`,
//! `GET /v3/objects/{type}/records`, `GET | POST /v3/crm/notes`, `GET | POST /v3/crm/tasks`,
//! `GET /v3/crm/tasktypes`. Everything else is 404 and a violation.
//!
//! An account's automations are not part of its API. Here each list may have one
//! ([`Brevo::set_automations`]) that starts with every contact that is really added, by whichever
//! call; [`Brevo::automations_started`] says for whom and by which request.

mod account;
mod attributes;
mod blocklist;
mod campaigns;
mod contact_calls;
mod contacts;
mod events;
mod import;
mod import_rows;
mod jobs;
mod limits;
mod lists;
mod mail;
mod mail_log;
mod memberships;
mod notes;
mod objects;
mod options;
mod processes;
mod products;
mod query;
mod replies;
mod routes;
mod schemas;
mod sms;
mod tasks;

use std::collections::BTreeMap;
use std::io;

pub use blocklist::{BlockReason, TransactionalBlock};
pub use campaigns::{Campaign, CampaignSend, CampaignStatus};
pub use contacts::{Cause, Channel, Contact, Resubscription};
pub use events::Event;
pub use import::Import;
pub use lists::{Folder, List, NewList};
pub use mail::{Mail, Template};
pub use memberships::ListChange;
pub use notes::Note;
pub use objects::{ObjectRecord, ObjectType};
pub use options::{BatchBucket, BatchPartial, DuplicateCode, ImportRows, ListEnvelope, Options, Plan};
pub use processes::{Process, Work};
pub use products::Product;
pub use sms::{Text, TextKind};
pub use tasks::Task;

use crate::clock::{Clock, Millis};
use crate::faults::Faults;
use crate::http::Server;
use crate::journal::{FindingKind, Journal, Violation};
use account::Account;
use contacts::Identifier;

/// A running stand-in. Stops when it is dropped.
pub struct Brevo {
    server: Server<Account>,
    api_key: String,
}

impl Brevo {
    /// Starts it on a thread of its own. Fails where the port is taken or no thread can be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let (port, scale, keep) = (options.port, options.scale, options.journal_limit);
        let api_key = options.api_keys.first().cloned().unwrap_or_default();
        let now = Clock::new(scale).now();
        let server = Server::start("brevo", port, scale, keep, Account::new(options, now))?;
        let origin = server.url();
        server.shared.with(|account| account.processes.origin = origin);
        Ok(Self { server, api_key })
    }

    /// `http://127.0.0.1:port`; the vendor's paths follow it (`/v3/...`).
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The first key that it accepts.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Replaces the keys that it accepts.
    pub fn set_api_keys(&self, keys: Vec<String>) {
        self.server.shared.with(|account| account.options.api_keys = keys);
    }

    /// Host time now.
    pub fn now(&self) -> Millis {
        self.server.shared.clock.now()
    }

    /// Faults of this stand-in.
    pub fn faults(&self) -> &Faults {
        &self.server.shared.faults
    }

    /// The account as it is now.
    fn held<T>(&self, act: impl FnOnce(&mut Account) -> T) -> T {
        let now = self.now();
        self.server.shared.with(|account| {
            account.settle(now);
            act(account)
        })
    }

    /// The journal keeps whole exchanges too from now on: [`Journal::exchanges`].
    pub fn record_exchanges(&self) {
        self.server.shared.record_exchanges();
    }

    /// A copy of the journal.
    pub fn journal(&self) -> Journal {
        self.server.shared.journal()
    }

    /// Requests that Brevo's documents do not allow. A test of a client wants this empty.
    pub fn violations(&self) -> Vec<Violation> {
        self.server.shared.with_journal(|journal| journal.violations().to_vec())
    }

    /// Attributes that were dropped in silence, in words.
    pub fn ignored_attributes(&self) -> Vec<String> {
        self.server.shared.with_journal(|journal| {
            let findings = journal.entries().flat_map(|entry| &entry.findings);
            let ignored = findings.filter(|finding| finding.kind == FindingKind::IgnoredAttribute);
            ignored.map(|finding| finding.detail.clone()).collect()
        })
    }

    /// Requests that were answered 429 because a documented window was full. Those of a fault
    /// don't count.
    pub fn over_limit(&self) -> u64 {
        self.server.shared.with_journal(|journal| journal.count_of(FindingKind::OverLimit))
    }

    /// All contacts, by their id.
    pub fn contacts(&self) -> Vec<Contact> {
        self.held(|account| account.contacts.all().cloned().collect())
    }

    /// The contact with this address, in any case.
    pub fn contact_by_email(&self, email: &str) -> Option<Contact> {
        self.find(&Identifier::Email(email.to_lowercase()))
    }

    /// The contact with this own id.
    pub fn contact_by_ext_id(&self, ext_id: &str) -> Option<Contact> {
        self.find(&Identifier::ExtId(ext_id.to_owned()))
    }

    fn find(&self, identifier: &Identifier) -> Option<Contact> {
        self.held(|account| {
            account.contacts.find(identifier).and_then(|id| account.contacts.get(id)).cloned()
        })
    }

    /// Every event that was accepted, in order of arrival; those without a contact had no effect.
    pub fn events(&self) -> Vec<Event> {
        self.held(|account| account.events.clone())
    }

    /// Accepted events that no contact has.
    pub fn dropped_events(&self) -> u64 {
        self.server.shared.with_journal(|journal| journal.count_of(FindingKind::DroppedEvent))
    }

    /// How often events with each value of a property took effect, for instance by the source's
    /// event id. Numbers and booleans are counted under their JSON text; events without the
    /// property are left out.
    pub fn events_by_property(&self, name: &str) -> BTreeMap<String, u64> {
        self.held(|account| {
            let mut counts = BTreeMap::new();
            for event in account.events.iter().filter(|event| event.contact_id.is_some()) {
                if let Some(value) = event.properties.get(name) {
                    let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    *counts.entry(key).or_default() += 1;
                }
            }
            counts
        })
    }

    /// Everybody who was blocked and, by a request, no longer is; in order.
    pub fn resubscriptions(&self) -> Vec<Resubscription> {
        self.held(|account| account.contacts.resubscriptions().to_vec())
    }

    /// A person clicks the unsubscribe link of a mail at this host time. False where no contact
    /// has the address.
    pub fn unsubscribe_at_brevo(&self, email: &str, at: Millis) -> bool {
        self.held(|account| account.unsubscribe(email, at))
    }
}
