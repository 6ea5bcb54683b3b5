//! The actions that this host can carry out, and the schema of each one's payload.
//!
//! Names are Tajo's where it has one (`brevo/track-event`), in its style where it has none.
//! The list can grow without breaking a compiled connector: an unknown name is quarantined.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract;

/// An action's payload, by its name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// `brevo/upsert-contact`
    UpsertContact(UpsertContact),
    /// `brevo/set-consent`
    SetConsent(SetConsent),
    /// `brevo/set-suppression`
    SetSuppression(SetSuppression),
    /// `brevo/track-event`
    TrackEvent(TrackEvent),
    /// `brevo/join-list`
    JoinList(ListMembership),
    /// `brevo/leave-list`
    LeaveList(ListMembership),
}

/// Names of the registry, in the order of [`Payload`].
pub const NAMES: [&str; 6] = [
    "brevo/upsert-contact",
    "brevo/set-consent",
    "brevo/set-suppression",
    "brevo/track-event",
    "brevo/join-list",
    "brevo/leave-list",
];

/// Creates or updates the person's contact. The addresses come from the action's subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsertContact {
    /// Brevo attribute (upper case) to string, number or boolean. Null clears; missing leaves alone.
    /// Dates are `yyyy-mm-dd` strings.
    pub attributes: BTreeMap<String, Value>,
}

/// What is known about a person's consent on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetConsent {
    /// Which channel.
    pub channel: Channel,
    /// What the person wants.
    pub status: ConsentStatus,
    /// How it is known.
    pub basis: ConsentBasis,
}

/// Channels with a block of their own at Brevo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Channel {
    Email,
    Sms,
}

impl Channel {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// The two things that a source can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentStatus {
    /// Not opted out (a flag), or opted in (a signal).
    OptedIn,
    /// Wants nothing on this channel.
    OptedOut,
}

/// How consent is known. Only a dated signal of the person can ever lift a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentBasis {
    /// A flag on a profile: true or false, of unknown age.
    Flag,
    /// An explicit act of the person, dated by the record's time.
    Signal,
}

/// An address that must not be written to, whatever the person wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSuppression {
    /// Which channel.
    pub channel: Channel,
    /// Why.
    pub reason: SuppressionReason,
}

/// Why an address is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressionReason {
    /// The address does not exist.
    HardBounce,
    /// The person called it spam.
    Complaint,
}

/// A custom event. Its date is the record's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackEvent {
    /// `[A-Za-z0-9_-]`, at most 255 characters.
    pub event: String,
    /// Keys `[A-Za-z0-9_-]`, at most 255 characters; at most 50 KB together.
    #[serde(default)]
    pub properties: serde_json::Map<String, Value>,
}

/// A person is, or is no longer, in a list at Brevo. It is a state: of several words about one
/// person and list the newest holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListMembership {
    /// Which list.
    pub list: ListRef,
    /// The tenant's word that nothing starts at Brevo when somebody joins the list. The host can't
    /// see automations, so without it every join may start one.
    #[serde(default)]
    pub inert: bool,
}

/// How a list is named. More kinds may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ListRef {
    /// One that exists at Brevo; it is never created.
    Existing(ExistingList),
    /// One that is found by its name and folder, and created where there is none.
    Named(NamedList),
}

/// `{"id": 5}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExistingList {
    /// Brevo's number.
    pub id: i64,
}

/// `{"name": "...", "folder": "..."}`. Both are compared as they are, in case and blanks too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedList {
    /// The list's name.
    pub name: String,
    /// The name of its folder: Brevo has no list without one (OpenAPI `POST /contacts/lists`).
    pub folder: String,
}

impl ListRef {
    fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Existing(list) if list.id < 1 => Some("a list's number is positive"),
            Self::Existing(_) => None,
            Self::Named(list) if !is_list_name(&list.name) => Some("the name of the list can't be used"),
            Self::Named(list) if !is_list_name(&list.folder) => Some("the name of the folder can't be used"),
            Self::Named(_) => None,
        }
    }
}

