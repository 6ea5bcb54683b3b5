//! Whole exchanges, for a test that holds them against a description of the API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::Client;
use serde_json::{Value, json};
use stand_ins::faults::{Fault, Rule};
use stand_ins::moengage::{MoEngage, Options};

const V1: &str = "/core-services/v1/campaigns/search";
/// Basic of `STANDIN` and the default key of campaigns.
const CAMPAIGNS: &str = "Basic U1RBTkRJTjpjYW1wYWlnbnMta2V5";

fn search(moengage: &MoEngage) -> Value {
    let headers =
        [("authorization", CAMPAIGNS), ("moe-appkey", "STANDIN"), ("content-type", "application/json")];
    let asked = json!({"request_id": "r1", "limit": 1, "page": 1});
    Client::new(&moengage.url(), &headers).post(&format!("{V1}?a=b%20c"), asked.clone());
    asked
}

#[test]
fn exchanges_are_recorded_where_that_is_wanted() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    search(&moengage);
    assert_eq!(moengage.journal().exchanges().count(), 0);
}

#[test]
fn an_exchange_is_recorded_whole_and_without_its_credential() {
    let moengage = MoEngage::start(Options { record_exchanges: true, ..Options::default() }).unwrap();
    let asked = search(&moengage);
    // What a fault answers is not the vendor's.
    moengage.faults().add(Rule::on("POST", V1, Fault::status(500, "{}"))).unwrap();
    search(&moengage);
    let journal = moengage.journal();
    let exchanges: Vec<_> = journal.exchanges().collect();
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert_eq!((exchange.method.as_str(), exchange.path.as_str(), exchange.status), ("POST", V1, 200));
    assert_eq!(exchange.query, [("a".to_owned(), "b c".to_owned())]);
    assert_eq!(serde_json::from_str::<Value>(&exchange.body).unwrap(), asked);
    assert!(exchange.headers.contains(&("authorization".to_owned(), "Basic".to_owned())), "{exchange:?}");
    assert!(exchange.answer.contains("campaign_id"), "{}", exchange.answer);
    assert!(exchange.answer_headers.iter().any(|(name, _)| name == "x-ratelimit-limit"), "{exchange:?}");
    assert!(!format!("{exchange:?}").contains("U1RBTkRJTj"));
}
