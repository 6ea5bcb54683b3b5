//! What reaches a mailbox or a telephone, and can't be taken back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A transactional e-mail by a template of the account, to the person's own address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendEmail {
    /// Number of an active template.
    pub template_id: i64,
    /// What the template shows as `{{ params.… }}`; at most 100 KB (`brevo-python` 5.1.0,
    /// `send_transac_email`).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// For the tenant's statistics at Brevo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The tenant's word that somebody who wants no marketing still gets this. Nobody gets it whose
    /// address bounced or who complained.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even_if_opted_out: bool,
}

/// A text message to the person's own number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendSms {
    /// At most 1,000 characters.
    pub content: String,
    /// At most 11 letters and digits, or at most 15 digits (`brevo-python` 5.1.0, `send_transac_sms`).
    pub sender: String,
    /// Brevo asks which: marketing has quiet hours in France.
    #[serde(default)]
    pub kind: SmsKind,
    /// At most 10 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// As for [`SendEmail`]; never with marketing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even_if_opted_out: bool,
}

/// What a text message is to Brevo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum SmsKind {
    #[default]
    Transactional,
    Marketing,
}

/// Sends an e-mail campaign of the account to the recipients that it has there: once in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerCampaign {
    /// Brevo's number of a campaign that is a draft.
    pub campaign_id: i64,
}

/// Largest `params` of one mail, in bytes of JSON.
const PARAMS: usize = 100_000;

impl SendEmail {
    pub(super) fn fault(&self) -> Option<&'static str> {
        let size = serde_json::to_string(&self.params).map_or(usize::MAX, |text| text.len());
        match self {
            _ if self.template_id < 1 => Some("a template's number is positive"),
            _ if size > PARAMS => Some("the parameters are larger than 100 KB"),
            _ if self.tags.len() > 10 || !self.tags.iter().all(|tag| is_short(tag, 50)) => {
                Some("there are more than 10 tags, or one has not 1 to 50 characters")
            }
            _ => None,
        }
    }
}

impl SendSms {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            _ if !is_short(&self.content, 1_000) => Some("a text has 1 to 1,000 characters"),
            _ if !is_sender(&self.sender) => Some("Brevo doesn't take this sender"),
            _ if self.tag.as_deref().is_some_and(|tag| !is_short(tag, 10)) => {
                Some("the tag has not 1 to 10 characters")
            }
            _ if self.kind == SmsKind::Marketing && self.even_if_opted_out => {
                Some("marketing never goes to people who opted out")
            }
            _ => None,
        }
    }
}

impl TriggerCampaign {
    pub(super) fn fault(&self) -> Option<&'static str> {
        (self.campaign_id < 1).then_some("a campaign's number is positive")
    }
}

fn is_short(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count())
}

fn is_sender(text: &str) -> bool {
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits || ((1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()))
}
