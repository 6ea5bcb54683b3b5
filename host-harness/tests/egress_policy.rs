//! What a guest's request becomes, or why it is denied. No sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use host_harness::contract::http::{Error, ErrorKind, Method, Request};
use host_harness::egress::auth::credential;
use host_harness::egress::policy::{Grant, Permitted};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use proptest::prelude::*;
use serde_json::{Value, json};

fn manifest() -> Manifest {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "X-Request-Id",
        "endpoints": {
            "data": { "origin": "https://api-{data_center}.example.com",
                "variables": { "data_center": { "enum": ["01", "101"] } },
                "methods": ["POST", "GET"], "paths": ["/v1/fileimports", "/v1/customer"],
                "headers": ["MOE-APPKEY", "content-type"],
                "auth": { "basic": { "user": "workspace_id", "slot": "data" } }, "purpose": "Checks the key." },
            "shop": { "origin": "https://{shop.name}.shops.example:8443",
                "variables": { "shop.name": { "label-under": "shops.example" } },
                "methods": ["DELETE", "GET", "PUT"], "paths": ["/"],
                "auth": { "header": { "name": { "literal": "X-Key" }, "slot": "shop" } }, "purpose": "Reads." },
            "reports": { "origin": "https://reports.example.com", "methods": ["GET"], "paths": ["/reports"],
                "auth": { "digest": { "hash": "sha256", "slot": "reports", "encoding": "hex", "header": "Signature",
                    "parts": [ { "setting": "workspace_id" }, { "literal": "|" }, { "path": "last" },
                               { "literal": "|" }, "slot" ] } }, "purpose": "Downloads." },
            "open": { "origin": "https://open.example.com", "methods": ["GET"], "paths": ["/"],
                "auth": { "bearer": { "slot": "tokens" } }, "purpose": "Reads." },
            "tokens": { "origin": "https://tokens.example.com", "methods": ["POST"], "paths": ["/"],
                "auth": { "bearer": { "slot": "tokens" } }, "purpose": "Writes." } } }"#;
    Manifest::parse(text).unwrap()
}

fn settings() -> Value {
    json!({ "workspace_id": "W1", "data_center": "01", "shop": { "name": "corner" } })
}

fn request(endpoint: &str, method: Method, path: &[&str]) -> Request {
    Request {
        endpoint: endpoint.into(),
        method,
        path: path.iter().map(|segment| (*segment).into()).collect(),
        query: vec![],
        headers: vec![],
        body: None,
        timeout_ms: None,
    }
}

struct Case {
    manifest: Manifest,
    settings: Value,
    overrides: BTreeMap<String, String>,
    allow_private: bool,
}

impl Case {
    fn new() -> Self {
        Self { manifest: manifest(), settings: settings(), overrides: BTreeMap::new(), allow_private: false }
    }

    fn with_override(endpoint: &str, origin: &str, allow_private: bool) -> Self {
        let overrides = BTreeMap::from([(endpoint.into(), origin.into())]);
        Self { overrides, allow_private, ..Self::new() }
    }

    fn permit(&self, request: Request) -> Result<Permitted<'_>, Error> {
        let grant = Grant {
            manifest: &self.manifest,
            settings: &self.settings,
            overrides: &self.overrides,
            allow_private: self.allow_private,
        };
        grant.permit(request)
    }

    #[track_caller]
    fn denied(&self, request: Request) -> Error {
        let error = self.permit(request).unwrap_err();
        assert_eq!((error.kind, error.request_sent), (ErrorKind::Denied, false));
        error
    }
}

