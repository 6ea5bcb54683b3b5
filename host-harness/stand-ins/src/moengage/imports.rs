//! File imports: how they went.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelopes::DATA;
use super::options::Family;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::workspace::Workspace;
use crate::clock::parse_day;
use crate::http::Reply;
use crate::journal::FindingKind;
use crate::windows::Window;

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

const KEY: Key = Key { family: Family::Data, permission: "" };

/// moengage: MD:api/rate-limits.mdx and the OpenAPI file of Data.
const STATUS: Limit = Limit { name: "imports", windows: &[Window { limit: 50, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route::post(
        "/v1.0/data/fileimports/import/status",
        KEY,
        DATA,
        &STATUS,
        Workspace::import_status,
    )],
    rows: &[],
    controls: &[],
};

impl Workspace {
    /// `POST /v1.0/data/fileimports/import/status` (moengage: OpenAPI file of Data).
    fn import_status(&mut self, call: &Call<'_>) -> Reply {
        let search: ImportStatus = match call.body() {
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
}
