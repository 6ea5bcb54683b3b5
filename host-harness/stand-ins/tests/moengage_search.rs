//! Campaign search through HTTP: filters, pages, and what a reader has to survive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::journal::FindingKind;
use stand_ins::moengage::{Campaign, Change, MoEngage, Options, Planned, SearchQuirks};

const V1: &str = "/core-services/v1/campaigns/search";
const V5: &str = "/v5/campaigns/search";
/// Basic of `STANDIN` and the default key of campaigns.
const KEY: &str = "Basic U1RBTkRJTjpjYW1wYWlnbnMta2V5";

/// Host time so fast that no window is ever full.
fn unhurried(campaigns: usize) -> MoEngage {
    let scale = Scale::from_now(1e6);
    MoEngage::start(Options { campaigns, scale, ..Options::default() }).unwrap()
}

fn keyless(moengage: &MoEngage) -> Client {
    Client::new(
        &moengage.url(),
        &[("authorization", KEY), ("moe-appkey", "STANDIN"), ("content-type", "application/json")],
    )
}

fn client(moengage: &MoEngage) -> Client {
    keyless(moengage).with_fresh_keys()
}

fn page(n: u64) -> Value {
    json!({"request_id": "r", "limit": 15, "page": n})
}

fn filtered(fields: Value) -> Value {
    json!({"request_id": "r", "limit": 15, "page": 1, "campaign_fields": fields})
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.json()["data"]["campaigns"].as_array().unwrap().clone();
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn named(ids: &[&str]) -> Vec<Campaign> {
    ids.iter().map(|id| Campaign { id: (*id).to_owned(), ..Campaign::default() }).collect()
}

#[test]
fn campaigns_are_paged_without_a_total() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let client = client(&moengage);
    let old = |n: u64| client.post(V1, page(n)).json();
    assert_eq!(old(1).as_array().unwrap().len(), 15);
    assert_eq!(old(2).as_array().unwrap().len(), 5, "shorter than the limit: the end");
    assert_eq!(old(3), json!([]));
    let v5 = client.post(V5, page(2)).json();
    assert_eq!((v5["data"]["campaigns"].as_array().unwrap().len(), &v5["response_id"]), (5, &json!("r")));
    assert_eq!(v5["data"].as_object().unwrap().len(), 1, "no total, no cursor");
    assert_eq!(ids(&client.post(V5, page(u64::MAX))), [""; 0]);
    assert!(moengage.violations().is_empty());
    for bad in [
        json!({"limit": 15, "page": 1}),
        json!({"request_id": "r", "limit": 16, "page": 1}),
        json!({"request_id": "r", "limit": 1, "page": 0}),
        json!({"request_id": "r", "limit": 1}),
        json!({"request_id": "r", "page": 1}),
        json!({"request_id": "r", "limit": 1, "page": 1, "cursor": "x"}),
    ] {
        assert_eq!(client.post(V1, bad.clone()).status, 400, "{bad}");
        assert_eq!(client.post(V5, bad.clone()).status, 400, "{bad}");
    }
    assert_eq!(moengage.violations().len(), 12);
}

#[test]
fn the_two_versions_show_the_same_campaign_differently() {
    let moengage = MoEngage::start(Options { campaigns: 1, ..Options::default() }).unwrap();
    let client = client(&moengage);
    let v5 = client.post(V5, page(1)).json()["data"]["campaigns"][0].clone();
    let v1 = client.post(V1, page(1)).json()[0].clone();
    assert_ne!(v5["id"], v5["campaign_id"]);
    assert_eq!((&v1["campaign_id"], v1.get("id")), (&v5["id"], None));
    assert_eq!((&v5["status"], &v1["status"]), (&json!("ACTIVE"), &json!("Active")));
    assert_eq!(v5["created_at"], "2026-05-28 20:26:40.000000", "a space, microseconds, no zone");
}

