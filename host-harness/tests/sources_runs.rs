//! Reading MoEngage through the real component: campaigns, known users, export files; broken off
//! at any byte, they go on and end the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use host_harness::store::runs::{backfill_key, resource_key};
use serde_json::json;
use sources::*;
use stand_ins::moengage::Campaign;
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::generator::Generator;

const DAY: i64 = 86_400_000;

fn generator(world: &World, events: usize) -> Generator {
    Generator {
        seed: 7,
        people: (events / 8).max(3),
        events,
        batch_size: 10,
        now_s: world.now_s(),
        spread_s: 4 * 3_600,
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

#[test]
fn campaigns_are_read_to_the_end_and_again_without_a_change() {
    let world = World::new();
    world.moengage.with_campaigns(|campaigns| *campaigns = (0..40).map(Campaign::numbered).collect());
    let units = world.units();
    for _ in 0..2 {
        sync(units.store(), "campaigns", units.now());
        let run = finish(&units, &resource_key("campaigns"));
        assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
        assert!(run.records >= 40, "{run:?}");
    }
    assert_eq!(world.moengage.violations(), []);
    let (sums, _) = sums(units.store());
    assert!(sums.agree(), "{sums:?}");
    assert!(sums.dead_letters.is_empty(), "{:?}", sums.dead_letters);
}

#[test]
fn export_files_are_read_whole_and_a_second_time_changes_nothing() {
    let world = World::new();
    let exported = export_files(&generator(&world, 300), &options(50));
    exported.put_into(&world.bucket);
    let units = world.units();
    let window = (units.now() - 5 * DAY, units.now() + 1_000);
    backfill(units.store(), window, units.now());
    let run = finish(&units, &backfill_key("event-exports"));
    assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
    let (first, _) = sums(units.store());
    assert!(first.agree(), "{first:?}");
    assert!(first.read > 300, "{first:?}");
    let accepted = |sums: &host_harness::operate::accounting::Sums| sums.actions;

    backfill(units.store(), window, units.now());
    let run = finish(&units, &backfill_key("event-exports"));
    assert_eq!(run.result.as_deref(), Some("complete"), "{run:?}");
    let (second, _) = sums(units.store());
    assert!(second.agree(), "{second:?}");
    assert_eq!(accepted(&first), accepted(&second), "nothing new was called for");
    assert_eq!(world.bucket.violations(), []);
    let _ = json!(null);
}
