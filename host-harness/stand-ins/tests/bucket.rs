//! The S3-style bucket through HTTP: listing, reading, signatures, faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::BTreeSet;
use std::io::Write;

use client::signer::Signer;
use client::{Answer, Client};
use proptest::prelude::*;
use serde_json::json;
use stand_ins::bucket::{Bucket, File, FileChange, Options, Permission, Storage};
use stand_ins::faults::{Fault, Rule};
use stand_ins::journal::FindingKind;

fn bucket(keys: &[&str]) -> (Bucket, Signer) {
    let bucket = Bucket::start(Options::default()).unwrap();
    for key in keys {
        bucket.put(key, key.as_bytes().to_vec());
    }
    let signer = Signer::of(&bucket);
    (bucket, signer)
}

fn keys(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.elements("Key")
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.elements("Code").concat())
}

#[test]
fn keys_are_listed_in_the_order_of_their_bytes() {
    let (bucket, signer) = bucket(&["b", "a/é", "a/z", "a/Z", "a b&<c>", "a/\u{10000}", "a/\u{ffff}"]);
    let all = signer.list(&[]);
    assert_eq!(keys(&all), ["a b&<c>", "a/Z", "a/z", "a/é", "a/\u{ffff}", "a/\u{10000}", "b"]);
    assert_eq!(
        (all.elements("KeyCount"), all.elements("IsTruncated")),
        (vec!["7".to_owned()], vec!["false".to_owned()])
    );
    assert_eq!(all.elements("Size")[0], "7");
    let etag = bucket.put("b", "new");
    let listed = signer.list(&[("prefix", "b")]);
    assert_eq!(listed.elements("ETag"), std::slice::from_ref(&etag));
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert_eq!(all.header("content-type"), Some("application/xml"));
    assert_eq!(keys(&signer.list(&[("prefix", "a/")])).len(), 5);
    assert_eq!(keys(&signer.list(&[("start-after", "a/z")])), ["a/é", "a/\u{ffff}", "a/\u{10000}", "b"]);
    assert_eq!(keys(&signer.list(&[("start-after", "nothing")])), [""; 0]);
    let encoded = signer.list(&[("encoding-type", "url"), ("prefix", "a")]);
    assert_eq!(encoded.elements("Key")[..2], ["a+b%26%3Cc%3E", "a/Z"]);
    assert_eq!(encoded.elements("EncodingType"), ["url"]);
    assert!(bucket.violations().is_empty(), "{:?}", bucket.violations());
}

#[test]
fn a_delimiter_rolls_folders_up() {
    let (_bucket, signer) = bucket(&["x/day=1/a", "x/day=1/b", "x/day=2/a", "x/readme", "y"]);
    let list = |query: &[(&str, &str)]| {
        let answer = signer.list(query);
        let prefixes = answer.elements("CommonPrefixes").concat();
        (answer.elements("Key"), prefixes.replace("<Prefix>", "").replace("</Prefix>", ","), answer)
    };
    let (found, prefixes, _) = list(&[("prefix", "x/"), ("delimiter", "/")]);
    assert_eq!((found, prefixes.as_str()), (vec!["x/readme".to_owned()], "x/day=1/,x/day=2/,"));
    let (_, first, answer) = list(&[("prefix", "x/"), ("delimiter", "/"), ("max-keys", "1")]);
    let token = answer.elements("NextContinuationToken").concat();
    let (_, second, answer) =
        list(&[("prefix", "x/"), ("delimiter", "/"), ("max-keys", "1"), ("continuation-token", &token)]);
    assert_eq!((first.as_str(), second.as_str()), ("x/day=1/,", "x/day=2/,"));
    assert_eq!(answer.elements("IsTruncated"), ["true"]);
}

