//! `docs/brevo-openapi.yaml` against what the host really sends and the stand-in answers and
//! refuses; and both against Brevo's own OpenAPI file, where it is at hand. Every other test holds
//! its requests against the same two (`described/brevo.rs`); here a planted fault shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod described;
mod every_call;
mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use described::Seen;
use described::brevo::deviation::left;
use described::brevo::{Checked, deviations, ours, theirs};
use host_harness::brevo::account;
use serde_json::{Value, json};
use stand_ins::brevo::{BatchPartial, Brevo, ListEnvelope, Options};
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::Exchange;

/// What the host asked at Brevo, making every call that it knows.
fn calls() -> &'static [Exchange] {
    static CALLS: OnceLock<Vec<Exchange>> = OnceLock::new();
    CALLS.get_or_init(|| {
        [ListEnvelope::Wrapped, ListEnvelope::Bare].into_iter().flat_map(every_call::make).collect()
    })
}

fn operations() -> Vec<Value> {
    described::operations(&ours())
}

/// `POST /v3/contacts`
fn call(operation: &Value) -> String {
    format!("{} /v3{}", operation["method"].as_str().unwrap(), operation["path"].as_str().unwrap())
}

/// The described call that an exchange is; where two fit, the one with fewer variables.
fn named(exchange: &Exchange) -> String {
    let fits = |call: &String| {
        let (method, template) = call.split_once(' ').unwrap();
        let (template, path): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), exchange.path.split('/').collect());
        method == exchange.method
            && template.len() == path.len()
            && template.iter().zip(&path).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let all = operations_once().iter().filter(|call| fits(call));
    all.min_by_key(|call| call.matches('{').count()).unwrap_or_else(|| panic!("{exchange:?}")).clone()
}

fn operations_once() -> &'static [String] {
    static ALL: OnceLock<Vec<String>> = OnceLock::new();
    ALL.get_or_init(|| operations().iter().map(call).collect())
}

/// One good request of each call.
fn one_of_each() -> BTreeMap<String, &'static Exchange> {
    calls()
        .iter()
        .filter(|exchange| exchange.status < 300)
        .map(|exchange| (named(exchange), exchange))
        .collect()
}

/// Sends a recorded request again, with another key or body.
fn again(brevo: &Brevo, exchange: &Exchange, key: Option<&str>, body: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let escaped =
        |text: &str| text.replace('%', "%25").replace('&', "%26").replace(' ', "%20").replace('+', "%2B");
    let query: Vec<String> =
        exchange.query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let uri = format!("{}{}{mark}{}", brevo.url(), exchange.path, query.join("&"));
    let mut request = ureq::http::Request::builder().method(exchange.method.as_str()).uri(uri);
    if let Some(key) = key {
        request = request.header("api-key", key);
    }
    let answer = match body.is_empty() {
        true => agent.run(request.body(()).unwrap()),
        false => agent.run(request.header("content-type", "application/json").body(body.to_owned()).unwrap()),
    };
    answer.unwrap().status().as_u16()
}

/// Each call at an account that is empty, with every refusal that doesn't depend on what is there.
fn refusals() -> &'static [Exchange] {
    static REFUSALS: OnceLock<Vec<Exchange>> = OnceLock::new();
    REFUSALS.get_or_init(|| {
        let mut all = Vec::new();
        for (name, exchange) in one_of_each() {
            // What is sent here is wrong on purpose.
            let brevo = Brevo::start(Options::default()).unwrap();
            brevo.record_exchanges();
            let (key, body) = (Some(brevo.api_key()), exchange.body.as_str());
            again(&brevo, exchange, key, body);
            assert_eq!(again(&brevo, exchange, None, body), 401, "{name}");
            assert_eq!(again(&brevo, exchange, Some("another"), body), 401, "{name}");
            if !body.is_empty() {
                assert_eq!(again(&brevo, exchange, key, "[]"), 400, "{name}");
            }
            for headers in [true, false] {
                brevo.faults().add(Rule::any(Fault::rate_limited(headers)).times(1)).unwrap();
                assert_eq!(again(&brevo, exchange, key, body), 429, "{name}");
            }
            all.extend(brevo.journal().exchanges().cloned());
        }
        // A batch of which some are refused, in each way that the sources know.
        let batch = one_of_each()["POST /v3/events/batch"];
        let mut body: Value = serde_json::from_str(&batch.body).unwrap();
        body["events"][0]["event_name"] = json!("no name at all");
        for batch_partial in [BatchPartial::MultiStatus, BatchPartial::CountOnly, BatchPartial::BadRequest] {
            let brevo = Brevo::start(Options { batch_partial, ..Options::default() }).unwrap();
            brevo.record_exchanges();
            again(&brevo, batch, Some(brevo.api_key()), &body.to_string());
            all.extend(brevo.journal().exchanges().cloned());
        }
        all
    })
}

