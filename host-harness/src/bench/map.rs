//! `bench map`: batches to records to actions, in the sandbox under all limits, against the same
//! code as a native program. No store, no network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::corpus::{self, Corpus};
use super::process::{self, Usage, Worker};
use super::world::{self, SETTINGS};
use super::{BenchError, Machine, Pace, Watch, Watched};
use crate::contract::{WebhookRequest, http, objects, storage};
use crate::unit::{Services, Unit, Work};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Events of each run.
    pub sizes: Vec<u64>,
    /// Whether the native program is built and run, with cargo, in this source tree.
    pub native: bool,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `map`
    pub bench: String,
    /// Where.
    pub machine: Machine,
    /// One for each size.
    pub runs: Vec<Run>,
    /// The native program over the largest size, where it was wanted.
    pub native: Option<Pace>,
    /// Records a CPU second in the sandbox, as a part of the native program's. Of the calls into the
    /// guest alone, and of the whole unit with its instance and the checks of what it returned.
    pub guest_to_native: Option<f64>,
    /// The same for the whole unit.
    pub unit_to_native: Option<f64>,
}

/// One size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Whole units.
    pub pace: Pace,
    /// Tajo objects that came of the records.
    pub objects: u64,
    /// Actions that came of the objects.
    pub actions: u64,
    /// Part of the time in the guest's reading.
    pub parse: f64,
    /// Part of the time in the guest's mapping.
    pub map: f64,
    /// Part of the time in instances and checks.
    pub host: f64,
    /// Largest linear memory of a unit, in bytes.
    pub guest_memory: u64,
    /// Of the process.
    pub usage: Usage,
}

/// For the other process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    code: PathBuf,
    corpus: PathBuf,
    records: u64,
}

/// Measures.
pub fn run(options: &Options, watch: Watch<'_>) -> Result<Report, BenchError> {
    let directory = tempfile::tempdir().map_err(BenchError::io("a directory"))?;
    let corpus = directory.path().join("corpus");
    let most = options.sizes.iter().copied().max().unwrap_or(0);
    corpus::write(&corpus, usize::try_from(most).unwrap_or(usize::MAX), super::now_s())
        .map_err(BenchError::io("the data"))?;
    let code = directory.path().join("code");
    world::plugin(&code)?; // compiled once, here: what is measured loads it
    let mut runs = Vec::new();
    for &records in &options.sizes {
        watch("in the sandbox", 0, records);
        let job = Job { code: code.clone(), corpus: corpus.clone(), records };
        runs.push(Worker::start(&super::Job::Map(job))?.hear::<Run>()?);
        watch("in the sandbox", records, records);
    }
    let native = match options.native {
        true => {
            watch("natively", 0, most);
            Some(natively(directory.path(), &corpus, most)?)
        }
        false => None,
    };
    let ratio = |of: &dyn Fn(&Run) -> f64| {
        let (native, run) = (native?, runs.last()?);
        (native.per_cpu_second > 0.0).then(|| of(run) / native.per_cpu_second)
    };
    Ok(Report {
        bench: "map".into(),
        machine: Machine::this(),
        guest_to_native: ratio(&|run| run.pace.per_cpu_second / (run.parse + run.map).max(f64::MIN_POSITIVE)),
        unit_to_native: ratio(&|run| run.pace.per_cpu_second),
        runs,
        native,
    })
}

/// Builds the example `natively` of the connector with the component's own profile, and runs it.
fn natively(directory: &Path, corpus: &Path, records: u64) -> Result<Pace, BenchError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked", "--example", "natively", "-p"])
        .args(["moengage-connector", "--target-dir", "target/native", "--manifest-path", "Cargo.toml"])
        .current_dir(&root)
        .output()
        .map_err(BenchError::io("cargo"))?;
    if !built.status.success() {
        return Err(BenchError::Worker(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    let settings = directory.join("settings.json");
    std::fs::write(&settings, SETTINGS).map_err(BenchError::io("the settings"))?;
    let before = children_cpu_seconds();
    let done = Command::new(root.join("target/native/release/examples/natively"))
        .arg(settings)
        .arg(corpus)
        .arg(records.to_string())
        .output()
        .map_err(BenchError::io("the native program"))?;
    let cpu = children_cpu_seconds() - before;
    #[derive(Deserialize)]
    struct Said {
        seconds: f64,
    }
    let said: Said = serde_json::from_slice(&done.stdout)
        .map_err(|_| BenchError::Worker(String::from_utf8_lossy(&done.stderr).into_owned()))?;
    Ok(Pace::new(records, said.seconds, cpu))
}

/// Processor seconds of all processes that were started and have ended.
fn children_cpu_seconds() -> f64 {
    process::cpu_seconds_of(libc::RUSAGE_CHILDREN)
}

/// The measured process.
pub fn work(job: &Job) -> Result<(), BenchError> {
    let plugin = world::plugin(&job.code)?;
    let mut corpus = Corpus::open(&job.corpus).map_err(BenchError::io("the data"))?;
    let services: Arc<dyn Services> = Arc::new(NoServices);
    let (mut records, mut objects, mut actions, mut guest_memory) = (0, 0, 0, 0);
    let (mut read, mut map) = (0, 0);
    let now = super::now_s() * 1_000;
    let watched = Watched::start();
    while records < job.records {
        let mut body = Vec::new();
        corpus.next(&mut body).map_err(BenchError::io("the data"))?;
        let unit = Unit {
            settings: SETTINGS.into(),
            now,
            work: Work::Webhook(WebhookRequest {
                settings: SETTINGS.into(),
                surface: "streams".into(),
                body,
                headers: Vec::new(),
                received_at: now,
            }),
        };
        let outcome =
            plugin.run(&unit, services.clone()).map_err(|error| BenchError::Worker(error.to_string()))?;
        records += outcome.records.iter().filter(|one| one.record.kind == "event").count() as u64;
        objects += outcome.records.len() as u64;
        actions += world::actions(&outcome);
        read += outcome.cost.read_us;
        map += outcome.cost.map_us;
        guest_memory = guest_memory.max(outcome.cost.memory);
    }
    let pace = watched.pace(records);
    let part = |us: u64| us as f64 / 1e6 / pace.seconds;
    process::answer(&Ok(Run {
        pace,
        objects,
        actions,
        parse: part(read),
        map: part(map),
        host: 1.0 - part(read + map),
        guest_memory,
        usage: Usage::now(),
    }))
}

/// A webhook of MoEngage's reaches nothing.
struct NoServices;

impl NoServices {
    fn refused() -> http::Error {
        http::Error {
            kind: http::ErrorKind::Denied,
            code: "bench".into(),
            message: "nothing is reached in this benchmark".into(),
            request_sent: false,
            retry_after_ms: None,
        }
    }
}

impl Services for NoServices {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(Self::refused())
    }

    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(Self::refused())
    }

    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(Self::refused())
    }

    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }

    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }
}
