//! Who a record is about, as far as the connector decides it; the rest is the host's
//! (`docs/identity.md`).

use moengage_connector::configure;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{contact_record, event_record, person, plain_settings, take, with};

fn phone(options: Value, number: &str) -> Option<String> {
    let settings = with("options", options);
    let user = json!({"moengage_user_id": "m", "u_mb": number});
    person(&contact_record(&settings, json!({"user_attributes": user}))).phone.clone()
}

#[test]
fn d11_a_phone_number_needs_a_country_and_nothing_is_guessed() {
    let germany = || json!({"phone_country": {"code": "+49", "trunk": "0"}});
    let america = || json!({"phone_country": {"code": "1", "digits": 10}});
    let hungary = || json!({"phone_country": {"code": "36", "trunk": "06", "digits": 9}});
    for (options, number, expected) in [
        (json!({}), "0170 1234567", None),
        (json!({}), "+49 170 1234567", Some("+491701234567")),
        (germany(), "0170 1234567", Some("+491701234567")),
        (germany(), "+33 6 12 34 56 78", Some("+33612345678")),
        (germany(), "0033 6 12345678", Some("+33612345678")),
        (germany(), "491701234567", None),
        (germany(), "170 1234567", None),
        (america(), "(555) 010-2030", Some("+15550102030")),
        (america(), "15550102030", None),
        (hungary(), "06 20 123 4567", Some("+36201234567")),
        (hungary(), "06 20 123 456", None),
        // Digits of other scripts, letters on a keypad, what is short or has an extension.
        (germany(), "\u{660}\u{661}\u{667}\u{660} \u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}", None),
        (germany(), "+\u{664}\u{669}1701234567", None),
        (germany(), "\u{ff10}170 1234567", None),
        (america(), "1-800-FLOWERS", None),
        (germany(), "110", None),
        (germany(), "0170 1234567 ext. 9", None),
        (germany(), "0170 1234567 / 0170 7654321", None),
        (json!({}), "00 49 170 1234567", Some("+491701234567")),
        (json!({}), "+0 170 1234567", None),
    ] {
        assert_eq!(phone(options.clone(), number).as_deref(), expected, "{options} {number}");
    }
    let both = json!({"phones": "bare-is-international", "phone_country": {"code": "49", "trunk": "0"}});
    assert_eq!(phone(both.clone(), "0170 1234567").as_deref(), Some("+491701234567"));
    assert_eq!(phone(both, "33612345678").as_deref(), Some("+33612345678"));
}

#[test]
fn a_country_that_leaves_room_for_guessing_is_refused() {
    let of = |options: Value| {
        let mut settings = plain_settings();
        settings["options"] = options;
        let problems = configure(&settings.to_string()).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.path, problem.code)).collect::<Vec<_>>()
    };
    for (country, path, code) in [
        (json!({"code": "049", "trunk": "0"}), ".code", "bad-phone-country"),
        (json!({"code": "DE", "trunk": "0"}), ".code", "bad-phone-country"),
        (json!({"code": "49", "trunk": "+"}), ".trunk", "bad-phone-country"),
        (json!({"code": "49", "digits": 3}), ".digits", "bad-phone-country"),
        (json!({"code": "49", "digits": "10"}), ".digits", "bad-phone-country"),
        (json!({"code": "49"}), ".trunk", "missing-key"),
        (json!({"trunk": "0"}), ".code", "missing-key"),
        (json!({"code": "49", "trunk": "0", "name": "Germany"}), ".name", "unknown-key"),
        (json!("DE"), "", "wrong-type"),
    ] {
        let expected = (format!("options.phone_country{path}"), code.to_owned());
        assert_eq!(of(json!({"phone_country": country.clone()})), [expected], "{country}");
    }
    let american = json!({"phones": "bare-is-international", "phone_country": {"code": "1", "digits": 10}});
    assert_eq!(of(american), [("options.phone_country".to_owned(), "ambiguous-phones".to_owned())]);
}

#[test]
fn the_address_is_the_attribute_that_the_tenant_names() {
    let settings = with("options", json!({"email_attribute": "work_email"}));
    let user = json!({"moengage_user_id": "m", "u_em": "ann@home.example", "work_email": "ann@work.example"});
    let record = contact_record(&settings, json!({"user_attributes": user, "email_id": "ann@home.example"}));
    assert_eq!(person(&record).email.as_deref(), Some("ann@work.example"));
}

#[test]
fn one_person_has_one_record_whatever_moengage_calls_them() {
    let settings = with("sync", json!({}));
    let of = |uid: Value, id: &str, email: &str| {
        let user = json!({"moengage_user_id": id, "u_em": email});
        contact_record(&settings, json!({"uid": uid, "email_id": null, "user_attributes": user}))
    };
    // Returning under a new id, and with a changed address: the customer's own id decides.
    let first = of(json!("cust-1"), "m-1", "ann@example.com");
    let later = of(json!("cust-1"), "m-2", "ann@new.example.com");
    assert_eq!(first.id, later.id);
    assert_ne!(person(&first).aliases, person(&later).aliases);
    // Several profiles on one address are several people.
    assert_ne!(first.id, of(json!("cust-2"), "m-3", "ann@example.com").id);
    // Without a customer id MoEngage's own is all there is.
    assert_eq!(of(json!(null), "m-1", "a@x.example").id, of(json!(null), "m-1", "b@x.example").id);
}

#[test]
fn visitors_are_nobody_until_something_names_them() {
    let settings = with("options", json!({}));
    for uid in [json!(null), json!("anon-77"), json!("guest"), json!("")] {
        let changes = json!({"uid": uid, "email_id": null, "user_attributes": {"moengage_user_id": "m-1"}});
        let outcome = take(&settings, &[crate::event(changes)]);
        let kinds: Vec<_> = outcome.records.iter().map(|record| record.kind.as_str()).collect();
        assert_eq!(kinds, ["event"], "{uid}");
        assert!(person(&outcome.records[0]).is_anonymous());
    }
    let named =
        event_record(&settings, json!({"uid": "cust-1", "user_attributes": {"moengage_user_id": "m-1"}}));
    assert_eq!(person(&named).aliases[0].value, "m-1", "the id that the visitor had");
}

proptest! {
    #[test]
    fn a_number_is_read_with_its_country_or_not_at_all(
        number in "\\+?[0-9]{4,14}", code in "[1-9][0-9]{0,2}", trunk in prop::option::of("[0-9]{1,2}"), digits in 4..14_usize
    ) {
        let mut country = json!({"code": code, "digits": digits});
        if let Some(trunk) = &trunk {
            country["trunk"] = json!(trunk);
        }
        let read = phone(json!({"phone_country": country}), &number);
        let without = phone(json!({}), &number);
        if without.is_some() {
            prop_assert_eq!(read, without, "a country of its own counts");
        } else if let Some(read) = read {
            let national = number.strip_prefix(trunk.as_deref().unwrap_or_default()).unwrap();
            prop_assert_eq!(national.len(), digits);
            prop_assert_eq!(read, format!("+{code}{national}"));
        }
    }
}
