//! What a tenant says about MoEngage: the block `connectors.moengage`.

mod campaigns;
pub mod condition;
pub mod connector_campaigns;
mod consistency;
mod conversion;
pub mod deletes;
mod events;
mod exports;
pub mod field;
pub mod lists;
mod mapping;
mod naming;
pub mod objects;
mod options;
mod phones;
mod problem;
mod resources;
pub mod rule_actions;
pub mod rules;
pub mod segment_sync;
mod stats;
pub mod template;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::json::{self, Object, Scalar};
pub use campaigns::Campaigns;
use campaigns::campaigns;
pub use connector_campaigns::ConnectorCampaigns;
use connector_campaigns::connector_campaigns;
pub use conversion::Conversion;
use deletes::{Deletes, deletes};
use events::event_mapping;
pub use events::{EventMapping, PropertyChoice};
use exports::exports;
pub use exports::{EXPORTS_SLOT, Exports};
use lists::Roles;
use mapping::{Around, AttributeMappings, field_mapping};
pub use mapping::{AttributeMapping, AttributeType, BREVO_OWN};
pub use naming::without_mark;
use objects::{Objects, objects};
pub use options::HistoricalProfiles;
use options::{Options, options};
pub use phones::PhoneCountry;
pub use problem::Problem;
use problem::{Problems, below};
pub use resources::Named;
use resources::{Choices, key_for, key_of_switch, switches};
use rules::{Rule, rules};
pub use segment_sync::SegmentSync;
use segment_sync::segment_sync;
use stats::{Stats, stats};
use webhook::webhook;
pub use webhook::{WEBHOOK_SLOT, WebhookAuth};

/// Settings that were validated completely.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) workspace_id: String,
    pub(crate) data_center: String,
    pub(crate) environment: Environment,
    pub(crate) project_code: Option<String>,
    pub(crate) keys: Vec<KeySlot>,
    pub(crate) webhook_auth: WebhookAuth,
    /// Event export files; none where the tenant names none.
    pub(crate) exports: Option<Exports>,
    pub(crate) sync: Sync,
    /// Attributes that become Brevo attributes.
    pub(crate) attributes: Vec<AttributeMapping>,
    /// The user attribute that holds the phone number; none where the tenant wants none.
    pub(crate) phone_attribute: Option<String>,
    /// Event code to what becomes of its events.
    pub(crate) events: BTreeMap<String, EventMapping>,
    pub(crate) options: Options,
    pub(crate) campaigns: Campaigns,
    /// What is read and by which key.
    pub(crate) choices: Choices,
    /// Ids that MoEngage doesn't list.
    pub(crate) named: Named,
    pub(crate) stats: Stats,
    /// Outbound Segment Sync; none where MoEngage pushes no segments.
    pub(crate) segment_sync: Option<SegmentSync>,
    /// Whether MoEngage pushes its alerts.
    pub(crate) alerts: bool,
    /// Connector campaigns; none where there are none that come here.
    pub(crate) connector_campaigns: Option<ConnectorCampaigns>,
    /// Lists at Brevo by their role.
    pub(crate) lists: Roles,
    /// What else is to happen when something happened.
    pub(crate) rules: Vec<Rule>,
    /// The user attributes that rules ask for, each once.
    pub(crate) rule_attributes: BTreeSet<String>,
    /// What things become at Brevo.
    pub(crate) objects: Objects,
    /// Which events delete people; none where none does.
    pub(crate) deletes: Option<Deletes>,
}

/// Which of a workspace's two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    Live,
    Test,
}

/// An API key that the settings fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySlot {
    Data,
    Campaigns,
    Segmentation,
}

impl KeySlot {
    pub const ALL: [Self; 3] = [Self::Data, Self::Campaigns, Self::Segmentation];

    /// The slot's name, which is also the key under `keys` and the endpoint in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Campaigns => "campaigns",
            Self::Segmentation => "segmentation",
        }
    }
}

/// What the tenant wants at Brevo.
#[derive(Clone, Copy, Debug)]
pub struct Sync {
    pub contacts: bool,
    pub events: bool,
    pub consent: bool,
}

// MD:api/introduction.mdx lists these seven. A workspace can't move between them, so a wrong one
// is never tried in silence.
const DATA_CENTERS: [&str; 7] = ["01", "02", "03", "04", "05", "06", "101"];

