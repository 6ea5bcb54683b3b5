//! MoEngage's refusals: one shape for each family of calls.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::journal::FindingKind;

/// How a family of calls refuses, and what it calls an exchange.
#[derive(Clone, Copy)]
pub(super) struct Envelope {
    /// Body of a refusal; the text is the vendor's id of the exchange.
    /// Null is an empty body.
    pub(super) body: fn(Refusal<'_>, &str) -> Value,
    pub(super) status: fn(Refusal<'_>) -> u16,
    pub(super) ids: Ids,
    /// Whether a 429 says how long to wait, in seconds.
    pub(super) retry_after: bool,
    /// Whether 401 and 403 come from the gateway before it: JSON that says it is plain text.
    pub(super) gateway: bool,
}

/// The id of an exchange. Without an id of the caller's, v5 makes one of 12 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// Eight letters of the vendor's own.
    Short,
    /// v5: the caller's, in `X-MOE-Request-Id` and in `response_id`.
    Echoed,
    /// v5: as `Echoed`, with `resp_` before it in the body (OpenAPI files of offerings, business
    /// events, locales, subscription categories).
    Prefixed,
}

impl Envelope {
    /// A family of before v5.
    pub(super) const fn plain(body: fn(Refusal<'_>, &str) -> Value) -> Self {
        Self { body, status: |refusal| refusal.status(), ids: Ids::Short, retry_after: false, gateway: false }
    }

    /// The same, with statuses of its own.
    pub(super) const fn with_status(self, status: fn(Refusal<'_>) -> u16) -> Self {
        Self { status, ..self }
    }
}

pub(super) const DATA: Envelope = Envelope::plain(data);
pub(super) const CAMPAIGNS_V1: Envelope = Envelope::plain(campaigns_v1);
pub(super) const SEGMENTS: Envelope = Envelope::plain(segments);
pub(super) const V5: Envelope = Envelope { ids: Ids::Echoed, ..Envelope::plain(v5) };

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal<'a> {
    /// The request is not what the documents say.
    Invalid { target: &'a str, message: &'a str },
    /// No `MOE-APPKEY`.
    NoAppKey,
    /// The workspace is not this one, or header and credentials name different ones.
    UnknownWorkspace,
    /// No credentials, or not the key of this family.
    WrongKey,
    /// The workspace has no key of this family.
    NoSecretSet,
    /// The account is suspended.
    Suspended,
    /// The key lacks this permission.
    Scope(&'a str),
    /// The caller's address is not on the allow-list.
    Address,
    /// The call was never switched on for this workspace.
    NotSwitchedOn,
    /// A rate window is full.
    TooMany,
    /// What only some calls answer, in their own words. No fault of the request.
    Named { status: u16, code: &'a str, target: &'a str, message: &'a str },
}

/// moengage: OpenAPI file of flows, 403.
pub(super) fn required(permission: &str) -> String {
    format!("Required permission: {permission}")
}

impl Refusal<'_> {
    /// In most families.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::NoAppKey | Self::UnknownWorkspace | Self::WrongKey => 401,
            Self::Suspended | Self::Scope(_) | Self::Address | Self::NotSwitchedOn => 403,
            Self::NoSecretSet => 409,
            Self::TooMany => 429,
            Self::Named { status, .. } => status,
        }
    }

    fn finding(self) -> Option<(FindingKind, String)> {
        let (kind, detail) = match self {
            Self::Invalid { target, message } => {
                return Some((FindingKind::Violation, format!("{target}: {message}")));
            }
            Self::NoAppKey => (FindingKind::Violation, "no MOE-APPKEY header"),
            Self::UnknownWorkspace => (FindingKind::Unauthorized, "another workspace"),
            Self::WrongKey => (FindingKind::Unauthorized, "not the key of this family"),
            Self::NoSecretSet => (FindingKind::Unauthorized, "no key of this family is set"),
            Self::Suspended => (FindingKind::Unauthorized, "suspended"),
            Self::Scope(_) => (FindingKind::Unauthorized, "the key lacks a permission"),
            Self::Address => (FindingKind::Unauthorized, "the address is not allowed"),
            Self::NotSwitchedOn => (FindingKind::Unauthorized, "the call is not switched on"),
            Self::TooMany => (FindingKind::OverLimit, "a rate window is full"),
            Self::Named { .. } => return None,
        };
        Some((kind, detail.to_owned()))
    }

