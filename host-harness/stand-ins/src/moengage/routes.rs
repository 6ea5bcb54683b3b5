//! Calls as data: what each is called, which key it needs, how often it may be made, how it
//! refuses, and what answers it. Each family of calls has a table of its own, in a file of its
//! own; [`FAMILIES`] lists them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::envelopes::{Envelope, Refusal};
use super::options::Family;
use super::rows::Held;
use super::workspace::Workspace;
use super::{
    business_events, campaign_reads, cards, catalogs, content_blocks, coupons, dashboards, email_templates,
    flow_analytics, flows, imports, locales, offers, recommendations, reports, search, segments, stats,
    subscriptions, templates, users,
};
use crate::http::{Reply, Request};
use crate::windows::Window;

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// All calls that the workspace answers.
pub(super) const FAMILIES: &[&Calls] = &[
    &business_events::CALLS,
    &campaign_reads::CALLS,
    &cards::CALLS,
    &catalogs::CALLS,
    &content_blocks::CALLS,
    &coupons::CALLS,
    &dashboards::CALLS,
    &email_templates::CALLS,
    &flow_analytics::CALLS,
    &flows::CALLS,
    &imports::CALLS,
    &locales::CALLS,
    &offers::CALLS,
    &recommendations::CALLS,
    &reports::CALLS,
    &search::CALLS,
    &segments::CALLS,
    &stats::CALLS,
    &subscriptions::CALLS,
    &templates::CALLS,
    &users::CALLS,
];

/// A family of calls, what it holds, and how a person drives it.
pub(super) struct Calls {
    pub(super) routes: &'static [Route],
    pub(super) rows: &'static [Held],
    pub(super) controls: &'static [Control],
}

/// `POST /_control/{name}`; what it returns says what is wrong with the body.
pub(super) struct Control {
    pub(super) name: &'static str,
    pub(super) act: fn(&mut Workspace, &Value) -> Result<(), String>,
}

/// Documented rate windows: per workspace, sliding. Calls of one name share their places.
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) windows: &'static [Window],
}

/// Which key a call needs, and what the key must be allowed to.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) family: Family,
    /// Named by the 403 of some families: `campaigns:view`.
    pub(super) permission: &'static str,
}

/// Answers a call that was admitted.
type Answer = fn(&mut Workspace, &Call<'_>) -> Reply;
/// How many places a call takes, or why it is refused before any is taken.
type Weight = fn(&Workspace, &Call<'_>) -> Result<u64, Reply>;

/// One call.
pub(super) struct Route {
    pub(super) method: &'static str,
    /// `{name}` stands for one segment of the path.
    pub(super) template: &'static str,
    /// None for a call without Basic: what answers it looks at the credential itself.
    pub(super) key: Option<Key>,
    pub(super) envelope: Envelope,
    pub(super) limit: &'static Limit,
    pub(super) weight: Weight,
    pub(super) answer: Answer,
}

impl Route {
    pub(super) const fn get(
        template: &'static str,
        key: Key,
        envelope: Envelope,
        limit: &'static Limit,
        answer: Answer,
    ) -> Self {
        Self { method: "GET", template, key: Some(key), envelope, limit, weight: |_, _| Ok(1), answer }
    }

    pub(super) const fn post(
        template: &'static str,
        key: Key,
        envelope: Envelope,
        limit: &'static Limit,
        answer: Answer,
    ) -> Self {
        Self { method: "POST", ..Self::get(template, key, envelope, limit, answer) }
    }

    /// The same call, which takes more than one place of its windows.
    pub(super) const fn weighing(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// What stands in the path for each name, decoded, in order; none where it is another call.
    fn variables(&self, method: &str, path: &str) -> Option<Vec<String>> {
        if self.method != method || self.template.split('/').count() != path.split('/').count() {
            return None;
        }
        let mut variables = Vec::new();
        for (wanted, given) in self.template.split('/').zip(path.split('/')) {
            if wanted.starts_with('{') {
                let given = percent_encoding::percent_decode_str(given).decode_utf8().ok()?;
                if given.is_empty() {
                    return None;
                }
                variables.push(given.into_owned());
            } else if wanted != given {
                return None;
            }
        }
        Some(variables)
    }
}

/// The call that a request is, with what stands in its path. A template without variables wins.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static Route, Vec<String>)> {
    let routes = FAMILIES.iter().flat_map(|calls| calls.routes);
    let found = routes.filter_map(|route| Some((route, route.variables(method, path)?)));
    found.min_by_key(|(_, variables)| variables.len())
}

/// A request, and what is known of it.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// The vendor's id of the exchange.
    pub(super) id: &'a str,
    pub(super) envelope: Envelope,
    pub(super) variables: Vec<String>,
}

impl Call<'_> {
    pub(super) fn refused(&self, refusal: Refusal<'_>) -> Reply {
        refusal.reply(self.envelope, self.id)
    }

    pub(super) fn invalid(&self, target: &str, message: &str) -> Reply {
        self.refused(Refusal::Invalid { target, message })
    }

    /// What stands in the path for the n-th name of the template.
    pub(super) fn variable(&self, n: usize) -> &str {
        self.variables.get(n).map_or("", String::as_str)
    }

    /// An object that is not there. No fault of the request: it may have been removed.
    pub(super) fn not_found(&self, code: &str, target: &str, message: &str) -> Reply {
        self.refused(Refusal::Named { status: 404, code, target, message })
    }

    /// The query, which may hold these names, and those of `many` more than once.
    pub(super) fn query(&self, once: &[&str], many: &[&str]) -> Result<Query<'_>, Reply> {
        let pairs = &self.request.query;
        for (at, (name, _)) in pairs.iter().enumerate() {
            let repeated = pairs[..at].iter().any(|(before, _)| before == name);
            if !many.contains(&name.as_str()) && (repeated || !once.contains(&name.as_str())) {
                return Err(self.invalid(name, "not a documented parameter, or more than once"));
            }
        }
        Ok(Query(pairs))
    }

    /// Refuses an id of the caller's that is no UUID v4, where the documents ask for one.
    pub(super) fn uuid_request_id(&self) -> Result<(), Reply> {
        match self.request.header("x-moe-request-id") {
            Some(id) if !is_uuid_v4(id) => Err(self.invalid("X-MOE-Request-Id", "not a UUID v4")),
            _ => Ok(()),
        }
    }

    /// How many rows a page may have.
    pub(super) fn limit(&self, asked: Option<u64>, default: u64, most: u64) -> Result<usize, Reply> {
        let limit = asked.unwrap_or(default);
        match usize::try_from(limit) {
            Ok(rows) if (1..=most).contains(&limit) => Ok(rows),
            _ => Err(self.invalid("limit", &format!("limit must be between 1 and {most}."))),
        }
    }

    /// As `limit`, of a query.
    pub(super) fn query_limit(&self, query: &Query<'_>, default: u64, most: u64) -> Result<usize, Reply> {
        let asked = query.get("limit").map(str::parse::<u64>).transpose();
        self.limit(asked.unwrap_or(Some(0)), default, most)
    }

    /// The body, which has to be JSON of just this shape.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        let content_type = self.request.header("content-type").unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(self.invalid("Content-Type", "Content type is not supported"));
        }
        serde_json::from_slice(&self.request.body).map_err(|e| self.invalid("body", &e.to_string()))
    }
}

