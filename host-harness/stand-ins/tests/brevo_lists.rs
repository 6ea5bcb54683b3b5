//! Lists, folders and automations of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::{BTreeMap, BTreeSet};

use client::Client;
use proptest::prelude::*;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, ListEnvelope, NewList, Options, Plan};
use stand_ins::clock::Scale;

fn brevo() -> (Brevo, Client) {
    let stand_in = Brevo::start(Options { plan: Plan::Unlimited, ..Options::default() }).unwrap();
    let client = Client::brevo(&stand_in);
    (stand_in, client)
}

fn people(client: &Client, count: usize) {
    for n in 1..=count {
        let body = json!({"email": format!("p{n}@example.com"), "ext_id": format!("x{n}")});
        assert_eq!(client.post("/v3/contacts", body).status, 201);
    }
}

fn list(client: &Client, name: &str) -> i64 {
    let folder = client.post("/v3/contacts/folders", json!({"name": "Tajo"})).json()["id"].clone();
    let made = client.post("/v3/contacts/lists", json!({"name": name, "folderId": folder}));
    assert_eq!(made.status, 201);
    made.json()["id"].as_i64().unwrap()
}

#[test]
fn folders_and_lists_are_made_and_found() {
    let (brevo, client) = brevo();
    let folder = client.post("/v3/contacts/folders", json!({"name": "MoEngage"}));
    assert_eq!(folder.status, 201);
    let folder = folder.json()["id"].as_i64().unwrap();
    let body = json!({"name": "Lapsed", "folderId": folder});
    let (one, two) =
        (client.post("/v3/contacts/lists", body.clone()), client.post("/v3/contacts/lists", body));
    let (one, two) = (one.json()["id"].as_i64().unwrap(), two.json()["id"].as_i64().unwrap());
    assert_ne!(one, two, "names are not unique");
    assert!(one != folder && two != folder);
    let listed = client.get("/v3/contacts/lists").json();
    assert_eq!(
        listed,
        json!({"count": 2, "lists": [
            {"id": two, "name": "Lapsed", "folderId": folder, "totalBlacklisted": 0, "totalSubscribers": 0, "uniqueSubscribers": 0},
            {"id": one, "name": "Lapsed", "folderId": folder, "totalBlacklisted": 0, "totalSubscribers": 0, "uniqueSubscribers": 0},
        ]}),
        "the newest first"
    );
    let folders = client.get("/v3/contacts/folders?limit=50&offset=0&sort=asc").json();
    assert_eq!(
        (folders["count"].as_i64(), folders["folders"][0]["name"].as_str()),
        (Some(1), Some("MoEngage"))
    );
    people(&client, 2);
    client.put("/v3/contacts/1", json!({"emailBlacklisted": true}));
    client.post(&format!("/v3/contacts/lists/{one}/contacts/add"), json!({"ids": [1, 2]}));
    let read = client.get(&format!("/v3/contacts/lists/{one}")).json();
    for (name, value) in [("totalBlacklisted", 1), ("totalSubscribers", 1), ("uniqueSubscribers", 2)] {
        assert_eq!(read[name], value, "{name}");
    }
    assert_eq!((read["folderId"].as_i64(), read["dynamicList"].as_bool()), (Some(folder), Some(false)));
    assert_eq!(client.get("/v3/contacts/folders").json()["folders"][0]["uniqueSubscribers"], 2);
    let missing = client.get("/v3/contacts/lists/99");
    assert_eq!((missing.status, missing.code().as_str()), (404, "document_not_found"));
    let nowhere = client.post("/v3/contacts/lists", json!({"name": "x", "folderId": 99}));
    assert_eq!(nowhere.status, 400);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    assert_eq!(brevo.lists().len(), 2);
    assert_eq!(brevo.folders()[0].id, folder);
}

