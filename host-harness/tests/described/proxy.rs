//! Stands before the host's intake and writes down each exchange, without its credential.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let written = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let written = written.clone();
                std::thread::spawn(move || {
                    if let Some(exchange) = pass_on(client, host) {
                        written.lock().unwrap().push(exchange);
                    }
                });
            }
        });
        Self { url, seen }
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().clone()
    }
}

struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One message with a `Content-Length`.
fn read(stream: &TcpStream) -> Option<Message> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Ok(0), |(_, value)| value.parse()).ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Message { first, headers, body })
}

fn write(stream: &mut TcpStream, message: &Message) -> Option<()> {
    let kept = message.headers.iter().filter(|(name, _)| name != "connection");
    let headers: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("{}\r\n{headers}connection: close\r\n\r\n", message.first).as_bytes()).ok()?;
    stream.write_all(&message.body).ok()
}

fn pass_on(mut client: TcpStream, host: SocketAddr) -> Option<Exchange> {
    let asked = read(&client)?;
    let mut server = TcpStream::connect(host).ok()?;
    write(&mut server, &asked)?;
    let answered = read(&server)?;
    write(&mut client, &answered)?;
    let mut words = asked.first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let shown = |(name, value): (String, String)| match name.as_str() {
        "authorization" => (name, value.split(' ').next().unwrap_or_default().to_owned()),
        "signature" | "x-tajo-key" => (name, String::new()),
        _ => (name, value),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some(Exchange {
        method,
        path,
        query: Vec::new(),
        headers: asked.headers.into_iter().map(shown).collect(),
        body: text(asked.body),
        status: answered.first.split(' ').nth(1)?.parse().ok()?,
        answer_headers: answered.headers,
        answer: text(answered.body),
    })
}
