//! One request of a stream.

use bytes::Bytes;
use serde_json::{Value, json};

/// One POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// As sent; not always UTF-8.
    pub body: Vec<u8>,
    /// Event objects in it.
    pub events: usize,
    /// Empty where it is not known.
    request_id: String,
}

impl Batch {
    /// Wraps event objects in the envelope.
    pub fn new(request_id: &str, events: &[Value]) -> Self {
        let body = json!({
            "app_name": "Example", "source": "MOENGAGE", "moe_request_id": request_id, "events": events,
        });
        Self { body: body.to_string().into_bytes(), events: events.len(), request_id: request_id.to_owned() }
    }

    /// Bytes as they are, for what no generator makes.
    pub fn raw(body: Vec<u8>, events: usize) -> Self {
        Self { body, events, request_id: String::new() }
    }

    /// Puts a byte of another encoding into the first campaign's name, or else into the
    /// envelope (JULO keeps a regression test for such a body).
    pub(super) fn with_windows_1252(mut self) -> Self {
        let places = [&b"\"campaign_name\":\"Campaign"[..], b"\"app_name\":\"Example"];
        if let Some(end) = places.iter().find_map(|place| find(&self.body, place).map(|at| at + place.len()))
        {
            self.body.insert(end, 0xE9);
        }
        self
    }

    /// The same batch under another `moe_request_id` of the same length: whether it stays equal
    /// across retries is not documented.
    pub(super) fn resent(&self, attempt: u32) -> Bytes {
        let mut body = self.body.clone();
        let id = self.request_id.as_bytes();
        if let (Some(at), false) = (find(&body, id), id.is_empty()) {
            body[at + id.len() - 1] = b'0' + (attempt % 10) as u8;
        }
        body.into()
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len().max(1)).position(|part| part == needle)
}
