//! ```text
//! openapi-check operations FILE          the calls and webhooks of a description, as JSON lines
//! openapi-check check [--strict] FILE    exchanges on stdin; every violation, as JSON lines
//! openapi-check each FILE                exchanges on stdin; for each line at once a line, its violations
//! openapi-check compare OURS THEIRS      where the calls that both describe differ, as JSON lines
//! ```
//!
//! `each` goes on until its input ends: for tests that ask while they run. With `--strict` an answer
//! may hold nothing that the description does not name, neither members nor headers. It ends with 0
//! where there is nothing to report (`each` always), 1 where something was printed, and 2 where a
//! file or a line can't be read.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use openapi_check::check::Checker;
use openapi_check::compare::compare;
use openapi_check::document::Document;
use openapi_check::exchange::Exchange;
use serde::Serialize;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["operations", file] => {
            Document::load(file).and_then(|document| printed(document.listing())).map(|_| false)
        }
        ["check", "--strict", file] => check(file, true),
        ["check", file] => check(file, false),
        ["each", file] => each(file),
        ["compare", ours, theirs] => Document::load(ours)
            .and_then(|ours| Ok((ours, Document::load(theirs)?)))
            .and_then(|(ours, theirs)| printed(compare(&ours, &theirs))),
        _ => Err(
            "usage: openapi-check operations FILE | check [--strict] FILE | each FILE | compare OURS THEIRS"
                .to_owned(),
        ),
    };
    match done {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(message) => {
            eprintln!("openapi-check: {message}");
            ExitCode::from(2)
        }
    }
}

fn check(file: &str, strict: bool) -> Result<bool, String> {
    let document = Document::load(file)?;
    let checker = Checker::new(&document, strict);
    let mut all = Vec::new();
    for exchange in exchanges() {
        all.extend(checker.check(&exchange?)?);
    }
    printed(all)
}

/// What was found is said line by line, and is no end of it.
fn each(file: &str) -> Result<bool, String> {
    let document = Document::load(file)?;
    let checker = Checker::new(&document, false);
    for exchange in exchanges() {
        printed([checker.check(&exchange?)?])?;
    }
    Ok(false)
}

fn exchanges() -> impl Iterator<Item = Result<Exchange, String>> {
    std::io::stdin().lock().lines().enumerate().map(|(number, line)| {
        let line = line.map_err(|e| e.to_string())?;
        serde_json::from_str(&line).map_err(|e| format!("line {}: {e}", number + 1))
    })
}

/// Prints each on a line; whether there was any.
fn printed<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<bool, String> {
    let mut out = std::io::stdout().lock();
    let mut any = false;
    for row in rows {
        any = true;
        let line = serde_json::to_string(&row).map_err(|e| e.to_string())?;
        writeln!(out, "{line}").map_err(|e| e.to_string())?;
    }
    Ok(any)
}
