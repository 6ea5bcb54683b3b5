//! Deleting people at Brevo, on the word of an event that the settings name.

use moengage_connector::{AttributeType, Mapping, Provenance, Settings, configure};
use serde_json::{Value, json};

use crate::rule_settings::{problems, these};
use crate::{T, actions, event_record, map, parse, plain, plain_settings};

fn settings_of(deletes: Value) -> Value {
    let mut settings = plain_settings();
    settings["deletes"] = deletes;
    settings
}

fn settings(deletes: Value) -> Settings {
    parse(&settings_of(deletes))
}

fn named() -> Value {
    json!({"event_code": "account_deleted"})
}

#[test]
fn the_named_event_deletes_and_does_nothing_else() {
    for (block, behavior) in [
        (json!({"on": ["account_deleted"]}), "soft"),
        (json!({"on": ["x", "account_deleted"], "delete_behavior": "soft"}), "soft"),
        (json!({"on": ["account_deleted"], "delete_behavior": "hard"}), "hard"),
    ] {
        let settings = settings(block);
        let record = event_record(&settings, named());
        let all = actions(&settings, &record);
        assert_eq!(all.len(), 1);
        let delete = &all[0];
        assert_eq!((delete.slot.as_str(), delete.name.as_str()), ("delete-contact", "brevo/delete-contact"));
        // Who is kept is marked.
        let payload = match behavior {
            "soft" => json!({"behavior": "soft", "mark": "MOENGAGE_DELETED_AT"}),
            _ => json!({"behavior": "hard"}),
        };
        assert_eq!(delete.payload, payload.to_string());
        assert_eq!(delete.subject, record.subject);
        // A deletion is owed however late it is done.
        assert_eq!((delete.not_after, delete.not_before), (None, None));
        for other in ["account_deleted2", "Account_Deleted", "MOE_LOGOUT"] {
            let record = event_record(&settings, json!({"event_code": other}));
            assert!(actions(&settings, &record).iter().all(|action| action.slot != "delete-contact"));
        }
    }
}

#[test]
fn nothing_deletes_that_the_settings_do_not_name() {
    let codes = [
        "account_deleted",
        "MOE_USER_MERGE_EVENT",
        "MOE_LOGOUT",
        "Device Uninstall",
        "MOE_EMAIL_UNSUBSCRIBE",
    ];
    for code in codes {
        let Mapping::Actions(all) =
            map(&plain(), &event_record(&plain(), json!({"event_code": code}))).unwrap()
        else {
            continue;
        };
        assert!(all.iter().all(|action| action.name != "brevo/delete-contact"), "{code}");
    }
}

#[test]
fn old_news_deletes_nobody_and_neither_does_a_nobody() {
    let settings = settings(json!({"on": ["account_deleted"], "delete_behavior": "hard"}));
    let deletes = |time: Value, provenance| {
        let mut record =
            event_record(&settings, json!({"event_code": "account_deleted", "event_time": time}));
        record.provenance = provenance;
        match map(&settings, &record).unwrap() {
            Mapping::Actions(all) => all.iter().any(|action| action.slot == "delete-contact"),
            Mapping::Nothing(why) => {
                assert_eq!(why, "historical-event");
                false
            }
        }
    };
    // The person may have come back since.
    assert!(!deletes(json!(T - 2 * 86_400), Provenance::Backfill));
    assert!(!deletes(json!("?"), Provenance::Backfill));
    assert!(deletes(json!(T - 3_600), Provenance::Backfill));
    assert!(deletes(json!(T - 2 * 86_400), Provenance::Live));
    let nobody = json!({
        "event_code": "account_deleted", "uid": null, "email_id": null, "user_attributes": {"moengage_user_id": "m"}
    });
    let nothing = map(&settings, &event_record(&settings, nobody)).unwrap();
    assert_eq!(nothing, Mapping::Nothing("anonymous-person".to_owned()));
}

#[test]
fn only_a_soft_deletion_needs_its_attribute() {
    let attribute = |settings: &Value| {
        let targets = configure(&settings.to_string()).unwrap().targets;
        let mut found = targets.attributes.into_iter().filter(|target| target.name == "MOENGAGE_DELETED_AT");
        found.next().map(|target| (target.kind, target.create))
    };
    assert_eq!(attribute(&plain_settings()), None);
    assert_eq!(attribute(&settings_of(json!({"on": ["x"], "delete_behavior": "hard"}))), None);
    let mut soft = settings_of(json!({"on": ["x"]}));
    assert_eq!(attribute(&soft), Some((AttributeType::Date, true)));
    soft["sync"] = json!({"contacts": false});
    assert_eq!(attribute(&soft), Some((AttributeType::Date, true)));
    soft["field_mapping"] = json!({"gone": "MOENGAGE_DELETED_AT"});
    assert_eq!(problems(&soft), these([("field_mapping.gone", "reserved-attribute")]));
}

#[test]
fn every_problem_of_deletes_at_once() {
    assert_eq!(
        problems(&settings_of(json!({"delete_behavior": "soft"}))),
        these([("deletes.on", "missing-key")])
    );
    assert_eq!(
        problems(&settings_of(
            json!({"delete_behavior": "gone", "on": ["ok", "MOE_USER_MERGE_EVENT", 7], "cap": 5})
        )),
        these([
            ("deletes.delete_behavior", "unknown-choice"),
            ("deletes.on[1]", "no-deletion"),
            ("deletes.on[2]", "wrong-type"),
            ("deletes.cap", "unknown-key"),
        ])
    );
    assert_eq!(problems(&settings_of(json!({"on": []}))), these([("deletes.on", "wrong-type")]));
}
