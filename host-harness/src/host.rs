//! A running host: the store, the runtime, every installation, and the threads that move data.
//!
//! | thread | does |
//! |---|---|
//! | intake's own | verify, make durable, answer |
//! | `units` | run and commit units of work |
//! | `delivery` | one account's actions, in lanes |
//! | `secrets` | see which files of secrets changed |
//! | `clock` | remember what time it is |
//! | `housekeeping` | prune what retention lets go |

pub(crate) mod assembly;
pub(crate) mod budget;
mod units;
pub(crate) mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::HostConfig;
use crate::connectors::{Connector, ConnectorError};
use crate::contract::Problem;
use crate::intake::Intake;
use crate::pipeline::Pipeline;
use crate::secrets::LiveSecrets;
use crate::store::{Store, StoreError};

pub use units::Units;

/// Name of the store's file in the data directory.
pub const STORE_FILE: &str = "host.db";

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A connector can't be loaded.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
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
    /// The process may not open as many files as it may need.
    #[error("this process may open {have} files, and may need {need}")]
    TooFewFiles {
        /// May be opened.
        have: u64,
        /// May be needed.
        need: u64,
    },
    /// The process may not have as much memory as it may need.
    #[error("this process may have {} MiB of memory, and may need {}", have >> 20, need >> 20)]
    TooLittleMemory {
        /// Bytes that it may have.
        have: u64,
        /// Bytes that it may need.
        need: u64,
    },
    /// A thread or a directory.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
}

impl StartError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Connector(error) => error.code(),
            Self::Settings { .. } => "settings-refused",
            Self::Guest(..) => "connector-broke",
            Self::UnknownConnector(..) => "unknown-connector",
            Self::AccountConflict(_) => "conflicting-destination",
            Self::Listen(..) => "not-listening",
            Self::TooFewFiles { .. } => "too-few-files",
            Self::TooLittleMemory { .. } => "too-little-memory",
            Self::Io(..) => "not-started",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Store(error) => error.remedy().into(),
            Self::TooFewFiles { .. } => "Raise the hard limit of open files (ulimit -n, LimitNOFILE).".into(),
            Self::TooLittleMemory { .. } => "Give the machine or its control group more memory.".into(),
            Self::Io(..) => "Look at the data directory of the host and at its disk.".into(),
            Self::Connector(error) => error.remedy(),
            Self::Settings { .. } => "Correct the settings; `harness check` tells the same.".into(),
            Self::Guest(..) => "Send the settings to the connector's author.".into(),
            Self::UnknownConnector(..) => "Add it under `host.components`.".into(),
            Self::AccountConflict(_) => "Repeat the same block for each tenant of the account.".into(),
            Self::Listen(..) => "Choose another address or port under `host.intake`.".into(),
        }
    }
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
    secrets: Vec<Arc<LiveSecrets>>,
    pipeline: Arc<Pipeline>,
    store: Arc<Store>,
}

impl Host {
    /// Opens the store, loads the connectors, installs every tenant, and starts to work.
    pub fn start(config: &HostConfig, connectors: &[Connector]) -> Result<Self, StartError> {
        budget::check()?;
        let parts = assembly::assemble(config, connectors)?;
        let workers = workers::start(&parts)?;
        let (intake, addresses) = assembly::listen(config, &parts)?;
        Ok(Self {
            intake: Some(intake),
            workers,
            addresses,
            secrets: parts.secrets,
            pipeline: parts.pipeline,
            store: parts.store,
        })
    }

    /// Reads every secret again. What is replaced is used from now on, and a key that was refused
    /// is tried again.
    pub fn reload_secrets(&self) {
        self.secrets.iter().for_each(|secrets| secrets.reload_all());
        self.pipeline.try_keys_now();
    }

    /// Where webhooks come in.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.intake.as_ref().map(Intake::address)
    }

    /// Why the host has ended its work by itself, if it has: it can't go on with its store, and webhooks
    /// are refused. Stop it, and start it anew.
    pub fn lost(&self) -> Option<StoreError> {
        self.store.lost().map(StoreError::Lost)
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

/// Directory of spooled files under the data directory.
pub(crate) fn spool(data_dir: &Path) -> PathBuf {
    data_dir.join("spool")
}

/// Directory of compiled code under the data directory.
pub(crate) fn code_cache(data_dir: &Path) -> PathBuf {
    data_dir.join("compiled")
}
