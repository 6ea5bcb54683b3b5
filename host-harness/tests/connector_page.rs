//! `docs/connector.md` is what the connector declares: its tables are printed by the program, and
//! the commands that it names as proof are there.
//!
//! `REWRITE=1 cargo test -p host-harness --test connector_page` writes the tables anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tables::with_tables;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/connector.md")).unwrap()
}

/// Tables as `harness discover --markdown` prints them, by name.
fn printed() -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .current_dir(root())
        .args(["discover", "--config", "host-harness/examples/moengage.yaml", "--markdown"])
        .envs(
            ["BREVO_API_KEY", "MOENGAGE_DATA_KEY", "MOENGAGE_CAMPAIGNS_KEY", "MOENGAGE_SEGMENTATION_KEY"]
                .into_iter()
                .chain(["MOENGAGE_WEBHOOK_SECRET", "MOENGAGE_EXPORTS_SECRET"])
                .map(|name| (name, "a-secret-of-an-example")),
        )
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(!out.contains("a-secret-of-an-example"));
    let sections = out.split("<!-- ").skip(1).map(|section| {
        let (name, table) = section.split_once(" -->\n").unwrap();
        (name.to_owned(), table.trim_end().to_owned())
    });
    sections.collect()
}

#[test]
fn every_table_of_the_page_is_what_the_connector_declares() {
    let (page, tables) = (page(), printed());
    let (fresh, held) = with_tables(&page, &tables);
    assert_eq!(held, tables.keys().cloned().collect(), "a table is not on the page");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(root().join("docs/connector.md"), &fresh).unwrap();
    } else {
        let differs = page.lines().zip(fresh.lines()).find(|(old, new)| old != new);
        let command = "REWRITE=1 cargo test -p host-harness --test connector_page";
        assert!(page == fresh, "docs/connector.md is stale at {differs:#?}; write it anew with `{command}`");
    }
}

#[test]
fn no_cell_of_the_page_is_empty_or_not_recorded() {
    let page = page();
    assert!(!page.to_lowercase().contains("not recorded"));
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let empty = line.trim_matches('|').split(" | ").any(|cell| cell.trim().is_empty());
        assert!(!empty, "{line}");
    }
}

/// Files under a folder.
fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

/// `cargo test -p PACKAGE --test FILE NAME`: the file and the test have to be there.
#[test]
fn every_test_that_the_page_names_as_proof_is_there() {
    let page = page();
    let mut named = 0;
    for command in page.split('`').filter(|code| code.starts_with("cargo test -p ")) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let folder = match words[3] {
            "host-harness" => root().join("host-harness"),
            "stand-ins" => root().join("host-harness/stand-ins"),
            "moengage-connector" => root(),
            other => panic!("{other} in {command}"),
        };
        let (mut sources, tests) = (Vec::new(), folder.join("tests"));
        let at = match words.get(4) {
            Some(&"--test") => tests.join(words[5]),
            _ => folder.join("src"),
        };
        match at.is_dir() {
            true => files(&at, &mut sources),
            false => sources.push(at.with_extension("rs")),
        }
        let name = words.last().unwrap().rsplit("::").next().unwrap();
        let whole = words.get(4) == Some(&"--test") && words.len() == 6;
        let there = sources.iter().any(|source| {
            let text = std::fs::read_to_string(source)
                .unwrap_or_else(|e| panic!("{command}: {}: {e}", source.display()));
            whole || text.contains(&format!("fn {name}("))
        });
        assert!(there, "{command}");
        named += 1;
    }
    assert!(named >= 6, "{named}");
}
