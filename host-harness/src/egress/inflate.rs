//! Gzip under a cap, because a few kilobytes can become a gigabyte.
//!
//! Compressed bytes are pushed in as they come, and what they inflate to goes on at once: a large
//! file is never held, and inflating costs no second pass over the disk.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Most inflated bytes for one compressed byte ...
pub(super) const RATIO: u64 = 100;
/// ... once so many have come out: short, very regular answers are honest.
pub(super) const RATIO_FROM: u64 = 1 << 20;

/// Why inflating stopped.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// More than the cap, or more than 100 times the compressed size.
    #[error("the compressed answer is larger than it may be")]
    TooLarge,
    /// Not gzip, or cut short.
    #[error("the compressed answer is broken")]
    Broken,
    /// What is written to failed.
    #[error("{0}")]
    Sink(io::Error),
}

/// Inflates what is pushed into it, all members of the file, into a sink.
pub struct Inflate<W: Write> {
    decoder: MultiGzDecoder<Capped<W>>,
    compressed: u64,
    cap: u64,
}

impl<W: Write> Inflate<W> {
    /// Lets at most `cap` bytes through to `sink`.
    pub fn new(sink: W, cap: u64) -> Self {
        let sink = Capped { sink, total: 0, allowed: 0, over: false, failed: None };
        Self { decoder: MultiGzDecoder::new(sink), compressed: 0, cap }
    }

    /// The next compressed bytes. After an error nothing more may be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        self.compressed = self.compressed.saturating_add(bytes.len() as u64);
        let by_ratio = self.compressed.saturating_mul(RATIO).max(RATIO_FROM);
        self.decoder.get_mut().allowed = self.cap.min(by_ratio);
        let pushed = self.decoder.write_all(bytes);
        pushed.map_err(|_| self.why())
    }

    /// The end of the input: the last member has to be whole. Nothing more may be pushed.
    pub fn finish(&mut self) -> Result<(), InflateError> {
        let finished = self.decoder.try_finish();
        finished.map_err(|_| self.why())
    }

    /// The sink, after [`Self::finish`].
    pub fn into_sink(self) -> Result<W, InflateError> {
        Ok(self.decoder.finish().map_err(|_| InflateError::Broken)?.sink)
    }

    /// What the inflated bytes go into.
    pub fn sink(&mut self) -> &mut W {
        &mut self.decoder.get_mut().sink
    }

    fn why(&mut self) -> InflateError {
        let capped = self.decoder.get_mut();
        match capped.failed.take() {
            Some(error) => InflateError::Sink(error),
            None if capped.over => InflateError::TooLarge,
            None => InflateError::Broken,
        }
    }
}

/// Counts what comes out, and remembers whose failure it was.
struct Capped<W> {
    sink: W,
    total: u64,
    allowed: u64,
    over: bool,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Capped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.over || self.failed.is_some() || self.total > self.allowed {
            self.over |= self.failed.is_none();
            return Err(io::ErrorKind::Other.into());
        }
        match self.sink.write_all(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
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
        pieces(bytes, usize::MAX, cap)
    }

    fn pieces(bytes: &[u8], size: usize, cap: u64) -> Result<Vec<u8>, InflateError> {
        let mut inflate = Inflate::new(Vec::new(), cap);
        for piece in bytes.chunks(size) {
            inflate.push(piece)?;
        }
        inflate.finish()?;
        inflate.into_sink()
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
        fn what_was_put_in_comes_out_however_it_arrives(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2_000), 1..4),
            size in 1..200_usize,
        ) {
            let members: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            prop_assert_eq!(all(&members, u64::MAX).unwrap(), parts.concat());
            prop_assert_eq!(pieces(&members, size, u64::MAX).unwrap(), parts.concat());
        }

        #[test]
        fn n06_a_flipped_bit_never_passes_as_other_content(
            part in proptest::collection::vec(any::<u8>(), 1..300),
            place in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes = gzip(&part);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            // Some bits (of the header, of padding) say nothing about the content.
            if let Ok(content) = all(&bytes, u64::MAX) {
                prop_assert!(content == part, "byte {}", place);
            }
        }

        #[test]
        fn n06_garbage_is_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1..50_usize) {
            let mut gzip = vec![0x1f, 0x8b, 8];
            gzip.extend(&bytes);
            let _ = pieces(&gzip, size, 1 << 20);
            let _ = pieces(&bytes, size, 1 << 20);
        }
    }
}
