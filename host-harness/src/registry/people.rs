//! What becomes true of a person: contact, consent, suppression, what they did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What becomes of a contact whose person is to be deleted (`brevo/delete-contact`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteContact {
    /// How far it goes.
    pub behavior: DeleteBehavior,
    /// Attribute of the configuration that gets the day of the deletion, where it is soft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// Tajo's `delete_behavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeleteBehavior {
    /// Out of every list, marked, and kept.
    Soft,
    /// Erased at Brevo and here, for good.
    Hard,
}
