//! `POST /contacts/import`: many contacts in one call, in the background.
//!
//! brevo: OpenAPI file of February 2026, help.brevo.com 208729849. Left out, so a violation here:
//! `fileBody`, `fileUrl`, `consentGroupIds`. `notifyUrl` is read and never called: what Brevo
//! sends there is not documented.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::processes::Work;
use super::replies::{error, violation};
use super::schemas::present;
use crate::clock::Millis;
use crate::http::{Reply, Request};
use crate::journal::{Finding, FindingKind};

/// brevo: "Maximum allowed json body size is 10MB".
const LARGEST: usize = 10 * 1024 * 1024;

/// An import that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its process.
    pub process_id: i64,
    /// Number of the request.
    pub seq: u64,
    /// When it was accepted, in host time.
    pub at: Millis,
    /// When its rows took effect; none before.
    pub applied_at: Option<Millis>,
    /// Rows that were sent.
    pub rows: usize,
    /// Rows that took effect, on a contact or at least on its lists.
    pub applied: usize,
    /// Lists that its contacts join.
    pub list_ids: Vec<i64>,
    /// Whether the account's owner gets a mail about it.
    pub notifies_owner: bool,
}

/// Rows that wait for their process.
#[derive(Debug, Default)]
pub(super) struct Imports {
    pub(super) waiting: BTreeMap<i64, Waiting>,
    pub(super) accepted: Vec<Import>,
    fail_next: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) seq: u64,
    pub(super) rows: Vec<ImportRow>,
    /// Rows that still take effect where the import fails.
    pub(super) fails_after: Option<usize>,
    pub(super) list_ids: Vec<i64>,
    pub(super) update_existing: bool,
    pub(super) empty_erases: bool,
    /// Of all rows. `true` blocks; a `false` that is written out lifts a block, one that is
    /// left out does not: the default is `false`, and the worst that it can mean.
    pub(super) email_blacklist: Option<bool>,
    pub(super) sms_blacklist: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct ImportContacts {
    #[serde(deserialize_with = "present")]
    json_body: Option<Vec<ImportRow>>,
    list_ids: Vec<i64>,
    #[serde(deserialize_with = "present")]
    new_list: Option<NewImportList>,
    #[serde(deserialize_with = "present")]
    update_existing_contacts: Option<bool>,
    empty_contacts_attributes: bool,
    #[serde(deserialize_with = "present")]
    email_blacklist: Option<bool>,
    #[serde(deserialize_with = "present")]
    sms_blacklist: Option<bool>,
    disable_notification: bool,
    #[serde(deserialize_with = "present")]
    #[allow(dead_code, reason = "read so that its shape is checked")]
    notify_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct NewImportList {
    #[serde(deserialize_with = "present")]
    list_name: Option<String>,
    #[serde(deserialize_with = "present")]
    folder_id: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ImportRow {
    #[serde(deserialize_with = "present")]
    pub(super) email: Option<String>,
    pub(super) attributes: Map<String, Value>,
}

impl Account {
    pub(super) fn import_contacts(&mut self, request: &Request) -> Reply {
        if request.body.len() > LARGEST {
            return violation("invalid_parameter", "the import is larger than 10 MB");
        }
        let body: ImportContacts = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let rows = match body.json_body {
            Some(rows) if !rows.is_empty() => rows,
            _ => return violation("missing_parameter", "jsonBody is missing"),
        };
        if body.list_ids.iter().any(|list| *list < 1) {
            return violation("invalid_parameter", "list ids are positive");
        }
        let mut findings = Vec::new();
        let mut list_ids = Vec::new();
        for list in &body.list_ids {
            match self.lists.get(*list) {
                Some(list) => list_ids.push(list.id),
                // Not documented: in silence, as in the write of one contact.
                None => findings.push(Finding {
                    kind: FindingKind::IgnoredList,
                    detail: format!("list {list} does not exist"),
                }),
            }
        }
        match (body.new_list, body.list_ids.is_empty()) {
            (None, false) => (),
            (None, true) => return violation("missing_parameter", "one of listIds and newList is required"),
            (Some(NewImportList { list_name: Some(name), folder_id: Some(folder) }), _)
                if !name.is_empty() =>
            {
                if !self.lists.folders().any(|known| known.id == folder) {
                    return error(400, "invalid_parameter", "Folder ID does not exist");
                }
                list_ids.push(self.lists.put_list(None, name, folder, request.at).id);
            }
            (Some(_), _) => return violation("missing_parameter", "newList has a listName and a folderId"),
        }
        for detail in rows.iter().flat_map(|row| self.import_attributes(row).ignored) {
            findings.push(Finding { kind: FindingKind::IgnoredAttribute, detail });
        }
        // brevo: help.brevo.com, of imports: several at once get stuck.
        let delays = match self.processes.imports(request.at) {
            false => Some(self.import_delays()),
            true => {
                let detail = "another import has not ended".to_owned();
                findings.push(Finding { kind: FindingKind::Violation, detail });
                None
            }
        };
        let id = self.start_process(request, Work::Import, delays);
        let fails_after = self.imports.fail_next.take();
        if let Some(process) = self.processes.get_mut(id) {
            process.fails = fails_after.is_some();
        }
        self.imports.accepted.push(Import {
            process_id: id,
            seq: request.seq,
            at: request.at,
            applied_at: None,
            rows: rows.len(),
            applied: 0,
            list_ids: list_ids.clone(),
            notifies_owner: !body.disable_notification,
        });
        let waiting = Waiting {
            seq: request.seq,
            rows,
            fails_after,
            list_ids,
            update_existing: body.update_existing_contacts.unwrap_or(true),
            empty_erases: body.empty_contacts_attributes,
            email_blacklist: body.email_blacklist,
            sms_blacklist: body.sms_blacklist,
        };
        self.imports.waiting.insert(id, waiting);
        let mut reply = Reply::json(202, &json!({"processId": id}));
        reply.findings = findings;
        reply
    }

    /// For how long an import is queued and in process.
    pub(super) fn import_delays(&self) -> (Millis, Millis) {
        let queued = self.options.import_queue_delay.as_millis() as Millis;
        (queued, self.options.import_delay.as_millis() as Millis)
    }
}

impl Brevo {
    /// Every import that was accepted, in order.
    pub fn imports(&self) -> Vec<Import> {
        self.held(|account| account.imports.accepted.clone())
    }

    /// The next import that is accepted fails after so many of its rows took effect.
    pub fn fail_next_import(&self, after_rows: usize) {
        self.held(|account| account.imports.fail_next = Some(after_rows));
    }
}
