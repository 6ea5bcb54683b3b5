//! What is read by ids that are known: subscriptions of a user, dashboards and charts, segments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{Access, Family, MoEngage, Options, Readings, SegmentById, Table};

const PREFERENCES: &str = "/v5/subscription-preferences";
const DASHBOARDS: &str = "/v5/analytics/dashboards";
const SEGMENTS: &str = "/v3/custom-segments";

fn start() -> MoEngage {
    MoEngage::start(Options { scale: Scale::from_now(1e6), ..Options::default() }).unwrap()
}

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn active_categories_are_listed_by_channel() {
    let moengage = start();
    let client = Client::moengage(&moengage, "data-key");
    moengage.with_rows(Table::SubscriptionCategories, |rows| rows[1]["status"] = json!("archived"));
    let all = client.get("/v5/subscription-categories");
    let body = all.json();
    assert_eq!(
        (&body["type"], names(&body["data"])),
        (&json!("subscription_category"), vec!["promotional", "promotional_sms"])
    );
    assert!(body["response_id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(
        names(&client.get("/v5/subscription-categories?channel=sms").json()["data"]),
        ["promotional_sms"]
    );
    assert!(moengage.violations().is_empty());
    let bad = client.get("/v5/subscription-categories?channel=push");
    assert_eq!(
        (bad.status, bad.json()),
        (
            400,
            json!({"error": {"code": "BadArgument", "target": "channel", "message": "channel must be one of: email, sms"}})
        )
    );
}

#[test]
fn preferences_are_of_one_user_by_each_of_its_ids() {
    let moengage = start();
    let client = Client::moengage(&moengage, "data-key");
    let by = |kind: &str, value: &str| {
        client.get(&format!("{PREFERENCES}?user_identifier_type={kind}&user_identifier_value={value}"))
    };
    let ada = by("uid", "user-1").json();
    assert_eq!(
        (&ada["type"], &ada["data"]["user_id"]),
        (&json!("subscription_preference"), &json!("usr_64f0a1b2c3d4e5f600112201"))
    );
    assert_eq!(ada["data"].as_object().unwrap().len(), 3, "neither uid nor e-mail");
    assert_eq!(ada["data"]["categories"][1]["status"], "unsubscribed");
    for (kind, value) in [
        ("moe_user_id", "64f0a1b2c3d4e5f600112201"),
        ("moe_user_id", "usr_64f0a1b2c3d4e5f600112201"),
        ("email", "ada@example.com"),
    ] {
        assert_eq!(by(kind, value).json()["data"], ada["data"], "{kind} {value}");
    }
    let sms = by("uid", "user-1&channel=sms").json();
    assert_eq!(names(&sms["data"]["categories"]), ["promotional_sms"]);
    let gone = by("uid", "nobody");
    assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!("NotFound")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (kind, value, target) in [
        ("id", "user-1", "user_identifier_type"),
        ("uid", "", "user_identifier_value"),
        ("uid", "user-1&limit=1", "limit"),
    ] {
        let bad = by(kind, value);
        assert_eq!((bad.status, &bad.json()["error"]["target"]), (400, &json!(target)), "{kind} {value}");
    }
}

#[test]
fn an_address_of_several_users_is_a_conflict() {
    let moengage = start();
    let client = Client::moengage(&moengage, "data-key");
    let ask = || {
        client.get(&format!(
            "{PREFERENCES}?user_identifier_type=email&user_identifier_value=family@example.com"
        ))
    };
    let conflict = ask();
    assert_eq!((conflict.status, &conflict.json()["error"]["code"]), (409, &json!("Conflict")));
    moengage.set_readings(Readings { unsubscribes_by_email: true, ..Readings::default() });
    assert_eq!(ask().json()["data"]["user_id"], "usr_64f0a1b2c3d4e5f600112203");
}

#[test]
fn subscriptions_refuse_in_words_of_their_own() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "data-key");
    let code = |answer: &Answer| (answer.status, answer.json()["error"]["code"].as_str().unwrap().to_owned());
    let ask = |client: &Client| client.get("/v5/subscription-categories");
    assert_eq!(code(&ask(&Client::moengage(&moengage, "campaigns-key"))), (401, "Unauthorized".to_owned()));
    moengage.set_access(Family::Data, Access::NoPermission);
    let forbidden = ask(&client);
    assert_eq!(code(&forbidden), (403, "Forbidden".to_owned()));
    assert_eq!(forbidden.json()["error"]["message"], "Token is missing required scope read:subscriptions");
    moengage.set_access(Family::Data, Access::Granted);
    moengage.set_readings(Readings { project_code: Some("shop".to_owned()), ..Readings::default() });
    assert_eq!(code(&ask(&client)), (400, "BadArgument".to_owned()));
    let client = client.with("moe-project-code", "shop");
    for n in 1..100 {
        assert_eq!(ask(&client).status, 200, "{n}");
    }
    let limited = ask(&client);
    assert_eq!(code(&limited), (429, "TooManyRequests".to_owned()));
    assert_eq!(limited.json()["error"]["target"], Value::Null);
}

