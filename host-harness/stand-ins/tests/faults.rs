//! Faults on demand, through HTTP: what the client sees, what the vendor did, what is written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use client::Client;
use serde_json::{Value, json};
use stand_ins::brevo::{Brevo, Options, Plan};
use stand_ins::faults::{Answer, Effect, Fault, Rule};

const CALL: &str = "/v3/contacts";

fn brevo() -> (Brevo, Client) {
    let brevo = Brevo::start(Options { plan: Plan::Unlimited, ..Options::default() }).unwrap();
    let client = Client::brevo(&brevo);
    (brevo, client)
}

fn person(n: u32) -> Value {
    json!({"email": format!("p{n}@example.com")})
}

/// Sets one rule for the next call and makes that call.
fn under(fault: Fault) -> (Brevo, Result<client::Answer, ureq::Error>) {
    let (brevo, client) = brevo();
    let rule = brevo.faults().add(Rule::on("POST", CALL, fault).times(1)).unwrap();
    let answer = client.try_send("POST", CALL, person(1).to_string().as_bytes());
    assert_eq!(brevo.faults().fired(rule), 1);
    let journal = brevo.journal();
    assert_eq!(journal.entries().next().unwrap().fault, Some(rule));
    assert_eq!(client.post(CALL, person(2)).status, 201, "the next one passes");
    (brevo, answer)
}

fn applied(brevo: &Brevo) -> bool {
    let known = brevo.contact_by_email("p1@example.com").is_some();
    let journal = brevo.journal();
    assert_eq!(journal.entries().next().unwrap().applied, known);
    known
}

#[test]
fn a_status_comes_without_effect_unless_asked_for() {
    let (brevo, answer) = under(Fault::status(503, "busy"));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_deref()), (503, Some(&b"busy"[..])));
    assert!(!applied(&brevo));
    let headers = vec![
        ("retry-after".to_owned(), "7".to_owned()),
        ("content-type".to_owned(), "text/plain".to_owned()),
    ];
    let fault = Fault::new(Answer::Status { status: 500, headers, body: "late".to_owned() });
    let (brevo, answer) = under(fault.effect(Effect::AtOnce));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (500, Some("7")));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert!(applied(&brevo));
}

#[test]
fn too_many_with_and_without_headers() {
    let (brevo, answer) = under(Fault::rate_limited(true));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("x-sib-ratelimit-reset")), (429, Some("1")));
    assert!(!applied(&brevo));
    assert_eq!(brevo.over_limit(), 0, "a fault is not the client's doing");
    let (_, answer) = under(Fault::rate_limited(false));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("x-sib-ratelimit-reset")), (429, None));
}

#[test]
fn the_connection_is_closed_with_and_without_effect() {
    for (fault, has_effect) in
        [(Fault::close_before_reading(), false), (Fault::close(), false), (Fault::close_after_effect(), true)]
    {
        let (brevo, answer) = under(fault.clone());
        assert!(answer.is_err(), "{fault:?} {answer:?}");
        assert_eq!(applied(&brevo), has_effect, "{fault:?}");
        assert_eq!(brevo.journal().answered("POST /v3/contacts", None), 1);
    }
}

#[test]
fn closing_before_reading_leaves_the_body_unread() {
    let (brevo, _client) = brevo();
    brevo.faults().add(Rule::on("POST", CALL, Fault::close_before_reading())).unwrap();
    let mut socket = TcpStream::connect(brevo.url().trim_start_matches("http://")).unwrap();
    // The head promises a body that never comes: an answer can't depend on it.
    socket.write_all(b"POST /v3/contacts HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let end = socket.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{end:?}");
}

#[test]
fn a_body_breaks_off_after_exactly_so_many_bytes() {
    for after in [0, 1, 5] {
        let (brevo, _client) = brevo();
        brevo.faults().add(Rule::on("POST", CALL, Fault::cut(after))).unwrap();
        let mut socket = TcpStream::connect(brevo.url().trim_start_matches("http://")).unwrap();
        let body = person(1).to_string();
        let head = format!(
            "POST /v3/contacts HTTP/1.1\r\nhost: x\r\napi-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            brevo.api_key(),
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
        assert!(head.contains("content-length: 8"), "{head}");
        assert_eq!(body, &"{\"id\":1}"[..after]);
        assert!(applied(&brevo));
    }
}

#[test]
fn a_cut_of_nothing_is_no_answer() {
    let (brevo, client) = brevo();
    client.post(CALL, person(1));
    brevo.faults().add(Rule::on("PUT", "/v3/contacts/{identifier}", Fault::cut(3))).unwrap();
    let body = json!({"emailBlacklisted": true}).to_string();
    assert!(client.try_send("PUT", "/v3/contacts/1", body.as_bytes()).is_err());
    assert!(brevo.contacts()[0].email_blacklisted);
}

#[test]
fn html_and_a_wrong_content_type() {
    let (brevo, answer) = under(Fault::html());
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(answer.body.unwrap().starts_with(b"<!doctype html>"));
    assert!(!applied(&brevo));
    let (brevo, answer) = under(Fault::new(Answer::ContentType { value: "text/plain".to_owned() }));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (201, Some("text/plain")));
    assert!(applied(&brevo));
}

