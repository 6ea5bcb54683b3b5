//! What only parts of the network can show: certificates, connections that never come to be, and
//! names whose addresses change between two looks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use ureq::tls::{Certificate, RootCerts};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, NextTimeout, TcpConnector};
use ureq::{Agent, Error};

use super::watch::{Judge, REFUSED, SENT, Witness};
use super::{CONNECT, Network, Reach, Unreached, call, config, failure};
use crate::world::{HttpRequest, HttpResponse, Transport, TransportError, TransportErrorKind as Kind};

fn get(url: String) -> HttpRequest {
    HttpRequest {
        method: "GET",
        url,
        label: "GET test/*".into(),
        headers: vec![("x-key".into(), "the credential".into())],
        body: None,
        deadline: Duration::from_secs(20),
        body_cap: 1_000,
        allow_private: true,
    }
}

// ---- certificates --------------------------------------------------------------------------------

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of this test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn network(&self) -> Network {
        let root = Certificate::from_der(&self.root).to_owned();
        Network::with(CONNECT, &RootCerts::Specific(Arc::new(vec![root])))
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// A server over TLS with one certificate; it keeps what it decrypted.
fn serve(
    versions: &[&'static rustls::SupportedProtocolVersion],
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = stream.unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            let mut byte = [0];
            while !log.lock().unwrap().ends_with(b"\r\n\r\n")
                && tls.read(&mut byte).is_ok_and(|read| read > 0)
            {
                log.lock().unwrap().push(byte[0]);
            }
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    (port, heard)
}

/// What comes of a call to `localhost` where this certificate is shown.
fn shown(
    authority: &Authority,
    params: &CertificateParams,
) -> (Result<HttpResponse, TransportError>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap().der().clone();
    let (port, heard) = serve(rustls::ALL_VERSIONS, certificate, &key);
    let answer = authority.network().send(&get(format!("https://localhost:{port}/x")));
    let heard = heard.lock().unwrap().clone();
    (answer, heard)
}

#[track_caller]
fn closed(answer: Result<HttpResponse, TransportError>, heard: &[u8]) {
    let error = answer.unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::Unreachable, false), "{error}");
    assert!(error.message.contains("TLS"), "{error}");
    assert!(heard.is_empty(), "nothing of the request left");
}

#[test]
fn n30_a_certificate_that_is_wrong_in_one_way_is_no_connection() {
    let authority = Authority::new();
    let (answer, heard) = shown(&authority, &named("localhost"));
    assert_eq!(answer.unwrap().body, b"hi", "what differs below is the one fault");
    assert!(String::from_utf8(heard).unwrap().contains("x-key: the credential"));

    let mut expired = named("localhost");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut not_yet = named("localhost");
    (not_yet.not_before, not_yet.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    for params in [expired, not_yet, named("other.example"), named("*.localhost"), named("127.0.0.2")] {
        let (answer, heard) = shown(&authority, &params);
        closed(answer, &heard);
    }
}

#[test]
fn n30_a_certificate_that_nobody_trusted_signed_is_no_connection() {
    let authority = Authority::new();
    // Signed by itself.
    let key = KeyPair::generate().unwrap();
    let own = named("localhost").self_signed(&key).unwrap().der().clone();
    let (port, heard) = serve(rustls::ALL_VERSIONS, own, &key);
    let url = format!("https://localhost:{port}/x");
    closed(authority.network().send(&get(url.clone())), &heard.lock().unwrap());
    // Also for origins of the operator, by a host that trusts the web's authorities.
    closed(Network::new().send(&get(url)), &heard.lock().unwrap());
    // Signed by somebody else of the same name.
    let (answer, heard) = {
        let key = KeyPair::generate().unwrap();
        let other = named("localhost").signed_by(&key, &Authority::new().issuer).unwrap().der().clone();
        let (port, heard) = serve(rustls::ALL_VERSIONS, other, &key);
        let answer = authority.network().send(&get(format!("https://localhost:{port}/x")));
        (answer, heard.lock().unwrap().clone())
    };
    closed(answer, &heard);
}

#[test]
fn n30_tls_before_1_2_is_no_connection() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let certificate = named("localhost").signed_by(&key, &authority.issuer).unwrap().der().clone();
    let (port, _) = serve(&[&rustls::version::TLS12], certificate, &key);
    assert_eq!(authority.network().send(&get(format!("https://localhost:{port}/x"))).unwrap().status, 200);

    for minor in [0, 1, 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let after = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
            stream.read_exact(&mut rest).unwrap();
            // A hello of SSL 3.0, TLS 1.0 and TLS 1.1: AES-128-CBC-SHA, no extensions.
            let mut body = vec![3, minor];
            body.extend([7; 32]);
            body.extend([0, 0x00, 0x2f, 0]);
            let length = body.len() as u8;
            let mut record = vec![22, 3, minor, 0, length + 4, 2, 0, 0, length];
            record.extend(body);
            stream.write_all(&record).unwrap();
            let mut after = Vec::new();
            let _ = stream.read_to_end(&mut after);
            after
        });
        let error = authority.network().send(&get(format!("https://localhost:{port}/x"))).unwrap_err();
        assert_eq!((error.kind, error.request_sent), (Kind::Unreachable, false), "{error}");
        assert_eq!(after.join().unwrap().first(), Some(&21), "the hello was answered by an alert");
    }
}

