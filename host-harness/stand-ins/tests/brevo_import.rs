//! Imports and background processes of the Brevo stand-in, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Cause, ImportRows, NewList, Options, Plan};
use stand_ins::clock::{Millis, Scale};
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::FindingKind;

const IMPORT: &str = "/v3/contacts/import";

/// With list 1, which starts an automation.
fn start(options: Options) -> (Brevo, Client) {
    let brevo = Brevo::start(options).unwrap();
    let client = Client::brevo(&brevo);
    brevo.add_list(&NewList { id: Some(1), name: "L".to_owned(), folder: "F".to_owned(), automation: true });
    (brevo, client)
}

/// An import takes effect before the next request.
fn brevo() -> (Brevo, Client) {
    start(Options { plan: Plan::Unlimited, ..at_once() })
}

fn at_once() -> Options {
    Options { import_queue_delay: Duration::ZERO, import_delay: Duration::ZERO, ..Options::default() }
}

fn import(rows: Value) -> Value {
    json!({"jsonBody": rows, "listIds": [1], "disableNotification": true})
}

fn with(key: &str, value: Value) -> Value {
    let mut changed = import(json!([{"email": "a@example.com"}]));
    changed[key] = value;
    changed
}

/// Imports and reads the process, which has ended.
fn done(client: &Client, body: Value) -> Value {
    let taken = client.post(IMPORT, body.clone());
    assert_eq!(taken.status, 202, "{body}");
    client.get(&format!("/v3/processes/{}", taken.json()["processId"])).json()
}

/// Fetches a report as anybody can.
fn report(brevo: &Brevo, process: &Value, kind: &str) -> Vec<String> {
    let link = process["info"]["import"][kind].as_str().unwrap();
    let path = link.strip_prefix(&brevo.url()).expect("on the stand-in's own origin");
    let answer = Client::new(&brevo.url(), &[]).get(path);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/csv")));
    answer.text().lines().skip(1).map(str::to_owned).collect()
}

fn wait(brevo: &Brevo, until: Millis) {
    while brevo.now() < until {
        std::thread::yield_now();
    }
}

#[test]
fn rows_are_created_updated_and_put_into_lists() {
    let (brevo, client) = brevo();
    client.post(
        "/v3/contacts",
        json!({"email": "b@example.com", "attributes": {"FIRSTNAME": "Bob", "LASTNAME": "B"}}),
    );
    let rows = json!([
        {"email": "a@example.com", "attributes": {"EXT_ID": "1", "FIRSTNAME": "Ann", "SMS": "+4915112345678"}},
        {"email": "B@example.com", "attributes": {"FIRSTNAME": "Bo", "LASTNAME": ""}},
    ]);
    let process = done(&client, import(rows));
    assert_eq!((&process["name"], &process["status"]), (&json!("IMPORTUSER"), &json!("completed")));
    let links = process["info"]["import"].as_object().unwrap();
    assert!(links.len() == 7 && links.values().all(Value::is_null), "{links:?}");
    let ann = brevo.contact_by_email("a@example.com").unwrap();
    assert_eq!(ann.ext_id.as_deref(), Some("1"));
    assert_eq!(json!(ann.attributes), json!({"FIRSTNAME": "Ann", "SMS": "4915112345678"}));
    let bob = brevo.contact_by_email("b@example.com").unwrap();
    assert_eq!(
        json!(bob.attributes),
        json!({"FIRSTNAME": "Bo", "LASTNAME": "B"}),
        "an empty value erases nothing"
    );
    let started: Vec<i64> = brevo.automations_started().iter().map(|join| join.contact_id).collect();
    assert_eq!(started, [ann.id, bob.id]);
    let imported = &brevo.imports()[0];
    assert_eq!((imported.rows, imported.applied, imported.notifies_owner), (2, 2, false));
    let mut erasing =
        import(json!([{"email": "b@example.com", "attributes": {"LASTNAME": null, "FIRSTNAME": ""}}]));
    erasing["emptyContactsAttributes"] = json!(true);
    done(&client, erasing);
    assert!(brevo.contact_by_email("b@example.com").unwrap().attributes.is_empty());
    assert_eq!(brevo.automations_started().len(), 2, "who is in the list does not join again");
    let mut only_new = import(json!([{"email": "b@example.com", "attributes": {"FIRSTNAME": "X"}}]));
    only_new["updateExistingContacts"] = json!(false);
    only_new["newList"] = json!({"listName": "New", "folderId": brevo.folders()[0].id});
    only_new["emailBlacklist"] = json!(true);
    done(&client, only_new);
    let bob = brevo.contact_by_email("b@example.com").unwrap();
    assert!(bob.attributes.is_empty() && !bob.email_blacklisted);
    let new = brevo.lists().into_iter().find(|list| list.name == "New").unwrap();
    assert!(bob.list_ids.contains(&new.id), "the lists are joined all the same");
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
}

