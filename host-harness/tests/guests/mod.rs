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

/// Bytes of one guest, by the name of its folder.
pub fn component(name: &str) -> Vec<u8> {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    let release = RELEASE.get_or_init(|| {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        wasm::build(&folder(), &[], &target).unwrap_or_else(|reason| panic!("{reason}"))
    });
    let file = release.join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Names of all guests: the folders there, without the pieces that they share.
#[allow(dead_code)] // not every test binary asks
pub fn all() -> BTreeSet<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "kit")
        .collect()
}