#[test]
fn rows_succeed_and_fail_one_by_one() {
    for (envelope, wrapped) in [(ListEnvelope::Wrapped, true), (ListEnvelope::Bare, false)] {
        let options = Options { plan: Plan::Unlimited, list_envelope: envelope, ..Options::default() };
        let brevo = Brevo::start(options).unwrap();
        let client = Client::brevo(&brevo);
        people(&client, 3);
        let id = list(&client, "A");
        let rows = |answer: Value| if wrapped { answer["contacts"].clone() } else { answer };
        let add = format!("/v3/contacts/lists/{id}/contacts/add");
        let remove = format!("/v3/contacts/lists/{id}/contacts/remove");
        let added =
            client.post(&add, json!({"emails": ["P1@Example.com", "nobody@example.com", "p1@example.com"]}));
        assert_eq!(added.status, 201);
        assert_eq!(
            rows(added.json()),
            json!({"success": ["P1@Example.com"], "failure": ["nobody@example.com", "p1@example.com"]})
        );
        let by_ext_id = client.post(&add, json!({"extIds": ["x1", "x2", "x9"]}));
        assert_eq!(rows(by_ext_id.json()), json!({"success": ["x2"], "failure": ["x1", "x9"]}));
        assert_eq!(
            rows(client.post(&add, json!({"ids": [3]})).json()),
            json!({"success": [3], "failure": []})
        );
        let again = client.post(&add, json!({"ids": [1, 2, 3, 99]}));
        assert_eq!((again.status, again.code().as_str()), (400, "invalid_parameter"));
        assert_eq!(again.json()["message"], "Contact already in list and/or does not exist");
        let removed = client.post(&remove, json!({"ids": [1, 99]}));
        assert_eq!((removed.status, rows(removed.json())), (201, json!({"success": [1], "failure": [99]})));
        let gone = client.post(&remove, json!({"extIds": ["x1"]}));
        assert_eq!((gone.status, gone.code().as_str()), (400, "invalid_parameter"));
        let unknown = client.post("/v3/contacts/lists/99/contacts/add", json!({"ids": [1]}));
        assert_eq!((unknown.status, unknown.code().as_str()), (404, "document_not_found"));
        assert_eq!(client.post("/v3/contacts/lists/99/contacts/remove", json!({"ids": [1]})).status, 404);
        assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
        let members: Vec<i64> = brevo.list_members(id).iter().map(|contact| contact.id).collect();
        assert_eq!(members, [2, 3]);
        assert_eq!(client.get("/v3/contacts/2").json()["listIds"], json!([id]));
        assert_eq!(client.get("/v3/contacts/1").json()["listIds"], json!([]));
    }
}

#[test]
fn undocumented_forms_are_violations() {
    let (brevo, client) = brevo();
    people(&client, 1);
    let id = list(&client, "A");
    let too_many: Vec<i64> = (1..=151).collect();
    let add = format!("/v3/contacts/lists/{id}/contacts/add");
    let refused: Vec<(&str, String, Value)> = vec![
        ("POST", add.clone(), json!({})),
        ("POST", add.clone(), json!({"ids": []})),
        ("POST", add.clone(), json!({"ids": [1], "emails": ["p1@example.com"]})),
        ("POST", add.clone(), json!({"ext_ids": ["x1"]})),
        ("POST", add.clone(), json!({"ids": ["1"]})),
        ("POST", add.clone(), json!({"emails": null})),
        ("POST", add.clone(), json!({"ids": too_many})),
        ("POST", add.clone(), json!({"all": true})),
        ("POST", "/v3/contacts/lists/A/contacts/add".to_owned(), json!({"ids": [1]})),
        ("POST", "/v3/contacts/lists".to_owned(), json!({"name": "x"})),
        ("POST", "/v3/contacts/lists".to_owned(), json!({"folderId": 1})),
        ("POST", "/v3/contacts/folders".to_owned(), json!({})),
        ("GET", "/v3/contacts/lists?limit=51".to_owned(), Value::Null),
        ("GET", "/v3/contacts/folders?limit=51".to_owned(), Value::Null),
        ("GET", "/v3/contacts/lists?sort=name".to_owned(), Value::Null),
        ("GET", "/v3/contacts/lists?name=A".to_owned(), Value::Null),
        ("GET", "/v3/contacts/lists?offset=-1".to_owned(), Value::Null),
        ("GET", format!("/v3/contacts/lists/{id}?startDate=2026-01-01T00:00:00Z"), Value::Null),
        ("GET", format!("/v3/contacts/lists/{id}/contacts?limit=501"), Value::Null),
        ("GET", format!("/v3/contacts/lists/{id}/contacts?modifiedSince=yesterday"), Value::Null),
    ];
    for (n, (method, path, body)) in refused.into_iter().enumerate() {
        let answer = client.send(method, &path, body.clone());
        assert_eq!(answer.status, 400, "{method} {path} {body}");
        assert_eq!(brevo.violations().len(), n + 1, "{method} {path} {body}");
    }
    let most: Vec<i64> = (1..=150).collect();
    assert_eq!(client.post(&add, json!({"ids": most})).status, 201);
    assert_eq!(client.delete(&format!("/v3/contacts/lists/{id}")).status, 404, "no call of this stand-in");
}