#[test]
fn a_way_out_is_tried_up_to_a_trusted_connection_and_no_byte_of_a_request_leaves() {
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let root = Certificate::from_der(&authority.root).to_owned();
    let reach = Reach::with(&RootCerts::Specific(Arc::new(vec![root])));
    let certificate = named("localhost").signed_by(&key, &authority.issuer).unwrap().der().clone();
    let (port, heard) = serve(rustls::ALL_VERSIONS, certificate, &key);
    assert_eq!(reach.reach(&format!("https://localhost:{port}"), true), Ok(()));
    assert_eq!(reach.reach(&format!("https://127.0.0.1:{port}"), true), Err(Unreached::Tls), "another name");
    let strict = Reach::default();
    assert_eq!(strict.reach(&format!("https://localhost:{port}"), true), Err(Unreached::Tls), "not trusted");
    assert!(heard.lock().unwrap().is_empty(), "nothing was said");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let first = std::thread::spawn(move || {
        let mut all = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
        all
    });
    assert_eq!(reach.reach(&origin, false), Err(Unreached::Denied), "and nobody was dialled");
    assert_eq!(reach.reach(&origin, true), Ok(()));
    assert_eq!(first.join().unwrap(), b"", "it hung up without a word");
    assert!(matches!(reach.reach(&origin, true), Err(Unreached::Connection(_))), "nobody listens any more");
    assert_eq!(reach.reach("http://no-such-host.invalid", true), Err(Unreached::Name));
}

// ---- connections ---------------------------------------------------------------------------------

/// A listener whose queue is full: whoever connects waits for ever, as behind a firewall that drops.
fn blackhole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // SAFETY: the descriptor is open and a socket; only the length of its queue changes.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue never fills");
    }
    (listener, waiting, address)
}

#[test]
fn n02_a_connection_that_never_comes_ends_long_before_the_exchange_would() {
    let (_listener, _waiting, address) = blackhole();
    let network = Network::with(Duration::from_millis(300), &RootCerts::WebPki);
    let begun = Instant::now();
    let request = get(format!("http://{address}/x"));
    let error = network.send(&request).unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::Unreachable, false), "{error}");
    assert!(begun.elapsed() < request.deadline / 2, "the deadline of the connection decided");
    assert_eq!(CONNECT, Duration::from_secs(5), "what a running host uses");
    // The deadline of the exchange holds where it is the shorter one.
    let short = HttpRequest { deadline: Duration::from_millis(200), ..request };
    let error = Network::new().send(&short).unwrap_err();
    assert!(!error.request_sent, "{error}");
}

// ---- names ---------------------------------------------------------------------------------------

/// Answers with the next of its lists at every look.
#[derive(Debug)]
struct Flipping(Arc<Mutex<VecDeque<Vec<SocketAddr>>>>);

impl Resolver for Flipping {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let mut found = self.empty();
        for address in self.0.lock().unwrap().pop_front().expect("one look more than there should be") {
            found.push(address);
        }
        Ok(found)
    }
}

/// Writes down what would be dialled, and dials `instead`.
#[derive(Debug)]
struct Dialled {
    list: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    instead: SocketAddr,
}

impl Connector<()> for Dialled {
    type Out = <TcpConnector as Connector<()>>::Out;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        self.list.lock().unwrap().push(details.addrs.iter().map(|address| address.ip()).collect());
        let mut addrs = ResolvedSocketAddrs::from_fn(|_| self.instead);
        addrs.push(self.instead);
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let out: Option<Either<(), _>> = TcpConnector::default().connect(&details, None::<()>)?;
        Ok(out)
    }
}

#[test]
fn s02_every_answer_of_a_name_is_judged_and_exactly_what_was_judged_is_dialled() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let instead = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let (good, metadata, local): (IpAddr, IpAddr, IpAddr) =
        ("93.184.215.14".parse().unwrap(), "169.254.169.254".parse().unwrap(), "127.0.0.1".parse().unwrap());
    let mapped: IpAddr = "::ffff:10.0.0.7".parse().unwrap();
    let six: IpAddr = "2606:2800:21f:cb07::1".parse().unwrap();
    let looks: VecDeque<Vec<SocketAddr>> = [
        vec![good],                               // as it was when somebody looked at it
        vec![metadata],                           // the name was given another address
        vec![local, good, mapped, metadata, six], // both kinds in one answer
        vec![good, metadata],                     // what comes first does not speak for the rest
        vec![mapped],
        vec![good],
    ]
    .map(|answer| answer.into_iter().map(|address| SocketAddr::new(address, 443)).collect())
    .into();
    let looks = Arc::new(Mutex::new(looks));
    let list = Arc::new(Mutex::new(Vec::new()));
    let dialled = Dialled { list: list.clone(), instead };
    let agent = Agent::with_parts(
        config(CONNECT, RootCerts::WebPki),
        dialled.chain(Witness),
        Judge { any_address: false, inner: Flipping(looks.clone()) },
    );
    let outcomes: Vec<Result<u16, Kind>> = (0..6)
        .map(|_| {
            SENT.set(false);
            REFUSED.set(false);
            let request = ureq::http::Request::get("http://rebound.example/x").body(()).unwrap();
            call(&agent, request, Duration::from_secs(5))
                .map(|answer| answer.status().as_u16())
                .map_err(|error| failure(&error).kind)
        })
        .collect();
    assert_eq!(outcomes, [Ok(200), Err(Kind::Denied), Ok(200), Ok(200), Err(Kind::Denied), Ok(200)]);
    assert_eq!(*list.lock().unwrap(), [vec![good], vec![good, six], vec![good], vec![good]]);
    assert!(looks.lock().unwrap().is_empty(), "each exchange looked once, and dialled by that look");
}
