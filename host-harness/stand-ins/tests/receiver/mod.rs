//! A receiver of pushes that answers what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line first.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let fits = |line: &&String| line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        self.headers.iter().find(fits).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

/// What is answered. The status 0 closes the connection instead.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<&'static str>,
    /// Real time before it is sent.
    pub after: Duration,
}

impl Answer {
    pub fn json(status: u16) -> Self {
        Self { content_type: Some("application/json"), ..Self::from(status) }
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self { status, content_type: None, after: Duration::ZERO }
    }
}

/// Answers what a function of the request's number (from 1) says.
pub struct Receiver {
    base: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub fn start<A: Into<Answer>>(answer: impl Fn(usize) -> A + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let answer: Arc<dyn Fn(usize) -> Answer + Send + Sync> = Arc::new(move |n| answer(n).into());
        let into = received.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (into, answer) = (into.clone(), answer.clone());
                std::thread::spawn(move || serve(&socket.unwrap(), &into, answer.as_ref()));
            }
        });
        Self { base, received }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.received().into_iter().map(|received| received.body).collect()
    }
}

fn serve(socket: &TcpStream, into: &Mutex<Vec<Received>>, answer: &dyn Fn(usize) -> Answer) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    loop {
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => headers.push(line.to_owned()),
            }
        }
        let length =
            headers.iter().find_map(|h| h.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let number = {
            let mut all = into.lock().unwrap();
            all.push(Received { headers, body });
            all.len()
        };
        let answer = answer(number);
        if answer.status == 0 {
            return;
        }
        std::thread::sleep(answer.after);
        let media = answer.content_type.map(|value| format!("content-type: {value}\r\n")).unwrap_or_default();
        let text = format!("HTTP/1.1 {} X\r\n{media}content-length: 2\r\n\r\n{{}}", answer.status);
        if (&mut (&*socket)).write_all(text.as_bytes()).is_err() {
            // The sender's deadline passed.
            return;
        }
    }
}
