//! What is due when: schedules, jobs that kill the host, replays, and clocks that jump.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::contract::{Next, RunEnd, schedule};
use host_harness::operate::dead_letters;
use host_harness::pipeline::Step;
use host_harness::store::outbox::State;
use host_harness::store::{StoreError, journal};
use host_harness::unit::{Outcome, Work};
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
    use stand_ins::brevo::{Brevo, Options, Plan};
    use stand_ins::faults::{Effect, Fault, Rule};
    let brevo = Brevo::start(Options { plan: Plan::Unlimited, ..Options::default() }).unwrap();
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
    scripted::deliver_all(&host, &delivery);
    let arrived = brevo.events_by_property("key");
    assert_eq!((arrived.len(), arrived.values().max()), (30, Some(&1)));
    assert_eq!(effects(), before);
    let ends = host.actions();
    assert!(ends.iter().filter(|end| end.0 == "brevo/track-event").all(|end| end.1 == State::Delivered));
}
