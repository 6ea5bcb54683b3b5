//! Stable ids: `moengage:<workspace>:<kind>:<vendor key>`.
//!
//! The same thing has the same id at every door, for ever. Each part is escaped, so that no two
//! different things can ever share one.

use std::fmt::Write as _;

/// Largest id that the contract allows, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// A record's id, or nothing where it would be longer than the contract allows.
pub fn record_id(workspace: &str, kind: &str, key: &str) -> Option<String> {
    let mut id = String::with_capacity(64);
    id.push_str("moengage:");
    escape_into(&mut id, workspace);
    id.push(':');
    escape_into(&mut id, kind);
    id.push(':');
    escape_into(&mut id, key);
    (id.len() <= MAX_ID_BYTES).then_some(id)
}

/// A contact's key. The customer's own id where there is one: a returning user gets a new MoEngage
/// id after archival or deletion (documented by MoEngage), so that is only the second choice.
/// Where neither is there, what one event says about a person stays on its own.
pub fn contact_key(uid: Option<&str>, moengage_user_id: Option<&str>, event_uuid: &str) -> String {
    match (uid, moengage_user_id) {
        (Some(uid), _) => format!("uid.{uid}"),
        (None, Some(id)) => format!("mid.{id}"),
        (None, None) => format!("event.{event_uuid}"),
    }
}

/// Escapes what separates parts, and control characters, as `%XX`.
fn escape_into(out: &mut String, part: &str) {
    for c in part.chars() {
        if c == ':' || c == '%' || c.is_ascii_control() {
            // Writing to a string can't fail.
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn separators_are_escaped() {
        assert_eq!(
            record_id("ABC", "contact", "uid.a:b%c\n").unwrap(),
            "moengage:ABC:contact:uid.a%3Ab%25c%0A"
        );
    }

    #[test]
    fn too_long_is_no_id() {
        assert_eq!(record_id("ABC", "event", &"x".repeat(513)), None);
    }

    proptest! {
        #[test]
        fn different_parts_give_different_ids(
            a in proptest::array::uniform3("[a:%0-9A\n.]{0,6}"),
            b in proptest::array::uniform3("[a:%0-9A\n.]{0,6}"),
        ) {
            let id = |p: &[String; 3]| record_id(&p[0], &p[1], &p[2]).unwrap();
            prop_assert_eq!(id(&a) == id(&b), a == b);
        }

        #[test]
        fn different_names_give_different_contact_keys(
            a in (proptest::option::of("[a-z.]{0,6}"), proptest::option::of("[a-z.]{0,6}")),
            b in (proptest::option::of("[a-z.]{0,6}"), proptest::option::of("[a-z.]{0,6}")),
        ) {
            let key = |p: &(Option<String>, Option<String>)| contact_key(p.0.as_deref(), p.1.as_deref(), "e");
            let same = if a.0.is_some() || b.0.is_some() { a.0 == b.0 } else { a.1 == b.1 };
            prop_assert_eq!(key(&a) == key(&b), same);
        }
    }
}
