//! A value as MoEngage has it to a value that a Brevo attribute takes. Strict: Brevo drops a value
//! of the wrong type in silence, so what can't be converted is left out and said so; it never
//! clears anything.
//!
//! Missing, null and empty stay three things: what is missing is left alone, and what null and an
//! empty value do is the mapping's word.

mod day;
mod number;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::{Object, Scalar, elements, whole_number};
use crate::settings::{AttributeMapping, AttributeType, Conversion};

/// Brevo's texts have at most 10,000 characters (Brevo help 10582214160274).
const MAX_TEXT: usize = 10_000;

/// A value that Brevo takes. Null clears the attribute.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    Text(Cow<'a, str>),
    Number(Exact<'a>),
}

/// A number as it was written.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Exact<'a>(Cow<'a, RawValue>);

impl PartialEq for Exact<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// What a mapping makes of a person's attributes.
#[derive(Debug, PartialEq)]
pub enum Converted<'a> {
    Value(Value<'a>),
    /// It is missing, or the mapping says that it is to be kept: the attribute is left alone.
    Nothing,
    /// It can't be what the mapping wants: the attribute is left alone as well.
    Unusable,
}

/// Applies one mapping to a person's attributes.
pub fn attribute<'a>(mapping: &AttributeMapping, attributes: &Object<'a>) -> Converted<'a> {
    match named(attributes, &mapping.from) {
        Some(raw) => value(mapping, raw),
        None => Converted::Nothing,
    }
}

/// The attribute of that name; else, where the name has dots, the member of an object attribute.
/// Objects have at most two levels (MD:api/data/data-overview.mdx).
fn named<'a>(attributes: &Object<'a>, name: &str) -> Option<&'a RawValue> {
    if let Some(raw) = attributes.raw(name) {
        return Some(raw);
    }
    let mut parts = name.split('.');
    let mut raw = attributes.raw(parts.next()?)?;
    for part in parts {
        if Scalar::is_null(raw) {
            break;
        }
        raw = Object::parse(raw.get())?.raw(part)?;
    }
    Some(raw)
}

/// A value on its way.
enum Step<'a> {
    Raw(&'a RawValue),
    Text(Cow<'a, str>),
    Number(Box<RawValue>),
    Boolean(bool),
    Day(String),
}

fn value<'a>(mapping: &AttributeMapping, raw: &'a RawValue) -> Converted<'a> {
    let cleared = |cleared: bool| match cleared {
        true => Converted::Value(Value::Null),
        false => Converted::Nothing,
    };
    if Scalar::is_null(raw) {
        return cleared(mapping.clear_on_null);
    }
    let mut step = Step::Raw(raw);
    for conversion in &mapping.convert {
        // That a list holds nothing is a number: 0.
        let counts = *conversion == Conversion::Count && Scalar::of(raw) == Scalar::Compound;
        if !counts && is_empty(&step, mapping.kind) {
            break;
        }
        step = match convert(*conversion, step) {
            Some(next) => next,
            None => return Converted::Unusable,
        };
    }
    if is_empty(&step, mapping.kind) {
        return match mapping.kind {
            // At Brevo an empty text is no value.
            AttributeType::Text if mapping.clear_on_empty => Converted::Value(Value::Text(Cow::Borrowed(""))),
            _ => cleared(mapping.clear_on_empty),
        };
    }
    finish(mapping.kind, step).map_or(Converted::Unusable, Converted::Value)
}

/// True for an empty text or list; a blank text is no number, day or truth either.
fn is_empty(step: &Step<'_>, kind: AttributeType) -> bool {
    let empty = |text: &str| match kind {
        AttributeType::Text => text.is_empty(),
        _ => text.trim().is_empty(),
    };
    match step {
        Step::Text(text) => empty(text),
        Step::Raw(raw) => match Scalar::of(raw) {
            Scalar::Text(text) => empty(&text),
            Scalar::Compound => items(raw).is_some_and(|items| items.is_empty()),
            _ => false,
        },
        Step::Number(_) | Step::Boolean(_) | Step::Day(_) => false,
    }
}

/// The elements of a list that are not null.
fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    let mut items = elements(raw.get())?;
    items.retain(|item| !Scalar::is_null(item));
    Some(items)
}

