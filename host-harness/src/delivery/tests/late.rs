//! Somebody's identity comes while a call is under way.

use serde_json::json;

use super::bench::{Bench, START, ada, person};
use super::fake::FakeContact;
use crate::contract::Person;
use crate::people::identity;
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::store::outbox::State;

fn mailbox() -> Person {
    person("", "ada@x.org")
}

/// Every attribute is there, so that the first call is about a contact.
fn ready() -> Bench {
    let bench = Bench::new();
    for (name, kind) in [("TIER", "text"), ("POINTS", "float")] {
        bench.brevo.state().attributes.push((name.to_owned(), "normal", kind.to_owned()));
    }
    bench
}

/// A unit commits during the next call with that label that names the id and the address.
fn identified_during(bench: &Bench, label: &str) {
    let store = bench.store.clone();
    bench.brevo.meanwhile(label, move || {
        let identified = |tx: &rusqlite::Transaction<'_>| -> Result<i64, StoreError> {
            identity::resolve(tx, DestinationId(1), &ada(), START)?;
            Ok(tx.query_row("SELECT count(*) FROM merging", [], |row| row.get(0))?)
        };
        assert_eq!(store.write(identified).unwrap(), 1, "a call of theirs is under way");
    });
}

/// Nobody waits to become somebody else, and every action is Ada's.
fn assert_settled(bench: &Bench) {
    let ada = bench.person_id(&ada());
    let left = |tx: &rusqlite::Transaction<'_>| -> Result<(i64, i64), StoreError> {
        let merging = tx.query_row("SELECT count(*) FROM merging", [], |row| row.get(0))?;
        let sql = "SELECT count(*) FROM action WHERE person <> ?1";
        Ok((merging, tx.query_row(sql, [ada], |row| row.get(0))?))
    };
    assert_eq!(bench.store.read(left).unwrap(), (0, 0));
    assert_eq!(bench.person_id(&mailbox()), ada, "the address is hers");
}

#[test]
fn what_a_mailbox_is_held_for_goes_over_when_the_call_that_makes_its_contact_has_ended() {
    let bench = ready();
    let held = bench.event(&mailbox(), "seen");
    bench.run_until(bench.now());
    bench.assert_end(held, State::Held, "contact-unknown");
    bench.event(&person("u1", ""), "known");
    bench.run_until(bench.now());
    bench.mailable(&mailbox());
    bench.upsert(&mailbox(), json!({ "FIRSTNAME": "Ada" }));
    identified_during(&bench, "POST /contacts");
    bench.run_until(bench.now());
    bench.assert_end(held, State::Delivered, "");
    assert_eq!(bench.contact().email.as_deref(), Some("ada@x.org"));
    let mut names = bench.event_names();
    names.sort();
    assert_eq!(names, ["known", "seen"]);
    assert_settled(&bench);
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run_until(bench.now());
    assert_eq!(bench.contact().ext_id.as_deref(), Some("u1"));
    assert!(bench.letter_codes().is_empty());
}

#[test]
fn what_is_held_when_the_call_of_a_mailbox_fails_goes_over_too() {
    let bench = ready();
    bench.event(&person("u1", ""), "known");
    bench.run_until(bench.now());
    let event = bench.event(&mailbox(), "seen");
    // Whom the look does not find is held, and by then is somebody else.
    identified_during(&bench, "GET /contacts");
    bench.run_until(bench.now());
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({}));
    bench.run_until(bench.now());
    bench.assert_end(event, State::Delivered, "");
    assert_settled(&bench);
}

#[test]
fn a_contact_comes_over_when_the_call_of_whom_it_comes_to_has_ended() {
    let bench = ready();
    bench.mailable(&mailbox());
    bench.upsert(&mailbox(), json!({ "FIRSTNAME": "Ada" }));
    bench.run_until(bench.now());
    let event = bench.event(&person("u1", ""), "known");
    identified_during(&bench, "GET /contacts");
    bench.run_until(bench.now());
    bench.assert_end(event, State::Delivered, "");
    assert_settled(&bench);
    assert_eq!(bench.brevo.state().contacts.len(), 1);
}

#[test]
fn where_a_contact_was_made_meanwhile_both_stay() {
    let bench = ready();
    bench.mailable(&mailbox());
    bench.upsert(&mailbox(), json!({}));
    bench.run_until(bench.now());
    let elsewhere = person("u1", "ada@elsewhere.org");
    bench.mailable(&elsewhere);
    let made = bench.upsert(&elsewhere, json!({}));
    identified_during(&bench, "POST /contacts");
    bench.run_until(bench.now());
    bench.assert_end(made, State::Delivered, "");
    let (people, merging): (i64, i64) = bench
        .store
        .read::<_, StoreError>(|tx| {
            let sql = "SELECT (SELECT count(DISTINCT brevo_id) FROM person), (SELECT count(*) FROM merging)";
            Ok(tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .unwrap();
    assert_eq!((people, merging), (2, 0));
    let holders = bench.store.read(|tx| identity::find(tx, DestinationId(1), &mailbox())).unwrap();
    assert_eq!(holders.len(), 2, "the address is shared");
}

#[test]
fn a_restart_while_somebody_becomes_somebody_else_loses_nothing() {
    let bench = ready();
    bench.event(&person("u1", ""), "known");
    bench.run_until(bench.now());
    bench.mailable(&mailbox());
    let upsert = bench.upsert(&mailbox(), json!({}));
    identified_during(&bench, "POST /contacts");
    bench.brevo.fault("POST /contacts", super::fake::Fault::DiesAfter);
    assert!(super::fake::unless_killed(|| bench.run_until(bench.now())).is_none());
    bench.run_until(bench.now());
    assert!([State::Delivered, State::Deduplicated].contains(&bench.end(upsert).0));
    assert_settled(&bench);
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run_until(bench.now());
    assert_eq!(bench.contact().ext_id.as_deref(), Some("u1"));
    assert!(bench.letter_codes().is_empty());
}

#[test]
fn an_id_that_a_contact_has_already_is_never_replaced() {
    let bench = ready();
    bench.mailable(&mailbox());
    bench.upsert(&mailbox(), json!({}));
    bench.run_until(bench.now());
    bench.brevo.state().contacts.values_mut().next().unwrap().ext_id = Some("another".into());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run_until(bench.now());
    assert_eq!(bench.contact().ext_id.as_deref(), Some("another"));
    // And where another contact has the id, an operator decides which of both is hers.
    let bench = ready();
    bench.mailable(&mailbox());
    bench.upsert(&mailbox(), json!({}));
    bench.run_until(bench.now());
    bench.brevo.put(FakeContact { ext_id: Some("u1".into()), ..FakeContact::default() });
    let upsert = bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.run_until(bench.now());
    bench.assert_end(upsert, State::Parked, "address-shared");
}
