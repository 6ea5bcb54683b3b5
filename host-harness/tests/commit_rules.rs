//! The commit rules of units, with a scripted guest: what is accepted, what is folded, what goes
//! into the outbox, and that everything that was read is accounted for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;

use host_harness::contract::*;
use host_harness::people::identity::PersonId;
use host_harness::people::{consent as known_consent, identity, tombstone};
use host_harness::registry::Channel;
use host_harness::store::installations::DestinationId;
use host_harness::store::outbox::State;
use host_harness::store::{StoreError, dead_letters, journal};
use host_harness::unit::{Outcome, UnitError};
use proptest::prelude::*;
use scripted::*;
use serde_json::json;

#[test]
fn an_event_is_accepted_once_and_a_replay_of_everything_changes_nothing() {
    let host = TestHost::new();
    let ann = person("ann");
    let history = vec![
        contact(&ann, "o1", START - HOUR, json!({"A": "1"})),
        event("e1", &ann, Some(START - HOUR), START),
        event("e2", &ann, Some(START - HOUR), START),
    ];
    host.deliver(history.clone());
    let (first, folded) = (host.actions(), host.folded());
    assert_eq!(first.len(), 3);
    let mut reversed = history;
    reversed.reverse();
    host.deliver(reversed);
    assert_eq!(host.actions(), first);
    assert_eq!(host.folded(), folded);
    assert_eq!(host.count("duplicate"), 3);
    host.assert_sums();
}

#[test]
fn a_b_a_arrives_as_three_changes() {
    let host = TestHost::new();
    let ann = person("ann");
    for (n, value) in ["paused", "active", "paused"].into_iter().enumerate() {
        host.deliver(vec![contact(&ann, &format!("o{n}"), START + n as i64, json!({ "A": value }))]);
    }
    let values: Vec<_> = host.actions().iter().map(|(_, _, p, _)| p["attributes"]["A"].clone()).collect();
    assert_eq!(values, [json!("paused"), json!("active"), json!("paused")]);
    host.assert_sums();
}

#[test]
fn an_unchanged_state_calls_for_nothing() {
    let host = TestHost::new();
    let ann = person("ann");
    for n in 0..3 {
        host.deliver(vec![contact(&ann, &format!("o{n}"), START + n, json!({"A": "1"}))]);
    }
    assert_eq!(host.actions().len(), 1);
    assert_eq!(host.count("skipped:unchanged"), 2);
    host.assert_sums();
}

/// A product's content, as an observation has it.
fn product(observation: &str, at: i64, price: i64) -> host_harness::unit::MappedRecord {
    let mut mapped = contact(&person("mug"), observation, at, json!({ "price": price }));
    let thing = Subject::Object(("product".into(), "mug".into()));
    mapped.record.subject = thing.clone();
    let payload = json!({ "id": "mug", "name": "Mug", "price": price });
    let written = action("product", "brevo/upsert-product", &person("mug"), payload, None);
    mapped.mapping = Ok(Mapping::Actions(vec![Action { subject: thing, ..written }]));
    mapped
}

#[test]
fn a_thing_that_is_read_again_unchanged_or_older_is_not_written_again() {
    let host = TestHost::new();
    host.deliver(vec![product("o1", START, 1)]);
    host.deliver(vec![product("o2", START + 1, 1)]);
    host.deliver(vec![product("o3", START + 2, 2)]);
    // Its lane would deliver it last.
    host.deliver(vec![product("late", START - HOUR, 0)]);
    host.deliver(vec![product("o4", START + 3, 1)]);
    let prices: Vec<_> =
        host.actions().into_iter().map(|(_, _, payload, _)| payload["price"].clone()).collect();
    assert_eq!(prices, [json!(1), json!(2), json!(1)]);
    assert_eq!((host.count("skipped:unchanged"), host.count("superseded")), (1, 1));
    host.assert_sums();
}

