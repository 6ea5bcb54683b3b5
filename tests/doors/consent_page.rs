//! Every row of `docs/consent.md`, through reading and mapping.

use serde_json::{Value, json};

use crate::{actions, contact_record, event_record, plain};

const PAGE: &str = include_str!("../../docs/consent.md");

/// The cells of a table of the page.
fn rows(table: &str) -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(&format!("<!-- table: {table} -->")).unwrap();
    let (rows, _) = rest.split_once("<!-- end of the table -->").unwrap();
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let rows: Vec<Vec<String>> = rows.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    assert!(rows.len() > 4, "{table}");
    rows
}

fn channel(word: &str) -> &str {
    match word {
        "e-mail" => "email",
        "SMS" => "sms",
        other => panic!("{other}"),
    }
}

/// The actions that the words of the page stand for.
fn expected(channel: &str, says: &str) -> Vec<(String, Value)> {
    let consent = |status: &str, basis: &str| {
        let payload = json!({"channel": channel, "status": status, "basis": basis});
        vec![("brevo/set-consent".to_owned(), payload)]
    };
    let suppression = |reason: &str| {
        vec![("brevo/set-suppression".to_owned(), json!({"channel": channel, "reason": reason}))]
    };
    match says {
        "opted in, dated" => consent("opted-in", "signal"),
        "opted out, dated" => consent("opted-out", "signal"),
        "opted out" => consent("opted-out", "flag"),
        "not opted out" => consent("opted-in", "flag"),
        "hard bounce" => suppression("hard-bounce"),
        "complaint" => suppression("complaint"),
        "not known" => Vec::new(),
        other => panic!("{other}"),
    }
}

/// What a record says about consent and suppression.
fn said(record: &moengage_connector::Record) -> Vec<(String, Value)> {
    let of_consent = ["brevo/set-consent", "brevo/set-suppression"];
    let actions = actions(&plain(), record).into_iter().filter(|a| of_consent.contains(&a.name.as_str()));
    actions.map(|a| (a.name, serde_json::from_str(&a.payload).unwrap())).collect()
}

/// An event by its code, or by a display name where it has spaces.
fn by_signal(signal: &str) -> Value {
    match signal.contains(' ') {
        true => json!({"event_code": "NOT_PUBLISHED", "event_name": signal}),
        false => json!({"event_code": signal, "event_name": "Renamed"}),
    }
}

#[test]
fn consent_page_events_say_what_it_says() {
    for row in rows("events") {
        let [signal, on, says, source] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!(said(&event_record(&plain(), by_signal(signal))), expected(channel(on), says), "{signal}");
        assert!(source.contains("MD:"), "{signal} has no source");
    }
}

#[test]
fn consent_page_attributes_say_what_it_says() {
    for row in rows("attributes") {
        let [signal, on, says, _] = row.as_slice() else { panic!("{row:?}") };
        let (name, value) = signal.split_once(": ").unwrap();
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        let user =
            json!({"user_attributes": {"moengage_user_id": "m", "u_em": "ann@example.com", name: value}});
        assert_eq!(said(&contact_record(&plain(), user)), expected(channel(on), says), "{signal}");
    }
}

#[test]
fn consent_page_names_what_says_nothing() {
    for row in rows("nothing") {
        assert_eq!(said(&event_record(&plain(), by_signal(&row[0]))), [], "{row:?}");
    }
}

#[test]
fn an_undated_resubscription_says_nothing() {
    let mut event = by_signal("Email Resubscribed");
    event["event_time"] = json!("?");
    assert_eq!(said(&event_record(&plain(), event)), []);
}
