//! One tenant's settings, the vendors around them, and a host that can be stopped and started again.

use std::time::{Duration, Instant};

use host_harness::host::Host;
use host_harness::operate::accounting::{Sums, reconciling};
use host_harness::operate::dead_letters::{self, Entry, Selection};
use host_harness::operate::status::Status;
use host_harness::store::outbox::State;
use host_harness::store::runs::{Run, backfill_key, resource_key};
use host_harness::store::{StoreError, installations};
use serde_json::{Value, json};
use stand_ins::brevo;
use stand_ins::bucket::{self, Bucket, Storage};
use stand_ins::clock::{Scale, rfc3339};
use stand_ins::faults::Rule;
use stand_ins::moengage::{self, MoEngage};

use super::sources::{self, DB_NAME, FOLDER, LISTS, PATIENCE, WORKSPACE, World, vendor::Checked};

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
const EXPORTS: &str = "event-exports";
const REGION: &str = "eu-central-1";

pub struct Stage {
    pub world: World,
    host: Option<Host>,
}

/// What differs from a plain stage.
pub struct Plan {
    /// Host seconds in a real second.
    pub factor: f64,
    pub brevo: brevo::Options,
    /// Lists that are read, by their names under `sync`.
    pub reads: &'static [&'static str],
    /// Further tenants, as elements of `tenants`; `{brevo}` stands for the block of the account.
    pub tenants: &'static str,
    /// Faults of Brevo from the beginning.
    pub faults: Vec<Rule>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { factor: 300.0, brevo: brevo::Options::default(), reads: &[], tenants: "", faults: Vec::new() }
    }
}

impl Stage {
    pub fn new(settings: &str) -> Self {
        Self::with(settings, Plan::default())
    }

