//! `harness plan`: what would happen, without any of it.

use std::path::PathBuf;

use super::backfill::instant;
use super::terminal::{count, moment, safe, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::connectors::Connector;
use crate::operate::plan::{self, Asked, Reading, Report, Row, SHARE};
use crate::world::{Clock as _, SystemClock};

/// Say what would happen at Brevo, and do none of it
///
/// Reads what is due (or what you choose), works on the webhooks that are queued, maps, and decides
/// about every action as a host would, on a copy of the store that is deleted afterwards. The vendor and
/// Brevo are only read, no webhook is used up, and all that is written to the host's store is that a call
/// was made: the reads count in the same rate windows as the host's calls. What depends on an answer that
/// only a write gets is `cannot preview`, with the reason. The copy needs as much room as the store. The
/// reads use only a share of the rate windows and leave the last fifth of Brevo's to a host, so a plan
/// over many people takes its time. It holds as long as nothing changes: done at once, the same input
/// does the same.
/// Exit code 1 where something can't be previewed or was not read to its end.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only connectors of this name
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Read this resource, due or not, and no other; may be given several times
    #[arg(long, value_name = "NAME")]
    resource: Vec<String>,
    /// Plan a backfill (of `event-exports`, unless --resource names another): first instant
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// The instant after the last one; now where it is left out
    #[arg(long, value_name = "WHEN", requires = "from")]
    to: Option<String>,
    /// Plan `harness remap`
    #[arg(long)]
    remap: bool,
    /// Percent of every rate window that the reads may use; at the vendor, together with the host
    #[arg(long, value_name = "PERCENT", default_value_t = SHARE, value_parser = clap::value_parser!(u32).range(1..=100))]
    share: u32,
    /// How many ids are shown of each row
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: usize,
    /// Where the copy of the store lies meanwhile
    #[arg(long, value_name = "DIRECTORY")]
    scratch: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let config = args.config.load()?;
    let now = SystemClock::new(config.time).now();
    let from = args.from.as_deref().map(|text| instant("from", text)).transpose()?;
    let to = args.to.as_deref().map(|text| instant("to", text)).transpose()?;
    let window = from.map(|from| (from, to.unwrap_or(now)));
    if window.is_some_and(|(from, to)| from >= to) {
        return Err(Failure::usage("empty-window", "--from is not before --to", "Give a span of time."));
    }
    let mut resources = args.resource.clone();
    if window.is_some() && resources.is_empty() {
        resources.push("event-exports".into());
    }
    let asked = Asked {
        tenant: args.tenant.clone(),
        connector: args.connector.clone(),
        resources,
        window,
        remap: args.remap,
        share: args.share,
        samples: args.samples,
        scratch: args.scratch.clone(),
    };
    let connectors = Connector::all(&config)?;
    let report = plan::plan(&config, &connectors, &asked, &mut |line| eprintln!("{line}"))
        .map_err(|error| Failure::usage(error.code(), error.to_string(), error.remedy()))?;
    if !args.output.json(&report)? {
        print(&report);
    }
    Ok(Found::problems_if(!report.is_whole()))
}

fn print(report: &Report) {
    println!("What would happen, as of {}. Nothing of it was done.", moment(report.at));
    for reading in &report.readings {
        print_reading(reading);
    }
    if report.webhooks > 0 {
        println!("  {} queued webhooks", count(report.webhooks));
    }
    if !report.counted {
        println!("  counted in no rate window of a host: no host of this version has kept any");
    }
    if report.rows.is_empty() && report.outbox.is_empty() {
        println!("\nNothing is due, and nothing waits.");
        return;
    }
    print_rows("What was read", &report.rows);
    print_rows("What waits in the outbox already", &report.outbox);
    let totals: Vec<String> = report
        .totals
        .iter()
        .map(|(verdict, number)| format!("{} {}", count(*number as i64), verdict.as_str()))
        .collect();
    println!("\nIn all: {}", totals.join(", "));
    for (call, number) in &report.writes {
        println!("  {} x {}", count(*number as i64), safe(call));
    }
}

fn print_reading(reading: &Reading) {
    let code = reading.code.as_deref().map(|code| format!(" ({})", safe(code))).unwrap_or_default();
    println!(
        "  {} / {} / {}: {}{code}, {} records and {} rejects on {} pages",
        safe(&reading.tenant),
        safe(&reading.connector),
        safe(&reading.resource),
        safe(&reading.result),
        count(reading.records),
        count(reading.rejects),
        count(reading.pages)
    );
}

fn print_rows(title: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    println!("\n{title}");
    let mut shown = table(["kind", "action", "would", "how many", "why", "for instance"]);
    for row in rows {
        shown.add_row([
            safe(&row.kind),
            row.action.as_deref().map_or("-".to_owned(), safe),
            row.verdict.as_str().to_owned(),
            count(row.count as i64),
            row.code.as_deref().map_or(String::new(), safe),
            row.samples.iter().map(|sample| safe(sample)).collect::<Vec<_>>().join("\n"),
        ]);
    }
    println!("{shown}");
}
