//! The operator's manifest: what one connector may reach, and with which secret.
//!
//! It stands beside the component, and the component can't widen it. Endpoints are what the
//! connector may call; inbound schemes are how a webhook proves where it comes from. Both name
//! secret slots, never secrets. A manifest is read whole: every problem is reported at once.

pub mod digest;
mod grammar;
pub mod inbound;
mod parse;
pub mod senders;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::contract::Problem;
use digest::Digest;
pub(crate) use grammar::{is_dns_label, is_host_header, is_kebab, is_token};
use senders::Senders;

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The connector's name, as under `connectors.<name>`.
    pub connector: String,
    /// Version of the contract that the component was built for.
    pub contract: String,
    /// Where given, the component with any other SHA-256 is refused before it is compiled.
    pub component: Option<[u8; 32]>,
    /// Header under which every outgoing attempt gets a new request id. Lower case.
    pub request_id_header: Option<String>,
    /// By the name that the guest uses.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// By the name that a surface's `verification` uses.
    pub inbound: BTreeMap<String, Auth>,
    /// Where webhooks come from, as far as the vendor says so. Only looked at where a tenant asks
    /// for it.
    pub senders: Option<Senders>,
}

/// A place that the connector may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Scheme and host, with variables in braces. None: only the operator can say where it is,
    /// under `endpoints` in the configuration.
    pub origin: Option<OriginTemplate>,
    /// What each variable may be. Its name is the dotted path in the tenant's settings.
    pub variables: BTreeMap<String, Variable>,
    /// Granted methods, upper case.
    pub methods: Vec<String>,
    /// Granted path prefixes as segments. A request's path must start with one of them.
    pub paths: Vec<Vec<Segment>>,
    /// Lower-case names of headers that the guest may set.
    pub headers: Vec<String>,
    /// How the host proves who is calling.
    pub auth: Auth,
    /// Why the connector needs it, for the operator who grants it.
    pub purpose: String,
}

/// One segment of a granted path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// As it stands.
    Literal(String),
    /// The tenant's setting at this dotted path, a text that is one plain segment.
    Setting(String),
    /// `*`: any one segment.
    Any,
    /// `$` behind the last segment: nothing follows.
    End,
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Setting(path) => write!(f, "{{{path}}}"),
            Self::Any => f.write_str("*"),
            Self::End => f.write_str("$"),
        }
    }
}

/// `https://` followed by a host in which `{name}` stands for a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginTemplate(pub Vec<OriginPart>);

/// A piece of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPart {
    /// As it stands.
    Literal(String),
    /// Name of a variable.
    Variable(String),
}

/// What a variable of an origin may be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Variable {
    /// One of these.
    Enum(Vec<String>),
    /// One DNS label; the origin goes on with `.` and this suffix.
    LabelUnder(String),
}

/// A value that is fixed by the manifest or chosen in the tenant's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Dotted path into the settings.
    Setting(String),
    /// As it stands.
    Literal(Literal),
}

/// `{ "literal": "..." }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Literal {
    /// The value.
    pub literal: String,
}

/// How a request proves who sent it, outward and inward.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// `authorization: Basic base64(user:secret)`.
    Basic {
        /// The user's name.
        user: Text,
        /// Slot of the password.
        slot: String,
    },
    /// The secret as the whole value of a header.
    Header {
        /// The header's name.
        name: Text,
        /// Slot of the value.
        slot: String,
    },
    /// `authorization: Bearer <secret>`.
    Bearer {
        /// Slot of the token.
        slot: String,
    },
    /// A hash or HMAC over parts of the request.
    Digest(Digest),
    /// AWS Signature Version 4 in headers: Amazon S3 and what speaks its protocol. Outward only.
    #[serde(rename_all = "kebab-case")]
    AwsSigv4 {
        /// The access key's id, which is no secret.
        access_key: Text,
        /// Slot of the secret access key.
        slot: String,
        /// Region of the credential's scope.
        region: Text,
        /// Service of the credential's scope, `s3` for instance.
        service: String,
    },
}

/// Headers beside `authorization` that belong to a signature of AWS.
const SIGV4_HEADERS: [&str; 3] = ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];

impl Auth {
    /// The one slot that it needs.
    pub fn slot(&self) -> &str {
        match self {
            Self::Basic { slot, .. }
            | Self::Header { slot, .. }
            | Self::Bearer { slot }
            | Self::AwsSigv4 { slot, .. } => slot,
            Self::Digest(digest) => &digest.slot,
        }
    }

    /// Lower-case name of the header that carries the credential; none where the settings don't
    /// say it.
    pub fn header(&self, settings: &Value) -> Option<String> {
        match self {
            Self::Basic { .. } | Self::Bearer { .. } | Self::AwsSigv4 { .. } => Some("authorization".into()),
            Self::Header { name, .. } => name.resolve(settings).map(|name| name.to_ascii_lowercase()),
            Self::Digest(digest) => Some(digest.header.clone()),
        }
    }

    /// Lower-case names of other headers that the host writes for this scheme.
    pub fn further_headers(&self) -> &'static [&'static str] {
        match self {
            Self::AwsSigv4 { .. } => &SIGV4_HEADERS,
            _ => &[],
        }
    }
}

impl Text {
    /// The value under these settings, if they hold one.
    pub fn resolve<'a>(&'a self, settings: &'a Value) -> Option<&'a str> {
        match self {
            Self::Literal(literal) => Some(&literal.literal),
            Self::Setting(path) => setting(settings, path),
        }
    }
}

/// The text at a dotted path of the tenant's settings. Empty text counts as missing.
pub fn setting<'a>(settings: &'a Value, path: &str) -> Option<&'a str> {
    let value = path.split('.').try_fold(settings, |value, key| value.get(key))?;
    value.as_str().filter(|text| !text.is_empty())
}

impl Manifest {
    /// Reads and checks a manifest, or reports everything that is wrong with it.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        parse::manifest(json)
    }

    /// Every slot that an endpoint or inbound scheme names.
    pub fn slots(&self) -> BTreeSet<&str> {
        let endpoints = self.endpoints.values().map(|endpoint| &endpoint.auth);
        endpoints.chain(self.inbound.values()).map(Auth::slot).collect()
    }
}