#[test]
fn dashboards_lead_to_charts_and_their_data() {
    let moengage = start();
    let client = Client::moengage(&moengage, "data-key");
    let get = |path: &str| client.get(&format!("{DASHBOARDS}{path}"));
    let listed = get("").json();
    assert_eq!(listed["data"][0], json!({"_id": "63ede292b4c6a68b18c2c93f", "name": "Acquisition Overview"}));
    let board = "/63ede292b4c6a68b18c2c93f/charts";
    let charts = get(board).json()["data"].clone();
    assert_eq!((&charts["owned_by"], charts.get("_id")), (&json!("analyst@example.com"), None));
    assert_eq!(names(&charts["chart_ids"]), ["New users by day", "Sign-up funnel"]);
    let data = get(&format!("{board}/67f9d9df279348ecdc84415f?cache=false")).json();
    assert_eq!(
        (&data["type"], &data["data"][1]["granularity"]),
        (&json!("chart_data"), &json!("2026/06/29"))
    );
    for missing in
        ["/63ede292b4c6a68b18c2c900/charts".to_owned(), format!("{board}/6a10af49f3a1896d59d5bfbd")]
    {
        let gone = get(&missing);
        assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!("NOT_FOUND")), "{missing}");
    }
    moengage.with_rows(Table::Dashboards, |rows| {
        rows[0]["private"] = json!(true);
        rows[1]["archived"] = json!(true);
    });
    assert_eq!(get("").json()["data"], json!([]));
    let private = get(board);
    assert_eq!((private.status, &private.json()["error"]["code"]), (403, &json!("FORBIDDEN")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for bad in [
        "?limit=1".to_owned(),
        "/one/charts".to_owned(),
        "/63ef1f824da10b4fd96c6e3b/charts/x".to_owned(),
        format!("{board}/67f9d9df279348ecdc84415f?cache=no"),
    ] {
        assert_eq!(get(&bad).status, 400, "{bad}");
    }
}

#[test]
fn a_chart_of_an_exhausted_month_is_a_428() {
    let moengage = start();
    let client = Client::moengage(&moengage, "data-key");
    moengage.set_readings(Readings { chart_quota: Some(1), ..Readings::default() });
    let chart =
        || client.get(&format!("{DASHBOARDS}/63ede292b4c6a68b18c2c93f/charts/67f9d9df279348ecdc84415f"));
    assert_eq!(chart().status, 200);
    let exhausted = chart();
    assert_eq!((exhausted.status, &exhausted.json()["error"]["code"]), (428, &json!("QUOTA_EXCEEDED")));
    assert_eq!(client.get(DASHBOARDS).status, 200, "the quota is of charts");
    assert!(moengage.violations().is_empty(), "a quota is no fault of the request");
    // The other reading of which key it is.
    let keys = [(DASHBOARDS.to_owned(), Family::Data)].into_iter().collect();
    moengage.set_readings(Readings { keys, ..Readings::default() });
    assert_eq!(
        (client.get(DASHBOARDS).status, Client::moengage(&moengage, "data-key").get(DASHBOARDS).status),
        (401, 200)
    );
}

#[test]
fn the_documents_of_segments_can_be_read_in_two_ways() {
    let moengage = start();
    let client = Client::moengage(&moengage, "segmentation-key");
    let by_id = |id: &str| client.get(&format!("{SEGMENTS}/{id}"));
    moengage.with_rows(Table::Segments, |rows| rows.push(json!({"id": "file", "name": "From a file"})));
    assert_eq!(names(&client.get(SEGMENTS).json()["data"]), ["All customers", "Lapsed", "From a file"]);
    let at_rest = by_id("6388a97a02adb9071ca84c00").json()["data"]["updated_time"].clone();
    moengage.set_readings(Readings {
        segment_by_id: SegmentById::List,
        filter_segments_only: true,
        ..Readings::default()
    });
    assert_eq!(names(&client.get(SEGMENTS).json()["data"]), ["All customers", "Lapsed"]);
    assert_eq!(names(&by_id("file").json()["data"]), ["From a file"]);
    assert_eq!((by_id("none").status, &by_id("none").json()["data"]), (200, &json!([])));
    moengage.set_readings(Readings { restless_segments: true, ..Readings::default() });
    let restless = by_id("6388a97a02adb9071ca84c00").json()["data"]["updated_time"].clone();
    assert_ne!(restless, at_rest);
    assert_eq!(restless.as_str().unwrap().len(), "2026-03-01T06:21:44.160000".len());
}

#[test]
fn n33_one_segment_has_wider_windows_than_the_list() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "segmentation-key");
    for (path, limit) in [(SEGMENTS.to_owned(), 50), (format!("{SEGMENTS}/6388a97a02adb9071ca84c00"), 100)] {
        for n in 0..limit {
            assert_eq!(client.get(&path).status, 200, "{n} of {limit}");
        }
        let limited = client.get(&path);
        assert_eq!((limited.status, &limited.json()["error"]["code"]), (429, &json!("Too Many Requests")));
    }
}