/// Brevo documents no rule for names of lists and folders, so this one is strict: what would look
/// the same to a person is not a second list.
fn is_list_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=400).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
}

/// Why an action is not admitted. Its record is quarantined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inadmissible {
    /// The registry doesn't know the name.
    #[error("the host has no action of this name")]
    UnknownName,
    /// The payload is not what the schema says.
    #[error("the payload is not what the action's schema says: {0}")]
    Payload(String),
    /// The configuration's profile doesn't name this attribute or event.
    #[error("the profile does not declare {0}")]
    Undeclared(String),
}

impl Inadmissible {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownName => "unknown-action",
            Self::Payload(_) => "bad-action-payload",
            Self::Undeclared(_) => "undeclared-target",
        }
    }
}

impl Payload {
    /// Parses and checks a payload by the action's name.
    pub fn parse(name: &str, json: &str) -> Result<Self, Inadmissible> {
        let bad = |e: serde_json::Error| {
            // serde's text may quote the input; its category and place do not.
            Inadmissible::Payload(format!("{:?} at line {} column {}", e.classify(), e.line(), e.column()))
        };
        Ok(match name {
            "brevo/upsert-contact" => Self::UpsertContact(serde_json::from_str(json).map_err(bad)?),
            "brevo/set-consent" => Self::SetConsent(serde_json::from_str(json).map_err(bad)?),
            "brevo/set-suppression" => Self::SetSuppression(serde_json::from_str(json).map_err(bad)?),
            "brevo/track-event" => Self::TrackEvent(serde_json::from_str(json).map_err(bad)?),
            "brevo/join-list" => Self::JoinList(serde_json::from_str(json).map_err(bad)?),
            "brevo/leave-list" => Self::LeaveList(serde_json::from_str(json).map_err(bad)?),
            _ => return Err(Inadmissible::UnknownName),
        })
    }

    /// Checks it against what the configuration declared and what Brevo can take.
    pub fn check(&self, targets: &contract::Targets) -> Result<(), Inadmissible> {
        match self {
            Self::UpsertContact(upsert) => {
                for (name, value) in &upsert.attributes {
                    let Some(target) = targets.attributes.iter().find(|t| t.name == *name) else {
                        return Err(Inadmissible::Undeclared(format!("the attribute {name}")));
                    };
                    if !attribute_fits(target.kind, value) {
                        return Err(Inadmissible::Payload(format!(
                            "the attribute {name} has the wrong type"
                        )));
                    }
                }
                Ok(())
            }
            Self::TrackEvent(track) => {
                if !is_event_name(&track.event) {
                    return Err(Inadmissible::Payload("the event name is not one that Brevo takes".into()));
                }
                let by_prefix = |prefix: &String| track.event.starts_with(prefix.as_str());
                if !targets.events.contains(&track.event)
                    && !targets.event_prefix.as_ref().is_some_and(by_prefix)
                {
                    return Err(Inadmissible::Undeclared("this event name".into()));
                }
                if !track.properties.keys().all(|key| is_event_name(key)) {
                    return Err(Inadmissible::Payload("a property name is not one that Brevo takes".into()));
                }
                Ok(())
            }
            Self::JoinList(to) | Self::LeaveList(to) => match to.list.fault() {
                Some(fault) => Err(Inadmissible::Payload(fault.into())),
                None => Ok(()),
            },
            Self::SetConsent(_) | Self::SetSuppression(_) => Ok(()),
        }
    }
}

/// Brevo's rule for event names and property keys: `[A-Za-z0-9_-]`, 1 to 255 characters
/// (OpenAPI `/events`).
pub fn is_event_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn attribute_fits(kind: contract::AttributeType, value: &Value) -> bool {
    use contract::AttributeType as T;
    match (kind, value) {
        (_, Value::Null) => true,
        (T::Text, Value::String(text)) => text.chars().count() <= 10_000,
        (T::Number, Value::Number(_)) | (T::Boolean, Value::Bool(_)) => true,
        (T::Date, Value::String(text)) => text.parse::<jiff::civil::Date>().is_ok(),
        _ => false,
    }
}
