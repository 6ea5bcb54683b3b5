//! JSON that is borrowed, kept exactly as it was written, and checked once.
//!
//! Values stay raw text: a number never passes through a float, and an attribute that we only
//! carry is copied byte for byte. [`check`] makes sure that such a copy is JSON that everybody
//! else can read too.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// Deepest nesting that the contract allows (`json` in `wit/v0.1/types.wit`).
const MAX_DEPTH: u8 = 100;

/// The key by which `serde_json` smuggles raw text through its own data model. Whoever reads an
/// object that starts with it into a `serde_json::Value` gets something else than was written.
const RAW_VALUE_KEY: &str = "$serde_json::private::RawValue";

/// What a JSON text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An object names one key twice.
    DuplicateKey,
    /// Nested deeper than the contract allows.
    TooDeep,
    /// A key that JSON libraries give a meaning of their own.
    ReservedKey,
    /// Not JSON, or a string or number that JSON can write but nobody can read: half of a
    /// surrogate pair, a number beyond the range of a double.
    Unreadable,
}

impl Fault {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate-key",
            Self::TooDeep => "too-deep",
            Self::ReservedKey => "reserved-key",
            Self::Unreadable => "unreadable-value",
        }
    }

    /// What is wrong, one sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::DuplicateKey => "An object names the same key twice.",
            Self::TooDeep => "It is nested more than 100 levels deep.",
            Self::ReservedKey => "An object has a key that JSON libraries use for themselves.",
            Self::Unreadable => "It is not JSON, or it holds a broken escape or a number out of range.",
        }
    }
}

/// Checks one JSON text completely: syntax, depth, duplicate keys, readable strings and numbers.
pub fn check(text: &str) -> Result<(), Fault> {
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Walk { depth: 0, fault: &fault }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|_| fault.get().unwrap_or(Fault::Unreadable))
}

/// Visits everything and keeps nothing.
struct Walk<'c> {
    depth: u8,
    fault: &'c Cell<Option<Fault>>,
}

impl Walk<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(Fault::TooDeep));
        }
        Ok(Walk { depth: self.depth + 1, fault: self.fault })
    }

    fn fail<E: serde::de::Error>(&self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom(fault.code())
    }

    fn again(&self) -> Self {
        Walk { depth: self.depth, fault: self.fault }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while items.next_element_seed(inside.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut keys = Keys::default();
        while let Some(Text(key)) = entries.next_key()? {
            if key == RAW_VALUE_KEY {
                return Err(self.fail(Fault::ReservedKey));
            }
            if !keys.insert(key) {
                return Err(self.fail(Fault::DuplicateKey));
            }
            entries.next_value_seed(inside.again())?;
        }
        Ok(())
    }
}

/// Keys of one object: a short list is searched faster than a tree.
struct Keys<K> {
    few: Vec<K>,
    many: BTreeSet<K>,
}

impl<K> Default for Keys<K> {
    fn default() -> Self {
        Self { few: Vec::new(), many: BTreeSet::new() }
    }
}

impl<K: Ord> Keys<K> {
    const FEW: usize = 16;

    /// False where the key is there already.
    fn insert(&mut self, key: K) -> bool {
        if self.few.contains(&key) || self.many.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

/// A string that borrows where the text has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object in the order in which it was written, its values raw.
#[derive(Clone, Debug, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The object that a text is, or nothing where it isn't one.
    pub fn parse(text: &'a str) -> Option<Self> {
        // An error of the parser costs more than a whole small object.
        begins_with(text, b'{').then(|| serde_json::from_str(text).ok())?
    }

    /// The value under a key.
    pub fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The value under a key, read as a scalar.
    pub fn get(&self, key: &str) -> Option<Scalar<'a>> {
        self.raw(key).map(Scalar::of)
    }

    /// Keys and values in the order in which they were written.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// Adds an entry behind the others.
    pub fn push(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        self.0.push((key, value));
    }

