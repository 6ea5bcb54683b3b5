//! A host in this process with both vendors and a bucket around it, over real sockets, with all
//! doors of the connector: Streams, export files, campaigns, Get User. The test moves the units.
#![allow(dead_code)] // each test file uses its own part

#[path = "../described/brevo.rs"]
pub mod vendor;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use host_harness::config::{self, Environment, HostConfig};
use host_harness::connectors::{BUILT_IN, Connector};
use host_harness::host::{Host, STORE_FILE, Units};
use host_harness::operate::accounting::{Sums, reconciling};
use host_harness::store::installations::{self, InstallationId};
use host_harness::store::runs::{self, Run};
use host_harness::store::{Store, StoreError};
use serde_json::{Value, json};
use stand_ins::brevo;
use stand_ins::bucket::{self, Bucket, Storage};
use stand_ins::clock::Scale;
use stand_ins::moengage::{self, MoEngage};
use vendor::Checked;

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const WORKSPACE: &str = "STANDIN";
pub const FOLDER: &str = "events_acme";
pub const DB_NAME: &str = "Acme";
const REGION: &str = "eu-central-1";

/// What is read by default beside campaigns, and not in the plain world.
pub const LISTS: [&str; 18] = [
    "segments",
    "campaign_stats",
    "campaign_children",
    "flows",
    "flow_versions",
    "email_templates_v1",
    "email_templates",
    "sms_templates",
    "push_templates",
    "on_site_templates",
    "in_app_templates",
    "content_blocks",
    "business_events",
    "offers",
    "locales",
    "subscription_categories",
    "coupon_lists",
    "file_imports",
];

/// How a world differs from the plain one.
pub struct Setting {
    /// Host seconds in a real second.
    pub factor: f64,
    /// Under `connectors.moengage.options`.
    pub options: Value,
    /// Under `connectors.moengage.sync`.
    pub sync: Value,
    /// What holds the export files.
    pub storage: Storage,
    /// Under `connectors.moengage`, beside the rest or in its place.
    pub more: Value,
    /// Whether MoEngage's stand-in keeps whole exchanges.
    pub record_exchanges: bool,
    /// The account at Brevo, but for its clock.
    pub brevo: brevo::Options,
    /// Under `brevo.imports_from`.
    pub imports_from: Option<usize>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            factor: 600.0,
            options: json!({ "profile_refresh": "1h" }),
            sync: Value::Object(LISTS.iter().map(|list| ((*list).to_owned(), json!(false))).collect()),
            storage: Storage::S3 { region: REGION.into() },
            more: json!({}),
            record_exchanges: false,
            brevo: brevo::Options::default(),
            imports_from: None,
        }
    }
}

