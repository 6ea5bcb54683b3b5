//! The host is killed with SIGKILL, at every commit point and at random, while data flows from one
//! vendor to the other. What was acknowledged arrives, once; nobody is re-subscribed.
//!
//! `KILL_ROUNDS=1000 cargo test -p host-harness --test kill` makes more rounds, `KILL_SEED` other ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "described/brevo.rs"]
mod vendor;

use std::path::Path;
use std::time::{Duration, Instant};

use host_harness::crash;
use host_harness::demo::stage::Stage;
use host_harness::store::StoreError;
use stand_ins::faults::{Effect, Fault, Rule};
use stand_ins::moengage::generator::Generator;

const FACTOR: f64 = 60.0;
const PATIENCE: Duration = Duration::from_secs(180);

fn stage(tenants: &[&str]) -> Stage {
    let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_harness")), tenants, FACTOR).unwrap();
    stage.tenants.iter().for_each(|tenant| tenant.brevo.record_exchanges());
    stage
}

fn generator(seed: u64, events: usize) -> Generator {
    Generator { seed, people: (events / 8).max(4), events, batch_size: 10, poison: 1, ..Generator::default() }
}

/// Both sides agree for every tenant, the sums add up, and what was done again is what was under
/// way when the host died.
fn assert_whole(stage: &mut Stage, kills: i64) {
    loop {
        let rest = stage.wait_for_rest(PATIENCE);
        rest.unwrap_or_else(|error| panic!("{error}\n{}", tail(&stage.log())));
        if stage.push_given_up() == 0 {
            break;
        }
    }
    for (tenant, sums) in stage.sums().unwrap() {
        assert!(sums.agree(), "{tenant}: {sums:?}");
    }
    for n in 0..stage.tenants.len() {
        let verdict = stage.verdict(n);
        assert!(
            verdict.is_clean(),
            "{}: {verdict:#?}\n{:#?}\n{}",
            stage.tenants[n].name,
            stage.sums().unwrap()[&stage.tenants[n].name],
            tail(&stage.log())
        );
        vendor::hold(&stage.tenants[n].brevo);
    }
    let done_again: i64 = stage
        .store()
        .unwrap()
        .read::<_, StoreError>(|tx| {
            Ok(tx.query_row(
                "SELECT coalesce(sum(attempts - 1), 0) FROM journal WHERE attempts > 0",
                [],
                |row| row.get(0),
            )?)
        })
        .unwrap();
    assert!(done_again <= kills, "{done_again} units were done again after {kills} kills");
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().rev().take(30).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[test]
fn h01_w10_killed_at_every_commit_point_nothing_is_lost_and_nothing_doubled() {
    // Each point twice: when it is passed for the first time, and in the thick of it.
    let plans: Vec<(String, String)> = crash::POINTS
        .iter()
        .flat_map(|point| [1, 4].map(|n| (format!("{point}-{n}"), format!("{point}:{n}"))))
        .collect();
    let names: Vec<&str> = plans.iter().map(|(name, _)| name.as_str()).collect();
    let mut stage = stage(&names);
    stage.start_host(None).unwrap(); // installs every tenant
    stage.kill_host();
    for (n, (name, point)) in plans.iter().enumerate() {
        stage.start_host(Some(point)).unwrap();
        stage.push(n, &generator(n as u64, 60), None).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while stage.is_running() {
            assert!(Instant::now() < deadline, "{name} was never reached\n{}", tail(&stage.log()));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    stage.start_host(None).unwrap();
    assert_whole(&mut stage, plans.len() as i64 + 1);
}

#[test]
fn h01_killed_at_random_while_data_flows_nothing_is_lost_and_nothing_doubled() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let rounds = number("KILL_ROUNDS", 100);
    let mut random = number("KILL_SEED", 1);
    let mut stage = stage(&["flow-a", "flow-b"]);
    // Brevo is not at its best either.
    for tenant in &stage.tenants {
        let faults = tenant.brevo.faults();
        let lost = |method, path| Rule::on(method, path, Fault::close_after_effect()).probability(0.03, 7);
        for rule in [
            lost("POST", "/v3/contacts"),
            lost("POST", "/v3/events"),
            lost("POST", "/v3/events/batch"),
            lost("PUT", "/v3/contacts/{identifier}"),
            Rule::any(Fault::status(500, "oops")).probability(0.03, 8),
            Rule::any(Fault::rate_limited(true)).probability(0.01, 9),
        ] {
            faults.add(rule).unwrap();
        }
    }
    stage.start_host(None).unwrap();
    // About half a second a round; the stream lasts as long as the rounds do.
    let pace = Some(2.0);
    for tenant in 0..2 {
        stage.push(tenant, &generator(tenant as u64, rounds as usize * 5), pace).unwrap();
    }
    for _ in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(30 + (random >> 33) % 400));
        stage.kill_host();
        stage.start_host(None).unwrap();
    }
    for tenant in &stage.tenants {
        tenant.brevo.faults().clear();
    }
    assert_whole(&mut stage, rounds as i64);
}

