//! What Brevo's refusals mean: who must act, whether to try again, what to do.
//!
//! Shapes (OpenAPI `errorModel`, `contactErrorModel`): `{"code": …, "message": …, "metadata":
//! {"duplicate_identifiers": […]}}`. `code` is optional, and gateways answer with HTML, so both are
//! read leniently. Brevo's sentences may repeat addresses: they are matched, never kept.

use serde::Deserialize;

use crate::store::dead_letters::Actor;
use crate::world::HttpResponse;

/// A refusal or failure that Brevo answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// What it is.
    pub kind: Kind,
}

/// Identifiers that are unique among contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Identifier {
    Email,
    Sms,
    ExtId,
    /// WhatsApp, landline, or one that the message doesn't name.
    Other,
}

/// Every refusal that is told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 401: the key is unknown, expired or missing.
    BadKey,
    /// 401: the host's address is not on the account's list.
    IpNotAuthorised,
    /// 401: the key may not do this.
    MissingScope,
    /// 402, or `not_enough_credits`.
    NoCredits,
    /// 403, 405: not allowed, or not in the plan.
    Forbidden,
    /// `account_under_validation`.
    AccountUnderValidation,
    /// `document_not_found`, with 404 or 400.
    NotFound,
    /// An identifier belongs to another contact.
    Duplicate(Vec<Identifier>),
    /// `SMS` is not a phone number to Brevo.
    InvalidPhone,
    /// 425, `account_in_process`: the contact is still being processed.
    TooEarly,
    /// 429.
    RateLimited,
    /// 408, 5xx: the request may have been carried out.
    OutcomeUnknown,
    /// 400, 413, 422 and the like: this request will never be accepted.
    Refused,
    /// A status or body that the documentation doesn't have.
    Unexpected,
}

/// What the engine does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Everything for this account waits, and is tried again by itself later.
    PauseAccount,
    /// The calls of this family wait.
    PauseFamily,
    /// The action is tried again, attempts are counted.
    Retry,
    /// Waiting costs nothing: attempts are not counted.
    Wait,
    /// Only what may be repeated is repeated.
    ReadBack,
    /// The action ends here.
    GiveUp,
}

/// How one kind is dealt with and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable, `lower-kebab-case`.
    pub code: &'static str,
    /// Who must act.
    pub actor: Actor,
    /// What the engine does.
    pub remedy: Remedy,
    /// What happened, one sentence.
    pub message: &'static str,
    /// What to do, one sentence.
    pub action: &'static str,
}

