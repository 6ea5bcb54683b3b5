//! A store, a clock that is moved by hand, a Brevo in memory, and what a unit's commit would write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::fake::FakeBrevo;
use crate::config::{Plan, UnknownConsent};
use crate::contract::{AttributeTarget, AttributeType, Person, Subject, Targets};
use crate::delivery::{Delivery, DestinationOptions, Policy, Step};
use crate::people::identity::{self, PersonId, Resolution};
use crate::people::memberships::{self, Outcome, Word};
use crate::people::{consent, tombstone};
use crate::registry::{
    Channel, ConsentBasis, ConsentStatus, ListMembership, SetConsent, SetSuppression, SuppressionReason,
};
use crate::store::dead_letters::{self, DeadLetter, Filter};
use crate::store::installations::{DestinationId, InstallationId};
use crate::store::lists;
use crate::store::outbox::{self, Action, Class, NewAction, State};
use crate::store::{Digest, Store, StoreError};
use crate::world::{Clock, Millis, Random, World};

/// 2026-11-23T12:00:00Z
pub const START: Millis = 1_795_435_200_000;
pub const MINUTE: Millis = 60_000;

pub struct SimClock(AtomicI64);

impl Clock for SimClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep(&self, host_time: Duration) {
        self.0.fetch_add(host_time.as_millis() as Millis, Ordering::SeqCst);
    }
}

struct SeededRandom(Mutex<u64>);

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for byte in buffer {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (*state >> 33) as u8;
        }
    }
}

pub struct Bench {
    pub store: Arc<Store>,
    pub clock: Arc<SimClock>,
    pub brevo: Arc<FakeBrevo>,
    pub options: DestinationOptions,
    effects: AtomicU64,
    _directory: tempfile::TempDir,
}

/// A person that a backfill read.
pub struct Read {
    pub person: Person,
    pub attributes: Value,
    pub consent: Option<ConsentStatus>,
}

pub fn person(ext_id: &str, email: &str) -> Person {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Person { external_id: some(ext_id), email: some(email), phone: None, aliases: Vec::new() }
}

pub fn ada() -> Person {
    person("u1", "ada@x.org")
}

pub fn ada_with_phone() -> Person {
    Person { phone: Some("+491511234567".into()), ..ada() }
}

