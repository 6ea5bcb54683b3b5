//! Plugin storage as a unit sees it.

use std::sync::Arc;

use crate::stage::*;

#[test]
fn storage_is_a_snapshot_under_own_writes() {
    let plugin = load("store");
    let snapshot = Snapshot::default();
    {
        let mut entries = snapshot.entries.lock().unwrap();
        entries.insert("a/1".into(), (b"old".to_vec(), 7));
        entries.insert("a/2".into(), (b"two".to_vec(), 8));
        entries.insert("b".into(), (b"other".to_vec(), 9));
    }
    let steps = [
        ("get a/1", "old"),
        ("set a/1 new", "()"),
        ("get a/1", "new"),
        ("swap-stale a/1 x", "stale"),
        ("swap-seen a/1 newer", "()"),
        ("get a/1", "newer"),
        ("swap-new a/2 x", "stale"),
        ("swap-new a/3 three", "()"),
        ("delete a/2", "()"),
        ("get a/2", "None"),
        ("swap-new a/2 again", "()"),
        ("delete a/2", "()"),
        ("list a/", "[\"a/1\", \"a/3\"]"),
        ("list-after a/ a/1", "[\"a/3\"]"),
        ("get nothing", "None"),
        ("set-large big 1024", "()"),
        ("set-large big 1025", "too-large"),
        ("job one pages", "()"),
        ("job one probe", "()"),
        ("job two nowhere", "unknown-resource"),
    ];
    let body = steps.map(|(step, _)| step).join("\n");
    let outcome = plugin.run(&webhook(&body), Arc::new(snapshot)).unwrap();
    for ((step, expected), note) in steps.iter().zip(&outcome.notes) {
        assert_eq!(note.message, *expected, "{step}");
    }
    // Reads with the version of the snapshot, for the check at commit; writes as they ended.
    let reads: Vec<_> = outcome.storage.reads.iter().map(|(key, v)| (key.as_str(), *v)).collect();
    assert_eq!(reads, [("a/1", Some(7)), ("a/2", Some(8)), ("a/3", None), ("nothing", None)]);
    let writes: Vec<_> = outcome
        .storage
        .writes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_ref().map(|value| value.len())))
        .collect();
    assert_eq!(writes, [("a/1", Some(5)), ("a/2", None), ("a/3", Some(5)), ("big", Some(1 << 20))]);
    assert_eq!(outcome.jobs.len(), 1);
    assert_eq!(outcome.jobs[0].resource, "probe");
}

#[test]
fn storage_of_a_unit_is_bounded() {
    let plugin = load("store");
    let body = (0..20).map(|n| format!("set-large k{n} 1024")).collect::<Vec<_>>().join("\n");
    let outcome = run(&plugin, &webhook(&body)).unwrap();
    let refused = outcome.notes.iter().filter(|note| note.message == "quota").count();
    assert_eq!(refused, 5, "16 MiB hold 15 values of 1 MiB with their keys");
}

#[test]
fn a_unit_is_told_that_the_quota_is_used_up_when_it_writes() {
    let plugin = load("store");
    let lines = "set a 123456\nset b 123456\ndelete a\nset c 1234567890123";
    let unit = webhook(lines);
    let services = Arc::new(Snapshot { room: Some(20), ..Snapshot::default() });
    let outcome = plugin.run(&unit, services).unwrap();
    let answers: Vec<_> = outcome.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(answers, ["()", "()", "()", "quota"], "the unit goes on without what has no room");
    assert_eq!(outcome.storage.writes.len(), 2);
}
