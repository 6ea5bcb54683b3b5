//! Amazon's errors as XML. Google's interface answers the same document.

use super::signature::{LARGEST_SKEW_MS, Unsigned};
use crate::clock::{Millis, rfc3339};
use crate::http::Reply;
use crate::journal::FindingKind;

/// Escapes text of an element. What XML can't carry becomes a character reference, as S3 does.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' | '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => {
                escaped.push_str(&format!("&#x{:x};", u32::from(letter)));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// An error with further elements.
pub(super) fn error(status: u16, code: &str, message: &str, further: &[(&str, &str)]) -> Reply {
    let further: String =
        further.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escape(value))).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message>{further}<RequestId>4442587FB7D0A2F9</RequestId><HostId>stand-in</HostId></Error>",
        escape(message)
    );
    Reply::text(status, "application/xml", body).header("x-amz-request-id", "4442587FB7D0A2F9")
}

/// An error of a request that the documents do not allow.
pub(super) fn violation(status: u16, code: &str, message: &str, further: &[(&str, &str)]) -> Reply {
    error(status, code, message, further).with(FindingKind::Violation, format!("{code}: {message}"))
}

pub(super) fn access_denied() -> Reply {
    error(403, "AccessDenied", "Access Denied", &[]).with(FindingKind::Unauthorized, "not permitted")
}

pub(super) fn no_such_key(key: &str) -> Reply {
    error(404, "NoSuchKey", "The specified key does not exist.", &[("Key", key)])
}

/// Amazon: "Error responses", the list of codes.
pub(super) fn unsigned(why: &Unsigned, at: Millis) -> Reply {
    let unauthorized = |reply: Reply, detail: &str| reply.with(FindingKind::Unauthorized, detail);
    match why {
        Unsigned::Missing => violation(403, "AccessDenied", "Access Denied", &[]),
        Unsigned::OtherScheme => violation(400, "InvalidArgument", "Unsupported Authorization Type", &[]),
        Unsigned::Malformed(message) => violation(400, "AuthorizationHeaderMalformed", message, &[]),
        Unsigned::UnknownKey(id) => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            unauthorized(error(403, "InvalidAccessKeyId", message, &[("AWSAccessKeyId", id)]), "unknown key")
        }
        Unsigned::NoDate => violation(
            403,
            "AccessDenied",
            "AWS authentication requires a valid Date or x-amz-date header",
            &[],
        ),
        Unsigned::Skewed { said } => {
            let message = "The difference between the request time and the current time is too large.";
            let (now, most) = (rfc3339(at), LARGEST_SKEW_MS.to_string());
            let further =
                [("RequestTime", said.as_str()), ("ServerTime", &now), ("MaxAllowedSkewMilliseconds", &most)];
            unauthorized(error(403, "RequestTimeTooSkewed", message, &further), "clocks differ")
        }
        Unsigned::NoPayloadHash => violation(
            400,
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
            &[],
        ),
        Unsigned::OtherPayload => violation(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            &[],
        ),
        Unsigned::HeadersNotSigned(names) => {
            let message = "There were headers present in the request which were not signed";
            violation(403, "AccessDenied", message, &[("HeadersNotSigned", &names.join(", "))])
        }
        Unsigned::Mismatch { canonical, to_sign } => {
            let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
            let further = [("StringToSign", to_sign.as_str()), ("CanonicalRequest", canonical)];
            unauthorized(
                error(403, "SignatureDoesNotMatch", message, &further),
                "the signature is another one",
            )
        }
    }
}
