//! `harness plan`: what it says is what then happens, and nothing happens by saying it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "sources/mod.rs"]
mod sources;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host_harness::connectors::Connector;
use host_harness::operate::plan::{self, Asked, PlanError, Report, Row, Verdict};
use host_harness::pipeline::Step;
use host_harness::store::journal::{GroupCommit, Journal as _, RawDelivery};
use host_harness::store::outbox::State;
use host_harness::store::{Digest, Store, StoreError, batches};
use serde_json::{Value, json};
use sources::*;
use stand_ins::brevo::{Campaign, CampaignSend, CampaignStatus, NewList, ObjectType, Task};
use stand_ins::journal::Entry;
use stand_ins::moengage::exports::{ExportOptions, export_files};
use stand_ins::moengage::generator::Generator;

const LIST: i64 = 5;
const CONTACT: &str = "brevo/upsert-contact";
const CONSENT: &str = "brevo/set-consent";
const EVENT: &str = "brevo/track-event";
const JOIN: &str = "brevo/join-list";
const MAIL: &str = "brevo/send-email";
const TEXT: &str = "brevo/send-sms";
const CAMPAIGN: &str = "brevo/trigger-campaign";
const NOTE: &str = "brevo/add-note";
const TASK: &str = "brevo/create-task";
const DELETE: &str = "brevo/delete-contact";
const PRODUCT: &str = "brevo/upsert-product";
const OBJECT: &str = "brevo/upsert-object";
/// A campaign that is a draft, and one that was sent.
const DRAFT: i64 = 7;
const SENT: i64 = 8;

/// A host that knows two people, and a Brevo that knows a third.
struct Stage {
    world: World,
    scratch: tempfile::TempDir,
    /// Brevo's requests before the plan.
    before: u64,
}

/// Attributes of the people of the stage, as they come with each of their events.
fn known_of(who: &str) -> Value {
    match who {
        "buyer" => json!({ "plan": "gold", "u_mb": "+491511234567", "moe_sms_subscription": "OPTIN" }),
        "silent" => json!({ "moe_unsubscribe": null }),
        _ => json!({ "plan": "gold" }),
    }
}

/// What a rule does about everybody who bought something.
fn rules() -> Value {
    let rule = |name: &str, event: &str, actions: Value| json!({ "name": name, "triggers": [{ "event": event }], "actions": actions });
    let campaign =
        |id: i64| json!([{ "brevo/trigger-campaign": { "campaign_id": id, "confirm_send": true } }]);
    json!([
        rule(
            "bought",
            "bought",
            json!([
                { "brevo/send-email": { "template_id": 101, "params": { "n": 1 } } },
                { "brevo/send-sms": { "content": "Thanks", "sender": "ACME" } },
                { "brevo/add-note": { "text": "<p>bought</p>" } },
                { "brevo/create-task": { "name": "Call", "type": "Todo" } },
            ])
        ),
        rule("task", "asked", json!([{ "brevo/create-task": { "name": "Answer", "type": "Unheard of" } }])),
        rule("draft", "launched", campaign(DRAFT)),
        rule("again", "relaunched", campaign(SENT)),
    ])
}

impl Stage {
    fn new() -> Self {
        Self::deleting("soft")
    }

    fn deleting(behavior: &str) -> Self {
        let more = json!({
            "event_mapping": {
                "SEEN": "seen", "NOISE": null, "BOUGHT": "bought", "ASKED": "asked", "LAUNCHED": "launched",
                "RELAUNCHED": "relaunched", "CLOSED": null,
            },
            "rules": rules(),
            "deletes": { "delete_behavior": behavior, "on": ["CLOSED"] },
            "segment_sync": { "identifier": "uid", "lists": {
                "s-inert": { "id": LIST, "inert": true },
                "s-first": { "name": "First", "folder": "F" },
                "s-new": { "name": "New", "folder": "F" },
            } },
        });
        let world = World::with(&Setting { more, factor: 60.0, ..Setting::default() });
        world.brevo.add_list(&NewList {
            id: Some(LIST),
            name: "Inert".into(),
            folder: "F".into(),
            ..NewList::default()
        });
        let stage = Self { world, scratch: tempfile::tempdir().unwrap(), before: 0 };
        stage.units(|_| {}); // makes the store
        for known in ["known", "same", "out", "buyer", "leaver"] {
            let first = stage.event(known, &format!("e0{known}"), 3_600, known_of(known));
            stage.push("streams", &stage.events(&[first]));
        }
        stage.push("segment-sync", &chunk("s-new", "x0", &["zed"]));
        stage.push("segment-sync", &chunk("s-inert", "x0", &["same", "leaver"]));
        stage.execute();
        for (id, status) in [(DRAFT, CampaignStatus::Draft), (SENT, CampaignStatus::Sent)] {
            stage.world.brevo.put_campaign(Campaign { status, ..Campaign::draft(id, vec![LIST]) });
        }
        stage.at_brevo("there");
        stage
    }

    fn units(&self, body: impl FnOnce(&host_harness::host::Units)) {
        body(&self.world.units());
    }

