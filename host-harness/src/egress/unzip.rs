//! A zip archive that is one file in a wrapping: the file comes out under the same caps as gzip.
//!
//! Archives can say two things at once (two lists at the end, a header that differs from the
//! list, bytes that no list names), and every reader picks its own. Only the plain case is taken:
//! one list at the very end, one entry in it, at the beginning, in the clear, without a path in
//! its name. Everything else is refused by name, before the list is read into memory.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipArchive, ZipReadOptions};
use zip::result::ZipError;

use super::inflate::{RATIO, RATIO_FROM};

/// First bytes of an archive (APPNOTE.TXT, 4.3.7), of an empty one (4.3.16), and of one that is a
/// part of several (8.5.3).
pub const MAGIC: [[u8; 4]; 3] = [*b"PK\x03\x04", END, *b"PK\x07\x08"];

/// Begins the record at the end.
const END: [u8; 4] = *b"PK\x05\x06";
/// Length of that record without its comment.
const END_LENGTH: u64 = 22;
/// Longest comment.
const COMMENT: u64 = 0xffff;
/// Length of an entry of the list without its name, extra field and comment.
const ENTRY: u64 = 46;
/// What may stand between the packed bytes and the list: their sizes and sum, once more.
const DESCRIPTOR: u64 = 24;

/// Why an archive doesn't become a file.
#[derive(Debug, thiserror::Error)]
pub enum UnzipError {
    /// More than the cap, or more than 100 times the size of the archive.
    #[error("the file in the archive is larger than it may be")]
    TooLarge,
    /// Cut short, or its sums don't fit.
    #[error("the archive is broken")]
    Broken,
    /// It holds something else than one plain file; what.
    #[error("the archive is not one plain file: {0}")]
    NotOneFile(&'static str),
    /// The archive can't be read, or what is written to failed.
    #[error("{0}")]
    Disk(io::Error),
}

/// Writes the one file of `archive` into `sink`, at most `cap` bytes.
pub fn unzip<R: Read + Seek, W: Write>(archive: R, sink: &mut W, cap: u64) -> Result<(), UnzipError> {
    let mut source = Source { inner: archive, failed: None };
    let taken = take(&mut source, sink, cap);
    match source.failed {
        Some(error) => Err(UnzipError::Disk(error)),
        None => taken,
    }
}

fn take<R: Read + Seek, W: Write>(source: &mut Source<R>, sink: &mut W, cap: u64) -> Result<(), UnzipError> {
    let length = source.seek(SeekFrom::End(0)).map_err(|_| UnzipError::Broken)?;
    let list = list_at(source, length)?;
    source.rewind().map_err(|_| UnzipError::Broken)?;
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, BufReader::new(source)).map_err(broken)?;
    if archive.len() != 1 || archive.central_directory_start() != list {
        return Err(UnzipError::Broken);
    }
    let options = ZipReadOptions::new().enforce_header_consistency(true);
    let entry = archive.by_index_data(0).map_err(broken)?;
    if entry.encrypted() {
        return Err(UnzipError::NotOneFile("it is encrypted"));
    }
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(UnzipError::NotOneFile("it is packed in an unusual way"));
    }
    let regular = entry.unix_mode().is_none_or(|mode| matches!(mode & 0o170_000, 0 | 0o100_000));
    if !entry.is_file() || !regular {
        return Err(UnzipError::NotOneFile("its entry is no regular file"));
    }
    if !plain(entry.name_raw()) {
        return Err(UnzipError::NotOneFile("its entry's name has a path"));
    }
    let mut entry = archive.by_index_with_options(0, options).map_err(broken)?;
    let packed_end = entry.data_start().and_then(|start| start.checked_add(entry.compressed_size()));
    let gap = packed_end.and_then(|end| list.checked_sub(end));
    if entry.header_start() != 0 || gap.is_none_or(|gap| gap > DESCRIPTOR) {
        return Err(UnzipError::NotOneFile("it holds bytes that its list doesn't name"));
    }
    let allowed = cap.min(length.saturating_mul(RATIO).max(RATIO_FROM));
    let mut total = 0_u64;
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = entry.read(&mut piece).map_err(|_| UnzipError::Broken)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        total = total.saturating_add(read as u64);
        if total > allowed {
            return Err(UnzipError::TooLarge);
        }
        sink.write_all(bytes).map_err(UnzipError::Disk)?;
    }
    if total == entry.size() { Ok(()) } else { Err(UnzipError::Broken) }
}