impl Bench {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("host.db")).unwrap());
        let clock = Arc::new(SimClock(AtomicI64::new(START)));
        let brevo = FakeBrevo::new(clock.clone());
        let random = SeededRandom(Mutex::new(1));
        store
            .write::<_, StoreError>(|tx| {
                tombstone::ensure_salt(tx, &random)?;
                tx.execute("INSERT INTO destination (id, key, name) VALUES (1, x'01', 'main')", [])?;
                tx.execute(
                    "INSERT INTO installation (id, key, tenant, connector, workspace, destination, component,
                         settings, source, profile, intake_token)
                     VALUES (1, x'01', 't', 'c', 'w', 1, x'', x'', x'', '{}', 'token')",
                    [],
                )?;
                Ok(())
            })
            .unwrap();
        let target = |name: &str, kind, create| AttributeTarget { name: name.into(), kind, create };
        let targets = Targets {
            attributes: vec![
                target("FIRSTNAME", AttributeType::Text, false),
                target("LASTNAME", AttributeType::Text, false),
                target("TIER", AttributeType::Text, true),
                target("POINTS", AttributeType::Number, true),
            ],
            events: Vec::new(),
            event_prefix: Some(String::new()),
        };
        let options = DestinationOptions {
            destination: DestinationId(1),
            base_url: "http://brevo.test/v3".into(),
            api_key: Arc::new(|| Some(SecretString::from("k"))),
            allow_private: true,
            plan: Plan::General,
            limits: BTreeMap::new(),
            unknown_consent: UnknownConsent::Hold,
            create_attributes: true,
            targets: vec![(InstallationId(1), targets)],
            policy: Policy::default(),
        };
        Self { store, clock, brevo, options, effects: AtomicU64::new(0), _directory: directory }
    }

    /// A delivery as after a start of the process.
    pub fn delivery(&self) -> Delivery {
        let world = World {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom(Mutex::new(7))),
            transport: self.brevo.clone(),
        };
        let delivery = Delivery::new(self.store.clone(), world, self.options.clone()).unwrap();
        delivery.recover().unwrap();
        delivery
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    pub fn wait(&self, millis: Millis) {
        self.clock.sleep(Duration::from_millis(millis as u64));
    }

    /// Steps until there is nothing more to do at any time.
    pub fn run(&self) {
        self.run_until(Millis::MAX);
    }

    /// Steps, and moves the clock to whatever is due next, up to that instant.
    pub fn run_until(&self, end: Millis) {
        self.run_with(&self.delivery(), end);
    }

    pub fn run_with(&self, delivery: &Delivery, end: Millis) {
        for _ in 0..20_000 {
            match delivery.step().unwrap() {
                Step::Worked => {}
                Step::Idle(Some(next)) if next <= end => {
                    assert!(next > self.now(), "an idle step must wait");
                    self.wait(next - self.now());
                }
                Step::Idle(_) => return,
            }
        }
        panic!("it never comes to rest");
    }

    pub fn person_id(&self, person: &Person) -> i64 {
        let resolved =
            self.store.write(|tx| identity::resolve(tx, DestinationId(1), person, self.now())).unwrap();
        match resolved {
            Resolution::One(id) => id.0,
            other => panic!("{other:?}"),
        }
    }

    pub fn upsert(&self, person: &Person, attributes: Value) -> i64 {
        self.upsert_at(person, attributes, self.now())
    }

    pub fn upsert_at(&self, person: &Person, attributes: Value, at: Millis) -> i64 {
        self.admit("brevo/upsert-contact", person, json!({ "attributes": attributes }), Some(at), None)
    }

    pub fn event(&self, person: &Person, name: &str) -> i64 {
        let body = json!({ "event": name, "properties": { "n": 1 } });
        let at = self.now();
        self.admit("brevo/track-event", person, body, Some(at), Some(at + 24 * 60 * MINUTE))
    }

    pub fn consent(&self, person: &Person, status: ConsentStatus, basis: ConsentBasis, at: Millis) -> i64 {
        self.consent_on(person, Channel::Email, status, basis, at)
    }

    pub fn consent_on(
        &self,
        person: &Person,
        channel: Channel,
        status: ConsentStatus,
        basis: ConsentBasis,
        at: Millis,
    ) -> i64 {
        let said = SetConsent { channel, status, basis };
        let id = self.person_id(person);
        self.store.write(|tx| consent::merge(tx, id, &said, at, self.now())).unwrap();
        self.admit("brevo/set-consent", person, serde_json::to_value(&said).unwrap(), Some(at), None)
    }

    /// The flag that makes a person mailable.
    pub fn mailable(&self, person: &Person) -> i64 {
        self.consent(person, ConsentStatus::OptedIn, ConsentBasis::Flag, self.now() - 1)
    }

    pub fn suppress(&self, person: &Person, reason: SuppressionReason, at: Millis) -> i64 {
        let said = SetSuppression { channel: Channel::Email, reason };
        let id = self.person_id(person);
        self.store.write(|tx| consent::merge_suppression(tx, id, &said, at, self.now())).unwrap();
        self.admit("brevo/set-suppression", person, serde_json::to_value(&said).unwrap(), Some(at), None)
    }

    /// A live word about a list, as a unit's commit folds it; none where it calls for nothing.
    pub fn word(&self, person: &Person, list: &ListMembership, member: bool) -> Option<i64> {
        let id = PersonId(self.person_id(person));
        let number = self.effects.load(Ordering::SeqCst);
        let now = self.now();
        let word = Word {
            member,
            at: now,
            rank: 0,
            observation: Digest(u128::from(number).to_be_bytes()),
            installation: 1,
            baseline: false,
        };
        let row = self.store.write(|tx| {
            let row = lists::named(tx, DestinationId(1), &list.list, list.inert, now)?;
            let news = memberships::say(tx, &row, id, &word)? == Outcome::News;
            Ok::<_, StoreError>(news.then_some(row))
        });
        let row = row.unwrap()?;
        let (name, opposite) = match member {
            true => ("brevo/join-list", "brevo/leave-list"),
            false => ("brevo/leave-list", "brevo/join-list"),
        };
        self.store.write(|tx| outbox::supersede_membership(tx, row.id, id.0, opposite, "newer")).unwrap();
        let action = self.admit(name, person, serde_json::to_value(list).unwrap(), None, None);
        let sql = "UPDATE action SET list = ?2 WHERE id = ?1";
        self.store.write::<_, StoreError>(|tx| Ok(tx.execute(sql, [action, row.id])?)).unwrap();
        Some(action)
    }

    pub fn join(&self, person: &Person, list: &ListMembership) -> i64 {
        self.word(person, list, true).unwrap()
    }

    pub fn leave(&self, person: &Person, list: &ListMembership) -> i64 {
        self.word(person, list, false).unwrap()
    }

    /// An action about a thing, in the lane of `key`.
    pub fn about(&self, key: &str, name: &str, payload: Value, not_after: Option<Millis>) -> i64 {
        let subject = serde_json::to_string(&Subject::Object(("thing".into(), key.into()))).unwrap();
        let thing = Some(Digest::of(&[key.as_bytes()]));
        let at = Some(self.now());
        self.admit_new(
            name,
            payload,
            NewAction { thing, subject: &subject, occurred_at: at, not_after, ..NEW },
        )
    }

    pub fn admit(
        &self,
        name: &str,
        person: &Person,
        payload: Value,
        at: Option<Millis>,
        not_after: Option<Millis>,
    ) -> i64 {
        let id = self.person_id(person);
        let subject = serde_json::to_string(&Subject::Person(person.clone())).unwrap();
        let new = NewAction { person: Some(id), subject: &subject, occurred_at: at, not_after, ..NEW };
        self.admit_new(name, payload, new)
    }

    /// A mail, text or campaign that may be sent within a day.
    pub fn send(&self, name: &str, subject: &Subject, payload: Value) -> i64 {
        let at = self.now();
        self.admit_with(name, subject, payload, |new| {
            (new.occurred_at, new.not_after) = (Some(at), Some(at + 24 * 60 * MINUTE));
        })
    }

    /// An action as a unit's commit would admit it, with what a test changes of it.
    pub fn admit_with(
        &self,
        name: &str,
        about: &Subject,
        payload: Value,
        change: impl for<'a> FnOnce(&mut NewAction<'a>),
    ) -> i64 {
        let (person, thing) = match about {
            Subject::Person(person) => (Some(self.person_id(person)), None),
            Subject::Object((kind, key)) => (None, Some(Digest::of(&[kind.as_bytes(), key.as_bytes()]))),
        };
        let subject = serde_json::to_string(about).unwrap();
        let mut new = NewAction { person, thing, subject: &subject, ..NEW };
        change(&mut new);
        self.admit_new(name, payload, new)
    }

    fn admit_new(&self, name: &str, payload: Value, new: NewAction<'_>) -> i64 {
        let number = self.effects.fetch_add(1, Ordering::SeqCst);
        let payload = payload.to_string();
        crate::registry::Payload::parse(name, &payload).unwrap();
        let new = NewAction {
            effect: Digest::of(&[b"effect", &number.to_le_bytes()]),
            name,
            payload: &payload,
            class: Class::of(name, false, false),
            received_at: self.now(),
            // Later admissions win ties, so that tests read naturally.
            observation: Digest(u128::from(number).to_be_bytes()),
            position: number as i64,
            ..new
        };
        self.store.write(|tx| outbox::admit(tx, &new)).unwrap().id()
    }

    /// People that a backfill read, as a unit's commit writes them: an upsert each, and where they opted
    /// out their consent before it. Returns the upserts.
    pub fn backfill(&self, people: impl IntoIterator<Item = Read>) -> Vec<i64> {
        let now = self.now();
        let mut upserts = Vec::new();
        let mut people = people.into_iter().peekable();
        while people.peek().is_some() {
            let some: Vec<Read> = people.by_ref().take(1_000).collect();
            self.store
                .write::<_, StoreError>(|tx| {
                    for read in &some {
                        let Resolution::One(id) = identity::resolve(tx, DestinationId(1), &read.person, now)?
                        else {
                            panic!("one person each");
                        };
                        if let Some(status) = read.consent {
                            let said =
                                SetConsent { channel: Channel::Email, status, basis: ConsentBasis::Flag };
                            if consent::merge(tx, id.0, &said, now - 1, now)?.calls_for_action {
                                let payload = serde_json::to_value(&said).unwrap();
                                self.admit_bulk(tx, "brevo/set-consent", read, id.0, &payload);
                            }
                        }
                        let payload = json!({ "attributes": read.attributes });
                        upserts.push(self.admit_bulk(tx, "brevo/upsert-contact", read, id.0, &payload));
                    }
                    Ok(())
                })
                .unwrap();
        }
        upserts
    }

    fn admit_bulk(
        &self,
        tx: &rusqlite::Transaction<'_>,
        name: &str,
        read: &Read,
        person: i64,
        payload: &Value,
    ) -> i64 {
        let number = self.effects.fetch_add(1, Ordering::SeqCst);
        let subject = serde_json::to_string(&Subject::Person(read.person.clone())).unwrap();
        let at_brevo = identity::is_at_brevo(tx, PersonId(person)).unwrap();
        let new = NewAction {
            installation: 1,
            destination: 1,
            person: Some(person),
            subject: &subject,
            effect: Digest::of(&[b"effect", &number.to_le_bytes()]),
            name,
            payload: &payload.to_string(),
            occurred_at: Some(self.now()),
            received_at: self.now(),
            rank: 0,
            observation: Digest(u128::from(number).to_be_bytes()),
            not_before: None,
            not_after: None,
            coalesce_key: None,
            list: None,
            thing: None,
            class: Class::of(name, true, at_brevo),
            batch: 1,
            position: number as i64,
            state: State::Waiting,
            code: None,
        };
        outbox::admit(tx, &new).unwrap().id()
    }

    /// Actions that wait or are in flight.
    pub fn waiting(&self) -> i64 {
        let sql = "SELECT count(*) FROM action WHERE state IN (0, 1)";
        self.store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    }

    pub fn action(&self, id: i64) -> Action {
        self.store.read(|tx| outbox::get(tx, id)).unwrap().unwrap()
    }

    /// State and code of an action.
    pub fn end(&self, id: i64) -> (State, Option<String>) {
        let action = self.action(id);
        (action.state, action.code)
    }

    #[track_caller]
    pub fn assert_end(&self, id: i64, state: State, code: &str) {
        let code = Some(code.to_owned()).filter(|code| !code.is_empty());
        assert_eq!(self.end(id), (state, code));
    }

    pub fn letters(&self) -> Vec<DeadLetter> {
        self.store.read(|tx| dead_letters::list(tx, Filter::default(), 100)).unwrap()
    }

    pub fn letter_codes(&self) -> Vec<String> {
        self.letters().into_iter().map(|letter| letter.code).collect()
    }

    pub fn requeue(&self, confirm: bool) -> i64 {
        let letter = self.letters().pop().unwrap();
        self.store.write(|tx| dead_letters::requeue_action(tx, letter.id, confirm, self.now())).unwrap()
    }

    /// The only contact at Brevo.
    pub fn contact(&self) -> super::fake::FakeContact {
        let state = self.brevo.state();
        assert_eq!(state.contacts.len(), 1, "{:?}", state.contacts);
        state.contacts.values().next().unwrap().clone()
    }

    pub fn event_names(&self) -> Vec<String> {
        self.brevo.state().events.iter().map(|event| event.name.clone()).collect()
    }
}

const NEW: NewAction<'static> = NewAction {
    installation: 1,
    destination: 1,
    person: None,
    subject: "",
    effect: Digest([0; 16]),
    name: "",
    payload: "",
    occurred_at: None,
    received_at: 0,
    rank: 0,
    observation: Digest([0; 16]),
    not_before: None,
    not_after: None,
    coalesce_key: None,
    list: None,
    thing: None,
    class: Class::Live,
    batch: 1,
    position: 0,
    state: State::Waiting,
    code: None,
};
