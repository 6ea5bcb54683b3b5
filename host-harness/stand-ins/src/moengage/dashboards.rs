//! Custom dashboards, their charts, and the data behind a chart, of which a month has only so much.

use serde_json::{Value, json};

use super::envelopes::{Envelope, Ids, Refusal};
use super::flows::is_object_id;
use super::options::Family;
use super::routes::{Call, Calls, Key, Limit, Route};
use super::rows::{Held, Table, only, without};
use super::workspace::Workspace;
use crate::http::Reply;

/// The OpenAPI file of analytics names this key, others another: see [`super::Readings::keys`].
const KEY: Key = Key { family: Family::Data, permission: "" };

/// No window is documented, but a quota of a month: see [`super::Readings::chart_quota`].
const READS: Limit = Limit { name: "dashboards", windows: &[] };

const DASHBOARDS: Envelope = Envelope { ids: Ids::Echoed, ..Envelope::plain(refused) };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get("/v5/analytics/dashboards", KEY, DASHBOARDS, &READS, Workspace::dashboards),
        Route::get(
            "/v5/analytics/dashboards/{dashboard_id}/charts",
            KEY,
            DASHBOARDS,
            &READS,
            Workspace::dashboard_charts,
        ),
        Route::get(
            "/v5/analytics/dashboards/{dashboard_id}/charts/{chart_id}",
            KEY,
            DASHBOARDS,
            &READS,
            Workspace::chart_data,
        ),
    ],
    rows: &[
        Held { table: Table::Dashboards, id: "_id", samples },
        Held { table: Table::Charts, id: "_id", samples: chart_samples },
    ],
    controls: &[],
};

/// moengage: the responses of the OpenAPI file of analytics: no details.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    let (code, message) = match refusal {
        Refusal::Invalid { target, message } => {
            let message = format!("Invalid {target}: {message}");
            return json!({"error": {"code": "VALIDATION_FAILED", "message": message}, "response_id": id});
        }
        Refusal::NoAppKey | Refusal::UnknownWorkspace | Refusal::WrongKey | Refusal::NoSecretSet => {
            ("UNAUTHORIZED", "Missing or invalid credentials.")
        }
        Refusal::Suspended | Refusal::Scope(_) | Refusal::Address | Refusal::NotSwitchedOn => {
            ("FORBIDDEN", "You do not have access to this dashboard.")
        }
        Refusal::TooMany => ("RATE_LIMITED", "Rate limit exceeded."),
        Refusal::Named { code, message, .. } => (code, message),
    };
    json!({"error": {"code": code, "message": message}, "response_id": id})
}

impl Workspace {
    /// `GET /v5/analytics/dashboards`: public ones that are not archived, no paging.
    fn dashboards(&mut self, call: &Call<'_>) -> Reply {
        if let Err(reply) = call.query(&[], &[]) {
            return reply;
        }
        let rows = self.tables.of(Table::Dashboards).iter();
        let rows = rows.filter(|row| row["archived"] != true && row["private"] != true);
        let rows: Vec<Value> = rows.map(|row| only(row, &["_id", "name"])).collect();
        Reply::json(200, &json!({"response_id": call.id, "type": "dashboard", "data": rows}))
    }

    fn named_dashboard(&self, call: &Call<'_>) -> Result<&Value, Reply> {
        let dashboard_id = call.variable(0);
        if !is_object_id(dashboard_id) {
            return Err(call.invalid("dashboard_id", "not an ID"));
        }
        match self.tables.find(Table::Dashboards, dashboard_id) {
            Some(row) if row["private"] == true => Err(call.refused(Refusal::Named {
                status: 403,
                code: "FORBIDDEN",
                target: "dashboard_id",
                message: "You do not have access to this dashboard.",
            })),
            Some(row) => Ok(row),
            None => Err(call.not_found("NOT_FOUND", "dashboard_id", "Dashboard not found.")),
        }
    }

