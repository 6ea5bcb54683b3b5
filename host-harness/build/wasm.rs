//! Runs `cargo build` for wasm32-wasip2 from inside another cargo run.
//!
//! Included by the build script (the component) and by the tests (the guests under
//! `tests/plugins`), so that both build exactly as plain cargo would at the same place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The one target that connectors are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// Environment that has to reach the inner cargo although its name says cargo or rust.
const KEPT: [&str; 9] = [
    "CARGO_HOME",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR", // CARGO_REGISTRY_*, CARGO_REGISTRIES_*
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "RUSTUP_",
    "RUST_BACKTRACE",
    "RUST_MIN_STACK",
];

/// Builds the component of a package that is also a library, and returns the directory with the
/// `.wasm` file. Asked for both at once, cargo would leave out link-time optimisation.
#[allow(dead_code)] // the build script's half of this file
pub fn component(root: &Path, package: &str, target_dir: &Path) -> Result<PathBuf, String> {
    run(root, &["rustc", "-p", package, "--lib", "--crate-type", "cdylib"], target_dir)
}

/// Builds packages (all of the workspace where none is named), and returns the directory with the
/// `.wasm` files.
#[allow(dead_code)] // the tests' half of this file
pub fn build(root: &Path, packages: &[&str], target_dir: &Path) -> Result<PathBuf, String> {
    let mut arguments = vec!["build"];
    for package in packages {
        arguments.extend(["-p", package]);
    }
    if packages.is_empty() {
        arguments.push("--workspace");
    }
    run(root, &arguments, target_dir)
}

/// Runs cargo in release for the one target. The outer cargo's flags, wrappers, profiles and target
/// directory are kept out, so that the bytes are those of the same command by hand.
fn run(root: &Path, arguments: &[&str], target_dir: &Path) -> Result<PathBuf, String> {
    ensure_target(root)?;
    let mut cargo = clean(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), root);
    cargo.args(arguments).args(["--release", "--locked", "--target", TARGET]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target_dir);
    let output = cargo.output().map_err(|e| format!("cargo could not be started: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{cargo:?}` failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(target_dir.join(TARGET).join("release"))
}

/// Installs the target only if it is missing, because the machine may be offline.
fn ensure_target(root: &Path) -> Result<(), String> {
    if has_target(root)? {
        return Ok(());
    }
    let mut rustup = clean("rustup".into(), root);
    rustup.args(["target", "add", TARGET]);
    let said = match rustup.output() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(e) => format!("rustup could not be started: {e}"),
    };
    if has_target(root)? {
        return Ok(());
    }
    Err(format!(
        "the Rust target {TARGET} is not installed and could not be added:\n{said}\n\
         Run `rustup target add {TARGET}` in {} while online, then build again.",
        root.display()
    ))
}

fn has_target(root: &Path) -> Result<bool, String> {
    let mut rustc = clean("rustc".into(), root);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.output().map_err(|e| format!("rustc could not be started: {e}"))?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success()
        && std::fs::read_dir(libdir).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
            })
        }))
}

/// A command without what the outer cargo put into the environment.
pub fn clean(program: OsString, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let foreign = text.starts_with("CARGO") || text.starts_with("RUST");
        if foreign && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
}
