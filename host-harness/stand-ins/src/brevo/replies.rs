//! Brevo's answers to what it does not accept.

use serde_json::json;

use super::options::DuplicateCode;
use crate::http::Reply;
use crate::journal::FindingKind;

/// Brevo's `errorModel`.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message}))
}

/// A request that the documents do not allow.
pub(super) fn violation(code: &str, message: &str) -> Reply {
    error(400, code, message).with(FindingKind::Violation, message)
}

/// brevo: PipedreamHQ/pipedream#11927.
pub(super) fn no_contact() -> Reply {
    error(404, "document_not_found", "Contact does not exist")
}

/// The 404 of a list; its words are not documented.
pub(super) fn no_list() -> Reply {
    error(404, "document_not_found", "List ID does not exist")
}

/// brevo: api-evangelist/brevo, a live probe without a key.
pub(super) fn no_key() -> Reply {
    error(401, "unauthorized", "authentication not found in headers")
        .with(FindingKind::Unauthorized, "no api-key header")
}

/// brevo: seen in several public repositories.
pub(super) fn unknown_key() -> Reply {
    error(401, "unauthorized", "Key not found").with(FindingKind::Unauthorized, "the api-key is not known")
}

/// The body of a 429 is not documented beyond `errorModel`, in which `code` may be missing.
pub(super) fn too_many() -> Reply {
    Reply::json(429, &json!({"message": "Too Many Requests"}))
}

/// brevo: `contactErrorModel` of the OpenAPI file; message of PipedreamHQ/pipedream#15034, code
/// drift of pass-culture pull request 22628.
pub(super) fn duplicate(code: DuplicateCode, verb: &str, identifiers: &[&str]) -> Reply {
    let code = match code {
        DuplicateCode::DuplicateParameter => "duplicate_parameter",
        DuplicateCode::InvalidParameter => "invalid_parameter",
    };
    let first = identifiers.first().copied().unwrap_or_default();
    let message = format!("Unable to {verb} contact, {first} is already associated with another Contact");
    Reply::json(
        400,
        &json!({"code": code, "message": message, "metadata": {"duplicate_identifiers": identifiers}}),
    )
}

/// The code is of the OpenAPI file's `errorModel`; the words are not documented.
pub(super) fn no_credits() -> Reply {
    error(402, "not_enough_credits", "Insufficient credits")
}

/// brevo: 404 of a path with an id; the words are not documented for most calls.
pub(super) fn not_found(what: &str) -> Reply {
    error(404, "document_not_found", &format!("{what} does not exist"))
}
