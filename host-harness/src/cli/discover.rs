//! `harness discover`: what a configuration reads, receives and can cause.

use serde_json::json;

use super::check::print_problem;
use super::terminal::{safe, size, span, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::connectors::{self, Connector, Plugins};
use crate::contract::{AttributeType, Nature, Profile, SyncMode};
use crate::operate::check::settings_problems;
use crate::plugin::RuntimeOptions;

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
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let config = args.config.load()?;
    let plugins = Plugins::load(&Connector::all(&config)?, RuntimeOptions::default())?;
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
                    if !args.output.json {
                        print(&tenant.name, &profile);
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
    let mut events: Vec<_> = profile.targets.events.iter().map(|name| safe(name)).collect();
    events.extend(profile.targets.event_prefix.iter().map(|prefix| format!("{}...", safe(prefix))));
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
