//! `harness sync` and `harness backfill`, as a person runs them: beside a host, and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::process::{Command, Output};

use serde_json::Value;
use sources::*;
use stand_ins::bucket::Permission;
use stand_ins::moengage::Campaign;
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::generator::Generator;

fn world(events: usize) -> World {
    let world = World::new();
    std::fs::write(world.directory.path().join("tajo.yaml"), &world.text).unwrap();
    world.moengage.with_campaigns(|campaigns| *campaigns = (0..5).map(Campaign::numbered).collect());
    let generator = Generator { people: 10, events, now_s: world.now_s(), ..Generator::default() };
    let options =
        ExportOptions { folder: FOLDER.to_owned(), db_name: DB_NAME.to_owned(), ..ExportOptions::default() };
    export_files(&generator, &options).put_into(&world.bucket);
    world
}

fn harness(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments).arg("--config").arg(world.directory.path().join("tajo.yaml"));
    for (name, value) in world.secrets() {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output as JSON, and the exit code.
fn json(output: &Output) -> (Value, i32) {
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}\n{}", text(&output.stdout), text(&output.stderr)));
    (value, output.status.code().unwrap())
}

/// A few days before now, as a date.
fn from(world: &World) -> String {
    let at = jiff::Timestamp::from_second(world.now_s() - 5 * 86_400).unwrap();
    at.to_string()[..10].to_owned()
}

#[test]
fn without_a_host_the_command_reads_by_itself_and_leaves_the_outbox_alone() {
    let world = world(60);
    let (report, code) = json(&harness(&world, &["backfill", "--from", &from(&world), "--json"]));
    assert_eq!((code, report["result"].as_str()), (0, Some("complete")), "{report}");
    assert!(report["records"].as_i64().unwrap() >= 60, "{report}");
    assert_eq!(report["progress"], 1_000_000);
    assert!(report["records_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(world.brevo.contacts().len(), 0, "that is for the host");

    let output = harness(&world, &["sync", "campaigns"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("campaigns: complete, 5 records and 0 rejects"), "{said}");
    assert!(said.contains("harness serve"), "{said}");
    assert!(!text(&output.stderr).contains("@example.com") && !said.contains("@example.com"));
}

#[test]
fn beside_a_host_the_command_looks_on() {
    let world = world(60);
    let host = world.serve();
    let (report, code) = json(&harness(&world, &["backfill", "--from", &from(&world), "--json"]));
    assert_eq!((code, report["result"].as_str()), (0, Some("complete")), "{report}");
    world.rest();
    assert!(!world.brevo.contacts().is_empty(), "the host delivered");
    let output = harness(&world, &["sync", "campaigns", "--detach"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Asked for"));
    host.stop();
    world.assert_clean();
}

#[test]
fn what_went_wrong_and_what_to_do_is_said_and_the_backfill_can_be_taken_up_or_given_up() {
    let world = world(20);
    world.bucket.set_permission(Permission::Denied);
    let output = harness(&world, &["backfill", "--from", &from(&world)]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(said.contains("failed") && said.contains("->"), "{said}");

    let again = harness(&world, &["backfill", "--from", &from(&world)]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("backfill-under-way"), "{}", text(&again.stderr));

    world.bucket.set_permission(Permission::Granted);
    let (report, code) = json(&harness(&world, &["backfill", "--resume", "--json"]));
    assert_eq!((code, report["result"].as_str()), (0, Some("complete")), "{report}");
    let nothing = harness(&world, &["backfill", "--resume"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("no-such-backfill"));
}

#[test]
fn a_command_that_cannot_be_meant_is_refused_before_anything_is_read() {
    let world = world(1);
    for (arguments, code) in [
        (&["backfill", "--from", "yesterday"][..], "bad-time"),
        (&["backfill", "--from", "2026-02-01", "--to", "2026-01-01"], "empty-window"),
        (&["backfill", "--cancel"], "no-such-backfill"),
        (&["sync", "nonsense"], "unknown-resource"),
        (&["sync", "campaigns", "--tenant", "nobody"], "unknown-tenant"),
    ] {
        let output = harness(&world, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with(&format!("{code}: ")) && said.contains("->"), "{arguments:?}: {said}");
    }
    assert_eq!(world.bucket.journal().received(), 0);
}

#[test]
fn g16_a_person_can_have_a_resource_read_from_its_beginning() {
    let world = world(0);
    let read = |arguments: &[&str]| {
        let (report, code) = json(&harness(&world, arguments));
        assert_eq!((code, report["result"].as_str()), (0, Some("complete")), "{report}");
        report["records"].as_i64().unwrap()
    };
    assert_eq!(read(&["sync", "campaigns", "--json"]), 5);
    assert_eq!(read(&["sync", "campaigns", "--anew", "--json"]), 5);
}
