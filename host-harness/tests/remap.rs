//! Mapping everything again after a mapping was corrected: what comes out differently goes to Brevo,
//! and nothing is sent a second time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "scripted/mod.rs"]
mod scripted;
#[path = "sources/mod.rs"]
mod sources;

use std::collections::BTreeMap;
use std::time::Duration;

use host_harness::contract::*;
use host_harness::operate::lists::{self, Allowed};
use host_harness::people::identity::PersonId;
use host_harness::people::tombstone;
use host_harness::pipeline::Step;
use host_harness::registry;
use host_harness::store::journal::{GroupCommit, Journal as _, RawDelivery};
use host_harness::store::outbox::State;
use host_harness::store::remaps::{self, Remap};
use host_harness::store::{StoreError, dead_letters, retention};
use host_harness::unit::{MappedRecord, Outcome, UnitError, Work};
use host_harness::world::Clock as _;
use scripted::*;
use serde_json::{Value, json};

const DAY: i64 = 24 * HOUR;
const HORIZON: Duration = Duration::from_hours(90 * 24);

/// From now on records are mapped like this.
fn correct(host: &TestHost, map: impl Fn(&Record) -> Result<Mapping, UnitError> + Send + Sync + 'static) {
    host.script(move |unit, _| {
        let Work::Map(records) = &unit.work else { panic!("only mapping is asked for") };
        let mapped = |record: &Record| MappedRecord { record: record.clone(), mapping: map(record) };
        Ok(Outcome { records: records.iter().map(mapped).collect(), ..Outcome::default() })
    });
}

fn begin(host: &TestHost) {
    let now = host.clock.now();
    host.store.write::<_, StoreError>(|tx| remaps::begin(tx, host.installation.id, now)).unwrap();
}

fn stands(host: &TestHost) -> Remap {
    host.store.read::<_, StoreError>(|tx| remaps::get(tx, host.installation.id)).unwrap().unwrap()
}

/// Maps everything again and says what came of it.
fn remap(host: &TestHost) -> Remap {
    begin(host);
    host.settle();
    let remap = stands(host);
    assert!(remap.finished_at.is_some(), "{remap:?}");
    host.assert_sums();
    remap
}

/// A contact with the body's values under other attributes.
fn renamed(record: &Record, names: &[(&str, &str)]) -> Mapping {
    let Subject::Person(who) = &record.subject else { panic!("{record:?}") };
    let body: BTreeMap<String, Value> = serde_json::from_str(&record.body).unwrap();
    let name = |from: &String| names.iter().find(|(old, _)| old == from).map(|(_, new)| (*new).to_owned());
    let attributes: BTreeMap<String, Value> =
        body.iter().filter_map(|(from, value)| Some((name(from)?, value.clone()))).collect();
    Mapping::Actions(vec![action(
        "contact",
        "brevo/upsert-contact",
        who,
        json!({ "attributes": attributes }),
        None,
    )])
}

fn payloads(host: &TestHost) -> Vec<Value> {
    host.actions().into_iter().map(|(_, _, payload, _)| payload).collect()
}

#[test]
fn only_states_are_mapped_again_and_only_what_comes_out_differently_is_admitted() {
    let host = TestHost::new();
    let ann = person("ann");
    let bea = person("bea");
    host.deliver(vec![
        contact(&ann, "o1", START, json!({"A": "1", "B": "2"})),
        contact(&bea, "o2", START, json!({"B": "2"})),
        event("e1", &ann, Some(START), START),
    ]);
    let before = host.actions();
    assert_eq!(before.len(), 3);
    // What was mapped to A belongs into C; B is no longer mapped.
    correct(&host, |record| {
        assert_eq!(record.nature, Nature::State, "an event is never mapped again");
        Ok(renamed(record, &[("A", "C")]))
    });
    let counts = remap(&host).counts;
    assert_eq!((counts.states, counts.changed, counts.actions), (2, 1, 1), "{counts:?}");
    assert_eq!(host.actions()[..3], before);
    assert_eq!(payloads(&host)[3..], [json!({"attributes": {"C": "1"}})]);
    // The same settings once more.
    let counts = remap(&host).counts;
    assert_eq!((counts.states, counts.changed, counts.actions), (2, 0, 0), "{counts:?}");
    assert_eq!(host.actions().len(), 4);
    // And the next content has a revision of its own.
    host.deliver(vec![contact(&ann, "o3", START + 1, json!({"C": "3"}))]);
    assert_eq!(payloads(&host)[4..], [json!({"attributes": {"C": "3"}})]);
}

