//! Where the secrets behind slots come from.
//!
//! A connector names a slot; only the host ever sees what is in it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::config::{Slot, Stamp};

/// Real time between two looks at the files of secrets.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Secrets of one installation, by slot.
pub trait SecretSource: Send + Sync {
    /// Live values of a slot: the current one first, then the previous one during a rotation.
    /// Empty where the slot holds nothing. Calls outward use the current value only; calls
    /// inward are accepted under either.
    fn get(&self, slot: &str) -> Vec<SecretString>;

    /// How often the current value of a slot has changed. A key that was refused and the one that
    /// replaced it are told apart by this; neither is kept anywhere.
    fn version(&self, _slot: &str) -> u64 {
        0
    }

    /// Reads again whatever looks changed. Cheap: files are looked at once a second at most.
    fn look(&self) {}

    /// Reads a slot again, however it looks.
    fn reload(&self, _slot: &str) {}
}

/// Secrets kept in memory.
#[derive(Default)]
pub struct SlotSecrets(BTreeMap<String, Vec<SecretString>>);

impl SlotSecrets {
    /// No slot holds anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills a slot, the current value first. Empty values are left out: an empty secret opens
    /// nothing.
    pub fn with(mut self, slot: &str, values: impl IntoIterator<Item = SecretString>) -> Self {
        use secrecy::ExposeSecret;
        let values = values.into_iter().filter(|value| !value.expose_secret().is_empty()).collect();
        self.0.insert(slot.to_owned(), values);
        self
    }
}

impl SecretSource for SlotSecrets {
    fn get(&self, slot: &str) -> Vec<SecretString> {
        self.0.get(slot).cloned().unwrap_or_default()
    }
}

/// Secrets that are read again where their source can change: a key that is replaced is used
/// without a restart of the host.
///
/// What can't be read at the moment (a file that is being replaced, an empty one) changes nothing:
/// the last good value stays, and the log says why.
pub struct LiveSecrets {
    slots: BTreeMap<String, Mutex<Live>>,
    looked: Mutex<Instant>,
}

struct Live {
    slot: Slot,
    stamp: Option<Stamp>,
    version: u64,
    /// Whether the log has said that it can't be read.
    complained: bool,
}

impl LiveSecrets {
    /// Takes the values that were read with the configuration.
    pub fn new(slots: &BTreeMap<String, Slot>) -> Self {
        // The files may have changed since they were read, so the first look reads them.
        let live =
            |slot: &Slot| Mutex::new(Live { slot: slot.clone(), stamp: None, version: 0, complained: false });
        let slots = slots.iter().map(|(name, slot)| (name.clone(), live(slot))).collect();
        Self { slots, looked: Mutex::new(Instant::now()) }
    }

    /// Reads every slot again, for an operator who says that something changed.
    pub fn reload_all(&self) {
        self.slots.keys().for_each(|slot| self.reload(slot));
    }

    fn live(&self, slot: &str) -> Option<MutexGuard<'_, Live>> {
        Some(self.slots.get(slot)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Live {
    /// Reads it again, after it was seen with this stamp.
    fn read(&mut self, name: &str, stamp: Option<Stamp>) {
        match self.slot.source.read() {
            Ok(None) => {}
            Ok(Some(slot)) => {
                // A file that changes between the look and the reading is read once more.
                self.stamp = stamp;
                self.complained = false;
                if !slot.same(&self.slot) {
                    self.version += 1;
                    tracing::info!(slot = name, "a secret was replaced and is used from now on");
                } else if !slot.same_values(&self.slot) {
                    tracing::info!(slot = name, "the previous value of a secret changed");
                }
                self.slot = slot;
            }
            Err(refusal) => {
                if !self.complained {
                    let (code, message) = (refusal.code, &refusal.message);
                    tracing::warn!(slot = name, code, "{message}; the value that was read last stays in use");
                }
                self.complained = true;
            }
        }
    }
}

impl SecretSource for LiveSecrets {
    fn get(&self, slot: &str) -> Vec<SecretString> {
        use secrecy::ExposeSecret;
        let Some(live) = self.live(slot) else { return Vec::new() };
        let values = [Some(&live.slot.current), live.slot.previous.as_ref()];
        values.into_iter().flatten().filter(|value| !value.expose_secret().is_empty()).cloned().collect()
    }

    fn version(&self, slot: &str) -> u64 {
        self.live(slot).map_or(0, |live| live.version)
    }

    fn look(&self) {
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.elapsed() < LOOK_EVERY {
                return;
            }
            *looked = Instant::now();
        }
        for name in self.slots.keys() {
            let Some(mut live) = self.live(name) else { continue };
            let stamp = live.slot.source.stamp();
            if stamp.is_some() && stamp != live.stamp {
                live.read(name, stamp);
            }
        }
    }

    fn reload(&self, slot: &str) {
        if let Some(mut live) = self.live(slot) {
            let stamp = live.slot.source.stamp();
            live.read(slot, stamp);
        }
    }
}
