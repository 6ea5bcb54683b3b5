//! A file server over real sockets that misbehaves on demand. It speaks just enough HTTP, and
//! takes no request whose AWS signature is wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::signatures::{Arrived, expected_and_given};

pub const SECRET: &str = "canary+secret/of=exports";

/// What is served at a path.
#[derive(Clone, Default)]
pub struct Entry {
    pub body: Vec<u8>,
    pub etag: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Instead of 200.
    pub status: Option<u16>,
    /// Sent in chunks, without a length.
    pub chunked: bool,
    /// Answers `range` and `if-match`.
    pub ranges: bool,
    /// Takes a request with another signature as well.
    pub open: bool,
}

/// How answers end too early, in turn; none: not at all.
#[derive(Clone, Copy)]
pub enum Trouble {
    /// The connection closes after so many bytes of the answer.
    Cut(usize),
    /// Nothing comes any more after so many bytes of the body.
    Stall(usize),
}

/// A request as it arrived.
#[derive(Clone)]
pub struct Asked {
    pub target: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    troubles: Vec<Trouble>,
    asked: Vec<Asked>,
}

pub struct Server {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), state) = (stream, shared.clone()) else { return };
                std::thread::spawn(move || while serve(&mut stream, &state).is_some() {});
            }
        });
        Self { address, state }
    }

    pub fn put(&self, path: &str, entry: Entry) {
        self.state.lock().unwrap().entries.insert(path.to_owned(), entry);
    }

    /// The next answers end like this.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.state.lock().unwrap().troubles = troubles.into_iter().collect();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }
}

/// Bytes of the whole answer to an unconditional request.
pub fn answer_of(entry: &Entry) -> Vec<u8> {
    let (head, body) = answer(entry, &Asked { target: String::new(), headers: vec![] });
    [head, body].concat()
}

fn serve(stream: &mut TcpStream, state: &Mutex<State>) -> Option<()> {
    let asked = read_request(stream)?;
    let (entry, trouble) = {
        let mut state = state.lock().unwrap();
        let path = asked.target.split('?').next().unwrap();
        let entry = state.entries.get(path).cloned();
        let trouble = (!state.troubles.is_empty()).then(|| state.troubles.remove(0));
        state.asked.push(asked.clone());
        (entry.unwrap_or(Entry { status: Some(404), open: true, ..Entry::default() }), trouble)
    };
    let arrived = Arrived { method: "GET", target: &asked.target, headers: &asked.headers, body: b"" };
    let entry = match () {
        () if entry.open => entry,
        () => {
            let (expected, given) = expected_and_given(&arrived, SECRET);
            let body = b"<Error><Code>SignatureDoesNotMatch</Code></Error>".to_vec();
            if expected == given { entry } else { Entry { status: Some(403), body, ..Entry::default() } }
        }
    };
    let (head, body) = answer(&entry, &asked);
    match trouble {
        None => stream.write_all(&[head, body].concat()).ok(),
        Some(Trouble::Cut(bytes)) => {
            let whole = [head, body].concat();
            let _ = stream.write_all(&whole[..bytes.min(whole.len())]);
            let _ = stream.shutdown(Shutdown::Both);
            None
        }
        Some(Trouble::Stall(bytes)) => {
            let _ = stream.write_all(&[&head[..], &body[..bytes.min(body.len())]].concat());
            if bytes < body.len() {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                let _ = stream.read(&mut [0]); // until the client leaves
                return None;
            }
            Some(())
        }
    }
}

fn answer(entry: &Entry, asked: &Asked) -> (Vec<u8>, Vec<u8>) {
    let mut status = entry.status.unwrap_or(200);
    let mut body = entry.body.clone();
    let mut headers = entry.headers.clone();
    headers.extend(entry.etag.clone().map(|etag| ("ETag".to_owned(), etag)));
    let same = |name: &str| asked.header(name).is_some_and(|etag| Some(etag) == entry.etag.as_deref());
    if status == 200 && same("if-none-match") {
        (status, body) = (304, vec![]);
    }
    if status == 200 && entry.ranges {
        let from = asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        if asked.header("if-match").is_some() && !same("if-match") {
            (status, body) = (412, vec![]);
        } else if let Some(from) = from.map(|from| from.parse::<usize>().unwrap()) {
            let total = body.len();
            headers.push(("Content-Range".into(), format!("bytes {from}-{}/{total}", total - 1)));
            (status, body) = (206, body.split_off(from));
        }
    }
    let mut head = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if entry.chunked {
        head += "Transfer-Encoding: chunked\r\n\r\n";
        let mut chunks: Vec<u8> = body
            .chunks(100)
            .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
            .collect();
        chunks.extend(b"0\r\n\r\n");
        return (head.into_bytes(), chunks);
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    (head.into_bytes(), body)
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.trim_end().lines();
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines.map(|line| line.split_once(':').unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Asked { target, headers })
}
