//! The body of a contact record.

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// JSON Schema of [`ContactBody`].
pub const SCHEMA: &str = include_str!("../schema/contact.json");

/// What MoEngage knows about a person.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ContactBody<'a> {
    /// The customer's own id (`uid`), where it is usable as an identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// MoEngage's id. Can change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moengage_user_id: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// E.164 with a plus sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Project of a Portfolio workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Every user attribute, as it came: missing, null and empty stay three things.
    #[serde(borrow)]
    pub attributes: Object<'a>,
    /// What the flags among the attributes say about consent.
    #[serde(default, skip_serializing_if = "Consent::is_empty")]
    pub consent: Consent,
    /// What the flags among the attributes say about the address.
    #[serde(default, skip_serializing_if = "Suppression::is_empty")]
    pub suppression: Suppression,
}

/// Whether a person wants messages. Missing means not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// E-mail, from the unsubscribe flag and the opt-in state together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Stance>,
    /// SMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<Stance>,
    /// State of the double opt-in by e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_opt_in: Option<OptIn>,
}

impl Consent {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Wants messages, or doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stance {
    /// Not opted out.
    OptedIn,
    /// Wants nothing.
    OptedOut,
}

/// State of a double opt-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptIn {
    /// Confirmed.
    DoubleOptedIn,
    /// Asked, not confirmed: may not be written to.
    Pending,
    /// Withdrawn.
    OptedOut,
}

/// Whether an address may be written to, whatever the person wants. Missing means not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The address does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_bounce: Option<bool>,
    /// The person called a mail spam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaint: Option<bool>,
}

impl Suppression {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
