//! Rows of the fault catalogue that no other file is about: what is sent again, times at their edges,
//! clocks that disagree, and values that are no good as they come. Through the pipeline with a scripted
//! guest, the real component, or the whole host, whichever is the nearest door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod scripted;
mod sources;

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use host_harness::contract::*;
use host_harness::manifest::Manifest;
use host_harness::manifest::inbound::{self, Presented};
use host_harness::pipeline::Policy;
use host_harness::plugin::{Plugin, Runtime, RuntimeOptions};
use host_harness::store::outbox::State;
use host_harness::store::{Store, StoreError, retention};
use host_harness::unit::{MappedRecord, Outcome, Services, Unit, UnitError, Work};
use host_harness::world::Clock as _;
use scripted::{HOUR, START, TestHost, contact, event, person};
use secrecy::SecretString;
use serde_json::{Value, json};
use sources::World;

const DAY: i64 = 24 * HOUR;

fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let manifest = Manifest::parse(host_harness::embedded::MANIFEST).unwrap();
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        runtime.load(host_harness::embedded::COMPONENT, &manifest).unwrap()
    })
}

fn settings() -> String {
    json!({
        "workspace_id": "ABC123", "data_center": "01", "environment": "live", "keys": { "data": "data" },
        "webhook": { "auth": "basic", "user": "tajo", "secret": "webhook" },
        "field_mapping": { "card": "CARD" },
    })
    .to_string()
}

struct Nothing;

impl Services for Nothing {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        panic!("a webhook calls nobody")
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        panic!("a webhook opens nothing")
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        panic!("a webhook reads nothing")
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        vec![]
    }
}

/// What the real component makes of a Streams body.
fn streams(body: Vec<u8>) -> Result<Outcome, UnitError> {
    let request = WebhookRequest {
        settings: settings(),
        surface: "streams".into(),
        body,
        headers: vec![],
        received_at: START,
    };
    let unit = Unit { settings: settings(), now: START, work: Work::Webhook(request) };
    plugin().run(&unit, Arc::new(Nothing))
}

/// One event; `uid`, address and attributes as they stand in JSON.
fn written(uuid: &str, uid: &str, email: &str, attribute: &str) -> String {
    format!(
        r#"{{"event_name":"Bought","event_code":"BOUGHT","event_uuid":"{uuid}","event_time":{},
           "event_type":"USER_ACTION_EVENT","event_source":"MOENGAGE","uid":{uid},
           "event_attributes":{{"number":{attribute}}},
           "user_attributes":{{"moengage_user_id":"m-{uuid}","u_em":{email},"moe_unsubscribe":false}},
           "device_attributes":{{}}}}"#,
        START / 1_000
    )
}

fn batch(events: &[String]) -> Vec<u8> {
    format!(r#"{{"app_name":"A","source":"MOENGAGE","moe_request_id":"r","events":[{}]}}"#, events.join(","))
        .into_bytes()
}

fn of_kind<'a>(outcome: &'a Outcome, kind: &str) -> Vec<&'a MappedRecord> {
    outcome.records.iter().filter(|mapped| mapped.record.kind == kind).collect()
}

fn subject(mapped: &MappedRecord) -> &Person {
    match &mapped.record.subject {
        Subject::Person(person) => person,
        other => panic!("{other:?}"),
    }
}

fn payload(mapped: &MappedRecord, name: &str) -> Value {
    let Ok(Mapping::Actions(actions)) = &mapped.mapping else { panic!("{:?}", mapped.mapping) };
    let found = actions.iter().find(|action| action.name == name).unwrap_or_else(|| panic!("{actions:?}"));
    serde_json::from_str(&found.payload).unwrap()
}

/// Shortest real time of a check, over many.
fn shortest(mut check: impl FnMut()) -> Duration {
    let time = |check: &mut dyn FnMut()| {
        let began = Instant::now();
        check();
        began.elapsed()
    };
    (0..400).map(|_| time(&mut check)).min().unwrap()
}

