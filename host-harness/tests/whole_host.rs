//! The whole host in this process, between real sockets: webhooks in, Brevo's stand-in out.
//! What a user would notice, and that a second connector passes through the same host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod guests;
mod world;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use world::{PATIENCE, World, event, moengage};

#[test]
fn a_webhook_becomes_a_contact_and_an_event_with_its_date() {
    let world = moengage();
    let sent = event(&world, "e1", 600, json!({ "u_fn": "Ann", "plan": "gold", "moe_unsubscribe": false }));
    world.push(std::slice::from_ref(&sent));
    let contact = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!(contact.email.as_deref(), Some("ann@example.com"));
    assert_eq!(contact.attributes.get("FIRSTNAME"), Some(&json!("Ann")));
    assert_eq!(contact.attributes.get("PLAN"), Some(&json!("gold")));
    assert!(!contact.email_blacklisted);
    let events = world.brevo.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].name, "moengage_email_open");
    assert_eq!(events[0].date, sent["event_time"].as_i64().unwrap() * 1_000);
    assert_eq!(events[0].contact_id, Some(contact.id));
    world.assert_clean();
}

#[test]
fn a_person_whose_consent_is_unknown_is_not_created_until_it_is_known() {
    let world = moengage();
    world.push(&[event(&world, "e1", 60, json!({ "u_fn": "Ann" }))]);
    assert!(world.brevo.contacts().is_empty(), "{:?}", world.brevo.contacts());
    assert!(world.brevo.events().is_empty());
    world.push(&[event(&world, "e2", 30, json!({ "u_fn": "Ann", "moe_unsubscribe": false }))]);
    let contact = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert!(!contact.email_blacklisted);
    assert_eq!(world.brevo.events().len(), 2, "what was held arrives");
    world.assert_clean();
}

#[test]
fn a_known_opt_out_travels_in_the_call_that_creates_the_contact() {
    let world = moengage();
    world.push(&[event(&world, "e1", 60, json!({ "moe_unsubscribe": true }))]);
    let journal = world.brevo.journal();
    let created: Vec<_> = journal.of("POST", "/v3/contacts").collect();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].body["emailBlacklisted"], json!(true));
    assert!(world.brevo.contact_by_ext_id("ann-1").unwrap().email_blacklisted);
    world.assert_clean();
}

#[test]
fn d17_an_opt_out_made_at_brevo_is_never_undone() {
    let world = moengage();
    world.push(&[event(&world, "e1", 600, json!({ "plan": "a", "moe_unsubscribe": false }))]);
    assert!(world.brevo.unsubscribe_at_brevo("ann@example.com", world.brevo.now()));
    // A newer profile that is not unsubscribed, an explicit opt-in that is older, a new address.
    let mut opt_in = event(&world, "e3", 300, json!({ "moe_unsubscribe": false }));
    opt_in["event_name"] = json!("Email Resubscribed");
    opt_in["event_code"] = json!("MOE_EMAIL_RESUBSCRIBED");
    let mut moved = event(&world, "e4", 0, json!({ "plan": "c", "moe_unsubscribe": false }));
    moved["user_attributes"]["u_em"] = json!("ann@new.example.com");
    moved["email_id"] = json!("ann@new.example.com");
    world.push(&[event(&world, "e2", 0, json!({ "plan": "b", "moe_unsubscribe": false })), opt_in]);
    world.push(&[moved]);
    let contact = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!(contact.email.as_deref(), Some("ann@new.example.com"));
    assert!(contact.email_blacklisted);
    assert_eq!(world.brevo.violations(), []);
    // Brevo itself lifts a block when an address changes; it is set again at once, and nothing
    // that this host sent says `false`.
    for call in ["POST", "PUT"] {
        for path in ["/v3/contacts", "/v3/contacts/{identifier}"] {
            for entry in world.brevo.journal().of(call, path) {
                let body = &entry.body;
                assert_ne!(body["emailBlacklisted"], json!(false), "{body}");
            }
        }
    }
}

#[test]
fn d12_texts_are_kept_to_the_byte_and_shown_without_their_tricks() {
    let world = moengage();
    // Emoji of several characters, letter and accent apart and together, an override, a joiner.
    let names = [
        "\u{1f469}\u{200d}\u{1f467}",
        "Zoe\u{308} Zo\u{eb}",
        "abc\u{202e}gpj.exe",
        "a\u{200b}b",
        "\u{645}\u{631}\u{64a}\u{645}",
    ];
    for (n, name) in names.into_iter().enumerate() {
        let mut one = event(&world, &format!("e{n}"), 60, json!({ "u_fn": name, "moe_unsubscribe": false }));
        let address = format!("p{n}@example.com");
        one["uid"] = json!(format!("uid-{n}"));
        one["email_id"] = json!(address);
        one["user_attributes"]["u_em"] = json!(address);
        one["user_attributes"]["moengage_user_id"] = json!(format!("m-{n}"));
        world.push(&[one]);
        let contact = world.brevo.contact_by_ext_id(&format!("uid-{n}")).unwrap();
        assert_eq!(contact.attributes.get("FIRSTNAME"), Some(&json!(name)), "{name:?}");
    }
    world.assert_clean();
}

