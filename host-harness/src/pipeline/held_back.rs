//! Connectors that have as much as they may: none of their units is begun until there is room.
//!
//! What waits stays where it is, in the journal and in the schedule, and nobody else's turn changes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::Transaction;

use super::Pipeline;
use crate::quotas::Full;
use crate::store::installations::InstallationId;
use crate::store::{StoreError, usage};

/// Who is held back, as far as the log has said so.
#[derive(Default)]
pub(super) struct HeldBack(Mutex<HashMap<InstallationId, Full>>);

impl Pipeline {
    /// Whether a unit of an installation may be begun that can add to what is bounded.
    pub(super) fn may_begin(&self, tx: &Transaction<'_>, id: InstallationId) -> Result<bool, StoreError> {
        let usage = usage::of(tx, id)?;
        let full = self.policy.quotas.hold_back(&usage);
        let mut said = self.held_back.0.lock().unwrap_or_else(PoisonError::into_inner);
        match full {
            Some(full) if said.insert(id, full) != Some(full) => {
                let installed = self.installed.get(&id);
                let tenant = installed.map_or("", |one| &one.row.tenant);
                let connector = installed.map_or("", |one| &one.row.connector);
                let (code, actor, remedy) = (full.code(), full.actor().as_str(), full.remedy());
                tracing::warn!(
                    tenant,
                    connector,
                    code,
                    actor,
                    remedy,
                    "units are held back: {}",
                    full.message()
                );
            }
            // It is full again and again while it drains, which is said once.
            None if said.get(&id).is_some_and(|full| self.policy.quotas.is_far_from(*full, &usage)) => {
                said.remove(&id);
            }
            _ => {}
        }
        Ok(full.is_none())
    }

    /// Those of some installations whose units may be begun.
    pub(super) fn not_held_back(&self, of: &[InstallationId]) -> Result<Vec<InstallationId>, StoreError> {
        self.store.read(|tx| {
            let mut may = Vec::with_capacity(of.len());
            for id in of {
                if self.may_begin(tx, *id)? {
                    may.push(*id);
                }
            }
            Ok(may)
        })
    }

    /// Why nothing of an installation is begun, where nothing is.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn held_back(&self, id: InstallationId) -> Result<Option<Full>, StoreError> {
        self.store.read(|tx| Ok(self.policy.quotas.hold_back(&usage::of(tx, id)?)))
    }
}
