//! Event export files: what of a store becomes records, and what is said about the rest.

mod going_on;
mod properties;
mod setup;
mod store;

use moengage_connector::{FailureKind, HttpErrorKind, HttpResponse, Position, Provenance, TimeTrust};
use serde_json::json;
use std::cell::RefCell;

use crate::{batch, body, event, person, request};
use store::{
    DAY, S3, Store, TODAY, WEB, day, fetch, folder, folder_day_first, line, lines, numbered, settings,
};

/// An event on [`TODAY`].
fn today(number: u32) -> serde_json::Value {
    numbered(number, TODAY + 5 * 3_600_000)
}

#[test]
fn a_line_becomes_the_records_that_streams_makes_of_its_event() {
    let settings = settings(S3);
    let event = event(
        json!({"user_attributes": {"moengage_user_id": "m", "u_em": "ann@example.com", "moe_unsubscribe": true}}),
    );
    let mut store = Store::new(S3);
    store.put(&format!("{}/event_exports_1.json.gz", folder(0)), lines(std::slice::from_ref(&event)));
    let run = day(&settings, store);
    let live = crate::reach::handle_webhook(&settings, &request(batch(&[event]))).unwrap().records;
    assert_eq!(run.records.len(), 2);
    for (exported, mut streamed) in run.records.into_iter().zip(live) {
        assert_eq!(exported.provenance, Provenance::Backfill);
        streamed.provenance = Provenance::Backfill;
        assert_eq!(exported, streamed);
    }
    assert_eq!((run.truncated, run.progress), (None, vec![1_000_000]));
}

#[test]
fn both_spellings_and_hours_are_read_in_the_order_of_days() {
    for storage in [S3, "gcs", WEB] {
        let mut store = Store::new(storage);
        let at = |number, days: i64| lines(&[numbered(number, TODAY + days * DAY + 7_000)]);
        store
            .put(&format!("{}/event_exports_a.json.gz", folder(0)), at(1, 0))
            .put(&format!("{}/event_exports_b.json", folder_day_first(0)), at(2, 0))
            .put(&format!("{}/export_hour=02/x.json.gz", folder(1)), at(3, 1))
            .put(&format!("{}/export_hour=13/x.json.gz", folder(1)), at(4, 1))
            .put(&format!("{}/event_exports_c.json.gz", folder_day_first(2)), at(5, 2) + "oops")
            .put(&format!("{}/export_hour=23/x.json.gz", folder(2)), "oops\n{}");
        let store = RefCell::new(store);
        let run = store::run(&settings(storage), &store, (TODAY, TODAY + 3 * DAY), 1_000);
        let order: Vec<_> = run
            .records
            .iter()
            .filter(|record| record.kind == "event")
            .map(|record| record.observation.id.as_str())
            .collect();
        assert_eq!(order, ["uuid-1", "uuid-2", "uuid-3", "uuid-4", "uuid-5"]);
        // Names are the same in every hour, so the hour is in the pointer.
        let end = format!("event_exports_c.json.gz#{}", at(5, 2).len());
        let codes = [
            ("export_hour=23/x.json.gz#0", "line-not-json"),
            ("export_hour=23/x.json.gz#5", "event-missing"),
            (end.as_str(), "line-not-json"),
        ];
        assert_eq!((run.codes(), &run.truncated), (codes.to_vec(), &None));
        let asked = &store.borrow().asked;
        assert!(asked.iter().all(|request| request.endpoint == format!("exports-{storage}")));
    }
}

