//! What the host is built from: floors under the versions that keep guests in, and features that must stay
//! compiled. Licences, sources, bans and advisories are held by `.ci/supply-chain`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

/// Major, minor, patch.
type Version = (u64, u64, u64);

/// Below these a guest can do to the host what it must not.
///
/// 48 is the long-term line of wasmtime. 48.0.6 mends the limit of handles (CVE-2026-119134), 48.0.4 a stack overflow
/// (CVE-2026-115384), and 48.0.8 is what everything here was tried with. `wasmtime-wasi` is released with it.
const FLOORS: &[(&str, Version)] =
    &[("wasmtime", (48, 0, 8)), ("wasmtime-wasi", (48, 0, 8)), ("wasmtime-internal-cranelift", (48, 0, 8))];

/// Crates that must not be there at all, and why.
const ABSENT: &[(&str, &str)] = &[
    ("wasmtime-wasi-http", "guests call vendors through the contract's `http` only"),
    ("h2", "only HTTP/1.1 is spoken; row N31 does not apply because of it"),
];

/// Name and version of every package of a lock file.
fn packages(lock: &str) -> Vec<(&str, Version)> {
    let mut found = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("name = ") else { continue };
        let version = lines.next().and_then(|next| next.strip_prefix("version = ")).unwrap_or_default();
        let mut numbers =
            version.trim_matches('"').split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        let mut number = || numbers.next().unwrap_or(0);
        found.push((name.trim_matches('"'), (number(), number(), number())));
    }
    found
}

fn problems(lock: &str) -> Vec<String> {
    let packages = packages(lock);
    let mut problems = Vec::new();
    for (name, floor) in FLOORS {
        let versions: Vec<_> =
            packages.iter().filter(|(known, _)| known == name).map(|(_, version)| *version).collect();
        if versions.is_empty() {
            problems
                .push(format!("{name} is not in the lock file; if it was renamed, its floor has to move"));
        }
        for version in versions.iter().filter(|version| *version < floor) {
            problems.push(format!("{name} {version:?} is below its floor {floor:?}: cargo update -p {name}"));
        }
    }
    for (name, why) in ABSENT.iter().filter(|(name, _)| packages.iter().any(|(known, _)| known == name)) {
        problems.push(format!("{name} came in: {why}"));
    }
    problems
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn s17_nothing_is_below_its_floor_and_nothing_banned_came_in() {
    let lock = read("../Cargo.lock");
    assert!(packages(&lock).len() > 100, "the lock file could not be read");
    assert_eq!(problems(&lock), Vec::<String>::new());
}

#[test]
fn s17_an_older_wasmtime_and_a_banned_crate_are_found() {
    let lock = |version: &str| {
        FLOORS
            .iter()
            .map(|(name, _)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n"))
            .collect::<String>()
    };
    assert_eq!(problems(&lock("48.0.8")), Vec::<String>::new());
    assert_eq!(problems(&lock("48.0.10")), Vec::<String>::new());
    assert_eq!(problems(&lock("48.0.7")).len(), FLOORS.len());
    assert_eq!(problems(&lock("47.9.99")).len(), FLOORS.len());
    assert_eq!(problems("").len(), FLOORS.len());
    let with = lock("48.0.8") + "[[package]]\nname = \"h2\"\nversion = \"0.4.20\"\n";
    assert!(problems(&with).iter().any(|problem| problem.starts_with("h2 came in")));
}

/// Two advisories of wasmtime 48.0.8 abort a host that was built without these features; they stay compiled in and are
/// switched off in the engine's configuration (`src/plugin/engine.rs`).
#[test]
fn s17_the_features_whose_absence_aborts_the_host_stay_compiled_in() {
    let manifest = read("Cargo.toml");
    let line =
        manifest.lines().find(|line| line.starts_with("wasmtime = ")).expect("the host depends on wasmtime");
    for feature in ["\"gc\"", "\"threads\""] {
        assert!(line.contains(feature), "wasmtime lost its feature {feature}");
    }
    let engine = read("src/plugin/engine.rs");
    for switch in ["wasm_gc(false)", "wasm_threads(false)"] {
        assert!(engine.contains(switch), "the engine no longer says {switch}");
    }
}
