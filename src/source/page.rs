//! A page of a resource: what is asked for, what comes back, and what a read may reach.

use std::str::FromStr;

use super::client::Http;
use super::notes::Note;
use super::surfaces::Reject;
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Scalar, to_json};
use crate::model::{Millis, Record};

/// Where a read stands. Opaque to the host; at most 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Format of the bytes; the profile lists those that can be read.
    pub version: u32,
    /// Of the resource that made it.
    pub bytes: Vec<u8>,
}

/// Format of the cursors that this build writes and reads. It changes only where an older cursor
/// could be misread; a new field has a default.
pub const CURSOR_VERSION: u32 = 1;

impl Cursor {
    /// A cursor: whose it is, and that resource's own state, given as JSON.
    pub(crate) fn new(resource: &str, state: &str) -> Self {
        let content = format!(r#"{{"of":{},"state":{state}}}"#, to_json(&resource));
        Self { version: CURSOR_VERSION, bytes: content.into_bytes() }
    }

    /// The state that a resource put into it, as an object.
    ///
    /// # Errors
    /// `Cursor` where it was made by another resource, by a format that this build does not
    /// know, or is no cursor at all.
    pub(crate) fn state(&self, resource: &str) -> Result<json::Object<'_>, Failure> {
        let fail = |code, message| Failure::new(FailureKind::Cursor, code, message);
        if self.version != CURSOR_VERSION {
            return Err(fail("cursor-version", "The cursor has a format that this build can't read."));
        }
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        let content = json::Object::parse(text).ok_or_else(unreadable)?;
        // Whose it is comes first: another resource's state need not be readable as this one's.
        let of = content.get("of").and_then(Scalar::text).ok_or_else(unreadable)?;
        if of != resource {
            return Err(fail("foreign-cursor", "The cursor belongs to another resource."));
        }
        content.raw("state").and_then(|state| json::Object::parse(state.get())).ok_or_else(unreadable)
    }
}

/// A cursor that nothing can be read from.
pub(crate) fn unreadable() -> Failure {
    Failure::new(FailureKind::Cursor, "unreadable-cursor", "The cursor is none of this connector's.")
}

/// A number, or true or false, of a cursor's state: the default where it isn't there, nothing
/// where it is something else.
// Cursors are read and written so, and not by derived code, which is some kilobytes for each.
pub(crate) fn value<T: FromStr + Default>(state: &json::Object<'_>, key: &str) -> Option<T> {
    state.raw(key).map_or_else(|| Some(T::default()), |raw| raw.get().parse().ok())
}

/// The same, where there may be no value.
pub(crate) fn optional<T: FromStr + Default>(state: &json::Object<'_>, key: &str) -> Option<Option<T>> {
    match state.raw(key) {
        Some(raw) if !Scalar::is_null(raw) => raw.get().parse().ok().map(Some),
        _ => Some(None),
    }
}

/// A text of a cursor's state.
pub(crate) fn text(state: &json::Object<'_>, key: &str) -> Option<Option<String>> {
    match state.get(key) {
        None | Some(Scalar::Null) => Some(None),
        Some(text) => text.text().map(|text| Some(text.into_owned())),
    }
}

/// Where a read starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// From the beginning.
    Start,
    /// Where an earlier page ended.
    Cursor(Cursor),
    /// A backfill of what happened from the first instant up to, not including, the second.
    Window(Millis, Millis),
}

/// A page that is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// A resource of the profile.
    pub resource: String,
    /// Where to start.
    pub position: Position,
    /// Largest number of records that the host takes now; at least 1.
    pub budget: u32,
    /// Host time.
    pub now: Millis,
}

/// A page. A check reads nothing: a page of it says that the key was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// None for a check.
    pub records: Vec<Record>,
    /// Parts that became no record.
    pub rejects: Vec<Reject>,
    /// How it goes on.
    pub next: Next,
    /// Where MoEngage said that no call is left: when the next one is allowed.
    pub not_before: Option<Millis>,
    /// Counted by name.
    pub notes: Vec<Note>,
}

/// How a run goes on after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more now.
    More(Cursor),
    /// There is more, but not before the instant.
    Later(Cursor, Millis),
    /// The run is over.
    Done {
        /// Where the next run starts; none is the beginning.
        cursor: Option<Cursor>,
        /// Why the run was cut short; none where everything was read.
        truncated: Option<String>,
    },
}

impl Next {
    /// Everything was read, and the next run starts from the beginning.
    pub const COMPLETE: Self = Self::Done { cursor: None, truncated: None };
}

/// A remote file on the host's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Identity of the content.
    pub etag: String,
    /// Uncompressed bytes.
    pub size: u64,
}

/// Large remote files, spooled by the host. Errors are those of [`Http`]; the codes
/// `object-changed` and `object-gone` are the contract's.
pub trait Objects {
    /// Makes a file readable.
    ///
    /// # Errors
    /// Where it can't be had, or with `etag` where its content is another.
    fn open(
        &mut self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<Object, super::HttpError>;

    /// Up to `length` bytes (at most 4 MiB) from an uncompressed offset; empty at the end.
    ///
    /// # Errors
    /// Where the host dropped the file.
    fn read(
        &mut self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, super::HttpError>;
}

/// The memory of one installation between units, committed with the unit.
pub trait Storage {
    /// The value of a key.
    fn get(&mut self, key: &str) -> Option<Vec<u8>>;

    /// Writes a key. False where the installation's quota is used up or the key is too long.
    #[must_use]
    fn set(&mut self, key: &str, value: &[u8]) -> bool;

    /// Up to 1,000 keys with this prefix, in byte order, after the given key.
    fn list(&mut self, prefix: &str, after: Option<&str>) -> Vec<String>;
}

/// Everything that reading a page may reach.
pub struct Reach<'a> {
    /// The vendor.
    pub http: &'a mut dyn Http,
    /// Files.
    pub objects: &'a mut dyn Objects,
    /// Memory.
    pub storage: &'a mut dyn Storage,
}
