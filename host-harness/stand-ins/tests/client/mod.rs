//! A small client: one exchange, everything about it visible.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

pub mod signer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// None where the body broke off.
    pub body: Option<Vec<u8>>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_deref().expect("a whole body")).expect("JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone().expect("a whole body")).expect("UTF-8")
    }

    /// What each element of this name holds, unescaped, in order.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let inner = text.split(&open).skip(1).filter_map(|part| part.split(&close).next());
        let plain = |text: &str| {
            text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        };
        inner.map(plain).collect()
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub struct Client {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    fresh_keys: bool,
}

static KEYS: AtomicU64 = AtomicU64::new(1);

impl Client {
    pub fn new(url: &str, headers: &[(&str, &str)]) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(0)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(30)));
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Self { agent: config.build().into(), url: url.to_owned(), headers, fresh_keys: false }
    }

    /// Sends another `Idempotency-Key` with each request.
    pub fn with_fresh_keys(mut self) -> Self {
        self.fresh_keys = true;
        self
    }

    pub fn brevo(stand_in: &stand_ins::brevo::Brevo) -> Self {
        Self::new(&stand_in.url(), &[("api-key", stand_in.api_key()), ("content-type", "application/json")])
    }

    /// With the default workspace's id and this key.
    pub fn moengage(stand_in: &stand_ins::moengage::MoEngage, key: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("STANDIN:{key}")));
        let headers = [
            ("authorization", authorization.as_str()),
            ("moe-appkey", "STANDIN"),
            ("content-type", "application/json"),
        ];
        Self::new(&stand_in.url(), &headers)
    }

    /// Sends this header too.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Err where there was no answer at all.
    pub fn try_send(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if self.fresh_keys {
            let key = format!("00000000-0000-4000-8000-{:012}", KEYS.fetch_add(1, Ordering::Relaxed));
            request = request.header("idempotency-key", key);
        }
        let response = if method == "GET" || method == "DELETE" {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body.to_vec()).unwrap())
        }?;
        let headers =
            response.headers().iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
        let status = response.status().as_u16();
        Ok(Answer { status, headers, body: response.into_body().read_to_vec().ok() })
    }

    pub fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.try_send(method, path, &bytes).expect("an answer")
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body)
    }

    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Value::Null)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, Value::Null)
    }
}
