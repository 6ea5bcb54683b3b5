//! `docs/moengage-openapi.yaml` against what is really sent and answered: the connector's requests
//! in the real host, the stand-in's answers and refusals, pushed webhooks, and the manifest; and
//! all of it against MoEngage's own OpenAPI files, where they are at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod described;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use described::Seen;
use described::deviations::{self, Deviation};
use described::proxy::Proxy;
use host_harness::store::runs::{backfill_key, resource_key};
use serde_json::{Value, json};
use sources::*;
use stand_ins::journal::Exchange;
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::{self, Access, Campaign, Family, Generator, MoEngage, Target};

const DAY: i64 = 86_400_000;
/// Requests of one call until its rate window has to be full. Windows that are wider are not
/// filled here.
const MOST_REQUESTS: usize = 1_100;

/// Everything that the connector can be told to read and to take.
fn everything() -> Setting {
    let more = json!({
        "keys": {
            "data": "${DATA_KEY}", "campaigns": "${CAMPAIGNS_KEY}", "segmentation": "${SEGMENTATION_KEY}"
        },
        "project_code": "shop",
        "campaigns": { "created_since": "2020-01-01" },
        "segment_sync": { "lists": { "656f1d0c9b": 5 } },
        "alerts": true,
        "connector_campaigns": { "user_id": "/user/id", "event": "coupon_sent", "event_id": "/delivery_id" },
    });
    Setting { more, record_exchanges: true, ..Setting::default() }
}

fn manifest() -> Value {
    serde_json::from_slice(&std::fs::read(described::root().join("manifest.json")).unwrap()).unwrap()
}

/// Endpoints of the manifest that are MoEngage's, with what they grant.
fn granted() -> BTreeMap<String, Value> {
    let manifest = manifest();
    let all = manifest["endpoints"].as_object().unwrap().clone();
    let vendors =
        |endpoint: &Value| endpoint["origin"].as_str().is_some_and(|o| o.ends_with(".moengage.com"));
    all.into_iter().filter(|(_, endpoint)| vendors(endpoint)).collect()
}

/// The configuration's file and the secrets that it refers to.
fn harness(world: &World, arguments: &[&str]) -> Value {
    let file = world.directory.path().join("tajo.yaml");
    std::fs::write(&file, &world.text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .arg("--json")
        .arg("--config")
        .arg(&file)
        .envs(world.secrets())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the real component asked, in the real host, reading everything that there is.
fn calls() -> &'static [Exchange] {
    static CALLS: OnceLock<Vec<Exchange>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let world = World::with(&everything());
        let generator = Generator { people: 40, events: 300, now_s: world.now_s(), ..Generator::default() };
        let options = ExportOptions {
            folder: FOLDER.to_owned(),
            db_name: DB_NAME.to_owned(),
            ..ExportOptions::default()
        };
        export_files(&generator, &options).put_into(&world.bucket);
        world.moengage.set_users(generator.users());
        world.moengage.with_campaigns(|campaigns| *campaigns = (0..40).map(Campaign::numbered).collect());

        harness(&world, &["check"]);
        let profile = harness(&world, &["discover"]);
        let units = world.units();
        // People become known, so that there is somebody to ask for.
        backfill(units.store(), (units.now() - 5 * DAY, units.now() + 1_000), units.now());
        finish(&units, &backfill_key("event-exports"));
        let resources = profile[0]["profile"]["resources"].as_array().unwrap();
        let read = resources.iter().filter(|resource| resource["kind"] != "check");
        for name in read.map(|resource| resource["name"].as_str().unwrap()) {
            if name != "event-exports" {
                sync(units.store(), name, units.now());
                let run = finish(&units, &resource_key(name));
                assert_eq!(run.result.as_deref(), Some("complete"), "{name}: {run:?}");
            }
        }
        assert_eq!(world.moengage.violations(), []);
        world.moengage.journal().exchanges().cloned().collect()
    })
}

/// One good request of each call that the connector makes.
fn one_of_each() -> BTreeMap<String, &'static Exchange> {
    let operations = described::operations(&described::ours());
    let named = |exchange: &Exchange| {
        let fits =
            |operation: &&Value| operation["method"] == exchange.method && is(operation, &exchange.path);
        operations.iter().filter(fits).map(call).next().unwrap_or_else(|| exchange.path.clone())
    };
    calls()
        .iter()
        .filter(|exchange| exchange.status == 200)
        .map(|exchange| (named(exchange), exchange))
        .collect()
}

/// `POST /v5/campaigns/search`
fn call(operation: &Value) -> String {
    format!("{} {}", operation["method"].as_str().unwrap(), operation["path"].as_str().unwrap())
}

