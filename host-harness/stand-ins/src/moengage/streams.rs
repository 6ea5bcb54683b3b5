//! Streams: the pushing side of MoEngage.
//!
//! moengage: MD:api/data/moengage-streams.mdx. Batches of 100 events by default; any 2xx is
//! success; everything else, no answer included, sends the whole batch again after 30, 60 and
//! 120 seconds; then it is lost. Order, concurrency and the deadline are not documented.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Semaphore;

pub use super::batch::Batch;
use super::posting::Poster;
pub use super::posting::{Auth, BadTarget, Outcome};
use crate::clock::{Clock, Millis};

/// moengage: MD:api/data/moengage-streams.mdx, "after 30, 60 and 120 seconds".
pub const RETRY_AFTER: [Duration; 3] =
    [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(120)];

/// One stream: where to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// `http://` only.
    pub url: String,
    /// Credentials.
    pub auth: Auth,
    /// Static headers, a bearer or an API key for instance.
    pub headers: Vec<(String, String)>,
    /// Requests at a time.
    pub concurrency: usize,
    /// First attempts in a second of host time; as fast as it goes where missing.
    pub batches_per_second: Option<f64>,
    /// Real time for one exchange. MoEngage's is not documented.
    pub deadline: Duration,
    /// Whether a retry carries another `moe_request_id`. MoEngage does not say.
    pub new_request_id_on_retry: bool,
}

impl Target {
    /// A target with no credentials, four requests at a time, ten seconds each.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            auth: Auth::None,
            headers: Vec::new(),
            concurrency: 4,
            batches_per_second: None,
            deadline: Duration::from_secs(10),
            new_request_id_on_retry: true,
        }
    }

    /// Sets Basic credentials.
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.auth = Auth::Basic { user: user.to_owned(), password: password.to_owned() };
        self
    }

    /// Adds a static header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Sums of a stream, in batches unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Given to the stream.
    pub pushed: u64,
    /// Attempts that were made.
    pub sent: u64,
    /// Answered 2xx.
    pub acked: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Given up after the last retry.
    pub dropped: u64,
    /// Event objects in batches that were answered 2xx.
    pub events_acked: u64,
    /// Event objects in batches that were given up.
    pub events_dropped: u64,
}

impl Progress {
    /// Neither acknowledged nor given up.
    pub fn open(&self) -> u64 {
        self.pushed - self.acked - self.dropped
    }
}

/// One attempt of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Which batch, in the order of pushing, from 0.
    pub batch: u64,
    /// 1 is the first.
    pub attempt: u32,
    /// Host time at which it was sent.
    pub sent_at: Millis,
    /// Host time at which it was over.
    pub over_at: Millis,
    /// What came of it.
    pub outcome: Outcome,
}

#[derive(Default)]
struct State {
    progress: Progress,
    attempts: Vec<Attempt>,
    lost: BTreeMap<u64, Batch>,
    /// Host time at which the next first attempt may be made.
    next_at: f64,
    paused: bool,
    stopped: bool,
}

struct Sender {
    state: Mutex<State>,
    settled: Condvar,
    places: Semaphore,
    poster: Poster,
    target: Target,
    clock: Clock,
}

/// A stream that is set up. Goes on as long as its stand-in runs or until it is stopped.
#[derive(Clone)]
pub struct Stream {
    shared: Arc<Sender>,
    runtime: tokio::runtime::Handle,
}

