use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada, person};
use super::fake::Fault;
use crate::brevo::events::effect_text;
use crate::store::dead_letters::RequeueError;
use crate::store::outbox::State;

fn delivered(bench: &Bench) {
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run();
}

fn crowd(bench: &Bench, size: usize) -> Vec<crate::contract::Person> {
    let people: Vec<_> = (0..size).map(|n| person(&format!("u{n}"), &format!("p{n}@x.org"))).collect();
    for person in &people {
        bench.mailable(person);
        bench.upsert(person, json!({}));
    }
    bench.run();
    people
}

#[test]
fn an_event_is_sent_once_with_its_date_and_key() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    let event = bench.event(&ada(), "seen");
    bench.wait(7 * MINUTE);
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    let state = bench.brevo.state();
    assert_eq!(state.events.len(), 1);
    assert_eq!(state.events[0].date, START, "its own date, not that of the call");
    drop(state);
    let effect = bench.action(event).effect;
    assert_eq!(bench.brevo.state().events[0].effect(), effect_text(effect));
}

#[test]
fn old_news_is_never_sent() {
    let bench = Bench::new();
    delivered(&bench);
    let body = json!({ "event": "seen" });
    let late = bench.admit("brevo/track-event", &ada(), body.clone(), Some(START), Some(bench.now() - 1));
    let held_for = person("u2", "b@x.org");
    let not_after = Some(bench.now() + 5 * MINUTE);
    let held = bench.admit("brevo/track-event", &held_for, body, Some(START), not_after);
    bench.run();
    bench.assert_end(late, State::Expired, "too-old");
    bench.assert_end(held, State::Expired, "too-old");
    assert!(bench.brevo.state().events.is_empty());
}

#[test]
fn the_events_of_a_person_keep_their_order_and_follow_the_contact() {
    let bench = Bench::new();
    bench.mailable(&ada());
    bench.brevo.fault("POST /contacts", Fault::Answer(425, vec![], String::new()));
    bench.upsert(&ada(), json!({}));
    let names: Vec<String> = (0..5).map(|n| format!("e{n}")).collect();
    for name in &names {
        bench.event(&ada(), name);
    }
    bench.run();
    assert_eq!(bench.event_names(), names);
}

#[test]
fn n05_an_unanswered_event_is_read_back_before_anything_else() {
    for (fault, resent) in [(Fault::AnswerLost, false), (Fault::RequestLost, true)] {
        let bench = Bench::new();
        delivered(&bench);
        bench.brevo.fault("POST /events", fault);
        let event = bench.event(&ada(), "seen");
        let next = bench.event(&ada(), "next");
        let delivery = bench.delivery();
        bench.run_with(&delivery, bench.now());
        bench.assert_end(event, State::Parked, "outcome-unknown");
        bench.assert_end(next, State::Delivered, "");
        assert_eq!(bench.brevo.calls("GET /events"), 0, "not before the settle time");
        bench.run_with(&delivery, i64::MAX);
        bench.assert_end(event, State::Delivered, "");
        assert_eq!(bench.event_names().iter().filter(|n| *n == "seen").count(), 1);
        let single_calls = bench.brevo.state().journal.iter().filter(|(l, _)| l == "POST /events").count();
        assert_eq!(single_calls, if resent { 3 } else { 2 });
    }
}

#[test]
fn a_server_error_for_an_event_is_an_unknown_outcome() {
    let bench = Bench::new();
    delivered(&bench);
    bench.brevo.fault("POST /events", Fault::DoneBut(502, "<html>bad gateway</html>".into()));
    let event = bench.event(&ada(), "seen");
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(event, State::Parked, "outcome-unknown");
    bench.run();
    assert_eq!(bench.event_names(), ["seen"]);
}

#[test]
fn a_reading_back_that_fails_proves_nothing() {
    let bench = Bench::new();
    delivered(&bench);
    bench.brevo.fault("POST /events", Fault::AnswerLost);
    let event = bench.event(&ada(), "seen");
    for body in ["<html>", "{}", r#"{"events":[],"count":3}"#] {
        bench.brevo.fault("GET /events", Fault::Answer(200, vec![], body.into()));
    }
    bench.brevo.fault("GET /events", Fault::Answer(500, vec![], String::new()));
    bench.brevo.fault("GET /events", Fault::RequestLost);
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.event_names(), ["seen"]);
    assert_eq!(bench.brevo.calls("GET /events"), 6);
}

#[test]
fn an_event_is_found_on_a_later_page() {
    let bench = Bench::new();
    delivered(&bench);
    let id = *bench.brevo.state().contacts.keys().next().unwrap();
    bench.brevo.fault("POST /events", Fault::AnswerLost);
    let event = bench.event(&ada(), "seen");
    bench.run_until(bench.now() + MINUTE);
    for n in 0..700 {
        let mut state = bench.brevo.state();
        let mut other = state.events[0].clone();
        (other.contact, other.date) = (id, START + MINUTE + n);
        other.properties.remove("tajo_effect");
        state.events.push(other);
    }
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.brevo.calls("GET /events"), 3);
    assert_eq!(bench.brevo.state().events.len(), 701);
}

#[test]
fn an_event_that_stays_unproven_is_the_operators() {
    let bench = Bench::new();
    delivered(&bench);
    let event = bench.event(&ada(), "seen");
    for _ in 0..4 {
        bench.brevo.fault("POST /events", Fault::RequestLost);
    }
    bench.run();
    bench.assert_end(event, State::Parked, "outcome-unproven");
    assert!(bench.brevo.state().events.is_empty());
    let letter = bench.letters().pop().unwrap();
    let refused =
        bench.store.write(|tx| crate::store::dead_letters::requeue_action(tx, letter.id, false, bench.now()));
    assert!(matches!(refused, Err(RequeueError::NeedsConfirmation(_))));
    bench.requeue(true);
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.event_names(), ["seen"]);
}

