//! One account: which call a request is, who may make it, how often, and what it does.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::attributes::Attributes;
use super::blocklist::Blocklist;
use super::campaigns::Campaigns;
use super::contacts::{Contacts, Identifier};
use super::events::Event;
use super::import::Imports;
use super::jobs::Jobs;
use super::limits::{Limits, with_headers};
use super::lists::Lists;
use super::mail::Mails;
use super::notes::Note;
use super::objects::Objects;
use super::options::Options;
use super::processes::{Processes, REPORTS};
use super::products::Product;
use super::replies::{no_key, too_many, unknown_key, violation};
use super::routes;
use super::schemas::CreateAttribute;
use super::sms::Text;
use super::tasks::Task;
use crate::clock::Millis;
use crate::http::{Reply, Request, Vendor};
use crate::journal::FindingKind;
use crate::windows::Standing;

/// Whose account it is.
pub(super) const OWNER: &str = "owner@example.com";

pub(super) struct Account {
    pub(super) options: Options,
    pub(super) attributes: Attributes,
    pub(super) contacts: Contacts,
    pub(super) lists: Lists,
    pub(super) events: Vec<Event>,
    pub(super) mails: Mails,
    pub(super) blocklist: Blocklist,
    pub(super) texts: Vec<Text>,
    pub(super) campaigns: Campaigns,
    pub(super) imports: Imports,
    pub(super) processes: Processes,
    pub(super) products: BTreeMap<String, Product>,
    pub(super) objects: Objects,
    pub(super) notes: Vec<Note>,
    pub(super) tasks: Vec<Task>,
    pub(super) jobs: Jobs,
    limits: Limits,
}

impl Account {
    pub(super) fn new(options: Options, now: Millis) -> Self {
        Self {
            attributes: Attributes::new(&options.attributes),
            contacts: Contacts::default(),
            lists: Lists::default(),
            events: Vec::new(),
            mails: Mails::default(),
            blocklist: Blocklist::default(),
            texts: Vec::new(),
            campaigns: Campaigns::new(&options.campaigns, now),
            imports: Imports::default(),
            processes: Processes::default(),
            products: BTreeMap::new(),
            objects: Objects::default(),
            notes: Vec::new(),
            tasks: Vec::new(),
            jobs: Jobs::default(),
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

    pub(super) fn create_attribute(&mut self, request: &Request) -> Reply {
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
        routes::find(method, path).map(|route| route.path)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        self.settle(request.at);
        let route = routes::find(&request.method, &request.path);
        if let Some(route) = route.filter(|route| route.path == REPORTS) {
            return (route.call)(self, request);
        }
        match request.header("api-key") {
            None => return no_key(),
            Some(key) if !self.options.api_keys.iter().any(|known| known == key) => return unknown_key(),
            Some(_) => (),
        }
        let Some(route) = route else { return not_here() };
        match self.limits.admit(&request.method, route.path, request.at) {
            Ok(Some(standing)) => with_headers((route.call)(self, request), standing),
            Ok(None) => (route.call)(self, request),
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

    fn state(&mut self, at: Millis) -> Value {
        self.settle(at);
        json!({
            "contacts": self.contacts.all().collect::<Vec<_>>(),
            "folders": self.lists.folders().collect::<Vec<_>>(),
            "lists": self.lists.all().collect::<Vec<_>>(),
            "list_changes": self.contacts.memberships.changes(),
            "events": self.events.len(),
            "dropped_events": self.events.iter().filter(|event| event.contact_id.is_none()).count(),
            "mails": self.mails.sent,
            "texts": self.texts,
            "campaign_sends": self.campaigns.sends,
            "imports": self.imports.accepted,
            "products": self.products.values().collect::<Vec<_>>(),
            "object_records": self.objects.all(),
            "notes": self.notes,
            "tasks": self.tasks,
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
pub(super) fn account() -> Reply {
    Reply::json(
        200,
        &json!({
            "organization_id": "5fa2b8c123456789abcdef01",
            "user_id": 1_234_567,
            "enterprise": false,
            "email": OWNER,
            "firstName": "Stand",
            "lastName": "In",
            "companyName": "Example",
            "address": {"street": "Example Street 1", "city": "Berlin", "zipCode": "10115", "country": "Germany"},
            "dateTimePreferences": {"timezone": "Europe/Berlin", "timeFormat": "24", "dateFormat": "dd-mm-yyyy"},
            "plan": [{"type": "subscription", "credits": 20_000, "creditsType": "sendLimit"}],
            "planVerticals": [],
            "relay": {"enabled": false, "data": {"userName": OWNER, "relay": "", "port": 587}},
            "marketingAutomation": {"enabled": true},
        }),
    )
}
