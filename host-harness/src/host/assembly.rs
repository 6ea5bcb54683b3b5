//! From a configuration to the parts of a running host.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::{Host, STORE_FILE, StartError, WebhookAddress};
use crate::brevo::account::BASE_URL;
use crate::brevo::windows::Family;
use crate::config::{ConnectorConfig, Destination, HostConfig};
use crate::connectors::{self, Connector, Plugins};
use crate::contract::{Profile, Surface};
use crate::delivery::{Delivery, DestinationOptions};
use crate::egress::spool::Spool;
use crate::egress::{Access, RateStore, rate, transport};
use crate::intake::{
    self, AllowedSenders, Intake, Parts as IntakeParts, Refused, Route, Routes, Verified, Verifier,
};
use crate::manifest::inbound::{self, Presented};
use crate::manifest::{Auth, Manifest};
use crate::networks::Network;
use crate::people::tombstone;
use crate::pipeline::{Installed, Pipeline, Policy, Watch};
use crate::plugin::limits::Limits;
use crate::plugin::{ConfigureError, Plugin, RuntimeOptions};
use crate::quotas::Quotas;
use crate::secrets::{LiveSecrets, SecretSource};
use crate::store::installations::{self, DestinationId, Installation, NewInstallation};
use crate::store::journal::GroupCommit;
use crate::store::{self, Store, StoreError, clock, doubt, jobs};
use crate::world::{Millis, SystemClock, SystemRandom, Transport, World};

/// Slot of Brevo's key, among the secrets of an account.
const API_KEY: &str = "api_key";

/// Everything that the threads share.
pub(crate) struct Parts {
    pub store: Arc<Store>,
    pub world: World,
    pub pipeline: Arc<Pipeline>,
    pub deliveries: Vec<Arc<Delivery>>,
    pub policy: Policy,
    /// Every secret of the configuration.
    pub secrets: Vec<Arc<LiveSecrets>>,
    doors: Vec<Door>,
}

/// An installation's way in.
struct Door {
    row: Installation,
    manifest: Manifest,
    settings: Value,
    secrets: Arc<dyn SecretSource>,
    only_listed_senders: Vec<String>,
}

pub(super) fn assemble(config: &HostConfig, connectors: &[Connector]) -> Result<Parts, StartError> {
    assemble_with(config, connectors, &|installed| installed)
}

/// The same, with something around every installation: benchmarks put clocks there.
pub(crate) fn assemble_with(
    config: &HostConfig,
    connectors: &[Connector],
    around: &dyn Fn(Installed) -> Installed,
) -> Result<Parts, StartError> {
    assemble_for(config, connectors, around, None)
}

/// Makes what stands in Brevo's place for an account.
pub(crate) type InPlaceOfBrevo<'a> =
    dyn Fn(&Destination, &DestinationOptions, &Store) -> Result<Arc<dyn Transport>, StoreError> + 'a;

/// A host that only tries out what it would do.
pub(crate) struct Preview<'a> {
    /// It keeps the rate windows of the account itself.
    pub brevo: &'a InPlaceOfBrevo<'a>,
    /// Percent of a vendor's rate windows that may be used before it stops.
    pub share: u32,
    /// Where calls to vendors are counted; its own store where nothing is given.
    pub rates: Option<Arc<dyn RateStore>>,
    /// Looks on.
    pub watch: Arc<dyn Watch>,
}

