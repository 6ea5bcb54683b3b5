//! The real host with the real component between the vendors' stand-ins, under a fast clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use host_harness::operate::{erase, lists};
use host_harness::registry::{DeleteBehavior, DeleteContact};
use host_harness::store::runs::{backfill_key, resource_key};
use host_harness::store::{Store, StoreError, installations, outbox};
use serde_json::{Value, json};
use stand_ins::brevo::{self, ObjectType};
use stand_ins::moengage::alerts::{Alert, AlertTarget, AlertType};
use stand_ins::moengage::{Campaign, Table};

use super::compare::{FOREIGN, Observed, ext_id};
use super::expected::{Click, Course};
use super::history::{Chunk, Code, Event, History, LISTS, Step, Things, rule};
use super::observe::observe;
use super::proxy::{Proxy, Tamper};
use super::serving::{self, Serving};
use super::sources::LISTS as LISTS_READ_BY_DEFAULT;
use super::sources::*;
use super::wire;

/// Host seconds in a real second: a settle time is half a second, ten days are eight minutes.
const FACTOR: f64 = 1_800.0;
const DAY: i64 = 86_400_000;
const EXPORTS: &str = "event-exports";
/// From so many waiting contacts on there is an import, where a history has them.
const FEW: usize = 2;

fn setting(history: &History) -> Setting {
    let lists: serde_json::Map<String, Value> = LISTS
        .iter()
        .map(|(sync, name, inert)| ((*sync).to_owned(), json!({ "name": name, "inert": inert })))
        .collect();
    let off = LISTS_READ_BY_DEFAULT.iter().map(|list| ((*list).to_owned(), json!(false)));
    let campaigns = ("campaigns".to_owned(), json!(history.things.is_some()));
    let mut more = json!({
        "field_mapping": { "plan": "PLAN", "city": "CITY", "tier": "TIER" },
        "segment_sync": { "identifier": "uid", "lists": lists },
        "connector_campaigns": {
            "user_id": "/user/id", "email": "/user/email", "event": "coupon_sent", "event_id": "/delivery_id",
            "time": { "from": "/sent_at", "format": "seconds" }
        },
        "deletes": {
            "delete_behavior": if history.soft { "soft" } else { "hard" }, "on": ["ACCOUNT_CLOSED"]
        },
        "rules": rules()
    });
    let things = json!({
        "alerts": true,
        "catalogs": { "catalog-1": ["P001", "P002", "P003"] },
        "objects": {
            "products": { "field_mapping": { "title": "name", "price": "price" } },
            "campaigns": { "type": "moengage_campaign", "field_mapping": { "name": "name", "status": "status" } },
            "alerts": "note"
        }
    });
    if history.things.is_some() {
        more.as_object_mut().unwrap().extend(things.as_object().unwrap().clone());
    }
    let object_type = ObjectType {
        name: "moengage_campaign".to_owned(),
        attributes: ["name", "status"].map(|key| (key.to_owned(), "text".to_owned())).to_vec(),
    };
    Setting {
        factor: FACTOR,
        // The test asks for reads of profiles.
        options: json!({ "profile_refresh": "30d", "max_event_age": "10d" }),
        sync: Value::Object(off.chain([campaigns]).collect()),
        more,
        brevo: brevo::Options { objects: Some(vec![object_type]), ..brevo::Options::default() },
        imports_from: history.imports.then_some(FEW),
        ..Setting::default()
    }
}

fn rules() -> Value {
    let whenever = |action: &str, what: Value| {
        let mut what = what;
        what["not_after"] = "10d".into();
        json!({ action: what })
    };
    let rule = |name: &str, event: &str, actions: Vec<Value>| json!({ "name": name, "triggers": [{ "event": event }], "actions": actions });
    let mail = json!({
        "template_id": 101, "params": { "of": "{{ event.n }}" }, "even_if_opted_out": true
    });
    let text = json!({ "content": "Parcel {{ event.n }}", "sender": "ACME", "even_if_opted_out": true });
    let echo = json!({ "event": "tajo_echo", "properties": { "of": "{{ event.n }}" } });
    json!([
        rule("order", "moengage_order_placed", vec![whenever("brevo/send-email", mail)]),
        rule("parcel", "moengage_parcel_ready", vec![whenever("brevo/send-sms", text)]),
        rule("echo", "moengage_viewed_product", vec![json!({ "brevo/track-event": echo })]),
        rule(
            "call",
            "moengage_call_wanted",
            vec![
                json!({ "brevo/add-note": { "text": "Call {{ event.n }}" } }),
                json!({ "brevo/create-task": { "name": "Call {{ event.n }}" } })
            ]
        )
    ])
}

/// Plays a history through every door, and says what Brevo holds in the end.
pub fn play(history: &History, tamper: Tamper) -> Observed {
    let mut world = World::with(&setting(history));
    let proxy = (tamper != Tamper::Nothing).then(|| Proxy::before(&world.brevo, tamper));
    if let Some(proxy) = &proxy {
        world.text = world.text.replace(&world.brevo.url(), &proxy.url);
    }
    let host = if history.killed { Serving::apart(&mut world) } else { Serving::here(&world) };
    let mut play = Play { history, host, world, course: Course::default(), running: BTreeSet::new() };
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
    play.host.stop();
    observe(&play.world, history, play.course)
}

