//! Schemas of a description as JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use crate::document::Document;

/// Keywords that hold one schema.
const ONE: [&str; 10] = [
    "additionalProperties",
    "items",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
];
/// Keywords that hold schemas by name.
const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Keywords that hold a list of schemas.
const LISTED: [&str; 4] = ["allOf", "oneOf", "anyOf", "prefixItems"];
/// Keywords that are taken over as they are.
const PLAIN: [&str; 16] = [
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
];

/// A schema that stands by itself: references are resolved into it. One that leads back into
/// itself is checked one turn deep.
///
/// `closed` refuses members that no part of the schema names, wherever it names some and does not
/// say itself what becomes of others.
///
/// # Errors
/// A reference that leads nowhere.
pub fn standing_alone(document: &Document, schema: &Value, closed: bool) -> Result<Value, String> {
    Translation { document, closed, open: Vec::new() }.schema(schema, false)
}

struct Translation<'a> {
    document: &'a Document,
    closed: bool,
    /// References that are being resolved.
    open: Vec<String>,
}

impl Translation<'_> {
    /// `part` is true for a part of an `allOf` and the like: the whole says what is left over.
    fn schema(&mut self, schema: &Value, part: bool) -> Result<Value, String> {
        let Some(object) = schema.as_object() else { return Ok(schema.clone()) };
        let Some(reference) = object.get("$ref").and_then(Value::as_str) else {
            return self.object(object, part);
        };
        let target = if self.open.iter().any(|open| open == reference) {
            Value::Bool(true)
        } else {
            self.open.push(reference.to_owned());
            let target = self.document.target(reference)?.clone();
            // Beside a reference 3.0 knows nothing, 3.1 everything.
            let alone = self.document.old || object.len() == 1;
            let target = self.schema(&target, part || !alone)?;
            self.open.pop();
            if alone {
                return Ok(target);
            }
            target
        };
        let mut beside = object.clone();
        beside.remove("$ref");
        let mut whole = match self.object(&beside, true)? {
            Value::Object(whole) => whole,
            other => return Ok(other),
        };
        let parts = whole.entry("allOf").or_insert_with(|| json!([]));
        if let Some(parts) = parts.as_array_mut() {
            parts.push(target);
        }
        self.close(&mut whole, part);
        Ok(Value::Object(whole))
    }

    fn object(&mut self, object: &Map<String, Value>, part: bool) -> Result<Value, String> {
        let mut out = Map::new();
        for key in PLAIN {
            if let Some(value) = object.get(key) {
                out.insert(key.to_owned(), value.clone());
            }
        }
        for key in ONE {
            if let Some(value) = object.get(key) {
                out.insert(key.to_owned(), self.schema(value, false)?);
            }
        }
        for key in NAMED {
            let Some(named) = object.get(key).and_then(Value::as_object) else { continue };
            let mut schemas = Map::new();
            for (name, value) in named {
                schemas.insert(name.clone(), self.schema(value, false)?);
            }
            out.insert(key.to_owned(), Value::Object(schemas));
        }
        for key in LISTED {
            let Some(listed) = object.get(key).and_then(Value::as_array) else { continue };
            let part = key != "prefixItems";
            let schemas: Result<Vec<Value>, String> =
                listed.iter().map(|one| self.schema(one, part)).collect();
            out.insert(key.to_owned(), Value::Array(schemas?));
        }
        // Some vendors write `required: true` on a property, which means nothing.
        if let Some(required @ Value::Array(_)) = object.get("required") {
            out.insert("required".to_owned(), required.clone());
        }
        if let Some(kind) = object.get("type") {
            out.insert("type".to_owned(), kind.clone());
        }
        for (key, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
            match object.get(key) {
                // 3.0: the bound itself is out.
                Some(Value::Bool(true)) => {
                    if let Some(value) = out.remove(bound) {
                        out.insert(key.to_owned(), value);
                    }
                }
                Some(number @ Value::Number(_)) => {
                    out.insert(key.to_owned(), number.clone());
                }
                _ => (),
            }
        }
        self.close(&mut out, part);
        if self.document.old && object.get("nullable") == Some(&Value::Bool(true)) {
            return Ok(json!({"anyOf": [{"type": "null"}, out]}));
        }
        Ok(Value::Object(out))
    }

    fn close(&self, schema: &mut Map<String, Value>, part: bool) {
        let said =
            ["additionalProperties", "unevaluatedProperties"].iter().any(|key| schema.contains_key(*key));
        if self.closed && !part && !said && names_members(schema) {
            let parts = LISTED[..3].iter().any(|key| schema.contains_key(*key));
            let keyword = if parts { "unevaluatedProperties" } else { "additionalProperties" };
            schema.insert(keyword.to_owned(), Value::Bool(false));
        }
    }
}

/// Whether a schema, or a part of it, names members.
fn names_members(schema: &Map<String, Value>) -> bool {
    let parts = LISTED[..3].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
    schema.contains_key("properties") || parts.filter_map(Value::as_object).any(names_members)
}

/// Members of a schema and of its parts, with every schema that is given for each.
///
/// # Errors
/// A reference that leads nowhere.
pub fn members<'a>(document: &'a Document, schema: &'a Value) -> Result<Vec<(&'a str, &'a Value)>, String> {
    let schema = document.resolve(schema)?;
    let mut all: Vec<(&str, &Value)> = Vec::new();
    for (name, value) in schema["properties"].as_object().into_iter().flatten() {
        all.push((name, value));
    }
    for part in LISTED[..3].iter().filter_map(|key| schema[*key].as_array()).flatten() {
        all.extend(members(document, part)?);
    }
    Ok(all)
}
