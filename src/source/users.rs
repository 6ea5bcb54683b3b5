//! Profiles of known people, by Get User.
//!
//! Flags that are set by API or by an import make no event
//! (MD:user-guide/campaigns-and-channels/email/getting-started-with-email/suppression-updates.mdx),
//! so that a stream alone misses opt-outs. Get User gives the whole profile, for ids that are
//! known: those of the watch list ([`super::watch`]). It has to be switched on by MoEngage
//! support, hence nobody gets it who has not asked for it in the settings.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::client::{self, Http, HttpResponse, Method};
use super::contact::{self, Addresses, Names, Sighting};
use super::errors::{self, Envelope};
use super::notes::{Notes, Notice};
use super::page::{self, Cursor, Next, Page, PageRequest, Position, Reach};
use super::refusal::{Refusal, refusal};
use super::surfaces::Reject;
use super::user_names::under_keys;
use super::{identity, rate, watch};
use crate::failure::{Failure, FailureKind};
use crate::json::{self, Object, Scalar, elements, to_json};
use crate::model::{
    CONTACT, Millis, Nature, Observation, Occurrence, Provenance, Record, TimeTrust, contact as model,
};
use crate::profile::{RateWindow, ResourceSpec, SyncMode};
use crate::settings::{KeySlot, Settings};

/// Name of the resource, and the endpoint of the manifest.
pub const USERS: &str = "users";

/// OpenAPI of the Data API: "The rate limit is 20 users per payload and 1000 users per minute".
const USERS_OF_A_CALL: usize = 20;

/// Calls of one unit: a tenth of what the rate allows in a minute.
const CALLS_OF_A_UNIT: usize = 5;

/// Most users that an answer may name before it is none; far above what was asked for.
const MOST_ROWS: usize = 1_000;

const REPORT: &str = "Report it with the payload: MoEngage documents this otherwise.";

/// A profile that was asked for ranks above attributes that ride on an event.
const RANK: u8 = 20;

/// Where a run stands.
#[derive(Debug)]
struct State {
    /// When the run began; names it.
    run: Millis,
    /// The last key of the watch list that was asked for.
    after: Option<String>,
}

/// What the connector declares, where profiles are refreshed.
pub fn resource(settings: &Settings) -> Option<ResourceSpec> {
    let cadence = settings.options.profile_refresh?;
    Some(ResourceSpec {
        name: USERS.to_owned(),
        kind: CONTACT.to_owned(),
        primary_key: vec!["uid".to_owned()],
        nature: Nature::State,
        mode: SyncMode::Full,
        cursor_strategy:
            "The last id of the watch list that was asked for. An id that is added during a run and sorts \
                          before it is read by the next run."
                .to_owned(),
        page_limit: (USERS_OF_A_CALL * CALLS_OF_A_UNIT) as u32,
        replay_policy:
            "One observation for each person and run; a profile that has not changed changes nothing."
                .to_owned(),
        // The settings hold it to 15 minutes to 30 days.
        cadence: u32::try_from(cadence / 1000).unwrap_or(u32::MAX),
        schema: model::SCHEMA.trim_end().to_owned(),
        endpoint: USERS.to_owned(),
        slot: Some(KeySlot::Data.name().to_owned()),
        rate_windows: vec![RateWindow { calls: 50, seconds: 60 }],
    })
}

/// Reads the profiles of the next ids.
pub fn fetch(settings: &Settings, request: &PageRequest, reach: &mut Reach<'_>) -> Result<Page, Failure> {
    let mut state = match &request.position {
        Position::Start => State { run: request.now, after: None },
        Position::Cursor(cursor) => {
            let state = cursor.state(USERS)?;
            let read = || {
                // The run names observations: without it there is no going on.
                state.raw("run")?;
                Some(State { run: page::value(&state, "run")?, after: page::text(&state, "after")? })
            };
            read().ok_or_else(page::unreadable)?
        }
        Position::Window(..) => {
            return Err(Failure::new(
                FailureKind::Cursor,
                "position-not-supported",
                "Profiles have no window: MoEngage gives them as they are now.",
            ));
        }
    };
    let budget = usize::try_from(request.budget).unwrap_or(usize::MAX).min(USERS_OF_A_CALL * CALLS_OF_A_UNIT);
    let listed = reach.storage.list(watch::PREFIX, state.after.as_deref());
    let mut page = Page {
        records: Vec::new(),
        rejects: Vec::new(),
        next: Next::COMPLETE,
        not_before: None,
        notes: Vec::new(),
    };
    let mut notes = Notes::default();
    let asked = listed.get(..budget.min(listed.len())).unwrap_or_default();
    for (call, keys) in asked.chunks(USERS_OF_A_CALL).enumerate() {
        let ids = Ids { settings, run: state.run, now: request.now, keys };
        let (answer, not_before) = match ids.ask(reach.http) {
            Ok(answer) => answer,
            Err(failure) if call == 0 => return Err(failure),
            // What was read before stays; the next unit meets the failure by itself.
            Err(failure) => {
                if let FailureKind::RateLimited(Some(wait)) = failure.kind {
                    page.not_before = Some(request.now.saturating_add_unsigned(wait));
                }
                break;
            }
        };
        page.records.extend(answer.records);
        page.rejects.extend(answer.rejects);
        notes.extend(answer.notes);
        state.after = keys.last().cloned();
        page.not_before = not_before;
        if not_before.is_some() {
            break;
        }
    }
    page.notes = notes.into_list();
    // A list is longer than a budget; where all of it was asked for there is no more.
    if !listed.is_empty() && state.after.as_ref() != listed.last() {
        let state = format!(r#"{{"run":{},"after":{}}}"#, state.run, to_json(&state.after));
        page.next = Next::More(Cursor::new(USERS, &state));
    }
    Ok(page)
}

/// The ids of one call.
struct Ids<'a> {
    settings: &'a Settings,
    run: Millis,
    now: Millis,
    /// Their keys in the watch list.
    keys: &'a [String],
}

