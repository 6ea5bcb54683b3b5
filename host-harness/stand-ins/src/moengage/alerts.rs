//! Alerts: MoEngage tells a webhook that a campaign or a token needs a person.
//!
//! moengage: MD:partner-guide/data-and-analytics/workflow-automation/webhook.mdx. `Signature` is the
//! SHA-256, in hexadecimal, of the campaign report key, a `|`, and the raw body. Retries and the
//! deadline are not documented: there is one attempt, and a person may send an alert again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::posting::{Auth, BadTarget, Outcome, Patience, Poster, Try, Watched};
use crate::clock::{Clock, Millis, rfc3339};

/// Nothing is documented beyond the request: any 2xx is taken for a success.
const PATIENCE: Patience = Patience { success: accepted, retries: &[] };
const DAY: Millis = 86_400_000;

fn accepted(outcome: Outcome, _: Option<&str>) -> bool {
    outcome.is_2xx()
}

/// Where alerts go.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertTarget {
    /// `http://` only.
    pub url: String,
    /// The campaign report key that signs; the workspace's campaigns key at set-up where missing.
    pub key: Option<String>,
    /// Whether bodies are indented, as in the samples, or in one line.
    pub indented: bool,
    /// Real time for one exchange. MoEngage's is not documented.
    #[serde(skip)]
    pub deadline: Duration,
}

impl Default for AlertTarget {
    fn default() -> Self {
        Self { url: String::new(), key: None, indented: true, deadline: Duration::from_secs(10) }
    }
}

impl AlertTarget {
    /// A target that is signed with the workspace's campaigns key.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }
}

/// `alert_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum AlertType {
    CampaignStats,
    FlowStats,
    CampaignExpiry,
    ApnsTokenExpiry,
    FacebookTokenExpiry,
}

impl AlertType {
    /// All that are documented.
    pub const ALL: [Self; 5] = [
        Self::CampaignStats,
        Self::FlowStats,
        Self::CampaignExpiry,
        Self::ApnsTokenExpiry,
        Self::FacebookTokenExpiry,
    ];

    /// Metric, operator, threshold and unit of the samples.
    fn criterion(self) -> (&'static str, &'static str, u64, &'static str) {
        match self {
            Self::CampaignStats => ("DELIVERY_RATE", "gt", 10, "percentage"),
            Self::FlowStats => ("TRIP_STARTED", "lt", 20, "count"),
            _ => ("EXPIRY_DAYS", "lt", 7, "day"),
        }
    }
}

/// One alert that triggers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// `alert_type`.
    pub kind: AlertType,
    /// `alert_id`: of the alert as it was set up, so the same each time that it triggers.
    #[serde(default = "default_id")]
    pub id: String,
    /// `alert_name`, as a person chose it.
    #[serde(default = "default_name")]
    pub name: String,
    /// `alert_triggered_at` in host time; now where it is 0. Sent in seconds.
    #[serde(default)]
    pub triggered_at: Millis,
    /// Whether a moving average is compared with, not a fixed value. Of the two kinds of figures
    /// only.
    #[serde(default)]
    pub relative: bool,
    /// Campaigns or flows that it names. The two kinds of tokens name none.
    #[serde(default = "default_count")]
    pub count: usize,
}

fn default_id() -> String {
    "85a1b2c3d4e5f6a7b8c9d0e1".to_owned()
}

fn default_name() -> String {
    "Delivery Rate Breach".to_owned()
}

fn default_count() -> usize {
    2
}

impl Alert {
    /// An alert with the values of the samples, which triggers when it is sent.
    pub fn new(kind: AlertType) -> Self {
        Self {
            kind,
            id: default_id(),
            name: default_name(),
            triggered_at: 0,
            relative: false,
            count: default_count(),
        }
    }

    fn body(&self, db_name: &str, now: Millis) -> Value {
        let triggered_at = if self.triggered_at == 0 { now } else { self.triggered_at };
        let (metric, operator, threshold, unit) = self.kind.criterion();
        // In the samples the range begins where the alert triggers, and ends a day later.
        let mut criteria = json!({
            "name": metric, "operator": operator, "threshold": threshold, "unit": unit,
            "range_start": seconds(triggered_at), "range_end": seconds(triggered_at + DAY),
        });
        let figures = matches!(self.kind, AlertType::CampaignStats | AlertType::FlowStats);
        let relative = self.relative && figures;
        if relative {
            criteria["moving_avg_range"] = json!({"value": 7, "unit": "day"});
        }
        let mut body = json!({
            "alert_id": self.id, "alert_name": self.name, "alert_type": self.kind, "db_name": db_name,
            "alert_evaluation_frequency": {"value": 1, "unit": "day"},
            "alert_triggered_at": seconds(triggered_at), "alert_evaluation_criteria": criteria,
        });
        if figures || self.kind == AlertType::CampaignExpiry {
            let content: Vec<Value> = (0..self.count).map(|index| self.entity(index, relative)).collect();
            body["entity_data"] = json!({"count": content.len(), "content": content});
        }
        body
    }

