//! One workspace: which call a request is, who may make it, and how often.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Push;
use super::cursors::{CursorQuirks, Cursors};
use super::envelopes::{DATA, Envelope, Ids, Refusal};
use super::figures::Figures;
use super::options::{Access, Family, Options, Reset};
use super::outward::Outward;
use super::pages::{Pages, QuirksOf};
use super::readings::Readings;
use super::reports::Reports;
use super::routes::{Call, FAMILIES, Key, Route, find};
use super::rows::{TableChange, Tables};
use super::search::Searches;
use super::streams::{Progress, Stream};
use super::users::Users;
use crate::clock::{Clock, Millis};
use crate::http::{Reply, Request, Vendor};
use crate::journal::FindingKind;
use crate::random::Random;
use crate::windows::{Standing, Windows};

/// Makes a stream for `POST /_control/push`.
pub(super) type Pusher = Box<dyn Fn(Push, Millis) -> Result<Stream, String> + Send>;

pub(super) struct Workspace {
    pub(super) options: Options,
    pub(super) access: BTreeMap<Family, Access>,
    pub(super) pusher: Option<Pusher>,
    pub(super) outward: Outward,
    pub(super) searches: Searches,
    pub(super) users: Users,
    pub(super) tables: Tables,
    pub(super) pages: Pages,
    pub(super) figures: Vec<Figures>,
    pub(super) reports: Reports,
    pub(super) cursors: Cursors,
    pub(super) readings: Readings,
    pushed: Vec<Stream>,
    limits: BTreeMap<&'static str, Windows>,
    ids: Random,
}

impl Workspace {
    pub(super) fn new(options: Options) -> Self {
        let clock = Clock::new(options.scale);
        let searches = Searches::new(options.campaigns);
        Self {
            pages: Pages::default(),
            figures: Figures::samples(&searches.campaigns, clock.now()),
            reports: Reports::new(clock),
            searches,
            users: Users::default(),
            tables: Tables::new(),
            cursors: Cursors::default(),
            readings: Readings::default(),
            options,
            access: BTreeMap::new(),
            pusher: None,
            outward: Outward::default(),
            pushed: Vec::new(),
            limits: BTreeMap::new(),
            ids: Random::new(1),
        }
    }

    /// Why the caller may not make this call, if so.
    fn refusal(&self, request: &Request, route: &Route, key: Key) -> Option<Refusal<'static>> {
        let Key { family, permission } = key;
        let family = self.readings.keys.get(route.template).copied().unwrap_or(family);
        let access = self.access.get(&family).copied().unwrap_or_default();
        if access == Access::AddressNotListed {
            return Some(Refusal::Address);
        }
        let Some(app_key) = request.header("moe-appkey") else { return Some(Refusal::NoAppKey) };
        let Some((user, password)) = basic(request) else { return Some(Refusal::WrongKey) };
        if app_key != self.options.workspace_id || user != self.options.workspace_id {
            return Some(Refusal::UnknownWorkspace);
        }
        let key = match family {
            Family::Data => &self.options.data_key,
            Family::Campaigns => &self.options.campaigns_key,
            Family::Segmentation => &self.options.segmentation_key,
            Family::Personalize => &self.options.personalize_key,
        };
        match (key, access) {
            (None, _) => Some(Refusal::NoSecretSet),
            (Some(key), _) if *key != password => Some(Refusal::WrongKey),
            (_, Access::Suspended) => Some(Refusal::Suspended),
            (_, Access::NoPermission) => Some(Refusal::Scope(permission)),
            (_, Access::Granted | Access::AddressNotListed) => None,
        }
    }

    /// The id that the body names, and the one that the header does.
    ///
    /// moengage: OpenAPI files of flows and offerings: a body's `request_id` (or
    /// `moe_request_id`) wins over `X-MOE-Request-Id`.
    fn exchange_id(&mut self, request: &Request, envelope: Envelope) -> (String, Option<String>) {
        if envelope.ids == Ids::Short {
            return (self.ids.hex(8), None);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let own = ["request_id", "moe_request_id"].into_iter().find_map(|key| body[key].as_str());
        let own = own.or_else(|| request.header("x-moe-request-id")).filter(|id| !id.is_empty());
        let id = own.map_or_else(|| self.ids.hex(12), str::to_owned);
        let named = if envelope.ids == Ids::Prefixed { format!("resp_{id}") } else { id.clone() };
        (named, Some(id))
    }

    /// The answer, and how the call's windows stand; nothing where it was refused before them.
    fn admitted(&mut self, route: &Route, call: &Call<'_>) -> (Reply, Option<Standing>) {
        if let Some(refusal) = route.key.and_then(|key| self.refusal(call.request, route, key)) {
            return (call.refused(refusal), None);
        }
        let weight = match (route.weight)(self, call) {
            Ok(weight) => weight,
            Err(reply) => return (reply, None),
        };
        let limit = route.limit;
        let windows = self.limits.entry(limit.name).or_insert_with(|| Windows::new(limit.windows));
        match windows.admit_many(call.request.at, weight) {
            Err(standing) => (call.refused(Refusal::TooMany), Some(standing)),
            Ok(standing) => ((route.answer)(self, call), standing),
        }
    }

    fn with_headers(&self, reply: Reply, standing: &Standing, at: Millis) -> Reply {
        let reset = match self.options.reset {
            Reset::SecondsLeft => standing.reset_s as i64,
            Reset::Epoch => at / 1_000 + standing.reset_s as i64,
        };
        reply
            .header("x-ratelimit-limit", standing.limit)
            .header("x-ratelimit-remaining", standing.remaining)
            .header("x-ratelimit-reset", reset)
    }
}

