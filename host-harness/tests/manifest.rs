//! The operator's manifest, through its public door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use host_harness::contract::Problem;
use host_harness::manifest::{Manifest, Variable};
use serde_json::{Value, json};

fn whole() -> Value {
    serde_json::from_str(host_harness::embedded::MANIFEST).unwrap()
}

fn problems(manifest: &Value) -> Vec<Problem> {
    Manifest::parse(&manifest.to_string()).err().unwrap_or_default()
}

/// The problems after one change at a JSON pointer.
fn after(pointer: &str, value: Value) -> Vec<(String, String)> {
    let mut manifest = whole();
    match manifest.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            manifest.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.into(), value);
        }
    }
    problems(&manifest).into_iter().map(|p| (p.code, p.path)).collect()
}

fn one(code: &str, path: &str) -> Vec<(String, String)> {
    vec![(code.into(), path.into())]
}

#[test]
fn the_connectors_own_manifest_is_one() {
    let manifest = Manifest::parse(host_harness::embedded::MANIFEST).unwrap();
    assert_eq!(manifest.connector, "moengage");
    let Variable::Enum(centers) = &manifest.endpoints["data"].variables["data_center"] else { panic!() };
    assert!(centers.contains(&"101".to_owned()));
    assert!(manifest.slots().contains("webhook") && manifest.slots().contains("data"));
}

#[test]
fn every_problem_is_reported_at_once() {
    let manifest = json!({
        "conector": "x",
        "contract": "0.1.0",
        "endpoints": {
            "A B": { "origin": "http://x", "methods": [], "paths": ["v1", "/a//b"], "auth": "oauth2", "purpose": " " },
            "b": 7
        },
        "inbound": { "c": { "aws-sigv4": {} }, "d": { "basic": { "user": "u" } } }
    });
    let found = problems(&manifest);
    let codes: Vec<&str> = found.iter().map(|p| p.code.as_str()).collect();
    for code in [
        "unknown-key",
        "missing-key",
        "bad-name",
        "auth-not-built",
        "bad-origin",
        "bad-method",
        "bad-path",
        "bad-endpoint",
        "bad-auth",
    ] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    assert_eq!(codes.iter().filter(|code| **code == "auth-not-built").count(), 2);
    assert!(found.iter().all(|p| !p.message.is_empty() && !p.remedy.is_empty()));
}

#[test]
fn schemes_that_are_not_built_are_refused_by_name() {
    let expected = one("auth-not-built", "endpoints.data.auth");
    assert_eq!(after("/endpoints/data/auth", json!("oauth2")), expected);
    assert_eq!(after("/endpoints/data/auth", json!({ "oauth2": { "slot": "data" } })), expected);
    assert_eq!(after("/inbound/x", json!({ "oauth2": {} })), one("auth-not-built", "inbound.x"));
}

#[test]
fn a_place_without_a_credential_is_refused() {
    assert_eq!(
        after("/endpoints/data/auth", json!("none")),
        one("auth-needs-consent", "endpoints.data.auth")
    );
    assert_eq!(after("/inbound/open", json!("none")), one("auth-needs-consent", "inbound.open"));
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    assert_eq!(after("/extra", json!(1)), one("unknown-key", "extra"));
    for pointer in
        ["/endpoints/data/extra", "/endpoints/data/auth/basic/extra", "/inbound/bearer/bearer/extra"]
    {
        assert_eq!(after(pointer, json!(1)).len(), 1, "{pointer}");
    }
    assert_eq!(after("/component", json!({ "sha256": "00", "md5": "" })), one("bad-digest", "component"));
    let twice = r#"{"connector":"a","connector":"b","contract":"0.1.0"}"#;
    assert_eq!(Manifest::parse(twice).unwrap_err()[0].code, "manifest-json");
}

#[test]
fn s01_an_origin_can_hide_nothing() {
    for origin in [
        "http://api.example.com",
        "https://",
        "https://localhost",
        "https://127.0.0.1",
        "https://0x7f.1",
        "https://user@api.example.com",
        "https://api.example.com/",
        "https://api.example.com/v1",
        "https://api.example.com?x",
        "https://api.example.com#x",
        "https://api.example.com:0",
        "https://api.example.com:99999",
        "https://api.example.com:8 0",
        "https://API.example.com",
        "https://api..example.com",
        "https://-api.example.com",
        "https://[::1]",
        "https://api.example.com.",
        "https://{data_center",
        "https://{}.example.com",
        "https://{a b}.example.com",
        "https://аpi.example.com",
        "//api.example.com",
        "",
        "https://api.example.com\\@evil.com",
        "https://api.example.com\u{0}",
    ] {
        let found = after("/endpoints/data/origin", json!(origin));
        assert!(found.iter().any(|(code, _)| code == "bad-origin"), "{origin}: {found:?}");
    }
    for origin in ["https://api-{data_center}.example.com:8443", "https://{data_center}.example.com"] {
        assert_eq!(after("/endpoints/data/origin", json!(origin)), []);
    }
    let undeclared = "https://{data_center}-{other}.example.com";
    assert_eq!(
        after("/endpoints/data/origin", json!(undeclared)),
        one("undeclared-variable", "endpoints.data.origin")
    );
    assert_eq!(after("/endpoints/data/origin", json!("https://api.example.com"))[0].0, "unused-variable");
}

