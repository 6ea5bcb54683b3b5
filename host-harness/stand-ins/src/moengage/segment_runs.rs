//! What each run of a segment sync sends, and what became of it.
//!
//! moengage: MD:user-guide/data/exports/segments/outbound-segment-sync.mdx. The first run is full,
//! later ones send the difference to the previous one; a failed run pauses the schedule.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::posting::Try;
use super::segment_wire::{AfterFailure, Destination, EmptyLists, Member, Row};
use crate::clock::Millis;
use crate::random::Random;

/// moengage: same page, "cool-off period": what changes during a run shows so much later.
const COOL_OFF: Millis = 30 * 60 * 1_000;

/// Why and how a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// By the schedule, which must not be paused.
    Scheduled,
    /// By a person; the schedule goes on afterwards. "The latest status of users": read as the
    /// difference that a scheduled run would send.
    AdHoc,
    /// By a person: everybody, as if it were the first run. Nothing on the wire says so.
    ResyncAll,
    /// By a person, after a failed run: its difference again, in a run of its own.
    ResyncLastDifference,
}

/// Why a run can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Another one is in process.
    #[error("a run is in process")]
    Running,
    /// A run failed or a person paused the sync, and no ad-hoc run resumed it.
    #[error("the schedule is paused")]
    Paused,
    /// There is no failed difference.
    #[error("the sync has not failed")]
    NotFailed,
}

/// How the sync stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncStatus {
    /// The latest run was complete, or there was none.
    Active,
    /// By a person.
    Paused,
    /// The latest run failed. The schedule is paused.
    Failed,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RunStatus {
    Processing,
    Complete,
    Failed,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// `moengage_execution_id`.
    pub execution_id: String,
    /// Why it was made.
    pub kind: RunKind,
    /// Whether it sends everybody.
    pub full: bool,
    /// Host time.
    pub started_at: Millis,
    /// Host time; none while it is in process.
    pub over_at: Option<Millis>,
    /// How it stands.
    pub status: RunStatus,
    /// Its requests, also those that were never sent.
    pub chunks: Vec<Chunk>,
}

/// One request of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chunk {
    /// MoEngage's id and identifier of those who are added.
    pub add: Vec<(String, Value)>,
    /// As `add`, of those who are removed.
    pub remove: Vec<(String, Value)>,
    /// As sent.
    #[serde(skip)]
    pub body: Bytes,
    /// Attempts that are over.
    pub tries: Vec<Try>,
}

impl Chunk {
    /// Whether MoEngage got the answer that it insists on.
    pub fn acknowledged(&self) -> bool {
        self.tries.last().is_some_and(|last| last.success)
    }
}

/// MoEngage's id and identifier.
pub(super) type Users = BTreeMap<String, Value>;

struct Difference {
    add: Users,
    remove: Users,
    /// Everybody, once it is applied.
    target: Users,
}

enum Change {
    Put(Member),
    Remove(String),
    Clear,
}

pub(super) struct State {
    members: Users,
    /// Changes that were made while a run was in process, and when they show.
    cooling: Vec<(Millis, Change)>,
    previous: Option<Users>,
    difference: Option<Difference>,
    runs: Vec<Run>,
    /// What the run in process leads to.
    target: Users,
    acknowledged: Users,
    paused: bool,
    /// Counts up with each new schedule, which ends the one before.
    pub(super) schedule: u64,
    ids: Random,
}

impl State {
    pub(super) fn new(destination: &Destination) -> Self {
        let seed =
            destination.sync_id.bytes().fold(17_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        Self {
            members: Users::new(),
            cooling: Vec::new(),
            previous: None,
            difference: None,
            runs: Vec::new(),
            target: Users::new(),
            acknowledged: Users::new(),
            paused: false,
            schedule: 0,
            ids: Random::new(seed),
        }
    }

    pub(super) fn put(&mut self, members: impl IntoIterator<Item = Member>, now: Millis) {
        for member in members {
            self.change(Change::Put(member), now);
        }
    }

    pub(super) fn remove<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>, now: Millis) {
        for id in ids {
            self.change(Change::Remove(id.to_owned()), now);
        }
    }

    pub(super) fn clear(&mut self, now: Millis) {
        self.change(Change::Clear, now);
    }

    fn change(&mut self, change: Change, now: Millis) {
        if self.in_process() {
            self.cooling.push((now + COOL_OFF, change));
        } else {
            self.show(now);
            self.apply(change);
        }
    }

