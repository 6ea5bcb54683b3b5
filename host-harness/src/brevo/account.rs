//! The account: how a request is made and who it is made as.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::errors::{self, Problem};
use super::windows::Family;
use crate::world::{HttpRequest, HttpResponse, Transport, TransportError};

/// Brevo's own base URL (OpenAPI `servers`).
pub const BASE_URL: &str = "https://api.brevo.com/v3";

/// Gives the current API key, or none where the slot is empty. Asked for each request, so that a
/// rotated key is used at once.
pub type KeySource = Arc<dyn Fn() -> Option<SecretString> + Send + Sync>;

/// One request to Brevo, before it is signed and sent.
#[derive(Clone)]
pub struct Call {
    /// Upper case.
    pub method: &'static str,
    /// Escaped, with a leading slash, with query. May hold personal data.
    pub path: String,
    /// The same without any value, for logs and metrics.
    pub label: &'static str,
    /// Which rate windows count it.
    pub family: Family,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The API key's slot is empty.
    #[error("the Brevo API key is missing")]
    NoKey,
    /// The network failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Sends calls to one Brevo account.
pub struct Client {
    transport: Arc<dyn Transport>,
    base_url: String,
    key: KeySource,
    allow_private: bool,
    deadline: Duration,
}

/// Most that an answer may hold. A page of 1,000 events with 50 KB of properties each would be
/// larger, which is why reads ask for less (`events::PAGE`).
const BODY_CAP: u64 = 16 << 20;

impl Client {
    /// A client for the account that the key belongs to. `deadline` is real time for one exchange.
    pub fn new(
        transport: Arc<dyn Transport>,
        base_url: &str,
        key: KeySource,
        allow_private: bool,
        deadline: Duration,
    ) -> Self {
        let base_url = base_url.trim_end_matches('/').to_owned();
        Self { transport, base_url, key, allow_private, deadline }
    }

    /// Sends once and returns the answer, whatever its status.
    pub fn send(&self, call: &Call) -> Result<HttpResponse, NoAnswer> {
        let key = (self.key)().ok_or(NoAnswer::NoKey)?;
        let mut headers = vec![
            // Header names: OpenAPI `securitySchemes.api-key`.
            ("api-key".to_owned(), key.expose_secret().to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        if call.body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        Ok(self.transport.send(&HttpRequest {
            method: call.method,
            url: format!("{}{}", self.base_url, call.path),
            label: format!("{} {}", call.method, call.label),
            headers,
            body: call.body.clone(),
            deadline: self.deadline,
            body_cap: BODY_CAP,
            allow_private: self.allow_private,
        })?)
    }
}

/// `GET /account`, the cheapest check of a key (OpenAPI `/account`). It changes nothing.
pub fn check() -> Call {
    Call { method: "GET", path: "/account".into(), label: "/account", family: Family::Other, body: None }
}

/// Whether [`check`] proved the key.
pub fn read_check(answer: &HttpResponse) -> Result<(), Problem> {
    if answer.status == 200 { Ok(()) } else { Err(errors::classify(answer)) }
}

/// One path segment or query value, percent-encoded: `+` in mails and phones too.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