const TOP: [&str; 25] = [
    "workspace_id",
    "data_center",
    "environment",
    "project_code",
    "keys",
    "webhook",
    "exports",
    "sync",
    "field_mapping",
    "event_mapping",
    "options",
    "campaigns",
    "key_for",
    "catalogs",
    "cards",
    "recommendations",
    "report_files",
    "campaign_stats",
    "segment_sync",
    "alerts",
    "connector_campaigns",
    "lists",
    "rules",
    "objects",
    "deletes",
];

impl Settings {
    /// Reads and validates the whole block, given as JSON.
    ///
    /// # Errors
    /// Every problem, in the order of the settings; missing keys follow what is there.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let settings = read(text, &mut problems);
        match settings {
            Some(settings) if problems.0.is_empty() => Ok(settings),
            _ => Err(problems.0),
        }
    }

    /// The name under which every record id is made. Live and test never share one.
    pub(crate) fn workspace(&self) -> String {
        match self.environment {
            Environment::Live => self.workspace_id.clone(),
            // A workspace id has no dot, so this can't be another workspace's live name.
            Environment::Test => format!("{}.test", self.workspace_id),
        }
    }
}

/// Values as they are found; what stays missing is a problem or gets its default.
#[derive(Default)]
struct Found {
    workspace_id: Option<String>,
    data_center: Option<String>,
    environment: Option<Environment>,
    project_code: Option<String>,
    keys: Vec<KeySlot>,
    /// Those whose value is no reference to a secret.
    refused_keys: Vec<KeySlot>,
    webhook_auth: Option<WebhookAuth>,
    exports: Option<Exports>,
    sync: Option<Sync>,
    fields: Option<AttributeMappings>,
    events: BTreeMap<String, EventMapping>,
    options: Option<Options>,
    campaigns: Option<Campaigns>,
    choices: Choices,
    named: Named,
    stats: Option<Stats>,
    segment_sync: Option<SegmentSync>,
    alerts: bool,
    connector_campaigns: Option<ConnectorCampaigns>,
    lists: Roles,
    rules: Vec<Rule>,
    objects: Objects,
    deletes: Option<Deletes>,
}

