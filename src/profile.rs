//! What the connector declares for one tenant's settings.

use std::collections::BTreeSet;

use crate::activate;
use crate::json::to_json;
use crate::model::Nature;
use crate::settings::deletes::{Behavior, DELETED_AT};
use crate::settings::rules::Rule;
use crate::settings::{
    AttributeType, BREVO_OWN, EXPORTS_SLOT, Environment, KeySlot, Problem, Settings, WEBHOOK_SLOT,
};
use crate::source::{CURSOR_VERSION, resources, surfaces};

/// What a configuration reads, receives and can cause.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `moengage`.
    pub connector: String,
    /// Semver.
    pub version: String,
    /// The namespace of every record id.
    pub workspace: String,
    /// The settings that select source data, as canonical JSON.
    pub source_key: String,
    /// Formats of cursors that can be read.
    pub cursor_versions: Vec<u32>,
    /// Slots that the settings fill.
    pub slots: Vec<SecretSlot>,
    /// What can be read, and a check for each API key.
    pub resources: Vec<ResourceSpec>,
    /// Streams, and what else MoEngage pushes to.
    pub surfaces: Vec<Surface>,
    /// What can be touched at Brevo.
    pub targets: Targets,
}

/// A secret that the host keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSlot {
    /// Its name.
    pub name: String,
    /// What it is and where a person finds it.
    pub purpose: String,
    /// True where nothing works without it.
    pub required: bool,
}

/// How a resource is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The whole list each time; changes are found by content.
    Full,
    /// From a cursor onward.
    Incremental,
    /// Probes one credential and reads nothing.
    Check,
}

/// Something that can be read page by page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceSpec {
    /// Unique, `lower-kebab-case`.
    pub name: String,
    /// Kind of its records; `check` for a resource that yields none.
    pub kind: String,
    /// Fields of the body that make up MoEngage's key.
    pub primary_key: Vec<String>,
    /// Whether its records happened once or can change.
    pub nature: Nature,
    /// How it is read.
    pub mode: SyncMode,
    /// In words.
    pub cursor_strategy: String,
    /// Largest number of records of a page.
    pub page_limit: u32,
    /// In words.
    pub replay_policy: String,
    /// Seconds between two runs; 0 is only on request.
    pub cadence: u32,
    /// JSON Schema of a record's body.
    pub schema: String,
    /// Endpoint of the manifest.
    pub endpoint: String,
    /// Slot of the secret that it needs.
    pub slot: Option<String>,
    /// The vendor's documented limits.
    pub rate_windows: Vec<RateWindow>,
}

/// At most `calls` in any `seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// Number of calls.
    pub calls: u32,
    /// Length of the window.
    pub seconds: u32,
}

/// A fixed answer to a webhook request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAnswer {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: String,
    /// Body.
    pub body: String,
}

/// Where MoEngage pushes to.
#[derive(Clone, Debug)]
pub struct Surface {
    /// Its name.
    pub name: String,
    /// Name of the inbound scheme in the manifest.
    pub verification: String,
    /// Given once the body is durable.
    pub answer: StaticAnswer,
    /// Headers that are passed on, lower case.
    pub headers: Vec<String>,
    /// In words: what identifies a repeated delivery.
    pub dedupe_key: String,
    /// Kinds of records with the JSON Schema of their bodies.
    pub schemas: Vec<(String, String)>,
    /// Largest body in bytes.
    pub body_cap: u32,
    /// How long, in seconds, a delivery may be repeated.
    pub replay_window: u32,
}

/// What can be touched at Brevo.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Attributes.
    pub attributes: Vec<AttributeTarget>,
    /// Event names that are known beforehand, sorted.
    pub events: Vec<String>,
    /// Names of events that are not known beforehand start with it.
    pub event_prefix: Option<String>,
}

/// A Brevo attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeTarget {
    /// Upper case.
    pub name: String,
    /// Its type.
    pub kind: AttributeType,
    /// False for Brevo's own, which are looked up and never created.
    pub create: bool,
}