#[test]
fn files_that_are_no_lines_are_refused_by_name_and_the_rest_is_read() {
    let mut store = Store::new(S3);
    let name = |name: &str| format!("{}/{name}", folder(0));
    store
        .put(&name(""), "")
        .put(&name("_SUCCESS"), "")
        .put(&name("users.csv"), "a,b")
        .put(&name("event_exports_0.json.gz.gpg"), [0x85, 1, 2])
        .put(&name("event_exports_1.json.gz"), [0xC1, 0xC0, 0x4C, 0xFF, b'\n', b'{'])
        .put(&name("event_exports_2.json.gz"), "-----BEGIN PGP MESSAGE-----\n")
        .put(&name("event_exports_3.json.gz"), "<html>log in</html>\n")
        .put(&name("event_exports_4.json.gz"), "")
        .put(&name("event_exports_5.json.gz"), "x")
        .put(&name("event_exports_6.json.gz"), "x")
        .put(&name("event_exports_7.json.gz"), "x")
        .put(&name("event_exports_8.json.gz"), lines(&[today(8)]));
    for (file, code) in [("5", "object-broken"), ("6", "object-too-large"), ("7", "object-status-404")] {
        store.refusals.insert(format!("event_exports_{file}.json.gz"), (HttpErrorKind::BadAnswer, code));
    }
    let run = day(&settings(S3), store);
    assert_eq!(
        run.codes(),
        [
            ("event_exports_0.json.gz.gpg", "encrypted-file"),
            ("event_exports_1.json.gz", "encrypted-file"),
            ("event_exports_2.json.gz", "encrypted-file"),
            ("event_exports_3.json.gz", "not-an-export-file"),
            ("event_exports_5.json.gz", "broken-file"),
            ("event_exports_6.json.gz", "file-too-large"),
        ]
    );
    assert_eq!((run.note("skipped-file"), run.note("file-vanished")), (2, 1));
    assert_eq!((run.events(), &run.truncated), (vec!["uuid-8"], &None));
    assert!(run.rejects.iter().all(|reject| !reject.remedy.is_empty()));
}