#[test]
fn s01_variables_are_closed_sets_or_one_label_under_a_suffix() {
    let with = |origin: &str, variable: Value| {
        let mut manifest = whole();
        manifest["endpoints"]["data"]["origin"] = json!(origin);
        manifest["endpoints"]["data"]["variables"] = json!({ "v": variable });
        problems(&manifest).into_iter().map(|p| p.code).collect::<Vec<_>>()
    };
    assert!(with("https://{v}.example.com", json!({ "label-under": "example.com" })).is_empty());
    assert!(with("https://{v}.example.com:8443", json!({ "label-under": "example.com" })).is_empty());
    for (origin, suffix) in [
        ("https://{v}.example.com", "other.com"),
        ("https://{v}.example.com", "com"),
        ("https://x{v}.example.com", "example.com"),
        ("https://{v}.example.com", ".example.com"),
        ("https://{v}x.example.com", "example.com"),
    ] {
        assert_eq!(with(origin, json!({ "label-under": suffix })), ["bad-variable"], "{origin} {suffix}");
    }
    for values in [json!([]), json!(["a.b"]), json!(["A"]), json!([""]), json!(["a/b"]), json!(["-a"])] {
        assert_eq!(with("https://api-{v}.example.com", json!({ "enum": values })), ["bad-variable"]);
    }
}

#[test]
fn s04_headers_of_the_host_cant_be_granted() {
    for name in [
        "Host",
        "content-length",
        "transfer-encoding",
        "connection",
        "proxy-authorization",
        "authorization",
        "cookie",
        "accept-encoding",
        "te",
        "upgrade",
        "sec-fetch-site",
        "bad header",
        "",
    ] {
        let found = after("/endpoints/data/headers", json!([name]));
        assert_eq!(found, one("header-not-grantable", "endpoints.data.headers"), "{name}");
    }
    assert_eq!(after("/endpoints/data/headers", json!(["Content-Type", "MOE-APPKEY"])), []);
    let mut manifest = whole();
    manifest["endpoints"]["data"]["auth"] =
        json!({ "header": { "name": { "literal": "X-Key" }, "slot": "data" } });
    manifest["endpoints"]["data"]["headers"] = json!(["x-key"]);
    assert_eq!(problems(&manifest)[0].code, "header-not-grantable");
    assert_eq!(
        after("/request-id-header", json!("authorization")),
        one("bad-header-name", "request-id-header")
    );
}

#[test]
fn a_digest_proves_something() {
    let digest = |extra: Value| {
        let mut scheme = json!({ "slot": "webhook", "encoding": "hex", "header": "signature" });
        scheme.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        after("/inbound/signed", json!({ "digest": scheme }))
            .into_iter()
            .map(|(code, _)| code)
            .collect::<Vec<_>>()
    };
    let parts = json!(["slot", { "literal": "|" }, "body", { "path": "whole" }, { "setting": "a.b" }]);
    assert!(digest(json!({ "hash": "sha256", "parts": parts })).is_empty());
    assert!(digest(json!({ "hmac": "sha256", "parts": ["body"], "prefix": "v1=" })).is_empty());
    assert_eq!(digest(json!({ "hmac": "sha256", "parts": [{ "path": "last" }] })), ["body-not-signed"]);
    for bad in [
        json!({ "hash": "sha256", "parts": ["body"] }),
        json!({ "hmac": "sha256", "parts": ["slot", "body"] }),
        json!({ "hmac": "sha256", "parts": [] }),
        json!({ "hmac": "md5", "parts": ["body"] }),
        json!({ "hmac": "sha256", "hash": "sha256", "parts": ["slot", "body"] }),
        json!({ "parts": ["body"] }),
        json!({ "hmac": "sha256", "parts": ["header"] }),
        json!({ "hmac": "sha256", "parts": ["body"], "encoding": "base32" }),
    ] {
        assert_eq!(digest(bad.clone()), ["bad-auth"], "{bad}");
    }
}

