//! Delivery to one Brevo account: due actions in lanes per person, one call sequence at a time
//! for each person, every outcome written down (design rules 4 to 9).
//!
//! | step | where |
//! |---|---|
//! | which work is due | `claim` |
//! | a call under rate windows; those of commands beside the host | `wire`, `beside` |
//! | attributes that exist | `schema` |
//! | finding a person's contact | `contact` |
//! | contact upserts, and changes of address | `upsert`, `address` |
//! | blocks | `blocks` |
//! | events, one or many; reading them back | `track`, `reconcile` |
//! | joins and leaves; finding or making their list | `lists`, `place` |
//! | mails, texts, campaigns; what they share | `mail`, `text`, `campaign`, `send` |
//! | soft and hard deletes | `delete` |
//! | actions about things | `thing` |
//! | many contacts in one call | `import` |
//! | products; records of objects, many in a call | `products`, `objects` |
//! | notes and tasks, once | `crm` |
//! | what an end means for the outbox | `outcome` |

mod address;
pub mod beside;
mod blocks;
mod campaign;
mod claim;
mod contact;
mod crm;
mod delete;
mod import;
mod lists;
mod mail;
mod objects;
mod outcome;
mod person;
mod place;
mod products;
mod reconcile;
mod schema;
mod send;
mod text;
mod thing;
mod track;
mod upsert;
mod wire;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::brevo::account::{Client, KeySource};
use crate::brevo::crm::TaskType;
use crate::brevo::errors::Remedy;
use crate::brevo::windows::{Family, Windows};
use crate::config::{Plan, UnknownConsent};
use crate::contract::Targets;
use crate::crash;
use crate::registry::Payload;
use crate::store::installations::{DestinationId, InstallationId};
use crate::store::outbox::State;
use crate::store::{Store, StoreError};
use crate::world::{Millis, World};
use claim::Claim;
pub(crate) use claim::ways;
pub(crate) use import::LIST as IMPORT_LIST;
use objects::ObjectType;
use outcome::End;
use schema::Schema;
pub(crate) use wire::load_rates;
use work::Work;

/// What a delivery is set up with.
#[derive(Clone)]
pub struct DestinationOptions {
    /// The account's row.
    pub destination: DestinationId,
    /// Normally [`crate::brevo::account::BASE_URL`].
    pub base_url: String,
    /// The account's API key.
    pub api_key: KeySource,
    /// Whether loopback and private addresses may be dialled: an operator's switch.
    pub allow_private: bool,
    /// Decides the rate windows.
    pub plan: Plan,
    /// Rate windows that replace the plan's, as (calls, seconds).
    pub limits: BTreeMap<Family, Vec<(u32, u32)>>,
    /// What happens to people who are not at Brevo and whose consent is unknown.
    pub unknown_consent: UnknownConsent,
    /// Whether declared attributes that are missing may be created.
    pub create_attributes: bool,
    /// What the profiles of the installations on this account declare.
    pub targets: Vec<(InstallationId, Targets)>,
    /// Waits and limits.
    pub policy: Policy,
}

/// Waits and limits. Host time, except for `deadline`.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How long after an unanswered event Brevo is read back. Brevo works on events after it
    /// answered and says nowhere how long; its longest documented repeat window is 15 to 30
    /// minutes. Too short doubles an event, too long only delays a repeat.
    pub settle: Duration,
    /// Calls that may fail before an action is put aside.
    pub attempts: u32,
    /// How often an event, note or task that is proven absent is sent again.
    pub resends: u32,
    /// First and longest wait between attempts; doubled each time, with full jitter.
    pub backoff: (Duration, Duration),
    /// Events that must be ready before a batch is worth one of its few calls.
    pub batch_min: usize,
    /// Contacts that must wait in bulk before an import is worth its calls. Below it, one by one is
    /// done before an import would be: 1,000 take two minutes at eight a second.
    pub import_min: usize,
    /// After which a person that was not found is looked for again.
    pub look_again: Duration,
    /// After which the account's attributes are read again.
    pub schema_age: Duration,
    /// After which a paused account or family of calls is tried again.
    pub pause: Duration,
    /// Real time for one exchange.
    pub deadline: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            settle: Duration::from_mins(15),
            attempts: 12,
            resends: 3,
            backoff: (Duration::from_secs(1), Duration::from_hours(1)),
            batch_min: 20,
            import_min: 1_000,
            look_again: Duration::from_hours(1),
            schema_age: Duration::from_hours(1),
            pause: Duration::from_mins(15),
            deadline: Duration::from_secs(30),
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It did something; call again at once.
    Worked,
    /// There is nothing to do before that instant, or until something arrives.
    Idle(Option<Millis>),
}

/// Delivers the outbox of one Brevo account. Share it among threads: two steps never work for
/// the same person.
pub struct Delivery {
    store: Arc<Store>,
    world: World,
    client: Client,
    options: DestinationOptions,
    rates: Mutex<BTreeMap<Family, Windows>>,
    schema: Mutex<Schema>,
    object_types: Mutex<BTreeMap<String, ObjectType>>,
    /// When the account's task types were read, and which there are.
    task_types: Mutex<Option<(Millis, Vec<TaskType>)>>,
    /// Lists that a thread is looking for.
    searched: Mutex<BTreeSet<i64>>,
    /// The last turn was a list's: whatever else is due comes next.
    lists_had_a_turn: AtomicBool,
    /// People that were looked for since joins or leaves last rode together.
    looks: AtomicUsize,
    /// Brevo took a call since the account was last paused.
    well: AtomicBool,
    imports: import::Imports,
}

