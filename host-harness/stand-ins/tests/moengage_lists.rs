//! Business events, offers, locales and content blocks through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::{Access, Family, MoEngage, Options, Readings, Table};

const EVENTS: &str = "/v5/business-events";
const LEGACY: &str = "/v1.0/business_event/search";
const BLOCKS: &str = "/v1/external/campaigns/content-blocks";

fn start() -> (MoEngage, Client) {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e6), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

/// Host time that stands still, so that windows stay full.
fn still() -> (MoEngage, Client) {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

/// One member of each row of `data`.
fn each(answer: &Answer, member: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| row[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn business_events_are_listed_and_searched() {
    let (moengage, client) = start();
    let all = client.get(EVENTS);
    assert_eq!(each(&all, "name"), ["price_drop", "back_in_stock", "new_episode"]);
    let body = all.json();
    assert_eq!(
        (&body["type"], &body["pagination"]),
        (&json!("business-events"), &json!({"has_more": false}))
    );
    assert_eq!(body["response_id"], format!("resp_{}", all.header("x-moe-request-id").unwrap()));
    let first = client.get(&format!("{EVENTS}?limit=2"));
    let cursor = first.json()["pagination"]["next_cursor"].as_str().unwrap().to_owned();
    let rest = client.post("/v5/business-events/search", json!({"limit": 2, "cursor": cursor}));
    assert_eq!(each(&rest, "name"), ["new_episode"]);
    assert_eq!(each(&client.get(&format!("{EVENTS}?name=price_drop")), "id"), ["67a2c4f18d3b5e0a9c1f4e03"]);
    assert_eq!(each(&client.get(&format!("{EVENTS}?id=67a2c4f18d3b5e0a9c1f4e01")), "name"), ["new_episode"]);
    let search = |filters: Value| client.post("/v5/business-events/search", json!({"filters": filters}));
    assert_eq!(each(&search(json!({"names": ["new_episode", "none"]})), "name"), ["new_episode"]);
    assert_eq!(each(&search(json!({"ids": []})), "name"), [""; 0]);
    assert_eq!(
        each(&client.send("POST", "/v5/business-events/search", Value::Null), "name").len(),
        3,
        "no body: all"
    );
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    let both = search(json!({"names": ["a"], "ids": ["b"]}));
    assert_eq!((both.status, &both.json()["error"]["code"]), (400, &json!("INVALID_REQUEST")));
    for bad in ["?name=a&id=b", "?limit=21", "?limit=0", "?limit=x", "?page=1", "?name=a&name=b"] {
        assert_eq!(client.get(&format!("{EVENTS}{bad}")).status, 400, "{bad}");
    }
    assert_eq!(client.post("/v5/business-events/search", json!({"names": ["a"]})).status, 400);
    assert_eq!(moengage.violations().len(), 8);
}

#[test]
fn the_legacy_search_names_the_same_event_otherwise() {
    let (moengage, client) = start();
    let by_id = client.post(LEGACY, json!({"event_ids": ["67a2c4f18d3b5e0a9c1f4e03"]}));
    let event = by_id.json()["data"][0].clone();
    assert_eq!(
        (&event["event_name"], &event["created_at"]),
        (&json!("price_drop"), &json!("2026-05-03T09:12:00.000000"))
    );
    assert_eq!(
        event["event_attributes"][1],
        json!({"attribute_name": "new_price", "attribute_data_type": "float"})
    );
    moengage.with_rows(Table::BusinessEvents, |rows| rows[2]["legacy"] = json!({"usage_count": 7}));
    let by_name = client.post(LEGACY, json!({"event_names": ["new_episode", "none"]})).json();
    assert_eq!(
        (by_name["data"].as_array().unwrap().len(), &by_name["data"][0]["usage_count"]),
        (1, &json!(7))
    );
    assert!(client.get(EVENTS).json()["data"][2].get("legacy").is_none());
    assert!(moengage.violations().is_empty());
    let unknown = client.post(LEGACY, json!({"event_name": "price_drop"}));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (400, &json!("400 Bad Request")));
    assert!(unknown.json()["error"]["request_id"].as_str().unwrap().len() == 8);
    assert_eq!(client.post(LEGACY, json!({})).status, 400);
}

#[test]
fn n33_each_call_of_business_events_has_windows_of_its_own() {
    let (_moengage, client) = still();
    for (limit, ask) in [
        (60, Box::new(|| client.get(EVENTS)) as Box<dyn Fn() -> Answer>),
        (30, Box::new(|| client.post("/v5/business-events/search", json!({})))),
        (100, Box::new(|| client.post(LEGACY, json!({"event_ids": []})))),
    ] {
        for n in 0..limit {
            assert_eq!(ask().status, 200, "{n} of {limit}");
        }
        let limited = ask();
        assert_eq!(limited.status, 429, "{limit}");
        let body = limited.json();
        if limit == 100 {
            assert_eq!(
                (&body["data"]["title"], limited.header("retry-after")),
                (&json!("rate limiter exception"), None)
            );
        } else {
            assert_eq!(
                (&body["error"]["code"], limited.header("retry-after")),
                (&json!("RATE_LIMIT_EXCEEDED"), Some("60"))
            );
        }
    }
}

#[test]
fn offers_have_a_total_and_times_in_nanoseconds() {
    let (moengage, client) = start();
    let names = |query: &str| each(&client.get(&format!("/v5/offers{query}")), "name");
    assert_eq!(names("").len(), 4);
    let first = client.get("/v5/offers?limit=3").json();
    assert_eq!(
        (&first["type"], &first["data"][0]["created_at"]),
        (&json!("offer"), &json!("2026-06-24T12:29:41.225270281Z"))
    );
    let pagination = &first["pagination"];
    assert_eq!(
        (&pagination["total_count"], &pagination["has_more"], &pagination["limit"]),
        (&json!(4), &json!(true), &json!(3))
    );
    let cursor = pagination["next_cursor"].as_str().unwrap().replace('=', "%3D");
    let last = client.get(&format!("/v5/offers?limit=3&cursor={cursor}")).json()["pagination"].clone();
    assert_eq!((&last["next_cursor"], &last["has_more"]), (&Value::Null, &json!(false)));
    for (query, wanted) in [
        ("?name_contains=sale", vec!["Summer_Sale_2026", "Winter_Sale_2025"]),
        ("?status_in=active,draft", vec!["Autumn_Draft", "Birthday_Gift"]),
        ("?tags=6a4f69ee490f66322f968c01", vec!["Birthday_Gift", "Summer_Sale_2026"]),
        ("?tags=6a4f69ee490f66322f968c01&tags=tag_6a4f69ee490f66322f968c02", vec!["Summer_Sale_2026"]),
        (
            "?created_date_gte=2026-06-22&created_date_lte=2026-06-23",
            vec!["Birthday_Gift", "Summer_Sale_2026"],
        ),
        ("?created_by=other@example.com,marketer@example.com&status_in=expired", vec!["Winter_Sale_2025"]),
        ("?id=offer_6a4f69ee490f66322f968b01", vec!["Winter_Sale_2025"]),
    ] {
        assert_eq!(names(query), wanted, "{query}");
    }
    let sparse = client.get("/v5/offers?fields=id,name").json()["data"][0].clone();
    assert_eq!(sparse.as_object().unwrap().len(), 2);
    let templates = client.get("/v5/offers/templates").json();
    assert_eq!(
        (&templates["type"], &templates["data"][0]["value"]),
        (&json!("template"), &json!("app_small"))
    );
    assert_eq!(templates["pagination"]["total_count"], 2);
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for (bad, code) in [
        ("?limit=101", "OUT_OF_RANGE"),
        ("?cursor=none", "INVALID_CURSOR"),
        ("?status_in=ACTIVE", "INVALID_ENUM_VALUE"),
        ("?fields=id,price", "INVALID_FIELDS_PARAM"),
        ("?created_date_gte=22/06/2026", "INVALID_TYPE"),
        ("?status=active", "INVALID_VALUE"),
    ] {
        let refused = client.get(&format!("/v5/offers{bad}"));
        assert_eq!(
            (refused.status, &refused.json()["error"]["details"][0]["code"]),
            (400, &json!(code)),
            "{bad}"
        );
    }
}

#[test]
fn ids_of_exchanges_are_uuids() {
    let (moengage, client) = start();
    let uuid = "9f2c1b7a-4d3e-4a08-b5c6-1e7d02f43a91";
    let client = client.with("x-moe-request-id", uuid);
    for path in ["/v5/offers", "/v5/offers/templates", EVENTS, "/v5/locales"] {
        let answer = client.get(path);
        assert_eq!(answer.header("x-moe-request-id"), Some(uuid), "{path}");
        assert_eq!(answer.json()["response_id"], format!("resp_{uuid}"), "{path}");
    }
    assert!(moengage.violations().is_empty());
    let (moengage, client) = start();
    let client = client.with("x-moe-request-id", "mine");
    assert_eq!(client.get("/v5/locales").status, 200, "not asked for");
    for path in ["/v5/offers", "/v5/offers/templates", EVENTS] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    assert_eq!(client.post("/v5/business-events/search", json!({})).status, 400);
    assert_eq!(moengage.violations().len(), 4);
}

#[test]
fn a_fault_limits_each_call_in_its_own_words() {
    let (moengage, client) = start();
    moengage.faults().add(Rule::any(Fault::rate_limited(true))).unwrap();
    let offers = client.get("/v5/offers");
    assert_eq!(
        (&offers.json()["error"]["doc_url"].is_string(), offers.header("retry-after")),
        (&true, Some("1"))
    );
    assert_eq!(offers.header("x-ratelimit-limit"), Some("150"));
    let locales = client.get("/v5/locales");
    assert_eq!(
        (&locales.json()["error"]["code"], locales.header("retry-after")),
        (&json!("RATE_LIMITED"), None)
    );
    let segments = client.get("/v3/custom-segments").json();
    assert_eq!(segments["type"], "custom_segment");
}

#[test]
fn the_gateway_of_offers_refuses_a_key_in_plain_text() {
    let (moengage, client) = start();
    let personalize = Client::moengage(&moengage, "personalize-key");
    let refused = personalize.get("/v5/offers");
    assert_eq!((refused.status, refused.header("content-type")), (401, Some("text/plain")));
    assert_eq!(refused.json()["code"], "ER001");
    moengage.set_access(Family::Campaigns, Access::NoPermission);
    let forbidden = client.get("/v5/offers");
    assert_eq!((forbidden.status, &forbidden.json()["code"]), (403, &json!("ER007")));
    // The other reading of the documents.
    let keys = [("/v5/offers".to_owned(), Family::Personalize)].into_iter().collect();
    moengage.set_readings(Readings { keys, ..Readings::default() });
    assert_eq!(personalize.get("/v5/offers").status, 200);
}

#[test]
fn locales_are_found_by_name_or_id() {
    let (moengage, client) = start();
    let names = |query: &str| each(&client.get(&format!("/v5/locales{query}")), "name");
    assert_eq!(names(""), ["es-MX", "de-DE", "fr-FR"]);
    assert_eq!(names("?name=de-DE"), ["de-DE"]);
    assert_eq!(names("?id=6a10ae88f3a1896d59d5c003"), ["fr-FR"]);
    assert_eq!(
        client.get("/v5/locales?limit=3").json()["pagination"],
        json!({"has_more": false, "next_cursor": null})
    );
    assert!(moengage.violations().is_empty());
    let both = client.get("/v5/locales?name=a&id=b");
    assert_eq!((both.status, &both.json()["error"]["details"][0]["code"]), (400, &json!("INVALID_VALUE")));
    assert_eq!(client.get("/v5/locales?limit=21").status, 400);
    moengage.set_access(Family::Campaigns, Access::NoPermission);
    let forbidden = client.get("/v5/locales").json();
    assert_eq!(forbidden["error"]["details"][0]["message"], "Required permission: locales:view");
}

#[test]
fn content_blocks_are_searched_whole_and_read_by_their_ids() {
    let (moengage, client) = start();
    let search = |filters: Value| client.post(&format!("{BLOCKS}/search"), json!({"filters": filters}));
    assert_eq!(each(&search(json!({})), "name"), ["Header", "Imprint", "Old header"]);
    assert!(search(json!({})).json()["data"][0].get("content").is_none());
    for (filters, wanted) in [
        (json!({"content_type": ["HTML"], "status": ["ACTIVE"]}), vec!["Header"]),
        (json!({"status": ["ARCHIVED"]}), vec!["Old header"]),
        (json!({"search_text": "print"}), vec!["Imprint"]),
        (json!({"tag_ids": ["none"]}), vec![]),
        (
            json!({"team_ids": ["0"], "updated_by": ["marketer@example.com"], "content_type": ["TEXT"]}),
            vec!["Imprint"],
        ),
    ] {
        assert_eq!(each(&search(filters.clone()), "name"), wanted, "{filters}");
    }
    let by_ids = |body: Value| client.post(&format!("{BLOCKS}/get-by-ids"), body);
    let id = "61dd90a4cdfd67a8d48ef601";
    let block = by_ids(json!({"ids": [id, "none"]})).json()["data"].clone();
    assert_eq!((block.as_array().unwrap().len(), &block[0]["content"]), (1, &json!("<h1>Hello</h1>")));
    assert_eq!(
        (&block[0]["updated_at"], block[0].get("raw_content")),
        (&json!("2026-02-11T14:15:31.254000"), None)
    );
    let raw = by_ids(json!({"ids": [id], "is_raw_content_required": true})).json();
    assert_eq!(raw["data"][0]["raw_content"], "<h1>Hello</h1>");
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    for bad in [json!({"status": ["DRAFT"]}), json!({"status": "ACTIVE"}), json!({"page": 1})] {
        let refused = search(bad.clone());
        assert_eq!((refused.status, &refused.json()["title"]), (400, &json!("Invalid Field Value")), "{bad}");
    }
    assert_eq!(by_ids(json!({})).status, 400);
    let other = Client::moengage(&moengage, "data-key").post(&format!("{BLOCKS}/search"), json!({}));
    assert_eq!((other.status, other.json()["code"].as_str().unwrap().len()), (401, 8));
}
