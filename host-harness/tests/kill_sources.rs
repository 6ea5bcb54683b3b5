//! The host is killed with SIGKILL, at every commit point and at random, while it reads export
//! files, campaigns and profiles and delivers what they call for. Nothing is lost, nothing doubled,
//! nobody re-subscribed.
//!
//! `KILL_ROUNDS=200 cargo test -p host-harness --test kill_sources` makes more rounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host_harness::crash;
use host_harness::demo::verdict::{Expected, Observed, Verdict};
use host_harness::store::runs::{self, backfill_key, resource_key};
use host_harness::store::{Store, StoreError};
use sources::*;
use stand_ins::faults::{Effect, Fault, Rule};
use stand_ins::moengage::Campaign;
use stand_ins::moengage::exports::{ExportOptions, Exported, export_files};
use stand_ins::moengage::generator::Generator;

const DAY: i64 = 86_400_000;
const EXPORTS: &str = "event-exports";
const EVENT_UUID: &str = "moengage_event_uuid";
const LONGEST: Duration = Duration::from_secs(180);

/// A host in a process of its own.
struct Serving(Child);

impl Serving {
    fn start(world: &World, crash_at: Option<&str>) -> Self {
        let path = world.directory.path().join("tajo.yaml");
        std::fs::write(&path, &world.text).unwrap();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(world.directory.path().join("host.log"))
            .unwrap();
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_harness")));
        command.args(["serve", "--config"]).arg(path).env_remove("HARNESS_CRASH_AT");
        for (name, value) in world.secrets() {
            command.env(name, value);
        }
        if let Some(point) = crash_at {
            command.env("HARNESS_CRASH_AT", point);
        }
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn has_died(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill(); // may have died already
        let _ = self.0.wait();
    }
}

/// A world with a history in files, which are put into the bucket part by part.
struct Stage {
    world: World,
    exported: Exported,
    put: usize,
    window: (i64, i64),
}

impl Stage {
    fn set(seed: u64, events: usize) -> Self {
        let world = World::with(&Setting { factor: 600.0, ..Setting::default() });
        let generator =
            Generator { seed, people: events / 8, events, now_s: world.now_s(), ..Generator::default() };
        let options = ExportOptions {
            folder: FOLDER.to_owned(),
            db_name: DB_NAME.to_owned(),
            events_per_file: 20,
            ..ExportOptions::default()
        };
        let exported = export_files(&generator, &options);
        world.moengage.set_users(generator.users());
        world.moengage.with_campaigns(|campaigns| *campaigns = (0..35).map(Campaign::numbered).collect());
        let now = world.brevo.now();
        let stage = Self { world, exported, put: 0, window: (now - 5 * DAY, now + 1_000) };
        // The first start installs the tenant.
        drop(stage.world.units());
        stage
    }

    fn store(&self) -> Store {
        self.world.store()
    }

    /// Puts some more files into the bucket.
    fn put(&mut self, share: usize) {
        let files = &self.exported.files;
        let until = (self.put + (files.len() / share).max(1)).min(files.len());
        for file in &files[self.put..until] {
            self.world.bucket.put(&file.key, file.bytes.clone());
        }
        self.put = until;
    }

    /// Asks for everything to be read, or to go on.
    fn ask(&self) {
        let (store, now) = (self.store(), self.world.brevo.now());
        let id = installation(&store);
        store
            .write::<_, StoreError>(|tx| {
                if runs::resume_backfill(tx, id, EXPORTS, now)?.is_err() {
                    runs::begin_backfill(tx, id, EXPORTS, self.window, now)?.unwrap();
                }
                for resource in ["campaigns", "users"] {
                    runs::sync_now(tx, id, resource, now)?;
                }
                Ok(())
            })
            .unwrap();
    }

    /// True once everything that was asked for was read and all that it called for is settled.
    fn is_done(&self) -> bool {
        let store = self.store();
        let keys = [backfill_key(EXPORTS), resource_key("campaigns"), resource_key("users")];
        let (sums, reconciling) = sums(&store);
        keys.iter().all(|key| run(&store, key).is_over()) && sums.at_rest() && reconciling == 0
    }

