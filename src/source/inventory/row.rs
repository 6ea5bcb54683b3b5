//! A row of an answer and what becomes of it: body, key, record, and the schema of all three.

use serde_json::value::RawValue;

use super::item::{Column, Item, Parent, Shape, Whom};
use crate::json::{self, Object, Scalar, elements, to_json, whole_number};
use crate::model::ids::record_id;
use crate::model::{
    MAX_BODY_BYTES, Millis, Nature, Observation, Occurrence, Person, Provenance, Record, Subject, TimeTrust,
};
use crate::settings::Settings;
use crate::source::notes::{Notes, Notice};
use crate::source::refusal::{Refusal, refusal};
use crate::source::time::{self, Unit};
use crate::source::{digest, identity};

/// Rank of what a poll sees. No other door has these things.
const RANK: u8 = 10;

const REPORT: &str = "Report it with the payload: MoEngage documents this otherwise.";

/// What tells a row from the others of the list: its key, or where it has none all of it.
pub fn name(item: &Item, row: &RawValue) -> u64 {
    let object = Object::parse(row.get()).unwrap_or_default();
    let mut name = digest::of(item.name.as_bytes());
    for field in item.key {
        let column = item.columns.iter().find(|column| column.to == *field);
        // What is the same for all rows of a list tells none from another.
        let Some(column) =
            column.filter(|column| !column.from.starts_with('{') && !matches!(column.shape, Shape::Fixed(_)))
        else {
            continue;
        };
        let Some(value) = at(&object, column.from) else { return digest::of(row.get().as_bytes()) };
        name = digest::on(name, value.get().as_bytes());
    }
    name
}

/// The record of a row, as it was seen in a run, and the name by which others find it again.
pub fn record(
    settings: &Settings,
    item: &Item,
    parent: &Parent,
    row: &RawValue,
    (run, now): (Millis, Millis),
    notes: &mut Notes,
) -> Result<(Record, String), Refusal> {
    json::check(row.get())?;
    let Some(object) = Object::parse(row.get()) else {
        return Err(refusal("row-not-object", "A row of the list is not a JSON object.", REPORT));
    };
    let mut key = Vec::with_capacity(item.key.len());
    for field in item.key {
        let column = item.columns.iter().find(|column| column.to == *field);
        let value = match column {
            Some(column) => key_part(&object, parent, column)?,
            None => None,
        };
        key.push(value.ok_or(refusal(
            "missing-key",
            "A row has no id, so nobody knows what it is about.",
            REPORT,
        ))?);
    }
    let (key, name) = (joined(&key), escaped(&key));
    let too_long = Refusal::from(identity::Unusable::TooLong);
    let id = record_id(&settings.workspace(), item.kind, &key).ok_or(too_long)?;
    let body = body(item.columns, &object, parent, notes);
    if body.len() > MAX_BODY_BYTES {
        return Err(refusal("row-too-large", "What is kept of a row is larger than 256 KiB.", REPORT));
    }
    let subject = match (item.subject, parent.ids.first()) {
        (Whom::Person, Some(uid)) => {
            Subject::Person(Person { external_id: Some(uid.clone()), ..Person::default() })
        }
        _ => Subject::Object(item.kind.to_owned(), key.clone()),
    };
    let record = Record {
        id,
        kind: item.kind.to_owned(),
        nature: Nature::State,
        subject,
        // The run is a part of it: paused, active and paused again is three observations.
        observation: Observation {
            id: format!("{}.{run}.{:016x}", item.name, digest::of(body.as_bytes())),
            rank: RANK,
        },
        // What a poll sees is so now; a time of change that MoEngage gives stands in the body.
        occurred: Occurrence { at: Some(now), trust: TimeTrust::Arrival },
        body,
        provenance: Provenance::Poll,
    };
    Ok((record, name))
}

/// Parts of a key as one text, so that no two different lists of parts give the same.
fn joined(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        several => escaped(several),
    }
}

fn escaped(parts: &[String]) -> String {
    let escaped = parts.iter().map(|part| part.replace('%', "%25").replace('/', "%2F"));
    escaped.collect::<Vec<_>>().join("/")
}

/// The parts of a name that [`record`] gave.
pub fn parts(name: &str) -> Vec<String> {
    name.split('/').map(|part| part.replace("%2F", "/").replace("%25", "%")).collect()
}

fn key_part(object: &Object<'_>, parent: &Parent, column: &Column) -> Result<Option<String>, Refusal> {
    if let Some(id) = of_parent(parent, column.from) {
        return Ok(Some(id.to_owned()));
    }
    if let Shape::Fixed(text) = column.shape {
        return Ok(Some(text.to_owned()));
    }
    let raw = at(object, column.from);
    let id = identity::id(raw.map(Scalar::of))?.map(|id| id.into_owned());
    Ok(match column.shape {
        // A word is the same in whichever case it came.
        Shape::Word => id.map(|id| word(&id)),
        _ => id,
    })
}

/// The id that `{n}` stands for.
pub fn of_parent<'p>(parent: &'p Parent, from: &str) -> Option<&'p str> {
    let n = from.strip_prefix('{')?.strip_suffix('}')?;
    parent.ids.get(n.parse::<usize>().ok()?).map(String::as_str)
}

/// The value at the first of some paths that is there.
fn at<'a>(object: &Object<'a>, paths: &str) -> Option<&'a RawValue> {
    paths.split('|').find_map(|path| below(object, path))
}

fn below<'a>(object: &Object<'a>, path: &str) -> Option<&'a RawValue> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = object.raw(first)?;
    if rest.is_empty() { Some(value) } else { below(&Object::parse(value.get())?, rest) }
}

