//! Newline-delimited text that comes in pieces of any size.
//!
//! Where the pieces are cut changes nothing: a line that is cut is carried over to the next
//! piece, and what counts as too long depends on the line alone.

use std::io::BufRead;

/// Longest line in bytes, its end not counted. The bodies of one event hold at most 512 KiB.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// What a piece holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A line without its end, and where it begins in the file.
    Line(u64, &'a [u8]),
    /// A line that is longer than [`LONGEST_LINE`], and where it begins. Told once; the rest of it
    /// is passed over.
    TooLong(u64),
    /// Nothing more without another piece.
    Hungry,
}

/// Finds lines.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where in the buffer the next line begins.
    at: usize,
    /// Where in the file the buffer begins.
    base: u64,
    /// Inside of a line that is too long.
    passing: bool,
    /// No piece follows.
    ended: bool,
}

impl Lines {
    /// Begins at an offset of the file, where `passing` says that a line began earlier that is
    /// too long.
    pub fn new(offset: u64, passing: bool) -> Self {
        Self { buffer: Vec::new(), at: 0, base: offset, passing, ended: false }
    }

    /// Takes the piece that follows.
    pub fn feed(&mut self, piece: Vec<u8>) {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        self.base += self.at as u64;
        if rest.is_empty() {
            self.buffer = piece;
        } else {
            let mut buffer = Vec::with_capacity(rest.len() + piece.len());
            buffer.extend_from_slice(rest);
            buffer.extend_from_slice(&piece);
            self.buffer = buffer;
        }
        self.at = 0;
    }

    /// Says that no piece follows: what is left is the last line.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Where reading has to begin again to find what was not given out yet, and whether that is
    /// inside of a line that is too long.
    pub fn resume(&self) -> (u64, bool) {
        (self.base + self.at as u64, self.passing)
    }

    /// Where the next piece begins.
    pub fn hungry_at(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// The next line of what was fed.
    pub fn next(&mut self) -> Item<'_> {
        loop {
            let begin = self.at;
            let mut rest = self.buffer.get(begin..).unwrap_or_default();
            let all = rest.len();
            // Reading from memory can't fail.
            let taken = rest.skip_until(b'\n').unwrap_or(all);
            let complete = taken > 0 && self.buffer.get(begin + taken - 1) == Some(&b'\n');
            let length = if complete { taken - 1 } else { taken };
            if !(complete || self.ended && taken > 0) {
                if self.passing || length > LONGEST_LINE {
                    let first = !std::mem::replace(&mut self.passing, true);
                    self.at += taken;
                    if first {
                        return Item::TooLong(self.base + begin as u64);
                    }
                }
                return Item::Hungry;
            }
            self.at += taken;
            if std::mem::take(&mut self.passing) {
                continue; // the end of a line that was already told of
            }
            let offset = self.base + begin as u64;
            if length > LONGEST_LINE {
                return Item::TooLong(offset);
            }
            return Item::Line(offset, self.buffer.get(begin..begin + length).unwrap_or_default());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Found = Vec<(u64, Option<Vec<u8>>)>;

    /// All lines of a text that comes in pieces of these sizes, the last of which repeats; where
    /// `resume` is set, each piece is read by an instance of its own.
    fn lines(text: &[u8], sizes: &[usize], resume: bool) -> Found {
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap()));
        let mut found = Vec::new();
        let mut lines = Lines::new(0, false);
        loop {
            let ended = lines.ended;
            match lines.next() {
                Item::Line(offset, line) => found.push((offset, Some(line.to_vec()))),
                Item::TooLong(offset) => found.push((offset, None)),
                Item::Hungry if ended => return found,
                Item::Hungry => {
                    if resume && lines.at > 0 {
                        let (offset, passing) = lines.resume();
                        lines = Lines::new(offset, passing);
                        continue;
                    }
                    let begin = lines.hungry_at() as usize;
                    let piece = &text[begin..text.len().min(begin + sizes.next().unwrap())];
                    if piece.is_empty() { lines.end() } else { lines.feed(piece.to_vec()) }
                }
            }
        }
    }

    fn expected(text: &[u8]) -> Found {
        let mut found = Vec::new();
        let mut offset = 0;
        for line in text.split_inclusive(|&b| b == b'\n') {
            let bare = line.strip_suffix(b"\n").unwrap_or(line);
            found.push((offset, (bare.len() <= LONGEST_LINE).then(|| bare.to_vec())));
            offset += line.len() as u64;
        }
        found
    }

    #[test]
    fn a_line_of_the_greatest_length_and_one_beyond() {
        for (length, last) in [(LONGEST_LINE, true), (LONGEST_LINE + 1, true), (3 * LONGEST_LINE, false)] {
            let mut text = b"{}\n".to_vec();
            text.extend(std::iter::repeat_n(b'x', length));
            if !last {
                text.extend(b"\n\nend");
            }
            for sizes in [&[1_000_003][..], &[LONGEST_LINE], &[4, 1 << 20, 7], &[5 << 20]] {
                for resume in [false, true] {
                    assert_eq!(lines(&text, sizes, resume), expected(&text), "{length} {sizes:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
            sizes in proptest::collection::vec(1..40_usize, 1..20),
            resume: bool
        ) {
            prop_assert_eq!(lines(&text, &sizes, resume), expected(&text));
        }
    }
}
