//! Campaigns that are sent now.

use super::Delivery;
use super::outcome::{End, Letter};
use super::thing::ThingWork;
use super::wire::Stop;
use crate::brevo::errors::Kind;
use crate::registry::TriggerCampaign;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn trigger_campaign(
        &self,
        _work: &mut ThingWork,
        _what: &TriggerCampaign,
    ) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
