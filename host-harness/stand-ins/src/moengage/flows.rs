//! Flows: a search with a cursor, one flow, and one of its versions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::cursors::Ask;
use super::envelopes::{Envelope, Ids, Refusal, required};
use super::options::Family;
use super::routes::{Call, Calls, HOUR, Key, Limit, MINUTE, Route, SECOND};
use super::rows::{Held, Table, only, without};
use super::workspace::Workspace;
use crate::clock::{Millis, parse_rfc3339};
use crate::http::Reply;
use crate::windows::Window;

pub(super) const KEY: Key = Key { family: Family::Campaigns, permission: "campaigns:view" };

/// moengage: OpenAPI file of flows. It can be read as one window for all calls or as one for each:
/// here they share it.
pub(super) const READS: Limit = Limit {
    name: "flows",
    windows: &[
        Window { limit: 10, period_ms: SECOND },
        Window { limit: 100, period_ms: MINUTE },
        Window { limit: 6_000, period_ms: HOUR },
    ],
};

pub(super) const FLOWS: Envelope =
    Envelope { ids: Ids::Echoed, retry_after: true, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post("/v5/flows/search", KEY, FLOWS, &READS, Workspace::search_flows),
        Route::get("/v5/flows/{flow_id}", KEY, FLOWS, &READS, Workspace::flow),
        Route::get("/v5/flows/{flow_id}/versions/{version_id}", KEY, FLOWS, &READS, Workspace::flow_version),
    ],
    rows: &[
        Held { table: Table::Flows, id: "flow_id", samples },
        Held { table: Table::FlowVersions, id: "version_id", samples: version_samples },
    ],
    controls: &[],
};

/// Members that a search shows (`FlowSummary`).
const LISTED: &[&str] = &[
    "flow_id",
    "name",
    "status",
    "archived",
    "delivery_type",
    "active_version_name",
    "tags",
    "created_at",
    "updated_at",
    "published_at",
    "created_by",
];
const STATUSES: &[&str] = &[
    "DRAFT",
    "ACTIVE",
    "SCHEDULED",
    "PAUSED",
    "STOPPED",
    "COMPLETED",
    "RETIRED",
    "UNDER_REVIEW",
    "REJECTED",
];
const DELIVERY_TYPES: &[&str] =
    &["ONE_TIME", "PERIODIC", "ON_FLOW_EXIT", "EVENT_TRIGGERED", "BUSINESS_EVENT_TRIGGERED"];
/// moengage: OpenAPI file of flows, `limit`.
const PAGE: u64 = 20;
const LARGEST_PAGE: u64 = 100;

/// moengage: `ErrorResponse` of the OpenAPI file of flows.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let detail = |target: &str, message: &str| json!([{"target": target, "message": message}]);
    let (code, target, message, details) = match refusal {
        Refusal::Invalid { target, message } => (
            "VALIDATION_FAILED",
            Some(target),
            "One or more request parameters failed validation.",
            detail(target, message),
        ),
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("UNAUTHORIZED", None, "Invalid or missing credentials.", json!([]))
        }
        Refusal::Scope(permission) => (
            "FORBIDDEN",
            Some("permission"),
            "You do not have the required permission for this operation.",
            detail("permission", &required(permission)),
        ),
        Refusal::Suspended | Refusal::Address | Refusal::NotSwitchedOn => {
            ("FORBIDDEN", None, "The account is suspended", json!([]))
        }
        Refusal::TooMany => ("RATE_LIMITED", None, "Rate limit exceeded for app key.", json!([])),
        Refusal::Named { code, target, message, .. } => {
            (code, Some(target), message, detail(target, message))
        }
    };
    let mut error = json!({"code": code, "message": message, "details": details});
    if let Some(target) = target {
        error["target"] = json!(target);
    }
    json!({"response_id": id, "error": error})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    #[serde(rename = "request_id")]
    _request_id: Option<String>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    delivery_type: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    teams: Option<Vec<String>>,
    name: Option<String>,
    #[serde(default)]
    created_by: Vec<String>,
    creation_start_time: Option<String>,
    creation_end_time: Option<String>,
    #[serde(default)]
    include_archived: bool,
    limit: Option<u64>,
    cursor: Option<String>,
}

fn utc(text: &str) -> Option<Millis> {
    parse_rfc3339(text).filter(|_| text.ends_with('Z'))
}

/// Letter case does not count in the filters of enumerations.
fn among(wanted: &[String], value: &Value) -> bool {
    let value = value.as_str().unwrap_or_default();
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}

fn any_of(wanted: &[String], values: &Value) -> bool {
    let values = values.as_array().map_or(&[][..], Vec::as_slice);
    wanted.is_empty() || values.iter().any(|value| wanted.iter().any(|wanted| value == wanted.as_str()))
}

