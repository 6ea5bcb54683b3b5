//! Reading transactional mails back: `GET /smtp/emails`, `GET /smtp/statistics/events`,
//! `DELETE /smtp/log/{identifier}`.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for the address and the dates of the
//! deletion.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::account::Account;
use super::attributes::is_email;
use super::mail::Mail;
use super::query::{Filters, Page};
use super::replies::{not_found, violation};
use crate::clock::{Millis, parse_day, rfc3339};
use crate::http::{Reply, Request};
use crate::random::Random;

/// brevo: `event` of the report.
const EVENTS: &[&str] = &[
    "bounces",
    "hardBounces",
    "softBounces",
    "delivered",
    "spam",
    "requests",
    "opened",
    "clicks",
    "invalid",
    "deferred",
    "blocked",
    "unsubscribed",
    "error",
    "loadedByProxy",
];

/// A mail to one person, as the log has it.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    at: Millis,
    visible_at: Millis,
    uuid: String,
    recipient: String,
    message_id: String,
    template_id: Option<i64>,
    subject: String,
    sender: String,
    tags: Vec<String>,
    /// What became of it.
    outcome: &'static str,
}

impl Logged {
    pub(super) fn of(mail: &Mail, number: u64, delay: Duration) -> Self {
        Self {
            at: mail.at,
            visible_at: mail.at + delay.as_millis() as Millis,
            uuid: Random::new(number).uuid(),
            recipient: mail.recipient.clone(),
            message_id: mail.message_id.clone(),
            template_id: mail.template_id,
            subject: mail.subject.clone(),
            sender: mail.sender.clone(),
            tags: mail.tags.clone(),
            outcome: if mail.delivered { "delivered" } else { "blocked" },
        }
    }

    fn row(&self) -> Value {
        let mut row = json!({
            "date": rfc3339(self.at), "email": self.recipient, "from": self.sender,
            "messageId": self.message_id, "subject": self.subject, "tags": self.tags, "uuid": self.uuid,
        });
        if let Some(template) = self.template_id {
            row["templateId"] = json!(template);
        }
        row
    }

    /// A row of the report. Its `tag` is one string; what it is for a mail with several tags is
    /// not documented, here the first.
    fn event(&self, event: &str) -> Value {
        let mut row = json!({
            "date": rfc3339(self.at), "email": self.recipient, "event": event, "from": self.sender,
            "messageId": self.message_id, "subject": self.subject,
        });
        if let Some(tag) = self.tags.first() {
            row["tag"] = json!(tag);
        }
        if let Some(template) = self.template_id {
            row["templateId"] = json!(template);
        }
        row
    }
}

/// Filters that both lists have.
struct Wanted<'a> {
    email: Option<&'a str>,
    template: Option<i64>,
    message: Option<&'a str>,
    from: Millis,
    to: Millis,
}

impl<'a> Wanted<'a> {
    fn read(request: &'a Request, most_days: i64) -> Result<Self, Reply> {
        let filters = Filters(request);
        let (from, to) = filters.days(request.at, 30, most_days)?;
        Ok(Self {
            email: filters.text("email"),
            template: filters.number("templateId")?,
            message: filters.text("messageId"),
            from,
            to,
        })
    }

    fn takes(&self, mail: &Logged, now: Millis) -> bool {
        mail.visible_at <= now
            && (self.from..self.to).contains(&mail.at)
            && self.email.is_none_or(|email| email.eq_ignore_ascii_case(&mail.recipient))
            && self.template.is_none_or(|template| mail.template_id == Some(template))
            && self.message.is_none_or(|message| message == mail.message_id)
    }
}

impl Account {
    pub(super) fn list_mails(&self, request: &Request) -> Reply {
        let others = ["email", "templateId", "messageId", "startDate", "endDate"];
        // The range is at most a month.
        let (page, wanted) = match (Page::read(request, 500, 1_000, &others), Wanted::read(request, 31)) {
            (Ok(page), Ok(wanted)) => (page, wanted),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        if wanted.email.is_none() && wanted.template.is_none() && wanted.message.is_none() {
            return violation("missing_parameter", "one of email, templateId and messageId is required");
        }
        let found: Vec<&Logged> =
            self.mails.log.iter().filter(|mail| wanted.takes(mail, request.at)).collect();
        let rows = page.of(found.iter().map(|mail| mail.row()));
        Reply::json(200, &json!({"count": found.len(), "transactionalEmails": rows}))
    }

    pub(super) fn list_mail_events(&self, request: &Request) -> Reply {
        let others = ["email", "templateId", "messageId", "startDate", "endDate", "days", "event", "tags"];
        let (page, wanted) = match (Page::read(request, 2_500, 5_000, &others), Wanted::read(request, 90)) {
            (Ok(page), Ok(wanted)) => (page, wanted),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let filters = Filters(request);
        let (event, tags) = match (filters.one_of("event", EVENTS), filters.tags()) {
            (Ok(event), Ok(tags)) => (event, tags),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let tagged = |mail: &&Logged| tags.is_empty() || mail.tags.iter().any(|tag| tags.contains(tag));
        let events: Vec<Value> = self
            .mails
            .log
            .iter()
            .filter(|mail| wanted.takes(mail, request.at))
            .filter(tagged)
            .flat_map(|mail| ["requests", mail.outcome].map(|event| (mail, event)))
            .filter(|(_, name)| event.is_none_or(|wanted| wanted == *name))
            .map(|(mail, event)| mail.event(event))
            .collect();
        Reply::json(200, &json!({"events": page.of(events.into_iter())}))
    }

    /// Removes what the log has by now; a mail that is not in it yet still comes.
    pub(super) fn delete_mail_log(&mut self, request: &Request) -> Reply {
        let raw = request.path.rsplit('/').next().unwrap_or_default();
        let Ok(identifier) = percent_decode_str(raw).decode_utf8() else {
            return violation("invalid_parameter", "the identifier is not UTF-8");
        };
        let message = identifier.starts_with('<') && identifier.ends_with('>') && identifier.contains('@');
        if !message && !is_email(&identifier) {
            return violation("invalid_parameter", "neither a message id in angle brackets nor an address");
        }
        let (mut from, mut to) = (Millis::MIN, Millis::MAX);
        for (name, value) in &request.query {
            match (name.as_str(), parse_day(value)) {
                ("from_date", Some(day)) => from = day,
                ("to_date", Some(day)) => to = day + 86_400_000,
                _ => return violation("invalid_parameter", "from_date and to_date are yyyy-mm-dd"),
            }
        }
        let before = self.mails.log.len();
        self.mails.log.retain(|mail| {
            let named = match message {
                true => mail.message_id == *identifier,
                false => mail.recipient.eq_ignore_ascii_case(&identifier),
            };
            !(named && mail.visible_at <= request.at && (from..to).contains(&mail.at))
        });
        match self.mails.log.len() == before {
            true => not_found("Message ID"),
            false => Reply::empty(204),
        }
    }
}
