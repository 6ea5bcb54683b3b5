//! A connector's declarations as Markdown tables, for its page in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::contract::{AttributeType, Nature, Profile, ResourceSpec, SyncMode};
use crate::manifest::digest::{Encoding, Method, Part, PathPart};
use crate::manifest::{Auth, Endpoint, Manifest, OriginPart, Text, Variable};

/// Values of a variable that get a row of their own; a longer list is printed as one.
const ROWS_OF_HOSTS: usize = 12;

/// A titled table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Stable, `lower-kebab-case`: a page names a section by it.
    pub name: &'static str,
    /// The table.
    pub text: String,
}

/// Every table: what the profile declares and what the manifest grants. The same input gives the
/// same text.
pub fn sections(profile: &Profile, manifest: &Manifest) -> Vec<Section> {
    vec![
        Section { name: "hosts", text: hosts(manifest) },
        Section { name: "endpoints", text: endpoints(manifest) },
        Section { name: "secrets", text: secrets(profile, manifest) },
        Section { name: "checks", text: checks(profile) },
        Section { name: "resources", text: resources(profile) },
        Section { name: "reading", text: reading(profile) },
        Section { name: "rates", text: rates(profile) },
        Section { name: "surfaces", text: surfaces(profile, manifest) },
        Section { name: "repetition", text: repetition(profile) },
        Section { name: "records", text: records(profile) },
        Section { name: "targets", text: targets(profile) },
    ]
}

/// A table, without the lines that a cell may hold and with its bars escaped.
struct Table(String);

impl Table {
    fn new(header: &[&str]) -> Self {
        let rule = vec!["---"; header.len()].join(" | ");
        Self(format!("| {} |\n| {rule} |\n", header.join(" | ")))
    }

    fn row(&mut self, cells: &[String]) {
        let plain = |cell: &String| match cell.trim().is_empty() {
            true => "none".to_owned(),
            false => cell.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"),
        };
        let _ = writeln!(self.0, "| {} |", cells.iter().map(plain).collect::<Vec<_>>().join(" | "));
    }
}

fn code(text: impl std::fmt::Display) -> String {
    format!("`{text}`")
}

fn codes<T: std::fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

fn origin(endpoint: &Endpoint) -> Option<String> {
    let part = |part: &OriginPart| match part {
        OriginPart::Literal(text) => text.clone(),
        OriginPart::Variable(name) => format!("{{{name}}}"),
    };
    Some(endpoint.origin.as_ref()?.0.iter().map(part).collect())
}

/// Hosts of each value of a variable that is shared by a few of them.
fn hosts(manifest: &Manifest) -> String {
    let mut by_variable: BTreeMap<(&str, &[String]), BTreeSet<String>> = BTreeMap::new();
    let mut fixed: BTreeSet<String> = BTreeSet::new();
    for endpoint in manifest.endpoints.values() {
        let Some(origin) = origin(endpoint) else { continue };
        match endpoint.variables.iter().next() {
            Some((name, Variable::Enum(values))) => {
                by_variable.entry((name, values)).or_default().insert(origin);
            }
            _ => drop(fixed.insert(origin)),
        }
    }
    let mut all = Vec::new();
    for ((name, values), origins) in &by_variable {
        let mut header = vec![code(name)];
        header.extend(origins.iter().map(|_| "host".to_owned()));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        if values.len() <= ROWS_OF_HOSTS {
            let mut table = Table::new(&header);
            for value in *values {
                let filled = |origin: &String| code(origin.replace(&format!("{{{name}}}"), value));
                let cells: Vec<String> =
                    [code(value)].into_iter().chain(origins.iter().map(filled)).collect();
                table.row(&cells);
            }
            all.push(table.0);
        } else {
            let mut table = Table::new(&["host", "values"]);
            for origin in origins {
                table.row(&[code(origin), codes(values.iter())]);
            }
            all.push(table.0);
        }
    }
    if !fixed.is_empty() {
        let mut table = Table::new(&["host"]);
        fixed.iter().for_each(|origin| table.row(&[code(origin)]));
        all.push(table.0);
    }
    all.join("\n")
}

fn endpoints(manifest: &Manifest) -> String {
    let mut table = Table::new(&["endpoint", "base URL", "calls", "credential", "why"]);
    for (name, endpoint) in &manifest.endpoints {
        let calls = endpoint.methods.iter().flat_map(|method| {
            endpoint.paths.iter().map(move |path| {
                let path: String = path.iter().map(|segment| format!("/{segment}")).collect();
                let path = if path.is_empty() { "/" } else { &path };
                code(format!("{method} {path}"))
            })
        });
        table.row(&[
            code(name),
            origin(endpoint).map_or_else(|| "the operator's, under `endpoints`".to_owned(), code),
            calls.collect::<Vec<_>>().join(", "),
            proof(&endpoint.auth),
            endpoint.purpose.clone(),
        ]);
    }
    table.0
}

