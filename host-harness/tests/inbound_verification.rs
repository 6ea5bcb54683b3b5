//! Inbound verification, through its public door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use base64::Engine as _;
use host_harness::manifest::inbound::{Presented, RefusedCode, Verified, verify};
use host_harness::manifest::{Auth, Manifest};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

const CURRENT: &str = "s3cret:with colon";
const PREVIOUS: &str = "yesterday";

fn scheme(name: &str) -> Auth {
    let manifest = r#"{ "connector": "example", "contract": "0.1.0", "inbound": {
        "basic": { "basic": { "user": "webhook.user", "slot": "webhook" } },
        "header": { "header": { "name": "webhook.header", "slot": "webhook" } },
        "bearer": { "bearer": { "slot": "webhook" } },
        "alerts": { "digest": { "hash": "sha256", "slot": "webhook", "encoding": "hex", "header": "Signature",
            "parts": [ "slot", { "literal": "|" }, "body" ] } },
        "signed": { "digest": { "hmac": "sha256", "slot": "webhook", "encoding": "base64",
            "header": "x-signature", "prefix": "sha256=", "parts": [ { "setting": "workspace" }, "body" ] } } } }"#;
    Manifest::parse(manifest).unwrap().inbound.remove(name).unwrap()
}

fn settings() -> Value {
    json!({ "workspace": "W1", "webhook": { "user": "tajo", "header": "X-Tajo-Key" } })
}

