//! The real transport against raw TCP servers that break HTTP in one way each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use host_harness::egress::transport::Network;
use host_harness::world::{
    HttpRequest, HttpResponse, Sink, Transport, TransportError, TransportErrorKind as Kind,
};

/// A server that gives every connection to `serve`, and keeps what it received.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(serve: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = heard.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), serve, log) = (stream, serve.clone(), log.clone()) else { return };
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&mut stream) {
                        log.lock().unwrap().push(request.clone());
                        serve(&mut stream, &request);
                    }
                });
            }
        });
        Self { address, heard }
    }

    /// Answers every request with these bytes, and closes where `close` says so.
    fn answering(bytes: impl Into<Vec<u8>>, close: bool) -> Self {
        let bytes = bytes.into();
        Self::new(move |stream, _| {
            let _ = stream.write_all(&bytes);
            if close {
                let _ = stream.shutdown(Shutdown::Both);
            }
        })
    }

    fn get(&self) -> HttpRequest {
        HttpRequest {
            method: "GET",
            url: format!("http://{}/a/secret-path", self.address),
            label: "GET test/a/*".into(),
            headers: vec![("x-test".into(), "1".into())],
            body: None,
            deadline: Duration::from_secs(20),
            body_cap: 1 << 20,
            allow_private: true,
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Head and body of one request, or nothing where the peer is gone.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.to_ascii_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").and_then(|value| value.trim().parse::<usize>().ok())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzipped(encoding: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn send(server: &Server) -> Result<HttpResponse, TransportError> {
    Network::new().send(&server.get())
}

#[track_caller]
fn bad_answer(result: Result<HttpResponse, TransportError>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::BadAnswer, true), "{error}");
    assert!(!error.message.contains("secret-path"), "{error}");
}

#[test]
fn what_goes_out_is_what_the_host_wrote() {
    let server = Server::answering(ok(b"{}"), false);
    let network = Network::new();
    network.send(&server.get()).unwrap();
    let bodies: [(&str, Option<&[u8]>); 4] =
        [("POST", Some(b"abc")), ("POST", None), ("DELETE", None), ("DELETE", Some(b"[1]"))];
    for (method, body) in bodies {
        network.send(&HttpRequest { method, body: body.map(<[u8]>::to_vec), ..server.get() }).unwrap();
    }
    let heard = server.heard();
    assert!(heard[0].starts_with("GET /a/secret-path HTTP/1.1\r\n"), "{}", heard[0]);
    let lower = heard[0].to_ascii_lowercase();
    for line in [format!("host: {}", server.address), "x-test: 1".into(), "accept-encoding: gzip".into()] {
        assert_eq!(lower.matches(&format!("{line}\r\n")).count(), 1, "{line} in {lower}");
    }
    assert!(!lower.contains("content-length") && !lower.contains("transfer-encoding"));
    assert!(
        heard[1].to_ascii_lowercase().contains("content-length: 3\r\n") && heard[1].ends_with("\r\n\r\nabc")
    );
    assert!(heard[2].to_ascii_lowercase().contains("content-length: 0\r\n"), "an empty body has a length");
    assert!(!heard[3].to_ascii_lowercase().contains("transfer-encoding"), "{}", heard[3]);
    assert!(heard[4].ends_with("\r\n\r\n[1]"), "{}", heard[4]);
}

#[test]
fn an_answer_is_given_whole_with_lower_case_names_and_any_status() {
    for status in [200, 201, 204, 304, 400, 401, 404, 429, 500, 503] {
        let body = if matches!(status, 204 | 304) { "" } else { "{}" };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nX-Two: a\r\nx-two: b\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = send(&Server::answering(answer, false)).unwrap();
        assert_eq!((response.status, response.body), (status, body.as_bytes().to_vec()));
        let two: Vec<_> = response.headers.iter().filter(|(name, _)| name == "x-two").collect();
        assert_eq!(two.len(), 2);
    }
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(send(&Server::answering(chunked, false)).unwrap().body, b"abcde");
}

