//! The connectors that a host has: the one it was built with, and those that the operator adds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::config::{ComponentFiles, ConnectorConfig, HostConfig};
use crate::contract::{Problem, Profile};
use crate::embedded;
use crate::manifest::Manifest;
use crate::plugin::{ConfigureError, LoadError, Plugin, Runtime, RuntimeError, RuntimeOptions};
use crate::secrets::LiveSecrets;

/// Connectors that come with the host.
pub const BUILT_IN: &[&str] = &["moengage"];

/// A connector that this host can run.
#[derive(Clone)]
pub struct Connector {
    /// The component.
    pub component: Vec<u8>,
    /// What the operator grants it; its name is the key under `connectors`.
    pub manifest: Manifest,
}

/// Why connectors can't be had. The operator must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// No guest can be run at all.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file of an added connector.
    #[error("{0} can't be read: {1}")]
    File(PathBuf, std::io::Error),
    /// A manifest is wrong.
    #[error("the manifest of {0} has {n} problem(s); the first: {first}", n = .1.len(), first = first(.1))]
    Manifest(String, Vec<Problem>),
    /// A manifest is for a connector of another name.
    #[error("the manifest of {expected} is for a connector named {found}")]
    OtherName {
        /// In the configuration.
        expected: String,
        /// In the manifest.
        found: String,
    },
    /// A component is refused.
    #[error("the connector {0} is refused: {1}")]
    Load(String, LoadError),
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(|one| format!("{} at {}: {}", one.code, one.path, one.message)).unwrap_or_default()
}

impl ConnectorError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Runtime(error) => error.code(),
            Self::File(..) => "component-unreadable",
            Self::Manifest(..) => "bad-manifest",
            Self::OtherName { .. } => "other-connector",
            Self::Load(_, error) => error.code(),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Runtime(_) => "Look at the data directory of the host and at the machine.".into(),
            Self::File(..) => "Correct the path under `host.components`.".into(),
            Self::Manifest(_, problems) => problems.first().map(|one| one.remedy.clone()).unwrap_or_default(),
            Self::OtherName { found, .. } => format!("Name it `{found}` under `host.components`."),
            Self::Load(_, error) => error.remedy().into(),
        }
    }
}

impl Connector {
    /// The connector that the host was built with.
    pub fn embedded() -> Result<Self, ConnectorError> {
        Ok(Self {
            component: embedded::COMPONENT.to_vec(),
            manifest: manifest("moengage", embedded::MANIFEST)?,
        })
    }

    /// All that a configuration can name: the built-in one and those under `host.components`.
    pub fn all(config: &HostConfig) -> Result<Vec<Self>, ConnectorError> {
        let mut all = vec![Self::embedded()?];
        for (name, files) in &config.components {
            all.push(Self::read(name, files)?);
        }
        Ok(all)
    }

    /// One that the operator adds.
    pub fn read(name: &str, files: &ComponentFiles) -> Result<Self, ConnectorError> {
        let unreadable = |path: &PathBuf| {
            let path = path.clone();
            move |error| ConnectorError::File(path, error)
        };
        let component = std::fs::read(&files.component).map_err(unreadable(&files.component))?;
        let text = std::fs::read_to_string(&files.manifest).map_err(unreadable(&files.manifest))?;
        Ok(Self { component, manifest: manifest(name, &text)? })
    }
}

fn manifest(name: &str, text: &str) -> Result<Manifest, ConnectorError> {
    let manifest =
        Manifest::parse(text).map_err(|problems| ConnectorError::Manifest(name.into(), problems))?;
    if manifest.connector == name {
        Ok(manifest)
    } else {
        Err(ConnectorError::OtherName { expected: name.into(), found: manifest.connector })
    }
}

/// Loaded connectors, by name.
pub struct Plugins(BTreeMap<String, Plugin>);

impl Plugins {
    /// Checks and compiles all of them.
    pub fn load(connectors: &[Connector], options: RuntimeOptions) -> Result<Self, ConnectorError> {
        let runtime = Runtime::new(options)?;
        let load = |connector: &Connector| {
            let name = connector.manifest.connector.clone();
            match runtime.load(&connector.component, &connector.manifest) {
                Ok(plugin) => Ok((name, plugin)),
                Err(error) => Err(ConnectorError::Load(name, error)),
            }
        };
        Ok(Self(connectors.iter().map(load).collect::<Result<_, _>>()?))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.0.get(name)
    }
}

/// The profile of a tenant's settings. Refused as well where a secret that it needs is not given.
pub fn profile(plugin: &Plugin, config: &ConnectorConfig) -> Result<Arc<Profile>, ConfigureError> {
    let profile = plugin.configure(&config.settings_json)?;
    let missing: Vec<Problem> = profile
        .slots
        .iter()
        .filter(|slot| slot.required && !config.slots.contains_key(&slot.name))
        .map(|slot| Problem {
            code: "missing-secret".into(),
            path: String::new(),
            message: format!("the secret `{}` is not given: {}", slot.name, slot.purpose),
            remedy: format!("Write `\"${{NAME}}\"` for the key that names the slot `{}`.", slot.name),
        })
        .collect();
    let problems: Vec<Problem> = missing.into_iter().chain(unlisted(plugin, config, &profile)).collect();
    if problems.is_empty() { Ok(profile) } else { Err(ConfigureError::Settings(problems)) }
}

/// Surfaces that are to take webhooks only from listed addresses, although none is listed: that
/// would refuse everything.
fn unlisted(plugin: &Plugin, config: &ConnectorConfig, profile: &Profile) -> Vec<Problem> {
    let settings = serde_json::from_str(&config.settings_json).unwrap_or(Value::Null);
    let problem = |(index, name): (usize, &String)| {
        let path = format!("only_listed_senders[{index}]");
        let known = profile.surfaces.iter().any(|surface| surface.name == *name);
        let listed = senders(plugin.manifest(), &settings, name).is_some();
        let (code, message, remedy) = match (known, listed) {
            (true, true) => return None,
            (true, false) => (
                "senders-not-listed",
                format!("the vendor names no addresses that it sends `{name}` from under these settings"),
                "Take the surface out of the list; its secret is checked all the same.".to_owned(),
            ),
            (false, _) => {
                let all: Vec<_> = profile.surfaces.iter().map(|surface| surface.name.as_str()).collect();
                (
                    "unknown-surface",
                    format!("these settings have no surface `{name}`"),
                    format!("Write one of: {}.", all.join(", ")),
                )
            }
        };
        Some(Problem { code: code.into(), path, message, remedy })
    };
    config.only_listed_senders.iter().enumerate().filter_map(problem).collect()
}

/// The addresses that a vendor sends a surface's webhooks from, where its manifest lists them.
pub fn senders(manifest: &Manifest, settings: &Value, surface: &str) -> Option<Vec<IpAddr>> {
    manifest.senders.as_ref()?.of(surface, settings)
}

/// The live secrets of a tenant's connector.
pub fn secrets(config: &ConnectorConfig) -> LiveSecrets {
    LiveSecrets::new(&config.slots)
}
