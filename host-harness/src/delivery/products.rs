//! Products.

use super::Delivery;
use super::outcome::{End, Letter};
use super::thing::ThingWork;
use super::wire::Stop;
use crate::brevo::errors::Kind;
use crate::registry::UpsertProduct;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn upsert_product(&self, _work: &mut ThingWork, _what: &UpsertProduct) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