#[test]
fn children_archived_ones_and_drafts_come_only_when_asked_for() {
    let moengage = unhurried(0);
    let client = client(&moengage);
    moengage.with_campaigns(|list| {
        *list = named(&["plain", "child", "node", "archived", "draft"]);
        list[1].parent_id = Some("plain".to_owned());
        (list[2].flow_id, list[2].flow_name) = (Some("f".to_owned()), Some("Welcome".to_owned()));
        list[3].status = "ARCHIVED".to_owned();
        list[4].status = "DRAFT".to_owned();
    });
    let with = |key: &str, value: Value| {
        let mut body = page(1);
        body[key] = value;
        ids(&client.post(V5, body))
    };
    assert_eq!(ids(&client.post(V5, page(1))), ["plain"]);
    assert_eq!(with("include_child_campaigns", json!(true)), ["plain", "child", "node"]);
    assert_eq!(with("include_archive_campaigns", json!(true)), ["plain", "archived"]);
    assert_eq!(with("campaign_fields", json!({"status": ["DRAFT"]})), ["draft"]);
    assert_eq!(with("campaign_fields", json!({"status": ["ARCHIVED"]})), [""; 0], "the switch is needed too");
    // The place that an example of the documents shows does nothing, and says nothing.
    assert_eq!(with("campaign_fields", json!({"include_archive_campaigns": true})), ["plain"]);
    assert_eq!(moengage.journal().count_of(FindingKind::IgnoredFilter), 1);
}

#[test]
fn filters_pick_campaigns() {
    let moengage = unhurried(0);
    let client = client(&moengage);
    moengage.with_campaigns(|list| {
        *list = vec![
            Campaign { created_at: "2026-01-31 23:59:59.999000".to_owned(), ..Campaign::numbered(0) },
            Campaign {
                created_at: "2026-02-01 00:00:00.000000".to_owned(),
                tags: vec!["summer".to_owned()],
                created_by: "other@example.com".to_owned(),
                ..Campaign::numbered(1)
            },
        ];
    });
    let numbers = |fields: Value| -> Vec<String> {
        let found = ids(&client.post(V5, filtered(fields)));
        found.iter().map(|id| id.trim_start_matches("64a1b2c3d4e5f6a7b8c9d").to_owned()).collect()
    };
    let first = Campaign::numbered(0);
    for (fields, wanted) in [
        (json!({"ids": [first.id]}), vec!["000"]),
        (json!({"ids": [first.campaign_id]}), vec![]),
        (json!({"campaign_delivery_type": ["PERIODIC", "EVENT_TRIGGERED"]}), vec!["001"]),
        (json!({"channels": ["EMAIL"]}), vec!["000"]),
        (json!({"status": ["ACTIVE"]}), vec!["000", "001"]),
        (json!({"name": "paign 1"}), vec!["001"]),
        (json!({"tags": ["summer"]}), vec!["001"]),
        (json!({"created_by": ["marketer@example.com"]}), vec!["000"]),
        (json!({"created_date": {"from_date": "2026-02-01"}}), vec!["001"]),
        (json!({"created_date": {"from_date": "2026-01-31", "to_date": "2026-01-31"}}), vec!["000"]),
        (json!({"created_date": {"to_date": "2026-01-31T23:59:59"}}), vec![]),
        (json!({"channels": ["EMAIL"], "tags": ["summer"]}), vec![]),
    ] {
        assert_eq!(numbers(fields.clone()), wanted, "{fields}");
    }
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for bad in [
        json!({"ids": "one"}),
        json!({"channel": ["EMAIL"]}),
        json!({"channels": ["email"]}),
        json!({"status": ["Active"]}),
        json!({"created_date": {}}),
        json!({"created_date": {"from_date": "01/02/2026"}}),
        json!({"created_date": {"since": "2026-02-01"}}),
    ] {
        assert_eq!(client.post(V5, filtered(bad.clone())).status, 400, "{bad}");
    }
}

