//! Every shape of error that MoEngage documents, each through a door that reads it.

use moengage_connector::{
    Failure, FailureKind, Http, HttpError, HttpRequest, HttpResponse, PageRequest, Position,
};

use crate::reach::fetch_page;
use crate::{NOW, plain};

struct Canned(HttpResponse);

impl Http for Canned {
    fn send(&mut self, _: &HttpRequest) -> Result<HttpResponse, HttpError> {
        Ok(self.0.clone())
    }
}

fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let headers = headers.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut vendor = Canned(HttpResponse { status, headers, body: body.as_bytes().to_vec() });
    let request =
        PageRequest { resource: "campaigns".to_owned(), position: Position::Start, budget: 1_000, now: NOW };
    fetch_page(&plain(), &request, &mut vendor).unwrap_err()
}

/// Shape, status, body, code.
const SHAPES: &[(&str, u16, &str, &str)] = &[
    (
        "a",
        400,
        r#"{"status":"fail","error":{"attribute":"data","message":"m","type":"MissingAttributeError","request_id":"abcdefgh"}}"#,
        "request-refused",
    ),
    (
        "a",
        401,
        r#"{"status":"fail","error":{"message":"m","type":"Authentication required","request_id":"abcdefgh"}}"#,
        "key-refused",
    ),
    (
        "a",
        403,
        r#"{"status":"fail","error":{"message":"m","type":"BlockedClient","request_id":"abcdefgh"}}"#,
        "account-suspended",
    ),
    (
        "a",
        403,
        r#"{"status":"fail","error":{"message":"m","type":"Account Temporarily Suspended"}}"#,
        "account-suspended",
    ),
    (
        "a",
        409,
        r#"{"status":"fail","error":{"message":"m","type":"Authentication Mismatch"}}"#,
        "workspace-mismatch",
    ),
    ("a", 413, r#"{"status":"fail","error":{"message":"m","type":"PayloadTooLarge"}}"#, "request-refused"),
    ("a", 415, r#"{"status":"fail","error":{"message":"m","type":"MediaTypeError"}}"#, "request-refused"),
    ("a", 429, r#"{"status":"fail","error":{"message":"m","type":"Rate Limits Exceeded"}}"#, "rate-limited"),
    ("a2", 429, r#"{"status":"fail","title":"t","description":"d"}"#, "rate-limited"),
    ("a2", 500, r#"{"status":"fail","title":"t","description":"d"}"#, "vendor-unavailable"),
    (
        "b",
        400,
        r#"{"error":{"code":"400 Bad Request","message":"m","target":"limit","details":[{"target":"limit","message":"m"}],"request_id":""}}"#,
        "request-refused",
    ),
    (
        "b",
        401,
        r#"{"error":{"code":"401 Authentication error","message":"m","details":[{"message":[{"message":"m"}]}]}}"#,
        "key-refused",
    ),
    (
        "b",
        429,
        r#"{"status":"error","data":{"code":429,"title":"rate limiter exception","description":"d"}}"#,
        "rate-limited",
    ),
    (
        "b",
        429,
        r#"{"response_id":"r","type":"custom_template","error":{"code":"Too Many Requests","message":"Current limit: n/m mins"}}"#,
        "rate-limited",
    ),
    (
        "c",
        400,
        r#"{"response_id":"r","error":{"code":"VALIDATION_FAILED","message":"m","details":[]}}"#,
        "request-refused",
    ),
    (
        "c",
        400,
        r#"{"response_id":"r","error":{"code":"MISSING_IDEMPOTENCY_KEY","message":"m"}}"#,
        "request-refused",
    ),
    ("c", 400, r#"{"response_id":"r","error":{"code":"RATE_LIMIT_EXCEEDED","message":"m"}}"#, "rate-limited"),
    (
        "c",
        401,
        r#"{"response_id":"r","error":{"code":"UNAUTHORIZED","message":"m","details":[]}}"#,
        "key-refused",
    ),
    (
        "c",
        401,
        r#"{"response_id":"r","error":{"code":"FORBIDDEN","message":"Required permission: campaigns:view"}}"#,
        "key-lacks-permission",
    ),
    (
        "c",
        403,
        r#"{"response_id":"r","error":{"code":"FORBIDDEN","message":"Required permission: campaigns:view"}}"#,
        "key-lacks-permission",
    ),
    ("c", 404, r#"{"response_id":"r","error":{"code":"FLOW_NOT_FOUND","message":"m"}}"#, "not-found"),
    (
        "c",
        409,
        r#"{"response_id":"r","error":{"code":"IDEMPOTENCY_CONFLICT","message":"m"}}"#,
        "idempotency-conflict",
    ),
    (
        "c",
        409,
        r#"{"response_id":"r","error":{"code":"DUPLICATE_IDEMPOTENCY_KEY","message":"m"}}"#,
        "request-in-flight",
    ),
    (
        "c",
        422,
        r#"{"response_id":"r","error":{"code":"UNPROCESSABLE_ENTITY","message":"m"}}"#,
        "request-refused",
    ),
    ("c", 429, r#"{"response_id":"r","error":{"code":"RATE_LIMITED","message":"m"}}"#, "rate-limited"),
    (
        "c",
        500,
        r#"{"response_id":"r","error":{"code":"INTERNAL_ERROR","message":"m"}}"#,
        "vendor-unavailable",
    ),
    ("c", 404, r#"{"response_id":"r","error":{"code":"NotFound","message":"m"}}"#, "not-found"),
    (
        "d",
        429,
        r#"{"response_id":"r","type":"custom_segment","error":{"code":"Too Many Requests","message":"m"}}"#,
        "rate-limited",
    ),
    (
        "d",
        401,
        r#"{"response_id":"r","type":"custom_segment","error":{"code":"Authentication required","message":"m"}}"#,
        "key-refused",
    ),
    ("e", 404, r#"{"error-code":"catalog-not-found","message":"m"}"#, "not-found"),
    ("e", 403, r#"{"error-code":"request-denied","message":"m"}"#, "key-lacks-permission"),
    ("f", 400, r#"{"error":{"code":"x","message":"m"}}"#, "request-refused"),
    ("g", 401, r#"{"title":"t","description":"d","code":"abcdefgh"}"#, "key-refused"),
    ("h", 400, r#"{"status":false,"error":"bad uid","request_id":"r"}"#, "request-refused"),
    ("i", 400, r#"{"status":"error","data":{"code":"x","title":"t","description":"d"}}"#, "request-refused"),
    ("j", 401, r#"{"message":"m","err_code":"120001","status_code":401}"#, "key-refused"),
    ("j", 409, r#"{"message":"m","err_code":"120105","status_code":409}"#, "request-in-flight"),
    ("j", 429, r#"{"message":"m","err_code":140110,"status_code":429}"#, "rate-limited"),
    ("k", 429, "", "rate-limited"),
    ("l", 403, r#"{"error":"IP Validation Required","message":"m"}"#, "ip-not-allowed"),
    // No shape of MoEngage's: the status is all there is.
    ("-", 401, "<html>", "key-refused"),
    ("-", 403, "", "key-lacks-permission"),
    // Nobody's envelope: the way itself is not there.
    ("-", 404, "<html>", "v5-not-available"),
    ("-", 410, "", "unexpected-status"),
    ("-", 428, r#"{"message":"quota"}"#, "rate-limited"),
    ("-", 418, "", "unexpected-status"),
    ("-", 503, r#"{"error":{"code":"UNAUTHORIZED"}}"#, "vendor-unavailable"),
];

#[test]
fn every_documented_shape_says_who_must_act() {
    for (shape, status, body, code) in SHAPES {
        let failure = refused(*status, &[], body);
        assert_eq!(failure.code, *code, "{shape}: {status} {body}");
        let fits = match (*code, &failure.kind) {
            ("key-refused", FailureKind::Auth { slot }) => slot == "campaigns",
            ("key-lacks-permission", FailureKind::Permission { slot, scope }) => {
                slot == "campaigns" && (scope == "campaigns:view" || !body.contains("campaigns:view"))
            }
            (
                "account-suspended" | "ip-not-allowed" | "workspace-mismatch" | "v5-not-available",
                FailureKind::Config,
            ) => true,
            ("rate-limited", FailureKind::RateLimited(None)) => true,
            ("vendor-unavailable" | "request-in-flight", FailureKind::Transient) => true,
            ("not-found", FailureKind::Gone) | ("idempotency-conflict", FailureKind::Internal) => true,
            ("request-refused" | "unexpected-status", FailureKind::VendorContract(sample)) => {
                sample == body.as_bytes()
            }
            _ => false,
        };
        assert!(fits, "{shape}: {status} {body}: {:?}", failure.kind);
    }
}

#[test]
fn n20_a_failure_under_a_success_is_a_failure() {
    for (body, code) in [
        (r#"{"status":"Fail","Error_Message":"m","requestId":"r","responseId":"s"}"#, "failure-in-success"),
        (r#"{"status":false,"error":"bad","request_id":"r"}"#, "failure-in-success"),
        (r#"{"status":"fail","error":{"type":"Authentication required"}}"#, "key-refused"),
        (r#"{"response_id":"r","error":{"code":"RATE_LIMITED","message":"m"}}"#, "rate-limited"),
        (
            r#"{"response_id":"r","error":{"code":"INTERNAL_ERROR"},"data":{"campaigns":[]}}"#,
            "vendor-unavailable",
        ),
        (r#"{"status":"error","data":{"code":"x","title":"t"}}"#, "failure-in-success"),
        (r#"{"error-code":"request-denied","message":"m"}"#, "key-lacks-permission"),
    ] {
        assert_eq!(refused(200, &[], body).code, code, "{body}");
    }
}

#[test]
fn a_refusal_behind_the_proxy_is_about_the_rate() {
    let headers = [("x-envoy-ratelimited", "true"), ("x-ratelimit-limit", "5, 5;w=60")];
    for status in [429, 503] {
        assert_eq!(refused(status, &headers, "").kind, FailureKind::RateLimited(Some(60_000)));
    }
}

#[test]
fn n12_no_redirect_is_followed() {
    for status in [301, 302, 304, 307, 308] {
        assert_eq!(
            refused(status, &[("location", "https://elsewhere.example")], "").code,
            "unexpected-status"
        );
    }
}

#[test]
fn codes_are_shown_and_sentences_are_not() {
    let body = r#"{"error":{"code":"VALIDATION_FAILED","message":"ann@example.com is unknown"}}"#;
    let message = refused(400, &[], body).message;
    assert!(message.contains("VALIDATION_FAILED") && !message.contains("ann@"), "{message}");
    let odd = r#"{"error":{"code":"ann@example.com","message":"m"}}"#;
    assert!(!refused(400, &[], odd).message.contains("ann@"));
}
