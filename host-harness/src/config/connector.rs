//! A block under `connectors`: what the connector gets to see, and which secrets it stands for.
//!
//! This knows no connector. Whatever is written `"${...}"` becomes a slot; the connector sees
//! the slot's name in its place and judges the rest itself in `configure`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::block::Field;
use super::problem::{Place, Problems, suggestion};
use super::secret::{self, Environment, Slot};
use super::yaml::{self, Value, join};

/// Keys of the block that are the host's and not the connector's.
const HOST_KEYS: [&str; 3] = ["enabled", "endpoints", "only_listed_senders"];

const SENDERS: &str = "only_listed_senders";

/// Blocks of Tajo's vocabulary whose keys are the customer's own names, so that a key which
/// looks like a secret's is none.
const FREE_NAMES: [&str; 5] = ["field_mapping", "event_mapping", "lists", "sync", "features"];

/// One enabled connector of a tenant.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// The key under `connectors`.
    pub name: String,
    /// The block as JSON: without the host's own keys, each secret replaced by its slot's name.
    pub settings_json: String,
    /// The secrets, by slot name.
    pub slots: BTreeMap<String, Slot>,
    /// Origins that the operator grants instead of the manifest's, by endpoint name.
    pub endpoints: BTreeMap<String, String>,
    /// Surfaces that take webhooks only from the addresses that the manifest lists.
    pub only_listed_senders: Vec<String>,
    places: BTreeMap<String, Place>,
}

impl ConnectorConfig {
    /// Where a path of the settings (as in a problem that the connector reports) stands in the
    /// file; the nearest key above it where it isn't there.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(*place);
            }
            let end = path.rfind(['.', '['])?;
            path = &path[..end];
        }
    }
}

/// What reading a block needs to know.
pub(super) struct Reading<'a> {
    pub(super) environment: Option<&'a Environment>,
    pub(super) directory: &'a std::path::Path,
    pub(super) sealed: Option<&'a secret::SealedFile>,
    pub(super) allow_private: bool,
    pub(super) proxies_declared: bool,
}

/// Reads the block of an enabled connector.
pub(super) fn read(
    name: &str,
    block: &Field<'_>,
    reading: &Reading<'_>,
    problems: &mut Problems,
) -> Option<ConnectorConfig> {
    let Value::Map(entries) = &block.node.value else {
        block.wrong("a block of keys", "indent the keys of the connector under it", problems);
        return None;
    };
    let mut walk =
        Walk { root: &block.path, reading, slots: BTreeMap::new(), places: BTreeMap::new(), problems };
    walk.places.insert(String::new(), block.node.place);
    let mut settings = Map::new();
    let mut endpoints = BTreeMap::new();
    let mut only_listed_senders = Vec::new();
    for entry in entries {
        let field = Field { node: &entry.value, path: join(&block.path, &entry.key) };
        if entry.key == "endpoints" {
            endpoints = origins(&field, reading.allow_private, walk.problems);
        } else if entry.key == SENDERS {
            walk.places.insert(SENDERS.to_owned(), entry.place);
            only_listed_senders = walk.senders(&field);
        } else if !HOST_KEYS.contains(&entry.key.as_str()) {
            let scope = Scope { key: &entry.key, parent: name, free: is_free(&entry.key) };
            walk.places.insert(entry.key.clone(), entry.place);
            let value = walk.value(&field, &scope);
            settings.insert(entry.key.clone(), value);
        }
    }
    let Walk { slots, places, .. } = walk;
    Some(ConnectorConfig {
        name: name.to_owned(),
        settings_json: Json::Object(settings).to_string(),
        slots: slots.into_iter().map(|(name, (slot, _))| (name, slot)).collect(),
        endpoints,
        only_listed_senders,
        places,
    })
}

