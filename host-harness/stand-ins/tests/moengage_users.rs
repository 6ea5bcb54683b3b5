//! Get User through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use stand_ins::clock::Scale;
use stand_ins::journal::FindingKind;
use stand_ins::moengage::{FieldNames, GetUser, MoEngage, Options, User};

const CALL: &str = "/v1/customers/export?app_id=STANDIN";

fn client(moengage: &MoEngage) -> Client {
    // Basic of `STANDIN` and the default key of Data.
    let key = "Basic U1RBTkRJTjpkYXRhLWtleQ==";
    Client::new(
        &moengage.url(),
        &[("authorization", key), ("moe-appkey", "STANDIN"), ("content-type", "application/json")],
    )
}

fn user(id: &str, customer_id: &str, attributes: Value) -> User {
    let attributes = attributes.as_object().cloned().unwrap();
    User { id: id.to_owned(), customer_id: Some(customer_id.to_owned()), attributes }
}

fn with_john() -> MoEngage {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let attributes = json!({
        "u_fn": "John", "u_ln": "Doe", "u_em": "john@example.com", "crm_id": 12345, "moe_unsubscribe": true,
        "moe_sms_subscription": "x", "note": null,
    });
    moengage.set_users([user("62e79fb1", "john_doe", attributes)]);
    moengage
}

fn by(kind: &str, identifier: &str) -> Value {
    json!({"data": {"identifiers": [{"identifier_type": kind, "identifier": identifier}]}})
}

fn customers(n: usize) -> Value {
    let all: Vec<Value> =
        (0..n).map(|n| json!({"identifier_type": "customer_id", "identifier": format!("c{n}")})).collect();
    json!({"data": {"identifiers": all}})
}

fn attributes(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"]["users"][0]["user_attributes"].clone()
}

#[test]
fn a_user_is_found_by_each_of_its_ids() {
    let moengage = with_john();
    let client = client(&moengage);
    let all = json!({
        "id": "62e79fb1", "uid": "john_doe", "u_fn": "John", "u_ln": "Doe", "u_em": "john@example.com",
        "crm_id": 12345, "moe_unsubscribe": true, "note": null,
    });
    for body in [by("customer_id", "john_doe"), by("moengage_id", "62e79fb1"), by("id", "62e79fb1")] {
        let answer = client.post(CALL, body);
        assert_eq!(attributes(&answer), all);
        assert_eq!(
            (&answer.json()["status"], &answer.json()["type"]),
            (&json!("success"), &json!("export_users"))
        );
    }
    assert_eq!(client.post(CALL, by("id", "john_doe")).json()["data"]["users"], json!([]));
    assert!(moengage.remove_user("62e79fb1"));
    assert_eq!(client.post(CALL, by("customer_id", "john_doe")).json()["data"]["users"], json!([]));
    assert!(moengage.violations().is_empty());
}

#[test]
fn who_is_not_found_is_named_beside_those_who_are() {
    let moengage = with_john();
    let body = json!({"data": {"identifiers": [
        {"identifier_type": "customer_id", "identifier": "nobody"},
        {"identifier_type": "customer_id", "identifier": "john_doe"},
        {"identifier_type": "id", "identifier": "none"},
    ]}});
    let answer = client(&moengage).post(CALL, body).json();
    assert_eq!(
        answer["data"]["users_not_found"],
        json!([
            {"identifier_type": "customer_id", "identifier": "nobody"},
            {"identifier_type": "id", "identifier": "none"},
        ])
    );
    assert_eq!(answer["data"]["users"].as_array().unwrap().len(), 1);
}

#[test]
fn names_come_in_two_spellings_and_can_be_picked_in_both() {
    let moengage = with_john();
    let client = client(&moengage);
    let mut body = by("customer_id", "john_doe");
    body["data"]["user_fields_to_export"] = json!(["last_name", "u_fn", "moe_sms_subscription"]);
    assert_eq!(
        attributes(&client.post(CALL, body.clone())),
        json!({"id": "62e79fb1", "u_fn": "John", "u_ln": "Doe"})
    );
    moengage.set_get_user(GetUser { names: FieldNames::Readable, ..GetUser::default() });
    let picked = attributes(&client.post(CALL, body));
    assert_eq!(picked, json!({"id": "62e79fb1", "first_name": "John", "last_name": "Doe"}));
    let all = attributes(&client.post(CALL, by("id", "62e79fb1")));
    assert_eq!((&all["customer_id"], &all["email"]), (&json!("john_doe"), &json!("john@example.com")));
    assert_eq!((&all["crm_id"], &all["moe_unsubscribe"]), (&json!(12345), &json!(true)));
}

