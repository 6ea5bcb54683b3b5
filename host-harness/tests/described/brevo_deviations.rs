//! Where Brevo's OpenAPI file is not what is sent and answered, each with the reason. The file is of
//! February 2026: it has no `POST /events/batch` (changelog 2026-03-03) and no `GET /events`
//! (brevo-python 5.1.0), so that those two calls are held against `docs/brevo-openapi.yaml` only.

use super::deviation::{Deviation, deviations};

/// Calls of `docs/brevo-openapi.yaml` that the file does not have.
pub const NEWER: &[&str] = &["POST /v3/events/batch", "GET /v3/events"];

/// Found by holding exchanges against the file.
pub const OF_EXCHANGES: &[Deviation] = deviations! {
    "POST /v3/contacts/lists/", "body", "request/body" =>
        "`oneOf` of objects that name one member each and close nothing: whatever is one of them is all of them.";
    "", "undocumented-header", "answer/%/headers/x-sib-ratelimit-%" =>
        "docs/api-limits has these headers on every answer; the file has them nowhere.";
    "", "undocumented-status", "answer/status/401" =>
        "Every call refuses a key that it does not know (docs/authentication-schemes).";
    "", "undocumented-status", "answer/status/429" =>
        "Every call has a rate (docs/api-limits).";
    "POST /v3/contacts", "body", "request/body/email" =>
        "`email` is ASCII in JSON Schema; a person's address may hold other letters (RFC 6531), and Brevo's word on one of them is its answer.";
    "GET /v3/contacts/{identifier}", "body", "answer/200/body/attributes" =>
        "An object without members in the schema, which means any.";
    "POST /v3/contacts/lists/", "body", "answer/201/body%" =>
        "The schema has an envelope, the file's own examples don't; and an empty list is one of texts and one of numbers.";
    "POST /v3/events", "body", "request/body/event_properties/%" =>
        "Text, whole number, object or list in the schema; its description has numbers, booleans and dates too.";
};

/// Found by comparing `docs/brevo-openapi.yaml` with the file.
pub const OF_DESCRIPTIONS: &[Deviation] = deviations! {
    "", "only ours has it", "answer/401" =>
        "Every call refuses a key that it does not know (docs/authentication-schemes).";
    "", "only ours has it", "answer/429" =>
        "Every call has a rate (docs/api-limits).";
    "GET /v3/account", "only theirs has it", "answer/200/%" =>
        "Nothing of the account is read.";
    "POST /v3/contacts", "only theirs has it", "answer/204" =>
        "The answer to an update, which `updateEnabled: false` excludes.";
    "GET /v3/contacts/{identifier}", "only ours has it", "answer/200/whatsappBlacklisted" =>
        "In brevo-python, not in the file.";
    "POST /v3/contacts/lists/", "only ours has it", "answer/201/%" =>
        "The schema has an envelope, the file's own examples don't; both are read.";
};
