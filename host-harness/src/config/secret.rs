//! Secrets: named in the file, held in memory only.
//!
//! `"${NAME}"` is read from the environment, `"${file:/path}"` from a file (relative to the
//! configuration), `"${sealed:NAME}"` from the host's file of sealed secrets ([`crate::sealed`]).
//! `NAME_PREVIOUS`, or `/path.previous`, or the previous value of a sealed secret, is a second live
//! value during a rotation: it is accepted inward and never sent outward.
//!
//! A slot remembers where it came from, so that a running host can read it again
//! ([`crate::secrets::LiveSecrets`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::sealed::{Key, Vault, is_name};

/// Largest secret, in bytes.
const CAP: u64 = 64 * 1024;

/// A secret with its two live values. Never shown, never stored, wiped when dropped.
#[derive(Clone)]
pub struct Slot {
    /// Used outward, accepted inward.
    pub current: SecretString,
    /// Accepted inward as well, while a secret is being changed.
    pub previous: Option<SecretString>,
    /// Where both come from.
    pub source: Source,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Was handed over; there is nothing to read again.
    Given,
    /// A variable of this process. Nobody outside can change it while the process runs.
    Variable(String),
    /// A file, and its neighbour `.previous`. Either may change at any time.
    File(PathBuf),
    /// An entry of the file of sealed secrets, which may change at any time, as may its key.
    Sealed(Box<SealedFile>, String),
}

/// The host's file of sealed secrets, and where its key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// The file.
    pub file: PathBuf,
    /// Where its key comes from; the previous one still opens what was sealed under it.
    pub key: Source,
}

impl SealedFile {
    /// The keys that there are, the current one first.
    ///
    /// # Errors
    /// There is none, or it is no key. The operator must act.
    pub fn keys(&self, environment: &Environment) -> Result<Vec<Key>, Refusal> {
        let slot = match &self.key {
            Source::Variable(name) => variable(name, environment)?,
            Source::File(path) => file(path)?,
            Source::Given | Source::Sealed(..) => Err(no_key())?,
        };
        [Some(&slot.current), slot.previous.as_ref()].into_iter().flatten().map(Key::parse).collect()
    }

    fn slot(&self, name: &str, environment: &Environment) -> Result<Slot, Refusal> {
        let keys = self.keys(environment)?;
        let (vault, key) = Vault::read(&self.file, &keys)?;
        let mut values = vault.open(key, name)?.into_iter().map(|value| checked(name, value));
        let current = values.next().transpose()?.ok_or_else(no_key)?;
        let previous = values.next().transpose()?;
        let source = match environment {
            Environment::Process => Source::Sealed(Box::new(self.clone()), name.to_owned()),
            Environment::Given(_) if matches!(self.key, Source::Variable(_)) => Source::Given,
            Environment::Given(_) => Source::Sealed(Box::new(self.clone()), name.to_owned()),
        };
        Ok(Slot { current, previous, source })
    }
}

fn no_key() -> Refusal {
    refusal(
        "no-secrets-key",
        "nothing says where the key of the sealed secrets is",
        "set `host.secrets_key` to `\"${file:/path}\"` or to a variable",
    )
}

/// How the files of a secret looked when they were read: by this a change is seen without reading
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([Option<[i64; 6]>; 2]);

impl Source {
    /// How the files look now; nothing where there are none.
    pub fn stamp(&self) -> Option<Stamp> {
        let [first, second] = match self {
            Self::File(path) => [Some(path.clone()), Some(previous(path))],
            Self::Sealed(sealed, _) => {
                let key = match &sealed.key {
                    Self::File(path) => Some(path.clone()),
                    _ => None,
                };
                [Some(sealed.file.clone()), key]
            }
            Self::Given | Self::Variable(_) => return None,
        };
        let of = |path: &Path| {
            let seen = std::fs::metadata(path).ok()?;
            // A file that is moved into place may be older than the one before.
            let number = seen.ino() as i64;
            let (modified, changed) = ((seen.mtime(), seen.mtime_nsec()), (seen.ctime(), seen.ctime_nsec()));
            Some([number, seen.len() as i64, modified.0, modified.1, changed.0, changed.1])
        };
        Some(Stamp([first, second].map(|path| of(&path?))))
    }

