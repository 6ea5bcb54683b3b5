//! Requests that the host signs for S3, against AWS's published values and against a verification
//! that shares no code with the host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod signatures;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use host_harness::contract::http::{ErrorKind, Method, Request};
use host_harness::egress::auth::credential;
use host_harness::egress::policy::Grant;
use host_harness::egress::sigv4::{Signed, sign};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};
use signatures::{Arrived, expected_and_given};

/// The key, date and bucket of AWS's examples
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
const DATE: i64 = 1_369_353_600_000; // 20130524T000000Z

fn published(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> (String, String) {
    let url = format!("https://examplebucket.s3.amazonaws.com{target}");
    let signed = sign(&Signed {
        method,
        url: &url,
        headers,
        body,
        access_key: KEY.0,
        secret: &SecretString::from(KEY.1),
        region: "us-east-1",
        service: "s3",
        now: DATE,
    })
    .unwrap();
    let signed: BTreeMap<_, _> = signed.into_iter().collect();
    assert_eq!(signed["host"], "examplebucket.s3.amazonaws.com");
    assert_eq!(signed["x-amz-date"], "20130524T000000Z");
    let (scope, signature) = signed["authorization"].rsplit_once(", ").unwrap();
    (scope.to_owned(), signature.strip_prefix("Signature=").unwrap().to_owned())
}

#[test]
fn awss_published_signatures_come_out() {
    let get = published("GET", "/test.txt", &[("range", "bytes=0-9")], b"");
    assert_eq!(
        get.0,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date"
    );
    assert_eq!(get.1, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "GET Object");
    let headers = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    let put = published("PUT", "/test%24file.text", &headers, b"Welcome to Amazon S3.");
    assert_eq!(put.1, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "PUT Object");
    let lifecycle = published("GET", "/?lifecycle=", &[], b"");
    assert_eq!(lifecycle.1, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "lifecycle");
    let list = published("GET", "/?max-keys=2&prefix=J", &[], b"");
    assert_eq!(list.1, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "List Objects");
    let other_order = published("GET", "/?prefix=J&max-keys=2", &[], b"");
    assert_eq!(list.1, other_order.1, "the query goes out in the order that was asked for");
}

fn manifest() -> Manifest {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
        "endpoints": { "store": {
            "origin": "https://s3.{files.region}.example.com:9443",
            "variables": { "files.region": { "enum": ["eu-central-1"] } },
            "methods": ["GET", "POST"], "paths": ["/{files.bucket}"], "headers": ["x-amz-request-payer"],
            "auth": { "aws-sigv4": { "access-key": "files.key", "slot": "files", "region": "files.region", "service": "s3" } },
            "purpose": "Reads files." } } }"#;
    Manifest::parse(text).unwrap()
}

fn settings() -> Value {
    json!({ "files": { "region": "eu-central-1", "bucket": "acme files", "key": "AKIA1" } })
}

fn request(path: &[String], query: &[(String, String)]) -> Request {
    let path = std::iter::once("acme files".to_owned()).chain(path.iter().cloned()).collect();
    Request {
        endpoint: "store".into(),
        method: Method::Get,
        path,
        query: query.to_vec(),
        headers: vec![],
        body: None,
        timeout_ms: None,
    }
}

/// Headers that go out, the signature that they should have, and the one that they have.
type Outcome = Result<(Vec<(String, String)>, String, String), (ErrorKind, String)>;

fn signed(wanted: Request, extra: &[(&str, &str)], settings: &Value, secret: &str) -> Outcome {
    let manifest = manifest();
    let overrides = BTreeMap::new();
    let grant = Grant { manifest: &manifest, settings, overrides: &overrides, allow_private: false };
    let permitted = grant.permit(wanted).map_err(|e| (e.kind, e.code))?;
    let secrets = SlotSecrets::new().with("files", [secret.into()]);
    let now = 1_795_435_200_000;
    let headers = credential(&permitted, extra, settings, &secrets, now).map_err(|e| (e.kind, e.code))?;
    let given = extra.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let headers: Vec<_> = permitted.headers.iter().cloned().chain(given).chain(headers).collect();
    let target = permitted.url.strip_prefix("https://s3.eu-central-1.example.com:9443").unwrap();
    let body = permitted.body.as_deref().unwrap_or_default();
    let arrived = Arrived { method: permitted.method, target, headers: &headers, body };
    let (expected, given) = expected_and_given(&arrived, secret);
    Ok((headers, expected, given))
}

