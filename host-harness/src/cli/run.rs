//! What `backfill` and `sync` share: whose resource it is, who does the work, and how far it is.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::terminal::{count, relative, safe, span};
use super::{ConfigFile, Failure, Found, Output, only};
use crate::config;
use crate::connectors::{BUILT_IN, Connector};
use crate::contract::SyncMode;
use crate::host::{STORE_FILE, StartError, Units};
use crate::pipeline::Step;
use crate::store::installations::{self, Installation};
use crate::store::runs::{self, Run};
use crate::store::{Store, StoreError};
use crate::world::{Clock as _, Millis, SystemClock};

/// Real time between two looks at a run that another process does.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Real time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Which connector of which tenant.
#[derive(clap::Args)]
pub(super) struct Whose {
    #[command(flatten)]
    config: ConfigFile,
    /// Which tenant; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Which connector of the tenant; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
}

/// The store, and who works on it.
pub(super) struct Worker {
    by: By,
    whose: (Option<String>, Option<String>),
}

enum By {
    /// A host that serves; this process looks on.
    Host(Box<Store>, SystemClock),
    /// This process.
    Us(Box<Units>),
}

impl Whose {
    /// Finds out whether a host serves; otherwise this process will do the work itself.
    pub(super) fn worker(&self) -> Result<Worker, Failure> {
        let location = config::locate(&self.config.config, BUILT_IN)?;
        let path = location.data_dir.join(STORE_FILE);
        let by = if Store::is_in_use(&path) {
            let store = Store::attach(&path)?;
            if store.in_doubt()? {
                return Err(StoreError::InDoubt.into()); // the host does nothing either
            }
            By::Host(Box::new(store), SystemClock::new(location.time))
        } else {
            let config = self.config.load()?;
            let connectors = Connector::all(&config)?;
            let units = Units::open(&config, &connectors).map_err(|error: StartError| {
                Failure::usage(error.code(), error.to_string(), error.remedy())
            })?;
            By::Us(Box::new(units))
        };
        Ok(Worker { by, whose: (self.tenant.clone(), self.connector.clone()) })
    }
}

impl Worker {
    pub(super) fn store(&self) -> &Store {
        match &self.by {
            By::Host(store, _) => store,
            By::Us(units) => units.store(),
        }
    }

    pub(super) fn now(&self) -> Millis {
        match &self.by {
            By::Host(_, clock) => clock.now(),
            By::Us(units) => units.now(),
        }
    }

    /// The installation that was meant.
    pub(super) fn installation(&self) -> Result<Installation, Failure> {
        let (tenant, connector) = (self.whose.0.as_deref(), self.whose.1.as_deref());
        let mut rows = self.store().read::<_, StoreError>(installations::all)?;
        let mut tenants: Vec<String> = rows.iter().map(|row| row.tenant.clone()).collect();
        tenants.dedup();
        let tenant = only(&tenants, tenant, "tenant", |name| name)?;
        rows.retain(|row| row.tenant == *tenant);
        only(&rows, connector, "connector", |row| &row.connector).cloned()
    }

