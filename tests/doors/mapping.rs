use moengage_connector::{FailureKind, Mapping, Provenance, Record, map_record};
use serde_json::{Value, json};

use crate::{Lines, NOW, T, actions, contact_record, effects, event_record, map, plain, with};

fn slots(effects: &[(String, Value)]) -> Vec<&str> {
    effects.iter().map(|(slot, _)| slot.as_str()).collect()
}

fn user(attributes: Value) -> Value {
    let mut user = json!({"moengage_user_id": "m", "u_em": "ann@example.com"});
    for (key, value) in attributes.as_object().unwrap() {
        user[key] = value.clone();
    }
    json!({"user_attributes": user})
}

fn nothing(mapping: Mapping) -> String {
    match mapping {
        Mapping::Nothing(why) => why,
        Mapping::Actions(actions) => panic!("{actions:?}"),
    }
}

#[test]
fn consent_and_suppression_come_before_the_contact() {
    let flags = json!({"moe_unsubscribe": true, "moe_spam": true, "moe_hard_bounce": true, "moe_sms_subscription": "unsubscribed"});
    let effects = effects(&plain(), &contact_record(&plain(), user(flags)));
    assert_eq!(
        effects,
        [
            ("consent-email".to_owned(), json!({"channel": "email", "status": "opted-out", "basis": "flag"})),
            ("consent-sms".to_owned(), json!({"channel": "sms", "status": "opted-out", "basis": "flag"})),
            ("suppress-email-hard-bounce".to_owned(), json!({"channel": "email", "reason": "hard-bounce"})),
            ("suppress-email-complaint".to_owned(), json!({"channel": "email", "reason": "complaint"})),
            ("contact".to_owned(), json!({"attributes": {}})),
        ]
    );
}

#[test]
fn unknown_consent_is_never_claimed() {
    for flags in [
        json!({}),
        json!({"moe_unsubscribe": null}),
        json!({"moe_unsubscribe": false, "moe_email_optin_status": "OPT_IN_PENDING"}),
    ] {
        assert_eq!(slots(&effects(&plain(), &contact_record(&plain(), user(flags)))), ["contact"]);
    }
    let effects = effects(&plain(), &contact_record(&plain(), user(json!({"moe_unsubscribe": false}))));
    assert_eq!(effects[0].1, json!({"channel": "email", "status": "opted-in", "basis": "flag"}));
}

#[test]
fn attributes_are_mapped_strictly() {
    let settings = with(
        "field_mapping",
        json!({"points": {"to": "POINTS", "type": "number"}, "since": {"to": "SINCE", "type": "date"}, "vip": {"to": "VIP", "type": "boolean"}}),
    );
    let attributes = json!({
        "u_fn": "Ann", "u_ln": null, "u_gd": "", "u_bd": "1990-05-20T00:00:00Z", "points": "many", "since": "soon",
        "vip": true, "unmapped": 1
    });
    let record = contact_record(&settings, user(attributes));
    let mut lines = Lines::default();
    let mapping = map_record(&settings, &record, NOW, &mut lines).unwrap();
    let Mapping::Actions(actions) = mapping else { panic!("nothing") };
    assert_eq!(
        serde_json::from_str::<Value>(&actions[0].payload).unwrap(),
        json!({"attributes": {"FIRSTNAME": "Ann", "LASTNAME": null, "MOENGAGE_GENDER": "",
                              "BIRTHDAY": "1990-05-20", "VIP": true}})
    );
    assert_eq!(lines.0.len(), 2);
    let text = lines.0.join(" ");
    assert!(text.contains("POINTS") && text.contains("SINCE"), "{text}");
    assert!(!text.contains("many") && !text.contains("soon"), "{text}");
}

