//! Calls the vendor until it is stopped, by the import that the settings name.

use kit::*;

struct Crawler;

impl Connector for Crawler {
    fn fetch_page(request: PageRequest) -> Result<Page, Failure> {
        let mut calls = 0;
        let stopped = loop {
            let answer = match request.settings.trim_matches('"') {
                "open" => objects::open("api", &[], None).map(|_| ()),
                "read" => objects::read("api", &[], "etag", 0, u32::MAX).map(|_| ()),
                _ => http::send(&call()).map(|_| ()),
            };
            match answer {
                Ok(()) => calls += 1,
                Err(error) => break error,
            }
        };
        let note = Note { name: "stopped".into(), count: calls, message: stopped.code };
        Ok(Page { notes: vec![note], ..empty_page() })
    }

    fn handle_webhook(request: WebhookRequest) -> Result<WebhookOutcome, Failure> {
        let code = http::send(&call()).err().map(|error| error.code).unwrap_or_default();
        let note = Note { name: "stopped".into(), count: 0, message: code };
        Ok(WebhookOutcome { notes: vec![note], ..contacts(&request) })
    }
}

fn call() -> http::Request {
    http::Request {
        endpoint: "api".into(),
        method: http::Method::Get,
        path: vec![],
        query: vec![],
        headers: vec![],
        body: None,
        timeout_ms: Some(u32::MAX),
    }
}

guest!(Crawler);
