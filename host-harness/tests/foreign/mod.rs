//! The S3 implementation under `tests/foreign-s3`, which this project did not write: built once
//! for each test binary, and run on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../build/wasm.rs"]
#[allow(dead_code)] // of the build, only the clean environment is used here
mod wasm;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/foreign-s3");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("foreign-s3");
        let mut cargo = wasm::clean(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), &root);
        cargo.args(["build", "--locked", "--target-dir"]).arg(&target);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join("debug/foreign-s3")
    })
}

/// A running server of a folder in which each folder is a bucket. Ends with the test.
pub struct ForeignS3 {
    child: Child,
    /// `http://127.0.0.1:port`
    pub url: String,
}

impl ForeignS3 {
    pub fn start(folder: &Path, access_key: &str, secret: &str) -> Self {
        let mut child = Command::new(program())
            .args(["--access-key", access_key, "--folder"])
            .arg(folder)
            .env("FOREIGN_S3_SECRET", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for ForeignS3 {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // it ends with its input
        let _ = self.child.wait();
    }
}