fn read(text: &str, problems: &mut Problems) -> Option<Settings> {
    if let Err(fault) = json::check(text) {
        problems.add(
            fault.code(),
            "",
            &format!("The settings can't be read as JSON. {}", fault.message()),
            "Correct the configuration file.",
        );
        return None;
    }
    let Some(object) = Object::parse(text) else {
        problems.add(
            "wrong-type",
            "",
            "The settings are not a block of keys.",
            "Write the keys of connectors.moengage below it.",
        );
        return None;
    };

    // The mapping refers to options, which may stand after it and are checked there.
    let given = object.raw("options").and_then(|raw| Object::parse(raw.get()));
    let option = |key: &str| Some(given.as_ref()?.get(key)?.text()?.into_owned());
    let defaults = Options::default();
    let around = Around {
        email_attribute: option("email_attribute").unwrap_or(defaults.email_attribute),
        attribute_prefix: option("attribute_prefix").unwrap_or(defaults.attribute_prefix),
    };

    // Rules name lists by roles, which may stand after them; what is wrong there is said there.
    let roles = object.raw("lists").map(|raw| lists::roles("lists", raw, &mut Problems::default()));
    let roles = roles.unwrap_or_default();

    let mut found = Found::default();
    for (key, raw) in object.entries() {
        let path = below("", key);
        match key {
            "workspace_id" => found.workspace_id = workspace_id(&path, raw, problems),
            "data_center" => {
                let code = "unknown-data-center";
                found.data_center = problems.one_of(&path, raw, code, &DATA_CENTERS).map(Into::into);
            }
            "environment" => {
                found.environment = problems
                    .one_of(&path, raw, "unknown-environment", &["live", "test"])
                    .map(|text| if text == "test" { Environment::Test } else { Environment::Live });
            }
            "project_code" => found.project_code = problems.text(&path, raw).map(Into::into),
            "keys" => (found.keys, found.refused_keys) = keys(&path, raw, problems),
            "webhook" => found.webhook_auth = webhook(&path, raw, problems),
            "exports" => found.exports = exports(&path, raw, problems),
            "sync" => found.sync = sync(&path, raw, &mut found.choices, problems),
            "key_for" => key_for(&path, raw, &mut found.choices, problems),
            "catalogs" => found.named.catalogs = resources::catalogs(&path, raw, problems),
            "cards" => found.named.card_users = card_users(&path, raw, problems),
            "recommendations" => {
                found.named.recommendations = resources::recommendations(&path, raw, problems)
            }
            "campaign_stats" => found.stats = Some(stats(&path, raw, problems)),
            "report_files" => found.named.report_files = resources::report_files(&path, raw, problems),
            "field_mapping" => found.fields = field_mapping(&path, raw, &around, problems),
            "event_mapping" => found.events = event_mapping(&path, raw, problems),
            "options" => found.options = options(&path, raw, problems),
            "campaigns" => found.campaigns = campaigns(&path, raw, problems),
            "segment_sync" => found.segment_sync = segment_sync(&path, raw, problems),
            "alerts" => found.alerts = problems.boolean(&path, raw).unwrap_or_default(),
            "connector_campaigns" => {
                found.connector_campaigns = connector_campaigns(&path, raw, problems);
            }
            "lists" => found.lists = lists::roles(&path, raw, problems),
            "rules" => found.rules = rules(&path, raw, &roles, problems),
            "objects" => found.objects = objects(&path, raw, problems),
            "deletes" => found.deletes = deletes(&path, raw, problems),
            _ => problems.unknown_key(&path, &TOP),
        }
    }
    for (key, remedy) in [
        ("workspace_id", "Copy it from MoEngage: Settings, Account, APIs, Workspace ID."),
        ("data_center", "Take the number in your dashboard's address (dashboard-01: \"01\")."),
        ("environment", "Write live or test."),
        ("webhook", "Say how MoEngage authenticates its webhooks: auth and secret."),
    ] {
        if object.raw(key).is_none() {
            problems.missing(key, remedy);
        }
    }

    needed_keys(&found, problems);

    let fields = found.fields.unwrap_or_else(|| AttributeMappings::defaults(&around.attribute_prefix));
    let options = found.options.unwrap_or_default();
    for clash in crate::activate::name_clashes(&found.events, &options.event_prefix) {
        problems.add(
            if clash.is_derived { "derived-name-clash" } else { "duplicate-event-name" },
            &below("event_mapping", &clash.code),
            &format!("It has the same Brevo name as {}.", clash.other),
            "Give every event code a name of its own.",
        );
    }
    let mut rule_attributes = BTreeSet::new();
    rule_attributes.extend(found.rules.iter().flat_map(Rule::user_attributes));
    let settings = Settings {
        workspace_id: found.workspace_id?,
        data_center: found.data_center?,
        environment: found.environment?,
        project_code: found.project_code,
        keys: found.keys,
        webhook_auth: found.webhook_auth?,
        exports: found.exports,
        sync: found.sync.unwrap_or(Sync { contacts: true, events: true, consent: true }),
        attributes: fields.attributes,
        phone_attribute: fields.phone,
        events: found.events,
        options,
        campaigns: found.campaigns.unwrap_or_default(),
        choices: found.choices,
        named: found.named,
        stats: found.stats.unwrap_or_default(),
        segment_sync: found.segment_sync,
        alerts: found.alerts,
        connector_campaigns: found.connector_campaigns,
        lists: found.lists,
        rules: found.rules,
        rule_attributes,
        objects: found.objects,
        deletes: found.deletes,
    };
    consistency::check(&settings, problems);
    Some(settings)
}

