//! Meta, executions and single campaigns, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::BTreeMap;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{Absent, Campaign, MoEngage, Options, PageQuirks};

const META_V1: &str = "/core-services/v1/campaigns/meta";
const META_V5: &str = "/v5/campaigns/meta";
const EXECUTIONS: &str = "/core-services/v1/campaigns/{parent_campaign_id}/executions";

/// A workspace that is never asked too often.
fn started(campaigns: usize) -> (MoEngage, Client) {
    let scale = Scale::from_now(100_000.0);
    let moengage = MoEngage::start(Options { scale, campaigns, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key").with_fresh_keys();
    (moengage, client)
}

fn asked(page: u64, limit: u64) -> Value {
    json!({"request_id": "r1", "page": page, "limit": limit})
}

fn with(mut body: Value, key: &str, value: Value) -> Value {
    body[key] = value;
    body
}

fn executions(client: &Client, parent: &str, body: Value) -> Answer {
    client.post(&format!("/core-services/v1/campaigns/{parent}/executions"), body)
}

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row["campaign_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn meta_is_a_bare_array_in_v1_and_wrapped_in_v5() {
    let (moengage, client) = started(3);
    moengage.with_campaigns(|list| {
        list[0].status = "SCHEDULED".to_owned();
        let child = list[1].child(1);
        list.push(child);
        list.push(Campaign { status: "DRAFT".to_owned(), ..Campaign::numbered(9) });
    });
    let v1 = client.post(META_V1, asked(1, 15)).json();
    let wanted = json!({
        "campaign_id": "64a1b2c3d4e5f6a7b8c9d001", "channel": "PUSH", "platform": ["ANDROID", "IOS"],
        "created_by": "marketer@example.com", "campaign_delivery_type": "PERIODIC",
        "campaign_name": "Campaign 1", "campaign_team": "Growth Team", "campaign_tags": ["spring"],
        "campaign_status": "Active", "campaign_start_time": "2026-05-29T20:26:40", "total_child_campaigns": 1,
    });
    assert_eq!((&v1[1], v1.as_array().unwrap().len()), (&wanted, 3));
    assert_eq!(v1[0]["reachability_details"]["count"], 18_182);
    assert_eq!(v1[0]["reachability_details"]["last_updated_time"], "2026-05-30T20:26:40.000000");
    let v5 = client.post(META_V5, asked(1, 15)).json();
    assert_eq!((&v5["response_id"], &v5["type"]), (&json!("r1"), &json!("campaign")));
    assert_eq!(v5["data"]["campaigns"][1], with(wanted, "campaign_status", json!("ACTIVE")));
    let children = with(asked(1, 15), "include_child_campaigns", json!(true));
    let all = client.post(META_V1, children).json();
    assert_eq!(all[3]["parent_campaign_id"], "64a1b2c3d4e5f6a7b8c9d001");
    let drafts = with(asked(1, 15), "campaign_fields", json!({"status": ["DRAFT"]}));
    assert_eq!(client.post(META_V5, drafts.clone()).json()["data"]["campaigns"].as_array().unwrap().len(), 1);
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    assert_eq!(client.post(META_V1, drafts).status, 400, "V1 has no drafts");
}

#[test]
fn meta_filters_are_those_of_their_version() {
    let (moengage, client) = started(4);
    let found = |path: &str, fields: Value| {
        let answer = client.post(path, with(asked(1, 15), "campaign_fields", fields));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rows = answer.json();
        rows.as_array().or(rows["data"]["campaigns"].as_array()).unwrap().len()
    };
    assert_eq!(found(META_V1, json!({"channels": ["PUSH", "GOOGLE ADS"]})), 2);
    assert_eq!(found(META_V1, json!({"delivery_type": ["ONE_TIME"], "name": "Campaign"})), 2);
    assert_eq!(found(META_V1, json!({"id": Campaign::numbered(2).id})), 1);
    let days = |from: &str, to: &str| json!({"created_date": {"from_date": from, "to_date": to}});
    assert_eq!(found(META_V1, days("2026-05-29", "2026-05-30")), 2);
    assert_eq!(found(META_V1, days("29-05-2026", "30-05-2026")), 2);
    assert_eq!(found(META_V5, days("2026-05-29T00:00:00", "2026-05-29T20:26:40")), 1);
    assert_eq!(found(META_V5, json!({"delivery_type": "PERIODIC"})), 2);
    assert_eq!(found(META_V5, json!({"campaign_delivery_type": ["PERIODIC"]})), 2);
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (path, body) in [
        (META_V1, json!({"page": 1, "limit": 15})),
        (META_V1, asked(0, 15)),
        (META_V1, asked(1, 16)),
        (META_V1, with(asked(1, 15), "include_archive_campaigns", json!(true))),
        (META_V1, with(asked(1, 15), "campaign_fields", json!({"ids": []}))),
        (
            META_V1,
            with(asked(1, 15), "campaign_fields", json!({"created_date": {"from_date": "2026-01-01"}})),
        ),
        (META_V5, with(asked(1, 15), "campaign_fields", json!({"delivery_type": ["PERIODIC"]}))),
        (META_V5, with(asked(1, 15), "campaign_fields", json!({"status": ["RETIRED"]}))),
        (META_V5, asked(1, 0)),
    ] {
        assert_eq!(client.post(path, body.clone()).status, 400, "{path} {body}");
    }
    assert_eq!(moengage.violations().len(), 9);
}

#[test]
fn executions_say_how_many_there_are() {
    let (moengage, client) = started(2);
    let parent = Campaign::numbered(1);
    moengage.with_campaigns(|list| list.extend((0..20).map(|n| parent.child(n))));
    let first = executions(&client, &parent.id, asked(1, 15)).json();
    assert_eq!((first["executions"].as_array().unwrap().len(), &first["total_instances"]), (15, &json!(20)));
    let wanted = json!({"campaign_id": "64a1b2c3d4e5f6a7b8c90000", "sent_time": "2026-05-28T20:26:40.000000", "status": "Sent"});
    assert_eq!(first["executions"][0], wanted);
    let second = executions(&client, &parent.id, asked(2, 15)).json();
    assert_eq!((second["executions"].as_array().unwrap().len(), &second["total_instances"]), (5, &json!(20)));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for wrong in
        [asked(0, 1), asked(1, 16), json!({"page": 1, "limit": 1}), with(asked(1, 1), "sort", json!(1))]
    {
        assert_eq!(executions(&client, &parent.id, wrong).status, 400);
    }
    // A campaign that is sent once has none, and neither has nobody.
    for id in [Campaign::numbered(0).id.as_str(), "nobody"] {
        let refused = executions(&client, id, asked(1, 15));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("400 Bad Request")));
    }
}