/// `endpoints`: name to origin. `*` stands for every endpoint that has an origin in the manifest, is
/// not named and is not signed for a host of its own.
fn origins(field: &Field<'_>, allow_private: bool, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut origins = BTreeMap::new();
    if matches!(field.node.value, Value::Null) {
        return origins;
    }
    let Some(block) = super::block::Block::open(field, problems) else { return origins };
    for (entry, value) in block.entries() {
        let Some(text) = value.text(problems) else { continue };
        if !origin(text, &value, allow_private, problems) {
            continue;
        }
        let path = text.parse::<http::Uri>().ok().and_then(|uri| uri.path_and_query().cloned());
        if path.is_some_and(|path| path.as_str() != "/") {
            value.refuse(
                "origin-with-path",
                "an origin is scheme, host and port, and nothing after it",
                "leave the path out; a folder belongs into the connector's own settings",
                problems,
            );
            continue;
        }
        origins.insert(entry.key.clone(), text.to_owned());
    }
    origins
}

/// Checks `scheme://host[:port]`, with `http` only behind the switch.
pub(super) fn origin(text: &str, field: &Field<'_>, allow_private: bool, problems: &mut Problems) -> bool {
    let parsed: Option<http::Uri> = text.parse().ok();
    let parts = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
    match parts {
        Some(("https", authority)) if !authority.as_str().contains('@') => true,
        Some(("http", authority)) if !authority.as_str().contains('@') => {
            if !allow_private {
                field.refuse(
                    "private-address",
                    "plain http is for tests on loopback only",
                    "use https, or set `host.allow_private_addresses: true` on a test machine",
                    problems,
                );
            }
            allow_private
        }
        _ => {
            field.refuse(
                "bad-origin",
                "this is not an address of a server",
                "write `https://host` without user name",
                problems,
            );
            false
        }
    }
}

/// Where in the block a value stands.
struct Scope<'a> {
    /// The nearest key above the value.
    key: &'a str,
    /// The key above that one.
    parent: &'a str,
    /// Under a block whose keys are the customer's own names.
    free: bool,
}

impl Scope<'_> {
    fn slot(&self) -> &str {
        if self.key == "secret" { self.parent } else { self.key }
    }

    /// Tajo's pages call credentials `api_key`, `api_secret`, `secret_key`, `write_key` and
    /// `webhook_secret` (tajo.io/docs/connectors); `keys` holds nothing else.
    fn holds_secret(&self) -> bool {
        let key = self.key;
        !self.free
            && (matches!(self.parent, "keys" | "secrets")
                || matches!(key, "secret" | "password" | "token" | "apikey")
                || ["_secret", "_password", "_token", "_key"].iter().any(|end| key.ends_with(end)))
    }
}

fn is_free(key: &str) -> bool {
    FREE_NAMES.contains(&key)
}

struct Walk<'a, 'p> {
    root: &'a str,
    reading: &'a Reading<'a>,
    slots: BTreeMap<String, (Slot, Place)>,
    places: BTreeMap<String, Place>,
    problems: &'p mut Problems,
}

impl Walk<'_, '_> {
    /// Names of surfaces. Which ones there are is for the connector's profile to say.
    fn senders(&mut self, field: &Field<'_>) -> Vec<String> {
        let surfaces = match &field.node.value {
            Value::Null => return Vec::new(),
            Value::List(items) => items,
            _ => {
                field.wrong("a list of surfaces", "write for instance `[streams]`", self.problems);
                return Vec::new();
            }
        };
        if !surfaces.is_empty() && !self.reading.proxies_declared {
            field.refuse(
                "proxies-undeclared",
                "the intake is behind a proxy, and nothing says which: every webhook would come from its address",
                "list the proxies under `host.intake_trusted_proxies`, or remove this",
                self.problems,
            );
        }
        let mut names = Vec::new();
        for (index, node) in surfaces.iter().enumerate() {
            let item = Field { node, path: format!("{}[{index}]", field.path) };
            self.remember(&item, node.place);
            names.extend(item.name(self.problems).map(str::to_owned));
        }
        names
    }

