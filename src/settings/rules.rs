//! Rules: what else is to happen at Brevo when something happened at MoEngage, in the words of
//! Tajo's skills.

use serde_json::value::RawValue;

use super::condition::{Condition, Test};
use super::events::is_event_name;
use super::field::Field;
use super::lists::Roles;
use super::options::{DAY, duration};
use super::problem::{Problems, below};
use super::rule_actions::{RuleAction, What, actions};
use crate::json::Object;

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique, and a part of the identity of what it causes.
    pub name: String,
    /// Any of them sets it off.
    pub triggers: Vec<Trigger>,
    /// All of them have to hold.
    pub conditions: Vec<Condition>,
    /// Milliseconds of quiet before it acts.
    pub debounce: Option<i64>,
    pub actions: Vec<RuleAction>,
}

/// What sets a rule off. Conditions and debounce of its own count beside and before the rule's.
#[derive(Clone, Debug)]
pub struct Trigger {
    pub on: On,
    pub conditions: Vec<Condition>,
    pub debounce: Option<i64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// An event, by its name at Brevo.
    Event(String),
    /// Somebody joined or left the segment of a sync.
    List { sync_id: String, joined: bool },
}

impl Rule {
    /// Every field that it asks for, with the key of the rule in which it stands.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Field)> {
        let own = self.conditions.iter();
        let of_triggers = self.triggers.iter().flat_map(|trigger| &trigger.conditions);
        let conditions = own.map(|c| ("conditions", &c.field));
        let of_triggers = of_triggers.map(|c| ("triggers", &c.field));
        let of_actions = self.actions.iter().flat_map(|action| action.fields());
        conditions.chain(of_triggers).chain(of_actions.map(|field| ("actions", field)))
    }

    /// Names of the events that it tracks at Brevo.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().filter_map(|action| match &action.what {
            What::TrackEvent { event, .. } => Some(event.as_str()),
            _ => None,
        })
    }

    /// The user attributes among them.
    pub fn user_attributes(&self) -> Vec<String> {
        self.fields().filter_map(|(_, field)| field.user_attribute()).map(str::to_owned).collect()
    }
}

const KNOWN: [&str; 5] = ["name", "triggers", "conditions", "debounce", "actions"];

/// Most rules of a tenant.
const MOST_RULES: usize = 100;

/// Reads `rules`.
pub fn rules(path: &str, raw: &RawValue, roles: &Roles, problems: &mut Problems) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let elements = problems.list(path, raw);
    if elements.len() > MOST_RULES {
        problems.add("too-many-rules", path, "There are more than 100 rules.", "Remove or merge some.");
    }
    for (path, raw) in elements {
        let Some(object) = problems.object(&path, raw) else { continue };
        let Some(rule) = rule(&path, &object, roles, problems) else { continue };
        if rules.iter().any(|other| other.name == rule.name) {
            problems.add(
                "duplicate-rule",
                &below(&path, "name"),
                "Another rule has this name.",
                "Give every rule a name of its own, and keep it: what a rule causes goes by its name.",
            );
        }
        rules.push(rule);
    }
    rules
}

fn rule(path: &str, object: &Object<'_>, roles: &Roles, problems: &mut Problems) -> Option<Rule> {
    let (mut rule_name, mut found_triggers, mut found_actions) = (None, Vec::new(), Vec::new());
    let (mut found_conditions, mut wait) = (Vec::new(), None);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "name" => rule_name = name(&path, raw, problems),
            "triggers" => found_triggers = triggers(&path, raw, problems),
            "conditions" => found_conditions = conditions(&path, raw, problems),
            "debounce" => wait = debounce(&path, raw, problems),
            "actions" => found_actions = actions(&path, raw, roles, problems),
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    for (key, remedy) in [
        ("name", "Give it a name such as cart-reminder, and keep it."),
        ("triggers", "Say what sets it off: event, or list and membership."),
        ("actions", "Say what it does, for instance brevo/send-email."),
    ] {
        if object.raw(key).is_none() {
            problems.missing(&below(path, key), remedy);
        }
    }
    Some(Rule {
        name: rule_name?,
        triggers: found_triggers,
        conditions: found_conditions,
        debounce: wait,
        actions: found_actions,
    })
}

