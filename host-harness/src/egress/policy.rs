//! What a guest's request becomes, or why it is denied. Pure: no socket, no clock, no secret.
//!
//! The guest names an endpoint, path segments, query pairs and extra headers; scheme, host, port
//! and escaping are the host's. A denial says what would have allowed the request, and holds
//! nothing of the request but names that the manifest could hold too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::contract::http::{Error, ErrorKind, Method, Request};
use crate::manifest::{
    Auth, Endpoint, Manifest, OriginPart, Segment, Variable, is_dns_label, is_host_header, is_token, setting,
};

/// Longest URL.
const URL: usize = 16 * 1024;
/// Most path segments, query pairs or headers, each.
const PAIRS: usize = 128;
/// Longest value of a header.
const HEADER_VALUE: usize = 8 * 1024;

/// What one installation may reach.
pub struct Grant<'a> {
    /// The operator's manifest.
    pub manifest: &'a Manifest,
    /// The tenant's settings; variables take their values from here.
    pub settings: &'a Value,
    /// Origins that the operator granted this tenant instead of the manifest's, by endpoint.
    pub overrides: &'a BTreeMap<String, String>,
    /// Whether an override may be plain HTTP, or lead to loopback and private addresses.
    pub allow_private: bool,
}

/// A request within the grant, still without a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted<'a> {
    /// The endpoint, for its credential.
    pub endpoint: &'a Endpoint,
    /// Upper case.
    pub method: &'static str,
    /// Absolute.
    pub url: String,
    /// Method, host and path with everything after the granted prefix starred out: for logs.
    pub label: String,
    /// Unescaped segments, for digests.
    pub path: Vec<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As given.
    pub body: Option<Vec<u8>>,
    /// Whether private addresses may be dialled: only for an operator's own origin.
    pub allow_private: bool,
}

