//! Every export of the real component, through the host that runs it: whatever comes in, the guest neither breaks
//! nor hands over what the host's checks refuse.

use std::sync::{Arc, OnceLock};

use host_harness::contract::*;
use host_harness::manifest::Manifest;
use host_harness::plugin::{ConfigureError, Plugin, Runtime, RuntimeOptions};
use host_harness::unit::{Services, Unit, UnitError, Work};
use serde_json::json;

use super::{NOW, first_line};

const EVERYTHING: &str = include_str!("../connector/settings.json");

fn plugin() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let manifest = Manifest::parse(host_harness::embedded::MANIFEST).expect("the manifest");
        let runtime = Runtime::new(RuntimeOptions::default()).expect("a runtime");
        runtime.load(host_harness::embedded::COMPONENT, &manifest).expect("the component")
    })
}

/// Answers everything with one body.
struct Vendor(Vec<u8>);

impl Services for Vendor {
    fn http(&self, _: http::Request) -> Result<http::Response, http::Error> {
        Ok(http::Response { status: 200, headers: Vec::new(), body: self.0.clone() })
    }

    fn object_open(&self, _: &str, _: &[String], _: Option<&str>) -> Result<objects::Object, http::Error> {
        Ok(objects::Object { etag: "e".to_owned(), size: self.0.len() as u64 })
    }

    fn object_read(
        &self,
        _: &str,
        _: &[String],
        _: &str,
        at: u64,
        size: u32,
    ) -> Result<Vec<u8>, http::Error> {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        Ok(rest[..rest.len().min(size as usize)].to_vec())
    }

    fn storage_get(&self, _: &str) -> Option<storage::Entry> {
        None
    }

    fn storage_list(&self, prefix: &str, after: Option<&str>, _: usize) -> Vec<String> {
        let known = ["chart/d-1/ch-1", "dashboard/d-1", "flow/f-1", "watch/cust-1"];
        let keys = known.into_iter().filter(|key| key.starts_with(prefix));
        keys.filter(|key| after.is_none_or(|after| *key > after)).map(str::to_owned).collect()
    }
}

/// A line with an export and its argument (`configure`, `webhook streams`, `page users`, `cursor users`,
/// `map contact`), and then settings, a body, an answer, a cursor, or the body of a record.
pub fn component(data: &[u8]) {
    let (head, rest) = first_line(data);
    let (export, argument) = head.split_once(' ').unwrap_or((&head, ""));
    let argument = argument.to_owned();
    match export {
        "configure" => {
            let Ok(settings) = std::str::from_utf8(rest) else { return };
            match plugin().measure_configure(settings).0 {
                Ok(_) | Err(ConfigureError::Settings(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        "webhook" => run(
            Work::Webhook(WebhookRequest {
                settings: EVERYTHING.to_owned(),
                surface: argument,
                body: rest.to_vec(),
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                received_at: NOW,
            }),
            Vec::new(),
        ),
        "page" => page(argument, Position::Start, rest),
        "cursor" => {
            page(argument, Position::Cursor(Cursor { version: 1, bytes: rest.to_vec() }), b"{}");
        }
        "map" => {
            let Ok(body) = std::str::from_utf8(rest) else { return };
            // A record that the host would not have stored is not mapped either.
            if host_harness::json::check_object(body).is_err() || body.len() > 256 * 1024 {
                return;
            }
            let record = json!({
                "id": format!("moengage:ABC123:{argument}:1"), "kind": argument, "nature": "State",
                "subject": {"Person": {"external_id": "c", "email": "ann@example.com", "phone": null, "aliases": []}},
                "observation": {"id": "o", "rank": 1}, "occurred": {"at": NOW, "trust": "Vendor"}, "body": body,
                "provenance": "Live",
            });
            run(Work::Map(vec![serde_json::from_value(record).expect("a record")]), Vec::new());
        }
        _ => {}
    }
}

fn page(resource: String, position: Position, answer: &[u8]) {
    let settings = EVERYTHING.to_owned();
    run(Work::Page(PageRequest { settings, resource, position, budget: 100, now: NOW }), answer.to_vec());
}

fn run(work: Work, answer: Vec<u8>) {
    let unit = Unit { settings: EVERYTHING.to_owned(), now: NOW, work };
    match plugin().run(&unit, Arc::new(Vendor(answer))) {
        Ok(outcome) => {
            for mapped in outcome.records {
                if let Err(UnitError::Fault { code, message }) = mapped.mapping {
                    panic!("{code}: {message}");
                }
            }
        }
        Err(UnitError::Failure(_)) => {}
        // Said by the host before the guest is asked.
        Err(UnitError::Fault { code, .. }) if code == "unknown-surface" || code == "unknown-resource" => {}
        Err(UnitError::Fault { code, message }) => panic!("{code}: {message}"),
    }
}
