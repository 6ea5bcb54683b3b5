//! Contacts, attributes and blocks of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::Client;
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Cause, Channel, DuplicateCode, NewList, Options, Plan};

fn brevo() -> (Brevo, Client) {
    let stand_in = Brevo::start(Options { plan: Plan::Unlimited, ..Options::default() }).unwrap();
    let client = Client::brevo(&stand_in);
    (stand_in, client)
}

#[test]
fn keys_are_checked() {
    let (brevo, client) = brevo();
    assert_eq!(client.get("/v3/account").status, 200);
    let none = Client::new(&brevo.url(), &[]).get("/v3/account");
    assert_eq!(
        (none.status, none.json()["message"].as_str()),
        (401, Some("authentication not found in headers"))
    );
    let wrong = Client::new(&brevo.url(), &[("api-key", "other")]).get("/v3/account");
    assert_eq!((wrong.status, wrong.json()["message"].as_str()), (401, Some("Key not found")));
    brevo.set_api_keys(vec!["other".to_owned()]);
    assert_eq!(client.get("/v3/account").status, 401);
}

#[test]
fn a_contact_is_created_updated_read_and_deleted() {
    let (brevo, client) = brevo();
    let created = client.post(
        "/v3/contacts",
        json!({"email": "Ann@Example.com", "ext_id": "17", "attributes": {"FIRSTNAME": "Ann", "SMS": "+49 151".replace(' ', "") + "12345678"}}),
    );
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_i64().unwrap();
    for path in [
        "/v3/contacts/ann%40example.com".to_owned(),
        format!("/v3/contacts/{id}"),
        "/v3/contacts/17?identifierType=ext_id".to_owned(),
        "/v3/contacts/%2B4915112345678?identifierType=phone_id".to_owned(),
    ] {
        let read = client.get(&path);
        assert_eq!(read.status, 200, "{path}");
        let body = read.json();
        assert_eq!(body["id"], id);
        assert_eq!(body["email"], "Ann@Example.com");
        assert_eq!(body["attributes"], json!({"FIRSTNAME": "Ann", "SMS": "4915112345678", "EXT_ID": "17"}));
        assert_eq!(body["emailBlacklisted"], false);
        assert_eq!(
            body["statistics"]["unsubscriptions"],
            json!({"userUnsubscription": [], "adminUnsubscription": []})
        );
    }
    let updated =
        client.put("/v3/contacts/17?identifierType=ext_id", json!({"attributes": {"FIRSTNAME": ""}}));
    assert_eq!((updated.status, updated.body.as_deref()), (204, Some(&b""[..])));
    assert!(!brevo.contacts()[0].attributes.contains_key("FIRSTNAME"), "the empty string clears");
    assert_eq!(brevo.contacts()[0].writes, 2);
    assert_eq!(client.delete(&format!("/v3/contacts/{id}")).status, 204);
    assert_eq!(client.delete(&format!("/v3/contacts/{id}")).status, 404);
    let gone = client.put(&format!("/v3/contacts/{id}"), json!({"attributes": {}}));
    assert_eq!((gone.status, gone.code().as_str()), (404, "document_not_found"));
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn a_deletion_takes_blocks_and_memberships_along() {
    let (brevo, client) = brevo();
    let list = brevo.add_list(&NewList {
        id: None,
        name: "A".to_owned(),
        folder: "F".to_owned(),
        automation: false,
    });
    let body =
        json!({"email": "a@example.com", "ext_id": "a/1", "emailBlacklisted": true, "listIds": [list.id]});
    assert_eq!(client.post("/v3/contacts", body).status, 201);
    assert_eq!(client.delete("/v3/contacts/a%2F1").status, 400, "an own id needs identifierType");
    assert_eq!(client.delete("/v3/contacts/a%2F1?identifierType=email_id").status, 404);
    assert_eq!(client.delete("/v3/contacts/a%2F1?identifierType=ext_id").status, 204);
    let gone = client.delete("/v3/contacts/a%2F1?identifierType=ext_id");
    assert_eq!((gone.status, gone.code().as_str()), (404, "document_not_found"));
    assert!(brevo.list_members(list.id).is_empty());
    client.post("/v3/contacts", json!({"email": "a@example.com"}));
    assert!(!brevo.contacts()[0].email_blacklisted);
    assert_eq!(brevo.resubscriptions()[0].cause, Cause::Recreated);
    client.post("/v3/contacts", json!({"email": "Owner@example.com"}));
    let owner = client.delete("/v3/contacts/owner%40example.com");
    assert_eq!((owner.status, owner.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(brevo.contacts().len(), 2);
    assert_eq!(brevo.violations().len(), 1);
}

#[test]
fn unknown_and_wrongly_typed_attributes_are_dropped_in_silence() {
    let (brevo, client) = brevo();
    for (name, kind) in [("POINTS", "float"), ("BIRTHDAY", "date"), ("MEMBER", "boolean")] {
        assert_eq!(
            client.post(&format!("/v3/contacts/attributes/normal/{name}"), json!({"type": kind})).status,
            201
        );
    }
    let created = client.post(
        "/v3/contacts",
        json!({"email": "a@example.com", "attributes": {
            "firstname": "lower", "NOBODY": "x", "POINTS": "12", "BIRTHDAY": "01/02/1990", "MEMBER": "yes", "LASTNAME": 5,
        }}),
    );
    assert_eq!(created.status, 201);
    assert!(brevo.contacts()[0].attributes.is_empty());
    assert_eq!(brevo.ignored_attributes().len(), 6);
    let good = json!({"POINTS": 12.5, "BIRTHDAY": "1990-02-01", "MEMBER": true});
    assert_eq!(client.put("/v3/contacts/1", json!({"attributes": good})).status, 204);
    assert_eq!(json!(brevo.contacts()[0].attributes), good);
    assert!(brevo.violations().is_empty());
}

#[test]
fn attributes_are_listed_and_made_once() {
    let (brevo, client) = brevo();
    let path = "/v3/contacts/attributes/normal/LOYALTY_TIER";
    assert_eq!(client.post(path, json!({"type": "text"})).status, 201);
    assert_eq!(client.post(path, json!({"type": "text"})).status, 400);
    let listed = client.get("/v3/contacts/attributes").json();
    let names: Vec<&str> =
        listed["attributes"].as_array().unwrap().iter().filter_map(|a| a["name"].as_str()).collect();
    for name in ["EMAIL", "SMS", "EXT_ID", "FIRSTNAME", "LASTNAME", "LOYALTY_TIER"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(brevo.violations().is_empty());
    assert_eq!(client.post("/v3/contacts/attributes/normal/lower", json!({"type": "text"})).status, 400);
    assert_eq!(client.post("/v3/contacts/attributes/normal/OTHER", json!({"type": "category"})).status, 400);
    assert_eq!(brevo.violations().len(), 2);
}

#[test]
fn unknown_keys_and_undocumented_forms_are_violations() {
    let (brevo, client) = brevo();
    let refused: Vec<(&str, &str, Value)> = vec![
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "Email": "b"})),
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "emailBlacklisted": null})),
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "attributes": {"FIRSTNAME": null}})),
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "attributes": {"FIRSTNAME": {"a": 1}}})),
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "attributes": {"EMAIL": "b@example.com"}})),
        ("POST", "/v3/contacts", json!({"attributes": {"FIRSTNAME": "nobody"}})),
        ("POST", "/v3/contacts", json!({"attributes": {"SMS": ""}})),
        ("POST", "/v3/contacts", json!({"email": "a@example.com", "smtpBlacklistSender": ["x@example.com"]})),
        ("POST", "/v3/contacts?identifierType=ext_id", json!({"ext_id": "1"})),
        ("POST", "/v3/contacts", json!(["a@example.com"])),
        ("PUT", "/v3/contacts/1", json!([])),
        ("PUT", "/v3/contacts/1", json!({"email": "a@example.com"})),
        ("PUT", "/v3/contacts/1?identifierType=extid", json!({})),
        ("PUT", "/v3/contacts/user-1", json!({})),
        ("PUT", "/v3/contacts/+491511234567?identifierType=phone_id", json!({})),
        ("GET", "/v3/contacts/1?fields=all", Value::Null),
        ("POST", "/v3/events", json!({"event_name": "x", "identifiers": {"contact_id": 1}, "uuid": "1"})),
    ];
    for (n, (method, path, body)) in refused.into_iter().enumerate() {
        let answer = client.send(method, path, body.clone());
        assert_eq!(answer.status, 400, "{method} {path} {body}");
        assert_eq!(brevo.violations().len(), n + 1, "{method} {path} {body}");
    }
    let plain = Client::new(&brevo.url(), &[("api-key", brevo.api_key()), ("content-type", "text/plain")]);
    assert_eq!(plain.post("/v3/contacts", json!({"email": "a@example.com"})).status, 400);
    assert_eq!(client.get("/v3/contacts/segments").status, 400, "not an address, not a number");
    assert_eq!(client.get("/v3/companies").status, 404);
    assert_eq!(brevo.violations().len(), 20);
    assert!(brevo.contacts().is_empty());
}

