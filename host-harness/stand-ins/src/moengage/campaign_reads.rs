//! Campaigns beside their search: meta and executions of V1, meta and one campaign of V5.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::campaigns::Campaign;
use super::envelopes::{CAMPAIGNS_V1, Refusal, V5};
use super::options::Family;
use super::pages::{Page, Slice};
use super::routes::{Call, Calls, Key, Limit, Route};
use super::search::{WINDOWS, unnamed};
use super::workspace::Workspace;
use crate::clock::{parse_day, parse_rfc3339};
use crate::http::Reply;

pub(super) const META_V1: &str = "/core-services/v1/campaigns/meta";
pub(super) const EXECUTIONS: &str = "/core-services/v1/campaigns/{parent_campaign_id}/executions";
pub(super) const META_V5: &str = "/v5/campaigns/meta";
const CAMPAIGN_V5: &str = "/v5/campaigns/{campaign_id}";

/// moengage: OpenAPI file of campaigns, `limit`.
const LARGEST_PAGE: u64 = 15;

const KEY: Key = Key { family: Family::Campaigns, permission: "campaigns:view" };

const META_LIMIT: Limit = Limit { name: "campaign-meta-v1", windows: WINDOWS };
const META_V5_LIMIT: Limit = Limit { name: "campaign-meta-v5", windows: WINDOWS };
const EXECUTIONS_LIMIT: Limit = Limit { name: "campaign-executions", windows: WINDOWS };
const CAMPAIGN_V5_LIMIT: Limit = Limit { name: "campaign-v5", windows: WINDOWS };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post(META_V1, KEY, CAMPAIGNS_V1, &META_LIMIT, Workspace::campaign_meta),
        Route::post(EXECUTIONS, KEY, CAMPAIGNS_V1, &EXECUTIONS_LIMIT, Workspace::executions),
        Route::post(META_V5, KEY, V5, &META_V5_LIMIT, Workspace::campaign_meta_v5),
        Route::get(CAMPAIGN_V5, KEY, V5, &CAMPAIGN_V5_LIMIT, Workspace::campaign_v5),
    ],
    rows: &[],
    controls: &[],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    request_id: Option<String>,
    limit: u64,
    page: u64,
    #[serde(default)]
    campaign_fields: Map<String, Value>,
    #[serde(default)]
    include_child_campaigns: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Children {
    request_id: Option<String>,
    limit: u64,
    page: u64,
}

/// What is wrong with a page, if so.
fn wrong(limit: u64, page: u64) -> Option<(&'static str, &'static str)> {
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Some(("limit", "limit is 1 to 15"));
    }
    (page == 0).then_some(("page", "page counts from 1"))
}