#[test]
fn bad_rows_and_values_cost_only_themselves() {
    let (brevo, client) = brevo();
    let rows = json!([
        {"email": "a@example.com", "attributes": {"firstname": "x", "LASTNAME": 5, "NOBODY": "y", "SMS": "12", "FIRSTNAME": "Ann"}},
        {"email": "not an address", "attributes": {}},
        {"email": "A@example.com", "attributes": {"FIRSTNAME": "Second"}},
        {"attributes": {"EXT_ID": "7"}},
        {"email": "c@example.com", "attributes": {"FIRSTNAME": {"a": 1}}},
    ]);
    let process = done(&client, import(rows));
    assert_eq!(process["status"], "completed");
    assert_eq!(report(&brevo, &process, "invalid_emails"), ["not an address", "\"\""]);
    assert_eq!(report(&brevo, &process, "duplicate_email_id"), ["A@example.com"]);
    assert_eq!(process["info"]["import"]["duplicate_ext_id"], Value::Null);
    let contacts = brevo.contacts();
    assert_eq!(contacts.len(), 2);
    assert_eq!(json!(contacts[0].attributes), json!({"FIRSTNAME": "Ann"}), "the first of two rows");
    assert_eq!(brevo.ignored_attributes().len(), 5, "{:?}", brevo.ignored_attributes());
    assert_eq!(brevo.imports()[0].applied, 2);
    assert!(brevo.violations().is_empty(), "{:?}", brevo.violations());
    let nobody = Client::new(&brevo.url(), &[]).get("/import-reports/1/duplicate_ext_id.csv");
    assert_eq!(nobody.status, 404);

    let (brevo, client) = start(Options { import_rows: ImportRows::AnyIdentifier, ..at_once() });
    done(
        &client,
        import(
            json!([{"attributes": {"EXT_ID": "7", "FIRSTNAME": "Sev"}}, {"attributes": {"FIRSTNAME": "x"}}]),
        ),
    );
    assert_eq!(brevo.contact_by_ext_id("7").unwrap().attributes["FIRSTNAME"], "Sev");
    assert_eq!(brevo.contacts().len(), 1);
}

#[test]
fn the_flags_of_blocks_hold_for_all_rows() {
    let (brevo, client) = brevo();
    for n in 1..=2 {
        client.post("/v3/contacts", json!({"email": format!("p{n}@example.com"), "emailBlacklisted": true}));
    }
    let rows = || json!([{"email": "p1@example.com"}, {"email": "p3@example.com"}]);
    done(&client, import(rows()));
    assert!(brevo.contacts()[0].email_blacklisted, "left out, a flag lifts no block");
    assert!(brevo.resubscriptions().is_empty());
    let mut lifting = import(rows());
    lifting["emailBlacklist"] = json!(false);
    lifting["smsBlacklist"] = json!(true);
    done(&client, lifting);
    let blocked: Vec<(bool, bool)> =
        brevo.contacts().iter().map(|contact| (contact.email_blacklisted, contact.sms_blacklisted)).collect();
    assert_eq!(blocked, [(false, true), (true, false), (false, true)]);
    assert_eq!(brevo.resubscriptions().len(), 1);
    assert_eq!(brevo.resubscriptions()[0].cause, Cause::ExplicitFalse);
}

