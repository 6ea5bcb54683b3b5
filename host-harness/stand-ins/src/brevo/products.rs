//! Products of the shop: `POST /products`, `POST /products/batch`, `GET /products/{id}`.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for `brand`, `description` and
//! `alternativePrice`, the size of a batch, and the limit of `metaInfo` in characters.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::replies::{error, not_found, violation};
use super::schemas::present;
use crate::clock::{Millis, parse_rfc3339, rfc3339};
use crate::http::{Reply, Request};

/// brevo: "Maximum length of metaInfo object can be 20".
const MOST_META: usize = 20;
/// brevo: 20,000 characters in `brevo-python`, 1000 KB in the OpenAPI file; the smaller one.
const LARGEST_META: usize = 20_000;
/// brevo: "up to 100 product objects"; 1000 only for accounts whose limit was raised.
const MOST_IN_BATCH: usize = 100;

/// A product, as Brevo holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Product {
    /// The shop's id.
    pub id: String,
    /// What was written, by Brevo's keys, without `id`; a key that an update leaves out stays.
    pub fields: Map<String, Value>,
    /// Host time.
    pub created_at: Millis,
    /// Host time of the last write.
    pub modified_at: Millis,
    /// Requests that wrote it, its creation included.
    pub written_by: Vec<u64>,
}

/// Whether the keys of a product are what they may be. What is kept is the map as it was sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(dead_code, reason = "read so that the shape is checked")]
struct ProductBody {
    id: String,
    name: String,
    #[serde(default, deserialize_with = "present")]
    brand: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<String>,
    #[serde(default, deserialize_with = "present")]
    url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    image_url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sku: Option<String>,
    #[serde(default, deserialize_with = "present")]
    price: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    alternative_price: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    stock: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    parent_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    categories: Option<Vec<String>>,
    #[serde(default)]
    meta_info: BTreeMap<String, MetaValue>,
    #[serde(default, deserialize_with = "present")]
    is_deleted: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    deleted_at: Option<String>,
}

/// brevo: string or whole number.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a value of metaInfo is a string or a whole number")]
#[allow(dead_code, reason = "read so that the shape is checked")]
enum MetaValue {
    Text(String),
    Whole(i64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProductBatch {
    products: Vec<Map<String, Value>>,
    #[serde(default)]
    update_enabled: bool,
}

impl Account {
    pub(super) fn write_product(&mut self, request: &Request) -> Reply {
        let mut fields: Map<String, Value> = match read(request) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        let update = match fields.remove("updateEnabled") {
            None => false,
            Some(Value::Bool(update)) => update,
            Some(_) => return violation("invalid_parameter", "updateEnabled is a boolean"),
        };
        let (id, fields) = match checked(fields) {
            Ok(product) => product,
            Err(message) => return violation("invalid_parameter", &message),
        };
        if self.products.contains_key(&id) {
            if !update {
                return exists(&id);
            }
            self.put_product(id, fields, request);
            return Reply::empty(204);
        }
        self.put_product(id, fields, request);
        // brevo: the schema's `id` is a number; that it is not the shop's id is the worst reading.
        Reply::json(201, &json!({"id": self.products.len()}))
    }

    pub(super) fn write_products(&mut self, request: &Request) -> Reply {
        let body: ProductBatch = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body.products.is_empty() || body.products.len() > MOST_IN_BATCH {
            return violation("invalid_parameter", "a batch holds 1 to 100 products");
        }
        let products: Result<Vec<_>, String> = body.products.into_iter().map(checked).collect();
        let products = match products {
            Ok(products) => products,
            Err(message) => return violation("invalid_parameter", &message),
        };
        let ids: BTreeSet<&String> = products.iter().map(|(id, _)| id).collect();
        if ids.len() < products.len() {
            return violation("invalid_parameter", "an id is there twice");
        }
        let updated = ids.iter().filter(|id| self.products.contains_key(**id)).count();
        if let (false, Some(id)) =
            (body.update_enabled, ids.iter().find(|id| self.products.contains_key(**id)))
        {
            return exists(id);
        }
        let created = products.len() - updated;
        for (id, fields) in products {
            self.put_product(id, fields, request);
        }
        Reply::json(201, &json!({"createdCount": created, "updatedCount": updated}))
    }

    pub(super) fn read_product(&self, request: &Request) -> Reply {
        if !request.query.is_empty() {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let raw = request.path.rsplit('/').next().unwrap_or_default();
        let Ok(id) = percent_decode_str(raw).decode_utf8() else {
            return violation("invalid_parameter", "the id is not UTF-8");
        };
        let Some(product) = self.products.get(&*id) else { return not_found("Product ID") };
        let mut body = json!({
            "id": product.id, "isDeleted": false, "createdAt": rfc3339(product.created_at),
            "modifiedAt": rfc3339(product.modified_at), "s3ThumbAnalytics": "", "s3ThumbEditor": "",
        });
        for (name, value) in product.fields.iter().filter(|(name, _)| *name != "deletedAt") {
            body[name] = value.clone();
        }
        Reply::json(200, &body)
    }

    fn put_product(&mut self, id: String, fields: Map<String, Value>, request: &Request) {
        let new = || Product {
            id: id.clone(),
            fields: Map::new(),
            created_at: request.at,
            modified_at: request.at,
            written_by: Vec::new(),
        };
        let product = self.products.entry(id.clone()).or_insert_with(new);
        product.fields.extend(fields);
        product.modified_at = request.at;
        product.written_by.push(request.seq);
    }
}

/// The words are not documented.
fn exists(id: &str) -> Reply {
    error(400, "duplicate_parameter", &format!("Product {id} already exists"))
}

/// The id of a product, and its other keys.
fn checked(fields: Map<String, Value>) -> Result<(String, Map<String, Value>), String> {
    let body: ProductBody =
        serde_json::from_value(Value::Object(fields.clone())).map_err(|e| e.to_string())?;
    if body.id.is_empty() || body.name.is_empty() {
        return Err("id and name are not empty".to_owned());
    }
    if body.image_url.is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err("imageUrl is not absolute".to_owned());
    }
    if body.deleted_at.is_some_and(|date| parse_rfc3339(&date).is_none()) {
        return Err("deletedAt is no date".to_owned());
    }
    let meta = fields.get("metaInfo").map(Value::to_string).unwrap_or_default();
    if body.meta_info.len() > MOST_META || meta.chars().count() > LARGEST_META {
        return Err("metaInfo has at most 20 keys and 20000 characters".to_owned());
    }
    let mut fields = fields;
    fields.remove("id");
    Ok((body.id, fields))
}

impl Brevo {
    /// All products, by id.
    pub fn products(&self) -> Vec<Product> {
        self.held(|account| account.products.values().cloned().collect())
    }
}
