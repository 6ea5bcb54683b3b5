//! Whether a request is signed as Amazon describes it: Signature Version 4 in the headers.

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::objects::hex;
use crate::clock::{Millis, parse_rfc3339};
use crate::http::Request;

/// Amazon: "Any request older or newer than 15 minutes is refused".
pub(super) const LARGEST_SKEW_MS: i64 = 15 * 60_000;

/// Amazon's unreserved characters; a path keeps its slashes too.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// The key and scope that a request must be signed for.
pub(super) struct Wanted<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
}

/// Why a request counts as unsigned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// No `Authorization`.
    Missing,
    /// `Authorization` is of another kind.
    OtherScheme,
    /// `Authorization` can't be read, or its scope is another one.
    Malformed(String),
    /// The key does not exist.
    UnknownKey(String),
    /// No readable `x-amz-date`.
    NoDate,
    /// The clocks are too far apart.
    Skewed { said: String },
    /// No `x-amz-content-sha256`.
    NoPayloadHash,
    /// `x-amz-content-sha256` is not the hash of the body.
    OtherPayload,
    /// Headers that had to be signed and are not.
    HeadersNotSigned(Vec<String>),
    /// The signature is not the one that these lead to.
    Mismatch { canonical: String, to_sign: String },
}

/// The parts of `Authorization`.
struct Authorization<'a> {
    access_key_id: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        // The id of the key may hold slashes, the scope has four parts.
        let mut parts = credential?.rsplitn(5, '/');
        let (end, service, region, day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (end == "aws4_request").then_some(())?;
        let mut signed: Vec<&str> = signed?.split(';').collect();
        // In the canonical request they stand in order, whatever order they are named in.
        signed.sort_unstable();
        Some(Self { access_key_id: parts.next()?, day, region, service, signed, signature: signature? })
    }
}

/// Checks a request, in the order in which S3 reports what is wrong.
pub(super) fn verify(request: &Request, wanted: &Wanted<'_>) -> Result<(), Unsigned> {
    let text = request.header("authorization").ok_or(Unsigned::Missing)?;
    let parts = text.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(Unsigned::OtherScheme)?;
    let malformed = |message: String| Err(Unsigned::Malformed(message));
    let Some(given) = Authorization::read(parts) else {
        return malformed("The authorization header is malformed".to_owned());
    };
    if given.access_key_id != wanted.access_key_id {
        return Err(Unsigned::UnknownKey(given.access_key_id.to_owned()));
    }
    if given.region != wanted.region {
        let (given, wanted) = (given.region, wanted.region);
        return malformed(format!(
            "The authorization header is malformed; the region '{given}' is wrong; expecting '{wanted}'"
        ));
    }
    if given.service != "s3" {
        let service = given.service;
        return malformed(format!(
            "The authorization header is malformed; incorrect service \"{service}\". This endpoint belongs to \"s3\"."
        ));
    }
    let said = request.header("x-amz-date").ok_or(Unsigned::NoDate)?;
    let at = instant(said).ok_or(Unsigned::NoDate)?;
    if said.get(..8) != Some(given.day) {
        return malformed(format!(
            "The authorization header is malformed; Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            given.day,
            said.get(..8).unwrap_or_default()
        ));
    }
    if (request.at - at).abs() > LARGEST_SKEW_MS {
        return Err(Unsigned::Skewed { said: said.to_owned() });
    }
    let payload = request.header("x-amz-content-sha256").ok_or(Unsigned::NoPayloadHash)?;
    if payload != "UNSIGNED-PAYLOAD" && payload != hex(&Sha256::digest(&request.body)) {
        return Err(Unsigned::OtherPayload);
    }
    let must = |name: &str| name == "host" || name.starts_with("x-amz-");
    let unsigned: Vec<String> = request
        .headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .filter(|name| must(name) && !given.signed.contains(&name.as_str()))
        .collect();
    if !unsigned.is_empty() {
        return Err(Unsigned::HeadersNotSigned(unsigned));
    }
    let canonical = canonical_request(request, &given.signed, payload);
    let scope = format!("{}/{}/s3/aws4_request", given.day, given.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{said}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    let key = signing_key(wanted.secret, given.day, given.region, "s3");
    match hex(&keyed(&key, to_sign.as_bytes())) == given.signature {
        true => Ok(()),
        false => Err(Unsigned::Mismatch { canonical, to_sign }),
    }
}

/// `20130524T000000Z`.
fn instant(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let (day, time) = (digits(0..8)?, digits(9..15)?);
    parse_rfc3339(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    ))
}

fn canonical_request(request: &Request, signed: &[&str], payload: &str) -> String {
    // As S3 does it: decoded once and encoded once, no segment normalised.
    let path: Vec<u8> = percent_decode_str(&request.path).collect();
    let path = percent_encoding::percent_encode(&path, PATH);
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let mut query: Vec<(String, String)> =
        request.query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: String =
        signed.iter().map(|name| format!("{name}:{}\n", header_value(&request.headers, name))).collect();
    let (method, query, signed) = (&request.method, query.join("&"), signed.join(";"));
    format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}")
}

/// All values of a header, each trimmed and with single spaces.
fn header_value(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    });
    values.collect::<Vec<_>>().join(",")
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    let key = keyed(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    let key = keyed(&key, region.as_bytes());
    let key = keyed(&key, service.as_bytes());
    keyed(&key, b"aws4_request")
}

fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    // A key of any length is allowed, so there is nothing that could fail.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    hmac.update(message);
    hmac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;

    /// The key of every example in Amazon's documents.
    const KEY: Wanted<'_> = Wanted {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
    };
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn request(path: &str, query: &[(&str, &str)], signed: &str, signature: &str, range: bool) -> Request {
        let mut headers = HeaderMap::new();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},Signature={signature}"
        );
        headers.insert("authorization", authorization.parse().unwrap());
        headers.insert("host", "examplebucket.s3.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20130524T000000Z".parse().unwrap());
        headers.insert("x-amz-content-sha256", NOTHING.parse().unwrap());
        if range {
            headers.insert("range", "bytes=0-9".parse().unwrap());
        }
        Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            headers,
            body: Bytes::new(),
            at: parse_rfc3339("2013-05-24T00:00:00Z").unwrap(),
            seq: 0,
        }
    }

    /// Amazon S3 API reference, "Authenticating requests: using the Authorization header", the
    /// three examples without a body: get an object, get a lifecycle, list objects.
    fn published() -> [Request; 3] {
        let all = "host;x-amz-content-sha256;x-amz-date";
        [
            request(
                "/test.txt",
                &[],
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
                true,
            ),
            request(
                "/",
                &[("lifecycle", "")],
                all,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
                false,
            ),
            request(
                "/",
                &[("max-keys", "2"), ("prefix", "J")],
                all,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
                false,
            ),
        ]
    }

    #[test]
    fn amazon_s_published_examples_are_accepted() {
        for request in published() {
            assert_eq!(verify(&request, &KEY), Ok(()), "{} {:?}", request.path, request.query);
        }
    }

    /// "Deriving the signing key", AWS General Reference.
    #[test]
    fn the_published_signing_key_is_derived() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            hex(&signing_key(secret, "20150830", "us-east-1", "iam")),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn whatever_is_changed_after_signing_is_noticed() {
        type Change = fn(&mut Request);
        let changes: [Change; 6] = [
            |request| request.method = "PUT".to_owned(),
            |request| request.path.push('x'),
            |request| request.query.push(("marker".to_owned(), String::new())),
            |request| request.headers.append("host", "other".parse().unwrap()).then_some(()).unwrap(),
            |request| drop(request.headers.insert("host", "other".parse().unwrap())),
            |request| drop(request.headers.insert("x-amz-date", "20130524T000001Z".parse().unwrap())),
        ];
        for mut request in published() {
            let wrong = Wanted { secret: "other", ..KEY };
            assert!(matches!(verify(&request, &wrong), Err(Unsigned::Mismatch { .. })));
            for change in changes {
                let (method, path) = (request.method.clone(), request.path.clone());
                let (query, headers) = (request.query.clone(), request.headers.clone());
                change(&mut request);
                assert!(matches!(verify(&request, &KEY), Err(Unsigned::Mismatch { .. })));
                (request.method, request.path, request.query, request.headers) =
                    (method, path, query, headers);
            }
        }
    }

    #[test]
    fn each_part_of_a_signature_is_required() {
        let with = |change: &dyn Fn(&mut Request)| {
            let [mut request, ..] = published();
            change(&mut request);
            verify(&request, &KEY).unwrap_err()
        };
        let set = |name: &'static str, from: &'static str, to: &'static str| {
            move |request: &mut Request| {
                let value = request.headers[name].to_str().unwrap().replace(from, to);
                request.headers.insert(name, value.parse().unwrap());
            }
        };
        let without = |name: &'static str| move |request: &mut Request| drop(request.headers.remove(name));
        assert_eq!(with(&without("authorization")), Unsigned::Missing);
        assert_eq!(with(&set("authorization", "AWS4-HMAC-SHA256", "Basic")), Unsigned::OtherScheme);
        assert_eq!(with(&without("x-amz-date")), Unsigned::NoDate);
        assert_eq!(with(&set("x-amz-date", "T", " ")), Unsigned::NoDate);
        assert_eq!(with(&without("x-amz-content-sha256")), Unsigned::NoPayloadHash);
        assert_eq!(with(&set("x-amz-content-sha256", "e3b0", "e3b1")), Unsigned::OtherPayload);
        assert_eq!(with(&|request| request.body = "x".into()), Unsigned::OtherPayload);
        assert_eq!(
            with(&set("authorization", "AKIAIOSFODNN7EXAMPLE", "AKIAOTHER")),
            Unsigned::UnknownKey("AKIAOTHER".to_owned())
        );
        assert_eq!(
            with(&set("authorization", "host;", "")),
            Unsigned::HeadersNotSigned(vec!["host".to_owned()])
        );
        for (from, to) in [
            ("us-east-1", "eu-central-1"),
            ("/s3/", "/iam/"),
            ("aws4_request", "aws4"),
            ("20130524/", "20130525/"),
            (",Signature", ",Sign"),
        ] {
            let refused = with(&set("authorization", from, to));
            assert!(matches!(refused, Unsigned::Malformed(_)), "{to}: {refused:?}");
        }
        assert!(matches!(with(&|request| request.at += 15 * 60_000 + 1), Unsigned::Skewed { .. }));
        assert!(matches!(with(&|request| request.at -= 15 * 60_000 + 1), Unsigned::Skewed { .. }));
        let [mut request, ..] = published();
        request.at += 15 * 60_000;
        assert_eq!(verify(&request, &KEY), Ok(()), "fifteen minutes are allowed");
    }
}