#[test]
fn an_event_is_tracked_with_its_date_and_uuid() {
    let record = event_record(&plain(), json!({}));
    let actions = actions(&plain(), &record);
    let [track] = actions.as_slice() else { panic!("one action") };
    assert_eq!((track.slot.as_str(), track.name.as_str()), ("event", "brevo/track-event"));
    assert_eq!(track.not_after, Some((T + 24 * 3600) * 1000));
    assert_eq!(track.subject, record.subject);
    assert_eq!(
        serde_json::from_str::<Value>(&track.payload).unwrap(),
        json!({"event": "moengage_email_open", "properties": {
            "moengage_event_uuid": "3b918064-08dc-4d5e-9c3f-000000000001", "moengage_event_code": "MOE_EMAIL_OPEN",
            "campaign_id": "62", "campaign_name": "Spring", "campaign_channel": "EMAIL"}})
    );
}

#[test]
fn nothing_of_the_user_or_the_device_goes_along_with_an_event() {
    let changes = json!({
        "user_attributes": {"moengage_user_id": "m-secret", "u_em": "secret@example.com", "u_fn": "Secret"},
        "device_attributes": {"model": "secret"}, "email_id": "secret@example.com"
    });
    let payload = actions(&plain(), &event_record(&plain(), changes)).remove(0).payload;
    assert!(!payload.to_lowercase().contains("secret"), "{payload}");
}

#[test]
fn the_age_limit_follows_the_setting_and_the_door() {
    let week = with("options", json!({"max_event_age": "7d"}));
    let not_after = |record| actions(&week, &record).remove(0).not_after;
    assert_eq!(not_after(event_record(&week, json!({}))), Some((T + 7 * 86_400) * 1000));
    let undated = event_record(&week, json!({"event_time": "?"}));
    assert_eq!(not_after(undated), Some(NOW + 7 * 86_400_000));
}

/// The same record, read later on purpose.
fn backfilled(mut record: Record) -> Record {
    record.provenance = Provenance::Backfill;
    record
}

#[test]
fn historical_events_fire_nothing_and_recent_ones_do() {
    let at = |event_time: Value| backfilled(event_record(&plain(), json!({"event_time": event_time})));
    let day = 86_400;
    // A backfill up to now overlaps with the live door, and the age decides there as here.
    let recent = at(json!(T + 60 - day));
    assert_eq!(actions(&plain(), &recent)[0].not_after, Some(NOW));
    assert_eq!(recent.id, event_record(&plain(), json!({})).id);
    for time in [json!(T + 59 - day), json!(T - 365 * day), json!("?"), json!(T + 3600)] {
        assert_eq!(nothing(map(&plain(), &at(time.clone())).unwrap()), "historical-event", "{time}");
        let mut polled = at(time.clone());
        polled.provenance = Provenance::Poll;
        assert_eq!(nothing(map(&plain(), &polled).unwrap()), "historical-event", "{time}");
    }
    let week = with("options", json!({"max_event_age": "7d"}));
    assert_eq!(slots(&effects(&week, &at(json!(T - 6 * day)))), ["event"]);
    // A pushed event keeps its limit, so that the host can say that it came too late.
    let late = event_record(&plain(), json!({"event_time": T - 2 * day}));
    assert_eq!(actions(&plain(), &late)[0].not_after, Some((T - day) * 1000));
    // What is dropped anyway is said to be dropped.
    let dropped = with("event_mapping", json!({"MOE_EMAIL_OPEN": null}));
    assert_eq!(nothing(map(&dropped, &at(json!(T - 2 * day))).unwrap()), "event-dropped");
}

#[test]
fn an_opt_out_counts_however_old_it_is() {
    let old = json!({"event_code": "MOE_EMAIL_UNSUBSCRIBE", "event_time": T - 3 * 365 * 86_400});
    let record = backfilled(event_record(&plain(), old));
    assert_eq!(slots(&effects(&plain(), &record)), ["consent-email"]);
}

