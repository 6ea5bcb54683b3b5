use std::collections::{BTreeMap, BTreeSet};

use moengage_connector::{
    Failure, FailureKind, Http, HttpError, HttpRequest, HttpResponse, Mapping, Nature, Next, Page,
    PageRequest, Position, Provenance, Reach, Record, Settings, Subject, TimeTrust,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::reach::{Memory, NoObjects};
use crate::schemas::assert_fits_schema;
use crate::{NOW, body, map, plain};

/// A workspace with campaigns that are published and drafts, in V5's shape.
#[derive(Default)]
pub struct Workspace {
    pub published: Vec<Value>,
    pub drafts: Vec<Value>,
    /// A filter by date finds nothing, as one with an old name does.
    pub ignores_dates: bool,
    /// A filter by date finds everything.
    pub every_date: bool,
    pub asked: Vec<HttpRequest>,
}

impl Workspace {
    pub fn with(published: &[Value]) -> Self {
        Self { published: published.to_vec(), ..Self::default() }
    }

    pub fn body(&self, call: usize) -> Value {
        serde_json::from_slice(self.asked[call].body.as_ref().unwrap()).unwrap()
    }
}

impl Http for Workspace {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.asked.push(request.clone());
        let search = self.body(self.asked.len() - 1);
        let fields = &search["campaign_fields"];
        let list = if fields["status"] == json!(["DRAFT"]) { &self.drafts } else { &self.published };
        let since = fields["created_date"]["from_date"].as_str().unwrap_or_default().replace('T', " ");
        let dated = |row: &&Value| {
            since.is_empty()
                || self.every_date
                || (!self.ignores_dates && row["created_at"].as_str().is_some_and(|at| at >= since.as_str()))
        };
        let (limit, page) =
            (search["limit"].as_u64().unwrap() as usize, search["page"].as_u64().unwrap() as usize);
        let rows: Vec<&Value> = list.iter().filter(dated).skip(limit * (page - 1)).take(limit).collect();
        Ok(answer(&json!({"response_id": "r", "type": "campaign", "data": {"campaigns": rows}}).to_string()))
    }
}

