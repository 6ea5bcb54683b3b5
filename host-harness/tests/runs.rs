//! Runs that an operator asks for, with a scripted guest: a backfill reads its span once, page by
//! page, goes on where it stopped, and never under other source settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use host_harness::contract::*;
use host_harness::store::runs::{self, Refused, Run};
use host_harness::store::{StoreError, jobs};
use host_harness::unit::{Outcome, Unit, UnitError, Work};
use scripted::*;

const FROM: i64 = START - 48 * HOUR;

fn position(unit: &Unit) -> Position {
    let Work::Page(request) = &unit.work else { panic!("not a page") };
    request.position.clone()
}

fn progress(parts: u32) -> Note {
    Note { name: "progress".into(), count: parts, message: "How far the run is.".into() }
}

/// Four pages of one event each, over the window.
fn four_pages(unit: &Unit) -> Result<Outcome, UnitError> {
    let n = match position(unit) {
        Position::Window(window) => {
            assert_eq!(window, (FROM, START));
            0
        }
        Position::Cursor(cursor) => cursor.bytes[0],
        Position::Start => panic!("a backfill has a window"),
    };
    let next = if n < 3 {
        Next::More(Cursor { version: 1, bytes: vec![n + 1] })
    } else {
        Next::Done(RunEnd { cursor: None, truncated: None })
    };
    let records = vec![event(&format!("e{n}"), &person("ann"), Some(START), START)];
    let notes = vec![progress(250_000 * (u32::from(n) + 1))];
    Ok(Outcome { records, notes, next: Some(next), ..Outcome::default() })
}

fn begin(host: &TestHost) -> Result<(), Refused> {
    let window = (FROM, START);
    host.store
        .write::<_, StoreError>(|tx| runs::begin_backfill(tx, host.installation.id, "things", window, START))
        .unwrap()
}

fn resume(host: &TestHost) -> Result<(), Refused> {
    host.store
        .write::<_, StoreError>(|tx| runs::resume_backfill(tx, host.installation.id, "things", START))
        .unwrap()
}

fn run(host: &TestHost) -> Option<Run> {
    let key = runs::backfill_key("things");
    host.store.read::<_, StoreError>(|tx| runs::get(tx, host.installation.id, &key)).unwrap()
}

fn failed(kind: FailureKind) -> Result<Outcome, UnitError> {
    Err(UnitError::Failure(Failure { kind, code: "said-so".into(), message: "The vendor said so.".into() }))
}

