//! An answer on its way out, whose body may break off at an exact byte.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::http::{Close, Reply};

/// The answer as it is sent; its body ends after `cut` bytes of those that it promises.
pub(crate) fn outgoing(reply: Reply, cut: Option<usize>) -> Response<Outgoing> {
    let body = Bytes::from(reply.body);
    let promised = body.len() as u64;
    let (body, breaks_off) = match cut {
        Some(after) if after < body.len() => (body.slice(..after), true),
        _ => (body, false),
    };
    let mut response = Response::new(Outgoing { body: Some(body), promised, breaks_off, flushed: false });
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

/// A body that may promise more than it holds.
pub(crate) struct Outgoing {
    body: Option<Bytes>,
    promised: u64,
    breaks_off: bool,
    flushed: bool,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Close;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Close>>> {
        match self.body.take() {
            Some(body) if !body.is_empty() => Poll::Ready(Some(Ok(Frame::data(body)))),
            _ if !self.breaks_off => Poll::Ready(None),
            // The connection writes out what it holds when the body has nothing ready; only then
            // may it be broken off, or the client would not see the first bytes.
            _ if !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(Close))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Bytes::is_empty) && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.body.is_some() { self.promised } else { 0 })
    }
}
