//! Records of custom objects: `POST /objects/{type}/batch/upsert`, `GET /objects/{type}/records`.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for what happens in the background.
//! The schema of an object can't be made by the API. Left out, so a violation here: `associations`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::processes::Work;
use super::query::{Filters, Page};
use super::replies::{error, not_found, violation};
use super::schemas::present;
use crate::clock::{Millis, parse_day, parse_rfc3339, rfc3339};
use crate::http::{Reply, Request};
use crate::journal::{Finding, FindingKind};

/// brevo: "Max 1000 object records per request".
const MOST_RECORDS: usize = 1_000;
/// brevo: "Max request body size: 1 MB".
const LARGEST: usize = 1024 * 1024;
/// brevo: "Max 500 attributes per object record".
const MOST_ATTRIBUTES: usize = 500;

/// An object that somebody defined in Brevo's dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// Lower case, digits and underscores.
    pub name: String,
    /// Key and type of each attribute: `text`, `number`, `boolean`, `date`; whatever is none of these
    /// takes strings.
    pub attributes: Vec<(String, String)>,
}

/// A record, as Brevo holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectRecord {
    /// Type of the object.
    pub object_type: String,
    /// Brevo's number.
    pub id: i64,
    /// The own id.
    pub ext_id: Option<String>,
    /// What was written and is in the schema.
    pub attributes: Map<String, Value>,
    /// Host time.
    pub created_at: Millis,
    /// Host time of the last write.
    pub updated_at: Millis,
    /// Requests that wrote it, its creation included.
    pub written_by: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Objects {
    records: Vec<ObjectRecord>,
    /// Batches that wait for their process: number of the request, type, rows.
    pub(super) waiting: BTreeMap<i64, (u64, String, Vec<Row>)>,
}

impl Objects {
    pub(super) fn all(&self) -> &[ObjectRecord] {
        &self.records
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    records: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(default)]
    identifiers: Identifiers,
    #[serde(default)]
    attributes: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Identifiers {
    #[serde(deserialize_with = "present")]
    id: Option<i64>,
    #[serde(deserialize_with = "present")]
    ext_id: Option<String>,
}

impl Account {
    pub(super) fn upsert_records(&mut self, request: &Request) -> Reply {
        if request.body.len() > LARGEST {
            return violation("invalid_parameter", "the batch is larger than 1 MB");
        }
        let body: Batch = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body.records.is_empty() || body.records.len() > MOST_RECORDS {
            return violation("invalid_parameter", "records cannot be empty or more than 1000");
        }
        for Row { identifiers, attributes } in &body.records {
            if identifiers.id.is_some() && identifiers.ext_id.is_some() {
                return violation("invalid_parameter", "both ext_id and id cannot be provided");
            }
            if identifiers.ext_id.as_deref() == Some("") {
                return violation("invalid_parameter", "ext_id is empty");
            }
            if attributes.is_empty() || attributes.len() > MOST_ATTRIBUTES {
                return violation("invalid_parameter", "a record has 1 to 500 attributes");
            }
        }
        let schema = match self.named_object(request) {
            Ok(schema) => schema,
            Err(reply) => return reply,
        };
        let ignored = body.records.iter().flat_map(|row| split(schema, &row.attributes).1);
        let findings: Vec<Finding> =
            ignored.map(|detail| Finding { kind: FindingKind::IgnoredAttribute, detail }).collect();
        let name = schema.name.clone();
        let delay = self.options.object_delay.as_millis() as Millis;
        let id = self.start_process(request, Work::Objects, Some((delay / 2, delay - delay / 2)));
        self.objects.waiting.insert(id, (request.seq, name, body.records));
        let message = "Batch object records are being processed";
        let mut reply = Reply::json(202, &json!({"processId": id, "message": message}));
        reply.findings = findings;
        reply
    }

