//! What catalog items, campaigns, flows and alerts become at Brevo, where the settings say so.

use std::collections::BTreeSet;

use moengage_connector::{Action, HttpRequest, Mapping, Position, Record, Settings, Subject, configure};
use serde_json::{Value, json};

use crate::inventory::{answered, samples, unit, vendor};
use crate::reach::Memory;
use crate::rule_settings::{problems, these};
use crate::{Lines, NOW, map, map_record, parse, plain_settings};

/// Settings that read all of it, with this block.
fn settings_of(objects: Value) -> Value {
    let mut settings = plain_settings();
    settings["catalogs"] = json!({"shop": ["P1"]});
    settings["alerts"] = json!(true);
    settings["objects"] = objects;
    settings
}

fn settings(objects: Value) -> Settings {
    parse(&settings_of(objects))
}

/// A record of the documented shape.
fn record(resource: &str, change: impl FnOnce(&mut Value)) -> Record {
    let settings = settings(json!({}));
    let mut record = if resource == "alerts" {
        let mut request = crate::request(include_str!("golden/alerts.json"));
        request.surface = "alerts".to_owned();
        crate::reach::handle_webhook(&settings, &request).unwrap().records.remove(0)
    } else {
        let answer = match resource {
            "campaigns" => include_str!("golden/campaigns.json").to_owned(),
            other => samples()[other].get().to_owned(),
        };
        let mut http = vendor(move |_: &HttpRequest| answered(200, answer.clone()));
        let position = (Position::Start, 1_000, NOW);
        let page = unit(&settings, resource, &mut http, &mut Memory::default(), position).unwrap();
        page.records.into_iter().next().unwrap()
    };
    let mut body: Value = serde_json::from_str(&record.body).unwrap();
    change(&mut body);
    record.body = body.to_string();
    record
}

fn action(settings: &Settings, record: &Record) -> Action {
    let mut actions = crate::actions(settings, record);
    assert_eq!(actions.len(), 1);
    actions.remove(0)
}

fn payload(settings: &Settings, record: &Record) -> Value {
    serde_json::from_str(&action(settings, record).payload).unwrap()
}

fn nothing(settings: &Settings, record: &Record) -> String {
    match map(settings, record).unwrap() {
        Mapping::Nothing(why) => why,
        Mapping::Actions(actions) => panic!("{actions:?}"),
    }
}

#[test]
fn without_the_block_nothing_has_a_target() {
    for objects in [json!({}), json!({"products": {}})] {
        let settings = settings(objects.clone());
        for resource in ["campaigns", "flows", "alerts", "segments", "catalog-items"] {
            let record = record(resource, |_| {});
            match map(&settings, &record).unwrap() {
                Mapping::Nothing(why) => assert_eq!(why, "no-target", "{resource}"),
                Mapping::Actions(_) => assert!(resource == "catalog-items" && objects != json!({})),
            }
        }
    }
}

#[test]
fn catalog_items_become_products() {
    let settings = settings(json!({"products": {}}));
    let record = record("catalog-items", |_| {});
    let action = action(&settings, &record);
    assert_eq!((action.slot.as_str(), action.name.as_str()), ("product", "brevo/upsert-product"));
    assert_eq!(action.subject, Subject::Object("catalog-item".to_owned(), "shop/P1".to_owned()));
    assert_eq!(
        payload(&settings, &record),
        json!({
            "id": "P1", "name": "string", "url": "https://link.in/", "image_url": "https://link.in/", "price": 29.99
        })
    );
}

#[test]
fn the_tenant_says_which_field_is_what_of_a_product() {
    let settings = settings(json!({"products": {"field_mapping": {
        "title": "name", "article": "sku", "cost": "price", "kind": "categories", "parent": "parent_id",
        "brand": "meta_info.brand", "in_stock": "meta_info.stock", "currency": "meta_info.currency",
    }}}));
    let full = record("catalog-items", |body| {
        body["attributes"] = json!({
            "article": 4711.0, "cost": " 12.50", "kind": ["shoes", "sale"], "brand": "ACME", "in_stock": true,
            "parent": null
        });
    });
    assert_eq!(
        payload(&settings, &full),
        json!({
            "id": "P1", "name": "string", "sku": "4711", "price": 12.50, "categories": ["shoes", "sale"],
            "meta_info": {"brand": "ACME", "stock": true, "currency": "USD"},
        })
    );
    // What doesn't fit is left out and said so; what is missing is left out.
    let odd = record("catalog-items", |body| {
        body["attributes"] = json!({"cost": "cheap", "kind": "shoes", "article": " ", "brand": [1]});
    });
    let mut lines = Lines::default();
    map_record(&settings, &odd, NOW, &mut lines).unwrap();
    assert_eq!(lines.0.len(), 3, "{:?}", lines.0);
    assert_eq!(
        payload(&settings, &odd),
        json!({"id": "P1", "name": "string", "categories": ["shoes"], "meta_info": {"currency": "USD"}})
    );
    for title in [json!(null), json!(" "), json!([1])] {
        let nameless = record("catalog-items", |body| body["title"] = title.clone());
        assert_eq!(nothing(&settings, &nameless), "product-without-name", "{title}");
    }
}

