//! Two descriptions of one call: what ours adds, lacks or contradicts is named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use openapi_check::compare::compare;
use openapi_check::document::Document;

const THEIRS: &str = r##"
openapi: 3.0.3
info: { title: theirs, version: "1" }
servers: [{ url: "https://api.example.com/v2" }]
paths:
  /books/{book_id}:
    post:
      parameters: [{ name: Key, in: header, required: true, schema: { type: string } }]
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [limit]
              properties:
                limit: { type: integer }
                kind: { type: string, enum: [a, b] }
      responses:
        "200":
          description: ok
          content:
            application/json:
              schema: { type: object, properties: { id: { type: string, nullable: true }, state: { type: string, enum: [x, y] } } }
        "429": { description: too many }
"##;

fn ours(from: &str, to: &str) -> Vec<(String, String)> {
    let text = THEIRS
        .replace("3.0.3", "3.1.0")
        .replace("https://api.example.com/v2", "https://api.example.com")
        .replace("/books/{book_id}", "/v2/books/{book}")
        .replace("type: string, nullable: true", "type: [string, \"null\"]");
    let changed = text.replace(from, to);
    assert!(from.is_empty() || changed != text, "{from}");
    let (ours, theirs) = (Document::parse(&changed).unwrap(), Document::parse(THEIRS).unwrap());
    compare(&ours, &theirs).into_iter().map(|one| (one.at, one.what)).collect()
}

#[test]
fn the_same_call_in_another_spelling_is_the_same() {
    assert_eq!(ours("", ""), []);
    assert_eq!(ours("/v2/books/{book}", "/v2/films/{film}"), [], "a call that only ours has");
}

#[test]
fn each_difference_is_named() {
    for (from, to, at, what) in [
        ("required: true, ", "", "request/header/key", "theirs requires it"),
        ("required: [limit]", "required: []", "request/body/limit", "theirs requires it"),
        ("enum: [a, b]", "enum: [a, c]", "request/body/kind", "theirs does not allow \"c\""),
        (
            "limit: { type: integer }",
            "limit: { type: string }",
            "request/body/limit",
            "theirs does not allow the type string",
        ),
        ("kind: {", "sort: {", "request/body/sort", "only ours has it"),
        ("enum: [x, y]", "enum: [x]", "answer/200/state", "ours does not know \"y\""),
        ("[string, \"null\"]", "string", "answer/200/id", "ours does not know the type null"),
        ("state: {", "mood: {", "answer/200/state", "only theirs has it"),
        ("\"429\"", "\"409\"", "answer/409", "only ours has it"),
    ] {
        let found = ours(from, to);
        assert!(found.contains(&(at.to_owned(), what.to_owned())), "{from}: {found:?}");
    }
}
