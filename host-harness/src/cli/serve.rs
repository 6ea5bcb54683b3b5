//! `harness serve`: the host itself.

use std::time::Duration;

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};

use super::terminal::safe;
use super::{ConfigFile, Failure, Found};
use crate::config::HostConfig;
use crate::connectors::Connector;
use crate::host::{Host, StartError};
use crate::operate::check::settings_problems;
use crate::plugin::ConfigureError;
use crate::store::StoreError;

/// Run the host until it is told to stop (SIGTERM or Ctrl-C)
///
/// SIGHUP reads every secret again; a file that changed is read again by itself.
/// Prints the webhook addresses at the start; their tokens are secrets of the tenants. A stop lets
/// open requests and calls finish; a kill at any moment loses nothing either.
/// Logs go to standard error; HARNESS_LOG is the level: error, warn, info (the default), debug or
/// trace. No level logs a secret or personal data.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    start_log(args.log_format)?;
    no_core_dumps()?;
    let config = args.config.load()?;
    let connectors = Connector::all(&config)?;
    let host = Host::start(&config, &connectors).map_err(|error| not_started(error, &config))?;
    let listening = host.listening().map(|address| address.to_string()).unwrap_or_default();
    println!("Listening at http://{listening}");
    for address in host.addresses() {
        println!(
            "{} / {}: POST http://{listening}{}",
            safe(&address.tenant),
            safe(&address.connector),
            address.path
        );
    }
    let lost = wait(
        &|| {
            tracing::info!("secrets are read again");
            host.reload_secrets();
        },
        &|| host.lost(),
    )?;
    tracing::info!("stopping");
    host.stop();
    tracing::info!("stopped");
    lost.map_or(Ok(Found::Nothing), |lost| Err(lost.into()))
}

/// A core dump would hold every secret that this process knows.
fn no_core_dumps() -> Result<(), Failure> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives as long as the call, which only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Failure::problem(
        "core-dumps",
        format!("core dumps can't be switched off: {error}"),
        "Look at the machine.",
    ))
}

fn start_log(format: LogFormat) -> Result<(), Failure> {
    let level = std::env::var("HARNESS_LOG").unwrap_or_else(|_| "info".to_owned());
    let level: tracing::Level = level.parse().map_err(|_| {
        let remedy = "Set HARNESS_LOG to error, warn, info, debug or trace, or leave it out.";
        Failure::usage("bad-log-level", "HARNESS_LOG is not a level", remedy)
    })?;
    // What other crates log in detail was not written for people's data to pass through.
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,host_harness={level},guest={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// Real time between two looks whether the host can go on.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for SIGTERM or Ctrl-C; a SIGHUP ends the process as usual.
pub(super) fn wait_for_stop() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(no_signals)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

/// Waits for SIGTERM or Ctrl-C, or until the host can't go on, and says why. Does this at every SIGHUP.
fn wait(hang_up: &dyn Fn(), lost: &dyn Fn() -> Option<StoreError>) -> Result<Option<StoreError>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_signals)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut again = signal(SignalKind::hangup()).map_err(no_signals)?;
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(None),
                _ = interrupt.recv() => return Ok(None),
                _ = again.recv() => hang_up(),
                _ = look.tick() => if let Some(lost) = lost() { return Ok(Some(lost)) },
            }
        }
    })
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::problem("no-signals", error.to_string(), "")
}

fn not_started(error: StartError, config: &HostConfig) -> Failure {
    let (code, remedy) = (error.code(), error.remedy());
    if let StartError::Settings { tenant, connector, problems } = &error {
        let found = config.tenants.iter().find(|one| one.name == *tenant);
        let found = found.and_then(|one| one.connectors.iter().find(|one| one.name == *connector));
        if let Some(found) = found {
            let lines: Vec<_> = settings_problems(&ConfigureError::Settings(problems.clone()), found)
                .iter()
                .map(|one| {
                    let line = one.line.map(|line| format!("line {line}, ")).unwrap_or_default();
                    format!("  {line}{}: {}: {} -> {}", one.path, one.code, one.message, one.remedy)
                })
                .collect();
            return Failure::usage(code, format!("{error}\n{}", lines.join("\n")), remedy);
        }
    }
    Failure::usage(code, error.to_string(), remedy)
}