#[test]
fn w02_a_wrong_secret_takes_as_long_wherever_it_goes_wrong() {
    let manifest = json!({
        "connector": "a", "contract": "0.1.0",
        "inbound": { "key": { "header": { "name": { "literal": "x-key" }, "slot": "key" } } },
    });
    let manifest = Manifest::parse(&manifest.to_string()).unwrap();
    // So long that a comparison which stops at the first difference is many times faster.
    let secret = "s".repeat(60_000);
    let time = |presented: String| {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("x-key", presented.parse().unwrap());
        let live = [SecretString::from(secret.clone())];
        shortest(|| {
            let presented = Presented { headers: &headers, path: &[], body: &[] };
            assert!(inbound::verify(&manifest.inbound["key"], &presented, &Value::Null, &live).is_err());
        })
    };
    let early = time(format!("x{}", &secret[1..]));
    let late = time(format!("{}x", &secret[1..]));
    let (less, more) = (early.min(late), early.max(late));
    assert!(more < less * 2, "wrong at the front: {early:?}, at the end: {late:?}");
}

#[test]
fn w03_what_is_sent_again_is_known_for_longer_than_anybody_repeats_it() {
    // Nobody may repeat a delivery for longer than what was taken is remembered.
    let horizon = Policy::default().horizon;
    let profile = plugin().configure(&settings()).unwrap();
    assert!(!profile.surfaces.is_empty());
    for surface in &profile.surfaces {
        let window = Duration::from_secs(surface.replay_window.into());
        assert!(window >= Duration::from_hours(24) && window < horizon, "{}: {window:?}", surface.name);
    }
    let host = TestHost::new();
    let ann = person("ann");
    let deliver = |at| host.deliver(vec![event("e1", &ann, Some(at), START)]);
    let prune = || host.store.write(|tx| retention::prune(tx, host.clock.now(), horizon)).unwrap();
    deliver(START);
    deliver(START);
    host.clock.advance(7 * DAY);
    prune();
    deliver(START);
    assert_eq!((host.actions().len(), host.count("duplicate")), (1, 2), "inside of the window: no effect");
    // Long after: the ledger has forgotten it, and it is refused instead of taken for news.
    host.clock.advance(84 * DAY);
    prune();
    deliver(START);
    assert_eq!(host.count("skipped:beyond-dedupe-horizon"), 1, "{:?}", host.tally());
    assert_eq!(host.actions().len(), 1);
    host.assert_sums();
}

#[test]
fn w04_times_at_their_edges_are_trusted_to_the_millisecond_and_overflow_nothing() {
    let tolerance = Policy::default().future_tolerance.as_millis() as i64;
    // A time that is not trusted counts as the time of arrival; attributes ride 15 minutes behind.
    for (at, known_at) in [
        (START, START),
        (START + tolerance, START + tolerance),
        (START + tolerance + 1, START),
        (START - 400 * DAY, START - 400 * DAY),
        (1, 1),
        (0, START),
        (-1, START),
        (i64::MIN, START),
        (i64::MAX, START),
    ] {
        let host = TestHost::new();
        host.deliver(vec![contact(&person("ann"), "one", at, json!({ "A": "x" }))]);
        assert_eq!(host.desired("A")[0][0], json!(known_at - 15 * 60_000), "{at}");
        host.assert_sums();
    }
    for edge in [i64::MIN, -1, 0, i64::MAX] {
        let host = TestHost::new();
        let mut mapped = event("e1", &person("ann"), Some(START), START);
        if let Ok(Mapping::Actions(actions)) = &mut mapped.mapping {
            actions[0].not_after = Some(edge);
            actions[0].not_before = Some(edge);
        }
        host.deliver(vec![mapped]);
        let expected = if edge == i64::MAX { State::Waiting } else { State::Expired };
        assert_eq!(host.actions()[0].1, expected, "{edge}");
        // What the vendor asks to wait for, and what the guest asks for.
        host.script(move |_, _| {
            let next = Some(Next::Later((Cursor { version: 1, bytes: vec![1] }, edge)));
            Ok(Outcome { next, not_before: Some(edge), ..Outcome::default() })
        });
        host.make_due();
        host.pipeline.step().unwrap();
        assert!(host.job().0.unwrap() >= START, "{edge}");
        host.script(|_, _| {
            let kind = FailureKind::RateLimited(Some(u64::MAX));
            let (code, message) = ("rate-limited".into(), "Wait.".into());
            Err(UnitError::Failure(Failure { kind, code, message }))
        });
        host.make_due();
        host.settle();
        assert!((START..=START + 2 * DAY).contains(&host.job().0.unwrap()), "a day is the longest wait");
    }
}

