//! A running host: the store, the runtime, every installation, and the threads that move data.
//!
//! | thread | does |
//! |---|---|
//! | intake's own | verify, make durable, answer |
//! | `units` | run and commit units of work |
//! | `delivery` | one account's actions, in lanes |
//! | `housekeeping` | prune what retention lets go |

mod assembly;
mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::HostConfig;
use crate::contract::Problem;
use crate::intake::Intake;
use crate::manifest::Manifest;
use crate::plugin::{LoadError, RuntimeError};
use crate::store::StoreError;

/// Name of the store's file in the data directory.
pub const STORE_FILE: &str = "host.db";

/// A connector that this host can run.
#[derive(Clone)]
pub struct Connector {
    /// The component.
    pub component: Vec<u8>,
    /// What the operator grants it; its name is the key under `connectors`.
    pub manifest: Manifest,
}

impl Connector {
    /// The connector that the host was built with.
    pub fn embedded() -> Result<Self, StartError> {
        let manifest = Manifest::parse(crate::embedded::MANIFEST)
            .map_err(|error| StartError::Manifest(error.to_string()))?;
        Ok(Self { component: crate::embedded::COMPONENT.to_vec(), manifest })
    }
}

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A component is refused.
    #[error("the connector {0} is refused: {1}")]
    Load(String, LoadError),
    /// A manifest can't be read.
    #[error("the manifest can't be read: {0}")]
    Manifest(String),
    /// A connector refuses its settings, or its profile is refused.
    #[error("tenant {tenant}, connector {connector}: the settings have {} problems", .problems.len())]
    Settings {
        /// Tenant's name.
        tenant: String,
        /// Connector's name.
        connector: String,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// A connector broke while it looked at its settings.
    #[error("tenant {0}, connector {1}: {2}")]
    Guest(String, String, String),
    /// No component is known for a connector.
    #[error("tenant {0}: this host has no connector named {1}")]
    UnknownConnector(String, String),
    /// Two tenants say different things about one Brevo account.
    #[error("the Brevo account {0} is configured twice, and differently")]
    AccountConflict(String),
    /// The listener.
    #[error("webhooks can't be listened for at {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A thread or a directory.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
}

/// Where a tenant's vendor has to push to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WebhookAddress {
    /// Tenant's name.
    pub tenant: String,
    /// Connector's name.
    pub connector: String,
    /// Surface's name.
    pub surface: String,
    /// Path on the host's listener; its token is a secret of the tenant.
    pub path: String,
}

/// A host that runs until it is stopped or dropped.
pub struct Host {
    intake: Option<Intake>,
    workers: workers::Workers,
    addresses: Vec<WebhookAddress>,
}

impl Host {
    /// Opens the store, loads the connectors, installs every tenant, and starts to work.
    pub fn start(config: &HostConfig, connectors: &[Connector]) -> Result<Self, StartError> {
        let parts = assembly::assemble(config, connectors)?;
        let workers = workers::start(&parts)?;
        let (intake, addresses) = assembly::listen(config, &parts)?;
        Ok(Self { intake: Some(intake), workers, addresses })
    }

    /// Where webhooks come in.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.intake.as_ref().map(Intake::address)
    }

    /// Every webhook address.
    pub fn addresses(&self) -> &[WebhookAddress] {
        &self.addresses
    }

    /// Takes no more webhooks, ends the units and calls that are under way, and closes the store.
    pub fn stop(mut self) {
        if let Some(intake) = self.intake.take() {
            intake.stop();
        }
        self.workers.stop();
    }
}

/// Directory of compiled code under the data directory.
fn code_cache(config: &HostConfig) -> PathBuf {
    config.data_dir.join("compiled")
}

/// Loaded plugins by connector name.
type Plugins = BTreeMap<String, crate::plugin::Plugin>;
