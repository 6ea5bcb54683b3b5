//! Events that the settings name as the word that a person is to be deleted.

use super::{action_with, is_historical};
use crate::model::event::EventBody;
use crate::model::{Action, Millis, Record};
use crate::settings::Settings;
use crate::settings::deletes::{Behavior, DELETED_AT};

/// The deletion that an event calls for. One that was read later and is old deletes nobody: the
/// person may have come back since.
pub fn of_event(settings: &Settings, record: &Record, body: &EventBody<'_>, now: Millis) -> Option<Action> {
    let deletes = settings.deletes.as_ref()?;
    let named = deletes.on.iter().any(|code| *code == body.code);
    if !named || is_historical(record, settings.options.max_event_age, now) {
        return None;
    }
    let payload = match deletes.behavior {
        Behavior::Soft => format!(r#"{{"behavior":"soft","mark":"{DELETED_AT}"}}"#),
        Behavior::Hard => r#"{"behavior":"hard"}"#.to_owned(),
    };
    Some(action_with(record, "delete-contact", "brevo/delete-contact", payload))
}
