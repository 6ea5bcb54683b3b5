//! Records of objects: few calls, the newest revision last, and what Brevo keeps silent about shown.

use serde_json::{Value, json};

use super::bench::{Bench, MINUTE};
use super::fake::{Fate, Fault, unless_killed};
use crate::store::outbox::State;

const HOUR: i64 = 60 * MINUTE;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.brevo.state().object_type("campaign", &["name", "status"]);
    bench
}

fn record(bench: &Bench, kind: &str, id: &str, attributes: Value) -> i64 {
    let body = json!({ "type": kind, "ext_id": id, "attributes": attributes });
    bench.about(&format!("{kind} {id}"), "brevo/upsert-object", body, None)
}

fn campaign(bench: &Bench, id: &str, name: &str) -> i64 {
    record(bench, "campaign", id, json!({ "name": name }))
}

fn name_at_brevo(bench: &Bench, id: &str) -> String {
    let state = bench.brevo.state();
    state.things.records[&("campaign".to_owned(), id.to_owned())]["name"].as_str().unwrap().to_owned()
}

const UPSERT: &str = "POST /objects/{type}/batch/upsert";

#[test]
fn what_waits_of_one_type_rides_together_and_counts_once_brevo_is_done() {
    let bench = bench();
    bench.brevo.state().things.delay = 3 * MINUTE;
    bench.brevo.state().object_type("flow", &["name"]);
    let ids: Vec<i64> = (0..2_300).map(|n| campaign(&bench, &format!("c{n}"), "x")).collect();
    let flow = record(&bench, "flow", "f", json!({ "name": "y" }));
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(ids[0], State::Waiting, "accepted");
    bench.run_with(&delivery, i64::MAX);
    assert!(ids.iter().chain([&flow]).all(|id| bench.end(*id) == (State::Delivered, None)));
    assert_eq!(bench.brevo.calls(UPSERT), 4);
    assert_eq!(bench.brevo.state().things.records.len(), 2_301);
    assert!(bench.brevo.calls("") <= 4 + 4 * 2 + 2, "{} calls", bench.brevo.calls(""));
}

#[test]
fn large_records_share_several_calls() {
    let bench = bench();
    let text = "x".repeat(200_000);
    let ids: Vec<i64> = (0..10).map(|n| campaign(&bench, &format!("c{n}"), &text)).collect();
    let too_large = campaign(&bench, "large", &"x".repeat(1_000_000));
    bench.run();
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    assert_eq!(bench.brevo.calls(UPSERT), 3);
    bench.assert_end(too_large, State::Failed, "object-too-large");
}

#[test]
fn what_trickles_in_leaves_the_account_most_of_its_calls() {
    let bench = bench();
    let delivery = bench.delivery();
    for n in 0..120 {
        campaign(&bench, &format!("c{n}"), "x");
        bench.run_with(&delivery, bench.now());
        bench.wait(MINUTE / 2);
    }
    assert!(bench.brevo.calls(UPSERT) <= 20, "{} calls in an hour", bench.brevo.calls(UPSERT));
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.brevo.state().things.records.len(), 120);
}

#[test]
fn a_newer_revision_waits_for_brevos_work_on_the_older_one() {
    let bench = bench();
    bench.brevo.state().things.delay = 40 * MINUTE;
    let old = campaign(&bench, "c", "old");
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    let new = campaign(&bench, "c", "new");
    bench.assert_end(old, State::Waiting, "accepted");
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(old, State::Delivered, "");
    bench.assert_end(new, State::Delivered, "");
    assert_eq!(name_at_brevo(&bench, "c"), "new");
}

#[test]
fn a_waiting_revision_is_replaced_only_where_nothing_of_it_is_lost() {
    let bench = bench();
    let old = campaign(&bench, "c", "old");
    let with_status = record(&bench, "campaign", "c", json!({ "name": "older", "status": "s" }));
    let new = campaign(&bench, "c", "new");
    bench.assert_end(old, State::Coalesced, "replaced");
    bench.run();
    bench.assert_end(with_status, State::Delivered, "");
    bench.assert_end(new, State::Delivered, "");
    assert_eq!(name_at_brevo(&bench, "c"), "new");
}

