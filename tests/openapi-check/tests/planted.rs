//! The checker finds every fault that is planted into a good exchange, in descriptions of 3.1 and
//! of 3.0, and finds nothing in the good one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use openapi_check::Violation;
use openapi_check::check::Checker;
use openapi_check::document::Document;
use openapi_check::exchange::Exchange;

const NEW: &str = r##"
openapi: 3.1.0
info: { title: shelves, version: "1" }
servers: [{ url: "https://api-{dc}.example.com/v2", variables: { dc: { default: "01", enum: ["01", "02"] } } }]
security: [{ basic: [] }]
paths:
  /shelves/{shelf}/books:
    parameters:
      - { $ref: "#/components/parameters/Workspace" }
      - { name: shelf, in: path, required: true, schema: { type: string, pattern: "^[a-f0-9]{4}$" } }
    post:
      parameters:
        - { name: page, in: query, schema: { type: integer, minimum: 1 } }
        - { name: tag, in: query, schema: { type: array, items: { type: string } } }
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [limit]
              properties:
                limit: { type: integer, minimum: 1, maximum: 15 }
                since: { type: string, format: date-time }
      responses:
        "200":
          headers:
            X-Left: { schema: { type: integer } }
          content: { application/json: { schema: { $ref: "#/components/schemas/Books" } } }
        "429": {}
        "5XX": { content: { text/html: {} } }
  /shelves/all/books:
    get:
      responses: { "204": { content: {} } }
webhooks:
  borrowed:
    post:
      security: [{ signature: [] }]
      requestBody:
        required: true
        content: { application/json: { schema: { type: object, required: [who], properties: { who: { type: string } } } } }
      responses: { "200": {} }
components:
  parameters:
    Workspace: { name: X-Workspace, in: header, required: true, schema: { type: string } }
  securitySchemes:
    basic: { type: http, scheme: basic }
    signature: { type: apiKey, in: header, name: Signature }
  schemas:
    Books:
      allOf:
        - { type: object, required: [total], properties: { total: { type: [integer, "null"] } } }
        - type: object
          properties:
            books:
              type: array
              items: { type: object, required: [id], properties: { id: { type: string }, more: { type: object } } }
            next: { $ref: "#/components/schemas/Books" }
"##;

const OLD: &str = r##"
openapi: 3.0.3
info: { title: shelves, version: "1" }
servers: [{ url: "https://api.example.com" }]
paths:
  /books:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                price: { type: number, minimum: 0, exclusiveMinimum: true }
                note: { type: string, nullable: true, enum: [a, b] }
                on: { $ref: "#/components/schemas/Day", nullable: true }
      responses:
        200: { description: ok, content: { application/json: { schema: { $ref: "#/components/schemas/Day" } } } }
components:
  schemas:
    Day: { type: object, properties: { day: { type: string, format: date } } }
"##;

fn good() -> Exchange {
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Exchange {
        method: "POST".to_owned(),
        path: "/v2/shelves/00af/books".to_owned(),
        query: pairs(&[("page", "2"), ("tag", "a"), ("tag", "b")]),
        headers: pairs(&[
            ("authorization", "Basic"),
            ("content-type", "application/json; charset=utf-8"),
            ("x-workspace", "W"),
            ("user-agent", "test"),
        ]),
        body: r#"{"limit":15,"since":"2026-01-05T10:00:00Z"}"#.to_owned(),
        status: 200,
        answer_headers: pairs(&[("content-type", "application/json"), ("x-left", "3")]),
        answer: r#"{"total":null,"books":[{"id":"1","more":{"any":1}}],"next":{"total":2}}"#.to_owned(),
        ..Exchange::default()
    }
}

fn checked(text: &str, strict: bool, exchange: &Exchange) -> Vec<Violation> {
    Checker::new(&Document::parse(text).unwrap(), strict).check(exchange).unwrap()
}

fn found(strict: bool, exchange: &Exchange) -> Vec<(&'static str, String)> {
    checked(NEW, strict, exchange).into_iter().map(|one| (one.rule, one.at)).collect()
}

#[test]
fn a_good_exchange_has_no_violation() {
    for strict in [true, false] {
        assert_eq!(checked(NEW, strict, &good()), []);
    }
}

