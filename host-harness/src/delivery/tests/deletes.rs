//! Deletes: soft and hard, in whatever way the calls and the process fail.

use std::collections::BTreeSet;

use serde_json::json;

use super::bench::{Bench, MINUTE, START, ada, ada_with_phone, person};
use super::fake::{FakeContact, Fault, unless_killed};
use crate::contract::{AttributeTarget, AttributeType, Person};
use crate::people::fields::Wanted;
use crate::people::identity::PersonId;
use crate::people::{deletions, tombstone};
use crate::registry::ConsentBasis::{Flag, Signal};
use crate::registry::ConsentStatus::{OptedIn, OptedOut};
use crate::registry::{Channel, ExistingList, ListMembership, ListRef};
use crate::store::StoreError;
use crate::store::installations::DestinationId;
use crate::store::outbox::State;

const MARK: &str = "DELETED_AT";

fn bench() -> Bench {
    let mut bench = Bench::new();
    let mark = AttributeTarget { name: MARK.into(), kind: AttributeType::Date, create: true };
    bench.options.targets[0].1.attributes.push(mark);
    bench
}

/// What a unit's commit does with a deletion that happened now.
fn delete(bench: &Bench, who: &Person, behavior: &str) -> i64 {
    let (id, now) = (PersonId(bench.person_id(who)), bench.now());
    bench
        .store
        .write::<_, StoreError>(|tx| {
            let mut wanted = Wanted::default();
            deletions::begin(tx, &mut wanted, id, now, now)?;
            wanted.flush(tx)
        })
        .unwrap();
    let payload = match behavior {
        "soft" => json!({ "behavior": behavior, "mark": MARK }),
        _ => json!({ "behavior": behavior }),
    };
    bench.admit("brevo/delete-contact", who, payload, Some(now), None)
}

fn is_erased(bench: &Bench, who: &Person) -> bool {
    bench.store.read(|tx| tombstone::is_erased(tx, DestinationId(1), who)).unwrap()
}

fn number(list: i64) -> ListMembership {
    ListMembership { list: ListRef::Existing(ExistingList { id: list }), inert: true }
}

/// Everything that the store still says about anybody, as text.
fn remains(bench: &Bench) -> String {
    let all = |sql: &str| {
        bench
            .store
            .read::<_, StoreError>(|tx| {
                let mut statement = tx.prepare(sql)?;
                let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?.join("\n"))
            })
            .unwrap()
    };
    [
        all("SELECT value FROM identity"),
        all("SELECT subject || payload || coalesce(intent, '') || coalesce(coalesce_key, '') FROM action"),
        all("SELECT desired || fields || refused || coalesce(brevo_id, '') FROM person"),
        all("SELECT channel || coalesce(flag, signal) FROM consent"),
    ]
    .join("\n")
}

fn sweep(bench: &Bench) {
    bench.store.write(|tx| tombstone::sweep(tx, bench.now())).unwrap();
}

/// Ada is at Brevo, blocked by her own click, in a list of the host's and in one of the tenant's.
fn at_brevo(bench: &Bench) -> (i64, i64) {
    let ours = bench.brevo.state().list("VIP", "MoEngage");
    let theirs = bench.brevo.state().list("Shop", "Own");
    bench.mailable(&ada());
    bench.upsert(&ada(), json!({ "TIER": "gold" }));
    bench.join(&ada(), &number(ours));
    bench.run();
    let mut state = bench.brevo.state();
    let contact = state.contacts.values_mut().next().unwrap();
    contact.lists.insert(theirs);
    contact.email_blocked = true;
    drop(state);
    bench.wait(2_000); // the windows are empty again
    (ours, theirs)
}

#[test]
fn a_soft_delete_takes_the_contact_out_of_every_list_marks_it_and_keeps_it() {
    let bench = bench();
    let (ours, theirs) = at_brevo(&bench);
    let before = bench.brevo.calls("PUT");
    let deleted = delete(&bench, &ada(), "soft");
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    let contact = bench.contact();
    assert_eq!(contact.lists, BTreeSet::new(), "{ours} {theirs}");
    assert_eq!(contact.attributes[MARK], "2026-11-23");
    assert_eq!(contact.attributes["TIER"], "gold");
    assert!(contact.email_blocked, "blocks are not touched");
    assert_eq!(bench.brevo.calls("PUT") - before, 1);
    // Again: there is nothing left to do.
    bench.wait(10);
    let again = delete(&bench, &ada(), "soft");
    bench.run();
    bench.assert_end(again, State::Deduplicated, "no-change");
    assert!(bench.letters().is_empty());
}

