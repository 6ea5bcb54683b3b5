use moengage_connector::{Problem, configure};
use serde_json::{Value, json};

use crate::plain_settings;

fn problems(settings: &Value) -> Vec<Problem> {
    configure(&settings.to_string()).unwrap_err()
}

fn codes(settings: &Value) -> Vec<(String, String)> {
    problems(settings).into_iter().map(|problem| (problem.path, problem.code)).collect()
}

fn one_code(key: &str, value: Value) -> (String, String) {
    let mut settings = plain_settings();
    settings[key] = value;
    let codes = codes(&settings);
    assert_eq!(codes.len(), 1, "{codes:?}");
    codes.into_iter().next().unwrap()
}

fn pair(path: &str, code: &str) -> (String, String) {
    (path.to_owned(), code.to_owned())
}

#[test]
fn the_smallest_settings_make_a_profile() {
    let profile = configure(
        r#"{"workspace_id":"ABC123","data_center":"101","environment":"test","webhook":{"auth":"bearer","secret":"webhook"}}"#,
    )
    .unwrap();
    assert_eq!(profile.workspace, "ABC123.test");
    assert_eq!(
        profile.source_key,
        r#"{"data_center":"101","environment":"test","project_code":null,"workspace_id":"ABC123"}"#
    );
    assert_eq!(profile.resources, []);
    assert_eq!(profile.surfaces.len(), 1);
    assert_eq!(profile.surfaces[0].verification, "bearer");
    let slots: Vec<_> = profile.slots.iter().map(|slot| (slot.name.as_str(), slot.required)).collect();
    assert_eq!(slots, [("webhook", true)]);
}

#[test]
fn each_key_brings_its_check() {
    let profile = configure(&plain_settings().to_string()).unwrap();
    let names: Vec<_> = profile.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "check-data",
            "check-campaigns",
            "check-segmentation",
            "campaigns",
            "campaign-stats",
            "campaign-children",
            "segments",
            "flows",
            "flow-versions",
            "email-templates-v1",
            "email-templates",
            "sms-templates",
            "push-templates",
            "on-site-templates",
            "in-app-templates",
            "content-blocks",
            "business-events",
            "offers",
            "locales",
            "subscription-categories",
            "coupon-lists",
            "file-imports",
        ]
    );
    assert_eq!(profile.slots.len(), 4);
    assert_eq!(profile.cursor_versions, [1]);
}

#[test]
fn profiles_are_read_only_where_they_are_asked_for() {
    let mut settings = plain_settings();
    settings["options"] = json!({"profile_refresh": "36h"});
    let profile = configure(&settings.to_string()).unwrap();
    let users = profile.resources.iter().find(|resource| resource.name == "users").unwrap();
    assert_eq!((users.cadence, users.page_limit), (36 * 3600, 100));
    assert_eq!((users.kind.as_str(), users.slot.as_deref()), ("contact", Some("data")));
    let windows: Vec<_> = users.rate_windows.iter().map(|window| (window.calls, window.seconds)).collect();
    assert_eq!(windows, [(50, 60)]);

    for (duration, fits) in
        [("15m", true), ("14m", false), ("30d", true), ("31d", false), ("0h", false), ("1w", false)]
    {
        let mut settings = plain_settings();
        settings["options"] = json!({"profile_refresh": duration});
        assert_eq!(configure(&settings.to_string()).is_ok(), fits, "{duration}");
    }
}

#[test]
fn what_is_read_needs_its_key() {
    let mut settings = plain_settings();
    settings["keys"] = json!({"segmentation": "segmentation"});
    settings["options"] = json!({"profile_refresh": "1d"});
    settings["campaigns"] = json!({"created_since": "2025-01-01"});
    assert_eq!(codes(&settings), [pair("keys.data", "missing-key"), pair("keys.campaigns", "missing-key")]);
    // One mistake is one problem.
    settings["keys"] = json!({"data": "s3cr3t", "campaigns": "campaigns"});
    assert_eq!(codes(&settings), [pair("keys.data", "not-a-secret")]);
    settings.as_object_mut().unwrap().remove("keys");
    assert_eq!(codes(&settings).len(), 2);
}

#[test]
fn campaigns_are_limited_by_a_day_or_not_at_all() {
    let since = |value: Value| one_code("campaigns", json!({"created_since": value}));
    for day in ["soon", "2025-13-01", "2025-02-29", "01/01/2025", "1969-12-31", "2025-01-01T00:00:00Z"] {
        assert_eq!(since(json!(day)), pair("campaigns.created_since", "bad-date"), "{day}");
    }
    assert_eq!(since(json!(2025)), pair("campaigns.created_since", "wrong-type"));
    assert_eq!(one_code("campaigns", json!({"since": "2025-01-01"})), pair("campaigns.since", "unknown-key"));
    for fits in [json!({}), json!({"created_since": "2024-02-29"})] {
        let mut settings = plain_settings();
        settings["campaigns"] = fits;
        assert!(configure(&settings.to_string()).is_ok());
    }
}