    /// True where a key is there twice.
    pub fn has_duplicate(&self) -> bool {
        let mut keys = Keys::default();
        !self.0.iter().all(|(key, _)| keys.insert(key.as_ref()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries).map(Object)
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The elements of a list, or nothing where the text isn't one.
pub fn elements(text: &str) -> Option<Vec<&RawValue>> {
    begins_with(text, b'[').then(|| serde_json::from_str(text).ok())?
}

fn begins_with(text: &str, first: u8) -> bool {
    text.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(first)
}

/// True where the text is JSON by its syntax.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A value, as far as it is one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written.
    Number(&'a str),
    /// A string, escapes resolved.
    Text(Cow<'a, str>),
    /// A list or an object.
    Compound,
}

impl<'a> Scalar<'a> {
    /// Reads a raw value.
    pub fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'-' | b'0'..=b'9') => Self::Number(text),
            // A checked text always decodes. An unchecked one with half of a surrogate pair
            // is no string to anybody.
            Some(b'"') => match serde_json::from_str(text) {
                Ok(Text(text)) => Self::Text(text),
                Err(_) => Self::Compound,
            },
            _ => Self::Compound,
        }
    }

    /// True where the value is `null`.
    pub fn is_null(raw: &RawValue) -> bool {
        raw.get().starts_with('n')
    }

    /// The text, where it is one.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Writes a value as JSON.
pub fn to_json<T: Serialize>(value: &T) -> String {
    // Serialising to a string fails only for maps with non-string keys and for `Serialize`
    // implementations that fail by themselves; ours are neither.
    #[allow(clippy::expect_used)]
    serde_json::to_string(value).expect("our own types are JSON")
}

/// The whole number that a JSON number with a zero fraction stands for, exactly, as decimal text.
///
/// Plain integers of any length are returned as they are. A number written as a float counts
/// only below 2^53: from there on it may already be another number than the one meant.
pub fn whole_number(number: &str) -> Option<Cow<'_, str>> {
    const FIRST_UNSAFE: f64 = 9_007_199_254_740_992.0; // 2^53
    if !number.contains(['.', 'e', 'E']) {
        return Some(Cow::Borrowed(if number == "-0" { "0" } else { number }));
    }
    let value: f64 = number.parse().ok()?;
    (value.fract() == 0.0 && value.abs() < FIRST_UNSAFE).then(|| Cow::Owned(format!("{}", value as i64)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(check(r#"{"a":{"b":1,"b":2}}"#), Err(Fault::DuplicateKey));
        assert_eq!(check(r#"{"a":1,"\u0061":2}"#), Err(Fault::DuplicateKey));
        assert_eq!(check(r#"{"a":"\ud800"}"#), Err(Fault::Unreadable));
        assert_eq!(check(r#"{"a":1e400}"#), Err(Fault::Unreadable));
        assert_eq!(check(r#"{"a":1} x"#), Err(Fault::Unreadable));
        assert_eq!(check(r#"{"$serde_json::private::RawValue":"["}"#), Err(Fault::ReservedKey));
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(&nested(100)), Ok(()));
        assert_eq!(check(&nested(101)), Err(Fault::TooDeep));
        assert_eq!(check(&nested(100_000)), Err(Fault::TooDeep));
    }

    #[test]
    fn whole_numbers_are_exact_or_refused() {
        assert_eq!(whole_number("4000052183.0").as_deref(), Some("4000052183"));
        assert_eq!(whole_number("4.000052183e9").as_deref(), Some("4000052183"));
        assert_eq!(whole_number("9007199254740991.0").as_deref(), Some("9007199254740991"));
        assert_eq!(whole_number("9007199254740992.0"), None);
        assert_eq!(whole_number("12.5"), None);
        assert_eq!(whole_number("1e999"), None);
        let long = "123456789012345678901234567890";
        assert_eq!(whole_number(long).as_deref(), Some(long));
        assert_eq!(whole_number("-7").as_deref(), Some("-7"));
    }

    proptest! {
        #[test]
        fn checked_text_is_readable_by_others(text in "[\\[\\]{}\":,0-9eE.a-z\\\\u -]{0,60}") {
            if check(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }

        #[test]
        fn objects_are_written_as_they_were_read(keys in proptest::collection::btree_map(".{0,8}", any::<i64>(), 0..8)) {
            let text = serde_json::to_string(&keys).unwrap();
            prop_assert_eq!(to_json(&Object::parse(&text).unwrap()), text);
        }
    }
}