pub(super) fn is_uuid_v4(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'4',
            19 => matches!(byte.to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b'),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// What stands after the `?`.
pub(super) struct Query<'a>(&'a [(String, String)]);

impl<'a> Query<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::windows::Windows;

    /// Requests that are admitted when one comes every `gap_ms`, for so long.
    fn admitted(path: &str, gap_ms: i64, length_ms: i64) -> usize {
        let (route, _) = find("POST", path).unwrap();
        let mut windows = Windows::new(route.limit.windows);
        (0..length_ms / gap_ms).filter(|n| windows.admit(n * gap_ms).is_ok()).count()
    }

    #[test]
    fn a_search_is_limited_by_the_second_and_the_minute() {
        let admitted = |gap_ms, length_ms| admitted("/v5/campaigns/search", gap_ms, length_ms);
        assert_eq!(admitted(10, SECOND), 10);
        assert_eq!(admitted(100, MINUTE), 100);
        // The hour allows no less than sixty of its minutes.
        assert_eq!(admitted(600, HOUR), 6_000);
        assert_eq!(admitted(500, HOUR), 6_000);
    }

    #[test]
    fn no_two_calls_are_the_same_and_no_two_limits_share_a_name() {
        let (mut calls, mut limits) = (BTreeSet::new(), BTreeMap::new());
        for route in FAMILIES.iter().flat_map(|calls| calls.routes) {
            assert!(calls.insert((route.method, route.template)), "{}", route.template);
            let windows = limits.entry(route.limit.name).or_insert(route.limit.windows);
            assert_eq!(*windows, route.limit.windows, "{}", route.limit.name);
        }
    }

    #[test]
    fn a_variable_is_one_segment_of_the_path_decoded() {
        let (route, _) = find("GET", "/v3/custom-segments").unwrap();
        let route = Route {
            template: "/a/{x}/b",
            ..Route::get("", route.key.unwrap(), route.envelope, route.limit, route.answer)
        };
        assert_eq!(route.variables("GET", "/a/1%2F2/b"), Some(vec!["1/2".to_owned()]));
        for other in ["/a/1/c", "/a//b", "/a/1/2/b", "/a/1", "/a/%FF/b"] {
            assert_eq!(route.variables("GET", other), None, "{other}");
        }
        assert_eq!(route.variables("POST", "/a/1/b"), None);
    }
}
