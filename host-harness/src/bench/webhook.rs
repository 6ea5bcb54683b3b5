//! `bench webhook`: pushes to durable, durable to committed, and how long an answer takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::corpus::{self, BATCH, Corpus};
use super::http::{Load, corpus as open, push};
use super::process::{self, Usage, Worker};
use super::world::{self, Spent};
use super::{BenchError, Machine, Pace, Shares, Times, Watch, Watched, native};
use crate::connectors::Connector;
use crate::host::assembly;
use crate::host::workers::{LOOK_AGAIN, UNIT_THREADS};
use crate::pipeline::Step;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events of each run.
    pub sizes: Vec<u64>,
    /// Batches that are pushed at a steady rate, to see how long answers take.
    pub steady: u64,
    /// Their rate, in events a second.
    pub rate: f64,
    /// Connections of the pushing side.
    pub connections: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `webhook`
    pub bench: String,
    /// Where.
    pub machine: Machine,
    /// Events of one push.
    pub batch: usize,
    /// Bytes of one event.
    pub record_bytes: usize,
    /// One for each size.
    pub runs: Vec<Run>,
    /// At a steady rate with units at work.
    pub steady: Steady,
    /// The disk alone: a batch written to a file of its own and waited for, on the same disk.
    pub sync: Times,
    /// HTTP and serde_json over the bytes of the largest size.
    pub native: Pace,
    /// Records a CPU second from socket to commit, as a part of the native loop's.
    pub ratio: Option<f64>,
}

/// One size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Verified, durable and answered, as fast as it goes, no unit at work.
    pub intake: Pace,
    /// Answers meanwhile.
    pub answers: Times,
    /// From the journal to committed: parsed, mapped, folded, in the outbox.
    pub units: Pace,
    /// Tajo objects that came of the records.
    pub objects: u64,
    /// Actions that came of the objects.
    pub actions: u64,
    /// Where the time of the units went.
    pub shares: Shares,
    /// Of the process, after all.
    pub usage: Usage,
    /// Bytes of the store for each record, its log included.
    pub stored: f64,
}

/// Pushes at a steady rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Events a second.
    pub rate: f64,
    /// From the instant at which a push was due to the end of its answer.
    pub answers: Times,
}

/// For the other process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    directory: PathBuf,
}

/// What the other process is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Order {
    /// Answers what was used so far.
    Usage,
    /// Lets units run beside the intake.
    Units,
    /// Stops those, runs every unit that is left, and answers what it came to.
    Drain,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Drained {
    units: Pace,
    objects: u64,
    actions: u64,
    shares: Shares,
    usage: Usage,
    stored: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ready {
    address: String,
    path: String,
}

/// Measures.
pub fn run(options: &Options, watch: Watch<'_>) -> Result<Report, BenchError> {
    let directory = tempfile::tempdir().map_err(BenchError::io("a directory"))?;
    let path = directory.path().join("corpus");
    let most = options.sizes.iter().copied().max().unwrap_or(0);
    corpus::write(&path, usize::try_from(most).unwrap_or(usize::MAX), super::now_s())
        .map_err(BenchError::io("the data"))?;
    let mut runs = Vec::new();
    for (n, &records) in options.sizes.iter().enumerate() {
        let mut host = Host::start(&directory.path().join(format!("host-{n}")))?;
        runs.push(host.run(&mut open(&path)?, records, options.connections, watch)?);
    }
    let mut host = Host::start(&directory.path().join("host-steady"))?;
    let steady = host.steady(&mut open(&path)?, options, watch)?;
    drop(host);
    let sync = sync(directory.path()).map_err(BenchError::io("the disk"))?;
    let native = native::pushes(&path, most.div_ceil(BATCH as u64), watch)?;
    let ratio = runs.last().map(|run: &Run| {
        let per_record = (run.intake.cpu_seconds + run.units.cpu_seconds) / run.units.records.max(1) as f64;
        native.cpu_seconds / native.records.max(1) as f64 / per_record.max(f64::MIN_POSITIVE)
    });
    Ok(Report {
        bench: "webhook".into(),
        machine: Machine::this(),
        batch: BATCH,
        record_bytes: corpus::RECORD,
        runs,
        steady,
        sync,
        native,
        ratio,
    })
}

/// What the disk alone takes for a batch: no answer can be faster than that.
fn sync(directory: &Path) -> std::io::Result<Times> {
    use std::os::unix::fs::FileExt as _;
    const ROUNDS: u64 = 100;
    let batch = vec![b'x'; BATCH * corpus::RECORD];
    let file = std::fs::File::create(directory.join("sync"))?;
    // As with a log that is written over and over: the file has its size already.
    for round in 0..ROUNDS {
        file.write_all_at(&batch, round * batch.len() as u64)?;
    }
    file.sync_all()?;
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let started = Instant::now();
        file.write_all_at(&batch, round * batch.len() as u64)?;
        file.sync_data()?;
        took.push(world::nanoseconds(started));
    }
    Ok(Times::of(took))
}

/// A host without deliveries in a process of its own.
struct Host {
    worker: Worker,
    ready: Ready,
}