    /// Runs the host until it dies of itself, or everything is done. False where it did not die.
    fn run_until_it_dies(&self, crash_at: &str) -> bool {
        self.ask();
        let mut serving = Serving::start(&self.world, Some(crash_at));
        let deadline = Instant::now() + LONGEST;
        loop {
            if serving.has_died() {
                return true;
            }
            if self.is_done() {
                return false;
            }
            assert!(Instant::now() < deadline, "neither dead nor done at {crash_at}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets a host that nothing kills finish what is there. Killed again and again, one and the same
    /// event would in the end be left to an operator, as it should.
    fn settle(&self) {
        self.ask();
        let _serving = Serving::start(&self.world, None);
        let deadline = Instant::now() + LONGEST;
        while !self.is_done() {
            assert!(Instant::now() < deadline, "never settled\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets a host that nothing kills read everything to its end.
    fn finish(&mut self) {
        self.put(1);
        self.ask();
        let _serving = Serving::start(&self.world, None);
        let deadline = Instant::now() + LONGEST;
        while !self.is_done() {
            assert!(Instant::now() < deadline, "never done\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        // The last run may have begun before the last files came.
        self.ask();
        while !self.is_done() {
            assert!(Instant::now() < deadline, "never done again\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn verdict(&self) -> Verdict {
        let observed = Observed::at(&self.world.brevo, EVENT_UUID);
        Verdict::of(&Expected::from_truth(&self.exported.truth), &observed)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.world.directory.path().join("host.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn assert_whole(&self) {
        let store = self.store();
        let (sums, _) = sums(&store);
        assert!(sums.agree(), "{sums:?}");
        assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
        for key in [backfill_key(EXPORTS), resource_key("campaigns"), resource_key("users")] {
            let run = run(&store, &key);
            assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
        }
        let verdict = self.verdict();
        assert!(verdict.is_clean(), "{verdict:#?}\n{sums:#?}\n{}", self.log());
        self.world.assert_clean();
    }
}

#[test]
fn h01_w10_killed_at_every_commit_point_while_reading_nothing_is_lost_and_nothing_doubled() {
    // Nothing comes in by webhook here.
    let points: Vec<_> = crash::POINTS.iter().filter(|point| !point.starts_with("intake")).collect();
    let mut stage = Stage::set(11, 600);
    // Each point twice: when it is passed for the first time, and with the third resource.
    for (n, point) in points.iter().flat_map(|point| [(1, point), (3, point)]) {
        // Few calls may be enough for what a part calls for.
        let n = if point.starts_with("delivery") { 1 } else { n };
        if point.starts_with("delivery") {
            stage.settle();
        }
        stage.put(points.len() * 2);
        let died = stage.run_until_it_dies(&format!("{point}:{n}"));
        assert!(died, "{point} was not passed {n} times");
    }
    stage.finish();
    stage.assert_whole();
}

#[test]
fn h01_killed_at_random_while_reading_nothing_is_lost_and_nothing_doubled() {
    let rounds =
        std::env::var("KILL_ROUNDS").map_or(15, |text| text.parse().expect("KILL_ROUNDS is a number"));
    let mut stage = Stage::set(12, 20 * rounds.max(10));
    let lost = |method, path| Rule::on(method, path, Fault::close_after_effect()).probability(0.03, 7);
    for rule in [
        lost("POST", "/v3/contacts"),
        lost("POST", "/v3/events"),
        Rule::any(Fault::status(500, "oops")).probability(0.03, 8),
    ] {
        stage.world.brevo.faults().add(rule).unwrap();
    }
    for faults in [stage.world.bucket.faults(), stage.world.moengage.faults()] {
        faults.add(Rule::any(Fault::cut(300)).probability(0.05, 9)).unwrap();
        faults.add(Rule::any(Fault::status(503, "oops")).probability(0.05, 10)).unwrap();
    }
    let mut random = 1_u64;
    for _ in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        stage.put(rounds);
        stage.ask();
        let serving = Serving::start(&stage.world, None);
        std::thread::sleep(Duration::from_millis(150 + (random >> 33) % 900));
        drop(serving);
    }
    for faults in [stage.world.brevo.faults(), stage.world.bucket.faults(), stage.world.moengage.faults()] {
        faults.clear();
    }
    stage.finish();
    stage.assert_whole();
}

/// The checker is checked: a Brevo that takes an event and forgets it.
#[test]
fn a_planted_loss_is_found() {
    let mut stage = Stage::set(13, 60);
    let forgets = Fault::status(204, "").effect(Effect::Never);
    // Events would ride together, and none alone would be forgotten.
    let no_batch = Fault::status(400, r#"{"code":"invalid_parameter","message":"no"}"#).effect(Effect::Never);
    let faults = stage.world.brevo.faults();
    faults.add(Rule::on("POST", "/v3/events/batch", no_batch)).unwrap();
    faults.add(Rule::on("POST", "/v3/events", forgets).times(1)).unwrap();
    stage.finish();
    assert_eq!(stage.verdict().lost.len(), 1, "{:?}", stage.verdict());
}