#[test]
fn who_is_not_at_brevo_is_not_made_to_be_deleted() {
    for behavior in ["soft", "hard"] {
        let bench = bench();
        let deleted = delete(&bench, &ada(), behavior);
        bench.run();
        bench.assert_end(deleted, State::Deduplicated, "not-at-brevo");
        assert!(bench.brevo.state().contacts.is_empty());
        assert_eq!(bench.brevo.calls("POST /contacts"), 3, "attributes only");
        assert_eq!(is_erased(&bench, &ada()), behavior == "hard");
    }
}

#[test]
fn what_happened_before_a_deletion_ends_and_what_is_newer_or_restricts_goes_on() {
    let bench = bench();
    let (ours, _) = at_brevo(&bench);
    let old_event = bench.event(&ada(), "before");
    let old_upsert = bench.upsert(&ada(), json!({ "TIER": "silver" }));
    let other = bench.brevo.state().list("Other", "MoEngage");
    let old_join = bench.join(&ada(), &number(other));
    let opt_out = bench.consent_on(&ada_with_phone(), Channel::Sms, OptedOut, Flag, bench.now());
    bench.wait(10);
    let deleted = delete(&bench, &ada(), "soft");
    for ended in [old_event, old_upsert, old_join] {
        bench.assert_end(ended, State::Refused, "person-deleted");
    }
    bench.wait(10);
    let event = bench.event(&ada(), "after");
    let upsert = bench.upsert(&ada(), json!({ "TIER": "bronze" }));
    let join = bench.join(&ada(), &number(ours));
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    for done in [opt_out, event, upsert] {
        bench.assert_end(done, State::Delivered, "");
    }
    // A newer word put her into the list, so the deletion leaves that one alone.
    assert_ne!(bench.end(join).0, State::Refused);
    let contact = bench.contact();
    assert_eq!(contact.lists, BTreeSet::from([ours]));
    assert_eq!(
        (&contact.attributes["TIER"], &contact.attributes[MARK]),
        (&json!("bronze"), &json!("2026-11-23"))
    );
    assert!(contact.sms_blocked);
    assert_eq!(bench.event_names(), ["after"]);
}

#[test]
fn an_event_whose_outcome_was_unknown_is_not_sent_again_after_a_deletion() {
    let bench = bench();
    at_brevo(&bench);
    let event = bench.event(&ada(), "seen");
    bench.brevo.fault("POST /events", Fault::RequestLost);
    bench.run_until(bench.now());
    bench.assert_end(event, State::Parked, "outcome-unknown");
    bench.wait(10);
    delete(&bench, &ada(), "soft");
    bench.run();
    bench.assert_end(event, State::Refused, "person-deleted");
    assert!(bench.event_names().is_empty());
}

#[test]
fn a_mark_that_brevo_did_not_take_is_not_taken_for_done() {
    let bench = bench();
    at_brevo(&bench);
    let deleted = delete(&bench, &ada(), "soft");
    bench.brevo.fault("PUT", Fault::Answer(204, vec![], String::new()));
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    assert!(bench.contact().lists.is_empty() && bench.contact().attributes.contains_key(MARK));
    // An attribute of another type drops every value in silence: the lists are left all the same.
    let bench = self::bench();
    bench.brevo.state().attributes.push((MARK.into(), "normal", "float".into()));
    at_brevo(&bench);
    let deleted = delete(&bench, &ada(), "soft");
    bench.run();
    bench.assert_end(deleted, State::Parked, "deletion-not-marked");
    assert!(bench.contact().lists.is_empty());
    assert!(bench.letter_codes().contains(&"deletion-not-marked".to_owned()));
}

#[test]
fn d18_a_hard_delete_leaves_nothing_at_brevo_and_nothing_but_hashes_here() {
    let bench = bench();
    at_brevo(&bench);
    bench.brevo.state().mail_logs.insert("ada@x.org".into());
    let event = bench.event(&ada(), "before");
    bench.wait(10);
    let deleted = delete(&bench, &ada(), "hard");
    let other = person("u2", "bob@x.org");
    bench.mailable(&other);
    bench.upsert(&other, json!({}));
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    bench.assert_end(event, State::Refused, "person-deleted");
    let emails: Vec<_> = bench.brevo.state().contacts.values().map(|c| c.email.clone()).collect();
    assert_eq!(emails, [Some("bob@x.org".into())]);
    assert!(bench.brevo.state().mail_logs.is_empty());
    assert!(is_erased(&bench, &ada()) && is_erased(&bench, &person("", "ADA@x.org")));
    sweep(&bench);
    let remains = remains(&bench);
    assert!(!remains.contains("ada") && !remains.contains("u1") && !remains.contains("gold"), "{remains}");
    assert!(remains.contains("bob@x.org"));
    assert!(bench.letters().is_empty());
}

