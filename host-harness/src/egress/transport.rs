//! The real network: one exchange at a time over pooled HTTP/1.1 connections.
//!
//! Follows nothing, retries nothing, takes no proxy from the environment. A name is resolved once,
//! every address is judged, and exactly a judged address is dialled. One deadline holds for the
//! whole exchange. An answer is whole or it is an error.

mod reach;
#[cfg(test)]
mod tests;
mod watch;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{self, HeaderMap, Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, Body, Error};

pub use self::reach::{Reach, Unreached};
use self::watch::{Judge, LEFTOVER, REFUSED, SENT, Witness};
use super::inflate::{Inflate, InflateError};
use crate::world::{HttpRequest, HttpResponse, Sink, Transport, TransportError, TransportErrorKind as Kind};

/// Longest time to resolve a name, and to connect including TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest head of an answer, and most headers in it.
const HEAD: (usize, usize) = (64 * 1024, 100);
/// How the host names itself.
const USER_AGENT: &str = concat!("tajo-host-harness/", env!("CARGO_PKG_VERSION"));

/// The network of a running host.
pub struct Network {
    /// Dials the public internet only.
    public: Agent,
    /// For origins that an operator granted.
    any: Agent,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// With pools of connections of its own.
    pub fn new() -> Self {
        Self::with(CONNECT, &RootCerts::WebPki)
    }

    fn with(connect: Duration, roots: &RootCerts) -> Self {
        let agent = |any_address| {
            let connector =
                ().chain(TcpConnector::default()).chain(RustlsConnector::default()).chain(Witness);
            let names = Judge { any_address, inner: DefaultResolver::default() };
            Agent::with_parts(config(connect, roots.clone()), connector, names)
        };
        Self { public: agent(false), any: agent(true) }
    }
}

/// Certificates are always checked: nothing that is configured can switch that off.
fn config(connect: Duration, roots: RootCerts) -> Config {
    Config::builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .max_response_header_size(HEAD.0)
        .max_idle_connections(64)
        .max_idle_connections_per_host(8)
        .accept_encoding("gzip")
        .user_agent(USER_AGENT)
        .build()
}

impl Transport for Network {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let (mut response, body) = self.exchange(request)?;
        let mut bytes = Vec::new();
        receive(body, &response, request.body_cap, &mut bytes)?;
        response.body = bytes;
        Ok(response)
    }

    fn download(&self, request: &HttpRequest, sink: &mut dyn Sink) -> Result<HttpResponse, TransportError> {
        let (mut response, body) = self.exchange(request)?;
        if (200..300).contains(&response.status) {
            sink.begin(&response).map_err(|_| not_stored())?;
            let stored = |bytes: &[u8]| sink.write(bytes).map_err(|_| not_stored());
            whole(body, request.body_cap, |reader| copy(reader, request.body_cap, stored))?;
        } else {
            let mut bytes = Vec::new();
            receive(body, &response, request.body_cap.min(ERROR_BODY), &mut bytes)?;
            response.body = bytes;
        }
        Ok(response)
    }
}

/// Largest answer to a download that is not the file.
const ERROR_BODY: u64 = 1 << 20;

impl Network {
    /// Up to and with the head of the answer.
    fn exchange(&self, request: &HttpRequest) -> Result<(HttpResponse, Body), TransportError> {
        SENT.set(false);
        REFUSED.set(false);
        let agent = if request.allow_private { &self.any } else { &self.public };
        let head = head(request).map_err(|()| bad_request())?;
        let sent = match &request.body {
            Some(body) => call(agent, head.map(|()| body.as_slice()), request.deadline),
            // A method that has a body gets a length even where there is none.
            None if matches!(request.method, "POST" | "PUT" | "PATCH") => {
                call(agent, head.map(|()| &[][..]), request.deadline)
            }
            None => call(agent, head, request.deadline),
        };
        let response = sent.map_err(|e| failure(&e))?;
        let (head, body) = response.into_parts();
        let framed = framing(head.status.as_u16(), &head.headers);
        framed.map_err(|why| bad_answer(why.into()))?;
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let response =
            HttpResponse { status: head.status.as_u16(), headers: headers.collect(), body: Vec::new() };
        Ok((response, body))
    }
}

fn head(request: &HttpRequest) -> Result<Request<()>, ()> {
    let uri: Uri = request.url.parse().map_err(|_| ())?;
    let mut head = Request::builder().method(request.method).uri(uri);
    for (name, value) in &request.headers {
        if name != "accept-encoding" {
            head = head.header(name, value);
        }
    }
    head.body(()).map_err(|_| ())
}

fn call(
    agent: &Agent,
    request: Request<impl ureq::AsSendBody>,
    deadline: Duration,
) -> Result<Response<Body>, Error> {
    // DELETE with a body is not in HTTP's usual table; some APIs have it.
    let request = agent
        .configure_request(request)
        .timeout_global(Some(deadline))
        .allow_non_standard_methods(true)
        .build();
    agent.run(request)
}

/// Is it certain where the answer ends?
fn framing(status: u16, headers: &HeaderMap) -> Result<(), &'static str> {
    if headers.len() > HEAD.1 {
        return Err("the answer has more than 100 headers");
    }
    let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err("the answer has two lengths");
    }
    let chunked = headers.contains_key(http::header::TRANSFER_ENCODING);
    if chunked && length.is_some() {
        return Err("the answer has two lengths");
    }
    if status == 101 {
        return Err("the answer changes the protocol");
    }
    let bodiless = matches!(status, 204 | 304);
    if !bodiless && !chunked && length.is_none() {
        return Err("the answer doesn't say where it ends");
    }
    Ok(())
}

