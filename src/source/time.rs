//! MoEngage's times, all of them, to milliseconds since 1970 and back to the few forms that it
//! takes.
//!
//! MoEngage writes times in eight ways, often without a zone. A time without one is UTC: the
//! OpenAPI files say so for campaigns, and no example of another door contradicts it. Nothing is
//! guessed: text that is none of the documented forms is no time, and whether a number counts
//! seconds or milliseconds is the caller's knowledge, never the number's.

use crate::json::{Scalar, whole_number};
use crate::model::Millis;

/// From here on a number of seconds is a number of milliseconds by mistake: as seconds it would
/// be the year 5138, as milliseconds it is 1973, before MoEngage had any data.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// The last instant that the contract takes: 9999-12-31T23:59:59.999Z.
const LAST: Millis = 253_402_300_799_999;

const DAY: Millis = 86_400_000;

/// India Standard Time, in minutes before UTC.
const IST: i64 = 5 * 60 + 30;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Streams, exports, cards (`last_updated_time`), archival (`sent_epoch_time`).
    Seconds,
    /// Data API (`cr_t`, `u_l_a`; MD:api/data/data-overview.mdx).
    Milliseconds,
}

/// Reads a number of seconds or milliseconds, also where it is written as text or as a float with
/// a zero fraction. Nothing where it is no such number or its size is that of the other unit.
pub fn epoch(value: Option<Scalar<'_>>, unit: Unit) -> Option<Millis> {
    let number: i64 = match value? {
        Scalar::Number(number) => whole_number(number)?.parse().ok()?,
        Scalar::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    match unit {
        Unit::Seconds => (1..FIRST_MILLISECONDS).contains(&number).then(|| number * 1000),
        Unit::Milliseconds => (FIRST_MILLISECONDS..=LAST).contains(&number).then_some(number),
    }
}

/// Reads `event_time`, or nothing where it isn't one of the documented forms.
// MD:api/data/moengage-streams.mdx: epoch seconds, UTC, an integer. The glossary
// (MD:user-guide/data/exports/events/data-export-glossary.mdx) shows a string in its place, and
// MoEngage writes numbers as floats elsewhere (JULO fixtures).
pub fn event_time(value: Option<Scalar<'_>>) -> Option<Millis> {
    epoch(value, Unit::Seconds)
}

/// Reads a date and time as text, or nothing where it is none of these (from 1970 to 9999):
///
/// | form | where |
/// |---|---|
/// | `2024-07-04 08:00:54.847000` | campaign search (OpenAPI: "in UTC") |
/// | `2022-12-01T13:17:46.409000` | segments, content blocks, campaign meta, file imports: naive, taken as UTC |
/// | `2026-01-05T10:00:00Z` | flows, locales |
/// | `2026-06-23T12:29:41.225270281Z` | offers; up to nine digits, cut to milliseconds |
/// | `2024-05-10T07:03:00+05:30` | nowhere yet; ISO 8601 allows it and it is unmistakable |
/// | `Tue, 28 May 2024 22:24:22 IST` | archival `sent_time`; with `GMT` the HTTP date of headers |
pub fn instant(text: &str) -> Option<Millis> {
    let mut rest = Reader(text.trim().as_bytes());
    let at = if text.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
        let day = rest.year_month_day()?;
        rest.one_of(b"Tt ")?;
        let clock = rest.clock()?;
        day.checked_add(clock)?.checked_sub(rest.zone()?)?
    } else {
        rest.mail_date()?
    };
    (rest.0.is_empty() && (0..=LAST).contains(&at)).then_some(at)
}

/// Reads a day: its first instant in UTC. `YYYY-MM-DD` (campaign filters, export folders),
/// `DD/MM/YYYY` (import status) and `DD-MM-YYYY` (the text about export folders,
/// MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx).
pub fn day(text: &str) -> Option<Millis> {
    let mut rest = Reader(text.as_bytes());
    let at = if text.as_bytes().get(4) == Some(&b'-') {
        rest.year_month_day()?
    } else {
        let day = rest.number(2)?;
        let separator = rest.one_of(b"/-")?;
        let month = rest.number(2)?;
        rest.one_of(&[separator])?;
        midnight(rest.number(4)?, month, day)?
    };
    (rest.0.is_empty() && (0..=LAST).contains(&at)).then_some(at)
}

