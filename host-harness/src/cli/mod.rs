//! The `harness` command line: one file for each command.

mod backfill;
mod backup;
mod bench;
mod call;
mod check;
mod dead_letters;
mod demo;
mod discover;
mod doctor;
mod erase;
mod lists;
mod plan;
mod remap;
mod restore;
mod run;
mod secrets;
mod serve;
mod simulate;
mod status;
mod sync;
mod terminal;
mod vendor;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigError, Environment, HostConfig, Location, SecretRefusal};
use crate::connectors::{BUILT_IN, ConnectorError};
use crate::host::STORE_FILE;
use crate::store::{Store, StoreError};
use terminal::safe;

/// The host of Tajo connectors: runs them, keeps their secrets, delivers to Brevo.
#[derive(Parser)]
#[command(
    name = "harness",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 all is well; 1 a problem was found (it is printed, with what to do); \
                  2 the command or the configuration can't be used."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Discover(discover::Args),
    Status(status::Args),
    DeadLetters(dead_letters::Args),
    Lists(lists::Args),
    Erase(erase::Args),
    Sync(sync::Args),
    Backfill(backfill::Args),
    Remap(remap::Args),
    Plan(plan::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Secrets(secrets::Args),
    Call(call::Args),
    Simulate(simulate::Args),
    Bench(bench::Args),
}

impl Command {
    /// Commands that print and end. The others must survive a reader that goes away.
    fn only_prints(&self) -> bool {
        !matches!(
            self,
            Self::Demo(_)
                | Self::Serve(_)
                | Self::Simulate(_)
                | Self::Sync(_)
                | Self::Backfill(_)
                | Self::Remap(_)
                | Self::Plan(_)
                | Self::Backup(_)
                | Self::Restore(_)
        )
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    // A limit on the size of files is an error like a full disk, and no reason to die.
    // SAFETY: no thread runs yet, and ignoring has no preconditions.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    if command.only_prints() {
        // `harness status | head` ends quietly instead of in a panic of `println!`.
        // SAFETY: no thread runs yet, and the default action has no preconditions.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let done = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Discover(args) => discover::run(&args),
        Command::Status(args) => status::run(&args),
        Command::DeadLetters(args) => dead_letters::run(&args),
        Command::Lists(args) => lists::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Sync(args) => sync::run(&args),
        Command::Backfill(args) => backfill::run(&args),
        Command::Remap(args) => remap::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Secrets(args) => secrets::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Bench(args) => bench::run(args),
    };
    match done {
        Ok(Found::Nothing) => ExitCode::SUCCESS,
        Ok(Found::Problems) => ExitCode::from(1),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit)
        }
    }
}

/// What a command that worked has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// They were printed.
    Problems,
}

impl Found {
    fn problems_if(found: bool) -> Self {
        if found { Self::Problems } else { Self::Nothing }
    }
}

/// A command that could not do its work.
struct Failure {
    exit: u8,
    code: String,
    message: String,
    remedy: String,
}

impl Failure {
    /// Something went wrong while it was done.
    fn problem(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit: 1, code: code.into(), message: message.into(), remedy: remedy.into() }
    }

    /// It can't be done as it was asked for.
    fn usage(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit: 2, ..Self::problem(code, message, remedy) }
    }

    fn print(&self) {
        eprintln!("{}: {}", safe(&self.code), terminal::safe_lines(&self.message));
        if !self.remedy.is_empty() {
            eprintln!("-> {}", safe(&self.remedy));
        }
    }
}

impl From<SecretRefusal> for Failure {
    fn from(refusal: SecretRefusal) -> Self {
        Self::usage(refusal.code, refusal.message, refusal.remedy)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage("config", error.to_string(), "")
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::problem(error.code(), error.to_string(), error.remedy())
    }
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::usage(error.code(), error.to_string(), error.remedy())
    }
}

/// The one of that name, or the only one.
fn only<'a, T>(
    all: &'a [T],
    name: Option<&str>,
    what: &str,
    name_of: impl Fn(&T) -> &String,
) -> Result<&'a T, Failure> {
    let found = match (name, all) {
        (Some(name), _) => all.iter().find(|one| name_of(one) == name),
        (None, [one]) => Some(one),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name_of(one).as_str()).collect();
        let message = match name {
            Some(name) => format!("there is no {what} `{name}`"),
            None => format!("it is not clear which {what} is meant"),
        };
        Failure::usage(
            &format!("unknown-{what}"),
            message,
            format!("Choose with --{what}: {}", names.join(", ")),
        )
    })
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration of the host; examples/tajo.yaml explains every key
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    /// Reads everything, secrets too.
    fn load(&self) -> Result<HostConfig, Failure> {
        Ok(config::load(&self.config, &Environment::Process, BUILT_IN)?)
    }

    /// Opens the store beside a host that may be running. Needs no secret.
    fn attach(&self) -> Result<(Store, Location), Failure> {
        let location = config::locate(&self.config, BUILT_IN)?;
        let path = location.data_dir.join(STORE_FILE);
        if !path.exists() {
            return Err(Failure::usage(
                "no-store",
                format!("there is no store at {}", path.display()),
                "Start the host once with `harness serve`.",
            ));
        }
        Ok((Store::attach(&path)?, location))
    }
}

#[derive(Args, Clone, Copy)]
struct Output {
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Prints a value as JSON, where that was asked for.
    fn json<T: serde::Serialize>(self, value: &T) -> Result<bool, Failure> {
        if !self.json {
            return Ok(false);
        }
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::problem("unprintable", error.to_string(), ""))?;
        println!("{text}");
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
