//! Brevo in memory, as unhelpful as the documented one: unknown attributes are dropped in silence,
//! a changed e-mail lifts the block whatever else the call says, identifiers are unique, events
//! are kept as often as they are sent, names of lists are not unique, and every real join is noted.
//! A request that `docs/brevo-openapi.yaml` does not describe fails its test.

mod things;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};

use super::bench::SimClock;
use super::fake_sends::Sends;
use super::vendor;
use crate::world::{Clock, HttpRequest, HttpResponse, Millis, Transport, TransportError, TransportErrorKind};
pub use things::{FakeNote, Fate};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FakeContact {
    pub email: Option<String>,
    pub ext_id: Option<String>,
    pub phone: Option<String>,
    pub email_blocked: bool,
    pub sms_blocked: bool,
    pub user_unsubscribed_at: Option<Millis>,
    pub attributes: BTreeMap<String, Value>,
    pub lists: BTreeSet<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FakeList {
    pub name: String,
    pub folder: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FakeEvent {
    pub contact: i64,
    pub name: String,
    pub date: Millis,
    pub properties: Map<String, Value>,
}

impl FakeEvent {
    pub fn effect(&self) -> &str {
        self.properties["tajo_effect"].as_str().unwrap()
    }
}

/// What a killed process unwinds with.
pub struct Killed;

/// None where the process was killed in it; any other panic goes on.
pub fn unless_killed<T>(body: impl FnOnce() -> T) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(value) => Some(value),
        Err(why) if why.is::<Killed>() => None,
        Err(why) => std::panic::resume_unwind(why),
    }
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// It is carried out, and no answer comes.
    AnswerLost,
    /// It arrives, is not carried out, and no answer comes.
    RequestLost,
    /// The connection fails before anything is sent.
    NotSent,
    /// The process dies before the request is carried out.
    DiesBefore,
    /// It is carried out, and the process dies before it reads the answer.
    DiesAfter,
    /// This answer instead, and nothing is carried out.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// It is carried out, and this is the answer.
    DoneBut(u16, String),
    /// Only the first events of a batch are taken, and the answer says how many.
    TakesOnly(usize),
}

#[derive(Default)]
pub struct State {
    pub contacts: BTreeMap<i64, FakeContact>,
    pub attributes: Vec<(String, &'static str, String)>,
    pub events: Vec<FakeEvent>,
    pub folders: BTreeMap<i64, String>,
    pub lists: BTreeMap<i64, FakeList>,
    /// (list, contact) of everybody who really came into a list, as often as they came.
    pub joins: Vec<(i64, i64)>,
    /// Fewest members that a list had after somebody left it.
    pub fewest: BTreeMap<i64, usize>,
    /// Addresses that mails were sent to.
    pub mail_logs: BTreeSet<String>,
    /// The answers of adding and removing have no envelope.
    pub bare: bool,
    /// Products, objects, notes and tasks.
    pub things: things::Things,
    /// (label, body) of everything that arrived.
    pub journal: Vec<(String, Value)>,
    /// Every value that a contact's e-mail block took after a call.
    pub unblocked: Vec<i64>,
    /// Mails, texts and campaigns.
    pub sends: Sends,
    pub faults: Vec<(String, Fault)>,
    nth_faults: BTreeMap<usize, Fault>,
    arrivals: usize,
    /// Imports, and what the account's limits are held to; see `fake_import`.
    pub bulk: super::fake_import::Bulk,
    next_id: i64,
}

pub struct FakeBrevo {
    state: Mutex<State>,
    clock: Arc<SimClock>,
    meanwhile: Mutex<Vec<Meanwhile>>,
}

/// What happens during the next call whose label starts with that text.
type Meanwhile = (String, Box<dyn FnOnce() + Send>);

impl FakeBrevo {
    pub fn new(clock: Arc<SimClock>) -> Arc<Self> {
        let own = ["EMAIL", "SMS", "FIRSTNAME", "LASTNAME"];
        let attributes = own.iter().map(|name| (name.to_string(), "normal", "text".to_owned())).collect();
        let state = State { attributes, next_id: 100, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), clock, meanwhile: Mutex::default() })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next call whose label starts with that text goes wrong in this way.
    pub fn fault(&self, label: &str, fault: Fault) {
        self.state().faults.push((label.to_owned(), fault));
    }

