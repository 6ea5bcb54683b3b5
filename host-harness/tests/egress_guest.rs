//! Guests against the network: what they ask for, what a server gets of it, and what they ever see.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod guests;
mod rates;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use host_harness::contract::{PageRequest, Position, WebhookRequest, http, objects, storage};
use host_harness::egress::transport::network;
use host_harness::egress::{Access, Egress};
use host_harness::manifest::Manifest;
use host_harness::plugin::{Plugin, Runtime, RuntimeOptions};
use host_harness::secrets::SlotSecrets;
use host_harness::unit::{Outcome, Services, Unit, Work};
use host_harness::world::{SystemClock, SystemRandom, TimeScale, World};
use rates::Rates;
use serde_json::json;

const NOW: i64 = 1_764_000_000_000;
const SECRET: &str = "canary-4f1d-secret-of-the-slot";

/// `auth` is how the endpoint is opened. The crawler asks for the root, which nobody else may.
fn manifest(guest: &str, auth: &str) -> Manifest {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
        "endpoints": { "api": { "origin": "https://api.example.com", "methods": ["GET", "POST"], "paths": ["/v1"],
            "headers": ["x-note"], "auth": AUTH, "purpose": "Reads contacts." } },
        "inbound": { "bearer": { "bearer": { "slot": "key" } } } }"#;
    let paths = if guest == "crawler" { "/" } else { "/v1" };
    Manifest::parse(&text.replace("AUTH", auth).replace("/v1", paths)).unwrap()
}

const HEADER: &str = r#"{ "header": { "name": { "literal": "x-key" }, "slot": "key" } }"#;

