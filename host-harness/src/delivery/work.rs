//! One action under way, with everything that is known about its person, and what was learned.

use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

use super::delete::Erasing;
use super::outcome::Letter;
use super::person::PersonRow;
use crate::contract::{Person, Subject};
use crate::people::consent::{self, ConsentView};
use crate::people::fields::Standing;
use crate::registry::{Channel, Payload};
use crate::store::StoreError;
use crate::store::outbox::Action;
use crate::world::Millis;

pub(super) struct Work {
    pub action: Action,
    pub payload: Payload,
    /// As this record named the person.
    pub subject: Person,
    /// Every name that is known, this record's first.
    pub names: Names,
    pub person: PersonRow,
    pub email: ConsentView,
    pub sms: ConsentView,
    pub intent: Intent,
    /// Blocks that this host set (with the time) or lifted (none) at Brevo.
    pub blocks: Vec<(Channel, Option<Millis>)>,
    /// A block that this host set at the contact of another person, who shares the mailbox.
    pub block_of_another: Option<(i64, Channel, Millis)>,
    pub letters: Vec<Letter>,
    /// The contact came to be known: what waits for it goes on.
    pub release: bool,
    /// The phone was left out because its consent is unknown.
    pub phone_withheld: bool,
    /// What was proven about the action's list: the person is in it, or not.
    pub in_list: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub ext_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
}

/// Progress that outlives a crash (`action.intent`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Intent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressIntent>,
    /// Not to ride in a batch again: the batch was refused as a whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
    /// A look at the contact comes before the next join or leave.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub look: bool,
    /// The join, mail, text, campaign, note or task was sent, and may have been carried out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sent: bool,
    /// When the first request left that may have sent the mail, text or campaign; host time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Millis>,
    /// How often looking for it at Brevo failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_looks: u32,
    /// How often it was sent again after its absence was proven.
    #[serde(skip_serializing_if = "is_zero")]
    pub resends: u32,
    /// How the row was sent in an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ride: Option<Ride>,
    /// The person is forgotten here; this is left to be done at Brevo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
    /// The contact that the event, note or task was sent for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<i64>,
    /// Brevo's number for its work on the record of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<i64>,
    /// How often that work was asked after.
    #[serde(skip_serializing_if = "is_zero")]
    pub checks: u32,
    /// How many may ride in a batch with it: a larger one was refused as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A row of an import, as far as it is needed to know it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ride {
    /// Digest of the address that it is keyed by.
    pub email: String,
    /// Digest of the phone number, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Nobody at Brevo had any of its identifiers.
    pub new: bool,
}

/// A change of address under way: the blocks that it must not lose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AddressIntent {
    pub channel: Channel,
    /// Digest of the new address.
    pub value: String,
    pub email_blocked: bool,
    pub sms_blocked: bool,
}

impl Intent {
    pub fn read(text: Option<&str>) -> Result<Self, StoreError> {
        text.map_or(Ok(Self::default()), |text| {
            serde_json::from_str(text).map_err(|_| StoreError::Unreadable("action.intent"))
        })
    }

    pub fn text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|_| StoreError::Unreadable("action.intent"))
    }
}

impl Work {
    /// None where the action is not one that can be worked on (no person, or unreadable).
    pub fn load(tx: &Transaction<'_>, action: Action) -> Result<Result<Self, Action>, StoreError> {
        let Some(person) = action.person.map(|id| PersonRow::load(tx, id)).transpose()?.flatten() else {
            return Ok(Err(action));
        };
        let (Ok(payload), Ok(Subject::Person(subject))) =
            (Payload::parse(&action.name, &action.payload), serde_json::from_str(&action.subject))
        else {
            return Ok(Err(action));
        };
        let names = Names::load(tx, person.id, &subject)?;
        let intent = Intent::read(action.intent.as_deref())?;
        let (email, sms) = consent::of_both_channels(tx, person.id)?;
        Ok(Ok(Self {
            action,
            payload,
            subject,
            names,
            person,
            email,
            sms,
            intent,
            blocks: Vec::new(),
            block_of_another: None,
            letters: Vec::new(),
            release: false,
            phone_withheld: false,
            in_list: None,
        }))
    }

    pub fn consent(&self, channel: Channel) -> &ConsentView {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }

    /// Place of this action's values in the history of a field.
    pub fn standing(&self) -> Standing {
        Standing::new(self.action.time(), self.action.rank, self.action.observation)
    }

    /// This host set the block at Brevo, where there was none.
    pub fn wrote_block(&mut self, channel: Channel, now: Millis) {
        self.blocks.push((channel, Some(now)));
        self.view_mut(channel).block_written_at = Some(now);
    }

    /// There is no block at Brevo.
    pub fn no_block(&mut self, channel: Channel) {
        self.blocks.push((channel, None));
        self.view_mut(channel).block_written_at = None;
    }

    fn view_mut(&mut self, channel: Channel) -> &mut ConsentView {
        match channel {
            Channel::Email => &mut self.email,
            Channel::Sms => &mut self.sms,
        }
    }
}

impl Names {
    fn load(tx: &Transaction<'_>, person: i64, subject: &Person) -> Result<Self, StoreError> {
        let known = |kind: &str| -> Result<Option<String>, StoreError> {
            let mut statement = tx.prepare_cached(
                "SELECT value FROM identity WHERE person = ?1 AND kind = ?2 ORDER BY at DESC, value LIMIT 1",
            )?;
            let mut rows = statement.query_map(params![person, kind], |row| row.get(0))?;
            Ok(rows.next().transpose()?)
        };
        let or_known = |named: &Option<String>, kind| match named {
            Some(name) => Ok(Some(name.clone())),
            None => known(kind),
        };
        Ok(Self {
            ext_id: or_known(&subject.external_id, "external-id")?,
            email: or_known(&subject.email, "email")?,
            phone: or_known(&subject.phone, "phone")?,
        })
    }
}
