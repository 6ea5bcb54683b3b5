//! Refusals, pauses, rate windows and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::SecretString;
use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada, person};
use super::fake::{Fault, unless_killed};
use crate::delivery::Step;
use crate::registry::ConsentBasis::Flag;
use crate::registry::ConsentStatus::OptedOut;
use crate::store::StoreError;
use crate::store::outbox::{State, take};

const KEY: &str = r#"{"code":"unauthorized","message":"Key not found"}"#;
const IP: &str = r#"{"code":"unauthorized","message":"unrecognised IP address 1.2.3.4, see app.brevo.com/security/authorised_ips"}"#;

#[test]
fn n16_a_refused_key_pauses_the_account_and_loses_nothing() {
    for (body, code, actor) in [(KEY, "brevo-bad-key", "tenant"), (IP, "brevo-ip-not-authorised", "operator")]
    {
        let bench = Bench::new();
        bench.mailable(&ada());
        let ids = [bench.upsert(&ada(), json!({})), bench.event(&ada(), "seen")];
        let delivery = bench.delivery();
        for _ in 0..3 {
            bench.brevo.fault("", Fault::Answer(401, vec![], body.into()));
        }
        bench.run_with(&delivery, bench.now());
        assert_eq!(delivery.step().unwrap(), Step::Idle(Some(bench.now() + 15 * MINUTE)));
        assert_eq!(bench.letter_codes(), [code]);
        assert_eq!(bench.letters()[0].actor, actor);
        assert!(ids.iter().all(|id| bench.end(*id).0 == State::Waiting));
        assert!(ids.iter().all(|id| bench.action(*id).attempts == 0), "waiting costs no attempts");
        bench.run_with(&delivery, i64::MAX);
        assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
        assert!(bench.letters().is_empty(), "it is well again");
        assert_eq!(bench.brevo.calls(""), 3 + 2 + 2 + 2, "one probe at a time");
    }
}

#[test]
fn a_missing_key_pauses_the_account_until_it_is_there() {
    let mut bench = Bench::new();
    let there = Arc::new(AtomicBool::new(false));
    let seen = there.clone();
    bench.options.api_key = Arc::new(move || seen.load(Ordering::SeqCst).then(|| SecretString::from("k")));
    bench.mailable(&ada());
    let upsert = bench.upsert(&ada(), json!({}));
    let delivery = bench.delivery();
    bench.run_with(&delivery, START + MINUTE);
    assert_eq!(bench.letter_codes(), ["brevo-key-missing"]);
    there.store(true, Ordering::SeqCst);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(upsert, State::Delivered, "");
}

#[test]
fn n17_what_one_family_may_not_do_stops_only_that_family() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    bench.brevo.fault("POST /events", Fault::Answer(403, vec![], r#"{"code":"permission_denied"}"#.into()));
    let event = bench.event(&ada(), "seen");
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    let opt_out = bench.consent(&ada(), OptedOut, Flag, bench.now());
    bench.run_with(&delivery, bench.now());
    bench.assert_end(event, State::Waiting, "brevo-forbidden");
    bench.assert_end(opt_out, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["brevo-forbidden"]);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.letter_codes(), Vec::<String>::new(), "closed by itself");
}

#[test]
fn something_else_in_brevos_place_is_shown_and_the_letter_goes_when_brevo_answers() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let upsert = bench.upsert(&ada(), json!({}));
    for _ in 0..3 {
        let page = Fault::Answer(404, vec![], "<html>no such page</html>".into());
        bench.brevo.fault("GET /contacts/attributes", page);
    }
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(upsert, State::Waiting, "");
    assert_eq!(bench.letter_codes(), ["brevo-unexpected"]);
    assert!(bench.letters()[0].remedy.contains("base URL"));
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.letter_codes(), Vec::<String>::new(), "one letter, closed by itself");
}

