//! Text messages.

use super::Delivery;
use super::outcome::{End, Letter};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::errors::Kind;
use crate::registry::SendSms;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn send_sms(&self, _work: &mut Work, _what: &SendSms) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