/// Where the list of entries begins, after everything that it says of itself was found true.
fn list_at<R: Read + Seek>(source: &mut Source<R>, length: u64) -> Result<u64, UnzipError> {
    let window = length.min(END_LENGTH + COMMENT);
    let tail = bytes(source, length - window, window)?;
    // The last one, for that is what a reader finds first.
    let place = tail.windows(END.len()).rposition(|four| four == END).ok_or(UnzipError::Broken)?;
    let end = length - window + place as u64;
    let record = tail.get(place..).unwrap_or_default();
    let short = |at: usize| record.get(at..at + 2).map(|two| u64::from(u16::from_le_bytes([two[0], two[1]])));
    let long = |at: usize| {
        let four = record.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])))
    };
    let numbers = (short(4), short(6), short(8), short(10), long(12), long(16), short(20));
    let (Some(disk), Some(first), Some(here), Some(all), Some(size), Some(at), Some(comment)) = numbers
    else {
        return Err(UnzipError::Broken);
    };
    if end + END_LENGTH + comment != length {
        return Err(UnzipError::Broken);
    }
    let locator = end.checked_sub(20).map(|at| bytes(source, at, 4)).transpose()?;
    let far = locator.is_some_and(|four| four == b"PK\x06\x07");
    if far || all == 0xffff || here == 0xffff || size == 0xffff_ffff || at == 0xffff_ffff {
        return Err(UnzipError::NotOneFile("it is of the 64 bit kind"));
    }
    if disk != 0 || first != 0 || here != all {
        return Err(UnzipError::NotOneFile("it is a part of several"));
    }
    match all {
        0 => return Err(UnzipError::NotOneFile("it is empty")),
        1 => (),
        _ => return Err(UnzipError::NotOneFile("it holds more than one entry")),
    }
    if size < ENTRY || at.checked_add(size) != Some(end) {
        return Err(UnzipError::Broken);
    }
    let entry = bytes(source, at, ENTRY)?;
    let texts: u64 = entry[28..34].chunks(2).map(|two| u64::from(u16::from_le_bytes([two[0], two[1]]))).sum();
    match entry.starts_with(b"PK\x01\x02") && ENTRY + texts == size {
        true => Ok(at),
        false => Err(UnzipError::Broken),
    }
}

fn bytes<R: Read + Seek>(source: &mut Source<R>, at: u64, length: u64) -> Result<Vec<u8>, UnzipError> {
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(at)).map_err(|_| UnzipError::Broken)?;
    source.take(length).read_to_end(&mut bytes).map_err(|_| UnzipError::Broken)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(UnzipError::Broken) }
}

/// A name without a folder, and none that means one.
fn plain(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | b'\\' | b':') || byte.is_ascii_control())
}

fn broken(error: ZipError) -> UnzipError {
    match error {
        ZipError::UnsupportedArchive(_) => UnzipError::NotOneFile("it is of an unusual kind"),
        _ => UnzipError::Broken,
    }
}

