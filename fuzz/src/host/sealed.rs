//! The file of sealed secrets, as somebody else may have written it.

use std::os::unix::fs::PermissionsExt as _;

use host_harness::sealed::{Key, Vault, is_name};
use secrecy::{ExposeSecret as _, SecretString};

/// Of the corpus only.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A file. Whatever is taken is as it was sealed: each value of the corpus says the name that it belongs to.
pub fn sealed(data: &[u8]) {
    static HOME: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let home = HOME.get_or_init(|| tempfile::tempdir().expect("a directory"));
    let path = home.path().join(format!("sealed-{:?}", std::thread::current().id()));
    std::fs::write(&path, data).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a file of ours");
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = Key::parse(&SecretString::from(text))
    {
        assert_eq!(key.id().len(), 16);
    }
    let keys = [Key::parse(&SecretString::from(KEY)).expect("a key")];
    let (vault, key) = match Vault::read(&path, &keys) {
        Ok(read) => read,
        Err(refusal) => {
            assert!(!refusal.code.is_empty() && !refusal.message.is_empty() && !refusal.remedy.is_empty());
            assert!(refusal.message.chars().all(|c| !c.is_control()), "{}", refusal.message);
            return;
        }
    };
    for listed in vault.list() {
        assert!(is_name(&listed.name), "{}", listed.name);
        let values = vault.open(key, &listed.name).expect("a file that is whole");
        assert_eq!(values.len(), 1 + usize::from(listed.previous.is_some()));
        for value in values {
            assert!(value.expose_secret().starts_with(&listed.name), "a value under another name");
        }
    }
}
