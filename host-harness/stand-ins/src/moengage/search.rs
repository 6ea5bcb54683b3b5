//! Campaign search, V1 and V5: filters, pages without a total, and the ways in which a page may
//! not be what its number says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::campaigns::{Campaign, Change};
use super::envelopes::{CAMPAIGNS_V1, V5, bad_key};
use super::options::Family;
use super::routes::{Call, Calls, Control, HOUR, Key, Limit, MINUTE, Route, SECOND, is_uuid_v4};
use super::workspace::{Workspace, read};
use crate::http::Reply;
use crate::journal::FindingKind;
use crate::windows::Window;

/// moengage: OpenAPI file of campaigns, `limit`.
const LARGEST_PAGE: u64 = 15;
/// How many answers an `Idempotency-Key` is remembered for; how long is not documented.
const ANSWERS_KEPT: usize = 10_000;

const KEY: Key = Key { family: Family::Campaigns, permission: "campaigns:view" };

/// moengage: MD:api/rate-limits.mdx and the OpenAPI files of campaigns.
pub(super) const WINDOWS: &[Window] = &[
    Window { limit: 10, period_ms: SECOND },
    Window { limit: 100, period_ms: MINUTE },
    Window { limit: 6_000, period_ms: HOUR },
];
const SEARCH_V1: Limit = Limit { name: "campaign-search-v1", windows: WINDOWS };
const SEARCH_V5: Limit = Limit { name: "campaign-search-v5", windows: WINDOWS };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post(
            "/core-services/v1/campaigns/search",
            KEY,
            CAMPAIGNS_V1,
            &SEARCH_V1,
            Workspace::search_campaigns_v1,
        ),
        Route::post("/v5/campaigns/search", KEY, V5, &SEARCH_V5, Workspace::search_campaigns_v5),
    ],
    rows: &[],
    controls: &[
        Control {
            name: "campaigns",
            act: |workspace, body| {
                let change = read::<Change>(body)?;
                change.apply(&mut workspace.searches.campaigns).map_err(|e| e.to_string())
            },
        },
        Control {
            name: "search-quirks",
            act: |workspace, body| {
                read::<SearchQuirks>(body).map(|quirks| workspace.searches.set_quirks(quirks))
            },
        },
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V5,
}

/// How a search misbehaves. `Default` is a search that does what the documents say.
///
/// None of these is documented; each is what a server with pages by number can do, and what a
/// reader has to notice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchQuirks {
    /// Children, archived campaigns, drafts and what the filters refuse are taken out after the
    /// page was cut: pages in the middle are short or empty.
    pub filters_after_paging: bool,
    /// Every page is page 1.
    pub ignores_page: bool,
    /// After so many pages it starts again: page 4 is page 1 where this is 3. 0 counts as none.
    pub period: u64,
    /// Pages that are empty although more follow; what they would hold is on the next one.
    pub empty_pages: BTreeSet<u64>,
    /// Changes of the list between two pages.
    pub changes: Vec<Planned>,
}

/// A change that happens while somebody pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// After so many answered searches, counted from when the quirks were set.
    pub after: u64,
    /// What changes. A change that can't be made is left out.
    pub change: Change,
}

impl SearchQuirks {
    /// The page that is answered for the one that was asked for; none where it is empty.
    fn page(&self, asked: u64) -> Option<u64> {
        let mut page = if self.ignores_page { 1 } else { asked };
        if self.period > 0 {
            page = (page - 1) % self.period + 1;
        }
        let before = self.empty_pages.range(..page).count() as u64;
        (!self.empty_pages.contains(&page)).then(|| page - before)
    }
}

/// What a workspace knows of its searches.
#[derive(Default)]
pub(super) struct Searches {
    pub(super) campaigns: Vec<Campaign>,
    quirks: SearchQuirks,
    answered: u64,
    /// By `Idempotency-Key`: what was asked and what was answered.
    keys: BTreeMap<String, (Bytes, Reply)>,
    key_order: VecDeque<String>,
}

impl Searches {
    pub(super) fn new(campaigns: usize) -> Self {
        // The newest first: a new campaign moves all others down.
        Self { campaigns: (0..campaigns).rev().map(Campaign::numbered).collect(), ..Self::default() }
    }

    pub(super) fn set_quirks(&mut self, quirks: SearchQuirks) {
        (self.quirks, self.answered) = (quirks, 0);
    }

