//! Contact attributes: which exist, of which type, and making one.
//!
//! Brevo drops values of unknown attributes and of the wrong type without a word
//! (reference/create-contact), so the host looks before it sends.

use serde::Deserialize;

use super::account::{Call, encode};
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::contract::AttributeType;
use crate::world::HttpResponse;

/// An attribute as Brevo has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Attribute {
    /// Upper case.
    pub name: String,
    /// `normal`, `category`, `transactional`, `calculated`, `global`.
    pub category: String,
    /// `text`, `date`, `float`, `boolean`, ...; not given for some categories.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

impl Attribute {
    /// True where values of this type are kept. Calculated ones take none, and categories take
    /// option numbers; transactional ones are written like normal ones (OpenAPI `PUT /contacts`).
    pub fn takes(&self, kind: AttributeType) -> bool {
        matches!(self.category.as_str(), "normal" | "transactional")
            && self.kind.as_deref() == Some(wire_type(kind))
    }
}

/// Brevo's word for a type (OpenAPI `POST /contacts/attributes/{category}/{name}`).
pub fn wire_type(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::Text => "text",
        AttributeType::Number => "float",
        AttributeType::Boolean => "boolean",
        AttributeType::Date => "date",
    }
}

/// Brevo's own attributes have other names in other languages and older accounts; the first that
/// exists is meant (OpenAPI examples use FNAME and LNAME; French accounts have PRENOM and NOM).
pub fn names_of(name: &str) -> &'static [&'static str] {
    match name {
        "FIRSTNAME" => &["FIRSTNAME", "PRENOM", "FNAME"],
        "LASTNAME" => &["LASTNAME", "NOM", "LNAME"],
        _ => &[],
    }
}

/// True for names that the host creates. Brevo documents no rule, so this one is strict.
pub fn is_creatable_name(name: &str) -> bool {
    name.len() <= 50
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// `GET /contacts/attributes`
pub fn list() -> Call {
    Call {
        method: "GET",
        path: "/contacts/attributes".into(),
        label: "/contacts/attributes",
        family: Family::Contacts,
        body: None,
    }
}

/// All attributes of the account.
pub fn read_list(answer: &HttpResponse) -> Result<Vec<Attribute>, Problem> {
    #[derive(Deserialize)]
    struct List {
        attributes: Vec<Attribute>,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    serde_json::from_slice::<List>(&answer.body)
        .map(|list| list.attributes)
        .map_err(|_| Problem { status: 200, kind: Kind::Unexpected })
}

/// `POST /contacts/attributes/normal/{name}`
pub fn create(name: &str, kind: AttributeType) -> Call {
    Call {
        method: "POST",
        path: format!("/contacts/attributes/normal/{}", encode(name)),
        label: "/contacts/attributes/normal/{name}",
        family: Family::Contacts,
        body: Some(json(&serde_json::json!({ "type": wire_type(kind) }))),
    }
}

/// Whether it was created. A name that exists already is a [`Kind::Duplicate`].
pub fn read_create(answer: &HttpResponse) -> Result<(), Problem> {
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(errors::classify(answer)) }
}
