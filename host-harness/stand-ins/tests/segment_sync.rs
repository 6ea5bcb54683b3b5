//! Outbound Segment Sync, against a receiver that answers what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::Client;
use proptest::prelude::*;
use receiver::{Answer, Received, Receiver};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::moengage::posting::{Auth, Outcome};
use stand_ins::moengage::segment_sync::{
    AfterFailure, Destination, EmptyLists, Member, NotNow, Pagination, RunKind, RunStatus, SegmentSync,
    SyncStatus,
};
use stand_ins::moengage::{MoEngage, Options};

const WAIT: Duration = Duration::from_secs(60);

/// Nine seconds of retries in nine milliseconds.
fn moengage() -> MoEngage {
    MoEngage::start(Options { scale: Scale::from_now(1_000.0), ..Options::default() }).unwrap()
}

fn members(range: std::ops::Range<usize>) -> Vec<Member> {
    range.map(|n| Member::new(&format!("moe-{n:05}"), &format!("uid-{n}"))).collect()
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("moe-{n:05}")).collect()
}

fn remove(sync: &SegmentSync, ids: &[String]) {
    sync.remove(ids.iter().map(String::as_str));
}

/// Runs and waits; the requests that came.
fn run(sync: &SegmentSync, receiver: &Receiver, kind: RunKind) -> Vec<Received> {
    let before = receiver.received().len();
    let id = sync.run(kind).unwrap();
    assert!(sync.wait(WAIT));
    let came = receiver.received().split_off(before);
    for request in &came {
        assert_eq!(request.json()["data"]["moengage_execution_id"], id);
    }
    came
}

/// What a list of the requests holds: identifiers, sorted.
fn listed(requests: &[Received], key: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for request in requests {
        for user in request.json()["data"][key].as_array().into_iter().flatten() {
            assert!(all.insert(user["partner_user_id"].as_str().unwrap().to_owned()), "twice: {user}");
        }
    }
    all
}

#[test]
fn the_first_run_is_full_and_later_ones_are_differences() {
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = moengage();
    let sync = moengage.segment_sync(Destination::new(&receiver.url("/segments"))).unwrap();
    sync.put(members(0..250));
    let first = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].headers[0], "POST /segments HTTP/1.1");
    assert_eq!(first[0].header("content-type"), Some("application/json"));
    assert_eq!(first[0].header("authorization"), None);
    let body = first[0].json();
    assert_eq!(body["type"], "segment_sync");
    assert_eq!(body["pagination"], json!({"total_pages": 1, "page_count": 1}));
    let keys: Vec<&String> = body["data"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "add_users",
            "moengage_execution_id",
            "moengage_integration_id",
            "moengage_sync_id",
            "moengage_sync_name",
            "remove_users"
        ]
    );
    assert_eq!(
        body["data"]["add_users"][7],
        json!({"moengage_distinct_id": "moe-00007", "partner_user_id": "uid-7"})
    );
    assert_eq!((listed(&first, "add_users").len(), listed(&first, "remove_users").len()), (250, 0));

    remove(&sync, &ids(0..2));
    sync.put(members(250..253));
    let second = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(listed(&second, "remove_users"), BTreeSet::from(["uid-0".to_owned(), "uid-1".to_owned()]));
    assert_eq!(listed(&second, "add_users").len(), 3);
    let nothing = run(&sync, &receiver, RunKind::AdHoc);
    assert_eq!(nothing[0].json()["data"]["add_users"], json!([]), "both lists, empty");
    let all = run(&sync, &receiver, RunKind::ResyncAll);
    assert_eq!(listed(&all, "add_users").len(), 251);
    let shape = |request: &Received| {
        let mut body = request.json();
        body["data"]["add_users"] = json!([]);
        body["data"]["moengage_execution_id"] = json!("");
        body
    };
    assert_eq!(shape(&all[0]), shape(&nothing[0]), "nothing on the wire says that it is full");
    assert_eq!(sync.run(RunKind::ResyncLastDifference), Err(NotNow::NotFailed));
    assert_eq!(sync.acknowledged(), sync.members());
    let runs = sync.runs();
    let full: Vec<bool> = runs.iter().map(|run| run.full).collect();
    assert_eq!(full, [true, false, false, true]);
    let executions: BTreeSet<&str> = runs.iter().map(|run| run.execution_id.as_str()).collect();
    assert_eq!(executions.len(), 4);
    assert_eq!(sync.status(), SyncStatus::Active);
}