/// Reads the whole body, inflated, into memory.
fn receive(body: Body, response: &HttpResponse, cap: u64, bytes: &mut Vec<u8>) -> Result<(), TransportError> {
    let mut encodings = response.headers.iter().filter(|(name, _)| name == "content-encoding");
    let encoding = encodings.next().map(|(_, value)| value.trim().to_ascii_lowercase());
    if encodings.next().is_some() {
        return Err(bad_answer("the answer is encoded more than once".into()));
    }
    let plain = match encoding.as_deref() {
        None | Some("" | "identity") => true,
        Some("gzip" | "x-gzip") => false,
        Some(_) => return Err(bad_answer("the answer has an encoding that was not asked for".into())),
    };
    whole(body, cap, |reader| {
        if plain {
            return copy(reader, cap, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            });
        }
        let failed = |error: InflateError| bad_answer(error.to_string());
        let mut inflate = Inflate::new(bytes, cap);
        let mut empty = true;
        copy(reader, cap, |piece| {
            empty = false;
            inflate.push(piece).map_err(failed)
        })?;
        // No body at all is an empty one, whatever the head says of its encoding.
        if empty { Ok(()) } else { inflate.finish().map_err(failed) }
    })
}

/// Has the whole body read by `read`; bytes after its end are an error.
fn whole(
    body: Body,
    cap: u64,
    read: impl FnOnce(&mut dyn Read) -> Result<(), TransportError>,
) -> Result<(), TransportError> {
    LEFTOVER.set(false);
    // One byte more than the cap, to tell a full answer from one that goes on.
    let mut reader = body.into_with_config().limit(cap.saturating_add(1)).reader();
    read(&mut reader)?;
    drop(reader);
    if LEFTOVER.get() {
        return Err(bad_answer("the answer is longer than it said".into()));
    }
    Ok(())
}

fn copy(
    reader: &mut dyn Read,
    cap: u64,
    mut sink: impl FnMut(&[u8]) -> Result<(), TransportError>,
) -> Result<(), TransportError> {
    let mut buffer = vec![0; 128 * 1024];
    let mut total = 0_u64;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                total = total.saturating_add(read as u64);
                if total > cap {
                    return Err(bad_answer("the answer is larger than it may be".into()));
                }
                sink(&buffer[..read])?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broken(&e)),
        }
    }
}

// ---- failures ---------------------------------------------------------------------------------

fn bad_request() -> TransportError {
    TransportError {
        kind: Kind::Denied,
        request_sent: false,
        message: "the request is not one that HTTP can carry".into(),
    }
}

/// The request left, and what came back is not an answer.
fn bad_answer(message: String) -> TransportError {
    TransportError { kind: Kind::BadAnswer, request_sent: true, message }
}

fn not_stored() -> TransportError {
    bad_answer("the answer could not be stored".into())
}

/// A failure while the body was read.
fn broken(error: &io::Error) -> TransportError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let timeout = matches!(inner, Some(Error::Timeout(_))) || error.kind() == io::ErrorKind::TimedOut;
    if timeout {
        return late();
    }
    match inner {
        Some(Error::BodyExceedsLimit(_)) => bad_answer("the answer is larger than it may be".into()),
        _ => bad_answer("the answer broke off".into()),
    }
}

fn late() -> TransportError {
    TransportError {
        kind: Kind::Timeout,
        request_sent: SENT.get(),
        message: "there was no whole answer in time".into(),
    }
}

/// A failure before the head of the answer was whole. ureq's own texts may hold the URL.
fn failure(error: &Error) -> TransportError {
    let sent = SENT.get();
    let unreachable = |message: &str| TransportError {
        kind: Kind::Unreachable,
        request_sent: sent,
        message: message.into(),
    };
    match error {
        _ if REFUSED.get() => TransportError {
            kind: Kind::Denied,
            request_sent: false,
            message: "the name leads to no public address; an origin of the operator needs \
                      `allow_private_addresses: true`"
                .into(),
        },
        Error::Timeout(ureq::Timeout::Resolve) => unreachable("the name could not be resolved in time"),
        Error::Timeout(ureq::Timeout::Connect) => unreachable("there was no connection in time"),
        Error::Timeout(_) => late(),
        _ if sent => bad_answer(
            match error {
                Error::LargeResponseHeader(..) => "the head of the answer is larger than it may be",
                Error::Protocol(_) | Error::Http(_) => "the answer is not HTTP",
                _ => "the connection broke before there was an answer",
            }
            .into(),
        ),
        Error::HostNotFound => unreachable("the name can't be resolved"),
        Error::Tls(_) | Error::Rustls(_) => unreachable("there is no trusted TLS connection"),
        // How rustls refuses a certificate comes as data that can't be read.
        Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
            unreachable("there is no trusted TLS connection")
        }
        Error::Io(e) => unreachable(&format!("no connection: {}", e.kind())),
        Error::BadUri(_) | Error::Http(_) | Error::Protocol(_) => bad_request(),
        _ => unreachable("no connection"),
    }
}

/// The network as the pipeline takes it.
pub fn network() -> Arc<dyn Transport> {
    Arc::new(Network::new())
}
