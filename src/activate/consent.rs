//! Consent and suppression: from flags on a profile, and from what a person does.

use serde::Serialize;

use super::{Log, action};
use crate::model::contact::{ContactBody, Stance};
use crate::model::event::EventBody;
use crate::model::{Action, Person, Record};
use crate::source::codes;

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

/// What an event says about consent or the address, beyond having happened. Web push
/// subscriptions are not e-mail consent and call for nothing.
pub fn of_event(record: &Record, person: &Person, body: &EventBody<'_>, log: &mut dyn Log) -> Option<Action> {
    let signal = |status| {
        set_consent(record, "consent-email", SetConsent { channel: "email", status, basis: "signal" })
    };
    match body.code.as_ref() {
        codes::EMAIL_UNSUBSCRIBE => Some(signal("opted-out")),
        codes::EMAIL_SPAM => Some(complaint(record)),
        codes::EMAIL_HARD_BOUNCE if is_about_present_address(person, body) => Some(hard_bounce(record)),
        codes::EMAIL_HARD_BOUNCE => {
            log.warn("hard bounce of another address than the present one suppresses nothing", &[]);
            None
        }
        _ if is_resubscription(body) => match record.occurred.vendor_time() {
            Some(_) => Some(signal("opted-in")),
            // Without its date nobody can say whether it came before or after an opt-out.
            None => {
                log.warn("resubscription without a date changes nothing", &[]);
                None
            }
        },
        _ => None,
    }
}

/// A person may have changed the address since; a bounce stays with the one it came from.
fn is_about_present_address(person: &Person, body: &EventBody<'_>) -> bool {
    match (&person.email, &body.recipient) {
        (Some(present), Some(bounced)) => present.to_lowercase() == bounced.to_lowercase(),
        _ => true,
    }
}

fn is_resubscription(body: &EventBody<'_>) -> bool {
    body.name.as_deref().is_some_and(|name| name.trim().eq_ignore_ascii_case(codes::EMAIL_RESUBSCRIBED_NAME))
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
