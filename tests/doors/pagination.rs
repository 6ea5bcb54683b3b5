//! A list that moves while it is read, through the door of campaigns.
//!
//! The vendor here is a list and a script of what happens to it before each call. Every unit
//! starts from the bytes of the cursor alone.

use std::collections::BTreeSet;

use moengage_connector::{
    Cursor, Failure, FailureKind, Http, HttpError, HttpRequest, HttpResponse, Next, PageRequest, Position,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::fetch_page;
use crate::{NOW, parse, plain_settings};

/// Something that happens to the list between two calls. Positions count from anywhere.
#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index),
    InsertFirst(usize),
    Delete(prop::sample::Index),
    DeleteFirst(usize),
    /// The row comes to stand first, as in a list that is sorted by the time of the change.
    Touch(prop::sample::Index),
    /// The list names a row twice in a row.
    Repeat(prop::sample::Index),
}

/// How the vendor serves a page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Serving {
    Honest,
    /// Every page is the first one.
    IgnoresPage,
    /// Behind the last row comes the first one.
    GoesRound,
    /// Every seventh row takes its place and is not shown.
    Hides,
    /// These pages of the run, by number, come short by half, or empty.
    Stumbles(usize, bool),
    /// Nothing is shown from one position up to another.
    Hole(usize, usize),
}

struct Vendor {
    rows: Vec<u64>,
    next_id: u64,
    /// Rows that were there from the beginning and never changed.
    stable: BTreeSet<u64>,
    script: Vec<Vec<Change>>,
    serving: Serving,
    calls: usize,
}

impl Vendor {
    fn new(rows: u64, script: Vec<Vec<Change>>, serving: Serving) -> Self {
        let rows: Vec<u64> = (0..rows).collect();
        Self {
            stable: rows.iter().copied().collect(),
            next_id: rows.len() as u64,
            rows,
            script,
            serving,
            calls: 0,
        }
    }

    fn happen(&mut self, change: &Change) {
        let len = self.rows.len();
        match change {
            Change::Insert(at) => {
                self.rows.insert(at.index(len + 1), self.next_id);
                self.next_id += 1;
            }
            Change::InsertFirst(count) => {
                for _ in 0..*count {
                    self.rows.insert(0, self.next_id);
                    self.next_id += 1;
                }
            }
            Change::DeleteFirst(count) => {
                for row in self.rows.drain(..(*count).min(len)) {
                    self.stable.remove(&row);
                }
            }
            _ if len == 0 => {}
            Change::Delete(at) => {
                self.take(self.rows[at.index(len)]);
            }
            Change::Touch(at) => {
                let row = self.rows[at.index(len)];
                self.take(row);
                self.rows.insert(0, row);
            }
            Change::Repeat(at) => {
                let at = at.index(len);
                self.rows.insert(at, self.rows[at]);
            }
        }
    }

    /// Takes a row out wherever it stands. A row that is named twice goes as a whole: a list
    /// that names one row in two distant places has no order that a page could be placed in.
    fn take(&mut self, row: u64) {
        self.rows.retain(|other| *other != row);
        self.stable.remove(&row);
    }

    fn page(&self, start: usize, limit: usize) -> Vec<u64> {
        let row = |position: usize| match self.serving {
            Serving::IgnoresPage => self.rows.get(position - start).copied(),
            Serving::GoesRound => self.rows.get(position % self.rows.len().max(1)).copied(),
            Serving::Hides if position % 7 == 3 => None,
            Serving::Hole(from, to) if (from..to).contains(&position) => None,
            _ => self.rows.get(position).copied(),
        };
        let rows: Vec<u64> = (start..start + limit).filter_map(row).collect();
        match self.serving {
            Serving::Stumbles(call, empty) if call == self.calls => {
                rows[..if empty { 0 } else { rows.len() / 2 }].to_vec()
            }
            _ => rows,
        }
    }
}

