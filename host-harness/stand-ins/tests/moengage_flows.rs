//! Flows and their figures through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::{Scale, rfc3339};
use stand_ins::moengage::{Access, Family, MoEngage, Options, Readings, Table};

const SEARCH: &str = "/v5/flows/search";
const WELCOME: &str = "69f1de84f9e401a2d7d9a901";
const SECOND_VERSION: &str = "7a02ef95f9e401a2d7d9aa42";

fn start() -> (MoEngage, Client) {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e6), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let flows = answer.json()["data"]["flows"].as_array().unwrap().clone();
    flows.iter().map(|flow| flow["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_search_shows_summaries_the_newest_first() {
    let (moengage, client) = start();
    let answer = client.post(SEARCH, json!({}));
    assert_eq!(names(&answer), ["Win back", "Birthday", "Welcome journey"], "no archived one");
    let body = answer.json();
    assert_eq!((&body["type"], &body["data"]["next_cursor"]), (&json!("flow"), &Value::Null));
    let welcome = &body["data"]["flows"][2];
    assert_eq!(
        (&welcome["flow_id"], &welcome["created_at"], &welcome["active_version_name"]),
        (&json!(WELCOME), &json!("2026-01-05T10:00:00Z"), &json!("Version 2"))
    );
    assert!(welcome.get("structure").is_none() && welcome.get("settings").is_none());
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
}

#[test]
fn filters_combine_and_letter_case_of_enumerations_does_not_count() {
    let (moengage, client) = start();
    for (filter, wanted) in [
        (json!({"include_archived": true}), vec!["Win back", "Birthday", "Winter sale", "Welcome journey"]),
        (json!({"status": ["active", "PAUSED"]}), vec!["Birthday", "Welcome journey"]),
        (json!({"delivery_type": ["Event_Triggered"], "name": "BIRTH"}), vec!["Birthday"]),
        (json!({"delivery_type": ["ONE_TIME"]}), vec![]),
        (
            json!({"tags": ["none", "onboarding"], "created_by": ["marketer@example.com"], "status": ["DRAFT"]}),
            vec!["Win back"],
        ),
        (json!({"created_by": ["other@example.com"]}), vec![]),
        (json!({"creation_start_time": "2026-03-05T10:00:00Z"}), vec!["Win back", "Birthday"]),
        (
            json!({"creation_start_time": "2026-03-05T10:00:01Z", "creation_end_time": "2026-04-01T00:00:00Z"}),
            vec![],
        ),
    ] {
        assert_eq!(names(&client.post(SEARCH, filter.clone())), wanted, "{filter}");
    }
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    let bad = [
        json!({"status": ["LIVE"]}),
        json!({"status": "ACTIVE"}),
        json!({"delivery_type": ["WEEKLY"]}),
        json!({"limit": 0}),
        json!({"limit": 101}),
        json!({"page": 1}),
        json!({"sort": "name"}),
        json!({"creation_start_time": "2026-03-05"}),
        json!({"creation_start_time": "2026-03-05T10:00:00+01:00"}),
        json!({"creation_start_time": "2026-03-05T10:00:00Z", "creation_end_time": "2026-03-04T10:00:00Z"}),
        json!({"teams": ["A"]}),
    ];
    for body in &bad {
        let refused = client.post(SEARCH, body.clone());
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("VALIDATION_FAILED")),
            "{body}"
        );
    }
    assert_eq!(moengage.violations().len(), bad.len());
}

#[test]
fn where_flows_have_teams_a_search_names_some() {
    let (moengage, client) = start();
    moengage.set_readings(Readings { flow_teams: true, ..Readings::default() });
    moengage.with_rows(Table::Flows, |rows| rows[0]["teams"] = json!(["Growth"]));
    assert_eq!(client.post(SEARCH, json!({})).status, 400);
    assert_eq!(client.post(SEARCH, json!({"teams": []})).status, 400);
    let found = client.post(SEARCH, json!({"teams": ["Growth", "Brand"]}));
    assert_eq!(names(&found), ["Win back"]);
    assert!(found.json()["data"]["flows"][0].get("teams").is_none(), "teams are never shown");
}