struct Play<'a> {
    history: &'a History,
    world: World,
    host: Serving,
    course: Course,
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
        let begins = now + i64::from(phase > 0);
        self.course.begins.push(begins);
        while self.world.now_s() <= begins + latest {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.history.polls {
            for (person, profile) in self.history.profiles[phase].iter().enumerate() {
                if profile.gone {
                    self.world.moengage.remove_user(&format!("m-{person}"));
                } else {
                    self.world.moengage.set_users([wire::user(person, profile)]);
                }
            }
        }
        if let Some(things) = &self.history.things {
            self.show(&things[phase]);
        }
        for (day, bytes) in self.files(phase) {
            let key = format!("{FOLDER}/export_day={day}/event_exports_{phase}.json.gz");
            self.world.bucket.put(&key, bytes);
        }
    }

    fn show(&self, things: &Things) {
        let row = |(id, (title, price)): (&String, &(String, Option<u64>))| {
            let mut row = json!({
                "catalog_id": "catalog-1", "feed_id": "feed-1", "product_id": id, "title": title,
                "creation_date": "2026-05-10T07:03:00.18Z", "last_updated": "2026-05-10T07:03:00.18Z"
            });
            if let Some(price) = price {
                row["price"] = (*price).into();
            }
            row
        };
        let moengage = &self.world.moengage;
        moengage.with_rows(Table::CatalogItems, |rows| *rows = things.products.iter().map(row).collect());
        let campaign = |(n, (name, status)): (&usize, &(String, &'static str))| Campaign {
            name: name.clone(),
            status: (*status).to_owned(),
            ..Campaign::numbered(*n)
        };
        moengage.with_campaigns(|campaigns| *campaigns = things.campaigns.iter().map(campaign).collect());
    }

    fn files(&self, phase: usize) -> BTreeMap<String, Vec<u8>> {
        let mut days: BTreeMap<String, GzEncoder<Vec<u8>>> = BTreeMap::new();
        for (n, event) in self.history.events.iter().enumerate() {
            if event.at.phase != phase || !event.filed || event.code == Code::Campaign {
                continue;
            }
            let at = jiff::Timestamp::from_second(self.course.second(event.at)).unwrap();
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

    fn streamed(&self, n: usize) -> Value {
        wire::streamed(self.history, n, self.course.second(self.history.events[n].at))
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
                backfill(&self.store(), (self.course.begins[0] * 1_000 - 14 * DAY, now + DAY), now);
                self.running.insert(key);
            }
            Step::Poll => self.read("users"),
            Step::Read(resource) => self.read(resource),
            Step::Campaign(n) => {
                let event: &Event = &self.history.events[*n];
                let body = wire::connector_campaign(event, *n, self.course.second(event.at));
                self.post("connector-campaigns", &body);
            }
            Step::Chunk(chunk) => self.chunk(chunk),
            Step::Alert(n) => self.alert(*n),
            Step::Trouble(trouble, times, method, seed) => {
                self.world.brevo.faults().add(rule(*trouble, *times, *method, *seed)).unwrap();
            }
            Step::Restart => self.host.restart(&self.world),
            Step::Kill(point) => {
                let point = point.map(|(name, nth)| format!("{name}:{nth}"));
                self.host.kill(&self.world, point.as_deref());
            }
            Step::Rest => self.rest(),
            Step::Erase(person) => self.erase(*person),
            Step::Unsubscribe(person) => self.unsubscribe(*person),
        }
    }

    fn read(&mut self, resource: &str) {
        let key = resource_key(resource);
        self.over(&key);
        sync(&self.store(), resource, self.world.brevo.now());
        self.running.insert(key);
    }

    fn chunk(&mut self, chunk: &Chunk) {
        self.post("segment-sync", &wire::chunk_body(chunk));
    }

    fn post(&mut self, surface: &str, body: &Value) {
        let body = body.to_string();
        self.host.deliver(&self.world, surface, |url| {
            let answer = ureq::post(url)
                .header("content-type", "application/json")
                .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==") // tajo:hook-secret
                .send(&body);
            answer.is_ok_and(|answer| answer.status() == 200)
        });
    }

    fn alert(&mut self, n: usize) {
        let alert = Alert {
            id: format!("85a1b2c3d4e5f6a7b8c9d{n:03}"),
            name: format!("alert-{n}"),
            triggered_at: (self.course.begins[0] + n as i64) * 1_000,
            ..Alert::new(AlertType::CampaignStats)
        };
        let moengage = &self.world.moengage;
        self.host.deliver(&self.world, "alerts", |url| {
            let alerts = moengage.alerts(AlertTarget::new(url)).unwrap();
            alerts.send(&alert);
            assert!(alerts.wait(PATIENCE));
            alerts.sent()[0].tried.as_ref().unwrap().success
        });
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

    /// The person clicks, where Brevo has somebody to write to.
    fn unsubscribe(&mut self, person: usize) {
        self.rest();
        let brevo = &self.world.brevo;
        let Some(email) = brevo.contact_by_ext_id(&ext_id(person)).and_then(|one| one.email) else { return };
        let at = brevo.now();
        let seq = brevo.journal().entries().map(|entry| entry.seq).max().unwrap_or(0);
        assert!(brevo.unsubscribe_at_brevo(&email, at));
        self.course.clicks.push(Click { person, at, seq });
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
            assert!(Instant::now() < deadline, "not over: {run:?}\n{}", serving::log(&self.world));
            self.host.revive(&self.world);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing is left to be done by itself.
    fn rest(&mut self) {
        for key in self.running.clone() {
            self.over(&key);
        }
        let store = self.store();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (sums, reconciling) = sums(&store);
            if sums.at_rest() && reconciling == 0 {
                assert!(sums.agree(), "{sums:?}");
                return;
            }
            assert!(Instant::now() < deadline, "never at rest: {sums:#?}\n{}", serving::log(&self.world));
            self.host.revive(&self.world);
            std::thread::sleep(Duration::from_millis(10));
        }
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
}
