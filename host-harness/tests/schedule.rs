//! What is due when: schedules, jobs that kill the host, replays, and clocks that jump.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;
#[path = "described/brevo.rs"]
mod vendor;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::brevo::windows::Family;
use host_harness::contract::{Failure, FailureKind, Next, RunEnd, schedule};
use host_harness::operate::dead_letters;
use host_harness::pipeline::Step;
use host_harness::store::outbox::State;
use host_harness::store::{StoreError, clock, journal};
use host_harness::unit::{Outcome, UnitError, Work};
use scripted::{HOUR, START, TestHost};

const DAY: i64 = 24 * HOUR;
const MINUTE: i64 = 60_000;

fn done() -> Outcome {
    Outcome { next: Some(Next::Done(RunEnd { cursor: None, truncated: None })), ..Outcome::default() }
}

#[test]
fn h15_a_schedule_fires_once_an_hour_through_sleeps_and_both_changes_of_summer_time() {
    let host = TestHost::new();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let seen = runs.clone();
    host.script(move |unit, _| {
        seen.lock().unwrap().push(unit.now);
        Ok(done())
    });
    host.make_due();
    let until = |end: i64| {
        while host.clock.now_is() < end {
            host.settle();
            let due = host.job().0.expect("it is scheduled");
            host.clock.advance((due - host.clock.now_is()).max(1));
        }
    };
    // Europe changes to summer time on 28 March 2027 at 1:00 UTC, and back on 31 October.
    for change in [1_806_195_600_000, 1_824_944_400_000] {
        // Asleep for months: what was missed is one run.
        host.clock.advance(change - 2 * DAY - host.clock.now_is());
        let before = runs.lock().unwrap().len();
        host.settle();
        assert_eq!(runs.lock().unwrap().len(), before + 1, "missed runs are one");
        until(change + 2 * DAY);
        let runs = &runs.lock().unwrap()[before..];
        assert!(runs.len() > 80, "{}", runs.len());
        for pair in runs.windows(2) {
            let apart = pair[1] - pair[0];
            assert!((HOUR..=HOUR + HOUR / 10 + 1).contains(&apart), "{apart} ms apart");
        }
        // Not everybody at the full hour.
        let minutes: BTreeSet<i64> = runs.iter().map(|at| at % HOUR / MINUTE).collect();
        assert!(minutes.len() > 20, "{minutes:?}");
    }
}