/// How a request proves who sent it, in words.
fn proof(auth: &Auth) -> String {
    let text = |text: &Text| match text {
        Text::Setting(path) => code(path),
        Text::Literal(literal) => format!("\"{}\"", literal.literal),
    };
    match auth {
        Auth::Basic { user, slot } => format!("Basic, user {}, secret {}", text(user), code(slot)),
        Auth::Header { name, slot } => format!("header {}, secret {}", text(name), code(slot)),
        Auth::Bearer { slot } => format!("Bearer, secret {}", code(slot)),
        Auth::AwsSigv4 { access_key, slot, region, service } => format!(
            "AWS Signature 4 for {service}, key {}, secret {}, region {}",
            text(access_key),
            code(slot),
            text(region)
        ),
        Auth::Digest(digest) => {
            let parts = digest.parts.iter().map(|part| match part {
                Part::Literal(text) => format!("\"{text}\""),
                Part::Slot => format!("secret {}", code(&digest.slot)),
                Part::Body => "raw body".to_owned(),
                Part::Path(PathPart::Last) => "last segment of the path".to_owned(),
                Part::Path(_) => "path".to_owned(),
                Part::Setting(path) => code(path),
            });
            let method = match digest.method {
                Method::Hash => "SHA-256".to_owned(),
                Method::Hmac => format!("HMAC-SHA-256 by secret {}", code(&digest.slot)),
            };
            let encoding = match digest.encoding {
                Encoding::Hex => "hexadecimal",
                Encoding::Base64 => "Base64",
            };
            format!(
                "header {}: {method} in {encoding} of {}",
                code(&digest.header),
                parts.collect::<Vec<_>>().join(" + ")
            )
        }
    }
}

fn secrets(profile: &Profile, manifest: &Manifest) -> String {
    let mut table = Table::new(&["slot", "needed", "what it is", "opens"]);
    for slot in &profile.slots {
        let opened = manifest.endpoints.iter().filter(|(_, endpoint)| endpoint.auth.slot() == slot.name);
        let mut opened: Vec<String> = opened.map(|(name, _)| code(name)).collect();
        let proved = profile.surfaces.iter().filter(|surface| {
            manifest.inbound.get(&surface.verification).is_some_and(|auth| auth.slot() == slot.name)
        });
        opened.extend(proved.map(|surface| format!("webhook {}", code(&surface.name))));
        let needed = if slot.required { "always" } else { "for what it opens" };
        table.row(&[code(&slot.name), needed.to_owned(), slot.purpose.clone(), opened.join(", ")]);
    }
    table.0
}

fn checks(profile: &Profile) -> String {
    let mut table = Table::new(&["check", "endpoint", "secret", "rate"]);
    for check in profile.resources.iter().filter(|resource| resource.mode == SyncMode::Check) {
        let slot = check.slot.as_deref().map(code).unwrap_or_default();
        table.row(&[code(&check.name), code(&check.endpoint), slot, windows(check)]);
    }
    table.0
}

fn read(profile: &Profile) -> impl Iterator<Item = &ResourceSpec> {
    profile.resources.iter().filter(|resource| resource.mode != SyncMode::Check)
}

fn resources(profile: &Profile) -> String {
    let mut table = Table::new(&[
        "resource",
        "record",
        "primary key",
        "nature",
        "mode",
        "page",
        "every",
        "endpoint",
        "secret",
    ]);
    for resource in read(profile) {
        let mode = match resource.mode {
            SyncMode::Incremental => "incremental",
            SyncMode::Full | SyncMode::Check => "full",
        };
        let every = match resource.cadence {
            0 => "on request".to_owned(),
            seconds => span(seconds),
        };
        table.row(&[
            code(&resource.name),
            code(&resource.kind),
            codes(&resource.primary_key),
            nature(resource.nature).to_owned(),
            mode.to_owned(),
            resource.page_limit.to_string(),
            every,
            code(&resource.endpoint),
            resource.slot.as_deref().map(code).unwrap_or_default(),
        ]);
    }
    table.0
}

