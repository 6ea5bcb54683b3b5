//! Where the secrets behind slots come from.
//!
//! A connector names a slot; only the host ever sees what is in it.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Secrets of one installation, by slot.
pub trait SecretSource: Send + Sync {
    /// Live values of a slot: the current one first, then the previous one during a rotation.
    /// Empty where the slot holds nothing. Calls outward use the current value only; calls
    /// inward are accepted under either.
    fn get(&self, slot: &str) -> Vec<SecretString>;
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
