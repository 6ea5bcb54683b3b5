//! Who sent a webhook: verification of an inbound request, as a pure function.
//!
//! Secrets are compared by the SHA-256 of both sides, so that neither length nor content shows
//! in the time it takes; every live secret is compared, and a slot without a secret is compared
//! with a fixed one. Digests are decoded before they are compared.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::digest::{Digest, Signed};
use super::{Auth, Text};

/// A request that has to be verified.
pub struct Presented<'a> {
    /// As received.
    pub headers: &'a HeaderMap,
    /// Path segments after the surface's address; usually none.
    pub path: &'a [String],
    /// As received, byte for byte.
    pub body: &'a [u8],
}

/// The request carries a live credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lower-case name of the header that carried it; it must go no further.
    pub header: String,
    /// Which secret it was: 0 the current one, 1 the previous one.
    pub secret: usize,
}

/// The request does not prove where it comes from. Answered with 401 and no detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .code.as_str())]
pub struct Refused {
    /// For counters and the operator, never for the sender.
    pub code: RefusedCode,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusedCode {
    /// The header that should carry the credential is absent.
    CredentialMissing,
    /// It is there more than once.
    CredentialRepeated,
    /// It can't be read.
    CredentialMalformed,
    /// It is not a live one.
    CredentialWrong,
    /// The host has no secret in the slot: the operator must act.
    SecretMissing,
    /// The tenant's settings lack a value that the scheme needs: the tenant must act.
    SettingMissing,
}

impl RefusedCode {
    /// Stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialMissing => "credential-missing",
            Self::CredentialRepeated => "credential-repeated",
            Self::CredentialMalformed => "credential-malformed",
            Self::CredentialWrong => "credential-wrong",
            Self::SecretMissing => "secret-missing",
            Self::SettingMissing => "setting-missing",
        }
    }

    /// Who must act.
    pub fn actor(self) -> &'static str {
        match self {
            Self::SecretMissing => "operator",
            Self::SettingMissing => "tenant",
            _ => "nobody",
        }
    }
}

const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Verifies a request under one scheme. `secrets` are the live values of the scheme's slot, the
/// current one first.
pub fn verify(
    scheme: &Auth,
    request: &Presented,
    settings: &Value,
    secrets: &[SecretString],
) -> Result<Verified, Refused> {
    let header = scheme.header(settings).ok_or(Refused { code: RefusedCode::SettingMissing })?;
    let outcome = match scheme {
        Auth::Basic { user, .. } => basic(user, &header, request, settings, secrets),
        Auth::Bearer { .. } => {
            single(request.headers, &header).and_then(bearer).and_then(|token| plain(token, secrets))
        }
        Auth::Header { .. } => single(request.headers, &header).and_then(|value| plain(value, secrets)),
        Auth::Digest(digest) => signature(digest, &header, request, settings, secrets),
        // No manifest has it here; nothing passes it.
        Auth::AwsSigv4 { .. } => Err(RefusedCode::CredentialWrong),
    };
    match outcome {
        Ok(secret) => Ok(Verified { header, secret }),
        Err(code) => Err(Refused { code }),
    }
}

/// The one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], RefusedCode> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(RefusedCode::CredentialMissing),
        (Some(_), Some(_)) => Err(RefusedCode::CredentialRepeated),
    }
}

/// What follows an authentication scheme's name, which is case-insensitive (RFC 9110, 11.1).
fn after_scheme<'a>(value: &'a [u8], scheme: &str) -> Result<&'a [u8], RefusedCode> {
    let (name, rest) = value.split_at_checked(scheme.len()).ok_or(RefusedCode::CredentialMalformed)?;
    let Some((b' ', rest)) = rest.split_first() else { return Err(RefusedCode::CredentialMalformed) };
    let rest = rest.trim_ascii();
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) || rest.is_empty() {
        return Err(RefusedCode::CredentialMalformed);
    }
    Ok(rest)
}

fn bearer(value: &[u8]) -> Result<&[u8], RefusedCode> {
    after_scheme(value, "Bearer")
}

fn basic(
    user: &Text,
    header: &str,
    request: &Presented,
    settings: &Value,
    secrets: &[SecretString],
) -> Result<usize, RefusedCode> {
    let user = user.resolve(settings).ok_or(RefusedCode::SettingMissing)?;
    let encoded = after_scheme(single(request.headers, header)?, "Basic")?;
    let pair = LENIENT_BASE64.decode(encoded).map_err(|_| RefusedCode::CredentialMalformed)?;
    // RFC 7617: the user's name has no colon, the password may.
    let colon = pair.iter().position(|byte| *byte == b':').ok_or(RefusedCode::CredentialMalformed)?;
    let right_user = equal(user.as_bytes(), &pair[..colon]);
    matching(secrets, |secret| right_user & equal(secret, &pair[colon + 1..]))
}

fn plain(value: &[u8], secrets: &[SecretString]) -> Result<usize, RefusedCode> {
    matching(secrets, |secret| equal(secret, value))
}

fn signature(
    digest: &Digest,
    header: &str,
    request: &Presented,
    settings: &Value,
    secrets: &[SecretString],
) -> Result<usize, RefusedCode> {
    let value = std::str::from_utf8(single(request.headers, header)?)
        .map_err(|_| RefusedCode::CredentialMalformed)?;
    let claimed = digest.decode(value).ok_or(RefusedCode::CredentialMalformed)?;
    let signed = Signed { path: request.path, body: request.body, settings };
    let mut missing = false;
    let outcome = matching_secret(secrets, |secret| match digest.compute(secret, &signed) {
        Ok(expected) => expected.ct_eq(&claimed),
        Err(_) => {
            missing = true;
            Choice::from(0)
        }
    });
    if missing { Err(RefusedCode::SettingMissing) } else { outcome }
}

fn equal(expected: &[u8], presented: &[u8]) -> Choice {
    Sha256::digest(expected).ct_eq(&Sha256::digest(presented))
}

fn matching(secrets: &[SecretString], test: impl Fn(&[u8]) -> Choice) -> Result<usize, RefusedCode> {
    matching_secret(secrets, |secret| test(secret.expose_secret().as_bytes()))
}

/// Which live secret passes the test. Every one is tested, whichever passes, and one in any case.
fn matching_secret(
    secrets: &[SecretString],
    mut test: impl FnMut(&SecretString) -> Choice,
) -> Result<usize, RefusedCode> {
    let mut found = None;
    let mut live = 0;
    for (index, secret) in secrets.iter().enumerate() {
        if secret.expose_secret().is_empty() {
            continue; // An empty secret opens nothing.
        }
        live += 1;
        if bool::from(test(secret)) {
            found = found.or(Some(index));
        }
    }
    if live == 0 {
        test(&SecretString::from("no secret is configured")).unwrap_u8();
        return Err(RefusedCode::SecretMissing);
    }
    found.ok_or(RefusedCode::CredentialWrong)
}
