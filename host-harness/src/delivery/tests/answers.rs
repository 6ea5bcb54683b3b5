//! Every row of the table of Brevo's answers leads to what the table says.

use serde_json::json;

use super::bench::{Bench, MINUTE, ada, person};
use super::fake::Fault;
use crate::brevo::errors::{Kind, Remedy, SIGNS, Sign};
use crate::delivery::Step;
use crate::registry::ConsentBasis::Flag;
use crate::registry::ConsentStatus::OptedOut;
use crate::store::outbox::State;

/// A person who is at Brevo, and their contact's attributes are known.
fn at_brevo() -> Bench {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    bench
}

fn answer(sign: &Sign) -> Fault {
    let code = sign.codes.first().copied().unwrap_or_default();
    let message = sign.words.first().copied().unwrap_or("no such words");
    Fault::Answer(sign.statuses.1.min(599), vec![], json!({ "code": code, "message": message }).to_string())
}

/// The action met the answer once: what becomes of it, of others meanwhile, and in the end.
fn becomes(bench: &Bench, action: i64, kind: &Kind, unknown: bool) {
    let rule = kind.rule();
    let delivery = bench.delivery();
    let letters = |codes: &[&str]| assert_eq!(bench.letter_codes(), codes, "{kind:?}");
    bench.run_with(&delivery, bench.now());
    match rule.remedy {
        Remedy::GiveUp => {
            bench.assert_end(action, State::Failed, rule.code);
            letters(&[rule.code]);
            assert_eq!(bench.letters()[0].actor, rule.actor.as_str());
            return;
        }
        Remedy::PauseAccount => {
            bench.assert_end(action, State::Waiting, rule.code);
            letters(&[rule.code]);
            assert_eq!(delivery.step().unwrap(), Step::Idle(Some(bench.now() + 15 * MINUTE)));
        }
        Remedy::PauseFamily => {
            bench.assert_end(action, State::Waiting, rule.code);
            letters(&[rule.code]);
            assert_eq!(bench.letters()[0].actor, rule.actor.as_str());
            assert_eq!(bench.action(action).attempts, 0, "{kind:?}");
        }
        Remedy::Wait => {
            bench.assert_end(action, State::Waiting, rule.code);
            assert_eq!(bench.action(action).attempts, 0);
            letters(&[]);
        }
        Remedy::ReadBack | Remedy::Retry if unknown => {
            bench.assert_end(action, State::Parked, "outcome-unknown");
            letters(&[]);
        }
        Remedy::ReadBack | Remedy::Retry => {
            bench.assert_end(action, State::Waiting, rule.code);
            assert_eq!(bench.action(action).attempts, 1, "{kind:?}");
            letters(&[]);
        }
    }
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(action, State::Delivered, "");
    letters(&[]);
}

#[test]
fn every_answer_to_an_update_leads_to_what_the_table_says() {
    for sign in SIGNS {
        // These are about the contact itself, and looked into (`contacts`, `addresses`).
        if matches!(sign.kind, Kind::NotFound | Kind::Duplicate(_)) {
            continue;
        }
        let bench = at_brevo();
        bench.brevo.fault("PUT", answer(sign));
        let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
        becomes(&bench, upsert, &sign.kind, false);
    }
}

#[test]
fn every_answer_to_an_event_leads_to_what_the_table_says_and_none_is_doubled() {
    for sign in SIGNS {
        let bench = at_brevo();
        bench.brevo.fault("POST /events", answer(sign));
        let event = bench.event(&ada(), "seen");
        let rule = sign.kind.rule();
        // Neither of them says that nothing happened.
        let unknown = rule.remedy == Remedy::ReadBack || sign.kind == Kind::Unexpected;
        becomes(&bench, event, &sign.kind, unknown);
        let there = if rule.remedy == Remedy::GiveUp { 0 } else { 1 };
        assert_eq!(bench.event_names().len(), there, "{:?}", sign.kind);
    }
}

/// A key may have access to some calls and not to others.
#[test]
fn n17_a_scope_that_is_missing_stops_the_calls_that_need_it_and_no_others() {
    for sign in SIGNS.iter().filter(|sign| sign.kind.rule().remedy == Remedy::PauseFamily) {
        let code = sign.kind.rule().code;
        // Events are refused, contacts go on.
        let bench = at_brevo();
        bench.brevo.fault("POST /events", answer(sign));
        let event = bench.event(&ada(), "seen");
        let delivery = bench.delivery();
        bench.run_with(&delivery, bench.now());
        let opt_out = bench.consent(&ada(), OptedOut, Flag, bench.now());
        bench.run_with(&delivery, bench.now());
        bench.assert_end(event, State::Waiting, code);
        bench.assert_end(opt_out, State::Delivered, "");
        // Contacts are refused, events of who is there go on.
        let bench = at_brevo();
        bench.brevo.fault("PUT", answer(sign));
        let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
        let delivery = bench.delivery();
        bench.run_with(&delivery, bench.now());
        let other = person("u2", "b@x.org");
        bench.mailable(&other);
        let waits = bench.upsert(&other, json!({}));
        bench.run_with(&delivery, bench.now());
        bench.assert_end(upsert, State::Waiting, code);
        bench.assert_end(waits, State::Waiting, "");
        assert_eq!(bench.letter_codes(), [code], "one letter for the calls, not one for each action");
    }
}

#[test]
fn n17_attributes_that_may_not_be_read_are_shown_and_the_letter_goes_when_they_may() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let scope = r#"{"code":"unauthorized","message":"Insufficient scope"}"#;
    bench.brevo.fault("GET /contacts/attributes", Fault::Answer(401, vec![], scope.into()));
    let upsert = bench.upsert(&ada(), json!({}));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(upsert, State::Waiting, "");
    assert_eq!(bench.letter_codes(), ["brevo-missing-scope"]);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.letter_codes(), Vec::<String>::new());
}

#[test]
fn n17_reading_back_that_is_refused_stops_nothing_that_is_counted_with_it() {
    let bench = at_brevo();
    bench.brevo.fault("POST /events", Fault::AnswerLost);
    let lost = bench.event(&ada(), "lost");
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(lost, State::Parked, "outcome-unknown");
    let refused = Fault::Answer(403, vec![], r#"{"code":"permission_denied","message":"no"}"#.into());
    bench.brevo.fault("GET /events", refused);
    bench.run_with(&delivery, bench.now() + 15 * MINUTE);
    assert_eq!(bench.letter_codes(), ["brevo-forbidden"]);
    assert!(bench.letters()[0].pointer.as_deref() == Some("calls:read-back"));
    // Batches are counted in the same window, and go.
    let many: Vec<i64> = (0..25).map(|n| bench.event(&ada(), &format!("e{n}"))).collect();
    bench.run_with(&delivery, bench.now());
    assert!(many.iter().all(|id| bench.end(*id).0 == State::Delivered));
    assert!(bench.brevo.calls("POST /events/batch") > 0);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(lost, State::Delivered, "");
    assert_eq!(bench.event_names().iter().filter(|name| *name == "lost").count(), 1);
    assert_eq!(bench.letter_codes(), Vec::<String>::new());
}