impl Http for Vendor {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let (limit, page) =
            (body["limit"].as_u64().unwrap() as usize, body["page"].as_u64().unwrap() as usize);
        assert!((1..=15).contains(&limit) && page >= 1);
        let drafts = body["campaign_fields"]["status"] == json!(["DRAFT"]);
        let rows = if drafts {
            Vec::new()
        } else {
            for change in self.script.get(self.calls).cloned().unwrap_or_default() {
                self.happen(&change);
            }
            self.calls += 1;
            self.page((page - 1) * limit, limit)
        };
        let row = |row: u64| json!({"id": format!("{row:024x}"), "campaign_id": format!("{row:024x}"), "status": "ACTIVE"});
        let rows: Vec<Value> = rows.into_iter().map(row).collect();
        let body = json!({"response_id": "r", "type": "campaign", "data": {"campaigns": rows}}).to_string();
        Ok(HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() })
    }
}

struct Run {
    read: BTreeSet<u64>,
    doubles: usize,
    truncated: Option<String>,
}

/// Reads to the end, each unit from the bytes of the cursor alone.
fn run(vendor: &mut Vendor, budget: impl Fn(usize) -> u32) -> Result<Run, Failure> {
    let settings = parse(&plain_settings());
    let mut run = Run { read: BTreeSet::new(), doubles: 0, truncated: None };
    let mut position = Position::Start;
    for unit in 0..10_000 {
        let request = PageRequest {
            resource: "campaigns".to_owned(),
            position,
            budget: budget(unit),
            now: NOW + unit as i64,
        };
        let page = fetch_page(&settings, &request, vendor)?;
        assert!(page.records.len() + page.rejects.len() <= request.budget.min(15) as usize);
        for record in &page.records {
            let key = record.id.rsplit(':').next().unwrap();
            if !run.read.insert(u64::from_str_radix(key, 16).unwrap()) {
                run.doubles += 1;
            }
        }
        match page.next {
            Next::More(cursor) => {
                assert!(cursor.bytes.len() <= 4096 && cursor.version == 1, "{}", cursor.bytes.len());
                assert_ne!(request.position, Position::Cursor(cursor.clone()), "`more` moves the cursor");
                position = Position::Cursor(cursor);
            }
            Next::Done { cursor, truncated } => {
                assert_eq!(cursor, None);
                run.truncated = truncated;
                return Ok(run);
            }
            Next::Later(..) => panic!("nothing said to wait"),
        }
    }
    panic!("the run does not end");
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any::<prop::sample::Index>().prop_map(Change::Insert),
        1 => (1..20_usize).prop_map(Change::InsertFirst),
        3 => any::<prop::sample::Index>().prop_map(Change::Delete),
        1 => (1..40_usize).prop_map(Change::DeleteFirst),
        1 => any::<prop::sample::Index>().prop_map(Change::Touch),
        1 => any::<prop::sample::Index>().prop_map(Change::Repeat),
    ]
}

