//! What may be done to a value on its way to an attribute: a closed list, checked beforehand.

use serde_json::value::RawValue;

use super::mapping::AttributeType;
use super::problem::Problems;
use crate::json::{Scalar, elements};

/// One step from a MoEngage value to a Brevo value.
// The types that MoEngage has (MD:api/data/data-overview.mdx): string, double, bool, datetime,
// lists of one type, objects. A datetime in another form than ISO 8601 is a string there, and the
// Data API's own examples have epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Of a list.
    First,
    /// Of a list.
    Last,
    /// How many a list holds.
    Count,
    /// A list as a text, `a, b`.
    Join,
    Trim,
    Lower,
    Upper,
    /// yes, no, y, n, on, off, true, false, 1, 0.
    BooleanWords,
    /// `1,234.5`
    DecimalPoint,
    /// `1.234,5`
    DecimalComma,
    /// To a whole number.
    Round,
    /// To two places.
    Round2,
    /// The UTC day.
    EpochSeconds,
    /// The UTC day.
    EpochMilliseconds,
    /// `31/12/1990`, also with dots or hyphens.
    DayMonthYear,
    /// `12/31/1990`
    MonthDayYear,
    /// `1990/12/31`, `19901231`
    YearMonthDay,
}

/// Every conversion by its name in the settings.
const NAMES: [(&str, Conversion); 17] = [
    ("first", Conversion::First),
    ("last", Conversion::Last),
    ("count", Conversion::Count),
    ("join", Conversion::Join),
    ("trim", Conversion::Trim),
    ("lower", Conversion::Lower),
    ("upper", Conversion::Upper),
    ("boolean_words", Conversion::BooleanWords),
    ("decimal_point", Conversion::DecimalPoint),
    ("decimal_comma", Conversion::DecimalComma),
    ("round", Conversion::Round),
    ("round_2", Conversion::Round2),
    ("epoch_seconds", Conversion::EpochSeconds),
    ("epoch_milliseconds", Conversion::EpochMilliseconds),
    ("day_month_year", Conversion::DayMonthYear),
    ("month_day_year", Conversion::MonthDayYear),
    ("year_month_day", Conversion::YearMonthDay),
];

/// What a value is known to be after a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As MoEngage has it.
    Found,
    /// An element of a list.
    Element,
    Text,
    Number,
    Boolean,
    Day,
}

impl Conversion {
    /// What it makes of a shape, where it can follow on that at all.
    fn after(self, shape: Shape) -> Option<Shape> {
        use Conversion as C;
        let readable = matches!(shape, Shape::Found | Shape::Element | Shape::Text);
        match self {
            C::First | C::Last if shape == Shape::Found => Some(Shape::Element),
            C::Count if shape == Shape::Found => Some(Shape::Number),
            C::Join if shape == Shape::Found => Some(Shape::Text),
            C::Round | C::Round2 if readable || shape == Shape::Number => Some(Shape::Number),
            C::Trim | C::Lower | C::Upper if readable => Some(Shape::Text),
            C::BooleanWords if readable => Some(Shape::Boolean),
            C::DecimalPoint | C::DecimalComma if readable => Some(Shape::Number),
            C::EpochSeconds | C::EpochMilliseconds if readable => Some(Shape::Day),
            C::DayMonthYear | C::MonthDayYear | C::YearMonthDay if readable => Some(Shape::Day),
            _ => None,
        }
    }
}

/// The type that conversions end in; none where the value is still what it was or a text, which
/// may be read as any type, or where they can't follow each other.
pub fn result(conversions: &[Conversion]) -> Option<AttributeType> {
    match shape(conversions)? {
        Shape::Found | Shape::Element | Shape::Text => None,
        Shape::Number => Some(AttributeType::Number),
        Shape::Boolean => Some(AttributeType::Boolean),
        Shape::Day => Some(AttributeType::Date),
    }
}

/// True where the conversions follow each other and end in what the type takes.
pub fn fits(conversions: &[Conversion], kind: AttributeType) -> bool {
    match shape(conversions) {
        Some(Shape::Found | Shape::Element | Shape::Text) => true,
        // A number is written as a text without loss.
        Some(Shape::Number) => matches!(kind, AttributeType::Number | AttributeType::Text),
        Some(Shape::Boolean) => kind == AttributeType::Boolean,
        Some(Shape::Day) => kind == AttributeType::Date,
        None => false,
    }
}

fn shape(conversions: &[Conversion]) -> Option<Shape> {
    conversions.iter().try_fold(Shape::Found, |shape, conversion| conversion.after(shape))
}

/// Reads `convert`: one name, or a list of them in the order in which they are done.
pub fn conversions(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Vec<Conversion>> {
    let one = |path: &str, raw: &RawValue, problems: &mut Problems| {
        let names = NAMES.map(|(name, _)| name);
        let text = problems.one_of(path, raw, "unknown-conversion", &names)?;
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, conversion)| *conversion)
    };
    if Scalar::of(raw) != Scalar::Compound {
        return one(path, raw, problems).map(|conversion| vec![conversion]);
    }
    let Some(items) = elements(raw.get()) else {
        problems.add(
            "wrong-type",
            path,
            &format!("{path} is neither a name nor a list of names."),
            "Write one conversion, or several as [first, second].",
        );
        return None;
    };
    let mut found = Vec::new();
    let count = items.len();
    for (n, item) in items.into_iter().enumerate() {
        found.extend(one(&format!("{path}[{n}]"), item, problems));
    }
    (found.len() == count).then_some(found)
}
