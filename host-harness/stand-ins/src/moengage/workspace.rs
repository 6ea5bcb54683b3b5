//! One workspace: which call a request is, who may make it, and how often.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Push;
use super::campaigns::Change;
use super::envelopes::{Refusal, Shape};
use super::options::{Access, Family, Options, Reset};
use super::search::{SearchQuirks, Searches};
use super::streams::{Progress, Stream};
use super::users::{User, Users};
use crate::clock::Millis;
use crate::http::{Reply, Request, Vendor};
use crate::journal::FindingKind;
use crate::random::Random;
use crate::windows::{Standing, Window, Windows};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Makes a stream for `POST /_control/push`.
pub(super) type Pusher = Box<dyn Fn(Push, Millis) -> Result<Stream, String> + Send>;

pub(super) struct Workspace {
    pub(super) options: Options,
    pub(super) access: BTreeMap<Family, Access>,
    pub(super) pusher: Option<Pusher>,
    pub(super) searches: Searches,
    pub(super) users: Users,
    pushed: Vec<Stream>,
    limits: BTreeMap<Shape, Windows>,
    ids: Random,
}

impl Shape {
    fn of(template: &str) -> Self {
        match template {
            "/v5/campaigns/search" => Self::CampaignsV5,
            "/core-services/v1/campaigns/search" => Self::CampaignsV1,
            "/v3/custom-segments" => Self::Segments,
            "/v1/customers/export" => Self::Users,
            _ => Self::Data,
        }
    }

    fn family(self) -> Family {
        match self {
            Self::Data | Self::Users => Family::Data,
            Self::CampaignsV1 | Self::CampaignsV5 => Family::Campaigns,
            Self::Segments => Family::Segmentation,
        }
    }

    /// moengage: MD:api/rate-limits.mdx and the OpenAPI files; per workspace, sliding.
    fn windows(self) -> &'static [Window] {
        const IMPORTS: &[Window] = &[Window { limit: 50, period_ms: MINUTE }];
        const CAMPAIGNS: &[Window] = &[
            Window { limit: 10, period_ms: SECOND },
            Window { limit: 100, period_ms: MINUTE },
            Window { limit: 6_000, period_ms: HOUR },
        ];
        // Of users, not of requests.
        const USERS: &[Window] = &[Window { limit: 1_000, period_ms: MINUTE }];
        const SEGMENTS: &[Window] = &[
            Window { limit: 50, period_ms: MINUTE },
            Window { limit: 200, period_ms: HOUR },
            Window { limit: 1_000, period_ms: DAY },
        ];
        match self {
            Self::Data => IMPORTS,
            Self::Users => USERS,
            Self::CampaignsV1 | Self::CampaignsV5 => CAMPAIGNS,
            Self::Segments => SEGMENTS,
        }
    }
}

impl Workspace {
    pub(super) fn new(options: Options) -> Self {
        Self {
            searches: Searches::new(options.campaigns),
            users: Users::default(),
            options,
            access: BTreeMap::new(),
            pusher: None,
            pushed: Vec::new(),
            limits: BTreeMap::new(),
            ids: Random::new(1),
        }
    }

