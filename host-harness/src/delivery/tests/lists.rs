//! Joins and leaves: in groups, row for row, and never one too many.

use serde_json::json;

use super::bench::{Bench, MINUTE, ada, person};
use super::fake::{FakeContact, Fault, unless_killed};
use crate::contract::{Alias, Person};
use crate::delivery::Step;
use crate::registry::ConsentBasis::Flag;
use crate::registry::ConsentStatus::OptedOut;
use crate::registry::{ExistingList, ListMembership, ListRef, NamedList};
use crate::store::lists;
use crate::store::outbox::State;
use crate::store::{StoreError, dead_letters};

fn named(name: &str) -> ListMembership {
    ListMembership {
        list: ListRef::Named(NamedList { name: name.into(), folder: "MoEngage".into() }),
        inert: false,
    }
}

fn numbered(id: i64) -> ListMembership {
    ListMembership { list: ListRef::Existing(ExistingList { id }), inert: false }
}

fn people(count: usize) -> Vec<Person> {
    (0..count).map(|n| person(&format!("u{n}"), &format!("p{n}@x.org"))).collect()
}

/// Puts people at Brevo as contacts that were there before.
fn at_brevo(bench: &Bench, people: &[Person]) -> Vec<i64> {
    let contact = |person: &Person| FakeContact {
        email: person.email.clone(),
        ext_id: person.external_id.clone(),
        ..FakeContact::default()
    };
    people.iter().map(|person| bench.brevo.put(contact(person))).collect()
}

#[test]
fn many_ride_in_calls_of_150_to_a_list_that_is_made_once() {
    for bare in [false, true] {
        let bench = Bench::new();
        bench.brevo.state().bare = bare;
        let people = people(400);
        let contacts = at_brevo(&bench, &people);
        let vip = named("VIP");
        let joins: Vec<i64> = people.iter().map(|person| bench.join(person, &vip)).collect();
        bench.run();
        assert!(joins.iter().all(|id| bench.end(*id) == (State::Delivered, None)));
        let state = bench.brevo.state();
        let (id, list) = state.lists.first_key_value().unwrap();
        assert_eq!((state.lists.len(), state.folders.len(), list.name.as_str()), (1, 1, "VIP"));
        assert_eq!(state.members(*id), contacts);
        assert_eq!(state.joins.len(), 400);
        drop(state);
        // Three would do; the first few that are found don't wait.
        assert!(bench.brevo.calls("POST /contacts/lists/{id}/contacts/add") <= 6);
        assert_eq!(bench.brevo.calls("POST /contacts "), 0);
        let leaves: Vec<i64> = people.iter().map(|person| bench.leave(person, &vip)).collect();
        bench.run();
        assert!(leaves.iter().all(|id| bench.end(*id) == (State::Delivered, None)));
        assert_eq!(bench.brevo.calls("POST /contacts/lists/{id}/contacts/remove"), 3);
        assert!(bench.letters().is_empty());
    }
}

#[test]
fn a_join_waits_for_the_contact_and_creates_and_unblocks_nobody() {
    let bench = Bench::new();
    let by_alias = Person {
        external_id: None,
        email: None,
        phone: None,
        aliases: vec![Alias { kind: "moengage-user-id".into(), value: "m1".into() }],
    };
    let vip = named("VIP");
    let waiting = [bench.join(&ada(), &vip), bench.join(&by_alias, &vip)];
    bench.run();
    for id in waiting {
        bench.assert_end(id, State::Held, "contact-unknown");
    }
    assert!(bench.brevo.state().contacts.is_empty());
    // Whoever opted out may be in a list; that is not consent.
    bench.consent(&ada(), OptedOut, Flag, bench.now());
    let known = Person { aliases: by_alias.aliases, ..ada() };
    bench.upsert(&known, json!({}));
    bench.run();
    bench.assert_end(waiting[0], State::Delivered, "");
    bench.assert_end(waiting[1], State::Deduplicated, "no-change");
    let contact = bench.contact();
    assert!(contact.email_blocked && contact.lists.len() == 1, "{contact:?}");
    assert_eq!(bench.brevo.state().joins.len(), 1);
}

