//! Records of custom objects.

use super::Delivery;
use super::outcome::{End, Letter};
use super::thing::ThingWork;
use super::wire::Stop;
use crate::brevo::errors::Kind;
use crate::registry::UpsertObject;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn upsert_object(&self, _work: &mut ThingWork, _what: &UpsertObject) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
