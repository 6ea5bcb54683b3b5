//! What runs here, and whether every connector takes its settings.

use std::sync::Arc;

use super::Line;
use crate::config::{ComponentFiles, HostConfig};
use crate::connectors::{self, Connector, ConnectorError};
use crate::contract::{self, Profile};
use crate::hex;
use crate::host;
use crate::manifest::Manifest;
use crate::operate::check::settings_problems;
use crate::plugin::{LoadError, Plugin, Runtime, RuntimeOptions};
use crate::store::dead_letters::Actor;

const PART: &str = "versions";
/// The first SQLite that no reset of the log can damage (sqlite.org/wal.html, "the WAL-reset bug").
const SQLITE: i32 = 3_051_003;

/// What a tenant's connector declares.
pub(super) struct Declared {
    pub tenant: String,
    pub connector: String,
    pub manifest: Manifest,
    pub profile: Arc<Profile>,
}

/// Everything about versions, and what the connectors declare under each tenant's settings.
pub(super) fn lines(config: &HostConfig) -> (Vec<Line>, Vec<Declared>) {
    let program = format!("harness {}, with the contract {}", env!("CARGO_PKG_VERSION"), contract::VERSION);
    let mut lines = vec![
        Line::holds(PART, "program", program),
        Line::holds(PART, "wasmtime", format!("{} is built in", env!("HARNESS_WASMTIME"))),
        sqlite(),
    ];
    let cache = Some(host::code_cache(&config.data_dir));
    let options = RuntimeOptions { cache, cache_read_only: true, ..RuntimeOptions::default() };
    let runtime = match Runtime::new(options) {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = ConnectorError::Runtime(error);
            lines.push(refused("engine", &error));
            return (lines, Vec::new());
        }
    };
    let used = |name: &str| {
        config.tenants.iter().flat_map(|tenant| &tenant.connectors).any(|connector| connector.name == name)
    };
    let mut plugins: Vec<Plugin> = Vec::new();
    let built_in = std::iter::once((connectors::BUILT_IN[0], None));
    let added = config.components.iter().map(|(name, files)| (name.as_str(), Some(files)));
    for (name, files) in built_in.chain(added) {
        let (line, plugin) = load(&runtime, name, files, used(name));
        lines.push(line);
        plugins.extend(plugin);
    }
    let mut declared = Vec::new();
    for tenant in &config.tenants {
        for connector in &tenant.connectors {
            let name = format!("{} / {}", tenant.name, connector.name);
            // A connector that could not be loaded has a line of its own.
            let Some(plugin) = plugins.iter().find(|one| one.manifest().connector == connector.name) else {
                continue;
            };
            match connectors::profile(plugin, connector) {
                Ok(profile) => {
                    lines.push(Line::holds(PART, name, "the settings are accepted"));
                    declared.push(Declared {
                        tenant: tenant.name.clone(),
                        connector: connector.name.clone(),
                        manifest: plugin.manifest().clone(),
                        profile,
                    });
                }
                Err(error) => lines.extend(settings_problems(&error, connector).into_iter().map(|one| {
                    let place = one.line.map(|line| format!("line {line}, ")).unwrap_or_default();
                    let message = format!("{place}{}: {}", one.path, one.message);
                    Line::fails(PART, name.clone(), message).who(one.code, one.actor, one.remedy)
                })),
            }
        }
    }
    (lines, declared)
}

fn sqlite() -> Line {
    let version = rusqlite::version();
    if rusqlite::version_number() >= SQLITE {
        return Line::holds(PART, "SQLite", format!("{version} is built in"));
    }
    Line::fails(PART, "SQLite", format!("{version} is built in, and its log can be damaged")).operator(
        "sqlite-too-old",
        "Build the program with the SQLite that it brings along, 3.51.3 or newer.",
    )
}

fn load(runtime: &Runtime, name: &str, files: Option<&ComponentFiles>, used: bool) -> (Line, Option<Plugin>) {
    let connector = match files {
        Some(files) => Connector::read(name, files),
        None => Connector::embedded(),
    };
    let plugin = connector.and_then(|connector| {
        let loaded = runtime.load(&connector.component, &connector.manifest);
        loaded.map_err(|error: LoadError| ConnectorError::Load(name.into(), error))
    });
    match plugin {
        Ok(plugin) => {
            let digest = hex::encode(&plugin.digest());
            let whose = if used { "" } else { ", and no tenant uses it" };
            let contract = &plugin.manifest().contract;
            let message = format!("contract {contract}, SHA-256 {digest}: it loads{whose}");
            (Line::holds(PART, name, message), Some(plugin))
        }
        Err(error) => (refused(name, &error), None),
    }
}

fn refused(name: &str, error: &ConnectorError) -> Line {
    let actor = match error {
        ConnectorError::Load(_, error) => error.actor(),
        _ => Actor::Operator.as_str(),
    };
    Line::fails(PART, name, error.to_string()).who(error.code(), actor, error.remedy())
}
