//! `docs/brevo-actions.md` is what the host does at Brevo: its tables are printed from the data that
//! the host works by, and every code of a dead letter stands in it.
//!
//! `REWRITE=1 cargo test -p host-harness --test brevo_actions` writes the tables anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use host_harness::operate::actions::{ACTIONS, OF_ANY, tables as printed};
use tables::with_tables;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/brevo-actions.md")
}

#[test]
fn every_table_of_the_page_is_what_the_host_does() {
    let page_text = std::fs::read_to_string(page()).unwrap();
    let tables: BTreeMap<String, String> =
        printed().into_iter().map(|(name, table)| (name.to_owned(), table)).collect();
    let (fresh, held) = with_tables(&page_text, &tables);
    assert_eq!(held, tables.keys().cloned().collect(), "a table is not on the page");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(page(), &fresh).unwrap();
    } else {
        let differs = page_text.lines().zip(fresh.lines()).find(|(old, new)| old != new);
        let command = "REWRITE=1 cargo test -p host-harness --test brevo_actions";
        assert!(
            page_text == fresh,
            "docs/brevo-actions.md is stale at {differs:#?}; write it anew with `{command}`"
        );
    }
}

/// What the delivery's sources say: `code: <this>, actor: Actor::<that>`, one below the other.
fn letters() -> (String, BTreeSet<(String, String)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/delivery");
    let (mut all, mut pairs) = (String::new(), BTreeSet::new());
    for folder in [folder.join("import"), folder] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                pairs.extend(letters_of(&text));
                all.push_str(&text);
            }
        }
    }
    (all, pairs)
}

fn letters_of(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let code = pair[0].strip_prefix("code: ")?.strip_suffix(',')?;
        let actor = pair[1].strip_prefix("actor: ")?.strip_suffix(',')?.rsplit("::").next()?;
        let constant = format!("const {code}: &str = ");
        let code = match code {
            "letter.code" => return None, // one that stands elsewhere
            "lists::GONE" => "list-gone",
            "lists::NAMED_TWICE" => "list-named-twice",
            "OUTCOME_UNPROVEN" => "outcome-unproven",
            "CONTACT_GONE" => "contact-gone",
            other => {
                let of_the_file =
                    lines.iter().find_map(|line| line.strip_prefix(&constant)?.strip_suffix(';'));
                let literal = of_the_file.unwrap_or(other);
                literal
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'))
                    .unwrap_or_else(|| panic!("which code is {other}?"))
            }
        };
        Some((code.to_owned(), actor.to_owned()))
    });
    pairs.collect()
}

#[test]
fn every_letter_of_the_delivery_is_in_a_row_and_every_row_is_a_letter() {
    let (source, letters) = letters();
    assert!(letters.len() > 12, "{letters:?}");
    let rows: BTreeSet<(String, String)> = ACTIONS
        .iter()
        .flat_map(|action| action.own)
        .chain(OF_ANY)
        .map(|(code, actor)| ((*code).to_owned(), format!("{actor:?}")))
        .collect();
    let missing: Vec<_> = letters.difference(&rows).collect();
    assert!(missing.is_empty(), "in no row of operate::actions, or with another actor: {missing:?}");
    for (code, actor) in rows.difference(&letters) {
        assert!(source.contains(&format!("\"{code}\"")), "no letter is written with {code} ({actor})");
    }
}
