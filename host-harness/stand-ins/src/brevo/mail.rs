//! `POST /smtp/email`: transactional mail.
//!
//! brevo: OpenAPI file of February 2026; the guides developers.brevo.com/docs/using-sandbox-mode
//! and docs/heterogenous-versions-batch-emails (idempotency). Left out, so a violation here:
//! `messageVersions`, `attachment`, `scheduledAt`, `batchId`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::attributes::is_email;
use super::mail_log::Logged;
use super::replies::{error, no_credits, violation};
use super::schemas::present;
use crate::clock::Millis;
use crate::http::{Reply, Request};

/// Who sends where a template or a block names nobody else.
pub(super) const SENDER: &str = "hello@example.com";
/// brevo: "Individual `params` objects must not exceed 100 KB".
const LARGEST_PARAMS: usize = 100 * 1024;
/// brevo: "Maximum recipients per message version is 99".
const MOST_RECIPIENTS: usize = 99;
/// brevo: `name` of a sender or recipient.
const LONGEST_NAME: usize = 70;

/// An e-mail template of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Brevo's number.
    pub id: i64,
    /// An inactive one sends nothing.
    pub active: bool,
    /// Subject of its mails.
    pub subject: String,
    /// Address of its sender.
    pub sender: String,
}

impl Template {
    /// An active one.
    pub fn active(id: i64) -> Self {
        Self { id, active: true, subject: format!("Template {id}"), sender: SENDER.to_owned() }
    }

    /// One that is not active.
    pub fn inactive(id: i64) -> Self {
        Self { active: false, ..Self::active(id) }
    }
}

/// A mail to one person that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mail {
    /// Number of the request that sent it.
    pub seq: u64,
    /// When, in host time.
    pub at: Millis,
    /// Same for all recipients of a request.
    pub message_id: String,
    /// Address, as written.
    pub recipient: String,
    /// False where the transactional blocklist stopped it: accepted, but nobody gets it.
    pub delivered: bool,
    /// None where the request brought its own content.
    pub template_id: Option<i64>,
    /// As written.
    pub params: Map<String, Value>,
    /// As written.
    pub tags: Vec<String>,
    /// `idempotencyKey` of the body's headers.
    pub key: Option<String>,
    /// The body's headers, the key among them.
    pub headers: Map<String, Value>,
    /// Address of the sender.
    pub sender: String,
    /// Its own, or the template's.
    pub subject: String,
}

