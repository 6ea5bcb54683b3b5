//! The folder behind an nginx, through HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::Client;
use serde_json::json;
use stand_ins::bucket::{Bucket, Options, Permission, Storage};

fn nginx() -> (Bucket, Client) {
    let options = Options {
        storage: Storage::Https,
        access_key_id: "tajo".to_owned(),
        secret: "geheim".to_owned(),
        ..Options::default()
    };
    let bucket = Bucket::start(options).unwrap();
    for key in [
        "exports/export_day=2026-11-23/b.json.gz",
        "exports/export_day=2026-11-23/a b.json.gz",
        "exports/.hidden",
        "exports/z/y/x",
        "readme",
    ] {
        bucket.put(key, key.as_bytes().to_vec());
    }
    let client = client(&bucket, "tajo:geheim");
    (bucket, client)
}

fn client(bucket: &Bucket, user: &str) -> Client {
    Client::new(&bucket.url(), &[("authorization", &format!("Basic {}", STANDARD.encode(user)))])
}

#[test]
fn a_folder_is_listed_as_json() {
    let (_bucket, client) = nginx();
    let names = |path: &str| {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let rows = answer.json().as_array().unwrap().clone();
        rows.iter()
            .map(|row| format!("{} {}", row["type"].as_str().unwrap(), row["name"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["directory exports", "file readme"]);
    assert_eq!(names("/exports/"), ["directory export_day=2026-11-23", "directory z"], "no hidden files");
    assert_eq!(names("/exports/export_day%3D2026-11-23/"), ["file a b.json.gz", "file b.json.gz"]);
    let rows = client.get("/exports/export_day=2026-11-23/").json();
    assert_eq!(rows[1]["size"], "exports/export_day=2026-11-23/b.json.gz".len());
    assert!(rows[1]["mtime"].as_str().unwrap().ends_with(" GMT"));
    assert!(client.get("/").json()[0].get("size").is_none(), "folders have no size");
    assert_eq!(client.get("/nothing/").status, 404);
}

#[test]
fn a_file_is_read_with_its_conditions() {
    let (bucket, client) = nginx();
    let path = "/exports/export_day=2026-11-23/a%20b.json.gz";
    let whole = client.get(path);
    assert_eq!((whole.status, whole.text().as_str()), (200, "exports/export_day=2026-11-23/a b.json.gz"));
    let etag = whole.header("etag").unwrap().to_owned();
    let basic = format!("Basic {}", STANDARD.encode("tajo:geheim"));
    let with = |name: &str, value: &str| {
        Client::new(&bucket.url(), &[("authorization", &basic), (name, value)]).get(path)
    };
    assert_eq!(with("if-match", "\"other\"").status, 412);
    assert_eq!(with("if-match", &etag).status, 200);
    assert_eq!(with("if-none-match", &etag).status, 304);
    assert_eq!(with("range", "bytes=0-6").text(), "exports");
    assert_eq!(with("range", "bytes=99-").status, 416);
    assert_eq!(client.get("/none").status, 404);
    let folder = client.get("/exports");
    let location = format!("{}/exports/", bucket.url());
    assert_eq!((folder.status, folder.header("location")), (301, Some(location.as_str())));
}

#[test]
fn w01_only_the_right_user_is_let_in() {
    let (bucket, right) = nginx();
    for wrong in ["tajo:falsch", "other:geheim", ""] {
        let answer = client(&bucket, wrong).get("/");
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Basic realm=\"exports\""))
        );
    }
    assert_eq!(Client::new(&bucket.url(), &[]).get("/readme").status, 401);
    let seen = |permission| {
        bucket.set_permission(permission);
        [right.get("/").status, right.get("/readme").status]
    };
    assert_eq!(seen(Permission::NoListing), [403, 200]);
    assert_eq!(seen(Permission::NoReading), [200, 403]);
    assert_eq!(seen(Permission::Granted), [200, 200]);
    assert_eq!(right.post("/readme", json!({})).status, 405);
    assert_eq!(bucket.violations().len(), 1);
}
