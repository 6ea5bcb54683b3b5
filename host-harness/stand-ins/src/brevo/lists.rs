//! Folders, lists, and who is in them: `/contacts/folders` and `/contacts/lists`.
//!
//! brevo: OpenAPI file of February 2026; quotas of developers.brevo.com/docs/platform-quotas.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Brevo;
use super::account::{Account, read};
use super::contact_calls::summary;
use super::contacts::{By, Contact, Identifier};
use super::memberships::ListChange;
use super::options::{ListEnvelope, Plan};
use super::query::{Filters, Page};
use super::replies::{error, no_list, violation};
use super::schemas::{CreateFolder, CreateList, ListRows};
use crate::clock::{Millis, parse_rfc3339, rfc3339};
use crate::http::{Reply, Request};

/// brevo: `maxItems` of the add and remove calls.
const ROWS: usize = 150;
/// brevo: docs/platform-quotas.
const FOLDERS: usize = 300;

/// brevo: docs/platform-quotas; 600 on Enterprise, which alone has the extended rates.
fn lists_quota(plan: Plan) -> usize {
    match plan {
        Plan::General | Plan::Advanced => 300,
        Plan::Extended => 600,
        Plan::Unlimited => usize::MAX,
    }
}

/// A folder of lists. Its name is not unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Brevo's number.
    pub id: i64,
    /// As given.
    pub name: String,
}

/// A list of contacts. Its name is not unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Brevo's number.
    pub id: i64,
    /// As given.
    pub name: String,
    /// Its folder.
    pub folder_id: i64,
    /// Host time.
    pub created_at: Millis,
}

/// A list that somebody makes in Brevo's dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewList {
    /// Its number; the next free one where missing. A list that has it gets the new name and folder.
    #[serde(default)]
    pub id: Option<i64>,
    /// Its name.
    pub name: String,
    /// Name of its folder: the first of that name, made where there is none.
    pub folder: String,
    /// Whether an automation starts for each contact that is added.
    #[serde(default)]
    pub automation: bool,
}

/// Folders and lists. They share one sequence of numbers, so that a client that mixes them up
/// is seen.
#[derive(Debug, Default)]
pub(super) struct Lists {
    folders: BTreeMap<i64, Folder>,
    lists: BTreeMap<i64, List>,
    last_id: i64,
}

impl Lists {
    pub(super) fn get(&self, id: i64) -> Option<&List> {
        self.lists.get(&id)
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &List> {
        self.lists.values()
    }

    pub(super) fn folders(&self) -> impl DoubleEndedIterator<Item = &Folder> {
        self.folders.values()
    }

    fn add_folder(&mut self, name: String) -> i64 {
        self.last_id += 1;
        self.folders.insert(self.last_id, Folder { id: self.last_id, name });
        self.last_id
    }

    /// Gives the list its number where it has none yet.
    pub(super) fn put_list(&mut self, id: Option<i64>, name: String, folder_id: i64, at: Millis) -> List {
        let id = id.unwrap_or(self.last_id + 1);
        self.last_id = self.last_id.max(id);
        let created_at = self.lists.get(&id).map_or(at, |known| known.created_at);
        let list = List { id, name, folder_id, created_at };
        self.lists.insert(id, list.clone());
        list
    }

    fn put(&mut self, new: &NewList, at: Millis) -> List {
        let known = self.folders.values().find(|folder| folder.name == new.folder).map(|folder| folder.id);
        let folder_id = known.unwrap_or_else(|| {
            // The number that was asked for stays free for the list.
            self.last_id = self.last_id.max(new.id.unwrap_or(0));
            self.add_folder(new.folder.clone())
        });
        self.put_list(new.id, new.name.clone(), folder_id, at)
    }
}

impl Account {
    pub(super) fn create_folder(&mut self, request: &Request) -> Reply {
        let body: CreateFolder = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        match body.name.filter(|name| !name.is_empty()) {
            None => violation("missing_parameter", "Folder name is missing"),
            // How the refusal reads is not documented.
            Some(_) if self.lists.folders.len() >= FOLDERS => {
                error(400, "invalid_parameter", "Maximum number of folders reached")
            }
            Some(name) => Reply::json(201, &json!({"id": self.lists.add_folder(name)})),
        }
    }

