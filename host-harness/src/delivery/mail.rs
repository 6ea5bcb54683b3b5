//! Transactional mail.

use super::Delivery;
use super::outcome::{End, Letter};
use super::wire::Stop;
use super::work::Work;
use crate::brevo::errors::Kind;
use crate::registry::SendEmail;
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn send_email(&self, _work: &mut Work, _what: &SendEmail) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