    /// Puts a webhook into the journal, where it waits.
    fn push(&self, surface: &str, body: &Value) {
        let store = Arc::new(self.world.store());
        let installation = installation(&store);
        let received_at = self.world.brevo.now();
        let headers = vec![];
        let body = body.to_string().into_bytes();
        let raw = RawDelivery { installation, surface: surface.into(), received_at, headers, body };
        GroupCommit::new(store).append(raw).unwrap();
    }

    fn events(&self, events: &[Value]) -> Value {
        json!({ "app_name": "a", "source": "MOENGAGE", "moe_request_id": "r", "events": events })
    }

    /// The person does something else, and is as before.
    fn does(&self, who: &str, code: &str, uuid: &str, age_s: i64) -> Value {
        let mut event = self.event(who, uuid, age_s, known_of(who));
        event["event_code"] = json!(code);
        event
    }

    fn event(&self, who: &str, uuid: &str, age_s: i64, attributes: Value) -> Value {
        let mut user = json!({
            "moengage_user_id": format!("m-{who}"), "u_em": format!("{who}@example.com"), "moe_unsubscribe": false
        });
        let user_map = user.as_object_mut().unwrap();
        user_map.extend(attributes.as_object().unwrap().clone());
        user_map.retain(|_, value| !value.is_null());
        json!({
            "event_name": "Seen", "event_code": "SEEN", "event_uuid": uuid,
            "event_time": self.world.now_s() - age_s, "event_type": "USER_ACTION_EVENT",
            "event_source": "MOENGAGE", "email_id": format!("{who}@example.com"), "uid": who,
            "event_attributes": {}, "user_attributes": user, "device_attributes": {}
        })
    }

    /// Somebody makes a contact in Brevo.
    fn at_brevo(&self, who: &str) {
        let answer = ureq::post(format!("{}/v3/contacts", self.world.brevo.url()))
            .header("api-key", self.world.brevo.api_key())
            .header("content-type", "application/json")
            .send(
                json!({ "email": format!("{who}@example.com"), "attributes": {}, "updateEnabled": false })
                    .to_string(),
            )
            .unwrap();
        assert_eq!(answer.status(), 201);
    }

    fn plan(&mut self, asked: Asked) -> Result<Report, PlanError> {
        self.before = self.world.brevo.journal().received();
        let config = self.world.config();
        let asked = Asked { scratch: Some(self.scratch.path().into()), samples: 5_000, ..asked };
        plan::plan(&config, &Connector::all(&config).unwrap(), &asked, &mut |_| {})
    }

    /// Does whatever is due, by a real host, but for what waits for the tenant.
    fn execute(&self) {
        self.units(|units| while units.step().unwrap() == Step::Worked {});
        let host = self.world.serve();
        let open = "SELECT count(*) FROM action WHERE (state = 9 AND due_at IS NOT NULL)
             OR (state IN (0, 1) AND coalesce(code, '') NOT IN ('object-type-unknown', 'task-type-unknown'))";
        let store = self.world.store();
        let deadline = Instant::now() + PATIENCE;
        while store
            .read::<_, StoreError>(|tx| Ok(tx.query_row(open, [], |row| row.get::<_, i64>(0))?))
            .unwrap()
            > 0
        {
            assert!(Instant::now() < deadline, "never at rest");
            std::thread::sleep(Duration::from_millis(10));
        }
        host.stop();
        assert!(sums(&store).0.agree());
    }

    fn since_plan(&self) -> Vec<Entry> {
        self.world.brevo.journal().entries().filter(|entry| entry.seq > self.before).cloned().collect()
    }

