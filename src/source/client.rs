//! MoEngage's REST API: how a request looks, and why there may be no answer.

use super::errors;
use crate::failure::{Failure, FailureKind};
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
    /// Every value of a header, trimmed.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
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

/// A request to an endpoint of the manifest, with what every call carries.
pub fn request(settings: &Settings, endpoint: &str, method: Method, path: &[&str]) -> HttpRequest {
    HttpRequest {
        endpoint: endpoint.to_owned(),
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
    let response = exchange(http, request, slot)?;
    match response.status {
        200..=299 => Ok(response),
        _ => Err(errors::refused(&response, slot, now)),
    }
}

/// Sends a request and returns the answer whatever its status.
pub fn exchange(http: &mut dyn Http, request: &HttpRequest, slot: KeySlot) -> Result<HttpResponse, Failure> {
    http.send(request).map_err(|error| no_answer(&error, slot))
}

/// What it means that there is no answer.
pub fn no_answer(error: &HttpError, slot: KeySlot) -> Failure {
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