#[test]
fn of_contacts_that_a_row_joins_the_losers_are_deleted() {
    let (brevo, client) = brevo();
    client.post(
        "/v3/contacts",
        json!({"email": "a@example.com", "attributes": {"LASTNAME": "A"}, "emailBlacklisted": true}),
    );
    client.post("/v3/contacts", json!({"ext_id": "2", "attributes": {"FIRSTNAME": "Two"}}));
    client.post("/v3/contacts", json!({"email": "c@example.com", "attributes": {"SMS": "4915112345678"}}));
    let row = json!({"email": "a@example.com", "attributes": {"EXT_ID": "2", "SMS": "+4915112345678"}});
    let process = done(&client, import(json!([row])));
    assert_eq!(report(&brevo, &process, "duplicate_email_id"), ["a@example.com"]);
    assert_eq!(report(&brevo, &process, "duplicate_phone_id"), ["4915112345678"]);
    let left = brevo.contacts();
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].id, left[0].email.as_deref(), left[0].ext_id.as_deref()),
        (2, Some("a@example.com"), Some("2"))
    );
    assert_eq!(json!(left[0].attributes), json!({"FIRSTNAME": "Two", "SMS": "4915112345678"}));
    assert_eq!(brevo.resubscriptions()[0].cause, Cause::Merged, "the block of a loser is lost");
}

#[test]
fn an_import_is_queued_then_in_process_then_in_effect() {
    let half = Duration::from_secs(1_800);
    // Half an hour in nine tenths of a second.
    let (brevo, client) = start(Options {
        plan: Plan::Unlimited,
        scale: Scale::from_now(2_000.0),
        import_queue_delay: half,
        import_delay: half,
        ..Options::default()
    });
    client.post("/v3/contacts", json!({"email": "a@example.com"}));
    let row = json!([{"email": "a@example.com", "attributes": {"FIRSTNAME": "Old"}}]);
    assert_eq!(client.post(IMPORT, import(row)).json(), json!({"processId": 1}));
    let status = || client.get("/v3/processes/1").json();
    assert_eq!(status(), json!({"id": 1, "name": "IMPORTUSER", "status": "queued"}));
    client.put("/v3/contacts/1", json!({"attributes": {"FIRSTNAME": "New"}}));
    let process = brevo.processes().remove(0);
    wait(&brevo, process.starts_at);
    assert_eq!(status()["status"], "in_process");
    assert_eq!(brevo.contacts()[0].attributes["FIRSTNAME"], "New");
    assert_eq!(brevo.imports()[0].applied_at, None);
    wait(&brevo, process.ends_at);
    assert_eq!(
        brevo.contacts()[0].attributes["FIRSTNAME"],
        "Old",
        "what was written meanwhile is overwritten"
    );
    assert_eq!(brevo.imports()[0].applied_at, Some(process.ends_at));
    assert_eq!(status()["status"], "completed");
}

#[test]
fn of_two_imports_at_once_the_second_is_stuck() {
    let (brevo, client) =
        start(Options { plan: Plan::Unlimited, scale: Scale::from_now(60.0), ..Options::default() });
    for n in 1..=2 {
        let row = json!([{"email": format!("p{n}@example.com")}]);
        assert_eq!(client.post(IMPORT, import(row)).status, 202);
    }
    assert_eq!(brevo.violations().len(), 1);
    let processes = brevo.processes();
    wait(&brevo, processes[0].ends_at + 20_000);
    assert_eq!(processes[1].ends_at, Millis::MAX);
    assert_eq!(client.get("/v3/processes/2").json()["status"], "queued");
    assert_eq!(brevo.contacts().len(), 1);
    // Whoever goes on importing is stuck behind it.
    client.post(IMPORT, import(json!([{"email": "p3@example.com"}])));
    assert_eq!(brevo.violations().len(), 2);
    brevo.release_imports();
    let last = brevo.processes().remove(2);
    wait(&brevo, last.ends_at);
    let listed = client.get("/v3/processes?limit=2&sort=asc").json();
    assert_eq!((listed["count"].as_i64(), listed["processes"].as_array().unwrap().len()), (Some(3), 2));
    assert!(listed["processes"].as_array().unwrap().iter().all(|process| process["status"] == "completed"));
    assert_eq!(brevo.contacts().len(), 3);
    client.post(IMPORT, import(json!([{"email": "p4@example.com"}])));
    assert_eq!(brevo.violations().len(), 2, "one after the other is what is asked for");
}

