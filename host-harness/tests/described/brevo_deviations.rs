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
    "GET /v3/contacts", "body", "answer/200/body/contacts/*/email" =>
        "As in the request.";
    "GET /v3/contacts", "body", "answer/200/body%/attributes" =>
        "An object without members in the schema, which means any.";
    "POST /v3/contacts/lists/", "body", "answer/201/body%" =>
        "The schema has an envelope, the file's own examples don't; and an empty list is one of texts and one of numbers.";
    "POST /v3/transactionalSMS/send", "body", "request/body/tag" =>
        "An object with a member `field` in the schema, whose description and brevo-python have what is sent: a text, or a list of texts.";
    "GET /v3/crm/notes", "body", "answer/200/body/*" =>
        "`companyIds` is among what a note is made with, and not in the schema of what is read.";
    "GET /v3/crm/tasks", "body", "answer/200/body/items/*" =>
        "The schema requires `date` and does not name it; brevo-python names what else a task is read back with.";
    "GET /v3/crm/tasktypes", "body", "answer/200/body" =>
        "One object in the schema, where the text says all; brevo-python has a list.";
    "POST /v3/crm/tasks", "undocumented-body", "answer/400/body" =>
        "The file leaves the body of this refusal out; those of every other call have a code and a message.";
    "GET /v3/objects/", "undocumented-body", "answer/40%/body" =>
        "As for tasks.";
    "POST /v3/objects/", "undocumented-body", "answer/40%/body" =>
        "As for tasks.";
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
    "GET /v3/contacts", "only ours has it", "answer/200/contacts/*/whatsappBlacklisted" =>
        "In brevo-python, not in the file.";
    "POST /v3/smtp/email", "only ours has it", "answer/402" =>
        "`not_enough_credits` is among this call's codes in the file, and 402 its status where the file names one (`sendNow`).";
    "POST /v3/transactionalSMS/send", "only ours has it", "answer/402" =>
        "As for mails.";
    "POST /v3/transactionalSMS/send", "theirs does not allow the type", "request/body/tag" =>
        "An object with a member `field` in the schema, whose description and brevo-python have what is sent: a text, or a list of texts.";
    "GET /v3/emailCampaigns/", "only theirs has it", "answer/200/%" =>
        "Only where a campaign stands is read.";
    "", "only ours has application/json", "answer/4%" =>
        "The file leaves the body of some refusals out; those of every other call have a code and a message.";
    "", "only theirs has it", "answer/500" =>
        "Any call may fail; that is no answer of one call.";
    "GET /v3/crm/notes", "only ours has it", "answer/200/*/companyIds" =>
        "Among what a note is made with, and not in the schema of what is read.";
    "GET /v3/crm/tasks", "only ours has it", "answer/200/items/*/%" =>
        "The schema requires `date` and does not name it; brevo-python names what else a task is read back with.";
    "POST /v3/contacts/lists/", "only ours has it", "answer/201/%" =>
        "The schema has an envelope, the file's own examples don't; both are read.";
};
