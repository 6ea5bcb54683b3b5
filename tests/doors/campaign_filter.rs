//! The one filter of campaigns, and MoEngage's ways of not understanding it.

use std::collections::BTreeSet;

use moengage_connector::{FailureKind, Next, Position, Settings};
use serde_json::{Value, json};

use crate::campaigns::{Workspace, campaign, named, request, run, unit};
use crate::reach::Memory;
use crate::{NOW, plain, with};

fn since_2024() -> Settings {
    with("campaigns", json!({"created_since": "2024-01-01"}))
}

#[test]
fn the_filter_by_date_is_the_only_one_and_in_the_words_of_v5() {
    let mut vendor = Workspace::with(&[
        campaign(json!({"id": "old", "campaign_id": "old", "created_at": "2023-12-31 23:59:59.000000"})),
        named("new"),
    ]);
    let (records, _) = run(&since_2024(), &mut vendor);
    assert_eq!(records.iter().map(|r| r.id.rsplit(':').next().unwrap()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(
        vendor.body(0)["campaign_fields"],
        json!({"created_date": {"from_date": "2024-01-01T00:00:00", "to_date": "2022-05-22T04:52:50"}})
    );
    // The list of a run is one list: the bounds stay while the clock goes on.
    let bounds: BTreeSet<String> = (0..vendor.asked.len())
        .map(|call| vendor.body(call)["campaign_fields"]["created_date"].to_string())
        .collect();
    assert_eq!(bounds.len(), 1);
}

#[test]
fn n24_a_filter_that_finds_nothing_by_mistake_is_named() {
    let mut vendor = Workspace::with(&[named("c1")]);
    vendor.ignores_dates = true;
    let failure =
        unit(&since_2024(), &mut vendor, &mut Memory::default(), &request(Position::Start, NOW)).unwrap_err();
    assert_eq!(failure.code, "filter-finds-nothing");
    assert!(matches!(failure.kind, FailureKind::VendorContract(_)));
    assert_eq!(vendor.asked.len(), 2);
    assert!(vendor.body(1).get("campaign_fields").is_none());
    let keys: BTreeSet<_> = vendor.asked.iter().map(|request| request.headers.clone()).collect();
    assert_eq!(keys.len(), 2, "the control has a key of its own");

    // Nothing that should have been found is no mistake: an empty workspace, or old campaigns.
    for rows in [
        vec![],
        vec![campaign(json!({"created_at": "2023-01-01 00:00:00"}))],
        vec![campaign(json!({"created_at": null}))],
    ] {
        let (records, _) = run(&since_2024(), &mut Workspace::with(&rows));
        assert!(records.is_empty());
    }
    // Without a filter an empty list is an empty list.
    let mut vendor = Workspace::default();
    assert!(run(&plain(), &mut vendor).0.is_empty());
    assert!(
        (0..vendor.asked.len()).all(|call| vendor.body(call)["campaign_fields"]["created_date"].is_null())
    );
}

#[test]
fn a_filter_that_is_ignored_lets_nothing_in() {
    let mut vendor = Workspace::with(&[campaign(json!({"created_at": "2023-01-01 00:00:00"})), named("new")]);
    vendor.every_date = true;
    let (records, codes) = run(&since_2024(), &mut vendor);
    assert_eq!((records.len(), codes["filter-ignored"]), (1, 1));
}

#[test]
fn another_filter_begins_a_run_anew() {
    let rows: Vec<Value> = (0..40).map(|n| named(&format!("c{n}"))).collect();
    let mut vendor = Workspace::with(&rows);
    let first = unit(&plain(), &mut vendor, &mut Memory::default(), &request(Position::Start, NOW)).unwrap();
    let Next::More(cursor) = first.next else { panic!("there is more") };
    let again = request(Position::Cursor(cursor), NOW + 1);
    let other = unit(&since_2024(), &mut vendor, &mut Memory::default(), &again).unwrap();
    assert_eq!(other.records[0].id, first.records[0].id);
    let on = unit(&plain(), &mut vendor, &mut Memory::default(), &again).unwrap();
    assert_ne!(on.records[0].id, first.records[0].id);
}
