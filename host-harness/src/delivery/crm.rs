//! Notes and tasks.

use super::Delivery;
use super::outcome::{End, Letter};
use super::thing::ThingWork;
use super::wire::Stop;
use super::work::Work;
use crate::brevo::errors::Kind;
use crate::registry::{AddNote, CreateTask};
use crate::store::outbox::State;

impl Delivery {
    pub(super) fn note_on_contact(&self, _work: &mut Work, _what: &AddNote) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }

    pub(super) fn task_on_contact(&self, _work: &mut Work, _what: &CreateTask) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }

    pub(super) fn note(&self, _work: &mut ThingWork, _what: &AddNote) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }

    pub(super) fn task(&self, _work: &mut ThingWork, _what: &CreateTask) -> Result<End, Stop> {
        Ok(End::Stopped(State::Failed, Letter::of(Kind::Unexpected.rule())))
    }
}
