//! File imports: how they went, and how each of their files did.

use serde::Deserialize;
use serde_json::{Value, json};

use super::envelopes::{DATA, Envelope, Refusal};
use super::options::Family;
use super::pages::Slice;
use super::routes::{Call, Calls, Key, Limit, MINUTE, Route};
use super::rows::{Held, Table};
use super::workspace::Workspace;
use crate::clock::{Millis, parse_day, parse_rfc3339};
use crate::http::Reply;
use crate::windows::Window;

pub(super) const STATUS: &str = "/v1.0/data/fileimports/import/status";
pub(super) const HISTORY: &str = "/v1.0/data/fileimports/import/run/history";

/// moengage: OpenAPI file of Data, `offset`: pages of 50.
const PAGE: u64 = 50;
/// moengage: OpenAPI file of Data, import status: "Difference exceeds 30 days".
const LONGEST_RANGE_MS: i64 = 30 * 86_400_000;

const TYPES: &[&str] = &["USERS", "EVENTS", "AUX_DATA"];
const SCHEDULES: &[&str] = &["PERIODIC", "ONETIME"];
const SOURCES: &[&str] = &["SFTP", "S3", "CSV"];
const STATUSES: &[&str] =
    &["SUCCESSFUL", "FAILED", "PARTIAL_SUCCESS", "SCHEDULED", "PROCESSING", "QUEUED", "ARCHIVED"];
const FILE_STATUSES: &[&str] =
    &["SUCCESSFUL", "FAILED", "PARTIAL_SUCCESS", "PROCESSING", "QUEUED", "WAITING"];

const KEY: Key = Key { family: Family::Data, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused).with_status(status);
/// moengage: OpenAPI file of Data; said of either call.
const STATUS_LIMIT: Limit = Limit { name: "imports", windows: &[Window { limit: 50, period_ms: MINUTE }] };
const HISTORY_LIMIT: Limit =
    Limit { name: "import-files", windows: &[Window { limit: 50, period_ms: MINUTE }] };

pub(super) const CALLS: Calls = Calls {
    routes: &[
        Route::post(STATUS, KEY, ENVELOPE, &STATUS_LIMIT, Workspace::import_status),
        Route::post(HISTORY, KEY, ENVELOPE, &HISTORY_LIMIT, Workspace::import_files),
    ],
    rows: &[
        Held { table: Table::Imports, id: "import_id", samples: imports },
        Held { table: Table::ImportFiles, id: "id", samples: files },
    ],
    controls: &[],
};

/// The n-th import, as the example of the documents shows one.
fn numbered(n: usize) -> Value {
    json!({
        "import_id": format!("67348ff2e15a4e63bc257d{n:02}"), "import_name": format!("Import {n}"),
        "import_type": "USERS", "import_source": "S3", "schedule_type": "PERIODIC",
        "status": "SUCCESSFUL", "last_run_status": "SUCCESSFUL", "time_zone": "UTC",
        "custom_segment_config": {}, "aux_data_config": {},
        "created_at": "2026-09-13T17:09:30.635000", "last_run_at": "2026-09-13T17:09:32.024000",
        "next_scheduled_at": "2026-09-14T11:39:30.619000", "created_by_email": "marketer@example.com",
        "total_files": 1, "processed_files": 1, "total_rows": 10, "processed_rows": 10,
    })
}

fn imports() -> Vec<Value> {
    (0..2).map(numbered).collect()
}

fn files() -> Vec<Value> {
    let file = |n: usize| {
        json!({
            "id": format!("672561aa0abd2da34cf7f7{n:02}"), "import_id": numbered(n)["import_id"],
            "file_name": format!("users_{n}.csv"), "scheduled_at": "2026-09-13T17:09:31.713000",
            "completed_at": "2026-09-13T17:09:32.024000", "type": "USERS", "file_size": "1544",
            "file_status": "SUCCESSFUL", "status_msg": "", "total_rows": 10, "skipped_rows": 0,
            "updated_rows": 0, "failed_rows": 0, "added_rows": 10,
        })
    };
    (0..2).map(file).collect()
}