    /// Reads both values again.
    ///
    /// # Errors
    /// What was read at first can't be read now, or is no secret: the operator must act.
    pub fn read(&self) -> Result<Option<Slot>, Refusal> {
        match self {
            Self::Given => Ok(None),
            Self::Variable(name) => variable(name, &Environment::Process).map(Some),
            Self::File(path) => file(path).map(Some),
            Self::Sealed(sealed, name) => sealed.slot(name, &Environment::Process).map(Some),
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot([REDACTED])")
    }
}

impl Slot {
    /// Whether both have the same current value.
    pub fn same(&self, other: &Self) -> bool {
        equal(&self.current, &other.current)
    }

    /// Whether both have the same live values.
    pub fn same_values(&self, other: &Self) -> bool {
        let previous = match (&self.previous, &other.previous) {
            (None, None) => true,
            (Some(one), Some(other)) => equal(one, other),
            _ => false,
        };
        previous && self.same(other)
    }
}

fn equal(one: &SecretString, other: &SecretString) -> bool {
    use subtle::ConstantTimeEq;
    one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
}

/// Where `"${NAME}"` is looked up.
pub enum Environment {
    /// The process's own.
    Process,
    /// Given; for tests and the demo.
    Given(BTreeMap<String, SecretString>),
}

/// Why a secret can't be had. Names the source, never the value. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do, one sentence.
    pub remedy: String,
}

fn refusal(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into(), remedy: remedy.into() }
}

/// What stands between `${` and `}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Variable(&'a str),
    File(&'a str),
    Sealed(&'a str),
}

/// Reads `${...}`. `Ok(None)` where the text holds no substitution at all.
pub(super) fn reference(text: &str) -> Result<Option<Reference<'_>>, Refusal> {
    if !text.contains("${") {
        return Ok(None);
    }
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner.filter(|inner| !inner.contains(['$', '{', '}'])) else {
        return Err(refusal(
            "substitution-inside-text",
            "a `${...}` stands inside a longer text",
            "let the value be `\"${NAME}\"` and nothing else, and put the whole text into the variable",
        ));
    };
    if let Some(path) = inner.strip_prefix("file:") {
        if path.is_empty() || path.contains('\0') {
            return Err(refusal(
                "bad-secret-path",
                "the path of the file is missing",
                "write `\"${file:/path}\"`",
            ));
        }
        return Ok(Some(Reference::File(path)));
    }
    if let Some(name) = inner.strip_prefix("sealed:") {
        if !is_name(name) {
            return Err(refusal(
                "bad-sealed-name",
                "the name after `sealed:` is not the name of a sealed secret",
                "use upper case letters, digits and underscores, for instance `\"${sealed:BREVO_API_KEY}\"`",
            ));
        }
        return Ok(Some(Reference::Sealed(name)));
    }
    if is_name(inner) {
        return Ok(Some(Reference::Variable(inner)));
    }
    Err(refusal(
        "bad-variable-name",
        "the name between `${` and `}` is not a variable's name",
        "use upper case letters, digits and underscores, for instance `\"${BREVO_API_KEY}\"`",
    ))
}

/// Reads both live values. Without an environment nothing is looked up: the slot is empty, and knows where
/// its values come from.
pub(super) fn resolve(
    reference: &Reference<'_>,
    environment: Option<&Environment>,
    directory: &Path,
    sealed: Option<&SealedFile>,
) -> Result<Slot, Refusal> {
    let given = sealed;
    let sealed = || {
        sealed.ok_or_else(|| {
            refusal(
                "no-sealed-file",
                "this host has no file of sealed secrets",
                "set `host.secrets` to its path and `host.secrets_key` to where its key is",
            )
        })
    };
    if matches!(reference, Reference::Sealed(_)) {
        sealed()?;
    }
    let Some(environment) = environment else {
        let source = source(reference, directory, given).unwrap_or(Source::Given);
        return Ok(Slot { current: SecretString::default(), previous: None, source });
    };
    match reference {
        Reference::Variable(name) => variable(name, environment),
        Reference::File(path) => file(&directory.join(path)),
        Reference::Sealed(name) => sealed()?.slot(name, environment),
    }
}

