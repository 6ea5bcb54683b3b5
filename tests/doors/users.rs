use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Cursor, Failure, FailureKind, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Next, Page,
    PageRequest, Position, Provenance, Reach, Record, Settings, TimeTrust,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::{Memory, NoObjects, is_check};
use crate::schemas::assert_fits_schema;
use crate::{NOW, body, contact_record, effects, parse, person, plain_settings};

pub fn settings() -> Settings {
    let mut settings = plain_settings();
    settings["options"] = json!({"profile_refresh": "24h"});
    parse(&settings)
}

/// A vendor that knows some users and answers as documented.
#[derive(Default)]
struct Vendor {
    users: BTreeMap<String, Value>,
    asked: Vec<HttpRequest>,
    /// What the n-th call comes to instead.
    instead: BTreeMap<usize, Result<HttpResponse, HttpError>>,
}

impl Vendor {
    fn knowing(users: &[(&str, Value)]) -> Self {
        Self {
            users: users.iter().map(|(uid, user)| ((*uid).to_owned(), user.clone())).collect(),
            ..Self::default()
        }
    }

    fn ids(&self, call: usize) -> Vec<String> {
        let body: Value = serde_json::from_slice(self.asked[call].body.as_ref().unwrap()).unwrap();
        let identifiers = body["data"]["identifiers"].as_array().unwrap().clone();
        assert!(identifiers.iter().all(|id| id["identifier_type"] == "customer_id"));
        identifiers.iter().map(|id| id["identifier"].as_str().unwrap().to_owned()).collect()
    }
}

impl Http for Vendor {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        if is_check(request) {
            return Ok(answer(401, ""));
        }
        self.asked.push(request.clone());
        let call = self.asked.len() - 1;
        if let Some(instead) = self.instead.remove(&call) {
            return instead;
        }
        let ids = self.ids(call);
        let (found, missing): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| self.users.contains_key(id));
        let users: Vec<Value> = found.iter().map(|id| json!({"user_attributes": self.users[id]})).collect();
        let missing: Vec<Value> =
            missing.iter().map(|id| json!({"identifier_type": "customer_id", "identifier": id})).collect();
        let data = json!({"users_not_found": missing, "users": users});
        Ok(answer(200, &json!({"status": "success", "type": "export_users", "data": data}).to_string()))
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

pub fn watched<'a>(uids: impl IntoIterator<Item = &'a str>) -> Memory {
    Memory(uids.into_iter().map(|uid| (format!("watch/{uid}"), Vec::new())).collect())
}

fn unit_in(
    settings: &Settings,
    vendor: &mut dyn Http,
    storage: &mut Memory,
    position: Position,
    budget: u32,
) -> Result<Page, Failure> {
    let request = PageRequest { resource: "users".to_owned(), position, budget, now: NOW };
    moengage_connector::fetch_page(
        settings,
        &request,
        &mut Reach { http: vendor, objects: &mut NoObjects, storage },
    )
}

fn unit(vendor: &mut dyn Http, storage: &mut Memory, position: Position) -> Result<Page, Failure> {
    unit_in(&settings(), vendor, storage, position, 1_000)
}

fn note(page: &Page, name: &str) -> u32 {
    page.notes.iter().find(|note| note.name == name).map_or(0, |note| note.count)
}

/// The one record of an answer about `cust-1`.
fn profile(attributes: Value) -> Record {
    let mut vendor = Vendor::knowing(&[("cust-1", attributes)]);
    let mut page = unit(&mut vendor, &mut watched(["cust-1"]), Position::Start).unwrap();
    assert_eq!(page.rejects, []);
    page.records.remove(0)
}

/// The whole page of an answer about `cust-1` and `cust-2`.
fn page_of(body: &Value) -> Result<Page, Failure> {
    let mut vendor = Vendor::default();
    vendor.instead.insert(0, Ok(answer(200, &body.to_string())));
    unit(&mut vendor, &mut watched(["cust-1", "cust-2"]), Position::Start)
}

fn export(users: &[Value], missing: &[Value]) -> Value {
    json!({"status": "success", "type": "export_users", "data": {"users": users, "users_not_found": missing}})
}

