//! What generated batches hold: the truth that a checker goes by.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// What the batches hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Truth {
    /// Distinct well-formed events by `event_uuid`.
    pub events: BTreeMap<String, EventTruth>,
    /// `event_uuid` of each event that was sent twice.
    pub duplicated: BTreeSet<String>,
    /// Malformed event objects.
    pub poison: Vec<PoisonTruth>,
    /// Batches (from 0) with a byte that is not UTF-8.
    pub non_utf8_batches: Vec<usize>,
    /// By index.
    pub people: Vec<PersonTruth>,
    /// Profiles that were merged.
    pub merges: Vec<MergeTruth>,
    /// All event objects in all batches: events, duplicates and malformed ones.
    pub objects: usize,
}

/// One distinct event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventTruth {
    /// `event_code`.
    pub code: String,
    /// Index of the person.
    pub person: usize,
    /// Epoch seconds.
    pub time_s: i64,
    /// Whether it is more than a day older than now.
    pub late: bool,
    /// Whether it is marked as an open or click of a machine.
    pub machine: bool,
}

/// One merge, and the two events that tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergeTruth {
    /// Index of the person that stays, and `event_uuid` of its `MOE_USER_MERGED`.
    pub retained: (usize, String),
    /// Index of the person that went into it, and `event_uuid` of its `MOE_USER_MERGE_EVENT`.
    pub merged: (usize, String),
}

/// One malformed event object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoisonTruth {
    /// Batch, from 0.
    pub batch: usize,
    /// Place in the batch, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub kind: Poison,
    /// The person and the event that it names all the same.
    pub named: Option<(String, String)>,
}

/// Kinds of malformed event objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Poison {
    /// A number in place of an object.
    NotAnObject,
    /// An object without `event_uuid`.
    NoUuid,
    /// `event_time` is an object.
    TimeNotANumber,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonTruth {
    /// As sent; none where events carry no uid.
    pub uid: Option<String>,
    /// `u_em`.
    pub email: Option<String>,
    /// `u_mb`, digits with country code.
    pub mobile: Option<String>,
    /// Whether MoEngage does not know who it is: no uid or one with "anon", and no address.
    pub anonymous: bool,
    /// What the newest of the person's events say; none where none says anything.
    pub unsubscribed: Option<bool>,
    /// As `unsubscribed`, of `moe_hard_bounce`.
    pub hard_bounced: Option<bool>,
    /// As `unsubscribed`, of `moe_spam`.
    pub complained: Option<bool>,
    /// Distinct events.
    pub events: usize,
}