/// What happens before each of the first calls: mostly nothing.
fn script() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let step = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(change(), 1..4)];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn n22_a_complete_run_has_every_row_that_stayed(rows in 0..400_u64, script in script(), budget in 1..20_u32) {
        let mut vendor = Vendor::new(rows, script, Serving::Honest);
        let run = match run(&mut vendor, |_| budget) {
            Ok(run) => run,
            // Many inserts in a row look like a list that goes round: named, so not complete.
            Err(failure) if failure.code == "repeating-page" => return Ok(()),
            Err(failure) => panic!("{failure:?}"),
        };
        if run.truncated.is_none() {
            let lost: Vec<_> = vendor.stable.difference(&run.read).collect();
            prop_assert!(lost.is_empty(), "{lost:?} of {rows}");
        }
    }

    #[test]
    fn n22_a_change_now_and_then_cuts_no_run_short(
        rows in 0..400_u64, changes in proptest::collection::vec((change(), 0..50_usize), 0..8)
    ) {
        let mut script = vec![Vec::new(); 50];
        for (change, call) in changes {
            script[call].push(change);
        }
        let mut vendor = Vendor::new(rows, script, Serving::Honest);
        let run = run(&mut vendor, |_| 1_000).unwrap();
        prop_assert_eq!(run.truncated, None);
        prop_assert!(vendor.stable.is_subset(&run.read));
    }

    #[test]
    fn a_list_that_holds_still_is_read_once_and_completely(rows in 0..500_u64, budget in 1..20_u32) {
        let mut vendor = Vendor::new(rows, Vec::new(), Serving::Honest);
        let run = run(&mut vendor, |_| budget).unwrap();
        prop_assert_eq!((run.read.len() as u64, run.doubles, run.truncated), (rows, 0, None));
        if budget >= 15 {
            // Overlapping costs less than a second call for each page would.
            prop_assert!(vendor.calls as u64 <= rows / 15 * 2 + 6, "{} calls for {rows} rows", vendor.calls);
        }
    }

    #[test]
    fn n21_a_list_that_repeats_itself_is_named(rows in 1..400_u64, round: bool) {
        let serving = if round { Serving::GoesRound } else { Serving::IgnoresPage };
        let mut vendor = Vendor::new(rows, Vec::new(), serving);
        let failure = run(&mut vendor, |_| 1_000).map(|_| ()).unwrap_err();
        prop_assert_eq!(failure.code.as_str(), "repeating-page");
        prop_assert!(matches!(failure.kind, FailureKind::VendorContract(_)));
        prop_assert!(vendor.calls < 200, "{} calls", vendor.calls);
    }

    #[test]
    fn n24_hidden_rows_and_short_and_empty_pages_are_not_the_end(
        rows in 0..300_u64, call in 0..30_usize, empty: bool, hides: bool
    ) {
        let serving = if hides { Serving::Hides } else { Serving::Stumbles(call, empty) };
        let mut vendor = Vendor::new(rows, Vec::new(), serving);
        let shown: BTreeSet<u64> = (0..rows).filter(|row| !hides || row % 7 != 3).collect();
        let run = run(&mut vendor, |_| 1_000).unwrap();
        prop_assert_eq!((run.read, run.truncated), (shown, None));
    }

    #[test]
    fn a_hole_in_the_list_is_passed_and_said(rows in 40..300_u64, from in 1..100_usize, length in 16..30_usize) {
        let mut vendor = Vendor::new(rows, Vec::new(), Serving::Hole(from, from + length));
        let run = run(&mut vendor, |_| 1_000).unwrap();
        let behind = rows as usize > from + length;
        let hole = from..from + length;
        prop_assert!(run.truncated.is_none() || behind);
        if run.truncated.is_none() && behind {
            // Only where a page spanned it could nothing be missed.
            prop_assert!(run.read.contains(&(rows - 1)));
        }
        if run.truncated.is_some() || run.read.contains(&(rows - 1)) {
            let missed: Vec<_> = (0..rows).filter(|row| !hole.contains(&(*row as usize)) && !run.read.contains(row)).collect();
            prop_assert!(missed.is_empty(), "{missed:?}");
        }
    }

    #[test]
    fn foreign_cursors_are_refused_by_name(bytes in proptest::collection::vec(any::<u8>(), 0..60), version in 0..3_u32) {
        let failure = at(Cursor { version, bytes }).unwrap_err();
        prop_assert_eq!(failure.kind, FailureKind::Cursor);
        let code = if version == 1 { "unreadable-cursor" } else { "cursor-version" };
        prop_assert_eq!(failure.code.as_str(), code);
    }

    #[test]
    fn a_cursor_changed_anywhere_is_refused_or_ends(at_byte: prop::sample::Index, with in "[0-9a-z\"]", unit in 1..20_usize) {
        let mut bytes = cursor_after(unit).bytes;
        let index = at_byte.index(bytes.len());
        bytes[index] = with.as_bytes()[0];
        match at(Cursor { version: 1, bytes }) {
            Ok(()) => {}
            // A position that is not that of the rows looks like a list that goes round.
            Err(failure) => prop_assert!(failure.kind == FailureKind::Cursor || failure.code == "repeating-page"),
        }
    }
}

fn cursor_after(units: usize) -> Cursor {
    let mut vendor = Vendor::new(400, Vec::new(), Serving::Honest);
    let mut position = Position::Start;
    for _ in 0..units {
        let request = PageRequest { resource: "campaigns".to_owned(), position, budget: 1_000, now: NOW };
        let Next::More(cursor) = fetch_page(&parse(&plain_settings()), &request, &mut vendor).unwrap().next
        else {
            panic!("the list is longer");
        };
        position = Position::Cursor(cursor);
    }
    let Position::Cursor(cursor) = position else { panic!("at least one unit") };
    cursor
}