#[test]
fn a_profile_is_the_contact_that_streams_tell_of_and_ranks_above_it() {
    let user = json!({"uid": "cust-1", "id": "6285c3a1", "u_em": "ann@example.com", "u_fn": "Ann",
        "u_mb": "+491701234567", "moe_unsubscribe": true, "points": 12.50});
    let polled = profile(user);
    let streamed = contact_record(&settings(), json!({}));
    assert_eq!(polled.id, streamed.id);
    assert_eq!(
        (polled.kind.as_str(), polled.nature, polled.provenance),
        ("contact", streamed.nature, Provenance::Poll)
    );
    assert_eq!(polled.observation.id, format!("users.{NOW}"));
    assert_eq!((polled.observation.rank, streamed.observation.rank), (20, 10));
    assert_eq!((polled.occurred.at, polled.occurred.trust), (Some(NOW), TimeTrust::Arrival));
    assert_eq!(person(&polled).aliases, person(&streamed).aliases);
    assert_eq!(person(&polled).phone.as_deref(), Some("+491701234567"));
    assert_eq!(body(&polled)["consent"], json!({"email": "opted-out"}));
    assert_fits_schema("contact", &body(&polled));
    let slots: Vec<_> = effects(&settings(), &polled).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(slots, ["consent-email", "contact"]);
}

#[test]
fn both_spellings_name_the_same_person_and_map_alike() {
    let readable = json!({"customer_id": "cust-1", "id": "6285c3a1", "email": "ann@example.com", "first_name": "Ann",
        "last_name": null, "mobile": "+491701234567", "gender": "f", "birthday": "1990-05-20"});
    let keys = json!({"uid": "cust-1", "moengage_user_id": "6285c3a1", "u_em": "ann@example.com", "u_fn": "Ann",
        "u_ln": null, "u_mb": "+491701234567", "u_gd": "f", "u_bd": "1990-05-20"});
    let (readable, keys) = (profile(readable), profile(keys));
    assert_eq!((&readable.id, &readable.subject), (&keys.id, &keys.subject));
    assert_eq!(effects(&settings(), &readable), effects(&settings(), &keys));
    // What came stays under the name that it came by.
    assert_eq!(body(&readable)["attributes"]["first_name"], "Ann");
}

#[test]
fn ids_are_compared_exactly_in_every_spelling() {
    for (watched_id, uid) in [
        ("4000052183", json!(4_000_052_183_i64)),
        ("4000052183", json!(4_000_052_183.0)),
        ("0042", json!("0042")),
    ] {
        let mut vendor = Vendor::knowing(&[(watched_id, json!({"customer_id": uid}))]);
        let page = unit(&mut vendor, &mut watched([watched_id]), Position::Start).unwrap();
        assert_eq!(page.records[0].id, format!("moengage:ABC123:contact:uid.{watched_id}"));
    }
    let mut vendor = Vendor::knowing(&[("0042", json!({"customer_id": 42}))]);
    let page = unit(&mut vendor, &mut watched(["0042"]), Position::Start).unwrap();
    assert_eq!((page.records.len(), page.rejects[0].code.as_str()), (0, "user-not-asked-for"));
}

#[test]
fn nobody_is_accepted_who_was_not_asked_for() {
    let user = |attributes: Value| json!({"user_attributes": attributes});
    let page = page_of(&export(
        &[
            user(json!({"uid": "cust-9", "u_em": "eve@example.com"})),
            user(json!({"uid": "cust-1"})),
            user(json!({"uid": "cust-1", "u_em": "eve@example.com"})),
            user(json!({"u_em": "eve@example.com"})),
            user(json!([])),
            json!(7),
            user(json!({"uid": 9_007_199_254_740_992.0})),
        ],
        &[json!({"identifier_type": "customer_id", "identifier": "cust-2"})],
    ))
    .unwrap();
    let codes: Vec<_> = page.rejects.iter().map(|r| (r.pointer.as_str(), r.code.as_str())).collect();
    let expected = [
        ("/data/users/0", "user-not-asked-for"),
        ("/data/users/2", "user-not-asked-for"),
        ("/data/users/3", "user-without-id"),
        ("/data/users/4", "user-without-attributes"),
        ("/data/users/5", "user-without-attributes"),
        ("/data/users/6", "float-identity"),
    ];
    assert_eq!(codes, expected);
    assert_eq!(
        page.records.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(),
        ["moengage:ABC123:contact:uid.cust-1"]
    );
    assert_eq!(note(&page, "user-not-found"), 1);
    assert!(!format!("{:?} {:?}", page.rejects, page.notes).contains("eve"));
}

#[test]
fn not_found_is_an_answer_and_deletes_nothing() {
    let mut storage = watched(["cust-1", "cust-2", "cust-3"]);
    let mut vendor = Vendor::knowing(&[("cust-2", json!({"uid": "cust-2"}))]);
    let page = unit(&mut vendor, &mut storage, Position::Start).unwrap();
    assert_eq!((page.records.len(), note(&page, "user-not-found"), page.next), (1, 2, Next::COMPLETE));
    assert_eq!(storage.0.len(), 3, "they may come back");
    let silent = page_of(&export(&[], &[])).unwrap();
    assert_eq!((note(&silent, "user-unanswered"), note(&silent, "user-not-found")), (2, 0));
}