/// moengage: OpenAPI file of Data, answers of import status and run history.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    match refusal {
        Refusal::Invalid { target: "Content-Type", message } => {
            json!({"title": "Unsupported media type", "description": message})
        }
        Refusal::Invalid { target: "body", .. } => {
            json!({"success": false, "status_code": "400 Bad Request", "data": "Unable to process the request"})
        }
        Refusal::Invalid { target, message } => {
            json!({"status": "FAILURE", "error_type": target, "message": message})
        }
        Refusal::Named { code, message, .. } => {
            json!({"status": "FAILURE", "error_type": code, "message": message})
        }
        _ => (DATA.body)(refusal, id),
    }
}

fn status(refusal: Refusal<'_>) -> u16 {
    match refusal {
        Refusal::Invalid { target: "Content-Type", .. } => 415,
        _ => refusal.status(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRequest {
    import_name: Option<String>,
    import_type: Option<OneOrMore>,
    date: Option<Dates>,
    schedule_type: Option<OneOrMore>,
    file_source: Option<OneOrMore>,
    schedule_status: Option<OneOrMore>,
    offset: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRequest {
    import_id: Option<String>,
    import_name: Option<String>,
    date: Option<Dates>,
    file_status: Option<OneOrMore>,
    offset: Option<Value>,
}

/// The schema says one text, the example a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(all) => all,
        }
    }
}

fn allowed(wanted: Option<&OneOrMore>, known: &[&str]) -> bool {
    wanted.is_none_or(|wanted| wanted.all().iter().all(|item| known.contains(&item.as_str())))
}

fn among(wanted: Option<&OneOrMore>, own: &Value) -> bool {
    wanted.is_none_or(|wanted| wanted.all().is_empty() || wanted.all().iter().any(|item| *own == **item))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dates {
    start_date: String,
    end_date: String,
    format: Option<String>,
}

/// Whose answers differ a little: the wording of a wrong date, and what an offset too far is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Status,
    History,
}

impl Dates {
    /// Milliseconds of the first and the last moment; an error names what is wrong in the vendor's
    /// words.
    fn range(&self) -> Result<(Millis, Millis), (&'static str, &'static str)> {
        let moment = |text: &str, end: bool| -> Option<Millis> {
            let Some(format) = self.format.as_deref() else {
                // moengage: OpenAPI file of Data, run history: "YYYY-MM-DDTHH:MM:SS.ssssss".
                return parse_rfc3339(&format!("{text}Z"));
            };
            let (days, clock) = match format.split_once(' ') {
                None => (format, None),
                Some((days, "hh:mm:ss")) => (days, Some(())),
                Some(_) => return None,
            };
            let (day, time) = match (clock, text.split_once(' ')) {
                (None, None) => (text, if end { "23:59:59.999" } else { "00:00:00" }),
                (Some(()), Some(both)) => both,
                _ => return None,
            };
            let mark = if days.contains('/') { '/' } else { '-' };
            let parts: Vec<&str> = day.split(mark).collect();
            let (y, m, d) = match (days, parts.as_slice()) {
                ("DD/MM/YYYY" | "DD-MM-YYYY", [d, m, y]) => (y, m, d),
                ("YYYY/MM/DD" | "YYYY-MM-DD", [y, m, d]) => (y, m, d),
                _ => return None,
            };
            let day = format!("{y}-{m}-{d}");
            parse_day(&day)?;
            parse_rfc3339(&format!("{day}T{time}Z"))
        };
        match (moment(&self.start_date, false), moment(&self.end_date, true)) {
            // The last day counts whole, and is no more than 30 days after the first.
            (Some(from), Some(to)) if (0..LONGEST_RANGE_MS + 86_400_000).contains(&(to - from)) => {
                Ok((from, to))
            }
            (Some(_), Some(_)) => Err((
                "Difference exceeds 30 days",
                "Please note that only imports with a date difference of 30 can be displayed.",
            )),
            _ => Err(("Invalid Date format", "the date does not match its format")),
        }
    }
}

/// Whether a naive time of a row lies in the range; a row without one lies nowhere.
fn within(range: Option<(Millis, Millis)>, time: &Value) -> bool {
    range.is_none_or(|(from, to)| {
        let at = time.as_str().and_then(|text| parse_rfc3339(&format!("{text}Z")));
        at.is_some_and(|at| (from..=to).contains(&at))
    })
}

fn range(dates: Option<&Dates>) -> Result<Option<(Millis, Millis)>, (&'static str, &'static str)> {
    dates.map(Dates::range).transpose()
}

/// From 1, as a number or as text.
fn page(offset: Option<&Value>, which: Which) -> Result<u64, (&'static str, &'static str)> {
    let number = match offset {
        None => Some(1),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64(),
    };
    number.filter(|number| *number >= 1).ok_or(match which {
        Which::Status => ("Invalid Offset Value", "The offset value you have provided is not valid."),
        Which::History => NO_IMPORT,
    })
}

/// Also what a wrong offset is answered with in the history.
const NO_IMPORT: (&str, &str) =
    ("Import Doesn't Exist", "No import exist in the database with the given query parameters.");

impl Workspace {
    /// `POST .../fileimports/import/status` (moengage: OpenAPI file of Data). The dates are those of
    /// the last run: "the file processing date".
    fn import_status(&mut self, call: &Call<'_>) -> Reply {
        let asked: StatusRequest = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let filters = [
            (&asked.import_type, TYPES, "import_type"),
            (&asked.schedule_type, SCHEDULES, "schedule_type"),
            (&asked.file_source, SOURCES, "import_source"),
            (&asked.schedule_status, STATUSES, "status"),
        ];
        if filters.iter().any(|(wanted, known, _)| !allowed(wanted.as_ref(), known)) {
            return call.invalid("body", "the letter case of a value counts");
        }
        let (range, number) = match (range(asked.date.as_ref()), page(asked.offset.as_ref(), Which::Status)) {
            (Ok(range), Ok(number)) => (range, number),
            (Err((target, message)), _) | (_, Err((target, message))) => {
                return call.invalid(target, message);
            }
        };
        let rows = self.tables.of(Table::Imports).iter().filter(|row| {
            asked.import_name.as_ref().is_none_or(|name| row["import_name"] == **name)
                && filters.iter().all(|(wanted, _, member)| among(wanted.as_ref(), &row[*member]))
                && within(range, &row["last_run_at"])
        });
        let id = |row: &&Value| row["import_id"].as_str().unwrap_or_default().to_owned();
        let page = self.pages.cut(STATUS, rows.collect(), Slice::page(number, PAGE), id);
        page.reply(&json!({
            "status": "success", "total_count": page.total, "data": page.rows,
            "offset": number, "more_files": page.more,
        }))
    }

    /// `POST .../fileimports/import/run/history` (moengage: OpenAPI file of Data): of one import;
    /// the id wins over the name. Its example writes `total_count` and `more_files` as text.
    fn import_files(&mut self, call: &Call<'_>) -> Reply {
        let asked: HistoryRequest = match call.body() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if !allowed(asked.file_status.as_ref(), FILE_STATUSES) {
            return call.invalid("body", "the letter case of a value counts");
        }
        if asked.import_id.is_none() && asked.import_name.is_none() {
            return call.invalid("body", "import_id or import_name is required");
        }
        let (range, number) = match (range(asked.date.as_ref()), page(asked.offset.as_ref(), Which::History))
        {
            (Ok(range), Ok(number)) => (range, number),
            (Err((target, message)), _) | (_, Err((target, message))) => {
                return call.invalid(target, message);
            }
        };
        let import = self.tables.of(Table::Imports).iter().find(|row| match &asked.import_id {
            Some(id) => row["import_id"] == **id,
            None => row["import_name"].as_str() == asked.import_name.as_deref(),
        });
        let Some(import) = import else {
            let (code, message) = NO_IMPORT;
            return call.refused(Refusal::Named { status: 400, code, target: "import_id", message });
        };
        let rows = self.tables.of(Table::ImportFiles).iter().filter(|row| {
            row["import_id"] == import["import_id"]
                && among(asked.file_status.as_ref(), &row["file_status"])
                && within(range, &row["completed_at"])
        });
        let shown = rows.map(|row| {
            let mut row = row.clone();
            if let Some(row) = row.as_object_mut() {
                row.remove("import_id");
            }
            row
        });
        let id = |row: &Value| row["id"].as_str().unwrap_or_default().to_owned();
        let page = self.pages.cut(HISTORY, shown.collect(), Slice::page(number, PAGE), id);
        page.reply(&json!({
            "status": "success", "total_count": page.total.to_string(), "data": page.rows,
            "offset": number, "more_files": page.more.to_string(),
        }))
    }
}
