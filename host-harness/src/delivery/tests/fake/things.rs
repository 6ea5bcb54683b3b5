//! Products, custom objects, notes and tasks. Batches of objects are worked on after the answer, and
//! what becomes due together in the wrong order; notes and tasks are made as often as they are sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{State, decode, only_keys, refusal};
use crate::world::Millis;

#[derive(Clone, Debug, PartialEq)]
pub struct FakeNote {
    pub id: i64,
    pub text: String,
    pub contacts: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FakeTask {
    pub id: i64,
    pub name: String,
    pub kind: String,
    pub date: String,
    pub notes: Option<String>,
    pub contacts: Vec<i64>,
}

/// What becomes of the next batch of objects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Fails,
    /// It is done, and nobody may ask after it.
    Hidden,
}

struct Process {
    id: i64,
    kind: String,
    records: Vec<Value>,
    done_at: Millis,
    fate: Option<Fate>,
    over: bool,
}

#[derive(Default)]
pub struct Things {
    pub products: BTreeMap<String, Value>,
    pub commerce_is_off: bool,
    /// Attributes of each type of object.
    pub types: BTreeMap<String, BTreeSet<String>>,
    pub objects_are_off: bool,
    /// Attributes by type and `ext_id`.
    pub records: BTreeMap<(String, String), Map<String, Value>>,
    /// The order in which records were made, which is the order of pages.
    made: Vec<(String, String)>,
    /// How long Brevo works on a batch.
    pub delay: Millis,
    pub fates: Vec<Fate>,
    processes: Vec<Process>,
    pub notes: Vec<FakeNote>,
    pub tasks: Vec<FakeTask>,
    /// (id, title)
    pub task_types: Vec<(String, String)>,
}

impl State {
    pub fn object_type(&mut self, name: &str, attributes: &[&str]) {
        self.things.types.insert(name.into(), attributes.iter().map(|name| name.to_string()).collect());
    }

    pub(super) fn about_things(
        &mut self,
        method: &str,
        parts: &[&str],
        query: &str,
        body: &Value,
        now: Millis,
    ) -> (u16, Value) {
        self.work_on_batches(now);
        match (method, parts) {
            ("POST", ["products"]) => self.product(body),
            ("POST", ["objects", kind, "batch", "upsert"]) => self.batch(kind, body, now),
            ("GET", ["objects", kind, "records"]) => self.records_page(kind, query),
            ("GET", ["processes", id]) => self.process(id.parse().unwrap()),
            ("POST", ["crm", "notes"]) => self.note(body),
            ("POST", ["crm", "tasks"]) => self.task(body),
            ("GET", ["crm", "notes"]) => {
                let contact = pairs(query, &["entity", "entityIds", "offset", "limit"]);
                if let Some(entity) = contact.get("entity") {
                    assert_eq!(entity, "contacts");
                }
                let rows = self.things.notes.iter();
                let rows = rows.filter(|note| is_of(contact.get("entityIds"), &note.contacts));
                let shown = |note: &FakeNote| {
                    json!({ "id": note.id.to_string(), "text": note.text, "contactIds": note.contacts,
                            "createdAt": "2026-11-23T12:00:00.000Z" })
                };
                (200, Value::Array(page(&contact, rows.map(shown).collect())))
            }
            ("GET", ["crm", "tasks"]) => {
                let wanted = pairs(query, &["filter[contacts]", "offset", "limit"]);
                let rows = self.things.tasks.iter();
                let rows = rows.filter(|task| is_of(wanted.get("filter[contacts]"), &task.contacts));
                // Without notes, as documented.
                let shown = |task: &FakeTask| {
                    json!({ "id": task.id.to_string(), "name": task.name, "taskTypeId": task.kind,
                            "date": task.date, "contactsIds": task.contacts })
                };
                (200, json!({ "items": page(&wanted, rows.map(shown).collect()) }))
            }
            ("GET", ["crm", "tasktypes"]) => {
                let shown = |(id, title): &(String, String)| json!({ "id": id, "title": title });
                (200, self.things.task_types.iter().map(shown).collect())
            }
            _ => panic!("no such call: {method} {parts:?}"),
        }
    }

    fn product(&mut self, body: &Value) -> (u16, Value) {
        let known = ["id", "name", "url", "imageUrl", "sku", "price", "parentId", "categories"];
        only_keys(body, &[known.as_slice(), &["metaInfo", "isDeleted", "updateEnabled"]].concat());
        assert_eq!(body["updateEnabled"], json!(true));
        if self.things.commerce_is_off {
            let sentence = "Permission denied. eCommerce is not activated.";
            return (403, json!({ "code": "permission_denied", "message": sentence }));
        }
        for value in body["metaInfo"].as_object().into_iter().flat_map(Map::values) {
            assert!(value.is_string() || value.is_i64());
        }
        if body["name"].as_str().unwrap() == "poison" {
            return refusal("invalid_parameter", "name is invalid");
        }
        let product = self.things.products.entry(body["id"].as_str().unwrap().into()).or_insert(json!({}));
        let status = if product.get("id").is_some() { 204 } else { 201 };
        for (key, value) in body.as_object().unwrap() {
            product[key] = value.clone();
        }
        (status, if status == 201 { json!({ "id": 21 }) } else { Value::Null })
    }

