//! Running connectors: load a component once, then run each unit of work in a fresh instance.
//!
//! A component is checked before it is compiled: its digest, the contract it was built for, what
//! it imports. A unit runs under the limits of [`limits`], sees only what `imports` answers,
//! and nothing that it returns is believed before `output` has checked it. An instance that
//! failed is dropped and never used again.
//!
//! Calls block: run them on plain threads, not inside an asynchronous task.

pub(crate) mod cache;
mod cpu;
mod engine;
mod fault;
mod guest;
mod imports;
mod inspect;
pub mod limits;
mod output;
mod profile;
mod run;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::contract::bindings::PluginPre;
use crate::contract::{self, Problem, Profile};
use crate::hex;
use crate::manifest::Manifest;
use crate::unit::Cost;
use guest::Guest;
use limits::Limits;

pub use imports::log::printable;

/// How a host runs guests.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Counts instructions, for `harness call`. Costs half again as much time.
    pub fuel: bool,
    /// Where compiled code is kept. Made with mode 0700 if it isn't there; nothing: in memory only.
    pub cache: Option<PathBuf>,
    /// Nothing is put into the cache, and it isn't made.
    pub cache_read_only: bool,
    /// All limits.
    pub limits: Limits,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { fuel: false, cache: None, cache_read_only: false, limits: Limits::DEFAULT }
    }
}

/// One engine, shared by all connectors of a host.
pub struct Runtime {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Option<cache::Cache>,
    options: RuntimeOptions,
}

/// Why no guest can be run at all: the operator must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The machine can't run the engine.
    #[error("the WebAssembly engine could not be started: {0}")]
    Engine(String),
    /// The directory for compiled code can't be used.
    #[error("the cache of compiled code at {path} can't be used: {reason}")]
    Cache {
        /// As configured.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
}

impl RuntimeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(_) => "engine-unavailable",
            Self::Cache { .. } => "code-cache-unusable",
        }
    }
}

/// Why a component is not loaded. Nothing of it was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The manifest belongs to another file.
    #[error("the manifest is for the component with SHA-256 {expected}, this one has {found}")]
    OtherDigest {
        /// In the manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// Larger than a component may be.
    #[error("the component has {0} bytes, more than a component may")]
    TooLarge(usize),
    /// Not a component at all.
    #[error("this is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// A component, but not of this contract.
    #[error("this component is not a connector: {0}")]
    NotAConnector(String),
    /// Built for another version of the contract.
    #[error("the component was built for tajo:connector@{found}, this host speaks {}", contract::VERSION)]
    OtherContract {
        /// The component's version or versions, or the manifest's.
        found: String,
    },
    /// It imports what the contract doesn't offer.
    #[error("the component imports what no connector gets: {}", .0.join(", "))]
    ForeignImports(Vec<String>),
    /// Code that could run past the end of a unit's time, because nothing interrupts it.
    #[error("a function of the component has {0} bulk instructions, more than can be interrupted in time")]
    Uninterruptible(usize),
    /// The engine can't compile it.
    #[error("the component could not be compiled: {0}")]
    Compile(String),
}

impl LoadError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherDigest { .. } => "component-digest",
            Self::TooLarge(_) => "component-too-large",
            Self::NotAComponent(_) => "not-a-component",
            Self::NotAConnector(_) => "not-a-connector",
            Self::OtherContract { .. } => "other-contract",
            Self::ForeignImports(_) => "foreign-imports",
            Self::Uninterruptible(_) => "component-uninterruptible",
            Self::Compile(_) => "component-compile",
        }
    }

    /// Who must act.
    pub fn actor(&self) -> &'static str {
        match self {
            Self::OtherDigest { .. } | Self::OtherContract { .. } => "operator",
            _ => "connector-author",
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::OtherDigest { .. } => "Install the component and the manifest of the same release.",
            Self::OtherContract { .. } => "Install a build of the connector for this host's contract.",
            Self::Uninterruptible(_) => "Split the function, or copy in a loop.",
            Self::ForeignImports(_) => "Build for wasm32-wasip2 and reach the vendor through `http` only.",
            _ => "Build with `cargo build --release --target wasm32-wasip2` against wit/v0.1.",
        }
    }
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigureError {
    /// The settings are wrong: the tenant must act on each.
    #[error("the settings have {} problems", .0.len())]
    Settings(Vec<Problem>),
    /// The profile breaks the contract (connector-author) or asks for more than the manifest
    /// grants (operator; the code is `profile-beyond-manifest`).
    #[error("the connector's profile has {} problems", .0.len())]
    Profile(Vec<Problem>),
    /// The guest broke: connector-author.
    #[error("{code}: {message}")]
    Fault {
        /// As in [`crate::unit::UnitError::Fault`].
        code: String,
        /// For a person.
        message: String,
    },
}