/// Remembers that the disk failed, which is no fault of the archive.
struct Source<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R> Source<R> {
    fn seen<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            // Seeking before the begin is asked for by a wrong archive only.
            if kind != io::ErrorKind::InvalidInput && kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes);
        self.seen(read)
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = self.inner.seek(to);
        self.seen(place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::io::Cursor;

    use proptest::prelude::*;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn options() -> SimpleFileOptions {
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
    }

    fn archive(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut writer);
        writer.finish().unwrap().into_inner()
    }

    fn of_one(name: &str, bytes: &[u8], options: SimpleFileOptions) -> Vec<u8> {
        archive(|writer| {
            writer.start_file(name, options).unwrap();
            writer.write_all(bytes).unwrap();
        })
    }

    fn of(bytes: &[u8]) -> Vec<u8> {
        of_one("report.csv", bytes, options())
    }

    fn all(archive: &[u8], cap: u64) -> Result<Vec<u8>, UnzipError> {
        let mut out = Vec::new();
        unzip(Cursor::new(archive), &mut out, cap).map(|()| out)
    }

    fn why(archive: &[u8]) -> &'static str {
        match all(archive, u64::MAX) {
            Err(UnzipError::NotOneFile(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    /// The archive with another byte wherever one of its headers begins.
    fn patched(mut archive: Vec<u8>, magic: &[u8; 4], offset: usize, byte: u8) -> Vec<u8> {
        let at = archive.windows(4).position(|four| four == magic).unwrap();
        archive[at + offset] = byte;
        archive
    }

    #[test]
    fn one_plain_file_comes_out() {
        let text = b"day,sent\n2026-11-01,5\n".repeat(1_000);
        assert_eq!(all(&of(&text), u64::MAX).unwrap(), text);
        let stored = of_one("r.csv", &text, options().compression_method(CompressionMethod::Stored));
        assert_eq!(all(&stored, text.len() as u64).unwrap(), text);
        assert_eq!(all(&of(b""), 0).unwrap(), b"");
        let commented = archive(|writer| {
            writer.start_file("r.csv", options()).unwrap();
            writer.write_all(&text).unwrap();
            writer.set_comment("made by somebody").unwrap();
        });
        assert_eq!(all(&commented, u64::MAX).unwrap(), text);
    }

    #[test]
    fn s14_a_bomb_is_stopped_by_cap_and_by_ratio() {
        let bomb = of(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(all(&bomb, u64::MAX), Err(UnzipError::TooLarge)));
        assert!(matches!(all(&bomb, 1_000), Err(UnzipError::TooLarge)));
        // Nested: the inner one stays as it is.
        assert_eq!(all(&of(&bomb), u64::MAX).unwrap(), bomb);
        assert_eq!(all(&of(&vec![7; 1 << 20]), 1 << 20).unwrap().len(), 1 << 20);
    }

    /// A size that lies: what comes out is counted, not what is said.
    #[test]
    fn s14_a_stated_size_is_not_believed() {
        let small = patched(of(&vec![0; 2 << 20]), b"PK\x01\x02", 24 + 2, 0);
        let small = patched(small, b"PK\x03\x04", 22 + 2, 0);
        assert!(matches!(all(&small, 1 << 20), Err(UnzipError::Broken | UnzipError::TooLarge)));
    }

    #[test]
    fn s14_a_list_of_very_many_entries_is_refused_before_it_is_read() {
        let many = archive(|writer| {
            for n in 0..1_000 {
                writer.start_file(format!("{n}.csv"), options()).unwrap();
            }
        });
        assert_eq!(why(&many), "it holds more than one entry");
        // The same entry twice: a reader with names as keys sees one.
        let one = of(b"1");
        let at = one.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        let end = one.windows(4).position(|four| four == END).unwrap();
        let mut twice = one[..end].to_vec();
        twice.extend(&one[at..end]);
        let mut record = one[end..].to_vec();
        record[12..16].copy_from_slice(&(2 * (end - at) as u32).to_le_bytes());
        let lying: Vec<u8> = [&twice[..], &record].concat();
        assert!(matches!(all(&lying, u64::MAX), Err(UnzipError::Broken)));
        (record[8], record[10]) = (2, 2);
        assert_eq!(why(&[&twice[..], &record].concat()), "it holds more than one entry");
    }

    #[test]
    fn what_is_not_one_plain_file_is_refused_by_name() {
        assert_eq!(why(&archive(|_| ())), "it is empty");
        assert_eq!(
            why(&archive(|writer| writer.add_directory("folder", options()).unwrap())),
            "its entry is no regular file"
        );
        assert_eq!(
            why(&archive(|writer| writer.add_symlink("link", "/etc/passwd", options()).unwrap())),
            "its entry is no regular file"
        );
        for name in ["a/b.csv", "/b.csv", "../b.csv", "a\\b.csv", "C:b.csv", "..", "b\0.csv"] {
            assert!(!plain(name.as_bytes()), "{name:?}");
        }
        assert_eq!(why(&of_one("a/b.csv", b"1", options())), "its entry's name has a path");
        let encrypted = patched(patched(of(b"1"), b"PK\x03\x04", 6, 1), b"PK\x01\x02", 8, 1);
        assert_eq!(why(&encrypted), "it is encrypted");
        let packed = patched(patched(of(b"1"), b"PK\x03\x04", 8, 99), b"PK\x01\x02", 10, 99);
        assert!(matches!(all(&packed, u64::MAX), Err(UnzipError::NotOneFile(_))));
        for (offset, byte) in [(4, 1), (6, 1), (8, 0)] {
            assert_eq!(why(&patched(of(b"1"), &END, offset, byte)), "it is a part of several");
        }
    }

    #[test]
    fn archives_that_say_two_things_are_refused() {
        let one = of(b"1,2\n");
        // Bytes before, after, and between.
        assert!(all(&[b"x", &one[..]].concat(), u64::MAX).is_err());
        assert!(all(&[&one[..], b"x"].concat(), u64::MAX).is_err());
        let list = one.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        let end = one.windows(4).position(|four| four == END).unwrap();
        let mut hidden = one[..list].to_vec();
        hidden.extend(&of(b"another file, that no list names"));
        let at = hidden.len();
        hidden.extend(&one[list..]);
        let record = at + end - list;
        hidden[record + 16..record + 20].copy_from_slice(&(at as u32).to_le_bytes());
        assert_eq!(why(&hidden), "it holds bytes that its list doesn't name");
        // The header in front says another name than the list.
        assert!(all(&patched(one.clone(), b"PK\x03\x04", 30, b'x'), u64::MAX).is_err());
        // Numbers of the 64 bit kind, and its locator.
        assert_eq!(
            why(&patched(patched(one.clone(), &END, 10, 0xff), &END, 11, 0xff)),
            "it is of the 64 bit kind"
        );
        let mut far = one[..end].to_vec();
        far.extend(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
        far.extend(&one[end..]);
        assert_eq!(why(&far), "it is of the 64 bit kind");
    }

    #[test]
    fn n06_a_cut_is_an_error_at_every_byte() {
        let whole = of(b"{\"a\":1} and more than a little of it");
        for cut in 0..whole.len() {
            assert!(all(&whole[..cut], u64::MAX).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_disk_that_fails_is_not_called_a_broken_archive() {
        struct Failing(Cursor<Vec<u8>>);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        impl Seek for Failing {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }
        let failed = unzip(Failing(Cursor::new(of(b"1"))), &mut Vec::new(), 10);
        assert!(matches!(failed, Err(UnzipError::Disk(_))), "{failed:?}");
    }

    proptest! {
        #[test]
        fn n06_a_flipped_bit_never_passes_as_other_content(
            part in proptest::collection::vec(any::<u8>(), 1..300),
            place in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes = of(&part);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            // Some bits (of dates, of the versions) say nothing about the content.
            if let Ok(content) = all(&bytes, u64::MAX) {
                prop_assert!(content == part, "byte {}", place);
            }
        }

        #[test]
        fn s14_garbage_is_an_error_and_no_panic(
            part in proptest::collection::vec(any::<u8>(), 0..200),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..12),
            tail in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = of(&part);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = all(&bytes, 1 << 20);
            let _ = all(&tail, 1 << 20);
            let _ = all(&[&bytes[..], &tail].concat(), 1 << 20);
        }
    }
}
