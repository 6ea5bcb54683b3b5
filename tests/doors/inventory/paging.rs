//! Every style of paging through the door, against lists that hold still, move, repeat, lie about
//! their length, or never end.

use std::collections::BTreeSet;

use moengage_connector::{FailureKind, Http, HttpError, HttpRequest, HttpResponse, Position};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Run, ok, run, run_with};
use crate::reach::is_check;
use crate::schemas::{everything, known_ids};
use crate::{NOW, parse};

/// How a list is asked for and how it answers, by its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Page and a limit that is chosen, no count.
    Walk(&'static str),
    /// Pages of 20 with a count: of the list, or of the page.
    Counted(bool),
    /// An offset of pages of 50 as text, with a count and a flag, as text or as a flag.
    Flagged(bool),
    /// Pages of 50 and nothing said.
    Silent,
    /// A cursor, in body or query.
    Tokens(&'static str),
}

const STYLES: [Style; 11] = [
    Style::Walk("email-templates"),
    Style::Walk("campaign-children"),
    Style::Counted(true),
    Style::Counted(false),
    Style::Flagged(true),
    Style::Flagged(false),
    Style::Silent,
    Style::Tokens("flows"),
    Style::Tokens("offers"),
    Style::Tokens("business-events"),
    Style::Tokens("locales"),
];

impl Style {
    fn resource(self) -> &'static str {
        match self {
            Self::Walk(name) | Self::Tokens(name) => name,
            Self::Counted(_) => "email-templates-v1",
            Self::Flagged(_) => "file-imports",
            Self::Silent => "cards",
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Walk(_) => 15,
            Self::Counted(_) => 20,
            Self::Flagged(_) | Self::Silent => 50,
            Self::Tokens("flows" | "offers") => 100,
            Self::Tokens(_) => 20,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Whatever is asked for, the first page comes.
    IgnoresPlace,
    /// That many calls are answered with an empty page that has a next one.
    Empty(usize, usize),
    /// Half of the rows of a page are held back, and come with the next.
    Short(usize),
    /// The count is off by that much.
    Miscounts(i64),
    /// There is always more.
    Endless,
}

#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index),
    Delete(prop::sample::Index),
}

/// A list of numbers, newest first, that changes between calls.
struct Vendor {
    style: Style,
    manner: Manner,
    rows: Vec<u64>,
    stable: BTreeSet<u64>,
    script: Vec<Vec<Change>>,
    calls: usize,
    next: u64,
}

impl Vendor {
    fn new(style: Style, rows: u64, manner: Manner) -> Self {
        let rows: Vec<u64> = (1..=rows).rev().collect();
        let stable = rows.iter().copied().collect();
        Self { style, manner, stable, next: 1_000_000, rows, script: Vec::new(), calls: 0 }
    }

    fn with(mut self, script: Vec<Vec<Change>>) -> Self {
        self.script = script;
        self
    }

    fn happen(&mut self) {
        for change in self.script.get(self.calls).cloned().unwrap_or_default() {
            match change {
                Change::Insert(_) if matches!(self.style, Style::Tokens(_)) => {
                    self.rows.insert(0, self.next);
                    self.next += 1;
                }
                Change::Insert(at) => {
                    self.rows.insert(at.index(self.rows.len() + 1), self.next);
                    self.next += 1;
                }
                Change::Delete(_) if self.rows.is_empty() => {}
                Change::Delete(at) => {
                    let row = self.rows.remove(at.index(self.rows.len()));
                    self.stable.remove(&row);
                }
            }
        }
        self.calls += 1;
    }

    fn slice(&self, start: usize, limit: usize) -> Vec<u64> {
        self.rows.iter().skip(start).take(limit).copied().collect()
    }

    fn answer(&mut self, request: &HttpRequest) -> Value {
        // No key is right here.
        if is_check(request) {
            return Value::Null;
        }
        self.happen();
        let body: Value =
            request.body.as_ref().map_or(Value::Null, |body| serde_json::from_slice(body).unwrap());
        let query =
            |name: &str| request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let number = |name: &str| -> usize {
            let said = query(name).or_else(|| body[name].as_str().map(str::to_owned));
            said.map_or_else(|| body[name].as_u64().unwrap() as usize, |text| text.parse().unwrap())
        };
        let size = self.style.size();
        let endless = self.manner == Manner::Endless;
        if let Style::Tokens(resource) = self.style {
            let token = query("cursor").or_else(|| body["cursor"].as_str().map(str::to_owned));
            assert_eq!(number("limit"), size, "{resource}");
            return self.by_token(token, size);
        }
        let (start, limit) = match self.style {
            Style::Walk("email-templates") => ((number("page") - 1) * number("entries"), number("entries")),
            Style::Walk(_) => ((number("page") - 1) * number("limit"), number("limit")),
            Style::Flagged(_) => ((number("offset") - 1) * size, size),
            _ => ((number("page") - 1) * size, size),
        };
        let start = if self.manner == Manner::IgnoresPlace { 0 } else { start };
        let mut rows = if endless {
            (start..start + limit).map(|n| n as u64 + 1).collect()
        } else {
            self.slice(start, limit)
        };
        if let Manner::Empty(from, many) = self.manner
            && (from..from + many).contains(&self.calls)
        {
            rows.clear();
        }
        let total = match self.manner {
            Manner::Miscounts(by) => (self.rows.len() as i64 + by).max(0) as usize,
            _ => self.rows.len(),
        };
        let more = endless || start + limit < self.rows.len();
        let list = |row: &dyn Fn(String) -> Value| -> Vec<Value> {
            rows.iter().map(|n| row(n.to_string())).collect()
        };
        match self.style {
            Style::Walk("email-templates") => {
                json!({"data": list(&|id| json!({"external_template_id": id}))})
            }
            Style::Walk(_) => {
                json!({"executions": list(&|id| json!({"campaign_id": id})), "total_instances": 1})
            }
            Style::Counted(of_list) => {
                let count = if of_list { total } else { rows.len() };
                json!({"status": "success", "data": {"templates": list(&|id| json!({"template_id": id})), "no_of_templates": count}})
            }
            Style::Flagged(as_text) => {
                let more = if as_text { json!(more.to_string()) } else { json!(more) };
                json!({"status": "success", "total_count": total, "data": list(&|id| json!({"import_id": id})), "more_files": more})
            }
            _ => json!({"status": true, "data": {"cards": list(&|id| json!({"id": id}))}}),
        }
    }

    /// A cursor names the last row that was given; what is older than it comes next.
    fn by_token(&mut self, token: Option<String>, size: usize) -> Value {
        let after: u64 = match &token {
            Some(token) if self.manner != Manner::IgnoresPlace => {
                token.split('-').next().unwrap().parse().unwrap()
            }
            _ => u64::MAX,
        };
        let start = self.rows.iter().take_while(|row| **row >= after).count();
        let mut rows = self.slice(start, size);
        if self.manner == Manner::Short(self.calls) {
            rows.truncate(rows.len() / 2);
        }
        let empty =
            matches!(self.manner, Manner::Empty(from, many) if (from..from + many).contains(&self.calls));
        if empty {
            rows.clear();
        }
        let last = rows.last().copied().unwrap_or(after);
        let more =
            self.manner == Manner::Endless || empty || self.rows.last().is_some_and(|oldest| *oldest < last);
        // A cursor is another one for every page, but for a vendor that goes nowhere.
        let unique = if self.manner == Manner::IgnoresPlace { 0 } else { self.calls };
        let next = more.then(|| format!("{last}-{unique}"));
        let rows: Vec<Value> =
            rows.iter().map(|n| json!({"id": n.to_string(), "flow_id": n.to_string()})).collect();
        if self.style == Style::Tokens("flows") {
            return json!({"data": {"flows": rows, "has_more": more, "next_cursor": next}});
        }
        json!({"data": rows, "pagination": {"has_more": more, "next_cursor": next}})
    }
}

impl Http for Vendor {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(ok(&self.answer(request)))
    }
}

