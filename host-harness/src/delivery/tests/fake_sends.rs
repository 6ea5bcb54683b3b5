//! What the Brevo in memory knows of mails, texts and campaigns. A key of a mail lives for the
//! shorter of the documented times, and a report on texts shows one tag of each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fake::{decode, digits, only_keys, refusal};
use crate::world::Millis;

/// changelog 2021-11-10
const KEY_LIFE: Millis = 15 * 60_000;

#[derive(Clone, Debug, PartialEq)]
pub struct FakeMail {
    pub at: Millis,
    pub to: String,
    pub template: i64,
    pub params: Map<String, Value>,
    pub tags: Vec<String>,
    pub key: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FakeText {
    pub at: Millis,
    pub to: String,
    pub kind: String,
    pub tags: Vec<String>,
}

pub struct Sends {
    /// Numbers of the active templates.
    pub templates: BTreeSet<i64>,
    pub mails: Vec<FakeMail>,
    /// When each key was taken.
    keys: BTreeMap<String, Millis>,
    pub texts: Vec<FakeText>,
    /// Status by number.
    pub campaigns: BTreeMap<i64, &'static str>,
    /// Numbers, as often as they were sent.
    pub campaigns_sent: Vec<i64>,
}

impl Default for Sends {
    fn default() -> Self {
        Self {
            templates: BTreeSet::from([101]),
            mails: Vec::new(),
            keys: BTreeMap::new(),
            texts: Vec::new(),
            campaigns: BTreeMap::from([(7, "draft")]),
            campaigns_sent: Vec::new(),
        }
    }
}

impl Sends {
    pub fn answer(
        &mut self,
        method: &str,
        path: &[&str],
        query: &str,
        body: &Value,
        now: Millis,
    ) -> (u16, Value) {
        match (method, path) {
            ("POST", ["smtp", "email"]) => self.mail(body, now),
            ("GET", ["smtp", "emails"]) => self.mail_log(query),
            ("POST", ["transactionalSMS", "send"]) => self.text(body, now),
            ("GET", ["transactionalSMS", "statistics", "events"]) => self.text_report(query, now),
            ("GET", ["emailCampaigns", id]) => match self.campaigns.get(&id.parse().unwrap()) {
                Some(status) => {
                    (200, json!({ "id": id.parse::<i64>().unwrap(), "name": "C", "status": status }))
                }
                None => no_campaign(),
            },
            ("POST", ["emailCampaigns", id, "sendNow"]) => {
                assert!(body.is_null());
                let id = id.parse().unwrap();
                match self.campaigns.get_mut(&id) {
                    Some(status @ &mut "draft") => {
                        *status = "queued";
                        self.campaigns_sent.push(id);
                        (204, Value::Null)
                    }
                    Some(&mut "sent") => refusal("campaign_sent", "Campaign is already sent"),
                    Some(_) => refusal("campaign_processing", "Campaign is already in process"),
                    None => no_campaign(),
                }
            }
            _ => panic!("no such call: {method} {path:?}"),
        }
    }

    fn mail(&mut self, body: &Value, now: Millis) -> (u16, Value) {
        only_keys(body, &["to", "templateId", "params", "tags", "headers"]);
        only_keys(&body["headers"], &["idempotencyKey"]);
        let [to] = body["to"].as_array().unwrap().as_slice() else { panic!("one recipient") };
        only_keys(to, &["email"]);
        let to = to["email"].as_str().unwrap().to_owned();
        let key = body["headers"]["idempotencyKey"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&key).unwrap().get_version_num(), 4);
        if !to.contains('@') {
            return refusal("invalid_parameter", "email is not valid in to");
        }
        let template = body["templateId"].as_i64().unwrap();
        if !self.templates.contains(&template) {
            return refusal("invalid_parameter", "Invalid template id");
        }
        if self.keys.get(&key).is_some_and(|taken| now - taken < KEY_LIFE) {
            return refusal("duplicate_parameter", "idempotencyKey was already used");
        }
        self.keys.insert(key.clone(), now);
        let tags = body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
        let params = body["params"].as_object().cloned().unwrap_or_default();
        self.mails.push(FakeMail { at: now, to, template, params, tags: tags.collect(), key });
        (201, json!({ "messageId": format!("<{}@relay.domain.com>", self.mails.len()) }))
    }

