//! Figures of a flow, and of one of its channels: a beta.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::envelopes::Envelope;
use super::flows::{FLOWS, KEY, READS};
use super::routes::{Call, Calls, Query, Route};
use super::rows::{Held, Table, without};
use super::workspace::Workspace;
use crate::clock::{Millis, parse_rfc3339};
use crate::http::Reply;
use crate::journal::FindingKind;

/// The examples of these calls are worded otherwise than those of flows; the shape is the same.
const ANALYTICS: Envelope = FLOWS;

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get("/v5/flows/{flow_id}/analytics", KEY, ANALYTICS, &READS, Workspace::flow_analytics),
        Route::get(
            "/v5/flows/{flow_id}/analytics/channels/{channel}",
            KEY,
            ANALYTICS,
            &READS,
            Workspace::flow_channel_analytics,
        ),
    ],
    rows: &[
        Held { table: Table::FlowAnalytics, id: "key", samples },
        Held { table: Table::FlowChannelAnalytics, id: "key", samples: channel_samples },
    ],
    controls: &[],
};

const DAY_S: i64 = 86_400;
/// moengage: MD:api/flows/flow-analytics.yaml: "date range exceeds 90 days"; also the default.
const LONGEST_RANGE_MS: Millis = 90 * DAY_S * 1_000;

const ATTRIBUTIONS: &[&str] =
    &["VIEW_THROUGH", "CLICK_THROUGH", "IN_SESSION", "TOTAL_CONVERSIONS", "CLICK_CONVERSIONS"];
const CHANNELS: &[&str] = &[
    "EMAIL",
    "SMS",
    "PUSH",
    "WHATSAPP",
    "IN_APP",
    "ONSITE",
    "CONNECTOR",
    "CARDS",
    "FB_AUDIENCE",
    "GOOGLE_ADS",
    "CONNECTED_APPS",
];
/// Name in `fields`, and member of `data`. The enumeration says `branch_stats` where the answer
/// says `split_stage_stats`: both are let through.
const FIELDS: &[(&str, &str)] = &[
    ("summary", "summary"),
    ("drop_stats", "drop_stats"),
    ("branch_stats", "split_stage_stats"),
    ("split_stage_stats", "split_stage_stats"),
    ("business_trigger_stats", "business_trigger_stats"),
];
const CHANNEL_FIELDS: &[(&str, &str)] =
    &[("aggregated_stats", "aggregated_stats"), ("campaign_stats", "campaign_stats")];

/// Members of `data` that are always there.
const ALWAYS: &[&str] = &["flow_id", "channel", "version_name"];

struct Asked<'a> {
    /// Seconds, both included.
    window: (i64, i64),
    version_name: Option<&'a str>,
    members: Option<Vec<&'static str>>,
}

fn bad_range(call: &Call<'_>, target: &str, message: &str) -> Reply {
    call.refused(super::envelopes::Refusal::Named {
        status: 400,
        code: "INVALID_DATE_RANGE",
        target,
        message,
    })
    .with(FindingKind::Violation, message)
}

impl<'a> Asked<'a> {
    fn read(call: &'a Call<'_>, fields: &[(&str, &'static str)]) -> Result<Self, Reply> {
        let query = call.query(
            &[
                "activity_after",
                "activity_before",
                "version_name",
                "attribution_type",
                "metric_type",
                "fields",
            ],
            &[],
        )?;
        let one_of = |name, known: &[&str]| match query.get(name) {
            Some(value) if known.contains(&value) => Ok(()),
            Some(_) => Err(call.invalid(name, "not a documented value")),
            None => Err(call.invalid(name, "is required")),
        };
        one_of("attribution_type", ATTRIBUTIONS)?;
        one_of("metric_type", &["TOTAL", "UNIQUE"])?;
        let version_name = query.get("version_name");
        if version_name.is_some_and(|name| {
            name != "All Versions" && name.strip_prefix("Version ").is_none_or(|n| n.parse::<u64>().is_err())
        }) {
            return Err(call.invalid("version_name", "not the name of a version"));
        }
        let members = match query.get("fields") {
            None => None,
            Some(names) => {
                let member =
                    |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, member)| *member);
                let members: Option<Vec<_>> = names.split(',').map(member).collect();
                Some(members.ok_or_else(|| call.invalid("fields", "not a documented field"))?)
            }
        };
        Ok(Self { window: Self::window(call, &query)?, version_name, members })
    }

    fn window(call: &Call<'_>, query: &Query<'_>) -> Result<(i64, i64), Reply> {
        let bound = |name| match query.get(name) {
            None => Ok(None),
            Some(text) => {
                parse_rfc3339(text).map(Some).ok_or_else(|| call.invalid(name, "not an ISO 8601 time"))
            }
        };
        let to = bound("activity_before")?.unwrap_or(call.request.at);
        let from = bound("activity_after")?.unwrap_or(to - LONGEST_RANGE_MS);
        if from > to {
            return Err(bad_range(
                call,
                "activity_after",
                "activity_after must be less than activity_before.",
            ));
        }
        if to - from > LONGEST_RANGE_MS {
            return Err(bad_range(call, "activity_before", "The date range exceeds 90 days."));
        }
        Ok((from.div_euclid(1_000), to.div_euclid(1_000)))
    }

