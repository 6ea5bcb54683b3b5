//! Where MoEngage's event export files lie.

use serde_json::value::RawValue;

use super::problem::{Problems, below};
use super::{is_slot, unused};
use crate::json::Object;

/// Name of the slot that holds the secret of the store. The host names a slot after the block.
pub const EXPORTS_SLOT: &str = "exports";

/// Event export files in a store of the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exports {
    pub store: Store,
    /// Everything before `export_day=`, without a slash at either end; empty is the root, which
    /// only a web server has.
    pub folder: String,
    /// The name of MoEngage's database; records of another one are another environment's.
    pub db_name: String,
}

/// The kind of store, which is also the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Amazon S3, path-style.
    S3 { bucket: String },
    /// Google Cloud Storage by its XML API, which speaks S3.
    Gcs { bucket: String },
    /// A web server with listings in JSON (nginx, `autoindex_format json`).
    Https,
}

impl Store {
    const ALL: [&str; 3] = ["s3", "gcs", "https"];

    /// The endpoint's name in the manifest.
    pub fn endpoint(&self) -> &'static str {
        match self {
            Self::S3 { .. } => "exports-s3",
            Self::Gcs { .. } => "exports-gcs",
            Self::Https => "exports-https",
        }
    }

    /// The bucket, where the store has buckets.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::S3 { bucket } | Self::Gcs { bucket } => Some(bucket),
            Self::Https => None,
        }
    }
}

/// Regions of `s3.<region>.amazonaws.com`; the manifest grants the same ones. China has a domain
/// of its own.
pub const REGIONS: [&str; 36] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

const KNOWN: [&str; 8] =
    ["storage", "bucket", "region", "access_key_id", "user", "secret", "folder", "db_name"];

/// Reads `exports`. Whatever is wrong is a problem, and then the result is of no use.
pub fn exports(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<Exports> {
    let object = problems.object(path, raw)?;
    let storage = object
        .raw("storage")
        .and_then(|raw| problems.one_of(&below(path, "storage"), raw, "unknown-storage", &Store::ALL));
    let storage = storage.as_deref();
    let (mut bucket, mut folder, mut db_name) = (None, None, None);
    for (key, raw) in object.entries() {
        let path = below(path, key);
        match key {
            "storage" => {}
            "bucket" => bucket = self::bucket(&path, raw, storage == Some("gcs"), problems),
            "region" => {
                problems.one_of(&path, raw, "unknown-region", &REGIONS);
            }
            "access_key_id" => access_key_id(&path, raw, problems),
            "user" => user(&path, raw, problems),
            "secret" => {
                is_slot(&path, raw, EXPORTS_SLOT, problems);
            }
            "folder" => folder = self::folder(&path, raw, problems),
            "db_name" => db_name = problems.text(&path, raw).map(|name| name.into_owned()),
            _ => problems.unknown_key(&path, &KNOWN),
        }
    }
    if let Some(storage) = storage {
        fits(path, &object, storage, problems);
    }
    for (key, remedy) in [
        ("storage", "Write s3, gcs or https."),
        ("secret", "Write \"${EXPORTS_SECRET}\" and set that variable."),
        ("db_name", "Copy db_name from any line of an export file; it keeps Live and Test apart."),
    ] {
        if object.raw(key).is_none() {
            problems.missing(&below(path, key), remedy);
        }
    }
    let store = match storage? {
        "s3" => Store::S3 { bucket: bucket? },
        "gcs" => Store::Gcs { bucket: bucket? },
        _ => Store::Https,
    };
    Some(Exports { store, folder: folder.unwrap_or_default(), db_name: db_name? })
}

/// Which keys this kind of store needs, and which mean nothing with it.
fn fits(path: &str, object: &Object<'_>, storage: &str, problems: &mut Problems) {
    const RULES: [(&str, &[&str], &str); 5] = [
        ("bucket", &["s3", "gcs"], "Write the bucket's name, as in the export's settings at MoEngage."),
        ("region", &["s3"], "Write the bucket's region, for instance \"eu-central-1\"."),
        ("access_key_id", &["s3", "gcs"], "Write the id of the key whose secret is exports.secret."),
        ("user", &["https"], "Write the user name that the server asks for."),
        ("folder", &["s3", "gcs"], "Write everything that stands before export_day= in the bucket."),
    ];
    for (key, stores, remedy) in RULES {
        let path = below(path, key);
        match (object.raw(key).is_some(), stores.contains(&storage)) {
            (false, true) => problems.missing(&path, remedy),
            // The root of a web server needs no folder, every other place of it does.
            (true, false) if key != "folder" => {
                unused(&path, &format!("storage: {storage}"), "exports.storage", problems);
            }
            _ => {}
        }
    }
}

fn bucket(path: &str, raw: &RawValue, google: bool, problems: &mut Problems) -> Option<String> {
    let name = problems.text(path, raw)?;
    // AWS, "General purpose bucket naming rules"; Google, "Bucket names": underscores as well, and
    // up to 222 characters where there are dots.
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inside = |b: u8| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.' || (google && b == b'_')
    };
    let longest = if google && name.contains('.') { 222 } else { 63 };
    let fits = (3..=longest).contains(&name.len())
        && name.bytes().all(inside)
        && end(name.bytes().next())
        && end(name.bytes().last())
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
        && !(name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok()));
    if !fits {
        problems.add(
            "bad-bucket",
            path,
            &format!("{path} breaks the naming rules of buckets."),
            "Write the name alone, without s3://, gs:// or a folder.",
        );
        return None;
    }
    Some(name.into_owned())
}

fn access_key_id(path: &str, raw: &RawValue, problems: &mut Problems) {
    let Some(id) = problems.text(path, raw) else { return };
    let fits = (3..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        // What the host puts in the place of a reference to a secret.
        && id != "access_key_id";
    if !fits {
        problems.add(
            "bad-access-key-id",
            path,
            &format!("{path} is not the id of an access key."),
            "Write the id itself, for instance AKIA...; it is no secret, only exports.secret is.",
        );
    }
}

fn user(path: &str, raw: &RawValue, problems: &mut Problems) {
    let Some(user) = problems.text(path, raw) else { return };
    // RFC 7617: a user id can't hold a colon or control characters.
    if user.contains(':') || user.chars().any(char::is_control) || user.len() > 255 {
        problems.add(
            "bad-exports-user",
            path,
            &format!("{path} has a colon or a control character, or is longer than 255 bytes."),
            "Give the server a user name without those.",
        );
    }
}

fn folder(path: &str, raw: &RawValue, problems: &mut Problems) -> Option<String> {
    /// A key has at most 1,024 bytes, and a day, an hour and a file's name follow.
    const LONGEST: usize = 800;
    let folder = problems.text(path, raw)?;
    let usable = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && !segment.starts_with("export_day=")
            && !segment.chars().any(|c| c == '\\' || c.is_control())
    };
    if folder.len() > LONGEST || !folder.split('/').all(usable) {
        problems.add(
            "bad-folder",
            path,
            &format!(
                "{path} begins or ends with a slash, has an empty segment, `.`, `..`, a backslash or control \
                 character, goes into export_day=, or is longer than {LONGEST} bytes."
            ),
            "Write everything before /export_day= and nothing else, for instance \"my_folder/events_acme\".",
        );
        return None;
    }
    Some(folder.into_owned())
}