#[test]
fn what_the_host_adds_is_signed_with_it() {
    let mut wanted = request(&["export_day=2026-11-01".into(), "a b.gz".into()], &[]);
    wanted.headers = vec![("x-amz-request-payer".into(), "requester".into())];
    wanted.method = Method::Post;
    wanted.body = Some(b"{}".to_vec());
    let (headers, expected, given) =
        signed(wanted, &[("range", "bytes=7-"), ("if-match", "\"e  1\"")], &settings(), "s3cret").unwrap();
    assert_eq!(expected, given);
    let of = |name: &str| headers.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(of("host"), "s3.eu-central-1.example.com:9443");
    assert!(of("authorization").contains("Credential=AKIA1/20261123/eu-central-1/s3/aws4_request"));
    let names = "host;if-match;range;x-amz-content-sha256;x-amz-date;x-amz-request-payer";
    assert!(of("authorization").contains(&format!("SignedHeaders={names},")), "{}", of("authorization"));
}

#[test]
fn what_cant_be_signed_says_why() {
    let sign = |change: &dyn Fn(&mut Value)| {
        let mut settings = settings();
        change(&mut settings);
        signed(request(&[], &[]), &[], &settings, "s").map(drop).unwrap_err()
    };
    let without =
        |key: &'static str| move |s: &mut Value| drop(s["files"].as_object_mut().unwrap().remove(key));
    assert_eq!(sign(&without("key")), (ErrorKind::NoSecret, "setting-missing".into()));
    for key in ["A/B", "A,B", "A B", "A=B", "ä", "A\nB"] {
        let error = sign(&|s| s["files"]["key"] = json!(key));
        assert_eq!(error, (ErrorKind::NoSecret, "setting-unusable".into()), "{key:?}");
    }
    let secrets = SlotSecrets::new();
    let (manifest, settings, overrides) = (manifest(), settings(), BTreeMap::new());
    let grant =
        Grant { manifest: &manifest, settings: &settings, overrides: &overrides, allow_private: false };
    let permitted = grant.permit(request(&[], &[])).unwrap();
    let error = credential(&permitted, &[], &settings, &secrets, 0).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::NoSecret, "no-secret"));
    let secrets = secrets.with("files", ["s".into()]);
    for now in [-1, i64::MIN, i64::MAX] {
        let error = credential(&permitted, &[], &settings, &secrets, now).unwrap_err();
        assert_eq!(error.code, "setting-unusable", "{now}");
    }
}

#[test]
fn s06_a_guest_writes_no_header_of_the_signature() {
    for name in ["authorization", "x-amz-date", "X-Amz-Content-Sha256", "x-amz-security-token", "host"] {
        let mut wanted = request(&[], &[]);
        wanted.headers = vec![(name.into(), "x".into())];
        let error = signed(wanted, &[], &settings(), "s").map(drop).unwrap_err();
        assert_eq!(error, (ErrorKind::Denied, "header-of-the-host".into()), "{name}");
    }
}

/// Keeps everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn s06_nothing_of_a_signature_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: what other tests of this file log must hold nothing either.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::trace!("the log is open");
    let (_, expected, given) =
        signed(request(&["person@example.com".into()], &[]), &[], &settings(), "canary-secret").unwrap();
    tracing::trace!("and still is");
    assert_eq!(expected, given);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the log is open") && logged.contains("and still is"));
    for secret in ["canary-secret", &given, "person@example.com", "person%40example.com", "AWS4-HMAC"] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_request_that_the_policy_lets_through_is_signed_as_it_goes_out(
        path in proptest::collection::vec("(\\PC{0,12}|[ -~]{0,12}|%2[fF]|\\+|~)", 0..4),
        query in proptest::collection::vec(("(\\PC{0,8}|[ -~]{0,4})", "(\\PC{0,8}|[ -~]{0,8})"), 0..5),
        secret in "[ -~]{1,40}",
    ) {
        match signed(request(&path, &query), &[("if-none-match", "\"e\"")], &settings(), &secret) {
            Ok((_, expected, given)) => prop_assert_eq!(expected, given),
            Err((kind, code)) => prop_assert_eq!((kind, code.as_str()), (ErrorKind::Denied, "bad-path-segment")),
        }
    }

    #[test]
    fn signing_never_panics(url in "\\PC{0,60}", header in "\\PC{0,20}", key in "\\PC{0,10}", now: i64) {
        for url in [url.clone(), format!("https://a.example/{url}"), format!("http://[::1]:80/?{url}")] {
            let _ = sign(&Signed {
                method: "GET",
                url: &url,
                headers: &[("if-match", &header)],
                body: b"",
                access_key: &key,
                secret: &SecretString::from(header.clone()),
                region: "eu-central-1",
                service: "s3",
                now,
            });
        }
    }
}
