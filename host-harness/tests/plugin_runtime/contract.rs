//! Guests that keep to the contract, and what it grants them.

use std::sync::Arc;
use std::time::Duration;

use host_harness::contract::{self, Mapping, Next, Position, Record, http, objects, storage};
use host_harness::manifest::Manifest;
use host_harness::plugin::{ConfigureError, Runtime, RuntimeOptions};
use host_harness::unit::{Outcome, Services, Unit, Work};

use crate::guests;
use crate::stage::*;

#[test]
fn a_calm_guest_is_mapped_in_order_and_its_cost_is_known() {
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

#[test]
fn an_outcome_is_a_value_that_can_be_stored() {
    let outcome = run(&load("calm"), &webhook("x")).unwrap();
    let text = serde_json::to_string(&outcome).unwrap();
    let back: Outcome = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn records_can_be_mapped_again_without_their_webhook() {
    let plugin = load("calm");
    let first = run(&plugin, &webhook("one\ntwo")).unwrap();
    let records: Vec<Record> = first.records.iter().map(|mapped| mapped.record.clone()).collect();
    let unit = Unit { settings: "{}".into(), now: NOW, work: Work::Map(records) };
    let again = run(&plugin, &unit).unwrap();
    for (before, after) in first.records.iter().zip(&again.records) {
        assert_eq!(before.mapping, after.mapping);
    }
}

#[test]
fn what_the_configuration_lacks_is_refused_by_name() {
    let plugin = load("calm");
    let mut unit = webhook("x");
    let Work::Webhook(request) = &mut unit.work else { unreachable!() };
    request.surface = "pull".into();
    assert_eq!(fault(run(&plugin, &unit)).0, "unknown-surface");
    assert_eq!(fault(run(&plugin, &page("{}", "nothing", Position::Start))).0, "unknown-resource");
    let outcome = run(&plugin, &page("{}", "probe", Position::Start)).unwrap();
    assert!(matches!(outcome.next, Some(Next::Done(_))));
}

#[test]
fn settings_that_are_no_json_are_the_tenants() {
    let Err(ConfigureError::Settings(problems)) = load("calm").configure("{") else { panic!() };
    assert_eq!(problems[0].code, "settings-json");
}

#[test]
fn a_unit_has_a_budget_of_calls_and_bytes() {
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

#[test]
fn only_a_page_may_call_the_vendor() {
    let plugin = load("crawler");
    let services = Arc::new(Generous { size: 0, delay: Duration::ZERO });
    let outcome = plugin.run(&webhook("x"), services).unwrap();
    assert_eq!(outcome.notes[0].message, "denied-in-this-export");
    assert_eq!(outcome.cost.http_calls, 0);
}

#[test]
fn mapping_may_only_log() {
    let outcome = run(&load("poison"), &webhook("call")).unwrap();
    assert_eq!(outcome.records[0].mapping, Ok(Mapping::Nothing("all-denied".into())));
    assert!(outcome.jobs.is_empty() && outcome.storage.writes.is_empty());
    assert_eq!(outcome.cost.http_calls, 0);
}

#[test]
fn g12_a_nosy_guest_finds_nothing_and_its_random_numbers_are_seeded() {
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

#[test]
fn a_connector_written_from_the_contract_alone_runs() {
    struct Pebble;
    impl Services for Pebble {
        fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
            assert_eq!((request.endpoint.as_str(), request.method), ("api", http::Method::Get));
            assert!(request.timeout_ms.unwrap() <= 4_000, "bounded by the unit's own end");
            let body = br#"{"members":[{"id":1,"mail":"a@example.com","newsletter":false,"changed_at":1}],
                "more":true}"#;
            Ok(http::Response { status: 200, headers: vec![], body: body.to_vec() })
        }
        fn object_open(
            &self,
            _: &str,
            _: &[String],
            _: Option<&str>,
        ) -> Result<objects::Object, http::Error> {
            panic!("Pebble has no files");
        }
        fn object_read(
            &self,
            _: &str,
            _: &[String],
            _: &str,
            _: u64,
            _: u32,
        ) -> Result<Vec<u8>, http::Error> {
            panic!("Pebble has no files");
        }
        fn storage_get(&self, _: &str) -> Option<storage::Entry> {
            None
        }
        fn storage_list(&self, _: &str, _: Option<&str>, _: usize) -> Vec<String> {
            vec![]
        }
    }
    let manifest = Manifest::parse(include_str!("../../../tests/plugins/pebble/manifest.json")).unwrap();
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

#[test]
fn the_embedded_component_loads_under_its_manifest() {
    use host_harness::embedded;
    let manifest = Manifest::parse(embedded::MANIFEST).unwrap();
    assert_eq!(manifest.contract, contract::VERSION);
    Runtime::new(options()).unwrap().load(embedded::COMPONENT, &manifest).unwrap();
}