impl<'a> Grant<'a> {
    /// Checks one request.
    pub fn permit(&self, request: Request) -> Result<Permitted<'a>, Error> {
        let endpoint = self.endpoint(&request.endpoint)?;
        let method = method_name(request.method);
        if !endpoint.methods.iter().any(|granted| granted == method) {
            return Err(denied(
                "method-not-granted",
                format!(
                    "the manifest grants {} at the endpoint {:?}; add {method:?} to endpoints.{}.methods",
                    endpoint.methods.join(", "),
                    request.endpoint,
                    request.endpoint
                ),
            ));
        }
        if request.body.is_some() && matches!(request.method, Method::Get) {
            return Err(denied("body-not-allowed", "GET has no body".into()));
        }
        let origin = self.origin(&request.endpoint, endpoint)?;
        let (path, template) = self.path(&request, endpoint)?;
        let mut url = format!("{}{path}", origin.text);
        self.query(&request, &mut url)?;
        if url.len() > URL {
            return Err(denied("url-too-long", "path and query are longer than 16 KiB together".into()));
        }
        let headers = self.headers(&request, endpoint)?;
        let host = origin.text.split_once("://").map_or("", |(_, host)| host);
        Ok(Permitted {
            endpoint,
            method,
            label: format!("{method} {host}{template}"),
            url,
            path: request.path,
            headers,
            body: request.body,
            allow_private: origin.private,
        })
    }

    /// Scheme and host of an endpoint under these settings, and whether private addresses may be dialled there.
    pub fn origin_of(&self, endpoint: &str) -> Result<(String, bool), Error> {
        let origin = self.origin(endpoint, self.endpoint(endpoint)?)?;
        Ok((origin.text, origin.private))
    }

    fn endpoint(&self, name: &str) -> Result<&'a Endpoint, Error> {
        self.manifest.endpoints.get(name).ok_or_else(|| {
            let known: Vec<_> = self.manifest.endpoints.keys().map(String::as_str).collect();
            denied(
                "endpoint-not-granted",
                format!(
                    "the manifest has no endpoint of this name (it has: {}); add it under endpoints",
                    known.join(", ")
                ),
            )
        })
    }

    fn origin(&self, name: &str, endpoint: &Endpoint) -> Result<Origin, Error> {
        // What is signed for a host of its own does not go to somebody else's.
        let shared = endpoint.origin.is_some() && !matches!(endpoint.auth, Auth::AwsSigv4 { .. });
        let everywhere = || self.overrides.get("*").filter(|_| shared);
        if let Some(text) = self.overrides.get(name).or_else(everywhere) {
            return self.overridden(name, text);
        }
        let Some(template) = &endpoint.origin else { return Err(needs_origin(name)) };
        let mut origin = String::new();
        for part in &template.0 {
            match part {
                OriginPart::Literal(text) => origin.push_str(text),
                OriginPart::Variable(variable) => {
                    let value = setting(self.settings, variable).ok_or_else(|| {
                        denied(
                            "setting-missing",
                            format!("the settings have no {variable}, which the origin needs"),
                        )
                    })?;
                    let granted = match endpoint.variables.get(variable) {
                        Some(Variable::Enum(values)) => values.iter().any(|granted| granted == value),
                        Some(Variable::LabelUnder(_)) => is_dns_label(value),
                        None => false,
                    };
                    if !granted {
                        return Err(denied(
                            "variable-not-granted",
                            format!(
                                "the value of {variable} is not one that the manifest grants; see \
                                 endpoints.{name}.variables"
                            ),
                        ));
                    }
                    origin.push_str(value);
                }
            }
        }
        Ok(Origin { text: origin, private: false })
    }

    /// An origin from the operator's configuration.
    fn overridden(&self, name: &str, text: &str) -> Result<Origin, Error> {
        let refuse = |why: &str| {
            Err(denied(
                "override-not-usable",
                format!("the configured origin of the endpoint {name:?} {why}"),
            ))
        };
        let Some((scheme, authority)) = text.split_once("://") else { return refuse("has no scheme") };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        match scheme {
            "https" => {}
            "http" if self.allow_private => {}
            "http" => {
                return refuse(
                    "is plain HTTP, which needs `allow_private_addresses: true`: the credential would be readable",
                );
            }
            _ => return refuse("is neither https nor http"),
        }
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        };
        let parsed = authority.parse::<http::uri::Authority>();
        // http's parser takes any text as a port, and a port without a host.
        let proper = parsed.is_ok_and(|parsed| {
            let port = || parsed.port_u16().is_some_and(|port| port > 0);
            !parsed.host().is_empty() && (parsed.as_str() == parsed.host() || port())
        });
        if !plain(authority) || !proper {
            return refuse("is more than scheme, host and port");
        }
        Ok(Origin { text: format!("{scheme}://{authority}"), private: self.allow_private })
    }

    /// The escaped path, and the path for logs.
    fn path(&self, request: &Request, endpoint: &Endpoint) -> Result<(String, String), Error> {
        // A last segment that is empty is a slash at the end: the address of a folder.
        let named = match request.path.split_last() {
            Some((last, above)) if last.is_empty() && !above.is_empty() => above,
            _ => &request.path[..],
        };
        if request.path.len() > PAIRS || !named.iter().all(|segment| is_plain(segment)) {
            return Err(denied(
                "bad-path-segment",
                "a path segment that is not the last is empty, or one is `.` or `..`, or holds a slash, \
                 backslash or control character"
                    .into(),
            ));
        }
        let mut unusable = None;
        let mut found: Option<&Vec<Segment>> = None;
        for prefix in &endpoint.paths {
            match self.is_under(&request.path, prefix) {
                Ok(true) if found.is_none_or(|found| found.len() <= prefix.len()) => found = Some(prefix),
                Ok(_) => {}
                Err(error) => unusable = Some(error),
            }
        }
        let Some(prefix) = found else {
            if let Some(error) = unusable {
                return Err(error);
            }
            let granted: Vec<_> = endpoint.paths.iter().map(|prefix| shown(prefix)).collect();
            return Err(denied(
                "path-not-granted",
                format!(
                    "the manifest grants paths under {} at the endpoint {:?}; add this one's prefix to endpoints.{}.paths",
                    granted.join(", "),
                    request.endpoint,
                    request.endpoint
                ),
            ));
        };
        let mut path = String::new();
        let mut template = String::new();
        for (index, segment) in request.path.iter().enumerate() {
            path.push('/');
            escape(segment, &mut path);
            template.push('/');
            match prefix.get(index) {
                Some(granted) => template.push_str(&granted.to_string()),
                None if segment.is_empty() => {}
                None => template.push('*'),
            }
        }
        if path.is_empty() {
            (path, template) = ("/".into(), "/".into());
        }
        Ok((path, template))
    }

    /// Does the path start with this prefix, under the tenant's settings?
    fn is_under(&self, path: &[String], prefix: &[Segment]) -> Result<bool, Error> {
        let mut under = true;
        for (index, segment) in prefix.iter().enumerate() {
            let asked = path.get(index);
            under &= match segment {
                Segment::Literal(text) => asked == Some(text),
                Segment::Setting(name) => {
                    let granted = self.path_setting(name, prefix)?;
                    asked.is_some_and(|asked| asked == granted)
                }
                Segment::Any => asked.is_some_and(|asked| !asked.is_empty()),
                Segment::End => asked.is_none(),
            };
        }
        Ok(under)
    }

    /// The setting that stands for a whole segment of a granted prefix.
    fn path_setting(&self, name: &str, prefix: &[Segment]) -> Result<&'a str, Error> {
        let Some(value) = setting(self.settings, name) else {
            return Err(denied(
                "setting-missing",
                format!(
                    "the settings have no text at {name}, which the granted path {} needs",
                    shown(prefix)
                ),
            ));
        };
        if !is_plain(value) {
            return Err(denied(
                "setting-unusable",
                format!(
                    "the value of {name} can't be a segment of the granted path {}: it is `.` or `..`, or holds a \
                     slash, backslash or control character",
                    shown(prefix)
                ),
            ));
        }
        Ok(value)
    }

    fn query(&self, request: &Request, url: &mut String) -> Result<(), Error> {
        if request.query.len() > PAIRS {
            return Err(denied("too-many-pairs", "a request has at most 128 query pairs".into()));
        }
        for (index, (name, value)) in request.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            escape(name, url);
            url.push('=');
            escape(value, url);
        }
        Ok(())
    }

    fn headers(&self, request: &Request, endpoint: &Endpoint) -> Result<Vec<(String, String)>, Error> {
        if request.headers.len() > PAIRS {
            return Err(denied("too-many-pairs", "a request has at most 128 headers".into()));
        }
        let credential = endpoint.auth.header(self.settings);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &request.headers {
            let name = name.to_ascii_lowercase();
            if !is_token(&name) {
                return Err(denied("bad-header", "the name of a header is not one".into()));
            }
            let owned = is_host_header(&name)
                || Some(&name) == credential.as_ref()
                || endpoint.auth.further_headers().contains(&name.as_str())
                || Some(&name) == self.manifest.request_id_header.as_ref();
            if owned {
                return Err(denied(
                    "header-of-the-host",
                    format!("the host writes the header {name:?} itself; leave it out"),
                ));
            }
            if !endpoint.headers.contains(&name) {
                return Err(denied(
                    "header-not-granted",
                    format!(
                        "the manifest doesn't grant the header {name:?}; add it to endpoints.{}.headers",
                        request.endpoint
                    ),
                ));
            }
            let printable = value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b));
            if !printable || value.len() > HEADER_VALUE {
                return Err(denied(
                    "bad-header",
                    format!("the value of {name:?} is not printable ASCII of at most 8 KiB"),
                ));
            }
            if headers.iter().any(|(known, _)| *known == name) {
                return Err(denied("bad-header", format!("the header {name:?} is there twice")));
            }
            headers.push((name, value.trim().to_owned()));
        }
        Ok(headers)
    }
}

struct Origin {
    text: String,
    private: bool,
}

/// One segment that every server reads as one.
fn is_plain(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        // Servers differ in when they decode these: a prefix could be left again.
        && !segment.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
}

/// A prefix as the manifest has it.
fn shown(prefix: &[Segment]) -> String {
    if let [rest @ .., Segment::End] = prefix {
        return format!("{}$", shown(rest));
    }
    let segments: Vec<_> = prefix.iter().map(Segment::to_string).collect();
    format!("/{}", segments.join("/"))
}

/// The manifest leaves an endpoint's origin to the operator, who has not written it.
pub fn needs_origin(endpoint: &str) -> Error {
    denied(
        "endpoint-needs-origin",
        format!(
            "where {endpoint} is, only the operator can say: write `{endpoint}: \"https://host\"` under `endpoints` in \
             the connector's block of the configuration"
        ),
    )
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// Everything but RFC 3986's unreserved characters, escaped.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn denied(code: &str, message: String) -> Error {
    Error { kind: ErrorKind::Denied, code: code.into(), message, request_sent: false, retry_after_ms: None }
}
