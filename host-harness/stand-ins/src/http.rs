//! The server that both stand-ins share: reads a request whole, asks the faults, lets the vendor
//! answer, writes it down, and ends the exchange exactly where a fault says.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock::{Clock, Millis, Scale};
use crate::control;
use crate::faults::{Answer, Effect, Fault, Faults, Seen};
use crate::journal::{Entry, Exchange, Finding, FindingKind, Journal};
use crate::outgoing::{Outgoing, outgoing};

/// Largest body that is read; above it the answer is 413. Above every documented limit.
const BODY_CAP: usize = 16 << 20;

/// One request, read whole.
pub(crate) struct Request {
    pub(crate) method: String,
    /// As sent, percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Host time of arrival.
    pub(crate) at: Millis,
    /// Its number in the journal.
    pub(crate) seq: u64,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Path and query, decoded, for a person and for the rules of faults.
    fn target(&self) -> String {
        let path = percent_encoding::percent_decode_str(&self.path).decode_utf8_lossy();
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}{mark}{}", query.join("&"))
    }
}

/// A stretch of a file that is read while it is sent, so that no file is ever held whole.
#[derive(Clone, Debug)]
pub(crate) struct FilePart {
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// In place of `body`.
    pub(crate) file: Option<FilePart>,
    pub(crate) findings: Vec<Finding>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), file: None, findings: Vec::new() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.header("content-type", content_type)
    }

    /// Bytes of the body.
    pub(crate) fn length(&self) -> u64 {
        self.file.as_ref().map_or(self.body.len() as u64, |part| part.length)
    }

    pub(crate) fn with(mut self, kind: FindingKind, detail: impl Into<String>) -> Self {
        self.findings.push(Finding { kind, detail: detail.into() });
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.set_header(name, &value.to_string());
        self
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

/// What differs between the stand-ins.
pub(crate) trait Vendor: Send + 'static {
    /// Template of a path that it knows.
    fn template(&self, method: &str, path: &str) -> Option<&'static str>;
    /// Acts on a request and answers it.
    fn answer(&mut self, request: &Request) -> Reply;
    /// Its 429 to this request.
    fn rate_limited(&self, request: &Request, headers: bool) -> Reply;
    /// What it holds, for a person.
    fn state(&mut self, at: Millis) -> Value;
    /// Its own calls under `/_control`.
    fn control(&mut self, call: &str, body: &Value, at: Millis) -> Option<Reply>;
}

struct Held<V> {
    vendor: V,
    journal: Journal,
}

/// What the server's thread and its handle share.
pub(crate) struct Shared<V> {
    held: Mutex<Held<V>>,
    pub(crate) faults: Faults,
    pub(crate) clock: Clock,
}

impl<V: Vendor> Shared<V> {
    fn hold(&self) -> MutexGuard<'_, Held<V>> {
        // A panic while it was held can only come from a defect here; the data is still readable.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut V) -> T) -> T {
        act(&mut self.hold().vendor)
    }

    pub(crate) fn journal(&self) -> Journal {
        self.hold().journal.clone()
    }

    /// See [`Journal::exchanges`].
    pub(crate) fn record_exchanges(&self) {
        self.hold().journal.record_exchanges();
    }

    pub(crate) fn with_journal<T>(&self, read: impl FnOnce(&Journal) -> T) -> T {
        read(&self.hold().journal)
    }
}

