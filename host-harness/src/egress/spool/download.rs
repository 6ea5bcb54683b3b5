//! Getting a file, over several units where one is too short.
//!
//! A download inflates while it goes on, in one pass. Where the unit's time runs out, or a large
//! file's connection breaks, what has come is kept in memory (the inflater) and as a draft on the
//! disk, and the next unit asks for the rest by `range`, bound to the same content by `if-match`.
//! That needs a strong etag and a stated length; without them a file must fit into one unit. The
//! answer has to repeat the etag and the length, and gzip's own sum covers the seam.

use std::io;
use std::time::{Duration, Instant};

use super::content::{Content, Fault};
use super::file::{Draft, Spooled};
use super::{Place, Spool};
use crate::contract::http::{Error, ErrorKind, Method, Request};
use crate::egress::rate_headers::RateHeaders;
use crate::egress::{Egress, Into, failure};
use crate::world::{HttpResponse, Sink};

/// Of a unit's time, what a download leaves to the guest.
pub(super) const RESERVE: Duration = Duration::from_secs(5);
/// A download isn't begun with less time than this.
const SHORTEST: Duration = Duration::from_secs(1);
/// After a broken connection, what is worth continuing; less is fetched anew.
const WORTH: u64 = 1 << 20;
/// What has to come in a unit for a download to count as going on; less is a timeout.
const CRAWL: u64 = 64 << 10;
/// Content between two looks at the quota.
const ROOM: u64 = 64 << 20;
/// What a guest is told to wait before the download goes on, in milliseconds of host time.
const NEXT_UNIT: u64 = 1_000;

/// A download that is not over.
pub(super) struct Partial {
    /// The vendor's, where it gave one that can be used.
    etag: Option<String>,
    /// Bytes of the whole file as it is sent.
    total: Option<u64>,
    /// Of these, what has come.
    taken: u64,
    continuable: bool,
    content: Content,
    /// When it was last worked on.
    pub(super) touched: Instant,
}

impl Partial {
    fn begin(head: &HttpResponse, place: &Place, cap: u64) -> Result<Self, Fault> {
        let etag = head.header("etag").filter(|etag| !etag.is_empty() && etag.len() <= 512);
        let total = head.header("content-length").and_then(|length| length.trim().parse().ok());
        if total.is_some_and(|total: u64| total > cap) {
            return Err(Fault::TooLarge);
        }
        let ranges = !head.header("accept-ranges").is_some_and(|unit| unit.eq_ignore_ascii_case("none"));
        let draft = Draft::new(&place.home, etag.is_none()).map_err(Fault::Disk)?;
        Ok(Self {
            etag: etag.map(str::to_owned),
            total,
            taken: 0,
            continuable: ranges && total.is_some() && etag.is_some_and(is_strong),
            content: Content::new(head, draft, cap)?,
            touched: Instant::now(),
        })
    }

    /// Is this the rest of the same file, from where it broke off?
    fn is_continued_by(&self, head: &HttpResponse) -> bool {
        let range = head.header("content-range").and_then(|range| {
            let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
        });
        let rest = self.total.map(|total| (self.taken, total.saturating_sub(1), total));
        rest.is_some() && range == rest && head.header("etag") == self.etag.as_deref()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.content.push(bytes)?;
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn finish(self, place: &Place) -> Result<(String, u64), Fault> {
        if self.total.is_some_and(|total| total != self.taken) {
            return Err(Fault::Broken);
        }
        let draft = self.content.finish()?;
        draft.keep(&place.path(), self.etag.as_deref()).map_err(Fault::Disk)
    }
}

/// One exchange's share of a download.
struct Download<'a> {
    spool: &'a Spool,
    place: &'a Place,
    partial: Option<Partial>,
    /// Bytes that came in this exchange.
    fresh: u64,
    /// Size of the content at which the quota is looked at again.
    look_at: u64,
    fault: Option<Fault>,
}