#[test]
fn h15_a_resource_is_never_read_twice_at_a_time() {
    let host = TestHost::new();
    let (now, most, calls) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let peak = most.clone();
    host.script(move |unit, _| {
        let mut outcome = done();
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            // Extra jobs of the same resource, all due at once.
            outcome.jobs = (0..6)
                .map(|n| schedule::Job {
                    key: format!("extra-{n}"),
                    resource: "things".into(),
                    cursor: None,
                    not_before: unit.now,
                })
                .collect();
        }
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(outcome)
    });
    host.make_due();
    host.pipeline.step().unwrap();
    host.make_due(); // the resource itself again
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut idle = 0;
                while idle < 40 {
                    match host.pipeline.step().unwrap() {
                        Step::Worked => idle = 0,
                        Step::Idle(_) => {
                            idle += 1;
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    }
                }
            });
        }
    });
    let left: i64 = host
        .store
        .read::<_, StoreError>(|tx| {
            Ok(tx.query_row("SELECT count(*) FROM job WHERE key LIKE 'job:%'", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!((left, most.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn h16_a_webhook_that_kills_the_host_every_time_is_counted_when_it_is_claimed_and_put_aside() {
    let host = TestHost::new();
    let poison = host.append();
    for death in 1..=12_u32 {
        // The claim is all that a host which dies of it leaves behind.
        let claimed = host.store.write(|tx| journal::claim(tx, poison)).unwrap().expect("it is queued");
        assert_eq!(claimed.attempts, death);
    }
    let fine = host.append();
    host.script(move |unit, _| {
        assert!(matches!(unit.work, Work::Webhook(_)));
        Ok(Outcome::default())
    });
    host.settle();
    let state = |id: i64| -> (i64, Option<String>) {
        host.store
            .read::<_, StoreError>(|tx| {
                Ok(tx.query_row("SELECT state, code FROM journal WHERE id = ?1", [id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?)
            })
            .unwrap()
    };
    assert_eq!(state(poison), (2, Some("unit-kills-host".into())), "kept, and not run again");
    assert_eq!(state(fine), (1, None), "it stops nobody else");
    assert_eq!(host.letters().len(), 1);
    assert_eq!(host.letters()[0].2, "unit-kills-host");
}

#[test]
fn h18_dead_letters_that_are_replayed_twice_at_once_arrive_once_under_their_old_keys() {
    use stand_ins::brevo::{Options, Plan};
    use stand_ins::faults::{Effect, Fault, Rule};
    let brevo = vendor::Checked::start(Options { plan: Plan::Unlimited, ..Options::default() });
    let host = TestHost::new();
    let who = scripted::person("ann");
    let mut records = vec![
        scripted::consent("c", &who, START - 1, "opted-in", "flag"),
        scripted::contact(&who, "o", START - 1, serde_json::json!({ "A": "a" })),
    ];
    let keys: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    records.extend(keys.iter().map(|key| scripted::event(key, &who, Some(START - 1), START)));
    host.deliver(records);
    let refused = |path| {
        Rule::on("POST", path, Fault::status(400, "{\"code\":\"invalid_parameter\"}").effect(Effect::Never))
    };
    brevo.faults().add(refused("/v3/events")).unwrap();
    brevo.faults().add(refused("/v3/events/batch")).unwrap();
    let delivery = scripted::delivery(&host, &brevo);
    scripted::deliver_all(&host, &delivery);
    let effects = || -> BTreeSet<String> {
        host.store
            .read::<_, StoreError>(|tx| {
                let mut rows =
                    tx.prepare("SELECT hex(effect) FROM action WHERE name = 'brevo/track-event'")?;
                let rows = rows.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .unwrap()
    };
    let before = effects();
    let letters: Vec<i64> = host.letters().iter().map(|(id, ..)| *id).collect();
    assert_eq!(letters.len(), 30, "{:?}", host.letters());
    brevo.faults().clear();
    let requeued = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for id in &letters {
                    let done =
                        host.store.write(|tx| dead_letters::requeue(tx, *id, false, host.clock.now_is()));
                    match done {
                        Ok(_) => drop(requeued.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.code(), "already-closed"),
                    }
                }
            });
        }
    });
    assert_eq!(requeued.load(Ordering::SeqCst), 30, "each once");
    // A replay has no way around the windows: five a minute, and none in a batch.
    let policy = host_harness::delivery::Policy { batch_min: 1_000, ..Default::default() };
    let limits = BTreeMap::from([(Family::Events, vec![(5, 60)])]);
    let delivery = scripted::delivery_within(&host, &brevo, policy, limits);
    let begun = host.clock.now_is();
    scripted::deliver_all(&host, &delivery);
    assert!(host.clock.now_is() - begun >= 5 * MINUTE, "{} ms", host.clock.now_is() - begun);
    let arrived = brevo.events_by_property("key");
    assert_eq!((arrived.len(), arrived.values().max()), (30, Some(&1)));
    assert_eq!(effects(), before);
    let ends = host.actions();
    assert!(ends.iter().filter(|end| end.0 == "brevo/track-event").all(|end| end.1 == State::Delivered));
}

/// What is due, and in how long.
fn waits(host: &TestHost) -> Vec<i64> {
    let now = host.clock.now_is();
    host.store
        .read::<_, StoreError>(|tx| {
            let mut rows = tx.prepare(
                "SELECT due_at FROM journal WHERE state = 0 UNION ALL SELECT due_at FROM job
                 UNION ALL SELECT due_at FROM action WHERE state IN (0, 9)",
            )?;
            let rows = rows.query_map([], |row| Ok(row.get::<_, i64>(0)? - now))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .unwrap()
}

fn start(host: &TestHost) -> Option<i64> {
    host.store.write(|tx| clock::resume(tx, host.clock.now_is())).unwrap()
}

#[test]
fn n27_a_clock_that_was_set_back_or_forward_between_two_runs_neither_stalls_nor_repeats_anything() {
    let host = TestHost::new();
    assert_eq!(start(&host), None);
    let who = scripted::person("ann");
    host.deliver(vec![scripted::event("a", &who, Some(START), START)]);
    // A webhook that is tried again in a while, and a page that is due in an hour.
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, passing) = (runs.clone(), Arc::new(AtomicUsize::new(0)));
    let fails = passing.clone();
    host.script(move |unit, _| match unit.work {
        Work::Page(_) => {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(done())
        }
        _ if fails.fetch_add(1, Ordering::SeqCst) == 0 => Err(UnitError::Failure(Failure {
            kind: FailureKind::Transient,
            code: "passing".into(),
            message: "not now".into(),
        })),
        _ => Ok(Outcome::default()),
    });
    host.append();
    host.make_due();
    host.settle();
    host.store.write::<_, StoreError>(|tx| clock::seen(tx, host.clock.now_is())).unwrap();
    let before = waits(&host);
    assert_eq!(before.len(), 3, "{before:?}");

    // The machine had been a year ahead, and is set right.
    host.clock.advance(-365 * DAY);
    assert_eq!(start(&host), Some(365 * DAY));
    assert_eq!(waits(&host), before.iter().map(|wait| (*wait).max(0)).collect::<Vec<_>>());
    assert_eq!(start(&host), None, "it is moved once");
    host.clock.advance(MINUTE);
    host.settle();
    assert_eq!(passing.load(Ordering::SeqCst), 2, "the webhook was tried again");
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the page not before its time");
    host.clock.advance(2 * HOUR);
    host.settle();
    assert_eq!(runs.load(Ordering::SeqCst), 2);

    // A year ahead: like having been off, and done once.
    host.clock.advance(365 * DAY);
    assert_eq!(start(&host), None);
    host.settle();
    assert_eq!(runs.load(Ordering::SeqCst), 3, "what was missed is one run");
    // A few seconds are set right all the time.
    host.clock.advance(-20_000);
    assert_eq!(start(&host), None);
    host.assert_sums();
}

#[test]
fn n27_within_one_run_the_hosts_clock_only_goes_on() {
    use host_harness::world::{Clock as _, SystemClock, TimeScale};
    // It is read from the system once, and counts on with a clock that nobody can set.
    let clock = SystemClock::new(TimeScale { epoch: START, factor: 1_000.0 });
    let mut last = clock.now();
    for _ in 0..2_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
}