    /// What became of every action after the plan, by what Brevo was asked.
    fn executed(&self, last: i64) -> BTreeMap<(String, String), (Verdict, Option<String>)> {
        let entries = self.since_plan();
        let brevo = &self.world.brevo;
        let accepted = |method: &str, path: &str| {
            let found = entries.iter().filter(move |entry| entry.method == method && entry.path == path);
            found.filter(|entry| entry.status.is_some_and(|status| status < 300)).cloned().collect::<Vec<_>>()
        };
        let (creates, puts) =
            (accepted("POST", "/v3/contacts"), accepted("PUT", "/v3/contacts/{identifier}"));
        let rows: Vec<Value> = accepted("POST", "/v3/contacts/import")
            .into_iter()
            .flat_map(|entry| entry.body["jsonBody"].as_array().cloned().unwrap_or_default())
            .collect();
        let imported = |uid: &str| rows.iter().any(|row| row["attributes"]["EXT_ID"] == uid);
        let changes = brevo.list_changes();
        let joined = |payload: &Value, contact: i64| {
            let named = brevo.lists().into_iter().find(|list| payload["list"]["name"] == list.name.as_str());
            let list = payload["list"]["id"].as_i64().or(named.map(|list| list.id));
            let since = changes.iter().filter(|change| change.seq > self.before && change.joined);
            since.into_iter().any(|change| change.contact_id == contact && Some(change.list_id) == list)
        };
        let mut executed = BTreeMap::new();
        for Done { name, action, subject, payload, state, code } in actions(&self.world.store(), last) {
            let uid = subject["person"]["external_id"].as_str().or(subject["Person"]["external_id"].as_str());
            let uid = uid.unwrap_or_default();
            let contact = brevo.contact_by_ext_id(uid).map(|contact| contact.id);
            let email = format!("{uid}@example.com");
            let since = |seq: u64| seq > self.before;
            let key = payload["id"].as_str().or(payload["ext_id"].as_str()).unwrap_or_default();
            let keyed = |entries: Vec<Entry>| {
                entries.iter().any(|entry| entry.body.to_string().contains(&format!("{key:?}")))
            };
            let put = |what: &dyn Fn(&Value) -> bool| {
                let of = |entry: &&Entry| {
                    contact.is_some_and(|id| entry.target.contains(&format!("/contacts/{id}?")))
                };
                puts.iter().filter(of).any(|entry| what(&entry.body))
            };
            let made = match action.as_str() {
                CONTACT if state == State::Delivered && imported(uid) => Some(Verdict::Create),
                CONTACT if creates.iter().any(|entry| entry.body["ext_id"] == uid) => Some(Verdict::Create),
                CONTACT if put(&|body| body.get("attributes").is_some() || body.get("ext_id").is_some()) => {
                    Some(Verdict::Update)
                }
                CONSENT
                    if put(&|body| body["emailBlacklisted"] == true && body.get("attributes").is_none()) =>
                {
                    Some(Verdict::Update)
                }
                EVENT => {
                    let uuid = name.rsplit(':').next().unwrap();
                    let arrived = brevo.events_by_property("moengage_event_uuid");
                    arrived.contains_key(uuid).then_some(Verdict::Create)
                }
                JOIN if contact.is_some_and(|id| joined(&payload, id)) => Some(Verdict::Update),
                MAIL if brevo.mails().iter().any(|mail| since(mail.seq) && mail.recipient == email) => {
                    Some(Verdict::Send)
                }
                TEXT if uid == "buyer" && brevo.texts().iter().any(|text| since(text.seq)) => {
                    Some(Verdict::Send)
                }
                CAMPAIGN => {
                    let of = |send: &CampaignSend| Some(send.campaign_id) == payload["campaign_id"].as_i64();
                    let sent = brevo.campaign_sends().iter().any(|send| since(send.seq) && of(send));
                    sent.then_some(Verdict::Send)
                }
                NOTE => {
                    let on = |ids: &[i64]| contact.is_some_and(|id| ids.contains(&id));
                    let made = brevo.notes().iter().any(|note| since(note.seq) && on(&note.contact_ids));
                    made.then_some(Verdict::Create)
                }
                TASK => {
                    let on = |ids: &[i64]| contact.is_some_and(|id| ids.contains(&id));
                    let name = payload["name"].as_str().unwrap();
                    let is_it =
                        |task: &Task| since(task.seq) && on(&task.contact_ids) && task.name.starts_with(name);
                    let made = brevo.tasks().iter().any(is_it);
                    made.then_some(Verdict::Create)
                }
                DELETE if put(&|body| body["attributes"].get("MOENGAGE_DELETED_AT").is_some()) => {
                    Some(Verdict::Update)
                }
                DELETE if !accepted("DELETE", "/v3/contacts/{identifier}").is_empty() => {
                    Some(Verdict::Delete)
                }
                PRODUCT if keyed(accepted("POST", "/v3/products")) => Some(Verdict::Upsert),
                OBJECT if keyed(accepted("POST", "/v3/objects/{type}/batch/upsert")) => Some(Verdict::Upsert),
                _ => None,
            };
            let verdict = made.unwrap_or(match state {
                State::Expired => Verdict::Expire,
                State::Held | State::Parked | State::Waiting => Verdict::Hold,
                State::Refused | State::Failed => Verdict::Drop,
                _ => Verdict::Leave,
            });
            let code = if made.is_some() { None } else { code };
            executed.insert((name, action), (verdict, code));
        }
        executed
    }
}

/// An action as it stands after it was executed.
struct Done {
    /// The record's, as a plan shows it.
    name: String,
    action: String,
    subject: Value,
    payload: Value,
    state: State,
    code: Option<String>,
}

/// Every action after `last`.
fn actions(store: &Store, last: i64) -> Vec<Done> {
    store
        .read::<_, StoreError>(|tx| {
            let mut statement = tx.prepare(
                "SELECT batch, position, name, subject, state, code, payload FROM action WHERE id > ?1 ORDER BY id",
            )?;
            let rows = statement.query_map([last], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get::<_, String>(3)?, row.get(4)?, row.get(5)?, row.get::<_, String>(6)?))
            })?;
            let mut actions = Vec::new();
            for row in rows {
                let (batch, position, action, subject, state, code, payload) = row?;
                let record = batches::get(tx, batch, position as usize)?.unwrap().record;
                let names_somebody = ["contact", "membership"].contains(&record.kind.as_str());
                let name = if names_somebody { digest(&record.kind, &record.id) } else { record.id };
                let state = State::from_number(state).unwrap();
                let (subject, payload) = (serde_json::from_str(&subject).unwrap(), serde_json::from_str(&payload).unwrap());
                actions.push(Done { name, action, subject, payload, state, code });
            }
            Ok(actions)
        })
        .unwrap()
}

