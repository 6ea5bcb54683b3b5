//! Attributes of an account: what is defined, and which values are taken.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::replies::{error, violation};
use super::schemas::{AttributeValue, CreateAttribute, EnumerationItem};
use crate::clock::parse_day;
use crate::http::Reply;

/// brevo: developers.brevo.com/docs/platform-quotas.
const MOST_ATTRIBUTES: usize = 200;
/// brevo: OpenAPI file, "None of the options can exceed max 200 characters".
const LONGEST_OPTION: usize = 200;
/// brevo: help.brevo.com 10582214160274.
const LONGEST_TEXT: usize = 10_000;
/// brevo: help.brevo.com 10582214160274, "number up to 15 digits".
const LARGEST_NUMBER: f64 = 1e15;

/// Attributes that identify a contact; each value belongs to one contact only.
pub(super) const PHONES: [&str; 3] = ["SMS", "WHATSAPP", "LANDLINE_NUMBER"];

#[derive(Clone, Debug)]
struct Definition {
    category: String,
    kind: String,
    enumeration: Vec<EnumerationItem>,
    options: Vec<String>,
    value: Option<String>,
}

pub(super) struct Attributes(BTreeMap<String, Definition>);

impl Attributes {
    pub(super) fn new(normal: &[(String, String)]) -> Self {
        let built_in = ["EMAIL", "SMS", "WHATSAPP", "LANDLINE_NUMBER", "EXT_ID"].map(|name| (name, "text"));
        let given = normal.iter().map(|(name, kind)| (name.as_str(), kind.as_str()));
        let define = |(name, kind): (&str, &str)| {
            let definition = Definition {
                category: "normal".to_owned(),
                kind: kind.to_owned(),
                enumeration: Vec::new(),
                options: Vec::new(),
                value: None,
            };
            (name.to_owned(), definition)
        };
        Self(built_in.into_iter().chain(given).map(define).collect())
    }

    /// `GET /contacts/attributes`.
    pub(super) fn list(&self) -> Reply {
        let rows: Vec<Value> = self
            .0
            .iter()
            .map(|(name, definition)| {
                let mut row = json!({"name": name, "category": definition.category, "type": definition.kind});
                if definition.category == "category" {
                    // The type is `text` in the example of the OpenAPI file.
                    row["type"] = json!("text");
                    row["enumeration"] = json!(definition.enumeration);
                }
                if definition.kind == "multiple-choice" {
                    row["multiCategoryOptions"] = json!(definition.options);
                }
                if let Some(value) = &definition.value {
                    row["calculatedValue"] = json!(value);
                    row.as_object_mut().map(|row| row.remove("type"));
                }
                row
            })
            .collect();
        Reply::json(200, &json!({"attributes": rows}))
    }

    /// `POST /contacts/attributes/{category}/{name}`.
    pub(super) fn create(&mut self, category: &str, name: &str, body: CreateAttribute) -> Reply {
        // Which types a category has: brevo OpenAPI file, `type` of the same call.
        let types: &[&str] = match category {
            "normal" => &["text", "date", "float", "boolean", "multiple-choice", "user"],
            "transactional" => &["text", "date", "float", "boolean", "id"],
            "category" => &["category"],
            "calculated" | "global" => &[],
            _ => return violation("invalid_parameter", "attribute category is not one of the documented"),
        };
        // Brevo states no alphabet for names; beyond this one nothing is known to work.
        let mut characters = name.chars();
        let well_formed = characters.next().is_some_and(|c| c.is_ascii_uppercase())
            && characters.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && name.len() <= 50;
        if !well_formed {
            return violation("invalid_parameter", "attribute name is not [A-Z][A-Z0-9_]{0,49}");
        }
        let kind = match (&body.kind, types) {
            (None, []) => String::new(),
            (Some(kind), types) if types.contains(&kind.as_str()) => kind.clone(),
            (None, _) => return violation("missing_parameter", "attribute type is missing"),
            (Some(_), _) => {
                return violation("invalid_parameter", "attribute type does not go with its category");
            }
        };
        let formula = category == "calculated" || category == "global";
        if formula != body.value.is_some() || (!formula && body.is_recurring.is_some()) {
            return violation(
                "invalid_parameter",
                "value and isRecurring go with calculated and global only",
            );
        }
        if !body.enumeration.is_empty() && category != "category" {
            return violation("invalid_parameter", "enumeration goes with category only");
        }
        if !body.multi_category_options.is_empty() && kind != "multiple-choice" {
            return violation("invalid_parameter", "multiCategoryOptions goes with multiple-choice only");
        }
        let mut labels =
            body.enumeration.iter().map(|item| &item.label).chain(body.multi_category_options.iter());
        if labels.any(|label| label.chars().count() > LONGEST_OPTION) {
            return violation("invalid_parameter", "an option is longer than 200 characters");
        }
        if self.0.contains_key(name) {
            // The words of this refusal are not documented.
            return error(400, "invalid_parameter", "Attribute name must be unique");
        }
        if self.0.len() >= MOST_ATTRIBUTES {
            return error(400, "out_of_range", "Maximum number of attributes reached");
        }
        let definition = Definition {
            category: category.to_owned(),
            kind,
            enumeration: body.enumeration,
            options: body.multi_category_options,
            value: body.value,
        };
        self.0.insert(name.to_owned(), definition);
        Reply::empty(201)
    }

