#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::settings::Conversion as C;
use AttributeType as T;

fn mapping(kind: AttributeType, convert: &[Conversion]) -> AttributeMapping {
    AttributeMapping {
        from: "a".to_owned(),
        to: "A".to_owned(),
        kind,
        convert: convert.to_vec(),
        clear_on_null: true,
        clear_on_empty: kind == T::Text,
    }
}

/// What is sent, `keep` or `unusable`.
fn converted(kind: AttributeType, convert: &[Conversion], json: &str) -> String {
    let raw: &RawValue = serde_json::from_str(json).unwrap();
    match value(&mapping(kind, convert), raw) {
        Converted::Value(value) => crate::json::to_json(&value),
        Converted::Nothing => "keep".to_owned(),
        Converted::Unusable => "unusable".to_owned(),
    }
}

fn assert_all(cases: &[(AttributeType, &[Conversion], &str, &str)]) {
    for (kind, convert, json, expected) in cases {
        assert_eq!(converted(*kind, convert, json), *expected, "{kind:?} {convert:?} {json}");
    }
}

#[test]
fn missing_null_and_empty_are_three_things() {
    assert_all(&[
        (T::Text, &[], "null", "null"),
        (T::Text, &[], r#""""#, r#""""#),
        (T::Text, &[], r#"" ""#, r#"" ""#),
        (T::Text, &[C::Trim], r#"" ""#, r#""""#),
        (T::Text, &[C::Join], "[]", r#""""#),
        (T::Text, &[C::First], "[null]", r#""""#),
        (T::Date, &[], "null", "null"),
        (T::Date, &[], r#""""#, "keep"),
        (T::Number, &[C::DecimalComma], r#"" ""#, "keep"),
        (T::Number, &[C::Count], "[]", "0"),
        (T::Number, &[C::Count], r#""""#, "keep"),
    ]);
}

#[test]
fn null_and_empty_do_what_the_mapping_says() {
    let attributes = Object::parse(r#"{"null":null,"empty":"","blank":" "}"#).unwrap();
    for (clears, null, empty) in [
        (true, Converted::Value(Value::Null), Converted::Value(Value::Null)),
        (false, Converted::Nothing, Converted::Nothing),
    ] {
        let mut mapping = mapping(T::Number, &[]);
        (mapping.clear_on_null, mapping.clear_on_empty) = (clears, clears);
        let mut of = |from: &str| {
            mapping.from = from.to_owned();
            super::attribute(&mapping, &attributes)
        };
        assert_eq!((of("null"), of("empty")), (null, empty));
        assert_eq!(of("blank"), of("empty"));
        assert_eq!(of("missing"), Converted::Nothing);
        assert_eq!(of("null.member"), of("null"));
        assert_eq!(of("empty.member"), Converted::Nothing);
    }
}

#[test]
fn values_fit_their_type_or_are_left_out() {
    assert_all(&[
        (T::Text, &[], "4000052183.0", "\"4000052183\""),
        (T::Text, &[], "1.5", "\"1.5\""),
        (T::Text, &[], "true", "unusable"),
        (T::Text, &[], "[1]", "unusable"),
        (T::Text, &[], "{}", "unusable"),
        (T::Number, &[], "12.50", "12.50"),
        (T::Number, &[], "\"12.5\"", "12.5"),
        (T::Number, &[], "\"12,5\"", "unusable"),
        (T::Number, &[], "1234567890123456", "unusable"),
        (T::Number, &[], "1e20", "unusable"),
        (T::Number, &[], "0.30000000000000004", "0.3"),
        (T::Number, &[], "123456.78900000000001", "123456.789"),
        (T::Boolean, &[], "\"true\"", "true"),
        (T::Boolean, &[], "1", "unusable"),
        (T::Date, &[], "\"1990-05-20T10:00:00Z\"", "\"1990-05-20\""),
        (T::Date, &[], "\"1990-02-30\"", "unusable"),
        (T::Date, &[], "\"1899-12-31\"", "unusable"),
        (T::Date, &[], "\"20.05.1990\"", "unusable"),
        (T::Date, &[], "\"1990-05-20x\"", "unusable"),
        (T::Date, &[], "\"1990-0é-20\"", "unusable"),
        (T::Date, &[], "643161600000", "unusable"),
    ]);
}

#[test]
fn conversions_make_of_a_value_what_they_say() {
    assert_all(&[
        (T::Text, &[C::Trim, C::Lower], "\" Ann@X \"", "\"ann@x\""),
        (T::Text, &[C::Upper], "\"straße\"", "\"STRASSE\""),
        (T::Text, &[C::Join], r#"["a",1.0,null,"b"]"#, "\"a, 1, b\""),
        (T::Text, &[C::Join], r#"["a",[1]]"#, "unusable"),
        (T::Text, &[C::Join, C::Upper], r#"["a","b"]"#, "\"A, B\""),
        (T::Text, &[C::Join], "\"a\"", "unusable"),
        (T::Text, &[C::First], r#"["a","b"]"#, "\"a\""),
        (T::Text, &[C::Last, C::Upper], r#"["a","b"]"#, "\"B\""),
        (T::Number, &[C::Count], r#"["a",null,"b"]"#, "2"),
        (T::Number, &[C::Count], "{}", "unusable"),
        (T::Boolean, &[C::BooleanWords], "\" Yes\"", "true"),
        (T::Boolean, &[C::BooleanWords], "0.0", "false"),
        (T::Boolean, &[C::BooleanWords], "false", "false"),
        (T::Boolean, &[C::BooleanWords], "\"maybe\"", "unusable"),
        (T::Number, &[C::DecimalPoint], "\"1,234.50\"", "1234.50"),
        (T::Number, &[C::DecimalPoint], "12.5", "12.5"),
        (T::Number, &[C::DecimalPoint], "\"1.234,50\"", "unusable"),
        (T::Number, &[C::DecimalComma], "\"-1.234,50\"", "-1234.50"),
        (T::Number, &[C::DecimalComma], "\"1 234\"", "1234"),
        (T::Number, &[C::DecimalComma], "\"007\"", "7"),
        (T::Number, &[C::DecimalComma], "\"12.50\"", "unusable"),
        (T::Number, &[C::DecimalComma], "\"1.234'567,8\"", "unusable"),
        (T::Number, &[C::DecimalComma], "\"12,50 EUR\"", "unusable"),
        (T::Number, &[C::Round], "2.5", "3"),
        (T::Number, &[C::Round], "\"-0.4\"", "0"),
        (T::Number, &[C::Round2], "2.675", "2.68"),
        (T::Number, &[C::Round2], "999.999", "1000"),
        (T::Number, &[C::DecimalComma, C::Round2], "\"9,999\"", "10"),
        (T::Text, &[C::Round], "41.9", "\"42\""),
        (T::Date, &[C::EpochSeconds], "643161600", "\"1990-05-20\""),
        (T::Date, &[C::EpochSeconds], "643161600000", "unusable"),
        (T::Date, &[C::EpochMilliseconds], "\"643161600000\"", "\"1990-05-20\""),
        (T::Date, &[C::EpochMilliseconds], "-1", "\"1969-12-31\""),
        (T::Date, &[C::EpochMilliseconds], "\"1990-05-20\"", "unusable"),
        (T::Date, &[C::DayMonthYear], "\"20/05/1990\"", "\"1990-05-20\""),
        (T::Date, &[C::DayMonthYear], "\"1.2.1990 10:00\"", "\"1990-02-01\""),
        (T::Date, &[C::DayMonthYear], "\"05/20/1990\"", "unusable"),
        (T::Date, &[C::DayMonthYear], "\"20/05/90\"", "unusable"),
        (T::Date, &[C::DayMonthYear], "\"20/05-1990\"", "unusable"),
        (T::Date, &[C::MonthDayYear], "\"05/20/1990\"", "\"1990-05-20\""),
        (T::Date, &[C::YearMonthDay], "\"1990/5/20\"", "\"1990-05-20\""),
        (T::Date, &[C::YearMonthDay], "\"19900520\"", "\"1990-05-20\""),
        (T::Date, &[C::Trim], "\" 1990-05-20 \"", "\"1990-05-20\""),
    ]);
}

#[test]
fn a_name_with_dots_is_an_attribute_before_it_is_a_member() {
    let attributes = Object::parse(r#"{"a":{"b":{"c":"deep"},"d":null},"a.d":"plain"}"#).unwrap();
    let text = |name| named(&attributes, name).map(RawValue::get);
    assert_eq!(text("a.b.c"), Some("\"deep\""));
    assert_eq!(text("a.d"), Some("\"plain\""));
    assert_eq!(text("a.x"), None);
    assert_eq!(text("a.b.c.d"), None);
}

const STEPS: [Conversion; 17] = [
    C::First,
    C::Last,
    C::Count,
    C::Join,
    C::Trim,
    C::Lower,
    C::Upper,
    C::BooleanWords,
    C::DecimalPoint,
    C::DecimalComma,
    C::Round,
    C::Round2,
    C::EpochSeconds,
    C::EpochMilliseconds,
    C::DayMonthYear,
    C::MonthDayYear,
    C::YearMonthDay,
];

proptest! {
    #[test]
    fn whatever_comes_brevo_gets_the_type_or_nothing(
        json in "\"[ -~é]{0,12}\"|-?[0-9]{1,18}(\\.[0-9]{1,20})?|\\[(\"a\"|1|null)?\\]|true|null|\\{\\}",
        steps in prop::collection::vec(prop::sample::select(&STEPS[..]), 0..3),
        kind in prop::sample::select(&[T::Text, T::Number, T::Boolean, T::Date][..]),
    ) {
        prop_assume!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        let sent = converted(kind, &steps, &json);
        if sent == "keep" || sent == "unusable" {
            return Ok(());
        }
        let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
        let fits = match kind {
            T::Text => sent.is_string(),
            T::Number => sent.as_f64().is_some_and(|number| number.abs() < 1e15),
            T::Boolean => sent.is_boolean(),
            T::Date => sent.as_str().is_some_and(|day| day::iso(day).as_deref() == Some(day)),
        };
        prop_assert!(fits || sent.is_null() && json == "null", "{sent}");
    }

    #[test]
    fn rounding_moves_a_number_by_half_a_unit_at_most(number in -1e9..1e9_f64, places in 0..6_usize) {
        let rounded: f64 = number::rounded(&format!("{number}"), places).unwrap().get().parse().unwrap();
        let unit = 10_f64.powi(-(places as i32));
        prop_assert!((rounded - number).abs() <= unit / 2.0 * 1.000_001 + number.abs() * f64::EPSILON);
    }

    #[test]
    fn a_day_comes_back_from_its_milliseconds(days in -25_567..29_585_i64) {
        let day = day::of_epoch(&(days * 86_400_000).to_string(), 1).unwrap();
        prop_assert_eq!(crate::source::midnight(
            day[0..4].parse().unwrap(), day[5..7].parse().unwrap(), day[8..10].parse().unwrap()
        ), Some(days * 86_400_000));
    }
}
