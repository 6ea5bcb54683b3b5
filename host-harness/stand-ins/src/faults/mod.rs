//! Faults on demand: which exchange is broken, where, and whether the vendor acted on it.

mod set;

use serde::{Deserialize, Serialize};

pub(crate) use set::Seen;
pub use set::{Faults, SetRule};

/// Which requests a fault hits. Everything that is set must match.
///
/// A rule counts each request that matches its method, path and body, also where another rule,
/// set earlier, takes the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Upper case; every method where missing.
    #[serde(default)]
    pub method: Option<String>,
    /// Template of the path (`/v3/contacts/{identifier}`); every path where missing.
    #[serde(default)]
    pub path: Option<String>,
    /// What the decoded path and query must hold, for instance the key of an object.
    #[serde(default)]
    pub target_contains: Option<String>,
    /// Bytes that the body must hold.
    #[serde(default)]
    pub body_contains: Option<String>,
    /// Only these of the matching requests, counted from 1; every one where empty.
    #[serde(default)]
    pub nth: Vec<u64>,
    /// Only this share of them, drawn from `seed`.
    #[serde(default)]
    pub probability: Option<f64>,
    /// For `probability`.
    #[serde(default)]
    pub seed: u64,
    /// At most so often.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    pub fault: Fault,
}

/// What happens to a request that a rule hits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What the client gets.
    pub answer: Answer,
    /// Whether the vendor acts on the request. Where missing: at once if the answer is the
    /// vendor's own (`normal`, `cut`, `drip`, `content-type`), else never.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// Real milliseconds before the answer, or before the connection is closed.
    #[serde(default)]
    pub delay_ms: u64,
}

/// When the vendor acts on a request that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Not at all.
    Never,
    /// When it was received, before the delay.
    AtOnce,
    /// After the delay, also if the client is gone by then.
    Late,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The vendor's own answer; for a delay alone.
    Normal {},
    /// This answer.
    Status {
        /// HTTP status, 200 to 599.
        status: u16,
        /// Beside `content-type: application/json`, which one of them may replace.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// As sent.
        #[serde(default)]
        body: String,
    },
    /// The vendor's 429.
    RateLimited {
        /// With the vendor's rate headers, or bare.
        headers: bool,
    },
    /// The vendor's own answer, whose body breaks off; where it has no body the connection is
    /// closed instead of an answer.
    Cut {
        /// Bytes of the body that still arrive.
        after: usize,
    },
    /// The vendor's own answer, whose body comes in pieces with a pause before each but the first.
    Drip {
        /// Bytes of a piece, at least 1.
        bytes: usize,
        /// Real milliseconds between two pieces.
        every_ms: u64,
    },
    /// 200 with a page of HTML, as a login portal or a gateway sends it.
    Html {},
    /// The vendor's own answer under another content type.
    ContentType {
        /// For instance `text/plain`.
        value: String,
    },
    /// The connection is closed after the head was read, before the body is. `body_contains`
    /// can't be combined with it.
    CloseBeforeReading {},
    /// The connection is closed after the whole request was received, without an answer.
    Close {},
}

impl Fault {
    /// This answer, with the effect that goes with it.
    pub fn new(answer: Answer) -> Self {
        Self { answer, effect: None, delay_ms: 0 }
    }

    /// An answer without effect at the vendor.
    pub fn status(status: u16, body: &str) -> Self {
        Self::new(Answer::Status { status, headers: Vec::new(), body: body.to_owned() })
    }

    /// No answer; the request was received and had no effect.
    pub fn close() -> Self {
        Self::new(Answer::Close {})
    }

    /// No answer; the request was received and had its effect.
    pub fn close_after_effect() -> Self {
        Self::close().effect(Effect::AtOnce)
    }

    /// No answer; the body was not read.
    pub fn close_before_reading() -> Self {
        Self::new(Answer::CloseBeforeReading {})
    }

    /// The vendor's own answer, late. The effect is at once.
    pub fn delay(real_ms: u64) -> Self {
        Self { answer: Answer::Normal {}, effect: None, delay_ms: real_ms }
    }

    /// The vendor's own answer, broken off after so many bytes of its body.
    pub fn cut(after: usize) -> Self {
        Self::new(Answer::Cut { after })
    }

    /// The vendor's own answer, whose body comes in pieces of so many bytes.
    pub fn drip(bytes: usize, every_ms: u64) -> Self {
        Self::new(Answer::Drip { bytes, every_ms })
    }

    /// The vendor's 429.
    pub fn rate_limited(headers: bool) -> Self {
        Self::new(Answer::RateLimited { headers })
    }

    /// 200 with HTML.
    pub fn html() -> Self {
        Self::new(Answer::Html {})
    }

    /// Sets when the vendor acts.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Sets the real delay.
    pub fn delayed(mut self, real_ms: u64) -> Self {
        self.delay_ms = real_ms;
        self
    }

    pub(crate) fn effect_or_default(&self) -> Effect {
        self.effect.unwrap_or(match self.answer {
            Answer::Normal {} | Answer::Cut { .. } | Answer::Drip { .. } | Answer::ContentType { .. } => {
                Effect::AtOnce
            }
            _ => Effect::Never,
        })
    }
}

impl Rule {
    /// Every request of one call.
    pub fn on(method: &str, path: &str, fault: Fault) -> Self {
        Self { method: Some(method.to_owned()), path: Some(path.to_owned()), ..Self::any(fault) }
    }

    /// Every request.
    pub fn any(fault: Fault) -> Self {
        Self {
            method: None,
            path: None,
            target_contains: None,
            body_contains: None,
            nth: Vec::new(),
            probability: None,
            seed: 0,
            times: None,
            fault,
        }
    }

    /// Only the n-th matching request, counted from 1; may be called several times.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth.push(n);
        self
    }

    /// At most so often.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Only requests whose decoded path and query hold this.
    pub fn target_contains(mut self, marker: &str) -> Self {
        self.target_contains = Some(marker.to_owned());
        self
    }

    /// Only requests whose body holds this.
    pub fn body_contains(mut self, marker: &str) -> Self {
        self.body_contains = Some(marker.to_owned());
        self
    }

    /// Only this share of the matching requests.
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = seed;
        self
    }

    fn check(&self) -> Result<(), BadRule> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(BadRule::Probability);
        }
        if self.nth.contains(&0) {
            return Err(BadRule::NthZero);
        }
        match &self.fault.answer {
            Answer::Status { status, .. } if !(200..=599).contains(status) => Err(BadRule::Status),
            Answer::CloseBeforeReading {} if self.body_contains.is_some() => Err(BadRule::UnreadBody),
            Answer::CloseBeforeReading {} if self.fault.effect.is_some_and(|e| e != Effect::Never) => {
                Err(BadRule::UnreadBody)
            }
            _ => Ok(()),
        }
    }
}

/// Why a rule is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// `probability` is outside 0 to 1.
    #[error("probability must be between 0 and 1")]
    Probability,
    /// `nth` holds 0.
    #[error("nth counts from 1")]
    NthZero,
    /// The status is none of a final answer.
    #[error("status must be between 200 and 599")]
    Status,
    /// The body is not read, so nothing can depend on it.
    #[error("close-before-reading reads no body: neither body_contains nor an effect goes with it")]
    UnreadBody,
}
