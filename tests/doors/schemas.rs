//! What is declared is held against what is made: schemas, targets and the manifest.

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Http, HttpError, HttpRequest, HttpResponse, Mapping, Method, Object, Objects, PageRequest, Position,
    Reach, Settings, configure,
};
use serde_json::{Value, json};

use crate::reach::{Memory, NoObjects};
use crate::{NOW, body, event, map, plain, plain_settings, take};

/// As much of JSON Schema as the schemas use. An unknown keyword fails.
fn violations(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let ok = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => {
                let is = |kind: &str| match kind {
                    "object" => value.is_object(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "array" => value.is_array(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                match rule {
                    Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
                    kind => is(kind.as_str().unwrap()),
                }
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                assert_eq!(rule, &json!(false));
                value.as_object().unwrap().keys().all(|key| schema["properties"].get(key).is_some())
            }
            "properties" => {
                for (key, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        violations(schema, value, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    violations(rule, value, &format!("{at}/{index}"), found);
                }
                true
            }
            "pattern" => {
                assert_eq!(rule, r"^\+[1-9][0-9]{6,14}$");
                let digits = value.as_str().unwrap().strip_prefix('+').unwrap_or("");
                (7..=15).contains(&digits.len())
                    && !digits.starts_with('0')
                    && digits.bytes().all(|b| b.is_ascii_digit())
            }
            other => panic!("keyword {other}"),
        };
        if !ok {
            found.push(format!("{at}: {keyword}"));
        }
    }
}

/// A body against the schema of each door that its kind can come in by.
pub fn assert_fits_schema(kind: &str, body: &Value) {
    let profile = configure(&everything().to_string()).unwrap();
    let surfaces = profile.surfaces.iter().flat_map(|surface| &surface.schemas);
    let surfaces = surfaces.filter(|(name, _)| name == kind).map(|(_, schema)| schema);
    let resources =
        profile.resources.iter().filter(|resource| resource.kind == kind).map(|resource| &resource.schema);
    let schemas: Vec<_> = surfaces.chain(resources).collect();
    assert!(!schemas.is_empty(), "no schema for {kind}");
    let mut found = Vec::new();
    for schema in schemas {
        violations(&serde_json::from_str(schema).unwrap(), body, "", &mut found);
    }
    assert!(found.is_empty(), "{found:?} in {body}");
}

#[test]
fn real_bodies_fit_the_declared_schemas() {
    let full = event(json!({
        "user_attributes": {"moengage_user_id": "m", "u_em": "a@b.co", "u_mb": "+491701234567", "moe_unsubscribe": false,
            "moe_spam": false, "moe_hard_bounce": true, "moe_email_optin_status": "DOUBLE_OPTED_IN",
            "moe_sms_subscription": "subscribed", "moe_em_unsub_categories": ["Promotional"], "nested": {"a": [1, null]}},
        "event_attributes": {"moe_project_name": "shop", "moe_campaign_tags": ["a"]}
    }));
    let bare = event(json!({
        "event_uuid": "u", "event_name": null, "event_time": null, "event_type": null, "event_source": null,
        "email_id": null, "event_attributes": null, "user_attributes": null, "device_attributes": null
    }));
    let outcome = take(&plain(), &[full, bare]);
    assert_eq!(outcome.records.len(), 4);
    for record in &outcome.records {
        assert_fits_schema(&record.kind, &body(record));
    }
    // The schemas do refuse something.
    let mut found = Vec::new();
    let profile = configure(&plain_settings().to_string()).unwrap();
    let schema = serde_json::from_str(&profile.surfaces[0].schemas[0].1).unwrap();
    violations(&schema, &json!({"phone": "0170", "extra": 1}), "", &mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn every_action_stays_within_the_declared_targets() {
    let settings = plain();
    let targets = configure(&plain_settings().to_string()).unwrap().targets;
    let attributes = json!({"u_fn": "A", "u_ln": "B", "u_gd": "f", "u_bd": "1990-01-01", "x": 1});
    let codes = ["MOE_EMAIL_OPEN", "n_i_s", "Device Uninstall", "VIEW RADAR", "購入"];
    for code in codes {
        let outcome = take(&settings, &[event(json!({"event_code": code, "user_attributes": attributes}))]);
        for record in &outcome.records {
            let Mapping::Actions(actions) = map(&settings, record).unwrap() else { panic!("nothing") };
            for action in actions {
                let payload: Value = serde_json::from_str(&action.payload).unwrap();
                match action.name.as_str() {
                    "brevo/upsert-contact" => {
                        let names: Vec<_> = payload["attributes"].as_object().unwrap().keys().collect();
                        assert_eq!(names.len(), 4);
                        assert!(
                            names
                                .iter()
                                .all(|name| targets.attributes.iter().any(|target| target.name == **name))
                        );
                    }
                    "brevo/track-event" => {
                        let name = payload["event"].as_str().unwrap();
                        let prefix = targets.event_prefix.as_ref().unwrap();
                        assert!(
                            targets.events.iter().any(|event| event == name)
                                || name.starts_with(prefix.as_str())
                        );
                    }
                    other => panic!("{other}"),
                }
            }
        }
    }
}

struct Recorder(Vec<HttpRequest>);

impl Http for Recorder {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.0.push(request.clone());
        Ok(HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() })
    }
}

/// A file is asked for like anything else, only that the host keeps what comes.
impl Objects for Recorder {
    fn open(&mut self, endpoint: &str, path: &[String], _: Option<&str>) -> Result<Object, HttpError> {
        self.0.push(HttpRequest {
            endpoint: endpoint.to_owned(),
            method: Method::Get,
            path: path.to_vec(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        });
        NoObjects.open(endpoint, path, None)
    }

    fn read(
        &mut self,
        e: &str,
        path: &[String],
        etag: &str,
        at: u64,
        size: u32,
    ) -> Result<Vec<u8>, HttpError> {
        NoObjects.read(e, path, etag, at, size)
    }
}

/// Settings that read everything that can be read.
pub fn everything() -> Value {
    let mut settings = plain_settings();
    settings["options"] = json!({"profile_refresh": "24h"});
    settings["sync"] = json!({
        "flow_analytics": true, "subscription_preferences": true, "dashboards": true, "charts": true,
        "chart_figures": true
    });
    settings["segment_sync"] = json!({});
    settings["alerts"] = json!(true);
    settings["connector_campaigns"] = json!({"user_id": "user", "event": "coupon"});
    settings["catalogs"] = json!({"shop": ["P1"]});
    settings["cards"] = json!({"users": ["cust-1"]});
    settings["recommendations"] = json!({"rec-1": {"type": "user_action", "users": ["cust-1"]}});
    settings["report_files"] = json!(["Report_test_20210217.zip"]);
    settings
}

/// For each family that two sources give two keys, the one that is not the default.
pub fn other_keys() -> Value {
    json!({
        "business_events": "data", "catalog": "data", "cards": "data", "coupons": "data",
        "recommendations": "data", "email_templates_v1": "campaigns", "analytics": "campaigns"
    })
}

/// Storage in which other reads have left what a resource needs.
pub fn known_ids() -> Memory {
    let keys = ["watch/cust-1", "flow/f-1", "campaign-parent/c-1", "dashboard/d-1", "chart/d-1/ch-1"];
    Memory(keys.map(|key| (key.to_owned(), Vec::new())).into())
}

/// True where a granted path is this one: `*` is any segment, and all of ours end with `$`.
fn grants(granted: &str, path: &[String]) -> bool {
    let exact = granted.trim_start_matches('/').trim_end_matches('$');
    let granted: Vec<&str> = exact.split('/').collect();
    granted.len() == path.len()
        && granted.iter().zip(path).all(|(one, asked)| {
            *one == "*" || one == asked || (*one == "{workspace_id}" && asked == "ABC123")
        })
}

#[test]
fn the_manifest_grants_exactly_what_is_used() {
    let manifest: Value = serde_json::from_str(include_str!("../../manifest.json")).unwrap();
    let mut used: BTreeMap<String, [BTreeSet<String>; 3]> = BTreeMap::new();
    let mut other_key = everything();
    other_key["key_for"] = other_keys();
    for settings in [everything(), other_key] {
        let profile = configure(&settings.to_string()).unwrap();
        let settings = Settings::parse(&settings.to_string()).unwrap();
        for resource in &profile.resources {
            let (mut recorder, mut files) = (Recorder(Vec::new()), Recorder(Vec::new()));
            let request = PageRequest {
                resource: resource.name.clone(),
                position: Position::Start,
                budget: 1_000,
                now: NOW,
            };
            let storage = &mut known_ids();
            let reach = &mut Reach { http: &mut recorder, objects: &mut files, storage };
            moengage_connector::fetch_page(&settings, &request, reach).unwrap_err();
            let request = recorder.0.into_iter().chain(files.0).next().unwrap();
            assert_eq!(request.endpoint, resource.endpoint);
            let endpoint = &manifest["endpoints"][&resource.endpoint];
            let granted = endpoint["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
            let by: Vec<&str> = granted.filter(|granted| grants(granted, &request.path)).collect();
            assert!(!by.is_empty(), "{} {:?}", resource.name, request.path);
            let [methods, paths, headers] = used.entry(request.endpoint).or_default();
            methods.insert(if request.method == Method::Get { "GET".to_owned() } else { "POST".to_owned() });
            paths.insert(by[0].to_owned());
            headers.extend(request.headers.into_iter().map(|(name, _)| name));
            let auth = match resource.name.as_str() {
                // OpenAPI of stats, reports: SHA-256 of app id, file name and key, joined by bars.
                "report-files" => json!({"digest": {
                    "hash": "sha256", "slot": resource.slot, "encoding": "hex", "header": "signature",
                    "parts": [{"setting": "workspace_id"}, {"literal": "|"}, {"path": "last"}, {"literal": "|"}, "slot"]
                }}),
                _ => json!({"basic": {"user": "workspace_id", "slot": resource.slot}}),
            };
            assert_eq!(endpoint["auth"], auth, "{}", resource.name);
            let data_centers = endpoint["variables"]["data_center"]["enum"].as_array().unwrap();
            assert_eq!(data_centers, json!(["01", "02", "03", "04", "05", "06", "101"]).as_array().unwrap());
        }
    }
    // A portfolio names its project; nothing else of these settings does.
    used.get_mut("subscriptions").unwrap()[2].insert("moe-project-code".to_owned());
    let texts = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let endpoints = manifest["endpoints"].as_object().unwrap();
    let granted: BTreeMap<String, [BTreeSet<String>; 3]> = endpoints
        .iter()
        // Stores of export files are held against their own tests.
        .filter(|(name, _)| !name.starts_with("exports-"))
        .map(|(name, endpoint)| {
            (name.clone(), ["methods", "paths", "headers"].map(|key| texts(&endpoint[key])))
        })
        .collect();
    assert_eq!(used, granted);
    let inbound: Vec<_> = manifest["inbound"].as_object().unwrap().keys().collect();
    assert_eq!(inbound, ["alerts", "basic", "bearer", "header"]);
    // MD:partner-guide/data-and-analytics/workflow-automation/webhook.mdx
    assert_eq!(
        manifest["inbound"]["alerts"],
        json!({"digest": {"hash": "sha256", "slot": "campaigns", "encoding": "hex", "header": "signature",
                          "parts": ["slot", {"literal": "|"}, "body"]}})
    );
    assert_eq!(manifest["connector"], "moengage");
}
