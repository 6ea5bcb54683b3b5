//! Reading page by page, with a scripted guest: the cursor moves with the records that it passes
//! and never on an error; a run's end is told from a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use host_harness::contract::*;
use host_harness::store::{StoreError, jobs};
use host_harness::unit::{Outcome, Unit, UnitError, Work};
use scripted::*;

fn position(unit: &Unit) -> Option<u8> {
    let Work::Page(request) = &unit.work else { panic!("not a page") };
    match &request.position {
        Position::Cursor(cursor) => Some(cursor.bytes[0]),
        _ => None,
    }
}

fn cursor(n: u8) -> Cursor {
    Cursor { version: 1, bytes: vec![n] }
}

fn failed(kind: FailureKind) -> Result<Outcome, UnitError> {
    Err(UnitError::Failure(Failure { kind, code: "said-so".into(), message: "The vendor said so.".into() }))
}

/// Three pages of one event each.
fn three_pages(unit: &Unit) -> Result<Outcome, UnitError> {
    let n = position(unit).map_or(0, |n| n);
    let ann = person("ann");
    let next = if n < 2 {
        Next::More(cursor(n + 1))
    } else {
        Next::Done(RunEnd { cursor: Some(cursor(9)), truncated: None })
    };
    let records = vec![event(&format!("e{n}"), &ann, Some(START), START)];
    Ok(Outcome { records, next: Some(next), ..Outcome::default() })
}

#[test]
fn a_run_reads_every_page_and_ends_where_the_next_one_starts() {
    let host = TestHost::new();
    host.script(|unit, _| three_pages(unit));
    host.make_due();
    host.settle();
    assert_eq!(host.actions().len(), 3);
    let (due, result, code, at) = host.job();
    assert_eq!((result.as_deref(), code, at), (Some("complete"), None, Some(vec![9])));
    let due = due.unwrap() - START;
    assert!((3_600_000..=3_960_000).contains(&due), "the cadence and a tenth of jitter, not {due}");
    host.assert_sums();
}

#[test]
fn n16_a_refused_key_stops_the_resource_and_moves_no_cursor() {
    let host = TestHost::new();
    host.script(|unit, _| match position(unit) {
        Some(1) => failed(FailureKind::Auth("api".into())),
        _ => three_pages(unit),
    });
    host.make_due();
    host.settle();
    let (due, result, code, at) = host.job();
    assert_eq!((due, result.as_deref(), code.as_deref()), (None, Some("failed"), Some("said-so")));
    assert_eq!(at, Some(vec![1]), "the page that failed is read again");
    assert_eq!(host.letters().len(), 1);

    // A new start of the host, perhaps with a new key, takes it up where it stood.
    host.script(|unit, _| three_pages(unit));
    host.store.write::<_, StoreError>(|tx| jobs::ensure(tx, &host.installation, START)).unwrap();
    host.settle();
    assert_eq!(host.actions().len(), 3);
    host.assert_sums();
}

#[test]
fn n13_a_vendor_that_asks_to_wait_is_left_alone_for_that_long() {
    let host = TestHost::new();
    host.script(|_, _| failed(FailureKind::RateLimited(Some(2 * HOUR as u64))));
    host.make_due();
    host.settle();
    assert!(host.job().0.unwrap() >= START + 2 * HOUR);
    assert!(host.letters().is_empty());
}

#[test]
fn n33_a_quota_that_is_used_up_for_the_day_is_waited_for_and_nothing_is_lost() {
    let host = TestHost::new();
    host.script(|unit, _| match position(unit) {
        Some(1) => failed(FailureKind::RateLimited(Some(20 * HOUR as u64))),
        _ => three_pages(unit),
    });
    host.make_due();
    host.settle();
    let (due, result, code, at) = host.job();
    assert_eq!((result.as_deref(), code.as_deref(), at), (Some("failed"), Some("said-so"), Some(vec![1])));
    assert!((START + 20 * HOUR..START + 25 * HOUR).contains(&due.unwrap()), "{due:?}");
    assert!(host.letters().is_empty(), "it goes on by itself");
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    host.script(move |unit, _| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        three_pages(unit)
    });
    assert_eq!(asked_in(&host, 19, HOUR, &asked), 0, "nobody is called before");
    assert_eq!(asked_in(&host, 1, HOUR, &asked), 2, "it goes on where it stood");
    assert_eq!(host.actions().len(), 3, "every page once");
    host.assert_sums();
}