#[test]
fn a_granted_request_is_built_by_the_host() {
    let case = Case::new();
    let mut wanted =
        request("data", Method::Post, &["v1", "fileimports", "a b/c".split('/').next().unwrap()]);
    wanted.query = vec![("since".into(), "2026-11-23T12:00:00+01:00".into()), ("a&b".into(), "=?#".into())];
    wanted.headers =
        vec![("Content-Type".into(), "application/json".into()), ("moe-appkey".into(), " W1 ".into())];
    wanted.body = Some(b"{}".to_vec());
    let permitted = case.permit(wanted).unwrap();
    assert_eq!(
        permitted.url,
        "https://api-01.example.com/v1/fileimports/a%20b?since=2026-11-23T12%3A00%3A00%2B01%3A00&a%26b=%3D%3F%23"
    );
    assert_eq!(
        permitted.label, "POST api-01.example.com/v1/fileimports/*",
        "a log shows no segment of the guest"
    );
    assert_eq!(permitted.method, "POST");
    let headers: Vec<_> = permitted.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("content-type", "application/json"), ("moe-appkey", "W1")]);
    assert!(!permitted.allow_private);

    let root = case.permit(request("shop", Method::Get, &[])).unwrap();
    assert_eq!(root.url, "https://corner.shops.example:8443/");
}

#[test]
fn a_path_may_end_with_a_slash_and_hold_no_empty_segment() {
    let case = Case::new();
    let ask = |path: &[&str]| request("data", Method::Get, path);
    let folder = case.permit(ask(&["v1", "customer", "all", ""])).unwrap();
    assert!(folder.url.ends_with("/v1/customer/all/"), "{}", folder.url);
    assert!(folder.label.ends_with("/v1/customer/*/"), "{}", folder.label);
    for bad in [&["v1", "customer", "", "all"][..], &["v1", "customer", "", ""], &[""]] {
        assert_eq!(case.denied(ask(bad)).code, "bad-path-segment", "{bad:?}");
    }
}

#[test]
fn s04_no_segment_leaves_its_place() {
    let case = Case::new();
    for bad in [".", "..", "a/b", "../x", "a\\b", "a\0", "a\nb", "\u{7f}"] {
        let error = case.denied(request("data", Method::Get, &["v1", "customer", bad]));
        assert_eq!(error.code, "bad-path-segment", "{bad:?}");
    }
    for (segment, written) in [
        ("%2e%2e", "%252e%252e"),
        ("..;", "..%3B"),
        ("a?b#c", "a%3Fb%23c"),
        ("http:", "http%3A"),
        ("ü", "%C3%BC"),
        ("...", "..."),
        ("a@b.c", "a%40b.c"),
    ] {
        let permitted = case.permit(request("data", Method::Get, &["v1", "customer", segment])).unwrap();
        assert_eq!(permitted.url, format!("https://api-01.example.com/v1/customer/{written}"));
    }
}

#[test]
fn s05_prefixes_end_at_segments_and_a_denial_teaches() {
    let case = Case::new();
    for path in [
        &["v1"][..],
        &["v1", "fileimportsx"],
        &["v1", "file"],
        &["v2", "fileimports"],
        &["V1", "fileimports"],
        &[],
    ] {
        let error = case.denied(request("data", Method::Get, path));
        assert_eq!(error.code, "path-not-granted", "{path:?}");
        assert!(error.message.contains("/v1/fileimports, /v1/customer"), "{}", error.message);
        assert!(error.message.contains("endpoints.data.paths"));
    }
    let error = case.denied(request("data", Method::Get, &["secret@person.example"]));
    assert!(!error.message.contains("person"), "nothing of the request: {}", error.message);

    let error = case.denied(request("data", Method::Put, &["v1", "customer"]));
    assert_eq!(error.code, "method-not-granted");
    assert!(error.message.contains("POST, GET") && error.message.contains("endpoints.data.methods"));

    let error = case.denied(request("admin", Method::Get, &[]));
    assert_eq!(error.code, "endpoint-not-granted");
    assert!(error.message.contains("data, open, reports, shop, tokens"));

    let mut wanted = request("data", Method::Get, &["v1", "customer"]);
    wanted.body = Some(vec![]);
    assert_eq!(case.denied(wanted).code, "body-not-allowed");
}