#[test]
fn who_is_known_and_not_at_brevo_is_in_no_list_to_be_taken_out_of() {
    let bench = Bench::new();
    let vip = named("VIP");
    let leave = bench.leave(&ada(), &vip);
    bench.run();
    bench.assert_end(leave, State::Deduplicated, "not-at-brevo");
}

#[test]
fn only_the_rows_that_failed_are_looked_at() {
    let bench = Bench::new();
    let people = people(4);
    let contacts = at_brevo(&bench, &people);
    let list = bench.brevo.state().list("VIP", "Old");
    let vip = numbered(list);
    let joins: Vec<i64> = people[..3].iter().map(|person| bench.join(person, &vip)).collect();
    bench.run();
    // One was taken out at Brevo by hand, one put in, one deleted.
    bench.brevo.state().contacts.get_mut(&contacts[0]).unwrap().lists.clear();
    bench.brevo.state().contacts.remove(&contacts[1]);
    let leaves: Vec<i64> = people.iter().map(|person| bench.leave(person, &vip)).collect();
    bench.run();
    assert!(joins.iter().all(|id| bench.end(*id).0 == State::Delivered));
    bench.assert_end(leaves[0], State::Deduplicated, "not-in-list");
    bench.assert_end(leaves[1], State::Deduplicated, "not-at-brevo");
    bench.assert_end(leaves[2], State::Delivered, "");
    bench.assert_end(leaves[3], State::Deduplicated, "not-in-list");
    assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
}

#[test]
fn already_in_the_list_is_success_and_starts_nothing() {
    let bench = Bench::new();
    let contacts = at_brevo(&bench, &[ada()]);
    let list = bench.brevo.state().list("VIP", "Old");
    bench.brevo.state().contacts.get_mut(&contacts[0]).unwrap().lists.insert(list);
    let join = bench.join(&ada(), &numbered(list));
    bench.run();
    bench.assert_end(join, State::Deduplicated, "already-in-list");
    assert!(bench.brevo.state().joins.is_empty());
}

#[test]
fn a_list_that_was_deleted_at_brevo_stops_and_is_not_made_again_by_itself() {
    let bench = Bench::new();
    let people = people(3);
    at_brevo(&bench, &people);
    let vip = named("VIP");
    bench.join(&people[0], &vip);
    bench.run();
    bench.brevo.state().lists.clear();
    let join = bench.join(&people[1], &vip);
    let leave = bench.leave(&people[0], &vip);
    bench.run();
    for id in [join, leave] {
        bench.assert_end(id, State::Held, "list-stopped");
    }
    assert_eq!(bench.letter_codes(), ["list-gone"]);
    // The lane goes on.
    let event = bench.event(&people[1], "seen");
    bench.run();
    bench.assert_end(event, State::Delivered, "");
    assert!(bench.brevo.state().lists.is_empty());
}

#[test]
fn a_404_that_is_not_about_the_list_does_not_stop_it() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    let vip = named("VIP");
    let other = r#"{"code":"document_not_found","message":"Contact does not exist"}"#;
    bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", Fault::Answer(404, vec![], other.into()));
    let join = bench.join(&ada(), &vip);
    bench.run();
    bench.assert_end(join, State::Delivered, "");
    assert!(bench.letters().is_empty());
}

#[test]
fn a_number_that_no_list_has_is_shown_and_no_list_is_made_for_it() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    let join = bench.join(&ada(), &numbered(77));
    bench.run();
    bench.assert_end(join, State::Held, "list-stopped");
    assert_eq!(bench.letter_codes(), ["list-gone"]);
    assert!(bench.brevo.state().lists.is_empty());
}

