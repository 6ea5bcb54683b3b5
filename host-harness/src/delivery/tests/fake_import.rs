//! The part of the Brevo in memory that works in bulk: imports, their processes, pages of contacts,
//! and the documented limits.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value, json};

use super::fake::{FakeContact, State, decode, digits, only_keys};
use crate::world::Millis;

#[derive(Default)]
pub struct Bulk {
    /// Time that every call takes.
    pub latency: Millis,
    /// Whether the documented limits hold.
    pub limited: bool,
    /// Calls that were answered 429.
    pub over_limit: usize,
    made: BTreeMap<&'static str, VecDeque<Millis>>,
    processes: Vec<Process>,
    /// When each contact was last changed by an import.
    modified: BTreeMap<i64, Millis>,
    emails: HashMap<String, i64>,
    /// Contacts that an import merged away.
    pub merged: Vec<i64>,
    /// Imports that ran beside another one.
    pub side_by_side: usize,
    /// Rows that an import does in a millisecond.
    pub speed: usize,
    /// The next imports end without their first rows being applied: how many, and whether the report names them.
    pub leaves_out: Option<(usize, bool)>,
    /// The next imports never end.
    pub sticks: bool,
    /// Every import: (rows, blocked for e-mail).
    pub imports: Vec<(usize, bool)>,
}

struct Process {
    id: i64,
    done_at: Millis,
    rows: Vec<Value>,
    body: Value,
    applied: bool,
    left_out: Vec<String>,
    reported: bool,
}

impl Bulk {
    /// Whether it is the process of an import, or all processes.
    pub fn is_asked_for(&self, parts: &[&str]) -> bool {
        let known = |id: &str| self.processes.iter().any(|process| process.id.to_string() == id);
        parts.get(1).is_none_or(|id| known(id))
    }

    /// General plan (docs/api-limits): 10 a second and 36,000 an hour for contacts and events, 100 an
    /// hour for everything else.
    pub fn is_over_limit(&mut self, label: &str, now: Millis) -> bool {
        if !self.limited {
            return false;
        }
        let path = label.split(' ').nth(1).unwrap();
        let (family, windows): (_, &[(usize, Millis)]) = match path {
            _ if path.starts_with("/contacts") => ("contacts", &[(10, 1_000), (36_000, 3_600_000)]),
            "/events" if label.starts_with("POST") => ("events", &[(10, 1_000), (36_000, 3_600_000)]),
            _ => ("other", &[(100, 3_600_000)]),
        };
        let made = self.made.entry(family).or_default();
        while made.front().is_some_and(|at| *at <= now - 3_600_000) {
            made.pop_front();
        }
        let over = windows
            .iter()
            .any(|(calls, period)| made.iter().rev().take_while(|at| **at > now - period).count() >= *calls);
        self.over_limit += usize::from(over);
        if !over {
            made.push_back(now);
        }
        over
    }
}

impl State {
    pub(super) fn bulk_answer(
        &mut self,
        method: &str,
        parts: &[&str],
        query: &str,
        body: &Value,
        now: Millis,
    ) -> (u16, Value) {
        self.apply_imports(now);
        match (method, parts) {
            ("POST", ["contacts", "import"]) => self.import(body, now),
            ("GET", ["processes", id]) => {
                let id: i64 = id.parse().unwrap();
                match self.bulk.processes.iter().find(|process| process.id == id) {
                    Some(process) => (200, process.shown(now)),
                    None => (404, json!({ "code": "document_not_found", "message": "no such process" })),
                }
            }
            ("GET", ["processes"]) => {
                let rows: Vec<Value> = self.bulk.processes.iter().rev().map(|p| p.shown(now)).collect();
                (200, json!({ "processes": rows, "count": rows.len() }))
            }
            ("GET", ["contacts"]) => self.contacts_page(query),
            ("GET", ["reports", id]) => {
                let id: i64 = id.parse().unwrap();
                let process = self.bulk.processes.iter().find(|process| process.id == id).unwrap();
                (200, Value::String(process.left_out.join(";")))
            }
            _ => panic!("no such call: {method} {parts:?}"),
        }
    }

    fn import(&mut self, body: &Value, now: Millis) -> (u16, Value) {
        only_keys(
            body,
            &[
                "jsonBody",
                "listIds",
                "updateExistingContacts",
                "emptyContactsAttributes",
                "emailBlacklist",
                "smsBlacklist",
                "disableNotification",
            ],
        );
        assert!(body.to_string().len() <= 8_000_000);
        assert_eq!(body["emptyContactsAttributes"], false);
        assert_ne!(body["emailBlacklist"], false, "it would lift blocks");
        assert_ne!(body["smsBlacklist"], false, "it would lift blocks");
        let list = body["listIds"][0].as_i64().unwrap();
        assert!(self.lists.contains_key(&list));
        if self.bulk.processes.iter().any(|process| process.done_at > now) {
            self.bulk.side_by_side += 1;
        }
        let mut rows = body["jsonBody"].as_array().unwrap().clone();
        assert!(!rows.is_empty());
        self.bulk.imports.push((rows.len(), body["emailBlacklist"] == true));
        let (skip, reported) = self.bulk.leaves_out.unwrap_or_default();
        let left_out: Vec<Value> = rows.drain(..skip.min(rows.len())).collect();
        let id = 5_000 + self.bulk.processes.len() as i64;
        let took = (rows.len() / self.bulk.speed.max(1)) as Millis;
        let done_at = if self.bulk.sticks { Millis::MAX } else { now + took };
        let left_out = left_out.iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect();
        let mut body = body.clone();
        body["jsonBody"] = Value::Null;
        self.bulk.processes.push(Process { id, done_at, rows, body, applied: false, left_out, reported });
        (202, json!({ "processId": id }))
    }

