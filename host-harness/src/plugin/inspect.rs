//! What a component asks for, read from its bytes before anything is compiled.

use std::collections::BTreeSet;

use wasmparser::{ComponentTypeRef, Encoding, FunctionBody, Operator, Parser, Payload, TypeBounds};

use super::LoadError;
use crate::contract;

/// The contract's package.
const PACKAGE: &str = "tajo:connector/";

/// Interfaces of WASI that Rust's standard library imports by itself. They are linked to an empty
/// context; everything else of WASI is refused.
const EMPTY_WASI: [&str; 16] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

const EMPTY_WASI_IO: [&str; 3] = ["wasi:io/error", "wasi:io/poll", "wasi:io/streams"];

/// The contract's interfaces.
const INTERFACES: [&str; 6] = ["http", "log", "objects", "schedule", "storage", "types"];

/// Refuses what is not a component of this contract, what imports more than the world, and what has
/// more than so many bulk instructions in one function.
pub fn check(bytes: &[u8], bulk_instructions: usize) -> Result<(), LoadError> {
    let (imports, most_bulk) = read(bytes)?;
    let versions: BTreeSet<&str> = imports
        .iter()
        .filter_map(|name| name.strip_prefix(PACKAGE)?.split_once('@'))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err(LoadError::NotAConnector("it imports nothing of `tajo:connector`".into()));
    }
    if versions.iter().any(|version| *version != contract::VERSION) {
        let found: Vec<_> = versions.into_iter().collect();
        return Err(LoadError::OtherContract { found: found.join(", ") });
    }
    let foreign: Vec<String> = imports.into_iter().filter(|name| !is_granted(name)).collect();
    if !foreign.is_empty() {
        return Err(LoadError::ForeignImports(foreign));
    }
    if most_bulk > bulk_instructions {
        return Err(LoadError::Uninterruptible(most_bulk));
    }
    Ok(())
}

/// Names of the component's own imports, and the most bulk instructions that a function of it has.
fn read(bytes: &[u8]) -> Result<(Vec<String>, usize), LoadError> {
    let malformed = |e: wasmparser::BinaryReaderError| LoadError::NotAComponent(e.to_string());
    let mut names = Vec::new();
    let mut most_bulk = 0;
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(LoadError::NotAComponent("it is a core module".into()));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::CodeSectionEntry(body) => {
                most_bulk = most_bulk.max(self::bulk_instructions(&body).map_err(malformed)?);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(malformed)?;
                    // The world's `use`: a type that is equal to another one grants nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        names.push(import.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok((names, most_bulk))
}

/// Instructions that touch any amount of memory or table at once. The guest looks at its time at the
/// heads of functions and loops only.
fn bulk_instructions(body: &FunctionBody<'_>) -> wasmparser::Result<usize> {
    let mut found = 0;
    for operator in body.get_operators_reader()? {
        let bulk = matches!(
            operator?,
            Operator::MemoryCopy { .. }
                | Operator::MemoryFill { .. }
                | Operator::MemoryInit { .. }
                | Operator::TableCopy { .. }
                | Operator::TableFill { .. }
                | Operator::TableInit { .. }
        );
        found += usize::from(bulk);
    }
    Ok(found)
}

fn is_granted(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    if let Some(interface) = interface.strip_prefix(PACKAGE) {
        return INTERFACES.contains(&interface); // the version was checked with all others
    }
    (EMPTY_WASI.contains(&interface) || EMPTY_WASI_IO.contains(&interface)) && version.starts_with("0.2.")
}
