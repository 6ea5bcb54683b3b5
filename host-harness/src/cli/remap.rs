//! `harness remap`: map what is known again, after a mapping was corrected.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::run::Whose;
use super::terminal::{count, safe};
use super::{Failure, Found, Output};
use crate::store::StoreError;
use crate::store::installations::InstallationId;
use crate::store::remaps::{self, Remap};

/// Map every current state again, after `field_mapping`, `lists` or the like was corrected
///
/// Correct the settings first; a host that serves must have been started with them. Contacts,
/// memberships and other states are mapped as the settings say now, and only what comes out
/// differently goes to Brevo. Values that something newer set stay, a field that is no longer mapped
/// stays at Brevo as it is, and joins that come of it wait for your word (`harness lists`). Events are
/// never mapped again, so no event, mail, SMS or note is sent a second time. A running host does the
/// work and this command looks on; without one the command does it itself, and what it calls for waits
/// for `harness serve`. After a kill it goes on where it stopped; doing it twice changes nothing.
/// Exit code 1 where it stopped, or some states can't be mapped.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    whose: Whose,
    /// Only ask for it; don't wait (for a host that is running)
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    tenant: String,
    connector: String,
    /// `complete` or `stopped`.
    result: &'static str,
    /// Why it stopped.
    code: Option<String>,
    /// Current states that were mapped again.
    states: u64,
    /// Of them those that call for something new.
    changed: u64,
    /// Actions that are new in the outbox.
    actions: u64,
    /// States in quarantine, which are mapped when they are requeued.
    quarantined: u64,
    /// States that can't be mapped with these settings, by code; they stay as they were.
    failed: BTreeMap<String, u64>,
    /// States of this store, of every connector, whose content an earlier host did not keep.
    without_content: i64,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let worker = args.whose.worker()?;
    let installation = worker.installation()?;
    let (id, now) = (installation.id, worker.now());
    worker.store().write::<_, StoreError>(|tx| remaps::begin(tx, id, now))?;
    if args.detach {
        println!("Asked for; `harness remap` without --detach looks on.");
        return Ok(Found::Nothing);
    }
    let shown = progress();
    let remap = loop {
        let remap = look(worker.store(), id)?;
        if remap.finished_at.is_some() {
            break remap;
        }
        let done = remap.place.0.clamp(0, remap.last_batch).unsigned_abs();
        shown.set_length(remap.last_batch.unsigned_abs().max(1));
        shown.set_position(done);
        shown.set_message(format!(
            "{} states, {} changed",
            count(remap.counts.states as i64),
            count(remap.counts.changed as i64)
        ));
        worker.go_on(|units| units.remap_step())?;
    };
    shown.finish_and_clear();
    let without_content = worker.store().read::<_, StoreError>(remaps::without_content)?;
    let report = Report {
        tenant: installation.tenant.clone(),
        connector: installation.connector.clone(),
        result: if remap.code.is_none() { "complete" } else { "stopped" },
        code: remap.code,
        states: remap.counts.states,
        changed: remap.counts.changed,
        actions: remap.counts.actions,
        quarantined: remap.counts.quarantined,
        failed: remap.counts.failed,
        without_content,
    };
    if !args.output.json(&report)? {
        print(&report);
        if worker.is_ours() && report.actions > 0 {
            println!("What it calls for at Brevo is delivered by `harness serve`.");
        }
    }
    Ok(Found::problems_if(report.code.is_some() || !report.failed.is_empty()))
}

fn look(store: &crate::store::Store, id: InstallationId) -> Result<Remap, Failure> {
    let remap = store.read::<_, StoreError>(|tx| remaps::get(tx, id))?;
    remap.ok_or_else(|| Failure::problem("no-remap", "the order to map again is gone", "Give it again."))
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn print(report: &Report) {
    println!(
        "{} / {}: {} states were mapped again, {} of them call for something new ({} actions)",
        safe(&report.tenant),
        safe(&report.connector),
        count(report.states as i64),
        count(report.changed as i64),
        count(report.actions as i64)
    );
    if let Some(code) = &report.code {
        println!("  it STOPPED: {}", safe(code));
        println!(
            "  -> Give the order again: it goes on where it stopped. If it stops there again, send the code to the connector's author."
        );
    }
    for (code, number) in &report.failed {
        println!("  {} can't be mapped and stay as they were: {}", count(*number as i64), safe(code));
    }
    if report.quarantined > 0 {
        println!("  {} are in quarantine (`harness dead-letters list`)", count(report.quarantined as i64));
    }
    if report.without_content > 0 {
        println!(
            "  {} states of this store can't be mapped again: an earlier host did not keep their content. Their next change is mapped as always.",
            count(report.without_content)
        );
    }
}
