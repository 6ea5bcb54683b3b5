//! MoEngage's REST API: how a request looks, and what an answer that is no success means.

use crate::failure::{Failure, FailureKind};
use crate::json::{Object, Scalar};
use crate::model::Millis;
use crate::settings::{KeySlot, Settings};

/// HTTP methods of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Also reads, where MoEngage takes filters in a body.
    Post,
}

/// A request to an endpoint of the manifest. The host adds address and credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Name in the manifest.
    pub endpoint: String,
    /// Method.
    pub method: Method,
    /// Segments, unescaped.
    pub path: Vec<String>,
    /// Pairs, unescaped.
    pub query: Vec<(String, String)>,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decompressed.
    pub body: Vec<u8>,
}

impl HttpResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim())
    }
}

/// Why there is no answer. The cases are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// The manifest doesn't allow it.
    Denied,
    /// The secret that the endpoint needs is missing.
    NoSecret,
    /// The unit's budget is used up.
    Budget,
    /// The rate window is closed.
    RateLimited,
    /// Name resolution, connection or TLS failed.
    Unreachable,
    /// The deadline passed.
    Timeout,
    /// The answer broke off, was too large, or was not HTTP.
    BadAnswer,
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// Which phase failed.
    pub kind: HttpErrorKind,
    /// The host's code.
    pub code: String,
    /// The host's sentence.
    pub message: String,
    /// With `RateLimited`: milliseconds to wait.
    pub retry_after_ms: Option<u64>,
}