/// One page from a cursor.
fn at(cursor: Cursor) -> Result<(), Failure> {
    let mut vendor = Vendor::new(400, Vec::new(), Serving::Honest);
    let position = Position::Cursor(cursor);
    let request = PageRequest { resource: "campaigns".to_owned(), position, budget: 1_000, now: NOW };
    fetch_page(&parse(&plain_settings()), &request, &mut vendor).map(|_| ())
}

#[test]
fn a_cursor_belongs_to_its_resource() {
    let cursor = cursor_after(1);
    let text = String::from_utf8(cursor.bytes).unwrap().replace("\"campaigns\"", "\"users\"");
    let failure = at(Cursor { version: 1, bytes: text.into_bytes() }).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Cursor, "foreign-cursor"));
}

#[test]
fn a_cursor_is_written_as_by_the_builds_before() {
    // Runs go on across an update of the component, so these bytes are a format.
    let written = concat!(
        r#"{"of":"campaigns","state":{"run":1653022370000,"created_since":null,"drafts":false,"cut_short":null,"#,
        r#""walk":{"at":14,"furthest":14,"look":"onward","recent":""#,
        r#"b8d3355b520dea85b8d3345b520de8d2b8d3335b520de71fb8d3325b520de56cb8d3315b520de3b9b8d3305b520de206"#,
        r#"b8d32f5b520de053b8d32e5b520ddea0b8d33d5b520df81db8d33c5b520df66ab8d3045b520d9742b8d3035b520d958f"#,
        r#"b8d3025b520d93dcb8d3015b520d9229b8d3005b520d9076"#,
        r#"","marks":"ccbf142e8a8ed3f9f441244a035b74c8","rows":15,"#,
        r#""pages":1,"stale":0,"steps_back":0,"steps_in_a_row":0,"gap":false,"doubt":null}}}"#,
    );
    assert_eq!(String::from_utf8(cursor_after(1).bytes).unwrap(), written);
}

#[test]
fn a_cursor_survives_an_edit_of_the_mapping_and_fields_of_later_releases() {
    let text = String::from_utf8(cursor_after(3).bytes).unwrap();
    let with_more = text.replacen("\"state\":{", "\"later\":1,\"state\":{\"later\":{},", 1);
    let mut settings = plain_settings();
    settings["field_mapping"] = json!({"points": "POINTS"});
    for text in [text, with_more] {
        let mut vendor = Vendor::new(400, Vec::new(), Serving::Honest);
        let position = Position::Cursor(Cursor { version: 1, bytes: text.into_bytes() });
        let request = PageRequest { resource: "campaigns".to_owned(), position, budget: 1_000, now: NOW };
        let page = fetch_page(&parse(&settings), &request, &mut vendor).unwrap();
        assert!(!page.records.iter().any(|record| record.id.ends_with(":000000000000000000000000")));
    }
}

#[test]
fn n25_a_list_without_end_is_cut_short() {
    // A million rows come to more pages than a run may read.
    let mut vendor = Vendor::new(1_000_000, Vec::new(), Serving::Honest);
    let run = run(&mut vendor, |_| 1_000).unwrap();
    assert!(run.truncated.unwrap().contains("more pages"));
    assert_eq!(vendor.calls, 4_000);
}

#[test]
fn a_list_that_never_holds_still_is_cut_short_and_said() {
    let script = vec![vec![Change::DeleteFirst(30), Change::InsertFirst(60)]; 1_000];
    let mut vendor = Vendor::new(5_000, script, Serving::Honest);
    let outcome = run(&mut vendor, |_| 1_000);
    match outcome {
        Ok(run) => assert!(run.truncated.unwrap().contains("kept moving")),
        Err(failure) => assert_eq!(failure.code, "repeating-page"),
    }
}

/// The plan that an earlier design failed on: rows go while a page is read and come back before
/// a look at the last row of the page before.
#[test]
fn a_removal_that_an_insertion_hides_is_noticed() {
    let mut script = vec![Vec::new(); 40];
    script[1] = vec![Change::DeleteFirst(3)];
    script[2] = vec![Change::InsertFirst(3)];
    let mut vendor = Vendor::new(60, script, Serving::Honest);
    let run = run(&mut vendor, |_| 1_000).unwrap();
    assert_eq!(run.truncated, None);
    assert!(vendor.stable.is_subset(&run.read));
}
