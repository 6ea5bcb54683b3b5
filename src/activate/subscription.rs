//! What a person subscribed to at MoEngage.

use super::consent::{SetConsent, set_consent};
use crate::json::{Object, Scalar};
use crate::model::{Action, Mapping, Record};

/// What a subscription calls for. Only a global unsubscription says something that Brevo has a
/// place for; that somebody is *not* globally unsubscribed opts nobody in, and a category is no
/// channel.
// MD:api/subscription-categories/subscription-categories-v5/subscription-categories-v5.yaml: the
// flag unsubscribes from every category; for which channel the read doesn't say. The safe reading
// is all of them.
pub fn map(record: &Record) -> Mapping {
    let unsubscribed = Object::parse(&record.body)
        .is_some_and(|body| body.get("globally_unsubscribed") == Some(Scalar::Bool(true)));
    if !unsubscribed {
        return Mapping::Nothing("not-unsubscribed".to_owned());
    }
    let opt_out = |(slot, channel): (&'static str, &'static str)| -> Action {
        set_consent(record, slot, SetConsent { channel, status: "opted-out", basis: "flag" })
    };
    Mapping::Actions([("consent-email", "email"), ("consent-sms", "sms")].map(opt_out).to_vec())
}