    fn apply_imports(&mut self, now: Millis) {
        for n in 0..self.bulk.processes.len() {
            let process = &mut self.bulk.processes[n];
            if process.applied || process.done_at > now {
                continue;
            }
            process.applied = true;
            let (rows, body, at) = (std::mem::take(&mut process.rows), process.body.clone(), process.done_at);
            let known: HashMap<String, i64> =
                self.contacts.iter().filter_map(|(id, c)| Some((c.email.clone()?, *id))).collect();
            self.bulk.emails = known;
            let owners = |of: fn(&FakeContact) -> Option<String>, state: &Self| -> HashMap<String, i64> {
                state.contacts.iter().filter_map(|(id, c)| Some((of(c)?, *id))).collect()
            };
            let mut ext_ids = owners(|c| c.ext_id.clone(), self);
            let mut phones = owners(|c| c.phone.clone(), self);
            for row in rows {
                self.apply_row(&row, &body, at, &mut ext_ids, &mut phones);
            }
        }
    }

    fn apply_row(
        &mut self,
        row: &Value,
        body: &Value,
        at: Millis,
        ext_ids: &mut HashMap<String, i64>,
        phones: &mut HashMap<String, i64>,
    ) {
        let email = row["email"].as_str().unwrap().to_lowercase();
        let id = match self.bulk.emails.get(&email) {
            Some(id) => *id,
            None => {
                let id = self.add(FakeContact { email: Some(email.clone()), ..FakeContact::default() });
                self.bulk.emails.insert(email, id);
                id
            }
        };
        for (name, value) in row["attributes"].as_object().unwrap() {
            let (owner, key) = match name.as_str() {
                "EXT_ID" => (Some(&mut *ext_ids), value.as_str().unwrap().to_owned()),
                "SMS" => (Some(&mut *phones), digits(value.as_str().unwrap())),
                _ => (None, String::new()),
            };
            let Some(owner) = owner else {
                if self.attributes.iter().any(|(known, _, _)| known == name) {
                    self.contacts.get_mut(&id).unwrap().attributes.insert(name.clone(), value.clone());
                }
                continue;
            };
            if let Some(other) = owner.insert(key.clone(), id).filter(|other| *other != id) {
                self.contacts.remove(&other);
                self.bulk.merged.push(other);
            }
            let contact = self.contacts.get_mut(&id).unwrap();
            if name == "EXT_ID" { contact.ext_id = Some(key) } else { contact.phone = Some(key) }
        }
        let list = body["listIds"][0].as_i64().unwrap();
        let contact = self.contacts.get_mut(&id).unwrap();
        contact.email_blocked |= body["emailBlacklist"] == true;
        contact.sms_blocked |= body["smsBlacklist"] == true;
        contact.lists.insert(list);
        self.bulk.modified.insert(id, at);
    }

    fn contacts_page(&self, query: &str) -> (u16, Value) {
        let value = |key: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=').map(decode))
        };
        let (limit, offset): (usize, usize) =
            (value("limit").unwrap().parse().unwrap(), value("offset").unwrap().parse().unwrap());
        assert!(limit <= 1_000 && value("sort").unwrap() == "asc");
        let list: Option<i64> = value("listIds").map(|list| list.parse().unwrap());
        let since =
            value("modifiedSince").map(|since| since.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let found: Vec<i64> = self
            .contacts
            .iter()
            .filter(|(_, contact)| list.is_none_or(|list| contact.lists.contains(&list)))
            .filter(|(id, _)| {
                since.is_none_or(|since| self.bulk.modified.get(id).is_some_and(|at| *at >= since))
            })
            .map(|(id, _)| *id)
            .collect();
        let page: Vec<Value> = found.iter().skip(offset).take(limit).map(|id| self.shown(*id)).collect();
        (200, json!({ "contacts": page, "count": found.len() }))
    }
}

impl Process {
    fn shown(&self, now: Millis) -> Value {
        let status = if self.done_at <= now { "completed" } else { "in_process" };
        let link = (self.reported && self.done_at <= now && !self.left_out.is_empty())
            .then(|| format!("http://brevo.test/v3/reports/{}", self.id));
        json!({
            "id": self.id, "name": "IMPORTUSER", "status": status,
            "info": { "import": { "invalid_emails": link, "duplicate_ext_id": null } },
        })
    }
}
