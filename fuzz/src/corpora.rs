//! Plays what is kept in `fuzz/corpus`.

use std::path::PathBuf;

/// Name and body of a target.
pub type Target = (&'static str, fn(&[u8]));

/// Plays every input of each target; says which one breaks a promise.
pub fn play(targets: &[Target]) {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("fuzz/corpus").is_dir());
    let corpus = root.expect("fuzz/corpus is above the package").join("fuzz/corpus");
    for (target, body) in targets {
        let folder = std::fs::read_dir(corpus.join(target)).unwrap_or_else(|e| panic!("{target}: {e}"));
        let mut files: Vec<_> = folder.map(|entry| entry.expect("a folder can be read").path()).collect();
        files.sort_unstable();
        assert!(!files.is_empty(), "{target} has no corpus");
        for file in files {
            let input = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            if std::panic::catch_unwind(|| body(&input)).is_err() {
                panic!("{} breaks a promise", file.display());
            }
        }
    }
}
