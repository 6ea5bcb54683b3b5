//! Outbound Segment Sync: MoEngage pushes who is in a segment.
//!
//! moengage: MD:user-guide/data/exports/segments/outbound-segment-sync.mdx. The answer must be 2xx
//! and of `Content-Type: application/json`. Anything else sends the request again, three times at
//! intervals of three seconds; then the run has failed, what it had not sent yet is not sent, and
//! the schedule is paused until an ad-hoc run. There is no signature.
//!
//! Left out: a person's test of the connection, the end of a schedule, archiving, and the limits
//! of syncs and resyncs a day (10, 10 and 20 in one paragraph, 5, 5 and 5 in another).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::posting::{BadTarget, Outcome, Patience, Poster, Watched};
pub use super::segment_runs::{Chunk, NotNow, Run, RunKind, RunStatus, SyncStatus};
use super::segment_runs::{State, Users};
pub use super::segment_wire::{AfterFailure, Destination, EmptyLists, Member, Pagination};
use crate::clock::Clock;

/// moengage: same page, "3 API call retries are possible where the frequency is 1 retry per 3
/// seconds"; "the response header from the destination should have content-type application/json".
const PATIENCE: Patience = Patience { success: accepted, retries: &[Duration::from_secs(3); 3] };

fn accepted(outcome: Outcome, content_type: Option<&str>) -> bool {
    let media = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    outcome.is_2xx() && media.is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
}

struct Sync {
    state: Watched<State>,
    poster: Poster,
    destination: Destination,
    clock: Clock,
}

/// A segment and its sync. Clones are the same sync.
#[derive(Clone)]
pub struct SegmentSync {
    shared: Arc<Sync>,
    runtime: tokio::runtime::Handle,
}

impl SegmentSync {
    pub(super) fn new(
        destination: Destination,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, BadTarget> {
        destination.check()?;
        let url = destination.target();
        let poster = Poster::new(&url, &destination.auth, &destination.headers, destination.deadline)?;
        let state = Watched::new(State::new(&destination));
        Ok(Self { shared: Arc::new(Sync { state, poster, destination, clock }), runtime })
    }

    /// Puts users into the segment; one with the same id is replaced. What is changed while a
    /// run is in process shows half an hour of host time later.
    pub fn put(&self, members: impl IntoIterator<Item = Member>) {
        let now = self.shared.clock.now();
        self.shared.state.change(|state| state.put(members, now));
    }

    /// Takes users out of the segment, by MoEngage's id; as [`Self::put`].
    pub fn remove<'a>(&self, moengage_ids: impl IntoIterator<Item = &'a str>) {
        let now = self.shared.clock.now();
        self.shared.state.change(|state| state.remove(moengage_ids, now));
    }

    /// Takes everybody out of the segment; as [`Self::put`].
    pub fn clear(&self) {
        let now = self.shared.clock.now();
        self.shared.state.change(|state| state.clear(now));
    }

    /// Begins a run; gives its `moengage_execution_id`.
    pub fn run(&self, kind: RunKind) -> Result<String, NotNow> {
        let (now, shared) = (self.shared.clock.now(), &self.shared);
        let (id, bodies) = shared.state.change(|state| state.begin(kind, &shared.destination, now))?;
        self.runtime.spawn(shared.clone().execute(bodies));
        Ok(id)
    }

    /// Waits until no run is in process; false where that takes longer than this real time.
    pub fn wait(&self, real_time: Duration) -> bool {
        self.shared.state.wait(real_time, |state| !state.in_process())
    }

    /// Makes scheduled runs at this interval of host time, the first one after it. Replaces an
    /// earlier schedule. A run that is due while the sync is paused or another one is in process
    /// is left out.
    pub fn schedule(&self, every: Duration) {
        let number = self.shared.state.change(|state| {
            state.schedule += 1;
            state.schedule
        });
        let (sync, pause) = (self.clone(), self.shared.clock.scale().real(every));
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                if sync.shared.state.hold().schedule != number {
                    return;
                }
                // Why it is left out is in `status`.
                let _ = sync.run(RunKind::Scheduled);
            }
        });
    }

    /// A person pauses the sync. An ad-hoc run resumes it.
    pub fn pause(&self) {
        self.shared.state.change(State::pause);
    }

    /// How the sync stands.
    pub fn status(&self) -> SyncStatus {
        self.shared.state.hold().status()
    }

    /// Every run, the oldest first.
    pub fn runs(&self) -> Vec<Run> {
        self.shared.state.hold().runs().to_vec()
    }

    /// Who is in the segment and has the identifier: MoEngage's id and the identifier.
    pub fn members(&self) -> Users {
        self.shared.state.hold().reachable()
    }

    /// Whom a receiver holds that applied every acknowledged request since the last full run began.
    pub fn acknowledged(&self) -> Users {
        self.shared.state.hold().acknowledged().clone()
    }

    pub(super) fn summary(&self) -> Value {
        let state = self.shared.state.hold();
        let destination = &self.shared.destination;
        json!({
            "sync_id": destination.sync_id, "sync_name": destination.sync_name,
            "status": state.status(), "members": state.reachable().len(), "runs": state.runs(),
        })
    }
}

impl Sync {
    async fn execute(self: Arc<Self>, bodies: Vec<Bytes>) {
        let places = Arc::new(Semaphore::new(self.destination.concurrency));
        let failed = Arc::new(AtomicBool::new(false));
        let mut requests = JoinSet::new();
        for (chunk, body) in bodies.into_iter().enumerate() {
            let Ok(place) = places.clone().acquire_owned().await else { break };
            if failed.load(Ordering::Relaxed) {
                break;
            }
            let (sync, failed) = (self.clone(), failed.clone());
            requests.spawn(async move {
                let request = sync.poster.json(body);
                let over = |attempt| sync.state.change(|state| state.tried(chunk, attempt));
                if !sync.poster.deliver(&request, &PATIENCE, sync.clock, over).await {
                    failed.store(true, Ordering::Relaxed);
                }
                drop(place);
            });
        }
        while requests.join_next().await.is_some() {}
        let (complete, now) = (!failed.load(Ordering::Relaxed), self.clock.now());
        self.state.change(|state| state.finish(complete, self.destination.after_failure, now));
    }
}
