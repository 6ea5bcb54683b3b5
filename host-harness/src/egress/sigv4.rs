//! AWS Signature Version 4, in headers: Amazon S3, and Google Cloud Storage and others that speak
//! its protocol.
//!
//! The path is signed exactly as it goes on the wire (escaped once, not normalised), as S3 wants
//! it (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>). The host
//! header is signed and sent as the same text, so that no client's rule about ports comes between.
//! Session tokens are not supported: what is configured is a long-lived key.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as aws_sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use secrecy::{ExposeSecret, SecretString};

use crate::world::Millis;

/// The last instant of the year 9999: later dates have no form in a signature.
const LATEST: Millis = 253_402_300_799_999;

/// A request that is to be signed.
pub struct Signed<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Absolute and escaped, as it goes out.
    pub url: &'a str,
    /// Further headers that the signature covers; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent; empty where there is none.
    pub body: &'a [u8],
    /// Id of the access key: letters, digits and `-_.@`.
    pub access_key: &'a str,
    /// The secret access key.
    pub secret: &'a SecretString,
    /// Region of the scope: lower-case letters, digits and hyphens.
    pub region: &'a str,
    /// Service of the scope.
    pub service: &'a str,
    /// Now, in UTC. Vendors accept about 15 minutes of difference.
    pub now: Millis,
}

/// What can't be signed, in words that hold no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsignable(pub &'static str);

/// The headers that make the request a signed one: `host`, `x-amz-date`, `x-amz-content-sha256`
/// and `authorization`.
///
/// # Errors
/// Where a value can't stand in a signature.
pub fn sign(request: &Signed) -> Result<Vec<(String, String)>, Unsignable> {
    if !is_key_id(request.access_key) {
        return Err(Unsignable("the id of the access key is not letters, digits and -_.@"));
    }
    if !is_scope(request.region) || !is_scope(request.service) {
        return Err(Unsignable("the region is not lower-case letters, digits and hyphens"));
    }
    if !(0..=LATEST).contains(&request.now) {
        return Err(Unsignable("the host's clock shows no date that can be signed"));
    }
    let host = host(request.url).ok_or(Unsignable("the address has no host"))?;
    let identity: Identity =
        Credentials::new(request.access_key, request.secret.expose_secret(), None, None, "slot").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(request.now.unsigned_abs()))
        .settings(settings)
        .build()
        .map_err(|_| Unsignable("a part of the signature is missing"))?
        .into();
    let headers = [("host", host.as_str())].into_iter().chain(request.headers.iter().copied());
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.url, headers, body)
        .map_err(|_| Unsignable("the address can't be signed"))?;
    // The library traces whole requests and signatures; neither belongs in a log.
    let quiet = tracing::Dispatch::none();
    let signed = tracing::dispatcher::with_default(&quiet, || aws_sign(signable, &params));
    let (instructions, _) = signed.map_err(|_| Unsignable("the request can't be signed"))?.into_parts();
    let signed = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok([("host".to_owned(), host.clone())].into_iter().chain(signed).collect())
}

/// The authority of a URL, without the port that its scheme has anyway.
fn host(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?;
    match (uri.scheme_str()?, uri.port_u16()) {
        (_, None) | ("https", Some(443)) | ("http", Some(80)) => Some(host.to_owned()),
        (_, Some(port)) => Some(format!("{host}:{port}")),
    }
}

/// What separates the parts of a credential can't be in one.
fn is_key_id(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
}

fn is_scope(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
