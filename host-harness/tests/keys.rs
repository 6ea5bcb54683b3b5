//! Keys that die, keys that may not do what is asked, and keys that are replaced while the host
//! runs: what stands still, what goes on, and what is said about it. With the real component and
//! MoEngage's stand-in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use host_harness::host::Units;
use host_harness::operate::status::{InstallationStatus, Status};
use host_harness::pipeline::Step;
use host_harness::store::runs::{Run, backfill_key, resource_key};
use host_harness::store::{Store, StoreError, jobs};
use serde_json::{Value, json};
use sources::*;
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::generator::Generator;
use stand_ins::moengage::{Access, Campaign, Family, Readings};

const CAMPAIGNS: &str = "campaigns.key";
const DAY: i64 = 86_400_000;

/// A world whose campaign key lies in a file.
fn world(factor: f64, campaigns: usize) -> World {
    let mut world = World::with(&Setting { factor, ..Setting::default() });
    world.text = world.text.replace("${CAMPAIGNS_KEY}", "${file:./campaigns.key}");
    write(&world, CAMPAIGNS, "campaigns-key");
    world.moengage.with_campaigns(|all| *all = (0..campaigns).map(Campaign::numbered).collect());
    world
}

/// Puts a secret into its place the way a careful tool does: written beside it, then moved.
fn write(world: &World, name: &str, secret: &str) {
    let path = world.directory.path().join(name);
    let beside = path.with_extension("new");
    std::fs::write(&beside, secret).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn status_of(store: &Store, now: i64) -> InstallationStatus {
    let mut status = store.read::<_, StoreError>(|tx| Status::of(tx, now)).unwrap();
    assert!(status.is_well() == status.installations[0].key_pauses.is_empty());
    status.installations.remove(0)
}

fn cursor(store: &Store, resource: &str) -> Option<Vec<u8>> {
    use host_harness::store::installations;
    store
        .read::<_, StoreError>(|tx| {
            let row = installations::all(tx)?.remove(0);
            Ok(jobs::cursor(tx, row.id, row.source, resource)?.map(|cursor| cursor.bytes))
        })
        .unwrap()
}

/// Every letter that was ever written, by code.
fn letters(store: &Store) -> BTreeMap<String, i64> {
    store
        .read::<_, StoreError>(|tx| {
            let mut statement = tx.prepare("SELECT code, count(*) FROM dead_letter GROUP BY code")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.map(Result::unwrap).collect())
        })
        .unwrap()
}

/// State records of a kind, and the sum of their revisions.
fn states(store: &Store) -> (i64, i64) {
    let sql = "SELECT count(*), coalesce(sum(revision), 0) FROM state";
    store
        .read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?))
        .unwrap()
}

