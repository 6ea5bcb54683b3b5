//! The connectors under `tests/plugins`, built once for each test binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../build/wasm.rs"]
mod wasm;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/plugins")
}

/// Bytes of one guest, by the name of its folder or text file.
pub fn component(name: &str) -> Vec<u8> {
    let text = folder().join(format!("{name}.wat"));
    if text.exists() {
        return beside_calm(&std::fs::read_to_string(text).unwrap());
    }
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    let release = RELEASE.get_or_init(|| {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        wasm::build(&folder(), &[], &target).unwrap_or_else(|reason| panic!("{reason}"))
    });
    let file = release.join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The calm guest with one more component in it, given as text, that is made whenever the guest is.
pub fn beside_calm(text: &str) -> Vec<u8> {
    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![id];
        bytes.extend(leb128(content.len()));
        bytes.extend(content);
        bytes
    }
    let mut calm = component("calm");
    // Both are sequences of sections, so that more of them can follow. Components count from zero.
    let mut depth = 0;
    let mut components = 0;
    for payload in wasmparser::Parser::new(0).parse_all(&calm) {
        match payload.unwrap() {
            wasmparser::Payload::ModuleSection { .. } => depth += 1,
            wasmparser::Payload::ComponentSection { .. } => {
                components += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::End(_) if depth > 0 => depth -= 1,
            _ => {}
        }
    }
    let one_without_arguments = [vec![1, 0], leb128(components), vec![0]].concat();
    calm.extend(section(4, &wat::parse_str(text).unwrap()));
    calm.extend(section(5, &one_without_arguments));
    calm
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Names of all guests: the folders and text files there, without the pieces that they share.
#[allow(dead_code)] // not every test binary asks
pub fn all() -> BTreeSet<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| {
            path.join("Cargo.toml").exists() || path.extension().is_some_and(|extension| extension == "wat")
        })
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "kit")
        .collect()
}
