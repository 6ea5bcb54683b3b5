//! Keys that the vendor refuses: pausing what needs them, and finding out when they are right.
//!
//! What stands still and until when is in the store ([`crate::store::pauses`]); which value was
//! refused is only known here, as a number, because no value and no digest of one is ever stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Pipeline, Verdict};
use crate::contract::FailureKind;
use crate::secrets::SecretSource;
use crate::store::StoreError;
use crate::store::installations::{Installation, InstallationId};
use crate::store::jobs::Job;
use crate::store::pauses::{self, KeyPause, Refused};
use crate::unit::UnitError;
use crate::world::Millis;

/// The value that a page was read with.
#[derive(Clone, Copy, Default)]
pub(super) struct ReadWith<'a> {
    /// Slot that the resource needs.
    pub slot: Option<&'a str>,
    /// Version of its value when the page was begun.
    pub version: u64,
}

/// The secrets of every installation, and which of them were refused.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) sources: HashMap<InstallationId, Arc<dyn SecretSource>>,
    /// Version of the value that was refused last, by installation and slot.
    refused: Mutex<HashMap<(InstallationId, String), u64>>,
    /// Somebody says that every one is to be tried again.
    asked: AtomicBool,
}

impl Keys {
    pub fn new(sources: HashMap<InstallationId, Arc<dyn SecretSource>>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Which value a slot holds now.
    pub fn version(&self, installation: InstallationId, slot: Option<&str>) -> u64 {
        let source = self.sources.get(&installation);
        source.zip(slot).map_or(0, |(source, slot)| source.version(slot))
    }

    fn note_refused(&self, installation: InstallationId, slot: &str, version: u64) {
        self.refused().insert((installation, slot.to_owned()), version);
    }

    /// Whether another value stands in the slot than the one that was refused.
    fn was_replaced(&self, pause: &KeyPause) -> bool {
        let refused = self.refused().get(&(pause.installation, pause.slot.clone())).copied();
        refused.is_some_and(|refused| refused != self.version(pause.installation, Some(&pause.slot)))
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<(InstallationId, String), u64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// Gives the pipeline the secrets behind the slots, so that it sees when one is replaced.
    #[must_use]
    pub fn with_secrets(mut self, sources: HashMap<InstallationId, Arc<dyn SecretSource>>) -> Self {
        self.keys = Keys::new(sources);
        self
    }

    /// Has every refused key tried again at the next step.
    pub fn try_keys_now(&self) {
        self.keys.asked.store(true, Ordering::SeqCst);
    }

    /// Lets a job through for each refused key that was replaced, or that is tried again now.
    pub(super) fn try_keys(&self) -> Result<(), StoreError> {
        let asked = self.keys.asked.swap(false, Ordering::SeqCst);
        let paused = self.store.read(pauses::all)?;
        if paused.is_empty() {
            return Ok(());
        }
        self.keys.sources.values().for_each(|source| source.look());
        let now = self.world.now();
        for pause in paused {
            let replaced = self.keys.was_replaced(&pause);
            if !replaced && !asked && pause.retry_at > now {
                continue;
            }
            if let Some(source) = self.keys.sources.get(&pause.installation) {
                source.reload(&pause.slot);
            }
            let version = self.keys.version(pause.installation, Some(&pause.slot));
            self.keys.note_refused(pause.installation, &pause.slot, version);
            tracing::info!(slot = pause.slot, replaced, "a key that was refused is tried again");
            // Should this try end in something else than a yes or a no, the next one is due then.
            let retry_at = now + self.key_retry(0);
            self.store.write(|tx| pauses::let_one_through(tx, &pause, replaced, retry_at, now))?;
        }
        Ok(())
    }

    /// Pauses what the refused key was needed for. False where the error is none of a key.
    pub(super) fn pause_for_key(
        &self,
        tx: &rusqlite::Transaction<'_>,
        job: &Job,
        installation: &Installation,
        error: &UnitError,
        read_with: ReadWith<'_>,
    ) -> Result<bool, StoreError> {
        let UnitError::Failure(failure) = error else { return Ok(false) };
        let (slot, scope, remedy) = match &failure.kind {
            FailureKind::Auth(slot) => (slot, None, replace(slot)),
            FailureKind::Permission((slot, scope)) => (slot, Some(scope.as_str()), permit(slot, scope)),
            _ => return Ok(false),
        };
        let verdict = Verdict::of(error);
        let refused =
            Refused { slot, scope, code: &verdict.code, message: &verdict.message, remedy: &remedy };
        pauses::pause(tx, installation, job, &refused, |retries| self.key_retry(retries), self.world.now())?;
        let version = match read_with.slot {
            Some(read) if read == slot => read_with.version,
            _ => self.keys.version(installation.id, Some(slot)),
        };
        self.keys.note_refused(installation.id, slot, version);
        Ok(true)
    }

    /// How long a refused key is left alone, after so many tries in vain. A key that was made just
    /// now may be refused for a while as well, so the first tries come soon.
    fn key_retry(&self, retries: u32) -> Millis {
        let (first, longest) = self.policy.key_retry;
        first.saturating_mul(1 << retries.min(20)).min(longest).as_millis() as Millis
    }
}

fn replace(slot: &str) -> String {
    format!(
        "Put a valid key where the slot `{slot}` is filled. A key in a file, or a sealed one, is read again by \
         itself; a variable needs a new start of the host. Until then the key is tried again now and then."
    )
}

fn permit(slot: &str, scope: &str) -> String {
    format!(
        "Give the key in the slot `{slot}` this permission at the vendor: {scope}. It is tried again by itself."
    )
}