#[test]
fn s01_variables_come_from_their_closed_sets() {
    let mut case = Case::new();
    for value in ["", "1", "02", "01.evil.com/", "01@evil.com", "01:80"] {
        case.settings["data_center"] = json!(value);
        let error = case.denied(request("data", Method::Get, &["v1", "customer"]));
        assert!(["variable-not-granted", "setting-missing"].contains(&error.code.as_str()), "{value}");
        assert!(value.len() < 3 || !error.message.contains(value));
    }
    for value in ["a.b", "a/b", "A", "-a", "a-", "a:1", "a@b", "xn--", "ä", "a b", &"x".repeat(64)] {
        case.settings["shop"]["name"] = json!(value);
        let error = case.denied(request("shop", Method::Get, &[]));
        assert_eq!(error.code, "variable-not-granted", "{value}");
    }
    case.settings["shop"] = json!("corner");
    assert_eq!(case.denied(request("shop", Method::Get, &[])).code, "setting-missing");
}

#[test]
fn s04_headers_are_those_that_were_granted() {
    let case = Case::new();
    let with = |name: &str, value: &str| {
        let mut wanted = request("data", Method::Get, &["v1", "customer"]);
        wanted.headers = vec![(name.into(), value.into())];
        case.permit(wanted).map(|permitted| permitted.headers).map_err(|e| e.code)
    };
    for name in [
        "Host",
        "CONTENT-LENGTH",
        "Transfer-Encoding",
        "connection",
        "proxy-authorization",
        "Proxy-Connection",
        "authorization",
        "Authorization",
        "cookie",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "sec-fetch-mode",
        "x-request-id",
        "keep-alive",
    ] {
        assert_eq!(with(name, "x"), Err("header-of-the-host".into()), "{name}");
    }
    for name in ["accept", "x-other", "moe-appkey2"] {
        assert_eq!(with(name, "x"), Err("header-not-granted".into()), "{name}");
    }
    for name in ["", "a b", "a:", "a\r\nhost", "ä"] {
        assert_eq!(with(name, "x"), Err("bad-header".into()), "{name:?}");
    }
    for value in ["a\r\nhost: evil", "a\nb", "a\0b", "ä", "\u{7f}", &"x".repeat(9_000)] {
        assert_eq!(with("moe-appkey", value), Err("bad-header".into()), "{value:?}");
    }
    let mut twice = request("data", Method::Get, &["v1", "customer"]);
    twice.headers = vec![("moe-appkey".into(), "1".into()), ("MOE-AppKey".into(), "2".into())];
    assert_eq!(case.denied(twice).code, "bad-header");
    let mut own = request("shop", Method::Get, &[]);
    own.headers = vec![("x-key".into(), "stolen".into())];
    assert_eq!(case.denied(own).code, "header-of-the-host");
}

#[test]
fn s01_an_override_is_an_origin_and_private_only_by_the_switch() {
    let wanted = || request("data", Method::Get, &["v1", "customer"]);
    for (origin, url) in [
        ("https://eu.example.org", "https://eu.example.org/v1/customer"),
        ("https://eu.example.org:8443/", "https://eu.example.org:8443/v1/customer"),
    ] {
        let case = Case::with_override("data", origin, false);
        let permitted = case.permit(wanted()).unwrap();
        assert_eq!(permitted.url, url);
        assert!(!permitted.allow_private);
    }
    let case = Case::with_override("data", "http://127.0.0.1:1234", false);
    let error = case.denied(wanted());
    assert_eq!(error.code, "override-not-usable");
    assert!(error.message.contains("allow_private_addresses: true"));
    let case = Case::with_override("data", "http://[::1]:1234", true);
    let permitted = case.permit(wanted()).unwrap();
    assert_eq!((permitted.url.as_str(), permitted.allow_private), ("http://[::1]:1234/v1/customer", true));
    // The switch is for the override: the other endpoints go on as before.
    let open = case.permit(request("open", Method::Get, &[])).unwrap();
    assert!(!open.allow_private);
    for origin in [
        "ftp://a.example",
        "a.example",
        "https://",
        "https://user@a.example",
        "https://a.example/v1",
        "https://a.example?x",
        "https://a.example#x",
        "https://a b",
        "https://a.example:port",
        "https://:8443/",
        "file:///etc",
        "https://a.example/../x",
    ] {
        let case = Case::with_override("data", origin, true);
        assert_eq!(case.denied(wanted()).code, "override-not-usable", "{origin}");
    }
}

