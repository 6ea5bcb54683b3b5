//! Campaign stats and report files, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::io::Read;

use client::{Answer, Client};
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::{
    Access, Campaign, Family, Figures, MoEngage, Options, PageQuirks, Report, gzip, zip,
};

const STATS: &str = "/core-services/v1/campaign-stats";
const ZIP: &str = "Report_test_20261120.zip";

fn started(campaigns: usize) -> (MoEngage, Client) {
    let scale = Scale::from_now(100_000.0);
    let moengage = MoEngage::start(Options { scale, campaigns, ..Options::default() }).unwrap();
    moengage.with_figures(Vec::clear);
    let client = Client::moengage(&moengage, "campaigns-key");
    (moengage, client)
}

fn asked(from: &str, to: &str) -> Value {
    json!({"request_id": "r1", "start_date": from, "end_date": to, "attribution_type": "VIEW_THROUGH", "metric_type": "TOTAL"})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn variations(answer: &Answer, campaign: &str, platform: &str) -> Value {
    answer.json()["data"][campaign][0]["platforms"][platform]["locales"]["all_locales"]["variations"].clone()
}

#[test]
fn figures_of_days_add_up_in_the_documented_shape() {
    let (moengage, client) = started(2);
    let campaign = Campaign::numbered(1);
    for (day, sent) in [("2026-11-01", 10), ("2026-11-02", 20)] {
        moengage.set_figures(Figures::of_day(&campaign, day, sent));
    }
    let both = client.post(STATS, asked("2026-11-01", "2026-11-02"));
    let body = both.json();
    assert_eq!(
        (&body["response_id"], &body["total_campaigns"], &body["current_page"], &body["total_pages"]),
        (&json!("r1"), &json!(2), &json!(1), &json!(1))
    );
    let all = variations(&both, &campaign.id, "android");
    let wanted = json!({
        "attempted": 34, "sent": 30, "failed": 4, "impression": 28, "click": 7, "unsubscribe": 2,
        "ctr": 25, "delivery_rate": 93.33, "sent_rate": 88.24, "failure_rate": 11.76,
    });
    assert_eq!(all["all_variations"]["performance_stats"], wanted);
    let goal = json!({"conversions": 3, "revenue": 90, "cvr": 10.71, "uplift": 0});
    assert_eq!(all["all_variations"]["conversion_goal_stats"]["Goal 1"], goal);
    let control = &all["campaign_control_group"];
    assert_eq!(control["failure_breakdown"], json!({"user_removed_due_to_campaing_control_group": 2}));
    assert_eq!(control.get("performance_stats"), None);
    // A campaign without figures is there too.
    assert_eq!(body["data"][&Campaign::numbered(0).id], json!([{"platforms": {}}]));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
}

#[test]
fn figures_are_restated_between_two_reads() {
    let (moengage, client) = started(1);
    let campaign = Campaign::numbered(0);
    let day = asked("2026-11-02", "2026-11-02");
    moengage.set_figures(Figures::of_day(&campaign, "2026-11-02", 20));
    let sent = |answer: Answer| {
        variations(&answer, &campaign.id, "email")["all_variations"]["performance_stats"]["sent"].clone()
    };
    assert_eq!(sent(client.post(STATS, day.clone())), 20);
    moengage.set_figures(Figures::of_day(&campaign, "2026-11-02", 24));
    assert_eq!(sent(client.post(STATS, day.clone())), 24);
    let restated = json!([{"campaign_id": campaign.id, "day": "2026-11-02", "platform": "email", "performance": {"sent": 25}}]);
    assert_eq!(client.post("/_control/figures", restated).status, 204);
    assert_eq!(sent(client.post(STATS, day)), 25);
    assert_eq!(client.post("/_control/figures", json!([{"campaign": "x"}])).status, 400);
}

#[test]
fn metric_attribution_locale_and_variation_are_told_apart() {
    let (moengage, client) = started(1);
    let row = |locale: &str, variation: &str, metric: &str, sent: i64| Figures {
        campaign_id: Campaign::numbered(0).id,
        day: "2026-11-02".to_owned(),
        locale: locale.to_owned(),
        variation: variation.to_owned(),
        metric_type: Some(metric.to_owned()),
        performance: [("sent".to_owned(), sent)].into(),
        ..Figures::default()
    };
    moengage.set_figures([
        row("all_locales", "all_variations", "TOTAL", 5),
        row("es", "variation_1", "TOTAL", 3),
        row("all_locales", "all_variations", "UNIQUE", 2),
    ]);
    let read = |metric: &str| {
        let body = with(asked("2026-11-02", "2026-11-02"), json!({"metric_type": metric}));
        client.post(STATS, body).json()["data"][&Campaign::numbered(0).id][0]["platforms"]["android"]["locales"].clone()
    };
    assert_eq!(read("TOTAL")["es"]["variations"]["variation_1"]["performance_stats"]["sent"], 3);
    assert_eq!(read("UNIQUE")["all_locales"]["variations"]["all_variations"]["performance_stats"]["sent"], 2);
    assert_eq!(read("UNIQUE").get("es"), None);
}

#[test]
fn what_the_schema_does_not_allow_is_refused_in_the_shape_of_stats() {
    let (moengage, client) = started(1);
    let days = || asked("2026-11-01", "2026-11-30");
    let many: Vec<String> = (0..11).map(|n| format!("c{n}")).collect();
    let wrong = [
        asked("2026-11-01", "2026-12-02"),
        asked("2026-11-02", "2026-11-01"),
        asked("01-11-2026", "02-11-2026"),
        with(days(), json!({"campaign_ids": many})),
        with(days(), json!({"campaign_ids": ["a", "a"]})),
        with(days(), json!({"limit": 11})),
        with(days(), json!({"limit": 0})),
        with(days(), json!({"attribution_type": "LAST_CLICK"})),
        with(days(), json!({"metric_type": "total"})),
        with(days(), json!({"platform": "android"})),
        json!({"request_id": "r1"}),
    ];
    let count = wrong.len();
    for body in wrong {
        let answer = client.post(STATS, body.clone());
        assert_eq!((answer.status, &answer.json()["title"]), (400, &json!("Invalid Field Value")), "{body}");
        assert_eq!(answer.json()["code"].as_str().unwrap().len(), 8);
    }
    assert_eq!(moengage.violations().len(), count);
    assert_eq!(client.post(STATS, asked("2026-11-01", "2026-12-01")).status, 200, "30 days apart");
    let bare = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let missing = bare.post(STATS, days());
    assert_eq!(
        (missing.status, missing.json()["description"].as_str().unwrap().contains("app_key : None")),
        (400, true)
    );
    let other = Client::moengage(&moengage, "data-key").post(STATS, days());
    assert_eq!((other.status, &other.json()["title"]), (401, &json!("Authentication required")));
    moengage.set_access(Family::Campaigns, Access::NoPermission);
    let forbidden = client.post(STATS, days());
    assert_eq!((forbidden.status, forbidden.json().get("description")), (403, Some(&Value::Null)));
}

#[test]
fn n33_a_hundred_a_minute_and_an_empty_refusal() {
    let scale = Scale::from_now(1e-9);
    let moengage = MoEngage::start(Options { scale, ..Options::default() }).unwrap();
    let client = Client::moengage(&moengage, "campaigns-key");
    for _ in 0..100 {
        assert_eq!(client.post(STATS, asked("2026-11-01", "2026-11-01")).status, 200);
    }
    let refused = client.post(STATS, asked("2026-11-01", "2026-11-01"));
    assert_eq!((refused.status, refused.text()), (429, String::new()));
    assert_eq!(refused.header("x-ratelimit-reset"), Some("60"));
}

#[test]
fn n22_totals_and_campaigns_can_change_while_somebody_pages() {
    let (moengage, client) = started(12);
    let quirks = PageQuirks { totals: vec![12, 3], ..PageQuirks::default() };
    moengage.set_page_quirks(STATS, quirks).unwrap();
    let page = |offset: u64| {
        let body = with(asked("2026-11-01", "2026-11-01"), json!({"offset": offset, "limit": 5}));
        let body = client.post(STATS, body).json();
        (body["total_pages"].as_u64().unwrap(), body["data"].as_object().unwrap().len())
    };
    assert_eq!(page(0), (3, 5));
    moengage.with_campaigns(|list| list.truncate(7));
    assert_eq!(page(5), (1, 2));
}

/// `printf 'STANDIN|Report_test_20261120.zip|campaigns-key' | sha256sum`
const SIGNATURE: &str = "a931ddeacc29cf0e8d1ef3c53c3f23c48774203e81c341734bbbabad97fb9395";

fn report(moengage: &MoEngage, name: &str, signature: &str) -> Answer {
    let client = Client::new(&moengage.url(), &[("signature", signature)]);
    client.get(&format!("/campaign_reports/rest_api/STANDIN/{name}"))
}

#[test]
fn a_report_is_had_by_name_and_signature_for_seven_days() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let found = report(&moengage, ZIP, SIGNATURE);
    assert_eq!((found.status, found.header("content-type")), (200, Some("application/gzip")));
    assert!(found.body.unwrap().starts_with(b"PK\x03\x04"));
    assert!(moengage.violations().is_empty(), "{:?}", moengage.violations());
    // No signature, a wrong one, one of another file, one in capitals: nobody learns what there is.
    let bare = Client::new(&moengage.url(), &[]).get(&format!("/campaign_reports/rest_api/STANDIN/{ZIP}"));
    for refused in [
        bare,
        report(&moengage, ZIP, "0".repeat(64).as_str()),
        report(&moengage, "other.zip", SIGNATURE),
        report(&moengage, ZIP, &SIGNATURE.to_uppercase()),
    ] {
        assert_eq!((refused.status, refused.text()), (401, String::new()));
    }
    let now = moengage.now();
    moengage.with_reports(|files| files.get_mut(ZIP).unwrap().created_at = now - 7 * 86_400_000);
    let expired = report(&moengage, ZIP, SIGNATURE);
    assert_eq!((expired.status, &expired.json()["error"]["type"]), (400, &json!("BAD REQUEST")));
    moengage.with_reports(|files| files.clear());
    assert_eq!(report(&moengage, ZIP, SIGNATURE).status, 400, "a name that nobody knows");
    assert_eq!(
        Client::new(&moengage.url(), &[]).get("/campaign_reports/rest_api/STANDIN").status,
        404,
        "no list"
    );
    let basic = Client::moengage(&moengage, "campaigns-key");
    let before = moengage.violations().len();
    basic.get(&format!("/campaign_reports/rest_api/STANDIN/{ZIP}"));
    assert_eq!(moengage.violations().len(), before + 1, "the key isn't sent where a signature is");
}

