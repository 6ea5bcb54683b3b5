//! The real host with the real component between the vendors' stand-ins, under a fast clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use host_harness::host::Host;
use host_harness::operate::{erase, lists};
use host_harness::registry::{DeleteBehavior, DeleteContact};
use host_harness::store::runs::{backfill_key, resource_key};
use host_harness::store::{Store, StoreError, installations, outbox};
use serde_json::{Value, json};
use stand_ins::moengage::User;

use super::compare::{FOREIGN, Observed, SeenContact, SeenEvent, SeenMail, ext_id};
use super::history::{Chunk, Code, Event, History, LISTS, Names, Profile, Row, Step, rule};
use super::proxy::{Proxy, Tamper};
use super::sources::*;

/// Host seconds in a real second: a settle time is half a second, ten days are eight minutes.
const FACTOR: f64 = 1_800.0;
const DAY: i64 = 86_400_000;
const EXPORTS: &str = "event-exports";

fn setting() -> Setting {
    let lists: serde_json::Map<String, Value> = LISTS
        .iter()
        .map(|(sync, name, inert)| ((*sync).to_owned(), json!({ "name": name, "inert": inert })))
        .collect();
    let off =
        LISTS_READ_BY_DEFAULT.iter().chain(&["campaigns"]).map(|list| ((*list).to_owned(), json!(false)));
    Setting {
        factor: FACTOR,
        // The test asks for reads of profiles.
        options: json!({ "profile_refresh": "30d", "max_event_age": "10d" }),
        sync: Value::Object(off.collect()),
        more: json!({
            "field_mapping": { "plan": "PLAN", "city": "CITY", "tier": "TIER" },
            "segment_sync": { "identifier": "uid", "lists": lists },
            "connector_campaigns": {
                "user_id": "/user/id", "email": "/user/email", "event": "coupon_sent", "event_id": "/delivery_id",
                "time": { "from": "/sent_at", "format": "seconds" }
            },
            "deletes": { "delete_behavior": "hard", "on": ["ACCOUNT_CLOSED"] },
            "rules": [{
                "name": "order",
                "triggers": [{ "event": "moengage_order_placed" }],
                "actions": [{ "brevo/send-email": {
                    "template_id": 101, "params": { "of": "{{ event.n }}" }, "even_if_opted_out": true, "not_after": "10d"
                } }]
            }, {
                "name": "echo",
                "triggers": [{ "event": "moengage_viewed_product" }],
                "actions": [{
                    "brevo/track-event": { "event": "tajo_echo", "properties": { "of": "{{ event.n }}" } }
                }]
            }]
        }),
        ..Setting::default()
    }
}

use super::sources::LISTS as LISTS_READ_BY_DEFAULT;

/// Plays a history through every door, and says what Brevo holds in the end.
pub fn play(history: &History, tamper: Tamper) -> Observed {
    let mut world = World::with(&setting());
    let proxy = (tamper != Tamper::Nothing).then(|| Proxy::before(&world.brevo, tamper));
    if let Some(proxy) = &proxy {
        world.text = world.text.replace(&world.brevo.url(), &proxy.url);
    }
    let mut play =
        Play { history, host: Some(world.serve()), world, begins: Vec::new(), running: BTreeSet::new() };
    play.known_before();
    for (phase, steps) in history.plan.iter().enumerate() {
        play.begin(phase);
        for step in steps {
            play.step(step);
        }
        play.world.brevo.faults().clear();
        play.rest();
    }
    play.confirm();
    play.observe()
}

struct Play<'a> {
    history: &'a History,
    world: World,
    host: Option<Host>,
    /// Host time at which each phase begins, in seconds.
    begins: Vec<i64>,
    /// Runs that were asked for.
    running: BTreeSet<String>,
}

