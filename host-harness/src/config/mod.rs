//! The configuration file: one YAML file in Tajo's own vocabulary, under a list of tenants.
//!
//! `examples/tajo.yaml` shows every key. A file is taken whole or not at all, and every problem
//! is reported at once with its place and its remedy. Secrets are named in the file, read from
//! the environment or from files, and kept in memory only.

mod block;
mod connector;
mod problem;
mod secret;
mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use connector::ConnectorConfig;
pub use problem::{ConfigError, Place, Problem};
pub use secret::{Environment, Slot};

use crate::world::TimeScale;
use block::{Block, Field};
use connector::Reading;
use problem::Problems;
use yaml::{Node, Value, join};

/// Largest file, in bytes.
pub const FILE_CAP: u64 = 1024 * 1024;

/// Largest speed of the host's clock.
const FACTOR_CAP: f64 = 100_000.0;

/// A whole file, read and checked.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Directory of the store; absolute if the file's path was.
    pub data_dir: PathBuf,
    /// Where webhooks come in.
    pub intake: SocketAddr,
    /// Whether the host may talk to loopback and private addresses, over plain HTTP. For tests.
    pub allow_private_addresses: bool,
    /// Speed of the host's clock.
    pub time: TimeScale,
    /// Connectors that the operator adds to those that the host has, by name.
    pub components: BTreeMap<String, ComponentFiles>,
    /// In the order of the file; names are unique.
    pub tenants: Vec<Tenant>,
}

/// A connector that doesn't come with the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFiles {
    /// The WebAssembly component.
    pub component: PathBuf,
    /// What the operator grants it.
    pub manifest: PathBuf,
}

/// What a look at a host's store needs to know. Holds no secret.
#[derive(Clone, Debug)]
pub struct Location {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Speed of the host's clock.
    pub time: TimeScale,
}

/// A customer of the host.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// `[a-z0-9-]{1,64}`
    pub name: String,
    /// Where everything goes.
    pub brevo: Destination,
    /// The enabled ones, in the order of the file.
    pub connectors: Vec<ConnectorConfig>,
}

/// A Brevo account.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Names the account in this host. Tenants with the same name share people, consent, lanes
    /// and rate windows.
    pub account: String,
    /// Brevo's API key.
    pub api_key: Slot,
    /// Instead of Brevo's own; for tests.
    pub base_url: Option<String>,
    /// Decides the rate windows.
    pub plan: Plan,
    /// What happens to a person whose consent is unknown.
    pub unknown_consent: UnknownConsent,
    /// Whether missing attributes may be created at Brevo.
    pub create_attributes: bool,
}

/// Brevo's rate limits by plan (developers.brevo.com, "Rate limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Plan {
    General,
    Advanced,
    Extended,
}

/// What happens to a person who is not at Brevo yet and whose consent is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownConsent {
    /// The contact waits until consent is known.
    Hold,
    /// The tenant consents in writing, by this key, to creating the contact as mailable.
    Create,
}

/// Reads a file. `known` are the connectors that come with this host.
pub fn load(file: &Path, environment: &Environment, known: &[&str]) -> Result<HostConfig, ConfigError> {
    load_with(file, Some(environment), known)
}

/// Reads and checks a file without looking up a secret: for commands that only look at the store.
pub fn locate(file: &Path, known: &[&str]) -> Result<Location, ConfigError> {
    let config = load_with(file, None, known)?;
    Ok(Location { data_dir: config.data_dir, time: config.time })
}

fn load_with(
    file: &Path,
    environment: Option<&Environment>,
    known: &[&str],
) -> Result<HostConfig, ConfigError> {
    let text = read(file).map_err(|problem| ConfigError { file: file.into(), problems: vec![problem] })?;
    let directory = file.parent().unwrap_or(Path::new(""));
    parse_with(&text, directory, environment, known)
        .map_err(|problems| ConfigError { file: file.into(), problems })
}

/// Reads a file's text; paths in it are relative to `directory`.
pub fn parse(
    text: &str,
    directory: &Path,
    environment: &Environment,
    known: &[&str],
) -> Result<HostConfig, Vec<Problem>> {
    parse_with(text, directory, Some(environment), known)
}

