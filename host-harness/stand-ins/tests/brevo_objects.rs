//! Products and custom objects of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, ObjectType, Options, Plan};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};

const UPSERT: &str = "/v3/objects/moengage_campaign/batch/upsert";
const RECORDS: &str = "/v3/objects/moengage_campaign/records?limit=10&page_num=1";

fn campaigns() -> ObjectType {
    let attributes = [("name", "text"), ("sent", "number"), ("live", "boolean"), ("started", "date")];
    let attributes = attributes.map(|(key, kind)| (key.to_owned(), kind.to_owned())).to_vec();
    ObjectType { name: "moengage_campaign".to_owned(), attributes }
}

fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    (brevo, client)
}

/// A batch takes effect before the next request.
fn brevo() -> (Brevo, Client) {
    start(Options {
        plan: Plan::Unlimited,
        objects: Some(vec![campaigns()]),
        object_delay: Duration::ZERO,
        ..Options::default()
    })
}

fn product(id: &str) -> Value {
    json!({"id": id, "name": "Shoe", "price": 9.5, "url": "https://example.com/shoe", "metaInfo": {"brand": "A"}})
}

fn with(key: &str, value: Value) -> Value {
    let mut changed = product("p");
    changed[key] = value;
    changed
}

fn record(ext_id: &str, attributes: Value) -> Value {
    json!({"records": [{"identifiers": {"ext_id": ext_id}, "attributes": attributes}]})
}