#[test]
fn an_import_may_fail_half_way() {
    let (brevo, client) = brevo();
    brevo.fail_next_import(1);
    let rows = || json!([{"email": "a@example.com"}, {"email": "b@example.com"}]);
    assert_eq!(done(&client, import(rows())), json!({"id": 1, "name": "IMPORTUSER", "status": "failed"}));
    assert_eq!(brevo.contacts().len(), 1);
    assert_eq!(done(&client, import(rows()))["status"], "completed");
    assert_eq!(brevo.contacts().len(), 2);
}

#[test]
fn undocumented_imports_are_refused() {
    let (brevo, client) = brevo();
    let refused = [
        with("jsonBody", json!([])),
        with("jsonBody", json!([{"email": 1}])),
        with("jsonBody", json!([{"email": "a@example.com", "ext_id": "1"}])),
        with("listIds", json!([])),
        with("listIds", json!(1)),
        with("listIds", json!([0])),
        with("newList", json!({"listName": "x"})),
        with("newList", json!({"name": "x", "folderId": 1})),
        with("emailBlacklist", Value::Null),
        with("emailBlacklisted", json!(true)),
        with("fileBody", json!("EMAIL\na@example.com")),
        json!({"listIds": [1]}),
    ];
    let many = refused.len();
    for body in refused {
        assert_eq!(client.post(IMPORT, body.clone()).status, 400, "{body}");
    }
    let heavy = with(
        "jsonBody",
        json!([{"email": "a@example.com", "attributes": {"FIRSTNAME": "x".repeat(10 << 20)}}]),
    );
    assert_eq!(client.post(IMPORT, heavy).status, 400, "above 10 MB");
    assert_eq!(brevo.violations().len(), many + 1, "{:?}", brevo.violations());
    assert_eq!(client.post(IMPORT, with("newList", json!({"listName": "x", "folderId": 99}))).status, 400);
    let unknown = client.get("/v3/processes/1");
    assert_eq!((unknown.status, unknown.json()["message"].as_str()), (404, Some("processId is invalid")));
    for path in ["/v3/processes/x", "/v3/processes?limit=51", "/v3/processes?status=queued"] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
    assert!(brevo.imports().is_empty() && brevo.contacts().is_empty());
    assert_eq!(client.post(IMPORT, with("listIds", json!([1, 9]))).status, 202);
    let journal = brevo.journal();
    assert_eq!(journal.count_of(FindingKind::IgnoredList), 1);
}

#[test]
fn imports_count_with_contacts_and_processes_with_everything_else() {
    let (brevo, client) = start(at_once());
    let taken = client.post(IMPORT, with("jsonBody", json!([{"email": "nobody"}])));
    assert_eq!(taken.header("x-sib-ratelimit-limit"), Some("10"));
    let read = client.get("/v3/processes/1");
    assert_eq!(read.header("x-sib-ratelimit-limit"), Some("100"));
    report(&brevo, &read.json(), "invalid_emails");
    assert_eq!(
        client.get("/v3/processes").header("x-sib-ratelimit-remaining"),
        Some("98"),
        "a report is free"
    );
}

#[test]
fn an_answer_may_be_lost_after_the_import_was_taken() {
    let (brevo, client) = brevo();
    brevo.faults().add(Rule::on("POST", IMPORT, Fault::close_after_effect()).times(1)).unwrap();
    let body = import(json!([{"email": "a@example.com"}])).to_string();
    assert!(client.try_send("POST", IMPORT, body.as_bytes()).is_err());
    assert_eq!(client.get("/v3/processes").json()["processes"][0]["status"], "completed");
    assert_eq!(brevo.contacts().len(), 1);
    let cut = Rule::on("GET", "/import-reports/{process}/{report}", Fault::status(500, "")).times(1);
    brevo.faults().add(cut).unwrap();
    assert_eq!(client.get("/import-reports/1/invalid_emails.csv").status, 500);
}