#[test]
fn a_b_a_arrives_at_brevo_as_three_changes_and_old_events_do_not() {
    let world = moengage();
    for (n, plan) in ["paused", "active", "paused"].into_iter().enumerate() {
        let age = 600 - 60 * n as i64;
        world.push(&[event(
            &world,
            &format!("e{n}"),
            age,
            json!({ "plan": plan, "moe_unsubscribe": false }),
        )]);
    }
    let mut plans = Vec::new();
    for entry in world.brevo.journal().entries() {
        if let Some(plan) = entry.body["attributes"]["PLAN"].as_str() {
            plans.push(plan.to_owned());
        }
    }
    assert_eq!(plans, ["paused", "active", "paused"]);
    world.push(&[event(&world, "late", 23 * 3_600, json!({})), event(&world, "old", 25 * 3_600, json!({}))]);
    let arrived = world.brevo.events_by_property("moengage_event_uuid");
    assert!(arrived.contains_key("late") && !arrived.contains_key("old"), "{arrived:?}");
    assert_eq!(world.sums().0.states["expired"], 1);
    world.assert_clean();
}

#[test]
fn w01_w03_forged_absent_and_repeated_webhooks() {
    let world = moengage();
    let body = json!({ "source": "MOENGAGE", "events": [event(&world, "e1", 0, json!({ "moe_unsubscribe": false }))] });
    for forged in
        [("authorization", "Basic dGFqbzp3cm9uZw=="), ("authorization", "Bearer x"), ("x-none", "1")]
    {
        assert_eq!(world.post("streams", forged, &body), 401);
    }
    assert_eq!(world.sums().0.read, 0);
    for _ in 0..3 {
        world.push(&[event(&world, "e1", 0, json!({ "moe_unsubscribe": false }))]);
    }
    assert_eq!(world.brevo.events().len(), 1);
    world.assert_clean();
}

#[test]
fn poison_is_shown_and_stops_nobody() {
    let world = moengage();
    world.push(&[json!(42), event(&world, "e1", 0, json!({ "moe_unsubscribe": false })), json!({})]);
    assert_eq!(world.brevo.events().len(), 1);
    assert_eq!(world.letters(), ["event-not-object", "missing-event-uuid"]);
    world.assert_clean();
}

/// A vendor that does not exist: two pages of members behind a bearer token.
fn pebble_vendor() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let (status, body) = if !head.contains("authorization: bearer pebble-token") {
                ("401 Unauthorized", json!({}))
            } else if head.contains("after=0") {
                let member = json!({ "id": 7, "mail": "bea@example.com", "newsletter": true, "changed_at": 1_700_000_000_000_i64 });
                ("200 OK", json!({ "members": [member], "more": true }))
            } else {
                let member = json!({ "id": 9, "mail": "cem@example.com", "newsletter": false, "changed_at": 1_700_000_000_000_i64 });
                ("200 OK", json!({ "members": [member], "more": false }))
            };
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[test]
fn a_second_connector_passes_through_the_same_host() {
    let vendor = pebble_vendor();
    let files = tempfile::tempdir().unwrap();
    let component: PathBuf = files.path().join("pebble.wasm");
    std::fs::write(&component, guests::component("pebble")).unwrap();
    let manifest =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/plugins/pebble/manifest.json");
    let components = format!(
        "  components: {{ pebble: {{ component: \"{}\", manifest: \"{}\" }} }}\n",
        component.display(),
        manifest.display()
    );
    let connectors = format!(
        "\n      pebble:\n        enabled: true\n        shop: corner\n        keys: {{ api: \"${{PEBBLE}}\" }}\n        webhook: {{ header: x-pebble, secret: \"${{HOOK}}\" }}\n        endpoints: {{ api: \"http://127.0.0.1:{vendor}\" }}\n"
    );
    let world = World::start(&components, &connectors);
    let deadline = Instant::now() + PATIENCE;
    while world.brevo.contacts().len() < 2 {
        assert!(Instant::now() < deadline, "{:#?}", world.sums());
        std::thread::sleep(Duration::from_millis(20));
    }
    world.rest();
    let bea = world.brevo.contact_by_email("bea@example.com").unwrap();
    let cem = world.brevo.contact_by_email("cem@example.com").unwrap();
    assert_eq!((bea.email_blacklisted, cem.email_blacklisted), (false, true));
    assert_eq!(bea.attributes.get("PEBBLE_MEMBER"), Some(&json!(true)));
    let purchase = json!({ "id": "p1", "member": 7, "at": world.brevo.now(), "total": 12.5 });
    assert_eq!(world.post("purchases", ("x-pebble", "hook-secret"), &purchase), 204);
    world.rest();
    let events = world.brevo.events();
    assert_eq!(events.len(), 1, "{:#?}", world.sums());
    assert_eq!((events[0].name.as_str(), events[0].contact_id), ("pebble_purchase", Some(bea.id)));
    world.assert_clean();
}
