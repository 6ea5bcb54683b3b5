//! The addresses that a vendor sends webhooks from, as far as it names them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::setting;

/// Addresses by surface and by the value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Senders {
    /// Dotted path of the setting that decides.
    pub by: String,
    /// Surface, then value of the setting. What is not here is not known.
    pub surfaces: BTreeMap<String, BTreeMap<String, BTreeSet<IpAddr>>>,
}

impl Senders {
    /// What is known for a surface under these settings; nothing where the vendor names none.
    pub fn of(&self, surface: &str, settings: &Value) -> Option<Vec<IpAddr>> {
        let value = setting(settings, &self.by)?;
        let listed = self.surfaces.get(surface)?.get(value)?;
        Some(listed.iter().copied().collect())
    }
}