    /// One row of `entity_data.content`; what does not apply is an empty string, as in the samples.
    fn entity(&self, index: usize, relative: bool) -> Value {
        let flow = self.kind == AlertType::FlowStats;
        let of = |yes: bool, text: String| if yes { text } else { String::new() };
        let mut row = Map::new();
        for (key, value) in [
            ("campaign_name", of(!flow, format!("Campaign {index}"))),
            ("campaign_id", of(!flow, format!("64a1b2c3d4e5f6a7b8c9d{index:03}"))),
            ("channel", of(!flow, "EMAIL".to_owned())),
            ("delivery_type", of(!flow, "PROMOTIONAL".to_owned())),
        ] {
            row.insert(key.to_owned(), json!(value));
        }
        if self.kind == AlertType::CampaignExpiry {
            row.insert("expiry_in_days".to_owned(), json!(5));
            return Value::Object(row);
        }
        for (key, value) in [
            ("flow_name", of(flow, format!("Flow {index}"))),
            ("flow_id", of(flow, format!("94a1b2c3d4e5f6a7b8c9d{index:03}"))),
            ("version_name", of(flow, "Version 1".to_owned())),
        ] {
            row.insert(key.to_owned(), json!(value));
        }
        row.insert("current_value".to_owned(), json!(70.5));
        if relative {
            row.insert("moving_avg_value".to_owned(), json!(10.9));
        }
        Value::Object(row)
    }
}

/// `2025-03-21T23:59:00Z`.
fn seconds(at: Millis) -> String {
    let text = rfc3339(at);
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{whole}Z"))
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SentAlert {
    /// `alert_id`.
    pub alert_id: String,
    /// `alert_type`.
    pub alert_type: AlertType,
    /// As sent.
    #[serde(skip)]
    pub body: Bytes,
    /// As sent in `Signature`.
    pub signature: String,
    /// What came of it; none while it is under way.
    pub tried: Option<Try>,
}

struct State {
    key: String,
    sent: Vec<SentAlert>,
}

struct Sender {
    state: Watched<State>,
    poster: Poster,
    indented: bool,
    db_name: String,
    clock: Clock,
}

/// A webhook for alerts. Clones are the same one.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Sender>,
    runtime: tokio::runtime::Handle,
}

impl Alerts {
    /// `workspace_key` signs where the target has no key of its own.
    pub(super) fn new(
        target: AlertTarget,
        workspace_key: Option<&str>,
        db_name: &str,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, BadTarget> {
        let poster = Poster::new(&target.url, &Auth::None, &[], target.deadline)?;
        let key = target.key.as_deref().or(workspace_key).unwrap_or_default().to_owned();
        let shared = Sender {
            state: Watched::new(State { key, sent: Vec::new() }),
            poster,
            indented: target.indented,
            db_name: db_name.to_owned(),
            clock,
        };
        Ok(Self { shared: Arc::new(shared), runtime })
    }

    /// Replaces the key that signs.
    pub fn set_key(&self, key: &str) {
        self.shared.state.change(|state| state.key = key.to_owned());
    }

    /// Sends an alert; gives its number, from 0.
    pub fn send(&self, alert: &Alert) -> usize {
        let body = alert.body(&self.shared.db_name, self.shared.clock.now());
        let text = match self.shared.indented {
            true => format!("{body:#}"),
            false => body.to_string(),
        };
        self.post(&alert.id, alert.kind, text.into())
    }

    /// Sends the same bytes once more, signed with the key of now; gives the number of the new
    /// request. None where there is no such number.
    pub fn resend(&self, number: usize) -> Option<usize> {
        let known = self.shared.state.hold().sent.get(number).cloned()?;
        Some(self.post(&known.alert_id, known.alert_type, known.body))
    }

    /// Every request, in order.
    pub fn sent(&self) -> Vec<SentAlert> {
        self.shared.state.hold().sent.clone()
    }

    /// Waits until no request is under way; false where that takes longer than this real time.
    pub fn wait(&self, real_time: Duration) -> bool {
        self.shared.state.wait(real_time, |state| state.sent.iter().all(|alert| alert.tried.is_some()))
    }

    fn post(&self, alert_id: &str, alert_type: AlertType, body: Bytes) -> usize {
        let (number, signature) = self.shared.state.change(|state| {
            let signature = signature(&state.key, &body);
            state.sent.push(SentAlert {
                alert_id: alert_id.to_owned(),
                alert_type,
                body: body.clone(),
                signature: signature.clone(),
                tried: None,
            });
            (state.sent.len() - 1, signature)
        });
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let mut request = shared.poster.json(body);
            if let Ok(signature) = HeaderValue::from_str(&signature) {
                request.headers_mut().insert("signature", signature);
            }
            let over = |attempt| {
                shared.state.change(|state| {
                    if let Some(alert) = state.sent.get_mut(number) {
                        alert.tried = Some(attempt);
                    }
                });
            };
            shared.poster.deliver(&request, &PATIENCE, shared.clock, over).await;
        });
        number
    }
}

fn signature(key: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(b"|");
    hash.update(body);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