fn answer(body: &str) -> HttpResponse {
    HttpResponse { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// A vendor that gives one answer.
struct Canned(HttpResponse);

impl Http for Canned {
    fn send(&mut self, _: &HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(self.0.clone())
    }
}

pub fn request(position: Position, now: i64) -> PageRequest {
    PageRequest { resource: "campaigns".to_owned(), position, budget: 1_000, now }
}

pub fn unit(
    settings: &Settings,
    vendor: &mut dyn Http,
    storage: &mut Memory,
    request: &PageRequest,
) -> Result<Page, Failure> {
    moengage_connector::fetch_page(
        settings,
        request,
        &mut Reach { http: vendor, objects: &mut NoObjects, storage },
    )
}

/// A whole run: its records, and its notes and rejects by code.
fn run_at(
    settings: &Settings,
    vendor: &mut dyn Http,
    storage: &mut Memory,
    start: i64,
) -> (Vec<Record>, BTreeMap<String, u32>) {
    let (mut records, mut codes) = (Vec::new(), BTreeMap::new());
    let mut position = Position::Start;
    for n in 0..200 {
        let page = unit(settings, vendor, storage, &request(position, start + n)).unwrap();
        records.extend(page.records);
        for note in page.notes {
            *codes.entry(note.name).or_default() += note.count;
        }
        for reject in page.rejects {
            *codes.entry(format!("{} {}", reject.pointer, reject.code)).or_default() += 1;
        }
        match page.next {
            Next::More(cursor) => position = Position::Cursor(cursor),
            Next::Done { cursor: None, truncated: None } => return (records, codes),
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end");
}

pub fn run(settings: &Settings, vendor: &mut dyn Http) -> (Vec<Record>, BTreeMap<String, u32>) {
    run_at(settings, vendor, &mut Memory::default(), NOW)
}

/// A campaign of the documented shape; `changes` are set over it, null removes.
pub fn campaign(changes: Value) -> Value {
    let mut campaign = json!({
        "id": "64a1b2c3d4e5f6a7b8c9d0e2",
        "campaign_id": "camp_abc123xyz",
        "status": "SCHEDULED",
        "channel": "EMAIL",
        "campaign_delivery_type": "ONE_TIME",
        "created_by": "marketer@example.com",
        "updated_by": "marketer@example.com",
        "created_at": "2024-07-04 08:00:54.847000",
        "updated_at": "2024-07-04 09:15:00.000000",
        "basic_details": {
            "name": "Summer Sale Email", "content_type": "PROMOTIONAL", "subscription_category": "promotions",
            "user_attribute_identifier": "Email (Standard)", "tags": ["promotional", "seasonal"], "team": "Growth"
        },
        "campaign_content": {"content": {"email": {"subject": "Secret subject", "html_content": "<b>Secret</b>"}}},
        "segmentation_details": {"included_filters": {"filters": [{"name": "Secret"}]}},
        "sender_name": "Secret sender",
        "connector": {"connector_type": "SENDGRID", "connector_name": "SecretPrimary"}
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(campaign.as_object_mut().unwrap().remove(key)),
            value => campaign[key] = value.clone(),
        }
    }
    campaign
}

pub fn named(id: &str) -> Value {
    campaign(json!({"id": id, "campaign_id": id}))
}

fn one(changes: Value) -> (Record, BTreeMap<String, u32>) {
    let (mut records, codes) = run(&plain(), &mut Workspace::with(&[campaign(changes)]));
    assert_eq!(records.len(), 1, "{codes:?}");
    (records.remove(0), codes)
}

#[test]
fn a_row_becomes_a_record_of_what_the_campaign_is() {
    let (record, codes) = one(json!({"sent_time": "2024-07-04 20:32:00"}));
    assert_eq!(record.id, "moengage:ABC123:campaign:camp_abc123xyz");
    assert_eq!(
        (record.kind.as_str(), record.nature, record.provenance),
        ("campaign", Nature::State, Provenance::Poll)
    );
    assert_eq!(record.subject, Subject::Object("campaign".to_owned(), "camp_abc123xyz".to_owned()));
    assert_eq!((record.occurred.at, record.occurred.trust), (Some(NOW), TimeTrust::Arrival));
    assert_eq!(
        body(&record),
        json!({
            "campaign_id": "camp_abc123xyz", "id": "64a1b2c3d4e5f6a7b8c9d0e2", "name": "Summer Sale Email",
            "channel": "EMAIL", "delivery_type": "ONE_TIME", "status": "scheduled", "status_raw": "SCHEDULED",
            "tags": ["promotional", "seasonal"], "team": "Growth", "content_type": "PROMOTIONAL",
            "subscription_category": "promotions", "created_at": 1_720_080_054_847_i64,
            "updated_at": 1_720_084_500_000_i64, "sent_at": 1_720_125_120_000_i64
        })
    );
    assert_fits_schema("campaign", &body(&record));
    assert!(codes.is_empty(), "{codes:?}");
    assert_eq!(map(&plain(), &record).unwrap(), Mapping::Nothing("no-target".to_owned()));
}

#[test]
fn what_a_campaign_says_and_who_sends_it_stays_behind() {
    let (record, _) = one(json!({}));
    let text = format!("{record:?}");
    for kept_out in ["Secret", "SENDGRID", "marketer@example.com"] {
        assert!(!text.contains(kept_out), "{text}");
    }
}

#[test]
fn children_and_archived_come_along_and_drafts_in_a_pass_of_their_own() {
    let mut vendor = Workspace::with(&[
        campaign(json!({"id": "c1", "campaign_id": "c1", "parent_id": "p1", "status": "ARCHIVED"})),
        campaign(json!({"id": "c2", "campaign_id": "c2", "flow_id": "f1", "flow_name": "Welcome"})),
    ]);
    vendor.drafts = vec![campaign(json!({"id": "d1", "campaign_id": "d1", "status": "DRAFT"}))];
    let (records, _) = run(&plain(), &mut vendor);
    let statuses: Vec<_> = records.iter().map(|record| body(record)["status"].clone()).collect();
    assert_eq!(statuses, ["archived", "scheduled", "draft"]);
    assert_eq!(body(&records[0])["parent_id"], "p1");
    assert_eq!(
        (&body(&records[1])["flow_id"], &body(&records[1])["flow_name"]),
        (&json!("f1"), &json!("Welcome"))
    );
    for record in &records {
        assert_fits_schema("campaign", &body(record));
    }
    let last = vendor.asked.len() - 1;
    for call in 0..=last {
        let search = vendor.body(call);
        assert_eq!(
            (&search["include_child_campaigns"], &search["include_archive_campaigns"]),
            (&json!(true), &json!(true))
        );
        assert!(search.get("request_id").is_none(), "the host names the request in a header");
    }
    assert!(vendor.body(0).get("campaign_fields").is_none());
    assert_eq!(vendor.body(last)["campaign_fields"], json!({"status": ["DRAFT"]}));
}

#[test]
fn every_call_has_an_idempotency_key_of_its_own_and_a_repeated_unit_the_same() {
    let rows: Vec<Value> = (0..40).map(|n| named(&format!("c{n}"))).collect();
    let keys = |start: i64| -> Vec<String> {
        let mut vendor = Workspace::with(&rows);
        run_at(&plain(), &mut vendor, &mut Memory::default(), start);
        let key = |request: HttpRequest| {
            request.headers.into_iter().find(|(name, _)| name == "idempotency-key").unwrap().1
        };
        vendor.asked.into_iter().map(key).collect()
    };
    let first = keys(NOW);
    assert_eq!(first, keys(NOW));
    let both: BTreeSet<String> = first.iter().cloned().chain(keys(NOW + 3_600_000)).collect();
    assert_eq!(both.len(), first.len() * 2, "a key of yesterday would bring back yesterday's answer");
    for key in both {
        let parts: Vec<usize> = key.split('-').map(str::len).collect();
        assert_eq!((parts.as_slice(), &key[14..15]), (&[8, 4, 4, 4, 12][..], "4"));
    }
}

#[test]
fn both_spellings_of_a_status_and_unknown_ones() {
    for (raw, status) in
        [("ACTIVE", json!("active")), ("Active", json!("active")), ("RETIRED", json!("retired"))]
    {
        let (record, codes) = one(json!({"status": raw}));
        assert_eq!((&body(&record)["status"], &body(&record)["status_raw"]), (&status, &json!(raw)));
        assert!(codes.is_empty());
    }
    let (record, codes) = one(json!({"status": "UNDER_REVIEW"}));
    assert!(body(&record).get("status").is_none());
    assert_eq!((&body(&record)["status_raw"], codes["unknown-status"]), (&json!("UNDER_REVIEW"), 1));
    assert_fits_schema("campaign", &body(&record));
}

#[test]
fn a_campaign_is_known_by_campaign_id_and_never_by_id() {
    let (record, _) = one(json!({"campaign_id": 62}));
    assert_eq!(record.id, "moengage:ABC123:campaign:62");
    let rows = [
        campaign(json!({"campaign_id": null})),
        campaign(json!({"id": "x1", "campaign_id": 1.5})),
        campaign(json!({"id": "x2", "campaign_id": {"a": 1}})),
        json!(7),
        named("good"),
    ];
    let (records, codes) = run(&plain(), &mut Workspace::with(&rows));
    assert_eq!(records.len(), 1);
    let expected = [
        ("/data/campaigns/0 missing-campaign-id", 1),
        ("/data/campaigns/1 float-identity", 1),
        ("/data/campaigns/2 wrong-type-identity", 1),
        ("/data/campaigns/3 campaign-not-object", 1),
    ];
    let codes: Vec<_> = codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
    assert_eq!(codes, expected);
}

#[test]
fn the_newest_version_stands_for_a_campaign_in_every_order() {
    let version = |n: u64| {
        campaign(
            json!({"id": format!("doc{n}"), "version_number": n, "status": if n == 3 { "ACTIVE" } else { "STOPPED" }}),
        )
    };
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut vendor = Workspace::with(&order.map(version));
        let mut storage = Memory::default();
        run_at(&plain(), &mut vendor, &mut storage, NOW);
        // From the second run on the newest is known.
        let (records, codes) = run_at(&plain(), &mut vendor, &mut storage, NOW + 3_600_000);
        assert_eq!((records.len(), codes["outdated-version"]), (1, 2), "{order:?}");
        assert_eq!(records[0].id, "moengage:ABC123:campaign:camp_abc123xyz");
        assert_eq!((&body(&records[0])["version"], &body(&records[0])["id"]), (&json!(3), &json!("doc3")));
        assert_fits_schema("campaign", &body(&records[0]));
    }
}

#[test]
fn a_run_is_an_observation_and_so_is_a_change_within_it() {
    let seen = |status: &str, start: i64| {
        let mut vendor = Workspace::with(&[campaign(json!({"status": status}))]);
        run_at(&plain(), &mut vendor, &mut Memory::default(), start).0.remove(0).observation
    };
    assert_eq!(seen("PAUSED", NOW), seen("PAUSED", NOW));
    // Paused, active, paused: three changes, though the last content is the first one again.
    let runs: BTreeSet<_> =
        [seen("PAUSED", NOW), seen("ACTIVE", NOW + 1), seen("PAUSED", NOW + 2), seen("ACTIVE", NOW)]
            .map(|o| o.id)
            .into();
    assert_eq!(runs.len(), 4);
}

#[test]
fn times_that_can_not_be_read_are_left_out_and_counted() {
    let (record, codes) =
        one(json!({"created_at": "04/07/2024", "updated_at": "2024-07-04T09:15:00", "sent_time": ""}));
    let body = body(&record);
    assert!(body.get("created_at").is_none() && body.get("sent_at").is_none());
    assert_eq!((&body["updated_at"], codes["unreadable-campaign-time"]), (&json!(1_720_084_500_000_i64), 1));
}

#[test]
fn a_row_that_a_page_holds_twice_counts_once() {
    let rows = [named("a"), named("a"), named("b")];
    let (records, codes) = run(&plain(), &mut Workspace::with(&rows));
    assert_eq!(records.len(), 2);
    assert!(codes["repeated-row"] >= 1);
}

fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Page, Failure> {
    let headers = headers.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut vendor = Canned(HttpResponse { status, headers, body: body.as_bytes().to_vec() });
    unit(&plain(), &mut vendor, &mut Memory::default(), &request(Position::Start, NOW))
}

#[test]
fn n08_n20_a_success_with_the_wrong_body_is_no_empty_list() {
    for body in [
        "",
        "<html>log in</html>",
        "[]",
        "null",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"campaigns":null}}"#,
        r#"{"data":{"campaigns":{}}}"#,
        r#"{"data":{"campaigns":[]},"data":{"campaigns":[]}}"#,
    ] {
        let failure = answered(200, &[], body).unwrap_err();
        assert_eq!(failure.code, "unexpected-answer", "{body}");
        assert_eq!(failure.kind, FailureKind::VendorContract(body.as_bytes().to_vec()));
    }
    let rows: Vec<Value> = (0..16).map(|n| named(&format!("c{n}"))).collect();
    let long = json!({"data": {"campaigns": rows}}).to_string();
    assert_eq!(answered(200, &[], &long).unwrap_err().code, "limit-ignored");
}

#[test]
fn a_used_up_window_is_passed_on() {
    let empty = r#"{"data":{"campaigns":[]}}"#;
    let page = answered(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")], empty).unwrap();
    assert_eq!(page.not_before, Some(NOW + 20_000));
    assert!(matches!(page.next, Next::More(_)), "one empty page is not the end");
}

#[test]
fn campaigns_have_no_window() {
    let mut vendor = Workspace::default();
    let failure =
        unit(&plain(), &mut vendor, &mut Memory::default(), &request(Position::Window(0, NOW), NOW))
            .unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Cursor, "position-not-supported"));
    assert!(vendor.asked.is_empty());
}

