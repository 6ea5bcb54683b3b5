//! A whole host on a disk that fails.

use rusqlite::ffi;
use serde_json::{Value, json};

use super::vfs::{Disk, Failure, Kind};
use super::world::{MOENGAGE, World, event};

const BASIC: (&str, &str) = ("authorization", "Basic dGFqbzpob29rLXNlY3JldA=="); // tajo:hook-secret

fn world() -> (World, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::under(directory.path());
    (World::start_in(directory, "", MOENGAGE), disk)
}

fn seen(world: &World, uuid: &str) -> Value {
    let event = event(world, uuid, 60, json!({ "moe_unsubscribe": false }));
    json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": [event] })
}

#[test]
fn h02_on_a_full_disk_webhooks_are_refused_and_afterwards_everything_goes_on_by_itself() {
    let (world, disk) = world();
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e1")), 200);
    world.rest();
    let read = world.sums().0.read;
    disk.breaks(|kind, _| (kind == Kind::Write).then_some(Failure { code: ffi::SQLITE_FULL, half: false }));
    for _ in 0..3 {
        assert_eq!(world.post("streams", BASIC, &seen(&world, "e2")), 503);
    }
    assert_eq!(world.sums().0.read, read, "the status is there");
    assert!(world.host().lost().is_none());
    disk.heals();
    // As MoEngage does after a refusal.
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e2")), 200);
    world.rest();
    let arrived = world.brevo.events_by_property("moengage_event_uuid");
    assert_eq!((arrived.len(), arrived["e1"], arrived["e2"]), (2, 1, 1));
    world.assert_clean();
}

#[test]
fn h04_after_a_failed_sync_a_host_takes_nothing_any_more_and_says_so() {
    let (world, disk) = world();
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e1")), 200);
    world.rest();
    disk.breaks(|kind, _| {
        (kind == Kind::Sync).then_some(Failure { code: ffi::SQLITE_IOERR_FSYNC, half: false })
    });
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e2")), 503);
    disk.heals();
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e3")), 503, "not even when the disk works again");
    let lost = world.host().lost().expect("the host says so");
    assert_eq!(lost.code(), "store-sync-failed");
    // A new one looks at the file, and goes on.
    let world = world.restarted();
    assert_eq!(world.post("streams", BASIC, &seen(&world, "e3")), 200);
    world.rest();
    let arrived = world.brevo.events_by_property("moengage_event_uuid");
    assert_eq!((arrived["e1"], arrived["e3"]), (1, 1));
    assert!(world.host().lost().is_none());
    world.assert_clean();
}