#[test]
fn a_list_named_by_number_and_by_name_is_held_once() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    let list = bench.brevo.state().list("VIP", "MoEngage");
    let by_number = bench.join(&ada(), &numbered(list));
    bench.run();
    let by_name = bench.join(&ada(), &named("VIP"));
    bench.run();
    bench.assert_end(by_number, State::Delivered, "");
    bench.assert_end(by_name, State::Held, "list-stopped");
    assert_eq!(bench.letter_codes(), ["list-named-twice"]);
}

#[test]
fn the_list_is_found_on_any_page_and_never_made_a_second_time() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    for n in 0..120 {
        bench.brevo.state().list(&format!("L{n}"), &format!("F{n}"));
    }
    bench.brevo.state().list("VIP", "Other folder");
    let mine = bench.brevo.state().list("VIP", "MoEngage");
    bench.brevo.state().list("VIP", "MoEngage"); // a younger one of the same name
    let join = bench.join(&ada(), &named("VIP"));
    bench.run();
    bench.assert_end(join, State::Delivered, "");
    assert_eq!(bench.brevo.state().members(mine).len(), 1);
    assert_eq!(bench.brevo.calls("POST /contacts/lists "), 0);
    assert_eq!(bench.brevo.state().lists.len(), 123);
}

#[test]
fn an_unanswered_making_is_looked_for_before_it_is_repeated() {
    for call in ["POST /contacts/folders", "POST /contacts/lists"] {
        for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::DoneBut(201, "{}".into())] {
            let bench = Bench::new();
            at_brevo(&bench, &[ada()]);
            bench.brevo.fault(call, fault.clone());
            let join = bench.join(&ada(), &named("VIP"));
            bench.run();
            bench.assert_end(join, State::Delivered, "");
            let state = bench.brevo.state();
            assert_eq!((state.folders.len(), state.lists.len()), (1, 1), "{call} {fault:?}");
        }
    }
}

#[test]
fn pages_that_move_are_read_anew() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    bench.brevo.state().list("VIP", "MoEngage");
    let moving = Fault::Answer(200, vec![], r#"{"count":2,"lists":[]}"#.into());
    bench.brevo.fault("GET /contacts/lists", moving);
    let join = bench.join(&ada(), &named("VIP"));
    bench.run();
    bench.assert_end(join, State::Delivered, "");
    assert_eq!(bench.brevo.state().lists.len(), 1);
}

#[test]
fn a_list_that_may_not_be_made_holds_its_joins_and_nobody_elses_lane() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    let refused = r#"{"code":"invalid_parameter","message":"Maximum number of lists reached"}"#;
    bench.brevo.fault("POST /contacts/lists", Fault::Answer(400, vec![], refused.into()));
    let join = bench.join(&ada(), &named("VIP"));
    let event = bench.event(&ada(), "seen");
    bench.run();
    bench.assert_end(join, State::Held, "list-stopped");
    bench.assert_end(event, State::Delivered, "");
    assert_eq!(bench.letter_codes(), ["list-refused"]);
}

#[test]
fn an_unanswered_join_is_read_back_and_an_unanswered_leave_is_repeated() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let bench = Bench::new();
        let people = people(3);
        at_brevo(&bench, &people);
        let vip = named("VIP");
        bench.join(&people[0], &vip);
        bench.run();
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", fault.clone());
        let join = bench.join(&people[1], &vip);
        bench.run_until(bench.now() + 5 * MINUTE);
        bench.assert_end(join, State::Parked, "outcome-unknown");
        bench.run();
        bench.assert_end(join, State::Delivered, "");
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/remove", fault.clone());
        let leave = bench.leave(&people[0], &vip);
        bench.run_until(bench.now() + 5 * MINUTE);
        assert!(matches!(bench.end(leave).0, State::Delivered | State::Deduplicated));
        let inert = ListMembership { inert: true, ..named("Quiet") };
        bench.join(&people[0], &inert);
        bench.run();
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", fault.clone());
        let repeated = bench.join(&people[2], &inert);
        bench.run_until(bench.now() + 5 * MINUTE);
        assert!(matches!(bench.end(repeated).0, State::Delivered | State::Deduplicated), "{fault:?}");
        assert!(bench.letters().is_empty(), "{:?}", bench.letter_codes());
        assert_eq!(bench.brevo.state().joins.len(), 4);
    }
}

