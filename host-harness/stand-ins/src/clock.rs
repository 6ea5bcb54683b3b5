//! Host time: the date that the stand-ins and the host share.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since the Unix epoch, in host time.
pub type Millis = i64;

/// How much faster than real time host time runs, and since when.
///
/// Rate windows, retries and settle times are in host time; socket deadlines and delays that a
/// fault asks for are real.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Real time at which host time and real time were equal, in milliseconds.
    pub epoch_ms: Millis,
    /// Host seconds in a real second; 1 for real time.
    pub factor: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self::REAL
    }
}

impl Scale {
    /// Real time.
    pub const REAL: Self = Self { epoch_ms: 0, factor: 1.0 };

    /// Host time that runs `factor` times as fast, from now on.
    pub fn from_now(factor: f64) -> Self {
        Self { epoch_ms: real_now() as Millis, factor }
    }

    /// Host time for a real time.
    pub fn host(&self, real: Millis) -> Millis {
        self.host_exact(real as f64)
    }

    /// With parts of a millisecond: in a fast scale they are seconds.
    fn host_exact(&self, real_ms: f64) -> Millis {
        let epoch = self.epoch_ms as f64;
        (epoch + (real_ms - epoch) * self.factor) as Millis
    }

    /// Real duration of a host duration. A factor that is no positive number counts as 1.
    pub fn real(&self, host: Duration) -> Duration {
        if self.factor.is_finite() && self.factor > 0.0 {
            Duration::try_from_secs_f64(host.as_secs_f64() / self.factor).unwrap_or(Duration::MAX)
        } else {
            host
        }
    }
}

/// A clock that reads the system's date once and counts monotonically from there.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    scale: Scale,
    started: Instant,
    started_at_ms: f64,
}

impl Clock {
    /// A clock in this scale.
    pub fn new(scale: Scale) -> Self {
        Self { scale, started: Instant::now(), started_at_ms: real_now() }
    }

    /// Host time now.
    pub fn now(&self) -> Millis {
        self.scale.host_exact(self.started_at_ms + self.started.elapsed().as_secs_f64() * 1_000.0)
    }

    /// The scale it was made with.
    pub fn scale(&self) -> Scale {
        self.scale
    }
}

fn real_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// `2026-11-23T10:00:00.000Z`; the epoch where the time is out of range.
pub fn rfc3339(at: Millis) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{time:.3}")
}

/// Reads RFC 3339 with an offset.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(|time| time.as_millisecond())
}

/// Reads `yyyy-mm-dd` as the first millisecond of that day in UTC.
pub fn parse_day(text: &str) -> Option<Millis> {
    (text.len() == 10).then(|| parse_rfc3339(&format!("{text}T00:00:00Z"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_time_runs_from_the_epoch_by_the_factor() {
        let scale = Scale { epoch_ms: 1_000, factor: 60.0 };
        assert_eq!(scale.host(1_000), 1_000);
        assert_eq!(scale.host(2_000), 61_000);
        assert_eq!(scale.real(Duration::from_secs(60)), Duration::from_secs(1));
        assert_eq!(Scale { epoch_ms: 0, factor: 0.0 }.real(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse_rfc3339("2023-11-14T23:13:20+01:00"), Some(1_700_000_000_000));
        assert_eq!(parse_rfc3339("2023-11-14T23:13:20"), None, "an offset is required");
        assert_eq!(parse_day("1970-01-02"), Some(86_400_000));
        assert_eq!(parse_day("1970-13-02"), None);
    }
}
