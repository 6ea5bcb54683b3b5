//! The contract's rule for JSON text: RFC 8259, at most 100 levels, no duplicate keys.
//!
//! Checked in one pass without building a value, because every record passes here.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Levels of nesting that are accepted.
pub const MAX_DEPTH: u32 = 100;

/// Why a text is not acceptable JSON. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON at all, or a number that no double can hold.
    #[error("not JSON (line {line}, column {column})")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// An object has the same key twice.
    #[error("an object has the same key twice")]
    DuplicateKey,
    /// Well-formed, but an object was asked for.
    #[error("not an object")]
    NotAnObject,
}

/// Checks a whole text.
pub fn check(text: &str) -> Result<(), JsonFault> {
    let mut found = Found::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    let result = Level { depth: 1, found: &mut found }.deserialize(&mut parser).and_then(|()| parser.end());
    match (result, found) {
        (_, Found { depth: true, .. }) => Err(JsonFault::Depth),
        (_, Found { duplicate: true, .. }) => Err(JsonFault::DuplicateKey),
        (Err(e), _) => Err(JsonFault::Syntax { line: e.line(), column: e.column() }),
        (Ok(()), _) => Ok(()),
    }
}

/// Checks a whole text that must be an object.
pub fn check_object(text: &str) -> Result<(), JsonFault> {
    check(text)?;
    match text.trim_start().starts_with('{') {
        true => Ok(()),
        false => Err(JsonFault::NotAnObject),
    }
}

#[derive(Default)]
struct Found {
    depth: bool,
    duplicate: bool,
}

/// Walks one value. serde_json refuses more than 128 levels by itself, so the stack is safe.
struct Level<'a> {
    depth: u32,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let found = self.found;
        if self.depth > MAX_DEPTH {
            found.depth = true;
            return Err(A::Error::custom("depth"));
        }
        while items.next_element_seed(Level { depth: self.depth + 1, found })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let found = self.found;
        if self.depth > MAX_DEPTH {
            found.depth = true;
            return Err(A::Error::custom("depth"));
        }
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key()? {
            if !keys.insert(key) {
                found.duplicate = true;
                return Err(A::Error::custom("duplicate"));
            }
            entries.next_value_seed(Level { depth: self.depth + 1, found })?;
        }
        Ok(())
    }
}

/// Keys of one object: a short list is searched faster than it is hashed.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Key<'a>>,
    many: HashSet<Key<'a>>,
}

impl<'a> Keys<'a> {
    const FEW: usize = 16;

    fn insert(&mut self, key: Key<'a>) -> bool {
        if self.few.contains(&key) || self.many.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        true
    }
}

/// Borrows from the text wherever the key has no escapes.
#[derive(PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn d02_depth_is_counted_exactly() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&nested(100)), Ok(()));
        assert_eq!(check(&nested(101)), Err(JsonFault::Depth));
        assert_eq!(check(&nested(100_000)), Err(JsonFault::Depth));
    }

    #[test]
    fn d05_duplicate_keys_are_refused_also_behind_escapes_and_in_long_objects() {
        assert_eq!(check(r#"{"a":1,"a":2}"#), Err(JsonFault::DuplicateKey));
        assert_eq!(check(r#"{"a":1,"\u0061":2}"#), Err(JsonFault::DuplicateKey));
        assert_eq!(check(r#"[{"x":{"a":1,"b":1,"a":1}}]"#), Err(JsonFault::DuplicateKey));
        let long: Vec<_> = (0..40).map(|i| format!("\"k{i}\":{i}")).collect();
        assert_eq!(check(&format!("{{{}}}", long.join(","))), Ok(()));
        assert_eq!(check(&format!("{{{},\"k33\":0}}", long.join(","))), Err(JsonFault::DuplicateKey));
    }

    #[test]
    fn d06_what_is_not_json_is_refused() {
        for text in ["", " ", "{", "[1,]", "{\"a\":1} x", "NaN", "1e400", "\"\\ud800\"", "\u{feff}{}", "'a'"]
        {
            assert!(matches!(check(text), Err(JsonFault::Syntax { .. })), "{text:?}");
        }
    }

    #[test]
    fn an_object_is_an_object() {
        assert_eq!(check_object(" {\"a\":null}"), Ok(()));
        assert_eq!(check_object("[]"), Err(JsonFault::NotAnObject));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in "[\\[\\]{}:,\"a-c0-9.e \\\\-]{0,24}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            match check(&text) {
                Ok(()) => prop_assert!(theirs),
                Err(JsonFault::DuplicateKey) => {}
                Err(_) => prop_assert!(!theirs),
            }
        }
    }
}
