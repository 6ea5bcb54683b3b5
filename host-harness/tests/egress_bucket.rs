//! The three places that export files lie in, as a manifest grants them, against the stand-in for
//! them: it verifies every signature by code of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rates;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use host_harness::contract::http::{Error, Method, Request, Response};
use host_harness::egress::spool::Spool;
use host_harness::egress::transport::network;
use host_harness::egress::{Access, Egress};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use host_harness::world::{SystemClock, SystemRandom, TimeScale, World};
use proptest::prelude::*;
use rates::Rates;
use serde_json::json;
use stand_ins::bucket::{Bucket, Options, Permission, Storage};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
    "endpoints": {
        "exports-s3": { "origin": "https://s3.{exports.region}.amazonaws.com",
            "variables": { "exports.region": { "enum": ["eu-central-1", "us-east-1"] } },
            "methods": ["GET"], "paths": ["/{exports.bucket}"],
            "auth": { "aws-sigv4": { "access-key": "exports.access_key_id", "slot": "exports",
                                     "region": "exports.region", "service": "s3" } },
            "purpose": "Reads files." },
        "exports-gcs": { "origin": "https://storage.googleapis.com",
            "methods": ["GET"], "paths": ["/{exports.bucket}"],
            "auth": { "aws-sigv4": { "access-key": "exports.access_key_id", "slot": "exports",
                                     "region": { "literal": "auto" }, "service": "s3" } },
            "purpose": "Reads files." },
        "exports-https": { "methods": ["GET"], "paths": ["/"],
            "auth": { "basic": { "user": "exports.user", "slot": "exports" } },
            "purpose": "Reads files." } } }"#;

/// A store and a host that reads it.
struct Bench {
    bucket: Bucket,
    endpoint: &'static str,
    access: Arc<Access>,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new(endpoint: &'static str, storage: Storage) -> Self {
        Self::with(endpoint, Options { storage, ..Options::default() }, TimeScale::REAL)
    }

    fn s3() -> Self {
        Self::new("exports-s3", Options::default().storage)
    }

    fn with(endpoint: &'static str, options: Options, scale: TimeScale) -> Self {
        let home = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(options).unwrap();
        let options = bucket.options();
        let access = Arc::new(Access {
            installation: "i1".into(),
            manifest: Manifest::parse(MANIFEST).unwrap(),
            settings: json!({ "exports": { "region": "eu-central-1", "bucket": options.bucket,
                "access_key_id": options.access_key_id, "user": options.access_key_id } }),
            overrides: BTreeMap::from([(endpoint.to_owned(), bucket.url())]),
            allow_private: true,
            secrets: Arc::new(SlotSecrets::new().with("exports", [options.secret.clone().into()])),
            rates: Arc::new(Rates::default()),
            spool: Some(Spool::new(home.path())),
            world: World {
                clock: Arc::new(SystemClock::new(scale)),
                random: Arc::new(SystemRandom),
                transport: network(),
            },
        });
        Self { bucket, endpoint, access, _home: home }
    }

    fn unit(&self) -> Egress {
        self.access.unit("exports", &[], Duration::from_secs(30))
    }

    /// The path of a key; a bucket's name comes before it where there is one.
    fn path(&self, key: &str) -> Vec<String> {
        let bucket = (self.endpoint != "exports-https").then(|| self.bucket.options().bucket.clone());
        let key = key.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        bucket.into_iter().chain(key).collect()
    }

    fn get(&self, path: Vec<String>, query: &[(&str, &str)]) -> Result<Response, Error> {
        self.unit().http(Request {
            endpoint: self.endpoint.into(),
            method: Method::Get,
            path,
            query: query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            headers: vec![],
            body: None,
            timeout_ms: None,
        })
    }

    fn list(&self, prefix: &str) -> Response {
        let query = [("list-type", "2"), ("prefix", prefix), ("start-after", ""), ("max-keys", "1000")];
        self.get(self.path(""), &query).unwrap()
    }