fn basic(request: &Request) -> Option<(String, String)> {
    let token = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

impl Vendor for Workspace {
    fn template(&self, method: &str, path: &str) -> Option<&'static str> {
        find(method, path).map(|(route, _)| route.template)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let Some((route, variables)) = find(&request.method, &request.path) else {
            // moengage: OpenAPI file of Data, 404.
            return Reply::json(404, &json!({"status": "fail", "data": "Resource not found."}))
                .with(FindingKind::Violation, "no call of this stand-in");
        };
        let (id, echoed) = self.exchange_id(request, route.envelope);
        let call = Call { request, id: &id, envelope: route.envelope, variables };
        let (reply, standing) = self.admitted(route, &call);
        let limited = reply.status == 429;
        let reply = match &standing {
            Some(standing) => self.with_headers(reply, standing, request.at),
            None => reply,
        };
        let reply = match standing {
            Some(standing) if limited && route.envelope.retry_after => {
                reply.header("retry-after", standing.reset_s)
            }
            _ => reply,
        };
        match echoed {
            Some(echoed) => reply.header("x-moe-request-id", echoed),
            None => reply,
        }
    }

    fn rate_limited(&self, request: &Request, headers: bool) -> Reply {
        let route = find(&request.method, &request.path).map(|(route, _)| route);
        let envelope = route.map_or(DATA, |route| route.envelope);
        let mut reply = Refusal::TooMany.reply(envelope, "ABCDEFGH");
        reply.findings.clear();
        let limit = route.and_then(|route| route.limit.windows.first()).map_or(50, |window| window.limit);
        let standing = Standing { limit, remaining: 0, reset_s: 1 };
        match headers {
            true if envelope.retry_after => {
                self.with_headers(reply, &standing, request.at).header("retry-after", standing.reset_s)
            }
            true => self.with_headers(reply, &standing, request.at),
            false => reply,
        }
    }

    fn state(&mut self, _at: Millis) -> Value {
        let streams: Vec<Progress> = self.pushed.iter().map(Stream::progress).collect();
        json!({
            "workspace_id": self.options.workspace_id, "streams": streams,
            "campaigns": self.searches.campaigns, "users": self.users.all(), "rows": self.tables,
            "pushed": self.outward.state(),
            "figures": self.figures, "reports": self.reports.names(),
        })
    }

    fn control(&mut self, call: &str, body: &Value, at: Millis) -> Option<Reply> {
        if let Some(reply) = self.outward.control(call, body, &self.options) {
            return Some(reply);
        }
        let mut controls = FAMILIES.iter().flat_map(|calls| calls.controls);
        let done = match call {
            "push" => return self.push(body, at),
            "page-quirks" => read::<QuirksOf>(body).and_then(|QuirksOf { path, quirks }| {
                self.pages.set(&path, quirks).map_err(|e| e.to_string())
            }),
            "cursor-quirks" => read::<CursorQuirks>(body).map(|quirks| self.cursors.set_quirks(quirks)),
            "readings" => read::<Readings>(body).map(|readings| self.readings = readings),
            "rows" => read::<TableChange>(body).and_then(|TableChange { table, change }| {
                self.tables.change(table, &change).map_err(|e| e.to_string())
            }),
            _ => (controls.find(|control| control.name == call)?.act)(self, body),
        };
        Some(match done {
            Ok(()) => Reply::empty(204),
            Err(message) => refused(message),
        })
    }
}

impl Workspace {
    fn push(&mut self, body: &Value, at: Millis) -> Option<Reply> {
        let push: Push = match read(body) {
            Ok(push) => push,
            Err(message) => return Some(refused(message)),
        };
        let pusher = self.pusher.as_ref()?;
        Some(match pusher(push, at) {
            Ok(stream) => {
                let progress = stream.progress();
                self.pushed.push(stream);
                Reply::json(202, &json!({"stream": self.pushed.len() - 1, "progress": progress}))
            }
            Err(message) => refused(message),
        })
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|e| e.to_string())
}

fn refused(message: String) -> Reply {
    Reply::json(400, &json!({"error": message}))
}
