//! The `harness` program, as an operator uses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bench;
mod benchmarks;
mod canary;
mod doctor;
mod erasing;
mod stopping;
#[path = "../described/brevo.rs"]
mod vendor;

use bench::{Bench, CANARY};
use host_harness::brevo::windows::Family as Window;
use host_harness::config::Plan;
use host_harness::delivery::beside;
use host_harness::host::STORE_FILE;
use host_harness::store::{Store, StoreError, installations};
use serde_json::{Value, json};
use stand_ins::moengage::{Access, Family};

/// One event of a person, with the flags that make consent known.
fn event(uuid: &str, email: &str, time: i64) -> Value {
    json!({
        "event_name": "Product Viewed", "event_code": "PRODUCT_VIEWED", "event_uuid": uuid,
        "event_time": time, "event_type": "USER_ACTION_EVENT", "event_source": "MOENGAGE",
        "uid": format!("uid-{email}"), "event_attributes": { "price": 3 },
        "user_attributes": {
            "moengage_user_id": "m1", "u_em": email, "u_fn": "Ann", "moe_unsubscribe": false,
            "moe_hard_bounce": false, "moe_spam": false,
        },
        "device_attributes": {},
    })
}

fn batch(events: &[Value]) -> String {
    json!({
        "app_name": "SHOP", "source": "MOENGAGE", "moe_request_id": "r1", "events": events,
    })
    .to_string()
}

fn now_s() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A check is one call of the account's budget, beside a host that runs too.
#[test]
fn a_check_counts_in_the_windows_of_the_account_and_leaves_the_reserve() {
    let bench = Bench::new();
    let check = || {
        let done = bench.with_config(&["check", "--json"]);
        (done.code, done.json()["tenants"][0].clone())
    };
    let asked = || bench.brevo.journal().entries().filter(|entry| entry.path == "/v3/account").count();
    let (code, tenant) = check();
    assert_eq!((code, &tenant["brevo_counted"]), (0, &json!(false)), "there is no host yet");
    assert!(bench.with_config(&["check"]).out.contains("counted in no rate window"));
    let host = bench.serve();
    let (code, tenant) = check();
    assert_eq!((code, &tenant["brevo_counted"]), (0, &json!(true)));
    let used = asked();
    assert_eq!(used, 3);
    // Others use up what is not kept free.
    let store = Store::attach(&bench.directory.path().join("data").join(STORE_FILE)).unwrap();
    let now = now_s() * 1_000;
    let full = || {
        store.write::<_, StoreError>(|tx| {
            let account = installations::known_destination(tx, "shop")?.expect("the host knows it");
            beside::count(tx, account, Plan::General, Window::Other, now)
        })
    };
    let counted = (0..1_000).take_while(|_| full().unwrap().is_none()).count();
    assert_eq!(counted, 79, "four fifths of a hundred, of which the check was one");
    let (code, tenant) = check();
    assert_eq!((code, tenant["brevo"]["result"].as_str()), (1, Some("cannot-tell")), "{tenant}");
    assert_eq!(tenant["brevo"]["code"], "rate-window-full");
    assert_eq!(asked(), used, "nothing was asked");
    host.stop();
}