    fn batch(&mut self, kind: &str, body: &Value, now: Millis) -> (u16, Value) {
        only_keys(body, &["records"]);
        let records = body["records"].as_array().unwrap();
        assert!((1..=1_000).contains(&records.len()) && body.to_string().len() <= 1_000_000);
        for record in records {
            only_keys(record, &["identifiers", "attributes"]);
            only_keys(&record["identifiers"], &["ext_id"]);
            assert!(record["identifiers"]["ext_id"].is_string());
            assert!(!record["attributes"].as_object().unwrap().is_empty());
        }
        if self.things.objects_are_off {
            let sentence = "Custom objects are not available on this account.";
            return (403, json!({ "code": "permission_denied", "message": sentence }));
        }
        if !self.things.types.contains_key(kind) {
            let sentence = "Object not found for the provided organization or object type";
            return (404, json!({ "code": "not_found", "message": sentence }));
        }
        if records.iter().any(|record| record["identifiers"]["ext_id"] == json!("poison")) {
            return refusal("invalid_parameter", "a record is invalid");
        }
        self.next_id += 1;
        let fate = if self.things.fates.is_empty() { None } else { Some(self.things.fates.remove(0)) };
        self.things.processes.push(Process {
            id: self.next_id,
            kind: kind.into(),
            records: records.clone(),
            done_at: now + self.things.delay,
            fate,
            over: false,
        });
        (202, json!({ "processId": self.next_id, "message": "Batch object records are being processed" }))
    }

    /// Whatever is due, the newest first: nothing promises an order.
    fn work_on_batches(&mut self, now: Millis) {
        let things = &mut self.things;
        for process in things.processes.iter_mut().rev().filter(|p| !p.over && p.done_at <= now) {
            process.over = true;
            if process.fate == Some(Fate::Fails) {
                continue;
            }
            let known = &things.types[&process.kind];
            for record in &process.records {
                let key =
                    (process.kind.clone(), record["identifiers"]["ext_id"].as_str().unwrap().to_owned());
                if !things.records.contains_key(&key) {
                    things.made.push(key.clone());
                }
                let attributes = record["attributes"].as_object().unwrap().iter();
                let kept = attributes.filter(|(name, _)| known.contains(*name));
                let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
                things.records.entry(key).or_default().extend(kept);
            }
        }
    }

    fn process(&self, id: i64) -> (u16, Value) {
        let process = self.things.processes.iter().find(|process| process.id == id).unwrap();
        let status = match (process.over, process.fate) {
            (_, Some(Fate::Hidden)) => {
                return (404, json!({ "code": "invalid_parameter", "message": "processId is invalid" }));
            }
            (false, _) => "processing",
            (true, Some(Fate::Fails)) => "failed",
            (true, None) => "completed",
        };
        (200, json!({ "id": id, "name": "OBJECTS", "status": status }))
    }

    fn records_page(&self, kind: &str, query: &str) -> (u16, Value) {
        let wanted = pairs(query, &["limit", "page_num", "sort"]);
        assert_eq!((wanted["page_num"].as_str(), wanted["sort"].as_str()), ("1", "desc"));
        let limit = wanted["limit"].parse().unwrap();
        let rows = self.things.made.iter().rev().filter(|(of, _)| of == kind).take(limit);
        let shown = |key: &(String, String)| json!({ "identifiers": { "id": 1, "ext_id": key.1 }, "attributes": self.things.records[key] });
        (200, json!({ "count": self.things.records.len(), "records": rows.map(shown).collect::<Vec<_>>() }))
    }

    fn note(&mut self, body: &Value) -> (u16, Value) {
        only_keys(body, &["text", "contactIds"]);
        let text = body["text"].as_str().unwrap().to_owned();
        assert!((1..=3_000).contains(&text.chars().count()));
        let contacts = ids(&body["contactIds"]);
        if text.contains("poison") || contacts.iter().any(|id| !self.contacts.contains_key(id)) {
            return refusal("invalid_parameter", "the note is invalid");
        }
        self.next_id += 1;
        self.things.notes.push(FakeNote { id: self.next_id, text, contacts });
        (200, json!({ "id": self.next_id.to_string() }))
    }

    fn task(&mut self, body: &Value) -> (u16, Value) {
        only_keys(body, &["name", "taskTypeId", "date", "notes", "contactsIds"]);
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        let kind = text("taskTypeId").unwrap();
        assert!(self.things.task_types.iter().any(|(id, _)| *id == kind));
        let contacts = ids(&body["contactsIds"]);
        if contacts.iter().any(|id| !self.contacts.contains_key(id)) {
            return refusal("invalid_parameter", "no such contact");
        }
        self.next_id += 1;
        self.things.tasks.push(FakeTask {
            id: self.next_id,
            name: text("name").unwrap(),
            kind,
            date: text("date").unwrap(),
            notes: text("notes"),
            contacts,
        });
        (201, json!({ "id": self.next_id.to_string() }))
    }
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().into_iter().flatten().map(|id| id.as_i64().unwrap()).collect()
}

fn is_of(contact: Option<&String>, contacts: &[i64]) -> bool {
    contact.is_none_or(|id| contacts.contains(&id.parse().unwrap()))
}

fn pairs(query: &str, allowed: &[&str]) -> BTreeMap<String, String> {
    let pairs: BTreeMap<String, String> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(n, v)| (decode(n), decode(v)))
        .collect();
    assert!(pairs.keys().all(|name| allowed.contains(&name.as_str())), "{query}");
    pairs
}

/// The newest first.
fn page(wanted: &BTreeMap<String, String>, mut rows: Vec<Value>) -> Vec<Value> {
    let (offset, limit) = (wanted["offset"].parse().unwrap(), wanted["limit"].parse().unwrap());
    assert!(limit <= 50usize);
    rows.reverse();
    rows.into_iter().skip(offset).take(limit).collect()
}
