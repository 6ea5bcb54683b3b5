//! Archives as report files come in: zip and gzip, written byte by byte.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};

/// A gzip file of these bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // A vector takes whatever is written into it.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A zip archive of these files, each with its name, in order. Sizes and sums stand before each
/// file, and again in the list at the end (APPNOTE.TXT 6.3.10, 4.3.7 and 4.3.12).
pub fn zip<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let (mut archive, mut list, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for (name, bytes) in files {
        let at = archive.len() as u32;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let _ = encoder.write_all(bytes);
        let packed = encoder.finish().unwrap_or_default();
        let mut crc = Crc::new();
        crc.update(bytes);
        let mut common = Vec::new();
        for short in [20, 0, 8, 0, 0x21] {
            // Version, flags, deflate, midnight of 1980-01-01.
            common.extend(u16::to_le_bytes(short));
        }
        for long in [crc.sum(), packed.len() as u32, bytes.len() as u32] {
            common.extend(long.to_le_bytes());
        }
        for short in [name.len() as u16, 0] {
            common.extend(short.to_le_bytes());
        }
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(packed);
        list.extend(b"PK\x01\x02\x14\x00");
        list.extend(common);
        // No comment, disk 0, binary, no attributes.
        list.extend([0; 10]);
        list.extend(at.to_le_bytes());
        list.extend(name.as_bytes());
        count += 1;
    }
    let (at, length) = (archive.len() as u32, list.len() as u32);
    archive.extend(list);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    archive.extend(length.to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;

    use super::*;

    #[test]
    fn each_file_can_be_taken_out_by_the_list_at_the_end() {
        let files = [("a.csv", &b"day,sent\n2026-11-01,5\n"[..]), ("b.csv", b"")];
        let archive = zip(files);
        let number = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap()) as usize;
        let end = archive.len() - 22;
        assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
        let mut entry = number(end + 16);
        for (name, bytes) in files {
            assert_eq!(&archive[entry..entry + 4], b"PK\x01\x02");
            let (packed, whole, at) = (number(entry + 20), number(entry + 24), number(entry + 42));
            assert_eq!((&archive[at..at + 4], whole), (&b"PK\x03\x04"[..], bytes.len()));
            assert_eq!(&archive[at + 30..at + 30 + name.len()], name.as_bytes());
            let body = at + 30 + name.len();
            let mut out = Vec::new();
            flate2::read::DeflateDecoder::new(&archive[body..body + packed]).read_to_end(&mut out).unwrap();
            assert_eq!(out, bytes);
            entry += 46 + name.len();
        }
        assert_eq!(entry, end);
    }

    #[test]
    fn gzip_comes_back() {
        let mut out = String::new();
        flate2::read::GzDecoder::new(&gzip(b"a,b\n")[..]).read_to_string(&mut out).unwrap();
        assert_eq!(out, "a,b\n");
    }
}
