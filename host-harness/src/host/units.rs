//! A host that only does units: for a command that reads something while no host is serving.
//!
//! Nothing is taken in and nothing is delivered. What the units call for waits in the store for the
//! next host that serves.

use std::sync::Arc;

use super::{StartError, assembly};
use crate::config::HostConfig;
use crate::connectors::Connector;
use crate::pipeline::Step;
use crate::quotas::Full;
use crate::store::installations::InstallationId;
use crate::store::{Store, StoreError};
use crate::world::Millis;

/// The store and the pipeline of a configuration, driven by the caller.
pub struct Units(assembly::Parts);

impl Units {
    /// Takes the store for this process, loads the connectors and installs every tenant.
    ///
    /// # Errors
    /// As [`super::Host::start`]; a store that a host is using is [`StoreError::Locked`], one that an
    /// operator has to confirm [`StoreError::InDoubt`].
    pub fn open(config: &HostConfig, connectors: &[Connector]) -> Result<Self, StartError> {
        let parts = assembly::assemble(config, connectors)?;
        if parts.store.in_doubt()? {
            return Err(StoreError::InDoubt.into());
        }
        Ok(Self(parts))
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// Host time.
    pub fn now(&self) -> Millis {
        self.0.world.now()
    }

    /// Does one due unit, of whatever kind is due first.
    ///
    /// # Errors
    /// Where the store fails; nothing is half done then.
    pub fn step(&self) -> Result<Step, StoreError> {
        self.0.pipeline.step()
    }

    /// Why no unit of an installation is begun, where none is.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn held_back(&self, installation: InstallationId) -> Result<Option<Full>, StoreError> {
        self.0.pipeline.held_back(installation)
    }

    /// Maps the next slice of what is being mapped again, and nothing else.
    ///
    /// # Errors
    /// Where the store fails; nothing is half done then.
    pub fn remap_step(&self) -> Result<Step, StoreError> {
        self.0.pipeline.remap_step()
    }
}
