use moengage_connector::{
    Cursor, Failure, FailureKind, Http, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Method, Next,
    Page, PageRequest, Position,
};
use serde_json::{Value, json};

use crate::reach::fetch_page;
use crate::{NOW, parse, plain, plain_settings};

/// A vendor that gives one answer and keeps what it was asked.
struct Canned {
    answer: Result<HttpResponse, HttpError>,
    asked: Vec<HttpRequest>,
}

impl Http for Canned {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.asked.push(request.clone());
        self.answer.clone()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<HttpResponse, HttpError> {
    let headers = headers.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
}

fn check(resource: &str, answer: Result<HttpResponse, HttpError>) -> (Result<Page, Failure>, HttpRequest) {
    let mut vendor = Canned { answer, asked: Vec::new() };
    let request =
        PageRequest { resource: resource.to_owned(), position: Position::Start, budget: 1_000, now: NOW };
    let result = fetch_page(&plain(), &request, &mut vendor);
    assert_eq!(vendor.asked.len(), 1);
    (result, vendor.asked.remove(0))
}

fn failure(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    check("check-data", answer(status, headers, body)).0.unwrap_err()
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

const DATA_OK: &str = r#"{"status":"success","total_count":0,"data":[],"offset":1,"more_files":false}"#;

#[test]
fn each_key_is_probed_by_a_read_under_its_own_slot() {
    let (page, request) = check("check-data", answer(200, &[], DATA_OK));
    let page = page.unwrap();
    assert_eq!((page.records.len(), page.next), (0, Next::COMPLETE));
    assert_eq!((request.endpoint.as_str(), request.method), ("data", Method::Post));
    assert_eq!(request.path, ["v1.0", "data", "fileimports", "import", "status"]);
    let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"date": {"start_date": "20/05/2022", "end_date": "20/05/2022", "format": "DD/MM/YYYY"}, "offset": "1"})
    );

    let (page, request) = check("check-campaigns", answer(200, &[], "[]"));
    assert!(page.is_ok());
    assert_eq!((request.endpoint.as_str(), request.method), ("campaigns", Method::Post));
    assert_eq!(request.path, ["core-services", "v1", "campaigns", "search"]);
    let body: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
    assert_eq!((&body["limit"], &body["page"]), (&json!(1), &json!(1)));
    assert!(body["request_id"].is_string());

    let (page, request) = check(
        "check-segmentation",
        answer(200, &[], r#"{"data":[],"response_id":"x","type":"custom_segment"}"#),
    );
    assert!(page.is_ok());
    assert_eq!(
        (request.endpoint.as_str(), request.method, &request.body),
        ("segmentation", Method::Get, &None)
    );
    assert_eq!(request.query[0].0, "name");
}

