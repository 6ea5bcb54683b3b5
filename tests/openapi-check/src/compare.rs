//! Two descriptions of the same calls.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::document::Document;
use crate::operation::Operation;
use crate::schema::members;

/// Levels of members that are compared.
const DEEPEST: usize = 12;

/// A point on which the two differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Method and path as ours has it.
    pub call: String,
    /// Where, for instance `answer/200/data/flows/*/status`.
    pub at: String,
    /// What.
    pub what: String,
}

/// How the calls that both describe differ, sorted. A call that only one of them has is no
/// difference, and neither is how far ours goes into a member that it leaves open.
pub fn compare(ours: &Document, theirs: &Document) -> Vec<Difference> {
    let mut found = BTreeSet::new();
    let (Ok(mine), Ok(others)) = (ours.operations(), theirs.operations()) else { return Vec::new() };
    for own in &mine {
        let shape = |operation: &Operation<'_>| -> Vec<String> {
            let plain = |template: String| {
                let parts = template.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
                format!("{} {}", operation.method, parts.collect::<Vec<_>>().join("/"))
            };
            operation.templates().into_iter().map(plain).collect()
        };
        let same = others.iter().find(|other| shape(own).iter().any(|one| shape(other).contains(one)));
        let Some(other) = same else { continue };
        let mut pair = Pair { ours, theirs, call: own.name(), found: &mut found };
        pair.parameters(own, other);
        pair.bodies(own, other);
        pair.answers(own, other);
    }
    found.into_iter().collect()
}

struct Pair<'a> {
    ours: &'a Document,
    theirs: &'a Document,
    call: String,
    found: &'a mut BTreeSet<Difference>,
}

/// Which way a schema points: what ours sends has to be allowed by theirs, and what theirs answers
/// has to be known to ours.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Request,
    Answer,
}

