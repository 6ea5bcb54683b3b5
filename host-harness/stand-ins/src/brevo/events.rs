//! `POST /events`, `POST /events/batch`, `GET /events`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::{Account, read, read_json};
use super::attributes::phone;
use super::contacts::{By, Identifier, Write};
use super::options::BatchPartial;
use super::replies::violation;
use super::schemas::{AttributeValue, ContactProperty, CreateEvent, EventBatch, EventIdentifiers};
use crate::clock::{Millis, parse_day, parse_rfc3339, rfc3339};
use crate::http::{Reply, Request};
use crate::journal::{Finding, FindingKind};

/// brevo: `POST /events`, names and keys.
const LONGEST_NAME: usize = 255;
/// brevo: `POST /events`, "Size is limited to 50Kb".
const LARGEST_PROPERTIES: usize = 50 * 1024;
/// brevo: developers.brevo.com/docs/event-endpoints.
const MOST_IN_BATCH: usize = 200;
/// brevo: developers.brevo.com/docs/event-endpoints.
const LARGEST_BATCH: usize = 512 * 1024;
/// brevo: `GET /events` of brevo-python 5.1.0, "Defaults to 6 months ago".
const READ_BACK: Millis = 184 * 86_400_000;

/// An event that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Number of the request that brought it.
    pub seq: u64,
    /// The contact; none where nobody was known under the identifiers: then it had no effect.
    pub contact_id: Option<i64>,
    /// Its name.
    pub name: String,
    /// When it happened, in host time.
    pub date: Millis,
    /// When it was accepted.
    pub received_at: Millis,
    /// From when on `GET /events` shows it.
    pub visible_at: Millis,
    /// `event_properties`.
    pub properties: Map<String, Value>,
    /// `contact_properties`.
    pub contact_properties: Map<String, Value>,
    /// Type of `object`. No object record exists in this account, so nothing else is kept of it.
    pub object_type: Option<String>,
}

/// An event whose shape was checked.
struct Checked {
    event: CreateEvent,
    date: Millis,
}

impl Account {
    pub(super) fn create_event(&mut self, request: &Request) -> Reply {
        let body: Value = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        match check(body, request.at) {
            Ok(checked) => {
                let mut reply = Reply::empty(204);
                self.accept(checked, request, &mut reply.findings);
                reply
            }
            Err(message) => violation("invalid_parameter", &message),
        }
    }

    pub(super) fn create_events(&mut self, request: &Request) -> Reply {
        if request.body.len() > LARGEST_BATCH {
            return violation("invalid_parameter", "the batch is larger than 512 KB");
        }
        let body = match read_json(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body.is_array() {
            // brevo: seen in public code; since 2026-04-21 the body is an object.
            let message = "json: cannot unmarshal array into Go value of type main.unifiedEventsRequest";
            return violation("invalid_parameter", message);
        }
        let batch: EventBatch = match serde_json::from_value(body) {
            Ok(batch) => batch,
            Err(e) => return violation("invalid_parameter", &e.to_string()),
        };
        if batch.events.is_empty() || batch.events.len() > MOST_IN_BATCH {
            return violation("invalid_parameter", "a batch holds 1 to 200 events");
        }
        let sent = batch.events.len();
        let mut findings = Vec::new();
        let mut errors = Vec::new();
        for (index, event) in batch.events.into_iter().enumerate() {
            match check(event, request.at) {
                Ok(checked) => self.accept(checked, request, &mut findings),
                Err(message) => {
                    let detail = format!("events[{index}]: {message}");
                    findings.push(Finding { kind: FindingKind::Violation, detail });
                    errors.push(json!({"eventIndex": [index], "message": message}));
                }
            }
        }
        let accepted = sent - errors.len();
        let status = match self.options.batch_partial {
            _ if errors.is_empty() => 202,
            _ if accepted == 0 => 400,
            BatchPartial::MultiStatus => 207,
            BatchPartial::CountOnly => 202,
            BatchPartial::BadRequest => 400,
        };
        let mut reply = if status == 202 {
            Reply::json(202, &json!({"message": "Events accepted for processing", "count": accepted}))
        } else {
            let word = if accepted == 0 { "failed" } else { "partial_success" };
            let report = json!({
                "status": word, "total_events": sent, "successful_events": accepted,
                "failed_events": errors.len(), "errors": errors,
            });
            Reply::json(status, &report)
        };
        reply.findings = findings;
        reply
    }

    /// brevo: `GET /events` and `GetEventsList` of brevo-python 5.1.0: newest first, `count` is the
    /// number of all that match.
    pub(super) fn list_events(&mut self, request: &Request) -> Reply {
        let filter = match Filter::of(request) {
            Ok(filter) => filter,
            Err(message) => return violation("invalid_parameter", message),
        };
        let mut found: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| event.visible_at <= request.at && filter.takes(event))
            .collect();
        found.sort_by_key(|event| std::cmp::Reverse(event.date));
        let rows: Vec<Value> = found
            .iter()
            .skip(filter.offset)
            .take(filter.limit)
            .map(|event| {
                json!({
                    "contact_id": event.contact_id, "event_date": rfc3339(event.date),
                    "event_name": event.name, "event_properties": event.properties,
                    "contact_properties": event.contact_properties, "object_type": event.object_type,
                })
            })
            .collect();
        Reply::json(200, &json!({"events": rows, "count": found.len()}))
    }

