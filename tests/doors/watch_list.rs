//! The watch list, as every door fills it.

use moengage_connector::{Settings, Storage, WebhookOutcome};
use serde_json::{Value, json};

use crate::reach::Memory;
use crate::users::{settings, watched};
use crate::{batch, event, parse, plain_settings};

fn pushed(settings: &Settings, events: &[Value], storage: &mut dyn Storage) -> WebhookOutcome {
    moengage_connector::handle_webhook(settings, &crate::request(batch(events)), storage).unwrap()
}

#[test]
fn every_customer_id_that_passes_is_watched_where_profiles_are_refreshed() {
    let events: Vec<Value> =
        [json!("cust-1"), json!("cust-2"), json!("cust-1"), json!(null), json!("anon-7"), json!("guest")]
            .into_iter()
            .enumerate()
            .map(|(n, uid)| event(json!({"event_uuid": format!("e{n}"), "uid": uid})))
            .collect();
    let mut storage = Memory::default();
    pushed(&settings(), &events, &mut storage);
    assert_eq!(storage.0, watched(["cust-1", "cust-2"]).0);
    let mut storage = Memory::default();
    pushed(&parse(&plain_settings()), &events, &mut storage);
    assert!(storage.0.is_empty(), "nobody asked for it");
}

/// Storage that counts what is done to it, and may know every key, and may be full.
#[derive(Default)]
struct Counting {
    sets: usize,
    reads: usize,
    knows: bool,
    full: bool,
}

impl Storage for Counting {
    fn get(&mut self, _: &str) -> Option<Vec<u8>> {
        self.reads += 1;
        self.knows.then(Vec::new)
    }

    fn set(&mut self, _: &str, value: &[u8]) -> bool {
        assert!(value.is_empty());
        self.sets += 1;
        !self.full
    }

    fn list(&mut self, _: &str, _: Option<&str>) -> Vec<String> {
        self.reads += 1;
        Vec::new()
    }
}

#[test]
fn watching_looks_at_each_id_once_a_unit_and_writes_only_new_ones() {
    let events: Vec<Value> = (0..50)
        .map(|n| event(json!({"event_uuid": format!("e{n}"), "uid": format!("u{}", n % 5)})))
        .collect();
    for (knows, sets) in [(false, 5), (true, 0)] {
        let mut storage = Counting { knows, ..Counting::default() };
        pushed(&settings(), &events, &mut storage);
        assert_eq!((storage.sets, storage.reads), (sets, 5));
    }
}

#[test]
fn a_full_storage_costs_a_note_and_no_event() {
    let events = [event(json!({})), event(json!({"event_uuid": "e2", "uid": "cust-2"}))];
    let mut storage = Counting { full: true, ..Counting::default() };
    let outcome = pushed(&settings(), &events, &mut storage);
    assert_eq!((outcome.records.len(), crate::note(&outcome, "watch-list-full")), (4, 2));
}