fn numbers(run: &Run) -> BTreeSet<u64> {
    run.keys().iter().map(|key| key.rsplit('/').next().unwrap().parse().unwrap()).collect()
}

fn lost(vendor: &Vendor, run: &Run) -> Vec<u64> {
    vendor.stable.difference(&numbers(run)).copied().collect()
}

fn style() -> impl Strategy<Value = Style> {
    prop::sample::select(STYLES.to_vec())
}

fn script(change: impl Strategy<Value = Change> + Clone) -> impl Strategy<Value = Vec<Vec<Change>>> {
    proptest::collection::vec(
        prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(change, 1..4)],
        0..12,
    )
}

fn insert() -> impl Strategy<Value = Change> + Clone {
    any::<prop::sample::Index>().prop_map(Change::Insert)
}

fn delete() -> impl Strategy<Value = Change> + Clone {
    any::<prop::sample::Index>().prop_map(Change::Delete)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn a_list_that_holds_still_is_read_once_and_completely(style in style(), rows in 0..330_u64) {
        let mut vendor = Vendor::new(style, rows, Manner::Honest);
        let run = run(style.resource(), &mut vendor).unwrap();
        prop_assert_eq!((run.records.len() as u64, numbers(&run).len() as u64), (rows, rows));
        prop_assert_eq!((&run.truncated, run.codes.len()), (&None, 0));
    }

    #[test]
    fn n22_a_complete_run_has_every_row_that_stayed_while_others_come(
        style in style(), rows in 0..330_u64, script in script(insert())
    ) {
        let mut vendor = Vendor::new(style, rows, Manner::Honest).with(script);
        // The same page at another place is named, not passed over.
        let Ok(run) = run(style.resource(), &mut vendor) else { return Ok(()) };
        prop_assert!(run.truncated.is_some() || lost(&vendor, &run).is_empty(), "{:?}", lost(&vendor, &run));
    }

    #[test]
    fn n22_a_complete_run_has_every_row_that_stayed_while_others_go(
        // A list that counts nothing can't show that a page has moved: see its remark.
        style in style().prop_filter("counts", |style| !matches!(style, Style::Silent | Style::Counted(false))),
        rows in 0..330_u64, script in script(delete())
    ) {
        let mut vendor = Vendor::new(style, rows, Manner::Honest).with(script);
        let Ok(run) = run(style.resource(), &mut vendor) else { return Ok(()) };
        prop_assert!(run.truncated.is_some() || lost(&vendor, &run).is_empty(), "{:?}", lost(&vendor, &run));
    }

    #[test]
    fn n22_n23_walks_and_cursors_bear_any_change_and_any_budget(
        style in style().prop_filter("proves it", |style| matches!(style, Style::Walk(_) | Style::Tokens(_))),
        rows in 0..330_u64, script in script(prop_oneof![insert(), delete()]), budget in 1..20_u32
    ) {
        let mut vendor = Vendor::new(style, rows, Manner::Honest).with(script);
        let budget = if matches!(style, Style::Walk(_)) { budget } else { 1_000 };
        let settings = parse(&everything());
        let each = |unit: usize| (settings.clone(), budget, NOW + unit as i64);
        let run = run_with(style.resource(), &mut vendor, &mut known_ids(), Position::Start, each).unwrap();
        prop_assert!(run.truncated.is_some() || lost(&vendor, &run).is_empty(), "{:?}", lost(&vendor, &run));
    }

    #[test]
    fn n21_a_vendor_that_goes_nowhere_is_named(style in style(), pages in 2..6_u64) {
        let mut vendor = Vendor::new(style, pages * 100, Manner::IgnoresPlace);
        let failure = run(style.resource(), &mut vendor).unwrap_err();
        prop_assert_eq!(failure.code.as_str(), "repeating-page");
        prop_assert!(matches!(failure.kind, FailureKind::VendorContract(_)));
        prop_assert!(vendor.calls < 200, "{} calls", vendor.calls);
    }

    #[test]
    fn n24_empty_and_short_pages_with_a_next_one_are_not_the_end(
        style in style().prop_filter("names the next", |style| matches!(style, Style::Tokens(_))),
        rows in 150..330_u64, call in 1..3_usize, empty in 0..4_usize
    ) {
        let manner = if empty == 0 { Manner::Short(call) } else { Manner::Empty(call, empty) };
        let mut vendor = Vendor::new(style, rows, manner);
        let run = run(style.resource(), &mut vendor).unwrap();
        prop_assert_eq!((lost(&vendor, &run), run.truncated), (vec![], None));
    }

    #[test]
    fn n22_a_count_that_lies_is_no_end(by in prop_oneof![Just(-30_i64), Just(-1), Just(1), Just(40)], rows in 61..330_u64) {
        let style = Style::Counted(true);
        let mut vendor = Vendor::new(style, rows, Manner::Miscounts(by));
        let run = run(style.resource(), &mut vendor).unwrap();
        // Too many are counted: the rest never comes, and the run says so. Too few: what is there
        // beyond them is read, or it is said.
        let all = lost(&vendor, &run).is_empty();
        prop_assert!(if by > 0 { all && run.truncated.is_some() } else { all || run.truncated.is_some() }, "{:?}", run.truncated);
    }
}