/// A loaded connector. Cheap to clone; can be run by many threads at once.
#[derive(Clone)]
pub struct Plugin(Arc<Loaded>);

struct Loaded {
    engine: Engine,
    pre: PluginPre<Guest>,
    manifest: Manifest,
    digest: [u8; 32],
    fuel: bool,
    limits: Limits,
    profiles: Mutex<HashMap<[u8; 32], Arc<Profile>>>,
}

/// Profiles that are kept; a host with more active configurations asks again.
const PROFILES: usize = 4_096;

impl Runtime {
    /// Starts the engine and the thread that interrupts guests.
    pub fn new(options: RuntimeOptions) -> Result<Self, RuntimeError> {
        let refused = |e: wasmtime::Error| RuntimeError::Engine(e.to_string());
        let engine = engine::new(&options.limits, options.fuel).map_err(refused)?;
        let linker = guest::linker(&engine).map_err(refused)?;
        let open = |path: &PathBuf| {
            let opened = match options.cache_read_only {
                true => Ok(cache::Cache::read_only(path)),
                false => cache::Cache::open(path).map(Some),
            };
            opened.map_err(|reason| RuntimeError::Cache { path: path.display().to_string(), reason })
        };
        let cache = options.cache.as_ref().map(open).transpose()?.flatten();
        Ok(Self { engine, linker, cache, options })
    }

    /// Checks and compiles a component under its manifest.
    pub fn load(&self, component: &[u8], manifest: &Manifest) -> Result<Plugin, LoadError> {
        let digest: [u8; 32] = Sha256::digest(component).into();
        if let Some(expected) = manifest.component
            && expected != digest
        {
            return Err(LoadError::OtherDigest {
                expected: hex::encode(&expected),
                found: hex::encode(&digest),
            });
        }
        if component.len() > self.options.limits.component {
            return Err(LoadError::TooLarge(component.len()));
        }
        inspect::check(component, self.options.limits.bulk_instructions)?;
        if manifest.contract != contract::VERSION {
            return Err(LoadError::OtherContract { found: manifest.contract.clone() });
        }
        let compiled = match &self.cache {
            Some(cache) => cache.component(&self.engine, digest, component),
            None => Component::from_binary(&self.engine, component),
        };
        let compiled = compiled.map_err(|e| LoadError::Compile(format!("{e:#}")))?;
        let pre = self
            .linker
            .instantiate_pre(&compiled)
            .and_then(PluginPre::new)
            .map_err(|e| LoadError::NotAConnector(format!("{e:#}")))?;
        Ok(Plugin(Arc::new(Loaded {
            engine: self.engine.clone(),
            pre,
            manifest: manifest.clone(),
            digest,
            fuel: self.options.fuel,
            limits: self.options.limits,
            profiles: Mutex::default(),
        })))
    }
}

impl Plugin {
    /// SHA-256 of the component.
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    /// The manifest it was loaded under.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The profile of these settings (JSON, secrets replaced by slot names). Asked once, then
    /// remembered.
    pub fn configure(&self, settings: &str) -> Result<Arc<Profile>, ConfigureError> {
        let key: [u8; 32] = Sha256::digest(settings).into();
        let profiles = || self.0.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = profiles().get(&key) {
            return Ok(profile.clone());
        }
        let profile = Arc::new(run::configure(&self.0, settings, &mut Cost::default())?);
        let mut kept = profiles();
        if kept.len() >= PROFILES {
            kept.clear();
        }
        kept.insert(key, profile.clone());
        Ok(profile)
    }

    /// Asks for the profile anew, and says what that cost (bytes out: of the profile as JSON).
    pub fn measure_configure(&self, settings: &str) -> (Result<Profile, ConfigureError>, Cost) {
        let mut cost = Cost::default();
        let result = run::configure(&self.0, settings, &mut cost);
        (result, cost)
    }
}
