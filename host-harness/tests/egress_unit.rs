//! One unit's calls, from the guest's request to the wire and back, and files on the spool.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rates;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::contract::RateWindow;
use host_harness::contract::http::{Error, ErrorKind, Method, Request};
use host_harness::egress::spool::Spool;
use host_harness::egress::{Access, Egress};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use host_harness::world::{
    Clock, HttpRequest, HttpResponse, Millis, Random, Transport, TransportError, TransportErrorKind, World,
};
use rates::Rates;
use serde_json::json;

const START: Millis = 1_795_435_200_000;
const SECRET: &str = "canary-secret";

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
    "endpoints": { "api": { "origin": "https://api.example.com", "methods": ["GET", "POST"], "paths": ["/v1"],
        "auth": { "header": { "name": { "literal": "x-key" }, "slot": "key" } }, "purpose": "Reads." } } }"#;

struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, host_time: Duration) {
        self.0.fetch_add(host_time.as_millis() as Millis, Ordering::SeqCst);
    }
}

struct Counter(AtomicU8);

impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

/// Gives prepared answers in turn, and keeps what was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<HttpResponse, TransportError>>>,
    asked: Mutex<Vec<HttpRequest>>,
}

impl Transport for Script {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        self.asked.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().expect("an answer for every call")
    }
}

struct Bench {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    rates: Arc<Rates>,
    access: Arc<Access>,
}

impl Bench {
    fn new() -> Self {
        Self::with(None, SlotSecrets::new().with("key", [SECRET.into()]))
    }

    fn with(spool: Option<Spool>, secrets: SlotSecrets) -> Self {
        let script = Arc::new(Script::default());
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let rates = Arc::new(Rates::default());
        let access = Arc::new(Access {
            installation: "i1".into(),
            manifest: Manifest::parse(MANIFEST).unwrap(),
            settings: json!({}),
            overrides: BTreeMap::new(),
            allow_private: false,
            secrets: Arc::new(secrets),
            rates: rates.clone(),
            spool,
            world: World {
                clock: clock.clone(),
                random: Arc::new(Counter(AtomicU8::new(1))),
                transport: script.clone(),
            },
        });
        Self { script, clock, rates, access }
    }

    fn unit(&self, windows: &[(u32, u32)]) -> Egress {
        let windows: Vec<_> = windows.iter().map(|&(calls, seconds)| RateWindow { calls, seconds }).collect();
        self.access.unit("contacts", &windows, Duration::from_secs(30))
    }

    fn answer(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let response = HttpResponse { status, headers, body: body.to_vec() };
        self.script.answers.lock().unwrap().push_back(Ok(response));
    }

    fn asked(&self) -> Vec<HttpRequest> {
        self.script.asked.lock().unwrap().clone()
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}

fn get() -> Request {
    Request {
        endpoint: "api".into(),
        method: Method::Get,
        path: vec!["v1".into(), "people".into()],
        query: vec![],
        headers: vec![],
        body: None,
        timeout_ms: Some(5_000),
    }
}

#[test]
fn a_call_carries_its_credential_and_a_new_request_id() {
    let bench = Bench::new();
    let unit = bench.unit(&[]);
    for _ in 0..2 {
        bench.answer(200, &[], b"{}");
        assert_eq!(unit.http(get()).unwrap().body, b"{}");
    }
    let asked = bench.asked();
    let header = |n: usize, name: &str| {
        let values: Vec<_> = asked[n].headers.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(values.len(), 1, "{name}");
        values[0].1.clone()
    };
    assert_eq!(header(0, "x-key"), SECRET);
    assert_ne!(header(0, "x-request-id"), header(1, "x-request-id"), "one for each attempt");
    assert_eq!(asked[0].url, "https://api.example.com/v1/people");
    assert_eq!(asked[0].label, "GET api.example.com/v1/*");
    assert!(asked[0].deadline <= Duration::from_secs(5) && !asked[0].allow_private);
    assert!(!format!("{:?}", asked[0]).contains(SECRET));
}

#[test]
fn s06_headers_that_carry_credentials_never_reach_the_guest() {
    let bench = Bench::new();
    bench.answer(
        200,
        &[
            ("set-cookie", "s=1"),
            ("www-authenticate", "Basic"),
            ("x-key", SECRET),
            ("authorization", "x"),
            ("x-ok", "1"),
        ],
        b"",
    );
    let response = bench.unit(&[]).http(get()).unwrap();
    assert_eq!(response.headers, [("x-ok".to_owned(), "1".to_owned())]);
}

#[test]
fn without_a_secret_nothing_leaves() {
    let bench = Bench::with(None, SlotSecrets::new());
    let error = bench.unit(&[]).http(get()).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::NoSecret, "no-secret"));
    assert!(bench.asked().is_empty());
}