#[test]
fn another_value_of_the_same_observation_counts_and_a_newer_observation_stands() {
    let host = TestHost::new();
    let ann = person("ann");
    let mut profile = contact(&ann, "newer", START + HOUR, json!({"B": "of the profile"}));
    profile.record.id = "scripted:ws:profile:ann".into();
    host.deliver(vec![contact(&ann, "o1", START, json!({"A": "1", "B": "2"})), profile]);
    let before = payloads(&host).len();
    // The contact is spelled otherwise; of the profile everything stays.
    correct(&host, |record| {
        let Subject::Person(who) = &record.subject else { panic!() };
        if record.id.contains("profile") {
            return Ok(renamed(record, &[("B", "B")]));
        }
        let payload = json!({ "attributes": { "A": "one", "B": "two" } });
        Ok(Mapping::Actions(vec![action("contact", "brevo/upsert-contact", who, payload, None)]))
    });
    assert_eq!(remap(&host).counts.changed, 1);
    assert_eq!(payloads(&host)[before..], [json!({"attributes": {"A": "one"}})]);
    let brevo = sources::vendor::Checked::start(stand_ins::brevo::Options {
        plan: stand_ins::brevo::Plan::Unlimited,
        ..stand_ins::brevo::Options::default()
    });
    host.script(|_, _| Ok(Outcome::default()));
    host.deliver(vec![consent("c1", &ann, START, "opted-in", "flag")]);
    deliver_all(&host, &delivery(&host, &brevo));
    let attributes = brevo.contact_by_ext_id("ann").unwrap().attributes;
    assert_eq!((&attributes["A"], &attributes["B"]), (&json!("one"), &json!("of the profile")));
}

#[test]
fn what_cannot_be_taken_back_is_not_done_again_whatever_the_mapping_says() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver(vec![contact(&ann, "o1", START, json!({"A": "1"}))]);
    let sent = host.actions();
    correct(&host, |record| {
        let Subject::Person(who) = &record.subject else { panic!() };
        let later = Some(START + DAY);
        Ok(Mapping::Actions(vec![
            action("event", "brevo/track-event", who, json!({ "event": "bought" }), later),
            action("mail", "brevo/send-email", who, json!({ "template_id": 1 }), later),
            action("note", "brevo/add-note", who, json!({ "text": "x" }), later),
            action("delete", "brevo/delete-contact", who, json!({ "behavior": "hard" }), None),
        ]))
    });
    let counts = remap(&host).counts;
    assert_eq!((counts.states, counts.actions), (1, 0), "{counts:?}");
    assert!(counts.failed.is_empty(), "{counts:?}");
    assert_eq!(host.actions(), sent);
}

/// An action about a thing.
fn about(key: &str, slot: &str, name: &str, payload: Value, not_after: Option<i64>) -> Action {
    let subject = Subject::Object(("thing".into(), key.into()));
    Action { subject, ..action(slot, name, &person("nobody"), payload, not_after) }
}

/// A thing's state at a time.
fn thing(key: &str, at: i64, body: Value, mapping: Mapping) -> MappedRecord {
    let mut mapped = contact(&person("nobody"), &format!("o{at}"), at, body);
    mapped.record.id = format!("scripted:ws:thing:{key}");
    mapped.record.kind = "thing".into();
    mapped.record.subject = Subject::Object(("thing".into(), key.into()));
    mapped.mapping = Ok(mapping);
    mapped
}