fn parse_with(
    text: &str,
    directory: &Path,
    environment: Option<&Environment>,
    known: &[&str],
) -> Result<HostConfig, Vec<Problem>> {
    let mut problems = Problems::default();
    let config = match yaml::parse(text, &mut problems) {
        Some(Node { value: Value::Null, place }) => {
            nothing(place, &mut problems);
            None
        }
        None if problems.is_empty() => {
            nothing(Place { line: 1, column: 1 }, &mut problems);
            None
        }
        None => None,
        Some(root) => {
            let reader = Reader { directory, environment, known };
            reader.root(&Field { node: &root, path: String::new() }, &mut problems)
        }
    };
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.into_sorted()),
    }
}

fn nothing(place: Place, problems: &mut Problems) {
    problems.add("empty-file", place, "", "the file is empty", "start from `examples/tajo.yaml`");
}

fn read(file: &Path) -> Result<String, Problem> {
    use std::io::Read;
    let problem = |code, message: String, remedy: &str| Problem {
        code,
        place: None,
        path: String::new(),
        message,
        remedy: remedy.to_owned(),
    };
    let unreadable = |e: std::io::Error| {
        problem(
            "unreadable-file",
            format!("the file can't be read: {}", e.kind()),
            "check its name and its mode",
        )
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).map_err(unreadable)?;
    file.take(FILE_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_CAP {
        return Err(problem(
            "file-too-large",
            "the file is over 1 MiB".into(),
            "split the tenants over hosts",
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count();
        let mut problem = problem("not-utf8", "the file is not UTF-8".into(), "save it as UTF-8");
        problem.place = Some(Place { line, column: 1 });
        problem
    })
}

struct Reader<'a> {
    directory: &'a Path,
    environment: Option<&'a Environment>,
    known: &'a [&'a str],
}