    /// Applies what has cooled off.
    fn show(&mut self, now: Millis) {
        for (shows_at, change) in std::mem::take(&mut self.cooling) {
            match shows_at <= now {
                true => self.apply(change),
                false => self.cooling.push((shows_at, change)),
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(member) => {
                self.members.insert(member.moengage_id, member.identifier);
            }
            Change::Remove(id) => {
                self.members.remove(&id);
            }
            Change::Clear => self.members.clear(),
        }
    }

    /// Members that have the identifier, as the next run would see them.
    pub(super) fn reachable(&self) -> Users {
        let reachable = self.members.iter().filter(|(_, identifier)| !identifier.is_null());
        reachable.map(|(id, identifier)| (id.clone(), identifier.clone())).collect()
    }

    pub(super) fn acknowledged(&self) -> &Users {
        &self.acknowledged
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn in_process(&self) -> bool {
        self.runs.last().is_some_and(|run| run.status == RunStatus::Processing)
    }

    pub(super) fn status(&self) -> SyncStatus {
        let last = self.runs.iter().rev().find(|run| run.status != RunStatus::Processing);
        match last {
            Some(run) if run.status == RunStatus::Failed => SyncStatus::Failed,
            _ if self.paused => SyncStatus::Paused,
            _ => SyncStatus::Active,
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Begins a run; gives its requests.
    pub(super) fn begin(
        &mut self,
        kind: RunKind,
        destination: &Destination,
        now: Millis,
    ) -> Result<(String, Vec<Bytes>), NotNow> {
        if self.in_process() {
            return Err(NotNow::Running);
        }
        self.show(now);
        let everybody = self.reachable();
        let (add, remove) = match kind {
            RunKind::Scheduled if self.paused => return Err(NotNow::Paused),
            RunKind::Scheduled | RunKind::AdHoc => {
                let previous = self.previous.clone().unwrap_or_default();
                // A member whose identifier changed stays a member: nothing is documented.
                let missing = |from: &Users, other: &Users| -> Users {
                    let missing = from.iter().filter(|(id, _)| !other.contains_key(*id));
                    missing.map(|(id, identifier)| (id.clone(), identifier.clone())).collect()
                };
                let (add, remove) = (missing(&everybody, &previous), missing(&previous, &everybody));
                self.target = everybody.clone();
                self.difference =
                    Some(Difference { add: add.clone(), remove: remove.clone(), target: everybody });
                (add, remove)
            }
            RunKind::ResyncAll => {
                self.target = everybody.clone();
                (everybody, Users::new())
            }
            RunKind::ResyncLastDifference => match &self.difference {
                Some(last) if self.status() == SyncStatus::Failed => {
                    self.target = last.target.clone();
                    (last.add.clone(), last.remove.clone())
                }
                _ => return Err(NotNow::NotFailed),
            },
        };
        if kind == RunKind::AdHoc {
            self.paused = false;
        }
        let full = kind == RunKind::ResyncAll || (self.previous.is_none() && remove.is_empty());
        if full {
            self.acknowledged.clear();
        }
        let execution_id = self.ids.hex(24);
        let chunks = chunks(destination, &execution_id, &add, &remove);
        let bodies = chunks.iter().map(|chunk| chunk.body.clone()).collect();
        self.runs.push(Run {
            execution_id: execution_id.clone(),
            kind,
            full,
            started_at: now,
            over_at: None,
            status: RunStatus::Processing,
            chunks,
        });
        Ok((execution_id, bodies))
    }

    /// Writes down an attempt of a request of the run in process.
    pub(super) fn tried(&mut self, chunk: usize, attempt: Try) {
        let Some(chunk) = self.runs.last_mut().and_then(|run| run.chunks.get_mut(chunk)) else { return };
        if attempt.success {
            self.acknowledged.extend(chunk.add.iter().cloned());
            for (id, _) in &chunk.remove {
                self.acknowledged.remove(id);
            }
        }
        chunk.tries.push(attempt);
    }

    /// Ends the run in process.
    pub(super) fn finish(&mut self, complete: bool, after_failure: AfterFailure, now: Millis) {
        let target = std::mem::take(&mut self.target);
        if complete || after_failure == AfterFailure::Failed {
            self.previous = Some(target);
        }
        self.paused |= !complete;
        if let Some(run) = self.runs.last_mut() {
            run.over_at = Some(now);
            run.status = if complete { RunStatus::Complete } else { RunStatus::Failed };
        }
    }
}

/// The requests of a run: added ones first, then removed ones.
fn chunks(destination: &Destination, execution_id: &str, add: &Users, remove: &Users) -> Vec<Chunk> {
    let rows: Vec<(bool, Row<'_>)> =
        add.iter().map(|row| (true, row)).chain(remove.iter().map(|row| (false, row))).collect();
    let mut parts: Vec<&[(bool, Row<'_>)]> = rows.chunks(destination.users_per_request.max(1)).collect();
    if parts.is_empty() && destination.empty_lists == EmptyLists::Sent {
        parts.push(&[]);
    }
    let pages = parts.len();
    let chunk = |(index, part): (usize, &[(bool, Row<'_>)])| {
        let of = |added: bool| -> Vec<Row<'_>> {
            part.iter().filter(|(kind, _)| *kind == added).map(|(_, row)| *row).collect()
        };
        let owned =
            |rows: &[Row<'_>]| rows.iter().map(|(id, value)| ((*id).clone(), (*value).clone())).collect();
        let (add, remove) = (of(true), of(false));
        Chunk {
            body: destination.body(execution_id, (index + 1, pages), &add, &remove),
            add: owned(&add),
            remove: owned(&remove),
            tries: Vec::new(),
        }
    };
    parts.into_iter().enumerate().map(chunk).collect()
}