#[test]
fn what_is_mapped_again_is_exactly_what_says_how_things_are() {
    let ann = person("ann");
    let later = Some(START + DAY);
    let list = json!({ "list": { "name": "VIP", "folder": "F" }, "inert": true });
    let of_person = |name: &str, payload: Value, not_after| action("x", name, &ann, payload, not_after);
    let samples = [
        of_person("brevo/upsert-contact", json!({ "attributes": { "A": "1" } }), None),
        of_person(
            "brevo/set-consent",
            json!({ "channel": "email", "status": "opted-out", "basis": "flag" }),
            None,
        ),
        of_person("brevo/set-suppression", json!({ "channel": "email", "reason": "hard-bounce" }), None),
        of_person("brevo/track-event", json!({ "event": "bought" }), later),
        of_person("brevo/join-list", list.clone(), None),
        of_person("brevo/leave-list", list, None),
        of_person("brevo/send-email", json!({ "template_id": 1 }), later),
        of_person("brevo/send-sms", json!({ "content": "x", "sender": "ACME" }), later),
        Action {
            subject: Subject::Object(("brevo-campaign".into(), "7".into())),
            ..of_person("brevo/trigger-campaign", json!({ "campaign_id": 7 }), later)
        },
        of_person("brevo/delete-contact", json!({ "behavior": "hard" }), None),
        about("P1", "x", "brevo/upsert-product", json!({ "id": "P1", "name": "P" }), None),
        about(
            "P1",
            "x",
            "brevo/upsert-object",
            json!({ "type": "t", "ext_id": "P1", "attributes": { "a": 1 } }),
            None,
        ),
        of_person("brevo/add-note", json!({ "text": "x" }), later),
        of_person("brevo/create-task", json!({ "name": "x", "type": "Todo", "due_in": 60 }), later),
    ];
    let names: Vec<&str> = samples.iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(names, registry::names::ALL, "an action without a sample");
    let mut repeated = Vec::new();
    for sample in &samples {
        // Each would be done where a record calls for it ...
        let host = TestHost::new();
        let mut calls = contact(&ann, "o1", START, json!({}));
        calls.record.nature = Nature::Event;
        calls.mapping = Ok(Mapping::Actions(vec![sample.clone()]));
        host.deliver(vec![calls]);
        assert_eq!(host.actions().len(), 1, "{}: {:?}", sample.name, host.letters());
        // ... and again, where a state is mapped to it that was mapped to nothing.
        let host = TestHost::new();
        let mut silent = contact(&ann, "o1", START, json!({ "A": "1" }));
        silent.mapping = Ok(Mapping::Nothing("no-target".into()));
        host.deliver(vec![silent]);
        let sample = sample.clone();
        let name = sample.name.clone();
        correct(&host, move |_| Ok(Mapping::Actions(vec![sample.clone()])));
        let counts = remap(&host).counts;
        assert!(counts.failed.is_empty(), "{name}: {counts:?}");
        if counts.actions > 0 {
            repeated.push(name);
        }
    }
    let expected = [
        "brevo/upsert-contact",
        "brevo/set-consent",
        "brevo/set-suppression",
        "brevo/join-list",
        "brevo/leave-list",
        "brevo/upsert-product",
        "brevo/upsert-object",
    ];
    assert_eq!(repeated, expected);
}

#[test]
fn a_corrected_object_goes_to_brevo_once_and_its_notes_and_tasks_never() {
    let host = TestHost::new();
    let object = |name: &str, value: &str| {
        let payload = json!({ "type": "t", "ext_id": "P1", "attributes": { name: value } });
        about("P1", "object", "brevo/upsert-object", payload, None)
    };
    let product = |sku: &str| {
        let payload = json!({ "id": "P1", "name": "P", "sku": sku });
        about("P1", "product", "brevo/upsert-product", payload, None)
    };
    let later = Some(START + DAY);
    let note = about("P1", "note", "brevo/add-note", json!({ "text": "x" }), later);
    let task =
        about("P1", "task", "brevo/create-task", json!({ "name": "x", "type": "Todo", "due_in": 60 }), later);
    let first = vec![object("colour", "red"), product("old"), note.clone(), task.clone()];
    host.deliver(vec![thing("P1", START, json!({ "colour": "red" }), Mapping::Actions(first))]);
    let before = host.actions();
    assert_eq!(before.len(), 4);
    // Another attribute of the object, another field of the product; the note and the task say more.
    let text = |mut action: Action| {
        action.payload = action.payload.replace("\"x\"", "\"y\"");
        action
    };
    let (note, task) = (text(note), text(task));
    let second = vec![object("tint", "red"), product("new"), note, task];
    correct(&host, move |_| Ok(Mapping::Actions(second.clone())));
    let counts = remap(&host).counts;
    assert_eq!((counts.changed, counts.actions), (1, 2), "{counts:?}");
    let names = || -> Vec<String> { host.actions()[4..].iter().map(|(name, ..)| name.clone()).collect() };
    assert_eq!(names(), ["brevo/upsert-object", "brevo/upsert-product"]);
    assert_eq!(payloads(&host)[4]["attributes"], json!({ "tint": "red" }));
    // Once more: nothing.
    assert_eq!(remap(&host).counts.actions, 0);
    assert_eq!(host.actions().len(), 6);
}