fn is(operation: &Value, path: &str) -> bool {
    let template: Vec<&str> = operation["path"].as_str().unwrap().split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
}

/// Sends a recorded request again, with another credential.
fn again(vendor: &MoEngage, exchange: &Exchange, user: &str, key: &str, app_key: Option<&str>) -> u16 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let query: Vec<String> = exchange
        .query
        .iter()
        .map(|(name, value)| {
            format!(
                "{name}={}",
                value.replace('%', "%25").replace('&', "%26").replace(' ', "%20").replace('+', "%2B")
            )
        })
        .collect();
    let uri = format!("{}{}?{}", vendor.url(), exchange.path, query.join("&"));
    let mut request = ureq::http::Request::builder().method(exchange.method.as_str()).uri(uri);
    for (name, value) in &exchange.headers {
        match name.as_str() {
            "authorization" | "moe-appkey" | "host" | "content-length" | "connection" | "signature" => (),
            "idempotency-key" => {
                let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                request = request.header(name, format!("00000000-0000-4000-8000-{n:012}"));
            }
            _ => request = request.header(name, value),
        }
    }
    if exchange.headers.iter().any(|(name, _)| name == "authorization") {
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{key}"));
        request = request.header("authorization", format!("Basic {token}"));
    }
    if let Some(app_key) = app_key {
        request = request.header("moe-appkey", app_key);
    }
    let answer = match exchange.body.is_empty() {
        true => agent.run(request.body(()).unwrap()),
        false => agent.run(request.body(exchange.body.clone().into_bytes()).unwrap()),
    };
    answer.unwrap().status().as_u16()
}

/// The key that opens a call, by its `x-slot`.
fn key_of(slot: &str) -> &'static str {
    match slot {
        "data" => "data-key",
        "campaigns" => "campaigns-key",
        "segmentation" => "segmentation-key",
        other => panic!("{other}"),
    }
}

/// Every way in which the stand-in refuses each of these calls, with what it refused by. Calls
/// whose rate window could not be filled are named.
fn refusals() -> &'static (Vec<Exchange>, BTreeSet<String>) {
    static REFUSALS: OnceLock<(Vec<Exchange>, BTreeSet<String>)> = OnceLock::new();
    REFUSALS.get_or_init(|| {
        let operations = described::operations(&described::ours());
        let slot = |name: &str| {
            let operation =
                operations.iter().find(|operation| operation["path"].is_string() && call(operation) == name);
            operation
                .and_then(|operation| operation["slot"].as_str())
                .unwrap_or_else(|| panic!("{name}"))
                .to_owned()
        };
        let options = moengage::Options { record_exchanges: true, ..moengage::Options::default() };
        let (mut all, mut open) = (Vec::new(), BTreeSet::new());
        for (name, exchange) in one_of_each() {
            // A workspace of its own, so that no window is full before its turn.
            let vendor = MoEngage::start(options.clone()).unwrap();
            let (key, ws) = (key_of(&slot(&name)), WORKSPACE);
            again(&vendor, exchange, ws, "another key", Some(ws));
            again(&vendor, exchange, ws, key, None);
            again(&vendor, exchange, "another", key, Some("another"));
            let families = [Family::Data, Family::Campaigns, Family::Segmentation];
            for access in [Access::Suspended, Access::NoPermission, Access::AddressNotListed] {
                families.iter().for_each(|family| vendor.set_access(*family, access));
                again(&vendor, exchange, ws, key, Some(ws));
            }
            for family in families {
                vendor.set_access(family, Access::Granted);
            }
            if !exchange.body.is_empty() {
                let garbled = Exchange { body: "[]".to_owned(), ..exchange.clone() };
                again(&vendor, &garbled, ws, key, Some(ws));
            }
            if !(0..MOST_REQUESTS).any(|_| again(&vendor, exchange, ws, key, Some(ws)) == 429) {
                open.insert(name.clone());
            }
            for family in families {
                vendor.set_key(family, None);
            }
            again(&vendor, exchange, ws, key, Some(ws));
            let journal = vendor.journal();
            all.extend(journal.exchanges().filter(|exchange| exchange.status >= 400).cloned());
        }
        (all, open)
    })
}

