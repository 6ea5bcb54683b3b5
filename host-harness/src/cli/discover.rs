//! `harness discover`: what a configuration reads, receives and can cause.

use serde_json::json;

use super::check::print_problem;
use super::terminal::{safe, size, span, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::connectors::{self, Connector, Plugins};
use crate::contract::{AttributeType, Nature, Profile, SyncMode};
use crate::manifest::Manifest;
use crate::operate::check::settings_problems;
use crate::operate::describe;
use crate::plugin::RuntimeOptions;

/// Event names that are printed for people.
const EVENTS_SHOWN: usize = 8;

/// Show what each connector reads, receives and can cause under its settings
///
/// Asks the connector's `configure`; nothing is called at a vendor.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Print Markdown tables, for a connector's page
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let config = args.config.load()?;
    let connectors = Connector::all(&config)?;
    let plugins = Plugins::load(&connectors, RuntimeOptions::default())?;
    let mut found = Found::Nothing;
    let mut all = Vec::new();
    for tenant in &config.tenants {
        if args.tenant.as_ref().is_some_and(|name| *name != tenant.name) {
            continue;
        }
        for connector in &tenant.connectors {
            let Some(plugin) = plugins.get(&connector.name) else { continue };
            match connectors::profile(plugin, connector) {
                Ok(profile) => {
                    match connectors.iter().find(|one| one.manifest.connector == connector.name) {
                        Some(known) if args.markdown => print_markdown(&profile, &known.manifest),
                        _ if args.output.json => (),
                        _ => print(&tenant.name, &profile),
                    }
                    all.push(json!({ "tenant": tenant.name, "profile": *profile }));
                }
                Err(error) => {
                    found = Found::Problems;
                    let problems = settings_problems(&error, connector);
                    if !args.output.json {
                        println!("{} / {}", safe(&tenant.name), safe(&connector.name));
                        problems.iter().for_each(print_problem);
                    }
                    all.push(json!({
                        "tenant": tenant.name, "connector": connector.name, "problems": problems,
                    }));
                }
            }
        }
    }
    args.output.json(&all)?;
    Ok(found)
}

/// A line names each table, so that a page can hold them one by one.
fn print_markdown(profile: &Profile, manifest: &Manifest) {
    for section in describe::sections(profile, manifest) {
        println!("<!-- {} -->\n{}", section.name, section.text);
    }
}

fn print(tenant: &str, profile: &Profile) {
    println!(
        "{} / {} {} (workspace {})\n",
        safe(tenant),
        safe(&profile.connector),
        safe(&profile.version),
        safe(&profile.workspace)
    );
    let mut rows = table(["  pushed to", "records", "proved by", "body up to", "repeated for"]);
    for surface in &profile.surfaces {
        rows.add_row([
            format!("  {}", safe(&surface.name)),
            safe(&surface.kinds.join(", ")),
            safe(&surface.verification),
            size(u64::from(surface.body_cap)),
            span(std::time::Duration::from_secs(surface.replay_window.into())),
        ]);
    }
    println!("{rows}\n");
    let mut rows = table(["  reads", "what", "how", "every", "endpoint", "secret"]);
    for resource in &profile.resources {
        let every = match resource.cadence {
            0 => "on request".to_owned(),
            seconds => span(std::time::Duration::from_secs(seconds.into())),
        };
        let how = match (resource.mode, resource.nature) {
            (SyncMode::Check, _) => "probes a secret".to_owned(),
            (SyncMode::Full, nature) => format!("whole, as {}", nature_name(nature)),
            (SyncMode::Incremental, nature) => format!("from a cursor, as {}", nature_name(nature)),
        };
        rows.add_row([
            format!("  {}", safe(&resource.name)),
            safe(&resource.kind),
            how,
            every,
            safe(&resource.endpoint),
            resource.slot.as_deref().map_or_else(|| "-".into(), safe),
        ]);
    }
    println!("{rows}\n");
    println!("  secrets");
    for slot in &profile.slots {
        let needed = if slot.required { "needed" } else { "optional" };
        println!("    {} ({needed}): {}", safe(&slot.name), safe(&slot.purpose));
    }
    println!("\n  at Brevo");
    let attributes: Vec<_> = profile
        .targets
        .attributes
        .iter()
        .map(|one| format!("{} ({})", safe(&one.name), kind_name(one.kind)))
        .collect();
    println!("    attributes: {}", none_if_empty(&attributes));
    let names = &profile.targets.events;
    let mut events: Vec<_> = names.iter().take(EVENTS_SHOWN).map(|name| safe(name)).collect();
    if names.len() > EVENTS_SHOWN {
        events.push(format!("{} more (--json lists them)", names.len() - EVENTS_SHOWN));
    }
    events.extend(profile.targets.event_prefix.iter().map(|prefix| format!("any {}*", safe(prefix))));
    println!("    events: {}\n", none_if_empty(&events));
}

fn none_if_empty(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn nature_name(nature: Nature) -> &'static str {
    match nature {
        Nature::Event => "events",
        Nature::State => "states",
    }
}

fn kind_name(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::Text => "text",
        AttributeType::Number => "number",
        AttributeType::Boolean => "boolean",
        AttributeType::Date => "date",
    }
}