    /// True where this process does the work.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.by, By::Us(_))
    }

    /// Does one step of the work, or waits a little while a host does it.
    pub(super) fn go_on(&self, step: impl Fn(&Units) -> Result<Step, StoreError>) -> Result<(), Failure> {
        match &self.by {
            By::Host(store, _) => {
                std::thread::sleep(LOOK_AGAIN);
                if !Store::is_in_use(store.path()) {
                    let remedy = "Start it, or repeat the command: the work goes on where it stopped.";
                    return Err(Failure::problem("host-gone", "the host that did the work ended", remedy));
                }
            }
            By::Us(units) => {
                if let Step::Idle(_) = step(units)? {
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
        Ok(())
    }

    /// Follows a run to its end, doing the work where nobody else does.
    pub(super) fn follow(
        &self,
        installation: &Installation,
        key: &str,
        output: Output,
    ) -> Result<Found, Failure> {
        let mut shown = Progress::new();
        let look = || -> Result<Run, Failure> {
            let run = self.store().read::<_, StoreError>(|tx| runs::get(tx, installation.id, key))?;
            run.ok_or_else(|| Failure::problem("run-cancelled", "the run was given up", ""))
        };
        let run = loop {
            let run = look()?;
            shown.show(&run, self.now());
            if run.is_over() {
                break run;
            }
            if let By::Us(units) = &self.by
                && let Some(full) = units.held_back(installation.id)?
            {
                return Err(Failure::problem(full.code(), full.message(), full.remedy()));
            }
            self.go_on(Units::step)?;
        };
        let report = shown.finish(&run);
        if !output.json(&report)? {
            self.print(&report, installation)?;
        }
        Ok(Found::problems_if(run.result.as_deref() != Some("complete")))
    }

    fn print(&self, report: &Report, installation: &Installation) -> Result<(), Failure> {
        let run = &report.run;
        let result = run.result.as_deref().unwrap_or("-");
        let seconds = Duration::from_secs_f64(report.seconds.max(0.0));
        println!(
            "{}: {result}, {} records and {} rejects on {} pages in {}, {:.0} records a second",
            safe(&run.resource),
            count(run.records),
            count(run.rejects),
            count(run.pages),
            span(seconds),
            report.records_per_second
        );
        if let Some(code) = &run.code {
            println!("  {}", safe(code));
            let letter = self.store().read::<_, StoreError>(|tx| {
                crate::operate::dead_letters::of_resource(tx, installation.id, &run.resource)
            })?;
            if let Some((message, remedy)) = letter {
                println!("  {}\n  -> {}", safe(&message), safe(&remedy));
            }
        }
        if self.is_ours() {
            println!("What it calls for at Brevo is delivered by `harness serve`.");
        }
        Ok(())
    }
}

/// The resources of an installation that can be read.
pub(super) fn resource<'a>(installation: &'a Installation, name: &str) -> Result<&'a str, Failure> {
    let readable = |mode: SyncMode| mode != SyncMode::Check;
    let all: Vec<&String> = installation
        .profile
        .resources
        .iter()
        .filter(|spec| readable(spec.mode))
        .map(|spec| &spec.name)
        .collect();
    let found = all.iter().find(|known| **known == name);
    found.map(|name| name.as_str()).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|name| name.as_str()).collect();
        let remedy = if names.is_empty() {
            "The settings have none; `harness discover` shows what the connector could read.".to_owned()
        } else {
            format!("Choose one of: {}", names.join(", "))
        };
        Failure::usage("unknown-resource", format!("there is no resource `{name}` to read"), remedy)
    })
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    run: Run,
    /// Real time that this command watched the run.
    seconds: f64,
    records_per_second: f64,
}

/// The run on a terminal, or a line now and then.
struct Progress {
    bar: ProgressBar,
    began: Instant,
    first: Option<Run>,
    line: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
        let bar = ProgressBar::with_draw_target(Some(1_000_000), ProgressDrawTarget::stderr());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, began: Instant::now(), first: None, line: None }
    }

    fn show(&mut self, run: &Run, now: Millis) {
        let first = self.first.get_or_insert_with(|| run.clone());
        let elapsed = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = (run.records - first.records).max(0) as f64 / elapsed;
        let mut text = format!("{} records, {rate:.0} a second", count(run.records));
        let (done, before) = (run.progress.unwrap_or(0), first.progress.unwrap_or(0));
        if done > before && done < 1_000_000 {
            let left = (1_000_000 - done) as f64 * elapsed / (done - before) as f64;
            text.push_str(&format!(", about {} left", span(Duration::from_secs_f64(left))));
        }
        if let (Some("failed"), Some(due)) = (run.result.as_deref(), run.due_at) {
            let code = run.code.as_deref().unwrap_or_default();
            text =
                format!("{} records; {}, tried again {}", count(run.records), safe(code), relative(due, now));
        }
        self.bar.set_position(done.unsigned_abs());
        self.bar.set_message(text.clone());
        if self.bar.is_hidden() && self.line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.line = Some(Instant::now());
            eprintln!("{}: {} %, {text}", safe(&run.resource), done / 10_000);
        }
    }

    fn finish(self, run: &Run) -> Report {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let before = self.first.map_or(0, |first| first.records);
        let records_per_second = (run.records - before).max(0) as f64 / seconds.max(0.001);
        Report { run: run.clone(), seconds, records_per_second }
    }
}
