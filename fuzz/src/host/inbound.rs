//! Who sent a webhook: credentials and signatures.

use base64::Engine as _;
use host_harness::manifest::inbound::{Presented, verify};
use host_harness::manifest::{Auth, Manifest};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::json;

use super::{first_line, headers};

const SECRETS: [&str; 2] = ["s3cret:with colon", "yesterday"];
const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "inbound": {
    "basic": { "basic": { "user": "webhook.user", "slot": "webhook" } },
    "header": { "header": { "name": "webhook.header", "slot": "webhook" } },
    "bearer": { "bearer": { "slot": "webhook" } },
    "alerts": { "digest": { "hash": "sha256", "slot": "webhook", "encoding": "hex", "header": "signature",
        "parts": [ "slot", { "literal": "|" }, "body" ] } },
    "signed": { "digest": { "hmac": "sha256", "slot": "webhook", "encoding": "base64",
        "header": "x-signature", "prefix": "sha256=", "parts": [ { "setting": "workspace" }, "body" ] } } } }"#;

/// A line with the scheme, lines with headers, an empty line, and a body.
pub fn inbound(data: &[u8]) {
    static SCHEMES: std::sync::OnceLock<Manifest> = std::sync::OnceLock::new();
    let schemes = SCHEMES.get_or_init(|| Manifest::parse(MANIFEST).expect("a manifest"));
    let (name, rest) = first_line(data);
    let Some(scheme) = schemes.inbound.get(&name) else { return };
    let (pairs, body) = headers(rest);
    let mut presented = HeaderMap::new();
    for (name, value) in &pairs {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        else {
            return;
        };
        presented.append(name, value);
    }
    let settings = json!({ "workspace": "W1", "webhook": { "user": "tajo", "header": "X-Tajo-Key" } });
    let secrets = SECRETS.map(SecretString::from);
    let request = Presented { headers: &presented, path: &[], body };
    let verified = verify(scheme, &request, &settings, &secrets);
    assert!(verify(scheme, &request, &settings, &[]).is_err(), "no secret opened the door");
    let Ok(verified) = verified else { return };
    // Whoever came in showed the secret that the host says, in the one header.
    let secret = SECRETS[verified.secret];
    let values: Vec<_> = presented.get_all(&verified.header).iter().collect();
    let [value] = values[..] else { panic!("{} is there {} times", verified.header, values.len()) };
    let value = value.to_str().expect("text");
    match scheme {
        Auth::Header { .. } => assert_eq!(value, secret),
        Auth::Bearer { .. } => assert_eq!(value[7..].trim(), secret),
        Auth::Basic { .. } => {
            let pair = value[6..].trim().trim_end_matches('=');
            let pair = base64::engine::general_purpose::STANDARD_NO_PAD.decode(pair).expect("base64");
            assert_eq!(pair, format!("tajo:{secret}").into_bytes());
        }
        Auth::Digest(digest) => {
            let signed = host_harness::manifest::digest::Signed { path: &[], body, settings: &settings };
            let expected = digest.compute(&secrets[verified.secret], &signed).expect("everything is set");
            assert_eq!(digest.decode(value), Some(expected));
        }
        Auth::AwsSigv4 { .. } => panic!("nothing passes it"),
    }
}
