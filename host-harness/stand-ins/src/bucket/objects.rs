//! The files of a store, in memory and in folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Millis;

/// A file that is held in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub bytes: Bytes,
    /// `Content-Type`; `binary/octet-stream` where none was set.
    pub content_type: Option<String>,
    /// `Content-Encoding`, as whoever wrote the file set it.
    pub content_encoding: Option<String>,
}

impl File {
    /// A file without headers of its own.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), content_type: None, content_encoding: None }
    }
}

/// One change of the files in memory; also the body of `POST /_control/objects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FileChange {
    /// A text, in place of what the key held.
    PutText {
        /// Without a slash at its head.
        key: String,
        /// UTF-8.
        text: String,
    },
    /// Bytes, in place of what the key held.
    PutBase64 {
        /// Without a slash at its head.
        key: String,
        /// With padding.
        base64: String,
    },
    /// No file of this key any more.
    Remove {
        /// Without a slash at its head.
        key: String,
    },
}

impl FileChange {
    /// Bytes, in place of what the key held.
    pub fn put(key: &str, bytes: &[u8]) -> Self {
        Self::PutBase64 { key: key.to_owned(), base64: STANDARD.encode(bytes) }
    }

    pub(super) fn apply(&self, objects: &mut Objects, at: Millis) -> Result<(), String> {
        match self {
            Self::PutText { key, text } => objects.put(key, File::new(text.clone().into_bytes()), at),
            Self::PutBase64 { key, base64 } => {
                let bytes = STANDARD.decode(base64).map_err(|e| e.to_string())?;
                objects.put(key, File::new(bytes), at);
            }
            Self::Remove { key } => {
                if !objects.remove(key) {
                    return Err(format!("no file in memory has the key {key:?}"));
                }
            }
        }
        Ok(())
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) size: u64,
    pub(super) modified: Millis,
    /// Of the content where it is in memory, of size and time where it is in a folder. Vendors
    /// say that it is opaque.
    pub(super) digest: String,
}

/// Where the bytes of a file are.
pub(super) enum Content {
    Memory(File),
    Folder(Arc<fs::File>),
}

struct Held {
    file: File,
    meta: Meta,
}

#[derive(Default)]
pub(super) struct Objects {
    memory: BTreeMap<String, Held>,
    folders: Vec<(String, PathBuf)>,
}

impl Objects {
    pub(super) fn put(&mut self, key: &str, file: File, at: Millis) {
        let size = file.bytes.len() as u64;
        let meta = Meta { size, modified: at, digest: digest(&[&file.bytes]) };
        self.memory.insert(key.to_owned(), Held { file, meta });
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.memory.remove(key).is_some()
    }

    pub(super) fn add_folder(&mut self, prefix: &str, folder: PathBuf) {
        self.folders.push((prefix.to_owned(), folder));
    }

    /// Files whose key begins with `prefix`, in the order of the bytes of their keys.
    pub(super) fn all(&self, prefix: &str) -> BTreeMap<String, Meta> {
        let mut all = BTreeMap::new();
        for (before, folder) in &self.folders {
            walk(folder, before, prefix, &mut all);
        }
        let held = self.memory.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        all.extend(held.map(|(key, held)| (key.clone(), held.meta.clone())));
        all
    }

    pub(super) fn open(&self, key: &str) -> Option<(Meta, Content)> {
        if let Some(held) = self.memory.get(key) {
            return Some((held.meta.clone(), Content::Memory(held.file.clone())));
        }
        self.folders.iter().find_map(|(before, folder)| {
            let rest = Path::new(key.strip_prefix(before.as_str())?);
            // No way out of the folder, and one name for one file.
            let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
            let file = fs::File::open(folder.join(rest)).ok().filter(|_| plain)?;
            let known = file.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((meta(&known), Content::Folder(Arc::new(file))))
        })
    }
}

fn walk(folder: &Path, before: &str, prefix: &str, all: &mut BTreeMap<String, Meta>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // A name that is no text can't be a key.
        let (Ok(name), Ok(known)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
        let key = format!("{before}{name}");
        if known.is_dir() {
            let below = format!("{key}/");
            if below.starts_with(prefix) || prefix.starts_with(&below) {
                walk(&entry.path(), &below, prefix, all);
            }
        } else if known.is_file() && key.starts_with(prefix) {
            all.insert(key, meta(&known));
        }
    }
}

fn meta(known: &fs::Metadata) -> Meta {
    let modified =
        known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let digest = digest(&[&known.len().to_be_bytes(), &modified.as_nanos().to_be_bytes()]);
    Meta { size: known.len(), modified: modified.as_millis() as Millis, digest }
}

/// 32 hexadecimal digits.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hex(&hash.finalize()[..16])
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