#[test]
fn n24_empty_pages_without_end_are_left_and_said() {
    for style in [Style::Tokens("flows"), Style::Tokens("locales")] {
        let mut vendor = Vendor::new(style, 50, Manner::Empty(1, 100));
        let run = run(style.resource(), &mut vendor).unwrap();
        assert!(run.truncated.unwrap().contains("empty pages"));
        assert_eq!((run.records.len(), vendor.calls), (0, 4));
    }
}

#[test]
fn n24_no_rows_at_all_is_a_complete_list() {
    for style in STYLES {
        let run = run(style.resource(), &mut Vendor::new(style, 0, Manner::Honest)).unwrap();
        assert_eq!((run.records.len(), run.truncated), (0, None), "{style:?}");
    }
}

#[test]
fn n25_a_list_without_end_is_cut_short() {
    for style in [Style::Tokens("locales"), Style::Silent] {
        let mut vendor = Vendor::new(style, 0, Manner::Endless);
        let run = run(style.resource(), &mut vendor).unwrap();
        let why = run.truncated.unwrap();
        assert!(why.contains("more pages") || why.contains("empty pages"), "{style:?}: {why}");
        assert!(vendor.calls <= 4_000);
    }
}

/// MoEngage's cursors live as long as it likes (OpenAPI of offers: `INVALID_CURSOR` under 400).
#[test]
fn a_cursor_that_is_no_longer_taken_begins_the_list_anew_twice_and_then_ends_it() {
    for (refusals, records) in [(1, 150), (2, 150), (3, 200), (9, 200)] {
        let mut inner = Vendor::new(Style::Tokens("offers"), 150, Manner::Honest);
        let mut left = refusals;
        let mut http = super::vendor(|request: &HttpRequest| {
            let refuses = left > 0 && request.query.iter().any(|(name, _)| name == "cursor");
            left -= i32::from(refuses);
            match refuses {
                true if refusals % 2 == 0 => {
                    super::answered(404, r#"{"error":{"code":"NOT_FOUND","message":"m"}}"#)
                }
                true => super::answered(400, r#"{"error":{"code":"VALIDATION_FAILED","message":"m"}}"#),
                false => ok(&inner.answer(request)),
            }
        });
        let found = run("offers", &mut http).unwrap();
        let ends = refusals > 2;
        assert_eq!(found.truncated.is_some(), ends, "{refusals}: {:?}", found.truncated);
        assert_eq!(found.codes["cursor-refused"], if ends { 3 } else { refusals as u32 });
        assert_eq!(numbers(&found).len(), if ends { 100 } else { records });
        let runs: BTreeSet<_> =
            found.records.iter().map(|r| r.observation.id.split('.').nth(1).unwrap().to_owned()).collect();
        assert_eq!(runs.len(), 1, "one run");
    }
    // What is about the key or the rate is no word about the cursor.
    for (status, code) in [(401, "key-refused"), (429, "rate-limited"), (500, "vendor-unavailable")] {
        let mut inner = Vendor::new(Style::Tokens("offers"), 150, Manner::Honest);
        let mut http = super::vendor(|request: &HttpRequest| {
            let onward = request.query.iter().any(|(name, _)| name == "cursor");
            if onward { super::answered(status, "") } else { ok(&inner.answer(request)) }
        });
        assert_eq!(run("offers", &mut http).unwrap_err().code, code);
    }
}

#[test]
fn n26_a_run_is_named_by_its_begin_whatever_the_clock_does_meanwhile() {
    let settings = parse(&everything());
    let mut vendor = Vendor::new(Style::Tokens("locales"), 90, Manner::Honest);
    // Forward an hour, back a day.
    let each = |unit: usize| (settings.clone(), 100, NOW + [0, 3_600_000, -86_400_000][unit % 3]);
    let run = run_with("locales", &mut vendor, &mut known_ids(), Position::Start, each).unwrap();
    assert!(run.records.iter().all(|record| record.observation.id.starts_with(&format!("locales.{NOW}."))));
    assert_eq!((run.records.len(), run.truncated), (90, None));
}
