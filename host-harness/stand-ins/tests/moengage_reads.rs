//! Reads by which a key can be tried, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::{Access, Family, MoEngage, Options, Reset, Table};

const IMPORTS: &str = "/v1.0/data/fileimports/import/status";
const V1: &str = "/core-services/v1/campaigns/search";
const V5: &str = "/v5/campaigns/search";
const SEGMENTS: &str = "/v3/custom-segments";

/// Basic of `STANDIN` and each family's default key.
const DATA: &str = "Basic U1RBTkRJTjpkYXRhLWtleQ==";
const CAMPAIGNS: &str = "Basic U1RBTkRJTjpjYW1wYWlnbnMta2V5";
const SEGMENTATION: &str = "Basic U1RBTkRJTjpzZWdtZW50YXRpb24ta2V5";

fn client(moengage: &MoEngage, authorization: &str) -> Client {
    Client::new(
        &moengage.url(),
        &[("authorization", authorization), ("moe-appkey", "STANDIN"), ("content-type", "application/json")],
    )
    .with_fresh_keys()
}

fn search() -> Value {
    json!({"request_id": "r1", "limit": 1, "page": 1})
}

/// One harmless read of each kind, with the key that it needs.
fn probes(moengage: &MoEngage, authorization: Option<&str>) -> [(&'static str, Answer); 4] {
    let with = |own| client(moengage, authorization.unwrap_or(own));
    [
        (IMPORTS, with(DATA).post(IMPORTS, json!({}))),
        (V1, with(CAMPAIGNS).post(V1, search())),
        (V5, with(CAMPAIGNS).post(V5, search())),
        (SEGMENTS, with(SEGMENTATION).get("/v3/custom-segments?name=nobody")),
    ]
}

#[test]
fn each_family_answers_its_own_key() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    for (call, answer) in probes(&moengage, None) {
        assert_eq!(answer.status, 200, "{call}");
        assert!(answer.header("x-ratelimit-remaining").is_some(), "{call}");
    }
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
}

#[test]
fn refusals_have_the_shape_of_their_family() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    for (call, answer) in probes(&moengage, Some("Basic U1RBTkRJTjpvdGhlcg==")) {
        assert_eq!(answer.status, 401, "{call}");
        let body = answer.json();
        match call {
            IMPORTS => assert_eq!(
                (&body["status"], &body["error"]["type"]),
                (&json!("fail"), &json!("Authentication required"))
            ),
            V1 => assert_eq!(body["error"]["details"][0]["message"][0]["target"], "APP_SECRET_KEY"),
            V5 => assert_eq!(body["error"]["code"], "UNAUTHORIZED"),
            _ => assert_eq!(
                (&body["type"], &body["error"]["code"]),
                (&json!("custom_segment"), &json!("Authentication required"))
            ),
        }
    }
    // The key of another family is no key.
    assert_eq!(client(&moengage, CAMPAIGNS).post(IMPORTS, json!({})).status, 401);
    let bare = Client::new(&moengage.url(), &[("authorization", DATA), ("content-type", "application/json")]);
    let missing = bare.post(IMPORTS, json!({}));
    assert_eq!((missing.status, missing.json()["title"].as_str()), (401, Some("HeaderMissing")));
    assert_eq!(moengage.violations().len(), 1, "MOE-APPKEY is always required");
}

#[test]
fn access_of_a_family_can_be_taken() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    moengage.set_access(Family::Campaigns, Access::NoPermission);
    moengage.set_access(Family::Segmentation, Access::AddressNotListed);
    moengage.set_key(Family::Data, None);
    let [(_, data), (_, v1), (_, v5), (_, segments)] = probes(&moengage, None);
    assert_eq!((data.status, data.json()["error"]["type"].as_str()), (409, Some("Authentication Mismatch")));
    assert_eq!((v1.status, v1.json()["error"]["code"].as_str()), (403, Some("403 Forbidden")));
    assert_eq!(
        (v5.status, v5.json()["error"]["message"].as_str()),
        (403, Some("Required permission: campaigns:view"))
    );
    assert_eq!((segments.status, segments.json()["error"].as_str()), (403, Some("IP Validation Required")));
    moengage.set_key(Family::Data, Some("new".to_owned()));
    assert_eq!(client(&moengage, DATA).post(IMPORTS, json!({})).status, 401, "the old key dies at once");
    moengage.set_access(Family::Campaigns, Access::Suspended);
    assert_eq!(client(&moengage, CAMPAIGNS).post(V1, search()).status, 403);
}

