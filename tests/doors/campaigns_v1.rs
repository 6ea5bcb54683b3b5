//! Campaigns by V1, for workspaces that have no V5: asked for otherwise, the same records.

use moengage_connector::{HttpRequest, Next, Position};
use serde_json::{Value, json};

use crate::campaigns::{campaign, request, run, unit};
use crate::inventory::{Vendor, answered, vendor};
use crate::reach::Memory;
use crate::{NOW, body, plain, plain_settings, with};

fn settings() -> moengage_connector::Settings {
    with("campaigns", json!({"api": "v1"}))
}

/// A campaign as V1 writes it: no `id`, and a status in mixed case.
fn row(id: &str) -> Value {
    campaign(json!({"campaign_id": id, "id": null, "status": "Active", "campaign_content": null}))
}

fn listing(rows: Vec<Value>) -> Vendor<impl FnMut(&HttpRequest) -> moengage_connector::HttpResponse> {
    vendor(move |request: &HttpRequest| {
        let search: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let number = |key: &str| search[key].as_u64().unwrap() as usize;
        let (limit, page) = (number("limit"), number("page"));
        let rows: Vec<&Value> = rows.iter().skip(limit * (page - 1)).take(limit).collect();
        answered(200, json!(rows).to_string())
    })
}

#[test]
fn the_documented_search_of_v1_gives_the_records_of_v5() {
    let mut http = listing((0..20).map(|n| row(&format!("c{n}"))).collect());
    let (records, codes) = run(&settings(), &mut http);
    assert_eq!((records.len(), codes.len()), (20, 0));
    let request = &http.asked[0];
    assert_eq!(request.path, ["core-services", "v1", "campaigns", "search"]);
    assert!(!request.headers.iter().any(|(name, _)| name == "idempotency-key"), "V1 has none");
    let asked: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
    assert_eq!(
        asked,
        json!({"request_id": format!("campaigns-{NOW}-{NOW}"), "limit": 15, "page": 1, "include_child_campaigns": true,
               "include_archive_campaigns": true})
    );
    // V1 has no drafts, and a draft is not asked for.
    assert!(
        http.asked
            .iter()
            .all(|request| !String::from_utf8_lossy(request.body.as_ref().unwrap()).contains("DRAFT"))
    );

    let v5 = campaign(json!({"campaign_id": "c0", "id": null, "status": "ACTIVE"}));
    let (mut of_v5, _) = run(&plain(), &mut crate::campaigns::Workspace::with(&[v5]));
    let (one, other) = (&records[0], of_v5.remove(0));
    assert_eq!((&one.id, &one.subject, &one.kind), (&other.id, &other.subject, &other.kind));
    let (mut one, mut other) = (body(one), body(&other));
    assert_eq!((&one["status"], &one["status_raw"]), (&json!("active"), &json!("Active")));
    one["status_raw"].take();
    other["status_raw"].take();
    assert_eq!(one, other);
}

#[test]
fn v1_filters_by_whole_days() {
    let mut http = listing(vec![row("c")]);
    run(&with("campaigns", json!({"api": "v1", "created_since": "2024-01-01"})), &mut http);
    let asked: Value = serde_json::from_slice(http.asked[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        asked["campaign_fields"]["created_date"],
        json!({"from_date": "2024-01-01", "to_date": "2022-05-22"})
    );
}

#[test]
fn n20_what_is_no_bare_list_is_no_list() {
    let told = |status: u16, body: &str| {
        let http = &mut vendor(|_| answered(status, body));
        unit(&settings(), http, &mut Memory::default(), &request(Position::Start, NOW)).unwrap_err().code
    };
    for (status, body, code) in [
        (200, "{}", "unexpected-answer"),
        (200, "null", "unexpected-answer"),
        (200, "<html>", "unexpected-answer"),
        (200, r#"{"data":{"campaigns":[]}}"#, "unexpected-answer"),
        (200, r#"{"error":{"code":"401 Authentication error","message":"m"}}"#, "key-refused"),
        (200, r#"{"status":"fail","message":"m"}"#, "failure-in-success"),
        (
            401,
            r#"{"error":{"code":"401 Authentication error","message":"m","details":[{"message":[{"message":"m"}]}]}}"#,
            "key-refused",
        ),
        (404, "", "unexpected-status"),
    ] {
        assert_eq!(told(status, body), code, "{status} {body}");
    }
    let rows: Vec<Value> = (0..16).map(|n| row(&format!("c{n}"))).collect();
    assert_eq!(told(200, &json!(rows).to_string()), "limit-ignored");
}

#[test]
fn a_workspace_without_v5_is_told_to_say_so_and_a_change_of_the_api_begins_anew() {
    let http = &mut vendor(|_| answered(404, "<html>"));
    let failure = unit(&plain(), http, &mut Memory::default(), &request(Position::Start, NOW)).unwrap_err();
    assert_eq!(failure.code, "v5-not-available");
    assert!(failure.message.contains("api: v1"));

    let mut http = listing((0..40).map(|n| row(&format!("c{n}"))).collect());
    let page = unit(&settings(), &mut http, &mut Memory::default(), &request(Position::Start, NOW)).unwrap();
    let Next::More(cursor) = page.next else { panic!("there are more") };
    let from = request(Position::Cursor(cursor.clone()), NOW + 1);
    unit(&settings(), &mut http, &mut Memory::default(), &from).unwrap();
    let page = |n: usize| {
        serde_json::from_slice::<Value>(http.asked[n].body.as_ref().unwrap()).unwrap()["page"].clone()
    };
    assert_ne!(page(1), json!(1), "the same API goes on");
    // Positions in another list mean nothing.
    let mut v5 = crate::campaigns::Workspace::with(&[campaign(json!({}))]);
    unit(&plain(), &mut v5, &mut Memory::default(), &from).unwrap();
    assert_eq!(v5.body(0)["page"], json!(1));
    let mut settings = plain_settings();
    settings["campaigns"] = json!({"api": "v2"});
    let problems = moengage_connector::configure(&settings.to_string()).unwrap_err();
    assert_eq!(problems[0].path, "campaigns.api");
}
