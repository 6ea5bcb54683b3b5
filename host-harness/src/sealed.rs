//! Secrets sealed at rest: one file, each value encrypted by itself under a key that lies elsewhere.
//!
//! A value is sealed with ChaCha20-Poly1305 under a random nonce, bound to its name, its version, its
//! time and the key, so that entries can't be swapped or moved; the file as a whole is bound to the
//! key as well, so that none can be taken out or put back by hand. What this can't show is that the
//! whole file was exchanged for an older copy of itself.
//!
//! Each secret has its current value and, while it is being changed, the previous one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::config::SecretRefusal as Refusal;
use crate::config::private_file;
use crate::hex;
use crate::world::Millis;

/// The one format that there is.
const FORMAT: u32 = 1;
/// Largest file, in bytes.
const CAP: u64 = 16 * 1024 * 1024;
/// Bytes of a key.
const KEY: usize = 32;

/// What seals and opens. Its id says which key it is and nothing else about it.
pub struct Key {
    id: String,
    cipher: LessSafeKey,
}

impl Key {
    /// A new key as text, for a file or a variable.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Zeroizing<String>, Refusal> {
        let bytes: Zeroizing<[u8; KEY]> = Zeroizing::new(random()?);
        Ok(Zeroizing::new(STANDARD.encode(*bytes)))
    }

    /// Reads a key: 32 bytes in base64.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &SecretString) -> Result<Self, Refusal> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose_secret().trim()).unwrap_or_default());
        let bad = || {
            refusal(
                "bad-secrets-key",
                "the key of the sealed secrets is not 32 bytes in base64".into(),
                "let `harness secrets new-key` make one, or `openssl rand -base64 32`".into(),
            )
        };
        if bytes.len() != KEY {
            return Err(bad());
        }
        let cipher = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| bad())?;
        let digest = Sha256::new().chain_update(b"tajo sealed secrets: key id\0").chain_update(&*bytes);
        Ok(Self { id: hex::encode(&digest.finalize()[..8]), cipher: LessSafeKey::new(cipher) })
    }

    /// Which key this is.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn seal(&self, bound: &[u8], plain: &[u8]) -> Result<String, Refusal> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Vec::with_capacity(plain.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(plain);
        let nonce_once = Nonce::assume_unique_for_key(nonce);
        self.cipher.seal_in_place_append_tag(nonce_once, Aad::from(bound), &mut sealed).map_err(|_| {
            refusal("secret-too-large", "the value can't be sealed".into(), "shorten it".into())
        })?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    fn open(&self, bound: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.cipher.open_in_place(nonce, Aad::from(bound), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

/// What a sealed file holds of one secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// As in `${sealed:NAME}`.
    pub name: String,
    /// Counts from 1; a changed value has the next number.
    pub version: u64,
    /// When the current value was sealed.
    pub sealed_at: Millis,
    /// The previous value's version, while it is accepted inward as well.
    pub previous: Option<u64>,
}

/// A sealed file, read and found whole.
pub struct Vault {
    path: PathBuf,
    stored: Stored,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    format: u32,
    /// Id of the key.
    key: String,
    /// Nothing, sealed and bound to everything below.
    check: String,
    secrets: BTreeMap<String, Vec<Version>>,
}

/// One value; the newest comes first.
#[derive(Clone, Serialize, Deserialize)]
struct Version {
    version: u64,
    sealed_at: Millis,
    value: String,
}

impl Vault {
    /// Reads a file. `keys` are those that may be its key; which one it is, is returned with it.
    ///
    /// # Errors
    /// It is not there, is not one, was sealed under another key, or was changed by somebody else.
    pub fn read<'a>(path: &Path, keys: &'a [Key]) -> Result<(Self, &'a Key), Refusal> {
        let stored = stored(path)?.ok_or_else(|| {
            refusal(
                "missing-sealed-file",
                format!("the file of the sealed secrets, {}, does not exist", path.display()),
                "seal the secrets with `harness secrets set`, or correct `host.secrets`".into(),
            )
        })?;
        let Some(key) = keys.iter().find(|key| key.id == stored.key) else {
            let ids: Vec<_> = keys.iter().map(Key::id).collect();
            return Err(refusal(
                "wrong-secrets-key",
                format!(
                    "{} is sealed under the key {}, and `host.secrets_key` gives {}",
                    path.display(),
                    printable_id(&stored.key),
                    ids.join(" and ")
                ),
                "give back the key that the file was sealed under; without it its secrets are lost and have to be set anew"
                    .into(),
            ));
        };
        let vault = Self { path: path.to_owned(), stored };
        if key.open(&vault.stored.bound(), &vault.stored.check).is_none() {
            return Err(vault.tampered(key));
        }
        Ok((vault, key))
    }

    /// Reads a file to change it, or begins one where there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_or_new<'a>(path: &Path, keys: &'a [Key]) -> Result<(Self, &'a Key), Refusal> {
        if stored(path)?.is_some() {
            return Self::read(path, keys);
        }
        let Some(key) = keys.first() else {
            return Err(refusal("no-secrets-key", "there is no key".into(), "set `host.secrets_key`".into()));
        };
        let stored =
            Stored { format: FORMAT, key: key.id.clone(), check: String::new(), secrets: BTreeMap::new() };
        Ok((Self { path: path.to_owned(), stored }, key))
    }

    /// Live values of a secret, the current one first.
    ///
    /// # Errors
    /// There is none of this name, or it can't be opened.
    pub fn open(&self, key: &Key, name: &str) -> Result<Vec<SecretString>, Refusal> {
        let versions = self.stored.secrets.get(name).filter(|versions| !versions.is_empty());
        let versions = versions.ok_or_else(|| self.missing(name))?;
        versions
            .iter()
            .map(|version| {
                let plain = key.open(&bound(&self.stored.key, name, version), &version.value);
                let plain = plain.ok_or_else(|| self.broken(name))?;
                let text = std::str::from_utf8(&plain).map_err(|_| self.broken(name))?;
                Ok(SecretString::from(text))
            })
            .collect()
    }

    /// Seals a value. The one so far becomes the previous one.
    ///
    /// # Errors
    /// The secret can't be sealed, or the one so far can't be opened.
    pub fn set(&mut self, key: &Key, name: &str, value: &SecretString, now: Millis) -> Result<u64, Refusal> {
        let versions = self.stored.secrets.get(name).cloned().unwrap_or_default();
        let number = versions.first().map_or(1, |current| current.version.saturating_add(1));
        let mut new = Version { version: number, sealed_at: now, value: String::new() };
        new.value = key.seal(&bound(&self.stored.key, name, &new), value.expose_secret().as_bytes())?;
        let kept = std::iter::once(new).chain(versions).take(2).collect();
        self.stored.secrets.insert(name.to_owned(), kept);
        Ok(number)
    }

    /// Forgets the previous value. True where there was one.
    ///
    /// # Errors
    /// There is no secret of this name.
    pub fn end_rotation(&mut self, name: &str) -> Result<bool, Refusal> {
        let missing = self.missing(name);
        let versions = self.stored.secrets.get_mut(name).ok_or(missing)?;
        let before = versions.len();
        versions.truncate(1);
        Ok(before > versions.len())
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn remove(&mut self, name: &str) -> Result<(), Refusal> {
        let missing = self.missing(name);
        self.stored.secrets.remove(name).map(|_| ()).ok_or(missing)
    }

    /// Seals everything anew, under another key.
    ///
    /// # Errors
    /// A value can't be opened.
    pub fn reseal(&mut self, from: &Key, to: &Key) -> Result<(), Refusal> {
        let mut secrets = self.stored.secrets.clone();
        for (name, versions) in &mut secrets {
            for version in versions {
                let plain = from.open(&bound(&from.id, name, version), &version.value);
                let plain = plain.ok_or_else(|| self.broken(name))?;
                version.value = to.seal(&bound(&to.id, name, version), &plain)?;
            }
        }
        self.stored.secrets = secrets;
        self.stored.key.clone_from(&to.id);
        Ok(())
    }

    /// Writes the file: whole or not at all, readable by its owner alone.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&mut self, key: &Key) -> Result<(), Refusal> {
        self.stored.check = key.seal(&self.stored.bound(), b"")?;
        let unwritable = |why: String| unwritable(&self.path, &why);
        let mut text = serde_json::to_string_pretty(&self.stored).map_err(|e| unwritable(e.to_string()))?;
        text.push('\n');
        replace(&self.path, text.as_bytes()).map_err(|e| unwritable(e.kind().to_string()))
    }

    /// What is in it, by name.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |(name, versions): (&String, &Vec<Version>)| {
            let current = versions.first()?;
            Some(Listed {
                name: name.clone(),
                version: current.version,
                sealed_at: current.sealed_at,
                previous: versions.get(1).map(|previous| previous.version),
            })
        };
        self.stored.secrets.iter().filter_map(listed).collect()
    }

    /// Id of the key that it is sealed under.
    pub fn key_id(&self) -> &str {
        &self.stored.key
    }

    fn missing(&self, name: &str) -> Refusal {
        refusal(
            "missing-secret",
            format!("{} has no secret `{name}`", self.path.display()),
            format!("set it with `harness secrets set {name}`"),
        )
    }

    fn broken(&self, name: &str) -> Refusal {
        refusal(
            "sealed-secret-tampered",
            format!("the secret `{name}` in {} is not as it was sealed", self.path.display()),
            format!(
                "find out who changed the file; then bring back a copy, or set it with `harness secrets set {name}`"
            ),
        )
    }

    /// The file is not whole: which part of it?
    fn tampered(&self, key: &Key) -> Refusal {
        let broken = self.stored.secrets.keys().find(|name| {
            // A name that somebody made up is not repeated as it stands.
            self.open(key, name).is_err()
        });
        match broken.filter(|name| is_name(name)) {
            Some(name) => self.broken(name),
            None => refusal(
                "sealed-file-tampered",
                format!("{} was changed by something else than this program", self.path.display()),
                "find out who changed the file, and bring back a copy".into(),
            ),
        }
    }
}

