//! Conditions of a rule, as Tajo's skills write them: `cart_value: "> 50"`.

use super::field::Field;
use super::options::milliseconds;

/// What has to be so for a rule to act.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub field: Field,
    pub test: Test,
}

/// What is asked of a field.
///
/// ```text
/// test     = "present" | "missing" | order ( number | duration ) | equality ( number | text )
/// order    = ">" | ">=" | "<" | "<="
/// equality = "==" | "!="
/// number   = [ "-" ] digits [ "." digits ]        at most 15 digits, as a double holds them
/// duration = digits ( "s" | "m" | "h" | "d" )
/// text     = '"' characters other than " '"' | any other word that is no duration
/// ```
///
/// A field that isn't there, or is null, passes `missing` and nothing else: not even `!=`.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// There, and neither null nor blank.
    Present,
    /// Not there, null or blank.
    Missing,
    /// A number, or a text that is one, and how it compares.
    Number(Comparison, f64),
    /// The field is a time, and so long ago (milliseconds).
    Age(Order, i64),
    /// The same text, or another one. Numbers and booleans count as they are written.
    Text { same: bool, text: String },
}

/// More or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    More,
    AtLeast,
    Less,
    AtMost,
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Order(Order),
    Same,
    Other,
}

impl Order {
    /// True where the first stands in this order to the second.
    pub fn holds<T: PartialOrd>(self, first: T, second: T) -> bool {
        match self {
            Self::More => first > second,
            Self::AtLeast => first >= second,
            Self::Less => first < second,
            Self::AtMost => first <= second,
        }
    }
}

impl Comparison {
    /// True where the first compares so to the second.
    pub fn holds(self, first: f64, second: f64) -> bool {
        match self {
            Self::Order(order) => order.holds(first, second),
            Self::Same => first == second,
            Self::Other => first != second,
        }
    }
}

/// Longest number that a double holds exactly, in digits.
const MAX_DIGITS: usize = 15;

impl Test {
    /// Reads a test; otherwise what is wrong with it, one sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        match text {
            "present" => return Ok(Self::Present),
            "missing" => return Ok(Self::Missing),
            _ => {}
        }
        // The longer ones first.
        let operators = [
            (">=", Comparison::Order(Order::AtLeast)),
            ("<=", Comparison::Order(Order::AtMost)),
            ("==", Comparison::Same),
            ("!=", Comparison::Other),
            (">", Comparison::Order(Order::More)),
            ("<", Comparison::Order(Order::Less)),
        ];
        let read = operators.into_iter().find_map(|(sign, how)| Some((how, text.strip_prefix(sign)?.trim())));
        let Some((how, operand)) = read else {
            return Err("It begins with none of >, >=, <, <=, ==, !=, and is neither present nor missing.");
        };
        if let Some(number) = number(operand) {
            return Ok(Self::Number(how, number));
        }
        let age = milliseconds(operand);
        let same = match (how, age) {
            (Comparison::Order(order), Some(age)) => return Ok(Self::Age(order, age)),
            (Comparison::Order(_), None) => {
                return Err("More and less need a number of at most 15 digits, or a duration such as 30m.");
            }
            (Comparison::Same | Comparison::Other, Some(_)) => {
                return Err("A duration can be compared by >, >=, < and <= only.");
            }
            (how, None) => how == Comparison::Same,
        };
        let text = match operand.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"'),
            None => Some(operand).filter(|word| !word.is_empty()),
        };
        match text.filter(|text| !text.contains('"')) {
            Some(text) => Ok(Self::Text { same, text: text.to_owned() }),
            None => Err("Behind the operator stands no text."),
        }
    }
}

/// The number that a text is.
pub fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fits = digits(whole)
        && fraction.is_none_or(digits)
        && whole.len() + fraction.map_or(0, str::len) <= MAX_DIGITS;
    fits.then(|| text.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tajos_own_examples() {
        let more = Comparison::Order(Order::More);
        assert_eq!(Test::parse("> 50"), Ok(Test::Number(more, 50.0)));
        assert_eq!(Test::parse(">= 1"), Ok(Test::Number(Comparison::Order(Order::AtLeast), 1.0)));
        assert_eq!(Test::parse("> 30m"), Ok(Test::Age(Order::More, 30 * 60_000)));
    }

    #[test]
    fn texts_are_words_or_quoted() {
        let same = |text: &str| Ok(Test::Text { same: true, text: text.to_owned() });
        assert_eq!(Test::parse("== gold"), same("gold"));
        assert_eq!(Test::parse("==\"30m\""), same("30m"));
        assert_eq!(Test::parse("== \"\""), same(""));
        assert_eq!(Test::parse("== \"7\""), same("7"));
        assert_eq!(Test::parse("== 7"), Ok(Test::Number(Comparison::Same, 7.0)));
        // Too long for a number to be exact, so it is compared as it is written.
        assert_eq!(Test::parse("== 1234567890123456"), same("1234567890123456"));
    }

    #[test]
    fn what_is_no_test_is_said_so() {
        for text in [
            "",
            "50",
            "gold",
            "=",
            "= 5",
            "=>5",
            "> ",
            "> gold",
            "> \"5\"",
            "> 5 m",
            "> 5w",
            "== 30m",
            "==",
            "!= ",
            "== \"a",
            "== a\"b",
            "== \"a\"b\"",
            "> 1e3",
            "> .5",
            "> 5.",
            "> 1234567890123456",
            "> 99999999999999999d",
            "Present",
        ] {
            assert!(Test::parse(text).is_err(), "{text}");
        }
    }

    fn written(test: &Test) -> String {
        let sign = |order: &Order| match order {
            Order::More => ">",
            Order::AtLeast => ">=",
            Order::Less => "<",
            Order::AtMost => "<=",
        };
        match test {
            Test::Present => "present".to_owned(),
            Test::Missing => "missing".to_owned(),
            Test::Number(Comparison::Order(order), number) => format!("{}{number}", sign(order)),
            Test::Number(Comparison::Same, number) => format!("== {number}"),
            Test::Number(Comparison::Other, number) => format!("!={number}"),
            Test::Age(order, age) => format!("{} {}s", sign(order), age / 1000),
            Test::Text { same, text } => format!("{}  \"{text}\"", if *same { "==" } else { "!=" }),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            order in prop_oneof![Just(Order::More), Just(Order::AtLeast), Just(Order::Less), Just(Order::AtMost)],
            thousandths in -999_999_999_i64..999_999_999, seconds in 0..99_999_999_i64, same: bool, text in "[^\"]{0,12}",
        ) {
            let equality = if same { Comparison::Same } else { Comparison::Other };
            let number = thousandths as f64 / 1000.0;
            for test in [
                Test::Number(Comparison::Order(order), number),
                Test::Number(equality, number),
                Test::Age(order, seconds * 1000),
                Test::Text { same, text },
            ] {
                prop_assert_eq!(Test::parse(&written(&test)), Ok(test));
            }
        }

        #[test]
        fn any_text_is_a_test_or_is_not(text in "[<>=!\" 0-9.a-z-]{0,20}") {
            if let Ok(test) = Test::parse(&text) {
                prop_assert_eq!(Test::parse(&written(&test)), Ok(test));
            }
        }
    }
}