#[test]
fn what_called_for_nothing_is_kept_and_can_call_for_something_later() {
    let host = TestHost::new();
    let mut thing = contact(&person("ann"), "o1", START, json!({"A": "1"}));
    thing.mapping = Ok(Mapping::Nothing("no-target".into()));
    host.deliver(vec![thing]);
    assert!(host.actions().is_empty());
    correct(&host, |record| Ok(renamed(record, &[("A", "A")])));
    assert_eq!(remap(&host).counts.changed, 1);
    assert_eq!(payloads(&host), [json!({"attributes": {"A": "1"}})]);
}

#[test]
fn a_corrected_list_waits_for_a_word_and_what_was_declined_is_not_brought_up_again() {
    let host = TestHost::new();
    let ann = person("ann");
    let list = |name: &str| json!({ "list": { "name": name, "folder": "F" } });
    host.deliver(vec![membership(&ann, &list("Wrong"), true, "x1", START, Provenance::Live)]);
    assert_eq!(host.actions()[0].1, State::Waiting);
    correct(&host, move |record| {
        let Subject::Person(who) = &record.subject else { panic!() };
        // Long past what a live join would still be done for.
        let join = action("list", "brevo/join-list", who, list("Right"), Some(START - DAY));
        Ok(Mapping::Actions(vec![join]))
    });
    assert_eq!(remap(&host).counts.actions, 1);
    let right = || host.actions()[1].clone();
    assert_eq!((right().1, right().3.as_deref()), (State::Held, Some("baseline-unconfirmed")));
    assert_eq!(remap(&host).counts.actions, 0, "it is held already");
    let declined = Allowed { deliver_joins: Some(false), ..Allowed::default() };
    let all = host.store.read::<_, StoreError>(lists::all).unwrap();
    let id = all.iter().find(|one| one.list == "F / Right").unwrap().id;
    host.store.write(|tx| lists::confirm(tx, id, &declined, START)).unwrap();
    assert_eq!(remap(&host).counts.actions, 0, "it was declined");
    assert_eq!(host.actions().len(), 2);
}

#[test]
fn a_name_that_changed_hands_stays_where_it_is() {
    let host = TestHost::new();
    let named = |id: &str| Person {
        aliases: vec![Alias { kind: "device".into(), value: "d1".into() }],
        ..person(id)
    };
    host.deliver(vec![contact(&named("ann"), "o1", START, json!({"A": "1"}))]);
    host.deliver(vec![contact(&named("bea"), "o2", START + 1, json!({"A": "2"}))]);
    let owner = || -> i64 {
        let sql = "SELECT person FROM identity WHERE kind = 'alias:device'";
        host.store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    };
    let bea = owner();
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    assert_eq!(remap(&host).counts.changed, 2);
    assert_eq!(owner(), bea);
}

#[test]
fn what_fails_stays_as_it_was_and_what_is_in_quarantine_is_left_to_its_letter() {
    let host = TestHost::new();
    let (ann, bea) = (person("ann"), person("bea"));
    let mut poison = contact(&bea, "o2", START, json!({"A": "2"}));
    poison.mapping = Err(UnitError::Fault { code: "guest-trap".into(), message: "x".into() });
    host.deliver(vec![contact(&ann, "o1", START, json!({"A": "1"})), poison]);
    let (actions, letters) = (host.actions(), host.letters());
    correct(&host, |record| match record.id.ends_with("ann") {
        true => Ok(renamed(record, &[("A", "UNDECLARED")])),
        false => panic!("it is in quarantine"),
    });
    for _ in 0..2 {
        let counts = remap(&host).counts;
        assert_eq!((counts.states, counts.quarantined), (1, 1));
        assert_eq!(counts.failed, BTreeMap::from([("undeclared-target".to_owned(), 1)]));
    }
    assert_eq!((host.actions(), host.letters()), (actions, letters));
    // The letter's way is open as ever.
    host.script(move |_, _| {
        Ok(Outcome { records: vec![contact(&bea, "o2", START, json!({"A": "2"}))], ..Outcome::default() })
    });
    let letter = host.letters()[0].0;
    host.store.write::<_, StoreError>(|tx| dead_letters::close(tx, letter, true, START)).unwrap();
    host.settle();
    assert_eq!(host.actions().len(), 2);
    host.assert_sums();
}

