//! What a vendor that gives five seconds and wants exactly 200 gets (connector campaigns,
//! MD:user-guide/campaigns-and-channels/connectors): the declared answer, however much is waiting
//! behind the intake, however slow the disk is, and however many send at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "intake/bench.rs"]
mod bench;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench::{TOKEN, authorized, read_all, request, start, start_with, status};
use host_harness::intake::Options;
use host_harness::store::installations::InstallationId;
use host_harness::store::journal::{GroupCommit, Journal, RawDelivery};
use host_harness::store::{Store, StoreError};

/// MD:user-guide/campaigns-and-channels/connectors: a response within five seconds.
const PATIENCE: Duration = Duration::from_secs(5);
const MIB: usize = 1024 * 1024;

fn queued(store: &Store) -> i64 {
    store
        .read::<_, StoreError>(|tx| {
            Ok(tx.query_row("SELECT count(*) FROM journal WHERE state = 0", [], |row| row.get(0))?)
        })
        .unwrap()
}

#[test]
fn w12_two_hundred_senders_get_their_200_in_time_behind_a_full_queue_and_a_slow_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
    let journal = Arc::new(GroupCommit::new(store.clone()));
    // Nobody works on these: the guest is not on the way of an answer.
    store
        .write::<_, StoreError>(|tx| {
            for n in 0..5_000 {
                tx.execute(
                    "INSERT INTO journal (installation, surface, received_at, headers, body, due_at)
                     VALUES (7, 'streams', ?1, '[]', x'7b7d', ?1)",
                    [n],
                )?;
            }
            Ok(())
        })
        .unwrap();
    let bench = start_with(Options::default(), journal);
    // A disk that takes a tenth of a second for every commit of somebody else.
    let over = AtomicBool::new(false);
    let slowest = Mutex::new(Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let wait = |tx: &rusqlite::Transaction<'_>| {
                    tx.execute("UPDATE kv_size SET bytes = bytes", [])?;
                    std::thread::sleep(Duration::from_millis(100));
                    Ok::<_, StoreError>(())
                };
                store.write(wait).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let senders: Vec<_> = (0..200)
            .map(|n| {
                let (bench, slowest) = (&bench, &slowest);
                scope.spawn(move || {
                    let body = format!("{{\"n\":{n}}}");
                    let began = Instant::now();
                    let answer = bench.post("streams", &authorized(), body.as_bytes());
                    let took = began.elapsed();
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = (*slowest).max(took);
                    answer
                })
            })
            .collect();
        let answers: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        over.store(true, Ordering::SeqCst);
        for answer in answers {
            assert_eq!(status(&answer), 200, "{answer}");
            assert!(answer.ends_with("\r\n\r\n{\"ok\":true}"), "{answer}");
        }
    });
    let slowest = *slowest.lock().unwrap();
    assert!(slowest < PATIENCE, "the slowest answer took {slowest:?}");
    assert_eq!(queued(&store), 5_200, "every one that was answered is kept");
}

#[test]
fn bodies_of_sixteen_mebibytes_fit_into_the_memory_of_the_intake() {
    let all_of_it = Options::default().body_budget;
    let bench = start(Options { body_budget_of_one: all_of_it, ..Options::default() });
    let body = vec![b'u'; 16 * MIB];
    let sent = request("large", &authorized(), &body);
    // As many at once as the budget pays for: sixteen.
    std::thread::scope(|scope| {
        bench.journal.close_gate();
        let senders: Vec<_> = (0..16).map(|_| scope.spawn(|| status(&bench.raw(&sent)))).collect();
        while bench.journal.waiting.load(Ordering::SeqCst) < 16 {
            assert!(senders.iter().all(|sender| !sender.is_finished()), "one was refused");
            std::thread::sleep(Duration::from_millis(5));
        }
        // One more is asked to come again; a small one too, because there is nothing left.
        assert_eq!(status(&bench.raw(&sent)), 503);
        bench.journal.open_gate();
        for sender in senders {
            assert_eq!(sender.join().unwrap(), 200);
        }
    });
    assert_eq!(status(&bench.raw(&sent)), 200, "it was given back");
    let kept = bench.journal.kept.lock().unwrap();
    assert_eq!(kept.len(), 17);
    assert!(kept.iter().all(|delivery| delivery.body.len() == 16 * MIB));
}

