//! Actions about things: they need no contact, and have a lane of their own.

use rusqlite::Transaction;

use super::Delivery;
use super::outcome::{End, Letter};
use super::work::Intent;
use crate::brevo::windows::Family;
use crate::contract::Subject;
use crate::registry::Payload;
use crate::store::StoreError;
use crate::store::outbox::{self, Action, State};
use crate::world::Millis;

/// One action about a thing under way, and what was learned.
pub(super) struct ThingWork {
    pub action: Action,
    pub payload: Payload,
    /// Kind and key of the thing.
    pub subject: (String, String),
    pub intent: Intent,
    pub letters: Vec<Letter>,
}

impl ThingWork {
    /// The action back, where it is not one that can be worked on.
    pub fn load(action: Action) -> Result<Result<Self, Action>, StoreError> {
        let (Ok(payload), Ok(Subject::Object(subject))) =
            (Payload::parse(&action.name, &action.payload), serde_json::from_str(&action.subject))
        else {
            return Ok(Err(action));
        };
        let intent = Intent::read(action.intent.as_deref())?;
        Ok(Ok(Self { action, payload, subject, intent, letters: Vec::new() }))
    }
}

impl Delivery {
    pub(super) fn deliver_thing(&self, mut work: ThingWork) -> Result<(), StoreError> {
        let result = match work.payload.clone() {
            Payload::TriggerCampaign(campaign) => self.trigger_campaign(&mut work, &campaign),
            Payload::UpsertProduct(product) => self.upsert_product(&mut work, &product),
            Payload::AddNote(note) => self.note(&mut work, &note),
            Payload::CreateTask(task) => self.task(&mut work, &task),
            // About people, which the pipeline admits for nothing else; or objects, which ride together.
            _ => Ok(End::Stopped(State::Refused, super::claim::unreadable())),
        };
        let end = match result {
            Ok(end) => end,
            Err(stop) => self.end_of_stop(&work.action, stop)?,
        };
        self.finish_thing(&work, &end)
    }

    fn finish_thing(&self, work: &ThingWork, end: &End) -> Result<(), StoreError> {
        let now = self.world.now();
        self.store.write(|tx| {
            for letter in &work.letters {
                super::outcome::write_letter(tx, &work.action, letter, now)?;
            }
            self.end(tx, &work.action, State::InFlight, end, Some(&work.intent), now)?;
            if let (End::Delivered, Payload::UpsertProduct(_)) = (end, &work.payload) {
                self.newest_is_there(tx, Family::Products, &[&work.action], now)?;
            }
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }

    /// Revisions of things were delivered: older ones are over, and so is what kept the calls of the
    /// family from being made. All actions have one name.
    pub(super) fn newest_is_there(
        &self,
        tx: &Transaction<'_>,
        family: Family,
        delivered: &[&Action],
        now: Millis,
    ) -> Result<(), StoreError> {
        let Some(first) = delivered.first() else { return Ok(()) };
        let newest = delivered.iter().filter_map(|action| Some((action.thing?.0, action.id))).collect();
        outbox::supersede_older(tx, self.options.destination, &first.name, &newest, now)?;
        self.resolve_about(tx, &super::outcome::about_calls(family), now)
    }
}
