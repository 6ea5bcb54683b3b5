//! One history through three doors: pushed live, read from export files, read as profiles; in any
//! order, overlapping, with delivery in between or not. Brevo ends in one state.
//!
//! `INTERLEAVINGS=50 cargo test -p host-harness --test interleavings` tries more histories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use host_harness::host::Host;
use host_harness::store::runs::{backfill_key, resource_key};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sources::*;
use stand_ins::moengage::User;

const HOUR_S: i64 = 3_600;
const DAY: i64 = 86_400_000;

/// Something that happened to a person, and what MoEngage knew of the person then.
#[derive(Clone, Debug)]
struct Happening {
    person: usize,
    /// Seconds before the beginning of the world.
    age: i64,
    code: &'static str,
    plan: &'static str,
    /// The flag that the person unsubscribed.
    unsubscribed: bool,
    live: bool,
    filed: bool,
}

/// What a door does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The n-th part of what is pushed.
    Push(usize),
    Files,
    Profiles,
}

const PUSHES: usize = 3;

/// In which order the doors are used, and whether everything settles after a step.
type Order = Vec<(Step, bool)>;

fn history() -> impl Strategy<Value = Vec<Happening>> {
    let code = prop_oneof![
        4 => Just("MOE_EMAIL_OPEN"),
        3 => Just("VIEWED_PRODUCT"),
        1 => Just("MOE_EMAIL_UNSUBSCRIBE"),
    ];
    let plan = prop_oneof![Just("free"), Just("plus"), Just("pro")];
    let doors = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    // No two at one second: the tie-break of equal times is tested elsewhere.
    let one = (0..3usize, 1..400i64, code, plan, prop::bool::weighted(0.3), doors);
    prop::collection::vec(one, 4..14).prop_map(|all| {
        let mut ages = BTreeSet::new();
        all.into_iter()
            .filter(|one| ages.insert(one.1))
            .map(|(person, age, code, plan, unsubscribed, (live, filed))| Happening {
                person,
                age: age * 60,
                code,
                plan,
                unsubscribed,
                live,
                filed,
            })
            .collect()
    })
}

fn order() -> impl Strategy<Value = Order> {
    let mut steps: Vec<Step> = (0..PUSHES).map(Step::Push).collect();
    steps.extend([Step::Files, Step::Files, Step::Profiles, Step::Profiles]);
    let settled = prop::collection::vec(any::<bool>(), steps.len());
    (Just(steps).prop_shuffle(), settled)
        .prop_map(|(steps, settled)| steps.into_iter().zip(settled).collect())
}

fn event(n: usize, one: &Happening, start_s: i64) -> Value {
    let (uid, email) = (format!("cust-{}", one.person), format!("p{}@example.com", one.person));
    json!({
        "event_name": one.code, "event_code": one.code, "event_uuid": format!("uuid-{n}"),
        "event_time": start_s - one.age, "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
        "email_id": email, "uid": uid, "event_attributes": { "n": n },
        "user_attributes": {
            "moengage_user_id": format!("m-{}", one.person), "u_em": email, "plan": one.plan,
            "moe_unsubscribe": one.unsubscribed
        },
        "device_attributes": {}
    })
}

/// The people as MoEngage has them after everything.
fn profiles(history: &[Happening]) -> Vec<User> {
    let mut newest: BTreeMap<usize, &Happening> = BTreeMap::new();
    for one in history {
        let known = newest.entry(one.person).or_insert(one);
        if one.age < known.age {
            *known = one;
        }
    }
    let user = |(person, one): (usize, &Happening)| {
        let attributes = json!({
            "u_em": format!("p{person}@example.com"), "plan": one.plan, "moe_unsubscribe": one.unsubscribed
        });
        User {
            id: format!("m-{person}"),
            customer_id: Some(format!("cust-{person}")),
            attributes: attributes.as_object().unwrap().clone(),
        }
    };
    newest.into_iter().map(user).collect()
}

/// Lines of the files of one day, by the day.
fn files(history: &[Happening], start_s: i64) -> BTreeMap<String, Vec<u8>> {
    let mut days: BTreeMap<String, GzEncoder<Vec<u8>>> = BTreeMap::new();
    for (n, one) in history.iter().enumerate().filter(|(_, one)| one.filed) {
        let at = jiff::Timestamp::from_second(start_s - one.age).unwrap();
        let day = at.to_string()[..10].to_owned();
        let line = json!({
            "app_name": "acme", "db_name": DB_NAME, "export_day": day, "export_hour": "0",
            "event": event(n, one, start_s)
        });
        let file = days.entry(day).or_insert_with(|| GzEncoder::new(Vec::new(), Compression::fast()));
        writeln!(file, "{line}").unwrap();
    }
    days.into_iter().map(|(day, file)| (day, file.finish().unwrap())).collect()
}

/// What Brevo holds, without what is the account's own business (numbers, times of arrival).
#[derive(Debug, PartialEq)]
struct Held {
    /// By external id.
    contacts: BTreeMap<String, HeldContact>,
    /// By MoEngage's uuid.
    events: BTreeMap<String, HeldEvent>,
}

