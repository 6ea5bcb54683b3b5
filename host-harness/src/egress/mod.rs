//! HTTP out: what a connector's calls become on the wire.
//!
//! [`Access`] is what one installation may reach; [`Egress`] is one unit's use of it. A request
//! passes the policy, waits for its rate window, gets a new request id and its credential, and
//! goes out once. What comes back is whole, without headers that carry credentials.

pub mod addresses;
pub mod auth;
mod inflate;
pub mod policy;
pub mod rate;
pub mod rate_headers;
pub mod sigv4;
pub mod spool;
pub mod transport;
mod unzip;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::contract::http::{Error, ErrorKind, Request, Response};
use crate::contract::{RateWindow, objects};
use crate::manifest::Manifest;
use crate::secrets::SecretSource;
use crate::world::{HttpRequest, HttpResponse, Sink, TransportError, TransportErrorKind, World};
use policy::{Grant, Permitted};
use rate::{Ready, Windows};
use rate_headers::RateHeaders;
use spool::Spool;

/// Largest body of an answer, after decompression.
const BODY_CAP: u64 = 10 << 20;
/// Default time of one call.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a rate window inside a call, in host time; a longer one ends the unit.
const PATIENCE: i64 = 5_000;

/// Headers of an answer that carry credentials.
const CREDENTIAL_HEADERS: [&str; 7] = [
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
    "proxy-authentication-info",
    "authorization",
];

/// Where rate windows are kept between units and across restarts.
pub trait RateStore: Send + Sync {
    /// Runs `change` on the stored state (JSON; none at first) and stores what it returns, as one
    /// step: two units never see the same state.
    fn update(&self, bucket: &str, change: &mut dyn FnMut(Option<&str>) -> String);
}

/// What one installation may reach. Shared by its units.
pub struct Access {
    /// Unique name of the installation; begins the names of its rate buckets and spooled files.
    pub installation: String,
    /// The operator's manifest.
    pub manifest: Manifest,
    /// The tenant's settings, secrets replaced by slot names.
    pub settings: Value,
    /// Origins that the operator granted this tenant, by endpoint.
    pub overrides: BTreeMap<String, String>,
    /// Whether those may be plain HTTP and lead to private addresses.
    pub allow_private: bool,
    /// What is in the slots.
    pub secrets: Arc<dyn SecretSource>,
    /// Where rate windows are kept.
    pub rates: Arc<dyn RateStore>,
    /// Where files are kept; none: the connector can open none.
    pub spool: Option<Spool>,
    /// Time, random numbers and network.
    pub world: World,
}

impl Access {
    /// The network side of one unit, which has to be over after `time`. Calls are counted under that
    /// name, in these windows.
    pub fn unit(self: &Arc<Self>, counted_as: &str, windows: &[RateWindow], time: Duration) -> Egress {
        Egress {
            bucket: format!("vendor:{}:{counted_as}", self.installation),
            access: self.clone(),
            windows: windows.to_vec(),
            deadline: Instant::now() + time,
        }
    }
}

/// One unit's use of an [`Access`].
pub struct Egress {
    access: Arc<Access>,
    bucket: String,
    windows: Vec<RateWindow>,
    deadline: Instant,
}

/// Where the body of an answer goes.
pub(crate) enum Into<'a> {
    Memory,
    /// At most so many bytes as they are sent.
    File(&'a mut dyn Sink, u64),
}

impl Egress {
    /// `http.send`.
    pub fn http(&self, request: Request) -> Result<Response, Error> {
        let response = self.exchange(request, &[], Into::Memory)?;
        Ok(Response { status: response.status, headers: response.headers, body: response.body })
    }

    /// `objects.open`.
    pub fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, Error> {
        self.spool()?.open(self, &self.access.installation, endpoint, path, etag)
    }