/// Where a reference points to, without looking.
pub(super) fn source(
    reference: &Reference<'_>,
    directory: &Path,
    sealed: Option<&SealedFile>,
) -> Option<Source> {
    match reference {
        Reference::Variable(name) => Some(Source::Variable((*name).to_owned())),
        Reference::File(path) => Some(Source::File(directory.join(path))),
        Reference::Sealed(name) => Some(Source::Sealed(Box::new(sealed?.clone()), (*name).to_owned())),
    }
}

fn variable(name: &str, environment: &Environment) -> Result<Slot, Refusal> {
    let current = environment.get(name)?.ok_or_else(|| {
        refusal(
            "missing-secret",
            format!("the variable {name} is not set"),
            format!("set {name} in the environment of the host, or use `\"${{file:/path}}\"` or `\"${{sealed:NAME}}\"`"),
        )
    })?;
    let previous = environment.get(&format!("{name}_PREVIOUS"))?;
    let source = match environment {
        Environment::Process => Source::Variable(name.to_owned()),
        Environment::Given(_) => Source::Given,
    };
    Ok(Slot { current, previous, source })
}

fn file(path: &Path) -> Result<Slot, Refusal> {
    let current = read(path)?.ok_or_else(|| {
        refusal(
            "missing-secret",
            format!("the file {} does not exist", path.display()),
            "create it, readable by the host alone",
        )
    })?;
    Ok(Slot { current, previous: read(&previous(path))?, source: Source::File(path.to_owned()) })
}

/// Where a file's second value lies.
pub(crate) fn previous(path: &Path) -> PathBuf {
    let mut second = path.as_os_str().to_owned();
    second.push(".previous");
    PathBuf::from(second)
}

impl Environment {
    fn get(&self, name: &str) -> Result<Option<SecretString>, Refusal> {
        let value = match self {
            Self::Given(values) => values.get(name).cloned(),
            Self::Process => match std::env::var(name) {
                Ok(value) => Some(SecretString::from(value)),
                Err(std::env::VarError::NotPresent) => None,
                Err(std::env::VarError::NotUnicode(_)) => return Err(unusable(name)),
            },
        };
        value.map(|value| checked(name, value)).transpose()
    }
}

fn unusable(source: &str) -> Refusal {
    refusal(
        "unusable-secret",
        format!("{source} holds line breaks, control characters or bytes that are not UTF-8"),
        "set the secret itself, without anything around it",
    )
}

/// Whether a value can be a secret at all: not empty, and without what would break a header.
pub(crate) fn checked(source: &str, value: SecretString) -> Result<SecretString, Refusal> {
    let text = value.expose_secret();
    if text.trim().is_empty() {
        return Err(refusal("empty-secret", format!("{source} is empty"), "set the secret"));
    }
    // It becomes part of a header; a line break there would forge another one.
    if text.chars().any(char::is_control) {
        return Err(unusable(source));
    }
    Ok(value)
}

fn read(path: &Path) -> Result<Option<SecretString>, Refusal> {
    let Some(mut bytes) = private_file(path, CAP)? else { return Ok(None) };
    let source = path.display().to_string();
    let value = std::str::from_utf8(&bytes).map(|text| {
        let line = text.strip_suffix('\n').unwrap_or(text);
        SecretString::from(line.strip_suffix('\r').unwrap_or(line))
    });
    let value = value.map_err(|_| unusable(&source));
    bytes.zeroize();
    checked(&source, value?).map(Some)
}

/// A file that only the host's user may read; none where there is none.
pub(crate) fn private_file(path: &Path, cap: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let source = path.display().to_string();
    let unreadable = |e: std::io::Error| {
        refusal(
            "unreadable-secret",
            format!("{source} can't be read: {}", e.kind()),
            "let the host's user own it with mode 0600",
        )
    };
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > cap {
        return Err(refusal(
            "unreadable-secret",
            format!("{source} is not a file of at most {} KiB", cap / 1024),
            "point to a file that holds secrets and nothing else",
        ));
    }
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(refusal(
            "world-readable-secret",
            format!("{source} is open to every user of this machine"),
            format!("run `chmod 600 {source}`, and change the secret if others use this machine"),
        ));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(cap).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Some(bytes))
}
