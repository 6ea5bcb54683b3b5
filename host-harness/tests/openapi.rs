//! `docs/moengage-openapi.yaml` against what is really sent and answered: the connector's requests
//! in the real host, the stand-in's answers and refusals, pushed webhooks, and the manifest; and
//! all of it against MoEngage's own OpenAPI files, where they are at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod described;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use described::Seen;
use described::brevo::deviation::left;
use described::deviations;
use described::proxy::Proxy;
use host_harness::store::runs::{backfill_key, resource_key};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sources::*;
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::Exchange;
use stand_ins::moengage::alerts::{Alert, AlertTarget, AlertType};
use stand_ins::moengage::connector_campaign::{Connector, Template};
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::posting::Auth;
use stand_ins::moengage::segment_sync::{Destination, Member, RunKind};
use stand_ins::moengage::{self, Access, Campaign, Family, Generator, MoEngage, Table, Target};

const DAY: i64 = 86_400_000;

/// Everything that the connector can be told to read and to take.
fn everything() -> Setting {
    let sync = json!({
        "flow_analytics": true, "subscription_preferences": true, "dashboards": true, "charts": true,
        "chart_figures": true
    });
    let more = json!({
        "project_code": "shop",
        "campaigns": { "created_since": "2020-01-01" },
        "catalogs": { "catalog-1": ["P001", "P002"] },
        "cards": { "users": ["user-000001"] },
        "report_files": ["Report_test_20261120.zip"],
        "recommendations": {
            "a1b2c3d4e5f6a7b8c9d0e1f2": { "type": "trending_item", "users": ["user-000001"] }
        },
        "segment_sync": { "lists": { "656f1d0c9b": 5 } },
        "alerts": true,
        "connector_campaigns": { "user_id": "uid", "event": "coupon_sent", "event_id": "delivery_id" },
    });
    Setting { sync, more, record_exchanges: true, ..Setting::default() }
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
        let mut all = read_everything(&World::with(&everything()));
        // Where there is no V5.
        let mut by_v1 = everything();
        by_v1.more["campaigns"] = json!({ "api": "v1", "created_since": "2020-01-01" });
        let by_v1 = World::with(&Setting { sync: Setting::default().sync, ..by_v1 });
        all.extend(read(&by_v1, &["campaigns"]));
        all
    })
}

fn read_everything(world: &World) -> Vec<Exchange> {
    harness(world, &["check"]);
    let profile = harness(world, &["discover"]);
    let resources = profile[0]["profile"]["resources"].as_array().unwrap();
    let read_ones = resources.iter().filter(|resource| resource["kind"] != "check");
    let names: Vec<&str> = read_ones.map(|resource| resource["name"].as_str().unwrap()).collect();
    read(world, &names)
}

