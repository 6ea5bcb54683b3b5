//! Reading MoEngage through the real component: campaigns, known users, export files; broken off
//! at any byte, they go on and end the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use host_harness::host::Units;
use host_harness::store::runs::{Run, backfill_key, resource_key};
use sources::*;
use stand_ins::bucket::Storage;
use stand_ins::faults::{Fault, Faults, Rule};
use stand_ins::moengage::exports::{DaySpelling, ExportOptions, Exported, export_files};
use stand_ins::moengage::generator::Generator;
use stand_ins::moengage::{Campaign, FieldNames, GetUser};

const DAY: i64 = 86_400_000;
const EXPORTS: &str = "event-exports";

fn generator(world: &World, events: usize) -> Generator {
    Generator {
        seed: 7,
        people: (events / 8).max(3),
        events,
        batch_size: 10,
        now_s: world.now_s(),
        ..Generator::default()
    }
}

fn options(events_per_file: usize) -> ExportOptions {
    ExportOptions {
        folder: FOLDER.to_owned(),
        db_name: DB_NAME.to_owned(),
        events_per_file,
        ..ExportOptions::default()
    }
}

fn export(world: &World, events: usize, options: &ExportOptions) -> Exported {
    let exported = export_files(&generator(world, events), options);
    exported.put_into(&world.bucket);
    exported
}

fn read_exports(units: &Units) -> Run {
    read_window(units, (units.now() - 5 * DAY, units.now() + 1_000))
}

fn read_window(units: &Units, window: (i64, i64)) -> Run {
    backfill(units.store(), window, units.now());
    finish(units, &backfill_key(EXPORTS))
}

fn read(units: &Units, resource: &str) -> Run {
    sync(units.store(), resource, units.now());
    finish(units, &resource_key(resource))
}

fn assert_complete(run: &Run) {
    assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
}

#[test]
fn campaigns_are_read_to_the_end_and_again_without_a_change() {
    let world = World::new();
    world.moengage.with_campaigns(|campaigns| *campaigns = (0..40).map(Campaign::numbered).collect());
    let units = world.units();
    for _ in 0..2 {
        let run = read(&units, "campaigns");
        assert_complete(&run);
        assert!(run.records >= 40, "{run:?}");
    }
    let (sums, _) = sums(units.store());
    assert!(sums.agree(), "{sums:?}");
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
    assert_eq!(world.moengage.violations(), []);
}

#[test]
fn export_files_are_read_whole_and_a_second_time_changes_nothing() {
    let s3 = || Setting::default().storage;
    for (case, storage, options) in [
        ("plain", s3(), options(50)),
        ("other spelling", s3(), ExportOptions { day: DaySpelling::YearFirst, ..options(70) }),
        ("members", s3(), ExportOptions { gzip_members: 3, crlf: true, duplicates: 0.1, ..options(400) }),
        (
            "google",
            Storage::Gcs,
            ExportOptions { folder: FOLDER.to_owned(), db_name: DB_NAME.to_owned(), ..ExportOptions::gcs() },
        ),
        ("nginx", Storage::Https, ExportOptions { hour_folders: true, ..options(60) }),
    ] {
        let world = World::with(&Setting { storage, ..Setting::default() });
        let exported = export(&world, 300, &options);
        let units = world.units();
        let run = read_exports(&units);
        assert_complete(&run);
        assert_eq!(run.progress, Some(1_000_000));
        let (first, _) = sums(units.store());
        assert!(first.agree(), "{case}: {first:?}");
        let events = exported.truth.events.len() as i64;
        assert!(first.read >= events, "{case}: {events} events, {first:?}");

        assert_complete(&read_exports(&units));
        let (second, _) = sums(units.store());
        assert!(second.agree(), "{case}: {second:?}");
        assert_eq!(first.actions, second.actions, "{case}: nothing new was called for");
        assert_eq!(world.bucket.violations(), []);
    }
}

#[test]
fn what_is_not_ours_in_the_folder_is_refused_by_name_and_the_rest_is_read() {
    let world = World::new();
    let options = ExportOptions {
        foreign_lines: 5,
        foreign_db_name: "Acme_Test".to_owned(),
        encrypted_file: true,
        torn_last_line: true,
        ..options(100)
    };
    export(&world, 200, &options);
    let units = world.units();
    let run = read_exports(&units);
    assert_complete(&run);
    let (sums, _) = sums(units.store());
    assert!(sums.agree(), "{sums:?}");
    let codes: Vec<_> = sums.dead_letters.keys().map(String::as_str).collect();
    assert!(codes.contains(&"other-environment") && codes.contains(&"encrypted-file"), "{codes:?}");
    assert!(sums.dead_letters.values().sum::<i64>() < 20, "{:?}", sums.dead_letters);
}

#[test]
fn a_wrong_folder_does_not_look_like_success() {
    let world = World::new();
    let units = world.units();
    let run = read_exports(&units);
    assert_eq!(run.result.as_deref(), Some("truncated"));
    assert!(run.code.unwrap().contains(FOLDER));
}

