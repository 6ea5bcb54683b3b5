//! The actions that this host can carry out, and the schema of each one's payload.
//!
//! Names are Tajo's where it has one (`brevo/track-event`), in its style where it has none.
//! The list can grow without breaking a compiled connector: an unknown name is quarantined.

mod lists;
mod people;
mod sends;
mod things;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::contract;
pub use lists::{ExistingList, ListMembership, ListRef, NamedList};
pub use people::{
    Channel, ConsentBasis, ConsentStatus, DeleteBehavior, DeleteContact, SetConsent, SetSuppression,
    SuppressionReason, TrackEvent, UpsertContact,
};
pub use sends::{SendEmail, SendSms, SmsKind, TriggerCampaign};
pub use things::{AddNote, CreateTask, UpsertObject, UpsertProduct};

/// Names of the registry.
#[allow(missing_docs)] // each is the name of a case of `Payload`
pub mod names {
    pub const UPSERT_CONTACT: &str = "brevo/upsert-contact";
    pub const SET_CONSENT: &str = "brevo/set-consent";
    pub const SET_SUPPRESSION: &str = "brevo/set-suppression";
    pub const TRACK_EVENT: &str = "brevo/track-event";
    pub const JOIN_LIST: &str = "brevo/join-list";
    pub const LEAVE_LIST: &str = "brevo/leave-list";
    pub const SEND_EMAIL: &str = "brevo/send-email";
    pub const SEND_SMS: &str = "brevo/send-sms";
    pub const TRIGGER_CAMPAIGN: &str = "brevo/trigger-campaign";
    pub const DELETE_CONTACT: &str = "brevo/delete-contact";
    pub const UPSERT_PRODUCT: &str = "brevo/upsert-product";
    pub const UPSERT_OBJECT: &str = "brevo/upsert-object";
    pub const ADD_NOTE: &str = "brevo/add-note";
    pub const CREATE_TASK: &str = "brevo/create-task";

    /// All of them, in the order of [`super::Payload`].
    pub const ALL: [&str; 14] = [
        UPSERT_CONTACT,
        SET_CONSENT,
        SET_SUPPRESSION,
        TRACK_EVENT,
        JOIN_LIST,
        LEAVE_LIST,
        SEND_EMAIL,
        SEND_SMS,
        TRIGGER_CAMPAIGN,
        DELETE_CONTACT,
        UPSERT_PRODUCT,
        UPSERT_OBJECT,
        ADD_NOTE,
        CREATE_TASK,
    ];
}

/// An action's payload, by its name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// [`names::UPSERT_CONTACT`]
    UpsertContact(UpsertContact),
    /// [`names::SET_CONSENT`]
    SetConsent(SetConsent),
    /// [`names::SET_SUPPRESSION`]
    SetSuppression(SetSuppression),
    /// [`names::TRACK_EVENT`]
    TrackEvent(TrackEvent),
    /// [`names::JOIN_LIST`]
    JoinList(ListMembership),
    /// [`names::LEAVE_LIST`]
    LeaveList(ListMembership),
    /// [`names::SEND_EMAIL`]
    SendEmail(SendEmail),
    /// [`names::SEND_SMS`]
    SendSms(SendSms),
    /// [`names::TRIGGER_CAMPAIGN`]
    TriggerCampaign(TriggerCampaign),
    /// [`names::DELETE_CONTACT`]
    DeleteContact(DeleteContact),
    /// [`names::UPSERT_PRODUCT`]
    UpsertProduct(UpsertProduct),
    /// [`names::UPSERT_OBJECT`]
    UpsertObject(UpsertObject),
    /// [`names::ADD_NOTE`]
    AddNote(AddNote),
    /// [`names::CREATE_TASK`]
    CreateTask(CreateTask),
}

/// Whom or what an action may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A person only.
    Person,
    /// A thing only.
    Thing,
    /// Either.
    Any,
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
        Ok(match name {
            names::UPSERT_CONTACT => Self::UpsertContact(read(json)?),
            names::SET_CONSENT => Self::SetConsent(read(json)?),
            names::SET_SUPPRESSION => Self::SetSuppression(read(json)?),
            names::TRACK_EVENT => Self::TrackEvent(read(json)?),
            names::JOIN_LIST => Self::JoinList(read(json)?),
            names::LEAVE_LIST => Self::LeaveList(read(json)?),
            names::SEND_EMAIL => Self::SendEmail(read(json)?),
            names::SEND_SMS => Self::SendSms(read(json)?),
            names::TRIGGER_CAMPAIGN => Self::TriggerCampaign(read(json)?),
            names::DELETE_CONTACT => Self::DeleteContact(read(json)?),
            names::UPSERT_PRODUCT => Self::UpsertProduct(read(json)?),
            names::UPSERT_OBJECT => Self::UpsertObject(read(json)?),
            names::ADD_NOTE => Self::AddNote(read(json)?),
            names::CREATE_TASK => Self::CreateTask(read(json)?),
            _ => return Err(Inadmissible::UnknownName),
        })
    }

    /// Whom or what it may be about.
    pub fn about(&self) -> About {
        match self {
            Self::UpsertContact(_)
            | Self::SetConsent(_)
            | Self::SetSuppression(_)
            | Self::TrackEvent(_)
            | Self::JoinList(_)
            | Self::LeaveList(_)
            | Self::SendEmail(_)
            | Self::SendSms(_)
            | Self::DeleteContact(_) => About::Person,
            Self::TriggerCampaign(_) | Self::UpsertProduct(_) | Self::UpsertObject(_) => About::Thing,
            Self::AddNote(_) | Self::CreateTask(_) => About::Any,
        }
    }

    /// True for what can't be undone and is done once: it needs a `not-after`, and old news never
    /// causes it (design rule 7). Joins are decided by their list.
    pub fn happens_once(&self) -> bool {
        matches!(
            self,
            Self::TrackEvent(_)
                | Self::SendEmail(_)
                | Self::SendSms(_)
                | Self::TriggerCampaign(_)
                | Self::AddNote(_)
                | Self::CreateTask(_)
        )
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
            Self::DeleteContact(delete) => match &delete.mark {
                Some(mark)
                    if !targets
                        .attributes
                        .iter()
                        .any(|t| t.name == *mark && t.kind == contract::AttributeType::Date) =>
                {
                    Err(Inadmissible::Undeclared(format!("the date {mark}")))
                }
                _ => Ok(()),
            },
            Self::SetConsent(_) | Self::SetSuppression(_) => Ok(()),
            Self::JoinList(to) | Self::LeaveList(to) => sound(to.list.fault()),
            Self::SendEmail(mail) => sound(mail.fault()),
            Self::SendSms(text) => sound(text.fault()),
            Self::TriggerCampaign(campaign) => sound(campaign.fault()),
            Self::UpsertProduct(product) => sound(product.fault()),
            Self::UpsertObject(object) => sound(object.fault()),
            Self::AddNote(note) => sound(note.fault()),
            Self::CreateTask(task) => sound(task.fault()),
        }
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, Inadmissible> {
    // serde's text may quote the input; its category and place do not.
    let bad = |e: serde_json::Error| {
        Inadmissible::Payload(format!("{:?} at line {} column {}", e.classify(), e.line(), e.column()))
    };
    serde_json::from_str(json).map_err(bad)
}

fn sound(fault: Option<&'static str>) -> Result<(), Inadmissible> {
    fault.map_or(Ok(()), |fault| Err(Inadmissible::Payload(fault.into())))
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