#[test]
fn a_backfill_reads_its_window_to_the_end_and_stays_to_be_seen() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|unit, _| four_pages(unit));
    begin(&host).unwrap();
    assert!(!run(&host).unwrap().is_over());
    host.settle();
    let run = run(&host).unwrap();
    assert!(run.is_over());
    assert_eq!((run.result.as_deref(), run.pages, run.records, run.rejects), (Some("complete"), 4, 4, 0));
    assert_eq!((run.progress, run.due_at, run.started_at), (Some(1_000_000), None, Some(START)));
    assert_eq!(host.actions().len(), 4);
    assert_eq!(host.job().3, None, "the resource's own cursor is left alone");
    host.assert_sums();
    let notes: i64 = host
        .store
        .read::<_, StoreError>(|tx| {
            let sql = "SELECT count(*) FROM tally WHERE name LIKE 'note:%'";
            Ok(tx.query_row(sql, [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(notes, 0, "progress is no sum");
}

#[test]
fn the_page_that_is_read_ahead_is_read_once_and_its_failure_counts_only_when_its_turn_comes() {
    let host = TestHost::new();
    host.park_pages();
    let asked: Arc<Mutex<Vec<Option<u8>>>> = Arc::default();
    let (log, failures) = (asked.clone(), Arc::new(AtomicU32::new(0)));
    host.script(move |unit, _| {
        let at = match position(unit) {
            Position::Cursor(cursor) => Some(cursor.bytes[0]),
            _ => None,
        };
        log.lock().unwrap().push(at);
        // The first try of page 2 is the one ahead.
        if at == Some(2) && failures.fetch_add(1, Ordering::SeqCst) == 0 {
            return failed(FailureKind::Auth("api".into()));
        }
        four_pages(unit)
    });
    begin(&host).unwrap();
    host.settle();
    let run = run(&host).unwrap();
    assert_eq!((run.result.as_deref(), run.pages, run.records), (Some("complete"), 4, 4));
    assert_eq!(*asked.lock().unwrap(), [None, Some(1), Some(2), Some(2), Some(3)]);
    assert!(host.letters().is_empty());
    host.assert_sums();
}

#[test]
fn a_second_backfill_waits_for_the_end_of_the_first() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|unit, _| four_pages(unit));
    assert_eq!(resume(&host), Err(Refused::NoSuchRun));
    begin(&host).unwrap();
    assert_eq!(begin(&host), Err(Refused::UnderWay));
    host.settle();
    assert_eq!(resume(&host), Err(Refused::NoSuchRun), "a finished one is not taken up");
    begin(&host).unwrap();
    assert_eq!(run(&host).unwrap().pages, 0, "a new run has an account of its own");
    host.settle();
    assert_eq!((run(&host).unwrap().records, host.actions().len()), (4, 4), "read again, done once");
    host.assert_sums();
}

#[test]
fn n16_a_backfill_that_failed_goes_on_where_it_stopped() {
    let host = TestHost::new();
    host.park_pages();
    let broken = Arc::new(AtomicBool::new(true));
    let switch = broken.clone();
    host.script(move |unit, _| match position(unit) {
        Position::Cursor(cursor) if cursor.bytes == [2] && switch.load(Ordering::SeqCst) => {
            failed(FailureKind::Auth("api".into()))
        }
        _ => four_pages(unit),
    });
    begin(&host).unwrap();
    host.settle();
    let stopped = run(&host).unwrap();
    assert!(stopped.is_over());
    assert_eq!((stopped.result.as_deref(), stopped.code.as_deref()), (Some("failed"), Some("said-so")));
    assert_eq!(stopped.pages, 2);
    assert_eq!(begin(&host), Err(Refused::UnderWay), "what failed is not forgotten by a new one");

    broken.store(false, Ordering::SeqCst);
    resume(&host).unwrap();
    host.settle();
    let run = run(&host).unwrap();
    assert_eq!((run.result.as_deref(), run.pages, run.records), (Some("complete"), 4, 4));
    assert_eq!(host.actions().len(), 4);
    host.assert_sums();
}

#[test]
fn h01_a_backfill_that_a_dead_host_was_reading_can_be_taken_up() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|unit, _| four_pages(unit));
    begin(&host).unwrap();
    host.store.write::<_, StoreError>(|tx| Ok(tx.execute("UPDATE job SET running = 1", [])?)).unwrap();
    assert_eq!(resume(&host), Ok(()));
    assert!(!run(&host).unwrap().is_over());
    // The next host finds out that nobody reads.
    host.store.write::<_, StoreError>(|tx| jobs::ensure(tx, &host.installation, START)).unwrap();
    host.store
        .write::<_, StoreError>(|tx| {
            Ok(tx.execute("UPDATE job SET due_at = NULL WHERE key LIKE 'resource:%'", [])?)
        })
        .unwrap();
    host.settle();
    assert_eq!(run(&host).unwrap().result.as_deref(), Some("complete"));
}

#[test]
fn a_backfill_can_be_given_up_and_what_it_read_stays() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|unit, _| match position(unit) {
        Position::Cursor(_) => failed(FailureKind::Cursor),
        _ => four_pages(unit),
    });
    begin(&host).unwrap();
    host.settle();
    let cancel = || {
        host.store
            .write::<_, StoreError>(|tx| runs::cancel_backfill(tx, host.installation.id, "things"))
            .unwrap()
    };
    assert_eq!(cancel(), Ok(()));
    assert_eq!((run(&host), cancel()), (None, Err(Refused::NoSuchRun)));
    assert_eq!(host.actions().len(), 1);
}

