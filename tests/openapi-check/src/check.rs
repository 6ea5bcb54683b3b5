//! One exchange against a description.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::Violation;
use crate::document::Document;
use crate::exchange::{Exchange, header, media_type};
use crate::operation::Operation;
use crate::schema::standing_alone;

/// Headers that belong to HTTP and to the transport, not to an API.
const OF_HTTP: [&str; 18] = [
    "accept",
    "accept-encoding",
    "accept-ranges",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "host",
    "if-match",
    "if-none-match",
    "range",
    "server",
    "transfer-encoding",
    "user-agent",
];

/// Holds exchanges against one description.
pub struct Checker<'a> {
    document: &'a Document,
    strict: bool,
}

/// An operation, and the values of its path's variables.
type Match<'a> = (Operation<'a>, BTreeMap<String, String>);

/// Where violations are written down.
struct Found {
    call: String,
    all: Vec<Violation>,
}

impl Found {
    fn add(&mut self, rule: &'static str, at: impl Into<String>, detail: impl Into<String>) {
        let violation = Violation { call: self.call.clone(), rule, at: at.into(), detail: detail.into() };
        if !self.all.contains(&violation) {
            self.all.push(violation);
        }
    }
}

impl<'a> Checker<'a> {
    /// `strict`: an answer may hold nothing that the description does not name.
    pub fn new(document: &'a Document, strict: bool) -> Self {
        Self { document, strict }
    }

    /// Everything about an exchange that is not as described.
    ///
    /// # Errors
    /// The description itself is broken: a reference that leads nowhere, a schema that is none.
    pub fn check(&self, exchange: &Exchange) -> Result<Vec<Violation>, String> {
        let call = match &exchange.webhook {
            Some(name) => format!("{} webhook {name}", exchange.method),
            None => format!("{} {}", exchange.method, exchange.path),
        };
        let mut found = Found { call, all: Vec::new() };
        if let Some((operation, variables)) = self.operation(exchange, &mut found)? {
            if exchange.webhook.is_none() {
                found.call = operation.name();
            }
            if !exchange.answer_only {
                self.parameters(&operation, &variables, exchange, &mut found)?;
                self.request_body(&operation, exchange, &mut found)?;
                self.security(&operation, exchange, &mut found);
            }
            if !exchange.request_only {
                self.answer(&operation, exchange, &mut found)?;
            }
        }
        Ok(found.all)
    }