#[test]
fn n13_a_429_is_obeyed_and_costs_no_attempt() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let upsert = bench.upsert(&ada(), json!({}));
    bench.brevo.fault("GET /contacts/attributes", Fault::Answer(200, vec![], r#"{"attributes":[]}"#.into()));
    bench.brevo.fault("POST /contacts", Fault::Answer(201, vec![], String::new())); // TIER
    bench.brevo.fault("POST /contacts", Fault::Answer(201, vec![], String::new())); // POINTS
    let limited = vec![("x-sib-ratelimit-reset", "37")];
    bench.brevo.fault("POST /contacts", Fault::Answer(429, limited, "{}".into()));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    assert_eq!(delivery.step().unwrap(), Step::Idle(Some(bench.now() + 37_000)));
    bench.assert_end(upsert, State::Waiting, "rate-limited");
    assert_eq!(bench.action(upsert).attempts, 0);
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(upsert, State::Delivered, "");
    assert!(bench.now() >= START + 37_000);
}

#[test]
fn the_documented_rates_are_never_exceeded_even_across_restarts() {
    let bench = Bench::new();
    for n in 0..40 {
        let who = person(&format!("u{n}"), &format!("p{n}@x.org"));
        bench.mailable(&who);
        bench.upsert(&who, json!({}));
    }
    let mut made: Vec<(i64, usize)> = Vec::new();
    let mut delivery = bench.delivery();
    for round in 0.. {
        if round % 7 == 0 {
            delivery = bench.delivery(); // as after a restart
        }
        let before = bench.brevo.calls("");
        match delivery.step().unwrap() {
            Step::Worked => made.push((bench.now(), bench.brevo.calls("") - before)),
            Step::Idle(Some(next)) => bench.wait(next - bench.now()),
            Step::Idle(None) => break,
        }
    }
    assert!(made.iter().map(|(_, calls)| calls).sum::<usize>() > 40);
    for (start, _) in &made {
        let within: usize =
            made.iter().filter(|(at, _)| (*start..start + 1_000).contains(at)).map(|(_, n)| n).sum();
        assert!(within <= 10, "{within} calls within a second");
    }
    assert_eq!(bench.brevo.state().contacts.len(), 40);
}

#[test]
fn what_fails_as_often_as_allowed_is_a_letter_and_can_be_requeued() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    for _ in 0..12 {
        bench.brevo.fault("PUT", Fault::Answer(425, vec![], String::new()));
    }
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    let event = bench.event(&ada(), "seen");
    bench.run();
    bench.assert_end(upsert, State::Failed, "brevo-too-early");
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["brevo-too-early"]);
    bench.requeue(false);
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
}

#[test]
fn n14_an_outage_does_not_use_up_every_actions_attempts() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for n in 0..20 {
        let who = person(&format!("u{n}"), &format!("p{n}@x.org"));
        bench.mailable(&who);
        ids.push(bench.upsert(&who, json!({})));
    }
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    for _ in 0..60 {
        bench.brevo.fault("POST /contacts", Fault::Answer(503, vec![], String::new()));
    }
    bench.run_with(&delivery, i64::MAX);
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    assert!(bench.letters().is_empty());
    assert_eq!(bench.brevo.state().contacts.len(), 20);
}

#[test]
fn a_malformed_request_is_the_connector_authors() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    let body = r#"{"code":"invalid_parameter","message":"attributes is invalid for ada@x.org"}"#;
    bench.brevo.fault("PUT", Fault::Answer(400, vec![], body.into()));
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run();
    bench.assert_end(upsert, State::Failed, "brevo-refused");
    let letter = bench.letters().pop().unwrap();
    assert_eq!((letter.code.as_str(), letter.actor.as_str()), ("brevo-refused", "connector-author"));
    assert!(!letter.message.contains('@') && !letter.remedy.contains('@'), "no personal data");
}

/// What a process that was killed with an action in flight left behind.
fn killed_with(bench: &Bench, ids: &[i64]) {
    bench
        .store
        .write::<_, StoreError>(|tx| ids.iter().try_for_each(|id| take(tx, *id, bench.now())))
        .unwrap();
}