#[test]
fn a_membership_that_is_said_again_reaches_nobody_again() {
    let host = TestHost::new();
    let ann = person("ann");
    let list = json!({ "list": { "id": 5 }, "inert": true });
    let said = |member, execution: &str, at| {
        let mut mapped = membership(&ann, &list, member, execution, at, Provenance::Live);
        let Ok(Mapping::Actions(actions)) = &mut mapped.mapping else { panic!() };
        if member {
            let deadline = Some(START + HOUR);
            actions.push(action("mail", "brevo/send-email", &ann, json!({ "template_id": 1 }), deadline));
            actions.push(action("note", "brevo/add-note", &ann, json!({ "text": "x" }), deadline));
        }
        mapped
    };
    let sent = || host.actions().iter().filter(|(name, ..)| name == "brevo/send-email").count();
    host.deliver(vec![said(true, "x1", START)]);
    assert_eq!(sent(), 1);
    // The execution failed half way, and the next one says everything again.
    host.deliver(vec![said(true, "x2", START + 1)]);
    assert_eq!((sent(), host.count("skipped:unchanged")), (1, 1));
    // Who leaves and joins again has joined again; what comes late of before has not.
    host.deliver(vec![said(false, "x3", START + 2)]);
    host.deliver(vec![said(true, "x1-late", START + 1)]);
    assert_eq!(sent(), 1);
    host.deliver(vec![said(true, "x4", START + 3)]);
    assert_eq!(sent(), 2);
    host.assert_sums();
}

#[test]
fn n28_an_older_state_never_becomes_current_but_fills_what_nothing_newer_mentions() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver(vec![contact(&ann, "new", START, json!({"A": "new"}))]);
    host.deliver(vec![contact(&ann, "old", START - HOUR, json!({"A": "old", "B": "only here"}))]);
    host.deliver(vec![contact(&ann, "older", START - 2 * HOUR, json!({"A": "older"}))]);
    let payloads: Vec<_> = host.actions().into_iter().map(|(_, _, payload, _)| payload).collect();
    assert_eq!(payloads, [json!({"attributes": {"A": "new"}}), json!({"attributes": {"B": "only here"}})]);
    assert_eq!(host.count("superseded"), 1);
    host.assert_sums();
}

#[test]
fn what_rides_on_an_event_loses_to_a_profile_that_was_read_shortly_before() {
    const MINUTE: i64 = 60_000;
    let ann = person("ann");
    let observed = |name: &str, rank, at| {
        let mut mapped = contact(&ann, name, at, json!({ "A": name }));
        mapped.record.observation.rank = rank;
        mapped
    };
    let read = observed("read", 20, START - 40 * MINUTE);
    let soon = observed("soon", 10, START - 30 * MINUTE);
    let later = observed("later", 10, START - 20 * MINUTE);
    // Whatever the order of arrival: the read stands against what came within the quarter of an
    // hour, and falls to what came after it.
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (order, until) in orders.into_iter().flat_map(|order| [(order, 2), (order, 3)]) {
        let host = TestHost::new();
        let known = [&read, &soon, &later];
        for one in order.into_iter().filter(|n| *n < until) {
            host.deliver(vec![known[one].clone()]);
        }
        let alone = TestHost::new();
        alone.deliver(vec![if until == 2 { read.clone() } else { later.clone() }]);
        assert_eq!(host.desired("A"), alone.desired("A"), "{order:?}, {until} observations");
        host.assert_sums();
    }
}

#[test]
fn an_opt_out_in_a_superseded_observation_is_not_lost() {
    let host = TestHost::new();
    let ann = person("ann");
    let with_flag = |observation: &str, at, status: Option<&str>| {
        let mut mapped = contact(&ann, observation, at, json!({ "A": observation }));
        if let (Some(status), Ok(Mapping::Actions(actions))) = (status, &mut mapped.mapping) {
            let payload = json!({ "channel": "email", "status": status, "basis": "flag" });
            actions.insert(0, action("consent", "brevo/set-consent", &ann, payload, None));
        }
        mapped
    };
    host.deliver(vec![with_flag("new", START, None)]);
    host.deliver(vec![with_flag("old", START - HOUR, Some("opted-out"))]);
    assert!(host.folded().contains("opted-out"), "{}", host.folded());
    assert_eq!(host.actions().len(), 2, "the opt-out goes to Brevo");
    host.assert_sums();
}

