//! Campaign reports, as a manifest can grant them: signed by the parametric digest, against the
//! stand-in that checks the signature by code of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rates;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host_harness::contract::http::Error;
use host_harness::egress::Access;
use host_harness::egress::spool::Spool;
use host_harness::egress::transport::network;
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use host_harness::world::{SystemClock, SystemRandom, TimeScale, World};
use rates::Rates;
use serde_json::json;
use stand_ins::moengage::{MoEngage, Options, Report, zip};

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
    "endpoints": { "reports": { "origin": "https://api-{data_center}.moengage.com",
        "variables": { "data_center": { "enum": ["01", "02"] } },
        "methods": ["GET"], "paths": ["/campaign_reports/rest_api/{workspace_id}"], "headers": [],
        "auth": { "digest": { "hash": "sha256", "slot": "campaigns", "encoding": "hex", "header": "signature",
            "parts": [ { "setting": "workspace_id" }, { "literal": "|" }, { "path": "last" },
                       { "literal": "|" }, "slot" ] } },
        "purpose": "Reads reports." } } }"#;

struct Bench {
    moengage: MoEngage,
    access: Arc<Access>,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new(key: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let moengage = MoEngage::start(Options::default()).unwrap();
        let access = Arc::new(Access {
            installation: "i1".into(),
            manifest: Manifest::parse(MANIFEST).unwrap(),
            settings: json!({ "data_center": "01", "workspace_id": "STANDIN" }),
            overrides: BTreeMap::from([("reports".into(), moengage.url())]),
            allow_private: true,
            secrets: Arc::new(SlotSecrets::new().with("campaigns", [key.to_owned().into()])),
            rates: Arc::new(Rates::default()),
            spool: Some(Spool::new(home.path())),
            world: World {
                clock: Arc::new(SystemClock::new(TimeScale::REAL)),
                random: Arc::new(SystemRandom),
                transport: network(),
            },
        });
        Self { moengage, access, _home: home }
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        let created_at = self.moengage.now();
        self.moengage.with_reports(|files| files.insert(name.to_owned(), Report { bytes, created_at }));
    }

    fn read(&self, path: &[&str]) -> Result<String, Error> {
        let unit = self.access.unit("reports", &[], Duration::from_secs(30));
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let object = unit.object_open("reports", &path, None)?;
        let content = unit.object_read("reports", &path, &object.etag, 0, 1 << 20)?;
        assert_eq!(content.len() as u64, object.size);
        Ok(String::from_utf8(content).unwrap())
    }

    fn report(&self, name: &str) -> Result<String, Error> {
        self.read(&["campaign_reports", "rest_api", "STANDIN", name])
    }
}

#[test]
fn a_report_is_had_by_the_digest_of_its_name_zipped_or_not() {
    let bench = Bench::new("campaigns-key");
    for name in ["Report_test_20261120.zip", "Report_test_20261120.csv.gz"] {
        assert!(bench.report(name).unwrap().starts_with("campaign_id,campaign_name,day"), "{name}");
    }
    // The name is digested as it is, and escaped only on the wire.
    for name in ["Report - test_20210217.zip", "Bericht_für_ä_100%_20210217.zip", "a|b+c_20210217.zip"] {
        bench.put(name, zip([("Report.csv", &b"a,b\n"[..])]));
        assert_eq!(bench.report(name).unwrap(), "a,b\n", "{name}");
    }
    assert!(bench.moengage.violations().is_empty(), "{:?}", bench.moengage.violations());
}

#[test]
fn what_is_refused_has_a_code_and_never_a_key() {
    let bench = Bench::new("another-key");
    let refused = bench.report("Report_test_20261120.zip").unwrap_err();
    assert_eq!(refused.code, "object-forbidden");
    let bench = Bench::new("campaigns-key");
    let unknown = bench.report("Report_nobody.zip").unwrap_err();
    assert_eq!(unknown.code, "object-status-400");
    assert!(!format!("{refused:?}{unknown:?}").contains("-key"));
    bench.put("two.zip", zip([("a.csv", &b"1"[..]), ("b.csv", b"2")]));
    let two = bench.report("two.zip").unwrap_err();
    assert_eq!(two.code, "object-broken");
    assert!(two.message.contains("more than one entry"), "{}", two.message);
    // Another workspace's reports are no path of the manifest.
    let denied = bench.read(&["campaign_reports", "rest_api", "OTHER", "two.zip"]).unwrap_err();
    assert!(!denied.request_sent, "{denied:?}");
}
