//! Lists with a cursor through HTTP: what they promise, and what a reader has to survive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::BTreeSet;

use client::{Answer, Client};
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::{CursorQuirks, LastPage, MoEngage, Options, PlannedRows, RowChange, Table};

/// Host time so fast that no window is ever full.
fn unhurried() -> MoEngage {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e6), ..Options::default() }).unwrap();
    moengage.with_rows(Table::Flows, Vec::clear);
    moengage
}

fn client(moengage: &MoEngage) -> Client {
    Client::moengage(moengage, "campaigns-key")
}

fn flow(n: usize) -> Value {
    json!({"flow_id": format!("{n:024x}"), "name": format!("Flow {n}"), "status": "ACTIVE",
        "tags": [if n.is_multiple_of(2) { "even" } else { "odd" }]})
}

fn with_flows(n: usize) -> MoEngage {
    let moengage = unhurried();
    moengage.with_rows(Table::Flows, |rows| rows.extend((0..n).map(flow)));
    moengage
}

fn ask(limit: u64, cursor: Option<&str>) -> Value {
    match cursor {
        Some(cursor) => json!({"limit": limit, "cursor": cursor}),
        None => json!({"limit": limit}),
    }
}

/// Numbers of the flows of a page, whether more follows, and the next cursor.
fn page(answer: &Answer) -> (Vec<usize>, bool, Option<String>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = answer.json()["data"].clone();
    let number = |row: &Value| usize::from_str_radix(row["flow_id"].as_str().unwrap(), 16).unwrap();
    let flows = data["flows"].as_array().unwrap().iter().map(number).collect();
    (flows, data["has_more"].as_bool().unwrap(), data["next_cursor"].as_str().map(str::to_owned))
}

/// Pages from the first to the last, at most so many.
fn pages(client: &Client, limit: u64, most: usize) -> Vec<(Vec<usize>, Option<String>)> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    while pages.len() < most {
        let (flows, _, next) = page(&client.post("/v5/flows/search", ask(limit, cursor.as_deref())));
        pages.push((flows, next.clone()));
        if next.is_none() {
            break;
        }
        cursor = next;
    }
    pages
}

fn numbers(pages: &[(Vec<usize>, Option<String>)]) -> Vec<Vec<usize>> {
    pages.iter().map(|(flows, _)| flows.clone()).collect()
}

#[test]
fn a_cursor_leads_from_page_to_page() {
    let moengage = with_flows(5);
    let client = client(&moengage);
    let all = pages(&client, 2, 9);
    assert_eq!(numbers(&all), [vec![0, 1], vec![2, 3], vec![4]]);
    let second = all[0].1.as_deref();
    let again = page(&client.post("/v5/flows/search", ask(2, second)));
    assert_eq!((again.0, again.2), (all[1].0.clone(), all[1].1.clone()), "a page can be read again");
    assert!(moengage.violations().is_empty());
    let other = client.get(&format!("/v5/locales?cursor={}", second.unwrap().replace('=', "%3D")));
    assert_eq!(other.status, 400, "the cursor of another list");
    let made_up = client.post("/v5/flows/search", ask(2, Some("bm9uZQ==")));
    assert_eq!((made_up.status, &made_up.json()["error"]["code"]), (400, &json!("VALIDATION_FAILED")));
    assert_eq!(made_up.json()["error"]["details"][0]["target"], "cursor");
    assert_eq!(moengage.violations().len(), 2);
}

#[test]
fn n21_a_cursor_can_repeat_or_go_round() {
    let moengage = with_flows(6);
    let client = client(&moengage);
    let set = |quirks| moengage.set_cursor_quirks(quirks);
    set(CursorQuirks { repeats: true, ..CursorQuirks::default() });
    let repeated = pages(&client, 2, 4);
    assert_eq!(numbers(&repeated), [vec![0, 1], vec![2, 3], vec![2, 3], vec![2, 3]]);
    assert_eq!(repeated[0].1, repeated[3].1);
    set(CursorQuirks { period: 2, ..CursorQuirks::default() });
    let round = pages(&client, 2, 5);
    assert_eq!(numbers(&round), [vec![0, 1], vec![2, 3], vec![0, 1], vec![2, 3], vec![0, 1]]);
    assert_eq!((&round[0].1, &round[1].1), (&round[2].1, &round[3].1), "cursors come again");
    set(CursorQuirks { period: 2, fresh: true, ..CursorQuirks::default() });
    let fresh = pages(&client, 2, 6);
    let cursors: BTreeSet<_> = fresh.iter().filter_map(|(_, cursor)| cursor.clone()).collect();
    assert_eq!((cursors.len(), &fresh[4].0), (6, &vec![0, 1]), "only the rows give it away");
}

#[test]
fn n24_pages_can_be_empty_with_a_next_cursor() {
    let moengage = with_flows(5);
    let client = client(&moengage);
    moengage.set_cursor_quirks(CursorQuirks {
        empty_pages: [1, 3, 4].into_iter().collect(),
        ..CursorQuirks::default()
    });
    let wanted: [Vec<usize>; 6] = [vec![], vec![0, 1], vec![], vec![], vec![2, 3], vec![4]];
    assert_eq!(numbers(&pages(&client, 2, 9)), wanted);
    moengage.set_cursor_quirks(CursorQuirks { filters_after_paging: true, ..CursorQuirks::default() });
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut body = ask(2, cursor.as_deref());
        body["tags"] = json!(["even"]);
        let (flows, _, next) = page(&client.post("/v5/flows/search", body));
        found.push(flows);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, [vec![0], vec![2], vec![4]], "pages in the middle are short");
}

