//! A host whose guest is a script: what the pipeline does with an outcome, without a component.
#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::brevo::windows::Family;
use host_harness::config::{Plan, UnknownConsent};
use host_harness::contract::*;
use host_harness::delivery::{Delivery, DestinationOptions};
use host_harness::pipeline::{Guest, Installed, Outside, Pipeline, Policy, Step};
use host_harness::store::installations::{self, Installation, NewInstallation};
use host_harness::store::journal::{GroupCommit, Journal, RawDelivery};
use host_harness::store::outbox::State;
use host_harness::store::{Store, StoreError, jobs, tallies};
use host_harness::unit::{MappedRecord, Outcome, Services, Unit, UnitError};
use host_harness::world::{
    Clock, HttpRequest, HttpResponse, Millis, Random, Transport, TransportError, TransportErrorKind, World,
};
use serde_json::{Value, json};

/// A date in November 2026, the tests' beginning of time.
pub const START: Millis = 1_795_000_000_000;
pub const HOUR: Millis = 3_600_000;

pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(now: Millis) -> Self {
        Self(AtomicI64::new(now))
    }

    pub fn now_is(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, host_time: Duration) {
        self.advance(host_time.as_millis() as Millis);
    }
}

/// SplitMix64: small, seeded, good enough for jitter.
pub struct Seeded(AtomicU64);

impl Random for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

struct NoNetwork;

impl Transport for NoNetwork {
    fn send(&self, _: &HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError {
            kind: TransportErrorKind::Unreachable,
            request_sent: false,
            message: "no network here".into(),
        })
    }
}

struct NoOutside;

impl Outside for NoOutside {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(unreachable_error())
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(unreachable_error())
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(unreachable_error())
    }
}

fn unreachable_error() -> http::Error {
    http::Error {
        kind: http::ErrorKind::Unreachable,
        code: "no-network".into(),
        message: "no network here".into(),
        request_sent: false,
        retry_after_ms: None,
    }
}

type Script = dyn Fn(&Unit, &dyn Services) -> Result<Outcome, UnitError> + Send + Sync;

/// Plays whatever script it holds at the moment.
pub struct Scripted(Mutex<Arc<Script>>);

impl Guest for Scripted {
    fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        let script = self.0.lock().unwrap().clone();
        script(unit, &*services)
    }
}

pub struct TestHost {
    pub store: Arc<Store>,
    pub clock: Arc<ManualClock>,
    pub pipeline: Pipeline,
    pub installation: Installation,
    guest: Arc<Scripted>,
    _directory: tempfile::TempDir,
}

/// A delivery to Brevo's stand-in under the test's clock, as after a start of the process. The
/// stand-in must be without rate limits: its clock is another one.
pub fn delivery(host: &TestHost, brevo: &stand_ins::brevo::Brevo) -> Delivery {
    delivery_with(host, brevo, host_harness::delivery::Policy::default())
}

/// The same with other waits and limits.
pub fn delivery_with(
    host: &TestHost,
    brevo: &stand_ins::brevo::Brevo,
    policy: host_harness::delivery::Policy,
) -> Delivery {
    delivery_within(host, brevo, policy, BTreeMap::new())
}

/// The same within other rate windows, as (calls, seconds).
pub fn delivery_within(
    host: &TestHost,
    brevo: &stand_ins::brevo::Brevo,
    policy: host_harness::delivery::Policy,
    limits: BTreeMap<Family, Vec<(u32, u32)>>,
) -> Delivery {
    let key = brevo.api_key().to_owned();
    let world = World {
        clock: host.clock.clone(),
        random: Arc::new(Seeded(AtomicU64::new(11))),
        transport: host_harness::egress::transport::network(),
    };
    let options = DestinationOptions {
        destination: host.installation.destination,
        base_url: format!("{}/v3", brevo.url()),
        api_key: Arc::new(move || Some(key.clone().into())),
        allow_private: true,
        plan: Plan::Extended,
        limits,
        unknown_consent: UnknownConsent::Hold,
        create_attributes: true,
        targets: vec![(host.installation.id, host.installation.profile.targets.clone())],
        policy,
    };
    let delivery = Delivery::new(host.store.clone(), world, options).unwrap();
    delivery.recover().unwrap();
    delivery
}

