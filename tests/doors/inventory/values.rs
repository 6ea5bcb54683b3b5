//! What a field can hold: three ways of saying nothing, ids and times in every form, and what is
//! no JSON to anybody.

use moengage_connector::{FailureKind, Page};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{answered, first, ok, resources, samples};
use crate::schemas::assert_fits_schema;
use crate::{NOW, body};

/// JSON pointers of everything in a value that is one word.
pub fn leaves(value: &Value) -> Vec<String> {
    let below = |key: String, value: &Value| -> Vec<String> {
        leaves(value).into_iter().map(|leaf| format!("/{key}{leaf}")).collect()
    };
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| below(key.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(n, value)| below(n.to_string(), value)).collect()
        }
        _ => vec![String::new()],
    }
}

fn bodies(page: &Page) -> Vec<Value> {
    page.records.iter().map(body).collect()
}

/// What differs: pointers of both, with what stands there.
fn differences(before: &[Value], after: &[Value]) -> Vec<(Option<Value>, Option<Value>)> {
    let (before, after) = (json!(before), json!(after));
    let mut all = leaves(&before);
    all.extend(leaves(&after));
    all.sort();
    all.dedup();
    let at = |value: &Value, leaf: &String| value.pointer(leaf).cloned();
    let pairs = all.iter().map(|leaf| (at(&before, leaf), at(&after, leaf)));
    pairs.filter(|(before, after)| before != after).collect()
}

