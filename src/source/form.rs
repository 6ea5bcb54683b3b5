//! Form bodies as one flat JSON object of texts, so that everything behind reads one language.

use crate::json::to_json;

/// Reads `application/x-www-form-urlencoded`, as the URL standard of the WHATWG says it: pairs
/// between `&`, `+` for a space, `%XX` for a byte. Bytes that are not UTF-8 become U+FFFD. A field
/// that is there twice stays there twice, for the check of duplicate keys to find.
pub fn to_object(body: &[u8]) -> String {
    let mut json = String::with_capacity(body.len() + 16);
    json.push('{');
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => pair.split_at(at),
            None => (pair, &[][..]),
        };
        let value = value.get(1..).unwrap_or_default();
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&to_json(&decoded(name)));
        json.push(':');
        json.push_str(&to_json(&decoded(value)));
    }
    json.push('}');
    json
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let byte = match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_decoded() {
        assert_eq!(
            to_object(b"a=1&b+c=%C3%BC+%2B&empty=&bare&&=x&q=a%3Db&p=50%&z=%zz"),
            r#"{"a":"1","b c":"ü +","empty":"","bare":"","":"x","q":"a=b","p":"50%","z":"%zz"}"#
        );
        assert_eq!(to_object(b""), "{}");
        assert_eq!(to_object(b"a=%FC"), "{\"a\":\"\u{FFFD}\"}");
        assert_eq!(to_object(b"a=1&a=2"), r#"{"a":"1","a":"2"}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_become_json(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(crate::json::is_json(&to_object(&bytes)));
        }

        #[test]
        fn what_was_encoded_comes_back(text in ".{0,20}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decoded(encoded.as_bytes()), text);
        }
    }
}
