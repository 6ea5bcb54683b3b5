//! What a stand-in received, in order, and what was remarkable about it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use crate::clock::Millis;

/// One request. Credentials are never kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Counts from 1, in order of arrival.
    pub seq: u64,
    /// Host time of arrival.
    pub at: Millis,
    /// Upper case.
    pub method: String,
    /// Template of the path, for instance `/v3/contacts/{identifier}`; the path itself where no
    /// template fits.
    pub path: String,
    /// Decoded path and query, for instance `/v3/contacts/a@b.de?identifierType=email_id`.
    pub target: String,
    /// The body as JSON; null where it is empty, not JSON, or was not read.
    pub body: Value,
    /// Status that was answered; none where the connection was closed instead.
    pub status: Option<u16>,
    /// Id of the rule that broke this exchange.
    pub fault: Option<u64>,
    /// Whether the vendor's side processed the request (it may still have refused it).
    pub applied: bool,
    /// Remarks.
    pub findings: Vec<Finding>,
}

/// A remark on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// For a person. Names fields and rules; quotes values only of what the stand-in was sent.
    pub detail: String,
}

/// Kinds of remarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The request is not what the vendor's documents allow. Answered with the vendor's error.
    Violation,
    /// An attribute that the vendor drops in silence: unknown, in the wrong case, of the wrong type.
    IgnoredAttribute,
    /// A filter that the vendor drops in silence.
    IgnoredFilter,
    /// A list that does not exist, in the write of a contact: dropped in silence.
    IgnoredList,
    /// A contact, company or deal that does not exist, in a note or a task: dropped in silence.
    IgnoredLink,
    /// An event of a contact that does not exist: accepted, without effect.
    DroppedEvent,
    /// One request too many for a documented rate window. Answered with 429.
    OverLimit,
    /// No, a wrong, or an insufficient credential.
    Unauthorized,
}

/// A violation and the request that it was found in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Number of the request.
    pub seq: u64,
    /// Method and path template.
    pub call: String,
    /// What is wrong.
    pub detail: String,
}

/// A request and its answer as they were on the wire, for a test that holds them against a
/// description of the API. No credential: of `Authorization` only the scheme is there, of a
/// signature or a key only that there was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Upper case.
    pub method: String,
    /// Percent-encoded, without the query.
    pub path: String,
    /// Decoded pairs, in order.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes that are not UTF-8 are replaced.
    pub body: String,
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub answer_headers: Vec<(String, String)>,
    /// Bytes that are not UTF-8 are replaced.
    pub answer: String,
}

/// Requests in order of arrival. Where it is bounded the oldest leave; the sums stay exact.
#[derive(Clone, Debug)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// None where exchanges are not recorded.
    exchanges: Option<VecDeque<Exchange>>,
    keep: usize,
    last_seq: u64,
    violations: Vec<Violation>,
    findings: BTreeMap<FindingKind, u64>,
    answers: BTreeMap<(String, Option<u16>), u64>,
}

/// Violations that are kept in words; the sum goes on beyond it.
const VIOLATIONS_KEPT: usize = 1_000;

impl Journal {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            exchanges: None,
            keep,
            last_seq: 0,
            violations: Vec::new(),
            findings: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Records every exchange from now on that no fault changes, and limits that a fault sets.
    pub(crate) fn record_exchanges(&mut self) {
        self.exchanges.get_or_insert_default();
    }

    /// Keeps an exchange, where that is wanted.
    pub(crate) fn exchanged(&mut self, exchange: impl FnOnce() -> Exchange) {
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.push_back(exchange());
            while exchanges.len() > self.keep {
                exchanges.pop_front();
            }
        }
    }

    /// Recorded exchanges, oldest first.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges.iter().flatten()
    }

    /// The number that the next entry will have.
    pub(crate) fn next_seq(&self) -> u64 {
        self.last_seq + 1
    }

    /// Adds an entry; its `seq` is set here.
    pub(crate) fn push(&mut self, mut entry: Entry) -> u64 {
        self.last_seq += 1;
        entry.seq = self.last_seq;
        let call = format!("{} {}", entry.method, entry.path);
        for finding in &entry.findings {
            self.count(entry.seq, &call, finding);
        }
        *self.answers.entry((call, entry.status)).or_default() += 1;
        self.entries.push_back(entry);
        while self.entries.len() > self.keep {
            self.entries.pop_front();
        }
        self.last_seq
    }

    /// Completes an entry that was written down before the vendor acted on it.
    pub(crate) fn applied_late(&mut self, seq: u64, status: Option<u16>, findings: Vec<Finding>) {
        let Some(at) = self.entries.iter().position(|entry| entry.seq == seq) else { return };
        let call = format!("{} {}", self.entries[at].method, self.entries[at].path);
        for finding in &findings {
            self.count(seq, &call, finding);
        }
        if let Some(answered) = self.answers.get_mut(&(call.clone(), self.entries[at].status)) {
            *answered = answered.saturating_sub(1);
        }
        *self.answers.entry((call, status)).or_default() += 1;
        let entry = &mut self.entries[at];
        entry.applied = true;
        entry.status = status;
        entry.findings.extend(findings);
    }

    fn count(&mut self, seq: u64, call: &str, finding: &Finding) {
        *self.findings.entry(finding.kind).or_default() += 1;
        if finding.kind == FindingKind::Violation && self.violations.len() < VIOLATIONS_KEPT {
            self.violations.push(Violation { seq, call: call.to_owned(), detail: finding.detail.clone() });
        }
    }

    /// Requests that are still kept, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Kept requests of one call, oldest first.
    pub fn of<'a>(&'a self, method: &'a str, path: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.method == method && entry.path == path)
    }

    /// Everything received, also what is no longer kept.
    pub fn received(&self) -> u64 {
        self.last_seq
    }

    /// The first thousand violations, oldest first.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many remarks of each kind there were.
    pub fn findings(&self) -> &BTreeMap<FindingKind, u64> {
        &self.findings
    }

    /// How many remarks of a kind there were.
    pub fn count_of(&self, kind: FindingKind) -> u64 {
        self.findings.get(&kind).copied().unwrap_or(0)
    }

    /// How often a status was answered to a call (`POST /v3/events`); none counts closed connections.
    pub fn answered(&self, call: &str, status: Option<u16>) -> u64 {
        self.answers.get(&(call.to_owned(), status)).copied().unwrap_or(0)
    }
}
