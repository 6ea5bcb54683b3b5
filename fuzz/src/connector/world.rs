//! What the doors may reach: a memory, and a vendor whose answers are the input.

use std::collections::BTreeMap;

use moengage_connector::{
    Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Log, Object, Objects, Storage,
};

/// Plugin storage.
#[derive(Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Storage for Memory {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn set(&mut self, key: &str, value: &[u8]) -> bool {
        key.len() <= 1024 && self.0.insert(key.to_owned(), value.to_owned()).is_none_or(|_| true)
    }

    fn list(&mut self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let keys = self.0.keys().filter(|key| key.starts_with(prefix));
        keys.filter(|key| after.is_none_or(|after| key.as_str() > after)).take(1_000).cloned().collect()
    }
}

/// Takes every line and keeps none.
pub struct Lines;

impl Log for Lines {
    fn warn(&mut self, message: &'static str, fields: &[(&'static str, &str)]) {
        assert!(!message.is_empty() && fields.iter().all(|(name, _)| !name.is_empty()));
    }
}

/// Gives the answers of the input in their order, over and over. Each has a line with its status and at most one
/// header (`429 retry-after: 7`), and the rest is its body.
#[derive(Clone)]
pub struct Vendor<'a> {
    answers: Vec<&'a [u8]>,
    asked: usize,
}

impl<'a> Vendor<'a> {
    pub fn new(answers: Vec<&'a [u8]>) -> Self {
        Self { answers, asked: 0 }
    }

    fn answer(&mut self) -> Result<HttpResponse, HttpError> {
        if self.answers.is_empty() {
            return Err(error(HttpErrorKind::Unreachable, "unreachable"));
        }
        let answer = self.answers[self.asked % self.answers.len()];
        self.asked += 1;
        let end = answer.iter().position(|byte| *byte == b'\n').unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]);
        let (status, header) = head.split_once(' ').unwrap_or((&head, ""));
        let headers = header.split_once(": ").into_iter();
        Ok(HttpResponse {
            status: status.parse().unwrap_or(200),
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: answer.get(end + 1..).unwrap_or_default().to_vec(),
        })
    }
}

impl Http for Vendor<'_> {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        assert!(!request.endpoint.is_empty());
        // What the host's policy would deny is a fault of the connector's.
        for segment in &request.path {
            assert!(!matches!(segment.as_str(), "." | ".."), "{:?}", request.path);
            assert!(
                !segment.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()),
                "{:?}",
                request.path
            );
        }
        if let Some(body) = &request.body {
            serde_json::from_slice::<serde_json::Value>(body).expect("a request's body is JSON");
        }
        self.answer()
    }
}

impl Objects for Vendor<'_> {
    fn open(&mut self, _: &str, path: &[String], _: Option<&str>) -> Result<Object, HttpError> {
        assert!(!path.is_empty());
        let size = self.answers.last().map_or(0, |file| file.len() as u64);
        Ok(Object { etag: "e".to_owned(), size })
    }

    fn read(&mut self, _: &str, _: &[String], _: &str, at: u64, size: u32) -> Result<Vec<u8>, HttpError> {
        let file = self.answers.last().copied().unwrap_or_default();
        let rest = usize::try_from(at).ok().and_then(|at| file.get(at..)).unwrap_or_default();
        Ok(rest[..rest.len().min(size as usize)].to_vec())
    }
}

fn error(kind: HttpErrorKind, code: &str) -> HttpError {
    HttpError { kind, code: code.to_owned(), message: "there is no answer".to_owned(), retry_after_ms: None }
}