#[test]
fn a_late_effect_happens_after_the_client_is_gone() {
    let (brevo, _client) = brevo();
    brevo.faults().add(Rule::on("POST", CALL, Fault::close().effect(Effect::Late).delayed(50))).unwrap();
    let body = person(1).to_string();
    let mut socket = TcpStream::connect(brevo.url().trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /v3/contacts HTTP/1.1\r\nhost: x\r\napi-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        brevo.api_key(),
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    while brevo.journal().received() == 0 {
        std::thread::yield_now();
    }
    drop(socket);
    while brevo.contacts().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(applied(&brevo));
}

#[test]
fn a_delay_keeps_the_answer() {
    let (brevo, answer) = under(Fault::delay(20));
    assert_eq!(answer.unwrap().status, 201);
    assert!(applied(&brevo));
}

#[test]
fn n04_a_body_can_come_in_drips() {
    let (brevo, client) = brevo();
    brevo.faults().add(Rule::on("POST", CALL, Fault::drip(2, 10))).unwrap();
    let before = std::time::Instant::now();
    let answer = client.post(CALL, person(1));
    assert_eq!((answer.status, answer.json()), (201, json!({"id": 1})));
    assert!(before.elapsed() >= Duration::from_millis(30), "four pieces have three pauses");
    assert!(applied(&brevo));
}

#[test]
fn a_part_of_the_target_picks_the_request() {
    let (brevo, client) = brevo();
    client.post(CALL, person(1));
    brevo.faults().add(Rule::any(Fault::status(503, "{}")).target_contains("/p1@")).unwrap();
    assert_eq!(client.get("/v3/contacts/p1%40example.com").status, 503);
    assert_eq!(client.get("/v3/contacts/1").status, 200);
}

#[test]
fn connections_are_refused_unread() {
    let (brevo, client) = brevo();
    brevo.faults().refuse_connections(2);
    for _ in 0..2 {
        assert!(client.try_send("POST", CALL, person(1).to_string().as_bytes()).is_err());
    }
    assert_eq!(client.post(CALL, person(1)).status, 201);
    assert_eq!(brevo.journal().received(), 1);
}

#[test]
fn a_marker_in_the_body_picks_the_request() {
    let (brevo, client) = brevo();
    brevo.faults().add(Rule::any(Fault::status(400, "{}")).body_contains("p2@")).unwrap();
    let statuses: Vec<u16> = (1..4).map(|n| client.post(CALL, person(n)).status).collect();
    assert_eq!(statuses, [201, 400, 201]);
}

#[test]
fn a_person_can_drive_it_over_http() {
    let (brevo, client) = brevo();
    let control = Client::new(&brevo.url(), &[("content-type", "application/json")]);
    let rule = json!({"method": "POST", "path": CALL, "nth": [2],
        "fault": {"answer": {"kind": "status", "status": 418, "body": "{}"}}});
    let set = control.post("/_control/faults", rule);
    assert_eq!((set.status, set.json()), (201, json!({"id": 1})));
    assert_eq!(
        control.post("/_control/faults", json!({"fault": {"answer": {"kind": "nothing"}}})).status,
        400
    );
    let statuses: Vec<u16> = (1..4).map(|n| client.post(CALL, person(n)).status).collect();
    assert_eq!(statuses, [201, 418, 201]);
    let rules = control.get("/_control/faults").json();
    assert_eq!((&rules[0]["matched"], &rules[0]["fired"]), (&json!(3), &json!(1)));
    assert_eq!(control.delete("/_control/faults").status, 204);
    assert!(brevo.faults().all().is_empty());
    assert_eq!(control.post("/_control/unsubscribe", json!({"email": "p1@example.com"})).status, 204);
    assert!(brevo.contact_by_email("p1@example.com").unwrap().email_blacklisted);
    let journal = control.get("/_control/journal?after=1&limit=1").json();
    assert_eq!(journal.as_array().unwrap().len(), 1);
    assert_eq!((&journal[0]["seq"], &journal[0]["status"]), (&json!(2), &json!(418)));
    assert!(!journal.to_string().contains(brevo.api_key()));
    let state = control.get("/_control/state").json();
    assert_eq!(state["contacts"].as_array().unwrap().len(), 2);
    assert_eq!(control.post("/_control/refuse", json!({"connections": 1})).status, 204);
    assert!(control.try_send("GET", "/_control/state", b"").is_err());
    assert_eq!(control.get("/_control/nothing").status, 404);
    assert_eq!(brevo.journal().received(), 3, "control calls are not in the journal");
}

#[test]
fn a_dropped_stand_in_is_gone() {
    let (brevo, client) = brevo();
    assert_eq!(client.post(CALL, person(1)).status, 201);
    drop(brevo);
    assert!(client.try_send("POST", CALL, b"{}").is_err());
}

#[test]
fn the_journal_is_bounded_and_its_sums_are_not() {
    let brevo =
        Brevo::start(Options { plan: Plan::Unlimited, journal_limit: 3, ..Options::default() }).unwrap();
    let client = Client::brevo(&brevo);
    client.post(CALL, json!({"wrong": 1}));
    for n in 0..5 {
        client.post(CALL, person(n));
    }
    let journal = brevo.journal();
    assert_eq!(journal.entries().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!((journal.received(), journal.violations().len()), (6, 1));
    assert_eq!(journal.answered("POST /v3/contacts", Some(201)), 5);
}
