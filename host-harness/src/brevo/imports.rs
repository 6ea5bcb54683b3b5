//! Many contacts in one call, and what became of them.
//!
//! `POST /contacts/import` takes at most 10 MB, answers with a process, and applies one set of
//! blocks to all of its rows (OpenAPI `/contacts/import`). Brevo asks not to run two at once
//! (help.brevo.com, "Import your contacts").

use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Call, encode};
use super::contacts::{Contact, Wire};
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::world::{HttpResponse, Millis};

/// Most bytes of rows in one call: safely below the 10 MB of the documentation, which advises 8.
pub const BYTES: usize = 8_000_000;
/// Contacts in one page (OpenAPI `GET /contacts`).
pub const PAGE: usize = 1_000;

/// `POST /contacts/import`. Blocks are set for all rows or left out: a false could lift one.
pub fn import(rows: &[Value], list: i64, email_blocked: bool, sms_blocked: bool) -> Call {
    let mut body = json!({
        "jsonBody": rows,
        "listIds": [list],
        "updateExistingContacts": true,
        "emptyContactsAttributes": false,
        "disableNotification": true,
    });
    for (name, blocked) in [("emailBlacklist", email_blocked), ("smsBlacklist", sms_blocked)] {
        if blocked {
            body[name] = Value::Bool(true);
        }
    }
    Call {
        method: "POST",
        path: "/contacts/import".into(),
        label: "/contacts/import",
        family: Family::Contacts,
        body: Some(super::contacts::json(&body)),
    }
}

/// The number of the process that works on it.
pub fn read_import(answer: &HttpResponse) -> Result<i64, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Accepted {
        process_id: i64,
    }
    match answer.status {
        202 => serde_json::from_slice::<Accepted>(&answer.body)
            .map(|accepted| accepted.process_id)
            .map_err(|_| Problem { status: 202, kind: Kind::OutcomeUnknown }),
        // Something was done, and not as asked.
        200..=299 => Err(Problem { status: answer.status, kind: Kind::OutcomeUnknown }),
        _ => Err(errors::classify(answer)),
    }
}

/// What Brevo's clock says of an answer (`Date`), and a little less because it has whole seconds.
pub fn made_at(answer: &HttpResponse) -> Option<Millis> {
    let date = answer.header("date")?;
    let at = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(at.timestamp().as_millisecond() - 2_000)
}

/// How far Brevo is with a process (`brevo-python` 5.1.0, `get_process`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `queued`, `in_process`, `processing`, `completed`, `failed`, `cancelled`.
    pub status: String,
    /// Where Brevo lists the rows that it refused.
    pub reports: Vec<String>,
}

impl Process {
    /// True where nothing more comes of it.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// `GET /processes/{id}`
pub fn process(id: i64) -> Call {
    get(format!("/processes/{id}"), "/processes/{id}", Family::Processes)
}

/// The process; none where Brevo doesn't know it.
pub fn read_process(answer: &HttpResponse) -> Result<Option<Process>, Problem> {
    #[derive(Deserialize)]
    struct Wire {
        status: String,
        #[serde(default)]
        info: Option<Value>,
    }
    if answer.status != 200 {
        let problem = errors::classify(answer);
        return if problem.kind == Kind::NotFound { Ok(None) } else { Err(problem) };
    }
    let wire: Wire = serde_json::from_slice(&answer.body).map_err(|_| unexpected())?;
    let import = wire.info.as_ref().and_then(|info| info.get("import")).and_then(Value::as_object);
    let links = import.into_iter().flat_map(|links| links.values());
    let reports =
        links.filter_map(Value::as_str).filter(|link| !link.is_empty()).map(str::to_owned).collect();
    Ok(Some(Process { status: wire.status, reports }))
}

/// `GET /processes`: the newest.
pub fn processes() -> Call {
    get("/processes?limit=50&offset=0&sort=desc".into(), "/processes", Family::Processes)
}

/// Whether an import is among those that are not over.
pub fn read_is_importing(answer: &HttpResponse) -> Result<bool, Problem> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        processes: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        name: String,
        status: String,
    }
    if answer.status != 200 {
        let problem = errors::classify(answer);
        return if problem.kind == Kind::NotFound { Ok(false) } else { Err(problem) };
    }
    let wire: Wire = serde_json::from_slice(&answer.body).map_err(|_| unexpected())?;
    let over = |row: &Row| Process { status: row.status.clone(), reports: Vec::new() }.is_over();
    Ok(wire.processes.iter().any(|row| row.name.starts_with("IMPORT") && !over(row)))
}

