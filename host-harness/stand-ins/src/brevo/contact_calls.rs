//! `GET | POST /contacts` and `PUT | GET | DELETE /contacts/{identifier}`.
//!
//! Left out, so a violation here: `segmentId` and `filter` of `GET /contacts`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::account::{Account, OWNER, read};
use super::attributes::{PHONES, is_email, phone};
use super::contacts::{By, Contact, Identifier, Taken, Write};
use super::query::{Filters, Page};
use super::replies::{duplicate, error, no_contact, violation};
use super::schemas::{AttributeValue, CreateContact, UpdateContact};
use crate::clock::{Millis, parse_day, rfc3339};
use crate::http::{Reply, Request};
use crate::journal::{Finding, FindingKind};

const DAY: Millis = 86_400_000;
/// brevo: `GET /contacts/{identifier}`, "statistics of contact for the recent 90 days by default".
const STATISTICS: Millis = 90 * DAY;

/// A write and what Brevo ignores of it.
struct Prepared {
    write: Write,
    ignored: Vec<Finding>,
}

impl Account {
    /// Everybody; or those of any of some lists, and those that came or changed since.
    pub(super) fn list_contacts(&self, request: &Request) -> Reply {
        let filters = Filters(request);
        let page = Page::read(request, 50, 1_000, &["modifiedSince", "createdSince", "listIds"]);
        let since = (filters.since("modifiedSince"), filters.since("createdSince"));
        let (page, modified, created) = match (page, since) {
            (Ok(page), (Ok(modified), Ok(created))) => (page, modified, created),
            (Err(reply), _) | (_, (Err(reply), _) | (_, Err(reply))) => return reply,
        };
        let lists = request.query.iter().filter(|(name, _)| name == "listIds");
        let lists: Vec<i64> = match lists.map(|(_, value)| value.parse()).collect() {
            Ok(lists) => lists,
            Err(_) => return violation("invalid_parameter", "listIds are numbers"),
        };
        // brevo: inclusive, as of the contacts of a list.
        let wanted = |contact: &&Contact| {
            contact.modified_at >= modified
                && contact.created_at >= created
                && (lists.is_empty() || lists.iter().any(|list| contact.list_ids.contains(list)))
        };
        let contacts = || self.contacts.all().filter(wanted);
        Reply::json(200, &json!({"contacts": page.of(contacts().map(summary)), "count": contacts().count()}))
    }

    pub(super) fn create_contact(&mut self, request: &Request) -> Reply {
        let body: CreateContact = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body.attributes.contains_key("EMAIL") {
            return violation("invalid_parameter", "attributes.EMAIL belongs to an update; use email");
        }
        if body.smtp_blacklist_sender.is_some() && !body.update_enabled {
            return violation("invalid_parameter", "smtpBlacklistSender goes with updateEnabled only");
        }
        let base = Write {
            email: body.email,
            ext_id: body.ext_id,
            email_blocked: body.email_blacklisted,
            sms_blocked: body.sms_blacklisted,
            join: body.list_ids,
            blocked_senders: body.smtp_blacklist_sender,
            ..Write::default()
        };
        let Prepared { write, ignored } = match self.prepare(base, body.attributes) {
            Ok(prepared) => prepared,
            Err(reply) => return reply,
        };
        if write.email.is_none()
            && write.ext_id.is_none()
            && !matches!(write.attributes.get("SMS"), Some(Some(_)))
        {
            return violation("missing_parameter", "one of email, ext_id and attributes.SMS is required");
        }
        let by = By { at: request.at, seq: request.seq };
        let reply = match self.contacts.owners(&write).as_slice() {
            [] => match self.contacts.create(write, by) {
                Ok(id) => Reply::json(201, &json!({"id": id})),
                Err(Taken(taken)) => self.duplicate("create", &taken),
            },
            _ if !body.update_enabled && !body.force_merge => {
                let Taken(taken) = self.contacts.taken(&write, None);
                self.duplicate("create", &taken)
            }
            [first, ..] => match self.update_or_merge(*first, write, body.force_merge, by) {
                // What `getId` adds to an update without a merge is not documented.
                Ok(id) if body.get_id && body.force_merge => Reply::json(201, &json!({"id": id})),
                Ok(_) => Reply::empty(204),
                Err(reply) => reply,
            },
        };
        with_ignored(reply, ignored)
    }

