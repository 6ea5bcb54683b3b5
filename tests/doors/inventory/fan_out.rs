//! One list for each of something: what other reads have told of, and what the settings name,
//! while both change in mid-run.

use std::collections::BTreeSet;

use moengage_connector::{Cursor, FailureKind, HttpRequest, HttpResponse, Next, Position};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{answered, ok, run, run_with, unit, vendor};
use crate::reach::Memory;
use crate::schemas::{everything, known_ids};
use crate::{NOW, body, parse};

fn known<S: AsRef<str>>(prefix: &str, ids: impl IntoIterator<Item = S>) -> Memory {
    Memory(ids.into_iter().map(|id| (format!("{prefix}{}", id.as_ref()), Vec::new())).collect())
}

/// A flow with one version, named like it.
fn flow(request: &HttpRequest) -> HttpResponse {
    ok(&json!({"data": {"versions": [{"version_id": format!("v-{}", request.path[2])}]}}))
}

fn not_found() -> HttpResponse {
    answered(404, r#"{"response_id":"r","error":{"code":"FLOW_NOT_FOUND","message":"m"}}"#)
}

#[test]
fn what_one_read_tells_of_is_what_the_next_asks_for() {
    let mut storage = Memory::default();
    let settings = parse(&everything());
    let each = |unit: usize| (settings.clone(), 1_000, NOW + unit as i64);
    let dashboards = json!({"data": [{"_id": "d/1", "name": "x"}, {"_id": "d2"}, {"_id": 7}]});
    run_with("dashboards", &mut vendor(|_| ok(&dashboards)), &mut storage, Position::Start, each).unwrap();
    let kept: Vec<_> = storage.0.keys().cloned().collect();
    assert_eq!(kept, ["dashboard/7", "dashboard/d%2F1", "dashboard/d2"]);

    let mut http = vendor(|request: &HttpRequest| {
        ok(&json!({"data": {"chart_ids": [{"_id": format!("c-{}", request.path[3])}]}}))
    });
    let charts = run_with("charts", &mut http, &mut storage, Position::Start, each).unwrap();
    // An id that can be no segment of a path is told and stops nobody.
    assert_eq!((charts.codes["parent-refused"], charts.truncated.is_some()), (1, true));
    assert_eq!(charts.keys(), BTreeSet::from(["7/c-7".to_owned(), "d2/c-d2".to_owned()]));

    let mut http = vendor(|_| ok(&json!({"data": []})));
    let figures = run_with("chart-figures", &mut http, &mut storage, Position::Start, each).unwrap();
    assert_eq!(figures.keys(), charts.keys());
    let asked: Vec<_> = http.asked.iter().map(|request| request.path[3..].join(" ")).collect();
    assert_eq!(asked, ["7 charts c-7", "d2 charts c-d2"]);
    assert_eq!(body(&figures.records[0]), json!({"dashboard_id": "7", "chart_id": "c-7", "points": []}));
}

#[test]
fn campaigns_tell_of_those_that_have_runs() {
    let mut storage = Memory::default();
    let row = |id: &str, kind: &str, parent: Value| json!({"campaign_id": id, "id": id, "campaign_delivery_type": kind, "parent_id": parent});
    let rows = [
        row("once", "ONE_TIME", Value::Null),
        row("weekly", "PERIODIC", Value::Null),
        row("c", "X", json!("p")),
    ];
    let mut http = vendor(|request: &HttpRequest| {
        let search: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let rows =
            if search["page"] == 1 && search.get("campaign_fields").is_none() { &rows[..] } else { &[] };
        ok(&json!({"data": {"campaigns": rows}}))
    });
    let settings = parse(&everything());
    run_with("campaigns", &mut http, &mut storage, Position::Start, |n| {
        (settings.clone(), 1_000, NOW + n as i64)
    })
    .unwrap();
    let kept: Vec<_> = storage.0.keys().cloned().collect();
    assert_eq!(kept, ["campaign-parent/p", "campaign-parent/weekly"]);
}

#[test]
fn one_that_is_gone_or_refused_stops_no_other() {
    let ids = ["a", "gone", "m", "odd", "z"];
    let mut http = vendor(|request: &HttpRequest| match request.path[2].as_str() {
        "gone" => not_found(),
        "odd" => answered(400, r#"{"error":{"code":"400 Bad Request","message":"m"}}"#),
        _ => flow(request),
    });
    let settings = parse(&everything());
    let each = |unit: usize| (settings.clone(), 1_000, NOW + unit as i64);
    let run = run_with("flow-versions", &mut http, &mut known("flow/", ids), Position::Start, each).unwrap();
    assert_eq!(run.keys(), ["a/v-a", "m/v-m", "z/v-z"].map(str::to_owned).into());
    assert_eq!((run.codes["parent-gone"], run.codes["parent-refused"]), (1, 1));
    // What is gone is gone; what is refused may be there, so that the run is not complete.
    assert!(run.truncated.unwrap().contains("refuses to list"));
    // Each call names the same run, whenever it was made.
    let runs: BTreeSet<_> =
        run.records.iter().map(|r| r.observation.id.split('.').nth(1).unwrap().to_owned()).collect();
    assert_eq!(runs, [NOW.to_string()].into());
}

#[test]
fn a_person_without_cards_and_a_recommendation_that_is_gone_stop_nobody() {
    let mut settings = everything();
    settings["cards"] = json!({"users": ["ann", "bob", "cid"]});
    settings["recommendations"] = json!({"old": {"type": "user_action", "users": ["u"]}, "rec": {"type": "similar_item", "users": ["u", "v"], "item": "i"}});
    let settings = parse(&settings);
    let each = |unit: usize| (settings.clone(), 1_000, NOW + unit as i64);
    let mut http = vendor(|request: &HttpRequest| {
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let page = request.query.iter().find(|(name, _)| name == "page").map(|(_, page)| page.as_str());
        match (body["uid"].as_str().unwrap(), page) {
            ("bob", _) => answered(
                400,
                r#"{"status":false,"error":"User not found for this uid/ unique_id","request_id":"r"}"#,
            ),
            (uid, Some("1")) => {
                ok(&json!({"status": true, "data": {"cards": [{"id": format!("card-{uid}")}]}}))
            }
            _ => ok(&json!({"status": true, "data": {"cards": []}})),
        }
    });
    let cards = run_with("cards", &mut http, &mut Memory::default(), Position::Start, each).unwrap();
    assert_eq!(cards.keys(), ["ann/card-ann", "cid/card-cid"].map(str::to_owned).into());
    assert_eq!((cards.codes["parent-gone"], &cards.truncated), (1, &None));
    let people: Vec<_> =
        cards.records.iter().map(|record| crate::person(record).external_id.clone()).collect();
    assert_eq!(people, [Some("ann".to_owned()), Some("cid".to_owned())]);

    let mut http = vendor(|request: &HttpRequest| match request.path[2].as_str() {
        "old" => answered(400, r#"{"error-code":"recommendation does not exist","message":"m"}"#),
        _ => ok(&json!({"items": [{"item_id": "x"}, {"item_id": "x"}]})),
    });
    let found =
        run_with("recommendations", &mut http, &mut Memory::default(), Position::Start, each).unwrap();
    assert_eq!(found.keys(), ["rec/u/x", "rec/v/x"].map(str::to_owned).into());
    assert_eq!((found.codes["parent-gone"], found.codes["repeated-row"], &found.truncated), (1, 2, &None));
    let last = http.asked.last().unwrap();
    assert!(last.headers.contains(&("recommendation-type".to_owned(), "similar_item".to_owned())));
    assert_eq!(
        serde_json::from_slice::<Value>(last.body.as_ref().unwrap()).unwrap(),
        json!({"user_id": "v", "item_id": "i"})
    );
}

#[test]
fn n16_a_key_that_dies_in_mid_run_moves_nothing_and_a_new_one_goes_on() {
    let settings = parse(&everything());
    let mut storage = known("flow/", ["a", "b", "c"]);
    let mut calls = 0;
    let mut http = vendor(move |request: &HttpRequest| {
        calls += 1;
        if calls == 2 { answered(401, r#"{"error":{"code":"UNAUTHORIZED"}}"#) } else { flow(request) }
    });
    let page = unit(&settings, "flow-versions", &mut http, &mut storage, (Position::Start, 9, NOW)).unwrap();
    let Next::More(cursor) = page.next else { panic!("there are more") };
    let at = || (Position::Cursor(cursor.clone()), 9, NOW + 1);
    let failure = unit(&settings, "flow-versions", &mut http, &mut storage, at()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Auth { slot: "campaigns".to_owned() });
    let page = unit(&settings, "flow-versions", &mut http, &mut storage, at()).unwrap();
    assert_eq!(page.records[0].id, "moengage:ABC123:flow-version:b/v-b");
    assert_eq!(page.records[0].observation.id.split('.').nth(1).unwrap(), NOW.to_string());
}

#[test]
fn ids_are_asked_for_fifty_at_a_time_and_each_once() {
    let items: Vec<String> = (0..120).map(|n| format!("P{n}")).collect();
    let mut settings = everything();
    settings["catalogs"] = json!({"a": items, "b": ["P1", "P1"]});
    let settings = parse(&settings);
    let mut http = vendor(|_| ok(&json!({"items": []})));
    run_with("catalog-items", &mut http, &mut Memory::default(), Position::Start, |_| {
        (settings.clone(), 9, NOW)
    })
    .unwrap();
    let mut asked = Vec::new();
    for request in &http.asked {
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let ids = body["items"].as_array().unwrap();
        assert!((1..=50).contains(&ids.len()));
        asked.extend(ids.iter().map(|id| (request.path[2].clone(), id.as_str().unwrap().to_owned())));
    }
    assert_eq!((asked.len(), http.asked.len()), (121, 4));
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>().len(), 121);
}

#[test]
fn flow_activity_is_read_in_whole_days_from_three_days_before_the_last_run() {
    const DAY: i64 = 86_400_000;
    let settings = parse(&everything());
    let mut http = vendor(|_| ok(&json!({"data": {"flow_id": "f", "version_name": "All Versions"}})));
    let each = |now: i64| {
        let settings = settings.clone();
        move |_: usize| (settings.clone(), 9, now)
    };
    // No activity: MoEngage leaves the figures out, which is an empty list and no wrong answer.
    let done = run_with("flow-analytics", &mut http, &mut known("flow/", ["f"]), Position::Start, each(NOW))
        .unwrap();
    assert_eq!((done.records.len(), &done.truncated), (0, &None));
    let asked = |request: &HttpRequest, name: &str| -> String {
        request.query.iter().find(|(key, _)| key == name).unwrap().1.clone()
    };
    let days = |http: &HttpRequest| (asked(http, "activity_after"), asked(http, "activity_before"));
    assert_eq!(days(&http.asked[0]), ("2022-02-20T00:00:00Z".to_owned(), "2022-05-20T04:52:50Z".to_owned()));
    let from = Position::Cursor(done.cursor.unwrap());
    run_with("flow-analytics", &mut http, &mut known("flow/", ["f"]), from.clone(), each(NOW + DAY)).unwrap();
    assert_eq!(days(&http.asked[1]), ("2022-05-17T00:00:00Z".to_owned(), "2022-05-21T04:52:50Z".to_owned()));
    // After half a year it begins as far back as MoEngage allows.
    run_with("flow-analytics", &mut http, &mut known("flow/", ["f"]), from, each(NOW + 180 * DAY)).unwrap();
    assert_eq!(days(&http.asked[2]).0, "2022-08-19T00:00:00Z");
    let wrong = vendor(|_| ok(&json!({"data": []})));
    assert_eq!(run("flow-analytics", &mut { wrong }).unwrap_err().code, "unexpected-answer");
}

/// An edit of the settings, or of what is known, before a unit.
#[derive(Clone, Debug)]
enum Edit {
    Adds(u8),
    Removes(u8),
}

fn edits() -> impl Strategy<Value = Vec<Vec<Edit>>> {
    let edit = prop_oneof![any::<u8>().prop_map(Edit::Adds), any::<u8>().prop_map(Edit::Removes)];
    proptest::collection::vec(
        prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(edit, 1..20)],
        0..8,
    )
}

/// What is there before each unit, and what is there before all of them.
fn history(start: &BTreeSet<u8>, edits: &[Vec<Edit>]) -> (Vec<BTreeSet<u8>>, BTreeSet<u8>) {
    let (mut now, mut stayed, mut all) = (start.clone(), start.clone(), Vec::new());
    for step in edits.iter().chain(std::iter::once(&Vec::new())) {
        for edit in step {
            match edit {
                Edit::Adds(n) => drop(now.insert(*n)),
                Edit::Removes(n) if now.len() > 1 => {
                    now.remove(n);
                    stayed.remove(n);
                }
                Edit::Removes(_) => {}
            }
        }
        all.push(now.clone());
    }
    (all, stayed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_edited_in_mid_run_what_stays_named_is_asked_for(
        start in proptest::collection::btree_set(any::<u8>(), 1..200), edits in edits()
    ) {
        let (all, stayed) = history(&start, &edits);
        let settings: Vec<_> = all.iter().map(|items| {
            let mut settings = everything();
            let items: Vec<String> = items.iter().map(|n| format!("P{n}")).collect();
            settings["catalogs"] = json!({"shop": items});
            parse(&settings)
        }).collect();
        let mut http = vendor(|_| ok(&json!({"items": []})));
        let each = |unit: usize| (settings[unit.min(settings.len() - 1)].clone(), 1_000, NOW);
        let run = run_with("catalog-items", &mut http, &mut Memory::default(), Position::Start, each).unwrap();
        prop_assert_eq!(run.truncated, None);
        let asked: BTreeSet<String> = http.asked.iter().flat_map(|request| {
            let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
            body["items"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }).collect();
        let lost: Vec<_> = stayed.iter().filter(|n| !asked.contains(&format!("P{n}"))).collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn whatever_becomes_known_or_goes_in_mid_run_what_stays_is_read_once(
        start in proptest::collection::btree_set(any::<u8>(), 1..40), edits in edits()
    ) {
        let (all, stayed) = history(&start, &edits);
        let settings = parse(&everything());
        let mut storage = known("flow/", start.iter().map(|n| format!("f{n}")));
        let (mut asked, mut position) = (Vec::new(), Position::Start);
        for step in 0.. {
            // What was told of is never forgotten; what is gone at MoEngage answers so.
            let there = &all[step.min(all.len() - 1)];
            storage.0.extend(known("flow/", there.iter().map(|n| format!("f{n}"))).0);
            let mut http = vendor(|request: &HttpRequest| {
                let id: u8 = request.path[2][1..].parse().unwrap();
                if there.contains(&id) { flow(request) } else { not_found() }
            });
            let from = (position, 1_000, NOW + step as i64);
            let page = unit(&settings, "flow-versions", &mut http, &mut storage, from).unwrap();
            asked.extend(http.asked.iter().map(|request| request.path[2].clone()));
            match page.next {
                Next::More(cursor) => position = Position::Cursor(Cursor { version: 1, bytes: cursor.bytes }),
                next => {
                    prop_assert_eq!(next, Next::COMPLETE);
                    break;
                }
            }
        }
        let once: BTreeSet<_> = asked.iter().cloned().collect();
        prop_assert_eq!(once.len(), asked.len());
        let lost: Vec<_> = stayed.iter().filter(|n| !once.contains(&format!("f{n}"))).collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn the_longest_ids_fit_a_cursor_and_no_two_pairs_are_one(
        pairs in proptest::collection::btree_set(("[\"a]{1,3}|[\"]{512}", "[\"/a]{1,3}|[\"]{512}"), 1..6)
    ) {
        let mut settings = everything();
        settings["recommendations"] = json!({});
        let mut expected = BTreeSet::new();
        for (id, user) in &pairs {
            let one = &mut settings["recommendations"][id];
            if one.is_null() {
                *one = json!({"type": "user_action", "users": []});
            }
            one["users"].as_array_mut().unwrap().push(json!(user));
            expected.insert((id.clone(), user.clone()));
        }
        let settings = parse(&settings);
        let mut http = vendor(|_| ok(&json!({"items": []})));
        run_with("recommendations", &mut http, &mut Memory::default(), Position::Start, |_| (settings.clone(), 9, NOW)).unwrap();
        let asked: Vec<_> = http.asked.iter().map(|request| {
            let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
            (request.path[2].clone(), body["user_id"].as_str().unwrap().to_owned())
        }).collect();
        prop_assert_eq!(asked.len(), expected.len());
        prop_assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn a_foreign_or_broken_cursor_is_refused_by_name() {
    let settings = parse(&everything());
    for resource in super::resources() {
        let at = |text: &str| {
            let position = Position::Cursor(Cursor { version: 1, bytes: text.as_bytes().to_vec() });
            let http = &mut vendor(|_| answered(500, ""));
            let failure =
                unit(&settings, &resource.name, http, &mut known_ids(), (position, 9, NOW)).unwrap_err();
            assert!(http.asked.is_empty(), "{}", resource.name);
            assert_eq!(failure.kind, FailureKind::Cursor);
            failure.code
        };
        let own = |state: &str| format!(r#"{{"of":"{}","state":{state}}}"#, resource.name);
        assert_eq!(at(r#"{"of":"campaigns","state":{}}"#), "foreign-cursor");
        assert_eq!(at("{}"), "unreadable-cursor");
        assert_eq!(at(&own(r#"{"run":"x"}"#)), "unreadable-cursor");
        assert_eq!(at(&own(r#"{"run":1,"place":7}"#)), "unreadable-cursor");
        let position = Position::Window(0, NOW);
        let failure = unit(
            &settings,
            &resource.name,
            &mut vendor(|_| answered(500, "")),
            &mut known_ids(),
            (position, 9, NOW),
        );
        assert_eq!(failure.unwrap_err().code, "position-not-supported");
    }
}