    /// `GET /v5/analytics/dashboards/{dashboard_id}/charts`, in the order of the layout.
    fn dashboard_charts(&mut self, call: &Call<'_>) -> Reply {
        let found = || {
            call.query(&[], &[])?;
            Ok(without(&without(&without(self.named_dashboard(call)?, "_id"), "archived"), "private"))
        };
        match found() {
            Ok(data) => Reply::json(200, &json!({"response_id": call.id, "type": "dashboard", "data": data})),
            Err(reply) => reply,
        }
    }

    /// `GET /v5/analytics/dashboards/{dashboard_id}/charts/{chart_id}?cache=`.
    fn chart_data(&mut self, call: &Call<'_>) -> Reply {
        let found = || {
            let query = call.query(&["cache"], &[])?;
            if !matches!(query.get("cache"), None | Some("true" | "false")) {
                return Err(call.invalid("cache", "true or false"));
            }
            let dashboard = self.named_dashboard(call)?;
            let chart_id = call.variable(1);
            if !is_object_id(chart_id) {
                return Err(call.invalid("chart_id", "not an ID"));
            }
            let chart = self.tables.find(Table::Charts, chart_id);
            match chart.filter(|chart| chart["dashboard_id"] == dashboard["_id"]) {
                Some(chart) => Ok(chart["data"].clone()),
                None => Err(call.not_found("NOT_FOUND", "chart_id", "Chart not found.")),
            }
        };
        let data = match found() {
            Ok(data) => data,
            Err(reply) => return reply,
        };
        match &mut self.readings.chart_quota {
            Some(0) => call.refused(Refusal::Named {
                status: 428,
                code: "QUOTA_EXCEEDED",
                target: "chart_id",
                message: "Your workspace has reached its monthly Fair Usage Policy limit for analytics usage.",
            }),
            quota => {
                if let Some(left) = quota {
                    *left -= 1;
                }
                Reply::json(200, &json!({"response_id": call.id, "type": "chart_data", "data": data}))
            }
        }
    }
}

const ACQUISITION: &str = "63ede292b4c6a68b18c2c93f";
const RETENTION: &str = "63ef1f824da10b4fd96c6e3b";

fn samples() -> Vec<Value> {
    let dashboard = |id: &str, name: &str, charts: Value| {
        json!({
            "_id": id, "name": name, "created_by": "analyst@example.com", "owned_by": "analyst@example.com",
            "chart_ids": charts,
        })
    };
    vec![
        dashboard(
            ACQUISITION,
            "Acquisition Overview",
            json!([{"_id": "67f9d9df279348ecdc84415f", "name": "New users by day"},
                {"_id": "68f08c79d33bd238d3ef00e0", "name": "Sign-up funnel"}]),
        ),
        dashboard(
            RETENTION,
            "Retention Deep Dive",
            json!([{"_id": "6a10af49f3a1896d59d5bfbd", "name": "Retention by week"}]),
        ),
    ]
}

/// One of each shape of rows: behaviour, funnel, retention.
fn chart_samples() -> Vec<Value> {
    let behaviour = |day: u32, metric: f64| {
        json!({
            "metric": metric, "granularity": format!("2026/06/{day}"), "splitby": [], "grouped_by": [],
            "step": "A", "tseq": day - 28, "cseq": 0,
        })
    };
    let funnel = |step: u32, metric: u32| {
        json!({
            "step": step, "metric": metric, "splitby": [], "granularity": "entire", "split_by_weight": 4,
            "tseq": 0, "cseq": 0,
        })
    };
    vec![
        json!({"_id": "67f9d9df279348ecdc84415f", "dashboard_id": ACQUISITION,
            "data": [behaviour(28, 12.0), behaviour(29, 17.0)]}),
        json!({"_id": "68f08c79d33bd238d3ef00e0", "dashboard_id": ACQUISITION,
            "data": [funnel(1, 4), funnel(2, 1)]}),
        json!({"_id": "6a10af49f3a1896d59d5bfbd", "dashboard_id": RETENTION, "data": [{
            "metric": 0.5, "granularity": "2026/06/29", "splitby": [], "total_users": 2, "retained_user": 1,
            "retention_comparison_index": 0, "retention_compared_by": "2026/06/29", "tseq": 0, "cseq": 0}]}),
    ]
}