#[test]
fn check_tells_verified_refused_and_cannot_tell_apart() {
    let bench = Bench::new();
    let probe = |name: &str| {
        let done = bench.with_config(&["check", "--json"]);
        let tenant = done.json()["tenants"][0].clone();
        let probes = tenant["connectors"][0]["probes"].as_array().unwrap().iter();
        let all: Vec<_> = probes.chain([&tenant["brevo"]]).cloned().collect();
        let one = all.iter().find(|one| one["name"].as_str().unwrap().contains(name));
        (done.code, one.unwrap_or_else(|| panic!("{all:?}")).clone())
    };
    let (code, data) = probe("data");
    assert_eq!((code, data["result"].as_str()), (0, Some("verified")), "{data}");
    assert_eq!(probe("brevo").1["result"], "verified");

    bench.moengage.set_key(Family::Data, Some("another".into()));
    let (code, data) = probe("data");
    assert_eq!((code, data["result"].as_str(), data["slot"].as_str()), (1, Some("refused"), Some("data")));
    assert_eq!(data["actor"], "tenant");
    assert!(data["remedy"].as_str().unwrap().contains("data"), "{data}");
    bench.moengage.set_key(Family::Data, Some(format!("{CANARY}-data")));
    bench.moengage.set_access(Family::Data, Access::NoPermission);
    assert_eq!(probe("data").1["result"], "refused");
    bench.moengage.set_access(Family::Data, Access::Granted);

    bench.brevo.set_api_keys(vec!["another".into()]);
    let (code, brevo) = probe("brevo");
    assert_eq!((code, brevo["result"].as_str()), (1, Some("refused")));
    assert_eq!(brevo["code"], "brevo-bad-key");

    // Nobody listens there.
    bench.configure(|text| text.replace(&bench.brevo.url(), "http://127.0.0.1:9"));
    let (code, brevo) = probe("brevo");
    assert_eq!((code, brevo["result"].as_str()), (1, Some("cannot-tell")), "{brevo}");
    bench.configure(|text| text.replace(&bench.moengage.url(), "http://127.0.0.1:9"));
    assert_eq!(probe("data").1["result"], "cannot-tell");

    let text = bench.with_config(&["check", "--limits"]);
    assert!(text.out.contains("data (secret `data`): CANNOT TELL"), "{}", text.out);
    assert!(text.out.contains("linear memory"), "{}", text.out);
    assert!(!format!("{}{}", text.out, text.err).contains(CANARY));
}

#[test]
fn wrong_settings_are_found_in_the_file() {
    let bench = Bench::new();
    bench.configure(|text| {
        text.replace("data_center: \"01\"", "data_center: \"09\"").replace("live", "staging")
    });
    for command in ["check", "discover"] {
        let done = bench.with_config(&[command]);
        assert_eq!(done.code, 1, "{command}: {} {}", done.out, done.err);
        assert!(done.out.contains("line 14, data_center: "), "{command}: {}", done.out);
        assert!(done.out.contains("line 15, environment: "), "{command}: {}", done.out);
    }
    let bench = Bench::new();
    bench.configure(|text| text.replace(", secret: \"${T_WEBHOOK}\"", ""));
    let done = bench.with_config(&["serve"]);
    assert_eq!(done.code, 2, "{}", done.out);
    assert!(done.err.contains("settings-refused") && done.err.contains("webhook"), "{}", done.err);
}

#[test]
fn a_file_that_cannot_be_used_ends_every_command_with_2() {
    let bench = Bench::new();
    bench.configure(|text| text.replace("account: shop", "acount: shop").replace("${T_DATA}", "${T_GONE}"));
    for command in ["serve", "check", "discover"] {
        let done = bench.with_config(&[command]);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{command}");
        for part in ["did you mean `account`?", "the variable T_GONE is not set", "3 problems in"] {
            assert!(done.err.contains(part), "{command}: {part}: {}", done.err);
        }
    }
    assert_eq!(bench.with_config(&["status"]).code, 2);
    assert_eq!(bench.run(&["status"]).code, 2);
    assert_eq!(bench.run(&["no-such-command"]).code, 2);
    // A look at the store needs no secret, but a store.
    bench.configure(|text| text.replace("${T_DATA}", "${T_GONE}"));
    let done = bench.with_config(&["dead-letters", "list"]);
    assert!(done.code == 2 && done.err.contains("no-store"), "{}", done.err);
}