#[test]
fn n14_a_source_in_trouble_is_asked_ever_more_seldom_and_holds_nobody_up() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let host = TestHost::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    host.script(move |unit, _| match &unit.work {
        Work::Page(_) => {
            count.fetch_add(1, Ordering::SeqCst);
            failed(FailureKind::Transient)
        }
        _ => Ok(Outcome {
            records: vec![event("pushed", &person("ann"), Some(START), START)],
            ..Outcome::default()
        }),
    });
    host.make_due();
    host.settle();
    let minute = HOUR / 60;
    let first_hour = asked_in(&host, 60, minute, &asked);
    let second_day = {
        asked_in(&host, 24, HOUR, &asked);
        asked_in(&host, 24, HOUR, &asked)
    };
    assert!((3..=15).contains(&first_hour), "{first_hour} in an hour");
    assert!((20..=24).contains(&second_day), "{second_day} in a day of looking once an hour: it goes on");
    // What comes by another door goes through meanwhile.
    host.append();
    host.settle();
    assert_eq!(host.actions().len(), 1);
    assert!(host.letters().is_empty());
    host.script(|unit, _| three_pages(unit));
    asked_in(&host, 24, HOUR, &asked);
    assert_eq!(host.job().1.as_deref(), Some("complete"));
    host.assert_sums();
}

#[test]
fn n25_more_but_later_keeps_the_cursor_and_waits() {
    let host = TestHost::new();
    host.script(|_, _| {
        Ok(Outcome { next: Some(Next::Later((cursor(5), START + HOUR))), ..Outcome::default() })
    });
    host.make_due();
    host.settle();
    let (due, result, _, at) = host.job();
    assert_eq!((due, result.as_deref(), at), (Some(START + HOUR), Some("more"), Some(vec![5])));
}

#[test]
fn a_run_that_was_cut_short_says_why() {
    let host = TestHost::new();
    host.script(|_, _| {
        let end = RunEnd { cursor: None, truncated: Some("page-cap".into()) };
        Ok(Outcome { next: Some(Next::Done(end)), ..Outcome::default() })
    });
    host.make_due();
    host.settle();
    let (_, result, code, at) = host.job();
    assert_eq!((result.as_deref(), code.as_deref(), at), (Some("truncated"), Some("page-cap"), None));
}

#[test]
fn g16_a_cursor_of_an_unknown_version_is_refused_by_name_and_kept() {
    let host = TestHost::new();
    let newer = Cursor { version: 7, bytes: vec![1] };
    host.store
        .write::<_, StoreError>(|tx| jobs::set_cursor(tx, &host.installation, "things", Some(&newer)))
        .unwrap();
    host.script(|unit, _| three_pages(unit));
    host.make_due();
    host.settle();
    let (due, _, code, at) = host.job();
    assert_eq!((due, code.as_deref(), at), (None, Some("cursor-version"), Some(vec![1])));
    assert!(host.actions().is_empty());
}

#[test]
fn g09_a_cursor_of_other_settings_or_of_another_resource_never_reaches_the_guest() {
    use host_harness::store::Digest;
    let host = TestHost::new();
    let mut elsewhere = host.installation.clone();
    elsewhere.source = Digest::of(&[b"another workspace"]);
    host.store
        .write::<_, StoreError>(|tx| {
            jobs::set_cursor(tx, &elsewhere, "things", Some(&cursor(1)))?;
            jobs::set_cursor(tx, &host.installation, "others", Some(&cursor(2)))
        })
        .unwrap();
    let (asked, begun) = std::sync::mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    host.script(move |unit, _| {
        asked.lock().unwrap().send(position(unit)).unwrap();
        three_pages(unit)
    });
    host.make_due();
    host.settle();
    assert_eq!(begun.recv().unwrap(), None, "it begins at the start");
    assert_eq!(host.job().1.as_deref(), Some("complete"));
}

#[test]
fn an_extra_job_runs_once_and_leaves_the_resources_cursor_alone() {
    let host = TestHost::new();
    host.script(|unit, _| match position(unit) {
        Some(7) => Ok(Outcome {
            next: Some(Next::Done(RunEnd { cursor: None, truncated: None })),
            ..Outcome::default()
        }),
        _ => {
            let job = schedule::Job {
                key: "extra".into(),
                resource: "things".into(),
                cursor: Some(cursor(7)),
                not_before: START + HOUR,
            };
            let mut outcome = three_pages(unit)?;
            outcome.jobs.push(job);
            Ok(outcome)
        }
    });
    host.make_due();
    host.settle();
    let jobs = |host: &TestHost| -> i64 {
        host.store
            .read::<_, StoreError>(|tx| Ok(tx.query_row("SELECT count(*) FROM job", [], |row| row.get(0))?))
            .unwrap()
    };
    assert_eq!(jobs(&host), 2);
    host.clock.advance(HOUR);
    host.store
        .write::<_, StoreError>(|tx| {
            Ok(tx.execute("UPDATE job SET due_at = NULL WHERE key LIKE 'resource:%'", [])?)
        })
        .unwrap();
    host.settle();
    assert_eq!(jobs(&host), 1);
    assert_eq!(host.job().3, Some(vec![9]));
}

