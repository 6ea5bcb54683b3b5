//! What a vendor's answer says about its rate limits, read strictly.
//!
//! Known spellings: `retry-after` (RFC 9110: seconds or a date), `x-ratelimit-*` and
//! `x-sib-ratelimit-*`. A value that is not exactly what it should be counts as absent, because
//! a lenient reading of `NaN` or `1e3` decides how long nothing is sent.

use crate::world::Millis;

/// Shortest and longest wait that a header can ask for.
pub const WAIT: (Millis, Millis) = (1_000, 3_600_000);

/// A reset below this is seconds to wait, otherwise seconds since 1970.
// MoEngage documents both: "seconds remaining" (MD:api/data/data-overview.mdx) and UTC epoch
// seconds (MD:api/rate-limits.mdx).
const EPOCH_FROM: u64 = 1_000_000;

/// What an answer says. Everything may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Calls in the window.
    pub limit: Option<u64>,
    /// Calls that are left in it.
    pub remaining: Option<u64>,
    /// Until the window starts anew, from now, within [`WAIT`].
    pub reset: Option<Millis>,
    /// Asked to wait, from now, within [`WAIT`].
    pub retry_after: Option<Millis>,
}

impl RateHeaders {
    /// Reads headers with lower-case names. `now` is host time.
    pub fn read(headers: &[(String, String)], now: Millis) -> Self {
        let one = |names: [&str; 2]| names.into_iter().find_map(|name| single(headers, name));
        let reset = one(["x-sib-ratelimit-reset", "x-ratelimit-reset"]).and_then(digits);
        Self {
            // "5, 5;w=60" (MoEngage push): the first number is the limit.
            limit: one(["x-sib-ratelimit-limit", "x-ratelimit-limit"])
                .and_then(|value| digits(value.split([',', ';']).next().unwrap_or(value))),
            remaining: one(["x-sib-ratelimit-remaining", "x-ratelimit-remaining"]).and_then(digits),
            reset: reset.and_then(|seconds| match seconds {
                0..EPOCH_FROM => Some(clamp(seconds)),
                _ => until(i64::try_from(seconds).ok()?.checked_mul(1_000)?, now),
            }),
            retry_after: single(headers, "retry-after").and_then(|value| retry_after(value, now)),
        }
    }

    /// How long to send nothing, if the answer says so: always with `retry-after`, and with a
    /// reset where nothing is left or the answer was 429.
    pub fn wait(&self, status: u16) -> Option<Millis> {
        let closed = status == 429 || self.remaining == Some(0);
        self.retry_after.or(if closed { self.reset } else { None })
    }
}

/// The value of a header that is there exactly once.
fn single<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// One or more ASCII digits and nothing else; larger than any use counts as the largest.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

fn clamp(seconds: u64) -> Millis {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000).clamp(WAIT.0, WAIT.1)
}

/// From now until an instant that is not past.
fn until(at: Millis, now: Millis) -> Option<Millis> {
    let left = at.checked_sub(now)?;
    (left > 0).then(|| left.clamp(WAIT.0, WAIT.1))
}

fn retry_after(value: &str, now: Millis) -> Option<Millis> {
    match digits(value) {
        Some(seconds) => Some(clamp(seconds)),
        None => until(http_date(value)?, now),
    }
}

