//! `options.phone_country`: how to read phone numbers that are written without their country.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use crate::json::{Scalar, whole_number};

/// The country of numbers without one. The tenant says how national numbers are told apart; which
/// digit stands before them, and whether any does, differs from country to country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneCountry {
    /// Calling code, without plus sign.
    code: String,
    /// What stands before a national number and is left out abroad, `0` in most countries.
    trunk: Option<String>,
    /// How many digits a national number has without that.
    digits: Option<usize>,
}

impl PhoneCountry {
    /// The number with its country and without plus sign, where it is a national one.
    pub fn international(&self, digits: &str) -> Option<String> {
        let national = match &self.trunk {
            Some(trunk) => digits.strip_prefix(trunk.as_str())?,
            None => digits,
        };
        let fits = self.digits.is_none_or(|count| national.len() == count);
        (fits && !national.is_empty()).then(|| format!("{}{national}", self.code))
    }

    /// True where a number with another country's code might pass for a national one.
    pub fn is_ambiguous(&self) -> bool {
        self.trunk.as_deref() != Some("0")
    }
}

/// Reads `options.phone_country`.
pub fn phone_country(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<PhoneCountry> {
    let object = problems.object(path, raw)?;
    let (mut code, mut trunk, mut count) = (None, None, None);
    let before = problems.0.len();
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "code" => code = digits(&path, raw, true, problems),
            "trunk" => trunk = digits(&path, raw, false, problems),
            "digits" => count = length(&path, raw, problems),
            _ => problems.unknown_key(&path, &["code", "trunk", "digits"]),
        }
    }
    if object.raw("code").is_none() {
        problems.missing(&below(path, "code"), "Write the country's calling code, such as \"49\".");
    }
    if object.raw("trunk").is_none() && object.raw("digits").is_none() {
        problems.missing(
            &below(path, "trunk"),
            "Write what stands before national numbers (\"0\" in most countries), or under `digits` how many they have.",
        );
    }
    (problems.0.len() == before).then_some(PhoneCountry { code: code?, trunk, digits: count })
}

/// A calling code has 1 to 3 digits and begins with none (ITU-T E.164); what stands before
/// national numbers is as short.
fn digits(path: &str, raw: &RawValue, is_code: bool, problems: &mut Problems) -> Option<String> {
    let text = problems.text(path, raw)?;
    let digits = text.strip_prefix('+').filter(|_| is_code).unwrap_or(&text);
    let fits = (1..=3).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !(is_code && digits.starts_with('0'));
    if !fits {
        problems.add(
            "bad-phone-country",
            path,
            &format!("{path} is not 1 to 3 digits, or is a code that begins with 0."),
            "Write the calling code as \"49\", and what stands before national numbers as \"0\".",
        );
    }
    fits.then(|| digits.to_owned())
}

fn length(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<usize> {
    let number = match Scalar::of(raw) {
        Scalar::Number(number) => whole_number(number).and_then(|number| number.parse().ok()),
        _ => None,
    };
    let fits = number.filter(|number| (4..=14).contains(number));
    if fits.is_none() {
        problems.add(
            "bad-phone-country",
            path,
            &format!("{path} is not a number from 4 to 14."),
            "Write how many digits a national number has, such as 10, without quotes.",
        );
    }
    fits
}
