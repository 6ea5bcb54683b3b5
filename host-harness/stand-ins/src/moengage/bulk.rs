//! Very many export records on disk, fast and without a truth in memory: for benchmarks.

use std::fs::{File, create_dir_all};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::clock::rfc3339;
use crate::random::Random;

/// Which records. Each is made from its number alone, so that a checker can make it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Records, numbered from 0.
    pub records: u64,
    /// Distinct people; each has a uid and an address.
    pub people: u64,
    /// Records of a file; the last one may hold fewer.
    pub records_per_file: u64,
    /// `db_name` of each line.
    pub db_name: String,
    /// Everything before `export_day=`.
    pub folder: String,
    /// Epoch seconds of the first event.
    pub first_s: i64,
    /// Seconds between the first and the last event.
    pub span_s: i64,
    /// Bytes of a line, its end included; shorter ones are filled up. 1,000 is about the least.
    pub line_bytes: usize,
}

impl Default for Bulk {
    fn default() -> Self {
        Self {
            seed: 1,
            records: 20_000,
            people: 5_000,
            records_per_file: 20_000,
            db_name: "Acme".to_owned(),
            folder: "events_acme".to_owned(),
            first_s: 1_790_000_000,
            span_s: 7 * 86_400,
            line_bytes: 1_024,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files below the folder, in the order of their events.
    pub files: Vec<PathBuf>,
    /// Lines in all of them.
    pub records: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
}

/// Codes and display names that the records go through.
const CODES: &[(&str, &str)] = &[
    ("MOE_EMAIL_SENT", "Email Sent"),
    ("MOE_EMAIL_DELIVERED", "Email Delivered"),
    ("MOE_EMAIL_OPEN", "Email Opened"),
    ("MOE_EMAIL_CLICK", "Email Clicked"),
    ("order_placed", "order_placed"),
    ("MOE_APP_OPENED", "App/Site Opened"),
];

/// Words that fill a line up, so that it compresses as text does.
const WORDS: &[&str] = &[
    "spring",
    "offer",
    "basket",
    "voucher",
    "newsletter",
    "shipping",
    "invoice",
    "loyalty",
    "members",
    "returns",
    "Größe",
    "café",
    "discount",
    "holiday",
    "garden",
    "kitchen",
    "winter",
    "shoes",
    "review",
    "wishlist",
];

impl Bulk {
    /// Epoch seconds of a record's event.
    pub fn time_s(&self, record: u64) -> i64 {
        let share = i128::from(record) * i128::from(self.span_s) / i128::from(self.records.max(1));
        self.first_s + share as i64
    }

    /// Index of the person of a record.
    pub fn person(&self, record: u64) -> u64 {
        self.random(record).below(self.people.max(1))
    }

    /// `event_uuid` of a record.
    pub fn uuid(&self, record: u64) -> String {
        let mut random = self.random(record);
        random.next();
        random.uuid()
    }

    /// Whether the records of a person say that it is unsubscribed: one in twenty is.
    pub fn unsubscribed(person: u64) -> bool {
        person.is_multiple_of(20)
    }

    fn random(&self, record: u64) -> Random {
        Random::new(
            self.seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ record.wrapping_mul(0xA076_1D64_78BD_642F),
        )
    }

    /// Adds the line of a record, with its end.
    pub fn line(&self, record: u64, into: &mut Vec<u8>) {
        let begin = into.len();
        let (person, at) = (self.person(record), self.time_s(record));
        let mut random = self.random(record);
        random.next();
        let uuid = random.uuid();
        let (code, name) = CODES[random.below(CODES.len() as u64) as usize];
        let campaign = random.below(40);
        let mail = code.starts_with("MOE_EMAIL");
        let event_type = if mail { "CAMPAIGN_EVENT" } else { "USER_ACTION_EVENT" };
        let moment = rfc3339((at + 900) * 1_000);
        let (day, hour) = (&moment[..10], &moment[11..13]);
        // Writing into memory can't fail.
        let _ = write!(
            into,
            r#"{{"app_name":"Example","db_name":"{db}","export_hour":"{hour}","export_day":"{day}","export_doc_id":"{record:024x}","event":{{"event_name":"{name}","event_code":"{code}","event_uuid":"{uuid}","event_time":{at},"event_type":"{event_type}","event_source":"MOENGAGE","email_id":"person{person}@example.com","uid":"c{person}","event_attributes":{{"campaign_id":"64a1b2c3d4e5f6a7b8c9d{campaign:03}","campaign_name":"Campaign {campaign}","campaign_type":"GENERAL","campaign_channel":"EMAIL","moe_delivery_type":"One Time","amount":{euros}.{cents:02},"moe_campaign_tags":["spring","sale"],"note":""#,
            db = self.db_name,
            euros = random.below(500),
            cents = random.below(100),
        );
        let tail = format!(
            r#""}},"user_attributes":{{"moengage_user_id":"{person:024x}","u_fn":"Anna","u_ln":"Person {person}","u_em":"person{person}@example.com","u_mb":"4915{person:09}","loyalty_points":{points}.0,"moe_unsubscribe":{out},"moe_hard_bounce":false,"moe_spam":false}},"device_attributes":{{"moengage_device_id":""}}}}}}"#,
            points = person % 1_000,
            out = Self::unsubscribed(person),
        );
        let mut room = self.line_bytes.saturating_sub(into.len() - begin + tail.len() + 1);
        while room > 0 {
            let word = WORDS[random.below(WORDS.len() as u64) as usize];
            if word.len() < room {
                into.extend_from_slice(word.as_bytes());
                into.push(b' ');
                room -= word.len() + 1;
            } else {
                into.extend(std::iter::repeat_n(b'x', room));
                room = 0;
            }
        }
        into.extend_from_slice(tail.as_bytes());
        into.push(b'\n');
    }

    /// Key of a file: its day is that of the export of its last record.
    pub fn key(&self, file: u64) -> String {
        let last = ((file + 1) * self.records_per_file.max(1)).min(self.records).saturating_sub(1);
        let day = rfc3339((self.time_s(last) + 900) * 1_000);
        let name = Random::new(self.seed ^ file).hex(16);
        format!("{}/export_day={}/event_exports_{file:016x}{name}.json.gz", self.folder, &day[..10])
    }

    /// Writes all files below a folder, which need not exist, at the fastest level of gzip.
    pub fn write(&self, below: &Path) -> io::Result<Written> {
        let per_file = self.records_per_file.max(1);
        let mut written = Written::default();
        let mut lines = Vec::new();
        for file in 0..self.records.div_ceil(per_file) {
            let path = below.join(self.key(file));
            if let Some(parent) = path.parent() {
                create_dir_all(parent)?;
            }
            let mut encoder = GzEncoder::new(BufWriter::new(File::create(&path)?), Compression::fast());
            for record in file * per_file..self.records.min((file + 1) * per_file) {
                self.line(record, &mut lines);
                written.records += 1;
                if lines.len() > 64 << 10 {
                    encoder.write_all(&lines)?;
                    written.raw_bytes += lines.len() as u64;
                    lines.clear();
                }
            }
            encoder.write_all(&lines)?;
            written.raw_bytes += lines.len() as u64;
            lines.clear();
            encoder.finish()?.flush()?;
            written.stored_bytes += std::fs::metadata(&path)?.len();
            written.files.push(path);
        }
        Ok(written)
    }
}
