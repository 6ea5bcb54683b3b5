//! How MoEngage authenticates its webhooks.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use super::{is_slot, unused};

/// Name of the slot that holds the secret of the webhook.
pub const WEBHOOK_SLOT: &str = "webhook";

/// How MoEngage proves that a webhook request is its own. Signatures don't exist.
// MD:api/data/moengage-streams.mdx: none, Basic, OAuth 2.0 client credentials, or a static header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookAuth {
    Basic,
    Header,
    Bearer,
}

impl WebhookAuth {
    /// The name of the inbound scheme in the manifest.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Bearer => "bearer",
        }
    }
}

/// Reads `webhook`.
pub fn webhook(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<WebhookAuth> {
    let object = problems.object(path, raw)?;
    let mut auth = None;
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "auth" => {
                let allowed = ["basic", "header", "bearer"];
                auth = problems.one_of(&path, raw, "unknown-webhook-auth", &allowed).map(|text| {
                    match text.as_ref() {
                        "basic" => WebhookAuth::Basic,
                        "header" => WebhookAuth::Header,
                        _ => WebhookAuth::Bearer,
                    }
                });
            }
            "user" => user(&path, raw, problems),
            "header" => header(&path, raw, problems),
            "secret" => {
                is_slot(&path, raw, WEBHOOK_SLOT, problems);
            }
            _ => problems.unknown_key(&path, &["auth", "user", "header", "secret"]),
        }
    }
    if object.raw("auth").is_none() {
        problems.missing(&below(path, "auth"), "Write basic, header or bearer, as agreed with MoEngage.");
    }
    for (key, scheme) in [("user", WebhookAuth::Basic), ("header", WebhookAuth::Header)] {
        let path = below(path, key);
        match (object.raw(key), auth) {
            (None, Some(auth)) if auth == scheme => {
                problems.missing(&path, "Write the value that was agreed with MoEngage.");
            }
            (Some(_), Some(auth)) if auth != scheme => {
                unused(&path, &format!("auth: {}", auth.scheme()), "webhook.auth", problems);
            }
            _ => {}
        }
    }
    if object.raw("secret").is_none() {
        problems
            .missing(&below(path, "secret"), "Write \"${MOENGAGE_WEBHOOK_SECRET}\" and set that variable.");
    }
    auth
}

fn user(path: &str, raw: &RawValue, problems: &mut Problems) {
    let Some(user) = problems.text(path, raw) else { return };
    // RFC 7617: a user id can't hold a colon or control characters.
    if user.contains(':') || user.chars().any(char::is_control) || user.len() > 255 {
        problems.add(
            "bad-webhook-user",
            path,
            "webhook.user has a colon or a control character, or is longer than 255 bytes.",
            "Agree on a user name without those.",
        );
    }
}

fn header(path: &str, raw: &RawValue, problems: &mut Problems) {
    // These have a meaning of their own in a request.
    const TAKEN: [&str; 9] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "te",
        "transfer-encoding",
    ];
    let Some(name) = problems.text(path, raw) else { return };
    // RFC 9110: a field name is a token.
    let token = name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !token || TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
        problems.add(
            "bad-webhook-header",
            path,
            "webhook.header is not a header name that a secret can stand in.",
            "Use a name of your own, such as x-tajo-key; for Authorization use auth: basic or bearer.",
        );
    }
}