    /// Happens at the host during the next call whose label starts with that text.
    pub fn meanwhile(&self, label: &str, what: impl FnOnce() + Send + 'static) {
        self.meanwhile.lock().unwrap().push((label.to_owned(), Box::new(what)));
    }

    pub fn put(&self, contact: FakeContact) -> i64 {
        self.state().add(contact)
    }

    /// Calls so far, those that went wrong included.
    pub fn arrivals(&self) -> usize {
        self.state().arrivals
    }

    pub fn calls(&self, label: &str) -> usize {
        self.state().journal.iter().filter(|(made, _)| made.starts_with(label)).count()
    }
}

impl Transport for FakeBrevo {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let keys = request.headers.iter().filter(|(n, v)| n == "api-key" && v == "k").count();
        // A report lies elsewhere, and the key is not for it.
        assert_eq!(keys, usize::from(!request.url.contains("/reports/")));
        if !request.url.contains("/reports/") {
            as_described(request);
        }
        let what = {
            let mut all = self.meanwhile.lock().unwrap();
            let place = all.iter().position(|(label, _)| request.label.starts_with(label.as_str()));
            place.map(|at| all.remove(at).1)
        };
        if let Some(what) = what {
            what();
        }
        let mut state = self.state();
        let body: Value = match &request.body {
            Some(body) => serde_json::from_slice(body).unwrap(),
            None => Value::Null,
        };
        let place = state.faults.iter().position(|(label, _)| request.label.starts_with(label.as_str()));
        let mut fault = place.map(|at| state.faults.remove(at).1);
        let arrival = state.arrivals;
        state.arrivals += 1;
        fault = fault.or(state.nth_faults.remove(&arrival));
        let lost = |sent| TransportError {
            kind: if sent { TransportErrorKind::Timeout } else { TransportErrorKind::Unreachable },
            request_sent: sent,
            message: "fault".into(),
        };
        let only = match fault {
            Some(Fault::NotSent) => return Err(lost(false)),
            Some(Fault::TakesOnly(count)) => Some(count),
            _ => None,
        };
        state.journal.push((request.label.clone(), body.clone()));
        match fault {
            Some(Fault::RequestLost) => return Err(lost(true)),
            Some(Fault::DiesBefore) => {
                drop(state);
                std::panic::resume_unwind(Box::new(Killed));
            }
            Some(Fault::Answer(status, headers, body)) => {
                let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
                return Ok(HttpResponse { status, headers, body: body.into_bytes() });
            }
            _ => {}
        }
        let now = self.clock.now();
        if state.bulk.is_over_limit(&request.label, now) {
            let headers = vec![("x-sib-ratelimit-reset".to_owned(), "1".to_owned())];
            return Ok(HttpResponse { status: 429, headers, body: b"{}".to_vec() });
        }
        self.clock.sleep(std::time::Duration::from_millis(state.bulk.latency as u64));
        let before: Vec<i64> =
            state.contacts.iter().filter(|(_, c)| c.email_blocked).map(|(id, _)| *id).collect();
        let path = request.url.strip_prefix("http://brevo.test/v3").unwrap().to_owned();
        let (status, answer) = state.answer(request.method, &path, &body, self.clock.now(), only);
        let lifted = before
            .into_iter()
            .filter(|id| state.contacts.get(id).is_some_and(|c| !c.email_blocked))
            .collect::<Vec<_>>();
        state.unblocked.extend(lifted);
        match fault {
            Some(Fault::AnswerLost) => Err(lost(true)),
            Some(Fault::DiesAfter) => {
                drop(state);
                std::panic::resume_unwind(Box::new(Killed));
            }
            Some(Fault::DoneBut(status, body)) => {
                Ok(HttpResponse { status, headers: Vec::new(), body: body.into_bytes() })
            }
            _ => Ok(HttpResponse {
                status,
                headers: vec![("date".into(), http_date(now))],
                body: if answer.is_null() { Vec::new() } else { answer.to_string().into_bytes() },
            }),
        }
    }
}

