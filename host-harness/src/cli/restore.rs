//! `harness restore`: a backup in the place of the store, and the word that it is to be used.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::terminal::safe;
use super::{ConfigFile, Failure, Found, Output};
use crate::config;
use crate::connectors::BUILT_IN;
use crate::host::STORE_FILE;
use crate::store::{StoreError, backup, doubt};
use crate::world::{Clock as _, SystemClock};

/// Put a backup in the place of the store
///
/// The host must be stopped. What was there is kept beside it. A restored store is in doubt: a host that
/// starts on it takes nothing in and sends nothing until `harness restore confirm`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    put: Put,
}

#[derive(clap::Args)]
struct Put {
    /// The configuration of the host; examples/tajo.yaml explains every key
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// A file that `harness backup` wrote
    #[arg(long, value_name = "FILE", required = true)]
    from: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Order {
    /// Say that the restored store is to be used: intake and sends open
    ///
    /// Make sure that no other host works for these tenants. What can't be undone and may have been done
    /// since the backup is looked for at Brevo first; what isn't shown there becomes a dead letter.
    /// Erasures that were ordered since the backup have to be ordered again, and webhooks that were
    /// acknowledged since then are not in the store: `harness backfill` reads their events again.
    Confirm(Confirm),
}

#[derive(clap::Args)]
struct Confirm {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    if let Some(Order::Confirm(confirm)) = &args.order {
        return confirm.give();
    }
    let (Some(config), Some(from)) = (&args.put.config, &args.put.from) else {
        let remedy = "Name the configuration with --config and the backup with --from.";
        return Err(Failure::usage("no-backup", "nothing to restore is named", remedy));
    };
    let location = config::locate(config, BUILT_IN)?;
    let now = SystemClock::new(location.time).now();
    let kept = backup::restore(&location.data_dir.join(STORE_FILE), from, now)?;
    if !args.put.output.json(&json!({ "kept": kept, "in_doubt": true }))? {
        println!("Restored, and in doubt: start the host, look at `harness status`, then");
        println!("run `harness restore confirm`. Until then nothing is taken in and nothing is sent.");
        if let Some(kept) = kept {
            println!("What was there before is now {}", safe(&kept.display().to_string()));
        }
    }
    Ok(Found::Nothing)
}

impl Confirm {
    fn give(&self) -> Result<Found, Failure> {
        let (store, location) = self.config.attach()?;
        let now = SystemClock::new(location.time).now();
        let settle = crate::delivery::millis(crate::delivery::Policy::default().settle);
        let confirmed = store.write::<_, StoreError>(|tx| {
            // Where no host has started on it yet.
            doubt::enter(tx, settle, now)?;
            doubt::confirm(tx, now)
        })?;
        if !confirmed {
            let remedy = "Nothing; intake and sends are open.";
            return Err(Failure::usage("not-in-doubt", "the store is not in doubt", remedy));
        }
        if !self.output.json(&json!({ "confirmed": true }))? {
            println!("Intake and sends are open. What may have been done since the backup is looked for at");
            println!("Brevo; `harness status` and `harness dead-letters list` show what stays unproven.");
            println!("Erasures that were ordered since the backup have to be ordered again.");
        }
        Ok(Found::Nothing)
    }
}
