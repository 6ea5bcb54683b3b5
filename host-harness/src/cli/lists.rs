//! `harness lists`: lists at Brevo, and the words that only an operator can give.

use clap::Subcommand;
use serde_json::json;

use super::terminal::{count, relative, safe, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::operate::lists::{self, Allowed, ListError, ListStatus};
use crate::store::{Store, StoreError};
use crate::world::{Clock as _, Millis, SystemClock};

/// Show the lists at Brevo, and give the words that only a person can give
///
/// Without an order: every list with how many people are to be in it (members), are proven to be in
/// it at Brevo (delivered), are on their way (waiting), held, or absent from the new generation.
/// Reads the store beside a running host, or after it; needs no secret.
/// Exit code 1 where a list waits for a word.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    shown: Shown,
}

#[derive(clap::Args)]
struct Shown {
    /// The configuration of the host; examples/tajo.yaml explains every key
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Order {
    /// Begin a new generation, before everybody is sent again
    ///
    /// Say this first, and let the source send everybody ("resync all") afterwards: a run that began
    /// before this word counts as the old generation. Whatever comes from now on fills the new
    /// generation beside the old one; nobody is removed, and joins of people who were no members are
    /// held unless the list is inert. Where several syncs or tenants feed the list, all of them have
    /// to be sent in full.
    Resync(Which),
    /// Say that the new generation is complete, and what becomes of held joins
    ///
    /// Whoever is a member and was not spoken of in the new generation leaves the list; the list
    /// keeps its number, and everybody else stays in it throughout. At most 100 people, or a
    /// twentieth of the members where that is more, may be absent; with more nothing is done at all.
    /// Nothing is done either while webhooks are queued, or where something that came since the
    /// generation began was put aside: it may be part of the run.
    ///
    /// Joins of a first or full run are held because each may start an automation at Brevo, for
    /// people who may have been in the segment for years. --deliver-joins lets them go;
    /// --without-joins says that these people are members but are not added by this run. They stay
    /// members here, so they are added when they leave the segment and come back, or by a later full
    /// run that is confirmed with --deliver-joins.
    Confirm(Confirm),
    /// Drop the new generation: nobody is removed for being absent from it
    ///
    /// Who was added by it stays, and joins that are held stay held until `confirm`.
    Abandon(Which),
    /// Deliver to a stopped list again
    ///
    /// A list that is named and was deleted at Brevo is found by its name or made anew, and gets its
    /// members as in a full run: held until `confirm`, unless the list is inert.
    Resume(Which),
}

#[derive(clap::Args)]
struct Which {
    /// The list: its name, `folder / name`, or Brevo's number
    list: String,
    #[command(flatten)]
    config: ConfigFile,
    /// The Brevo account, where several have such a list
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args)]
struct Confirm {
    #[command(flatten)]
    which: Which,
    /// Add the people whose joins are held; automations at Brevo may start for each of them
    #[arg(long, conflicts_with = "without_joins")]
    deliver_joins: bool,
    /// Don't add them; what starts when somebody joins doesn't start
    #[arg(long)]
    without_joins: bool,
    /// Remove up to that many people who are absent
    #[arg(long, value_name = "N")]
    at_most: Option<usize>,
    /// Go on although webhooks are queued or put aside: none of them is about this list
    #[arg(long)]
    although_incomplete: bool,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    match &args.order {
        None => show(&args.shown),
        Some(Order::Resync(which)) => {
            which.give("resync", |tx, list, now| lists::resync(tx, list, now).map(|()| json!({})))
        }
        Some(Order::Abandon(which)) => {
            which.give("abandon", |tx, list, _| lists::abandon(tx, list).map(|()| json!({})))
        }
        Some(Order::Resume(which)) => which.give("resume", |tx, list, now| {
            lists::resume(tx, list, now).map(|joins| json!({ "joins": joins }))
        }),
        Some(Order::Confirm(confirm)) => {
            let allowed = Allowed {
                deliver_joins: match (confirm.deliver_joins, confirm.without_joins) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                },
                at_most: confirm.at_most,
                although_incomplete: confirm.although_incomplete,
            };
            confirm.which.give("confirm", |tx, list, now| {
                lists::confirm(tx, list, &allowed, now).map(|done| json!(done))
            })
        }
    }
}

