//! Event export files of a generated history: what a backfill reads, and exactly what is in it.
//!
//! A line holds the same event, with the same `event_uuid`, as a Streams batch of the same
//! [`Generator`] (moengage: MD:user-guide/data/exports/events/data-warehouse/s3-exports.mdx).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::generator::{Generator, Truth};
use crate::bucket::Bucket;
use crate::clock::rfc3339;
use crate::random::Random;

/// How a history is exported.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportOptions {
    /// Everything before `export_day=`. The documents show `[<folder>_]<connection>` in S3 and
    /// `event-exports/<app>/<connection>` in Google's store.
    pub folder: String,
    /// Spelling of the day in the path.
    pub day: DaySpelling,
    /// Whether `export_hour=HH` follows the day, as in Google's store.
    pub hour_folders: bool,
    /// Names of the files.
    pub names: FileNames,
    /// `app_name` of each line.
    pub app_name: String,
    /// `db_name` of each line: the environment.
    pub db_name: String,
    /// Whether lines carry `export_doc_id`.
    pub doc_ids: bool,
    /// Most events of a file; files are cut at each hour too.
    pub events_per_file: usize,
    /// Seconds between an event and its export: the day of a folder is that of the export.
    pub delay_s: i64,
    /// Share of events that a later file holds again.
    pub duplicates: f64,
    /// Further lines, of `foreign_db_name`.
    pub foreign_lines: usize,
    /// For `foreign_lines`.
    pub foreign_db_name: String,
    /// A further file that is encrypted, as its name says.
    pub encrypted_file: bool,
    /// The last file ends in the middle of a further line.
    pub torn_last_line: bool,
    /// Lines end with CR and LF.
    pub crlf: bool,
    /// Parts that a file is compressed in, one after the other: gzip allows that.
    pub gzip_members: usize,
}

/// Spelling of the day in a path: the text of the documents and their examples differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaySpelling {
    /// `23-11-2026`.
    DayFirst,
    /// `2026-11-23`.
    YearFirst,
}

/// Names of export files: they changed between 2025-12-25 and 2026-01-20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileNames {
    /// `event_exports_1766620800.json.gz`.
    Epoch,
    /// `event_exports_` and 32 hexadecimal digits.
    Hex,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            folder: "events_acme".to_owned(),
            day: DaySpelling::YearFirst,
            hour_folders: false,
            names: FileNames::Hex,
            app_name: "Example".to_owned(),
            db_name: "Acme".to_owned(),
            doc_ids: true,
            events_per_file: 500,
            delay_s: 900,
            duplicates: 0.0,
            foreign_lines: 0,
            foreign_db_name: "Acme_Test".to_owned(),
            encrypted_file: false,
            torn_last_line: false,
            crlf: false,
            gzip_members: 1,
        }
    }
}

impl ExportOptions {
    /// The defaults, laid out as in Google's store.
    pub fn gcs() -> Self {
        Self { folder: "event-exports/Example/1001".to_owned(), hour_folders: true, ..Self::default() }
    }

    /// Folder of an export at this time, with the slash at its end.
    fn path(&self, at_s: i64) -> String {
        let (day, hour) = day_and_hour(at_s);
        let day = match (self.day, day.split('-').collect::<Vec<_>>().as_slice()) {
            (DaySpelling::DayFirst, [y, m, d]) => format!("{d}-{m}-{y}"),
            _ => day,
        };
        let hour = if self.hour_folders { format!("export_hour={hour}/") } else { String::new() };
        format!("{}/export_day={day}/{hour}", self.folder.trim_end_matches('/'))
    }

    fn line(&self, event: &Value, db_name: &str, at_s: i64, random: &mut Random) -> Vec<u8> {
        let (day, hour) = day_and_hour(at_s);
        let mut line = json!({
            "app_name": self.app_name, "db_name": db_name, "export_hour": hour, "export_day": day,
            "event": event,
        });
        if self.doc_ids {
            line["export_doc_id"] = json!(random.hex(24));
        }
        let mut bytes = line.to_string().into_bytes();
        bytes.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
        bytes
    }
}

/// `2026-11-23` and `13`.
fn day_and_hour(at_s: i64) -> (String, String) {
    let text = rfc3339(at_s.saturating_mul(1_000));
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    (part(0..10), part(11..13))
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its whole key in the bucket.
    pub key: String,
    /// As stored.
    pub bytes: Vec<u8>,
    /// Whole lines in it.
    pub lines: usize,
}

/// Files, and the truth about them.
#[derive(Clone, Debug)]
pub struct Exported {
    /// In the order in which they were written.
    pub files: Vec<ExportFile>,
    /// What a checker may hold the outcome against. Its events and people are those of the
    /// batches of the same generator; `duplicated` and `objects` are those of the files.
    pub truth: Truth,
    /// `event_uuid` of the lines of the other environment.
    pub foreign: BTreeSet<String>,
    /// Keys of the encrypted files.
    pub encrypted: Vec<String>,
}

impl Exported {
    /// Puts every file into a bucket.
    pub fn put_into(&self, bucket: &Bucket) {
        for file in &self.files {
            bucket.put(&file.key, file.bytes.clone());
        }
    }

