//! `harness sync`: read a resource now.

use super::run::{Whose, resource};
use super::{Failure, Found, Output};
use crate::store::StoreError;
use crate::store::runs;

/// Read a resource of a connector now, and wait for the end
///
/// It is read from where its cursor stands, page by page, each committed whole. A running host does
/// the work and this command looks on; without one the command does it itself, and what it calls for
/// at Brevo waits for `harness serve`. Ending the command at any moment loses nothing.
/// Exit code 1 where the run was cut short or failed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The resource; `harness check` lists them
    resource: String,
    #[command(flatten)]
    whose: Whose,
    /// Forget where its cursor stands, and read it from its beginning. What was accepted before is not
    /// accepted again
    #[arg(long)]
    anew: bool,
    /// Only ask for it; don't wait (for a host that is running)
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let worker = args.whose.worker()?;
    let installation = worker.installation()?;
    let resource = resource(&installation, &args.resource)?;
    let now = worker.now();
    let asked = worker.store().write::<_, StoreError>(|tx| {
        if args.anew {
            return runs::sync_anew(tx, installation.id, resource, now);
        }
        runs::sync_now(tx, installation.id, resource, now).map(Ok)
    })?;
    if asked.is_err() {
        return Err(Failure::usage(
            "page-under-way",
            format!("a page of {resource} is being read"),
            "Ask again in a minute.",
        ));
    }
    if args.detach {
        println!("Asked for; `harness status` shows how it stands.");
        return Ok(Found::Nothing);
    }
    worker.follow(&installation, &runs::resource_key(resource), args.output)
}