#[test]
fn a_join_that_arrives_after_the_leave_is_undone() {
    let bench = Bench::new();
    let contacts = at_brevo(&bench, &[ada()]);
    let list = bench.brevo.state().list("VIP", "Old");
    let vip = numbered(list);
    bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", Fault::RequestLost);
    let join = bench.join(&ada(), &vip);
    bench.run_until(bench.now() + MINUTE);
    let leave = bench.leave(&ada(), &vip);
    bench.run_until(bench.now() + MINUTE);
    bench.assert_end(leave, State::Deduplicated, "not-in-list");
    // What was lost arrives at last.
    bench.brevo.state().contacts.get_mut(&contacts[0]).unwrap().lists.insert(list);
    bench.run();
    bench.assert_end(join, State::Superseded, "newer-leave");
    assert!(bench.brevo.state().members(list).is_empty());
}

#[test]
fn undoing_a_late_join_is_not_over_before_brevo_says_so() {
    let unclear = Fault::Answer(201, vec![], "{}".into());
    let refused = Fault::Answer(400, vec![], r#"{"code":"invalid_parameter","message":"no"}"#.into());
    for fault in [unclear, refused, Fault::RequestLost] {
        let bench = Bench::new();
        let contacts = at_brevo(&bench, &[ada()]);
        let list = bench.brevo.state().list("VIP", "Old");
        let vip = numbered(list);
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", Fault::RequestLost);
        let join = bench.join(&ada(), &vip);
        bench.run_until(bench.now() + MINUTE);
        bench.leave(&ada(), &vip);
        bench.run_until(bench.now() + MINUTE);
        bench.brevo.state().contacts.get_mut(&contacts[0]).unwrap().lists.insert(list);
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/remove", fault.clone());
        bench.run();
        bench.assert_end(join, State::Superseded, "newer-leave");
        assert!(bench.brevo.state().members(list).is_empty(), "{fault:?}");
    }
}

#[test]
fn a_join_that_brevo_never_answers_waits_for_a_person_in_the_end() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    for _ in 0..4 {
        bench.brevo.fault("POST /contacts/lists/{id}/contacts/add", Fault::RequestLost);
    }
    let join = bench.join(&ada(), &named("VIP"));
    bench.run();
    bench.assert_end(join, State::Parked, "outcome-unproven");
    assert_eq!(bench.letter_codes(), ["outcome-unproven"]);
    bench.requeue(true);
    bench.run();
    bench.assert_end(join, State::Delivered, "");
    assert_eq!(bench.brevo.state().joins.len(), 1);
}

#[test]
fn words_that_change_their_mind_end_in_the_last_one_and_join_once() {
    let bench = Bench::new();
    at_brevo(&bench, &[ada()]);
    let vip = named("VIP");
    let mut ids = Vec::new();
    for member in [true, false, true, false, true] {
        bench.wait(1);
        ids.push(bench.word(&ada(), &vip, member).unwrap());
    }
    assert!(bench.word(&ada(), &vip, true).is_none(), "it holds already");
    bench.run();
    assert_eq!(bench.end(*ids.last().unwrap()).0, State::Delivered);
    assert!(ids[..4].iter().all(|id| bench.end(*id).0 == State::Superseded));
    assert_eq!(bench.brevo.state().joins.len(), 1);
}

