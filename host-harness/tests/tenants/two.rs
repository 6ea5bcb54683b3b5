//! A host with one connector for two tenants, each with a Brevo account of its own. What the guest does
//! stands in the webhook that it gets, and everything that it sees is written down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use host_harness::config::{Plan, UnknownConsent};
use host_harness::contract::{
    Cursor, Failure, FailureKind, Mapping, Next, Note, Position, Provenance, Reject, RunEnd, http, objects,
    schedule,
};
use host_harness::delivery::{self, Delivery, DestinationOptions};
use host_harness::operate::dead_letters::{self, Selection};
use host_harness::people::tombstone;
use host_harness::pipeline::{Guest, Installed, Outside, Pipeline, Policy, Step};
use host_harness::store::installations::{self, Installation, NewInstallation};
use host_harness::store::journal::{GroupCommit, Journal as _, RawDelivery};
use host_harness::store::{Store, StoreError, jobs};
use host_harness::unit::{LogLine, Outcome, Services, Unit, UnitError, Work};
use host_harness::world::{Clock as _, Millis, Random, World};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stand_ins::brevo::Options;

use crate::scripted::{
    HOUR, ManualClock, START, consent, contact, event, in_memory, membership, person, profile,
};
use crate::vendor::Checked;

/// Names that a sloppy host would take for one another's, or for a part of its own.
const NAMES: [&str; 24] = [
    "a",
    "b",
    "c",
    "a/b",
    "b/c",
    "a/b/c",
    "/",
    "a\0",
    "a\0b",
    "\0",
    "A",
    "k",
    "K",
    "\u{ff41}",
    "\u{430}",
    "\u{e9}",
    "e\u{301}",
    "..",
    "../a",
    "%2e",
    "a:b",
    "'; --",
    "%",
    "\u{202e}a",
];
/// People of both have the same names.
const PEOPLE: [&str; 4] = ["ann", "Ann", "bob", "eve"];
/// Time between two rounds of what comes in.
const ROUND: Millis = HOUR / 4;

/// What a webhook or a page makes the guest do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    Event(String, String),
    Contact(String, String),
    Consent(String, String, bool),
    Member(String, String, bool),
    /// A record that is only mapped once it is requeued.
    Poison(String, String),
    Reject(String),
    Put(String, String),
    Drop(String),
    List(String),
    Call(String),
    Job(String),
    Say(String),
    Fail(u8),
}

/// What somebody does in a round.
#[derive(Clone, Debug, Default)]
pub struct Round {
    pub webhooks: Vec<Vec<u8>>,
    /// Every open letter of theirs is requeued.
    pub requeues: bool,
}

/// SplitMix64.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, side: usize) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ (side as u64 + 1).wrapping_mul(0x9E37_79B9))
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn of(&mut self, names: &[&str]) -> String {
        names[self.below(names.len())].to_owned()
    }
    fn op(&mut self) -> Op {
        let (name, who) = (self.of(&NAMES), self.of(&PEOPLE));
        match self.below(16) {
            0..3 => Op::Event(name, who),
            3 | 4 => Op::Contact(who, name),
            5 => Op::Consent(name, who, self.below(3) > 0),
            6 => Op::Member(self.of(&["news", "News", "a/b"]), who, self.below(3) > 0),
            7 => Op::Poison(name, who),
            8 => Op::Reject(name),
            9 | 10 => Op::Put(name, self.of(&PEOPLE)),
            11 => Op::Drop(name),
            12 => Op::List(self.of(&["", "a", "a\0", "A", "/", "\0"])),
            13 => Op::Call(name),
            14 => Op::Job(name),
            _ => Op::Say(name),
        }
    }
    /// What a side does, round by round. The second is hostile.
    pub fn rounds(&mut self, side: usize, count: usize) -> Vec<Round> {
        let round = |dice: &mut Self| {
            let webhooks = if side == 0 { dice.below(3) } else { dice.below(8) };
            let webhook = |dice: &mut Self| match dice.below(if side == 0 { 40 } else { 6 }) {
                0 => (0..dice.below(40)).map(|_| dice.next() as u8).collect(),
                1 => serde_json::to_vec(&[Op::Fail(dice.below(4) as u8)]).unwrap(),
                _ => {
                    let ops: Vec<Op> = (0..=dice.below(4)).map(|_| dice.op()).collect();
                    serde_json::to_vec(&ops).unwrap()
                }
            };
            let webhooks = (0..webhooks).map(|_| webhook(dice)).collect();
            Round { webhooks, requeues: dice.below(3) == 0 }
        };
        (0..count).map(|_| round(self)).collect()
    }
}

