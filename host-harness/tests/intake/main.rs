//! The intake over real sockets. Rows of the fault catalogue carry their id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bench;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bench::{TOKEN, authorized, read_all, request, start, status};
use host_harness::intake::Options;
use host_harness::store::installations::InstallationId;

#[test]
fn a_webhook_is_kept_as_it_came_and_then_answered() {
    let bench = start(Options::default());
    let headers = format!("{}X-Batch: 1\r\nX-Other: 2\r\nx-batch: caf\u{e9}\r\n", authorized());
    let answer = bench.post("streams", &headers, b"{\"a\":1}");
    assert_eq!(status(&answer), 200);
    assert!(answer.to_lowercase().contains("content-type: application/json"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"ok\":true}"), "{answer}");
    let kept = bench.journal.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].installation, kept[0].surface.as_str()), (InstallationId(7), "streams"));
    assert_eq!(kept[0].received_at, 1_700_000_000_000);
    assert_eq!(kept[0].body, b"{\"a\":1}");
    // Only what was declared, and never the credential although it was declared.
    let pair = |value: &str| ("x-batch".to_owned(), value.to_owned());
    assert_eq!(kept[0].headers, [pair("1"), pair("caf\u{e9}")]);
}

#[test]
fn one_connection_carries_many_requests() {
    let bench = start(Options::default());
    let mut stream = bench.connect();
    let one = String::from_utf8(request("streams", &authorized(), b"{}")).unwrap();
    let open = one.replace("Connection: close\r\n", "");
    stream.write_all(format!("{open}{open}{one}").as_bytes()).unwrap();
    let answers = read_all(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    assert_eq!(bench.journal.kept().len(), 3);
}

#[test]
fn w01_without_a_credential_nothing_is_kept_and_nothing_echoed() {
    let bench = start(Options::default());
    for headers in ["", "Authorization: Basic eA==\r\n", "Authorization: \u{1}\r\n"] {
        let answer = bench.post("streams", headers, b"my-body");
        assert!(matches!(status(&answer), 400 | 401), "{headers:?} {answer}");
        assert!(!answer.contains("my-body") && !answer.contains("eA=="), "{answer}");
    }
    let answer = bench.post("streams", "", b"x");
    assert!(answer.to_lowercase().contains("www-authenticate: basic"), "{answer}");
    assert_eq!(bench.journal.kept().len(), 0);
    let counts = bench.intake.counts().all();
    assert_eq!(counts[&("shop".to_owned(), "streams".to_owned(), "credential-wrong")], 3);
}

#[test]
fn w01_a_refusal_comes_before_the_body_is_asked_for() {
    let bench = start(Options::default());
    let head = |headers: &str| {
        let mut stream = bench.connect();
        let text = format!(
            "POST /in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n{headers}\r\n"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        status(std::str::from_utf8(&answer).unwrap())
    };
    assert_eq!(head(""), 401);
    assert_eq!(head(&authorized()), 100);
}

#[test]
fn w05_a_signed_body_is_verified_over_its_raw_bytes() {
    let bench = start(Options::default());
    let headers = |length: usize| format!("{}X-Length: {length}\r\n", authorized());
    assert_eq!(status(&bench.post("signed", &headers(4), b"abcd")), 200);
    assert_eq!(status(&bench.post("signed", &headers(5), b"abcd")), 401);
    assert_eq!(bench.journal.kept().len(), 1);
}

#[test]
fn w06_bytes_that_are_no_text_pass_through() {
    let bench = start(Options::default());
    let body: Vec<u8> = [b"\xef\xbb\xbf\r\n\xff\xfe\x00".as_slice(), &[0x80; 70_000]].concat();
    assert_eq!(status(&bench.post("streams", &authorized(), &body)), 200);
    assert_eq!(bench.journal.kept()[0].body, body);
}

#[test]
fn w07_a_body_over_the_cap_is_413() {
    let bench = start(Options::default());
    let cap = 1024 * 1024;
    assert_eq!(status(&bench.post("streams", &authorized(), &vec![b'a'; cap])), 200);
    assert_eq!(status(&bench.post("streams", &authorized(), &vec![b'a'; cap + 1])), 413);
    assert_eq!(status(&bench.post("streams", &authorized(), &vec![b'a'; 10 * cap])), 413);
    // A length that is a lie costs nothing.
    let lie = format!(
        "POST /in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\n{}Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n",
        authorized()
    );
    assert_eq!(status(&bench.raw(lie.as_bytes())), 413);
    assert_eq!(bench.journal.kept().len(), 1);
}

#[test]
fn w07_an_endless_body_is_ended() {
    let bench = start(Options::default());
    let mut stream = bench.connect();
    let head = format!(
        "POST /in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: chunked\r\n\r\n",
        authorized()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
    // 64 MiB are more than the intake ever reads and the kernel ever holds.
    let ended = (0..1024).any(|_| stream.write_all(&chunk).is_err());
    assert!(ended, "the intake read an endless body");
    assert_eq!(bench.journal.kept().len(), 0);
}

#[test]
fn w08_a_slow_body_is_408_and_a_slow_head_is_closed() {
    let short = Duration::from_millis(200);
    let bench = start(Options { head_deadline: short, body_deadline: short, ..Options::default() });
    let mut bytes = request("streams", &authorized(), b"abcdef");
    bytes.truncate(bytes.len() - 1);
    assert_eq!(status(&bench.raw(&bytes)), 408);
    let answer = bench.raw(b"POST /in/x/y HTTP/1.1\r\nHost: a\r\nX-Slow");
    assert_ne!(status(&answer), 200);
    assert_eq!(bench.raw(b""), "", "an idle connection is closed too");
    assert_eq!(bench.journal.kept().len(), 0);
}

#[test]
fn w08_idle_connections_do_not_keep_others_out() {
    let short = Duration::from_millis(200);
    let bench = start(Options { connections: 4, head_deadline: short, ..Options::default() });
    let idle: Vec<_> = (0..20).map(|_| bench.connect()).collect();
    assert_eq!(status(&bench.post("streams", &authorized(), b"{}")), 200);
    drop(idle);
}

#[test]
fn w09_ambiguous_requests_are_refused_and_smuggle_nothing() {
    let bench = start(Options::default());
    let auth = authorized();
    let smuggled =
        format!("POST /in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\n{auth}Content-Length: 8\r\n\r\nsmuggled");
    let line = format!("POST /in/{TOKEN}/streams HTTP/1.1\r\n");
    let corpus = [
        (
            "both lengths",
            format!(
                "{line}Host: a\r\n{auth}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "both, other order",
            format!(
                "{line}Host: a\r\n{auth}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
            ),
        ),
        ("two lengths", format!("{line}Host: a\r\n{auth}Content-Length: 2\r\nContent-Length: 3\r\n\r\nab")),
        (
            "two equal lengths",
            format!("{line}Host: a\r\n{auth}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
        ),
        ("list of lengths", format!("{line}Host: a\r\n{auth}Content-Length: 2, 2\r\n\r\nab")),
        ("signed length", format!("{line}Host: a\r\n{auth}Content-Length: +2\r\n\r\nab")),
        ("hidden length", format!("{line}Host: a\r\n{auth}Content-Length:{}2\r\n\r\nab", " ".repeat(400))),
        (
            "unknown encoding",
            format!("{line}Host: a\r\n{auth}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ),
        (
            "disguised encoding",
            format!("{line}Host: a\r\n{auth}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("bare LF in the head", format!("{line}Host: a\n{auth}Content-Length: 2\r\n\r\nab")),
        ("bare LF at the end", format!("{line}Host: a\r\n{auth}Content-Length: 2\n\nab")),
        ("bare CR", format!("{line}Host: a\r\n{auth}X-A: b\rc\r\nContent-Length: 2\r\n\r\nab")),
        ("folded line", format!("{line}Host: a\r\n{auth}X-Batch: a\r\n b\r\nContent-Length: 2\r\n\r\nab")),
        ("NUL", format!("{line}Host: a\r\n{auth}X-Batch: a\0\r\nContent-Length: 2\r\n\r\nab")),
        (
            "absolute form",
            format!(
                "POST http://a/in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\n{auth}Content-Length: 2\r\n\r\nab"
            ),
        ),
        ("no host", format!("{line}{auth}Content-Length: 2\r\n\r\nab")),
        ("two hosts", format!("{line}Host: a\r\nHost: b\r\n{auth}Content-Length: 2\r\n\r\nab")),
        (
            "101 headers",
            format!("{line}Host: a\r\n{auth}{}Content-Length: 2\r\n\r\nab", "X-A: b\r\n".repeat(100)),
        ),
        (
            "head over 64 KiB",
            format!("{line}Host: a\r\n{auth}X-A: {}\r\nContent-Length: 2\r\n\r\nab", "b".repeat(70_000)),
        ),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ];
    for (name, text) in &corpus {
        let closing = smuggled.replace("Host", "Connection: close\r\nHost");
        let answer = bench.raw(format!("{text}{closing}").as_bytes());
        let kept = bench.journal.kept();
        let addressing = ["absolute form", "no host", "two hosts"].contains(name);
        if addressing {
            // Refused by itself; a second request on the connection is a request of its own.
            assert_eq!(status(&answer), 400, "{name}: {answer}");
            assert!(kept.iter().all(|delivery| delivery.body == b"smuggled"), "{name}");
        } else {
            // The answer may be lost where the connection was closed over unread bytes.
            assert!(matches!(status(&answer), 0 | 400 | 431 | 505), "{name}: {answer}");
            assert!(!answer.contains("200 OK"), "{name}: {answer}");
            assert!(kept.is_empty(), "{name}: {kept:?}");
        }
        bench.journal.kept.lock().unwrap().clear();
    }
    assert_eq!(status(&bench.post("streams", &auth, b"{}")), 200);
}

#[test]
fn w09_nothing_follows_a_chunked_body() {
    let bench = start(Options::default());
    let auth = authorized();
    let text = format!(
        "POST /in/{TOKEN}/streams HTTP/1.1\r\nHost: a\r\n{auth}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    );
    let answer = bench.raw(format!("{text}{text}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(bench.journal.kept().len(), 1);
    assert_eq!(bench.journal.kept()[0].body, b"ab");
}

#[test]
fn w10_a_broken_body_is_not_kept() {
    let bench = start(Options::default());
    let mut stream = bench.connect();
    let mut bytes = request("streams", &authorized(), b"abcdef");
    bytes.truncate(bytes.len() - 1);
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_ne!(status(&read_all(&mut stream)), 200);
    assert_eq!(bench.journal.kept().len(), 0);
}

#[test]
fn w11_a_failing_store_is_503_with_a_time_and_never_2xx() {
    let bench = start(Options::default());
    bench.journal.failing.store(true, Ordering::SeqCst);
    let answer = bench.post("streams", &authorized(), b"{}");
    assert_eq!(status(&answer), 503);
    assert!(answer.to_lowercase().contains("retry-after: 5"), "{answer}");
    bench.journal.panicking.store(true, Ordering::SeqCst);
    assert_eq!(status(&bench.post("streams", &authorized(), b"{}")), 503);
    bench.journal.panicking.store(false, Ordering::SeqCst);
    bench.journal.failing.store(false, Ordering::SeqCst);
    assert_eq!(status(&bench.post("streams", &authorized(), b"{}")), 200);
    assert_eq!(bench.journal.kept().len(), 1);
}

#[test]
fn w12_a_burst_beyond_the_queue_is_503_and_what_was_accepted_is_kept() {
    let options = Options { appends: 2, append_patience: Duration::from_millis(100), ..Options::default() };
    let bench = start(options);
    bench.journal.close_gate();
    std::thread::scope(|scope| {
        let posts: Vec<_> =
            (0..10).map(|_| scope.spawn(|| status(&bench.post("streams", &authorized(), b"{}")))).collect();
        // Eight give up; then the disk answers again.
        while bench.intake.counts().all().get(&("shop".into(), "streams".into(), "queue-full")) != Some(&8) {
            std::thread::yield_now();
        }
        bench.journal.open_gate();
        let mut statuses: Vec<_> = posts.into_iter().map(|post| post.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200; 2], vec![503; 8]].concat());
    });
    assert_eq!(bench.journal.kept().len(), 2);
}

#[test]
fn w12_bodies_share_one_budget() {
    let bench = start(Options { body_budget: 128 * 1024, ..Options::default() });
    assert_eq!(status(&bench.post("streams", &authorized(), &[b'a'; 128 * 1024])), 200);
    assert_eq!(status(&bench.post("streams", &authorized(), &[b'a'; 128 * 1024 + 1])), 503);
    assert_eq!(status(&bench.post("streams", &authorized(), &[b'a'; 128 * 1024])), 200, "it was given back");
}

#[test]
fn w13_an_address_is_guessed_in_vain() {
    let bench = start(Options::default());
    let ask = |target: &str| {
        let text = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}Content-Length: 2\r\n\r\n{{}}",
            authorized()
        );
        status(&bench.raw(text.as_bytes()))
    };
    let upper = TOKEN.to_uppercase();
    for target in [
        "/in/shop/streams".to_owned(),
        format!("/in/{}/streams", "0".repeat(32)),
        format!("/in/{TOKEN}/other"),
        format!("/in/{TOKEN}/streams/"),
        format!("/in/{TOKEN}/"),
        format!("/in/{TOKEN}"),
        format!("/in//{TOKEN}/streams"),
        format!("/in/{upper}/streams"),
        "/".to_owned(),
        "/in".to_owned(),
    ] {
        assert_eq!(ask(&target), 404, "{target}");
    }
    assert_eq!(ask(&format!("/in/{TOKEN}/streams")), 200);
    assert_eq!(bench.journal.kept().len(), 1);
}

#[test]
fn w14_any_content_type_is_kept_raw_for_the_connector_to_judge() {
    let bench = start(Options::default());
    let bodies: [(&str, &[u8]); 4] =
        [("text/xml", b"<a/>"), ("multipart/form-data", b"--x"), ("application/json", b"[]"), ("", b"")];
    for (kind, body) in bodies {
        let headers = format!("{}Content-Type: {kind}\r\n", authorized());
        assert_eq!(status(&bench.post("streams", &headers, body)), 200);
        let kept = bench.journal.kept();
        let last = kept.last().unwrap();
        assert_eq!((last.body.as_slice(), last.headers[0].1.as_str()), (body, kind));
    }
}

#[test]
fn other_methods_and_the_health_page() {
    let bench = start(Options::default());
    let ask =
        |line: &str| bench.raw(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
    assert_eq!(status(&ask("GET /healthz")), 200);
    for method in ["GET", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let answer = ask(&format!("{method} /in/{TOKEN}/streams"));
        assert_eq!(status(&answer), 405, "{method}");
        assert!(answer.to_lowercase().contains("allow: post, put\r\n"), "{answer}");
    }
    assert_eq!(status(&ask("GET /")), 404);
}

#[test]
fn h19_a_stop_lets_open_requests_finish_and_takes_no_new_ones() {
    let bench = start(Options::default());
    bench.journal.close_gate();
    let mut stream = bench.connect();
    let open = String::from_utf8(request("streams", &authorized(), b"{}")).unwrap();
    stream.write_all(open.replace("Connection: close\r\n", "").as_bytes()).unwrap();
    while bench.journal.waiting.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let idle = bench.connect();
    let (address, journal) = (bench.intake.address(), bench.journal.clone());
    let stopping = std::thread::spawn(move || bench.intake.stop());
    // The listener is gone while the open request still waits for the disk.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    journal.open_gate();
    assert_eq!(status(&read_all(&mut stream)), 200);
    stopping.join().unwrap();
    assert_eq!(journal.kept().len(), 1);
    drop(idle);
}
