//! `harness call`: one export of a connector, with input from a file, and what it cost.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::terminal::{count, safe, size, table};
use super::vendor::Vendor;
use super::{ConfigFile, Failure, Found, Output};
use crate::connectors::{self, Connector, Plugins};
use crate::contract::{Cursor, PageRequest, Position, Record, WebhookRequest, http, objects, storage};
use crate::manifest::Manifest;
use crate::pipeline::Verdict;
use crate::plugin::limits::Limits;
use crate::plugin::{ConfigureError, Plugin, RuntimeOptions};
use crate::unit::{Cost, Outcome, Services, Unit, UnitError, Work};
use crate::world::{Clock as _, Millis, SystemClock, TimeScale};

/// Largest input file.
const INPUT_CAP: u64 = 64 * 1024 * 1024;

/// Call one export of a connector and show its result and its cost
///
/// The connector is the one that comes with the host, or the file given with --component. Its
/// settings come from the input, or from a tenant of --config.
#[derive(clap::Args)]
#[command(after_long_help = INPUTS)]
pub(super) struct Args {
    /// Which export
    #[arg(value_enum)]
    export: Export,
    /// The input, JSON (see below); - reads standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Take settings and secrets from a tenant of this configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which tenant; not needed where there is only one
    #[arg(long, value_name = "NAME", requires = "config")]
    tenant: Option<String>,
    /// Which connector of the tenant; not needed where there is only one
    #[arg(long, value_name = "NAME", requires = "config")]
    connector: Option<String>,
    /// Another component, with --manifest
    #[arg(long, value_name = "FILE", requires = "manifest", conflicts_with = "config")]
    component: Option<PathBuf>,
    /// The manifest of --component
    #[arg(long, value_name = "FILE", requires = "component")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

const INPUTS: &str = r#"Input of each export. `settings` is what stands under connectors.<name>, with the slot's name
where a secret stands; leave it out with --config. Times are milliseconds since 1970; `now` and
`received_at` are the present where they are left out.