#[test]
fn n32_connections_are_kept_and_nothing_is_sent_twice() {
    // The server answers the first request and closes without a word on the second.
    let count = Arc::new(Mutex::new(0));
    let served = count.clone();
    let server = Server::new(move |stream, _| {
        let mut n = served.lock().unwrap();
        *n += 1;
        if *n == 1 {
            stream.write_all(&ok(b"{}")).unwrap();
        } else {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    let network = Network::new();
    network.send(&server.get()).unwrap();
    bad_answer(network.send(&server.get()));
    assert_eq!(server.heard().len(), 2, "no silent retry of what was written");
}

#[test]
fn n32_a_connection_that_the_server_closed_is_not_used_again() {
    let server = Server::answering(ok(b"{}"), true);
    let network = Network::new();
    for _ in 0..5 {
        // Between two calls the close has arrived; a call that meets it half-way is told so.
        match network.send(&server.get()) {
            Ok(response) => assert_eq!(response.body, b"{}"),
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(server.heard().len(), 5);
}

#[test]
fn n01_refused_and_unknown_leave_nothing_behind() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let server = Server::answering(ok(b""), false);
    for url in [format!("http://{closed}/x"), "http://does-not-exist.invalid/x".into()] {
        let error = Network::new().send(&HttpRequest { url, ..server.get() }).unwrap_err();
        assert_eq!((error.kind, error.request_sent), (Kind::Unreachable, false), "{error}");
        assert!(!error.message.contains("does-not-exist"), "{error}");
    }
}

#[test]
fn n30_a_server_without_tls_is_unreachable_over_https() {
    let server = Server::answering(ok(b""), true);
    let url = format!("https://{}/x", server.address);
    let error = Network::new().send(&HttpRequest { url, ..server.get() }).unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::Unreachable, false), "{error}");
}

/// This machine, as it can be spelled.
const LOOPBACK: [&str; 30] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "user@127.0.0.1",
    "api.example.com@127.0.0.1",
    "api.example.com:443@127.0.0.1",
    "%31%32%37.0.0.1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
];

#[test]
fn s02_private_addresses_are_denied_in_every_spelling() {
    let server = Server::answering(ok(b""), false);
    let port = server.address.port();
    let (mut resolved, mut refused) = (0, 0);
    for host in LOOPBACK {
        let request =
            HttpRequest { url: format!("http://{host}:{port}/x"), allow_private: false, ..server.get() };
        let error = Network::new().send(&request).unwrap_err();
        assert!(matches!(error.kind, Kind::Denied | Kind::Unreachable), "{host}: {error}");
        assert!(!error.request_sent);
        // What this system's resolver takes for an address was judged; the same calls arrive where
        // the operator's switch is on.
        if Network::new().send(&HttpRequest { allow_private: true, ..request }).is_ok() {
            resolved += 1;
            refused += usize::from(error.kind == Kind::Denied);
            server.heard.lock().unwrap().clear();
        }
        assert!(server.heard().is_empty(), "{host}");
    }
    assert!(resolved >= 8, "{resolved} spellings lead here at all");
    assert_eq!(refused, resolved, "each of them was denied as an address, and not by chance");
}

#[test]
fn n03_headers_that_never_come_meet_the_deadline() {
    let server = Server::new(|stream, _| {
        let _ = stream.read(&mut [0]);
    });
    let request = HttpRequest { deadline: Duration::from_millis(300), ..server.get() };
    let error = Network::new().send(&request).unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::Timeout, true), "{error}");
}

#[test]
fn n04_a_dripping_answer_meets_the_deadline() {
    for in_body in [false, true] {
        let server = Server::new(move |stream, _| {
            if in_body {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
            }
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let request = HttpRequest { deadline: Duration::from_millis(400), ..server.get() };
        let error = Network::new().send(&request).unwrap_err();
        assert!(error.request_sent, "{error}");
        let expected = if in_body { &[Kind::Timeout][..] } else { &[Kind::Timeout, Kind::BadAnswer] };
        assert!(expected.contains(&error.kind), "{error}");
    }
}

#[test]
fn n05_a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    let server = Server::new(|stream, _| {
        let _ = stream.shutdown(Shutdown::Both);
    });
    bad_answer(send(&server));
    let request = HttpRequest { method: "POST", body: Some(vec![b'x'; 100]), ..server.get() };
    bad_answer(Network::new().send(&request));
}

#[test]
fn n05_a_request_that_is_cut_while_it_is_written_may_have_arrived() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            drop(stream);
        }
    });
    let request = HttpRequest {
        method: "POST",
        url: format!("http://{address}/x"),
        label: String::new(),
        headers: vec![],
        body: Some(vec![b'x'; 8 << 20]),
        deadline: Duration::from_secs(20),
        body_cap: 1_000,
        allow_private: true,
    };
    bad_answer(Network::new().send(&request));
}