fn http_date(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn as_described(request: &HttpRequest) {
    let target = request.url.strip_prefix("http://brevo.test").unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let found = vendor::found(&json!({
        "method": request.method, "path": path, "query": query, "headers": request.headers,
        "body": body, "request_only": true,
    }));
    assert!(found.is_empty(), "{}: {found:#?}\n{body}", request.label);
}

pub(super) fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

pub(super) fn refusal(code: &str, message: &str) -> (u16, Value) {
    (400, json!({ "code": code, "message": message }))
}

fn missing() -> (u16, Value) {
    (404, json!({ "code": "document_not_found", "message": "Contact does not exist" }))
}

pub(super) fn only_keys(body: &Value, allowed: &[&str]) {
    for key in body.as_object().unwrap().keys() {
        assert!(allowed.contains(&key.as_str()), "unknown key {key}");
    }
}

impl State {
    /// The n-th call from the beginning goes wrong in this way.
    pub fn nth_fault(&mut self, n: usize, fault: Fault) {
        self.nth_faults.insert(n, fault);
    }

    pub fn add(&mut self, contact: FakeContact) -> i64 {
        self.next_id += 1;
        self.contacts.insert(self.next_id, contact);
        self.next_id
    }

    fn answer(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
        now: Millis,
        only: Option<usize>,
    ) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["contacts", "attributes"]) => {
                let list = self.attributes.iter();
                let list: Vec<Value> = list
                    .map(|(name, category, kind)| json!({ "name": name, "category": category, "type": kind }))
                    .collect();
                (200, json!({ "attributes": list }))
            }
            ("POST", ["contacts", "attributes", "normal", name]) => {
                only_keys(body, &["type"]);
                if self.attributes.iter().any(|(known, _, _)| known == name) {
                    return refusal("duplicate_parameter", "Attribute name must be unique, already exists");
                }
                let kind = body["type"].as_str().unwrap().to_owned();
                self.attributes.push((name.to_string(), "normal", kind));
                (201, Value::Null)
            }
            ("GET", ["contacts", "folders"]) => {
                let rows = self.folders.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
                self.page(query, rows, "folders")
            }
            ("GET", ["contacts", "lists"]) => {
                let row = |(id, list): (&i64, &FakeList)| json!({ "id": id, "name": list.name, "folderId": list.folder });
                let rows = self.lists.iter().map(row).collect();
                self.page(query, rows, "lists")
            }
            ("GET", ["contacts", "lists", id]) => match self.lists.get(&id.parse().unwrap()) {
                Some(list) => (
                    200,
                    json!({ "id": id.parse::<i64>().unwrap(), "name": list.name, "folderId": list.folder }),
                ),
                None => (404, json!({ "code": "document_not_found", "message": "List ID does not exist" })),
            },
            ("POST", ["contacts", "folders"]) => {
                only_keys(body, &["name"]);
                (201, json!({ "id": self.new_folder(body["name"].as_str().unwrap()) }))
            }
            ("POST", ["contacts", "lists"]) => {
                only_keys(body, &["name", "folderId"]);
                let folder = body["folderId"].as_i64().unwrap();
                assert!(self.folders.contains_key(&folder));
                self.next_id += 1;
                self.lists
                    .insert(self.next_id, FakeList { name: body["name"].as_str().unwrap().into(), folder });
                (201, json!({ "id": self.next_id }))
            }
            ("POST", ["contacts", "lists", id, "contacts", verb @ ("add" | "remove")]) => {
                self.change_list(id, *verb == "add", body)
            }
            ("POST", ["contacts"]) => self.create(body),
            ("GET", ["contacts", id]) => match self.find(id, query) {
                Some(id) => (200, self.shown(id)),
                None => missing(),
            },
            ("PUT", ["contacts", id]) => match self.find(id, query) {
                Some(id) => self.update(id, body),
                None => missing(),
            },
            ("DELETE", ["contacts", id]) => match self.find(id, query) {
                Some(id) => {
                    self.contacts.remove(&id);
                    (204, Value::Null)
                }
                None => missing(),
            },
            ("DELETE", ["smtp", "log", email]) => match self.mail_logs.remove(&decode(email)) {
                true => (204, Value::Null),
                false => (404, json!({ "code": "document_not_found", "message": "Message ID not found" })),
            },
            ("POST", ["events"]) => match self.event(body) {
                Ok(event) => {
                    self.events.push(event);
                    (204, Value::Null)
                }
                Err(why) => refusal("invalid_parameter", &why),
            },
            ("POST", ["events", "batch"]) => {
                only_keys(body, &["events"]);
                let events: Vec<_> =
                    body["events"].as_array().unwrap().iter().map(|e| self.event(e)).collect();
                assert!(events.len() <= 200);
                let total = events.len();
                let bad: Vec<usize> =
                    events.iter().enumerate().filter(|(_, e)| e.is_err()).map(|(at, _)| at).collect();
                let good: Vec<FakeEvent> = events.into_iter().flatten().take(only.unwrap_or(total)).collect();
                let taken = good.len();
                self.events.extend(good);
                if bad.is_empty() {
                    return (202, json!({ "message": "ok", "count": taken }));
                }
                (
                    207,
                    json!({ "status": "partial", "total_events": total, "successful_events": taken,
                    "failed_events": bad.len(), "errors": [{ "eventIndex": bad, "message": "no" }] }),
                )
            }
            ("GET", ["events"]) => self.events_page(query),
            ("GET", ["processes", ..]) if self.bulk.is_asked_for(&parts) => {
                self.bulk_answer(method, &parts, query, body, now)
            }
            (_, ["products" | "objects" | "processes" | "crm", ..]) => {
                self.about_things(method, &parts, query, body, now)
            }
            (_, ["smtp" | "transactionalSMS" | "emailCampaigns", ..]) => {
                self.sends.answer(method, &parts, query, body, now)
            }
            ("GET", ["account"]) => (200, json!({ "email": "owner@x.org", "plan": [] })),
            _ => self.bulk_answer(method, &parts, query, body, now),
        }
    }

    pub fn list(&mut self, name: &str, folder: &str) -> i64 {
        let known = self.folders.iter().find(|(_, known)| *known == folder).map(|(id, _)| *id);
        let folder_id = known.unwrap_or_else(|| self.new_folder(folder));
        self.next_id += 1;
        self.lists.insert(self.next_id, FakeList { name: name.into(), folder: folder_id });
        self.next_id
    }

    fn new_folder(&mut self, name: &str) -> i64 {
        self.next_id += 1;
        self.folders.insert(self.next_id, name.into());
        self.next_id
    }

    pub fn members(&self, list: i64) -> Vec<i64> {
        self.contacts.iter().filter(|(_, c)| c.lists.contains(&list)).map(|(id, _)| *id).collect()
    }

    fn page(&self, query: &str, rows: Vec<Value>, name: &str) -> (u16, Value) {
        let number = |key: &str| -> usize {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            pair.unwrap().parse().unwrap()
        };
        assert!(query.contains("sort=asc") && number("limit") <= 50);
        let count = rows.len();
        let page: Vec<Value> = rows.into_iter().skip(number("offset")).take(number("limit")).collect();
        (200, json!({ name: page, "count": count }))
    }

    fn change_list(&mut self, list: &str, join: bool, body: &Value) -> (u16, Value) {
        only_keys(body, &["ids"]);
        let ids: Vec<i64> = body["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        assert!((1..=150).contains(&ids.len()));
        let list: i64 = list.parse().unwrap();
        if !self.lists.contains_key(&list) {
            return (404, json!({ "code": "document_not_found", "message": "List ID does not exist" }));
        }
        let (mut success, mut failure) = (Vec::new(), Vec::new());
        for id in ids {
            let done = match self.contacts.get_mut(&id) {
                Some(contact) if join => contact.lists.insert(list),
                Some(contact) => contact.lists.remove(&list),
                None => false,
            };
            if done {
                success.push(id)
            } else {
                failure.push(id)
            }
            if done && join {
                self.joins.push((list, id));
            }
            if done && !join {
                let now = self.members(list).len();
                let fewest = self.fewest.entry(list).or_insert(now);
                *fewest = now.min(*fewest);
            }
        }
        if success.is_empty() {
            return refusal("invalid_parameter", "Contact already in list and/or does not exist");
        }
        let rows = json!({ "success": success, "failure": failure });
        (201, if self.bare { rows } else { json!({ "contacts": rows }) })
    }

    fn find(&self, id: &str, query: &str) -> Option<i64> {
        let id = decode(id);
        let by =
            |f: &dyn Fn(&FakeContact) -> bool| self.contacts.iter().find(|(_, c)| f(c)).map(|(id, _)| *id);
        match query {
            "identifierType=contact_id" => {
                let id = id.parse().unwrap();
                self.contacts.contains_key(&id).then_some(id)
            }
            "identifierType=ext_id" => by(&|c| c.ext_id.as_deref() == Some(&id)),
            "identifierType=email_id" => by(&|c| c.email.as_deref() == Some(&id.to_lowercase())),
            "identifierType=phone_id" => by(&|c| c.phone.as_deref() == Some(&digits(&id))),
            other => panic!("no identifier type: {other}"),
        }
    }

    pub(super) fn shown(&self, id: i64) -> Value {
        let contact = &self.contacts[&id];
        let mut attributes: Map<String, Value> =
            contact.attributes.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        attributes.extend(contact.phone.iter().map(|p| ("SMS".to_owned(), json!(p))));
        attributes.extend(contact.ext_id.iter().map(|p| ("EXT_ID".to_owned(), json!(p))));
        let user: Vec<Value> = contact
            .user_unsubscribed_at
            .iter()
            .map(|at| json!({ "campaignId": 1, "eventTime": jiff::Timestamp::from_millisecond(*at).unwrap().to_string() }))
            .collect();
        json!({
            "id": id, "email": contact.email, "emailBlacklisted": contact.email_blocked,
            "smsBlacklisted": contact.sms_blocked, "createdAt": "2026-01-01T00:00:00Z",
            "modifiedAt": "2026-01-01T00:00:00Z", "listIds": contact.lists, "attributes": attributes,
            "statistics": { "unsubscriptions": { "userUnsubscription": user, "adminUnsubscription": [] } },
        })
    }

    fn taken(&self, but: Option<i64>, key: &str, value: &str) -> bool {
        self.contacts.iter().filter(|(id, _)| Some(**id) != but).any(|(_, c)| {
            let known = match key {
                "email" => &c.email,
                "ext_id" => &c.ext_id,
                _ => &c.phone,
            };
            known.as_deref() == Some(value)
        })
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        only_keys(
            body,
            &["email", "ext_id", "attributes", "emailBlacklisted", "smsBlacklisted", "updateEnabled"],
        );
        assert_eq!(body["updateEnabled"], json!(false));
        assert_ne!(body["emailBlacklisted"], json!(false), "never sent");
        let mut contact = FakeContact {
            email: body["email"].as_str().map(str::to_lowercase),
            ext_id: body["ext_id"].as_str().map(str::to_owned),
            email_blocked: body["emailBlacklisted"] == json!(true),
            sms_blocked: body["smsBlacklisted"] == json!(true),
            ..FakeContact::default()
        };
        if let Some(error) = self.write(None, &mut contact, &body["attributes"]) {
            return error;
        }
        for (key, value) in [("email", &contact.email), ("ext_id", &contact.ext_id)] {
            if value.as_ref().is_some_and(|value| self.taken(None, key, value)) {
                return duplicate(key);
            }
        }
        assert!(contact.email.is_some() || contact.ext_id.is_some() || contact.phone.is_some());
        (201, json!({ "id": self.add(contact) }))
    }

    fn update(&mut self, id: i64, body: &Value) -> (u16, Value) {
        only_keys(body, &["ext_id", "attributes", "emailBlacklisted", "smsBlacklisted", "unlinkListIds"]);
        let mut contact = self.contacts[&id].clone();
        let old_email = contact.email.clone();
        if let Some(ext_id) = body["ext_id"].as_str() {
            if self.taken(Some(id), "ext_id", ext_id) {
                return duplicate("ext_id");
            }
            contact.ext_id = Some(ext_id.to_owned());
        }
        if let Some(blocked) = body["emailBlacklisted"].as_bool() {
            contact.email_blocked = blocked;
        }
        if let Some(blocked) = body["smsBlacklisted"].as_bool() {
            contact.sms_blocked = blocked;
        }
        for list in body["unlinkListIds"].as_array().into_iter().flatten() {
            contact.lists.remove(&list.as_i64().unwrap());
        }
        if let Some(error) = self.write(Some(id), &mut contact, &body["attributes"]) {
            return error;
        }
        if contact.email != old_email {
            contact.email_blocked = false; // as documented, and whatever the same call said
        }
        self.contacts.insert(id, contact);
        (204, Value::Null)
    }

    fn write(&self, id: Option<i64>, contact: &mut FakeContact, attributes: &Value) -> Option<(u16, Value)> {
        for (name, value) in attributes.as_object().into_iter().flatten() {
            match name.as_str() {
                "EMAIL" => {
                    let email = value.as_str().unwrap().to_lowercase();
                    if self.taken(id, "email", &email) {
                        return Some(duplicate("email"));
                    }
                    contact.email = Some(email);
                }
                "SMS" => {
                    let phone = digits(value.as_str().unwrap());
                    if phone.len() < 8 {
                        return Some(refusal("invalid_parameter", "Invalid phone number"));
                    }
                    if self.taken(id, "SMS", &phone) {
                        return Some(duplicate("SMS"));
                    }
                    contact.phone = Some(phone);
                }
                _ => {
                    let known = self.attributes.iter().find(|(known, _, _)| known == name);
                    let fits = known.is_some_and(|(_, _, kind)| match kind.as_str() {
                        "float" => value.is_number(),
                        "boolean" => value.is_boolean(),
                        _ => value.is_string(),
                    });
                    if fits {
                        contact.attributes.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        None
    }

    fn event(&self, body: &Value) -> Result<FakeEvent, String> {
        only_keys(body, &["event_name", "event_date", "identifiers", "event_properties"]);
        only_keys(&body["identifiers"], &["contact_id"]);
        let contact = body["identifiers"]["contact_id"].as_i64().unwrap();
        if !self.contacts.contains_key(&contact) {
            return Err("contact not found".into());
        }
        let name = body["event_name"].as_str().unwrap().to_owned();
        if name == "poison" {
            return Err("event_name is invalid".into());
        }
        Ok(FakeEvent {
            contact,
            name,
            date: body["event_date"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond(),
            properties: body["event_properties"].as_object().unwrap().clone(),
        })
    }

    fn events_page(&self, query: &str) -> (u16, Value) {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect();
        let all = |name: &str| -> Vec<String> {
            pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
        };
        let one = |name: &str| all(name).pop().unwrap();
        let date = |name: &str| one(name).parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let (contacts, names) = (all("contact_id"), all("event_name"));
        let mut found: Vec<&FakeEvent> = self
            .events
            .iter()
            .filter(|e| contacts.is_empty() || contacts.contains(&e.contact.to_string()))
            .filter(|e| names.is_empty() || names.contains(&e.name))
            .filter(|e| (date("startDate")..=date("endDate")).contains(&e.date))
            .collect();
        found.sort_by_key(|event| -event.date);
        let (limit, offset) = (one("limit").parse().unwrap(), one("offset").parse().unwrap());
        let page: Vec<Value> = found
            .iter()
            .skip(offset)
            .take(limit)
            .map(|e| json!({ "contact_id": e.contact, "event_name": e.name, "event_properties": e.properties }))
            .collect();
        (200, json!({ "events": page, "count": found.len() }))
    }
}

fn duplicate(key: &str) -> (u16, Value) {
    // The code drifted; both occur.
    let code = if key == "email" { "invalid_parameter" } else { "duplicate_parameter" };
    refusal(code, &format!("Unable to update contact, {key} is already associated with another Contact"))
}

pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_request_that_is_not_described_fails_its_test() {
    let send = |path: &str, body: Value| {
        let request = HttpRequest {
            method: "POST",
            url: format!("http://brevo.test/v3{path}"),
            label: format!("POST {path}"),
            headers: [("api-key", "k"), ("content-type", "application/json")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body: Some(body.to_string().into_bytes()),
            deadline: std::time::Duration::from_secs(1),
            body_cap: 1_000,
            allow_private: true,
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| as_described(&request))).is_ok()
    };
    let contact = json!({ "email": "a@x.org", "attributes": {}, "updateEnabled": false });
    assert!(send("/contacts", contact.clone()));
    assert!(!send("/contacts?forceMerge=true", contact));
    assert!(!send("/contacts", json!({ "email": "a@x.org", "attributes": {}, "updateEnabled": true })));
    assert!(!send("/contacts/lists/1/contacts/add", json!({ "ids": [] })));
    assert!(!send("/contacts/import", json!({})));
    assert!(!send("/contacts/export", json!({})));
}
