//! Items of catalogs: known ids only, fifty at a time.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::routes::{Call, Calls, HOUR, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

pub(super) const ITEMS: &str = "/v1/catalog/{catalog_id}/items/search";

/// moengage: OpenAPI file of catalogs, `items`.
const MOST_ITEMS: usize = 50;
/// moengage: OpenAPI file of catalogs: "payload size exceeds the 5MB limit".
const LARGEST_BODY: usize = 5 << 20;

const KEY: Key = Key { family: Family::Campaigns, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// moengage: OpenAPI file of catalogs: of all its calls together.
const LIMIT: Limit = Limit {
    name: "catalogs",
    windows: &[Window { limit: 100, period_ms: MINUTE }, Window { limit: 1_000, period_ms: HOUR }],
};

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::post(ITEMS, KEY, ENVELOPE, &LIMIT, Workspace::catalog_items)],
    rows: &[Held { table: Table::CatalogItems, id: "product_id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let numbered = |n: usize| {
        json!({
            "catalog_id": "catalog-1", "feed_id": "feed-1", "product_id": format!("P{n:03}"),
            "title": format!("Product {n}"), "description": "A product",
            "link": format!("https://example.com/products/{n}"),
            "image_link": format!("https://example.com/products/{n}.png"),
            "price_currency": "EUR", "price": n as f64 + 0.99,
            "creation_date": "2026-05-10T07:03:00.18Z", "last_updated": "2026-05-10T07:03:00.18Z",
            "in_stock": true, "sale_start_date": "2026-08-27T19:26:38.00Z",
            "store_location": "12.9716,77.5946",
        })
    };
    (1..=4).map(numbered).collect()
}

/// moengage: `Error` of the OpenAPI file of catalogs; its 429 has headers only.
fn refused(refusal: Refusal<'_>, _id: &str) -> Value {
    let (code, message) = match refusal {
        Refusal::TooMany => return Value::Null,
        Refusal::Invalid { message, .. } => ("invalid-request", message),
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => (
            "request-unauthenticated",
            "Your request is unauthorized. Please verify your credentials and try again.",
        ),
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("request-denied", "Your account does not have access to the Catalog APIs.")
        }
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"error-code": code, "message": message})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    items: Vec<String>,
}

impl Workspace {
    /// `POST /v1/catalog/{catalog_id}/items/search` (moengage: OpenAPI file of catalogs). An item
    /// that is not there is left out: what is answered for it is not documented. A catalog is
    /// known where an item of it is.
    fn catalog_items(&mut self, call: &Call<'_>) -> Reply {
        let named =
            |status, code, message| call.refused(Refusal::Named { status, code, target: "", message });
        if call.request.body.len() > LARGEST_BODY {
            let message =
                "Your payload size exceeds the 5MB limit. Please reduce the payload size and try again.";
            return named(413, "payload-size-exceeded", message);
        }
        let search: Search = match call.body() {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if !(1..=MOST_ITEMS).contains(&search.items.len()) {
            return call.invalid("items", "Item count should be greater than 0 and less than or equal to 50");
        }
        let catalog = call.variable(0);
        let all = self.tables.of(Table::CatalogItems).iter();
        let rows: Vec<&Value> = all.filter(|row| row["catalog_id"] == catalog).collect();
        if rows.is_empty() {
            let message = "We could not find any API based catalog for the provided catalog id.";
            return named(404, "catalog-not-found", message);
        }
        let found = search.items.iter().filter_map(|id| rows.iter().find(|row| row["product_id"] == **id));
        let id = |row: &&Value| row["product_id"].as_str().unwrap_or_default().to_owned();
        let page = self.pages.all(ITEMS, found.copied().collect(), id);
        page.reply(&json!({"items": page.rows}))
    }
}
