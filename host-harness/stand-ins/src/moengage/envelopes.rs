//! MoEngage's refusals: one shape for each family of calls.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::journal::FindingKind;

/// Calls that share a shape of errors and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Data,
    /// Get User: errors of Data, windows of its own.
    Users,
    CampaignsV1,
    CampaignsV5,
    Segments,
}

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
    /// The key lacks a permission.
    Scope,
    /// The caller's address is not on the allow-list.
    Address,
    /// The call was never switched on for this workspace.
    NotSwitchedOn,
    /// A rate window is full.
    TooMany,
}

impl Refusal<'_> {
    fn status(self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::NoAppKey | Self::UnknownWorkspace | Self::WrongKey => 401,
            Self::Suspended | Self::Scope | Self::Address | Self::NotSwitchedOn => 403,
            Self::NoSecretSet => 409,
            Self::TooMany => 429,
        }
    }

    fn finding(self) -> (FindingKind, &'static str) {
        match self {
            Self::Invalid { .. } => (FindingKind::Violation, "not what the documents say"),
            Self::NoAppKey => (FindingKind::Violation, "no MOE-APPKEY header"),
            Self::UnknownWorkspace => (FindingKind::Unauthorized, "another workspace"),
            Self::WrongKey => (FindingKind::Unauthorized, "not the key of this family"),
            Self::NoSecretSet => (FindingKind::Unauthorized, "no key of this family is set"),
            Self::Suspended => (FindingKind::Unauthorized, "suspended"),
            Self::Scope => (FindingKind::Unauthorized, "the key lacks a permission"),
            Self::Address => (FindingKind::Unauthorized, "the address is not allowed"),
            Self::NotSwitchedOn => (FindingKind::Unauthorized, "the call is not switched on"),
            Self::TooMany => (FindingKind::OverLimit, "a rate window is full"),
        }
    }

    /// The answer in the family's shape. `id` is the vendor's id of the exchange.
    pub(super) fn reply(self, shape: Shape, id: &str) -> Reply {
        let body = match self {
            // moengage: MD:user-guide/settings/account/security/ip-whitelisting-in-moengage.mdx
            Self::Address => json!({
                "error": "IP Validation Required",
                "message": "Requests are allowed from listed addresses only",
            }),
            _ => match shape {
                Shape::Data | Shape::Users => self.data(id),
                Shape::CampaignsV1 => self.campaigns_v1(),
                Shape::CampaignsV5 => self.campaigns_v5(id),
                Shape::Segments => self.segments(id),
            },
        };
        let (kind, detail) = self.finding();
        let detail = match self {
            Self::Invalid { target, message } => format!("{target}: {message}"),
            _ => detail.to_owned(),
        };
        Reply::json(self.status(), &body).with(kind, detail)
    }

    /// moengage: MD:api/data/data-overview.mdx; header missing as in the OpenAPI file of Data.
    fn data(self, id: &str) -> Value {
        let (kind, message) = match self {
            Self::NoAppKey => {
                return json!({"title": "HeaderMissing", "description": "MOE-APPKEY is missing in Header"});
            }
            Self::Invalid { message, .. } => ("InvalidParams", message),
            Self::UnknownWorkspace | Self::WrongKey => ("Authentication required", "Authentication required"),
            Self::NoSecretSet => ("Authentication Mismatch", "APP_SECRET is not set for this account"),
            Self::Suspended | Self::Address => ("Account Suspended", "The account is suspended"),
            Self::Scope => ("BlockedClient", "The key is not allowed to make this call"),
            // That support must switch Get User on is documented, what it answers until then is
            // not: a 403 of this family.
            Self::NotSwitchedOn => ("BlockedClient", "This API is not enabled for your account"),
            Self::TooMany => ("Rate Limits Exceeded", "Rate limits exceeded, please try after some time"),
        };
        json!({"status": "fail", "error": {"message": message, "type": kind, "request_id": id}})
    }

    /// moengage: OpenAPI file of the V1 campaigns; a 401 nests its details.
    fn campaigns_v1(self) -> Value {
        let unauthorized = |target: &str, message: &str| {
            json!({"error": {
                "code": "401 Authentication error", "message": "Authentication required", "request_id": "",
                "details": [{"code": "InvalidValue", "target": target,
                    "message": [{"code": "InvalidValue", "target": target, "message": message}]}],
            }})
        };
        let (code, target, message) = match self {
            Self::NoAppKey => return unauthorized("MOE-APPKEY", "MOE-APPKEY is missing in Header"),
            Self::UnknownWorkspace => return unauthorized("APP_KEY", "Invalid APP_KEY is provided."),
            Self::WrongKey | Self::NoSecretSet => {
                return unauthorized("APP_SECRET_KEY", "Invalid APP_SECRET_KEY is provided.");
            }
            Self::Invalid { target, message } => ("400 Bad Request", target, message),
            Self::Suspended | Self::Address => ("403 Forbidden", "APP_KEY", "The account is suspended"),
            Self::Scope | Self::NotSwitchedOn => {
                ("403 Forbidden", "APP_SECRET_KEY", "Required permission: campaigns:view")
            }
            Self::TooMany => ("429 Too Many Requests", "rate_limit", "Rate limit exceeded"),
        };
        json!({"error": {
            "code": code, "message": message, "target": target, "request_id": "",
            "details": [{"target": target, "message": message}],
        }})
    }

    /// moengage: `V5ErrorEnvelope` of the OpenAPI file of campaign drafts.
    fn campaigns_v5(self, id: &str) -> Value {
        let (code, message, details) = match self {
            Self::Invalid { target: "Idempotency-Key", message } => (
                "MISSING_IDEMPOTENCY_KEY",
                message,
                json!([{"target": "Idempotency-Key", "message": message}]),
            ),
            Self::Invalid { target, message } => (
                "VALIDATION_FAILED",
                "One or more fields failed validation.",
                json!([{"target": target, "message": message}]),
            ),
            Self::NoAppKey | Self::UnknownWorkspace | Self::WrongKey | Self::NoSecretSet => {
                ("UNAUTHORIZED", "Invalid or missing credentials.", json!([]))
            }
            Self::Suspended | Self::Address => ("FORBIDDEN", "The account is suspended", json!([])),
            Self::Scope | Self::NotSwitchedOn => {
                ("FORBIDDEN", "Required permission: campaigns:view", json!([]))
            }
            Self::TooMany => ("RATE_LIMITED", "Rate limit exceeded", json!([])),
        };
        json!({"response_id": id, "error": {"code": code, "message": message, "details": details}})
    }

    /// moengage: `ErrorResponseV3` of the OpenAPI file of custom segments.
    fn segments(self, id: &str) -> Value {
        let (code, message) = match self {
            Self::Invalid { message, .. } => ("Invalid Request", message),
            Self::NoAppKey => (
                "Request Error",
                "MoEngage Client not found. Please check values for headers - MOE-APPKEY or MOE-DBNAME",
            ),
            Self::UnknownWorkspace => {
                ("Authentication required", "Invalid APP_KEY used in Authentication Header")
            }
            Self::WrongKey | Self::NoSecretSet => (
                "Authentication required",
                "APP_SECRET key mismatch. Please login to the dashboard to verify key",
            ),
            Self::Suspended | Self::Address => ("Forbidden", "The account is suspended"),
            Self::Scope | Self::NotSwitchedOn => ("Forbidden", "The key is not allowed to make this call"),
            Self::TooMany => ("Too Many Requests", "API rate limit breached. Current limit: n/m mins"),
        };
        json!({"response_id": id, "type": "custom_segment", "error": {"code": code, "message": message}})
    }
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
