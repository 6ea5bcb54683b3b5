//! Files over real sockets: signed, inflated, spooled, continued; and never half of one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod archives;
mod cuts;
mod faults;
mod files;
#[path = "../rates/mod.rs"]
mod rates;
mod server;
#[path = "../signatures/mod.rs"]
mod signatures;
mod units;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host_harness::contract::http::{Error, Method, Request};
use host_harness::egress::spool::Spool;
use host_harness::egress::transport::network;
use host_harness::egress::{Access, Egress};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use host_harness::world::{SystemClock, SystemRandom, TimeScale, World};
use rates::Rates;
use serde_json::json;
use server::{SECRET, Server};

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
    "endpoints": { "store": { "origin": "https://s3.{files.region}.amazonaws.com",
        "variables": { "files.region": { "enum": ["eu-central-1"] } },
        "methods": ["GET"], "paths": ["/{files.bucket}"],
        "auth": { "aws-sigv4": { "access-key": "files.key", "slot": "files", "region": "files.region", "service": "s3" } },
        "purpose": "Reads files." } } }"#;

/// A server, a host's side of it, and the folder of its files.
struct Bench {
    server: Server,
    access: Arc<Access>,
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with_quota(64 << 20)
    }

    fn with_quota(quota: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = Server::new();
        let access = access(&server, home.path(), quota);
        Self { server, access, home }
    }

    /// As after a restart of the host: nothing is left but the disk.
    fn restarted(self) -> Self {
        let access = access(&self.server, self.home.path(), 64 << 20);
        Self { access, ..self }
    }

    fn unit(&self) -> Egress {
        self.unit_of(Duration::from_secs(30))
    }

    fn unit_of(&self, time: Duration) -> Egress {
        self.access.unit("exports", &[], time)
    }

    /// Opens and reads all of a file in one unit.
    fn content(&self, name: &str) -> Result<Vec<u8>, Error> {
        content(&self.unit(), name)
    }

    /// Files in the spool, by what begins their name.
    fn files(&self, beginning: &str) -> Vec<PathBuf> {
        let homes = std::fs::read_dir(self.home.path()).unwrap();
        let files = homes.flat_map(|home| std::fs::read_dir(home.unwrap().path()).unwrap());
        let files = files.map(|file| file.unwrap().path());
        files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(beginning)).collect()
    }
}

fn access(server: &Server, home: &Path, quota: u64) -> Arc<Access> {
    Arc::new(Access {
        installation: "i1".into(),
        manifest: Manifest::parse(MANIFEST).unwrap(),
        settings: json!({ "files": { "region": "eu-central-1", "bucket": "acme", "key": "AKIA1" } }),
        overrides: BTreeMap::from([("store".into(), format!("http://{}", server.address))]),
        allow_private: true,
        secrets: Arc::new(SlotSecrets::new().with("files", [SECRET.into()])),
        rates: Arc::new(Rates::default()),
        spool: Some(Spool::new(home).with_quota(quota)),
        world: World {
            clock: Arc::new(SystemClock::new(TimeScale::REAL)),
            random: Arc::new(SystemRandom),
            transport: network(),
        },
    })
}

fn path(name: &str) -> Vec<String> {
    std::iter::once("acme").chain(name.split('/')).map(str::to_owned).collect()
}

fn content(unit: &Egress, name: &str) -> Result<Vec<u8>, Error> {
    let object = unit.object_open("store", &path(name), None)?;
    let mut content = Vec::new();
    loop {
        let offset = content.len() as u64;
        let piece = unit.object_read("store", &path(name), &object.etag, offset, 1 << 20)?;
        if piece.is_empty() {
            assert_eq!(object.size, offset);
            return Ok(content);
        }
        content.extend(piece);
    }
}

fn listing(query: &[(&str, &str)]) -> Request {
    Request {
        endpoint: "store".into(),
        method: Method::Get,
        path: path("listing")[..1].to_vec(),
        query: query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        headers: vec![],
        body: None,
        timeout_ms: None,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that don't compress, the same for the same seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Lines as they are in an export file.
fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{{\"event\":{{\"event_uuid\":\"{n}\"}}}}\n").into_bytes()).collect()
}