#[test]
fn twenty_ids_a_call_and_a_bounded_number_of_calls_a_unit() {
    let uids: Vec<String> = (0..250).map(|n| format!("u{n:03}")).collect();
    let mut storage = watched(uids.iter().map(String::as_str));
    let mut vendor = Vendor::default();
    let (mut position, mut read) = (Position::Start, Vec::new());
    for expected in [5, 5, 3] {
        let before = vendor.asked.len();
        let page = unit(&mut vendor, &mut storage, position.clone()).unwrap();
        assert_eq!(vendor.asked.len() - before, expected);
        match page.next {
            Next::More(cursor) => position = Position::Cursor(cursor),
            other => assert_eq!((other, read.push("end")), (Next::COMPLETE, ())),
        }
    }
    assert_eq!(read.len(), 1);
    let asked: Vec<String> = (0..vendor.asked.len()).flat_map(|call| vendor.ids(call)).collect();
    assert_eq!(asked, uids, "each once, in order");
    let request = &vendor.asked[0];
    assert_eq!(
        (request.endpoint.as_str(), request.path.as_slice()),
        ("users", &["v1", "customers", "export"].map(str::to_owned)[..])
    );
    assert_eq!(request.query, [("app_id".to_owned(), "ABC123".to_owned())]);
}

#[test]
fn a_portfolio_workspace_names_its_project() {
    let mut settings = plain_settings();
    settings["options"] = json!({"profile_refresh": "1d"});
    settings["project_code"] = json!("shop");
    let mut vendor = Vendor::default();
    unit_in(&parse(&settings), &mut vendor, &mut watched(["cust-1"]), Position::Start, 10).unwrap();
    assert_eq!(vendor.asked[0].query[1], ("project_code".to_owned(), "shop".to_owned()));
}

#[test]
fn an_empty_watch_list_asks_nobody() {
    let mut vendor = Vendor::default();
    let mut storage = Memory::default();
    storage.0.insert("campaign-version/x".to_owned(), b"3".to_vec());
    let page = unit(&mut vendor, &mut storage, Position::Start).unwrap();
    assert_eq!((page.next, vendor.asked.len()), (Next::COMPLETE, 0));
}

#[test]
fn what_was_read_before_a_failure_stays() {
    let uids: Vec<String> = (0..60).map(|n| format!("u{n:03}")).collect();
    let limited = HttpError {
        kind: HttpErrorKind::RateLimited,
        code: "rate-window".to_owned(),
        message: "the window is closed".to_owned(),
        retry_after_ms: Some(9_000),
    };
    for (failure, not_before) in [
        (Ok(answer(500, "")), None),
        (Err(limited), Some(NOW + 9_000)),
        (Ok(answer(200, "<html>")), None),
        (Ok(answer(401, "")), None),
    ] {
        let mut vendor = Vendor::default();
        vendor.instead.insert(1, failure.clone());
        let mut storage = watched(uids.iter().map(String::as_str));
        let page = unit(&mut vendor, &mut storage, Position::Start).unwrap();
        assert_eq!((note(&page, "user-not-found"), page.not_before), (20, not_before));
        let Next::More(cursor) = page.next else { panic!("forty are left") };
        // The next unit meets the same failure, and it is told.
        vendor.instead.insert(2, failure);
        let position = Position::Cursor(cursor);
        assert!(unit(&mut vendor, &mut storage, position.clone()).is_err());
        unit(&mut vendor, &mut storage, position).unwrap();
        assert_eq!(vendor.ids(3)[0], "u020");
    }
}

