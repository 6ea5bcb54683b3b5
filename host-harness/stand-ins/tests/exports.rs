//! Export files: what is in them, where they lie, and that they tell the history of the batches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use client::signer::Signer;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use stand_ins::bucket::{Bucket, Options};
use stand_ins::moengage::Generator;
use stand_ins::moengage::bulk::Bulk;
use stand_ins::moengage::exports::{DaySpelling, ExportFile, ExportOptions, FileNames, export_files};

/// One in the morning: the events of four hours lie on two days.
const NOW: i64 = 1_789_952_400_000;

fn generator() -> Generator {
    Generator { events: 400, people: 60, ..Generator::new(7, NOW) }
}

fn text(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    // A line may be torn in the middle of a letter.
    String::from_utf8_lossy(&text).into_owned()
}

fn lines(file: &ExportFile) -> Vec<Value> {
    text(&file.bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Events by their uuid, of those that are of this environment.
fn events<'a>(files: impl IntoIterator<Item = &'a ExportFile>) -> BTreeMap<String, Value> {
    let all = files.into_iter().filter(|file| !file.key.ends_with(".gpg")).flat_map(lines);
    all.filter(|line| line["db_name"] == "Acme")
        .map(|line| (line["event"]["event_uuid"].as_str().unwrap().to_owned(), line["event"].clone()))
        .collect()
}

#[test]
fn the_files_hold_the_events_of_the_batches() {
    let generator = generator();
    let pushed = generator.generate();
    let exported = export_files(&generator, &ExportOptions::default());
    let mut in_batches = BTreeMap::new();
    for batch in &pushed.batches {
        let body: Value = serde_json::from_slice(&batch.body).unwrap();
        for event in body["events"].as_array().unwrap() {
            in_batches.insert(event["event_uuid"].as_str().unwrap().to_owned(), event.clone());
        }
    }
    assert_eq!(events(&exported.files), in_batches);
    assert_eq!(in_batches.len(), 400);
    assert_eq!(
        (&exported.truth.events, &exported.truth.people),
        (&pushed.truth.events, &pushed.truth.people)
    );
    assert_eq!(exported.truth.objects, 400);
    let again = export_files(&generator, &ExportOptions::default());
    assert_eq!(exported.files, again.files);
}

#[test]
fn get_user_knows_the_same_people() {
    let generator = generator();
    let (users, truth) = (generator.users(), generator.generate().truth);
    assert_eq!(users.len(), truth.people.len());
    for (user, person) in users.iter().zip(&truth.people) {
        assert_eq!(user.customer_id, person.uid);
        assert_eq!(user.attributes.get("u_em").and_then(Value::as_str), person.email.as_deref());
        if person.events > 0 {
            let flag = |name: &str| user.attributes.get(name).map(|value| value.as_bool().unwrap());
            assert_eq!(flag("moe_unsubscribe"), person.unsubscribed);
            assert_eq!(flag("moe_spam"), person.complained);
        }
    }
    assert!(truth.people.iter().any(|person| person.unsubscribed == Some(true)));
}

#[test]
fn files_lie_in_the_folder_of_their_export() {
    let generator = generator();
    let s3 =
        ExportOptions { day: DaySpelling::DayFirst, names: FileNames::Epoch, ..ExportOptions::default() };
    let mut names = BTreeSet::new();
    for file in &export_files(&generator, &s3).files {
        let rest = file.key.strip_prefix("events_acme/export_day=").unwrap();
        let (day, name) = rest.split_once("/event_exports_").unwrap();
        let epoch = name.strip_suffix(".json.gz").unwrap();
        assert!(epoch.len() == 10 && epoch.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        assert!(names.insert(file.key.clone()), "{} comes twice", file.key);
        for line in lines(file) {
            let [y, m, d] = line["export_day"].as_str().unwrap().split('-').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert_eq!(day, format!("{d}-{m}-{y}"));
        }
    }
    let mut other_day = 0;
    for file in &export_files(&generator, &ExportOptions::gcs()).files {
        let line = &lines(file)[0];
        let (day, hour) = (line["export_day"].as_str().unwrap(), line["export_hour"].as_str().unwrap());
        let folder = format!("event-exports/Example/1001/export_day={day}/export_hour={hour}/event_exports_");
        let name = file.key.strip_prefix(&folder).unwrap_or_else(|| panic!("{} in {folder}", file.key));
        assert_eq!(name.len(), 32 + ".json.gz".len());
        for line in lines(file) {
            let time = &line["event"]["event_time"];
            let time = time.as_i64().or_else(|| time.as_str()?.parse().ok()).unwrap();
            let own = stand_ins::clock::rfc3339(time * 1_000);
            other_day += usize::from(!own.starts_with(line["export_day"].as_str().unwrap()));
            assert!(line["export_doc_id"].is_string() && line["app_name"] == "Example");
        }
    }
    assert!(other_day > 0, "some events of late evening are exported on the next day");
}

#[test]
fn n23_d01_what_goes_wrong_in_files_is_counted() {
    let generator = generator();
    let options = ExportOptions {
        duplicates: 0.2,
        foreign_lines: 9,
        encrypted_file: true,
        torn_last_line: true,
        crlf: true,
        gzip_members: 3,
        events_per_file: 50,
        ..ExportOptions::default()
    };
    let exported = export_files(&generator, &options);
    assert!(exported.files.iter().all(|file| file.lines <= 50));
    let [secret] =
        exported.files.iter().filter(|file| file.key.ends_with(".json.gz.gpg")).collect::<Vec<_>>()[..]
    else {
        panic!("one encrypted file")
    };
    assert_eq!((&exported.encrypted, secret.bytes[0], secret.lines), (&vec![secret.key.clone()], 0x85, 0));
    let (mut seen, mut foreign, mut torn) = (BTreeMap::<String, usize>::new(), BTreeSet::new(), 0);
    for file in exported.files.iter().filter(|file| file.key != secret.key) {
        let text = text(&file.bytes);
        assert_eq!(text.matches("\r\n").count(), file.lines);
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                torn += 1;
                continue;
            };
            let uuid = line["event"]["event_uuid"].as_str().unwrap().to_owned();
            match line["db_name"].as_str().unwrap() {
                "Acme" => *seen.entry(uuid).or_default() += 1,
                "Acme_Test" => assert!(foreign.insert(uuid)),
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(torn, 1);
    assert_eq!((foreign.len(), &foreign), (9, &exported.foreign));
    let twice: BTreeSet<String> =
        seen.iter().filter(|(_, n)| **n == 2).map(|(uuid, _)| uuid.clone()).collect();
    assert_eq!(twice, exported.truth.duplicated);
    assert_eq!(seen.values().sum::<usize>(), exported.truth.objects);
    assert!(seen.keys().eq(exported.truth.events.keys()) && twice.len() > 20);
    let members = exported.files.iter().filter(|file| {
        let mut first = String::new();
        flate2::read::GzDecoder::new(&*file.bytes).read_to_string(&mut first).is_ok()
            && first.lines().count() < file.lines
    });
    assert!(members.count() > 0, "who stops after the first member of a file loses lines");
}

#[test]
fn files_are_read_from_a_bucket_and_from_disk() {
    let exported = export_files(&generator(), &ExportOptions::default());
    let bucket = Bucket::start(Options::default()).unwrap();
    exported.put_into(&bucket);
    let signer = Signer::of(&bucket);
    let listed = signer.list(&[("prefix", "events_acme/export_day=")]).elements("Key");
    let fetched: Vec<ExportFile> = listed
        .iter()
        .map(|key| ExportFile { key: key.clone(), bytes: signer.get(key, &[], &[]).body.unwrap(), lines: 0 })
        .collect();
    assert_eq!(events(&fetched), events(&exported.files));
    let folder = std::env::temp_dir().join(format!("stand-ins-exports-{}", std::process::id()));
    exported.write_to(&folder).unwrap();
    for file in &exported.files {
        assert!(std::fs::read(folder.join(&file.key)).unwrap() == file.bytes);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn very_many_records_are_what_their_numbers_say() {
    let bulk = Bulk { records: 2_500, records_per_file: 1_000, people: 50, ..Bulk::default() };
    let folder = std::env::temp_dir().join(format!("stand-ins-bulk-{}", std::process::id()));
    let written = bulk.write(&folder).unwrap();
    assert_eq!((written.records, written.files.len()), (2_500, 3));
    assert_eq!(written.raw_bytes, 2_500 * 1_024, "each line is filled up to its length");
    assert!(written.stored_bytes * 2 < written.raw_bytes && written.stored_bytes * 20 > written.raw_bytes);
    let mut record = 0;
    let mut people = BTreeSet::new();
    for (file, path) in written.files.iter().enumerate() {
        assert_eq!(path, &folder.join(bulk.key(file as u64)));
        let text = text(&std::fs::read(path).unwrap());
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let event = &line["event"];
            assert_eq!(event["event_uuid"], bulk.uuid(record));
            assert_eq!(event["event_time"], bulk.time_s(record));
            assert_eq!(event["uid"], format!("c{}", bulk.person(record)));
            assert_eq!(event["user_attributes"]["moe_unsubscribe"], Bulk::unsubscribed(bulk.person(record)));
            people.insert(bulk.person(record));
            record += 1;
        }
        let day = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(text.ends_with('\n') && day.starts_with("export_day=2026-"), "{day}");
    }
    assert_eq!((record, people.len()), (2_500, 50));
    std::fs::remove_dir_all(&folder).unwrap();
}
