//! What stands in Brevo's place while a plan is made: reads go through, writes go nowhere.
//!
//! A write is answered by what reading proves. Where Brevo could be asked whether it would be taken,
//! it is asked; what a write would have changed is remembered and shows in later reads, so that the
//! delivery's own decisions go on as if it had been made. Nothing of those decisions stands here.
//!
//! | write | asked first | answered |
//! |---|---|---|
//! | a new contact | whether any of its identifiers is somebody's | 201, or the duplicate that it is |
//! | a change of a contact | whether it is there, and whose a new identifier is | 204, 404, or a duplicate |
//! | a new attribute | nothing: delivery has read them all | 201 |
//! | joins and leaves | whether the list is there, and who is in it | row for row |
//! | a deletion of a contact | whether it is there | 204 or 404 |
//! | an import, and the list for it | nothing: delivery has read who is at Brevo | as if each row were applied (`imports`) |
//! | records of objects | whether the account has the type | that it has not, else as anything else |
//! | anything else | nothing | 202 without content: nothing is proven about what comes of it |

mod imports;
mod request;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::brevo::contacts::{self, Name, address_key};
use crate::brevo::lists;
use crate::brevo::objects::{self, Batched};
use crate::brevo::windows::{Family, Windows};
use crate::delivery::beside::Beside;
use crate::registry::Channel;
use crate::store::StoreError;
use crate::world::{Clock, HttpRequest, HttpResponse, Millis, Transport, TransportError, TransportErrorKind};
use imports::Imported;
use request::{family_of, get, target};

/// First number of contacts that a plan makes up; Brevo's are far smaller, and a JSON number holds it.
const MADE_UP: i64 = 1 << 52;

/// Longest wait for a rate window, in host time.
const PATIENCE: Millis = 120_000;

/// A write that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// Method and path without any value, as in logs.
    pub call: String,
    /// Brevo would take it, as far as reading proves. False: it would be refused.
    pub taken: bool,
    /// What its answer would be is known.
    pub known: bool,
}

/// Brevo as a plan sees it.
pub(super) struct Shadow {
    network: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base_url: String,
    /// What the plan itself may use.
    windows: Mutex<BTreeMap<Family, Windows>>,
    /// What everybody who calls the account may use together.
    account: Option<Beside>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Contacts as they would be, by Brevo's number; none: deleted.
    contacts: BTreeMap<i64, Option<Value>>,
    /// Whose names those are, by kind and name.
    names: HashMap<(&'static str, String), i64>,
    made: i64,
    /// Contacts as they were read.
    seen: BTreeMap<i64, Option<Value>>,
    attributes: Vec<Value>,
    /// Lists that were asked for, and whether they are there.
    lists: BTreeMap<i64, bool>,
    /// Types of objects that were asked for and are there.
    types: BTreeSet<String>,
    imported: Imported,
    /// Since they were last taken.
    writes: Vec<Write>,
    reads: u64,
    /// A read did not find room in its window.
    out_of_budget: bool,
}

impl State {
    /// A number for something that would be made.
    fn number(&mut self) -> i64 {
        self.made += 1;
        MADE_UP + self.made
    }

    /// How a contact would be.
    fn keep(&mut self, id: i64, contact: Value) {
        for (kind, name) in names(&contact) {
            self.names.insert((kind, name), id);
        }
        self.contacts.insert(id, Some(contact));
    }

    /// The contact that would have that name; `Some(None)` where it would be deleted.
    fn called(&self, kind: &str, name: &str) -> Option<Option<&Value>> {
        if kind == "contact_id" {
            return self.contacts.get(&name.parse().ok()?).map(Option::as_ref);
        }
        let (kind, name) = spelled(kind, name)?;
        let id = self.names.get(&(kind, name.clone()))?;
        let contact = self.contacts.get(id)?.as_ref()?;
        names(contact).contains(&(kind, name)).then_some(Some(contact))
    }
}

/// An answer that ends a write before it is decided: what a read came to instead of an answer.
type Undecided = Result<HttpResponse, TransportError>;

impl Shadow {
    /// For an account behind `base_url`. `windows` hold what may be read, and `account` counts it with
    /// the calls of everybody else.
    pub fn new(
        network: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base_url: &str,
        windows: BTreeMap<Family, Windows>,
        account: Option<Beside>,
    ) -> Self {
        Self {
            network,
            clock,
            base_url: base_url.trim_end_matches('/').to_owned(),
            windows: Mutex::new(windows),
            account,
            state: Mutex::default(),
        }
    }