/// What one call came to.
#[derive(Default)]
struct Answer {
    records: Vec<Record>,
    rejects: Vec<Reject>,
    notes: Notes,
}

impl Ids<'_> {
    fn uids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.strip_prefix(watch::PREFIX))
    }

    fn ask(&self, http: &mut dyn Http) -> Result<(Answer, Option<Millis>), Failure> {
        let path = ["v1", "customers", "export"];
        let mut request = client::request(self.settings, USERS, Method::Post, &path);
        request.query.push(("app_id".to_owned(), self.settings.workspace_id.clone()));
        // MD:user-guide/data/key-concepts/portfolio-data-ingestion-and-management.mdx
        if let Some(project) = &self.settings.project_code {
            request.query.push(("project_code".to_owned(), project.clone()));
        }
        let identifier =
            |uid: &str| format!(r#"{{"identifier_type":"customer_id","identifier":{}}}"#, to_json(&uid));
        let identifiers = self.uids().map(identifier).collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"data":{{"identifiers":[{identifiers}]}}}}"#);
        let response = client::exchange(http, &client::with_body(request, body), KeySlot::Data)?;
        let answer = match response.status {
            200..=299 => errors::success(&response, KeySlot::Data, self.now),
            _ => Err(errors::refused(&response, KeySlot::Data, self.now)),
        };
        match answer {
            Ok(object) => Ok((self.read(&object, &response)?, rate::not_before(&response, self.now))),
            Err(failure) => Err(switched_off(&response, failure)),
        }
    }

    fn read(&self, object: &Object<'_>, response: &HttpResponse) -> Result<Answer, Failure> {
        let unexpected = || errors::unexpected(response);
        let data = object.raw("data").and_then(|raw| Object::parse(raw.get())).ok_or_else(unexpected)?;
        // Either list may be left out, not both: an empty answer is none.
        let list =
            |key: &str| data.raw(key).map(|raw| elements(raw.get()).ok_or_else(unexpected)).transpose();
        let (users, missing) = (list("users")?, list("users_not_found")?);
        if users.is_none() && missing.is_none() {
            return Err(unexpected());
        }
        let users = users.unwrap_or_default();
        if users.len() > MOST_ROWS {
            return Err(unexpected());
        }
        let mut open = BTreeSet::new();
        open.extend(self.uids());
        let mut answer = Answer::default();
        for (n, user) in users.into_iter().enumerate() {
            match self.user(user, &mut open, &mut answer.notes) {
                Ok(record) => answer.records.extend(record),
                Err(why) => answer.rejects.push(why.at(format!("/data/users/{n}"))),
            }
        }
        for row in missing.unwrap_or_default() {
            let named = Object::parse(row.get()).and_then(|row| row.get("identifier")?.text());
            if named.is_some_and(|named| open.remove(named.as_ref())) {
                answer.notes.add(Notice::UserNotFound);
            }
        }
        open.iter().for_each(|_| answer.notes.add(Notice::UserUnanswered));
        Ok(answer)
    }

    /// One user of the answer; none where the settings no longer take the id for a person's.
    fn user(
        &self,
        row: &RawValue,
        open: &mut BTreeSet<&str>,
        notes: &mut Notes,
    ) -> Result<Option<Record>, Refusal> {
        json::check(row.get())?;
        let attributes = Object::parse(row.get())
            .and_then(|user| Object::parse(user.raw("user_attributes")?.get()))
            .ok_or(refusal("user-without-attributes", "A user of the answer has no attributes.", REPORT))?;
        let attributes = under_keys(&attributes);
        let Some(uid) = identity::id(attributes.get("uid"))? else {
            return Err(refusal(
                "user-without-id",
                "A user of the answer has no customer id, so nobody knows whose profile it is.",
                REPORT,
            ));
        };
        if !open.remove(uid.as_ref()) {
            return Err(refusal(
                "user-not-asked-for",
                "The answer holds a user that was not asked for, or one user twice.",
                REPORT,
            ));
        }
        let names = Names::read(
            self.settings,
            Some(Scalar::Text(uid.as_ref().into())),
            &attributes,
            Addresses::default(),
            notes,
        )?;
        if names.uid.is_none() {
            return Ok(None);
        }
        let sighting = Sighting {
            observation: Observation { id: format!("users.{}", self.run), rank: RANK },
            // The profile is so now; when it became so nobody says.
            occurred: Occurrence { at: Some(self.now), trust: TimeTrust::Arrival },
            provenance: Provenance::Poll,
            project: None,
            otherwise: &uid,
        };
        contact::record(self.settings, &names, &attributes, sighting, notes).map(Some)
    }
}

/// The same failure, or the one that says that Get User is switched off. No code is documented
/// for that: it comes as a refusal of the key, which is no fault of the key, or as a failed
/// sentry. It concerns this resource only.
fn switched_off(response: &HttpResponse, failure: Failure) -> Failure {
    let forbidden = response.status == 403 && matches!(failure.kind, FailureKind::Permission { .. });
    let transient = matches!(failure.kind, FailureKind::Transient | FailureKind::RateLimited(_));
    if !forbidden && (transient || !Envelope::read(&response.body).names_a_switch()) {
        return failure;
    }
    Failure::new(
        FailureKind::Permission { slot: KeySlot::Data.name().to_owned(), scope: "Get User".to_owned() },
        "get-user-not-enabled",
        "Get User is not switched on for this workspace; ask MoEngage support for it, or remove \
         options.profile_refresh.",
    )
}
