//! The connectors that this host has: its own, and those that the operator adds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{ComponentFiles, ConnectorConfig};
use crate::contract::{Problem, Profile};
use crate::embedded;
use crate::manifest::Manifest;
use crate::plugin::limits::Limits;
use crate::plugin::{ConfigureError, LoadError, Plugin, Runtime, RuntimeError, RuntimeOptions};
use crate::secrets::SlotSecrets;

/// Connectors that come with the host.
pub const BUILT_IN: &[&str] = &["moengage"];

/// Loaded connectors, by name.
pub struct Connectors {
    plugins: BTreeMap<String, Plugin>,
    limits: Limits,
    // The engine's clock lives as long as it does.
    _runtime: Runtime,
}

/// Why the connectors can't be had. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// No guest can be run at all.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file of an added connector.
    #[error("{0} can't be read: {1}")]
    File(PathBuf, std::io::Error),
    /// A manifest is wrong.
    #[error("the manifest of {0} has {n} problems: {first}", n = .1.len(), first = first(.1))]
    Manifest(String, Vec<Problem>),
    /// A manifest is for a connector of another name.
    #[error("the manifest of {expected} is for a connector named {found}")]
    OtherName {
        /// In the configuration.
        expected: String,
        /// In the manifest.
        found: String,
    },
    /// A component is not one.
    #[error("{0}: {1}")]
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
            Self::Manifest(_, problems) => {
                problems.first().map(|one| one.remedy.clone()).unwrap_or_default()
            }
            Self::OtherName { found, .. } => format!("Name it `{found}` under `host.components`."),
            Self::Load(_, error) => error.remedy().into(),
        }
    }
}

impl Connectors {
    /// Loads all of them.
    pub fn load(
        added: &BTreeMap<String, ComponentFiles>,
        options: RuntimeOptions,
    ) -> Result<Self, ConnectorError> {
        let limits = options.limits;
        let runtime = Runtime::new(options)?;
        let mut plugins = BTreeMap::new();
        let own = load(&runtime, "moengage", embedded::COMPONENT, embedded::MANIFEST)?;
        plugins.insert("moengage".to_owned(), own);
        for (name, files) in added {
            let unreadable = |path: &PathBuf| {
                let path = path.clone();
                move |error| ConnectorError::File(path, error)
            };
            let component = std::fs::read(&files.component).map_err(unreadable(&files.component))?;
            let manifest = std::fs::read_to_string(&files.manifest).map_err(unreadable(&files.manifest))?;
            plugins.insert(name.clone(), load(&runtime, name, &component, &manifest)?);
        }
        Ok(Self { plugins, limits, _runtime: runtime })
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.plugins.get(name)
    }

    /// What holds every guest.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

fn load(
    runtime: &Runtime,
    name: &str,
    component: &[u8],
    manifest: &str,
) -> Result<Plugin, ConnectorError> {
    let manifest =
        Manifest::parse(manifest).map_err(|problems| ConnectorError::Manifest(name.into(), problems))?;
    if manifest.connector != name {
        return Err(ConnectorError::OtherName { expected: name.into(), found: manifest.connector });
    }
    runtime.load(component, &manifest).map_err(|error| ConnectorError::Load(name.into(), error))
}

/// What `configure` and the filled slots say of a tenant's settings.
pub fn profile(plugin: &Plugin, config: &ConnectorConfig) -> Result<Profile, ConfigureError> {
    let profile = plugin.configure(&config.settings_json)?;
    let empty: Vec<Problem> = profile
        .slots
        .iter()
        .filter(|slot| slot.required && !config.slots.contains_key(&slot.name))
        .map(|slot| Problem {
            code: "missing-secret".into(),
            path: slot.name.clone(),
            message: format!("the secret `{}` is not given. {}", slot.name, slot.purpose),
            remedy: format!("Write `\"${{NAME}}\"` where the settings say `{}`.", slot.name),
        })
        .collect();
    if empty.is_empty() { Ok(Profile::clone(&profile)) } else { Err(ConfigureError::Settings(empty)) }
}

/// The live secrets of a tenant's connector.
pub fn secrets(config: &ConnectorConfig) -> SlotSecrets {
    config.slots.iter().fold(SlotSecrets::new(), |secrets, (name, slot)| {
        secrets.with(name, [Some(slot.current.clone()), slot.previous.clone()].into_iter().flatten())
    })
}