    /// Writes every file below a folder of this machine.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for file in &self.files {
            let path = folder.join(&file.key);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, &file.bytes)?;
        }
        Ok(())
    }
}

/// One line that is to be exported, before it is in a file.
struct Export<'a> {
    at_s: i64,
    event: &'a Value,
    db_name: &'a str,
}

/// Exports the history of a generator. The same values make the same files.
pub fn export_files(generator: &Generator, options: &ExportOptions) -> Exported {
    let history = generator.history(&mut Random::new(generator.seed));
    let mut random = Random::new(generator.seed ^ 0xE0_0E);
    let (mut events, mut truth) = (history.events, history.truth);
    events.sort_by_key(|(at, _)| *at);
    let foreign_events = foreign(generator, options.foreign_lines, &mut random);
    let mut exports: Vec<Export<'_>> = Vec::new();
    for (at, event) in &events {
        let export = |at_s| Export { at_s, event, db_name: &options.db_name };
        exports.push(export(at + options.delay_s));
        if random.chance(options.duplicates) {
            exports.push(export(at + options.delay_s + 3_600));
            truth.duplicated.extend(event["event_uuid"].as_str().map(str::to_owned));
        }
    }
    truth.objects = exports.len();
    exports.extend(foreign_events.iter().map(|(at, event)| Export {
        at_s: at + options.delay_s,
        event,
        db_name: &options.foreign_db_name,
    }));
    exports.sort_by_key(|export| export.at_s);
    let mut hours: BTreeMap<i64, Vec<Export<'_>>> = BTreeMap::new();
    for export in exports {
        hours.entry(export.at_s.div_euclid(3_600)).or_default().push(export);
    }
    let chunks: Vec<&[Export<'_>]> =
        hours.values().flat_map(|hour| hour.chunks(options.events_per_file.max(1))).collect();
    let mut files = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let at_s = chunk[0].at_s;
        let mut lines: Vec<Vec<u8>> = chunk
            .iter()
            .map(|export| options.line(export.event, export.db_name, export.at_s, &mut random))
            .collect();
        let whole = lines.len();
        if options.torn_last_line && index + 1 == chunks.len() {
            // Of an event that another line holds whole, so that nothing is lost by it.
            let torn = lines.last().map(|line| line[..line.len() / 2].to_vec());
            lines.extend(torn);
        }
        let key = options.path(at_s) + &name(options, at_s, index, &mut random);
        files.push(ExportFile { key, bytes: compressed(&lines, options.gzip_members), lines: whole });
    }
    let mut encrypted = Vec::new();
    if options.encrypted_file {
        let at_s = generator.now_s;
        let key = format!("{}{}.gpg", options.path(at_s), name(options, at_s, files.len(), &mut random));
        // The head of an OpenPGP packet (public-key encrypted session key), and noise.
        let mut bytes = vec![0x85, 0x01, 0x0C, 0x03];
        bytes.extend((0..600).map(|_| random.below(256) as u8));
        encrypted.push(key.clone());
        files.push(ExportFile { key, bytes, lines: 0 });
    }
    let uuid = |(_, event): &(i64, Value)| event["event_uuid"].as_str().map(str::to_owned);
    Exported { files, truth, foreign: foreign_events.iter().filter_map(uuid).collect(), encrypted }
}

/// Events of people of another environment; nobody else has their ids and addresses.
fn foreign(generator: &Generator, lines: usize, random: &mut Random) -> Vec<(i64, Value)> {
    (0..lines)
        .map(|n| {
            let at = generator.now_s - random.below(generator.spread_s.max(1) as u64) as i64;
            let event = json!({
                "event_name": "Email Unsubscribed", "event_code": "MOE_EMAIL_UNSUBSCRIBE",
                "event_uuid": random.uuid(), "event_time": at, "event_type": "CAMPAIGN_EVENT",
                "event_source": "MOENGAGE", "uid": format!("foreign-{n}"),
                "email_id": format!("foreign{n}@example.org"),
                "event_attributes": {"campaign_id": random.hex(24)},
                "user_attributes": {
                    "moengage_user_id": random.hex(24), "u_em": format!("foreign{n}@example.org"),
                    "moe_unsubscribe": true,
                },
                "device_attributes": {"moengage_device_id": ""},
            });
            (at, event)
        })
        .collect()
}

fn name(options: &ExportOptions, at_s: i64, index: usize, random: &mut Random) -> String {
    match options.names {
        // The index keeps names apart where an hour has several files.
        FileNames::Epoch => format!("event_exports_{}.json.gz", at_s + index as i64),
        FileNames::Hex => format!("event_exports_{}.json.gz", random.hex(32)),
    }
}

fn compressed(lines: &[Vec<u8>], members: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in lines.chunks(lines.len().div_ceil(members.max(1)).max(1)) {
        let mut encoder = GzEncoder::new(&mut bytes, Compression::fast());
        // Writing into memory can't fail.
        let _ = part.iter().try_for_each(|line| encoder.write_all(line)).and_then(|()| encoder.try_finish());
    }
    bytes
}
