//! Gzip under a cap, because a few kilobytes can become a gigabyte.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;

/// Most inflated bytes for one compressed byte ...
const RATIO: u64 = 100;
/// ... once so many have come out: short, very regular answers are honest.
const RATIO_FROM: u64 = 1 << 20;

/// Why inflating stopped.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// More than the cap, or more than 100 times the compressed size.
    #[error("the compressed answer is larger than it may be")]
    TooLarge,
    /// Not gzip, or cut short.
    #[error("the compressed answer is broken")]
    Broken,
    /// What is read from failed.
    #[error("{0}")]
    Source(io::Error),
    /// What is written to failed.
    #[error("{0}")]
    Sink(io::Error),
}

/// Inflates all of `source` piece by piece into `sink`, at most `cap` bytes.
pub fn inflate(source: impl Read, cap: u64, sink: &mut dyn Write) -> Result<u64, InflateError> {
    let mut decoder = MultiGzDecoder::new(Counted { source, bytes: 0, failed: None });
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0_u64;
    loop {
        let read = match decoder.read(&mut buffer) {
            Ok(0) if decoder.get_ref().bytes == 0 => return Err(InflateError::Broken),
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {
                return Err(match decoder.get_mut().failed.take() {
                    Some(e) => InflateError::Source(e),
                    None => InflateError::Broken,
                });
            }
        };
        total = total.saturating_add(read as u64);
        let compressed = decoder.get_ref().bytes;
        if total > cap || (total > RATIO_FROM && total > compressed.saturating_mul(RATIO)) {
            return Err(InflateError::TooLarge);
        }
        sink.write_all(&buffer[..read]).map_err(InflateError::Sink)?;
    }
}

/// Counts compressed bytes, and remembers a failure of the source itself.
struct Counted<R> {
    source: R,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Ok(read) => {
                self.bytes += read as u64;
                Ok(read)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let kind = e.kind();
                self.failed = Some(e);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn all(bytes: &[u8], cap: u64) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        inflate(bytes, cap, &mut out)?;
        Ok(out)
    }

    #[test]
    fn n09_a_bomb_is_stopped_by_cap_and_by_ratio() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(all(&bomb, u64::MAX), Err(InflateError::TooLarge)));
        assert!(matches!(all(&bomb, 1_000), Err(InflateError::TooLarge)));
        // Nested: one layer only; the inside stays as it is.
        assert_eq!(all(&gzip(&bomb), u64::MAX).unwrap(), bomb);
        assert_eq!(all(&gzip(&vec![7; 1 << 20]), 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn n06_a_cut_is_an_error_at_every_byte() {
        let whole = gzip(b"{\"a\":1} and more than a little of it");
        for cut in 0..whole.len() {
            assert!(matches!(all(&whole[..cut], u64::MAX), Err(InflateError::Broken)), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2_000), 1..4)) {
            let members: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(all(&members, u64::MAX).unwrap(), parts.concat());
        }
    }
}
