//! Logs of transactional mails (OpenAPI `DELETE /smtp/log/{identifier}`).

use super::account::{Call, encode};
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::world::HttpResponse;

/// Deletes every log of an address. The OpenAPI text names message ids only, the page
/// docs/deleting-transactional-logs of developers.brevo.com e-mail addresses as well.
pub fn delete(email: &str) -> Call {
    Call {
        method: "DELETE",
        path: format!("/smtp/log/{}", encode(email)),
        label: "/smtp/log/{email}",
        family: Family::MailOther,
        body: None,
    }
}

/// Whether logs were deleted; false where there were none.
pub fn read_delete(answer: &HttpResponse) -> Result<bool, Problem> {
    if (200..300).contains(&answer.status) {
        return Ok(true);
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(false) } else { Err(problem) }
}