/// A private address as it can be spelled, and names around one.
const SPELLINGS: [&str; 18] = [
    "127.0.0.1",
    "127.0.0.1.",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "[::1]",
    "[::ffff:7f00:1]",
    "localhost",
    "localhost.",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "169.254.169.254",
    "01@169.254.169.254",
    "01.169.254.169.254/",
    "01#.evil.example",
];

#[test]
fn s01_no_spelling_of_an_address_is_a_value_that_a_tenant_may_choose() {
    for spelling in SPELLINGS {
        let mut case = Case::new();
        case.settings["data_center"] = json!(spelling);
        let error = case.denied(request("data", Method::Get, &["v1", "customer"]));
        assert_eq!(error.code, "variable-not-granted", "{spelling}");
        assert!(!error.message.contains(spelling), "{}", error.message);
        // One label stays under its suffix, whatever it looks like.
        case.settings["shop"]["name"] = json!(spelling);
        if let Ok(permitted) = case.permit(request("shop", Method::Get, &[])) {
            assert_eq!(permitted.url, format!("https://{spelling}.shops.example:8443/"));
            assert!(!permitted.allow_private && !spelling.contains('.'));
        }
    }
}

#[test]
fn s01_an_origin_of_the_operator_is_text_of_plain_letters() {
    let wanted = || request("data", Method::Get, &["v1", "customer"]);
    for spelling in SPELLINGS {
        let origin = spelling.strip_suffix('/').unwrap_or(spelling);
        let plain = origin.bytes().all(|b| b.is_ascii_alphanumeric() || b".-[]:".contains(&b));
        let case = Case::with_override("data", &format!("https://{spelling}"), false);
        match case.permit(wanted()) {
            // The network judges the address behind it, because the switch is off.
            Ok(permitted) => assert!(plain && !permitted.allow_private, "{spelling}"),
            Err(error) => {
                assert!(!plain, "{spelling}: {}", error.message);
                assert_eq!(error.code, "override-not-usable");
            }
        }
    }
}

