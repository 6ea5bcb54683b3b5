//! `harness demo`: everything at once, on this machine alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::{count, safe, table};
use super::{Failure, Found, Output};
use crate::demo::{self, Options, Report, Scene, TenantReport};
use crate::operate::accounting::Sums;

/// Play both vendors and the host on this machine: live events, faults, a crash, and the account
///
/// Needs nothing and leaves nothing behind. Two stand-ins take the vendors' places; 10,000 live
/// events for two tenants, some twice, out of order or malformed, go through a host of its own
/// process that is killed in the middle. Exit code 1 unless the host's sums agree and what Brevo
/// got shows nothing lost and nothing doubled.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Distinct events over both tenants
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    events: usize,
    /// Draws people, events and disorder; the same number, the same demo
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let binary = std::env::current_exe()
        .map_err(|error| Failure::problem("no-program", error.to_string(), "Run it from its file."))?;
    let options = Options { events: args.events, seed: args.seed, ..Options::default() };
    let bar = ProgressBar::hidden();
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    if let Ok(style) = ProgressStyle::with_template("  {bar:40} {pos}/{len} events acknowledged, {msg}") {
        bar.set_style(style);
        bar.set_message("0 at Brevo");
    }
    let report = demo::play(&binary, &options, &mut |scene| match scene {
        Scene::Says(text) => bar.suspend(|| eprintln!("{text}")),
        Scene::Moves { acknowledged, arrived, pushed } => {
            bar.set_length(pushed);
            bar.set_position(acknowledged);
            bar.set_message(format!("{} at Brevo", count(i64::try_from(arrived).unwrap_or(i64::MAX))));
        }
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| {
        Failure::problem("demo-failed", error.to_string(), "Run it again; report this if it happens twice.")
    })?;
    if !args.output.json(&report)? {
        print(&report);
    }
    Ok(Found::problems_if(!report.is_clean()))
}

fn print(report: &Report) {
    println!("\nWhat the host says: everything has exactly one fate");
    println!("{}", sums(&report.tenants));
    println!("\nWhat Brevo now holds, and what it was asked");
    let mut rows = table(["  tenant", "contacts", "of them blocked", "events", "requests", "faults met"]);
    for tenant in &report.tenants {
        rows.add_row([
            format!("  {}", safe(&tenant.name)),
            number(tenant.contacts),
            number(tenant.blocked),
            number(tenant.events),
            count(i64::try_from(tenant.requests).unwrap_or(i64::MAX)),
            tenant.faults.to_string(),
        ]);
    }
    println!("{rows}");
    println!("\nWhat MoEngage sent against what Brevo got");
    let mut rows =
        table(["  tenant", "lost", "doubled", "uncalled for", "re-subscribed", "given up", "verdict"]);
    for tenant in &report.tenants {
        let verdict = &tenant.verdict;
        rows.add_row([
            format!("  {}", safe(&tenant.name)),
            number(verdict.lost.len() + verdict.missing.len()),
            number(verdict.doubled.len()),
            number(verdict.uncalled.len() + verdict.unexpected.len()),
            verdict.resubscribed.to_string(),
            verdict.given_up.to_string(),
            if verdict.is_clean() { "clean".to_owned() } else { "NOT CLEAN".to_owned() },
        ]);
    }
    println!("{rows}");
    for tenant in report.tenants.iter().filter(|tenant| !tenant.verdict.is_clean()) {
        let details = serde_json::to_string_pretty(&tenant.verdict).unwrap_or_default();
        println!("{}: {}", safe(&tenant.name), super::terminal::safe_lines(&details));
    }
    let time = Duration::from_secs_f64(report.seconds.max(0.0)).as_secs_f32();
    let end =
        if report.is_clean() { "Nothing lost, nothing doubled." } else { "Something is wrong, see above." };
    println!("\n{end} {time:.0} s, killed {} time(s).", report.kills);
}

/// Design rule 13, one column for each tenant; fates that nobody met are left out.
fn sums(tenants: &[TenantReport]) -> Table {
    let mut header = vec![String::new()];
    header.extend(tenants.iter().map(|tenant| safe(&tenant.name)));
    let mut rows = table(header);
    let mut add = |name: String, values: Vec<String>| {
        rows.add_row([vec![name], values].concat());
    };
    let each = |value: &dyn Fn(&TenantReport) -> i64| -> Vec<String> {
        tenants.iter().map(|tenant| count(value(tenant))).collect()
    };
    add("  event objects pushed".into(), each(&|tenant| i64::try_from(tenant.pushed).unwrap_or(i64::MAX)));
    add("  batches sent again".into(), each(&|t| i64::try_from(t.retried_batches).unwrap_or(i64::MAX)));
    add("  records read".into(), each(&|tenant| tenant.sums.read));
    add_parts(&mut add, tenants, |sums| &sums.fates);
    add("  actions admitted".into(), each(&|tenant| tenant.sums.actions));
    add_parts(&mut add, tenants, |sums| &sums.states);
    let agree = |tenant: &TenantReport| if tenant.sums.agree() { "yes" } else { "NO" }.to_owned();
    add("  both sums add up".into(), tenants.iter().map(agree).collect());
    add("  open dead letters".into(), each(&|tenant| tenant.sums.dead_letters.values().sum()));
    rows
}

fn add_parts(
    add: &mut dyn FnMut(String, Vec<String>),
    tenants: &[TenantReport],
    parts: fn(&Sums) -> &BTreeMap<String, i64>,
) {
    let names: BTreeSet<&String> = tenants.iter().flat_map(|tenant| parts(&tenant.sums).keys()).collect();
    for name in names {
        let values: Vec<i64> =
            tenants.iter().map(|tenant| parts(&tenant.sums).get(name).copied().unwrap_or(0)).collect();
        if values.iter().any(|value| *value != 0) {
            add(format!("    {}", safe(name)), values.into_iter().map(count).collect());
        }
    }
}

fn number(number: usize) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}
