//! `harness status`: whether everything adds up, and who has to act.

use super::terminal::{count, moment, relative, safe, sum, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::operate::status::{DestinationStatus, InstallationStatus, Status};
use crate::store::StoreError;
use crate::store::pauses::KeyPause;
use crate::world::{Clock as _, Millis, SystemClock};

/// Show the sums, queues, pauses and last runs of every tenant
///
/// Reads the store beside a running host, or after it; needs no secret. Every record that was read
/// and every action has exactly one fate: the two sums say so, or that they don't.
/// What waits for a Brevo account is shown by class of work, with what it waits for; `turn` is nothing
/// but its turn. Exit code 1 where a sum doesn't add up, deliveries are paused, or something waits for a
/// person: a dead letter, or a list, a deletion or a restored store for an operator's word.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let (store, location) = args.config.attach()?;
    let now = SystemClock::new(location.time).now();
    let mut status = store.read::<_, StoreError>(|tx| Status::of(tx, now))?;
    if let Some(tenant) = &args.tenant {
        status.installations.retain(|one| one.tenant == *tenant);
        if status.installations.is_empty() {
            let message = format!("the store knows no tenant `{tenant}`");
            return Err(Failure::usage("unknown-tenant", message, "Leave --tenant out to see all."));
        }
        let used = |one: &DestinationStatus| status.installations.iter().any(|i| i.destination == one.name);
        status.destinations.retain(used);
    }
    if !args.output.json(&status)? {
        print(&status);
    }
    Ok(Found::problems_if(!status.is_well()))
}

fn print(status: &Status) {
    println!("At {}", moment(status.at));
    if let Some(doubt) = &status.doubt {
        println!("\nThe store is IN DOUBT: nothing is taken in and nothing is sent");
        println!("  {} ({}): {}", safe(&doubt.code), doubt.actor, doubt.message);
        println!("  -> {}", doubt.remedy);
    }
    if status.installations.is_empty() {
        println!("\nNothing is installed yet; `harness serve` installs what the configuration names.");
    }
    for one in &status.installations {
        println!();
        installation(one, status.at);
    }
    for destination in &status.destinations {
        if let Some(pause) = &destination.pause {
            let until = match pause.until {
                Some(until) => format!("tried again {}", relative(until, status.at)),
                None => "until somebody acts".to_owned(),
            };
            println!("\nDeliveries to the Brevo account {} are PAUSED ({until})", safe(&destination.name));
            println!("  {}: {}", safe(&pause.code), safe(&pause.message));
            println!("  {} -> {}", safe(&pause.actor), safe(&pause.remedy));
        }
        work(destination, status.at);
        for list in &destination.lists {
            let Some(wait) = &list.waits_for else { continue };
            println!("\nThe list {} of {} WAITS for your word", safe(&list.list), safe(&destination.name));
            println!("  {}: {}", safe(&wait.code), safe(&wait.message));
            println!("  operator -> {}", safe(&wait.remedy));
        }
    }
}

/// What is under way to an account, and what waits for it.
fn work(one: &DestinationStatus, now: Millis) {
    if one.import.is_none() && one.unproven_sends == 0 && one.waiting.is_empty() {
        return;
    }
    println!("\nBrevo account {}", safe(&one.name));
    if let Some(import) = &one.import {
        println!(
            "  import    {} contacts, {}, begun {}, goes on {}",
            count(import.contacts as i64),
            import.phase,
            relative(import.begun_at, now),
            relative(import.next_at, now)
        );
    }
    if one.unproven_sends > 0 {
        println!(
            "  parked    {} mails, texts or campaigns that may have been sent (`harness dead-letters list`)",
            count(one.unproven_sends)
        );
    }
    for waiting in &one.waiting {
        let until = waiting.until.map(|at| format!(", {}", relative(at, now))).unwrap_or_default();
        println!(
            "  waiting   {:>8} {} for: {}{until}",
            count(waiting.actions),
            waiting.class,
            safe(&waiting.waits_for)
        );
    }
}

