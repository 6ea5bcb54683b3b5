//! The page of the fault catalogue, `docs/fault-catalogue.md`: made from the rows below and from the names
//! of the tests, and held against both. A test of a row carries the row's id in its name, as in
//! `w10_a_broken_body_is_not_kept`; one test may be about several rows.
//!
//! `BLESS=1 cargo test -p host-harness --test fault_catalogue` writes the page anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[path = "fault_catalogue/guest.rs"]
mod guest;
#[path = "fault_catalogue/host.rs"]
mod host;
#[path = "fault_catalogue/network.rs"]
mod network;
#[path = "fault_catalogue/rows.rs"]
mod rows;
#[path = "fault_catalogue/security.rs"]
mod security;
#[path = "fault_catalogue/values.rs"]
mod values;

use rows::ROWS;

/// One row: its id, what happens, and what is held against it, or why it does not come here.
pub struct Row {
    pub id: &'static str,
    pub happens: &'static str,
    pub held: &'static str,
}

/// A row of the parts that keep others' code, disks and networks out.
pub struct Guarded {
    pub id: &'static str,
    pub happens: &'static str,
    pub stance: Stance,
}

/// Where we stand with a row.
pub enum Stance {
    /// It can come, and this is held. `planted` is the fault that was built in by hand once, and that the row's
    /// tests were seen to catch.
    Held { what: &'static str, planted: &'static str },
    /// It can't come here, and why.
    DoesNotApply { why: &'static str },
}

pub const fn held(
    id: &'static str,
    happens: &'static str,
    what: &'static str,
    planted: &'static str,
) -> Guarded {
    Guarded { id, happens, stance: Stance::Held { what, planted } }
}

pub const fn does_not_apply(id: &'static str, happens: &'static str, why: &'static str) -> Guarded {
    Guarded { id, happens, stance: Stance::DoesNotApply { why } }
}

/// The parts, with the ids that belong to each.
const PARTS: &[(&str, &[Guarded])] = &[
    ("The guest", guest::ROWS),
    ("The host", host::ROWS),
    ("Security", security::ROWS),
    ("The network", network::ROWS),
    ("The rest of the data", values::ROWS),
];

fn guarded() -> impl Iterator<Item = &'static Guarded> {
    PARTS.iter().flat_map(|(_, rows)| rows.iter())
}

/// Names of tests by the id of their row.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Ids at the front of a test's name: `w15_n23_without_one` has two.
fn ids(name: &str) -> Vec<String> {
    let is_id = |word: &&str| {
        word.len() == 3
            && word.starts_with(|c: char| "wnghds".contains(c))
            && word[1..].bytes().all(|b| b.is_ascii_digit())
    };
    name.split('_').take_while(is_id).map(str::to_uppercase).collect()
}

/// Adds the tests of one source text: functions right under a test's attribute, or in `proptest!`.
fn collect(text: &str, tests: &mut Tests) {
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if std::mem::take(&mut marked) {
                for id in ids(name) {
                    tests.entry(id).or_default().insert(name.to_owned());
                }
            }
        } else if !line.is_empty() && !line.starts_with("#[") && !line.starts_with("//") {
            marked = false;
        }
    }
}

fn tests_under(folder: &Path, tests: &mut Tests) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            tests_under(&path, tests);
        } else if name.ends_with(".rs") {
            collect(&std::fs::read_to_string(path).unwrap(), tests);
        }
    }
}

fn all_tests() -> Tests {
    let mut tests = Tests::new();
    for folder in ["src", "tests", "host-harness"] {
        tests_under(&root().join(folder), &mut tests);
    }
    tests
}

fn list(tests: Option<&BTreeSet<String>>) -> String {
    let Some(tests) = tests else { return String::new() };
    tests.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("<br>")
}

fn page(tests: &Tests) -> String {
    let mut page = String::from(
        "# Fault catalogue\n\nWhat can go wrong, what is held against it, and the tests that say so. This page is made \
         from the names of the tests by\n`BLESS=1 cargo test -p host-harness --test fault_catalogue`; the same test fails \
         while the two differ.\n\n## Sources, webhooks and data\n\n| row | what happens | what is held | tests |\n\
         |---|---|---|---|\n",
    );
    for row in ROWS {
        page.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.id,
            row.happens,
            row.held,
            list(tests.get(row.id))
        ));
    }
    for (title, rows) in PARTS.iter().filter(|(_, rows)| !rows.is_empty()) {
        page.push_str(&format!(
            "\n## {title}\n\nThe fault in the fourth column was built in by hand once, and the row's tests were seen to \
             catch it.\n\n| row | what happens | what is held | planted | tests |\n|---|---|---|---|---|\n"
        ));
        for row in *rows {
            let (stance, planted) = match row.stance {
                Stance::Held { what, planted } => (what.to_owned(), planted),
                Stance::DoesNotApply { why } => (format!("does not apply: {why}"), ""),
            };
            let tests = list(tests.get(row.id));
            page.push_str(&format!("| {} | {} | {stance} | {planted} | {tests} |\n", row.id, row.happens));
        }
    }
    let known: BTreeSet<_> = ROWS.iter().map(|row| row.id).chain(guarded().map(|row| row.id)).collect();
    let rest: Vec<_> = tests.iter().filter(|(id, _)| !known.contains(id.as_str())).collect();
    if !rest.is_empty() {
        page.push_str("\n## Rows with tests that are not described above\n\n| row | tests |\n|---|---|\n");
        for (id, names) in rest {
            page.push_str(&format!("| {id} | {} |\n", list(Some(names))));
        }
    }
    page
}