/// Reads resources to their ends, a list before what is read for each of it, as in the profile.
fn read(world: &World, resources: &[&str]) -> Vec<Exchange> {
    let generator = Generator { people: 40, events: 300, now_s: world.now_s(), ..Generator::default() };
    let options =
        ExportOptions { folder: FOLDER.to_owned(), db_name: DB_NAME.to_owned(), ..ExportOptions::default() };
    export_files(&generator, &options).put_into(&world.bucket);
    let users = generator.users();
    world.moengage.with_rows(Table::SubscriptionPreferences, |rows| {
        let known = users.iter().filter_map(|user| user.customer_id.as_ref());
        for (row, uid) in rows.iter_mut().zip(known) {
            row["uid"] = json!(uid);
        }
    });
    world.moengage.set_users(users);
    world.moengage.with_campaigns(|campaigns| *campaigns = (0..40).map(Campaign::numbered).collect());

    let units = world.units();
    // People become known, so that there is somebody to ask for.
    backfill(units.store(), (units.now() - 5 * DAY, units.now() + 1_000), units.now());
    finish(&units, &backfill_key("event-exports"));
    for name in resources.iter().filter(|name| **name != "event-exports") {
        sync(units.store(), name, units.now());
        let run = finish(&units, &resource_key(name));
        assert_eq!(run.result.as_deref(), Some("complete"), "{name}: {run:?}");
    }
    assert_eq!(world.moengage.violations(), []);
    world.moengage.journal().exchanges().cloned().collect()
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
    if exchange.headers.iter().any(|(name, _)| name == "signature") {
        let file = exchange.path.rsplit('/').next().unwrap();
        let digest = Sha256::digest(format!("{user}|{file}|{key}"));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        request = request.header("signature", hex);
    }
    if let Some(app_key) = app_key.filter(|_| exchange.headers.iter().any(|(name, _)| name == "moe-appkey")) {
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

/// Every way in which the stand-in refuses each of these calls.
fn refusals() -> &'static [Exchange] {
    static REFUSALS: OnceLock<Vec<Exchange>> = OnceLock::new();
    REFUSALS.get_or_init(|| {
        let operations = described::operations(&described::ours());
        let options = moengage::Options { record_exchanges: true, ..moengage::Options::default() };
        let mut all = Vec::new();
        for (name, exchange) in one_of_each() {
            let vendor = MoEngage::start(options.clone()).unwrap();
            let operation =
                operations.iter().find(|operation| operation["path"].is_string() && call(operation) == name);
            let operation = operation.unwrap_or_else(|| panic!("{name} is not described"));
            // Where two sources name two keys the stand-in knows one of them.
            let keys = [&operation["slot"], &operation["other_slot"]].into_iter().filter_map(Value::as_str);
            let ws = WORKSPACE;
            let key = keys.map(key_of).find(|key| again(&vendor, exchange, ws, key, Some(ws)) != 401);
            let key = key.unwrap_or_else(|| panic!("no key opens {name}"));
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
            for headers in [true, false] {
                vendor.faults().add(Rule::any(Fault::rate_limited(headers)).times(1)).unwrap();
                assert_eq!(again(&vendor, exchange, ws, key, Some(ws)), 429, "{name}");
            }
            for family in families {
                vendor.set_key(family, None);
            }
            again(&vendor, exchange, ws, key, Some(ws));
            let journal = vendor.journal();
            all.extend(journal.exchanges().filter(|exchange| exchange.status >= 400).cloned());
        }
        all
    })
}

/// Everything that the stand-in can push, through a proxy into the real host.
fn webhooks() -> &'static Vec<(String, Exchange)> {
    static WEBHOOKS: OnceLock<Vec<(String, Exchange)>> = OnceLock::new();
    WEBHOOKS.get_or_init(|| {
        let world = World::with(&everything());
        let host = world.serve();
        let proxy = Proxy::before(host.listening().unwrap());
        let url = |surface: &str| {
            let address = host.addresses().iter().find(|address| address.surface == surface).unwrap();
            format!("{}{}", proxy.url, address.path)
        };
        push_streams(&world, &url("streams"));
        push_segments(&world, &url("segment-sync"));
        let alerts = world.moengage.alerts(AlertTarget::new(&url("alerts"))).unwrap();
        for kind in AlertType::ALL {
            alerts.send(&Alert::new(kind));
            alerts.send(&Alert { relative: true, ..Alert::new(kind) });
        }
        assert!(alerts.wait(PATIENCE));
        push_connector_campaigns(&world, &url("connector-campaigns"));
        let of = |exchange: &Exchange| {
            let address = host.addresses().iter().find(|address| exchange.path == address.path);
            address.unwrap().surface.clone()
        };
        proxy.exchanges().into_iter().map(|exchange| (of(&exchange), exchange)).collect()
    })
}

fn push_streams(world: &World, url: &str) {
    let generator = Generator { people: 40, events: 1_000, now_s: world.now_s(), ..Generator::default() };
    let stream = world.moengage.stream(Target::new(url).basic("tajo", "hook-secret")).unwrap();
    stream.push(generator.generate().batches);
    assert!(stream.wait(PATIENCE));
    // A stranger is refused.
    let refused = world.moengage.stream(Target::new(url).basic("tajo", "another")).unwrap();
    refused.push(Generator { events: 3, ..generator }.generate().batches.into_iter().take(1));
    let deadline = Instant::now() + PATIENCE;
    while refused.attempts().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", refused.progress());
        std::thread::sleep(Duration::from_millis(5));
    }
    refused.stop();
}

