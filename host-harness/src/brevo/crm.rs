//! Notes and tasks (OpenAPI `/crm/notes`, `/crm/tasks`, `/crm/tasktypes`).
//!
//! Brevo has no key of ours for either and makes a second one of every repeat. So each carries a
//! short mark where Brevo is documented to give it back: in a note's text, and in a task's name,
//! because a task is given back without its notes. The mark is visible text: a comment in HTML may
//! be cleaned away, and what is cleaned away looks absent.

use serde::{Deserialize, Serialize};

use super::account::{Call, encode};
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::events::effect_text;
use super::windows::Family;
use crate::registry::{AddNote, CreateTask};
use crate::store::Digest;
use crate::world::{HttpResponse, Millis};

/// Rows on one page; the default, and no most is documented.
const PAGE: usize = 50;

/// The effect as it stands in a note or a task: the first 48 bits of its key.
pub fn mark(effect: Digest) -> String {
    let head: String = effect_text(effect).chars().take(13).collect();
    format!("tajo-{head}")
}

/// `POST /crm/notes`
pub fn add_note(note: &AddNote, mark: &str, contact: Option<i64>) -> Call {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Note {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        contact_ids: Option<[i64; 1]>,
    }
    let text = format!("{}<p>{mark}</p>", note.text);
    post("/crm/notes", json(&Note { text, contact_ids: contact.map(|id| [id]) }))
}

/// `POST /crm/tasks`; none where the time can't be written as a date.
pub fn create_task(
    task: &CreateTask,
    kind: &str,
    due: Millis,
    mark: &str,
    contact: Option<i64>,
) -> Option<Call> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Task<'a> {
        name: String,
        task_type_id: &'a str,
        date: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        notes: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        contacts_ids: Option<[i64; 1]>,
    }
    let date = jiff::Timestamp::from_millisecond(due).ok()?;
    Some(post(
        "/crm/tasks",
        json(&Task {
            name: format!("{} ({mark})", task.name),
            task_type_id: kind,
            // With milliseconds always, as in the OpenAPI example.
            date: format!("{date:.3}"),
            notes: task.notes.as_deref(),
            contacts_ids: contact.map(|id| [id]),
        }),
    ))
}

fn post(path: &'static str, body: Vec<u8>) -> Call {
    Call { method: "POST", path: path.into(), label: path, family: Family::Crm, body: Some(body) }
}

/// 200 for a note, 201 for a task, with `{id}`. A success without one proves nothing.
pub fn read_made(answer: &HttpResponse) -> Result<(), Problem> {
    if !(200..300).contains(&answer.status) {
        return Err(errors::classify(answer));
    }
    serde_json::from_slice::<Row>(&answer.body)
        .map(|_| ())
        .map_err(|_| Problem { status: answer.status, kind: Kind::OutcomeUnknown })
}

/// A note or task, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Brevo's own.
    pub id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: String,
}

impl Row {
    /// Whether it came from the effect with that mark.
    pub fn bears(&self, mark: &str) -> bool {
        self.text.contains(mark) || self.name.contains(mark)
    }
}

/// Which rows to read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Notes; of one contact where there is one.
    Notes(Option<i64>),
    /// Tasks; of one contact where there is one.
    Tasks(Option<i64>),
}

impl Shelf {
    /// `GET /crm/notes` or `GET /crm/tasks`, the newest first (the default order), so that a new row
    /// pushes the others back. The filters by date are left out: of which date is not documented.
    pub fn page(self, offset: usize) -> Call {
        let (label, of) = match self {
            Self::Notes(Some(id)) => ("/crm/notes", format!("entity=contacts&entityIds={id}&")),
            Self::Tasks(Some(id)) => ("/crm/tasks", format!("{}={id}&", encode("filter[contacts]"))),
            Self::Notes(None) => ("/crm/notes", String::new()),
            Self::Tasks(None) => ("/crm/tasks", String::new()),
        };
        let path = format!("{label}?{of}offset={offset}&limit={PAGE}");
        Call { method: "GET", path, label, family: Family::Other, body: None }
    }

