//! How a run goes on after a page: inside of a file, and while the store changes.

use std::cell::RefCell;

use moengage_connector::{FailureKind, HttpErrorKind, Position};

use super::store::{
    DAY, LATER, Run, S3, Store, TODAY, WEB, fetch, folder, lines, numbered, run, settings, settings_json,
};
use super::today;

const WINDOW: Position = Position::Window(TODAY, TODAY + DAY);

fn file(name: &str) -> String {
    format!("{}/event_exports_{name}.json.gz", folder(0))
}

/// Reads on from a cursor to the end.
fn finish(
    store: &RefCell<Store>,
    run: &mut Run,
    mut cursor: Option<moengage_connector::Cursor>,
    budget: u32,
) {
    while let Some(next) = cursor {
        cursor = run.take(fetch(&settings(S3), store, Position::Cursor(next), budget).unwrap());
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<serde_json::Value> {
    range.map(today).collect()
}

#[test]
fn a_run_goes_on_inside_of_a_file_and_says_how_far_it_is() {
    let mut store = Store::new(S3);
    for name in 0..4_u32 {
        store.put(&file(&name.to_string()), lines(&numbers(100 * name..100 * name + 100)));
    }
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 30);
    assert_eq!((run.events().len(), run.records.len()), (400, 800));
    assert_eq!(run.pages, 27, "each page is full but the last");
    assert!(run.progress.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", run.progress);
    assert_eq!(run.progress.last(), Some(&1_000_000));
    // One day of three, where the other two are empty.
    assert!((150_000..=185_000).contains(&run.progress[13]), "{:?}", run.progress);
}

#[test]
fn a_budget_of_one_splits_the_records_of_a_line() {
    let mut store = Store::new(S3);
    let mut events = numbers(0..3);
    for event in &mut events {
        event["user_attributes"]["u_mb"] = "0170 4567890".into();
    }
    store.put(&file("1"), lines(&events));
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 1);
    assert_eq!(run.note("phone-without-country"), 3, "noted once for each line");
    let kinds: Vec<_> = run.records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["contact", "event", "contact", "event", "contact", "event"]);
    assert_eq!(run.events(), ["uuid-0", "uuid-1", "uuid-2"]);
}

#[test]
fn many_small_files_share_a_page_within_the_calls_of_a_unit() {
    let mut store = Store::new(S3);
    for name in 100..200 {
        store.put(&file(&name.to_string()), lines(&[today(name)]));
    }
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 1_000);
    assert_eq!(run.events().len(), 100);
    assert!(run.pages <= 5, "{}", run.pages);
}

#[test]
fn a_page_ends_with_its_bytes() {
    let mut store = Store::new(S3);
    let mut event = today(0);
    event["event_attributes"]["text"] = "x".repeat(100_000).into();
    store.put(&file("1"), lines(&vec![event; 100]));
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 10_000);
    assert_eq!((run.events().len(), run.pages), (100, 5), "10 MB in pages of 2 MiB");
}

#[test]
fn a_line_that_is_too_long_is_passed_by_over_any_number_of_pages() {
    let mut text = lines(&[today(1)]).into_bytes();
    let begin = text.len();
    text.extend(std::iter::repeat_n(b'x', 9 << 20));
    text.push(b'\n');
    text.extend(lines(&[today(2)]).into_bytes());
    let mut store = Store::new(S3);
    store.put(&file("1"), text);
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 1_000);
    assert_eq!(run.codes(), [(format!("event_exports_1.json.gz#{begin}").as_str(), "line-too-long")]);
    assert_eq!(run.events(), ["uuid-1", "uuid-2"]);
    assert!(run.pages >= 3);
}

#[test]
fn a_file_that_the_host_dropped_is_opened_again() {
    let mut store = Store::new(S3);
    store.put(&file("1"), lines(&numbers(0..50)));
    store.spool_forgets = true;
    let run = run(&settings(S3), &RefCell::new(store), (TODAY, TODAY + DAY), 8);
    assert_eq!((run.events().len(), run.note("file-changed")), (50, 0));
}

