use serde_json::json;

use super::bench::{Bench, START, ada, person};
use super::fake::{FakeContact, Fault};
use crate::registry::ConsentBasis::{Flag, Signal};
use crate::registry::ConsentStatus::{OptedIn, OptedOut};
use crate::registry::SuppressionReason;
use crate::store::outbox::State;

/// A person who is at Brevo and mailable.
fn delivered(bench: &Bench) {
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
}

#[test]
fn an_opt_out_blocks_once() {
    let bench = Bench::new();
    delivered(&bench);
    let first = bench.consent(&ada(), OptedOut, Flag, START + 1);
    let again = bench.consent(&ada(), OptedOut, Signal, START + 2);
    bench.run();
    bench.assert_end(first, State::Delivered, "");
    bench.assert_end(again, State::Deduplicated, "already-blocked");
    assert!(bench.contact().email_blocked);
}

#[test]
fn an_opt_out_does_not_wait_behind_a_contact_that_cannot_be_delivered() {
    let bench = Bench::new();
    delivered(&bench);
    bench.wait(10);
    for _ in 0..2 {
        bench.brevo.fault("PUT", Fault::Answer(425, vec![], String::new()));
    }
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(upsert, State::Waiting, "brevo-too-early");
    bench.brevo.state().faults.clear();
    let opt_out = bench.consent(&ada(), OptedOut, Signal, bench.now());
    bench.run_with(&delivery, bench.now());
    bench.assert_end(opt_out, State::Delivered, "");
    assert_eq!(bench.end(upsert).0, State::Waiting);
}

#[test]
fn a_suppression_blocks_and_outlives_an_opt_in() {
    let bench = Bench::new();
    delivered(&bench);
    let bounce = bench.suppress(&ada(), SuppressionReason::HardBounce, START + 1);
    let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 9);
    bench.run();
    bench.assert_end(bounce, State::Delivered, "");
    bench.assert_end(opt_in, State::Parked, "suppressed");
    assert!(bench.contact().email_blocked);
    assert_eq!(bench.letter_codes(), ["suppressed"]);
}

#[test]
fn an_opt_out_of_a_person_who_is_not_at_brevo_travels_with_the_call_that_creates_them() {
    let bench = Bench::new();
    let opt_out = bench.consent(&ada(), OptedOut, Signal, START);
    bench.run();
    bench.assert_end(opt_out, State::Coalesced, "travels-with-create");
    bench.upsert(&ada(), json!({}));
    bench.run();
    assert!(bench.contact().email_blocked);
    assert_eq!(bench.brevo.calls("PUT"), 0);
}

#[test]
fn an_opt_out_that_was_not_at_brevo_goes_with_a_contact_that_somebody_else_made_meanwhile() {
    let bench = Bench::new();
    bench.consent(&ada(), OptedOut, Signal, START);
    bench.run();
    bench.brevo.put(FakeContact { email: Some("ada@x.org".into()), ..FakeContact::default() });
    bench.wait(2 * 3_600_000);
    bench.event(&ada(), "seen");
    bench.run();
    assert!(bench.contact().email_blocked, "taking the contact over blocks it first");
}

#[test]
fn a_later_opt_out_in_the_outbox_is_known_to_an_earlier_create() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.consent(&ada(), OptedOut, Flag, START + 5);
    bench.run();
    assert!(bench.brevo.state().unblocked.is_empty());
    assert_eq!(bench.brevo.calls("PUT"), 0, "it was created blocked");
    assert!(bench.contact().email_blocked);
}

#[test]
fn a_newer_explicit_opt_in_lifts_a_block_of_this_host() {
    let bench = Bench::new();
    delivered(&bench);
    bench.consent(&ada(), OptedOut, Signal, START + 1);
    bench.run();
    let flag = bench.consent(&ada(), OptedIn, Flag, START + 50);
    bench.run();
    bench.assert_end(flag, State::Deduplicated, "flag-lifts-nothing");
    assert!(bench.contact().email_blocked);
    let signal = bench.consent(&ada(), OptedIn, Signal, START + 60);
    bench.run();
    bench.assert_end(signal, State::Delivered, "");
    assert!(!bench.contact().email_blocked);
    let again = bench.consent(&ada(), OptedIn, Signal, START + 70);
    bench.run();
    bench.assert_end(again, State::Deduplicated, "not-blocked");
}

