//! Locales: a list with a cursor.

use serde_json::{Value, json};

use super::cursors::Ask;
use super::envelopes::{Envelope, Ids, Refusal, required};
use super::options::Family;
use super::routes::{Call, Calls, Key, Limit, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;

const KEY: Key = Key { family: Family::Campaigns, permission: "locales:view" };

/// A 429 is documented, its windows are not.
const LIST: Limit = Limit { name: "locales", windows: &[] };

const LOCALES: Envelope = Envelope { ids: Ids::Prefixed, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::get("/v5/locales", KEY, LOCALES, &LIST, Workspace::locales)],
    rows: &[Held { table: Table::Locales, id: "id", samples }],
    controls: &[],
};

/// moengage: MD:api/locales/locales.yaml, `limit`.
const LARGEST_PAGE: u64 = 20;

/// moengage: MD:api/locales/locales.yaml, `ErrorResponse`.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (code, target, message, detail) = match refusal {
        Refusal::Invalid { target, message } => {
            ("INVALID_REQUEST", target, message, Some(("INVALID_VALUE", message.to_owned())))
        }
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            let detail = "APP_ID and APP_SECRET_KEY is missing in Authorization Header.".to_owned();
            ("UNAUTHORIZED", "Authorization", "Authentication required.", Some(("MISSING_VALUE", detail)))
        }
        Refusal::Scope(permission) => (
            "FORBIDDEN",
            "permission",
            "You do not have the required permission for this operation.",
            Some(("FORBIDDEN", required(permission))),
        ),
        Refusal::Suspended | Refusal::Address | Refusal::NotSwitchedOn => {
            ("FORBIDDEN", "permission", "The account is suspended", None)
        }
        Refusal::TooMany => {
            let error = json!({"code": "RATE_LIMITED", "message": "Rate limit exceeded for this workspace.", "details": []});
            return json!({"error": error, "response_id": id});
        }
        Refusal::Named { code, target, message, .. } => (code, target, message, None),
    };
    let details: Vec<Value> = detail
        .iter()
        .map(|(code, message)| json!({"code": code, "target": target, "message": message}))
        .collect();
    let error = json!({"code": code, "message": message, "target": target, "details": details});
    json!({"error": error, "response_id": id})
}

impl Workspace {
    /// `GET /v5/locales`: all, or one by its name or id.
    fn locales(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            let query = call.query(&["name", "id", "limit", "cursor"], &[])?;
            let (name, id) = (query.get("name"), query.get("id"));
            if name.is_some() && id.is_some() {
                return Err(call.invalid("name", "Use either name or id, not both."));
            }
            Ok((name, id, call.query_limit(&query, LARGEST_PAGE, LARGEST_PAGE)?, query.get("cursor")))
        };
        let (name, id, limit, cursor) = match asked() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let keeps =
            |row: &Value| name.is_none_or(|name| row["name"] == name) && id.is_none_or(|id| row["id"] == id);
        match self.page(call, &Ask { table: Table::Locales, limit, cursor, keeps: &keeps }) {
            Ok(page) => {
                let pagination = json!({"has_more": page.has_more, "next_cursor": page.next_cursor});
                let body = json!({
                    "response_id": call.id, "type": "locales", "data": page.rows, "pagination": pagination,
                });
                Reply::json(200, &body)
            }
            Err(reply) => reply,
        }
    }
}

fn samples() -> Vec<Value> {
    let locale = |n: usize, name: &str| {
        json!({
            "id": format!("6a10ae88f3a1896d59d5c0{n:02}"), "name": name,
            "custom_segment_id": format!("seg_6388a97a02adb9071ca84d{n:02}"), "campaign_count": 4 * n,
            "created_at": format!("2026-05-0{n}T09:12:00Z"), "updated_at": format!("2026-07-1{n}T11:45:30Z"),
        })
    };
    vec![locale(1, "es-MX"), locale(2, "de-DE"), locale(3, "fr-FR")]
}