/// What is kept of a row, as JSON. What is missing is left out, null stays null, empty stays empty.
fn body(columns: &[Column], object: &Object<'_>, parent: &Parent, notes: &mut Notes) -> String {
    let mut members = Vec::with_capacity(columns.len());
    for column in columns {
        let value = match (of_parent(parent, column.from), column.shape) {
            (Some(id), _) => Some(to_json(&id)),
            (None, Shape::Fixed(text)) => Some(to_json(&text)),
            (None, Shape::Others(known)) => Some(others(object, known)),
            (None, shape) => at(object, column.from).and_then(|raw| {
                if Scalar::is_null(raw) {
                    return Some("null".to_owned());
                }
                let value = value(shape, raw, parent, notes);
                if value.is_none() {
                    notes.add(Notice::UnreadableField);
                }
                value
            }),
        };
        if let Some(value) = value {
            members.push(format!("\"{}\":{value}", column.to));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// The value as JSON; nothing where it is not of that shape.
fn value(shape: Shape, raw: &RawValue, parent: &Parent, notes: &mut Notes) -> Option<String> {
    let scalar = Scalar::of(raw);
    match shape {
        Shape::Text => scalar.text().map(|text| to_json(&text)),
        Shape::Id => match identity::id(Some(scalar)) {
            Ok(Some(id)) => Some(to_json(&id)),
            // Blank is empty, and empty is something.
            Ok(None) => Some("\"\"".to_owned()),
            Err(_) => None,
        },
        Shape::Word => scalar.text().map(|text| to_json(&word(&text))),
        Shape::Time => scalar.text().and_then(|text| time::instant(&text)).map(|at| at.to_string()),
        Shape::Day => scalar
            .text()
            .and_then(|text| time::day(&text).or_else(|| time::instant(&text)))
            .map(|at| at.to_string()),
        Shape::Seconds => time::epoch(Some(scalar), Unit::Seconds).map(|at| at.to_string()),
        Shape::Flag => matches!(scalar, Scalar::Bool(_)).then(|| raw.get().to_owned()),
        Shape::Count => match scalar {
            Scalar::Number(number) => {
                whole_number(number).filter(|number| number.parse::<u64>().is_ok()).map(|n| n.into_owned())
            }
            _ => None,
        },
        Shape::Number => match scalar {
            Scalar::Number(number) => Some(number.to_owned()),
            _ => None,
        },
        Shape::Texts => {
            let texts = elements(raw.get())?.into_iter().map(|item| match Scalar::of(item) {
                // The values that a chart is split by are of any type (OpenAPI of analytics).
                Scalar::Number(number) => Some(number.into()),
                other => other.text(),
            });
            texts.collect::<Option<Vec<_>>>().map(|texts| to_json(&texts))
        }
        Shape::Rows(columns) => {
            let rows = elements(raw.get())?.into_iter().map(|row| Object::parse(row.get()));
            let rows = rows.collect::<Option<Vec<_>>>()?;
            let rows: Vec<_> = rows.iter().map(|row| body(columns, row, parent, notes)).collect();
            Some(format!("[{}]", rows.join(",")))
        }
        Shape::Others(_) | Shape::Fixed(_) => None,
    }
}

/// Members of the row that have no column, as far as they are one word each.
fn others(object: &Object<'_>, known: &[&str]) -> String {
    let own =
        object.entries().filter(|(key, raw)| !known.contains(key) && Scalar::of(raw) != Scalar::Compound);
    let members: Vec<_> = own.map(|(key, raw)| format!("{}:{}", to_json(&key), raw.get())).collect();
    format!("{{{}}}", members.join(","))
}

/// `GOOGLE ADS`, `Google_Ads` and `google ads` are one word.
fn word(text: &str) -> String {
    let parts = text.split([' ', '_', '-']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// The JSON Schema of a record's body, made from the columns that make the body.
pub fn schema(item: &Item) -> String {
    let object = object_schema(item.columns, item.key);
    format!(
        r#"{{"$schema":"https://json-schema.org/draft/2020-12/schema","title":{},{object}}}"#,
        to_json(&item.about)
    )
}

fn object_schema(columns: &[Column], required: &[&str]) -> String {
    let property = |column: &Column| {
        let is_key = required.contains(&column.to);
        let description = match column.about {
            "" => String::new(),
            about => format!(r#","description":{}"#, to_json(&about)),
        };
        let kind = |kind: &str| match is_key {
            true => format!(r#""type":"{kind}""#),
            false => format!(r#""type":["{kind}","null"]"#),
        };
        let shape = match column.shape {
            Shape::Text | Shape::Id | Shape::Word | Shape::Fixed(_) => kind("string"),
            Shape::Time | Shape::Day | Shape::Seconds | Shape::Count => kind("integer"),
            Shape::Flag => kind("boolean"),
            Shape::Number => kind("number"),
            Shape::Texts => format!(r#"{},"items":{{"type":"string"}}"#, kind("array")),
            Shape::Rows(columns) => {
                format!(r#"{},"items":{{{}}}"#, kind("array"), object_schema(columns, &[]))
            }
            Shape::Others(_) => r#""type":"object""#.to_owned(),
        };
        format!(r#""{}":{{{shape}{description}}}"#, column.to)
    };
    let properties: Vec<_> = columns.iter().map(property).collect();
    format!(
        r#""type":"object","required":{},"additionalProperties":false,"properties":{{{}}}"#,
        to_json(&required),
        properties.join(",")
    )
}
