//! Consent and suppression: from flags on a profile, and from what a person does.

use serde::Serialize;

use super::{Log, action};
use crate::model::contact::{ContactBody, Stance};
use crate::model::event::EventBody;
use crate::model::{Action, Person, Record};
use crate::source::signals::{self, Says};

/// Payload of `brevo/set-consent`.
#[derive(Serialize)]
pub struct SetConsent {
    pub channel: &'static str,
    pub status: &'static str,
    /// `flag`: of unknown age. `signal`: an act of the person, dated by the record.
    pub basis: &'static str,
}

/// Payload of `brevo/set-suppression`.
#[derive(Serialize)]
struct SetSuppression {
    channel: &'static str,
    reason: &'static str,
}

/// What the flags of a contact call for.
pub fn of_contact(record: &Record, body: &ContactBody<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for (slot, channel, stance) in
        [("consent-email", "email", body.consent.email), ("consent-sms", "sms", body.consent.sms)]
    {
        if let Some(stance) = stance {
            let status = match stance {
                Stance::OptedIn => "opted-in",
                Stance::OptedOut => "opted-out",
            };
            actions.push(set_consent(record, slot, SetConsent { channel, status, basis: "flag" }));
        }
    }
    // False says that MoEngage sees no reason to hold back; it lifts nothing at Brevo.
    if body.suppression.hard_bounce == Some(true) {
        actions.push(hard_bounce(record));
    }
    if body.suppression.complaint == Some(true) {
        actions.push(complaint(record));
    }
    actions
}

/// What an event says about consent or the address, beyond having happened (`source/signals.rs`).
pub fn of_event(record: &Record, person: &Person, body: &EventBody<'_>, log: &mut dyn Log) -> Option<Action> {
    let said =
        |status, basis| set_consent(record, "consent-email", SetConsent { channel: "email", status, basis });
    match signals::of_event(&body.code, body.name.as_deref())? {
        Says::OptedOut => Some(said("opted-out", "signal")),
        Says::WasOptedOut => Some(said("opted-out", "flag")),
        Says::Complaint => Some(complaint(record)),
        Says::HardBounce if is_about_present_address(person, body) => Some(hard_bounce(record)),
        Says::HardBounce => {
            log.warn("hard bounce of another address than the present one suppresses nothing", &[]);
            None
        }
        Says::OptedIn if record.occurred.vendor_time().is_some() => Some(said("opted-in", "signal")),
        // Without its date nobody can say whether it came before or after an opt-out.
        Says::OptedIn => {
            log.warn("resubscription without a date changes nothing", &[]);
            None
        }
    }
}

/// A person may have changed the address since; a bounce stays with the one it came from.
fn is_about_present_address(person: &Person, body: &EventBody<'_>) -> bool {
    match (&person.email, &body.recipient) {
        (Some(present), Some(bounced)) => present.to_lowercase() == bounced.to_lowercase(),
        _ => true,
    }
}

pub fn set_consent(record: &Record, slot: &str, payload: SetConsent) -> Action {
    action(record, slot, "brevo/set-consent", &payload)
}

fn hard_bounce(record: &Record) -> Action {
    suppress(record, "suppress-email-hard-bounce", "hard-bounce")
}

fn complaint(record: &Record) -> Action {
    suppress(record, "suppress-email-complaint", "complaint")
}

fn suppress(record: &Record, slot: &str, reason: &'static str) -> Action {
    action(record, slot, "brevo/set-suppression", &SetSuppression { channel: "email", reason })
}
