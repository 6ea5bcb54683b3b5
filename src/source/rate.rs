//! What an answer says about the rate of calls, in whatever units it says it.
//!
//! Two pages of MoEngage's own documentation contradict each other about the unit of
//! `x-ratelimit-reset`, and push answers carry lists where others carry numbers. So every value
//! is read strictly, its size tells its unit, and no answer can make us wait longer than a day.

use super::client::HttpResponse;
use super::time::{self, Unit};
use crate::json::Scalar;
use crate::model::Millis;

/// The longest window that MoEngage documents is a day (MD:api/rate-limits.mdx).
const LONGEST_WAIT: u64 = 86_400_000;

/// Below this a reset is a number of seconds from now, from here on an instant: no window is
/// anywhere near eleven days, and no instant is in January 1970.
const FIRST_EPOCH: u64 = 1_000_000;

/// From here on an instant is in milliseconds.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// True where a refusal is about the rate, whatever its status. Behind the proxy of the push
/// hosts such an answer has no body (OpenAPI of push v2.1).
pub fn is_limited(response: &HttpResponse) -> bool {
    response.status == 429
        || (response.status >= 400
            && response.headers("x-envoy-ratelimited").any(|value| value.eq_ignore_ascii_case("true")))
}

/// How long to wait, in milliseconds, if the answer says. Where it says several things the
/// longest counts.
///
/// `Retry-After` comes first; only the v5 APIs document it, in seconds, and RFC 9110 allows a
/// date. Then `x-ratelimit-reset`: seconds from now in MD:api/data/data-overview.mdx, epoch
/// seconds in MD:api/rate-limits.mdx. Last the window of `x-ratelimit-limit: "5, 5;w=60"`
/// (OpenAPI of push v2.1), which is the most that a wait can be.
pub fn wait(response: &HttpResponse, now: Millis) -> Option<u64> {
    let longest =
        |name: &str, read: &dyn Fn(&str) -> Option<u64>| response.headers(name).filter_map(read).max();
    longest("retry-after", &|value| retry_after(value, now))
        .or_else(|| longest("x-ratelimit-reset", &|value| reset(value, now)))
        .or_else(|| longest("x-ratelimit-limit", &window))
}

/// When the next call is allowed, where a successful answer says that none is left.
pub fn not_before(response: &HttpResponse, now: Millis) -> Option<Millis> {
    let used_up = response.headers("x-ratelimit-remaining").any(|value| first(value) == Some(0));
    used_up.then(|| wait(response, now))?.map(|wait| now.saturating_add_unsigned(wait))
}

fn retry_after(value: &str, now: Millis) -> Option<u64> {
    if let Some(seconds) = digits(value) {
        return Some(seconds.saturating_mul(1000).min(LONGEST_WAIT));
    }
    // A date beyond any window comes from a clock that can't be trusted.
    let at = time::instant(value)?;
    u64::try_from(at.saturating_sub(now)).ok().filter(|wait| *wait <= LONGEST_WAIT)
}

fn reset(value: &str, now: Millis) -> Option<u64> {
    let number = first(value)?;
    if number < FIRST_EPOCH {
        return Some((number * 1000).min(LONGEST_WAIT));
    }
    let unit = if number < FIRST_MILLISECONDS { Unit::Seconds } else { Unit::Milliseconds };
    let at = time::epoch(Some(Scalar::Text(number.to_string().into())), unit)?;
    // Past means that the window is open again.
    Some(u64::try_from(at.saturating_sub(now)).unwrap_or(0).min(LONGEST_WAIT))
}

/// The longest `w=` of a policy such as `5, 5;w=60`.
fn window(value: &str) -> Option<u64> {
    let seconds = value.split([',', ';']).filter_map(|part| digits(part.trim().strip_prefix("w=")?)).max()?;
    (seconds > 0).then(|| seconds.saturating_mul(1000).min(LONGEST_WAIT))
}

/// The number that a value is, or that its list begins with.
fn first(value: &str) -> Option<u64> {
    digits(value.split([',', ';']).next()?)
}

