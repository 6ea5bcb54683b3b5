//! What an answer means that is no success, in all of MoEngage's shapes of errors.
//!
//! Every family of calls has a shape of its own, and one family fails under status 200. The
//! status decides first, because a proxy can set it too; MoEngage's code then tells apart what
//! shares a status. Sentences are never matched, with two exceptions that have no code: a
//! permission that is named, and the switch that some calls hide behind.

use super::client::HttpResponse;
use super::rate;
use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar, elements};
use crate::model::Millis;
use crate::settings::KeySlot;

/// What a code of MoEngage says, whatever the family that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The key is refused.
    Key,
    /// The key may not do this.
    Scope,
    /// The workspace is blocked.
    Suspended,
    /// The caller's address is not listed.
    Address,
    /// Workspace and key don't belong together.
    Mismatch,
    /// Too many calls.
    Rate,
    /// MoEngage has a problem of its own.
    Outage,
    /// What was asked for is not there.
    Missing,
    /// The request is not what MoEngage wants.
    Request,
    /// The same request is being served already.
    InFlight,
    /// The same idempotency key came with another body.
    Reused,
}

/// Codes as they are written, with their meaning.
// Families: data MD:api/data/data-overview.mdx; v5 OpenAPI files of flows, offers, campaign
// drafts (UPPER_SNAKE) and subscription v5 (PascalCase); catalog, campaigns V1, templates,
// inform: their OpenAPI files; addresses
// MD:user-guide/settings/account/security/ip-whitelisting-in-moengage.mdx.
const CODES: &[(&str, Meaning)] = &[
    ("UNAUTHORIZED", Meaning::Key),
    ("Authentication required", Meaning::Key),
    ("request-unauthenticated", Meaning::Key),
    ("401 Authentication error", Meaning::Key),
    ("401 Unauthorized", Meaning::Key),
    ("120001", Meaning::Key),
    ("FORBIDDEN", Meaning::Scope),
    ("request-denied", Meaning::Scope),
    ("403 Forbidden", Meaning::Scope),
    ("BlockedClient", Meaning::Suspended),
    ("Account Suspended", Meaning::Suspended),
    ("Account Temporarily Suspended", Meaning::Suspended),
    ("IP Validation Required", Meaning::Address),
    ("Authentication Mismatch", Meaning::Mismatch),
    ("RATE_LIMITED", Meaning::Rate),
    ("RATE_LIMIT_EXCEEDED", Meaning::Rate),
    ("TooManyRequests", Meaning::Rate),
    ("Too Many Requests", Meaning::Rate),
    ("429 Too Many Requests", Meaning::Rate),
    ("Rate Limits Exceeded", Meaning::Rate),
    ("RateLimitError", Meaning::Rate),
    ("429", Meaning::Rate),
    ("140110", Meaning::Rate),
    ("INTERNAL_ERROR", Meaning::Outage),
    ("InternalServerError", Meaning::Outage),
    ("ServerError", Meaning::Outage),
    ("Server Error", Meaning::Outage),
    ("140109", Meaning::Outage),
    ("NOT_FOUND", Meaning::Missing),
    ("NotFound", Meaning::Missing),
    ("FLOW_NOT_FOUND", Meaning::Missing),
    ("catalog-not-found", Meaning::Missing),
    // OpenAPI of cards and of recommendations, both under 400.
    ("User not found for this uid/ unique_id", Meaning::Missing),
    ("recommendation does not exist", Meaning::Missing),
    ("VALIDATION_FAILED", Meaning::Request),
    ("UNPROCESSABLE_ENTITY", Meaning::Request),
    ("INVALID_REQUEST", Meaning::Request),
    ("BAD_REQUEST", Meaning::Request),
    ("INVALID_DATE_RANGE", Meaning::Request),
    ("MISSING_IDEMPOTENCY_KEY", Meaning::Request),
    ("INVALID_IDEMPOTENCY_KEY", Meaning::Request),
    ("BadArgument", Meaning::Request),
    ("DUPLICATE_IDEMPOTENCY_KEY", Meaning::InFlight),
    ("120105", Meaning::InFlight),
    ("IDEMPOTENCY_CONFLICT", Meaning::Reused),
];

/// What an error says of itself, in whichever shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    code: Option<String>,
    message: Option<String>,
    /// The message and those of the details.
    sentences: Vec<String>,
}