#[test]
fn d18_the_tombstone_stands_before_the_contact_goes() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let bench = bench();
        at_brevo(&bench);
        let deleted = delete(&bench, &ada(), "hard");
        bench.brevo.fault("DELETE /contacts", fault.clone());
        assert!(unless_killed(|| bench.run()).is_none(), "it dies in the call");
        assert!(is_erased(&bench, &ada()), "{fault:?}");
        let names: i64 = bench
            .store
            .read::<_, StoreError>(|tx| Ok(tx.query_row("SELECT count(*) FROM identity", [], |r| r.get(0))?))
            .unwrap();
        assert_eq!(names, 0, "{fault:?}");
        bench.run();
        assert_eq!(bench.end(deleted).0, State::Delivered, "{fault:?}");
        assert!(bench.brevo.state().contacts.is_empty(), "{fault:?}");
    }
}

#[test]
fn d18_n14_whatever_call_goes_wrong_the_person_ends_erased_or_deleted_once() {
    let run = |behavior: &str, disturbed: Option<(usize, Fault)>| -> (usize, usize, Bench) {
        let bench = bench();
        at_brevo(&bench);
        bench.brevo.state().mail_logs.insert("ada@x.org".into());
        let before = bench.brevo.arrivals();
        bench.event(&ada(), "open");
        bench.wait(10);
        let deleted = delete(&bench, &ada(), behavior);
        if let Some((at, fault)) = disturbed {
            bench.brevo.state().nth_fault(before + at, fault);
        }
        while unless_killed(|| bench.run()).is_none() {}
        assert_eq!(bench.end(deleted).0, State::Delivered);
        (before, bench.brevo.arrivals() - before, bench)
    };
    let unavailable = || Fault::Answer(503, vec![], "<html>".into());
    let faults = || {
        [
            Fault::AnswerLost,
            Fault::RequestLost,
            Fault::NotSent,
            Fault::DiesBefore,
            Fault::DiesAfter,
            unavailable(),
        ]
    };
    for behavior in ["soft", "hard"] {
        let (_, calls, _) = run(behavior, None);
        assert!(calls >= 3, "{behavior}: {calls}");
        for at in 0..calls {
            for fault in faults() {
                let (_, _, bench) = run(behavior, Some((at, fault.clone())));
                let context = format!("{behavior}, call {at}, {fault:?}");
                let contacts: Vec<FakeContact> = bench.brevo.state().contacts.values().cloned().collect();
                match (behavior, contacts.as_slice()) {
                    ("hard", []) => {
                        assert!(
                            is_erased(&bench, &ada()) && bench.brevo.state().mail_logs.is_empty(),
                            "{context}"
                        );
                    }
                    ("soft", [one]) => {
                        assert!(one.lists.is_empty() && one.attributes.contains_key(MARK), "{context}");
                        assert!(!is_erased(&bench, &ada()), "{context}");
                    }
                    _ => panic!("{context}: {contacts:?}"),
                }
                assert!(bench.event_names().is_empty() && bench.letters().is_empty(), "{context}");
            }
        }
    }
}

#[test]
fn a_contact_that_brevo_does_not_let_go_stops_nobody_and_is_not_forgotten_about() {
    let bench = bench();
    at_brevo(&bench);
    let deleted = delete(&bench, &ada(), "hard");
    let body = r#"{"code":"method_not_allowed","message":"not allowed"}"#;
    bench.brevo.fault("DELETE /contacts", Fault::Answer(405, vec![], body.into()));
    let other = person("u2", "bob@x.org");
    bench.mailable(&other);
    let upsert = bench.upsert(&other, json!({}));
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(deleted, State::Parked, "contact-undeletable");
    bench.assert_end(upsert, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["contact-undeletable"]);
    // What is left to do outlives the requeue, although the person is forgotten.
    bench.requeue(false);
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    assert_eq!(bench.contact().email.as_deref(), Some("bob@x.org"));
}

