//! `harness secrets`: what is in the host's file of sealed secrets.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::terminal::{moment, relative, safe, table};
use super::{ConfigFile, Failure, Found, Output};
use crate::config::{self, Environment, SealedFile, SecretRefusal, Source};
use crate::sealed::{self, Key, Vault};
use crate::world::{Clock as _, SystemClock, TimeScale};

/// Largest value, in bytes.
const CAP: u64 = 64 * 1024;

/// Set, list and change the secrets that the host keeps sealed at rest
///
/// They lie in the file that `host.secrets` names, each sealed under the key that `host.secrets_key`
/// names, and are used as "${sealed:NAME}". A running host takes a change over within a second or two.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    /// Make a key where `host.secrets_key` says that its file is
    NewKey {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Seal a value, read from standard input or asked for. The one so far stays accepted inward
    Set {
        /// As in "${sealed:NAME}"
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Names, versions and ages; never a value
    List {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        output: Output,
    },
    /// Forget the previous value of a secret that was changed
    EndRotation {
        /// As in "${sealed:NAME}"
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Forget a secret
    Remove {
        /// As in "${sealed:NAME}"
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Seal everything anew under another key
    ///
    /// Where the key is in a file, a new one is made and takes its place. Where it is in a variable,
    /// put the new key into it and the old one into NAME_PREVIOUS first.
    RotateKey {
        #[command(flatten)]
        config: ConfigFile,
    },
}

pub(super) fn run(args: &Args) -> Result<Found, Failure> {
    match &args.order {
        Order::NewKey { config } => new_key(&place(config)?),
        Order::Set { name, config } => set(&place(config)?, name),
        Order::List { config, output } => list(&place(config)?, *output),
        Order::EndRotation { name, config } => change(&place(config)?, |vault, _| {
            let ended = vault.end_rotation(name)?;
            Ok(match ended {
                true => format!("{name}: only the current value is accepted from now on"),
                false => format!("{name}: there was no previous value"),
            })
        }),
        Order::Remove { name, config } => change(&place(config)?, |vault, _| {
            vault.remove(name)?;
            Ok(format!("{name}: removed"))
        }),
        Order::RotateKey { config } => rotate_key(&place(config)?),
    }
}

fn place(config: &ConfigFile) -> Result<SealedFile, Failure> {
    config::sealed(&config.config)?.ok_or_else(|| {
        Failure::usage(
            "no-sealed-file",
            "this host has no file of sealed secrets",
            "Set `host.secrets` to its path and `host.secrets_key` to \"${file:/path}\".",
        )
    })
}

fn new_key(place: &SealedFile) -> Result<Found, Failure> {
    let Source::File(path) = &place.key else {
        return Err(Failure::usage(
            "key-not-in-a-file",
            "`host.secrets_key` is a variable, which no command can set",
            "Put the output of `openssl rand -base64 32` into it, or name a file: \"${file:/path}\".",
        ));
    };
    let _lock = lock(path)?;
    if path.exists() {
        return Err(Failure::usage(
            "key-exists",
            format!("{} is there already", path.display()),
            "Keep it: what was sealed under it can't be read without it. `harness secrets rotate-key` changes it.",
        ));
    }
    let key = Key::generate()?;
    write_key(path, &key)?;
    println!("{}: a new key, {}", path.display(), Key::parse(&SecretString::from(key.as_str()))?.id());
    println!("Keep a copy of it apart from the machine and from copies of {}.", place.file.display());
    Ok(Found::Nothing)
}

fn set(place: &SealedFile, name: &str) -> Result<Found, Failure> {
    if !sealed::is_name(name) {
        return Err(Failure::usage(
            "bad-sealed-name",
            "this is not the name of a sealed secret",
            "Use upper case letters, digits and underscores, for instance BREVO_API_KEY.",
        ));
    }
    // A wrong key is told before anybody types a secret.
    let keys = place.keys(&Environment::Process)?;
    Vault::read_or_new(&place.file, &keys)?;
    let value = value(name)?;
    change(place, |vault, key| {
        let version = vault.set(key, name, &value, now())?;
        Ok(match version {
            1 => format!("{name}: sealed"),
            _ => format!(
                "{name}: sealed as version {version}; the value before it is accepted inward until \
                 `harness secrets end-rotation {name}`"
            ),
        })
    })
}

fn list(place: &SealedFile, output: Output) -> Result<Found, Failure> {
    let keys = place.keys(&Environment::Process)?;
    let (vault, key) = Vault::read(&place.file, &keys)?;
    let listed = vault.list();
    if output.json(&json!({ "file": place.file, "key": key.id(), "secrets": listed }))? {
        return Ok(Found::Nothing);
    }
    println!("{}, sealed under the key {}", place.file.display(), key.id());
    let mut rows = table(["name", "version", "sealed", "previous"]);
    for one in listed {
        let sealed = format!("{} ({})", moment(one.sealed_at), relative(one.sealed_at, now()));
        let previous = one.previous.map_or_else(String::new, |version| format!("version {version}"));
        rows.add_row([safe(&one.name), one.version.to_string(), sealed, previous]);
    }
    println!("{rows}");
    Ok(Found::Nothing)
}

fn rotate_key(place: &SealedFile) -> Result<Found, Failure> {
    let _lock = lock(&place.file)?;
    let keys = place.keys(&Environment::Process)?;
    let (mut vault, used) = Vault::read(&place.file, &keys)?;
    let current = keys.first().ok_or_else(no_key)?;
    // Sealed under the previous key: the current one takes over, also after a rotation that was cut short.
    if used.id() != current.id() {
        vault.reseal(used, current)?;
        vault.write(current)?;
        forget_previous(place)?;
        println!("everything is sealed under the key {} now", current.id());
        return Ok(Found::Nothing);
    }
    let Source::File(path) = &place.key else {
        return Err(Failure::usage(
            "key-not-in-a-file",
            "`host.secrets_key` is a variable, which no command can set",
            "Put the new key into the variable and the old one into the one of the same name with _PREVIOUS, then run this again.",
        ));
    };
    let old = config::private_file(path, CAP)?.map(Zeroizing::new).ok_or_else(no_key)?;
    let text = Key::generate()?;
    let new = Key::parse(&SecretString::from(text.as_str()))?;
    // At each moment a host finds the key of the file among the two.
    sealed::replace(&config::previous(path), &old).map_err(|e| unwritable(path, &e))?;
    write_key(path, &text)?;
    vault.reseal(used, &new)?;
    vault.write(&new)?;
    forget_previous(place)?;
    println!("everything is sealed under the key {} now; {} is worth nothing any more", new.id(), used.id());
    println!("Copies of {} from before need the old key.", place.file.display());
    Ok(Found::Nothing)
}

/// Reads, changes and replaces the file; two such commands wait for one another.
fn change(
    place: &SealedFile,
    change: impl FnOnce(&mut Vault, &Key) -> Result<String, SecretRefusal>,
) -> Result<Found, Failure> {
    let _lock = lock(&place.file)?;
    let keys = place.keys(&Environment::Process)?;
    let (mut vault, key) = Vault::read_or_new(&place.file, &keys)?;
    let done = change(&mut vault, key)?;
    vault.write(key)?;
    println!("{done}");
    Ok(Found::Nothing)
}

/// Holds other commands off while a file is changed. The lock lies beside the file, which is itself replaced.
fn lock(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let opened = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(PathBuf::from(name));
    let file = opened.map_err(|e| unwritable(path, &e))?;
    file.lock().map_err(|e| unwritable(path, &e))?;
    Ok(file)
}

fn write_key(path: &Path, key: &str) -> Result<(), Failure> {
    let line = Zeroizing::new(format!("{key}\n"));
    sealed::replace(path, line.as_bytes()).map_err(|e| unwritable(path, &e))
}

fn forget_previous(place: &SealedFile) -> Result<(), Failure> {
    let Source::File(path) = &place.key else { return Ok(()) };
    let previous = config::previous(path);
    match std::fs::remove_file(&previous) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritable(&previous, &e)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(
        "unwritable-sealed-file",
        format!("{} can't be written: {}", path.display(), error.kind()),
        "Let your user own its directory, and look at the disk.",
    )
}

fn no_key() -> Failure {
    Failure::usage("no-secrets-key", "there is no key", "Make one with `harness secrets new-key`.")
}

fn now() -> i64 {
    SystemClock::new(TimeScale::REAL).now()
}

/// The value: all of standard input, or a line that a person types unseen. One line break at its end is
/// not part of it.
fn value(name: &str) -> Result<SecretString, Failure> {
    let stdin = std::io::stdin();
    let unreadable =
        |e: std::io::Error| Failure::usage("unreadable-value", e.kind().to_string(), "Try again.");
    let mut text = Zeroizing::new(String::new());
    if stdin.is_terminal() {
        let _unseen = Unseen::new()?;
        eprint!("{}: ", safe(name));
        std::io::stderr().flush().map_err(unreadable)?;
        stdin.lock().read_line(&mut text).map_err(unreadable)?;
        eprintln!();
    } else {
        stdin.lock().take(CAP + 1).read_to_string(&mut text).map_err(unreadable)?;
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let value = config::checked("the value", SecretString::from(line))?;
    if value.expose_secret().len() as u64 > CAP {
        return Err(Failure::usage("secret-too-large", "the value is over 64 KiB", "Seal the secret alone."));
    }
    text.zeroize();
    Ok(value)
}

/// The terminal shows nothing of what is typed while this lives.
struct Unseen(libc::termios);

impl Unseen {
    fn new() -> Result<Self, Failure> {
        let failed = || {
            let remedy = "Give the value by standard input: harness secrets set NAME < file";
            Failure::usage("no-terminal", "the terminal can't be told to hide what is typed", remedy)
        };
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the structure is filled by the call, and read only where it succeeded.
        let before = unsafe {
            if libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) != 0 {
                return Err(failed());
            }
            before.assume_init()
        };
        let mut hidden = before;
        hidden.c_lflag &= !libc::ECHO;
        // SAFETY: the structure is one that the system gave out.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &raw const hidden) } != 0 {
            return Err(failed());
        }
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, &raw const self.0) };
    }
}
