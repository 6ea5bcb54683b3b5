//! A request that is taken apart, and a read in its name.

use crate::brevo::account::Call;
use crate::brevo::windows::Family;
use crate::world::HttpRequest;

/// A read in the name of a write.
pub(super) fn get(of: &HttpRequest, base_url: &str, call: &Call) -> HttpRequest {
    HttpRequest {
        method: "GET",
        url: format!("{base_url}{}", call.path),
        label: format!("GET {}", call.label),
        headers: of.headers.iter().filter(|(name, _)| name != "content-type").cloned().collect(),
        body: None,
        ..of.clone()
    }
}

/// Segments of a path.
pub(super) type Path = Vec<String>;
/// Pairs of a query.
pub(super) type Query = Vec<(String, String)>;

/// Path and query, decoded; none where it is not the account's.
pub(super) fn target(url: &str, base_url: &str) -> Option<(Path, Query)> {
    let rest = url.strip_prefix(base_url)?.strip_prefix('/')?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.split('/').map(decode).collect::<Option<_>>()?;
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    };
    Some((path, pairs.map(pair).collect::<Option<_>>()?))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Where Brevo counts a read.
pub(super) fn family_of(url: &str, base_url: &str) -> Family {
    let path = url.strip_prefix(base_url).unwrap_or_default();
    let under = |start: &str| path.starts_with(start);
    match () {
        () if under("/contacts") => Family::Contacts,
        () if under("/smtp/emails") => Family::MailList,
        () if under("/smtp/") => Family::MailOther,
        () => Family::Other,
    }
}
