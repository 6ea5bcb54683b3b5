//! What is wrong with a configuration file, said so that a person can fix it.

use std::fmt;
use std::path::PathBuf;

/// A place in the file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One thing that is wrong. Never repeats a value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable, `lower-kebab-case`.
    pub code: &'static str,
    /// Where; nothing where the file as a whole is meant.
    pub place: Option<Place>,
    /// Path into the file such as `tenants[0].brevo.plan`.
    pub path: String,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do, one sentence.
    pub remedy: String,
}

/// Every problem of one file, in the order of the file. Whoever keeps the file must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for problem in &self.problems {
            write!(f, "{file}")?;
            if let Some(place) = problem.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {}", problem.code)?;
            if !problem.path.is_empty() {
                write!(f, " at {}", problem.path)?;
            }
            writeln!(f, "\n  {}\n  -> {}", problem.message, problem.remedy)?;
        }
        let count = self.problems.len();
        write!(f, "{count} problem{} in {file}", if count == 1 { "" } else { "s" })
    }
}

/// Collects problems while a file is read.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(
        &mut self,
        code: &'static str,
        place: Place,
        path: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem {
            code,
            place: Some(place),
            path: path.to_owned(),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the file.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.place);
        self.0
    }
}

/// A name as it may be shown: short and without control characters.
pub(super) fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    if name.chars().nth(64).is_some() {
        text.push_str("...");
    }
    text
}

/// ` Did you mean ...?` where one of the known names is close.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