/// The three legal forms of a date (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<Millis> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    // jiff skips spaces freely; a date has only the ones of its form.
    let strict = text.len() >= 24 && !text.starts_with(' ') && !text.ends_with(' ');
    let parsed = FORMS.iter().find_map(|form| jiff::civil::DateTime::strptime(form, text).ok());
    let at = jiff::tz::TimeZone::UTC.to_timestamp(parsed.filter(|_| strict)?).ok()?;
    Some(at.as_millisecond())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-23T12:00:00Z
    const NOW: Millis = 1_795_435_200_000;

    fn read(pairs: &[(&str, &str)]) -> RateHeaders {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        RateHeaders::read(&pairs, NOW)
    }

    #[test]
    fn n13_retry_after_is_read_strictly_and_clamped() {
        let hour = Some(3_600_000);
        for (value, expected) in [
            ("7", Some(7_000)),
            ("007", Some(7_000)),
            ("0", Some(1_000)),
            ("3600", hour),
            ("3601", hour),
            ("99999999999", hour),
            ("99999999999999999999999999", hour),
            ("Mon, 23 Nov 2026 12:00:30 GMT", Some(30_000)),
            ("Monday, 23-Nov-26 12:00:30 GMT", Some(30_000)),
            ("Mon Nov 23 12:00:30 2026", Some(30_000)),
            ("Tue, 24 Nov 2026 12:00:00 GMT", hour),
            ("Mon, 23 Nov 2026 11:59:59 GMT", None),
            ("Mon, 23 Nov 2026 12:00:30 CET", None),
            ("Mon, 23 Nov 2026 12:00:30 +0100", None),
            ("Mon, 31 Nov 2026 12:00:30 GMT", None),
            ("2026-11-23T12:00:30Z", None),
            ("-1", None),
            ("+7", None),
            (" 7", None),
            ("7 ", None),
            ("7.5", None),
            ("1e3", None),
            ("0x7", None),
            ("NaN", None),
            ("inf", None),
            ("٧", None),
            ("", None),
            ("7, 8", None),
        ] {
            assert_eq!(read(&[("retry-after", value)]).retry_after, expected, "{value:?}");
        }
        assert_eq!(read(&[("retry-after", "7"), ("retry-after", "8")]).retry_after, None, "two headers");
        assert_eq!(read(&[]).retry_after, None);
    }

    #[test]
    fn n13_reset_is_seconds_when_small_and_a_date_when_large() {
        for (value, expected) in [
            ("42", Some(42_000)),
            ("0", Some(1_000)),
            ("1795435230", Some(30_000)),
            ("1795435200", None),
            ("1699574400", None),
            ("18446744073709551615", None),
            ("99999999999999999999", None),
            ("-5", None),
            ("4.2", None),
        ] {
            assert_eq!(read(&[("x-ratelimit-reset", value)]).reset, expected, "{value:?}");
        }
        assert_eq!(read(&[("x-sib-ratelimit-reset", "3")]).reset, Some(3_000));
    }

    #[test]
    fn a_wait_needs_a_reason() {
        let headers =
            [("x-ratelimit-limit", "5, 5;w=60"), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "9")];
        let found = read(&headers);
        assert_eq!((found.limit, found.remaining), (Some(5), Some(3)));
        assert_eq!(found.wait(200), None);
        assert_eq!(found.wait(429), Some(9_000));
        assert_eq!(
            read(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")]).wait(200),
            Some(9_000)
        );
        assert_eq!(read(&[("retry-after", "5")]).wait(503), Some(5_000));
        assert_eq!(read(&[]).wait(429), None);
    }

    proptest! {
        /// Whole seconds are what they say, within the bounds; with anything around them they say nothing.
        #[test]
        fn n13_seconds_are_taken_as_they_are_and_only_as_they_are(
            seconds: u64,
            zeros in 0_usize..4,
            around in "[ +\\-.,:eExX_a-z\\t\u{a0}\u{660}-\u{669}]{1,3}",
            place: prop::sample::Index,
        ) {
            let text = format!("{}{seconds}", "0".repeat(zeros));
            let expected = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000).clamp(WAIT.0, WAIT.1);
            prop_assert_eq!(read(&[("retry-after", &text)]).retry_after, Some(expected));
            let mut spoiled = text.clone();
            spoiled.insert_str(place.index(text.len() + 1), &around);
            prop_assert_eq!(read(&[("retry-after", &spoiled)]).retry_after, None, "{:?}", spoiled);
        }

        /// All three forms of a date mean the same instant; a date that is past says nothing.
        #[test]
        fn n13_a_date_is_the_same_in_each_of_its_three_forms(seconds in -100_000_i64..100_000) {
            let at = jiff::Timestamp::from_millisecond(NOW + seconds * 1_000).unwrap();
            let at = jiff::tz::TimeZone::UTC.to_datetime(at);
            let expected = (seconds > 0).then(|| (seconds * 1_000).clamp(WAIT.0, WAIT.1));
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
                let text: String = at.strftime(form).to_string();
                prop_assert_eq!(read(&[("retry-after", &text)]).retry_after, expected, "{:?}", text);
                for spoiled in [format!("{text} "), format!(" {text}"), text.replace("GMT", "gmt+1"), text.replacen(':', ".", 1)] {
                    if spoiled != text {
                        prop_assert_eq!(read(&[("retry-after", &spoiled)]).retry_after, None, "{:?}", spoiled);
                    }
                }
            }
        }

        #[test]
        fn n13_no_header_asks_for_less_than_a_second_or_more_than_an_hour(value in "\\PC{0,40}", now in 0_i64..4_000_000_000_000) {
            for name in ["retry-after", "x-ratelimit-reset", "x-sib-ratelimit-reset"] {
                let found = RateHeaders::read(&[(name.into(), value.clone())], now);
                for wait in [found.reset, found.retry_after].into_iter().flatten() {
                    prop_assert!((WAIT.0..=WAIT.1).contains(&wait));
                }
            }
        }
    }
}