/// As [`wrong`], for V1.
fn wrong_v1(request_id: Option<&String>, limit: u64, page: u64) -> Option<(&'static str, &'static str)> {
    match request_id {
        None => Some(("request_id", "request_id key is mandatory field")),
        Some(_) => wrong(limit, page),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V5,
}

/// moengage: `CampaignMetaSearchFields`, and `CampaignMetaSearchFieldsV5`: its schema knows a
/// `delivery_type` that is one text, its examples a list too, called `campaign_delivery_type`.
fn documented(version: Version, key: &str, value: &Value) -> bool {
    const CHANNELS: &[&str] = &["EMAIL", "PUSH", "SMS", "WHATSAPP", "FACEBOOK", "GOOGLE ADS", "CONNECTORS"];
    const TYPES: &[&str] = &[
        "ONE_TIME",
        "PERIODIC",
        "EVENT_TRIGGERED",
        "BUSINESS_EVENT_TRIGGERED",
        "DEVICE_TRIGGERED",
        "LOCATION_TRIGGERED",
    ];
    const STATUSES: &[&str] =
        &["SCHEDULED", "ACTIVE", "PAUSED", "SENT", "STOPPED", "ARCHIVED", "RETIRED", "DRAFT", "SENDING"];
    let v5 = version == Version::V5;
    let one_of = |item: &Value, allowed: &[&str]| item.as_str().is_some_and(|item| allowed.contains(&item));
    let each = |allowed: &[&str]| {
        value.as_array().is_some_and(|all| {
            all.iter().all(|item| if allowed.is_empty() { item.is_string() } else { one_of(item, allowed) })
        })
    };
    match key {
        "channels" => each(CHANNELS),
        "delivery_type" if v5 => one_of(value, TYPES),
        "delivery_type" => each(&TYPES[..4]),
        "campaign_delivery_type" => v5 && each(TYPES),
        "status" if v5 => each(STATUSES) && !among(value, "RETIRED"),
        "status" => each(&STATUSES[..7]),
        "created_by" | "tags" => each(&[]),
        "id" | "name" => value.is_string(),
        "created_date" if v5 => value.as_object().is_some_and(|range| {
            range.iter().all(|(key, bound)| {
                let text = bound.as_str().unwrap_or_default();
                ["from_date", "to_date"].contains(&key.as_str())
                    && text.len() >= 19
                    && parse_rfc3339(&format!("{}Z", text.trim_end_matches('Z'))).is_some()
            })
        }),
        // Both bounds are required here, in contrast to the search.
        "created_date" => value.as_object().is_some_and(|range| {
            range.len() == 2 && ["from_date", "to_date"].iter().all(|key| day(&value[key]).is_some())
        }),
        _ => false,
    }
}

fn among(wanted: &Value, own: &str) -> bool {
    wanted.as_array().is_some_and(|all| all.iter().any(|item| item.as_str() == Some(own)))
}

/// `YYYY-MM-DD` or `DD-MM-YYYY`, in the first spelling.
fn day(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let day = match text.split('-').collect::<Vec<_>>().as_slice() {
        [d, m, y] if y.len() == 4 => format!("{y}-{m}-{d}"),
        _ => text.to_owned(),
    };
    parse_day(&day).map(|_| day)
}

/// Whether a campaign was made within the bounds: days of V1 count whole, V5 has times.
fn made_within(row: &Campaign, wanted: &Value) -> bool {
    let at = naive(&row.created_at);
    let bound = |key: &str, rest: &str| match day(&wanted[key]) {
        Some(day) => Some(format!("{day}{rest}")),
        None => wanted[key].as_str().map(|text| {
            let text = text.trim_end_matches('Z');
            if text.contains('.') { text.to_owned() } else { format!("{text}.000000") }
        }),
    };
    bound("from_date", "T00:00:00").is_none_or(|from| at >= from)
        && bound("to_date", "T23:59:59.999999").is_none_or(|to| at <= to)
}

fn matches(row: &Campaign, key: &str, wanted: &Value) -> bool {
    match key {
        "channels" => among(wanted, &row.channel),
        "delivery_type" | "campaign_delivery_type" => {
            among(wanted, &row.campaign_delivery_type) || wanted.as_str() == Some(&row.campaign_delivery_type)
        }
        "status" => among(wanted, &row.status),
        "created_by" => among(wanted, &row.created_by),
        "tags" => row.tags.iter().any(|tag| among(wanted, tag)),
        "id" => wanted.as_str() == Some(&row.id),
        "name" => wanted.as_str().is_some_and(|name| row.name.contains(name)),
        "created_date" => made_within(row, wanted),
        _ => true,
    }
}

/// `2024-07-04 08:00:54.847000` as `2024-07-04T08:00:54.847000`.
fn naive(text: &str) -> String {
    text.replacen(' ', "T", 1)
}

impl Campaign {
    /// `Active`: V1 writes a status as a word.
    pub(super) fn status_word(&self) -> String {
        let mut letters = self.status.chars();
        let first = letters.next().map(String::from).unwrap_or_default();
        format!("{first}{}", letters.as_str().to_lowercase())
    }

    /// moengage: `CampaignMetaResponse`, `CampaignMetaResponseV5`. `children` are counted for a
    /// parent only.
    fn meta(&self, version: Version, children: usize) -> Value {
        let platform: &[&str] = if self.channel == "PUSH" { &["ANDROID", "IOS"] } else { &[] };
        let start = naive(&self.created_at);
        let status = if version == Version::V5 { self.status.clone() } else { self.status_word() };
        let mut row = json!({
            "campaign_id": self.id, "channel": self.channel, "platform": platform,
            "created_by": self.created_by, "campaign_delivery_type": self.campaign_delivery_type,
            "campaign_name": self.name, "campaign_team": "Growth Team", "campaign_tags": self.tags,
            "campaign_status": status, "campaign_start_time": start.get(..19).unwrap_or(&start),
        });
        if let Some(parent) = &self.parent_id {
            row["parent_campaign_id"] = json!(parent);
        }
        if let (Some(flow), Some(name)) = (&self.flow_id, &self.flow_name) {
            row["flow_id"] = json!(flow);
            row["flow_name"] = json!(name);
        }
        if self.has_executions() && !self.is_child() {
            row["total_child_campaigns"] = json!(children);
        }
        if self.status == "SCHEDULED" {
            row["reachability_details"] = json!({"count": 18_182, "last_updated_time": start});
        }
        row
    }

    fn has_executions(&self) -> bool {
        matches!(self.campaign_delivery_type.as_str(), "PERIODIC" | "BUSINESS_EVENT_TRIGGERED")
    }

    /// moengage: `ChildCampaignsResponse`.
    fn execution(&self) -> Value {
        let status = match self.status.as_str() {
            "SENT" => "Sent",
            "SCHEDULED" => "Scheduled",
            "FAILED" => "Failed",
            _ => "Sending",
        };
        let sent = self.sent_time.as_ref().unwrap_or(&self.created_at);
        json!({"campaign_id": self.id, "sent_time": naive(sent), "status": status})
    }
}

impl Workspace {
    fn children<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = &'a Campaign> {
        self.searches.campaigns.iter().filter(move |row| row.parent_id.as_deref() == Some(parent))
    }

    /// `POST /core-services/v1/campaigns/meta` (moengage: OpenAPI file of campaigns): a bare array,
    /// no total.
    fn campaign_meta(&mut self, call: &Call<'_>) -> Reply {
        let asked: Meta = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if let Some((target, message)) = wrong_v1(asked.request_id.as_ref(), asked.limit, asked.page) {
            return call.invalid(target, message);
        }
        if asked.campaign_fields.iter().any(|(key, value)| !documented(Version::V1, key, value)) {
            return call.invalid("campaign_fields", "not a documented filter");
        }
        let page = self.meta_page(META_V1, Version::V1, &asked);
        page.reply(&json!(page.rows))
    }

    fn meta_page(&mut self, call: &'static str, version: Version, asked: &Meta) -> Page<Value> {
        let drafts = asked.campaign_fields.get("status").is_some_and(|all| among(all, "DRAFT"));
        let found = self.searches.campaigns.iter().filter(|row| {
            (asked.include_child_campaigns || !row.is_child())
                && (drafts || row.status != "DRAFT")
                && asked.campaign_fields.iter().all(|(key, wanted)| matches(row, key, wanted))
        });
        let rows: Vec<Value> = found.map(|row| row.meta(version, self.children(&row.id).count())).collect();
        self.pages.cut(call, rows, Slice::page(asked.page, asked.limit), id_of)
    }

    /// `POST /v5/campaigns/meta` (moengage: OpenAPI file of campaign drafts): no total either.
    fn campaign_meta_v5(&mut self, call: &Call<'_>) -> Reply {
        let key = match self.searches.fresh_key(call) {
            Ok(key) => key,
            Err(reply) => return reply,
        };
        let asked: Meta = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if let Some(reply) = unnamed(call, asked.request_id.as_deref()) {
            return reply;
        }
        if let Some((target, message)) = wrong(asked.limit, asked.page) {
            return call.invalid(target, message);
        }
        if asked.campaign_fields.iter().any(|(key, value)| !documented(Version::V5, key, value)) {
            return call.invalid("campaign_fields", "not a documented filter");
        }
        let page = self.meta_page(META_V5, Version::V5, &asked);
        let answer = json!({"response_id": call.id, "type": "campaign", "data": {"campaigns": page.rows}});
        let reply = page.reply(&answer);
        self.searches.remember(key, call, &reply);
        reply
    }

    /// `POST /core-services/v1/campaigns/{parent_campaign_id}/executions` (moengage: OpenAPI file of
    /// campaigns): of periodic and business event triggered e-mail and push only. What is answered
    /// for any other id is not documented: a 400 here.
    fn executions(&mut self, call: &Call<'_>) -> Reply {
        let asked: Children = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if let Some((target, message)) = wrong_v1(asked.request_id.as_ref(), asked.limit, asked.page) {
            return call.invalid(target, message);
        }
        let parent = self.searches.campaigns.iter().find(|row| row.id == call.variable(0));
        let Some(parent) = parent.filter(|row| {
            row.has_executions() && matches!(row.channel.as_str(), "EMAIL" | "PUSH") && !row.is_child()
        }) else {
            return call.refused(Refusal::Named {
                status: 400,
                code: "400 Bad Request",
                target: "parent_campaign_id",
                message: "The campaign has no child campaigns.",
            });
        };
        let rows: Vec<Value> = self.children(&parent.id).map(Campaign::execution).collect();
        let page = self.pages.cut(EXECUTIONS, rows, Slice::page(asked.page, asked.limit), id_of);
        page.reply(&json!({"executions": page.rows, "total_instances": page.total}))
    }

    /// `GET /v5/campaigns/{campaign_id}` (moengage: OpenAPI file of campaign drafts).
    fn campaign_v5(&mut self, call: &Call<'_>) -> Reply {
        if let Err(reply) = call.query(&[], &[]) {
            return reply;
        }
        match self.searches.campaigns.iter().find(|row| row.id == call.variable(0)) {
            Some(row) => {
                Reply::json(200, &json!({"response_id": call.id, "type": "campaign", "data": row.in_v5()}))
            }
            None => call.refused(Refusal::Named {
                status: 404,
                code: "NOT_FOUND",
                target: "",
                message: "Campaign not found.",
            }),
        }
    }
}

fn id_of(row: &Value) -> String {
    row["campaign_id"].as_str().unwrap_or_default().to_owned()
}
