//! What things of MoEngage become at Brevo: the block `objects`. Without it they become nothing.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use super::rule_actions::{DUE_IN, TASK_TYPE, due_in};
use crate::json::{Object, Scalar};
use crate::model::{FLOW, campaign};
use crate::source::all_items;

/// The block `objects`.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Catalog items become products.
    pub products: Option<Vec<ProductField>>,
    pub campaigns: Option<CustomObject>,
    pub flows: Option<CustomObject>,
    pub alerts: Option<Alerts>,
}

/// A field of a catalog item and what it is of the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductField {
    pub from: String,
    pub to: ProductPart,
}

/// A part of a product at Brevo (OpenAPI `/products`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductPart {
    /// `name`, `url`, `image_url`, `sku` or `parent_id`.
    Text(&'static str),
    Price,
    Categories,
    /// A key of `meta_info`.
    Meta(String),
}

/// A type of custom objects at Brevo, which the tenant made there.
#[derive(Clone, Debug)]
pub struct CustomObject {
    pub object_type: String,
    /// Field of the record to attribute of the object.
    pub attributes: Vec<(String, String)>,
}

/// What an alert becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alerts {
    Note,
    /// A task of this type, due so many seconds after the alert.
    Task {
        kind: String,
        due_in: i64,
    },
}

/// Brevo's limit (OpenAPI `/products`).
const MOST_META: usize = 20;

const PRODUCT_TEXTS: [&str; 5] = ["name", "url", "image_url", "sku", "parent_id"];

/// Reads `objects`.
pub fn objects(path: &str, raw: &RawValue, problems: &mut Problems) -> Objects {
    let mut objects = Objects::default();
    let Some(object) = problems.object(path, raw) else { return objects };
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "products" => objects.products = products(&path, raw, problems),
            "campaigns" => {
                objects.campaigns =
                    custom_object(&path, raw, "moengage_campaign", &campaign::FIELDS, problems);
            }
            "flows" => {
                let flows = all_items().filter(|item| item.kind == FLOW);
                let fields: Vec<_> = flows.flat_map(|item| item.columns).map(|column| column.to).collect();
                objects.flows = custom_object(&path, raw, "moengage_flow", &fields, problems);
            }
            "alerts" => objects.alerts = alerts(&path, raw, problems),
            _ => problems.unknown_key(&path, &["products", "campaigns", "flows", "alerts"]),
        }
    }
    objects
}

fn products(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Vec<ProductField>> {
    let object = problems.object(path, raw)?;
    let mut fields = None;
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "field_mapping" => fields = Some(product_fields(&path, raw, problems)),
            _ => problems.unknown_key(&path, &["field_mapping"]),
        }
    }
    let field = |from: &str, to| ProductField { from: from.to_owned(), to };
    Some(fields.unwrap_or_else(|| {
        vec![
            field("title", ProductPart::Text("name")),
            field("link", ProductPart::Text("url")),
            field("image_link", ProductPart::Text("image_url")),
            field("price", ProductPart::Price),
        ]
    }))
}

