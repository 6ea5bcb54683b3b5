//! Things of MoEngage that the settings give a place at Brevo: catalog items, campaigns, flows and
//! alerts.

use serde_json::value::RawValue;

use super::facts::Found;
use super::render::html;
use super::{Log, action_with, rules};
use crate::json::{Object, Scalar, elements, to_json, whole_number};
use crate::model::{ALERT, Action, CAMPAIGN, CATALOG_ITEM, FLOW, Mapping, Millis, Record};
use crate::settings::Settings;
use crate::settings::objects::{Alerts, CustomObject, ProductField, ProductPart};
use crate::source::naive;

/// Most campaigns and flows that a note or task about an alert names.
const MOST_ENTITIES: usize = 20;

/// What the settings make of a thing.
enum Wanted<'s> {
    Product(&'s [ProductField]),
    /// With the field that is its id.
    Object(&'s CustomObject, &'static str),
    Alert(&'s Alerts),
}

fn wanted<'s>(settings: &'s Settings, kind: &str) -> Option<Wanted<'s>> {
    let objects = &settings.objects;
    match kind {
        CATALOG_ITEM => objects.products.as_deref().map(Wanted::Product),
        CAMPAIGN => objects.campaigns.as_ref().map(|object| Wanted::Object(object, "campaign_id")),
        FLOW => objects.flows.as_ref().map(|object| Wanted::Object(object, "flow_id")),
        ALERT => objects.alerts.as_ref().map(Wanted::Alert),
        _ => None,
    }
}

/// What a thing becomes. None where the body is not one that this connector made.
pub fn map(settings: &Settings, record: &Record, now: Millis, log: &mut dyn Log) -> Option<Mapping> {
    let Some(wanted) = wanted(settings, &record.kind) else {
        // Brevo has nothing that it could become, or the settings don't want it there.
        return Some(Mapping::Nothing("no-target".to_owned()));
    };
    let body = Object::parse(&record.body)?;
    let action = match wanted {
        Wanted::Product(fields) => product(record, fields, &body, log),
        Wanted::Object(object, key) => custom_object(record, object, key, &body),
        Wanted::Alert(alerts) => Ok(alert(settings, record, alerts, &body, now)),
    };
    Some(match action {
        Ok(action) => Mapping::Actions(vec![action]),
        Err(why) => Mapping::Nothing(why.to_owned()),
    })
}