#[test]
fn campaigns_and_flows_become_custom_objects() {
    let settings = settings(json!({
        "campaigns": {},
        "flows": {"type": "journey", "field_mapping": {"name": "title", "archived": "put_away", "created_at": "since"}},
    }));
    let campaign = record("campaigns", |body| {
        *body = json!({
            "campaign_id": "62", "id": "62", "name": "Spring", "status": "sent", "tags": ["a", "b"], "version": 2,
            "created_at": 1_653_022_310_123_i64, "sent_at": null,
        });
    });
    let action = action(&settings, &campaign);
    assert_eq!((action.slot.as_str(), action.name.as_str()), ("object", "brevo/upsert-object"));
    assert!(matches!(&action.subject, Subject::Object(kind, _) if kind == "campaign"));
    assert_eq!(
        payload(&settings, &campaign),
        json!({
            "type": "moengage_campaign", "ext_id": "62",
            "attributes": {
                "id": "62", "name": "Spring", "status": "sent", "tags": "a, b", "version": 2,
                "created_at": "2022-05-20T04:51:50Z",
            },
        })
    );
    let flow = record("flows", |body| {
        *body = json!({"flow_id": "f1", "name": "Onboarding", "archived": false, "created_at": 0, "status": "active"});
    });
    assert_eq!(
        payload(&settings, &flow),
        json!({
            "type": "journey", "ext_id": "f1",
            "attributes": {"title": "Onboarding", "put_away": false, "since": "1970-01-01T00:00:00Z"},
        })
    );
    let bare = record("flows", |body| *body = json!({"flow_id": "f1", "name": null}));
    assert_eq!(nothing(&settings, &bare), "object-without-attributes");
    // The documented answers fit without a word.
    for resource in ["campaigns", "flows"] {
        assert!(!payload(&settings, &record(resource, |_| {}))["attributes"].as_object().unwrap().is_empty());
    }
}

#[test]
fn an_object_can_have_every_field_of_its_record_and_no_other() {
    for (key, resource) in [("campaigns", "campaigns"), ("flows", "flows")] {
        let profile = configure(&settings_of(json!({})).to_string()).unwrap();
        let spec = profile.resources.iter().find(|spec| spec.name == resource).unwrap();
        let schema: Value = serde_json::from_str(&spec.schema).unwrap();
        let fields: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let with = |field: &str| settings_of(json!({key: {"field_mapping": {field: "x"}}}));
        for field in &fields {
            assert!(configure(&with(field).to_string()).is_ok(), "{key} {field}");
        }
        assert_eq!(
            problems(&with("colour")),
            these([(&format!("objects.{key}.field_mapping.colour"), "unknown-field")])
        );
    }
}

#[test]
fn alerts_become_notes_or_tasks() {
    let alert = record("alerts", |_| {});
    let note = settings(json!({"alerts": "note"}));
    let made = action(&note, &alert);
    assert_eq!((made.slot.as_str(), made.name.as_str()), ("alert", "brevo/add-note"));
    assert_eq!(made.not_after, Some(1_742_601_540_000 + 86_400_000));
    assert_eq!(
        payload(&note, &alert),
        json!({"text": "<p><b>MoEngage alert: Delivery Rate Breach</b><br>CAMPAIGN_STATS<br>DELIVERY_RATE gt 10 percentage\
            <br>Spring sale: EMAIL 70.5<br>Welcome: PUSH 12</p>"})
    );
    let task = settings(json!({"alerts": {"as": "task", "type": "Call", "due_in": "2h"}}));
    assert_eq!(action(&task, &alert).name, "brevo/create-task");
    assert_eq!(
        payload(&task, &alert),
        json!({
            "name": "MoEngage alert: Delivery Rate Breach", "type": "Call", "due_in": 7200,
            "notes": "CAMPAIGN_STATS\nDELIVERY_RATE gt 10 percentage\nSpring sale: EMAIL 70.5\nWelcome: PUSH 12",
        })
    );
    let plain = settings(json!({"alerts": "task"}));
    let made = payload(&plain, &alert);
    assert_eq!((&made["type"], &made["due_in"]), (&json!("Todo"), &json!(86_400)));
}

