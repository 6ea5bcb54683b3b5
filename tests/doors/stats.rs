//! Figures of campaigns: a day at a time, read again while they are restated.

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Cursor, Failure, Http, HttpError, HttpRequest, HttpResponse, Mapping, Position, Record,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::inventory::{Run, answered, first, ok, run_with, vendor};
use crate::reach::Memory;
use crate::schemas::{assert_fits_schema, everything};
use crate::{NOW, body, map, parse};

const DAY: i64 = 86_400_000;
const STATS: &str = "campaign-stats";

/// Figures of one platform, under one locale and variation.
fn figures(platform: &str, variation: &str, sent: u64) -> Value {
    let figures = json!({"performance_stats": {"sent": sent}});
    let variations = BTreeMap::from([(variation.to_owned(), figures)]);
    json!({"platforms": {platform: {"locales": {"all_locales": {"variations": variations}}}}})
}

/// MoEngage, as far as it counts: campaigns of each day, in pages of ten.
struct Counter {
    /// Campaigns by the day on which they have figures.
    days: BTreeMap<String, Vec<String>>,
    sent: u64,
    asked: Vec<(String, u64)>,
}

impl Counter {
    fn new(days: &[(&str, usize)]) -> Self {
        let campaigns = |count: usize| (0..count).map(|n| format!("c{n:03}")).collect();
        let days = days.iter().map(|(day, count)| ((*day).to_owned(), campaigns(*count))).collect();
        Self { days, sent: 1, asked: Vec::new() }
    }
}

impl Http for Counter {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        assert_eq!((&body["limit"], &body["start_date"]), (&json!(10), &body["end_date"]), "one day a call");
        let (day, offset) =
            (body["start_date"].as_str().unwrap().to_owned(), body["offset"].as_u64().unwrap());
        self.asked.push((day.clone(), offset));
        let all = self.days.get(&day).cloned().unwrap_or_default();
        let page = all.iter().skip(offset as usize).take(10);
        let data: BTreeMap<_, _> =
            page.map(|id| (id.clone(), vec![figures("android", "all_variations", self.sent)])).collect();
        Ok(ok(&json!({
            "response_id": body["request_id"], "total_campaigns": all.len(), "current_page": offset / 10 + 1,
            "total_pages": all.len().div_ceil(10), "data": data,
        })))
    }
}

fn run(http: &mut dyn Http, from: Position, now: i64) -> Result<Run, Failure> {
    let settings = parse(&everything());
    run_with(STATS, http, &mut Memory::default(), from, |_| (settings.clone(), 1_000, now))
}

fn days(counter: &Counter) -> Vec<&str> {
    let mut days: Vec<_> = counter.asked.iter().map(|(day, _)| day.as_str()).collect();
    days.dedup();
    days
}

/// Records, rejects by pointer and code, names of notes.
type Told = (Vec<Record>, Vec<(String, String)>, Vec<String>);

/// What becomes of one campaign's entry.
fn campaign(id: &str, entries: Value) -> Result<Told, Failure> {
    let data = BTreeMap::from([(id, entries)]);
    let page = first(STATS, ok(&json!({"total_campaigns": 1, "total_pages": 1, "data": data})))?;
    for record in &page.records {
        assert_fits_schema(STATS, &body(record));
        assert_eq!(map(&parse(&everything()), record).unwrap(), Mapping::Nothing("no-target".to_owned()));
    }
    let rejects = page.rejects.into_iter().map(|reject| (reject.pointer, reject.code)).collect();
    Ok((page.records, rejects, page.notes.into_iter().map(|note| note.name).collect()))
}

#[test]
fn the_first_run_reads_thirty_days_and_each_later_one_looks_back_three() {
    let mut counter = Counter::new(&[("2022-05-20", 1)]);
    let first = run(&mut counter, Position::Start, NOW).unwrap();
    let asked = days(&counter).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((asked.len(), asked[0].as_str(), asked[29].as_str()), (30, "2022-04-21", "2022-05-20"));
    assert_eq!((first.records.len(), first.truncated), (1, None));

    let mut next = Counter::new(&[]);
    let second = run(&mut next, Position::Cursor(first.cursor.unwrap()), NOW + 2 * DAY).unwrap();
    assert_eq!(
        days(&next),
        ["2022-05-17", "2022-05-18", "2022-05-19", "2022-05-20", "2022-05-21", "2022-05-22"]
    );

    // A clock that was set back asks for no day to come.
    let mut back = Counter::new(&[]);
    run(&mut back, Position::Cursor(second.cursor.unwrap()), NOW).unwrap();
    assert_eq!(days(&back), ["2022-05-17", "2022-05-18", "2022-05-19", "2022-05-20"]);
}

