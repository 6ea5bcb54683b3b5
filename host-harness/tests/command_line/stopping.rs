//! A host in a process of its own that is told to stop, held up, or kept from writing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host_harness::host::STORE_FILE;
use host_harness::store::{Store, StoreError};

use super::bench::{Bench, CANARY, Serving};
use super::{batch, event, now_s};

fn secret() -> String {
    format!("{CANARY}-webhook")
}

fn count(bench: &Bench, sql: &str) -> i64 {
    let store = Store::attach(&bench.directory.path().join("data").join(STORE_FILE)).unwrap();
    store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
}

const KEPT: &str = "SELECT count(*) FROM journal";

fn signal(serving: &Serving, signal: libc::c_int) {
    // SAFETY: the child was not waited for, so its id is still its own.
    assert_eq!(unsafe { libc::kill(serving.id() as libc::pid_t, signal) }, 0);
}

fn limit(serving: &Serving, what: libc::__rlimit_resource_t, soft: u64, hard: u64) {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the limit is read only, and what was before is not asked for.
    let set = unsafe { libc::prlimit(serving.id() as libc::pid_t, what, &limit, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn h14_too_few_open_files_are_refused_at_the_start_and_later_on_cost_connections_only() {
    let bench = Bench::new();
    let harness = env!("CARGO_BIN_EXE_harness");
    let few = bench.run_by(
        &["sh", "-c", "ulimit -n 300 && exec timeout 30 \"$0\" \"$@\"", harness, "serve", "--config"],
        &bench.config(),
    );
    assert!(few.code == 2 && few.err.contains("too-few-files"), "{} {}", few.code, few.err);
    assert!(few.err.contains("LimitNOFILE"), "{}", few.err);

    let serving = bench.serve();
    let sent = batch(&[event("e1", "ann@example.com", now_s())]);
    assert_eq!(serving.post(&sent, &secret()), 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", serving.id())).unwrap().count() as u64;
    limit(&serving, libc::RLIMIT_NOFILE, open + 8, open + 8);
    // More connections than it may have files: they wait, and nobody dies.
    let idle: Vec<_> = (0..60).map(|_| std::net::TcpStream::connect(&serving.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    drop(idle);
    let deadline = Instant::now() + Duration::from_secs(60);
    let again = batch(&[event("e2", "ann@example.com", now_s())]);
    while serving.try_post(&again, &secret()) != Some(200) {
        assert!(Instant::now() < deadline, "{}", bench.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(bench.log().contains("can't accept a connection"), "the limit was met");
    bench.wait_for(|one| one["sums"]["queued"] == 0 && one["sums"]["states"]["waiting"] == 0);
    assert_eq!(serving.stop(), Some(0)); // what is in flight is finished
    assert_eq!(bench.brevo.events().len(), 2);
}

#[test]
fn h09_a_second_host_is_refused_while_the_first_one_is_held_up_too() {
    let bench = Bench::new();
    let first = bench.serve();
    let second = || {
        // Where it is not refused, it would serve for ever.
        let line = ["timeout", "30", env!("CARGO_BIN_EXE_harness"), "serve", "--config"];
        let refused = bench.run_by(&line, &bench.config());
        assert!(refused.code == 2 && refused.err.contains("store-in-use"), "{}", refused.err);
    };
    second();
    signal(&first, libc::SIGSTOP);
    second();
    // Nor may anything be put in its place, and a look at it works.
    let file = bench.directory.path().join("backup.db");
    let file = file.to_str().unwrap();
    assert_eq!(bench.with_config(&["backup", "--to", file]).code, 0);
    let restored = bench.with_config(&["restore", "--from", file]);
    assert!(restored.code == 1 && restored.err.contains("store-in-use"), "{}", restored.err);
    assert_eq!(bench.with_config(&["status"]).code, 0);
    signal(&first, libc::SIGCONT);
    let sent = batch(&[event("e1", "ann@example.com", now_s())]);
    assert_eq!(first.post(&sent, &secret()), 200, "it is its own still");
    bench.wait_for(|one| one["sums"]["read"].as_i64() > Some(0) && one["sums"]["queued"] == 0);
    second();
    assert_eq!(first.stop(), Some(0));
    let next = bench.serve();
    assert_eq!(next.post(&sent, &secret()), 200);
    assert_eq!(next.stop(), Some(0));
}

#[test]
fn h03_at_a_limit_on_the_size_of_files_webhooks_are_refused_and_the_host_lives() {
    let bench = Bench::new();
    let serving = bench.serve();
    let large = format!("{{\"source\":\"MOENGAGE\",\"events\":[],\"filler\":\"{}\"}}", "x".repeat(60_000));
    assert_eq!(serving.post(&large, &secret()), 200);
    let log = bench.directory.path().join("data").join(format!("{STORE_FILE}-wal"));
    let limit = |soft: u64| limit(&serving, libc::RLIMIT_FSIZE, soft, libc::RLIM_INFINITY);
    limit(std::fs::metadata(&log).unwrap().len() + 300_000);
    let mut kept = 1;
    let deadline = Instant::now() + Duration::from_secs(60);
    while serving.post(&large, &secret()) == 200 {
        kept += 1;
        assert!(Instant::now() < deadline, "the limit was never met");
    }
    assert_eq!(serving.post(&large, &secret()), 503);
    assert!(bench.log().contains("store-io"), "{}", bench.log());
    assert_eq!(count(&bench, KEPT), kept, "whatever was acknowledged, and nothing else");
    limit(libc::RLIM_INFINITY);
    assert_eq!(serving.post(&large, &secret()), 200, "it goes on by itself");
    assert_eq!(count(&bench, KEPT), kept + 1);
    assert_eq!(serving.stop(), Some(0));
    let next = bench.serve();
    assert_eq!(next.post(&large, &secret()), 200, "the file is whole");
    assert_eq!(next.stop(), Some(0));
}

#[test]
fn h19_told_to_stop_under_load_a_host_finishes_what_it_took_and_begins_nothing() {
    let bench = Bench::new();
    let serving = bench.serve();
    let (taken, number) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let path = &serving;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let n = number.fetch_add(1, Ordering::SeqCst);
                    let sent = batch(&[event(&format!("e{n}"), "ann@example.com", now_s())]);
                    match path.try_post(&sent, &secret()) {
                        Some(200) => drop(taken.fetch_add(1, Ordering::SeqCst)),
                        _ => return, // it listens no more, or refuses
                    }
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while taken.load(Ordering::SeqCst) < 20 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&serving, libc::SIGTERM);
    });
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken < 2_000, "it was stopped in the middle");
    assert_eq!(serving.wait(), Some(0));
    assert_eq!(count(&bench, KEPT), taken as i64, "2xx is what was kept");
    assert_eq!(count(&bench, "SELECT count(*) FROM action WHERE state = 1"), 0, "no call is in the middle");
    assert_eq!(count(&bench, "SELECT count(*) FROM job WHERE running = 1"), 0);
    let again = bench.serve();
    bench.wait_for(|one| one["sums"]["queued"] == 0 && one["sums"]["states"]["waiting"] == 0);
    assert_eq!(count(&bench, "SELECT max(attempts) FROM journal"), 1, "nothing was done again");
    assert_eq!(again.stop(), Some(0));
    let events = bench.brevo.events_by_property("moengage_event_uuid");
    assert_eq!((events.len(), events.values().max()), (taken, Some(&1)));
}
