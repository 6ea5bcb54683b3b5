//! What an operator is shown of work that is under way or waits, and what commands count beside it.

use std::collections::BTreeMap;

use serde_json::json;

use super::bench::{Bench, MINUTE, Read, ada_with_phone, person};
use super::fake::Fault;
use crate::brevo::account;
use crate::brevo::windows::{Family, RESERVE};
use crate::config::Plan;
use crate::contract::Subject;
use crate::delivery::beside::Beside;
use crate::delivery::wire::Stop;
use crate::delivery::{Step, beside, load_rates};
use crate::operate::accounting::Sums;
use crate::operate::backlog::{self, ImportStatus, Waiting};
use crate::registry::ConsentStatus;
use crate::store::installations::{DestinationId, InstallationId};
use crate::store::outbox::State;
use crate::store::{Store, StoreError};

const ACCOUNT: DestinationId = DestinationId(1);

fn waiting(bench: &Bench) -> Vec<Waiting> {
    bench.store.read(|tx| backlog::waiting(tx, ACCOUNT, bench.now())).unwrap()
}

fn import(bench: &Bench) -> Option<ImportStatus> {
    bench.store.read(|tx| backlog::import(tx, ACCOUNT)).unwrap()
}

/// Every action stands somewhere, and once (design rule 13).
fn states(bench: &Bench) -> BTreeMap<String, i64> {
    let sums = bench.store.read::<_, StoreError>(|tx| Sums::of(tx, InstallationId(1))).unwrap();
    assert_eq!(sums.actions, sums.states.values().sum::<i64>(), "{sums:?}");
    sums.states
}

fn backfill(bench: &Bench, people: usize) {
    bench.backfill((0..people).map(|n| Read {
        person: person(&format!("u{n}"), &format!("u{n}@x.org")),
        attributes: json!({ "FIRSTNAME": "B" }),
        consent: Some(ConsentStatus::OptedIn),
    }));
}

#[test]
fn an_import_is_shown_from_its_call_to_its_end_and_its_rows_are_counted_once() {
    let mut bench = Bench::new();
    bench.options.policy.import_min = 10;
    bench.brevo.state().bulk.speed = 1;
    let people: usize = 50;
    backfill(&bench, people);
    let before = states(&bench);
    let delivery = bench.delivery();
    assert_eq!(import(&bench), None);
    let mut shown = Vec::new();
    while states(&bench)["delivered"] == 0 {
        if let Step::Idle(next) = delivery.step().unwrap() {
            bench.wait(next.unwrap() - bench.now());
        }
        let now = states(&bench);
        assert_eq!(now.values().sum::<i64>(), before.values().sum::<i64>());
        let Some(import) = import(&bench) else { continue };
        assert_eq!(import.contacts, people);
        if import.phase != "reading" {
            assert!(now["in-flight"] >= people as i64, "{now:?}");
        }
        shown.push(import.phase);
    }
    shown.dedup();
    // The call is made in the step that writes the import down.
    assert_eq!(shown, ["at-work", "reading"]);
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(import(&bench), None);
    assert_eq!(states(&bench)["waiting"], 0);
    assert_eq!(waiting(&bench), []);
}

#[test]
fn what_each_class_waits_for_is_told_apart() {
    let bench = Bench::new();
    bench.mailable(&ada_with_phone());
    bench.upsert(&ada_with_phone(), json!({ "FIRSTNAME": "A" }));
    bench.run();
    // Nothing of Brevo's may be called for a while, but for products.
    let now = bench.now();
    let delivery = bench.delivery();
    for family in [Family::Contacts, Family::Events, Family::EventsBatch] {
        delivery.close_family(family, now + MINUTE, "rate-limited");
    }
    bench.store.write(|tx| delivery.save_rates(tx)).unwrap();
    bench.event(&ada_with_phone(), "e");
    bench.about("p", "brevo/upsert-product", json!({ "id": "p", "name": "P" }), None);
    let note = json!({ "text": "x" });
    bench.admit_with("brevo/add-note", &Subject::Person(ada_with_phone()), note, |new| {
        (new.not_before, new.not_after) = (Some(now + 5 * MINUTE), Some(now + 60 * MINUTE));
    });
    backfill(&bench, 3);
    let row = |class, waits_for: &str, actions, until| Waiting {
        class,
        waits_for: waits_for.into(),
        actions,
        until,
    };
    let all = waiting(&bench);
    assert!(all.contains(&row("live", "not-due", 1, Some(now + 5 * MINUTE))), "{all:?}");
    assert!(all.contains(&row("live", "rate-limited", 1, Some(now + MINUTE))), "{all:?}");
    assert!(all.contains(&row("live", "turn", 1, None)), "{all:?}");
    assert!(all.iter().any(|one| one.class == "bulk" && one.waits_for == "rate-limited"), "{all:?}");
    assert_eq!(all.iter().map(|one| one.actions).sum::<i64>(), states(&bench)["waiting"]);
}