#[test]
fn a_replaced_key_signs_anew() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    moengage.set_key(Family::Campaigns, Some("new".to_owned()));
    assert_eq!(report(&moengage, ZIP, SIGNATURE).status, 401);
    moengage.set_key(Family::Campaigns, Some("campaigns-key".to_owned()));
    assert_eq!(report(&moengage, ZIP, SIGNATURE).status, 200);
    moengage.set_access(Family::Campaigns, Access::AddressNotListed);
    assert_eq!(report(&moengage, ZIP, SIGNATURE).status, 403);
}

#[test]
fn report_files_can_be_set_and_cut() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let new = json!({"name": ZIP, "csv": "a,b\n1,2\n"});
    assert_eq!(control.post("/_control/reports", new).status, 204);
    assert_eq!(control.post("/_control/reports", json!({"name": "no ending", "csv": ""})).status, 400);
    let bytes = report(&moengage, ZIP, SIGNATURE).body.unwrap();
    assert_eq!(bytes, zip([("Report_test_20261120.csv", &b"a,b\n1,2\n"[..])]));
    let packed = gzip(b"x,y\n");
    moengage.with_reports(|files| {
        files.insert(ZIP.to_owned(), Report { bytes: packed.clone(), created_at: i64::MAX / 2 })
    });
    let mut text = String::new();
    flate2::read::GzDecoder::new(&report(&moengage, ZIP, SIGNATURE).body.unwrap()[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "x,y\n");
    moengage
        .faults()
        .add(Rule::on("GET", "/campaign_reports/rest_api/{app_id}/{filename}", Fault::html()))
        .unwrap();
    assert_eq!(report(&moengage, ZIP, SIGNATURE).header("content-type"), Some("text/html; charset=utf-8"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the limit, the pages together are each campaign once.
    #[test]
    fn all_pages_together_are_all_campaigns(campaigns in 0_usize..40, limit in 1_u64..=10) {
        let (_moengage, client) = started(campaigns);
        let (mut found, mut page) = (Vec::new(), 0);
        loop {
            let body = with(asked("2026-11-01", "2026-11-01"), json!({"offset": page * limit, "limit": limit}));
            let body = client.post(STATS, body).json();
            prop_assert_eq!(body["total_campaigns"].as_u64(), Some(campaigns as u64));
            prop_assert_eq!(body["current_page"].as_u64(), Some(page + 1));
            found.extend(body["data"].as_object().unwrap().keys().cloned());
            page += 1;
            if page >= body["total_pages"].as_u64().unwrap() {
                break;
            }
        }
        found.sort();
        let mut wanted: Vec<String> = (0..campaigns).map(|n| Campaign::numbered(n).id).collect();
        wanted.sort();
        prop_assert_eq!(found, wanted);
    }
}