    pub(super) fn create_list(&mut self, request: &Request) -> Reply {
        let body: CreateList = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        // brevo: sendinblue/APIv3-php-library#263.
        let Some(name) = body.name.filter(|name| !name.is_empty()) else {
            return violation("missing_parameter", "List name is missing");
        };
        let Some(folder) = body.folder_id else {
            return violation("missing_parameter", "folderId is missing");
        };
        // How these two refusals read is not documented.
        if !self.lists.folders.contains_key(&folder) {
            return error(400, "invalid_parameter", "Folder ID does not exist");
        }
        if self.lists.lists.len() >= lists_quota(self.options.plan) {
            return error(400, "invalid_parameter", "Maximum number of lists reached");
        }
        let list = self.lists.put_list(None, name, folder, request.at);
        Reply::json(201, &json!({"id": list.id}))
    }

    pub(super) fn list_folders(&self, request: &Request) -> Reply {
        let page = match Page::read(request, 10, 50, &[]) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let folders = page.of(self.lists.folders().map(|folder| {
            let lists = self.lists.all().filter(|list| list.folder_id == folder.id);
            let members: BTreeSet<i64> =
                lists.flat_map(|list| self.contacts.memberships.of(list.id)).collect();
            listed(folder.id, &folder.name, members.len())
        }));
        Reply::json(200, &json!({"count": self.lists.folders.len(), "folders": folders}))
    }

    pub(super) fn list_lists(&self, request: &Request) -> Reply {
        let page = match Page::read(request, 10, 50, &[]) {
            Ok(page) => page,
            Err(reply) => return reply,
        };
        let lists = page.of(self.lists.all().map(|list| {
            let mut row = listed(list.id, &list.name, self.contacts.memberships.size(list.id));
            row["folderId"] = json!(list.folder_id);
            row
        }));
        Reply::json(200, &json!({"count": self.lists.lists.len(), "lists": lists}))
    }

    pub(super) fn read_list(&self, request: &Request) -> Reply {
        let list = match self.named_list(request) {
            Ok(list) => list,
            Err(reply) => return reply,
        };
        let date = |name: &str| {
            let text = request.query.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
            Some(parse_rfc3339(text))
        };
        let known = ["startDate", "endDate"];
        if request.query.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return violation("invalid_parameter", "unknown query parameter");
        }
        let dates = known.map(date);
        if dates.contains(&Some(None)) || dates.iter().flatten().count() == 1 {
            return violation("invalid_parameter", "startDate and endDate go together, with an offset");
        }
        let size = self.contacts.memberships.size(list.id);
        let blocked = self.members(list.id).filter(|contact| contact.email_blacklisted).count();
        let mut body = json!({
            "id": list.id, "name": list.name, "folderId": list.folder_id, "dynamicList": false,
            "createdAt": rfc3339(list.created_at), "campaignStats": [],
            "totalSubscribers": size - blocked, "totalBlacklisted": blocked, "uniqueSubscribers": size,
        });
        for (name, date) in known.into_iter().zip(dates) {
            if let Some(Some(date)) = date {
                body[name] = json!(rfc3339(date));
            }
        }
        Reply::json(200, &body)
    }

    pub(super) fn list_members(&self, request: &Request) -> Reply {
        let (list, page) = match (self.named_list(request), Page::read(request, 50, 500, &["modifiedSince"]))
        {
            (_, Err(reply)) | (Err(reply), _) => return reply,
            (Ok(list), Ok(page)) => (list, page),
        };
        let since = match Filters(request).since("modifiedSince") {
            Ok(since) => since,
            Err(reply) => return reply,
        };
        // brevo: inclusive (estuary's connector).
        let members = || self.members(list.id).filter(|contact| contact.modified_at >= since);
        let count = members().count();
        Reply::json(200, &json!({"contacts": page.of(members().map(summary)), "count": count}))
    }