/// A server that keeps every byte of every connection, and answers each request by itself.
struct Capture {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, log, answer) = (stream.unwrap(), log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut rest: Vec<u8> = Vec::new();
                    let mut piece = [0; 4096];
                    loop {
                        let text = String::from_utf8_lossy(&rest).into_owned();
                        if let Some(whole) = first_request(&text) {
                            log.lock().unwrap().push(text[..whole].to_owned());
                            if stream.write_all(&answer(&text[..whole])).is_err() {
                                return;
                            }
                            rest.drain(..whole);
                            continue;
                        }
                        match stream.read(&mut piece) {
                            Ok(read) if read > 0 => rest.extend_from_slice(&piece[..read]),
                            _ => {
                                if !rest.is_empty() {
                                    log.lock().unwrap().push(format!("a rest: {text}"));
                                }
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Length of the first whole request, as a simple server reads it: head, and as many bytes as
/// `content-length` says.
fn first_request(text: &str) -> Option<usize> {
    let head = text.find("\r\n\r\n")? + 4;
    let mut lengths = text[..head].lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let whole = head + lengths.next_back().unwrap_or(0);
    (text.len() >= whole).then_some(whole)
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The host's side of a unit's calls: the real network, and nothing stored.
struct Outside(Egress);

impl Services for Outside {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        self.0.http(request)
    }
    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error> {
        self.0.object_open(endpoint, path, etag)
    }
    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        self.0.object_read(endpoint, path, etag, offset, length)
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        vec![]
    }
}

/// One unit's side of the network, with this server in the vendor's place.
fn outside(guest: &str, auth: &str, server: SocketAddr) -> Arc<Outside> {
    let access = Arc::new(Access {
        installation: "i1".into(),
        manifest: manifest(guest, auth),
        settings: json!({}),
        overrides: BTreeMap::from([("api".to_owned(), format!("http://{server}"))]),
        allow_private: true,
        secrets: Arc::new(SlotSecrets::new().with("key", [SECRET.into()])),
        rates: Arc::new(Rates::default()),
        spool: None,
        world: World {
            clock: Arc::new(SystemClock::new(TimeScale::REAL)),
            random: Arc::new(SystemRandom),
            transport: network(),
        },
    });
    Arc::new(Outside(access.unit("pages", &[], Duration::from_secs(30))))
}

/// Runs a page of the guest with this server in the vendor's place.
fn page(guest: &str, auth: &str, server: &Capture, settings: &str) -> Outcome {
    let request = PageRequest {
        settings: settings.into(),
        resource: "pages".into(),
        position: Position::Start,
        budget: 100,
        now: NOW,
    };
    let unit = Unit { settings: settings.into(), now: NOW, work: Work::Page(request) };
    load(guest, auth).run(&unit, outside(guest, auth, server.address)).unwrap()
}

fn load(guest: &str, auth: &str) -> Plugin {
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    runtime.load(&guests::component(guest), &manifest(guest, auth)).unwrap_or_else(|e| panic!("{guest}: {e}"))
}

#[test]
fn s04_whatever_a_guest_smuggles_a_server_reads_the_hosts_requests_and_no_others() {
    let server = Capture::new(|_| ok("", "{}"));
    let outcome = page("smuggler", HEADER, &server, "{}");
    let notes: Vec<_> = outcome.notes.iter().map(|note| note.message.as_str()).collect();
    assert!(notes.len() > 40, "{}", notes.len());
    for note in &notes {
        let sent = note.ends_with(": status-200");
        let allowed = note.starts_with("plain") || note.starts_with("escaped");
        assert_eq!(sent, allowed, "{note}");
    }
    let heard = server.heard();
    assert_eq!(heard.len(), notes.iter().filter(|note| note.ends_with("status-200")).count(), "{heard:#?}");
    for request in &heard {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        let target = first.strip_prefix("POST ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap();
        assert!(target.starts_with("/v1/") && !target.contains([' ', '#', '\\']), "{first}");
        assert_eq!(target.matches('?').count(), usize::from(target.starts_with("/v1/people?")), "{first}");
        let segments: Vec<_> = target.split(['?']).next().unwrap().split('/').collect();
        assert!(!segments.iter().any(|segment| [".", ".."].contains(segment)), "{first}");
        let mut names: Vec<String> =
            lines.map(|line| line.split_once(':').unwrap().0.to_ascii_lowercase()).collect();
        names.sort();
        let expected = [
            "accept",
            "accept-encoding",
            "content-length",
            "host",
            "user-agent",
            "x-key",
            "x-note",
            "x-request-id",
        ];
        assert_eq!(names, expected, "{head}");
        let has = |line: String| head.to_ascii_lowercase().contains(&format!("\r\n{line}"));
        assert!(has(format!("host: {}", server.address)) && has(format!("x-key: {SECRET}")), "{head}");
        assert!(has(format!("content-length: {}", body.len())), "{head}");
    }
}

#[test]
fn s05_a_guest_that_calls_without_end_is_stopped_by_its_budget() {
    let server = Capture::new(|_| ok("", "small"));
    let note = page("crawler", HEADER, &server, "{}").notes.remove(0);
    assert_eq!((note.message.as_str(), note.count), ("unit-budget", 64));
    assert_eq!(server.heard().len(), 64, "the server was called no more often than that");
    let large = "x".repeat(9 << 20);
    let server = Capture::new(move |_| ok("", &large));
    let note = page("crawler", HEADER, &server, "{}").notes.remove(0);
    assert_eq!((note.message.as_str(), note.count), ("unit-budget", 3), "32 MiB hold three answers of 9 MiB");
    assert_eq!(server.heard().len(), 4, "the one that went beyond is not handed over");
}

/// Texts as the guest takes them: it must not have them itself.
fn flipped(texts: &[&str]) -> String {
    let hex = |text: &&str| text.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect::<String>();
    format!("{:?}", texts.iter().map(hex).collect::<Vec<_>>().join(","))
}

#[test]
fn s06_no_secret_is_ever_in_a_guests_memory() {
    let standard = base64::engine::general_purpose::STANDARD;
    let pair = standard.encode(format!("W1:{SECRET}"));
    let basic = r#"{ "basic": { "user": { "literal": "W1" }, "slot": "key" } }"#;
    let bearer = r#"{ "bearer": { "slot": "key" } }"#;
    for auth in [HEADER, basic, bearer] {
        // A vendor that says back whatever it was told, in headers and in the body.
        let server = Capture::new(|request| {
            let told = request.lines().find(|line| {
                let line = line.to_ascii_lowercase();
                line.starts_with("x-key") || line.starts_with("authorization")
            });
            let told = told.unwrap().split_once(": ").unwrap().1;
            let headers = format!(
                "x-key: {told}\r\nauthorization: {told}\r\nset-cookie: key={told}\r\nx-debug: {told}\r\n"
            );
            ok(&headers, &format!("{{\"error\":\"no such key: {told}\",\"known\":\"public-part-of-it\"}}"))
        });
        let settings = flipped(&[SECRET, &pair, "public-part-of-it"]);
        let outcome = page("rummage", auth, &server, &settings);
        let found: Vec<_> = outcome.notes.iter().take(3).map(|note| note.count).collect();
        assert_eq!(found[..2], [0, 0], "{auth}: {:?}", outcome.notes);
        assert!(found[2] > 0, "the guest does find what is there: {:?}", outcome.notes);
        let answer = &outcome.notes[3].message;
        assert!(
            answer.starts_with("200 ") && answer.contains("no such key: ") && answer.contains("****"),
            "{answer}"
        );
        assert!(server.heard()[0].contains(if auth == basic { &pair } else { SECRET }), "it was sent");
    }
}

#[test]
fn s25_a_guests_clocks_stand_still() {
    let plugin = load("nosy", HEADER);
    let request = WebhookRequest {
        settings: "{}".into(),
        surface: "push".into(),
        body: b"x".to_vec(),
        headers: vec![],
        received_at: NOW,
    };
    let unit = Unit { settings: "{}".into(), now: NOW, work: Work::Webhook(request) };
    for _ in 0..3 {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let outcome = plugin.run(&unit, outside("nosy", HEADER, nobody)).unwrap();
        let found = &outcome.notes[0].message;
        // A million turns lie between the two looks at the clock; nothing can be timed by it.
        assert!(found.contains(&format!("wall=Ok({NOW}) monotonic=0 ")), "{found}");
    }
}

#[test]
fn s08_a_call_finds_nothing_of_the_calls_before_it() {
    let plugin = load("rummage", HEADER);
    let settings = flipped(&["what another tenant brought"]);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let webhook = |body: &str| {
        let request = WebhookRequest {
            settings: settings.clone(),
            surface: "push".into(),
            body: body.into(),
            headers: vec![],
            received_at: NOW,
        };
        let unit = Unit { settings: settings.clone(), now: NOW, work: Work::Webhook(request) };
        plugin.run(&unit, outside("rummage", HEADER, nobody)).unwrap().notes[0].count
    };
    for _ in 0..20 {
        assert!(webhook("this is what another tenant brought, and more") > 0, "its own it does find");
        assert_eq!(webhook("nothing"), 0);
    }
}
