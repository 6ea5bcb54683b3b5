//! `harness backup`: a copy of the store.

use std::path::PathBuf;

use serde_json::json;

use super::terminal::{safe, size};
use super::{ConfigFile, Failure, Found, Output};
use crate::store::backup::{self, BackupError};
use crate::world::{Clock as _, SystemClock};

/// Copy the store into a file, while the host goes on
///
/// The copy is the store at one moment, whole and on disk when this returns. It holds personal data and
/// the tokens of the webhook addresses; only this user may read it. Keys of vendors are not in it.
/// Put it back with `harness restore`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The file to be written; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let (store, location) = args.config.attach()?;
    let bytes = backup::backup(store.path(), &args.to)?;
    // The copy is whole, whatever becomes of this.
    if let Err(error) = backup::note(&store, SystemClock::new(location.time).now()) {
        eprintln!(
            "{}: the backup is whole, but could not be noted for `harness doctor`: {error}",
            error.code()
        );
    }
    if !args.output.json(&json!({ "file": args.to, "bytes": bytes }))? {
        println!("{}: {}", safe(&args.to.display().to_string()), size(bytes));
    }
    Ok(Found::Nothing)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::problem(error.code(), error.to_string(), error.remedy())
    }
}