impl Reader<'_> {
    fn root(&self, field: &Field<'_>, problems: &mut Problems) -> Option<HostConfig> {
        let mut block = Block::open(field, problems)?;
        let host = block.get("host");
        let tenants = block.need("tenants", "[...]", problems);
        block.finish(problems);
        let host = match host {
            Some(host) => self.host(&host, problems).unwrap_or_default(),
            None => Host::default(),
        };
        let tenants = self.tenants(&tenants?, &host, problems);
        Some(HostConfig {
            data_dir: self.directory.join(host.data_dir),
            intake: host.intake,
            allow_private_addresses: host.allow_private,
            time: host.time,
            components: host.components,
            tenants,
        })
    }

    fn host(&self, field: &Field<'_>, problems: &mut Problems) -> Option<Host> {
        let mut host = Host::default();
        let mut block = Block::open(field, problems)?;
        if let Some(flag) = block.get("allow_private_addresses").and_then(|f| f.bool(problems)) {
            host.allow_private = flag;
        }
        if let Some(text) = block.get("data_dir").and_then(|f| f.text(problems)) {
            host.data_dir = PathBuf::from(text);
        }
        let behind_proxy =
            block.get("intake_behind_tls_proxy").and_then(|f| f.bool(problems)).unwrap_or(false);
        if let Some(field) = block.get("intake")
            && let Some(text) = field.text(problems)
        {
            match text.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() || behind_proxy => host.intake = address,
                Ok(_) => field.refuse(
                    "open-intake",
                    "the intake speaks plain HTTP, and this address is not loopback",
                    "listen on 127.0.0.1 behind a proxy that ends TLS; where the proxy is another machine, set `intake_behind_tls_proxy: true`",
                    problems,
                ),
                Err(_) => field.refuse(
                    "bad-address",
                    "this is not an address with a port",
                    "write for instance 127.0.0.1:8787",
                    problems,
                ),
            }
        }
        if let Some(field) = block.get("time") {
            host.time = time(&field, host.allow_private, problems);
        }
        if let Some(field) = block.get("components") {
            host.components = self.components(&field, problems);
        }
        block.finish(problems);
        Some(host)
    }

    fn components(&self, field: &Field<'_>, problems: &mut Problems) -> BTreeMap<String, ComponentFiles> {
        let mut components = BTreeMap::new();
        let Some(block) = Block::open(field, problems) else { return components };
        for (entry, field) in block.entries() {
            if !block::is_name(&entry.key) || self.known.contains(&entry.key.as_str()) {
                let remedy =
                    "use 1 to 64 of a-z, 0-9 and -, and not the name of a connector that the host has";
                field.refuse("bad-name", "a connector can't have this name here", remedy, problems);
                continue;
            }
            let Some(mut files) = Block::open(&field, problems) else { continue };
            let mut path = |key: &'static str, example: &str| {
                let text = files.need(key, example, problems)?.text(problems)?;
                Some(self.directory.join(text))
            };
            let component = path("component", "./pebble.wasm");
            let manifest = path("manifest", "./pebble.json");
            files.finish(problems);
            if let (Some(component), Some(manifest)) = (component, manifest) {
                components.insert(entry.key.clone(), ComponentFiles { component, manifest });
            }
        }
        components
    }

    fn tenants(&self, field: &Field<'_>, host: &Host, problems: &mut Problems) -> Vec<Tenant> {
        let Value::List(nodes) = &field.node.value else {
            field.wrong("a list", "start each tenant with `- name: ...`", problems);
            return Vec::new();
        };
        let mut tenants: Vec<Tenant> = Vec::new();
        let mut names: BTreeMap<String, Place> = BTreeMap::new();
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            let field = Field { node, path: format!("{}[{index}]", field.path) };
            tenants.extend(self.tenant(&field, host, &mut names, &mut accounts, problems));
        }
        if nodes.is_empty() {
            field.refuse("no-tenants", "the list of tenants is empty", "add a tenant", problems);
        }
        tenants
    }

    fn tenant(
        &self,
        field: &Field<'_>,
        host: &Host,
        names: &mut BTreeMap<String, Place>,
        accounts: &mut BTreeMap<String, Account>,
        problems: &mut Problems,
    ) -> Option<Tenant> {
        let mut block = Block::open(field, problems)?;
        let name = block.need("name", "shop-eu", problems);
        let brevo = block.need("brevo", "{ account: ..., api_key: \"${BREVO_API_KEY}\" }", problems);
        let connectors = block.need("connectors", "{ moengage: { ... } }", problems);
        block.finish(problems);
        let name = name.and_then(|field| {
            let name = field.name(problems)?;
            if let Some(first) = names.get(name) {
                let message = format!("the tenant `{name}` is already described on line {}", first.line);
                field.refuse("duplicate-tenant", message, "give each tenant a name of its own", problems);
                return None;
            }
            names.insert(name.to_owned(), field.node.place);
            Some(name.to_owned())
        });
        let brevo = brevo.and_then(|field| self.brevo(&field, host, accounts, problems));
        let connectors = connectors.and_then(|field| self.connectors(&field, host, problems));
        Some(Tenant { name: name?, brevo: brevo?, connectors: connectors? })
    }

    fn brevo(
        &self,
        field: &Field<'_>,
        host: &Host,
        accounts: &mut BTreeMap<String, Account>,
        problems: &mut Problems,
    ) -> Option<Destination> {
        let mut block = Block::open(field, problems)?;
        let account = block.need("account", "shop-eu-main", problems).and_then(|f| f.name(problems));
        let api_key = block.need("api_key", "\"${BREVO_API_KEY}\"", problems);
        let api_key = api_key.and_then(|field| self.secret(&field, problems));
        let base_url = block.get("base_url");
        let plans = [("general", Plan::General), ("advanced", Plan::Advanced), ("extended", Plan::Extended)];
        let plan = block.get("plan").map_or(Some(Plan::General), |f| f.word(&plans, problems));
        let choices = [("hold", UnknownConsent::Hold), ("create", UnknownConsent::Create)];
        let unknown_consent =
            block.get("unknown_consent").map_or(Some(UnknownConsent::Hold), |f| f.word(&choices, problems));
        let create_attributes =
            block.get("create_attributes").map_or(Some(true), |field| field.bool(problems));
        block.finish(problems);
        let base_url = match base_url {
            None => None,
            Some(field) => {
                let text = field.text(problems)?;
                if !host.allow_private {
                    field.refuse(
                        "private-address",
                        "another address than Brevo's is for tests only",
                        "remove it, or set `host.allow_private_addresses: true` on a test machine",
                        problems,
                    );
                    return None;
                }
                if !connector::origin(text, &field, true, problems) {
                    return None;
                }
                Some(text.trim_end_matches('/').to_owned())
            }
        };
        let destination = Destination {
            account: account?.to_owned(),
            api_key: api_key?,
            base_url,
            plan: plan?,
            unknown_consent: unknown_consent?,
            create_attributes: create_attributes?,
        };
        match accounts.get(&destination.account) {
            Some(first) if !first.destination.agrees(&destination) => field.refuse(
                "conflicting-destination",
                format!(
                    "the account `{}` is described differently on line {}",
                    destination.account, first.place.line
                ),
                "tenants that share an account repeat the same block; another account needs another name",
                problems,
            ),
            Some(_) => {}
            None => {
                let first = Account { destination: destination.clone(), place: field.node.place };
                accounts.insert(destination.account.clone(), first);
            }
        }
        Some(destination)
    }

    fn secret(&self, field: &Field<'_>, problems: &mut Problems) -> Option<Slot> {
        let Value::Text(text) = &field.node.value else {
            connector::literal_secret(field, "brevo_api_key", problems);
            return None;
        };
        match secret::reference(text) {
            Ok(Some(reference)) => match secret::resolve(&reference, self.environment, self.directory) {
                Ok(slot) => return Some(slot),
                Err(refusal) => field.refuse(refusal.code, refusal.message, refusal.remedy, problems),
            },
            Ok(None) => connector::literal_secret(field, "brevo_api_key", problems),
            Err(refusal) => field.refuse(refusal.code, refusal.message, refusal.remedy, problems),
        }
        None
    }

    fn connectors(
        &self,
        field: &Field<'_>,
        host: &Host,
        problems: &mut Problems,
    ) -> Option<Vec<ConnectorConfig>> {
        let block = Block::open(field, problems)?;
        let reading = Reading {
            environment: self.environment,
            directory: self.directory,
            allow_private: host.allow_private,
        };
        let added = host.components.keys().map(String::as_str);
        let known: Vec<&str> = self.known.iter().copied().chain(added).collect();
        let mut connectors = Vec::new();
        for (entry, field) in block.entries() {
            if !known.contains(&entry.key.as_str()) {
                connector::unknown(&entry.key, &known, entry.place, &field.path, problems);
                continue;
            }
            let Some(mut inner) = Block::open(&field, problems) else { continue };
            let enabled = inner.get("enabled").map_or(Some(true), |flag| flag.bool(problems));
            // A disabled connector needs no secrets, so its block is not read any further.
            if enabled == Some(true) {
                connectors.extend(connector::read(&entry.key, &field, &reading, problems));
            }
        }
        Some(connectors)
    }
}