#[test]
fn what_went_wrong_on_the_wire_says_whether_the_request_left() {
    let bench = Bench::new();
    let unit = bench.unit(&[]);
    for (kind, sent, expected, code) in [
        (TransportErrorKind::Denied, false, ErrorKind::Denied, "address-not-allowed"),
        (TransportErrorKind::Unreachable, false, ErrorKind::Unreachable, "unreachable"),
        (TransportErrorKind::Timeout, true, ErrorKind::Timeout, "timeout"),
        (TransportErrorKind::Timeout, false, ErrorKind::Timeout, "timeout"),
        (TransportErrorKind::BadAnswer, true, ErrorKind::BadAnswer, "bad-answer"),
    ] {
        let error = TransportError { kind, request_sent: sent, message: "why".into() };
        bench.script.answers.lock().unwrap().push_back(Err(error));
        let Error { kind, code: found, request_sent, .. } = unit.http(get()).unwrap_err();
        assert_eq!((kind, found.as_str(), request_sent), (expected, code, sent));
    }
}

#[test]
fn n33_a_short_wait_for_the_window_is_waited_and_a_long_one_ends_the_call() {
    let bench = Bench::new();
    for _ in 0..5 {
        bench.answer(200, &[], b"");
    }
    let unit = bench.unit(&[(2, 1), (4, 60)]);
    for _ in 0..4 {
        unit.http(get()).unwrap();
    }
    assert_eq!(bench.now(), START + 1_000, "the third call waited for the first window");
    let error = unit.http(get()).unwrap_err();
    assert_eq!((error.kind, error.request_sent), (ErrorKind::RateLimited, false));
    let wait = error.retry_after_ms.unwrap();
    assert!((58_000..=60_000).contains(&wait), "{wait}");
    // Another unit of the same resource, after a restart, knows it; another resource doesn't.
    assert_eq!(bench.unit(&[(2, 1), (4, 60)]).http(get()).unwrap_err().kind, ErrorKind::RateLimited);
    bench
        .access
        .unit("events", &[RateWindow { calls: 1, seconds: 60 }], Duration::from_secs(30))
        .http(get())
        .unwrap();
    assert_eq!(bench.rates.0.lock().unwrap().len(), 2);
    bench.clock.sleep(Duration::from_millis(wait));
    bench.answer(200, &[], b"");
    unit.http(get()).unwrap();
}

#[test]
fn n13_a_429_is_obeyed_by_the_next_call_too() {
    let bench = Bench::new();
    bench.answer(429, &[("retry-after", "120")], b"");
    let unit = bench.unit(&[]);
    assert_eq!(unit.http(get()).unwrap().status, 429, "the guest sees it and ends its unit");
    let error = bench.unit(&[]).http(get()).unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::RateLimited, Some(120_000)));
    bench.clock.sleep(Duration::from_secs(120));
    bench.answer(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")], b"");
    unit.http(get()).unwrap();
    assert_eq!(unit.http(get()).unwrap_err().retry_after_ms, Some(30_000));
}

#[test]
fn n15_a_vendor_that_goes_down_and_says_for_how_long_is_left_alone() {
    let bench = Bench::new();
    bench.answer(503, &[("retry-after", "90")], b"maintenance");
    let unit = bench.unit(&[]);
    assert_eq!(unit.http(get()).unwrap().status, 503);
    let error = bench.unit(&[]).http(get()).unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::RateLimited, Some(90_000)));
    assert_eq!(bench.asked().len(), 1, "nobody was called meanwhile");
    bench.clock.sleep(Duration::from_secs(90));
    bench.answer(200, &[], b"");
    unit.http(get()).unwrap();
}

#[test]
fn a_unit_whose_time_is_up_calls_nobody() {
    let bench = Bench::new();
    let unit = bench.access.unit("contacts", &[], Duration::ZERO);
    assert_eq!(unit.http(get()).unwrap_err().kind, ErrorKind::Timeout);
    assert!(bench.asked().is_empty());
}

// ---- files --------------------------------------------------------------------------------------

fn spool(directory: &Path) -> Bench {
    let spool = Spool::new(directory).with_quota(1 << 20);
    Bench::with(Some(spool), SlotSecrets::new().with("key", [SECRET.into()]))
}