    fn operation(&self, exchange: &Exchange, found: &mut Found) -> Result<Option<Match<'a>>, String> {
        if let Some(name) = &exchange.webhook {
            let all = self.document.webhooks()?;
            let hook = all.into_iter().find(|hook| hook.path == *name && hook.method == exchange.method);
            if hook.is_none() {
                found.add("no-such-webhook", "request", "the description has no such webhook");
            }
            return Ok(hook.map(|hook| (hook, BTreeMap::new())));
        }
        let fitting: Vec<_> = self
            .document
            .operations()?
            .into_iter()
            .filter_map(|operation| {
                let (literal, variables) = operation.matches(&exchange.path)?;
                Some((literal, operation, variables))
            })
            .collect();
        if fitting.is_empty() {
            found.add("no-such-path", "request/path", "the description has no such path");
            return Ok(None);
        }
        let best = fitting
            .into_iter()
            .filter(|(_, operation, _)| operation.method == exchange.method)
            .max_by_key(|(literal, ..)| *literal);
        if best.is_none() {
            found.add("no-such-method", "request/method", "the path is described, the method is not");
        }
        Ok(best.map(|(_, operation, variables)| (operation, variables)))
    }

    fn parameters(
        &self,
        operation: &Operation<'_>,
        variables: &BTreeMap<String, String>,
        exchange: &Exchange,
        found: &mut Found,
    ) -> Result<(), String> {
        for parameter in operation.parameters_in("path") {
            let name = name_of(parameter);
            let given: Vec<&str> = variables.get(name).map(String::as_str).into_iter().collect();
            self.parameter(parameter, "path", &given, found)?;
        }
        let mut queries = BTreeSet::new();
        for parameter in operation.parameters_in("query") {
            let name = name_of(parameter);
            queries.insert(name.to_owned());
            let given: Vec<&str> = exchange
                .query
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .collect();
            self.parameter(parameter, "query", &given, found)?;
        }
        for (name, _) in exchange.query.iter().filter(|(name, _)| !queries.contains(name)) {
            found.add("undocumented-query", format!("request/query/{name}"), "no such query parameter");
        }
        let mut headers: BTreeSet<String> = self.headers_of_schemes(operation);
        for parameter in operation.parameters_in("header") {
            let name = name_of(parameter).to_ascii_lowercase();
            // A credential is not recorded.
            if !headers.contains(&name) {
                let given: Vec<&str> = header(&exchange.headers, &name).into_iter().collect();
                self.parameter(parameter, "headers", &given, found)?;
            }
            headers.insert(name);
        }
        for (name, _) in &exchange.headers {
            if !headers.contains(name) && !OF_HTTP.contains(&name.as_str()) {
                found.add("undocumented-header", format!("request/headers/{name}"), "no such header");
            }
        }
        Ok(())
    }

    fn parameter(
        &self,
        parameter: &Value,
        place: &str,
        given: &[&str],
        found: &mut Found,
    ) -> Result<(), String> {
        let name = name_of(parameter);
        let at = format!("request/{place}/{name}");
        if given.is_empty() {
            if parameter["required"] == true {
                found.add("missing-parameter", at, "it is required");
            }
            return Ok(());
        }
        let schema = self.document.resolve(&parameter["schema"])?;
        let value = match schema["type"].as_str() {
            Some("array") => {
                let kind = self.document.resolve(&schema["items"])?["type"].as_str().unwrap_or_default();
                Value::Array(given.iter().map(|text| typed(text, kind)).collect())
            }
            kind => typed(given[0], kind.unwrap_or_default()),
        };
        self.against(&parameter["schema"], &value, false, "bad-parameter", &at, found)
    }

    fn request_body(
        &self,
        operation: &Operation<'_>,
        exchange: &Exchange,
        found: &mut Found,
    ) -> Result<(), String> {
        let described =
            operation.node.get("requestBody").map(|body| self.document.resolve(body)).transpose()?;
        let Some(described) = described else {
            if !exchange.body.is_empty() {
                found.add("undocumented-body", "request/body", "the call has no body");
            }
            return Ok(());
        };
        if exchange.body.is_empty() {
            if described["required"] == true {
                found.add("missing-body", "request/body", "it is required");
            }
            return Ok(());
        }
        self.content(&described["content"], &exchange.headers, &exchange.body, "request", false, found)
    }

    fn answer(
        &self,
        operation: &Operation<'_>,
        exchange: &Exchange,
        found: &mut Found,
    ) -> Result<(), String> {
        let status = exchange.status.to_string();
        let answers = &operation.node["responses"];
        let range = format!("{}XX", &status[..1]);
        let described =
            [status.as_str(), range.as_str(), "default"].into_iter().find_map(|key| answers.get(key));
        let Some(described) = described else {
            found.add("undocumented-status", format!("answer/status/{status}"), "no such status");
            return Ok(());
        };
        let described = self.document.resolve(described)?;
        self.answer_headers(described, exchange, &status, found)?;
        let at = format!("answer/{status}");
        // Some vendors write an empty map where there is no body.
        match described
            .get("content")
            .filter(|content| content.as_object().is_none_or(|types| !types.is_empty()))
        {
            Some(content) if !exchange.answer.is_empty() => {
                self.content(content, &exchange.answer_headers, &exchange.answer, &at, self.strict, found)
            }
            Some(_) => {
                found.add("missing-body", format!("{at}/body"), "the status is described with a body");
                Ok(())
            }
            None if exchange.answer.is_empty() => Ok(()),
            None => {
                found.add(
                    "undocumented-body",
                    format!("{at}/body"),
                    "the status is described without a body",
                );
                Ok(())
            }
        }
    }

    fn answer_headers(
        &self,
        described: &Value,
        exchange: &Exchange,
        status: &str,
        found: &mut Found,
    ) -> Result<(), String> {
        let mut known = BTreeSet::new();
        for (name, node) in described["headers"].as_object().into_iter().flatten() {
            let node = self.document.resolve(node)?;
            known.insert(name.to_ascii_lowercase());
            let at = format!("answer/{status}/headers/{}", name.to_ascii_lowercase());
            match header(&exchange.answer_headers, name) {
                Some(value) => {
                    let kind = self.document.resolve(&node["schema"])?["type"].as_str().unwrap_or_default();
                    self.against(&node["schema"], &typed(value, kind), false, "bad-header", &at, found)?;
                }
                None if node["required"] == true => found.add("missing-header", at, "it is required"),
                None => (),
            }
        }
        for (name, _) in exchange.answer_headers.iter().filter(|_| self.strict) {
            if !known.contains(name) && !OF_HTTP.contains(&name.as_str()) {
                let at = format!("answer/{status}/headers/{name}");
                found.add("undocumented-header", at, "no such header");
            }
        }
        Ok(())
    }

    fn content(
        &self,
        content: &Value,
        headers: &[(String, String)],
        body: &str,
        at: &str,
        closed: bool,
        found: &mut Found,
    ) -> Result<(), String> {
        let Some(media_type) = media_type(headers) else {
            found.add("media-type", format!("{at}/body"), "a body without a content type");
            return Ok(());
        };
        let Some(described) = content.get(&media_type).or_else(|| content.get("*/*")) else {
            found.add("media-type", format!("{at}/body"), format!("{media_type} is not described"));
            return Ok(());
        };
        let Some(schema) = described.get("schema") else { return Ok(()) };
        let value = if media_type.ends_with("json") {
            match serde_json::from_str(body) {
                Ok(value) => value,
                Err(e) => {
                    found.add("not-json", format!("{at}/body"), e.to_string());
                    return Ok(());
                }
            }
        } else {
            Value::String(body.to_owned())
        };
        self.against(schema, &value, closed, "body", &format!("{at}/body"), found)
    }

    fn against(
        &self,
        schema: &Value,
        value: &Value,
        closed: bool,
        rule: &'static str,
        at: &str,
        found: &mut Found,
    ) -> Result<(), String> {
        let schema = standing_alone(self.document, schema, closed)?;
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|e| format!("{at}: {e}"))?;
        let errors: Vec<_> = validator.iter_errors(value).collect();
        let places: Vec<String> = errors.iter().map(|error| error.instance_path().to_string()).collect();
        for (error, place) in errors.iter().zip(&places) {
            // A member that fails counts as one that no schema knows: it is named once, as itself.
            let inner = |other: &String| other.len() > place.len() && other.starts_with(&format!("{place}/"));
            if error.kind().keyword() == "unevaluatedProperties" && places.iter().any(inner) {
                continue;
            }
            let place = plain(place);
            let detail = format!("{}: {}", error.kind().keyword(), shortened(&error.to_string()));
            found.add(rule, format!("{at}{place}"), detail);
        }
        Ok(())
    }

    /// Headers that carry a credential of one of the operation's schemes.
    fn headers_of_schemes(&self, operation: &Operation<'_>) -> BTreeSet<String> {
        let alternatives = operation.security.and_then(Value::as_array).into_iter().flatten();
        alternatives
            .filter_map(Value::as_object)
            .flatten()
            .filter_map(|(name, _)| self.document.security_scheme(name))
            .filter(|scheme| scheme["type"] == "apiKey" && scheme["in"] == "header")
            .map(|scheme| name_of(scheme).to_ascii_lowercase())
            .collect()
    }

    fn security(&self, operation: &Operation<'_>, exchange: &Exchange, found: &mut Found) {
        let authorization = header(&exchange.headers, "authorization");
        let Some(alternatives) = operation.security.and_then(Value::as_array) else {
            if authorization.is_some() {
                found.add("security", "request/headers/authorization", "the call needs no credential");
            }
            return;
        };
        let proved = |name: &str| {
            let Some(scheme) = self.document.security_scheme(name) else { return false };
            match (scheme["type"].as_str(), scheme["in"].as_str()) {
                (Some("http"), _) => {
                    let wanted = scheme["scheme"].as_str().unwrap_or_default();
                    let given = authorization.and_then(|value| value.split(' ').next()).unwrap_or_default();
                    given.eq_ignore_ascii_case(wanted)
                }
                (Some("apiKey"), Some("header")) => header(&exchange.headers, name_of(scheme)).is_some(),
                (Some("apiKey"), Some("query")) => {
                    exchange.query.iter().any(|(key, _)| key == name_of(scheme))
                }
                (Some("oauth2" | "openIdConnect"), _) => {
                    authorization.is_some_and(|value| value.starts_with("Bearer"))
                }
                _ => false,
            }
        };
        let each = |all: &Value| all.as_object().is_some_and(|all| all.keys().all(|name| proved(name)));
        if !alternatives.iter().any(each) {
            found.add("security", "request/headers/authorization", "none of the described schemes");
        }
    }
}

fn name_of(node: &Value) -> &str {
    node["name"].as_str().unwrap_or_default()
}

/// A text as the type that it is described with, if it can be read as that.
fn typed(text: &str, kind: &str) -> Value {
    let number = || serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    match (kind, text) {
        ("integer" | "number", _) => number().unwrap_or_else(|| json!(text)),
        ("boolean", "true") => json!(true),
        ("boolean", "false") => json!(false),
        _ => json!(text),
    }
}

/// A place in a body with `*` for the numbers of list entries.
fn plain(pointer: &str) -> String {
    let parts = pointer.split('/').map(|part| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whole answers are not repeated in a message.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(300) {
        Some((at, _)) => format!("{}...", &message[..at]),
        None => message.to_owned(),
    }
}