/// The sample with one place of it changed, or without it.
fn changed(sample: &Value, leaf: &str, to: Option<Value>) -> Value {
    let mut changed = sample.clone();
    let (parent, key) = leaf.rsplit_once('/').unwrap();
    match (to, changed.pointer_mut(parent).unwrap()) {
        (Some(value), _) => *changed.pointer_mut(leaf).unwrap() = value,
        (None, Value::Object(object)) => {
            object.remove(&key.replace("~1", "/").replace("~0", "~")).unwrap();
        }
        (None, Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
        (None, other) => panic!("{other}"),
    }
    changed
}

/// Members of rows: not those of the envelope, not elements of lists of texts.
fn fields(resource: &str, sample: &Value) -> Vec<String> {
    let rows = leaves(sample).into_iter().filter(|leaf| {
        let key = leaf.rsplit('/').next().unwrap();
        key.parse::<usize>().is_err() && (leaf.contains("/0/") || resource == "subscription-preferences")
    });
    rows.filter(|leaf| {
        leaf.starts_with("/data/") || leaf.starts_with("/items/") || leaf.starts_with("/executions/")
    })
    .collect()
}

#[test]
fn d16_null_missing_and_empty_stay_three_things_in_every_field() {
    let mut seen = [0; 4];
    for resource in resources() {
        let name = resource.name.as_str();
        let sample: Value = serde_json::from_str(samples()[name].get()).unwrap();
        let clean = bodies(&first(name, ok(&sample)).unwrap());
        // One name of a figure is misspelt by MoEngage and not by us; see `stats`.
        for leaf in fields(name, &sample).into_iter().filter(|leaf| !leaf.contains("campaing")) {
            let was = sample.pointer(&leaf).unwrap();
            for to in [Some(Value::Null), None, Some(json!(""))] {
                let Ok(page) = first(name, ok(&changed(&sample, &leaf, to.clone()))) else {
                    panic!("{name} {leaf}: a field of a row is no failure")
                };
                let after = bodies(&page);
                if after.len() < clean.len() {
                    let codes: Vec<_> = page.rejects.iter().map(|reject| reject.code.as_str()).collect();
                    assert_eq!(codes, ["missing-key"], "{name} {leaf}");
                    seen[0] += 1;
                    continue;
                }
                assert!(page.records.iter().zip(&after).all(|(record, body)| {
                    assert_fits_schema(&record.kind, body);
                    true
                }));
                match differences(&clean, &after).as_slice() {
                    // It has no column.
                    [] => seen[1] += 1,
                    [(Some(before), after)] => {
                        let readable = *after == to;
                        // An empty text is none of the numbers, times and flags: left out and told.
                        let told = to == Some(json!(""))
                            && after.is_none()
                            && page.notes.iter().any(|n| n.name == "unreadable-field");
                        assert!(
                            readable || told,
                            "{name} {leaf}: {was} became {after:?} from {to:?}, {before}"
                        );
                        seen[2 + usize::from(told)] += 1;
                    }
                    more => panic!("{name} {leaf}: {more:?}"),
                }
            }
        }
    }
    // Each of the cases was met, so that the test can't pass by meeting none.
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

fn dashboards(row: &str) -> Page {
    let rows = format!(r#"{{"data":[{row},{{"_id":"good","name":"x"}}]}}"#);
    first("dashboards", answered(200, rows)).unwrap()
}

/// What becomes of a row with this id, as JSON: the key, or the reject's code.
fn id(json: &str) -> Result<String, String> {
    let page = dashboards(&format!(r#"{{"_id":{json},"name":"x"}}"#));
    assert_eq!(page.records.last().unwrap().id, "moengage:ABC123:dashboard:good", "one row stops no other");
    match page.rejects.as_slice() {
        [] => Ok(body(&page.records[0])["id"].as_str().unwrap().to_owned()),
        [reject] => {
            assert_eq!((reject.pointer.as_str(), page.records.len()), ("/data/0", 1));
            Err(reject.code.clone())
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn d03_ids_keep_every_digit_or_are_refused() {
    for (json, told) in [
        ("42", Ok("42")),
        ("42.0", Ok("42")),
        ("4.2e1", Ok("42")),
        ("\"42.0\"", Ok("42.0")),
        ("98765432109876543210987654321", Ok("98765432109876543210987654321")),
        ("9007199254740991.0", Ok("9007199254740991")),
        ("9007199254740993.0", Err("float-identity")),
        ("1.5", Err("float-identity")),
        ("1e400", Err("unreadable-value")),
        ("true", Err("wrong-type-identity")),
        ("[1]", Err("wrong-type-identity")),
        ("null", Err("missing-key")),
        ("\"  \"", Err("missing-key")),
        ("\"a\\u0000b\"", Err("control-character-identity")),
        ("\"caf\u{FFFD}\"", Err("unreadable-identity")),
    ] {
        assert_eq!(id(json), told.map(str::to_owned).map_err(str::to_owned), "{json}");
    }
    assert_eq!(id(&format!("\"{}\"", "x".repeat(513))), Err("identity-too-long".to_owned()));
    assert_eq!(
        id(&format!("\"{}\"", "x".repeat(500))),
        Err("identity-too-long".to_owned()),
        "with what stands before it"
    );
}

#[test]
fn d05_d06_a_row_that_nobody_can_read_is_rejected_and_the_others_are_read() {
    for (row, code) in [
        (r#"{"_id":"a","_id":"b"}"#, "duplicate-key"),
        (r#"{"_id":"a","x":{"y":1,"y":2}}"#, "duplicate-key"),
        (r#"{"_id":"a","name":"\ud800"}"#, "unreadable-value"),
        (r#"{"_id":"a","$serde_json::private::RawValue":"["}"#, "reserved-key"),
        ("7", "row-not-object"),
        ("null", "row-not-object"),
        ("[]", "row-not-object"),
        ("\"x\"", "row-not-object"),
    ] {
        let page = dashboards(row);
        let codes: Vec<_> =
            page.rejects.iter().map(|reject| (reject.pointer.as_str(), reject.code.as_str())).collect();
        assert_eq!((codes.as_slice(), page.records.len()), (&[("/data/0", code)][..], 1), "{row}");
    }
    let deep = format!(r#"{{"_id":"a","x":{}{}}}"#, "[".repeat(101), "]".repeat(101));
    assert_eq!(dashboards(&deep).rejects[0].code, "too-deep");
}

#[test]
fn d01_d06_an_answer_that_is_no_json_is_no_list() {
    let good = r#"{"data":[{"_id":"a","name":"x"}]}"#;
    let mut no_utf8 = good.as_bytes().to_vec();
    no_utf8[20] = 0xFF;
    let bom = [b"\xEF\xBB\xBF", good.as_bytes()].concat();
    let deep = format!(r#"{{"data":[{{"_id":"a","x":{}"#, "[".repeat(100_000)).into_bytes();
    for bytes in [no_utf8, bom, [good.as_bytes(), b" x"].concat(), deep] {
        let failure = first("dashboards", answered(200, bytes)).unwrap_err();
        assert_eq!(failure.code, "unexpected-answer");
        assert!(matches!(failure.kind, FailureKind::VendorContract(sample) if sample.len() <= 1_024));
    }
}

#[test]
fn d08_a_field_beyond_what_a_record_holds_is_told() {
    let page = dashboards(&format!(r#"{{"_id":"a","name":"{}"}}"#, "x".repeat(300_000)));
    assert_eq!(page.rejects[0].code, "row-too-large");
    let many: String = (0..10_000).map(|n| format!(r#","f{n}":{n}"#)).collect();
    let page = dashboards(&format!(r#"{{"_id":"a","name":"n"{many}}}"#));
    assert_eq!((page.records.len(), body(&page.records[0])), (2, json!({"id": "a", "name": "n"})));
}

#[test]
fn d14_times_come_in_every_documented_form_and_nothing_is_guessed() {
    let at = |text: &str| {
        let rows = json!({"data": [{"id": "a", "created_time": text}]});
        let page = first("segments", ok(&rows)).unwrap();
        (body(&page.records[0]).get("created_at").cloned(), page.notes.len())
    };
    for (text, millis) in [
        ("2024-07-04 08:00:54.847000", 1_720_080_054_847_i64),
        ("2022-12-01T13:17:46.409000", 1_669_900_666_409),
        ("2026-01-05T10:00:00Z", 1_767_607_200_000),
        ("2026-06-23T12:29:41.225270281Z", 1_782_217_781_225),
        ("2024-05-10T07:03:00.18Z", 1_715_324_580_180),
        ("2024-05-10T07:03:00+05:30", 1_715_304_780_000),
        ("Tue, 28 May 2024 22:24:22 IST", 1_716_915_262_000),
    ] {
        assert_eq!(at(text), (Some(json!(millis)), 0), "{text}");
    }
    for text in [
        "0000-00-00 00:00:00",
        "2024-07-04",
        "1653022310",
        "2016-12-31T23:59:60Z",
        "9999-12-31T23:59:59-01:00",
        "soon",
    ] {
        assert_eq!(at(text), (None, 1), "{text}");
    }
    let expires = |value: Value| {
        let page = first("coupon-lists", ok(&json!({"data": [{"_id": "a", "expires_at": value}]}))).unwrap();
        body(&page.records[0]).get("expires_at").cloned()
    };
    for text in ["2024-10-31", "2024-10-31T00:00:00", "2024-10-31T00:00:00.000Z"] {
        assert_eq!(expires(json!(text)), Some(json!(1_730_332_800_000_i64)), "{text}");
    }
    let card = |key: &str, value: Value| {
        let card = json!({"id": "a", "user_activity": {"first_seen": null}, key: value});
        let page = first("cards", ok(&json!({"status": true, "data": {"cards": [card]}}))).unwrap();
        body(&page.records[0])
    };
    assert_eq!(card("created_at", json!(1_695_986_445))["created_at"], json!(1_695_986_445_000_i64));
    assert_eq!(card("created_at", json!(1_695_986_445.0))["created_at"], json!(1_695_986_445_000_i64));
    // As seconds it would be the year 55,000: another unit by mistake.
    assert!(card("created_at", json!(1_695_986_445_000_i64)).get("created_at").is_none());
    assert_eq!(card("x", json!(1))["seen_at"], Value::Null);
}

#[test]
fn words_are_one_word_in_whichever_case_they_come() {
    let status = |raw: &str| {
        let flow = json!({"flow_id": "f", "status": raw});
        let page = first("flows", ok(&json!({"data": {"flows": [flow], "has_more": false}}))).unwrap();
        body(&page.records[0])["status"].clone()
    };
    for raw in ["UNDER_REVIEW", "Under Review", "under-review", "under_review"] {
        assert_eq!(status(raw), "under-review");
    }
}

#[test]
fn a_run_is_an_observation_and_so_is_a_change_within_it() {
    let seen = |name: &str, now: i64| {
        let rows = json!({"data": [{"_id": "a", "name": name}]});
        let http = &mut super::vendor(move |_| ok(&rows));
        let settings = crate::parse(&crate::schemas::everything());
        let from = (moengage_connector::Position::Start, 1_000, now);
        super::unit(&settings, "dashboards", http, &mut crate::schemas::known_ids(), from)
            .unwrap()
            .records
            .remove(0)
    };
    assert_eq!(seen("a", NOW), seen("a", NOW), "a repeated unit");
    let runs: std::collections::BTreeSet<_> =
        [seen("a", NOW), seen("b", NOW), seen("a", NOW + 1), seen("b", NOW + 1)]
            .map(|r| r.observation.id)
            .into();
    assert_eq!(runs.len(), 4);
}

proptest! {
    #[test]
    fn no_two_different_keys_of_several_parts_share_an_id(
        a in ("[ab/%:F2]{1,5}", "[ab/%:F2]{1,5}"), b in ("[ab/%:F2]{1,5}", "[ab/%:F2]{1,5}")
    ) {
        let id = |(channel, name): &(String, String)| {
            let rows = json!({"data": [{"channel": channel, "name": name}]});
            first("subscription-categories", ok(&rows)).unwrap().records[0].id.clone()
        };
        // The channel is a word: case and separators of words are no difference.
        let word = |pair: &(String, String)| (pair.0.to_lowercase(), pair.1.clone());
        prop_assert_eq!(id(&a) == id(&b), word(&a) == word(&b));
    }
}