    /// Takes an event in. Brevo does not document what it does with an event of an unknown
    /// contact; here it is accepted without effect, which is the worst for the sender.
    fn accept(&mut self, checked: Checked, request: &Request, findings: &mut Vec<Finding>) {
        let Checked { event, date } = checked;
        let contact_id = self.resolve(&event.identifiers);
        if contact_id.is_none() {
            let detail = format!("{}: no contact has these identifiers", event.event_name);
            findings.push(Finding { kind: FindingKind::DroppedEvent, detail });
        }
        if let Some(id) = contact_id {
            self.write_contact_properties(id, &event, request, findings);
        }
        let contact_properties = event
            .contact_properties
            .iter()
            .map(|(name, value)| (name.clone(), serde_json::to_value(value).unwrap_or_default()))
            .collect();
        self.events.push(Event {
            seq: request.seq,
            contact_id,
            name: event.event_name,
            date,
            received_at: request.at,
            visible_at: match contact_id {
                Some(_) => request.at + self.options.processing_delay.as_millis() as Millis,
                None => Millis::MAX,
            },
            properties: event.event_properties,
            contact_properties,
            object_type: event.object.and_then(|object| object.kind),
        });
    }

    /// `contact_id` outranks the others (brevo: `POST /events`). Their order among each other is
    /// not documented.
    fn resolve(&self, identifiers: &EventIdentifiers) -> Option<i64> {
        if let Some(id) = identifiers.contact_id {
            return self.contacts.get(id).map(|contact| contact.id);
        }
        let digits = |attribute: &str, number: &Option<String>| {
            number.as_deref().and_then(phone).map(|digits| Identifier::phone(attribute, digits))
        };
        let given = [
            identifiers.email_id.as_deref().map(|email| Identifier::Email(email.to_lowercase())),
            identifiers.ext_id.clone().map(Identifier::ExtId),
            digits("SMS", &identifiers.phone_id),
            digits("WHATSAPP", &identifiers.whatsapp_id),
            digits("LANDLINE_NUMBER", &identifiers.landline_number_id),
        ];
        given.iter().flatten().find_map(|identifier| self.contacts.find(identifier))
    }

    fn write_contact_properties(
        &mut self,
        id: i64,
        event: &CreateEvent,
        request: &Request,
        findings: &mut Vec<Finding>,
    ) {
        let mut write = Write::default();
        for (name, value) in &event.contact_properties {
            let value = match value {
                ContactProperty::Boolean(value) => AttributeValue::Boolean(*value),
                ContactProperty::Whole(value) => AttributeValue::Number((*value).into()),
                ContactProperty::Text(value) => AttributeValue::Text(value.clone()),
            };
            let identifies = name == "EMAIL" || super::attributes::PHONES.contains(&name.as_str());
            let taken = match identifies {
                true => Err(format!("{name}: an event does not change who a contact is")),
                false => self.attributes.take(name, &value),
            };
            match taken {
                Ok(kept) => {
                    write.attributes.insert(name.clone(), kept);
                }
                Err(detail) => findings.push(Finding { kind: FindingKind::IgnoredAttribute, detail }),
            }
        }
        if !write.attributes.is_empty() {
            // No identifier is written, so nothing can be taken.
            let _ = self.contacts.update(id, write, By { at: request.at, seq: request.seq });
        }
    }
}