impl Host {
    fn start(directory: &Path) -> Result<Self, BenchError> {
        std::fs::create_dir_all(directory).map_err(BenchError::io("a directory"))?;
        // Compiled here, so that the memory of compiling is not counted.
        world::plugin(&directory.join("data").join("compiled"))?;
        let job = Job { directory: directory.to_owned() };
        let mut worker = Worker::start(&super::Job::Webhook(job))?;
        let ready = worker.hear()?;
        Ok(Self { worker, ready })
    }

    fn load(&self, batches: u64, connections: usize, rate: Option<f64>) -> Load<'_> {
        Load { address: &self.ready.address, path: &self.ready.path, batches, connections, rate }
    }

    fn ask<T: serde::de::DeserializeOwned>(&mut self, order: Order) -> Result<T, BenchError> {
        self.worker.tell(&order)?;
        self.worker.hear()
    }

    fn run(
        &mut self,
        corpus: &mut Corpus,
        records: u64,
        connections: usize,
        watch: Watch<'_>,
    ) -> Result<Run, BenchError> {
        let before: Usage = self.ask(Order::Usage)?;
        let load = self.load(records.div_ceil(BATCH as u64), connections, None);
        let pushed = push(load, corpus, watch)?;
        let after: Usage = self.ask(Order::Usage)?;
        watch("units", 0, records);
        let drained: Drained = self.ask(Order::Drain)?;
        Ok(Run {
            intake: Pace::new(records, pushed.seconds, after.cpu_seconds - before.cpu_seconds),
            answers: pushed.answers,
            units: drained.units,
            objects: drained.objects,
            actions: drained.actions,
            shares: drained.shares,
            usage: drained.usage,
            stored: drained.stored as f64 / records.max(1) as f64,
        })
    }

    fn steady(
        &mut self,
        corpus: &mut Corpus,
        options: &Options,
        watch: Watch<'_>,
    ) -> Result<Steady, BenchError> {
        let () = self.ask(Order::Units)?;
        let rate = options.rate / BATCH as f64;
        let pushed = push(self.load(options.steady, options.connections, Some(rate)), corpus, watch)?;
        let _: Drained = self.ask(Order::Drain)?;
        Ok(Steady { rate: options.rate, answers: pushed.answers })
    }
}

/// Runs every unit that is due, on as many threads as a host has for them.
fn drain(step: &(impl Fn() -> Result<Step, BenchError> + Sync)) -> Result<(), BenchError> {
    let until_idle = || -> Result<(), BenchError> {
        while step()? == Step::Worked {}
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..UNIT_THREADS).map(|_| scope.spawn(until_idle)).collect();
        let panicked = |_| Err(BenchError::Worker("a unit panicked".into()));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let broken = |error: &dyn std::fmt::Display| BenchError::Worker(error.to_string());
    let config = world::config(&job.directory, &world::Around::default())?;
    let connectors = Connector::all(&config).map_err(|error| broken(&error))?;
    let spent = Arc::new(Spent::default());
    let parts = assembly::assemble_with(&config, &connectors, &|one| world::timed(one, &spent))
        .map_err(|error| broken(&error))?;
    let (intake, addresses) = assembly::listen(&config, &parts).map_err(|error| broken(&error))?;
    let path = addresses.first().map(|address| address.path.clone()).unwrap_or_default();
    process::answer(&Ok(Ready { address: intake.address().to_string(), path }))?;

    let go_on = AtomicBool::new(true);
    let step = || parts.pipeline.step().map_err(|error| broken(&error));
    std::thread::scope(|scope| {
        let mut beside = Vec::new();
        loop {
            match process::listen() {
                // The other process went away: it has what it wanted.
                Err(_) => {
                    go_on.store(false, Ordering::SeqCst);
                    return Ok(());
                }
                Ok(Order::Usage) => process::answer(&Ok(Usage::now()))?,
                Ok(Order::Units) => {
                    let steps = || {
                        while go_on.load(Ordering::SeqCst) {
                            if step()? != Step::Worked {
                                std::thread::sleep(LOOK_AGAIN);
                            }
                        }
                        Ok(())
                    };
                    beside.extend((0..UNIT_THREADS).map(|_| scope.spawn(steps)));
                    process::answer(&Ok(()))?;
                }
                Ok(Order::Drain) => {
                    go_on.store(false, Ordering::SeqCst);
                    for thread in beside.drain(..) {
                        thread
                            .join()
                            .unwrap_or_else(|_| Err(BenchError::Worker("a unit panicked".into())))?;
                    }
                    let watched = Watched::start();
                    drain(&step)?;
                    let pace = watched.pace(spent.records.load(Ordering::Relaxed));
                    process::answer(&Ok(Drained {
                        units: pace,
                        objects: spent.objects.load(Ordering::Relaxed),
                        actions: spent.actions.load(Ordering::Relaxed),
                        shares: spent.shares((pace.seconds * 1e9) as u64 * UNIT_THREADS as u64),
                        usage: Usage::now(),
                        stored: world::stored(&config),
                    }))?;
                }
            }
        }
    })
}