#[test]
fn a_late_event_waits_with_its_date_and_an_old_one_is_recorded_as_expired() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver(vec![
        event("late", &ann, Some(START - 23 * HOUR), START),
        event("old", &ann, Some(START - 25 * HOUR), START),
    ]);
    let states: Vec<_> = host.actions().into_iter().map(|(_, state, _, code)| (state, code)).collect();
    assert_eq!(states, [(State::Waiting, None), (State::Expired, Some("too-old".into()))]);
    let date: Option<i64> = host
        .store
        .read::<_, StoreError>(|tx| {
            Ok(tx.query_row("SELECT occurred_at FROM action WHERE id = 1", [], |r| r.get(0))?)
        })
        .unwrap();
    assert_eq!(date, Some(START - 23 * HOUR));
    host.assert_sums();
}

#[test]
fn without_a_trusted_time_only_the_live_door_counts_as_new() {
    let host = TestHost::new();
    let ann = person("ann");
    let from = |key: &str, at, provenance| {
        let mut mapped = event(key, &ann, at, START);
        mapped.record.provenance = provenance;
        mapped
    };
    host.deliver(vec![
        from("live", None, Provenance::Live),
        from("backfill", None, Provenance::Backfill),
        from("future", Some(START + 100 * HOUR), Provenance::Backfill),
        from("future-live", Some(START + 100 * HOUR), Provenance::Live),
    ]);
    let states: Vec<_> = host.actions().into_iter().map(|(_, state, _, _)| state).collect();
    assert_eq!(states, [State::Waiting, State::Expired, State::Expired, State::Waiting]);
    host.assert_sums();
}

#[test]
fn a_time_in_the_future_does_not_win_for_ever() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver(vec![contact(&ann, "future", START + 1000 * HOUR, json!({"A": "future"}))]);
    host.clock.advance(HOUR);
    host.deliver(vec![contact(&ann, "now", START + HOUR, json!({"A": "now"}))]);
    assert_eq!(host.actions().last().unwrap().2, json!({"attributes": {"A": "now"}}));
}

#[test]
fn what_is_older_than_the_dedupe_horizon_is_refused() {
    let host = TestHost::new();
    host.deliver(vec![event("ancient", &person("ann"), Some(START - 91 * 24 * HOUR), START)]);
    assert!(host.actions().is_empty());
    assert_eq!(host.count("skipped:beyond-dedupe-horizon"), 1);
    host.assert_sums();
}

#[test]
fn a_state_that_has_not_changed_for_years_is_still_accepted_and_a_forgotten_one_changes_nothing() {
    let host = TestHost::new();
    let ann = person("ann");
    let old = contact(&ann, "o1", START - 3 * 365 * 24 * HOUR, json!({"A": "1"}));
    host.deliver(vec![old.clone()]);
    assert_eq!(host.actions().len(), 1);
    let horizon = std::time::Duration::from_hours(90 * 24);
    host.store
        .write::<_, StoreError>(|tx| host_harness::store::retention::prune(tx, START, horizon))
        .unwrap();
    host.deliver(vec![old]);
    assert_eq!(host.actions().len(), 1);
    host.assert_sums();
}