#[test]
fn w10_after_a_kill_what_was_in_flight_is_recovered_by_its_kind() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    killed_with(&bench, &[upsert]);
    let other = person("u2", "b@x.org");
    bench.mailable(&other);
    bench.upsert(&other, json!({}));
    bench.run();
    bench.assert_end(upsert, State::Delivered, "");
    let event = bench.event(&ada(), "seen");
    killed_with(&bench, &[event]);
    let delivery = bench.delivery();
    bench.assert_end(event, State::Parked, "outcome-unknown");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.event_names(), ["seen"], "read back, proven absent, sent");
}

#[test]
fn h16_an_action_that_dies_with_the_process_is_put_aside() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
    bench.wait(10);
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    for _ in 0..12 {
        killed_with(&bench, &[upsert]);
        bench.delivery();
    }
    bench.assert_end(upsert, State::Failed, "delivery-interrupted");
    assert_eq!(bench.letter_codes(), ["delivery-interrupted"]);
}

#[test]
fn w10_a_lost_answer_or_a_kill_at_any_call_doubles_nothing_and_loses_nothing() {
    // First the calls of an undisturbed run are counted, then each of them goes wrong once.
    let run = |disturbed: Option<(usize, Fault)>| -> (usize, Bench) {
        let bench = Bench::new();
        bench.consent(&ada(), OptedOut, Flag, START);
        bench.upsert(&ada(), json!({ "TIER": "gold" }));
        bench.event(&ada(), "first");
        let moved = person("u1", "ada.new@x.org");
        bench.wait(5);
        bench.upsert(&moved, json!({ "TIER": "platinum" }));
        bench.event(&moved, "second");
        if let Some((at, fault)) = disturbed {
            bench.brevo.state().nth_fault(at, fault);
        }
        // A kill leaves everything where it stood; the next start recovers it.
        while unless_killed(|| bench.run()).is_none() {}
        (bench.brevo.calls(""), bench)
    };
    let (calls, undisturbed) = run(None);
    let expected = undisturbed.contact();
    assert!(calls >= 10 && expected.email_blocked);
    for at in 0..calls {
        for fault in
            [Fault::AnswerLost, Fault::RequestLost, Fault::NotSent, Fault::DiesBefore, Fault::DiesAfter]
        {
            let (_, bench) = run(Some((at, fault.clone())));
            assert_eq!(bench.contact(), expected, "call {at}, {fault:?}");
            let mut names = bench.event_names();
            names.sort();
            assert_eq!(names, ["first", "second"], "call {at}, {fault:?}");
            assert!(bench.letters().is_empty(), "call {at}, {fault:?}: {:?}", bench.letter_codes());
        }
    }
}

#[test]
fn two_threads_never_work_for_one_person_and_lose_nothing() {
    let bench = Bench::new();
    let people: Vec<_> = (0..6).map(|n| person(&format!("u{n}"), &format!("p{n}@x.org"))).collect();
    for person in &people {
        bench.mailable(person);
        bench.upsert(person, json!({}));
        for n in 0..5 {
            bench.event(person, &format!("e{n}"));
        }
    }
    let delivery = bench.delivery();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    match delivery.step().unwrap() {
                        Step::Worked => {}
                        Step::Idle(None) => break,
                        Step::Idle(Some(next)) => bench.wait((next - bench.now()).clamp(1, 1_000)),
                    }
                }
            });
        }
    });
    let state = bench.brevo.state();
    assert_eq!((state.contacts.len(), state.events.len()), (6, 30));
    for contact in state.contacts.keys() {
        let names: Vec<_> =
            state.events.iter().filter(|e| e.contact == *contact).map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["e0", "e1", "e2", "e3", "e4"]);
    }
}

#[test]
fn choosing_the_next_action_uses_the_indexes() {
    let bench = Bench::new();
    bench.mailable(&ada());
    let plans = bench
        .store
        .read::<_, StoreError>(|tx| {
            let sql = &*crate::delivery::claim::HEAD;
            let mut statement = tx.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let count = statement.parameter_count();
            let nulls = vec![rusqlite::types::Null; count];
            let rows =
                statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
        .unwrap();
    let text = plans.join("\n");
    for index in ["action_next", "action_lane", "action_thing"] {
        assert!(text.contains(index), "{text}");
    }
    assert!(!text.contains("SCAN") && !text.contains("TEMP B-TREE"), "{text}");
}