#[test]
fn requests_hold_so_many_users() {
    let receiver = Receiver::start(|_| Answer::json(202));
    let moengage = moengage();
    let to = Destination { users_per_request: 100, ..Destination::new(&receiver.url("/")) };
    let sync = moengage.segment_sync(to.clone()).unwrap();
    sync.put(members(0..250));
    let first = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(listed(&first, "add_users").len(), 250);
    let mut pages: Vec<Value> = first.iter().map(|request| request.json()["pagination"].clone()).collect();
    pages.sort_by_key(|page| page["page_count"].as_u64());
    let expected: Vec<Value> = (1..=3).map(|n| json!({"total_pages": 3, "page_count": n})).collect();
    assert_eq!(pages, expected);
    remove(&sync, &ids(0..60));
    sync.put(members(300..360));
    let mixed = run(&sync, &receiver, RunKind::Scheduled);
    let sizes: BTreeMap<usize, usize> = mixed
        .iter()
        .map(|request| {
            let size = |key: &str| request.json()["data"][key].as_array().unwrap().len();
            (size("add_users"), size("remove_users"))
        })
        .collect();
    assert_eq!(sizes, BTreeMap::from([(60, 40), (0, 20)]), "added and removed ones count alike");

    let odd = Destination { pagination: Pagination::DashboardPages, ..to.clone() };
    let odd = moengage.segment_sync(odd).unwrap();
    odd.put(members(0..150));
    for request in run(&odd, &receiver, RunKind::Scheduled) {
        assert_eq!(request.json()["pagination"], json!({"total_pages": 14, "page_count": 12}));
    }
    for users_per_request in [99, 10_001] {
        assert!(moengage.segment_sync(Destination { users_per_request, ..to.clone() }).is_err());
    }
    let most = Destination { users_per_request: 10_000, ..to };
    let most = moengage.segment_sync(most).unwrap();
    most.put(members(0..10_000));
    assert_eq!(run(&most, &receiver, RunKind::Scheduled).len(), 1);
}

#[test]
fn keys_pairs_headers_and_parameters_are_the_customers() {
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = moengage();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let to = Destination {
        auth: Auth::Basic { user: "tajo".to_owned(), password: "secret".to_owned() },
        headers: vec![pair("x-tajo-key", "k")],
        parameters: vec![pair("tenant", "a & b")],
        add_key: "joined".to_owned(),
        remove_key: "left".to_owned(),
        user_key: "crm_id".to_owned(),
        pairs: vec![pair("origin", "moengage")],
        empty_lists: EmptyLists::LeftOut,
        ..Destination::new(&receiver.url("/in?v=1"))
    };
    let sync = moengage.segment_sync(to.clone()).unwrap();
    let number = Member { moengage_id: "moe-1".to_owned(), identifier: json!(4_000_052_183.0) };
    let nobody = Member { moengage_id: "moe-2".to_owned(), identifier: Value::Null };
    sync.put([number, nobody]);
    let came = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(came[0].headers[0], "POST /in?v=1&tenant=a+%26+b HTTP/1.1");
    assert_eq!(came[0].header("authorization"), Some("Basic dGFqbzpzZWNyZXQ="));
    assert_eq!(came[0].header("x-tajo-key"), Some("k"));
    let data = came[0].json()["data"].clone();
    assert_eq!(
        data["joined"],
        json!([{"moengage_distinct_id": "moe-1", "crm_id": 4_000_052_183.0, "origin": "moengage"}]),
        "who has no identifier is not synced"
    );
    assert!(data.get("left").is_none() && data.get("add_users").is_none());
    assert!(run(&sync, &receiver, RunKind::Scheduled).is_empty(), "no change, and no list to say so");
    sync.put([Member { moengage_id: "moe-1".to_owned(), identifier: Value::Null }]);
    let gone = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(gone[0].json()["data"]["left"][0]["crm_id"], 4_000_052_183.0, "who lost it has left");
    for bad in [
        Destination { remove_key: "joined".to_owned(), ..to.clone() },
        Destination { user_key: "moengage_distinct_id".to_owned(), ..to.clone() },
        Destination { pairs: vec![pair("crm_id", "x")], ..to.clone() },
        Destination { concurrency: 0, ..to.clone() },
        Destination { url: "https://127.0.0.1/".to_owned(), ..to },
    ] {
        assert!(moengage.segment_sync(bad).is_err());
    }
}