fn last_action(store: &Store) -> i64 {
    let sql = "SELECT coalesce(max(id), 0) FROM action";
    store.read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
}

fn digest(kind: &str, id: &str) -> String {
    format!("{kind}#{}", &Digest::of(&[id.as_bytes()]).hex()[..12])
}

fn contact(who: &str) -> String {
    digest("contact", &format!("moengage:{WORKSPACE}:contact:uid.{who}"))
}

fn member(sync: &str, who: &str) -> String {
    digest("membership", &format!("moengage:{WORKSPACE}:membership:{sync}/uid.{who}"))
}

fn seen(uuid: &str) -> String {
    format!("moengage:{WORKSPACE}:event:{uuid}")
}

fn chunk(sync: &str, execution: &str, add: &[&str]) -> Value {
    let row = |who: &&str| json!({ "moengage_distinct_id": format!("m-{who}"), "partner_user_id": who, "source": "shop" });
    json!({
        "type": "segment_sync", "pagination": { "total_pages": 1, "page_count": 1 },
        "data": {
            "moengage_sync_id": sync, "moengage_sync_name": sync, "moengage_execution_id": execution,
            "moengage_integration_id": "i", "remove_users": [],
            "add_users": add.iter().map(row).collect::<Vec<_>>(),
        }
    })
}

/// Every verdict about an action, by record and action.
fn said(rows: &[Row]) -> BTreeMap<(String, String), (Verdict, Option<String>)> {
    let mut said = BTreeMap::new();
    for row in rows {
        let Some(action) = row.action.as_ref().filter(|action| *action != "attribute") else { continue };
        assert_eq!(row.samples.len() as u64, row.count, "{} {action} {:?}", row.kind, row.verdict);
        for sample in &row.samples {
            let known = said.insert((sample.clone(), action.clone()), (row.verdict, row.code.clone()));
            assert_eq!(known, None, "{sample} {action}");
        }
    }
    said
}

/// Where plan and execution say different things. What can't be previewed is no promise.
fn differences(
    plan: &BTreeMap<(String, String), (Verdict, Option<String>)>,
    done: &BTreeMap<(String, String), (Verdict, Option<String>)>,
) -> Vec<String> {
    let mut found = Vec::new();
    for key in plan.keys().chain(done.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (plan, done) = (plan.get(key), done.get(key));
        if plan != done && plan.is_none_or(|(verdict, _)| *verdict != Verdict::CannotPreview) {
            found.push(format!("{key:?}: planned {plan:?}, done {done:?}"));
        }
    }
    found
}

/// The bytes of everything durable.
/// Every row of the store, but for the counts of calls.
fn content(store: &Path) -> BTreeMap<String, Vec<String>> {
    let store = Store::attach(store).unwrap();
    let all = |tx: &rusqlite::Transaction<'_>| -> Result<_, rusqlite::Error> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'rate'";
        let names: Vec<String> =
            tx.prepare(tables)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut content = BTreeMap::new();
        for name in names {
            let mut statement = tx.prepare(&format!("SELECT * FROM \"{name}\""))?;
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                let value = |n| row.get::<_, rusqlite::types::Value>(n);
                let values = (0..columns).map(value).collect::<Result<Vec<_>, _>>()?;
                Ok(format!("{values:?}"))
            })?;
            let mut rows: Vec<String> = rows.collect::<Result<_, _>>()?;
            rows.sort();
            content.insert(name, rows);
        }
        Ok(content)
    };
    store.read::<_, StoreError>(|tx| Ok(all(tx)?)).unwrap()
}

fn queue(stage: &Stage) {
    let mut noise = stage.event("known", "enoise1", 60, json!({ "plan": "silver" }));
    noise["event_code"] = json!("NOISE");
    stage.push(
        "streams",
        &stage.events(&[
            stage.event("new", "enew1", 60, json!({ "plan": "gold" })),
            stage.event("known", "eknown1", 60, json!({ "plan": "silver" })),
            stage.event("same", "esame1", 60, json!({ "plan": "gold" })),
            stage.event("there", "ethere1", 60, json!({ "plan": "gold" })),
            stage.event("out", "eout1", 60, json!({ "plan": "gold", "moe_unsubscribe": true })),
            stage.event("new-out", "enewout1", 60, json!({ "moe_unsubscribe": true })),
            stage.event("silent", "esilent1", 60, json!({ "moe_unsubscribe": null })),
            stage.event("same", "eold1", 25 * 3_600, json!({ "plan": "gold" })),
            noise,
            json!(42),
        ]),
    );
    // Without a phone, and opted out by now.
    let mut out = stage.event("out", "ebuy2", 60, json!({ "plan": "gold", "moe_unsubscribe": true }));
    out["event_code"] = json!("BOUGHT");
    stage.push(
        "streams",
        &stage.events(&[
            stage.does("buyer", "BOUGHT", "ebuy1", 60),
            out,
            // Too late for a mail, a text.
            stage.does("same", "BOUGHT", "ebuy3", 2 * 3_600),
            stage.does("silent", "BOUGHT", "ebuy4", 60),
            stage.does("same", "ASKED", "eask1", 60),
            stage.does("same", "LAUNCHED", "elaunch1", 60),
            stage.does("same", "RELAUNCHED", "elaunch2", 60),
            stage.does("leaver", "CLOSED", "eclose1", 60),
        ]),
    );
    stage
        .push("streams", &stage.events(&[stage.event("known", "e0known", 3_600, json!({ "plan": "gold" }))]));
    stage.push("segment-sync", &chunk("s-inert", "x1", &["known", "new", "there"]));
    stage.push("segment-sync", &chunk("s-first", "x1", &["known"]));
    stage.push("segment-sync", &chunk("s-new", "x1", &["same"]));
}

