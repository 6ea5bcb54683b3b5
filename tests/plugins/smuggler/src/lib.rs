//! Asks for requests that would be more, or others, than the host allows, one after another, and
//! writes down what became of each.

use kit::*;

struct Smuggler;

impl Connector for Smuggler {
    fn fetch_page(_: PageRequest) -> Result<Page, Failure> {
        let notes = requests().into_iter().map(|(name, request)| {
            let message = match http::send(&request) {
                Ok(answer) => format!("status-{}", answer.status),
                Err(error) => error.code,
            };
            Note { name: "asked".into(), count: 1, message: format!("{name}: {message}") }
        });
        Ok(Page { notes: notes.collect(), ..empty_page() })
    }
}

fn requests() -> Vec<(String, http::Request)> {
    let mut all = vec![("plain".to_owned(), post(&["v1", "people"]))];
    for (name, value) in [
        ("x-note", "a\r\nx-forged: 1"),
        ("x-note", "a\nx-forged: 1"),
        ("x-note", "a\r\n\r\nGET /v1/forged HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("x-note\r\nx-forged", "1"),
        ("x-note: 1\r\nx-forged", "1"),
        ("x-note ", "1"),
        ("", "1"),
        ("Host", "elsewhere.example"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding ", "chunked"),
        ("Content-Length", "0"),
        ("Connection", "x-key"),
        ("Proxy-Authorization", "x"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("TE", "trailers"),
        ("Trailer", "x-key"),
        ("X-Key", "another"),
        ("x-request-id", "mine"),
        ("Cookie", "a=b"),
        ("Forwarded", "for=127.0.0.1"),
    ] {
        let mut request = post(&["v1", "people"]);
        request.headers = vec![(name.into(), value.into())];
        all.push((format!("header {name:?}"), request));
    }
    for path in [
        &["http://elsewhere.example", "x"][..],
        &["http:", "", "elsewhere.example"],
        &["", "elsewhere.example"],
        &["/elsewhere.example"],
        &["..", "admin"],
        &["v1", "..", "admin"],
        &["v1", ".", "admin"],
        &["v1", "a/../../admin"],
        &["v1", "a\\..\\admin"],
        &["v1", "a HTTP/1.1\r\nhost: x\r\n\r\n"],
        &["v1\r\n", "x"],
        &["v2"],
        &["V1"],
        &[],
    ] {
        all.push((format!("path {path:?}"), post(path)));
    }
    // These are harmless once they are escaped, and are sent.
    for path in [
        &["v1", "%2e%2e", "%2fadmin"][..],
        &["v1", "?a=b#c"],
        &["v1", "a b"],
        &["v1", "x;y@z:80"],
        &["v1", "。。"],
    ] {
        all.push((format!("escaped {path:?}"), post(path)));
    }
    let mut query = post(&["v1", "people"]);
    query.query = vec![("a&b".into(), " HTTP/1.1\r\nx-forged: 1\r\n".into()), ("#".into(), "?".into())];
    all.push(("escaped query".into(), query));
    let mut body = post(&["v1", "people"]);
    body.body = Some(b"0\r\n\r\nGET /v1/forged HTTP/1.1\r\nhost: x\r\n\r\n".to_vec());
    all.push(("escaped body".into(), body));
    let mut get = post(&["v1", "people"]);
    (get.method, get.body) = (http::Method::Get, Some(b"GET /v1/forged HTTP/1.1\r\n\r\n".to_vec()));
    all.push(("body of a GET".into(), get));
    let mut elsewhere = post(&["v1", "people"]);
    elsewhere.endpoint = "http://elsewhere.example".into();
    all.push(("endpoint".into(), elsewhere));
    let mut delete = post(&["v1", "people"]);
    delete.method = http::Method::Delete;
    all.push(("method".into(), delete));
    all
}

fn post(path: &[&str]) -> http::Request {
    http::Request {
        endpoint: "api".into(),
        method: http::Method::Post,
        path: path.iter().map(|segment| (*segment).to_owned()).collect(),
        query: vec![],
        headers: vec![("x-note".into(), "fine".into())],
        body: Some(b"{}".to_vec()),
        timeout_ms: None,
    }
}

guest!(Smuggler);
