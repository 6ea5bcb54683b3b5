//! MoEngage's times.

use crate::json::{Scalar, whole_number};
use crate::model::Millis;

/// From here on a number of seconds is a number of milliseconds by mistake: as seconds it would
/// be the year 5138. Other MoEngage doors do use milliseconds, so guessing would be wrong in one
/// of the two cases.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// Reads `event_time`, or nothing where it isn't one of the documented forms.
// MD:api/data/moengage-streams.mdx: epoch seconds, UTC, an integer. The glossary
// (MD:user-guide/data/exports/events/data-export-glossary.mdx) shows a string in its place, and
// MoEngage writes numbers as floats elsewhere (JULO fixtures).
pub fn event_time(value: Option<Scalar<'_>>) -> Option<Millis> {
    let seconds: i64 = match value? {
        Scalar::Number(number) => whole_number(number)?.parse().ok()?,
        Scalar::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    (1..FIRST_MILLISECONDS).contains(&seconds).then(|| seconds * 1000)
}

/// The UTC date of an instant as `DD/MM/YYYY`.
pub fn day_month_year(at: Millis) -> String {
    // Howard Hinnant's `civil_from_days`: days since 1970 to a Gregorian date.
    let days = at.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{day:02}/{month:02}/{year:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_forms_are_read() {
        assert_eq!(event_time(Some(Scalar::Number("1653022310"))), Some(1_653_022_310_000));
        assert_eq!(event_time(Some(Scalar::Number("1653022310.0"))), Some(1_653_022_310_000));
        assert_eq!(event_time(Some(Scalar::Text("1653022310".into()))), Some(1_653_022_310_000));
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
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(day_month_year(0), "01/01/1970");
        assert_eq!(day_month_year(1_732_406_399_000), "23/11/2024");
        assert_eq!(day_month_year(1_709_164_800_000), "29/02/2024");
        assert_eq!(day_month_year(-1), "31/12/1969");
    }
}
