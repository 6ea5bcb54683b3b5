//! Campaign reports: files that are known by name only, behind a signature of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::MoEngage;
use super::archives::{gzip, zip};
use super::envelopes::{Envelope, Refusal, letters};
use super::options::{Access, Family};
use super::routes::{Call, Calls, Control, Key, Limit, Route};
use super::workspace::{Workspace, read};
use crate::clock::{Clock, Millis};
use crate::http::Reply;
use crate::journal::FindingKind;

/// moengage: OpenAPI file of stats, reports: "expire in 7 days from the date of creation".
const LIFE_MS: i64 = 7 * 86_400_000;

const REPORT: &str = "/campaign_reports/rest_api/{app_id}/{filename}";
/// Inside the signature.
const KEY: Key = Key { family: Family::Campaigns, permission: "" };
const ENVELOPE: Envelope = Envelope::plain(refused);
/// No limit is documented.
const LIMIT: Limit = Limit { name: "reports", windows: &[] };

pub(super) const CALLS: Calls = Calls {
    routes: &[Route { key: None, ..Route::get(REPORT, KEY, ENVELOPE, &LIMIT, Workspace::report) }],
    rows: &[],
    controls: &[Control { name: "reports", act: |workspace, body| workspace.reports.put(read(body)?) }],
};

/// One report file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// As stored; gzip or zip.
    pub bytes: Vec<u8>,
    /// Host time; seven days later it can't be had any more.
    pub created_at: Millis,
}

/// The report files of a workspace.
pub(super) struct Reports {
    files: BTreeMap<String, Report>,
    clock: Clock,
}

/// Body of `POST /_control/reports`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewReport {
    name: String,
    /// Packed by the ending of the name: a zip archive, or else gzip.
    csv: String,
    created_at: Option<Millis>,
}

const SAMPLE: &str = "campaign_id,campaign_name,day,sent,delivered,clicks\n\
    64a1b2c3d4e5f6a7b8c9d000,Campaign 0,2026-11-20,40,39,10\n";

impl Reports {
    /// What a new workspace holds: one file of each kind.
    pub(super) fn new(clock: Clock) -> Self {
        let mut reports = Self { files: BTreeMap::new(), clock };
        for name in ["Report_test_20261120.zip", "Report_test_20261120.csv.gz"] {
            let (name, csv) = (name.to_owned(), SAMPLE.to_owned());
            // A sample is a report like any other.
            let _ = reports.put(NewReport { name, csv, created_at: None });
        }
        reports
    }

    pub(super) fn names(&self) -> Vec<&String> {
        self.files.keys().collect()
    }

    fn put(&mut self, new: NewReport) -> Result<(), String> {
        let Some((stem, ending)) = new.name.split_once('.') else {
            return Err("the name has no ending".to_owned());
        };
        let bytes = match ending {
            "zip" => zip([(format!("{stem}.csv").as_str(), new.csv.as_bytes())]),
            _ => gzip(new.csv.as_bytes()),
        };
        let created_at = new.created_at.unwrap_or_else(|| self.clock.now());
        self.files.insert(new.name, Report { bytes, created_at });
        Ok(())
    }
}

impl MoEngage {
    /// Reads or changes the report files, by name.
    pub fn with_reports<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Report>) -> T) -> T {
        self.server.shared.with(|workspace| act(&mut workspace.reports.files))
    }
}

/// moengage: `ErrorResponseCampaignReport` of the OpenAPI file of stats; a 401 is empty.
fn refused(refusal: Refusal<'_>, id: &str) -> Value {
    match refusal {
        Refusal::Invalid { target, message } | Refusal::Named { target, message, .. } => json!({"error": {
            "attribute": target, "message": message, "type": "BAD REQUEST", "request_id": letters(id),
        }}),
        _ => Value::Null,
    }
}

impl Workspace {
    /// `GET /campaign_reports/rest_api/{APP_ID}/{FILENAME}` (moengage: OpenAPI file of stats). The
    /// signature is looked at first: without it nobody learns which files there are.
    fn report(&mut self, call: &Call<'_>) -> Reply {
        let (app_id, name) = (call.variable(0), call.variable(1));
        let access = self.access.get(&Family::Campaigns).copied().unwrap_or_default();
        if access == Access::AddressNotListed {
            return call.refused(Refusal::Address);
        }
        let wanted = self.options.campaigns_key.as_ref().map(|key| {
            let digest = Sha256::digest(format!("{app_id}|{name}|{key}").as_bytes());
            digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        let signed = wanted.is_some() && wanted.as_deref() == call.request.header("signature");
        let file = self.reports.files.get(name);
        let bad =
            |code, message| call.refused(Refusal::Named { status: 400, code, target: "FILENAME", message });
        let reply = match file {
            _ if !signed || access != Access::Granted => call.refused(Refusal::WrongKey),
            _ if app_id != self.options.workspace_id => call.invalid("APP_ID", "Incorrect App Id"),
            None => bad("unknown", "Invalid Report file name"),
            Some(file) if call.request.at - file.created_at >= LIFE_MS => {
                bad("expired", "The requested report is older than 7 days")
            }
            // Whatever the file is: no other type is documented.
            Some(file) => Reply::text(200, "application/gzip", file.bytes.clone()),
        };
        match call.request.header("authorization") {
            Some(_) => reply.with(FindingKind::Violation, "a report is not asked for with Basic"),
            None => reply,
        }
    }
}
