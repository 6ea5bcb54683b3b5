//! Connector campaigns: a marketer's webhook, one request for each user.
//!
//! moengage: MD:user-guide/campaigns-and-channels/connectors/create/create-a-connector-campaign.mdx
//! and MD:user-guide/campaigns-and-channels/connectors/connector-error-reference.mdx. Only the
//! status 200 within five seconds counts, 202 is a failure. In some workspaces a failed request is
//! sent again, up to three times at intervals of five seconds. MoEngage may rerun a batch by
//! itself, and then every user of it comes again.
//!
//! Left out: GET and DELETE, OAuth 2.0, throttling, and the removal of duplicate users.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::posting::{Auth, BadTarget, Outcome, Patience, Poster, Try, Watched};
use super::users::User;
use crate::clock::Clock;

/// moengage: connector-error-reference.mdx, "waits up to 5 seconds"; real time.
const DEADLINE: Duration = Duration::from_secs(5);
/// moengage: same page, "up to 3 times, with a fixed 5-second interval".
const RETRYING: Patience = Patience { success: accepted, retries: &[Duration::from_secs(5); 3] };
const ONCE: Patience = Patience { success: accepted, retries: &[] };

fn accepted(outcome: Outcome, _: Option<&str>) -> bool {
    outcome == Outcome::Status(200)
}

/// A campaign as a marketer wrote it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connector {
    /// `http://` only, with its URL parameters.
    pub url: String,
    /// POST or PUT.
    pub method: ConnectorMethod,
    /// Static headers.
    pub headers: Vec<(String, String)>,
    /// The body, with `{{name}}` where a value of the user belongs.
    pub body: Template,
    /// Whether the workspace has automatic retries.
    pub retries: bool,
    /// Requests at a time. MoEngage documents up to 200,000 a minute.
    pub concurrency: usize,
    /// Real time for one exchange; MoEngage's is five seconds.
    #[serde(skip)]
    pub deadline: Duration,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            url: String::new(),
            method: ConnectorMethod::Post,
            headers: Vec::new(),
            body: Template::Json(vec![
                ("uid".to_owned(), "{{uid}}".to_owned()),
                ("email".to_owned(), "{{u_em}}".to_owned()),
            ]),
            retries: false,
            concurrency: 8,
            deadline: DEADLINE,
        }
    }
}

impl Connector {
    /// A campaign that posts uid and address as JSON.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }
}

/// Methods with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum ConnectorMethod {
    Post,
    Put,
}

/// A body with places for a user's values. `{{name}}` is an attribute (`u_em`), `{{uid}}` the
/// customer's own id, `{{moengage_id}}` MoEngage's. What the user lacks becomes an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// Pairs as a form.
    Form(Vec<(String, String)>),
    /// Pairs as one JSON object. Every value is a text.
    Json(Vec<(String, String)>),
    /// Text as it is, said to be JSON. Values are put in as they are: one with a quotation mark
    /// makes a body that no longer is.
    Raw(String),
}

impl Template {
    fn media_type(&self) -> &'static str {
        match self {
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::Json(_) | Self::Raw(_) => "application/json",
        }
    }

    fn fill(&self, user: &User) -> Bytes {
        match self {
            Self::Form(pairs) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in pairs {
                    form.append_pair(name, &filled(value, user));
                }
                form.finish().into()
            }
            Self::Json(pairs) => {
                let value = |(name, value): &(String, String)| (name.clone(), json!(filled(value, user)));
                Value::Object(pairs.iter().map(value).collect::<Map<_, _>>()).to_string().into()
            }
            Self::Raw(text) => filled(text, user).into(),
        }
    }
}

/// The text with the user's values in their places.
fn filled(text: &str, user: &User) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        filled.push_str(before);
        let value = match name.trim() {
            "uid" => user.customer_id.clone(),
            "moengage_id" => Some(user.id.clone()),
            name => user
                .attributes
                .get(name)
                .filter(|value| !value.is_null())
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        };
        filled.push_str(&value.unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// One request, with its retries.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SentConnector {
    /// Number of the batch, from 0.
    pub batch: usize,
    /// 1, and one more with each rerun of the batch.
    pub run: u32,
    /// MoEngage's id of the user.
    pub moengage_id: String,
    /// As sent.
    #[serde(skip)]
    pub body: Bytes,
    /// Attempts that are over.
    pub tries: Vec<Try>,
    /// Whether there is no further attempt.
    pub over: bool,
}

