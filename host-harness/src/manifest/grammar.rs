//! The small languages of a manifest: names, headers, labels, settings and origins.

use super::{OriginPart, OriginTemplate};

/// Header names that only the host may write, whatever a manifest says.
pub const HOST_HEADERS: [&str; 17] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "date",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
];

/// True where the guest may never set the header.
pub fn is_host_header(name: &str) -> bool {
    HOST_HEADERS.contains(&name) || name.starts_with("proxy-") || name.starts_with("sec-")
}

/// RFC 9110 `token`.
pub fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `lower-kebab-case`, 1 to 64 characters.
pub fn is_name(name: &str) -> bool {
    name.len() <= 64 && is_kebab(name)
}

/// Words of lower-case letters and digits, joined by single hyphens.
pub fn is_kebab(text: &str) -> bool {
    text.split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// One DNS label (RFC 1123), lower case.
pub fn is_dns_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Keys joined by dots: where in the tenant's settings a value stands.
pub fn is_setting_path(text: &str) -> bool {
    text.split('.')
        .all(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
}

/// `https://` and host characters with `{variables}`.
pub fn origin_template(text: &str) -> Option<OriginTemplate> {
    let mut rest = text.strip_prefix("https://")?;
    let mut parts = vec![OriginPart::Literal("https://".into())];
    let literal = |text: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:".contains(&b))
    };
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let (before, name) = (&rest[..open], &rest[open + 1..close]);
        if !literal(before) || !is_setting_path(name) {
            return None;
        }
        if !before.is_empty() {
            parts.push(OriginPart::Literal(before.into()));
        }
        parts.push(OriginPart::Variable(name.into()));
        rest = &rest[close + 1..];
    }
    if !literal(rest) || (parts.len() == 1 && rest.is_empty()) {
        return None;
    }
    if !rest.is_empty() {
        parts.push(OriginPart::Literal(rest.into()));
    }
    // What it makes with a plain label in each place must be a host with dots and maybe a port:
    // no user, path or address literal can hide in it.
    let sample: String = parts
        .iter()
        .skip(1)
        .map(|part| match part {
            OriginPart::Literal(text) => text.as_str(),
            OriginPart::Variable(_) => "v",
        })
        .collect();
    let (host, port) = match sample.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (sample.as_str(), None),
    };
    let proper_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let name = host.contains('.') && host.split('.').all(is_dns_label);
    let top_is_name = host.rsplit('.').next().is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()));
    (proper_port && name && top_is_name).then_some(OriginTemplate(parts))
}