    /// The value as it is kept (none: it clears the attribute), or why Brevo ignores it.
    ///
    /// brevo: developers.brevo.com/reference/create-contact, "Values that don't match the
    /// attribute type will be ignored"; attributes "must be present in your account". How a value
    /// is cleared is not documented; the empty string does it here.
    pub(super) fn take(&self, name: &str, value: &AttributeValue) -> Result<Option<Value>, String> {
        let Some(definition) = self.0.get(name) else {
            return Err(match self.0.contains_key(&name.to_ascii_uppercase()) {
                true => format!("{name}: attribute names are upper case"),
                false => format!("{name}: no such attribute"),
            });
        };
        if name == "EXT_ID" {
            return Err(format!("{name}: written by the ext_id key only"));
        }
        let kind = definition.kind.as_str();
        let kept = match (kind, value) {
            (_, AttributeValue::Text(text)) if text.is_empty() => return Ok(None),
            ("text" | "user" | "id", AttributeValue::Text(text)) if text.chars().count() <= LONGEST_TEXT => {
                json!(text)
            }
            ("date", AttributeValue::Text(text)) if is_date(text) => json!(text),
            ("float", AttributeValue::Number(number))
                if number.as_f64().is_some_and(|number| number.abs() < LARGEST_NUMBER) =>
            {
                json!(number)
            }
            ("boolean", AttributeValue::Boolean(value)) => json!(value),
            ("multiple-choice", AttributeValue::Choices(choices))
                if choices.iter().all(|choice| definition.options.contains(choice)) =>
            {
                json!(choices)
            }
            ("category", AttributeValue::Text(text)) => {
                match definition.enumeration.iter().find(|item| &item.label == text) {
                    Some(item) => json!(item.label),
                    None => return Err(format!("{name}: no such label")),
                }
            }
            ("category", AttributeValue::Number(number)) => {
                match definition.enumeration.iter().find(|item| number.as_i64() == Some(item.value)) {
                    Some(item) => json!(item.label),
                    None => return Err(format!("{name}: no such value")),
                }
            }
            _ => {
                let kind = if kind.is_empty() { definition.category.as_str() } else { kind };
                return Err(format!("{name}: the value is none of type {kind}"));
            }
        };
        Ok(Some(kept))
    }
}

/// brevo: `yyyy-mm-dd` by developers.brevo.com/docs/other-common-questions, 1900 to 2050 by
/// help.brevo.com 10582214160274.
fn is_date(text: &str) -> bool {
    parse_day(text).is_some() && ("1900-01-01"..="2050-12-31").contains(&text)
}

/// The digits of a number in one of the documented forms: `91xxxxxxxxxx`, `+91xxxxxxxxxx`,
/// `0091xxxxxxxxxx` (brevo: `POST /contacts`). Length by E.164.
pub(super) fn phone(text: &str) -> Option<String> {
    let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00")).unwrap_or(text);
    let fits = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then(|| digits.to_owned())
}

/// A plain check: one `@`, a dot in the domain, nothing that needs quotes.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |part: &str| part.chars().all(|c| c.is_alphanumeric() || ".-_+%'".contains(c));
    !local.is_empty()
        && plain(local)
        && plain(domain)
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
        && text.len() <= 254
}