impl Download<'_> {
    fn take(&mut self, step: Result<(), Fault>) -> io::Result<()> {
        step.map_err(|fault| {
            self.partial = None;
            self.fault = Some(fault);
            io::Error::from(io::ErrorKind::Other)
        })
    }

    fn started(&mut self, head: &HttpResponse) -> Result<(), Fault> {
        match (head.status, &self.partial) {
            (206, Some(partial)) if partial.is_continued_by(head) => Ok(()),
            (206, _) => Err(Fault::Changed),
            (200, _) => {
                let before = self.partial.take(); // its draft goes before another one comes
                let mut partial = Partial::begin(head, self.place, self.spool.quota)?;
                // The same file from its beginning, where the rest was asked for: no ranges here.
                partial.continuable &= before.is_none_or(|before| before.etag != partial.etag);
                self.partial = Some(partial);
                Ok(())
            }
            _ => {
                self.partial = None;
                Ok(())
            }
        }
    }

    fn pushed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(partial) = &mut self.partial else { return Ok(()) };
        partial.push(bytes)?;
        self.fresh = self.fresh.saturating_add(bytes.len() as u64);
        let size = partial.content.size();
        if size >= self.look_at {
            self.look_at = size + ROOM;
            self.spool.make_room(self.place).map_err(Fault::Disk)?;
        }
        Ok(())
    }
}

impl Sink for Download<'_> {
    fn begin(&mut self, head: &HttpResponse) -> io::Result<()> {
        let step = self.started(head);
        self.take(step)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let step = self.pushed(bytes);
        self.take(step)
    }
}

/// How an exchange ended.
enum Ended {
    /// The file is there.
    Whole(String, u64),
    /// The known one is current.
    Unchanged,
    /// What was begun can't be continued: from the beginning, then.
    Anew,
}

impl Spool {
    /// Downloads the file. None where the vendor says that the known one is current.
    pub(super) fn fetch(
        &self,
        egress: &Egress,
        place: &Place,
        endpoint: &str,
        path: &[String],
        known: Option<&Spooled>,
    ) -> Result<Option<(String, u64)>, Error> {
        loop {
            let partial = self.paused(place);
            let continued = partial.is_some();
            match self.exchange(egress, place, (endpoint, path), known, partial)? {
                Ended::Whole(etag, size) => return Ok(Some((etag, size))),
                Ended::Unchanged => return Ok(None),
                Ended::Anew if continued => {}
                Ended::Anew => return Err(refused("bad-answer", "the vendor answered what was not asked")),
            }
        }
    }

