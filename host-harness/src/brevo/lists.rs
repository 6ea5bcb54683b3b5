//! Folders, lists, and who is in them (OpenAPI `/contacts/folders`, `/contacts/lists`).
//!
//! Names are not unique at Brevo, so a list is looked for before it is made. Contacts are named by
//! Brevo's numeric ids only.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::account::Call;
use super::contacts::json;
use super::errors::{self, Kind, Problem};
use super::windows::Family;
use crate::world::HttpResponse;

/// Contacts in one call (OpenAPI: `maxItems`).
pub const ROWS: usize = 150;
/// Folders or lists on one page (OpenAPI: `maximum`; the default is 10).
pub const PAGE: usize = 50;

/// A folder or a list on a page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Brevo's number.
    pub id: i64,
    /// Not unique.
    pub name: String,
    /// The folder, of a list.
    #[serde(default, rename = "folderId")]
    pub folder: Option<i64>,
}

/// A page, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order of creation.
    pub rows: Vec<Listed>,
    /// In all.
    pub count: usize,
}

/// `GET /contacts/folders`, the oldest first: what is made while pages are read comes at the end.
pub fn folders(offset: usize) -> Call {
    page("/contacts/folders", offset)
}

/// `GET /contacts/lists`, the oldest first.
pub fn lists(offset: usize) -> Call {
    page("/contacts/lists", offset)
}

fn page(label: &'static str, offset: usize) -> Call {
    Call {
        method: "GET",
        path: format!("{label}?limit={PAGE}&offset={offset}&sort=asc"),
        label,
        family: Family::Contacts,
        body: None,
    }
}

/// A page of folders or lists. Past the end Brevo may leave the rows out; without a count nothing
/// is proven.
pub fn read_page(answer: &HttpResponse) -> Result<Page, Problem> {
    #[derive(Deserialize)]
    struct Wire {
        count: usize,
        #[serde(default, alias = "folders")]
        lists: Vec<Listed>,
    }
    if answer.status != 200 {
        return Err(errors::classify(answer));
    }
    serde_json::from_slice::<Wire>(&answer.body)
        .map(|wire| Page { rows: wire.lists, count: wire.count })
        .map_err(|_| Problem { status: 200, kind: Kind::Unexpected })
}

/// `POST /contacts/folders`
pub fn create_folder(name: &str) -> Call {
    Call {
        method: "POST",
        path: "/contacts/folders".into(),
        label: "/contacts/folders",
        family: Family::Contacts,
        body: Some(json(&serde_json::json!({ "name": name }))),
    }
}

/// `POST /contacts/lists`
pub fn create_list(name: &str, folder: i64) -> Call {
    Call {
        method: "POST",
        path: "/contacts/lists".into(),
        label: "/contacts/lists",
        family: Family::Contacts,
        body: Some(json(&serde_json::json!({ "name": name, "folderId": folder }))),
    }
}

/// The number of what was made. An answer that doesn't say it leaves the outcome unknown.
pub fn read_create(answer: &HttpResponse) -> Result<i64, Problem> {
    #[derive(Deserialize)]
    struct Created {
        id: i64,
    }
    if !(200..300).contains(&answer.status) {
        return Err(errors::classify(answer));
    }
    let unknown = |_| Problem { status: answer.status, kind: Kind::OutcomeUnknown };
    serde_json::from_slice::<Created>(&answer.body).map(|created| created.id).map_err(unknown)
}

/// `GET /contacts/lists/{id}`: whether there is such a list.
pub fn list(id: i64) -> Call {
    Call {
        method: "GET",
        path: format!("/contacts/lists/{id}"),
        label: "/contacts/lists/{id}",
        family: Family::Contacts,
        body: None,
    }
}

/// Only Brevo's own *not found* means that there is none.
pub fn read_list(answer: &HttpResponse) -> Result<bool, Problem> {
    if answer.status == 200 {
        let known = serde_json::from_slice::<Listed>(&answer.body).is_ok();
        return if known { Ok(true) } else { Err(Problem { status: 200, kind: Kind::Unexpected }) };
    }
    let problem = errors::classify(answer);
    if problem.kind == Kind::NotFound { Ok(false) } else { Err(problem) }
}

/// `POST /contacts/lists/{id}/contacts/add` or `remove`, at most [`ROWS`] contacts.
pub fn change(id: i64, join: bool, contacts: &[i64]) -> Call {
    let (verb, label) = match join {
        true => ("add", "/contacts/lists/{id}/contacts/add"),
        false => ("remove", "/contacts/lists/{id}/contacts/remove"),
    };
    Call {
        method: "POST",
        path: format!("/contacts/lists/{id}/contacts/{verb}"),
        label,
        family: Family::Contacts,
        body: Some(json(&serde_json::json!({ "ids": contacts }))),
    }
}

