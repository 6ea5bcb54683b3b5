//! Imports in a plan: delivery has read who is at Brevo before it chooses the rows, so that what each
//! row comes to is known without a further read.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Shadow, State, Undecided, answer, body_of, change, nobody};
use crate::brevo::contacts::address_key;
use crate::delivery::IMPORT_LIST;
use crate::registry::Channel;
use crate::world::{HttpRequest, HttpResponse};

/// Imports that were not made.
#[derive(Default)]
pub(super) struct Imported {
    /// Contacts of the account by their address, as its pages showed them.
    at_brevo: HashMap<String, Known>,
    /// What imports would change of contacts that were not read singly yet.
    changes: HashMap<i64, Map<String, Value>>,
    /// Number of the last import's process.
    process: Option<i64>,
    /// The contacts of the last import, as they are read back.
    rows: Vec<Value>,
}

/// What delivery looks at in a contact that it reads back.
struct Known {
    id: i64,
    ext_id: Value,
    email_blocked: bool,
    sms_blocked: bool,
}

impl Shadow {
    /// A page of contacts: of everybody as Brevo has them, or of the last import.
    pub(super) fn read_page(&self, request: &HttpRequest, query: &[(String, String)]) -> Undecided {
        let asked =
            |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if asked("listIds").is_some() && self.state().imported.process.is_some() {
            let number = |name| asked(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
            let state = self.state();
            let rows = &state.imported.rows;
            let page: Vec<&Value> = rows.iter().skip(number("offset")).take(number("limit")).collect();
            return Ok(answer(200, &json!({ "contacts": page, "count": rows.len() })));
        }
        let found = self.send(request)?;
        if found.status == 200 {
            let body = body_of(&found);
            let mut state = self.state();
            body["contacts"].as_array().into_iter().flatten().for_each(|row| state.imported.learn(row));
        }
        Ok(found)
    }

    /// Brevo's work on an import that was not made is done at once.
    pub(super) fn read_process(&self, id: &str) -> Option<HttpResponse> {
        let process = self.state().imported.process?;
        (id == process.to_string())
            .then(|| answer(200, &json!({ "id": process, "name": "IMPORTUSER", "status": "completed" })))
    }

    /// The list that is only there for imports is answered for; what others start is not.
    pub(super) fn make_place_for_imports(&self, what: &str, body: &Value) -> Option<Undecided> {
        let (list, folder) = IMPORT_LIST;
        let name = if what == "lists" { list } else { folder };
        (body["name"] == name).then(|| Ok(answer(201, &json!({ "id": self.state().number() }))))
    }

    pub(super) fn import(&self, body: &Value) -> Undecided {
        let mut state = self.state();
        state.imported.rows.clear();
        for row in body["jsonBody"].as_array().into_iter().flatten() {
            let contact = state.import_row(row, body);
            state.imported.rows.push(contact);
        }
        let process = state.number();
        state.imported.process = Some(process);
        Ok(answer(202, &json!({ "processId": process })))
    }
}

impl State {
    /// Applies one row; gives the contact as it is read back.
    fn import_row(&mut self, row: &Value, import: &Value) -> Value {
        let email = row["email"].as_str().unwrap_or_default();
        let mut body =
            json!({ "email": email, "attributes": row["attributes"], "listIds": import["listIds"] });
        for (given, read) in [("emailBlacklist", "emailBlacklisted"), ("smsBlacklist", "smsBlacklisted")] {
            if import[given] == true {
                body[read] = json!(true);
            }
        }
        let would_be = self.called("email_id", email).flatten().cloned();
        let known = self.imported.at_brevo.get(&address_key(Channel::Email, email));
        let unread = known.filter(|known| !self.contacts.contains_key(&known.id));
        if let (None, Some(known)) = (&would_be, unread) {
            let mut contact = nobody(known.id);
            contact["ext_id"] = known.ext_id.clone();
            contact["emailBlacklisted"] = json!(known.email_blocked);
            contact["smsBlacklisted"] = json!(known.sms_blocked);
            change(&mut contact, &body);
            if contact["ext_id"].is_null() {
                contact["ext_id"] = row["attributes"]["EXT_ID"].clone();
            }
            let id = known.id;
            self.seen.remove(&id);
            let attributes = row["attributes"].as_object().cloned().unwrap_or_default();
            self.imported.changes.entry(id).or_default().extend(attributes);
            return contact;
        }
        let mut contact = would_be.unwrap_or_else(|| nobody(self.number()));
        change(&mut contact, &body);
        let id = contact["id"].as_i64().unwrap_or_default();
        self.keep(id, contact.clone());
        contact
    }

    /// A contact that was read, with what imports would have changed of it; none where that is nothing.
    pub(super) fn as_imported(&mut self, id: i64, mut contact: Value) -> Option<Value> {
        let attributes = self.imported.changes.remove(&id)?;
        change(&mut contact, &json!({ "attributes": attributes }));
        self.keep(id, contact.clone());
        Some(contact)
    }
}

impl Imported {
    fn learn(&mut self, row: &Value) {
        let (Some(id), Some(email)) = (row["id"].as_i64(), row["email"].as_str()) else { return };
        let ext_id = if row["ext_id"].is_null() { &row["attributes"]["EXT_ID"] } else { &row["ext_id"] };
        let known = Known {
            id,
            ext_id: ext_id.clone(),
            email_blocked: row["emailBlacklisted"] == true,
            sms_blocked: row["smsBlacklisted"] == true,
        };
        self.at_brevo.insert(address_key(Channel::Email, email), known);
    }
}
