use serde_json::json;

use super::bench::{Bench, START, ada, ada_with_phone, person};
use super::fake::{FakeContact, Fault};
use crate::registry::Channel;
use crate::registry::ConsentBasis::{Flag, Signal};
use crate::registry::ConsentStatus::{OptedIn, OptedOut};
use crate::store::outbox::State;

fn moved() -> crate::contract::Person {
    person("u1", "ada.new@x.org")
}

fn delivered(bench: &Bench, blocked: bool) {
    bench.consent(&ada(), if blocked { OptedOut } else { OptedIn }, Flag, START);
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
}

#[test]
fn a_changed_address_keeps_the_block() {
    for blocked in [true, false] {
        let bench = Bench::new();
        delivered(&bench, blocked);
        let change = bench.upsert(&moved(), json!({ "TIER": "gold" }));
        bench.run();
        bench.assert_end(change, State::Delivered, "");
        assert_eq!(bench.contact().email.as_deref(), Some("ada.new@x.org"));
        assert_eq!(bench.contact().email_blocked, blocked);
        assert_eq!(bench.contact().attributes["TIER"], json!("gold"));
    }
}

#[test]
fn a_changed_address_keeps_the_block_whatever_call_is_lost() {
    // The change takes four calls: read, change, block again, read.
    for call in 0..4 {
        for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::NotSent] {
            let bench = Bench::new();
            delivered(&bench, true);
            let change = bench.upsert(&moved(), json!({}));
            let before = bench.brevo.arrivals();
            // A new process looks at the attributes first.
            bench.brevo.state().nth_fault(before + 1 + call, fault.clone());
            bench.run();
            assert!(bench.brevo.arrivals() > before + 1 + 4, "the fault was met");
            bench.assert_end(change, State::Delivered, "");
            assert_eq!(bench.contact().email.as_deref(), Some("ada.new@x.org"));
            assert!(bench.contact().email_blocked, "call {call}, {fault:?}");
        }
    }
}

#[test]
fn w10_a_block_survives_a_restart_in_the_middle_of_a_change() {
    let bench = Bench::new();
    delivered(&bench, false);
    // Blocked by the person at Brevo: nobody but Brevo knows.
    bench.brevo.state().contacts.values_mut().next().unwrap().email_blocked = true;
    let change = bench.upsert(&moved(), json!({}));
    bench.brevo.fault("PUT", Fault::AnswerLost);
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    assert!(!bench.contact().email_blocked, "Brevo lifted it, as documented");
    drop(delivery);
    bench.run();
    bench.assert_end(change, State::Delivered, "");
    assert!(bench.contact().email_blocked, "it was written down before the change");
    let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 5);
    bench.run();
    bench.assert_end(opt_in, State::Parked, "block-not-ours");
}

#[test]
fn an_older_address_changes_nothing() {
    let bench = Bench::new();
    delivered(&bench, false);
    bench.upsert(&moved(), json!({}));
    bench.run();
    let older = bench.upsert_at(&ada(), json!({}), START + 1);
    bench.run();
    assert_eq!(bench.contact().email.as_deref(), Some("ada.new@x.org"));
    assert_eq!(bench.end(older).0, State::Deduplicated);
}

#[test]
fn a_new_address_that_is_somebody_elses_is_parked_and_not_tried_again() {
    let bench = Bench::new();
    delivered(&bench, false);
    bench.brevo.put(FakeContact { email: Some("ada.new@x.org".into()), ..FakeContact::default() });
    let change = bench.upsert(&moved(), json!({ "TIER": "gold" }));
    bench.run();
    bench.assert_end(change, State::Parked, "address-shared");
    let tries = bench.brevo.calls("PUT");
    bench.wait(10);
    let next = bench.upsert(&moved(), json!({ "TIER": "platinum" }));
    bench.run();
    bench.assert_end(next, State::Delivered, "");
    assert_eq!(bench.brevo.calls("PUT"), tries + 1, "only the attribute");
    assert_eq!(bench.letter_codes(), ["address-shared"]);
    let state = bench.brevo.state();
    let ours = state.contacts.values().find(|c| c.ext_id.is_some()).unwrap();
    assert_eq!(ours.email.as_deref(), Some("ada@x.org"));
    assert_eq!(ours.attributes["TIER"], json!("platinum"));
}

#[test]
fn a_first_address_needs_known_consent() {
    let bench = Bench::new();
    let nameless = person("u1", "");
    bench.brevo.put(FakeContact { ext_id: Some("u1".into()), ..FakeContact::default() });
    bench.upsert(&nameless, json!({}));
    bench.run();
    bench.wait(10);
    let add = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.assert_end(add, State::Held, "consent-unknown");
    assert_eq!(bench.contact().email, None);
    assert_eq!(bench.contact().attributes["TIER"], json!("gold"));
    bench.consent(&ada(), OptedOut, Flag, START);
    bench.run();
    bench.assert_end(add, State::Delivered, "");
    assert_eq!(bench.contact().email.as_deref(), Some("ada@x.org"));
    assert!(bench.contact().email_blocked);
}

#[test]
fn a_changed_phone_keeps_its_block_too() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.consent_on(&ada(), Channel::Sms, OptedOut, Signal, START);
    bench.upsert(&ada_with_phone(), json!({}));
    bench.run();
    bench.wait(10);
    let other = crate::contract::Person { phone: Some("+491609999999".into()), ..ada() };
    let change = bench.upsert(&other, json!({}));
    bench.run();
    bench.assert_end(change, State::Delivered, "");
    assert_eq!(bench.contact().phone.as_deref(), Some("491609999999"));
    assert!(bench.contact().sms_blocked);
}

#[test]
fn case_is_not_a_change() {
    let bench = Bench::new();
    delivered(&bench, true);
    let puts = bench.brevo.calls("PUT");
    let same = bench.upsert(&person("u1", "ADA@X.org"), json!({}));
    bench.run();
    bench.assert_end(same, State::Deduplicated, "no-change");
    assert_eq!(bench.brevo.calls("PUT"), puts);
}

#[test]
fn an_opt_in_waits_for_a_change_of_address_that_is_under_way() {
    let bench = Bench::new();
    delivered(&bench, true);
    let change = bench.upsert(&moved(), json!({}));
    let delivery = bench.delivery();
    let before = bench.brevo.arrivals();
    let limited = Fault::Answer(429, vec![("x-sib-ratelimit-reset", "30")], "{}".into());
    bench.brevo.state().nth_fault(before + 3, limited); // attributes, read, change, then this
    bench.run_with(&delivery, bench.now());
    bench.assert_end(change, State::Waiting, "rate-limited");
    let opt_in = bench.consent(&ada(), OptedIn, Signal, bench.now());
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(change, State::Delivered, "");
    bench.assert_end(opt_in, State::Delivered, "");
    assert!(!bench.contact().email_blocked, "the change did not set again what was lifted");
}
