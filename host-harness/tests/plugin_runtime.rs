//! Guests against the runtime, through its public doors. Each guest commits one sin; after each,
//! other work goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod guests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_harness::contract::{
    self, Cursor, FailureKind, Mapping, Next, PageRequest, Position, Record, WebhookRequest, http, objects,
    storage,
};
use host_harness::manifest::Manifest;
use host_harness::plugin::limits::Limits;
use host_harness::plugin::{ConfigureError, LoadError, Plugin, Runtime, RuntimeOptions};
use host_harness::unit::{Outcome, Services, Unit, UnitError, Work};

const NOW: i64 = 1_764_000_000_000;

const MANIFEST: &str = r#"{
    "connector": "example", "contract": "0.1.0",
    "endpoints": { "api": { "origin": "https://api.example.com", "methods": ["GET"], "paths": ["/"],
        "auth": { "bearer": { "slot": "key" } }, "purpose": "Reads contacts." } },
    "inbound": { "bearer": { "bearer": { "slot": "key" } } }
}"#;

/// Time enough for a guest that behaves on a busy machine, little enough to wait for one that
/// doesn't.
fn options() -> RuntimeOptions {
    let limits =
        Limits { wall: Duration::from_secs(4), map_wall: Duration::from_millis(700), ..Limits::DEFAULT };
    RuntimeOptions { limits, ..RuntimeOptions::default() }
}

fn manifest() -> Manifest {
    Manifest::parse(MANIFEST).unwrap()
}

fn load(name: &str) -> Plugin {
    let plugin = Runtime::new(options()).unwrap().load(&guests::component(name), &manifest());
    plugin.unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn webhook(body: &str) -> Unit {
    webhook_with("{}", body)
}

fn webhook_with(settings: &str, body: &str) -> Unit {
    let request = WebhookRequest {
        settings: settings.into(),
        surface: "push".into(),
        body: body.into(),
        headers: vec![],
        received_at: NOW,
    };
    Unit { settings: settings.into(), now: NOW, work: Work::Webhook(request) }
}

fn page(settings: &str, resource: &str, position: Position) -> Unit {
    let request =
        PageRequest { settings: settings.into(), resource: resource.into(), position, budget: 2, now: NOW };
    Unit { settings: settings.into(), now: NOW, work: Work::Page(request) }
}

/// A snapshot of plugin storage, and nothing else.
#[derive(Default)]
struct Snapshot {
    entries: Mutex<BTreeMap<String, (Vec<u8>, u64)>>,
    /// Everything, where nothing is said.
    room: Option<u64>,
}

impl Services for Snapshot {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, http::Error> {
        panic!("no guest of these tests may get this far");
    }
    fn storage_get(&self, key: &str) -> Option<storage::Entry> {
        let entries = self.entries.lock().unwrap();
        entries.get(key).map(|(value, version)| storage::Entry { value: value.clone(), version: *version })
    }
    fn storage_list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let entries = self.entries.lock().unwrap();
        let keys = entries.keys().filter(|key| key.starts_with(prefix));
        keys.filter(|key| after.is_none_or(|after| key.as_str() > after)).take(limit).cloned().collect()
    }
    fn storage_room(&self) -> u64 {
        self.room.unwrap_or(u64::MAX)
    }
}

/// A vendor that answers everything, with bodies of this size, after this long.
struct Generous {
    size: usize,
    delay: Duration,
}

impl Services for Generous {
    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        assert!(request.timeout_ms.unwrap() <= 4_000, "clamped to what is left of the unit");
        std::thread::sleep(self.delay);
        Ok(http::Response { status: 200, headers: vec![], body: vec![0; self.size] })
    }
    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Ok(objects::Object { etag: "etag".into(), size: 1 << 40 })
    }
    fn object_read(
        &self,
        _: &str,
        _: &[String],
        _: &str,
        _: u64,
        length: u32,
    ) -> Result<Vec<u8>, http::Error> {
        assert!(length <= 4 << 20);
        Ok(vec![0; self.size])
    }
    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }
    fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
        vec![]
    }
}