    /// `objects.read`.
    pub fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        self.spool()?.read(&self.access.installation, endpoint, path, etag, offset, length)
    }

    /// What is left of the unit's time.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn spool(&self) -> Result<&Spool, Error> {
        let none = || failure(ErrorKind::Denied, "no-spool", "this host keeps no files for connectors");
        self.access.spool.as_ref().ok_or_else(none)
    }

    /// One call, from policy to answer. `extra` are headers of the host's own.
    pub(crate) fn exchange(
        &self,
        request: Request,
        extra: &[(&str, &str)],
        into: Into,
    ) -> Result<HttpResponse, Error> {
        let access = &*self.access;
        let timeout = request.timeout_ms.map_or(TIMEOUT, |ms| Duration::from_millis(ms.into()));
        let grant = Grant {
            manifest: &access.manifest,
            settings: &access.settings,
            overrides: &access.overrides,
            allow_private: access.allow_private,
        };
        let permitted = grant.permit(request)?;
        let now = access.world.now();
        let credential = auth::credential(&permitted, extra, &access.settings, access.secrets.as_ref(), now)?;
        let words = auth::words(&credential, &permitted.endpoint.auth, access.secrets.as_ref());
        self.wait_for_window()?;

        let left = self.left();
        if left.is_zero() {
            return Err(failure(ErrorKind::Timeout, "timeout", "the unit's time is up"));
        }
        let request = self.wire(permitted, credential, extra, timeout.min(left), &into);
        let transport = &access.world.transport;
        let answer = match into {
            Into::Memory => transport.send(&request),
            Into::File(sink, _) => transport.download(&request, sink),
        };
        match answer {
            Ok(mut response) => {
                let heard = RateHeaders::read(&response.headers, access.world.now());
                self.feedback(response.status, &heard);
                let mut secret = CREDENTIAL_HEADERS.to_vec();
                let own = access.manifest.endpoints.values().filter_map(|e| e.auth.header(&access.settings));
                let own: Vec<String> = own.collect();
                secret.extend(own.iter().map(String::as_str));
                response.headers.retain(|(name, _)| !secret.contains(&name.as_str()));
                said_back(&mut response, &words);
                tracing::debug!(
                    call = request.label,
                    status = response.status,
                    sent = request.body.as_ref().map_or(0, Vec::len),
                    received = response.body.len(),
                    "vendor answered"
                );
                Ok(response)
            }
            Err(error) => {
                tracing::debug!(call = request.label, kind = ?error.kind, sent = error.request_sent, "no answer");
                Err(transport_error(error))
            }
        }
    }

    fn wire(
        &self,
        permitted: Permitted,
        credential: Vec<(String, String)>,
        extra: &[(&str, &str)],
        deadline: Duration,
        into: &Into,
    ) -> HttpRequest {
        let mut headers = permitted.headers;
        headers.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        if let Some(name) = &self.access.manifest.request_id_header {
            let mut bytes = [0; 16];
            self.access.world.random.fill(&mut bytes);
            headers.push((name.clone(), uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()));
        }
        headers.extend(credential);
        HttpRequest {
            method: permitted.method,
            url: permitted.url,
            label: permitted.label,
            headers,
            body: permitted.body,
            deadline,
            body_cap: match into {
                Into::Memory => BODY_CAP,
                Into::File(_, cap) => *cap,
            },
            allow_private: permitted.allow_private,
        }
    }

    /// Takes a place in the rate windows, waiting a little where that is enough.
    fn wait_for_window(&self) -> Result<(), Error> {
        let clock = &self.access.world.clock;
        let mut patience = PATIENCE;
        loop {
            let now = clock.now();
            let mut ready = Ready::Now;
            self.update(&mut |windows| {
                ready = windows.check(now);
                if ready == Ready::Now {
                    windows.note(now);
                }
            });
            let Ready::At(at) = ready else { return Ok(()) };
            let wait = at.saturating_sub(now).max(1);
            if wait > patience || Instant::now() >= self.deadline {
                return Err(Error {
                    retry_after_ms: Some(wait.unsigned_abs()),
                    ..failure(ErrorKind::RateLimited, "rate-window", "the rate window is closed")
                });
            }
            patience -= wait;
            clock.sleep(Duration::from_millis(wait.unsigned_abs()));
        }
    }

    fn feedback(&self, status: u16, headers: &RateHeaders) {
        let now = self.access.world.now();
        self.update(&mut |windows| windows.feedback(now, status, headers));
    }

    fn update(&self, change: &mut dyn FnMut(&mut Windows)) {
        self.access.rates.update(&self.bucket, &mut |stored| {
            let mut windows = Windows::resume(&self.windows, stored);
            change(&mut windows);
            serde_json::to_string(&windows).unwrap_or_default()
        });
    }
}

/// A vendor that says a credential back (in a header, or in what it complains of) does not tell it to
/// the guest: headers with it are left out, and a body has as many stars in its place. Not done in
/// files, which go to the spool as they come.
fn said_back(response: &mut HttpResponse, words: &[SecretString]) {
    for word in words {
        let word = word.expose_secret().as_bytes();
        let finder = memchr::memmem::Finder::new(word);
        response.headers.retain(|(_, value)| finder.find(value.as_bytes()).is_none());
        let places: Vec<usize> = finder.find_iter(&response.body).collect();
        for at in places {
            response.body[at..at + word.len()].fill(b'*');
        }
    }
}

fn transport_error(error: TransportError) -> Error {
    let (kind, code) = match error.kind {
        TransportErrorKind::Denied => (ErrorKind::Denied, "address-not-allowed"),
        TransportErrorKind::Unreachable => (ErrorKind::Unreachable, "unreachable"),
        TransportErrorKind::Timeout => (ErrorKind::Timeout, "timeout"),
        TransportErrorKind::BadAnswer => (ErrorKind::BadAnswer, "bad-answer"),
    };
    Error { request_sent: error.request_sent, ..failure(kind, code, &error.message) }
}

/// A failure before anything left the host.
pub(crate) fn failure(kind: ErrorKind, code: &str, message: &str) -> Error {
    Error { kind, code: code.into(), message: message.into(), request_sent: false, retry_after_ms: None }
}