/// The same, for a host that only tries out what it would do: on another data directory, which is
/// thrown away afterwards.
pub(crate) fn assemble_for(
    config: &HostConfig,
    connectors: &[Connector],
    around: &dyn Fn(Installed) -> Installed,
    preview: Option<&Preview<'_>>,
) -> Result<Parts, StartError> {
    store::private_directory(&config.data_dir).map_err(|e| StartError::Io("the data directory", e))?;
    let world = World {
        clock: Arc::new(SystemClock::new(config.time)),
        random: Arc::new(SystemRandom),
        transport: transport::network(),
    };
    let store = Arc::new(Store::open(&config.data_dir.join(STORE_FILE))?);
    store.write(|tx| tombstone::ensure_salt(tx, &*world.random))?;
    if preview.is_some() && store.in_doubt()? {
        return Err(StoreError::InDoubt.into());
    }
    enter_doubt(&store, world.now())?;
    if let Some(back) = store.write(|tx| clock::resume(tx, world.now()))? {
        let remedy = "Look at the clock of the machine; what was due is due as if nothing had happened.";
        tracing::warn!(code = "clock-set-back", milliseconds = back, remedy, "the clock was set back");
    }
    let cache = Some(super::code_cache(&config.data_dir));
    let plugins = Plugins::load(connectors, RuntimeOptions { cache, ..RuntimeOptions::default() })?;

    let mut installed = Vec::new();
    let mut doors = Vec::new();
    let mut secrets: Vec<Arc<LiveSecrets>> = Vec::new();
    let mut sources: HashMap<_, Arc<dyn SecretSource>> = HashMap::new();
    let mut accounts: BTreeMap<DestinationId, Account<'_>> = BTreeMap::new();
    for tenant in &config.tenants {
        for connector in &tenant.connectors {
            let plugin = plugins
                .get(&connector.name)
                .ok_or_else(|| StartError::UnknownConnector(tenant.name.clone(), connector.name.clone()))?;
            let profile = profile(plugin, &tenant.name, connector)?;
            let row = store.write(|tx| {
                let new = NewInstallation {
                    tenant: &tenant.name,
                    destination: &tenant.brevo.account,
                    component: &plugin.digest(),
                    settings: &connector.settings_json,
                    profile: &profile,
                };
                let row = installations::install(tx, &new, &*world.random)?;
                jobs::ensure(tx, &row, world.now())?;
                Ok::<_, StoreError>(row)
            })?;
            let account = accounts
                .entry(row.destination)
                .or_insert_with(|| Account { destination: &tenant.brevo, targets: Vec::new() });
            if !same_account(account.destination, &tenant.brevo) {
                return Err(StartError::AccountConflict(tenant.brevo.account.clone()));
            }
            account.targets.push((row.id, profile.targets.clone()));
            let live = Arc::new(connectors::secrets(connector));
            secrets.push(live.clone());
            sources.insert(row.id, live.clone());
            doors.push(Door {
                row: row.clone(),
                manifest: plugin.manifest().clone(),
                settings: serde_json::from_str(&connector.settings_json).unwrap_or(Value::Null),
                secrets: live.clone(),
                only_listed_senders: connector.only_listed_senders.clone(),
            });
            let one = install(config, &world, &store, plugin, connector, row, live, preview)?;
            installed.push(Arc::new(around(one)));
        }
    }
    let mut deliveries = Vec::new();
    for (id, account) in accounts {
        let key = BTreeMap::from([(API_KEY.to_owned(), account.destination.api_key.clone())]);
        let key = Arc::new(LiveSecrets::new(&key));
        secrets.push(key.clone());
        deliveries.push(delivery(config, &world, &store, id, account, key, preview)?);
    }
    let policy = Policy::default();
    let mut pipeline = Pipeline::new(store.clone(), world.clone(), policy, installed).with_secrets(sources);
    if let Some(preview) = preview {
        pipeline = pipeline.watched_by(preview.watch.clone());
    }
    Ok(Parts { store, world, pipeline: Arc::new(pipeline), deliveries, policy, secrets, doors })
}

/// Says that nothing is taken in and nothing sent, and makes sure that nothing is done twice later.
fn enter_doubt(store: &Store, now: Millis) -> Result<(), StoreError> {
    let settle = crate::delivery::millis(crate::delivery::Policy::default().settle);
    if let Some(doubt) = store.write(|tx| doubt::enter(tx, settle, now))? {
        let remedy = StoreError::InDoubt.remedy();
        tracing::error!(code = doubt.code, remedy, "the store is in doubt: nothing is taken in or sent");
    }
    Ok(())
}

fn profile(plugin: &Plugin, tenant: &str, connector: &ConnectorConfig) -> Result<Arc<Profile>, StartError> {
    connectors::profile(plugin, connector).map_err(|error| match error {
        ConfigureError::Settings(problems) | ConfigureError::Profile(problems) => {
            StartError::Settings { tenant: tenant.to_owned(), connector: connector.name.clone(), problems }
        }
        ConfigureError::Fault { .. } => {
            StartError::Guest(tenant.to_owned(), connector.name.clone(), error.to_string())
        }
    })
}

#[allow(clippy::too_many_arguments)] // one call site; the parts have nothing else in common
fn install(
    config: &HostConfig,
    world: &World,
    store: &Arc<Store>,
    plugin: &Plugin,
    connector: &ConnectorConfig,
    row: Installation,
    secrets: Arc<dyn SecretSource>,
    preview: Option<&Preview<'_>>,
) -> Result<Installed, StartError> {
    let spool = Spool::new(&super::spool(&config.data_dir)).with_quota(Quotas::DEFAULT.spool_bytes);
    let access = Arc::new(Access {
        installation: row.key.hex(),
        manifest: plugin.manifest().clone(),
        settings: serde_json::from_str(&connector.settings_json).unwrap_or(Value::Null),
        overrides: connector.endpoints.clone(),
        allow_private: config.allow_private_addresses,
        secrets,
        rates: preview.and_then(|preview| preview.rates.clone()).unwrap_or_else(|| store.clone()),
        spool: Some(spool),
        world: world.clone(),
    });
    let mut limits = rate::shared(&row.profile.resources);
    for window in limits.values_mut().flat_map(|(_, windows)| windows) {
        window.calls = part(window.calls, preview.map_or(100, |preview| preview.share));
    }
    Ok(Installed {
        row,
        settings: connector.settings_json.clone(),
        guest: Arc::new(plugin.clone()),
        outside: Box::new(move |resource| {
            let (counted_as, windows) = limits
                .get(resource)
                .map_or((resource, &[][..]), |(name, windows)| (name.as_str(), windows.as_slice()));
            Arc::new(access.unit(counted_as, windows, Limits::DEFAULT.wall))
        }),
    })
}

