//! The two names of each standard attribute of a person.
//!
//! Streams and exports write keys (`u_em`). Get User documents keys as what it can export
//! (MD:api/data/data-overview.mdx, table of user attributes) and readable names in its example
//! (OpenAPI of the Data API), so both have to be expected.

use std::borrow::Cow;

use crate::json::Object;

/// Readable names and the key that each stands for. Where two names stand for one key the first
/// one counts.
// Names of the Get User example (`customer_id`, `id`, `name`, `last_name`), of the display column
// of the table, and those that clients send (RudderStack's destination,
// `MOENGAGEIdentifyAttributesConfig.json`); `moengage_distinct_id` is what segment sync calls the
// MoEngage id.
const NAMES: &[(&str, &str)] = &[
    ("customer_id", "uid"),
    ("id", "moengage_user_id"),
    ("moengage_id", "moengage_user_id"),
    ("moengage_distinct_id", "moengage_user_id"),
    ("email", "u_em"),
    ("mobile", "u_mb"),
    ("name", "u_n"),
    ("first_name", "u_fn"),
    ("last_name", "u_ln"),
    ("gender", "u_gd"),
    ("birthday", "u_bd"),
    ("created_time", "cr_t"),
    ("last_seen", "u_l_a"),
    ("sessions", "u_s_c"),
    ("revenue", "t_rev"),
    ("transactions", "t_trans"),
];

/// The attributes with every standard one under its key as well. Whatever came stays under the
/// name that it came by: a tenant may have an attribute of its own that is called `email`.
pub fn under_keys<'a>(attributes: &Object<'a>) -> Object<'a> {
    let mut all = attributes.clone();
    for (name, key) in NAMES {
        if let (Some(value), None) = (attributes.raw(name), all.raw(key)) {
            all.push(Cow::Borrowed(*key), value);
        }
    }
    all
}

/// The readable name of a standard attribute: what to call it where people read it.
pub fn readable(key: &str) -> Option<&'static str> {
    NAMES.iter().find(|(_, of)| *of == key).map(|(name, _)| *name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::json::to_json;

    fn both(text: &str) -> String {
        to_json(&under_keys(&Object::parse(text).unwrap()))
    }

    #[test]
    fn readable_names_are_found_under_their_keys() {
        assert_eq!(both(r#"{"name":"Ann","x":1.50}"#), r#"{"name":"Ann","x":1.50,"u_n":"Ann"}"#);
        assert_eq!(both(r#"{"last_name":null}"#), r#"{"last_name":null,"u_ln":null}"#);
    }

    #[test]
    fn a_key_that_is_there_counts() {
        let text = r#"{"email":"own attribute","u_em":"ann@example.com","uid":"1"}"#;
        assert_eq!(both(text), text);
        assert_eq!(
            both(r#"{"moengage_id":"b","id":"a"}"#),
            r#"{"moengage_id":"b","id":"a","moengage_user_id":"a"}"#
        );
    }
}