#[test]
fn an_endpoint_may_sign_for_aws() {
    let with = |auth: Value| after("/endpoints/data/auth", json!({ "aws-sigv4": auth }));
    let whole = json!({ "access-key": "exports.access_key_id", "slot": "exports", "region": "exports.region", "service": "s3" });
    assert_eq!(with(whole.clone()), []);
    let changed = |key: &str, value: Value| {
        let mut auth = whole.clone();
        auth[key] = value;
        with(auth)
    };
    assert_eq!(changed("region", json!({ "literal": "auto" })), []);
    assert_eq!(changed("access-key", json!({ "literal": "AKIA1" })), []);
    for (key, value) in [
        ("service", json!("S3")),
        ("service", json!("")),
        ("session-token", json!("x")),
        ("region", json!(7)),
    ] {
        assert_eq!(changed(key, value), one("bad-auth", "endpoints.data.auth"), "{key}");
    }
    assert_eq!(changed("slot", json!("Exports")), one("bad-name", "endpoints.data.auth"));
    assert_eq!(with(json!({ "slot": "exports" })), one("bad-auth", "endpoints.data.auth"));
    // It signs what goes out; it can't verify what comes in.
    assert_eq!(
        after("/inbound/x", json!({ "aws-sigv4": whole.clone() })),
        one("auth-not-built", "inbound.x")
    );
    let mut manifest = self::whole();
    manifest["endpoints"]["data"]["auth"] = json!({ "aws-sigv4": whole });
    manifest["endpoints"]["data"]["headers"] = json!(["X-Amz-Date"]);
    assert_eq!(problems(&manifest)[0].code, "header-not-grantable");
}

#[test]
fn a_setting_stands_for_a_whole_segment_of_a_path() {
    let with = |path: &str| after("/endpoints/data/paths", json!([path]));
    for path in ["/{exports.bucket}", "/v1/{workspace_id}/x", "/{a}/{b.c-d}"] {
        assert_eq!(with(path), [], "{path}");
    }
    for path in ["/x{a}", "/{a}x", "/{}", "/{a", "/a}", "/{a..b}", "/{a b}", "/{a/b}", "/{{a}}"] {
        assert_eq!(with(path), one("bad-path", "endpoints.data.paths"), "{path}");
    }
}

#[test]
fn an_endpoint_may_leave_its_origin_to_the_operator() {
    let endpoint = json!({ "methods": ["GET"], "paths": ["/"],
        "auth": { "basic": { "user": "exports.user", "slot": "exports" } }, "purpose": "Reads." });
    let mut manifest = whole();
    manifest["endpoints"]["files"] = endpoint.clone();
    let read = Manifest::parse(&manifest.to_string()).unwrap();
    assert_eq!(read.endpoints["files"].origin, None);
    let mut with_variable = endpoint.clone();
    with_variable["variables"] = json!({ "v": { "enum": ["a"] } });
    assert_eq!(
        after("/endpoints/files", with_variable),
        one("unused-variable", "endpoints.files.variables.v")
    );
    let mut empty = endpoint;
    empty["origin"] = json!("");
    assert_eq!(after("/endpoints/files", empty), one("bad-origin", "endpoints.files.origin"));
}

#[test]
fn senders_are_addresses_by_surface_and_setting_and_never_an_empty_list() {
    let manifest = Manifest::parse(host_harness::embedded::MANIFEST).unwrap();
    let senders = manifest.senders.unwrap();
    let of = |surface: &str, center: &str| {
        let listed = senders.of(surface, &json!({ "data_center": center }))?;
        Some(listed.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(of("streams", "02"), Some(vec!["18.195.110.23".to_owned()]));
    assert_eq!(of("connector-campaigns", "01").unwrap().len(), 9);
    // What MoEngage calls "NA" is not an empty list, which would let nobody in.
    for (surface, center) in
        [("segment-sync", "02"), ("connector-campaigns", "05"), ("streams", "101"), ("x", "01")]
    {
        assert_eq!(of(surface, center), None, "{surface} {center}");
    }
    let bad = |value: Value| after("/senders", value);
    for value in [
        json!([]),
        json!({ "by": "data_center" }),
        json!({ "by": "", "surfaces": {} }),
        json!({ "by": "a", "surfaces": { "streams": { "01": [] } } }),
        json!({ "by": "a", "surfaces": { "streams": { "01": ["example.com"] } } }),
        json!({ "by": "a", "surfaces": { "streams": { "01": ["10.0.0.0/8"] } } }),
        json!({ "by": "a", "surfaces": {}, "more": 1 }),
    ] {
        assert_eq!(bad(value.clone()), one("bad-senders", "senders"), "{value}");
    }
}
