//! Campaign reports through the door: files that the settings name, in pieces of any size.

use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Cursor, Failure, FailureKind, HttpError, HttpErrorKind, Mapping, Next, Object, Objects, Page,
    PageRequest, Position, Provenance, Reach, Record, Subject,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::inventory::{answered, vendor};
use crate::reach::Memory;
use crate::schemas::assert_fits_schema;
use crate::{NOW, body, map, parse, plain_settings};

const CSV: &str = "campaign_id,campaign_name,sent\r\n66e9,\"Spring, again\",12\r\n66ea,,0\r\n66eb\r\n";

/// MoEngage's files, and the host's spool before them.
#[derive(Default)]
struct Shelf {
    /// Content and how often it was written.
    files: BTreeMap<String, (Vec<u8>, u32)>,
    /// What the spool says instead, by name.
    refusals: BTreeMap<String, (HttpErrorKind, &'static str)>,
    /// Bytes of one read.
    piece: usize,
    /// The host drops each file after that many reads; 0 is never.
    forgets: usize,
    reads: usize,
    held: BTreeSet<String>,
    opened: Vec<Vec<String>>,
    calls: usize,
}

impl Shelf {
    fn with(files: &[(&str, &str)]) -> Self {
        let mut shelf = Self { piece: usize::MAX, ..Self::default() };
        files.iter().for_each(|(name, text)| shelf.put(name, text.as_bytes()));
        shelf
    }

    fn put(&mut self, name: &str, bytes: &[u8]) {
        let version = self.files.get(name).map_or(0, |(_, version)| version + 1);
        self.files.insert(name.to_owned(), (bytes.to_vec(), version));
    }
}

fn error((kind, code): (HttpErrorKind, &str)) -> HttpError {
    HttpError { kind, code: code.to_owned(), message: "refused".to_owned(), retry_after_ms: Some(1_000) }
}

impl Objects for Shelf {
    fn open(&mut self, endpoint: &str, path: &[String], etag: Option<&str>) -> Result<Object, HttpError> {
        assert_eq!(
            (endpoint, &path[..3]),
            ("report-files", &["campaign_reports", "rest_api", "ABC123"].map(str::to_owned)[..])
        );
        self.opened.push(path.to_vec());
        self.calls += 1;
        let name = &path[3];
        if let Some(refusal) = self.refusals.get(name) {
            return Err(error(*refusal));
        }
        let Some((bytes, version)) = self.files.get(name) else {
            return Err(error((HttpErrorKind::BadAnswer, "object-status-400")));
        };
        let object = Object { etag: format!("\"{name}-{version}\""), size: bytes.len() as u64 };
        if etag.is_some_and(|etag| etag != object.etag) {
            return Err(error((HttpErrorKind::BadAnswer, "object-changed")));
        }
        self.held.insert(object.etag.clone());
        Ok(object)
    }

