//! The checker under `tests/openapi-check`: built once for each test binary, and asked while the
//! tests run. Included by the tests of this folder and by the library's own.

#[path = "../../build/wasm.rs"]
#[allow(dead_code)] // of the build, only the clean environment is used here
mod wasm;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // target/<profile>/deps/<this test>
        let this = std::env::current_exe().unwrap();
        let target = this.ancestors().nth(3).unwrap().join("openapi-check");
        let root = root().join("tests/openapi-check");
        let mut cargo = wasm::clean(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), &root);
        cargo.args(["build", "--locked", "--target-dir"]).arg(&target);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join("debug/openapi-check")
    })
}

/// One that runs as long as the test's process: it ends with its input.
struct Running {
    child: Child,
    found: BufReader<ChildStdout>,
}

/// What of an exchange is not as a description says.
pub fn found(file: &Path, exchange: &Value) -> Vec<Value> {
    static RUNNING: OnceLock<Mutex<HashMap<PathBuf, Running>>> = OnceLock::new();
    let mut all = RUNNING.get_or_init(Mutex::default).lock().unwrap_or_else(|e| e.into_inner());
    let running = all.entry(file.to_owned()).or_insert_with(|| {
        let mut child = Command::new(program())
            .arg("each")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let found = BufReader::new(child.stdout.take().unwrap());
        Running { child, found }
    });
    writeln!(running.child.stdin.as_mut().unwrap(), "{exchange}").unwrap();
    let mut line = String::new();
    running.found.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
