//! `harness check`: does this configuration work?

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::terminal::{safe, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::brevo::account::{BASE_URL, Client};
use crate::config::{ConnectorConfig, Destination, HostConfig};
use crate::connectors::{self, Connector, Plugins};
use crate::host::STORE_FILE;
use crate::operate::check::{self, Counted, Probe, Result as Ended, Senders, SettingsProblem};
use crate::plugin::RuntimeOptions;
use crate::plugin::limits::Limits;
use crate::world::Transport;

/// Try a configuration: settings, every secret, every Brevo account
///
/// Each secret is tried by a harmless read, and each ends as verified, refused (with what to do)
/// or cannot-tell (an outage, say). Nothing is changed anywhere. The call to each Brevo account counts
/// in the rate windows of the host, running or not; where no host has kept any, that is said.
/// Exit code 1 unless everything is verified.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Also print the limits that hold every connector
    #[arg(long)]
    limits: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Checked {
    tenant: String,
    connectors: Vec<CheckedConnector>,
    brevo: Probe,
    /// Whether the call to Brevo was counted in the account's rate windows.
    brevo_counted: bool,
}

#[derive(Serialize)]
struct CheckedConnector {
    connector: String,
    /// Empty where `configure` accepts the settings.
    problems: Vec<SettingsProblem>,
    probes: Vec<Probe>,
    /// Whose addresses may send webhooks, by surface.
    senders: Vec<Senders>,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let config = args.config.load()?;
    let plugins = Plugins::load(&Connector::all(&config)?, RuntimeOptions::default())?;
    let world = super::vendor::world(&config);
    let (transport, now) = (world.transport.clone(), world.now());
    let store = config.data_dir.join(STORE_FILE);
    let mut all = Vec::new();
    for tenant in &config.tenants {
        if args.tenant.as_ref().is_none_or(|name| *name == tenant.name) {
            let connectors = tenant
                .connectors
                .iter()
                .map(|connector| check_connector(&config, &tenant.name, connector, &plugins))
                .collect::<Result<_, _>>()?;
            let counted = check::count(&store, &tenant.brevo, now)?;
            let brevo = match counted {
                Counted::Full(_) => check::brevo_is_busy(),
                _ => check::brevo(&client(&config, &tenant.brevo, &transport)),
            };
            let brevo_counted = counted != Counted::NoWindows;
            all.push(Checked { tenant: tenant.name.clone(), connectors, brevo, brevo_counted });
        }
    }
    if let (Some(name), true) = (&args.tenant, all.is_empty()) {
        let message = format!("there is no tenant `{name}`");
        return Err(Failure::usage("unknown-tenant", message, "Leave --tenant out to check all."));
    }
    let limits = Limits::DEFAULT.rows();
    let rows: Vec<_> =
        limits.iter().map(|row| json!({ "what": row.what, "limit": row.limit, "why": row.why })).collect();
    if !args.output.json(&json!({ "tenants": all, "limits": rows }))? {
        all.iter().for_each(print);
        if args.limits {
            let mut shown = table(["limit of a connector", "value", "why"]);
            for row in &limits {
                shown.add_row([row.what, row.limit.as_str(), row.why]);
            }
            println!("{shown}");
        }
    }
    let well = |checked: &Checked| {
        let mut probes = checked.connectors.iter().flat_map(|one| &one.probes).chain([&checked.brevo]);
        checked.connectors.iter().all(|one| one.problems.is_empty())
            && probes.all(|probe| probe.result == Ended::Verified)
    };
    Ok(Found::problems_if(!all.iter().all(well)))
}

fn check_connector(
    config: &HostConfig,
    tenant: &str,
    connector: &ConnectorConfig,
    plugins: &Plugins,
) -> Result<CheckedConnector, Failure> {
    let name = connector.name.clone();
    let Some(plugin) = plugins.get(&name) else {
        return Err(Failure::usage("unknown-connector", format!("this host has no connector {name}"), ""));
    };
    let profile = match connectors::profile(plugin, connector) {
        Ok(profile) => profile,
        Err(error) => {
            let problems = check::settings_problems(&error, connector);
            return Ok(CheckedConnector {
                connector: name,
                problems,
                probes: Vec::new(),
                senders: Vec::new(),
            });
        }
    };
    let now = super::vendor::world(config).now();
    let vendor = super::vendor::vendor(config, tenant, connector, plugin, profile.clone());
    let probes = check::probes(plugin, connector, &profile, &*vendor, now);
    let senders = check::senders(plugin.manifest(), connector, &profile, &config.trusted_proxies);
    Ok(CheckedConnector { connector: name, problems: Vec::new(), probes, senders })
}

fn client(config: &HostConfig, destination: &Destination, transport: &Arc<dyn Transport>) -> Client {
    let key = destination.api_key.current.clone();
    Client::new(
        transport.clone(),
        destination.base_url.as_deref().unwrap_or(BASE_URL),
        Arc::new(move || Some(key.clone())),
        config.allow_private_addresses,
        crate::delivery::Policy::default().deadline,
    )
}

fn print(checked: &Checked) {
    println!("{}", safe(&checked.tenant));
    for connector in &checked.connectors {
        if connector.problems.is_empty() {
            println!("  {}: the settings are accepted", safe(&connector.connector));
        } else {
            println!("  {}: the settings are REFUSED", safe(&connector.connector));
            connector.problems.iter().for_each(print_problem);
        }
        connector.probes.iter().for_each(print_probe);
        connector.senders.iter().for_each(print_senders);
    }
    print_probe(&checked.brevo);
    if !checked.brevo_counted {
        println!("    one call, counted in no rate window: no host of this version has kept any");
    }
    println!();
}

pub(super) fn print_problem(problem: &SettingsProblem) {
    let place = problem.line.map(|line| format!("line {line}, ")).unwrap_or_default();
    println!("    {place}{}: {}", safe(&problem.path), safe(&problem.code));
    println!("      {}", safe(&problem.message));
    println!("      {} -> {}", problem.actor, safe(&problem.remedy));
}

fn print_senders(senders: &Senders) {
    let listed: Vec<_> = senders.listed.iter().map(ToString::to_string).collect();
    let from = if senders.held {
        format!("only from {}, as {} report", listed.join(", "), senders.proxies.join(", "))
    } else {
        "from any address that has the secret".to_owned()
    };
    println!("  webhooks for {}: {from}", safe(&senders.surface));
}

fn print_probe(probe: &Probe) {
    let ended = match probe.result {
        Ended::Verified => "verified",
        Ended::Refused => "REFUSED",
        Ended::CannotTell => "CANNOT TELL",
    };
    let slot = probe.slot.as_deref().map(|slot| format!(" (secret `{}`)", safe(slot))).unwrap_or_default();
    println!("  {}{slot}: {ended}", safe(&probe.name));
    if let (Some(code), Some(message)) = (&probe.code, &probe.message) {
        println!("    {}: {}", safe(code), safe(message));
    }
    if let (Some(actor), Some(remedy)) = (probe.actor, &probe.remedy) {
        println!("    {actor} -> {}", safe(remedy));
    }
}
