//! What a tenant says about MoEngage: the block `connectors.moengage`.

mod mapping;
mod problem;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::json::{self, Object, Scalar};
pub use mapping::{AttributeMapping, AttributeType, BREVO_OWN};
use mapping::{AttributeMappings, event_mapping, field_mapping};
pub use problem::Problem;
use problem::{Problems, below};

/// Settings that were validated completely.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) workspace_id: String,
    pub(crate) data_center: String,
    pub(crate) environment: Environment,
    pub(crate) project_code: Option<String>,
    pub(crate) keys: Vec<KeySlot>,
    pub(crate) webhook_auth: WebhookAuth,
    pub(crate) sync: Sync,
    /// Attributes that become Brevo attributes.
    pub(crate) attributes: Vec<AttributeMapping>,
    /// The user attribute that holds the phone number; none where the tenant wants none.
    pub(crate) phone_attribute: Option<String>,
    /// Event code to Brevo event name; none drops the event.
    pub(crate) event_names: BTreeMap<String, Option<String>>,
    pub(crate) options: Options,
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

/// Name of the slot that holds the secret of the webhook.
pub const WEBHOOK_SLOT: &str = "webhook";

/// How MoEngage proves that a webhook request is its own. Signatures don't exist.
// MD:api/data/moengage-streams.mdx: none, Basic, OAuth 2.0 client credentials, or a static header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookAuth {
    Basic,
    Header,
    Bearer,
}

impl WebhookAuth {
    /// The name of the inbound scheme in the manifest.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Bearer => "bearer",
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

/// Behaviour with defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Milliseconds after which an event is not sent any more.
    pub max_event_age: i64,
    /// Whether codes that MoEngage does not publish and the mapping does not name are sent.
    pub carry_unknown_events: bool,
    /// Prefix of the Brevo names that are derived from codes.
    pub event_prefix: String,
    /// The user attribute that holds the e-mail address.
    pub email_attribute: String,
    /// Whether a number without plus sign is international.
    pub bare_phones_are_international: bool,
    /// A uid that contains this is an anonymous visitor's; none switches the rule off.
    pub anonymous_uid: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_event_age: 24 * 3_600_000,
            carry_unknown_events: true,
            event_prefix: "moengage_".to_owned(),
            // The recipient's address is a configurable attribute in MoEngage, `u_em` by default
            // (MD:user-guide/campaigns-and-channels/email/getting-started-with-email/suppression-updates.mdx).
            email_attribute: "u_em".to_owned(),
            bare_phones_are_international: false,
            // JULO's receiver (juloserver, app `moengage`) takes such ids for anonymous visitors.
            anonymous_uid: Some("anon".to_owned()),
        }
    }
}

// MD:api/introduction.mdx lists these seven. A workspace can't move between them, so a wrong one
// is never tried in silence.
const DATA_CENTERS: [&str; 7] = ["01", "02", "03", "04", "05", "06", "101"];

const TOP: [&str; 10] = [
    "workspace_id",
    "data_center",
    "environment",
    "project_code",
    "keys",
    "webhook",
    "sync",
    "field_mapping",
    "event_mapping",
    "options",
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
    webhook_auth: Option<WebhookAuth>,
    sync: Option<Sync>,
    fields: Option<AttributeMappings>,
    event_names: BTreeMap<String, Option<String>>,
    options: Option<Options>,
}