/// So many percent of a number of calls, and one at least.
pub(crate) fn part(calls: u32, percent: u32) -> u32 {
    (u64::from(calls) * u64::from(percent) / 100).clamp(1, u64::from(u32::MAX)) as u32
}

/// A Brevo account as the first tenant that uses it describes it.
struct Account<'a> {
    destination: &'a Destination,
    targets: Vec<(installations::InstallationId, crate::contract::Targets)>,
}

fn same_account(one: &Destination, other: &Destination) -> bool {
    one.base_url == other.base_url
        && one.plan == other.plan
        && one.unknown_consent == other.unknown_consent
        && one.create_attributes == other.create_attributes
        && one.imports_from == other.imports_from
}

fn delivery(
    config: &HostConfig,
    world: &World,
    store: &Arc<Store>,
    id: DestinationId,
    account: Account<'_>,
    key: Arc<LiveSecrets>,
    preview: Option<&Preview<'_>>,
) -> Result<Arc<Delivery>, StartError> {
    let mut options = DestinationOptions {
        destination: id,
        base_url: account.destination.base_url.clone().unwrap_or_else(|| BASE_URL.to_owned()),
        api_key: Arc::new(move || key.get(API_KEY).into_iter().next()),
        allow_private: config.allow_private_addresses,
        plan: account.destination.plan,
        limits: BTreeMap::new(),
        unknown_consent: account.destination.unknown_consent,
        create_attributes: account.destination.create_attributes,
        targets: account.targets,
        policy: crate::delivery::Policy {
            import_min: account.destination.imports_from,
            ..crate::delivery::Policy::default()
        },
    };
    let mut world = world.clone();
    if let Some(preview) = preview {
        world.transport = (preview.brevo)(account.destination, &options, store)?;
        // What is not sent needs no window. Events go one by one, so that each has an answer.
        let open = |family| (family, if family == Family::EventsBatch { vec![(0, 3_600)] } else { vec![] });
        options.limits = Family::ALL.into_iter().map(open).collect();
    }
    let delivery = Delivery::new(store.clone(), world, options)?;
    let unknown = delivery.recover()?;
    if unknown > 0 {
        tracing::info!(destination = id.0, unknown, "calls whose outcome is unknown are being looked at");
    }
    Ok(Arc::new(delivery))
}

/// Opens every surface.
pub(crate) fn listen(
    config: &HostConfig,
    parts: &Parts,
) -> Result<(Intake, Vec<WebhookAddress>), StartError> {
    let mut routes = Routes::new();
    let mut addresses = Vec::new();
    for door in &parts.doors {
        for surface in &door.row.profile.surfaces {
            let Some(scheme) = door.manifest.inbound.get(&surface.verification) else {
                continue; // the runtime refuses a profile that names a scheme the manifest lacks
            };
            routes.add(&door.row.intake_token, route(door, surface, scheme.clone(), &config.trusted_proxies));
            addresses.push(WebhookAddress {
                tenant: door.row.tenant.clone(),
                connector: door.row.connector.clone(),
                surface: surface.name.clone(),
                path: intake::path(&door.row.intake_token, &surface.name),
            });
        }
    }
    let intake = Intake::start(IntakeParts {
        address: config.intake,
        routes,
        journal: Arc::new(GroupCommit::new(parts.store.clone())),
        clock: parts.world.clock.clone(),
        options: intake::Options::default(),
    })
    .map_err(|error| StartError::Listen(config.intake, error))?;
    Ok((intake, addresses))
}

fn route(door: &Door, surface: &Surface, scheme: Auth, proxies: &[Network]) -> Route {
    let (settings, secrets) = (door.settings.clone(), door.secrets.clone());
    let needs_body = matches!(scheme, Auth::Digest(_));
    let challenge = match scheme {
        Auth::Basic { .. } => Some("Basic realm=\"webhook\""),
        Auth::Bearer { .. } => Some("Bearer"),
        _ => None,
    };
    let slot = scheme.slot().to_owned();
    let check = move |headers: &http::HeaderMap, body: &[u8]| {
        let live = secrets.get(&slot);
        let presented = Presented { headers, path: &[], body };
        match inbound::verify(&scheme, &presented, &settings, &live) {
            Ok(verified) => Ok(Verified { credential: Some(verified.header) }),
            Err(refused) => Err(Refused { code: refused.code.as_str() }),
        }
    };
    let senders = door.only_listed_senders.contains(&surface.name).then(|| AllowedSenders {
        // The settings were refused where nothing is listed; if they were not, nobody may send.
        listed: connectors::senders(&door.manifest, &door.settings, &surface.name).unwrap_or_default(),
        proxies: proxies.to_vec(),
    });
    Route {
        installation: door.row.id,
        tenant: door.row.tenant.clone(),
        surface: surface.name.clone(),
        verifier: Verifier { needs_body, challenge, check: Box::new(check) },
        senders,
        answer: surface.answer.clone(),
        body_cap: surface.body_cap as usize,
        headers: surface.headers.clone(),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.workers.stop();
    }
}