    /// The writes since this was last asked for, in order.
    pub fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.state().writes)
    }

    /// How often Brevo was read.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Whether reads are counted in the account's windows, where there are any.
    pub fn is_counted(&self) -> bool {
        self.account.is_some()
    }

    /// Whether a read did not find room in its window.
    pub fn is_out_of_budget(&self) -> bool {
        self.state().out_of_budget
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- reads ------------------------------------------------------------------------------

    fn read(&self, request: &HttpRequest, path: &[String], query: &[(String, String)]) -> Undecided {
        match path {
            [contacts] if contacts == "contacts" => self.read_page(request, query),
            [processes, id] if processes == "processes" => match self.read_process(id) {
                Some(answer) => Ok(answer),
                None => self.send(request),
            },
            [contacts, name] if contacts == "contacts" => {
                if let Some(kind) = query.iter().find(|(name, _)| name == "identifierType") {
                    return self.read_contact(request, &kind.1, name);
                }
                let answer = self.send(request)?;
                Ok(if name == "attributes" { self.with_attributes(answer) } else { answer })
            }
            _ => self.send(request),
        }
    }

    fn read_contact(&self, request: &HttpRequest, kind: &str, name: &str) -> Undecided {
        if let Some(known) = self.state().called(kind, name) {
            return Ok(known.map_or_else(no_contact, |contact| answer(200, contact)));
        }
        let found = self.send(request)?;
        let id = body_of(&found).get("id").and_then(Value::as_i64).filter(|_| found.status == 200);
        if let Some(id) = id {
            if let Some(contact) = self.state().as_imported(id, body_of(&found)) {
                return Ok(answer(200, &contact));
            }
            self.state().seen.insert(id, Some(body_of(&found)));
        }
        // It is there under that name, and would no longer be.
        let renamed = id.is_some_and(|id| self.state().contacts.contains_key(&id));
        Ok(if renamed { no_contact() } else { found })
    }

    fn with_attributes(&self, mut found: HttpResponse) -> HttpResponse {
        let mut body = body_of(&found);
        if found.status == 200
            && let Some(rows) = body.get_mut("attributes").and_then(Value::as_array_mut)
        {
            rows.extend(self.state().attributes.iter().cloned());
            found.body = body.to_string().into_bytes();
        }
        found
    }

    /// Sends a read when its window has room.
    fn send(&self, request: &HttpRequest) -> Undecided {
        let family = family_of(&request.url, &self.base_url);
        self.wait(family)?;
        let result = self.network.send(request);
        let now = self.clock.now();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = windows.get_mut(&family).and_then(|windows| {
            match &result {
                Ok(answer) => windows.heed(answer, now),
                Err(_) => windows.fail(now),
            }
            windows.closed(now).cloned()
        });
        drop(windows);
        // That it has no answer may be the plan's own trouble; what an answer says is the account's.
        if let (Some(account), Some(closed), Ok(_)) = (&self.account, closed, &result) {
            account.close(family, closed.until, &closed.code).map_err(|error| not_counted(&error))?;
        }
        self.state().reads += 1;
        result
    }

    fn wait(&self, family: Family) -> Result<(), TransportError> {
        let mut patience = PATIENCE;
        loop {
            let now = self.clock.now();
            let Some(opens) = self.count(family, now).map_err(|error| not_counted(&error))? else {
                return Ok(());
            };
            let wait = (opens - now).max(1);
            if wait > patience {
                self.state().out_of_budget = true;
                return Err(not_sent("the plan's share of the rate window is used up"));
            }
            patience -= wait;
            self.clock.sleep(Duration::from_millis(wait.unsigned_abs()));
        }
    }

    /// Counts a read in the plan's own windows and in the account's. Where either has no room, in
    /// neither, and it says when to ask again.
    fn count(&self, family: Family, now: Millis) -> Result<Option<Millis>, StoreError> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let full = windows.get(&family).and_then(|windows| windows.opens_at(now));
        if full.is_some() {
            return Ok(full);
        }
        if let Some(account) = &self.account
            && let Some(opens) = account.count(family, now)?
        {
            return Ok(Some(opens));
        }
        windows.entry(family).and_modify(|windows| windows.count(now));
        Ok(None)
    }

    // ---- writes -----------------------------------------------------------------------------

    fn write(&self, request: &HttpRequest, path: &[String]) -> Undecided {
        let body: Value = request
            .body
            .as_deref()
            .map_or(Value::Null, |body| serde_json::from_slice(body).unwrap_or(Value::Null));
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let number = |text: &str| text.parse::<i64>().ok();
        let answered = match (request.method, path.as_slice()) {
            ("POST", ["contacts"]) => Some(self.create_contact(request, &body)),
            ("PUT", ["contacts", id]) => number(id).map(|id| self.update_contact(request, id, &body)),
            ("DELETE", ["contacts", id]) => number(id).map(|id| self.delete_contact(request, id)),
            ("POST", ["contacts", "attributes", category, name]) => {
                Some(self.create_attribute(category, name, &body))
            }
            ("POST", ["contacts", "lists", list, "contacts", verb @ ("add" | "remove")]) => {
                number(list).map(|list| self.change_list(request, list, *verb == "add", &body))
            }
            ("POST", ["contacts", "import"]) => Some(self.import(&body)),
            ("POST", ["contacts", what @ ("folders" | "lists")]) => self.make_place_for_imports(what, &body),
            ("POST", ["objects", kind, "batch", "upsert"]) => self.refuse_type(request, kind).transpose(),
            _ => None,
        };
        // An event is taken or not; nothing that comes later depends on it.
        let known = answered.is_some() || path.as_slice() == ["events"];
        let answered = answered.unwrap_or_else(|| Ok(answer(202, &json!({}))));
        if let Ok(answer) = &answered {
            let taken = (200..300).contains(&answer.status);
            self.state().writes.push(Write { call: request.label.clone(), taken, known });
        }
        answered
    }

    fn create_contact(&self, request: &HttpRequest, body: &Value) -> Undecided {
        match self.taken(request, body, None)? {
            Ok(taken) if taken.is_empty() => {}
            Ok(taken) => return Ok(duplicate("create", &taken)),
            Err(instead) => return Ok(instead),
        }
        let mut state = self.state();
        let id = state.number();
        let mut contact = nobody(id);
        change(&mut contact, body);
        state.keep(id, contact);
        Ok(answer(201, &json!({ "id": id })))
    }

    fn update_contact(&self, request: &HttpRequest, id: i64, body: &Value) -> Undecided {
        let mut contact = match self.contact(request, Name::Id(id))? {
            Ok(Some(contact)) => contact,
            Ok(None) => return Ok(no_contact()),
            Err(instead) => return Ok(instead),
        };
        match self.taken(request, body, Some(id))? {
            Ok(taken) if taken.is_empty() => {}
            Ok(taken) => return Ok(duplicate("update", &taken)),
            Err(instead) => return Ok(instead),
        }
        change(&mut contact, body);
        self.state().keep(id, contact);
        Ok(answer(204, &Value::Null))
    }

    fn delete_contact(&self, request: &HttpRequest, id: i64) -> Undecided {
        match self.contact(request, Name::Id(id))? {
            Ok(Some(_)) => {
                self.state().contacts.insert(id, None);
                Ok(answer(204, &Value::Null))
            }
            Ok(None) => Ok(no_contact()),
            Err(instead) => Ok(instead),
        }
    }

    fn create_attribute(&self, category: &str, name: &str, body: &Value) -> Undecided {
        let attribute = json!({ "name": name, "category": category, "type": body["type"] });
        self.state().attributes.push(attribute);
        Ok(answer(201, &json!({})))
    }

    fn change_list(&self, request: &HttpRequest, list: i64, add: bool, body: &Value) -> Undecided {
        let known = self.state().lists.get(&list).copied();
        let is_there = match known {
            Some(known) => known,
            None => {
                let found = self.send(&get(request, &self.base_url, &lists::list(list)))?;
                match lists::read_list(&found) {
                    Ok(is_there) => *self.state().lists.entry(list).or_insert(is_there),
                    Err(_) => return Ok(found),
                }
            }
        };
        if !is_there {
            return Ok(error(404, "document_not_found", "List ID does not exist"));
        }
        let ids: Vec<i64> = body["ids"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        let (mut success, mut failure) = (Vec::new(), Vec::new());
        for id in ids {
            let mut contact = match self.contact(request, Name::Id(id))? {
                Ok(Some(contact)) => contact,
                Ok(None) => {
                    failure.push(id);
                    continue;
                }
                Err(instead) => return Ok(instead),
            };
            // Without its lists nothing is proven about the contact.
            let Some(rows) = contact.get_mut("listIds").and_then(Value::as_array_mut) else { continue };
            let is_in = rows.contains(&json!(list));
            if is_in == add {
                failure.push(id);
                continue;
            }
            if add {
                rows.push(json!(list))
            } else {
                rows.retain(|row| *row != json!(list))
            }
            self.state().keep(id, contact);
            success.push(id);
        }
        if success.is_empty() && !failure.is_empty() {
            let message = match add {
                true => "Contact already in list and/or does not exist",
                false => "Contact already removed from list and/or does not exist",
            };
            return Ok(error(400, "invalid_parameter", message));
        }
        Ok(answer(201, &json!({ "contacts": { "success": success, "failure": failure } })))
    }

    /// The refusal of records of a type that the account doesn't have. What comes of others can't be
    /// known.
    fn refuse_type(&self, request: &HttpRequest, kind: &str) -> Result<Option<HttpResponse>, TransportError> {
        if self.state().types.contains(kind) {
            return Ok(None);
        }
        let found = self.send(&get(request, &self.base_url, &objects::records(kind)))?;
        match objects::read_upsert(&found) {
            Ok(Batched::NoSuchType) => Ok(Some(found)),
            _ if found.status == 200 => {
                self.state().types.insert(kind.to_owned());
                Ok(None)
            }
            _ => Ok(Some(found)),
        }
    }

    /// A contact as it would be; none where there is none. An answer that says neither stands for the
    /// answer to the write.
    fn contact(
        &self,
        request: &HttpRequest,
        name: Name<'_>,
    ) -> Result<Result<Option<Value>, HttpResponse>, TransportError> {
        if let Name::Id(id) = name {
            let state = self.state();
            let known = state.contacts.get(&id).or_else(|| state.seen.get(&id));
            if let Some(known) = known {
                return Ok(Ok(known.clone()));
            }
        }
        let call = contacts::get(name);
        let request = get(request, &self.base_url, &call);
        let Some((path, query)) = target(&request.url, &self.base_url) else { return Ok(Ok(None)) };
        let found = self.read(&request, &path, &query)?;
        Ok(match contacts::read_get(&found) {
            Ok(Some(_)) => Ok(Some(body_of(&found))),
            Ok(None) => Ok(None),
            Err(_) => Err(found),
        })
    }

    /// Identifiers of a write that are another contact's.
    fn taken(
        &self,
        request: &HttpRequest,
        body: &Value,
        own: Option<i64>,
    ) -> Result<Result<Vec<&'static str>, HttpResponse>, TransportError> {
        let attributes = &body["attributes"];
        let email = body["email"].as_str().or_else(|| attributes["EMAIL"].as_str());
        let named = [
            ("ext_id", body["ext_id"].as_str().map(Name::ExtId)),
            ("email", email.map(Name::Email)),
            ("SMS", attributes["SMS"].as_str().filter(|phone| !phone.is_empty()).map(Name::Phone)),
        ];
        let mut taken = Vec::new();
        for (what, name) in named {
            let Some(name) = name else { continue };
            match self.contact(request, name)? {
                Ok(Some(contact)) if contact["id"].as_i64() != own => taken.push(what),
                Ok(_) => {}
                Err(instead) => return Ok(Err(instead)),
            }
        }
        Ok(Ok(taken))
    }
}