#[test]
fn each_planted_fault_is_found_by_its_name() {
    type Fault = fn(&mut Exchange);
    let set = |headers: &mut Vec<(String, String)>, name: &str, value: &str| {
        headers.retain(|(key, _)| key != name);
        if !value.is_empty() {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    let faults: [(Fault, &str, &str); 24] = [
        (|e| e.path = "/v2/shelves".into(), "no-such-path", "request/path"),
        (|e| e.path = "/shelves/00af/books".into(), "no-such-path", "request/path"),
        (|e| e.method = "PUT".into(), "no-such-method", "request/method"),
        (|e| e.path = "/v2/shelves/00AF/books".into(), "bad-parameter", "request/path/shelf"),
        (|e| e.query[0].1 = "0".into(), "bad-parameter", "request/query/page"),
        (|e| e.query[0].1 = "two".into(), "bad-parameter", "request/query/page"),
        (|e| e.query.push(("sort".into(), "up".into())), "undocumented-query", "request/query/sort"),
        (|e| e.headers.push(("x-more".into(), "1".into())), "undocumented-header", "request/headers/x-more"),
        (|e| e.headers.retain(|h| h.0 != "x-workspace"), "missing-parameter", "request/headers/X-Workspace"),
        (|e| e.headers[0].1 = "Bearer".into(), "security", "request/headers/authorization"),
        (|e| drop(e.headers.remove(0)), "security", "request/headers/authorization"),
        (|e| e.body.clear(), "missing-body", "request/body"),
        (|e| e.body = "{".into(), "not-json", "request/body"),
        (|e| e.body = r#"{"limit":16}"#.into(), "body", "request/body/limit"),
        (|e| e.body = r#"{"limit":1,"depth":1}"#.into(), "body", "request/body"),
        (|e| e.body = r#"{"limit":1,"since":"5 Jan 2026"}"#.into(), "body", "request/body/since"),
        (|e| e.headers[1].1 = "text/plain".into(), "media-type", "request/body"),
        (|e| e.status = 201, "undocumented-status", "answer/status/201"),
        (|e| e.status = 429, "undocumented-body", "answer/429/body"),
        (|e| e.status = 503, "media-type", "answer/503/body"),
        (|e| e.answer.clear(), "missing-body", "answer/200/body"),
        (|e| e.answer = "{}".into(), "body", "answer/200/body"),
        (|e| e.answer = r#"{"total":1,"books":[{"id":7}]}"#.into(), "body", "answer/200/body/books/*/id"),
        (|e| e.answer_headers[1].1 = "many".into(), "bad-header", "answer/200/headers/x-left"),
    ];
    for (plant, rule, at) in faults {
        let mut exchange = good();
        plant(&mut exchange);
        for strict in [true, false] {
            let found = found(strict, &exchange);
            assert!(found.contains(&(rule, at.to_owned())), "{rule} at {at}: {found:?}");
        }
    }
    let mut exchange = good();
    set(&mut exchange.answer_headers, "x-right", "1");
    assert_eq!(found(false, &exchange), []);
    assert_eq!(found(true, &exchange), [("undocumented-header", "answer/200/headers/x-right".to_owned())]);
}

#[test]
fn only_a_strict_check_minds_what_an_answer_holds_beyond_the_description() {
    for (answer, at) in [
        (r#"{"total":1,"new":1}"#, "answer/200/body"),
        (r#"{"total":1,"books":[{"id":"1","new":1}]}"#, "answer/200/body/books/*"),
    ] {
        let exchange = Exchange { answer: answer.to_owned(), ..good() };
        assert_eq!(found(false, &exchange), []);
        assert_eq!(found(true, &exchange), [("body", at.to_owned())]);
    }
}

#[test]
fn a_literal_path_wins_over_a_variable_and_a_request_that_is_wrong_on_purpose_is_let_through() {
    let mut exchange = good();
    (exchange.method, exchange.path) = ("GET".into(), "/v2/shelves/all/books".into());
    (exchange.status, exchange.answer) = (204, String::new());
    assert!(found(true, &exchange).contains(&("undocumented-body", "request/body".to_owned())));
    exchange.answer_only = true;
    exchange.answer_headers.clear();
    assert_eq!(found(true, &exchange), []);
}

#[test]
fn an_answer_of_a_tests_own_is_let_through_and_its_request_is_not() {
    let mut exchange = Exchange { status: 418, answer: "tea".to_owned(), request_only: true, ..good() };
    assert_eq!(found(true, &exchange), []);
    exchange.query.push(("planted".into(), "1".into()));
    assert_eq!(found(true, &exchange), [("undocumented-query", "request/query/planted".to_owned())]);
}

#[test]
fn a_webhook_is_known_by_its_name() {
    let hook = Exchange {
        webhook: Some("borrowed".to_owned()),
        headers: vec![
            ("signature".into(), String::new()),
            ("content-type".into(), "application/json".into()),
        ],
        body: r#"{"who":"me"}"#.to_owned(),
        query: Vec::new(),
        answer: String::new(),
        answer_headers: Vec::new(),
        ..good()
    };
    assert_eq!(found(true, &hook), []);
    let unsigned = Exchange { headers: hook.headers[1..].to_vec(), ..hook.clone() };
    assert_eq!(found(true, &unsigned), [("security", "request/headers/authorization".to_owned())]);
    let empty = Exchange { body: "{}".to_owned(), ..hook.clone() };
    assert_eq!(found(true, &empty), [("body", "request/body".to_owned())]);
    let other = Exchange { webhook: Some("returned".to_owned()), ..hook };
    assert_eq!(found(true, &other), [("no-such-webhook", "request".to_owned())]);
}

#[test]
fn what_3_0_writes_in_its_own_way_is_understood() {
    let exchange = |body: &str, answer: &str| Exchange {
        path: "/books".to_owned(),
        query: Vec::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_owned(),
        answer: answer.to_owned(),
        ..good()
    };
    let places = |body: &str, answer: &str| -> Vec<String> {
        checked(OLD, false, &exchange(body, answer)).into_iter().map(|one| one.at).collect()
    };
    assert!(places(r#"{"price":0.5,"note":null,"on":{"day":"2026-01-05"}}"#, "{}").is_empty());
    assert_eq!(places(r#"{"price":0}"#, "{}"), ["request/body/price"]);
    assert_eq!(places(r#"{"note":"c"}"#, "{}"), ["request/body/note"]);
    // Beside a reference 3.0 knows no `nullable`.
    assert_eq!(places(r#"{"on":null}"#, "{}"), ["request/body/on"]);
    assert_eq!(places("{}", r#"{"day":"5 January"}"#), ["answer/200/body/day"]);
}

#[test]
fn a_broken_description_is_an_error_and_not_a_pass() {
    let broken = NEW.replace("schemas/Books\" } } }", "schemas/Nothing\" } } }");
    assert_ne!(broken, NEW);
    let document = Document::parse(&broken).unwrap();
    assert!(Checker::new(&document, true).check(&good()).is_err());
    assert!(Document::parse("openapi: 2.0").is_err());
}
