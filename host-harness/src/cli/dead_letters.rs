//! `harness dead-letters`: what a person has to look at, and their word about it.

use serde_json::json;

use super::terminal::{moment, relative, safe, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::operate::dead_letters::{self, Entry, Payload, RequeueError, Selection};
use crate::store::StoreError;
use crate::world::{Clock as _, SystemClock};

/// List, show, requeue and end what a person has to look at
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// List them, oldest first, with who must act and what to do
    List {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        selection: Selected,
        /// Also those that are requeued or resolved
        #[arg(long)]
        closed: bool,
        /// At most this many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        #[command(flatten)]
        output: Output,
    },
    /// Show one of them whole
    Show {
        /// Its number
        id: i64,
        #[command(flatten)]
        config: ConfigFile,
        /// Also what it is about: the raw body, the record or the action. Holds personal data
        #[arg(long)]
        payload: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Try again, under the keys that it always had: nothing is doubled by it
    Requeue {
        /// Their numbers
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<i64>,
        /// All that are open and selected
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        selection: Selected,
        /// You looked at Brevo and it is not there: send it although it may have arrived
        #[arg(long)]
        confirm_resend: bool,
        #[command(flatten)]
        output: Output,
    },
    /// End the actions of dead letters without another call to Brevo
    End {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<i64>,
        #[command(flatten)]
        word: Word,
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        output: Output,
    },
}

/// What an operator knows of an action that is not tried again.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Word {
    /// You looked at Brevo and it is there: it counts as delivered
    #[arg(long)]
    arrived: bool,
    /// It is not to be done any more
    #[arg(long)]
    give_up: bool,
}

#[derive(clap::Args)]
struct Selected {
    /// Only this tenant's
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

impl Selected {
    fn with(&self, closed: bool) -> Selection<'_> {
        Selection { tenant: self.tenant.as_deref(), code: self.code.as_deref(), closed, after: 0 }
    }
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    match &args.order {
        Order::List { config, selection, closed, limit, output } => {
            list(config, selection.with(*closed), *limit, *output)
        }
        Order::Show { id, config, payload, output } => show(*id, config, *payload, *output),
        Order::Requeue { ids, all, config, selection, confirm_resend, output } => {
            let wanted = if *all { Wanted::All(selection) } else { Wanted::These(ids) };
            requeue(&wanted, config, *confirm_resend, *output)
        }
        Order::End { ids, word, config, output } => end(ids, word, config, *output),
    }
}

fn list(
    config: &ConfigFile,
    selection: Selection<'_>,
    limit: usize,
    output: Output,
) -> Result<Found, Failure> {
    let (store, location) = config.attach()?;
    let now = SystemClock::new(location.time).now();
    // One more than shown tells whether there are more.
    let mut found =
        store.read::<_, StoreError>(|tx| dead_letters::list(tx, selection, limit.saturating_add(1)))?;
    let more = found.len() > limit;
    found.truncate(limit);
    if output.json(&json!({ "dead_letters": found, "more": more }))? {
        return Ok(Found::Nothing);
    }
    if found.is_empty() {
        println!("None.");
        return Ok(Found::Nothing);
    }
    let mut rows = table(["id", "tenant", "since", "code", "who", "what happened -> what to do"]);
    for entry in &found {
        let state = if entry.state == "open" { String::new() } else { format!(" ({})", safe(&entry.state)) };
        rows.add_row([
            entry.id.to_string(),
            safe(&entry.tenant),
            relative(entry.at, now),
            format!("{}{state}", safe(&entry.code)),
            safe(&entry.actor),
            format!("{} -> {}", safe(&entry.message), safe(&entry.remedy)),
        ]);
    }
    println!("{rows}");
    if more {
        println!("There are more; raise --limit or narrow it by --tenant and --code.");
    }
    Ok(Found::Nothing)
}

fn show(id: i64, config: &ConfigFile, with_payload: bool, output: Output) -> Result<Found, Failure> {
    let (store, location) = config.attach()?;
    let now = SystemClock::new(location.time).now();
    let Some((entry, payload)) = store.read::<_, StoreError>(|tx| dead_letters::show(tx, id))? else {
        let remedy = "Look the number up with `harness dead-letters list`.";
        return Err(Failure::problem("unknown-dead-letter", format!("there is no dead letter {id}"), remedy));
    };
    let kept = payload.is_some();
    let payload = payload.filter(|_| with_payload);
    if output.json(&json!({ "dead_letter": entry, "payload_kept": kept, "payload": payload }))? {
        return Ok(Found::Nothing);
    }
    print(&entry, now);
    match payload {
        Some(payload) => print_payload(&payload),
        None if kept => println!("payload  kept; --payload shows it (it holds personal data)"),
        None => println!("payload  none is kept"),
    }
    Ok(Found::Nothing)
}