#[test]
fn an_older_or_undated_opt_in_lifts_nothing() {
    let bench = Bench::new();
    delivered(&bench);
    bench.consent(&ada(), OptedOut, Signal, START + 10);
    bench.run();
    for at in [START + 10, START + 9] {
        let opt_in = bench.consent(&ada(), OptedIn, Signal, at);
        bench.run();
        bench.assert_end(opt_in, State::Superseded, "newer-opt-out");
    }
    let said = json!({ "channel": "email", "status": "opted-in", "basis": "signal" });
    let undated = bench.admit("brevo/set-consent", &ada(), said, None, None);
    bench.run();
    bench.assert_end(undated, State::Refused, "opt-in-undated");
    assert!(bench.contact().email_blocked);
}

#[test]
fn an_opt_out_made_at_brevo_is_never_undone() {
    // By whom and when the person was unsubscribed at Brevo, and whether the opt-in may lift it.
    for (unsubscribed_at, lifted) in [(None, false), (Some(START + 100), false), (Some(START + 20), true)] {
        let bench = Bench::new();
        delivered(&bench);
        {
            let mut state = bench.brevo.state();
            let contact = state.contacts.values_mut().next().unwrap();
            (contact.email_blocked, contact.user_unsubscribed_at) = (true, unsubscribed_at);
        }
        bench.wait(200);
        // Everything that is not an explicit opt-in leaves it alone.
        bench.upsert(&ada(), json!({ "TIER": "gold" }));
        bench.upsert(&person("u1", "ada.new@x.org"), json!({ "TIER": "gold" }));
        bench.consent(&ada(), OptedIn, Flag, START + 60);
        bench.event(&ada(), "seen");
        bench.run();
        assert!(bench.contact().email_blocked);
        assert_eq!(bench.contact().email.as_deref(), Some("ada.new@x.org"));

        let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 50);
        bench.run();
        assert_eq!(bench.contact().email_blocked, !lifted);
        if lifted {
            bench.assert_end(opt_in, State::Delivered, "");
        } else {
            bench.assert_end(opt_in, State::Parked, "block-not-ours");
            assert_eq!(bench.letter_codes(), ["block-not-ours"]);
        }
    }
}

#[test]
fn a_block_that_stood_before_ours_is_not_ours() {
    let bench = Bench::new();
    delivered(&bench);
    bench.brevo.state().contacts.values_mut().next().unwrap().email_blocked = true;
    bench.consent(&ada(), OptedOut, Signal, START + 1);
    let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 50);
    bench.run();
    bench.assert_end(opt_in, State::Parked, "block-not-ours");
    assert!(bench.contact().email_blocked);
}

#[test]
fn brevo_is_read_again_before_each_attempt_to_lift() {
    let bench = Bench::new();
    delivered(&bench);
    bench.consent(&ada(), OptedOut, Signal, START + 1);
    bench.run();
    bench.brevo.fault("PUT", Fault::RequestLost);
    let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 50);
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(opt_in, State::Waiting, "brevo-unavailable");
    // Between the attempts the person unsubscribes by a link.
    bench.brevo.state().contacts.values_mut().next().unwrap().user_unsubscribed_at = Some(START + 70);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(opt_in, State::Parked, "block-not-ours");
    assert!(bench.contact().email_blocked);
}

#[test]
fn an_opt_out_holds_for_the_mailbox_whoever_it_is_filed_under() {
    let bench = Bench::new();
    bench.brevo.put(FakeContact {
        ext_id: Some("other".into()),
        email: Some("ada@x.org".into()),
        ..FakeContact::default()
    });
    let opt_out = bench.consent(&ada(), OptedOut, Signal, START);
    bench.run();
    bench.assert_end(opt_out, State::Delivered, "");
    assert!(bench.contact().email_blocked);
    assert_eq!(bench.contact().ext_id.as_deref(), Some("other"));
    let opt_in = bench.consent(&ada(), OptedIn, Signal, START + 5);
    bench.run();
    bench.assert_end(opt_in, State::Parked, "address-shared");
    assert!(bench.contact().email_blocked, "nobody is re-subscribed on a guess");
}
