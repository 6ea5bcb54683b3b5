//! One rate budget for one account: what is live never waits behind what came in bulk.

use serde_json::json;

use super::bench::{Bench, Read, person};
use crate::delivery::Step;
use crate::registry::{ConsentBasis, ConsentStatus};
use crate::store::StoreError;
use crate::store::outbox::{Class, State};
use crate::world::Millis;

#[test]
fn live_consent_is_delivered_while_thousands_wait() {
    let mut bench = Bench::new();
    bench.options.policy.import_min = usize::MAX; // one by one, which takes longest
    {
        let mut state = bench.brevo.state();
        (state.bulk.limited, state.bulk.latency) = (true, 40);
    }
    let known = person("known", "known@x.org");
    bench.mailable(&known);
    bench.upsert(&known, json!({ "FIRSTNAME": "K" }));
    bench.run();
    bench.backfill((0..2_000).map(|n| Read {
        person: person(&format!("u{n}"), &format!("u{n}@x.org")),
        attributes: json!({ "FIRSTNAME": "B" }),
        consent: Some(ConsentStatus::OptedIn),
    }));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now() + 30_000);
    let busy = bench.brevo.arrivals();
    assert!(busy > 200, "the backfill is under way: {busy}");
    for n in 0..20 {
        let at = bench.now();
        let status = if n % 2 == 0 { ConsentStatus::OptedOut } else { ConsentStatus::OptedIn };
        let consent = bench.consent(&known, status, ConsentBasis::Signal, at);
        while bench.end(consent).0 == State::Waiting {
            bench.run_with(&delivery, bench.now());
            bench.wait(10);
            let waited: Millis = bench.now() - at;
            assert!(waited < 2_000, "a live opt-out waits behind a backfill");
        }
        assert_eq!(bench.end(consent).0, State::Delivered);
        bench.run_with(&delivery, bench.now() + 5_000);
    }
    assert_eq!(bench.brevo.state().bulk.over_limit, 0, "the host keeps the limits by itself");
    assert!(bench.brevo.state().contacts.len() < 2_000, "the backfill was still under way");
}

/// The windows are empty, so nothing but the order of the classes decides who goes first; what came in
/// bulk waits longest and has the lowest numbers.
#[test]
fn what_is_urgent_goes_before_what_is_live_and_that_before_what_came_in_bulk() {
    let mut bench = Bench::new();
    bench.options.policy.import_min = usize::MAX;
    let known: Vec<_> = (0..4).map(|n| person(&format!("k{n}"), &format!("k{n}@x.org"))).collect();
    for one in &known {
        bench.mailable(one);
        bench.upsert(one, json!({ "FIRSTNAME": "K" }));
    }
    bench.run();
    bench.wait(3_600_000);
    let delivery = bench.delivery();
    let mut left = Vec::new();
    let bulk = bench.backfill((0..3).map(|n| Read {
        person: person(&format!("u{n}"), &format!("u{n}@x.org")),
        attributes: json!({ "FIRSTNAME": "B" }),
        consent: Some(ConsentStatus::OptedIn),
    }));
    // Somebody who came in bulk and can't ride in an import.
    let single = bulk[2];
    let alone = "UPDATE action SET class = ?2 WHERE id = ?1";
    let class = Class::BulkSingle as i64;
    bench.store.write::<_, StoreError>(|tx| Ok(tx.execute(alone, [single, class])?)).unwrap();
    left.extend(bulk.iter().map(|id| (*id, if *id == single { Class::BulkSingle } else { Class::Bulk })));
    bench.wait(1_000);
    for one in &known[..2] {
        left.push((bench.upsert(one, json!({ "FIRSTNAME": "L" })), Class::Live));
    }
    bench.wait(1_000);
    for one in &known[2..] {
        let opted_out = bench.consent(one, ConsentStatus::OptedOut, ConsentBasis::Signal, bench.now());
        left.push((opted_out, Class::Urgent));
    }
    assert!(left.is_sorted_by_key(|(id, _)| *id));
    let mut order = Vec::new();
    while !left.is_empty() {
        match delivery.step().unwrap() {
            Step::Worked => {}
            Step::Idle(next) => bench.wait(next.unwrap() - bench.now()),
        }
        left.retain(|(id, class)| {
            let waits = bench.end(*id).0 == State::Waiting;
            if !waits {
                order.push(*class);
            }
            waits
        });
    }
    use Class::{Bulk, BulkSingle, Live, Urgent};
    assert_eq!(order, [Urgent, Urgent, Live, Live, Bulk, Bulk, BulkSingle]);
}