/// Streams batches through a proxy into the real host.
fn webhooks() -> &'static Vec<(&'static str, Exchange)> {
    static WEBHOOKS: OnceLock<Vec<(&'static str, Exchange)>> = OnceLock::new();
    WEBHOOKS.get_or_init(|| {
        let world = World::new();
        let host = world.serve();
        let proxy = Proxy::before(host.listening().unwrap());
        let path =
            |surface: &str| host.addresses().iter().find(|at| at.surface == surface).unwrap().path.clone();
        let generator = Generator { people: 40, events: 1_000, now_s: world.now_s(), ..Generator::default() };
        let target = Target::new(&format!("{}{}", proxy.url, path("streams"))).basic("tajo", "hook-secret");
        let stream = world.moengage.stream(target).unwrap();
        stream.push(generator.generate().batches);
        assert!(stream.wait(Duration::from_secs(60)));
        let stranger = Target::new(&format!("{}{}", proxy.url, path("streams"))).basic("tajo", "another");
        let refused = world.moengage.stream(stranger).unwrap();
        refused.push(Generator { events: 3, ..generator }.generate().batches.into_iter().take(1));
        while refused.progress().sent == 0 || proxy.exchanges().iter().all(|one| one.status != 401) {
            std::thread::sleep(Duration::from_millis(5));
        }
        refused.stop();
        proxy.exchanges().into_iter().map(|exchange| ("streams", exchange)).collect()
    })
}

/// Whether a granted path of the manifest covers a path template. `*` is one segment, and `$` at
/// the end says that nothing follows.
fn covers(granted: &str, template: &str) -> bool {
    let (granted, whole) = granted.strip_suffix('$').map_or((granted, false), |granted| (granted, true));
    let (granted, template): (Vec<_>, Vec<_>) = (granted.split('/').collect(), template.split('/').collect());
    let fits = |(granted, own): (&&str, &&str)| match own.starts_with('{') {
        true => *granted == "*",
        false => granted == own,
    };
    template.len() >= granted.len()
        && (!whole || template.len() == granted.len())
        && granted.iter().zip(&template).all(fits)
}

#[test]
fn the_description_names_exactly_the_calls_that_the_manifest_grants() {
    let operations = described::operations(&described::ours());
    let calls: Vec<&Value> = operations.iter().filter(|operation| operation["path"].is_string()).collect();
    let granted = granted();
    let grants = |endpoint: &Value, operation: &Value| {
        let method = endpoint["methods"].as_array().unwrap().contains(&operation["method"]);
        let path = operation["path"].as_str().unwrap();
        let below = |granted: &Value| covers(granted.as_str().unwrap(), path);
        let server = &operation["servers"][0];
        method
            && endpoint["paths"].as_array().unwrap().iter().any(below)
            && endpoint["origin"] == server["url"]
            && endpoint["variables"]["data_center"]["enum"] == server["variables"]["data_center"]
    };
    for operation in &calls {
        assert!(
            granted.values().any(|endpoint| grants(endpoint, operation)),
            "no endpoint grants {operation}"
        );
        assert_eq!(operation["servers"].as_array().unwrap().len(), 1, "{operation}");
        assert!(operation["source"].as_str().is_some_and(|source| !source.is_empty()), "{operation}");
    }
    for (name, endpoint) in &granted {
        let (methods, paths) =
            (endpoint["methods"].as_array().unwrap(), endpoint["paths"].as_array().unwrap());
        for (method, path) in methods.iter().flat_map(|method| paths.iter().map(move |path| (method, path))) {
            let mut narrow = endpoint.clone();
            (narrow["methods"], narrow["paths"]) = (json!([method]), json!([path]));
            let used = calls.iter().any(|operation| grants(&narrow, operation));
            assert!(
                used,
                "the endpoint {name} grants {method} {path}, which no call of the description uses"
            );
        }
        let slot = endpoint["auth"]["basic"]["slot"].as_str();
        for operation in calls.iter().filter(|operation| grants(endpoint, operation)) {
            let same = slot.is_none_or(|slot| operation["slot"] == slot || operation["other_slot"] == slot);
            assert!(same, "{name} opens {} with another key than it says", operation["path"]);
        }
    }
}

#[test]
fn the_connectors_calls_and_their_answers_are_as_described_and_no_call_is_described_for_nothing() {
    let exchanges = calls();
    assert_eq!(described::check(&described::ours(), exchanges.iter().map(Seen::Call)), Vec::<Value>::new());
    let operations = described::operations(&described::ours());
    for operation in operations.iter().filter(|operation| operation["path"].is_string()) {
        let made = exchanges.iter().any(|exchange| {
            operation["method"] == exchange.method && exchange.status == 200 && is(operation, &exchange.path)
        });
        assert!(made, "{} is described, and was never called", call(operation));
    }
}

#[test]
fn every_refusal_of_every_call_is_as_described() {
    let (refusals, open) = refusals();
    assert_eq!(described::check(&described::ours(), refusals.iter().map(Seen::Refused)), Vec::<Value>::new());
    let expected: BTreeSet<String> = deviations::WIDE_WINDOWS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(*open, expected, "calls whose rate window is wider than {MOST_REQUESTS} requests");
    for (name, _) in one_of_each() {
        let (method, path) = name.split_once(' ').unwrap();
        let of =
            |exchange: &&Exchange| exchange.method == method && is(&json!({"path": path}), &exchange.path);
        let statuses: BTreeSet<u16> = refusals.iter().filter(of).map(|exchange| exchange.status).collect();
        assert!(statuses.is_superset(&BTreeSet::from([401, 403])), "{name}: {statuses:?}");
    }
}

#[test]
fn pushed_webhooks_and_the_hosts_answers_are_as_described() {
    let seen = webhooks();
    let checked = seen.iter().map(|(name, exchange)| Seen::Webhook(name, exchange));
    assert_eq!(described::check(&described::ours(), checked), Vec::<Value>::new());
}

#[test]
fn the_description_names_exactly_the_webhooks_that_the_connector_takes() {
    let world = World::with(&everything());
    let profile = harness(&world, &["discover"]);
    let names = |all: &[Value], member: &str| -> BTreeSet<String> {
        all.iter().filter_map(|one| one[member].as_str().map(str::to_owned)).collect()
    };
    let surfaces = names(profile[0]["profile"]["surfaces"].as_array().unwrap(), "name");
    assert_eq!(names(&described::operations(&described::ours()), "webhook"), surfaces);
}

/// What a list of deviations leaves over, and entries of the list that were not met.
fn left<'a>(found: Vec<Value>, allowed: &'a [Deviation]) -> (Vec<Value>, BTreeSet<&'a Deviation>) {
    let mut unmet: BTreeSet<&Deviation> = allowed.iter().collect();
    let rest = found.into_iter().filter(|one| {
        let excuse = allowed.iter().filter(|deviation| deviation.excuses(one)).collect::<Vec<_>>();
        for deviation in &excuse {
            unmet.remove(*deviation);
        }
        excuse.is_empty()
    });
    (rest.collect(), unmet)
}

