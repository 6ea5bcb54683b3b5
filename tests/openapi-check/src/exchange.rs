//! One request and what was answered to it.

use serde::Deserialize;

/// As it was recorded.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// Name of the webhook where the vendor sent the request; none for a call at the vendor.
    pub webhook: Option<String>,
    /// Upper case.
    pub method: String,
    /// Percent-encoded, without the query.
    pub path: String,
    /// Decoded pairs.
    pub query: Vec<(String, String)>,
    /// Names in lower case. Of a credential only its scheme is there (`Basic`), or nothing.
    pub headers: Vec<(String, String)>,
    /// Empty where there is none.
    pub body: String,
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub answer_headers: Vec<(String, String)>,
    /// Empty where there is none.
    pub answer: String,
    /// The request is wrong on purpose: only the answer is checked.
    pub answer_only: bool,
    /// The answer is a test's own: only the request is checked.
    pub request_only: bool,
}

/// The value of a header.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A media type without its parameters.
pub fn media_type(headers: &[(String, String)]) -> Option<String> {
    let value = header(headers, "content-type")?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}