/// Validates the settings completely and says what they come to.
///
/// # Errors
/// Every problem at once, in the order of the settings.
pub fn configure(settings: &str) -> Result<Profile, Vec<Problem>> {
    Settings::parse(settings).map(|settings| profile(&settings))
}

fn profile(settings: &Settings) -> Profile {
    Profile {
        connector: "moengage".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workspace: settings.workspace(),
        source_key: source_key(settings),
        cursor_versions: vec![CURSOR_VERSION],
        slots: slots(settings),
        resources: resources(settings),
        surfaces: surfaces(settings),
        targets: targets(settings),
    }
}

/// Canonical JSON: sorted keys, no spaces.
fn source_key(settings: &Settings) -> String {
    let environment = match settings.environment {
        Environment::Live => "live",
        Environment::Test => "test",
    };
    // Where export files lie selects data as well; without the block the key stays what it was.
    let exports = settings.exports.as_ref().map_or_else(String::new, |exports| {
        format!(
            r#""exports":{{"bucket":{},"db_name":{},"folder":{},"storage":{}}},"#,
            to_json(&exports.store.bucket()),
            to_json(&exports.db_name),
            to_json(&exports.folder),
            to_json(&exports.store.endpoint()),
        )
    });
    format!(
        r#"{{"data_center":{},"environment":"{environment}",{exports}"project_code":{},"workspace_id":{}}}"#,
        to_json(&settings.data_center),
        to_json(&settings.project_code),
        to_json(&settings.workspace_id),
    )
}

fn slots(settings: &Settings) -> Vec<SecretSlot> {
    let slot = |name: &str, purpose: &str, required| SecretSlot {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
        required,
    };
    // Tiles of the dashboard: MD:snippets/api-authentication.mdx.
    let key = |key: &KeySlot| match key {
        KeySlot::Data => {
            slot(key.name(), "The Data API key; in MoEngage under Settings, Account, APIs, tile Data.", false)
        }
        KeySlot::Campaigns => slot(
            key.name(),
            "The campaign API key; in MoEngage under Settings, Account, APIs, tile Campaign report / Business events.",
            false,
        ),
        KeySlot::Segmentation => slot(
            key.name(),
            "The key for segments; in MoEngage under Settings, Account, APIs (in workspaces without such a tile the Data key).",
            false,
        ),
    };
    let mut slots: Vec<_> = settings.keys.iter().map(key).collect();
    if settings.exports.is_some() {
        slots.push(slot(
            EXPORTS_SLOT,
            "The secret of the store with MoEngage's export files: that of the access key (for Google an HMAC key), or the password.",
            true,
        ));
    }
    slots.push(slot(
        WEBHOOK_SLOT,
        "The secret by which MoEngage authenticates its webhooks; you choose it and name it in the Streams ticket.",
        true,
    ));
    slots
}

fn targets(settings: &Settings) -> Targets {
    let mut targets = Targets::default();
    if settings.sync.contacts {
        let target = |mapping: &crate::settings::AttributeMapping| AttributeTarget {
            name: mapping.to.clone(),
            kind: mapping.kind,
            create: !BREVO_OWN.contains(&mapping.to.as_str()),
        };
        targets.attributes = settings.attributes.iter().map(target).collect();
    }
    if settings.deletes.as_ref().is_some_and(|deletes| deletes.behavior == Behavior::Soft) {
        let name = DELETED_AT.to_owned();
        targets.attributes.push(AttributeTarget { name, kind: AttributeType::Date, create: true });
    }
    if settings.sync.events {
        // `extend` inserts one by one; `collect` would bring a whole sort into the component.
        let mut names = BTreeSet::new();
        names.extend(activate::known_event_names(settings));
        targets.events = names.into_iter().collect();
        targets.event_prefix =
            settings.options.carry_unknown_events.then(|| settings.options.event_prefix.clone());
    }
    for event in settings.rules.iter().flat_map(Rule::events) {
        if let Err(place) = targets.events.binary_search_by(|known| known.as_str().cmp(event)) {
            targets.events.insert(place, event.to_owned());
        }
    }
    targets
}
