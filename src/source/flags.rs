//! What the flags on a MoEngage profile say about consent and about the address.
//!
//! They are two different things: clearing a bounce or complaint lifts a block, it does not
//! restore consent
//! (MD:user-guide/campaigns-and-channels/email/getting-started-with-email/suppression-updates.mdx).

use super::notes::{Notes, Notice};
use crate::json::{Object, Scalar, whole_number};
use crate::model::contact::{Consent, OptIn, Stance, Suppression};

/// Every attribute that is read here (MD:api/data/data-overview.mdx).
#[cfg(test)]
pub const ATTRIBUTES: [&str; 5] = [UNSUBSCRIBE, EMAIL_OPT_IN, SMS_SUBSCRIPTION, HARD_BOUNCE, SPAM];

const UNSUBSCRIBE: &str = "moe_unsubscribe";
const EMAIL_OPT_IN: &str = "moe_email_optin_status";
const SMS_SUBSCRIPTION: &str = "moe_sms_subscription";
const HARD_BOUNCE: &str = "moe_hard_bounce";
const SPAM: &str = "moe_spam";

/// Reads the flags among the user attributes. A flag that is missing, null or unreadable is
/// *not known*, which is neither true nor false.
pub fn read(attributes: &Object<'_>, notes: &mut Notes) -> (Consent, Suppression) {
    let mut flag = |name: &str| match attributes.get(name).map(truth) {
        Some(Truth::Unreadable) => {
            notes.add(Notice::UnreadableFlag);
            None
        }
        Some(Truth::Known(value)) => Some(value),
        Some(Truth::Nothing) | None => None,
    };
    let unsubscribed = flag(UNSUBSCRIBE);
    let suppression = Suppression { hard_bounce: flag(HARD_BOUNCE), complaint: flag(SPAM) };

    let opt_in = match attributes.get(EMAIL_OPT_IN) {
        None | Some(Scalar::Null) => OptInFlag::Nothing,
        Some(Scalar::Text(text)) => opt_in(&text),
        Some(_) => OptInFlag::Unreadable,
    };
    let sms = match attributes.get(SMS_SUBSCRIPTION).map(subscription) {
        Some(Truth::Known(true)) => Some(Stance::OptedIn),
        Some(Truth::Known(false)) => Some(Stance::OptedOut),
        Some(Truth::Unreadable) => {
            notes.add(Notice::UnreadableFlag);
            None
        }
        Some(Truth::Nothing) | None => None,
    };
    if opt_in == OptInFlag::Unreadable {
        notes.add(Notice::UnreadableFlag);
    }

    let email = match (unsubscribed, opt_in) {
        // Either withdrawal counts, whatever the other says.
        (Some(true), _) | (_, OptInFlag::Known(OptIn::OptedOut)) => Some(Stance::OptedOut),
        // MoEngage itself sends no promotional mail before the double opt-in is confirmed, and a
        // state that we can't read may be just that.
        (_, OptInFlag::Known(OptIn::Pending) | OptInFlag::Unreadable) => None,
        (_, OptInFlag::Known(OptIn::DoubleOptedIn)) | (Some(false), OptInFlag::Nothing) => {
            Some(Stance::OptedIn)
        }
        (None, OptInFlag::Nothing) => None,
    };
    let email_opt_in = match opt_in {
        OptInFlag::Known(state) => Some(state),
        OptInFlag::Nothing | OptInFlag::Unreadable => None,
    };
    (Consent { email, sms, email_opt_in }, suppression)
}

pub(super) enum Truth {
    Known(bool),
    /// Null or blank.
    Nothing,
    Unreadable,
}

/// MD:api/data/data-overview.mdx calls the flags booleans; exports hold texts and floats instead.
pub(super) fn truth(value: Scalar<'_>) -> Truth {
    match value {
        Scalar::Null => Truth::Nothing,
        Scalar::Bool(value) => Truth::Known(value),
        Scalar::Number(number) => match whole_number(number).as_deref() {
            Some("1") => Truth::Known(true),
            Some("0") => Truth::Known(false),
            _ => Truth::Unreadable,
        },
        Scalar::Text(text) if text.trim().is_empty() => Truth::Nothing,
        Scalar::Text(text) if text.trim().eq_ignore_ascii_case("true") => Truth::Known(true),
        Scalar::Text(text) if text.trim().eq_ignore_ascii_case("false") => Truth::Known(false),
        Scalar::Text(_) | Scalar::Compound => Truth::Unreadable,
    }
}