fn print(entry: &Entry, now: i64) {
    println!("id       {} ({})", entry.id, safe(&entry.state));
    println!("whose    {} / {}", safe(&entry.tenant), safe(&entry.connector));
    println!("since    {} ({})", moment(entry.at), relative(entry.at, now));
    println!("stage    {}", safe(&entry.stage));
    println!("code     {}", safe(&entry.code));
    println!("what     {}", safe(&entry.message));
    println!("who      {}", safe(&entry.actor));
    println!("remedy   {}", safe(&entry.remedy));
    if let Some(pointer) = &entry.pointer {
        println!("where    {}", safe(pointer));
    }
    if let Some(at) = entry.closed_at {
        println!("closed   {}", moment(at));
    }
}

fn print_payload(payload: &Payload) {
    match payload {
        Payload::Body { surface, received_at, body } => {
            println!("payload  body of a webhook to {}, {}", safe(surface), moment(*received_at));
            println!("{}", super::terminal::safe_lines(body));
        }
        Payload::Record(record) => {
            println!("payload  record {}", safe(&record.id));
            println!("{}", safe(&record.body));
        }
        Payload::Action { name, state, attempts, subject, payload } => {
            println!("payload  action {} ({state}, {attempts} attempts)", safe(name));
            println!("{}\n{}", safe(subject), safe(payload));
        }
    }
}

enum Wanted<'a> {
    All(&'a Selected),
    These(&'a [i64]),
}

fn requeue(
    wanted: &Wanted<'_>,
    config: &ConfigFile,
    confirm_resend: bool,
    output: Output,
) -> Result<Found, Failure> {
    let (store, location) = config.attach()?;
    let clock = SystemClock::new(location.time);
    let ids = match wanted {
        Wanted::These(ids) => ids.to_vec(),
        Wanted::All(selected) => store
            .read::<_, StoreError>(|tx| dead_letters::list(tx, selected.with(false), usize::MAX))?
            .into_iter()
            .map(|entry| entry.id)
            .collect(),
    };
    let mut results = Vec::new();
    let mut refused = false;
    for id in ids {
        // Each in a transaction of its own, so that a long list doesn't hold up the host.
        let done =
            store.write::<_, RequeueError>(|tx| dead_letters::requeue(tx, id, confirm_resend, clock.now()));
        // A letter about another part of the same webhook was closed by the first.
        let is_all = matches!(wanted, Wanted::All(_));
        let swept = is_all && matches!(&done, Err(error) if error.code() == "already-closed");
        refused |= done.is_err() && !swept;
        results.push(match done {
            Ok(requeued) => json!({ "id": id, "requeued": requeued }),
            Err(_) if swept => json!({ "id": id, "requeued": "webhook" }),
            Err(error) => json!({
                "id": id, "code": error.code(), "message": error.to_string(), "remedy": error.remedy(),
            }),
        });
    }
    print_results(&results, "requeued", output)?;
    Ok(Found::problems_if(refused))
}

fn end(ids: &[i64], word: &Word, config: &ConfigFile, output: Output) -> Result<Found, Failure> {
    let (store, location) = config.attach()?;
    let clock = SystemClock::new(location.time);
    let said = if word.arrived { "arrived" } else { "given up" };
    let mut results = Vec::new();
    let mut refused = false;
    for id in ids {
        let done = store.write::<_, RequeueError>(|tx| dead_letters::end(tx, *id, word.arrived, clock.now()));
        refused |= done.is_err();
        results.push(match done {
            Ok(()) => json!({ "id": id, "ended": said }),
            Err(error) => json!({
                "id": id, "code": error.code(), "message": error.to_string(), "remedy": error.remedy(),
            }),
        });
    }
    print_results(&results, "ended", output)?;
    Ok(Found::problems_if(refused))
}

/// What was done with each, under the key `done`, or why nothing was.
fn print_results(results: &[serde_json::Value], done: &str, output: Output) -> Result<(), Failure> {
    if output.json(&results)? {
        return Ok(());
    }
    if results.is_empty() {
        println!("None is open.");
    }
    for result in results {
        let text = |key: &str| result[key].as_str().map(safe).unwrap_or_default();
        match result.get("code") {
            None => println!("{}: {done} ({})", result["id"], text(done)),
            Some(_) => {
                println!("{}: {}: {} -> {}", result["id"], text("code"), text("message"), text("remedy"))
            }
        }
    }
    Ok(())
}