    /// `settings` stands below `connectors.moengage`.
    pub fn with(settings: &str, plan: Plan) -> Self {
        let scale = Scale::from_now(plan.factor);
        let brevo = Checked::start(brevo::Options { scale, ..plan.brevo.clone() });
        for rule in &plan.faults {
            brevo.faults().add(rule.clone()).unwrap();
        }
        let moengage =
            MoEngage::start(moengage::Options { scale, campaigns: 0, ..moengage::Options::default() })
                .unwrap();
        let storage = Storage::S3 { region: REGION.into() };
        let bucket = Bucket::start(bucket::Options { scale, storage, ..bucket::Options::default() }).unwrap();
        let text = text(settings, &plan, &scale, &brevo, &moengage, &bucket);
        let directory = tempfile::tempdir().unwrap();
        let world = World { brevo, moengage, bucket, directory, scale, text };
        let host = Some(world.serve());
        Self { world, host }
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    pub fn stop(&mut self) {
        self.host.take().unwrap().stop();
    }

    pub fn start(&mut self) {
        self.host = Some(self.world.serve());
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Where a tenant's vendor pushes to.
    pub fn url(&self, tenant: &str, surface: &str) -> String {
        let of = |one: &&host_harness::host::WebhookAddress| one.tenant == tenant && one.surface == surface;
        let address = self.host().addresses().iter().find(of).unwrap();
        format!("http://{}{}", self.host().listening().unwrap(), address.path)
    }

    /// Pushes Streams events, and waits until everything is at rest.
    pub fn push(&self, events: &[Value]) -> Sums {
        self.push_to("shop", events);
        self.rest()
    }

    pub fn push_to(&self, tenant: &str, events: &[Value]) {
        let body = json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
        let answer = ureq::post(self.url(tenant, "streams"))
            .header("content-type", "application/json")
            .header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==") // tajo:hook-secret
            .send(body.to_string())
            .unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// The first tenant's sums, once nothing of any tenant is left to be done by itself.
    pub fn rest(&self) -> Sums {
        let store = self.world.store();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all: Vec<(Sums, i64)> = store
                .read::<_, StoreError>(|tx| {
                    let rows = installations::all(tx)?;
                    rows.iter().map(|row| Ok((Sums::of(tx, row.id)?, reconciling(tx, row.id)?))).collect()
                })
                .unwrap();
            if all.iter().all(|(sums, reconciling)| sums.at_rest() && *reconciling == 0) {
                assert!(all.iter().all(|(sums, _)| sums.agree()), "{all:?}");
                return all.into_iter().next().unwrap().0;
            }
            assert!(Instant::now() < deadline, "never at rest: {all:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}\n{:#?}", sources::sums(&self.world.store()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reads a resource now, to its end.
    pub fn read(&self, resource: &str) -> Sums {
        let store = self.world.store();
        sources::sync(&store, resource, self.world.brevo.now());
        self.finish(&resource_key(resource));
        self.rest()
    }

    /// Waits until a run is complete.
    pub fn finish(&self, key: &str) -> Run {
        let store = self.world.store();
        self.until(key, || sources::run(&store, key).is_over());
        let run = sources::run(&store, key);
        assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
        run
    }

    /// State and code of the actions of a name, in the order in which they were called for.
    pub fn ends(&self, name: &str) -> Vec<(State, Option<String>)> {
        let rows: Vec<(i64, Option<String>)> = self
            .world
            .store()
            .read::<_, StoreError>(|tx| {
                let mut rows = tx.prepare("SELECT state, code FROM action WHERE name = ?1 ORDER BY id")?;
                let rows = rows.query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .unwrap();
        rows.into_iter().map(|(state, code)| (State::from_number(state).unwrap(), code)).collect()
    }

    /// Open dead letters, as an operator sees them.
    pub fn letters(&self) -> Vec<Entry> {
        self.world
            .store()
            .read::<_, StoreError>(|tx| dead_letters::list(tx, Selection::default(), 1_000))
            .unwrap()
    }

    pub fn status(&self) -> Status {
        let now = self.world.brevo.now();
        self.world.store().read::<_, StoreError>(|tx| Status::of(tx, now)).unwrap()
    }

    /// Calls of one kind that Brevo got.
    pub fn calls(&self, method: &str, path: &str) -> usize {
        self.world.brevo.journal().of(method, path).count()
    }

    /// Puts events into one export file of today.
    pub fn export(&self, events: &[Value]) {
        let text = rfc3339(self.world.now_s() * 1_000);
        let (day, hour) = (&text[0..10], &text[11..13]);
        let line = |event: &Value| {
            let line = json!({
                "app_name": "a", "db_name": DB_NAME, "export_day": day, "export_hour": hour, "event": event
            });
            format!("{line}\n")
        };
        let lines: String = events.iter().map(line).collect();
        let key = format!("{FOLDER}/export_day={day}/event_exports_{:032x}.json.gz", events.len());
        self.world.bucket.put(&key, moengage::gzip(lines.as_bytes()));
    }

    /// Reads the export files of the last days while the host works.
    pub fn backfill(&self) -> Run {
        let now = self.world.brevo.now();
        sources::backfill(&self.world.store(), window(now), now);
        self.finish(&backfill_key(EXPORTS))
    }

    /// Reads them while no host is serving: what comes of it waits for the next one.
    pub fn backfill_stopped(&self) -> Run {
        assert!(self.host.is_none());
        let units = self.world.units();
        sources::backfill(units.store(), window(units.now()), units.now());
        let run = sources::finish(&units, &backfill_key(EXPORTS));
        assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
        run
    }
}

/// The last five days.
fn window(now: i64) -> (i64, i64) {
    (now - 5 * DAY * 1_000, now + 1_000)
}

fn text(
    settings: &str,
    plan: &Plan,
    scale: &Scale,
    brevo: &Checked,
    moengage: &MoEngage,
    bucket: &Bucket,
) -> String {
    let read = |list: &str| plan.reads.contains(&list);
    let sync: Vec<_> =
        LISTS.iter().chain(&["campaigns"]).map(|list| format!("{list}: {}", read(list))).collect();
    let account = format!(
        "{{ account: shop, api_key: \"${{BREVO}}\", base_url: \"{}/v3\", create_attributes: true }}",
        brevo.url()
    );
    let own: String = settings.lines().map(|line| format!("        {line}\n")).collect();
    let store = bucket.options();
    format!(
        r#"
host:
  data_dir: ./data
  intake: 127.0.0.1:0
  allow_private_addresses: true
  time: {{ factor: {factor}, epoch: {epoch} }}
tenants:
  - name: shop
    brevo: {account}
    connectors:
      moengage:
        enabled: true
        workspace_id: {WORKSPACE}
        data_center: "01"
        environment: live
        keys: {{ data: "${{DATA_KEY}}", campaigns: "${{CAMPAIGNS_KEY}}" }}
        webhook: {{ auth: basic, user: tajo, secret: "${{HOOK}}" }}
        exports:
          storage: s3
          bucket: {bucket}
          region: {REGION}
          access_key_id: {key}
          secret: "${{EXPORTS}}"
          folder: {FOLDER}
          db_name: {DB_NAME}
        sync: {{ {sync} }}
        endpoints: {{ "*": "{vendor}", exports-s3: "{files}" }}
{own}{tenants}"#,
        factor = scale.factor,
        epoch = scale.epoch_ms,
        bucket = store.bucket,
        key = store.access_key_id,
        sync = sync.join(", "),
        vendor = moengage.url(),
        files = bucket.url(),
        tenants = plan.tenants.replace("{brevo}", &account),
    )
}

/// Somebody at MoEngage, who may be written to unless the attributes say otherwise.
pub fn happened(
    stage: &Stage,
    uuid: &str,
    code: &str,
    who: &str,
    age_s: i64,
    event: Value,
    user: Value,
) -> Value {
    let email = format!("{who}@example.com");
    let mut attributes =
        json!({ "moengage_user_id": format!("m-{who}"), "u_em": email, "moe_unsubscribe": false });
    attributes.as_object_mut().unwrap().extend(user.as_object().unwrap().clone());
    json!({
        "event_name": code, "event_code": code, "event_uuid": uuid, "event_time": stage.world.now_s() - age_s,
        "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE", "email_id": attributes["u_em"],
        "uid": who, "event_attributes": event, "user_attributes": attributes, "device_attributes": {},
    })
}

pub fn delivered() -> (State, Option<String>) {
    (State::Delivered, None)
}
