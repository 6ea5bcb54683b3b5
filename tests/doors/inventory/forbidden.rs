//! What is never read: what a thing says, who made it, codes, and third parties' secrets.

use moengage_connector::Page;
use serde_json::{Map, Value, json};

use super::values::leaves;
use super::{first, ok, resources, samples};

/// Names under which MoEngage's documents put what is never read, and some that they don't have.
const NEVER: [&str; 24] = [
    "content",
    "raw_content",
    "html_content",
    "email_content",
    "template_content",
    "subject",
    "message",
    "payload",
    "summary_text",
    "basic_details",
    "personalization_snippet",
    "coupon_code",
    "codes",
    "created_by",
    "updated_by",
    "published_by",
    "owned_by",
    "created_by_email",
    "email_alert_subscribers",
    "params",
    "headers",
    "request_body",
    "included_filters",
    "unheard_of",
];

/// Texts of the documented samples that belong to these names.
const SAID: [&str; 12] = [
    "@example.com",
    "Jane Doe",
    "John Doe",
    "<html",
    "Sample",
    "Winter Sale",
    "Hello",
    "CouponList",
    "Welcome email",
    "updated_time",
    "usr_64f0",
    "1.png",
];

/// The same value with canaries in every object, under every name that is never read.
fn stuffed(value: &Value, count: &mut usize) -> Value {
    match value {
        Value::Object(object) => {
            let mut full: Map<String, Value> =
                object.iter().map(|(key, value)| (key.clone(), stuffed(value, count))).collect();
            for key in NEVER.iter().filter(|key| !object.contains_key(**key)) {
                *count += 1;
                let canary = format!("canary-{count}");
                let nested = json!([{"text": canary}, canary]);
                full.insert((*key).to_owned(), if count.is_multiple_of(2) { json!(canary) } else { nested });
            }
            Value::Object(full)
        }
        Value::Array(items) => items.iter().map(|item| stuffed(item, count)).collect(),
        other => other.clone(),
    }
}

fn everything_of(page: &Page) -> String {
    format!("{:?} {:?} {:?} {:?}", page.records, page.rejects, page.notes, page.next)
}

/// A catalog's attributes are the tenant's own: whatever is one word is kept, and nothing else.
/// Their names can't be told from any other.
const OWN_ATTRIBUTES: &str = "catalog-items";

/// Without the figures of campaigns, whose objects are keyed by names: see [`crate::stats`].
fn listed() -> Vec<String> {
    resources().into_iter().map(|resource| resource.name).filter(|name| name != "campaign-stats").collect()
}

#[test]
fn no_field_without_a_column_comes_through() {
    for resource in listed() {
        let sample: Value = serde_json::from_str(samples()[&resource].get()).unwrap();
        let mut count = 0;
        let full = stuffed(&sample, &mut count);
        assert!(count > 0);
        let page = first(&resource, ok(&full)).unwrap();
        let clean = first(&resource, ok(&sample)).unwrap();
        assert!(!page.records.is_empty());
        if resource == OWN_ATTRIBUTES {
            let text = everything_of(&page);
            assert!(text.contains("canary") && !text.contains("text"), "{text}");
            continue;
        }
        let text = everything_of(&page);
        assert!(!text.contains("canary"), "{resource}: {text}");
        for said in SAID {
            assert!(!text.contains(said), "{resource}: {said} in {text}");
        }
        assert_eq!(page.records, clean.records, "{resource}");
    }
}

#[test]
fn no_reject_note_or_failure_repeats_what_a_row_says() {
    for resource in listed() {
        let sample: Value = serde_json::from_str(samples()[&resource].get()).unwrap();
        for leaf in leaves(&sample) {
            for canary in [json!({"canary": ["canary"]}), json!("canary\u{1}\u{FFFD}")] {
                let mut broken = sample.clone();
                *broken.pointer_mut(&leaf).unwrap() = canary;
                match first(&resource, ok(&broken)) {
                    Ok(page) => {
                        let shown = format!("{:?} {:?} {:?}", page.rejects, page.notes, page.next);
                        assert!(!shown.contains("canary"), "{resource} {leaf}: {shown}");
                    }
                    Err(failure) => {
                        assert!(!failure.message.contains("canary"), "{resource} {leaf}: {failure:?}")
                    }
                }
            }
        }
    }
}

#[test]
fn what_moengage_says_of_content_apis_codes_and_archives_is_never_asked_for() {
    let manifest: Value = serde_json::from_str(include_str!("../../../manifest.json")).unwrap();
    for (name, endpoint) in manifest["endpoints"].as_object().unwrap() {
        for path in endpoint["paths"].as_array().unwrap() {
            let path = path.as_str().unwrap();
            for never in
                ["content-apis", "archival", "get-by-ids", "/files", "usage-report", "email-templates/*"]
            {
                assert!(!path.contains(never), "{name}: {path}");
            }
        }
    }
}