/// Delivers until nothing is left to be done by itself, and moves the clock to whatever is due next.
pub fn deliver_all(host: &TestHost, delivery: &Delivery) {
    for _ in 0..20_000 {
        match delivery.step().unwrap() {
            host_harness::delivery::Step::Worked => {}
            host_harness::delivery::Step::Idle(Some(next)) => {
                host.clock.advance((next - host.clock.now()).max(1));
            }
            host_harness::delivery::Step::Idle(None) => return,
        }
    }
    panic!("delivery never comes to rest");
}

/// A directory in memory, where the system has one: for tests of many units and of no disk.
pub fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Many tenants of one host, all played by one script. A tenant's number is its settings.
pub struct Crowd {
    pub store: Arc<Store>,
    pub clock: Arc<ManualClock>,
    pub pipeline: Pipeline,
    /// By number.
    pub rows: Vec<Installation>,
    _directory: tempfile::TempDir,
}

impl Crowd {
    pub fn new(
        tenants: usize,
        script: impl Fn(usize, &Unit, &ManualClock) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self::within(Policy::default(), tenants, script)
    }

    /// The same under another policy.
    pub fn within(
        policy: Policy,
        tenants: usize,
        script: impl Fn(usize, &Unit, &ManualClock) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let directory = in_memory();
        let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let world = World {
            clock: clock.clone(),
            random: Arc::new(Seeded(AtomicU64::new(7))),
            transport: Arc::new(NoNetwork),
        };
        let rows: Vec<Installation> = store
            .write::<_, StoreError>(|tx| {
                host_harness::people::tombstone::ensure_salt(tx, &*world.random)?;
                (0..tenants)
                    .map(|n| {
                        let name = format!("tenant-{n}");
                        let new = NewInstallation {
                            tenant: &name,
                            destination: &name,
                            component: &[0; 32],
                            settings: &n.to_string(),
                            profile: &profile(),
                        };
                        installations::install(tx, &new, &*world.random)
                    })
                    .collect()
            })
            .unwrap();
        let time = clock.clone();
        let script: Arc<Script> = Arc::new(move |unit: &Unit, _: &dyn Services| {
            Ok(script(unit.settings.parse().unwrap(), unit, &time))
        });
        let guest = Arc::new(Scripted(Mutex::new(script)));
        let installed = rows.iter().enumerate().map(|(n, row)| {
            Arc::new(Installed {
                row: row.clone(),
                settings: n.to_string(),
                guest: guest.clone(),
                outside: Box::new(|_| Arc::new(NoOutside)),
            })
        });
        let pipeline = Pipeline::new(store.clone(), world, policy, installed.collect());
        Self { store, clock, pipeline, rows, _directory: directory }
    }

    /// Webhooks that a tenant gets at these instants.
    pub fn webhooks(&self, tenant: usize, at: impl IntoIterator<Item = Millis>) {
        let sql = "INSERT INTO journal (installation, surface, received_at, headers, body, due_at)
                   VALUES (?1, 'hook', ?2, '[]', x'', ?2)";
        self.insert(sql, tenant, at);
    }

    /// Jobs of a tenant that are due at these instants.
    pub fn jobs(&self, tenant: usize, at: impl IntoIterator<Item = Millis>) {
        let sql = "INSERT INTO job (installation, key, resource, position, due_at)
                   SELECT ?1, 'job:' || count(*), 'things', '\"cursor\"', ?2 FROM job";
        self.insert(sql, tenant, at);
    }

