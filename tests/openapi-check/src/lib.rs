//! Recorded HTTP exchanges held against OpenAPI descriptions.
//!
//! A description is OpenAPI 3.0 or 3.1, in YAML or JSON, with references into itself only. An
//! exchange is one line of JSON ([`exchange::Exchange`]); what is not as described becomes a
//! [`Violation`], one line of JSON as well.

pub mod check;
pub mod compare;
pub mod document;
pub mod exchange;
pub mod operation;
pub mod schema;

use serde::Serialize;

/// Something that is not as a description says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Method and path template; method and path where no template fits.
    pub call: String,
    /// Stable, `lower-kebab-case`.
    pub rule: &'static str,
    /// Where in the exchange, for instance `request/body/limit`. Numbers of list entries are `*`,
    /// so that the same fault of a hundred entries is one.
    pub at: String,
    /// For a person.
    pub detail: String,
}