fn reading(profile: &Profile) -> String {
    let mut table = Table::new(&["resource", "cursor strategy", "replay policy"]);
    for resource in read(profile) {
        table.row(&[code(&resource.name), resource.cursor_strategy.clone(), resource.replay_policy.clone()]);
    }
    table.0
}

/// Documented rates; resources that share one share a row.
fn rates(profile: &Profile) -> String {
    let mut by_rate: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in &profile.resources {
        by_rate.entry(windows(resource)).or_default().push(code(&resource.name));
    }
    let mut table = Table::new(&["at most", "each of"]);
    for (rate, names) in by_rate {
        table.row(&[rate, names.join(", ")]);
    }
    table.0
}

fn windows(resource: &ResourceSpec) -> String {
    let window = |calls: u32, seconds: u32| match seconds {
        1 => format!("{calls} a second"),
        60 => format!("{calls} a minute"),
        3_600 => format!("{calls} an hour"),
        86_400 => format!("{calls} a day"),
        _ => format!("{calls} in {}", span(seconds)),
    };
    match resource.rate_windows.is_empty() {
        true => "no documented limit".to_owned(),
        false => {
            let all = resource.rate_windows.iter().map(|one| window(one.calls, one.seconds));
            all.collect::<Vec<_>>().join(", ")
        }
    }
}

fn surfaces(profile: &Profile, manifest: &Manifest) -> String {
    let mut table = Table::new(&["webhook", "records", "proved by", "answer", "largest body"]);
    for surface in &profile.surfaces {
        let auth = manifest.inbound.get(&surface.verification).map(proof).unwrap_or_default();
        let answer = &surface.answer;
        table.row(&[
            code(&surface.name),
            codes(&surface.kinds),
            format!("{}: {auth}", code(&surface.verification)),
            format!("{} {} {}", answer.status, answer.content_type, code(&answer.body)),
            size(surface.body_cap),
        ]);
    }
    table.0
}

fn repetition(profile: &Profile) -> String {
    let mut table =
        Table::new(&["webhook", "what a repeated delivery is known by", "remembered for", "headers read"]);
    for surface in &profile.surfaces {
        table.row(&[
            code(&surface.name),
            surface.dedupe_key.clone(),
            span(surface.replay_window),
            codes(&surface.headers),
        ]);
    }
    table.0
}

/// Kinds of records, where they come from, and the members of their bodies.
fn records(profile: &Profile) -> String {
    let mut kinds: BTreeMap<&str, (BTreeSet<String>, &str)> = BTreeMap::new();
    for resource in read(profile) {
        let (from, schema) = kinds.entry(&resource.kind).or_default();
        from.insert(code(&resource.name));
        *schema = &resource.schema;
    }
    for surface in &profile.surfaces {
        for (kind, own) in &surface.schemas {
            let (from, schema) = kinds.entry(kind).or_default();
            from.insert(format!("webhook {}", code(&surface.name)));
            *schema = own;
        }
    }
    let mut table = Table::new(&["record", "comes by", "members of the body"]);
    for (kind, (from, schema)) in kinds {
        let from: Vec<String> = from.into_iter().collect();
        table.row(&[code(kind), from.join(", "), members(schema)]);
    }
    table.0
}

fn members(schema: &str) -> String {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let names = schema["properties"].as_object();
    codes(names.into_iter().flatten().map(|(name, _)| name))
}

fn targets(profile: &Profile) -> String {
    let mut table = Table::new(&["at Brevo", "name", "kind", "made where it is missing"]);
    for attribute in &profile.targets.attributes {
        let kind = match attribute.kind {
            AttributeType::Text => "text",
            AttributeType::Number => "number",
            AttributeType::Boolean => "boolean",
            AttributeType::Date => "date",
        };
        let made = if attribute.create { "yes" } else { "no, it is Brevo's own" };
        table.row(&["attribute".into(), code(&attribute.name), kind.into(), made.into()]);
    }
    let events = &profile.targets.events;
    if !events.is_empty() {
        table.row(&["events".into(), codes(events), "event".into(), "nothing to make".into()]);
    }
    if let Some(prefix) = &profile.targets.event_prefix {
        table.row(&[
            "events".into(),
            format!("any {}", code(format!("{prefix}*"))),
            "event".into(),
            "nothing to make".into(),
        ]);
    }
    table.0
}

fn nature(nature: Nature) -> &'static str {
    match nature {
        Nature::Event => "event",
        Nature::State => "state",
    }
}

/// In the largest unit that it is a whole number of.
fn span(seconds: u32) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

fn size(bytes: u32) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes / 1_024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}
