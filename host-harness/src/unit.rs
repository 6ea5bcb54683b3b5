//! A unit of work and its outcome, as values.
//!
//! A unit is one webhook or one page, with the mapping of its records. It goes into a fresh
//! instance and comes out as one serialisable value; nothing of it is durable until the pipeline
//! commits the outcome whole.

use serde::{Deserialize, Serialize};

use crate::contract::{self, Failure, Mapping, Next, Note, PageRequest, Record, Reject, WebhookRequest};
use crate::world::Millis;

/// What one fresh instance has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unit {
    /// The tenant's settings, secrets replaced by slot names.
    pub settings: String,
    /// Host time, the same for every call in the unit.
    pub now: Millis,
    /// The work itself.
    pub work: Work,
}

/// The three shapes of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Work {
    /// `handle-webhook`, then `map-record` for each record.
    Webhook(WebhookRequest),
    /// `fetch-page`, then `map-record` for each record.
    Page(PageRequest),
    /// Only `map-record`: requeued records, or the rest of a unit in which one record failed.
    Map(Vec<Record>),
}

/// What a unit came to. Committed whole or not at all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Every record with its actions, in the order in which the guest gave them.
    pub records: Vec<MappedRecord>,
    /// Parts of the input that became no record.
    pub rejects: Vec<Reject>,
    /// Things to count and show.
    pub notes: Vec<Note>,
    /// For a page: what comes next.
    pub next: Option<Next>,
    /// For a page: the vendor asked not to be called before.
    pub not_before: Option<Millis>,
    /// What the unit read and wrote in plugin storage.
    pub storage: StorageDelta,
    /// Extra jobs.
    pub jobs: Vec<contract::schedule::Job>,
    /// Log lines, escaped and bounded.
    pub logs: Vec<LogLine>,
    /// What it cost.
    pub cost: Cost,
}

/// A record and what it calls for, or why it could not be mapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MappedRecord {
    /// As the guest gave it, checked by the host.
    pub record: Record,
    /// Its actions, or why it is to be quarantined.
    pub mapping: Result<Mapping, UnitError>,
}

/// Reads (with the version seen; none: absent) and writes (none: deleted) of plugin storage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StorageDelta {
    /// Validated at commit.
    pub reads: Vec<(String, Option<u64>)>,
    /// Applied at commit.
    pub writes: Vec<(String, Option<Vec<u8>>)>,
}

/// A line that the guest logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Escaped, at most 4 KiB together with the fields.
    pub message: String,
    /// Escaped.
    pub fields: Vec<(String, String)>,
}

/// What a unit used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Real microseconds in the guest and its imports.
    pub wall_us: u64,
    /// Of them in the call that reads (`handle-webhook`, `fetch-page`), imports included.
    pub read_us: u64,
    /// Of them in all calls of `map-record`.
    pub map_us: u64,
    /// Largest linear memory, in bytes.
    pub memory: u64,
    /// Instructions, where fuel is counted.
    pub fuel: Option<u64>,
    /// Bytes that crossed into the guest.
    pub bytes_in: u64,
    /// Bytes that crossed out of the guest.
    pub bytes_out: u64,
    /// Calls over `http` and `objects`.
    pub http_calls: u32,
}

/// Why a unit, or the mapping of one record, has no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum UnitError {
    /// The guest said so, in the contract's terms.
    #[error("{}: {}", .0.code, .0.message)]
    Failure(Failure),
    /// The guest broke: a trap, a limit, or output against the contract. Its instance is gone.
    #[error("{code}: {message}")]
    Fault {
        /// Stable, for instance `guest-trap`, `guest-timeout`, `guest-memory`, `guest-output`.
        code: String,
        /// For a person; holds nothing of the input.
        message: String,
    },
}

/// What the imports of one unit reach. The pipeline implements it; tests may too.
pub trait Services: Send + Sync {
    /// `http.send`.
    fn http(
        &self,
        request: contract::http::Request,
    ) -> Result<contract::http::Response, contract::http::Error>;
    /// `objects.open`.
    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<contract::objects::Object, contract::http::Error>;
    /// `objects.read`.
    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, contract::http::Error>;
    /// `storage.get` in the unit's snapshot, without the unit's own writes.
    fn storage_get(&self, key: &str) -> Option<contract::storage::Entry>;
    /// `storage.list` in the unit's snapshot, without the unit's own writes.
    fn storage_list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String>;

    /// Bytes that the installation's storage has room for. Asked once in a unit, before its first
    /// write; where the host doesn't say, only the commit tells.
    fn storage_room(&self) -> u64 {
        u64::MAX
    }
}