#[test]
fn an_alert_says_what_there_is_and_is_no_mark_up() {
    let note = settings(json!({"alerts": "note"}));
    let bare = record("alerts", |body| *body = json!({"alert_id": "a<1", "entities": []}));
    assert_eq!(payload(&note, &bare), json!({"text": "<p><b>MoEngage alert: a&lt;1</b></p>"}));
    let long = record("alerts", |body| {
        let entities: Vec<_> =
            (0..25).map(|n| json!({"campaign_name": "", "flow_name": format!("f{n}")})).collect();
        *body = json!({"alert_id": "a", "name": "\"&'", "entities": entities, "criteria": {"name": null}});
    });
    let text = payload(&note, &long)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("<p><b>MoEngage alert: &quot;&amp;&#39;</b><br>f0<br>f1<br>"), "{text}");
    assert!(text.ends_with("<br>f19<br>and 5 more</p>"), "{text}");
    let task = settings(json!({"alerts": "task"}));
    assert!(payload(&task, &bare).get("notes").is_none());
}

#[test]
fn a_body_of_somebody_else_is_a_typed_failure() {
    let settings = settings(json!({"products": {}, "campaigns": {}, "flows": {}, "alerts": "note"}));
    for resource in ["catalog-items", "campaigns", "flows", "alerts"] {
        let mut other = record(resource, |_| {});
        for body in ["", "[]", "{"] {
            other.body = body.to_owned();
            assert_eq!(map(&settings, &other).unwrap_err().code, "bad-record-body", "{resource} {body}");
        }
    }
}

#[test]
fn every_problem_of_objects_at_once() {
    let mut settings = settings_of(json!({
        "products": {"field_mapping": {"link": "url", "z": "url", "b": "colour", "c": "meta_info."}, "from": "x"},
        "campaigns": {"type": "My Campaign", "field_mapping": {"name": "Name", "cost": "cost"}},
        "flows": {"field_mapping": {}, "schema": 1},
        "alerts": "mail",
        "offers": {},
    }));
    assert_eq!(
        problems(&settings),
        these([
            ("objects.products.field_mapping.z", "duplicate-attribute"),
            ("objects.products.field_mapping.b", "unknown-product-field"),
            ("objects.products.field_mapping.c", "unknown-product-field"),
            ("objects.products.field_mapping.title", "missing-key"),
            ("objects.products.from", "unknown-key"),
            ("objects.campaigns.type", "bad-object-type"),
            ("objects.campaigns.field_mapping.name", "bad-attribute-name"),
            ("objects.campaigns.field_mapping.cost", "unknown-field"),
            ("objects.flows.field_mapping", "missing-key"),
            ("objects.flows.schema", "unknown-key"),
            ("objects.alerts", "unknown-choice"),
            ("objects.offers", "unknown-key"),
        ])
    );
    settings["objects"] = json!({"alerts": {"type": "Call", "due_in": "soon", "who": "me"}});
    assert_eq!(problems(&settings), these([("objects.alerts.due_in", "bad-duration")]));
    settings["objects"] = json!({"alerts": {"type": "Call", "who": "me"}});
    assert_eq!(
        problems(&settings),
        these([("objects.alerts.who", "unknown-key"), ("objects.alerts.as", "missing-key")])
    );
}

#[test]
fn what_is_not_read_can_become_nothing() {
    let mut settings = plain_settings();
    settings["keys"] = json!({"data": "data"});
    settings["objects"] = json!({"products": {}, "campaigns": {}, "flows": {}, "alerts": "note"});
    let found = ["alerts", "campaigns", "flows", "products"]
        .map(|key| (format!("objects.{key}"), "nothing-to-read".to_owned()));
    assert_eq!(problems(&settings), found);
    // A product is told by its id alone.
    let mut settings = settings_of(json!({"products": {}}));
    settings["catalogs"] = json!({"shop": ["P1", "P2"], "outlet": ["P2", "P3"]});
    assert_eq!(problems(&settings), these([("catalogs.shop", "duplicate-product")]));
    settings["objects"] = json!({});
    assert!(configure(&settings.to_string()).is_ok());
}
