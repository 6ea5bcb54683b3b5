//! What a measured process runs on: a tenant as in the demo, with clocks at the host's doors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stand_ins::bucket;
use stand_ins::moengage::bulk::Bulk;

use super::BenchError;
use crate::config::{self, Environment, HostConfig};
use crate::connectors::{BUILT_IN, Connector, Plugins};
use crate::contract::{http, objects};
use crate::host::STORE_FILE;
use crate::pipeline::{Guest, Installed, Outside};
use crate::plugin::{Plugin, RuntimeOptions};
use crate::unit::{Outcome, Services, Unit, UnitError};

/// Secret of the webhook.
pub const SECRET: &str = "bench-webhook-secret";

/// The settings of the measured tenant where nothing but webhooks is read, as the connector gets them.
pub const SETTINGS: &str = r#"{"workspace_id":"STANDIN","data_center":"01","environment":"live","keys":{"data":"data"},"webhook":{"auth":"basic","user":"tajo","secret":"webhook"},"sync":{"contacts":true,"events":true,"consent":true}}"#;

/// What stands around the host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Around {
    /// Origin of MoEngage's stand-in, where campaigns are read.
    pub moengage: Option<String>,
    /// Origin of the store of export files, where those are read.
    pub exports: Option<String>,
    /// Host seconds in a real second, and the real time at which both were equal.
    pub time: Option<(f64, i64)>,
}

/// What the campaign key opens beside the list of campaigns, under `sync`.
const OTHERS: [&str; 14] = [
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
];

/// A host of one tenant. Nothing listens at the address of its Brevo; nothing is delivered.
pub fn config(directory: &Path, around: &Around) -> Result<HostConfig, BenchError> {
    let mut connector = json!({
        "enabled": true, "workspace_id": "STANDIN", "data_center": "01", "environment": "live",
        "webhook": { "auth": "basic", "user": "tajo", "secret": "${WEBHOOK}" },
        "sync": { "contacts": true, "events": true, "consent": true },
        "endpoints": {},
    });
    if let Some(origin) = &around.moengage {
        // Campaigns are what is measured; nothing else is read beside them.
        connector["keys"] = json!({ "campaigns": "${CAMPAIGNS}" });
        for other in OTHERS {
            connector["sync"][other] = json!(false);
        }
        connector["endpoints"]["*"] = json!(origin);
    }
    let store = bucket::Options::default();
    if let Some(origin) = &around.exports {
        let files = Bulk::default();
        connector["exports"] = json!({
            "storage": "s3", "bucket": store.bucket, "region": "eu-central-1",
            "access_key_id": store.access_key_id, "secret": "${EXPORTS}",
            "folder": files.folder, "db_name": files.db_name,
        });
        connector["endpoints"]["exports-s3"] = json!(origin);
    }
    let (factor, epoch) = around.time.unwrap_or((1.0, 0));
    // JSON is YAML as well.
    let text = json!({
        "host": {
            "data_dir": "./data", "intake": "127.0.0.1:0", "allow_private_addresses": true,
            "time": { "factor": factor, "epoch": epoch },
        },
        "tenants": [{
            "name": "bench",
            "brevo": { "account": "bench", "api_key": "${BREVO}", "base_url": "http://127.0.0.1:9/v3" },
            "connectors": { "moengage": connector },
        }],
    });
    let secrets = [
        ("BREVO", "bench-brevo-key"),
        ("CAMPAIGNS", "campaigns-key"),
        ("EXPORTS", &store.secret),
        ("WEBHOOK", SECRET),
    ];
    let secrets: BTreeMap<_, _> =
        secrets.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect();
    config::parse(&text.to_string(), directory, &Environment::Given(secrets), BUILT_IN).map_err(|problems| {
        let first = problems.first().map(|one| format!("{}: {}", one.path, one.message));
        BenchError::Worker(first.unwrap_or_default())
    })
}

/// The connector that the host was built with, compiled code from and to a directory.
pub fn plugin(code: &Path) -> Result<Plugin, BenchError> {
    let broken = |error: crate::connectors::ConnectorError| BenchError::Worker(error.to_string());
    let options = RuntimeOptions { cache: Some(code.to_owned()), ..RuntimeOptions::default() };
    let plugins = Plugins::load(&[Connector::embedded().map_err(broken)?], options).map_err(broken)?;
    plugins.get("moengage").cloned().ok_or_else(|| BenchError::Worker("no connector".into()))
}