/// A Streams event with consent known, for the whole host.
fn live(world: &World, uuid: &str, uid: &str, user: Value) -> Value {
    let mut attributes = json!({ "moengage_user_id": format!("m-{uid}"), "moe_unsubscribe": false });
    attributes.as_object_mut().unwrap().extend(user.as_object().unwrap().clone());
    json!({
        "event_name": "Bought", "event_code": "BOUGHT", "event_uuid": uuid, "event_time": world.now_s(),
        "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE", "uid": uid,
        "event_attributes": {}, "user_attributes": attributes, "device_attributes": {},
    })
}

/// The request of a batch, byte for byte.
fn pushed(host: &host_harness::host::Host, body: &str) -> Vec<u8> {
    let address = host.addresses().iter().find(|one| one.surface == "streams").unwrap();
    // tajo:hook-secret
    format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dGFqbzpob29rLXNlY3JldA==\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        address.path,
        body.len()
    )
    .into_bytes()
}

fn push(host: &host_harness::host::Host, body: &str) {
    let mut stream = TcpStream::connect(host.listening().unwrap()).unwrap();
    stream.write_all(&pushed(host, body)).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn streams_body(events: &[Value]) -> String {
    json!({ "app_name": "A", "source": "MOENGAGE", "moe_request_id": "r", "events": events }).to_string()
}

#[test]
fn w15_what_comes_again_after_an_answer_that_nobody_saw_is_done_once() {
    let world = World::new();
    let host = world.serve();
    let with = |n: usize| live(&world, &format!("e{n}"), "ann", json!({ "u_em": "ann@example.com" }));
    let events: Vec<Value> = (0..6).map(with).collect();
    let first = streams_body(&events[..4]);
    // The vendor's patience ends before our answer: it hangs up and sends the batch again.
    for _ in 0..3 {
        let mut stream = TcpStream::connect(host.listening().unwrap()).unwrap();
        stream.write_all(&pushed(&host, &first)).unwrap();
        drop(stream);
    }
    push(&host, &first);
    // A repeated event in a batch that was put together anew.
    push(&host, &streams_body(&events[2..]));
    let sums = world.rest();
    let arrived = world.brevo.events_by_property("moengage_event_uuid");
    let once: Vec<usize> =
        (0..6).map(|n| arrived.get(&format!("e{n}")).map_or(0, |copies| *copies as usize)).collect();
    assert_eq!(once, [1; 6], "{sums:?}");
    assert_eq!(world.brevo.events().len(), 6);
    assert!(sums.fates["duplicate"] >= 6, "{sums:?}");
    host.stop();
    world.assert_clean();
}

#[test]
fn n23_an_item_and_a_page_that_come_twice_are_taken_once() {
    let host = TestHost::new();
    let ann = person("ann");
    let page = move |keys: &[&str]| -> Vec<MappedRecord> {
        keys.iter().map(|key| event(key, &ann, Some(START), START)).collect()
    };
    host.script(move |unit, _| {
        let Work::Page(request) = &unit.work else { panic!("not a page") };
        let n = match &request.position {
            Position::Cursor(cursor) => cursor.bytes[0],
            _ => 0,
        };
        let records = match n {
            0 => page(&["e0", "e1"]),
            1 => page(&["e1", "e2"]), // a row that moved between two pages
            2 => page(&["e1", "e2"]), // the same page again
            _ => page(&["e3", "e3"]), // and twice on one page
        };
        let next = if n < 3 {
            Next::More(Cursor { version: 1, bytes: vec![n + 1] })
        } else {
            Next::Done(RunEnd { cursor: None, truncated: None })
        };
        Ok(Outcome { records, next: Some(next), ..Outcome::default() })
    });
    host.make_due();
    host.settle();
    assert_eq!(host.actions().len(), 4);
    assert_eq!((host.count("read"), host.count("duplicate")), (8, 4));
    host.assert_sums();
}

#[test]
fn n26_a_vendor_whose_clock_is_an_hour_off_neither_wins_for_ever_nor_loses() {
    for skew in [HOUR, -HOUR] {
        let host = TestHost::new();
        let ann = person("ann");
        let change = |n: i64, skew: i64| {
            let at = host.clock.now() + skew;
            host.deliver(vec![contact(&ann, &format!("o{n}"), at, json!({ "A": n.to_string() }))]);
        };
        change(1, skew);
        host.clock.advance(10 * 60_000);
        change(2, skew);
        // Then somebody sets the clock right.
        host.clock.advance(2 * HOUR);
        change(3, 0);
        let values: Vec<_> =
            host.actions().into_iter().map(|(_, _, payload, _)| payload["attributes"]["A"].clone()).collect();
        assert_eq!(values, ["1", "2", "3"], "skew {skew}: every change is one");
        // What happened an hour ahead is sent as of its arrival, and an hour behind with its date.
        host.deliver(vec![event("e1", &ann, Some(host.clock.now() + skew), host.clock.now())]);
        assert_eq!(host.actions().last().unwrap().1, State::Waiting, "skew {skew}");
        host.assert_sums();
    }
}

/// Events that were read: those that are sent, and those that are too old to be.
fn events_read(store: &Store) -> (i64, i64) {
    let sums = sources::sums(store).0;
    let sql = "SELECT count(*) FROM action WHERE name = 'brevo/track-event'";
    let sent = store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap();
    (sent, sums.skipped.get("historical-event").copied().unwrap_or(0))
}

/// A span has its first instant and not its last, so that two spans side by side are one.
#[test]
fn n26_two_windows_side_by_side_share_nothing_and_leave_nothing_out() {
    use host_harness::store::runs::backfill_key;
    use stand_ins::moengage::exports::{ExportOptions, export_files};
    use stand_ins::moengage::generator::Generator;
    let read = |cut: bool| {
        let world = World::new();
        let generator =
            Generator { seed: 5, people: 10, events: 120, now_s: world.now_s(), ..Generator::default() };
        let options = ExportOptions {
            folder: sources::FOLDER.to_owned(),
            db_name: sources::DB_NAME.to_owned(),
            ..ExportOptions::default()
        };
        let exported = export_files(&generator, &options);
        exported.put_into(&world.bucket);
        let units = world.units();
        let (from, to) = (units.now() - 40 * DAY, units.now() + 1_000);
        let mut times: Vec<i64> = exported.truth.events.values().map(|event| event.time_s * 1_000).collect();
        times.sort_unstable();
        // Exactly at an event, and between two spans nothing.
        let middle = times[times.len() / 2];
        let windows = if cut { vec![(from, middle), (middle, to)] } else { vec![(from, to)] };
        for window in windows {
            sources::backfill(units.store(), window, units.now());
            let run = sources::finish(&units, &backfill_key("event-exports"));
            assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
        }
        let duplicates = sources::sums(units.store()).0.fates.get("duplicate").copied().unwrap_or(0);
        assert_eq!(duplicates, 0, "nothing was read twice");
        let (sent, old) = events_read(units.store());
        assert_eq!(sent + old, 120, "{sent} and {old}");
        old
    };
    assert!(read(true) > 0 && read(false) > 0);
}

#[test]
fn d03_long_numbers_keep_every_digit_or_are_refused_and_are_never_rounded() {
    let email = r#""a@example.com""#;
    for (uid, expected) in [
        ("9007199254740993", Some("9007199254740993")),
        ("18446744073709551617", Some("18446744073709551617")),
        ("4000052183.0", Some("4000052183")),
        // No double holds it, so what was meant is not known: the person is known by the rest.
        ("9007199254740993.0", None),
        ("1e300", None),
    ] {
        let outcome = streams(batch(&[written("e1", uid, email, "1")])).unwrap();
        let known: Vec<_> =
            outcome.records.iter().map(|mapped| subject(mapped).external_id.as_deref()).collect();
        assert!(known.iter().all(|id| *id == expected), "{uid}: {known:?}");
        assert!(!known.is_empty() || !outcome.rejects.is_empty(), "{uid} vanished");
    }
    for (number, expected) in [
        ("12345678901234567890123", json!("12345678901234567890123")),
        ("-9007199254740993", json!("-9007199254740993")),
        ("9007199254740992", json!(9_007_199_254_740_992_i64)),
        ("12.5", json!(12.5)),
        ("-0", json!(-0.0)),
    ] {
        let outcome = streams(batch(&[written("e1", "\"u\"", email, number)])).unwrap();
        let event = of_kind(&outcome, "event")[0];
        assert_eq!(payload(event, "brevo/track-event")["properties"]["number"], expected, "{number}");
    }
    // A number that no double holds at all spoils its event and no other.
    let events: Vec<_> =
        [("e1", "1"), ("e2", "1e400"), ("e3", "1")].map(|(id, n)| written(id, "\"u\"", email, n)).into();
    match streams(batch(&events)) {
        Ok(outcome) => {
            let ids: Vec<_> = of_kind(&outcome, "event").iter().map(|one| one.record.id.clone()).collect();
            assert!(ids.iter().any(|id| id.ends_with(":e1")) && ids.iter().any(|id| id.ends_with(":e3")));
            assert!(outcome.rejects.iter().any(|reject| reject.pointer.starts_with("/events/1")));
        }
        Err(UnitError::Failure(failure)) => assert!(!failure.code.is_empty()),
        Err(UnitError::Fault { code, message }) => panic!("{code}: {message}"),
    }
}

#[test]
fn d03_two_contents_that_differ_in_the_last_digit_are_two() {
    let host = TestHost::new();
    let ann = person("ann");
    for (n, number) in ["18446744073709551616", "18446744073709551617"].into_iter().enumerate() {
        let mut mapped = contact(&ann, &format!("o{n}"), START + n as i64, json!({ "A": "x" }));
        mapped.record.body = format!("{{\"card\":{number}}}");
        host.deliver(vec![mapped]);
    }
    let revision: i64 = host
        .store
        .read::<_, StoreError>(|tx| Ok(tx.query_row("SELECT revision FROM state", [], |row| row.get(0))?))
        .unwrap();
    assert_eq!(revision, 2, "the second is a change");
    host.assert_sums();
}

#[test]
fn d04_what_is_no_number_is_refused_by_name_on_both_sides_of_the_component() {
    for value in ["NaN", "Infinity", "-Infinity", "nan", "1.", ".5", "0x10", "+1", "01"] {
        let events = [("e1", "1"), ("e2", value), ("e3", "1")]
            .map(|(id, n)| written(id, "\"u\"", r#""a@example.com""#, n));
        match streams(batch(&events)) {
            Ok(outcome) => {
                let bad = outcome.records.iter().any(|one| one.record.id.ends_with(":e2"));
                assert!(!bad && !outcome.rejects.is_empty(), "{value} became a record");
            }
            Err(UnitError::Failure(failure)) => {
                assert!(!failure.code.is_empty() && !failure.message.is_empty(), "{value}");
            }
            Err(UnitError::Fault { code, message }) => panic!("{value}: {code}: {message}"),
        }
    }
    // A guest that writes one into an action: its record is put aside and the others go on.
    for value in ["NaN", "Infinity", "1e400"] {
        let host = TestHost::new();
        let ann = person("ann");
        let mut bad = event("bad", &ann, Some(START), START);
        if let Ok(Mapping::Actions(actions)) = &mut bad.mapping {
            actions[0].payload = format!("{{\"event\":\"bought\",\"properties\":{{\"n\":{value}}}}}");
        }
        host.deliver(vec![event("e1", &ann, Some(START), START), bad, event("e2", &ann, Some(START), START)]);
        assert_eq!(host.actions().len(), 2, "{value}");
        assert_eq!(host.letters()[0].2, "bad-action-payload", "{value}");
        host.assert_sums();
    }
}

#[test]
fn d07_a_nul_names_nobody_and_costs_nothing_else() {
    let nul = "a\\u0000b";
    // As an id and as an address it is refused in one place, whatever store lies behind.
    let outcome = streams(batch(&[
        written("e1", &format!("\"{nul}\""), "\"ok@example.com\"", "1"),
        written("e2", "\"bea\"", &format!("\"{nul}@example.com\""), "1"),
        written("e3", "\"cem\"", "\"cem@example.com\"", &format!("\"{nul}\"")),
    ]))
    .unwrap();
    for mapped in &outcome.records {
        let person = subject(mapped);
        let names = [&person.external_id, &person.email, &person.phone];
        assert!(names.into_iter().flatten().all(|name| !name.contains('\0')), "{person:?}");
        assert!(!mapped.record.id.contains('\0'));
    }
    let events: Vec<_> = of_kind(&outcome, "event").iter().map(|one| one.record.id.clone()).collect();
    for uuid in ["e2", "e3"] {
        assert!(events.iter().any(|id| id.ends_with(&format!(":{uuid}"))), "{uuid}: {events:?}");
    }
    let first = events.iter().any(|id| id.ends_with(":e1"));
    assert!(first || outcome.rejects.iter().any(|reject| reject.pointer.starts_with("/events/0")));

    // And all the way: what can be delivered is delivered.
    let world = World::new();
    let host = world.serve();
    let ann =
        live(&world, "e1", "ann", json!({ "u_em": "ann@example.com", "u_fn": "A\u{0}nn", "plan": "a\u{0}" }));
    let bea = live(&world, "e2", "bea", json!({ "u_em": "b\u{0}@example.com" }));
    push(&host, &streams_body(&[ann, bea]));
    let sums = world.rest();
    assert!(world.brevo.contact_by_email("ann@example.com").is_some(), "{sums:?}");
    let arrived = world.brevo.events_by_property("moengage_event_uuid");
    assert!(arrived.contains_key("e1"), "{sums:?}");
    host.stop();
}

#[test]
fn d09_only_an_address_that_mail_can_reach_names_a_mailbox() {
    for (written_as, expected) in [
        ("ann@example.com", true),
        ("ann@b\u{fc}cher.example", true),
        ("\u{f6}de@example.com", true),
        ("o'hara+x@example.com", true),
        ("a@b", false),
        ("a@[127.0.0.1]", false),
        ("a@[IPv6:2001:db8::1]", false),
        ("a b@example.com", false),
        ("\"a b\"@example.com", false),
        ("a@b@example.com", false),
        ("@example.com", false),
        ("a@.example.com", false),
        ("a@example..com", false),
        ("a@example.com.", false),
        ("a\u{202e}@example.com", false),
        ("a\u{200b}@example.com", false),
        ("a@exam\tple.com", false),
        ("Ann <ann@example.com>", false),
        ("", false),
    ] {
        let body = batch(&[written("e1", "\"u\"", &json!(written_as).to_string(), "1")]);
        let outcome = streams(body).unwrap();
        assert_eq!(of_kind(&outcome, "event").len(), 1, "{written_as}: the event is not the address's fault");
        let emails: Vec<_> = outcome.records.iter().filter_map(|one| subject(one).email.clone()).collect();
        assert_eq!(emails.iter().any(|email| email == written_as), expected, "{written_as}: {emails:?}");
        assert!(expected || emails.is_empty(), "{written_as} became {emails:?}");
    }
    // A letter that only looks the same is another mailbox and another person.
    let world = World::new();
    let host = world.serve();
    let latin = live(&world, "e1", "u1", json!({ "u_em": "admin@example.com" }));
    let cyrillic = live(&world, "e2", "u2", json!({ "u_em": "\u{430}dmin@example.com" }));
    push(&host, &streams_body(&[latin, cyrillic]));
    world.rest();
    let first = world.brevo.contact_by_ext_id("u1").unwrap();
    let second = world.brevo.contact_by_ext_id("u2");
    assert!(second.is_none_or(|second| second.id != first.id));
    assert_eq!(first.email.as_deref(), Some("admin@example.com"));
    host.stop();
}

#[test]
fn d10_addresses_are_one_where_brevo_says_so_and_nothing_is_guessed() {
    let people = |emails: &[&str]| -> i64 {
        let host = TestHost::new();
        for (n, email) in emails.iter().enumerate() {
            let who =
                Person { external_id: None, email: Some((*email).into()), phone: None, aliases: vec![] };
            host.deliver(vec![contact(
                &who,
                &format!("o{n}"),
                START + n as i64,
                json!({ "A": n.to_string() }),
            )]);
        }
        host.store
            .read::<_, StoreError>(
                |tx| Ok(tx.query_row("SELECT count(*) FROM person", [], |row| row.get(0))?),
            )
            .unwrap()
    };
    assert_eq!(
        people(&["ann@example.com", "Ann@Example.COM", " ann@example.com "]),
        1,
        "letter case is Brevo's"
    );
    for other in [
        "a.nn@example.com",
        "ann+news@example.com",
        "ann@mail.example.com",
        "ann@example.co",
        "\u{e0}nn@example.com",
        "\u{430}nn@example.com",
    ] {
        assert_eq!(people(&["ann@example.com", other]), 2, "{other}");
    }
    // The same look in two encodings: no rule of Brevo's is known, so nothing is merged.
    assert_eq!(people(&["\u{e9}va@example.com", "e\u{301}va@example.com"]), 2);
}

#[test]
fn d16_missing_null_and_empty_are_three_things_to_the_end() {
    let host = TestHost::new();
    let ann = person("ann");
    host.deliver(vec![contact(&ann, "o1", START, json!({ "A": "1", "B": "2", "C": "3" }))]);
    let before = host.desired("C");
    host.deliver(vec![contact(&ann, "o2", START + 1, json!({ "A": null, "B": "" }))]);
    let attributes: Vec<_> =
        host.actions().into_iter().map(|(_, _, payload, _)| payload["attributes"].clone()).collect();
    assert_eq!(attributes, [json!({ "A": "1", "B": "2", "C": "3" }), json!({ "A": null, "B": "" })]);
    assert_eq!(host.desired("C"), before, "what is not mentioned is left alone");
    // An empty object clears nothing either.
    host.deliver(vec![contact(&ann, "o3", START + 2, json!({}))]);
    assert_eq!(host.desired("C"), before);

    let world = World::new();
    let running = world.serve();
    let push_user = |uuid: &str, user: Value| {
        push(&running, &streams_body(&[live(&world, uuid, "ann", user)]));
        world.rest();
        world.brevo.contact_by_ext_id("ann").unwrap().attributes
    };
    let full = json!({ "u_em": "ann@example.com", "u_fn": "Ann", "u_ln": "Berg", "plan": "gold" });
    let first = push_user("e1", full);
    assert_eq!(
        (&first["FIRSTNAME"], &first["LASTNAME"], &first["PLAN"]),
        (&json!("Ann"), &json!("Berg"), &json!("gold"))
    );
    std::thread::sleep(Duration::from_millis(20));
    let second = push_user("e2", json!({ "u_em": "ann@example.com", "u_fn": null, "plan": "silver" }));
    assert_eq!(second.get("LASTNAME"), Some(&json!("Berg")), "missing left it alone");
    assert_eq!(second.get("PLAN"), Some(&json!("silver")));
    assert!(
        second.get("FIRSTNAME").is_none_or(|name| name.is_null() || name == ""),
        "null cleared it: {second:?}"
    );
    running.stop();
    world.assert_clean();
}