fn secrets() -> Vec<SecretString> {
    vec![CURRENT.into(), PREVIOUS.into()]
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn attempt(name: &str, pairs: &[(&str, &str)], body: &[u8]) -> Result<Verified, RefusedCode> {
    let headers = headers(pairs);
    let request = Presented { headers: &headers, path: &[], body };
    verify(&scheme(name), &request, &settings(), &secrets()).map_err(|refused| refused.code)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn through(header: &str, secret: usize) -> Result<Verified, RefusedCode> {
    Ok(Verified { header: header.into(), secret })
}

#[test]
fn w01_basic() {
    use RefusedCode::*;
    let one = |value: &str| attempt("basic", &[("authorization", value)], b"");
    let right = basic("tajo", CURRENT);
    assert_eq!(one(&right), through("authorization", 0));
    assert_eq!(one(&right.replace("Basic", "bAsIc")), through("authorization", 0));
    assert_eq!(one(&right.replace("Basic ", "Basic   ")), through("authorization", 0));
    assert_eq!(one(right.trim_end_matches('=')), through("authorization", 0));
    assert_eq!(attempt("basic", &[("AUTHORIZATION", &right)], b""), through("authorization", 0));
    for (value, code) in [
        (basic("tajo", "wrong"), CredentialWrong),
        (basic("Tajo", CURRENT), CredentialWrong),
        (basic("", CURRENT), CredentialWrong),
        (basic("tajo", ""), CredentialWrong),
        (right.replace("Basic", "Bearer"), CredentialMalformed),
        (right.replace("Basic ", "Basic"), CredentialMalformed),
        ("Basic".into(), CredentialMalformed),
        ("Basic ".into(), CredentialMalformed),
        ("Basic !!!!".into(), CredentialMalformed),
        ("Basic dGFqbw==".into(), CredentialMalformed), // no colon
        (String::new(), CredentialMalformed),
        (format!("{right}, {right}"), CredentialMalformed),
    ] {
        assert_eq!(one(&value), Err(code), "{value}");
    }
    assert_eq!(attempt("basic", &[], b""), Err(CredentialMissing));
    assert_eq!(attempt("basic", &[("x-tajo-key", CURRENT)], b""), Err(CredentialMissing));
}

#[test]
fn w01_header_and_bearer() {
    use RefusedCode::*;
    assert_eq!(attempt("header", &[("x-tajo-key", CURRENT)], b""), through("x-tajo-key", 0));
    assert_eq!(attempt("header", &[("X-TAJO-KEY", CURRENT)], b""), through("x-tajo-key", 0));
    assert_eq!(attempt("header", &[("x-tajo-key", "s3cret")], b""), Err(CredentialWrong));
    assert_eq!(attempt("header", &[("x-tajo-key", "")], b""), Err(CredentialWrong));
    let bearer = format!("Bearer {CURRENT}");
    assert_eq!(attempt("bearer", &[("authorization", &bearer)], b""), through("authorization", 0));
    assert_eq!(attempt("bearer", &[("authorization", "Bearer x")], b""), Err(CredentialWrong));
    assert_eq!(attempt("bearer", &[("authorization", CURRENT)], b""), Err(CredentialMalformed));
}

#[test]
fn w01_a_credential_that_comes_twice_is_refused_even_if_both_are_right() {
    for (name, header, value) in
        [("header", "x-tajo-key", CURRENT.to_owned()), ("basic", "authorization", basic("tajo", CURRENT))]
    {
        let twice = [(header, value.as_str()), (header, value.as_str())];
        assert_eq!(attempt(name, &twice, b""), Err(RefusedCode::CredentialRepeated));
        let mixed = [(header, "wrong"), (header, value.as_str())];
        assert_eq!(attempt(name, &mixed, b""), Err(RefusedCode::CredentialRepeated));
    }
}

#[test]
fn w05_old_and_new_secret_are_accepted_and_told_apart() {
    assert_eq!(attempt("header", &[("x-tajo-key", PREVIOUS)], b""), through("x-tajo-key", 1));
    assert_eq!(
        attempt("basic", &[("authorization", &basic("tajo", PREVIOUS))], b""),
        through("authorization", 1)
    );
}

#[test]
fn w02_no_secret_or_an_empty_one_opens_nothing() {
    let headers = headers(&[("x-tajo-key", "")]);
    let request = Presented { headers: &headers, path: &[], body: b"" };
    let with = |secrets: &[SecretString]| {
        verify(&scheme("header"), &request, &settings(), secrets).unwrap_err().code
    };
    assert_eq!(with(&[]), RefusedCode::SecretMissing);
    assert_eq!(with(&["".into()]), RefusedCode::SecretMissing);
    assert_eq!(with(&["".into(), CURRENT.into()]), RefusedCode::CredentialWrong);
    assert_eq!(RefusedCode::SecretMissing.actor(), "operator");
}

#[test]
fn a_setting_that_is_missing_is_the_tenants() {
    let headers = headers(&[
        ("authorization", &basic("tajo", CURRENT)),
        ("x-signature", &format!("sha256={}=", "A".repeat(43))),
    ]);
    let request = Presented { headers: &headers, path: &[], body: b"" };
    for name in ["basic", "header", "signed"] {
        let refused =
            verify(&scheme(name), &request, &json!({ "webhook": { "user": "", "header": 7 } }), &secrets());
        assert_eq!(refused.unwrap_err().code, RefusedCode::SettingMissing, "{name}");
    }
    assert_eq!(RefusedCode::SettingMissing.actor(), "tenant");
}

/// MoEngage Alerts: `Signature = sha256hex(<key> + "|" + <raw body>)`.
/// Expected value made with coreutils: `printf 's3cret:with colon|{"a":1}' | sha256sum`.
#[test]
fn w06_a_hash_over_raw_bytes() {
    const SIGNATURE: &str = "cf78c084e4654f51722dfd24b7467aa169317e801a027782b8c41840ec0ed8a3";
    let with = |signature: &str, body: &[u8]| attempt("alerts", &[("signature", signature)], body);
    assert_eq!(with(SIGNATURE, b"{\"a\":1}"), through("signature", 0));
    assert_eq!(with(&SIGNATURE.to_uppercase(), b"{\"a\":1}"), through("signature", 0));
    for body in [&b"{\"a\":1}\n"[..], b"\xef\xbb\xbf{\"a\":1}", b"{\"a\": 1}", b""] {
        assert_eq!(with(SIGNATURE, body), Err(RefusedCode::CredentialWrong));
    }
    for signature in ["", "zz", &SIGNATURE[1..], &format!("{SIGNATURE}00"), &SIGNATURE.replacen('6', "g", 1)]
    {
        assert_eq!(with(signature, b"{\"a\":1}"), Err(RefusedCode::CredentialMalformed), "{signature}");
    }
}

/// Expected values made with OpenSSL: `printf 'W1\xff\x00' | openssl dgst -sha256 -hmac <key> -binary | base64`.
#[test]
fn w06_an_hmac_over_bytes_that_are_no_text() {
    const BY_CURRENT: &str = "2MEycG9zr8+6rbxrDqJgG4/HwnM5RRW5grocj1n1u7I=";
    const BY_PREVIOUS: &str = "gtqvFR5+QN9gm/5kLwEUH25pTbCrTKSaXiIzhJRgc30=";
    let with = |signature: &str| attempt("signed", &[("x-signature", signature)], b"\xff\x00");
    assert_eq!(with(&format!("sha256={BY_CURRENT}")), through("x-signature", 0));
    assert_eq!(with(&format!("sha256={}", BY_CURRENT.trim_end_matches('='))), through("x-signature", 0));
    assert_eq!(with(&format!("sha256={BY_PREVIOUS}")), through("x-signature", 1));
    assert_eq!(with(BY_CURRENT), Err(RefusedCode::CredentialMalformed));
    assert_eq!(with(&format!("sha1={BY_CURRENT}")), Err(RefusedCode::CredentialMalformed));
}

#[test]
fn w06_alerts_of_moengage_are_verified_over_raw_bytes_by_the_connector_s_manifest() {
    // sha256("campaign-report-key|" + body) in hex, by Python's hashlib as in
    // MD:partner-guide/data-and-analytics/workflow-automation/webhook.mdx.
    const SIGNATURE: &str = "470c97de9f2f122019bff7c1b05dbd4b8e9e61f5ccf9883c3ae5c057261480a1";
    const BODY: &str = r#"{"alert_id":"67dd1f","alert_name":"Zustellrate fällt"}"#;
    let manifest = Manifest::parse(include_str!("../../manifest.json")).unwrap();
    let scheme = &manifest.inbound["alerts"];
    assert_eq!(scheme.slot(), "campaigns");
    let with = |signature: &str, body: &[u8]| {
        let headers = headers(&[("Signature", signature)]);
        let request = Presented { headers: &headers, path: &[], body };
        verify(scheme, &request, &json!({}), &["campaign-report-key".into()]).map_err(|refused| refused.code)
    };
    assert_eq!(with(SIGNATURE, BODY.as_bytes()), through("signature", 0));
    assert_eq!(with(&SIGNATURE.to_uppercase(), BODY.as_bytes()), through("signature", 0));
    for other in [
        format!("\u{FEFF}{BODY}"),
        format!("{BODY}\n"),
        BODY.replace(':', ": "),
        BODY.replace('ä', "\\u00e4"),
    ] {
        assert_eq!(with(SIGNATURE, other.as_bytes()), Err(RefusedCode::CredentialWrong), "{other}");
    }
}

proptest! {
    #[test]
    fn w01_nothing_but_a_live_secret_passes(value in "[ -~]{0,40}", body in proptest::collection::vec(any::<u8>(), 0..64)) {
        for name in ["basic", "header", "bearer", "alerts", "signed"] {
            for header in ["authorization", "x-tajo-key", "signature", "x-signature"] {
                for value in [value.clone(), format!("Basic {value}"), format!("Bearer {value}"), format!("sha256={value}")] {
                    prop_assert!(value.contains(CURRENT) || value.contains(PREVIOUS)
                        || attempt(name, &[(header, &value)], &body).is_err());
                }
            }
        }
    }

    #[test]
    fn w01_every_bit_of_a_signature_counts(byte in 0_usize..32, bit in 0_u8..8, body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let Auth::Digest(digest) = scheme("signed") else { unreachable!() };
        let signed = host_harness::manifest::digest::Signed { path: &[], body: &body, settings: &settings() };
        let mut value = digest.compute(&CURRENT.into(), &signed).unwrap();
        prop_assert_eq!(attempt("signed", &[("x-signature", &digest.encode(value))], &body), through("x-signature", 0));
        value[byte] ^= 1 << bit;
        prop_assert_eq!(attempt("signed", &[("x-signature", &digest.encode(value))], &body), Err(RefusedCode::CredentialWrong));
    }
}
