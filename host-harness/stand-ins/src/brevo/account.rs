//! One account: which call a request is, who may make it, how often, and what it does.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::attributes::Attributes;
use super::contacts::{Contacts, Identifier};
use super::events::Event;
use super::limits::{Limits, with_headers};
use super::lists::Lists;
use super::options::Options;
use super::replies::{no_key, too_many, unknown_key, violation};
use super::schemas::CreateAttribute;
use crate::clock::Millis;
use crate::http::{Reply, Request, Vendor};
use crate::journal::FindingKind;
use crate::windows::Standing;

pub(super) struct Account {
    pub(super) options: Options,
    pub(super) attributes: Attributes,
    pub(super) contacts: Contacts,
    pub(super) lists: Lists,
    pub(super) events: Vec<Event>,
    limits: Limits,
}

impl Account {
    pub(super) fn new(options: Options) -> Self {
        Self {
            attributes: Attributes::new(&options.attributes),
            contacts: Contacts::default(),
            lists: Lists::default(),
            events: Vec::new(),
            limits: Limits::new(options.plan, options.batch_bucket),
            options,
        }
    }

    /// A person clicks the unsubscribe link of a mail; false where the address is not known.
    pub(super) fn unsubscribe(&mut self, email: &str, at: Millis) -> bool {
        let found = self.contacts.find(&Identifier::Email(email.to_lowercase()));
        if let Some(id) = found {
            self.contacts.unsubscribe(id, at);
        }
        found.is_some()
    }

    fn call(&mut self, template: &str, request: &Request) -> Reply {
        match (request.method.as_str(), template) {
            ("GET", "/v3/account") => account(),
            ("GET", "/v3/contacts/attributes") => self.attributes.list(),
            ("POST", "/v3/contacts/attributes/{category}/{name}") => self.create_attribute(request),
            ("GET", "/v3/contacts/folders") => self.list_folders(request),
            ("POST", "/v3/contacts/folders") => self.create_folder(request),
            ("GET", "/v3/contacts/lists") => self.list_lists(request),
            ("POST", "/v3/contacts/lists") => self.create_list(request),
            ("GET", "/v3/contacts/lists/{id}") => self.read_list(request),
            ("GET", "/v3/contacts/lists/{id}/contacts") => self.list_members(request),
            ("POST", "/v3/contacts/lists/{id}/contacts/add") => self.change_list(request, true),
            ("POST", "/v3/contacts/lists/{id}/contacts/remove") => self.change_list(request, false),
            ("POST", "/v3/contacts") => self.create_contact(request),
            ("PUT", "/v3/contacts/{identifier}") => self.update_contact(request),
            ("GET", "/v3/contacts/{identifier}") => self.read_contact(request),
            ("DELETE", "/v3/contacts/{identifier}") => self.delete_contact(request),
            ("POST", "/v3/events") => self.create_event(request),
            ("POST", "/v3/events/batch") => self.create_events(request),
            ("GET", "/v3/events") => self.list_events(request),
            _ => not_here(),
        }
    }

    fn create_attribute(&mut self, request: &Request) -> Reply {
        let body: CreateAttribute = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let mut parts = request.path.rsplit('/');
        let (name, category) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        self.attributes.create(category, name, body)
    }
}