#[test]
fn historical_profiles_change_what_the_settings_say() {
    let flags = || user(json!({"moe_unsubscribe": true, "u_fn": "Ann"}));
    let only = with("options", json!({"historical_profiles": "consent-only"}));
    let record = backfilled(contact_record(&only, flags()));
    assert_eq!(slots(&effects(&only, &record)), ["consent-email"]);
    assert_eq!(slots(&effects(&plain(), &record)), ["consent-email", "contact"]);
    assert_eq!(slots(&effects(&only, &contact_record(&only, flags()))), ["consent-email", "contact"]);
    let unflagged = backfilled(contact_record(&only, json!({})));
    assert_eq!(nothing(map(&only, &unflagged).unwrap()), "historical-profile");
    let mut polled = unflagged;
    polled.provenance = Provenance::Poll;
    assert_eq!(slots(&effects(&only, &polled)), ["contact"]);
}

#[test]
fn signals_of_a_person_have_no_age_limit_and_come_first() {
    for (changes, slot, payload) in [
        (
            json!({"event_code": "MOE_EMAIL_UNSUBSCRIBE", "event_name": "Email Unsubscribed"}),
            "consent-email",
            json!({"channel": "email", "status": "opted-out", "basis": "signal"}),
        ),
        (
            json!({"event_code": "SOMETHING_NEW", "event_name": " email resubscribed"}),
            "consent-email",
            json!({"channel": "email", "status": "opted-in", "basis": "signal"}),
        ),
        (
            json!({"event_code": "MOE_EMAIL_SPAM", "event_name": "Email Complained"}),
            "suppress-email-complaint",
            json!({"channel": "email", "reason": "complaint"}),
        ),
        (
            json!({"event_code": "MOE_EMAIL_HARD_BOUNCE", "event_name": "Email Bounced", "email_id": "ANN@example.com"}),
            "suppress-email-hard-bounce",
            json!({"channel": "email", "reason": "hard-bounce"}),
        ),
    ] {
        let actions = actions(&plain(), &event_record(&plain(), changes));
        assert_eq!((actions[0].slot.as_str(), actions[1].slot.as_str()), (slot, "event"));
        assert_eq!(serde_json::from_str::<Value>(&actions[0].payload).unwrap(), payload);
        assert_eq!(actions[0].not_after, None);
    }
}

#[test]
fn what_is_no_signal_changes_no_consent() {
    for changes in [
        json!({"event_code": "MOE_WEB_UNSUBSCRIBED", "event_name": "Web Unsubscribed"}),
        json!({"event_code": "MOE_EMAIL_SOFT_BOUNCE"}),
        json!({"event_code": "MOE_USER_SUBSCRIBED"}),
        json!({"event_code": "X", "event_name": "Email Bounce Reset"}),
        // Without a date it might undo a later opt-out.
        json!({"event_code": "X", "event_name": "Email Resubscribed", "event_time": "?"}),
        // The address that bounced is not the one that the person has now.
        json!({"event_code": "MOE_EMAIL_HARD_BOUNCE", "email_id": "old@example.com"}),
    ] {
        assert_eq!(
            slots(&effects(&plain(), &event_record(&plain(), changes.clone()))),
            ["event"],
            "{changes}"
        );
    }
}

#[test]
fn the_switches_are_respected() {
    let unsubscribe = json!({"event_code": "MOE_EMAIL_UNSUBSCRIBE"});
    let flags = || user(json!({"moe_unsubscribe": true}));
    let off = with("sync", json!({"events": false}));
    assert_eq!(slots(&effects(&off, &event_record(&off, unsubscribe.clone()))), ["consent-email"]);
    assert_eq!(nothing(map(&off, &event_record(&off, json!({}))).unwrap()), "not-synced");
    let off = with("sync", json!({"consent": false}));
    assert_eq!(slots(&effects(&off, &event_record(&off, unsubscribe))), ["event"]);
    assert_eq!(slots(&effects(&off, &contact_record(&off, flags()))), ["contact"]);
    let off = with("sync", json!({"contacts": false}));
    assert_eq!(slots(&effects(&off, &contact_record(&off, flags()))), ["consent-email"]);
    assert_eq!(nothing(map(&off, &contact_record(&off, json!({}))).unwrap()), "not-synced");
}