#[test]
fn a_full_run_does_not_keep_an_opt_out_waiting() {
    let bench = Bench::new();
    let people = people(300);
    at_brevo(&bench, &people[..50]);
    let vip = named("VIP");
    for person in &people {
        bench.join(person, &vip);
    }
    bench.wait(1_000);
    let opt_out = bench.consent(&people[0], OptedOut, Flag, bench.now());
    let delivery = bench.delivery();
    let mut calls = 0;
    while bench.end(opt_out).0 == State::Waiting {
        match delivery.step().unwrap() {
            Step::Worked => calls += 1,
            Step::Idle(next) => bench.wait(next.unwrap() - bench.now()),
        }
    }
    assert!(calls < 12, "{calls} steps");
}

/// Whatever breaks at whichever call, the list ends right, exists once, and starts nothing twice.
#[test]
fn h01_any_call_may_break_and_nobody_joins_twice() {
    let run = |disturbed: Option<(usize, Fault)>| {
        let bench = Bench::new();
        let people = people(3);
        let contacts = at_brevo(&bench, &people[..2]);
        let (vip, quiet) = (named("VIP"), ListMembership { inert: true, ..named("Quiet") });
        if let Some((at, fault)) = disturbed {
            bench.brevo.state().nth_fault(at, fault);
        }
        bench.join(&people[0], &vip);
        bench.join(&people[1], &quiet);
        bench.join(&people[2], &vip);
        while unless_killed(|| bench.run()).is_none() {}
        bench.mailable(&people[2]);
        bench.upsert(&people[2], json!({}));
        bench.wait(1);
        bench.join(&people[1], &vip);
        bench.leave(&people[0], &vip);
        while unless_killed(|| bench.run()).is_none() {}
        (bench.brevo.calls(""), contacts, bench)
    };
    let outcome = |bench: &Bench, contacts: &[i64]| {
        let state = bench.brevo.state();
        let id = |name: &str| {
            let ids: Vec<i64> =
                state.lists.iter().filter(|(_, l)| l.name == name).map(|(id, _)| *id).collect();
            assert_eq!(ids.len(), 1, "{:?}", state.lists);
            ids[0]
        };
        let (vip, quiet) = (id("VIP"), id("Quiet"));
        assert_eq!(state.folders.len(), 1, "{:?}", state.folders);
        assert_eq!(state.contacts.len(), 3);
        let third = *state.contacts.keys().last().unwrap();
        let joins = |list| state.joins.iter().filter(|(joined, _)| *joined == list).count();
        assert_eq!((joins(vip), joins(quiet)), (3, 1), "{:?}", state.joins);
        assert_eq!(state.members(vip), [contacts[1], third]);
        assert_eq!(state.members(quiet), [contacts[1]]);
    };
    let (calls, contacts, bench) = run(None);
    outcome(&bench, &contacts);
    assert!(calls >= 15, "{calls}");
    for at in 0..calls {
        for fault in
            [Fault::AnswerLost, Fault::RequestLost, Fault::NotSent, Fault::DiesBefore, Fault::DiesAfter]
        {
            let (_, contacts, bench) = run(Some((at, fault.clone())));
            outcome(&bench, &contacts);
            assert!(bench.letters().is_empty(), "call {at}, {fault:?}: {:?}", bench.letter_codes());
        }
    }
}

#[test]
fn stopping_a_list_twice_writes_one_letter() {
    let bench = Bench::new();
    let people = people(2);
    at_brevo(&bench, &people);
    for person in &people {
        bench.join(person, &numbered(7));
        bench.run();
    }
    assert_eq!(bench.letter_codes(), ["list-gone"]);
    let stopped = bench.store.read::<_, StoreError>(lists::all).unwrap()[0].stopped_code.clone();
    assert_eq!(stopped.as_deref(), Some("list-gone"));
    let letter = bench.letters()[0].id;
    let requeued = bench.store.write(|tx| dead_letters::requeue_action(tx, letter, false, bench.now()));
    assert!(requeued.is_err(), "it is about a list and not about whoever met it first");
}
