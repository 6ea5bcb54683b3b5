//! Content blocks: a search without pages, and blocks by their ids.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, Key, Limit, Route};
use super::rows::{Held, Table, only, without};
use super::workspace::Workspace;
use crate::http::Reply;

const KEY: Key = Key { family: Family::Campaigns, permission: "" };

/// No window is documented.
const READS: Limit = Limit { name: "content-blocks", windows: &[] };

const CONTENT_BLOCKS: Envelope = Envelope::plain(refused);

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post(
            "/v1/external/campaigns/content-blocks/search",
            KEY,
            CONTENT_BLOCKS,
            &READS,
            Workspace::search_content_blocks,
        ),
        Route::post(
            "/v1/external/campaigns/content-blocks/get-by-ids",
            KEY,
            CONTENT_BLOCKS,
            &READS,
            Workspace::content_blocks_by_ids,
        ),
    ],
    rows: &[Held { table: Table::ContentBlocks, id: "id", samples }],
    controls: &[],
};

/// Members that a search shows: those of the example, which has two more than the schema
/// (`label`, `status`) and lacks one of it (`content`).
const LISTED: &[&str] = &[
    "id",
    "name",
    "label",
    "description",
    "content_type",
    "status",
    "created_by",
    "created_at",
    "updated_by",
    "updated_at",
    "tag_ids",
    "team_ids",
];

/// moengage: `ErrorResponse` of the OpenAPI file of content blocks, which documents a 400 and 5xx;
/// the other refusals have its shape.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (title, description) = match refusal {
        Refusal::Invalid { target, message } => {
            let description = format!("{target} - Some of the field values are invalid: {message}");
            return json!({"title": "Invalid Field Value", "description": description, "code": id});
        }
        Refusal::NoAppKey => {
            ("Invalid Field Value", "app_key - Some of the field values are invalid: app_key : None")
        }
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Authentication required", "Invalid or missing credentials")
        }
        Refusal::Scope(_) | Refusal::NotSwitchedOn => {
            ("Forbidden", "The key is not allowed to make this call")
        }
        Refusal::Suspended | Refusal::Address => ("Forbidden", "The account is suspended"),
        Refusal::TooMany => ("Too Many Requests", "Rate limit exceeded"),
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"title": title, "description": description, "code": id})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    #[serde(default)]
    filters: Filters,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filters {
    content_type: Vec<ContentType>,
    team_ids: Vec<String>,
    tag_ids: Vec<String>,
    status: Vec<Status>,
    updated_by: Vec<String>,
    search_text: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ContentType {
    Html,
    Text,
}

/// A draft exists (creation takes it) but can't be searched for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Active,
    Archived,
}

impl Filters {
    fn keeps(&self, row: &Value) -> bool {
        let any = |wanted: &[String], values: &Value| {
            let values = values.as_array().map_or(&[][..], Vec::as_slice);
            wanted.is_empty()
                || wanted.iter().any(|wanted| values.iter().any(|value| value == wanted.as_str()))
        };
        let content_type = |wanted: &ContentType| match wanted {
            ContentType::Html => row["content_type"] == "HTML",
            ContentType::Text => row["content_type"] == "TEXT",
        };
        let status = |wanted: &Status| match wanted {
            Status::Active => row["status"] == "ACTIVE",
            Status::Archived => row["status"] == "ARCHIVED",
        };
        let text = self.search_text.as_deref().unwrap_or_default();
        (self.content_type.is_empty() || self.content_type.iter().any(content_type))
            && (self.status.is_empty() || self.status.iter().any(status))
            && (self.updated_by.is_empty()
                || self.updated_by.iter().any(|by| row["updated_by"] == by.as_str()))
            && any(&self.team_ids, &row["team_ids"])
            && any(&self.tag_ids, &row["tag_ids"])
            && row["name"].as_str().unwrap_or_default().contains(text)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByIds {
    ids: Vec<String>,
    #[serde(default)]
    is_raw_content_required: bool,
}

impl Workspace {
    /// `POST /v1/external/campaigns/content-blocks/search` (moengage: OpenAPI file of content
    /// blocks). All of them at once.
    fn search_content_blocks(&mut self, call: &Call<'_>) -> Reply {
        let search: Search = match call.body() {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        let rows = self.tables.of(Table::ContentBlocks).iter().filter(|row| search.filters.keeps(row));
        Reply::json(200, &json!({"data": rows.map(|row| only(row, LISTED)).collect::<Vec<_>>()}))
    }

    /// `POST /v1/external/campaigns/content-blocks/get-by-ids`. How many ids it takes is not
    /// documented; unknown ones are left out.
    fn content_blocks_by_ids(&mut self, call: &Call<'_>) -> Reply {
        let asked: ByIds = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let found = asked.ids.iter().filter_map(|id| self.tables.find(Table::ContentBlocks, id));
        let shown = found.map(|row| match asked.is_raw_content_required {
            true => row.clone(),
            false => without(row, "raw_content"),
        });
        Reply::json(200, &json!({"data": shown.collect::<Vec<_>>()}))
    }
}

fn samples() -> Vec<Value> {
    let block = |n: usize, name: &str, content_type: &str, status: &str, content: &str| {
        json!({
            "id": format!("61dd90a4cdfd67a8d48ef6{n:02}"), "name": name, "label": name, "description": "",
            "content_type": content_type, "status": status, "content": content, "raw_content": content,
            "created_by": "marketer@example.com", "created_at": "2026-01-11T14:13:56.063000",
            "updated_by": "marketer@example.com", "updated_at": format!("2026-02-1{n}T14:15:31.254000"),
            "tag_ids": ["6141c7ec9b4cbd0b57c872e5"], "team_ids": ["0"], "images_used": [],
        })
    };
    vec![
        block(1, "Header", "HTML", "ACTIVE", "<h1>Hello</h1>"),
        block(2, "Imprint", "TEXT", "ACTIVE", "Example Ltd"),
        block(3, "Old header", "HTML", "ARCHIVED", "<h2>Hello</h2>"),
    ]
}