#[test]
fn restated_figures_are_the_same_record_seen_again() {
    let mut counter = Counter::new(&[("2022-05-19", 1), ("2022-05-20", 1)]);
    let first = run(&mut counter, Position::Start, NOW).unwrap();
    let again = |sent: u64| {
        let mut counter = Counter::new(&[("2022-05-19", 1), ("2022-05-20", 1)]);
        counter.sent = sent;
        run(&mut counter, Position::Cursor(first.cursor.clone().unwrap()), NOW + 6 * 3_600_000).unwrap()
    };
    let (same, restated) = (again(1), again(2));
    assert_eq!(first.keys(), restated.keys());
    for ((before, same), restated) in first.records.iter().zip(&same.records).zip(&restated.records) {
        assert_eq!((&before.id, &before.body), (&same.id, &same.body));
        assert_eq!((&before.id, &before.subject), (&restated.id, &restated.subject));
        assert_ne!(before.body, restated.body);
        assert_ne!(before.observation.id, restated.observation.id);
        assert!(before.occurred.at < restated.occurred.at, "the newest read stands");
    }
}

#[test]
fn campaigns_come_ten_a_page_and_each_is_read_on_each_day() {
    let mut counter = Counter::new(&[("2022-05-18", 25), ("2022-05-20", 10)]);
    let run = run(&mut counter, Position::Start, NOW).unwrap();
    assert_eq!((run.records.len(), run.keys().len(), run.truncated), (35, 35, None));
    let of = |day: &str| -> Vec<u64> {
        counter.asked.iter().filter(|(asked, _)| asked == day).map(|(_, offset)| *offset).collect()
    };
    assert_eq!((of("2022-05-18"), of("2022-05-19"), of("2022-05-20")), (vec![0, 10, 20], vec![0], vec![0]));
}

#[test]
fn n22_fewer_campaigns_than_are_counted_are_looked_for_twice_and_said() {
    let mut calls = 0;
    let mut http = vendor(|_| {
        calls += 1;
        ok(&json!({"total_campaigns": 3, "total_pages": 1, "data": {"c1": [figures("ios", "v", 1)]}}))
    });
    let run = run(&mut http, Position::Start, NOW).unwrap();
    assert!(run.truncated.as_ref().unwrap().contains("fewer rows than it counts"));
    assert_eq!((calls, run.keys().len()), (90, 30));
}