#[test]
fn the_event_mapping_names_and_drops() {
    let settings = with(
        "event_mapping",
        json!({"MOE_EMAIL_OPEN": "opened", "MOE_EMAIL_CLICK": "", "MOE_EMAIL_UNSUBSCRIBE": null}),
    );
    let name = |code: &str| effects(&settings, &event_record(&settings, json!({"event_code": code})));
    assert_eq!(name("MOE_EMAIL_OPEN")[0].1["event"], "opened");
    assert_eq!(name("Add to Cart")[0].1["event"], "moengage_add_to_cart");
    let click = event_record(&settings, json!({"event_code": "MOE_EMAIL_CLICK"}));
    assert_eq!(nothing(map(&settings, &click).unwrap()), "event-dropped");
    // Dropping the event does not drop what the person wants.
    assert_eq!(slots(&name("MOE_EMAIL_UNSUBSCRIBE")), ["consent-email"]);

    let strict = with("options", json!({"unknown_events": "drop"}));
    let custom = event_record(&strict, json!({"event_code": "VIEW_RADAR"}));
    assert_eq!(nothing(map(&strict, &custom).unwrap()), "unknown-event");
    assert_eq!(slots(&effects(&strict, &event_record(&strict, json!({})))), ["event"]);
}

#[test]
fn anonymous_people_and_other_projects_call_for_nothing() {
    let anonymous = json!({"uid": null, "email_id": null, "user_attributes": {"moengage_user_id": "m"}});
    assert_eq!(nothing(map(&plain(), &event_record(&plain(), anonymous)).unwrap()), "anonymous-person");

    let shop = with("project_code", json!("shop"));
    let of = |project: Value| json!({"event_attributes": {"moe_project_name": project}});
    for record in [event_record(&shop, of(json!("travel"))), contact_record(&shop, of(json!("travel")))] {
        assert_eq!(nothing(map(&shop, &record).unwrap()), "other-project");
    }
    assert_eq!(slots(&effects(&shop, &event_record(&shop, of(json!("shop"))))), ["event"]);
    assert_eq!(slots(&effects(&shop, &event_record(&shop, json!({})))), ["event"]);
}

#[test]
fn an_event_that_brevo_can_not_take_is_a_typed_failure() {
    let large = json!({"event_attributes": {"x": "y".repeat(60_000)}});
    let failure = map(&plain(), &event_record(&plain(), large.clone())).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Config, "event-too-large"));
    // An opt-out is not lost with it.
    let mut unsubscribe = large;
    unsubscribe["event_code"] = json!("MOE_EMAIL_UNSUBSCRIBE");
    assert_eq!(slots(&effects(&plain(), &event_record(&plain(), unsubscribe))), ["consent-email"]);
}

#[test]
fn records_that_are_not_ours_are_typed_failures() {
    let record = event_record(&plain(), json!({}));
    let mut other = record.clone();
    other.kind = "order".to_owned();
    assert_eq!(map(&plain(), &other).unwrap_err().code, "unknown-kind");
    for body in ["", "[]", "{}", "{\"event_uuid\":1}", &"[".repeat(100_000)] {
        let mut other = record.clone();
        other.body = body.to_owned();
        let failure = map(&plain(), &other).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Internal, "bad-record-body"));
    }
    let mut other = contact_record(&plain(), json!({}));
    for body in ["{}", "{\"event_uuid\":5}", "{\"attributes\":[]}"] {
        other.body = body.to_owned();
        assert_eq!(map(&plain(), &other).unwrap_err().code, "bad-record-body");
    }
    let mut thing = record;
    thing.subject = moengage_connector::Subject::Object("campaign".to_owned(), "1".to_owned());
    assert_eq!(map(&plain(), &thing).unwrap_err().code, "not-a-person");
}

#[test]
fn slots_are_unique_within_a_record() {
    let flags = json!({"moe_unsubscribe": true, "moe_spam": true, "moe_hard_bounce": true, "moe_sms_subscription": true});
    let actions = actions(&plain(), &contact_record(&plain(), user(flags)));
    let slots: std::collections::BTreeSet<_> = actions.iter().map(|action| &action.slot).collect();
    assert_eq!(slots.len(), actions.len());
}
