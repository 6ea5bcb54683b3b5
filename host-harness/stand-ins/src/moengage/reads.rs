//! Reads by which a key can be tried: import status, campaign search (both versions), segments.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::envelopes::{Refusal, Shape};
use super::workspace::Workspace;
use crate::clock::{parse_day, rfc3339};
use crate::http::{Reply, Request};
use crate::journal::FindingKind;

/// moengage: OpenAPI file of campaigns, `limit`.
const LARGEST_PAGE: u64 = 15;
/// moengage: OpenAPI file of Data, import status: pages of 50.
const IMPORTS_PAGE: usize = 50;
/// moengage: OpenAPI file of Data, import status: "Difference exceeds 30 days".
const LONGEST_RANGE_MS: i64 = 30 * 86_400_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportStatus {
    import_name: Option<String>,
    #[serde(default)]
    import_type: Vec<ImportType>,
    date: Option<ImportDates>,
    #[serde(default)]
    schedule_type: Vec<String>,
    #[serde(default)]
    file_source: Vec<String>,
    #[serde(default)]
    schedule_status: Vec<String>,
    offset: Option<Value>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ImportType {
    Users,
    Events,
    AuxData,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportDates {
    start_date: String,
    end_date: String,
    format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CampaignSearch {
    request_id: Option<String>,
    limit: u64,
    page: u64,
    #[serde(default)]
    campaign_fields: Map<String, Value>,
    #[serde(default, rename = "include_child_campaigns")]
    _include_child_campaigns: bool,
    #[serde(default, rename = "include_archive_campaigns")]
    _include_archive_campaigns: bool,
}

fn body<T: DeserializeOwned>(request: &Request, shape: Shape, id: &str) -> Result<T, Reply> {
    let invalid = |target, message: &str| Refusal::Invalid { target, message }.reply(shape, id);
    let content_type = request.header("content-type").unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(invalid("Content-Type", "Content type is not supported"));
    }
    serde_json::from_slice(&request.body).map_err(|e| invalid("body", &e.to_string()))
}

impl Workspace {
    /// `POST /v1.0/data/fileimports/import/status` (moengage: OpenAPI file of Data).
    pub(super) fn import_status(&mut self, request: &Request, id: &str) -> Reply {
        let search: ImportStatus = match body(request, Shape::Data, id) {
            Ok(search) => search,
            Err(reply) => return reply,
        };
        let failure = |kind: &str, message: &str| {
            Reply::json(400, &json!({"status": "FAILURE", "error_type": kind, "message": message}))
                .with(FindingKind::Violation, message)
        };
        if let Some(date) = &search.date {
            let day = |text: &str| match (
                date.format.as_str(),
                text.split(['/', '-']).collect::<Vec<_>>().as_slice(),
            ) {
                ("DD/MM/YYYY" | "DD-MM-YYYY", [d, m, y]) | ("YYYY/MM/DD" | "YYYY-MM-DD", [y, m, d]) => {
                    parse_day(&format!("{y}-{m}-{d}"))
                }
                _ => None,
            };
            match (day(&date.start_date), day(&date.end_date)) {
                (Some(from), Some(to)) if (0..=LONGEST_RANGE_MS).contains(&(to - from)) => (),
                (Some(_), Some(_)) => {
                    return failure(
                        "Difference exceeds 30 days",
                        "only imports within 30 days can be displayed",
                    );
                }
                _ => return failure("Invalid Date format", "the date does not match its format"),
            }
        }
        let offset = match &search.offset {
            None => Some(1),
            Some(Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_u64(),
        };
        let Some(offset) = offset.filter(|offset| *offset >= 1) else {
            return failure("Invalid Offset Value", "The offset value you have provided is not valid.");
        };
        let among = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|w| w == value);
        let kept = among(&search.schedule_type, "PERIODIC")
            && among(&search.file_source, "S3")
            && among(&search.schedule_status, "SUCCESSFUL")
            && (search.import_type.is_empty() || search.import_type.contains(&ImportType::Users));
        let all: Vec<Value> = (0..if kept { self.options.imports } else { 0 })
            .map(|n| format!("Import {n}"))
            .filter(|name| search.import_name.as_ref().is_none_or(|wanted| wanted == name))
            .map(|name| {
                json!({
                    "import_id": format!("67348ff2e15a4e63bc257d{:02}", name.len()), "import_name": name,
                    "import_type": "USERS", "import_source": "S3", "schedule_type": "PERIODIC",
                    "status": "SUCCESSFUL", "last_run_status": "SUCCESSFUL", "time_zone": "UTC",
                    "created_at": "2026-09-13T17:09:30.635000", "last_run_at": "2026-09-13T17:09:32.024000",
                    "next_scheduled_at": "2026-09-14T11:39:30.619000",
                    "total_files": 1, "processed_files": 1, "total_rows": 10, "processed_rows": 10,
                })
            })
            .collect();
        let page: Vec<&Value> =
            all.iter().skip((offset as usize - 1) * IMPORTS_PAGE).take(IMPORTS_PAGE).collect();
        let more = all.len() > offset as usize * IMPORTS_PAGE;
        Reply::json(
            200,
            &json!({
                "status": "success", "total_count": all.len(), "data": page,
                "offset": offset, "more_files": more,
            }),
        )
    }

    /// `POST /core-services/v1/campaigns/search`: a bare array, no total.
    pub(super) fn search_campaigns_v1(&mut self, request: &Request, id: &str) -> Reply {
        let (search, rows) = match self.search_campaigns(request, Shape::CampaignsV1, id) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        if search.request_id.is_none() {
            let missing =
                Refusal::Invalid { target: "request_id", message: "request_id key is mandatory field" };
            return missing.reply(Shape::CampaignsV1, id);
        }
        Reply::json(200, &json!(rows))
    }

    /// `POST /v5/campaigns/search`: a key of V1 among the filters finds nothing, without an error
    /// (moengage: MD:api/campaigns/search-campaigns-v5-migration.mdx).
    pub(super) fn search_campaigns_v5(&mut self, request: &Request, id: &str) -> Reply {
        let invalid = |target, message| Refusal::Invalid { target, message }.reply(Shape::CampaignsV5, id);
        if request.header("idempotency-key").is_none() {
            return invalid("Idempotency-Key", "Idempotency-Key is required");
        }
        let (search, mut rows) = match self.search_campaigns(request, Shape::CampaignsV5, id) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let header = request.header("x-moe-request-id");
        match (&search.request_id, header) {
            (None, None) => return invalid("X-MOE-Request-Id", "a request id is required"),
            (Some(body), Some(header)) if body != header => {
                return invalid("X-MOE-Request-Id", "header and body name different requests");
            }
            _ => (),
        }
        let old = ["id", "delivery_type"].into_iter().find(|key| search.campaign_fields.contains_key(*key));
        if old.is_some() {
            rows.clear();
        }
        for row in &mut rows {
            row["id"] = row["campaign_id"].clone();
            row["status"] = json!("ACTIVE");
        }
        let response_id = search.request_id.as_deref().or(header).unwrap_or(id);
        let reply = Reply::json(
            200,
            &json!({"response_id": response_id, "type": "campaign", "data": {"campaigns": rows}}),
        );
        match old {
            Some(key) => reply.with(FindingKind::IgnoredFilter, format!("{key} is a filter of V1")),
            None => reply,
        }
    }

    fn search_campaigns(
        &self,
        request: &Request,
        shape: Shape,
        id: &str,
    ) -> Result<(CampaignSearch, Vec<Value>), Reply> {
        let search: CampaignSearch = body(request, shape, id)?;
        let invalid = |target, message| Err(Refusal::Invalid { target, message }.reply(shape, id));
        if !(1..=LARGEST_PAGE).contains(&search.limit) {
            return invalid("limit", "limit is 1 to 15");
        }
        if search.page == 0 {
            return invalid("page", "page counts from 1");
        }
        for (key, value) in &search.campaign_fields {
            let fits = match key.as_str() {
                "channels"
                | "status"
                | "tags"
                | "created_by"
                | "campaign_delivery_type"
                | "delivery_type"
                | "ids" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
                "name" | "id" => value.is_string(),
                "created_date" => value["from_date"].is_string() && value["to_date"].is_string(),
                _ => false,
            };
            let of_v5 = matches!(key.as_str(), "ids" | "campaign_delivery_type");
            if !fits || (of_v5 && shape == Shape::CampaignsV1) {
                return invalid("campaign_fields", "not a documented filter");
            }
        }
        let rows = (0..self.options.campaigns)
            .map(campaign)
            .filter(|row| search.campaign_fields.iter().all(|(key, value)| keeps(row, key, value)))
            .skip(((search.page - 1) * search.limit) as usize)
            .take(search.limit as usize)
            .collect();
        Ok((search, rows))
    }

    /// `GET /v3/custom-segments?name=` (moengage: OpenAPI file of custom segments). No paging.
    pub(super) fn segments(&mut self, request: &Request, id: &str) -> Reply {
        let invalid = |message| Refusal::Invalid { target: "name", message }.reply(Shape::Segments, id);
        let mut name = None;
        for (key, value) in &request.query {
            match key.as_str() {
                "name" if !value.trim().is_empty() && !value.contains(['<', '>']) => name = Some(value),
                _ => {
                    return invalid("Invalid request. Please ensure that the filters are correct");
                }
            }
        }
        let rows: Vec<Value> = self
            .options
            .segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| name.is_none_or(|name| name == *segment))
            .map(|(n, segment)| {
                json!({"name": segment, "id": format!("6388a97a02adb9071ca84c{n:02}"),
                    "created_time": "2026-02-01T13:17:46.409000", "type": "ELASTIC_SEARCH", "source": "API"})
            })
            .collect();
        Reply::json(200, &json!({"data": rows, "response_id": id, "type": "custom_segment"}))
    }
}

/// A campaign in the shape of V1; dates have no zone there.
fn campaign(n: usize) -> Value {
    let created = rfc3339(1_780_000_000_000 + n as i64 * 86_400_000).replace('T', " ").replace('Z', "000");
    let (channel, kind) = if n.is_multiple_of(2) { ("EMAIL", "ONE_TIME") } else { ("PUSH", "PERIODIC") };
    json!({
        "campaign_id": format!("64a1b2c3d4e5f6a7b8c9d{n:03}"), "status": "Active", "channel": channel,
        "campaign_delivery_type": kind, "created_by": "marketer@example.com",
        "created_at": created, "updated_at": created,
        "basic_details": {"name": format!("Campaign {n}"), "content_type": "PROMOTIONAL", "tags": ["spring"]},
    })
}

fn keeps(row: &Value, key: &str, wanted: &Value) -> bool {
    let among = |value: &str| {
        wanted
            .as_array()
            .is_some_and(|all| all.iter().any(|w| w.as_str().is_some_and(|w| w.eq_ignore_ascii_case(value))))
    };
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    match key {
        "channels" => among(text("channel")),
        "status" => among(text("status")),
        "created_by" => among(text("created_by")),
        "delivery_type" | "campaign_delivery_type" => among(text("campaign_delivery_type")),
        "ids" => among(text("campaign_id")),
        "id" => wanted.as_str() == Some(text("campaign_id")),
        "tags" => among("spring"),
        "name" => {
            let name = row["basic_details"]["name"].as_str().unwrap_or_default();
            wanted.as_str().is_some_and(|wanted| name.contains(wanted))
        }
        "created_date" => {
            let day = text("created_at").get(..10).unwrap_or_default();
            let bound =
                |field: &str| wanted[field].as_str().and_then(|text| text.get(..10)).unwrap_or_default();
            (bound("from_date")..=bound("to_date")).contains(&day)
        }
        _ => true,
    }
}