#[test]
fn windows_hold_and_reset_is_said_in_two_ways() {
    for (reset, options) in [(Reset::SecondsLeft, 60), (Reset::Epoch, 0)] {
        let scale = Scale::from_now(1e-9);
        let moengage = MoEngage::start(Options { scale, reset, ..Options::default() }).unwrap();
        let client = client(&moengage, DATA);
        for _ in 0..50 {
            assert_eq!(client.post(IMPORTS, json!({})).status, 200);
        }
        let refused = client.post(IMPORTS, json!({}));
        assert_eq!(
            (refused.status, refused.json()["error"]["type"].as_str()),
            (429, Some("Rate Limits Exceeded"))
        );
        let said: i64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
        let wanted = if options == 0 { moengage.now() / 1_000 + 60 } else { options };
        assert_eq!(said, wanted);
    }
}

#[test]
fn segments_and_imports_are_found_by_name() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let segments = client(&moengage, SEGMENTATION);
    assert_eq!(segments.get(SEGMENTS).json()["data"].as_array().unwrap().len(), 2);
    let found = segments.get("/v3/custom-segments?name=All%20customers").json();
    assert_eq!(found["data"][0]["name"], "All customers");
    assert_eq!(segments.get("/v3/custom-segments?name=nobody").json()["data"], json!([]));
    assert_eq!(segments.get("/v3/custom-segments?page=1").status, 400, "no paging");
    let imports = client(&moengage, DATA);
    let all = imports.post(IMPORTS, json!({"import_type": ["USERS"], "offset": "1"})).json();
    assert_eq!((&all["total_count"], &all["more_files"]), (&json!(2), &json!(false)));
    let dates =
        |from: &str, to: &str| json!({"date": {"start_date": from, "end_date": to, "format": "DD/MM/YYYY"}});
    assert_eq!(imports.post(IMPORTS, dates("01/11/2026", "30/11/2026")).status, 200);
    let wide = imports.post(IMPORTS, dates("01/10/2026", "30/11/2026"));
    assert_eq!((wide.status, wide.json()["error_type"].as_str()), (400, Some("Difference exceeds 30 days")));
    assert_eq!(imports.post(IMPORTS, json!({"import_type": ["users"]})).status, 400, "letter case counts");
    assert_eq!(imports.post(IMPORTS, json!({"import_name": "x", "name": "y"})).status, 400);
}

#[test]
fn faults_break_the_reads_too() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    moengage.faults().add(Rule::on("GET", SEGMENTS, Fault::html())).unwrap();
    let answer = client(&moengage, SEGMENTATION).get(SEGMENTS);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    moengage.faults().add(Rule::on("POST", V5, Fault::rate_limited(false))).unwrap();
    let limited = client(&moengage, CAMPAIGNS).post(V5, search());
    assert_eq!((limited.status, limited.header("x-ratelimit-reset")), (429, None));
}

#[test]
fn a_person_can_push_over_http() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    // The other stand-in's server takes the batches: it refuses them, which is enough to see them.
    let brevo = stand_ins::brevo::Brevo::start(stand_ins::brevo::Options::default()).unwrap();
    brevo.faults().add(Rule::any(Fault::status(200, "{}"))).unwrap();
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let url = format!("{}/hook", brevo.url());
    let pushed =
        control.post("/_control/push", json!({"url": url, "generator": {"events": 250, "duplicates": 0.0}}));
    assert_eq!(pushed.status, 202);
    loop {
        let state = control.get("/_control/state").json();
        if state["streams"][0]["events_acked"] == 250 {
            break;
        }
        assert_eq!(state["streams"][0]["dropped"], 0);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(brevo.journal().of("POST", "/hook").count(), 3);
    assert_eq!(control.post("/_control/push", json!({"url": "https://example.com"})).status, 400);
    assert_eq!(control.post("/_control/push", json!({"url": url, "generator": {"event": 1}})).status, 400);
}

#[test]
fn a_segment_is_read_whole_by_its_id() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let segments = client(&moengage, SEGMENTATION);
    let listed = segments.get(SEGMENTS).json()["data"][1].clone();
    assert!(listed.get("included_filters").is_none(), "the list shows a summary");
    let by_id = |id: &str| segments.get(&format!("{SEGMENTS}/{id}"));
    let whole = by_id(listed["id"].as_str().unwrap()).json()["data"].clone();
    assert_eq!(
        (&whole["name"], &whole["included_filters"]["filter_operator"]),
        (&json!("Lapsed"), &json!("and"))
    );
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let change = json!({"table": "segments", "change": {"insert": {"id": "new", "name": "New", "any": 1}}});
    assert_eq!(control.post("/_control/rows", change).status, 204);
    assert_eq!(by_id("new").json()["data"]["any"], 1);
    moengage.with_rows(Table::Segments, |rows| rows.retain(|row| row["id"] != "new"));
    let gone = by_id("new");
    assert_eq!((gone.status, gone.json()["error"]["code"].as_str()), (404, Some("Entity Not Found")));
    assert!(moengage.violations().is_empty(), "an object may be gone");
    assert_eq!(by_id("new?name=x").status, 400);
    assert_eq!(control.post("/_control/rows", json!({"table": "segments"})).status, 400);
}
