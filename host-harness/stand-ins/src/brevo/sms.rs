//! Transactional SMS: `POST /transactionalSMS/send`, the older `POST /transactionalSMS/sms`, and
//! the report `GET /transactionalSMS/statistics/events`.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for the rules of numbers, senders
//! and tags. No key protects from a repeat. Whether Brevo holds a marketing message back from a
//! contact with `smsBlacklisted` is not documented: here it goes out, which is the worst for the
//! sender.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::mail::take;
use super::query::{Filters, Page};
use super::replies::{error, no_credits, violation};
use super::schemas::present;
use crate::clock::{Millis, rfc3339};
use crate::http::{Reply, Request};

/// brevo: "maximum 10 tags. Each tag must be a non-empty string".
const MOST_TAGS: usize = 10;
/// brevo: `event` of the report.
const EVENTS: &[&str] = &[
    "bounces",
    "hardBounces",
    "softBounces",
    "delivered",
    "sent",
    "accepted",
    "unsubscription",
    "replies",
    "blocked",
    "rejected",
    "skipped",
];
/// A message with this in it is a marketing one, whatever the request says (brevo: note of the call).
const STOP_CODE: &str = "[STOP_CODE]";

/// A text message that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Text {
    /// Number of the request that sent it.
    pub seq: u64,
    /// When, in host time.
    pub at: Millis,
    /// Brevo's number.
    pub message_id: i64,
    /// Digits with the country code, without a plus sign.
    pub recipient: String,
    /// Name or number of the sender.
    pub sender: String,
    /// None where a template was sent.
    pub content: Option<String>,
    /// The template.
    pub template_id: Option<i64>,
    /// Transactional or marketing.
    pub kind: TextKind,
    /// As written; none, one, or several.
    pub tags: Vec<String>,
    /// Messages that it takes on the way.
    pub parts: u64,
}

/// `type` of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TextKind {
    #[default]
    Transactional,
    Marketing,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a tag is a string or an array of strings")]
enum Tag {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SendSms {
    #[serde(deserialize_with = "present")]
    recipient: Option<String>,
    #[serde(deserialize_with = "present")]
    sender: Option<String>,
    #[serde(deserialize_with = "present")]
    content: Option<String>,
    #[serde(deserialize_with = "present")]
    template_id: Option<i64>,
    #[allow(dead_code, reason = "read so that its shape is checked; nothing is rendered here")]
    params: Map<String, Value>,
    #[serde(rename = "type")]
    kind: TextKind,
    #[serde(deserialize_with = "present")]
    tag: Option<Tag>,
    unicode_enabled: bool,
    #[serde(deserialize_with = "present")]
    organisation_prefix: Option<String>,
    #[serde(deserialize_with = "present")]
    #[allow(dead_code, reason = "read so that its shape is checked; nothing is called here")]
    web_url: Option<String>,
}

impl Account {
    /// `POST /transactionalSMS/send`.
    pub(super) fn send_sms(&mut self, request: &Request) -> Reply {
        match self.send(request) {
            Ok(text) => Reply::json(201, &json!({"messageId": text.message_id})),
            Err(reply) => reply,
        }
    }

    /// `POST /transactionalSMS/sms`.
    pub(super) fn send_sms_at_once(&mut self, request: &Request) -> Reply {
        let text = match self.send(request) {
            Ok(text) => text,
            Err(reply) => return reply,
        };
        Reply::json(
            201,
            &json!({
                "messageId": text.message_id, "reference": format!("standin{:013}", text.message_id),
                "smsCount": text.parts, "usedCredits": text.parts,
                "remainingCredits": self.options.sms_credits.unwrap_or(10_000),
            }),
        )
    }

