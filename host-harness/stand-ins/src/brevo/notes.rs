//! Notes of the CRM: `POST /crm/notes`, `GET /crm/notes`.
//!
//! brevo: OpenAPI file of February 2026, `Note` and `NoteData`. No key protects from a repeat. No
//! company and no deal exists in this account.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Brevo;
use super::account::{Account, OWNER, read};
use super::query::{Filters, Page};
use super::replies::violation;
use super::schemas::present;
use crate::clock::{Millis, rfc3339};
use crate::http::{Reply, Request};
use crate::journal::{Finding, FindingKind};
use crate::random::Random;

/// brevo: `maxLength` of `text`.
const LONGEST: usize = 3_000;

/// A note that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Brevo's id, 24 hexadecimal digits.
    pub id: String,
    /// Number of the request that made it.
    pub seq: u64,
    /// When, in host time.
    pub at: Millis,
    /// As written.
    pub text: String,
    /// Contacts that existed.
    pub contact_ids: Vec<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct NoteData {
    #[serde(deserialize_with = "present")]
    text: Option<String>,
    contact_ids: Vec<i64>,
    company_ids: Vec<String>,
    deal_ids: Vec<String>,
}

impl Account {
    pub(super) fn create_note(&mut self, request: &Request) -> Reply {
        let body: NoteData = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let text = body.text.unwrap_or_default();
        if text.is_empty() || text.chars().count() > LONGEST {
            return violation("invalid_parameter", "text has 1 to 3000 characters");
        }
        let (contact_ids, findings) = self.linked(body.contact_ids, &body.company_ids, &body.deal_ids);
        let id = Random::new(self.notes.len() as u64).hex(24);
        self.notes.push(Note { id: id.clone(), seq: request.seq, at: request.at, text, contact_ids });
        let mut reply = Reply::json(200, &json!({"id": id}));
        reply.findings = findings;
        reply
    }

    pub(super) fn list_notes(&self, request: &Request) -> Reply {
        // No largest page is documented.
        let page = Page::read(request, 50, usize::MAX, &["entity", "entityIds", "dateFrom", "dateTo"]);
        let filters = Filters(request);
        let entity = filters.one_of("entity", &["companies", "deals", "contacts"]);
        let dates = (filters.number("dateFrom"), filters.number("dateTo"));
        let (page, entity, from, to) = match (page, entity, dates) {
            (Ok(page), Ok(entity), (Ok(from), Ok(to))) => (page, entity, from, to),
            (Err(reply), ..) | (_, Err(reply), _) | (.., (Err(reply), _) | (_, Err(reply))) => return reply,
        };
        let ids: Option<Vec<&str>> = filters.text("entityIds").map(|ids| ids.split(',').collect());
        if ids.is_some() && entity.is_none() {
            return violation("missing_parameter", "entityIds goes with entity");
        }
        let linked = |note: &&Note| match (entity, &ids) {
            (None, _) => true,
            (Some("contacts"), None) => !note.contact_ids.is_empty(),
            (Some("contacts"), Some(ids)) => {
                note.contact_ids.iter().any(|id| ids.contains(&id.to_string().as_str()))
            }
            (Some(_), _) => false,
        };
        let visible = request.at - self.options.crm_delay.as_millis() as Millis;
        let notes = self
            .notes
            .iter()
            .filter(|note| note.at <= visible)
            .filter(|note| from.is_none_or(|from| from <= note.at) && to.is_none_or(|to| note.at <= to))
            .filter(linked);
        Reply::json(200, &Value::Array(page.of(notes.map(row))))
    }

    /// Links of a note or a task. What does not exist is not documented to be refused; in
    /// silence is the worst reading.
    pub(super) fn linked(
        &self,
        contacts: Vec<i64>,
        companies: &[String],
        deals: &[String],
    ) -> (Vec<i64>, Vec<Finding>) {
        let (known, unknown): (Vec<i64>, Vec<i64>) =
            contacts.into_iter().partition(|id| self.contacts.get(*id).is_some());
        let unknown = unknown.into_iter().map(|id| format!("contact {id} does not exist"));
        let companies = companies.iter().map(|id| format!("company {id} does not exist"));
        let deals = deals.iter().map(|id| format!("deal {id} does not exist"));
        let ignored = unknown.chain(companies).chain(deals);
        let findings = ignored.map(|detail| Finding { kind: FindingKind::IgnoredLink, detail }).collect();
        (known, findings)
    }
}

fn row(note: &Note) -> Value {
    json!({
        "id": note.id, "text": note.text, "contactIds": note.contact_ids, "companyIds": [], "dealIds": [],
        "authorId": {"email": OWNER, "name": {"fullName": "Stand In"}},
        "createdAt": rfc3339(note.at), "updatedAt": rfc3339(note.at),
    })
}

impl Brevo {
    /// Every note, in order.
    pub fn notes(&self) -> Vec<Note> {
        self.held(|account| account.notes.clone())
    }
}
