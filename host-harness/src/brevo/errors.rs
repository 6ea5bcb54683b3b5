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
    /// `account_under_validation`: some of its calls are not open yet.
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
    /// `campaign_processing`, `campaign_sent`: it was told to be sent before.
    CampaignUnderWay,
    /// `duplicate_request`: this very request was taken before.
    AlreadyProcessed,
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
                Remedy::PauseFamily,
                "The Brevo API key may not make these calls.",
                "Use a key with access to them; deliveries go on by themselves.",
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
                Remedy::PauseFamily,
                "Brevo is still validating the account and does not open these calls.",
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
            Self::CampaignUnderWay => (
                "brevo-campaign-under-way",
                Operator,
                Remedy::GiveUp,
                "The campaign was told to be sent before; nothing was sent a second time.",
                "Look at the campaign at Brevo, then close it.",
            ),
            Self::AlreadyProcessed => (
                "brevo-already-processed",
                Operator,
                Remedy::ReadBack,
                "Brevo says that it took this request before.",
                "Look whether Brevo has it, then requeue or close it.",
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

/// By what an answer is known: status, code and words, each only where it is named.
pub struct Sign {
    /// From, to.
    pub statuses: (u16, u16),
    /// Brevo's `code`, one of them.
    pub codes: &'static [&'static str],
    /// In Brevo's `message`, in any case, one of them.
    pub words: &'static [&'static str],
    /// What it is. Of a duplicate the identifiers are read from the answer.
    pub kind: Kind,
}

const fn sign(statuses: (u16, u16), kind: Kind) -> Sign {
    Sign { statuses, codes: &[], words: &[], kind }
}

const fn coded(statuses: (u16, u16), codes: &'static [&'static str], kind: Kind) -> Sign {
    Sign { statuses, codes, words: &[], kind }
}

const fn worded(statuses: (u16, u16), words: &'static [&'static str], kind: Kind) -> Sign {
    Sign { statuses, codes: &[], words, kind }
}

const REFUSALS: (u16, u16) = (400, 499);

/// The first that fits counts. Every code of `errorModel` and `contactErrorModel` (OpenAPI,
/// brevo-python 5.1.0) and every status of a call in use is among them.
pub const SIGNS: &[Sign] = &[
    worded((401, 401), &["ip address", "authorised_ips"], Kind::IpNotAuthorised),
    worded((401, 401), &["scope", "permission"], Kind::MissingScope),
    sign((401, 401), Kind::BadKey),
    coded((400, 400), &["unauthorized"], Kind::BadKey),
    sign((402, 402), Kind::NoCredits),
    coded(REFUSALS, &["not_enough_credits"], Kind::NoCredits),
    coded(REFUSALS, &["account_under_validation"], Kind::AccountUnderValidation),
    coded(REFUSALS, &["campaign_processing", "campaign_sent"], Kind::CampaignUnderWay),
    sign((403, 403), Kind::Forbidden),
    sign((405, 405), Kind::Forbidden),
    coded(REFUSALS, &["permission_denied", "method_not_allowed"], Kind::Forbidden),
    coded((400, 400), &["document_not_found"], Kind::NotFound),
    coded((404, 404), &["document_not_found"], Kind::NotFound),
    // Without Brevo's code it may be a gateway's, about the path, and proves nothing.
    sign((404, 404), Kind::Unexpected),
    sign((425, 425), Kind::TooEarly),
    coded(REFUSALS, &["account_in_process"], Kind::TooEarly),
    sign((429, 429), Kind::RateLimited),
    coded(REFUSALS, &["duplicate_request"], Kind::AlreadyProcessed),
    // The code drifted from duplicate_parameter to invalid_parameter with the same sentence, so
    // both the code and the sentence count.
    coded((400, 400), &["duplicate_parameter"], Kind::Duplicate(Vec::new())),
    coded((409, 409), &["duplicate_parameter"], Kind::Duplicate(Vec::new())),
    worded((400, 400), &["already associated", "already exist"], Kind::Duplicate(Vec::new())),
    worded((409, 409), &["already associated", "already exist"], Kind::Duplicate(Vec::new())),
    worded((400, 400), &["invalid phone"], Kind::InvalidPhone),
    sign((408, 408), Kind::OutcomeUnknown),
    sign((500, 999), Kind::OutcomeUnknown),
    coded(
        REFUSALS,
        &[
            "invalid_parameter",
            "missing_parameter",
            "out_of_range",
            "bad_request",
            "unprocessable_entity",
            "not_acceptable",
        ],
        Kind::Refused,
    ),
    sign(REFUSALS, Kind::Refused),
];