impl Stream {
    pub(super) fn new(
        target: Target,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, BadTarget> {
        let poster = Poster::new(&target.url, &target.auth, &target.headers, target.deadline)?;
        if target.concurrency == 0
            || target.batches_per_second.is_some_and(|rate| rate <= 0.0 || !rate.is_finite())
        {
            return Err(BadTarget::Zero);
        }
        let shared = Arc::new(Sender {
            state: Mutex::default(),
            settled: Condvar::new(),
            places: Semaphore::new(target.concurrency),
            poster,
            target,
            clock,
        });
        Ok(Self { shared, runtime })
    }

    /// Queues batches. While the stream is paused they are given up at once; after
    /// [`Self::stop`] they are not taken.
    pub fn push(&self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            let number = {
                let mut state = self.shared.hold();
                if state.stopped {
                    return;
                }
                state.progress.pushed += 1;
                let number = state.progress.pushed - 1;
                if state.paused {
                    state.progress.dropped += 1;
                    state.progress.events_dropped += batch.events as u64;
                    state.lost.insert(number, batch);
                    continue;
                }
                number
            };
            self.runtime.spawn(self.shared.clone().deliver(number, batch));
        }
    }

    /// Sums so far.
    pub fn progress(&self) -> Progress {
        self.shared.hold().progress
    }

    /// Every attempt that is over, in the order in which they ended.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.hold().attempts.clone()
    }

    /// Batches that were given up, by number.
    pub fn lost(&self) -> BTreeMap<u64, Batch> {
        self.shared.hold().lost.clone()
    }

    /// Waits until every batch is acknowledged or given up; false where that takes longer than
    /// this real time, or the stream is stopped.
    pub fn wait(&self, real_time: Duration) -> bool {
        let until = Instant::now() + real_time;
        let mut state = self.shared.hold();
        loop {
            if state.progress.open() == 0 {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stopped {
                return false;
            }
            state = match self.shared.settled.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Pauses the stream, or lets it go on. moengage: same page: what falls into a pause is never
    /// delivered. What was queued before keeps its attempts; that is not documented.
    pub fn pause(&self, paused: bool) {
        self.shared.hold().paused = paused;
    }

    /// Makes no further attempt; an exchange under way ends by itself.
    pub fn stop(&self) {
        self.shared.hold().stopped = true;
        self.shared.places.close();
        self.shared.settled.notify_all();
    }
}

impl Sender {
    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn deliver(self: Arc<Self>, number: u64, batch: Batch) {
        self.await_turn().await;
        for attempt in 1.. {
            let Ok(place) = self.places.acquire().await else { return };
            if attempt > 1 {
                self.hold().progress.retried += 1;
            }
            self.hold().progress.sent += 1;
            let body = match self.target.new_request_id_on_retry {
                true => batch.resent(attempt),
                false => batch.body.clone().into(),
            };
            let sent_at = self.clock.now();
            let (outcome, _) = self.poster.exchange(self.poster.json(body)).await;
            drop(place);
            match self.record(
                Attempt { batch: number, attempt, sent_at, over_at: self.clock.now(), outcome },
                &batch,
            ) {
                Some(pause) => tokio::time::sleep(self.clock.scale().real(pause)).await,
                None => break,
            }
        }
        self.settled.notify_all();
    }

    /// Writes an attempt down; gives the host time until the next one, if there is to be one.
    fn record(&self, attempt: Attempt, batch: &Batch) -> Option<Duration> {
        let mut state = self.hold();
        let events = batch.events as u64;
        let pause = RETRY_AFTER.get(attempt.attempt as usize - 1).copied();
        if attempt.outcome.is_2xx() {
            state.progress.acked += 1;
            state.progress.events_acked += events;
        } else if pause.is_none() {
            state.progress.dropped += 1;
            state.progress.events_dropped += events;
            state.lost.insert(attempt.batch, batch.clone());
        }
        let again = pause.filter(|_| !attempt.outcome.is_2xx());
        state.attempts.push(attempt);
        again
    }

    /// Waits until the rate allows another first attempt.
    async fn await_turn(&self) {
        let Some(rate) = self.target.batches_per_second else { return };
        let now = self.clock.now();
        let turn = {
            let mut state = self.hold();
            let turn = state.next_at.max(now as f64);
            state.next_at = turn + 1_000.0 / rate;
            turn
        };
        let pause = Duration::from_secs_f64((turn - now as f64).max(0.0) / 1_000.0);
        tokio::time::sleep(self.clock.scale().real(pause)).await;
    }
}