    pub(super) fn update_contact(&mut self, request: &Request) -> Reply {
        let body: UpdateContact = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let found = match self.identified(request) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let mut attributes = body.attributes;
        let email = match attributes.remove("EMAIL") {
            None => None,
            Some(AttributeValue::Text(email)) => Some(email),
            Some(_) => return violation("invalid_parameter", "attributes.EMAIL is a string"),
        };
        let base = Write {
            email,
            ext_id: body.ext_id,
            email_blocked: body.email_blacklisted,
            sms_blocked: body.sms_blacklisted,
            join: body.list_ids,
            leave: body.unlink_list_ids,
            blocked_senders: body.smtp_blacklist_sender,
            ..Write::default()
        };
        let Prepared { write, ignored } = match self.prepare(base, attributes) {
            Ok(prepared) => prepared,
            Err(reply) => return reply,
        };
        let Some(id) = found else { return no_contact() };
        let by = By { at: request.at, seq: request.seq };
        let reply = match self.update_or_merge(id, write, body.force_merge, by) {
            Ok(_) => Reply::empty(204),
            Err(reply) => reply,
        };
        with_ignored(reply, ignored)
    }

    pub(super) fn read_contact(&mut self, request: &Request) -> Reply {
        let found = match self.identified(request) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let (from, to) = match statistics_range(request) {
            Ok(range) => range,
            Err(reply) => return reply,
        };
        match found.and_then(|id| self.contacts.get(id)) {
            Some(contact) => Reply::json(200, &details(contact, from, to)),
            None => no_contact(),
        }
    }

    pub(super) fn delete_contact(&mut self, request: &Request) -> Reply {
        let by = By { at: request.at, seq: request.seq };
        let found = match self.identified(request) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let Some(contact) = found.and_then(|id| self.contacts.get(id)) else { return no_contact() };
        let (id, email) = (contact.id, contact.email.clone());
        if email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(OWNER)) {
            // brevo: 405 of `DELETE /contacts/{identifier}`.
            let message = "You're not allowed to delete registered email contact with Brevo";
            return error(405, "method_not_allowed", message);
        }
        self.contacts.delete(id, by);
        if let Some(email) = email {
            self.blocklist.forget(&email);
        }
        Reply::empty(204)
    }

    fn update_or_merge(&mut self, id: i64, write: Write, merge: bool, by: By) -> Result<i64, Reply> {
        let mut id = id;
        if merge {
            for other in self.contacts.owners(&write) {
                if other != id {
                    id = self.contacts.merge(id, other, by);
                }
            }
        }
        match self.contacts.update(id, write, by) {
            Ok(()) => Ok(id),
            Err(Taken(taken)) => Err(self.duplicate("update", &taken)),
        }
    }

    fn duplicate(&self, verb: &str, taken: &[&'static str]) -> Reply {
        duplicate(self.options.duplicate_code, verb, taken)
    }

    /// Checks the values of a write. A bad address or phone fails the whole request
    /// (brevo: betagouv/mon-service-securise#2788); other values are taken or ignored one by one.
    fn prepare(
        &self,
        mut write: Write,
        attributes: BTreeMap<String, AttributeValue>,
    ) -> Result<Prepared, Reply> {
        if write.email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err(error(400, "invalid_parameter", "Invalid email address"));
        }
        if write.ext_id.as_deref() == Some("") {
            return Err(violation("invalid_parameter", "ext_id is empty"));
        }
        if write.join.iter().chain(&write.leave).any(|list| *list < 1) {
            return Err(violation("invalid_parameter", "list ids are positive"));
        }
        let mut ignored = Vec::new();
        // Not documented: in silence, which is worst for the sender.
        write.join.retain(|list| {
            let known = self.lists.get(*list).is_some();
            if !known {
                let detail = format!("list {list} does not exist");
                ignored.push(Finding { kind: FindingKind::IgnoredList, detail });
            }
            known
        });
        for (name, value) in attributes {
            if PHONES.contains(&name.as_str()) {
                let kept = match &value {
                    AttributeValue::Text(text) if text.is_empty() => None,
                    AttributeValue::Text(text) => match phone(text) {
                        Some(digits) => Some(Value::String(digits)),
                        None => return Err(error(400, "invalid_parameter", "Invalid phone number")),
                    },
                    _ => return Err(error(400, "invalid_parameter", "Invalid phone number")),
                };
                write.attributes.insert(name, kept);
                continue;
            }
            match self.attributes.take(&name, &value) {
                Ok(kept) => {
                    write.attributes.insert(name, kept);
                }
                Err(detail) => ignored.push(Finding { kind: FindingKind::IgnoredAttribute, detail }),
            }
        }
        Ok(Prepared { write, ignored })
    }

    /// The contact that path and `identifierType` name, if it exists.
    fn identified(&self, request: &Request) -> Result<Option<i64>, Reply> {
        let raw = request.path.rsplit('/').next().unwrap_or_default();
        if raw.contains('+') {
            return Err(violation("invalid_parameter", "a plus sign in the path is percent-encoded"));
        }
        let Ok(text) = percent_decode_str(raw).decode_utf8() else {
            return Err(violation("invalid_parameter", "the identifier is not UTF-8"));
        };
        let mut kind = None;
        for (name, value) in &request.query {
            match name.as_str() {
                "identifierType" => kind = Some(value.as_str()),
                "startDate" | "endDate" if request.method == "GET" => (),
                _ => return Err(violation("invalid_parameter", "unknown query parameter")),
            }
        }
        let by_id = || text.parse().ok().filter(|id| self.contacts.get(*id).is_some());
        let by_phone =
            |attribute| phone(&text).and_then(|p| self.contacts.find(&Identifier::phone(attribute, p)));
        let by_email = || self.contacts.find(&Identifier::Email(text.to_lowercase()));
        Ok(match kind {
            Some("email_id") => by_email(),
            Some("contact_id") if text.parse::<i64>().is_ok() => by_id(),
            Some("contact_id") => return Err(violation("invalid_parameter", "contact_id is not a number")),
            Some("ext_id") => self.contacts.find(&Identifier::ExtId(text.clone().into_owned())),
            Some("phone_id") => by_phone("SMS"),
            Some("whatsapp_id") => by_phone("WHATSAPP"),
            Some("landline_number_id") => by_phone("LANDLINE_NUMBER"),
            Some(_) => {
                return Err(violation("invalid_parameter", "identifierType is not one of the documented"));
            }
            // brevo: without the parameter only an address or a number of Brevo's is understood,
            // by GET also a phone.
            None if text.contains('@') => by_email(),
            None if text.parse::<i64>().is_ok() && request.method == "GET" => {
                by_id().or_else(|| by_phone("SMS"))
            }
            None if text.parse::<i64>().is_ok() => by_id(),
            None => {
                return Err(violation(
                    "invalid_parameter",
                    "without identifierType: an address or a contact id",
                ));
            }
        })
    }
}

