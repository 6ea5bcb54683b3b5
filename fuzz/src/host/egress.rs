//! Calls outward: what the policy lets through, which addresses are dialled, how long is waited.

use std::collections::BTreeMap;
use std::net::IpAddr;

use host_harness::contract::RateWindow;
use host_harness::contract::http::{ErrorKind, Method, Request};
use host_harness::egress::addresses::is_public;
use host_harness::egress::policy::Grant;
use host_harness::egress::rate::{Ready, Windows};
use host_harness::egress::rate_headers::{RateHeaders, WAIT};
use host_harness::manifest::Manifest;
use host_harness::networks::{Network, written_address};
use serde_json::json;

use super::{NOW, first_line, headers};

/// A line with the status, and lines with headers.
pub fn rate_headers(data: &[u8]) {
    let (status, rest) = first_line(data);
    let status = status.trim().parse().unwrap_or(429);
    let (pairs, _) = headers(rest);
    let read = RateHeaders::read(&pairs, NOW);
    let bounded = |wait: i64| (WAIT.0..=WAIT.1).contains(&wait);
    assert!(read.reset.is_none_or(bounded) && read.retry_after.is_none_or(bounded));
    assert!(read.wait(status).is_none_or(bounded));
    // What was read, written plainly, is read the same.
    let plain: Vec<_> = [
        ("x-ratelimit-limit", read.limit),
        ("x-ratelimit-remaining", read.remaining),
        ("x-ratelimit-reset", read.reset.map(|wait| wait as u64 / 1_000)),
        ("retry-after", read.retry_after.map(|wait| wait as u64 / 1_000)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_string())))
    .collect();
    let again = RateHeaders::read(&plain, NOW);
    let seconds = |wait: Option<i64>| wait.map(|wait| wait / 1_000);
    assert_eq!((again.limit, again.remaining), (read.limit, read.remaining));
    assert_eq!(
        (seconds(again.reset), seconds(again.retry_after)),
        (seconds(read.reset), seconds(read.retry_after))
    );

    let mut windows = Windows::new(&[RateWindow { calls: 5, seconds: 60 }]);
    for step in 0..4 {
        let now = NOW + step;
        windows.feedback(now, status, &read);
        windows.note(now);
        match windows.check(now) {
            Ready::Now => assert!(read.wait(status).is_none()),
            Ready::At(at) => assert!(at > now && at <= now + WAIT.1, "{at} is not soon after {now}"),
        }
    }
}

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "X-Request-Id",
    "endpoints": {
        "data": { "origin": "https://api-{data_center}.example.com",
            "variables": { "data_center": { "enum": ["01", "101"] } },
            "methods": ["POST", "GET"], "paths": ["/v1/fileimports", "/v1/customer/{workspace_id}", "/v2/*/items$"],
            "headers": ["MOE-APPKEY", "content-type"],
            "auth": { "basic": { "user": "workspace_id", "slot": "data" } }, "purpose": "Checks the key." },
        "shop": { "origin": "https://{shop.name}.shops.example:8443",
            "variables": { "shop.name": { "label-under": "shops.example" } },
            "methods": ["DELETE", "GET", "PUT"], "paths": ["/"], "headers": ["content-type"],
            "auth": { "header": { "name": { "literal": "X-Key" }, "slot": "shop" } }, "purpose": "Reads." } } }"#;

/// Lines: endpoint, method, `workspace_id`, `data_center` or the shop's name, the operator's own origin (or nothing),
/// path segments between bars, query pairs and headers as `name: value` between bars.
pub fn egress_policy(data: &[u8]) {
    static PARSED: std::sync::OnceLock<Manifest> = std::sync::OnceLock::new();
    let manifest = PARSED.get_or_init(|| Manifest::parse(MANIFEST).expect("a manifest"));
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let pairs = |at: usize| -> Vec<(String, String)> {
        let pairs = line(at).split('|').filter_map(|pair| pair.split_once(": "));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let settings = json!({ "workspace_id": line(2), "data_center": line(3), "shop": { "name": line(3) } });
    let mut overrides = BTreeMap::new();
    if !line(4).is_empty() {
        overrides.insert(line(0).to_owned(), line(4).to_owned());
    }
    let method = match line(1) {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Get,
    };
    let path: Vec<String> = line(5).split('|').map(str::to_owned).collect();
    let allow_private = data.len().is_multiple_of(2);
    let grant = Grant { manifest, settings: &settings, overrides: &overrides, allow_private };
    let permitted = grant.permit(Request {
        endpoint: line(0).to_owned(),
        method,
        path: path.clone(),
        query: pairs(6),
        headers: pairs(7),
        body: None,
        timeout_ms: None,
    });
    let permitted = match permitted {
        Ok(permitted) => permitted,
        Err(error) => {
            assert_eq!((error.kind, error.request_sent), (ErrorKind::Denied, false));
            return;
        }
    };
    let url: http::Uri = permitted.url.parse().unwrap_or_else(|e| panic!("{}: {e}", permitted.url));
    let (scheme, host) = (url.scheme_str().unwrap_or_default(), url.host().unwrap_or_default());
    let authority = url.authority().expect("it is absolute").as_str();
    assert!(!authority.contains('@') && permitted.url.bytes().all(|b| b.is_ascii_graphic()));
    if line(4).is_empty() {
        let granted = match line(0) {
            "data" => ["01", "101"].iter().any(|center| authority == format!("api-{center}.example.com")),
            _ => authority.strip_suffix(".shops.example:8443").is_some_and(|label| !label.contains('.')),
        };
        assert!(scheme == "https" && granted && !permitted.allow_private, "{authority}");
    } else {
        assert!(scheme == "https" || (scheme == "http" && allow_private));
        let written = line(4).split_once("://").map(|(_, rest)| rest.trim_end_matches('/'));
        assert_eq!(Some(authority), written);
        assert!(!host.is_empty());
    }
    // Unescaped, the path is segment for segment what was asked for, under a granted prefix.
    let segments: Vec<String> = url.path()[1..].split('/').map(unescape).collect();
    assert_eq!(segments, path);
    assert!(segments.iter().all(|segment| segment != "." && segment != ".."));
    if line(0) == "data" {
        let two = segments.get(1).map(String::as_str);
        let under = match segments[0].as_str() {
            "v1" if two == Some("fileimports") => true,
            "v1" => two == Some("customer") && segments.get(2).map(String::as_str) == Some(line(2)),
            "v2" => segments.len() == 3 && segments[2] == "items",
            _ => false,
        };
        assert!(under, "{segments:?}");
    }
    let mut names: Vec<_> = permitted.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| ["moe-appkey", "content-type"].contains(name)), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), permitted.headers.len());
    for (_, value) in &permitted.headers {
        assert!(value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)));
    }
}

fn unescape(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let hex = std::str::from_utf8(&after[..2]).expect("two digits");
            bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("it was text")
}

/// An address or a network, as somebody writes it.
pub fn addresses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse::<Network>(), Ok(network));
    }
    if let Some(address) = written_address(&text) {
        judged(address);
        assert_eq!(written_address(&address.to_string()), Some(address));
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        judged(IpAddr::from(*bytes));
    }
    if let Some(bytes) = data.first_chunk::<4>() {
        judged(IpAddr::from(*bytes));
    }
}

fn judged(address: IpAddr) {
    assert_eq!(is_public(address), is_public(address.to_canonical()));
    let own: Network = address.to_string().parse().expect("an address is a network");
    assert!(own.contains(address));
    let local = match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    };
    assert!(!(local && is_public(address)), "{address}");
}
