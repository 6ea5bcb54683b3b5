//! Stands before the host's intake and writes down each exchange, without its credential.

#[path = "../relay/mod.rs"]
mod relay;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use relay::Message;
use stand_ins::journal::Exchange;

/// Ends with the test's process.
pub struct Proxy {
    /// `http://127.0.0.1:port`
    pub url: String,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl Proxy {
    /// Passes everything on to an address.
    pub fn before(host: SocketAddr) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = seen.clone();
        let url = relay::serve(move |asked| {
            let answered = relay::pass_on(&host.to_string(), asked)?;
            if let Some(exchange) = exchange(asked, &answered) {
                written.lock().unwrap().push(exchange);
            }
            Some(answered)
        });
        Self { url, seen }
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().clone()
    }
}

fn exchange(asked: &Message, answered: &Message) -> Option<Exchange> {
    let mut words = asked.first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let shown = |(name, value): &(String, String)| match name.as_str() {
        "authorization" => (name.clone(), value.split(' ').next().unwrap_or_default().to_owned()),
        "signature" | "x-tajo-key" => (name.clone(), String::new()),
        _ => (name.clone(), value.clone()),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Exchange {
        method,
        path,
        query: Vec::new(),
        headers: asked.headers.iter().map(shown).collect(),
        body: text(&asked.body),
        status: answered.first.split(' ').nth(1)?.parse().ok()?,
        answer_headers: answered.headers.clone(),
        answer: text(&answered.body),
    })
}
