//! The doors with everything that they may reach in memory.

use std::collections::BTreeMap;

use moengage_connector::{
    Failure, Http, HttpError, HttpErrorKind, HttpRequest, Object, Objects, Page, PageRequest, Reach,
    Settings, Storage, WebhookOutcome, WebhookRequest,
};

/// Plugin storage.
#[derive(Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Storage for Memory {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn set(&mut self, key: &str, value: &[u8]) -> bool {
        self.0.insert(key.to_owned(), value.to_owned());
        true
    }

    fn list(&mut self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let keys = self.0.keys().filter(|key| key.starts_with(prefix));
        keys.filter(|key| after.is_none_or(|after| key.as_str() > after)).take(1_000).cloned().collect()
    }
}

/// True for the call by which a key is tried by itself.
pub fn is_check(request: &HttpRequest) -> bool {
    let body = request.body.as_deref().unwrap_or(b"null");
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["request_id"].as_str().is_some_and(|id| id.starts_with("check-"))
        || request.query.iter().any(|(_, value)| value.starts_with("tajo-connector-check"))
        || (body["date"].is_object() && body["date"]["start_date"] == body["date"]["end_date"])
}

/// A host that keeps no files.
pub struct NoObjects;

impl Objects for NoObjects {
    fn open(&mut self, _: &str, _: &[String], _: Option<&str>) -> Result<Object, HttpError> {
        Err(no_files())
    }

    fn read(&mut self, _: &str, _: &[String], _: &str, _: u64, _: u32) -> Result<Vec<u8>, HttpError> {
        Err(no_files())
    }
}

fn no_files() -> HttpError {
    HttpError {
        kind: HttpErrorKind::Denied,
        code: "no-spool".to_owned(),
        message: "this host keeps no files for connectors".to_owned(),
        retry_after_ms: None,
    }
}

/// `handle-webhook` with an empty storage.
pub fn handle_webhook(settings: &Settings, request: &WebhookRequest) -> Result<WebhookOutcome, Failure> {
    moengage_connector::handle_webhook(settings, request, &mut Memory::default())
}

/// `fetch-page` with an empty storage and no files.
pub fn fetch_page(settings: &Settings, request: &PageRequest, http: &mut dyn Http) -> Result<Page, Failure> {
    let reach = &mut Reach { http, objects: &mut NoObjects, storage: &mut Memory::default() };
    moengage_connector::fetch_page(settings, request, reach)
}
