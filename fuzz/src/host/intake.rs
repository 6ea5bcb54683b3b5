//! Requests as bytes, through the intake's own connection: head guard, parser, checks, journal.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use host_harness::contract::StaticAnswer;
use host_harness::intake::{
    AllowedSenders, Options, Parts, Refused, Route, Routes, Verified, Verifier, converse,
};
use host_harness::store::StoreError;
use host_harness::store::installations::InstallationId;
use host_harness::store::journal::{Journal, RawDelivery};
use host_harness::world::{Clock, Millis};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

use super::NOW;

const TOKEN: &str = "token";
const KEY: &[u8] = b"s3cret";
const CAP: usize = 4 * 1024;
/// Polls without anything happening, after which nothing will.
const QUIET: u32 = 4;
const STATUSES: [u16; 11] = [200, 400, 401, 403, 404, 405, 408, 413, 414, 431, 503];

/// A byte that says how the network cuts the rest, and then what a client sends on one connection.
pub fn intake(data: &[u8]) {
    let Some((cut, input)) = data.split_first() else { return };
    let piece = usize::from(*cut).max(1);
    let (answers, kept) = talk(input, piece);
    let said = statuses(&answers);
    assert!(said.iter().all(|status| STATUSES.contains(status)), "{said:?}");
    let accepted = said.iter().filter(|status| **status == 200).count();
    let health = input.windows(8).filter(|window| *window == b"/healthz").count();
    assert!(accepted >= kept.len() && accepted <= kept.len() + health, "{said:?}, {} kept", kept.len());
    for delivery in &kept {
        assert!(delivery.body.len() <= CAP);
        assert!(delivery.headers.iter().all(|(name, _)| name == "content-type"));
        assert!(input.windows(KEY.len()).any(|window| window == KEY), "kept without the key");
        if delivery.surface == "listed" {
            assert!(input.windows(9).any(|window| window == b"192.0.2.7"), "kept from anywhere");
        }
    }
    // How the network cuts the bytes makes no difference to what is kept.
    let bodies = |kept: &[RawDelivery]| kept.iter().map(|one| one.body.clone()).collect::<Vec<_>>();
    let (_, whole) = talk(input, usize::MAX);
    assert_eq!(bodies(&kept), bodies(&whole));
}

fn talk(input: &[u8], piece: usize) -> (Vec<u8>, Vec<RawDelivery>) {
    let kept = Arc::new(Kept::default());
    let wire = Arc::new(Wire { input: Mutex::new(input.to_vec()), ..Wire::default() });
    let stream = Stream { wire: wire.clone(), piece };
    let parts = Parts {
        address: ([127, 0, 0, 1], 0).into(),
        routes: routes(),
        journal: kept.clone(),
        clock: Arc::new(Still),
        options: Options::default(),
    };
    runtime().block_on(async {
        let mut conversation = pin!(converse(stream, IpAddr::from([10, 0, 0, 1]), parts));
        let (mut before, mut quiet) = ((0, 0), 0);
        loop {
            let polled = poll_fn(|cx| Poll::Ready(conversation.as_mut().poll(cx))).await;
            if polled.is_ready() {
                return;
            }
            // There is one thread for appends: once it did this, it did whatever it was given before.
            let _ = tokio::task::spawn_blocking(|| ()).await;
            let now = (wire.moves.load(Ordering::SeqCst), kept.0.lock().expect("one thread").len());
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            // A step inside moves no byte; several times in a row there is none left.
            if quiet == QUIET {
                if wire.ended.swap(true, Ordering::SeqCst) {
                    return;
                }
                quiet = 0;
            }
        }
    });
    let answers = wire.output.lock().expect("one thread").clone();
    let kept = kept.0.lock().expect("one thread").clone();
    (answers, kept)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: std::sync::OnceLock<Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().max_blocking_threads(1).build().expect("a runtime")
    })
}

fn routes() -> Routes {
    let mut routes = Routes::new();
    let listed = AllowedSenders {
        listed: vec![IpAddr::from([192, 0, 2, 7])],
        proxies: vec!["10.0.0.0/8".parse().expect("a network")],
    };
    for (surface, needs_body, senders) in
        [("plain", false, None), ("signed", true, None), ("listed", false, Some(listed))]
    {
        let check = Box::new(|headers: &http::HeaderMap, _: &[u8]| match headers.get("x-key") {
            Some(key) if key.as_bytes() == KEY => Ok(Verified { credential: Some("x-key".to_owned()) }),
            _ => Err(Refused { code: "credential-wrong" }),
        });
        let route = Route {
            installation: InstallationId(1),
            tenant: "t".to_owned(),
            surface: surface.to_owned(),
            verifier: Verifier { needs_body, challenge: None, check },
            senders,
            answer: StaticAnswer {
                status: 200,
                content_type: "application/json".to_owned(),
                body: "{}".to_owned(),
            },
            body_cap: CAP,
            headers: vec!["content-type".to_owned(), "x-key".to_owned()],
        };
        routes.add(TOKEN, route);
    }
    routes
}

/// The status of each answer.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let lines = text.split("HTTP/1.").skip(1);
    let status = |line: &str| line.get(2..5).and_then(|status| status.parse().ok()).unwrap_or_default();
    lines.map(status).filter(|status| *status != 100).collect()
}

#[derive(Default)]
struct Kept(Mutex<Vec<RawDelivery>>);

impl Journal for Kept {
    fn append(&self, delivery: RawDelivery) -> Result<i64, StoreError> {
        self.0.lock().expect("one thread").push(delivery);
        Ok(1)
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Millis {
        NOW
    }

    fn sleep(&self, _: Duration) {}
}

/// A connection in memory.
#[derive(Default)]
struct Wire {
    input: Mutex<Vec<u8>>,
    output: Mutex<Vec<u8>>,
    read: AtomicUsize,
    moves: AtomicUsize,
    ended: AtomicBool,
}

struct Stream {
    wire: Arc<Wire>,
    piece: usize,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &self.wire;
        let input = wire.input.lock().expect("one thread");
        let at = wire.read.load(Ordering::SeqCst);
        let length = (input.len() - at).min(self.piece).min(buf.remaining());
        if length == 0 && !wire.ended.load(Ordering::SeqCst) {
            return Poll::Pending; // polled again without being woken
        }
        buf.put_slice(&input[at..at + length]);
        wire.read.store(at + length, Ordering::SeqCst);
        wire.moves.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.output.lock().expect("one thread").extend_from_slice(buf);
        self.wire.moves.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
