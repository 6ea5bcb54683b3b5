//! Records of custom objects (OpenAPI `/objects/{object_type}`), and what became of a batch of them
//! (`/processes/{id}`). Objects are in beta, and in Enterprise plans only.
//!
//! A record is named by its `ext_id`, so a batch is safe to repeat. The objects themselves and
//! their attributes can't be made by any call, and Brevo drops attributes that it doesn't know
//! without a word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::Call;
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::registry::UpsertObject;
use crate::world::HttpResponse;

/// Records in one batch (OpenAPI).
pub const BATCH_MAX: usize = 1_000;
/// Bytes in one batch (OpenAPI: 1 MB), with room for the envelope.
pub const BATCH_BYTES: usize = 990_000;
/// Records on a page that is read: at most 1,000 (OpenAPI).
const PAGE: usize = 100;

/// A record on its way to Brevo.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    identifiers: Identifiers<'a>,
    attributes: &'a BTreeMap<String, Value>,
}

/// Never `id` as well: both together are refused.
#[derive(Clone, Debug, Serialize)]
struct Identifiers<'a> {
    ext_id: &'a str,
}

impl<'a> Record<'a> {
    #[allow(missing_docs)]
    pub fn new(object: &'a UpsertObject) -> Self {
        Self { identifiers: Identifiers { ext_id: &object.ext_id }, attributes: &object.attributes }
    }

    /// Bytes that it takes in a body.
    pub fn size(&self) -> usize {
        json(self).len() + 1
    }
}

/// `POST /objects/{type}/batch/upsert`. A type has small letters, digits and underscores only.
pub fn upsert(kind: &str, records: &[Record<'_>]) -> Call {
    #[derive(Serialize)]
    struct Batch<'a> {
        records: &'a [Record<'a>],
    }
    Call {
        method: "POST",
        path: format!("/objects/{kind}/batch/upsert"),
        label: "/objects/{type}/batch/upsert",
        family: Family::Objects,
        body: Some(json(&Batch { records })),
    }
}

/// What an answer says about a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batched {
    /// Brevo works on it under this number.
    Accepted(i64),
    /// The account has no object of that type.
    NoSuchType,
}

/// 202 `{processId, message}`. An unknown type is 404 by the table of answers and the error
/// "invalid object type" by the text above it; a gateway's 404 is neither.
pub fn read_upsert(answer: &HttpResponse) -> Result<Batched, Problem> {
    #[derive(Deserialize)]
    struct Accepted {
        #[serde(rename = "processId")]
        process: i64,
    }
    if (200..300).contains(&answer.status) {
        let unknown = |_| Problem { status: answer.status, kind: Kind::OutcomeUnknown };
        let accepted = serde_json::from_slice::<Accepted>(&answer.body).map_err(unknown)?;
        return Ok(Batched::Accepted(accepted.process));
    }
    let message = errors::message(answer);
    let says = |word: &str| message.contains(word);
    let about_type = says("object type") || says("object_type") || says("object not found");
    if matches!(answer.status, 400 | 404 | 424) && about_type {
        return Ok(Batched::NoSuchType);
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(Batched::NoSuchType) } else { Err(problem) }
}

/// `GET /processes/{id}`
pub fn process(id: i64) -> Call {
    Call {
        method: "GET",
        path: format!("/processes/{id}"),
        label: "/processes/{id}",
        family: Family::Processes,
        body: None,
    }
}

/// How far Brevo is with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `completed`.
    Done,
    /// `queued`, `processing`, `in_process`.
    UnderWay,
    /// `failed`, `cancelled`.
    Failed,
    /// Brevo has no such process (404 `invalid_parameter`, "processId is invalid").
    Unknown,
}

/// Only Brevo's own words mean anything.
pub fn read_process(answer: &HttpResponse) -> Result<Progress, Problem> {
    #[derive(Deserialize)]
    struct Process {
        status: String,
    }
    let unexpected = Problem { status: answer.status, kind: Kind::Unexpected };
    if answer.status == 200 {
        let process: Process = serde_json::from_slice(&answer.body).map_err(|_| unexpected.clone())?;
        return match process.status.as_str() {
            "completed" => Ok(Progress::Done),
            "queued" | "processing" | "in_process" => Ok(Progress::UnderWay),
            "failed" | "cancelled" => Ok(Progress::Failed),
            _ => Err(unexpected),
        };
    }
    let problem = errors::classify(answer);
    let is_brevos = problem.kind == Kind::NotFound || errors::message(answer).contains("processid");
    if answer.status == 404 && is_brevos { Ok(Progress::Unknown) } else { Err(problem) }
}