impl Play<'_> {
    fn store(&self) -> Store {
        self.world.store()
    }

    /// A contact that another hand made.
    fn known_before(&self) {
        let Some((person, blocked)) = self.history.existing else { return };
        let mut body = json!({
            "email": self.history.email(person, 0), "attributes": { FOREIGN.0: FOREIGN.1 }, "updateEnabled": false
        });
        if blocked {
            body["emailBlacklisted"] = true.into();
        }
        let answer = ureq::post(format!("{}/v3/contacts", self.world.brevo.url()))
            .header("api-key", self.world.brevo.api_key())
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap();
        assert_eq!(answer.status(), 201);
    }

    /// What happens in a phase has happened, and is in the profiles and in the files.
    fn begin(&mut self, phase: usize) {
        let latest =
            self.history.events.iter().filter(|event| event.at.phase == phase).map(|event| event.at.second);
        let latest = latest.max().unwrap_or(0);
        let now = self.world.now_s();
        self.begins.push(now + i64::from(phase > 0));
        while self.world.now_s() <= self.begins[phase] + latest {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.history.polls {
            for (person, profile) in self.history.profiles[phase].iter().enumerate() {
                if profile.gone {
                    self.world.moengage.remove_user(&format!("m-{person}"));
                } else {
                    self.world.moengage.set_users([user(person, profile)]);
                }
            }
        }
        for (day, bytes) in self.files(phase) {
            let key = format!("{FOLDER}/export_day={day}/event_exports_{phase}.json.gz");
            self.world.bucket.put(&key, bytes);
        }
    }

    fn files(&self, phase: usize) -> BTreeMap<String, Vec<u8>> {
        let mut days: BTreeMap<String, GzEncoder<Vec<u8>>> = BTreeMap::new();
        for (n, event) in self.history.events.iter().enumerate() {
            if event.at.phase != phase || !event.filed || event.code == Code::Campaign {
                continue;
            }
            let at = jiff::Timestamp::from_second(self.second(event)).unwrap();
            let day = at.to_string()[..10].to_owned();
            let line = json!({
                "app_name": "acme", "db_name": DB_NAME, "export_day": day, "export_hour": "0",
                "event": self.streamed(n)
            });
            let file = days.entry(day).or_insert_with(|| GzEncoder::new(Vec::new(), Compression::fast()));
            writeln!(file, "{line}").unwrap();
        }
        days.into_iter().map(|(day, file)| (day, file.finish().unwrap())).collect()
    }

    fn second(&self, event: &Event) -> i64 {
        self.begins[event.at.phase] + event.at.second
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Push(events) => {
                let events: Vec<Value> = events.iter().map(|n| self.streamed(*n)).collect();
                let body =
                    json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
                self.post("streams", &body);
            }
            Step::Files => {
                let key = backfill_key(EXPORTS);
                self.over(&key);
                let now = self.world.brevo.now();
                backfill(&self.store(), (self.begins[0] * 1_000 - 14 * DAY, now + DAY), now);
                self.running.insert(key);
            }
            Step::Poll => {
                let key = resource_key("users");
                self.over(&key);
                sync(&self.store(), "users", self.world.brevo.now());
                self.running.insert(key);
            }
            Step::Campaign(n) => {
                let event = &self.history.events[*n];
                let user = match event.names {
                    Names::Address => json!({ "email": event.email }),
                    _ => json!({ "id": ext_id(event.person) }),
                };
                let body = json!({
                    "user": user, "delivery_id": format!("delivery-{n}"),
                    "sent_at": self.second(event)
                });
                self.post("connector-campaigns", &body);
            }
            Step::Chunk(chunk) => self.post("segment-sync", &chunk_body(chunk)),
            Step::Trouble(trouble, times, method, seed) => {
                self.world.brevo.faults().add(rule(*trouble, *times, *method, *seed)).unwrap();
            }
            Step::Restart => {
                self.host.take().unwrap().stop();
                self.host = Some(self.world.serve());
            }
            Step::Rest => self.rest(),
            Step::Erase(person) => self.erase(*person),
        }
    }

    fn post(&self, surface: &str, body: &Value) {
        let host = self.host.as_ref().unwrap();
        let address = host.addresses().iter().find(|address| address.surface == surface).unwrap();
        let answer = ureq::post(format!("http://{}{}", host.listening().unwrap(), address.path))
            .header("content-type", "application/json")
            .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==") // tajo:hook-secret
            .send(body.to_string())
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    fn streamed(&self, n: usize) -> Value {
        let event = &self.history.events[n];
        let person = event.person;
        let (code, name) = match event.code {
            Code::View => ("VIEWED_PRODUCT", "Viewed product"),
            Code::Order => ("ORDER_PLACED", "Order placed"),
            Code::Open => ("MOE_EMAIL_OPEN", "Email Opened"),
            Code::Changed => ("PROFILE_CHANGED", "Profile changed"),
            Code::OptOut => ("MOE_EMAIL_UNSUBSCRIBE", "Email Unsubscribed"),
            Code::OptIn => ("MAIL_AGAIN", "Email Resubscribed"),
            Code::Spam => ("MOE_EMAIL_SPAM", "Email Complained"),
            Code::Bounce | Code::OldBounce => ("MOE_EMAIL_HARD_BOUNCE", "Email Bounced"),
            Code::Closed => ("ACCOUNT_CLOSED", "Account closed"),
            Code::Campaign => unreachable!("has a door of its own"),
        };
        let mut user = serde_json::Map::new();
        for (name, value) in &event.attributes {
            user.insert((*name).to_owned(), value.clone());
        }
        if let Some(flag) = event.flag {
            user.insert("moe_unsubscribe".to_owned(), flag.into());
        }
        let id =
            if event.names == Names::Whole { format!("m-{person}") } else { format!("visitor-{person}") };
        user.insert("moengage_user_id".to_owned(), id.into());
        let mut streamed = json!({
            "event_name": name, "event_code": code, "event_uuid": format!("uuid-{n}"),
            "event_time": self.second(event), "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
            "event_attributes": { "n": format!("echo-{n}") }, "device_attributes": {}
        });
        if event.names != Names::Visitor {
            user.insert("u_em".to_owned(), event.email.clone().into());
            streamed["uid"] = ext_id(person).into();
            streamed["email_id"] = match event.code {
                Code::OldBounce => format!("long-ago-{person}@example.com").into(),
                _ => event.email.clone().into(),
            };
        }
        streamed["user_attributes"] = Value::Object(user);
        streamed
    }

    /// An operator has somebody erased, known or not.
    fn erase(&self, person: usize) {
        let store = self.store();
        let installation = store.read::<_, StoreError>(|tx| Ok(installations::all(tx)?.remove(0))).unwrap();
        let whom = [erase::By::ExternalId.person(&ext_id(person))];
        let delete = DeleteContact { behavior: DeleteBehavior::Hard, mark: None };
        let now = self.world.brevo.now();
        let ordered =
            store.write(|tx| erase::order(tx, &installation, &whom, &delete, erase::AT_MOST, now)).unwrap();
        assert_eq!(ordered.len(), 1);
    }

    fn over(&mut self, key: &str) {
        if !self.running.remove(key) {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let run = run(&self.store(), key);
            if run.is_over() {
                assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
                return;
            }
            assert!(Instant::now() < deadline, "not over: {run:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn rest(&mut self) {
        for key in self.running.clone() {
            self.over(&key);
        }
        self.world.rest();
    }

    /// An operator's word about the joins of first runs.
    fn confirm(&mut self) {
        let (store, now) = (self.store(), self.world.brevo.now());
        let allowed = lists::Allowed { deliver_joins: Some(true), ..lists::Allowed::default() };
        for list in store.read::<_, StoreError>(lists::all).unwrap() {
            if list.waits_for.is_some_and(|wait| wait.code == outbox::held::BASELINE_UNCONFIRMED) {
                store.write(|tx| lists::confirm(tx, list.id, &allowed, now)).unwrap();
            }
        }
        self.rest();
    }

    fn observe(mut self) -> Observed {
        let letters = self.world.rest().dead_letters;
        self.host.take().unwrap().stop();
        let brevo = &self.world.brevo;
        assert_eq!(brevo.violations(), []);
        assert_eq!(self.world.moengage.violations(), []);
        let all = brevo.contacts();
        let of = |id: i64| all.iter().find(|one| one.id == id).and_then(|one| one.ext_id.clone());
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let events = brevo.events().into_iter().map(|event| SeenEvent {
            key: text(event.properties.get("moengage_event_uuid"))
                .or_else(|| text(event.properties.get("of")))
                .unwrap_or_default(),
            of: event.contact_id.and_then(of),
            at: event.date.div_euclid(1_000),
        });
        let mails = brevo.mails().into_iter().map(|mail| SeenMail {
            key: text(mail.params.get("of")).unwrap_or_default(),
            to: mail.recipient,
        });
        let members =
            |list: i64| brevo.list_members(list).into_iter().map(|one| one.ext_id.unwrap_or_default());
        Observed {
            events: events.collect(),
            mails: mails.collect(),
            lists: brevo
                .lists()
                .into_iter()
                .map(|list| (list.name.clone(), members(list.id).collect()))
                .collect(),
            resubscriptions: brevo.resubscriptions(),
            made_again: made_again(&self.world, self.history),
            letters,
            undelivered: undelivered(&self.world),
            begins: self.begins,
            contacts: all
                .into_iter()
                .map(|one| SeenContact {
                    ext_id: one.ext_id,
                    email: one.email,
                    blocked: one.email_blacklisted,
                    attributes: one.attributes,
                })
                .collect(),
        }
    }
}

/// What did not reach Brevo, by action, state and reason: for whoever looks at a difference.
fn undelivered(world: &World) -> Vec<String> {
    let sql = "SELECT name || ' ' || coalesce(code, 'state ' || state), count(*) FROM action WHERE state <> 2
               GROUP BY 1 ORDER BY 1";
    let read = |tx: &rusqlite::Transaction<'_>| -> Result<Vec<String>, StoreError> {
        let mut statement = tx.prepare(sql)?;
        let rows = statement
            .query_map([], |row| Ok(format!("{} {}", row.get::<_, i64>(1)?, row.get::<_, String>(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    world.store().read(read).unwrap()
}

/// Who was made after a deletion of whoever is erased.
fn made_again(world: &World, history: &History) -> Vec<String> {
    let Some(erased) = history.erased.map(ext_id) else { return Vec::new() };
    let journal = world.brevo.journal();
    let deleted = journal
        .of("DELETE", "/v3/contacts/{identifier}")
        .filter(|entry| entry.applied)
        .map(|entry| entry.seq)
        .min();
    let Some(deleted) = deleted else { return Vec::new() };
    journal
        .of("POST", "/v3/contacts")
        .filter(|entry| entry.seq > deleted && entry.applied && entry.body["ext_id"] == erased.as_str())
        .map(|_| erased.clone())
        .collect()
}

fn user(person: usize, profile: &Profile) -> User {
    let mut attributes = serde_json::Map::new();
    for (name, value) in &profile.attributes {
        attributes.insert((*name).to_owned(), value.clone());
    }
    attributes.insert("u_em".to_owned(), profile.email.clone().into());
    if let Some(flag) = profile.flag {
        attributes.insert("moe_unsubscribe".to_owned(), flag.into());
    }
    if profile.bounced {
        attributes.insert("moe_hard_bounce".to_owned(), true.into());
    }
    if profile.complained {
        attributes.insert("moe_spam".to_owned(), true.into());
    }
    User { id: format!("m-{person}"), customer_id: Some(ext_id(person)), attributes }
}

fn chunk_body(chunk: &Chunk) -> Value {
    let rows = |wanted: bool| -> Vec<Value> {
        let of = chunk.rows.iter().filter(|(_, member, _)| *member == wanted);
        of.map(|(person, _, row)| {
            let id = (*row == Row::Both).then(|| ext_id(*person));
            let moengage_id =
                if *row == Row::VisitorId { format!("visitor-{person}") } else { format!("m-{person}") };
            json!({ "moengage_distinct_id": moengage_id, "partner_user_id": id })
        })
        .collect()
    };
    json!({
        "type": "segment_sync", "pagination": { "total_pages": 2, "page_count": chunk.part + 1 },
        "data": {
            "moengage_sync_id": LISTS[chunk.list].0, "moengage_sync_name": LISTS[chunk.list].1,
            "moengage_execution_id": format!("execution-{}", chunk.execution), "moengage_integration_id": "i",
            "add_users": rows(true), "remove_users": rows(false)
        }
    })
}