#[test]
fn a_file_that_was_written_anew_is_read_from_its_start() {
    let store = RefCell::new(Store::new(S3));
    store.borrow_mut().put(&file("1"), lines(&numbers(0..10)));
    let mut run = Run::default();
    let cursor = run.take(fetch(&settings(S3), &store, WINDOW, 8).unwrap());
    store.borrow_mut().put(&file("1"), lines(&numbers(2..20)));
    finish(&store, &mut run, cursor, 8);
    let mut events = run.events();
    events.dedup();
    assert_eq!((events.len(), run.note("file-changed")), (20, 1));

    // One that changes all the time is refused, and the next one is read.
    let store = RefCell::new(Store::new(S3));
    store.borrow_mut().put(&file("1"), lines(&numbers(0..10))).put(&file("2"), lines(&[today(50)]));
    let mut run = Run::default();
    let mut cursor = run.take(fetch(&settings(S3), &store, WINDOW, 8).unwrap());
    while let Some(next) = cursor {
        store.borrow_mut().clock -= 60 * DAY / 40; // written long ago, says the store
        store.borrow_mut().put(&file("1"), lines(&numbers(0..10)));
        cursor = run.take(fetch(&settings(S3), &store, Position::Cursor(next), 8).unwrap());
    }
    assert_eq!(run.codes(), [("event_exports_1.json.gz", "file-keeps-changing")]);
    assert!(run.events().contains(&"uuid-50"));
}

#[test]
fn n22_a_folder_that_changes_between_pages_loses_nothing() {
    for late in ["0", "5", "9"] {
        let store = RefCell::new(Store::new(S3));
        store.borrow_mut().clock = LATER - DAY;
        for (name, numbers) in [("2", numbers(0..10)), ("4", numbers(10..20)), ("7", numbers(20..30))] {
            store.borrow_mut().put(&file(name), lines(&numbers));
        }
        store.borrow_mut().clock = LATER;
        let mut run = Run::default();
        let mut cursor = None;
        let mut position = WINDOW;
        for _ in 0..3 {
            cursor = run.take(fetch(&settings(S3), &store, position, 9).unwrap());
            position = Position::Cursor(cursor.clone().unwrap());
        }
        // The cursor is inside of file 4. One file comes in, one goes that was read, one that wasn't.
        store.borrow_mut().clock = LATER + 1_000;
        store.borrow_mut().put(&file(late), lines(&numbers(30..40)));
        store.borrow_mut().remove(&file("2"));
        store.borrow_mut().remove(&file("7"));
        finish(&store, &mut run, cursor, 9);
        let mut events = run.events();
        let all = events.len();
        events.dedup();
        assert_eq!(events.len(), 30, "{late}");
        // What came in before the cursor would have come is met by both rounds.
        assert_eq!(all, if late == "0" { 30 } else { 40 }, "{late}");
        assert_eq!((run.rejects, run.truncated), (vec![], None));
    }
}

#[test]
fn n21_a_store_that_ignores_where_to_start_is_named_or_survived() {
    let mut store = Store::new(S3);
    for name in 0..5_u32 {
        store.put(&file(&name.to_string()), lines(&numbers(name * 4..name * 4 + 4)));
    }
    store.ignores_start_after = true;
    let store = RefCell::new(store);
    assert_eq!(run(&settings(S3), &store, (TODAY, TODAY + DAY), 3).events().len(), 20);
    store.borrow_mut().max_keys = 2;
    let failure = fetch(&settings(S3), &store, WINDOW, 1_000).unwrap_err();
    assert_eq!(failure.code, "listing-loop");
    assert!(matches!(failure.kind, FailureKind::VendorContract(_)));
}

