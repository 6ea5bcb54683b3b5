//! Rows of comma-separated text that comes in pieces of any size.
//!
//! Where the pieces are cut changes nothing: a row that is cut is read again from its begin once
//! more of it is there, and what counts as too long depends on the row alone.

use csv_core::{ReadRecordResult, Reader};

/// Longest row in bytes. What is kept of one has to fit a record's 256 KiB.
pub const LONGEST_ROW: usize = 512 * 1024;

/// What a text holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The fields of a row, quotes resolved.
    Row(Vec<&'a [u8]>),
    /// A row that is longer than [`LONGEST_ROW`]. A quote that is never closed makes one of all
    /// that is left, so that nothing behind it can be trusted.
    TooLong,
    /// Nothing more without another piece.
    Hungry,
    /// Nothing more at all.
    End,
}

/// Finds rows. Empty lines are none.
pub struct Rows {
    reader: Reader,
    buffer: Vec<u8>,
    /// Where in the buffer the next row begins.
    at: usize,
    /// Where in the file the buffer begins.
    base: u64,
    /// No piece follows.
    ended: bool,
    /// The fields of the row that was read last, one behind the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Rows {
    /// Begins at an offset of the file, which is the begin of a row.
    pub fn new(offset: u64) -> Self {
        let (text, ends) = (vec![0; 4 * 1024], vec![0; 64]);
        Self { reader: Reader::new(), buffer: Vec::new(), at: 0, base: offset, ended: false, text, ends }
    }

    /// Takes the piece that follows.
    pub fn feed(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.base += self.at as u64;
        self.at = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// Says that no piece follows.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Where the next row begins.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Where the next piece begins.
    pub fn hungry_at(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// The next row of what was fed.
    pub fn next(&mut self) -> Item<'_> {
        self.reader.reset();
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let input = self.buffer.get(self.at + read..).unwrap_or_default();
            if read > LONGEST_ROW {
                return Item::TooLong;
            }
            // To the parser no input is the end of the file.
            if input.is_empty() && !self.ended {
                return Item::Hungry;
            }
            let (text, ends) = (self.text.get_mut(written..), self.ends.get_mut(fields..));
            let (result, taken, more, ended) =
                self.reader.read_record(input, text.unwrap_or_default(), ends.unwrap_or_default());
            (read, written, fields) = (read + taken, written + more, fields + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Item::End,
                ReadRecordResult::Record => break,
            }
        }
        if read > LONGEST_ROW {
            return Item::TooLong;
        }
        self.at += read;
        let ends = self.ends.get(..fields).unwrap_or_default();
        let begins = std::iter::once(&0).chain(ends);
        Item::Row(begins.zip(ends).map(|(&from, &to)| self.text.get(from..to).unwrap_or_default()).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Found = (Vec<Vec<Vec<u8>>>, bool);

    /// All rows of a text that comes in pieces of these sizes, the last of which repeats; where
    /// `resume` is set, each row is read by an instance of its own. And whether one was too long.
    fn rows(text: &[u8], sizes: &[usize], resume: bool) -> Found {
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(*sizes.last().unwrap()));
        let mut found = Vec::new();
        let mut rows = Rows::new(0);
        loop {
            match rows.next() {
                Item::Row(row) => {
                    found.push(row.into_iter().map(<[u8]>::to_vec).collect());
                    if resume {
                        rows = Rows::new(rows.offset());
                    }
                }
                Item::TooLong => return (found, true),
                Item::End => return (found, false),
                Item::Hungry => {
                    let begin = rows.hungry_at() as usize;
                    let piece = &text[begin..text.len().min(begin + sizes.next().unwrap())];
                    if piece.is_empty() { rows.end() } else { rows.feed(piece) }
                }
            }
        }
    }

    fn texts(text: &str) -> Vec<Vec<String>> {
        let (found, too_long) = rows(text.as_bytes(), &[usize::MAX / 2], false);
        assert!(!too_long);
        let text = |field: Vec<u8>| String::from_utf8(field).unwrap();
        found.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn rows_as_rfc_4180_has_them_and_as_people_write_them() {
        assert_eq!(texts(""), Vec::<Vec<String>>::new());
        assert_eq!(texts("\n\r\n\n"), Vec::<Vec<String>>::new());
        assert_eq!(texts("\u{FEFF}a,b\r\n1,2"), [["a", "b"], ["1", "2"]]);
        assert_eq!(texts("a,b\n\n1,\n"), [["a", "b"], ["1", ""]]);
        assert_eq!(texts("\"a,\"\"x\"\"\",\"b\nc\"\r\n"), [["a,\"x\"", "b\nc"]]);
        let wide: Vec<String> = (0..300).map(|n| "x".repeat(n)).collect();
        assert_eq!(texts(&wide.join(",")), [wide]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_too_long_and_not_a_row() {
        let text = format!("a,b\n\"{}", "x,1\n".repeat(LONGEST_ROW));
        for sizes in [&[LONGEST_ROW / 3][..], &[2_000_000], &[100_000, 7, 900_000]] {
            assert_eq!(rows(text.as_bytes(), sizes, true), (vec![vec![b"a".to_vec(), b"b".to_vec()]], true));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_rows(
            text in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(b','), Just(b'"'), Just(b'a'), any::<u8>()
            ], 0..200),
            sizes in proptest::collection::vec(1..30_usize, 1..20), resume: bool
        ) {
            prop_assert_eq!(rows(&text, &sizes, resume), rows(&text, &[1_000], false));
        }

        #[test]
        fn rows_that_were_written_are_read_back(
            table in proptest::collection::vec(proptest::collection::vec("[a,\"\n\r é]{0,6}", 2..5), 1..6)
        ) {
            let field = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(field).collect::<Vec<_>>().join(",");
            let text = table.iter().map(line).collect::<Vec<_>>().join("\r\n");
            prop_assert_eq!(texts(&text), table);
        }
    }
}
