//! Whatever is no list of rows is a failure that says who must act: nothing of it is read, nothing
//! is written down, and the cursor stays where it was.

use moengage_connector::{FailureKind, HttpErrorKind, HttpResponse, Next, Page, Position};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{answered, first, ok, resources, samples, unit, vendor};
use crate::reach::is_check;
use crate::schemas::{everything, known_ids};
use crate::{NOW, parse};

/// Status, body, code, for every family: the answer of no list.
const REFUSALS: &[(u16, &str, &str)] = &[
    (401, r#"{"response_id":"r","error":{"code":"UNAUTHORIZED","message":"m","details":[]}}"#, "key-refused"),
    (401, r#"{"error-code":"request-unauthenticated","message":"m"}"#, "key-refused"),
    (401, r#"{"title":"HeaderMissing","description":"MOE-APPKEY is missing in Header"}"#, "key-refused"),
    (
        401,
        r#"{"error":{"code":"401 Authentication error","message":"m","details":[{"message":[{"message":"m"}]}]}}"#,
        "key-refused",
    ),
    (401, "", "key-refused"),
    (403, r#"{"title":"Forbidden Request","description":null,"code":"kmqLuuHM"}"#, "key-lacks-permission"),
    (
        403,
        r#"{"error":{"code":"Forbidden","message":"Token is missing required scope read:subscriptions","target":"Authorization"}}"#,
        "key-lacks-permission",
    ),
    (
        403,
        r#"{"error":{"code":"FORBIDDEN","message":"m","details":[{"message":"Required permission: locales:view"}]}}"#,
        "key-lacks-permission",
    ),
    (403, r#"{"error":"IP Validation Required","message":"m"}"#, "ip-not-allowed"),
    (403, r#"{"status":"fail","error":{"message":"m","type":"Account Suspended"}}"#, "account-suspended"),
    (
        409,
        r#"{"status":"fail","error":{"message":"m","type":"Authentication Mismatch"}}"#,
        "workspace-mismatch",
    ),
    (429, "", "rate-limited"),
    (
        429,
        r#"{"response_id":"r","type":"custom_template","error":{"code":"Too Many Requests","message":"m"}}"#,
        "rate-limited",
    ),
    (500, r#"{"title":"Server Error","description":"m","code":"jDTGSxjd"}"#, "vendor-unavailable"),
    (502, "<html>", "vendor-unavailable"),
    (503, r#"{"error":{"code":"UNAUTHORIZED"}}"#, "vendor-unavailable"),
    (302, "", "unexpected-status"),
    (418, "", "unexpected-status"),
    // Failures under a status of success.
    (200, "<html><body>Log in to MoEngage</body></html>", "unexpected-answer"),
    (200, "", "unexpected-answer"),
    (200, "null", "unexpected-answer"),
    (200, "[]", "unexpected-answer"),
    (200, "[{}]", "unexpected-answer"),
    (200, "{}", "unexpected-answer"),
    (200, r#"{"data":null}"#, "unexpected-answer"),
    (200, r#"{"data":7,"items":7,"executions":7}"#, "unexpected-answer"),
    (200, r#"{"data":"Unable to process the request","success":false}"#, "unexpected-answer"),
    (200, r#"{"data":[],"data":[]}"#, "unexpected-answer"),
    (200, r#"{"status":"Fail","Error_Message":"m","requestId":"r"}"#, "failure-in-success"),
    (200, r#"{"status":"FAILURE","error_type":"Invalid Offset Value","message":"m"}"#, "failure-in-success"),
    (200, r#"{"status":false,"error":"bad","request_id":"r"}"#, "failure-in-success"),
    (200, r#"{"error":{"code":"UNAUTHORIZED","message":"m"},"data":[]}"#, "key-refused"),
    (
        200,
        r#"{"error":{"code":"RATE_LIMITED","message":"m"},"data":[],"items":[],"executions":[]}"#,
        "rate-limited",
    ),
    (200, r#"{"error-code":"request-denied","message":"m"}"#, "key-lacks-permission"),
];

#[test]
fn n08_n17_n20_every_refusal_of_every_family_names_who_must_act() {
    for resource in resources() {
        let (name, own) = (&resource.name, resource.slot.clone().unwrap());
        for (status, body, code) in REFUSALS {
            let mut storage = known_ids();
            let http = &mut vendor(|_| answered(*status, *body));
            let from = (Position::Start, 1_000, NOW);
            let failure = match unit(&parse(&everything()), name, http, &mut storage, from) {
                Err(failure) => failure,
                Ok(page) => panic!("{name}: {status} {body} was read as {page:?}"),
            };
            assert_eq!(failure.code, *code, "{name}: {status} {body}");
            assert_eq!(storage.0, known_ids().0, "{name}: nothing is written down");
            let fits = match (*code, &failure.kind) {
                ("key-refused", FailureKind::Auth { slot }) => *slot == own,
                ("key-lacks-permission", FailureKind::Permission { slot, scope }) => {
                    let named =
                        ["read:subscriptions", "locales:view"].into_iter().find(|scope| body.contains(scope));
                    *slot == own && scope == named.unwrap_or("not named")
                }
                ("ip-not-allowed" | "account-suspended" | "workspace-mismatch", FailureKind::Config) => true,
                ("rate-limited", FailureKind::RateLimited(None)) => true,
                ("vendor-unavailable", FailureKind::Transient) => true,
                (_, FailureKind::VendorContract(sample)) => sample == body.as_bytes(),
                _ => false,
            };
            assert!(fits, "{name}: {status} {body}: {:?}", failure.kind);
        }
    }
}

/// What is asked for each of something and is refused for one is passed over and told of, since
/// the others have done nothing; see `fan_out`. For one list it is a failure.
#[test]
fn n18_a_list_that_is_not_there_is_a_failure_where_it_is_the_only_one() {
    let alone = [
        "segments",
        "flows",
        "email-templates",
        "email-templates-v1",
        "content-blocks",
        "business-events",
        "offers",
        "locales",
        "subscription-categories",
        "coupon-lists",
        "file-imports",
        "dashboards",
        "campaign-stats",
    ];
    for resource in alone {
        for (status, body, code) in [
            (400, r#"{"error":{"code":"VALIDATION_FAILED","message":"m"}}"#, "request-refused"),
            (
                400,
                r#"{"status":"FAILURE","error_type":"Difference exceeds 30 days","message":"m"}"#,
                "request-refused",
            ),
            (404, r#"{"error":{"code":"NOT_FOUND","message":"m"}}"#, "not-found"),
            (404, r#"{"status":"fail","data":"Resource not found."}"#, "unexpected-status"),
            (422, "", "request-refused"),
        ] {
            let failure = first(resource, answered(status, body)).unwrap_err();
            assert_eq!(failure.code, code, "{resource}: {status} {body}");
        }
    }
}

#[test]
fn a_quota_that_is_spent_is_waited_for_and_no_failure() {
    for resource in resources() {
        if resource.name == "campaign-stats" {
            continue; // it has no such quota: there it is a rate
        }
        let quota = answered(428, r#"{"error":{"code":"QUOTA_EXCEEDED","message":"m"},"response_id":"r"}"#);
        let page = first(&resource.name, quota).unwrap();
        let Next::Later(cursor, at) = &page.next else { panic!("{}: {:?}", resource.name, page.next) };
        assert_eq!((*at, page.records.len(), page.rejects.len()), (NOW + 3_600_000, 0, 0));
        assert_eq!(page.notes[0].name, "quota-used-up");
        // It goes on where it stood, under the same run.
        let sample = samples()[&resource.name].get().to_owned();
        let http = &mut vendor(|_| answered(200, sample.clone()));
        let from = (Position::Cursor(cursor.clone()), 1_000, NOW + 3_600_000);
        let page = unit(&parse(&everything()), &resource.name, http, &mut known_ids(), from).unwrap();
        assert!(page.records.iter().all(|record| record.observation.id.contains(&NOW.to_string())));
        assert!(!page.records.is_empty());
    }
    assert_eq!(first("campaign-stats", answered(428, "")).unwrap_err().code, "rate-limited");
}

#[test]
fn a_used_up_window_is_passed_on_with_the_rows() {
    for resource in resources() {
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let body = samples()[&resource.name].get().as_bytes().to_vec();
        let page = first(&resource.name, HttpResponse { status: 200, headers, body }).unwrap();
        assert_eq!(page.not_before, Some(NOW + 20_000), "{}", resource.name);
    }
}

#[test]
fn no_answer_is_no_end() {
    struct Dead;
    impl moengage_connector::Http for Dead {
        fn send(
            &mut self,
            _: &moengage_connector::HttpRequest,
        ) -> Result<HttpResponse, moengage_connector::HttpError> {
            let kind = HttpErrorKind::Timeout;
            Err(moengage_connector::HttpError {
                kind,
                code: "x".into(),
                message: "x".into(),
                retry_after_ms: None,
            })
        }
    }
    for resource in resources() {
        let from = (Position::Start, 1_000, NOW);
        let failure =
            unit(&parse(&everything()), &resource.name, &mut Dead, &mut known_ids(), from).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "vendor-timeout"));
    }
}

#[test]
fn a_page_without_what_says_how_it_goes_on_is_no_page() {
    for (resource, body) in [
        ("flows", json!({"data": {"flows": []}})),
        ("offers", json!({"data": [], "pagination": {}})),
        ("locales", json!({"data": []})),
        ("business-events", json!({"data": [], "pagination": {"has_more": 7}})),
        ("email-templates-v1", json!({"data": {"templates": []}})),
        ("file-imports", json!({"data": [], "more_files": "perhaps"})),
        ("campaign-stats", json!({"data": {}, "total_campaigns": 0})),
    ] {
        assert_eq!(first(resource, ok(&body)).unwrap_err().code, "unexpected-answer", "{resource}");
    }
    let more = |cursor: Value| json!({"data": [], "pagination": {"has_more": true, "next_cursor": cursor}});
    for (cursor, code) in [
        (Value::Null, "next-page-missing"),
        (json!(""), "next-page-missing"),
        (json!("x".repeat(1_501)), "page-token-too-long"),
    ] {
        assert_eq!(first("offers", ok(&more(cursor))).unwrap_err().code, code);
    }
    let rows: Vec<Value> = (0..16).map(|n| json!({"external_template_id": n.to_string()})).collect();
    assert_eq!(first("sms-templates", ok(&json!({"data": rows}))).unwrap_err().code, "limit-ignored");
}

#[test]
fn more_rows_than_the_host_takes_are_refused_by_name() {
    let rows = |count: usize| -> HttpResponse {
        let rows: Vec<Value> = (0..count).map(|n| json!({"id": n.to_string()})).collect();
        ok(&json!({"data": rows}))
    };
    let page = |count: usize, budget: u32| -> Result<Page, _> {
        let http = &mut vendor(move |_| rows(count));
        unit(&parse(&everything()), "segments", http, &mut known_ids(), (Position::Start, budget, NOW))
    };
    assert_eq!(page(1_000, 1_000).unwrap().records.len(), 1_000);
    assert_eq!(page(1_001, 1_000).unwrap_err().code, "too-many-rows");
    assert_eq!(page(20_001, 1_000_000).unwrap_err().code, "too-many-rows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn n06_an_answer_that_breaks_off_anywhere_is_an_error(cut: prop::sample::Index, which: prop::sample::Index) {
        let samples = samples();
        let (resource, sample) = samples.iter().nth(which.index(samples.len())).unwrap();
        let whole = sample.get().as_bytes();
        let failure = first(resource, answered(200, &whole[..cut.index(whole.len())])).unwrap_err();
        prop_assert_eq!(failure.code.as_str(), "unexpected-answer");
    }

    #[test]
    fn any_bytes_under_any_status_give_a_typed_result(
        status in prop_oneof![Just(200_u16), Just(400), Just(404), 100..600_u16],
        bytes in proptest::collection::vec(any::<u8>(), 0..60), which: prop::sample::Index
    ) {
        let samples = samples();
        let resource = samples.keys().nth(which.index(samples.len())).unwrap();
        match first(resource, answered(status, bytes)) {
            Ok(page) => prop_assert!(page.records.is_empty() && page.rejects.is_empty()),
            Err(failure) => prop_assert!(!failure.code.is_empty() && !failure.message.is_empty()),
        }
    }
}

/// Two sources name two keys for some families, so a refusal of one family says nothing of the key
/// until the key was tried by itself.
#[test]
fn n17_a_key_that_only_one_family_refuses_is_no_refused_key() {
    for resource in resources() {
        let own = resource.slot.clone().unwrap();
        let http = &mut vendor(|request| match is_check(request) {
            // The documented answers of the three checks.
            true if own == "campaigns" => answered(200, "[]"),
            true => answered(200, r#"{"status":"success","data":[]}"#),
            false => answered(401, ""),
        });
        let from = (Position::Start, 1_000, NOW);
        let failure = unit(&parse(&everything()), &resource.name, http, &mut known_ids(), from).unwrap_err();
        assert_eq!(failure.code, "key-not-for-this", "{}", resource.name);
        assert_eq!(failure.kind, FailureKind::Permission { slot: own.clone(), scope: resource.name.clone() });
        assert_eq!(http.asked.len(), 2, "the read and the check");
    }
}