    /// The answer in the family's shape. `id` is the vendor's id of the exchange.
    pub(super) fn reply(self, envelope: Envelope, id: &str) -> Reply {
        let body = match self {
            // moengage: MD:user-guide/settings/account/security/ip-whitelisting-in-moengage.mdx
            Self::Address => json!({
                "error": "IP Validation Required",
                "message": "Requests are allowed from listed addresses only",
            }),
            _ => (envelope.body)(self, id),
        };
        let status = (envelope.status)(self);
        let reply = match body {
            Value::Null => Reply::empty(status),
            body => Reply::json(status, &body),
        };
        let reply = match envelope.gateway && matches!(status, 401 | 403) {
            true => reply.header("content-type", "text/plain"),
            false => reply,
        };
        match self.finding() {
            Some((kind, detail)) => reply.with(kind, detail),
            None => reply,
        }
    }
}

/// moengage: MD:api/data/data-overview.mdx; header missing as in the OpenAPI file of Data.
fn data(refusal: Refusal<'_>, id: &str) -> Value {
    let (kind, message) = match refusal {
        Refusal::NoAppKey => {
            return json!({"title": "HeaderMissing", "description": "MOE-APPKEY is missing in Header"});
        }
        Refusal::Invalid { message, .. } => ("InvalidParams", message),
        Refusal::UnknownWorkspace | Refusal::WrongKey => {
            ("Authentication required", "Authentication required")
        }
        Refusal::NoSecretSet => ("Authentication Mismatch", "APP_SECRET is not set for this account"),
        Refusal::Suspended | Refusal::Address => ("Account Suspended", "The account is suspended"),
        Refusal::Scope(_) => ("BlockedClient", "The key is not allowed to make this call"),
        // That support must switch Get User on is documented, what it answers until then is
        // not: a 403 of this family.
        Refusal::NotSwitchedOn => ("BlockedClient", "This API is not enabled for your account"),
        Refusal::TooMany => ("Rate Limits Exceeded", "Rate limits exceeded, please try after some time"),
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"status": "fail", "error": {"message": message, "type": kind, "request_id": id}})
}

/// moengage: OpenAPI file of the V1 campaigns; a 401 nests its details.
fn campaigns_v1(refusal: Refusal<'_>, _id: &str) -> Value {
    let unauthorized = |target: &str, message: &str| {
        json!({"error": {
            "code": "401 Authentication error", "message": "Authentication required", "request_id": "",
            "details": [{"code": "InvalidValue", "target": target,
                "message": [{"code": "InvalidValue", "target": target, "message": message}]}],
        }})
    };
    let named = |code: &str, target: &str, message: &str| {
        json!({"error": {
            "code": code, "message": message, "target": target, "request_id": "",
            "details": [{"target": target, "message": message}],
        }})
    };
    let (code, target, message) = match refusal {
        Refusal::NoAppKey => return unauthorized("MOE-APPKEY", "MOE-APPKEY is missing in Header"),
        Refusal::UnknownWorkspace => return unauthorized("APP_KEY", "Invalid APP_KEY is provided."),
        Refusal::WrongKey | Refusal::NoSecretSet => {
            return unauthorized("APP_SECRET_KEY", "Invalid APP_SECRET_KEY is provided.");
        }
        Refusal::Invalid { target, message } => ("400 Bad Request", target, message),
        Refusal::Suspended | Refusal::Address => ("403 Forbidden", "APP_KEY", "The account is suspended"),
        Refusal::Scope(permission) => return named("403 Forbidden", "APP_SECRET_KEY", &required(permission)),
        Refusal::NotSwitchedOn => ("403 Forbidden", "APP_SECRET_KEY", "This API is not enabled"),
        Refusal::TooMany => ("429 Too Many Requests", "rate_limit", "Rate limit exceeded"),
        Refusal::Named { code, target, message, .. } => (code, target, message),
    };
    named(code, target, message)
}

