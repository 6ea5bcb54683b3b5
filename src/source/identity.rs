//! Who an event is about: customer id, MoEngage id, e-mail address, phone number.

use std::borrow::Cow;

use crate::json::{Scalar, whole_number};
use crate::model::ids::MAX_ID_BYTES;
use crate::settings::PhoneCountry;

/// Why a value can't be anybody's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Bytes were replaced when the text was decoded: two different ids may look the same now.
    Unreadable,
    /// A fraction, or a float from 2^53 on, which may already be another number.
    Float,
    /// Not a text and not a number.
    WrongType,
    /// The contract has no ids with control characters.
    ControlCharacter,
    /// Longer than any id may be.
    TooLong,
}

impl Unusable {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable-identity",
            Self::Float => "float-identity",
            Self::WrongType => "wrong-type-identity",
            Self::ControlCharacter => "control-character-identity",
            Self::TooLong => "identity-too-long",
        }
    }
}

/// Reads an id. Texts stay as they are; whole numbers become their exact decimal text, also
/// where they were written as floats (JULO fixtures: `4000052183.0`). Missing, null and blank
/// are no id.
pub fn id(value: Option<Scalar<'_>>) -> Result<Option<Cow<'_, str>>, Unusable> {
    let id = match value {
        None | Some(Scalar::Null) => return Ok(None),
        Some(Scalar::Text(text)) => text,
        Some(Scalar::Number(number)) => whole_number(number).ok_or(Unusable::Float)?,
        Some(Scalar::Bool(_) | Scalar::Compound) => return Err(Unusable::WrongType),
    };
    if id.trim().is_empty() {
        return Ok(None);
    }
    if id.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Unusable::Unreadable);
    }
    // The contract has no such ids, and a host takes one for a broken connector.
    if id.chars().any(char::is_control) {
        return Err(Unusable::ControlCharacter);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Unusable::TooLong);
    }
    Ok(Some(id))
}

/// True for the words that MoEngage refuses as a customer id, because every visitor could have
/// them. Compared without case: taking one for an identity would make one person of many.
pub fn is_refused_customer_id(uid: &str) -> bool {
    // MD:api/data/data-overview.mdx
    const REFUSED: [&str; 22] = [
        "unknown",
        "guest",
        "null",
        "0",
        "1",
        "2",
        "-1",
        "-2",
        "true",
        "false",
        "user_attribute_unique_id",
        "(empty)",
        "na",
        "n/a",
        "\"\"",
        "dummy_seller_code",
        "user_id",
        "id",
        "customer_id",
        "uid",
        "userid",
        "none",
    ];
    let uid = uid.trim();
    REFUSED.iter().any(|refused| uid.eq_ignore_ascii_case(refused))
}

/// True where a text has the shape of an e-mail address. Whether it exists is Brevo's question.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain =
        |part: &str| !part.chars().any(|c| c.is_whitespace() || c.is_control() || unseen(c) || c == '@');
    // RFC 5321, 4.5.3.1: 64 for the local part, 254 for the whole.
    (1..=64).contains(&local.len())
        && text.len() <= 254
        && plain(local)
        && plain(domain)
        && domain.contains('.')
        // `[127.0.0.1]` is an address of a machine, and no customer's mailbox.
        && !domain.starts_with('[')
        && !domain.ends_with('>')
        && domain.split('.').all(|label| !label.is_empty())
}

/// Characters that nobody sees and that make two addresses look like one: zero width, and those that
/// turn the direction of writing.
fn unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What a phone number turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phone {
    /// E.164 with a plus sign.
    Known(String),
    /// Digits that may be national or international.
    WithoutCountry,
    /// Not a phone number.
    Unusable,
}

/// Reads a phone number. MoEngage has both `+91...` and bare digits (`918888444411` in
/// MD:api/data/data-overview.mdx); a bare number is only taken for international, or for one of a
/// country, where the tenant says so.
pub fn phone(text: &str, country: Option<&PhoneCountry>, bare_is_international: bool) -> Phone {
    let (plus, rest) = match text.trim().strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    let mut digits = String::with_capacity(rest.len().min(20));
    for c in rest.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' => {}
            _ => return Phone::Unusable,
        }
    }
    let national = |digits: &str| country.and_then(|country| country.international(digits));
    let international = match digits.strip_prefix("00") {
        Some(rest) if !plus => Some(rest.to_owned()),
        _ if plus => Some(digits.clone()),
        _ => national(&digits)
            .or_else(|| (bare_is_international && !digits.starts_with('0')).then(|| digits.clone())),
    };
    // E.164: at most 15 digits; country codes don't start with 0. Shorter than 7 is no subscriber.
    let plausible = |digits: &str| (7..=15).contains(&digits.len()) && !digits.starts_with('0');
    match international {
        Some(digits) if plausible(&digits) => Phone::Known(format!("+{digits}")),
        Some(_) => Phone::Unusable,
        None if (4..=15).contains(&digits.len()) => Phone::WithoutCountry,
        None => Phone::Unusable,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Result<Option<String>, Unusable> {
        id(Some(Scalar::Number(text))).map(|id| id.map(Cow::into_owned))
    }

    #[test]
    fn numbers_keep_every_digit() {
        let long = "98765432109876543210987654321";
        assert_eq!(number(long).unwrap().as_deref(), Some(long));
        assert_eq!(number("4000052183.0").unwrap().as_deref(), Some("4000052183"));
        assert_eq!(number("9007199254740993.0"), Err(Unusable::Float));
        assert_eq!(number("7.5"), Err(Unusable::Float));
    }

    #[test]
    fn texts_stay_as_they_are() {
        let text = |text: &'static str| id(Some(Scalar::Text(text.into())));
        assert_eq!(text("4000052183.0").unwrap().as_deref(), Some("4000052183.0"));
        assert_eq!(text("0042").unwrap().as_deref(), Some("0042"));
        assert_eq!(text("  ").unwrap(), None);
        assert_eq!(text("caf\u{FFFD}"), Err(Unusable::Unreadable));
    }

    #[test]
    fn d11_phones_need_a_country() {
        let known = |text: &str| Phone::Known(text.to_owned());
        assert_eq!(phone("+91 88884-44411", None, false), known("+918888444411"));
        assert_eq!(phone("0091 8888 444411", None, false), known("+918888444411"));
        assert_eq!(phone("918888444411", None, false), Phone::WithoutCountry);
        assert_eq!(phone("918888444411", None, true), known("+918888444411"));
        assert_eq!(phone("08888444411", None, true), Phone::WithoutCountry);
        assert_eq!(phone("+0123456789", None, false), Phone::Unusable);
        assert_eq!(phone("+1234567890123456", None, false), Phone::Unusable);
        assert_eq!(phone("++918888444411", None, false), Phone::Unusable);
        assert_eq!(phone("call me", None, false), Phone::Unusable);
        assert_eq!(phone("", None, true), Phone::Unusable);
    }

    #[test]
    fn email_shapes() {
        for good in ["a@b.co", "x+y@sub.example.com", "ü@example.org"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "a@b", "@b.co", "a@b..co", "a b@c.de", "a@b@c.de", "a@b.co\n"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_known_phone_is_e164(text in "[+0-9 ().-]{0,24}", bare: bool) {
            if let Phone::Known(phone) = phone(&text, None, bare) {
                prop_assert!(phone.starts_with('+') && (8..=16).contains(&phone.len()));
                prop_assert!(phone[1..].bytes().all(|b| b.is_ascii_digit()) && !phone.starts_with("+0"));
            }
        }
    }
}