#[test]
fn a_product_is_made_once_and_updated_where_that_is_allowed() {
    let (brevo, client) = brevo();
    let made = client.post("/v3/products", product("a/1"));
    assert_eq!((made.status, made.json()["id"].is_i64()), (201, true));
    let again = client.post("/v3/products", product("a/1"));
    assert_eq!((again.status, again.code().as_str()), (400, "duplicate_parameter"));
    let update = json!({"id": "a/1", "name": "Boot", "isDeleted": true, "updateEnabled": true});
    let updated = client.post("/v3/products", update);
    assert_eq!((updated.status, updated.body.as_deref()), (204, Some(&b""[..])));
    let new = client.post("/v3/products", with("updateEnabled", json!(true)));
    assert_eq!(new.status, 201);
    let read = client.get("/v3/products/a%2F1").json();
    for (name, value) in [
        ("id", json!("a/1")),
        ("name", json!("Boot")),
        ("price", json!(9.5)),
        ("isDeleted", json!(true)),
        ("metaInfo", json!({"brand": "A"})),
    ] {
        assert_eq!(read[name], value, "{name}");
    }
    for name in ["createdAt", "modifiedAt", "s3ThumbAnalytics", "s3ThumbEditor"] {
        assert!(read[name].is_string(), "{name}");
    }
    let missing = client.get("/v3/products/nobody");
    assert_eq!((missing.status, missing.code().as_str()), (404, "document_not_found"));
    assert_eq!(brevo.products()[0].written_by.len(), 2);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn a_batch_of_products_is_taken_whole_or_not_at_all() {
    let (brevo, client) = brevo();
    let batch = |ids: &[&str], update: bool| {
        let products: Vec<Value> = ids.iter().map(|id| product(id)).collect();
        client.post("/v3/products/batch", json!({"products": products, "updateEnabled": update}))
    };
    let made = batch(&["a", "b"], false);
    assert_eq!((made.status, made.json()), (201, json!({"createdCount": 2, "updatedCount": 0})));
    let clash = batch(&["c", "a"], false);
    assert_eq!((clash.status, clash.code().as_str()), (400, "duplicate_parameter"));
    assert_eq!(brevo.products().len(), 2);
    assert_eq!(batch(&["c", "a"], true).json(), json!({"createdCount": 1, "updatedCount": 1}));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    assert_eq!(batch(&["d", "d"], true).status, 400);
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    assert_eq!(batch(&many.iter().map(String::as_str).collect::<Vec<_>>(), true).status, 400);
    assert_eq!(batch(&[], true).status, 400);
    let one_bad = json!({"products": [product("e"), {"id": "f"}]});
    assert_eq!(client.post("/v3/products/batch", one_bad).status, 400);
    assert_eq!((brevo.violations().len(), brevo.products().len()), (4, 3));
}

#[test]
fn undocumented_products_are_refused() {
    let (brevo, client) = brevo();
    let meta: serde_json::Map<String, Value> = (0..21).map(|n| (format!("k{n}"), json!(n))).collect();
    let refused = [
        json!({"id": "p"}),
        json!({"name": "Shoe"}),
        with("id", json!(1)),
        with("id", json!("")),
        with("price", json!("9.5")),
        with("price", Value::Null),
        with("image_url", json!("https://example.com/a.png")),
        with("imageUrl", json!("/a.png")),
        with("categories", json!("shoes")),
        with("deletedAt", json!("yesterday")),
        with("metaInfo", json!({"weight": 1.5})),
        with("metaInfo", json!({"live": true})),
        with("metaInfo", json!(meta)),
        with("metaInfo", json!({"text": "x".repeat(20_000)})),
        with("updateEnabled", json!("true")),
    ];
    let many = refused.len();
    for body in refused {
        assert_eq!(client.post("/v3/products", body.clone()).status, 400, "{body}");
    }
    assert_eq!(client.get("/v3/products/p?fields=id").status, 400);
    assert_eq!(brevo.violations().len(), many + 1, "{:?}", brevo.violations());
    assert!(brevo.products().is_empty());
}

#[test]
fn records_are_made_and_updated_in_the_background() {
    let (brevo, client) = brevo();
    let taken = client.post(
        UPSERT,
        record("c1", json!({"name": "Sale", "sent": 3, "live": true, "started": "2026-11-01"})),
    );
    assert_eq!((taken.status, taken.json()["processId"].as_i64()), (202, Some(1)));
    assert!(taken.json()["message"].is_string());
    let process = client.get("/v3/processes/1").json();
    assert_eq!((process["status"].as_str(), process.get("info")), (Some("completed"), None));
    client.post(UPSERT, record("c1", json!({"sent": 4})));
    let read = client.get(RECORDS).json();
    assert_eq!(read["count"], 1);
    let row = &read["records"][0];
    assert_eq!(row["identifiers"], json!({"id": 1, "ext_id": "c1"}));
    assert_eq!(row["attributes"], json!({"name": "Sale", "sent": 4, "live": true, "started": "2026-11-01"}));
    assert!(
        row["createdAt"].is_string() && row["updatedAt"].is_string() && row.get("associations").is_none()
    );
    // Without identifiers each is a new one; an id that nobody has is rejected in silence.
    let unnamed = json!({"records": [{"attributes": {"name": "x"}}]});
    client.post(UPSERT, unnamed.clone());
    client.post(UPSERT, unnamed);
    let strange = json!({"records": [{"identifiers": {"id": 99}, "attributes": {"name": "x"}}]});
    assert_eq!(client.post(UPSERT, strange).status, 202);
    client.post(UPSERT, json!({"records": [{"identifiers": {"id": 1}, "attributes": {"name": "By id"}}]}));
    let ids: Vec<(i64, usize)> = brevo.object_records().iter().map(|r| (r.id, r.written_by.len())).collect();
    assert_eq!(ids, [(1, 3), (2, 1), (3, 1)]);
    let page = client
        .get("/v3/objects/moengage_campaign/records?limit=2&page_num=2&sort=asc&association=true")
        .json();
    assert_eq!((page["count"].as_i64(), &page["records"][0]["identifiers"]), (Some(3), &json!({"id": 3})));
    assert_eq!(page["records"][0]["associations"], json!([]));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn what_the_schema_does_not_know_is_dropped_in_silence() {
    let (brevo, client) = brevo();
    let odd = json!({"name": "Sale", "Name": "x", "sent": "3", "live": 1, "started": "soon"});
    assert_eq!(client.post(UPSERT, record("c1", odd)).status, 202);
    assert_eq!(client.post(UPSERT, record("c2", json!({"title": "nothing that is known"}))).status, 202);
    let records = brevo.object_records();
    assert_eq!(records.len(), 1);
    assert_eq!(json!(records[0].attributes), json!({"name": "Sale"}));
    assert_eq!(brevo.ignored_attributes().len(), 5);
    assert!(brevo.violations().is_empty());
}

#[test]
fn a_batch_takes_its_time() {
    let hour = Duration::from_secs(3_600);
    let options = Options { plan: Plan::Unlimited, objects: Some(vec![campaigns()]), ..Options::default() };
    let (brevo, client) = start(Options { scale: Scale::from_now(2_000.0), object_delay: hour, ..options });
    client.post(UPSERT, record("c1", json!({"name": "Sale"})));
    assert_eq!(client.get("/v3/processes/1").json()["status"], "queued");
    let process = brevo.processes().remove(0);
    for (until, status, count) in [(process.starts_at, "in_process", 0), (process.ends_at, "completed", 1)] {
        while brevo.now() < until {
            std::thread::yield_now();
        }
        assert_eq!(client.get("/v3/processes/1").json()["status"], status);
        assert_eq!(client.get(RECORDS).json()["count"], count);
    }
}

#[test]
fn undocumented_batches_are_refused() {
    let (brevo, client) = brevo();
    let one =
        |identifiers: Value| json!({"records": [{"identifiers": identifiers, "attributes": {"name": "x"}}]});
    let heavy: Vec<Value> =
        (0..600).map(|n| json!({"attributes": {"name": "x".repeat(1_750 + n)}})).collect();
    let refused = [
        json!({"records": []}),
        json!({"records": vec![json!({"attributes": {"name": "x"}}); 1_001]}),
        json!({"records": heavy}),
        json!([]),
        one(json!({"id": 1, "ext_id": "c1"})),
        one(json!({"ext_id": ""})),
        one(json!({"ids": 1})),
        one(json!({"ext_id": 1})),
        record("c1", json!({})),
        record("c1", json!([])),
        json!({"records": [{"identifiers": {"ext_id": "c1"}}]}),
    ];
    let many = refused.len();
    for body in refused {
        assert_eq!(client.post(UPSERT, body).status, 400);
    }
    for query in [
        "",
        "?limit=10",
        "?page_num=1",
        "?limit=10&page_num=0",
        "?limit=1001&page_num=1",
        "?limit=1&page_num=1&offset=1",
    ] {
        assert_eq!(
            client.get(&format!("/v3/objects/moengage_campaign/records{query}")).status,
            400,
            "{query}"
        );
    }
    assert_eq!(brevo.violations().len(), many + 6, "{:?}", brevo.violations());
    let body = record("c1", json!({"name": "x"}));
    assert_eq!(client.post("/v3/objects/other/batch/upsert", body.clone()).status, 404);
    assert_eq!(client.get("/v3/objects/other/records?limit=1&page_num=1").status, 400);
    assert_eq!(client.post("/v3/objects/Other/batch/upsert", body.clone()).status, 400);
    brevo.set_objects(None);
    let off = client.post(UPSERT, body);
    assert_eq!((off.status, off.code().as_str()), (403, "permission_denied"));
    assert_eq!(client.get(RECORDS).status, 403);
    assert_eq!(brevo.violations().len(), many + 7);
    assert!(brevo.processes().is_empty());
}

#[test]
fn only_the_single_product_has_a_window_of_its_own() {
    let options =
        Options { scale: Scale::from_now(1e-9), objects: Some(vec![campaigns()]), ..Options::default() };
    let (_brevo, client) = start(options);
    for (id, status) in [("a", 201), ("b", 201), ("c", 429)] {
        let answer = client.post("/v3/products", product(id));
        assert_eq!((answer.status, answer.header("x-sib-ratelimit-limit")), (status, Some("2")));
    }
    let left = |method: &str, path: &str, body: Value| {
        client.send(method, path, body).header("x-sib-ratelimit-remaining").unwrap().to_owned()
    };
    assert_eq!(left("POST", "/v3/products/batch", json!({"products": [product("c")]})), "99");
    assert_eq!(left("GET", "/v3/products/c", Value::Null), "98");
    assert_eq!(left("POST", UPSERT, record("c1", json!({"name": "x"}))), "97");
    assert_eq!(left("GET", RECORDS, Value::Null), "96");
}

#[test]
fn an_answer_may_be_lost_after_the_effect() {
    let (brevo, client) = brevo();
    for path in ["/v3/products", "/v3/objects/{type}/batch/upsert"] {
        brevo.faults().add(Rule::on("POST", path, Fault::close_after_effect()).times(1)).unwrap();
    }
    assert!(client.try_send("POST", "/v3/products", product("a").to_string().as_bytes()).is_err());
    assert_eq!(client.post("/v3/products", product("a")).code(), "duplicate_parameter");
    let body = record("c1", json!({"name": "x"}));
    assert!(client.try_send("POST", UPSERT, body.to_string().as_bytes()).is_err());
    assert_eq!((brevo.products().len(), brevo.object_records().len()), (1, 1));
}