/// The vendors, and the configuration of a host between them.
pub struct World {
    pub brevo: Checked,
    pub moengage: MoEngage,
    pub bucket: Bucket,
    pub directory: tempfile::TempDir,
    pub scale: Scale,
    pub text: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(&Setting::default())
    }

    pub fn with(setting: &Setting) -> Self {
        let scale = Scale::from_now(setting.factor);
        let brevo = Checked::start(brevo::Options { scale, ..setting.brevo.clone() });
        let record_exchanges = setting.record_exchanges;
        let options =
            moengage::Options { scale, campaigns: 0, record_exchanges, ..moengage::Options::default() };
        assert_eq!(options.workspace_id, WORKSPACE);
        let moengage = MoEngage::start(options).unwrap();
        let storage = setting.storage.clone();
        let bucket = Bucket::start(bucket::Options { scale, storage, ..bucket::Options::default() }).unwrap();
        let (endpoint, exports) = exports(bucket.options());
        let vendor = moengage.url();
        let mut connector = json!({
            "enabled": true, "workspace_id": WORKSPACE, "data_center": "01", "environment": "live",
            "keys": {
                "data": "${DATA_KEY}", "campaigns": "${CAMPAIGNS_KEY}", "segmentation": "${SEGMENTATION_KEY}"
            },
            "webhook": { "auth": "basic", "user": "tajo", "secret": "${HOOK}" },
            "exports": exports,
            "field_mapping": { "plan": "PLAN" },
            "options": setting.options,
            "sync": setting.sync,
            "endpoints": { "*": vendor, endpoint: bucket.url() }
        });
        connector.as_object_mut().unwrap().extend(setting.more.as_object().unwrap().clone());
        // JSON is YAML as well.
        let text = json!({
            "host": {
                "data_dir": "./data", "intake": "127.0.0.1:0", "allow_private_addresses": true,
                "time": { "factor": scale.factor, "epoch": scale.epoch_ms }
            },
            "tenants": [{
                "name": "shop",
                "brevo": {
                    "account": "shop", "api_key": "${BREVO}",
                    "base_url": format!("{}/v3", brevo.url()), "create_attributes": true,
                    "imports_from": setting.imports_from
                },
                "connectors": { "moengage": connector }
            }]
        });
        let directory = tempfile::tempdir().unwrap();
        Self { brevo, moengage, bucket, directory, scale, text: text.to_string() }
    }

    /// What the configuration refers to.
    pub fn secrets(&self) -> [(&'static str, String); 6] {
        [
            ("BREVO", self.brevo.api_key().to_owned()),
            ("DATA_KEY", "data-key".to_owned()),
            ("CAMPAIGNS_KEY", "campaigns-key".to_owned()),
            ("SEGMENTATION_KEY", "segmentation-key".to_owned()),
            ("EXPORTS", self.bucket.options().secret.clone()),
            ("HOOK", "hook-secret".to_owned()),
        ]
    }

    pub fn config(&self) -> HostConfig {
        let given: BTreeMap<_, _> =
            self.secrets().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let environment = Environment::Given(given);
        config::parse(&self.text, self.directory.path(), &environment, BUILT_IN)
            .unwrap_or_else(|problems| panic!("{problems:#?}\n{}", self.text))
    }

    /// A host that takes in, works and delivers by itself.
    pub fn serve(&self) -> Host {
        let config = self.config();
        Host::start(&config, &Connector::all(&config).unwrap()).unwrap()
    }

    /// A host whose units the test moves.
    pub fn units(&self) -> Units {
        let config = self.config();
        Units::open(&config, &Connector::all(&config).unwrap()).unwrap()
    }

    pub fn store_path(&self) -> PathBuf {
        self.directory.path().join("data").join(STORE_FILE)
    }

    pub fn store(&self) -> Store {
        Store::attach(&self.store_path()).unwrap()
    }

    /// Host time in seconds.
    pub fn now_s(&self) -> i64 {
        self.brevo.now() / 1_000
    }

    /// Sums, once nothing is left to be done by itself.
    pub fn rest(&self) -> Sums {
        let store = self.store();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (sums, reconciling) = sums(&store);
            if sums.at_rest() && reconciling == 0 {
                assert!(sums.agree(), "{sums:?}");
                return sums;
            }
            assert!(Instant::now() < deadline, "never at rest: {sums:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Nothing of what was sent is against the vendors' documents, and nobody was re-subscribed.
    pub fn assert_clean(&self) {
        assert_eq!(self.brevo.violations(), []);
        assert_eq!(self.moengage.violations(), []);
        assert_eq!(self.bucket.violations(), []);
        assert!(self.brevo.resubscriptions().is_empty(), "{:?}", self.brevo.resubscriptions());
    }
}

/// The endpoint that a store is reached by, and the settings for it.
fn exports(store: &bucket::Options) -> (&'static str, Value) {
    let (endpoint, mut settings) = match &store.storage {
        Storage::S3 { region } => (
            "exports-s3",
            json!({ "storage": "s3", "bucket": store.bucket, "region": region, "access_key_id": store.access_key_id }),
        ),
        Storage::Gcs => (
            "exports-gcs",
            json!({ "storage": "gcs", "bucket": store.bucket, "access_key_id": store.access_key_id }),
        ),
        Storage::Https => ("exports-https", json!({ "storage": "https", "user": store.access_key_id })),
    };
    let common = json!({ "secret": "${EXPORTS}", "folder": FOLDER, "db_name": DB_NAME });
    settings.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
    (endpoint, settings)
}

pub fn installation(store: &Store) -> InstallationId {
    store.read::<_, StoreError>(|tx| Ok(installations::all(tx)?[0].id)).unwrap()
}

pub fn sums(store: &Store) -> (Sums, i64) {
    let id = installation(store);
    store.read::<_, StoreError>(|tx| Ok((Sums::of(tx, id)?, reconciling(tx, id)?))).unwrap()
}

/// Asks for a resource to be read now.
pub fn sync(store: &Store, resource: &str, now: i64) {
    let id = installation(store);
    store.write::<_, StoreError>(|tx| runs::sync_now(tx, id, resource, now)).unwrap();
}

/// Begins a backfill of the export files.
pub fn backfill(store: &Store, window: (i64, i64), now: i64) {
    let id = installation(store);
    let begun = store
        .write::<_, StoreError>(|tx| runs::begin_backfill(tx, id, "event-exports", window, now))
        .unwrap();
    assert_eq!(begun, Ok(()));
}

/// How a run stands.
pub fn run(store: &Store, key: &str) -> Run {
    let id = installation(store);
    store.read::<_, StoreError>(|tx| runs::get(tx, id, key)).unwrap().expect("no such run")
}

/// Does units until a run is over.
pub fn finish(units: &Units, key: &str) -> Run {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let run = run(units.store(), key);
        if run.is_over() {
            return run;
        }
        assert!(Instant::now() < deadline, "not over: {run:?}");
        if matches!(units.step().unwrap(), host_harness::pipeline::Step::Idle(_)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