    fn insert(&self, sql: &str, tenant: usize, at: impl IntoIterator<Item = Millis>) {
        let insert = |tx: &rusqlite::Transaction<'_>| -> Result<(), StoreError> {
            let mut statement = tx.prepare(sql)?;
            for at in at {
                statement.execute([self.rows[tenant].id.0, at])?;
            }
            Ok(())
        };
        self.store.write(insert).unwrap();
    }
}

impl TestHost {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let world = World {
            clock: clock.clone(),
            random: Arc::new(Seeded(AtomicU64::new(7))),
            transport: Arc::new(NoNetwork),
        };
        let installation = store
            .write(|tx| {
                host_harness::people::tombstone::ensure_salt(tx, &*world.random)?;
                let new = NewInstallation {
                    tenant: "shop",
                    destination: "shop-account",
                    component: &[0; 32],
                    settings: "{}",
                    profile: &profile(),
                };
                let row = installations::install(tx, &new, &*world.random)?;
                jobs::ensure(tx, &row, START)?;
                Ok::<_, StoreError>(row)
            })
            .unwrap();
        let guest =
            Arc::new(Scripted(Mutex::new(Arc::new(|_: &Unit, _: &dyn Services| panic!("no script")))));
        let installed = Arc::new(Installed {
            row: installation.clone(),
            settings: "{}".into(),
            guest: guest.clone(),
            outside: Box::new(|_| Arc::new(NoOutside)),
        });
        let pipeline = Pipeline::new(store.clone(), world, Policy::default(), vec![installed]);
        let host = Self { store, clock, pipeline, installation, guest, _directory: directory };
        host.park_pages();
        host
    }

    /// Makes the resource due now.
    pub fn make_due(&self) {
        let now = self.clock.now();
        self.store.write::<_, StoreError>(|tx| Ok(tx.execute("UPDATE job SET due_at = ?1", [now])?)).unwrap();
    }

    pub fn script(
        &self,
        script: impl Fn(&Unit, &dyn Services) -> Result<Outcome, UnitError> + Send + Sync + 'static,
    ) {
        *self.guest.0.lock().unwrap() = Arc::new(script);
    }

    /// Takes the resource out of the schedule, for tests about webhooks only.
    pub fn park_pages(&self) {
        self.store.write::<_, StoreError>(|tx| Ok(tx.execute("UPDATE job SET due_at = NULL", [])?)).unwrap();
    }

    /// The resource's job: (due at, result, code), and its cursor.
    pub fn job(&self) -> (Option<Millis>, Option<String>, Option<String>, Option<Vec<u8>>) {
        self.store
            .read::<_, StoreError>(|tx| {
                let cursor = jobs::cursor(tx, self.installation.id, self.installation.source, "things")?;
                Ok(tx.query_row("SELECT due_at, result, code FROM job", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, cursor.map(|cursor| cursor.bytes)))
                })?)
            })
            .unwrap()
    }

    /// Appends a webhook whose unit comes to these records.
    pub fn deliver(&self, records: Vec<MappedRecord>) -> i64 {
        let id = self.append();
        self.script(move |_, _| Ok(Outcome { records: records.clone(), ..Outcome::default() }));
        self.settle();
        id
    }

    pub fn append(&self) -> i64 {
        GroupCommit::new(self.store.clone())
            .append(RawDelivery {
                installation: self.installation.id,
                surface: "hook".into(),
                received_at: self.clock.now(),
                headers: vec![],
                body: b"raw".to_vec(),
            })
            .unwrap()
    }

    /// Steps until nothing is due now.
    pub fn settle(&self) {
        for _ in 0..10_000 {
            if let Step::Idle(_) = self.pipeline.step().unwrap() {
                return;
            }
        }
        panic!("the pipeline never comes to rest");
    }

    pub fn tally(&self) -> BTreeMap<String, i64> {
        self.store.read::<_, StoreError>(|tx| tallies::all(tx, self.installation.id)).unwrap()
    }

    pub fn count(&self, name: &str) -> i64 {
        self.tally().get(name).copied().unwrap_or(0)
    }

    /// (name, state, payload, code) of every action, in order.
    pub fn actions(&self) -> Vec<(String, State, Value, Option<String>)> {
        self.store
            .read::<_, StoreError>(|tx| {
                let mut statement =
                    tx.prepare("SELECT name, state, payload, code FROM action ORDER BY id")?;
                let rows = statement.query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get(3)?))
                })?;
                Ok(rows
                    .map(|row| {
                        let (name, state, payload, code) = row.unwrap();
                        (
                            name,
                            State::from_number(state).unwrap(),
                            serde_json::from_str(&payload).unwrap(),
                            code,
                        )
                    })
                    .collect())
            })
            .unwrap()
    }

    /// Open dead letters: (id, stage, code).
    pub fn letters(&self) -> Vec<(i64, String, String)> {
        self.store
            .read::<_, StoreError>(|tx| {
                let mut statement =
                    tx.prepare("SELECT id, stage, code FROM dead_letter WHERE state = 'open' ORDER BY id")?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                Ok(rows.map(Result::unwrap).collect())
            })
            .unwrap()
    }

    /// Rule 13: everything that was read has exactly one fate.
    pub fn assert_sums(&self) {
        let tally = self.tally();
        let of = |name: &str| tally.get(name).copied().unwrap_or(0);
        let fates: i64 = tallies::Fate::ALL.iter().map(|fate| of(fate.as_str())).sum();
        assert_eq!(of("read"), fates, "{tally:?}");
    }

    /// Place and value (as a digest) of a field of the only person.
    pub fn desired(&self, field: &str) -> Value {
        let text: String = self
            .store
            .read::<_, StoreError>(|tx| Ok(tx.query_row("SELECT desired FROM person", [], |row| row.get(0))?))
            .unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[field].clone()
    }

    /// Everything that decides what Brevo will hold, without the order in which it came.
    pub fn folded(&self) -> String {
        self.store
            .read::<_, StoreError>(|tx| {
                let all = |sql: &str| {
                    let mut statement = tx.prepare(sql).unwrap();
                    let mut rows: Vec<String> =
                        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
                    rows.sort();
                    rows.join("\n")
                };
                Ok([
                    all("SELECT value || ' ' || desired FROM person JOIN identity ON person.id = person AND kind = 'external-id'"),
                    all("SELECT value || channel || coalesce(signal, flag, '-') || coalesce(signal_at, '-') || coalesce(flag_at, '-') || coalesce(opted_out_at, '-') || coalesce(suppressed, '-') FROM consent
                         JOIN identity ON identity.person = consent.person AND kind = 'external-id'"),
                    all("SELECT hex(key) FROM accepted"),
                ]
                .join("\n--\n"))
            })
            .unwrap()
    }
}

