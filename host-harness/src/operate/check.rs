//! Does a configuration work? Settings, secrets and accounts, each tried by something harmless.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::brevo::account::{self, Client, NoAnswer};
use crate::config::{ConnectorConfig, Destination, Place};
use crate::connectors;
use crate::contract::{FailureKind, Next, PageRequest, Position, Profile, ResourceSpec, Surface, SyncMode};
use crate::delivery::beside::Beside;
use crate::manifest::Manifest;
use crate::networks::Network;
use crate::plugin::{ConfigureError, Plugin};
use crate::store::StoreError;
use crate::store::dead_letters::Actor;
use crate::unit::{Services, Unit, UnitError, Work};
use crate::world::{Millis, TransportErrorKind};

/// What is wrong with a tenant's settings, and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingsProblem {
    /// Line in the configuration file, from 1.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// Path under the connector's block.
    pub path: String,
    /// Stable code.
    pub code: String,
    /// Who must act.
    pub actor: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// The end of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// It works.
    Verified,
    /// It was refused; somebody must act.
    Refused,
    /// No answer that would say so: an outage, a full rate window, a broken connector.
    CannotTell,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The check resource, an endpoint that is not placed, or `brevo-account`.
    pub name: String,
    /// The secret that was tried, if it was one.
    pub slot: Option<String>,
    /// How it ended.
    pub result: Result,
    /// Stable code, where it is not verified.
    pub code: Option<String>,
    /// Who must act.
    pub actor: Option<&'static str>,
    /// What happened.
    pub message: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

impl Probe {
    fn verified(name: &str, slot: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            slot: slot.map(str::to_owned),
            result: Result::Verified,
            code: None,
            actor: None,
            message: None,
            remedy: None,
        }
    }

    fn not(
        self,
        result: Result,
        code: impl Into<String>,
        actor: Actor,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            result,
            code: Some(code.into()),
            actor: Some(actor.as_str()),
            message: Some(message.into()),
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// Every problem of a refused configuration, with its place in the file.
pub fn settings_problems(error: &ConfigureError, config: &ConnectorConfig) -> Vec<SettingsProblem> {
    let located = |path: &str, actor, code: &str, message: &str, remedy: &str| {
        let place: Option<Place> = config.place(path);
        SettingsProblem {
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            path: path.to_owned(),
            code: code.to_owned(),
            actor,
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    };
    let (actor, problems) = match error {
        ConfigureError::Settings(problems) => ("tenant", problems),
        ConfigureError::Profile(problems) => ("connector-author", problems),
        ConfigureError::Fault { code, message } => {
            let remedy = "Send the settings to the connector's author.";
            return vec![located("", "connector-author", code, message, remedy)];
        }
    };
    let with = |one: &crate::contract::Problem| {
        // The operator grants the manifest and says who may send; everything else of a profile is
        // the author's.
        let operators = ["profile-beyond-manifest", "senders-not-listed", "unknown-surface"];
        let actor = if operators.contains(&one.code.as_str()) { "operator" } else { actor };
        located(&one.path, actor, &one.code, &one.message, &one.remedy)
    };
    problems.iter().map(with).collect()
}

/// Who may send to a surface, beside having its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Senders {
    /// The surface.
    pub surface: String,
    /// Whether only the listed addresses may.
    pub held: bool,
    /// Those that the vendor names for these settings; empty where it names none.
    pub listed: Vec<IpAddr>,
    /// Proxies that are believed about whom they speak for.
    pub proxies: Vec<String>,
}

/// Every surface, and whether the addresses of its senders are looked at.
pub fn senders(
    manifest: &Manifest,
    config: &ConnectorConfig,
    profile: &Profile,
    proxies: &[Network],
) -> Vec<Senders> {
    let settings = serde_json::from_str(&config.settings_json).unwrap_or(Value::Null);
    let of = |surface: &Surface| Senders {
        surface: surface.name.clone(),
        held: config.only_listed_senders.contains(&surface.name),
        listed: connectors::senders(manifest, &settings, &surface.name).unwrap_or_default(),
        proxies: proxies.iter().map(Network::to_string).collect(),
    };
    profile.surfaces.iter().map(of).collect()
}

/// Runs every check resource of a profile, after a look at endpoints that only the operator can
/// place. `services` makes what one unit reaches.
pub fn probes(
    plugin: &Plugin,
    config: &ConnectorConfig,
    profile: &Profile,
    services: &dyn Fn(&str) -> Arc<dyn Services>,
    now: Millis,
) -> Vec<Probe> {
    let checks = profile.resources.iter().filter(|resource| resource.mode == SyncMode::Check);
    // A check whose optional secret is not given has nothing to try.
    let given =
        |resource: &&ResourceSpec| resource.slot.as_ref().is_none_or(|slot| config.slots.contains_key(slot));
    let mut probes = unplaced(plugin.manifest(), config, profile);
    probes.extend(checks.filter(given).map(|resource| probe(plugin, config, resource, services, now)));
    probes
}

/// Endpoints that a resource calls, whose origin is neither in the manifest nor in the
/// configuration.
fn unplaced(manifest: &Manifest, config: &ConnectorConfig, profile: &Profile) -> Vec<Probe> {
    let used: BTreeSet<&str> = profile.resources.iter().map(|resource| resource.endpoint.as_str()).collect();
    let open = |name: &&str| {
        manifest.endpoints.get(*name).is_some_and(|endpoint| endpoint.origin.is_none())
            && !config.endpoints.contains_key(*name)
    };
    let missing = used.into_iter().filter(open).map(|name| {
        Probe::verified(name, None).not(
            Result::Refused,
            "endpoint-needs-origin",
            Actor::Operator,
            "nothing says where this endpoint is",
            format!("Write `{name}: \"https://host\"` under `endpoints` in the connector's block."),
        )
    });
    missing.collect()
}

fn probe(
    plugin: &Plugin,
    config: &ConnectorConfig,
    resource: &ResourceSpec,
    services: &dyn Fn(&str) -> Arc<dyn Services>,
    now: Millis,
) -> Probe {
    let unit = Unit {
        settings: config.settings_json.clone(),
        now,
        work: Work::Page(PageRequest {
            settings: config.settings_json.clone(),
            resource: resource.name.clone(),
            position: Position::Start,
            budget: 1,
            now,
        }),
    };
    let verified = Probe::verified(&resource.name, resource.slot.as_deref());
    match plugin.run(&unit, services(&resource.name)) {
        Ok(outcome) if matches!(outcome.next, Some(Next::Done(_))) => verified,
        Ok(_) => verified.not(
            Result::CannotTell,
            "check-not-done",
            Actor::ConnectorAuthor,
            "the check did not come to an end",
            "Send this to the connector's author.",
        ),
        Err(UnitError::Fault { code, message }) => verified.not(
            Result::CannotTell,
            code,
            Actor::ConnectorAuthor,
            message,
            "Send this to the connector's author.",
        ),
        Err(UnitError::Failure(failure)) => {
            let (result, actor, remedy) = judge(&failure.kind);
            verified.not(result, failure.code, actor, failure.message, remedy)
        }
    }
}

fn judge(kind: &FailureKind) -> (Result, Actor, String) {
    match kind {
        FailureKind::Auth(slot) => {
            (Result::Refused, Actor::Tenant, format!("Put a valid secret where the slot `{slot}` is filled."))
        }
        FailureKind::Permission((slot, scope)) => (
            Result::Refused,
            Actor::Tenant,
            format!("Give the key in the slot `{slot}` this permission at the vendor: {scope}."),
        ),
        FailureKind::Config => (
            Result::Refused,
            Actor::Tenant,
            "Do what the message says, in the settings or at the vendor.".into(),
        ),
        FailureKind::Gone => {
            (Result::Refused, Actor::Tenant, "Restore at the vendor what the settings name.".into())
        }
        FailureKind::RateLimited(_) | FailureKind::Transient => {
            (Result::CannotTell, Actor::Nobody, "Try again later.".into())
        }
        FailureKind::Cursor | FailureKind::VendorContract(_) | FailureKind::Internal => {
            (Result::CannotTell, Actor::ConnectorAuthor, "Send this to the connector's author.".into())
        }
    }
}

/// Whether the call of a check is counted in the account's rate windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Like every call of the host.
    Yes,
    /// No host has kept windows of the account: it is one call, for each time it is asked.
    NoWindows,
    /// There is no room before that instant, so nothing may be asked.
    Full(Millis),
}