#[test]
fn a_poison_line_stops_nobody_and_is_found_by_its_offset() {
    let deep = format!(r#"{{"db_name":"Acme","event":{}{}}}"#, "[".repeat(101), "]".repeat(101));
    let poison = [
        ("oops", "line-not-json"),
        ("[1,2]", "line-not-object"),
        (r#"{"db_name":"Acme"}"#, "event-missing"),
        (r#"{"db_name":"Acme","event":null}"#, "event-missing"),
        (r#"{"db_name":"Acme","event":{},"event":{}}"#, "duplicate-key"),
        (r#"{"db_name":"Acme","event":[]}"#, "event-not-object"),
        (r#"{"db_name":"Acme","event":{}}"#, "missing-event-uuid"),
        (r#"{"db_name":"Acme","event":{"event_uuid":"u","event_code":"x","a":1,"a":2}}"#, "duplicate-key"),
        (
            r#"{"db_name":"Acme","event":{"event_uuid":"a\u0007b","event_code":"x"}}"#,
            "control-character-identity",
        ),
        (r#"{"db_name":"Acme","event":{"event_uuid":"u","event_code":"x"#, "line-not-json"),
        (deep.as_str(), "too-deep"),
    ];
    for (bad, code) in poison {
        let mut store = Store::new(S3);
        let good = line(&today(1));
        // A mark, both line ends, blank lines, and a last line without an end.
        let text = format!("\u{FEFF}{good}\r\n{bad}\n\r\n \n{}", line(&today(2)));
        store.put(&format!("{}/event_exports_1.json.gz", folder(0)), text);
        let run = day(&settings(S3), store);
        let pointer = format!("event_exports_1.json.gz#{}", good.len() + 5);
        assert_eq!(run.codes(), [(pointer.as_str(), code)], "{bad}");
        assert_eq!(run.events(), ["uuid-1", "uuid-2"], "{bad}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_where_they_stand() {
    let mut text =
        lines(&[event(json!({"event_attributes": {"name": "Fr@hling"}})), event(json!({"uid": "J@rg"}))])
            .into_bytes();
    for mark in [&b"Fr@hling"[..], b"J@rg"] {
        let at = text.windows(mark.len()).position(|window| window == mark).unwrap();
        text[at + mark.iter().position(|&b| b == b'@').unwrap()] = 0xFC;
    }
    let mut store = Store::new(S3);
    store.put(&format!("{}/event_exports_1.json", folder(0)), text);
    let run = day(&settings(S3), store);
    assert_eq!(run.note("non-utf8-replaced"), 2);
    assert_eq!(run.rejects[0].code, "unreadable-identity");
    assert_eq!(body(&run.records[1])["attributes"]["name"], "Fr\u{FFFD}hling");
}

#[test]
fn only_the_window_is_read_of_whole_days() {
    let mut store = Store::new(S3);
    let at = |number, at| numbered(number, at);
    let unknown = event(json!({"event_uuid": "uuid-9", "event_time": "yesterday"}));
    let (from, to) = (TODAY + 3_600_000, TODAY + DAY + 3_600_000);
    for days in [0, 1] {
        let events = [at(1, from - 1000), at(2, from), at(3, to - 1000), at(4, to), unknown.clone()];
        store.put(&format!("{}/event_exports_{days}.json.gz", folder(days)), lines(&events));
    }
    // Exported late, and so late that nobody looks there.
    for days in [2, 3, 4] {
        let number = 10 + days as u32;
        store.put(&format!("{}/event_exports_1.json.gz", folder(days)), lines(&[at(number, from)]));
    }
    let run = store::run(&settings(S3), &RefCell::new(store), (from, to), 1_000);
    assert_eq!(
        run.events(),
        ["uuid-12", "uuid-13", "uuid-2", "uuid-2", "uuid-3", "uuid-3", "uuid-9", "uuid-9"]
    );
    assert_eq!((run.note("outside-window"), run.note("unreadable-time")), (4, 2));
    let known = |record: &&moengage_connector::Record| record.occurred.trust == TimeTrust::Unknown;
    assert_eq!(run.records.iter().filter(known).count(), 3, "two events, one person");
}

#[test]
fn the_next_weekly_export_after_the_window_is_read() {
    for (days, expected) in [(7, vec!["uuid-1"]), (9, vec![])] {
        let mut store = Store::new(S3);
        store.put(&format!("{}/event_exports_0.json.gz", folder(0)), "");
        store.put(&format!("{}/event_exports_1.json.gz", folder(days)), lines(&[today(1)]));
        assert_eq!(day(&settings(S3), store).events(), expected, "{days}");
    }
}

#[test]
fn records_of_another_database_are_refused_once_for_each_file() {
    let other = |name: &str| line(&today(7)).replace("\"Acme\"", name) + "\n";
    let mut store = Store::new(S3);
    for file in 1..=2 {
        let text = format!(
            "{}{}{}{}",
            other("\"Acme TEST\"").repeat(300),
            lines(&[today(file)]),
            other("\"a@b.co\"").repeat(2),
            other("null").repeat(3)
        );
        store.put(&format!("{}/event_exports_{file}.json.gz", folder(0)), text);
    }
    // The name is compared as what it says, not as it is written.
    store.put(&format!("{}/event_exports_3.json.gz", folder(0)), other("\"\\u0041cme\""));
    // A budget for many pages in each file.
    let run = store::run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 3);
    let file = |number| (format!("event_exports_{number}.json.gz"), "other-environment");
    let expected = [file(1), file(1), file(1), file(2), file(2), file(2)];
    assert_eq!(run.codes(), expected.iter().map(|(name, code)| (name.as_str(), *code)).collect::<Vec<_>>());
    assert_eq!(run.note("other-environment"), 610);
    assert_eq!(run.events(), ["uuid-1", "uuid-2", "uuid-7"]);
    let text = format!("{:?}", run.rejects);
    assert!(
        text.contains("Acme TEST") && !text.contains("a@b.co"),
        "a name is shown where it is a plain one"
    );
}

#[test]
fn equal_profiles_of_one_person_become_one_unless_another_stood_between() {
    let seen = |number: u32, name: &str, at: i64| {
        event(json!({
            "event_uuid": format!("uuid-{number}"),
            "event_time": (TODAY / 1000) + at,
            "user_attributes": {"moengage_user_id": "m", "u_fn": name}
        }))
    };
    let mut store = Store::new(S3);
    let events =
        [seen(1, "Ann", 10), seen(2, "Ann", 30), seen(3, "Ann", 20), seen(4, "Eve", 40), seen(5, "Ann", 50)];
    store.put(&format!("{}/event_exports_1.json.gz", folder(0)), lines(&events));
    let run = day(&settings(S3), store);
    let contacts: Vec<_> = run
        .records
        .iter()
        .filter(|record| record.kind == "contact")
        .map(|record| (record.observation.id.as_str(), body(record)["attributes"]["u_fn"].clone()))
        .collect();
    assert_eq!(contacts, [("uuid-2", json!("Ann")), ("uuid-4", json!("Eve")), ("uuid-5", json!("Ann"))]);
    assert_eq!(run.events().len(), 5);
    assert_eq!(person(&run.records[0]).external_id.as_deref(), Some("cust-1"));
    assert_eq!(run.records[0].occurred.at, Some(TODAY + 30_000));
}

#[test]
fn nothing_at_all_is_no_success_and_names_the_folder() {
    for storage in [S3, WEB] {
        let run = day(&settings(storage), Store::new(storage));
        let reason = run.truncated.unwrap();
        assert!(reason.contains("dump/events_acme/export_day=2022-05-20/"), "{reason}");
        assert_eq!(run.progress, [1_000_000]);
    }
    let mut store = Store::new(S3);
    store.put(&format!("{}/readme.txt", folder(0)), "x");
    assert!(day(&settings(S3), store).truncated.is_some());
}

#[test]
fn what_the_store_refuses_says_who_must_act() {
    let auth = || FailureKind::Auth { slot: "exports".to_owned() };
    let may = |scope: &str| FailureKind::Permission { slot: "exports".to_owned(), scope: scope.to_owned() };
    let error =
        |word: &str| format!("<?xml version=\"1.0\"?><Error><Code>{word}</Code><Message>m</Message></Error>");
    for (status, body, kind, code) in [
        (403, error("SignatureDoesNotMatch"), auth(), "exports-key-refused"),
        (403, error("InvalidAccessKeyId"), auth(), "exports-key-refused"),
        (401, String::new(), auth(), "exports-key-refused"),
        (403, error("AccessDenied"), may("list the bucket"), "exports-key-lacks-permission"),
        (403, error("RequestTimeTooSkewed"), FailureKind::Transient, "clock-skewed"),
        (301, error("PermanentRedirect"), FailureKind::Config, "exports-elsewhere"),
        (400, error("AuthorizationHeaderMalformed"), FailureKind::Config, "exports-elsewhere"),
        (404, error("NoSuchBucket"), FailureKind::Config, "no-such-bucket"),
        (503, error("SlowDown"), FailureKind::RateLimited(Some(7_000)), "rate-limited"),
        (429, String::new(), FailureKind::RateLimited(Some(7_000)), "rate-limited"),
        (503, String::new(), FailureKind::Transient, "exports-unavailable"),
        (418, String::new(), FailureKind::VendorContract(Vec::new()), "unexpected-status"),
    ] {
        let mut store = Store::new(S3);
        let headers = vec![("retry-after".to_owned(), "7".to_owned())];
        store.answer = Some(HttpResponse { status, headers, body: body.into_bytes() });
        let failure =
            fetch(&settings(S3), &RefCell::new(store), Position::Window(TODAY, TODAY + DAY), 10).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code));
    }
    for (refusal, kind, code) in [
        (
            (HttpErrorKind::BadAnswer, "object-forbidden"),
            may("read its objects"),
            "exports-key-lacks-permission",
        ),
        ((HttpErrorKind::BadAnswer, "object-status-500"), FailureKind::Transient, "exports-unavailable"),
        ((HttpErrorKind::BadAnswer, "clock-skewed"), FailureKind::Transient, "clock-skewed"),
        (
            (HttpErrorKind::RateLimited, "object-status-503"),
            FailureKind::RateLimited(Some(1_000)),
            "rate-window-closed",
        ),
        ((HttpErrorKind::Timeout, "object-too-slow"), FailureKind::Transient, "exports-timeout"),
        ((HttpErrorKind::Unreachable, "spool-unusable"), FailureKind::Transient, "exports-unreachable"),
        ((HttpErrorKind::Denied, "origin-missing"), FailureKind::Config, "exports-not-granted"),
        ((HttpErrorKind::NoSecret, "no-secret"), FailureKind::Config, "missing-secret"),
        ((HttpErrorKind::Budget, "budget"), FailureKind::Transient, "no-progress"),
    ] {
        let mut store = Store::new(S3);
        store.put(&format!("{}/event_exports_1.json.gz", folder(0)), lines(&[today(1)]));
        store.refusals.insert("event_exports_1.json.gz".to_owned(), refusal);
        let store = RefCell::new(store);
        // The first page may pass the listing; the failure is met where nothing else can be done.
        let mut position = Position::Window(TODAY, TODAY + DAY);
        let failure = loop {
            match fetch(&settings(S3), &store, position, 10) {
                Ok(page) => {
                    position = Position::Cursor(store::Run::default().take(page).expect("not the end"))
                }
                Err(failure) => break failure,
            }
        };
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code));
    }
}