#[test]
fn n06_an_answer_that_is_cut_anywhere_is_no_answer() {
    let body = br#"{"records":[{"id":1},{"id":2}]}"#;
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
    for whole in [ok(body), gzipped("gzip", &gzip(body)), chunked.to_vec()] {
        // The last CRLF after the chunk that ends the body adds nothing to it.
        let end = if whole == chunked { whole.len() - 2 } else { whole.len() };
        for cut in 0..end {
            bad_answer(send(&Server::answering(&whole[..cut], true)));
        }
        send(&Server::answering(whole, true)).unwrap();
    }
}

#[test]
fn n06_an_answer_that_does_not_say_where_it_ends_is_no_answer() {
    bad_answer(send(&Server::answering("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}", true)));
    bad_answer(send(&Server::answering("HTTP/1.0 200 OK\r\n\r\n{\"a\":1}", true)));
}

#[test]
fn n07_bytes_after_the_answer_spoil_it_and_never_become_the_next_one() {
    let junk = [ok(b"{}"), ok(b"{\"forged\":true}")].concat();
    let server = Server::answering(junk, false);
    let network = Network::new();
    for _ in 0..3 {
        match network.send(&server.get()) {
            Err(error) => assert_eq!((error.kind, error.request_sent), (Kind::BadAnswer, true), "{error}"),
            Ok(response) => panic!("{:?}", String::from_utf8_lossy(&response.body)),
        }
    }
}

#[test]
fn w09_two_lengths_are_no_answer() {
    for head in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2\r\ntransfer-encoding: chunked\r\n",
        "content-length: -2\r\n",
        "content-length: 2x\r\n",
    ] {
        bad_answer(send(&Server::answering(format!("HTTP/1.1 200 OK\r\n{head}\r\n{{}}"), true)));
    }
}

#[test]
fn n09_gzip_is_inflated_once_and_under_a_cap() {
    let body = br#"{"name":"a name"}"#;
    assert_eq!(send(&Server::answering(gzipped("gzip", &gzip(body)), false)).unwrap().body, body);
    assert_eq!(send(&Server::answering(gzipped("GZip", &gzip(body)), false)).unwrap().body, body);
    let nested = gzip(&gzip(body));
    assert_eq!(
        send(&Server::answering(gzipped("gzip", &nested), false)).unwrap().body,
        gzip(body),
        "one layer"
    );
    bad_answer(send(&Server::answering(gzipped("gzip, gzip", &nested), false)));
    bad_answer(send(&Server::answering(gzipped("gzip\r\ncontent-encoding: gzip", &nested), false)));
    bad_answer(send(&Server::answering(gzipped("br", body), false)));
    bad_answer(send(&Server::answering(gzipped("deflate", body), false)));
    bad_answer(send(&Server::answering(gzipped("gzip", body), false)));

    let bomb = gzip(&vec![0; 256 << 20]);
    let server = Server::answering(gzipped("gzip", &bomb), false);
    bad_answer(send(&server));
    bad_answer(Network::new().send(&HttpRequest { body_cap: u64::MAX, ..server.get() }));
}

#[test]
fn n09_a_body_is_held_to_its_cap_exactly() {
    for (size, fits) in [(999, true), (1_000, true), (1_001, false)] {
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(size)
        );
        for server in [Server::answering(ok(&vec![b'x'; size]), false), Server::answering(chunked, false)] {
            let result = Network::new().send(&HttpRequest { body_cap: 1_000, ..server.get() });
            assert_eq!(result.is_ok(), fits, "{size}");
        }
    }
}

#[test]
fn n10_heads_are_bounded() {
    let many = |n: usize| (0..n).map(|i| format!("x-{i}: 1\r\n")).collect::<String>();
    let with = |extra: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{extra}\r\n");
    send(&Server::answering(with(&many(99)), false)).unwrap();
    bad_answer(send(&Server::answering(with(&many(100)), false)));
    bad_answer(send(&Server::answering(with(&many(10_000)), false)));
    bad_answer(send(&Server::answering(with(&format!("x: {}\r\n", "y".repeat(1 << 20))), false)));
    bad_answer(send(&Server::answering(with("bad header: 1\r\n"), true)));
    bad_answer(send(&Server::answering(with("x: \0\r\n"), true)));
    bad_answer(send(&Server::answering("SSH-2.0-OpenSSH_9.2\r\n", true)));
    bad_answer(send(&Server::answering("HTTP/9.9 200 OK\r\n\r\n", true)));
}