    /// What is shown of a row: entries of the window, and the fields that were asked for.
    fn shown(&self, row: &Value) -> Value {
        let mut row = without(row, "key");
        let Some(members) = row.as_object_mut() else { return row };
        members.retain(|name, _| {
            let name = name.as_str();
            ALWAYS.contains(&name) || self.members.as_ref().is_none_or(|asked| asked.contains(&name))
        });
        let (from, to) = self.window;
        for name in ["summary", "drop_stats"] {
            let Some(entries) = members.get_mut(name).and_then(Value::as_array_mut) else { continue };
            entries.retain(|entry| entry["timestamp"].as_i64().is_none_or(|at| (from..=to).contains(&at)));
            // "Fields are omitted entirely when no data exists".
            if entries.is_empty() {
                members.remove(name);
            }
        }
        row
    }
}

impl Workspace {
    /// `GET /v5/flows/{flow_id}/analytics` (moengage: MD:api/flows/flow-analytics.yaml).
    fn flow_analytics(&mut self, call: &Call<'_>) -> Reply {
        match self.figures(call, None) {
            Ok(data) => {
                Reply::json(200, &json!({"response_id": call.id, "type": "flow_analytics", "data": data}))
            }
            Err(reply) => reply,
        }
    }

    /// `GET /v5/flows/{flow_id}/analytics/channels/{channel}`.
    fn flow_channel_analytics(&mut self, call: &Call<'_>) -> Reply {
        let channel = call.variable(1);
        if !CHANNELS.contains(&channel) {
            return call.invalid("channel", "not a channel");
        }
        match self.figures(call, Some(channel)) {
            Ok(data) => Reply::json(
                200,
                &json!({"response_id": call.id, "type": "flow_channel_analytics", "data": data}),
            ),
            Err(reply) => reply,
        }
    }

    fn figures(&self, call: &Call<'_>, channel: Option<&str>) -> Result<Value, Reply> {
        let asked = Asked::read(call, if channel.is_some() { CHANNEL_FIELDS } else { FIELDS })?;
        let flow_id = call.variable(0);
        let Some(flow) = self.tables.find(Table::Flows, flow_id) else {
            let message = "No flow found for the given flow_id in this workspace.";
            return Err(call.not_found("FLOW_NOT_FOUND", "flow_id", message));
        };
        let active = flow["active_version_name"].as_str().unwrap_or("Version 1");
        let version_name = asked.version_name.unwrap_or(active);
        let (table, key) = match channel {
            None => (Table::FlowAnalytics, format!("{flow_id}/{version_name}")),
            Some(channel) => (Table::FlowChannelAnalytics, format!("{flow_id}/{version_name}/{channel}")),
        };
        let mut data = self.tables.find(table, &key).map_or_else(|| json!({}), |row| asked.shown(row));
        data["flow_id"] = json!(flow_id);
        data["version_name"] = json!(version_name);
        if let Some(channel) = channel {
            data["channel"] = json!(channel);
        }
        Ok(data)
    }
}

/// Of the last three days, so that the default window holds them.
fn samples() -> Vec<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = (1..=3).map(|back| (now as i64 / DAY_S - back) * DAY_S);
    let summary: Vec<Value> = days
        .clone()
        .enumerate()
        .map(|(n, at)| {
            json!({
                "timestamp": at,
                "trip_stats": {"trips_started": 120 + n, "trips_completed": 80, "trips_in_progress": 20, "trips_dropped": 20 + n},
                "conversion_goal_stats": {"goal_001": {"is_primary_goal": true,
                    "view_through": {"total": 12, "unique": 10, "cvr": 0.08, "revenue": 450.0},
                    "click_through": {"total": 9, "unique": 7, "cvr": 0.06, "revenue": 320.0}}},
            })
        })
        .collect();
    let drops: Vec<Value> = days
        .map(|at| {
            json!({
                "timestamp": at,
                "exits": {"conversions": {"UD_ER_1": {"count": 8, "description": "Exit Condition 1"}}, "exit_reasons": {}},
                "drops": {"drop_reasons": {"UD_DR_FC_DND": {"count": 4, "description": "FC/DND"}}},
            })
        })
        .collect();
    vec![json!({
        "key": "69f1de84f9e401a2d7d9a901/Version 2", "flow_id": "69f1de84f9e401a2d7d9a901",
        "version_name": "Version 2", "summary": summary, "drop_stats": drops, "business_trigger_stats": [],
        "split_stage_stats": {"ab_split_stages": [{"stage_id": "s1", "stage_name": "Subject", "branches": [
            {"branch_id": "a", "branch_name": "Control", "entered": 62, "converted": 9},
            {"branch_id": "b", "branch_name": "Test", "entered": 62, "converted": 7}]}], "ipo_stages": []},
    })]
}

fn channel_samples() -> Vec<Value> {
    let performance = json!({
        "group_level_stats": {"sent": 480, "delivered": 459, "opened": 123, "clicked": 38, "conversions": 9, "cvr": 0.021},
        "conversion_goal_stats": {},
    });
    let delivery = json!({"group_level_stats": {
        "delivery_funnel": {"success": {"count": 459, "description": "Successfully Sent"}},
        "delivery_failure_breakdown": {},
    }});
    vec![json!({
        "key": "69f1de84f9e401a2d7d9a901/Version 2/EMAIL", "flow_id": "69f1de84f9e401a2d7d9a901",
        "channel": "EMAIL", "version_name": "Version 2",
        "aggregated_stats": {"performance": performance, "delivery": delivery},
        "campaign_stats": [{"action_id": "n2", "campaign_id": "64a1b2c3d4e5f6a7b8c9d001",
            "stage_name": "Welcome mail", "performance": performance, "delivery": delivery}],
    })]
}