/// moengage: `V5ErrorEnvelope` of the OpenAPI file of campaign drafts.
fn v5(refusal: Refusal<'_>, id: &str) -> Value {
    let named = |code: &str, message: &str| json!({"response_id": id, "error": {"code": code, "message": message, "details": []}});
    let (code, message, details) = match refusal {
        Refusal::Invalid { target: "Idempotency-Key", message } => {
            ("MISSING_IDEMPOTENCY_KEY", message, json!([{"target": "Idempotency-Key", "message": message}]))
        }
        Refusal::Invalid { target, message } => (
            "VALIDATION_FAILED",
            "One or more fields failed validation.",
            json!([{"target": target, "message": message}]),
        ),
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            return named("UNAUTHORIZED", "Invalid or missing credentials.");
        }
        Refusal::Suspended | Refusal::Address => return named("FORBIDDEN", "The account is suspended"),
        Refusal::Scope(permission) => return named("FORBIDDEN", &required(permission)),
        Refusal::NotSwitchedOn => return named("FORBIDDEN", "This API is not enabled"),
        Refusal::TooMany => return named("RATE_LIMITED", "Rate limit exceeded"),
        Refusal::Named { code, message, .. } => return named(code, message),
    };
    json!({"response_id": id, "error": {"code": code, "message": message, "details": details}})
}

/// moengage: `ErrorResponseV3` of the OpenAPI file of custom segments.
fn segments(refusal: Refusal<'_>, id: &str) -> Value {
    let (code, message) = match refusal {
        Refusal::Invalid { message, .. } => ("Invalid Request", message),
        Refusal::NoAppKey => (
            "Request Error",
            "MoEngage Client not found. Please check values for headers - MOE-APPKEY or MOE-DBNAME",
        ),
        Refusal::UnknownWorkspace => {
            ("Authentication required", "Invalid APP_KEY used in Authentication Header")
        }
        Refusal::WrongKey | Refusal::NoSecretSet => (
            "Authentication required",
            "APP_SECRET key mismatch. Please login to the dashboard to verify key",
        ),
        Refusal::Suspended | Refusal::Address => ("Forbidden", "The account is suspended"),
        Refusal::Scope(_) | Refusal::NotSwitchedOn => {
            ("Forbidden", "The key is not allowed to make this call")
        }
        Refusal::TooMany => ("Too Many Requests", "API rate limit breached. Current limit: n/m mins"),
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"response_id": id, "type": "custom_segment", "error": {"code": code, "message": message}})
}

/// The vendor's code of an exchange as letters (`wUcwPRZF`), from its hexadecimal id.
pub(super) fn letters(id: &str) -> String {
    let letter = |(at, digit): (usize, char)| {
        let n = digit.to_digit(16).unwrap_or(0) as u8;
        char::from(if at % 3 == 0 { b'A' + n } else { b'g' + n })
    };
    id.chars().take(8).enumerate().map(letter).collect()
}

/// A refused `Idempotency-Key`, in the shape of V5.
pub(super) fn bad_key(code: &str, message: &str, id: &str) -> Reply {
    let details = json!([{"target": "Idempotency-Key", "message": message}]);
    let body = json!({"response_id": id, "error": {"code": code, "message": message, "details": details}});
    Reply::json(400, &body).with(FindingKind::Violation, message)
}

/// A request that Data refuses (moengage: MD:api/data/data-overview.mdx, the list of codes).
pub(super) fn data_failure(
    status: u16,
    kind: &str,
    attribute: Option<&str>,
    message: &str,
    id: &str,
) -> Reply {
    let mut error = json!({"message": message, "type": kind, "request_id": id});
    if let Some(attribute) = attribute {
        error["attribute"] = json!(attribute);
    }
    Reply::json(status, &json!({"status": "fail", "error": error})).with(FindingKind::Violation, message)
}