#[test]
fn only_2xx_with_json_counts_and_a_failed_run_pauses_the_schedule() {
    // 202 as JSON is fine; without the content type, or with another one, it is not.
    let answers = [
        Answer { content_type: Some("application/json; charset=utf-8"), ..Answer::from(202) },
        Answer::from(200),
        Answer { content_type: Some("text/plain"), ..Answer::from(200) },
        Answer::json(500),
        Answer::from(0),
    ];
    let receiver = Receiver::start(move |n| *answers.get(n - 1).unwrap_or(&Answer::json(200)));
    let moengage = moengage();
    let to = Destination { users_per_request: 100, concurrency: 1, ..Destination::new(&receiver.url("/")) };
    let sync = moengage.segment_sync(to).unwrap();
    sync.put(members(0..300));
    let came = run(&sync, &receiver, RunKind::Scheduled);
    assert_eq!(came.len(), 5, "one that is taken, one that is tried four times, one that is never sent");
    assert!(came[2..].iter().all(|request| request.body == came[1].body), "the same bytes");
    let failed = &sync.runs()[0];
    assert_eq!((failed.status, failed.chunks.len()), (RunStatus::Failed, 3));
    let outcomes: Vec<Outcome> = failed.chunks[1].tries.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Status(200), Outcome::Status(200), Outcome::Status(500), Outcome::NoAnswer]
    );
    for pair in failed.chunks[1].tries.windows(2) {
        assert!(pair[1].sent_at - pair[0].over_at >= 3_000, "{pair:?}");
    }
    assert!(failed.chunks[0].acknowledged() && !failed.chunks[1].acknowledged());
    assert!(failed.chunks[2].tries.is_empty());
    assert_eq!(sync.acknowledged().len(), 100);
    assert_eq!(sync.status(), SyncStatus::Failed);
    assert_eq!(sync.run(RunKind::Scheduled), Err(NotNow::Paused));

    let last = run(&sync, &receiver, RunKind::ResyncLastDifference);
    assert_eq!(listed(&last, "add_users").len(), 300);
    assert_eq!(sync.runs()[1].status, RunStatus::Complete);
    assert_eq!(sync.status(), SyncStatus::Paused, "until an ad-hoc run");
    assert_eq!(sync.run(RunKind::Scheduled), Err(NotNow::Paused));
    sync.put(members(300..301));
    assert_eq!(listed(&run(&sync, &receiver, RunKind::AdHoc), "add_users").len(), 1);
    assert_eq!(sync.status(), SyncStatus::Active);
    assert!(sync.run(RunKind::Scheduled).is_ok());
    assert!(sync.wait(WAIT));
    assert_eq!(sync.acknowledged(), sync.members());
}