    fn send(&mut self, request: &Request) -> Result<Text, Reply> {
        let body: SendSms = read(request)?;
        let recipient =
            body.recipient.ok_or_else(|| violation("missing_parameter", "recipient is missing"))?;
        // The words are not documented. A bad number is bad data, no bad request.
        let recipient =
            number(&recipient).ok_or_else(|| error(400, "invalid_parameter", "Invalid telephone number"))?;
        let sender = body.sender.ok_or_else(|| violation("missing_parameter", "sender is missing"))?;
        if !is_sender(&sender) {
            let message = "sender is 1 to 11 letters and digits, or up to 15 digits";
            return Err(violation("invalid_parameter", message));
        }
        let tags = match body.tag {
            None => Vec::new(),
            Some(Tag::One(tag)) => vec![tag],
            Some(Tag::Several(tags)) => tags,
        };
        if tags.len() > MOST_TAGS || tags.iter().any(String::is_empty) {
            return Err(violation("invalid_parameter", "at most 10 tags, none of them empty"));
        }
        match (&body.content, body.template_id) {
            (Some(content), None) if !content.is_empty() => (),
            (None, Some(template)) if self.options.sms_templates.contains(&template) => (),
            // The words are not documented.
            (None, Some(_)) => return Err(error(400, "invalid_parameter", "Invalid template id")),
            _ => return Err(violation("missing_parameter", "exactly one of content and templateId")),
        }
        let prefix = body.organisation_prefix.unwrap_or_default();
        let content = body.content.as_deref().unwrap_or_default();
        let parts = parts(&format!("{prefix}{content}"), body.unicode_enabled);
        if !take(&mut self.options.sms_credits, parts) {
            return Err(no_credits());
        }
        let text = Text {
            seq: request.seq,
            at: request.at,
            message_id: request.at * 1_000 + self.texts.len() as i64,
            recipient,
            sender,
            kind: if content.contains(STOP_CODE) { TextKind::Marketing } else { body.kind },
            content: body.content,
            template_id: body.template_id,
            tags,
            parts,
        };
        self.texts.push(text.clone());
        Ok(text)
    }

    /// The report. Its `tag` is one string; of several, the first.
    pub(super) fn list_sms_events(&self, request: &Request) -> Reply {
        let others = ["startDate", "endDate", "days", "phoneNumber", "event", "tags"];
        let filters = Filters(request);
        let page = Page::read(request, 50, 100, &others);
        // The range without dates is not documented; that of mails is 30 days.
        let (page, (from, to)) = match (page, filters.days(request.at, 30, 36_500)) {
            (Ok(page), Ok(range)) => (page, range),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let (event, tags) = match (filters.one_of("event", EVENTS), filters.tags()) {
            (Ok(event), Ok(tags)) => (event, tags),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let phone = match filters.text("phoneNumber").map(number) {
            None => None,
            Some(Some(digits)) => Some(digits),
            Some(None) => return violation("invalid_parameter", "phoneNumber is not a number"),
        };
        let delay = self.options.sms_log_delay.as_millis() as Millis;
        let events: Vec<Value> = self
            .texts
            .iter()
            .filter(|text| text.at + delay <= request.at && (from..to).contains(&text.at))
            .filter(|text| phone.as_ref().is_none_or(|phone| *phone == text.recipient))
            .filter(|text| tags.is_empty() || text.tags.iter().any(|tag| tags.contains(tag)))
            .flat_map(|text| ["accepted", "sent", "delivered"].map(|name| (text, name)))
            .filter(|(_, name)| event.is_none_or(|wanted| wanted == *name))
            .map(|(text, name)| row(text, name))
            .collect();
        Reply::json(200, &json!({"events": page.of(events.into_iter())}))
    }
}

fn row(text: &Text, event: &str) -> Value {
    let mut row = json!({
        "date": rfc3339(text.at), "event": event, "messageId": text.message_id.to_string(),
        "phoneNumber": text.recipient,
    });
    if let Some(tag) = text.tags.first() {
        row["tag"] = json!(tag);
    }
    row
}

/// brevo: "between 6 and 15 digits, optionally prefixed with '+'".
fn number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let fits = (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.to_owned())
}

/// brevo: letters and digits up to 11, digits alone up to 15.
fn is_sender(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let most = if digits { 15 } else { 11 };
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// brevo: "more than 160 characters long, will be sent as multiple text messages"; 70 in Unicode,
/// and 153 or 67 in each of several, by GSM 03.38 and 03.40.
fn parts(text: &str, unicode: bool) -> u64 {
    let (one, each) = if unicode { (70, 67) } else { (160, 153) };
    let length = text.chars().count();
    if length <= one { 1 } else { length.div_ceil(each) as u64 }
}

impl Brevo {
    /// Every text message that was accepted, in order.
    pub fn texts(&self) -> Vec<Text> {
        self.held(|account| account.texts.clone())
    }

    /// Messages that can still be sent; none: no end.
    pub fn set_sms_credits(&self, credits: Option<u64>) {
        self.held(|account| account.options.sms_credits = credits);
    }
}