pub fn profile() -> Profile {
    Profile {
        connector: "scripted".into(),
        version: "1.0.0".into(),
        workspace: "ws".into(),
        source_key: "{}".into(),
        cursor_versions: vec![1],
        slots: vec![],
        resources: vec![ResourceSpec {
            name: "things".into(),
            kind: "event".into(),
            primary_key: vec!["key".into()],
            nature: Nature::Event,
            mode: SyncMode::Incremental,
            cursor_strategy: "a number".into(),
            page_limit: 100,
            replay_policy: "by id".into(),
            cadence: 3_600,
            rate_windows: vec![],
            schema: "{}".into(),
            endpoint: "api".into(),
            slot: None,
        }],
        surfaces: vec![],
        targets: Targets {
            attributes: ["A", "B", "C"]
                .map(|name| AttributeTarget { name: name.into(), kind: AttributeType::Text, create: true })
                .into_iter()
                .chain([AttributeTarget { name: "GONE_ON".into(), kind: AttributeType::Date, create: true }])
                .collect(),
            events: vec!["bought".into()],
            event_prefix: None,
        },
    }
}

pub fn person(external_id: &str) -> Person {
    Person {
        external_id: Some(external_id.into()),
        email: Some(format!("{external_id}@example.com")),
        phone: None,
        aliases: vec![],
    }
}