fn statistics_range(request: &Request) -> Result<(Millis, Millis), Reply> {
    let day = |name: &str| {
        let text = request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
        Some(parse_day(text).ok_or_else(|| violation("invalid_parameter", "dates are yyyy-mm-dd")))
    };
    match (day("startDate").transpose()?, day("endDate").transpose()?) {
        (None, None) => Ok((request.at - STATISTICS, Millis::MAX)),
        (Some(from), Some(to)) if from <= to => Ok((from, to + DAY)),
        (Some(_), Some(_)) => Err(violation("invalid_parameter", "startDate is after endDate")),
        _ => Err(violation("missing_parameter", "startDate and endDate go together")),
    }
}

fn with_ignored(mut reply: Reply, ignored: Vec<Finding>) -> Reply {
    reply.findings.extend(ignored);
    reply
}

/// brevo: 200 of `GET /contacts/{identifier}`.
fn details(contact: &Contact, from: Millis, to: Millis) -> Value {
    let unsubscribed: Vec<Value> = contact
        .unsubscribed_at
        .iter()
        .filter(|at| (from..to).contains(*at))
        .map(|at| json!({"campaignId": 1, "eventTime": rfc3339(*at), "ip": "192.0.2.1"}))
        .collect();
    let mut details = summary(contact);
    details["statistics"] = json!({
        "messagesSent": [], "delivered": [], "opened": [], "clicked": [],
        "hardBounces": [], "softBounces": [], "complaints": [], "transacAttributes": [],
        "unsubscriptions": {"userUnsubscription": unsubscribed, "adminUnsubscription": []},
    });
    details
}

/// A contact in a list of contacts: `getContactDetails` of the OpenAPI file. EXT_ID among the
/// attributes by the changelog of 2023-03-10.
pub(super) fn summary(contact: &Contact) -> Value {
    let mut attributes = contact.attributes.clone();
    if let Some(ext_id) = &contact.ext_id {
        attributes.insert("EXT_ID".to_owned(), json!(ext_id));
    }
    json!({
        "id": contact.id,
        "email": contact.email,
        "emailBlacklisted": contact.email_blacklisted,
        "smsBlacklisted": contact.sms_blacklisted,
        "whatsappBlacklisted": false,
        "createdAt": rfc3339(contact.created_at),
        "modifiedAt": rfc3339(contact.modified_at),
        "attributes": attributes,
        "listIds": contact.list_ids,
        "listUnsubscribed": [],
    })
}