struct Account {
    destination: Destination,
    place: Place,
}

impl Destination {
    fn agrees(&self, other: &Self) -> bool {
        self.api_key.same(&other.api_key)
            && self.base_url == other.base_url
            && self.plan == other.plan
            && self.unknown_consent == other.unknown_consent
            && self.create_attributes == other.create_attributes
    }
}

/// The `host` block with its defaults.
struct Host {
    data_dir: PathBuf,
    intake: SocketAddr,
    allow_private: bool,
    time: TimeScale,
    components: BTreeMap<String, ComponentFiles>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./tajo-data"),
            intake: SocketAddr::from(([127, 0, 0, 1], 8787)),
            allow_private: false,
            time: TimeScale::REAL,
            components: BTreeMap::new(),
        }
    }
}

fn time(field: &Field<'_>, allow_private: bool, problems: &mut Problems) -> TimeScale {
    let Some(mut block) = Block::open(field, problems) else { return TimeScale::REAL };
    let factor = block.get("factor");
    let epoch = block.get("epoch");
    block.finish(problems);
    let epoch_ms = epoch.as_ref().and_then(|field| field.number(problems)).map(|epoch| epoch as i64);
    let Some((field, factor)) = factor.and_then(|field| Some((field.clone(), field.number(problems)?)))
    else {
        return TimeScale::REAL;
    };
    if factor == 1.0 {
        return TimeScale::REAL;
    }
    if !(factor > 0.0 && factor <= FACTOR_CAP) {
        field.refuse("bad-factor", "this speed is out of range", "write 1", problems);
    } else if !allow_private {
        // A faster clock runs through the vendors' real rate windows.
        let remedy = "write 1, or set `host.allow_private_addresses: true` on a test machine";
        field.refuse("bad-factor", "another speed than 1 is for tests only", remedy, problems);
    } else if epoch.is_none() {
        let message = "a clock with another speed needs `epoch`, or its date would differ after a restart";
        let remedy = "add `epoch`: milliseconds since 1970 at which both clocks agreed";
        problems.add("missing-key", field.node.place, &join("host.time", "epoch"), message, remedy);
    }
    TimeScale { epoch: epoch_ms.unwrap_or(0), factor }
}