fn run(plugin: &Plugin, unit: &Unit) -> Result<Outcome, UnitError> {
    plugin.run(unit, Arc::new(Snapshot::default()))
}

fn fault(result: Result<Outcome, UnitError>) -> (String, String) {
    match result {
        Err(UnitError::Fault { code, message }) => (code, message),
        other => panic!("not a fault: {other:?}"),
    }
}

/// The same plugin, and the same engine, go on with ordinary work.
#[track_caller]
fn goes_on(plugin: &Plugin) {
    let outcome = run(plugin, &webhook("one\ntwo")).unwrap();
    assert_eq!(outcome.records.len(), 2);
    assert!(outcome.records.iter().all(|mapped| mapped.mapping.is_ok()));
}

/// Declares tests by guest, so that the list of tested guests is made from the tests.
macro_rules! guest_tests {
    ($( $(#[$attribute:meta])* $guest:literal $name:ident $body:block )*) => {
        const TESTED: &[&str] = &[$($guest),*];
        $( $(#[$attribute])* #[test] fn $name() $body )*
    };
}

/// Guests that another test file runs: its name, and the file.
const TESTED_ELSEWHERE: &[(&str, &str)] = &[("rummage", "egress_guest.rs"), ("smuggler", "egress_guest.rs")];

#[test]
fn every_guest_has_a_test() {
    for name in guests::all() {
        let elsewhere = TESTED_ELSEWHERE.iter().find(|(guest, _)| *guest == name);
        let mentioned = elsewhere.is_some_and(|(_, file)| {
            let path = format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap().contains(&format!("\"{name}\""))
        });
        assert!(
            TESTED.contains(&name.as_str()) || mentioned,
            "tests/plugins/{name} is run by no test of this file, nor by one in TESTED_ELSEWHERE"
        );
    }
}

guest_tests! {
    "calm" a_calm_guest_is_mapped_in_order_and_its_cost_is_known {
        let options = RuntimeOptions { fuel: true, ..options() };
        let plugin = Runtime::new(options).unwrap().load(&guests::component("calm"), &manifest()).unwrap();
        let outcome = run(&plugin, &webhook("b\na")).unwrap();
        let ids: Vec<_> = outcome.records.iter().map(|mapped| mapped.record.id.as_str()).collect();
        assert_eq!(ids, ["example:w1:contact:b", "example:w1:contact:a"]);
        for mapped in &outcome.records {
            let Ok(Mapping::Actions(actions)) = &mapped.mapping else { panic!("{mapped:?}") };
            assert_eq!(actions[0].name, "brevo/upsert-contact");
        }
        let cost = outcome.cost;
        assert!(cost.fuel.unwrap() > 1_000 && cost.memory > 0 && cost.bytes_in > 0 && cost.bytes_out > 0);
        assert_eq!(cost.http_calls, 0);
    }

    "calm" the_same_unit_gives_the_same_outcome {
        let plugin = load("calm");
        let mut outcomes = (0..3).map(|_| {
            let mut outcome = run(&plugin, &webhook("x\ny\nz")).unwrap();
            // Real time differs, and nothing else does.
            (outcome.cost.wall_us, outcome.cost.read_us, outcome.cost.map_us) = (0, 0, 0);
            serde_json::to_string(&outcome).unwrap()
        });
        let first = outcomes.next().unwrap();
        assert!(outcomes.all(|other| other == first));
    }

    "calm" an_outcome_is_a_value_that_can_be_stored {
        let outcome = run(&load("calm"), &webhook("x")).unwrap();
        let text = serde_json::to_string(&outcome).unwrap();
        let back: Outcome = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    "calm" records_can_be_mapped_again_without_their_webhook {
        let plugin = load("calm");
        let first = run(&plugin, &webhook("one\ntwo")).unwrap();
        let records: Vec<Record> = first.records.iter().map(|mapped| mapped.record.clone()).collect();
        let unit = Unit { settings: "{}".into(), now: NOW, work: Work::Map(records) };
        let again = run(&plugin, &unit).unwrap();
        for (before, after) in first.records.iter().zip(&again.records) {
            assert_eq!(before.mapping, after.mapping);
        }
    }

    "calm" what_the_configuration_lacks_is_refused_by_name {
        let plugin = load("calm");
        let mut unit = webhook("x");
        let Work::Webhook(request) = &mut unit.work else { unreachable!() };
        request.surface = "pull".into();
        assert_eq!(fault(run(&plugin, &unit)).0, "unknown-surface");
        assert_eq!(fault(run(&plugin, &page("{}", "nothing", Position::Start))).0, "unknown-resource");
        let outcome = run(&plugin, &page("{}", "probe", Position::Start)).unwrap();
        assert!(matches!(outcome.next, Some(Next::Done(_))));
    }

    "calm" settings_that_are_no_json_are_the_tenants {
        let Err(ConfigureError::Settings(problems)) = load("calm").configure("{") else { panic!() };
        assert_eq!(problems[0].code, "settings-json");
    }

    "calm" s18_a_swapped_component_is_refused_before_it_is_compiled {
        let component = guests::component("calm");
        let runtime = Runtime::new(options()).unwrap();
        let digest = host_harness::hex::encode(&runtime.load(&component, &manifest()).unwrap().digest());
        let bound = MANIFEST.replace(
            "\"contract\"",
            &format!("\"component\": {{ \"sha256\": \"{digest}\" }}, \"contract\""),
        );
        let bound = Manifest::parse(&bound).unwrap();
        runtime.load(&component, &bound).unwrap();
        let mut tampered = component.clone();
        *tampered.last_mut().unwrap() ^= 1;
        let error = runtime.load(&tampered, &bound).err().unwrap();
        assert!(matches!(&error, LoadError::OtherDigest { .. }), "{error}");
        assert_eq!((error.code(), error.actor()), ("component-digest", "operator"));
    }

    "calm" g14_what_is_no_component_is_refused {
        let runtime = Runtime::new(options()).unwrap();
        let component = guests::component("calm");
        let refused = |bytes: &[u8]| runtime.load(bytes, &manifest()).err().map(|e| e.code().to_owned());
        assert_eq!(refused(b"").as_deref(), Some("not-a-component"));
        assert_eq!(refused(b"MZ not wasm").as_deref(), Some("not-a-component"));
        assert_eq!(refused(&wat::parse_str("(module)").unwrap()).as_deref(), Some("not-a-component"));
        assert_eq!(refused(&wat::parse_str("(component)").unwrap()).as_deref(), Some("not-a-connector"));
        assert_eq!(refused(&vec![0; 9 << 20]).as_deref(), Some("component-too-large"));
        for cut in (0..component.len()).step_by(component.len() / 64) {
            assert!(refused(&component[..cut]).is_some(), "cut at {cut}");
        }
        goes_on(&runtime.load(&component, &manifest()).unwrap());
    }

    "calm" a_component_of_another_contract_is_refused_by_its_version {
        let runtime = Runtime::new(options()).unwrap();
        let other = wat::parse_str(r#"(component (import "tajo:connector/types@0.2.0" (instance)))"#).unwrap();
        let error = runtime.load(&other, &manifest()).err().unwrap();
        assert_eq!(error, LoadError::OtherContract { found: "0.2.0".into() });
        assert!(error.to_string().contains("0.2.0") && error.to_string().contains("0.1.0"));
        let other = Manifest::parse(&MANIFEST.replace("0.1.0", "0.9.0")).unwrap();
        let error = runtime.load(&guests::component("calm"), &other).err().unwrap();
        assert_eq!(error, LoadError::OtherContract { found: "0.9.0".into() });
        // The right version with a world that is not the contract's.
        let empty = wat::parse_str(r#"(component (import "tajo:connector/types@0.1.0" (instance)))"#).unwrap();
        assert_eq!(runtime.load(&empty, &manifest()).err().unwrap().code(), "not-a-connector");
    }

    "calm" compiled_code_is_kept_and_a_torn_file_is_made_anew {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("code");
        let options = RuntimeOptions { cache: Some(cache.clone()), ..options() };
        let component = guests::component("calm");
        let load = || {
            let plugin = Runtime::new(options.clone()).unwrap().load(&component, &manifest()).unwrap();
            goes_on(&plugin);
        };
        load();
        let files = || -> Vec<_> { std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).collect() };
        assert_eq!(files().len(), 1, "one file, no drafts");
        let whole = std::fs::read(&files()[0]).unwrap();
        load();
        std::fs::write(&files()[0], &whole[..whole.len() / 2]).unwrap();
        load();
        assert_eq!(std::fs::read(&files()[0]).unwrap().len(), whole.len());
    }

    "calm" s18_a_cache_that_others_can_write_is_not_used {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        let options = RuntimeOptions { cache: Some(home.path().to_owned()), ..options() };
        assert_eq!(Runtime::new(options).err().unwrap().code(), "code-cache-unusable");
    }

    "trap" g01_a_trap_loses_the_unit_and_nothing_else {
        let plugin = load("trap");
        for _ in 0..3 {
            let (code, message) = fault(run(&plugin, &webhook("panic")));
            assert_eq!(code, "guest-trap");
            assert!(!message.contains("secret"), "a fault holds nothing of the input: {message}");
            goes_on(&plugin);
        }
    }

    "endless" g02_an_endless_call_is_ended {
        let plugin = load("endless");
        assert_eq!(fault(run(&plugin, &webhook("loop"))).0, "guest-timeout");
        goes_on(&plugin);
    }

    "start-loop" g02_an_endless_start_is_ended {
        let runtime = Runtime::new(options()).unwrap();
        let endless = runtime.load(&guests::component("start-loop"), &manifest()).unwrap();
        let Err(ConfigureError::Fault { code, .. }) = endless.configure("{}") else { panic!() };
        assert_eq!(code, "guest-timeout");
        goes_on(&runtime.load(&guests::component("calm"), &manifest()).unwrap());
    }

    "memory-bomb" g03_a_memory_bomb_is_bounded {
        let plugin = load("memory-bomb");
        assert_eq!(fault(run(&plugin, &webhook("bomb"))).0, "guest-memory");
        goes_on(&plugin);
    }

    "huge-result" g04_a_huge_result_is_refused {
        let plugin = load("huge-result");
        assert_eq!(fault(run(&plugin, &webhook("huge"))).0, "guest-output-size");
        let (code, message) = fault(run(&plugin, &webhook("many")));
        assert_eq!(code, "guest-output");
        assert!(message.contains("20,000"));
        goes_on(&plugin);
    }

    "poison" g05_recursion_without_end_is_a_fault_of_its_record {
        let plugin = load("poison");
        let outcome = run(&plugin, &webhook("deep\nb")).unwrap();
        let Err(UnitError::Fault { code, .. }) = &outcome.records[0].mapping else { panic!() };
        assert_eq!(code, "guest-stack");
        assert!(outcome.records[1].mapping.is_ok());
    }

    "log-flood" g06_a_log_flood_is_cut_and_can_forge_nothing {
        let plugin = load("log-flood");
        let outcome = run(&plugin, &webhook("x")).unwrap();
        assert_eq!(outcome.logs.len(), 1_001);
        assert_eq!(outcome.logs[1_000].message, "49001 lines cut");
        let first = &outcome.logs[0];
        assert_eq!(first.message, "first\\n2026-01-01 ERROR forged\\u{1b}[2J");
        assert!(first.fields[0].1.len() < 4_096);
        for line in &outcome.logs {
            let texts = line.fields.iter().flat_map(|(name, value)| [name, value]).chain([&line.message]);
            assert!(texts.into_iter().all(|text| !text.chars().any(char::is_control)));
        }
        goes_on(&plugin);
    }

    "store" a_unit_is_told_that_the_quota_is_used_up_when_it_writes {
        let plugin = load("store");
        let lines = "set a 123456\nset b 123456\ndelete a\nset c 1234567890123";
        let unit = webhook(lines);
        let services = Arc::new(Snapshot { room: Some(20), ..Snapshot::default() });
        let outcome = plugin.run(&unit, services).unwrap();
        let answers: Vec<_> = outcome.notes.iter().map(|note| note.message.as_str()).collect();
        assert_eq!(answers, ["()", "()", "()", "quota"], "the unit goes on without what has no room");
        assert_eq!(outcome.storage.writes.len(), 2);
    }

    "hoarder" g07_handles_that_are_never_dropped_are_bounded {
        let plugin = load("hoarder");
        assert_eq!(fault(run(&plugin, &webhook("hoard"))).0, "guest-handles");
        goes_on(&plugin);
    }

    "hoarder" g12_random_bytes_come_in_small_portions {
        let plugin = load("hoarder");
        assert_eq!(fault(run(&plugin, &webhook("random"))).0, "guest-trap");
        goes_on(&plugin);
    }

    "crawler" a_unit_has_a_budget_of_calls_and_bytes {
        let plugin = load("crawler");
        let stopped = |sin: &str, size: usize| {
            let unit = page(&format!("\"{sin}\""), "pages", Position::Start);
            let outcome = plugin.run(&unit, Arc::new(Generous { size, delay: Duration::ZERO })).unwrap();
            let note = &outcome.notes[0];
            assert_eq!(note.message, "unit-budget", "{sin}");
            note.count
        };
        assert_eq!(stopped("send", 10), 64);
        assert_eq!(stopped("open", 10), 64, "files count like calls");
        assert_eq!(stopped("send", 10 << 20), 3, "32 MiB hold three answers of 10 MiB");
        assert_eq!(stopped("read", 4 << 20), 8, "and eight reads of 4 MiB");
        goes_on(&plugin);
    }

    "crawler" only_a_page_may_call_the_vendor {
        let plugin = load("crawler");
        let services = Arc::new(Generous { size: 0, delay: Duration::ZERO });
        let outcome = plugin.run(&webhook("x"), services).unwrap();
        assert_eq!(outcome.notes[0].message, "denied-in-this-export");
        assert_eq!(outcome.cost.http_calls, 0);
    }

    "crawler" g08_time_in_imports_counts {
        let limits = Limits { wall: Duration::from_millis(600), ..options().limits };
        let runtime = Runtime::new(RuntimeOptions { limits, ..options() }).unwrap();
        let plugin = runtime.load(&guests::component("crawler"), &manifest()).unwrap();
        let slow = Arc::new(Generous { size: 0, delay: Duration::from_millis(150) });
        let unit = page("{}", "pages", Position::Start);
        assert_eq!(fault(plugin.run(&unit, slow)).0, "guest-timeout");
        goes_on(&plugin);
    }

    "sleeper" g08_a_guest_can_not_wait {
        let plugin = load("sleeper");
        assert_eq!(fault(run(&plugin, &webhook("sleep"))).0, "guest-sleep");
        goes_on(&plugin);
    }

    "wrong-id" g09_what_is_not_the_guests_own_loses_the_unit {
        let plugin = load("wrong-id");
        for sin in [
            "other-connector", "other-workspace", "other-kind", "no-key", "undeclared-kind", "wrong-door",
            "bad-code", "unknown-slot",
        ] {
            let (code, message) = fault(run(&plugin, &webhook(sin)));
            assert_eq!(code, "guest-output", "{sin}");
            assert!(message.contains("rule of the contract"), "{sin}: {message}");
            goes_on(&plugin);
        }
    }

    "wrong-id" g09_what_is_wrong_in_one_record_quarantines_that_record {
        let plugin = load("wrong-id");
        for sin in ["body", "time", "no-name"] {
            let outcome = run(&plugin, &webhook(sin)).unwrap();
            let Err(UnitError::Fault { code, .. }) = &outcome.records[0].mapping else { panic!("{sin}") };
            assert_eq!(code, "guest-output", "{sin}");
            assert!(outcome.records[1].mapping.is_ok(), "{sin}");
        }
        let sins = "same-slot\nbad-payload\nbad-instant\nmany-actions\nnothing-said\ngood";
        let outcome = run(&plugin, &webhook(sins)).unwrap();
        let (good, bad) = outcome.records.split_last().unwrap();
        assert!(good.mapping.is_ok());
        for mapped in bad {
            assert!(
                matches!(&mapped.mapping, Err(UnitError::Fault { code, .. }) if code == "guest-output"),
                "{mapped:?}"
            );
        }
    }

    "wrong-id" g09_a_cursor_is_the_guests_own_and_moves {
        let plugin = load("wrong-id");
        let here = Position::Cursor(Cursor { version: 1, bytes: b"here".to_vec() });
        for sin in ["foreign-version", "huge-cursor", "same-cursor", "over-budget"] {
            let unit = page(&format!("\"{sin}\""), "pages", here.clone());
            assert_eq!(fault(run(&plugin, &unit)).0, "guest-output", "{sin}");
        }
    }

    "poison" h16_one_poison_record_stops_nobody {
        let plugin = load("poison");
        let outcome = run(&plugin, &webhook("a\npanic\nb\nfail\nc\nloop\nd\npanic\ne")).unwrap();
        let states: Vec<_> = outcome
            .records
            .iter()
            .map(|mapped| match &mapped.mapping {
                Ok(_) => "ok",
                Err(UnitError::Fault { code, .. }) => code,
                Err(UnitError::Failure(failure)) => {
                    assert_eq!(failure.kind, FailureKind::Internal);
                    &failure.code
                }
            })
            .collect();
        assert_eq!(
            states,
            ["ok", "guest-trap", "ok", "as-asked", "ok", "guest-timeout", "ok", "guest-trap", "ok"]
        );
    }

    "poison" mapping_may_only_log {
        let outcome = run(&load("poison"), &webhook("call")).unwrap();
        assert_eq!(outcome.records[0].mapping, Ok(Mapping::Nothing("all-denied".into())));
        assert!(outcome.jobs.is_empty() && outcome.storage.writes.is_empty());
        assert_eq!(outcome.cost.http_calls, 0);
    }

    "nosy" a_nosy_guest_finds_nothing {
        let plugin = load("nosy");
        let found = || run(&plugin, &webhook("x")).unwrap().notes[0].message.clone();
        let first = found();
        assert!(
            first.starts_with(&format!(
                "env=0 args=0 preopens=0 files=0 stdin=0 wall=Ok({NOW}) monotonic=0 random=["
            )),
            "{first}"
        );
        assert_eq!(found(), first, "random numbers are seeded");
        let other = run(&plugin, &webhook_with("{\"other\":1}", "x")).unwrap().notes[0].message.clone();
        assert_ne!(other, first, "and not the same for everybody");
        goes_on(&plugin);
    }

    "sockets" g15_imports_outside_the_world_are_refused_by_name {
        let runtime = Runtime::new(options()).unwrap();
        let error = runtime.load(&guests::component("sockets"), &manifest()).err().unwrap();
        let LoadError::ForeignImports(names) = &error else { panic!("{error}") };
        assert!(names.iter().any(|name| name.starts_with("wasi:sockets/tcp@")), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("wasi:sockets/")), "{names:?}");
        assert_eq!((error.code(), error.actor()), ("foreign-imports", "connector-author"));
        let http = wat::parse_str(
            r#"(component (import "tajo:connector/types@0.1.0" (instance))
                (import "wasi:http/outgoing-handler@0.2.0" (instance)) (import "env" (func)))"#,
        );
        let error = runtime.load(&http.unwrap(), &manifest()).err().unwrap();
        let expected = ["wasi:http/outgoing-handler@0.2.0", "env"].map(String::from).to_vec();
        assert_eq!(error, LoadError::ForeignImports(expected));
    }

    "store" storage_is_a_snapshot_under_own_writes {
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

    "store" storage_of_a_unit_is_bounded {
        let plugin = load("store");
        let body = (0..20).map(|n| format!("set-large k{n} 1024")).collect::<Vec<_>>().join("\n");
        let outcome = run(&plugin, &webhook(&body)).unwrap();
        let refused = outcome.notes.iter().filter(|note| note.message == "quota").count();
        assert_eq!(refused, 5, "16 MiB hold 15 values of 1 MiB with their keys");
    }

    "pebble" a_connector_written_from_the_contract_alone_runs {
        struct Pebble;
        impl Services for Pebble {
            fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
                assert_eq!((request.endpoint.as_str(), request.method), ("api", http::Method::Get));
                assert!(request.timeout_ms.unwrap() <= 4_000, "bounded by the unit's own end");
                let body = br#"{"members":[{"id":1,"mail":"a@example.com","newsletter":false,"changed_at":1}],
                    "more":true}"#;
                Ok(http::Response { status: 200, headers: vec![], body: body.to_vec() })
            }
            fn object_open(&self, _: &str, _: &[String], _: Option<&str>)
            -> Result<objects::Object, http::Error> {
                panic!("Pebble has no files");
            }
            fn object_read(&self, _: &str, _: &[String], _: &str, _: u64, _: u32)
            -> Result<Vec<u8>, http::Error> {
                panic!("Pebble has no files");
            }
            fn storage_get(&self, _: &str) -> Option<storage::Entry> {
                None
            }
            fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
                vec![]
            }
        }
        let manifest = Manifest::parse(include_str!("../../tests/plugins/pebble/manifest.json")).unwrap();
        let plugin = Runtime::new(options()).unwrap().load(&guests::component("pebble"), &manifest).unwrap();
        let settings =
            r#"{"shop":"corner","keys":{"api":"api"},"webhook":{"header":"x-pebble","secret":"webhook"}}"#;
        let mut unit = page(settings, "members", Position::Start);
        let outcome = plugin.run(&unit, Arc::new(Pebble)).unwrap();
        let Some(Next::More(cursor)) = outcome.next else { panic!("{:?}", outcome.next) };
        let mapping = &outcome.records[0].mapping;
        let Ok(Mapping::Actions(actions)) = mapping else { panic!("{mapping:?}") };
        let names: Vec<_> = actions.iter().map(|action| action.name.as_str()).collect();
        assert_eq!(names, ["brevo/set-consent", "brevo/upsert-contact"], "the opt-out goes first");
        assert_eq!(outcome.cost.http_calls, 1);
        // The same page again with the cursor that it gave: a vendor that never ends is stopped.
        let Work::Page(request) = &mut unit.work else { unreachable!() };
        request.position = Position::Cursor(cursor);
        assert_eq!(fault(plugin.run(&unit, Arc::new(Pebble))).0, "guest-output");

        let mut push = webhook_with(settings, r#"{"id":"p1","member":1,"at":1,"total":2.5}"#);
        let Work::Webhook(request) = &mut push.work else { unreachable!() };
        request.surface = "purchases".into();
        let outcome = run(&plugin, &push).unwrap();
        assert_eq!(outcome.records[0].record.id, "pebble:corner:purchase:p1");
        assert!(outcome.records[0].mapping.is_ok());
    }

    "overreach" a_profile_stays_within_its_manifest {
        let plugin = load("overreach");
        let problems = |sin: &str| match plugin.configure(&format!("\"{sin}\"")) {
            Err(ConfigureError::Profile(problems)) => problems,
            other => panic!("{sin}: {other:?}"),
        };
        for sin in ["endpoint", "slot", "scheme", "connector"] {
            let found = problems(sin);
            assert!(found.iter().any(|p| p.code == "profile-beyond-manifest"), "{sin}: {found:?}");
        }
        for sin in ["body-cap", "credential-header", "workspace", "answer", "schema"] {
            let found = problems(sin);
            assert!(found.iter().any(|p| p.code == "profile-against-contract"), "{sin}: {found:?}");
        }
        let Err(ConfigureError::Fault { code, .. }) = plugin.configure("\"silent\"") else { panic!() };
        assert_eq!(code, "guest-output");
        let Err(ConfigureError::Settings(found)) = plugin.configure("\"problems\"") else { panic!() };
        assert_eq!(found.len(), 3, "every problem at once");
        assert_eq!(found[0].path, "a\\u{1b}[2Jb", "and printable");
        assert_eq!(plugin.configure("{}").unwrap().workspace, "w1");
    }
}

#[test]
fn the_embedded_component_loads_under_its_manifest() {
    use host_harness::embedded;
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    assert_eq!(manifest.contract, contract::VERSION);
    Runtime::new(options()).unwrap().load(embedded::COMPONENT, &manifest).unwrap();
}
