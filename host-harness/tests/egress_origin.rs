//! An endpoint that only the operator can place: a profile may use it, `check` says that it is not
//! placed, and a configuration places it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod guests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use host_harness::config::{self, ConnectorConfig, Environment};
use host_harness::contract::{http, objects, storage};
use host_harness::manifest::Manifest;
use host_harness::operate::check::{Probe, Result as Ended, probes};
use host_harness::plugin::{Runtime, RuntimeOptions};
use host_harness::unit::Services;

const MANIFEST: &str = r#"{
    "connector": "example", "contract": "0.1.0",
    "endpoints": { "api": { "methods": ["GET"], "paths": ["/"],
        "auth": { "bearer": { "slot": "key" } }, "purpose": "Reads contacts." } },
    "inbound": { "bearer": { "bearer": { "slot": "key" } } }
}"#;

fn connector(block: &str) -> ConnectorConfig {
    let text = format!(
        "host:\n  data_dir: ./data\n  intake: 127.0.0.1:0\ntenants:\n  - name: shop\n    brevo:\n      \
         account: main\n      api_key: \"${{KEY}}\"\n    connectors:\n      example:\n{block}"
    );
    let environment = Environment::Given(BTreeMap::from([("KEY".into(), "k".into())]));
    let config = config::parse(&text, Path::new("/etc/tajo"), &environment, &["example"]).unwrap();
    config.tenants[0].connectors[0].clone()
}

/// No vendor answers.
struct Nothing;

impl Services for Nothing {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(none())
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(none())
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(none())
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }
}

fn none() -> http::Error {
    http::Error {
        kind: http::ErrorKind::Unreachable,
        code: "unreachable".into(),
        message: "no connection".into(),
        request_sent: false,
        retry_after_ms: None,
    }
}

#[test]
fn check_shows_an_endpoint_that_nobody_has_placed() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
    let plugin = runtime.load(&guests::component("calm"), &manifest).unwrap();
    let found = |block: &str| -> Vec<Probe> {
        let config = connector(block);
        let profile = plugin.configure(&config.settings_json).unwrap();
        assert!(profile.resources.iter().any(|resource| resource.endpoint == "api"));
        let mut probes = probes(&plugin, &config, &profile, &|_| Arc::new(Nothing), 0);
        probes.retain(|probe| probe.name == "api");
        probes
    };
    let missing = found("        key: \"${KEY}\"\n");
    assert_eq!(missing.len(), 1, "once, however many resources use it");
    let probe = &missing[0];
    assert_eq!((probe.result, probe.code.as_deref()), (Ended::Refused, Some("endpoint-needs-origin")));
    assert_eq!(probe.actor, Some("operator"));
    assert!(probe.remedy.as_ref().unwrap().contains("api: \"https://host\""), "{probe:?}");
    let placed = "        key: \"${KEY}\"\n        endpoints:\n          api: https://files.example.com\n";
    assert_eq!(found(placed), []);
}

#[test]
fn the_secret_of_export_files_fills_their_slot_and_their_key_id_is_no_secret() {
    let config = connector(
        "        exports:\n          storage: s3\n          access_key_id: AKIA1\n          secret: \"${KEY}\"\n",
    );
    assert_eq!(config.slots.keys().collect::<Vec<_>>(), ["exports"]);
    let settings: serde_json::Value = serde_json::from_str(&config.settings_json).unwrap();
    assert_eq!(settings["exports"]["access_key_id"], "AKIA1");
    assert_eq!(settings["exports"]["secret"], "exports");
}