    fn read(
        &mut self,
        _: &str,
        path: &[String],
        etag: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, HttpError> {
        assert!(length <= 4 << 20, "at most 4 MiB");
        self.calls += 1;
        let current =
            self.files.get(&path[3]).filter(|(_, version)| etag == format!("\"{}-{version}\"", path[3]));
        let Some((bytes, _)) = current.filter(|_| self.held.contains(etag)) else {
            return Err(error((HttpErrorKind::BadAnswer, "object-gone")));
        };
        self.reads += 1;
        if self.forgets > 0 && self.reads.is_multiple_of(self.forgets) {
            self.held.clear();
        }
        let begin = bytes.len().min(offset as usize);
        Ok(bytes[begin..bytes.len().min(begin + self.piece.min(length as usize))].to_vec())
    }
}

fn settings(names: &[&str]) -> Value {
    let mut settings = plain_settings();
    settings["report_files"] = json!(names);
    settings
}

fn unit(
    names: &[&str],
    shelf: &mut Shelf,
    position: Position,
    budget: u32,
    now: i64,
) -> Result<Page, Failure> {
    let request = PageRequest { resource: "report-files".to_owned(), position, budget, now };
    shelf.calls = 0;
    let http = &mut vendor(|_| answered(500, ""));
    let page = moengage_connector::fetch_page(
        &parse(&settings(names)),
        &request,
        &mut Reach { http, objects: shelf, storage: &mut Memory::default() },
    );
    assert!(shelf.calls <= 64, "the contract has 64 calls");
    if let Ok(page) = &page {
        assert!(page.records.len() + page.rejects.len() <= budget as usize);
        if let Next::More(cursor) = &page.next {
            assert!(cursor.bytes.len() <= 4_096);
            assert_ne!(request.position, Position::Cursor(cursor.clone()), "`more` moves the cursor");
        }
    }
    page
}

#[derive(Debug, Default)]
struct Run {
    records: Vec<Record>,
    codes: Vec<(String, String)>,
    notes: BTreeMap<String, u32>,
    units: usize,
}

fn run(names: &[&str], shelf: &mut Shelf, budget: u32, now: i64) -> Result<Run, Failure> {
    let (mut run, mut position) = (Run::default(), Position::Start);
    loop {
        let page = unit(names, shelf, position, budget, now)?;
        run.units += 1;
        assert!(run.units < 5_000, "no end");
        run.records.extend(page.records);
        run.codes.extend(page.rejects.into_iter().map(|reject| (reject.pointer, reject.code)));
        page.notes.into_iter().for_each(|note| *run.notes.entry(note.name).or_default() += note.count);
        match page.next {
            Next::More(cursor) | Next::Later(cursor, _) => {
                position = Position::Cursor(Cursor { version: 1, bytes: cursor.bytes });
            }
            next => {
                assert_eq!(next, Next::COMPLETE);
                return Ok(run);
            }
        }
    }
}

fn read(text: &str) -> Run {
    run(&["a.csv"], &mut Shelf::with(&[("a.csv", text)]), 1_000, NOW).unwrap()
}

fn codes(run: &Run) -> Vec<(&str, &str)> {
    run.codes.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect()
}

#[test]
fn a_row_becomes_a_record_of_the_texts_under_their_names() {
    let mut shelf = Shelf::with(&[("Report_test_20210217.zip", CSV)]);
    let run = run(&["Report_test_20210217.zip"], &mut shelf, 1_000, NOW).unwrap();
    let bodies: Vec<Value> = run.records.iter().map(body).collect();
    let row = |line: u64, values: Value| json!({"file": "Report_test_20210217.zip", "line": line, "values": values});
    assert_eq!(
        bodies,
        [
            row(1, json!({"campaign_id": "66e9", "campaign_name": "Spring, again", "sent": "12"})),
            // Empty is something, and what a short row lacks is nothing.
            row(2, json!({"campaign_id": "66ea", "campaign_name": "", "sent": "0"})),
            row(3, json!({"campaign_id": "66eb"})),
        ]
    );
    let record = &run.records[0];
    assert_eq!(record.id, "moengage:ABC123:report-row:Report_test_20210217.zip/1");
    assert_eq!(
        record.subject,
        Subject::Object("report-row".to_owned(), "Report_test_20210217.zip/1".to_owned())
    );
    assert_eq!((record.occurred.at, record.provenance), (Some(NOW), Provenance::Poll));
    for record in &run.records {
        assert_fits_schema("report-row", &body(record));
        assert_eq!(map(&parse(&plain_settings()), record).unwrap(), Mapping::Nothing("no-target".to_owned()));
    }
    assert_eq!((codes(&run).len(), run.notes.len(), shelf.opened.len()), (0, 0, 1));
}

#[test]
fn the_same_file_is_the_same_observation_and_another_content_another() {
    let mut shelf = Shelf::with(&[("a.csv", CSV)]);
    let seen = |run: &Run| -> Vec<(String, String)> {
        run.records.iter().map(|r| (r.id.clone(), r.observation.id.clone())).collect()
    };
    let first = run(&["a.csv"], &mut shelf, 1_000, NOW).unwrap();
    let again = run(&["a.csv"], &mut shelf, 1, NOW + 86_400_000).unwrap();
    assert_eq!(seen(&first), seen(&again));
    shelf.put("a.csv", CSV.as_bytes());
    let anew = run(&["a.csv"], &mut shelf, 1_000, NOW).unwrap();
    for ((before, after), record) in seen(&first).iter().zip(seen(&anew)).zip(&anew.records) {
        assert_eq!((&before.0, &record.body), (&after.0, &record.body));
        assert_ne!(before.1, after.1);
    }
}

#[test]
fn files_are_read_by_name_where_the_settings_name_them() {
    let names = |settings: &Value| -> bool {
        let profile = moengage_connector::configure(&settings.to_string()).unwrap();
        profile.resources.iter().any(|resource| resource.name == "report-files")
    };
    assert!(!names(&plain_settings()) && names(&settings(&["a.csv"])));
    let mut off = settings(&["a.csv"]);
    off["sync"] = json!({"report_files": false});
    assert!(!names(&off));
    let long = format!("{}.zip", "x".repeat(197));
    for name in ["a/b.zip", "..", ".hidden", "a?b", "a|b", "ü.zip", long.as_str()] {
        let problems = moengage_connector::configure(&settings(&[name]).to_string()).unwrap_err();
        assert_eq!(
            (problems[0].path.as_str(), problems[0].code.as_str()),
            ("report_files", "bad-report-file"),
            "{name}"
        );
    }
    let problems = moengage_connector::configure(&settings(&[]).to_string()).unwrap_err();
    assert_eq!(problems[0].code, "bad-id-list");
}

#[test]
fn one_that_is_gone_or_broken_stops_no_other() {
    let mut shelf = Shelf::with(&[("a.csv", CSV), ("m.csv", CSV), ("z.csv", CSV)]);
    for (name, code) in [
        ("b-404", "object-status-404"),
        ("c-410", "object-status-410"),
        ("d-zip", "object-broken"),
        ("e-large", "object-too-large"),
    ] {
        shelf.refusals.insert(name.to_owned(), (HttpErrorKind::BadAnswer, code));
    }
    let names = ["z.csv", "a.csv", "unknown", "b-404", "c-410", "d-zip", "e-large", "m.csv"];
    let run = run(&names, &mut shelf, 2, NOW).unwrap();
    assert_eq!((run.records.len(), run.notes["report-gone"]), (9, 3));
    assert_eq!(codes(&run), [("/d-zip", "broken-file"), ("/e-large", "file-too-large")]);
}

#[test]
fn n16_n17_what_concerns_the_key_or_the_vendor_is_a_failure() {
    let told = |kind: HttpErrorKind, code: &'static str| {
        let mut shelf = Shelf::with(&[]);
        shelf.refusals.insert("a.csv".to_owned(), (kind, code));
        unit(&["a.csv"], &mut shelf, Position::Start, 9, NOW).unwrap_err()
    };
    let auth = told(HttpErrorKind::BadAnswer, "object-forbidden");
    assert_eq!(
        (auth.kind, auth.code.as_str()),
        (FailureKind::Auth { slot: "campaigns".to_owned() }, "key-refused")
    );
    for (kind, code, expected) in [
        (HttpErrorKind::BadAnswer, "object-status-500", FailureKind::Transient),
        (HttpErrorKind::BadAnswer, "bad-answer", FailureKind::Transient),
        (HttpErrorKind::Timeout, "object-too-slow", FailureKind::Transient),
        (HttpErrorKind::RateLimited, "object-status-429", FailureKind::RateLimited(Some(1_000))),
        (HttpErrorKind::NoSecret, "no-secret", FailureKind::Config),
        (HttpErrorKind::Denied, "denied", FailureKind::Internal),
    ] {
        assert_eq!(told(kind, code).kind, expected, "{code}");
    }
    assert!(matches!(
        told(HttpErrorKind::BadAnswer, "object-status-302").kind,
        FailureKind::VendorContract(_)
    ));