/// A name of a rule, or of an action of it.
pub fn name(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<String> {
    let text = problems.text(path, raw)?;
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        problems.add(
            "bad-rule-name",
            path,
            "It is not 1 to 64 lower-case letters, digits and hyphens.",
            "Use a name such as cart-reminder, and keep it.",
        );
        return None;
    }
    Some(text.into_owned())
}

fn debounce(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<i64> {
    duration(path, raw, "1 second to 7 days", 1000..=7 * DAY, problems)
}

fn triggers(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<Trigger> {
    problems
        .list(path, raw)
        .into_iter()
        .filter_map(|(path, raw)| {
            let object = problems.object(&path, raw)?;
            trigger(&path, &object, problems)
        })
        .collect()
}

fn trigger(path: &str, object: &Object<'_>, problems: &mut Problems) -> Option<Trigger> {
    let (mut event, mut list, mut joined) = (None, None, None);
    let (mut found_conditions, mut wait) = (Vec::new(), None);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "event" => {
                event = problems.text(&path, raw);
                if event.as_ref().is_some_and(|name| !is_event_name(name)) {
                    problems.add(
                        "bad-event-name",
                        &path,
                        "Brevo takes 1 to 255 letters, digits, underscores or hyphens as an event name.",
                        "Write the name that the event has at Brevo, after event_mapping.",
                    );
                    event = None;
                }
            }
            "list" => list = problems.text(&path, raw),
            "membership" => {
                let word = problems.one_of(&path, raw, "unknown-membership", &["joined", "left"]);
                joined = word.map(|word| word == "joined");
            }
            "conditions" => found_conditions = conditions(&path, raw, problems),
            "debounce" => wait = debounce(&path, raw, problems),
            _ => problems.unknown_key(&path, &["event", "list", "membership", "conditions", "debounce"]),
        }
    }
    let (has_event, has_list) = (object.raw("event").is_some(), object.raw("list").is_some());
    if has_event == has_list {
        problems.add(
            "bad-trigger",
            path,
            "A trigger is either an event or a list.",
            "Write event, or list with membership; several triggers are several elements.",
        );
        return None;
    }
    let on = if has_event {
        if object.raw("membership").is_some() {
            super::unused(&below(path, "membership"), "event", &below(path, "event"), problems);
        }
        On::Event(event?.into_owned())
    } else {
        if object.raw("membership").is_none() {
            problems.missing(&below(path, "membership"), "Write joined or left.");
        }
        On::List { sync_id: list?.into_owned(), joined: joined? }
    };
    Some(Trigger { on, conditions: found_conditions, debounce: wait })
}

/// A list of blocks; each key of a block is a field.
fn conditions(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (path, raw) in problems.list(path, raw) {
        let Some(object) = problems.object(&path, raw) else { continue };
        for (name, raw) in object.entries() {
            let path = below(&path, name);
            let Some(text) = problems.text(&path, raw) else { continue };
            let Some(field) = Field::parse_short(name) else {
                problems.add(
                    "unknown-field",
                    &path,
                    "It is no field of an event, of a contact or of a list.",
                    "Write event.… or a name alone, contact.…, list.id, list.name or time_since_activity.",
                );
                continue;
            };
            match Test::parse(&text) {
                Ok(test) => conditions.push(Condition { field, test }),
                Err(why) => problems.add(
                    "bad-condition",
                    &path,
                    why,
                    "Write an operator and what is compared, such as \"> 50\", \"> 30m\" or \"== gold\", or present.",
                ),
            }
        }
    }
    conditions
}
