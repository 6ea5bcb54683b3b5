//! Actions about things: they need no contact, and have a lane of their own.

use super::Delivery;
use super::outcome::{End, Letter};
use super::work::Intent;
use crate::contract::Subject;
use crate::registry::Payload;
use crate::store::StoreError;
use crate::store::outbox::{Action, State};

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
            Payload::UpsertObject(object) => self.upsert_object(&mut work, &object),
            Payload::AddNote(note) => self.note(&mut work, &note),
            Payload::CreateTask(task) => self.task(&mut work, &task),
            // About people; the pipeline admits them for nothing else.
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
            self.went_on(tx, now)?;
            self.save_rates(tx)
        })
    }
}
