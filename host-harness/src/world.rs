//! Everything the host takes from outside: time, random numbers, the network.
//!
//! All three are values that are passed in, so that the pipeline can run on one thread under a
//! simulated world. `real` makes the ones that a running host uses.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, in host time (see [`TimeScale`]).
pub type Millis = i64;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Host time now. May jump; use it for dates and schedules.
    fn now(&self) -> Millis;
    /// Waits this long in host time.
    fn sleep(&self, host_time: Duration);
}

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);

    /// A number in `0..bound`; 0 where `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

/// One HTTP request that already passed the egress policy.
#[derive(Clone)]
pub struct HttpRequest {
    /// Upper case.
    pub method: &'static str,
    /// Absolute; may hold personal data in path or query, so it is never logged. Log `label`.
    pub url: String,
    /// What to call this request in logs and metrics, for instance `POST /contacts/{id}`.
    pub label: String,
    /// Names in lower case. May hold credentials.
    pub headers: Vec<(String, String)>,
    /// Sent with a content length, also when empty and the method has a body.
    pub body: Option<Vec<u8>>,
    /// Real time for the whole exchange, from resolving to the last byte.
    pub deadline: Duration,
    /// Largest body that is accepted, after decompression.
    pub body_cap: u64,
    /// Whether loopback and private addresses may be dialled: an operator's switch.
    pub allow_private: bool,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRequest").field("label", &self.label).finish_non_exhaustive()
    }
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// Decompressed.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of that (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct TransportError {
    /// Which phase failed.
    pub kind: TransportErrorKind,
    /// True where bytes of the request may have reached the peer: the outcome is unknown.
    pub request_sent: bool,
    /// For a person; holds no URL.
    pub message: String,
}

/// Phases of an exchange that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The address policy refuses every address of the host.
    Denied,
    /// Resolving, connecting or TLS failed.
    Unreachable,
    /// The deadline passed.
    Timeout,
    /// The answer broke off, is too large, or is not HTTP.
    BadAnswer,
}

/// The network.
pub trait Transport: Send + Sync {
    /// Sends one request once. Follows nothing, retries nothing.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError>;

    /// The same for an answer that may be too large for memory: a 2xx goes into `sink` piece by
    /// piece, and the returned body is empty. Where it fails, `sink` has what came before.
    fn download(&self, request: &HttpRequest, sink: &mut dyn Sink) -> Result<HttpResponse, TransportError> {
        let mut response = self.send(request)?;
        if (200..300).contains(&response.status) {
            let body = std::mem::take(&mut response.body);
            sink.begin(&response).and_then(|()| sink.write(&body)).map_err(|_| TransportError {
                kind: TransportErrorKind::BadAnswer,
                request_sent: true,
                message: "the answer could not be stored".into(),
            })?;
        }
        Ok(response)
    }
}

/// Takes the body of a 2xx piece by piece. An error of its own ends the exchange.
pub trait Sink {
    /// The head, before the first piece.
    fn begin(&mut self, head: &HttpResponse) -> std::io::Result<()>;
    /// The next bytes as they were sent: a content encoding is left on.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// The outside, as one value.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub random: Arc<dyn Random>,
    /// The network.
    pub transport: Arc<dyn Transport>,
}

impl World {
    /// Host time now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }
}

/// How much faster than real time the host's clock runs, and since when.
///
/// Schedules, windows, ages and settle times are in host time; socket deadlines are real. The
/// epoch is shared by every process of a run (both stand-ins, the host before and after a
/// restart), so that they agree on the date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeScale {
    /// Real time at which host time and real time were equal.
    pub epoch: Millis,
    /// Host seconds in a real second; 1 in production.
    pub factor: f64,
}

impl TimeScale {
    /// Real time.
    pub const REAL: Self = Self { epoch: 0, factor: 1.0 };

    /// Host time for a real time.
    pub fn host(&self, real: Millis) -> Millis {
        if self.factor == 1.0 {
            return real;
        }
        self.epoch + ((real - self.epoch) as f64 * self.factor) as Millis
    }

    /// Real duration of a host duration.
    pub fn real(&self, host: Duration) -> Duration {
        host.div_f64(self.factor.max(f64::MIN_POSITIVE))
    }
}

/// The system's clock, scaled.
pub struct SystemClock {
    scale: TimeScale,
    started: Instant,
    started_at: Millis,
}

impl SystemClock {
    /// A clock that reads the system's date once and counts monotonically from there.
    pub fn new(scale: TimeScale) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { scale, started: Instant::now(), started_at: since_epoch.as_millis() as Millis }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        self.scale.host(self.started_at + self.started.elapsed().as_millis() as Millis)
    }

    fn sleep(&self, host_time: Duration) {
        std::thread::sleep(self.scale.real(host_time));
    }
}

/// The system's random numbers.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // Only fails where the system has no source of random numbers at all; then nothing
        // that the host does would be safe.
        #[allow(clippy::expect_used)]
        getrandom::fill(buffer).expect("the system has no source of random numbers");
    }
}