#[test]
fn n19_one_poison_record_stops_nobody_and_can_be_requeued_once() {
    let host = TestHost::new();
    let ann = person("ann");
    let mut poison = event("poison", &ann, Some(START), START);
    let cured = poison.clone();
    poison.mapping = Err(UnitError::Fault { code: "guest-trap".into(), message: "unreachable".into() });
    host.deliver(vec![
        event("before", &ann, Some(START), START),
        poison.clone(),
        event("after", &ann, Some(START), START),
    ]);
    assert_eq!(host.actions().len(), 2);
    assert_eq!(host.letters().len(), 1);
    host.assert_sums();

    // The vendor repeats the batch: the poison is known already.
    host.deliver(vec![poison]);
    assert_eq!(host.letters().len(), 1);

    // A corrected component, and an operator's word.
    host.script(move |_, _| Ok(Outcome { records: vec![cured.clone()], ..Outcome::default() }));
    let id = host.letters()[0].0;
    host.store.write::<_, StoreError>(|tx| dead_letters::close(tx, id, true, START)).unwrap();
    host.settle();
    assert_eq!(host.actions().len(), 3);
    assert_eq!(host.count("quarantined"), 0);
    assert!(host.letters().is_empty());
    host.assert_sums();
}

#[test]
fn an_action_outside_of_the_profile_or_the_registry_is_quarantined_with_its_whole_record() {
    let host = TestHost::new();
    let ann = person("ann");
    let with = |key: &str, name: &str, payload| {
        let mut mapped = event(key, &ann, Some(START), START);
        if let Ok(Mapping::Actions(actions)) = &mut mapped.mapping {
            actions.push(action("more", name, &ann, payload, None));
        }
        mapped
    };
    host.deliver(vec![
        with("1", "brevo/launch-rocket", json!({})),
        with("2", "brevo/upsert-contact", json!({"attributes": {"UNDECLARED": "x"}})),
        with("3", "brevo/upsert-contact", json!({"attributes": {"A": 5}})),
        with("4", "brevo/upsert-contact", json!({"wrong": true})),
    ]);
    let codes: Vec<_> = host.letters().into_iter().map(|(_, _, code)| code).collect();
    assert_eq!(codes, ["unknown-action", "undeclared-target", "bad-action-payload", "bad-action-payload"]);
    assert!(host.actions().is_empty());
    host.assert_sums();
}

#[test]
fn an_event_that_says_nothing_of_when_it_is_too_late_is_quarantined() {
    let host = TestHost::new();
    let mut endless = event("endless", &person("ann"), Some(START), START);
    if let Ok(Mapping::Actions(actions)) = &mut endless.mapping {
        actions[0].not_after = None;
    }
    host.deliver(vec![endless]);
    assert_eq!(host.letters()[0].2, "missing-not-after");
}

#[test]
fn g01_a_unit_whose_guest_breaks_is_kept_raw_shown_and_replayable() {
    let host = TestHost::new();
    let id = host.append();
    host.script(|_, _| Err(UnitError::Fault { code: "guest-trap".into(), message: "unreachable".into() }));
    for _ in 0..5 {
        host.settle();
        host.clock.advance(HOUR);
    }
    assert_eq!(host.letters().len(), 1);
    assert_eq!(host.letters()[0].2, "guest-trap");

    let ann = person("ann");
    host.script(move |_, _| {
        Ok(Outcome { records: vec![event("e", &ann, Some(START), START)], ..Outcome::default() })
    });
    host.store.write::<_, StoreError>(|tx| journal::requeue(tx, id, START)).unwrap();
    host.settle();
    assert_eq!(host.actions().len(), 1);
    host.assert_sums();
}

#[test]
fn g10_a_replay_that_says_otherwise_has_no_second_effect() {
    let host = TestHost::new();
    let ann = person("ann");
    let said = |word: &str, slot: &str| {
        let mut mapped = event("e", &ann, Some(START), START);
        mapped.record.body = json!({ "said": word }).to_string();
        let Ok(Mapping::Actions(actions)) = &mut mapped.mapping else { panic!() };
        actions[0].slot = slot.into();
        mapped
    };
    host.deliver(vec![said("first", "event")]);
    let first = host.actions();
    assert_eq!(first.len(), 1);
    // The same webhook again, understood in another way: another body, another slot.
    host.deliver(vec![said("second", "event")]);
    host.deliver(vec![said("third", "other-slot")]);
    assert_eq!(host.actions(), first);
    assert_eq!((host.count("read"), host.count("duplicate")), (3, 2));
    host.assert_sums();
}

