//! `harness bench`: that it says what it measured. Never how fast: that is no test.

use std::process::{Command, Stdio};

use serde_json::Value;

fn harness(args: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_harness")).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap_or(-1), text(done.stdout), text(done.stderr))
}

fn measured(args: &[&str]) -> Value {
    let (code, out, err) = harness(&[&["bench"], args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {out} {err}");
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(report["bench"], args[0]);
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0, "{report}");
    report
}

/// A pace over that many records, with all its parts.
fn assert_pace(pace: &Value, records: u64) {
    assert_eq!(pace["records"], records, "{pace}");
    for part in ["seconds", "cpu_seconds", "per_second", "per_cpu_second"] {
        assert!(pace[part].as_f64().unwrap() > 0.0, "{part}: {pace}");
    }
}

fn assert_parts_of_one(shares: &Value) {
    let sum: f64 = shares.as_object().unwrap().values().map(|share| share.as_f64().unwrap()).sum();
    assert!((0.95..1.05).contains(&sum), "{shares}");
}

fn assert_usage(usage: &Value) {
    let (peak, own) = (usage["peak_memory"].as_u64().unwrap(), usage["anonymous"].as_u64().unwrap());
    assert!(peak > own && own > 100_000, "{usage}");
}

fn assert_times(times: &Value, count: u64) {
    assert_eq!(times["count"], count, "{times}");
    let [p50, p99, max] = ["p50_us", "p99_us", "max_us"].map(|name| times[name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{times}");
}

#[test]
fn map_measures_the_sandbox() {
    let report = measured(&["map", "--records", "200,400", "--without-native"]);
    assert!(report["native"].is_null() && report["unit_to_native"].is_null(), "{report}");
    for (run, records) in report["runs"].as_array().unwrap().iter().zip([200, 400]) {
        assert_pace(&run["pace"], records);
        assert_usage(&run["usage"]);
        assert!(run["objects"].as_u64().unwrap() > records, "a contact comes with most events: {run}");
        assert!(run["guest_memory"].as_u64().unwrap() >= 65_536, "{run}");
    }
}

#[test]
fn start_measures_instances() {
    let report = measured(&["start", "--rounds", "50"]);
    assert_times(&report["instance"], 50);
    assert_times(&report["drop"], 50);
    assert_usage(&report["usage"]);
    assert!(report["component"].as_u64().unwrap() < report["compiled"].as_u64().unwrap(), "{report}");
}

#[test]
fn webhook_measures_intake_units_and_answers() {
    let report = measured(&["webhook", "--records", "400", "--steady", "3", "--connections", "2"]);
    let run = &report["runs"][0];
    assert_pace(&run["intake"], 400);
    assert_pace(&run["units"], 400);
    assert_times(&run["answers"], 4);
    assert_times(&report["steady"]["answers"], 3);
    assert_times(&report["sync"], 100);
    assert_parts_of_one(&run["shares"]);
    assert_usage(&run["usage"]);
    assert!(run["stored"].as_f64().unwrap() > 1_000.0, "the raw body alone is more: {run}");
    assert_pace(&report["native"], 400);
    assert!(report["ratio"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn pull_and_export_measure_a_whole_run() {
    for verb in ["pull", "export"] {
        let report = measured(&[verb, "--records", "100"]);
        let run = &report["runs"][0];
        assert_pace(&run["pace"], 100);
        assert_eq!(run["result"], "complete", "{verb}: {run}");
        assert!(run["objects"].as_u64().unwrap() >= 100 && run["units"].as_u64().unwrap() > 0, "{run}");
        assert_parts_of_one(&run["shares"]);
        assert_usage(&run["usage"]);
        assert_pace(&report["native"], 100);
    }
}

#[test]
fn a_person_gets_text_and_help_that_says_what_is_measured() {
    let (code, out, err) = harness(&["bench", "start", "--rounds", "10"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("fresh instance") && out.contains("p99"), "{out}");
    let (code, out, _) = harness(&["bench", "--help"]);
    assert_eq!(code, 0);
    for verb in ["map", "start", "webhook", "pull", "export", "docs/performance.md"] {
        assert!(out.contains(verb), "{verb}: {out}");
    }
    assert!(!out.contains("worker"), "{out}");
    assert_eq!(harness(&["bench", "map", "--records", "0"]).0, 2);
    assert_eq!(harness(&["bench", "webhook", "--rate", "0"]).0, 2);
}