fn read(text: &str, problems: &mut Problems) -> Option<Settings> {
    if let Err(fault) = json::check(text) {
        problems.add(
            fault.code(),
            "",
            format!("The settings can't be read as JSON. {}", fault.message()),
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

    // The mapping refers to one option, which may stand after it.
    let email_attribute = object
        .raw("options")
        .and_then(|raw| Object::parse(raw.get()))
        .and_then(|options| options.get("email_attribute"))
        .and_then(Scalar::text)
        .map_or_else(|| Options::default().email_attribute, |text| text.into_owned());

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
            "keys" => found.keys = keys(&path, raw, problems),
            "webhook" => found.webhook_auth = webhook(&path, raw, problems),
            "sync" => found.sync = sync(&path, raw, problems),
            "field_mapping" => found.fields = field_mapping(&path, raw, &email_attribute, problems),
            "event_mapping" => found.event_names = event_mapping(&path, raw, problems),
            "options" => found.options = options(&path, raw, problems),
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

    let fields = found.fields.unwrap_or_default();
    let options = found.options.unwrap_or_default();
    for clash in crate::activate::name_clashes(&found.event_names, &options.event_prefix) {
        problems.add(
            "duplicate-event-name",
            &below("event_mapping", &clash.code),
            format!("It has the same Brevo name as {}.", clash.other),
            "Give every event code a name of its own.",
        );
    }
    Some(Settings {
        workspace_id: found.workspace_id?,
        data_center: found.data_center?,
        environment: found.environment?,
        project_code: found.project_code,
        keys: found.keys,
        webhook_auth: found.webhook_auth?,
        sync: found.sync.unwrap_or(Sync { contacts: true, events: true, consent: true }),
        attributes: fields.attributes,
        phone_attribute: fields.phone,
        event_names: found.event_names,
        options,
    })
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

fn keys(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<KeySlot> {
    let Some(object) = problems.object(path, raw) else { return Vec::new() };
    let mut slots = Vec::new();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let Some(slot) = KeySlot::ALL.into_iter().find(|slot| slot.name() == key) else {
            problems.unknown_key(&path, &KeySlot::ALL.map(KeySlot::name));
            continue;
        };
        if is_slot(&path, raw, slot.name(), problems) {
            slots.push(slot);
        }
    }
    slots
}

/// A secret's place holds the name of its slot; the secret itself stays with the host.
fn is_slot(path: &str, raw: &RawValue, slot: &str, problems: &mut Problems) -> bool {
    if Scalar::of(raw) == Scalar::Text(slot.into()) {
        return true;
    }
    problems.add(
        "not-a-secret",
        path,
        format!("{path} is not a reference to a secret."),
        "Write the name of an environment variable as \"${UPPER_SNAKE}\", never the secret itself.",
    );
    false
}

fn webhook(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<WebhookAuth> {
    let object = problems.object(path, raw)?;
    let mut auth = None;
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "auth" => {
                let allowed = ["basic", "header", "bearer"];
                auth = problems.one_of(&path, raw, "unknown-webhook-auth", &allowed).map(|text| {
                    match text.as_ref() {
                        "basic" => WebhookAuth::Basic,
                        "header" => WebhookAuth::Header,
                        _ => WebhookAuth::Bearer,
                    }
                });
            }
            "user" => user(&path, raw, problems),
            "header" => header(&path, raw, problems),
            "secret" => {
                is_slot(&path, raw, WEBHOOK_SLOT, problems);
            }
            _ => problems.unknown_key(&path, &["auth", "user", "header", "secret"]),
        }
    }
    if object.raw("auth").is_none() {
        problems.missing(&below(path, "auth"), "Write basic, header or bearer, as agreed with MoEngage.");
    }
    for (key, scheme) in [("user", WebhookAuth::Basic), ("header", WebhookAuth::Header)] {
        let path = below(path, key);
        match (object.raw(key), auth) {
            (None, Some(auth)) if auth == scheme => {
                problems.missing(&path, "Write the value that was agreed with MoEngage.");
            }
            (Some(_), Some(auth)) if auth != scheme => problems.add(
                "unused-key",
                &path,
                format!("{path} means nothing with auth: {}.", auth.scheme()),
                "Remove it, or correct webhook.auth.",
            ),
            _ => {}
        }
    }
    if object.raw("secret").is_none() {
        problems
            .missing(&below(path, "secret"), "Write \"${MOENGAGE_WEBHOOK_SECRET}\" and set that variable.");
    }
    auth
}

fn user(path: &str, raw: &RawValue, problems: &mut Problems) {
    let Some(user) = problems.text(path, raw) else { return };
    // RFC 7617: a user id can't hold a colon or control characters.
    if user.contains(':') || user.chars().any(char::is_control) || user.len() > 255 {
        problems.add(
            "bad-webhook-user",
            path,
            "webhook.user has a colon or a control character, or is longer than 255 bytes.",
            "Agree on a user name without those.",
        );
    }
}

fn header(path: &str, raw: &RawValue, problems: &mut Problems) {
    // These have a meaning of their own in a request.
    const TAKEN: [&str; 9] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "te",
        "transfer-encoding",
    ];
    let Some(name) = problems.text(path, raw) else { return };
    // RFC 9110: a field name is a token.
    let token = name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !token || TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
        problems.add(
            "bad-webhook-header",
            path,
            "webhook.header is not a header name that a secret can stand in.",
            "Use a name of your own, such as x-tajo-key; for Authorization use auth: basic or bearer.",
        );
    }
}

