//! One resource read to its end by a host without deliveries, in a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::process::{self, Usage, Worker};
use super::world::{self, Around, Spent};
use super::{BenchError, Pace, Shares, Watch, Watched};
use crate::connectors::Connector;
use crate::host::assembly;
use crate::pipeline::Step;
use crate::store::runs::{self, Run as Account};
use crate::store::{StoreError, installations};
use crate::world::Millis;

/// For the other process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    directory: PathBuf,
    around: Around,
    resource: String,
    /// A backfill of this span; without one the resource's ordinary run.
    window: Option<(Millis, Millis)>,
    /// Records that are expected, for whoever watches.
    records: u64,
}

/// One size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// From the first call to the last commit.
    pub pace: Pace,
    /// Tajo objects that came of the records.
    pub objects: u64,
    /// Actions that came of the objects.
    pub actions: u64,
    /// Units, and so transactions.
    pub units: u64,
    /// Where the time went.
    pub shares: Shares,
    /// Of the process, after all.
    pub usage: Usage,
    /// Bytes of the store for each record, its log included.
    pub stored: f64,
    /// How the run ended: `complete`, or why not.
    pub result: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Said {
    /// So many records so far.
    Moves(u64),
    Done(Box<Run>),
}

/// Reads a resource in a fresh process.
pub fn run(
    directory: &Path,
    around: &Around,
    (resource, window): (&str, Option<(Millis, Millis)>),
    records: u64,
    watch: Watch<'_>,
) -> Result<Run, BenchError> {
    std::fs::create_dir_all(directory).map_err(BenchError::io("a directory"))?;
    // Compiled here, so that the memory of compiling is not counted.
    world::plugin(&directory.join("data").join("compiled"))?;
    let (directory, around, resource) = (directory.to_owned(), around.clone(), resource.to_owned());
    let job = Job { directory, around, resource, window, records };
    let mut worker = Worker::start(&super::Job::Source(job))?;
    loop {
        match worker.hear()? {
            Said::Moves(done) => watch("read and committed", done, records),
            Said::Done(run) => return Ok(*run),
        }
    }
}

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let broken = |error: &dyn std::fmt::Display| BenchError::Worker(error.to_string());
    let config = world::config(&job.directory, &job.around)?;
    let connectors = Connector::all(&config).map_err(|error| broken(&error))?;
    let spent = Arc::new(Spent::default());
    let parts = assembly::assemble_with(&config, &connectors, &|one| world::timed(one, &spent))
        .map_err(|error| broken(&error))?;
    let store = &parts.store;
    let store_failed = |error: StoreError| broken(&error);
    let all = store.read::<_, StoreError>(installations::all).map_err(store_failed)?;
    let installation = all.first().ok_or_else(|| BenchError::Worker("no tenant".into()))?.id;
    let key = match job.window {
        Some(window) => {
            let now = parts.world.now();
            store
                .write::<_, StoreError>(|tx| {
                    runs::begin_backfill(tx, installation, &job.resource, window, now)
                })
                .map_err(store_failed)?
                .map_err(|refused| BenchError::Worker(format!("{refused:?}")))?;
            runs::backfill_key(&job.resource)
        }
        None => runs::resource_key(&job.resource),
    };
    let account = || -> Result<Option<Account>, BenchError> {
        store.read::<_, StoreError>(|tx| runs::get(tx, installation, &key)).map_err(store_failed)
    };
    let (watched, mut told) = (Watched::start(), Instant::now());
    let ended = loop {
        let step = parts.pipeline.step().map_err(store_failed)?;
        if let Some(run) = account()?.filter(Account::is_over) {
            break run;
        }
        if step != Step::Worked {
            std::thread::sleep(Duration::from_micros(200));
        }
        if told.elapsed() > Duration::from_millis(500) {
            told = Instant::now();
            process::answer(&Ok(Said::Moves(spent.records.load(Relaxed))))?;
        }
    };
    let pace = watched.pace(spent.records.load(Relaxed));
    let stored = world::stored(&config);
    let result = [ended.result.unwrap_or_default(), ended.code.unwrap_or_default()].join(" ");
    process::answer(&Ok(Said::Done(Box::new(Run {
        pace,
        objects: spent.objects.load(Relaxed),
        actions: spent.actions.load(Relaxed),
        units: spent.count.load(Relaxed),
        shares: spent.shares((pace.seconds * 1e9) as u64),
        usage: Usage::now(),
        stored: stored as f64 / pace.records.max(1) as f64,
        result: result.trim().to_owned(),
    }))))
}
