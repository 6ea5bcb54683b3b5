//! `bench export`: event export files in a bucket, through a backfill, to committed.

use serde::{Deserialize, Serialize};
use stand_ins::bucket::{self, Bucket, Storage};
use stand_ins::moengage::bulk::Bulk;

use super::sources::{self, Run};
use super::world::Around;
use super::{BenchError, Machine, Pace, Watch, native};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lines of each run.
    pub sizes: Vec<u64>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `export`
    pub bench: String,
    /// Where.
    pub machine: Machine,
    /// Bytes of one line.
    pub record_bytes: usize,
    /// One for each size.
    pub runs: Vec<Run>,
    /// HTTP, gzip and serde_json over the files of the largest size.
    pub native: Pace,
    /// Records a CPU second from bucket to commit, as a part of the native loop's.
    pub ratio: Option<f64>,
}

/// Days of events; the window begins a day earlier and ends now.
const DAYS: i64 = 7;

/// Measures.
pub fn run(options: &Options, watch: Watch<'_>) -> Result<Report, BenchError> {
    let directory = tempfile::tempdir().map_err(BenchError::io("a directory"))?;
    let now_s = super::now_s();
    let begin = |storage| {
        let options = bucket::Options { storage, ..bucket::Options::default() };
        Bucket::start(options).map_err(BenchError::io("the store of files"))
    };
    let (mut runs, mut native) = (Vec::new(), Pace::default());
    for (n, &records) in options.sizes.iter().enumerate() {
        let files = Bulk {
            records,
            people: (records / 50).max(100),
            first_s: now_s - DAYS * 86_400 - 43_200,
            span_s: DAYS * 86_400,
            ..Bulk::default()
        };
        let folder = directory.path().join(format!("files-{n}"));
        watch("making files", 0, records);
        let written = files.write(&folder).map_err(BenchError::io("the data"))?;
        let s3 = begin(bucket::Options::default().storage)?;
        s3.serve_folder("", &folder);
        let around = Around { exports: Some(s3.url()), ..Around::default() };
        let window = ((now_s - (DAYS + 1) * 86_400) * 1_000, now_s * 1_000);
        let host = directory.path().join(format!("host-{n}"));
        runs.push(sources::run(&host, &around, ("event-exports", Some(window)), records, watch)?);
        drop(std::fs::remove_dir_all(host)); // a large one would fill the disk for the next
        if n + 1 == options.sizes.len() {
            watch("natively", 0, records);
            let web = begin(Storage::Https)?;
            web.serve_folder("", &folder);
            let urls = written.files.iter().filter_map(|file| {
                let key = file.strip_prefix(&folder).ok()?;
                Some(format!("{}/{}", web.url(), key.to_str()?))
            });
            native = native::read(native::Job::Files { urls: urls.collect() })?;
        }
        drop(std::fs::remove_dir_all(folder));
    }
    let ratio = runs.last().map(|run| run.pace.per_cpu_second / native.per_cpu_second.max(1.0));
    Ok(Report {
        bench: "export".into(),
        machine: Machine::this(),
        record_bytes: Bulk::default().line_bytes,
        runs,
        native,
        ratio,
    })
}
