//! YAML as a tree that knows where everything stands.
//!
//! A strict subset: one document, text keys, each key once; no anchors, aliases, tags or
//! directives, so that a small file can't become a large tree.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, options};

use super::problem::{Place, Problems, shown};

/// Largest depth of a file.
pub(super) const DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What YAML can hold here.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// Already reported; nobody complains again.
    Broken,
    Bool(bool),
    /// As written; see [`number`].
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Value {
    /// For messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null | Self::Broken => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a block of keys",
        }
    }
}

/// Reads the text. A syntax error ends it; everything else is collected and reading goes on.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let options = options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let mut tree = Tree::default();
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                // The parser's sentence may quote the file, which may hold a secret; its place can't.
                problems.add(
                    "yaml-syntax",
                    place(error.marker()),
                    "",
                    "this is not YAML from here on, or it is nested too deeply",
                    "check indentation, quotes and brackets on this line and on the one before it",
                );
                return None;
            }
        };
        let at = place(&span.start);
        if event.tag().is_some() {
            problems.add("yaml-tag", at, &tree.path(), "tags are not used here", "remove the tag");
        }
        if event.anchor_id().is_some() {
            problems.add(
                "yaml-anchor",
                at,
                &tree.path(),
                "anchors are not used here",
                "write the value out where it is needed",
            );
        }
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents == 2 {
                    problems.add(
                        "yaml-documents",
                        at,
                        "",
                        "the file holds more than one document",
                        "keep one document; a second tenant is a second entry of `tenants`",
                    );
                    return tree.root;
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                problems.add(
                    "yaml-alias",
                    at,
                    &tree.path(),
                    "aliases are not used here",
                    "write the value out; text that starts with `*` needs quotes",
                );
                tree.put(Node { place: at, value: Value::Broken }, problems);
            }
            Event::Scalar(text, style, ..) => {
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text.into()) };
                tree.put(Node { place: at, value }, problems);
            }
            Event::SequenceStart(..) => {
                tree.open.push(Open { place: at, shape: Shape::List(Vec::new()) });
            }
            Event::MappingStart(..) => {
                tree.open.push(Open { place: at, shape: Shape::Map(Vec::new(), BTreeMap::new(), None) });
            }
            Event::SequenceEnd | Event::MappingEnd => tree.close(problems),
            _ => {}
        }
    }
    tree.root
}

fn place(mark: &Marker) -> Place {
    Place { line: mark.line().max(1), column: mark.col() + 1 }
}

/// YAML 1.2's core schema. `yes`, `no`, `on` and `off` are text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if looks_numeric(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

fn looks_numeric(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some(hex) = body.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = body.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    body.bytes().any(|b| b.is_ascii_digit())
        && body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && body.parse::<f64>().is_ok()
}

/// The JSON number of a plain scalar, where reading it as a number loses nothing.
pub(super) fn number(text: &str) -> Option<serde_json::Number> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let leading_zero = body.len() > 1 && body.starts_with('0') && !body.starts_with("0.");
    if leading_zero || text.starts_with('+') {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    if !body.contains(['.', 'e', 'E']) {
        return None; // an integer past 64 bits would lose digits
    }
    text.parse::<f64>().ok().filter(|float| float.is_finite()).and_then(serde_json::Number::from_f64)
}

/// A list or a mapping that is still being read.
struct Open {
    place: Place,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    /// Entries, where each key was first set, and the key that waits for its value.
    Map(Vec<Entry>, BTreeMap<String, Place>, Option<(String, Place)>),
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Tree {
    fn close(&mut self, problems: &mut Problems) {
        if let Some(Open { place, shape }) = self.open.pop() {
            let value = match shape {
                Shape::List(list) => Value::List(list),
                Shape::Map(entries, ..) => Value::Map(entries),
            };
            self.put(Node { place, value }, problems);
        }
    }

    fn put(&mut self, node: Node, problems: &mut Problems) {
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut parent.shape {
            Shape::List(list) => list.push(node),
            Shape::Map(entries, seen, key) => match key.take() {
                Some((name, place)) => {
                    if let Some(first) = seen.get(&name) {
                        let message = format!("`{}` is already set on line {}", shown(&name), first.line);
                        let path = join(&self.path(), &name);
                        problems.add("duplicate-key", place, &path, message, "keep one of the two");
                        return;
                    }
                    seen.insert(name.clone(), place);
                    entries.push(Entry { key: name, place, value: node });
                }
                None => {
                    let name = match node.value {
                        // `1: x` and `true: x` are keys by their text.
                        Value::Text(text) | Value::Number(text) => Some(text),
                        Value::Bool(flag) => Some(flag.to_string()),
                        Value::Null | Value::Broken | Value::List(_) | Value::Map(_) => None,
                    };
                    let broken = name.is_none();
                    *key = Some((name.unwrap_or_default(), node.place));
                    if broken {
                        let message = "this key is not text";
                        problems.add(
                            "yaml-key",
                            node.place,
                            &self.path(),
                            message,
                            "write a word as the key",
                        );
                    }
                }
            },
        }
    }

    /// Path of the node that comes next.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.shape {
                Shape::List(list) => path.push_str(&format!("[{}]", list.len())),
                Shape::Map(_, _, Some((key, _))) => path = join(&path, key),
                Shape::Map(_, _, None) => {}
            }
        }
        path
    }
}

/// A path one key further.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