fn installation(one: &InstallationStatus, now: Millis) {
    let sums = &one.sums;
    println!(
        "{} / {} (workspace {}) -> Brevo account {}",
        safe(&one.tenant),
        safe(&one.connector),
        safe(&one.workspace),
        safe(&one.destination)
    );
    let shown = |parts: &std::collections::BTreeMap<String, i64>| {
        parts.iter().map(|(name, number)| (safe(name), *number)).collect::<Vec<_>>()
    };
    println!("  records   {}", sum(sums.read, "read", shown(&sums.fates)));
    println!("  actions   {}", sum(sums.actions, "admitted", shown(&sums.states)));
    println!(
        "  sums      {}",
        if one.adds_up { "both add up" } else { "DO NOT ADD UP: report this as a fault" }
    );
    if !sums.skipped.is_empty() {
        let reasons: Vec<_> =
            shown(&sums.skipped).iter().map(|(name, n)| format!("{} {name}", count(*n))).collect();
        println!("  skipped   {}", reasons.join(", "));
    }
    let waiting = match sums.queued_since {
        Some(since) => format!("{} queued, the oldest came {}", count(sums.queued), relative(since, now)),
        None => "none queued".to_owned(),
    };
    println!("  webhooks  {waiting}, {} put aside", count(sums.put_aside));
    if one.reading_back > 0 {
        println!("  parked    {} of them are read back by themselves", count(one.reading_back));
    }
    if let Some(held) = &one.held_deletions {
        println!(
            "  held      {} deletions wait for your word: {} more than a day may bring, {} outdated (`harness erase held`)",
            count(held.capped + held.outdated),
            count(held.capped),
            count(held.outdated)
        );
    }
    for (name, number) in shown(&sums.notes) {
        println!("  note      {} {name}", count(number));
    }
    if !sums.dead_letters.is_empty() {
        println!("  open dead letters (see `harness dead-letters list`)");
        for (code, number) in shown(&sums.dead_letters) {
            println!("    {:>8} {code}", count(number));
        }
    }
    for full in &one.full {
        println!("  FULL      {}: {}", full.code, full.message);
        println!("    {} -> {}", full.actor, full.remedy);
    }
    for pause in &one.key_pauses {
        key_pause(pause, now);
    }
    if !one.resources.is_empty() {
        let mut rows = table(["  resource", "last run", "result", "next run"]);
        for resource in &one.resources {
            let last = resource.finished_at.map_or("never".to_owned(), |at| relative(at, now));
            let result = match (&resource.result, &resource.code) {
                (Some(result), Some(code)) => format!("{} ({})", safe(result), safe(code)),
                (Some(result), None) => safe(result),
                _ => "-".to_owned(),
            };
            let next = match (resource.running, resource.due_at, &resource.waits_for_key) {
                (true, ..) => "runs now".to_owned(),
                (false, _, Some(slot)) => format!("waits for the key `{}`", safe(slot)),
                (false, Some(at), None) => relative(at, now),
                (false, None, None) => "not by itself".to_owned(),
            };
            rows.add_row([format!("  {}", safe(&resource.name)), last, result, next]);
        }
        println!("{rows}");
    }
}

fn key_pause(pause: &KeyPause, now: Millis) {
    let what = match &pause.scope {
        Some(scope) => format!("the key `{}` lacks the permission {}", safe(&pause.slot), safe(scope)),
        None => format!("the key `{}` is refused", safe(&pause.slot)),
    };
    let resources: Vec<_> = pause.resources.iter().map(|name| safe(name)).collect();
    println!("  PAUSED    {what}, first {}: {}", relative(pause.since, now), resources.join(", "));
    println!("    {}: {}", safe(&pause.code), safe(&pause.message));
    println!("    {} -> {}", safe(&pause.actor), safe(&pause.remedy));
    println!("    tried again {}", relative(pause.retry_at, now));
}