/// Without a length nothing is paid for ahead; what comes is.
#[test]
fn a_large_body_may_come_in_chunks() {
    let bench = start(Options { body_budget: 32 * MIB, ..Options::default() });
    let mut bytes = format!(
        "POST /in/{TOKEN}/large HTTP/1.1\r\nHost: a\r\n{}Transfer-Encoding: chunked\r\n\r\n",
        authorized()
    )
    .into_bytes();
    for _ in 0..16 {
        bytes.extend_from_slice(b"100000\r\n");
        bytes.extend_from_slice(&vec![b'c'; MIB]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status(&bench.raw(&bytes)), 200);
    assert_eq!(bench.journal.kept()[0].body.len(), 16 * MIB);
}

#[test]
fn a_body_that_is_put_is_kept_like_one_that_is_posted() {
    let bench = start(Options::default());
    for (kind, body) in
        [("application/json", "{\"a\":1}"), ("application/x-www-form-urlencoded", "a=1&b=%20x")]
    {
        let headers = format!("{}Content-Type: {kind}\r\n", authorized());
        let posted = request("streams", &headers, body.as_bytes());
        let put = [b"PUT".as_slice(), &posted[4..]].concat();
        for bytes in [posted, put] {
            let mut stream = bench.connect();
            std::io::Write::write_all(&mut stream, &bytes).unwrap();
            let answer = read_all(&mut stream);
            assert_eq!(status(&answer), 200, "{answer}");
            let kept = bench.journal.kept();
            let last = kept.last().unwrap();
            assert_eq!((last.body.as_slice(), last.headers[0].1.as_str()), (body.as_bytes(), kind));
        }
    }
    assert_eq!(bench.journal.kept().len(), 4);
}

/// What is refused by its address is neither verified nor kept, and every door has its own list.
#[test]
fn a_webhook_from_an_address_that_is_not_listed_is_refused() {
    let bench = start(Options::default());
    let ask = |surface: &str, headers: &str| status(&bench.post(surface, headers, b"{}"));
    let from = |addresses: &str| format!("{}X-Forwarded-For: {addresses}\r\n", authorized());
    assert_eq!(ask("listed", &from("52.6.248.125")), 200);
    assert_eq!(ask("listed", &from("203.0.113.9, 52.6.248.125")), 200);
    assert_eq!(ask("listed", &from("52.6.248.125, 203.0.113.9")), 403);
    assert_eq!(ask("listed", &format!("{}X-Forwarded-For: 203.0.113.9\r\n", from("52.6.248.125"))), 403);
    assert_eq!(ask("listed", &authorized()), 403, "nobody says who sent it");
    assert_eq!(ask("listed", &from("unknown")), 403);
    assert_eq!(ask("listed", "X-Forwarded-For: 52.6.248.125\r\n"), 401, "an address is no secret");
    // The connection itself comes from a place that nobody declared.
    assert_eq!(ask("undeclared", &from("52.6.248.125")), 403);
    assert_eq!(ask("streams", &from("203.0.113.9")), 200, "nobody asked for the check here");
    assert_eq!(bench.journal.kept().len(), 3);
    let counts = bench.intake.counts().all();
    assert_eq!(counts[&("shop".to_owned(), "listed".to_owned(), "sender-not-listed")], 2);
    assert_eq!(counts[&("shop".to_owned(), "listed".to_owned(), "sender-unknown")], 2);
}

/// An append that hangs keeps its sender waiting, and no reader of another body.
#[test]
fn w11_a_disk_that_is_full_refuses_with_503_and_nothing_is_lost_or_kept_by_halves() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
    let bench = start_with(Options::default(), Arc::new(GroupCommit::new(store.clone())));
    assert_eq!(status(&bench.post("streams", &authorized(), b"{}")), 200);
    // SQLite's own "database or disk is full": no page may be added any more.
    store
        .write::<_, StoreError>(|tx| {
            let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?;
            Ok(())
        })
        .unwrap();
    let large = vec![b'x'; 300_000];
    let answer = bench.post("streams", &authorized(), &large);
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert_eq!(queued(&store), 1);
    store
        .write::<_, StoreError>(|tx| {
            tx.query_row("PRAGMA max_page_count = 4294967294", [], |row| row.get::<_, i64>(0))?;
            Ok(())
        })
        .unwrap();
    assert_eq!(status(&bench.post("streams", &authorized(), &large)), 200, "there is room again");
    assert_eq!(queued(&store), 2);
    let append = GroupCommit::new(store.clone()).append(RawDelivery {
        installation: InstallationId(7),
        surface: "streams".into(),
        received_at: 0,
        headers: vec![],
        body: vec![],
    });
    assert!(append.is_ok());
}
