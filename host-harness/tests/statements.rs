//! How statements for the store are written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

/// Words that begin a statement, or a part that is joined to one.
const WORDS: [&str; 12] = [
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE ",
    "PRAGMA ",
    "ATTACH ",
    "VACUUM",
    " WHERE ",
    "ORDER BY ",
    " JOIN ",
    " AND ",
    "EXISTS ",
];

/// What may stand in the braces of such a text: names of constants, and these, which are made of
/// constants or of numbers. Everything else is bound.
const MADE_OF_CONSTANTS: [(&str, &str); 14] = [
    ("sql", "a literal above it"),
    ("condition", "one of two literals"),
    ("lane", "one of two literals"),
    ("ours", "numbers of rows, joined by commas"),
    ("free", "a literal of another module"),
    ("pauses::free()", "a literal of another module"),
    ("pauses::waits_for()", "a literal of another module"),
    ("ready()", "a literal and one of another module"),
    ("table", "a literal of the list above it"),
    ("column", "a literal of the list above it"),
    ("which", "a literal of the list above it"),
    ("look", "a constant of the same file"),
    ("of", "a literal above it"),
    ("names", "names of actions, which are constants"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Each `format!(...)` of a source, from its first quote to its last bracket.
fn formatted(source: &str) -> impl Iterator<Item = &str> {
    source.match_indices("format!(").map(|(at, word)| {
        let rest = &source[at + word.len()..];
        let (mut depth, mut quoted, mut escaped) = (1, false, false);
        let end = rest.bytes().position(|byte| {
            match byte {
                _ if std::mem::take(&mut escaped) => {}
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'(' if !quoted => depth += 1,
                b')' if !quoted => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn is_constant(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or(name);
    !last.is_empty() && last.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// What a source puts into statements that is neither a constant nor known.
fn suspicious(source: &str) -> Vec<String> {
    let tests = source.find("#[cfg(test)]").unwrap_or(source.len());
    let mut found = Vec::new();
    for text in formatted(&source[..tests]) {
        let Some(begin) = text.find('"') else { continue };
        let Some(end) = text[begin + 1..].find("\",").map(|at| begin + 1 + at).or_else(|| text.rfind('"'))
        else {
            continue;
        };
        let literal = &text[begin..=end];
        if !WORDS.iter().any(|word| literal.contains(word))
            || literal.contains("{{") && !literal.contains(" FROM ")
        {
            continue;
        }
        // Braces of the text itself are doubled.
        let plain = literal.replace("{{", "").replace("}}", "");
        let named = plain.split('{').skip(1).filter_map(|part| part.split('}').next());
        let after = text[end..].trim_start_matches(['"', ',']).trim();
        for name in named.map(|name| name.split(':').next().unwrap_or(name)) {
            let name = if name.is_empty() { after } else { name };
            if !is_constant(name) && !MADE_OF_CONSTANTS.iter().any(|(known, _)| *known == name) {
                found.push(format!("{name} in {literal}"));
            }
        }
    }
    found
}

#[test]
fn s24_no_statement_is_made_of_data() {
    let mut files = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in
        ["store", "people", "operate", "delivery", "pipeline", "host", "cli", "intake", "bench", "demo"]
    {
        let path = src.join(folder);
        if path.is_dir() {
            sources(&path, &mut files);
        }
    }
    let (mut statements, mut found) = (0, Vec::new());
    for file in files.iter().filter(|file| !file.components().any(|part| part.as_os_str() == "tests")) {
        let source = std::fs::read_to_string(file).unwrap();
        statements += formatted(&source).filter(|text| text.contains("SELECT ")).count();
        found.extend(suspicious(&source).into_iter().map(|what| format!("{}: {what}", file.display())));
    }
    assert!(statements > 10, "{statements} statements are found where they are written");
    assert!(found.is_empty(), "bind these instead:\n{}", found.join("\n"));
}

#[test]
fn s24_a_statement_that_is_made_of_data_is_found() {
    let planted = [
        r#"let a = format!("SELECT x FROM y WHERE name = '{name}'");"#,
        r#"let a = format!("SELECT x FROM y WHERE name = '{}'", letter.name);"#,
        r#"tx.execute(&format!("DELETE FROM y WHERE code = {code}"), [])"#,
        r#"let a = format!("{} AND tenant = '{tenant}'", COLUMNS);"#,
    ];
    for source in planted {
        assert_eq!(suspicious(source).len(), 1, "{source}: {:?}", suspicious(source));
    }
    assert!(suspicious(r#"format!("SELECT {COLUMNS} FROM list WHERE id = ?1")"#).is_empty());
    assert!(suspicious(r#"format!("SELECT {} FROM action", Action::COLUMNS)"#).is_empty());
}
