//! Background processes: `GET /processes`, `GET /processes/{id}`, and the reports that a finished
//! import links to.
//!
//! brevo: OpenAPI file of February 2026; `brevo-python` 5.1.0 for the links and the state
//! `in_process`. `error`, `created_at` and `completed_at` are gone since the changelog of 2026-04-17.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Brevo;
use super::account::Account;
use super::jobs::Due;
use super::query::Page;
use super::replies::{error, not_found, violation};
use crate::clock::Millis;
use crate::http::{Reply, Request};

/// Path of the reports. Brevo's lie on another host and need no key; nor do these.
pub(super) const REPORTS: &str = "/import-reports/{process}/{report}";

/// brevo: keys of `info.import`, with the heading of the one column that each file has here. What
/// columns Brevo's files have is not documented.
const KINDS: [(&str, &str); 7] = [
    ("invalid_emails", "EMAIL"),
    ("duplicate_contact_id", "CONTACT_ID"),
    ("duplicate_ext_id", "EXT_ID"),
    ("duplicate_email_id", "EMAIL"),
    ("duplicate_phone_id", "SMS"),
    ("duplicate_whatsapp_id", "WHATSAPP"),
    ("duplicate_landline_number_id", "LANDLINE_NUMBER"),
];

/// One background process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Brevo's number.
    pub id: i64,
    /// Number of the request that started it.
    pub seq: u64,
    /// Kind of work.
    pub work: Work,
    /// Host time.
    pub accepted_at: Millis,
    /// When it is in process.
    pub starts_at: Millis,
    /// When it ends, and takes effect. `i64::MAX`, as `starts_at`, where it is stuck.
    pub ends_at: Millis,
    /// Whether it ends as failed.
    pub fails: bool,
    /// Values that the reports name, by `info.import`'s keys; of an import that has ended.
    pub reports: BTreeMap<String, Vec<String>>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Work {
    Import,
    Objects,
}

impl Process {
    fn status(&self, now: Millis) -> &'static str {
        match () {
            () if now < self.starts_at => "queued",
            () if now < self.ends_at => "in_process",
            () if self.fails => "failed",
            () => "completed",
        }
    }

    fn row(&self, origin: &str, now: Millis) -> Value {
        let status = self.status(now);
        // No name is documented for a batch of objects.
        let mut row = json!({"id": self.id, "name": "IMPORTUSER", "status": status});
        if self.work == Work::Import && status == "completed" {
            let link = |(kind, _): (&str, &str)| {
                let url =
                    self.reports.get(kind).map(|_| format!("{origin}/import-reports/{}/{kind}.csv", self.id));
                (kind.to_owned(), json!(url))
            };
            row["info"] = json!({"import": KINDS.into_iter().map(link).collect::<BTreeMap<_, _>>()});
        }
        row
    }
}

#[derive(Debug, Default)]
pub(super) struct Processes {
    by_id: BTreeMap<i64, Process>,
    /// Where the reports lie: `http://127.0.0.1:port`.
    pub(super) origin: String,
}

impl Processes {
    pub(super) fn get_mut(&mut self, id: i64) -> Option<&mut Process> {
        self.by_id.get_mut(&id)
    }

    /// Whether an import has been accepted and has not ended.
    pub(super) fn imports(&self, now: Millis) -> bool {
        self.by_id.values().any(|process| process.work == Work::Import && now < process.ends_at)
    }
}

impl Account {
    /// Makes a process that is queued and in process for so long; stuck where these are missing.
    pub(super) fn start_process(
        &mut self,
        request: &Request,
        work: Work,
        delays: Option<(Millis, Millis)>,
    ) -> i64 {
        let id = self.processes.by_id.len() as i64 + 1;
        let (starts_at, ends_at) = match delays {
            None => (Millis::MAX, Millis::MAX),
            Some((queued, running)) => (request.at + queued, request.at + queued + running),
        };
        let process = Process {
            id,
            seq: request.seq,
            work,
            accepted_at: request.at,
            starts_at,
            ends_at,
            fails: false,
            reports: BTreeMap::new(),
        };
        self.processes.by_id.insert(id, process);
        self.jobs.add(ends_at, Due::Process(id));
        id
    }

    pub(super) fn list_processes(&self, request: &Request) -> Reply {
        let page = match Page::read(request, 10, 50, &[]) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let all = self.processes.by_id.values();
        let rows = page.of(all.map(|process| process.row(&self.processes.origin, request.at)));
        Reply::json(200, &json!({"count": self.processes.by_id.len(), "processes": rows}))
    }

    pub(super) fn read_process(&self, request: &Request) -> Reply {
        if !request.query.is_empty() {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let text = request.path.rsplit('/').next().unwrap_or_default();
        let Ok(id) = text.parse::<i64>() else {
            return violation("invalid_parameter", "the process id is not a number");
        };
        match self.processes.by_id.get(&id) {
            Some(process) => Reply::json(200, &process.row(&self.processes.origin, request.at)),
            // brevo: example of the OpenAPI file.
            None => error(404, "invalid_parameter", "processId is invalid"),
        }
    }

    /// A file that a finished import links to.
    pub(super) fn read_report(&self, request: &Request) -> Reply {
        let mut parts = request.path.rsplit('/');
        let kind = parts.next().and_then(|file| file.strip_suffix(".csv")).unwrap_or_default();
        let id = parts.next().and_then(|id| id.parse().ok()).unwrap_or_default();
        let values = self.processes.by_id.get(&id).and_then(|process| process.reports.get(kind));
        let heading = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, heading)| *heading);
        let (Some(values), Some(heading)) = (values, heading) else { return not_found("Report") };
        let lines = std::iter::once(heading).chain(values.iter().map(String::as_str)).map(cell);
        Reply::text(200, "text/csv", lines.map(|line| line + "\n").collect::<String>())
    }
}

/// RFC 4180.
fn cell(text: &str) -> String {
    match text.is_empty() || text.contains(['"', ';', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

impl Brevo {
    /// All background processes, the oldest first.
    pub fn processes(&self) -> Vec<Process> {
        self.held(|account| account.processes.by_id.values().cloned().collect())
    }

    /// Lets imports that are stuck run now, one after the other.
    pub fn release_imports(&self) {
        let now = self.now();
        self.held(|account| {
            let (queued, running) = account.import_delays();
            let mut from = now;
            for process in account.processes.by_id.values_mut().filter(|one| one.ends_at == Millis::MAX) {
                process.starts_at = from + queued;
                process.ends_at = process.starts_at + running;
                from = process.ends_at;
                account.jobs.add(process.ends_at, Due::Process(process.id));
            }
        });
    }
}
