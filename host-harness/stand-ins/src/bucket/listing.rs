//! `ListObjectsV2`: the keys of a bucket, a page at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::errors::{escape, violation};
use super::objects::{Meta, Objects};
use crate::clock::rfc3339;
use crate::http::{Reply, Request};
use crate::journal::FindingKind;

/// What `encoding-type=url` leaves as it is. A space becomes a plus, as in a form.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

struct Asked<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    start_after: Option<&'a str>,
    token: Option<&'a str>,
    encoded: bool,
    max_keys: usize,
    /// A parameter that S3 does not know: it ignores it.
    unknown: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn read(query: &'a [(String, String)]) -> Result<Self, Reply> {
        let invalid = |message: &str, name: &str, value: &str| {
            let further = [("ArgumentName", name), ("ArgumentValue", value)];
            Err(violation(400, "InvalidArgument", message, &further))
        };
        let mut asked = Self {
            prefix: "",
            delimiter: "",
            start_after: None,
            token: None,
            encoded: false,
            max_keys: 1_000,
            unknown: None,
        };
        let mut version = None;
        for (name, value) in query {
            match name.as_str() {
                "list-type" => version = Some(value.as_str()),
                "prefix" => asked.prefix = value,
                "delimiter" => asked.delimiter = value,
                "start-after" => {
                    asked.start_after = Some(value).filter(|key| !key.is_empty()).map(|key| &**key)
                }
                "continuation-token" => asked.token = Some(value),
                "encoding-type" if value == "url" => asked.encoded = true,
                "encoding-type" => {
                    return invalid("Invalid Encoding Method specified in Request", name, value);
                }
                "max-keys" => match value.parse::<u32>() {
                    Ok(most) if most <= i32::MAX as u32 => asked.max_keys = most as usize,
                    _ => {
                        let message = "Provided max-keys not an integer or within integer range";
                        return invalid(message, name, value);
                    }
                },
                "fetch-owner" | "x-id" => (),
                _ => asked.unknown = Some(name),
            }
        }
        match version {
            Some("2") => Ok(asked),
            _ => Err(violation(501, "NotImplemented", "only list-type=2 is served here", &[])),
        }
    }
}

/// The last entry of a page, from which the next one goes on.
enum After {
    Nothing,
    Key(String),
    /// Everything under it was rolled up.
    Prefix(String),
}

impl After {
    fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Nothing => String::new(),
            Self::Key(key) => format!("k{key}"),
            Self::Prefix(prefix) => format!("p{prefix}"),
        })
    }

    fn read(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        match text.split_at_checked(1)? {
            ("k", key) => Some(Self::Key(key.to_owned())),
            ("p", prefix) => Some(Self::Prefix(prefix.to_owned())),
            _ => None,
        }
    }

    fn admits(&self, key: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::Key(last) => key > last.as_str(),
            Self::Prefix(last) => key > last.as_str() && !key.starts_with(last),
        }
    }
}

/// `GET /{bucket}?list-type=2`.
pub(super) fn list(request: &Request, bucket: &str, objects: &Objects, page_limit: usize) -> Reply {
    let asked = match Asked::read(&request.query) {
        Ok(asked) => asked,
        Err(reply) => return reply,
    };
    // A token counts more than `start-after`.
    let after = match (asked.token, asked.start_after) {
        (Some(token), _) => match After::read(token) {
            Some(after) => after,
            None => {
                let message = "The continuation token provided is incorrect";
                return violation(400, "InvalidArgument", message, &[("ArgumentName", "continuation-token")]);
            }
        },
        (None, Some(key)) => After::Key(key.to_owned()),
        (None, None) => After::Nothing,
    };
    let page = Page::of(objects, &asked, after, asked.max_keys.min(page_limit));
    let reply = Reply::text(200, "application/xml", page.document(bucket, &asked))
        .header("x-amz-request-id", "4442587FB7D0A2F9");
    match asked.unknown {
        Some(name) => {
            reply.with(FindingKind::IgnoredFilter, format!("{name} is no parameter of the listing"))
        }
        None => reply,
    }
}

struct Page {
    contents: Vec<(String, Meta)>,
    prefixes: Vec<String>,
    /// Where the next page begins, where there is one.
    next: Option<String>,
}

impl Page {
    fn of(objects: &Objects, asked: &Asked<'_>, mut after: After, most: usize) -> Self {
        let mut page = Self { contents: Vec::new(), prefixes: Vec::new(), next: None };
        for (key, meta) in objects.all(asked.prefix) {
            if !after.admits(&key) || most == 0 {
                continue;
            }
            if page.contents.len() + page.prefixes.len() == most {
                page.next = Some(after.token());
                break;
            }
            let rest = &key[asked.prefix.len()..];
            let rolled = Some(asked.delimiter)
                .filter(|delimiter| !delimiter.is_empty())
                .and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()))
                .map(|end| key[..asked.prefix.len() + end].to_owned());
            match rolled {
                Some(prefix) => {
                    page.prefixes.push(prefix.clone());
                    after = After::Prefix(prefix);
                }
                None => {
                    page.contents.push((key.clone(), meta));
                    after = After::Key(key);
                }
            }
        }
        page
    }

    fn document(&self, bucket: &str, asked: &Asked<'_>) -> String {
        let text = |text: &str| match asked.encoded {
            true => utf8_percent_encode(text, URL).to_string().replace("%20", "+"),
            false => escape(text),
        };
        let element = |name: &str, value: &str| format!("<{name}>{value}</{name}>");
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        xml += &element("Name", &escape(bucket));
        xml += &element("Prefix", &text(asked.prefix));
        if let Some(token) = asked.token {
            xml += &element("ContinuationToken", &escape(token));
        }
        if let Some(key) = asked.start_after {
            xml += &element("StartAfter", &text(key));
        }
        if let Some(token) = &self.next {
            xml += &element("NextContinuationToken", &escape(token));
        }
        xml += &element("KeyCount", &(self.contents.len() + self.prefixes.len()).to_string());
        xml += &element("MaxKeys", &asked.max_keys.min(1_000).to_string());
        if !asked.delimiter.is_empty() {
            xml += &element("Delimiter", &text(asked.delimiter));
        }
        if asked.encoded {
            xml += &element("EncodingType", "url");
        }
        xml += &element("IsTruncated", &self.next.is_some().to_string());
        for (key, meta) in &self.contents {
            xml += "<Contents>";
            xml += &element("Key", &text(key));
            xml += &element("LastModified", &rfc3339(meta.modified));
            xml += &element("ETag", &format!("&quot;{}&quot;", meta.digest));
            xml += &element("Size", &meta.size.to_string());
            xml += "<StorageClass>STANDARD</StorageClass></Contents>";
        }
        for prefix in &self.prefixes {
            xml += &element("CommonPrefixes", &element("Prefix", &text(prefix)));
        }
        xml + "</ListBucketResult>"
    }
}
