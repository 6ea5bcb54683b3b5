//! `harness bench`: how fast, for how much, and against what.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::terminal::{count, safe, size, table};
use super::{Failure, Found, Output};
use crate::bench::process::Usage;
use crate::bench::sources::Run;
use crate::bench::{self, BenchError, Machine, Pace, Shares, Times, export, map, pull, start, webhook};

/// Measure this build on this machine: records per second and per CPU second, latencies, memory
///
/// The data are made by the stand-ins, about 1 KB for each record. What is measured runs in a fresh
/// process for each size, so its memory and processor time are its own; the vendor's side stays in
/// this process. A native loop over the same bytes runs in the same run: compare ratios, not the
/// figures of two machines. Nothing is delivered to Brevo, and nothing fails because it is slow.
/// docs/performance.md says how to read what comes out.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Turn batches into records and actions in the sandbox, against the same code run natively
    ///
    /// No store and no network. Builds the native program with cargo, in this source tree.
    Map {
        #[command(flatten)]
        sizes: Sizes,
        /// Leave the native program out; needs no cargo
        #[arg(long)]
        without_native: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Make fresh instances, load and compile the component
    Start {
        /// How many instances
        #[arg(long, default_value_t = 20_000, value_name = "N")]
        rounds: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Push batches of 100 events: to durable, to committed, and how long the answers take
    ///
    /// First as fast as it goes into the journal, then from the journal through the connector into
    /// the outbox; then at a steady rate with both at once, for the latency of answers.
    Webhook {
        #[command(flatten)]
        sizes: Sizes,
        /// Batches of the steady part
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        steady: u64,
        /// Events per second of the steady part
        #[arg(long, default_value_t = 5_000.0, value_name = "N")]
        rate: f64,
        /// Connections of the vendor
        #[arg(long, default_value_t = 8, value_name = "N")]
        connections: usize,
        #[command(flatten)]
        output: Output,
    },
    /// Read a list of campaigns by search, fifteen a page, to committed
    ///
    /// The clocks of both sides run so fast that the vendor's rate limit does not count.
    Pull {
        /// Campaigns of each run, each in a fresh process; a workspace has thousands, not millions
        #[arg(long, value_delimiter = ',', default_value = "2000,20000", value_name = "N,...")]
        records: Vec<u64>,
        #[command(flatten)]
        output: Output,
    },
    /// Read event export files from a bucket, as a backfill does, to committed
    Export {
        #[command(flatten)]
        sizes: Sizes,
        #[command(flatten)]
        output: Output,
    },
    /// The measured side, for the verbs themselves
    #[command(hide = true)]
    Worker,
}

#[derive(clap::Args)]
struct Sizes {
    /// Records of each run, each in a fresh process
    #[arg(long, value_delimiter = ',', default_value = "20000,1000000", value_name = "N,...")]
    records: Vec<u64>,
}

impl Sizes {
    fn sorted(self) -> Result<Vec<u64>, Failure> {
        sorted(self.records)
    }
}

/// In ascending order, so that the last one is the largest.
fn sorted(mut sizes: Vec<u64>) -> Result<Vec<u64>, Failure> {
    sizes.sort_unstable();
    match sizes.first() {
        Some(1..) => Ok(sizes),
        _ => Err(Failure::usage("bad-records", "a run needs at least one record", "Leave it out.")),
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self::problem("bench-failed", error.to_string(), "Run it again; report this if it happens twice.")
    }
}

pub(super) fn run(args: Args) -> Result<Found, Failure> {
    let mut progress = Progress::default();
    let mut watch = |what: &str, done: u64, of: u64| progress.show(what, done, of);
    match args.verb {
        Verb::Worker => bench::work()?,
        Verb::Map { sizes, without_native, output } => {
            let options = map::Options { sizes: sizes.sorted()?, native: !without_native };
            let report = map::run(&options, &mut watch)?;
            progress.end();
            if !output.json(&report)? {
                print_map(&report);
            }
        }
        Verb::Pull { records, output } => {
            let report = pull::run(&pull::Options { sizes: sorted(records)? }, &mut watch)?;
            progress.end();
            if !output.json(&report)? {
                print_machine(&report.machine);
                print_sources(&report.runs, "HTTP and serde_json alone", &report.native, report.ratio);
            }
        }
        Verb::Export { sizes, output } => {
            let report = export::run(&export::Options { sizes: sizes.sorted()? }, &mut watch)?;
            progress.end();
            if !output.json(&report)? {
                print_machine(&report.machine);
                print_sources(&report.runs, "HTTP, gzip and serde_json alone", &report.native, report.ratio);
            }
        }
        Verb::Start { rounds, output } => {
            let report = start::run(start::Options { rounds: rounds.max(1) }, &mut watch)?;
            progress.end();
            if !output.json(&report)? {
                print_start(&report);
            }
        }
        Verb::Webhook { sizes, steady, rate, connections, output } => {
            if !(rate.is_finite() && rate > 0.0 && connections > 0) {
                let text = "the rate and the number of connections are above 0";
                return Err(Failure::usage("bad-load", text, "Leave them out."));
            }
            let options = webhook::Options { sizes: sizes.sorted()?, steady, rate, connections };
            let report = webhook::run(&options, &mut watch)?;
            progress.end();
            if !output.json(&report)? {
                print_webhook(&report);
            }
        }
    }
    Ok(Found::Nothing)
}

/// What a long run does, on stderr: a line that moves for a person, a line in ten seconds for a log.
#[derive(Default)]
struct Progress {
    shown: Option<Instant>,
    what: String,
}

impl Progress {
    fn show(&mut self, what: &str, done: u64, of: u64) {
        let (person, new) = (std::io::stderr().is_terminal(), self.what != what);
        let pause = Duration::from_millis(if person { 200 } else { 10_000 });
        if !new && self.shown.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        what.clone_into(&mut self.what);
        let (start, end) = if person { ("\r\u{1b}[K", "") } else { ("", "\n") };
        // Who can't be told is not waiting for it.
        let _ = write!(std::io::stderr(), "{start}  {what}: {} of {}{end}", number(done), number(of));
    }

    fn end(&mut self) {
        if self.shown.take().is_some() && std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn number(number: u64) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "not measured".to_owned(), percent)
}

fn per_second(pace: &Pace) -> [String; 2] {
    [number(pace.per_second as u64), number(pace.per_cpu_second as u64)]
}

fn memory(usage: &Usage) -> String {
    format!("{} ({} its own at the end)", size(usage.peak_memory), size(usage.anonymous))
}

fn times(times: &Times) -> String {
    let ms = |us: f64| if us < 1_000.0 { format!("{us:.1} us") } else { format!("{:.2} ms", us / 1e3) };
    format!("p50 {}, p99 {}, max {}", ms(times.p50_us), ms(times.p99_us), ms(times.max_us))
}

fn print_machine(machine: &Machine) {
    let build = if machine.optimized { "an optimised build" } else { "the build of `cargo run`" };
    println!("{} cores, {build}\n", machine.cores);
}

fn print_map(report: &map::Report) {
    print_machine(&report.machine);
    let mut rows =
        table(["  records", "per second", "per CPU second", "parse", "map", "host", "peak memory", "guest"]);
    for run in &report.runs {
        let [wall, cpu] = per_second(&run.pace);
        let parts = [percent(run.parse), percent(run.map), percent(run.host)];
        let [parse, map, host] = parts;
        let records = format!("  {}", number(run.pace.records));
        rows.add_row([records, wall, cpu, parse, map, host, memory(&run.usage), size(run.guest_memory)]);
    }
    println!("{rows}\n");
    if let Some(native) = &report.native {
        println!("  natively: {} per CPU second", number(native.per_cpu_second as u64));
        println!("  the guest's calls reach {} of it", ratio(report.guest_to_native));
        println!("  whole units reach {} of it", ratio(report.unit_to_native));
    }
}

fn print_start(report: &start::Report) {
    print_machine(&report.machine);
    println!("  component       {}, compiled {}", size(report.component), size(report.compiled));
    println!("  compile         {:.0} ms, once for each build of it", report.compile_ms);
    println!("  load compiled   {:.1} ms, once for each start", report.load_ms);
    println!("  configure       {:.1} ms, once for each tenant and start", report.configure_ms);
    println!("  fresh instance  {} ({} of them)", times(&report.instance), number(report.instance.count));
    println!("  its end         {}", times(&report.drop));
    println!("  peak memory     {}", memory(&report.usage));
}

fn print_webhook(report: &webhook::Report) {
    print_machine(&report.machine);
    let mut rows = table([
        "  records",
        "durable per second",
        "per CPU second",
        "committed per second",
        "per CPU second",
    ]);
    for run in &report.runs {
        let records = format!("  {}", number(run.intake.records));
        let cells = [per_second(&run.intake), per_second(&run.units)].concat();
        rows.add_row([vec![records], cells].concat());
    }
    println!("{rows}\n");
    for run in &report.runs {
        println!("  {} records", number(run.intake.records));
        println!("    answers         {}", times(&run.answers));
        println!("    time of units   {}", shares(&run.shares));
        println!("    came to         {} objects, {} actions", number(run.objects), number(run.actions));
        println!("    peak memory     {}", memory(&run.usage));
        println!("    stored          {} for each record", size(run.stored as u64));
    }
    println!();
    let rate = number(report.steady.rate as u64);
    println!("  answers at {rate} events per second, units at work: {}", times(&report.steady.answers));
    println!("  the disk alone, for one batch: {}", times(&report.sync));
    println!("  HTTP and serde_json alone: {} per CPU second", number(report.native.per_cpu_second as u64));
    println!("  from socket to commit: {} of it", ratio(report.ratio));
}

fn print_sources(runs: &[Run], alone: &str, native: &Pace, of_native: Option<f64>) {
    let mut rows = table(["  records", "committed per second", "per CPU second", "units", "peak memory"]);
    for run in runs {
        let [wall, cpu] = per_second(&run.pace);
        let records = format!("  {}", number(run.pace.records));
        rows.add_row([records, wall, cpu, number(run.units), memory(&run.usage)]);
    }
    println!("{rows}\n");
    for run in runs {
        println!("  {} records: {}", number(run.pace.records), safe(&run.result));
        println!("    time            {}", shares(&run.shares));
        println!("    came to         {} objects, {} actions", number(run.objects), number(run.actions));
        println!("    stored          {} for each record", size(run.stored as u64));
    }
    println!("\n  {alone}: {} per CPU second", number(native.per_cpu_second as u64));
    println!("  from the first call to the last commit: {} of it", ratio(of_native));
}

fn shares(shares: &Shares) -> String {
    format!(
        "HTTP {}, parse {}, map {}, store {}, host {}",
        percent(shares.http),
        percent(shares.parse),
        percent(shares.map),
        percent(shares.store),
        percent(shares.host)
    )
}