    /// Why the caller may not make this call, if so.
    fn refusal(&self, request: &Request, shape: Shape) -> Option<Refusal<'static>> {
        let family = shape.family();
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
        };
        match (key, access) {
            (None, _) => Some(Refusal::NoSecretSet),
            (Some(key), _) if *key != password => Some(Refusal::WrongKey),
            (_, Access::Suspended) => Some(Refusal::Suspended),
            (_, Access::NoPermission) => Some(Refusal::Scope),
            (_, Access::Granted | Access::AddressNotListed) => None,
        }
    }

    fn with_headers(&self, reply: Reply, standing: Standing, at: Millis) -> Reply {
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
        Some(match (method, path) {
            ("POST", "/v1.0/data/fileimports/import/status") => "/v1.0/data/fileimports/import/status",
            ("POST", "/v5/campaigns/search") => "/v5/campaigns/search",
            ("POST", "/core-services/v1/campaigns/search") => "/core-services/v1/campaigns/search",
            ("GET", "/v3/custom-segments") => "/v3/custom-segments",
            ("POST", "/v1/customers/export") => "/v1/customers/export",
            _ => return None,
        })
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let Some(template) = self.template(&request.method, &request.path) else {
            // moengage: OpenAPI file of Data, 404.
            return Reply::json(404, &json!({"status": "fail", "data": "Resource not found."}))
                .with(FindingKind::Violation, "no call of this stand-in");
        };
        let shape = Shape::of(template);
        let id = self.ids.hex(8);
        if let Some(refusal) = self.refusal(request, shape) {
            return refusal.reply(shape, &id);
        }
        let weight = match shape {
            Shape::Users => match self.asked_users(request, &id) {
                Ok(weight) => weight,
                Err(reply) => return reply,
            },
            _ => 1,
        };
        let windows = self.limits.entry(shape).or_insert_with(|| Windows::new(shape.windows()));
        let (standing, reply) = match windows.admit_many(request.at, weight) {
            Err(standing) => (Some(standing), Refusal::TooMany.reply(shape, &id)),
            Ok(standing) => {
                let reply = match shape {
                    Shape::Data => self.import_status(request, &id),
                    Shape::Users => self.get_users(request, &id),
                    Shape::CampaignsV1 => self.search_campaigns_v1(request, &id),
                    Shape::CampaignsV5 => self.search_campaigns_v5(request, &id),
                    Shape::Segments => self.segments(request, &id),
                };
                (standing, reply)
            }
        };
        match standing {
            Some(standing) => self.with_headers(reply, standing, request.at),
            None => reply,
        }
    }

    fn rate_limited(&self, headers: bool, at: Millis) -> Reply {
        let mut reply = Refusal::TooMany.reply(Shape::Data, "ABCDEFGH");
        reply.findings.clear();
        let standing = Standing { limit: 50, remaining: 0, reset_s: 1 };
        if headers { self.with_headers(reply, standing, at) } else { reply }
    }

    fn state(&self, _at: Millis) -> Value {
        let streams: Vec<Progress> = self.pushed.iter().map(Stream::progress).collect();
        json!({
            "workspace_id": self.options.workspace_id, "streams": streams,
            "campaigns": self.searches.campaigns, "users": self.users.all(),
        })
    }

    fn control(&mut self, call: &str, body: &Value, at: Millis) -> Option<Reply> {
        let done = match call {
            "push" => return self.push(body, at),
            "campaigns" => read::<Change>(body)
                .and_then(|change| change.apply(&mut self.searches.campaigns).map_err(|e| e.to_string())),
            "search-quirks" => read::<SearchQuirks>(body).map(|quirks| self.searches.set_quirks(quirks)),
            "users" => read::<Vec<User>>(body).map(|users| self.users.set(users)),
            _ => return None,
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

fn read<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|e| e.to_string())
}

fn refused(message: String) -> Reply {
    Reply::json(400, &json!({"error": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that are admitted when one comes every `gap_ms`, for so long.
    fn admitted(shape: Shape, gap_ms: i64, length_ms: i64) -> usize {
        let mut windows = Windows::new(shape.windows());
        (0..length_ms / gap_ms).filter(|n| windows.admit(n * gap_ms).is_ok()).count()
    }

    #[test]
    fn a_search_is_limited_by_the_second_and_the_minute() {
        assert_eq!(admitted(Shape::CampaignsV5, 10, SECOND), 10);
        assert_eq!(admitted(Shape::CampaignsV5, 100, MINUTE), 100);
        // The hour allows no less than sixty of its minutes.
        assert_eq!(admitted(Shape::CampaignsV5, 600, HOUR), 6_000);
        assert_eq!(admitted(Shape::CampaignsV5, 500, HOUR), 6_000);
    }
}