#[test]
fn every_data_centre_of_the_closed_set_and_no_other() {
    for data_center in ["01", "02", "03", "04", "05", "06", "101"] {
        let mut settings = plain_settings();
        settings["data_center"] = json!(data_center);
        assert!(configure(&settings.to_string()).is_ok(), "{data_center}");
    }
    for data_center in ["1", "07", "001", "DC-01", "us"] {
        assert_eq!(one_code("data_center", json!(data_center)), pair("data_center", "unknown-data-center"));
    }
}

#[test]
fn a_number_for_a_data_centre_is_told_to_be_quoted() {
    let mut settings = plain_settings();
    settings["data_center"] = json!(1);
    let problems = problems(&settings);
    assert_eq!((problems.len(), problems[0].code.as_str()), (1, "wrong-type"));
    assert!(problems[0].remedy.contains("double quotes"));
}

#[test]
fn every_problem_is_reported_at_once_and_in_order() {
    let settings = r#"{
        "workspace_id": "A!",
        "data_center": 1,
        "environment": "prod",
        "colour": "red",
        "keys": {"data": "s3cr3t-value", "push": "push"},
        "webhook": {"auth": "header", "user": "x", "secret": "webhook", "sign": true},
        "sync": {"contacts": "yes", "orders": true},
        "field_mapping": {
            "u_em": "EMAIL", "a": "lower", "b": "SMS", "c": "SMS", "d": {"to": "X", "type": "money"},
            "e": {"to": "FIRSTNAME", "type": "date"}, "f": "Y", "g": "Y", "h": 7, "i": {"type": "text"}
        },
        "event_mapping": {"A": "with space", "B": "same", "C": "same", "D E": 5, "F": "moengage_email_open"},
        "options": {"max_event_age": "soon", "unknown_events": "perhaps", "phones": 1, "speed": 9,
                    "profile_refresh": "1s", "historical_profiles": "all"},
        "campaigns": {"created_since": "yesterday", "until": 1}
    }"#;
    let found: Vec<_> =
        configure(settings).unwrap_err().into_iter().map(|problem| (problem.path, problem.code)).collect();
    let expected = [
        ("workspace_id", "bad-workspace-id"),
        ("data_center", "wrong-type"),
        ("environment", "unknown-environment"),
        ("colour", "unknown-key"),
        ("keys.data", "not-a-secret"),
        ("keys.push", "unknown-key"),
        ("webhook.sign", "unknown-key"),
        ("webhook.user", "unused-key"),
        ("webhook.header", "missing-key"),
        ("sync.contacts", "wrong-type"),
        ("sync.orders", "unknown-key"),
        ("field_mapping.a", "bad-attribute-name"),
        ("field_mapping.c", "duplicate-attribute"),
        ("field_mapping.d.type", "unknown-attribute-type"),
        ("field_mapping.e.type", "wrong-attribute-type"),
        ("field_mapping.g", "duplicate-attribute"),
        ("field_mapping.h", "wrong-type"),
        ("event_mapping.A", "bad-event-name"),
        ("event_mapping[\"D E\"]", "wrong-type"),
        ("options.max_event_age", "bad-duration"),
        ("options.unknown_events", "unknown-choice"),
        ("options.phones", "wrong-type"),
        ("options.speed", "unknown-key"),
        ("options.profile_refresh", "bad-duration"),
        ("options.historical_profiles", "unknown-choice"),
        ("campaigns.created_since", "bad-date"),
        ("campaigns.until", "unknown-key"),
        ("keys.campaigns", "missing-key"),
        ("event_mapping.C", "duplicate-event-name"),
        ("event_mapping.F", "duplicate-event-name"),
    ];
    assert_eq!(found, expected.map(|(path, code)| pair(path, code)));
}

#[test]
fn no_problem_repeats_what_may_be_a_secret() {
    let mut settings = plain_settings();
    settings["keys"]["data"] = json!("s3cr3t-value");
    settings["webhook"]["secret"] = json!("hunter2");
    for problem in problems(&settings) {
        let text = format!("{problem:?}");
        assert!(!text.contains("s3cr3t") && !text.contains("hunter2"), "{text}");
        assert_eq!(problem.code, "not-a-secret");
    }
}