impl Search {
    fn check(&self, call: &Call<'_>, has_teams: bool) -> Result<(), Reply> {
        let fits = |all: &[String], known: &[&str]| {
            all.iter().all(|value| known.iter().any(|known| known.eq_ignore_ascii_case(value)))
        };
        if !fits(&self.status, STATUSES) {
            return Err(call.invalid("status", "not a status"));
        }
        if !fits(&self.delivery_type, DELIVERY_TYPES) {
            return Err(call.invalid("delivery_type", "not a delivery type"));
        }
        match &self.teams {
            None if has_teams => {
                return Err(call.invalid("teams", "teams is required when the team feature is enabled"));
            }
            Some(teams) if has_teams && teams.is_empty() => {
                return Err(call.invalid("teams", "teams is required when the team feature is enabled"));
            }
            Some(_) if !has_teams => return Err(call.invalid("teams", "the team feature is not enabled")),
            _ => (),
        }
        let bound = |name, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => match utc(text) {
                Some(at) => Ok(Some(at)),
                None => Err(call.invalid(name, "not an ISO 8601 time in UTC")),
            },
        };
        let from = bound("creation_start_time", &self.creation_start_time)?;
        let to = bound("creation_end_time", &self.creation_end_time)?;
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            return Err(call.invalid("creation_end_time", "must be on or after creation_start_time"));
        }
        Ok(())
    }

    fn keeps(&self, row: &Value) -> bool {
        let created = row["created_at"].as_str().and_then(parse_rfc3339);
        let within = |bound: &Option<String>, fits: fn(Millis, Millis) -> bool| {
            bound.as_deref().and_then(utc).is_none_or(|bound| created.is_some_and(|at| fits(at, bound)))
        };
        let named = |wanted: &String| {
            row["name"].as_str().is_some_and(|name| name.to_lowercase().contains(&wanted.to_lowercase()))
        };
        (self.include_archived || row["archived"] != true)
            && among(&self.status, &row["status"])
            && among(&self.delivery_type, &row["delivery_type"])
            && any_of(&self.tags, &row["tags"])
            && self.teams.as_ref().is_none_or(|teams| any_of(teams, &row["teams"]))
            && self.name.as_ref().is_none_or(named)
            && (self.created_by.is_empty()
                || self.created_by.iter().any(|by| row["created_by"] == by.as_str()))
            && within(&self.creation_start_time, |at, from| at >= from)
            && within(&self.creation_end_time, |at, to| at <= to)
    }
}

