//! Credentials are added last, by the host, and seen by nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::policy::Permitted;
use crate::contract::http::{Error, ErrorKind};
use crate::manifest::Auth;
use crate::manifest::digest::{MissingSetting, Signed};
use crate::secrets::SecretSource;

/// The header that the endpoint's scheme asks for.
pub fn credential(
    permitted: &Permitted,
    settings: &Value,
    secrets: &dyn SecretSource,
) -> Result<(String, String), Error> {
    let auth = &permitted.endpoint.auth;
    let slot = auth.slot();
    // The current value only: the previous one is for calls inward during a rotation.
    let Some(secret) = secrets.get(slot).into_iter().next() else {
        return Err(refused(
            "no-secret",
            format!("the secret of the slot {slot:?} is missing in the host's configuration"),
        ));
    };
    let value = value(auth, permitted, settings, &secret)
        .map_err(|MissingSetting(path)| refused("setting-missing", format!("the settings have no {path}")))?;
    let header = auth.header(settings);
    let (Some(header), Some(value)) = (header, value) else {
        return Err(refused("setting-missing", "the settings lack what the credential needs".into()));
    };
    // A secret with a line break would end the header and begin another one.
    if !crate::manifest::is_token(&header) || !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        return Err(refused(
            "secret-unusable",
            format!("the secret of the slot {slot:?} can't stand in a header: it is not printable ASCII"),
        ));
    }
    Ok((header, value))
}

fn value(
    auth: &Auth,
    permitted: &Permitted,
    settings: &Value,
    secret: &SecretString,
) -> Result<Option<String>, MissingSetting> {
    Ok(match auth {
        Auth::Basic { user, .. } => user.resolve(settings).map(|user| {
            let pair = zeroize::Zeroizing::new(format!("{user}:{}", secret.expose_secret()));
            format!("Basic {}", STANDARD.encode(pair.as_bytes()))
        }),
        Auth::Header { .. } => Some(secret.expose_secret().to_owned()),
        Auth::Bearer { .. } => Some(format!("Bearer {}", secret.expose_secret())),
        Auth::Digest(digest) => {
            let body = permitted.body.as_deref().unwrap_or_default();
            let signed = Signed { path: &permitted.path, body, settings };
            Some(digest.encode(digest.compute(secret, &signed)?))
        }
    })
}

fn refused(code: &str, message: String) -> Error {
    Error { kind: ErrorKind::NoSecret, code: code.into(), message, request_sent: false, retry_after_ms: None }
}
