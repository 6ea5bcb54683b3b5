//! Products: the newest revision stands, whatever goes wrong.

use serde_json::{Value, json};

use super::bench::{Bench, MINUTE, ada};
use super::fake::{Fault, unless_killed};
use crate::delivery::thing::ThingWork;
use crate::store::dead_letters::{self, RequeueError};
use crate::store::outbox::{State, take};

fn product(bench: &Bench, body: Value) -> i64 {
    let key = body["id"].as_str().unwrap().to_owned();
    bench.about(&key, "brevo/upsert-product", body, None)
}

fn mug(bench: &Bench, name: &str) -> i64 {
    product(bench, json!({ "id": "P1", "name": name }))
}

fn name_at_brevo(bench: &Bench) -> String {
    bench.brevo.state().things.products["P1"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_product_is_made_and_changed_under_its_own_id() {
    let bench = Bench::new();
    let made =
        product(&bench, json!({ "id": "P1", "name": "Mug", "price": 9.5, "meta_info": { "a": true } }));
    bench.run();
    let changed = product(&bench, json!({ "id": "P1", "name": "Mug", "deleted": true }));
    bench.run();
    bench.assert_end(made, State::Delivered, "");
    bench.assert_end(changed, State::Delivered, "");
    let state = bench.brevo.state();
    assert_eq!(state.things.products.len(), 1);
    let mug = &state.things.products["P1"];
    assert_eq!((&mug["price"], &mug["isDeleted"]), (&json!(9.5), &json!(true)));
}

#[test]
fn w10_whatever_a_call_comes_to_the_newest_revision_stands() {
    for at in 0..2 {
        for fault in [
            Fault::AnswerLost,
            Fault::RequestLost,
            Fault::NotSent,
            Fault::DiesBefore,
            Fault::DiesAfter,
            Fault::DoneBut(502, "<html>".into()),
            Fault::Answer(503, vec![], String::new()),
            Fault::Answer(429, vec![], "{}".into()),
        ] {
            let bench = Bench::new();
            bench.brevo.state().nth_fault(at, fault.clone());
            let first = product(&bench, json!({ "id": "P1", "name": "old", "sku": "S" }));
            bench.wait(5);
            let second = mug(&bench, "new");
            while unless_killed(|| bench.run()).is_none() {}
            for id in [first, second] {
                bench.assert_end(id, State::Delivered, "");
            }
            assert_eq!(name_at_brevo(&bench), "new", "call {at}, {fault:?}");
            assert_eq!(bench.brevo.state().things.products["P1"]["sku"], json!("S"));
            assert!(bench.letters().is_empty());
        }
    }
}

#[test]
fn a_waiting_revision_is_replaced_only_where_nothing_of_it_is_lost() {
    let bench = Bench::new();
    let old = mug(&bench, "old");
    let with_sku = product(&bench, json!({ "id": "P1", "name": "older", "sku": "S" }));
    let other = product(&bench, json!({ "id": "P2", "name": "other" }));
    let new = mug(&bench, "new");
    bench.assert_end(old, State::Coalesced, "replaced");
    bench.run();
    for id in [with_sku, other, new] {
        bench.assert_end(id, State::Delivered, "");
    }
    assert_eq!(bench.brevo.calls("POST /products"), 3);
    assert_eq!(name_at_brevo(&bench), "new");
}

#[test]
fn an_older_revision_that_was_put_aside_is_over_once_a_newer_one_is_there() {
    let bench = Bench::new();
    let poison = mug(&bench, "poison");
    bench.run();
    bench.assert_end(poison, State::Failed, "brevo-refused");
    let letter = bench.letters().pop().unwrap();
    let new = mug(&bench, "new");
    bench.run();
    bench.assert_end(new, State::Delivered, "");
    bench.assert_end(poison, State::Superseded, "newer-revision");
    assert!(bench.letters().is_empty(), "there is nothing left to do about it");
    let requeued = bench.store.write(|tx| dead_letters::requeue_action(tx, letter.id, true, bench.now()));
    assert!(matches!(requeued, Err(RequeueError::Closed(_))));
    bench.run();
    assert_eq!(name_at_brevo(&bench), "new");
}

#[test]
fn an_older_revision_that_is_requeued_in_time_goes_before_the_newer_one() {
    let bench = Bench::new();
    let refusal = r#"{"code":"invalid_parameter","message":"no"}"#;
    bench.brevo.fault("POST /products", Fault::Answer(400, vec![], refusal.into()));
    let old = product(&bench, json!({ "id": "P1", "name": "old", "sku": "S" }));
    bench.run();
    bench.assert_end(old, State::Failed, "brevo-refused");
    let new = mug(&bench, "new");
    bench.requeue(false);
    bench.run();
    bench.assert_end(old, State::Delivered, "");
    bench.assert_end(new, State::Delivered, "");
    assert_eq!(name_at_brevo(&bench), "new");
}

#[test]
fn an_older_revision_that_is_requeued_while_the_newer_one_is_under_way_never_overwrites_it() {
    let bench = Bench::new();
    let refusal = r#"{"code":"invalid_parameter","message":"no"}"#;
    bench.brevo.fault("POST /products", Fault::Answer(400, vec![], refusal.into()));
    let old = mug(&bench, "old");
    bench.run();
    let new = mug(&bench, "new");
    let delivery = bench.delivery();
    bench.store.write(|tx| take(tx, new, bench.now())).unwrap();
    let Ok(work) = ThingWork::load(bench.action(new)).unwrap() else { panic!("no work") };
    bench.requeue(false);
    delivery.deliver_thing(work).unwrap();
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(new, State::Delivered, "");
    bench.assert_end(old, State::Superseded, "newer-revision");
    assert_eq!(name_at_brevo(&bench), "new");
}

#[test]
fn n17_products_wait_for_commerce_and_nothing_else_does() {
    let bench = Bench::new();
    bench.brevo.state().things.commerce_is_off = true;
    let waits = mug(&bench, "Mug");
    let delivery = bench.delivery();
    bench.run_with(&delivery, bench.now());
    bench.assert_end(waits, State::Waiting, "ecommerce-not-activated");
    bench.mailable(&ada());
    let contact = bench.upsert(&ada(), json!({}));
    for n in 0..5 {
        product(&bench, json!({ "id": format!("Q{n}"), "name": "q" }));
    }
    bench.run_with(&delivery, bench.now() + 40 * MINUTE);
    bench.assert_end(contact, State::Delivered, "");
    assert_eq!(bench.brevo.calls("POST /products"), 3, "one call finds out, every quarter of an hour");
    let letter = bench.letters().pop().unwrap();
    assert_eq!((letter.code.as_str(), letter.actor.as_str()), ("ecommerce-not-activated", "tenant"));
    assert_eq!(bench.letters().len(), 1);
    bench.brevo.state().things.commerce_is_off = false;
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(waits, State::Delivered, "");
    assert_eq!(bench.brevo.state().things.products.len(), 6);
    assert!(bench.letters().is_empty(), "it is well again");
}