impl SentConnector {
    /// Whether MoEngage counts it as sent.
    pub fn delivered(&self) -> bool {
        self.tries.last().is_some_and(|last| last.success)
    }
}

#[derive(Default)]
struct State {
    batches: Vec<(u32, Vec<User>)>,
    sent: Vec<SentConnector>,
}

struct Sender {
    state: Watched<State>,
    places: Semaphore,
    poster: Poster,
    connector: Connector,
    clock: Clock,
}

/// A campaign that is set up. Clones are the same one.
#[derive(Clone)]
pub struct ConnectorCampaign {
    shared: Arc<Sender>,
    runtime: tokio::runtime::Handle,
}

impl ConnectorCampaign {
    pub(super) fn new(
        connector: Connector,
        clock: Clock,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, BadTarget> {
        let poster = Poster::new(&connector.url, &Auth::None, &connector.headers, connector.deadline)?;
        if connector.concurrency == 0 {
            return Err(BadTarget::Zero);
        }
        let places = Semaphore::new(connector.concurrency);
        let shared = Sender { state: Watched::default(), places, poster, connector, clock };
        Ok(Self { shared: Arc::new(shared), runtime })
    }

    /// Sends a request for each user; gives the number of the batch, from 0.
    pub fn send(&self, users: impl IntoIterator<Item = User>) -> usize {
        let batch = self.shared.state.change(|state| {
            state.batches.push((0, users.into_iter().collect()));
            state.batches.len() - 1
        });
        self.rerun(batch);
        batch
    }

    /// Sends a batch once more, whatever became of it, as MoEngage does after trouble of its own.
    /// False where there is no such batch.
    pub fn rerun(&self, batch: usize) -> bool {
        let requests = self.shared.state.change(|state| {
            let (run, users) = state.batches.get_mut(batch)?;
            *run += 1;
            let first = state.sent.len();
            let sent = users.iter().map(|user| SentConnector {
                batch,
                run: *run,
                moengage_id: user.id.clone(),
                body: self.shared.connector.body.fill(user),
                tries: Vec::new(),
                over: false,
            });
            state.sent.extend(sent);
            let added = state.sent.iter().enumerate().skip(first);
            Some(added.map(|(number, sent)| (number, sent.body.clone())).collect::<Vec<_>>())
        });
        let known = requests.is_some();
        for (number, body) in requests.into_iter().flatten() {
            self.runtime.spawn(self.shared.clone().deliver(number, body));
        }
        known
    }

    /// Every request, in the order in which they were due.
    pub fn sent(&self) -> Vec<SentConnector> {
        self.shared.state.hold().sent.clone()
    }

    /// Waits until every request is over; false where that takes longer than this real time.
    pub fn wait(&self, real_time: Duration) -> bool {
        self.shared.state.wait(real_time, |state| state.sent.iter().all(|sent| sent.over))
    }
}

impl Sender {
    async fn deliver(self: Arc<Self>, number: usize, body: Bytes) {
        let Ok(_place) = self.places.acquire().await else { return };
        let method = match self.connector.method {
            ConnectorMethod::Post => Method::POST,
            ConnectorMethod::Put => Method::PUT,
        };
        let media_type = HeaderValue::from_static(self.connector.body.media_type());
        let request = self.poster.request(method, media_type, body);
        let patience = if self.connector.retries { RETRYING } else { ONCE };
        let change = |act: &dyn Fn(&mut SentConnector)| {
            self.state.change(|state| state.sent.get_mut(number).map(act));
        };
        let over = |attempt: Try| change(&|sent| sent.tries.push(attempt.clone()));
        self.poster.deliver(&request, &patience, self.clock, over).await;
        change(&|sent| sent.over = true);
    }
}