#[test]
fn discover_prints_the_profile() {
    let bench = Bench::new();
    let done = bench.with_config(&["discover", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let profile = &done.json()[0]["profile"];
    assert_eq!(profile["connector"], "moengage");
    assert!(profile["surfaces"].as_array().unwrap().iter().any(|one| one["name"] == "streams"));
    let text = bench.with_config(&["discover"]).out;
    for part in ["shop / moengage", "streams", "FIRSTNAME (text)", "webhook (needed)", "more (--json"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn call_runs_each_export_and_shows_its_cost() {
    let bench = Bench::new();
    let config = bench.config();
    let config = ["--config", config.to_str().unwrap()];

    let done = bench.call("configure", "{}", &config);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.json()["result"]["connector"], "moengage");
    assert!(done.json()["cost"]["fuel"].as_u64().unwrap() > 0);

    let body = batch(&[event("6f6ab9cf-0000-4000-8000-000000000001", "ann@example.com", now_s())]);
    let input = json!({ "surface": "streams", "body": body }).to_string();
    let done = bench.call("handle-webhook", &input, &config);
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    let outcome = done.json()["result"].clone();
    let records = outcome["records"].as_array().unwrap();
    assert!(!records.is_empty(), "{outcome}");
    assert!(done.json()["cost"]["memory"].as_u64().unwrap() > 0);

    // What it prints can be fed to map-record.
    let done = bench.call("map-record", &json!({ "record": records[0]["record"] }).to_string(), &config);
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    assert!(done.json()["result"]["mapping"]["Actions"].is_array(), "{}", done.out);

    let profile = bench.call("configure", "{}", &config).json()["result"].clone();
    let resources = profile["resources"].as_array().unwrap();
    let check = resources.iter().find(|one| one["slot"] == "data").unwrap()["name"].clone();
    let done = bench.call("fetch-page", &json!({ "resource": check }).to_string(), &config);
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    assert_eq!(done.json()["cost"]["http_calls"], 1);
    assert!(!done.out.contains(CANARY));
}

#[test]
fn call_answers_bad_input_with_a_typed_error() {
    let bench = Bench::new();
    let config = bench.config();
    let config = ["--config", config.to_str().unwrap()];
    // Input that is not of the export ends with 2 ...
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    for (export, input) in [
        ("handle-webhook", "{"),
        ("handle-webhook", ""),
        ("handle-webhook", "[]"),
        ("handle-webhook", r#"{"surface": 1, "body": ""}"#),
        ("handle-webhook", r#"{"surface": "streams", "body": "", "bodi": ""}"#),
        ("map-record", r#"{"record": {"id": 1}}"#),
        ("fetch-page", r#"{"resource": "x", "position": "end"}"#),
        ("configure", &deep),
        ("configure", r#"{"a": 1, "a": 2}"#),
    ] {
        let done = bench.call(export, input, &config);
        assert_eq!(done.code, 2, "{export} {input}: {} {}", done.out, done.err);
        assert!(done.err.starts_with("bad-input: "), "{export} {input}: {}", done.err);
    }
    // ... and what the connector refuses with 1, and with who must act.
    let settings = json!({ "workspace_id": 1 });
    for (export, input) in [
        ("configure", settings.to_string()),
        ("handle-webhook", json!({ "settings": settings, "surface": "streams", "body": "" }).to_string()),
    ] {
        let done = bench.call(export, &input, &[]);
        assert_eq!(done.code, 1, "{export}: {} {}", done.out, done.err);
        assert!(done.json()["error"]["actor"].is_string(), "{}", done.out);
    }
    for (export, input) in [
        ("handle-webhook", json!({ "surface": "no-such", "body": "" })),
        ("handle-webhook", json!({ "surface": "streams", "body": "not json" })),
        ("fetch-page", json!({ "resource": "no-such" })),
    ] {
        let done = bench.call(export, &input.to_string(), &config);
        assert_eq!(done.code, 1, "{export} {input}: {} {}", done.out, done.err);
        let error = &done.json()["error"];
        assert!(error["actor"].is_string() && error["code"].is_string(), "{error}");
    }
    // Without a configuration nothing is called.
    let settings = json!({
        "workspace_id": "SHOP", "data_center": "01", "environment": "live", "keys": { "data": "data" },
        "webhook": { "auth": "basic", "user": "tajo", "secret": "webhook" },
    });
    let done = bench.call("configure", &settings.to_string(), &[]);
    assert_eq!(done.code, 0, "{}", done.out);
    let check = done.json()["result"]["resources"][0]["name"].clone();
    let done = bench.call("fetch-page", &json!({ "settings": settings, "resource": check }).to_string(), &[]);
    assert_eq!(done.code, 1, "{}", done.out);
    assert_eq!(bench.moengage.journal().received(), 0);
}

#[test]
fn a_webhook_goes_through_and_what_failed_is_shown_and_requeued() {
    let bench = Bench::new();
    let serving = bench.serve();
    let secret = format!("{CANARY}-webhook");
    let good = event("6f6ab9cf-0000-4000-8000-000000000001", "ann@example.com", now_s());
    // A malformed event that tries to drive the operator's terminal.
    let bad = json!({ "event_code": "\u{1b}[2J\u{202e}", "event_name": "x" });
    assert_eq!(serving.post(&batch(&[good.clone(), bad]), "wrong"), 401);
    assert_eq!(serving.post(&batch(&[good, json!({ "event_code": "\u{1b}[2J\u{202e}" })]), &secret), 200);
    let status = bench.wait_for(|one| {
        one["sums"]["queued"] == 0 && one["sums"]["states"]["waiting"] == 0 && one["sums"]["read"] != 0
    });
    let one = &status["installations"][0];
    assert_eq!(one["adds_up"], true, "{one}");
    assert_eq!(one["sums"]["fates"]["quarantined"], 1, "{one}");
    assert!(bench.brevo.contact_by_email("ann@example.com").is_some());

    // Somebody has to act, so the exit code is 1, also beside the running host.
    let done = bench.with_config(&["status"]);
    assert_eq!(done.code, 1, "{}", done.out);
    assert!(done.out.contains("both add up") && done.out.contains("open dead letters"), "{}", done.out);

    let listed = bench.with_config(&["dead-letters", "list", "--json"]).json();
    let letters = listed["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 1, "{listed}");
    let id = letters[0]["id"].to_string();
    let shown = bench.with_config(&["dead-letters", "show", &id, "--payload"]);
    assert!(shown.out.contains("\\u001b[2J") || shown.out.contains("\\u{1b}[2J"), "{}", shown.out);
    assert!(!shown.out.contains(['\u{1b}', '\u{202e}']), "{:?}", shown.out);
    let hidden = bench.with_config(&["dead-letters", "show", &id]);
    assert!(!hidden.out.contains("ann@example.com"), "{}", hidden.out);

    let events = bench.brevo.events().len();
    let done = bench.with_config(&["dead-letters", "requeue", &id]);
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    // The webhook is worked on again: the malformed part fails again, the rest is known.
    let again = bench.wait_for(|one| {
        one["sums"]["queued"] == 0
            && one["sums"]["dead_letters"] != json!({})
            && one["sums"]["read"].as_i64() > status["installations"][0]["sums"]["read"].as_i64()
    });
    assert_eq!(again["installations"][0]["adds_up"], true);
    assert_eq!(bench.brevo.events().len(), events, "nothing is doubled");
    let done = bench.with_config(&["dead-letters", "requeue", &id]);
    assert!(done.code == 1 && done.out.contains("already-closed"), "{}", done.out);
    let done = bench.with_config(&["dead-letters", "end", &id, "--arrived"]);
    assert!(done.code == 1 && done.out.contains("already-closed"), "{}", done.out);
    let done = bench.with_config(&["dead-letters", "show", "999999"]);
    assert_eq!(done.code, 1, "{}", done.err);

    // One host at a time.
    let second = bench.with_config(&["serve"]);
    assert!(second.code == 2 && second.err.contains("store-in-use"), "{}", second.err);

    let token = serving.path.split('/').nth(2).unwrap().to_owned();
    assert_eq!(token.len(), 32);
    assert_eq!(serving.stop(), Some(0));
    let log = bench.log();
    for hidden in [CANARY, &token, "ann@example.com", "Ann", "uid-"] {
        assert!(!log.contains(hidden), "the log holds {hidden}: {log}");
    }
    assert!(log.contains("webhook refused") && log.contains("stopped"), "{log}");
    let store = std::fs::read(bench.directory.path().join("data/host.db")).unwrap();
    assert!(!store.windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()), "a secret is in the store");
}

#[test]
fn a_requeue_of_all_takes_what_is_selected() {
    let bench = Bench::new();
    let serving = bench.serve();
    let secret = format!("{CANARY}-webhook");
    assert_eq!(serving.post(&batch(&[json!({ "a": 1 }), json!(7)]), &secret), 200);
    bench.wait_for(|one| one["sums"]["fates"]["quarantined"] == 2);
    let done = bench.with_config(&["dead-letters", "requeue", "--all", "--code", "no-such", "--json"]);
    assert_eq!((done.code, done.json()), (0, json!([])));
    let done = bench.with_config(&["dead-letters", "requeue", "--all", "--tenant", "shop", "--json"]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert_eq!(done.json().as_array().unwrap().len(), 2);
    bench.wait_for(|one| one["sums"]["fates"]["quarantined"] == 4 && one["adds_up"] == true);
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn a_brevo_key_that_is_refused_pauses_the_account_and_status_says_who_must_act() {
    let bench = Bench::new();
    bench.brevo.set_api_keys(vec!["another".into()]);
    let serving = bench.serve();
    let good = event("6f6ab9cf-0000-4000-8000-000000000002", "bob@example.com", now_s());
    assert_eq!(serving.post(&batch(&[good]), &format!("{CANARY}-webhook")), 200);
    bench.wait_for(|one| one["sums"]["dead_letters"]["brevo-bad-key"] == 1);
    let done = bench.with_config(&["status", "--json"]);
    let pause = &done.json()["destinations"][0]["pause"];
    assert_eq!((done.code, pause["code"].as_str()), (1, Some("brevo-bad-key")), "{pause}");
    assert_eq!(pause["actor"], "tenant");
    assert!(pause["remedy"].as_str().unwrap().contains("key"), "{pause}");
    let text = bench.with_config(&["status"]).out;
    assert!(text.contains("PAUSED") && text.contains("tenant -> "), "{text}");
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn a_corrected_mapping_is_planned_and_then_mapped_again_through_a_kill() {
    let bench = Bench::new();
    let first_name_into = |attribute: &str| {
        let mapping = format!("        field_mapping: {{ u_fn: {attribute} }}\n        sync:");
        bench.configure(|text| {
            let text = text.replace("      base_url:", "      create_attributes: true\n      base_url:");
            text.replace("        sync:", &mapping)
        });
    };
    first_name_into("NICK");
    let host = bench.serve();
    let one = event("e1", "ann@example.com", now_s());
    assert_eq!(host.post(&batch(&[one]), &format!("{CANARY}-webhook")), 200);
    let delivered =
        |status: &Value| status["sums"]["states"]["waiting"] == 0 && status["sums"]["actions"] != 0;
    bench.wait_for(|one| delivered(one) && one["sums"]["states"]["in-flight"] == 0);
    host.stop();
    first_name_into("ALIAS");

    let calls = bench.brevo.journal().received();
    let done = bench.with_config(&["plan", "--remap", "--json"]);
    let plan = done.json();
    assert_eq!(done.code, 0, "{plan:#}");
    assert_eq!(plan["writes"]["PUT /contacts/{id}"], 1, "{plan:#}");
    let since = bench.brevo.journal();
    assert!(since.entries().filter(|entry| entry.seq > calls).all(|entry| entry.method == "GET"));

    let killed = bench.with_config_until(&["remap", "--json"], "unit-before-commit");
    assert_eq!((killed.code, killed.out.as_str()), (-1, ""), "{}", killed.err);
    for changed in [1, 0] {
        let done = bench.with_config(&["remap", "--json"]);
        let report = done.json();
        assert_eq!(done.code, 0, "{report}");
        assert_eq!(
            (&report["result"], &report["changed"]),
            (&json!("complete"), &json!(changed)),
            "{report}"
        );
        assert!(report["states"].as_i64() >= Some(1), "{report}");
    }
    let text = bench.with_config(&["plan"]);
    assert_eq!(text.code, 0, "{}", text.err);
    for part in
        ["What waits in the outbox already", "brevo/upsert-contact", "update", "Nothing of it was done"]
    {
        assert!(text.out.contains(part), "{part}: {}", text.out);
    }
    assert!(!format!("{}{}", text.out, text.err).contains("ann@example.com"), "{}", text.out);
    let refused = bench.with_config(&["plan", "--resource", "no-such-thing"]);
    assert!(refused.code == 2 && refused.err.contains("unknown-resource"), "{}", refused.err);

    let host = bench.serve();
    bench.wait_for(|one| delivered(one) && one["sums"]["states"]["in-flight"] == 0);
    host.stop();
    let contact = bench.brevo.contact_by_email("ann@example.com").unwrap();
    assert_eq!(contact.attributes.get("ALIAS"), Some(&json!("Ann")), "{contact:?}");
    assert_eq!(contact.attributes.get("NICK"), Some(&json!("Ann")), "{contact:?}");
    assert_eq!(bench.brevo.events().len(), 1);
}