    let mut shelf = Shelf::with(&[("a.csv", CSV)]);
    shelf.refusals.insert("b.csv".to_owned(), (HttpErrorKind::RateLimited, "object-not-ready"));
    let page = unit(&["a.csv", "b.csv"], &mut shelf, Position::Start, 9, NOW).unwrap();
    let Next::Later(cursor, at) = page.next else { panic!("it is still on its way") };
    assert_eq!((page.records.len(), at), (3, NOW + 1_000));
    shelf.refusals.clear();
    shelf.put("b.csv", CSV.as_bytes());
    let page = unit(&["a.csv", "b.csv"], &mut shelf, Position::Cursor(cursor), 9, at).unwrap();
    assert!(page.records.iter().all(|record| record.id.contains("b.csv")) && page.records.len() == 3);
}

#[test]
fn a_file_that_is_no_table_is_named() {
    for (text, code) in [
        ("", "no-header"),
        ("\r\n\n", "no-header"),
        (" , \n1,2\n", "no-header"),
        ("<!DOCTYPE html><html>", "not-csv"),
        ("{\"error\":{}}", "not-csv"),
        ("PK\u{3}\u{4}abc,d\n", "not-csv"),
        ("a\u{0}b\n1\n", "not-csv"),
    ] {
        let run = read(text);
        assert_eq!((codes(&run).as_slice(), run.records.len()), (&[("/a.csv", code)][..], 0), "{text:?}");
    }
    let mut shelf = Shelf::with(&[]);
    shelf.put("a.csv", b"a\xFF,b\n1,2\n");
    shelf.put("b.csv", format!("\"a,{}", "b\n".repeat(600_000)).as_bytes());
    let run = run(&["a.csv", "b.csv"], &mut shelf, 9, NOW).unwrap();
    assert_eq!(codes(&run), [("/a.csv", "not-csv"), ("/b.csv", "not-csv")]);
}

#[test]
fn a_row_that_nobody_can_read_stops_no_other() {
    let run = read("a,b\n1,2\n1,2,3\n1,2,,\n3,4\n");
    assert_eq!(codes(&run), [("/a.csv/2", "row-too-wide")]);
    let lines: Vec<_> = run.records.iter().map(|record| body(record)["line"].clone()).collect();
    assert_eq!(lines, [1, 3, 4], "a comma behind the last value adds nothing");

    let mut shelf = Shelf::with(&[]);
    shelf.put("a.csv", b"a\n\xFF\nok\n");
    let bad = self::run(&["a.csv"], &mut shelf, 9, NOW).unwrap();
    assert_eq!((codes(&bad).as_slice(), bad.records.len()), (&[("/a.csv/1", "non-utf8-row")][..], 1));

    let run = read(&format!("a,b\n{},x\nok,y\n", "x".repeat(300_000)));
    assert_eq!((codes(&run).as_slice(), run.records.len()), (&[("/a.csv/1", "row-too-large")][..], 1));
    let run = read(&format!("a,b\n1,2\n\"{}", "x,\n".repeat(300_000)));
    assert_eq!((codes(&run).as_slice(), run.records.len()), (&[("/a.csv", "row-too-long")][..], 1));
    // D07: JSON can write it, and it is nobody's id.
    assert_eq!(body(&read("a\n\"x\u{0}y\"\n").records[0])["values"], json!({"a": "x\u{0}y"}));
}

#[test]
fn no_value_is_lost_by_what_a_column_is_called() {
    let run = read("\u{FEFF}Sent, Sent ,,Sent (2),Sent\n1,2,3,4,5\n");
    assert_eq!(
        body(&run.records[0])["values"],
        json!({"Sent": "1", "Sent (2)": "2", "column 3": "3", "Sent (2) (2)": "4", "Sent (3)": "5"})
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_begun_anew_and_then_left() {
    let long = |mark: &str| -> String {
        (0..40).fold("n\n".to_owned(), |text, n| text + mark + &n.to_string() + "\n")
    };
    let mut shelf = Shelf::with(&[("a.csv", &long("x"))]);
    let page = unit(&["a.csv"], &mut shelf, Position::Start, 10, NOW).unwrap();
    let Next::More(cursor) = page.next else { panic!("there is more") };
    shelf.put("a.csv", long("y").as_bytes());
    let page = unit(&["a.csv"], &mut shelf, Position::Cursor(cursor), 100, NOW).unwrap();
    let values: Vec<_> =
        page.records.iter().map(|record| body(record)["values"]["n"].as_str().unwrap().to_owned()).collect();
    assert_eq!((values.len(), values[0].as_str()), (40, "y0"));

    let mut shelf = Shelf::with(&[("a.csv", &long("x")), ("b.csv", CSV)]);
    let (mut position, mut codes) = (Position::Start, Vec::new());
    for round in 0..20 {
        let page = unit(&["a.csv", "b.csv"], &mut shelf, position, 3, NOW + round).unwrap();
        codes.extend(page.rejects.into_iter().map(|reject| reject.code));
        match page.next {
            Next::More(cursor) => position = Position::Cursor(cursor),
            _ => break,
        }
        if codes.is_empty() {
            shelf.put("a.csv", long(&round.to_string()).as_bytes());
        }
    }
    assert_eq!(codes, ["file-keeps-changing"]);
}

#[test]
fn a_name_that_the_settings_drop_in_mid_file_is_left() {
    let mut shelf = Shelf::with(&[("a.csv", CSV), ("b.csv", CSV)]);
    let page = unit(&["a.csv", "b.csv"], &mut shelf, Position::Start, 1, NOW).unwrap();
    let Next::More(cursor) = page.next else { panic!("there is more") };
    let page = unit(&["b.csv"], &mut shelf, Position::Cursor(cursor), 9, NOW).unwrap();
    assert!(page.records.len() == 3 && page.records.iter().all(|record| record.id.contains("b.csv")));
}

#[test]
fn cursors_of_others_are_refused() {
    let at = |state: &str| {
        let bytes = state.as_bytes().to_vec();
        let position = Position::Cursor(Cursor { version: 1, bytes });
        unit(&["a.csv"], &mut Shelf::with(&[]), position, 9, NOW).unwrap_err().code
    };
    assert_eq!(at(r#"{"of":"flows","state":{}}"#), "foreign-cursor");
    for state in [
        "{}",
        r#"{"name":7}"#,
        r#"{"name":"a.csv","file":7}"#,
        r#"{"name":"a.csv","file":{"size":1}}"#,
        r#"{"name":"a.csv","file":{"etag":"e","size":1,"offset":2}}"#,
    ] {
        assert_eq!(
            at(&format!(r#"{{"of":"report-files","state":{state}}}"#)),
            "unreadable-cursor",
            "{state}"
        );
    }
    let window = unit(&["a.csv"], &mut Shelf::with(&[]), Position::Window(0, NOW), 9, NOW).unwrap_err();
    assert_eq!(window.code, "position-not-supported");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_pieces_any_budget_and_any_memory_of_the_host_give_the_same(
        texts in proptest::collection::vec(
            prop_oneof![
                3 => proptest::collection::vec("[ab,\"\n]{0,12}", 0..20).prop_map(|rows| format!("x,y,z\n{}", rows.join("\n"))),
                1 => "[ab,\"\r\n<é]{0,60}",
            ], 1..4),
        piece in 1..40_usize, budget in 1..12_u32, forgets in 0..4_usize
    ) {
        let names: Vec<String> = (0..texts.len()).map(|n| format!("f{n}.csv")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let files: Vec<(&str, &str)> = names.iter().copied().zip(texts.iter().map(String::as_str)).collect();
        let whole = run(&names, &mut Shelf::with(&files), 10_000, NOW).unwrap();
        let mut shelf = Shelf::with(&files);
        // A unit has calls for the header and a row at least, whatever comes at a time.
        (shelf.piece, shelf.forgets) = (piece.max(if forgets == 1 { 30 } else { 12 }), forgets);
        let cut = run(&names, &mut shelf, budget, NOW).unwrap();
        let told = |run: &Run| (run.records.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>(), run.codes.clone());
        prop_assert_eq!(told(&whole), told(&cut));
    }

    #[test]
    fn any_bytes_are_read_or_named(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 8..100_usize) {
        let mut shelf = Shelf::with(&[]);
        shelf.put("a.csv", &bytes);
        shelf.piece = piece;
        let run = run(&["a.csv"], &mut shelf, 7, NOW).unwrap();
        for record in &run.records {
            assert_fits_schema("report-row", &body(record));
        }
    }
}