/// moengage: OpenAPI file of flows: 24 characters of lower-case hexadecimal.
pub(super) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Workspace {
    /// `POST /v5/flows/search`: a cursor, the newest first, no sort.
    fn search_flows(&mut self, call: &Call<'_>) -> Reply {
        let search: Search = match call.body() {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        if let Err(reply) = search.check(call, self.readings.flow_teams) {
            return reply;
        }
        let limit = match call.limit(search.limit, PAGE, LARGEST_PAGE) {
            Ok(limit) => limit,
            Err(reply) => return reply,
        };
        let keeps = |row: &Value| search.keeps(row);
        let ask = Ask { table: Table::Flows, limit, cursor: search.cursor.as_deref(), keeps: &keeps };
        let page = match self.page(call, &ask) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let flows: Vec<Value> = page.rows.iter().map(|row| only(row, LISTED)).collect();
        let data = json!({"flows": flows, "has_more": page.has_more, "next_cursor": page.next_cursor});
        Reply::json(200, &json!({"response_id": call.id, "type": "flow", "data": data}))
    }

    /// The flow that a call names.
    pub(super) fn named_flow(&self, call: &Call<'_>) -> Result<&Value, Reply> {
        let flow_id = call.variable(0);
        if !is_object_id(flow_id) {
            return Err(call.invalid("flow_id", "not the ID of a flow"));
        }
        match self.tables.find(Table::Flows, flow_id) {
            Some(flow) => Ok(flow),
            // The first version of a flow may have the flow's own ID.
            None if self.tables.find(Table::FlowVersions, flow_id).is_some() => {
                Err(call.invalid("flow_id", "the ID of a version"))
            }
            None => Err(call.not_found("NOT_FOUND", "flow", "Flow not found.")),
        }
    }

    /// `GET /v5/flows/{flow_id}?version_no=`: without a number the last published version, or the
    /// draft.
    fn flow(&mut self, call: &Call<'_>) -> Reply {
        let found = || {
            let query = call.query(&["version_no"], &[])?;
            let flow = self.named_flow(call)?;
            let Some(number) = query.get("version_no") else { return Ok(flow.clone()) };
            let number = match number.parse::<u64>() {
                Ok(number) if number >= 1 => number,
                _ => return Err(call.invalid("version_no", "not a whole number from 1")),
            };
            let versions = flow["versions"].as_array().map_or(&[][..], Vec::as_slice);
            let known = versions.iter().find(|version| version["version_no"] == number);
            let version = known.and_then(|version| version["version_id"].as_str());
            let version = version.and_then(|id| self.tables.find(Table::FlowVersions, id));
            match version {
                Some(version) => Ok(without(version, "version_id")),
                // A flow of one version lists none.
                None if versions.is_empty() && number == 1 => Ok(flow.clone()),
                None => Err(call.not_found("NOT_FOUND", "flow", "Flow version not found.")),
            }
        };
        match found() {
            Ok(flow) => Reply::json(200, &json!({"response_id": call.id, "type": "flow", "data": flow})),
            Err(reply) => reply,
        }
    }

    /// `GET /v5/flows/{flow_id}/versions/{version_id}`.
    fn flow_version(&mut self, call: &Call<'_>) -> Reply {
        let found = || {
            call.query(&[], &[])?;
            let flow = self.named_flow(call)?;
            let version_id = call.variable(1);
            if !is_object_id(version_id) {
                return Err(call.invalid("version_id", "not the ID of a version"));
            }
            let version = self.tables.find(Table::FlowVersions, version_id);
            match version.filter(|version| version["flow_id"] == flow["flow_id"]) {
                Some(version) => Ok(without(version, "version_id")),
                None => Err(call.not_found("NOT_FOUND", "flow", "Flow version not found.")),
            }
        };
        match found() {
            Ok(flow) => Reply::json(200, &json!({"response_id": call.id, "type": "flow", "data": flow})),
            Err(reply) => reply,
        }
    }
}

fn sample(n: usize, name: &str, status: &str, version: Option<usize>) -> Value {
    let nodes = json!([
        {"stage_id": "n1", "type": "TRIGGER", "sub_type": "EVENT", "parent_stage_id": null,
            "child_stage_ids": ["n2"], "label": "App opened", "config": {"segmentation": {"audience_type": "all_users"}}},
        {"stage_id": "n2", "type": "ACTION", "sub_type": "EMAIL", "parent_stage_id": "n1",
            "child_stage_ids": [], "label": "Welcome mail",
            "config": {"campaign_id": "64a1b2c3d4e5f6a7b8c9d001", "channel": "EMAIL", "campaign_name": "Campaign 1"}},
    ]);
    json!({
        "flow_id": format!("69f1de84f9e401a2d7d9a9{n:02}"), "name": name, "status": status, "archived": false,
        "delivery_type": "EVENT_TRIGGERED", "tags": ["onboarding"],
        "created_at": format!("2026-0{n}-05T10:00:00Z"), "updated_at": format!("2026-0{n}-20T09:30:00Z"),
        "published_at": version.map(|_| format!("2026-0{n}-06T08:00:00Z")),
        "created_by": "marketer@example.com", "published_by": version.map(|_| "marketer@example.com"),
        "global_control_group_enabled": false,
        "active_version_name": version.map(|version| format!("Version {version}")), "versions": null,
        "settings": {"control_group": {"enabled": false},
            "frequency_capping": {"ignore": false, "ignore_and_count": false}, "bypass_dnd": false},
        "attribution": {"click_track_hours": 24, "impression_track_hours": 24},
        "conversion_goal_details": {"primary_goal": {"event": "Purchase", "goal_name": "Made a purchase"},
            "secondary_goals": [], "revenue_tracking": false, "exit_on_conversion": false},
        "structure": {"nodes": nodes},
    })
}

/// The newest first.
fn samples() -> Vec<Value> {
    let mut archived = sample(2, "Winter sale", "STOPPED", Some(1));
    archived["archived"] = json!(true);
    let mut welcome = sample(1, "Welcome journey", "ACTIVE", Some(2));
    welcome["versions"] = json!([
        {"version_id": "69f1de84f9e401a2d7d9a901", "version_name": "Version 1", "version_no": 1, "status": "RETIRED"},
        {"version_id": "7a02ef95f9e401a2d7d9aa42", "version_name": "Version 2", "version_no": 2, "status": "ACTIVE"},
    ]);
    vec![sample(4, "Win back", "DRAFT", None), sample(3, "Birthday", "PAUSED", Some(1)), archived, welcome]
}

fn version_samples() -> Vec<Value> {
    let welcome = samples().pop().unwrap_or_default();
    let version = |id: &str, name: &str, status: &str, updated_at: &str| {
        let mut row = welcome.clone();
        row["version_id"] = json!(id);
        row["active_version_name"] = json!(name);
        row["status"] = json!(status);
        row["updated_at"] = json!(updated_at);
        row
    };
    vec![
        version("7a02ef95f9e401a2d7d9aa42", "Version 2", "ACTIVE", "2026-01-20T09:30:00Z"),
        version("69f1de84f9e401a2d7d9a901", "Version 1", "RETIRED", "2026-01-10T09:30:00Z"),
    ]
}