#[test]
fn an_unproven_event_that_became_too_old_is_not_sent_again() {
    let bench = Bench::new();
    delivered(&bench);
    bench.brevo.fault("POST /events", Fault::RequestLost);
    let body = json!({ "event": "seen" });
    let soon = Some(bench.now() + 5 * MINUTE);
    let event = bench.admit("brevo/track-event", &ada(), body, Some(bench.now()), soon);
    bench.run();
    bench.assert_end(event, State::Expired, "too-old");
    assert!(bench.brevo.state().events.is_empty());
}

#[test]
fn many_events_ride_together_in_order() {
    let bench = Bench::new();
    let people = crowd(&bench, 10);
    let mut ids = Vec::new();
    for round in 0..30 {
        for person in &people {
            ids.push(bench.event(person, &format!("e{round}")));
        }
    }
    bench.run();
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    let state = bench.brevo.state();
    assert_eq!(state.events.len(), 300);
    assert_eq!(state.journal.iter().filter(|(label, _)| label == "POST /events/batch").count(), 2);
    for contact in state.contacts.keys() {
        let names: Vec<_> = state.events.iter().filter(|e| e.contact == *contact).map(|e| &e.name).collect();
        assert_eq!(names, (0..30).map(|n| format!("e{n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_that_took_fewer_than_were_sent_is_read_back() {
    let bench = Bench::new();
    let people = crowd(&bench, 30);
    bench.brevo.fault("POST /events/batch", Fault::TakesOnly(17));
    let ids: Vec<i64> = people.iter().map(|person| bench.event(person, "seen")).collect();
    bench.run_until(bench.now() + MINUTE);
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Parked), "202 alone proves nothing");
    bench.run();
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    assert_eq!(bench.brevo.state().events.len(), 30);
}

#[test]
fn batches_leave_room_for_reading_back_in_the_budget_that_they_share() {
    let bench = Bench::new();
    let people = crowd(&bench, 20);
    let before = bench.now();
    let strict = || bench.brevo.calls("POST /events/batch") + bench.brevo.calls("GET /events");
    for _ in 0..99 {
        let ids: Vec<i64> = people.iter().map(|person| bench.event(person, "seen")).collect();
        bench.run();
        assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    }
    assert!(bench.now() - before < 60 * MINUTE, "all of it within one window");
    let batches = bench.brevo.calls("POST /events/batch");
    assert!((60..=70).contains(&batches), "{batches} batches; the rest goes singly");
    assert!(strict() <= 100);

    bench.brevo.fault("POST /events", Fault::RequestLost);
    let unknown = bench.event(&people[0], "seen");
    bench.run_until(bench.now() + 20 * MINUTE);
    assert_eq!(bench.end(unknown).0, State::Delivered, "read back without waiting for the next hour");
    assert!(bench.now() - before < 60 * MINUTE);
}

#[test]
fn n19_one_bad_event_in_a_batch_is_one_letter() {
    let bench = Bench::new();
    let people = crowd(&bench, 30);
    let ids: Vec<i64> = people
        .iter()
        .enumerate()
        .map(|(n, person)| bench.event(person, if n == 13 { "poison" } else { "seen" }))
        .collect();
    bench.run();
    bench.assert_end(ids[13], State::Failed, "event-refused");
    assert_eq!(ids.iter().filter(|id| bench.end(**id).0 == State::Delivered).count(), 29);
    assert_eq!(bench.letter_codes(), ["event-refused"]);
    assert_eq!(bench.letters()[0].actor, "connector-author");
    assert_eq!(bench.brevo.state().events.len(), 29);
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_taken_apart() {
    let bench = Bench::new();
    let people = crowd(&bench, 25);
    let refusal = r#"{"code":"invalid_parameter","message":"unifiedEventsRequest"}"#;
    bench.brevo.fault("POST /events/batch", Fault::Answer(400, vec![], refusal.into()));
    let ids: Vec<i64> = people.iter().map(|person| bench.event(person, "seen")).collect();
    bench.run();
    assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
    assert_eq!(bench.brevo.state().events.len(), 25);
    assert_eq!(bench.brevo.calls("POST /events/batch"), 1);
}

#[test]
fn an_unanswered_batch_is_read_back_and_only_the_absent_are_sent_again() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::DoneBut(504, String::new())] {
        let bench = Bench::new();
        let people = crowd(&bench, 60);
        bench.brevo.fault("POST /events/batch", fault);
        let ids: Vec<i64> = people.iter().map(|person| bench.event(person, "seen")).collect();
        bench.run();
        assert!(ids.iter().all(|id| bench.end(*id).0 == State::Delivered));
        assert_eq!(bench.brevo.state().events.len(), 60);
    }
}

#[test]
fn an_event_that_brevo_cannot_take_is_not_sent() {
    let bench = Bench::new();
    delivered(&bench);
    let body = json!({ "event": "seen", "properties": { "text": "x".repeat(60_000) } });
    let large = bench.admit("brevo/track-event", &ada(), body, Some(START), None);
    bench.run();
    bench.assert_end(large, State::Failed, "event-too-large");
    assert_eq!(bench.brevo.calls("POST /events"), 0);
}