    /// `POST /contacts/lists/{id}/contacts/add` and `remove`.
    pub(super) fn change_list(&mut self, request: &Request, add: bool) -> Reply {
        let body: ListRows = match read(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        // What each row is called in the answer, and whom it names.
        let rows: Vec<(Value, Option<i64>)> = match (body.emails, body.ids, body.ext_ids) {
            (Some(emails), None, None) => {
                let find = |email: &str| self.contacts.find(&Identifier::Email(email.to_lowercase()));
                emails.into_iter().map(|email| (json!(email), find(&email))).collect()
            }
            (None, Some(ids), None) => ids.into_iter().map(|id| (json!(id), Some(id))).collect(),
            (None, None, Some(ext_ids)) => {
                let find = |ext_id: &str| self.contacts.find(&Identifier::ExtId(ext_id.to_owned()));
                ext_ids.into_iter().map(|ext_id| (json!(ext_id), find(&ext_id))).collect()
            }
            _ => return violation("invalid_parameter", "exactly one of emails, ids and extIds"),
        };
        if rows.is_empty() || rows.len() > ROWS {
            return violation("invalid_parameter", "1 to 150 rows");
        }
        let list = match self.named_list(request) {
            Ok(list) => list.id,
            Err(reply) => return reply,
        };
        let by = By { at: request.at, seq: request.seq };
        let (mut success, mut failure) = (Vec::new(), Vec::new());
        for (row, contact) in rows {
            let changed = contact.is_some_and(|id| match add {
                true => self.contacts.join(list, id, by),
                false => self.contacts.leave(list, id, by),
            });
            if changed { success.push(row) } else { failure.push(row) }
        }
        if success.is_empty() {
            // brevo: sendinblue/APIv3-php-library#47, #92, #134; the second one as several public
            // clients of Brevo compare it.
            let message = match add {
                true => "Contact already in list and/or does not exist",
                false => "Contact already removed from list and/or does not exist",
            };
            return error(400, "invalid_parameter", message);
        }
        let rows = json!({"success": success, "failure": failure});
        match self.options.list_envelope {
            ListEnvelope::Wrapped => Reply::json(201, &json!({"contacts": rows})),
            ListEnvelope::Bare => Reply::json(201, &rows),
        }
    }

    /// `lists` and `automations` of a person.
    pub(super) fn control_lists(&mut self, call: &str, body: &Value, at: Millis) -> Reply {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Automations {
            lists: BTreeSet<i64>,
        }
        let refused = |e: serde_json::Error| Reply::json(400, &json!({"error": e.to_string()}));
        match call {
            "lists" => match NewList::deserialize(body) {
                Ok(new) => Reply::json(201, &json!(self.put_list(&new, at))),
                Err(e) => refused(e),
            },
            _ => match Automations::deserialize(body) {
                Ok(automations) => {
                    self.contacts.memberships.automations = automations.lists;
                    Reply::empty(204)
                }
                Err(e) => refused(e),
            },
        }
    }

    fn put_list(&mut self, new: &NewList, at: Millis) -> List {
        let list = self.lists.put(new, at);
        let automations = &mut self.contacts.memberships.automations;
        match new.automation {
            true => automations.insert(list.id),
            false => automations.remove(&list.id),
        };
        list
    }

    fn members(&self, list: i64) -> impl DoubleEndedIterator<Item = &Contact> {
        self.contacts.memberships.of(list).filter_map(|id| self.contacts.get(id))
    }

    /// The list that the path names.
    fn named_list(&self, request: &Request) -> Result<&List, Reply> {
        let text = request.path.split('/').nth(4).unwrap_or_default();
        let id = text.parse().map_err(|_| violation("invalid_parameter", "the list id is not a number"))?;
        self.lists.get(id).ok_or_else(no_list)
    }
}

/// `getFolder` and `getList` in a page. brevo: two of the sums are no longer given there, "the
/// default value for the attributes will be 0".
fn listed(id: i64, name: &str, members: usize) -> Value {
    json!({
        "id": id, "name": name, "totalBlacklisted": 0, "totalSubscribers": 0, "uniqueSubscribers": members,
    })
}

impl Brevo {
    /// Adds a list, as a person does in the dashboard: beyond quotas, and not in the journal.
    pub fn add_list(&self, new: &NewList) -> List {
        let now = self.now();
        self.held(|account| account.put_list(new, now))
    }

    /// All folders, the oldest first.
    pub fn folders(&self) -> Vec<Folder> {
        self.held(|account| account.lists.folders().cloned().collect())
    }

    /// All lists, the oldest first.
    pub fn lists(&self) -> Vec<List> {
        self.held(|account| account.lists.all().cloned().collect())
    }

    /// Contacts in a list, the oldest first; none where the list does not exist.
    pub fn list_members(&self, list: i64) -> Vec<Contact> {
        self.held(|account| account.members(list).cloned().collect())
    }

    /// Replaces the set of lists that start an automation for each contact that is added.
    pub fn set_automations(&self, lists: impl IntoIterator<Item = i64>) {
        self.held(|account| {
            account.contacts.memberships.automations = lists.into_iter().collect();
        });
    }

    /// Every join and leave that really changed a list, in order, by whichever call.
    pub fn list_changes(&self) -> Vec<ListChange> {
        self.held(|account| account.contacts.memberships.changes().to_vec())
    }

    /// The joins that started an automation, in order: one for each start.
    pub fn automations_started(&self) -> Vec<ListChange> {
        self.list_changes().into_iter().filter(|change| change.started_automation).collect()
    }
}