/// Runs a command of the program on a stage's configuration.
fn harness(stage: &Stage, command: &[&str]) -> std::process::Output {
    let config = stage.config();
    std::process::Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(command)
        .args(["--config", config.to_str().unwrap()])
        .output()
        .unwrap()
}

#[test]
fn h21_restored_from_a_backup_that_was_made_under_load_nothing_is_doubled() {
    let mut stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_harness")), &["restored"], 600.0).unwrap();
    stage.tenants[0].brevo.record_exchanges();
    stage.start_host(None).unwrap();
    stage.push(0, &generator(21, 400), Some(40.0)).unwrap();
    let until = |what: &str, holds: &mut dyn FnMut() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until("some have arrived", &mut || stage.arrived() > 20);
    let file = stage.config().with_file_name("backup.db");
    let file = file.to_str().unwrap();
    let done = harness(&stage, &["backup", "--to", file]);
    assert!(done.status.success(), "{done:?}");
    let at_backup = stage.arrived();
    assert!(at_backup < 400, "the backup was made in the middle");
    stage.wait_for_rest(PATIENCE).unwrap();
    assert!(stage.arrived() > at_backup, "the host went on");
    let in_use = harness(&stage, &["restore", "--from", file]);
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("store-in-use"), "{in_use:?}");
    stage.kill_host();

    let done = harness(&stage, &["restore", "--from", file]);
    assert!(done.status.success(), "{done:?}");
    stage.start_host(None).unwrap();
    let status = harness(&stage, &["status", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(shown["doubt"]["code"], "restored-from-backup", "{shown}");
    assert_eq!(status.status.code(), Some(1));
    let done = harness(&stage, &["restore", "confirm"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(
        harness(&stage, &["restore", "confirm"]).status.code(),
        Some(2),
        "there is nothing to confirm"
    );
    assert_whole(&mut stage, 1);
}

/// The checker is checked: a Brevo that takes an event and forgets it, and one that gets an event
/// from somebody else as well.
#[test]
fn a_planted_loss_and_a_planted_double_are_found() {
    let mut stage = stage(&["planted"]);
    let forgets = Fault::status(204, "").effect(Effect::Never);
    stage.tenants[0].brevo.faults().add(Rule::on("POST", "/v3/events", forgets).times(1)).unwrap();
    stage.start_host(None).unwrap();
    stage.push(0, &Generator { events: 8, people: 4, late: 0.0, ..generator(3, 8) }, None).unwrap();
    stage.wait_for_rest(PATIENCE).unwrap_or_else(|error| panic!("{error}\n{}", tail(&stage.log())));
    let verdict = stage.verdict(0);
    assert_eq!(verdict.lost.len(), 1, "{verdict:?}");

    let brevo = &stage.tenants[0].brevo;
    let (uuid, _) = brevo.events_by_property("moengage_event_uuid").into_iter().next().unwrap();
    let contact = brevo.contacts()[0].id;
    let body = serde_json::json!({
        "event_name": "moengage_email_open",
        "identifiers": { "contact_id": contact },
        "event_properties": { "moengage_event_uuid": uuid },
    });
    let answer = ureq::post(format!("{}/v3/events", brevo.url()))
        .header("api-key", brevo.api_key())
        .header("content-type", "application/json")
        .send(body.to_string())
        .unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(stage.verdict(0).doubled, [uuid]);
}