#[test]
fn g11_a_record_that_comes_again_and_again_in_one_unit_counts_once() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver((0..2_000).map(|_| event("e", &ann, Some(START), START)).collect());
    assert_eq!(host.actions().len(), 1);
    assert_eq!((host.count("read"), host.count("duplicate")), (2_000, 1_999));
    host.assert_sums();
}

#[test]
fn a_passing_failure_is_tried_again_later_and_not_at_once() {
    let host = TestHost::new();
    host.append();
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = calls.clone();
    host.script(move |_, _| {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err(UnitError::Failure(Failure {
            kind: FailureKind::Transient,
            code: "down".into(),
            message: "down".into(),
        }))
    });
    host.settle();
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
    host.clock.advance(HOUR);
    host.settle();
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert!(host.letters().is_empty());
}

#[test]
fn g13_a_storage_conflict_runs_the_unit_again() {
    use host_harness::unit::StorageDelta;
    let host = TestHost::new();
    host.append();
    let runs = std::sync::atomic::AtomicU32::new(0);
    let (store, installation) = (host.store.clone(), host.installation.id);
    host.script(move |_, services| {
        let seen = services.storage_get("n").map(|entry| entry.version);
        if runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            let other = StorageDelta { reads: vec![], writes: vec![("n".into(), Some(b"other".to_vec()))] };
            store
                .write::<_, StoreError>(|tx| {
                    host_harness::store::storage::apply(
                        tx,
                        installation,
                        &other,
                        &host_harness::quotas::Quotas::DEFAULT,
                    )
                })
                .unwrap();
        }
        let storage = StorageDelta {
            reads: vec![("n".into(), seen)],
            writes: vec![("n".into(), Some(b"mine".to_vec()))],
        };
        Ok(Outcome { storage, ..Outcome::default() })
    });
    host.settle();
    let entry = host
        .store
        .read::<_, StoreError>(|tx| host_harness::store::storage::get(tx, installation, "n"))
        .unwrap()
        .unwrap();
    assert_eq!(entry.value, b"mine");
    assert_eq!(entry.version, 2);
}

/// Somebody else writes what the unit reads, each time that it is run.
fn contend(host: &TestHost) {
    use host_harness::unit::StorageDelta;
    let (store, installation) = (host.store.clone(), host.installation.id);
    host.script(move |_, services| {
        let seen = services.storage_get("n").map(|entry| entry.version);
        let other = StorageDelta { reads: vec![], writes: vec![("n".into(), Some(b"other".to_vec()))] };
        store
            .write::<_, StoreError>(|tx| {
                host_harness::store::storage::apply(
                    tx,
                    installation,
                    &other,
                    &host_harness::quotas::Quotas::DEFAULT,
                )
            })
            .unwrap();
        let storage = StorageDelta { reads: vec![("n".into(), seen)], writes: vec![] };
        let next = Some(Next::Done(RunEnd { cursor: None, truncated: None }));
        Ok(Outcome { storage, next, ..Outcome::default() })
    });
}

#[test]
fn g13_a_storage_that_somebody_else_always_writes_holds_up_one_unit_and_is_told() {
    let host = TestHost::new();
    contend(&host);
    host.append();
    host.make_due();
    host.settle();
    let (due, result, code, _) = host.job();
    assert!(
        due.is_some_and(|due| due > START),
        "the page is tried again later, and not while it is thought to run"
    );
    assert_eq!((result.as_deref(), code.as_deref()), (Some("failed"), Some("storage-contended")));
    // The other one stops at last.
    host.script(|_, _| {
        let next = Some(Next::Done(RunEnd { cursor: None, truncated: None }));
        Ok(Outcome { next, ..Outcome::default() })
    });
    host.clock.advance(HOUR);
    host.settle();
    assert_eq!(host.job().1.as_deref(), Some("complete"));
    assert!(host.letters().is_empty());
    // Or it doesn't: then the webhook is put aside, raw.
    contend(&host);
    host.append();
    for _ in 0..13 {
        host.settle();
        host.clock.advance(HOUR);
    }
    assert!(
        host.letters()
            .iter()
            .any(|(_, stage, code)| (stage.as_str(), code.as_str()) == ("read", "storage-contended"))
    );
}

