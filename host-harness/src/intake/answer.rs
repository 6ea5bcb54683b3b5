//! One request: route, verify, read, keep, answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Counts, Options, Parts, Refused, Route, Routes, Verified};
use crate::crash;
use crate::quotas;
use crate::store::installations::InstallationId;
use crate::store::journal::{Journal, RawDelivery};
use crate::world::Clock;

/// Bodies are paid for in pieces of this size.
const PIECE: usize = 64 * 1024;
/// What is read and thrown away of a refused request, so that its sender sees the answer
/// instead of a broken connection ...
const DISCARD: usize = 16 * 1024 * 1024;
/// ... and of one whose address is unknown.
const DISCARD_UNKNOWN: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;

/// Where requests are answered.
pub(super) struct Desk {
    routes: Routes,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    options: Options,
    counts: Arc<Counts>,
    appends: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    shares: HashMap<InstallationId, Share>,
}

/// What one installation may take, so that it leaves the rest to the others.
struct Share {
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// Why a request is not taken.
struct Refusal {
    status: StatusCode,
    code: &'static str,
}

/// Why a body is not there.
enum ReadError {
    TooLarge,
    TooSlow,
    Broken,
    NoMemory,
}

impl Desk {
    pub(super) fn new(parts: Parts, counts: Arc<Counts>) -> Self {
        let Parts { routes, journal, clock, options, .. } = parts;
        let share = || Share {
            requests: Arc::new(Semaphore::new(options.requests_of_one)),
            memory: Arc::new(Semaphore::new(options.body_budget_of_one.div_ceil(PIECE))),
        };
        let shares = routes.installations().map(|installation| (installation, share())).collect();
        Self {
            routes,
            journal,
            clock,
            options,
            counts,
            appends: Arc::new(Semaphore::new(options.appends)),
            memory: Arc::new(Semaphore::new(options.body_budget.div_ceil(PIECE))),
            shares,
        }
    }