#[test]
fn duplicates_are_refused_with_the_identifiers_named() {
    for (option, code) in [
        (DuplicateCode::DuplicateParameter, "duplicate_parameter"),
        (DuplicateCode::InvalidParameter, "invalid_parameter"),
    ] {
        let options = Options { plan: Plan::Unlimited, duplicate_code: option, ..Options::default() };
        let brevo = Brevo::start(options).unwrap();
        let client = Client::brevo(&brevo);
        client.post(
            "/v3/contacts",
            json!({"email": "a@example.com", "ext_id": "1", "attributes": {"SMS": "4915112345678"}}),
        );
        client.post("/v3/contacts", json!({"email": "b@example.com"}));
        let create = client
            .post("/v3/contacts", json!({"email": "A@EXAMPLE.com", "attributes": {"SMS": "+4915112345678"}}));
        assert_eq!((create.status, create.code().as_str()), (400, code));
        let body = create.json();
        assert_eq!(
            body["message"],
            "Unable to create contact, email is already associated with another Contact"
        );
        assert_eq!(body["metadata"]["duplicate_identifiers"], json!(["email", "SMS"]));
        let update = client.put("/v3/contacts/b%40example.com", json!({"ext_id": "1"}));
        assert_eq!((update.status, update.code().as_str()), (400, code));
        assert_eq!(
            update.json()["message"],
            "Unable to update contact, ext_id is already associated with another Contact"
        );
        // `updateEnabled` does not help where the identifiers belong to two contacts.
        let both = client
            .post("/v3/contacts", json!({"email": "b@example.com", "ext_id": "1", "updateEnabled": true}));
        assert_eq!(
            (both.status, both.json()["metadata"]["duplicate_identifiers"].clone()),
            (400, json!(["ext_id"]))
        );
        let own = client
            .post("/v3/contacts", json!({"email": "a@example.com", "ext_id": "1", "updateEnabled": true}));
        assert_eq!(own.status, 204);
        assert!(brevo.violations().is_empty());
        assert_eq!(brevo.contacts().len(), 2);
    }
}