#[test]
fn what_the_documents_refuse_is_refused_as_they_say() {
    let moengage = with_john();
    let client = client(&moengage);
    for (body, kind, attribute) in [
        (json!({}), "MissingAttributeError", json!("data")),
        (json!({"data": {}}), "MissingAttributeError", json!("identifiers")),
        (json!({"data": {"identifiers": []}}), "MissingAttributeError", json!("identifiers")),
        (json!({"data": {"identifiers": "x"}}), "ArrayFieldError", json!("identifiers")),
        (customers(21), "LimitBreached", json!("users")),
        (by("email", "john@example.com"), "InvalidParams", json!("identifiers")),
        (json!({"identifiers": []}), "MissingAttributeError", json!("data")),
    ] {
        let answer = client.post(CALL, body.clone());
        let error = answer.json()["error"].clone();
        assert_eq!(
            (answer.status, &error["type"], &error["attribute"]),
            (400, &json!(kind), &attribute),
            "{body}"
        );
    }
    let torn = client.try_send("POST", CALL, b"{\"data\":").unwrap();
    assert_eq!(torn.json()["error"]["type"], "Malformed JSON");
    let heavy =
        json!({"data": {"identifiers": [{"identifier_type": "id", "identifier": "x".repeat(131_072)}]}});
    assert_eq!(client.post(CALL, heavy).status, 413);
    assert_eq!(client.post("/v1/customers/export", customers(1)).json()["error"]["type"], "ParamsRequired");
    assert_eq!(moengage.violations().len(), 10);
    assert_eq!(client.post("/v1/customers/export?app_id=OTHER", customers(1)).status, 401);
}

#[test]
fn n17_get_user_is_refused_until_support_switches_it_on() {
    let moengage = with_john();
    moengage.set_get_user(GetUser { switched_on: false, ..GetUser::default() });
    let client = client(&moengage);
    let refused = client.post(CALL, by("customer_id", "john_doe"));
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (403, Some("BlockedClient")));
    assert_eq!(client.post("/v1.0/data/fileimports/import/status", json!({})).status, 200, "only this call");
    moengage.set_get_user(GetUser::default());
    assert_eq!(client.post(CALL, by("customer_id", "john_doe")).status, 200);
    assert_eq!(moengage.journal().count_of(FindingKind::Unauthorized), 1);
}

#[test]
fn n33_a_thousand_users_a_minute_not_a_thousand_requests() {
    let moengage = MoEngage::start(Options { scale: Scale::from_now(1e-9), ..Options::default() }).unwrap();
    let client = client(&moengage);
    for _ in 0..49 {
        assert_eq!(client.post(CALL, customers(20)).status, 200);
    }
    let answer = client.post(CALL, customers(19));
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some("1")));
    let refused = client.post(CALL, customers(2));
    assert_eq!((refused.status, refused.header("x-ratelimit-limit")), (429, Some("1000")));
    assert_eq!(client.post(CALL, customers(1)).status, 200, "what was refused does not count");
    assert_eq!(client.post(CALL, customers(1)).status, 429);
}

#[test]
fn a_person_can_set_users_over_http() {
    let moengage = MoEngage::start(Options::default()).unwrap();
    let control = Client::new(&moengage.url(), &[("content-type", "application/json")]);
    let users = json!([{"id": "m1", "customer_id": "c1", "attributes": {"u_em": "a@example.com"}}]);
    assert_eq!(control.post("/_control/users", users).status, 204);
    assert_eq!(control.post("/_control/users", json!([{"uid": "c1"}])).status, 400);
    assert_eq!(attributes(&client(&moengage).post(CALL, by("customer_id", "c1")))["u_em"], "a@example.com");
    assert_eq!(control.get("/_control/state").json()["users"][0]["id"], "m1");
}