#[test]
fn a_unit_over_the_storage_quota_is_put_aside_whole() {
    use host_harness::unit::StorageDelta;
    let host = TestHost::new();
    let ann = person("ann");
    host.append();
    host.script(move |_, _| {
        let full = vec![0; (host_harness::quotas::Quotas::DEFAULT.storage_bytes + 1) as usize];
        let storage = StorageDelta { reads: vec![], writes: vec![("k".into(), Some(full))] };
        Ok(Outcome { storage, records: vec![event("e", &ann, Some(START), START)], ..Outcome::default() })
    });
    host.settle();
    assert_eq!(host.letters()[0].2, "storage-quota");
    assert!(host.actions().is_empty());
}

#[test]
fn d18_erased_people_stay_erased_through_replays() {
    let host = TestHost::new();
    let ann = person("ann");
    let history = vec![contact(&ann, "o1", START, json!({"A": "1"})), event("e1", &ann, Some(START), START)];
    host.deliver(history.clone());
    host.store
        .write::<_, StoreError>(|tx| tombstone::erase(tx, DestinationId(1), PersonId(1), &[], START))
        .unwrap();
    assert!(
        host.actions()
            .iter()
            .all(|(_, state, payload, _)| { *state == State::Refused && *payload == json!({}) })
    );
    host.deliver(history);
    // Also under another of the person's names only, in another case.
    let by_mail =
        Person { external_id: None, email: Some("ANN@example.com".into()), phone: None, aliases: vec![] };
    host.deliver(vec![event("e2", &by_mail, Some(START), START)]);
    assert_eq!(host.actions().len(), 2);
    assert_eq!(host.count("skipped:person-erased"), 3);
    let names: i64 = host
        .store
        .read::<_, StoreError>(|tx| Ok(tx.query_row("SELECT count(*) FROM identity", [], |r| r.get(0))?))
        .unwrap();
    assert_eq!(names, 0);
    host.assert_sums();
}

/// What is known of somebody's mailbox.
fn is_blocked(host: &TestHost, who: &Person) -> bool {
    let blocked = |tx: &rusqlite::Transaction<'_>| -> Result<bool, StoreError> {
        let ids = identity::find(tx, DestinationId(1), who)?;
        Ok(known_consent::known(tx, ids[0].0, Channel::Email)?.blocked())
    };
    host.store.read(blocked).unwrap()
}

#[test]
fn an_opt_out_of_a_shared_address_holds_for_everyone_and_the_rest_is_quarantined() {
    let host = TestHost::new();
    let share = |id: &str| Person { email: Some("home@example.com".into()), ..person(id) };
    host.deliver(vec![
        contact(&share("ann"), "o1", START, json!({"A": "1"})),
        contact(&share("bob"), "o2", START, json!({"A": "2"})),
    ]);
    let home = Person { external_id: None, ..share("nobody") };
    host.deliver(vec![
        consent("out", &home, START, "opted-out", "signal"),
        consent("in", &home, START + 1, "opted-in", "signal"),
        event("bought", &home, Some(START), START),
    ]);
    assert!(is_blocked(&host, &share("ann")) && is_blocked(&host, &share("bob")));
    let codes: Vec<_> = host.letters().into_iter().map(|(_, _, code)| code).collect();
    assert_eq!(codes, ["identity-ambiguous", "identity-ambiguous"]);
    host.assert_sums();
}

