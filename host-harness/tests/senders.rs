//! Webhooks only from listed addresses, as an operator configures it: what is refused before the
//! host starts, what `harness check` says, and what comes in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sources;

use std::process::Command;

use serde_json::{Value, json};
use sources::*;

/// A world whose tenant asks for listed senders, behind these proxies.
fn world(senders: Value, proxies: Value, data_center: &str) -> World {
    let mut world = World::new();
    let mut config: Value = serde_json::from_str(&world.text).unwrap();
    let connector = &mut config["tenants"][0]["connectors"]["moengage"];
    connector["only_listed_senders"] = senders;
    connector["data_center"] = json!(data_center);
    config["host"]["intake_trusted_proxies"] = proxies;
    world.text = config.to_string();
    world
}

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

#[test]
fn what_could_not_hold_is_refused_before_the_host_starts() {
    let world_of = |senders, proxies, center| harness(&world(senders, proxies, center), &["check"]);
    // Behind an undeclared proxy every webhook would come from the proxy.
    let (code, _, err) = world_of(json!(["streams"]), json!([]), "01");
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("proxies-undeclared at tenants[0].connectors.moengage.only_listed_senders"),
        "{err}"
    );
    assert!(err.contains("host.intake_trusted_proxies"), "{err}");
    // MoEngage names no address for this data center, and nobody would get in.
    let (code, out, _) = world_of(json!(["streams"]), json!(["127.0.0.1"]), "101");
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("only_listed_senders[0]: senders-not-listed") && out.contains("operator ->"),
        "{out}"
    );
    let (code, out, _) = world_of(json!(["streems"]), json!(["127.0.0.1"]), "01");
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("unknown-surface") && out.contains("Write one of: streams"), "{out}");
    for (proxies, what) in [
        (json!(["0.0.0.0/0"]), "every address there is"),
        (json!(["10.0.0.1/8"]), "bits after its prefix"),
        (json!(["proxy.local"]), "no address and no network"),
        (json!("10.0.0.0/8"), "expected a list of networks"),
    ] {
        let (code, _, err) = world_of(json!([]), proxies, "01");
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("host.intake_trusted_proxies") && err.contains(what), "{err}");
    }
}

#[test]
fn check_says_whose_addresses_may_send() {
    let held = world(json!(["streams"]), json!(["127.0.0.1", "10.0.0.0/8"]), "02");
    let (_, out, _) = harness(&held, &["check"]);
    let line = "webhooks for streams: only from 18.195.110.23, as 127.0.0.1/32, 10.0.0.0/8 report";
    assert!(out.contains(line), "{out}");
    let open = World::new();
    let (_, out, _) = harness(&open, &["check"]);
    assert!(out.contains("webhooks for streams: from any address that has the secret"), "{out}");
    let (_, out, _) = harness(&open, &["check", "--json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    let streams = &found["tenants"][0]["connectors"][0]["senders"][0];
    assert_eq!((&streams["held"], &streams["listed"]), (&json!(false), &json!(["52.6.248.125"])));
}

#[test]
fn a_host_takes_webhooks_only_as_its_proxies_report_them() {
    let world = world(json!(["streams"]), json!(["127.0.0.1"]), "03");
    let host = world.serve();
    let address = host.addresses().iter().find(|one| one.surface == "streams").unwrap();
    let url = format!("http://{}{}", host.listening().unwrap(), address.path);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |forwarded: Option<&str>| {
        // tajo:hook-secret
        let mut request = agent.post(&url).header("authorization", "Basic dGFqbzpob29rLXNlY3JldA==");
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        request.send("{}").unwrap().status().as_u16()
    };
    assert_eq!(post(Some("3.6.251.95")), 200);
    assert_eq!(post(Some("::ffff:3.6.251.95")), 200);
    assert_eq!(post(Some("3.6.251.95, 203.0.113.9")), 403, "somebody else wrote what is on the left");
    assert_eq!(post(Some("52.6.248.125")), 403, "an address of another data center");
    assert_eq!(post(None), 403);
    host.stop();
}