fn convert<'a>(conversion: Conversion, step: Step<'a>) -> Option<Step<'a>> {
    use Conversion as C;
    let list = |step: &Step<'a>| match step {
        Step::Raw(raw) => items(raw),
        _ => None,
    };
    Some(match conversion {
        C::First => Step::Raw(list(&step)?.into_iter().next()?),
        C::Last => Step::Raw(list(&step)?.into_iter().next_back()?),
        C::Count => Step::Number(number::json(list(&step)?.len().to_string())?),
        C::Join => Step::Text(Cow::Owned(joined(&list(&step)?)?)),
        C::Trim => Step::Text(match text(step)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        }),
        C::Lower => Step::Text(Cow::Owned(text(step)?.to_lowercase())),
        C::Upper => Step::Text(Cow::Owned(text(step)?.to_uppercase())),
        C::BooleanWords => Step::Boolean(truth(step)?),
        C::DecimalPoint | C::DecimalComma if is_number(&step) => step,
        C::DecimalPoint => Step::Number(number::grouped(&text(step)?, '.')?),
        C::DecimalComma => Step::Number(number::grouped(&text(step)?, ',')?),
        C::Round => Step::Number(number::rounded(&digits(&step)?, 0)?),
        C::Round2 => Step::Number(number::rounded(&digits(&step)?, 2)?),
        C::EpochSeconds => Step::Day(day::of_epoch(&digits(&step)?, 1000)?),
        C::EpochMilliseconds => Step::Day(day::of_epoch(&digits(&step)?, 1)?),
        C::DayMonthYear => Step::Day(day::written(&text(step)?, [2, 1, 0])?),
        C::MonthDayYear => Step::Day(day::written(&text(step)?, [2, 0, 1])?),
        C::YearMonthDay => Step::Day(day::written(&text(step)?, [0, 1, 2])?),
    })
}

/// The elements, a comma and a space between them. MoEngage's lists hold one type
/// (MD:api/data/data-overview.mdx), and texts and numbers make a text.
fn joined(items: &[&RawValue]) -> Option<String> {
    let mut joined = String::new();
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            joined.push_str(", ");
        }
        joined.push_str(&text(Step::Raw(item))?);
    }
    Some(joined)
}

/// A text, or a number as one.
fn text(step: Step<'_>) -> Option<Cow<'_, str>> {
    let number = |number: &str| whole_number(number).map_or_else(|| number.to_owned(), Cow::into_owned);
    match step {
        Step::Text(text) => Some(text),
        Step::Number(json) => Some(Cow::Owned(number(json.get()))),
        Step::Raw(raw) => match Scalar::of(raw) {
            Scalar::Text(text) => Some(text),
            // MoEngage exports ids as floats; as a text only the number meant makes sense.
            Scalar::Number(number) => Some(whole_number(number).unwrap_or(Cow::Borrowed(number))),
            Scalar::Null | Scalar::Bool(_) | Scalar::Compound => None,
        },
        Step::Boolean(_) | Step::Day(_) => None,
    }
}

fn is_number(step: &Step<'_>) -> bool {
    match step {
        Step::Raw(raw) => matches!(Scalar::of(raw), Scalar::Number(_)),
        Step::Number(_) => true,
        _ => false,
    }
}

/// A number, or a text that is one.
fn digits(step: &Step<'_>) -> Option<String> {
    match step {
        Step::Raw(raw) => match Scalar::of(raw) {
            Scalar::Number(number) => Some(number.to_owned()),
            Scalar::Text(text) => number::plain(&text),
            _ => None,
        },
        Step::Text(text) => number::plain(text),
        Step::Number(json) => Some(json.get().to_owned()),
        Step::Boolean(_) | Step::Day(_) => None,
    }
}

/// The words in which MoEngage's exports and its users write a boolean.
fn truth(step: Step<'_>) -> Option<bool> {
    match &step {
        Step::Boolean(value) => return Some(*value),
        Step::Raw(raw) => {
            if let Scalar::Bool(value) = Scalar::of(raw) {
                return Some(value);
            }
        }
        _ => {}
    }
    match text(step)?.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The value as its type wants it.
fn finish(kind: AttributeType, step: Step<'_>) -> Option<Value<'_>> {
    match kind {
        AttributeType::Text => {
            let text = text(step)?;
            (text.chars().count() <= MAX_TEXT).then_some(Value::Text(text))
        }
        AttributeType::Boolean => match step {
            Step::Boolean(value) => Some(Value::Boolean(value)),
            Step::Raw(raw) if Scalar::of(raw) == Scalar::Bool(true) => Some(Value::Boolean(true)),
            Step::Raw(raw) if Scalar::of(raw) == Scalar::Bool(false) => Some(Value::Boolean(false)),
            step => match text(step)?.as_ref() {
                "true" => Some(Value::Boolean(true)),
                "false" => Some(Value::Boolean(false)),
                _ => None,
            },
        },
        AttributeType::Number => {
            let number = match step {
                Step::Raw(raw) if matches!(Scalar::of(raw), Scalar::Number(_)) => Cow::Borrowed(raw),
                step => Cow::Owned(number::json(digits(&step)?)?),
            };
            number::fitting(number).map(Exact).map(Value::Number)
        }
        AttributeType::Date => match step {
            Step::Day(day) => Some(Value::Text(Cow::Owned(day))),
            Step::Raw(raw) => day::iso(&Scalar::of(raw).text()?).map(|day| Value::Text(Cow::Owned(day))),
            Step::Text(text) => day::iso(&text).map(|day| Value::Text(Cow::Owned(day))),
            Step::Number(_) | Step::Boolean(_) => None,
        },
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
