//! Answers that are not the file, and a host that can't keep it.

use host_harness::contract::http::ErrorKind;

use super::server::Entry;
use super::{Bench, gzip, noise, path};

fn status(status: u16, body: &str) -> Entry {
    Entry { status: Some(status), body: body.into(), open: true, ..Entry::default() }
}

#[test]
fn n17_n18_each_refusal_has_its_own_code() {
    let bench = Bench::new();
    for (entry, kind, code, part) in [
        (
            status(404, "<Error><Code>NoSuchKey</Code></Error>"),
            ErrorKind::BadAnswer,
            "object-status-404",
            "NoSuchKey",
        ),
        (status(410, ""), ErrorKind::BadAnswer, "object-status-410", "no such file"),
        (
            status(403, "<Error><Code>AccessDenied</Code></Error>"),
            ErrorKind::BadAnswer,
            "object-forbidden",
            "AccessDenied",
        ),
        (status(401, "<html>"), ErrorKind::BadAnswer, "object-forbidden", "refuses"),
        (
            status(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
            ErrorKind::BadAnswer,
            "clock-skewed",
            "clock",
        ),
        (status(500, ""), ErrorKind::BadAnswer, "object-status-500", "didn't"),
        (status(204, ""), ErrorKind::BadAnswer, "object-status-204", "didn't"),
        (
            status(503, "<Error><Code>SlowDown</Code></Error>"),
            ErrorKind::RateLimited,
            "object-status-503",
            "SlowDown",
        ),
    ] {
        bench.server.put("/acme/f", entry);
        let error = bench.content("f").unwrap_err();
        assert_eq!((error.kind, error.code.as_str(), error.request_sent), (kind, code, true));
        assert!(error.message.contains(part), "{}", error.message);
    }
    // A body is repeated only where it is one word of the protocol.
    bench.server.put("/acme/f", status(403, "<Error><Code>a person@example.com</Code></Error>"));
    assert!(!bench.content("f").unwrap_err().message.contains("person"));
    assert!(bench.files("").is_empty());
}

#[test]
fn n13_a_request_to_come_later_is_passed_on_and_obeyed() {
    let bench = Bench::new();
    let headers = vec![("Retry-After".into(), "120".into())];
    bench.server.put("/acme/f", Entry { headers, ..status(503, "") });
    let error = bench.content("f").unwrap_err();
    assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::RateLimited, Some(120_000)));
    assert_eq!(bench.content("f").unwrap_err().code, "rate-window");
    assert_eq!(bench.server.asked().len(), 1);
}

#[test]
fn n12_a_redirect_is_not_followed() {
    let bench = Bench::new();
    bench.server.put("/acme/target", Entry { body: b"x".to_vec(), ..Entry::default() });
    for code in [301, 302, 307, 308] {
        let headers = vec![("Location".into(), format!("http://{}/acme/target", bench.server.address))];
        bench.server.put("/acme/f", Entry { headers, ..status(code, "") });
        assert_eq!(bench.content("f").unwrap_err().code, format!("object-status-{code}"));
    }
    assert!(bench.server.asked().iter().all(|asked| asked.target == "/acme/f"));
}

#[test]
fn n16_a_wrong_key_is_refused_by_name() {
    let bench = Bench::new();
    bench.server.put("/acme/f", Entry { body: b"x".to_vec(), ..Entry::default() });
    let access = host_harness::egress::Access {
        secrets: std::sync::Arc::new(
            host_harness::secrets::SlotSecrets::new().with("files", ["other".into()]),
        ),
        ..std::sync::Arc::into_inner(super::access(&bench.server, bench.home.path(), 1 << 20)).unwrap()
    };
    let unit = std::sync::Arc::new(access).unit("exports", &[], std::time::Duration::from_secs(30));
    let error = unit.object_open("store", &path("f"), None).unwrap_err();
    assert_eq!(error.code, "object-forbidden");
    assert!(error.message.contains("SignatureDoesNotMatch"), "{}", error.message);
}

#[test]
fn n09_a_file_over_the_quota_is_refused_however_it_hides() {
    let bench = Bench::with_quota(1 << 20);
    let large = noise((1 << 20) + 1, 1);
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let encoded = |body: Vec<u8>| Entry {
        body,
        headers: vec![("Content-Encoding".into(), "gzip".into())],
        ..Entry::default()
    };
    for (name, entry) in [
        ("plain", Entry { body: large.clone(), ..Entry::default() }),
        ("chunked", Entry { body: large.clone(), chunked: true, ..Entry::default() }),
        ("bomb", Entry { body: bomb.clone(), ..Entry::default() }),
        ("chunked bomb", Entry { body: bomb.clone(), chunked: true, ..Entry::default() }),
        ("encoded bomb", encoded(bomb.clone())),
        ("bomb in gzip", encoded(gzip(&bomb))),
    ] {
        bench.server.put("/acme/f", entry);
        let code = bench.content("f").unwrap_err().code;
        // A chunked answer is stopped by the cap of the exchange.
        assert!(code == "object-too-large" || (name == "chunked" && code == "bad-answer"), "{name}: {code}");
        assert!(bench.files("").is_empty(), "{name}");
    }
}

#[test]
fn h02_a_disk_that_takes_nothing_is_the_hosts_trouble() {
    let bench = Bench::new();
    bench.server.put("/acme/f", Entry { body: b"x".to_vec(), ..Entry::default() });
    let file = tempfile::NamedTempFile::new().unwrap();
    let access = super::access(&bench.server, file.path(), 1 << 20);
    let unit = access.unit("exports", &[], std::time::Duration::from_secs(30));
    let error = unit.object_open("store", &path("f"), None).unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unreachable, "spool-unusable"));
    assert!(!error.message.contains(&*file.path().to_string_lossy()), "{}", error.message);
}