#[test]
fn a_bad_phone_fails_the_whole_request() {
    let (brevo, client) = brevo();
    for bad in [json!("12"), json!("not a number"), json!("0151 2345678"), json!(4_915_112_345_678_i64)] {
        let answer =
            client.post("/v3/contacts", json!({"email": "a@example.com", "attributes": {"SMS": bad}}));
        assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some("Invalid phone number")));
    }
    assert!(brevo.contacts().is_empty());
    assert!(brevo.violations().is_empty(), "bad data is no bad request");
    assert_eq!(client.post("/v3/contacts", json!({"attributes": {"SMS": "004915112345678"}})).status, 201);
    assert_eq!(brevo.contacts()[0].email.as_deref(), Some("4915112345678@mailin-sms.com"));
}

#[test]
fn an_address_change_lifts_the_block() {
    let (brevo, client) = brevo();
    client.post("/v3/contacts", json!({"email": "a@example.com", "emailBlacklisted": true}));
    assert_eq!(client.put("/v3/contacts/1", json!({"attributes": {"EMAIL": "A@example.com"}})).status, 204);
    assert!(brevo.contacts()[0].email_blacklisted, "another case is the same address");
    let moved = json!({"attributes": {"EMAIL": "b@example.com"}, "emailBlacklisted": true});
    assert_eq!(client.put("/v3/contacts/1", moved).status, 204);
    assert!(!brevo.contacts()[0].email_blacklisted, "also where a block travels along");
    let lost = brevo.resubscriptions();
    assert_eq!(lost.len(), 1);
    assert_eq!(
        (lost[0].cause, lost[0].channel, lost[0].contact_id),
        (Cause::AddressChange, Channel::Email, 1)
    );
    let journal = brevo.journal();
    let request = journal.entries().find(|entry| entry.seq == lost[0].seq).unwrap();
    assert_eq!(request.body["attributes"]["EMAIL"], "b@example.com");
    client.put("/v3/contacts/1", json!({"emailBlacklisted": true}));
    assert!(brevo.contact_by_email("b@example.com").unwrap().email_blacklisted);
    assert!(brevo.contact_by_email("a@example.com").is_none());
}