impl Pair<'_> {
    fn add(&mut self, at: &str, what: impl Into<String>) {
        self.found.insert(Difference { call: self.call.clone(), at: at.to_owned(), what: what.into() });
    }

    fn parameters(&mut self, own: &Operation<'_>, other: &Operation<'_>) {
        for place in ["query", "header"] {
            let name =
                |parameter: &Value| parameter["name"].as_str().unwrap_or_default().to_ascii_lowercase();
            let own: Vec<&Value> = own.parameters_in(place).collect();
            let other: Vec<&Value> = other.parameters_in(place).collect();
            for parameter in &own {
                let at = format!("request/{place}/{}", name(parameter));
                match other.iter().find(|other| name(other) == name(parameter)) {
                    None => self.add(&at, "only ours has it"),
                    Some(other) => self.schemas(&at, &parameter["schema"], &other["schema"], Way::Request, 0),
                }
            }
            for parameter in other.iter().filter(|other| other["required"] == true) {
                if !own.iter().any(|own| name(own) == name(parameter) && own["required"] == true) {
                    self.add(&format!("request/{place}/{}", name(parameter)), "theirs requires it");
                }
            }
        }
    }

    fn bodies(&mut self, own: &Operation<'_>, other: &Operation<'_>) {
        match (own.node.get("requestBody"), other.node.get("requestBody")) {
            (Some(own), Some(other)) => self.contents("request/body", own, other, Way::Request),
            (Some(_), None) => self.add("request/body", "only ours has it"),
            (None, Some(_)) => self.add("request/body", "only theirs has it"),
            (None, None) => (),
        }
    }

    fn answers(&mut self, own: &Operation<'_>, other: &Operation<'_>) {
        let statuses = |operation: &Operation<'_>| -> Vec<(String, Value)> {
            let all = operation.node["responses"].as_object().into_iter().flatten();
            all.map(|(status, node)| (status.clone(), node.clone())).collect()
        };
        let (own, other) = (statuses(own), statuses(other));
        for (status, node) in &own {
            let at = format!("answer/{status}");
            match other.iter().find(|(other, _)| other.eq_ignore_ascii_case(status)) {
                None => self.add(&at, "only ours has it"),
                Some((_, other)) => self.contents(&at, node, other, Way::Answer),
            }
        }
        for (status, _) in &other {
            if !own.iter().any(|(own, _)| own.eq_ignore_ascii_case(status)) {
                self.add(&format!("answer/{status}"), "only theirs has it");
            }
        }
    }

    fn contents(&mut self, at: &str, own: &Value, other: &Value, way: Way) {
        let (Ok(own), Ok(other)) = (self.ours.resolve(own), self.theirs.resolve(other)) else { return };
        let media = |node: &Value| -> Vec<(String, Value)> {
            let all = node["content"].as_object().into_iter().flatten();
            all.map(|(kind, node)| (kind.clone(), node["schema"].clone())).collect()
        };
        let (own, other) = (media(own), media(other));
        for (kind, schema) in &own {
            match other.iter().find(|(other, _)| other == kind) {
                None => self.add(at, format!("only ours has {kind}")),
                Some((_, other)) => self.schemas(at, schema, other, way, 0),
            }
        }
        for (kind, _) in &other {
            if !own.iter().any(|(own, _)| own == kind) {
                self.add(at, format!("only theirs has {kind}"));
            }
        }
    }

    fn schemas(&mut self, at: &str, own: &Value, other: &Value, way: Way, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let (own_types, other_types) = (types(self.ours, own), types(self.theirs, other));
        if !own_types.is_empty() && !other_types.is_empty() {
            let missing = |from: &BTreeSet<String>, of: &BTreeSet<String>| -> Vec<String> {
                let within =
                    |kind: &String| of.contains(kind) || (kind == "integer" && of.contains("number"));
                from.iter().filter(|kind| !within(kind)).cloned().collect()
            };
            let lacking = match way {
                Way::Request => missing(&own_types, &other_types),
                Way::Answer => missing(&other_types, &own_types),
            };
            if !lacking.is_empty() {
                let whose = if way == Way::Request { "theirs does not allow" } else { "ours does not know" };
                self.add(at, format!("{whose} the type {}", lacking.join(", ")));
            }
        }
        let (own_values, other_values) = (values(self.ours, own), values(self.theirs, other));
        if let (Some(own), Some(other)) = (&own_values, &other_values) {
            let lacking: Vec<String> = match way {
                Way::Request => own.difference(other).cloned().collect(),
                Way::Answer => other.difference(own).cloned().collect(),
            };
            if !lacking.is_empty() {
                let whose = if way == Way::Request { "theirs does not allow" } else { "ours does not know" };
                self.add(at, format!("{whose} {}", lacking.join(", ")));
            }
        }
        let (Ok(own_members), Ok(other_members)) = (members(self.ours, own), members(self.theirs, other))
        else {
            return;
        };
        if !own_members.is_empty() && !other_members.is_empty() {
            let named = |all: &[(&str, &Value)], name: &str| -> Vec<Value> {
                all.iter().filter(|(key, _)| *key == name).map(|(_, schema)| (*schema).clone()).collect()
            };
            let names: BTreeSet<&str> =
                own_members.iter().chain(&other_members).map(|(name, _)| *name).collect();
            for name in names {
                let (mine, others) = (named(&own_members, name), named(&other_members, name));
                let at = format!("{at}/{name}");
                match (mine.is_empty(), others.is_empty()) {
                    (false, true) => self.add(&at, "only ours has it"),
                    (true, false) if way == Way::Answer => self.add(&at, "only theirs has it"),
                    (true, false) => (),
                    _ => {
                        // A member that several parts name is one: of theirs all, of ours the first.
                        let other = match others.len() {
                            1 => others.into_iter().next().unwrap_or_default(),
                            _ => serde_json::json!({"allOf": others}),
                        };
                        let own = mine.into_iter().next().unwrap_or_default();
                        self.schemas(&at, &own, &other, way, depth + 1);
                    }
                }
            }
        }
        if way == Way::Request {
            let own = required(self.ours, own);
            for name in required(self.theirs, other).into_iter().filter(|name| !own.contains(name)) {
                self.add(&format!("{at}/{name}"), "theirs requires it");
            }
        }
        for (key, step) in [("items", "*"), ("additionalProperties", "{}")] {
            let inner = |document: &Document, schema: &Value| -> Option<Value> {
                Some(document.resolve(schema).ok()?.get(key).filter(|inner| inner.is_object())?.clone())
            };
            if let (Some(own), Some(other)) = (inner(self.ours, own), inner(self.theirs, other)) {
                self.schemas(&format!("{at}/{step}"), &own, &other, way, depth + 1);
            }
        }
    }
}

/// Types that a schema or its parts allow; empty where it says nothing.
fn types(document: &Document, schema: &Value) -> BTreeSet<String> {
    let Ok(schema) = document.resolve(schema) else { return BTreeSet::new() };
    let mut all = BTreeSet::new();
    match &schema["type"] {
        Value::String(one) => {
            all.insert(one.clone());
        }
        Value::Array(several) => all.extend(several.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => (),
    }
    for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
        all.extend(types(document, part));
    }
    if schema["nullable"] == true {
        all.insert("null".to_owned());
    }
    all
}

/// Values that a schema enumerates.
fn values(document: &Document, schema: &Value) -> Option<BTreeSet<String>> {
    let schema = document.resolve(schema).ok()?;
    if let Some(all) = schema["enum"].as_array() {
        return Some(all.iter().filter(|value| !value.is_null()).map(Value::to_string).collect());
    }
    if let Some(one) = schema.get("const") {
        return Some([one.to_string()].into());
    }
    ["allOf", "oneOf", "anyOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
        .find_map(|part| values(document, part))
}

fn required(document: &Document, schema: &Value) -> BTreeSet<String> {
    let Ok(schema) = document.resolve(schema) else { return BTreeSet::new() };
    let mut all: BTreeSet<String> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        all.extend(required(document, part));
    }
    all
}