#[test]
fn h16_a_page_that_kills_the_host_every_time_is_put_aside() {
    let host = TestHost::new();
    host.script(|unit, _| three_pages(unit));
    host.make_due();
    let die = || {
        host.store
            .write::<_, StoreError>(|tx| {
                jobs::claim(tx, &[host.installation.id], START)?.expect("it is due");
                jobs::ensure(tx, &host.installation, START)
            })
            .unwrap();
    };
    for _ in 0..11 {
        die();
    }
    host.settle();
    assert_eq!(host.job().1.as_deref(), Some("complete"), "a host that was killed often is no proof");
    host.make_due();
    for _ in 0..12 {
        die();
    }
    host.settle();
    let (due, result, code, _) = host.job();
    assert_eq!((due, result.as_deref(), code.as_deref()), (None, Some("failed"), Some("unit-kills-host")));
    assert_eq!(host.letters().len(), 1);
}

/// How often the guest was asked, while host time goes on in steps.
fn asked_in(host: &TestHost, steps: usize, step: i64, asked: &std::sync::atomic::AtomicUsize) -> usize {
    let before = asked.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..steps {
        host.clock.advance(step);
        host.settle();
    }
    asked.load(std::sync::atomic::Ordering::SeqCst) - before
}

#[test]
fn n16_a_refused_key_is_tried_ever_more_seldom_and_told_once() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let host = TestHost::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    host.script(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        failed(FailureKind::Auth("api".into()))
    });
    host.make_due();
    host.settle();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let minute = HOUR / 60;
    assert_eq!(asked_in(&host, 1, minute - 1, &asked), 0, "not before a minute");
    let first_hour = asked_in(&host, 60, minute, &asked);
    assert!((4..=7).contains(&first_hour), "{first_hour} tries in an hour");
    let day = asked_in(&host, 24 * 6, 10 * minute, &asked);
    assert!((20..=26).contains(&day), "{day} tries in a day");
    assert_eq!(host.letters().len(), 1);
    let written: i64 = host
        .store
        .read::<_, StoreError>(|tx| {
            Ok(tx.query_row("SELECT count(*) FROM dead_letter", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(written, 1, "one letter for one pause");
    // Then the key is right.
    host.script(|unit, _| three_pages(unit));
    host.clock.advance(HOUR);
    host.settle();
    assert_eq!(host.job().1.as_deref(), Some("complete"));
    assert!(host.letters().is_empty(), "the letter is closed with the pause");
    host.assert_sums();
}

#[test]
fn a_passing_failure_of_a_try_lets_no_second_job_through_and_loses_no_pause() {
    let host = TestHost::new();
    host.script(|_, _| failed(FailureKind::Auth("api".into())));
    host.make_due();
    host.settle();
    host.script(|_, _| failed(FailureKind::Transient));
    host.clock.advance(HOUR);
    host.settle();
    let pauses = || host.store.read::<_, StoreError>(host_harness::store::pauses::all).unwrap();
    assert_eq!(pauses().len(), 1, "an outage says nothing about a key");
    host.script(|unit, _| three_pages(unit));
    host.clock.advance(HOUR);
    host.settle();
    assert_eq!((host.job().1.as_deref(), pauses().len()), (Some("complete"), 0));
}

#[test]
fn a_run_that_was_given_up_leaves_no_pause_behind() {
    use host_harness::store::runs;
    let host = TestHost::new();
    host.park_pages();
    host.script(|_, _| failed(FailureKind::Auth("api".into())));
    host.store
        .write::<_, StoreError>(|tx| {
            runs::begin_backfill(tx, host.installation.id, "things", (0, START), START)
        })
        .unwrap()
        .unwrap();
    host.settle();
    let pauses = || host.store.read::<_, StoreError>(host_harness::store::pauses::all).unwrap();
    assert_eq!(pauses().len(), 1);
    host.store
        .write::<_, StoreError>(|tx| runs::cancel_backfill(tx, host.installation.id, "things"))
        .unwrap()
        .unwrap();
    host.clock.advance(HOUR);
    host.settle();
    assert!(pauses().is_empty() && host.letters().is_empty(), "nothing waits for the key any more");
}