#[test]
fn a_text_of_which_nothing_proves_that_it_was_sent_is_shown() {
    let bench = Bench::new();
    bench.mailable(&ada_with_phone());
    bench.upsert(&ada_with_phone(), json!({ "FIRSTNAME": "A" }));
    bench.run();
    let text = json!({ "content": "1", "sender": "ACME", "even_if_opted_out": true });
    let id = bench.send("brevo/send-sms", &Subject::Person(ada_with_phone()), text);
    bench.brevo.fault("POST /transactionalSMS/send", Fault::RequestLost);
    bench.run();
    bench.assert_end(id, State::Parked, "outcome-unproven");
    assert_eq!(bench.store.read(|tx| backlog::unproven_sends(tx, ACCOUNT)).unwrap(), 1);
    assert_eq!(states(&bench)["parked"], 1);
}

#[test]
fn calls_of_commands_count_in_the_hosts_windows_and_leave_the_reserve() {
    let bench = Bench::new();
    let count = || {
        bench.store.write(|tx| beside::count(tx, ACCOUNT, Plan::General, Family::Other, bench.now())).unwrap()
    };
    let (allowed, _) = Family::Other.limits(Plan::General)[0];
    let theirs = allowed - allowed / RESERVE;
    for n in 0..theirs {
        assert_eq!(count(), None, "{n}");
    }
    assert!(count().is_some_and(|at| at > bench.now()), "the reserve is the host's");
    // The host takes it over with its next call, once, and has the reserve for itself.
    bench.mailable(&person("u1", "u1@x.org"));
    bench.upsert(&person("u1", "u1@x.org"), json!({ "FIRSTNAME": "A" }));
    let delivery = bench.delivery();
    for _ in 0..2 {
        bench.run_with(&delivery, bench.now() + 10 * MINUTE);
        let now = bench.now();
        assert!(delivery.opens_for(Family::Other, crate::store::outbox::Class::Bulk, now).is_some());
        assert_eq!(delivery.opens_at(Family::Other, now), None);
        let beside = bench.store.read(|tx| beside::beside(tx, ACCOUNT)).unwrap();
        assert!(beside.is_empty(), "{beside:?}");
        assert!(count().is_some(), "what was taken over counts as ever");
        bench.upsert(&person("u1", "u1@x.org"), json!({ "FIRSTNAME": "B" }));
    }
    let rates = bench.store.read(|tx| load_rates(tx, &bench.options)).unwrap();
    assert!(rates[&Family::Other].opens_for_bulk_at(bench.now()).is_some());
    // And an hour later there is room again.
    bench.wait(66 * MINUTE);
    assert_eq!(count(), None);
}

/// Neither waits for the other's next transaction: what one counted, the other knows at its next call.
#[test]
fn calls_of_commands_and_of_the_host_are_known_to_each_other_at_once() {
    let bench = Bench::new();
    let delivery = bench.delivery();
    let command = || {
        bench.store.write(|tx| beside::count(tx, ACCOUNT, Plan::General, Family::Other, bench.now())).unwrap()
    };
    let host = || match delivery.call(&account::check()) {
        Ok(_) => true,
        Err(Stop::Closed(_)) => false,
        Err(stop) => panic!("{stop:?}"),
    };
    let (allowed, _) = Family::Other.limits(Plan::General)[0];
    let (mut theirs, mut own) = (0, 0);
    while command().is_none() {
        theirs += 1;
        assert!(host(), "there is room for both");
        own += 1;
    }
    assert_eq!(theirs + own, allowed - allowed / RESERVE);
    while host() {
        own += 1;
    }
    assert_eq!(theirs + own, allowed);
    // What Brevo says to a command holds for the host as well.
    bench.wait(66 * MINUTE);
    let until = bench.now() + MINUTE;
    let store = Store::attach(bench.store.path()).unwrap();
    Beside::new(store, ACCOUNT, Plan::General).close(Family::Other, until, "rate-limited").unwrap();
    assert!(!host());
    assert_eq!(delivery.opens_at(Family::Other, bench.now()), Some(until));
}
