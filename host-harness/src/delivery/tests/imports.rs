//! Many contacts in one call.

use std::collections::BTreeSet;

use serde_json::json;

use super::bench::{Bench, MINUTE, Read, person};
use super::fake::{FakeContact, Fault, unless_killed};
use crate::delivery::Step;
use crate::delivery::claim::Claim;
use crate::registry::{ConsentBasis, ConsentStatus};
use crate::store::outbox::{State, held};

fn read(n: usize, consent: Option<ConsentStatus>) -> Read {
    Read {
        person: person(&format!("u{n}"), &format!("u{n}@x.org")),
        attributes: json!({ "FIRSTNAME": format!("Name {n}"), "POINTS": n }),
        consent,
    }
}

fn mailable(n: usize) -> Read {
    read(n, Some(ConsentStatus::OptedIn))
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.options.policy.import_min = 10;
    bench.brevo.state().bulk.speed = 1;
    bench
}

fn emails(bench: &Bench) -> BTreeSet<String> {
    bench.brevo.state().contacts.values().filter_map(|contact| contact.email.clone()).collect()
}

#[test]
fn many_contacts_are_imported_and_known_afterwards() {
    let bench = bench();
    let upserts = bench.backfill((0..50).map(mailable));
    bench.run();
    assert_eq!(bench.brevo.state().bulk.imports, [(50, false)]);
    assert_eq!(bench.brevo.calls("POST /contacts/import"), 1);
    assert_eq!(bench.brevo.calls("POST /contacts"), 1 + 2 + 2, "import, folder, list, attributes");
    for id in upserts {
        bench.assert_end(id, State::Delivered, "");
    }
    assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
    // What comes next needs no look-up and no second upsert.
    let before = bench.brevo.state().journal.len();
    let same = bench.upsert(&person("u7", "u7@x.org"), json!({ "FIRSTNAME": "Name 7" }));
    bench.run();
    bench.assert_end(same, State::Deduplicated, "no-change");
    let event = bench.event(&person("u7", "u7@x.org"), "e");
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    let state = bench.brevo.state();
    let made: Vec<&str> = state.journal[before..].iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(made, ["GET /contacts/attributes", "POST /events"], "the first of them after a new start");
}

/// Of two threads one works on the import. The other neither takes part nor looks again at once, and
/// does whatever else there is.
#[test]
fn an_import_is_one_threads_and_the_other_waits_for_its_turn() {
    let bench = bench();
    let known = person("known", "known@x.org");
    bench.mailable(&known);
    let first = bench.upsert(&known, json!({ "FIRSTNAME": "K" }));
    let delivery = bench.delivery();
    bench.run_with(&delivery, i64::MAX);
    bench.assert_end(first, State::Delivered, "");
    let upserts = bench.backfill((0..50).map(mailable));
    let mut steps = 0;
    while !upserts.is_empty() && bench.waiting() > 0 {
        let now = bench.now();
        let step = match bench.store.write(|tx| delivery.claim(tx, now)).unwrap() {
            Claim::Import(step) => step,
            Claim::Search(search) => {
                delivery.search(&search).unwrap();
                continue;
            }
            Claim::Schema => {
                delivery.ensure_schema(now).unwrap();
                continue;
            }
            Claim::Done => continue,
            Claim::Nothing(next) => {
                bench.wait(next.unwrap() - now);
                continue;
            }
            _ => panic!("nothing goes alone"),
        };
        steps += 1;
        match delivery.step().unwrap() {
            Step::Idle(Some(at)) => assert!(at - now >= 1_000, "it looks again after {} ms", at - now),
            other => panic!("it is the other thread's turn: {other:?}"),
        }
        let opted_out = bench.consent(&known, ConsentStatus::OptedOut, ConsentBasis::Signal, now + steps);
        delivery.step().unwrap();
        assert_ne!(bench.end(opted_out).0, State::Waiting);
        delivery.import(*step).unwrap();
    }
    assert!(steps >= 3, "counting who is there, the call, and reading back: {steps}");
    assert_eq!(bench.brevo.calls("POST /contacts/import"), 1);
    for id in upserts {
        bench.assert_end(id, State::Delivered, "");
    }
}

#[test]
fn few_contacts_go_one_by_one() {
    let bench = bench();
    bench.backfill((0..9).map(mailable));
    bench.run();
    assert_eq!(bench.brevo.calls("POST /contacts/import"), 0);
    assert_eq!(emails(&bench).len(), 9);
}