#[test]
fn missing_keys_are_named() {
    assert_eq!(
        codes(&json!({})),
        [
            pair("workspace_id", "missing-key"),
            pair("data_center", "missing-key"),
            pair("environment", "missing-key"),
            pair("webhook", "missing-key"),
        ]
    );
    assert_eq!(one_code("webhook", json!({"auth": "bearer"})), pair("webhook.secret", "missing-key"));
    assert_eq!(one_code("webhook", json!({"secret": "webhook"})), pair("webhook.auth", "missing-key"));
    assert_eq!(
        one_code("webhook", json!({"auth": "basic", "secret": "webhook"})),
        pair("webhook.user", "missing-key")
    );
}

#[test]
fn what_is_no_block_of_keys_is_said_so() {
    for (text, code) in [
        ("", "unreadable-value"),
        ("{", "unreadable-value"),
        ("[]", "wrong-type"),
        ("null", "wrong-type"),
        ("7", "wrong-type"),
        (r#"{"sync":{},"sync":{}}"#, "duplicate-key"),
    ] {
        let problems = configure(text).unwrap_err();
        assert_eq!((problems.len(), problems[0].code.as_str()), (1, code), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(configure(&deep).unwrap_err()[0].code, "too-deep");
    for key in ["keys", "webhook", "sync", "field_mapping", "event_mapping", "options", "campaigns"] {
        let mut settings = plain_settings();
        settings[key] = json!([1]);
        assert_eq!(codes(&settings)[0], pair(key, "wrong-type"));
    }
}

#[test]
fn webhook_users_and_headers_can_carry_a_credential() {
    let header = |name: &str| json!({"auth": "header", "header": name, "secret": "webhook"});
    for bad in ["x key", "Authorization", "content-length", "ü"] {
        assert_eq!(one_code("webhook", header(bad)), pair("webhook.header", "bad-webhook-header"));
    }
    let user = json!({"auth": "basic", "user": "a:b", "secret": "webhook"});
    assert_eq!(one_code("webhook", user), pair("webhook.user", "bad-webhook-user"));
}

#[test]
fn targets_say_what_can_be_touched() {
    let mut settings = plain_settings();
    settings["field_mapping"] = json!({
        "u_gd": null, "first_name": "FIRSTNAME", "u_mb": "SMS", "uid": "EXT_ID", "u_em": "email",
        "points": {"to": "LOYALTY_POINTS", "type": "number"}
    });
    settings["event_mapping"] =
        json!({"MOE_EMAIL_OPEN": "opened", "MOE_EMAIL_SENT": null, "VIEW_RADAR": "radar"});
    let targets = configure(&settings.to_string()).unwrap().targets;
    let attributes: Vec<_> = targets
        .attributes
        .iter()
        .map(|target| (target.name.as_str(), format!("{:?}", target.kind), target.create))
        .collect();
    assert_eq!(
        attributes,
        [
            ("LASTNAME", "Text".to_owned(), false),
            ("BIRTHDAY", "Date".to_owned(), true),
            ("FIRSTNAME", "Text".to_owned(), false),
            ("LOYALTY_POINTS", "Number".to_owned(), true),
        ]
    );
    for name in ["opened", "radar", "moengage_email_click"] {
        assert!(targets.events.iter().any(|event| event == name), "{name}");
    }
    for name in ["moengage_email_open", "moengage_email_sent"] {
        assert!(!targets.events.iter().any(|event| event == name), "{name}");
    }
    assert_eq!(targets.event_prefix.as_deref(), Some("moengage_"));

    settings["options"] = json!({"unknown_events": "drop"});
    assert_eq!(configure(&settings.to_string()).unwrap().targets.event_prefix, None);
    settings["sync"] = json!({"contacts": false, "events": false});
    let targets = configure(&settings.to_string()).unwrap().targets;
    assert!(targets.attributes.is_empty() && targets.events.is_empty() && targets.event_prefix.is_none());
}

#[test]
fn only_what_selects_source_data_is_in_the_source_key() {
    let key = |key: &str, value: Value| {
        let mut settings = plain_settings();
        settings[key] = value;
        configure(&settings.to_string()).unwrap().source_key
    };
    let plain = configure(&plain_settings().to_string()).unwrap().source_key;
    assert_eq!(key("field_mapping", json!({"a": "B"})), plain);
    assert_eq!(key("options", json!({"max_event_age": "7d", "profile_refresh": "1d"})), plain);
    // Its cursors know the filter by themselves; others must not be lost with it.
    assert_eq!(key("campaigns", json!({"created_since": "2025-01-01"})), plain);
    assert_ne!(key("environment", json!("test")), plain);
    assert_ne!(key("data_center", json!("02")), plain);
    assert_ne!(key("workspace_id", json!("ABC124")), plain);
    assert_ne!(key("project_code", json!("shop")), plain);
}
