//! The parametric digest scheme: one description for the many ways in which vendors sign.
//!
//! ```json
//! { "digest": { "hash": "sha256", "slot": "campaigns", "encoding": "hex", "header": "signature",
//!               "parts": [ { "setting": "workspace_id" }, { "literal": "|" }, { "path": "last" },
//!                          { "literal": "|" }, "slot" ] } }
//! { "digest": { "hmac": "sha256", "slot": "webhook", "encoding": "base64", "header": "x-signature",
//!               "prefix": "sha256=", "parts": [ "body" ] } }
//! ```
//!
//! With `hash`, the secret has to be one of the parts; with `hmac` it is the key, and no part.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::setting;
use crate::hex;

/// How the parts of a request become the value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Hash or HMAC.
    pub method: Method,
    /// Slot of the secret.
    pub slot: String,
    /// How the bytes are written into the header.
    pub encoding: Encoding,
    /// Lower-case name of the header.
    pub header: String,
    /// Fixed text before the encoded bytes.
    pub prefix: String,
    /// What is digested, in this order, with nothing between.
    pub parts: Vec<Part>,
}

/// How the secret takes part. Always SHA-256, the only algorithm of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The secret is one of the parts.
    Hash,
    /// The secret is the key.
    Hmac,
}

/// Text forms of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Lower case when written, either case when read.
    Hex,
    /// Standard alphabet, padded when written, either way when read.
    Base64,
}

/// One thing that is digested.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// Fixed text.
    Literal(String),
    /// The secret itself.
    Slot,
    /// The raw body.
    Body,
    /// The path of the request, unescaped.
    Path(PathPart),
    /// The tenant's setting at this dotted path.
    Setting(String),
}

/// Which piece of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathPart {
    /// `/` and all segments joined by `/`.
    Whole,
    /// The last segment.
    Last,
}

/// What a digest is made over.
pub struct Signed<'a> {
    /// Path segments, unescaped.
    pub path: &'a [String],
    /// Raw body.
    pub body: &'a [u8],
    /// The tenant's settings.
    pub settings: &'a Value,
}

/// A part needs a setting that isn't there; the path of the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSetting(pub String);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Digest {
    /// The digest under one secret.
    pub fn compute(&self, secret: &SecretString, signed: &Signed) -> Result<[u8; 32], MissingSetting> {
        let secret = secret.expose_secret().as_bytes();
        match self.method {
            Method::Hash => {
                let mut hash = Sha256::new();
                self.feed(secret, signed, |bytes| hash.update(bytes))?;
                Ok(hash.finalize().into())
            }
            Method::Hmac => {
                #[allow(clippy::expect_used)] // HMAC takes keys of every length
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key length");
                self.feed(secret, signed, |bytes| mac.update(bytes))?;
                Ok(mac.finalize().into_bytes().into())
            }
        }
    }

    /// The value of the header.
    pub fn encode(&self, digest: [u8; 32]) -> String {
        let text = match self.encoding {
            Encoding::Hex => hex::encode(&digest),
            Encoding::Base64 => BASE64.encode(digest),
        };
        format!("{}{text}", self.prefix)
    }

    /// The digest that a header claims.
    pub fn decode(&self, header: &str) -> Option<[u8; 32]> {
        let text = header.strip_prefix(&self.prefix)?;
        match self.encoding {
            Encoding::Base64 => BASE64.decode(text).ok()?.try_into().ok(),
            Encoding::Hex => hex::decode_sha256(text),
        }
    }

    fn feed(
        &self,
        secret: &[u8],
        signed: &Signed,
        mut update: impl FnMut(&[u8]),
    ) -> Result<(), MissingSetting> {
        for part in &self.parts {
            match part {
                Part::Literal(text) => update(text.as_bytes()),
                Part::Slot => update(secret),
                Part::Body => update(signed.body),
                Part::Path(PathPart::Last) => {
                    update(signed.path.last().map(String::as_bytes).unwrap_or_default());
                }
                Part::Path(PathPart::Whole) if signed.path.is_empty() => update(b"/"),
                Part::Path(PathPart::Whole) => {
                    for segment in signed.path {
                        update(b"/");
                        update(segment.as_bytes());
                    }
                }
                Part::Setting(path) => {
                    let value = setting(signed.settings, path).ok_or_else(|| MissingSetting(path.clone()))?;
                    update(value.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// As it is written in a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    hash: Option<Algorithm>,
    hmac: Option<Algorithm>,
    slot: String,
    encoding: Encoding,
    header: String,
    #[serde(default)]
    prefix: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Algorithm {
    Sha256,
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let written = Written::deserialize(deserializer)?;
        let method = match (&written.hash, &written.hmac) {
            (Some(Algorithm::Sha256), None) => Method::Hash,
            (None, Some(Algorithm::Sha256)) => Method::Hmac,
            _ => return Err(D::Error::custom("a digest is either `hash` or `hmac`")),
        };
        let has_secret = written.parts.contains(&Part::Slot);
        match method {
            Method::Hash if !has_secret => {
                return Err(D::Error::custom(
                    "a hash without the part `slot` proves nothing: anyone could make it",
                ));
            }
            Method::Hmac if has_secret => {
                return Err(D::Error::custom("the secret is the key of an HMAC and can't be a part"));
            }
            _ => {}
        }
        if written.parts.is_empty() {
            return Err(D::Error::custom("a digest has at least one part"));
        }
        let (slot, encoding, prefix, parts) = (written.slot, written.encoding, written.prefix, written.parts);
        Ok(Self { method, slot, encoding, header: written.header.to_ascii_lowercase(), prefix, parts })
    }
}