/// `GET /objects/{type}/records`, the newest first.
pub fn records(kind: &str) -> Call {
    Call {
        method: "GET",
        path: format!("/objects/{kind}/records?limit={PAGE}&page_num=1&sort=desc"),
        label: "/objects/{type}/records",
        family: Family::Other,
        body: None,
    }
}

/// Attributes of each record on a page, by `ext_id`.
pub fn read_records(answer: &HttpResponse) -> Result<BTreeMap<String, Map<String, Value>>, Problem> {
    #[derive(Deserialize)]
    struct Page {
        records: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        identifiers: Ids,
        #[serde(default)]
        attributes: Map<String, Value>,
    }
    #[derive(Default, Deserialize)]
    struct Ids {
        ext_id: Option<String>,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    let page: Page = serde_json::from_slice(&answer.body)
        .map_err(|_| Problem { status: answer.status, kind: Kind::Unexpected })?;
    let named = |row: Row| row.identifiers.ext_id.map(|ext_id| (ext_id, row.attributes));
    Ok(page.records.into_iter().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_type_that_is_not_there_is_told_apart_from_a_malformed_batch_and_a_gateway() {
        let read = |status, body: &str| read_upsert(&answer(status, body));
        let accepted = r#"{"processId":21,"message":"Batch object records are being processed"}"#;
        assert_eq!(read(202, accepted), Ok(Batched::Accepted(21)));
        assert_eq!(read(202, "<html>").unwrap_err().kind, Kind::OutcomeUnknown);
        for (status, body) in [
            (404, r#"{"code":"document_not_found","message":"nothing"}"#),
            (404, r#"{"code":"x","message":"Object not found for the provided organization"}"#),
            (400, r#"{"code":"invalid_parameter","message":"invalid object type"}"#),
            (400, r#"{"code":"invalid_parameter","message":"Invalid object_type"}"#),
        ] {
            assert_eq!(read(status, body), Ok(Batched::NoSuchType), "{body}");
        }
        assert_eq!(read(404, "<html>no such page</html>").unwrap_err().kind, Kind::Unexpected);
        let bad = r#"{"code":"invalid_parameter","message":"records cannot be empty"}"#;
        assert_eq!(read(400, bad).unwrap_err().kind, Kind::Refused);
        assert_eq!(read(403, "{}").unwrap_err().kind, Kind::Forbidden);
    }

    #[test]
    fn a_process_is_over_only_by_brevos_word() {
        let read = |status, body: &str| read_process(&answer(status, body)).map_err(|p| p.kind);
        for (word, progress) in [
            ("completed", Progress::Done),
            ("queued", Progress::UnderWay),
            ("in_process", Progress::UnderWay),
            ("processing", Progress::UnderWay),
            ("failed", Progress::Failed),
            ("cancelled", Progress::Failed),
        ] {
            assert_eq!(read(200, &format!(r#"{{"id":2,"name":"x","status":"{word}"}}"#)), Ok(progress));
        }
        for body in ["{}", "<html>", r#"{"status":"great"}"#] {
            assert_eq!(read(200, body), Err(Kind::Unexpected), "{body}");
        }
        let unknown = r#"{"code":"invalid_parameter","message":"processId is invalid"}"#;
        assert_eq!(read(404, unknown), Ok(Progress::Unknown));
        assert_eq!(read(404, "<html>"), Err(Kind::Unexpected));
        assert_eq!(read(500, unknown), Err(Kind::OutcomeUnknown));
    }

    #[test]
    fn a_page_of_records_is_one_or_a_problem() {
        let page = r#"{"count":2,"records":[{"identifiers":{"id":1,"ext_id":"a"},"attributes":{"n":1}},{"identifiers":{"id":2}}]}"#;
        let read = read_records(&answer(200, page)).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a"]);
        assert!(read["a"].contains_key("n"));
        assert!(read_records(&answer(200, "{}")).is_err());
        assert!(read_records(&answer(424, "{}")).is_err());
    }
}