    fn mail_log(&self, query: &str) -> (u16, Value) {
        let [email, sort, limit, offset] = values(query, ["email", "sort", "limit", "offset"]);
        assert_eq!(sort, "desc");
        let (limit, offset): (usize, usize) = (limit.parse().unwrap(), offset.parse().unwrap());
        assert!(limit <= 1_000);
        let found: Vec<&FakeMail> = self.mails.iter().rev().filter(|mail| mail.to == email).collect();
        let row = |mail: &&FakeMail| {
            json!({ "email": mail.to, "subject": "S", "templateId": mail.template, "messageId": "<m>",
                "uuid": mail.key, "date": "2026-11-23T12:00:00Z", "from": "hello@x.org", "tags": mail.tags })
        };
        let rows: Vec<Value> = found.iter().skip(offset).take(limit).map(row).collect();
        (200, json!({ "count": found.len(), "transactionalEmails": rows }))
    }

    fn text(&mut self, body: &Value, now: Millis) -> (u16, Value) {
        only_keys(body, &["recipient", "sender", "content", "type", "tag", "unicodeEnabled"]);
        let to = body["recipient"].as_str().unwrap().to_owned();
        assert_eq!(to, digits(&to));
        if !(6..=15).contains(&to.len()) {
            return refusal("invalid_parameter", "Invalid phone number");
        }
        assert!(body["sender"].is_string() && body["unicodeEnabled"].is_boolean());
        if body["content"].as_str().unwrap() == "poison" {
            return refusal("invalid_parameter", "content is invalid");
        }
        let tags = match &body["tag"] {
            Value::String(tag) => vec![tag.clone()],
            tags => tags.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect(),
        };
        let kind = body["type"].as_str().unwrap().to_owned();
        assert!(["transactional", "marketing"].contains(&kind.as_str()));
        self.texts.push(FakeText { at: now, to, kind, tags });
        (201, json!({ "messageId": 1_511_882_900_176_220_i64 }))
    }

    fn text_report(&self, query: &str, now: Millis) -> (u16, Value) {
        let names = ["phoneNumber", "days", "sort", "limit", "offset"];
        let [phone, days, sort, limit, offset] = values(query, names);
        assert_eq!(sort, "desc");
        let (limit, offset): (usize, usize) = (limit.parse().unwrap(), offset.parse().unwrap());
        let days: i64 = days.parse().unwrap();
        assert!(limit <= 100 && (1..=90).contains(&days));
        let since = now - days * 86_400_000;
        let rows: Vec<Value> = self
            .texts
            .iter()
            .rev()
            .filter(|text| text.to == phone && text.at >= since)
            .flat_map(|text| ["delivered", "sent"].map(|event| (text, event)))
            .map(|(text, event)| {
                json!({ "date": "2026-11-23T12:00:00Z", "event": event, "messageId": "1",
                    "phoneNumber": text.to.parse::<u64>().unwrap(), "tag": text.tags[0] })
            })
            .skip(offset)
            .take(limit)
            .collect();
        (200, json!({ "events": rows }))
    }
}

fn no_campaign() -> (u16, Value) {
    (404, json!({ "code": "document_not_found", "message": "Campaign ID does not exist" }))
}

/// The values of exactly these parameters.
fn values<const N: usize>(query: &str, names: [&str; N]) -> [String; N] {
    let pairs: BTreeMap<&str, String> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name, decode(value)))
        .collect();
    assert_eq!(pairs.len(), N, "{query}");
    names.map(|name| pairs[name].clone())
}