impl Delivery {
    /// Sets up the delivery and resumes its rate windows. Call [`Delivery::recover`] before the
    /// first step.
    pub fn new(store: Arc<Store>, world: World, options: DestinationOptions) -> Result<Self, StoreError> {
        let client = Client::new(
            world.transport.clone(),
            &options.base_url,
            options.api_key.clone(),
            options.allow_private,
            options.policy.deadline,
        );
        let rates = store.read(|tx| wire::resumed_rates(tx, &options))?;
        Ok(Self {
            store,
            world,
            client,
            options,
            rates: Mutex::new(rates),
            schema: Mutex::new(Schema::default()),
            object_types: Mutex::new(BTreeMap::new()),
            task_types: Mutex::new(None),
            searched: Mutex::new(BTreeSet::new()),
            lists_had_a_turn: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
            well: AtomicBool::new(false),
            imports: import::Imports::default(),
        })
    }

    /// The account's row.
    pub fn destination(&self) -> DestinationId {
        self.options.destination
    }

    /// After a start: whatever was in flight has an unknown outcome. What is done once is parked to be read back; everything else is safe to go through again, because it looks before it writes.
    /// Returns how many actions it was.
    pub fn recover(&self) -> Result<usize, StoreError> {
        let now = self.world.now();
        self.store.write(|tx| {
            crate::store::lists::nobody_looks(tx, self.options.destination)?;
            crate::store::imports::recover(tx, self.options.destination, now + import::SETTLE)?;
            let rows = claim::in_flight(tx, self.options.destination)?;
            for action in &rows {
                self.recover_one(tx, action, now)?;
            }
            Ok(rows.len())
        })
    }

    /// Does one unit of work: one action, one batch of events, objects, joins or leaves, one reading back, or
    /// one look at the account's attributes or for a list. An error of the store ends the process: what is in flight is
    /// then recovered at the next start.
    pub fn step(&self) -> Result<Step, StoreError> {
        if self.store.in_doubt()? {
            return Ok(Step::Idle(None));
        }
        let now = self.world.now();
        if let Some(next) = self.store.read(|tx| self.idle_until(tx, now))? {
            return Ok(Step::Idle(next));
        }
        crash::point("delivery-before-in-flight");
        match self.store.write(|tx| self.claim(tx, now))? {
            Claim::Nothing(until) => Ok(Step::Idle(until)),
            Claim::Done => Ok(Step::Worked),
            Claim::Schema => {
                self.ensure_schema(now)?;
                Ok(Step::Worked)
            }
            Claim::One(work) => {
                crash::point("delivery-after-in-flight");
                self.deliver(*work)?;
                crash::point("delivery-after-done");
                Ok(Step::Worked)
            }
            Claim::Thing(work) => {
                crash::point("delivery-after-in-flight");
                self.deliver_thing(*work)?;
                crash::point("delivery-after-done");
                Ok(Step::Worked)
            }
            Claim::Batch(rows) => {
                crash::point("delivery-after-in-flight");
                self.track_batch(rows)?;
                crash::point("delivery-after-done");
                Ok(Step::Worked)
            }
            Claim::Objects(batch) => {
                crash::point("delivery-after-in-flight");
                self.objects(&batch)?;
                crash::point("delivery-after-done");
                Ok(Step::Worked)
            }
            Claim::List(change) => {
                crash::point("delivery-after-in-flight");
                self.change_list(&change)?;
                crash::point("delivery-after-done");
                Ok(Step::Worked)
            }
            Claim::Import(step) => {
                self.import(*step)?;
                Ok(Step::Worked)
            }
            Claim::Search(search) => {
                self.search(&search)?;
                Ok(Step::Worked)
            }
            Claim::ReadBack(rows) => {
                self.reconcile(rows)?;
                Ok(Step::Worked)
            }
        }
    }

    fn deliver(&self, mut work: Work) -> Result<(), StoreError> {
        let result = match work.payload.clone() {
            Payload::UpsertContact(upsert) => self.upsert(&mut work, &upsert),
            Payload::SetConsent(consent) => self.set_consent(&mut work, &consent),
            Payload::SetSuppression(suppression) => self.block(&mut work, suppression.channel),
            Payload::TrackEvent(event) => self.track(&mut work, &event),
            Payload::JoinList(to) => self.membership(&mut work, &to, true),
            Payload::LeaveList(to) => self.membership(&mut work, &to, false),
            Payload::SendEmail(mail) => self.send_email(&mut work, &mail),
            Payload::SendSms(text) => self.send_sms(&mut work, &text),
            Payload::DeleteContact(delete) => self.delete(&mut work, &delete),
            Payload::AddNote(note) => self.note_on_contact(&mut work, &note),
            Payload::CreateTask(task) => self.task_on_contact(&mut work, &task),
            // About things; the pipeline admits them for nobody.
            Payload::TriggerCampaign(_) | Payload::UpsertProduct(_) | Payload::UpsertObject(_) => {
                Ok(End::Stopped(State::Refused, claim::unreadable()))
            }
        };
        let end = self.end_of(&work, result)?;
        self.finish(work, end)
    }

    fn backoff(&self, attempts: u32) -> Millis {
        let (first, longest) = self.options.policy.backoff;
        let bound = longest.min(first.saturating_mul(1 << attempts.saturating_sub(1).min(20)));
        let bound = bound.as_millis() as u64;
        (self.world.random.below(bound) + 1) as Millis
    }
}

pub(crate) fn millis(duration: Duration) -> Millis {
    duration.as_millis() as Millis
}

#[cfg(test)]
mod tests;
