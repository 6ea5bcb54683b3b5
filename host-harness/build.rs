//! Builds the connector of this repository, so that the host can embed it.
//!
//! The bytes are those of `cargo rustc --release --target wasm32-wasip2 --lib --crate-type cdylib` at the root.

#![allow(clippy::expect_used, clippy::panic)] // a build script's errors are panics by convention

#[path = "build/wasm.rs"]
mod wasm;

use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let root = here.parent().expect("the host is a folder of the workspace");

    for input in ["src", "wit", "manifest.json", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-changed=build");

    println!("cargo::rustc-env=HARNESS_WASMTIME={}", wasmtime(&root.join("Cargo.lock")));

    let release = match wasm::component(root, "moengage-connector", &out.join("component")) {
        Ok(release) => release,
        Err(reason) => {
            eprintln!("{reason}");
            panic!("the connector could not be built for {}", wasm::TARGET);
        }
    };
    let component = release.join("moengage_connector.wasm");
    println!("cargo::rustc-env=HARNESS_COMPONENT={}", component.display());
    let manifest = root.join("manifest.json");
    println!("cargo::rustc-env=HARNESS_MANIFEST={}", manifest.display());
}

/// The version of wasmtime that is built in; the crate itself doesn't say.
fn wasmtime(lock: &std::path::Path) -> String {
    let lock = std::fs::read_to_string(lock).expect("the workspace has a Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasmtime\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.expect("Cargo.lock names wasmtime").to_owned()
}