/// Many states, in batches of a few hundred.
fn many(host: &TestHost) -> usize {
    for batch in 0..5 {
        let who = |n: usize| person(&format!("p{batch}-{n}"));
        host.deliver(
            (0..600).map(|n| contact(&who(n), &format!("o{batch}"), START, json!({"A": "1"}))).collect(),
        );
    }
    3_000
}

#[test]
fn it_goes_from_slice_to_slice_and_goes_on_where_it_stopped() {
    let host = TestHost::new();
    let states = many(&host);
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    begin(&host);
    assert_eq!(host.pipeline.remap_step().unwrap(), Step::Worked);
    let part = stands(&host);
    assert_eq!((part.counts.states, part.finished_at), (1_000, None), "{part:?}");
    assert_eq!(host.actions().len(), states + 1_000, "each slice is committed whole");
    // The guest breaks as a whole: it stops, and goes on when it is asked for again.
    host.script(|_, _| Err(UnitError::Fault { code: "guest-timeout".into(), message: "x".into() }));
    host.settle();
    let stopped = stands(&host);
    assert_eq!(stopped.code.as_deref(), Some("guest-timeout"));
    assert_eq!(stopped.counts.states, 1_000);
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    let done = remap(&host);
    assert_eq!((done.code, done.counts.states, done.counts.actions), (None, 3_000, 3_000));
    // What comes while it is under way is mapped once.
    begin(&host);
    host.pipeline.remap_step().unwrap();
    let ann = person("p4-1");
    host.deliver(vec![contact(&ann, "later", START + 1, json!({"C": "2"}))]);
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    assert_eq!(remap(&host).counts.states, 2_999);
}

#[test]
fn settings_that_change_in_the_middle_begin_it_anew() {
    let host = TestHost::new();
    many(&host);
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    begin(&host);
    host.pipeline.remap_step().unwrap();
    host.store
        .write::<_, StoreError>(|tx| Ok(tx.execute("UPDATE installation SET settings = x'01'", [])?))
        .unwrap();
    correct(&host, |record| Ok(renamed(record, &[("A", "C")])));
    host.settle();
    let done = stands(&host);
    assert_eq!((done.counts.states, done.counts.changed), (3_000, 3_000));
}

#[test]
fn the_current_content_outlives_its_batch_and_that_of_erased_people_does_not() {
    let host = TestHost::new();
    let (ann, bea, cem) = (person("ann"), person("bea"), person("cem"));
    let old = |who: &Person| contact(who, "o1", START, json!({"A": "1"}));
    host.deliver(vec![old(&ann), old(&bea), old(&cem), event("e1", &ann, Some(START), START)]);
    host.deliver(vec![contact(&bea, "o2", START + 1, json!({"A": "2"}))]);
    let kept = || -> Vec<String> {
        host.store
            .read::<_, StoreError>(|tx| {
                let mut ids = tx.prepare("SELECT id FROM batch ORDER BY id")?;
                let ids: Vec<i64> = ids.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                let mut kept = Vec::new();
                for id in ids {
                    let records = host_harness::store::batches::all(tx, id)?;
                    kept.extend(
                        records.iter().flatten().map(|one| format!("{} {}", one.record.id, one.record.body)),
                    );
                }
                Ok(kept)
            })
            .unwrap()
    };
    assert_eq!(kept().len(), 5);
    // Everything was delivered, and cem was erased.
    host.store
        .write::<_, StoreError>(|tx| {
            tx.execute("UPDATE action SET state = 2", [])?;
            tombstone::erase(tx, host.installation.destination, PersonId(3), &[], START)
        })
        .unwrap();
    for round in 1..4 {
        host.clock.advance(91 * DAY);
        let now = host.clock.now();
        host.store.write(|tx| retention::prune(tx, now, HORIZON)).unwrap();
        let left = kept();
        assert_eq!(left.len(), 2, "{round}: {left:?}");
        assert!(left.iter().any(|one| one.contains(":ann {\"A\":\"1\"}")), "{left:?}");
        assert!(left.iter().any(|one| one.contains(":bea {\"A\":\"2\"}")), "{left:?}");
    }
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    let counts = remap(&host).counts;
    assert_eq!((counts.states, counts.changed), (2, 2));
    assert_eq!(host.store.read(remaps::without_content).unwrap(), 0);
}

