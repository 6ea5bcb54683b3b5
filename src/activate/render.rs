//! Templates and values to the texts and JSON of a payload.

use super::facts::Facts;
use super::properties;
use crate::json::to_json;
use crate::settings::field::Field;
use crate::settings::rule_actions::{Value, Values};
use crate::settings::template::{Part, Template};

/// Why an action of a rule is not made. It never goes out half empty.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmade {
    /// A field of a template is missing, null or blank, and has no default.
    FieldMissing(String),
    /// More than Brevo takes.
    TooLarge,
}

impl Unmade {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FieldMissing(_) => "template-field-missing",
            Self::TooLarge => "rule-payload-too-large",
        }
    }
}

/// What a value becomes before it stands in a text.
pub type Escape = fn(&str) -> String;

/// The text of a template.
pub fn text(template: &Template, facts: &Facts<'_>, escape: Escape) -> Result<String, Unmade> {
    let mut out = String::new();
    for part in &template.0 {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Field { field, default } => {
                let found = facts.get(field).filter(|found| !found.is_blank());
                match (found.and_then(|found| found.word()), default) {
                    (Some(word), _) => out.push_str(&escape(&word)),
                    (None, Some(default)) => out.push_str(&escape(default)),
                    (None, None) => return Err(missing(field)),
                }
            }
        }
    }
    Ok(out)
}

/// Values as a JSON object. A template that is one field and nothing else keeps what it is: a
/// number, a list, an object; in the keys within it, only what Brevo takes in keys.
pub fn object(values: &Values, facts: &Facts<'_>, most_bytes: usize) -> Result<String, Unmade> {
    let mut members = Vec::with_capacity(values.len());
    for (name, value) in values {
        members.push(format!("{}:{}", to_json(name), json(value, facts)?));
    }
    let json = format!("{{{}}}", members.join(","));
    if json.len() > most_bytes { Err(Unmade::TooLarge) } else { Ok(json) }
}

fn json(value: &Value, facts: &Facts<'_>) -> Result<String, Unmade> {
    let template = match value {
        Value::Literal(json) => return Ok(json.clone()),
        Value::Template(template) => template,
    };
    let [Part::Field { field, default }] = template.0.as_slice() else {
        return text(template, facts, plain).map(|text| to_json(&text));
    };
    match (facts.get(field).filter(|found| !found.is_blank()), default) {
        (Some(super::facts::Found::Raw(raw)), _) => Ok(properties::written(raw)),
        (Some(super::facts::Found::Text(text)), _) => Ok(to_json(&text)),
        (None, Some(default)) => Ok(to_json(default)),
        (None, None) => Err(missing(field)),
    }
}

fn missing(field: &Field) -> Unmade {
    Unmade::FieldMissing(field.name())
}

/// As it is.
pub fn plain(text: &str) -> String {
    text.to_owned()
}

/// For HTML, in text and in quoted values of attributes.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::model::Person;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_is_escaped_can_be_mark_up(name in any::<String>()) {
            let person = Person { email: Some(name.clone()), ..Person::default() };
            let facts = Facts { person: &person, event: None, contact: None, list: None, moment: 0 };
            let template = Template::parse("<p>{{ contact.email }}</p>").unwrap();
            match text(&template, &facts, html) {
                Ok(text) => {
                    let inside = text.strip_prefix("<p>").unwrap().strip_suffix("</p>").unwrap();
                    prop_assert!(!inside.contains(['<', '>', '"', '\'']));
                    let back = inside.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
                    prop_assert_eq!(back.replace("&#39;", "'").replace("&amp;", "&"), name);
                }
                Err(unmade) => {
                    prop_assert!(name.trim().is_empty());
                    prop_assert_eq!(unmade, Unmade::FieldMissing("contact.email".to_owned()));
                }
            }
        }
    }
}