#[test]
fn a_flow_is_read_whole_and_so_are_its_versions() {
    let (moengage, client) = start();
    let get = |path: &str| client.get(&format!("/v5/flows/{path}"));
    let whole = get(WELCOME).json()["data"].clone();
    assert_eq!((&whole["status"], &whole["versions"][1]["version_no"]), (&json!("ACTIVE"), &json!(2)));
    assert_eq!(whole["structure"]["nodes"][1]["config"]["channel"], "EMAIL");
    let first = get(&format!("{WELCOME}?version_no=1")).json()["data"].clone();
    assert_eq!((&first["status"], &first["flow_id"]), (&json!("RETIRED"), &json!(WELCOME)));
    assert_eq!(
        get(&format!("{WELCOME}/versions/{WELCOME}")).json()["data"],
        first,
        "the first version's id is the flow's"
    );
    let second = get(&format!("{WELCOME}/versions/{SECOND_VERSION}")).json()["data"].clone();
    assert_eq!((&second["status"], second.get("version_id")), (&json!("ACTIVE"), None));
    let birthday = "69f1de84f9e401a2d7d9a903";
    assert_eq!(get(&format!("{birthday}?version_no=1")).status, 200, "a flow of one version lists none");
    for missing in [
        format!("{WELCOME}?version_no=3"),
        format!("{birthday}?version_no=2"),
        format!("{birthday}/versions/{SECOND_VERSION}"),
        "69f1de84f9e401a2d7d9a999".to_owned(),
    ] {
        let gone = get(&missing);
        assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!("NOT_FOUND")), "{missing}");
    }
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for bad in [
        SECOND_VERSION.to_owned(),
        "one".to_owned(),
        format!("{WELCOME}?version_no=two"),
        format!("{WELCOME}?version_no=0"),
        format!("{WELCOME}?version=1"),
        format!("{WELCOME}/versions/one"),
    ] {
        assert_eq!(get(&bad).status, 400, "{bad}");
    }
    assert_eq!(moengage.violations().len(), 6);
}

#[test]
fn an_exchange_is_named_by_the_caller() {
    let (_moengage, client) = start();
    let named = |answer: &Answer| {
        let id = answer.json()["response_id"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("x-moe-request-id"), Some(id.as_str()));
        id
    };
    let own = named(&client.post(SEARCH, json!({})));
    assert!(own.len() == 12 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
    let client = client.with("x-moe-request-id", "mine");
    assert_eq!(named(&client.get(&format!("/v5/flows/{WELCOME}"))), "mine");
    assert_eq!(named(&client.post(SEARCH, json!({"request_id": "body"}))), "body", "the body wins");
    assert_eq!(named(&client.post(SEARCH, json!({"request_id": "body", "limit": 0}))), "body");
}

#[test]
fn refusals_name_the_permission_and_the_wait() {
    let scale = Scale::from_now(1e-9);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    let wrong = Client::moengage(&moengage, "data-key").post(SEARCH, json!({}));
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("UNAUTHORIZED")));
    moengage.set_access(Family::Campaigns, Access::NoPermission);
    let forbidden = client.post(SEARCH, json!({}));
    assert_eq!(
        (forbidden.status, &forbidden.json()["error"]["details"][0]["message"]),
        (403, &json!("Required permission: campaigns:view"))
    );
    moengage.set_access(Family::Campaigns, Access::Granted);
    for n in 0..10 {
        let path = format!("/v5/flows/{WELCOME}");
        let answer = if n % 2 == 0 { client.get(&path) } else { client.post(SEARCH, json!({})) };
        assert_eq!(answer.status, 200, "{n}");
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((9 - n).to_string().as_str()));
        assert_eq!(answer.header("retry-after"), None);
    }
    let limited = client.get(&format!("/v5/flows/{WELCOME}"));
    assert_eq!((limited.status, &limited.json()["error"]["code"]), (429, &json!("RATE_LIMITED")));
    assert_eq!((limited.header("retry-after"), limited.header("x-ratelimit-reset")), (Some("1"), Some("1")));
}

