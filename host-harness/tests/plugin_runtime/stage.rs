//! What the tests of the runtime share: a manifest, short limits, units, and what imports reach.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use host_harness::contract::{PageRequest, Position, WebhookRequest, http, objects, storage};
use host_harness::manifest::Manifest;
use host_harness::plugin::limits::Limits;
use host_harness::plugin::{ConfigureError, Plugin, Runtime, RuntimeOptions};
use host_harness::unit::{Outcome, Services, Unit, UnitError, Work};

use crate::guests;

pub const NOW: i64 = 1_764_000_000_000;

pub const MANIFEST: &str = r#"{
    "connector": "example", "contract": "0.1.0",
    "endpoints": { "api": { "origin": "https://api.example.com", "methods": ["GET"], "paths": ["/"],
        "auth": { "bearer": { "slot": "key" } }, "purpose": "Reads contacts." } },
    "inbound": { "bearer": { "bearer": { "slot": "key" } } }
}"#;

/// Time enough for a guest that behaves on a busy machine, little enough to wait for one that
/// doesn't.
pub fn options() -> RuntimeOptions {
    let limits =
        Limits { wall: Duration::from_secs(4), map_wall: Duration::from_millis(700), ..Limits::DEFAULT };
    RuntimeOptions { limits, ..RuntimeOptions::default() }
}

pub fn manifest() -> Manifest {
    Manifest::parse(MANIFEST).unwrap()
}

/// The guest under the limits of [`options`]; compiled once for all tests.
pub fn load(name: &str) -> Plugin {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(options()).unwrap());
    static LOADED: Mutex<BTreeMap<String, Plugin>> = Mutex::new(BTreeMap::new());
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plugin) = loaded.get(name) {
        return plugin.clone();
    }
    let plugin = RUNTIME.load(&guests::component(name), &manifest());
    let plugin = plugin.unwrap_or_else(|e| panic!("{name}: {e}"));
    loaded.insert(name.to_owned(), plugin.clone());
    plugin
}

/// The guest under limits of its own.
pub fn load_under(limits: Limits, name: &str) -> Plugin {
    let runtime = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
    runtime.load(&guests::component(name), &manifest()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

pub fn webhook(body: &str) -> Unit {
    webhook_with("{}", body)
}

pub fn webhook_with(settings: &str, body: &str) -> Unit {
    let request = WebhookRequest {
        settings: settings.into(),
        surface: "push".into(),
        body: body.into(),
        headers: vec![],
        received_at: NOW,
    };
    Unit { settings: settings.into(), now: NOW, work: Work::Webhook(request) }
}

pub fn page(settings: &str, resource: &str, position: Position) -> Unit {
    let request =
        PageRequest { settings: settings.into(), resource: resource.into(), position, budget: 2, now: NOW };
    Unit { settings: settings.into(), now: NOW, work: Work::Page(request) }
}

/// A snapshot of plugin storage, and nothing else.
#[derive(Default)]
pub struct Snapshot {
    pub entries: Mutex<BTreeMap<String, (Vec<u8>, u64)>>,
    /// Everything, where nothing is said.
    pub room: Option<u64>,
}

impl Services for Snapshot {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn storage_get(&self, key: &str) -> Option<storage::Entry> {
        let entries = self.entries.lock().unwrap();
        entries.get(key).map(|(value, version)| storage::Entry { value: value.clone(), version: *version })
    }
    fn storage_list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        let keys = entries.keys().filter(|key| key.starts_with(prefix));
        keys.filter(|key| after.is_none_or(|after| key.as_str() > after)).take(limit).cloned().collect()
    }
    fn storage_room(&self) -> u64 {
        self.room.unwrap_or(u64::MAX)
    }
}

/// A vendor that answers everything, with bodies of this size, after this long.
pub struct Generous {
    pub size: usize,
    pub delay: Duration,
}

impl Services for Generous {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        assert!(request.timeout_ms.unwrap() <= 4_000, "clamped to what is left of the unit");
        std::thread::sleep(self.delay);
        Ok(http::Response { status: 200, headers: vec![], body: vec![0; self.size] })
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Ok(objects::Object { etag: "etag".into(), size: 1 << 40 })
    }
    fn object_read(
        &self,
        _: &str,
        _: &[String],
        _: &str,
        _: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        assert!(length <= 4 << 20);
        Ok(vec![0; self.size])
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        vec![]
    }
}

pub fn run(plugin: &Plugin, unit: &Unit) -> Result<Outcome, UnitError> {
    plugin.run(unit, Arc::new(Snapshot::default()))
}

pub fn fault(result: Result<Outcome, UnitError>) -> (String, String) {
    match result {
        Err(UnitError::Fault { code, message }) => (code, message),
        other => panic!("not a fault: {other:?}"),
    }
}

/// The same plugin, and the same engine, go on with ordinary work.
#[track_caller]
pub fn goes_on(plugin: &Plugin) {
    let outcome = run(plugin, &webhook("one\ntwo")).unwrap();
    assert_eq!(outcome.records.len(), 2);
    assert!(outcome.records.iter().all(|mapped| mapped.mapping.is_ok()));
}

/// The fault of a guest that does not even get through its start.
pub fn start_fault(plugin: &Plugin) -> String {
    match plugin.configure("{}") {
        Err(ConfigureError::Fault { code, .. }) => code,
        other => panic!("not a fault: {other:?}"),
    }
}