fn digits(text: &str) -> Option<u64> {
    let text = text.trim_matches([' ', '\t', '"']);
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = 1_653_022_370_000;

    fn answer(status: u16, headers: &[(&str, &str)]) -> HttpResponse {
        let headers = headers.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        HttpResponse { status, headers, body: Vec::new() }
    }

    #[test]
    fn n13_a_wait_is_read_strictly_in_every_spelling() {
        let epoch = (NOW / 1000 + 30).to_string();
        let millis = (NOW + 30_000).to_string();
        for (headers, expected) in [
            (&[("retry-after", "7")][..], Some(7_000)),
            (&[("retry-after", " 7 ")], Some(7_000)),
            (&[("retry-after", "0")], Some(0)),
            (&[("retry-after", "7"), ("retry-after", "9")], Some(9_000)),
            (&[("retry-after", "7"), ("x-ratelimit-reset", "42")], Some(7_000)),
            (&[("retry-after", "99999999999")], Some(LONGEST_WAIT)),
            (&[("retry-after", "99999999999999999999999")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "+7")], None),
            (&[("retry-after", "1e3")], None),
            (&[("retry-after", "7.5")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "Fri, 20 May 2022 04:53:00 GMT")], Some(10_000)),
            (&[("retry-after", "Fri, 20 May 2022 04:50:00 GMT")], None),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
            (&[("x-ratelimit-reset", "42")], Some(42_000)),
            (&[("x-ratelimit-reset", "42, 42;w=60")], Some(42_000)),
            (&[("x-ratelimit-reset", &epoch)], Some(30_000)),
            (&[("x-ratelimit-reset", &millis)], Some(30_000)),
            (&[("x-ratelimit-reset", "1653022369")], Some(0)),
            (&[("x-ratelimit-reset", "99999999999")], Some(LONGEST_WAIT)),
            (&[("x-ratelimit-limit", "5, 5;w=60")], Some(60_000)),
            (&[("x-ratelimit-limit", "\"5, 5;w=60\"")], Some(60_000)),
            (&[("x-ratelimit-limit", "5, 5;w=60, 100;w=3600")], Some(3_600_000)),
            (&[("x-ratelimit-limit", "5, 5;w=0")], None),
            (&[("x-ratelimit-limit", "5")], None),
            (&[], None),
        ] {
            assert_eq!(wait(&answer(429, headers), NOW), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_refusal_about_the_rate_is_known_without_its_status() {
        assert!(is_limited(&answer(429, &[])));
        assert!(is_limited(&answer(503, &[("x-envoy-ratelimited", "true")])));
        assert!(!is_limited(&answer(503, &[("x-envoy-ratelimited", "false")])));
        assert!(!is_limited(&answer(200, &[("x-envoy-ratelimited", "true")])));
    }

    #[test]
    fn a_used_up_window_is_waited_for() {
        let success = |headers: &[(&str, &str)]| not_before(&answer(200, headers), NOW);
        let reset = ("x-ratelimit-reset", "20");
        assert_eq!(success(&[("x-ratelimit-remaining", "0"), reset]), Some(NOW + 20_000));
        assert_eq!(success(&[("x-ratelimit-remaining", "0, 0;w=60"), reset]), Some(NOW + 20_000));
        assert_eq!(success(&[("x-ratelimit-remaining", "1"), reset]), None);
        assert_eq!(success(&[("x-ratelimit-remaining", "00x"), reset]), None);
        assert_eq!(success(&[("x-ratelimit-remaining", "0")]), None);
    }

    proptest! {
        #[test]
        fn no_answer_makes_us_wait_longer_than_a_day(
            value in "\\PC{0,24}|[0-9]{1,24}|[0-9]{1,3}, ?[0-9]{1,3};w=[0-9]{1,20}", now in 0..253_402_300_799_999_i64
        ) {
            for name in ["retry-after", "x-ratelimit-reset", "x-ratelimit-limit"] {
                let answer = answer(429, &[(name, &value), ("x-ratelimit-remaining", "0")]);
                prop_assert!(wait(&answer, now).is_none_or(|wait| wait <= LONGEST_WAIT));
                prop_assert!(not_before(&answer, now).is_none_or(|at| at >= now && at <= now + 86_400_000));
            }
        }
    }
}