/// Bytes of the store's file and of its log.
pub fn stored(config: &HostConfig) -> u64 {
    let size = |name: String| std::fs::metadata(config.data_dir.join(name)).map_or(0, |file| file.len());
    size(STORE_FILE.into()) + size(format!("{STORE_FILE}-wal"))
}

/// Nanoseconds at each door, over all units.
#[derive(Default)]
pub struct Spent {
    /// In units as a whole.
    pub units: AtomicU64,
    /// In the call that reads.
    pub read: AtomicU64,
    /// In the calls that map.
    pub map: AtomicU64,
    /// In calls to the vendor.
    pub http: AtomicU64,
    /// Records of the vendor: every row and every event gives one record that is no contact.
    pub records: AtomicU64,
    /// Records of any kind.
    pub objects: AtomicU64,
    /// Actions.
    pub actions: AtomicU64,
    /// Units.
    pub count: AtomicU64,
}

impl Spent {
    /// Where the time of so many nanoseconds went.
    pub fn shares(&self, all: u64) -> super::Shares {
        let part = |nanoseconds: u64| nanoseconds as f64 / all.max(1) as f64;
        let (units, read, map) = (self.units.load(Relaxed), self.read.load(Relaxed), self.map.load(Relaxed));
        let http = self.http.load(Relaxed);
        super::Shares {
            http: part(http),
            parse: part(read.saturating_sub(http)),
            map: part(map),
            store: part(all.saturating_sub(units)),
            host: part(units.saturating_sub(read + map)),
        }
    }
}

/// The same installation with clocks at its doors.
pub fn timed(installed: Installed, spent: &Arc<Spent>) -> Installed {
    let Installed { row, settings, guest, outside } = installed;
    let guest = Arc::new(TimedGuest { guest, spent: spent.clone() });
    let spent = spent.clone();
    let outside = Box::new(move |resource: &str| -> Arc<dyn Outside> {
        Arc::new(TimedOutside { outside: outside(resource), spent: spent.clone() })
    });
    Installed { row, settings, guest, outside }
}

struct TimedGuest {
    guest: Arc<dyn Guest>,
    spent: Arc<Spent>,
}

impl Guest for TimedGuest {
    fn run(&self, unit: &Unit, services: Arc<dyn Services>) -> Result<Outcome, UnitError> {
        let started = Instant::now();
        let result = self.guest.run(unit, services);
        let spent = &self.spent;
        spent.units.fetch_add(nanoseconds(started), Relaxed);
        spent.count.fetch_add(1, Relaxed);
        if let Ok(outcome) = &result {
            spent.read.fetch_add(outcome.cost.read_us * 1_000, Relaxed);
            spent.map.fetch_add(outcome.cost.map_us * 1_000, Relaxed);
            spent.objects.fetch_add(outcome.records.len() as u64, Relaxed);
            let rows = outcome.records.iter().filter(|one| one.record.kind != "contact").count();
            spent.records.fetch_add(rows as u64, Relaxed);
            spent.actions.fetch_add(actions(outcome), Relaxed);
        }
        result
    }
}

/// Actions of all records.
pub fn actions(outcome: &Outcome) -> u64 {
    use crate::contract::Mapping;
    let of = |one: &crate::unit::MappedRecord| match &one.mapping {
        Ok(Mapping::Actions(actions)) => actions.len() as u64,
        _ => 0,
    };
    outcome.records.iter().map(of).sum()
}

struct TimedOutside {
    outside: Arc<dyn Outside>,
    spent: Arc<Spent>,
}

impl TimedOutside {
    fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = call();
        self.spent.http.fetch_add(nanoseconds(started), Relaxed);
        result
    }
}

impl Outside for TimedOutside {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        self.timed(|| self.outside.http(request))
    }

    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error> {
        self.timed(|| self.outside.object_open(endpoint, path, etag))
    }

    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        self.timed(|| self.outside.object_read(endpoint, path, etag, offset, length))
    }
}

/// Since then.
pub fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