#[test]
fn deleting_forgets_the_block() {
    let (brevo, client) = brevo();
    client.post("/v3/contacts", json!({"email": "a@example.com", "ext_id": "1", "emailBlacklisted": true}));
    client.post("/v3/contacts", json!({"email": "b@example.com", "emailBlacklisted": true}));
    client.delete("/v3/contacts/1");
    client.delete("/v3/contacts/2");
    client.post("/v3/contacts", json!({"email": "c@example.com", "ext_id": "1"}));
    assert!(!brevo.contacts()[0].email_blacklisted);
    client.post("/v3/contacts", json!({"email": "b@example.com", "emailBlacklisted": true}));
    let causes: Vec<Cause> = brevo.resubscriptions().iter().map(|lost| lost.cause).collect();
    assert_eq!(causes, [Cause::Recreated], "created with its block, nobody is subscribed again");
}

#[test]
fn explicit_false_and_merges_are_reported() {
    let (brevo, client) = brevo();
    client.post(
        "/v3/contacts",
        json!({"email": "a@example.com", "emailBlacklisted": true, "smsBlacklisted": true}),
    );
    client.put("/v3/contacts/1", json!({"emailBlacklisted": false}));
    client.put("/v3/contacts/1", json!({"smsBlacklisted": false}));
    client.put("/v3/contacts/1", json!({"emailBlacklisted": true}));
    client.post("/v3/contacts", json!({"email": "b@example.com", "ext_id": "2"}));
    client.put("/v3/contacts/2", json!({"attributes": {"FIRSTNAME": "B"}}));
    let merged = client.post("/v3/contacts", json!({"email": "a@example.com", "ext_id": "2", "forceMerge": true, "getId": true, "updateEnabled": true}));
    assert_eq!(merged.status, 201, "{:?}", merged);
    let causes: Vec<(Channel, Cause)> =
        brevo.resubscriptions().iter().map(|lost| (lost.channel, lost.cause)).collect();
    assert_eq!(brevo.contacts().len(), 1);
    assert_eq!(causes[..2], [(Channel::Email, Cause::ExplicitFalse), (Channel::Sms, Cause::ExplicitFalse)]);
    assert!(causes[2..].iter().any(|(_, cause)| *cause == Cause::Merged));
}

#[test]
fn an_unsubscribe_at_brevo_shows_with_its_date() {
    let (brevo, client) = brevo();
    client.post("/v3/contacts", json!({"email": "a@example.com"}));
    let (now, day) = (brevo.now(), 86_400_000);
    assert!(brevo.unsubscribe_at_brevo("a@example.com", now - 100 * day));
    assert!(brevo.unsubscribe_at_brevo("A@example.com", now - day));
    assert!(!brevo.unsubscribe_at_brevo("b@example.com", now));
    let read = client.get("/v3/contacts/1").json();
    assert_eq!(read["emailBlacklisted"], true);
    let list = read["statistics"]["unsubscriptions"]["userUnsubscription"].clone();
    assert_eq!(list.as_array().unwrap().len(), 1, "90 days");
    assert_eq!(list[0]["eventTime"], stand_ins::clock::rfc3339(now - day));
    let range = client.get("/v3/contacts/1?startDate=2020-01-01&endDate=2099-12-31").json();
    assert_eq!(range["statistics"]["unsubscriptions"]["userUnsubscription"].as_array().unwrap().len(), 2);
    assert_eq!(client.get("/v3/contacts/1?startDate=2020-01-01").status, 400);
}