    fn content(&self, key: &str) -> Result<Vec<u8>, Error> {
        let (unit, path) = (self.unit(), self.path(key));
        let object = unit.object_open(self.endpoint, &path, None)?;
        let content = unit.object_read(self.endpoint, &path, &object.etag, 0, u32::MAX)?;
        assert_eq!(content.len() as u64, object.size);
        Ok(content)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const KEY: &str = "events_acme/export_day=2026-11-22/event_exports_0a 1+b~ü.json.gz";

#[test]
fn a_bucket_at_amazon_and_one_at_google_are_listed_and_read() {
    for (endpoint, storage) in [("exports-s3", Options::default().storage), ("exports-gcs", Storage::Gcs)] {
        let bench = Bench::new(endpoint, storage);
        let etag = bench.bucket.put(KEY, gzip(b"{\"event\":{}}\n"));
        let listed = bench.list("events_acme/export_day=");
        let text = String::from_utf8(listed.body).unwrap();
        assert_eq!(listed.status, 200, "{text}");
        assert!(text.contains("event_exports_0a 1+b~ü.json.gz"), "{text}");
        assert_eq!(bench.content(KEY).unwrap(), b"{\"event\":{}}\n");
        let known = bench.unit().object_open(endpoint, &bench.path(KEY), Some(&etag)).unwrap();
        assert_eq!(known.etag, etag);
        assert_eq!(bench.bucket.violations(), []);
        assert_eq!(bench.bucket.journal().received(), 2, "the file was downloaded once");
    }
}

#[test]
fn a_folder_behind_nginx_is_where_the_operator_says() {
    let bench = Bench::new("exports-https", Storage::Https);
    bench.bucket.put(KEY, gzip(b"{\"event\":{}}\n"));
    assert_eq!(bench.content(KEY).unwrap(), b"{\"event\":{}}\n");
    assert_eq!(bench.bucket.violations(), []);
    let elsewhere = Access { overrides: BTreeMap::new(), ..Arc::into_inner(bench.access).unwrap() };
    let unit = Arc::new(elsewhere).unit("exports", &[], Duration::from_secs(30));
    let error = unit.object_open("exports-https", &[KEY.replace('/', "-")], None).unwrap_err();
    assert_eq!(error.code, "endpoint-needs-origin");
}

#[test]
fn a_refused_key_is_named_by_what_is_wrong_with_it() {
    let bench = Bench::s3();
    bench.bucket.put("f", "x");
    bench.bucket.set_permission(Permission::NoReading);
    let error = bench.content("f").unwrap_err();
    assert_eq!(error.code, "object-forbidden");
    assert!(error.message.contains("AccessDenied"), "{}", error.message);
    bench.bucket.set_permission(Permission::Granted);
    assert_eq!(bench.content("none").unwrap_err().code, "object-status-404");
    bench.bucket.set_key(&bench.bucket.options().access_key_id, "another secret");
    let error = bench.content("f").unwrap_err();
    assert_eq!(error.code, "object-forbidden");
    assert!(error.message.contains("SignatureDoesNotMatch"), "{}", error.message);
    bench.bucket.set_key("AKIAOTHER", "another secret");
    assert!(bench.content("f").unwrap_err().message.contains("InvalidAccessKeyId"));
}

#[test]
fn a_signature_has_the_date_of_host_time() {
    // A demo's clock runs faster, and its stand-ins share the scale.
    let scale = Scale { epoch_ms: Scale::from_now(1.0).epoch_ms - 3_600_000, factor: 60.0 };
    let shared = TimeScale { epoch: scale.epoch_ms, factor: scale.factor };
    let bench = Bench::with("exports-s3", Options { scale, ..Options::default() }, shared);
    bench.bucket.put("f", "x");
    assert_eq!(bench.content("f").unwrap(), b"x");
    assert_eq!(bench.bucket.violations(), []);
    // A host whose clock is off is told so.
    let bench = Bench::with("exports-s3", Options { scale, ..Options::default() }, TimeScale::REAL);
    bench.bucket.put("f", "x");
    assert_eq!(bench.content("f").unwrap_err().code, "clock-skewed");
}

#[test]
fn n06_a_large_file_goes_on_where_its_connection_broke() {
    let bench = Bench::s3();
    let text: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    bench.bucket.put("f", text.clone());
    bench.bucket.faults().add(Rule::any(Fault::cut(2_000_000)).times(1)).unwrap();
    assert_eq!(bench.content("f").unwrap_err().code, "bad-answer");
    assert_eq!(bench.content("f").unwrap(), text);
    let statuses: Vec<_> = bench.bucket.journal().entries().map(|entry| entry.status).collect();
    assert_eq!(statuses.last(), Some(&Some(206)), "{statuses:?}");
    assert_eq!(bench.bucket.violations(), []);
}

#[test]
fn a_file_that_was_replaced_meanwhile_is_begun_anew() {
    let bench = Bench::s3();
    bench.bucket.put("f", vec![1_u8; 3 << 20]);
    bench.bucket.faults().add(Rule::any(Fault::cut(2 << 20)).times(1)).unwrap();
    bench.content("f").unwrap_err();
    bench.bucket.put("f", vec![2_u8; 3 << 20]);
    assert_eq!(bench.content("f").unwrap(), vec![2; 3 << 20]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_file_is_called_its_request_is_signed_right(
        names in proptest::collection::vec("[!-\\[\\]-~ äé€𐀀]{1,12}", 1..4),
        prefix in "\\PC{0,12}",
    ) {
        let bench = Bench::s3();
        let usable = |name: &String| !name.contains('/') && name != "." && name != "..";
        prop_assume!(names.iter().all(usable));
        let key = names.join("/");
        bench.bucket.put(&key, "content");
        prop_assert_eq!(bench.content(&key).unwrap(), b"content");
        prop_assert_eq!(bench.list(&prefix).status, 200);
        prop_assert_eq!(bench.bucket.violations(), []);
    }
}
