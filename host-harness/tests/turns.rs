//! Turns of tenants: one who floods the host moves nobody else's waiting time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use host_harness::contract::{Next, RunEnd};
use host_harness::pipeline::Step;
use host_harness::unit::{Outcome, Unit, Work};
use host_harness::world::Millis;
use scripted::*;

const TENANTS: usize = 200;
/// Host time that a unit takes.
const UNIT: Millis = 10;
/// Within which everybody but the first has a webhook, and half of them a page too: their units take
/// somewhat more than a third of it.
const SPAN: Millis = 8_000;
/// Units that a unit of somebody else's may wait longer because of a flood: the one that is worked on
/// when it arrives, and one in each round until it is served.
const LONGER: Millis = 3;

fn nothing_more(unit: &Unit) -> Outcome {
    let end = Next::Done(RunEnd { cursor: None, truncated: None });
    Outcome { next: matches!(unit.work, Work::Page(_)).then_some(end), ..Outcome::default() }
}

/// Numbers that look random and are the same in every run.
fn scattered(n: usize) -> Millis {
    (n as i64 * 7_919 + 104_729) * 6_151 % SPAN
}

/// How long each unit of everybody but the first waited, while the first has what `flood` gives it.
fn waits(flood: impl Fn(&Crowd)) -> Vec<Millis> {
    let begun: Arc<Mutex<Vec<(usize, bool, Millis)>>> = Arc::default();
    let log = begun.clone();
    let crowd = Crowd::new(TENANTS, move |tenant, unit, clock| {
        if tenant > 0 {
            let page = matches!(unit.work, Work::Page(_));
            log.lock().unwrap().push((tenant, page, host_harness::world::Clock::now(clock)));
        }
        clock.advance(UNIT);
        nothing_more(unit)
    });
    flood(&crowd);
    let at = |tenant: usize, page: bool| START + scattered(2 * tenant + usize::from(page));
    let mut expected = 0;
    for tenant in 1..TENANTS {
        crowd.webhooks(tenant, [at(tenant, false)]);
        expected += 1;
        if tenant % 2 == 0 {
            crowd.jobs(tenant, [at(tenant, true)]);
            expected += 1;
        }
    }
    while begun.lock().unwrap().len() < expected {
        if let Step::Idle(next) = crowd.pipeline.step().unwrap() {
            crowd.clock.advance(next.unwrap() - host_harness::world::Clock::now(&*crowd.clock));
        }
    }
    let mut waits = begun.lock().unwrap().clone();
    waits.sort();
    waits.into_iter().map(|(tenant, page, began)| began - at(tenant, page)).collect()
}

#[test]
fn h17_a_tenant_who_floods_the_host_moves_nobody_elses_waiting_time() {
    let alone = waits(|_| {});
    assert!(alone.iter().any(|wait| *wait > 0), "they wait for each other now and then");
    // As many as a host alone does until the last of the others is served, and more.
    let floods: [&dyn Fn(&Crowd); 2] =
        [&|crowd| crowd.webhooks(0, std::iter::repeat_n(START, 2_000)), &|crowd| {
            crowd.jobs(0, std::iter::repeat_n(START, 800))
        }];
    for flood in floods {
        let beside = waits(flood);
        assert_eq!(beside.len(), alone.len());
        let longer = alone.iter().zip(&beside).map(|(alone, beside)| beside - alone).max().unwrap();
        assert!(longer <= LONGER * UNIT, "{} units longer", longer / UNIT);
    }
}

/// A unit of the first tenant doesn't end; its second neither.
#[test]
fn h17_a_tenant_whose_units_take_long_leaves_a_thread_to_the_others() {
    let (hold, held): (Sender<()>, Receiver<()>) = channel();
    let held = Mutex::new(held);
    let begun: Arc<Mutex<Vec<usize>>> = Arc::default();
    let log = begun.clone();
    let crowd = Crowd::new(2, move |tenant, unit, _| {
        let before = {
            let mut log = log.lock().unwrap();
            log.push(tenant);
            log.iter().filter(|one| **one == tenant).count()
        };
        if tenant == 0 && before <= 2 {
            // Ends when the test has looked.
            let _ = held.lock().unwrap().recv();
        }
        nothing_more(unit)
    });
    crowd.webhooks(0, [START; 3]);
    let of = |tenant: usize| begun.lock().unwrap().iter().filter(|one| **one == tenant).count();
    std::thread::scope(|scope| {
        let hold = hold; // should the test fail, nobody waits for it
        for slow in 1..=2 {
            scope.spawn(|| crowd.pipeline.step().unwrap());
            while of(0) < slow {
                std::thread::yield_now();
            }
        }
        assert!(matches!(crowd.pipeline.step().unwrap(), Step::Idle(_)));
        assert_eq!(of(0), 2, "its third waits for one of them");
        crowd.webhooks(1, [START]);
        assert_eq!(crowd.pipeline.step().unwrap(), Step::Worked);
        assert_eq!((of(0), of(1)), (2, 1));
        hold.send(()).unwrap();
        hold.send(()).unwrap();
    });
    assert_eq!(crowd.pipeline.step().unwrap(), Step::Worked);
    assert_eq!(of(0), 3);
}
