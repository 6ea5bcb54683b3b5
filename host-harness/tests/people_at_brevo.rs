//! Who is who at Brevo, through the whole host: the rows of `docs/identity.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod world;

use std::path::Path;

use serde_json::{Value, json};
use world::{World, event, moengage};

/// An event of somebody's, with what MoEngage calls them.
fn of(world: &World, uuid: &str, uid: Value, id: &str, email: Option<&str>, attributes: Value) -> Value {
    let mut event = event(world, uuid, 60, attributes);
    event["uid"] = uid;
    event["user_attributes"]["moengage_user_id"] = json!(id);
    event["user_attributes"]["u_em"] = json!(email);
    event["email_id"] = json!(email);
    event
}

fn mailable() -> Value {
    json!({ "moe_unsubscribe": false })
}

#[test]
fn several_profiles_on_one_address_are_one_mailbox_and_nobody_is_merged() {
    let world = moengage();
    let home = Some("home@example.com");
    world.push(&[of(
        &world,
        "e1",
        json!("ann-1"),
        "m-1",
        home,
        json!({ "u_fn": "Ann", "moe_unsubscribe": false }),
    )]);
    world.push(&[of(
        &world,
        "e2",
        json!("bob-2"),
        "m-2",
        home,
        json!({ "u_fn": "Bob", "moe_unsubscribe": false }),
    )]);
    let contact = world.brevo.contact_by_email("home@example.com").unwrap();
    assert_eq!(world.brevo.contacts().len(), 1);
    assert_eq!(
        (contact.ext_id.as_deref(), contact.attributes.get("FIRSTNAME")),
        (Some("ann-1"), Some(&json!("Ann")))
    );
    assert_eq!(world.letters(), ["address-shared"], "the second one is an operator's");
    assert!(!contact.email_blacklisted);
    // What one of them wants holds for the mailbox.
    world.push(&[of(&world, "e3", json!("bob-2"), "m-2", home, json!({ "moe_unsubscribe": true }))]);
    assert!(world.brevo.contact_by_email("home@example.com").unwrap().email_blacklisted);
    world.assert_clean();
}

#[test]
fn an_address_that_changes_moves_the_contact_and_keeps_its_block() {
    let world = moengage();
    world.push(&[of(
        &world,
        "e1",
        json!("ann-1"),
        "m-1",
        Some("ann@example.com"),
        json!({ "moe_unsubscribe": true }),
    )]);
    let before = world.brevo.contact_by_ext_id("ann-1").unwrap();
    world.push(&[of(
        &world,
        "e2",
        json!("ann-1"),
        "m-1",
        Some("ann@new.example.com"),
        json!({ "u_fn": "Ann" }),
    )]);
    let after = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!((before.id, after.email.as_deref()), (after.id, Some("ann@new.example.com")));
    assert!(after.email_blacklisted, "Brevo lifts a block when an address changes");
    assert_eq!(world.brevo.contacts().len(), 1);
    assert_eq!(world.brevo.violations(), []);
}

#[test]
fn an_address_that_goes_missing_or_null_takes_nothing_away() {
    let world = moengage();
    world.push(&[of(&world, "e1", json!("ann-1"), "m-1", Some("ann@example.com"), mailable())]);
    let mut missing = of(&world, "e2", json!("ann-1"), "m-1", None, json!({ "u_fn": "Ann" }));
    missing["user_attributes"].as_object_mut().unwrap().remove("u_em");
    world.push(&[missing, of(&world, "e3", json!("ann-1"), "m-1", None, json!({ "u_fn": "Anna" }))]);
    let contact = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!(contact.email.as_deref(), Some("ann@example.com"));
    assert_eq!(world.brevo.events().len(), 3);
    world.assert_clean();
}

#[test]
fn a_visitor_is_nobody_at_brevo_until_something_names_them() {
    let world = moengage();
    world.push(&[
        of(&world, "e1", Value::Null, "m-1", None, json!({ "u_fn": "Ann" })),
        of(&world, "e2", json!("anon-77"), "m-1", None, mailable()),
    ]);
    assert!(world.brevo.contacts().is_empty() && world.brevo.events().is_empty());
    assert_eq!(world.letters(), Vec::<String>::new());
    // Logged in: from now on they are somebody. What the visitor did before stays unsaid.
    world.push(&[of(&world, "e3", json!("ann-1"), "m-1", Some("ann@example.com"), mailable())]);
    assert!(world.brevo.contact_by_ext_id("ann-1").is_some());
    let events = world.brevo.events_by_property("moengage_event_uuid");
    assert_eq!(events.into_keys().collect::<Vec<_>>(), ["e3"]);
    world.assert_clean();
}

