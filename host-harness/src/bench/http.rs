//! A vendor that pushes: plain connections that are kept, one request at a time on each.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::corpus::{BATCH, Corpus};
use super::world::{SECRET, nanoseconds};
use super::{BenchError, Times, Watch};

/// Where to, and how.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// `host:port`
    pub address: &'a str,
    /// Path of the surface.
    pub path: &'a str,
    /// Batches to send.
    pub batches: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Batches a second over all connections, as fast as answers come where there is none.
    pub rate: Option<f64>,
}

/// What the pushing side saw.
#[derive(Clone, Copy, Debug)]
pub struct Pushed {
    /// From the first byte to the last answer.
    pub seconds: f64,
    /// From the byte (or, with a rate, the instant) at which a request was due to its answer.
    pub answers: Times,
}

/// Sends batches of the corpus that was written to a file, and waits for every answer.
pub fn push(load: Load<'_>, corpus: &mut Corpus, watch: Watch<'_>) -> Result<Pushed, BenchError> {
    let failed = BenchError::io("a push");
    let corpus = Mutex::new(corpus);
    let sent = AtomicU64::new(0);
    let started = Instant::now();
    let sender = || -> io::Result<Vec<u64>> {
        let mut poster = Poster::connect(load.address, load.path)?;
        let (mut body, mut took) = (Vec::new(), Vec::new());
        loop {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            if number >= load.batches {
                return Ok(took);
            }
            corpus.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next(&mut body)?;
            let mut due = Instant::now();
            if let Some(rate) = load.rate {
                due = started + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            match poster.post(&body)? {
                200..=299 => took.push(nanoseconds(due)),
                status => return Err(io::Error::other(format!("answered {status}"))),
            }
        }
    };
    let took = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..load.connections).map(|_| scope.spawn(sender)).collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            let batches = sent.load(Ordering::Relaxed).min(load.batches);
            watch("pushed", batches * BATCH as u64, load.batches * BATCH as u64);
        }
        let join = |sender: std::thread::ScopedJoinHandle<'_, io::Result<Vec<u64>>>| {
            sender.join().unwrap_or_else(|_| Err(io::Error::other("a sender panicked")))
        };
        senders.into_iter().map(join).collect::<io::Result<Vec<_>>>()
    });
    let seconds = started.elapsed().as_secs_f64();
    Ok(Pushed { seconds, answers: Times::of(took.map_err(failed)?.concat()) })
}

/// Opens a corpus.
pub fn corpus(path: &Path) -> Result<Corpus, BenchError> {
    Corpus::open(path).map_err(BenchError::io("the data"))
}

/// One connection.
struct Poster {
    stream: TcpStream,
    head: String,
    answer: Vec<u8>,
}

impl Poster {
    fn connect(address: &str, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let basic = BASE64_STANDARD.encode(format!("tajo:{SECRET}"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic {basic}\r\ncontent-type: application/json\r\n"
        );
        Ok(Self { stream, head, answer: Vec::new() })
    }

    /// Sends one body; the status of its answer.
    fn post(&mut self, body: &[u8]) -> io::Result<u16> {
        let head = format!("{}content-length: {}\r\n\r\n", self.head, body.len());
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.answer.clear();
        let mut piece = [0; 4_096];
        loop {
            if let Some(status) = whole(&self.answer)? {
                return Ok(status);
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.answer.extend_from_slice(&piece[..read]),
            }
        }
    }
}

/// The status of an answer that is there to its last byte.
fn whole(answer: &[u8]) -> io::Result<Option<u16>> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "not an answer that was expected");
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| strange())?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(strange)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(strange)?;
    Ok((answer.len() >= end + 4 + length).then_some(status))
}