#[test]
fn n24_a_listing_is_cut_into_pages() {
    let all: Vec<String> = (0..25).map(|n| format!("k{n:02}")).collect();
    let (bucket, signer) = bucket(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let first = signer.list(&[("max-keys", "10")]);
    assert_eq!(
        (keys(&first), first.elements("IsTruncated").concat()),
        (all[..10].to_vec(), "true".to_owned())
    );
    let token = first.elements("NextContinuationToken").concat();
    // A token counts more than `start-after`.
    let second = signer.list(&[("max-keys", "10"), ("continuation-token", &token), ("start-after", "k20")]);
    assert_eq!(keys(&second), all[10..20]);
    let last = signer.list(&[("max-keys", "10"), ("start-after", "k19")]);
    assert_eq!(
        (keys(&last), last.elements("IsTruncated").concat()),
        (all[20..].to_vec(), "false".to_owned())
    );
    assert!(last.elements("NextContinuationToken").is_empty());
    assert_eq!(signer.list(&[("max-keys", "0")]).elements("KeyCount"), ["0"]);
    assert_eq!(signer.list(&[("max-keys", "5000")]).elements("MaxKeys"), ["1000"]);
    assert!(bucket.violations().is_empty());
    let invalid = (400, "InvalidArgument".to_owned());
    for bad in
        [("max-keys", "-1"), ("max-keys", "ten"), ("continuation-token", "x"), ("encoding-type", "gzip")]
    {
        assert_eq!(refused(&signer.list(&[bad])), invalid, "{bad:?}");
    }
    assert_eq!(signer.get("", &[("prefix", "k")], &[]).status, 501, "the first version of the listing");
    assert_eq!(bucket.violations().len(), 5);
    assert_eq!(signer.list(&[("sort", "desc")]).status, 200);
    assert_eq!(bucket.journal().count_of(FindingKind::IgnoredFilter), 1);
}

#[test]
fn a_store_may_give_fewer_keys_than_it_was_asked_for() {
    let bucket = Bucket::start(Options { page_limit: 2, ..Options::default() }).unwrap();
    for key in ["a", "b", "c"] {
        bucket.put(key, "x");
    }
    let answer = Signer::of(&bucket).list(&[("max-keys", "1000")]);
    assert_eq!(
        (keys(&answer), answer.elements("IsTruncated").concat()),
        (vec!["a".to_owned(), "b".to_owned()], "true".to_owned())
    );
}

#[test]
fn a_file_is_read_whole_in_part_and_under_conditions() {
    let (bucket, signer) = bucket(&[]);
    let key = "events_acme/export_day=2026-11-23/ä b+c.json.gz";
    let etag = bucket.put(key, "0123456789");
    let get = |headers: &[(&str, &str)]| signer.get(key, &[], headers);
    let whole = get(&[]);
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    assert_eq!((whole.header("etag"), whole.header("content-length")), (Some(etag.as_str()), Some("10")));
    assert!(whole.header("last-modified").unwrap().ends_with(" GMT"));
    let part = get(&[("range", "bytes=2-4")]);
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(refused(&get(&[("range", "bytes=10-")])), (416, "InvalidRange".to_owned()));
    assert_eq!(get(&[("if-match", &etag)]).status, 200);
    assert_eq!(refused(&get(&[("if-match", "\"other\"")])), (412, "PreconditionFailed".to_owned()));
    let same = get(&[("if-none-match", &etag)]);
    assert_eq!(
        (same.status, same.header("etag"), same.body.as_deref().unwrap().len()),
        (304, Some(etag.as_str()), 0)
    );
    assert_eq!(get(&[("if-none-match", "\"other\"")]).status, 200);
    let new = bucket.put(key, "9876543210");
    assert_ne!(new, etag);
    assert_eq!(get(&[("if-match", &etag)]).status, 412, "replaced meanwhile");
    bucket.put_file("z", File { content_encoding: Some("gzip".to_owned()), ..File::new("x") });
    assert_eq!(signer.get("z", &[], &[]).header("content-encoding"), Some("gzip"));
    assert!(bucket.remove(key));
    let gone = get(&[]);
    assert_eq!(
        (refused(&gone), gone.elements("Key").concat()),
        ((404, "NoSuchKey".to_owned()), key.to_owned())
    );
    assert!(bucket.violations().is_empty());
}

#[test]
fn w01_only_the_right_signature_is_let_in() {
    let (bucket, signer) = bucket(&["a"]);
    assert_eq!(signer.get("a", &[], &[]).status, 200);
    let with = |change: &dyn Fn(&mut Signer)| {
        let mut signer = signer.clone();
        change(&mut signer);
        refused(&signer.get("a", &[], &[]))
    };
    assert_eq!(with(&|s| s.secret.push('x')), (403, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(with(&|s| s.access_key_id.push('X')), (403, "InvalidAccessKeyId".to_owned()));
    assert_eq!(
        with(&|s| s.region = "us-east-1".to_owned()),
        (400, "AuthorizationHeaderMalformed".to_owned())
    );
    assert_eq!(with(&|s| s.now -= 16 * 60_000), (403, "RequestTimeTooSkewed".to_owned()));
    assert_eq!(with(&|s| s.now += 16 * 60_000), (403, "RequestTimeTooSkewed".to_owned()));
    assert_eq!(with(&|s| s.bucket = "other".to_owned()), (404, "NoSuchBucket".to_owned()));
    let bare = Client::new(&bucket.url(), &[]);
    assert_eq!(refused(&bare.get("/acme-moengage/a")), (403, "AccessDenied".to_owned()));
    assert_eq!(refused(&bare.get("/acme-moengage?list-type=2")), (403, "AccessDenied".to_owned()));
    let unsigned = signer.get("a", &[], &[("x-amz-meta-x", "1")]);
    assert_eq!(
        (refused(&unsigned), unsigned.elements("HeadersNotSigned").concat()),
        ((403, "AccessDenied".to_owned()), "x-amz-meta-x".to_owned())
    );
    bucket.set_key("AKIANEW", "new-secret");
    assert_eq!(refused(&signer.get("a", &[], &[])), (403, "InvalidAccessKeyId".to_owned()));
    let new =
        Signer { access_key_id: "AKIANEW".to_owned(), secret: "new-secret".to_owned(), ..signer.clone() };
    assert_eq!(new.get("a", &[], &[]).status, 200);
    let journal = format!("{:?}", bucket.journal());
    assert!(!journal.contains("Credential=") && !journal.contains("exports-secret"), "{journal}");
}

#[test]
fn n17_a_key_may_be_allowed_to_list_or_to_read_only() {
    let (bucket, signer) = bucket(&["a"]);
    let seen = |permission| {
        bucket.set_permission(permission);
        [signer.list(&[]).status, signer.get("a", &[], &[]).status, signer.get("none", &[], &[]).status]
    };
    assert_eq!(seen(Permission::NoListing), [403, 200, 403], "nor is it told what is missing");
    assert_eq!(seen(Permission::NoReading), [200, 403, 403]);
    assert_eq!(seen(Permission::Denied), [403, 403, 403]);
    assert_eq!(seen(Permission::Granted), [200, 200, 404]);
}

#[test]
fn google_s_interface_signs_for_the_region_auto() {
    let bucket = Bucket::start(Options { storage: Storage::Gcs, ..Options::default() }).unwrap();
    bucket.put("event-exports/app/1/export_day=2026-11-23/export_hour=13/f.json.gz", "x");
    let signer = Signer::of(&bucket);
    assert_eq!(keys(&signer.list(&[("prefix", "event-exports/")])).len(), 1);
    let amazon = Signer { region: "eu-central-1".to_owned(), ..signer.clone() };
    assert_eq!(amazon.list(&[]).status, 400);
    bucket.faults().add(Rule::any(Fault::rate_limited(true)).times(1)).unwrap();
    assert_eq!(refused(&signer.list(&[])), (429, "SlowDown".to_owned()));
}

#[test]
fn n14_faults_break_one_file_or_the_listing() {
    let (bucket, signer) = bucket(&["a", "b"]);
    bucket.faults().add(Rule::on("GET", "/{bucket}", Fault::rate_limited(false)).times(1)).unwrap();
    bucket
        .faults()
        .add(Rule::on("GET", "/{bucket}/{key}", Fault::cut(0)).target_contains("/b").times(1))
        .unwrap();
    assert_eq!(refused(&signer.list(&[])), (503, "SlowDown".to_owned()));
    assert_eq!(keys(&signer.list(&[])), ["a", "b"]);
    assert_eq!(signer.get("a", &[], &[]).text(), "a");
    assert_eq!(signer.get("b", &[], &[]).body, None, "broken off");
    assert_eq!(signer.get("b", &[], &[]).text(), "b");
}

#[test]
fn a_file_can_be_replaced_between_two_calls() {
    let (bucket, signer) = bucket(&["a", "b"]);
    let etag = signer.list(&[("prefix", "a")]).elements("ETag").concat();
    bucket.plan(1, FileChange::put("a", b"other"));
    bucket.plan(2, FileChange::Remove { key: "b".to_owned() });
    assert_eq!(signer.get("a", &[], &[("if-match", &etag)]).status, 200);
    assert_eq!(signer.get("a", &[], &[("if-match", &etag)]).status, 412);
    assert_eq!(signer.get("b", &[], &[]).status, 404);
    let control = Client::new(&bucket.url(), &[("content-type", "application/json")]);
    let change = |body| control.post("/_control/objects", body).status;
    assert_eq!(change(json!({"put-text": {"key": "c", "text": "three"}})), 204);
    assert_eq!(change(json!({"put-base64": {"key": "d", "base64": "AP8="}})), 204);
    assert_eq!(change(json!({"put-base64": {"key": "d", "base64": "?"}})), 400);
    assert_eq!(change(json!({"remove": {"key": "a"}})), 204);
    assert_eq!(change(json!({"remove": {"key": "a"}})), 400);
    assert_eq!(change(json!({"delete": "c"})), 400);
    assert_eq!(signer.get("d", &[], &[]).body.unwrap(), [0, 255]);
    let held = control.get("/_control/state").json()["objects"].clone();
    assert_eq!((&held[0]["key"], &held[0]["size"], &held[1]["key"]), (&json!("c"), &json!(5), &json!("d")));
}

#[test]
fn files_of_a_folder_are_read_while_they_are_sent() {
    let folder = std::env::temp_dir().join(format!("stand-ins-bucket-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("export_day=2026-11-23")).unwrap();
    let mut file = std::fs::File::create(folder.join("export_day=2026-11-23/big")).unwrap();
    // Longer than what is held at one time, and not a multiple of it.
    let bytes: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    file.write_all(&bytes).unwrap();
    std::fs::write(folder.join("small"), "s").unwrap();
    let (bucket, signer) = bucket(&["events/zz"]);
    bucket.serve_folder("events/", &folder);
    let listed = signer.list(&[("prefix", "events/")]);
    assert_eq!(keys(&listed), ["events/export_day=2026-11-23/big", "events/small", "events/zz"]);
    assert_eq!(bucket.keys(), keys(&listed));
    assert_eq!(listed.elements("Size")[0], "700001");
    assert_eq!(keys(&signer.list(&[("prefix", "events/export_day=2026-11-23/b")])).len(), 1);
    let whole = signer.get("events/export_day=2026-11-23/big", &[], &[]);
    assert_eq!(whole.header("etag").unwrap(), listed.elements("ETag")[0]);
    assert!(whole.body.unwrap() == bytes);
    let part = signer.get("events/export_day=2026-11-23/big", &[], &[("range", "bytes=262143-600000")]);
    assert!(part.body.unwrap() == bytes[262_143..=600_000]);
    bucket.faults().add(Rule::any(Fault::cut(300_000)).times(1)).unwrap();
    assert_eq!(signer.get("events/export_day=2026-11-23/big", &[], &[]).body, None);
    for outside in
        ["events/../events/small", "events/./small", "events//small", "events/export_day=2026-11-23"]
    {
        let client = signer.get(outside, &[], &[]);
        assert_eq!(client.status, 404, "{outside}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(keys(&signer.list(&[])), ["events/zz"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Both ways through a listing, by token and by the last key, give each key once and in order.
    #[test]
    fn n24_all_pages_together_are_all_keys(
        names in prop::collection::btree_set("[a-c/&é 日]{1,6}", 0..30),
        max_keys in 1_usize..8,
    ) {
        let names: BTreeSet<String> = names.into_iter().filter(|name| !name.starts_with('/')).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let (_bucket, signer) = bucket(&all);
        let max_keys = max_keys.to_string();
        for by_token in [true, false] {
            let mut found: Vec<String> = Vec::new();
            let mut at: Option<(&str, String)> = None;
            loop {
                let mut query = vec![("max-keys", max_keys.as_str())];
                query.extend(at.iter().map(|(name, value)| (*name, value.as_str())));
                let page = signer.list(&query);
                found.extend(keys(&page));
                if page.elements("IsTruncated").concat() == "false" {
                    break;
                }
                at = Some(match by_token {
                    true => ("continuation-token", page.elements("NextContinuationToken").concat()),
                    false => ("start-after", found.last().unwrap().clone()),
                });
            }
            prop_assert_eq!(found, all.clone());
        }
    }
}
