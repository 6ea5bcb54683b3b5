//! What a rule can do. Everything is about the person of the record, except that a whole campaign
//! can be sent with the tenant's written word.

use serde_json::value::RawValue;

use super::events::is_event_name;
use super::field::Field;
use super::lists::{self, Roles};
use super::options::{DAY, duration};
use super::problem::{Problems, below};
use super::rules::name;
use super::segment_sync::Target;
use super::template::{Part, Template};
use crate::json::{Object, Scalar};

/// One action of a rule.
#[derive(Clone, Debug)]
pub struct RuleAction {
    /// Unique in the rule, whatever its place: the tenant's `id`, else the name without `brevo/`.
    pub key: String,
    /// Milliseconds after which it is too late; the default where none is written.
    pub not_after: Option<i64>,
    pub what: What,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum What {
    SendEmail { template_id: u64, params: Values, tags: Vec<String>, even_if_opted_out: bool },
    SendSms(Sms),
    TriggerCampaign { campaign_id: u64 },
    TrackEvent { event: String, properties: Values },
    JoinList(Target),
    LeaveList(Target),
    AddNote { text: Template },
    CreateTask { name: Template, kind: String, due_in: i64, notes: Option<Template> },
}

/// A text message.
#[derive(Clone, Debug)]
pub struct Sms {
    pub content: Template,
    pub sender: String,
    pub marketing: bool,
    pub tag: Option<String>,
    pub even_if_opted_out: bool,
}

/// Values by name, in the order in which they were written.
pub type Values = Vec<(String, Value)>;

/// A value of a parameter or property.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number or boolean, as it was written.
    Literal(String),
    Template(Template),
}

impl RuleAction {
    /// The fields in its templates.
    pub fn fields(&self) -> Vec<&Field> {
        let templates: Vec<&Template> = match &self.what {
            What::SendEmail { params: values, .. } | What::TrackEvent { properties: values, .. } => {
                values.iter().filter_map(|(_, value)| value.template()).collect()
            }
            What::SendSms(sms) => vec![&sms.content],
            What::AddNote { text } => vec![text],
            What::CreateTask { name, notes, .. } => std::iter::once(name).chain(notes).collect(),
            What::TriggerCampaign { .. } | What::JoinList(_) | What::LeaveList(_) => Vec::new(),
        };
        templates.into_iter().flat_map(Template::fields).collect()
    }
}

impl Value {
    fn template(&self) -> Option<&Template> {
        match self {
            Self::Template(template) => Some(template),
            Self::Literal(_) => None,
        }
    }
}

const NAMES: [&str; 8] = [
    "brevo/send-email",
    "brevo/send-sms",
    "brevo/trigger-campaign",
    "brevo/track-event",
    "brevo/join-list",
    "brevo/leave-list",
    "brevo/add-note",
    "brevo/create-task",
];

/// Nobody wants the mail about a cart a day later.
const SENDS_NOT_AFTER: i64 = 3_600_000;

/// Reads `actions`: each a block with one action, and an `id` where a rule does the same thing
/// twice.
pub fn actions(path: &str, raw: &RawValue, roles: &Roles, problems: &mut Problems) -> Vec<RuleAction> {
    let mut actions: Vec<RuleAction> = Vec::new();
    for (path, raw) in problems.list(path, raw) {
        let Some(object) = problems.object(&path, raw) else { continue };
        let Some(action) = action(&path, &object, roles, problems) else { continue };
        if actions.iter().any(|other| other.key == action.key) {
            problems.add(
                "duplicate-action",
                &path,
                "The rule has another action of this id, or of this name without an id.",
                "Give each an id of its own, beside the action's name, and keep it.",
            );
        }
        actions.push(action);
    }
    actions
}

fn action(path: &str, object: &Object<'_>, roles: &Roles, problems: &mut Problems) -> Option<RuleAction> {
    let mut id = None;
    let mut named = Vec::new();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "id" => id = name(&path, raw, problems),
            _ if NAMES.contains(&key) => named.push((key, path, raw)),
            _ => problems.add(
                "unknown-action",
                &path,
                "It is no action that a rule can take.",
                &format!("Use one of: {}; and id beside it.", NAMES.join(", ")),
            ),
        }
    }
    let [(name, path, raw)] = named.as_slice() else {
        // An unknown name has its own problem.
        if object.entries().all(|(key, _)| key == "id" || NAMES.contains(&key)) {
            problems.add(
                "bad-action",
                path,
                "It is not one action.",
                "Write one action behind each hyphen, such as brevo/send-email and below it what it needs.",
            );
        }
        return None;
    };
    let verb = name.strip_prefix("brevo/").unwrap_or(name);
    let block = problems.object(path, raw)?;
    let mut reader = Reader { path, block: &block, roles, problems };
    let (not_after, what) = (reader.not_after(), reader.what(verb));
    Some(RuleAction { key: id.unwrap_or_else(|| verb.to_owned()), not_after, what: what? })
}

/// The block of one action.
struct Reader<'a, 'o> {
    path: &'a str,
    block: &'a Object<'o>,
    roles: &'a Roles,
    problems: &'a mut Problems,
}

