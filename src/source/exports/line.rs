//! One line of an export file: an envelope around the event that Streams has as well.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Fault, Scalar};
use crate::model::Millis;
use crate::source::inner_event::Refusal;
use crate::source::time;

const ASK_MOENGAGE: &str = "Ask MoEngage support about the export; the file stays in your store.";

const fn refusal(code: &'static str, message: &'static str) -> Refusal {
    Refusal { code, message, remedy: ASK_MOENGAGE }
}

/// An id that the contract does not have.
pub const CONTROL_CHARACTER: Refusal =
    refusal("control-character-identity", "An id holds a control character, so it names nobody for sure.");

/// What is read of a line. The day and hour of the export, also in it, say nothing of the event.
// MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx, "Sample Export Data"
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The workspace's database.
    pub db_name: Option<&'a RawValue>,
    /// As in Streams.
    pub event: &'a RawValue,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    db_name: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

/// Reads the envelope.
pub fn envelope(text: &str) -> Result<Envelope<'_>, Refusal> {
    match serde_json::from_str::<Raw<'_>>(text) {
        // A list has the same data model as an object, so it would pass.
        Ok(raw) if text.starts_with('{') => match raw.event {
            Some(event) => Ok(Envelope { db_name: raw.db_name, event }),
            None => Err(refusal("event-missing", "The line has no event.")),
        },
        _ => Err(match json::check(text) {
            Ok(()) => refusal("line-not-object", "The line is not a JSON object."),
            Err(Fault::Unreadable) => refusal("line-not-json", "The line is not JSON."),
            Err(fault) => refusal(fault.code(), fault.message()),
        }),
    }
}

/// The text that a raw value is.
pub fn text_of(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    raw.map(Scalar::of).and_then(Scalar::text)
}

/// The event's time, where it is there and readable.
pub fn time_of(event: &RawValue) -> Option<Millis> {
    #[derive(Deserialize)]
    struct Timed<'a> {
        #[serde(borrow)]
        event_time: Option<&'a RawValue>,
    }
    let timed: Timed<'_> = serde_json::from_str(event.get()).ok()?;
    time::event_time(timed.event_time.map(Scalar::of))
}

/// A line without the mark that some programs put at the start of a file.
pub fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
}

/// FNV-1a. It only has to tell a handful of names apart, always in the same way.
pub fn digest(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What the beginning of a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Lines, or nothing.
    Lines,
    /// Not text, or PGP's own text.
    Encrypted,
    /// Text, but not lines of JSON.
    Foreign,
}

/// Tells by the first piece of a file.
pub fn head(piece: &[u8]) -> Head {
    /// Enough to tell text from what is none.
    const LOOK: usize = 512;
    let text = without_mark(piece).trim_ascii_start();
    match text.first() {
        None | Some(b'{') => return Head::Lines,
        // RFC 9580: a packet begins with a byte from 0x80; armor with this line.
        Some(0x80..) if !is_text(text.get(..LOOK).unwrap_or(text)) => return Head::Encrypted,
        _ if text.starts_with(b"-----BEGIN PGP") => return Head::Encrypted,
        _ => {}
    }
    // A broken first line must not hide the good ones after it.
    if text.split(|&b| b == b'\n').any(|line| line.trim_ascii_start().starts_with(b"{")) {
        Head::Lines
    } else {
        Head::Foreign
    }
}

/// True where at most an eighth is no text: some broken bytes make no encrypted file, of which more
/// than a third is none.
fn is_text(bytes: &[u8]) -> bool {
    let no_text = |c: &char| *c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_whitespace());
    String::from_utf8_lossy(bytes).chars().filter(no_text).count() <= bytes.len() / 8
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_are_told_apart() {
        for (piece, expected) in [
            (&b""[..], Head::Lines),
            (b" \r\n\n", Head::Lines),
            (b"{\"event\":", Head::Lines),
            (b"\xEF\xBB\xBF{", Head::Lines),
            (b"oops\n{\"a\":1}\n", Head::Lines),
            (b"\x85\x02\x0c\x03\xff{\n{", Head::Encrypted),
            (b"\xc1\xc0\x4c\x03\xa1\xb2", Head::Encrypted),
            (b"-----BEGIN PGP MESSAGE-----\n\n{", Head::Encrypted),
            (b"\x80\"db_name\":1}\n{\"a\":1}\n", Head::Lines),
            (b"<html><body>log in</body></html>\n", Head::Foreign),
            ("ünfug\n".as_bytes(), Head::Foreign),
        ] {
            assert_eq!(head(piece), expected, "{}", String::from_utf8_lossy(piece));
        }
    }

    #[test]
    fn envelopes_are_objects_with_an_event() {
        let code = |text: &str| envelope(text).err().map(|refusal| refusal.code);
        assert_eq!(code(r#"{"db_name":"A","event":{},"export_day":"2022-05-20","x":[1,{"y":2}]}"#), None);
        assert_eq!(code(r#"{"db_name":"A"}"#), Some("event-missing"));
        assert_eq!(code(r#"{"event":null}"#), Some("event-missing"));
        assert_eq!(code(r#"{"event":{},"event":{}}"#), Some("duplicate-key"));
        assert_eq!(code(r#"["A",{}]"#), Some("line-not-object"));
        assert_eq!(code("7"), Some("line-not-object"));
        assert_eq!(code("{"), Some("line-not-json"));
        assert_eq!(code(r#"{"event":{}} {}"#), Some("line-not-json"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = head(&bytes);
            let _ = envelope(&String::from_utf8_lossy(&bytes)).map(|envelope| time_of(envelope.event));
        }
    }
}
