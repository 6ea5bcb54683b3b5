//! Reading a block of keys with types: each key once, the rest refused.

use super::problem::{Place, Problems, shown, suggestion};
use super::yaml::{self, Entry, Node, Value, join};

/// A mapping that is being read. Ends with [`Block::finish`].
pub(super) struct Block<'a> {
    entries: &'a [Entry],
    pub(super) path: String,
    pub(super) place: Place,
    known: Vec<&'static str>,
}

/// A value, its path, and where it stands.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Block<'a> {
    pub(super) fn open(field: &Field<'a>, problems: &mut Problems) -> Option<Self> {
        match &field.node.value {
            Value::Map(entries) => {
                Some(Self { entries, path: field.path.clone(), place: field.node.place, known: Vec::new() })
            }
            _ => {
                field.wrong("a block of keys", "indent the keys of the block under it", problems);
                None
            }
        }
    }

    /// The value of a key; a key without a value counts as absent.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if matches!(entry.value.value, Value::Null) {
            return None;
        }
        Some(Field { node: &entry.value, path: join(&self.path, key) })
    }

    /// The value of a key that must be there.
    pub(super) fn need(
        &mut self,
        key: &'static str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            let place =
                self.entries.iter().find(|entry| entry.key == key).map_or(self.place, |entry| entry.place);
            let path = join(&self.path, key);
            problems.add(
                "missing-key",
                place,
                &path,
                format!("`{key}` is missing"),
                format!("add `{key}: {example}`"),
            );
        }
        field
    }

    /// Keys and values in the order of the file, for blocks with names of their own.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a Entry, Field<'a>)> + use<'a, '_> {
        self.entries
            .iter()
            .map(|entry| (entry, Field { node: &entry.value, path: join(&self.path, &entry.key) }))
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self, problems: &mut Problems) {
        for entry in self.entries {
            // An empty key was reported when it was read.
            if entry.key.is_empty() || self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let remedy = match suggestion(&entry.key, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            let path = join(&self.path, &entry.key);
            problems.add(
                "unknown-key",
                entry.place,
                &path,
                format!("`{}` is not a key of this block", shown(&entry.key)),
                remedy,
            );
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn wrong(&self, wanted: &str, remedy: &str, problems: &mut Problems) {
        if matches!(self.node.value, Value::Broken) {
            return;
        }
        let found = self.node.value.kind();
        problems.add(
            "wrong-type",
            self.node.place,
            &self.path,
            format!("expected {wanted}, found {found}"),
            remedy,
        );
    }

    /// Refuses a well-typed value.
    pub(super) fn refuse(
        &self,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
        problems: &mut Problems,
    ) {
        problems.add(code, self.node.place, &self.path, message, remedy);
    }

    /// Text without `${...}`.
    pub(super) fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) if text.contains("${") => {
                self.refuse(
                    "substitution-not-here",
                    "only secrets are substituted",
                    "write the value itself",
                    problems,
                );
                None
            }
            Value::Text(text) => Some(text),
            _ => {
                self.wrong("text", "put the value in double quotes", problems);
                None
            }
        }
    }

    pub(super) fn bool(&self, problems: &mut Problems) -> Option<bool> {
        match &self.node.value {
            Value::Bool(flag) => Some(*flag),
            _ => {
                self.wrong("true or false", "write true or false, without quotes", problems);
                None
            }
        }
    }

    pub(super) fn number(&self, problems: &mut Problems) -> Option<f64> {
        if let Value::Number(text) = &self.node.value
            && let Some(number) = yaml::number(text).and_then(|number| number.as_f64())
        {
            return Some(number);
        }
        self.wrong("a decimal number", "write it in digits, without quotes", problems);
        None
    }

    /// One word of a closed set.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.text(problems)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let remedy = match suggestion(text, all.iter().copied()) {
            Some(known) => format!("did you mean `{known}`? One of: {}", all.join(", ")),
            None => format!("write one of: {}", all.join(", ")),
        };
        self.refuse("unknown-value", format!("`{}` is not known here", shown(text)), remedy, problems);
        None
    }

    /// A name by which something is known for good.
    pub(super) fn name(&self, problems: &mut Problems) -> Option<&'a str> {
        let text = self.text(problems)?;
        if is_name(text) {
            return Some(text);
        }
        self.refuse(
            "bad-name",
            format!("`{}` is not a name", shown(text)),
            "use 1 to 64 of a-z, 0-9 and -",
            problems,
        );
        None
    }
}

/// `[a-z0-9-]{1,64}`
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