#[test]
fn n08_a_success_that_is_no_listing_is_a_failure() {
    for (storage, body) in [
        (S3, "<html>log in</html>"),
        (S3, ""),
        (WEB, "<html></html>"),
        (WEB, r#"{"a":1}"#),
        (WEB, r#"[{"name":"a/b","type":"file"}]"#),
    ] {
        let store = RefCell::new(Store::new(storage));
        store.borrow_mut().answer =
            Some(moengage_connector::HttpResponse { status: 200, headers: Vec::new(), body: body.into() });
        let failure = fetch(&settings(storage), &store, WINDOW, 10).unwrap_err();
        assert_eq!(failure.code, "listing-unreadable", "{storage} {body}");
    }
}

#[test]
fn a_failure_in_mid_page_is_never_the_end() {
    let mut store = Store::new(S3);
    store.put(&file("1"), lines(&numbers(0..10))).put(&file("2"), lines(&numbers(10..20)));
    store.refusals.insert("event_exports_2.json.gz".to_owned(), (HttpErrorKind::Timeout, "timeout"));
    let store = RefCell::new(store);
    let failure = fetch(&settings(S3), &store, WINDOW, 1_000).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "exports-timeout"));
    // Where only the calls are used up, what was read is a page.
    let refusal = (HttpErrorKind::Budget, "budget");
    store.borrow_mut().refusals.insert("event_exports_2.json.gz".to_owned(), refusal);
    let mut run = Run::default();
    let cursor = run.take(fetch(&settings(S3), &store, WINDOW, 1_000).unwrap());
    assert_eq!(run.events().len(), 10);
    store.borrow_mut().refusals.clear();
    finish(&store, &mut run, cursor, 1_000);
    assert_eq!(run.events().len(), 20);
}

#[test]
fn a_file_that_takes_longer_than_a_unit_is_waited_for() {
    let mut store = Store::new(S3);
    store.put(&file("1"), lines(&numbers(0..10))).put(&file("2"), lines(&numbers(10..20)));
    let refusal = (HttpErrorKind::RateLimited, "object-not-ready");
    store.refusals.insert("event_exports_2.json.gz".to_owned(), refusal);
    let store = RefCell::new(store);
    let mut run = Run::default();
    let mut position = WINDOW;
    for _ in 0..3 {
        let page = fetch(&settings(S3), &store, position, 1_000).unwrap();
        assert!(matches!(page.next, moengage_connector::Next::Later(..)));
        position = Position::Cursor(run.take(page).unwrap());
    }
    assert_eq!(run.events().len(), 10, "what came before is not held up");
    store.borrow_mut().refusals.clear();
    let cursor = run.take(fetch(&settings(S3), &store, position, 1_000).unwrap());
    assert_eq!((run.events().len(), cursor), (20, None));
}

#[test]
fn a_window_of_today_is_said_to_be_unsettled() {
    let recent = |from: i64| {
        let mut store = Store::new(S3);
        store.put(
            &format!("{}/event_exports_1.json", folder((from - TODAY) / DAY)),
            lines(&[numbered(1, from)]),
        );
        run(&settings(S3), &RefCell::new(store), (from, from + DAY), 100).note("recent-window")
    };
    assert_eq!((recent(LATER), recent(LATER - 2 * DAY), recent(LATER - 3 * DAY)), (1, 1, 0));
}

#[test]
fn a_cursor_outlives_an_edit_of_the_mapping_and_of_the_key() {
    let store = RefCell::new(Store::new(S3));
    store.borrow_mut().put(&file("1"), lines(&numbers(0..10)));
    let mut run = Run::default();
    let cursor = run.take(fetch(&settings(S3), &store, WINDOW, 8).unwrap()).unwrap();
    let mut edited = settings_json(S3);
    edited["exports"]["access_key_id"] = "AKIAOTHER".into();
    edited["field_mapping"] = serde_json::json!({"u_fn": null});
    run.take(fetch(&crate::parse(&edited), &store, Position::Cursor(cursor), 100).unwrap());
    assert_eq!(run.events().len(), 10);
}
