//! The data of a benchmark: batches from the stand-in's generator, as many as wanted.
//!
//! One round is generated and written to a file. Further rounds are the same bytes with other
//! names in the same places: every event gets an id of its own, and every few rounds the people
//! are other people. So a million records cost no more memory or time to make than one round,
//! and are a million different records to whoever reads them.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use stand_ins::moengage::generator::Generator;

/// Events of one round.
pub const ROUND: usize = 20_000;
/// People of one round; about fifty events for each over [`ROUNDS_OF_A_GROUP`] rounds.
const PEOPLE: usize = 2_000;
/// Rounds after which other people come.
const ROUNDS_OF_A_GROUP: usize = 5;
/// Bytes of one event with its comma.
pub const RECORD: usize = 1_024;
/// Events of one batch: MoEngage's default (MD:api/data/moengage-streams.mdx).
pub const BATCH: usize = 100;

/// Writes one round of at most `records` events to a file: for each batch its length, 32 bits in
/// little endian, and its bytes.
pub fn write(path: &Path, records: usize, now_s: i64) -> io::Result<()> {
    let generator = Generator {
        events: records.min(ROUND),
        people: PEOPLE.min(records.div_ceil(10)).max(1),
        batch_size: BATCH,
        now_s,
        late: 0.0,
        duplicates: 0.0,
        ..Generator::default()
    };
    let mut file = BufWriter::new(File::create(path)?);
    for batch in generator.generate().batches {
        let body = padded(&batch.body)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&body)?;
    }
    file.flush()
}

/// The batch with each event at [`RECORD`] bytes, as far as it isn't larger already.
fn padded(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut batch: Value = serde_json::from_slice(body)?;
    for event in batch["events"].as_array_mut().into_iter().flatten() {
        const KEY: &str = "\"remark\":\"\",";
        let missing = RECORD.saturating_sub(event.to_string().len() + KEY.len() + 1);
        if missing > 0 {
            event["event_attributes"]["remark"] = json!("x".repeat(missing));
        }
    }
    Ok(serde_json::to_vec(&batch)?)
}

/// Reads the file of a round, batch by batch, without end: after the last comes the next round.
pub struct Corpus {
    file: BufReader<File>,
    round: usize,
}

impl Corpus {
    /// Opens a file that [`write()`] wrote.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(256 * 1024, File::open(path)?), round: 0 })
    }

    /// The next batch into `body`.
    pub fn next(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        use std::io::Seek as _;
        let mut length = [0; 4];
        if self.file.fill_exactly(&mut length)? == Filled::End {
            self.file.rewind()?;
            self.round += 1;
            self.file.read_exact(&mut length)?;
        }
        body.resize(u32::from_le_bytes(length) as usize, 0);
        self.file.read_exact(body)?;
        relabel(body, self.round);
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Filled {
    All,
    End,
}

trait FillExactly {
    fn fill_exactly(&mut self, buffer: &mut [u8]) -> io::Result<Filled>;
}

impl FillExactly for BufReader<File> {
    /// Like `read_exact`, but the end right at the beginning is no error.
    fn fill_exactly(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        use std::io::BufRead as _;
        if self.fill_buf()?.is_empty() {
            return Ok(Filled::End);
        }
        self.read_exact(buffer).map(|()| Filled::All)
    }
}

/// Gives every event another id and every person of a group of rounds other names, in place.
fn relabel(body: &mut [u8], round: usize) {
    let group = round / ROUNDS_OF_A_GROUP;
    let uuid = format!("{round:08x}");
    let person = format!("{group:06x}");
    let digits = format!("{:04}", (4_000 + group) % 10_000);
    let mobile = format!("{:04}", (1_000 + group) % 10_000);
    let domain = format!("g{:06}", group % 1_000_000);
    let places: [(&[u8], &[u8]); 6] = [
        (b"\"event_uuid\":\"", uuid.as_bytes()),
        (b"\"moengage_user_id\":\"", person.as_bytes()),
        (b"\"uid\":\"", digits.as_bytes()),
        (b"\"u_mb\":\"49151", mobile.as_bytes()),
        (b"\"mobile_number\":\"49151", mobile.as_bytes()),
        (b"@", domain.as_bytes()),
    ];
    let mut at = 0;
    while let Some(found) = body[at..].iter().position(|byte| matches!(byte, b'"' | b'@')) {
        at += found;
        let place = places.iter().find(|(key, _)| body[at..].starts_with(key));
        let Some((key, label)) = place else {
            at += 1;
            continue;
        };
        at += key.len();
        // Anonymous uids are no numbers; they stay, and nobody hears of them anyway.
        let first = body.get(at).copied().unwrap_or_default();
        let replaced = *key != b"\"uid\":\"" || first.is_ascii_digit();
        if let (true, Some(room)) = (replaced, body.get_mut(at..at + label.len())) {
            room.copy_from_slice(label);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rounds_are_different_records_of_the_same_shape() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("corpus");
        write(&path, 200, 1_764_000_000).unwrap();
        let mut corpus = Corpus::open(&path).unwrap();
        let (mut body, mut uuids, mut people) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let rounds = 2 * ROUNDS_OF_A_GROUP;
        for _ in 0..2 * rounds {
            corpus.next(&mut body).unwrap();
            let batch: Value = serde_json::from_slice(&body).unwrap();
            for event in batch["events"].as_array().unwrap() {
                let length = event.to_string().len();
                assert!((RECORD - 12..=RECORD).contains(&length), "{length}: {event}");
                uuids.insert(event["event_uuid"].to_string());
                people.insert(event["user_attributes"]["moengage_user_id"].to_string());
                let address = event["user_attributes"]["u_em"].as_str().unwrap_or("a@b.com");
                assert!(address.ends_with(".com"), "{event}");
            }
        }
        assert_eq!(uuids.len(), 200 * rounds);
        assert!((30..=40).contains(&people.len()), "two groups of 20: {}", people.len());
    }
}