#[test]
fn the_last_page_can_contradict_itself() {
    let moengage = with_flows(1);
    let client = client(&moengage);
    let ends = |last_page| {
        moengage.set_cursor_quirks(CursorQuirks { last_page, ..CursorQuirks::default() });
        page(&client.post("/v5/flows/search", ask(2, None)))
    };
    assert_eq!(ends(LastPage::Documented), (vec![0], false, None));
    assert_eq!(ends(LastPage::MoreWithoutCursor), (vec![0], true, None));
    let (_, more, cursor) = ends(LastPage::CursorWithoutMore);
    assert!(!more);
    assert_eq!(page(&client.post("/v5/flows/search", ask(2, cursor.as_deref()))).0, [0_usize; 0]);
}

#[test]
fn a_cursor_can_expire() {
    let moengage = with_flows(6);
    let client = client(&moengage);
    let (_, _, cursor) = page(&client.post("/v5/flows/search", ask(2, None)));
    moengage.expire_cursors();
    let expired = client.post("/v5/flows/search", ask(2, cursor.as_deref()));
    assert_eq!((expired.status, &expired.json()["error"]["details"][0]["target"]), (400, &json!("cursor")));
    assert_eq!(pages(&client, 2, 9).len(), 3, "a new run gets new cursors");
    moengage.set_cursor_quirks(CursorQuirks {
        expired_pages: [2].into_iter().collect(),
        ..CursorQuirks::default()
    });
    let (_, _, cursor) = page(&client.post("/v5/flows/search", ask(2, None)));
    assert_eq!(client.post("/v5/flows/search", ask(2, cursor.as_deref())).status, 400);
    assert!(moengage.violations().is_empty(), "no reader knows how long a cursor lives");
}

#[test]
fn n22_rows_can_come_and_go_between_two_pages() {
    let moengage = with_flows(6);
    let client = client(&moengage);
    let planned = |after, change| PlannedRows { after, table: Table::Flows, change };
    moengage.set_cursor_quirks(CursorQuirks {
        changes: vec![
            planned(1, RowChange::Insert(flow(9))),
            planned(1, RowChange::Insert(flow(8))),
            planned(1, RowChange::Delete(format!("{:024x}", 1))),
            planned(2, RowChange::Delete(format!("{:024x}", 4))),
        ],
        ..CursorQuirks::default()
    });
    // What comes before the cursor is not shown, and what goes leaves no gap.
    assert_eq!(numbers(&pages(&client, 2, 9)), [vec![0, 1], vec![2, 3], vec![5]]);
}

#[test]
fn a_person_can_set_rows_quirks_and_readings_over_http() {
    let moengage = unhurried();
    let client = client(&moengage);
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let rows = json!({"table": "flows", "change": {"replace": [flow(1), flow(2), flow(3)]}});
    assert_eq!(control.post("/_control/rows", rows).status, 204);
    assert_eq!(control.post("/_control/cursor-quirks", json!({"empty_pages": [2]})).status, 204);
    assert_eq!(numbers(&pages(&client, 2, 9)), [vec![1, 2], vec![], vec![3]]);
    assert_eq!(control.post("/_control/readings", json!({"flow_teams": true})).status, 204);
    assert_eq!(client.post("/v5/flows/search", json!({})).status, 400);
    assert_eq!(control.post("/_control/readings", json!({"flow_team": true})).status, 400);
    assert_eq!(control.post("/_control/cursor-quirks", json!({"last_page": "never"})).status, 400);
    let state = control.get("/_control/state").json();
    assert_eq!(state["rows"]["flows"].as_array().unwrap().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever pages are empty, however the filter is applied: all rows once, in their order.
    #[test]
    fn n24_all_pages_together_are_the_whole_list(
        flows in 0_usize..40,
        limit in 1_u64..=100,
        empty in prop::collection::btree_set(1_u64..6, 0..4),
        filters_after_paging in any::<bool>(),
        fresh in any::<bool>(),
    ) {
        let moengage = with_flows(flows);
        moengage.set_cursor_quirks(CursorQuirks {
            empty_pages: empty, filters_after_paging, fresh, ..CursorQuirks::default()
        });
        let found: Vec<usize> = pages(&client(&moengage), limit, 60).into_iter().flat_map(|(flows, _)| flows).collect();
        prop_assert_eq!(found, (0..flows).collect::<Vec<_>>());
    }

    /// However rows go between two pages, what stays is shown once.
    #[test]
    fn n22_what_stays_is_shown_once(gone in prop::collection::vec((1_u64..12, 0_usize..20), 0..20)) {
        let moengage = with_flows(20);
        let changes = gone.iter().map(|(after, n)| PlannedRows {
            after: *after, table: Table::Flows, change: RowChange::Delete(format!("{n:024x}")),
        });
        moengage.set_cursor_quirks(CursorQuirks { changes: changes.collect(), ..CursorQuirks::default() });
        let found: Vec<usize> = pages(&client(&moengage), 3, 60).into_iter().flat_map(|(flows, _)| flows).collect();
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{:?}", found);
        let left: Vec<usize> = moengage.with_rows(Table::Flows, |rows| {
            rows.iter().map(|row| usize::from_str_radix(row["flow_id"].as_str().unwrap(), 16).unwrap()).collect()
        });
        prop_assert!(left.iter().all(|n| found.contains(n)), "{:?} of {:?}", found, left);
    }
}