impl Sign {
    fn fits(&self, status: u16, code: &str, message: &str) -> bool {
        (self.statuses.0..=self.statuses.1).contains(&status)
            && (self.codes.is_empty() || self.codes.contains(&code))
            && (self.words.is_empty() || self.words.iter().any(|word| message.contains(word)))
    }
}

/// Tells an answer that is not a success apart.
pub fn classify(answer: &HttpResponse) -> Problem {
    let body: Body = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body.message.to_lowercase();
    let sign = SIGNS.iter().find(|sign| sign.fits(answer.status, &body.code, &message));
    let kind = match sign.map(|sign| &sign.kind) {
        Some(Kind::Duplicate(_)) => Kind::Duplicate(identifiers(&body, &message)),
        Some(kind) => kind.clone(),
        None => Kind::Unexpected,
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

    /// The codes of `errorModel` and `contactErrorModel`, each with what it comes to.
    #[test]
    fn every_documented_code_has_a_meaning_of_its_own_or_is_a_refusal() {
        let meanings = [
            ("invalid_parameter", "brevo-refused"),
            ("missing_parameter", "brevo-refused"),
            ("out_of_range", "brevo-refused"),
            ("not_acceptable", "brevo-refused"),
            ("bad_request", "brevo-refused"),
            ("unprocessable_entity", "brevo-refused"),
            ("campaign_processing", "brevo-campaign-under-way"),
            ("campaign_sent", "brevo-campaign-under-way"),
            ("document_not_found", "brevo-not-found"),
            ("not_enough_credits", "brevo-no-credits"),
            ("permission_denied", "brevo-forbidden"),
            ("method_not_allowed", "brevo-forbidden"),
            ("duplicate_parameter", "brevo-duplicate"),
            ("duplicate_request", "brevo-already-processed"),
            ("unauthorized", "brevo-bad-key"),
            ("account_under_validation", "brevo-account-under-validation"),
            ("account_in_process", "brevo-too-early"),
        ];
        for (code, meaning) in meanings {
            let body = format!(r#"{{"code":"{code}","message":"x"}}"#);
            assert_eq!(kind(400, &body).rule().code, meaning, "{code}");
            let named = SIGNS.iter().any(|sign| sign.codes.contains(&code));
            assert!(named, "{code} is in no row");
        }
        let named = SIGNS.iter().flat_map(|sign| sign.codes);
        for code in named {
            assert!(meanings.iter().any(|(documented, _)| documented == code), "{code} is not documented");
        }
    }

    #[test]
    fn every_row_is_reached_and_every_kind_has_a_row_of_its_own() {
        for sign in SIGNS {
            let code = sign.codes.first().copied().unwrap_or_default();
            let message = sign.words.first().copied().unwrap_or_default();
            let body = serde_json::json!({ "code": code, "message": message }).to_string();
            let found = kind(sign.statuses.1.min(599), &body);
            assert_eq!(found.rule(), sign.kind.rule(), "{:?} {code} {message}", sign.statuses);
        }
        let mut codes: Vec<&str> = SIGNS.iter().map(|sign| sign.kind.rule().code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 16, "{codes:?}");
    }

    #[test]
    fn any_body_is_tolerated() {
        for body in ["", "null", "[]", "\"x\"", "{\"code\":7}", "{\"message\":null}", "\u{0}"] {
            assert_eq!(kind(400, body), Kind::Refused, "{body}");
        }
    }
}
