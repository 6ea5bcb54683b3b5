//! Refuses request heads that two HTTP implementations may read differently.
//!
//! hyper takes a bare LF as the end of a line, a repeated equal `content-length`, and lets
//! `transfer-encoding` win over `content-length`. Each is allowed (RFC 9112, 2.2 and 6.3) and
//! each is what request smuggling through a proxy is made of. This guard reads along and spoils
//! such a head with a NUL byte, which hyper answers with 400 before it closes the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Only this much of a line is looked at; the two headers that matter are short.
const LINE: usize = 256;

/// A stream of requests whose heads are watched.
pub(super) struct HeadGuard<S> {
    stream: S,
    scan: Scan,
}

impl<S> HeadGuard<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, scan: Scan::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum State {
    #[default]
    Head,
    /// Bytes of a body that are still to come.
    Body(u64),
    /// A chunked body. Nothing is watched from here on: the connection is not used again.
    Unwatched,
    /// Was spoiled.
    Spoiled,
}

#[derive(Default)]
struct Scan {
    state: State,
    line: Vec<u8>,
    line_length: usize,
    carriage_return: bool,
    started: bool,
    content_length: Option<u64>,
    chunked: bool,
}

impl Scan {
    /// Looks at new bytes; the first offset at which the head is to be spoiled.
    fn look(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Unwatched => return None,
                State::Spoiled => return Some(at),
                State::Body(left) => {
                    let take = left.min((bytes.len() - at) as u64);
                    at += take as usize;
                    self.state = if left == take { State::Head } else { State::Body(left - take) };
                }
                State::Head => {
                    if !self.head(bytes[at]) {
                        self.state = State::Spoiled;
                        return Some(at);
                    }
                    at += 1;
                }
            }
        }
        None
    }

    /// One byte of a head; false where it is not to be had.
    fn head(&mut self, byte: u8) -> bool {
        if self.carriage_return != (byte == b'\n') {
            return false; // CR without LF, or LF without CR
        }
        match byte {
            b'\r' => self.carriage_return = true,
            b'\n' => {
                self.carriage_return = false;
                return self.end_of_line();
            }
            b' ' | b'\t' if self.started && self.line_length == 0 => return false, // folded line
            _ => {
                self.line_length += 1;
                if self.line.len() < LINE {
                    self.line.push(byte);
                }
            }
        }
        true
    }

    fn end_of_line(&mut self) -> bool {
        let empty = self.line_length == 0;
        let line = std::mem::take(&mut self.line);
        self.line_length = 0;
        if empty && self.started {
            self.end_of_head();
            return true;
        }
        if empty {
            return true; // empty lines before a request are skipped (RFC 9112, 2.2)
        }
        if !self.started {
            self.started = true; // the request line
            return true;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return true };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.content_length.is_some() {
                return false;
            }
            match digits(value) {
                Some(length) => self.content_length = Some(length),
                None => return false,
            }
        }
        !(self.chunked && self.content_length.is_some())
    }

    fn end_of_head(&mut self) {
        let length = self.content_length.take().unwrap_or(0);
        self.started = false;
        self.state = if std::mem::take(&mut self.chunked) {
            State::Unwatched
        } else if length > 0 {
            State::Body(length)
        } else {
            State::Head
        };
    }
}

/// A number in decimal digits, with blanks around it.
fn digits(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let text = std::str::from_utf8(value).ok()?;
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.scan.state == State::Spoiled {
            return Poll::Ready(Ok(())); // reads as the end of the stream
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(at) = self.scan.look(&buf.filled()[before..]) {
            buf.filled_mut()[before + at] = 0;
            buf.set_filled(before + at + 1);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where it is spoiled, when the bytes come in pieces of this size.
    fn spoiled(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut scan = Scan::default();
        let mut offset = 0;
        for chunk in bytes.chunks(piece) {
            if let Some(at) = scan.look(chunk) {
                return Some(offset + at);
            }
            offset += chunk.len();
        }
        None
    }

    proptest! {
        /// How the network cuts the bytes makes no difference.
        #[test]
        fn pieces_do_not_matter(text in "(POST / HTTP/1.1|\r|\n| |:|\r\n|content-length: 3|transfer-encoding: chunked|a: b){0,20}", piece in 1usize..40) {
            prop_assert_eq!(spoiled(text.as_bytes(), piece), spoiled(text.as_bytes(), usize::MAX));
        }
    }

    #[test]
    fn a_body_is_not_looked_at_and_the_next_head_is() {
        let good = b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n\n \n\nGET / HTTP/1.1\r\na: b\r\n\r\n";
        assert_eq!(spoiled(good, 7), None);
        let bad = b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n\n \n\nGET / HTTP/1.1\na: b\r\n\r\n";
        assert_eq!(spoiled(bad, 7), Some(bad.len() - 9));
    }
}