#[test]
fn mail_logs_that_the_key_may_not_delete_are_a_letter_and_no_failure() {
    let bench = bench();
    at_brevo(&bench);
    let deleted = delete(&bench, &ada(), "hard");
    bench.brevo.fault("DELETE /smtp", Fault::Answer(403, vec![], r#"{"code":"permission_denied"}"#.into()));
    bench.run();
    bench.assert_end(deleted, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["mail-log-kept"]);
    let letter = bench.letters().pop().unwrap();
    assert!(!format!("{}{}", letter.message, letter.remedy).contains('@'));
}

#[test]
fn a_contact_that_became_somebody_elses_is_not_deleted_on_a_guess() {
    let bench = bench();
    at_brevo(&bench);
    bench.brevo.state().contacts.values_mut().next().unwrap().ext_id = Some("another".into());
    let deleted = delete(&bench, &ada(), "hard");
    bench.run();
    bench.assert_end(deleted, State::Parked, "contact-somebody-elses");
    assert_eq!(bench.brevo.calls("DELETE"), 0);
    assert!(!is_erased(&bench, &ada()), "nothing was forgotten before it is clear what to delete");
    bench.brevo.state().contacts.values_mut().next().unwrap().ext_id = Some("u1".into());
    bench.requeue(false);
    bench.run();
    assert!(bench.brevo.state().contacts.is_empty() && is_erased(&bench, &ada()));
}

#[test]
fn of_a_shared_mailbox_only_the_persons_own_contact_goes_and_opt_outs_stay() {
    let bench = bench();
    let (ann, bob) = (person("ann", "home@x.org"), person("bob", "home@x.org"));
    bench.mailable(&ann);
    bench.upsert(&ann, json!({}));
    bench.run();
    bench.brevo.state().mail_logs.insert("home@x.org".into());
    bench.consent(&ann, OptedOut, Signal, bench.now());
    bench.wait(10);
    bench.mailable(&bob);
    bench.run();
    // Bob has no contact of his own: the mailbox is filed under Ann.
    let erased = delete(&bench, &bob, "hard");
    bench.run();
    bench.assert_end(erased, State::Deduplicated, "not-at-brevo");
    assert_eq!(bench.contact().ext_id.as_deref(), Some("ann"));
    assert!(!bench.brevo.state().mail_logs.is_empty(), "logs of a shared mailbox are Ann's too");
    assert!(
        is_erased(&bench, &bob) && !is_erased(&bench, &ann) && !is_erased(&bench, &person("", "home@x.org"))
    );
    // Whoever comes with the mailbox gets what it had refused, and Ann keeps her block.
    assert!(bench.contact().email_blocked);
    let carol = person("carol", "home@x.org");
    bench.mailable(&carol);
    delete(&bench, &ann, "hard");
    bench.run();
    bench.upsert(&carol, json!({}));
    bench.run();
    let contact = bench.contact();
    assert_eq!((contact.ext_id.as_deref(), contact.email_blocked), (Some("carol"), true));
}

#[test]
fn who_opted_out_and_is_let_in_again_is_blocked_until_a_newer_opt_in() {
    // By a record of the source, or only by a click that Brevo alone knows of.
    for known_here in [true, false] {
        let bench = bench();
        bench.mailable(&ada());
        bench.upsert(&ada(), json!({}));
        bench.run();
        if known_here {
            bench.consent(&ada(), OptedOut, Signal, bench.now());
            bench.run();
        } else {
            let mut state = bench.brevo.state();
            let contact = state.contacts.values_mut().next().unwrap();
            (contact.email_blocked, contact.user_unsubscribed_at) = (true, Some(START));
        }
        bench.wait(MINUTE);
        delete(&bench, &ada(), "hard");
        bench.run();
        assert!(bench.brevo.state().contacts.is_empty());
        let refused = bench.upsert(&person("u1", ""), json!({}));
        bench.run();
        bench.assert_end(refused, State::Refused, "person-erased");

        let names =
            bench.store.write(|tx| tombstone::readmit(tx, DestinationId(1), &person("", "ada@x.org")));
        assert_eq!(names.unwrap(), 2, "her id is let in with her address");
        bench.wait(MINUTE);
        let back = person("u9", "ada@x.org");
        bench.mailable(&back);
        bench.upsert(&back, json!({}));
        bench.run();
        assert!(bench.contact().email_blocked, "known here: {known_here}");
        bench.wait(MINUTE);
        bench.consent(&back, OptedIn, Signal, bench.now());
        bench.run();
        assert!(!bench.contact().email_blocked, "known here: {known_here}");
    }
}

#[test]
fn who_was_made_at_brevo_again_by_another_hand_can_be_erased_again() {
    let bench = bench();
    at_brevo(&bench);
    delete(&bench, &ada(), "hard");
    bench.run();
    bench.brevo.put(FakeContact { email: Some("ada@x.org".into()), ..FakeContact::default() });
    let again = delete(&bench, &ada(), "hard");
    bench.run();
    bench.assert_end(again, State::Delivered, "");
    assert!(bench.brevo.state().contacts.is_empty());
    let remains = remains(&bench);
    assert!(is_erased(&bench, &ada()) && !remains.contains("ada@x.org\n"), "{remains}");
}
