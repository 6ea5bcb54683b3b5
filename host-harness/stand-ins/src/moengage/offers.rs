//! Offers and their templates: a cursor in the query, a total, and a gateway that refuses keys.

use serde_json::{Value, json};

use super::cursors::{Ask, Page};
use super::envelopes::{Envelope, Ids, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, DAY, HOUR, Key, Limit, MINUTE, Query, Route};
use super::rows::{Held, Table, only};
use super::workspace::Workspace;
use crate::clock::parse_day;
use crate::http::Reply;
use crate::windows::Window;

/// The OpenAPI file of offerings names the key of Personalize: see [`super::Readings::keys`].
const KEY: Key = Key { family: Family::Campaigns, permission: "" };

/// moengage: OpenAPI file of offerings, "per consumer".
const WINDOWS: &[Window] = &[
    Window { limit: 150, period_ms: MINUTE },
    Window { limit: 500, period_ms: HOUR },
    Window { limit: 1_000, period_ms: DAY },
];
const LIST: Limit = Limit { name: "offers", windows: WINDOWS };
const TEMPLATES: Limit = Limit { name: "offer-templates", windows: WINDOWS };

const OFFERS: Envelope =
    Envelope { ids: Ids::Prefixed, retry_after: true, gateway: true, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get("/v5/offers", KEY, OFFERS, &LIST, Workspace::offers),
        Route::get("/v5/offers/templates", KEY, OFFERS, &TEMPLATES, Workspace::offer_templates),
    ],
    rows: &[
        Held { table: Table::Offers, id: "id", samples },
        Held { table: Table::OfferTemplates, id: "id", samples: template_samples },
    ],
    controls: &[],
};

/// moengage: OpenAPI file of offerings, `limit`.
const PAGE: u64 = 20;
const LARGEST_PAGE: u64 = 100;
const LONGEST_NAME: usize = 100;

const STATUSES: &[&str] = &["active", "scheduled", "expired", "archived", "draft"];
const FIELDS: &[&str] = &["id", "name", "status", "tags", "created_at", "created_by"];
const DOC_URL: &str = "https://www.moengage.com/docs/api/offerings/offerings-overview";

/// moengage: `ErrorResponse` and `GatewayAuthError` of the OpenAPI file of offerings.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (code, message, details) = match refusal {
        Refusal::Invalid { target, message } => {
            let code = match target {
                "limit" | "name_contains" => "OUT_OF_RANGE",
                "cursor" => "INVALID_CURSOR",
                "status_in" => "INVALID_ENUM_VALUE",
                "fields" => "INVALID_FIELDS_PARAM",
                "created_date_gte" | "created_date_lte" => "INVALID_TYPE",
                _ => "INVALID_VALUE",
            };
            let details = json!([{"code": code, "target": target, "message": message, "doc_url": DOC_URL}]);
            ("VALIDATION_FAILED", "One or more query parameters are invalid.", details)
        }
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            return json!({"code": "ER001", "target": "Authentication Invalid", "message": "Auth validation failed."});
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            return json!({"code": "ER007", "target": "Authorization Invalid", "message": "Insufficient scope."});
        }
        Refusal::TooMany => ("RATE_LIMIT_EXCEEDED", "Rate limit exceeded.", json!([])),
        Refusal::Named { code, message, .. } => (code, message, json!([])),
    };
    let error = json!({"code": code, "message": message, "details": details, "doc_url": DOC_URL});
    json!({"error": error, "response_id": id})
}

struct Filters<'a> {
    id: Option<&'a str>,
    /// Lower case.
    name: String,
    statuses: Vec<&'a str>,
    tags: Vec<&'a str>,
    /// Days in the format of `created_at`.
    from: Option<&'a str>,
    to: Option<&'a str>,
    created_by: Vec<&'a str>,
}

impl<'a> Filters<'a> {
    fn read(call: &Call<'_>, query: &Query<'a>) -> Result<Self, Reply> {
        let name = query.get("name_contains").unwrap_or_default();
        if name.chars().count() > LONGEST_NAME {
            return Err(call.invalid("name_contains", "name_contains has at most 100 characters."));
        }
        let statuses: Vec<&str> = query.get("status_in").into_iter().flat_map(|all| all.split(',')).collect();
        if let Some(unknown) = statuses.iter().find(|status| !STATUSES.contains(status)) {
            return Err(call.invalid("status_in", &format!("'{unknown}' is not a valid status.")));
        }
        let day = |name| match query.get(name) {
            Some(day) if parse_day(day).is_none() => Err(call.invalid(name, "not YYYY-MM-DD")),
            day => Ok(day),
        };
        Ok(Self {
            id: query.get("id"),
            name: name.to_lowercase(),
            statuses,
            tags: query.all("tags").collect(),
            from: day("created_date_gte")?,
            to: day("created_date_lte")?,
            // The schema repeats the parameter, the example separates by commas.
            created_by: query.all("created_by").flat_map(|all| all.split(',')).collect(),
        })
    }