/// Always the same: what one tenant draws must not change another's waits in these tests.
struct Constant(AtomicU64);

impl Random for Constant {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.load(Ordering::SeqCst) as u8);
    }
}

struct Vendor(Arc<Mutex<Vec<String>>>);

impl Outside for Vendor {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        let mut got = self.0.lock().unwrap();
        got.push(format!("{:?}", request.path));
        Ok(http::Response { status: 200, headers: vec![], body: got.len().to_string().into_bytes() })
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(no_files())
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(no_files())
    }
}

fn no_files() -> http::Error {
    http::Error {
        kind: http::ErrorKind::Denied,
        code: "no-files".into(),
        message: "no files here".into(),
        request_sent: false,
        retry_after_ms: None,
    }
}

/// The connector of both. It writes down whatever reaches it.
struct Puppet {
    side: usize,
    seen: Arc<Mutex<Vec<String>>>,
    /// What the next page does.
    pages: Mutex<Dice>,
}

impl Guest for Puppet {
    fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        self.seen.lock().unwrap().push(format!("{unit:?}"));
        match &unit.work {
            Work::Webhook(request) => {
                let failure = || failed(FailureKind::Config, "not-ours");
                let ops: Vec<Op> = serde_json::from_slice(&request.body).map_err(|_| failure())?;
                self.play(&ops, unit.now, &*services)
            }
            Work::Page(request) => {
                let mut ops = vec![];
                {
                    let mut dice = self.pages.lock().unwrap();
                    if self.side == 1 && dice.below(3) == 0 {
                        ops.push(Op::Fail(dice.below(4) as u8));
                    }
                    ops.push(dice.op());
                }
                let mut outcome = self.play(&ops, unit.now, &*services)?;
                let number = match &request.position {
                    Position::Cursor(cursor) => cursor.bytes.first().map_or(0, |byte| byte.wrapping_add(1)),
                    _ => 0,
                };
                let cursor = Some(Cursor { version: 1, bytes: vec![number] });
                outcome.next = Some(Next::Done(RunEnd { cursor, truncated: None }));
                Ok(outcome)
            }
            Work::Map(records) => {
                let records = records.iter().cloned().map(|record| {
                    let mut mapped = event("again", &person("ann"), None, unit.now);
                    mapped.record = record;
                    mapped
                });
                Ok(Outcome { records: records.collect(), ..Outcome::default() })
            }
        }
    }
}

fn failed(kind: FailureKind, code: &str) -> UnitError {
    UnitError::Failure(Failure { kind, code: code.into(), message: "told to".into() })
}