/// brevo: the rules of `POST /events`.
fn check(body: Value, now: Millis) -> Result<Checked, String> {
    let event: CreateEvent = serde_json::from_value(body).map_err(|e| e.to_string())?;
    if !is_name(&event.event_name) {
        return Err("event_name is 1 to 255 of A-Z a-z 0-9 _ -".to_owned());
    }
    let date = match &event.event_date {
        None => now,
        Some(text) => parse_rfc3339(text).ok_or("event_date is not ISO 8601 with an offset")?,
    };
    let ids = &event.identifiers;
    let texts = [&ids.email_id, &ids.ext_id, &ids.phone_id, &ids.whatsapp_id, &ids.landline_number_id];
    if ids.contact_id.is_none() && texts.iter().all(|text| text.is_none()) {
        return Err("at least one identifier is required".to_owned());
    }
    if texts.iter().any(|text| text.as_deref() == Some("")) {
        return Err("an identifier is empty".to_owned());
    }
    check_properties(&event.event_properties)?;
    let size = serde_json::to_vec(&event.event_properties).map_or(usize::MAX, |bytes| bytes.len());
    if size > LARGEST_PROPERTIES {
        return Err("event_properties are larger than 50 KB".to_owned());
    }
    Ok(Checked { event, date })
}

fn check_properties(properties: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in properties {
        if !is_name(key) {
            return Err("keys of event_properties are 1 to 255 of A-Z a-z 0-9 _ -".to_owned());
        }
        check_value(value)?;
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::Null => Err("a value of event_properties is null".to_owned()),
        Value::Object(nested) => check_properties(nested),
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

struct Filter {
    contact_ids: Vec<i64>,
    names: Vec<String>,
    object_types: Vec<String>,
    from: Millis,
    to: Millis,
    limit: usize,
    offset: usize,
}

impl Filter {
    fn of(request: &Request) -> Result<Self, &'static str> {
        let mut filter = Self {
            contact_ids: Vec::new(),
            names: Vec::new(),
            object_types: Vec::new(),
            from: request.at - READ_BACK,
            to: Millis::MAX,
            limit: 100,
            offset: 0,
        };
        let (mut from, mut to) = (None, None);
        for (name, value) in &request.query {
            match name.as_str() {
                "contact_id" => {
                    filter.contact_ids.push(value.parse().map_err(|_| "contact_id is not a number")?);
                }
                "event_name" => filter.names.push(value.clone()),
                "object_type" => filter.object_types.push(value.clone()),
                "startDate" => {
                    from = Some(parse_day(value).or_else(|| parse_rfc3339(value)).ok_or("bad startDate")?);
                }
                "endDate" => {
                    let day = parse_day(value).map(|day| day + 86_400_000 - 1);
                    to = Some(day.or_else(|| parse_rfc3339(value)).ok_or("bad endDate")?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=10_000).contains(limit));
                    filter.limit = limit.ok_or("limit is 1 to 10000")?;
                }
                "offset" => filter.offset = value.parse().map_err(|_| "offset is not a number")?,
                _ => return Err("unknown query parameter"),
            }
        }
        match (from, to) {
            (None, None) => (),
            (Some(from), Some(to)) if from <= to => (filter.from, filter.to) = (from, to),
            (Some(_), Some(_)) => return Err("startDate is after endDate"),
            _ => return Err("startDate and endDate go together"),
        }
        Ok(filter)
    }

    fn takes(&self, event: &Event) -> bool {
        let among = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|wanted| wanted == value))
        };
        (self.from..=self.to).contains(&event.date)
            && (self.contact_ids.is_empty()
                || event.contact_id.is_some_and(|id| self.contact_ids.contains(&id)))
            && among(&self.names, Some(&event.name))
            && among(&self.object_types, event.object_type.as_deref())
    }
}