proptest! {
    #[test]
    fn n06_an_answer_that_breaks_off_anywhere_is_an_error(rows in 1..15_usize, cut: prop::sample::Index) {
        let rows: Vec<Value> = (0..rows).map(|n| named(&format!("c{n}"))).collect();
        let whole = json!({"response_id": "r", "type": "campaign", "data": {"campaigns": rows}}).to_string();
        let failure = answered(200, &[], &whole[..cut.index(whole.len())]).unwrap_err();
        prop_assert_eq!(failure.code.as_str(), "unexpected-answer");
    }

    #[test]
    fn whatever_a_row_holds_the_page_keeps_the_contract(text in "[\\[\\]{}\":,0-9eE.a-z\\\\ -]{0,40}", key in "id|campaign_id|status|created_at|basic_details|version_number|parent_id") {
        let rows = json!({"data": {"campaigns": [campaign(json!({key: "@"})), named("good")]}}).to_string();
        let body = rows.replacen("\"@\"", if text.is_empty() { "null" } else { &text }, 1);
        if let Ok(page) = answered(200, &[], &body) {
            prop_assert_eq!(page.records.len() + page.rejects.len(), 2);
            for record in &page.records {
                assert_fits_schema("campaign", &serde_json::from_str(&record.body).unwrap());
                prop_assert!(record.id.starts_with("moengage:ABC123:campaign:") && record.id.len() <= 512);
            }
        }
    }
}