#[derive(Debug, Default)]
pub(super) struct Mails {
    pub(super) sent: Vec<Mail>,
    pub(super) log: Vec<Logged>,
    /// When each key was last taken.
    keys: HashMap<String, Millis>,
    messages: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct SendMail {
    #[serde(deserialize_with = "present")]
    sender: Option<Sender>,
    to: Vec<Person>,
    cc: Vec<Person>,
    bcc: Vec<Person>,
    #[serde(deserialize_with = "present")]
    reply_to: Option<Person>,
    #[serde(deserialize_with = "present")]
    subject: Option<String>,
    #[serde(deserialize_with = "present")]
    html_content: Option<String>,
    #[serde(deserialize_with = "present")]
    text_content: Option<String>,
    #[serde(deserialize_with = "present")]
    template_id: Option<i64>,
    params: Map<String, Value>,
    tags: Vec<String>,
    headers: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sender {
    #[serde(deserialize_with = "present")]
    email: Option<String>,
    #[serde(deserialize_with = "present")]
    name: Option<String>,
    #[serde(deserialize_with = "present")]
    id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    email: String,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
}

impl SendMail {
    fn recipients(&self) -> impl Iterator<Item = &Person> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    /// What the documents say of the values, beyond their types.
    fn check(&self) -> Result<(), Reply> {
        if self.to.is_empty() {
            return Err(violation("missing_parameter", "to is missing"));
        }
        if self.recipients().count() > MOST_RECIPIENTS {
            return Err(violation("out_of_range", "more than 99 recipients"));
        }
        for person in self.recipients().chain(&self.reply_to) {
            if !is_email(&person.email) {
                // brevo: getbrevo/brevo-node#40.
                return Err(error(400, "invalid_parameter", "email is not valid in to"));
            }
        }
        let names = self.recipients().chain(&self.reply_to).filter_map(|person| person.name.as_deref());
        let own = self.sender.as_ref().and_then(|sender| sender.name.as_deref());
        if names.chain(own).any(|name| name.chars().count() > LONGEST_NAME) {
            return Err(violation("invalid_parameter", "a name is longer than 70 characters"));
        }
        if let Some(sender) = &self.sender {
            match (&sender.email, sender.id) {
                (Some(email), None) if is_email(email) => (),
                (None, Some(_)) => (),
                _ => return Err(violation("invalid_parameter", "sender has either a valid email or an id")),
            }
        }
        if self.template_id.is_none() {
            let content = self.html_content.as_deref().or(self.text_content.as_deref());
            if self.sender.is_none() || self.subject.is_none() || content.is_none_or(str::is_empty) {
                let message = "without templateId: sender, subject, and htmlContent or textContent";
                return Err(violation("missing_parameter", message));
            }
        }
        let size = serde_json::to_vec(&self.params).map_or(usize::MAX, |bytes| bytes.len());
        if size > LARGEST_PARAMS {
            return Err(violation("invalid_parameter", "params are larger than 100 KB"));
        }
        if self.headers.values().any(|value| !value.is_string()) {
            return Err(violation("invalid_parameter", "the value of a header is not a string"));
        }
        match self.header("idempotencyKey") {
            Some("") => Err(violation("invalid_parameter", "idempotencyKey is empty")),
            _ => Ok(()),
        }
    }

    /// A header of the body. Brevo puts its names into another case, so the case does not count.
    /// The key is also written `Idempotency-Key` in one place of the documents: here that is
    /// an ordinary header and protects from nothing.
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    }
}

impl Account {
    pub(super) fn send_mail(&mut self, request: &Request) -> Reply {
        let body: SendMail = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if let Err(reply) = body.check() {
            return reply;
        }
        let template = match body.template_id {
            None => None,
            // The words of these two are not documented.
            Some(id) => match self.options.templates.iter().find(|template| template.id == id) {
                None => return error(400, "invalid_parameter", "Invalid template id"),
                Some(template) if !template.active => {
                    return error(400, "invalid_parameter", "Template is not active");
                }
                Some(template) => Some(template.clone()),
            },
        };
        let key = body.header("idempotencyKey").map(str::to_owned);
        let window = self.options.mail_key_window.as_millis() as Millis;
        let taken = key.as_ref().and_then(|key| self.mails.keys.get(key));
        if taken.is_some_and(|at| at + window > request.at) {
            return error(400, "duplicate_parameter", "idempotencyKey was already used");
        }
        self.mails.messages += 1;
        let message_id = format!("<{}.{:07}@smtp-relay.example.com>", request.at, self.mails.messages);
        match body.header("X-Sib-Sandbox") {
            None => (),
            // brevo: docs/using-sandbox-mode: the answer of a mail, and nothing sent or logged.
            Some("drop") => return Reply::json(201, &json!({"messageId": message_id})),
            Some(_) => return violation("invalid_parameter", "X-Sib-Sandbox is drop"),
        }
        if !take(&mut self.options.email_credits, body.recipients().count() as u64) {
            return no_credits();
        }
        if let Some(key) = &key {
            self.mails.keys.insert(key.clone(), request.at);
        }
        let from_template = |part: fn(&Template) -> &String| template.as_ref().map(part).cloned();
        let sender = body.sender.as_ref().and_then(|sender| sender.email.clone());
        let sender = sender.or_else(|| from_template(|template| &template.sender));
        let sender = sender.unwrap_or_else(|| SENDER.to_owned());
        let subject = body.subject.clone().or_else(|| from_template(|template| &template.subject));
        let subject = subject.unwrap_or_default();
        for person in body.recipients() {
            let mail = Mail {
                seq: request.seq,
                at: request.at,
                message_id: message_id.clone(),
                recipient: person.email.clone(),
                delivered: !self.is_blocked(&person.email, &sender),
                template_id: body.template_id,
                params: body.params.clone(),
                tags: body.tags.clone(),
                key: key.clone(),
                headers: body.headers.clone(),
                sender: sender.clone(),
                subject: subject.clone(),
            };
            let row = Logged::of(&mail, self.mails.sent.len() as u64, self.options.mail_log_delay);
            self.mails.log.push(row);
            self.mails.sent.push(mail);
        }
        Reply::json(201, &json!({"messageId": message_id}))
    }
}

/// Takes so many credits; false, and nothing taken, where there are fewer.
pub(super) fn take(credits: &mut Option<u64>, count: u64) -> bool {
    match credits {
        None => true,
        Some(left) if *left >= count => {
            *left -= count;
            true
        }
        Some(_) => false,
    }
}

impl Brevo {
    /// Every transactional mail that was accepted, one for each recipient, in order. Mails of
    /// the sandbox and repeats of a key are not among them.
    pub fn mails(&self) -> Vec<Mail> {
        self.held(|account| account.mails.sent.clone())
    }

    /// Replaces the templates of the account.
    pub fn set_templates(&self, templates: Vec<Template>) {
        self.held(|account| account.options.templates = templates);
    }

    /// Mails that can still be sent; none: no end.
    pub fn set_email_credits(&self, credits: Option<u64>) {
        self.held(|account| account.options.email_credits = credits);
    }
}
