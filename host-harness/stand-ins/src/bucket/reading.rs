//! Reading one file: conditions and ranges, as S3 and nginx both serve them.

use jiff::Timestamp;

use super::objects::{Content, Meta};
use crate::clock::Millis;
use crate::http::{FilePart, Reply, Request};

/// What a conditional request comes to.
pub(super) enum Read {
    /// The file, or a part of it.
    Answer(Reply),
    /// 412: `If-Match` names another content.
    Changed,
    /// 304: `If-None-Match` names this content.
    Unchanged(Reply),
    /// 416: nothing of it is in the range.
    OutOfRange(Reply),
}

/// `GET` of a file. `etag` is with its quotes.
pub(super) fn read(request: &Request, meta: &Meta, content: Content, etag: &str) -> Read {
    let names = |header: &str| {
        let text = request.header(header)?;
        let known = etag.trim_matches('"');
        Some(text.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_matches('"') == known))
    };
    if names("if-match") == Some(false) {
        return Read::Changed;
    }
    let with_times = |reply: Reply| {
        reply
            .header("etag", etag)
            .header("last-modified", http_date(meta.modified))
            .header("accept-ranges", "bytes")
    };
    if names("if-none-match") == Some(true) {
        return Read::Unchanged(with_times(Reply::empty(304)));
    }
    let (status, first, length) = match range(request.header("range"), meta.size) {
        Range::Whole => (200, 0, meta.size),
        Range::Part { first, last } => (206, first, last - first + 1),
        Range::Outside => {
            return Read::OutOfRange(
                Reply::empty(416).header("content-range", format!("bytes */{}", meta.size)),
            );
        }
    };
    let mut reply = with_times(Reply::empty(status));
    let mut content_type = None;
    match content {
        Content::Memory(file) => {
            // Both are within the length of what is in memory.
            reply.body = file.bytes.slice(first as usize..(first + length) as usize);
            content_type = file.content_type;
            if let Some(encoding) = &file.content_encoding {
                reply = reply.header("content-encoding", encoding);
            }
        }
        Content::Folder(file) => reply.file = Some(FilePart { file, offset: first, length }),
    }
    if status == 206 {
        let range = format!("bytes {first}-{}/{}", first + length - 1, meta.size);
        reply = reply.header("content-range", range);
    }
    Read::Answer(reply.header("content-type", content_type.as_deref().unwrap_or("binary/octet-stream")))
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Outside,
}

/// One range of bytes. What is no such range, or several, is ignored: RFC 9110 allows that.
fn range(header: Option<&str>, size: u64) -> Range {
    let Some((first, last)) = header.and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Range::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size && (last.is_empty() || last.parse::<u64>().is_ok()) => Range::Outside,
        (Ok(first), Ok(last)) if first <= last => Range::Part { first, last: last.min(size - 1) },
        (Ok(first), Err(_)) if last.is_empty() => Range::Part { first, last: size - 1 },
        (Err(_), Ok(0)) if first.is_empty() => Range::Outside,
        (Err(_), Ok(_)) if first.is_empty() && size == 0 => Range::Outside,
        (Err(_), Ok(length)) if first.is_empty() => {
            Range::Part { first: size.saturating_sub(length), last: size - 1 }
        }
        _ => Range::Whole,
    }
}

/// `Mon, 23 Nov 2026 10:00:00 GMT`.
pub(super) fn http_date(at: Millis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_says() {
        let part = |first, last| Range::Part { first, last };
        for (header, wanted) in [
            (None, Range::Whole),
            (Some("bytes=0-0"), part(0, 0)),
            (Some("bytes=2-"), part(2, 9)),
            (Some("bytes=2-99"), part(2, 9)),
            (Some("bytes=-3"), part(7, 9)),
            (Some("bytes=-99"), part(0, 9)),
            (Some("bytes=10-"), Range::Outside),
            (Some("bytes=-0"), Range::Outside),
            (Some("bytes=3-2"), Range::Whole),
            (Some("bytes=0-1,3-4"), Range::Whole),
            (Some("bytes=x-1"), Range::Whole),
            (Some("lines=0-1"), Range::Whole),
        ] {
            assert_eq!(range(header, 10), wanted, "{header:?}");
        }
        assert_eq!(range(Some("bytes=0-"), 0), Range::Outside);
        assert_eq!(range(Some("bytes=-1"), 0), Range::Outside);
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(1_700_000_000_123), "Tue, 14 Nov 2023 22:13:20 GMT");
    }
}
