//! One rate budget for one account: what is live never waits behind what came in bulk.

use serde_json::json;

use super::bench::{Bench, Read, person};
use crate::registry::{ConsentBasis, ConsentStatus};
use crate::store::outbox::State;
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
