//! Business events: the legacy search, which needs to know them, and the list and search of v5.

use serde::Deserialize;
use serde_json::{Value, json};

use super::cursors::Ask;
use super::envelopes::{CAMPAIGNS_V1, Envelope, Ids, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, HOUR, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table, naive, without};
use super::workspace::Workspace;
use crate::clock::parse_rfc3339;
use crate::http::Reply;
use crate::windows::Window;

const KEY: Key = Key { family: Family::Campaigns, permission: "" };

/// moengage: OpenAPI file of business events.
const LEGACY: Limit =
    Limit { name: "business-events-legacy", windows: &[Window { limit: 100, period_ms: MINUTE }] };
/// moengage: MD:api/business-events/business-events-v5/business-events-v5.yaml.
const LIST: Limit = Limit {
    name: "business-events-list",
    windows: &[Window { limit: 60, period_ms: MINUTE }, Window { limit: 1_000, period_ms: HOUR }],
};
const SEARCH: Limit = Limit {
    name: "business-events-search",
    windows: &[Window { limit: 30, period_ms: MINUTE }, Window { limit: 500, period_ms: HOUR }],
};

const OLD: Envelope = Envelope::plain(refused_legacy);
const NEW: Envelope = Envelope { ids: Ids::Prefixed, retry_after: true, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post(
            "/v1.0/business_event/search",
            KEY,
            OLD,
            &LEGACY,
            Workspace::search_business_events_legacy,
        ),
        Route::get("/v5/business-events", KEY, NEW, &LIST, Workspace::business_events),
        Route::post("/v5/business-events/search", KEY, NEW, &SEARCH, Workspace::search_business_events),
    ],
    rows: &[Held { table: Table::BusinessEvents, id: "id", samples }],
    controls: &[],
};

/// moengage: MD:api/business-events/business-events-v5/business-events-v5.yaml, `Limit`.
const LARGEST_PAGE: u64 = 20;

/// moengage: OpenAPI file of business events: as campaigns of V1, but a 429 of its own.
fn refused_legacy(refusal: Refusal<'_>, id: &str) -> Value {
    if refusal == Refusal::TooMany {
        return json!({"status": "error", "data": {
            "code": 429, "title": "rate limiter exception", "description": "Exceeded rate limit for this app",
        }});
    }
    let mut body = (CAMPAIGNS_V1.body)(refusal, id);
    body["error"]["request_id"] = json!(id);
    body
}

