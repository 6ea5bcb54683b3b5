//! Recommendations: how one is set up, and what it recommends to a person.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

const DETAILS: &str = "/v1/recommendations/{recommendations_id}";
pub(super) const ITEMS: &str = "/v1/recommendations/{recommendations_id}/items";

/// moengage: OpenAPI file of recommendations: "payload size exceeds the 1MB limit".
const LARGEST_BODY: usize = 1 << 20;
/// moengage: OpenAPI file of recommendations, `RECOMMENDATION-TYPE`; those that need an item come
/// first.
const TYPES: &[&str] = &[
    "similar_item",
    "frequently_viewed_together",
    "frequently_bought_together",
    "user_action",
    "item_attribute",
    "catalog_alert",
    "trending_item",
    "user_personalization",
];
const OF_AN_ITEM: usize = 3;

const KEY: Key = Key { family: Family::Campaigns, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// moengage: OpenAPI file of recommendations.
const DETAILS_LIMIT: Limit =
    Limit { name: "recommendations", windows: &[Window { limit: 1_000, period_ms: MINUTE }] };
const ITEMS_LIMIT: Limit =
    Limit { name: "recommendation-items", windows: &[Window { limit: 10_000, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get(DETAILS, KEY, ENVELOPE, &DETAILS_LIMIT, Workspace::recommendation),
        Route::post(ITEMS, KEY, ENVELOPE, &ITEMS_LIMIT, Workspace::recommended),
    ],
    rows: &[Held { table: Table::Recommendations, id: "id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let items: Vec<Value> = (1..=3)
        .map(|n| {
            json!({
                "item_id": format!("P{n:03}"), "title": format!("Product {n}"),
                "link": format!("https://example.com/products/{n}"),
                "image_link": format!("https://example.com/products/{n}.png"), "price": n as f64 + 0.99,
            })
        })
        .collect();
    vec![json!({
        "id": "a1b2c3d4e5f6a7b8c9d0e1f2", "db_name": "Example", "recommendation_type": "trending_item",
        "name": "Trending", "description": null, "catalog": "catalog-1", "status": "active",
        "created_time": "2026-05-10T07:03:00.180Z", "updated_time": "2026-05-10T07:03:00.180Z",
        "include_filters": {"filters": [], "filter_operator": "and"}, "exclude_filters": null,
        "custom_settings": null, "trends": {"trend_type": "most_viewed", "duration_days": 7},
        "items": items,
    })]
}

/// moengage: `ErrorResponse` of the OpenAPI file of recommendations; its 429 has no body.
fn refused(refusal: Refusal<'_>, _id: &str) -> Value {
    let (code, message) = match refusal {
        Refusal::TooMany => return Value::Null,
        Refusal::Invalid { message, .. } => ("invalid-request-format", message),
        // Its documents know no 403.
        Refusal::NoAppKey
        | Refusal::UnknownWorkspace
        | Refusal::WrongKey
        | Refusal::NoSecretSet
        | Refusal::Suspended
        | Refusal::Scope(_)
        | Refusal::Address
        | Refusal::NotSwitchedOn => (
            "request-unauthenticated",
            "Your request is unauthorized. Please verify your credentials and try again.",
        ),
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"error-code": code, "message": message})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user_id: String,
    item_id: Option<String>,
    include_fields: Option<Vec<String>>,
}

fn unknown(call: &Call<'_>) -> Reply {
    call.refused(Refusal::Named {
        status: 400,
        code: "recommendation does not exist",
        target: "",
        message: "Recommendation does not exist or archived. Please check recommendation_id.",
    })
}

impl Workspace {
    /// `GET /v1/recommendations/{recommendations_id}` (moengage: OpenAPI file of recommendations).
    fn recommendation(&mut self, call: &Call<'_>) -> Reply {
        match self.tables.find(Table::Recommendations, call.variable(0)) {
            Some(row) => {
                let mut row = row.clone();
                if let Some(row) = row.as_object_mut() {
                    row.remove("items");
                }
                Reply::json(200, &row)
            }
            None => unknown(call),
        }
    }

    /// `POST /v1/recommendations/{recommendations_id}/items`: the same items for everybody.
    fn recommended(&mut self, call: &Call<'_>) -> Reply {
        if call.request.body.len() > LARGEST_BODY {
            return call.refused(Refusal::Named {
                status: 413,
                code: "payload-size-exceeded",
                target: "",
                message: "Your payload size exceeds the 1MB limit. Please reduce the payload size and try again.",
            });
        }
        let kind = call.request.header("recommendation-type").unwrap_or_default();
        let Some(place) = TYPES.iter().position(|known| *known == kind) else {
            return call.invalid("RECOMMENDATION-TYPE", "RECOMMENDATION-TYPE is not one of the documented");
        };
        let asked: Asked = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if asked.user_id.is_empty() || (place < OF_AN_ITEM && asked.item_id.is_none()) {
            return call.invalid("user_id", "user_id is required, and item_id for this type");
        }
        let row = self.tables.find(Table::Recommendations, call.variable(0));
        let Some(row) = row.filter(|row| row["recommendation_type"] == kind && row["status"] != "archived")
        else {
            return unknown(call);
        };
        let items = row["items"].as_array().into_iter().flatten().filter_map(Value::as_object);
        let items = items.map(|item| {
            let shown = |name: &String| {
                name == "item_id" || asked.include_fields.as_ref().is_none_or(|fields| fields.contains(name))
            };
            let kept = item.iter().filter(|(name, _)| shown(name));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
        });
        let items: Vec<Map<String, Value>> = items.collect();
        let id = |item: &Map<String, Value>| {
            item.get("item_id").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let page = self.pages.all(ITEMS, items, id);
        page.reply(&json!({"items": page.rows}))
    }
}