fn push_segments(world: &World, url: &str) {
    let auth = Auth::Basic { user: "tajo".to_owned(), password: "hook-secret".to_owned() };
    let pairs = vec![("source".to_owned(), "moengage".to_owned())];
    let sync = world.moengage.segment_sync(Destination { auth, pairs, ..Destination::new(url) }).unwrap();
    sync.put((0..1_500).map(|n| Member::new(&format!("m-{n}"), &format!("uid-{n}"))));
    sync.run(RunKind::AdHoc).unwrap();
    assert!(sync.wait(PATIENCE));
    sync.remove(["m-1", "m-2"]);
    sync.run(RunKind::AdHoc).unwrap();
    assert!(sync.wait(PATIENCE));
}

fn push_connector_campaigns(world: &World, url: &str) {
    let token = base64::engine::general_purpose::STANDARD.encode("tajo:hook-secret");
    let pairs = vec![
        ("uid".to_owned(), "{{uid}}".to_owned()),
        ("delivery_id".to_owned(), "d-{{moengage_id}}".to_owned()),
    ];
    for body in [Template::Json(pairs.clone()), Template::Form(pairs)] {
        let headers = vec![("authorization".to_owned(), format!("Basic {token}"))];
        let campaign = Connector { headers, body, ..Connector::new(url) };
        let campaign = world.moengage.connector_campaign(campaign).unwrap();
        campaign.send(Generator { people: 5, now_s: world.now_s(), ..Generator::default() }.users());
        assert!(campaign.wait(PATIENCE));
    }
}

/// Whether a granted path of the manifest covers a path template. `*` is one segment, `{setting}` a
/// certain one, and `$` at the end says that nothing follows.
fn covers(granted: &str, template: &str) -> bool {
    let (granted, whole) = granted.strip_suffix('$').map_or((granted, false), |granted| (granted, true));
    let (granted, template): (Vec<_>, Vec<_>) = (granted.split('/').collect(), template.split('/').collect());
    let fits = |(granted, own): (&&str, &&str)| match own.starts_with('{') {
        true => *granted == "*" || granted.starts_with('{'),
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
        for member in ["methods", "paths"] {
            for one in endpoint[member].as_array().unwrap() {
                let mut narrow = endpoint.clone();
                narrow[member] = json!([one]);
                let used = calls.iter().any(|operation| grants(&narrow, operation));
                assert!(used, "the endpoint {name} grants {one}, which no call of the description uses");
            }
        }
        let auth = endpoint["auth"].as_object().unwrap().values().next().unwrap();
        let slot = auth["slot"].as_str();
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
    let refusals = refusals();
    assert_eq!(described::check(&described::ours(), refusals.iter().map(Seen::Refused)), Vec::<Value>::new());
    for (name, _) in one_of_each() {
        let (method, path) = name.split_once(' ').unwrap();
        let of =
            |exchange: &&Exchange| exchange.method == method && is(&json!({"path": path}), &exchange.path);
        let statuses: BTreeSet<u16> = refusals.iter().filter(of).map(|exchange| exchange.status).collect();
        assert!(statuses.is_superset(&BTreeSet::from([401, 403, 429])), "{name}: {statuses:?}");
    }
}

#[test]
fn pushed_webhooks_and_the_hosts_answers_are_as_described() {
    let seen = webhooks();
    let checked = seen.iter().map(|(name, exchange)| Seen::Webhook(name, exchange));
    assert_eq!(described::check(&described::ours(), checked), Vec::<Value>::new());
    let described: BTreeSet<String> = described::operations(&described::ours())
        .iter()
        .filter_map(|operation| operation["webhook"].as_str().map(str::to_owned))
        .collect();
    let taken = seen.iter().filter(|(_, exchange)| exchange.status == 200);
    assert_eq!(taken.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>(), described);
    assert!(seen.iter().any(|(_, exchange)| exchange.status == 401));
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
        let refused = refusals().iter().filter(theirs).map(Seen::Refused);
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