#[test]
fn an_opt_out_travels_with_the_import_and_an_unknown_person_is_held() {
    let bench = bench();
    let mut people: Vec<Read> = (0..20).map(mailable).collect();
    people.extend((20..40).map(|n| read(n, Some(ConsentStatus::OptedOut))));
    people.extend((40..50).map(|n| read(n, None)));
    let upserts = bench.backfill(people);
    bench.run();
    let mut imports = bench.brevo.state().bulk.imports.clone();
    imports.sort();
    assert_eq!(imports, [(20, false), (20, true)]);
    let state = bench.brevo.state();
    assert_eq!(state.contacts.len(), 40);
    for contact in state.contacts.values() {
        let n: usize = contact.ext_id.as_ref().unwrap()[1..].parse().unwrap();
        assert_eq!(contact.email_blocked, n >= 20, "u{n}");
    }
    assert!(state.unblocked.is_empty());
    assert_eq!(state.journal.iter().filter(|(label, _)| label.starts_with("PUT")).count(), 0);
    drop(state);
    bench.assert_end(upserts[45], State::Held, held::CONSENT_UNKNOWN);
}

#[test]
fn nobody_rides_whose_row_could_merge_or_change_an_address() {
    let bench = bench();
    // u0 is there under another address, u1's address is somebody else's, u2 is theirs already, and
    // u3's is blocked there.
    let put = |ext_id: Option<&str>, email: &str| {
        let contact = FakeContact {
            ext_id: ext_id.map(str::to_owned),
            email: Some(email.into()),
            ..FakeContact::default()
        };
        bench.brevo.put(contact)
    };
    let old = put(Some("u0"), "old@x.org");
    let strangers = put(Some("someone"), "u1@x.org");
    let own = put(Some("u2"), "u2@x.org");
    let blocked = put(None, "u3@x.org");
    bench.brevo.state().contacts.get_mut(&blocked).unwrap().email_blocked = true;
    let upserts = bench.backfill((0..30).map(mailable));
    bench.run();
    let state = bench.brevo.state();
    assert!(state.bulk.merged.is_empty());
    assert!(state.unblocked.is_empty(), "no block was lifted");
    assert_eq!(state.bulk.imports, [(28, false)]);
    assert_eq!(state.contacts.len(), 30);
    assert_eq!(state.contacts[&old].email.as_deref(), Some("u0@x.org"), "moved singly");
    assert_eq!(state.contacts[&strangers].ext_id.as_deref(), Some("someone"));
    assert_eq!(state.contacts[&own].attributes["POINTS"], 2);
    assert!(state.contacts[&blocked].email_blocked);
    drop(state);
    bench.assert_end(upserts[1], State::Parked, "address-shared");
}

#[test]
fn an_opt_out_of_somebody_who_is_there_already_waits_for_no_import() {
    let bench = bench();
    let there = bench.brevo.put(FakeContact {
        ext_id: Some("u3".into()),
        email: Some("u3@x.org".into()),
        ..FakeContact::default()
    });
    bench.brevo.state().bulk.sticks = true;
    let opted_out = |n| if n == 3 { ConsentStatus::OptedOut } else { ConsentStatus::OptedIn };
    bench.backfill((0..50).map(|n| read(n, Some(opted_out(n)))));
    bench.run_until(bench.now() + MINUTE);
    let state = bench.brevo.state();
    assert_eq!(state.bulk.imports, [(49, false)]);
    assert!(state.contacts[&there].email_blocked, "while the import never ends");
}

#[test]
fn whoever_opts_out_while_the_import_is_under_way_is_blocked_at_once() {
    let bench = bench();
    bench.brevo.state().bulk.speed = 1;
    bench.backfill((0..50).map(mailable));
    let delivery = bench.delivery();
    while bench.brevo.state().bulk.imports.is_empty() {
        bench.run_with(&delivery, bench.now());
        bench.wait(100);
    }
    let one = person("u7", "u7@x.org");
    let opt_out = bench.consent(&one, ConsentStatus::OptedOut, ConsentBasis::Signal, bench.now());
    bench.run_with(&delivery, crate::world::Millis::MAX);
    assert_ne!(bench.end(opt_out).0, State::Waiting);
    let state = bench.brevo.state();
    for contact in state.contacts.values() {
        assert_eq!(contact.email_blocked, contact.ext_id.as_deref() == Some("u7"));
    }
    assert!(state.unblocked.is_empty());
}