impl<'o> Reader<'_, 'o> {
    fn what(&mut self, verb: &str) -> Option<What> {
        // What is missing must not hide what is wrong, so everything is read before anything is used.
        match verb {
            "send-email" => {
                self.known(&["template_id", "to", "params", "tags", "even_if_opted_out", "not_after"]);
                self.recipient("email");
                let template_id = self.number("template_id", "bad-template-id", "template");
                let params = self.values("params");
                let tags = self.tags();
                let even_if_opted_out = self.flag("even_if_opted_out");
                Some(What::SendEmail { template_id: template_id?, params, tags, even_if_opted_out })
            }
            "send-sms" => {
                self.known(&["content", "to", "sender", "kind", "tag", "even_if_opted_out", "not_after"]);
                self.recipient("phone");
                self.sms().map(What::SendSms)
            }
            "trigger-campaign" => {
                self.known(&["campaign_id", "confirm_send", "not_after"]);
                let campaign_id = self.number("campaign_id", "bad-campaign-id", "campaign");
                if !self.flag("confirm_send") {
                    self.problems.add(
                        "unconfirmed-send",
                        &below(self.path, "confirm_send"),
                        "This sends a whole campaign to everybody in its lists, once.",
                        "Write confirm_send: true if that is what you want; one person is sent to by brevo/send-email.",
                    );
                }
                Some(What::TriggerCampaign { campaign_id: campaign_id? })
            }
            "track-event" => {
                self.known(&["event", "properties", "not_after"]);
                let event = self.text("event", "Name the event as Brevo is to know it.");
                let event = event.filter(|name| {
                    let fits = is_event_name(name);
                    if !fits {
                        self.bad_event_name("event");
                    }
                    fits
                });
                let properties = self.values("properties");
                if properties.iter().any(|(key, _)| !is_event_name(key)) {
                    self.bad_event_name("properties");
                }
                Some(What::TrackEvent { event: event?, properties })
            }
            "join-list" | "leave-list" => {
                self.known(if verb == "join-list" { &["list", "not_after"] } else { &["list"] });
                let raw =
                    self.needed("list", "Write the list's role, its number, or a block with its name.")?;
                let list = lists::list(&below(self.path, "list"), raw, self.roles, self.problems)?;
                Some(if verb == "join-list" { What::JoinList(list) } else { What::LeaveList(list) })
            }
            "add-note" => {
                self.known(&["text", "not_after"]);
                self.template("text", true).map(|text| What::AddNote { text })
            }
            _ => {
                self.known(&["name", "type", "due_in", "notes", "not_after"]);
                let name = self.template("name", true);
                let kind = self.optional_text("type");
                let due_in = self.due_in();
                let notes = self.template("notes", false);
                let kind = kind.unwrap_or_else(|| TASK_TYPE.to_owned());
                Some(What::CreateTask { name: name?, kind, due_in, notes })
            }
        }
    }

    /// Milliseconds after which it is too late. Unlike the rest of its defaults that of an event is
    /// the tenant's option.
    fn not_after(&mut self) -> Option<i64> {
        let sends = ["template_id", "content", "campaign_id"];
        let default = sends.iter().any(|key| self.block.raw(key).is_some()).then_some(SENDS_NOT_AFTER);
        let Some(raw) = self.block.raw("not_after") else { return default };
        let path = below(self.path, "not_after");
        duration(&path, raw, "1 minute to 30 days", 60_000..=30 * DAY, self.problems)
    }

    fn sms(&mut self) -> Option<Sms> {
        let content = self.template("content", true);
        let sender = self.text("sender", "Write the sender's name or number as Brevo has it.");
        let sender = sender.filter(|sender| {
            // OpenAPI of `/transactionalSMS/send`.
            let number = sender.bytes().all(|b| b.is_ascii_digit()) && sender.len() <= 15;
            let name = sender.bytes().all(|b| b.is_ascii_alphanumeric()) && sender.len() <= 11;
            if !number && !name {
                self.problems.add(
                    "bad-sender",
                    &below(self.path, "sender"),
                    "It is neither up to 11 letters and digits nor up to 15 digits.",
                    "Write the sender's name or number as Brevo has it, without spaces.",
                );
            }
            number || name
        });
        let kind = self.block.raw("kind").and_then(|raw| {
            let allowed = ["transactional", "marketing"];
            self.problems.one_of(&below(self.path, "kind"), raw, "unknown-choice", &allowed)
        });
        let marketing = kind.is_some_and(|kind| kind == "marketing");
        let tag = self.optional_text("tag");
        if tag.as_ref().is_some_and(|tag| tag.chars().count() > 10) {
            self.bad_tag("tag", "It is longer than 10 characters.");
        }
        let even_if_opted_out = self.flag("even_if_opted_out");
        if marketing && even_if_opted_out {
            self.problems.add(
                "marketing-to-opted-out",
                &below(self.path, "even_if_opted_out"),
                "A marketing message never goes to somebody who opted out.",
                "Remove it.",
            );
        }
        Some(Sms { content: content?, sender: sender?, marketing, tag, even_if_opted_out })
    }

    /// `to` says what is so anyway.
    fn recipient(&mut self, address: &str) {
        let Some(raw) = self.block.raw("to") else { return };
        let path = below(self.path, "to");
        let Some(text) = self.problems.text(&path, raw) else { return };
        let own = Part::Field { field: Field::Contact(address.to_owned()), default: None };
        if Template::parse(&text) != Ok(Template(vec![own])) {
            self.problems.add(
                "other-recipient",
                &path,
                "A rule writes to the person of the event and to nobody else.",
                &format!("Write \"{{{{ contact.{address} }}}}\", or leave it out."),
            );
        }
    }

    fn tags(&mut self) -> Vec<String> {
        let Some(raw) = self.block.raw("tags") else { return Vec::new() };
        let elements = self.problems.list(&below(self.path, "tags"), raw);
        let mut tags = Vec::new();
        for (path, raw) in elements {
            tags.extend(self.problems.text(&path, raw).map(|tag| tag.into_owned()));
        }
        if tags.len() > 10 || tags.iter().any(|tag| tag.chars().count() > 50) {
            self.bad_tag("tags", "There are more than 10, or one is longer than 50 characters.");
        }
        tags
    }

    fn bad_tag(&mut self, key: &str, what: &str) {
        self.problems.add("bad-tag", &below(self.path, key), what, "Use fewer and shorter tags.");
    }

    fn due_in(&mut self) -> i64 {
        let raw = self.block.raw("due_in");
        let due_in = raw.and_then(|raw| due_in(&below(self.path, "due_in"), raw, self.problems));
        due_in.unwrap_or(DUE_IN)
    }

    fn bad_event_name(&mut self, key: &str) {
        self.problems.add(
            "bad-event-name",
            &below(self.path, key),
            "Brevo takes 1 to 255 letters, digits, underscores or hyphens as a name of an event or property.",
            "Use a name such as cart_reminder.",
        );
    }

    fn values(&mut self, key: &str) -> Values {
        let mut values = Values::new();
        let Some(raw) = self.block.raw(key) else { return values };
        let path = below(self.path, key);
        let Some(object) = self.problems.object(&path, raw) else { return values };
        for (name, raw) in object.entries() {
            let path = below(&path, name);
            let value = match Scalar::of(raw) {
                Scalar::Number(_) | Scalar::Bool(_) => Some(Value::Literal(raw.get().to_owned())),
                _ => self
                    .problems
                    .text(&path, raw)
                    .and_then(|text| template(&path, &text, self.problems).map(Value::Template)),
            };
            values.extend(value.map(|value| (name.to_owned(), value)));
        }
        values
    }

    fn template(&mut self, key: &str, needed: bool) -> Option<Template> {
        let text = match needed {
            true => self.text(key, "Write the text; fields stand in it as {{ event.name }}."),
            false => self.optional_text(key),
        };
        template(&below(self.path, key), &text?, self.problems)
    }

    fn needed(&mut self, key: &str, remedy: &str) -> Option<&'o RawValue> {
        let raw = self.block.raw(key);
        if raw.is_none() {
            self.problems.missing(&below(self.path, key), remedy);
        }
        raw
    }

    fn number(&mut self, key: &str, code: &str, what: &str) -> Option<u64> {
        let raw = self.needed(key, &format!("Write Brevo's number of the {what}."))?;
        self.problems.number(&below(self.path, key), raw, code, what)
    }

    fn text(&mut self, key: &str, remedy: &str) -> Option<String> {
        let raw = self.needed(key, remedy)?;
        self.problems.text(&below(self.path, key), raw).map(Into::into)
    }

    fn optional_text(&mut self, key: &str) -> Option<String> {
        let raw = self.block.raw(key)?;
        self.problems.text(&below(self.path, key), raw).map(Into::into)
    }

    fn flag(&mut self, key: &str) -> bool {
        let Some(raw) = self.block.raw(key) else { return false };
        self.problems.boolean(&below(self.path, key), raw).unwrap_or_default()
    }

    fn known(&mut self, known: &[&str]) {
        for (key, _) in self.block.entries().filter(|(key, _)| !known.contains(key)) {
            self.problems.unknown_key(&below(self.path, key), known);
        }
    }
}

/// Type of a task where nothing is said. Types are an account's own (OpenAPI `/crm/tasktypes`), so
/// one without it has to name another.
pub const TASK_TYPE: &str = "Todo";

/// Seconds until a task is due, where nothing is said.
pub const DUE_IN: i64 = DAY / 1000;

/// Seconds until a task is due.
pub fn due_in(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<i64> {
    let due_in = duration(path, raw, "1 minute to 365 days", 60_000..=365 * DAY, problems);
    due_in.map(|milliseconds| milliseconds / 1000)
}

fn template(path: &str, text: &str, problems: &mut Problems) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(why) => {
            problems.add(
                "bad-template",
                path,
                why,
                "Write fields as {{ event.name }} or {{ contact.name | default: \"none\" }}.",
            );
            None
        }
    }
}
