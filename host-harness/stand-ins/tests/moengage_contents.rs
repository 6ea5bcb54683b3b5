//! Catalogs, cards, coupons and recommendations, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{Absent, MoEngage, Options, PageQuirks, Table, User};

const ITEMS: &str = "/v1/catalog/catalog-1/items/search";
const CARDS: &str = "/v1/cards/fetch";
const COUPONS: &str = "/v1/coupon-list";
const TRENDING: &str = "/v1/recommendations/a1b2c3d4e5f6a7b8c9d0e1f2";

fn started() -> (MoEngage, Client) {
    let scale = Scale::from_now(100_000.0);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

#[test]
fn items_come_by_known_ids() {
    let (moengage, client) = started();
    let found = client.post(ITEMS, json!({"items": ["P002", "P404", "P001"]})).json();
    let ids: Vec<&str> =
        found["items"].as_array().unwrap().iter().map(|row| row["product_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["P002", "P001"]);
    assert_eq!(
        (&found["items"][0]["last_updated"], &found["items"][0]["store_location"]),
        (&json!("2026-05-10T07:03:00.18Z"), &json!("12.9716,77.5946"))
    );
    let unknown = client.post("/v1/catalog/other/items/search", json!({"items": ["P001"]}));
    assert_eq!((unknown.status, &unknown.json()["error-code"]), (404, &json!("catalog-not-found")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    let many: Vec<String> = (0..51).map(|n| format!("P{n}")).collect();
    for wrong in [
        json!({"items": []}),
        json!({"items": many}),
        json!({"items": [1]}),
        json!({"items": ["a"], "page": 1}),
        json!({}),
    ] {
        let refused = client.post(ITEMS, wrong.clone());
        assert_eq!(
            (refused.status, &refused.json()["error-code"]),
            (400, &json!("invalid-request")),
            "{wrong}"
        );
    }
    let large = client.try_send("POST", ITEMS, &vec![b' '; (5 << 20) + 1]).unwrap();
    assert_eq!((large.status, &large.json()["error-code"]), (413, &json!("payload-size-exceeded")));
    let other = Client::moengage(&moengage, "data-key").post(ITEMS, json!({"items": ["P001"]}));
    assert_eq!((other.status, &other.json()["error-code"]), (401, &json!("request-unauthenticated")));
}

#[test]
fn n33_a_catalog_is_read_a_hundred_times_a_minute() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    for _ in 0..100 {
        assert_eq!(client.post(ITEMS, json!({"items": ["P001"]})).status, 200);
    }
    let refused = client.post(ITEMS, json!({"items": ["P001"]}));
    assert_eq!(
        (refused.status, refused.text(), refused.header("x-ratelimit-limit")),
        (429, String::new(), Some("100"))
    );
}

#[test]
fn n22_items_come_and_go_and_a_body_can_be_wrong() {
    let (moengage, client) = started();
    let quirks = PageQuirks {
        absent: vec![Absent { id: "P001".to_owned(), from: 2, to: 2 }],
        bodies: [(3, "<html>".to_owned())].into(),
        ..PageQuirks::default()
    };
    moengage.set_page_quirks("/v1/catalog/{catalog_id}/items/search", quirks).unwrap();
    let read = || client.post(ITEMS, json!({"items": ["P001"]}));
    let counts: Vec<usize> = (0..2).map(|_| read().json()["items"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [1, 0]);
    let wrong = read();
    assert_eq!((wrong.status, wrong.text().as_str()), (200, "<html>"));
}

fn cards(answer: &Answer) -> Vec<String> {
    answer.json()["data"]["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|card| card["platform"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn cards_are_of_one_person_and_their_status_is_a_boolean() {
    let (moengage, client) = started();
    let body = || json!({"uid": "user-000001"});
    let all = client.post(CARDS, body());
    assert_eq!(
        (&all.json()["status"], cards(&all)),
        (&json!(true), vec!["android".to_owned(), "web".to_owned()])
    );
    assert_eq!(all.json()["data"]["cards"][0].get("uid"), None, "whose they are is not said");
    assert_eq!(
        cards(&client.post(&format!("{CARDS}?page=2&limit=1"), json!({"unique_id": "device-000001"}))),
        ["web"]
    );
    let filtered =
        json!({"uid": "user-000001", "platforms": ["WEB", "IOS"], "card_category": "Announcements"});
    assert_eq!(cards(&client.post(CARDS, filtered)), ["web"]);
    // What was fetched before and didn't change stays away; what is gone is named.
    let ids: Vec<Value> =
        all.json()["data"]["cards"].as_array().unwrap().iter().map(|card| card["id"].clone()).collect();
    let later = json!({"uid": "user-000001", "prev_sync_card_ids": [ids[0], ids[1], "gone"], "last_updated_time": 1_780_000_100});
    let later = client.post(CARDS, later);
    assert_eq!(
        (cards(&later), &later.json()["data"]["deleted_card_ids"]),
        (vec!["web".to_owned()], &json!(["gone"]))
    );
    let nobody = client.post(CARDS, json!({"uid": "nobody"}));
    assert_eq!((nobody.status, &nobody.json()["status"]), (400, &json!(false)));
    moengage.set_users([User {
        id: "1".to_owned(),
        customer_id: Some("nobody".to_owned()),
        attributes: Default::default(),
    }]);
    assert_eq!(cards(&client.post(CARDS, json!({"uid": "nobody"}))), [""; 0]);
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (query, wrong) in [
        ("", json!({})),
        ("?page=0", body()),
        ("?limit=x", body()),
        ("?offset=1", body()),
        ("", json!({"uid": "user-000001", "platforms": ["android"]})),
        ("", json!({"uid": "user-000001", "limit": 1})),
    ] {
        let refused = client.post(&format!("{CARDS}{query}"), wrong.clone());
        assert_eq!((refused.status, &refused.json()["status"]), (400, &json!(false)), "{query} {wrong}");
    }
    let other = Client::moengage(&moengage, "other").post(CARDS, body());
    assert_eq!((other.status, &other.json()["title"]), (401, &json!("Authentication Failure")));
}

#[test]
fn coupon_lists_never_hold_a_code() {
    let (moengage, client) = started();
    let all = client.get(COUPONS).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    let archived = client.get("/v1/coupon-list?status=ARCHIVED").json();
    assert_eq!(
        (&archived["data"][0]["label"], archived["data"].as_array().unwrap().len()),
        (&json!("coupons_1"), 1)
    );
    assert_eq!(all["data"][0]["email_alert_subscribers"], "john.doe@example.com", "one text in the list");
    let one = client.get(&format!("{COUPONS}/{}", all["data"][0]["_id"].as_str().unwrap())).json();
    assert_eq!(
        (&one["available_coupons"], &one["email_alert_subscribers"]),
        (&json!(40), &json!(["john.doe@example.com"]))
    );
    let unknown = client.get(&format!("{COUPONS}/nobody"));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (400, &json!("bad-request")));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for path in ["/v1/coupon-list?status=active", "/v1/coupon-list?page=1"] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    // The files of a list hold its codes: there is no such call here.
    assert_eq!(client.get(&format!("{COUPONS}/nobody/files")).status, 404);
    let other = Client::moengage(&moengage, "other").get(COUPONS);
    assert_eq!((other.status, &other.json()["error"]["code"]), (401, &json!("request-unauthenticated")));
}

#[test]
fn recommendations_say_what_they_are_and_what_they_recommend() {
    let (moengage, client) = started();
    let details = client.get(TRENDING).json();
    assert_eq!((&details["recommendation_type"], details.get("items")), (&json!("trending_item"), None));
    let of = |kind: &str| {
        let token = "Basic U1RBTkRJTjpjYW1wYWlnbnMta2V5";
        Client::new(
            &moengage.url(),
            &[
                ("authorization", token),
                ("moe-appkey", "STANDIN"),
                ("content-type", "application/json"),
                ("recommendation-type", kind),
            ],
        )
    };
    let items = format!("{TRENDING}/items");
    let found = of("trending_item")
        .post(&items, json!({"user_id": "user-000001", "include_fields": ["title"]}))
        .json();
    assert_eq!(found["items"][0], json!({"item_id": "P001", "title": "Product 1"}));
    let unknown = of("user_action").post(&items, json!({"user_id": "user-000001"}));
    assert_eq!(
        (unknown.status, &unknown.json()["error-code"]),
        (400, &json!("recommendation does not exist"))
    );
    assert_eq!(
        client.get("/v1/recommendations/nobody").json()["error-code"],
        "recommendation does not exist"
    );
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (kind, wrong) in [
        ("other", json!({"user_id": "u"})),
        ("trending_item", json!({})),
        ("trending_item", json!({"user_id": "u", "limit": 5})),
        ("similar_item", json!({"user_id": "u"})),
    ] {
        let refused = of(kind).post(&items, wrong.clone());
        assert_eq!(
            (refused.status, &refused.json()["error-code"]),
            (400, &json!("invalid-request-format")),
            "{kind} {wrong}"
        );
    }
    moengage.with_rows(Table::Recommendations, |rows| rows[0]["status"] = json!("archived"));
    assert_eq!(of("trending_item").post(&items, json!({"user_id": "u"})).status, 400);
}