    /// Answers one request. `peer` is the other end of its connection: a proxy, as a rule.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        // Nothing after a chunked body is watched by the head guard, so nothing may come after.
        let last = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut answer = self.route(request, peer).await;
        if last || answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn route(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        if !well_addressed(&request) {
            return self.refuse(None, StatusCode::BAD_REQUEST, "bad-request");
        }
        let path = request.uri().path();
        if path == "/healthz" && matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::OK, "ok\n");
        }
        let Some((token, surface)) = path.strip_prefix("/in/").and_then(|rest| rest.split_once('/')) else {
            return self.refuse(None, StatusCode::NOT_FOUND, "unknown-address");
        };
        // A surface has no methods of its own in the contract, and where a vendor lets its customer
        // choose one (a connector campaign is POST or PUT), both mean the same: here is a body.
        // Whatever else it is, it carries none to keep.
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            let mut answer = self.refuse(None, StatusCode::METHOD_NOT_ALLOWED, "wrong-method");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, PUT"));
            return answer;
        }
        let Some(route) = self.routes.find(token, surface) else {
            dummy_check(request.headers());
            discard(request, DISCARD_UNKNOWN, self.options.body_deadline).await;
            return self.refuse(None, StatusCode::NOT_FOUND, "unknown-address");
        };
        match self.deliver(request, peer, &route).await {
            Ok(bytes) => {
                self.counts.add(Some(&route), "accepted");
                tracing::debug!(tenant = route.tenant, surface = route.surface, bytes, "webhook accepted");
                static_answer(&route)
            }
            Err(Refusal { status, code }) => {
                let mut answer = self.refuse(Some(&route), status, code);
                if status == StatusCode::UNAUTHORIZED
                    && let Some(challenge) = route.verifier.challenge
                {
                    answer
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    let seconds = self.options.retry_after.as_secs().max(1);
                    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                answer
            }
        }
    }

    /// Everything between a known address and a durable body.
    async fn deliver(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        route: &Arc<Route>,
    ) -> Result<usize, Refusal> {
        if let Some(senders) = &route.senders
            && let Err(code) = senders.check(peer, request.headers())
        {
            discard(request, DISCARD_UNKNOWN, self.options.body_deadline).await;
            return Err(Refusal { status: StatusCode::FORBIDDEN, code });
        }
        let share = self.shares.get(&route.installation);
        let _turn = match share.map(|share| share.requests.clone().try_acquire_owned()) {
            Some(Err(_)) => {
                discard(request, DISCARD_UNKNOWN, self.options.body_deadline).await;
                let code = quotas::Full::Requests.code();
                return Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code });
            }
            turn => turn,
        };
        let check = |headers: &HeaderMap, body: &[u8]| {
            (route.verifier.check)(headers, body)
                .map_err(|Refused { code }| Refusal { status: StatusCode::UNAUTHORIZED, code })
        };
        let mut verified = None;
        if !route.verifier.needs_body {
            match check(request.headers(), &[]) {
                Ok(proof) => verified = Some(proof),
                Err(refusal) => {
                    discard(request, route.body_cap, self.options.body_deadline).await;
                    return Err(refusal);
                }
            }
        }
        let (head, body) = request.into_parts();
        let (body, _memory) = self.read(body, &head.headers, route.body_cap, share).await?;
        let received_at = self.clock.now();
        let verified = match verified {
            Some(verified) => verified,
            None => check(&head.headers, &body)?,
        };
        let bytes = body.len();
        let delivery = RawDelivery {
            installation: route.installation,
            surface: route.surface.clone(),
            received_at,
            headers: kept(&head.headers, route, &verified),
            body,
        };
        self.keep(delivery, route).await?;
        Ok(bytes)
    }

    /// Reads a body, counting. The permits are its share of memory.
    async fn read(
        &self,
        body: Incoming,
        headers: &HeaderMap,
        cap: usize,
        share: Option<&Share>,
    ) -> Result<(Vec<u8>, [Vec<OwnedSemaphorePermit>; 2]), Refusal> {
        let deadline = Instant::now() + self.options.body_deadline;
        let mut body = body;
        let mut bytes = Vec::new();
        let mut memory = Vec::new();
        let mut of_share = Vec::new();
        let error = loop {
            if body.size_hint().lower() > (cap - bytes.len()) as u64 {
                break ReadError::TooLarge;
            }
            let frame = match timeout_at(deadline, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Ok((bytes, [memory, of_share])),
                Ok(Some(Err(_))) => break ReadError::Broken,
                Err(_) => break ReadError::TooSlow,
            };
            let Ok(data) = frame.into_data() else { continue }; // trailers
            if data.len() > cap - bytes.len() {
                break ReadError::TooLarge;
            }
            let needed = bytes.len() + data.len();
            if needed > memory.len() * PIECE {
                // Twice as much at a time, so that a long body is not copied at every step; but no
                // more than it says it is, and than it may be. What is paid for is what is taken.
                let whole = body.size_hint().upper().map_or(cap as u64, |rest| rest + needed as u64);
                let room = (2 * bytes.len()).min(usize::try_from(whole).unwrap_or(cap)).min(cap).max(needed);
                for _ in memory.len()..room.div_ceil(PIECE) {
                    memory.extend(self.memory.clone().try_acquire_owned());
                }
                for _ in of_share.len()..room.div_ceil(PIECE) {
                    of_share.extend(share.and_then(|share| share.memory.clone().try_acquire_owned().ok()));
                }
                let enough = |permits: &Vec<_>| permits.len() * PIECE >= room;
                if !enough(&memory) || (share.is_some() && !enough(&of_share)) {
                    break ReadError::NoMemory;
                }
                bytes.reserve_exact(room - bytes.len());
            }
            bytes.extend_from_slice(&data);
        };
        drop((bytes, memory, of_share));
        let (status, code) = match error {
            ReadError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            ReadError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow"),
            ReadError::Broken => (StatusCode::BAD_REQUEST, "body-broken"),
            ReadError::NoMemory => (StatusCode::SERVICE_UNAVAILABLE, "no-memory"),
        };
        if matches!(error, ReadError::TooLarge | ReadError::NoMemory) && !expects_continue(headers) {
            drain(body, DISCARD, deadline).await;
        }
        Err(Refusal { status, code })
    }

    /// Makes it durable, on a thread that may wait for the disk.
    async fn keep(&self, delivery: RawDelivery, route: &Route) -> Result<(), Refusal> {
        let unavailable = |code| Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code };
        let turn = timeout(self.options.append_patience, self.appends.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(unavailable("queue-full")) };
        let journal = self.journal.clone();
        let append = tokio::task::spawn_blocking(move || {
            crash::point("intake-before-append");
            let kept = journal.append(delivery);
            crash::point("intake-after-append");
            drop(turn);
            kept
        });
        match append.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let code = error.code();
                if code == quotas::Full::Webhooks.code() {
                    return Err(unavailable(code)); // counted, and said now and then
                }
                tracing::error!(tenant = route.tenant, surface = route.surface, code, %error, "webhook not kept");
                Err(unavailable(code))
            }
            Err(_) => {
                tracing::error!(tenant = route.tenant, surface = route.surface, "the journal panicked");
                Err(unavailable("store-failed"))
            }
        }
    }

    /// Counts and answers. A line is logged at the 1st, 2nd, 4th, 8th ... time only, so that
    /// nobody outside can fill the log.
    fn refuse(&self, route: Option<&Route>, status: StatusCode, code: &'static str) -> Answer {
        let count = self.counts.add(route, code);
        if count.is_power_of_two() {
            let (tenant, surface) = route.map_or(("", ""), |route| (&route.tenant, &route.surface));
            tracing::warn!(tenant, surface, status = status.as_u16(), code, count, "webhook refused");
        }
        plain(status, "")
    }
}

/// RFC 9112, 3.2: HTTP/1.1 names exactly one host; the absolute form is for proxies.
fn well_addressed(request: &Request<Incoming>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let enough = hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10);
    enough && request.uri().scheme().is_none() && request.uri().authority().is_none()
}

/// The same work as a real check, for addresses that don't exist.
fn dummy_check(headers: &HeaderMap) {
    let presented = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let _ = Sha256::digest(presented).ct_eq(&Sha256::digest(b"no such address")).unwrap_u8();
}

fn kept(headers: &HeaderMap, route: &Route, verified: &Verified) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for name in &route.headers {
        if verified.credential.as_ref() == Some(name) || name == header::AUTHORIZATION.as_str() {
            continue;
        }
        for value in headers.get_all(name.as_str()) {
            kept.push((name.clone(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
    }
    kept
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

async fn discard(request: Request<Incoming>, limit: usize, deadline: Duration) {
    // Reading would ask for the body of a sender that waits for our word.
    if !expects_continue(request.headers()) {
        drain(request.into_body(), limit, Instant::now() + deadline).await;
    }
}

async fn drain(mut body: Incoming, limit: usize, deadline: Instant) {
    let mut left = limit;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}

fn static_answer(route: &Route) -> Answer {
    let declared = &route.answer;
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(declared.body.as_bytes())));
    *answer.status_mut() = StatusCode::from_u16(declared.status).unwrap_or(StatusCode::OK);
    if let Ok(value) = HeaderValue::from_str(&declared.content_type)
        && !declared.content_type.is_empty()
    {
        let name: HeaderName = header::CONTENT_TYPE;
        answer.headers_mut().insert(name, value);
    }
    answer
}