impl Vendor for Account {
    fn template(&self, method: &str, path: &str) -> Option<&'static str> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        Some(match (method, parts.as_slice()) {
            ("GET", ["v3", "account"]) => "/v3/account",
            ("GET", ["v3", "contacts", "attributes"]) => "/v3/contacts/attributes",
            ("POST", ["v3", "contacts", "attributes", _, _]) => "/v3/contacts/attributes/{category}/{name}",
            ("POST" | "GET", ["v3", "contacts", "folders"]) => "/v3/contacts/folders",
            ("POST" | "GET", ["v3", "contacts", "lists"]) => "/v3/contacts/lists",
            ("GET", ["v3", "contacts", "lists", _]) => "/v3/contacts/lists/{id}",
            ("GET", ["v3", "contacts", "lists", _, "contacts"]) => "/v3/contacts/lists/{id}/contacts",
            ("POST", ["v3", "contacts", "lists", _, "contacts", "add"]) => {
                "/v3/contacts/lists/{id}/contacts/add"
            }
            ("POST", ["v3", "contacts", "lists", _, "contacts", "remove"]) => {
                "/v3/contacts/lists/{id}/contacts/remove"
            }
            ("POST", ["v3", "contacts"]) => "/v3/contacts",
            ("PUT" | "GET" | "DELETE", ["v3", "contacts", identifier]) if !identifier.is_empty() => {
                "/v3/contacts/{identifier}"
            }
            ("POST" | "GET", ["v3", "events"]) => "/v3/events",
            ("POST", ["v3", "events", "batch"]) => "/v3/events/batch",
            _ => return None,
        })
    }

    fn answer(&mut self, request: &Request) -> Reply {
        match request.header("api-key") {
            None => return no_key(),
            Some(key) if !self.options.api_keys.iter().any(|known| known == key) => return unknown_key(),
            Some(_) => (),
        }
        let Some(template) = self.template(&request.method, &request.path) else { return not_here() };
        match self.limits.admit(&request.method, template, request.at) {
            Ok(Some(standing)) => with_headers(self.call(template, request), standing),
            Ok(None) => self.call(template, request),
            Err(standing) => with_headers(too_many(), standing).with(
                FindingKind::OverLimit,
                format!("more than {} requests, next in {} s", standing.limit, standing.reset_s),
            ),
        }
    }

    fn rate_limited(&self, _request: &Request, headers: bool) -> Reply {
        let standing = Standing { limit: 10, remaining: 0, reset_s: 1 };
        if headers { with_headers(too_many(), standing) } else { too_many() }
    }

    fn state(&self, _at: Millis) -> Value {
        json!({
            "contacts": self.contacts.all().collect::<Vec<_>>(),
            "folders": self.lists.folders().collect::<Vec<_>>(),
            "lists": self.lists.all().collect::<Vec<_>>(),
            "list_changes": self.contacts.memberships.changes(),
            "events": self.events.len(),
            "dropped_events": self.events.iter().filter(|event| event.contact_id.is_none()).count(),
            "resubscriptions": self.contacts.resubscriptions(),
        })
    }

    fn control(&mut self, call: &str, body: &Value, at: Millis) -> Option<Reply> {
        match call {
            "unsubscribe" => (),
            "lists" | "automations" => return Some(self.control_lists(call, body, at)),
            _ => return None,
        }
        let Some(email) = body["email"].as_str() else {
            return Some(Reply::json(400, &json!({"error": "email must be a string"})));
        };
        Some(match self.unsubscribe(email, body["at_ms"].as_i64().unwrap_or(at)) {
            true => Reply::empty(204),
            false => Reply::json(404, &json!({"error": "no contact has this address"})),
        })
    }
}

/// The body as the call's schema says, or the refusal.
pub(super) fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Reply> {
    let body = read_json(request)?;
    // Serde would read a list as the members of an object in their order.
    if !body.is_object() {
        return Err(violation("invalid_parameter", "the body is no object"));
    }
    serde_json::from_value(body).map_err(|e| violation("invalid_parameter", &e.to_string()))
}

/// The body, whatever it is, or the refusal.
pub(super) fn read_json(request: &Request) -> Result<Value, Reply> {
    let content_type = request.header("content-type").unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(violation("invalid_parameter", "content-type is not application/json"));
    }
    if request.method == "POST" && !request.query.is_empty() {
        return Err(violation("invalid_parameter", "unknown query parameter"));
    }
    serde_json::from_slice(&request.body).map_err(|e| violation("invalid_parameter", &e.to_string()))
}

fn not_here() -> Reply {
    super::replies::error(404, "document_not_found", "no such path")
        .with(FindingKind::Violation, "no call of this stand-in")
}

/// brevo: 200 of `GET /account`.
fn account() -> Reply {
    Reply::json(
        200,
        &json!({
            "organization_id": "5fa2b8c123456789abcdef01",
            "user_id": 1_234_567,
            "enterprise": false,
            "email": "owner@example.com",
            "firstName": "Stand",
            "lastName": "In",
            "companyName": "Example",
            "address": {"street": "Example Street 1", "city": "Berlin", "zipCode": "10115", "country": "Germany"},
            "dateTimePreferences": {"timezone": "Europe/Berlin", "timeFormat": "24", "dateFormat": "dd-mm-yyyy"},
            "plan": [{"type": "subscription", "credits": 20_000, "creditsType": "sendLimit"}],
            "planVerticals": [],
            "relay": {"enabled": false, "data": {"userName": "owner@example.com", "relay": "", "port": 587}},
            "marketingAutomation": {"enabled": true},
        }),
    )
}
