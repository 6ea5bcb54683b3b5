//! Days, and how folders spell them.

use crate::model::Millis;
use crate::source::time::day_month_year;

/// Milliseconds of a day.
pub const DAY: Millis = 86_400_000;

/// Days since 1970-01-01, UTC.
pub type Day = i64;

/// The day of an instant.
pub fn day_of(at: Millis) -> Day {
    at.div_euclid(DAY)
}

/// How a day is written in a folder's name. MoEngage's text has `DD-MM-YYYY`, its examples have
/// `YYYY-MM-DD` (MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx), so both are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    YearFirst,
    DayFirst,
}

impl Spelling {
    /// A day in this spelling.
    pub fn write(self, day: Day) -> String {
        let text = day_month_year(day.saturating_mul(DAY));
        match self {
            Self::DayFirst => text.replace('/', "-"),
            Self::YearFirst => text.rsplit('/').collect::<Vec<_>>().join("-"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::source::time;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_of_the_documented_day() {
        assert_eq!(Spelling::YearFirst.write(19_132), "2022-05-20");
        assert_eq!(Spelling::DayFirst.write(19_132), "20-05-2022");
    }

    proptest! {
        #[test]
        fn a_day_is_read_back_from_both_spellings(day in 0_i64..2_932_896) {
            for spelling in [Spelling::YearFirst, Spelling::DayFirst] {
                prop_assert_eq!(time::day(&spelling.write(day)), Some(day * DAY));
            }
        }
    }
}