#[test]
fn what_is_planned_is_what_happens_and_nothing_happens_by_planning() {
    let mut stage = Stage::new();
    queue(&stage);
    let store = stage.world.store_path();
    let (frozen, asked) = (content(&store), stage.world.moengage.journal().received());
    let planned = stage.plan(Asked::default()).unwrap();

    // Nothing was written anywhere, but that Brevo was called.
    assert!(frozen.len() > 20 && !frozen["journal"].is_empty());
    assert!(content(&store) == frozen, "a plan wrote into the store");
    assert_eq!(std::fs::read_dir(stage.scratch.path()).unwrap().count(), 0, "the copy is gone");
    let asked_of_brevo = stage.since_plan();
    assert!(asked_of_brevo.iter().all(|entry| entry.method == "GET"), "{asked_of_brevo:#?}");
    assert_eq!(asked_of_brevo.len() as u64, planned.brevo_reads);
    assert_eq!(stage.world.brevo.over_limit(), 0);
    assert_eq!(stage.world.moengage.journal().received(), asked, "no resource was due");
    assert_eq!(planned.webhooks, 6);

    // It says what is to be expected.
    let said = said(&planned.rows);
    let one = |name: String, action: &str| {
        let (verdict, code) = said
            .get(&(name.clone(), action.to_owned()))
            .unwrap_or_else(|| panic!("{name} {action}: {said:#?}"));
        (*verdict, code.clone())
    };
    let plain = |verdict: Verdict| (verdict, None);
    let why = |verdict: Verdict, code: &str| (verdict, Some(code.to_owned()));
    assert_eq!(one(contact("new"), CONTACT), plain(Verdict::Create));
    assert_eq!(one(seen("enew1"), EVENT), plain(Verdict::Create));
    assert_eq!(one(contact("known"), CONTACT), plain(Verdict::Update));
    assert_eq!(one(contact("there"), CONTACT), plain(Verdict::Update));
    assert_eq!(one(contact("out"), CONSENT), plain(Verdict::Update));
    assert_eq!(one(contact("new-out"), CONSENT), why(Verdict::Leave, "travels-with-create"));
    assert_eq!(one(contact("new-out"), CONTACT), plain(Verdict::Create));
    assert_eq!(one(contact("silent"), CONTACT), why(Verdict::Hold, "consent-unknown"));
    assert_eq!(one(seen("esilent1"), EVENT), why(Verdict::Hold, "contact-unknown"));
    assert_eq!(one(seen("eold1"), EVENT), why(Verdict::Expire, "too-old"));
    for (action, verdict) in
        [(MAIL, Verdict::Send), (TEXT, Verdict::Send), (NOTE, Verdict::Create), (TASK, Verdict::Create)]
    {
        assert_eq!(one(seen("ebuy1"), action), plain(verdict));
    }
    assert_eq!(one(seen("ebuy2"), MAIL), why(Verdict::Drop, "opted-out"));
    assert_eq!(one(seen("ebuy2"), TEXT), why(Verdict::Drop, "no-address"));
    assert_eq!(one(seen("ebuy3"), MAIL), why(Verdict::Expire, "too-old"));
    assert_eq!(one(seen("ebuy4"), MAIL), why(Verdict::Hold, "consent-unknown"));
    assert_eq!(one(seen("ebuy4"), NOTE), why(Verdict::Hold, "contact-unknown"));
    assert_eq!(one(seen("eask1"), TASK), why(Verdict::Hold, "task-type-unknown"));
    assert_eq!(one(seen("elaunch1"), CAMPAIGN), plain(Verdict::Send));
    assert_eq!(one(seen("elaunch2"), CAMPAIGN), why(Verdict::Leave, "campaign-sent"));
    assert_eq!(one(seen("eclose1"), DELETE), plain(Verdict::Update));
    assert_eq!(one(member("s-inert", "known"), JOIN), plain(Verdict::Update));
    assert_eq!(one(member("s-inert", "new"), JOIN), plain(Verdict::Update));
    assert_eq!(one(member("s-first", "known"), JOIN), why(Verdict::Hold, "baseline-unconfirmed"));
    assert_eq!(one(member("s-new", "same"), JOIN), why(Verdict::CannotPreview, "list-would-be-made"));
    let row = |kind: &str, verdict: Verdict, code: &str| {
        let found = planned.rows.iter().find(|row| {
            row.kind == kind
                && row.verdict == verdict
                && row.code.as_deref() == Some(code)
                && row.action.is_none()
        });
        found.map_or(0, |row| row.count)
    };
    assert_eq!(row("event", Verdict::Drop, "event-dropped"), 1);
    assert_eq!(row("event", Verdict::Leave, "accepted-before"), 1);
    assert!(row("contact", Verdict::Leave, "unchanged") > 2, "{:#?}", planned.rows);
    assert_eq!(row("unreadable", Verdict::Hold, "event-not-object"), 1);
    assert!(!planned.is_whole());
    let shown = serde_json::to_string(&planned).unwrap();
    for personal in ["@example.com", "uid.new", "m-known"] {
        assert!(!shown.contains(personal), "{shown}");
    }

    // Executed, the same input does exactly that.
    let last = last_action(&stage.world.store());
    stage.execute();
    let done = stage.executed(last);
    assert_eq!(differences(&said, &done), Vec::<String>::new());
    let made = |path: &str| {
        let entries = stage.since_plan();
        let found = entries.iter().filter(|entry| entry.method == "POST" && entry.path == path);
        found.filter(|entry| entry.status == Some(201)).count() as u64
    };
    assert_eq!(planned.writes["POST /contacts"], made("/v3/contacts"));
    assert_eq!(planned.writes["POST /smtp/email"], 1);
    stage.world.assert_clean();

    // The comparison sees a plan that is wrong.
    let mut wrong = said.clone();
    wrong.insert((contact("known"), CONTACT.into()), plain(Verdict::Create));
    assert_eq!(differences(&wrong, &done).len(), 1);
}

