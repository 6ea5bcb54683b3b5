//! `event_mapping`: which records become events, under which names, with which properties.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::activate::OWN_PROPERTIES;
use crate::json::{Scalar, elements};

/// What becomes of the events of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventMapping {
    Dropped,
    Sent {
        /// None: derived from the code.
        name: Option<String>,
        properties: PropertyChoice,
    },
}

/// Which attributes of an event become properties, under which names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyChoice {
    /// None: all that are not excluded.
    include: Option<BTreeSet<String>>,
    exclude: BTreeSet<String>,
    rename: BTreeMap<String, String>,
}

impl PropertyChoice {
    /// True where the attribute goes along.
    pub fn takes(&self, attribute: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.contains(attribute))
            && !self.exclude.contains(attribute)
    }

    /// The name that the tenant gave it.
    pub fn renamed(&self, attribute: &str) -> Option<&str> {
        self.rename.get(attribute).map(String::as_str)
    }

    /// True where nothing is chosen, which is nearly always so.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads `event_mapping`: code to name, or to a block; null and "" drop the event.
pub fn event_mapping(path: &str, raw: &RawValue, problems: &mut Problems) -> BTreeMap<String, EventMapping> {
    let mut mappings = BTreeMap::new();
    let Some(object) = problems.object(path, raw) else { return mappings };
    for (code, raw) in object.entries() {
        let path = below(path, code);
        let mapping = match Scalar::of(raw) {
            Scalar::Null => Some(EventMapping::Dropped),
            Scalar::Text(name) if name.is_empty() => Some(EventMapping::Dropped),
            Scalar::Compound => block(&path, raw, problems),
            _ => event_name(&path, raw, problems)
                .map(|name| EventMapping::Sent { name: Some(name), properties: PropertyChoice::default() }),
        };
        if let Some(mapping) = mapping {
            mappings.insert(code.to_owned(), mapping);
        }
    }
    mappings
}

fn block(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<EventMapping> {
    let object = problems.object(path, raw)?;
    let (mut name, mut choice) = (None, PropertyChoice::default());
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "name" => name = event_name(&path, raw, problems),
            "properties" => choice = properties(&path, raw, problems),
            _ => problems.unknown_key(&path, &["name", "properties"]),
        }
    }
    Some(EventMapping::Sent { name, properties: choice })
}

fn event_name(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<String> {
    let name = problems.text(path, raw)?;
    if is_event_name(&name) {
        return Some(name.into_owned());
    }
    problems.add(
        "bad-event-name",
        path,
        "Brevo takes 1 to 255 letters, digits, underscores or hyphens as an event name.",
        "Use a name such as moengage_email_opened.",
    );
    None
}

fn properties(path: &str, raw: &RawValue, problems: &mut Problems) -> PropertyChoice {
    let mut choice = PropertyChoice::default();
    let Some(object) = problems.object(path, raw) else { return choice };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "include" => choice.include = Some(names(&path, raw, problems)),
            "exclude" => choice.exclude = names(&path, raw, problems),
            "rename" => choice.rename = renames(&path, raw, problems),
            _ => problems.unknown_key(&path, &["include", "exclude", "rename"]),
        }
    }
    if choice.include.is_some() && object.raw("exclude").is_some() {
        super::unused(&below(path, "exclude"), "include", "include", problems);
    }
    for from in choice.rename.keys().filter(|from| !choice.takes(from)) {
        let path = below(&below(path, "rename"), from);
        super::unused(&path, "an attribute that does not go along", "include or exclude", problems);
    }
    choice
}

/// Names of event attributes.
fn names(path: &str, raw: &RawValue, problems: &mut Problems) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Some(items) = elements(raw.get()) else {
        problems.add(
            "wrong-type",
            path,
            &format!("{path} is not a list."),
            "Write names of event attributes, each in a line that begins with a hyphen.",
        );
        return names;
    };
    for (n, item) in items.into_iter().enumerate() {
        names.extend(problems.text(&format!("{path}[{n}]"), item).map(|name| name.into_owned()));
    }
    names
}

/// Event attribute to property.
fn renames(path: &str, raw: &RawValue, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut renames: BTreeMap<String, String> = BTreeMap::new();
    let Some(object) = problems.object(path, raw) else { return renames };
    for (from, raw) in object.entries() {
        let path = below(path, from);
        let Some(to) = problems.text(&path, raw) else { continue };
        // Names of events and keys of properties have the same rule (OpenAPI `/events`).
        if !is_event_name(&to) {
            problems.add(
                "bad-property-name",
                &path,
                "Brevo takes 1 to 255 letters, digits, underscores or hyphens as the name of a property.",
                "Use a name such as campaign_name.",
            );
        } else if OWN_PROPERTIES.contains(&to.as_ref()) {
            problems.add(
                "reserved-property",
                &path,
                &format!("The connector itself fills {to}, by which an event is found again."),
                "Use another name.",
            );
        } else if renames.values().any(|taken| *taken == to) {
            problems.add(
                "duplicate-property",
                &path,
                &format!("Another attribute is renamed to {to} as well."),
                "Give every property one source.",
            );
        } else {
            renames.insert(from.to_owned(), to.into_owned());
        }
    }
    renames
}

/// Brevo's rule for event names and property keys (OpenAPI `/events`).
pub fn is_event_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