/// Reads a time of the tenant's own, of which nobody documented the form: an instant, a day, or
/// a number of seconds or milliseconds, whichever has that size ([`FIRST_MILLISECONDS`]).
pub fn any(value: Scalar<'_>) -> Option<Millis> {
    let text = match &value {
        Scalar::Text(text) => instant(text).or_else(|| day(text)),
        _ => None,
    };
    let number = |unit| epoch(Some(value.clone()), unit);
    text.or_else(|| number(Unit::Seconds)).or_else(|| number(Unit::Milliseconds))
}

/// The UTC date of an instant as `DD/MM/YYYY`.
pub fn day_month_year(at: Millis) -> String {
    let (year, month, day) = civil(at);
    format!("{day:02}/{month:02}/{year:04}")
}

/// An instant as `YYYY-MM-DDTHH:MM:SS`, UTC without a zone, as the filters of campaigns take it
/// (OpenAPI of campaign drafts, `created_date`).
pub fn naive(at: Millis) -> String {
    let (year, month, day) = civil(at);
    let seconds = at.rem_euclid(DAY) / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day in UTC: Howard Hinnant's `civil_from_days`.
pub fn civil(at: Millis) -> (i64, i64, i64) {
    let days = at.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The first instant of a day that the calendar has: Howard Hinnant's `days_from_civil`.
pub fn midnight(year: i64, month: i64, day: i64) -> Option<Millis> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(0..=9999).contains(&year) || !(1..=days).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * DAY)
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        self.next().filter(|byte| allowed.contains(byte))
    }

    /// A number of exactly that many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let mut number = 0;
        for _ in 0..digits {
            let digit = self.next().filter(u8::is_ascii_digit)?;
            number = number * 10 + i64::from(digit - b'0');
        }
        Some(number)
    }

    fn year_month_day(&mut self) -> Option<Millis> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        midnight(year, month, self.number(2)?)
    }

    /// `HH:MM:SS` with up to nine digits of a fraction. A leap second is none of MoEngage's.
    fn clock(&mut self) -> Option<Millis> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        self.one_of(b":")?;
        let second = self.number(2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut millis = 0;
        if self.0.first() == Some(&b'.') {
            self.next();
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            let fraction = self.number(digits)?;
            let power = |exponent: usize| (0..exponent).fold(1, |power: i64, _| power * 10);
            millis = if digits <= 3 { fraction * power(3 - digits) } else { fraction / power(digits - 3) };
        }
        Some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
    }

    /// Milliseconds by which the written time is ahead of UTC; none written is UTC.
    fn zone(&mut self) -> Option<Millis> {
        let sign = match self.next() {
            None => return Some(0),
            Some(b'Z' | b'z') => return Some(0),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        let hours = self.number(2)?;
        self.one_of(b":")?;
        let minutes = self.number(2)?;
        (hours <= 14 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
    }

    /// `Tue, 28 May 2024 22:24:22 IST`. The day of the week is not held against the date.
    fn mail_date(&mut self) -> Option<Millis> {
        const MONTHS: [&[u8; 3]; 12] =
            [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
        for _ in 0..3 {
            self.next().filter(u8::is_ascii_alphabetic)?;
        }
        self.one_of(b",")?;
        self.one_of(b" ")?;
        let day = self.number(2)?;
        self.one_of(b" ")?;
        let name = [self.next()?, self.next()?, self.next()?];
        let month = (1..).zip(MONTHS).find(|(_, known)| **known == name)?.0;
        self.one_of(b" ")?;
        let year = self.number(4)?;
        self.one_of(b" ")?;
        let clock = self.clock()?;
        self.one_of(b" ")?;
        let zone = match std::mem::take(&mut self.0) {
            b"GMT" | b"UTC" => 0,
            b"IST" => IST * 60_000,
            _ => return None,
        };
        midnight(year, month, day)?.checked_add(clock)?.checked_sub(zone)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documented_forms_are_read() {
        assert_eq!(event_time(Some(Scalar::Number("1653022310"))), Some(1_653_022_310_000));
        assert_eq!(event_time(Some(Scalar::Number("1653022310.0"))), Some(1_653_022_310_000));
        assert_eq!(event_time(Some(Scalar::Text("1653022310".into()))), Some(1_653_022_310_000));
        let millis = |text: &'static str| epoch(Some(Scalar::Text(text.into())), Unit::Milliseconds);
        assert_eq!(millis("1767092989259"), Some(1_767_092_989_259));
        assert_eq!(
            epoch(Some(Scalar::Number("1767092989259.0")), Unit::Milliseconds),
            millis("1767092989259")
        );
        for (text, at) in [
            ("2024-07-04 08:00:54.847000", 1_720_080_054_847),
            ("2024-07-04 20:32:00", 1_720_125_120_000),
            ("2022-12-01T13:17:46.409000", 1_669_900_666_409),
            ("2026-01-05T10:00:00Z", 1_767_607_200_000),
            ("2026-06-23T12:29:41.225270281Z", 1_782_217_781_225),
            ("2024-05-10T07:03:00.18Z", 1_715_324_580_180),
            ("2024-05-10T07:03:00+05:30", 1_715_304_780_000),
            ("Tue, 28 May 2024 22:24:22 IST", 1_716_915_262_000),
            ("Wed, 21 Oct 2026 07:28:00 GMT", 1_792_567_680_000),
            ("1970-01-01T00:00:00", 0),
            ("9999-12-31T23:59:59.999999999Z", LAST),
        ] {
            assert_eq!(instant(text), Some(at), "{text}");
        }
        for text in ["2024-02-29", "29/02/2024", "29-02-2024"] {
            assert_eq!(day(text), Some(1_709_164_800_000), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_guessed() {
        for number in [
            "1653022310123",
            "1653022310.5",
            "-5",
            "0",
            "1e30",
            "9223372036854776",
            "99999999999999999999999",
        ] {
            assert_eq!(event_time(Some(Scalar::Number(number))), None, "{number}");
        }
        for text in ["", "1653022310.0", "2022-05-20T04:51:50Z", " 1653022310", "99999999999999999999999"] {
            assert_eq!(event_time(Some(Scalar::Text(text.into()))), None, "{text}");
        }
        assert_eq!(event_time(Some(Scalar::Null)), None);
        assert_eq!(event_time(None), None);
        assert_eq!(epoch(Some(Scalar::Number("1653022310")), Unit::Milliseconds), None);
    }

    #[test]
    fn d14_dates_that_no_calendar_has_are_no_dates() {
        for text in [
            "",
            "0000-00-00 00:00:00",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567890Z",
            "2024-01-01T00:00:00 IST",
            "2024-01-01T00:00:00+0530",
            "2024-01-01T00:00:00+15:00",
            "2024-01-01",
            "2024-1-1T00:00:00",
            "20240101T000000Z",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59-01:00",
            "Tue, 28 May 2024 22:24:22 CET",
            "Tue, 31 Jun 2024 22:24:22 IST",
            "Tuesday, 28 May 2024 22:24:22 IST",
            "2024-07-04 08:00:54 ü",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
        for text in [
            "",
            "2024-02-30",
            "30/02/2024",
            "1/2/2024",
            "29/02-2024",
            "2024/02/29",
            "2024-02-29 ",
            "12-2024-02",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(day_month_year(0), "01/01/1970");
        assert_eq!(day_month_year(1_732_406_399_000), "23/11/2024");
        assert_eq!(day_month_year(1_709_164_800_000), "29/02/2024");
        assert_eq!(day_month_year(-1), "31/12/1969");
        assert_eq!(naive(1_720_080_054_847), "2024-07-04T08:00:54");
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_of_the_contract_or_none(text in "\\PC{0,40}") {
            for at in [instant(&text), day(&text)].into_iter().flatten() {
                prop_assert!((0..=LAST).contains(&at));
            }
        }

        #[test]
        fn any_text_near_a_time_is_one_or_none(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:[0-9]{2})?",
            cut: prop::sample::Index, byte: u8,
        ) {
            let _ = instant(&text);
            let mut bytes = text.into_bytes();
            let at = cut.index(bytes.len());
            bytes[at] = byte;
            let _ = instant(&String::from_utf8_lossy(&bytes));
            let _ = instant(&String::from_utf8_lossy(&bytes[..at]));
        }

        #[test]
        fn written_times_are_read_back(at in 0..=LAST) {
            prop_assert_eq!(instant(&naive(at)), Some(at - at % 1000));
            prop_assert_eq!(instant(&format!("{}.{:03}Z", naive(at), at % 1000)), Some(at));
            prop_assert_eq!(instant(&format!("{}.{:03}000", naive(at).replace('T', " "), at % 1000)), Some(at));
            prop_assert_eq!(day(&day_month_year(at)), Some(at - at % DAY));
            prop_assert_eq!(day(&naive(at)[..10]), Some(at - at % DAY));
        }
    }
}