#[test]
fn a_world_that_changed_after_the_plan_is_seen_as_different() {
    let mut stage = Stage::new();
    stage.push("streams", &stage.events(&[stage.event("new", "enew1", 60, json!({ "plan": "gold" }))]));
    let planned = said(&stage.plan(Asked::default()).unwrap().rows);
    assert_eq!(planned[&(contact("new"), CONTACT.to_owned())].0, Verdict::Create);
    stage.at_brevo("new");
    stage.before = stage.world.brevo.journal().received();
    let last = last_action(&stage.world.store());
    stage.execute();
    let differences = differences(&planned, &stage.executed(last));
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].contains("Create") && differences[0].contains("Update"), "{differences:?}");
}

#[test]
fn what_waits_in_the_outbox_is_planned_and_so_is_a_read_that_fails() {
    let mut stage = Stage::new();
    stage.push("streams", &stage.events(&[stage.event("new", "enew1", 60, json!({ "plan": "gold" }))]));
    stage.units(|units| while units.step().unwrap() == Step::Worked {});
    let planned = stage.plan(Asked::default()).unwrap();
    let outbox = said(&planned.outbox);
    assert_eq!(outbox[&(contact("new"), CONTACT.to_owned())], (Verdict::Create, None));
    assert_eq!(outbox[&(seen("enew1"), EVENT.to_owned())], (Verdict::Create, None));
    assert_eq!(said(&planned.rows), BTreeMap::new());

    // Brevo can't be read: then nothing is guessed.
    stage.world.brevo.set_api_keys(vec!["another".into()]);
    let planned = stage.plan(Asked::default()).unwrap();
    let outbox = said(&planned.outbox);
    let expected = (Verdict::CannotPreview, Some("brevo-bad-key".to_owned()));
    assert_eq!(outbox[&(contact("new"), CONTACT.to_owned())], expected);
    assert_eq!(outbox[&(seen("enew1"), EVENT.to_owned())], expected);
    assert!(!planned.is_whole());
    assert!(stage.since_plan().iter().all(|entry| entry.method == "GET"));
}

