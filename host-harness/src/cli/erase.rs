//! `harness erase`: deletes people by an operator's word, and the words about deletions that are held.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde_json::{Value, json};

use super::terminal::{count, safe, table};
use super::{ConfigFile, Failure, Found, Output, only};
use crate::contract::Person;
use crate::operate::erase::{self, AT_MOST, By, EraseError, Whom};
use crate::registry::{DeleteBehavior, DeleteContact};
use crate::store::installations::{self, Installation};
use crate::store::outbox::State;
use crate::store::{Store, StoreError};
use crate::world::{Clock as _, SystemClock};

/// Delete people at Brevo and here, and decide about deletions that are held
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand)]
enum Word {
    /// Delete people at Brevo, softly or for good
    ///
    /// Names are read from a file or from standard input, one on each line, so that they stand neither
    /// in the list of processes nor in a shell's history. Reads the store beside a running host, which
    /// does the work, or without one: then it waits for the next `harness serve`. Needs no secret.
    ///
    /// soft: the contact leaves every list, is marked where --mark says so, and is kept; what happened
    /// before has no effect any more. hard: the contact is deleted at Brevo with its history and the logs
    /// of mails to it, and the person is forgotten here. Only salted hashes stay, so that no replay,
    /// backfill or requeue brings them back, and what their addresses had refused. This can't be undone.
    /// Raw webhooks and records that called for nothing end with their retention (at most 90 days).
    /// Not deleted: what hangs on the contact at Brevo by itself, such as notes, tasks, orders and objects.
    ///
    /// Exit code 1 where a deletion waits for a person.
    People(Order),
    /// Show the deletions that records asked for and that are held
    ///
    /// Records of one connector may have 100 contacts deleted within a day, or a twentieth of the
    /// contacts where that is more; the rest is held, and so is what is older than what is known of
    /// the person since.
    Held {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        output: Output,
    },
    /// Do every deletion that is held for a connector
    Release(Whose),
    /// Never do the deletions that are held for a connector
    Decline(Whose),
    /// Let people who were erased come in again
    ///
    /// Records that name them count from now on, under all names that they had. What their addresses
    /// had refused stays: nobody is written to without an opt-in of their own that is newer.
    Readmit {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        names: Names,
    },
}