/// Row and tests of every line of a page's tables.
fn read(page: &str) -> Tests {
    let mut found = Tests::new();
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let id = cells.first().copied().unwrap_or_default();
        if !line.starts_with('|') || ids(&id.to_lowercase()).is_empty() {
            continue;
        }
        let names = cells.last().unwrap().split("<br>").map(|name| name.trim_matches('`').to_owned());
        found.entry(id.to_owned()).or_default().extend(names.filter(|name| !name.is_empty()));
    }
    found
}

/// Everything in which a page and the sources differ.
fn problems(page: &str, tests: &Tests, needed: &[&str]) -> Vec<String> {
    let listed = read(page);
    let mut problems = Vec::new();
    for id in needed {
        match listed.get(*id) {
            None => problems.push(format!("row {id} is missing")),
            Some(names) if names.is_empty() => problems.push(format!("row {id} has no test")),
            Some(_) => {}
        }
    }
    for (id, names) in &listed {
        for name in names.iter().filter(|name| !tests.get(id).is_some_and(|known| known.contains(*name))) {
            problems.push(format!("row {id} names a test that is not there: {name}"));
        }
    }
    for (id, names) in tests {
        for name in names.iter().filter(|name| !listed.get(id).is_some_and(|known| known.contains(*name))) {
            problems.push(format!("row {id} does not name its test {name}"));
        }
    }
    problems
}

/// Rows that must have a test: all but those that do not apply.
fn needed() -> Vec<&'static str> {
    let held = guarded().filter(|row| matches!(row.stance, Stance::Held { .. })).map(|row| row.id);
    ROWS.iter().map(|row| row.id).chain(held).collect()
}

#[test]
fn the_page_and_the_sources_name_the_same_tests() {
    let path = root().join("docs/fault-catalogue.md");
    let tests = all_tests();
    let fresh = page(&tests);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let found = problems(&written, &tests, &needed());
    let how = "write it anew: BLESS=1 cargo test -p host-harness --test fault_catalogue";
    assert!(found.is_empty(), "{}\n{how}", found.join("\n"));
    assert!(written == fresh, "the words of the page are not those of the rows; {how}");
}

#[test]
fn the_rows_are_the_ones_that_were_asked_for() {
    let span = |letter: char, numbers: std::ops::RangeInclusive<u32>| {
        numbers.map(move |n| format!("{letter}{n:02}"))
    };
    let asked: Vec<String> = span('W', 1..=15)
        .chain(span('N', 19..=26))
        .chain(span('D', 1..=10))
        .chain(["D14".to_owned(), "D16".to_owned()])
        .collect();
    assert_eq!(ROWS.iter().map(|row| row.id).collect::<Vec<_>>(), asked);
    assert!(ROWS.iter().all(|row| !row.happens.is_empty() && !row.held.is_empty()));

    let guarded_by_us: Vec<String> = span('G', 1..=16)
        .chain(span('H', 1..=22))
        .chain(span('S', 1..=25))
        .chain(span('N', 1..=18))
        .chain(span('N', 27..=33))
        .chain(span('D', 11..=13))
        .chain(["D15", "D17", "D18"].map(str::to_owned))
        .collect();
    let described: Vec<&str> = guarded().map(|row| row.id).collect();
    let in_order: Vec<&str> =
        guarded_by_us.iter().map(String::as_str).filter(|id| described.contains(id)).collect();
    assert_eq!(described, in_order, "each row once, in order, and none that nobody knows");
    for row in guarded() {
        let words = match row.stance {
            Stance::Held { what, planted } => vec![what, planted],
            Stance::DoesNotApply { why } => vec![why],
        };
        assert!(words.iter().chain([&row.happens]).all(|text| !text.is_empty()), "{} lacks a word", row.id);
    }
}

#[test]
fn a_missing_row_a_missing_test_and_a_test_too_many_are_found() {
    let mut tests = Tests::new();
    collect("#[test]\nfn w01_one() {}\n\n#[test]\nfn w02_n20_two() {}\nfn w03_helper() {}\n", &mut tests);
    collect("proptest! {\n    /// Words.\n    #[test]\n    fn w02_three(a: u8) {}\n}\n", &mut tests);
    assert_eq!(tests.keys().collect::<Vec<_>>(), ["N20", "W01", "W02"]);
    let needed = ["W01", "W02"];
    let whole = "| W01 | a | b | `w01_one` |\n| W02 | a | b | `w02_n20_two`<br>`w02_three` |\n| N20 | `w02_n20_two` |\n";
    assert_eq!(problems(whole, &tests, &needed), Vec::<String>::new());
    let without = |what: &str| problems(&whole.replacen(what, "", 1), &tests, &needed);
    assert!(without("| W01 | a | b | `w01_one` |\n").contains(&"row W01 is missing".to_owned()));
    assert!(without("`w01_one`").contains(&"row W01 has no test".to_owned()));
    assert_eq!(without("<br>`w02_three`"), ["row W02 does not name its test w02_three"]);
    assert_eq!(without("| N20 | `w02_n20_two` |\n"), ["row N20 does not name its test w02_n20_two"]);
    let gone = problems(&whole.replace("w01_one", "w01_gone"), &tests, &needed);
    assert_eq!(
        gone,
        ["row W01 names a test that is not there: w01_gone", "row W01 does not name its test w01_one",]
    );
}
