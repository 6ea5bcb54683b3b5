//! Listing and reading at an S3 implementation that this project did not write.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod foreign;
mod rates;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foreign::ForeignS3;
use host_harness::contract::http::{Error, Method, Request, Response};
use host_harness::egress::spool::Spool;
use host_harness::egress::transport::network;
use host_harness::egress::{Access, Egress};
use host_harness::manifest::Manifest;
use host_harness::secrets::SlotSecrets;
use host_harness::world::{SystemClock, SystemRandom, TimeScale, World};
use rates::Rates;
use serde_json::json;

const MANIFEST: &str = r#"{ "connector": "example", "contract": "0.1.0", "request-id-header": "x-request-id",
    "endpoints": { "store": { "origin": "https://s3.eu-central-1.amazonaws.com",
        "methods": ["GET"], "paths": ["/{files.bucket}"],
        "auth": { "aws-sigv4": { "access-key": "files.key", "slot": "files",
                                 "region": { "literal": "eu-central-1" }, "service": "s3" } },
        "purpose": "Reads files." } } }"#;
const BUCKET: &str = "acme-moengage";
const KEY: &str = "AKIAFOREIGN";
const SECRET: &str = "a secret/with+signs=";

struct Bench {
    server: ForeignS3,
    folder: tempfile::TempDir,
    spool: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let server = ForeignS3::start(folder.path(), KEY, SECRET);
        Self { server, folder, spool: tempfile::tempdir().unwrap() }
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let file = self.folder.path().join(BUCKET).join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    fn access(&self, url: &str, secret: &str) -> Arc<Access> {
        Arc::new(Access {
            installation: "i1".into(),
            manifest: Manifest::parse(MANIFEST).unwrap(),
            settings: json!({ "files": { "bucket": BUCKET, "key": KEY } }),
            overrides: BTreeMap::from([("store".into(), url.to_owned())]),
            allow_private: true,
            secrets: Arc::new(SlotSecrets::new().with("files", [secret.into()])),
            rates: Arc::new(Rates::default()),
            spool: Some(Spool::new(self.spool.path())),
            world: World {
                clock: Arc::new(SystemClock::new(TimeScale::REAL)),
                random: Arc::new(SystemRandom),
                transport: network(),
            },
        })
    }
}

fn unit(access: &Arc<Access>) -> Egress {
    access.unit("exports", &[], Duration::from_secs(30))
}

fn path(key: &str) -> Vec<String> {
    [BUCKET].into_iter().chain(key.split('/')).map(str::to_owned).collect()
}

fn list(access: &Arc<Access>, query: &[(&str, &str)]) -> Result<Response, Error> {
    unit(access).http(Request {
        endpoint: "store".into(),
        method: Method::Get,
        path: vec![BUCKET.into()],
        query: query.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        headers: vec![],
        body: None,
        timeout_ms: None,
    })
}

fn content(access: &Arc<Access>, key: &str) -> Result<Vec<u8>, Error> {
    let unit = unit(access);
    let object = unit.object_open("store", &path(key), None)?;
    let content = unit.object_read("store", &path(key), &object.etag, 0, u32::MAX)?;
    assert_eq!(content.len() as u64, object.size);
    Ok(content)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Passes connections on; the first answer breaks off after so many bytes. With what was asked.
fn cutting(url: &str, after: usize) -> (String, Arc<Mutex<Vec<u8>>>) {
    let to = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        let mut first = true;
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
            let (mut from, mut on) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let heard = heard.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut buffer) {
                    heard.lock().unwrap().extend_from_slice(&buffer[..read]);
                    on.write_all(&buffer[..read]).unwrap();
                }
            });
            if std::mem::take(&mut first) {
                let _ = std::io::copy(&mut (&mut server).take(after as u64), &mut client);
                let _ = client.shutdown(Shutdown::Both);
            } else {
                std::thread::spawn(move || std::io::copy(&mut server, &mut client));
            }
        }
    });
    (format!("http://{address}"), asked)
}

#[test]
fn a_foreign_s3_takes_the_hosts_signatures() {
    let bench = Bench::new();
    let key = "events_acme/export_day=2026-11-22/event_exports_0a 1+b~ü.json.gz";
    bench.put(key, &gzip(b"{\"event\":{}}\n"));
    bench.put("events_acme/export_day=2026-11-23/x.gpg", &[0x85, 1, 2, 3]);
    let access = bench.access(&bench.server.url, SECRET);
    let query = [
        ("list-type", "2"),
        ("prefix", "events_acme/export_day="),
        ("start-after", ""),
        ("max-keys", "1000"),
    ];
    let listed = list(&access, &query).unwrap();
    let text = String::from_utf8(listed.body).unwrap();
    assert_eq!(listed.status, 200, "{text}");
    assert!(text.contains("event_exports_0a 1+b~ü.json.gz") && text.contains("x.gpg"), "{text}");
    assert_eq!(content(&access, key).unwrap(), b"{\"event\":{}}\n");
    assert_eq!(content(&access, "events_acme/export_day=2026-11-23/x.gpg").unwrap(), [0x85, 1, 2, 3]);
    assert_eq!(content(&access, "events_acme/none").unwrap_err().code, "object-status-404");
}

#[test]
fn a_foreign_s3_refuses_another_key_by_name() {
    let bench = Bench::new();
    bench.put("f", b"x");
    let access = bench.access(&bench.server.url, "another secret");
    assert_eq!(list(&access, &[("list-type", "2")]).unwrap().status, 403);
    let error = content(&access, "f").unwrap_err();
    assert_eq!(error.code, "object-forbidden");
    assert!(error.message.contains("SignatureDoesNotMatch"), "{}", error.message);
}

#[test]
fn n06_a_large_file_of_a_foreign_s3_goes_on_where_its_connection_broke() {
    let bench = Bench::new();
    let mut state = 7_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let text: Vec<u8> = (0..3_000_000).map(|_| noise()).collect();
    let file = gzip(&text);
    bench.put("f", &file);
    let (url, asked) = cutting(&bench.server.url, 2_000_000);
    let access = bench.access(&url, SECRET);
    assert!(file.len() > 2_000_000, "{}", file.len());
    assert_eq!(content(&access, "f").unwrap_err().code, "bad-answer");
    assert_eq!(content(&access, "f").unwrap(), text);
    let asked = String::from_utf8(asked.lock().unwrap().clone()).unwrap();
    assert_eq!(
        (asked.matches("GET ").count(), asked.matches("\r\nrange: bytes=").count()),
        (2, 1),
        "{asked}"
    );
}