#[test]
fn people_that_any_door_told_of_are_looked_up_and_nobody_is_deleted() {
    for names in [FieldNames::Keys, FieldNames::Readable] {
        let world = World::new();
        world.moengage.set_get_user(GetUser { switched_on: true, names });
        export(&world, 200, &options(100));
        let users = generator(&world, 200).users();
        let known = users.iter().filter(|user| user.customer_id.is_some()).count();
        let gone = users.iter().find(|user| user.customer_id.is_some()).unwrap().id.clone();
        world.moengage.set_users(users);
        world.moengage.remove_user(&gone);
        let units = world.units();
        assert_complete(&read_exports(&units));
        let before = sums(units.store()).0;
        let run = read(&units, "users");
        assert_complete(&run);
        assert!(run.records > 10 && (run.records as usize) < known, "{run:?}, {known} known");
        let (after, _) = sums(units.store());
        assert!(after.agree(), "{after:?}");
        assert_eq!(after.notes.get("user-not-found"), Some(&1), "{:?}", after.notes);
        assert!(after.dead_letters.is_empty(), "{:?}", after.dead_letters);
        assert!(after.actions >= before.actions);
        assert_eq!(world.moengage.violations(), []);
    }
}

/// Bytes between two places where an answer is broken off. `CUT_STRIDE=1` tries every one; it takes
/// minutes, because each is a run of its own.
fn stride() -> usize {
    let given = std::env::var("CUT_STRIDE").ok().map(|text| text.parse().expect("CUT_STRIDE is a number"));
    given.unwrap_or(17).max(1)
}

/// Breaks the n-th request of a call off after so many bytes of its answer, one run for each, until
/// the whole answer comes. Every run ends as the one that nothing disturbed.
fn cut_everywhere(faults: &Faults, method: &str, path: &str, nth: u64, mut run: impl FnMut() -> Run) {
    let matched = || faults.all()[0].matched;
    faults.clear();
    faults.add(Rule::on(method, path, Fault::delay(0))).unwrap();
    let whole = run();
    assert_complete(&whole);
    let asked = matched();
    for after in (0..).step_by(stride()) {
        assert!(after < 20_000, "{path}: longer than this test is meant for");
        faults.clear();
        let id = faults.add(Rule::on(method, path, Fault::cut(after)).nth(nth)).unwrap();
        let broken = run();
        assert_complete(&broken);
        let outcome = |run: &Run| (run.records, run.rejects);
        assert_eq!(outcome(&broken), outcome(&whole), "{path} cut after {after} bytes");
        assert_eq!(faults.fired(id), 1, "{path}: no such request");
        if matched() == asked {
            // It came whole: nothing was asked for again.
            assert!(after > 100, "{path}: only {after} bytes were tried");
            return;
        }
    }
}

#[test]
fn n05_a_search_cut_at_any_byte_goes_on() {
    let world = World::with(&Setting { factor: 6_000.0, ..Setting::default() });
    world.moengage.with_campaigns(|campaigns| *campaigns = (0..1).map(Campaign::numbered).collect());
    let units = world.units();
    cut_everywhere(world.moengage.faults(), "POST", "/v5/campaigns/search", 1, || read(&units, "campaigns"));
    let (sums, _) = sums(units.store());
    assert!(sums.agree() && sums.dead_letters.is_empty(), "{sums:?}");
}

#[test]
fn n05_a_look_up_cut_at_any_byte_goes_on() {
    let world = World::with(&Setting { factor: 6_000.0, ..Setting::default() });
    export(&world, 4, &options(100));
    world.moengage.set_users(generator(&world, 4).users());
    let units = world.units();
    assert_complete(&read_exports(&units));
    cut_everywhere(world.moengage.faults(), "POST", "/v1/customers/export", 1, || read(&units, "users"));
    let (sums, _) = sums(units.store());
    assert!(sums.agree() && sums.dead_letters.is_empty(), "{sums:?}");
}

#[test]
fn n05_a_listing_or_a_file_cut_at_any_byte_goes_on() {
    let world = World::with(&Setting { factor: 6_000.0, ..Setting::default() });
    export(&world, 2, &options(100));
    let units = world.units();
    // Host time runs far ahead here; the window must not run with it.
    let window = (units.now() - 5 * DAY, units.now() + 1_000);
    for path in ["/{bucket}", "/{bucket}/{key}"] {
        cut_everywhere(world.bucket.faults(), "GET", path, 1, || {
            // A file that is spooled is not asked for again.
            let spool = world.directory.path().join("data/spool");
            let _ = std::fs::remove_dir_all(spool);
            read_window(&units, window)
        });
        world.bucket.faults().clear();
    }
    let (sums, _) = sums(units.store());
    assert!(sums.agree() && sums.dead_letters.is_empty(), "{sums:?}");
}

/// What a mapping says is not where a run stands: a tenant may correct it in the middle of one.
#[test]
fn a_backfill_goes_on_across_an_edited_mapping() {
    let mut world = World::new();
    // More than one page holds.
    export(&world, 4_000, &options(1_000));
    let units = world.units();
    let key = backfill_key(EXPORTS);
    backfill(units.store(), (units.now() - 5 * DAY, units.now() + 1_000), units.now());
    while run(units.store(), &key).pages == 0 {
        units.step().unwrap();
    }
    let before = run(units.store(), &key);
    assert!(!before.is_over(), "{before:?}");
    drop(units);

    let edited = world.text.replace("\"plan\":\"PLAN\"", "\"plan\":\"TARIFF\"");
    assert_ne!(edited, world.text);
    world.text = edited;
    let units = world.units();
    let after = finish(&units, &key);
    assert_complete(&after);
    assert!(after.pages > before.pages, "{after:?}");
    assert!((4_000..12_000).contains(&after.records), "{after:?}");
    assert!(sums(units.store()).0.agree());
}