impl Transport for Shadow {
    fn send(&self, request: &HttpRequest) -> Undecided {
        let Some((path, query)) = target(&request.url, &self.base_url) else {
            return Err(TransportError {
                kind: TransportErrorKind::Denied,
                request_sent: false,
                message: "a plan calls nothing but the account".into(),
            });
        };
        if request.method == "GET" { self.read(request, &path, &query) } else { self.write(request, &path) }
    }
}

fn not_sent(message: &str) -> TransportError {
    TransportError { kind: TransportErrorKind::Unreachable, request_sent: false, message: message.to_owned() }
}

/// Nothing may be read that is not counted.
fn not_counted(error: &StoreError) -> TransportError {
    tracing::error!(%error, "a read of a plan could not be counted");
    not_sent("the account's rate windows can't be reached")
}

/// What a write does to a contact, in the form in which it is read.
fn change(contact: &mut Value, body: &Value) {
    let none = Map::new();
    let given = body["attributes"].as_object().unwrap_or(&none);
    let email = body["email"].as_str().or_else(|| given.get("EMAIL").and_then(Value::as_str));
    if let Some(email) = email {
        let email = json!(address_key(Channel::Email, email));
        if contact["email"] != email && !contact["email"].is_null() {
            contact["emailBlacklisted"] = json!(false); // as Brevo does; brevo-python, `update_contact`
        }
        contact["email"] = email;
    }
    for field in ["emailBlacklisted", "smsBlacklisted"] {
        if let Some(blocked) = body[field].as_bool() {
            contact[field] = json!(blocked);
        }
    }
    for (field, joins) in [("listIds", true), ("unlinkListIds", false)] {
        for list in body[field].as_array().into_iter().flatten() {
            if let Some(rows) = contact["listIds"].as_array_mut() {
                rows.retain(|row| row != list);
                rows.extend(joins.then(|| list.clone()));
            }
        }
    }
    let Some(attributes) = contact["attributes"].as_object_mut() else { return };
    for (name, value) in given.iter().filter(|(name, _)| *name != "EMAIL") {
        match (name.as_str(), value.as_str()) {
            (_, Some("")) => drop(attributes.remove(name)),
            ("SMS", Some(phone)) => {
                attributes.insert(name.clone(), json!(address_key(Channel::Sms, phone)));
            }
            _ => drop(attributes.insert(name.clone(), value.clone())),
        }
    }
    if let Some(ext_id) = body["ext_id"].as_str() {
        attributes.insert("EXT_ID".into(), json!(ext_id));
    }
}