fn product(
    record: &Record,
    fields: &[ProductField],
    body: &Object<'_>,
    log: &mut dyn Log,
) -> Result<Action, &'static str> {
    let id = body.get("item_id").and_then(Scalar::text).ok_or("product-without-id")?;
    let own = body.raw("attributes").and_then(|raw| Object::parse(raw.get())).unwrap_or_default();
    let mut members = vec![format!(r#""id":{}"#, to_json(&id))];
    let (mut meta, mut named) = (Vec::new(), false);
    for field in fields {
        // A catalog's own attributes stand apart from those that every catalog has.
        let raw = body.raw(&field.from).or_else(|| own.raw(&field.from));
        let Some(raw) = raw.filter(|raw| !Scalar::is_null(raw)) else { continue };
        let found = Found::Raw(raw);
        let (name, json) = match &field.to {
            ProductPart::Text(name) => {
                let text = found.word().filter(|_| !found.is_blank()).map(|text| to_json(&text));
                named |= *name == "name" && text.is_some();
                (*name, text)
            }
            ProductPart::Price => ("price", found.number().map(|_| number(raw))),
            ProductPart::Categories => ("categories", categories(raw)),
            ProductPart::Meta(key) => {
                let json = found.word().map(|_| format!("{}:{}", to_json(key), raw.get()));
                match json {
                    Some(json) => meta.push(json),
                    None => left_out(&field.from, log),
                }
                continue;
            }
        };
        match json {
            Some(json) => members.push(format!(r#""{name}":{json}"#)),
            None => left_out(&field.from, log),
        }
    }
    if !named {
        return Err("product-without-name");
    }
    if !meta.is_empty() {
        members.push(format!(r#""meta_info":{{{}}}"#, meta.join(",")));
    }
    Ok(action_with(record, "product", "brevo/upsert-product", format!("{{{}}}", members.join(","))))
}

fn left_out(field: &str, log: &mut dyn Log) {
    log.warn("a field of a product is left out: its value does not fit", &[("field", field)]);
}

/// A number as it was written, also where that was as a text.
fn number(raw: &RawValue) -> String {
    match Scalar::of(raw) {
        Scalar::Text(text) => text.trim().to_owned(),
        _ => raw.get().to_owned(),
    }
}

/// One category, or a list of them.
fn categories(raw: &RawValue) -> Option<String> {
    let of = |raw| Found::Raw(raw).word().filter(|word| !word.trim().is_empty());
    let words = match elements(raw.get()) {
        Some(items) => items.into_iter().map(of).collect::<Option<Vec<_>>>()?,
        None => vec![of(raw)?],
    };
    Some(to_json(&words))
}

fn custom_object(
    record: &Record,
    object: &CustomObject,
    key: &str,
    body: &Object<'_>,
) -> Result<Action, &'static str> {
    let ext_id = body.get(key).and_then(Scalar::text).ok_or("object-without-id")?;
    let mut attributes = Vec::new();
    for (from, to) in &object.attributes {
        let value = body.raw(from).and_then(|raw| attribute(from, raw));
        attributes.extend(value.map(|value| format!("{}:{value}", to_json(to))));
    }
    if attributes.is_empty() {
        return Err("object-without-attributes");
    }
    let payload = format!(
        r#"{{"type":{},"ext_id":{},"attributes":{{{}}}}}"#,
        to_json(&object.object_type),
        to_json(&ext_id),
        attributes.join(","),
    );
    Ok(action_with(record, "object", "brevo/upsert-object", payload))
}

/// A field of a record as Brevo takes it: times as texts (OpenAPI `/objects/{type}/batch/upsert`),
/// lists of words as one text.
fn attribute(from: &str, raw: &RawValue) -> Option<String> {
    let time =
        |number: &str| whole_number(number)?.parse().ok().map(|at| to_json(&format!("{}Z", naive(at))));
    match Scalar::of(raw) {
        Scalar::Null => None,
        Scalar::Number(number) if from.ends_with("_at") => time(number),
        Scalar::Compound => {
            let words: Vec<_> =
                elements(raw.get())?.into_iter().filter_map(|raw| Found::Raw(raw).word()).collect();
            Some(to_json(&words.join(", ")))
        }
        Scalar::Text(_) | Scalar::Number(_) | Scalar::Bool(_) => Some(raw.get().to_owned()),
    }
}

fn alert(settings: &Settings, record: &Record, alerts: &Alerts, body: &Object<'_>, now: Millis) -> Action {
    let text = |key: &str| body.get(key).and_then(Scalar::text).filter(|text| !text.trim().is_empty());
    let title = text("name").or_else(|| text("alert_id")).unwrap_or_default();
    let title = format!("MoEngage alert: {title}");
    let mut lines: Vec<String> = text("type").map(|kind| kind.into_owned()).into_iter().collect();
    lines.extend(body.raw("criteria").and_then(criterion));
    let entities = body.raw("entities").and_then(|raw| elements(raw.get())).unwrap_or_default();
    lines.extend(entities.iter().take(MOST_ENTITIES).filter_map(|raw| entity(raw)));
    if entities.len() > MOST_ENTITIES {
        lines.push(format!("and {} more", entities.len() - MOST_ENTITIES));
    }
    let (name, payload) = match alerts {
        Alerts::Note => {
            let lines: String = lines.iter().map(|line| format!("<br>{}", html(line))).collect();
            let text = format!("<p><b>{}</b>{lines}</p>", html(&title));
            ("brevo/add-note", format!(r#"{{"text":{}}}"#, to_json(&text)))
        }
        Alerts::Task { kind, due_in } => {
            let notes = (!lines.is_empty()).then(|| lines.join("\n"));
            ("brevo/create-task", rules::task(&title, kind, *due_in, notes.as_deref()))
        }
    };
    let mut action = action_with(record, "alert", name, payload);
    let moment = record.occurred.vendor_time().unwrap_or(now);
    action.not_after = Some(moment.saturating_add(settings.options.max_event_age));
    action
}

/// `DELIVERY_RATE gt 10 percentage`
fn criterion(raw: &RawValue) -> Option<String> {
    let criteria = Object::parse(raw.get())?;
    words(&criteria, &["name", "operator", "threshold", "unit"])
}

/// `Spring sale: EMAIL 70.5`: a campaign or the flow that it is a step of, and its figure.
fn entity(raw: &RawValue) -> Option<String> {
    let entity = Object::parse(raw.get())?;
    let name = ["campaign_name", "flow_name", "campaign_id", "flow_id"];
    let name = name.into_iter().find_map(|key| words(&entity, &[key]))?;
    Some(match words(&entity, &["channel", "current_value"]) {
        Some(rest) => format!("{name}: {rest}"),
        None => name,
    })
}

/// The words under these keys that are there, joined; nothing where none is.
fn words(object: &Object<'_>, keys: &[&str]) -> Option<String> {
    let found = keys.iter().filter_map(|key| object.raw(key)).map(Found::Raw);
    let words: Vec<_> = found.filter(|found| !found.is_blank()).filter_map(Found::word).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
