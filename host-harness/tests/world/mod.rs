//! A whole host in this process, between real sockets: webhooks in, Brevo's stand-in out.
#![allow(dead_code)] // each test file uses its part

#[path = "../described/brevo.rs"]
mod vendor;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use host_harness::config::{self, Environment, HostConfig};
use host_harness::connectors::{BUILT_IN, Connector};
use host_harness::host::{Host, STORE_FILE};
use host_harness::operate::accounting::{Sums, reconciling};
use host_harness::store::{Store, StoreError, installations};
use serde_json::{Value, json};
use stand_ins::brevo::Options;
use stand_ins::clock::Scale;
use vendor::Checked;

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const MOENGAGE: &str = r#"
      moengage:
        enabled: true
        workspace_id: "ABC123"
        data_center: "01"
        environment: live
        webhook: { auth: basic, user: tajo, secret: "${HOOK}" }
        field_mapping: { plan: PLAN }
"#;

/// A host with one tenant, and its Brevo.
pub struct World {
    host: Option<Host>,
    pub brevo: Checked,
    directory: tempfile::TempDir,
    config: HostConfig,
}

impl World {
    pub fn start(components: &str, connectors: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), components, connectors)
    }

    pub fn start_in(directory: tempfile::TempDir, components: &str, connectors: &str) -> Self {
        let scale = Scale::from_now(120.0);
        let brevo = Checked::start(Options { scale, ..Options::default() });
        let text = format!(
            "host:\n  data_dir: ./data\n  intake: 127.0.0.1:0\n  allow_private_addresses: true\n  time: {{ factor: {}, epoch: {} }}\n{components}tenants:\n  - name: shop\n    brevo: {{ account: shop, api_key: \"${{BREVO}}\", base_url: \"{}/v3\", create_attributes: true }}\n    connectors:{connectors}",
            scale.factor,
            scale.epoch_ms,
            brevo.url()
        );
        let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned().into());
        let environment = Environment::Given(BTreeMap::from([
            secret("BREVO", brevo.api_key()),
            secret("HOOK", "hook-secret"),
            secret("PEBBLE", "pebble-token"),
        ]));
        let config = config::parse(&text, directory.path(), &environment, BUILT_IN)
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        let host = Host::start(&config, &Connector::all(&config).unwrap()).unwrap();
        Self { host: Some(host), brevo, directory, config }
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    pub fn restarted(mut self) -> Self {
        self.host.take().unwrap().stop();
        self.host = Some(Host::start(&self.config, &Connector::all(&self.config).unwrap()).unwrap());
        self
    }

    pub fn post(&self, surface: &str, header: (&str, &str), body: &Value) -> u16 {
        let host = self.host.as_ref().unwrap();
        let address = host.addresses().iter().find(|address| address.surface == surface).unwrap();
        let url = format!("http://{}{}", host.listening().unwrap(), address.path);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent
            .post(url)
            .header("content-type", "application/json")
            .header(header.0, header.1)
            .send(body.to_string())
            .unwrap()
            .status()
            .as_u16()
    }

    /// Pushes Streams events, and waits until everything is at rest.
    pub fn push(&self, events: &[Value]) {
        // tajo:hook-secret
        let basic = ("authorization", "Basic dGFqbzpob29rLXNlY3JldA==");
        let body = json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events });
        assert_eq!(self.post("streams", basic, &body), 200);
        self.rest();
    }

    pub fn sums(&self) -> (Sums, i64) {
        let store = Store::attach(&self.directory.path().join("data").join(STORE_FILE)).unwrap();
        store
            .read::<_, StoreError>(|tx| {
                let id = installations::all(tx)?[0].id;
                Ok((Sums::of(tx, id)?, reconciling(tx, id)?))
            })
            .unwrap()
    }

    pub fn rest(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (sums, reconciling) = self.sums();
            if sums.at_rest() && reconciling == 0 {
                assert!(sums.agree(), "{sums:?}");
                return;
            }
            assert!(Instant::now() < deadline, "never at rest: {sums:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn now_s(&self) -> i64 {
        self.brevo.now() / 1_000
    }

    pub fn letters(&self) -> Vec<String> {
        self.sums().0.dead_letters.into_keys().collect()
    }

    /// Nothing of what was sent is against Brevo's documents, and nobody was re-subscribed.
    pub fn assert_clean(&self) {
        assert_eq!(self.brevo.violations(), []);
        assert_eq!(self.brevo.ignored_attributes(), Vec::<String>::new());
        assert!(self.brevo.resubscriptions().is_empty(), "{:?}", self.brevo.resubscriptions());
    }
}

/// An open of Ann's, so old, with attributes of hers.
pub fn event(world: &World, uuid: &str, age_s: i64, attributes: Value) -> Value {
    let mut user = json!({ "moengage_user_id": "m-ann", "u_em": "ann@example.com" });
    user.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    json!({
        "event_name": "Email Opened", "event_code": "MOE_EMAIL_OPEN", "event_uuid": uuid,
        "event_time": world.now_s() - age_s, "event_type": "CAMPAIGN_EVENT", "event_source": "MOENGAGE",
        "email_id": "ann@example.com", "uid": "ann-1", "event_attributes": { "campaign_name": "Autumn" },
        "user_attributes": user, "device_attributes": {},
    })
}

/// A tenant with MoEngage alone.
pub fn moengage() -> World {
    World::start("", MOENGAGE)
}
