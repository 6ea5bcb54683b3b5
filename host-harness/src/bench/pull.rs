//! `bench pull`: a whole list of campaigns by search, fifteen a page, to committed.

use serde::{Deserialize, Serialize};
use stand_ins::clock::Scale;
use stand_ins::moengage::{self, MoEngage};

use super::sources::{self, Run};
use super::world::Around;
use super::{BenchError, Machine, Pace, Watch, native};

/// How much faster than real time the host's and the vendor's clocks run: so fast that MoEngage's
/// rate windows (100 calls a minute) are not what is measured.
const FACTOR: f64 = 100_000.0;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Campaigns of each run.
    pub sizes: Vec<u64>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `pull`
    pub bench: String,
    /// Where.
    pub machine: Machine,
    /// One for each size.
    pub runs: Vec<Run>,
    /// HTTP and serde_json over the pages of the largest size.
    pub native: Pace,
    /// Records a CPU second from the first call to the last commit, as a part of the native loop's.
    pub ratio: Option<f64>,
}

/// Measures.
pub fn run(options: &Options, watch: Watch<'_>) -> Result<Report, BenchError> {
    let directory = tempfile::tempdir().map_err(BenchError::io("a directory"))?;
    let (mut runs, mut native) = (Vec::new(), Pace::default());
    for (n, &records) in options.sizes.iter().enumerate() {
        let scale = Scale::from_now(FACTOR);
        let campaigns = usize::try_from(records).unwrap_or(usize::MAX);
        let vendor = MoEngage::start(moengage::Options { scale, campaigns, ..moengage::Options::default() })
            .map_err(BenchError::io("MoEngage's stand-in"))?;
        let around = Around {
            moengage: Some(vendor.url()),
            time: Some((scale.factor, scale.epoch_ms)),
            ..Around::default()
        };
        let host = directory.path().join(format!("host-{n}"));
        runs.push(sources::run(&host, &around, ("campaigns", None), records, watch)?);
        if n + 1 == options.sizes.len() {
            watch("natively", 0, records);
            native = native::read(native::Job::Pages { origin: vendor.url() })?;
        }
    }
    let ratio = runs.last().map(|run| run.pace.per_cpu_second / native.per_cpu_second.max(1.0));
    Ok(Report { bench: "pull".into(), machine: Machine::this(), runs, native, ratio })
}