#[test]
fn a_device_that_gets_an_id_is_one_person_and_an_opt_out_follows_the_mailbox() {
    let host = TestHost::new();
    let alias = |id: &str| vec![Alias { kind: "vendor".into(), value: id.into() }];
    let mailbox =
        Person { external_id: None, email: Some("Ann@example.com".into()), phone: None, aliases: vec![] };
    let device = Person { external_id: None, email: None, phone: None, aliases: alias("m1") };
    host.deliver(vec![
        consent("out", &mailbox, START - HOUR, "opted-out", "signal"),
        event("seen", &device, Some(START), START),
        contact(&Person { aliases: alias("m1"), ..person("ann") }, "o1", START, json!({"A": "1"})),
    ]);
    let people: Vec<i64> = host
        .store
        .read::<_, StoreError>(|tx| {
            let mut statement = tx.prepare("SELECT DISTINCT person FROM action ORDER BY 1")?;
            Ok(statement.query_map([], |r| r.get(0))?.map(Result::unwrap).collect())
        })
        .unwrap();
    // The vendor's alias joins device and id, and what was known by the mailbox alone is whose it is:
    // as if the id had come first.
    assert_eq!(people.len(), 1, "{people:?}");
    assert!(is_blocked(&host, &person("ann")), "{}", host.folded());
    assert!(host.letters().is_empty());
}

#[test]
fn an_opt_out_that_comes_over_with_a_name_goes_to_brevo_once() {
    let host = TestHost::new();
    let named = |id: &str, alias: &str| Person {
        aliases: vec![Alias { kind: "vendor".into(), value: alias.into() }],
        ..person(id)
    };
    host.deliver(vec![
        contact(&named("ann", "m1"), "o1", START, json!({"A": "1"})),
        consent("out", &named("bob", "m2"), START, "opted-out", "signal"),
    ]);
    let merged = || vec![contact(&named("ann", "m2"), "o2", START + 1, json!({"A": "1"}))];
    for _ in 0..2 {
        host.deliver(merged());
        let consents: Vec<_> = host.actions().into_iter().filter(|a| a.0 == "brevo/set-consent").collect();
        let flag = json!({"channel": "email", "status": "opted-out", "basis": "flag"});
        assert_eq!(consents.len(), 2, "{consents:?}");
        assert_eq!((consents[1].1, &consents[1].2), (State::Waiting, &flag));
    }
    assert_eq!(host.folded().matches("opted-out").count(), 2);
    host.assert_sums();
}

/// One entry of a random history about two people.
fn entry() -> impl Strategy<Value = (usize, usize, i64, u8)> {
    (0..2_usize, 0..5_usize, 0..6_i64, 0..3_u8)
}

fn history(entries: &[(usize, usize, i64, u8)]) -> Vec<host_harness::unit::MappedRecord> {
    let people = [person("ann"), person("bob")];
    let make = |(n, &(who, what, at, value)): (usize, &(usize, usize, i64, u8))| {
        let (who, at) = (&people[who], START - HOUR + at);
        match what {
            0 => contact(who, &format!("o{n}"), at, json!({ "A": value.to_string() })),
            1 => contact(who, &format!("o{n}"), at, json!({ "B": value.to_string(), "C": null })),
            2 => event(&format!("e{n}"), who, Some(at), START),
            3 => consent(&format!("c{n}"), who, at, "opted-out", "signal"),
            _ => consent(&format!("c{n}"), who, at, "opted-in", if value == 0 { "flag" } else { "signal" }),
        }
    };
    entries.iter().enumerate().map(make).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// N28: whatever the order of arrival, and however often a part of it is repeated, the people
    /// end up the same.
    #[test]
    fn n28_any_order_of_arrival_folds_to_the_same_people(
        entries in prop::collection::vec(entry(), 1..14),
        seed in any::<u64>(),
    ) {
        let records = history(&entries);
        let straight = TestHost::new();
        straight.deliver(records.clone());
        let mut shuffled = records.clone();
        shuffled.extend(records.iter().take(3).cloned());
        let mut state = seed;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        let other = TestHost::new();
        for chunk in shuffled.chunks(3) {
            other.deliver(chunk.to_vec());
        }
        prop_assert_eq!(straight.folded(), other.folded());
        straight.assert_sums();
        other.assert_sums();
    }
}
