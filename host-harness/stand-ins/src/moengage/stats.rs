//! Campaign stats: ten campaigns and thirty days a call.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::MoEngage;
use super::campaigns::Campaign;
use super::envelopes::{Envelope, Refusal, letters};
use super::figures::{Asked, Figures, restate};
use super::options::Family;
use super::pages::Slice;
use super::routes::{Call, Calls, Control, Key, Limit, MINUTE, Route};
use super::workspace::{Workspace, read};
use crate::clock::parse_day;
use crate::http::Reply;
use crate::windows::Window;

pub(super) const STATS: &str = "/core-services/v1/campaign-stats";

/// moengage: OpenAPI file of stats, `campaign_ids` and `limit`.
const MOST_CAMPAIGNS: u64 = 10;
/// moengage: OpenAPI file of stats, `end_date`.
const LONGEST_RANGE_MS: i64 = 30 * 86_400_000;

const KEY: Key = Key { family: Family::Campaigns, permission: "campaigns:view" };
const ENVELOPE: Envelope = Envelope::plain(refused).with_status(status);
/// moengage: OpenAPI file of stats.
const LIMIT: Limit = Limit { name: "stats", windows: &[Window { limit: 100, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::post(STATS, KEY, ENVELOPE, &LIMIT, Workspace::campaign_stats)],
    rows: &[],
    controls: &[Control {
        name: "figures",
        act: |workspace, body| {
            restate(&mut workspace.figures, read::<Vec<Figures>>(body)?);
            Ok(())
        },
    }],
};

impl MoEngage {
    /// Adds figures; those of the same campaign, day, platform, locale and variation are
    /// restated.
    pub fn set_figures(&self, figures: impl IntoIterator<Item = Figures>) {
        self.server.shared.with(|workspace| restate(&mut workspace.figures, figures));
    }

    /// Reads or changes all figures.
    pub fn with_figures<T>(&self, act: impl FnOnce(&mut Vec<Figures>) -> T) -> T {
        self.server.shared.with(|workspace| act(&mut workspace.figures))
    }
}

/// A missing `MOE-APPKEY` is a 400 here (moengage: OpenAPI file of stats, example of 400).
fn status(refusal: Refusal<'_>) -> u16 {
    if refusal == Refusal::NoAppKey { 400 } else { refusal.status() }
}

/// moengage: `ErrorResponseSimple` of the OpenAPI file of stats; its 429 shows no body.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (title, description) = match refusal {
        Refusal::Invalid { target, message } => (
            "Invalid Field Value",
            json!(format!("{target} - Some of the field values are invalid: {message}")),
        ),
        Refusal::NoAppKey => {
            ("Invalid Field Value", json!("app_key - Some of the field values are invalid: app_key : None"))
        }
        Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("Authentication required", json!("Invalid identity information found."))
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("Forbidden Request", Value::Null)
        }
        Refusal::TooMany => return Value::Null,
        Refusal::Named { code, message, .. } => (code, json!(message)),
    };
    json!({"title": title, "description": description, "code": letters(id)})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    request_id: String,
    #[serde(default)]
    campaign_ids: Vec<String>,
    start_date: String,
    end_date: String,
    attribution_type: String,
    metric_type: String,
    #[serde(default)]
    offset: u64,
    #[serde(default = "most")]
    limit: u64,
}

const fn most() -> u64 {
    MOST_CAMPAIGNS
}

impl Request {
    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        const ATTRIBUTIONS: &[&str] =
            &["VIEW_THROUGH", "CLICK_THROUGH", "IN_SESSION", "TOTAL_CONVERSIONS", "CLICK_CONVERSIONS"];
        if self.campaign_ids.len() as u64 > MOST_CAMPAIGNS {
            return Some(("campaign_ids", "at most 10 campaigns"));
        }
        if self.campaign_ids.iter().collect::<BTreeSet<_>>().len() < self.campaign_ids.len() {
            return Some(("campaign_ids", "a campaign is named twice"));
        }
        if !(1..=MOST_CAMPAIGNS).contains(&self.limit) {
            return Some(("limit", "limit is 1 to 10"));
        }
        if !ATTRIBUTIONS.contains(&self.attribution_type.as_str()) {
            return Some(("attribution_type", "not one of the documented"));
        }
        if !["TOTAL", "UNIQUE"].contains(&self.metric_type.as_str()) {
            return Some(("metric_type", "TOTAL or UNIQUE"));
        }
        match (parse_day(&self.start_date), parse_day(&self.end_date)) {
            (Some(from), Some(to)) if (0..=LONGEST_RANGE_MS).contains(&(to - from)) => None,
            (Some(_), Some(_)) => Some(("end_date", "0 to 30 days after start_date")),
            _ => Some(("start_date", "dates are YYYY-MM-DD")),
        }
    }
}

impl Workspace {
    /// `POST /core-services/v1/campaign-stats` (moengage: OpenAPI file of stats). Without ids, all
    /// campaigns, children too. What is answered for an id that nobody knows is not documented:
    /// it is counted, and not among the data.
    fn campaign_stats(&mut self, call: &Call<'_>) -> Reply {
        let asked: Request = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if let Some((target, message)) = asked.wrong() {
            return call.invalid(target, message);
        }
        let known = |id: &String| {
            self.searches.campaigns.iter().any(|campaign| campaign.id == *id)
                || self.figures.iter().any(|row| row.campaign_id == *id)
        };
        let ids: Vec<String> = match asked.campaign_ids.is_empty() {
            true => self.searches.campaigns.iter().map(|campaign: &Campaign| campaign.id.clone()).collect(),
            false => asked.campaign_ids.clone(),
        };
        let slice = Slice::offset(asked.offset, asked.limit);
        let page = self.pages.cut(STATS, ids, slice, String::clone);
        let figures = Asked {
            days: (&asked.start_date, &asked.end_date),
            metric_type: &asked.metric_type,
            attribution_type: &asked.attribution_type,
        };
        let data: Map<String, Value> = page
            .rows
            .iter()
            .filter(|id| known(id))
            .map(|id| (id.clone(), json!([{"platforms": figures.platforms(&self.figures, id)}])))
            .collect();
        page.reply(&json!({
            "response_id": asked.request_id, "total_campaigns": page.total, "current_page": slice.page,
            "total_pages": page.total.div_ceil(asked.limit), "data": data,
        }))
    }
}
