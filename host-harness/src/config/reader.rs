//! From the tree of a file to a configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::block::{self, Block, Field};
use super::connector::{self, ConnectorConfig, Reading};
use super::problem::{Place, Problems};
use super::secret::{self, Environment, SealedFile, Slot};
use super::yaml::{Value, join};
use super::{ComponentFiles, Destination, HostConfig, Plan, Tenant, UnknownConsent};
use crate::networks::{BadNetwork, Network};
use crate::quotas::Quotas;
use crate::world::TimeScale;

/// Largest speed of the host's clock.
const FACTOR_CAP: f64 = 100_000.0;

/// Reads the tree of a file into a configuration; every problem is collected.
pub(super) struct Reader<'a> {
    pub(super) directory: &'a Path,
    pub(super) environment: Option<&'a Environment>,
    pub(super) known: &'a [&'a str],
}

impl Reader<'_> {
    pub(super) fn root(&self, field: &Field<'_>, problems: &mut Problems) -> Option<HostConfig> {
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
            trusted_proxies: host.trusted_proxies,
            allow_private_addresses: host.allow_private,
            time: host.time,
            components: host.components,
            tenants,
        })
    }

    /// Only where the sealed secrets are.
    pub(super) fn sealed(&self, field: &Field<'_>, problems: &mut Problems) -> Option<SealedFile> {
        let mut block = Block::open(field, problems)?;
        let host = block.get("host")?;
        self.host(&host, problems)?.sealed
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
        if let Some(field) = block.get("intake_trusted_proxies") {
            host.trusted_proxies = proxies(&field, problems);
        }
        if let Some(field) = block.get("time") {
            host.time = time(&field, host.allow_private, problems);
        }
        let secrets = block.get("secrets").and_then(|field| field.text(problems));
        let key = block.get("secrets_key");
        host.sealed = secrets.and_then(|file| self.sealed_file(file, &block, key.as_ref(), problems));
        if let Some(field) = block.get("components") {
            host.components = self.components(&field, problems);
        }
        block.finish(problems);
        Some(host)
    }

    fn sealed_file(
        &self,
        file: &str,
        host: &Block<'_>,
        key: Option<&Field<'_>>,
        problems: &mut Problems,
    ) -> Option<SealedFile> {
        let remedy = "write `secrets_key: \"${file:/path}\"`, in another place than the file of the secrets";
        let Some(field) = key else {
            let path = join(&host.path, "secrets_key");
            problems.add("missing-key", host.place, &path, "`secrets_key` is missing", remedy);
            return None;
        };
        let Value::Text(text) = &field.node.value else {
            connector::literal_secret(field, "secrets_key", problems);
            return None;
        };
        match secret::reference(text) {
            Ok(Some(reference)) => {
                let source = secret::source(&reference, self.directory, None);
                if source.is_none() {
                    let message = "the key of the sealed secrets can't be one of them";
                    field.refuse("sealed-key-inside", message, remedy, problems);
                }
                Some(SealedFile { file: self.directory.join(file), key: source? })
            }
            Ok(None) => {
                connector::literal_secret(field, "secrets_key", problems);
                None
            }
            Err(refusal) => {
                field.refuse(refusal.code, refusal.message, refusal.remedy, problems);
                None
            }
        }
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
        if nodes.len() > Quotas::DEFAULT.tenants {
            let message = format!("a host has at most {} tenants", Quotas::DEFAULT.tenants);
            field.refuse("too-many-tenants", message, "give some of them a host of their own", problems);
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
        let api_key = api_key.and_then(|field| self.secret(&field, host, problems));
        let base_url = block.get("base_url");
        let plans = [("general", Plan::General), ("advanced", Plan::Advanced), ("extended", Plan::Extended)];
        let plan = block.get("plan").map_or(Some(Plan::General), |f| f.word(&plans, problems));
        let choices = [("hold", UnknownConsent::Hold), ("create", UnknownConsent::Create)];
        let unknown_consent =
            block.get("unknown_consent").map_or(Some(UnknownConsent::Hold), |f| f.word(&choices, problems));
        let create_attributes =
            block.get("create_attributes").map_or(Some(true), |field| field.bool(problems));
        let imports_from =
            block.get("imports_from").map_or(Some(IMPORTS_FROM), |field| waiting(&field, problems));
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
            imports_from: imports_from?,
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

    fn secret(&self, field: &Field<'_>, host: &Host, problems: &mut Problems) -> Option<Slot> {
        let Value::Text(text) = &field.node.value else {
            connector::literal_secret(field, "brevo_api_key", problems);
            return None;
        };
        match secret::reference(text) {
            Ok(Some(reference)) => {
                let sealed = host.sealed.as_ref();
                match secret::resolve(&reference, self.environment, self.directory, sealed) {
                    Ok(slot) => return Some(slot),
                    Err(refusal) => field.refuse(refusal.code, refusal.message, refusal.remedy, problems),
                }
            }
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
            sealed: host.sealed.as_ref(),
            allow_private: host.allow_private,
            proxies_declared: !host.trusted_proxies.is_empty(),
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
        if connectors.len() > Quotas::DEFAULT.connectors {
            let message = format!("a tenant has at most {} connectors", Quotas::DEFAULT.connectors);
            field.refuse("too-many-connectors", message, "disable some, or make it two tenants", problems);
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
            && self.imports_from == other.imports_from
    }
}

/// Where the settings don't say it: as `delivery::Policy::import_min` has it.
const IMPORTS_FROM: usize = 1_000;

fn waiting(field: &Field<'_>, problems: &mut Problems) -> Option<usize> {
    let number = field.number(problems)?;
    if number.fract() == 0.0 && (1.0..=1_000_000.0).contains(&number) {
        return Some(number as usize);
    }
    field.refuse("bad-number", "no number of contacts", "write a whole number from 1 to 1000000", problems);
    None
}

/// The `host` block with its defaults.
struct Host {
    data_dir: PathBuf,
    intake: SocketAddr,
    trusted_proxies: Vec<Network>,
    allow_private: bool,
    time: TimeScale,
    components: BTreeMap<String, ComponentFiles>,
    sealed: Option<SealedFile>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./tajo-data"),
            intake: SocketAddr::from(([127, 0, 0, 1], 8787)),
            trusted_proxies: Vec::new(),
            allow_private: false,
            time: TimeScale::REAL,
            components: BTreeMap::new(),
            sealed: None,
        }
    }
}

/// `intake_trusted_proxies`: who may say for whom it speaks.
fn proxies(field: &Field<'_>, problems: &mut Problems) -> Vec<Network> {
    let Value::List(nodes) = &field.node.value else {
        field.wrong("a list of networks", "write for instance `[127.0.0.1, 10.0.0.0/8]`", problems);
        return Vec::new();
    };
    let mut proxies = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let field = Field { node, path: format!("{}[{index}]", field.path) };
        let Some(text) = field.text(problems) else { continue };
        match text.parse::<Network>() {
            Ok(network) => proxies.push(network),
            Err(error) => {
                let remedy = match error {
                    BadNetwork::Unreadable => "write an address or a network, for instance \"10.0.0.0/8\"",
                    BadNetwork::HostBits => "write the first address of the network, or a single address",
                    BadNetwork::Everybody => {
                        "name the proxies alone: whoever is listed here can claim any sender"
                    }
                };
                field.refuse("bad-network", error.to_string(), remedy, problems);
            }
        }
    }
    proxies
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