    /// Depth is bounded by the YAML reader.
    fn value(&mut self, field: &Field<'_>, scope: &Scope<'_>) -> Json {
        match &field.node.value {
            Value::Null | Value::Broken => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Number(text) if scope.holds_secret() => self.literal(field, scope, text),
            Value::Number(text) => match yaml::number(text) {
                Some(number) => Json::Number(number),
                None => {
                    let (message, remedy) =
                        ("this number would change when it is read", "put it in double quotes");
                    field.refuse("ambiguous-number", message, remedy, self.problems);
                    Json::Null
                }
            },
            Value::Text(text) => self.text(field, scope, text),
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, node) in items.iter().enumerate() {
                    let item = Field { node, path: format!("{}[{index}]", field.path) };
                    self.remember(&item, node.place);
                    list.push(self.value(&item, scope));
                }
                Json::Array(list)
            }
            Value::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let item = Field { node: &entry.value, path: join(&field.path, &entry.key) };
                    let free = scope.free || is_free(&entry.key);
                    let inner = Scope { key: &entry.key, parent: scope.key, free };
                    self.remember(&item, entry.place);
                    map.insert(entry.key.clone(), self.value(&item, &inner));
                }
                Json::Object(map)
            }
        }
    }

    fn remember(&mut self, field: &Field<'_>, place: Place) {
        let path = field.path.strip_prefix(self.root).unwrap_or(&field.path).trim_start_matches('.');
        self.places.insert(path.to_owned(), place);
    }

    fn text(&mut self, field: &Field<'_>, scope: &Scope<'_>, text: &str) -> Json {
        let reference = match secret::reference(text) {
            Ok(Some(reference)) => reference,
            Ok(None) if scope.holds_secret() => return self.literal(field, scope, text),
            Ok(None) => return Json::String(text.to_owned()),
            Err(refusal) => {
                field.refuse(refusal.code, refusal.message, refusal.remedy, self.problems);
                return Json::Null;
            }
        };
        let name = scope.slot();
        if !is_slot(name) {
            let remedy = "use 1 to 64 of a-z, 0-9, _ and - for a key that holds a secret";
            field.refuse("bad-slot", "this key can't name a secret", remedy, self.problems);
            return Json::Null;
        }
        if let Some((_, first)) = self.slots.get(name) {
            let message = format!("the secret `{name}` is already given on line {}", first.line);
            let remedy = "give each secret of a connector a key of its own name";
            field.refuse("duplicate-slot", message, remedy, self.problems);
            return Json::Null;
        }
        let Reading { environment, directory, sealed, .. } = *self.reading;
        match secret::resolve(&reference, environment, directory, sealed) {
            Ok(slot) => {
                self.slots.insert(name.to_owned(), (slot, field.node.place));
            }
            Err(refusal) => field.refuse(refusal.code, refusal.message, refusal.remedy, self.problems),
        }
        Json::String(name.to_owned())
    }

    /// A value stands where a secret belongs. It is never repeated.
    fn literal(&mut self, field: &Field<'_>, scope: &Scope<'_>, text: &str) -> Json {
        if text.is_empty() {
            return Json::String(String::new()); // for the connector to judge
        }
        literal_secret(field, scope.slot(), self.problems);
        Json::Null
    }
}

/// Refuses a secret that stands in the file itself.
pub(super) fn literal_secret(field: &Field<'_>, slot: &str, problems: &mut Problems) {
    let variable: String =
        slot.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    field.refuse(
        "literal-secret",
        "a secret must not stand in this file",
        format!("put it into a variable and write `\"${{{variable}}}\"`; change the secret if others saw this file"),
        problems,
    );
}

fn is_slot(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Refuses a connector that this host doesn't have.
pub(super) fn unknown(name: &str, known: &[&str], place: Place, path: &str, problems: &mut Problems) {
    let remedy = match suggestion(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("this host has: {}", known.join(", ")),
    };
    let message = format!("this host has no connector `{}`", super::problem::shown(name));
    problems.add("unknown-connector", place, path, message, remedy);
}
