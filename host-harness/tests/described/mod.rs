//! Descriptions of vendors' APIs, what is held against them, and a proxy that writes down what passes
//! between MoEngage and the host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

pub mod brevo;
pub mod deviations;
pub mod proxy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use stand_ins::journal::Exchange;

/// The description in `docs/`.
pub fn ours() -> PathBuf {
    root().join("docs/moengage-openapi.yaml")
}

use brevo::checker::program;
pub use brevo::checker::root;

/// Runs the checker and reads its lines.
fn run(arguments: &[&str], input: &str) -> Vec<Value> {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // It may end before it has read everything; its exit status says so.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Calls and webhooks of a description.
pub fn operations(file: &Path) -> Vec<Value> {
    run(&["operations", file.to_str().unwrap()], "")
}

/// How the calls that both describe differ.
pub fn compare(ours: &Path, theirs: &Path) -> Vec<Value> {
    run(&["compare", ours.to_str().unwrap(), theirs.to_str().unwrap()], "")
}

/// An exchange for the checker.
pub enum Seen<'a> {
    Call(&'a Exchange),
    /// The request is wrong on purpose.
    Refused(&'a Exchange),
    Webhook(&'a str, &'a Exchange),
}

/// What of these exchanges is not as described. Strictly: an answer may hold nothing that the
/// description does not name.
pub fn check<'a>(file: &Path, seen: impl IntoIterator<Item = Seen<'a>>) -> Vec<Value> {
    let mut lines = String::new();
    for seen in seen {
        let (exchange, more) = match seen {
            Seen::Call(exchange) => (exchange, json!({})),
            Seen::Refused(exchange) => (exchange, json!({"answer_only": true})),
            Seen::Webhook(name, exchange) => (exchange, json!({"webhook": name})),
        };
        let mut line = serde_json::to_value(exchange).unwrap();
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    let mut found = run(&["check", "--strict", file.to_str().unwrap()], &lines);
    // The same fault of many exchanges is one.
    let key = |one: &Value| (one["call"].to_string(), one["rule"].to_string(), one["at"].to_string());
    found.sort_by_key(key);
    found.dedup_by_key(|one| key(one));
    found
}

/// MoEngage's own OpenAPI files, where the environment says that they are at hand.
pub fn theirs() -> Option<Vec<PathBuf>> {
    let folder = std::env::var_os("MOENGAGE_OPENAPI").filter(|folder| !folder.is_empty())?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("MOENGAGE_OPENAPI: {}: {e}", Path::new(&folder).display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("moengage-") && name.ends_with("-openapi.yml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "MOENGAGE_OPENAPI names a folder without moengage-*-openapi.yml");
    Some(files)
}
