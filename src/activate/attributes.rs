//! User attributes to Brevo attributes. Strict: Brevo drops a value of the wrong type in silence,
//! so what can't be converted is left out here and said so.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Log;
use crate::json::{Scalar, whole_number};
use crate::model::contact::ContactBody;
use crate::settings::{AttributeType, Settings};

/// Payload of `brevo/upsert-contact`. The addresses come from the subject.
#[derive(Serialize)]
pub struct UpsertContact<'a> {
    attributes: BTreeMap<&'a str, Value<'a>>,
}

/// A value that Brevo takes. Null clears the attribute; what is missing is left alone.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Null,
    Boolean(bool),
    Text(Cow<'a, str>),
    Number(Exact<'a>),
}

/// A number as it was written.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Exact<'a>(Cow<'a, RawValue>);

impl PartialEq for Exact<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// The mapped attributes of a contact.
pub fn payload<'a>(settings: &'a Settings, body: &ContactBody<'a>, log: &mut dyn Log) -> UpsertContact<'a> {
    let mut attributes = BTreeMap::new();
    for mapping in &settings.attributes {
        let Some(raw) = body.attributes.raw(&mapping.from) else { continue };
        match convert(mapping.kind, raw) {
            Some(value) => {
                attributes.insert(mapping.to.as_str(), value);
            }
            None => {
                log.warn(
                    "attribute left out: its value does not fit the type",
                    &[("attribute", &mapping.to)],
                );
            }
        }
    }
    UpsertContact { attributes }
}

fn convert(kind: AttributeType, raw: &RawValue) -> Option<Value<'_>> {
    let value = Scalar::of(raw);
    if value == Scalar::Null {
        return Some(Value::Null);
    }
    match kind {
        AttributeType::Text => text(value).map(Value::Text),
        AttributeType::Boolean => match value {
            Scalar::Bool(value) => Some(Value::Boolean(value)),
            Scalar::Text(text) if text == "true" => Some(Value::Boolean(true)),
            Scalar::Text(text) if text == "false" => Some(Value::Boolean(false)),
            _ => None,
        },
        AttributeType::Number => match value {
            Scalar::Number(number) if fits_number(number) => Some(Value::Number(Exact(Cow::Borrowed(raw)))),
            Scalar::Text(text) => {
                let number = RawValue::from_string(text.into_owned()).ok()?;
                let is_number = matches!(Scalar::of(&number), Scalar::Number(number) if fits_number(number));
                is_number.then_some(Value::Number(Exact(Cow::Owned(number))))
            }
            _ => None,
        },
        AttributeType::Date => match value {
            Scalar::Text(text) => day(&text).map(|day| Value::Text(Cow::Owned(day))),
            _ => None,
        },
    }
}

/// Brevo's texts have at most 10,000 characters (Brevo help 10582214160274).
fn text(value: Scalar<'_>) -> Option<Cow<'_, str>> {
    let text = match value {
        Scalar::Text(text) => text,
        // MoEngage exports ids as floats; as a text only the number meant makes sense.
        Scalar::Number(number) => whole_number(number).unwrap_or(Cow::Borrowed(number)),
        Scalar::Null | Scalar::Bool(_) | Scalar::Compound => return None,
    };
    (text.chars().count() <= 10_000).then_some(text)
}

/// Brevo's numbers have at most 15 digits (Brevo help 10582214160274).
fn fits_number(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    digits <= 15 && number.parse::<f64>().is_ok_and(|value| value.abs() < 1e15)
}

/// The day of an ISO 8601 date or date and time, as it is written, within what Brevo takes
/// (1900-01-01 to 2050-12-31, Brevo help 10582214160274).
fn day(text: &str) -> Option<String> {
    let (date, rest) = text.trim().split_at_checked(10)?;
    if !(rest.is_empty() || rest.starts_with(['T', ' '])) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| {
        let part = date.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok())?
    };
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    if date.get(4..5) != Some("-") || date.get(7..8) != Some("-") {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    ((1900..=2050).contains(&year) && (1..=days).contains(&day)).then(|| date.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn converted(kind: AttributeType, json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        convert(kind, raw).map(|value| crate::json::to_json(&value))
    }

    #[test]
    fn missing_null_and_empty_are_three_things() {
        assert_eq!(converted(AttributeType::Text, "null").as_deref(), Some("null"));
        assert_eq!(converted(AttributeType::Text, r#""""#).as_deref(), Some(r#""""#));
        assert_eq!(converted(AttributeType::Date, "null").as_deref(), Some("null"));
        assert_eq!(converted(AttributeType::Date, r#""""#), None);
    }

    #[test]
    fn values_fit_their_type_or_are_left_out() {
        use AttributeType as T;
        let cases = [
            (T::Text, "4000052183.0", Some("\"4000052183\"")),
            (T::Text, "1.5", Some("\"1.5\"")),
            (T::Text, "true", None),
            (T::Text, "[1]", None),
            (T::Number, "12.50", Some("12.50")),
            (T::Number, "\"12.5\"", Some("12.5")),
            (T::Number, "\"12,5\"", None),
            (T::Number, "\" \"", None),
            (T::Number, "1234567890123456", None),
            (T::Number, "1e20", None),
            (T::Boolean, "\"true\"", Some("true")),
            (T::Boolean, "1", None),
            (T::Date, "\"1990-05-20T10:00:00Z\"", Some("\"1990-05-20\"")),
            (T::Date, "\"1990-02-30\"", None),
            (T::Date, "\"1899-12-31\"", None),
            (T::Date, "\"20.05.1990\"", None),
            (T::Date, "\"1990-05-20x\"", None),
            (T::Date, "\"1990-0é-20\"", None),
        ];
        for (kind, json, expected) in cases {
            assert_eq!(converted(kind, json).as_deref(), expected, "{kind:?} {json}");
        }
    }
}