#[test]
fn w10_whatever_a_call_comes_to_the_newest_revision_stands() {
    let run = |disturbed: Option<(usize, Fault)>| {
        let bench = bench();
        let first = record(&bench, "campaign", "c", json!({ "name": "old", "status": "s" }));
        campaign(&bench, "d", "other");
        let delivery = bench.delivery();
        if let Some((at, fault)) = disturbed {
            bench.brevo.state().nth_fault(at, fault);
        }
        if unless_killed(|| bench.run_with(&delivery, bench.now())).is_some() {
            bench.wait(5);
        }
        let second = campaign(&bench, "c", "new");
        while unless_killed(|| bench.run()).is_none() {}
        for id in [first, second] {
            bench.assert_end(id, State::Delivered, "");
        }
        assert!(bench.letters().is_empty());
        bench
    };
    let calls = run(None).brevo.calls("");
    assert_eq!(calls, 5, "two batches, two processes, one look at the attributes");
    for at in 0..calls {
        for fault in [
            Fault::AnswerLost,
            Fault::RequestLost,
            Fault::NotSent,
            Fault::DiesBefore,
            Fault::DiesAfter,
            Fault::DoneBut(504, "<html>".into()),
            Fault::Answer(500, vec![], String::new()),
            Fault::Answer(202, vec![], "<html>".into()),
        ] {
            let bench = run(Some((at, fault.clone())));
            assert_eq!(name_at_brevo(&bench, "c"), "new", "call {at}, {fault:?}");
            assert_eq!(name_at_brevo(&bench, "d"), "other", "call {at}, {fault:?}");
        }
    }
}

#[test]
fn an_older_record_that_was_put_aside_is_over_once_a_newer_one_is_there() {
    let bench = bench();
    let refusal = r#"{"code":"invalid_parameter","message":"no"}"#;
    bench.brevo.fault(UPSERT, Fault::Answer(400, vec![], refusal.into()));
    let old = campaign(&bench, "c", "old");
    bench.run();
    bench.assert_end(old, State::Failed, "brevo-refused");
    let new = campaign(&bench, "c", "new");
    bench.run();
    bench.assert_end(new, State::Delivered, "");
    bench.assert_end(old, State::Superseded, "newer-revision");
    assert!(bench.letters().is_empty());
}

#[test]
fn n19_one_poison_record_is_found_among_many_and_stops_nobody() {
    let bench = bench();
    let ids: Vec<i64> = (0..300)
        .map(|n| campaign(&bench, &if n == 170 { "poison".to_owned() } else { format!("c{n}") }, "x"))
        .collect();
    bench.run();
    bench.assert_end(ids[170], State::Failed, "brevo-refused");
    assert_eq!(ids.iter().filter(|id| bench.end(**id).0 == State::Delivered).count(), 299);
    assert_eq!(bench.letter_codes(), ["brevo-refused"]);
    assert!(bench.brevo.calls(UPSERT) <= 20, "{} calls", bench.brevo.calls(UPSERT));
}

#[test]
fn a_type_that_is_not_there_is_the_tenants_and_stops_its_own_records_only() {
    let bench = bench();
    let delivery = bench.delivery();
    let flows: Vec<i64> =
        (0..5).map(|n| record(&bench, "flow", &format!("f{n}"), json!({ "name": "x" }))).collect();
    bench.run_with(&delivery, bench.now());
    let later = record(&bench, "flow", "later", json!({ "name": "x" }));
    let other = campaign(&bench, "c", "x");
    bench.run_with(&delivery, bench.now() + 10 * MINUTE);
    bench.assert_end(other, State::Delivered, "");
    bench.assert_end(flows[0], State::Waiting, "object-type-unknown");
    bench.assert_end(later, State::Waiting, "object-type-unknown");
    assert_eq!(bench.brevo.calls(UPSERT), 2, "nobody asks again at once");
    bench.run_with(&delivery, bench.now() + HOUR);
    let letters = bench.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].code.as_str(), letters[0].actor.as_str()), ("object-type-unknown", "tenant"));
    assert_eq!(letters[0].pointer.as_deref(), Some("object:flow"));
    bench.brevo.state().object_type("flow", &["name"]);
    bench.run_with(&delivery, i64::MAX);
    assert!(flows.iter().chain([&later]).all(|id| bench.end(*id).0 == State::Delivered));
    assert!(bench.letters().is_empty(), "it is well again");
}