#[derive(clap::Args)]
struct Whose {
    #[command(flatten)]
    config: ConfigFile,
    /// Which tenant; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Which connector of the tenant; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args)]
struct Names {
    /// What the names are
    #[arg(long, value_enum)]
    by: ByName,
    /// A file with one name on each line; - reads standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

#[derive(clap::Args)]
struct Order {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    names: Names,
    /// How far it goes
    #[arg(long, value_enum, default_value = "soft")]
    behavior: Behavior,
    /// Attribute that gets the day of a soft deletion; the connector declares it as a date
    #[arg(long, value_name = "ATTRIBUTE")]
    mark: Option<String>,
    /// Delete up to that many people
    #[arg(long, value_name = "N", default_value_t = AT_MOST)]
    at_most: usize,
    /// Don't ask; needed where the names come from standard input
    #[arg(long)]
    yes: bool,
    /// Only order it; don't wait for a running host to do it
    #[arg(long)]
    detach: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ByName {
    ExternalId,
    Email,
    Phone,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Behavior {
    Soft,
    Hard,
}

impl From<ByName> for By {
    fn from(by: ByName) -> Self {
        match by {
            ByName::ExternalId => Self::ExternalId,
            ByName::Email => Self::Email,
            ByName::Phone => Self::Phone,
        }
    }
}

/// Most bytes of names.
const INPUT_CAP: u64 = 1 << 20;
/// Real time that is waited for a running host; what is not done then goes on by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    match &args.word {
        Word::People(order) => delete(order),
        Word::Held { config, output } => show_held(config, *output),
        Word::Release(whose) => settle(whose, true),
        Word::Decline(whose) => settle(whose, false),
        Word::Readmit { whose, names } => readmit(whose, names),
    }
}

impl From<EraseError> for Failure {
    fn from(error: EraseError) -> Self {
        Self::problem(error.code(), error.to_string(), error.remedy())
    }
}

impl Whose {
    fn attach(&self) -> Result<(Store, SystemClock, Installation), Failure> {
        let (store, location) = self.config.attach()?;
        let mut rows = store.read::<_, StoreError>(installations::all)?;
        let mut tenants: Vec<String> = rows.iter().map(|row| row.tenant.clone()).collect();
        tenants.dedup();
        let tenant = only(&tenants, self.tenant.as_deref(), "tenant", |name| name)?.clone();
        rows.retain(|row| row.tenant == tenant);
        let row = only(&rows, self.connector.as_deref(), "connector", |row| &row.connector)?.clone();
        Ok((store, SystemClock::new(location.time), row))
    }
}

impl Names {
    /// The people of the names. What can't be a name is refused without being repeated.
    fn read(&self) -> Result<Vec<Person>, Failure> {
        let text = read(&self.from)?;
        let by = By::from(self.by);
        let mut people = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let name = line.trim();
            if name.is_empty() {
                continue;
            }
            let sound = match by {
                By::ExternalId => true,
                By::Email => name.contains('@'),
                By::Phone => name.chars().filter(char::is_ascii_digit).count() >= 5 && !name.contains('@'),
            };
            if !sound || name.chars().any(char::is_control) {
                return Err(Failure::usage(
                    "bad-name",
                    format!("line {} of the names is not what --by says", number + 1),
                    "Write one name on each line and nothing else.",
                ));
            }
            people.push(by.person(name));
        }
        if people.is_empty() {
            return Err(Failure::usage("no-names", "there are no names", "Write one name on each line."));
        }
        Ok(people)
    }
}

fn read(from: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage("names-unreadable", format!("the names can't be read: {error}"), "")
    };
    let mut bytes = Vec::new();
    if from.as_os_str() == "-" {
        std::io::stdin().take(INPUT_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(from).map_err(unreadable)?;
        file.take(INPUT_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > INPUT_CAP {
        return Err(Failure::usage("names-too-long", "the names are over 1 MiB", "Give them in parts."));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage("names-unreadable", "the names are not UTF-8", ""))
}

fn delete(order: &Order) -> Result<Found, Failure> {
    let people = order.names.read()?;
    let (store, clock, row) = order.whose.attach()?;
    let delete = DeleteContact {
        behavior: match order.behavior {
            Behavior::Soft => DeleteBehavior::Soft,
            Behavior::Hard => DeleteBehavior::Hard,
        },
        mark: order.mark.clone(),
    };
    if order.behavior == Behavior::Hard && order.mark.is_some() {
        return Err(Failure::usage("bad-order", "--mark is of a soft deletion", "Leave it out."));
    }
    let whom = store.read::<_, StoreError>(|tx| erase::look(tx, row.destination, &people))?;
    if !order.yes {
        confirm(order, &row, &whom)?;
    }
    let actions = store
        .write::<_, EraseError>(|tx| erase::order(tx, &row, &people, &delete, order.at_most, clock.now()))?;
    let served = Store::is_in_use(store.path());
    if served && !order.detach {
        wait_for(&store, &actions)?;
    }
    report(order.whose.output, &store, &whom, &actions, served)
}

/// Says what will happen and asks. Names are not shown.
fn confirm(order: &Order, row: &Installation, whom: &[Whom]) -> Result<(), Failure> {
    let of = |one: Whom| whom.iter().filter(|known| **known == one).count();
    let mut text = std::io::stderr();
    let warned = writeln!(
        text,
        "{} people of tenant {}: {} known here, {} unknown, {} erased before.\n{}",
        whom.len(),
        safe(&row.tenant),
        of(Whom::Known),
        of(Whom::Unknown),
        of(Whom::Erased),
        match order.behavior {
            Behavior::Soft => "Their contacts leave every list at Brevo, for every tenant of the account, and are kept.",
            Behavior::Hard => "They are erased at Brevo and in this host, for every tenant of the account. THIS CAN'T BE UNDONE.",
        }
    )
    .and_then(|()| write!(text, "Type yes to go on: ").and_then(|()| text.flush()));
    let unconfirmed = || {
        Failure::usage(
            "not-confirmed",
            "nothing was deleted",
            "Answer yes, or say --yes where nobody can answer.",
        )
    };
    if warned.is_err() || order.names.from.as_os_str() == "-" || !std::io::stdin().is_terminal() {
        return Err(unconfirmed());
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().take(16).read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" { Ok(()) } else { Err(unconfirmed()) }
}

/// Looks on until a running host has done everything, or for a while.
fn wait_for(store: &Store, actions: &[i64]) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && Store::is_in_use(store.path()) {
        let open = stands(store, actions)?
            .iter()
            .any(|(state, _)| matches!(state, State::Waiting | State::InFlight));
        if !open {
            break;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn stands(store: &Store, actions: &[i64]) -> Result<Vec<(State, Option<String>)>, Failure> {
    Ok(store.read::<_, StoreError>(|tx| {
        let mut all = Vec::with_capacity(actions.len());
        for action in actions {
            all.push(erase::stands(tx, *action)?.ok_or(StoreError::Unreadable("action"))?);
        }
        Ok(all)
    })?)
}

fn report(
    output: Output,
    store: &Store,
    whom: &[Whom],
    actions: &[i64],
    served: bool,
) -> Result<Found, Failure> {
    let stands = stands(store, actions)?;
    let stuck = stands.iter().any(|(state, _)| matches!(state, State::Parked | State::Failed));
    let lines: Vec<Value> = whom
        .iter()
        .zip(actions)
        .zip(&stands)
        .enumerate()
        .map(|(at, ((whom, action), (state, code)))| {
            json!({ "name": at + 1, "was": whom, "action": action, "state": state.as_str(), "code": code })
        })
        .collect();
    if output.json(&json!({ "deletions": lines, "host_serves": served }))? {
        return Ok(Found::problems_if(stuck));
    }
    for (at, (state, code)) in stands.iter().enumerate() {
        let what = match (state, code.as_deref()) {
            (State::Delivered, _) => "done".to_owned(),
            (State::Deduplicated, Some("not-at-brevo")) => "done; there was no contact at Brevo".to_owned(),
            (State::Deduplicated, _) => "nothing was left to do at Brevo".to_owned(),
            (State::Waiting | State::InFlight, _) if served => "under way; it goes on by itself".to_owned(),
            (State::Waiting | State::InFlight, _) => "waits for the next `harness serve`".to_owned(),
            (_, code) => {
                format!("{}: {} (`harness dead-letters list`)", state.as_str(), safe(code.unwrap_or("")))
            }
        };
        println!("name {}: {what}", at + 1);
    }
    Ok(Found::problems_if(stuck))
}

fn show_held(config: &ConfigFile, output: Output) -> Result<Found, Failure> {
    let (store, _) = config.attach()?;
    let held = store.read::<_, StoreError>(erase::held)?;
    let found = Found::problems_if(!held.is_empty());
    if output.json(&json!({ "held": held }))? {
        return Ok(found);
    }
    if held.is_empty() {
        println!("None.");
        return Ok(found);
    }
    let mut rows = table(["tenant", "connector", "over the cap", "outdated", "of these for good"]);
    for one in &held {
        rows.add_row([
            safe(&one.tenant),
            safe(&one.connector),
            count(one.capped),
            count(one.outdated),
            count(one.hard),
        ]);
    }
    println!("{rows}");
    println!(
        "-> Look at the source whether it is meant; then `harness erase release` or `harness erase decline`."
    );
    Ok(found)
}

fn settle(whose: &Whose, release: bool) -> Result<Found, Failure> {
    let (store, clock, row) = whose.attach()?;
    let number = store.write::<_, EraseError>(|tx| erase::settle(tx, row.id, release, clock.now()))?;
    let word = if release { "released" } else { "declined" };
    if !whose.output.json(&json!({ "tenant": row.tenant, "connector": row.connector, word: number }))? {
        println!(
            "{} / {}: {} deletions {word}",
            safe(&row.tenant),
            safe(&row.connector),
            count(number as i64)
        );
    }
    Ok(Found::Nothing)
}

fn readmit(whose: &Whose, names: &Names) -> Result<Found, Failure> {
    let people = names.read()?;
    let (store, _, row) = whose.attach()?;
    let found = store.write::<_, StoreError>(|tx| erase::readmit(tx, row.destination, &people))?;
    if !whose.output.json(&json!({ "named": people.len(), "readmitted": found }))? {
        println!("{found} of {} people were erased and may come in again", people.len());
    }
    Ok(Found::Nothing)
}
