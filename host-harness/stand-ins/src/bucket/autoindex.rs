//! A folder behind an nginx: listings as JSON, files, Basic.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::objects::{Meta, Objects};
use super::reading::{Read, http_date, read};
use super::{Options, Permission};
use crate::clock::Millis;
use crate::http::{Reply, Request};
use crate::journal::FindingKind;

/// Answers as nginx would, with `autoindex on`, `autoindex_format json` and `auth_basic`.
pub(super) fn answer(
    request: &Request,
    options: &Options,
    permission: Permission,
    objects: &Objects,
) -> Reply {
    if !authorized(request, options) {
        return page(401, "401 Authorization Required")
            .header("www-authenticate", "Basic realm=\"exports\"")
            .with(FindingKind::Unauthorized, "not this user and password");
    }
    if request.method != "GET" {
        return page(405, "405 Not Allowed").with(FindingKind::Violation, "only GET is served here");
    }
    let Ok(path) = percent_decode_str(&request.path).decode_utf8() else {
        return page(400, "400 Bad Request");
    };
    let key = path.trim_start_matches('/');
    let listing = path.ends_with('/');
    let refused = match permission {
        Permission::Granted => false,
        Permission::Denied => true,
        Permission::NoListing => listing,
        Permission::NoReading => !listing,
    };
    if refused {
        return page(403, "403 Forbidden").with(FindingKind::Unauthorized, "not permitted");
    }
    if listing {
        return list(key, objects);
    }
    let Some((meta, content)) = objects.open(key) else {
        return match objects.all(&format!("{key}/")).is_empty() {
            true => page(404, "404 Not Found"),
            // nginx sends a reader of a folder to the same path with a slash.
            false => page(301, "301 Moved Permanently").header(
                "location",
                format!("http://{}{}/", request.header("host").unwrap_or_default(), request.path),
            ),
        };
    };
    match read(request, &meta, content, &etag(&meta)) {
        Read::Answer(reply) | Read::Unchanged(reply) => reply,
        Read::Changed => page(412, "412 Precondition Failed"),
        Read::OutOfRange(reply) => {
            Reply { headers: reply.headers, ..page(416, "416 Requested Range Not Satisfiable") }
        }
    }
}

/// nginx makes it of the time in seconds and the size, so that two contents may share one.
pub(super) fn etag(meta: &Meta) -> String {
    format!("\"{:x}-{:x}\"", meta.modified / 1_000, meta.size)
}

fn authorized(request: &Request, options: &Options) -> bool {
    let wanted = STANDARD.encode(format!("{}:{}", options.access_key_id, options.secret));
    request.header("authorization").and_then(|text| text.strip_prefix("Basic ")) == Some(&wanted)
}

/// Folders first, each kind by name; names that begin with a dot are left out; folders have no size.
fn list(folder: &str, objects: &Objects) -> Reply {
    let (mut folders, mut files) = (BTreeMap::<&str, Millis>::new(), Vec::new());
    let all = objects.all(folder);
    if all.is_empty() && !folder.is_empty() {
        return page(404, "404 Not Found");
    }
    for (key, meta) in &all {
        let rest = &key[folder.len()..];
        match rest.split_once('/') {
            _ if rest.starts_with('.') => (),
            Some((name, _)) => {
                let newest = folders.entry(name).or_insert(meta.modified);
                *newest = meta.modified.max(*newest);
            }
            None => files.push((rest, meta)),
        }
    }
    let folders = folders
        .iter()
        .map(|(name, modified)| json!({"name": name, "type": "directory", "mtime": http_date(*modified)}));
    let files = files.iter().map(|(name, meta)| {
        json!({"name": name, "type": "file", "mtime": http_date(meta.modified), "size": meta.size})
    });
    let rows: Vec<String> = folders.chain(files).map(|row| row.to_string()).collect();
    Reply::text(200, "application/json", format!("[\r\n{}\r\n]", rows.join(",\r\n")))
}

/// nginx's own pages.
pub(super) fn page(status: u16, title: &str) -> Reply {
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    Reply::text(status, "text/html", body)
}