impl Puppet {
    fn play(&self, ops: &[Op], now: Millis, services: &dyn Services) -> Result<Outcome, UnitError> {
        let mut outcome = Outcome::default();
        let saw = |what: String| self.seen.lock().unwrap().push(what);
        let mut versions: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for op in ops {
            match op.clone() {
                Op::Event(key, who) => {
                    outcome.records.push(named(event("e", &person(&who), Some(now), now), &key))
                }
                Op::Contact(who, value) => {
                    let value = value.escape_default().to_string();
                    let key = format!("{now}{value}");
                    outcome.records.push(contact(&person(&who), &key, now, json!({ "A": value })));
                }
                Op::Consent(key, who, opted_in) => {
                    let status = if opted_in { "opted-in" } else { "opted-out" };
                    outcome.records.push(named(consent("c", &person(&who), now, status, "signal"), &key));
                }
                Op::Member(list, who, member) => {
                    let list = json!({ "list": { "name": list, "folder": "Tajo" }, "inert": true });
                    let at = now.to_string();
                    outcome.records.push(membership(
                        &person(&who),
                        &list,
                        member,
                        &at,
                        now,
                        Provenance::Live,
                    ));
                }
                Op::Poison(key, who) => {
                    let mut poison = named(event("p", &person(&who), Some(now), now), &key);
                    poison.mapping =
                        Err(UnitError::Fault { code: "guest-trap".into(), message: "poison".into() });
                    outcome.records.push(poison);
                }
                Op::Reject(pointer) => outcome.rejects.push(Reject {
                    pointer,
                    code: "no-good".into(),
                    message: "no good".into(),
                    remedy: "Send another.".into(),
                }),
                Op::Put(key, value) => {
                    let entry = services.storage_get(&key);
                    saw(format!("{key:?} = {entry:?}"));
                    versions.entry(key.clone()).or_insert(entry.map(|entry| entry.version));
                    outcome.storage.writes.push((key, Some(value.into_bytes())));
                }
                Op::Drop(key) => outcome.storage.writes.push((key, None)),
                Op::List(prefix) => {
                    saw(format!("{prefix:?}: {:?}", services.storage_list(&prefix, None, 100)));
                    saw(format!("room for {}", services.storage_room()));
                }
                Op::Call(path) => {
                    let request = http::Request {
                        endpoint: "api".into(),
                        method: http::Method::Get,
                        path: vec![path],
                        query: vec![],
                        headers: vec![],
                        body: None,
                        timeout_ms: None,
                    };
                    saw(format!("{:?}", services.http(request)));
                }
                Op::Job(key) => outcome.jobs.push(schedule::Job {
                    key,
                    resource: "things".into(),
                    cursor: Some(Cursor { version: 1, bytes: vec![100] }),
                    not_before: now + ROUND,
                }),
                Op::Say(message) => {
                    let message = message.escape_default().to_string();
                    outcome.logs.push(LogLine { level: "info".into(), message, fields: vec![] });
                    outcome.notes.push(Note { name: "said".into(), count: 1, message: String::new() });
                }
                Op::Fail(how) => {
                    return Err(match how {
                        0 => failed(FailureKind::Config, "bad-settings"),
                        1 => failed(FailureKind::Auth("api-key".into()), "bad-key"),
                        2 => failed(FailureKind::Transient, "not-now"),
                        _ => UnitError::Fault { code: "guest-trap".into(), message: "it broke".into() },
                    });
                }
            }
        }
        outcome.storage.reads = versions.into_iter().collect();
        Ok(outcome)
    }
}

fn named(mut mapped: host_harness::unit::MappedRecord, key: &str) -> host_harness::unit::MappedRecord {
    mapped.record.id = format!("scripted:ws:event:{key}");
    mapped.record.body = json!({ "key": key }).to_string();
    if let Ok(Mapping::Actions(actions)) = &mut mapped.mapping
        && actions[0].name == "brevo/track-event"
    {
        let properties = json!({ "key": key.escape_default().to_string() });
        actions[0].payload = json!({ "event": "bought", "properties": properties }).to_string();
    }
    mapped
}

/// One of the two.
pub struct Side {
    pub tenant: &'static str,
    pub account: &'static str,
    pub row: Installation,
    pub brevo: Checked,
    pub seen: Arc<Mutex<Vec<String>>>,
    pub vendor: Arc<Mutex<Vec<String>>>,
    delivery: Delivery,
}

/// The host.
pub struct Two {
    pub store: Arc<Store>,
    pub clock: Arc<ManualClock>,
    pub sides: Vec<Side>,
    pipeline: Pipeline,
    journal: GroupCommit,
    _directory: tempfile::TempDir,
}

/// Joined by a slash, tenant and account of both are one text.
const WHO: [(&str, &str); 2] = [("a", "b/c"), ("a/b", "c")];