fn sync(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Sync> {
    let object = problems.object(path, raw)?;
    let mut sync = Sync { contacts: true, events: true, consent: true };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        let place = match key {
            "contacts" => &mut sync.contacts,
            "events" => &mut sync.events,
            "consent" => &mut sync.consent,
            _ => {
                problems.unknown_key(&path, &["contacts", "events", "consent"]);
                continue;
            }
        };
        if let Some(value) = problems.boolean(&path, raw) {
            *place = value;
        }
    }
    Some(sync)
}

fn options(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Options> {
    const KNOWN: [&str; 6] =
        ["max_event_age", "unknown_events", "event_prefix", "email_attribute", "phones", "anonymous_uid"];
    let object = problems.object(path, raw)?;
    let mut options = Options::default();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "max_event_age" => {
                if let Some(text) = problems.text(&path, raw) {
                    match duration(&text) {
                        Some(age) => options.max_event_age = age,
                        None => problems.add(
                            "bad-duration",
                            &path,
                            "It is not a duration from 1 second to 365 days.",
                            "Write a number and s, m, h or d, for instance \"24h\".",
                        ),
                    }
                }
            }
            "unknown_events" => {
                if let Some(text) = problems.one_of(&path, raw, "unknown-choice", &["carry", "drop"]) {
                    options.carry_unknown_events = text == "carry";
                }
            }
            "event_prefix" => {
                if let Some(text) = problems.text(&path, raw) {
                    if text.len() > 100 || !mapping::is_event_name(&text) {
                        problems.add(
                            "bad-event-prefix",
                            &path,
                            "The prefix is not 1 to 100 letters, digits, underscores or hyphens.",
                            "Use a prefix such as \"moengage_\".",
                        );
                    } else {
                        options.event_prefix = text.into_owned();
                    }
                }
            }
            "email_attribute" => {
                if let Some(text) = problems.text(&path, raw) {
                    options.email_attribute = text.into_owned();
                }
            }
            "phones" => {
                let allowed = ["e164", "bare-is-international"];
                if let Some(text) = problems.one_of(&path, raw, "unknown-choice", &allowed) {
                    options.bare_phones_are_international = text == "bare-is-international";
                }
            }
            "anonymous_uid" => match Scalar::of(raw) {
                Scalar::Text(text) => {
                    options.anonymous_uid = Some(text.into_owned()).filter(|text| !text.is_empty());
                }
                _ => {
                    problems.text(&path, raw);
                }
            },
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    Some(options)
}

/// `30m`, `24h`, `7d`: milliseconds, from a second to 365 days.
fn duration(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unit = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let value = digits.parse::<i64>().ok()?.checked_mul(unit)?;
    (1000..=365 * 86_400_000).contains(&value).then_some(value)
}