/// One endpoint under a bucket of the settings, and one that only the operator can place.
fn files(settings: Value) -> Case {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "endpoints": {
        "bucket": { "origin": "https://files.example.com", "methods": ["GET"],
            "paths": ["/{files.bucket}/in", "/public"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." },
        "own": { "methods": ["GET"], "paths": ["/"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." } } }"#;
    Case { manifest: Manifest::parse(text).unwrap(), settings, ..Case::new() }
}

#[test]
fn s05_a_setting_in_a_granted_path_grants_that_segment_only() {
    let case = files(json!({ "files": { "bucket": "acme.exports 1" } }));
    let permitted = case.permit(request("bucket", Method::Get, &["acme.exports 1", "in", "x"])).unwrap();
    assert_eq!(permitted.url, "https://files.example.com/acme.exports%201/in/x");
    assert_eq!(permitted.label, "GET files.example.com/{files.bucket}/in/*");
    for path in [&["other", "in"][..], &["acme.exports 1"], &["acme.exports 1", "out"], &["in"], &[]] {
        let error = case.denied(request("bucket", Method::Get, path));
        assert_eq!(error.code, "path-not-granted", "{path:?}");
        assert!(error.message.contains("/{files.bucket}/in, /public"), "{}", error.message);
        assert!(!error.message.contains("acme"), "{}", error.message);
    }
    for bucket in [json!(null), json!(""), json!(7), json!({}), json!(["x"])] {
        let case = files(json!({ "files": { "bucket": bucket } }));
        let error = case.denied(request("bucket", Method::Get, &["x", "in"]));
        assert_eq!(error.code, "setting-missing", "{bucket}");
        assert!(error.message.contains("files.bucket"));
        // What needs no setting works without it.
        assert!(case.permit(request("bucket", Method::Get, &["public", "x"])).is_ok());
    }
    for bucket in [".", "..", "a/b", "/", "a\\b", "a\0", "a\nb"] {
        let case = files(json!({ "files": { "bucket": bucket } }));
        let path: Vec<&str> = bucket.split('/').chain(["in"]).collect();
        let code = case.denied(request("bucket", Method::Get, &path)).code;
        assert!(["setting-unusable", "bad-path-segment"].contains(&code.as_str()), "{bucket:?}: {code}");
        let code = case.denied(request("bucket", Method::Get, &["x", "in"])).code;
        assert_eq!(code, "setting-unusable", "{bucket:?}");
    }
}

#[test]
fn s01_an_endpoint_without_an_origin_is_where_the_operator_says() {
    let mut case = files(json!({}));
    let error = case.denied(request("own", Method::Get, &["x"]));
    assert_eq!(error.code, "endpoint-needs-origin");
    assert!(
        error.message.contains("own: \"https://host\"") && error.message.contains("`endpoints`"),
        "{}",
        error.message
    );
    case.overrides.insert("own".into(), "https://files.example.org".into());
    let permitted = case.permit(request("own", Method::Get, &["x"])).unwrap();
    assert_eq!((permitted.url.as_str(), permitted.allow_private), ("https://files.example.org/x", false));
}

#[test]
fn credentials_come_from_slots() {
    let case = Case::new();
    let secrets = SlotSecrets::new()
        .with("data", ["now".into(), "before".into()])
        .with("shop", ["shop secret".into()])
        .with("reports", ["R".into()])
        .with("tokens", ["line\r\nhost: evil".into()]);
    let of = |wanted: Request| {
        let permitted = case.permit(wanted).unwrap();
        credential(&permitted, &[], &case.settings, &secrets, 0).map_err(|e| (e.kind, e.code))
    };
    let pair = |name: &str, value: &str| Ok(vec![(name.to_owned(), value.to_owned())]);
    // base64("W1:now"): the current secret only.
    assert_eq!(
        of(request("data", Method::Get, &["v1", "customer"])),
        pair("authorization", "Basic VzE6bm93")
    );
    assert_eq!(of(request("shop", Method::Get, &[])), pair("x-key", "shop secret"));
    // MoEngage's report download: sha256hex(APP_ID|FILENAME|KEY); `printf 'W1|r 1.zip|R' | sha256sum`.
    let expected = "e6266758aa2e752d46c65bd396f8f1aa1389818e06474a35641fd099a957ddb8";
    assert_eq!(
        of(request("reports", Method::Get, &["reports", "x", "r 1.zip"])),
        pair("signature", expected)
    );
    assert_eq!(
        of(request("tokens", Method::Post, &[])),
        Err((ErrorKind::NoSecret, "secret-unusable".into())),
        "a secret can't end its header"
    );
    let empty = SlotSecrets::new().with("data", ["".into()]);
    let permitted = case.permit(request("data", Method::Get, &["v1", "customer"])).unwrap();
    let error = credential(&permitted, &[], &case.settings, &empty, 0).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::NoSecret, "no-secret"));
}

proptest! {
    #[test]
    fn s04_whatever_the_guest_asks_the_url_stays_on_its_origin_and_under_a_prefix(
        path in proptest::collection::vec("\\PC{0,12}", 0..4),
        query in proptest::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..4),
        prefixed: bool,
    ) {
        let case = Case::new();
        let mut wanted = request("data", Method::Get, if prefixed { &["v1", "customer"] } else { &[] });
        wanted.path.extend(path);
        wanted.query = query.clone();
        let segments = wanted.path.clone();
        if let Ok(permitted) = case.permit(wanted) {
            let uri: http::Uri = permitted.url.parse().unwrap();
            prop_assert_eq!(uri.scheme_str(), Some("https"));
            prop_assert_eq!(uri.authority().unwrap().as_str(), "api-01.example.com");
            let under = uri.path() == "/v1/customer" || uri.path().starts_with("/v1/customer/")
                || uri.path() == "/v1/fileimports" || uri.path().starts_with("/v1/fileimports/");
            prop_assert!(under, "{}", uri.path());
            let seen: Vec<_> = uri.path()[1..].split('/').map(unescape).collect();
            prop_assert_eq!(seen, segments);
            let pairs: Vec<_> = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap()).map(|(n, v)| (unescape(n), unescape(v))).collect();
            prop_assert_eq!(pairs, query);
        }
    }

    #[test]
    fn s04_no_header_smuggles_another(name in "\\PC{0,12}", value in "[ -~\r\n\t\0é]{0,20}") {
        let case = Case::new();
        let mut wanted = request("data", Method::Get, &["v1", "customer"]);
        wanted.headers = vec![(name, value)];
        if let Ok(permitted) = case.permit(wanted) {
            for (name, value) in permitted.headers {
                prop_assert!(["moe-appkey", "content-type"].contains(&name.as_str()));
                prop_assert!(http::HeaderValue::from_str(&value).is_ok());
            }
        }
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn s05_a_star_is_one_segment_and_a_dollar_the_end() {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "endpoints": {
        "lists": { "origin": "https://lists.example.com", "methods": ["GET"],
            "paths": ["/v1/catalog/*/items/search$", "/v1/coupons$", "/v2"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." } } }"#;
    let case = Case { manifest: Manifest::parse(text).unwrap(), ..Case::new() };
    let permitted =
        case.permit(request("lists", Method::Get, &["v1", "catalog", "shop 1", "items", "search"])).unwrap();
    assert_eq!(permitted.url, "https://lists.example.com/v1/catalog/shop%201/items/search");
    assert_eq!(permitted.label, "GET lists.example.com/v1/catalog/*/items/search");
    assert!(case.permit(request("lists", Method::Get, &["v1", "coupons"])).is_ok());
    assert!(case.permit(request("lists", Method::Get, &["v2", "whatever"])).is_ok());
    for path in [
        &["v1", "catalog", "shop", "items"][..],
        &["v1", "catalog", "items", "search"],
        &["v1", "catalog", "a", "b", "items", "search"],
        &["v1", "catalog", "shop", "items", "search", "more"],
        &["v1", "catalog", "shop", "items", "search", ""],
        &["v1", "coupons", "list-1", "files"],
        &["v1", "coupons", ""],
        &["v1", "catalog", "", "items", "search"],
    ] {
        let error = case.denied(request("lists", Method::Get, path));
        assert!(["path-not-granted", "bad-path-segment"].contains(&error.code.as_str()), "{path:?}");
        if error.code == "path-not-granted" {
            assert!(
                error.message.contains("/v1/catalog/*/items/search$, /v1/coupons$, /v2"),
                "{}",
                error.message
            );
        }
    }
}

#[test]
fn s01_one_origin_for_all_is_for_those_that_have_one_and_are_not_signed_for_a_host() {
    let text = r#"{ "connector": "example", "contract": "0.1.0", "endpoints": {
        "api": { "origin": "https://api.example.com", "methods": ["GET"], "paths": ["/"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." },
        "named": { "origin": "https://named.example.com", "methods": ["GET"], "paths": ["/"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." },
        "own": { "methods": ["GET"], "paths": ["/"],
            "auth": { "bearer": { "slot": "t" } }, "purpose": "Reads." },
        "files": { "origin": "https://s3.example.com", "methods": ["GET"], "paths": ["/"],
            "auth": { "aws-sigv4": { "access-key": "id", "slot": "t", "region": { "literal": "x" }, "service": "s3" } },
            "purpose": "Reads." } } }"#;
    let mut case =
        Case { manifest: Manifest::parse(text).unwrap(), settings: json!({ "id": "A" }), ..Case::new() };
    case.overrides.insert("*".into(), "https://gateway.example.com".into());
    case.overrides.insert("named".into(), "https://other.example.com".into());
    for (endpoint, url) in [
        ("api", "https://gateway.example.com/x"),
        ("named", "https://other.example.com/x"),
        ("files", "https://s3.example.com/x"),
    ] {
        assert_eq!(case.permit(request(endpoint, Method::Get, &["x"])).unwrap().url, url);
    }
    assert_eq!(case.denied(request("own", Method::Get, &["x"])).code, "endpoint-needs-origin");
}