impl Stored {
    /// Everything that the file says, in one digest.
    fn bound(&self) -> Vec<u8> {
        let mut digest = Sha256::new().chain_update(b"tajo sealed secrets: file\0");
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(self.key.as_bytes());
        for (name, versions) in &self.secrets {
            part(name.as_bytes());
            part(&(versions.len() as u64).to_le_bytes());
            for version in versions {
                part(&bound(&self.key, name, version));
                part(version.value.as_bytes());
            }
        }
        digest.finalize().to_vec()
    }
}

/// Letters, digits and underscores, as variables are named.
pub fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Replaces a file: another process sees the old or the new one, and so does whoever looks after a
/// power cut. The new one has mode 0600.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".sealed-").tempfile_in(directory)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|failed| failed.error)?;
    std::fs::File::open(directory)?.sync_all()
}

/// What a value is bound to.
fn bound(key: &str, name: &str, version: &Version) -> Vec<u8> {
    let mut bytes = b"tajo sealed secrets: value\0".to_vec();
    for text in [key, name] {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&version.version.to_le_bytes());
    bytes.extend_from_slice(&version.sealed_at.to_le_bytes());
    bytes
}

fn stored(path: &Path) -> Result<Option<Stored>, Refusal> {
    let Some(bytes) = private_file(path, CAP)? else { return Ok(None) };
    let unreadable = |why: String| {
        refusal(
            "bad-sealed-file",
            format!("{} is no file of sealed secrets: {why}", path.display()),
            "correct `host.secrets`, or bring back a copy of the file".into(),
        )
    };
    // Its words are not repeated: somebody may have put secrets into it by hand.
    let stored: Stored =
        serde_json::from_slice(&bytes).map_err(|e| unreadable(format!("line {} can't be read", e.line())))?;
    if stored.format != FORMAT {
        return Err(unreadable(format!("it has the format {}, and this host knows {FORMAT}", stored.format)));
    }
    Ok(Some(stored))
}

fn unwritable(path: &Path, why: &str) -> Refusal {
    refusal(
        "unwritable-sealed-file",
        format!("{} can't be written: {why}", path.display()),
        "let your user own its directory, and look at the disk".into(),
    )
}

fn printable_id(id: &str) -> &str {
    let plain = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { id } else { "(an id that can't be read)" }
}

fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| {
        refusal(
            "no-random-numbers",
            "the system has no source of random numbers".into(),
            "look at the machine; nothing was written".into(),
        )
    })?;
    Ok(bytes)
}

fn refusal(code: &'static str, message: String, remedy: String) -> Refusal {
    Refusal { code, message, remedy }
}