#[test]
fn a_page_of_a_backfill_that_was_given_up_does_not_move_the_one_begun_after_it() {
    let host = TestHost::new();
    host.park_pages();
    let (store, id) = (host.store.clone(), host.installation.id);
    let seen: Arc<Mutex<Vec<(i64, i64)>>> = Arc::default();
    let windows = seen.clone();
    host.script(move |unit, _| {
        let Position::Window(window) = position(unit) else { return four_pages(unit) };
        windows.lock().unwrap().push(window);
        // While the first page is being read, an operator changes their mind.
        if window.0 == FROM {
            store
                .write::<_, StoreError>(|tx| {
                    runs::cancel_backfill(tx, id, "things")?.unwrap();
                    runs::begin_backfill(tx, id, "things", (FROM - HOUR, START), START)?.unwrap();
                    Ok(())
                })
                .unwrap();
        }
        let next = Some(Next::More(Cursor { version: 1, bytes: vec![1] }));
        Ok(Outcome { next, ..Outcome::default() })
    });
    begin(&host).unwrap();
    host.settle();
    assert_eq!(*seen.lock().unwrap(), [(FROM, START), (FROM - HOUR, START)], "each has its own window");
    let run = run(&host).unwrap();
    assert_eq!((run.result.as_deref(), run.pages), (Some("complete"), 4));
}

#[test]
fn g09_a_backfill_does_not_go_on_under_other_source_settings() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|unit, _| match position(unit) {
        Position::Window(_) => four_pages(unit),
        _ => failed(FailureKind::Transient),
    });
    begin(&host).unwrap();
    host.settle();
    host.store
        .write::<_, StoreError>(|tx| {
            Ok(tx.execute("UPDATE job SET source = x'00112233445566778899aabbccddeeff'", [])?)
        })
        .unwrap();
    host.script(|unit, _| four_pages(unit));
    resume(&host).unwrap();
    host.settle();
    let run = run(&host).unwrap();
    assert_eq!(run.code.as_deref(), Some("cursor-of-other-source"));
    assert_eq!(run.pages, 1);
}

#[test]
fn a_resource_that_is_asked_for_is_read_now_and_its_account_is_of_that_run() {
    let host = TestHost::new();
    host.park_pages();
    host.script(|_, _| {
        let records = vec![event("e1", &person("ann"), Some(START), START)];
        let next = Some(Next::Done(RunEnd { cursor: None, truncated: None }));
        Ok(Outcome { records, next, ..Outcome::default() })
    });
    let key = runs::resource_key("things");
    for _ in 0..2 {
        host.store
            .write::<_, StoreError>(|tx| runs::sync_now(tx, host.installation.id, "things", START))
            .unwrap();
        host.settle();
        let run = host.store.read::<_, StoreError>(|tx| runs::get(tx, host.installation.id, &key));
        let run = run.unwrap().unwrap();
        assert!(run.is_over());
        assert_eq!((run.pages, run.records, run.result.as_deref()), (1, 1, Some("complete")));
        host.park_pages();
    }
    assert_eq!(host.actions().len(), 1);
}

#[test]
fn g16_a_resource_is_read_anew_but_not_under_a_page_that_is_being_read() {
    let host = TestHost::new();
    let stands = Cursor { version: 7, bytes: vec![1] };
    host.store
        .write::<_, StoreError>(|tx| jobs::set_cursor(tx, &host.installation, "things", Some(&stands)))
        .unwrap();
    let (asked, begun) = std::sync::mpsc::channel();
    let asked = Mutex::new(asked);
    host.script(move |unit, _| {
        asked.lock().unwrap().send(position(unit)).unwrap();
        let next =
            Next::Done(RunEnd { cursor: Some(Cursor { version: 1, bytes: vec![9] }), truncated: None });
        Ok(Outcome { next: Some(next), ..Outcome::default() })
    });
    let anew = || {
        host.store
            .write::<_, StoreError>(|tx| runs::sync_anew(tx, host.installation.id, "things", START))
            .unwrap()
    };
    host.make_due();
    let mine = [host.installation.id];
    let job = host.store.write::<_, StoreError>(|tx| jobs::claim(tx, &mine, START)).unwrap().unwrap();
    assert_eq!(anew(), Err(Refused::UnderWay));
    host.store
        .write::<_, StoreError>(|tx| {
            jobs::settle(tx, &job, None, jobs::RunResult::Failed, Some("cursor-version"), START)
        })
        .unwrap();
    assert_eq!(anew(), Ok(()));
    host.settle();
    assert_eq!(begun.try_iter().collect::<Vec<_>>(), [Position::Start]);
    assert_eq!(host.job().3, Some(vec![9]));
}