    fn keeps(&self, row: &Value) -> bool {
        let day = row["created_at"].as_str().and_then(|at| at.get(..10)).unwrap_or_default();
        let tags = row["tags"].as_array().map_or(&[][..], Vec::as_slice);
        // Both the raw tag id and the one with a prefix are taken.
        let tagged = |wanted: &&str| {
            tags.iter()
                .filter_map(Value::as_str)
                .any(|tag| tag == *wanted || tag.strip_prefix("tag_") == Some(*wanted))
        };
        self.id.is_none_or(|id| row["id"] == id)
            && row["name"].as_str().unwrap_or_default().to_lowercase().contains(&self.name)
            && (self.statuses.is_empty() || self.statuses.iter().any(|status| row["status"] == *status))
            && self.tags.iter().all(tagged)
            && self.from.is_none_or(|from| day >= from)
            && self.to.is_none_or(|to| day <= to)
            && (self.created_by.is_empty() || self.created_by.iter().any(|by| row["created_by"] == *by))
    }
}

fn answered(call: &Call<'_>, kind: &str, page: &Page, rows: &[Value], limit: usize) -> Reply {
    let pagination = json!({
        "next_cursor": page.next_cursor, "limit": limit, "has_more": page.has_more, "total_count": page.total,
    });
    let body = json!({"response_id": call.id, "type": kind, "data": rows, "pagination": pagination});
    Reply::json(200, &body)
}

impl Workspace {
    /// `GET /v5/offers` (moengage: OpenAPI file of offerings).
    fn offers(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            let once = [
                "id",
                "name_contains",
                "status_in",
                "created_date_gte",
                "created_date_lte",
                "fields",
                "cursor",
                "limit",
            ];
            call.uuid_request_id()?;
            let query = call.query(&once, &["tags", "created_by"])?;
            let filters = Filters::read(call, &query)?;
            let fields: Vec<&str> =
                query.get("fields").map_or_else(|| FIELDS.to_vec(), |names| names.split(',').collect());
            if fields.iter().any(|field| !FIELDS.contains(field)) {
                return Err(call.invalid("fields", "not a field of an offering"));
            }
            let limit = call.query_limit(&query, PAGE, LARGEST_PAGE)?;
            Ok((filters, fields, limit, query.get("cursor")))
        };
        let (filters, fields, limit, cursor) = match asked() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let keeps = |row: &Value| filters.keeps(row);
        match self.page(call, &Ask { table: Table::Offers, limit, cursor, keeps: &keeps }) {
            Ok(page) => {
                let rows: Vec<Value> = page.rows.iter().map(|row| only(row, &fields)).collect();
                answered(call, "offer", &page, &rows, limit)
            }
            Err(reply) => reply,
        }
    }

    /// `GET /v5/offers/templates`.
    fn offer_templates(&mut self, call: &Call<'_>) -> Reply {
        let asked = || {
            call.uuid_request_id()?;
            let query = call.query(&["cursor", "limit"], &[])?;
            Ok((call.query_limit(&query, PAGE, LARGEST_PAGE)?, query.get("cursor")))
        };
        let (limit, cursor) = match asked() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        match self.page(call, &Ask { table: Table::OfferTemplates, limit, cursor, keeps: &|_| true }) {
            Ok(page) => answered(call, "template", &page, &page.rows, limit),
            Err(reply) => reply,
        }
    }
}

/// The newest first; the order is not documented.
fn samples() -> Vec<Value> {
    let offer = |n: usize, name: &str, status: &str, tags: &[&str]| {
        json!({
            "id": format!("offer_6a4f69ee490f66322f968b{n:02}"), "name": name, "status": status, "tags": tags,
            "created_at": format!("2026-06-2{n}T12:29:41.225270281Z"), "created_by": "marketer@example.com",
        })
    };
    vec![
        offer(4, "Autumn_Draft", "draft", &[]),
        offer(3, "Birthday_Gift", "active", &["tag_6a4f69ee490f66322f968c01"]),
        offer(
            2,
            "Summer_Sale_2026",
            "scheduled",
            &["tag_6a4f69ee490f66322f968c01", "tag_6a4f69ee490f66322f968c02"],
        ),
        offer(1, "Winter_Sale_2025", "expired", &[]),
    ]
}

fn template_samples() -> Vec<Value> {
    let template =
        |id: &str, label: &str| json!({"id": id, "value": id, "label": label, "template_type": []});
    vec![template("app_small", "App small"), template("app_large", "App large")]
}