/// What an answer proves about one contact of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowResult {
    /// It was done.
    Done,
    /// Nothing was done: it held already, or there is no such contact. Brevo says which nowhere.
    Nothing,
    /// Nothing is proven.
    Unknown,
}

/// What an answer proves about each of the contacts.
///
/// 201 says `{"contacts": {"success": […], "failure": […]}}` by the schema and the inner object
/// alone by the examples; both are read. Where nothing at all was done, clients see a 400
/// `invalid_parameter` ("Contact already in list and/or does not exist"; brevo-php#47, #92, #134);
/// since sentences drift, every 400 that is not about the account counts as that, and a look at the
/// contact decides.
pub fn read_change(answer: &HttpResponse, contacts: &[i64]) -> Result<Vec<RowResult>, Problem> {
    #[derive(Deserialize)]
    struct Rows {
        #[serde(default)]
        success: Option<BTreeSet<i64>>,
        #[serde(default)]
        failure: Option<BTreeSet<i64>>,
    }
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        contacts: Option<Rows>,
        #[serde(flatten)]
        bare: Rows,
    }
    if !(200..300).contains(&answer.status) {
        let problem = errors::classify(answer);
        let about_rows = matches!(problem.kind, Kind::Refused | Kind::Duplicate(_) | Kind::NotFound);
        if answer.status == 400 && about_rows {
            return Ok(vec![RowResult::Nothing; contacts.len()]);
        }
        return Err(problem);
    }
    let Ok(wire) = serde_json::from_slice::<Wire>(&answer.body) else {
        return Ok(vec![RowResult::Unknown; contacts.len()]);
    };
    let rows = wire.contacts.unwrap_or(wire.bare);
    let (success, failure) = (rows.success.unwrap_or_default(), rows.failure.unwrap_or_default());
    let row = |id: &i64| match (success.contains(id), failure.contains(id)) {
        (true, false) => RowResult::Done,
        (false, true) => RowResult::Nothing,
        _ => RowResult::Unknown,
    };
    Ok(contacts.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn both_envelopes_are_read_row_for_row() {
        use RowResult::{Done, Nothing, Unknown};
        for body in [
            r#"{"contacts":{"success":[1,2],"failure":[5],"total":3,"processId":9}}"#,
            r#"{"success":[1,2],"failure":[5]}"#,
        ] {
            let rows = read_change(&answer(201, body), &[5, 1, 7, 2]).unwrap();
            assert_eq!(rows, [Nothing, Done, Unknown, Done], "{body}");
        }
        for body in
            ["", "<html>", "[]", r#"{"contacts":{"success":["a"]}}"#, r#"{"success":[1],"failure":[1]}"#]
        {
            assert_eq!(read_change(&answer(201, body), &[1]).unwrap(), [Unknown], "{body}");
        }
        // Emptied lists may be left out.
        assert_eq!(read_change(&answer(201, r#"{"contacts":{"success":[1]}}"#), &[1]).unwrap(), [Done]);
    }

    #[test]
    fn nothing_done_at_all_is_told_apart_from_a_list_that_is_gone_and_from_an_outage() {
        let nothing =
            r#"{"code":"invalid_parameter","message":"Contact already in list and/or does not exist"}"#;
        assert_eq!(read_change(&answer(400, nothing), &[1, 2]).unwrap(), [RowResult::Nothing; 2]);
        let gone = r#"{"code":"document_not_found","message":"List ID does not exist"}"#;
        assert_eq!(read_change(&answer(404, gone), &[1]).unwrap_err().kind, Kind::NotFound);
        assert_eq!(read_change(&answer(404, "<html>"), &[1]).unwrap_err().kind, Kind::Unexpected);
        assert_eq!(read_change(&answer(502, ""), &[1]).unwrap_err().kind, Kind::OutcomeUnknown);
        assert_eq!(read_change(&answer(429, ""), &[1]).unwrap_err().kind, Kind::RateLimited);
    }

    #[test]
    fn a_page_without_a_count_proves_nothing() {
        let page = |body| read_page(&answer(200, body));
        let lists = page(r#"{"lists":[{"id":7,"name":"VIP","folderId":3,"uniqueSubscribers":1}],"count":1}"#);
        let vip = Listed { id: 7, name: "VIP".into(), folder: Some(3) };
        assert_eq!(lists, Ok(Page { rows: vec![vip], count: 1 }));
        let folders = page(r#"{"folders":[{"id":3,"name":"Shop"}],"count":1}"#).unwrap();
        assert_eq!(folders.rows[0].id, 3);
        assert_eq!(page(r#"{"count":0}"#), Ok(Page { rows: vec![], count: 0 }));
        for body in ["{}", "<html>", r#"{"lists":[{"id":"7"}],"count":1}"#] {
            assert!(page(body).is_err(), "{body}");
        }
    }
}