#[test]
fn a_known_mailbox_that_gets_a_customer_id_is_the_same_contact() {
    let world = moengage();
    world.push(&[of(&world, "e1", Value::Null, "m-1", Some("ann@example.com"), mailable())]);
    let before = world.brevo.contact_by_email("ann@example.com").unwrap();
    assert_eq!(before.ext_id, None);
    world.push(&[of(&world, "e2", json!("ann-1"), "m-1", Some("ann@example.com"), json!({ "u_fn": "Ann" }))]);
    let after = world.brevo.contact_by_email("ann@example.com").unwrap();
    assert_eq!((after.id, after.attributes.get("FIRSTNAME")), (before.id, Some(&json!("Ann"))));
    assert_eq!(world.brevo.contacts().len(), 1);
    world.assert_clean();
}

#[test]
fn a_merged_users_opt_out_follows_and_both_contacts_stay() {
    let world = moengage();
    world.push(&[
        of(&world, "e1", json!("ann-1"), "m-1", Some("ann@example.com"), mailable()),
        of(
            &world,
            "e2",
            json!("ann-2"),
            "m-2",
            Some("ann@old.example.com"),
            json!({ "moe_unsubscribe": true }),
        ),
    ]);
    // The merged profile ends: that alone says nothing about anybody.
    let mut ends = of(&world, "e3", json!("ann-2"), "m-2", None, json!({}));
    ends["event_code"] = json!("MOE_USER_MERGE_EVENT");
    ends["event_name"] = json!("User Merge");
    world.push(&[ends]);
    assert!(!world.brevo.contact_by_ext_id("ann-1").unwrap().email_blacklisted);
    // The retained one now has its id.
    let mut merged = of(&world, "e4", json!("ann-1"), "m-2", Some("ann@example.com"), json!({}));
    merged["event_code"] = json!("MOE_USER_MERGED");
    merged["event_name"] = json!("User Merged");
    world.push(&[
        merged,
        of(&world, "e5", json!("ann-1"), "m-2", Some("ann@example.com"), json!({ "u_fn": "Ann" })),
    ]);
    let retained = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!(retained.attributes.get("FIRSTNAME"), Some(&json!("Ann")));
    assert!(world.brevo.contact_by_ext_id("ann-2").is_some(), "nothing is deleted on a merge");
    assert!(retained.email_blacklisted, "an opt-out of either is one of the person's");
    assert_eq!(world.brevo.violations(), []);
}

#[test]
fn a_user_who_returns_under_a_new_moengage_id_is_the_same_contact() {
    let world = moengage();
    world.push(&[of(
        &world,
        "e1",
        json!("ann-1"),
        "m-1",
        Some("ann@example.com"),
        json!({ "plan": "gold", "moe_unsubscribe": false }),
    )]);
    let before = world.brevo.contact_by_ext_id("ann-1").unwrap();
    // After archival MoEngage has forgotten everything but the customer's own id.
    world.push(&[of(&world, "e2", json!("ann-1"), "m-9", None, json!({ "u_fn": "Ann" }))]);
    let after = world.brevo.contact_by_ext_id("ann-1").unwrap();
    assert_eq!((before.id, after.email), (after.id, before.email));
    assert_eq!(after.attributes.get("PLAN"), Some(&json!("gold")), "what is missing clears nothing");
    assert_eq!(after.attributes.get("FIRSTNAME"), Some(&json!("Ann")));
    assert_eq!((world.brevo.contacts().len(), world.brevo.events().len()), (1, 2));
    world.assert_clean();
}

/// The pages name a test for every outcome, and each of them is there.
#[test]
fn the_pages_name_tests_that_exist() {
    names_tests_that_exist("docs/identity.md", "outcomes", 15);
    names_tests_that_exist("docs/consent.md", "mailboxes", 10);
}

fn names_tests_that_exist(page: &str, table: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join(page)).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- table: {table} -->")).unwrap();
    let (table, _) = rest.split_once("<!-- end of the table -->").unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() >= least, "{}", rows.len());
    for row in rows {
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<_> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let (file, test) = name.split_once(' ').unwrap_or_else(|| panic!("{name} names no file"));
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("{file}"));
            assert!(text.contains(&format!("fn {test}(")), "{name}");
        }
    }
}
