//! Custom segments: a list without pages.

use serde_json::{Value, json};

use super::envelopes::SEGMENTS;
use super::options::Family;
use super::readings::SegmentById;
use super::routes::{Call, Calls, DAY, HOUR, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table, naive, only};
use super::workspace::Workspace;
use crate::http::Reply;
use crate::windows::Window;

const KEY: Key = Key { family: Family::Segmentation, permission: "" };

/// moengage: MD:api/rate-limits.mdx and the OpenAPI file of custom segments.
const LIST: Limit = Limit {
    name: "segments",
    windows: &[
        Window { limit: 50, period_ms: MINUTE },
        Window { limit: 200, period_ms: HOUR },
        Window { limit: 1_000, period_ms: DAY },
    ],
};

const BY_ID: Limit = Limit {
    name: "segments-by-id",
    windows: &[
        Window { limit: 100, period_ms: MINUTE },
        Window { limit: 1_000, period_ms: HOUR },
        Window { limit: 4_000, period_ms: DAY },
    ],
};

/// Members that the list shows (`SegmentListItemV3`).
const LISTED: &[&str] = &["name", "id", "created_time", "type", "source"];

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::get("/v3/custom-segments", KEY, SEGMENTS, &LIST, Workspace::segments),
        Route::get("/v3/custom-segments/{id}", KEY, SEGMENTS, &BY_ID, Workspace::segment),
    ],
    rows: &[Held { table: Table::Segments, id: "id", samples }],
    controls: &[],
};

fn samples() -> Vec<Value> {
    let attribute = json!({
        "filter_type": "user_attributes", "name": "city", "data_type": "string", "operator": "in",
        "value": ["Berlin"], "negate": false, "case_sensitive": false,
    });
    let action = json!({
        "filter_type": "actions", "action_name": "Purchase", "executed": false,
        "execution": {"type": "atleast", "count": 1}, "attributes": {"filter_operator": "and", "filters": []},
        "primary_time_range":
            {"type": "inTheLast", "value_type": "relative_past", "value": "90", "period_unit": "days"},
    });
    let row = |n: usize, name: &str, description: &str, filter: Value| {
        json!({
            "name": name, "id": format!("6388a97a02adb9071ca84c{n:02}"),
            "created_time": "2026-02-01T13:17:46.409000", "updated_time": "2026-03-01T06:21:44.160000",
            "type": "ELASTIC_SEARCH", "source": "API", "description": description,
            "included_filters": {"filter_operator": "and", "filters": [filter]},
        })
    };
    vec![
        row(0, "All customers", "city is in Berlin", attribute),
        row(1, "Lapsed", "Has not executed Purchase atleast 1 time in the last 90 days", action),
    ]
}

impl Workspace {
    /// `GET /v3/custom-segments?name=` (moengage: OpenAPI file of custom segments). No paging.
    fn segments(&mut self, call: &Call<'_>) -> Reply {
        let mut name = None;
        for (key, value) in &call.request.query {
            match key.as_str() {
                "name" if !value.trim().is_empty() && !value.contains(['<', '>']) => name = Some(value),
                _ => {
                    return call
                        .invalid("name", "Invalid request. Please ensure that the filters are correct");
                }
            }
        }
        let rows = self.tables.of(Table::Segments).iter();
        let filters_only = self.readings.filter_segments_only;
        let rows = rows.filter(|row| name.is_none_or(|name| row["name"].as_str() == Some(name)));
        let rows = rows.filter(|row| !filters_only || row.get("included_filters").is_some());
        let rows: Vec<Value> = rows.map(|row| only(row, LISTED)).collect();
        Reply::json(200, &json!({"data": rows, "response_id": call.id, "type": "custom_segment"}))
    }

    /// `GET /v3/custom-segments/{id}`. The 404 is the one that the same path documents for `PATCH`.
    fn segment(&mut self, call: &Call<'_>) -> Reply {
        if let Err(reply) = call.query(&[], &[]) {
            return reply;
        }
        let id = call.variable(0);
        let mut found = self.tables.find(Table::Segments, id).cloned();
        if let Some(row) = found.as_mut().filter(|_| self.readings.restless_segments) {
            row["updated_time"] = json!(naive(call.request.at));
        }
        let data = match (self.readings.segment_by_id, found) {
            (SegmentById::Object, Some(row)) => row,
            (SegmentById::List, row) => row.iter().map(|row| only(row, LISTED)).collect(),
            (SegmentById::Object, None) => {
                let message = format!("Custom segment not found with the given id: {id}");
                return call.not_found("Entity Not Found", "id", &message);
            }
        };
        Reply::json(200, &json!({"data": data, "response_id": call.id, "type": "custom_segment"}))
    }
}