#[test]
fn control_groups_are_variations_and_a_slip_of_moengage_is_mended() {
    let entry = json!({"platforms": {"EMAIL": {"locales": {"es/MX": {"variations": {
        "campaign_control_group": {"failure_breakdown": {"user_removed_due_to_campaing_control_group": 1, "a": null, "b": "1", "c": [1]}},
        "1": {"performance_stats": {"sent": 2.0, "ctr": 1.50}, "conversion_goal_stats": {"G/1": {"goal_name": "Bought", "cvr": 0.1}, "odd": "x"}}
    }}}}}});
    let (records, rejects, notes) = campaign("66e9", json!([entry, {}, {"platforms": null}])).unwrap();
    assert_eq!((rejects.len(), notes), (0, vec!["unreadable-field".to_owned()]));
    let bodies: Vec<_> = records.iter().map(body).collect();
    assert_eq!(bodies[1]["failures"], json!({"user_removed_due_to_campaign_control_group": 1, "a": null}));
    assert_eq!(
        (&bodies[1]["platform"], &bodies[1]["locale"], &bodies[1]["variation"]),
        (&json!("email"), &json!("es/MX"), &json!("campaign_control_group"))
    );
    assert!(records[0].body.contains(r#""performance":{"ctr":1.5,"sent":2}"#), "{}", records[0].body);
    assert_eq!(bodies[0]["goals"], json!([{"goal": "G/1", "name": "Bought", "figures": {"cvr": 0.1}}]));
}

#[test]
fn a_campaign_that_nobody_can_read_stops_no_other() {
    for (entries, code) in [
        (json!(7), "stats-not-as-documented"),
        (json!([7]), "stats-not-as-documented"),
        (json!([{"platforms": []}]), "stats-not-as-documented"),
        (
            json!([{"platforms": {"a": {"locales": {"l": {"variations": {"v": 7}}}}}}]),
            "stats-not-as-documented",
        ),
        (json!([figures("android", "", 1)]), "missing-key"),
        (json!([figures("a\nb", "v", 1)]), "control-character-identity"),
        (json!([figures("android", &"v".repeat(513), 1)]), "identity-too-long"),
        (json!([figures("android", &"v".repeat(470), 1)]), "identity-too-long"),
    ] {
        let data = json!({"bad": entries, "good": [figures("ios", "v", 1)]});
        let page = first(STATS, ok(&json!({"total_campaigns": 2, "total_pages": 1, "data": data}))).unwrap();
        let rejects: Vec<_> = page.rejects.iter().map(|r| (r.pointer.as_str(), r.code.as_str())).collect();
        assert_eq!(rejects, [("/data/bad", code)], "{data}");
        assert_eq!(page.records.len(), 1);
    }
    // Two versions of one campaign: equal figures are one, others can't both be true.
    let entry = |sent| figures("android", "v", sent);
    let (records, rejects, notes) = campaign("c", json!([entry(1), entry(1)])).unwrap();
    assert_eq!((records.len(), rejects.len(), notes), (1, 0, vec!["repeated-row".to_owned()]));
    let (_, rejects, _) = campaign("c", json!([entry(1), entry(2)])).unwrap();
    assert_eq!(rejects, [("/data/c".to_owned(), "figures-contradict".to_owned())]);
    let (records, ..) =
        campaign("c", json!([figures("ANDROID", "v", 1), figures("android", "v", 1)])).unwrap();
    assert_eq!(records.len(), 1, "a platform is one in whichever case it comes");
}

#[test]
fn what_is_no_figure_is_never_kept() {
    let canary = json!({"text": "canary"});
    let entry = json!({"content": "canary", "created_by": canary, "platforms": {"android": {"subject": "canary", "locales": {"l": {
        "message": canary, "variations": {"v": {"html": "canary", "params": canary,
            "performance_stats": {"sent": 1, "subject": "canary", "content": canary},
            "failure_breakdown": {"codes": ["canary"]}, "conversion_goal_stats": {"g": {"goal_name": "Goal", "by": "canary", "x": canary}}}}
    }}}}});
    let (records, rejects, _) = campaign("c", json!([entry])).unwrap();
    assert_eq!((records.len(), rejects.len()), (1, 0));
    assert!(!format!("{records:?}").contains("canary"));
}

#[test]
fn a_goal_and_figures_that_the_settings_choose_are_asked_for() {
    let mut settings = everything();
    settings["campaign_stats"] = json!({"attribution_type": "VIEW_THROUGH", "metric_type": "UNIQUE"});
    let settings = parse(&settings);
    let mut http = vendor(|_| answered(500, ""));
    let from = |_: usize| (settings.clone(), 9, NOW);
    run_with(STATS, &mut http, &mut Memory::default(), Position::Start, from).unwrap_err();
    let asked: Value = serde_json::from_slice(http.asked[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        (&asked["attribution_type"], &asked["metric_type"]),
        (&json!("VIEW_THROUGH"), &json!("UNIQUE"))
    );
}

#[test]
fn a_cursor_that_no_run_writes_is_refused() {
    let at = |state: &str| {
        let bytes = format!(r#"{{"of":"campaign-stats","state":{state}}}"#).into_bytes();
        run(&mut Counter::new(&[]), Position::Cursor(Cursor { version: 1, bytes }), NOW).map(|_| ())
    };
    let list = r#"{"read":0,"rows":0,"total":null,"moved":false,"rounds":0,"latest":"","marks":"","count":0,"empty":0,"pages":0}"#;
    let day = NOW - NOW.rem_euclid(DAY);
    assert!(at(&format!(r#"{{"run":{NOW},"day":{day},"list":{list},"cut_short":null}}"#)).is_ok());
    for state in [
        format!(r#"{{"run":{NOW},"day":{},"list":{list},"cut_short":null}}"#, day + 1),
        format!(r#"{{"run":{NOW},"day":{},"list":{list},"cut_short":null}}"#, day + DAY),
        format!(r#"{{"run":{NOW},"day":-{DAY},"list":{list},"cut_short":null}}"#),
        format!(r#"{{"run":{NOW},"day":{day},"cut_short":null}}"#),
        r#"{"through":"x"}"#.to_owned(),
    ] {
        assert_eq!(at(&state).unwrap_err().code, "unreadable-cursor", "{state}");
    }
}

proptest! {
    #[test]
    fn no_two_names_share_an_id(
        a in proptest::array::uniform3("[ab/%:F2]{1,4}"), b in proptest::array::uniform3("[ab/%:F2]{1,4}")
    ) {
        let id = |names: &[String; 3]| {
            let [id, platform, variation] = names;
            campaign(id, json!([figures(platform, variation, 1)])).unwrap().0[0].id.clone()
        };
        let lower = |names: &[String; 3]| [names[0].clone(), names[1].to_lowercase(), names[2].clone()];
        prop_assert_eq!(id(&a) == id(&b), lower(&a) == lower(&b));
    }

    #[test]
    fn whatever_days_hold_every_campaign_is_read_once_for_each(
        counts in proptest::collection::vec(0..35_usize, 30)
    ) {
        let names: Vec<String> = (21..=30).map(|d| format!("2022-04-{d}")).chain((1..=20).map(|d| format!("2022-05-{d:02}"))).collect();
        let plan: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(counts.iter().copied()).collect();
        let run = run(&mut Counter::new(&plan), Position::Start, NOW).unwrap();
        let total: usize = counts.iter().sum();
        prop_assert_eq!((run.records.len(), run.keys().len(), run.truncated), (total, total, None));
        let runs: BTreeSet<_> = run.records.iter().map(|r| r.observation.id.split('.').nth(1).unwrap()).collect();
        prop_assert!(runs.len() <= 1);
    }
}
