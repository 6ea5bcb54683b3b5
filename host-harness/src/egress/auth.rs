//! Credentials are added last, by the host, and seen by nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::policy::Permitted;
use super::sigv4;
use crate::contract::http::{Error, ErrorKind};
use crate::manifest::digest::{MissingSetting, Signed};
use crate::manifest::{Auth, Text};
use crate::secrets::SecretSource;
use crate::world::Millis;

/// The headers that the endpoint's scheme asks for. `host_headers` are those that the host adds by
/// itself (names in lower case), for schemes that sign headers; `now` is UTC.
pub fn credential(
    permitted: &Permitted,
    host_headers: &[(&str, &str)],
    settings: &Value,
    secrets: &dyn SecretSource,
    now: Millis,
) -> Result<Vec<(String, String)>, Error> {
    let auth = &permitted.endpoint.auth;
    let slot = auth.slot();
    // The current value only: the previous one is for calls inward during a rotation.
    let Some(secret) = secrets.get(slot).into_iter().next() else {
        return Err(refused(
            "no-secret",
            format!("the secret of the slot {slot:?} is missing in the host's configuration"),
        ));
    };
    if let Auth::AwsSigv4 { access_key, region, service, .. } = auth {
        let access_key = needed(access_key, settings)?;
        let region = needed(region, settings)?;
        let given = permitted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = given.chain(host_headers.iter().copied()).collect();
        return sigv4::sign(&sigv4::Signed {
            method: permitted.method,
            url: &permitted.url,
            headers: &headers,
            body: permitted.body.as_deref().unwrap_or_default(),
            access_key,
            secret: &secret,
            region,
            service,
            now,
        })
        .map_err(|why| refused("setting-unusable", format!("the request can't be signed: {why}")));
    }
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
    Ok(vec![(header, value)])
}

/// Shorter ones would be found in answers by chance.
const SHORTEST_WORD: usize = 8;

/// What opens the endpoint, as it was sent and as it is kept: by this a vendor that says it back is
/// noticed.
pub fn words(credential: &[(String, String)], auth: &Auth, secrets: &dyn SecretSource) -> Vec<SecretString> {
    // What is computed for one request opens no other.
    let computed = matches!(auth, Auth::Digest(_) | Auth::AwsSigv4 { .. });
    let sent = credential.iter().filter_map(|(_, value)| value.split(' ').next_back());
    let mut words: Vec<SecretString> = sent.filter(|_| !computed).map(SecretString::from).collect();
    words.extend(secrets.get(auth.slot()));
    words.retain(|word| word.expose_secret().len() >= SHORTEST_WORD);
    words
}

fn needed<'a>(text: &'a Text, settings: &'a Value) -> Result<&'a str, Error> {
    text.resolve(settings).ok_or_else(|| {
        let path = match text {
            Text::Setting(path) => path.as_str(),
            Text::Literal(_) => "value",
        };
        refused("setting-missing", format!("the settings have no text at {path}, which the signature needs"))
    })
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
        Auth::AwsSigv4 { .. } => None, // it takes more than one header
    })
}

fn refused(code: &str, message: String) -> Error {
    Error { kind: ErrorKind::NoSecret, code: code.into(), message, request_sent: false, retry_after_ms: None }
}