#[test]
fn n17_a_switched_off_call_pauses_this_resource_only() {
    let refused = |status: u16, body: &str| {
        let mut vendor = Vendor::default();
        vendor.instead.insert(0, Ok(answer(status, body)));
        unit(&mut vendor, &mut watched(["cust-1"]), Position::Start).unwrap_err()
    };
    let off = FailureKind::Permission { slot: "data".to_owned(), scope: "Get User".to_owned() };
    for (status, body) in [
        (403, ""),
        (403, r#"{"status":"fail","error":{"message":"Not allowed","type":"Forbidden","request_id":"x"}}"#),
        (403, r#"{"message":"Sentry check failed"}"#),
        (400, r#"{"message":"Sentry check failed"}"#),
        (200, r#"{"status":"fail","error":{"message":"Sentry check failed for get user"}}"#),
    ] {
        let failure = refused(status, body);
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (off.clone(), "get-user-not-enabled"),
            "{status} {body}"
        );
        assert!(failure.message.contains("profile_refresh"));
    }
    // What concerns the whole workspace is still told apart.
    for (status, body, code) in [
        (403, r#"{"status":"fail","error":{"type":"Account Suspended"}}"#, "account-suspended"),
        (403, r#"{"error":"IP Validation Required"}"#, "ip-not-allowed"),
        (401, r#"{"status":"fail","error":{"type":"Authentication required"}}"#, "key-refused"),
        (409, r#"{"status":"fail","error":{"type":"Authentication Mismatch"}}"#, "workspace-mismatch"),
        (429, r#"{"status":"fail","error":{"type":"RateLimitError"}}"#, "rate-limited"),
        (500, r#"{"message":"Sentry is down"}"#, "vendor-unavailable"),
        (
            400,
            r#"{"status":"fail","error":{"attribute":"users","message":"max limit allowed is 20","type":"LimitBreached"}}"#,
            "request-refused",
        ),
        (200, r#"{"status":"failure"}"#, "failure-in-success"),
        (200, r#"{"status":"success","data":{}}"#, "unexpected-answer"),
        (200, r#"{"status":"success","data":{"users":{}}}"#, "unexpected-answer"),
        (200, "[]", "unexpected-answer"),
    ] {
        assert_eq!(refused(status, body).code, code, "{status} {body}");
    }
}

#[test]
fn profiles_have_no_window_and_their_cursor_is_their_own() {
    let mut vendor = Vendor::default();
    let mut fail = |position| unit(&mut vendor, &mut watched(["cust-1"]), position).unwrap_err();
    assert_eq!(fail(Position::Window(0, NOW)).code, "position-not-supported");
    let cursor = |text: &str| Position::Cursor(Cursor { version: 1, bytes: text.as_bytes().to_vec() });
    assert_eq!(fail(cursor(r#"{"of":"campaigns","state":{}}"#)).code, "foreign-cursor");
    assert_eq!(fail(cursor(r#"{"of":"users","state":{"run":"x"}}"#)).code, "unreadable-cursor");
    let later = Position::Cursor(Cursor { version: 2, bytes: Vec::new() });
    assert_eq!(fail(later).kind, FailureKind::Cursor);
    assert!(vendor.asked.is_empty());
}

proptest! {
    #[test]
    fn whatever_ids_are_watched_each_is_asked_once_and_the_cursor_fits(
        uids in proptest::collection::btree_set("\\PC{1,8}|[\\x01-\\x1f\"\\\\]{1,3}|u{500,512}", 1..120), budget in 1..150_u32
    ) {
        let mut storage = watched(uids.iter().map(String::as_str));
        let mut vendor = Vendor::default();
        let mut position = Position::Start;
        let mut units = 0;
        loop {
            let page = unit_in(&settings(), &mut vendor, &mut storage, position, budget).unwrap();
            units += 1;
            prop_assert!(units <= uids.len());
            match page.next {
                Next::More(cursor) => {
                    prop_assert!(cursor.bytes.len() <= 4096);
                    position = Position::Cursor(cursor);
                }
                next => {
                    prop_assert_eq!(next, Next::COMPLETE);
                    break;
                }
            }
        }
        let asked: Vec<String> = (0..vendor.asked.len()).flat_map(|call| vendor.ids(call)).collect();
        prop_assert_eq!(asked.len(), uids.len());
        prop_assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), uids);
    }

    #[test]
    fn whatever_an_answer_holds_the_page_keeps_the_contract(
        text in "[\\[\\]{}\":,0-9eE.a-z\\\\ -]{0,40}", key in "uid|id|u_em|u_mb|email|moe_unsubscribe|moe_email_optin_status|name"
    ) {
        let user = json!({"user_attributes": {"uid": "cust-1", key: "@"}});
        let body = export(&[user], &[]).to_string().replacen("\"@\"", if text.is_empty() { "null" } else { &text }, 1);
        let mut vendor = Vendor::default();
        vendor.instead.insert(0, Ok(answer(200, &body)));
        if let Ok(page) = unit(&mut vendor, &mut watched(["cust-1"]), Position::Start) {
            for record in &page.records {
                assert_fits_schema("contact", &serde_json::from_str(&record.body).unwrap());
                prop_assert_eq!(record.id.as_str(), "moengage:ABC123:contact:uid.cust-1");
            }
        }
    }

    #[test]
    fn n06_an_answer_that_breaks_off_anywhere_is_an_error(cut: prop::sample::Index) {
        let whole = export(&[json!({"user_attributes": {"uid": "cust-1"}})], &[]).to_string();
        let mut vendor = Vendor::default();
        vendor.instead.insert(0, Ok(answer(200, &whole[..cut.index(whole.len())])));
        let failure = unit(&mut vendor, &mut watched(["cust-1"]), Position::Start).unwrap_err();
        prop_assert_eq!(failure.code.as_str(), "unexpected-answer");
    }
}