#[test]
fn rows_that_brevo_refuses_are_shown_one_by_one() {
    let bench = bench();
    bench.brevo.state().bulk.leaves_out = Some((3, true));
    let upserts = bench.backfill((0..50).map(mailable));
    bench.run();
    for id in &upserts[..3] {
        bench.assert_end(*id, State::Failed, "import-row-refused");
    }
    bench.assert_end(upserts[3], State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["import-row-refused"; 3]);
    assert_eq!(emails(&bench).len(), 47);
}

#[test]
fn rows_that_vanish_without_a_word_go_alone() {
    let bench = bench();
    bench.brevo.state().bulk.leaves_out = Some((3, false));
    let upserts = bench.backfill((0..50).map(mailable));
    bench.run();
    for id in upserts {
        bench.assert_end(id, State::Delivered, "");
    }
    assert_eq!(emails(&bench).len(), 50);
    assert!(bench.letters().is_empty());
}

#[test]
fn an_import_that_comes_to_nothing_is_shown_and_one_that_never_came_there_is_not() {
    let made = bench();
    made.brevo.state().bulk.leaves_out = Some((50, false));
    let never_came = bench();
    never_came.brevo.fault("POST /contacts/import", Fault::RequestLost);
    for (bench, letters) in [(made, &["import-came-to-nothing"][..]), (never_came, &[])] {
        let upserts = bench.backfill((0..50).map(mailable));
        bench.run();
        for id in upserts {
            bench.assert_end(id, State::Delivered, "");
        }
        assert_eq!(emails(&bench).len(), 50);
        assert_eq!(bench.letter_codes(), letters);
    }
}

#[test]
fn an_import_that_never_ends_is_shown_and_waited_for() {
    let bench = bench();
    bench.brevo.state().bulk.sticks = true;
    bench.backfill((0..50).map(mailable));
    bench.run_until(bench.now() + 180 * MINUTE);
    assert_eq!(bench.letter_codes(), ["import-never-ends"]);
    assert_eq!(bench.brevo.calls("POST /contacts/import"), 1, "never two at once");
    // Live news of others goes on.
    let other = person("other", "other@x.org");
    bench.mailable(&other);
    let live = bench.upsert(&other, json!({}));
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(live, State::Delivered, "");
}

#[test]
fn a_key_that_may_not_see_processes_stops_nothing_but_the_look_at_them() {
    let bench = bench();
    let upserts = bench.backfill((0..50).map(mailable));
    let refusal = Fault::Answer(403, vec![], r#"{"code":"permission_denied","message":"no"}"#.into());
    bench.brevo.fault("GET /processes", refusal);
    bench.run_until(bench.now() + MINUTE);
    let letters = bench.letters();
    let letters: Vec<_> = letters.iter().map(|l| (l.code.as_str(), l.pointer.as_deref())).collect();
    assert_eq!(letters, [("brevo-forbidden", Some("calls:processes"))]);
    let other = person("other", "other@x.org");
    bench.mailable(&other);
    let live = bench.upsert(&other, json!({}));
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(live, State::Delivered, "");
    // One look finds out that the key is another by now.
    bench.run();
    for id in upserts {
        bench.assert_end(id, State::Delivered, "");
    }
    assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
    assert_eq!(bench.brevo.calls("POST /contacts/import"), 1);
}

#[test]
fn n05_whatever_happens_to_a_call_of_an_import_everybody_is_there_once() {
    let clean = bench();
    clean.backfill((0..50).map(mailable));
    clean.run();
    let calls = clean.brevo.arrivals();
    for nth in 0..calls {
        for fault in [
            Fault::AnswerLost,
            Fault::RequestLost,
            Fault::NotSent,
            Fault::DiesBefore,
            Fault::DiesAfter,
            Fault::Answer(503, vec![], "<html>".into()),
            Fault::Answer(429, vec![("x-sib-ratelimit-reset", "3")], "{}".into()),
        ] {
            let what = format!("call {nth}, {fault:?}");
            let bench = bench();
            let upserts = bench.backfill((0..50).map(mailable));
            bench.brevo.state().nth_fault(nth, fault);
            while unless_killed(|| bench.run()).is_none() {}
            for id in upserts {
                bench.assert_end(id, State::Delivered, "");
            }
            let state = bench.brevo.state();
            assert_eq!(state.contacts.len(), 50, "{what}");
            assert_eq!(state.bulk.side_by_side, 0, "{what}");
            assert!(state.bulk.merged.is_empty() && state.unblocked.is_empty(), "{what}");
        }
    }
}