impl Kind {
    /// The table. Everything that Brevo can answer is dealt with here and nowhere else.
    pub fn rule(&self) -> Rule {
        use Actor::{ConnectorAuthor, Nobody, Operator, Tenant};
        let (code, actor, remedy, message, action) = match self {
            Self::BadKey => (
                "brevo-bad-key",
                Tenant,
                Remedy::PauseAccount,
                "Brevo does not accept the API key.",
                "Put a valid key into the configured secret; deliveries go on by themselves.",
            ),
            Self::IpNotAuthorised => (
                "brevo-ip-not-authorised",
                Operator,
                Remedy::PauseAccount,
                "Brevo does not accept calls from this host's address.",
                "Add the address under Security > Authorised IPs at Brevo, or turn the blocking off there; deliveries go on by themselves.",
            ),
            Self::MissingScope => (
                "brevo-missing-scope",
                Tenant,
                Remedy::PauseAccount,
                "The Brevo API key may not do this.",
                "Use a key with access to contacts and events; deliveries go on by themselves.",
            ),
            Self::NoCredits => (
                "brevo-no-credits",
                Tenant,
                Remedy::PauseFamily,
                "The Brevo account has no credits left for this.",
                "Top up the account; deliveries go on by themselves.",
            ),
            Self::Forbidden => (
                "brevo-forbidden",
                Tenant,
                Remedy::PauseFamily,
                "Brevo does not allow this call for the account or the key.",
                "Check the account's plan and the key's access; deliveries go on by themselves.",
            ),
            Self::AccountUnderValidation => (
                "brevo-account-under-validation",
                Tenant,
                Remedy::PauseAccount,
                "Brevo is still validating the account.",
                "Finish the validation at Brevo; deliveries go on by themselves.",
            ),
            Self::NotFound => (
                "brevo-not-found",
                Operator,
                Remedy::GiveUp,
                "Brevo does not know what the call is about.",
                "Look at the action, then requeue or close it.",
            ),
            Self::Duplicate(_) => (
                "brevo-duplicate",
                Operator,
                Remedy::Retry,
                "An identifier belongs to another contact at Brevo.",
                "Decide at Brevo which contact keeps the identifier, then requeue.",
            ),
            Self::InvalidPhone => (
                "phone-refused",
                Tenant,
                Remedy::GiveUp,
                "Brevo does not take the phone number; the contact was delivered without it.",
                "Correct the number at the source (E.164 with country code), then requeue.",
            ),
            Self::TooEarly => (
                "brevo-too-early",
                Operator,
                Remedy::Retry,
                "Brevo kept answering that the contact is still being processed.",
                "Requeue it; if it stays so, ask Brevo's support.",
            ),
            Self::RateLimited => (
                "rate-limited",
                Nobody,
                Remedy::Wait,
                "Brevo asked to wait.",
                "Nothing; it goes on by itself.",
            ),
            Self::OutcomeUnknown => (
                "brevo-unavailable",
                Operator,
                Remedy::ReadBack,
                "Brevo kept failing.",
                "Requeue once Brevo works again (status.brevo.com).",
            ),
            Self::Refused => (
                "brevo-refused",
                ConnectorAuthor,
                Remedy::GiveUp,
                "Brevo refused the request as malformed.",
                "Send the action to the connector's author; requeue it after a correction.",
            ),
            Self::Unexpected => (
                "brevo-unexpected",
                Operator,
                Remedy::Retry,
                "Brevo kept answering in a way that its documentation does not have.",
                "Check that the base URL is Brevo's API and no proxy answers instead, then requeue.",
            ),
        };
        Rule { code, actor, remedy, message, action }
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    duplicate_identifiers: Vec<String>,
}

/// Tells an answer that is not a success apart.
pub fn classify(answer: &HttpResponse) -> Problem {
    let body: Body = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body.message.to_lowercase();
    let kind = match (answer.status, body.code.as_str()) {
        (401, _) if message.contains("ip address") || message.contains("authorised_ips") => {
            Kind::IpNotAuthorised
        }
        (401, _) if message.contains("scope") || message.contains("permission") => Kind::MissingScope,
        (401, _) => Kind::BadKey,
        (402, _) | (400, "not_enough_credits") => Kind::NoCredits,
        (_, "account_under_validation") => Kind::AccountUnderValidation,
        (403 | 405, _) | (400, "permission_denied" | "method_not_allowed") => Kind::Forbidden,
        (404 | 400, "document_not_found") => Kind::NotFound,
        // Without Brevo's code it may be a gateway's, about the path, and proves nothing.
        (404, _) => Kind::Unexpected,
        (425, _) | (400, "account_in_process") => Kind::TooEarly,
        (429, _) => Kind::RateLimited,
        // The code drifted from duplicate_parameter to invalid_parameter with the same sentence,
        // so both the code and the sentence count.
        (400 | 409, "duplicate_parameter") => Kind::Duplicate(identifiers(&body, &message)),
        (400 | 409, _) if message.contains("already associated") || message.contains("already exist") => {
            Kind::Duplicate(identifiers(&body, &message))
        }
        (400, _) if message.contains("invalid phone") => Kind::InvalidPhone,
        (408 | 500.., _) => Kind::OutcomeUnknown,
        (400..=499, _) => Kind::Refused,
        _ => Kind::Unexpected,
    };
    Problem { status: answer.status, kind }
}

/// Brevo's code, empty where there is none.
pub(super) fn code(answer: &HttpResponse) -> String {
    serde_json::from_slice::<Body>(&answer.body).unwrap_or_default().code
}

/// Brevo's sentence in lower case, to be matched and never kept.
pub(super) fn message(answer: &HttpResponse) -> String {
    serde_json::from_slice::<Body>(&answer.body).unwrap_or_default().message.to_lowercase()
}

fn identifiers(body: &Body, message: &str) -> Vec<Identifier> {
    let named: Vec<String> = match body.metadata.duplicate_identifiers.as_slice() {
        [] => message.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect(),
        listed => listed.iter().map(|name| name.to_lowercase()).collect(),
    };
    let mut found: Vec<Identifier> = named
        .iter()
        .filter_map(|word| match word.as_str() {
            "email" => Some(Identifier::Email),
            "sms" | "phone" => Some(Identifier::Sms),
            "ext_id" => Some(Identifier::ExtId),
            "whatsapp" | "landline_number" => Some(Identifier::Other),
            _ => None,
        })
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() { vec![Identifier::Other] } else { found }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        classify(&HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }).kind
    }

    #[test]
    fn the_three_kinds_of_401_are_told_apart() {
        assert_eq!(kind(401, r#"{"message":"Key not found","code":"unauthorized"}"#), Kind::BadKey);
        assert_eq!(
            kind(401, r#"{"message":"authentication not found in headers","code":"unauthorized"}"#),
            Kind::BadKey
        );
        let ip = r#"{"code":"unauthorized","message":"We have detected you are using an unrecognised IP address 1.2.3.4. If you performed this action make sure to add the new IP address in this link: https://app.brevo.com/security/authorised_ips"}"#;
        assert_eq!(kind(401, ip), Kind::IpNotAuthorised);
        assert_eq!(
            kind(401, r#"{"code":"unauthorized","message":"Insufficient scope"}"#),
            Kind::MissingScope
        );
        assert_eq!(kind(401, "<html>"), Kind::BadKey);
    }

    #[test]
    fn a_duplicate_is_one_under_both_codes() {
        for code in ["duplicate_parameter", "invalid_parameter"] {
            let body = format!(
                r#"{{"code":"{code}","message":"Unable to create contact, email is already associated with another Contact"}}"#
            );
            assert_eq!(kind(400, &body), Kind::Duplicate(vec![Identifier::Email]));
        }
        let listed = r#"{"code":"duplicate_parameter","message":"Unable to update contact","metadata":{"duplicate_identifiers":["SMS","ext_id"]}}"#;
        assert_eq!(kind(400, listed), Kind::Duplicate(vec![Identifier::Sms, Identifier::ExtId]));
    }

    #[test]
    fn every_documented_status_has_a_meaning() {
        assert_eq!(
            kind(400, r#"{"code":"invalid_parameter","message":"Invalid phone number"}"#),
            Kind::InvalidPhone
        );
        assert_eq!(kind(400, r#"{"code":"missing_parameter","message":"email is missing"}"#), Kind::Refused);
        assert_eq!(kind(402, r#"{"code":"not_enough_credits"}"#), Kind::NoCredits);
        assert_eq!(kind(403, r#"{"code":"permission_denied"}"#), Kind::Forbidden);
        assert_eq!(
            kind(404, r#"{"code":"document_not_found","message":"Contact does not exist"}"#),
            Kind::NotFound
        );
        assert_eq!(kind(400, r#"{"code":"document_not_found"}"#), Kind::NotFound);
        assert_eq!(kind(405, ""), Kind::Forbidden);
        assert_eq!(kind(425, ""), Kind::TooEarly);
        assert_eq!(kind(429, ""), Kind::RateLimited);
        for status in [500, 502, 503, 504, 524] {
            assert_eq!(kind(status, "<html>gateway</html>"), Kind::OutcomeUnknown);
        }
        assert_eq!(kind(404, "<html>no such page</html>"), Kind::Unexpected);
        for status in [406, 412, 413, 417, 422, 424] {
            assert_eq!(kind(status, "{}"), Kind::Refused);
        }
        assert_eq!(kind(302, ""), Kind::Unexpected);
    }

    #[test]
    fn any_body_is_tolerated() {
        for body in ["", "null", "[]", "\"x\"", "{\"code\":7}", "{\"message\":null}", "\u{0}"] {
            assert_eq!(kind(400, body), Kind::Refused, "{body}");
        }
    }
}