fn analytics(more: &str) -> String {
    format!("/v5/flows/{WELCOME}/analytics?attribution_type=VIEW_THROUGH&metric_type=TOTAL{more}")
}

#[test]
fn figures_are_cut_to_the_window_and_to_the_fields() {
    // The samples are of the last days: host time may not run far from the real one.
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e3), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    let data = |more: &str| {
        let answer = client.get(&analytics(more));
        assert_eq!(answer.status, 200, "{more}: {answer:?}");
        answer.json()["data"].clone()
    };
    let all = data("");
    assert_eq!((all["summary"].as_array().unwrap().len(), all.get("key")), (3, None));
    assert_eq!((&all["flow_id"], &all["version_name"]), (&json!(WELCOME), &json!("Version 2")));
    let newest = all["summary"][0]["timestamp"].as_i64().unwrap() * 1_000;
    let window =
        |from: i64, to: i64| format!("&activity_after={}&activity_before={}", rfc3339(from), rfc3339(to));
    assert_eq!(data(&window(newest, newest))["summary"].as_array().unwrap().len(), 1);
    let before = data(&window(newest - 20 * 86_400_000, newest - 10 * 86_400_000));
    assert!(before.get("summary").is_none() && before.get("drop_stats").is_none(), "left out, not empty");
    let some = data("&fields=drop_stats,branch_stats");
    assert!(some.get("summary").is_none() && some["split_stage_stats"]["ab_split_stages"].is_array());
    assert_eq!(data("&version_name=All%20Versions").as_object().unwrap().len(), 2, "nothing but who it is");
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (bad, code) in [
        (window(newest, newest - 1), "INVALID_DATE_RANGE"),
        (window(newest - 91 * 86_400_000, newest), "INVALID_DATE_RANGE"),
        ("&activity_after=yesterday".to_owned(), "VALIDATION_FAILED"),
        ("&fields=everything".to_owned(), "VALIDATION_FAILED"),
        ("&version_name=2".to_owned(), "VALIDATION_FAILED"),
        ("&metric_type=UNIQUE".to_owned(), "VALIDATION_FAILED"),
    ] {
        let refused = client.get(&analytics(&bad));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(code)), "{bad}");
    }
    let without = client.get(&format!("/v5/flows/{WELCOME}/analytics?metric_type=TOTAL"));
    assert_eq!((without.status, &without.json()["error"]["target"]), (400, &json!("attribution_type")));
    assert_eq!(moengage.violations().len(), 7);
    let unknown = client.get(&analytics("").replace(WELCOME, "69f1de84f9e401a2d7d9a999"));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("FLOW_NOT_FOUND")));
}

#[test]
fn a_channel_has_figures_of_its_own() {
    let (moengage, client) = start();
    let of = |channel: &str| {
        client.get(&analytics("").replace("analytics?", &format!("analytics/channels/{channel}?")))
    };
    let mail = of("EMAIL").json();
    assert_eq!(
        (&mail["type"], &mail["data"]["channel"]),
        (&json!("flow_channel_analytics"), &json!("EMAIL"))
    );
    assert_eq!(mail["data"]["campaign_stats"][0]["campaign_id"], "64a1b2c3d4e5f6a7b8c9d001");
    let sms = of("SMS").json()["data"].clone();
    assert_eq!(sms, json!({"flow_id": WELCOME, "version_name": "Version 2", "channel": "SMS"}));
    assert!(moengage.violations().is_empty());
    assert_eq!(of("email").status, 400);
}
