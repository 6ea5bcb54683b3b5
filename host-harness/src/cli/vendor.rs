//! The vendor as a command reaches it: under the manifest and the secrets of the configuration,
//! with nothing stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::config::{ConnectorConfig, HostConfig};
use crate::connectors;
use crate::contract::{Profile, http, objects, storage};
use crate::egress::{Access, Egress, RateStore, rate, transport};
use crate::plugin::Plugin;
use crate::plugin::limits::Limits;
use crate::unit::Services;
use crate::world::{SystemClock, SystemRandom, World};

/// Makes what one unit of a resource reaches.
pub(super) type Vendor = Box<dyn Fn(&str) -> Arc<dyn Services>>;

/// The outside of a command.
pub(super) fn world(config: &HostConfig) -> World {
    World {
        clock: Arc::new(SystemClock::new(config.time)),
        random: Arc::new(SystemRandom),
        transport: transport::network(),
    }
}

pub(super) fn vendor(
    config: &HostConfig,
    tenant: &str,
    connector: &ConnectorConfig,
    plugin: &Plugin,
    profile: Arc<Profile>,
) -> Vendor {
    let access = Arc::new(Access {
        installation: format!("command:{tenant}:{}", connector.name),
        manifest: plugin.manifest().clone(),
        settings: serde_json::from_str(&connector.settings_json).unwrap_or(Value::Null),
        overrides: connector.endpoints.clone(),
        allow_private: config.allow_private_addresses,
        secrets: Arc::new(connectors::secrets(connector)),
        rates: Arc::new(Rates::default()),
        spool: None,
        world: world(config),
    });
    let limits = rate::shared(&profile.resources);
    Box::new(move |resource| {
        let (counted_as, windows) = limits
            .get(resource)
            .map_or((resource, &[][..]), |(name, windows)| (name.as_str(), windows.as_slice()));
        Arc::new(Reach(access.unit(counted_as, windows, Limits::DEFAULT.wall)))
    })
}

/// Rate windows of one command.
#[derive(Default)]
struct Rates(Mutex<BTreeMap<String, String>>);

impl RateStore for Rates {
    fn update(&self, bucket: &str, change: &mut dyn FnMut(Option<&str>) -> String) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = change(states.get(bucket).map(String::as_str));
        states.insert(bucket.to_owned(), state);
    }
}

struct Reach(Egress);

impl Services for Reach {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        self.0.http(request)
    }

    fn object_open(
        &self,
        endpoint: &str,
        path: &[String],
        etag: Option<&str>,
    ) -> Result<objects::Object, http::Error> {
        self.0.object_open(endpoint, path, etag)
    }

    fn object_read(
        &self,
        endpoint: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        self.0.object_read(endpoint, path, etag, offset, length)
    }

    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }

    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        Vec::new()
    }
}