#[test]
fn an_old_filter_finds_nothing_in_v5_without_an_error() {
    let moengage = unhurried(20);
    let client = client(&moengage);
    let with = |key: &str| filtered(json!({key: ["ONE_TIME"]}));
    assert_eq!(ids(&client.post(V5, with("campaign_delivery_type"))).len(), 10);
    assert_eq!(ids(&client.post(V5, with("delivery_type"))), [""; 0]);
    assert_eq!(ids(&client.post(V5, filtered(json!({"id": Campaign::numbered(1).id})))), [""; 0]);
    assert_eq!(client.post(V1, with("delivery_type")).json().as_array().unwrap().len(), 10);
    assert_eq!(moengage.journal().count_of(FindingKind::IgnoredFilter), 2);
}

#[test]
fn a_repeated_key_repeats_the_answer() {
    let moengage = unhurried(20);
    let keyless = keyless(&moengage);
    let missing = keyless.post(V5, page(1));
    assert_eq!(
        (missing.status, missing.json()["error"]["code"].as_str()),
        (400, Some("MISSING_IDEMPOTENCY_KEY"))
    );
    let with_key = |key: &str| {
        let headers = [
            ("authorization", KEY),
            ("moe-appkey", "STANDIN"),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        Client::new(&moengage.url(), &headers)
    };
    let same = with_key("0b0b3c42-9b3f-4d8a-9f5e-0a5d2f1f9f11");
    let before = ids(&same.post(V5, page(1)));
    moengage.with_campaigns(Vec::clear);
    assert_eq!(ids(&same.post(V5, page(1))), before, "whatever happened meanwhile");
    let other = same.post(V5, page(2));
    assert_eq!((other.status, other.json()["error"]["code"].as_str()), (400, Some("BAD_REQUEST")));
    let odd = with_key("page-1").post(V5, page(1));
    assert_eq!((odd.status, odd.json()["error"]["code"].as_str()), (400, Some("INVALID_IDEMPOTENCY_KEY")));
    assert_eq!(moengage.violations().len(), 3);
}

#[test]
fn n33_a_search_is_limited_and_says_so() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = client(&moengage);
    for left in (0..10).rev() {
        let answer = client.post(V5, page(1));
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some(&*left.to_string())));
    }
    let refused = client.post(V5, page(1));
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (429, Some("RATE_LIMITED")));
    assert_eq!(
        (refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-reset")),
        (Some("10"), Some("1"))
    );
}

#[test]
fn n21_pages_can_repeat_or_go_in_circles() {
    let moengage = unhurried(60);
    let client = client(&moengage);
    let first = |n: u64| ids(&client.post(V5, page(n))).first().cloned();
    let honest: Vec<_> = (1..=5).map(first).collect();
    moengage.set_search_quirks(SearchQuirks { ignores_page: true, ..SearchQuirks::default() });
    assert_eq!((first(1), first(2), first(9)), (honest[0].clone(), honest[0].clone(), honest[0].clone()));
    moengage.set_search_quirks(SearchQuirks { period: 3, ..SearchQuirks::default() });
    let circle: Vec<_> = (1..=7).map(first).collect();
    let wanted: Vec<_> = [0, 1, 2, 0, 1, 2, 0].map(|n: usize| honest[n].clone()).into();
    assert_eq!(circle, wanted);
    moengage.set_search_quirks(SearchQuirks::default());
    assert_eq!((1..=5).map(first).collect::<Vec<_>>(), honest);
}

#[test]
fn n24_pages_in_the_middle_can_be_short_or_empty() {
    let moengage = unhurried(40);
    let client = client(&moengage);
    let lengths = || -> Vec<usize> { (1..=5).map(|n| ids(&client.post(V5, page(n))).len()).collect() };
    assert_eq!(lengths(), [15, 15, 10, 0, 0]);
    moengage.set_search_quirks(SearchQuirks { empty_pages: [2].into(), ..SearchQuirks::default() });
    assert_eq!(lengths(), [15, 0, 15, 10, 0]);
    moengage.set_search_quirks(SearchQuirks { filters_after_paging: true, ..SearchQuirks::default() });
    moengage.with_campaigns(|list| {
        for campaign in &mut list[3..8] {
            campaign.status = "DRAFT".to_owned();
        }
        for campaign in &mut list[15..30] {
            campaign.status = "ARCHIVED".to_owned();
        }
    });
    assert_eq!(lengths(), [10, 0, 10, 0, 0]);
}

