//! Guests against the runtime, through its public doors. Each hostile guest commits one sin; after each,
//! other work goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../guests/mod.rs"]
mod guests;

mod contract;
mod loading;
mod neighbours;
mod output;
mod sins;
mod stage;
mod storage;
mod upgrade;

/// A guest that no test runs tells nothing: its name has to be given to one of the functions that load a
/// guest, or to stand first in a row of a table that is loaded from.
#[test]
fn every_guest_has_a_test() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = [tests.join("plugin_runtime"), tests]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let texts: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("main.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let all = guests::all();
    assert!(all.len() > 25, "the guests are not where this test looks: {all:?}");
    for name in all {
        let uses = [
            format!("load(\"{name}\")"),
            format!("component(\"{name}\")"),
            format!(", \"{name}\")"),
            format!("(\"{name}\", "),
        ];
        let run = texts.iter().any(|text| uses.iter().any(|using| text.contains(using)));
        assert!(run, "tests/plugins/{name} is run by no test");
    }
}
