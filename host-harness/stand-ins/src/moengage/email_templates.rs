//! Email templates of the older API: twenty a page, and one by its id.

use serde_json::{Map, Value, json};

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::pages::Slice;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

pub(super) const LIST: &str = "/v2/email-templates";
const ONE: &str = "/v2/email-templates/{id}";

/// moengage: OpenAPI file 1 of e-mail templates, `page`.
const PAGE: u64 = 20;

/// The documents name another one too: see [`super::Readings::keys`].
const KEY: Key = Key { family: Family::Data, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// moengage: OpenAPI file 1 of e-mail templates: "sum of all the API requests".
const LIMIT: Limit =
    Limit { name: "email-templates", windows: &[Window { limit: 1_000, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get(LIST, KEY, ENVELOPE, &LIMIT, Workspace::email_templates),
        Route::get(ONE, KEY, ENVELOPE, &LIMIT, Workspace::email_template),
    ],
    rows: &[Held { table: Table::EmailTemplates, id: "template_id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let numbered = |n: usize| {
        json!({
            "template_id": format!("645a2bd910e0307e6d7f77{n:02}"), "template_name": format!("Template_{n}"),
            "subject": "Hello", "template_content": "<!DOCTYPE html><html><body>Hello</body></html>",
            "attachments": [], "source": "Partner", "sender_name": "Example", "editor": "Froala Editor",
            "is_archived": false, "builder_supported": false,
            "created_date": "2026-05-09 11:17:43.112000", "updated_at": "2026-05-09 11:18:37.692000",
            "updated_by": "jane.doe@example.com",
        })
    };
    (1..=3).map(numbered).collect()
}

/// moengage: `ErrorResponse` of the OpenAPI file 1 of e-mail templates.
fn refused(refusal: Refusal<'_>, _id: &str) -> Value {
    let (title, description) = match refusal {
        Refusal::Invalid { target: "id", .. } => {
            ("Invalid template id", "Please provide a valid template id")
        }
        Refusal::Invalid { message, .. } => ("Invalid request", message),
        Refusal::NoAppKey => ("Authentication required", "MOE-APPKEY header is invalid or empty"),
        Refusal::UnknownWorkspace => {
            ("Authentication required", "Invalid APP_ID used in Authentication Header")
        }
        Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Authentication required", "Invalid APP_SECRET_KEY used in Authentication Header")
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("Forbidden", "The key is not allowed to make this call")
        }
        Refusal::TooMany => ("rate limiter exception", "Exceeded rate limit for this app"),
        Refusal::Named { code, message, .. } => (code, message),
    };
    let data = json!({"code": refusal.status(), "title": title, "description": description});
    json!({"status": "error", "data": data})
}

fn some(row: &Value, members: &[&str]) -> Map<String, Value> {
    let kept = members.iter().filter_map(|name| Some(((*name).to_owned(), row.get(name)?.clone())));
    kept.collect()
}

impl Workspace {
    /// `GET /v2/email-templates?page=` (moengage: OpenAPI file 1 of e-mail templates).
    /// `no_of_templates` is described as the number of templates returned, and exceeds it in the
    /// example: it is that of all pages here.
    fn email_templates(&mut self, call: &Call<'_>) -> Reply {
        let page = match call.query(&["page"], &[]) {
            Ok(query) => query.get("page").map_or(Some(1), |page| page.parse().ok()).filter(|page| *page > 0),
            Err(reply) => return reply,
        };
        let Some(page) = page else { return call.invalid("page", "page counts from 1") };
        const MEMBERS: &[&str] = &[
            "template_id",
            "template_name",
            "is_archived",
            "builder_supported",
            "editor",
            "created_date",
            "updated_at",
            "updated_by",
        ];
        let rows = self.tables.of(Table::EmailTemplates).iter().map(|row| some(row, MEMBERS)).collect();
        let id = |row: &Map<String, Value>| text(row.get("template_id"));
        let page = self.pages.cut(LIST, rows, Slice::page(page, PAGE), id);
        page.reply(&json!({
            "status": "success", "data": {"templates": page.rows, "no_of_templates": page.total},
        }))
    }

    /// `GET /v2/email-templates/{id}`; an unknown one is a 400.
    fn email_template(&mut self, call: &Call<'_>) -> Reply {
        const MEMBERS: &[&str] = &[
            "template_id",
            "template_name",
            "subject",
            "template_content",
            "attachments",
            "source",
            "sender_name",
            "editor",
            "created_date",
            "updated_at",
            "updated_by",
        ];
        let Some(row) = self.tables.find(Table::EmailTemplates, call.variable(0)) else {
            return call.refused(Refusal::Named {
                status: 400,
                code: "Invalid template id",
                target: "id",
                message: "Please provide a valid template id",
            });
        };
        let mut answer = some(row, MEMBERS);
        answer.insert("status".to_owned(), json!("success"));
        Reply::json(200, &Value::Object(answer))
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}