/// What a request may do: create (with or without `updateEnabled`), update by number, delete.
#[derive(Clone, Debug)]
enum Op {
    Create { email: Option<u8>, ext_id: Option<u8>, sms: Option<u8>, update: bool },
    Update { id: u8, email: Option<u8>, ext_id: Option<u8>, sms: Option<u8> },
    Delete { id: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let value = || prop::option::of(0_u8..3);
    prop_oneof![
        4 => (value(), value(), value(), any::<bool>())
            .prop_map(|(email, ext_id, sms, update)| Op::Create { email, ext_id, sms, update }),
        3 => (1_u8..5, value(), value(), value())
            .prop_map(|(id, email, ext_id, sms)| Op::Update { id, email, ext_id, sms }),
        1 => (1_u8..5).prop_map(|id| Op::Delete { id }),
    ]
}

type Row = (Option<u8>, Option<u8>, Option<u8>);

fn merged(row: Row, (email, ext_id, sms): Row) -> Row {
    (email.or(row.0), ext_id.or(row.1), sms.or(row.2))
}

fn shares((a, b, c): Row, (x, y, z): Row) -> bool {
    (a.is_some() && a == x) || (b.is_some() && b == y) || (c.is_some() && c == z)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Held against a model that knows nothing but "each value belongs to one contact".
    #[test]
    fn an_identifier_never_belongs_to_two(ops in prop::collection::vec(op(), 1..40)) {
        let (brevo, client) = brevo();
        let mut model: std::collections::BTreeMap<i64, Row> = std::collections::BTreeMap::new();
        let mut next = 1;
        for op in ops {
            match op {
                Op::Create { email, ext_id, sms, update } => {
                    let row = (email, ext_id, sms);
                    if row == (None, None, None) {
                        continue;
                    }
                    let mut body = json!({"updateEnabled": update});
                    if let Some(email) = email { body["email"] = json!(format!("p{email}@example.com")); }
                    if let Some(ext_id) = ext_id { body["ext_id"] = json!(format!("x{ext_id}")); }
                    if let Some(sms) = sms { body["attributes"] = json!({"SMS": format!("+491511234567{sms}")}); }
                    let owners: Vec<i64> = model.iter().filter(|(_, r)| shares(**r, row)).map(|(id, _)| *id).collect();
                    let expected = match (owners.as_slice(), update) {
                        ([], _) => 201,
                        ([_], true) => 204,
                        _ => 400,
                    };
                    let status = client.post("/v3/contacts", body).status;
                    prop_assert_eq!(status, expected);
                    match (status, owners.first()) {
                        (201, _) => { model.insert(next, row); next += 1; }
                        (204, Some(id)) => { let known = model[id]; model.insert(*id, merged(known, row)); }
                        _ => (),
                    }
                }
                Op::Update { id, email, ext_id, sms } => {
                    let (id, row) = (i64::from(id), (email, ext_id, sms));
                    let mut body = json!({"attributes": {}});
                    if let Some(email) = email { body["attributes"]["EMAIL"] = json!(format!("P{email}@example.com")); }
                    if let Some(ext_id) = ext_id { body["ext_id"] = json!(format!("x{ext_id}")); }
                    if let Some(sms) = sms { body["attributes"]["SMS"] = json!(format!("0049151123456{}{sms}", 7)); }
                    let clash = model.iter().any(|(other, r)| *other != id && shares(*r, row));
                    let expected = match model.contains_key(&id) { false => 404, true if clash => 400, true => 204 };
                    let status = client.put(&format!("/v3/contacts/{id}?identifierType=contact_id"), body).status;
                    prop_assert_eq!(status, expected);
                    if status == 204 { let known = model[&id]; model.insert(id, merged(known, row)); }
                }
                Op::Delete { id } => {
                    let expected = if model.remove(&i64::from(id)).is_some() { 204 } else { 404 };
                    prop_assert_eq!(client.delete(&format!("/v3/contacts/{id}")).status, expected);
                }
            }
        }
        prop_assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
        prop_assert_eq!(brevo.contacts().len(), model.len());
        for contact in brevo.contacts() {
            let (email, ext_id, sms) = model[&contact.id];
            prop_assert_eq!(contact.ext_id, ext_id.map(|n| format!("x{n}")));
            let digits = sms.map(|n| json!(format!("491511234567{n}")));
            prop_assert_eq!(contact.attributes.get("SMS").cloned(), digits);
            if let Some(email) = email {
                prop_assert_eq!(contact.email.unwrap().to_lowercase(), format!("p{email}@example.com"));
            }
        }
    }
}
