//! The host's side of the contract's imports: one file each, of the same shape. Each says which
//! export may use it, what it may ask for, and what this unit has used.

pub mod http;
pub mod log;
pub mod objects;
pub mod schedule;
pub mod storage;

use crate::contract;
use crate::contract::http::ErrorKind;

/// What one unit has used of every import. It outlives an instance, so that a new instance in
/// the same unit goes on where the broken one stopped.
#[derive(Default)]
pub struct Used {
    /// Calls outward, shared by `http` and `objects`.
    pub http: http::Used,
    /// Reads and writes.
    pub storage: storage::Used,
    /// Jobs.
    pub schedule: schedule::Used,
    /// Lines.
    pub log: log::Used,
}

impl contract::Host for super::guest::Guest {}

/// A refusal before anything left the host.
fn refused(kind: ErrorKind, code: &str, message: &str) -> contract::http::Error {
    contract::http::Error {
        kind,
        code: code.into(),
        message: message.into(),
        request_sent: false,
        retry_after_ms: None,
    }
}