/// moengage: `ErrorResponseV5`: details come with a 400 only.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let error = match refusal {
        Refusal::Invalid { target, message } => json!({
            "code": "INVALID_REQUEST", "message": message, "target": target,
            "details": [{"code": "INVALID_VALUE", "target": target, "message": message}],
        }),
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => json!({
            "code": "UNAUTHORIZED", "message": "Missing or invalid authentication credentials.",
            "target": "Authorization",
        }),
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => json!({
            "code": "FORBIDDEN", "target": "Authorization",
            "message": "This API key does not have the scope required to read business events.",
        }),
        Refusal::TooMany => json!({
            "code": "RATE_LIMIT_EXCEEDED", "message": "Workspace rate limit exceeded. Retry after 60 seconds.",
        }),
        Refusal::Named { code, target, message, .. } => {
            json!({"code": code, "message": message, "target": target})
        }
    };
    json!({"error": error, "response_id": id})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LegacySearch {
    event_ids: Option<Vec<String>>,
    event_names: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Search {
    filters: Filters,
    limit: Option<u64>,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filters {
    names: Option<Vec<String>>,
    ids: Option<Vec<String>>,
}

fn among(wanted: Option<&[String]>, value: &Value) -> bool {
    wanted.is_some_and(|wanted| wanted.iter().any(|wanted| value == wanted.as_str()))
}

/// A row of v5 as the legacy search shows it. The two have different names, types and time
/// formats.
fn legacy(row: &Value, workspace_id: &str) -> Value {
    let time = |name: &str| row[name].as_str().and_then(parse_rfc3339).map(naive);
    let attribute = |attribute: &Value| {
        let data_type = match attribute["data_type"].as_str() {
            Some("number") => "float",
            Some("datetime") => "date",
            _ => "string",
        };
        json!({"attribute_name": attribute["name"], "attribute_data_type": data_type})
    };
    let attributes = row["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut shown = json!({
        "_id": row["id"], "event_id": row["id"], "event_name": row["name"], "db_name": workspace_id,
        "event_attributes": attributes.iter().map(attribute).collect::<Vec<_>>(),
        "created_by": row["created_by"], "created_at": time("created_at"),
        "last_received_time": time("last_triggered_at"), "total_trigger": row["trigger_count"],
        "users_in_segment": 0, "usage_count": 0,
    });
    for (name, value) in row["legacy"].as_object().into_iter().flatten() {
        shown[name] = value.clone();
    }
    shown
}

impl Workspace {
    /// `POST /v1.0/business_event/search`: known ids or names, no paging.
    fn search_business_events_legacy(&mut self, call: &Call<'_>) -> Reply {
        let search: LegacySearch = match call.body() {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if search.event_ids.is_none() && search.event_names.is_none() {
            return call.invalid("event_ids", "At least one of event_ids or event_names should be provided");
        }
        let rows = self.tables.of(Table::BusinessEvents).iter().filter(|row| {
            among(search.event_ids.as_deref(), &row["id"])
                || among(search.event_names.as_deref(), &row["name"])
        });
        let rows: Vec<Value> = rows.map(|row| legacy(row, &self.options.workspace_id)).collect();
        Reply::json(200, &json!({"data": rows}))
    }

    /// `GET /v5/business-events`: all, or one by its name or id.
    fn business_events(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            call.uuid_request_id()?;
            let query = call.query(&["name", "id", "limit", "cursor"], &[])?;
            let (name, id) = (query.get("name"), query.get("id"));
            if name.is_some() && id.is_some() {
                return Err(call.invalid("id", "Use either 'name' or 'id', not both."));
            }
            let limit = call.query_limit(&query, LARGEST_PAGE, LARGEST_PAGE)?;
            Ok((name, id, limit, query.get("cursor")))
        };
        match asked() {
            Ok((name, id, limit, cursor)) => {
                let keeps = |row: &Value| {
                    name.is_none_or(|name| row["name"] == name) && id.is_none_or(|id| row["id"] == id)
                };
                self.events_page(call, &Ask { table: Table::BusinessEvents, limit, cursor, keeps: &keeps })
            }
            Err(reply) => reply,
        }
    }

    /// `POST /v5/business-events/search`: all, or those of some names or ids. The body may be left
    /// out.
    fn search_business_events(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            call.uuid_request_id()?;
            let search: Search = if call.request.body.is_empty() { Search::default() } else { call.body()? };
            if search.filters.names.is_some() && search.filters.ids.is_some() {
                return Err(call.invalid("filters.ids", "Use either 'names' or 'ids', not both."));
            }
            let limit = call.limit(search.limit, LARGEST_PAGE, LARGEST_PAGE)?;
            Ok((search, limit))
        };
        match asked() {
            Ok((search, limit)) => {
                let Filters { names, ids } = &search.filters;
                let keeps = |row: &Value| {
                    (names.is_none() || among(names.as_deref(), &row["name"]))
                        && (ids.is_none() || among(ids.as_deref(), &row["id"]))
                };
                let cursor = search.cursor.as_deref();
                self.events_page(call, &Ask { table: Table::BusinessEvents, limit, cursor, keeps: &keeps })
            }
            Err(reply) => reply,
        }
    }

    fn events_page(&mut self, call: &Call<'_>, ask: &Ask<'_>) -> Reply {
        let page = match self.page(call, ask) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let rows: Vec<Value> = page.rows.iter().map(|row| without(row, "legacy")).collect();
        let mut pagination = json!({"has_more": page.has_more});
        // "Present only when `has_more` is `true`."
        if let Some(cursor) = page.next_cursor {
            pagination["next_cursor"] = json!(cursor);
        }
        Reply::json(
            200,
            &json!({"response_id": call.id, "type": "business-events", "data": rows, "pagination": pagination}),
        )
    }
}

fn samples() -> Vec<Value> {
    let event = |n: usize, name: &str, attribute: &str, data_type: &str| {
        json!({
            "id": format!("67a2c4f18d3b5e0a9c1f4e{n:02}"), "name": name,
            "attributes": [{"name": "product_id", "data_type": "string"}, {"name": attribute, "data_type": data_type}],
            "campaign_count": 3 * n, "trigger_count": 10 * n, "created_by": "marketer@example.com",
            "last_triggered_at": format!("2026-07-1{n}T14:03:22Z"), "created_at": format!("2026-05-0{n}T09:12:00Z"),
        })
    };
    vec![
        event(3, "price_drop", "new_price", "number"),
        event(2, "back_in_stock", "since", "datetime"),
        event(1, "new_episode", "is_last", "boolean"),
    ]
}