#[test]
fn each_real_addition_starts_the_automation() {
    let (brevo, client) = brevo();
    people(&client, 2);
    let id = list(&client, "Welcome");
    let quiet = list(&client, "Archive");
    let add = |list: i64, rows: Value| {
        client.post(&format!("/v3/contacts/lists/{list}/contacts/add"), json!({"ids": rows})).status
    };
    assert_eq!(add(id, json!([1])), 201);
    assert!(brevo.automations_started().is_empty(), "no automation yet");
    brevo.set_automations([id]);
    assert_eq!(add(id, json!([1])), 400, "is in the list");
    assert_eq!(add(id, json!([1, 2])), 201, "one is new");
    assert_eq!(add(quiet, json!([1, 2])), 201);
    client.post(&format!("/v3/contacts/lists/{id}/contacts/remove"), json!({"emails": ["p2@example.com"]}));
    assert_eq!(add(id, json!([2])), 201);
    // The other calls that add to a list.
    let body = json!({"email": "p3@example.com", "listIds": [id, 77]});
    assert_eq!(client.post("/v3/contacts", body).status, 201);
    client.put("/v3/contacts/3", json!({"unlinkListIds": [id]}));
    client.put("/v3/contacts/3", json!({"listIds": [id]}));
    client.put("/v3/contacts/3", json!({"listIds": [id], "attributes": {"FIRSTNAME": "C"}}));
    let started = brevo.automations_started();
    let whom: Vec<i64> = started.iter().map(|change| change.contact_id).collect();
    assert_eq!(whom, [2, 2, 3, 3]);
    assert!(started.iter().all(|change| change.joined && change.list_id == id));
    assert_eq!(
        (started[0].email.as_deref(), started[0].ext_id.as_deref()),
        (Some("p2@example.com"), Some("x2"))
    );
    let journal = brevo.journal();
    let request = journal.entries().find(|entry| entry.seq == started[0].seq).unwrap();
    assert_eq!(request.body, json!({"ids": [1, 2]}));
    let ignored = journal.count_of(stand_ins::journal::FindingKind::IgnoredList);
    assert_eq!(ignored, 1, "a list that does not exist is dropped in silence");
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn deleting_and_merging_move_people_between_lists() {
    let (brevo, client) = brevo();
    people(&client, 3);
    let id = list(&client, "A");
    brevo.set_automations([id]);
    client.post(&format!("/v3/contacts/lists/{id}/contacts/add"), json!({"ids": [1, 3]}));
    client.delete("/v3/contacts/3");
    client.put("/v3/contacts/2", json!({"attributes": {"FIRSTNAME": "newest"}}));
    let merge = json!({"email": "p1@example.com", "ext_id": "x2", "updateEnabled": true, "forceMerge": true});
    assert_eq!(client.post("/v3/contacts", merge).status, 204);
    let survivor = &brevo.contacts()[0];
    assert_eq!((survivor.id, survivor.list_ids.clone()), (2, BTreeSet::from([id])));
    let seen: Vec<(i64, bool, usize)> =
        brevo.list_changes().iter().map(|c| (c.contact_id, c.joined, c.members)).collect();
    assert_eq!(seen, [(1, true, 1), (3, true, 2), (3, false, 1), (1, false, 0), (2, true, 1)]);
    assert_eq!(brevo.automations_started().len(), 3);
}

#[test]
fn members_are_paged() {
    let (brevo, client) = brevo();
    people(&client, 7);
    let id = list(&client, "A");
    client.post(&format!("/v3/contacts/lists/{id}/contacts/add"), json!({"ids": [1, 2, 4, 5, 7]}));
    let page = |query: &str| {
        let body = client.get(&format!("/v3/contacts/lists/{id}/contacts{query}")).json();
        let ids: Vec<i64> =
            body["contacts"].as_array().unwrap().iter().map(|c| c["id"].as_i64().unwrap()).collect();
        (body["count"].as_i64().unwrap(), ids)
    };
    assert_eq!(page(""), (5, vec![7, 5, 4, 2, 1]));
    assert_eq!(page("?sort=asc&limit=2&offset=2"), (5, vec![4, 5]));
    assert_eq!(page("?offset=5"), (5, vec![]));
    let later = stand_ins::clock::rfc3339(brevo.now() + 60_000);
    assert_eq!(page(&format!("?modifiedSince={later}")), (0, vec![]));
    let body = client.get(&format!("/v3/contacts/lists/{id}/contacts?limit=1")).json();
    assert_eq!(body["contacts"][0]["attributes"]["EXT_ID"], "x7");
    assert!(body["contacts"][0].get("statistics").is_none());
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn lists_count_in_the_window_of_contacts_and_have_a_quota() {
    let options = Options { scale: Scale::from_now(100_000.0), ..Options::default() };
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    let folder = client.post("/v3/contacts/folders", json!({"name": "F"})).json()["id"].clone();
    for n in 0..300 {
        let made = client.post("/v3/contacts/lists", json!({"name": format!("L{n}"), "folderId": folder}));
        assert_eq!(made.status, 201, "{n}");
        assert_eq!(made.header("x-sib-ratelimit-limit"), Some("10"));
    }
    let one_more = client.post("/v3/contacts/lists", json!({"name": "L300", "folderId": folder}));
    assert_eq!(one_more.status, 400);
    let slow = Brevo::start(Options::default()).unwrap();
    let client = Client::brevo(&slow);
    let statuses: Vec<u16> = (0..12).map(|_| client.get("/v3/contacts/lists").status).collect();
    // Ten in a second; where the machine is slow a place may be free again.
    assert_eq!(statuses[..10], [200; 10]);
    assert_eq!(slow.over_limit(), statuses.iter().filter(|status| **status == 429).count() as u64);
}

#[test]
fn a_person_makes_lists() {
    let (brevo, client) = brevo();
    let made = brevo.add_list(&NewList {
        id: Some(5),
        name: "VIP".to_owned(),
        folder: "Old".to_owned(),
        automation: true,
    });
    assert_eq!(made.id, 5);
    assert_ne!(made.folder_id, 5);
    let person = Client::new(&brevo.url(), &[]);
    let answer = person.post("/_control/lists", json!({"name": "VIP", "folder": "Old"})).json();
    assert_eq!(answer["folder_id"], made.folder_id, "the folder of that name");
    assert!(answer["id"].as_i64().unwrap() > 5);
    people(&client, 1);
    client.post("/v3/contacts/lists/5/contacts/add", json!({"ids": [1]}));
    assert_eq!(brevo.automations_started().len(), 1);
    assert_eq!(person.post("/_control/automations", json!({"lists": []})).status, 204);
    client.post("/v3/contacts/lists/5/contacts/remove", json!({"ids": [1]}));
    client.post("/v3/contacts/lists/5/contacts/add", json!({"ids": [1]}));
    assert_eq!(brevo.automations_started().len(), 1);
    assert_eq!(person.post("/_control/automations", json!({"list": 5})).status, 400);
    assert_eq!(person.post("/_control/lists", json!({"name": "no folder"})).status, 400);
    let state = person.get("/_control/state").json();
    assert_eq!(state["lists"].as_array().unwrap().len(), 2);
    assert_eq!(state["list_changes"].as_array().unwrap().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Held against a model that is a set of pairs.
    #[test]
    fn joins_and_leaves_are_counted_exactly(
        ops in prop::collection::vec((any::<bool>(), 0_usize..2, prop::collection::vec(1_i64..6, 1..6)), 1..30),
    ) {
        let (brevo, client) = brevo();
        people(&client, 4);
        let lists = [list(&client, "A"), list(&client, "B")];
        brevo.set_automations([lists[0]]);
        let mut model: BTreeSet<(i64, i64)> = BTreeSet::new();
        let mut started: BTreeMap<i64, usize> = BTreeMap::new();
        for (add, place, rows) in ops {
            let id = lists[place];
            let call = if add { "add" } else { "remove" };
            let answer = client.post(&format!("/v3/contacts/lists/{id}/contacts/{call}"), json!({"ids": rows}));
            let mut success = Vec::new();
            for row in &rows {
                let changed = *row <= 4 && if add { model.insert((id, *row)) } else { model.remove(&(id, *row)) };
                if changed {
                    success.push(*row);
                    if add && place == 0 { *started.entry(*row).or_default() += 1; }
                }
            }
            prop_assert_eq!(answer.status, if success.is_empty() { 400 } else { 201 });
            if answer.status == 201 {
                prop_assert_eq!(&answer.json()["contacts"]["success"], &json!(success));
            }
        }
        let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
        for change in brevo.automations_started() { *seen.entry(change.contact_id).or_default() += 1; }
        prop_assert_eq!(seen, started);
        for contact in brevo.contacts() {
            let expected: BTreeSet<i64> =
                model.iter().filter(|(_, id)| *id == contact.id).map(|(list, _)| *list).collect();
            prop_assert_eq!(contact.list_ids, expected);
        }
        prop_assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    }
}