#[test]
fn n22_the_list_can_change_between_two_pages() {
    let moengage = unhurried(30);
    let client = client(&moengage);
    let deleted = moengage.with_campaigns(|list| list[0].id.clone());
    let change = |after, change| Planned { after, change };
    moengage.set_search_quirks(SearchQuirks {
        changes: vec![
            change(1, Change::Insert(Box::new(Campaign { id: "new".to_owned(), ..Campaign::default() }))),
            change(2, Change::Delete(deleted.clone())),
            change(2, Change::Delete("nobody".to_owned())),
        ],
        ..SearchQuirks::default()
    });
    let pages: Vec<Vec<String>> = (1..=3).map(|n| ids(&client.post(V5, page(n)))).collect();
    assert_eq!(pages[1][0], pages[0][14], "moved down by the new one");
    assert_eq!((pages[1].len(), pages[2].len()), (15, 0), "and up again by the deletion");
    let again = ids(&client.post(V5, page(1)));
    assert!(again.contains(&"new".to_owned()) && !again.contains(&deleted));
}

#[test]
fn a_person_can_change_campaigns_and_searches_over_http() {
    let moengage = unhurried(1);
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let change = |body: Value| control.post("/_control/campaigns", body).status;
    assert_eq!(change(json!({"insert": {"id": "new", "channel": "PUSH"}})), 204);
    assert_eq!(change(json!({"update": {"id": "new", "set": {"status": "PAUSED"}}})), 204);
    assert_eq!(change(json!({"delete": "nobody"})), 400);
    assert_eq!(change(json!({"insert": {"idd": "new"}})), 400);
    let held = control.get("/_control/state").json()["campaigns"].clone();
    assert_eq!((&held[0]["id"], &held[0]["status"]), (&json!("new"), &json!("PAUSED")));
    let quirks = json!({"empty_pages": [1], "changes": [{"after": 1, "change": {"delete": "new"}}]});
    assert_eq!(control.post("/_control/search-quirks", quirks).status, 204);
    assert_eq!(control.post("/_control/search-quirks", json!({"empty": 1})).status, 400);
    let client = client(&moengage);
    assert_eq!(ids(&client.post(V5, page(1))), [""; 0]);
    assert_eq!(ids(&client.post(V5, page(2))), [Campaign::numbered(0).id]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The stand-in itself loses nothing: whatever the quirks of short and empty pages, a reader
    /// that goes on past them until long after the end has each campaign once.
    #[test]
    fn n24_all_pages_together_are_the_whole_list(
        campaigns in 0_usize..70,
        limit in 1_u64..=15,
        empty in prop::collection::btree_set(1_u64..6, 0..4),
        hidden in prop::collection::vec(any::<bool>(), 70),
        filters_after_paging in any::<bool>(),
    ) {
        let moengage = unhurried(campaigns);
        let client = client(&moengage);
        let wanted = moengage.with_campaigns(|list| {
            for (campaign, hidden) in list.iter_mut().zip(&hidden) {
                campaign.parent_id = hidden.then(|| "parent".to_owned());
            }
            let shown = list.iter().filter(|campaign| !campaign.is_child());
            shown.map(|campaign| campaign.id.clone()).collect::<Vec<_>>()
        });
        let pages = campaigns as u64 / limit + 2 + empty.len() as u64;
        moengage.set_search_quirks(SearchQuirks {
            filters_after_paging, empty_pages: empty, ..SearchQuirks::default()
        });
        let mut found = Vec::new();
        for n in 1..=pages {
            let rows = ids(&client.post(V5, json!({"request_id": "r", "limit": limit, "page": n})));
            prop_assert!(rows.len() as u64 <= limit);
            found.extend(rows);
        }
        prop_assert_eq!(found, wanted);
    }
}