/// The vendor, as far as a unit can reach it.
pub trait Http {
    /// Sends one request and gives the whole answer, whatever its status.
    ///
    /// # Errors
    /// Where there is no answer.
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// A request with what every call carries.
pub fn request(settings: &Settings, slot: KeySlot, method: Method, path: &[&str]) -> HttpRequest {
    HttpRequest {
        endpoint: slot.name().to_owned(),
        method,
        path: path.iter().map(|&segment| segment.to_owned()).collect(),
        query: Vec::new(),
        // MD:api/introduction.mdx wants MOE-APPKEY on two calls only, the OpenAPI files on most;
        // where it is missing or wrong the answer is 401. So it is always sent.
        headers: vec![("moe-appkey".to_owned(), settings.workspace_id.clone())],
        body: None,
    }
}

/// The same request with a JSON body.
pub fn with_body(mut request: HttpRequest, body: String) -> HttpRequest {
    request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    request.body = Some(body.into_bytes());
    request
}

/// Sends a request and returns the answer only where its status is a success.
pub fn send(
    http: &mut dyn Http,
    request: &HttpRequest,
    slot: KeySlot,
    now: Millis,
) -> Result<HttpResponse, Failure> {
    let response = http.send(request).map_err(|error| no_answer(&error, slot))?;
    match response.status {
        200..=299 => Ok(response),
        _ => Err(refused(&response, slot, now)),
    }
}

fn no_answer(error: &HttpError, slot: KeySlot) -> Failure {
    let slot = slot.name();
    match error.kind {
        HttpErrorKind::Denied => Failure::new(
            FailureKind::Internal,
            "request-denied",
            "The manifest beside the connector does not allow its own request.",
        ),
        HttpErrorKind::NoSecret => Failure::new(
            FailureKind::Config,
            "missing-secret",
            format!("The secret of the slot {slot} is missing; set the variable that keys.{slot} names."),
        ),
        HttpErrorKind::RateLimited => Failure::new(
            FailureKind::RateLimited(error.retry_after_ms),
            "rate-window-closed",
            "The documented rate of calls to MoEngage is used up for now.",
        ),
        HttpErrorKind::Budget => {
            Failure::new(FailureKind::Transient, "budget-used-up", "This unit has no calls left.")
        }
        HttpErrorKind::Unreachable => {
            Failure::new(FailureKind::Transient, "vendor-unreachable", "MoEngage could not be reached.")
        }
        HttpErrorKind::Timeout => {
            Failure::new(FailureKind::Transient, "vendor-timeout", "MoEngage did not answer in time.")
        }
        HttpErrorKind::BadAnswer => Failure::new(
            FailureKind::Transient,
            "vendor-bad-answer",
            "The answer of MoEngage broke off or was not HTTP.",
        ),
    }
}

/// What an answer means that is no success.
fn refused(response: &HttpResponse, slot: KeySlot, now: Millis) -> Failure {
    let slot_name = slot.name().to_owned();
    let body = std::str::from_utf8(&response.body).unwrap_or_default();
    match response.status {
        401 => Failure::new(
            FailureKind::Auth { slot: slot_name },
            "key-refused",
            format!(
                "MoEngage refuses the {} key for this workspace and data centre; copy it again from Settings, \
                 Account, APIs.",
                slot.name()
            ),
        ),
        403 => forbidden(body, slot),
        // MD:api/data/data-overview.mdx: "App key mismatch in params and authentication".
        409 => Failure::new(
            FailureKind::Config,
            "workspace-mismatch",
            "MoEngage says that workspace and key don't belong together; check workspace_id.",
        ),
        429 => Failure::new(
            FailureKind::RateLimited(wait(response, now)),
            "rate-limited",
            "MoEngage asks to wait before the next call.",
        ),
        408 | 500..=599 => Failure::new(
            FailureKind::Transient,
            "vendor-unavailable",
            format!("MoEngage answered with status {}.", response.status),
        ),
        status => Failure::vendor_contract(
            &response.body,
            "unexpected-status",
            format!("MoEngage answered with status {status}, which this call does not document."),
        ),
    }
}

fn forbidden(body: &str, slot: KeySlot) -> Failure {
    let answer = Object::parse(body).unwrap_or_default();
    let error = answer.raw("error");
    // MD:user-guide/settings/account/security/ip-whitelisting-in-moengage.mdx
    if error.map(Scalar::of) == Some(Scalar::Text("IP Validation Required".into())) {
        return Failure::new(
            FailureKind::Config,
            "ip-not-allowed",
            "The workspace only answers listed addresses; add this host's outgoing address to the IP allowlist in \
             MoEngage.",
        );
    }
    // MD:api/data/data-overview.mdx: BlockedClient, Account Suspended, Account Temporarily Suspended.
    let kind = error.and_then(|raw| Object::parse(raw.get())).and_then(|error| error.get("type"));
    if let Some(Scalar::Text(kind)) = kind
        && (kind == "BlockedClient" || kind.contains("Suspended"))
    {
        return Failure::new(
            FailureKind::Config,
            "account-suspended",
            "MoEngage has suspended or blocked this workspace; talk to MoEngage.",
        );
    }
    let scope = required_permission(body).unwrap_or("not named").to_owned();
    Failure::new(
        FailureKind::Permission { slot: slot.name().to_owned(), scope },
        "key-lacks-permission",
        format!("The {} key is known but may not do this; give it the permission in MoEngage.", slot.name()),
    )
}

/// The v5 APIs name it in a sentence: `Required permission: campaigns:view`
/// (OpenAPI of flows; MD:api/content-apis/content-apis.yaml).
fn required_permission(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("Required permission:")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
    rest.get(..end).filter(|name| name.contains(':') && name.len() <= 100)
}

/// How long to wait, in milliseconds, if the answer says.
///
/// `Retry-After` is seconds (documented by the v5 APIs only). `x-ratelimit-reset` is seconds
/// from now in MD:api/data/data-overview.mdx and epoch seconds in MD:api/rate-limits.mdx; no
/// window is longer than a day, so the size of the number tells which.
pub fn wait(response: &HttpResponse, now: Millis) -> Option<u64> {
    const FIRST_EPOCH: u64 = 1_000_000;
    let seconds = |name| {
        let value = response.header(name)?;
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        value.parse::<u64>().ok().filter(|_| digits)
    };
    if let Some(after) = seconds("retry-after") {
        return Some(after.saturating_mul(1000));
    }
    let reset = seconds("x-ratelimit-reset")?.saturating_mul(1000);
    if reset < FIRST_EPOCH * 1000 {
        return Some(reset);
    }
    Some(reset.saturating_sub(u64::try_from(now).unwrap_or(0)))
}

/// When the next call is allowed, where a successful answer says that none is left.
pub fn not_before(response: &HttpResponse, now: Millis) -> Option<Millis> {
    (response.header("x-ratelimit-remaining") == Some("0"))
        .then(|| wait(response, now))?
        .map(|wait| now.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX)))
}