#[test]
fn the_hosts_calls_and_their_answers_are_as_described_and_no_call_is_described_for_nothing() {
    assert_eq!(described::check(&ours(), calls().iter().map(Seen::Call)), Vec::<Value>::new());
    let made: BTreeSet<String> = one_of_each().into_keys().collect();
    assert_eq!(made, operations_once().iter().cloned().collect());
    for operation in operations() {
        assert!(operation["source"].as_str().is_some_and(|source| !source.is_empty()), "{operation}");
        assert_eq!(operation["servers"], json!([{ "url": account::BASE_URL, "variables": {} }]));
    }
}

#[test]
fn every_refusal_of_every_call_is_as_described() {
    assert_eq!(described::check(&ours(), refusals().iter().map(Seen::Refused)), Vec::<Value>::new());
    assert!(refusals().iter().any(|exchange| exchange.status == 207));
}

/// Not a test that passes in silence: where the file is not there, the line says so.
fn vendors() -> Option<std::path::PathBuf> {
    let file = theirs();
    if file.is_none() {
        eprintln!("BREVO_OPENAPI is not set: Brevo's own OpenAPI file is not there to be compared with");
    }
    file
}

#[test]
fn brevos_own_file_agrees_with_every_exchange() {
    let Some(file) = vendors() else { return };
    let older = |exchange: &&Exchange| !deviations::NEWER.contains(&named(exchange).as_str());
    let called = calls().iter().filter(older).map(Seen::Call);
    let refused = refusals().iter().filter(older).map(Seen::Refused);
    let found = described::check(&file, called.chain(refused));
    let (rest, unmet) = left(found, deviations::OF_EXCHANGES);
    assert!(rest.is_empty(), "not as Brevo's file says:\n{}", lines(&rest));
    assert!(unmet.is_empty(), "deviations that are none any more: {unmet:#?}");
}

#[test]
fn brevos_own_file_agrees_with_the_description() {
    let Some(file) = vendors() else { return };
    let (rest, unmet) = left(described::compare(&ours(), &file), deviations::OF_DESCRIPTIONS);
    assert!(rest.is_empty(), "the descriptions differ:\n{}", lines(&rest));
    assert!(unmet.is_empty(), "deviations that are none any more: {unmet:#?}");
    let plain = |call: String| {
        let parts =
            call.split('/').map(|part| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() });
        parts.collect::<Vec<_>>().join("/")
    };
    let has: BTreeSet<String> = described::operations(&file).iter().map(call).map(plain).collect();
    let lacks: BTreeSet<&str> = operations_once()
        .iter()
        .filter(|call| !has.contains(&plain((*call).clone())))
        .map(String::as_str)
        .collect();
    assert_eq!(lacks, deviations::NEWER.iter().copied().collect());
}

#[test]
fn a_planted_request_fails_the_test_that_made_it() {
    let contact = r#"{"email":"a@example.com","attributes":{},"updateEnabled":false}"#;
    let planted = [
        ("/v3/contacts", contact, true),
        // Against the stand-in's schemas; allowed at Brevo, but never sent by the host; no such call.
        ("/v3/contacts", r#"{"email":"a@example.com","attributes":{},"updateEnabled":false,"new":1}"#, false),
        ("/v3/contacts", r#"{"email":"a@example.com","attributes":{},"updateEnabled":true}"#, false),
        ("/v3/contacts/doubleOptinConfirmation", contact, false),
    ];
    for (path, body, good) in planted {
        let ended = std::panic::catch_unwind(|| {
            let brevo = Checked::start(Options::default());
            let request = Exchange { path: path.into(), ..one_of_each()["POST /v3/contacts"].clone() };
            again(&brevo, &request, Some(brevo.api_key()), body);
        });
        assert_eq!(ended.is_ok(), good, "{path} {body}");
    }
}

#[test]
fn no_test_starts_a_stand_in_for_brevo_whose_requests_nobody_looks_at() {
    let mut unchecked = BTreeSet::new();
    let mut folders = vec![described::root().join("host-harness/tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains(concat!("Brevo::", "start(")) {
                    unchecked.insert(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
    }
    // The wrapper itself, and requests that are wrong on purpose.
    let here = Path::new(file!()).file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(unchecked, BTreeSet::from(["brevo.rs".to_owned(), here]));
}

fn lines(found: &[Value]) -> String {
    found.iter().map(|one| format!("{one}\n")).collect()
}