/// Counts the call of a check of this account, in the store of a host that may be running.
///
/// # Errors
/// Where the store fails; nothing may be asked then.
pub fn count(store: &Path, account: &Destination, now: Millis) -> std::result::Result<Counted, StoreError> {
    let Some(windows) = Beside::of(store, account)? else { return Ok(Counted::NoWindows) };
    Ok(windows.count(account::check().family, now)?.map_or(Counted::Yes, Counted::Full))
}

/// The account was not asked, because its windows are full.
pub fn brevo_is_busy() -> Probe {
    Probe::verified("brevo-account", Some("api_key")).not(
        Result::CannotTell,
        "rate-window-full",
        Actor::Nobody,
        "the account's calls of this hour are used up, but for those that are kept free for live work",
        "Try again later.",
    )
}

/// Asks Brevo who the key belongs to; changes nothing.
pub fn brevo(client: &Client) -> Probe {
    let verified = Probe::verified("brevo-account", Some("api_key"));
    let answer = match client.send(&account::check()) {
        Ok(answer) => answer,
        Err(NoAnswer::NoKey) => {
            return verified.not(
                Result::Refused,
                "brevo-key-missing",
                Actor::Operator,
                "the API key is empty",
                "Set the variable that `brevo.api_key` names.",
            );
        }
        Err(NoAnswer::Transport(error)) => {
            let denied = error.kind == TransportErrorKind::Denied;
            let (result, code, remedy) = if denied {
                let remedy =
                    "Correct `brevo.base_url`; a private address needs `host.allow_private_addresses`.";
                (Result::Refused, "brevo-address-denied", remedy)
            } else {
                (Result::CannotTell, "brevo-unreachable", "Try again later; check this machine's way out.")
            };
            return verified.not(result, code, Actor::Operator, error.message, remedy);
        }
    };
    match account::read_check(&answer) {
        Ok(()) => verified,
        Err(problem) => {
            use crate::brevo::errors::Kind;
            let rule = problem.kind.rule();
            let result = match problem.kind {
                Kind::BadKey
                | Kind::IpNotAuthorised
                | Kind::MissingScope
                | Kind::Forbidden
                | Kind::AccountUnderValidation => Result::Refused,
                _ => Result::CannotTell,
            };
            verified.not(result, rule.code, rule.actor, rule.message, rule.action)
        }
    }
}