impl Envelope {
    /// Reads an error body; empty where it is none of the shapes.
    pub fn read(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).unwrap_or_default();
        Object::parse(text).map(|object| Self::of(&object)).unwrap_or_default()
    }

    fn of(object: &Object<'_>) -> Self {
        let inner = |key: &str| object.raw(key).and_then(|raw| Object::parse(raw.get()));
        // Data, GDPR (`type`), campaigns, v5, segments, coupons, templates v2 (`code`).
        if let Some(error) = inner("error") {
            let details = error.raw("details").and_then(|raw| elements(raw.get())).unwrap_or_default();
            let details =
                details.into_iter().filter_map(|raw| word(&Object::parse(raw.get())?, &["message"]));
            let mut envelope = Self::new(word(&error, &["code", "type"]), word(&error, &["message"]));
            envelope.sentences.extend(details);
            return envelope;
        }
        // Cards and the address list: the error is a text.
        if let Some(error) = word(object, &["error"]) {
            return Self::new(Some(error), word(object, &["message"]));
        }
        // Templates V1 and business events: under `data`, beside a status.
        if is_failing(object)
            && let Some(data) = inner("data")
        {
            return Self::new(word(&data, &["code"]), word(&data, &["description", "title"]));
        }
        // Catalog; inform; statistics, cards, file segments and deletes; push; a bare message.
        Self::new(
            word(object, &["error-code", "err_code", "code"]),
            word(object, &["message", "Error_Message", "description", "title"]),
        )
    }

    fn new(code: Option<String>, message: Option<String>) -> Self {
        Self { code, sentences: message.iter().cloned().collect(), message }
    }

    /// True for an answer of one of the calls that MoEngage support has to switch on: it calls
    /// the switch a sentry (OpenAPI of e-mail subscription: `Sentry check failed`).
    pub fn names_a_switch(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.to_ascii_lowercase().contains("sentry"))
    }

    fn meaning(&self) -> Option<Meaning> {
        let code = self.code.as_deref()?.trim();
        CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, meaning)| *meaning)
    }

    /// The v5 APIs name it in a sentence, their own or that of a detail: `Required permission:
    /// campaigns:view` (OpenAPI of flows; MD:api/locales/locales.yaml), `Token is missing required
    /// scope read:subscriptions`
    /// (MD:api/subscription-categories/subscription-categories-v5/subscription-categories-v5.yaml).
    fn required_permission(&self) -> Option<&str> {
        self.sentences.iter().find_map(|sentence| {
            let (_, rest) = ["Required permission:", "required scope"]
                .into_iter()
                .find_map(|words| sentence.split_once(words))?;
            let rest = rest.trim_start();
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            rest.get(..end).filter(|name| name.contains(':') && name.len() <= 100)
        })
    }

    /// The code in brackets after a blank, where it is one word that can be shown.
    fn shown(&self) -> String {
        let plain = |code: &&String| {
            code.len() <= 60 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b" -_".contains(&b))
        };
        self.code.as_ref().filter(plain).map(|code| format!(" ({code})")).unwrap_or_default()
    }
}

/// The first of these keys that holds a text or a number.
fn word(object: &Object<'_>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| match object.get(key)? {
        Scalar::Text(text) => Some(text.into_owned()),
        Scalar::Number(number) => Some(number.to_owned()),
        Scalar::Null | Scalar::Bool(_) | Scalar::Compound => None,
    })
}