fn path(name: &str) -> Vec<String> {
    vec!["v1".into(), name.into()]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn files(directory: &Path) -> usize {
    let homes = std::fs::read_dir(directory).unwrap();
    homes.map(|home| std::fs::read_dir(home.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_file_is_downloaded_once_and_read_by_offset_in_later_units_too() {
    let home = tempfile::tempdir().unwrap();
    let content = b"line one\nline two\n";
    let bench = spool(home.path());
    bench.answer(200, &[("etag", "\"v1\"")], &gzip(content));
    let object = bench.unit(&[]).object_open("api", &path("f"), None).unwrap();
    assert_eq!((object.etag.as_str(), object.size), ("\"v1\"", content.len() as u64));

    // Another process.
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    assert_eq!(unit.object_open("api", &path("f"), Some("\"v1\"")).unwrap().size, 18);
    assert!(bench.asked().is_empty(), "not downloaded again");
    let read = |offset, length| unit.object_read("api", &path("f"), "\"v1\"", offset, length).unwrap();
    assert_eq!(read(0, 9), b"line one\n");
    assert_eq!(read(9, 1_000), b"line two\n");
    assert_eq!(read(18, 10), b"");
    assert_eq!(read(u64::MAX, 10), b"");
    // Without an etag the vendor is asked, and says that nothing changed.
    bench.answer(304, &[], b"");
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap().etag, "\"v1\"");
    let asked = bench.asked();
    assert!(asked[0].headers.contains(&("if-none-match".into(), "\"v1\"".into())));
    assert!(asked[0].headers.contains(&("x-key".into(), SECRET.into())));
}

#[test]
fn a_file_that_changed_is_another_file() {
    let home = tempfile::tempdir().unwrap();
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    bench.answer(200, &[("etag", "\"v1\"")], b"one");
    unit.object_open("api", &path("f"), None).unwrap();
    bench.answer(200, &[("etag", "\"v2\"")], b"two!");
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap().size, 4);
    let gone = unit.object_read("api", &path("f"), "\"v1\"", 0, 10).unwrap_err();
    assert_eq!(gone.code, "object-gone");
    bench.answer(200, &[("etag", "\"v3\"")], b"three");
    let changed = unit.object_open("api", &path("f"), Some("\"v1\"")).unwrap_err();
    assert_eq!(changed.code, "object-changed");
    assert_eq!(unit.object_read("api", &path("f"), "\"v3\"", 0, 10).unwrap(), b"three");
}

#[test]
fn a_file_without_an_etag_is_known_by_its_content() {
    let home = tempfile::tempdir().unwrap();
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    bench.answer(200, &[], b"same");
    let first = unit.object_open("api", &path("f"), None).unwrap();
    assert!(first.etag.starts_with("sha256:"));
    bench.answer(200, &[], b"same");
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap().etag, first.etag);
    assert!(!bench.asked()[1].headers.iter().any(|(name, _)| name == "if-none-match"));
}

#[test]
fn n09_a_bomb_fills_no_disk_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    bench.answer(200, &[], &gzip(&vec![0; 64 << 20]));
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap_err().code, "object-too-large");
    bench.answer(200, &[], &gzip(b"cut")[..10]);
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap_err().code, "object-broken");
    bench.answer(404, &[], b"");
    assert_eq!(unit.object_open("api", &path("f"), None).unwrap_err().code, "object-status-404");
    assert_eq!(files(home.path()), 0);
}

#[test]
fn the_quota_drops_what_was_opened_longest_ago() {
    let home = tempfile::tempdir().unwrap();
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    let noise: Vec<u8> = (0..400_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for name in ["a", "b"] {
        bench.answer(200, &[("etag", name)], &noise);
        unit.object_open("api", &path(name), None).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    unit.object_open("api", &path("a"), Some("a")).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    bench.answer(200, &[("etag", "c")], &noise);
    unit.object_open("api", &path("c"), None).unwrap();
    assert_eq!(unit.object_read("api", &path("b"), "b", 0, 1).unwrap_err().code, "object-gone");
    for name in ["a", "c"] {
        assert_eq!(unit.object_read("api", &path(name), name, 0, 1).unwrap().len(), 1);
    }
}

#[test]
fn s13_names_of_files_come_from_digests() {
    let home = tempfile::tempdir().unwrap();
    let bench = spool(home.path());
    let unit = bench.unit(&[]);
    bench.answer(200, &[("etag", "../../../etc/passwd\0")], b"x");
    let object = unit.object_open("api", &path("f"), None).unwrap();
    assert_eq!(unit.object_read("api", &path("f"), &object.etag, 0, 1).unwrap(), b"x");
    assert_eq!(unit.object_read("api", &path("../f"), "../x", 0, 1).unwrap_err().code, "object-gone");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(home.path()).unwrap().permissions());
    let inside = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().metadata().unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&inside.permissions()) & 0o077, 0, "{mode:o}");
}

#[test]
fn a_host_without_a_spool_says_so() {
    let bench = Bench::new();
    assert_eq!(bench.unit(&[]).object_open("api", &path("f"), None).unwrap_err().code, "no-spool");
}