    pub(super) fn list_records(&self, request: &Request) -> Reply {
        let page = match Page::read(request, 0, 1_000, &["page_num", "association"]) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let filters = Filters(request);
        let number = match filters.number("page_num") {
            Ok(Some(number)) if number >= 1 && filters.text("limit").is_some() => number,
            Ok(_) => {
                return violation("missing_parameter", "limit and page_num are required, the latter from 1");
            }
            Err(reply) => return reply,
        };
        if filters.text("offset").is_some() {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let association = match filters.one_of("association", &["true", "false"]) {
            Ok(association) => association == Some("true"),
            Err(reply) => return reply,
        };
        let schema = match self.named_object(request) {
            Ok(schema) => schema,
            // brevo: this call has no 404; an unknown type is its 400.
            Err(reply) if reply.status == 404 => {
                return error(400, "invalid_parameter", "invalid object type");
            }
            Err(reply) => return reply,
        };
        let records = || self.objects.records.iter().filter(|record| record.object_type == schema.name);
        let rows = page.number(number as usize).of(records().map(|record| row(record, association)));
        Reply::json(200, &json!({"count": records().count(), "records": rows}))
    }

    /// Ends the process of a batch.
    pub(super) fn apply_records(&mut self, seq: u64, object: &str, rows: Vec<Row>, at: Millis) {
        for Row { identifiers, attributes } in rows {
            let schema = self.options.objects.iter().flatten().find(|known| known.name == object);
            let Some(kept) = schema.map(|schema| split(schema, &attributes).0) else { return };
            if kept.is_empty() {
                // brevo: "the record may not be created as expected" where keys are unknown.
                continue;
            }
            let records = &mut self.objects.records;
            let found = records.iter_mut().filter(|record| record.object_type == object).find(|record| {
                identifiers.id == Some(record.id)
                    || (identifiers.ext_id.is_some() && identifiers.ext_id == record.ext_id)
            });
            match found {
                Some(record) => {
                    record.attributes.extend(kept);
                    record.updated_at = at;
                    record.written_by.push(seq);
                }
                // brevo: an id that does not exist is rejected in the background.
                None if identifiers.id.is_some() => (),
                None => records.push(ObjectRecord {
                    object_type: object.to_owned(),
                    id: records.len() as i64 + 1,
                    ext_id: identifiers.ext_id,
                    attributes: kept,
                    created_at: at,
                    updated_at: at,
                    written_by: vec![seq],
                }),
            }
        }
    }

    /// The object that the path names.
    fn named_object(&self, request: &Request) -> Result<&ObjectType, Reply> {
        let Some(objects) = &self.options.objects else {
            return Err(error(403, "permission_denied", "Custom objects are not available on this account"));
        };
        let name = request.path.split('/').nth(3).unwrap_or_default();
        let named = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !named || name.len() > 32 {
            return Err(violation("invalid_parameter", "an object's type is [a-z0-9_]{1,32}"));
        }
        objects.iter().find(|object| object.name == name).ok_or_else(|| not_found("Object"))
    }
}

/// Attributes that the schema takes, and in words why it does not take the others.
///
/// brevo: "Unknown attribute keys are silently ignored". That a value of the wrong type is too is
/// not said; it is the worst reading.
fn split(schema: &ObjectType, attributes: &Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let (mut kept, mut ignored) = (Map::new(), Vec::new());
    for (key, value) in attributes {
        let kind = schema.attributes.iter().find(|(known, _)| known == key).map(|(_, kind)| kind.as_str());
        let fits = match (kind, value) {
            (Some("number"), value) => value.is_number(),
            (Some("boolean"), value) => value.is_boolean(),
            (Some("date"), Value::String(text)) => parse_day(text).or_else(|| parse_rfc3339(text)).is_some(),
            (Some("date"), _) | (None, _) => false,
            (Some(_), value) => value.is_string(),
        };
        match (fits, kind) {
            (true, _) => drop(kept.insert(key.clone(), value.clone())),
            (false, None) => ignored.push(format!("{key}: {} has no such attribute", schema.name)),
            (false, Some(kind)) => ignored.push(format!("{key}: the value is none of type {kind}")),
        }
    }
    (kept, ignored)
}

fn row(record: &ObjectRecord, association: bool) -> Value {
    let mut row = json!({
        "identifiers": {"id": record.id}, "attributes": record.attributes,
        "createdAt": rfc3339(record.created_at), "updatedAt": rfc3339(record.updated_at),
    });
    if let Some(ext_id) = &record.ext_id {
        row["identifiers"]["ext_id"] = json!(ext_id);
    }
    if association {
        row["associations"] = json!([]);
    }
    row
}

impl Brevo {
    /// All records of custom objects, the oldest first.
    pub fn object_records(&self) -> Vec<ObjectRecord> {
        self.held(|account| account.objects.all().to_vec())
    }

    /// Replaces the objects of the account; none: they are not on its plan.
    pub fn set_objects(&self, objects: Option<Vec<ObjectType>>) {
        self.held(|account| account.options.objects = objects);
    }
}