  configure       the settings themselves
  handle-webhook  {"settings": {...}, "surface": "streams", "body": "...", "headers": {"x": "y"},
                   "received_at": 0}; the body is text, or any other JSON, which is then sent as text
  map-record      {"settings": {...}, "record": {...}, "now": 0}; a record as handle-webhook prints it
  fetch-page      {"settings": {...}, "resource": "...", "position": "start", "budget": 100, "now": 0};
                  a position is "start", {"cursor": {"version": 1, "bytes": [..]}} or
                  {"window": [from, to]}. It calls the vendor only with --config

handle-webhook and fetch-page run as a unit of work does: every record is mapped as well.

Exit codes: 0 a result; 1 the connector answered with a failure, or broke; 2 the input can't be used."#;

#[derive(Clone, Copy, clap::ValueEnum)]
enum Export {
    Configure,
    FetchPage,
    HandleWebhook,
    MapRecord,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookInput {
    settings: Option<Value>,
    surface: String,
    body: Value,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    received_at: Option<Millis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordInput {
    settings: Option<Value>,
    record: Record,
    now: Option<Millis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageInput {
    settings: Option<Value>,
    resource: String,
    #[serde(default)]
    position: PositionInput,
    #[serde(default = "default_budget")]
    budget: u32,
    now: Option<Millis>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum PositionInput {
    #[default]
    Start,
    Cursor(Cursor),
    Window(Millis, Millis),
}

fn default_budget() -> u32 {
    100
}

/// What is called, and under which settings.
struct Target {
    plugin: Plugin,
    settings: Option<String>,
    vendor: Vendor,
    now: Millis,
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    let text = read(args)?;
    crate::json::check(&text).map_err(|fault| bad_input(&format!("the input is no usable JSON: {fault}")))?;
    let target = target(args)?;
    let limits = Limits::DEFAULT;
    let (result, cost) = match args.export {
        Export::Configure => {
            let settings = if args.config.is_some() { target.settings(None)? } else { text };
            configure(&target.plugin, &settings)
        }
        Export::HandleWebhook => {
            let input: WebhookInput = parse(&text)?;
            let settings = target.settings(input.settings)?;
            let body = match input.body {
                Value::String(body) => body,
                other => other.to_string(),
            };
            let received_at = input.received_at.unwrap_or(target.now);
            let request = WebhookRequest {
                settings: settings.clone(),
                surface: input.surface,
                body: body.into_bytes(),
                headers: input.headers.into_iter().collect(),
                received_at,
            };
            target.unit(Unit { settings, now: received_at, work: Work::Webhook(request) }, whole)
        }
        Export::MapRecord => {
            let input: RecordInput = parse(&text)?;
            let settings = target.settings(input.settings)?;
            let now = input.now.unwrap_or(target.now);
            target.unit(Unit { settings, now, work: Work::Map(vec![input.record]) }, mapping)
        }
        Export::FetchPage => {
            let input: PageInput = parse(&text)?;
            let settings = target.settings(input.settings)?;
            let now = input.now.unwrap_or(target.now);
            let request = PageRequest {
                settings: settings.clone(),
                resource: input.resource,
                position: match input.position {
                    PositionInput::Start => Position::Start,
                    PositionInput::Cursor(cursor) => Position::Cursor(cursor),
                    PositionInput::Window(from, to) => Position::Window((from, to)),
                },
                budget: input.budget.max(1),
                now,
            };
            target.unit(Unit { settings, now, work: Work::Page(request) }, whole)
        }
    };
    show(args.output, result, cost, &limits)
}

fn show(
    output: Output,
    result: Result<Value, Value>,
    cost: Option<Cost>,
    limits: &Limits,
) -> Result<Found, Failure> {
    let found = Found::problems_if(result.is_err());
    let mut document = match &result {
        Ok(value) => json!({ "result": value }),
        Err(error) => json!({ "error": error }),
    };
    document["cost"] = json!(cost);
    if output.json(&document)? {
        return Ok(found);
    }
    let (Ok(value) | Err(value)) = &result;
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    println!("{}\n", super::terminal::safe_lines(&text));
    match cost {
        Some(cost) => print_cost(&cost, limits),
        None => println!("The unit ended without a result, so its cost is not known."),
    }
    Ok(found)
}

fn print_cost(cost: &Cost, limits: &Limits) {
    let mut rows = table(["cost", "used", "limit"]);
    let time = |micros: u64| format!("{:.1} ms", micros as f64 / 1_000.0);
    rows.add_row([
        "time, while counting".to_owned(),
        time(cost.wall_us),
        time(limits.wall.as_micros() as u64),
    ]);
    rows.add_row(["memory".to_owned(), size(cost.memory), size(limits.memory as u64)]);
    if let Some(fuel) = cost.fuel {
        rows.add_row(["instructions".to_owned(), count(fuel as i64), "none".to_owned()]);
    }
    let boundary = format!("{} each", size(limits.boundary as u64));
    rows.add_row(["into the guest".to_owned(), size(cost.bytes_in), boundary.clone()]);
    rows.add_row(["out of the guest".to_owned(), size(cost.bytes_out), boundary]);
    rows.add_row([
        "calls to the vendor".to_owned(),
        cost.http_calls.to_string(),
        limits.http_calls.to_string(),
    ]);
    println!("{rows}");
}

impl Target {
    fn settings(&self, given: Option<Value>) -> Result<String, Failure> {
        match (given, &self.settings) {
            (Some(_), Some(_)) => Err(bad_input("settings stand in the input and in --config")),
            (Some(Value::String(text)), None) => Ok(text),
            (Some(value), None) => Ok(value.to_string()),
            (None, Some(settings)) => Ok(settings.clone()),
            (None, None) => Err(bad_input("`settings` is missing")),
        }
    }

    fn unit(&self, unit: Unit, shown: fn(Outcome) -> Value) -> (Result<Value, Value>, Option<Cost>) {
        let resource = match &unit.work {
            Work::Page(request) => request.resource.as_str(),
            _ => "",
        };
        match self.plugin.run(&unit, (self.vendor)(resource)) {
            Ok(outcome) => {
                let cost = outcome.cost;
                let result = match outcome.records.first() {
                    // The one record is what was asked for; its failure is the call's.
                    Some(mapped) if matches!(unit.work, Work::Map(_)) => match &mapped.mapping {
                        Err(error) => Err(typed(error)),
                        Ok(_) => Ok(shown(outcome)),
                    },
                    _ => Ok(shown(outcome)),
                };
                (result, Some(cost))
            }
            Err(error) => (Err(typed(&error)), None),
        }
    }
}

fn configure(plugin: &Plugin, settings: &str) -> (Result<Value, Value>, Option<Cost>) {
    let (result, cost) = plugin.measure_configure(settings);
    let result = match result {
        Ok(profile) => Ok(json!(profile)),
        Err(ConfigureError::Settings(problems)) => {
            Err(json!({ "code": "settings-refused", "actor": "tenant", "problems": problems }))
        }
        Err(ConfigureError::Profile(problems)) => {
            Err(json!({ "code": "profile-refused", "actor": "connector-author", "problems": problems }))
        }
        Err(ConfigureError::Fault { code, message }) => Err(typed(&UnitError::Fault { code, message })),
    };
    (result, Some(cost))
}

/// Everything of the outcome but its cost, which is shown beside it.
fn whole(outcome: Outcome) -> Value {
    let mut value = json!(outcome);
    if let Some(object) = value.as_object_mut() {
        object.remove("cost");
    }
    value
}

fn mapping(outcome: Outcome) -> Value {
    let logs = json!(outcome.logs);
    let mapped = outcome.records.into_iter().next().and_then(|record| record.mapping.ok());
    json!({ "mapping": mapped, "logs": logs })
}

fn typed(error: &UnitError) -> Value {
    let Verdict { code, actor, message, remedy } = Verdict::of(error);
    json!({ "code": code, "actor": actor.as_str(), "message": message, "remedy": remedy })
}

fn bad_input(message: &str) -> Failure {
    Failure::usage("bad-input", message, "See `harness call --help` for the input of each export.")
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| bad_input(&format!("the input is not of this export: {error}")))
}

fn read(args: &Args) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| bad_input(&format!("{} can't be read: {error}", args.input.display()));
    let mut bytes = Vec::new();
    if args.input.as_os_str() == "-" {
        std::io::stdin().take(INPUT_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(&args.input).map_err(unreadable)?;
        file.take(INPUT_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > INPUT_CAP {
        return Err(bad_input("the input is over 64 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| bad_input("the input is not UTF-8"))
}

fn target(args: &Args) -> Result<Target, Failure> {
    let options = RuntimeOptions { fuel: true, ..RuntimeOptions::default() };
    let Some(file) = &args.config else {
        let (connector, name) = match (&args.component, &args.manifest) {
            (Some(component), Some(manifest)) => from_files(component, manifest)?,
            _ => {
                let own = Connector::embedded()?;
                let name = own.manifest.connector.clone();
                (own, name)
            }
        };
        let plugin = loaded(&[connector], &name, options)?;
        let now = SystemClock::new(TimeScale::REAL).now();
        return Ok(Target { plugin, settings: None, vendor: alone_always(), now });
    };
    let config = ConfigFile { config: file.clone() }.load()?;
    let tenant = super::only(&config.tenants, args.tenant.as_deref(), "tenant", |one| &one.name)?;
    let connector = super::only(&tenant.connectors, args.connector.as_deref(), "connector", |one| &one.name)?;
    let plugin = loaded(&Connector::all(&config)?, &connector.name, options)?;
    let now = SystemClock::new(config.time).now();
    let settings = Some(connector.settings_json.clone());
    let vendor = match connectors::profile(&plugin, connector) {
        Ok(profile) => super::vendor::vendor(&config, &tenant.name, connector, &plugin, profile),
        // The call itself says what is wrong with the settings.
        Err(_) => alone_always(),
    };
    Ok(Target { plugin, settings, vendor, now })
}

fn from_files(component: &PathBuf, manifest: &PathBuf) -> Result<(Connector, String), Failure> {
    let unreadable = |path: &PathBuf, error: std::io::Error| {
        Failure::usage("component-unreadable", format!("{} can't be read: {error}", path.display()), "")
    };
    let text = std::fs::read_to_string(manifest).map_err(|error| unreadable(manifest, error))?;
    let component = std::fs::read(component).map_err(|error| unreadable(component, error))?;
    let manifest = Manifest::parse(&text).map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|one| format!("{} at {}: {} -> {}", one.code, one.path, one.message, one.remedy))
            .collect();
        Failure::usage("bad-manifest", lines.join("\n"), "")
    })?;
    let name = manifest.connector.clone();
    Ok((Connector { component, manifest }, name))
}

fn loaded(connectors: &[Connector], name: &str, options: RuntimeOptions) -> Result<Plugin, Failure> {
    let plugins = Plugins::load(connectors, options)?;
    plugins.get(name).cloned().ok_or_else(|| {
        Failure::usage("unknown-connector", format!("there is no connector {}", safe(name)), "")
    })
}

/// A world with nothing in it.
struct Alone;

fn alone_always() -> Vendor {
    Box::new(|_| Arc::new(Alone))
}

impl Services for Alone {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Err(alone())
    }

    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Err(alone())
    }

    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        Err(alone())
    }

    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }

    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }
}

fn alone() -> http::Error {
    http::Error {
        kind: http::ErrorKind::NoSecret,
        code: "no-configuration".into(),
        message: "nothing is called without --config, which names origins and secrets".into(),
        request_sent: false,
        retry_after_ms: None,
    }
}
