//! An answer on its way out, whose body may break off at an exact byte or come in drips.

use std::io::{Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::Sleep;

use crate::faults::Answer;
use crate::http::{Close, FilePart, Reply};

/// Bytes of a file that are in memory at one time.
const FILE_CHUNK: u64 = 256 << 10;

/// The answer as it is sent. Where it is cut, its body ends after so many of the bytes that it
/// promises.
pub(crate) fn outgoing(reply: Reply, answer: &Answer) -> Response<Outgoing> {
    let promised = reply.length();
    let left = match answer {
        Answer::Cut { after } => promised.min(*after as u64),
        _ => promised,
    };
    let drip = match answer {
        Answer::Drip { bytes, every_ms } => {
            Some(Drip { bytes: (*bytes).max(1) as u64, every: Duration::from_millis(*every_ms), pause: None })
        }
        _ => None,
    };
    let source = reply.file.map_or(Source::Memory(reply.body), Source::File);
    let breaks_off = left < promised;
    let body = Outgoing { source, promised, left, breaks_off, drip, begun: false, flushed: false };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        // A header that a person's rule asks for and HTTP can't carry is left out.
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
            continue;
        };
        if name == CONTENT_TYPE {
            response.headers_mut().insert(name, value);
        } else {
            response.headers_mut().append(name, value);
        }
    }
    response
}

enum Source {
    Memory(Bytes),
    File(FilePart),
}

impl Source {
    /// The next bytes, at most so many; less only where that is convenient.
    fn take(&mut self, most: u64) -> std::io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => {
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.split_to(most))
            }
            Self::File(part) => {
                let mut file = part.file.as_ref();
                let mut chunk = vec![0; most.min(FILE_CHUNK) as usize];
                file.seek(SeekFrom::Start(part.offset))?;
                // A file that was shortened meanwhile ends the exchange.
                file.read_exact(&mut chunk)?;
                part.offset += chunk.len() as u64;
                Ok(chunk.into())
            }
        }
    }
}

struct Drip {
    bytes: u64,
    every: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A body that may promise more than it holds.
pub(crate) struct Outgoing {
    source: Source,
    promised: u64,
    /// Bytes still to be sent.
    left: u64,
    breaks_off: bool,
    drip: Option<Drip>,
    begun: bool,
    flushed: bool,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Close;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Close>>> {
        let this = &mut *self;
        if this.left > 0 {
            let mut most = this.left;
            if let Some(drip) = &mut this.drip {
                if this.begun {
                    let pause = drip.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(drip.every)));
                    std::task::ready!(pause.as_mut().poll(context));
                    drip.pause = None;
                }
                most = most.min(drip.bytes);
            }
            this.begun = true;
            let Ok(bytes) = this.source.take(most) else { return Poll::Ready(Some(Err(Close))) };
            this.left -= bytes.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !this.breaks_off {
            return Poll::Ready(None);
        }
        // The connection writes out what it holds when the body has nothing ready; only then
        // may it be broken off, or the client would not see the first bytes.
        if !this.flushed {
            this.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Close)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.begun { self.left } else { self.promised })
    }
}