fn product_fields(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<ProductField> {
    let mut fields: Vec<ProductField> = Vec::new();
    for (path, from, to) in pairs(path, raw, problems) {
        let part = match to.as_str() {
            "price" => ProductPart::Price,
            "categories" => ProductPart::Categories,
            other => {
                match (PRODUCT_TEXTS.into_iter().find(|text| *text == other), to.strip_prefix("meta_info.")) {
                    (Some(text), _) => ProductPart::Text(text),
                    (None, Some(key)) if !key.is_empty() => ProductPart::Meta(key.to_owned()),
                    _ => {
                        problems.add(
                            "unknown-product-field",
                            &path,
                            "A product at Brevo has no such field.",
                            "Write name, url, image_url, sku, price, parent_id, categories or meta_info.….",
                        );
                        continue;
                    }
                }
            }
        };
        fields.push(ProductField { from, to: part });
    }
    if !fields.iter().any(|field| field.to == ProductPart::Text("name")) {
        problems.missing(&below(path, "title"), "Say which field is the product's name: Brevo wants one.");
    }
    if fields.iter().filter(|field| matches!(field.to, ProductPart::Meta(_))).count() > MOST_META {
        problems.add("too-many-fields", path, "meta_info has more than 20 keys.", "Leave some out.");
    }
    fields
}

/// Source and target of each entry of a mapping, every target once.
fn pairs(path: &str, raw: &RawValue, problems: &mut Problems) -> Vec<(String, String, String)> {
    let mut pairs: Vec<(String, String, String)> = Vec::new();
    let Some(object) = problems.object(path, raw) else { return pairs };
    for (from, raw) in object.entries() {
        let path = below(path, from);
        let Some(to) = problems.text(&path, raw) else { continue };
        if let Some((_, other, _)) = pairs.iter().find(|(_, _, taken)| *taken == to) {
            problems.add(
                "duplicate-attribute",
                &path,
                &format!("{to} is already filled from {other}."),
                "Give everything one source.",
            );
        }
        pairs.push((path, from.to_owned(), to.into_owned()));
    }
    pairs
}

fn custom_object(
    path: &str,
    raw: &RawValue,
    default: &str,
    fields: &[&str],
    problems: &mut Problems,
) -> Option<CustomObject> {
    let block: Object<'_> = problems.object(path, raw)?;
    let mut object_type = default.to_owned();
    let mut attributes = None;
    for (key, raw) in block.entries() {
        let path = below(path, key);
        match key {
            "type" => {
                let Some(text) = problems.text(&path, raw) else { continue };
                if !is_snake(&text) || text.len() > 32 {
                    problems.add(
                        "bad-object-type",
                        &path,
                        "It is not 1 to 32 lower-case letters, digits and underscores.",
                        "Write the name of the object as Brevo's API shows it.",
                    );
                }
                object_type = text.into_owned();
            }
            "field_mapping" => attributes = Some(object_fields(&path, raw, fields, problems)),
            _ => problems.unknown_key(&path, &["type", "field_mapping"]),
        }
    }
    // The record's key is the object's own id, so it is no attribute where nobody asks for it.
    let all = || fields.iter().skip(1).map(|&field| (field.to_owned(), field.to_owned())).collect();
    Some(CustomObject { object_type, attributes: attributes.unwrap_or_else(all) })
}

fn object_fields(
    path: &str,
    raw: &RawValue,
    fields: &[&str],
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for (path, from, to) in pairs(path, raw, problems) {
        if !fields.contains(&from.as_str()) {
            problems.add(
                "unknown-field",
                &path,
                "The record has no such field.",
                &format!("Use one of: {}.", fields.join(", ")),
            );
        }
        if !is_snake(&to) || !to.starts_with(|c: char| c.is_ascii_lowercase()) {
            problems.add(
                "bad-attribute-name",
                &path,
                "It is not a lower-case letter and lower-case letters, digits and underscores.",
                "Write the attribute's name as Brevo's API shows it, such as sent_at.",
            );
        }
        attributes.push((from, to));
    }
    if attributes.is_empty() {
        problems.missing(path, "Name at least one attribute: Brevo takes no object without.");
    }
    attributes
}

fn is_snake(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `note`, `task`, or a block for a task.
fn alerts(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Alerts> {
    let mut task = (TASK_TYPE.to_owned(), DUE_IN);
    if Scalar::of(raw) != Scalar::Compound {
        let word = problems.one_of(path, raw, "unknown-choice", &["note", "task"])?;
        return Some(if word == "note" {
            Alerts::Note
        } else {
            Alerts::Task { kind: task.0, due_in: task.1 }
        });
    }
    let object: Object<'_> = problems.object(path, raw)?;
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "as" => drop(problems.one_of(&path, raw, "unknown-choice", &["task"])),
            "type" => task.0 = problems.text(&path, raw)?.into_owned(),
            "due_in" => task.1 = due_in(&path, raw, problems)?,
            _ => problems.unknown_key(&path, &["as", "type", "due_in"]),
        }
    }
    if object.raw("as").is_none() {
        problems.missing(&below(path, "as"), "Write task, or instead of the block note.");
    }
    Some(Alerts::Task { kind: task.0, due_in: task.1 })
}
