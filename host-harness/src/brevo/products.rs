//! Products (OpenAPI `POST /products`): made or changed by the shop's own id, so safe to repeat.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::account::Call;
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::registry::UpsertProduct;
use crate::world::HttpResponse;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'a [String]>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta_info: BTreeMap<&'a str, Value>,
    /// Always said: a product may come back.
    is_deleted: bool,
    /// Without it Brevo refuses an id that it knows.
    update_enabled: bool,
}

/// `POST /products`
pub fn upsert(product: &UpsertProduct) -> Call {
    let body = Wire {
        id: &product.id,
        name: &product.name,
        url: product.url.as_deref(),
        image_url: product.image_url.as_deref(),
        sku: product.sku.as_deref(),
        price: product.price,
        parent_id: product.parent_id.as_deref(),
        categories: product.categories.as_deref(),
        meta_info: product.meta_info.iter().map(|(key, value)| (key.as_str(), meta(value))).collect(),
        is_deleted: product.deleted,
        update_enabled: true,
    };
    Call {
        method: "POST",
        path: "/products".into(),
        label: "/products",
        family: Family::Products,
        body: Some(json(&body)),
    }
}

/// `metaInfo` holds strings and integers (OpenAPI: `oneOf`); whatever else there is goes as text.
fn meta(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Bool(yes) => Value::String(yes.to_string()),
        other => other.clone(),
    }
}

/// 201 made it, 204 changed it. Of e-commerce that is not activated other calls say 403
/// "Permission denied. eCommerce is not activated."; for this one only 400 is documented, so the
/// sentence counts under any refusal.
pub fn read_upsert(answer: &HttpResponse) -> Result<(), Problem> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let problem = errors::classify(answer);
    if (400..500).contains(&answer.status) && errors::message(answer).contains("not activated") {
        return Err(Problem { kind: Kind::Forbidden, ..problem });
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use serde_json::json;

    use super::*;

    fn body(product: Value) -> Value {
        let product = serde_json::from_value(product).unwrap();
        serde_json::from_slice(&upsert(&product).body.unwrap()).unwrap()
    }

    #[test]
    fn a_product_has_brevos_names_and_no_key_that_is_not_known() {
        let little = body(json!({ "id": "P1", "name": "Mug" }));
        let always = json!({ "id": "P1", "name": "Mug", "isDeleted": false, "updateEnabled": true });
        assert_eq!(little, always);
        let full = body(json!({
            "id": "P1", "name": "Mug", "url": "https://x.org/p1", "image_url": "https://x.org/p1.png",
            "sku": "S", "price": 9.5, "parent_id": "P0", "categories": ["c"], "deleted": true,
            "meta_info": { "a": "text", "b": 7, "c": 1.5, "d": true },
        }));
        assert_eq!(
            full,
            json!({
                "id": "P1", "name": "Mug", "url": "https://x.org/p1", "imageUrl": "https://x.org/p1.png",
                "sku": "S", "price": 9.5, "parentId": "P0", "categories": ["c"],
                "metaInfo": { "a": "text", "b": 7, "c": "1.5", "d": "true" },
                "isDeleted": true, "updateEnabled": true,
            })
        );
    }

    #[test]
    fn commerce_that_is_not_activated_is_known_by_its_sentence() {
        let kind = |status, body: &str| {
            let answer = HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
            read_upsert(&answer).map_err(|problem| problem.kind)
        };
        let sentence = r#"{"code":"x","message":"Permission denied. eCommerce is not activated."}"#;
        for status in [400, 403, 404] {
            assert_eq!(kind(status, sentence), Err(Kind::Forbidden));
        }
        assert_eq!(kind(400, r#"{"code":"invalid_parameter","message":"imageUrl"}"#), Err(Kind::Refused));
        assert_eq!(kind(502, sentence), Err(Kind::OutcomeUnknown));
        assert_eq!((kind(201, r#"{"id":21}"#), kind(204, "")), (Ok(()), Ok(())));
    }
}