/// Not a test that passes in silence: where the files are not there, the line says so.
fn vendors() -> Option<Vec<std::path::PathBuf>> {
    let files = described::theirs();
    if files.is_none() {
        eprintln!(
            "MOENGAGE_OPENAPI is not set: MoEngage's own OpenAPI files are not there to be compared with"
        );
    }
    files
}

#[test]
fn moengages_own_files_agree_with_every_exchange() {
    let Some(files) = vendors() else { return };
    let (mut found, mut covered) = (Vec::new(), 0);
    for file in &files {
        let operations = described::operations(file);
        let bases = |operation: &Value| -> Vec<String> {
            let servers = operation["servers"].as_array().unwrap();
            servers.iter().map(|server| base(server["url"].as_str().unwrap())).collect()
        };
        let theirs = |exchange: &&Exchange| {
            operations.iter().any(|operation| {
                operation["method"] == exchange.method
                    && bases(operation).iter().any(|base| {
                        let path = format!("{base}{}", operation["path"].as_str().unwrap());
                        is(&json!({ "path": path }), &exchange.path)
                    })
            })
        };
        let called = calls().iter().filter(theirs).map(Seen::Call);
        let refused = refusals().0.iter().filter(theirs).map(Seen::Refused);
        let seen: Vec<Seen> = called.chain(refused).collect();
        covered += usize::from(!seen.is_empty());
        found.extend(described::check(file, seen));
    }
    assert!(covered >= 4, "only {covered} files cover a call");
    let (rest, unmet) = left(found, deviations::OF_EXCHANGES);
    assert!(rest.is_empty(), "not as MoEngage's files say:\n{}", lines(&rest));
    assert!(unmet.is_empty(), "deviations that are none any more: {unmet:#?}");
}

#[test]
fn moengages_own_files_agree_with_the_description() {
    let Some(files) = vendors() else { return };
    let found: Vec<Value> =
        files.iter().flat_map(|file| described::compare(&described::ours(), file)).collect();
    let (rest, unmet) = left(found, deviations::OF_DESCRIPTIONS);
    assert!(rest.is_empty(), "the descriptions differ:\n{}", lines(&rest));
    assert!(unmet.is_empty(), "deviations that are none any more: {unmet:#?}");
}

/// What stands before every path of a server.
fn base(url: &str) -> String {
    let after = url.split_once("://").map_or("", |(_, rest)| rest);
    after.find('/').map_or("", |at| after[at..].trim_end_matches('/')).to_owned()
}

fn lines(found: &[Value]) -> String {
    found.iter().map(|one| format!("{one}\n")).collect()
}
