//! Pebble, written from the contract alone for a vendor that doesn't exist, passes through the
//! same host: installed by the operator, pulled from, pushed to, delivered to Brevo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "command_line/bench.rs"]
mod bench;
mod guests;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use bench::{Bench, CANARY};
use serde_json::json;

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Lists three members on two pages to whoever has the token; the first answer is an outage.
fn pebble() -> SocketAddr {
    let changed = now_ms() - 86_400_000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(|line| line.unwrap());
            let request = lines.next().unwrap_or_default();
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let token = format!("authorization: bearer {CANARY}-data");
            let allowed = headers.iter().any(|line| line.to_lowercase() == token);
            let (status, body) = match (n, allowed) {
                (0, _) => ("503 Unavailable", json!({})),
                (_, false) => ("401 Unauthorized", json!({})),
                _ if request.contains("after=0&") => (
                    "200 OK",
                    json!({ "more": true, "members": [
                        { "id": 1, "mail": "ann@example.com", "newsletter": true, "changed_at": changed },
                        { "id": 2, "mail": "bob@example.com", "newsletter": false, "changed_at": changed },
                    ]}),
                ),
                _ => (
                    "200 OK",
                    json!({ "more": false, "members": [
                        { "id": 3, "mail": "eve@example.com", "changed_at": changed },
                    ]}),
                ),
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn a_connector_that_the_operator_adds_is_served_like_the_built_in_one() {
    let bench = Bench::new();
    let folder = bench.directory.path();
    std::fs::write(folder.join("pebble.wasm"), guests::component("pebble")).unwrap();
    let manifest = include_str!("../../tests/plugins/pebble/manifest.json");
    std::fs::write(folder.join("pebble.json"), manifest).unwrap();
    let vendor = pebble();
    bench.configure(|text| {
        let start = text.find("      moengage:").unwrap();
        let files = "  components:\n    pebble: { component: pebble.wasm, manifest: pebble.json }\n";
        format!(
            r#"{}      pebble:
        shop: "corner"
        keys: {{ api: "${{T_DATA}}" }}
        webhook: {{ header: "x-pebble-token", secret: "${{T_WEBHOOK}}" }}
        endpoints: {{ api: "http://{vendor}" }}
"#,
            text[..start].replace("tenants:\n", &format!("{files}tenants:\n"))
        )
    });
    let discovered = bench.with_config(&["discover", "--json"]);
    assert_eq!(discovered.json()[0]["profile"]["connector"], "pebble", "{}", discovered.err);

    let serving = bench.serve();
    // Pulled: two pages after an outage; whose consent is unknown is held and not created.
    let status =
        bench.wait_for(|one| one["sums"]["fates"]["mapped"] == 3 && one["sums"]["states"]["waiting"] == 0);
    let one = &status["installations"][0];
    assert_eq!(one["resources"][0]["result"], "complete", "{one}");
    let contacts = bench.brevo.contacts();
    let known: Vec<_> = contacts
        .iter()
        .map(|contact| (contact.email.as_deref().unwrap(), contact.email_blacklisted))
        .collect();
    assert_eq!(known, [("ann@example.com", false), ("bob@example.com", true)]);
    assert_eq!(one["sums"]["states"]["held"], 1, "{one}");

    // Pushed, twice: once at Brevo.
    let purchase = json!({ "id": "p-1", "member": 1, "at": now_ms(), "total": 12.5 }).to_string();
    assert_eq!(serving.post_with("X-Pebble-Token: wrong", &purchase), 401);
    for _ in 0..2 {
        assert_eq!(serving.post_with(&format!("X-Pebble-Token: {CANARY}-webhook"), &purchase), 204);
    }
    let status = bench.wait_for(|one| {
        one["sums"]["fates"]["duplicate"] == 1
            && one["sums"]["states"]["waiting"] == 0
            && one["sums"]["states"]["in-flight"] == 0
            && one["sums"]["queued"] == 0
    });
    assert_eq!(status["installations"][0]["adds_up"], true);
    let events = bench.brevo.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(serving.stop(), Some(0));
    assert!(bench.brevo.violations().is_empty(), "{:?}", bench.brevo.violations());
    assert!(!bench.log().contains(CANARY));
}