/// `moe_sms_subscription` is a string (MD:api/data/data-overview.mdx) with four documented states:
/// OPTIN, OPTOUT, OPT-IN PENDING and EMPTY (help.moengage.com, article 7252470147092). Tenants
/// import words of their own; only unmistakable ones are taken, and with every other the person's
/// wish is not known.
fn subscription(value: Scalar<'_>) -> Truth {
    if let Scalar::Text(text) = &value {
        match words(text).as_str() {
            "optin" | "opt in" | "subscribed" | "opted in" => return Truth::Known(true),
            "optout" | "opt out" | "unsubscribed" | "opted out" => return Truth::Known(false),
            // Signed up without consenting, and never asked.
            "opt in pending" | "optin pending" | "empty" => return Truth::Nothing,
            _ => {}
        }
    }
    truth(value)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OptInFlag {
    Known(OptIn),
    Nothing,
    Unreadable,
}

/// MoEngage writes the state as `DOUBLE_OPTED_IN` and as `Double opted in`
/// (MD:api/data/data-overview.mdx and the Track User page).
fn opt_in(text: &str) -> OptInFlag {
    match words(text).as_str() {
        "" => OptInFlag::Nothing,
        "double opted in" => OptInFlag::Known(OptIn::DoubleOptedIn),
        "opt in pending" | "optin pending" => OptInFlag::Known(OptIn::Pending),
        "opted out" => OptInFlag::Known(OptIn::OptedOut),
        _ => OptInFlag::Unreadable,
    }
}

/// Lower case, words separated by one space.
pub(super) fn words(text: &str) -> String {
    let parts = text.split(|c: char| c.is_whitespace() || c == '_' || c == '-');
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect();
    parts.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn flags(text: &str) -> (Consent, Suppression) {
        read(&Object::parse(text).unwrap(), &mut Notes::default())
    }

    fn email(text: &str) -> Option<Stance> {
        flags(text).0.email
    }

    #[test]
    fn any_withdrawal_wins() {
        assert_eq!(
            email(r#"{"moe_unsubscribe":true,"moe_email_optin_status":"DOUBLE_OPTED_IN"}"#),
            Some(Stance::OptedOut)
        );
        assert_eq!(
            email(r#"{"moe_unsubscribe":false,"moe_email_optin_status":"Opted out"}"#),
            Some(Stance::OptedOut)
        );
    }

    #[test]
    fn both_spellings_of_the_opt_in_state() {
        for text in ["DOUBLE_OPTED_IN", "Double opted in"] {
            assert_eq!(email(&format!(r#"{{"moe_email_optin_status":"{text}"}}"#)), Some(Stance::OptedIn));
        }
        for text in ["OPT_IN_PENDING", "Optin pending"] {
            let (consent, _) =
                flags(&format!(r#"{{"moe_unsubscribe":false,"moe_email_optin_status":"{text}"}}"#));
            assert_eq!((consent.email, consent.email_opt_in), (None, Some(OptIn::Pending)));
        }
    }

    #[test]
    fn unknown_stays_unknown() {
        for text in [
            "{}",
            r#"{"moe_unsubscribe":null}"#,
            r#"{"moe_unsubscribe":""}"#,
            r#"{"moe_unsubscribe":"perhaps"}"#,
            r#"{"moe_unsubscribe":[false]}"#,
            r#"{"moe_unsubscribe":false,"moe_email_optin_status":"SOMETHING_NEW"}"#,
        ] {
            assert_eq!(email(text), None, "{text}");
        }
        for text in ["weekly", "OPT-IN PENDING", "EMPTY", ""] {
            assert_eq!(flags(&format!(r#"{{"moe_sms_subscription":"{text}"}}"#)).0.sms, None, "{text}");
        }
    }

    #[test]
    fn a_suppression_is_not_consent() {
        let (consent, suppression) = flags(r#"{"moe_hard_bounce":1.0,"moe_spam":"false"}"#);
        assert_eq!(consent, Consent::default());
        assert_eq!(suppression, Suppression { hard_bounce: Some(true), complaint: Some(false) });
    }
}
