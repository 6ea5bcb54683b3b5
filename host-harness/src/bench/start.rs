//! `bench start`: what it costs that every unit gets a fresh instance, and that a host starts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::process::{self, Usage, Worker};
use super::world::{self, SETTINGS};
use super::{BenchError, Machine, Times, Watch};
use crate::embedded;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instances.
    pub rounds: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `start`
    pub bench: String,
    /// Where.
    pub machine: Machine,
    /// Bytes of the component.
    pub component: u64,
    /// Bytes of the compiled code.
    pub compiled: u64,
    /// Milliseconds to compile the component, once for each build of it.
    pub compile_ms: f64,
    /// Milliseconds to load it compiled, once for each start of a host.
    pub load_ms: f64,
    /// Milliseconds for the first answer of `configure`, once for each tenant and start.
    pub configure_ms: f64,
    /// A fresh instance.
    pub instance: Times,
    /// Its end.
    pub drop: Times,
    /// Of the measured process.
    pub usage: Usage,
}

/// For the other process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    code: PathBuf,
    rounds: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Measured {
    load_ms: f64,
    configure_ms: f64,
    instance: Times,
    drop: Times,
    usage: Usage,
}

/// Measures.
pub fn run(options: Options, watch: Watch<'_>) -> Result<Report, BenchError> {
    let directory = tempfile::tempdir().map_err(BenchError::io("a directory"))?;
    let code = directory.path().join("code");
    watch("compiling", 0, options.rounds);
    let started = Instant::now();
    world::plugin(&code)?;
    let compile_ms = milliseconds(started);
    watch("instances", 0, options.rounds);
    let job = Job { code: code.clone(), rounds: options.rounds };
    let measured: Measured = Worker::start(&super::Job::Start(job))?.hear()?;
    Ok(Report {
        bench: "start".into(),
        machine: Machine::this(),
        component: embedded::COMPONENT.len() as u64,
        compiled: size_of_files(&code).map_err(BenchError::io("the compiled code"))?,
        compile_ms,
        load_ms: measured.load_ms,
        configure_ms: measured.configure_ms,
        instance: measured.instance,
        drop: measured.drop,
        usage: measured.usage,
    })
}

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let started = Instant::now();
    let plugin = world::plugin(&job.code)?;
    let load_ms = milliseconds(started);
    let started = Instant::now();
    plugin.configure(SETTINGS).map_err(|error| BenchError::Worker(error.to_string()))?;
    let configure_ms = milliseconds(started);
    let (mut instance, mut drop) = (Vec::new(), Vec::new());
    for _ in 0..job.rounds {
        let (making, dropping) =
            plugin.measure_instance(SETTINGS).map_err(|error| BenchError::Worker(error.to_string()))?;
        instance.push(u64::try_from(making.as_nanos()).unwrap_or(u64::MAX));
        drop.push(u64::try_from(dropping.as_nanos()).unwrap_or(u64::MAX));
    }
    process::answer(&Ok(Measured {
        load_ms,
        configure_ms,
        instance: Times::of(instance),
        drop: Times::of(drop),
        usage: Usage::now(),
    }))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn size_of_files(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(directory)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