#[test]
fn a_resource_a_window_and_a_remap_can_be_planned_and_the_wrong_names_are_told() {
    let mut stage = Stage::new();
    stage.world.moengage.with_campaigns(|campaigns| {
        *campaigns = (0..30).map(stand_ins::moengage::Campaign::numbered).collect();
    });
    let resource = |name: &str| Asked { resources: vec![name.into()], ..Asked::default() };
    let planned = stage.plan(resource("campaigns")).unwrap();
    let [reading] = planned.readings.as_slice() else { panic!("{:?}", planned.readings) };
    assert_eq!((reading.resource.as_str(), reading.result.as_str()), ("campaigns", "complete"));
    assert!(reading.records >= 30);
    assert!(planned.is_whole(), "{planned:#?}");
    assert_eq!(planned.brevo_reads, 0);

    let now = stage.world.brevo.now();
    let window = Asked { window: Some((now - 86_400_000, now)), ..resource("event-exports") };
    let planned = stage.plan(window).unwrap();
    assert_eq!(planned.readings[0].result, "truncated", "there is no such folder");
    assert!(!planned.is_whole());

    let error = stage.plan(resource("campains")).unwrap_err();
    assert_eq!(error.code(), "unknown-resource");
    assert!(error.to_string().contains("campaigns"), "{error}");
    let nobody = Asked { tenant: Some("nobody".into()), ..Asked::default() };
    assert_eq!(stage.plan(nobody).unwrap_err().code(), "unknown-tenant");

    let text = stage.world.text.replace(r#"{"plan":"PLAN"}"#, r#"{"plan":"TIER"}"#);
    assert_ne!(text, stage.world.text);
    stage.world.text = text;
    let planned = stage.plan(Asked { remap: true, ..Asked::default() }).unwrap();
    let updates = planned.rows.iter().filter(|row| row.action.as_deref() == Some(CONTACT));
    let updates: Vec<_> = updates.map(|row| (row.verdict, row.count)).collect();
    assert_eq!(updates, [(Verdict::Update, 5)]);
    let attribute = planned.rows.iter().find(|row| row.action.as_deref() == Some("attribute")).unwrap();
    assert_eq!((attribute.verdict, attribute.count), (Verdict::Create, 1));
    assert!(stage.since_plan().iter().all(|entry| entry.method == "GET"));
}

#[test]
fn a_plan_beside_a_running_host_leaves_it_alone() {
    let mut stage = Stage::new();
    let host = stage.world.serve();
    stage.push("streams", &stage.events(&[stage.event("known", "elive1", 60, json!({ "plan": "gold" }))]));
    stage.world.rest();
    let rows = || -> (i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM action), (SELECT count(*) FROM accepted)";
        stage
            .world
            .store()
            .read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?))
            .unwrap()
    };
    let before = rows();
    let planned = {
        let config = stage.world.config();
        let asked = Asked { scratch: Some(stage.scratch.path().into()), ..Asked::default() };
        plan::plan(&config, &Connector::all(&config).unwrap(), &asked, &mut |_| {}).unwrap()
    };
    assert_eq!(said(&planned.rows), BTreeMap::new());
    assert_eq!(rows(), before);
    host.stop();
    stage.before = 0;
    stage.world.assert_clean();
}