/// `GET /contacts`: everybody in the order in which they were made, or those of a list that changed
/// since.
pub fn contacts(changed: Option<(i64, Millis)>, offset: usize) -> Call {
    let mut path = format!("/contacts?limit={PAGE}&offset={offset}&sort=asc");
    if let Some((list, since)) = changed {
        // UTC with milliseconds (OpenAPI `modifiedSince`).
        let since = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
        let since = since.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        path.push_str(&format!("&listIds={list}&modifiedSince={}", encode(&since)));
    }
    get(path, "/contacts", Family::Contacts)
}

/// A page of contacts, and how many there are in all.
pub fn read_contacts(answer: &HttpResponse) -> Result<(Vec<Contact>, usize), Problem> {
    #[derive(Deserialize)]
    struct Page {
        contacts: Vec<Wire>,
        count: usize,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    let page: Page = serde_json::from_slice(&answer.body).map_err(|_| unexpected())?;
    Ok((page.contacts.into_iter().map(Contact::from).collect(), page.count))
}

fn get(path: String, label: &'static str, family: Family) -> Call {
    Call { method: "GET", path, label, family, body: None }
}

fn unexpected() -> Problem {
    Problem { status: 200, kind: Kind::Unexpected }
}

/// The addresses in one of Brevo's reports: a CSV file whose columns are documented nowhere.
pub fn read_report(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let cells = text.split(['\n', '\r', ';', ',', '\t', '"']);
    cells.map(str::trim).filter(|cell| cell.contains('@')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    fn body(call: &Call) -> Value {
        serde_json::from_slice(call.body.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn an_import_blocks_or_says_nothing() {
        let open = body(&import(&[json!({ "email": "a@x.org" })], 5, false, false));
        assert!(open.get("emailBlacklist").is_none() && open.get("smsBlacklist").is_none());
        assert_eq!(open["emptyContactsAttributes"], false);
        let blocked = body(&import(&[], 5, true, false));
        assert_eq!(blocked["emailBlacklist"], true);
        assert!(blocked.get("smsBlacklist").is_none());
    }

    #[test]
    fn a_process_is_read_with_its_reports() {
        let text = r#"{"id":78,"name":"IMPORTUSER","status":"completed","info":{"import":{
            "invalid_emails":"https://x.org/1.csv","duplicate_ext_id":null,"duplicate_email_id":""}}}"#;
        let process = read_process(&answer(200, text)).unwrap().unwrap();
        assert!(process.is_over());
        assert_eq!(process.reports, ["https://x.org/1.csv"]);
        assert_eq!(read_process(&answer(404, r#"{"code":"document_not_found"}"#)), Ok(None));
        assert!(!read_process(&answer(200, r#"{"status":"queued"}"#)).unwrap().unwrap().is_over());
        assert_eq!(read_process(&answer(200, "<html>")).unwrap_err().kind, Kind::Unexpected);
    }

    #[test]
    fn only_an_import_that_is_not_over_is_one() {
        let list = |name: &str, status: &str| {
            let text =
                format!(r#"{{"processes":[{{"id":1,"name":"{name}","status":"{status}"}}],"count":1}}"#);
            read_is_importing(&answer(200, &text)).unwrap()
        };
        assert!(list("IMPORTUSER", "in_process") && list("IMPORTUSER", "queued"));
        assert!(!list("IMPORTUSER", "completed") && !list("SEARCH_EXPORT_USERS", "queued"));
    }

    #[test]
    fn a_report_gives_its_addresses_whatever_its_columns() {
        let report = b"EMAIL;REASON\n\"bad@@x\";invalid\r\nb@x.org,\"no, really\"\n";
        assert_eq!(read_report(report), ["bad@@x", "b@x.org"]);
    }

    #[test]
    fn an_answers_own_time_is_read() {
        let mut dated = answer(202, "");
        dated.headers.push(("date".into(), "Mon, 23 Nov 2026 12:00:00 GMT".into()));
        assert_eq!(made_at(&dated), Some(1_795_435_198_000));
        assert_eq!(made_at(&answer(202, "")), None);
    }

    #[test]
    fn since_is_a_moment_in_utc() {
        let call = contacts(Some((5, 1_795_435_200_123)), 1_000);
        assert_eq!(
            call.path,
            "/contacts?limit=1000&offset=1000&sort=asc&listIds=5&modifiedSince=2026-11-23T12%3A00%3A00.123Z"
        );
    }
}