    /// A page. Notes are a bare list, tasks stand under `items`; nothing says how many there are.
    pub fn read(self, answer: &HttpResponse) -> Result<Vec<Row>, Problem> {
        #[derive(Deserialize)]
        struct Tasks {
            items: Vec<Row>,
        }
        if answer.status != 200 {
            return Err(errors::classify(answer));
        }
        let rows = match self {
            Self::Notes(_) => serde_json::from_slice(&answer.body),
            Self::Tasks(_) => serde_json::from_slice::<Tasks>(&answer.body).map(|tasks| tasks.items),
        };
        rows.map_err(|_| Problem { status: 200, kind: Kind::Unexpected })
    }
}

/// A task type of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct TaskType {
    pub id: String,
    pub title: String,
}

/// `GET /crm/tasktypes`
pub fn task_types() -> Call {
    Call {
        method: "GET",
        path: "/crm/tasktypes".into(),
        label: "/crm/tasktypes",
        family: Family::Other,
        body: None,
    }
}

/// All task types. The schema shows one object where the text says *all*; both are read.
pub fn read_task_types(answer: &HttpResponse) -> Result<Vec<TaskType>, Problem> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        All(Vec<TaskType>),
        One(TaskType),
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Wire::All(types)) => Ok(types),
        Ok(Wire::One(only)) => Ok(vec![only]),
        Err(_) => Err(Problem { status: 200, kind: Kind::Unexpected }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    fn body(call: Call) -> Value {
        serde_json::from_slice(&call.body.unwrap()).unwrap()
    }

    #[test]
    fn notes_and_tasks_carry_their_mark_where_brevo_gives_it_back() {
        let mark = mark(Digest([0xab; 16]));
        assert_eq!(mark, "tajo-abababab-abab");
        let note = AddNote { text: "<p>Hi</p>".into() };
        let sent = body(add_note(&note, &mark, Some(7)));
        assert_eq!(sent, json!({ "text": "<p>Hi</p><p>tajo-abababab-abab</p>", "contactIds": [7] }));
        let task: CreateTask =
            serde_json::from_value(json!({ "name": "Call", "type": "Todo", "due_in": 5, "notes": "n" }))
                .unwrap();
        let sent = body(create_task(&task, "t1", 1_763_892_000_000, &mark, None).unwrap());
        assert_eq!(
            sent,
            json!({ "name": "Call (tajo-abababab-abab)", "taskTypeId": "t1", "notes": "n",
                    "date": "2025-11-23T10:00:00.000Z" })
        );
        assert!(create_task(&task, "t1", i64::MAX, &mark, None).is_none());
    }

    #[test]
    fn a_page_that_is_not_one_is_a_problem() {
        let (notes, tasks) = (Shelf::Notes(None), Shelf::Tasks(None));
        let rows = notes.read(&answer(200, r#"[{"id":"1","text":"x tajo-aa"}]"#)).unwrap();
        assert!(rows[0].bears("tajo-aa") && !rows[0].bears("tajo-ab"));
        let rows = tasks.read(&answer(200, r#"{"items":[{"id":"1","name":"x (tajo-aa)"}]}"#)).unwrap();
        assert!(rows[0].bears("tajo-aa"));
        for body in ["", "{}", "<html>", r#"[{"text":"no id"}]"#, r#"{"items":null}"#] {
            assert!(notes.read(&answer(200, body)).is_err(), "{body}");
            assert!(tasks.read(&answer(200, body)).is_err(), "{body}");
        }
        assert_eq!(notes.read(&answer(502, "[]")).unwrap_err().kind, Kind::OutcomeUnknown);
    }

    #[test]
    fn a_success_without_an_id_proves_nothing() {
        assert_eq!(read_made(&answer(200, r#"{"id":"61a5"}"#)), Ok(()));
        assert_eq!(read_made(&answer(201, "<html>")).unwrap_err().kind, Kind::OutcomeUnknown);
        assert_eq!(read_made(&answer(400, "{}")).unwrap_err().kind, Kind::Refused);
    }

    #[test]
    fn task_types_are_read_as_a_list_or_alone() {
        let email = TaskType { id: "1".into(), title: "Email".into() };
        let one = r#"{"id":"1","title":"Email"}"#;
        assert_eq!(read_task_types(&answer(200, one)), Ok(vec![email.clone()]));
        assert_eq!(read_task_types(&answer(200, &format!("[{one}]"))), Ok(vec![email]));
        assert!(read_task_types(&answer(200, "{}")).is_err());
    }
}