/// A running server; stops when it is dropped.
pub(crate) struct Server<V> {
    pub(crate) shared: Arc<Shared<V>>,
    pub(crate) runtime: tokio::runtime::Handle,
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl<V: Vendor> Server<V> {
    /// Listens on loopback; port 0 takes a free one.
    pub(crate) fn start(name: &str, port: u16, scale: Scale, keep: usize, vendor: V) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::new(Shared {
            held: Mutex::new(Held { vendor, journal: Journal::new(keep) }),
            faults: Faults::new(),
            clock: Clock::new(scale),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = shared.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, serving) => (),
                    _ = stopped => (),
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, runtime: handle, address, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl<V> Drop for Server<V> {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the thread; a second one here would abort.
            let _ = thread.join();
        }
    }
}

async fn accept<V: Vendor>(listener: TcpListener, shared: Arc<Shared<V>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for instance: the listener stays usable.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if shared.faults.with(|set| set.refuses_connection()) {
            continue;
        }
        // Small answers must not wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| serve(shared.clone(), request));
            // An error here is a client that went away, or a fault that closes the connection.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the exchange ends here")]
pub(crate) struct Close;

async fn serve<V: Vendor>(
    shared: Arc<Shared<V>>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Outgoing>, Close> {
    let (head, body) = request.into_parts();
    let mut request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
        headers: head.headers,
        body: Bytes::new(),
        at: shared.clock.now(),
        seq: 0,
    };
    if let Some(call) = request.path.strip_prefix("/_control/").map(str::to_owned) {
        request.body = Limited::new(body, BODY_CAP).collect().await.map_err(|_| Close)?.to_bytes();
        return Ok(outgoing(control::answer(&shared, &call, &request), &Answer::Normal {}));
    }
    let template = shared.with(|vendor| vendor.template(&request.method, &request.path));
    let path = template.map_or_else(|| request.path.clone(), str::to_owned);
    let target = request.target();
    let seen = Seen { method: &request.method, path: &path, target: &target, body: None };
    if let Some((id, fault)) = shared.faults.with(|set| set.decide(&seen)) {
        let entry = Entry { fault: Some(id), ..entry(&request, path) };
        shared.hold().journal.push(entry);
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        return Err(Close);
    }
    match Limited::new(body, BODY_CAP).collect().await {
        Ok(read) => request.body = read.to_bytes(),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => {
            let reply = Reply::json(413, &json!({"message": "body too large"}))
                .with(FindingKind::Violation, "body above 16 MiB");
            let entry =
                Entry { status: Some(413), findings: reply.findings.clone(), ..entry(&request, path) };
            shared.hold().journal.push(entry);
            return Ok(outgoing(reply, &Answer::Normal {}));
        }
        Err(_) => {
            // The client broke off: nothing was received that could have an effect.
            let entry = entry(&request, path);
            shared.hold().journal.push(entry);
            return Err(Close);
        }
    }
    // From here on the request counts as received: it is processed to its end, also if the
    // client is gone.
    tokio::spawn(process(shared, request, path)).await.map_err(|_| Close)?
}

async fn process<V: Vendor>(
    shared: Arc<Shared<V>>,
    mut request: Request,
    path: String,
) -> Result<Response<Outgoing>, Close> {
    let target = request.target();
    let seen = Seen { method: &request.method, path: &path, target: &target, body: Some(&request.body) };
    let (rule, fault) = match shared.faults.with(|set| set.decide(&seen)) {
        Some((id, fault)) => (Some(id), fault),
        None => (None, Fault::delay(0)),
    };
    let effect = fault.effect_or_default();
    // The vendor's own answer, and the one that the client gets (none: the connection is closed).
    let answer = |held: &mut Held<V>, request: &Request| {
        let own = held.vendor.answer(request);
        let given = given(&held.vendor, &fault.answer, Some(own.clone()), request);
        (own.findings, given)
    };
    let mut late = None;
    let mut result = {
        let mut held = shared.hold();
        request.seq = held.journal.next_seq();
        let mut entry = Entry { fault: rule, ..entry(&request, path) };
        let result = match effect {
            Effect::AtOnce => {
                entry.applied = true;
                let (findings, given) = answer(&mut held, &request);
                entry.findings = findings;
                given
            }
            Effect::Never => given(&held.vendor, &fault.answer, None, &request),
            // What the client gets is known only when the vendor has acted.
            Effect::Late => None,
        };
        entry.status = result.as_ref().map(|reply| reply.status);
        let seq = held.journal.push(entry);
        // What a fault answers is not the vendor's, but for a limit, which has its words.
        let own = rule.is_none() || matches!(fault.answer, Answer::RateLimited { .. });
        if let (true, Some(reply)) = (own, &result) {
            held.journal.exchanged(|| exchange(&request, reply));
        }
        if effect == Effect::Late {
            late = Some(seq);
        }
        result
    };
    if fault.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    if let Some(seq) = late {
        let mut held = shared.hold();
        request.at = shared.clock.now();
        let (findings, given) = answer(&mut held, &request);
        held.journal.applied_late(seq, given.as_ref().map(|reply| reply.status), findings);
        result = given;
    }
    result.map(|reply| outgoing(reply, &fault.answer)).ok_or(Close)
}

/// What the client gets instead of the vendor's own answer.
fn given<V: Vendor>(vendor: &V, answer: &Answer, own: Option<Reply>, request: &Request) -> Option<Reply> {
    let own_or_empty = |own: Option<Reply>| own.unwrap_or_else(|| Reply::empty(200));
    match answer {
        Answer::Normal {} | Answer::Drip { .. } => Some(own_or_empty(own)),
        Answer::Cut { .. } => Some(own_or_empty(own)).filter(|reply| reply.length() > 0),
        Answer::ContentType { value } => Some(own_or_empty(own).header("content-type", value)),
        Answer::Status { status, headers, body } => {
            let mut reply = Reply::text(*status, "application/json", body.clone());
            for (name, value) in headers {
                reply.set_header(name, value);
            }
            Some(reply)
        }
        Answer::RateLimited { headers } => Some(vendor.rate_limited(request, *headers)),
        Answer::Html {} => Some(Reply::text(
            200,
            "text/html; charset=utf-8",
            "<!doctype html><title>Sign in</title><p>Please sign in to continue.</p>",
        )),
        Answer::Close {} | Answer::CloseBeforeReading {} => None,
    }
}

fn entry(request: &Request, path: String) -> Entry {
    Entry {
        seq: request.seq,
        at: request.at,
        method: request.method.clone(),
        path,
        target: request.target(),
        body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
        status: None,
        fault: None,
        applied: false,
        findings: Vec::new(),
    }
}

/// As it was on the wire, without its credential.
fn exchange(request: &Request, reply: &Reply) -> Exchange {
    let shown = |name: &str, value: &str| match name {
        "authorization" => value.split(' ').next().unwrap_or_default().to_owned(),
        "signature" | "api-key" => String::new(),
        _ => value.to_owned(),
    };
    let headers = request.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), shown(name.as_str(), &value))
    });
    Exchange {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
        status: reply.status,
        answer_headers: reply.headers.clone(),
        answer: String::from_utf8_lossy(&reply.body).into_owned(),
    }
}