    fn exchange(
        &self,
        egress: &Egress,
        place: &Place,
        (endpoint, path): (&str, &[String]),
        known: Option<&Spooled>,
        partial: Option<Partial>,
    ) -> Result<Ended, Error> {
        let time = egress.left().saturating_sub(RESERVE);
        if time < SHORTEST {
            if let Some(partial) = partial {
                self.pause(place, partial);
            }
            return Err(not_ready(false, "the unit has too little time left for a download"));
        }
        let request = Request {
            endpoint: endpoint.to_owned(),
            method: Method::Get,
            path: path.to_vec(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            timeout_ms: u32::try_from(time.as_millis()).ok(),
        };
        let conditions: Vec<(&str, String)> = match (&partial, known) {
            (Some(Partial { etag: Some(etag), taken, .. }), _) => {
                vec![("range", format!("bytes={taken}-")), ("if-match", etag.clone())]
            }
            // An etag that the host made up means nothing to the vendor.
            (None, Some(known)) if is_sendable(&known.etag) && !known.etag.starts_with("sha256:") => {
                vec![("if-none-match", known.etag.clone())]
            }
            _ => Vec::new(),
        };
        let conditions: Vec<_> = conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let continued = partial.is_some();
        let look_at = ROOM;
        let mut download = Download { spool: self, place, partial, fresh: 0, look_at, fault: None };
        let answer = egress.exchange(request, &conditions, Into::File(&mut download, self.quota));
        let Download { partial, fresh, fault, .. } = download;
        match (fault, answer) {
            (Some(Fault::Changed), _) => Ok(Ended::Anew),
            (Some(fault), _) => Err(fault.into()),
            (None, Err(error)) => Err(self.broken_off(place, partial, fresh, error)),
            (None, Ok(answer)) => match (answer.status, partial) {
                (200 | 206, Some(partial)) => {
                    let (etag, size) = partial.finish(place).map_err(Error::from)?;
                    Ok(Ended::Whole(etag, size))
                }
                (304, None) if known.is_some() => Ok(Ended::Unchanged),
                (412 | 416, Some(_)) if continued => Ok(Ended::Anew),
                (404 | 410, _) => Err(status_error(&answer, egress)),
                (_, partial) => {
                    if let Some(partial) = partial {
                        self.pause(place, partial);
                    }
                    Err(status_error(&answer, egress))
                }
            },
        }
    }

    /// Keeps what can be continued, and says how it goes on.
    fn broken_off(&self, place: &Place, partial: Option<Partial>, fresh: u64, error: Error) -> Error {
        let late = error.kind == ErrorKind::Timeout;
        let Some(partial) = partial else { return error };
        if !partial.continuable {
            return if late { too_slow() } else { error };
        }
        if partial.taken > 0 && (late || fresh == 0 || partial.taken >= WORTH) {
            self.pause(place, partial);
        }
        if late && fresh >= CRAWL { not_ready(true, "the file is still being downloaded") } else { error }
    }
}

/// Can it be told from another version of the file, byte by byte (RFC 9110, 8.8.1)?
fn is_strong(etag: &str) -> bool {
    etag.starts_with('"') && is_sendable(etag)
}

fn is_sendable(etag: &str) -> bool {
    etag.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// What an answer means that is not the file.
fn status_error(answer: &HttpResponse, egress: &Egress) -> Error {
    let status = answer.status;
    let vendor = vendor_code(&answer.body);
    let words = |text: &str| match vendor {
        Some(code) => format!("{text}; its code is {code}"),
        None => text.to_owned(),
    };
    match (status, vendor) {
        (_, Some("RequestTimeTooSkewed")) => refused(
            "clock-skewed",
            "the vendor's clock and the host's differ by more than it accepts; set the host's",
        ),
        (401 | 403, _) => refused(
            "object-forbidden",
            &words("the vendor refuses the file to this key; it needs the right to list and to read"),
        ),
        (404 | 410, _) => refused(&format!("object-status-{status}"), &words("the vendor has no such file")),
        (429 | 503, _) => {
            let wait = RateHeaders::read(&answer.headers, egress.access.world.now()).wait(status);
            Error {
                kind: ErrorKind::RateLimited,
                retry_after_ms: wait.map(i64::unsigned_abs),
                ..refused(&format!("object-status-{status}"), &words("the vendor asks to come later"))
            }
        }
        _ => refused(&format!("object-status-{status}"), &words("the vendor didn't give the file")),
    }
}

/// `<Code>` of an error of S3's protocol: one word.
fn vendor_code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let word = (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    word.then_some(code)
}

pub(super) fn not_ready(request_sent: bool, message: &str) -> Error {
    Error {
        request_sent,
        retry_after_ms: Some(NEXT_UNIT),
        ..failure(ErrorKind::RateLimited, "object-not-ready", message)
    }
}

fn too_slow() -> Error {
    Error {
        request_sent: true,
        ..failure(
            ErrorKind::Timeout,
            "object-too-slow",
            "the file doesn't come within one unit, and without a strong etag and a length it can't be continued",
        )
    }
}

pub(super) fn refused(code: &str, message: &str) -> Error {
    Error { request_sent: true, ..failure(ErrorKind::BadAnswer, code, message) }
}

/// The host's disk failed; the operator sees why, the guest only that it did.
pub(super) fn disk(error: io::Error) -> Error {
    tracing::warn!(%error, "the spool can't be used");
    failure(ErrorKind::Unreachable, "spool-unusable", "the host can't keep files now")
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Disk(error) => disk(error),
            Fault::TooLarge => refused("object-too-large", "the file is larger than it may be"),
            Fault::Broken => {
                refused("object-broken", "the file is not the gzip or the archive that it claims to be")
            }
            Fault::Archive(what) => refused(
                "object-broken",
                &format!("the file is an archive, but not of one plain file: {what}"),
            ),
            Fault::Encoding => refused("bad-answer", "the file has an encoding that was not asked for"),
            Fault::Changed => refused("object-changed", "the file has changed; begin it anew"),
        }
    }
}