#[test]
fn the_workspace_is_named_in_a_header_of_every_call() {
    for (resource, body) in
        [("check-data", DATA_OK), ("check-campaigns", "[]"), ("check-segmentation", r#"{"data":[]}"#)]
    {
        let (_, request) = check(resource, answer(200, &[], body));
        assert_eq!(header(&request, "moe-appkey"), Some("ABC123"));
        assert_eq!(header(&request, "content-type").is_some(), request.body.is_some());
    }
}

#[test]
fn a_refused_key_names_its_slot() {
    let failure = check("check-campaigns", answer(401, &[], r#"{"error":{"code":"401"}}"#)).0.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Auth { slot: "campaigns".to_owned() });
    assert_eq!(failure.code, "key-refused");
}

#[test]
fn a_key_without_permission_names_the_scope_if_the_vendor_does() {
    let body = r#"{"response_id":"x","error":{"code":"FORBIDDEN","message":"Required permission: campaigns:view","details":[]}}"#;
    let failure = check("check-campaigns", answer(403, &[], body)).0.unwrap_err();
    let permission =
        |scope: &str| FailureKind::Permission { slot: "campaigns".to_owned(), scope: scope.to_owned() };
    assert_eq!(failure.kind, permission("campaigns:view"));
    for body in ["", "no", "Required permission: ", "Required permission: \u{1F600}"] {
        let failure = check("check-campaigns", answer(403, &[], body)).0.unwrap_err();
        assert_eq!(failure.kind, permission("not named"));
    }
}

#[test]
fn what_is_not_the_keys_fault_is_told_apart() {
    let ip = failure(403, &[], r#"{"error":"IP Validation Required","message":"..."}"#);
    assert_eq!((ip.kind, ip.code.as_str()), (FailureKind::Config, "ip-not-allowed"));
    let suspended = failure(
        403,
        &[],
        r#"{"status":"fail","error":{"type":"Account Suspended","message":"x","request_id":"y"}}"#,
    );
    assert_eq!((suspended.kind, suspended.code.as_str()), (FailureKind::Config, "account-suspended"));
    let mismatch = failure(409, &[], r#"{"status":"fail","error":{"type":"Authentication Mismatch"}}"#);
    assert_eq!((mismatch.kind, mismatch.code.as_str()), (FailureKind::Config, "workspace-mismatch"));
}

#[test]
fn outages_say_nothing_about_the_key() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(failure(status, &[], "<html>").kind, FailureKind::Transient);
    }
    for (kind, expected) in [
        (HttpErrorKind::Unreachable, FailureKind::Transient),
        (HttpErrorKind::Timeout, FailureKind::Transient),
        (HttpErrorKind::BadAnswer, FailureKind::Transient),
        (HttpErrorKind::Budget, FailureKind::Transient),
        (HttpErrorKind::RateLimited, FailureKind::RateLimited(Some(1500))),
        (HttpErrorKind::NoSecret, FailureKind::Config),
        (HttpErrorKind::Denied, FailureKind::Internal),
    ] {
        let error =
            HttpError { kind, code: "x".to_owned(), message: "x".to_owned(), retry_after_ms: Some(1500) };
        assert_eq!(check("check-data", Err(error)).0.unwrap_err().kind, expected);
    }
}

#[test]
fn a_429_is_obeyed_in_every_spelling() {
    let epoch = (NOW / 1000 + 30).to_string();
    let past = (NOW / 1000 - 30).to_string();
    let cases = [
        (vec![("retry-after", "7")], Some(7_000)),
        (vec![("retry-after", "7"), ("x-ratelimit-reset", "9")], Some(7_000)),
        (vec![("x-ratelimit-reset", "42")], Some(42_000)),
        (vec![("x-ratelimit-reset", &epoch)], Some(30_000)),
        (vec![("x-ratelimit-reset", &past)], Some(0)),
        (vec![("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("x-ratelimit-reset", "9")], Some(9_000)),
        (vec![("retry-after", "-5")], None),
        (vec![("retry-after", "+5")], None),
        (vec![("x-ratelimit-reset", "99999999999999999999999")], None),
        (vec![], None),
    ];
    for (headers, wait) in cases {
        assert_eq!(failure(429, &headers, "").kind, FailureKind::RateLimited(wait), "{headers:?}");
    }
}

#[test]
fn a_success_with_the_wrong_body_verifies_nothing() {
    for (resource, body) in [
        ("check-data", "<html>log in</html>"),
        ("check-data", ""),
        ("check-data", r#"{"status":"fail","data":[]}"#),
        ("check-data", r#"{"status":"success"}"#),
        ("check-campaigns", r#"{"error":{"code":"500"}}"#),
        ("check-campaigns", "null"),
        ("check-segmentation", "[]"),
        ("check-segmentation", r#"{"data":null}"#),
    ] {
        let failure = check(resource, answer(200, &[], body)).0.unwrap_err();
        let code = if body.contains("fail") { "failure-in-success" } else { "unexpected-answer" };
        assert_eq!(failure.code, code, "{resource} {body}");
        assert_eq!(failure.kind, FailureKind::VendorContract(body.as_bytes().to_vec()));
    }
    let long = "x".repeat(5_000);
    let FailureKind::VendorContract(sample) = failure(404, &[], &long).kind else {
        panic!("not the vendor's contract")
    };
    assert_eq!(sample.len(), 1024);
    assert_eq!(failure(302, &[("location", "https://elsewhere")], "").code, "unexpected-status");
}

#[test]
fn a_used_up_window_is_passed_on_with_the_success() {
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")];
    let page = check("check-data", answer(200, &headers, DATA_OK)).0.unwrap();
    assert_eq!(page.not_before, Some(NOW + 20_000));
    let page = check("check-data", answer(200, &[("x-ratelimit-remaining", "3")], DATA_OK)).0.unwrap();
    assert_eq!(page.not_before, None);
}

#[test]
fn only_what_the_profile_declares_can_be_fetched() {
    let mut settings = plain_settings();
    settings["keys"] = json!({"data": "data"});
    let settings = parse(&settings);
    let mut vendor = Canned { answer: answer(200, &[], "[]"), asked: Vec::new() };
    for resource in ["check-campaigns", "campaigns", "users", ""] {
        let request =
            PageRequest { resource: resource.to_owned(), position: Position::Start, budget: 1_000, now: NOW };
        let failure = fetch_page(&settings, &request, &mut vendor).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Config, "unknown-resource"));
    }
    for position in [Position::Cursor(Cursor { version: 1, bytes: Vec::new() }), Position::Window(0, 1)] {
        let request = PageRequest { resource: "check-data".to_owned(), position, budget: 1_000, now: NOW };
        let failure = fetch_page(&settings, &request, &mut vendor).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Cursor, "position-not-supported"));
    }
    assert!(vendor.asked.is_empty());
}
