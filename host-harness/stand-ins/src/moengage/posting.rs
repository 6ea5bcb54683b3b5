//! One exchange of the pushing side: what is sent, and what came of it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Millis};

/// How a push authenticates, beside its static headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// Basic.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
}

/// Why a push can't be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Not `http://host...`.
    #[error("the target is not an http:// URL")]
    Url,
    /// A header that HTTP can't carry; the name.
    #[error("the header {0} can't be sent")]
    Header(String),
    /// Nothing would ever be sent.
    #[error("concurrency, batches_per_second and deadline must be above 0")]
    Zero,
    /// A setting that MoEngage's dashboard does not allow; which one.
    #[error("{0}")]
    Setting(&'static str),
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A final status.
    Status(u16),
    /// The connection failed or broke off.
    NoAnswer,
    /// The deadline passed.
    Timeout,
}

impl Outcome {
    pub(super) fn is_2xx(self) -> bool {
        matches!(self, Self::Status(status) if (200..300).contains(&status))
    }
}

/// One attempt of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Try {
    /// Host time at which it was sent.
    pub sent_at: Millis,
    /// Host time at which it was over.
    pub over_at: Millis,
    /// What came of it.
    pub outcome: Outcome,
    /// `Content-Type` of the answer.
    pub content_type: Option<String>,
    /// Whether MoEngage takes it for a success.
    pub success: bool,
}

/// What is the same for every request to one target.
pub(super) struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    deadline: Duration,
}

/// When MoEngage takes an answer for a success, and how it goes on otherwise.
pub(super) struct Patience {
    pub(super) success: fn(Outcome, Option<&str>) -> bool,
    /// Host time before each retry.
    pub(super) retries: &'static [Duration],
}

impl Poster {
    /// `deadline` is real time for one exchange.
    pub(super) fn new(
        url: &str,
        auth: &Auth,
        headers: &[(String, String)],
        deadline: Duration,
    ) -> Result<Self, BadTarget> {
        let uri: Uri = url.parse().map_err(|_| BadTarget::Url)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(BadTarget::Url);
        }
        if deadline.is_zero() {
            return Err(BadTarget::Zero);
        }
        let mut given = headers.to_vec();
        if let Auth::Basic { user, password } = auth {
            let token = STANDARD.encode(format!("{user}:{password}"));
            given.push(("authorization".to_owned(), format!("Basic {token}")));
        }
        let mut headers = Vec::new();
        for (name, value) in given {
            match (name.parse(), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => return Err(BadTarget::Header(name)),
            }
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, uri, headers, deadline })
    }

    /// A POST of JSON.
    pub(super) fn json(&self, body: Bytes) -> hyper::Request<Full<Bytes>> {
        self.request(Method::POST, HeaderValue::from_static("application/json"), body)
    }

    pub(super) fn request(
        &self,
        method: Method,
        content_type: HeaderValue,
        body: Bytes,
    ) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    /// One attempt; gives the answer's `Content-Type` as well.
    pub(super) async fn exchange(&self, request: hyper::Request<Full<Bytes>>) -> (Outcome, Option<String>) {
        let exchange = async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status().as_u16();
            let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let content_type = content_type.map(str::to_owned);
            // The answer counts once it is complete.
            response.into_body().collect().await.ok()?;
            Some((Outcome::Status(status), content_type))
        };
        match tokio::time::timeout(self.deadline, exchange).await {
            Ok(Some(answer)) => answer,
            Ok(None) => (Outcome::NoAnswer, None),
            Err(_) => (Outcome::Timeout, None),
        }
    }

    /// Sends a request until it succeeds or patience ends. Each attempt is handed over once it
    /// is over; gives whether the last one succeeded.
    pub(super) async fn deliver(
        &self,
        request: &hyper::Request<Full<Bytes>>,
        patience: &Patience,
        clock: Clock,
        mut over: impl FnMut(Try),
    ) -> bool {
        for pause in std::iter::once(None).chain(patience.retries.iter().map(Some)) {
            if let Some(pause) = pause {
                tokio::time::sleep(clock.scale().real(*pause)).await;
            }
            let sent_at = clock.now();
            let (outcome, content_type) = self.exchange(request.clone()).await;
            let success = (patience.success)(outcome, content_type.as_deref());
            over(Try { sent_at, over_at: clock.now(), outcome, content_type, success });
            if success {
                return true;
            }
        }
        false
    }
}

/// A state that somebody may wait for.
#[derive(Default)]
pub(super) struct Watched<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(super) fn new(state: T) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// For reading; a change goes through [`Self::change`].
    pub(super) fn hold(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let result = act(&mut self.hold());
        self.changed.notify_all();
        result
    }

    /// Waits for this real time at most; whether it came true.
    pub(super) fn wait(&self, real_time: Duration, until: impl Fn(&T) -> bool) -> bool {
        let end = Instant::now() + real_time;
        let mut state = self.hold();
        loop {
            if until(&state) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
