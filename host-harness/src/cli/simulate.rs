//! `harness simulate`: a vendor on this machine.

use std::path::PathBuf;

use stand_ins::brevo::{self, Brevo};
use stand_ins::bucket::{self, Bucket, Storage};
use stand_ins::clock::Scale;
use stand_ins::moengage::{self, MoEngage};

use super::serve::wait_for_stop;
use super::{Failure, Found};

/// Run a stand-in for a vendor on this machine: real HTTP, documented shapes, limits and errors
///
/// It keeps everything in memory and runs until it is stopped. Faults, what it holds, and pushes
/// are ordered under /_control, without a password.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Which vendor
    #[arg(value_enum)]
    vendor: Vendor,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How much faster than real time its clock runs, from now on
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    factor: f64,
    /// Files of the bucket: each name below the folder is a key
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Vendor {
    Moengage,
    Brevo,
    /// An S3 bucket that MoEngage writes export files to
    Bucket,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    if !(args.factor.is_finite() && args.factor > 0.0) {
        return Err(Failure::usage("bad-factor", "the factor is no positive number", "Leave it out."));
    }
    let scale = if args.factor == 1.0 { Scale::REAL } else { Scale::from_now(args.factor) };
    let not_started = |error: std::io::Error| {
        Failure::problem("not-started", error.to_string(), "Take another port with --port.")
    };
    // Each stops when it is dropped, after the signal.
    match args.vendor {
        Vendor::Moengage => {
            let options = moengage::Options { port: args.port, scale, ..moengage::Options::default() };
            let described = options.clone();
            let running = MoEngage::start(options).map_err(not_started)?;
            println!("MoEngage at {}", running.url());
            println!("  workspace_id      {}", described.workspace_id);
            let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "none".into());
            println!("  data key          {}", key(&described.data_key));
            println!("  campaigns key     {}", key(&described.campaigns_key));
            println!("  segmentation key  {}", key(&described.segmentation_key));
            println!("  push              POST {}/_control/push", running.url());
            rest(&running.url(), scale)?;
        }
        Vendor::Brevo => {
            let options = brevo::Options { port: args.port, scale, ..brevo::Options::default() };
            let running = Brevo::start(options).map_err(not_started)?;
            println!("Brevo at {}", running.url());
            println!("  base_url          {}/v3", running.url());
            println!("  api_key           {}", running.api_key());
            rest(&running.url(), scale)?;
        }
        Vendor::Bucket => {
            let options = bucket::Options { port: args.port, scale, ..bucket::Options::default() };
            let running = Bucket::start(options).map_err(not_started)?;
            if let Some(folder) = &args.files {
                running.serve_folder("", folder);
            }
            let described = running.options();
            println!("Bucket at {}", running.url());
            println!("  bucket            {}", described.bucket);
            if let Storage::S3 { region } = &described.storage {
                println!("  region            {region}");
            }
            println!("  access_key_id     {}", described.access_key_id);
            println!("  secret            {}", described.secret);
            rest(&running.url(), scale)?;
        }
    }
    Ok(Found::Nothing)
}

fn rest(url: &str, scale: Scale) -> Result<(), Failure> {
    println!("  what it holds     GET  {url}/_control/state");
    println!("  what it got       GET  {url}/_control/journal");
    println!("  faults            POST {url}/_control/faults");
    if scale != Scale::REAL {
        // The epoch is shared by every process of a run.
        println!("  time              {{ factor: {}, epoch: {} }}", scale.factor, scale.epoch_ms);
    }
    println!("Stop it with Ctrl-C.");
    wait_for_stop()
}
