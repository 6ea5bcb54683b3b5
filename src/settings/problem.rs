//! Reading settings so that every problem is found at once.

use std::borrow::Cow;

use crate::json::{Object, Scalar, elements, whole_number};
use serde_json::value::RawValue;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable, `lower-kebab-case`.
    pub code: String,
    /// A path into the settings; empty for the whole.
    pub path: String,
    /// What is wrong, one sentence. Never repeats a value that may be a secret.
    pub message: String,
    /// What the person has to do, one sentence.
    pub remedy: String,
}

/// Collects problems in the order in which they are met.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    // Cold and out of line, like all that nobody meets whose settings are right: it keeps the
    // component small.
    #[cold]
    #[inline(never)]
    pub fn add(&mut self, code: &str, path: &str, message: &str, remedy: &str) {
        self.0.push(Problem {
            code: code.to_owned(),
            path: path.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    #[cold]
    #[inline(never)]
    pub fn missing(&mut self, path: &str, remedy: &str) {
        self.add("missing-key", path, &format!("{path} is missing."), remedy);
    }

    #[cold]
    #[inline(never)]
    pub fn unknown_key(&mut self, path: &str, known: &[&str]) {
        let known = known.join(", ");
        self.add(
            "unknown-key",
            path,
            &format!("{path} is not a key of this connector."),
            &format!("Remove it or correct its name; known here: {known}."),
        );
    }

    #[cold]
    #[inline(never)]
    fn wrong_type(&mut self, path: &str, expected: &str, remedy: &str) {
        self.add("wrong-type", path, &format!("{path} is not {expected}."), remedy);
    }

    /// A text that is there and not empty. A number gets its own remedy: YAML reads `01` as 1.
    pub fn text<'a>(&mut self, path: &str, raw: &'a RawValue) -> Option<Cow<'a, str>> {
        match Scalar::of(raw) {
            Scalar::Text(text) if !text.is_empty() => return Some(text),
            Scalar::Text(_) => self.add(
                "empty-value",
                path,
                &format!("{path} is empty."),
                "Give it a value, or remove the key where it is optional.",
            ),
            Scalar::Number(_) | Scalar::Bool(_) => self.wrong_type(
                path,
                "a text",
                "Put the value in double quotes, so that YAML keeps it as it is written.",
            ),
            Scalar::Null | Scalar::Compound => self.wrong_type(path, "a text", "Write one text value."),
        }
        None
    }

    /// A text from a closed set.
    pub fn one_of<'a>(
        &mut self,
        path: &str,
        raw: &'a RawValue,
        code: &str,
        allowed: &[&str],
    ) -> Option<Cow<'a, str>> {
        let text = self.text(path, raw)?;
        if allowed.contains(&text.as_ref()) {
            return Some(text);
        }
        self.add(
            code,
            path,
            &format!("{path} is not one of the known values."),
            &format!("Use one of: {}.", allowed.join(", ")),
        );
        None
    }

    pub fn boolean(&mut self, path: &str, raw: &RawValue) -> Option<bool> {
        if let Scalar::Bool(value) = Scalar::of(raw) {
            return Some(value);
        }
        self.wrong_type(path, "true or false", "Write true or false without quotes.");
        None
    }

    /// A list that is not empty, each element with its path.
    pub fn list<'a>(&mut self, path: &str, raw: &'a RawValue) -> Vec<(String, &'a RawValue)> {
        let found = elements(raw.get()).unwrap_or_default();
        if found.is_empty() {
            self.wrong_type(path, "a list with something in it", "Write each of it behind a hyphen.");
        }
        found.into_iter().enumerate().map(|(n, raw)| (format!("{path}[{n}]"), raw)).collect()
    }

    /// A whole number from 1 on, as Brevo counts templates, lists and campaigns.
    pub fn number(&mut self, path: &str, raw: &RawValue, code: &str, what: &str) -> Option<u64> {
        let number = match Scalar::of(raw) {
            Scalar::Number(number) => whole_number(number).and_then(|number| number.parse().ok()),
            _ => None,
        };
        let number = number.filter(|number: &u64| (1..=1 << 53).contains(number));
        if number.is_none() {
            self.add(
                code,
                path,
                &format!("It is not the number of a {what}."),
                &format!("Write Brevo's number of the {what}, without quotes."),
            );
        }
        number
    }

    /// An object; where it is something else the problem is recorded.
    pub fn object<'a>(&mut self, path: &str, raw: &'a RawValue) -> Option<Object<'a>> {
        let object = Object::parse(raw.get());
        if object.is_none() {
            let found = if elements(raw.get()).is_some() { "It is a list now." } else { "" };
            let remedy = format!("Write keys and values, indented below it. {found}");
            self.wrong_type(path, "a block of keys", remedy.trim_end());
        }
        object
    }
}

/// The path of a key below another path.
pub fn below(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", crate::json::to_json(&key)),
    }
}