    /// The request's `Idempotency-Key`; the answer where there is none, or where it had one
    /// already.
    ///
    /// moengage: OpenAPI file of campaign drafts, `Idempotency-Key`: "Repeating the same key returns
    /// the same response body"; `V5BadRequest`: another body is refused.
    pub(super) fn fresh_key<'a>(&self, call: &Call<'a>) -> Result<&'a str, Reply> {
        let Some(key) = call.request.header("idempotency-key") else {
            return Err(call.invalid("Idempotency-Key", "Idempotency-Key is required"));
        };
        if !is_uuid_v4(key) {
            return Err(bad_key("INVALID_IDEMPOTENCY_KEY", "Idempotency-Key is not a UUID v4", call.id));
        }
        match self.keys.get(key) {
            None => Ok(key),
            Some((asked, reply)) if *asked == call.request.body => Err(reply.clone()),
            Some(_) => Err(bad_key("BAD_REQUEST", "Idempotency-Key was used with another body", call.id)),
        }
    }

    pub(super) fn remember(&mut self, key: &str, call: &Call<'_>, reply: &Reply) {
        self.keys.insert(key.to_owned(), (call.request.body.clone(), reply.clone()));
        self.key_order.push_back(key.to_owned());
        if self.key_order.len() > ANSWERS_KEPT {
            self.key_order.pop_front().map(|oldest| self.keys.remove(&oldest));
        }
    }

    fn count(&mut self) {
        self.answered += 1;
        for planned in &self.quirks.changes {
            if planned.after == self.answered {
                // The list may have lost the campaign by another change.
                let _ = planned.change.apply(&mut self.campaigns);
            }
        }
    }

    fn page(&self, search: &Search) -> Vec<&Campaign> {
        let Some(page) = self.quirks.page(search.page) else { return Vec::new() };
        let skipped = usize::try_from((page - 1).saturating_mul(search.limit)).unwrap_or(usize::MAX);
        let limit = search.limit as usize;
        if self.quirks.filters_after_paging {
            self.campaigns.iter().skip(skipped).take(limit).filter(|row| search.keeps(row)).collect()
        } else {
            self.campaigns.iter().filter(|row| search.keeps(row)).skip(skipped).take(limit).collect()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    request_id: Option<String>,
    limit: u64,
    page: u64,
    #[serde(default)]
    campaign_fields: Map<String, Value>,
    #[serde(default)]
    include_child_campaigns: bool,
    #[serde(default)]
    include_archive_campaigns: bool,
}

impl Search {
    fn read(call: &Call<'_>, version: Version) -> Result<Self, Reply> {
        let search: Self = call.body()?;
        let invalid = |target, message| Err(call.invalid(target, message));
        if !(1..=LARGEST_PAGE).contains(&search.limit) {
            return invalid("limit", "limit is 1 to 15");
        }
        if search.page == 0 {
            return invalid("page", "page counts from 1");
        }
        for (key, value) in &search.campaign_fields {
            if !documented(key, value, version) {
                return invalid("campaign_fields", "not a documented filter");
            }
        }
        Ok(search)
    }

    fn keeps(&self, row: &Campaign) -> bool {
        let filters = &self.campaign_fields;
        let asked = |status: &str| filters.get("status").is_some_and(|all| among(all, status));
        (self.include_child_campaigns || !row.is_child())
            && (self.include_archive_campaigns || row.status != "ARCHIVED")
            && (row.status != "DRAFT" || asked("DRAFT"))
            && filters.iter().all(|(key, wanted)| matches(row, key, wanted))
    }
}

/// moengage: `CampaignSearchFieldsV5`, and `CampaignSearchFields` of V1. What was a filter of V1
/// is let through in V5: it finds nothing there.
fn documented(key: &str, value: &Value, version: Version) -> bool {
    const TYPES: &[&str] = &[
        "ONE_TIME",
        "PERIODIC",
        "EVENT_TRIGGERED",
        "BUSINESS_EVENT_TRIGGERED",
        "DEVICE_TRIGGERED",
        "LOCATION_TRIGGERED",
        "BROADCAST_LIVE_ACTIVITY",
    ];
    const STATUSES: &[&str] =
        &["ACTIVE", "SCHEDULED", "PAUSED", "SENT", "STOPPED", "ARCHIVED", "DRAFT", "SENDING"];
    let v5 = version == Version::V5;
    let each = |fits: &dyn Fn(&str) -> bool| {
        value.as_array().is_some_and(|all| all.iter().all(|item| item.as_str().is_some_and(fits)))
    };
    match key {
        "ids" => v5 && each(&|_| true),
        "campaign_delivery_type" => v5 && each(&|item| TYPES[..6].contains(&item)),
        "delivery_type" => each(&|item| TYPES.contains(&item)),
        "channels" => each(&|item| matches!(item, "EMAIL" | "PUSH") || (item == "SMS" && !v5)),
        "status" => each(&|item| STATUSES[..if v5 { 8 } else { 6 }].contains(&item)),
        "tags" | "created_by" => each(&|_| true),
        "name" | "id" => value.is_string(),
        // Neither bound is marked as required.
        "created_date" => value.as_object().is_some_and(|range| {
            !range.is_empty() && range.iter().all(|(key, bound)| day_bound(key, bound, v5).is_some())
        }),
        "version_number" => v5 && value.is_u64(),
        // An example of the documents puts it here, the schema beside the filters.
        "include_archive_campaigns" => v5 && value.is_boolean(),
        _ => false,
    }
}

/// A bound of `created_date` in the format of `created_at`: a day alone means all of it.
fn day_bound(key: &str, bound: &Value, v5: bool) -> Option<String> {
    let text = bound.as_str()?;
    let day = text.get(..10).filter(|day| crate::clock::parse_day(day).is_some())?;
    match (key, text.get(10..)?) {
        ("from_date", "") => Some(format!("{day} 00:00:00")),
        ("to_date", "") => Some(format!("{day} 23:59:59.999999")),
        ("from_date" | "to_date", time) if v5 && time.len() >= 9 && time.starts_with('T') => {
            Some(format!("{day} {}", time[1..].trim_end_matches('Z')))
        }
        _ => None,
    }
}

fn among(wanted: &Value, value: &str) -> bool {
    wanted.as_array().is_some_and(|all| all.iter().any(|item| item.as_str() == Some(value)))
}

fn matches(row: &Campaign, key: &str, wanted: &Value) -> bool {
    match key {
        "channels" => among(wanted, &row.channel),
        "status" => among(wanted, &row.status),
        "created_by" => among(wanted, &row.created_by),
        "delivery_type" | "campaign_delivery_type" => among(wanted, &row.campaign_delivery_type),
        "ids" => among(wanted, &row.id),
        "id" => wanted.as_str() == Some(&row.id),
        "tags" => row.tags.iter().any(|tag| among(wanted, tag)),
        "name" => wanted.as_str().is_some_and(|wanted| row.name.contains(wanted)),
        "version_number" => row.extra.get("version_number") == Some(wanted),
        "created_date" => {
            let bound = |key: &str| day_bound(key, &wanted[key], true);
            bound("from_date").is_none_or(|from| row.created_at >= from)
                && bound("to_date").is_none_or(|to| row.created_at <= to)
        }
        _ => true,
    }
}

impl Workspace {
    /// `POST /core-services/v1/campaigns/search`: a bare array, no total.
    fn search_campaigns_v1(&mut self, call: &Call<'_>) -> Reply {
        let search = match Search::read(call, Version::V1) {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if search.request_id.is_none() {
            return call.invalid("request_id", "request_id key is mandatory field");
        }
        let rows: Vec<Value> = self.searches.page(&search).into_iter().map(Campaign::in_v1).collect();
        self.searches.count();
        Reply::json(200, &json!(rows))
    }

    /// `POST /v5/campaigns/search`: a key of V1 among the filters finds nothing, without an error
    /// (moengage: MD:api/campaigns/search-campaigns-v5-migration.mdx).
    fn search_campaigns_v5(&mut self, call: &Call<'_>) -> Reply {
        let key = match self.searches.fresh_key(call) {
            Ok(key) => key,
            Err(reply) => return reply,
        };
        let search = match Search::read(call, Version::V5) {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if let Some(reply) = unnamed(call, search.request_id.as_deref()) {
            return reply;
        }
        let ignored = ["id", "delivery_type", "include_archive_campaigns"]
            .into_iter()
            .find(|key| search.campaign_fields.contains_key(*key));
        let finds_nothing = matches!(ignored, Some("id" | "delivery_type"));
        let rows: Vec<Value> = match finds_nothing {
            true => Vec::new(),
            false => self.searches.page(&search).into_iter().map(Campaign::in_v5).collect(),
        };
        let answer = json!({"response_id": call.id, "type": "campaign", "data": {"campaigns": rows}});
        let reply = Reply::json(200, &answer);
        self.searches.remember(key, call, &reply);
        self.searches.count();
        match ignored {
            Some(key) => reply.with(FindingKind::IgnoredFilter, format!("{key} is no filter of V5")),
            None => reply,
        }
    }
}

/// What is wrong with the id of a v5 request: it is in the body, in the header, or in both.
pub(super) fn unnamed(call: &Call<'_>, body: Option<&str>) -> Option<Reply> {
    match (body, call.request.header("x-moe-request-id")) {
        (None, None) => Some(call.invalid("X-MOE-Request-Id", "a request id is required")),
        (Some(body), Some(header)) if body != header => {
            Some(call.invalid("X-MOE-Request-Id", "header and body name different requests"))
        }
        _ => None,
    }
}