fn step(units: &Units) {
    if matches!(units.step().unwrap(), Step::Idle(_)) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn until(units: &Units, patience: Duration, what: &str, mut over: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !over() {
        assert!(Instant::now() < deadline, "{what} never came: {:?}", status_of(units.store(), units.now()));
        step(units);
    }
}

fn refusals(world: &World) -> usize {
    let journal = world.moengage.journal();
    journal.of("POST", "/v5/campaigns/search").filter(|entry| entry.status == Some(401)).count()
}

#[test]
fn n16_a_key_that_dies_in_mid_sync_pauses_its_family_and_a_replaced_one_goes_on_where_it_stood() {
    // At real speed, so that what happens is the doing of the changed file and not of the next try.
    let world = world(1.0, 120);
    let generator = Generator { people: 10, events: 40, now_s: world.now_s(), ..Generator::default() };
    let options =
        ExportOptions { folder: FOLDER.to_owned(), db_name: DB_NAME.to_owned(), ..ExportOptions::default() };
    export_files(&generator, &options).put_into(&world.bucket);
    world.moengage.set_users(generator.users());
    let units = world.units();
    let key = resource_key("campaigns");
    sync(units.store(), "campaigns", units.now());
    until(&units, PATIENCE, "the second page", || run(units.store(), &key).pages >= 2);
    let seen = states(units.store());
    let stood_at = cursor(units.store(), "campaigns");
    assert!(stood_at.is_some() && !run(units.store(), &key).is_over());

    world.moengage.set_key(Family::Campaigns, Some("second-key".into()));
    let stopped = finish(&units, &key);
    assert_eq!((stopped.result.as_deref(), stopped.code.as_deref()), (Some("failed"), Some("key-refused")));
    assert_eq!(stopped.waits_for_key.as_deref(), Some("campaigns"));
    assert_eq!(cursor(units.store(), "campaigns"), stood_at, "no cursor moved");
    let status = status_of(units.store(), units.now());
    assert_eq!(status.key_pauses.len(), 1);
    let pause = &status.key_pauses[0];
    assert_eq!(
        (pause.slot.as_str(), pause.scope.as_deref(), pause.actor.as_str()),
        ("campaigns", None, "tenant")
    );
    assert!(pause.resources.contains(&"campaigns".to_owned()), "{pause:?}");
    assert!(!pause.resources.contains(&"users".to_owned()), "{pause:?}");
    assert!(pause.message.contains("campaigns key") && pause.remedy.contains("`campaigns`"), "{pause:?}");

    // The other families go on.
    backfill(units.store(), (units.now() - 5 * DAY, units.now() + 1_000), units.now());
    assert_eq!(finish(&units, &backfill_key("event-exports")).result.as_deref(), Some("complete"));
    sync(units.store(), "users", units.now());
    assert_eq!(finish(&units, &resource_key("users")).result.as_deref(), Some("complete"));
    assert!(world.moengage.journal().of("POST", "/v1/customers/export").count() > 0);
    let others = states(units.store());
    let before = refusals(&world);
    let calm = Instant::now();
    until(&units, PATIENCE, "a calm second", || calm.elapsed() > Duration::from_millis(1_500));
    assert_eq!(refusals(&world), before, "a dead key is left alone");
    assert_eq!(letters(units.store()), BTreeMap::from([("key-refused".to_owned(), 1)]));

    write(&world, CAMPAIGNS, "second-key");
    until(&units, Duration::from_secs(20), "the end", || {
        let run = run(units.store(), &key);
        run.result.as_deref() == Some("complete") && run.waits_for_key.is_none()
    });
    let ended = run(units.store(), &key);
    assert_eq!(ended.code, None);
    // It went on: the pages before the key died were not read again.
    assert!(ended.pages > stopped.pages, "{ended:?}");
    let (all, revisions) = states(units.store());
    assert_eq!(all, others.0 + 120 - seen.0, "each campaign once");
    assert_eq!(revisions, others.1 + 120 - seen.1, "each in its first revision");
    assert!(status_of(units.store(), units.now()).key_pauses.is_empty());
    let (sums, _) = sums(units.store());
    assert!(sums.agree() && sums.dead_letters.is_empty(), "{sums:?}");
    assert_eq!(letters(units.store()), BTreeMap::from([("key-refused".to_owned(), 1)]));
    assert_eq!(world.moengage.violations(), []);
}

#[test]
fn n16_a_wrong_replacement_goes_on_waiting_without_another_letter() {
    let world = world(600.0, 5);
    world.moengage.set_key(Family::Campaigns, Some("right".into()));
    let units = world.units();
    let key = resource_key("campaigns");
    sync(units.store(), "campaigns", units.now());
    assert_eq!(finish(&units, &key).code.as_deref(), Some("key-refused"));
    for wrong in ["wrong", "wronger"] {
        let before = refusals(&world);
        write(&world, CAMPAIGNS, wrong);
        until(&units, PATIENCE, "a try", || refusals(&world) > before);
        until(&units, PATIENCE, "its end", || !run(units.store(), &key).running);
    }
    // Half written, empty, gone: the last value stays, and nothing breaks.
    std::fs::write(world.directory.path().join(CAMPAIGNS), "").unwrap();
    let calm = Instant::now();
    until(&units, PATIENCE, "a calm second", || calm.elapsed() > Duration::from_millis(1_200));
    std::fs::remove_file(world.directory.path().join(CAMPAIGNS)).unwrap();
    let calm = Instant::now();
    until(&units, PATIENCE, "a calm second", || calm.elapsed() > Duration::from_millis(1_200));
    assert_eq!(letters(units.store()), BTreeMap::from([("key-refused".to_owned(), 1)]));
    write(&world, CAMPAIGNS, "right");
    until(&units, PATIENCE, "the end", || run(units.store(), &key).result.as_deref() == Some("complete"));
    assert_eq!(states(units.store()), (5, 5));
    assert!(status_of(units.store(), units.now()).key_pauses.is_empty());
}

#[test]
fn n17_a_missing_permission_is_named_and_stops_the_one_resource_until_it_is_granted() {
    let world = world(600.0, 5);
    world.moengage.set_access(Family::Campaigns, Access::NoPermission);
    let units = world.units();
    let key = resource_key("campaigns");
    sync(units.store(), "campaigns", units.now());
    assert_eq!(finish(&units, &key).code.as_deref(), Some("key-lacks-permission"));
    let status = status_of(units.store(), units.now());
    let pause = &status.key_pauses[0];
    assert_eq!((pause.slot.as_str(), pause.scope.as_deref()), ("campaigns", Some("campaigns:view")));
    assert_eq!(pause.resources, ["campaigns"]);
    assert!(pause.remedy.contains("campaigns:view"), "{pause:?}");
    sync(units.store(), "users", units.now());
    assert_eq!(finish(&units, &resource_key("users")).result.as_deref(), Some("complete"));

    // Nobody tells the host; it tries again by itself.
    world.moengage.set_access(Family::Campaigns, Access::Granted);
    until(&units, PATIENCE, "the end", || run(units.store(), &key).result.as_deref() == Some("complete"));
    assert!(status_of(units.store(), units.now()).key_pauses.is_empty());
    assert_eq!(letters(units.store()), BTreeMap::from([("key-lacks-permission".to_owned(), 1)]));
    assert!(sums(units.store()).0.dead_letters.is_empty());
}

/// A world at real speed, so that no key is tried again by itself, in which the campaign key opens
/// flows as well.
fn world_with_flows() -> World {
    let mut setting = Setting { factor: 1.0, ..Setting::default() };
    setting.sync["flows"] = json!(true);
    World::with(&setting)
}

fn read(units: &Units, resource: &str) -> Run {
    sync(units.store(), resource, units.now());
    finish(units, &resource_key(resource))
}

#[test]
fn n17_a_key_that_one_family_refuses_stops_that_family_only() {
    let world = world_with_flows();
    // The documents and what others saw disagree about the key of some families.
    let keys = BTreeMap::from([("/v5/flows/search".to_owned(), Family::Data)]);
    world.moengage.set_readings(Readings { keys, ..Readings::default() });
    let units = world.units();
    assert_eq!(read(&units, "flows").code.as_deref(), Some("key-not-for-this"));
    let pauses = status_of(units.store(), units.now()).key_pauses;
    assert_eq!(pauses.len(), 1);
    assert_eq!((pauses[0].slot.as_str(), pauses[0].scope.as_deref()), ("campaigns", Some("flows")));
    assert_eq!(pauses[0].resources, ["flows"]);
    assert_eq!(read(&units, "campaigns").result.as_deref(), Some("complete"));
    assert_eq!(letters(units.store()), BTreeMap::from([("key-not-for-this".to_owned(), 1)]));
}

#[test]
fn n16_a_refused_key_stops_everything_that_needs_it() {
    let world = world_with_flows();
    world.moengage.set_key(Family::Campaigns, Some("another".into()));
    let units = world.units();
    for resource in ["campaigns", "flows"] {
        sync(units.store(), resource, units.now());
    }
    let waits = |resource: &str| run(units.store(), &resource_key(resource)).waits_for_key;
    until(&units, PATIENCE, "a refusal", || waits("campaigns").is_some() && waits("flows").is_some());
    let calm = Instant::now();
    until(&units, PATIENCE, "a moment", || calm.elapsed() > Duration::from_millis(50));
    assert_eq!([waits("campaigns"), waits("flows")], [Some("campaigns".into()), Some("campaigns".into())]);
    let asked = ["/v5/campaigns/search", "/v5/flows/search"];
    let asked: usize = asked.iter().map(|path| world.moengage.journal().of("POST", path).count()).sum();
    assert_eq!(asked, 1, "nobody asks with a key that is known to be refused");
}

/// What an operator runs, and what it says.
fn harness(world: &World, arguments: &[&str]) -> (i32, String, String) {
    std::fs::write(world.directory.path().join("tajo.yaml"), &world.text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments).arg("--config").arg(world.directory.path().join("tajo.yaml"));
    for (name, value) in world.secrets() {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn check(world: &World, slot: &str) -> Value {
    let (_, out, err) = harness(world, &["check", "--json"]);
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let probes = found["tenants"][0]["connectors"][0]["probes"].as_array().unwrap();
    probes.iter().find(|probe| probe["slot"] == slot).unwrap_or_else(|| panic!("{probes:?}")).clone()
}

#[test]
fn n17_every_kind_of_refusal_is_told_apart_by_check_and_by_status() {
    let world = world(600.0, 3);
    let mut said = Vec::new();
    type Break = fn(&World);
    let cases: [(&str, &str, Break, &str, &str); 7] = [
        (
            "a wrong key",
            "data",
            |world| world.moengage.set_key(Family::Data, Some("another".into())),
            "key-refused",
            "slot `data`",
        ),
        (
            "a wrong key of the other family",
            "campaigns",
            |world| world.moengage.set_key(Family::Campaigns, Some("another".into())),
            "key-refused",
            "slot `campaigns`",
        ),
        (
            "a missing scope",
            "campaigns",
            |world| world.moengage.set_access(Family::Campaigns, Access::NoPermission),
            "key-lacks-permission",
            "campaigns:view",
        ),
        (
            "no key of this family in the workspace",
            "data",
            |world| world.moengage.set_key(Family::Data, None),
            "workspace-mismatch",
            "message",
        ),
        (
            "an address that is not listed",
            "campaigns",
            |world| world.moengage.set_access(Family::Campaigns, Access::AddressNotListed),
            "ip-not-allowed",
            "message",
        ),
        (
            "a suspended account",
            "data",
            |world| world.moengage.set_access(Family::Data, Access::Suspended),
            "account-suspended",
            "message",
        ),
        ("nothing", "campaigns", |_| (), "", ""),
    ];
    for (case, slot, broken, code, remedy) in cases {
        for (family, key) in [(Family::Data, "data-key"), (Family::Campaigns, "campaigns-key")] {
            world.moengage.set_key(family, Some(key.into()));
            world.moengage.set_access(family, Access::Granted);
        }
        // What the case before left paused goes on before this one begins.
        assert_eq!(harness(&world, &["sync", "campaigns"]).0, 0, "{case}");
        broken(&world);
        let probe = check(&world, slot);
        if code.is_empty() {
            assert_eq!(probe["result"], "verified", "{case}: {probe}");
        } else {
            assert_eq!(
                (&probe["result"], &probe["code"]),
                (&"refused".into(), &code.into()),
                "{case}: {probe}"
            );
            assert_eq!(probe["actor"], "tenant", "{case}");
            assert!(probe["remedy"].as_str().unwrap().contains(remedy), "{case}: {probe}");
            said.push(format!("{slot}: {}", probe["message"]));
        }
        if slot == "campaigns" {
            // The same word where a run met it.
            let (exit, _, _) = harness(&world, &["sync", "campaigns"]);
            assert_eq!(exit, i32::from(!code.is_empty()), "{case}");
            let (_, out, _) = harness(&world, &["status"]);
            assert_eq!(out.contains("PAUSED"), code.starts_with("key-"), "{case}: {out}");
            assert!(out.contains(code), "{case}: {out}");
        }
    }
    let all: std::collections::BTreeSet<_> = said.iter().collect();
    assert_eq!(all.len(), said.len(), "two refusals say the same: {said:#?}");
}

#[test]
fn n16_a_hang_up_has_a_refused_key_tried_again_at_once() {
    let world = world(1.0, 3);
    world.moengage.set_access(Family::Campaigns, Access::NoPermission);
    std::fs::write(world.directory.path().join("tajo.yaml"), &world.text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["serve", "--config"]).arg(world.directory.path().join("tajo.yaml"));
    for (name, value) in world.secrets() {
        command.env(name, value);
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wait = |what: &str, patience: u64, over: &dyn Fn(&InstallationStatus) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(patience);
        loop {
            if let Ok(store) = Store::attach(&world.store_path())
                && let Ok(status) = store.read::<_, StoreError>(|tx| Status::of(tx, 0))
                && status.installations.first().is_some_and(over)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(what.to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let paused = wait("the pause", 60, &|one| !one.key_pauses.is_empty());
    world.moengage.set_access(Family::Campaigns, Access::Granted);
    // SAFETY: a plain system call; the child is ours and was not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGHUP) };
    // The next try by itself would come after a minute.
    let over = wait("the end of the pause", 20, &|one| one.key_pauses.is_empty());
    let alive = child.try_wait().unwrap().is_none();
    // SAFETY: as above.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let ended = child.wait().unwrap();
    paused.and(over).unwrap_or_else(|what| panic!("{what} never came"));
    assert!(alive && ended.success());
}

#[test]
fn w05_a_webhook_secret_is_replaced_in_its_file_while_the_host_runs() {
    let mut world = world(1.0, 0);
    world.text = world.text.replace("${HOOK}", "${file:./hook}");
    write(&world, "hook", "first");
    let host = world.serve();
    let address = &host.addresses()[0];
    let url = format!("http://{}{}", host.listening().unwrap(), address.path);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |secret: &str| {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("tajo:{secret}"));
        let sent = agent.post(&url).header("authorization", format!("Basic {pair}")).send("{}");
        sent.unwrap().status().as_u16()
    };
    let becomes = |secret: &str, expected: u16| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while post(secret) != expected {
            assert!(Instant::now() < deadline, "{secret} never gave {expected}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    assert_eq!((post("first"), post("second")), (200, 401));
    write(&world, "hook.previous", "first");
    write(&world, "hook", "second");
    becomes("second", 200);
    assert_eq!(post("first"), 200, "both are live while the secret is being changed");
    std::fs::remove_file(world.directory.path().join("hook.previous")).unwrap();
    becomes("first", 401);
    assert_eq!(post("second"), 200);
    host.stop();
}