#[test]
fn n17_objects_that_the_plan_does_not_have_stop_nothing_else() {
    let bench = bench();
    bench.brevo.state().things.objects_are_off = true;
    let waits = campaign(&bench, "c", "x");
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    let not_after = Some(bench.now() + HOUR);
    let note = bench.about("c", "brevo/add-note", json!({ "text": "n" }), not_after);
    bench.run_with(&delivery, bench.now() + MINUTE);
    bench.assert_end(waits, State::Waiting, "brevo-forbidden");
    bench.assert_end(note, State::Delivered, "");
    let letter = bench.letters().pop().unwrap();
    assert_eq!((letter.actor.as_str(), letter.pointer.as_deref()), ("tenant", Some("calls:objects")));
    bench.brevo.state().things.objects_are_off = false;
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(waits, State::Delivered, "");
    assert!(bench.letters().is_empty());
}

#[test]
fn attributes_that_brevo_drops_in_silence_are_named_until_they_are_there() {
    let bench = bench();
    let delivery = bench.delivery();
    let body = json!({ "name": "x", "status": "", "open_rate": 0.5, "clicks": 3 });
    let first = record(&bench, "campaign", "c", body.clone());
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(first, State::Delivered, "");
    let pointers =
        |bench: &Bench| bench.letters().into_iter().filter_map(|letter| letter.pointer).collect::<Vec<_>>();
    assert_eq!(pointers(&bench), ["object:campaign.clicks", "object:campaign.open_rate"]);
    assert!(bench.letters().iter().all(|l| l.code == "object-attribute-missing" && l.actor == "tenant"));
    bench.brevo.state().object_type("campaign", &["name", "status", "open_rate"]);
    record(&bench, "campaign", "d", body.clone());
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.brevo.calls("GET /objects"), 1, "not with every batch");
    bench.wait(HOUR);
    record(&bench, "campaign", "e", body.clone());
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(pointers(&bench), ["object:campaign.clicks"]);
    bench.brevo.state().object_type("campaign", &["name", "status", "open_rate", "clicks"]);
    bench.wait(HOUR);
    record(&bench, "campaign", "f", body.clone());
    bench.run_with(&delivery, i64::MAX);
    assert!(bench.letters().is_empty());
    bench.wait(2 * HOUR);
    record(&bench, "campaign", "g", body);
    bench.run_with(&delivery, i64::MAX);
    assert_eq!(bench.brevo.calls("GET /objects"), 3, "what was seen once is not looked for again");
}

#[test]
fn a_batch_that_brevo_fails_to_work_on_is_sent_again_a_few_times() {
    let bench = bench();
    bench.brevo.state().things.fates = vec![Fate::Fails, Fate::Fails];
    let lucky = campaign(&bench, "c", "x");
    bench.run();
    bench.assert_end(lucky, State::Delivered, "");
    assert_eq!(bench.brevo.calls(UPSERT), 3);
    bench.brevo.state().things.fates = vec![Fate::Fails; 12];
    let unlucky = campaign(&bench, "d", "x");
    bench.run();
    bench.assert_end(unlucky, State::Failed, "object-process-failed");
    assert_eq!(bench.letter_codes(), ["object-process-failed"]);
    bench.requeue(false);
    bench.run();
    bench.assert_end(unlucky, State::Delivered, "");
}

#[test]
fn a_process_that_nobody_may_ask_after_leaves_the_acceptance_to_count() {
    let bench = bench();
    bench.brevo.state().things.fates = vec![Fate::Hidden];
    let id = campaign(&bench, "c", "x");
    bench.run();
    bench.assert_end(id, State::Delivered, "");
    assert_eq!(name_at_brevo(&bench, "c"), "x");
}

#[test]
fn a_batch_that_brevo_never_finishes_is_an_operators() {
    let bench = bench();
    bench.brevo.state().things.delay = 100 * HOUR;
    let id = campaign(&bench, "c", "x");
    let begun = bench.now();
    bench.run();
    bench.assert_end(id, State::Failed, "object-process-stuck");
    assert!(bench.now() - begun > 5 * HOUR);
    assert!(bench.brevo.calls("GET /processes") <= 12, "asked after ever more seldom");
}
