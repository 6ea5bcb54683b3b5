//! Benchmarks: how fast, for how much processor and memory, and against what.
//!
//! Every figure of ours is measured in a fresh process of this program ([`process`]); the vendor's
//! side and the data ([`corpus`]) stay in the process that was started. A native loop over the same
//! bytes runs in the same run, because only a ratio survives a change of machine. Nothing here
//! fails because it is slow.

pub mod corpus;
pub mod export;
pub mod http;
pub mod map;
pub mod native;
pub mod process;
pub mod pull;
pub mod sources;
pub mod start;
pub mod webhook;
mod world;

use std::io;

use serde::{Deserialize, Serialize};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file, a socket or a process.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    /// The process that was measured.
    #[error("the measured process: {0}")]
    Worker(String),
}

impl BenchError {
    fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io(what, error)
    }
}

/// What a process of its own has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// [`map::work`]
    Map(map::Job),
    /// [`start::work`]
    Start(start::Job),
    /// Reads one resource to its end.
    Source(sources::Job),
    /// [`webhook::work`]
    Webhook(webhook::Job),
    /// [`native::work`]
    Native(native::Job),
}

/// The other process: takes one job from its input, and answers on its output.
pub fn work() -> Result<(), BenchError> {
    let done = match process::listen()? {
        Job::Map(job) => map::work(&job),
        Job::Start(job) => start::work(&job),
        Job::Source(job) => sources::work(&job),
        Job::Webhook(job) => webhook::work(&job),
        Job::Native(job) => native::work(&job),
    };
    match done {
        // The other side shows it.
        Err(error) => process::answer::<()>(&Err(error.to_string())),
        Ok(()) => Ok(()),
    }
}

/// How far a long run is, for whoever watches: what is done of how much.
pub type Watch<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// Records in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Of the vendor: events, rows.
    pub records: u64,
    /// Real seconds.
    pub seconds: f64,
    /// Seconds on a processor.
    pub cpu_seconds: f64,
    /// Records in a real second.
    pub per_second: f64,
    /// Records in a second of one processor.
    pub per_cpu_second: f64,
}

impl Pace {
    /// From its parts.
    pub fn new(records: u64, seconds: f64, cpu_seconds: f64) -> Self {
        let per = |seconds: f64| if seconds > 0.0 { (records as f64 / seconds).round() } else { 0.0 };
        Self { records, seconds, cpu_seconds, per_second: per(seconds), per_cpu_second: per(cpu_seconds) }
    }
}

/// A stopwatch over both kinds of time.
pub struct Watched {
    at: std::time::Instant,
    cpu: f64,
}

impl Watched {
    /// From now on.
    pub fn start() -> Self {
        Self { at: std::time::Instant::now(), cpu: process::cpu_seconds() }
    }

    /// What went by for so many records.
    pub fn pace(&self, records: u64) -> Pace {
        Pace::new(records, self.at.elapsed().as_secs_f64(), process::cpu_seconds() - self.cpu)
    }
}

/// Where the time of a unit went, as parts of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Waiting for the vendor.
    pub http: f64,
    /// In the guest: bytes to records.
    pub parse: f64,
    /// In the guest: records to actions.
    pub map: f64,
    /// Everything that makes it durable: ledger, people, outbox, commit.
    pub store: f64,
    /// The rest: instances, checks of what the guest returned.
    pub host: f64,
}

/// Middle and edge of a list of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Half of them took at most so many microseconds ...
    pub p50_us: f64,
    /// ... 99 of 100 ...
    pub p99_us: f64,
    /// ... and all of them.
    pub max_us: f64,
}

impl Times {
    /// Of these times in nanoseconds.
    pub fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |share: f64| -> f64 {
            let last = nanoseconds.len().saturating_sub(1);
            let index = ((nanoseconds.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
            nanoseconds.get(index).copied().unwrap_or(0) as f64 / 1e3
        };
        Self { count: nanoseconds.len() as u64, p50_us: at(0.5), p99_us: at(0.99), max_us: at(1.0) }
    }
}

/// What everything ran on, so that figures of two runs are not compared without a look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this program may use.
    pub cores: usize,
    /// Whether the host's own code was built with its optimisations.
    pub optimized: bool,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores, optimized: cfg!(not(debug_assertions)) }
    }
}

/// Now, in epoch seconds.
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_list() {
        let times = Times::of((1..=200).map(|n| n * 1_000).collect());
        assert_eq!((times.count, times.p50_us, times.p99_us, times.max_us), (200, 100.0, 198.0, 200.0));
        assert_eq!(Times::of(Vec::new()), Times::default());
        assert_eq!(Times::of(vec![7_000]).p99_us, 7.0);
    }
}