/// Every name of a contact, by the kind that a read asks for.
fn names(contact: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let attributes = &contact["attributes"];
    let given = [
        ("email_id", text(&contact["email"])),
        ("phone_id", text(&attributes["SMS"])),
        ("ext_id", text(&contact["ext_id"]).or_else(|| text(&attributes["EXT_ID"]))),
    ];
    given.into_iter().filter_map(|(kind, name)| spelled(kind, &name?)).collect()
}

/// A name as it is compared.
fn spelled(kind: &str, name: &str) -> Option<(&'static str, String)> {
    Some(match kind {
        "email_id" => ("email_id", address_key(Channel::Email, name)),
        "phone_id" => ("phone_id", address_key(Channel::Sms, name)),
        "ext_id" => ("ext_id", name.to_owned()),
        _ => return None,
    })
}

/// A contact without anything.
fn nobody(id: i64) -> Value {
    json!({
        "id": id, "email": null, "emailBlacklisted": false, "smsBlacklisted": false,
        "attributes": {}, "listIds": [],
    })
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    HttpResponse { status, headers: Vec::new(), body }
}

fn error(status: u16, code: &str, message: &str) -> HttpResponse {
    answer(status, &json!({ "code": code, "message": message }))
}

fn no_contact() -> HttpResponse {
    error(404, "document_not_found", "Contact does not exist")
}

fn duplicate(verb: &str, taken: &[&str]) -> HttpResponse {
    let first = taken.first().copied().unwrap_or_default();
    let message = format!("Unable to {verb} contact, {first} is already associated with another Contact");
    let metadata = json!({ "duplicate_identifiers": taken });
    answer(400, &json!({ "code": "duplicate_parameter", "message": message, "metadata": metadata }))
}

fn body_of(answer: &HttpResponse) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}
