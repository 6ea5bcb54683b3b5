//! The one rule by which names at Brevo come from MoEngage's: the source's prefix, then MoEngage's
//! readable name without its own mark; attributes in capitals, events in small letters, and
//! everything but letters and digits as underscores.

use super::mapping::is_attribute_name;
use crate::source::readable;

/// MoEngage's own marks of names say nothing at Brevo: `MOE_EMAIL_OPEN`, `NOTIFICATION_RECEIVED_MOE`,
/// `moe_rsu`.
pub fn without_mark(name: &str) -> &str {
    name.strip_prefix("MOE_")
        .or_else(|| name.strip_prefix("moe_"))
        .or_else(|| name.strip_suffix("_MOE"))
        .unwrap_or(name)
}

/// Why a name can't be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underivable {
    /// Letters would be lost that tell names apart.
    Script,
    TooLong,
}

impl Underivable {
    pub fn code(self) -> &'static str {
        match self {
            Self::Script => "no-derived-name",
            Self::TooLong => "derived-name-too-long",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Script => "No name of letters A to Z, digits and underscores comes from it.",
            Self::TooLong => "The name that comes from it is longer than 50 characters.",
        }
    }
}

/// The Brevo attribute that carries a user attribute where the tenant names none.
pub fn derived_attribute(prefix: &str, from: &str) -> Result<String, Underivable> {
    let from = without_mark(readable(from).unwrap_or(from));
    if !from.is_ascii() || !from.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return Err(Underivable::Script);
    }
    let letter = |b: u8| if b.is_ascii_alphanumeric() { char::from(b.to_ascii_uppercase()) } else { '_' };
    let name: String = prefix.chars().chain(from.bytes().map(letter)).collect();
    match name.len() {
        0..=50 if is_attribute_name(&name) => Ok(name),
        0..=50 => Err(Underivable::Script),
        _ => Err(Underivable::TooLong),
    }
}
