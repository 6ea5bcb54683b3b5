//! Days, as Brevo takes them: `yyyy-mm-dd` from 1900-01-01 to 2050-12-31 (Brevo help
//! 10582214160274).

use crate::source::{civil, midnight};

/// The day of an ISO 8601 date or date and time, as it is written.
// MoEngage takes and gives `YYYY-MM-DDTHH:mm:ssZ` and `YYYY-MM-DD` (MD:api/data/data-overview.mdx).
pub fn iso(text: &str) -> Option<String> {
    let (date, rest) = text.trim().split_at_checked(10)?;
    let parts = |at: usize| date.get(at..at + 1) == Some("-");
    if !(ends(rest) && parts(4) && parts(7)) {
        return None;
    }
    shown(digits(date.get(0..4)?)?, digits(date.get(5..7)?)?, digits(date.get(8..10)?)?)
}

/// The UTC day of a number that counts seconds (`unit` 1000) or milliseconds (1) since 1970.
/// Which of them it counts is the tenant's word, never the number's.
pub fn of_epoch(number: &str, unit: i64) -> Option<String> {
    // Far beyond the days that Brevo takes, and far below where a double loses a whole number.
    const FARTHEST: f64 = 1e13;
    let number = number.parse::<f64>().ok().filter(|number| number.abs() < FARTHEST)?;
    let (year, month, day) = civil((number.floor() as i64).checked_mul(unit)?);
    shown(year, month, day)
}

/// A date in three numbers with `/`, `-` or `.` between them; `order` says where year, month and
/// day stand. The year has four digits. A clock may follow, and `yyyymmdd` does without marks.
pub fn written(text: &str, order: [usize; 3]) -> Option<String> {
    let text = text.trim();
    if order == [0, 1, 2] && text.len() == 8 && digits(text).is_some() {
        return shown(digits(text.get(0..4)?)?, digits(text.get(4..6)?)?, digits(text.get(6..8)?)?);
    }
    let mark = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '/' | '-' | '.'))?;
    let (date, rest) = match text.find(['T', ' ']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut numbers = [0; 3];
    let mut parts = date.split(mark);
    for (place, number) in numbers.iter_mut().enumerate() {
        let part = parts.next()?;
        let fits = if order.first() == Some(&place) { part.len() == 4 } else { part.len() <= 2 };
        *number = digits(part).filter(|_| fits)?;
    }
    let [year, month, day] = order.map(|place| numbers.get(place).copied().unwrap_or_default());
    (ends(rest) && parts.next().is_none()).then(|| shown(year, month, day))?
}

/// Nothing but a clock may follow a date.
fn ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['T', ' '])
}

fn digits(text: &str) -> Option<i64> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

fn shown(year: i64, month: i64, day: i64) -> Option<String> {
    midnight(year, month, day)?;
    (1900..=2050).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}