impl Two {
    /// Of these sides, by number.
    pub fn with(sides: &[usize], seed: u64) -> Self {
        let directory = in_memory();
        let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
        let clock = Arc::new(ManualClock::at(START));
        let world = World {
            clock: clock.clone(),
            random: Arc::new(Constant(AtomicU64::new(0))),
            transport: host_harness::egress::transport::network(),
        };
        store.write::<_, StoreError>(|tx| tombstone::ensure_salt(tx, &*world.random)).unwrap();
        let mut installed = Vec::new();
        let sides: Vec<Side> = sides
            .iter()
            .map(|&side| {
                let (tenant, account) = WHO[side];
                let token = Constant(AtomicU64::new(side as u64 + 1));
                let new = NewInstallation {
                    tenant,
                    destination: account,
                    component: &[0; 32],
                    settings: "{}",
                    profile: &profile(),
                };
                let install = |tx: &rusqlite::Transaction<'_>| {
                    let row = installations::install(tx, &new, &token)?;
                    jobs::ensure(tx, &row, START)?;
                    Ok::<_, StoreError>(row)
                };
                let row = store.write(install).unwrap();
                let brevo = Checked::start(Options {
                    plan: stand_ins::brevo::Plan::Unlimited,
                    processing_delay: std::time::Duration::ZERO,
                    ..Options::default()
                });
                let seen: Arc<Mutex<Vec<String>>> = Arc::default();
                let vendor: Arc<Mutex<Vec<String>>> = Arc::default();
                let outside = vendor.clone();
                installed.push(Arc::new(Installed {
                    row: row.clone(),
                    settings: "{}".into(),
                    guest: Arc::new(Puppet {
                        side,
                        seen: seen.clone(),
                        pages: Mutex::new(Dice::new(seed ^ 0xFF, side)),
                    }),
                    outside: Box::new(move |_| Arc::new(Vendor(outside.clone()))),
                }));
                let delivery = delivery_to(&store, &world, &row, &brevo);
                Side { tenant, account, row, brevo, seen, vendor, delivery }
            })
            .collect();
        let pipeline = Pipeline::new(store.clone(), world, Policy::default(), installed);
        let journal = GroupCommit::new(store.clone());
        Self { store, clock, sides, pipeline, journal, _directory: directory }
    }

    /// Plays a round of each side, and does everything that is due then.
    pub fn play(&self, number: usize, rounds: &[&Round]) {
        let at = START + number as Millis * ROUND;
        self.clock.advance(at - self.clock.now());
        for (side, round) in self.sides.iter().zip(rounds) {
            if round.requeues {
                self.requeue(side);
            }
            for body in &round.webhooks {
                let raw = RawDelivery {
                    installation: side.row.id,
                    surface: "hook".into(),
                    received_at: self.clock.now(),
                    headers: vec![],
                    body: body.clone(),
                };
                self.journal.append(raw).unwrap();
            }
        }
        for _ in 0..3 {
            while self.pipeline.step().unwrap() == Step::Worked {}
            for side in &self.sides {
                while side.delivery.step().unwrap() == delivery::Step::Worked {}
            }
        }
    }

    /// As `harness dead-letters requeue --all --tenant` does.
    fn requeue(&self, side: &Side) {
        let selection = Selection { tenant: Some(side.tenant), ..Selection::default() };
        let letters = self.store.read(|tx| dead_letters::list(tx, selection, 1_000)).unwrap();
        for letter in letters {
            // What is about a condition can't be.
            let now = self.clock.now();
            let _ = self.store.write(|tx| dead_letters::requeue(tx, letter.id, false, now));
        }
    }
}

/// A delivery to the account of an installation.
pub fn delivery_to(store: &Arc<Store>, world: &World, row: &Installation, brevo: &Checked) -> Delivery {
    let key = brevo.api_key().to_owned();
    let options = DestinationOptions {
        destination: row.destination,
        base_url: format!("{}/v3", brevo.url()),
        api_key: Arc::new(move || Some(key.clone().into())),
        allow_private: true,
        plan: Plan::Extended,
        limits: BTreeMap::new(),
        unknown_consent: UnknownConsent::Hold,
        create_attributes: true,
        targets: vec![(row.id, row.profile.targets.clone())],
        policy: delivery::Policy::default(),
    };
    let delivery = Delivery::new(store.clone(), world.clone(), options).unwrap();
    delivery.recover().unwrap();
    delivery
}