impl Which {
    /// Finds the list and gives the word, in one transaction.
    fn give(
        &self,
        order: &str,
        word: impl FnOnce(&rusqlite::Transaction<'_>, i64, Millis) -> Result<serde_json::Value, ListError>,
    ) -> Result<Found, Failure> {
        let (store, location) = self.config.attach()?;
        let now = SystemClock::new(location.time).now();
        let list = self.find(&store)?;
        let done = store
            .write(|tx| word(tx, list.id, now))
            .map_err(|error: ListError| Failure::problem(error.code(), error.to_string(), error.remedy()))?;
        if !self.output.json(&json!({ "list": list.list, "account": list.account, order: done }))? {
            println!("{}: {}", safe(&list.list), said(order, &done));
        }
        Ok(Found::Nothing)
    }

    fn find(&self, store: &Store) -> Result<ListStatus, Failure> {
        let all = store.read::<_, StoreError>(lists::all)?;
        let of_account = |list: &&ListStatus| self.account.as_ref().is_none_or(|name| *name == list.account);
        let by_name = |list: &&ListStatus| {
            list.list == self.list || list.list.rsplit_once(" / ").is_some_and(|(_, name)| name == self.list)
        };
        let by_number = |list: &&ListStatus| list.brevo_id.is_some_and(|id| id.to_string() == self.list);
        let mut found: Vec<&ListStatus> = all.iter().filter(of_account).filter(by_name).collect();
        if found.is_empty() {
            found = all.iter().filter(of_account).filter(by_number).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Failure::usage(
                "unknown-list",
                format!("no record has named a list `{}`", self.list),
                "Look it up with `harness lists`.",
            )),
            several => {
                let names: Vec<String> =
                    several.iter().map(|list| format!("{} ({})", list.list, list.account)).collect();
                Err(Failure::usage(
                    "ambiguous-list",
                    format!("several lists are called that: {}", names.join(", ")),
                    "Write `folder / name`, and choose with --account.",
                ))
            }
        }
    }
}

fn said(order: &str, done: &serde_json::Value) -> String {
    let number = |name: &str| count(done[name].as_i64().unwrap_or(0));
    match order {
        "resync" => "a new generation is being filled; let the source send everybody now".into(),
        "abandon" => "the new generation was dropped".into(),
        "resume" => format!("it is delivered to again; {} joins of its members were made", number("joins")),
        _ => format!(
            "{} people leave, {} joins go to Brevo, {} joins were declined",
            number("removed"),
            number("joins_released"),
            number("joins_declined")
        ),
    }
}

fn show(shown: &Shown) -> Result<Found, Failure> {
    let Some(config) = shown.config.clone() else {
        return Err(Failure::usage(
            "no-config",
            "--config is missing",
            "Name the configuration of the host.",
        ));
    };
    let (store, location) = ConfigFile { config }.attach()?;
    let now = SystemClock::new(location.time).now();
    let all = store.read::<_, StoreError>(lists::all)?;
    let waits = all.iter().any(|list| list.waits_for.is_some());
    if !shown.output.json(&json!({ "lists": all }))? {
        print(&all, now);
    }
    Ok(Found::problems_if(waits))
}

fn print(all: &[ListStatus], now: Millis) {
    if all.is_empty() {
        println!("No record has named a list yet.");
        return;
    }
    let mut rows = table([
        "list",
        "account",
        "at Brevo",
        "members",
        "delivered",
        "waiting",
        "held",
        "absent",
        "last heard",
    ]);
    for list in all {
        let held: Vec<String> =
            list.held.iter().map(|(code, number)| format!("{} {}", count(*number), safe(code))).collect();
        rows.add_row([
            format!("{}{}", safe(&list.list), if list.inert { " (inert)" } else { "" }),
            safe(&list.account),
            list.brevo_id.map_or("-".to_owned(), |id| id.to_string()),
            count(list.members),
            count(list.delivered),
            count(list.waiting),
            if held.is_empty() { "0".to_owned() } else { held.join(", ") },
            list.absent.map_or("-".to_owned(), count),
            relative(list.heard_at, now),
        ]);
    }
    println!("{rows}");
    for list in all {
        if list.parked_or_failed > 0 {
            let number = count(list.parked_or_failed);
            println!(
                "\n{}: {number} joins or leaves wait for a person (`harness dead-letters list`)",
                safe(&list.list)
            );
        }
        let Some(wait) = &list.waits_for else { continue };
        println!("\n{} WAITS for your word", safe(&list.list));
        println!("  {}: {}", safe(&wait.code), safe(&wait.message));
        println!("  -> {}", safe(&wait.remedy));
    }
}
