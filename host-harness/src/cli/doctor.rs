//! `harness doctor`: what of the host's promises holds on this machine?

use serde_json::json;

use super::terminal::{moment, safe};
use super::{ConfigFile, Failure, Found, Output};
use crate::config;
use crate::connectors::BUILT_IN;
use crate::operate::doctor::{self, Asked, Line, State};
use crate::world::{Clock as _, SystemClock};

/// Say what of the host's promises holds on this machine
///
/// Looks at the store, the disk, the clock, limits, versions, secrets, the ways out and in, and what no
/// webhook, read or delivery has shown to work so far, each with what to do about it. Works beside a
/// running host and without one, as the host's user; changes nothing but a probe file in the data
/// directory, which it removes. It connects to every vendor and sends nothing: keys are tried by
/// `harness check`. Limits and variables are those of this command. Exit code 1 where something fails.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Connect to no vendor
    #[arg(long)]
    offline: bool,
    /// Don't read the whole store, which takes about a second for each 500 MB
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let file = &args.config.config;
    let config = config::without_secrets(file, BUILT_IN)?;
    let asked = Asked { file, config: &config, offline: args.offline, quick: args.quick };
    let lines = doctor::examine(&asked);
    let at = SystemClock::new(config.time).now();
    if !args.output.json(&json!({ "at": at, "lines": lines }))? {
        println!("At {}", moment(at));
        print(&lines);
    }
    Ok(Found::problems_if(lines.iter().any(|line| line.state == State::Fails)))
}

fn print(lines: &[Line]) {
    let mut part = "";
    for line in lines {
        if line.part != part {
            part = line.part;
            println!("\n{part}");
        }
        println!("  {:<11}  {}: {}", word(line.state), safe(&line.name), safe(&line.message));
        if let (Some(code), Some(actor), Some(remedy)) = (&line.code, line.actor, &line.remedy) {
            println!("               {}: {actor} -> {}", safe(code), safe(remedy));
        }
    }
    let number = |state| lines.iter().filter(|line| line.state == state).count();
    println!(
        "\n{} hold, {} to look at, {} FAIL, {} that can't be told",
        number(State::Holds),
        number(State::LookAtIt),
        number(State::Fails),
        number(State::CannotTell)
    );
}

fn word(state: State) -> &'static str {
    match state {
        State::Holds => "holds",
        State::LookAtIt => "look at it",
        State::Fails => "FAILS",
        State::CannotTell => "can't tell",
    }
}