#[test]
fn what_follows_a_failed_run_is_settable() {
    for (after_failure, comes_again) in [(AfterFailure::LastComplete, 5), (AfterFailure::Failed, 1)] {
        let receiver =
            Receiver::start(|n| if (2..=5).contains(&n) { Answer::json(500) } else { Answer::json(200) });
        let moengage = moengage();
        let to = Destination { after_failure, ..Destination::new(&receiver.url("/")) };
        let sync = moengage.segment_sync(to).unwrap();
        sync.put(members(0..3));
        run(&sync, &receiver, RunKind::Scheduled);
        sync.put(members(3..7));
        run(&sync, &receiver, RunKind::Scheduled);
        assert_eq!(sync.status(), SyncStatus::Failed);
        sync.put(members(7..8));
        let next = run(&sync, &receiver, RunKind::AdHoc);
        assert_eq!(listed(&next, "add_users").len(), comes_again);
        let lost = after_failure == AfterFailure::Failed;
        assert_eq!(sync.acknowledged() != sync.members(), lost);
        run(&sync, &receiver, RunKind::ResyncAll);
        assert_eq!(sync.acknowledged(), sync.members());
    }
}

#[test]
fn a_schedule_runs_in_host_time_and_cools_off() {
    let gate = Arc::new(AtomicBool::new(false));
    let opens = gate.clone();
    let receiver = Receiver::start(move |_| {
        while !opens.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Answer::json(200)
    });
    // A day in 0.86 s, half an hour in 18 ms.
    let options = Options { scale: Scale::from_now(100_000.0), ..Options::default() };
    let moengage = MoEngage::start(options).unwrap();
    let sync = moengage.segment_sync(Destination::new(&receiver.url("/"))).unwrap();
    sync.put(members(0..1));
    sync.run(RunKind::AdHoc).unwrap();
    sync.put(members(1..2));
    assert_eq!(sync.members().len(), 1, "a run is in process");
    assert_eq!(sync.run(RunKind::AdHoc), Err(NotNow::Running));
    gate.store(true, Ordering::Relaxed);
    assert!(sync.wait(WAIT));
    sync.schedule(Duration::from_secs(86_400));
    let until = std::time::Instant::now() + WAIT;
    while sync.acknowledged().len() < 2 {
        assert!(std::time::Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    let runs = sync.runs();
    assert!(runs[1].kind == RunKind::Scheduled && runs[1].started_at - runs[0].started_at >= 86_400_000);
    sync.pause();
    assert!(sync.wait(WAIT));
    assert_eq!(sync.status(), SyncStatus::Paused);
    let before = sync.runs().len();
    std::thread::sleep(Duration::from_millis(1_900));
    assert_eq!(sync.runs().len(), before, "two days without a run");
}

#[test]
fn a_person_drives_a_sync() {
    let receiver = Receiver::start(|_| Answer::json(200));
    let moengage = moengage();
    let person = Client::new(&moengage.url(), &[]);
    let made = person.post(
        "/_control/segment-syncs",
        json!({
            "destination": {"url": receiver.url("/x"), "auth": {"basic": {"user": "u", "password": "p"}}},
            "members": [{"moengage_id": "m1", "identifier": "u1"}],
        }),
    );
    assert_eq!((made.status, made.json()), (202, json!({"sync": 0})));
    let change = json!({"put": [{"moengage_id": "m2", "identifier": "u2"}], "remove": ["m1"]});
    assert_eq!(person.post("/_control/segment-members", change).json(), json!({"members": 1}));
    let started = person.post("/_control/segment-runs", json!({"kind": "ad-hoc"}));
    assert_eq!(started.status, 202);
    let until = std::time::Instant::now() + WAIT;
    let syncs = loop {
        let syncs = person.get("/_control/state").json()["pushed"]["segment_syncs"].clone();
        if syncs[0]["runs"][0]["status"] != "processing" {
            break syncs;
        }
        assert!(std::time::Instant::now() < until);
    };
    assert_eq!((&syncs[0]["status"], &syncs[0]["runs"][0]["status"]), (&json!("active"), &json!("complete")));
    assert_eq!(syncs[0]["runs"][0]["execution_id"], started.json()["execution_id"]);
    assert_eq!(receiver.received()[0].json()["data"]["add_users"][0]["partner_user_id"], "u2");
    for (call, body) in [
        ("segment-runs", json!({"kind": "resync-last-difference"})),
        ("segment-runs", json!({"sync": 1, "kind": "ad-hoc"})),
        ("segment-runs", json!({"kind": "full"})),
        ("segment-members", json!({"sync": 7})),
        ("segment-syncs", json!({"destination": {"url": "https://example.com"}})),
    ] {
        assert_eq!(person.post(&format!("/_control/{call}"), body.clone()).status, 400, "{call} {body}");
    }
}

/// What happens between two runs, and which run it is.
type Step = (Vec<(u8, bool)>, u8);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A receiver that applies every acknowledged request holds the segment as long as no run
    /// failed, and again after a resync of all.
    #[test]
    fn applying_what_was_acknowledged_gives_the_segment(
        steps in prop::collection::vec((prop::collection::vec((any::<u8>(), any::<bool>()), 0..40), 0_u8..8), 1..12),
        failing in prop::collection::btree_set(1_usize..40, 0..12),
    ) {
        let steps: Vec<Step> = steps;
        // Fails a whole request with its retries: one in four numbers would be retried to success.
        let receiver = Receiver::start(move |n| Answer::json(if failing.contains(&(n / 4)) { 500 } else { 200 }));
        let moengage = MoEngage::start(Options { scale: Scale::from_now(10_000.0), ..Options::default() }).unwrap();
        let to = Destination { users_per_request: 100, concurrency: 2, ..Destination::new(&receiver.url("/")) };
        let sync = moengage.segment_sync(to).unwrap();
        let mut clean = true;
        for (changes, kind) in steps {
            for (n, joins) in changes {
                let n = usize::from(n);
                if joins { sync.put(members(n..n + 1)) } else { remove(&sync, &ids(n..n + 1)) }
            }
            let kind = match kind {
                0..5 => RunKind::Scheduled,
                5 => RunKind::AdHoc,
                6 => RunKind::ResyncAll,
                _ => RunKind::ResyncLastDifference,
            };
            let Ok(execution) = sync.run(kind) else { continue };
            prop_assert!(sync.wait(WAIT));
            let ran = sync.runs().pop().unwrap();
            prop_assert_eq!(&ran.execution_id, &execution);
            let complete = ran.status == RunStatus::Complete;
            clean = complete && (clean || ran.full);
            if clean && kind != RunKind::ResyncLastDifference {
                prop_assert_eq!(sync.acknowledged(), sync.members());
            }
        }
        let resync = || {
            sync.run(RunKind::ResyncAll).unwrap();
            sync.wait(WAIT) && sync.runs().last().unwrap().status == RunStatus::Complete
        };
        prop_assert!((0..20).any(|_| resync()));
        // The wire says the same as the record of it.
        let mut held: BTreeMap<String, Value> = BTreeMap::new();
        for run in sync.runs() {
            if run.full { held.clear(); }
            for chunk in run.chunks.iter().filter(|chunk| chunk.acknowledged()) {
                let body: Value = serde_json::from_slice(&chunk.body).unwrap();
                prop_assert_eq!(&body["data"]["moengage_execution_id"], &json!(run.execution_id));
                for user in body["data"]["add_users"].as_array().unwrap() {
                    held.insert(user["moengage_distinct_id"].as_str().unwrap().to_owned(), user["partner_user_id"].clone());
                }
                for user in body["data"]["remove_users"].as_array().unwrap() {
                    held.remove(user["moengage_distinct_id"].as_str().unwrap());
                }
            }
        }
        prop_assert_eq!(held, sync.members());
    }
}