/// Both want more than there is, and Brevo counts them together.
#[test]
fn a_plan_and_a_busy_host_stay_within_the_windows_of_the_account_together() {
    const PEOPLE: usize = 40;
    /// What Brevo allows for contacts in ten seconds, and what a second more allows: a call is counted
    /// when it leaves, and arrives a little later.
    const ALLOWED: usize = 10 * (10 + 1);
    let world = World::with(&Setting { factor: 8.0, ..Setting::default() });
    let config_file = world.directory.path().join("tajo.yaml");
    std::fs::write(&config_file, &world.text).unwrap();
    let stage = Stage { world, scratch: tempfile::tempdir().unwrap(), before: 0 };
    stage.units(|_| {});
    let events: Vec<Value> =
        (0..PEOPLE).map(|n| stage.event(&format!("p{n}"), &format!("e{n}"), 60, known_of("known"))).collect();
    stage.push("streams", &stage.events(&events));
    stage.units(|units| while units.step().unwrap() == Step::Worked {});
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["plan", "--json", "--config"]).arg(&config_file).envs(stage.world.secrets());
    command.args(["--share", "100", "--scratch"]).arg(stage.scratch.path());
    let planning = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // The copy is made before the host takes anything away from what is to be planned.
    let deadline = Instant::now() + PATIENCE;
    while stage.world.brevo.journal().received() == 0 {
        assert!(Instant::now() < deadline, "the plan reads nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    let host = stage.world.serve();
    let planned = planning.wait_with_output().unwrap();
    let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
    stage.world.rest();
    host.stop();
    let reads = planned["brevo_reads"].as_u64().unwrap() as usize;
    assert!(reads > PEOPLE, "{planned}");
    let under = |entry: &&Entry| entry.path.starts_with("/v3/contacts");
    let at: Vec<i64> = stage.since_plan().iter().filter(under).map(|entry| entry.at).collect();
    assert!(at.len() > reads + PEOPLE, "both of them called: {}", at.len());
    let together = |from: &i64| at.iter().filter(|at| (*from..from + 10_000).contains(*at)).count();
    let most = at.iter().map(together).max().unwrap();
    assert!(most <= ALLOWED, "{most} calls in ten seconds");
    // However fast this machine is: each of them was counted where the other sees it.
    assert_eq!(planned["counted"], true);
    let sql = "SELECT sum(json_extract(slot.value, '$[1]'))
               FROM rate, json_each(state, '$.windows') AS window, json_each(window.value, '$.slots') AS slot
               WHERE (bucket LIKE 'brevo:%:contacts' OR bucket LIKE 'beside:%:contacts')
                 AND json_extract(window.value, '$.period') = 3600000";
    let counted = stage
        .world
        .store()
        .read::<_, StoreError>(|tx| Ok(tx.query_row(sql, [], |row| row.get::<_, i64>(0))?))
        .unwrap();
    assert_eq!(counted as usize, at.len(), "calls of this hour");
    stage.world.assert_clean();
}

#[test]
fn a_hard_deletion_is_planned_and_nobody_is_forgotten_by_it() {
    let mut stage = Stage::deleting("hard");
    stage.push("streams", &stage.events(&[stage.does("leaver", "CLOSED", "eclose1", 60)]));
    let planned = stage.plan(Asked::default()).unwrap();
    let said = said(&planned.rows);
    assert_eq!(said[&(seen("eclose1"), DELETE.to_owned())], (Verdict::Delete, None));
    assert!(stage.since_plan().iter().all(|entry| entry.method == "GET"));
    assert!(stage.world.brevo.contact_by_ext_id("leaver").is_some());
    let last = last_action(&stage.world.store());
    stage.execute();
    assert_eq!(differences(&said, &stage.executed(last)), Vec::<String>::new());
    assert_eq!(stage.world.brevo.contact_by_ext_id("leaver").map(|contact| contact.id), None);
    stage.world.assert_clean();
}

#[test]
fn products_and_objects_are_planned_in_lanes_of_their_own() {
    let mut stage = Stage::new();
    let mut config: Value = serde_json::from_str(&stage.world.text).unwrap();
    let settings = &mut config["tenants"][0]["connectors"]["moengage"];
    settings["objects"] = json!({ "campaigns": {}, "flows": { "type": "nowhere" }, "products": {} });
    settings["catalogs"] = json!({ "catalog-1": ["P001", "P002"] });
    settings["sync"].as_object_mut().unwrap().remove("flows");
    stage.world.text = config.to_string();
    stage.world.brevo.set_objects(Some(vec![ObjectType {
        name: "moengage_campaign".into(),
        attributes: ["name", "channel", "status"].map(|name| (name.to_owned(), "text".to_owned())).to_vec(),
    }]));
    stage.world.moengage.with_campaigns(|campaigns| {
        *campaigns = (0..30).map(stand_ins::moengage::Campaign::numbered).collect();
    });
    let resources = ["campaigns", "flows", "catalog-items"].map(str::to_owned).to_vec();
    let planned = stage.plan(Asked { resources, ..Asked::default() }).unwrap();
    assert!(stage.since_plan().iter().all(|entry| entry.method == "GET"));
    let verdicts: BTreeMap<(&str, &str), (Verdict, Option<&str>)> = planned
        .rows
        .iter()
        .filter_map(|row| {
            Some(((row.kind.as_str(), row.action.as_deref()?), (row.verdict, row.code.as_deref())))
        })
        .collect();
    let expected = [
        (("campaign", OBJECT), (Verdict::Upsert, None)),
        (("catalog-item", PRODUCT), (Verdict::Upsert, None)),
        (("flow", OBJECT), (Verdict::Hold, Some("object-type-unknown"))),
    ];
    assert_eq!(verdicts, BTreeMap::from(expected));
    let said = said(&planned.rows);
    let last = last_action(&stage.world.store());
    stage.units(|units| sync(units.store(), "campaigns", units.now()));
    stage.execute();
    assert_eq!(differences(&said, &stage.executed(last)), Vec::<String>::new());
    assert_eq!(stage.world.brevo.products().len(), 2);
    assert_eq!(stage.world.brevo.object_records().len(), 30);
}

/// More people than go one by one are planned by a few reads, and the plan doesn't wait for an import
/// that is not made.
#[test]
fn a_backfill_of_many_people_is_planned_as_it_is_imported() {
    const PEOPLE: usize = 1_200;
    let mut stage = Stage::new();
    let generator = Generator {
        people: PEOPLE,
        events: 3 * PEOPLE,
        now_s: stage.world.now_s() - 3_600,
        duplicates: 0.0,
        without_uid: 0.0,
        anonymous: 0.0,
        without_flags: 0.0,
        poison: 0,
        ..Generator::default()
    };
    let files = ExportOptions { folder: FOLDER.into(), db_name: DB_NAME.into(), ..ExportOptions::default() };
    export_files(&generator, &files).put_into(&stage.world.bucket);
    let now = stage.world.brevo.now();
    let window = (now - 5 * 86_400_000, now);
    let asked = Asked {
        resources: vec!["event-exports".into()],
        window: Some(window),
        share: 100,
        ..Asked::default()
    };
    let planned = stage.plan(asked).unwrap();
    assert!(stage.since_plan().iter().all(|entry| entry.method == "GET"));
    assert!(planned.writes.contains_key("POST /contacts/import"), "{planned:#?}");
    assert!(planned.brevo_reads < PEOPLE as u64, "{}", planned.brevo_reads);
    let said = said(&planned.rows);
    let created = |all: &BTreeMap<(String, String), (Verdict, Option<String>)>| {
        all.iter()
            .filter(|((_, action), (verdict, _))| action == CONTACT && *verdict == Verdict::Create)
            .count()
    };
    assert!(created(&said) > 1_000, "{}", created(&said));
    let last = last_action(&stage.world.store());
    backfill(&stage.world.store(), window, now);
    stage.execute();
    // Why there is nothing left to do for a person can have two reasons: an opt-out travels with the
    // call that makes the contact, or finds it blocked by that call. Which comes first is a race.
    let verdicts = |all: BTreeMap<(String, String), (Verdict, Option<String>)>| -> BTreeMap<_, _> {
        let reason = |(verdict, code)| (verdict, if verdict == Verdict::Leave { None } else { code });
        all.into_iter().map(|(key, end)| (key, reason(end))).collect()
    };
    let (said, done) = (verdicts(said), verdicts(stage.executed(last)));
    assert_eq!(differences(&said, &done), Vec::<String>::new());
    assert!(!stage.world.brevo.imports().is_empty());
    stage.world.assert_clean();
}
