//! Tasks of the CRM: `POST /crm/tasks`, `GET /crm/tasks`, `GET /crm/tasktypes`.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for the list of types, which that
//! file shows as a single object, and for what a task is read back with. No key protects from
//! a repeat. No company and no deal exists in this account.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Brevo;
use super::account::{Account, OWNER, read};
use super::query::{Filters, Page};
use super::replies::{error, violation};
use super::schemas::present;
use crate::clock::{Millis, parse_rfc3339, rfc3339};
use crate::http::{Reply, Request};
use crate::random::Random;

const DAY: Millis = 86_400_000;
/// Ids of tasks and of types are drawn from other seeds than those of notes.
const TASK_SEEDS: u64 = 1 << 40;
const TYPE_SEEDS: u64 = 1 << 41;

/// A task that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Brevo's id, 24 hexadecimal digits.
    pub id: String,
    /// Number of the request that made it.
    pub seq: u64,
    /// When, in host time.
    pub at: Millis,
    /// Its name.
    pub name: String,
    /// Id of its type.
    pub task_type_id: String,
    /// Title of its type.
    pub task_type: String,
    /// When it is due.
    pub due_at: Millis,
    /// As written.
    pub notes: Option<String>,
    /// Contacts that existed.
    pub contact_ids: Vec<i64>,
    /// Whether it is done.
    pub done: bool,
    /// To whom it is assigned.
    pub assigned_to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct CreateTask {
    #[serde(deserialize_with = "present")]
    name: Option<String>,
    #[serde(deserialize_with = "present")]
    task_type_id: Option<String>,
    #[serde(deserialize_with = "present")]
    date: Option<String>,
    #[serde(deserialize_with = "present")]
    #[allow(dead_code, reason = "read so that its shape is checked")]
    duration: Option<u64>,
    #[serde(deserialize_with = "present")]
    notes: Option<String>,
    done: bool,
    #[serde(deserialize_with = "present")]
    assign_to_id: Option<String>,
    contacts_ids: Vec<i64>,
    companies_ids: Vec<String>,
    deals_ids: Vec<String>,
    #[serde(deserialize_with = "present")]
    #[allow(dead_code, reason = "read so that its shape is checked")]
    reminder: Option<Reminder>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read so that its shape is checked")]
struct Reminder {
    value: i64,
    unit: ReminderUnit,
    types: Vec<ReminderType>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReminderUnit {
    Minutes,
    Hours,
    Weeks,
    Days,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReminderType {
    Email,
    Push,
}

impl Account {
    pub(super) fn create_task(&mut self, request: &Request) -> Reply {
        let body: CreateTask = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let (Some(name), Some(kind), Some(date)) = (body.name, body.task_type_id, body.date) else {
            return violation("missing_parameter", "name, taskTypeId and date are required");
        };
        if name.is_empty() {
            return violation("invalid_parameter", "name is empty");
        }
        let Some(due_at) = parse_rfc3339(&date) else {
            return violation("invalid_parameter", "date is not ISO 8601 with an offset");
        };
        let Some(task_type) =
            self.task_types().find(|(id, _)| *id == kind).map(|(_, title)| title.to_owned())
        else {
            // The words are not documented.
            return error(400, "invalid_parameter", "Invalid task type id");
        };
        let (contact_ids, findings) = self.linked(body.contacts_ids, &body.companies_ids, &body.deals_ids);
        let id = Random::new(TASK_SEEDS + self.tasks.len() as u64).hex(24);
        self.tasks.push(Task {
            id: id.clone(),
            seq: request.seq,
            at: request.at,
            name,
            task_type_id: kind,
            task_type,
            due_at,
            notes: body.notes,
            contact_ids,
            done: body.done,
            assigned_to: body.assign_to_id,
        });
        let mut reply = Reply::json(201, &json!({"id": id}));
        reply.findings = findings;
        reply
    }

    pub(super) fn list_tasks(&self, request: &Request) -> Reply {
        let others = [
            "filter[type]",
            "filter[status]",
            "filter[date]",
            "filter[assignTo]",
            "filter[contacts]",
            "filter[deals]",
            "filter[companies]",
            "dateFrom",
            "dateTo",
            "sortBy",
        ];
        // No largest page is documented.
        match (Page::read(request, 50, usize::MAX, &others), Wanted::read(request)) {
            (Ok(page), Ok(wanted)) => {
                let visible = request.at - self.options.crm_delay.as_millis() as Millis;
                let visible = self.tasks.iter().filter(|task| task.at <= visible);
                let mut tasks: Vec<&Task> = visible.filter(|task| wanted.takes(task)).collect();
                match wanted.sort_by {
                    "name" => tasks.sort_by(|a, b| a.name.cmp(&b.name)),
                    "date" => tasks.sort_by_key(|task| task.due_at),
                    _ => (),
                }
                let rows = page.of(tasks.into_iter().map(row));
                Reply::json(200, &json!({"items": rows}))
            }
            (Err(reply), _) | (_, Err(reply)) => reply,
        }
    }

    pub(super) fn list_task_types(&self, request: &Request) -> Reply {
        if !request.query.is_empty() {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let rows = self.task_types().map(|(id, title)| json!({"id": id, "title": title}));
        Reply::json(200, &Value::Array(rows.collect()))
    }

    fn task_types(&self) -> impl Iterator<Item = (String, &str)> {
        let id = |index: usize| Random::new(TYPE_SEEDS + index as u64).hex(24);
        self.options.task_types.iter().enumerate().map(move |(index, title)| (id(index), title.as_str()))
    }
}

/// Filters of a list of tasks.
struct Wanted<'a> {
    kind: Option<&'a str>,
    done: Option<bool>,
    assigned_to: Option<&'a str>,
    contacts: Option<Vec<&'a str>>,
    /// A company or a deal is asked for, and there is none.
    elsewhere: bool,
    due_from: Millis,
    due_to: Millis,
    sort_by: &'a str,
}

impl<'a> Wanted<'a> {
    fn read(request: &'a Request) -> Result<Self, Reply> {
        let filters = Filters(request);
        let (from, to) = (filters.number("dateFrom")?, filters.number("dateTo")?);
        let today = request.at - request.at.rem_euclid(DAY);
        let date = filters.one_of("filter[date]", &["overdue", "today", "tomorrow", "week", "range"])?;
        // Days are those of UTC here, and a week is the next seven.
        let (due_from, due_to) = match (date, from, to) {
            (None, None, None) => (Millis::MIN, Millis::MAX),
            (Some("range"), Some(from), Some(to)) if from <= to => (from, to),
            (Some("overdue"), None, None) => (Millis::MIN, request.at),
            (Some("today"), None, None) => (today, today + DAY - 1),
            (Some("tomorrow"), None, None) => (today + DAY, today + 2 * DAY - 1),
            (Some("week"), None, None) => (today, today + 7 * DAY - 1),
            _ => return Err(violation("invalid_parameter", "dateFrom and dateTo go with the range filter")),
        };
        Ok(Self {
            kind: filters.text("filter[type]"),
            done: filters.one_of("filter[status]", &["done", "undone"])?.map(|status| status == "done"),
            assigned_to: filters.text("filter[assignTo]"),
            contacts: filters.text("filter[contacts]").map(|ids| ids.split(',').collect()),
            elsewhere: filters.text("filter[deals]").or(filters.text("filter[companies]")).is_some(),
            due_from,
            due_to,
            sort_by: filters.one_of("sortBy", &["name", "date", "createdAt"])?.unwrap_or("createdAt"),
        })
    }

    fn takes(&self, task: &Task) -> bool {
        let linked =
            |ids: &Vec<&str>| task.contact_ids.iter().any(|id| ids.contains(&id.to_string().as_str()));
        !self.elsewhere
            && self.kind.is_none_or(|kind| kind == task.task_type_id)
            && self.done.is_none_or(|done| done == task.done)
            && self.assigned_to.is_none_or(|to| task.assigned_to.as_deref() == Some(to))
            && self.contacts.as_ref().is_none_or(linked)
            && (self.due_from..=self.due_to).contains(&task.due_at)
    }
}

fn row(task: &Task) -> Value {
    let mut row = json!({
        "id": task.id, "name": task.name, "taskTypeId": task.task_type_id, "date": rfc3339(task.due_at),
        "contactsIds": task.contact_ids, "companiesIds": [], "dealsIds": [], "done": task.done,
        "assignToId": task.assigned_to.as_deref().unwrap_or(OWNER),
        "createdAt": rfc3339(task.at), "updatedAt": rfc3339(task.at),
    });
    if let Some(notes) = &task.notes {
        row["notes"] = json!(notes);
    }
    row
}

impl Brevo {
    /// Every task, in order.
    pub fn tasks(&self) -> Vec<Task> {
        self.held(|account| account.tasks.clone())
    }
}