#[derive(Debug, PartialEq)]
struct HeldContact {
    email: Option<String>,
    blocked: bool,
    attributes: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq)]
struct HeldEvent {
    name: String,
    /// Milliseconds before the beginning of the world.
    age: i64,
    of: Option<String>,
    times: u32,
}

fn held(world: &World, start_s: i64) -> Held {
    let contacts = world.brevo.contacts();
    let ext_id = |id: i64| contacts.iter().find(|one| one.id == id).and_then(|one| one.ext_id.clone());
    let mut events: BTreeMap<String, HeldEvent> = BTreeMap::new();
    for event in world.brevo.events() {
        let uuid = event.properties["moengage_event_uuid"].as_str().unwrap().to_owned();
        let age = start_s * 1_000 - event.date;
        let of = event.contact_id.and_then(ext_id);
        let held = events.entry(uuid).or_insert(HeldEvent { name: event.name, age, of, times: 0 });
        held.times += 1;
    }
    let contacts = contacts
        .iter()
        .map(|one| {
            let held = HeldContact {
                email: one.email.clone(),
                blocked: one.email_blacklisted,
                attributes: one.attributes.clone(),
            };
            (one.ext_id.clone().unwrap_or_default(), held)
        })
        .collect();
    Held { contacts, events }
}

fn push(host: &Host, events: &[Value]) {
    if events.is_empty() {
        return;
    }
    let address = host.addresses().iter().find(|address| address.surface == "streams").unwrap();
    let url = format!("http://{}{}", host.listening().unwrap(), address.path);
    let body = json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
    // tajo:hook-secret
    let answer = ureq::post(url)
        .header("content-type", "application/json")
        .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==")
        .send(body.to_string())
        .unwrap();
    assert_eq!(answer.status(), 200);
}

fn wait_for(world: &World, key: &str) {
    let store = world.store();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let run = run(&store, key);
        if run.is_over() {
            assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
            return;
        }
        assert!(Instant::now() < deadline, "not over: {run:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Plays a history in an order, and says what Brevo holds in the end.
fn play(history: &[Happening], order: &Order) -> Held {
    let world = World::with(&Setting { factor: 600.0, ..Setting::default() });
    let start_s = world.now_s();
    let filed = files(history, start_s);
    for (day, bytes) in &filed {
        world.bucket.put(&format!("{FOLDER}/export_day={day}/event_exports_1.json.gz"), bytes.clone());
    }
    world.moengage.set_users(profiles(history));
    let live: Vec<Value> = history
        .iter()
        .enumerate()
        .filter(|(_, one)| one.live)
        .map(|(n, one)| event(n, one, start_s))
        .collect();
    let host = world.serve();
    let store = world.store();
    let window = ((start_s - 24 * HOUR_S) * 1_000, start_s * 1_000 + DAY);
    for (step, settled) in order {
        match step {
            Step::Push(part) => {
                let size = live.len().div_ceil(PUSHES).max(1);
                push(&host, live.chunks(size).nth(*part).unwrap_or_default());
            }
            Step::Files if filed.is_empty() => {}
            Step::Files => {
                backfill(&store, window, world.brevo.now());
                wait_for(&world, &backfill_key("event-exports"));
            }
            Step::Profiles => {
                sync(&store, "users", world.brevo.now());
                wait_for(&world, &resource_key("users"));
            }
        }
        if *settled {
            world.rest();
        }
    }
    let sums = world.rest();
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    host.stop();
    world.assert_clean();
    held(&world, start_s)
}

#[test]
fn n28_n29_any_interleaving_of_live_poll_and_backfill_ends_in_one_state_at_brevo() {
    let cases =
        std::env::var("INTERLEAVINGS").map_or(5, |text| text.parse().expect("INTERLEAVINGS is a number"));
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 20, ..Config::default() });
    runner
        .run(&(history(), order(), order()), |(history, one, other)| {
            prop_assert_eq!(play(&history, &one), play(&history, &other));
            Ok(())
        })
        .unwrap();
}

/// The checker is checked: a history that lost an event, and one in which somebody came back.
#[test]
fn a_planted_difference_is_seen() {
    let happening = |person, age, code, unsubscribed| Happening {
        person,
        age,
        code,
        plan: "free",
        unsubscribed,
        live: true,
        filed: true,
    };
    let history = vec![
        happening(0, 600, "MOE_EMAIL_OPEN", false),
        happening(0, 1_200, "MOE_EMAIL_UNSUBSCRIBE", false),
        happening(1, 1_800, "VIEWED_PRODUCT", false),
    ];
    let order: Order =
        vec![(Step::Push(0), true), (Step::Push(1), false), (Step::Push(2), false), (Step::Files, true)];
    let whole = play(&history, &order);
    assert_eq!(whole.events.len(), 3);
    assert!(whole.contacts["cust-0"].blocked && !whole.contacts["cust-1"].blocked, "{whole:?}");
    assert_ne!(whole, play(&history[..2], &order));
    assert_ne!(whole, play(&[history[0].clone(), history[2].clone()], &order));
}