#[test]
fn n11_interim_answers_are_skipped_and_bounded_by_the_deadline() {
    let early = "HTTP/1.1 103 Early Hints\r\nx: 1\r\n\r\n".repeat(3);
    let answer = [early.as_bytes(), &ok(b"{}")].concat();
    assert_eq!(send(&Server::answering(answer, false)).unwrap().body, b"{}");
    let flood = Server::new(|stream, _| {
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let request = HttpRequest { deadline: Duration::from_millis(400), ..flood.get() };
    let error = Network::new().send(&request).unwrap_err();
    assert!(error.request_sent && matches!(error.kind, Kind::Timeout | Kind::BadAnswer), "{error}");
    bad_answer(send(&Server::answering("HTTP/1.1 101 X\r\nupgrade: y\r\n\r\n", true)));
}

#[test]
fn s03_n12_a_redirect_is_an_answer_and_nobody_goes_there() {
    let other = Server::answering(ok(b"other"), false);
    for status in [301, 302, 303, 307, 308] {
        for place in [
            format!("http://{}/", other.address),
            "http://169.254.169.254/latest/meta-data/".into(),
            "//x".into(),
        ] {
            let answer = format!("HTTP/1.1 {status} X\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
            let server = Server::answering(answer, false);
            let response = send(&server).unwrap();
            assert_eq!((response.status, response.header("location")), (status, Some(place.as_str())));
            assert_eq!(server.heard().len(), 1);
        }
    }
    assert!(other.heard().is_empty());
}

#[test]
fn no_proxy_is_taken_from_the_environment() {
    // Set for this process before any call of this test; the others of this file ignore it too.
    let proxy = Server::answering(ok(b"proxied"), false);
    // SAFETY: this test binary's other threads read the environment only through std.
    unsafe { std::env::set_var("http_proxy", format!("http://{}", proxy.address)) };
    let server = Server::answering(ok(b"direct"), false);
    assert_eq!(send(&server).unwrap().body, b"direct");
    assert!(proxy.heard().is_empty());
}

#[test]
fn a_large_answer_goes_to_its_sink_piece_by_piece() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let server = Server::answering(ok(&body), false);
    let mut taken = Taken::default();
    let request = HttpRequest { body_cap: 4 << 20, ..server.get() };
    let response = Network::new().download(&request, &mut taken).unwrap();
    assert_eq!((response.status, response.body.len(), taken.bytes), (200, 0, body));
    assert_eq!(taken.head.unwrap().header("content-length"), Some("3000000"), "the head came first");
    let missing = Server::answering("HTTP/1.1 404 X\r\ncontent-length: 4\r\n\r\ngone", false);
    let mut taken = Taken::default();
    let response = Network::new().download(&missing.get(), &mut taken).unwrap();
    assert_eq!((response.status, response.body), (404, b"gone".to_vec()));
    assert!(taken.head.is_none() && taken.bytes.is_empty());
}

#[test]
fn a_download_keeps_its_content_encoding_and_ends_where_the_sink_says_so() {
    let body = gzip(b"as it was sent");
    let server = Server::answering(gzipped("gzip", &body), false);
    let mut taken = Taken::default();
    Network::new().download(&server.get(), &mut taken).unwrap();
    assert_eq!(taken.bytes, body);
    let mut refusing = Taken { refuse: true, ..Taken::default() };
    let error = Network::new().download(&server.get(), &mut refusing).unwrap_err();
    assert_eq!((error.kind, error.request_sent), (Kind::BadAnswer, true));
    assert!(refusing.bytes.is_empty());
}

#[derive(Default)]
struct Taken {
    head: Option<HttpResponse>,
    bytes: Vec<u8>,
    refuse: bool,
}

impl Sink for Taken {
    fn begin(&mut self, head: &HttpResponse) -> std::io::Result<()> {
        self.head = Some(head.clone());
        if self.refuse { Err(std::io::ErrorKind::Other.into()) } else { Ok(()) }
    }
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