pub fn action(slot: &str, name: &str, subject: &Person, payload: Value, not_after: Option<Millis>) -> Action {
    Action {
        slot: slot.into(),
        name: name.into(),
        subject: Subject::Person(subject.clone()),
        payload: payload.to_string(),
        not_after,
        not_before: None,
        coalesce: None,
    }
}

/// An event of a person, with one `track-event`.
pub fn event(key: &str, who: &Person, at: Option<Millis>, now: Millis) -> MappedRecord {
    let record = Record {
        id: format!("scripted:ws:event:{key}"),
        kind: "event".into(),
        nature: Nature::Event,
        subject: Subject::Person(who.clone()),
        observation: Observation { id: key.into(), rank: 10 },
        occurred: Occurrence { at, trust: if at.is_some() { TimeTrust::Vendor } else { TimeTrust::Unknown } },
        body: json!({ "key": key }).to_string(),
        provenance: Provenance::Live,
    };
    let payload = json!({ "event": "bought", "properties": { "key": key } });
    let deadline = Some(at.unwrap_or(now) + 24 * HOUR);
    let actions = vec![action("event", "brevo/track-event", who, payload, deadline)];
    MappedRecord { record, mapping: Ok(Mapping::Actions(actions)) }
}

/// A contact's state at a time, with one `upsert-contact`.
pub fn contact(who: &Person, observation: &str, at: Millis, attributes: Value) -> MappedRecord {
    let key = who.external_id.clone().unwrap_or_default();
    let record = Record {
        id: format!("scripted:ws:contact:{key}"),
        kind: "contact".into(),
        nature: Nature::State,
        subject: Subject::Person(who.clone()),
        observation: Observation { id: observation.into(), rank: 10 },
        occurred: Occurrence { at: Some(at), trust: TimeTrust::Vendor },
        body: attributes.to_string(),
        provenance: Provenance::Live,
    };
    let payload = json!({ "attributes": attributes });
    let actions = vec![action("contact", "brevo/upsert-contact", who, payload, None)];
    MappedRecord { record, mapping: Ok(Mapping::Actions(actions)) }
}

/// A word about a list, as a chunk of an execution says it: the time is the execution's.
pub fn membership(
    who: &Person,
    list: &Value,
    member: bool,
    execution: &str,
    at: Millis,
    provenance: Provenance,
) -> MappedRecord {
    let key = who.external_id.clone().or_else(|| who.aliases.first().map(|alias| alias.value.clone()));
    let record = Record {
        id: format!("scripted:ws:membership:sync/{}", key.unwrap_or_default()),
        kind: "membership".into(),
        nature: Nature::State,
        subject: Subject::Person(who.clone()),
        observation: Observation { id: execution.into(), rank: 10 },
        occurred: Occurrence { at: Some(at), trust: TimeTrust::Arrival },
        body: json!({ "member": member }).to_string(),
        provenance,
    };
    let name = if member { "brevo/join-list" } else { "brevo/leave-list" };
    MappedRecord {
        record,
        mapping: Ok(Mapping::Actions(vec![action("list", name, who, list.clone(), None)])),
    }
}

/// A consent signal as an event of its own.
pub fn consent(key: &str, who: &Person, at: Millis, status: &str, basis: &str) -> MappedRecord {
    let mut mapped = event(key, who, Some(at), at);
    let payload = json!({ "channel": "email", "status": status, "basis": basis });
    mapped.mapping = Ok(Mapping::Actions(vec![action("consent", "brevo/set-consent", who, payload, None)]));
    mapped
}
