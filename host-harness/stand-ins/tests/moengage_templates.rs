//! Templates of all channels, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::BTreeMap;

use client::Client;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{Family, MoEngage, Options, PageQuirks, Readings, Table};

const LIST: &str = "/v2/email-templates";
const CHANNELS: [(&str, Table); 5] = [
    ("email", Table::EmailTemplatesV2),
    ("sms", Table::SmsTemplates),
    ("push", Table::PushTemplates),
    ("osm", Table::OnSiteTemplates),
    ("inapp", Table::InAppTemplates),
];

fn path(channel: &str) -> String {
    format!("/v1.0/custom-templates/{channel}/search")
}

fn started() -> (MoEngage, Client) {
    let scale = Scale::from_now(100_000.0);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

fn page(page: u64, entries: u64, filters: Value) -> Value {
    let mut body = filters;
    body["page"] = json!(page);
    body["entries"] = json!(entries);
    body
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["meta_info"]["template_name"].as_str().unwrap()).collect()
}

#[test]
fn older_email_templates_come_twenty_a_page() {
    let (moengage, _) = started();
    let client = Client::moengage(&moengage, "data-key");
    moengage.with_rows(Table::EmailTemplates, |rows| {
        let first = rows[0].clone();
        *rows = (0..45)
            .map(|n| {
                let mut row = first.clone();
                row["template_id"] = json!(format!("t{n:02}"));
                row
            })
            .collect();
    });
    let read = |query: &str| client.get(&format!("{LIST}{query}")).json()["data"].clone();
    let lengths: Vec<usize> = ["", "?page=1", "?page=2", "?page=3", "?page=4"]
        .iter()
        .map(|query| read(query)["templates"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [20, 20, 20, 5, 0]);
    assert_eq!(
        (&read("")["no_of_templates"], &read("?page=3")["templates"][4]["template_id"]),
        (&json!(45), &json!("t44"))
    );
    assert_eq!(read("")["templates"][0].get("template_content"), None, "the list is short");
    let one = client.get("/v2/email-templates/t44").json();
    assert_eq!(
        (&one["status"], &one["subject"], &one["created_date"]),
        (&json!("success"), &json!("Hello"), &json!("2026-05-09 11:17:43.112000"))
    );
    assert!(one["template_content"].as_str().unwrap().starts_with("<!DOCTYPE"));
    let missing = client.get("/v2/email-templates/nobody");
    assert_eq!((missing.status, &missing.json()["data"]["title"]), (400, &json!("Invalid template id")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for query in ["?page=0", "?page=x", "?page=1&page=2", "?limit=5"] {
        assert_eq!(client.get(&format!("{LIST}{query}")).json()["status"], "error", "{query}");
    }
    let other = Client::moengage(&moengage, "other").get(LIST);
    assert_eq!((other.status, &other.json()["data"]["code"]), (401, &json!(401)));
}

#[test]
fn the_key_of_a_call_is_a_reading() {
    let (moengage, campaigns) = started();
    let data = Client::moengage(&moengage, "data-key");
    let coupons = "/v1/coupon-list";
    let read = || [campaigns.get(LIST), data.get(LIST), campaigns.get(coupons), data.get(coupons)];
    assert_eq!(read().map(|answer| answer.status), [401, 200, 200, 401]);
    let keys = [(LIST.to_owned(), Family::Campaigns), (coupons.to_owned(), Family::Data)].into();
    moengage.set_readings(Readings { keys, ..Readings::default() });
    assert_eq!(read().map(|answer| answer.status), [200, 401, 401, 200]);
}

#[test]
fn every_channel_is_searched_with_a_page() {
    let (moengage, client) = started();
    for (channel, _) in CHANNELS {
        let found = client.post(&path(channel), page(1, 15, json!({})));
        assert_eq!(found.status, 200, "{channel}");
        let row = &found.json()["data"][0];
        assert_eq!(
            (&row["version"], &row["created_at"]),
            (&json!(1), &json!("2026-02-27T12:33:05.575000")),
            "{channel}"
        );
        assert_eq!(row["basic_details"].is_object(), channel != "push", "{channel}");
    }
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (channel, _) in CHANNELS {
        for wrong in [
            json!({}),
            json!({"page": 1}),
            json!({"entries": 15}),
            page(0, 1, json!({})),
            page(1, 16, json!({})),
            page(1, 1, json!({"limit": 5})),
        ] {
            let refused = client.post(&path(channel), wrong.clone());
            assert_eq!(refused.status, 400, "{channel} {wrong}");
            let body = refused.json();
            match channel {
                "sms" | "push" => assert_eq!(body["title"], "Invalid Field Value"),
                _ => assert_eq!(body["error"]["code"], "400 Bad Request"),
            }
        }
    }
}

#[test]
fn filters_and_their_values_are_those_of_the_channel() {
    let (moengage, client) = started();
    let status = |channel: &str, filters: Value| client.post(&path(channel), page(1, 15, filters)).status;
    let known = json!([{"external_template_id": "x", "version": 1}]);
    for (channel, filters) in [
        (
            "email",
            json!({"is_count_required": true, "is_grouped_response": false, "group_id": "g", "template_version": "1"}),
        ),
        ("email", json!({"external_template_ids": known})),
        ("osm", json!({"external_template_ids": known, "template_id": "x"})),
        ("sms", json!({"template_ids": known})),
        ("push", json!({"template_ids": known, "platform": ["IOS"], "template_style": ["STYLIZED"]})),
        ("inapp", json!({"template_ids": known, "sort_params": [{"template_name": "ASCENDING"}]})),
    ] {
        assert_eq!(status(channel, filters.clone()), 200, "{channel} {filters}");
    }
    for (channel, filters) in [
        ("email", json!({"template_ids": known})),
        ("inapp", json!({"external_template_ids": known})),
        ("sms", json!({"platform": ["IOS"]})),
        ("push", json!({"platform": ["WEB"]})),
        ("osm", json!({"template_source": "API"})),
        ("sms", json!({"sort_params": [{"created_at": "ASCENDING"}]})),
        ("sms", json!({"template_ids": [{"external_template_id": "x"}]})),
    ] {
        assert_eq!(status(channel, filters.clone()), 400, "{channel} {filters}");
    }
    assert_eq!(moengage.violations().len(), 7);
}

#[test]
fn the_newest_version_comes_unless_another_is_named() {
    let (moengage, client) = started();
    moengage.with_rows(Table::SmsTemplates, |rows| {
        let mut newer = rows[0].clone();
        newer["version"] = json!(2);
        newer["meta_info"]["template_name"] = json!("Newer");
        let mut other = rows[0].clone();
        other["external_template_id"] = json!("other");
        other["meta_info"]["template_name"] = json!("Other");
        other["updated_at"] = json!("2026-01-01T00:00:00.000000");
        rows.extend([newer, other]);
    });
    let read = |filters: Value| client.post(&path("sms"), page(1, 15, filters)).json()["data"].clone();
    assert_eq!(names(&read(json!({}))), ["Newer", "Other"]);
    assert_eq!(
        names(&read(json!({"sort_params": [{"last_modified_date": "ASCENDING"}]}))),
        ["Other", "Newer"]
    );
    assert_eq!(names(&read(json!({"sort_params": [{"template_name": "DESCENDING"}]}))), ["Other", "Newer"]);
    let id = read(json!({}))[0]["external_template_id"].clone();
    assert_eq!(
        names(&read(json!({"template_ids": [{"external_template_id": id, "version": 1}]}))),
        ["Template 0"]
    );
    assert_eq!(names(&read(json!({"template_name": "Oth", "template_source": ["API"]}))), ["Other"]);
    assert_eq!(names(&read(json!({"created_by": ["nobody"]}))), [""; 0]);
    assert_eq!(moengage.violations(), []);
}

#[test]
fn n24_pages_of_templates_misbehave_on_demand() {
    let (moengage, client) = started();
    moengage.with_rows(Table::EmailTemplatesV2, |rows| {
        let first = rows[0].clone();
        *rows = (0..7)
            .map(|n| {
                let mut row = first.clone();
                row["external_template_id"] = json!(format!("t{n}"));
                row
            })
            .collect();
    });
    let quirks = PageQuirks { sizes: BTreeMap::from([(1, 1), (2, 0)]), ..PageQuirks::default() };
    moengage.set_page_quirks(&path("email"), quirks).unwrap();
    let read = |n: u64| {
        let body = client.post(&path("email"), page(n, 3, json!({}))).json();
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["external_template_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let pages: Vec<Vec<String>> = (1..=5).map(read).collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 3, 3, 0]);
    assert_eq!(pages.concat(), ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]);
}

#[test]
fn n33_each_channel_refuses_in_its_own_words() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    let wrong = Client::moengage(&moengage, "wrong");
    for (channel, _) in CHANNELS {
        let refused = wrong.post(&path(channel), page(1, 1, json!({})));
        let body = refused.json();
        match channel {
            "sms" => assert_eq!((refused.status, &body["error"]["code"]), (403, &json!("403 Forbidden"))),
            "push" => assert_eq!((refused.status, &body["title"]), (401, &json!("Authentication required"))),
            _ => assert_eq!(
                (refused.status, &body["error"]["code"]),
                (401, &json!("401 Unauthorized")),
                "{channel}"
            ),
        }
        for _ in 0..100 {
            assert_eq!(client.post(&path(channel), page(1, 1, json!({}))).status, 200);
        }
        let limited = client.post(&path(channel), page(1, 1, json!({})));
        let kind = if channel == "sms" { "custom_segment" } else { "custom_template" };
        assert_eq!((limited.status, &limited.json()["type"]), (429, &json!(kind)));
        assert_eq!(limited.json()["error"]["code"], "Too Many Requests");
    }
}
