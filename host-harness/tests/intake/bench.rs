//! An intake over a journal in memory that can fail and wait.
#![allow(dead_code)] // each test binary uses a part of it

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use host_harness::contract::StaticAnswer;
use host_harness::intake::{self, AllowedSenders, Intake, Options, Parts, Route, Routes, Verifier};
use host_harness::store::StoreError;
use host_harness::store::installations::InstallationId;
use host_harness::store::journal::{Journal, RawDelivery};
use host_harness::world::{Clock, Millis};

pub const TOKEN: &str = "00112233445566778899aabbccddeeff";
pub const SECRET: &str = "Basic dGFqbzpzZWNyZXQ=";

struct Stopped;
impl Clock for Stopped {
    fn now(&self) -> Millis {
        1_700_000_000_000
    }
    fn sleep(&self, _: Duration) {}
}

/// Keeps deliveries in memory; can fail, and can be made to wait.
#[derive(Default)]
pub struct Memory {
    pub kept: Mutex<Vec<RawDelivery>>,
    pub failing: AtomicBool,
    pub panicking: AtomicBool,
    pub waiting: AtomicUsize,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Memory {
    pub fn close_gate(&self) {
        *self.gate.lock().unwrap() = true;
    }
    pub fn open_gate(&self) {
        *self.gate.lock().unwrap() = false;
        self.opened.notify_all();
    }
    pub fn kept(&self) -> Vec<RawDelivery> {
        self.kept.lock().unwrap().clone()
    }
}

impl Journal for Memory {
    fn append(&self, delivery: RawDelivery) -> Result<i64, StoreError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut closed = self.gate.lock().unwrap();
        while *closed {
            closed = self.opened.wait(closed).unwrap();
        }
        drop(closed);
        assert!(!self.panicking.load(Ordering::SeqCst), "told to panic");
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unreadable("journal"));
        }
        let mut kept = self.kept.lock().unwrap();
        kept.push(delivery);
        Ok(kept.len() as i64)
    }
}

pub struct Bench {
    pub intake: Intake,
    pub journal: Arc<Memory>,
}

/// Only from these addresses, as these proxies say.
fn senders(listed: &str, proxy: &str) -> Option<AllowedSenders> {
    Some(AllowedSenders { listed: vec![listed.parse().unwrap()], proxies: vec![proxy.parse().unwrap()] })
}

fn route(surface: &str, needs_body: bool, cap: usize) -> Route {
    Route {
        installation: InstallationId(7),
        tenant: "shop".into(),
        surface: surface.into(),
        verifier: Verifier {
            needs_body,
            challenge: Some("Basic realm=\"tajo\""),
            check: Box::new(move |headers, body| {
                let header = headers.get("authorization").map(|value| value.as_bytes());
                // The signed surface wants the body's length beside the secret.
                let right = !needs_body
                    || headers.get("x-length").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok())
                        == Some(body.len());
                if header == Some(SECRET.as_bytes()) && right {
                    Ok(intake::Verified { credential: Some("authorization".into()) })
                } else {
                    Err(intake::Refused { code: "credential-wrong" })
                }
            }),
        },
        senders: None,
        answer: StaticAnswer {
            status: 200,
            content_type: "application/json".into(),
            body: "{\"ok\":true}".into(),
        },
        body_cap: cap,
        headers: vec!["x-batch".into(), "authorization".into(), "content-type".into()],
    }
}

pub fn start(options: Options) -> Bench {
    let memory = Arc::new(Memory::default());
    Bench { journal: memory.clone(), ..start_with(options, memory) }
}

/// The same over another journal.
pub fn start_with(options: Options, journal: Arc<dyn Journal>) -> Bench {
    let mut routes = Routes::new();
    routes.add(TOKEN, route("streams", false, 1024 * 1024));
    routes.add(TOKEN, route("signed", true, 1024));
    routes.add(TOKEN, route("large", false, 16 * 1024 * 1024));
    let listed = senders("52.6.248.125", "127.0.0.0/8");
    routes.add(TOKEN, Route { senders: listed, ..route("listed", false, 1024) });
    let undeclared = senders("52.6.248.125", "10.0.0.0/8");
    routes.add(TOKEN, Route { senders: undeclared, ..route("undeclared", false, 1024) });
    let intake = Intake::start(Parts {
        address: "127.0.0.1:0".parse().unwrap(),
        routes,
        journal,
        clock: Arc::new(Stopped),
        options,
    })
    .unwrap();
    Bench { intake, journal: Arc::default() }
}

impl Bench {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.intake.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends bytes, and reads until the intake closes.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes); // it may have closed already
        read_all(&mut stream)
    }

    pub fn post(&self, surface: &str, headers: &str, body: &[u8]) -> String {
        self.raw(&request(surface, headers, body))
    }
}

pub fn request(surface: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST /in/{TOKEN}/{surface} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset ends it too
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub fn authorized() -> String {
    format!("Authorization: {SECRET}\r\n")
}
