//! The configuration file: one YAML file in Tajo's own vocabulary, under a list of tenants.
//!
//! `examples/tajo.yaml` shows every key. A file is taken whole or not at all, and every problem
//! is reported at once with its place and its remedy. Secrets are named in the file, read from
//! the environment, from files or from the file of sealed secrets, and kept in memory only.

mod block;
mod connector;
mod problem;
mod reader;
mod secret;
mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use connector::ConnectorConfig;
pub use problem::{ConfigError, Place, Problem};
pub use secret::{Environment, Refusal as SecretRefusal, SealedFile, Slot, Source, Stamp};
pub(crate) use secret::{checked, previous, private_file};

use crate::networks::Network;
use crate::world::TimeScale;
use block::Field;
use problem::Problems;
use reader::Reader;
use yaml::{Node, Value};

/// Largest file, in bytes.
pub const FILE_CAP: u64 = 1024 * 1024;

/// A whole file, read and checked.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Directory of the store; absolute if the file's path was.
    pub data_dir: PathBuf,
    /// Where webhooks come in.
    pub intake: SocketAddr,
    /// Proxies in front of the intake that may say for whom they speak (`X-Forwarded-For`).
    pub trusted_proxies: Vec<Network>,
    /// Whether the host may talk to loopback and private addresses, over plain HTTP. For tests.
    pub allow_private_addresses: bool,
    /// Speed of the host's clock.
    pub time: TimeScale,
    /// Connectors that the operator adds to those that the host has, by name.
    pub components: BTreeMap<String, ComponentFiles>,
    /// In the order of the file; names are unique.
    pub tenants: Vec<Tenant>,
}

/// A connector that doesn't come with the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFiles {
    /// The WebAssembly component.
    pub component: PathBuf,
    /// What the operator grants it.
    pub manifest: PathBuf,
}

/// What a look at a host's store needs to know. Holds no secret.
#[derive(Clone, Debug)]
pub struct Location {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Speed of the host's clock.
    pub time: TimeScale,
}

/// A customer of the host.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// `[a-z0-9-]{1,64}`
    pub name: String,
    /// Where everything goes.
    pub brevo: Destination,
    /// The enabled ones, in the order of the file.
    pub connectors: Vec<ConnectorConfig>,
}

/// A Brevo account.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Names the account in this host. Tenants with the same name share people, consent, lanes
    /// and rate windows.
    pub account: String,
    /// Brevo's API key.
    pub api_key: Slot,
    /// Instead of Brevo's own; for tests.
    pub base_url: Option<String>,
    /// Decides the rate windows.
    pub plan: Plan,
    /// What happens to a person whose consent is unknown.
    pub unknown_consent: UnknownConsent,
    /// Whether missing attributes may be created at Brevo.
    pub create_attributes: bool,
    /// From how many waiting contacts of a backfill or poll on they go by import.
    pub imports_from: usize,
}

/// Brevo's rate limits by plan (developers.brevo.com, "Rate limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Plan {
    General,
    Advanced,
    Extended,
}

/// What happens to a person who is not at Brevo yet and whose consent is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownConsent {
    /// The contact waits until consent is known.
    Hold,
    /// The tenant consents in writing, by this key, to creating the contact as mailable.
    Create,
}

/// Reads a file. `known` are the connectors that come with this host.
pub fn load(file: &Path, environment: &Environment, known: &[&str]) -> Result<HostConfig, ConfigError> {
    load_with(file, Some(environment), known)
}

/// Reads and checks a file without looking up a secret: for commands that only look at the store.
pub fn locate(file: &Path, known: &[&str]) -> Result<Location, ConfigError> {
    let config = without_secrets(file, known)?;
    Ok(Location { data_dir: config.data_dir, time: config.time })
}

/// Reads and checks a file without looking up a secret: every slot is empty, and says where its values
/// come from ([`Source::read`]).
pub fn without_secrets(file: &Path, known: &[&str]) -> Result<HostConfig, ConfigError> {
    load_with(file, None, known)
}

/// Reads where the sealed secrets are, and nothing else: they may not all be there yet.
pub fn sealed(file: &Path) -> Result<Option<SealedFile>, ConfigError> {
    let text = read(file).map_err(|problem| ConfigError { file: file.into(), problems: vec![problem] })?;
    let directory = file.parent().unwrap_or(Path::new(""));
    let mut problems = Problems::default();
    let found = yaml::parse(&text, &mut problems).and_then(|root| {
        let reader = Reader { directory, environment: None, known: &[] };
        reader.sealed(&Field { node: &root, path: String::new() }, &mut problems)
    });
    if problems.is_empty() {
        return Ok(found);
    }
    Err(ConfigError { file: file.into(), problems: problems.into_sorted() })
}

fn load_with(
    file: &Path,
    environment: Option<&Environment>,
    known: &[&str],
) -> Result<HostConfig, ConfigError> {
    let text = read(file).map_err(|problem| ConfigError { file: file.into(), problems: vec![problem] })?;
    let directory = file.parent().unwrap_or(Path::new(""));
    parse_with(&text, directory, environment, known)
        .map_err(|problems| ConfigError { file: file.into(), problems })
}

/// Reads a file's text; paths in it are relative to `directory`.
pub fn parse(
    text: &str,
    directory: &Path,
    environment: &Environment,
    known: &[&str],
) -> Result<HostConfig, Vec<Problem>> {
    parse_with(text, directory, Some(environment), known)
}

fn parse_with(
    text: &str,
    directory: &Path,
    environment: Option<&Environment>,
    known: &[&str],
) -> Result<HostConfig, Vec<Problem>> {
    let mut problems = Problems::default();
    let config = match yaml::parse(text, &mut problems) {
        Some(Node { value: Value::Null, place }) => {
            nothing(place, &mut problems);
            None
        }
        None if problems.is_empty() => {
            nothing(Place { line: 1, column: 1 }, &mut problems);
            None
        }
        None => None,
        Some(root) => {
            let reader = Reader { directory, environment, known };
            reader.root(&Field { node: &root, path: String::new() }, &mut problems)
        }
    };
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.into_sorted()),
    }
}

fn nothing(place: Place, problems: &mut Problems) {
    problems.add("empty-file", place, "", "the file is empty", "start from `examples/tajo.yaml`");
}

fn read(file: &Path) -> Result<String, Problem> {
    use std::io::Read;
    let problem = |code, message: String, remedy: &str| Problem {
        code,
        place: None,
        path: String::new(),
        message,
        remedy: remedy.to_owned(),
    };
    let unreadable = |e: std::io::Error| {
        problem(
            "unreadable-file",
            format!("the file can't be read: {}", e.kind()),
            "check its name and its mode",
        )
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).map_err(unreadable)?;
    file.take(FILE_CAP + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_CAP {
        return Err(problem(
            "file-too-large",
            "the file is over 1 MiB".into(),
            "split the tenants over hosts",
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count();
        let mut problem = problem("not-utf8", "the file is not UTF-8".into(), "save it as UTF-8");
        problem.place = Some(Place { line, column: 1 });
        problem
    })
}
