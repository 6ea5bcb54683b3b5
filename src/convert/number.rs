//! Numbers, as Brevo takes them: at most 15 digits (Brevo help 10582214160274). Decimal text all
//! the way, because a double would change digits without a word.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::Scalar;

/// Brevo's most digits of a number.
const MAX_DIGITS: usize = 15;

/// A text that is a JSON number, spaces around it left out.
pub fn plain(text: &str) -> Option<String> {
    json(text.trim().to_owned()).map(|json| json.get().to_owned())
}

/// A JSON number.
pub fn json(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok().filter(|raw| matches!(Scalar::of(raw), Scalar::Number(_)))
}

/// A number with a decimal mark, and with digits in groups of three or in none.
pub fn grouped(text: &str, decimal: char) -> Option<Box<RawValue>> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = match text.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mark =
        |c: char| c != decimal && matches!(c, ',' | '.' | ' ' | '\'' | '\u{2019}' | '\u{a0}' | '\u{202f}');
    let mut groups = whole.split(mark);
    let first = groups.next().filter(|first| digits(first))?;
    let mut all = first.to_owned();
    let mut grouped = false;
    for group in groups {
        if !digits(group) || group.len() != 3 || first.len() > 3 {
            return None;
        }
        all.push_str(group);
        grouped = true;
    }
    // 1.234,567.8 has two kinds of marks in its groups, and nobody knows what it means.
    if grouped && whole.chars().filter(|c| mark(*c)).any(|c| Some(c) != whole.chars().find(|c| mark(*c))) {
        return None;
    }
    let fraction = match fraction {
        Some(fraction) if digits(fraction) => format!(".{fraction}"),
        Some(_) => return None,
        None => String::new(),
    };
    let whole = match all.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    json(format!("{sign}{whole}{fraction}"))
}

/// Rounded to that many digits after the point, halves away from zero.
pub fn rounded(number: &str, places: usize) -> Option<Box<RawValue>> {
    let number = without_exponent(number)?;
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number.as_ref()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept: String = fraction.chars().take(places).collect();
    let up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    // The kept digits as one whole number, to which the half is added.
    let mut all = format!("0{whole}{kept}").into_bytes();
    for digit in all.iter_mut().rev().take_while(|_| up) {
        if *digit != b'9' {
            *digit += 1;
            break;
        }
        *digit = b'0';
    }
    let all = String::from_utf8(all).ok()?;
    let (whole, fraction) = all.split_at_checked(all.len() - kept.len())?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = fraction.trim_end_matches('0');
    let sign = if whole == "0" && fraction.is_empty() { "" } else { sign };
    json(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The number, where Brevo takes it. Digits behind the point that are too many are rounded off:
/// 0.1 + 0.2 is written as 0.30000000000000004 by whoever reckons with doubles.
pub fn fitting(number: Cow<'_, RawValue>) -> Option<Cow<'_, RawValue>> {
    if fits(number.get()) {
        return Some(number);
    }
    let plain = without_exponent(number.get())?;
    let whole = plain.trim_start_matches('-').split('.').next()?.trim_start_matches('0').len();
    let places = MAX_DIGITS.checked_sub(whole.max(1))?;
    let rounded = rounded(&plain, places)?;
    fits(rounded.get()).then_some(Cow::Owned(rounded))
}

fn fits(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    digits <= MAX_DIGITS && number.parse::<f64>().is_ok_and(|value| value.abs() < 1e15)
}

/// The same number without an exponent, where it is not beyond all use.
fn without_exponent(number: &str) -> Option<Cow<'_, str>> {
    if !number.contains(['e', 'E']) {
        return Some(Cow::Borrowed(number));
    }
    let value: f64 = number.parse().ok()?;
    (value.abs() < 1e15).then(|| Cow::Owned(format!("{value}")))
}
