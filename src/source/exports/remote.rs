//! The store, as far as one unit may call it, and what its refusals mean.

use crate::failure::{Failure, FailureKind};
use crate::model::Millis;
use crate::settings::{EXPORTS_SLOT, Exports};
use crate::source::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, Method};
use crate::source::page::{Object, Reach};
use crate::source::rate;

/// Calls of one unit, of the 64 that the contract allows.
const CALLS: u32 = 60;

/// What a key needs the right to do.
const LIST: &str = "list the bucket";
const READ: &str = "read its objects";

/// Why a page goes no further.
#[derive(Debug)]
pub enum Halt {
    /// The unit's calls are used up; what was read so far is a page.
    Full,
    /// The host is still downloading a file, for longer than a unit; it says when to come back.
    Later(Millis),
    /// There is no page.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What opening a file came to.
#[derive(Debug)]
pub enum Opened {
    /// It can be read.
    Object(Object),
    /// It has another content than the one that was begun.
    Changed,
    /// The store doesn't have it any more.
    Missing,
    /// It is not the gzip that it claims to be.
    Broken,
    /// It is larger than the host keeps.
    TooLarge,
}

/// The tenant's store.
pub struct Remote<'a, 'r> {
    exports: &'a Exports,
    reach: &'a mut Reach<'r>,
    now: Millis,
    calls: u32,
}

impl<'a, 'r> Remote<'a, 'r> {
    /// With a unit's calls.
    pub fn new(exports: &'a Exports, reach: &'a mut Reach<'r>, now: Millis) -> Self {
        Self { exports, reach, now, calls: CALLS }
    }

    fn count(&mut self) -> Result<(), Halt> {
        self.calls = self.calls.checked_sub(1).ok_or(Halt::Full)?;
        Ok(())
    }

    /// Asks for a listing. None where the store has no such folder.
    pub fn listing(
        &mut self,
        path: Vec<String>,
        query: Vec<(String, String)>,
    ) -> Result<Option<HttpResponse>, Halt> {
        self.count()?;
        let request = HttpRequest {
            endpoint: self.exports.store.endpoint().to_owned(),
            method: Method::Get,
            path,
            query,
            headers: Vec::new(),
            body: None,
        };
        let response = self.reach.http.send(&request).map_err(|error| no_answer(&error))?;
        match response.status {
            200 => Ok(Some(response)),
            404 if self.exports.store.bucket().is_none() => Ok(None),
            status => {
                let wait = rate::wait(&response, self.now);
                Err(refused(status, &response.body, LIST, wait).into())
            }
        }
    }

    /// Makes a file readable; with `etag` only that content of it.
    pub fn open(&mut self, path: &[String], etag: Option<&str>) -> Result<Opened, Halt> {
        self.count()?;
        let error = match self.reach.objects.open(self.exports.store.endpoint(), path, etag) {
            Ok(object) => return Ok(Opened::Object(object)),
            Err(error) => error,
        };
        match error.code.as_str() {
            "object-changed" => return Ok(Opened::Changed),
            "object-broken" => return Ok(Opened::Broken),
            "object-too-large" => return Ok(Opened::TooLarge),
            "object-not-ready" => {
                let wait = i64::try_from(error.retry_after_ms.unwrap_or(0)).unwrap_or(i64::MAX);
                return Err(Halt::Later(self.now.saturating_add(wait)));
            }
            "object-forbidden" => return Err(refused(403, &[], READ, None).into()),
            "clock-skewed" => return Err(skewed().into()),
            _ if error.kind != HttpErrorKind::BadAnswer => return Err(no_answer(&error)),
            _ => {}
        }
        match error.code.strip_prefix("object-status-").and_then(|status| status.parse().ok()) {
            Some(404 | 410) => Ok(Opened::Missing),
            Some(status) => Err(refused(status, &[], READ, None).into()),
            None => Err(no_answer(&error)),
        }
    }

    /// The next piece of an open file, empty at its end. None where the host dropped the file.
    pub fn read(
        &mut self,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Option<Vec<u8>>, Halt> {
        self.count()?;
        match self.reach.objects.read(self.exports.store.endpoint(), path, etag, offset, length) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.code == "object-gone" => Ok(None),
            Err(error) => Err(no_answer(&error)),
        }
    }
}

fn no_answer(error: &HttpError) -> Halt {
    let (kind, code, message) = match error.kind {
        HttpErrorKind::Budget => return Halt::Full,
        HttpErrorKind::Denied => (
            FailureKind::Config,
            "exports-not-granted",
            "The host refuses the call to the store of exports; see exports, and endpoints for a store of your own.",
        ),
        HttpErrorKind::NoSecret => (
            FailureKind::Config,
            "missing-secret",
            "The secret of the slot exports is missing; set the variable that exports.secret names.",
        ),
        HttpErrorKind::RateLimited => (
            FailureKind::RateLimited(error.retry_after_ms),
            "rate-window-closed",
            "The rate of calls to the store of exports is used up for now.",
        ),
        HttpErrorKind::Unreachable => {
            (FailureKind::Transient, "exports-unreachable", "The store of exports could not be reached.")
        }
        HttpErrorKind::Timeout => {
            (FailureKind::Transient, "exports-timeout", "The store of exports did not answer in time.")
        }
        HttpErrorKind::BadAnswer => (
            FailureKind::Transient,
            "exports-bad-answer",
            "The answer of the store of exports broke off or was not HTTP.",
        ),
    };
    Failure::new(kind, code, message).into()
}

fn skewed() -> Failure {
    Failure::new(
        FailureKind::Transient,
        "clock-skewed",
        "The store refuses the signature because this host's clock is wrong; set the clock.",
    )
}

/// What an answer means that is no success. `deed` is what the key may not do.
fn refused(status: u16, body: &[u8], deed: &str, wait: Option<u64>) -> Failure {
    let text = std::str::from_utf8(body).unwrap_or_default();
    // S3's own word for the error (Amazon S3 API, "Error responses"); Google uses the same.
    let word = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let word = word.map_or("", |(word, _)| word);
    let auth = || FailureKind::Auth { slot: EXPORTS_SLOT.to_owned() };
    match (status, word) {
        (_, "RequestTimeTooSkewed") => skewed(),
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        | (301 | 302 | 307 | 308, _) => Failure::new(
            FailureKind::Config,
            "exports-elsewhere",
            "The store says that the bucket or folder is elsewhere; check exports.region, exports.bucket and exports.folder.",
        ),
        (_, "NoSuchBucket") => Failure::new(
            FailureKind::Config,
            "no-such-bucket",
            "The store has no bucket of the name in exports.bucket.",
        ),
        (_, "SlowDown") | (429, _) => Failure::new(
            FailureKind::RateLimited(wait),
            "rate-limited",
            "The store of exports asks to wait before the next call.",
        ),
        (401, _) | (403, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken") => Failure::new(
            auth(),
            "exports-key-refused",
            "The store refuses the key; check that exports.secret belongs to exports.access_key_id or exports.user.",
        ),
        (403, _) => Failure::new(
            FailureKind::Permission { slot: EXPORTS_SLOT.to_owned(), scope: deed.to_owned() },
            "exports-key-lacks-permission",
            format!("The store knows the key, but it may not {deed}; give it the permission."),
        ),
        (408 | 500..=599, _) => Failure::new(
            FailureKind::Transient,
            "exports-unavailable",
            format!("The store of exports answered with status {status}."),
        ),
        _ => Failure::vendor_contract(
            body,
            "unexpected-status",
            format!("The store of exports answered with status {status}, which this call does not document."),
        ),
    }
}