/// True where an object says that it is a failure.
fn is_failing(object: &Object<'_>) -> bool {
    let status = match object.get("status") {
        Some(Scalar::Bool(status)) => !status,
        // `fail` in the Data API, `Fail` in push, `error` in templates, `failure` in the
        // description of Get User.
        Some(Scalar::Text(text)) => {
            ["fail", "failure", "error"].iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    };
    let has = |key: &str| object.get(key).is_some_and(|value| value != Scalar::Null);
    status || has("error") || has("error-code") || has("Error_Message")
}

/// What an answer means whose status is no success.
pub fn refused(response: &HttpResponse, slot: KeySlot, now: Millis) -> Failure {
    let envelope = Envelope::read(&response.body);
    let code = envelope.meaning();
    let meaning = match response.status {
        _ if rate::is_limited(response) => Meaning::Rate,
        // An outage is never a refused key, whatever its body says.
        408 | 500..=599 => Meaning::Outage,
        // A key without the scope is answered with 401 or with 403 (OpenAPI of flows).
        401 if code == Some(Meaning::Scope) || envelope.required_permission().is_some() => Meaning::Scope,
        401 => Meaning::Key,
        403 => match code {
            Some(Meaning::Suspended | Meaning::Address) => code.unwrap_or(Meaning::Scope),
            _ => Meaning::Scope,
        },
        409 => match code {
            Some(Meaning::InFlight | Meaning::Reused) => code.unwrap_or(Meaning::Mismatch),
            // MD:api/data/data-overview.mdx: "App key mismatch in params and authentication".
            _ => Meaning::Mismatch,
        },
        // OpenAPI of analytics: the fair-use quota is used up.
        428 => Meaning::Rate,
        400 | 405 | 413 | 415 | 422 => code.unwrap_or(Meaning::Request),
        404 | 410 if code == Some(Meaning::Missing) => Meaning::Missing,
        status => {
            return Failure::vendor_contract(
                &response.body,
                "unexpected-status",
                format!("MoEngage answered with status {status}, which this call does not document."),
            );
        }
    };
    failure(meaning, &envelope, response, slot, now)
}

/// The object of an answer whose status is a success, where it is no failure in disguise: push
/// fails under status 200 (OpenAPI of push), and a log-in page is a success as well.
///
/// # Errors
/// As for a refusal where MoEngage's code is a known one; otherwise the vendor's contract.
pub fn success(response: &HttpResponse, slot: KeySlot, now: Millis) -> Result<Object<'_>, Failure> {
    let text = std::str::from_utf8(&response.body).unwrap_or_default();
    let Some(object) = Object::parse(text).filter(|object| !object.has_duplicate()) else {
        return Err(unexpected(response));
    };
    if !is_failing(&object) {
        return Ok(object);
    }
    let envelope = Envelope::of(&object);
    Err(match envelope.meaning() {
        Some(meaning) => failure(meaning, &envelope, response, slot, now),
        None => Failure::vendor_contract(
            &response.body,
            "failure-in-success",
            "MoEngage answered with a success whose body says that the call failed.",
        ),
    })
}

/// A success with another body than the documented one.
pub fn unexpected(response: &HttpResponse) -> Failure {
    Failure::vendor_contract(
        &response.body,
        "unexpected-answer",
        "MoEngage answered with a success whose body is not the documented one.",
    )
}

fn failure(
    meaning: Meaning,
    envelope: &Envelope,
    response: &HttpResponse,
    slot: KeySlot,
    now: Millis,
) -> Failure {
    let name = slot.name();
    match meaning {
        Meaning::Key => Failure::new(
            FailureKind::Auth { slot: name.to_owned() },
            "key-refused",
            format!(
                "MoEngage refuses the {name} key for this workspace and data centre; copy it again from Settings, \
                 Account, APIs."
            ),
        ),
        Meaning::Scope => {
            let scope = envelope.required_permission().unwrap_or("not named").to_owned();
            Failure::new(
                FailureKind::Permission { slot: name.to_owned(), scope },
                "key-lacks-permission",
                format!("The {name} key is known but may not do this; give it the permission in MoEngage."),
            )
        }
        Meaning::Suspended => Failure::new(
            FailureKind::Config,
            "account-suspended",
            "MoEngage has suspended or blocked this workspace; talk to MoEngage.",
        ),
        Meaning::Address => Failure::new(
            FailureKind::Config,
            "ip-not-allowed",
            "The workspace only answers listed addresses; add this host's outgoing address to the IP allowlist in \
             MoEngage.",
        ),
        Meaning::Mismatch => Failure::new(
            FailureKind::Config,
            "workspace-mismatch",
            "MoEngage says that workspace and key don't belong together; check workspace_id.",
        ),
        Meaning::Rate => Failure::new(
            FailureKind::RateLimited(rate::wait(response, now)),
            "rate-limited",
            "MoEngage asks to wait before the next call.",
        ),
        Meaning::Outage => Failure::new(
            FailureKind::Transient,
            "vendor-unavailable",
            format!("MoEngage answered with status {}{}.", response.status, envelope.shown()),
        ),
        Meaning::Missing => Failure::new(
            FailureKind::Gone,
            "not-found",
            format!("What was asked for is no longer there at MoEngage{}.", envelope.shown()),
        ),
        Meaning::Request => Failure::vendor_contract(
            &response.body,
            "request-refused",
            format!("MoEngage does not take the connector's request{}.", envelope.shown()),
        ),
        Meaning::InFlight => Failure::new(
            FailureKind::Transient,
            "request-in-flight",
            "MoEngage is still busy with the same request.",
        ),
        Meaning::Reused => Failure::new(
            FailureKind::Internal,
            "idempotency-conflict",
            "MoEngage has seen the idempotency key of this request with another body.",
        ),
    }
}
