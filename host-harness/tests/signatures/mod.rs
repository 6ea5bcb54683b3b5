//! AWS Signature Version 4 as a service verifies it, written from AWS's description
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>) and from no
//! code of the host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// A request as it arrived.
pub struct Arrived<'a> {
    pub method: &'a str,
    /// Path and query, as in the request line.
    pub target: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// The signature that the request should have, by what its own headers say of date and scope;
/// with the one that it has.
pub fn expected_and_given(request: &Arrived, secret: &str) -> (String, String) {
    let header = |name: &str| {
        let values: Vec<_> = request.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
        assert_eq!(values.len(), 1, "{name} is there once");
        values[0].clone()
    };
    let authorization = header("authorization");
    let fields: BTreeMap<_, _> = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .unwrap()
        .split(',')
        .map(|field| field.trim().split_once('=').unwrap())
        .collect();
    let (_, scope) = fields["Credential"].split_once('/').unwrap();
    assert_eq!(header("x-amz-content-sha256"), hex(&Sha256::digest(request.body)), "the real body's");

    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.sort();
    let query: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let names: Vec<_> = fields["SignedHeaders"].split(';').collect();
    assert!(names.is_sorted(), "{names:?}");
    let headers: String = names
        .iter()
        .map(|name| {
            let value: Vec<_> = header(name).split_ascii_whitespace().map(str::to_owned).collect();
            format!("{name}:{}\n", value.join(" "))
        })
        .collect();
    let canonical =
        [request.method, path, &query.join("&"), &headers, &names.join(";"), &header("x-amz-content-sha256")]
            .join("\n");
    let canonical = hex(&Sha256::digest(canonical));
    let to_sign = ["AWS4-HMAC-SHA256", &header("x-amz-date"), scope, &canonical].join("\n");
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    (hex(&mac(&key, &to_sign)), fields["Signature"].to_owned())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