#[test]
fn a_store_from_before_is_mapped_as_far_as_its_content_is_kept() {
    let host = TestHost::new();
    let (ann, bea) = (person("ann"), person("bea"));
    host.deliver(vec![contact(&ann, "o1", START, json!({"A": "1"}))]);
    host.deliver(vec![contact(&bea, "o1", START, json!({"A": "1"}))]);
    host.store
        .write::<_, StoreError>(|tx| {
            tx.execute("UPDATE state SET batch = NULL, position = NULL", [])?;
            Ok(tx.execute("DELETE FROM batch WHERE id = 1", [])?)
        })
        .unwrap();
    correct(&host, |record| Ok(renamed(record, &[("A", "B")])));
    assert_eq!(remap(&host).counts.states, 1);
    assert_eq!(host.store.read(remaps::without_content).unwrap(), 1);
}

// ---- with the real component ----------------------------------------------------------------

/// Puts a webhook into the journal, as the intake does.
fn push(units: &host_harness::host::Units, events: &[Value]) {
    let body = json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
    GroupCommit::new(units.store().clone())
        .append(RawDelivery {
            installation: sources::installation(units.store()),
            surface: "streams".into(),
            received_at: units.now(),
            headers: vec![],
            body: body.to_string().into_bytes(),
        })
        .unwrap();
    while units.step().unwrap() == Step::Worked {}
}

fn seen(world: &sources::World, uuid: &str, attributes: Value) -> Value {
    let mut user =
        json!({ "moengage_user_id": "m-ann", "u_em": "ann@example.com", "moe_unsubscribe": false });
    user.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    json!({
        "event_name": "Seen", "event_code": "SEEN", "event_uuid": uuid, "event_time": world.now_s() - 600,
        "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE", "email_id": "ann@example.com",
        "uid": "ann-1", "event_attributes": {}, "user_attributes": user, "device_attributes": {}
    })
}

#[test]
fn a_corrected_field_mapping_reaches_brevo_and_no_event_is_sent_again() {
    let mut world = sources::World::new();
    let units = world.units();
    push(&units, &[seen(&world, "e1", json!({ "plan": "gold", "city": "Bonn" }))]);
    drop(units);
    let host = world.serve();
    world.rest();
    host.stop();
    let contact = || world.brevo.contact_by_ext_id("ann-1").unwrap().attributes;
    assert_eq!(contact().get("PLAN"), Some(&json!("gold")));
    let (events, calls) = (world.brevo.events().len(), world.brevo.journal().received());
    assert_eq!(events, 1);

    // The plan belongs into another attribute, and the city was forgotten.
    let text = world.text.replace(r#"{"plan":"PLAN"}"#, r#"{"plan":"TIER","city":"TOWN"}"#);
    assert_ne!(text, world.text);
    world.text = text;
    let units = world.units();
    let (store, now) = (units.store(), units.now());
    let id = sources::installation(store);
    let remap = || {
        store.write::<_, StoreError>(|tx| remaps::begin(tx, id, now)).unwrap();
        while units.remap_step().unwrap() == Step::Worked {}
        let done = store.read::<_, StoreError>(|tx| remaps::get(tx, id)).unwrap().unwrap();
        assert!(done.finished_at.is_some() && done.code.is_none(), "{done:?}");
        done.counts
    };
    let counts = remap();
    assert_eq!((counts.states, counts.changed, counts.actions), (1, 1, 1), "{counts:?}");
    assert_eq!(remap().changed, 0);
    drop(units);
    let host = world.serve();
    let sums = world.rest();
    host.stop();
    assert!(sums.dead_letters.is_empty(), "{sums:?}");
    let contact = world.brevo.contact_by_ext_id("ann-1").unwrap().attributes;
    assert_eq!(contact.get("TIER"), Some(&json!("gold")));
    assert_eq!(contact.get("TOWN"), Some(&json!("Bonn")));
    assert_eq!(contact.get("PLAN"), Some(&json!("gold")), "what is no longer mapped stays");
    assert_eq!(world.brevo.events().len(), events);
    let journal = world.brevo.journal();
    let since: Vec<_> = journal.entries().filter(|entry| entry.seq > calls).collect();
    let puts: Vec<_> = since.iter().filter(|entry| entry.method == "PUT").map(|entry| &entry.body).collect();
    assert_eq!(puts, [&json!({ "attributes": { "TIER": "gold", "TOWN": "Bonn" } })]);
    world.assert_clean();
}