#[test]
fn one_campaign_is_had_by_its_id() {
    let (moengage, client) = started(1);
    let found = client.get(&format!("/v5/campaigns/{}", Campaign::numbered(0).id));
    assert_eq!((found.status, &found.json()["data"]["name"]), (200, &Value::Null));
    assert_eq!(found.json()["data"]["basic_details"]["name"], "Campaign 0");
    let missing = client.get("/v5/campaigns/64a1b2c3d4e5f6a7b8c9d999");
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("NOT_FOUND")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    assert_eq!(client.get("/v5/campaigns/x?full=1").status, 400);
}

#[test]
fn n24_pages_of_meta_and_executions_misbehave_on_demand() {
    let (moengage, client) = started(4);
    let parent = Campaign::numbered(3);
    moengage.with_campaigns(|list| list.extend((0..4).map(|n| parent.child(n))));
    let quirks = PageQuirks {
        sizes: BTreeMap::from([(1, 0)]),
        totals: vec![4, 5],
        absent: vec![Absent { id: parent.child(0).id, from: 2, to: 2 }],
        bodies: BTreeMap::from([(4, "{}".to_owned())]),
        ..PageQuirks::default()
    };
    moengage.set_page_quirks(EXECUTIONS, quirks).unwrap();
    let read = |page| executions(&client, &parent.id, asked(page, 2)).json();
    let said: Vec<_> = [1, 2, 2]
        .into_iter()
        .map(read)
        .map(|body| (ids(&body["executions"]), body["total_instances"].clone()))
        .collect();
    let child = |n: usize| parent.child(n).id;
    assert_eq!(said[0], (vec![], json!(4)));
    assert_eq!(said[1], (vec![child(1), child(2)], json!(5)));
    assert_eq!(said[2], (vec![child(0), child(1)], json!(5)));
    assert_eq!(read(1), json!({}));
    let repeats = PageQuirks { ignores_page: true, ..PageQuirks::default() };
    moengage.set_page_quirks(META_V5, repeats).unwrap();
    let meta = |page| client.post(META_V5, asked(page, 2)).json()["data"].clone();
    assert_eq!(meta(1), meta(2));
    let by_hand = json!({"path": META_V1, "quirks": {"period": 1}});
    assert_eq!(client.post("/_control/page-quirks", by_hand).status, 204);
    assert_eq!(client.post(META_V1, asked(1, 2)).json(), client.post(META_V1, asked(2, 2)).json());
    assert_eq!(client.post("/_control/page-quirks", json!({"path": "/v1/nothing"})).status, 400);
}

#[test]
fn n33_each_call_has_windows_of_its_own() {
    let scale = Scale::from_now(1e-9);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key").with_fresh_keys();
    for _ in 0..10 {
        assert_eq!(client.post(META_V1, asked(1, 1)).status, 200);
    }
    let refused = client.post(META_V1, asked(1, 1));
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (429, Some("0")));
    assert_eq!(client.post(META_V5, asked(1, 1)).status, 200);
}