/// What needs a key that isn't there.
fn needed_keys(found: &Found, problems: &mut Problems) {
    let profile_refresh = found.options.as_ref().is_some_and(|options| options.profile_refresh.is_some());
    let mut wanted = vec![
        (profile_refresh, KeySlot::Data, "options.profile_refresh".to_owned()),
        (found.campaigns.is_some(), KeySlot::Campaigns, "campaigns".to_owned()),
        (found.stats.is_some(), KeySlot::Campaigns, "campaign_stats".to_owned()),
        // MoEngage signs its alerts with it.
        (found.alerts, KeySlot::Campaigns, "alerts".to_owned()),
    ];
    let switched_on = found.choices.reads.iter().filter(|(_, on)| **on);
    wanted.extend(switched_on.filter_map(|(switch, _)| {
        Some((true, key_of_switch(switch, &found.choices)?, format!("sync.{switch}")))
    }));
    // One problem for a key, however many things need it.
    let mut missing = Vec::new();
    for (wanted, slot, what) in wanted {
        // A key that was given wrongly has its own problem.
        let there = found.keys.contains(&slot) || found.refused_keys.contains(&slot);
        if wanted && !there && !missing.contains(&slot) {
            missing.push(slot);
            let variable = slot.name().to_uppercase();
            problems.missing(
                &below("keys", slot.name()),
                &format!("Write \"${{MOENGAGE_{variable}_KEY}}\" and set that variable, or remove {what}."),
            );
        }
    }
    // What is to be read has to be named, where MoEngage doesn't list it.
    for (switch, block, named) in [
        ("catalog_items", "catalogs", !found.named.catalogs.is_empty()),
        ("cards", "cards", !found.named.card_users.is_empty()),
        ("recommendations", "recommendations", !found.named.recommendations.is_empty()),
        ("report_files", "report_files", !found.named.report_files.is_empty()),
    ] {
        if found.choices.reads.get(switch) == Some(&true) && !named {
            problems.missing(block, &format!("Name what is to be read, or remove sync.{switch}."));
        }
    }
}

fn workspace_id(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<String> {
    let text = problems.text(path, raw)?;
    let fits = (4..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !fits {
        problems.add(
            "bad-workspace-id",
            path,
            "workspace_id is not 4 to 64 letters, digits, underscores or hyphens.",
            "Copy it from MoEngage: Settings, Account, APIs, Workspace ID.",
        );
        return None;
    }
    Some(text.into_owned())
}

/// The slots that are filled, and those that are filled wrongly.
fn keys(path: &str, raw: &RawValue, problems: &mut Problems) -> (Vec<KeySlot>, Vec<KeySlot>) {
    let (mut slots, mut refused) = (Vec::new(), Vec::new());
    let Some(object) = problems.object(path, raw) else { return (slots, KeySlot::ALL.to_vec()) };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let Some(slot) = KeySlot::ALL.into_iter().find(|slot| slot.name() == key) else {
            problems.unknown_key(&path, &KeySlot::ALL.map(KeySlot::name));
            continue;
        };
        let list = if is_slot(&path, raw, slot.name(), problems) { &mut slots } else { &mut refused };
        list.push(slot);
    }
    (slots, refused)
}

/// A key that means nothing because of what another key says.
fn unused(path: &str, with: &str, correct: &str, problems: &mut Problems) {
    problems.add(
        "unused-key",
        path,
        &format!("{path} means nothing with {with}."),
        &format!("Remove it, or correct {correct}."),
    );
}

/// A secret's place holds the name of its slot; the secret itself stays with the host.
fn is_slot(path: &str, raw: &RawValue, slot: &str, problems: &mut Problems) -> bool {
    if Scalar::of(raw) == Scalar::Text(slot.into()) {
        return true;
    }
    problems.add(
        "not-a-secret",
        path,
        &format!("{path} is not a reference to a secret."),
        "Write the name of an environment variable as \"${UPPER_SNAKE}\", never the secret itself.",
    );
    false
}

fn sync(path: &str, raw: &RawValue, choices: &mut Choices, problems: &mut Problems) -> Option<Sync> {
    let object = problems.object(path, raw)?;
    let mut sync = Sync { contacts: true, events: true, consent: true };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let place = match key {
            "contacts" => &mut sync.contacts,
            "events" => &mut sync.events,
            "consent" => &mut sync.consent,
            _ => {
                let Some(switch) = switches().find(|switch| *switch == key) else {
                    let known: Vec<_> =
                        ["contacts", "events", "consent"].into_iter().chain(switches()).collect();
                    problems.unknown_key(&path, &known);
                    continue;
                };
                if let Some(value) = problems.boolean(&path, raw) {
                    choices.reads.insert(switch, value);
                }
                continue;
            }
        };
        if let Some(value) = problems.boolean(&path, raw) {
            *place = value;
        }
    }
    Some(sync)
}

/// Reads `cards`: whose.
fn card_users(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<String> {
    let Some(object) = problems.object(path, raw) else { return Vec::new() };
    let mut users = Vec::new();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "users" => users = resources::ids(&path, raw, problems),
            _ => problems.unknown_key(&path, &["users"]),
        }
    }
    if object.raw("users").is_none() {
        problems.missing(&below(path, "users"), "Name the customer ids whose cards are to be read.");
    }
    users
}
